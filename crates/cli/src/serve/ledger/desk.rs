//! Where the ledger's process meets those whom it serves: two coroutines for each connection, one that reads and one
//! that writes.
//!
//! The reader hands in all payments that a read brought at once, and the writer of the books gives all outcomes of a group
//! at once, so payments that come together share a read, a commit and a write. What one connection may have in flight
//! is bounded: beyond that its reader waits, the socket fills, and whoever asks has to wait.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, PoisonError};

use ropewalk::sync::{Condvar, Mutex, MutexGuard};
use ropewalk::{OnFailure, scope_with};

use super::engine::{Client, Engine, Job};
use super::wire::{Frames, Reply, Report, Request, write_reply};
use crate::serve::payment::Outcome;
use crate::serve::socket::Socket;

/// The most payments of one connection that are not answered yet: more than a group has, so that the next one gathers
/// while one is written.
const IN_FLIGHT_MAX: usize = 4096;

/// How much is read at once: some hundred payments.
const READ: usize = 32 << 10;

/// What reaches the socket's writer.
pub(super) struct Outbox {
    state: Mutex<State>,
    /// Signalled when there is something to write, or nothing will come any more.
    filled: Condvar,
    /// Signalled when the reader may read on.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// Payments handed in whose outcome has not been written yet.
    in_flight: usize,
    /// Those of them whose outcome is in `bytes`.
    answered: usize,
    /// The peer sends no more.
    ended: bool,
}

impl Outbox {
    fn new() -> Self {
        Self { state: Mutex::new(State::default()), filled: Condvar::new(), drained: Condvar::new() }
    }

    /// Every change is whole before anything could panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a reply that no payment waits for.
    fn reply(&self, number: u64, reply: &Reply) {
        write_reply(&mut self.lock().bytes, number, reply);
    }

    /// Counts payments that are handed in; waits while there are too many.
    ///
    /// # Waits
    /// Until enough of those before were answered.
    fn admit(&self, payments: usize) {
        let mut state = self.lock();
        while state.in_flight >= IN_FLIGHT_MAX {
            state = self.drained.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.in_flight += payments;
    }

    /// Nothing more will be asked.
    fn end(&self) {
        self.lock().ended = true;
        self.filled.notify_one();
    }

    /// Waits for bytes to be written, and swaps them with `bytes`, which must be empty; `false` when there will be none.
    ///
    /// # Waits
    /// For the writer of the books.
    fn take(&self, bytes: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.bytes.is_empty() {
            if state.ended && state.in_flight == 0 {
                return false;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.bytes, bytes);
        state.in_flight -= std::mem::take(&mut state.answered);
        drop(state);
        self.drained.notify_one();
        true
    }
}

impl Client for Outbox {
    fn put(&self, number: u64, outcome: Outcome) {
        let mut state = self.lock();
        write_reply(&mut state.bytes, number, &Reply::Outcome(outcome));
        state.answered += 1;
    }

    fn send(&self) {
        self.filled.notify_one();
    }
}

/// What all connections of this process share.
pub(super) struct Desk {
    /// The writer of the books.
    pub(super) engine: Engine<Outbox>,
    reported: std::sync::Mutex<Reported>,
}

/// What those who are served have reported.
#[derive(Default)]
struct Reported {
    /// The sum of the last reports of those who are there. Connections are counted in here only.
    live: Report,
    /// The sum of the last reports of those who have gone.
    gone: Report,
}

impl Reported {
    fn replace(&mut self, old: Report, new: Report) {
        let live = &mut self.live;
        let swap = |sum: &mut u64, old: u64, new: u64| *sum = *sum + new - old;
        swap(&mut live.coroutine_switches, old.coroutine_switches, new.coroutine_switches);
        swap(&mut live.connections, old.connections, new.connections);
        swap(&mut live.accept_errors, old.accept_errors, new.accept_errors);
    }

    fn leave(&mut self, last: Report) {
        self.replace(last, Report::default());
        self.gone.coroutine_switches += last.coroutine_switches;
        self.gone.accept_errors += last.accept_errors;
    }

    fn sum(&self) -> Report {
        Report {
            coroutine_switches: self.live.coroutine_switches + self.gone.coroutine_switches,
            connections: self.live.connections,
            accept_errors: self.live.accept_errors + self.gone.accept_errors,
        }
    }
}

impl Desk {
    /// A desk for these books.
    pub(super) fn new(engine: Engine<Outbox>) -> Self {
        Self { engine, reported: std::sync::Mutex::default() }
    }

    fn reported(&self) -> std::sync::MutexGuard<'_, Reported> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection until its peer has gone and all that it asked is done.
    ///
    /// # Waits
    /// For the peer and for the writer of the books.
    pub(super) fn serve(&self, socket: &Socket) {
        let outbox = Arc::new(Outbox::new());
        let mut last = Report::default();
        scope_with(OnFailure::Isolate, |scope| {
            scope.spawn(|| write_replies(&outbox, socket));
            // A peer that has gone, or that talks nonsense, is not read any more; what it asked before is done.
            let _ = self.read_requests(&outbox, socket, &mut last);
            outbox.end();
        });
        self.reported().leave(last);
    }

    fn read_requests(&self, outbox: &Arc<Outbox>, mut socket: &Socket, last: &mut Report) -> io::Result<()> {
        let (mut buffer, mut frames) = (vec![0; READ], Frames::default());
        let mut jobs: Vec<Job<Outbox>> = Vec::new();
        loop {
            let count = socket.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            frames.received(&buffer[..count]);
            let mut replied = false;
            while let Some((number, request)) = frames.next_request()? {
                match request {
                    Request::Pay(payment) => {
                        jobs.push(Job { payment, number, client: Arc::clone(outbox) });
                    }
                    Request::Balance(account) => {
                        outbox.reply(number, &Reply::Balance(self.engine.balance(account)));
                        replied = true;
                    }
                    Request::State => {
                        let reported = self.reported().sum();
                        outbox.reply(number, &Reply::State(self.engine.state(reported)));
                        replied = true;
                    }
                    Request::Report(report) => {
                        self.reported().replace(*last, report);
                        *last = report;
                    }
                }
            }
            if replied {
                outbox.send();
            }
            if !jobs.is_empty() {
                outbox.admit(jobs.len());
                self.engine.push(&mut jobs);
            }
        }
    }
}

/// Writes what is in the outbox until nothing more will come.
fn write_replies(outbox: &Outbox, mut socket: &Socket) {
    let (mut bytes, mut gone) = (Vec::new(), false);
    while outbox.take(&mut bytes) {
        // A peer that has gone needs no replies; its payments are made all the same.
        if !gone && socket.write_all(&bytes).is_err() {
            gone = true;
            // Its reader need not wait for it either; if there is nothing to shut, there is nobody to read from.
            let _ = socket.shutdown(Shutdown::Both);
        }
        bytes.clear();
    }
}
