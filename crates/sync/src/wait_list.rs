//! Who waits for an object: first in, first out, each on a node of its own stack.
//!
//! A list guards a piece of state `S` with a short internal lock; a primitive looks at the state under the lock and, if
//! it has to wait, puts itself on the list before it lets go. Nobody waits, wakes or allocates while holding the lock.
//!
//! Each waiter brings a *slot* of type `V`. While it waits the slot belongs to the lock: whoever holds that may look
//! into the slot of the first waiter, take from it, and leave in it what the wait was for. So a message travels straight
//! from one stack to another, and a semaphore knows how much the first in the queue asked for.
//!
//! # Invariants
//! 1. A node is linked if and only if its `linked` flag is set; both change only under the lock of its list.
//! 2. A linked node's owner is inside [`WaitList::wait`] or one of its sisters and does not return, nor unwind, before
//!    the node is unlinked: so every pointer that the list holds is to a live node.
//! 3. Who unlinks a node to notify it has taken the owner's [`Unparker`] out and touches the node no more once
//!    `notified` is set: from then on the owner may leave.
//! 4. The slot of a linked node is touched only under the lock; before and afterwards only by the owner.

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::ptr::NonNull;

use Ordering::{Acquire, Release};

use crate::park::{self, Interrupt, Unparker, Wait};
use crate::primitive::{AtomicBool, Mutex, MutexGuard, Ordering, UnsafeCell, const_unless_loom, lock};

/// How many are woken between two holdings of the lock.
const BATCH: usize = 16;

struct Node<V> {
    previous: Cell<Option<NonNull<Self>>>,
    next: Cell<Option<NonNull<Self>>>,
    linked: Cell<bool>,
    unparker: Cell<Option<Unparker>>,
    slot: UnsafeCell<V>,
    notified: AtomicBool,
}

impl<V> Node<V> {
    fn of_caller(slot: V) -> Self {
        Self {
            previous: Cell::new(None),
            next: Cell::new(None),
            linked: Cell::new(false),
            unparker: Cell::new(Some(Unparker::current())),
            slot: UnsafeCell::new(slot),
            notified: AtomicBool::new(false),
        }
    }
}

/// State under a lock, and the tasks that wait for it to change.
pub struct WaitList<S, V = usize> {
    inner: Mutex<Inner<S, V>>,
}

struct Inner<S, V> {
    state: S,
    first: Option<NonNull<Node<V>>>,
    last: Option<NonNull<Node<V>>>,
    len: usize,
}

// SAFETY: the pointers are to nodes that outlive their links (invariant 2) and are touched under the lock (invariant 1),
// by whichever thread holds it; what a node holds is an `Unparker`, which is Send, and the slot.
unsafe impl<S: Send, V: Send> Send for Inner<S, V> {}

impl<S, V> Inner<S, V> {
    fn push(&mut self, node: &Node<V>, place: Place) {
        let pointer = NonNull::from(node);
        node.linked.set(true);
        self.len += 1;
        let neighbour = match place {
            Place::First => self.first.replace(pointer),
            Place::Last => self.last.replace(pointer),
        };
        // SAFETY: invariant 2, for the neighbour.
        match neighbour.map(|neighbour| unsafe { neighbour.as_ref() }) {
            None => {
                self.first = Some(pointer);
                self.last = Some(pointer);
            }
            Some(next) if place == Place::First => {
                next.previous.set(Some(pointer));
                node.next.set(Some(NonNull::from(next)));
            }
            Some(previous) => {
                previous.next.set(Some(pointer));
                node.previous.set(Some(NonNull::from(previous)));
            }
        }
    }

    fn unlink(&mut self, node: &Node<V>) {
        let (previous, next) = (node.previous.take(), node.next.take());
        match previous {
            // SAFETY: invariant 2.
            Some(previous) => unsafe { previous.as_ref() }.next.set(next),
            None => self.first = next,
        }
        match next {
            // SAFETY: invariant 2.
            Some(next) => unsafe { next.as_ref() }.previous.set(previous),
            None => self.last = previous,
        }
        node.linked.set(false);
        self.len -= 1;
    }

    /// Takes the first waiter off the list if `choose`, which may change the state and the waiter's slot, says so.
    fn notify_first_if(&mut self, choose: impl FnOnce(&mut S, &mut V) -> bool) -> Option<Unparker> {
        let first = self.first?;
        // SAFETY: invariant 2: it is linked.
        let node = unsafe { first.as_ref() };
        // SAFETY: invariant 4: it is linked, and who has `self` holds the lock.
        let chosen = node.slot.with_mut(|slot| choose(&mut self.state, unsafe { &mut *slot }));
        if !chosen {
            return None;
        }
        self.unlink(node);
        let unparker = node.unparker.take();
        // SYNC: wait_list.notified. What was done under the lock, and the slot, is visible to the owner. The last touch.
        node.notified.store(true, Release);
        unparker
    }
}

/// Where in the list a waiter queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before all others: for a waiter that was notified and came too late.
    First,
    /// Behind all others.
    Last,
}

/// The state of a [`WaitList`], locked.
pub struct Locked<'a, S, V = usize>(MutexGuard<'a, Inner<S, V>>);

impl<S, V> Locked<'_, S, V> {
    /// Takes the first waiter off the list and hands it `value`. The caller unparks it, after letting go of the lock.
    #[must_use = "the waiter sleeps until it is unparked"]
    pub fn notify_first(&mut self, value: V) -> Option<Unparker> {
        self.0.notify_first_if(|_, slot| {
            *slot = value;
            true
        })
    }

    /// Takes the first waiter off the list after `exchange` has taken from its slot, or left there, what it likes. The
    /// caller unparks it, after letting go of the lock.
    #[must_use = "the waiter sleeps until it is unparked"]
    pub fn notify_first_with<R>(
        &mut self,
        exchange: impl FnOnce(&mut S, &mut V) -> R,
    ) -> Option<(R, Unparker)> {
        let mut result = None;
        let unparker = self.0.notify_first_if(|state, slot| {
            result = Some(exchange(state, slot));
            true
        })?;
        result.map(|result| (result, unparker))
    }

    /// How many wait.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.0.len
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.first.is_none()
    }
}

impl<S, V: Copy> Locked<'_, S, V> {
    /// What the first waiter has in its slot.
    #[must_use]
    pub fn first_slot(&self) -> Option<V> {
        // SAFETY: invariant 2: it is linked.
        let node = unsafe { self.0.first?.as_ref() };
        // SAFETY: invariant 4: it is linked, and `self` holds the lock.
        Some(node.slot.with(|slot| unsafe { *slot }))
    }
}

impl<S, V> std::ops::Deref for Locked<'_, S, V> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.state
    }
}

impl<S, V> std::ops::DerefMut for Locked<'_, S, V> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0.state
    }
}

/// A wait that was interrupted: the waiter is off the list, and the lock is held since it left.
pub struct Left<'a, S, V> {
    /// Why; not yet delivered.
    pub interrupt: Interrupt,
    /// What the waiter brought.
    pub slot: V,
    /// To be let go of before the interruption is delivered.
    pub guard: Locked<'a, S, V>,
}

/// Takes a node off its list whatever happens (invariant 2).
struct Unlink<'a, S, V> {
    list: &'a WaitList<S, V>,
    node: &'a Node<V>,
}

impl<S, V> Drop for Unlink<'_, S, V> {
    fn drop(&mut self) {
        let mut inner = lock(&self.list.inner);
        if self.node.linked.get() {
            inner.unlink(self.node);
        }
    }
}

impl<S, V> WaitList<S, V> {
    const_unless_loom! {
        /// Nobody waits.
        pub fn new(state: S) -> Self {
            Self { inner: Mutex::new(Inner { state, first: None, last: None, len: 0 }) }
        }
    }

    /// Locks the state. To be held for a few instructions, never over a wait.
    pub fn lock(&self) -> Locked<'_, S, V> {
        Locked(lock(&self.inner))
    }

    /// Unwraps the state.
    pub fn into_inner(self) -> S {
        self.inner.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).state
    }

    /// Waits with `slot` until notified. Gives the slot as the notifier left it.
    ///
    /// # Errors
    /// The interruption, not yet delivered. A notification that came first wins.
    ///
    /// # Waits
    /// Until notified.
    pub fn wait_with<'a>(
        &'a self,
        guard: Locked<'a, S, V>,
        wait: &Wait,
        slot: V,
        place: Place,
    ) -> Result<V, Left<'a, S, V>> {
        self.queue(guard, wait, slot, place, || {})
    }

    /// As [`wait_with`](Self::wait_with) at the end; `between` runs when the caller is on the list, before it sleeps.
    ///
    /// # Errors
    /// As `wait_with`.
    ///
    /// # Waits
    /// Until notified.
    pub fn wait_after<'a>(
        &'a self,
        guard: Locked<'a, S, V>,
        wait: &Wait,
        slot: V,
        between: impl FnOnce(),
    ) -> Result<V, Left<'a, S, V>> {
        self.queue(guard, wait, slot, Place::Last, between)
    }

    fn queue<'a>(
        &'a self,
        mut guard: Locked<'a, S, V>,
        wait: &Wait,
        slot: V,
        place: Place,
        between: impl FnOnce(),
    ) -> Result<V, Left<'a, S, V>> {
        let node = Node::of_caller(slot);
        guard.0.push(&node, place);
        // From here on the node must be off the list before this frame goes (invariant 2). `park` does not unwind, it
        // gives an interruption as a value; `between` is the caller's.
        let unlink = Unlink { list: self, node: &node };
        drop(guard);
        between();
        loop {
            // SYNC: wait_list.notified
            if node.notified.load(Acquire) {
                mem::forget(unlink);
                return Ok(node.slot.into_inner());
            }
            if let Err(interrupt) = park::park(wait) {
                let mut inner = lock(&self.inner);
                mem::forget(unlink);
                if node.linked.get() {
                    inner.unlink(&node);
                    return Err(Left { interrupt, slot: node.slot.into_inner(), guard: Locked(inner) });
                }
                // Notified meanwhile, under the lock that is held now: the result wins.
                return Ok(node.slot.into_inner());
            }
        }
    }

    /// Wakes from the front on as long as `choose`, which may change the state and the waiter's slot, says yes.
    pub fn notify_while<'a>(
        &'a self,
        mut guard: Locked<'a, S, V>,
        mut choose: impl FnMut(&mut S, &mut V) -> bool,
    ) {
        // In batches: waking under the lock would make the woken wait for it.
        loop {
            let mut batch = [const { None }; BATCH];
            let mut count = 0;
            while count < BATCH
                && let Some(unparker) = guard.0.notify_first_if(&mut choose)
            {
                batch[count] = Some(unparker);
                count += 1;
            }
            drop(guard);
            batch.into_iter().flatten().for_each(Unparker::unpark);
            if count < BATCH {
                return;
            }
            guard = self.lock();
        }
    }

    /// Wakes everybody who waits now, with their slots as they are.
    pub fn notify_all(&self) {
        self.notify_all_after(self.lock());
    }

    /// As [`notify_all`](Self::notify_all), by who has the lock already, and gives it back.
    pub fn notify_all_after<'a>(&'a self, mut guard: Locked<'a, S, V>) {
        // Who comes back while the others are woken waits for the next time.
        let mut left = guard.waiters();
        if left <= 1 {
            // Nobody, or one: the common case needs no batch.
            let unparker = guard.0.notify_first_if(|_, _| true);
            drop(guard);
            if let Some(unparker) = unparker {
                unparker.unpark();
            }
            return;
        }
        self.notify_while(guard, |_, _| {
            let chosen = left > 0;
            left -= usize::from(chosen);
            chosen
        });
    }

    /// Wakes the first who waits, if any, with its slot as it is.
    pub fn notify_one(&self) {
        let unparker = self.lock().0.notify_first_if(|_, _| true);
        if let Some(unparker) = unparker {
            unparker.unpark();
        }
    }
}

impl<S> WaitList<S> {
    /// Waits at the end of the list until notified. Gives the notifier's value.
    ///
    /// # Errors
    /// The interruption, not yet delivered. A notification that came first wins.
    ///
    /// # Waits
    /// Until notified.
    pub fn wait<'a>(&'a self, guard: Locked<'a, S>, wait: &Wait) -> Result<usize, Interrupt> {
        self.wait_with(guard, wait, 0, Place::Last).map_err(|left| left.interrupt)
    }
}

impl<S: Default, V> Default for WaitList<S, V> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S, V> fmt::Debug for WaitList<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitList { .. }")
    }
}
