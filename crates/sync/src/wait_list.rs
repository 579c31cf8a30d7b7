//! Who waits for an object: first in, first out, each on a node of its own stack.
//!
//! A list guards a piece of state `S` with a short internal lock; a primitive looks at the state under the lock and, if
//! it has to wait, puts itself on the list before it lets go. Nobody waits, wakes or allocates while holding the lock.
//!
//! # Invariants
//! 1. A node is linked if and only if its `linked` flag is set; both change only under the lock of its list.
//! 2. A linked node's owner is inside [`WaitList::wait`] and does not return, nor unwind, before the node is unlinked:
//!    so every pointer that the list holds is to a live node.
//! 3. Who unlinks a node to notify it has taken the owner's [`Unparker`] out and touches the node no more once
//!    `notified` is set: from then on the owner may leave.

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::ptr::NonNull;

use Ordering::{Acquire, Release};

use crate::park::{self, Interrupt, Unparker, Wait};
use crate::primitive::{AtomicBool, Mutex, MutexGuard, Ordering, lock};

struct Node {
    previous: Cell<Option<NonNull<Node>>>,
    next: Cell<Option<NonNull<Node>>>,
    linked: Cell<bool>,
    unparker: UnsafeCell<Option<Unparker>>,
    value: Cell<usize>,
    notified: AtomicBool,
}

/// State under a lock, and the tasks that wait for it to change.
pub struct WaitList<S> {
    inner: Mutex<Inner<S>>,
}

struct Inner<S> {
    state: S,
    first: Option<NonNull<Node>>,
    last: Option<NonNull<Node>>,
    len: usize,
}

// SAFETY: the pointers are to nodes that outlive their links (invariant 2) and are touched under the lock (invariant 1),
// by whichever thread holds it; a node holds nothing but an `Unparker`, which is Send.
unsafe impl<S: Send> Send for Inner<S> {}

impl<S> Inner<S> {
    fn push(&mut self, node: &Node, front: bool) {
        let pointer = NonNull::from(node);
        node.linked.set(true);
        self.len += 1;
        let neighbour = if front { self.first.replace(pointer) } else { self.last.replace(pointer) };
        // SAFETY: invariant 2, for the neighbour.
        match neighbour.map(|neighbour| unsafe { neighbour.as_ref() }) {
            None => {
                self.first = Some(pointer);
                self.last = Some(pointer);
            }
            Some(next) if front => {
                next.previous.set(Some(pointer));
                node.next.set(Some(NonNull::from(next)));
            }
            Some(previous) => {
                previous.next.set(Some(pointer));
                node.previous.set(Some(NonNull::from(previous)));
            }
        }
    }

    fn unlink(&mut self, node: &Node) {
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

    fn notify_first(&mut self, value: usize) -> Option<Unparker> {
        let first = self.first?;
        // SAFETY: invariant 2: it is linked.
        let node = unsafe { first.as_ref() };
        self.unlink(node);
        node.value.set(value);
        // SAFETY: only who has unlinked the node, under the lock, touches its unparker (invariant 3).
        let unparker = unsafe { (*node.unparker.get()).take() };
        // SYNC: wait_list.notified. What was done under the lock, and the value, is visible to the owner. The last touch.
        node.notified.store(true, Release);
        unparker
    }
}

/// The state of a [`WaitList`], locked.
pub struct Locked<'a, S>(MutexGuard<'a, Inner<S>>);

impl<S> Locked<'_, S> {
    /// Takes the first waiter off the list and hands it `value`. The caller unparks it, after letting go of the lock.
    #[must_use = "the waiter sleeps until it is unparked"]
    pub fn notify_first(&mut self, value: usize) -> Option<Unparker> {
        self.0.notify_first(value)
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

impl<S> std::ops::Deref for Locked<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.state
    }
}

impl<S> std::ops::DerefMut for Locked<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0.state
    }
}

impl<S> WaitList<S> {
    /// Nobody waits.
    pub fn new(state: S) -> Self {
        Self { inner: Mutex::new(Inner { state, first: None, last: None, len: 0 }) }
    }

    /// Locks the state. To be held for a few instructions, never over a wait.
    pub fn lock(&self) -> Locked<'_, S> {
        Locked(lock(&self.inner))
    }

    /// Unwraps the state.
    pub fn into_inner(self) -> S {
        self.inner.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).state
    }

    /// Waits at the end of the list until notified. Gives the notifier's value.
    ///
    /// # Errors
    /// The interruption, not yet delivered. A notification that came first wins.
    ///
    /// # Waits
    /// Until notified.
    pub fn wait(&self, guard: Locked<'_, S>, wait: &Wait) -> Result<usize, Interrupt> {
        self.wait_at(guard, wait, false)
    }

    /// As [`wait`](Self::wait), before all others: for a waiter that was notified and came too late.
    ///
    /// # Errors
    /// As `wait`.
    ///
    /// # Waits
    /// Until notified.
    pub fn wait_first(&self, guard: Locked<'_, S>, wait: &Wait) -> Result<usize, Interrupt> {
        self.wait_at(guard, wait, true)
    }

    fn wait_at(&self, mut guard: Locked<'_, S>, wait: &Wait, front: bool) -> Result<usize, Interrupt> {
        let node = Node {
            previous: Cell::new(None),
            next: Cell::new(None),
            linked: Cell::new(false),
            unparker: UnsafeCell::new(Some(Unparker::current())),
            value: Cell::new(0),
            notified: AtomicBool::new(false),
        };
        // From here to the end nothing unwinds: `park` gives an interruption as a value (invariant 2).
        guard.0.push(&node, front);
        drop(guard);
        loop {
            // SYNC: wait_list.notified
            if node.notified.load(Acquire) {
                return Ok(node.value.get());
            }
            if let Err(interrupt) = park::park(wait) {
                let mut inner = lock(&self.inner);
                if node.linked.get() {
                    inner.unlink(&node);
                    return Err(interrupt);
                }
                // Notified meanwhile, under the lock that is held now: the result wins.
                return Ok(node.value.get());
            }
        }
    }

    /// Wakes everybody who waits now.
    pub fn notify_all(&self) {
        let mut guard = self.lock();
        // Who comes back while the others are woken waits for the next time.
        let mut left = guard.0.len;
        // In batches: waking under the lock would make the woken wait for it.
        while left > 0 && !guard.is_empty() {
            let mut batch = [const { None }; 16];
            let count = left.min(batch.len());
            batch[..count].fill_with(|| guard.notify_first(0));
            left -= count;
            drop(guard);
            batch.into_iter().flatten().for_each(Unparker::unpark);
            guard = self.lock();
        }
    }

    /// Wakes the first who waits, if any.
    pub fn notify_one(&self) {
        let unparker = self.lock().notify_first(0);
        if let Some(unparker) = unparker {
            unparker.unpark();
        }
    }
}

impl<S: Default> Default for WaitList<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S> fmt::Debug for WaitList<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitList { .. }")
    }
}
