//! One token's place in the tree: what is attached to it, and what becomes of that.

use std::convert::Infallible;
use std::error::Error;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use Ordering::{Acquire, Release};

use crate::channel::{self, Receiver, Sender};
use crate::park::{self, Park, Unparker, Wait, WaitReason};
use crate::primitive::{AtomicBool, Ordering};
use crate::wait_list::WaitList;

/// Why a token was cancelled, if whoever did it has said so.
pub(super) type Cause = Option<Arc<dyn Error + Send + Sync>>;

/// A place in the tree of tokens.
pub(super) struct Node {
    /// Set under the lock, once.
    cancelled: AtomicBool,
    pub(super) waiters: WaitList<Inner>,
    /// For selects, once one has asked.
    receiver: OnceLock<Receiver<Infallible>>,
    /// The one above, and the place there.
    parent: Option<(Arc<Self>, usize)>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) cause: Cause,
    /// Children and blocks, which give their places back.
    places: Vec<Option<Attached>>,
    free: Vec<usize>,
    /// Tasks, which do not.
    tasks: Vec<Weak<dyn Park>>,
    /// What keeps the receiver connected until the cancellation.
    sender: Option<Sender<Infallible>>,
}

pub(super) enum Attached {
    Child(Weak<Node>),
    Block(Block),
}

/// A piece of a task's stack that is to unwind: see [`CancelToken::run`](super::CancelToken::run).
pub(super) struct Block {
    pub(super) task: Unparker,
    /// In how many shields of the task's it stands.
    pub(super) shields: u32,
}

impl Inner {
    pub(super) fn attach(&mut self, attached: Attached) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(attached);
        place
    }

    pub(super) fn detach(&mut self, place: usize) -> Option<Attached> {
        // The places of a cancelled token are gone already.
        let attached = self.places.get_mut(place)?.take();
        self.free.push(place);
        attached
    }

    pub(super) fn attach_task(&mut self, task: Weak<dyn Park>) {
        if self.tasks.len() == self.tasks.capacity() {
            self.tasks.retain(|task| task.strong_count() > 0);
            // As many again before the next sweep.
            self.tasks.reserve(self.tasks.len().max(4));
        }
        self.tasks.push(task);
    }
}

impl Node {
    pub(super) fn new(parent: Option<(Arc<Self>, usize)>, cancelled: bool, cause: Cause) -> Self {
        let inner = Inner { cause, ..Inner::default() };
        Self {
            cancelled: AtomicBool::new(cancelled),
            waiters: WaitList::new(inner),
            receiver: OnceLock::new(),
            parent,
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        // SYNC: cancel_token.cancelled
        self.cancelled.load(Acquire)
    }

    /// Cancels this node alone, with those who wait for it and the tasks. Gives what else was attached to it; nothing, if
    /// it was cancelled before.
    pub(super) fn cancel(&self, cause: &Cause) -> Vec<Attached> {
        let mut inner = self.waiters.lock();
        if self.is_cancelled() {
            return Vec::new();
        }
        // SYNC: cancel_token.cancelled. What was done before is visible to whoever sees it.
        self.cancelled.store(true, Release);
        let Inner { places, tasks, sender, .. } =
            std::mem::replace(&mut *inner, Inner { cause: cause.clone(), ..Inner::default() });
        let attached: Vec<_> = places.into_iter().flatten().collect();
        for attached in &attached {
            if let Attached::Block(block) = attached {
                // Under the lock, which the block takes at its end: so it knows whether this has happened.
                block.task.waiter().fail_scope(block.shields);
            }
        }
        self.waiters.notify_all_after(inner);
        drop(sender);
        for task in tasks.iter().filter_map(Weak::upgrade) {
            cancel_task(task);
        }
        attached
    }

    /// Waits until it is cancelled; or until the moment that `deadline` gives, if it has to wait: then `false`.
    #[track_caller]
    pub(super) fn wait_until(&self, deadline: impl FnOnce() -> Option<Instant>) -> bool {
        park::spend();
        let inner = self.waiters.lock();
        if self.is_cancelled() {
            return true;
        }
        let wait = Wait::new(WaitReason::TokenWait).object(self).until(deadline());
        match self.waiters.wait(inner, &wait) {
            Ok(_) => true,
            Err(interrupt) => {
                let _ = interrupt.deliver();
                // It may have been cancelled since the time was up.
                self.is_cancelled()
            }
        }
    }

    pub(super) fn receiver(&self) -> &Receiver<Infallible> {
        self.receiver.get_or_init(|| {
            let (sender, receiver) = channel::bounded(0);
            let mut inner = self.waiters.lock();
            let not_needed = if self.is_cancelled() { Some(sender) } else { inner.sender.replace(sender) };
            drop((inner, not_needed));
            receiver
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One after the other: a long line of them must not take a stack as long.
        let mut above = self.parent.take();
        while let Some((parent, place)) = above {
            let child = parent.waiters.lock().detach(place);
            drop(child);
            above = Arc::into_inner(parent).and_then(|mut parent| parent.parent.take());
        }
    }
}

/// Asks a task to end, as its handle does.
fn cancel_task(task: Arc<dyn Park>) {
    task.waiter().request_cancel();
    Unparker::of(task).unpark();
}
