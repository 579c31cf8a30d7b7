//! `GET /stats`: what the process has used so far, for a client that measures.
//!
//! The counters are the process's, so their difference between two requests is what the payments
//! between them cost, whatever the plan.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::Serialize;

use super::ledger::ReplySlot;
use super::plan::Stream;
use super::service::Service;

/// The reply to `GET /stats`. All count from the start of the process, except `threads` and
/// `connections`, which are of the moment.
#[derive(Debug, Serialize)]
pub(super) struct Statistics {
    /// CPU time of the process, user and system, in microseconds.
    cpu_us: u64,
    /// The ledger thread's part of it, as of its last group.
    ledger_cpu_us: u64,
    /// Switches of threads that had to wait.
    voluntary_switches: u64,
    /// Switches of threads whose time was up.
    involuntary_switches: u64,
    /// The ledger thread's part of both, as of its last group.
    ledger_switches: u64,
    /// Switches between coroutines, in which the kernel has no part.
    coroutine_switches: u64,
    /// Pages that were mapped without reading a disk.
    minor_faults: u64,
    /// Pages that had to be read.
    major_faults: u64,
    /// Threads of the process.
    threads: u64,
    /// Payments on the disk.
    payments_committed: u64,
    /// Commits they took.
    groups: u64,
    /// Commits that failed and were rolled back.
    failed_groups: u64,
    /// Live connections, this one included.
    connections: u64,
    /// Connections that could not be accepted or started for want of something.
    transient_accept_errors: u64,
}

impl Statistics {
    /// Reads all counters.
    pub(super) fn collect<S: Stream, R: ReplySlot>(service: &Service<S, R>) -> io::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let ledger = service.ledger.counters();
        Ok(Self {
            cpu_us: unsigned((usage.user_time() + usage.system_time()).num_microseconds()),
            ledger_cpu_us: ledger.cpu_us.load(Relaxed),
            voluntary_switches: unsigned(usage.voluntary_context_switches()),
            involuntary_switches: unsigned(usage.involuntary_context_switches()),
            ledger_switches: ledger.switches.load(Relaxed),
            coroutine_switches: ropewalk::inspect::statistics().coroutine_switches,
            minor_faults: unsigned(usage.minor_page_faults()),
            major_faults: unsigned(usage.major_page_faults()),
            threads: service.process.threads()?,
            payments_committed: ledger.payments.load(Relaxed),
            groups: ledger.groups.load(Relaxed),
            failed_groups: ledger.failed_groups.load(Relaxed),
            connections: service.registry.len() as u64,
            transient_accept_errors: service.transient_accept_errors.load(Relaxed),
        })
    }
}

/// The kernel's counters are signed and never negative.
fn unsigned(count: i64) -> u64 {
    count.unsigned_abs()
}
