//! What the machine says of itself, and what comes of it when it is tried.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ropewalk::inspect::{State, TaskInfo};
use ropewalk::{DriverKind, Runtime, coroutine, inspect, process};
use rustix::process::{Resource, getrlimit};

use crate::machine::limits::Limits;

/// Everything that the checks look at. `None` is no limit, or what cannot be read.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Major and minor number of the kernel's release.
    pub(super) kernel: Option<(u32, u32)>,
    /// Which driver a runtime gets, and why not the other one.
    pub(super) driver: DriverKind,
    pub(super) driver_reason: Option<String>,
    /// Whether `ROPEWALK_DRIVER` has chosen it.
    pub(super) driver_forced: bool,
    /// `kernel.io_uring_disabled`.
    pub(super) uring_disabled: Option<u64>,
    /// What came of a function run in a process: how long it took, or why it could not.
    pub(super) process: Result<Duration, String>,
    /// Whether the stack of a coroutine that waits can be read.
    pub(super) stacks_readable: bool,
    /// The kernel's source of time.
    pub(super) clock_source: Option<String>,
    /// The CPUs that this process may use, and the quota of its control group in CPUs.
    pub(super) cpus: usize,
    pub(super) cpu_quota: Option<f64>,
    /// The choice in `/sys/kernel/mm/transparent_hugepage/enabled`.
    pub(super) huge_pages: Option<String>,
    /// `vm.overcommit_memory`.
    pub(super) overcommit: Option<u64>,
    /// `ulimit -v`.
    pub(super) address_space: Option<u64>,
    /// `ulimit -Sn`.
    pub(super) descriptors_soft: Option<u64>,
    pub(super) limits: Limits,
    pub(super) release_build: bool,
}

impl Facts {
    /// Looks and tries.
    pub(super) fn read() -> Self {
        let driver = Runtime::builder().workers(1).build().map(|runtime| runtime.driver().clone());
        let (driver, driver_reason) = match driver {
            Ok(choice) => (choice.kind(), choice.reason().map(str::to_owned)),
            Err(error) => (DriverKind::Epoll, Some(error.to_string())),
        };
        Self {
            kernel: release(&rustix::system::uname().release().to_string_lossy()),
            driver,
            driver_reason,
            driver_forced: std::env::var_os("ROPEWALK_DRIVER").is_some_and(|value| !value.is_empty()),
            uring_disabled: number("/proc/sys/kernel/io_uring_disabled"),
            process: try_process(),
            stacks_readable: try_stack(),
            clock_source: word("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            cpus: rustix::thread::sched_getaffinity(None).map_or(1, |cpus| cpus.count() as usize),
            cpu_quota: cpu_quota(),
            huge_pages: word("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text)),
            overcommit: number("/proc/sys/vm/overcommit_memory"),
            address_space: getrlimit(Resource::As).current,
            descriptors_soft: getrlimit(Resource::Nofile).current,
            limits: Limits::read(),
            release_build: !cfg!(debug_assertions),
        }
    }
}

/// Runs a function in a process.
fn try_process() -> Result<Duration, String> {
    let start = Instant::now();
    let task = process::spawn(|()| std::process::id(), ()).map_err(|error| error.to_string())?;
    match task.join() {
        Ok(id) if id != std::process::id() => Ok(start.elapsed()),
        Ok(_) => Err("the function has run in this process".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads the stack of a coroutine that waits.
fn try_stack() -> bool {
    let Ok(runtime) = Runtime::builder().workers(1).build() else { return false };
    runtime.run(|| {
        let waits = coroutine::spawn(frame_to_be_found);
        let id = waits.task().id();
        while !matches!(waits.task().state(), State::Blocked(_)) {
            coroutine::yield_now();
        }
        let dump = inspect::dump();
        let readable =
            dump.task(id).and_then(TaskInfo::stack).is_some_and(|stack| !stack.frames().is_empty());
        waits.task().unpark();
        waits.join().is_ok() && readable
    })
}

/// A frame that is the program's own: a dump shows no others.
#[inline(never)]
fn frame_to_be_found() {
    coroutine::park();
    std::hint::black_box(());
}

fn word(path: impl AsRef<Path>) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    word(path)?.parse().ok()
}

/// `6.18.5-amd64` is (6, 18).
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The word in brackets: `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// The least quota of the control groups that this process is in, by version 2.
fn cpu_quota() -> Option<f64> {
    let groups = word("/proc/self/cgroup")?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = Path::new("/sys/fs/cgroup");
    let inner = root.join(group.trim_start_matches('/'));
    inner
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(|group| quota(&word(group.join("cpu.max"))?))
        .min_by(f64::total_cmp)
}

/// `150000 100000` is one and a half CPUs, `max 100000` is no quota.
fn quota(cpu_max: &str) -> Option<f64> {
    let (quota, period) = cpu_max.split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        assert_eq!(release("6.18.5-amd64"), Some((6, 18)));
        assert_eq!(release("5.4"), Some((5, 4)));
        assert_eq!(release("nonsense"), None);
        assert_eq!(chosen("always [madvise] never").as_deref(), Some("madvise"));
        assert_eq!(chosen("always"), None);
        assert_eq!(quota("150000 100000"), Some(1.5));
        assert_eq!(quota("max 100000"), None);
    }

    #[test]
    fn this_machine_runs_a_process_and_shows_a_stack() {
        let facts = Facts::read();
        assert!(facts.stacks_readable);
        assert!(facts.kernel.is_some() && facts.cpus > 0);
    }
}
