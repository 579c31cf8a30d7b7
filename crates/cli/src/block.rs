//! The process control block, as far as Linux shows it: in `/proc/PID`, and on the clock of a process's CPU time.

use std::{fs, io};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// The kernel stack of one thread on x86-64 and aarch64.
const KERNEL_STACK_BYTES: u64 = 16 * 1024;

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// CPU time, user and system, in microseconds.
    pub(crate) cpu_us: u64,
    /// Times a thread of it gave up the CPU to wait.
    pub(crate) voluntary_switches: u64,
    /// Times the kernel took the CPU from a thread of it.
    pub(crate) involuntary_switches: u64,
    /// Page faults served without a disk.
    pub(crate) minor_faults: u64,
    /// Page faults that read from a disk.
    pub(crate) major_faults: u64,
}

/// The process control block of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// What it is for.
    pub(crate) role: String,
    /// Its id.
    pub(crate) pid: u32,
    /// Its parent's id.
    pub(crate) parent: u32,
    /// The kernel's letter for its state: R runs, S sleeps, D waits for a disk, T is stopped, Z has ended.
    pub(crate) state: String,
    /// Its threads.
    pub(crate) threads: u64,
    /// What it has used.
    pub(crate) usage: Usage,
    /// Memory in use.
    pub(crate) resident_bytes: u64,
    /// Memory in use, what it shares with other processes counted in part (PSS); all of it where the kernel does not
    /// tell.
    pub(crate) proportional_bytes: u64,
    /// Its page tables.
    pub(crate) page_tables_bytes: u64,
    /// Peak of its address space.
    pub(crate) reserved_bytes: u64,
    /// Its open descriptors.
    pub(crate) descriptors: u64,
}

impl Usage {
    /// What this process has used.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn of_self() -> io::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        // The kernel's counters are signed and never negative.
        Ok(Self {
            cpu_us: (usage.user_time() + usage.system_time()).num_microseconds().unsigned_abs(),
            voluntary_switches: usage.voluntary_context_switches().unsigned_abs(),
            involuntary_switches: usage.involuntary_context_switches().unsigned_abs(),
            minor_faults: usage.minor_page_faults().unsigned_abs(),
            major_faults: usage.major_page_faults().unsigned_abs(),
        })
    }

    /// What another process has used. Of the switches, those of the threads that it has now.
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let mut usage = Stat::read(pid)?.usage;
        usage.cpu_us = cpu_us(pid).unwrap_or(usage.cpu_us);
        for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            if let Ok(status) = fs::read_to_string(task.path().join("status")) {
                usage.voluntary_switches += field(&status, "voluntary_ctxt_switches:");
                usage.involuntary_switches += field(&status, "nonvoluntary_ctxt_switches:");
            }
        }
        Ok(usage)
    }

    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.cpu_us += other.cpu_us;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
    }
}

impl Block {
    /// Reads the block of a process.
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) fn read(pid: u32, role: &str) -> io::Result<Self> {
        let stat = Stat::read(pid)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = |name| field(&status, name) * 1024;
        let resident_bytes = kib("VmRSS:");
        let shares = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
        let own = pid == std::process::id();
        Ok(Self {
            role: role.to_owned(),
            pid,
            parent: stat.parent,
            state: stat.state,
            threads: stat.threads,
            // One question for all threads where there may be thousands.
            usage: if own { Usage::of_self()? } else { Usage::of(pid)? },
            resident_bytes,
            proportional_bytes: shares.map_or(resident_bytes, |text| field(&text, "Pss:") * 1024),
            page_tables_bytes: kib("VmPTE:"),
            reserved_bytes: kib("VmPeak:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |list| list.count() as u64),
        })
    }

    /// All memory that it makes the machine back with pages.
    pub(crate) fn touched_bytes(&self) -> u64 {
        self.proportional_bytes + self.page_tables_bytes + self.threads * KERNEL_STACK_BYTES
    }
}

/// The children of a process, whichever of its threads started them.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists: Vec<_> =
        tasks.flatten().map(|task| fs::read_to_string(task.path().join("children"))).collect();
    if lists.iter().all(Result::is_err) {
        return children_among_all(pid);
    }
    let ids = |list: String| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>();
    lists.into_iter().flatten().flat_map(ids).collect()
}

/// The same where the kernel keeps no lists (`CONFIG_PROC_CHILDREN`): every process of the machine is asked.
fn children_among_all(pid: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&process| Stat::read(process).is_ok_and(|stat| stat.parent == pid))
        .collect()
}

/// How many threads a process has.
///
/// # Errors
/// There is no such process.
pub(crate) fn threads(pid: u32) -> io::Result<u64> {
    Ok(Stat::read(pid)?.threads)
}

/// The CPU time of a process to the nanosecond: `/proc/PID/stat` has it in steps of 10 ms only.
fn cpu_us(pid: u32) -> Option<u64> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    Some(clock.now().ok()?.num_microseconds().unsigned_abs())
}

/// The number behind a field's name; 0 where there is none.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// `/proc/PID/stat`, as far as it is used here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: String,
    parent: u32,
    threads: u64,
    usage: Usage,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let invalid = || io::Error::other(format!("/proc/{pid}/stat is not what it should be"));
        Self::parse(&text).ok_or_else(invalid)
    }

    /// Reads the fields behind the program's name, which may hold blanks and parentheses itself (proc(5)).
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |place: usize| -> Option<u64> { fields.get(place)?.parse().ok() };
        let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        Some(Self {
            state: (*fields.first()?).to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            threads: number(17)?,
            usage: Usage {
                cpu_us: (number(11)? + number(12)?) * tick_us,
                minor_faults: number(7)?,
                major_faults: number(9)?,
                ..Usage::default()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let text = "7 (a) b) (c) S 3 7 7 0 -1 64 11 0 12 0 20 30 0 0 20 0 5 0 99 4096 8";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state.as_str(), stat.parent, stat.threads), ("S", 3, 5));
        assert_eq!((stat.usage.minor_faults, stat.usage.major_faults), (11, 12));
        assert_eq!(stat.usage.cpu_us, 50 * 1_000_000 / rustix::param::clock_ticks_per_second());
        for text in ["", "7 (x", "7 (x)", "7 (x) S", "7 (x) S x"] {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_own_block_is_there() {
        let pid = std::process::id();
        let block = Block::read(pid, "test").unwrap();
        assert_eq!((block.role.as_str(), block.pid), ("test", pid));
        assert!(block.threads > 0 && block.descriptors > 2 && block.parent > 0);
        assert!(block.proportional_bytes > 0 && block.proportional_bytes <= block.resident_bytes);
        assert!(
            block.touched_bytes() > block.proportional_bytes && block.reserved_bytes > block.resident_bytes
        );
        let usage = Usage::of(pid).unwrap();
        assert!(usage.cpu_us > 0 && usage.minor_faults > 0);
        assert!(Block::read(u32::MAX, "none").is_err() && Usage::of(u32::MAX).is_err());
    }

    #[test]
    fn children_are_found_whoever_started_them() {
        let child = std::thread::spawn(|| {
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap()
        });
        let mut child = child.join().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        assert!(children_among_all(std::process::id()).contains(&child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
