//! Who waits for an object: first in, first out, each on a node of its own stack.
//!
//! A list guards a piece of state `S` with a short internal lock; a primitive looks at the state under the lock and, if
//! it has to wait, puts itself on the list before it lets go. Nobody waits, wakes or allocates while holding the lock.
//!
//! Each waiter brings a *slot* of type `V`. While it waits the slot belongs to the lock: whoever holds that may look
//! into the slot of the first waiter, take from it, and leave in it what the wait was for. So a message travels straight
//! from one stack to another, and a semaphore knows how much the first in the queue asked for.
//!
//! A list may have several lines, for those who wait for different things of the same object. A waiter can be *held*: moved
//! into another line by somebody who counts on it, which it does not leave before it is notified.
//!
//! A select waits on several lists at once, with a node on each and one [choice](Selecting) for all: who wants to serve it
//! makes the choice first, under the lock of the list, and if somebody else has made it, passes on to the next waiter.
//! It brings no slots.
//!
//! # Invariants
//! 1. A node is linked if and only if its `linked` flag is set; both change only under the lock of its list.
//! 2. A linked node's owner is inside [`WaitList::wait`], one of its sisters, or [`Selecting::with`], and does not return,
//!    nor unwind, before the node is unlinked: so every pointer that the list holds is to a live node.
//! 3. Who unlinks a node to notify it has taken the owner's [`Unparker`] out and touches the node no more once
//!    `notified` is set: from then on the owner may leave. The owner of a select takes the lock before it leaves.
//! 4. The slot of a linked node is touched only under the lock; before and afterwards only by the owner.
//! 5. A slot in a list of `V` is an `UnsafeCell<V>`.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;

use crate::park::{self, Interrupt, Unparker, Wait};
use crate::primitive::{Mutex, MutexGuard, UnsafeCell, const_unless_loom, lock};

mod node;
mod selecting;

pub use self::node::Outcome;
pub use self::selecting::{Selecting, objects_of};

use self::node::{Line, Node};

/// How many are woken between two holdings of the lock.
const BATCH: usize = 16;

/// State under a lock, and the tasks that wait for it to change, in `LINES` lines.
pub struct WaitList<S, V = usize, const LINES: usize = 1> {
    inner: Mutex<Inner<S, V, LINES>>,
}

struct Inner<S, V, const LINES: usize> {
    state: S,
    lines: [Line; LINES],
    _slots: PhantomData<V>,
}

// SAFETY: the pointers are to nodes that outlive their links (invariant 2) and are touched under the lock (invariant 1),
// by whichever thread holds it; what a node holds is an `Unparker`, which is Send, and the slot.
unsafe impl<S: Send, V: Send, const LINES: usize> Send for Inner<S, V, LINES> {}

impl<S, V, const LINES: usize> Inner<S, V, LINES> {
    fn push(&mut self, node: &Node, line: usize, place: Place) {
        node.line.set(line);
        self.lines[line].push(node, place);
    }

    fn unlink(&mut self, node: &Node) {
        self.lines[node.line.get()].unlink(node);
    }

    /// Calls `f` with the state and the slot of a linked node.
    fn with_slot<R>(&mut self, node: &Node, f: impl FnOnce(&mut S, Option<&mut V>) -> R) -> R {
        // SAFETY: invariant 5.
        match unsafe { node.slot::<V>() } {
            // SAFETY: invariant 4: it is linked, and who has `self` holds the lock.
            Some(slot) => slot.with_mut(|slot| f(&mut self.state, Some(unsafe { &mut *slot }))),
            None => f(&mut self.state, None),
        }
    }

    /// Takes the first waiter off the first line if `choose`, which may change the state and the waiter's slot, says so.
    fn notify_first_if(&mut self, choose: impl FnOnce(&mut S, &mut V) -> bool) -> Option<Unparker> {
        let first = self.lines[0].first?;
        // SAFETY: invariant 2: it is linked.
        let node = unsafe { first.as_ref() };
        // Selects come to none of the lists that are served in this way.
        if !self.with_slot(node, |state, slot| slot.is_some_and(|slot| choose(state, slot))) {
            return None;
        }
        self.unlink(node);
        node.notify()
    }

    /// Takes the first waiter that fits off a line, after `serve` has done what it likes with its slot.
    fn serve<R>(
        &mut self,
        line: usize,
        whom: Whom,
        outcome: Outcome,
        serve: impl FnOnce(&mut S, Option<&mut V>) -> R,
    ) -> Option<(R, Option<Unparker>)> {
        // SAFETY: invariant 2: it is linked.
        let node = unsafe { self.claim(line, whom)?.as_ref() };
        let result = self.with_slot(node, serve);
        self.unlink(node);
        node.outcome.set(outcome);
        Some((result, node.notify()))
    }

    /// The first of a line that fits, and that is served nowhere else from now on.
    fn claim(&mut self, line: usize, whom: Whom) -> Option<NonNull<Node>> {
        // Most lines are empty, or begin with somebody who waits for this alone.
        self.lines[line].first?;
        self.lines[line].find(|node| whom.fits(node) && node.claim())
    }
}

/// Who of a line is meant.
#[derive(Clone, Copy, Debug)]
pub struct Whom {
    selects: bool,
    except: *const (),
}

impl Whom {
    /// Everybody.
    pub const ANYBODY: Self = Self { selects: true, except: std::ptr::null() };
    /// Those who wait for this alone.
    pub const PLAIN: Self = Self { selects: false, except: std::ptr::null() };

    /// Not this select.
    #[must_use]
    pub fn except(self, selecting: &Selecting<'_>) -> Self {
        Self { except: selecting.identity(), ..self }
    }

    fn fits(self, node: &Node) -> bool {
        (self.selects || !node.is_choice()) && node.is_open(self.except.cast())
    }
}

/// What became of a waiter that was [met](Locked::meet_first).
#[derive(Debug)]
pub enum Met {
    /// It is held, in the other line.
    Held,
    /// It is a select, and was chosen for. To be unparked, after letting go of the lock.
    Chosen(Option<Unparker>),
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
pub struct Locked<'a, S, V = usize, const LINES: usize = 1>(MutexGuard<'a, Inner<S, V, LINES>>);

impl<S, V, const LINES: usize> Locked<'_, S, V, LINES> {
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

    /// Takes the first in `line` that is meant off it, after `serve` has taken from its slot, or left there, what it likes;
    /// a select has none, and is left `outcome`. The caller unparks it, after letting go of the lock.
    #[must_use = "the waiter sleeps until it is unparked"]
    pub fn serve_first<R>(
        &mut self,
        line: usize,
        whom: Whom,
        outcome: Outcome,
        serve: impl FnOnce(&mut S, Option<&mut V>) -> R,
    ) -> Option<(R, Option<Unparker>)> {
        self.0.serve(line, whom, outcome, serve)
    }

    /// Has the first in `line` that is meant wait in line `to` until it is notified there, whatever interrupts it. A
    /// select is notified instead, with [`Outcome::Served`].
    #[must_use = "the waiter sleeps until it is unparked"]
    pub fn meet_first(&mut self, line: usize, whom: Whom, to: usize) -> Option<Met> {
        // SAFETY: invariant 2: it is linked.
        let node = unsafe { self.0.claim(line, whom)?.as_ref() };
        self.0.unlink(node);
        if node.is_choice() {
            node.outcome.set(Outcome::Served);
            return Some(Met::Chosen(node.notify()));
        }
        node.held.set(true);
        self.0.push(node, to, Place::Last);
        Some(Met::Held)
    }

    /// Whether anybody waits in `line` who is meant.
    #[must_use]
    pub fn has(&self, line: usize, whom: Whom) -> bool {
        self.0.lines[line].find(|node| whom.fits(node)).is_some()
    }

    /// How many are in `line`, with selects that were chosen for elsewhere.
    #[must_use]
    pub fn len_of(&self, line: usize) -> usize {
        self.0.lines[line].len
    }

    /// How many wait in the first line.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.0.lines[0].len
    }

    /// Whether nobody waits in the first line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lines[0].first.is_none()
    }
}

impl<S, V: Copy, const LINES: usize> Locked<'_, S, V, LINES> {
    /// What the first waiter has in its slot.
    #[must_use]
    pub fn first_slot(&self) -> Option<V> {
        // SAFETY: invariant 2: it is linked.
        let node = unsafe { self.0.lines[0].first?.as_ref() };
        // SAFETY: invariant 5.
        let slot = unsafe { node.slot::<V>() }?;
        // SAFETY: invariant 4: it is linked, and `self` holds the lock.
        Some(slot.with(|slot| unsafe { *slot }))
    }
}

impl<S, V, const LINES: usize> std::ops::Deref for Locked<'_, S, V, LINES> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.state
    }
}

impl<S, V, const LINES: usize> std::ops::DerefMut for Locked<'_, S, V, LINES> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0.state
    }
}

/// A wait that was interrupted: the waiter is off the list, and the lock is held since it left.
pub struct Left<'a, S, V, const LINES: usize = 1> {
    /// Why; not yet delivered.
    pub interrupt: Interrupt,
    /// What the waiter brought.
    pub slot: V,
    /// To be let go of before the interruption is delivered.
    pub guard: Locked<'a, S, V, LINES>,
}

/// Takes a node off its list whatever happens (invariant 2).
struct Unlink<'a, S, V, const LINES: usize> {
    list: &'a WaitList<S, V, LINES>,
    node: &'a Node,
}

impl<S, V, const LINES: usize> Drop for Unlink<'_, S, V, LINES> {
    fn drop(&mut self) {
        let mut inner = lock(&self.list.inner);
        if self.node.linked.get() {
            inner.unlink(self.node);
        }
    }
}

impl<S, V, const LINES: usize> WaitList<S, V, LINES> {
    const_unless_loom! {
        /// Nobody waits.
        pub fn new(state: S) -> Self {
            Self { inner: Mutex::new(Inner { state, lines: [Line::EMPTY; LINES], _slots: PhantomData }) }
        }
    }

    /// Locks the state. To be held for a few instructions, never over a wait.
    pub fn lock(&self) -> Locked<'_, S, V, LINES> {
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
        guard: Locked<'a, S, V, LINES>,
        wait: &Wait,
        slot: V,
        place: Place,
    ) -> Result<V, Left<'a, S, V, LINES>> {
        self.queue(guard, wait, slot, (0, place), || {})
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
        guard: Locked<'a, S, V, LINES>,
        wait: &Wait,
        slot: V,
        between: impl FnOnce(),
    ) -> Result<V, Left<'a, S, V, LINES>> {
        self.queue(guard, wait, slot, (0, Place::Last), between)
    }

    /// As [`wait_after`](Self::wait_after), in this line.
    ///
    /// # Errors
    /// As `wait_with`.
    ///
    /// # Waits
    /// Until notified.
    pub fn wait_in<'a>(
        &'a self,
        line: usize,
        guard: Locked<'a, S, V, LINES>,
        wait: &Wait,
        slot: V,
        between: impl FnOnce(),
    ) -> Result<V, Left<'a, S, V, LINES>> {
        self.queue(guard, wait, slot, (line, Place::Last), between)
    }

    fn queue<'a>(
        &'a self,
        mut guard: Locked<'a, S, V, LINES>,
        wait: &Wait,
        slot: V,
        (line, place): (usize, Place),
        between: impl FnOnce(),
    ) -> Result<V, Left<'a, S, V, LINES>> {
        let slot = UnsafeCell::new(slot);
        let node = Node::of_caller(&slot);
        let mut wait = *wait;
        guard.0.push(&node, line, place);
        // From here on the node must be off the list before this frame goes (invariant 2). `park` does not unwind, it
        // gives an interruption as a value; `between` is the caller's.
        let unlink = Unlink { list: self, node: &node };
        drop(guard);
        between();
        loop {
            if node.is_notified() {
                mem::forget(unlink);
                return Ok(slot.into_inner());
            }
            if let Err(interrupt) = park::park(&wait) {
                let mut inner = lock(&self.inner);
                if !node.linked.get() {
                    // Notified meanwhile, under the lock that is held now: the result wins.
                    mem::forget(unlink);
                    return Ok(slot.into_inner());
                }
                if !node.held.get() {
                    mem::forget(unlink);
                    inner.unlink(&node);
                    return Err(Left { interrupt, slot: slot.into_inner(), guard: Locked(inner) });
                }
                // The result is on its way; the interruption comes at the next wait.
                wait = wait.uncancellable().until(None);
            }
        }
    }

    /// Wakes from the front on as long as `choose`, which may change the state and the waiter's slot, says yes.
    pub fn notify_while<'a>(
        &'a self,
        mut guard: Locked<'a, S, V, LINES>,
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

    /// Wakes everybody who waits in `line` now, with their slots as they are and selects with `outcome`.
    pub fn notify_line<'a>(
        &'a self,
        line: usize,
        outcome: Outcome,
        mut guard: Locked<'a, S, V, LINES>,
    ) -> Locked<'a, S, V, LINES> {
        // Who comes back while the others are woken waits for the next time.
        let mut left = guard.len_of(line);
        while left > 0 {
            let mut batch = [const { None }; BATCH];
            let mut count = 0;
            while count < left.min(BATCH)
                && let Some(((), unparker)) = guard.0.serve(line, Whom::ANYBODY, outcome, |_, _| {})
            {
                batch[count] = unparker;
                count += 1;
            }
            drop(guard);
            batch.into_iter().flatten().for_each(Unparker::unpark);
            guard = self.lock();
            left = if count < BATCH { 0 } else { left - count };
        }
        guard
    }

    /// Wakes everybody who waits now, with their slots as they are.
    pub fn notify_all(&self) {
        self.notify_all_after(self.lock());
    }

    /// As [`notify_all`](Self::notify_all), by who has the lock already, and gives it back.
    pub fn notify_all_after<'a>(&'a self, mut guard: Locked<'a, S, V, LINES>) {
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

impl<S: Default, V, const LINES: usize> Default for WaitList<S, V, LINES> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S, V, const LINES: usize> fmt::Debug for WaitList<S, V, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitList { .. }")
    }
}
