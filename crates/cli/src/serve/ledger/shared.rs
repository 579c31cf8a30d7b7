//! One connection to the ledger for all tasks of a process.
//!
//! A task adds its request to a buffer and, if nobody else does, sends what has gathered there; meanwhile the next batch
//! gathers without a system call. Whoever sends goes on until nothing is left, so no request is forgotten. Replies are
//! received by a task of their own, which hands each to the slot that waits for it.
//!
//! # What is promised
//! 1. A request is in the buffer, in a batch that is being sent, or sent, in the order in which they were made.
//! 2. As long as `sending` is set, somebody is on the way to look into the buffer: who adds a request then need not.
//! 3. Each slot in `waiting` gets one reply: the ledger's, or [`Reply::Gone`] when the connection ends.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::wire::{Frames, Reply, Report, Request, write_request};
use super::{Ledger, ReplySlot};

/// How much is received at once: some hundred replies.
const READ: usize = 32 << 10;

/// How a plan sends to the ledger.
pub(in crate::serve) trait Wire: Send + Sync + 'static {
    /// Called before each batch is closed: lets others who are about to ask go first, where that costs nothing.
    fn gather(&self);

    /// Sends all of `bytes`.
    fn send(&self, bytes: &[u8]) -> io::Result<()>;

    /// Ends the connection, which whoever receives from it notices.
    fn close(&self);
}

/// What is reported with each batch, in processes that are one of several.
pub(in crate::serve) type Reporter = Box<dyn Fn() -> Report + Send + Sync>;

/// The connection; `R` is how a task waits for its reply.
pub(in crate::serve) struct Shared<R> {
    state: Mutex<State<R>>,
    wire: Box<dyn Wire>,
    reporter: Option<Reporter>,
}

/// What the lock guards. It is never held over a wait.
struct State<R> {
    /// Frames to be sent.
    outgoing: Vec<u8>,
    /// Somebody is about to send what is in `outgoing`.
    sending: bool,
    /// Who waits for the reply to the request of this number.
    waiting: Vec<Option<Arc<R>>>,
    /// Numbers that are not in use.
    free: Vec<usize>,
    /// The connection has ended.
    gone: bool,
}

impl<R> State<R> {
    /// Gives a slot a number.
    fn enter(&mut self, slot: Arc<R>) -> u64 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            self.waiting.len() - 1
        });
        self.waiting[number] = Some(slot);
        number as u64
    }

    /// The slot of a number, which is free then.
    fn leave(&mut self, number: u64) -> Option<Arc<R>> {
        let number = usize::try_from(number).ok()?;
        let slot = self.waiting.get_mut(number)?.take()?;
        self.free.push(number);
        Some(slot)
    }
}

impl<R: ReplySlot> Shared<R> {
    /// A connection that sends over `wire`; somebody has to [receive](Self::receive).
    pub(in crate::serve) fn new(wire: impl Wire, reporter: Option<Reporter>) -> Arc<Self> {
        let state = State {
            outgoing: Vec::new(),
            sending: false,
            waiting: Vec::new(),
            free: Vec::new(),
            gone: false,
        };
        Arc::new(Self { state: Mutex::new(state), wire: Box::new(wire), reporter })
    }

    /// Every change is whole before anything could panic.
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Receives replies until the connection ends.
    ///
    /// # Waits
    /// For the ledger.
    pub(in crate::serve) fn receive(&self, mut wire: impl Read) {
        let (mut buffer, mut frames) = (vec![0; READ], Frames::default());
        let mut arrived: Vec<(Arc<R>, Reply)> = Vec::new();
        loop {
            match wire.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => frames.received(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            }
            let mut state = self.lock();
            let nonsense = loop {
                match frames.next_reply() {
                    Ok(Some((number, reply))) => {
                        arrived.extend(state.leave(number).map(|slot| (slot, reply)));
                    }
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            };
            drop(state);
            for (slot, reply) in arrived.drain(..) {
                slot.put(reply);
            }
            if nonsense {
                break;
            }
        }
        self.end();
    }

    /// The connection has ended: whoever waits is told, and whoever comes.
    fn end(&self) {
        self.wire.close();
        let mut state = self.lock();
        state.gone = true;
        let waiting: Vec<_> = state.waiting.drain(..).flatten().collect();
        state.free.clear();
        drop(state);
        for slot in waiting {
            slot.put(Reply::Gone);
        }
    }

    /// Ends the connection. Nobody may be waiting.
    pub(in crate::serve) fn close(&self) {
        self.wire.close();
    }

    /// Sends what has gathered, and what gathers meanwhile.
    fn send(&self) {
        // Whoever unwinds out of here may have sent half a frame: nothing can follow that.
        let broken = EndOnDrop(self);
        let mut batch = Vec::new();
        loop {
            self.wire.gather();
            let mut state = self.lock();
            if state.outgoing.is_empty() {
                state.sending = false;
                // Its room is kept for the next batches.
                batch.clear();
                state.outgoing = batch;
                break;
            }
            batch.clear();
            std::mem::swap(&mut state.outgoing, &mut batch);
            drop(state);
            if let Some(reporter) = &self.reporter {
                write_request(&mut batch, 0, &Request::Report(reporter()));
            }
            if self.wire.send(&batch).is_err() {
                return;
            }
        }
        std::mem::forget(broken);
    }
}

/// Ends the connection when it is dropped.
struct EndOnDrop<'s, R: ReplySlot>(&'s Shared<R>);

impl<R: ReplySlot> Drop for EndOnDrop<'_, R> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<R: ReplySlot> Ledger for Arc<Shared<R>> {
    type Slot = Arc<R>;

    fn slot(&self) -> Arc<R> {
        Arc::new(R::new())
    }

    fn ask(&self, request: &Request, slot: &Arc<R>) -> Reply {
        let mut state = self.lock();
        if state.gone {
            return Reply::Gone;
        }
        let number = state.enter(Arc::clone(slot));
        write_request(&mut state.outgoing, number, request);
        let send = !std::mem::replace(&mut state.sending, true);
        drop(state);
        if send {
            self.send();
        }
        slot.take()
    }

    fn tell(&self, report: Report) {
        let mut state = self.lock();
        if state.gone {
            return;
        }
        write_request(&mut state.outgoing, 0, &Request::Report(report));
        let send = !std::mem::replace(&mut state.sending, true);
        drop(state);
        if send {
            self.send();
        }
    }
}
