//! The books' one writer: a plain thread that takes all payments that wait and commits them together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rusqlite::Connection;

use super::books::{self, Clerk, Opening};
use super::error::LedgerError;
use super::queue::Queue;
use super::wire::{LedgerState, Report};
use crate::serve::payment::{Outcome, Payment};
use crate::serve::throttle::Throttle;

/// The most payments in one commit. Measured on a quiet disk (`ledger_alone` in the tests): 1 per commit made 4,300
/// payments/s, 10: 20,000, 100: 45,000, 320: 55,000; beyond that it hardly grows, and a commit takes 30 ms and more.
const GROUP_LIMIT: usize = 320;

/// Who hands in payments, and is told what became of them. The writer never waits in here.
pub(super) trait Client: Send + Sync + 'static {
    /// What became of the payment of this number.
    fn put(&self, number: u64, outcome: Outcome);

    /// All of a group was put. Called at least once for each client that has payments in it.
    fn send(&self);
}

/// The writer and what it shares. Dropping it lets the thread end; `close` also waits for it.
pub(super) struct Engine<C> {
    shared: Arc<Shared<C>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What clients and the writer share.
struct Shared<C> {
    queue: Queue<Job<C>>,
    /// The balance of account 1, 2, 3 and so on as of the last commit.
    balances: Box<[AtomicI64]>,
    counters: Counters,
}

/// A payment and who waits for it.
pub(super) struct Job<C> {
    /// What is to be done.
    pub(super) payment: Payment,
    /// What the client calls it.
    pub(super) number: u64,
    /// Who wants to know.
    pub(super) client: Arc<C>,
}

/// What the writer did so far. It publishes these after each group.
#[derive(Debug, Default)]
struct Counters {
    /// CPU time of the writer, user and system, in microseconds.
    cpu_us: AtomicU64,
    /// Payments stored.
    payments: AtomicU64,
    /// Groups committed that stored something: each is one sync of the log.
    groups: AtomicU64,
    /// Groups that failed and were rolled back.
    failed_groups: AtomicU64,
}

impl<C: Client> Engine<C> {
    /// Opens or creates the database and starts the writer.
    ///
    /// # Errors
    /// The database cannot be used; no thread can be started.
    pub(super) fn open(path: &Path, opening: Opening) -> Result<Self, LedgerError> {
        if i64::from(opening.accounts).checked_mul(opening.balance).is_none() {
            return Err(LedgerError::TooMuchMoney);
        }
        let (connection, balances) = books::open(path, opening)?;
        sync_directory(path)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(),
            balances: balances.iter().copied().map(AtomicI64::new).collect(),
            counters: Counters::default(),
        });
        let (theirs, path) = (Arc::clone(&shared), path.to_owned());
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || run(&theirs, connection, balances, &path))
            .map_err(LedgerError::Thread)?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Hands payments in. Those that came too late, after `close`, stay where they are.
    pub(super) fn push(&self, jobs: &mut Vec<Job<C>>) {
        self.shared.queue.push(jobs);
    }

    /// The balance of account `id` as of the last commit, if there is such an account.
    pub(super) fn balance(&self, id: i64) -> Option<i64> {
        // Relaxed: the balance is all there is to see. A client that was answered is never shown
        // an older one: the reply came to it through `put`, after the store.
        Some(self.shared.balances.get(books::index(id)?)?.load(Relaxed))
    }

    /// What this process has done so far.
    pub(super) fn state(&self, reported: Report) -> LedgerState {
        let Shared { balances, counters, .. } = &*self.shared;
        let mut state = LedgerState {
            pid: std::process::id().into(),
            accounts: balances.len() as u64,
            writer_cpu_us: counters.cpu_us.load(Relaxed),
            payments: counters.payments.load(Relaxed),
            groups: counters.groups.load(Relaxed),
            failed_groups: counters.failed_groups.load(Relaxed),
            reported,
            ..LedgerState::default()
        };
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let cpu = usage.user_time() + usage.system_time();
            let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
            state.cpu_us = cpu.num_microseconds().unsigned_abs();
            state.switches = switches.unsigned_abs();
        }
        state
    }
}

impl<C> Engine<C> {
    /// Commits what is queued, ends the thread and closes the database.
    pub(super) fn close(&self) {
        self.shared.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It cannot panic: see `run`.
            let _ = thread.join();
        }
    }
}

impl<C> Drop for Engine<C> {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

/// Makes the name of a new database as durable as what is in it.
fn sync_directory(path: &Path) -> Result<(), LedgerError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| LedgerError::Directory(PathBuf::from(parent), error))
}

/// The writer's thread. A panic ends the process, which those who wait for replies notice; a restart finds the books
/// whole.
fn run<C: Client>(shared: &Shared<C>, connection: Connection, balances: Vec<i64>, path: &Path) {
    let body = AssertUnwindSafe(|| serve(shared, &connection, balances));
    match catch_unwind(body) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => fail(&format!("cannot prepare statements on {}: {error}", path.display())),
        Err(_) => fail("the thread that writes the ledger panicked"),
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!("closing {}: {error}", path.display());
    }
}

/// Ends the process with a message.
fn fail(message: &str) -> ! {
    tracing::error!("{message}");
    std::process::exit(1)
}

/// Settles group after group until the queue is closed.
fn serve<C: Client>(shared: &Shared<C>, connection: &Connection, balances: Vec<i64>) -> rusqlite::Result<()> {
    let mut clerk = Clerk::new(connection, balances)?;
    let mut group: Vec<Job<C>> = Vec::with_capacity(GROUP_LIMIT);
    let mut outcomes = Vec::with_capacity(GROUP_LIMIT);
    let mut reports = Throttle::default();
    while shared.queue.take(GROUP_LIMIT, &mut group) {
        outcomes.clear();
        let payments = group.iter().map(|job| &job.payment);
        let publish = |account: usize, balance| shared.balances[account].store(balance, Relaxed);
        match clerk.settle(payments, &mut outcomes, publish) {
            Ok(stored) => {
                shared.counters.payments.fetch_add(stored as u64, Relaxed);
                shared.counters.groups.fetch_add(u64::from(stored > 0), Relaxed);
            }
            Err(error) => {
                shared.counters.failed_groups.fetch_add(1, Relaxed);
                outcomes.clear();
                outcomes.resize(group.len(), Outcome::Unavailable);
                reports.report(format_args!(
                    "payments are answered 503 and not stored: {error}; look at the disk of the database"
                ));
            }
        }
        // Before the replies: whoever asks for the state after one finds its payment counted.
        shared.counters.publish_usage();
        for (job, &outcome) in group.iter().zip(&outcomes) {
            job.client.put(job.number, outcome);
        }
        // Neighbours are mostly of one client, which needs to be told once.
        group.dedup_by(|one, other| Arc::ptr_eq(&one.client, &other.client));
        for job in group.drain(..) {
            job.client.send();
        }
    }
    Ok(())
}

impl Counters {
    /// Stores what the calling thread has used. One system call per group.
    fn publish_usage(&self) {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else {
            return;
        };
        let cpu = usage.user_time() + usage.system_time();
        self.cpu_us.store(cpu.num_microseconds().unsigned_abs(), Relaxed);
    }
}
