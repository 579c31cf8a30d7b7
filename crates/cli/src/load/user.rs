//! One user: dials, waits for the start, then pays and waits for the answer, over and over.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use ropewalk::net::TcpStream;
use ropewalk::sync::Semaphore;

use crate::load::http::Connection;
use crate::load::journal::Entry;
use crate::load::payments::{Bank, Draws, Payment, Request, Work, signing_key};
use crate::load::stage::Stage;
use crate::load::summary::Answers;

/// What all users of a run have in common.
pub(super) struct Brief {
    /// Where the service listens.
    pub(super) address: SocketAddr,
    /// What the requests do.
    pub(super) work: Work,
    /// What they are drawn from.
    pub(super) seed: u64,
    /// The accounts there are.
    pub(super) bank: Bank,
    /// Makes the keys of this run unlike those of any other.
    pub(super) run: u64,
    /// The longest wait for one answer, dialling included.
    pub(super) patience: Duration,
    /// Who may dial: the backlog of a listener is finite.
    pub(super) dialling: Semaphore,
    /// Signs payments, if the work asks for it.
    pub(super) signer: Option<SigningKey>,
    /// The phases.
    pub(super) stage: Stage,
}

impl Brief {
    /// The key that signs this work's payments.
    pub(super) fn signer(work: Work, seed: u64) -> Option<SigningKey> {
        work.is_signed().then(|| signing_key(seed))
    }
}

/// What one user did.
#[derive(Default)]
pub(super) struct Record {
    user: u32,
    run: u64,
    /// Its payments, in order; the place is part of the key.
    sent: Vec<Sent>,
    /// Latencies that belong to the payment clock, in nanoseconds.
    pub(super) latencies: Vec<u64>,
    /// All answers.
    pub(super) answers: Answers,
}

/// A payment and its answer's status.
struct Sent {
    payment: Payment,
    status: Option<u16>,
}

impl Record {
    /// The user's part of the journal.
    pub(super) fn journal(&self) -> impl Iterator<Item = Entry> + '_ {
        self.sent.iter().enumerate().map(|(place, sent)| Entry {
            key: key(self.run, self.user, place),
            payment: sent.payment,
            status: sent.status,
        })
    }
}

/// The key of a user's payment: never the same twice, in no run.
fn key(run: u64, user: u32, place: usize) -> String {
    format!("{run:x}-{user}-{place}")
}

/// A user's place in the run. Dropping it takes the user off the stage, also when the user is cancelled, panics, or
/// could never start: the director counts who is left.
pub(super) struct Seat {
    brief: Arc<Brief>,
    trouble: Option<String>,
}

impl Seat {
    /// A place for a user that is about to start.
    pub(super) fn new(brief: &Arc<Brief>) -> Self {
        Self { brief: Arc::clone(brief), trouble: Some("a user could not start".to_owned()) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.brief.stage.leave(self.trouble.take());
    }
}

/// Lives one user's life, to the end of the run.
pub(super) fn live(user: u32, mut seat: Seat) -> Record {
    seat.trouble = None;
    let brief = Arc::clone(&seat.brief);
    let mut record = Record { user, run: brief.run, ..Record::default() };
    seat.trouble = match dial(&brief) {
        Ok(Some(connection)) if brief.stage.arrive_and_wait() => {
            pay(user, &brief, connection, &mut record).err().map(|error| describe(&error, "was served"))
        }
        Ok(_) => None,
        Err(error) => Some(describe(&error, "could connect")),
    };
    record
}

fn describe(error: &io::Error, what: &str) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("a user {what} too late: no answer in time")
        }
        _ => format!("not every user {what}: {error}"),
    }
}

/// Connects and is greeted: a connection that only the kernel's backlog has taken does not count. `None` when the
/// run was stopped meanwhile.
fn dial(brief: &Brief) -> io::Result<Option<Connection<TcpStream>>> {
    let _permit = brief.dialling.acquire();
    if brief.stage.is_stopped() {
        return Ok(None);
    }
    let mut connection = connect(brief.address, brief.patience)?;
    connection.prepare_get(format_args!("/health"))?;
    let reply = connection.exchange()?;
    if reply.status == 200 {
        Ok(Some(connection))
    } else {
        Err(io::Error::other(format!(
            "status {} from /health: {}",
            reply.status,
            String::from_utf8_lossy(reply.body).trim_end()
        )))
    }
}

/// A connection that waits no longer than `patience` for anything.
pub(super) fn connect(address: SocketAddr, patience: Duration) -> io::Result<Connection<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(Connection::new(stream, address.to_string()))
}

/// Sends requests until the run is stopped, each after the answer to the one before.
fn pay(
    user: u32,
    brief: &Brief,
    mut connection: Connection<TcpStream>,
    record: &mut Record,
) -> io::Result<()> {
    let mut draws = Draws::new(brief.seed, user, brief.work, brief.bank);
    while !brief.stage.is_stopped() {
        let payment = match draws.next_request() {
            Request::Pay { payment, signed } => {
                let key = key(brief.run, user, record.sent.len());
                let signer = brief.signer.as_ref().filter(|_| signed);
                connection.prepare_payment(&key, payment, signer)?;
                record.sent.push(Sent { payment, status: None });
                true
            }
            Request::Read(account) => {
                connection.prepare_get(format_args!("/accounts/{account}"))?;
                false
            }
        };
        let start = Instant::now();
        let reply = connection.exchange();
        let latency = start.elapsed();
        let status = reply.as_ref().ok().map(|reply| reply.status);
        record.answers.count(status);
        if let (true, Some(sent)) = (payment, record.sent.last_mut()) {
            sent.status = status;
        }
        let reply = reply?;
        if !matches!(reply.status, 200 | 409) {
            let body = String::from_utf8_lossy(reply.body);
            return Err(io::Error::other(format!("status {}: {}", reply.status, body.trim_end())));
        }
        if brief.stage.answered() {
            record.latencies.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    Ok(())
}
