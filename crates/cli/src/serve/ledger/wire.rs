//! What goes over the socket between those who serve and the ledger's process: requests one way, replies the other.
//!
//! A frame is the length of the rest (4 bytes), its kind (1 byte), the request's number (8 bytes) and what belongs to the
//! kind; all numbers in the machine's order, since both ends are the same program on the same machine. Frames stand one
//! behind the other, so that any number of them can share a write and a read. A reply has the number of its request, and
//! replies come in any order.

use std::io;

use crate::serve::payment::{Outcome, Payment};

/// The longest frame that is believed: a payment with a key of 255 bytes has less.
const FRAME_MAX: usize = 512;
/// The bytes of a frame's length.
const LENGTH: usize = 4;

/// What is asked of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Request {
    /// Decide and store a payment. Answered when it is on the disk.
    Pay(Payment),
    /// The balance of an account as of the last commit.
    Balance(i64),
    /// What the ledger, and those whom it serves, have done so far.
    State,
    /// What the sender has done so far. Not answered.
    Report(Report),
}

/// What the ledger answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Reply {
    /// To a payment.
    Outcome(Outcome),
    /// To the question for a balance; nothing if there is no such account.
    Balance(Option<i64>),
    /// To the question for the state.
    State(LedgerState),
    /// Not sent: the ledger has ended, and whether it has done what was asked is not known.
    Gone,
}

/// What a process that serves connections has done, for whoever asks the ledger for its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Report {
    /// Switches between coroutines so far.
    pub(in crate::serve) coroutine_switches: u64,
    /// Connections that it has now.
    pub(in crate::serve) connections: u64,
    /// Connections that it could not accept or start so far.
    pub(in crate::serve) accept_errors: u64,
}

/// What the ledger's process has done so far, and the sum of what was reported to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct LedgerState {
    /// Its process.
    pub(in crate::serve) pid: u64,
    /// How many accounts there are.
    pub(in crate::serve) accounts: u64,
    /// CPU time of its process, user and system, in microseconds.
    pub(in crate::serve) cpu_us: u64,
    /// The part of it of the thread that writes.
    pub(in crate::serve) writer_cpu_us: u64,
    /// Switches of its threads by the kernel.
    pub(in crate::serve) switches: u64,
    /// Payments stored.
    pub(in crate::serve) payments: u64,
    /// Groups committed that stored something.
    pub(in crate::serve) groups: u64,
    /// Groups that failed and were rolled back.
    pub(in crate::serve) failed_groups: u64,
    /// What those who serve connections have reported.
    pub(in crate::serve) reported: Report,
}

/// Appends a request's frame.
pub(in crate::serve) fn write_request(out: &mut Vec<u8>, number: u64, request: &Request) {
    match request {
        Request::Pay(payment) => frame(out, 1, number, |out| {
            put(out, [payment.payer, payment.payee, payment.cents].map(i64::cast_unsigned));
            out.extend_from_slice(payment.key.as_bytes());
        }),
        Request::Balance(account) => frame(out, 2, number, |out| put(out, [account.cast_unsigned()])),
        Request::State => frame(out, 3, number, |_| {}),
        Request::Report(report) => frame(out, 4, number, |out| put(out, report.to_words())),
    }
}

/// Appends a reply's frame. [`Reply::Gone`] has none.
pub(super) fn write_reply(out: &mut Vec<u8>, number: u64, reply: &Reply) {
    match reply {
        Reply::Outcome(outcome) => frame(out, 1, number, |out| {
            let (code, one, other) = outcome_to_words(*outcome);
            put(out, [code, one.cast_unsigned(), other.cast_unsigned()]);
        }),
        Reply::Balance(balance) => frame(out, 2, number, |out| {
            put(out, [u64::from(balance.is_some()), balance.unwrap_or(0).cast_unsigned()]);
        }),
        Reply::State(state) => frame(out, 3, number, |out| put(out, state.to_words())),
        Reply::Gone => {}
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, number: u64, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    out.push(kind);
    put(out, [number]);
    body(out);
    let length = (out.len() - start - LENGTH) as u32;
    out[start..start + LENGTH].copy_from_slice(&length.to_ne_bytes());
}

fn put<const N: usize>(out: &mut Vec<u8>, words: [u64; N]) {
    for word in words {
        out.extend_from_slice(&word.to_ne_bytes());
    }
}

/// Bytes as they arrive, cut into frames.
#[derive(Debug, Default)]
pub(in crate::serve) struct Frames {
    /// Received and not taken yet.
    bytes: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
}

impl Frames {
    /// Adds what was received.
    pub(in crate::serve) fn received(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one: kind, number and body.
    fn next(&mut self) -> io::Result<Option<(u8, u64, &[u8])>> {
        let rest = &self.bytes[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_ne_bytes(*length) as usize;
        if length > FRAME_MAX {
            return Err(invalid("it is longer than a frame can be"));
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        self.taken += LENGTH + length;
        let (&kind, rest) = frame.split_first().ok_or_else(|| invalid("it is empty"))?;
        let (number, body) = rest.split_first_chunk::<8>().ok_or_else(|| invalid("it has no number"))?;
        Ok(Some((kind, u64::from_ne_bytes(*number), body)))
    }

    /// The next request that has arrived whole, and its number.
    ///
    /// # Errors
    /// The peer does not keep to the format.
    pub(super) fn next_request(&mut self) -> io::Result<Option<(u64, Request)>> {
        let Some((kind, number, body)) = self.next()? else { return Ok(None) };
        let request = match kind {
            1 => {
                let ([payer, payee, cents], key) = words(body)?;
                let key = std::str::from_utf8(key).map_err(|_| invalid("its key is no text"))?;
                let [payer, payee, cents] = [payer, payee, cents].map(u64::cast_signed);
                Request::Pay(Payment { key: key.into(), payer, payee, cents })
            }
            2 => Request::Balance(all_words::<1>(body)?[0].cast_signed()),
            3 => Request::State,
            4 => Request::Report(Report::from_words(all_words(body)?)),
            _ => return Err(invalid("it is of no known kind")),
        };
        Ok(Some((number, request)))
    }

    /// The next reply that has arrived whole, and its number.
    ///
    /// # Errors
    /// The peer does not keep to the format.
    pub(super) fn next_reply(&mut self) -> io::Result<Option<(u64, Reply)>> {
        let Some((kind, number, body)) = self.next()? else { return Ok(None) };
        let reply = match kind {
            1 => {
                let [code, one, other] = all_words(body)?;
                Reply::Outcome(outcome_from_words(code, one.cast_signed(), other.cast_signed())?)
            }
            2 => {
                let [known, balance] = all_words(body)?;
                Reply::Balance((known != 0).then_some(balance.cast_signed()))
            }
            3 => Reply::State(LedgerState::from_words(all_words(body)?)),
            _ => return Err(invalid("it is of no known kind")),
        };
        Ok(Some((number, reply)))
    }
}

fn words<const N: usize>(body: &[u8]) -> io::Result<([u64; N], &[u8])> {
    let mut words = [0; N];
    let mut rest = body;
    for word in &mut words {
        let (bytes, behind) = rest.split_first_chunk::<8>().ok_or_else(|| invalid("it is too short"))?;
        *word = u64::from_ne_bytes(*bytes);
        rest = behind;
    }
    Ok((words, rest))
}

fn all_words<const N: usize>(body: &[u8]) -> io::Result<[u64; N]> {
    match words(body)? {
        (words, []) => Ok(words),
        _ => Err(invalid("it is too long")),
    }
}

#[cold]
fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("what came is no frame of the ledger's: {why}"))
}

fn outcome_to_words(outcome: Outcome) -> (u64, i64, i64) {
    match outcome {
        Outcome::Paid { payer_balance, payee_balance } => (0, payer_balance, payee_balance),
        Outcome::InsufficientFunds => (1, 0, 0),
        Outcome::KeyReused => (2, 0, 0),
        Outcome::UnknownAccount(account) => (3, account, 0),
        Outcome::Unavailable => (4, 0, 0),
    }
}

fn outcome_from_words(code: u64, one: i64, other: i64) -> io::Result<Outcome> {
    Ok(match code {
        0 => Outcome::Paid { payer_balance: one, payee_balance: other },
        1 => Outcome::InsufficientFunds,
        2 => Outcome::KeyReused,
        3 => Outcome::UnknownAccount(one),
        4 => Outcome::Unavailable,
        _ => return Err(invalid("it has no known outcome")),
    })
}

impl Report {
    fn to_words(self) -> [u64; 3] {
        [self.coroutine_switches, self.connections, self.accept_errors]
    }

    fn from_words([coroutine_switches, connections, accept_errors]: [u64; 3]) -> Self {
        Self { coroutine_switches, connections, accept_errors }
    }
}

impl LedgerState {
    fn to_words(self) -> [u64; 11] {
        let [switches, connections, errors] = self.reported.to_words();
        [
            self.pid,
            self.accounts,
            self.cpu_us,
            self.writer_cpu_us,
            self.switches,
            self.payments,
            self.groups,
            self.failed_groups,
            switches,
            connections,
            errors,
        ]
    }

    fn from_words(words: [u64; 11]) -> Self {
        let [pid, accounts, cpu_us, writer_cpu_us, switches, payments, groups, failed_groups, reported @ ..] =
            words;
        let reported = Report::from_words(reported);
        Self { pid, accounts, cpu_us, writer_cpu_us, switches, payments, groups, failed_groups, reported }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        let payment = |key: &str| Payment { key: key.into(), payer: 1, payee: i64::MIN, cents: i64::MAX };
        vec![
            Request::Pay(payment("aé\"")),
            Request::Pay(payment(&"k".repeat(255))),
            Request::Balance(-7),
            Request::State,
            Request::Report(Report { coroutine_switches: 1, connections: 2, accept_errors: u64::MAX }),
        ]
    }

    fn replies() -> Vec<Reply> {
        let reported = Report { coroutine_switches: 8, connections: 9, accept_errors: 10 };
        vec![
            Reply::Outcome(Outcome::Paid { payer_balance: 0, payee_balance: -1 }),
            Reply::Outcome(Outcome::InsufficientFunds),
            Reply::Outcome(Outcome::KeyReused),
            Reply::Outcome(Outcome::UnknownAccount(-3)),
            Reply::Outcome(Outcome::Unavailable),
            Reply::Balance(None),
            Reply::Balance(Some(i64::MIN)),
            Reply::State(LedgerState {
                pid: 11,
                accounts: 1,
                cpu_us: 2,
                writer_cpu_us: 3,
                switches: 4,
                payments: 5,
                groups: 6,
                failed_groups: 7,
                reported,
            }),
        ]
    }

    #[test]
    fn frames_arrive_whole_however_the_bytes_are_cut() {
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        for (number, request) in (0..).zip(&requests()) {
            write_request(&mut asked, number, request);
        }
        for (number, reply) in (0..).zip(&replies()) {
            write_reply(&mut answered, number, reply);
        }
        for size in [1, 2, 7, 64, 4096] {
            let (mut frames, mut seen) = (Frames::default(), Vec::new());
            for part in asked.chunks(size) {
                frames.received(part);
                while let Some((number, request)) = frames.next_request().unwrap() {
                    assert_eq!(number, seen.len() as u64);
                    seen.push(request);
                }
            }
            assert_eq!(seen, requests(), "in pieces of {size}");
            let (mut frames, mut seen) = (Frames::default(), Vec::new());
            for part in answered.chunks(size) {
                frames.received(part);
                while let Some((number, reply)) = frames.next_reply().unwrap() {
                    assert_eq!(number, seen.len() as u64);
                    seen.push(reply);
                }
            }
            assert_eq!(seen, replies(), "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let frame = |length: u32, rest: &[u8]| [&length.to_ne_bytes()[..], rest].concat();
        let mut no_text = Vec::new();
        let payment = Payment { key: "kk".into(), payer: 1, payee: 2, cents: 3 };
        write_request(&mut no_text, 1, &Request::Pay(payment));
        *no_text.last_mut().unwrap() = 0xff;
        let state_with_more = frame(18, &[&[2][..], &[0; 16], &[0; 1]].concat());
        for bytes in [
            frame(u32::MAX, &[]),
            frame(0, &[]),
            frame(1, &[1]),
            frame(9, &[9; 9]),
            frame(9, &[1; 9]),
            no_text,
            state_with_more,
        ] {
            let mut frames = Frames::default();
            frames.received(&bytes);
            assert!(frames.next_request().is_err(), "{bytes:?}");
            let mut frames = Frames::default();
            frames.received(&bytes);
            assert!(frames.next_reply().is_err(), "{bytes:?}");
        }
    }
}
