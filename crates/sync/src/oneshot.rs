//! One message from one task to another: the answer to a request, say.
//!
//! A thin face over a [`channel`](mod@crate::channel) with room for one, with tokio's names (`tokio::sync::oneshot`): both sides are
//! consumed by what they do, so there can be no second message. Sending never waits.

use std::fmt;
use std::time::{Duration, Instant};

use crate::channel::{self, RecvError, RecvTimeoutError, TryRecvError};

/// Both sides of a channel for one message.
///
/// # Examples
/// ```
/// use ropewalk_sync::oneshot;
///
/// let (sender, receiver) = oneshot::channel();
/// std::thread::spawn(move || sender.send("the answer"));
/// assert_eq!(receiver.recv(), Ok("the answer"));
/// ```
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(1);
    (Sender(sender), Receiver(receiver))
}

/// Sends the message. If it is dropped instead the receiver is told.
pub struct Sender<T>(channel::Sender<T>);

/// Receives the message.
pub struct Receiver<T>(channel::Receiver<T>);

impl<T> Sender<T> {
    /// Sends `message`. Never waits. That it was sent does not mean that it will be received: the receiver may be dropped
    /// afterwards.
    ///
    /// # Errors
    /// The message, if the receiver is gone.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_sync::oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send(1), Err(1));
    /// ```
    pub fn send(self, message: T) -> Result<(), T> {
        // There is room: nobody has sent before.
        self.0.try_send(message).map_err(channel::TrySendError::into_inner)
    }

    /// Waits until the receiver is gone: until the message need not be made any more.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_sync::oneshot::channel::<u8>();
    /// std::thread::spawn(move || drop(receiver));
    /// sender.closed();
    /// assert!(sender.is_closed());
    /// ```
    #[track_caller]
    pub fn closed(&self) {
        self.0.wait_abandoned();
    }

    /// Whether the receiver is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_abandoned()
    }
}

impl<T> Receiver<T> {
    /// Receives the message.
    ///
    /// # Errors
    /// If the sender is gone and has not sent.
    ///
    /// # Waits
    /// Until there is a message, or the sender is gone.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the message is dropped.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::{channel::RecvError, oneshot};
    ///
    /// let (sender, receiver) = oneshot::channel::<u8>();
    /// drop(sender);
    /// assert_eq!(receiver.recv(), Err(RecvError));
    /// ```
    #[track_caller]
    pub fn recv(self) -> Result<T, RecvError> {
        self.0.recv()
    }

    /// As [`recv`](Self::recv), for at most `timeout`. The receiver is still there afterwards.
    ///
    /// # Errors
    /// If no message came in time, or none will.
    ///
    /// # Waits
    /// Until there is a message, or the sender is gone, for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let (_sender, receiver) = ropewalk_sync::oneshot::channel::<u8>();
    /// assert!(receiver.recv_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// ```
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.0.recv_timeout(timeout)
    }

    /// As [`recv_timeout`](Self::recv_timeout), until `deadline`.
    ///
    /// # Errors
    /// If no message came in time, or none will.
    ///
    /// # Waits
    /// Until there is a message, or the sender is gone, until `deadline` at most.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.0.recv_deadline(deadline)
    }

    /// Receives the message if it is there. Never waits.
    ///
    /// # Errors
    /// If it is not there yet, or will not come, or was received before.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv()
    }

    /// The same as the receiver of a channel: for [`select!`](macro@crate::channel::select).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::{channel::select, oneshot};
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// sender.send(1).unwrap();
    /// select! {
    ///     recv(receiver.as_channel()) -> message => assert_eq!(message, Ok(1)),
    /// }
    /// ```
    #[must_use]
    pub fn as_channel(&self) -> &channel::Receiver<T> {
        &self.0
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}
