//! Tasks on OS threads: the face of `std::thread`, with Ropewalk's handle.
//!
//! See the module of the same name in the crate `ropewalk`.

use std::io;
use std::panic::Location;
use std::sync::Arc;

use ropewalk_sync::park;

use crate::plan::scheduling::Scheduling;
use crate::plan::thread::{NewThread, create_unchecked};
use crate::runtime;
use crate::spawn::{self, Launch, Unstarted};
use crate::task::join::JoinHandle;
use crate::task::{Birth, Owner};

pub use crate::plan::scheduling::{CpuSet, Priority, affinity, priority, set_affinity, set_priority};
pub use crate::task::current::{current, panicking, park, park_timeout};
pub use crate::task::local::{AccessError, LocalKey};
pub use ropewalk_sync::park::{sleep, sleep_until, yield_now};
pub use std::thread::available_parallelism;

/// Configures a thread before it is spawned, as `std::thread::Builder` does.
///
/// ```
/// use ropewalk_runtime::thread;
///
/// let handle = thread::Builder::new().name("adder".into()).stack_size(64 * 1024).spawn(|| 1 + 1)?;
/// assert_eq!(handle.name(), Some("adder"));
/// assert_eq!(handle.join()?, 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) scheduling: Scheduling,
    daemon: bool,
}

impl Builder {
    /// No name, std's stack size (2 MiB, or `RUST_MIN_STACK`), not a daemon.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the thread; the kernel shows the first 15 bytes.
    pub fn name(mut self, name: String) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The size of its stack in bytes. The kernel gives memory only for what is touched.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Before whom the kernel runs the thread; that of the thread that starts it, unless told otherwise. That it must not
    /// have this priority is told by `join` ([`JoinError`](crate::JoinError), whose source says which capability or limit
    /// is missing): then nothing of the function runs.
    ///
    /// ```
    /// use ropewalk_runtime::thread::{self, Priority};
    ///
    /// let background = thread::Builder::new().priority(Priority::Normal(19)).spawn(|| thread::priority())?;
    /// assert_eq!(background.join()??, Priority::Normal(19));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn priority(mut self, priority: Priority) -> Self {
        self.scheduling.priority = Some(priority);
        self
    }

    /// On which CPUs the kernel runs the thread; those of the thread that starts it, unless told otherwise. That this
    /// process has not got all of them is told by `join`, as for [`priority`](Self::priority).
    ///
    /// ```
    /// use ropewalk_runtime::thread;
    ///
    /// let first = thread::affinity()?.into_iter().next();
    /// let pinned = thread::Builder::new().affinity(first).spawn(|| thread::affinity())?;
    /// assert_eq!(pinned.join()??, first.into_iter().collect());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn affinity(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.scheduling.affinity = Some(cpus.into_iter().collect());
        self
    }

    /// A daemon is cancelled when the task that spawned it ends, and the runtime does not wait for it.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Spawns the thread.
    ///
    /// # Errors
    /// The kernel starts no thread: `EAGAIN` where `ulimit -u`, `kernel.threads-max`, `kernel.pid_max`,
    /// `vm.max_map_count` or the cgroup's `pids.max` is reached, or no memory is left for its stack; `Unsupported`
    /// in a copy that fork(2) made of a process that runs Ropewalk.
    ///
    /// # Panics
    /// If the name holds a NUL byte.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (created, handle) = self.prepare(Location::caller(), f)?;
        Box::new(created).start()?;
        Ok(handle)
    }

    /// Creates the thread and does not start it: see [`Unstarted`]. Its parent is who creates it, and it belongs to the
    /// creator's runtime.
    ///
    /// # Errors
    /// `Unsupported` in a copy that fork(2) made of a process that runs Ropewalk. That the kernel starts no thread is
    /// found out by [`Unstarted::start`].
    #[track_caller]
    pub fn create<F, T>(self, f: F) -> io::Result<Unstarted<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (created, handle) = self.prepare(Location::caller(), f)?;
        Ok(Unstarted::new(handle, Box::new(created)))
    }

    fn prepare<F, T>(
        self,
        created_at: &'static Location<'static>,
        f: F,
    ) -> io::Result<(Created<F, T>, JoinHandle<T>)>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        park::check_original()?;
        // A thread needs no runtime; a child of a task of one belongs to it.
        let owner = runtime::current().map(|runtime| -> Arc<dyn Owner> { runtime });
        let counted = owner.clone().filter(|_| !self.daemon);
        let birth = Birth { name: self.name, owner, slot: 0, counted: counted.is_some() };
        // SAFETY: `F` and `T` are 'static.
        let (thread, handle) = unsafe { create_unchecked(birth, created_at, f) };
        if self.daemon {
            spawn::adopt_daemon(&thread.park());
        }
        let (stack_size, scheduling) = (self.stack_size, self.scheduling);
        Ok((Created { thread, counted, stack_size, scheduling }, handle))
    }
}

/// A thread that was created and not started.
struct Created<F, T> {
    thread: NewThread<F, T>,
    /// Who is to wait for it once it has started.
    counted: Option<Arc<dyn Owner>>,
    stack_size: Option<usize>,
    scheduling: Scheduling,
}

impl<F, T> Launch for Created<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn start(self: Box<Self>) -> io::Result<()> {
        self.count();
        self.thread.start(self.stack_size, self.scheduling)
    }

    fn discard(self: Box<Self>) {
        // Its end is told to who counts it.
        self.count();
        self.thread.discard();
    }
}

impl<F, T> Created<F, T> {
    fn count(&self) {
        if let Some(owner) = &self.counted {
            owner.began();
        }
    }
}

/// Runs `f` on a new OS thread.
///
/// ```
/// let handle = ropewalk_runtime::thread::spawn(|| "from a thread");
/// assert_eq!(handle.join().unwrap(), "from a thread");
/// ```
///
/// # Panics
/// If the kernel starts no thread; [`Builder::spawn`] gives the error instead.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("the kernel starts no thread: see `ulimit -u` and `kernel.threads-max`")
}
