//! The ledger, through what connections use of it, on a real database.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::books::{self, Clerk};
use super::engine::{Client, Engine, Job};
use super::{Opening, Report};
use crate::serve::payment::{Outcome, Payment};

/// A ledger that has not answered after this time hangs.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ropewalk-ledger-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    fn database(&self) -> PathBuf {
        self.0.join("books.db")
    }

    fn open(&self) -> Engine<Answers> {
        Engine::open(&self.database(), Opening { accounts: 10, balance: 100 }).expect("a ledger")
    }

    fn sqlite(&self) -> Connection {
        Connection::open(self.database()).expect("the database")
    }

    fn number(&self, sql: &str) -> i64 {
        self.sqlite().query_row(sql, [], |row| row.get(0)).expect(sql)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A client that waits for one answer at a time, with a watchdog.
struct Answers {
    sender: Mutex<Sender<(u64, Outcome)>>,
    receiver: Mutex<Receiver<(u64, Outcome)>>,
    /// What was put and not sent.
    gathered: Mutex<Vec<(u64, Outcome)>>,
}

impl Answers {
    fn new() -> Self {
        let (sender, receiver) = channel();
        let (sender, receiver) = (Mutex::new(sender), Mutex::new(receiver));
        Self { sender, receiver, gathered: Mutex::default() }
    }

    fn take(&self) -> (u64, Outcome) {
        self.receiver.lock().expect("receiver").recv_timeout(WATCHDOG).expect("the ledger hangs")
    }
}

impl Client for Answers {
    fn put(&self, number: u64, outcome: Outcome) {
        self.gathered.lock().expect("gathered").push((number, outcome));
    }

    fn send(&self) {
        for answer in self.gathered.lock().expect("gathered").drain(..) {
            self.sender.lock().expect("sender").send(answer).expect("a receiver");
        }
    }
}

fn payment(key: &str, payer: i64, payee: i64, cents: i64) -> Payment {
    Payment { key: key.into(), payer, payee, cents }
}

fn pay(ledger: &Engine<Answers>, key: &str, payer: i64, payee: i64, cents: i64) -> Outcome {
    let client = Arc::new(Answers::new());
    let mut jobs =
        vec![Job { payment: payment(key, payer, payee, cents), number: 7, client: Arc::clone(&client) }];
    ledger.push(&mut jobs);
    if !jobs.is_empty() {
        return Outcome::Unavailable;
    }
    let (number, outcome) = client.take();
    assert_eq!(number, 7);
    outcome
}

fn paid(payer_balance: i64, payee_balance: i64) -> Outcome {
    Outcome::Paid { payer_balance, payee_balance }
}

#[test]
fn payments_are_decided_and_retries_get_the_first_answer() {
    let directory = Directory::new("decide");
    let ledger = directory.open();
    assert_eq!(pay(&ledger, "a", 1, 2, 60), paid(40, 160));
    assert_eq!((ledger.balance(1), ledger.balance(2)), (Some(40), Some(160)));
    assert_eq!(pay(&ledger, "b", 1, 3, 60), Outcome::InsufficientFunds);
    assert_eq!(pay(&ledger, "c", 2, 1, 100), paid(60, 140));
    assert_eq!(pay(&ledger, "b", 1, 3, 60), paid(80, 160), "a refusal is decided anew");
    assert_eq!(pay(&ledger, "a", 1, 2, 60), paid(40, 160), "the first answer");
    assert_eq!(pay(&ledger, "a", 1, 2, 61), Outcome::KeyReused);
    assert_eq!(pay(&ledger, "a", 1, 99, 60), Outcome::KeyReused);
    assert_eq!(pay(&ledger, "d", 1, 11, 1), Outcome::UnknownAccount(11));
    assert_eq!(pay(&ledger, "d", 0, 1, 1), Outcome::UnknownAccount(0));
    assert_eq!(pay(&ledger, "d", i64::MIN, 1, 1), Outcome::UnknownAccount(i64::MIN));
    assert_eq!(pay(&ledger, "d", 1, 2, i64::MAX), Outcome::InsufficientFunds);
    // With the money gone a retry of what was paid is still the first answer.
    assert_eq!(pay(&ledger, "e", 1, 2, 80), paid(0, 140));
    assert_eq!(pay(&ledger, "a", 1, 2, 60), paid(40, 160));
    assert_eq!((ledger.balance(0), ledger.balance(11)), (None, None));
}

#[test]
fn a_closed_ledger_is_continued_and_its_books_balance() {
    let directory = Directory::new("continue");
    let ledger = directory.open();
    assert_eq!(pay(&ledger, "a", 1, 2, 60), paid(40, 160));
    ledger.close();
    assert_eq!(pay(&ledger, "b", 1, 2, 1), Outcome::Unavailable);

    // The opening of an existing database is not asked for again.
    let again = Engine::<Answers>::open(&directory.database(), Opening { accounts: 5, balance: 7 });
    let ledger = again.expect("an existing database");
    assert_eq!(ledger.state(Report::default()).accounts, 10);
    assert_eq!(pay(&ledger, "a", 1, 2, 60), paid(40, 160));
    assert_eq!(pay(&ledger, "b", 1, 2, 1), paid(39, 161));
    ledger.close();
    assert_eq!(directory.number("SELECT sum(balance) FROM accounts"), 1000);
    assert_eq!(directory.number("SELECT sum(cents) FROM entries"), 0);
    assert_eq!(directory.number("SELECT count(*) FROM payments"), 2);
    let unexplained = "SELECT count(*) FROM accounts WHERE balance <> 100 +
         (SELECT coalesce(sum(cents), 0) FROM entries WHERE account = accounts.id)";
    assert_eq!(directory.number(unexplained), 0);
    assert_eq!(directory.number("SELECT value FROM meta WHERE name = 'opening_balance'"), 100);
}

#[test]
fn what_another_program_writes_is_noticed() {
    let directory = Directory::new("outside");
    let ledger = directory.open();
    assert_eq!(pay(&ledger, "a", 1, 2, 60), paid(40, 160));
    directory.sqlite().execute_batch("UPDATE accounts SET balance = 1000 WHERE id = 1").expect("an update");
    assert_eq!(pay(&ledger, "b", 1, 2, 600), paid(400, 760));
    assert_eq!(ledger.balance(1), Some(400));
}

#[test]
fn a_failed_group_leaves_nothing_and_the_next_one_succeeds() {
    let directory = Directory::new("fail");
    let ledger = directory.open();
    assert_eq!(pay(&ledger, "a", 1, 2, 10), paid(90, 110));
    let sqlite = directory.sqlite();
    let trigger = "CREATE TRIGGER full BEFORE UPDATE ON accounts BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlite.execute_batch(trigger).expect("a trigger");
    assert_eq!(pay(&ledger, "b", 1, 2, 20), Outcome::Unavailable);
    assert_eq!(ledger.balance(1), Some(90));
    sqlite.execute_batch("DROP TRIGGER full").expect("no trigger");
    assert_eq!(pay(&ledger, "c", 1, 2, 30), paid(60, 140), "as if `b` had never been");
    assert_eq!(directory.number("SELECT count(*) FROM payments WHERE key = 'b'"), 0);
    assert_eq!(ledger.state(Report::default()).failed_groups, 1);
}

#[test]
fn files_that_are_no_books_are_refused() {
    let directory = Directory::new("foreign");
    let opening = Opening { accounts: 10, balance: 100 };
    std::fs::write(directory.database(), "not a database, but long enough to look at".repeat(100))
        .expect("a file");
    assert!(Engine::<Answers>::open(&directory.database(), opening).is_err());
    std::fs::remove_file(directory.database()).expect("remove");
    directory.sqlite().execute_batch("CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER); INSERT INTO accounts VALUES(7, 1)").expect("a table");
    let error = Engine::<Answers>::open(&directory.database(), opening).err().expect("refused");
    assert!(error.to_string().contains("not a database of this service"), "{error}");
    let rich = Opening { accounts: u32::MAX, balance: i64::MAX / 2 };
    assert!(Engine::<Answers>::open(&directory.0.join("rich.db"), rich).is_err());
}

/// Prints what the ledger alone can do: `cargo test --release -p ropewalk-cli ledger_alone -- --ignored --nocapture`.
#[test]
#[ignore = "measures, and takes half a minute"]
fn ledger_alone() {
    for group in [1, 10, 100, 320, 1000] {
        let directory = Directory::new(&format!("alone-{group}"));
        let opening = Opening { accounts: 10_000, balance: 1_000_000 };
        let (connection, balances) = books::open(&directory.database(), opening).expect("a database");
        let mut clerk = Clerk::new(&connection, balances).expect("a clerk");
        let (mut seed, mut outcomes) = (1_u64, Vec::new());
        let mut draw = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            i64::try_from((seed >> 33) % below).expect("small")
        };
        let (mut longest, mut count, start) = (Duration::ZERO, 0_u32, Instant::now());
        while start.elapsed() < Duration::from_secs(5) {
            let payments: Vec<Payment> = (0..group)
                .map(|_| {
                    let payer = draw(10_000) + 1;
                    payment(&format!("{:08x}-{count}", draw(1 << 31)), payer, payer % 10_000 + 1, 5)
                })
                .collect();
            count += 1;
            outcomes.clear();
            let before = Instant::now();
            let stored = clerk.settle(payments.iter(), &mut outcomes, |_, _| {}).expect("settled");
            longest = longest.max(before.elapsed());
            assert_eq!(stored, group);
        }
        let rate = f64::from(count) * group as f64 / start.elapsed().as_secs_f64();
        println!("groups of {group:4}: {rate:8.0} payments/s, the longest commit took {longest:?}");
    }
}

#[test]
fn thousands_of_payments_on_one_connection_are_all_answered_though_replies_are_read_late() {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::desk::Desk;
    use super::wire::{Frames, Reply, Request, write_request};
    use crate::serve::socket::Socket;

    // More than may be in flight at once.
    const PAYMENTS: u64 = 10_000;
    let directory = Directory::new("desk");
    let opening = Opening { accounts: 10, balance: 1_000_000 };
    let desk = Arc::new(Desk::new(Engine::open(&directory.database(), opening).expect("a ledger")));
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_read_timeout(Some(WATCHDOG)).expect("a timeout");
    let mut sender = ours.try_clone().expect("a clone");
    // Not in a scope: if something hangs, this test fails, and does not wait for it.
    let theirs = Socket::from(OwnedFd::from(theirs));
    let serving = Arc::clone(&desk);
    let served = std::thread::spawn(move || ropewalk::run(|| serving.serve(&theirs)));
    // The kernel takes what fits; the rest follows as it is read.
    let sent = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for number in 0..PAYMENTS {
            let payment = payment(&format!("k{number}"), 1, 2, 1);
            write_request(&mut requests, number, &Request::Pay(payment));
        }
        let report = Report { connections: 3, ..Report::default() };
        write_request(&mut requests, PAYMENTS, &Request::Report(report));
        write_request(&mut requests, PAYMENTS, &Request::State);
        sender.write_all(&requests).expect("all of it is taken");
    });
    let (mut frames, mut buffer) = (Frames::default(), vec![0; 4096]);
    let (mut answered, mut stated) = (vec![false; PAYMENTS as usize], false);
    while !stated || answered.iter().any(|answered| !answered) {
        let count = ours.read(&mut buffer).expect("a reply");
        assert!(count > 0, "the ledger has closed the connection");
        frames.received(&buffer[..count]);
        while let Some((number, reply)) = frames.next_reply().expect("whole frames") {
            match reply {
                Reply::Outcome(Outcome::Paid { .. }) => answered[number as usize] = true,
                Reply::State(state) => {
                    assert_eq!((number, state.reported.connections), (PAYMENTS, 3));
                    stated = true;
                }
                reply => panic!("{reply:?}"),
            }
        }
    }
    sent.join().expect("the sender");
    drop(ours);
    served.join().expect("the ledger's side");
    desk.engine.close();
    assert_eq!(directory.number("SELECT count(*) FROM payments"), PAYMENTS.cast_signed());
}
