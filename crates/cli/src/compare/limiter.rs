//! What held the payments back: the ledger, the server's CPU, the client, other programs, or too few users.
//!
//! Computed from how busy each of them was while the payment clock ran. One thread writes the ledger, and computes or
//! waits for the disk, so its share is its CPU time plus the number of its commits times what one sync of this disk
//! takes at least. The machine's processors are shared by server and client; when they are nearly all busy, whoever uses most
//! of them is what limits.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::load::Spent;

/// What kept a cell from going faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limiter {
    /// The one thread that writes the ledger is busy nearly all the time.
    Ledger,
    /// The processors are busy, most of all with the server.
    ServerCpu,
    /// The processors are busy, most of all with the load generator, or its one worker is.
    Client,
    /// The processors are busy, most of all with programs that have nothing to do with the comparison.
    OtherPrograms,
    /// Nothing is busy: the users wait for their own replies before they send again.
    Users,
}

impl fmt::Display for Limiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Ledger => "ledger",
            Self::ServerCpu => "server CPU",
            Self::Client => "client",
            Self::OtherPrograms => "others",
            Self::Users => "users",
        })
    }
}

/// How busy each part was; 1 is one processor busy all the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// The thread that writes the ledger, its waits for the disk included.
    pub(crate) ledger: f64,
    /// The CPU time of the ledger's process.
    pub(crate) ledger_cpu: f64,
    /// The CPU time of the processes that serve connections.
    pub(crate) server_cpu: f64,
    /// The load generator's CPU time.
    pub(crate) client_cpu: f64,
    /// The CPU time of all other programs on this machine; `None` where the kernel does not tell.
    pub(crate) other_cpu: Option<f64>,
}

impl Shares {
    /// The shares in what was spent on a disk where one sync takes `sync_us`; `None` when the server gave no
    /// counters.
    pub(crate) fn of(spent: &Spent, sync_us: f64) -> Option<Self> {
        let server = spent.server.as_ref()?;
        let wall_us = spent.seconds * 1e6;
        if wall_us <= 0.0 {
            return None;
        }
        let ledger_cpu = server.ledger_cpu_us as f64 / wall_us;
        let writer_cpu = server.ledger_writer_cpu_us as f64 / wall_us;
        let ours = server.cpu_us + server.ledger_cpu_us + spent.client_cpu_us;
        Some(Self {
            ledger: (writer_cpu + server.groups as f64 * sync_us / wall_us).min(1.0),
            ledger_cpu,
            server_cpu: server.cpu_us as f64 / wall_us,
            client_cpu: spent.client_cpu_us as f64 / wall_us,
            other_cpu: spent.machine_cpu_us.map(|machine| machine.saturating_sub(ours) as f64 / wall_us),
        })
    }

    /// What limits, on a machine with so many processors.
    pub(crate) fn limiter(&self, processors: usize) -> Limiter {
        let processors = processors.max(1) as f64;
        if self.ledger >= BUSY {
            return Limiter::Ledger;
        }
        let other = self.other_cpu.unwrap_or(0.0);
        let shares = [
            (self.server_cpu, Limiter::ServerCpu),
            (self.client_cpu, Limiter::Client),
            (self.ledger_cpu, Limiter::Ledger),
            (other, Limiter::OtherPrograms),
        ];
        let all: f64 = shares.iter().map(|(share, _)| share).sum();
        if all >= BUSY * processors {
            let largest = shares.into_iter().max_by(|one, other| one.0.total_cmp(&other.0));
            return largest.map_or(Limiter::Users, |(_, limiter)| limiter);
        }
        // The load generator has one worker: one busy processor is all it can use.
        if self.client_cpu >= BUSY {
            return Limiter::Client;
        }
        Limiter::Users
    }
}

/// Busy for so large a part of the time is as good as always: readings and clocks do not agree to the last percent.
const BUSY: f64 = 0.85;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::ServerCounters;

    fn spent(client_ms: u64, server_ms: u64, ledger_ms: u64, groups: u64) -> Spent {
        Spent {
            seconds: 1.0,
            requests: 1_000,
            client_cpu_us: client_ms * 1_000,
            machine_cpu_us: None,
            server: Some(ServerCounters {
                cpu_us: server_ms * 1_000,
                ledger_cpu_us: ledger_ms * 1_000,
                ledger_writer_cpu_us: ledger_ms * 1_000,
                groups,
                ..ServerCounters::default()
            }),
        }
    }

    fn limiter(client_ms: u64, server_ms: u64, ledger_ms: u64, groups: u64) -> Limiter {
        Shares::of(&spent(client_ms, server_ms, ledger_ms, groups), 1_000.0).unwrap().limiter(2)
    }

    #[test]
    fn a_ledger_that_computes_or_waits_for_the_disk_all_the_time_limits() {
        assert_eq!(limiter(300, 300, 900, 0), Limiter::Ledger);
        assert_eq!(limiter(100, 100, 100, 800), Limiter::Ledger);
    }

    #[test]
    fn on_busy_processors_the_one_who_uses_most_limits() {
        assert_eq!(limiter(500, 1_000, 400, 0), Limiter::ServerCpu);
        assert_eq!(limiter(1_000, 500, 400, 0), Limiter::Client);
        assert_eq!(limiter(500, 600, 800, 0), Limiter::Ledger);
    }

    #[test]
    fn a_machine_that_is_busy_with_others_is_not_blamed_on_the_users() {
        let mut crowded = spent(200, 300, 100, 0);
        crowded.machine_cpu_us = Some(1_900_000);
        let shares = Shares::of(&crowded, 1_000.0).unwrap();
        assert!((shares.other_cpu.unwrap() - 1.3).abs() < 1e-9, "{shares:?}");
        assert_eq!(shares.limiter(2), Limiter::OtherPrograms);
        crowded.machine_cpu_us = Some(620_000);
        assert_eq!(Shares::of(&crowded, 1_000.0).unwrap().limiter(2), Limiter::Users);
    }

    #[test]
    fn a_client_with_its_one_worker_busy_limits() {
        assert_eq!(limiter(900, 300, 300, 0), Limiter::Client);
    }

    #[test]
    fn where_nothing_is_busy_there_are_too_few_users() {
        assert_eq!(limiter(100, 200, 100, 100), Limiter::Users);
    }

    #[test]
    fn without_counters_nothing_is_said() {
        let mut blind = spent(1, 1, 1, 1);
        blind.server = None;
        assert_eq!(Shares::of(&blind, 1.0), None);
    }
}
