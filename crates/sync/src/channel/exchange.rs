//! What both sides of a channel share: the messages, and who waits.
//!
//! There is one lock and one list of waiters. A message that finds a waiting receiver goes into its slot; a receiver that
//! makes room takes the message out of the first waiting sender's slot. So whoever is woken has been served, and nothing
//! is left to be lost if it is interrupted on the way.
//!
//! A select brings no slot: the message that it will send is made when it has been chosen, and where it will put the one
//! that it receives is known only then. So to choose it is to *promise* it a place or a message, and it keeps the promise
//! later (`begun`, in the file beside). The message of a promise waits in the queue, with capacity 0 too.
//!
//! # Invariants
//! 1. Receivers wait only while every queued message is promised.
//! 2. Senders wait only while all places are taken or promised (with capacity 0: always).
//! 3. A waiting sender's slot holds its message, a waiting receiver's is empty. Who is woken by the other side finds it
//!    the other way round; who is woken because the other side has gone finds it as it was.
//! 4. With capacity 0 a place is promised to a sender only together with a receiver: one that is held in the line `MET`,
//!    or one that was promised the message.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use super::error::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crate::park::{self, Interrupted, Unparker, Wait, WaitReason};
use crate::wait_list::{Left, Locked, Outcome, WaitList, Whom};

/// A queue of at most so many places is allocated once, with the channel, and kept; a longer one grows when it is
/// needed, and is given back when it is empty again.
const KEPT: usize = 1024;

/// The lines of the list: who waits to send,
pub(super) const SENDERS: usize = 0;
/// who waits to receive,
pub(super) const RECEIVERS: usize = 1;
/// receivers whose sender has been chosen and is about to hand its message over,
pub(super) const MET: usize = 2;
/// and who wants to be told that something may have become ready.
pub(super) const WATCHERS: usize = 3;

/// One side of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Senders,
    Receivers,
}

pub(super) struct State<T> {
    pub(super) queue: VecDeque<T>,
    senders: usize,
    pub(super) receivers: usize,
    /// Places that are promised to selects.
    pub(super) sending: usize,
    /// Messages that are promised to selects: the first in the queue, or with capacity 0 some that are still to come.
    pub(super) receiving: usize,
}

impl<T> State<T> {
    fn handles(&mut self, side: Side) -> &mut usize {
        match side {
            Side::Senders => &mut self.senders,
            Side::Receivers => &mut self.receivers,
        }
    }

    /// How many messages are nobody's yet.
    pub(super) fn available(&self) -> usize {
        self.queue.len().saturating_sub(self.receiving)
    }
}

pub(super) type Guard<'a, T> = Locked<'a, State<T>, Option<T>, 4>;

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
    /// It has met a sender in a select, and has to wait for its message.
    Met(Guard<'a, T>, Option<Unparker>),
}

/// The shared part of a channel.
pub(super) struct Exchange<T> {
    pub(super) list: WaitList<State<T>, Option<T>, 4>,
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
        let state = State { queue, senders: 1, receivers: 1, sending: 0, receiving: 0 };
        Self { list: WaitList::new(state), capacity }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    /// Whether sender and receiver have to meet.
    pub(super) fn is_rendezvous(&self) -> bool {
        self.capacity == Some(0)
    }

    pub(super) fn len(&self) -> usize {
        self.list.lock().available()
    }

    pub(super) fn is_full(&self) -> bool {
        !self.has_room(&self.list.lock())
    }

    /// Whether a place is nobody's yet.
    pub(super) fn has_room(&self, state: &State<T>) -> bool {
        self.capacity.is_none_or(|capacity| state.queue.len() + state.sending < capacity)
    }

    /// Whether all senders are gone, and all messages taken or promised.
    pub(super) fn is_drained(state: &State<T>) -> bool {
        state.senders == 0 && state.available() == 0
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
        let (others, _unreachable) = match side {
            Side::Receivers => (SENDERS, mem::take(&mut guard.queue)),
            Side::Senders => (RECEIVERS, VecDeque::new()),
        };
        // All who wait are of the other side: nobody waits on a handle that is gone.
        let guard = self.list.notify_line(others, Outcome::Closed, guard);
        drop(self.list.notify_line(WATCHERS, Outcome::Closed, guard));
    }

    /// Wakes those who want to know that something has become ready. To be called before the lock is let go of.
    #[inline]
    pub(super) fn tell(&self, guard: Guard<'_, T>) {
        if guard.len_of(WATCHERS) > 0 {
            drop(self.list.notify_line(WATCHERS, Outcome::Served, guard));
        }
    }

    /// Sends if that needs no wait.
    pub(super) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match self.offer(message) {
            Offer::Sent => Ok(()),
            Offer::Disconnected(message) => Err(TrySendError::Disconnected(message)),
            Offer::Full(message, _) => Err(TrySendError::Full(message)),
        }
    }

    /// Receives if that needs no wait but for the message of a select that it has met.
    #[track_caller]
    pub(super) fn try_receive(&self) -> Result<T, TryRecvError> {
        match self.demand(self.whom_to_meet()) {
            Demand::Received(message) => Ok(message),
            Demand::Disconnected => Err(TryRecvError::Disconnected),
            Demand::Empty(_) => Err(TryRecvError::Empty),
            Demand::Met(guard, sender) => match self.wait_for_met(guard, sender) {
                Some(message) => Ok(message),
                None => self.try_receive(),
            },
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
        match self.demand(self.whom_to_meet()) {
            Demand::Received(message) => Ok(message),
            Demand::Disconnected => Err(RecvTimeoutError::Disconnected),
            Demand::Empty(guard) => self.wait_to_receive(guard, deadline()),
            Demand::Met(guard, sender) => match self.wait_for_met(guard, sender) {
                Some(message) => Ok(message),
                None => self.receive(deadline),
            },
        }
    }

    /// Whether all receivers are gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.list.lock().receivers == 0
    }

    /// Waits until all receivers are gone.
    #[track_caller]
    pub(super) fn wait_abandoned(&self) {
        let wait = Wait::new(WaitReason::ChannelClosed).object(self);
        loop {
            let guard = self.list.lock();
            if guard.receivers == 0 {
                return;
            }
            if let Err(left) = self.list.wait_in(WATCHERS, guard, &wait, None, || {}) {
                drop(left.guard);
                let _ = left.interrupt.deliver();
            }
        }
    }

    /// Which waiting senders the caller may meet: one in a select has to be waited for.
    pub(super) fn whom_to_meet(&self) -> Whom {
        if self.is_rendezvous() && park::may_wait() { Whom::ANYBODY } else { Whom::PLAIN }
    }

    fn offer(&self, message: T) -> Offer<'_, T> {
        let mut guard = self.list.lock();
        if guard.receivers == 0 {
            return Offer::Disconnected(message);
        }
        let message = match self.hand_over(&mut guard, message) {
            Ok(unparker) => {
                drop(guard);
                unparker.into_iter().for_each(Unparker::unpark);
                return Offer::Sent;
            }
            Err(message) => message,
        };
        if !self.has_room(&guard) {
            return Offer::Full(message, guard);
        }
        guard.queue.push_back(message);
        self.tell(guard);
        Offer::Sent
    }

    /// Gives `message` to the first who waits to receive. It comes back if nobody does.
    pub(super) fn hand_over(&self, guard: &mut Guard<'_, T>, message: T) -> Result<Option<Unparker>, T> {
        let mut message = Some(message);
        let served = guard.serve_first(RECEIVERS, Whom::ANYBODY, Outcome::Served, |state, slot| match slot {
            Some(slot) => *slot = message.take(),
            None => {
                state.queue.extend(message.take());
                state.receiving += 1;
            }
        });
        match (served, message) {
            (_, Some(message)) => Err(message),
            (served, None) => Ok(served.and_then(|((), unparker)| unparker)),
        }
    }

    /// Gives a place that is nobody's to the first who waits to send.
    pub(super) fn fill(&self, guard: &mut Guard<'_, T>) -> Option<Unparker> {
        if !self.has_room(guard) {
            return None;
        }
        let served = guard.serve_first(SENDERS, Whom::ANYBODY, Outcome::Served, |state, slot| match slot {
            Some(slot) => state.queue.extend(slot.take()),
            None => state.sending += 1,
        });
        served.and_then(|((), unparker)| unparker)
    }

    /// Takes the first message, which is the caller's, and lets go of the lock. The place is given on.
    pub(super) fn take(&self, mut guard: Guard<'_, T>) -> T {
        let message = guard.queue.pop_front().expect("a message was there, or promised");
        let unparker = if self.capacity.is_some() { self.fill(&mut guard) } else { None };
        let emptied = guard.queue.is_empty() && guard.queue.capacity() > KEPT;
        let _given_back = if emptied { mem::take(&mut guard.queue) } else { VecDeque::new() };
        self.tell(guard);
        unparker.into_iter().for_each(Unparker::unpark);
        message
    }

    fn demand(&self, whom: Whom) -> Demand<'_, T> {
        let mut guard = self.list.lock();
        if guard.available() > 0 {
            return Demand::Received(self.take(guard));
        }
        if self.is_rendezvous()
            && let Some((message, unparker)) = self.meet_sender(&mut guard, whom)
        {
            return match message {
                Some(message) => {
                    drop(guard);
                    unparker.into_iter().for_each(Unparker::unpark);
                    Demand::Received(message)
                }
                None => Demand::Met(guard, unparker),
            };
        }
        if guard.senders == 0 { Demand::Disconnected } else { Demand::Empty(guard) }
    }

    /// With capacity 0: takes the message of the first sender that waits and is meant, or promises that one in a select
    /// that its message will be taken.
    pub(super) fn meet_sender(
        &self,
        guard: &mut Guard<'_, T>,
        whom: Whom,
    ) -> Option<(Option<T>, Option<Unparker>)> {
        guard.serve_first(SENDERS, whom, Outcome::Served, |state, slot| match slot {
            Some(slot) => slot.take(),
            None => {
                state.sending += 1;
                None
            }
        })
    }

    #[cold]
    #[track_caller]
    fn wait_to_send(
        &self,
        guard: Guard<'_, T>,
        message: T,
        deadline: Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        let reason =
            if self.is_rendezvous() { WaitReason::ChannelRendezvous } else { WaitReason::ChannelSend };
        let wait = Wait::new(reason).object(self).until(deadline).fallible();
        let tell = self.teller(&guard);
        let Left { interrupt, slot, guard } =
            match self.list.wait_in(SENDERS, guard, &wait, Some(message), tell) {
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
    fn wait_to_receive(&self, guard: Guard<'_, T>, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let wait = Wait::new(WaitReason::ChannelReceive).object(self).until(deadline).fallible();
        if self.is_rendezvous() && !park::may_wait() {
            // Once it is held by a sender it could not refuse to switch any more.
            drop(guard);
            park::assert_may_wait(WaitReason::ChannelReceive);
            return self.receive(|| deadline);
        }
        let tell = self.teller(&guard);
        let Left { interrupt, guard, .. } = match self.list.wait_in(RECEIVERS, guard, &wait, None, tell) {
            Ok(Some(message)) => return Ok(message),
            // The senders are gone; or the one that it had met has gone without sending.
            Ok(None) => return self.receive(|| deadline),
            Err(left) => left,
        };
        drop(guard);
        Err(match interrupt.deliver() {
            Interrupted::TimedOut => RecvTimeoutError::Timeout,
            Interrupted::Cancelled => RecvTimeoutError::Disconnected,
        })
    }

    /// Who waits where both sides have to meet makes the other side ready: tells those who want to know, once the caller is
    /// on the list. Who wants to know later looks for himself.
    fn teller(&self, guard: &Guard<'_, T>) -> impl FnOnce() + use<'_, T> {
        let watched = self.is_rendezvous() && guard.len_of(WATCHERS) > 0;
        move || {
            if watched {
                self.tell(self.list.lock());
            }
        }
    }

    /// Waits for the message of a sender that has been chosen, and is to be unparked. `None`: it has gone without sending.
    #[cold]
    #[track_caller]
    pub(super) fn wait_for_met(&self, guard: Guard<'_, T>, sender: Option<Unparker>) -> Option<T> {
        // The sender counts on it.
        let wait = Wait::new(WaitReason::ChannelReceive).object(self).uncancellable();
        let unpark = || sender.into_iter().for_each(Unparker::unpark);
        self.list.wait_in(MET, guard, &wait, None, unpark).ok().flatten()
    }
}
