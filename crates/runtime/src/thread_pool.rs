//! Threads for work that keeps CPUs busy.
//!
//! See [`Pool`].

use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;

use ropewalk_sync::channel::{self, Receiver, Sender};
use ropewalk_sync::park;

use crate::plan::line::Line;
use crate::plan::scheduling::{Priority, Scheduling};
use crate::plan::thread::create_unchecked;
use crate::runtime;
use crate::scope::{OnFailure, Scope, pool_scope_with};
use crate::task::join::{JoinError, JoinHandle};
use crate::task::{Birth, Owner};
use crate::thread::available_parallelism;

/// As many tasks may wait for a thread, unless told otherwise.
const QUEUE: usize = 10_000;

/// Configures a [`Pool`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct PoolBuilder {
    size: Option<usize>,
    queue: usize,
    name: String,
    stack_size: Option<usize>,
    scheduling: Scheduling,
}

impl PoolBuilder {
    /// How many threads: one for each CPU that this process may use, unless told otherwise. At least one.
    pub fn size(mut self, threads: usize) -> Self {
        self.size = Some(threads.max(1));
        self
    }

    /// How many tasks may wait for a thread, beside those that have one: 10,000 unless told otherwise.
    pub fn queue(mut self, tasks: usize) -> Self {
        self.queue = tasks;
        self
    }

    /// The name of the threads, of which the kernel shows the first 15 bytes: `ropewalk-pool` unless told otherwise.
    pub fn name(mut self, name: String) -> Self {
        self.name = name;
        self
    }

    /// The size of the threads' stacks in bytes; std's (2 MiB) unless told otherwise.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Before whom the kernel runs the threads: see [`thread::Builder::priority`](crate::thread::Builder::priority).
    pub fn priority(mut self, priority: Priority) -> Self {
        self.scheduling.priority = Some(priority);
        self
    }

    /// On which CPUs the kernel runs the threads: see [`thread::Builder::affinity`](crate::thread::Builder::affinity).
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.scheduling.affinity = Some(cpus.into_iter().collect());
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// The kernel starts no thread, or refuses the priority or the CPUs: see
    /// [`thread::Builder::spawn`](crate::thread::Builder::spawn) and [`set_priority`](crate::thread::set_priority).
    ///
    /// # Panics
    /// If the name holds a NUL byte.
    ///
    /// # Waits
    /// Until the threads run.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; there is no pool then.
    pub fn build(self) -> io::Result<Pool> {
        park::check_original()?;
        let size = self.size.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
        // Dropped on every way out but the last, which ends the threads that have been started.
        let pool = Pool { size, line: Arc::new(Line::new(self.queue)) };
        let (tell, told) = channel::bounded(size);
        for _ in 0..size {
            self.start(&pool.line, tell.clone())?;
        }
        drop(tell);
        confirm(&told, size)?;
        Ok(pool)
    }

    fn start(&self, line: &Arc<Line>, tell: Sender<io::Result<()>>) -> io::Result<()> {
        let mut builder = std::thread::Builder::new().name(self.name.clone());
        if let Some(size) = self.stack_size {
            builder = builder.stack_size(size);
        }
        let (server, scheduling) = (line.enter(), self.scheduling.clone());
        builder.spawn(move || {
            let applied = scheduling.apply();
            let serves = applied.is_ok();
            // Nobody listens any more where another one could not start.
            let _ = tell.send(applied);
            if serves {
                server.serve();
            }
        })?;
        Ok(())
    }
}

/// Hears from all threads that they run as they should.
fn confirm(told: &Receiver<io::Result<()>>, size: usize) -> io::Result<()> {
    (0..size).try_for_each(|_| told.recv().map_err(io::Error::other)?)
}

/// A fixed number of threads, one for each CPU, that run one task after the other: for work that keeps CPUs busy.
///
/// A task of a pool is a task of the plan `thread` - the same handle, cancelled at its waits, a panic is a
/// [`JoinError`] - for which no thread is started. More of them than CPUs would only get in each other's way, so they
/// wait in line; and where the line is full, whoever comes is told at once and can shed load.
///
/// ```
/// use ropewalk_runtime::thread_pool::Pool;
///
/// let pool = Pool::new()?;
/// let squares: Vec<_> = (1..=10).map(|n: u64| pool.spawn(move || n * n)).collect::<Result<_, _>>()?;
/// let sum: u64 = squares.into_iter().map(|square| square.join().unwrap()).sum();
/// assert_eq!(sum, 385);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// | for | use | threads | in line |
/// |---|---|---|---|
/// | work that keeps a CPU busy | a `Pool` | one for each CPU | bounded; then an error |
/// | a call that blocks, and uses no CPU meanwhile | [`blocking`](fn@crate::blocking) | as many as there are calls, up to 512 | whoever calls waits |
/// | work that lasts as long as the program | [`thread::spawn`](crate::thread::spawn) | its own | |
/// | one computation on all CPUs, divided again and again | rayon, see the example `rayon` | rayon's | |
///
/// # What a task must not do
/// Wait for another task of the same pool, by a join or a channel: all threads could wait so, and nobody would be left to
/// run what they wait for. [`call`](Self::call) from a task of the pool runs its function right there, and
/// [`scope`](Self::scope) panics there.
///
/// # What a task leaves behind
/// Its thread's `thread_local!` values and priority, and what std calls the thread's name, which is the pool's. Values of
/// [`task_local!`](macro@crate::task_local) are the task's.
///
/// # The end
/// A dropped pool runs the tasks that it was given, and ends its threads then; [`close`](Self::close) waits for that.
/// A task counts as a child of whoever spawned it: `run` waits for it.
pub struct Pool {
    size: usize,
    line: Arc<Line>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("size", &self.size).field("waiting", &self.waiting()).finish()
    }
}

impl Pool {
    /// A pool with a thread for each CPU that this process may use.
    ///
    /// # Errors
    /// As [`PoolBuilder::build`].
    ///
    /// # Waits
    /// As `build`.
    ///
    /// # Cancellation
    /// As `build`.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// How to build one.
    ///
    /// ```
    /// use ropewalk_runtime::thread::Priority;
    /// use ropewalk_runtime::thread_pool::Pool;
    ///
    /// let background = Pool::builder().size(2).queue(100).priority(Priority::Normal(10)).build()?;
    /// assert_eq!(background.call(|| 6 * 7)?, 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn builder() -> PoolBuilder {
        PoolBuilder {
            size: None,
            queue: QUEUE,
            name: "ropewalk-pool".into(),
            stack_size: None,
            scheduling: Scheduling::default(),
        }
    }

    /// How many threads it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many tasks wait for a thread at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Has a thread run `f`, in its turn. One that is cancelled before then never runs; it ends when its turn comes.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): too many tasks wait already. `Unsupported` in a copy that fork(2) made of
    /// a process that runs Ropewalk.
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        park::check_original()?;
        self.line.reserve()?;
        let owner = runtime::current().map(|runtime| -> Arc<dyn Owner> { runtime });
        let counted = owner.clone();
        let birth = Birth { name: None, owner, slot: 0, counted: counted.is_some() };
        // SAFETY: `F` and `T` are 'static.
        let (task, handle) = unsafe { create_unchecked(birth, Location::caller(), f) };
        if let Some(owner) = counted {
            owner.began();
        }
        self.line.push(task.into_job());
        Ok(handle)
    }

    /// Has a thread run `f`, in its turn, while the caller waits: so `f` may borrow. In a task of the pool itself it is run
    /// right there.
    ///
    /// ```
    /// use ropewalk_runtime::thread_pool::Pool;
    ///
    /// let mut numbers = vec![3, 1, 2];
    /// Pool::builder().size(1).build()?.call(|| numbers.sort())?; // a borrow
    /// assert_eq!(numbers, [1, 2, 3]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// `f` panicked, or was cancelled.
    ///
    /// # Panics
    /// In a task of the pool itself, if `f` panics. In a coroutine, in a `no_suspend` region.
    ///
    /// # Waits
    /// Until `f` has returned.
    ///
    /// # Cancellation
    /// Cancels `f`, waits for it, since it borrows, and unwinds. One that still waits for a thread does not run.
    #[track_caller]
    pub fn call<F, T>(&self, f: F) -> Result<T, JoinError>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        if self.line.is_own() {
            return Ok(f());
        }
        self.scope_with(OnFailure::Isolate, |s| s.spawn(f).join())
    }

    /// As [`scope`](fn@crate::scope), with tasks of the pool as children. They wait in line with the others, and are not
    /// counted against its bound.
    ///
    /// ```
    /// use ropewalk_runtime::thread_pool::Pool;
    ///
    /// let pool = Pool::builder().size(2).build()?;
    /// let numbers: Vec<u64> = (1..=100).collect();
    /// let sum: u64 = pool.scope(|s| {
    ///     let parts: Vec<_> = numbers.chunks(10).map(|part| s.spawn(|| part.iter().sum::<u64>())).collect();
    ///     parts.into_iter().map(|part| part.join().unwrap()).sum()
    /// });
    /// assert_eq!(sum, 5050);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `f` panics, with its payload; if a child failed; in a task of the pool itself, which could wait for ever.
    ///
    /// # Waits
    /// Until every child has ended.
    ///
    /// # Cancellation
    /// Cancels the children, waits for them, and unwinds.
    #[track_caller]
    pub fn scope<'env, F, T>(&self, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        self.scope_with(OnFailure::Cancel, f)
    }

    /// As [`scope`](Self::scope), and says what the failure of a child does to the others.
    ///
    /// # Panics
    /// As `scope`; for a child that failed only with [`OnFailure::Cancel`].
    ///
    /// # Waits
    /// Until every child has ended.
    ///
    /// # Cancellation
    /// Cancels the children, waits for them, and unwinds.
    #[track_caller]
    pub fn scope_with<'env, F, T>(&self, on_failure: OnFailure, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
    {
        assert!(
            !self.line.is_own(),
            "a task of a pool opens a scope on that pool: its children could wait for ever behind it"
        );
        pool_scope_with(&self.line, on_failure, f)
    }

    /// Waits until all tasks that the pool was given have ended, and its threads, too.
    ///
    /// # Panics
    /// In a task of the pool itself, which would wait for itself.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the pool goes on as if it had been dropped.
    pub fn close(self) {
        assert!(!self.line.is_own(), "a task of a pool waits for the end of that pool, and so for its own");
        let line = self.line.clone();
        drop(self);
        line.wait_ended();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.line.close();
    }
}
