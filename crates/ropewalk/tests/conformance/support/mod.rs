//! Plans for the tasks of a test, what a task waits for, and a source of varied numbers.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ropewalk::{CancelToken, JoinHandle, Runtime, coroutine, thread, timeout};
use ropewalk_sync::park::{Unparker, WaitReason};

#[path = "../../suite/support/watchdog.rs"]
mod watchdog;

pub(crate) use watchdog::guarded;

/// Longer than any test takes: for waits that are expected to be ended by something else.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// How a task is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Coroutine,
    Thread,
}

impl Plan {
    /// A daemon, so that a body that fails ends with its message and not with the watchdog.
    fn spawn<T: Send + 'static>(self, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match self {
            Self::Coroutine => coroutine::Builder::new().daemon(true).spawn(body),
            Self::Thread => thread::Builder::new().daemon(true).spawn(body),
        }
        .expect("a task starts")
    }
}

/// Who plays in a test.
pub(crate) struct Cast {
    name: &'static str,
    workers: usize,
    /// Runs the body.
    body: Plan,
    /// Run its tasks, by turns.
    tasks: &'static [Plan],
}

/// All that a behaviour is tried with.
pub(crate) const CASTS: [Cast; 7] = [
    Cast { name: "coroutines of one worker", workers: 1, body: Plan::Coroutine, tasks: &[Plan::Coroutine] },
    Cast { name: "coroutines of two workers", workers: 2, body: Plan::Coroutine, tasks: &[Plan::Coroutine] },
    Cast { name: "threads", workers: 1, body: Plan::Thread, tasks: &[Plan::Thread] },
    Cast { name: "coroutines, woken by a thread", workers: 1, body: Plan::Thread, tasks: &[Plan::Coroutine] },
    Cast { name: "threads, woken by a coroutine", workers: 1, body: Plan::Coroutine, tasks: &[Plan::Thread] },
    Cast {
        name: "coroutines and threads by turns",
        workers: 2,
        body: Plan::Coroutine,
        tasks: &[Plan::Coroutine, Plan::Thread],
    },
    Cast {
        name: "threads and coroutines by turns",
        workers: 2,
        body: Plan::Thread,
        tasks: &[Plan::Thread, Plan::Coroutine],
    },
];

/// Runs `body` with every cast, in a runtime for each.
#[track_caller]
pub(crate) fn on_every_plan(body: impl Fn(&Plans) + Send + Sync + 'static) {
    guarded(|| {
        let body = Arc::new(body);
        for cast in CASTS {
            let runtime = Runtime::builder().workers(cast.workers).build().expect("a runtime can be built");
            let (body, plans) = (body.clone(), Plans { plans: cast.tasks, spawned: AtomicUsize::new(0) });
            let outcome = runtime.run(|| cast.body.spawn(move || body(&plans)).join());
            if let Err(error) = outcome {
                panic!("with {}: {error}", cast.name);
            }
        }
    });
}

/// The plans of the tasks of one run of a body.
#[derive(Debug)]
pub(crate) struct Plans {
    plans: &'static [Plan],
    spawned: AtomicUsize,
}

impl Plans {
    /// Starts a task, by the next plan.
    pub(crate) fn spawn<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        let turn = self.spawned.fetch_add(1, Relaxed);
        let (tell, told) = mpsc::channel();
        let handle = self.plans[turn % self.plans.len()].spawn(move || {
            tell.send(Unparker::current()).expect("the spawner waits for it");
            body()
        });
        let mut task = None;
        until(|| {
            task = task.take().or_else(|| told.try_recv().ok());
            task.is_some()
        });
        Task { unparker: task.expect("looked at just now"), handle }
    }

    /// Starts a task, and looks until it waits for this reason.
    pub(crate) fn waiting<T: Send + 'static>(
        &self,
        reason: WaitReason,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Task<T> {
        let task = self.spawn(body);
        task.until_waiting(reason);
        task
    }
}

/// How a [`Task`] ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End<T> {
    Returned(T),
    Cancelled,
    Panicked,
}

/// A task that has started.
pub(crate) struct Task<T> {
    unparker: Unparker,
    handle: JoinHandle<T>,
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn id(&self) -> u64 {
        self.handle.id().as_u64()
    }

    pub(crate) fn is_waiting(&self, reason: WaitReason) -> bool {
        self.unparker.waiter().waiting().is_some_and(|waiting| waiting.reason == reason)
    }

    pub(crate) fn until_waiting(&self, reason: WaitReason) {
        until(|| self.is_waiting(reason));
    }

    pub(crate) fn cancel(&self) {
        self.handle.cancel();
    }

    pub(crate) fn attach_to(&self, token: &CancelToken) {
        token.attach(&self.handle);
    }

    /// Wakes it for no reason.
    pub(crate) fn disturb(&self) {
        self.unparker.clone().unpark();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    pub(crate) fn join(self) -> End<T> {
        match self.handle.join() {
            Ok(value) => End::Returned(value),
            Err(error) if error.is_cancelled() => End::Cancelled,
            Err(_) => End::Panicked,
        }
    }

    /// Joins a task that is expected to return.
    #[track_caller]
    pub(crate) fn value(self) -> T {
        self.handle.join().unwrap_or_else(|error| panic!("expected a value: {error}"))
    }
}

/// Looks until `condition` holds, letting others run meanwhile. The test's watchdog ends it if it never does.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        let_others_run();
    }
}

/// Gives the other coroutines of the worker a turn, and the other threads of the machine.
pub(crate) fn let_others_run() {
    coroutine::yield_now();
    std::thread::yield_now();
}

/// Lets `body` unwind because its time is up at its first wait.
#[track_caller]
pub(crate) fn elapse<T>(body: impl FnOnce() -> T) {
    assert!(timeout(Duration::ZERO, body).is_err(), "it waits");
}

/// Lets `wait` be interrupted by a cancellation, and goes on all the same.
#[track_caller]
pub(crate) fn swallow<T>(wait: impl FnOnce() -> T) {
    assert!(catch_unwind(AssertUnwindSafe(wait)).is_err(), "it is cancelled");
}

/// Panics, without a message on the terminal.
pub(crate) fn fail() -> ! {
    std::panic::resume_unwind(Box::new("expected"))
}

/// A reproducible stream of numbers (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}
