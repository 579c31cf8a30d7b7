//! `GET /stats`: what the service has used so far, for a client that measures.
//!
//! The counters are those of all processes that serve connections together, and the ledger's apart, so the difference
//! between two requests is what the payments between them cost, whatever the plan.

use std::io;

use serde::Serialize;

use super::family::Family;
use super::ledger::LedgerState;

/// The reply to `GET /stats`. All count from the start of the processes, except `threads` and `connections`, which are of
/// the moment.
#[derive(Debug, Serialize)]
pub(super) struct Statistics {
    /// CPU time of the processes that serve connections, user and system, in microseconds.
    cpu_us: u64,
    /// CPU time of the ledger's process.
    ledger_cpu_us: u64,
    /// The part of it of the thread that writes, as of its last group.
    ledger_writer_cpu_us: u64,
    /// Switches of threads that had to wait, without the ledger's.
    voluntary_switches: u64,
    /// Switches of threads whose time was up, without the ledger's.
    involuntary_switches: u64,
    /// The ledger's switches, both kinds.
    ledger_switches: u64,
    /// Switches between coroutines, in which the kernel has no part; of other processes than the one that answers, as
    /// of what they last asked of the ledger.
    coroutine_switches: u64,
    /// Pages that were mapped without reading a disk, without the ledger's.
    minor_faults: u64,
    /// Pages that had to be read, without the ledger's.
    major_faults: u64,
    /// Threads of the processes that serve connections.
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
    /// Puts all counters together.
    pub(super) fn collect(family: &Family, ledger: &LedgerState) -> io::Result<Self> {
        let (usage, threads) = family.usage()?;
        Ok(Self {
            cpu_us: usage.cpu_us,
            ledger_cpu_us: ledger.cpu_us,
            ledger_writer_cpu_us: ledger.writer_cpu_us,
            voluntary_switches: usage.voluntary_switches,
            involuntary_switches: usage.involuntary_switches,
            ledger_switches: ledger.switches,
            coroutine_switches: ledger.reported.coroutine_switches,
            minor_faults: usage.minor_faults,
            major_faults: usage.major_faults,
            threads,
            payments_committed: ledger.payments,
            groups: ledger.groups,
            failed_groups: ledger.failed_groups,
            connections: ledger.reported.connections,
            transient_accept_errors: ledger.reported.accept_errors,
        })
    }
}
