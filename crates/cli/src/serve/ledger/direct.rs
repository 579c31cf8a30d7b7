//! A connection to the ledger for one task, which has a process of its own: it writes a request and reads its reply.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use super::Ledger;
use super::wire::{Frames, Reply, Report, Request, write_request};

/// How much is read at once: replies have less than 100 bytes.
const READ: usize = 256;

/// The connection.
#[derive(Debug)]
pub(in crate::serve) struct Direct {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Plain system calls: nobody else runs in the process while this waits.
    socket: UnixStream,
    frames: Frames,
    outgoing: Vec<u8>,
    /// The number of the last request.
    number: u64,
}

impl Direct {
    /// The ledger behind a socket from [`connect`](super::LedgerProcess::connect).
    pub(in crate::serve) fn new(socket: OwnedFd) -> Self {
        let state =
            State { socket: socket.into(), frames: Frames::default(), outgoing: Vec::new(), number: 0 };
        Self { state: Mutex::new(state) }
    }

    /// Asks, and waits for the reply.
    ///
    /// # Waits
    /// For the ledger: the calling thread.
    pub(in crate::serve) fn ask(&self, request: &Request) -> Reply {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.exchange(request).unwrap_or(Reply::Gone)
    }
}

impl State {
    fn send(&mut self, request: &Request) -> io::Result<()> {
        self.number += 1;
        self.outgoing.clear();
        write_request(&mut self.outgoing, self.number, request);
        self.socket.write_all(&self.outgoing)
    }

    fn exchange(&mut self, request: &Request) -> io::Result<Reply> {
        self.send(request)?;
        let mut buffer = [0; READ];
        loop {
            match self.frames.next_reply()? {
                Some((number, reply)) if number == self.number => return Ok(reply),
                // To a request that this one's task has given up; none does.
                Some(_) => {}
                None => match self.socket.read(&mut buffer) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(count) => self.frames.received(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                },
            }
        }
    }
}

impl Ledger for Direct {
    type Slot = ();

    fn slot(&self) {}

    fn ask(&self, request: &Request, (): &()) -> Reply {
        self.ask(request)
    }

    fn tell(&self, report: Report) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // If the ledger has gone, the next request finds out.
        let _ = state.send(&Request::Report(report));
    }
}
