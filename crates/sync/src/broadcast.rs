//! Every message to every receiver: events, say.
//!
//! tokio's names (`tokio::sync::broadcast`), and a choice that tokio does not give: what happens when a receiver is so slow
//! that the channel is full of messages that it has not received. See [`Policy`].
//!
//! A message is kept once, however many receive it, until the last of them has; each gets a clone.
//!
//! # Order
//! All receivers get the messages in the same order, that in which their sends took effect, each from those on that were
//! sent after it had subscribed.
//!
//! # Memory
//! What a task did before it sent a message is visible to whoever receives it, or a later one.

use std::fmt;
use std::sync::Arc;

use crate::channel::SendError;
use crate::log::{Kind, Options, Reader, RecvTimeoutError, Writer};
use crate::park::WaitReason;

pub use crate::log::{Policy, RecvError, TryRecvError};

const BROADCAST: Kind =
    Kind { write: WaitReason::BroadcastSend, read: WaitReason::BroadcastReceive, refuses_unread: true };

/// A channel for `capacity` messages that drops the oldest when it is full.
///
/// # Panics
/// If `capacity` is 0.
///
/// # Examples
/// ```
/// use ropewalk_sync::broadcast::{self, RecvError};
///
/// let (sender, mut receiver) = broadcast::channel(2);
/// let mut other = sender.subscribe();
/// sender.send(1).unwrap();
/// assert_eq!((receiver.recv(), other.recv()), (Ok(1), Ok(1)));
/// (2..=4).for_each(|n| drop(sender.send(n)));
/// assert_eq!(receiver.recv(), Err(RecvError::Lagged(1)));
/// assert_eq!(receiver.recv(), Ok(3));
/// ```
#[must_use]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    channel_with(capacity, Policy::default())
}

/// As [`channel`], and says what a full channel does with slow receivers.
///
/// # Panics
/// If `capacity` is 0.
///
/// # Examples
/// ```
/// use ropewalk_sync::broadcast::{self, Policy};
///
/// let (sender, mut receiver) = broadcast::channel_with(1, Policy::Block);
/// let producer = std::thread::spawn(move || (0..100).for_each(|n| drop(sender.send(n))));
/// let mut sum = 0;
/// while let Ok(n) = receiver.recv() {
///     sum += n;
/// }
/// assert_eq!(sum, 4950);
/// producer.join().unwrap();
/// ```
#[must_use]
pub fn channel_with<T>(capacity: usize, policy: Policy) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a broadcast channel has room for a message at least");
    let options = Options { capacity: Some(capacity), policy: Some(policy), history: None };
    let sender = Sender(Writer::new(&BROADCAST, options, false));
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// Sends to all receivers.
pub struct Sender<T>(Writer<T>);

/// Receives every message that is sent from its subscription on.
pub struct Receiver<T>(Reader<T>);

impl<T> Sender<T> {
    /// Sends `message` to all that are subscribed now. How many that are; some may go before they receive it.
    ///
    /// # Errors
    /// The message, if nobody is subscribed, or everybody goes while it waits.
    ///
    /// # Waits
    /// With [`Policy::Block`], while the channel is full. Else never.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, if it waits; the message is dropped, and nobody receives it. A task that cannot unwind gets
    /// it back as an error.
    ///
    /// # Examples
    /// See [`channel`].
    #[track_caller]
    pub fn send(&self, message: T) -> Result<usize, SendError<T>> {
        self.0.log.write(message, || None).map_err(|error| SendError(error.into_inner()))
    }

    /// One more receiver, for the messages that are sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(self.0.reader())
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.0.log.readers()
    }

    /// How many messages are kept because not everybody has received them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.log.len()
    }

    /// Whether everybody has received everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The message; a clone, if others have it too.
fn unwrapped<T: Clone>(message: Arc<T>) -> T {
    Arc::try_unwrap(message).unwrap_or_else(|message| T::clone(&message))
}

impl<T: Clone> Receiver<T> {
    /// Receives the next message.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when all was received and the senders are gone; [`Lagged`](RecvError::Lagged) or
    /// [`TooSlow`](RecvError::TooSlow) if it missed messages, as the channel's [`Policy`] has it.
    ///
    /// # Waits
    /// Until there is a message.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it.
    ///
    /// # Panics
    /// If the message's `clone` does.
    ///
    /// # Examples
    /// See [`channel`].
    #[track_caller]
    pub fn recv(&mut self) -> Result<T, RecvError> {
        match self.0.read(false, || None) {
            Ok(message) => Ok(unwrapped(message)),
            Err(RecvTimeoutError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
            Err(RecvTimeoutError::TooSlow) => Err(RecvError::TooSlow),
            Err(RecvTimeoutError::Closed | RecvTimeoutError::Timeout) => Err(RecvError::Closed),
        }
    }

    /// Receives the next message if there is one. Never waits.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), or that there is none.
    ///
    /// # Panics
    /// If the message's `clone` does.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_read(false).map(unwrapped)
    }
}

impl<T> Receiver<T> {
    /// How many messages it has before it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.unread()
    }

    /// Whether it has none before it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more receiver, for the messages that are sent from now on.
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        Self(self.0.another())
    }

    /// Whether both receive from the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.0.log(), other.0.log())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
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
