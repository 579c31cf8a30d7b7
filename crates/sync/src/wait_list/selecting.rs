//! Waiting on several lists at once.

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};
use std::ptr;

use super::node::{Choice, Node, Outcome};
use super::{Locked, Place, WaitList};
use crate::park::{self, Interrupt, Wait};
use crate::primitive::lock;

/// One select that waits: a node for each of its operations, and the choice among them. What it waits for lives as long as
/// `'a`.
#[repr(C)]
pub struct Selecting<'a> {
    nodes: *const Node,
    count: usize,
    choice: Choice,
    /// Invariant: a list that lives shorter than `'a` is none of its lists.
    _lists: PhantomData<Cell<&'a ()>>,
}

impl<'a> Selecting<'a> {
    /// Calls `body` with a select of so many operations, which is on no list any more when this returns or unwinds. Up to
    /// 16 operations take no memory but the stack's.
    pub fn with<R>(operations: usize, body: impl FnOnce(&Self) -> R) -> R {
        match operations {
            0..=4 => Self::over(&std::array::from_fn::<_, 4, _>(|_| Node::of_select())[..operations], body),
            5..=16 => Self::over(&std::array::from_fn::<_, 16, _>(|_| Node::of_select())[..operations], body),
            _ => {
                let nodes: Vec<Node> = (0..operations).map(|_| Node::of_select()).collect();
                Self::over(&nodes, body)
            }
        }
    }

    fn over<R>(nodes: &[Node], body: impl FnOnce(&Self) -> R) -> R {
        let selecting = Self {
            nodes: nodes.as_ptr(),
            count: nodes.len(),
            choice: Choice::of_caller(),
            _lists: PhantomData,
        };
        // Nobody can move it from here on: `body` has a reference, and it is dropped in this frame.
        body(&selecting)
    }

    fn nodes(&self) -> &[Node] {
        // SAFETY: they are those of the caller of `over`, who keeps them while this lives.
        unsafe { std::slice::from_raw_parts(self.nodes, self.count) }
    }

    /// Which select this is.
    pub(super) fn identity(&self) -> *const () {
        ptr::from_ref(&self.choice).cast()
    }

    /// Puts operation `index` into a line of `list`, unless `is_ready`, which looks under the lock, says that it need not
    /// wait: then `false`. `object` is what it shows as what it waits for.
    #[must_use]
    pub fn enlist<S, V, const LINES: usize>(
        &self,
        index: usize,
        object: usize,
        list: &'a WaitList<S, V, LINES>,
        line: usize,
        is_ready: impl FnOnce(&Locked<'a, S, V, LINES>) -> bool,
    ) -> bool {
        let node = &self.nodes()[index];
        assert!(node.leave.get().is_none(), "an operation waits on one list");
        let mut guard = list.lock();
        if is_ready(&guard) {
            return false;
        }
        node.object.set(object);
        node.join(&self.choice, index);
        node.leave.set(Some((leave::<S, V, LINES>, ptr::from_ref(list).cast())));
        guard.0.push(node, line, Place::Last);
        true
    }

    /// Shows operation `index` as one that waits for `object`, though it is on no list: time will tell.
    pub fn show(&self, index: usize, object: usize) {
        self.nodes()[index].object.set(object);
    }

    /// Waits until an operation is chosen, and takes all off their lists. Which it is, and what for.
    ///
    /// # Errors
    /// The interruption, not yet delivered: then nothing was chosen.
    ///
    /// # Waits
    /// Until an operation is chosen.
    pub fn wait(&self, wait: &Wait) -> Result<(usize, Outcome), Interrupt> {
        while self.choice.made().is_none() {
            if let Err(interrupt) = park::park(wait)
                && self.choice.give_up()
            {
                self.leave();
                return Err(interrupt);
            }
        }
        Ok(self.chosen().expect("the loop ends when the choice is made"))
    }

    /// Ends it before it waits. If an operation was chosen all the same: which, and what for.
    #[must_use]
    pub fn give_up(&self) -> Option<(usize, Outcome)> {
        if self.choice.give_up() {
            self.leave();
            return None;
        }
        self.chosen()
    }

    /// Takes all operations off their lists, after the choice was made.
    fn chosen(&self) -> Option<(usize, Outcome)> {
        let index = self.choice.made();
        // Under the lock of its list, which who made the choice held: now that is over, and its outcome is there.
        self.leave();
        index.map(|index| (index, self.nodes()[index].outcome.get()))
    }

    fn leave(&self) {
        for node in self.nodes() {
            if let Some((leave, list)) = node.leave.take() {
                // SAFETY: `enlist` has set both for a list that lives as long as `'a`, which does not end before this does.
                unsafe { leave(list, node) };
            }
        }
    }
}

impl Drop for Selecting<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Takes `node` off its list, if it is still there.
///
/// # Safety
/// `list` is the address of a live `WaitList<S, V, LINES>`, and the node is linked there or nowhere.
unsafe fn leave<S, V, const LINES: usize>(list: *const (), node: &Node) {
    // SAFETY: the caller's promise.
    let list = unsafe { &*list.cast::<WaitList<S, V, LINES>>() };
    let mut inner = lock(&list.inner);
    if node.linked.get() {
        inner.unlink(node);
    }
}

/// The addresses of what the select at `address` waits for, as `read` finds them in the memory of this process: it fills a
/// buffer from an address, and says whether it could. At most `limit`. What comes back is true if that select has waited all
/// the time.
pub fn objects_of(
    address: usize,
    limit: usize,
    mut read: impl FnMut(usize, &mut [u8]) -> bool,
) -> Vec<usize> {
    let mut word = |address: usize| {
        let mut bytes = [0; size_of::<usize>()];
        read(address, &mut bytes).then(|| usize::from_ne_bytes(bytes))
    };
    let nodes = word(address.wrapping_add(offset_of!(Selecting<'static>, nodes)));
    let count = word(address.wrapping_add(offset_of!(Selecting<'static>, count)));
    let (Some(nodes), Some(count)) = (nodes, count) else { return Vec::new() };
    let object = |index: usize| nodes.wrapping_add(index * size_of::<Node>() + offset_of!(Node, object));
    (0..count.min(limit)).map_while(|index| word(object(index))).filter(|&object| object != 0).collect()
}
