//! The sending side.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{SendError, SendTimeoutError, TrySendError};
use super::exchange::{Exchange, Side};
use super::operation::{Begun, Operation};
use crate::clock;
use crate::wait_list::Selecting;

/// The sending side of a channel. Clones send to the same receivers.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// let other = sender.clone();
/// std::thread::spawn(move || other.send(1)).join().unwrap().unwrap();
/// sender.send(2).unwrap();
/// assert_eq!(receiver.recv().unwrap() + receiver.recv().unwrap(), 3);
/// ```
pub struct Sender<T> {
    exchange: Arc<Exchange<T>>,
}

impl<T> Sender<T> {
    pub(super) fn first(exchange: Arc<Exchange<T>>) -> Self {
        Self { exchange }
    }

    /// Sends `message`; waits while the channel is full, in a channel without capacity until a receiver takes it.
    ///
    /// # Errors
    /// [`SendError`], with the message, if all receivers are gone, or go while it waits.
    ///
    /// # Waits
    /// While the channel is full. Never in an unbounded one.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the message does not arrive and is dropped. See the [module](super#cancellation).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::bounded;
    ///
    /// let (sender, receiver) = bounded(0);
    /// let waits = std::thread::spawn(move || sender.send("taken"));
    /// assert_eq!(receiver.recv(), Ok("taken"));
    /// assert_eq!(waits.join().unwrap(), Ok(()));
    /// ```
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.exchange.send(message, || None).map_err(|error| SendError(error.into_inner()))
    }

    /// Sends `message` if that needs no wait: there is room, or a receiver waits.
    ///
    /// # Errors
    /// [`TrySendError`], with the message.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{TrySendError, bounded};
    ///
    /// let (sender, receiver) = bounded(1);
    /// assert_eq!(sender.try_send(1), Ok(()));
    /// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    /// drop(receiver);
    /// assert_eq!(sender.try_send(3), Err(TrySendError::Disconnected(3)));
    /// ```
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.exchange.try_send(message)
    }

    /// As [`send`](Self::send), for at most `timeout`.
    ///
    /// # Errors
    /// [`SendTimeoutError`], with the message, if there was no room in time or all receivers are gone.
    ///
    /// # Waits
    /// While the channel is full, for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the message does not arrive and is dropped. See the [module](super#cancellation).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{SendTimeoutError, bounded};
    /// use std::time::Duration;
    ///
    /// let (sender, _receiver) = bounded(0);
    /// assert_eq!(sender.send_timeout(1, Duration::from_millis(1)), Err(SendTimeoutError::Timeout(1)));
    /// ```
    #[track_caller]
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.exchange.send(message, || clock::after(timeout))
    }

    /// As [`send`](Self::send), until `deadline` at most.
    ///
    /// # Errors
    /// [`SendTimeoutError`], with the message, if there was no room in time or all receivers are gone.
    ///
    /// # Waits
    /// While the channel is full, until `deadline` at most.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the message does not arrive and is dropped. See the [module](super#cancellation).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::bounded;
    /// use std::time::{Duration, Instant};
    ///
    /// let (sender, _receiver) = bounded(1);
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// assert!(sender.send_deadline(1, deadline).is_ok());
    /// assert!(sender.send_deadline(2, deadline).unwrap_err().is_timeout());
    /// ```
    #[track_caller]
    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.exchange.send(message, || Some(deadline))
    }

    /// Whether no message is in the channel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the channel has no room; without capacity it never has.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.exchange.is_full()
    }

    /// How many messages are in the channel. Those of senders that wait for room are not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exchange.len()
    }

    /// How many messages the channel has room for; `None` if it is unbounded.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.exchange.capacity()
    }

    /// Whether both send to the same receivers.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.exchange, &other.exchange)
    }
}

/// What `oneshot` needs beyond crossbeam's interface.
impl<T> Sender<T> {
    pub(crate) fn is_abandoned(&self) -> bool {
        self.exchange.is_abandoned()
    }

    #[track_caller]
    pub(crate) fn wait_abandoned(&self) {
        self.exchange.wait_abandoned();
    }
}

impl<T> Operation for Sender<T> {
    fn begin(&self) -> Option<Begun> {
        self.exchange.begin_send().map(Begun::Promised)
    }

    fn is_ready(&self) -> bool {
        self.exchange.is_send_ready()
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn enlist<'a>(&'a self, selecting: &Selecting<'a>, index: usize, watch: bool) -> bool {
        self.exchange.enlist_sender(selecting, index, watch)
    }

    fn release(&self, begun: Begun) {
        if let Begun::Promised(outcome) = begun {
            self.exchange.release_send(outcome);
        }
    }
}

impl<T> Sender<T> {
    /// Ends what [`begin`](Operation::begin) has begun.
    #[track_caller]
    pub(super) fn end(&self, begun: Begun, message: T) -> Result<(), SendError<T>> {
        match begun {
            Begun::Promised(outcome) => self.exchange.end_send(outcome, message),
            Begun::At(_) => unreachable!("begun by a sender"),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.exchange.enter(Side::Senders);
        Self { exchange: self.exchange.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.exchange.leave(Side::Senders);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}
