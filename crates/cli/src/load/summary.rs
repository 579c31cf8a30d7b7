//! What a run of the load generator found: printed for people, or as JSON for `compare` and other programs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::block::Block;
use crate::load::histogram::Latencies;
use crate::load::payments::Work;

/// The server's counters since its start, as `GET /stats` gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerCounters {
    /// CPU time of the processes that serve connections.
    pub(crate) cpu_us: u64,
    /// CPU time of the ledger's process.
    pub(crate) ledger_cpu_us: u64,
    /// The part of it of the thread that writes.
    pub(crate) ledger_writer_cpu_us: u64,
    /// Times a thread that serves gave up the CPU to wait.
    pub(crate) voluntary_switches: u64,
    /// Times the kernel took the CPU from a thread that serves.
    pub(crate) involuntary_switches: u64,
    /// Kernel switches of the ledger's process, both kinds.
    pub(crate) ledger_switches: u64,
    /// Switches between coroutines: no kernel in them.
    pub(crate) coroutine_switches: u64,
    /// Page faults served without a disk.
    pub(crate) minor_faults: u64,
    /// Page faults that read from a disk.
    pub(crate) major_faults: u64,
    /// Payments applied and durable.
    pub(crate) payments_committed: u64,
    /// Transactions in which they were committed.
    pub(crate) groups: u64,
}

impl ServerCounters {
    /// What was counted between `earlier` and this.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu_us: self.cpu_us.saturating_sub(earlier.cpu_us),
            ledger_cpu_us: self.ledger_cpu_us.saturating_sub(earlier.ledger_cpu_us),
            ledger_writer_cpu_us: self.ledger_writer_cpu_us.saturating_sub(earlier.ledger_writer_cpu_us),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(earlier.involuntary_switches),
            ledger_switches: self.ledger_switches.saturating_sub(earlier.ledger_switches),
            coroutine_switches: self.coroutine_switches.saturating_sub(earlier.coroutine_switches),
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
            payments_committed: self.payments_committed.saturating_sub(earlier.payments_committed),
            groups: self.groups.saturating_sub(earlier.groups),
        }
    }
}

/// What client and server spent between the two readings of their counters.
///
/// The readings stand at the two ends of the payment clock, both taken while the load is on, so that what is in
/// flight at the one end is made up for at the other. They lie a round trip apart from the clock's ends; that is why
/// they bring their own time and number of requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Time between the readings.
    pub(crate) seconds: f64,
    /// Requests answered between the readings.
    pub(crate) requests: u64,
    /// CPU time of the load generator.
    pub(crate) client_cpu_us: u64,
    /// CPU time of all programs on this machine, in steps of the kernel's clock tick; `None` where it is not told.
    pub(crate) machine_cpu_us: Option<u64>,
    /// The server's counters; `None` when it has no `/stats`.
    pub(crate) server: Option<ServerCounters>,
}

/// What happened while the payment clock ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    /// How long it ran.
    pub(crate) seconds: f64,
    /// Requests answered in that time.
    pub(crate) requests: u64,
    /// How long each of them took.
    pub(crate) latency_us: Latencies,
    /// What that cost.
    pub(crate) spent: Spent,
}

impl Window {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds.max(f64::EPSILON)
    }
}

/// How the server answered, warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// 200.
    pub(crate) accepted: u64,
    /// 409: not enough money.
    pub(crate) refused: u64,
    /// Any other status, with how often it came. A healthy run has none.
    pub(crate) unexpected: BTreeMap<u16, u64>,
    /// Requests that got no answer.
    pub(crate) missing: u64,
}

impl Answers {
    /// Counts one answer, or its absence.
    pub(super) fn count(&mut self, status: Option<u16>) {
        match status {
            Some(200) => self.accepted += 1,
            Some(409) => self.refused += 1,
            Some(other) => *self.unexpected.entry(other).or_default() += 1,
            None => self.missing += 1,
        }
    }
}

/// One run of the load generator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// What the requests made the server do.
    pub(crate) work: Work,
    /// What the payments were drawn from.
    pub(crate) seed: u64,
    /// How many users there should have been.
    pub(crate) users: u32,
    /// How many were connected and had been greeted when the payment clock was to start.
    pub(crate) connected: u32,
    /// How long it took to connect them.
    pub(crate) connect_seconds: f64,
    /// The payment clock's part; `None` when it never started.
    pub(crate) window: Option<Window>,
    /// The server's processes when the payment clock had stopped, all users still at it; none when it does not tell.
    pub(crate) processes: Vec<Block>,
    /// All answers.
    pub(crate) answers: Answers,
    /// The first thing that went wrong, in words.
    pub(crate) trouble: Option<String>,
    /// Whether a signal ended the run early.
    pub(crate) interrupted: bool,
}

impl Summary {
    /// Whether the run is what was asked for: every user there, every answer one of the expected.
    pub(crate) fn is_clean(&self) -> bool {
        self.window.is_some()
            && self.answers.unexpected.is_empty()
            && self.answers.missing == 0
            && self.trouble.is_none()
            && !self.interrupted
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = self.work.noun();
        writeln!(
            formatter,
            "users      {} of {} connected in {:.2} s",
            self.connected, self.users, self.connect_seconds
        )?;
        if let Some(window) = &self.window {
            writeln!(
                formatter,
                "{noun}s/s {:.0} ({} in {:.3} s)",
                window.rate(),
                window.requests,
                window.seconds
            )?;
            write!(formatter, "latency   ")?;
            for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
                match window.latency_us.quantile_us(quantile) {
                    Some(us) => write!(formatter, " {name} {:.2} ms", us / 1_000.0)?,
                    None => write!(formatter, " {name} -")?,
                }
            }
            writeln!(formatter)?;
            write_spent(formatter, &window.spent, noun)?;
        }
        write!(
            formatter,
            "answers    {} accepted, {} refused for lack of funds, {} missing",
            self.answers.accepted, self.answers.refused, self.answers.missing
        )?;
        for (status, count) in &self.answers.unexpected {
            write!(formatter, ", {count} with status {status}")?;
        }
        writeln!(formatter)?;
        if let Some(trouble) = &self.trouble {
            writeln!(formatter, "trouble    {trouble}")?;
        }
        Ok(())
    }
}

fn write_spent(formatter: &mut fmt::Formatter<'_>, spent: &Spent, noun: &str) -> fmt::Result {
    let requests = spent.requests.max(1) as f64;
    write!(formatter, "CPU        client {:.1} µs per {noun}", spent.client_cpu_us as f64 / requests)?;
    if let Some(server) = &spent.server {
        write!(
            formatter,
            ", server {:.1} µs and its ledger {:.1} µs",
            server.cpu_us as f64 / requests,
            server.ledger_cpu_us as f64 / requests
        )?;
    }
    writeln!(formatter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let mut latency_us = Latencies::new();
        (0..100).for_each(|_| latency_us.record(2_000_000));
        Summary {
            work: Work::Io,
            seed: 1,
            users: 10,
            connected: 10,
            connect_seconds: 0.01,
            window: Some(Window {
                seconds: 0.5,
                requests: 100,
                latency_us,
                spent: Spent {
                    seconds: 0.5,
                    requests: 100,
                    client_cpu_us: 1_000,
                    machine_cpu_us: None,
                    server: Some(ServerCounters {
                        cpu_us: 3_000,
                        ledger_cpu_us: 2_000,
                        ..ServerCounters::default()
                    }),
                },
            }),
            processes: Vec::new(),
            answers: Answers::default(),
            trouble: None,
            interrupted: false,
        }
    }

    #[test]
    fn the_text_names_rate_latency_and_cost() {
        let text = summary().to_string();
        assert!(text.contains("payments/s 200 (100 in 0.500 s)"), "{text}");
        assert!(text.contains("p50 2.0"), "{text}");
        assert!(text.contains("p99 -"), "{text}");
        assert!(text.contains("client 10.0 µs per payment, server 30.0 µs and its ledger 20.0 µs"), "{text}");
    }

    #[test]
    fn a_run_is_clean_only_without_surprises() {
        assert!(summary().is_clean());
        let mut odd = summary();
        odd.answers.count(Some(503));
        assert!(!odd.is_clean());
        let mut silent = summary();
        silent.answers.count(None);
        assert!(!silent.is_clean());
        let mut absent = summary();
        absent.window = None;
        assert!(!absent.is_clean());
        let mut expected = summary();
        expected.answers.count(Some(200));
        expected.answers.count(Some(409));
        assert!(expected.is_clean());
    }

    #[test]
    fn counters_are_subtracted_field_by_field_and_survive_json() {
        let text = r#"{"cpu_us":9,"ledger_cpu_us":8,"ledger_writer_cpu_us":7,"voluntary_switches":7,"involuntary_switches":6,
            "ledger_switches":5,"coroutine_switches":4,"minor_faults":3,"major_faults":2,"threads":99,
            "payments_committed":1,"groups":1,"connections":7,"transient_accept_errors":0}"#;
        let counters: ServerCounters = serde_json::from_str(text).unwrap();
        assert_eq!(counters.since(&counters), ServerCounters::default());
        assert_eq!(counters.since(&ServerCounters::default()), counters);
    }
}
