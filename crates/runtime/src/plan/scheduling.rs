//! On which CPUs, and before whom, the kernel runs a thread.
//!
//! A new thread sets both for itself before anything of its task runs: there is no other way for all of it (a nice value
//! cannot be given to a thread by its `pthread_t`), and so nobody has to wait for it.

use std::io;

use ropewalk_sync::park;
use ropewalk_sys::scheduling as sys;
pub use ropewalk_sys::scheduling::{CpuSet, Priority};

/// What a thread sets for itself before its task begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scheduling {
    pub(crate) priority: Option<Priority>,
    pub(crate) affinity: Option<CpuSet>,
}

impl Scheduling {
    /// By the new thread.
    pub(crate) fn apply(&self) -> io::Result<()> {
        // First where, since a priority may be what only some CPUs are kept for.
        self.affinity.as_ref().map_or(Ok(()), sys::set_affinity)?;
        self.priority.map_or(Ok(()), sys::set_priority)
    }
}

/// The CPUs that the calling thread may run on; of a coroutine, those of its worker.
///
/// ```
/// use ropewalk_runtime::thread;
///
/// println!("on CPUs {}", thread::affinity()?); // on CPUs 0-3,8
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// None that is known.
pub fn affinity() -> io::Result<CpuSet> {
    sys::affinity()
}

/// Has the calling thread run on these CPUs only: on all of them, or nothing changes. Threads and processes that it starts
/// from now on inherit that.
///
/// ```
/// use ropewalk_runtime::thread;
///
/// thread::spawn(|| {
///     let all = thread::affinity()?;
///     thread::set_affinity(all.iter().take(1))?;
///     assert_eq!(thread::affinity()?.len(), 1);
///     Ok::<(), std::io::Error>(())
/// })
/// .join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput), with a text that names the CPUs, if none is given, or one of them is not
/// there, or is outside of the cpuset of this process's cgroup; [`Unsupported`](io::ErrorKind::Unsupported) in a coroutine:
/// it would change its worker, for all coroutines of it.
pub fn set_affinity(cpus: impl IntoIterator<Item = usize>) -> io::Result<()> {
    refuse_coroutine()?;
    sys::set_affinity(&cpus.into_iter().collect())
}

/// The priority of the calling thread; of a coroutine, that of its worker.
///
/// ```
/// use ropewalk_runtime::thread::{self, Priority};
///
/// if let Priority::Normal(nice) = thread::priority()? {
///     println!("one of many, and {nice} nicer than usual");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported) for a policy that [`Priority`] does not know (`SCHED_DEADLINE`).
pub fn priority() -> io::Result<Priority> {
    sys::priority()
}

/// Gives the calling thread this priority. Threads and processes that it starts from now on inherit it.
///
/// ```
/// use ropewalk_runtime::thread::{self, Priority};
///
/// thread::spawn(|| {
///     thread::set_priority(Priority::Idle)?;
///     assert_eq!(thread::priority()?, Priority::Idle);
///     Ok::<(), std::io::Error>(())
/// })
/// .join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied), with a text that names the capability (`CAP_SYS_NICE`) and the
/// limit (`RLIMIT_NICE`, `RLIMIT_RTPRIO`); [`InvalidInput`](io::ErrorKind::InvalidInput) for a number out of range;
/// [`Unsupported`](io::ErrorKind::Unsupported) in a coroutine: it would change its worker, for all coroutines of it.
pub fn set_priority(priority: Priority) -> io::Result<()> {
    refuse_coroutine()?;
    sys::set_priority(priority)
}

fn refuse_coroutine() -> io::Result<()> {
    if park::is_coroutine() {
        let text = "a coroutine has no CPUs and no priority of its own: its worker has";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    Ok(())
}
