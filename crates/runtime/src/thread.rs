//! Tasks on OS threads: the face of `std::thread`, with Ropewalk's handle.
//!
//! See the module of the same name in the crate `ropewalk`.

use std::io;
use std::panic::Location;
use std::sync::Arc;

use ropewalk_sync::park;

use crate::plan::thread::spawn_unchecked;
use crate::task::Birth;
use crate::task::join::JoinHandle;
use crate::{runtime, spawn};

pub use crate::task::current::current;
pub use ropewalk_sync::park::{sleep, sleep_until, yield_now};

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
    name: Option<Arc<str>>,
    stack_size: Option<usize>,
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
        park::check_original()?;
        let daemon = self.daemon;
        // A thread needs no runtime; a child of a task of one belongs to it.
        let birth = match runtime::current() {
            Some(runtime) => spawn::birth(self.name, runtime, !daemon),
            None => Birth { name: self.name, ..Birth::default() },
        };
        // SAFETY: `F` and `T` are 'static.
        unsafe {
            spawn_unchecked(
                birth,
                self.stack_size,
                Location::caller(),
                |task| {
                    if daemon {
                        spawn::adopt_daemon(task);
                    }
                },
                f,
            )
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
