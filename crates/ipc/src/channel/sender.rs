//! The sending side.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropewalk_sync::clock;
use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Refusal, SendError, SendTimeoutError, TrySendError};
use super::packets::Packets;
use super::queue::Outlet;
use super::{Type, arrived};
use crate::link::Message;
use crate::message::{self, serialize_descriptor};

/// The sending side of a channel between processes. Clones, here and in other processes, send to the same receivers.
///
/// It travels: as the argument or the result of a process, inside of it, and in messages of other channels. Whoever sent it
/// that way still has it, until he drops it. (One of a [connection](super#transports) does not travel.)
///
/// # Examples
/// ```
/// let (sender, receiver) = ropewalk_ipc::channel::channel(64 * 1024)?;
/// let other = sender.clone();
/// std::thread::spawn(move || other.send(1)).join().unwrap()?;
/// sender.send(2)?;
/// assert_eq!(receiver.recv()? + receiver.recv()?, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Sender<T> {
    outgoing: Outgoing,
    of: Type,
    messages: PhantomData<fn(T)>,
}

/// Over what it sends.
#[derive(Clone)]
pub(super) enum Outgoing {
    Packets(Arc<Packets>),
    Queue(Arc<Outlet>),
}

impl<T> Sender<T> {
    pub(super) fn new(outgoing: Outgoing, of: Type) -> Self {
        Self { outgoing, of, messages: PhantomData }
    }

    /// How much room there is for messages that nobody has received yet: bytes, as the kernel counts them, and for a
    /// [connection](super#transports) messages. See [`channel`](super::channel).
    #[must_use]
    pub fn capacity(&self) -> usize {
        match &self.outgoing {
            Outgoing::Packets(packets) => packets.room(),
            Outgoing::Queue(outlet) => outlet.room(),
        }
    }

    /// Whether all receivers are gone. `false` says little: they may go at any time.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_ipc::channel::channel::<u8>(4096)?;
    /// assert!(!sender.is_disconnected());
    /// drop(receiver);
    /// assert!(sender.is_disconnected());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        match &self.outgoing {
            Outgoing::Packets(packets) => packets.is_disconnected(),
            Outgoing::Queue(outlet) => outlet.is_disconnected(),
        }
    }

    /// Whether both send to the same receivers, as far as this process knows: clones do.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.outgoing, &other.outgoing) {
            (Outgoing::Packets(this), Outgoing::Packets(other)) => Arc::ptr_eq(this, other),
            (Outgoing::Queue(this), Outgoing::Queue(other)) => Arc::ptr_eq(this, other),
            _ => false,
        }
    }
}

impl<T: Serialize> Sender<T> {
    /// Sends `message`; waits while there is no room.
    ///
    /// # Errors
    /// With the message: [`Disconnected`](SendError::Disconnected), if all receivers are gone, dropped or with their
    /// processes; else [`Failed`](SendError::Failed): it cannot be written in postcard's format, it is too long, it holds
    /// more descriptors than 252 (over a connection: any), no descriptor is left (`ulimit -n`), the connection is lost.
    ///
    /// # Waits
    /// While there is no room.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the message does not arrive and is dropped. The channel is as it was.
    ///
    /// # Examples
    /// See [`Sender`].
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.send_until(&message, None).map_err(|refusal| SendError::new(refusal, message))
    }

    /// Sends `message` if there is room. Never waits.
    ///
    /// # Errors
    /// As [`send`](Self::send), and that there is no room.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = ropewalk_ipc::channel::channel(4096)?;
    /// while sender.try_send([7_u8; 32]).is_ok() {}
    /// assert!(sender.try_send([8; 32]).unwrap_err().is_full());
    /// drop(receiver);
    /// assert!(sender.try_send([9; 32]).unwrap_err().is_disconnected());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let sent = encode(&message).and_then(|encoded| match &self.outgoing {
            Outgoing::Packets(packets) => packets.try_send(&encoded),
            Outgoing::Queue(outlet) => outlet.try_send(encoded),
        });
        sent.map_err(|refusal| TrySendError::new(refusal, message))
    }

    /// As [`send`](Self::send), for at most `timeout`.
    ///
    /// # Errors
    /// As `send`, and that there was no room in time.
    ///
    /// # Waits
    /// While there is no room, for at most `timeout`.
    ///
    /// # Cancellation
    /// As `send`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let (sender, _receiver) = ropewalk_ipc::channel::channel(4096)?;
    /// while sender.try_send(1).is_ok() {}
    /// assert!(sender.send_timeout(2, Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_until(&message, clock::after(timeout))
            .map_err(|refusal| SendTimeoutError::new(refusal, message))
    }

    /// As [`send`](Self::send), until `deadline` at most.
    ///
    /// # Errors
    /// As `send`, and that there was no room in time.
    ///
    /// # Waits
    /// While there is no room, until `deadline` at most.
    ///
    /// # Cancellation
    /// As `send`.
    ///
    /// # Examples
    /// ```
    /// use std::time::Instant;
    ///
    /// let (sender, _receiver) = ropewalk_ipc::channel::channel(4096)?;
    /// assert!(sender.send_deadline(1, Instant::now()).is_ok(), "there is room");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_until(&message, Some(deadline)).map_err(|refusal| SendTimeoutError::new(refusal, message))
    }

    fn send_until(&self, message: &T, deadline: Option<Instant>) -> Result<(), Refusal> {
        let encoded = encode(message)?;
        match &self.outgoing {
            Outgoing::Packets(packets) => packets.send(&encoded, deadline),
            Outgoing::Queue(outlet) => outlet.send(encoded, deadline),
        }
    }
}

fn encode<T: Serialize>(message: &T) -> Result<Message, Refusal> {
    let (bytes, descriptors) = message::encode(message).map_err(Refusal::Failed)?;
    Ok(Message { bytes, descriptors })
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::new(self.outgoing.clone(), self.of)
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}

/// Inside of what is sent to, or comes from, another process of this machine.
impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.outgoing {
            Outgoing::Packets(packets) => (self.of, Sent(packets)).serialize(serializer),
            Outgoing::Queue(_) => Err(S::Error::custom(super::STAYS)),
        }
    }
}

impl<'de, T: Serialize + DeserializeOwned> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        arrived::<T, D>(deserializer).map(|(packets, of)| Self::new(Outgoing::Packets(Arc::new(packets)), of))
    }
}

/// An end on its way out.
pub(super) struct Sent<'a>(pub(super) &'a Packets);

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_descriptor(self.0.as_fd(), serializer)
    }
}
