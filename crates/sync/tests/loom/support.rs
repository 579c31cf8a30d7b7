//! Bounded exploration, cancellable threads, and tasks that sleep as coroutines do.

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};

use ropewalk_sync::park::{
    self, Interest, Park, ThreadParker, Unparker, Unwind, Wait, WaitReason, Waiter, Watched, word::Sleep,
};

pub(crate) fn model(body: impl Fn() + Send + Sync + 'static) {
    explore(3, body);
}

pub(crate) fn explore(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(body);
}

pub(crate) fn wait() -> Wait {
    Wait::new(WaitReason::Sleep)
}

/// A thread that can be cancelled.
pub(crate) struct Task<T> {
    parker: Arc<ThreadParker>,
    thread: JoinHandle<Option<T>>,
}

impl<T: 'static> Task<T> {
    pub(crate) fn spawn(body: impl FnOnce() -> T + 'static) -> Self {
        let parker = Arc::new(ThreadParker::new());
        let own = parker.clone();
        let thread = thread::spawn(move || {
            own.bind();
            park::adopt_thread(own);
            // Kept out of the frames that unwind, so that nothing is dropped on the way.
            let body = Cell::new(Some(body));
            let end = catch_unwind(AssertUnwindSafe(|| (body.take().expect("called once"))()));
            end.map_err(|payload| assert_eq!(Unwind::from_payload(&*payload), Some(Unwind::Cancelled))).ok()
        });
        Self { parker, thread }
    }

    pub(crate) fn cancel(&self) {
        self.parker.waiter().request_cancel();
        let parker: Arc<ThreadParker> = self.parker.clone();
        Unparker::of(parker).unpark();
    }

    /// What it returned, unless it was cancelled.
    pub(crate) fn join(self) -> Option<T> {
        self.thread.join().unwrap()
    }
}

/// A task that sleeps as a coroutine does: off its thread, until somebody resumes it, who does so exactly once.
pub(crate) struct Suspendable {
    waiter: Waiter,
    resumed: Mutex<Option<bool>>,
    bell: Condvar,
}

impl Suspendable {
    /// Makes the calling thread such a task while `body` runs.
    pub(crate) fn run(body: impl FnOnce()) {
        let task: Arc<dyn Park> =
            Arc::new(Self { waiter: Waiter::new(true), resumed: Mutex::new(None), bell: Condvar::new() });
        let pointer = NonNull::new(Arc::as_ptr(&task).cast_mut());
        // SAFETY: the Arc lives beyond the second call, and this thread runs the task.
        unsafe { park::enter(pointer, None) };
        body();
        // SAFETY: as above.
        unsafe { park::enter(None, None) };
    }
}

// SAFETY: (1) the panics of a failed model end the process; (2) `run` keeps the Arc while the task is current.
unsafe impl Park for Suspendable {
    fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    fn sleep(&self, _deadline: Option<Instant>) {
        if !self.waiter.word().fall_asleep(Sleep::Suspended) {
            return;
        }
        let mut resumed = self.resumed.lock().unwrap();
        while resumed.is_none() {
            resumed = self.bell.wait(resumed).unwrap();
        }
        *resumed = None;
        drop(resumed);
        assert!(self.waiter.word().wake_up(), "it was resumed, so it was called");
    }

    fn yield_now(&self) {
        thread::yield_now();
    }

    fn resume(self: Arc<Self>) {
        let before = self.resumed.lock().unwrap().replace(true);
        assert_eq!(before, None, "it is in the ready queue twice");
        self.bell.notify_one();
    }

    fn into_waker(self: Arc<Self>) -> Waker {
        // SAFETY: it borrows nothing.
        unsafe { park::waker_of(self) }
    }

    fn watch(&self, _fd: BorrowedFd<'_>, _source: &Arc<dyn Watched>) -> io::Result<()> {
        Ok(())
    }

    fn poll(&self, _fd: BorrowedFd<'_>, _interest: Interest, _deadline: Option<Instant>) -> io::Result<()> {
        unreachable!("it is a coroutine")
    }
}
