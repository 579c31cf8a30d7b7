//! What the kernel counts for a thread, and on which CPUs it may run.

use std::io;

use nix::sys::resource::{UsageWho, getrusage};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Counters of a thread, from its start or between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu_ns: u64,
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
}

impl Usage {
    /// Those of the calling thread.
    pub(super) fn now() -> io::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(Self {
            cpu_ns: count(cpu.tv_sec) * 1_000_000_000 + count(cpu.tv_nsec),
            voluntary: count(usage.voluntary_context_switches()),
            involuntary: count(usage.involuntary_context_switches()),
        })
    }

    /// What was counted since `self`.
    pub(super) fn until(self, later: Self) -> Self {
        Self {
            cpu_ns: later.cpu_ns - self.cpu_ns,
            voluntary: later.voluntary - self.voluntary,
            involuntary: later.involuntary - self.involuntary,
        }
    }

    /// Of two threads together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns + other.cpu_ns,
            voluntary: self.voluntary + other.voluntary,
            involuntary: self.involuntary + other.involuntary,
        }
    }

    pub(super) fn switches(self) -> u64 {
        self.voluntary + self.involuntary
    }
}

/// The CPUs that this process may use; at least one.
pub(super) fn allowed_cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Runs `f` on a thread that may use only these CPUs, as may all threads that it starts.
pub(super) fn pinned<T: Send>(cpus: &[usize], f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || {
            sched_setaffinity(None, &set)?;
            f()
        })?;
        thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}
