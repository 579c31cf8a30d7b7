//! What both sides of a channel share: the messages, and who waits.
//!
//! There is one lock and one list of waiters. A message that finds a waiting receiver goes into its slot; a receiver that
//! makes room takes the message out of the first waiting sender's slot. So whoever is woken has been served, and nothing
//! is left to be lost if it is interrupted on the way.
//!
//! # Invariants
//! 1. All who wait are of one side, the one in `waiting`.
//! 2. Receivers wait only while nothing is queued.
//! 3. Senders wait only while the queue is full (with capacity 0: always).
//! 4. A waiting sender's slot holds its message, a waiting receiver's is empty. Who is woken by the other side finds it
//!    the other way round; who is woken because the other side has gone finds it as it was.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use super::error::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crate::park::{self, Interrupted, Wait, WaitReason};
use crate::wait_list::{Left, Locked, Place, WaitList};

/// A queue of at most so many places is allocated once, with the channel, and kept; a longer one grows when it is
/// needed, and is given back when it is empty again.
const KEPT: usize = 1024;

/// One side of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Senders,
    Receivers,
}

struct State<T> {
    queue: VecDeque<T>,
    /// Who is on the list, if anybody is.
    waiting: Side,
    senders: usize,
    receivers: usize,
}

impl<T> State<T> {
    fn handles(&mut self, side: Side) -> &mut usize {
        match side {
            Side::Senders => &mut self.senders,
            Side::Receivers => &mut self.receivers,
        }
    }
}

type Guard<'a, T> = Locked<'a, State<T>, Option<T>>;

/// What came of an attempt to send.
enum Offer<'a, T> {
    Sent,
    Disconnected(T),
    /// It would have to wait.
    Full(T, Guard<'a, T>),
}

/// What came of an attempt to receive.
enum Demand<'a, T> {
    Received(T),
    Disconnected,
    /// It would have to wait.
    Empty(Guard<'a, T>),
}

/// The shared part of a channel.
pub(super) struct Exchange<T> {
    list: WaitList<State<T>, Option<T>>,
    /// `None`: unbounded.
    capacity: Option<usize>,
}

impl<T> Exchange<T> {
    /// With one handle on each side.
    pub(super) fn new(capacity: Option<usize>) -> Self {
        let queue = match capacity {
            Some(capacity) if capacity <= KEPT => VecDeque::with_capacity(capacity),
            _ => VecDeque::new(),
        };
        Self {
            list: WaitList::new(State { queue, waiting: Side::Receivers, senders: 1, receivers: 1 }),
            capacity,
        }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(super) fn len(&self) -> usize {
        self.list.lock().queue.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.len() >= capacity)
    }

    /// One more handle on this side.
    pub(super) fn enter(&self, side: Side) {
        *self.list.lock().handles(side) += 1;
    }

    /// One handle less on this side. With the last one the channel is disconnected.
    pub(super) fn leave(&self, side: Side) {
        let mut guard = self.list.lock();
        let handles = guard.handles(side);
        *handles -= 1;
        if *handles > 0 {
            return;
        }
        // Nobody can take these any more. Their destructors run when the lock is free.
        let _unreachable = match side {
            Side::Receivers => mem::take(&mut guard.queue),
            Side::Senders => VecDeque::new(),
        };
        // All who wait are of the other side: nobody waits on a handle that is gone.
        self.list.notify_while(guard, |_, _| true);
    }

    /// Sends if that needs no wait.
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match self.offer(message) {
            Offer::Sent => Ok(()),
            Offer::Disconnected(message) => Err(TrySendError::Disconnected(message)),
            Offer::Full(message, _) => Err(TrySendError::Full(message)),
        }
    }

    /// Receives if that needs no wait.
    pub(super) fn try_receive(&self) -> Result<T, TryRecvError> {
        match self.demand() {
            Demand::Received(message) => Ok(message),
            Demand::Disconnected => Err(TryRecvError::Disconnected),
            Demand::Empty(_) => Err(TryRecvError::Empty),
        }
    }

    /// Sends. `deadline` is asked for when it has to wait.
    #[track_caller]
    pub(super) fn send(
        &self,
        message: T,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        if self.capacity.is_some() {
            park::spend();
        }
        match self.offer(message) {
            Offer::Sent => Ok(()),
            Offer::Disconnected(message) => Err(SendTimeoutError::Disconnected(message)),
            Offer::Full(message, guard) => self.wait_to_send(guard, message, deadline()),
        }
    }

    /// Receives. `deadline` is asked for when it has to wait.
    #[track_caller]
    pub(super) fn receive(&self, deadline: impl FnOnce() -> Option<Instant>) -> Result<T, RecvTimeoutError> {
        park::spend();
        match self.demand() {
            Demand::Received(message) => Ok(message),
            Demand::Disconnected => Err(RecvTimeoutError::Disconnected),
            Demand::Empty(guard) => self.wait_to_receive(guard, deadline()),
        }
    }

    fn offer(&self, message: T) -> Offer<'_, T> {
        let mut guard = self.list.lock();
        if guard.receivers == 0 {
            return Offer::Disconnected(message);
        }
        if !guard.is_empty() && guard.waiting == Side::Receivers {
            let unparker = guard.notify_first(Some(message));
            drop(guard);
            if let Some(unparker) = unparker {
                unparker.unpark();
            }
            return Offer::Sent;
        }
        if self.capacity.is_some_and(|capacity| guard.queue.len() >= capacity) {
            return Offer::Full(message, guard);
        }
        guard.queue.push_back(message);
        Offer::Sent
    }

    fn demand(&self) -> Demand<'_, T> {
        let mut guard = self.list.lock();
        let queued = guard.queue.pop_front();
        if guard.is_empty() || guard.waiting == Side::Receivers {
            return match queued {
                Some(message) => {
                    let emptied = guard.queue.is_empty() && guard.queue.capacity() > KEPT;
                    let _given_back = if emptied { mem::take(&mut guard.queue) } else { VecDeque::new() };
                    drop(guard);
                    Demand::Received(message)
                }
                None if guard.senders == 0 => Demand::Disconnected,
                None => Demand::Empty(guard),
            };
        }
        let served = guard.notify_first_with(|state, slot| match queued {
            // The place that has become free is the first waiting sender's.
            Some(message) => {
                state.queue.extend(slot.take());
                Some(message)
            }
            None => slot.take(),
        });
        drop(guard);
        let (message, unparker) = served.expect("the list was not empty");
        unparker.unpark();
        Demand::Received(message.expect("a waiting sender's slot holds its message"))
    }

    #[cold]
    #[track_caller]
    fn wait_to_send(
        &self,
        mut guard: Guard<'_, T>,
        message: T,
        deadline: Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        let reason = match self.capacity {
            Some(0) => WaitReason::ChannelRendezvous,
            _ => WaitReason::ChannelSend,
        };
        let wait = Wait::new(reason).object(self).until(deadline).fallible();
        guard.waiting = Side::Senders;
        let Left { interrupt, slot, guard } =
            match self.list.wait_with(guard, &wait, Some(message), Place::Last) {
                Ok(None) => return Ok(()),
                Ok(Some(message)) => return Err(SendTimeoutError::Disconnected(message)),
                Err(left) => left,
            };
        drop(guard);
        let interrupted = interrupt.deliver();
        let message = slot.expect("who takes a waiting sender's message ends its wait");
        Err(match interrupted {
            Interrupted::TimedOut => SendTimeoutError::Timeout(message),
            Interrupted::Cancelled => SendTimeoutError::Disconnected(message),
        })
    }

    #[cold]
    #[track_caller]
    fn wait_to_receive(
        &self,
        mut guard: Guard<'_, T>,
        deadline: Option<Instant>,
    ) -> Result<T, RecvTimeoutError> {
        let wait = Wait::new(WaitReason::ChannelReceive).object(self).until(deadline).fallible();
        guard.waiting = Side::Receivers;
        let Left { interrupt, guard, .. } = match self.list.wait_with(guard, &wait, None, Place::Last) {
            Ok(message) => return message.ok_or(RecvTimeoutError::Disconnected),
            Err(left) => left,
        };
        drop(guard);
        Err(match interrupt.deliver() {
            Interrupted::TimedOut => RecvTimeoutError::Timeout,
            Interrupted::Cancelled => RecvTimeoutError::Disconnected,
        })
    }
}
