//! The ledger as connections see it, and the thread behind it.

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
use super::reply::ReplySlot;
use crate::serve::payment::{Outcome, Payment};
use crate::serve::throttle::Throttle;

/// The most payments in one commit. Measured on a quiet disk (`ledger_alone` in the tests): 1 per commit made 4,300
/// payments/s, 10: 20,000, 100: 45,000, 320: 55,000; beyond that it hardly grows, and a commit takes 30 ms and more.
const GROUP_LIMIT: usize = 320;

/// The ledger. Dropping it lets the thread end; `close` also waits for it.
pub(in crate::serve) struct Ledger<S> {
    shared: Arc<Shared<S>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What connections and the ledger thread share.
struct Shared<S> {
    queue: Queue<Job<S>>,
    /// The balance of account 1, 2, 3 and so on as of the last commit.
    balances: Box<[AtomicI64]>,
    counters: LedgerCounters,
}

/// A payment and who waits for it.
struct Job<S> {
    payment: Payment,
    slot: Arc<S>,
}

/// What the ledger thread did so far. It publishes these after each group.
#[derive(Debug, Default)]
pub(in crate::serve) struct LedgerCounters {
    /// CPU time of the ledger thread, user and system, in microseconds.
    pub(in crate::serve) cpu_us: AtomicU64,
    /// How often the kernel switched away from the ledger thread.
    pub(in crate::serve) switches: AtomicU64,
    /// Payments stored.
    pub(in crate::serve) payments: AtomicU64,
    /// Groups committed that stored something: each is one sync of the log.
    pub(in crate::serve) groups: AtomicU64,
    /// Groups that failed and were rolled back.
    pub(in crate::serve) failed_groups: AtomicU64,
}

impl<S: ReplySlot> Ledger<S> {
    /// Opens or creates the database and starts the ledger thread.
    pub(in crate::serve) fn open(path: &Path, opening: Opening) -> Result<Self, LedgerError> {
        if i64::from(opening.accounts).checked_mul(opening.balance).is_none() {
            return Err(LedgerError::TooMuchMoney);
        }
        let (connection, balances) = books::open(path, opening)?;
        sync_directory(path)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(),
            balances: balances.iter().copied().map(AtomicI64::new).collect(),
            counters: LedgerCounters::default(),
        });
        let (theirs, path) = (Arc::clone(&shared), path.to_owned());
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || run(&theirs, connection, balances, &path))
            .map_err(LedgerError::Thread)?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Has a payment decided. Returns after its commit.
    ///
    /// # Waits
    /// For the ledger thread, in `slot`.
    pub(in crate::serve) fn pay(&self, payment: Payment, slot: &Arc<S>) -> Outcome {
        match self.shared.queue.push(Job { payment, slot: Arc::clone(slot) }) {
            Ok(()) => slot.take(),
            Err(_) => Outcome::Unavailable,
        }
    }

    /// The balance of account `id` as of the last commit, if there is such an account.
    pub(in crate::serve) fn balance(&self, id: i64) -> Option<i64> {
        // Relaxed: the balance is all there is to see. A client that was answered is never shown
        // an older one: the reply came to it through the slot, after the store.
        Some(self.shared.balances.get(books::index(id)?)?.load(Relaxed))
    }

    /// How many accounts there are.
    pub(in crate::serve) fn accounts(&self) -> usize {
        self.shared.balances.len()
    }

    /// What the ledger thread did so far.
    pub(in crate::serve) fn counters(&self) -> &LedgerCounters {
        &self.shared.counters
    }
}

impl<S> Ledger<S> {
    /// Commits what is queued, ends the thread and closes the database.
    pub(in crate::serve) fn close(&self) {
        self.shared.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It cannot panic: see `run`.
            let _ = thread.join();
        }
    }
}

impl<S> Drop for Ledger<S> {
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

/// The ledger thread. A panic ends the process: connections would wait for ever for their
/// replies, and a restart finds the books whole.
fn run<S: ReplySlot>(shared: &Shared<S>, connection: Connection, balances: Vec<i64>, path: &Path) {
    let body = AssertUnwindSafe(|| serve(shared, &connection, balances));
    match catch_unwind(body) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => fail(&format!("cannot prepare statements on {}: {error}", path.display())),
        Err(_) => fail("the ledger thread panicked"),
    }
    if let Err((_, error)) = connection.close() {
        eprintln!("ropewalk serve: closing {}: {error}", path.display());
    }
}

/// Ends the process with a message.
fn fail(message: &str) -> ! {
    eprintln!("ropewalk serve: {message}");
    std::process::exit(1)
}

/// Settles group after group until the queue is closed.
fn serve<S: ReplySlot>(
    shared: &Shared<S>,
    connection: &Connection,
    balances: Vec<i64>,
) -> rusqlite::Result<()> {
    let mut clerk = Clerk::new(connection, balances)?;
    let mut group: Vec<Job<S>> = Vec::with_capacity(GROUP_LIMIT);
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
        for (job, &outcome) in group.drain(..).zip(&outcomes) {
            job.slot.put(outcome);
        }
        shared.counters.publish_usage();
    }
    Ok(())
}

impl LedgerCounters {
    /// Stores what the calling thread has used. One system call per group.
    fn publish_usage(&self) {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_THREAD) else {
            return;
        };
        let cpu = usage.user_time() + usage.system_time();
        let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        self.cpu_us.store(cpu.num_microseconds().unsigned_abs(), Relaxed);
        self.switches.store(switches.unsigned_abs(), Relaxed);
    }
}
