//! Directs a crowd of users through one run and reads the counters at both ends of the payment clock.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ropewalk::net::TcpStream;
use ropewalk::sync::Semaphore;
use ropewalk::{JoinHandle, coroutine};
use rustix::time::{ClockId, clock_gettime};

use crate::block::Block;
use crate::load::histogram::Latencies;
use crate::load::http::Connection;
use crate::load::journal;
use crate::load::payments::{Bank, Work};
use crate::load::stage::Stage;
use crate::load::summary::{Answers, ServerCounters, Spent, Summary, Window};
use crate::load::user::{self, Brief, Record, Seat};

/// How many users dial at the same time.
const DIALLING_MAX: usize = 1_000;

/// A run of the load generator.
pub(super) struct Run {
    /// Where the service listens.
    pub(super) address: SocketAddr,
    /// How many users.
    pub(super) users: u32,
    /// What the requests do.
    pub(super) work: Work,
    /// What they are drawn from.
    pub(super) seed: u64,
    /// The accounts there are.
    pub(super) bank: Bank,
    /// Warm-up before the payment clock starts.
    pub(super) warmup: Duration,
    /// The longest that the payment clock runs.
    pub(super) clock_max: Duration,
    /// The payment clock stops after so many answers.
    pub(super) requests_max: u64,
    /// The longest wait for one answer, and for all users to connect.
    pub(super) patience: Duration,
}

/// What a run leaves behind.
pub(super) struct Finished {
    /// What was found.
    pub(super) summary: Summary,
    records: Vec<Record>,
}

impl Finished {
    /// Writes the journal of all payments.
    pub(super) fn write_journal(&self, path: &Path) -> io::Result<()> {
        journal::write(path, self.records.iter().flat_map(Record::journal))
    }
}

impl Run {
    /// Carries the run out, in a coroutine; ends early when `interrupted` is set.
    pub(super) fn carry_out(&self, interrupted: &AtomicBool) -> io::Result<Finished> {
        let brief = Arc::new(self.brief());
        let stage = &brief.stage;
        let mut counters = Counters::connect(self.address, self.patience)?;
        let dialled = Instant::now();
        let users = self.spawn_users(&brief);
        let deadline = dialled + self.patience;
        let late = || Instant::now() >= deadline;
        let gathered = stage.wait_gathered(|| late() || interrupted.load(Relaxed));
        let connect_seconds = dialled.elapsed().as_secs_f64();
        let connected = stage.arrived();
        let spent = if gathered { self.run_clock(stage, &mut counters, interrupted) } else { Ok(None) };
        // Now: all users are still there, and the clock no longer runs.
        let processes = counters.processes();
        stage.stop();
        if !gathered {
            // Nothing was sent: whoever still waits for the server need not.
            users.iter().for_each(JoinHandle::cancel);
        }
        let records: Vec<Record> = users.into_iter().filter_map(|user| user.join().ok()).collect();
        let trouble = stage.trouble().or_else(|| match &spent {
            Err(error) => Some(format!("the server's counters could not be read: {error}")),
            Ok(_) if !gathered && !interrupted.load(Relaxed) => {
                Some(format!("not every user was connected after {} s", self.patience.as_secs()))
            }
            Ok(_) => None,
        });
        let summary = Summary {
            work: self.work,
            seed: self.seed,
            users: self.users,
            connected,
            connect_seconds,
            window: spent.ok().flatten().and_then(|spent| window(stage, &records, spent)),
            processes,
            answers: answers(&records),
            trouble,
            interrupted: interrupted.load(Relaxed),
        };
        Ok(Finished { summary, records })
    }

    fn spawn_users(&self, brief: &Arc<Brief>) -> Vec<JoinHandle<Record>> {
        let spawn = |user| {
            let seat = Seat::new(brief);
            coroutine::Builder::new().spawn(move || user::live(user, seat)).ok()
        };
        // A user that cannot start has left its seat, which ends the run with that reason.
        (0..self.users).map_while(spawn).collect()
    }

    fn brief(&self) -> Brief {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Brief {
            address: self.address,
            work: self.work,
            seed: self.seed,
            bank: self.bank,
            run: u64::try_from(now.as_micros()).unwrap_or(0) ^ (u64::from(std::process::id()) << 44),
            patience: self.patience,
            dialling: Semaphore::new(DIALLING_MAX),
            signer: Brief::signer(self.work, self.seed),
            stage: Stage::new(self.users, self.requests_max),
        }
    }

    /// Warm-up, payment clock, and the readings at both of its ends; `None` when it was interrupted.
    fn run_clock(
        &self,
        stage: &Stage,
        counters: &mut Counters,
        interrupted: &AtomicBool,
    ) -> io::Result<Option<Spent>> {
        stage.start();
        let warm = Instant::now() + self.warmup;
        stage.wait_clock_stopped(|| Instant::now() >= warm || interrupted.load(Relaxed));
        let before = counters.read(stage)?;
        stage.start_clock();
        let end = Instant::now() + self.clock_max;
        stage.wait_clock_stopped(|| Instant::now() >= end || interrupted.load(Relaxed));
        stage.stop_clock();
        let after = counters.read(stage)?;
        Ok((!interrupted.load(Relaxed)).then(|| after.since(&before)))
    }
}

/// The window, unless a user was lost in it.
fn window(stage: &Stage, records: &[Record], spent: Spent) -> Option<Window> {
    let mut latency_us = Latencies::new();
    for &latency in records.iter().flat_map(|record| &record.latencies) {
        latency_us.record(latency);
    }
    Some(Window { seconds: stage.clock()?.as_secs_f64(), requests: latency_us.count(), latency_us, spent })
}

fn answers(records: &[Record]) -> Answers {
    let mut all = Answers::default();
    for Record { answers, .. } in records {
        all.accepted += answers.accepted;
        all.refused += answers.refused;
        all.missing += answers.missing;
        for (&status, count) in &answers.unexpected {
            *all.unexpected.entry(status).or_default() += count;
        }
    }
    all
}

/// A connection of its own to `GET /stats`.
struct Counters {
    connection: Connection<TcpStream>,
}

/// One reading of everything that is counted.
struct Reading {
    at: Instant,
    answers: u64,
    client_cpu: Duration,
    machine_cpu_us: Option<u64>,
    server: Option<ServerCounters>,
}

impl Counters {
    fn connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let connection = user::connect(address, patience).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot connect to {address}: {error}; is `ropewalk serve` running there?"),
            )
        })?;
        Ok(Self { connection })
    }

    /// The server's processes; none when it does not tell.
    fn processes(&mut self) -> Vec<Block> {
        let asked = self.connection.prepare_get(format_args!("/processes"));
        let reply = asked.and_then(|()| self.connection.exchange());
        let body = reply.ok().filter(|reply| reply.status == 200).map(|reply| reply.body);
        body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
    }

    /// Reads both sides' counters. A server that has none is no error: the load generator serves others too.
    fn read(&mut self, stage: &Stage) -> io::Result<Reading> {
        self.connection.prepare_get(format_args!("/stats"))?;
        let reply = self.connection.exchange()?;
        let server = if reply.status == 200 { Some(serde_json::from_slice(reply.body)?) } else { None };
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Ok(Reading {
            at: Instant::now(),
            answers: stage.answers(),
            client_cpu: Duration::try_from(cpu).unwrap_or_default(),
            machine_cpu_us: machine_cpu_us(),
            server,
        })
    }
}

impl Reading {
    fn since(&self, earlier: &Self) -> Spent {
        let client_cpu = self.client_cpu.saturating_sub(earlier.client_cpu);
        Spent {
            seconds: self.at.duration_since(earlier.at).as_secs_f64(),
            requests: self.answers - earlier.answers,
            client_cpu_us: u64::try_from(client_cpu.as_micros()).unwrap_or(u64::MAX),
            machine_cpu_us: self
                .machine_cpu_us
                .zip(earlier.machine_cpu_us)
                .map(|(after, before)| after.saturating_sub(before)),
            server: self.server.zip(earlier.server).map(|(after, before)| after.since(&before)),
        }
    }
}

/// CPU time that everything on this machine has used since it started.
fn machine_cpu_us() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    Some(busy_ticks(&stat)? * 1_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// The first line of `/proc/stat` without the times in which nothing ran: idle and waiting for I/O. Guests' time is
/// part of user time already.
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { return None };
    Some(user + nice + system + irq + softirq + steal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 1000 8 16 32 64 64\ncpu0 1 2 4\n"), Some(63));
        assert_eq!(busy_ticks("intr 1 2 3"), None);
        assert_eq!(busy_ticks("cpu  1 2"), None);
        assert!(machine_cpu_us().is_some());
    }
}
