//! Watchdog, and cancellable threads.

use std::any::Any;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use ropewalk_sync::park::{
    self, Interest, Park, ThreadParker, Unparker, Unwind, WaitReason, Waiter, Watched,
};

/// After so long a test that is not finished hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs `body` on a thread of its own and fails if it does not end.
pub(crate) fn watched<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = channel::<()>();
    let thread = thread::spawn(move || {
        let _done = done;
        body()
    });
    match is_done.recv_timeout(LIMIT) {
        Err(RecvTimeoutError::Timeout) => panic!("not finished after {LIMIT:?}: it hangs"),
        _ => thread.join().unwrap_or_else(|payload| resume_unwind(payload)),
    }
}

/// Looks until `condition` holds; the watchdog is the test's.
pub(crate) fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// How a [`Task`] ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End<T> {
    Returned(T),
    Cancelled,
    Panicked(String),
}

/// What a thread of ours waits with, and how often it slept.
struct Parker {
    thread: ThreadParker,
    sleeps: AtomicUsize,
}

// SAFETY: everything is left to the thread's own parker, which keeps the rules; `Task::spawn` makes this one current on
// its own thread, which keeps the Arc.
unsafe impl Park for Parker {
    fn waiter(&self) -> &Waiter {
        self.thread.waiter()
    }

    fn sleep(&self, deadline: Option<Instant>) {
        self.sleeps.fetch_add(1, Relaxed);
        self.thread.sleep(deadline);
    }

    fn yield_now(&self) {
        self.thread.yield_now();
    }

    fn resume(self: Arc<Self>) {
        self.thread.interrupt();
    }

    fn into_waker(self: Arc<Self>) -> Waker {
        // SAFETY: it borrows nothing.
        unsafe { park::waker_of(self) }
    }

    fn watch(&self, fd: BorrowedFd<'_>, source: &Arc<dyn Watched>) -> io::Result<()> {
        self.thread.watch(fd, source)
    }

    fn poll(&self, fd: BorrowedFd<'_>, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        self.thread.poll(fd, interest, deadline)
    }
}

/// A thread that can be cancelled.
pub(crate) struct Task<T> {
    parker: Arc<Parker>,
    thread: thread::JoinHandle<Result<T, Box<dyn Any + Send>>>,
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(body: impl FnOnce() -> T + Send + 'static) -> Self {
        let parker = Arc::new(Parker { thread: ThreadParker::new(), sleeps: AtomicUsize::new(0) });
        let own = parker.clone();
        let thread = thread::spawn(move || {
            own.thread.bind();
            park::adopt_thread(own);
            catch_unwind(AssertUnwindSafe(body))
        });
        Self { parker, thread }
    }

    /// Spawned, and it waits for this reason.
    pub(crate) fn waiting(reason: WaitReason, body: impl FnOnce() -> T + Send + 'static) -> Self {
        let task = Self::spawn(body);
        task.until_waiting(reason);
        task
    }

    pub(crate) fn until_waiting(&self, reason: WaitReason) {
        until(|| self.parker.waiter().waiting().is_some_and(|waiting| waiting.reason == reason));
    }

    /// Until it has gone to sleep so many times.
    pub(crate) fn until_asleep(&self, times: usize) {
        until(|| self.parker.sleeps.load(Relaxed) >= times);
    }

    pub(crate) fn cancel(&self) {
        self.parker.waiter().request_cancel();
        self.disturb();
    }

    /// Wakes it for no reason.
    pub(crate) fn disturb(&self) {
        let parker: Arc<Parker> = self.parker.clone();
        Unparker::of(parker).unpark();
    }

    pub(crate) fn join(self) -> End<T> {
        match self.thread.join().expect("the body's unwind is caught") {
            Ok(value) => End::Returned(value),
            Err(payload) => match Unwind::from_payload(&*payload) {
                Some(Unwind::Cancelled) => End::Cancelled,
                Some(other) => End::Panicked(format!("{other:?}")),
                None => End::Panicked(message(&*payload)),
            },
        }
    }

    /// Joins a task that is expected to return.
    pub(crate) fn value(self) -> T
    where
        T: std::fmt::Debug,
    {
        match self.join() {
            End::Returned(value) => value,
            end => panic!("expected a value: {end:?}"),
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
