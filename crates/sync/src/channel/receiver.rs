//! The receiving side.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::exchange::{Exchange, Side};
use super::iterator::{IntoIter, Iter, TryIter};
use crate::clock;

/// The receiving side of a channel. Clones share its messages: each goes to one of them.
///
/// # Examples
/// ```
/// use ropewalk_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// let other = receiver.clone();
/// sender.send(1).unwrap();
/// assert_eq!(other.recv(), Ok(1));
/// assert!(receiver.is_empty());
/// ```
pub struct Receiver<T> {
    exchange: Arc<Exchange<T>>,
}

impl<T> Receiver<T> {
    pub(super) fn first(exchange: Arc<Exchange<T>>) -> Self {
        Self { exchange }
    }

    /// Receives a message; waits while there is none.
    ///
    /// # Errors
    /// [`RecvError`] if there is none and all senders are gone, or go while it waits.
    ///
    /// # Waits
    /// While the channel is empty.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it. See the [module](super#cancellation).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{RecvError, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// std::thread::spawn(move || sender.send("last words").unwrap());
    /// assert_eq!(receiver.recv(), Ok("last words"));
    /// assert_eq!(receiver.recv(), Err(RecvError));
    /// ```
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.exchange.receive(|| None).map_err(|_| RecvError)
    }

    /// Receives a message if there is one; in a channel without capacity, if a sender waits.
    ///
    /// # Errors
    /// [`TryRecvError`] if there is none.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{TryRecvError, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.exchange.try_receive()
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError`] if no message came in time, or none can come any more.
    ///
    /// # Waits
    /// While the channel is empty, for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it. See the [module](super#cancellation).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::{RecvTimeoutError, bounded};
    /// use std::time::Duration;
    ///
    /// let (_sender, receiver) = bounded::<u8>(1);
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// ```
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.exchange.receive(|| clock::after(timeout))
    }

    /// As [`recv`](Self::recv), until `deadline` at most.
    ///
    /// # Errors
    /// [`RecvTimeoutError`] if no message came in time, or none can come any more.
    ///
    /// # Waits
    /// While the channel is empty, until `deadline` at most.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it. See the [module](super#cancellation).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::unbounded;
    /// use std::time::{Duration, Instant};
    ///
    /// let (sender, receiver) = unbounded();
    /// sender.send(1).unwrap();
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// assert_eq!(receiver.recv_deadline(deadline), Ok(1));
    /// assert!(receiver.recv_deadline(deadline).unwrap_err().is_timeout());
    /// ```
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.exchange.receive(|| Some(deadline))
    }

    /// The messages as they come, until all senders are gone.
    ///
    /// # Waits
    /// Each step waits as [`recv`](Self::recv) does, and is cancelled as it is.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::unbounded;
    ///
    /// let (sender, receiver) = unbounded();
    /// std::thread::spawn(move || (1..=3).for_each(|n| sender.send(n).unwrap()));
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2, 3]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    /// The messages that are there now. Never waits.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::channel::unbounded;
    ///
    /// let (sender, receiver) = unbounded();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_iter().count(), 1);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter::new(self)
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

    /// Whether both receive from the same senders.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.exchange, &other.exchange)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.exchange.enter(Side::Receivers);
        Self { exchange: self.exchange.clone() }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.exchange.leave(Side::Receivers);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        IntoIter::new(self)
    }
}
