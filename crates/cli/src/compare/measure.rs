//! What a running process takes of the machine, read from `/proc/PID/status`.

use std::fs;

use serde::{Deserialize, Serialize};

/// The kernel stack of one thread on x86-64 and aarch64.
const KERNEL_STACK_BYTES: u64 = 16 * 1024;

/// The most that a process took at any time so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Peak resident set (VmHWM).
    pub(crate) resident_bytes: u64,
    /// Peak of the page tables (the largest VmPTE seen).
    pub(crate) page_tables_bytes: u64,
    /// Peak of the kernel stacks: the largest number of threads seen, 16 KiB each.
    pub(crate) kernel_stacks_bytes: u64,
    /// Peak of the address space (VmPeak).
    pub(crate) reserved_bytes: u64,
    /// The largest number of threads seen.
    pub(crate) threads: u64,
}

impl Memory {
    /// All memory that the process makes the machine back with pages.
    pub(crate) fn touched_bytes(&self) -> u64 {
        self.resident_bytes + self.page_tables_bytes + self.kernel_stacks_bytes
    }

    /// Takes in what the process takes now. A process that is gone changes nothing: the peaks seen so far stay.
    pub(crate) fn sample(&mut self, pid: u32) {
        if let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
            self.take_in(&status);
        }
    }

    fn take_in(&mut self, status: &str) {
        let field = |name: &str| -> Option<u64> {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let kib = |name| field(name).unwrap_or(0) * 1024;
        self.resident_bytes = self.resident_bytes.max(kib("VmHWM:"));
        self.page_tables_bytes = self.page_tables_bytes.max(kib("VmPTE:"));
        self.reserved_bytes = self.reserved_bytes.max(kib("VmPeak:"));
        self.threads = self.threads.max(field("Threads:").unwrap_or(0));
        self.kernel_stacks_bytes = self.threads * KERNEL_STACK_BYTES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tropewalk\nVmPeak:\t  200 kB\nVmSize:\t  100 kB\nVmHWM:\t   40 kB\nVmRSS:\t   30 kB\nVmPTE:\t    8 kB\nThreads:\t3\n";

    #[test]
    fn touched_is_resident_and_page_tables_and_kernel_stacks() {
        let mut memory = Memory::default();
        memory.take_in(STATUS);
        assert_eq!(memory.reserved_bytes, 200 * 1024);
        assert_eq!(memory.threads, 3);
        assert_eq!(memory.touched_bytes(), (40 + 8 + 3 * 16) * 1024);
    }

    #[test]
    fn peaks_stay_when_the_process_shrinks_or_ends() {
        let mut memory = Memory::default();
        memory.take_in(STATUS);
        let peak = memory;
        memory.take_in("VmPeak: 1 kB\nVmHWM: 1 kB\nVmPTE: 1 kB\nThreads: 1\n");
        memory.take_in("Name: zombie\n");
        assert_eq!(memory, peak);
    }

    #[test]
    fn the_own_process_is_seen() {
        let mut memory = Memory::default();
        memory.sample(std::process::id());
        assert!(memory.touched_bytes() > 0 && memory.threads > 0);
    }
}
