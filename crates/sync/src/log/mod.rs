//! Numbered messages, and readers who go through them, each at its own pace: what `broadcast` and `topic` share.
//!
//! A message is kept once, until every reader has passed it; and the last so many, the *history*, are kept for those who
//! come later. Each reader has a place: the number of the message that is next for it.
//!
//! There is one lock and one list of waiters, in two lines. All readers who wait are woken by a new message, and look
//! again. Writers are served first come, first served: who makes room puts the message of the first who waits into it, so
//! nobody overtakes, and whoever is woken has been served.
//!
//! A select cannot be given its message when it is chosen. So it is *promised* one of those that its reader has before it,
//! which is no other's who reads at the same place, and takes it later, or gives the promise back.
//!
//! # Invariants
//! 1. `left` of a message is the number of places that have it before them; it never decreases from one message to the next.
//! 2. The first message is before somebody, or one of the history: so there is at most one to take off when one has been
//!    passed, or added.
//! 3. Writers wait only while there is no room, or while whoever has made room is about to let them in. A waiting writer's
//!    slot has its message; who is woken with an empty one has written it, else it never will.

use std::sync::Arc;
use std::time::Instant;

use crate::channel::{SendTimeoutError, TrySendError};
use crate::park::{self, Interrupted, Unparker, Wait, WaitReason};
use crate::wait_list::{Locked, Outcome, WaitList, Whom};

mod error;
mod handles;
mod state;

pub use self::error::{Policy, RecvError, RecvTimeoutError, TryRecvError};
pub(crate) use self::handles::{Reader, Writer};
pub(crate) use self::state::Options;

use self::state::State;

const READERS: usize = 0;
const WRITERS: usize = 1;

/// What a waiting writer brings; a waiting reader brings nothing.
struct Slot<T> {
    message: Option<Arc<T>>,
    /// How many readers the message was for, once it is written.
    readers: usize,
}

impl<T> Slot<T> {
    const NOTHING: Self = Self { message: None, readers: 0 };
}

type Guard<'a, T> = Locked<'a, State<T>, Slot<T>, 2>;

/// What a log is to its users: constants of the module that uses it.
pub(crate) struct Kind {
    pub(crate) write: WaitReason,
    pub(crate) read: WaitReason,
    /// Whether a message that nobody would get is refused.
    pub(crate) refuses_unread: bool,
}

pub(crate) struct Log<T> {
    list: WaitList<State<T>, Slot<T>, 2>,
    kind: &'static Kind,
}

/// What came of an attempt to write.
enum Offer<'a, T> {
    /// For so many.
    Written(usize),
    /// No message will be written any more.
    Refused(T),
    /// It would have to wait.
    Full(T, Guard<'a, T>),
}

/// What a reader who may not wait finds: the lock, if that is nothing.
type Found<'a, T> = Result<Result<Arc<T>, RecvError>, Guard<'a, T>>;

impl<T> Log<T> {
    fn new(kind: &'static Kind, options: Options, writers: usize) -> Self {
        Self { list: WaitList::new(State::new(options, writers)), kind }
    }

    pub(crate) fn options(&self) -> Options {
        self.list.lock().options
    }

    /// Changes what was asked for by what `change` makes of it, and fits the log to that.
    pub(crate) fn change_options<E>(
        &self,
        change: impl FnOnce(Options) -> Result<Options, E>,
    ) -> Result<(), E> {
        let mut dropped = Vec::new();
        let mut guard = self.list.lock();
        let state = &mut *guard;
        state.options = change(state.options)?;
        if state.options.policy() != Policy::Block {
            while state.queue.len() > state.options.room() {
                dropped.extend(state.pop());
            }
        }
        drop(guard);
        self.serve_writers();
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.list.lock().queue.len()
    }

    pub(crate) fn readers(&self) -> usize {
        self.list.lock().readers
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.list.lock().closed
    }

    /// No more messages come.
    pub(crate) fn close(&self) {
        let mut guard = self.list.lock();
        guard.closed = true;
        let guard = self.list.notify_line(READERS, Outcome::Closed, guard);
        drop(self.list.notify_line(WRITERS, Outcome::Closed, guard));
    }

    /// Wakes all readers who wait, and lets go of the lock.
    fn tell_readers(&self, guard: Guard<'_, T>) {
        if guard.len_of(READERS) > 0 {
            drop(self.list.notify_line(READERS, Outcome::Served, guard));
        }
    }

    /// Writes the message of the first writer who waits, if there is room now, and lets go of the lock. Whether it did.
    fn serve_writer(&self, mut guard: Guard<'_, T>) -> bool {
        if guard.len_of(WRITERS) == 0 || !guard.has_room() {
            return false;
        }
        let served = guard.serve_first(WRITERS, Whom::ANYBODY, Outcome::Served, |state, slot| {
            let slot = slot?;
            slot.readers = state.readers;
            state.push(slot.message.take()?)
        });
        self.tell_readers(guard);
        // Its wake-up comes before the destructor of a message, which takes as long as it likes.
        let Some((_dropped, writer)) = served else { return false };
        writer.into_iter().for_each(Unparker::unpark);
        true
    }

    /// Writes the messages of those who wait, as long as there is room. For whoever has made room for more than one.
    fn serve_writers(&self) {
        while self.serve_writer(self.list.lock()) {}
    }

    /// Writes a message. How many it was for. `deadline` is asked for when it has to wait.
    #[track_caller]
    pub(crate) fn write(
        &self,
        message: T,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<usize, SendTimeoutError<T>> {
        let mut guard = self.list.lock();
        if guard.options.policy() == Policy::Block {
            drop(guard);
            park::spend();
            guard = self.list.lock();
        }
        match self.offer(guard, message) {
            Offer::Written(readers) => Ok(readers),
            Offer::Refused(message) => Err(SendTimeoutError::Disconnected(message)),
            Offer::Full(message, guard) => self.wait_to_write(guard, message, deadline()),
        }
    }

    /// Writes a message if that needs no wait. How many it was for.
    pub(crate) fn try_write(&self, message: T) -> Result<usize, TrySendError<T>> {
        match self.offer(self.list.lock(), message) {
            Offer::Written(readers) => Ok(readers),
            Offer::Refused(message) => Err(TrySendError::Disconnected(message)),
            Offer::Full(message, _) => Err(TrySendError::Full(message)),
        }
    }

    fn offer<'a>(&'a self, mut guard: Guard<'a, T>, message: T) -> Offer<'a, T> {
        if guard.closed || (guard.readers == 0 && self.kind.refuses_unread) {
            return Offer::Refused(message);
        }
        // Where somebody still waits though there is room, he is about to be served; nobody overtakes him.
        let is_full = !guard.has_room() || guard.len_of(WRITERS) > 0;
        if guard.options.policy() == Policy::Block && is_full {
            return Offer::Full(message, guard);
        }
        let readers = guard.readers;
        // Dropped when the lock is free.
        let _oldest = guard.push(Arc::new(message));
        self.tell_readers(guard);
        Offer::Written(readers)
    }

    #[cold]
    #[track_caller]
    fn wait_to_write(
        &self,
        guard: Guard<'_, T>,
        message: T,
        deadline: Option<Instant>,
    ) -> Result<usize, SendTimeoutError<T>> {
        let wait = Wait::new(self.kind.write).object(self).until(deadline).fallible();
        let slot = Slot { message: Some(Arc::new(message)), readers: 0 };
        let alone = |message| Arc::into_inner(message).expect("nobody has received it");
        match self.list.wait_in(WRITERS, guard, &wait, slot, || {}) {
            Ok(Slot { message: None, readers }) => Ok(readers),
            Ok(Slot { message: Some(message), .. }) => Err(SendTimeoutError::Disconnected(alone(message))),
            Err(left) => {
                drop(left.guard);
                let interrupted = left.interrupt.deliver();
                let message = alone(left.slot.message.expect("who takes a message ends its writer's wait"));
                Err(match interrupted {
                    Interrupted::TimedOut => SendTimeoutError::Timeout(message),
                    Interrupted::Cancelled => SendTimeoutError::Disconnected(message),
                })
            }
        }
    }

    /// What whoever reads at `place` gets now. A lag is news, unless it is to be skipped.
    fn take<'a>(&'a self, place: usize, skip: bool, mut guard: Guard<'a, T>) -> Found<'a, T> {
        let state = &mut *guard;
        let lag = state.lag(place);
        let too_slow = state.is_too_slow(place);
        if lag > 0 {
            state.places[place].next = state.first;
            state.places[place].missed += lag;
        }
        if too_slow {
            let passed = if state.places[place].disconnected { Vec::new() } else { state.stop(place) };
            state.places[place].disconnected = true;
            drop(guard);
            drop(passed);
            return Ok(Err(RecvError::TooSlow));
        }
        if lag > 0 && !skip {
            return Ok(Err(RecvError::Lagged(lag)));
        }
        if !state.has_message(place) {
            return if state.is_over() { Ok(Err(RecvError::Closed)) } else { Err(guard) };
        }
        let number = state.places[place].next;
        state.places[place].next += 1;
        let index = usize::try_from(number - state.first).expect("a place in the queue");
        let message = state.queue[index].message.clone();
        let passed = state.pass(number);
        // There may be room now also where nothing was taken off: a message of the history can go.
        self.serve_writer(guard);
        drop(passed);
        Ok(Ok(message))
    }

    /// Reads, and waits while there is nothing. `deadline` is asked for when it has to wait.
    #[track_caller]
    fn read(
        &self,
        place: usize,
        skip: bool,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<Arc<T>, RecvTimeoutError> {
        park::spend();
        let mut guard = match self.take(place, skip, self.list.lock()) {
            Ok(found) => return Ok(found?),
            Err(guard) => guard,
        };
        let wait = Wait::new(self.kind.read).object(self).until(deadline()).fallible();
        loop {
            if let Err(left) = self.list.wait_in(READERS, guard, &wait, Slot::NOTHING, || {}) {
                drop(left.guard);
                return Err(match left.interrupt.deliver() {
                    Interrupted::TimedOut => RecvTimeoutError::Timeout,
                    Interrupted::Cancelled => RecvTimeoutError::Closed,
                });
            }
            guard = match self.take(place, skip, self.list.lock()) {
                Ok(found) => return Ok(found?),
                Err(guard) => guard,
            };
        }
    }
}
