//! What a list holds of a waiter: a node on the waiter's stack.
//!
//! See the invariants of the [module above](super).

use std::cell::Cell;
use std::ptr::{self, NonNull};

use Ordering::Relaxed;

use crate::park::Unparker;
use crate::primitive::{AtomicBool, AtomicUsize, Ordering, UnsafeCell};

/// What an operation of a select was chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something is kept ready for it.
    Served,
    /// Nothing will ever come any more.
    Closed,
}

/// A select's choice among its operations: made once, by whoever comes first.
pub(super) struct Choice {
    /// [`OPEN`], [`GIVEN_UP`], or which operation it is.
    made: AtomicUsize,
    /// For who makes it.
    unparker: Cell<Option<Unparker>>,
}

const OPEN: usize = usize::MAX;
const GIVEN_UP: usize = usize::MAX - 1;

impl Choice {
    pub(super) fn of_caller() -> Self {
        Self { made: AtomicUsize::new(OPEN), unparker: Cell::new(Some(Unparker::current())) }
    }

    /// `Relaxed`: who chooses holds the lock of the list of the chosen node, and who was chosen for takes that lock.
    fn make(&self, choice: usize) -> bool {
        self.made.compare_exchange(OPEN, choice, Relaxed, Relaxed).is_ok()
    }

    /// Its owner: chooses nothing. `false` if it was chosen for before.
    pub(super) fn give_up(&self) -> bool {
        self.make(GIVEN_UP)
    }

    /// Which operation was chosen.
    pub(super) fn made(&self) -> Option<usize> {
        let made = self.made.load(Relaxed);
        (made < GIVEN_UP).then_some(made)
    }

    fn is_open(&self) -> bool {
        self.made.load(Relaxed) == OPEN
    }
}

/// Takes a node off the list at this address, if it is still there.
type Leave = unsafe fn(list: *const (), node: &Node);

/// One waiter in one line.
#[repr(C)]
pub(super) struct Node {
    /// An operation of a select: the address of what it waits for. First, for who looks from outside.
    pub(super) object: Cell<usize>,
    pub(super) previous: Cell<Option<NonNull<Self>>>,
    pub(super) next: Cell<Option<NonNull<Self>>>,
    /// The number of its line.
    pub(super) line: Cell<usize>,
    pub(super) linked: Cell<bool>,
    /// Somebody counts on its owner, who does not leave before he is notified.
    pub(super) held: Cell<bool>,
    /// An operation of a select: what it was chosen for.
    pub(super) outcome: Cell<Outcome>,
    /// Somebody who waits for this alone: to wake him.
    unparker: Cell<Option<Unparker>>,
    /// Somebody who waits for this alone: an `UnsafeCell<V>`, `V` being that of the list. Else null.
    slot: *const (),
    /// An operation of a select: its choice, and which operation it is.
    choice: Cell<Option<NonNull<Choice>>>,
    index: Cell<usize>,
    /// An operation of a select: how it leaves its list, and the list.
    pub(super) leave: Cell<Option<(Leave, *const ())>>,
    notified: AtomicBool,
}

impl Node {
    fn new(slot: *const (), unparker: Option<Unparker>) -> Self {
        Self {
            object: Cell::new(0),
            previous: Cell::new(None),
            next: Cell::new(None),
            line: Cell::new(0),
            linked: Cell::new(false),
            held: Cell::new(false),
            outcome: Cell::new(Outcome::Served),
            unparker: Cell::new(unparker),
            slot,
            choice: Cell::new(None),
            index: Cell::new(0),
            leave: Cell::new(None),
            notified: AtomicBool::new(false),
        }
    }

    /// Of the calling task, which waits for this alone.
    pub(super) fn of_caller<V>(slot: &UnsafeCell<V>) -> Self {
        Self::new(ptr::from_ref(slot).cast(), Some(Unparker::current()))
    }

    /// Of an operation of a select; [`join`](Self::join) says of which.
    pub(super) fn of_select() -> Self {
        Self::new(ptr::null(), None)
    }

    /// Before it is linked: it is this operation of the select that chooses by `choice`.
    pub(super) fn join(&self, choice: &Choice, index: usize) {
        self.choice.set(Some(NonNull::from(choice)));
        self.index.set(index);
    }

    /// The slot; `None` for an operation of a select.
    ///
    /// # Safety
    /// `V` is that of the list that the node is in (invariant 5).
    pub(super) unsafe fn slot<V>(&self) -> Option<&UnsafeCell<V>> {
        // SAFETY: the caller's promise, and invariant 2: the slot lives as long as the node is linked.
        unsafe { self.slot.cast::<UnsafeCell<V>>().as_ref() }
    }

    /// Whether this is an operation of a select.
    pub(super) fn is_choice(&self) -> bool {
        self.choice.get().is_some()
    }

    fn choice(&self) -> Option<&Choice> {
        // SAFETY: invariant 2 holds for the choice as for the node: they are parts of the same select.
        self.choice.get().map(|choice| unsafe { choice.as_ref() })
    }

    /// Whether its owner can still be served here: he is nobody's yet, and not `except`.
    pub(super) fn is_open(&self, except: *const Choice) -> bool {
        self.choice().is_none_or(|choice| !ptr::eq(choice, except) && choice.is_open())
    }

    /// Whether its owner is served here, and nowhere else from now on.
    pub(super) fn claim(&self) -> bool {
        self.choice().is_none_or(|choice| choice.make(self.index.get()))
    }

    /// After it was unlinked to be notified: marks it so, and gives what wakes its owner. The last touch.
    pub(super) fn notify(&self) -> Option<Unparker> {
        let unparker = match self.choice() {
            Some(choice) => choice.unparker.take(),
            None => self.unparker.take(),
        };
        // SYNC: wait_list.notified. What was done under the lock, and the slot, is visible to the owner. The last touch.
        self.notified.store(true, Ordering::Release);
        unparker
    }

    /// Owner: whether it was notified.
    pub(super) fn is_notified(&self) -> bool {
        // SYNC: wait_list.notified
        self.notified.load(Ordering::Acquire)
    }
}

/// A line of waiters, first in, first out.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) first: Option<NonNull<Node>>,
    last: Option<NonNull<Node>>,
    pub(super) len: usize,
}

impl Line {
    pub(super) const EMPTY: Self = Self { first: None, last: None, len: 0 };

    /// Links the node. It must be in no line, and stay where it is until it is unlinked (invariant 2).
    pub(super) fn push(&mut self, node: &Node, place: super::Place) {
        let pointer = NonNull::from(node);
        node.linked.set(true);
        self.len += 1;
        let neighbour = match place {
            super::Place::First => self.first.replace(pointer),
            super::Place::Last => self.last.replace(pointer),
        };
        // SAFETY: invariant 2, for the neighbour.
        match neighbour.map(|neighbour| unsafe { neighbour.as_ref() }) {
            None => {
                self.first = Some(pointer);
                self.last = Some(pointer);
            }
            Some(next) if place == super::Place::First => {
                next.previous.set(Some(pointer));
                node.next.set(Some(NonNull::from(next)));
            }
            Some(previous) => {
                previous.next.set(Some(pointer));
                node.previous.set(Some(NonNull::from(previous)));
            }
        }
    }

    /// Unlinks the node, which is in this line.
    pub(super) fn unlink(&mut self, node: &Node) {
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

    /// The first node that `fits`.
    pub(super) fn find(&self, fits: impl Fn(&Node) -> bool) -> Option<NonNull<Node>> {
        let mut next = self.first;
        while let Some(pointer) = next {
            // SAFETY: invariant 2: it is linked.
            let node = unsafe { pointer.as_ref() };
            if fits(node) {
                return Some(pointer);
            }
            next = node.next.get();
        }
        None
    }
}
