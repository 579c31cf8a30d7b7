//! What the kernel counts for a thread or a process, and on which CPUs they may run.

use std::io;

use nix::sys::resource::{Usage as ResourceUsage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Counters of a thread or a process, from its start or between two moments.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// CPU time.
    pub(crate) cpu_ns: u64,
    /// How often the kernel switched to another thread because this one waited, or gave the CPU away.
    pub(crate) voluntary: u64,
    /// How often it did because another one was to run.
    pub(crate) involuntary: u64,
}

impl Usage {
    /// Those of the calling thread.
    pub(crate) fn now() -> io::Result<Self> {
        let usage = Self::of(&getrusage(UsageWho::RUSAGE_THREAD)?);
        // Finer than the CPU time of `getrusage`.
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        Ok(Self { cpu_ns: count(cpu.tv_sec) * 1_000_000_000 + count(cpu.tv_nsec), ..usage })
    }

    /// Those of this process, and of its children that have ended and been reaped.
    pub(crate) fn of_process() -> io::Result<Self> {
        let own = Self::of(&getrusage(UsageWho::RUSAGE_SELF)?);
        Ok(own.and(Self::of(&getrusage(UsageWho::RUSAGE_CHILDREN)?)))
    }

    fn of(usage: &ResourceUsage) -> Self {
        let time = |time: TimeVal| count(time.tv_sec()) * 1_000_000_000 + count(time.tv_usec()) * 1_000;
        Self {
            cpu_ns: time(usage.user_time()) + time(usage.system_time()),
            voluntary: count(usage.voluntary_context_switches()),
            involuntary: count(usage.involuntary_context_switches()),
        }
    }

    /// What was counted since `self`.
    pub(crate) fn until(self, later: Self) -> Self {
        Self {
            cpu_ns: later.cpu_ns - self.cpu_ns,
            voluntary: later.voluntary - self.voluntary,
            involuntary: later.involuntary - self.involuntary,
        }
    }

    /// Of two threads together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns + other.cpu_ns,
            voluntary: self.voluntary + other.voluntary,
            involuntary: self.involuntary + other.involuntary,
        }
    }

    /// Every switch away from it.
    pub(crate) fn switches(self) -> u64 {
        self.voluntary + self.involuntary
    }
}

fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// The CPUs that this process may use; at least one.
pub(crate) fn allowed_cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Lets the calling thread use these CPUs only, and with it all threads and processes that it starts from now on.
pub(crate) fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    Ok(sched_setaffinity(None, &set)?)
}

/// Runs `f` on a thread that may use only these CPUs, as may all threads that it starts.
pub(crate) fn pinned<T: Send>(cpus: &[usize], f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || {
            pin(cpus)?;
            f()
        })?;
        thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}
