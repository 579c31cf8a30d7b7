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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::super::wire::write_reply;
    use super::*;

    /// A reply that has not come after this time is lost.
    const WATCHDOG: Duration = Duration::from_secs(60);

    /// A slot for any thread, with a watchdog.
    struct ChannelSlot(Mutex<Sender<Reply>>, Mutex<Receiver<Reply>>);

    impl ReplySlot for ChannelSlot {
        fn new() -> Self {
            let (sender, receiver) = channel();
            Self(Mutex::new(sender), Mutex::new(receiver))
        }

        fn put(&self, reply: Reply) {
            self.0.lock().expect("sender").send(reply).expect("a receiver");
        }

        fn take(&self) -> Reply {
            self.1.lock().expect("receiver").recv_timeout(WATCHDOG).expect("no reply came")
        }
    }

    struct Socket(UnixStream);

    impl Wire for Socket {
        fn gather(&self) {
            std::thread::yield_now();
        }

        fn send(&self, bytes: &[u8]) -> io::Result<()> {
            (&self.0).write_all(bytes)
        }

        fn close(&self) {
            let _ = self.0.shutdown(Shutdown::Both);
        }
    }

    /// A connection with somebody who receives, and its other end.
    fn connect(reporter: Option<Reporter>) -> (Arc<Shared<ChannelSlot>>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let receiver = ours.try_clone().expect("a clone");
        let shared = Shared::new(Socket(ours), reporter);
        let receives = Arc::clone(&shared);
        std::thread::spawn(move || receives.receive(receiver));
        (shared, theirs)
    }

    /// Reads requests until there are enough, or until the end.
    fn read_requests(
        mut socket: &UnixStream,
        frames: &mut Frames,
        enough: impl Fn(&[(u64, Request)]) -> bool,
    ) -> Vec<(u64, Request)> {
        let (mut buffer, mut requests) = ([0; 999], Vec::new());
        while !enough(&requests) {
            let read = socket.read(&mut buffer).expect("it is readable");
            if read == 0 {
                break;
            }
            frames.received(&buffer[..read]);
            while let Some(request) = frames.next_request().expect("whole frames") {
                requests.push(request);
            }
        }
        requests
    }

    /// Reads so many requests.
    fn read(socket: &UnixStream, count: usize) -> Vec<(u64, Request)> {
        read_requests(socket, &mut Frames::default(), |requests| requests.len() >= count)
    }

    #[test]
    fn each_of_many_gets_its_own_reply_though_replies_come_in_another_order() {
        let (shared, theirs) = connect(None);
        let ledger = std::thread::spawn(move || {
            let (mut frames, mut out) = (Frames::default(), Vec::new());
            loop {
                // All that have gathered, the last first.
                let requests = read_requests(&theirs, &mut frames, |requests| !requests.is_empty());
                if requests.is_empty() {
                    break;
                }
                out.clear();
                for (number, request) in requests.into_iter().rev() {
                    let Request::Balance(account) = request else { panic!("{request:?}") };
                    write_reply(&mut out, number, &Reply::Balance(Some(-account)));
                }
                (&theirs).write_all(&out).expect("replies are taken");
            }
        });
        std::thread::scope(|scope| {
            for task in 0..8 {
                let shared = &shared;
                scope.spawn(move || {
                    let slot = shared.slot();
                    for account in task * 1_000..task * 1_000 + 500 {
                        let reply = shared.ask(&Request::Balance(account), &slot);
                        assert_eq!(reply, Reply::Balance(Some(-account)));
                    }
                });
            }
        });
        shared.close();
        ledger.join().expect("the other end");
    }

    #[test]
    fn whoever_waits_is_told_that_the_ledger_has_gone_and_whoever_comes_later() {
        let (shared, theirs) = connect(None);
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..4)
                .map(|account| {
                    let shared = &shared;
                    scope.spawn(move || shared.ask(&Request::Balance(account), &shared.slot()))
                })
                .collect();
            assert_eq!(read(&theirs, 4).len(), 4);
            drop(theirs);
            for task in waiting {
                assert_eq!(task.join().expect("a task"), Reply::Gone);
            }
        });
        assert_eq!(shared.ask(&Request::State, &shared.slot()), Reply::Gone);
        shared.tell(Report::default());
    }

    #[test]
    fn nonsense_ends_the_connection_and_unknown_numbers_do_not() {
        let (shared, theirs) = connect(None);
        let mut out = Vec::new();
        write_reply(&mut out, 77, &Reply::Balance(None));
        (&theirs).write_all(&out).expect("taken");
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| shared.ask(&Request::Balance(1), &shared.slot()));
            let (number, _) = read(&theirs, 1)[0];
            let mut out = Vec::new();
            write_reply(&mut out, number, &Reply::Balance(Some(5)));
            (&theirs).write_all(&out).expect("taken");
            assert_eq!(asked.join().expect("a task"), Reply::Balance(Some(5)));

            let asked = scope.spawn(|| shared.ask(&Request::Balance(1), &shared.slot()));
            assert_eq!(read(&theirs, 1).len(), 1);
            (&theirs).write_all(&[0xff; 64]).expect("taken");
            assert_eq!(asked.join().expect("a task"), Reply::Gone);
        });
    }

    #[test]
    fn a_report_goes_with_each_batch() {
        let (shared, theirs) =
            connect(Some(Box::new(|| Report { coroutine_switches: 7, ..Report::default() })));
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| shared.ask(&Request::State, &shared.slot()));
            // The one that asked is first; the report may be in a later part of the same write.
            let requests = read(&theirs, 2);
            assert!(
                matches!(requests[1].1, Request::Report(Report { coroutine_switches: 7, .. })),
                "{requests:?}"
            );
            drop(theirs);
            assert_eq!(asked.join().expect("a task"), Reply::Gone);
        });
    }
}
