//! What a process can tell about its tasks.
//!
//! [`dump`] lists every task: what it does or waits for, who spawned it and where, and its stack. It stops nobody. [`statistics`]
//! counts. [`deadlocks`] finds tasks that wait for each other. [`on_blocked`] tells of workers that one coroutine holds up,
//! [`on_exposed`] of thread-locals that are left set over a wait. For a program that hangs, [`dump_on_sigquit`] prints the
//! list when the process is sent `SIGQUIT` (Ctrl-\ in a terminal).
//!
//! ```
//! use ropewalk_runtime::{coroutine, inspect};
//!
//! ropewalk_runtime::run(|| {
//!     let (_sender, receiver) = ropewalk_sync::channel::bounded::<()>(1);
//!     let waiter = coroutine::Builder::new().name("waiter".into()).spawn(move || receiver.recv())?;
//!     coroutine::yield_now();
//!     let dump = inspect::dump();
//!     let task = dump.task(waiter.id()).expect("it has not ended");
//!     assert_eq!(task.name(), Some("waiter"));
//!     println!("{dump}"); // "1 coroutine Blocked for ..: receiving from an empty channel ..", with its stack
//!     waiter.cancel();
//!     # Ok::<(), std::io::Error>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod collect;
mod sigquit;
mod standstill;
mod task;
mod text;
mod wait_for;

use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropewalk_sync::park;
use ropewalk_sys::context;

use crate::runtime;
use crate::task::join::TaskId;

pub use self::sigquit::dump_on_sigquit;
pub use self::standstill::Standstill;
pub use self::wait_for::Deadlock;
pub use crate::hooks::detector::{ExposedStack, on_exposed};
pub use crate::monitor::{Activity, BlockedWorker, blocked_workers, on_blocked};
pub use crate::stack_trace::{Frame, StackTrace};
pub use crate::task::state::{Blocked, Death, State};
pub use ropewalk_sync::park::WaitReason;

/// Counts since the process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// How often a worker switched to a coroutine.
    pub coroutine_switches: u64,
    /// How often a coroutine had to switch away while it unwound: see `docs/soundness.md`.
    pub unwinding_switches: u64,
}

/// The counts of this process.
#[must_use]
pub fn statistics() -> Statistics {
    Statistics {
        coroutine_switches: runtime::coroutine_switches(),
        unwinding_switches: park::unwinding_switches(),
    }
}

/// Lists the tasks of this process: coroutines of all runtimes, threads that were spawned by Ropewalk and run, and other
/// threads that have waited for something of Ropewalk's and live.
///
/// Each task is looked at by itself while the others go on, so the list is no picture of one moment. A task that was
/// there all the time is listed; one that came or went meanwhile may be. The stack of a task that waits is copied from
/// outside, and the task notices nothing of it. One that runs - a coroutine, or a thread that Ropewalk has spawned - is
/// interrupted by a signal for some microseconds, 100 ms are spent on all of them at most, and what C code in it may notice
/// stands in `docs/soundness.md`. The stacks of [`STACKS_MAX`] tasks are taken at most, those with the lowest numbers.
///
/// It takes a few microseconds for each task with a stack. Names for the calls are found when a stack is shown. The first
/// time the program's debug information is read for it, which takes seconds where that is hundreds of megabytes: a coroutine shows a dump in [`blocking`](crate::blocking()), so that its neighbours
/// need not wait.
///
/// # Waits
/// Where a worker has coroutines that have not started: for its answer which ones, 100 ms at most, and not at all in a region
/// that forbids it. A worker that does not answer is held up by a coroutine that never waits: [`WorkerInfo::unlisted`]
/// says how many it keeps back.
///
/// # Cancellation
/// As every wait.
#[must_use]
pub fn dump() -> Dump {
    collect::dump(context::here())
}

/// The tasks of this process that wait for each other in circles, as a [`dump`] tells them, without the rest: it reads no
/// stack, interrupts nobody and never waits, so a program may look every second whether all is well.
#[must_use]
pub fn deadlocks() -> Vec<Deadlock> {
    collect::deadlocks()
}

/// How many of the things that a select waits for a [`dump`] tells.
pub const OBJECTS_MAX: usize = 64;

/// Of how many tasks a [`dump`] takes the stacks.
pub const STACKS_MAX: usize = 10_000;

/// The tasks of a process, as [`dump`] found them. Its `Display` is a text for people: tasks that are alike (plan, state,
/// place of spawn, stack) are one entry with a count, the largest first. Before them stand a standstill and deadlocks, if there are
/// any, each deadlock with its tasks.
#[derive(Clone, Debug)]
pub struct Dump {
    taken_at: Instant,
    tasks: Vec<TaskInfo>,
    workers: Vec<WorkerInfo>,
    deadlocks: Vec<Deadlock>,
    standstill: Option<Standstill>,
}

impl Dump {
    /// When it was taken.
    #[must_use]
    pub fn taken_at(&self) -> Instant {
        self.taken_at
    }

    /// All tasks, by their numbers.
    #[must_use]
    pub fn tasks(&self) -> &[TaskInfo] {
        &self.tasks
    }

    /// The task with this number.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&TaskInfo> {
        let place = self.tasks.binary_search_by_key(&id, |task| task.id).ok()?;
        self.tasks.get(place)
    }

    /// The workers of all runtimes.
    #[must_use]
    pub fn workers(&self) -> &[WorkerInfo] {
        &self.workers
    }

    /// The tasks that wait for each other in circles; no task is in two. Those that [`deadlocks`] finds.
    #[must_use]
    pub fn deadlocks(&self) -> &[Deadlock] {
        &self.deadlocks
    }

    /// If everything waits, and nothing that is known can wake it: what there is to say of that. `None` also where a worker
    /// has not [answered](WorkerInfo::answered).
    ///
    /// ```
    /// use ropewalk_runtime::{Runtime, coroutine, inspect};
    /// use ropewalk_sync::channel;
    ///
    /// Runtime::builder().workers(1).build()?.run(|| {
    ///     let (sender, receiver) = channel::unbounded::<()>();
    ///     let waiter = coroutine::spawn(move || receiver.recv());
    ///     let standstill = loop {
    ///         coroutine::yield_now();
    ///         if let Some(standstill) = inspect::dump().standstill() {
    ///             break standstill.clone();
    ///         }
    ///     };
    ///     // This one has a sender, and there is nobody else.
    ///     assert_eq!(standstill.looker(), Some(coroutine::current().id()));
    ///     assert_eq!((standstill.waiting(), standstill.strangers().len()), (1, 0));
    ///     drop(sender);
    ///     assert!(waiter.join().unwrap().is_err());
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn standstill(&self) -> Option<&Standstill> {
        self.standstill.as_ref()
    }
}

/// How a task is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Plan {
    /// On a stack of its own, by a worker.
    Coroutine,
    /// By the kernel.
    Thread,
}

/// One task.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    id: TaskId,
    name: Option<Arc<str>>,
    plan: Plan,
    state: State,
    objects: Vec<usize>,
    worker: Option<u32>,
    spawned_at: Option<&'static Location<'static>>,
    parent: Option<TaskId>,
    stack: Option<StackTrace>,
}

impl TaskInfo {
    /// Its number, unique in the process.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The name that it was given; of a thread that was not spawned by Ropewalk, the name that the kernel knows.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How it is run.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// What it does. A task that has ended is in no list.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The addresses of what it waits for: several in a select, of which the first [`OBJECTS_MAX`] are told.
    #[must_use]
    pub fn objects(&self) -> &[usize] {
        &self.objects
    }

    /// The number of the worker that it belongs to; `None` for a thread, and for a coroutine that has not started.
    #[must_use]
    pub fn worker(&self) -> Option<u32> {
        self.worker
    }

    /// Where it was spawned; `None` for a thread that was not spawned by Ropewalk.
    #[must_use]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.spawned_at
    }

    /// The task that spawned it, which may have ended; `None` if that was a thread that had never waited for anything of
    /// Ropewalk's.
    #[must_use]
    pub fn parent(&self) -> Option<TaskId> {
        self.parent
    }

    /// Its stack. `None` for a task that has not begun, or that moved while it was looked at; for a thread of somebody else's
    /// that runs; for a task that runs and could not be interrupted; beyond the first [`STACKS_MAX`]; and where the kernel
    /// forbids `process_vm_readv(2)`.
    #[must_use]
    pub fn stack(&self) -> Option<&StackTrace> {
        self.stack.as_ref()
    }
}

/// One worker: a thread that runs coroutines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its number, unique in the process, from 1.
    pub number: u32,
    /// The coroutine that it runs.
    pub running: Option<TaskId>,
    /// How often it has switched to a coroutine.
    pub switches: u64,
    /// Whether it told in time what is in its queue. If not, coroutines that have not started may be missing in the list.
    pub answered: bool,
    /// How many are in its queue and not in the list, because it did not answer.
    pub unlisted: usize,
}

/// How long a dump waits for the workers' answers.
const ANSWER_LIMIT: Duration = Duration::from_millis(100);
