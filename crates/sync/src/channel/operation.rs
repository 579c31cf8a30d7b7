//! Waiting for the first of several operations.
//!
//! # Steps
//! 1. Try to begin each operation. Nothing of the select can be seen by others yet. If one begins, that is it.
//! 2. Put a node on the list of each channel, unless an operation has become ready meanwhile, which is looked at under the
//!    lock of its list: then take all nodes off again, and go to 1.
//! 3. Wait until somebody has chosen an operation, and has promised it what it needs. Where there is no time to wait: if
//!    nobody has until now, then no operation was ready at this moment. (The tries of 1 do not say that: a message may have
//!    come where it had looked already, and gone where it had not.)
//! 4. Take all nodes off their lists.
//!
//! Nobody is missed: who changes a channel before step 2 has looked at it is seen by that look, and who does so afterwards
//! finds the node. Two selects that find each other's nodes in step 2 both go back to 1, where neither is in the other's way.

use std::fmt;
use std::ptr;
use std::time::{Duration, Instant};

use super::error::{RecvError, SelectTimeoutError, SendError, TrySelectError};
use super::receiver::Receiver;
use super::sender::Sender;
use crate::park::{self, Interrupt, Wait, WaitReason};
use crate::wait_list::{Outcome, Selecting};
use crate::{chance, clock};

/// What was promised to an operation when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// What the channel said.
    Promised(Outcome),
    /// A message that a timer has made.
    At(Instant),
}

/// A side of a channel, as a select sees it, which does not know its messages.
pub trait Operation {
    /// Begins the operation, if that needs no wait. Then it has to be ended or released.
    fn begin(&self) -> Option<Begun>;

    /// Whether it needs no wait.
    fn is_ready(&self) -> bool;

    /// When it will be ready, if time alone makes it so.
    fn deadline(&self) -> Option<Instant>;

    /// Waits as operation `index` of a select to be chosen; or, with `watch`, to be told that it may be ready. `false`: it
    /// is ready.
    fn enlist<'a>(&'a self, selecting: &Selecting<'a>, index: usize, watch: bool) -> bool;

    /// What was promised when it was chosen; `None`: it was only told that it may be ready, and is not any more.
    fn chosen(&self, outcome: Outcome) -> Option<Begun> {
        Some(Begun::Promised(outcome))
    }

    /// Gives back what was promised.
    fn release(&self, begun: Begun);
}

/// One operation of a select, and its number.
pub(super) type Entry<'a> = (&'a (dyn Operation + 'a), usize);

/// How long a select may wait.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    Now,
    At(Option<Instant>),
}

impl Limit {
    pub(super) fn after(timeout: Duration) -> Self {
        Self::At(clock::after(timeout))
    }

    fn has_passed(self) -> bool {
        match self {
            Self::Now => true,
            Self::At(deadline) => deadline.is_some_and(|deadline| clock::now() >= deadline),
        }
    }
}

#[track_caller]
pub(super) fn select_one<'a>(
    entries: &mut [Entry<'a>],
    biased: bool,
    limit: Limit,
) -> Option<SelectedOperation<'a>> {
    prepare(entries, biased, limit);
    loop {
        for &(operation, index) in entries.iter() {
            if let Some(begun) = operation.begin() {
                return Some(SelectedOperation { operation, index, begun });
            }
        }
        let passed = limit.has_passed();
        // One try of one operation is sure; and who must not wait must not be chosen by who has to be waited for.
        if passed && (entries.len() < 2 || !park::may_wait()) {
            return None;
        }
        let until = if passed { Limit::Now } else { limit };
        match wait_for_one(entries, false, until) {
            Waited::Chosen(place, outcome) => {
                let (operation, index) = entries[place];
                if let Some(begun) = operation.chosen(outcome) {
                    return Some(SelectedOperation { operation, index, begun });
                }
            }
            Waited::LookAgain => {}
            Waited::InVain => return None,
        }
    }
}

#[track_caller]
pub(super) fn ready_one(entries: &mut [Entry<'_>], biased: bool, limit: Limit) -> Option<usize> {
    prepare(entries, biased, limit);
    loop {
        if let Some((_, index)) = entries.iter().find(|(operation, _)| operation.is_ready()) {
            return Some(*index);
        }
        if limit.has_passed() {
            return None;
        }
        let _ = wait_for_one(entries, true, limit);
    }
}

#[track_caller]
fn prepare(entries: &mut [Entry<'_>], biased: bool, limit: Limit) {
    if matches!(limit, Limit::At(_)) {
        park::spend();
    }
    if !biased {
        chance::shuffle(entries);
    }
}

/// How a wait ended.
enum Waited {
    /// The entry at this place was chosen.
    Chosen(usize, Outcome),
    LookAgain,
    /// No operation was ready, and there is no time to wait.
    InVain,
}

/// Waits until somebody has chosen one of the entries.
#[track_caller]
fn wait_for_one(entries: &[Entry<'_>], watch: bool, limit: Limit) -> Waited {
    if let Limit::At(_) = limit {
        // Once it is chosen by another select, to end it could take a wait.
        park::assert_may_wait(WaitReason::Select);
    }
    let waited = Selecting::with(entries.len(), |selecting| {
        for (place, (operation, _)) in entries.iter().enumerate() {
            if !operation.enlist(selecting, place, watch) {
                return Ok((selecting.give_up(), Waited::LookAgain));
            }
        }
        let Limit::At(deadline) = limit else {
            return Ok((selecting.give_up(), Waited::InVain));
        };
        let timers = entries.iter().filter_map(|(operation, _)| operation.deadline());
        let until = timers.chain(deadline).min();
        let chosen = selecting.wait(&Wait::new(WaitReason::Select).object(selecting).until(until))?;
        Ok((Some(chosen), Waited::LookAgain))
    });
    match waited {
        Ok((Some((place, outcome)), _)) => Waited::Chosen(place, outcome),
        Ok((None, otherwise)) => otherwise,
        Err(interrupt) => {
            let _: park::Interrupted = Interrupt::deliver(interrupt);
            Waited::LookAgain
        }
    }
}

/// An operation that a [`Select`](super::Select) has chosen, and that has to be ended.
///
/// # Panics
/// If it is dropped instead, unless the task unwinds. Nobody waits for it then: what it had been promised is given back.
#[must_use = "the operation has to be ended"]
pub struct SelectedOperation<'a> {
    operation: &'a (dyn Operation + 'a),
    index: usize,
    begun: Begun,
}

impl SelectedOperation<'_> {
    /// Its number in the list.
    ///
    /// # Examples
    /// See [`Select`](super::Select).
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Ends a send.
    ///
    /// # Errors
    /// The message, if all receivers are gone.
    ///
    /// # Panics
    /// If `sender` is not the very reference that was added to the list.
    ///
    /// # Waits
    /// Only if the receiver in a select that it had met has unwound since: for another.
    ///
    /// # Examples
    /// See [`Select::send`](super::Select::send).
    #[track_caller]
    pub fn send<T>(self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        assert!(self.is(sender), "passed a sender that wasn't selected");
        let begun = self.begun;
        std::mem::forget(self);
        sender.end(begun, message)
    }

    /// Ends a receive.
    ///
    /// # Errors
    /// If the channel is empty and all senders are gone.
    ///
    /// # Panics
    /// If `receiver` is not the very reference that was added to the list.
    ///
    /// # Waits
    /// Only if it has met a sender in a select, in a channel without capacity: for the message, which that is about to make. A
    /// cancellation waits as long.
    ///
    /// # Examples
    /// See [`Select`](super::Select).
    #[track_caller]
    pub fn recv<T>(self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        assert!(self.is(receiver), "passed a receiver that wasn't selected");
        let begun = self.begun;
        std::mem::forget(self);
        receiver.end(begun)
    }

    /// Whether it is about this side of this channel.
    fn is<C>(&self, channel: &C) -> bool {
        ptr::from_ref(self.operation).addr() == ptr::from_ref(channel).addr()
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectedOperation { .. }")
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        self.operation.release(self.begun);
        assert!(park::is_unwinding(), "dropped `SelectedOperation` without completing the operation");
    }
}

/// What the macro calls: a select over so many operations, without an allocation.
pub mod internal {
    use std::time::Duration;

    use super::{Entry, Limit, Operation, SelectTimeoutError, SelectedOperation, TrySelectError, select_one};

    fn numbered<'a, const N: usize>(operations: [&'a (dyn Operation + 'a); N]) -> [Entry<'a>; N] {
        let mut number = 0;
        operations.map(|operation| {
            number += 1;
            (operation, number - 1)
        })
    }

    /// Chooses, and waits for that as long as it takes.
    #[track_caller]
    pub fn select<'a, const N: usize>(
        operations: [&'a (dyn Operation + 'a); N],
        biased: bool,
    ) -> SelectedOperation<'a> {
        select_one(&mut numbered(operations), biased, Limit::At(None)).expect("it waits for ever")
    }

    /// Chooses what is ready.
    #[track_caller]
    pub fn try_select<'a, const N: usize>(
        operations: [&'a (dyn Operation + 'a); N],
        biased: bool,
    ) -> Result<SelectedOperation<'a>, TrySelectError> {
        select_one(&mut numbered(operations), biased, Limit::Now).ok_or(TrySelectError)
    }

    /// Chooses, and waits for that so long at most.
    #[track_caller]
    pub fn select_timeout<'a, const N: usize>(
        operations: [&'a (dyn Operation + 'a); N],
        timeout: Duration,
        biased: bool,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        select_one(&mut numbered(operations), biased, Limit::after(timeout)).ok_or(SelectTimeoutError)
    }
}
