//! The receiving side.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropewalk_sync::clock;
use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{RecvError, RecvTimeoutError, Refusal, TryRecvError};
use super::packets::Packets;
use super::queue::Inlet;
use super::sender::Sent;
use super::{Type, arrived};
use crate::message;

/// The receiving side of a channel between processes. Clones, here and in other processes, share its messages: each goes to
/// one of them.
///
/// It travels as a [`Sender`](super::Sender) does. A message that a process has received goes with that process.
///
/// # Examples
/// ```
/// let (sender, receiver) = ropewalk_ipc::channel::channel(64 * 1024)?;
/// let other = receiver.clone();
/// sender.send("one".to_owned())?;
/// assert_eq!(other.recv()?, "one");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Receiver<T> {
    incoming: Incoming,
    of: Type,
    messages: PhantomData<fn() -> T>,
}

/// From what it receives.
#[derive(Clone)]
pub(super) enum Incoming {
    Packets(Arc<Packets>),
    Queue(Arc<Inlet>),
}

impl<T> Receiver<T> {
    pub(super) fn new(incoming: Incoming, of: Type) -> Self {
        Self { incoming, of, messages: PhantomData }
    }

    /// Whether both receive from the same senders, as far as this process knows: clones do.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.incoming, &other.incoming) {
            (Incoming::Packets(this), Incoming::Packets(other)) => Arc::ptr_eq(this, other),
            (Incoming::Queue(this), Incoming::Queue(other)) => Arc::ptr_eq(this, other),
            _ => false,
        }
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// Receives a message; waits while there is none.
    ///
    /// # Errors
    /// [`Disconnected`](RecvError::Disconnected) if there is none and all senders are gone, dropped or with their processes.
    /// [`Failed`](RecvError::Failed): a message was no `T`, or its descriptors did not fit (`ulimit -n`); it is lost, and
    /// the next call receives the next one. Or a connection was lost; that is told once.
    ///
    /// # Waits
    /// While there is no message.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no message with it.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_ipc::channel::channel(4096)?;
    /// std::thread::spawn(move || sender.send("last words".to_owned()).unwrap());
    /// assert_eq!(receiver.recv()?, "last words");
    /// assert!(receiver.recv().unwrap_err().is_disconnected());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.receive_until(None).map_err(RecvError::from)
    }

    /// Receives a message if there is one. Never waits.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and that there is none.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_ipc::channel::channel::<u8>(4096)?;
    /// assert!(receiver.try_recv().unwrap_err().is_empty());
    /// drop(sender);
    /// assert!(receiver.try_recv().unwrap_err().is_disconnected());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.try_receive().map_err(TryRecvError::from)
    }

    fn try_receive(&self) -> Result<T, Refusal> {
        let message = match &self.incoming {
            Incoming::Packets(packets) => packets.try_receive(),
            Incoming::Queue(inlet) => inlet.try_receive(),
        };
        message::decode(message?).map_err(Refusal::Failed)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// As `recv`, and that no message came in time.
    ///
    /// # Waits
    /// While there is no message, for at most `timeout`.
    ///
    /// # Cancellation
    /// As `recv`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let (_sender, receiver) = ropewalk_ipc::channel::channel::<u8>(4096)?;
    /// assert!(receiver.recv_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.receive_until(clock::after(timeout)).map_err(RecvTimeoutError::from)
    }

    /// As [`recv`](Self::recv), until `deadline` at most.
    ///
    /// # Errors
    /// As `recv`, and that no message came in time.
    ///
    /// # Waits
    /// While there is no message, until `deadline` at most.
    ///
    /// # Cancellation
    /// As `recv`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Instant;
    ///
    /// let (sender, receiver) = ropewalk_ipc::channel::channel(4096)?;
    /// sender.send(1)?;
    /// assert_eq!(receiver.recv_deadline(Instant::now()).unwrap(), 1, "what is there is never late");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.receive_until(Some(deadline)).map_err(RecvTimeoutError::from)
    }

    fn receive_until(&self, deadline: Option<Instant>) -> Result<T, Refusal> {
        let message = match &self.incoming {
            Incoming::Packets(packets) => packets.receive(deadline),
            Incoming::Queue(inlet) => inlet.receive(deadline),
        };
        message::decode(message?).map_err(Refusal::Failed)
    }

    /// The messages as they come, until all senders are gone. What [failed](RecvError::Failed) is among them.
    ///
    /// # Waits
    /// Each step waits as [`recv`](Self::recv) does, and is cancelled as it is.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_ipc::channel::channel(4096)?;
    /// std::thread::spawn(move || (1..=3).for_each(|n| sender.send(n).unwrap()));
    /// assert_eq!(receiver.iter().collect::<Result<Vec<_>, _>>()?, [1, 2, 3]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The messages that are there now. Never waits.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_ipc::channel::channel(4096)?;
    /// sender.send(1)?;
    /// assert_eq!(receiver.try_iter().count(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }
}

/// The messages of a receiver as they come. See [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The messages that are there. See [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

/// The messages of a receiver as they come; it is dropped with this.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

/// A step, or the end.
fn step<T>(received: Result<T, RecvError>) -> Option<io::Result<T>> {
    match received {
        Ok(message) => Some(Ok(message)),
        Err(RecvError::Disconnected) => None,
        Err(RecvError::Failed(error)) => Some(Err(error)),
    }
}

impl<T: DeserializeOwned> Iterator for Iter<'_, T> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        step(self.receiver.recv())
    }
}

impl<T: DeserializeOwned> Iterator for TryIter<'_, T> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.receiver.try_recv() {
            Ok(message) => Some(Ok(message)),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
            Err(TryRecvError::Failed(error)) => Some(Err(error)),
        }
    }
}

impl<T: DeserializeOwned> Iterator for IntoIter<T> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        step(self.receiver.recv())
    }
}

impl<T: DeserializeOwned> FusedIterator for Iter<'_, T> {}
impl<T: DeserializeOwned> FusedIterator for IntoIter<T> {}

impl<'a, T: DeserializeOwned> IntoIterator for &'a Receiver<T> {
    type Item = io::Result<T>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: DeserializeOwned> IntoIterator for Receiver<T> {
    type Item = io::Result<T>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        IntoIter { receiver: self }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(self.incoming.clone(), self.of)
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}

/// Inside of what is sent to, or comes from, another process of this machine.
impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.incoming {
            Incoming::Packets(packets) => (self.of, Sent(packets)).serialize(serializer),
            Incoming::Queue(_) => Err(S::Error::custom(super::STAYS)),
        }
    }
}

impl<'de, T: Serialize + DeserializeOwned> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        arrived::<T, D>(deserializer).map(|(packets, of)| Self::new(Incoming::Packets(Arc::new(packets)), of))
    }
}
