//! Messages from many tasks to one: `std::sync::mpsc`'s interface, a thin face over [our channels](mod@channel).
//!
//! For programs that are written against std. Order, memory and cancellation are those of the channels underneath, which
//! can do more: their receivers can be cloned, their sends have time limits, and both sides can be compared. The errors
//! are std's own.
//!
//! # Where this differs from std
//! - Whoever waits may be a coroutine, whose worker goes on.
//! - A wait may end by an unwinding, if its task is cancelled; a task that cannot unwind hears that the other side is gone,
//!   though it may not be ([cancellation](mod@channel#cancellation)).
//! - Waiters are served in the order in which they came. Std promises none.
//! - Of std, only what is not stable is missing (`SyncSender::send_timeout`, `Receiver::recv_deadline`): the channels underneath
//!   have both.
//! - `sync_channel` allocates at most 1,024 places ahead.

use std::cell::Cell;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::time::Duration;

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

use crate::channel;

/// The sending side of a channel that is never full. Clones send to the same receiver.
pub struct Sender<T>(channel::Sender<T>);

/// The sending side of a channel that may be full. Clones send to the same receiver.
pub struct SyncSender<T>(channel::Sender<T>);

/// The receiving side. There is one, and one task at a time has it.
///
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<ropewalk_sync::mpsc::Receiver<u8>>();
/// ```
pub struct Receiver<T> {
    inner: channel::Receiver<T>,
    not_sync: PhantomData<Cell<()>>,
}

/// A channel that holds as many messages as there is memory for: sending never waits.
///
/// # Examples
/// ```
/// use ropewalk_sync::mpsc::channel;
///
/// let (sender, receiver) = channel();
/// for n in 0..3 {
///     let sender = sender.clone();
///     std::thread::spawn(move || sender.send(n).unwrap());
/// }
/// drop(sender);
/// assert_eq!(receiver.iter().sum::<i32>(), 3);
/// ```
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::unbounded();
    (Sender(sender), Receiver { inner: receiver, not_sync: PhantomData })
}

/// A channel that holds at most `bound` messages; with 0, one where sender and receiver have to meet.
///
/// # Examples
/// ```
/// use ropewalk_sync::mpsc::sync_channel;
///
/// let (sender, receiver) = sync_channel(1);
/// sender.send(1).unwrap();
/// assert!(sender.try_send(2).is_err());
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(bound);
    (SyncSender(sender), Receiver { inner: receiver, not_sync: PhantomData })
}

impl<T> Sender<T> {
    /// Sends `message`. Never waits.
    ///
    /// # Errors
    /// [`SendError`], with the message, if the receiver is gone.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_sync::mpsc::channel();
    /// sender.send(1).unwrap();
    /// drop(receiver);
    /// assert_eq!(sender.send(2).unwrap_err().0, 2);
    /// ```
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0.send(message).map_err(|error| SendError(error.into_inner()))
    }
}

impl<T> SyncSender<T> {
    /// Sends `message`; waits while the channel is full, in a channel without capacity until it is taken.
    ///
    /// # Errors
    /// [`SendError`], with the message, if the receiver is gone, or goes while it waits.
    ///
    /// # Waits
    /// While the channel is full.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the message does not arrive and is dropped.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_sync::mpsc::sync_channel(0);
    /// let other = std::thread::spawn(move || sender.send("taken"));
    /// assert_eq!(receiver.recv(), Ok("taken"));
    /// assert!(other.join().unwrap().is_ok());
    /// ```
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0.send(message).map_err(|error| SendError(error.into_inner()))
    }

    /// Sends `message` if that needs no wait.
    ///
    /// # Errors
    /// [`TrySendError`], with the message.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::mpsc::{TrySendError, sync_channel};
    ///
    /// let (sender, _receiver) = sync_channel(1);
    /// assert_eq!(sender.try_send(1), Ok(()));
    /// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    /// ```
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(message).map_err(|error| match error {
            channel::TrySendError::Full(message) => TrySendError::Full(message),
            channel::TrySendError::Disconnected(message) => TrySendError::Disconnected(message),
        })
    }
}

impl<T> Receiver<T> {
    /// Receives a message; waits while there is none.
    ///
    /// # Errors
    /// [`RecvError`] if there is none and all senders are gone, or go while it waits.
    ///
    /// # Waits
    /// While the channel is empty.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it.
    ///
    /// # Examples
    /// See [`channel`](fn@channel).
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.inner.recv().map_err(|channel::RecvError| RecvError)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    /// [`TryRecvError`] if there is none.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::mpsc::{TryRecvError, channel};
    ///
    /// let (sender, receiver) = channel::<u8>();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.inner.try_recv().map_err(|error| match error {
            channel::TryRecvError::Empty => TryRecvError::Empty,
            channel::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
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
    /// Unwinds a cancelled task; it takes no message with it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::mpsc::{RecvTimeoutError, channel};
    /// use std::time::Duration;
    ///
    /// let (_sender, receiver) = channel::<u8>();
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// ```
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.inner.recv_timeout(timeout).map_err(|error| match error {
            channel::RecvTimeoutError::Timeout => RecvTimeoutError::Timeout,
            channel::RecvTimeoutError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// The messages as they come, until all senders are gone.
    ///
    /// # Waits
    /// Each step waits as [`recv`](Self::recv) does, and is cancelled as it is.
    ///
    /// # Examples
    /// See [`channel`](fn@channel).
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// The messages that are there now. Never waits.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_sync::mpsc::channel();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_iter().count(), 1);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }
}

/// The messages of a channel as they come: see [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T>(&'a Receiver<T>);

/// The messages that are in a channel: see [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T>(&'a Receiver<T>);

/// The messages of a channel as they come; owns the receiver.
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

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
        IntoIter(self)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SyncSender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}
