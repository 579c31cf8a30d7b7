//! One connection, from its first byte to its last: the same code under every plan.
//!
//! Replies gather until no complete request waits any more; then they leave in one system call,
//! always before the next read. So a single request costs one read and one write, and pipelined
//! ones share both. What a client may take - header, body, time - is limited here, and a client
//! that breaks a limit or the protocol gets a reply that says so and loses only its own connection.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::net::SendFlags;

use super::api::{self, Answer, Route};
use super::http::{
    BodyLength, CONTINUE, Chunked, Head, Input, Method, Persistence, Progress, Refusal, Reply, ReplyHead,
    Status,
};
use super::ledger::Ledger;
use super::plan::Stream;
use super::registry::Live;
use super::service::Service;

/// Replies to pipelined requests are sent when they have become so many bytes.
const REPLY_BATCH: usize = 16 << 10;

/// Room for chunk sizes and trailers that are being looked at, beside header and body.
const CHUNK_ROOM: usize = 8 << 10;

/// How long, and for how many bytes, a client that was refused is listened to, so that it finds
/// the reply: closing a socket with unread bytes would throw the reply away.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;

/// Why a connection ends.
enum End {
    /// The client has gone, or may go: nothing to say.
    Gone,
    /// The client broke the protocol or a limit; what follows cannot be understood.
    Refused(Refusal),
}

impl From<io::Error> for End {
    /// A broken connection is the client's affair and nothing to report.
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Serves a connection until it ends.
///
/// # Waits
/// For the client, and for the ledger.
pub(super) fn serve<L: Ledger, V: Live>(service: &Service<L>, live: &V) {
    let mut connection = Connection {
        service,
        live,
        input: Input::new(),
        reply: Reply::new(),
        slot: service.ledger.slot(),
        deadline: None,
    };
    // Nobody to tell: either the client has gone, or it has got its replies.
    let _ = connection.run();
}

/// Tells a client that no task could be started for its connection. Never waits: the socket is new,
/// so there is room in it for a reply.
pub(super) fn refuse<S: Stream>(stream: &S) {
    let mut reply = Reply::new();
    let message = "there is no room for another connection now; try again later";
    let refusal = Refusal::new(Status::UNAVAILABLE, message).with_headers(api::RETRY_AFTER);
    write_refusal(&mut reply, &refusal, Persistence::Close, false);
    // The client may have gone, too.
    let _ = rustix::net::send(stream, reply.bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    let _ = stream.shutdown(Shutdown::Write);
}

/// A connection's state; all of it belongs to its task.
struct Connection<'s, L: Ledger, V> {
    service: &'s Service<L>,
    live: &'s V,
    input: Input,
    reply: Reply,
    /// Where the ledger's answers arrive.
    slot: L::Slot,
    /// When the request that has begun to arrive must be complete.
    deadline: Option<Instant>,
}

impl<L: Ledger, V: Live> Connection<'_, L, V> {
    /// Answers requests until the connection ends.
    fn run(&mut self) -> io::Result<()> {
        self.live.stream().prepare(self.service.terms.limits.request_timeout)?;
        loop {
            match self.exchange() {
                Ok(Persistence::Close) if self.input.is_empty() => return self.flush(),
                Ok(Persistence::Close) => {
                    self.flush()?;
                    return self.linger();
                }
                Ok(Persistence::Keep | Persistence::KeepOld) => {}
                Err(End::Refused(refusal)) => {
                    write_refusal(&mut self.reply, &refusal, Persistence::Close, false);
                    self.flush()?;
                    return self.linger();
                }
                Err(End::Gone) => return Ok(()),
            }
        }
    }

    /// Receives one request and answers it.
    fn exchange(&mut self) -> Result<Persistence, End> {
        let head = self.receive_head()?;
        let route = Route::find(head.method, &self.input.bytes()[head.path.clone()]);
        if let (Err(refusal), true) = (&route, head.expects_continue) {
            // The client asks before it sends the body: it need not.
            return Err(End::Refused(refusal.clone()));
        }
        let (body, consumed) = self.receive_body(&head)?;
        self.deadline = None;

        let bytes = self.input.bytes();
        let signature = head.signature.as_ref().map(|range| &bytes[range.clone()]);
        let body = &bytes[head.len..head.len + body];
        let answer = route.and_then(|route| api::answer(self.service, &self.slot, route, signature, body));
        let persistence = if !head.keep_alive || self.live.is_draining() {
            Persistence::Close
        } else if head.old {
            Persistence::KeepOld
        } else {
            Persistence::Keep
        };
        let omit_body = head.method == Method::Head;
        match answer {
            Ok(answer) => write_answer(&mut self.reply, &answer, persistence, omit_body),
            Err(refusal) => write_refusal(&mut self.reply, &refusal, persistence, omit_body),
        }
        self.input.consume(consumed);
        if self.reply.bytes().len() >= REPLY_BATCH {
            self.flush()?;
        }
        Ok(persistence)
    }

    /// Receives a request's head.
    fn receive_head(&mut self) -> Result<Head, End> {
        loop {
            if !self.input.is_empty() {
                let parsed = Head::parse(self.input.bytes(), self.service.terms.limits.header);
                if let Some(head) = parsed.map_err(End::Refused)? {
                    return Ok(head);
                }
            }
            self.receive()?;
        }
    }

    /// Receives a request's body. It stands behind the head then. Returns its length and the
    /// length of the whole request, which differ when it came in chunks.
    fn receive_body(&mut self, head: &Head) -> Result<(usize, usize), End> {
        let limit = self.service.terms.limits.body;
        match head.body {
            BodyLength::Known(0) => Ok((0, head.len)),
            BodyLength::Known(length) => {
                let body = usize::try_from(length).unwrap_or(usize::MAX);
                if body > limit {
                    let message = format!("the body is larger than {limit} bytes; send less");
                    return Err(End::Refused(Refusal::new(Status::CONTENT_TOO_LARGE, message)));
                }
                let whole = head.len + body;
                if head.expects_continue && self.input.len() < whole {
                    self.reply.push(CONTINUE);
                }
                while self.input.len() < whole {
                    self.receive()?;
                }
                Ok((body, whole))
            }
            BodyLength::Chunked => {
                if head.expects_continue && self.input.len() == head.len {
                    self.reply.push(CONTINUE);
                }
                let mut chunked = Chunked::new(limit);
                loop {
                    let bytes = &mut self.input.bytes_mut()[head.len..];
                    match chunked.decode(bytes).map_err(End::Refused)? {
                        Progress::Done { body, consumed } => {
                            return Ok((body, head.len + consumed));
                        }
                        Progress::More { from, to } => {
                            self.input.cut(head.len + from, head.len + to);
                            self.receive()?;
                        }
                    }
                }
            }
        }
    }

    /// Sends the replies that wait, then receives more bytes.
    fn receive(&mut self) -> Result<(), End> {
        self.flush()?;
        let limits = &self.service.terms.limits;
        let stream = self.live.stream();
        let idle = self.input.is_empty();
        if !idle {
            stream.set_read_timeout(self.time_left()?)?;
        }
        let room = self.input.room(limits.header + limits.body + CHUNK_ROOM);
        let received = if idle { self.live.read_first(room, limits.idle_timeout) } else { stream.read(room) };
        match received {
            Ok(0) => Err(End::Gone),
            Ok(count) => {
                self.input.filled(count);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => Ok(()),
                ErrorKind::WouldBlock | ErrorKind::TimedOut if !idle => Ok(()),
                _ => Err(End::Gone),
            },
        }
    }

    /// The time in which the request that has begun must be complete.
    fn time_left(&mut self) -> Result<Duration, End> {
        let timeout = self.service.terms.limits.request_timeout;
        let now = Instant::now();
        let left = self.deadline.get_or_insert(now + timeout).saturating_duration_since(now);
        if left.is_zero() {
            let message =
                format!("the request was not complete within {} s; send it faster", timeout.as_secs_f64());
            return Err(End::Refused(Refusal::new(Status::REQUEST_TIMEOUT, message)));
        }
        Ok(left)
    }

    /// Sends the replies that wait.
    fn flush(&mut self) -> io::Result<()> {
        if self.reply.bytes().is_empty() {
            return Ok(());
        }
        self.live.stream().write_all(self.reply.bytes())?;
        self.reply.clear();
        Ok(())
    }

    /// Tells the client that nothing more comes, and throws away what it still sends.
    fn linger(&mut self) -> io::Result<()> {
        let stream = self.live.stream();
        stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + LINGER;
        let mut thrown_away = 0;
        while thrown_away < LINGER_BYTES {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            stream.set_read_timeout(left)?;
            self.input.consume(self.input.len());
            match stream.read(self.input.room(0)) {
                Ok(0) => break,
                Ok(count) => thrown_away += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Appends an answer.
fn write_answer(reply: &mut Reply, answer: &Answer, persistence: Persistence, omit_body: bool) {
    let head = ReplyHead { status: Status::OK, headers: "", persistence, omit_body };
    reply.respond(head, |out| answer.write(out));
}

/// Appends a refusal.
fn write_refusal(reply: &mut Reply, refusal: &Refusal, persistence: Persistence, omit_body: bool) {
    let head = ReplyHead { status: refusal.status, headers: refusal.headers, persistence, omit_body };
    reply.respond(head, |out| api::write_refusal(refusal, out));
}
