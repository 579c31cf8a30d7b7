//! A runtime: its workers, its start and its end.
//!
//! # The end, in order
//! 1. The function given to [`Runtime::run`] returns, or panics.
//! 2. It waits for every task that is no daemon, coroutine or thread.
//! 3. The runtime closes: each worker cancels the coroutines that are left, all daemons, and goes on running them while
//!    they unwind, for [`Builder::shutdown_limit`] at most. What has not ended then is leaked with its stack.
//! 4. The workers' threads end, and `run` returns.

use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak, mpsc};
use std::time::Duration;

use ropewalk_sync::chance;
use ropewalk_sync::clock::{self, Clock};
use ropewalk_sync::park;
use ropewalk_sys::limits;

use crate::driver::{self, DriverChoice, DriverKind};
use crate::hooks::{Hooks, SwitchHook, detector};
use crate::monitor;
use crate::plan::coroutine::create_unchecked;
use crate::scheduler::core::Ready;
use crate::scheduler::remote::Remote;
use crate::scheduler::schedule::Schedule;
use crate::scheduler::shared::Shared;
use crate::scheduler::worker::Worker;
use crate::spawn;
use crate::stack;
use crate::task::Birth;

/// How long the end of a runtime waits for its daemons, unless told otherwise.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
/// The first coroutine's stack where the main thread's has no limit, and at most.
const FIRST_STACK: usize = 8 << 20;
const FIRST_STACK_MAX: usize = 64 << 20;

/// Configures a [`Runtime`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    workers: Option<usize>,
    driver: Option<DriverKind>,
    shutdown_limit: Duration,
    clock: Clock,
    schedule: Schedule,
    monitor: Option<Duration>,
    hooks: Hooks,
    detector: Option<bool>,
}

impl Builder {
    /// How many workers, that is threads, run the coroutines: one for each CPU that the process may use, unless told
    /// otherwise; one with virtual time or a seeded schedule. At least one.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers.max(1));
        self
    }

    /// Forces a driver. Without it `ROPEWALK_DRIVER=uring|epoll` does, else io_uring is used where it works.
    pub fn driver(mut self, driver: DriverKind) -> Self {
        self.driver = Some(driver);
        self
    }

    /// How long the end of the runtime waits for daemons that were cancelled: 5 seconds unless told otherwise.
    pub fn shutdown_limit(mut self, limit: Duration) -> Self {
        self.shutdown_limit = limit;
        self
    }

    /// By which clock its coroutines live: [`Clock::Real`] unless told otherwise.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ropewalk_runtime::{Clock, Runtime, coroutine};
    /// use ropewalk_sync::clock;
    ///
    /// let runtime = Runtime::builder().clock(Clock::Virtual).build()?;
    /// let passed = runtime.run(|| {
    ///     let start = clock::now();
    ///     coroutine::sleep(Duration::from_secs(3600)); // no time at all
    ///     clock::now() - start
    /// });
    /// assert_eq!(passed, Duration::from_secs(3600));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Which of the coroutines that can run runs next: [`Schedule::Fair`] unless told otherwise.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Has a thread look for workers of which one coroutine keeps the others waiting for longer than `limit`: see
    /// [`inspect::on_blocked`](crate::inspect::on_blocked). Without it `ROPEWALK_MONITOR=100ms` does, else nobody looks. 10
    /// milliseconds at least. It costs nothing at a switch; the thread wakes up twice in each `limit`.
    pub fn monitor(mut self, limit: Duration) -> Self {
        self.monitor = Some(limit);
        self
    }

    /// Calls `hook` whenever a worker of the runtime goes into a coroutine, and out of it: see [`hooks`](crate::hooks). Several
    /// are called in the order in which they were given, and out of the coroutine in the opposite one.
    pub fn switch_hook(mut self, hook: impl SwitchHook) -> Self {
        self.hooks.add(hook);
        self
    }

    /// Looks, whenever a coroutine leaves its worker, whether a `thread_local!` points into its stack: the sign of code that
    /// keeps a thread-local set over a wait, the one hole in `docs/soundness.md`. Findings are told to
    /// [`inspect::on_exposed`](crate::inspect::on_exposed) and `tracing`. Without it `ROPEWALK_DETECTOR=1` asks for it. For tests and for
    /// a look at a new library: every switch takes longer.
    pub fn detector(mut self, on: bool) -> Self {
        self.detector = Some(on);
        self
    }

    /// Prepares the runtime: chooses the driver, opens what the workers need. Starts no thread yet.
    ///
    /// # Errors
    /// The driver that is forced does not work here; `ROPEWALK_DRIVER` is neither `uring` nor `epoll`; no descriptor
    /// is left (`ulimit -n`); virtual time or a seeded schedule and more than one worker are asked for; this process is a
    /// copy that fork(2) made of one that runs Ropewalk. A monitor that cannot start is missing without an error.
    pub fn build(mut self) -> io::Result<Runtime> {
        park::check_original()?;
        park::remember_original();
        let driver = driver::choose(self.driver)?;
        let workers = self.worker_count()?;
        let mut remotes = Vec::with_capacity(workers);
        let mut queues = Vec::with_capacity(workers);
        for place in 0..u32::try_from(workers).map_err(io::Error::other)? {
            let queue = crossbeam_deque::Worker::new_fifo();
            remotes.push(Arc::new(Remote::new(place, queue.stealer())?));
            queues.push(queue);
        }
        if self.detector.unwrap_or_else(detector::is_asked_for) {
            self.hooks.add_detector();
        }
        let remotes = remotes.into();
        let shared = Shared::new(remotes, driver, self.shutdown_limit, self.clock, self.schedule, self.hooks);
        let shared = Arc::new(shared);
        register(&shared);
        if let Some(limit) = self.monitor.or_else(monitor::limit_of_environment) {
            monitor::watch(&shared, limit);
        }
        Ok(Runtime { shared, queues })
    }

    fn worker_count(&self) -> io::Result<usize> {
        let simulated = match (self.clock, self.schedule) {
            (Clock::Virtual, _) => "virtual time needs",
            (_, Schedule::Seeded(_)) => "a seeded schedule needs",
            _ => return Ok(self.workers.unwrap_or_else(limits::available_parallelism)),
        };
        match self.workers {
            None | Some(1) => Ok(1),
            Some(workers) => {
                let text = format!("{simulated} a single worker, and {workers} were asked for");
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
        }
    }
}

/// Workers that run coroutines.
///
/// ```
/// use ropewalk_runtime::{Runtime, coroutine};
///
/// let runtime = Runtime::builder().workers(2).build()?;
/// let sum = runtime.run(|| {
///     let parts: Vec<_> = (0..10).map(|i| coroutine::spawn(move || i)).collect();
///     parts.into_iter().map(|part| part.join().unwrap()).sum::<i32>()
/// });
/// assert_eq!(sum, 45);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Runtime {
    shared: Arc<Shared>,
    /// Of unstarted coroutines, one for each worker.
    queues: Vec<crossbeam_deque::Worker<Ready>>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("workers", &self.queues.len()).field("driver", self.driver()).finish()
    }
}

impl Runtime {
    /// How to build one.
    pub fn builder() -> Builder {
        Builder {
            workers: None,
            driver: None,
            shutdown_limit: SHUTDOWN_LIMIT,
            clock: Clock::default(),
            schedule: Schedule::default(),
            monitor: None,
            hooks: Hooks::default(),
            detector: None,
        }
    }

    /// The driver that its workers use, and why.
    #[must_use]
    pub fn driver(&self) -> &DriverChoice {
        &self.shared.driver
    }

    /// Runs `f` as the first coroutine, on this very thread, which is a worker until the end. Its stack is as large as
    /// the main thread's (`ulimit -s`). Returns what `f` returned, after every task that is no daemon has ended.
    ///
    /// # Panics
    /// If `f` panics, with its payload, after the other tasks have ended; if it is called from a coroutine; if a worker
    /// cannot start, because the kernel gives no thread, no descriptor for its driver, or no memory for the first stack.
    ///
    /// # Waits
    /// Until the runtime has ended.
    #[track_caller]
    pub fn run<F, T>(self, f: F) -> T
    where
        F: FnOnce() -> T,
    {
        let in_coroutine = park::is_coroutine();
        assert!(!in_coroutine, "run was called from a coroutine: spawn one instead");
        let Self { shared, queues } = self;
        let _clock = clock::enter(shared.clock);
        let _lots = seed(&shared).map(chance::enter);
        let mut queues = queues.into_iter().zip(shared.remotes.iter().cloned());
        let (queue, remote) = queues.next().expect("a runtime has at least one worker");
        let started = Worker::new(shared.clone(), remote, queue)
            .map_err(|error| explain_driver(&error))
            .and_then(|worker| Ok((worker, start_workers(&shared, queues)?)));
        let (worker, threads) = started.unwrap_or_else(|error| panic!("ropewalk: {error}"));

        let usable = limits::stack_size().map_or(FIRST_STACK, |size| size.min(FIRST_STACK_MAX));
        let slot_size = stack::slot_size(Some(usable.saturating_sub(stack::GUARD + stack::FRAME)));
        let birth = Birth { name: Some("main".into()), owner: Some(shared.clone()), ..Birth::default() };
        let body = || {
            let result = catch_unwind(AssertUnwindSafe(f));
            shared.wait_ended();
            shared.close();
            result
        };
        // SAFETY: it runs on this thread, and ends before `run_until_closed` returns.
        let (first, handle) =
            unsafe { create_unchecked(shared.clone(), birth, slot_size, Location::caller(), body) };
        worker.push_local(first);
        if handle.is_finished() {
            // There was no memory for its stack, so it will not close the runtime.
            shared.close();
        }
        worker.run_until_closed();
        for WorkerThread { thread, ended } in threads {
            // The kernel lets no thread end before its ring's operations have; on a disk that does not answer that is never.
            if ended.recv() != Ok(Ended { with_operations: true }) {
                // A worker panics only if its driver fails, and then it has said so.
                let _ = thread.join();
            }
        }
        match handle.join() {
            Ok(Ok(value)) => value,
            Ok(Err(payload)) => resume_unwind(payload),
            Err(error) => panic!("the first coroutine did not run: {error}"),
        }
    }

    /// Starts all workers on threads of their own, for ever.
    fn run_in_background(self) -> io::Result<Arc<Shared>> {
        let Self { shared, queues } = self;
        start_workers(&shared, queues.into_iter().zip(shared.remotes.iter().cloned()))?;
        Ok(shared)
    }
}

/// The thread of a worker.
struct WorkerThread {
    thread: std::thread::JoinHandle<()>,
    /// Told when the worker has ended.
    ended: mpsc::Receiver<Ended>,
}

/// How a worker has ended.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    /// The kernel still makes operations for coroutines that it has left behind.
    with_operations: bool,
}

/// With what the worker of a simulated runtime draws lots, so that its runs can be repeated.
fn seed(shared: &Shared) -> Option<u64> {
    match (shared.schedule, shared.clock) {
        (Schedule::Seeded(seed), _) => Some(seed),
        (Schedule::Fair, Clock::Virtual) => Some(0),
        (Schedule::Fair, Clock::Real) => None,
    }
}

/// Starts workers on threads of their own, and waits until each has opened its driver. If one cannot, none goes on.
fn start_workers(
    shared: &Arc<Shared>,
    queues: impl Iterator<Item = (crossbeam_deque::Worker<Ready>, Arc<Remote>)>,
) -> io::Result<Vec<WorkerThread>> {
    let (tell, told) = mpsc::channel();
    let mut threads = Vec::new();
    let mut outcome = Ok(());
    for (queue, remote) in queues {
        let (shared, tell) = (shared.clone(), tell.clone());
        let (tell_end, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name(format!("ropewalk-{}", remote.number()));
        let started = thread.spawn(move || match Worker::new(shared, remote, queue) {
            Ok(worker) => {
                let _ = tell.send(Ok(()));
                drop(tell);
                worker.run_until_closed();
                let with_operations = worker.has_operations();
                drop(worker);
                let _ = tell_end.send(Ended { with_operations });
            }
            Err(error) => drop(tell.send(Err(explain_driver(&error)))),
        });
        match started {
            Ok(thread) => threads.push(WorkerThread { thread, ended }),
            Err(error) => {
                let text = format!("the kernel starts no thread for a worker ({error}): raise `ulimit -u`");
                outcome = Err(io::Error::new(error.kind(), text));
                break;
            }
        }
    }
    drop(tell);
    for result in told {
        outcome = outcome.and(result);
    }
    if outcome.is_err() {
        shared.close();
        for worker in threads.drain(..) {
            let _ = worker.thread.join();
        }
    }
    outcome.map(|()| threads)
}

fn explain_driver(error: &io::Error) -> io::Error {
    let text =
        format!("a worker cannot open its driver ({error}): raise `ulimit -n`, or ask for fewer workers");
    io::Error::new(error.kind(), text)
}

/// Runs `f` as the first coroutine of a new runtime with a worker for each CPU: what `main` usually does. See
/// [`Runtime::run`].
///
/// ```
/// use ropewalk_runtime::coroutine;
///
/// let answer = ropewalk_runtime::run(|| coroutine::spawn(|| 42).join().unwrap());
/// assert_eq!(answer, 42);
/// ```
///
/// # Panics
/// As [`Runtime::run`]; also if the runtime cannot be built: [`Builder::build`] gives the error instead.
///
/// # Waits
/// Until the runtime has ended.
#[track_caller]
pub fn run<F, T>(f: F) -> T
where
    F: FnOnce() -> T,
{
    match Runtime::builder().build() {
        Ok(runtime) => runtime.run(f),
        Err(error) => panic!("ropewalk: no runtime can be built: {error}"),
    }
}

/// The runtime for tasks spawned here: the spawner's own, else the global one, which starts now if it has not.
pub(crate) fn current_or_global() -> io::Result<Arc<Shared>> {
    if let Some(runtime) = current() {
        return Ok(runtime);
    }
    static GLOBAL: OnceLock<Arc<Shared>> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(global) = GLOBAL.get() {
        return Ok(global.clone());
    }
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(global) = GLOBAL.get() {
        return Ok(global.clone());
    }
    let shared = Runtime::builder().build()?.run_in_background()?;
    Ok(GLOBAL.get_or_init(|| shared).clone())
}

/// The runtime of the task that calls, if it has one.
pub(crate) fn current() -> Option<Arc<Shared>> {
    spawn::current_runtime()?.downcast().ok()
}

static RUNTIMES: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());
/// Of runtimes that are gone.
static PAST_SWITCHES: AtomicU64 = AtomicU64::new(0);

fn register(shared: &Arc<Shared>) {
    let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
    runtimes.retain(|runtime| runtime.strong_count() > 0);
    runtimes.push(Arc::downgrade(shared));
}

impl Drop for Shared {
    fn drop(&mut self) {
        PAST_SWITCHES.fetch_add(self.switches(), Relaxed);
    }
}

/// The runtimes of this process.
pub(crate) fn all() -> Vec<Arc<Shared>> {
    let runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
    runtimes.iter().filter_map(Weak::upgrade).collect()
}

/// How often coroutines were resumed in this process.
pub(crate) fn coroutine_switches() -> u64 {
    let alive: u64 = all().iter().map(|runtime| runtime.switches()).sum();
    alive + PAST_SWITCHES.load(Relaxed)
}
