//! What a scope and its children share, and what the end of a child does.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

use ropewalk_sync::park::{self, Interrupt, Park, Unparker, Unwind, Wait, WaitReason};
use ropewalk_sync::wait_list::WaitList;

use super::OnFailure;
use crate::plan::line::Line;
use crate::runtime;
use crate::scheduler::shared::Shared;
use crate::task::{Failure, Owner, cancel};

#[derive(Default)]
struct Children {
    running: usize,
    slots: Vec<Option<Weak<dyn Park>>>,
    free: Vec<u32>,
    cancelled: bool,
}

/// What a scope and its children share.
pub(super) struct ScopeData {
    children: WaitList<Children>,
    parent: Unparker,
    /// The parent's: where the children, and theirs, run.
    pub(super) runtime: Option<Arc<Shared>>,
    /// Where the children wait for a thread, if they run in a pool.
    line: Option<Arc<Line>>,
    on_failure: OnFailure,
    /// The first failure was dealt with.
    failed: AtomicBool,
    /// In how many shields of the parent's the scope stands: those do not keep a failure from the block.
    shields: u32,
    /// By when the block is to be over: its children inherit that.
    pub(super) deadline: Option<Instant>,
    /// It has ended a child. The block hears of it then, too, even if it has not looked at the clock since.
    late: AtomicBool,
}

impl ScopeData {
    /// Of a scope that the calling task opens.
    pub(super) fn open(on_failure: OnFailure, line: Option<Arc<Line>>) -> Self {
        let (shields, deadline) = park::current(|waiter, _| (waiter.shields(), waiter.timeout_deadline()));
        Self {
            children: WaitList::default(),
            parent: Unparker::current(),
            runtime: runtime::current(),
            line,
            on_failure,
            failed: AtomicBool::new(false),
            shields,
            deadline,
            late: AtomicBool::new(false),
        }
    }

    /// Counts a child that is about to start, and gives it a place.
    pub(super) fn enter(&self) -> u32 {
        let mut children = self.children.lock();
        children.running += 1;
        children.free.pop().unwrap_or_else(|| {
            children.slots.push(None);
            u32::try_from(children.slots.len() - 1).expect("fewer children than memory")
        })
    }

    pub(super) fn introduce(&self, slot: u32, child: &Arc<dyn Park>) {
        let mut children = self.children.lock();
        children.slots[slot as usize] = Some(Arc::downgrade(child));
        if children.cancelled {
            drop(children);
            cancel(child.clone());
        }
    }

    pub(super) fn cancel_all(&self) {
        let mut children = self.children.lock();
        children.cancelled = true;
        let live: Vec<_> = children.slots.iter().flatten().filter_map(Weak::upgrade).collect();
        drop(children);
        live.into_iter().for_each(cancel);
        if self.line.is_some() {
            // Who waits for the end has something to do.
            self.children.notify_all();
        }
    }

    /// Waits until every child is done. Gives the first interruption that came meanwhile: it cancels the children, and
    /// is for the caller to deliver.
    pub(super) fn wait_all(&self) -> Option<Interrupt> {
        let mut interrupted = None;
        loop {
            let mut children = self.children.lock();
            if let Some(line) = self.line.as_ref().filter(|_| children.cancelled) {
                drop(children);
                line.discard(std::ptr::from_ref(self).cast());
                children = self.children.lock();
            }
            if children.running == 0 {
                let late = self.late.load(Relaxed);
                return interrupted.or_else(|| late.then_some(Interrupt::Raise(Unwind::Elapsed)));
            }
            let mut wait = Wait::new(WaitReason::ScopeEnd).object(self);
            if interrupted.is_some() {
                wait = wait.uncancellable();
            }
            if let Err(interrupt) = self.children.wait(children, &wait) {
                interrupted = Some(interrupt);
                self.cancel_all();
            }
        }
    }
}

impl ScopeData {
    /// A child failed: unless another one did before, calls `first`, cancels the others and interrupts the block.
    pub(super) fn fail(&self, first: impl FnOnce()) {
        // Children that a failure, or the scope's own end, has cancelled are no failures of their own.
        if self.children.lock().cancelled || self.failed.swap(true, Relaxed) {
            return;
        }
        first();
        self.parent.waiter().fail_scope(self.shields);
        self.cancel_all();
        self.parent.clone().unpark();
    }

    /// Whether a child has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// The block, after its children have ended: whether one had failed.
    pub(super) fn end(&self) -> bool {
        let failed = self.has_failed();
        if failed {
            self.parent.waiter().end_failed_scope(self.shields);
        }
        failed
    }
}

impl Owner for ScopeData {
    fn began(&self) {}

    fn ended(&self, slot: u32, failure: Option<Failure>) {
        match (failure, self.on_failure) {
            // Relaxed: it is seen after the lock of the children, like all that a child has done.
            (Some(Failure::Elapsed), _) => self.late.store(true, Relaxed),
            (Some(Failure::Panicked), OnFailure::Isolate) => {
                tracing::error!("a task of a scope panicked; the others go on");
            }
            (Some(_), OnFailure::Cancel) => self.fail(|| ()),
            (None | Some(Failure::Cancelled), _) => {}
        }
        let mut children = self.children.lock();
        children.slots[slot as usize] = None;
        children.free.push(slot);
        children.running -= 1;
        let parent = if children.running == 0 { children.notify_first(0) } else { None };
        drop(children);
        if let Some(parent) = parent {
            parent.unpark();
        }
    }

    fn runtime(self: Arc<Self>) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(self.runtime.clone()?)
    }
}
