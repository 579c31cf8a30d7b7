//! The half of a channel that selects use: operations in two steps.
//!
//! To begin an operation is to be promised what it needs; then it is ended, by [`end_send`](Exchange::end_send) or
//! [`end_receive`](Exchange::end_receive), or the promise is given back. Both steps take effect as one at the second:
//! what is promised to one is nobody else's meanwhile.

use super::error::{RecvError, SendError};
use super::exchange::{Exchange, Guard, MET, RECEIVERS, SENDERS, WATCHERS};
use crate::park::Unparker;
use crate::wait_list::{Met, Outcome, Selecting, Whom};

impl<T> Exchange<T> {
    /// Begins to send, if that needs no wait.
    pub(super) fn begin_send(&self) -> Option<Outcome> {
        let mut guard = self.list.lock();
        if guard.receivers == 0 {
            return Some(Outcome::Closed);
        }
        if self.is_rendezvous() {
            let met = guard.meet_first(RECEIVERS, Whom::ANYBODY, MET)?;
            guard.sending += 1;
            if let Met::Chosen(receiver) = met {
                guard.receiving += 1;
                drop(guard);
                receiver.into_iter().for_each(Unparker::unpark);
            }
            return Some(Outcome::Served);
        }
        if !self.has_room(&guard) {
            return None;
        }
        guard.sending += 1;
        Some(Outcome::Served)
    }

    /// Begins to receive, if that needs no wait.
    pub(super) fn begin_receive(&self) -> Option<Outcome> {
        let mut guard = self.list.lock();
        if guard.available() > 0 {
            guard.receiving += 1;
            return Some(Outcome::Served);
        }
        if self.is_rendezvous()
            && let Some((message, sender)) = self.meet_sender(&mut guard, self.whom_to_meet())
        {
            guard.queue.extend(message);
            guard.receiving += 1;
            drop(guard);
            sender.into_iter().for_each(Unparker::unpark);
            return Some(Outcome::Served);
        }
        Self::is_drained(&guard).then_some(Outcome::Closed)
    }

    /// Whether to send needs no wait, if of those who wait to receive only these are meant.
    fn can_send(&self, guard: &Guard<'_, T>, whom: Whom) -> bool {
        guard.receivers == 0
            || if self.is_rendezvous() { guard.has(RECEIVERS, whom) } else { self.has_room(guard) }
    }

    fn can_receive(&self, guard: &Guard<'_, T>, whom: Whom) -> bool {
        guard.available() > 0 || Self::is_drained(guard) || (self.is_rendezvous() && guard.has(SENDERS, whom))
    }

    /// Whether to send needs no wait.
    pub(super) fn is_send_ready(&self) -> bool {
        self.can_send(&self.list.lock(), Whom::ANYBODY)
    }

    /// Whether to receive needs no wait.
    pub(super) fn is_receive_ready(&self) -> bool {
        self.can_receive(&self.list.lock(), self.whom_to_meet())
    }

    /// Has an operation of a select wait to send; or, with `watch`, to be told that it can. `false`: it need not wait.
    pub(super) fn enlist_sender<'a>(&'a self, selecting: &Selecting<'a>, index: usize, watch: bool) -> bool {
        let line = if watch { WATCHERS } else { SENDERS };
        let object = std::ptr::from_ref(self).addr();
        let whom = Whom::ANYBODY.except(selecting);
        let waits = selecting.enlist(index, object, &self.list, line, |guard| self.can_send(guard, whom));
        if waits && !watch && self.is_rendezvous() {
            self.tell(self.list.lock());
        }
        waits
    }

    /// The same, to receive.
    pub(super) fn enlist_receiver<'a>(
        &'a self,
        selecting: &Selecting<'a>,
        index: usize,
        watch: bool,
    ) -> bool {
        let line = if watch { WATCHERS } else { RECEIVERS };
        let object = std::ptr::from_ref(self).addr();
        let whom = self.whom_to_meet().except(selecting);
        let waits = selecting.enlist(index, object, &self.list, line, |guard| self.can_receive(guard, whom));
        if waits && !watch && self.is_rendezvous() {
            self.tell(self.list.lock());
        }
        waits
    }

    /// Ends a send that was begun. It waits only if the receiver that it had met has unwound since.
    #[track_caller]
    pub(super) fn end_send(&self, begun: Outcome, message: T) -> Result<(), SendError<T>> {
        if begun == Outcome::Closed {
            return Err(SendError(message));
        }
        let mut guard = self.list.lock();
        guard.sending -= 1;
        if guard.receivers == 0 {
            return Err(SendError(message));
        }
        let mut message = Some(message);
        let met = guard.serve_first(MET, Whom::ANYBODY, Outcome::Served, |_, slot| {
            slot.map(|slot| *slot = message.take())
        });
        if let Some(message) = message {
            return self.end_unmet_send(guard, message);
        }
        drop(guard);
        met.and_then(|(_, receiver)| receiver).into_iter().for_each(Unparker::unpark);
        Ok(())
    }

    #[track_caller]
    fn end_unmet_send(&self, mut guard: Guard<'_, T>, message: T) -> Result<(), SendError<T>> {
        // A receiver in a select that has not come for its message yet; it goes before those who wait.
        if guard.queue.len() < guard.receiving {
            guard.queue.push_back(message);
            return Ok(());
        }
        let message = match self.hand_over(&mut guard, message) {
            Ok(receiver) => {
                drop(guard);
                receiver.into_iter().for_each(Unparker::unpark);
                return Ok(());
            }
            Err(message) => message,
        };
        if self.is_rendezvous() {
            drop(guard);
            return self.send(message, || None).map_err(|error| SendError(error.into_inner()));
        }
        guard.queue.push_back(message);
        self.tell(guard);
        Ok(())
    }

    /// Ends a receive that was begun. It waits only for a sender in a select that it has met.
    #[track_caller]
    pub(super) fn end_receive(&self, begun: Outcome) -> Result<T, RecvError> {
        if begun == Outcome::Closed {
            return Err(RecvError);
        }
        let mut guard = self.list.lock();
        guard.receiving -= 1;
        if !guard.queue.is_empty() {
            return Ok(self.take(guard));
        }
        if guard.sending > guard.len_of(MET) {
            if let Some(message) = self.wait_for_met(guard, None) {
                return Ok(message);
            }
        } else {
            drop(guard);
        }
        // The sender that it had met has unwound.
        self.receive(|| None).map_err(|_| RecvError)
    }

    /// Gives back what was promised to a send that will not be ended.
    pub(super) fn release_send(&self, begun: Outcome) {
        if begun == Outcome::Closed {
            return;
        }
        let mut guard = self.list.lock();
        guard.sending -= 1;
        let next = if !self.is_rendezvous() {
            self.fill(&mut guard)
        } else if guard.len_of(MET) > guard.sending {
            // One of those who were promised a message has to look for another.
            guard.serve_first(MET, Whom::ANYBODY, Outcome::Served, |_, _| {}).and_then(|((), waiter)| waiter)
        } else {
            None
        };
        self.tell(guard);
        next.into_iter().for_each(Unparker::unpark);
    }

    /// Gives back what was promised to a receive that will not be ended.
    pub(super) fn release_receive(&self, begun: Outcome) {
        if begun == Outcome::Closed {
            return;
        }
        let mut guard = self.list.lock();
        guard.receiving -= 1;
        let receiver = if guard.available() > 0 {
            guard.serve_first(RECEIVERS, Whom::ANYBODY, Outcome::Served, |state, slot| match slot {
                Some(slot) => *slot = state.queue.pop_front(),
                None => state.receiving += 1,
            })
        } else {
            None
        };
        let sender = self.fill(&mut guard);
        self.tell(guard);
        receiver.and_then(|((), receiver)| receiver).into_iter().chain(sender).for_each(Unparker::unpark);
    }
}
