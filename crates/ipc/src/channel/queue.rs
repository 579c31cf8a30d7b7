//! Messages of a connection to somewhere else: a queue in this process, which a task empties or fills.
//!
//! Who sends puts the message into the queue; the task that has the connection writes it. So whoever is cancelled or out of
//! time while he sends leaves the connection whole: one task alone writes to it.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use ropewalk_sync::channel::{self, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Refusal;
use super::receiver::Receiver;
use super::sender::Sender;
use super::{Type, receiver, sender};
use crate::link::Message;

/// How a connection ends.
#[derive(Debug, Default)]
pub struct Fate {
    lost: OnceLock<(io::ErrorKind, String)>,
    full_stop: AtomicBool,
    /// Whether the loss was told to somebody who receives.
    told: AtomicBool,
}

impl Fate {
    /// It was lost for this reason. The first one stays.
    pub fn seal(&self, error: &io::Error) {
        // Who is second has only seen what the first one saw.
        let _ = self.lost.set((error.kind(), error.to_string()));
    }

    /// Why it was lost.
    #[must_use]
    pub fn error(&self) -> Option<io::Error> {
        self.lost.get().map(|(kind, text)| io::Error::new(*kind, text.clone()))
    }

    /// Whether the loss is to be told: the first who asks tells it, and after that it is over, as after any end.
    pub fn tell(&self) -> bool {
        // Relaxed: only who is first counts.
        !self.told.swap(true, Relaxed)
    }

    /// Nobody takes messages out of the queue any more. To be said before the queue is dropped.
    pub fn stop(&self) {
        // Relaxed: it stands for itself.
        self.full_stop.store(true, Relaxed);
    }
}

/// Where messages go that are to be sent.
pub(super) struct Outlet {
    messages: channel::Sender<Vec<u8>>,
    longest: usize,
    fate: Arc<Fate>,
}

/// Where messages come from.
pub(super) struct Inlet {
    messages: channel::Receiver<Vec<u8>>,
    fate: Arc<Fate>,
    /// Ends with the last receiver.
    _here: channel::Sender<Infallible>,
}

/// The sender whose messages, of `longest` bytes at most, come out of the other end of `messages`.
pub fn sender_of<T: Serialize + DeserializeOwned>(
    messages: channel::Sender<Vec<u8>>,
    longest: usize,
    fate: Arc<Fate>,
) -> Sender<T> {
    let outlet = Outlet { messages, longest, fate };
    Sender::new(sender::Outgoing::Queue(Arc::new(outlet)), Type::unknown())
}

/// The receiver of the messages that are put into the other end of `messages`. When it and its clones are gone, `here` is.
pub fn receiver_of<T: Serialize + DeserializeOwned>(
    messages: channel::Receiver<Vec<u8>>,
    here: channel::Sender<Infallible>,
    fate: Arc<Fate>,
) -> Receiver<T> {
    let inlet = Inlet { messages, fate, _here: here };
    Receiver::new(receiver::Incoming::Queue(Arc::new(inlet)), Type::unknown())
}

impl Outlet {
    /// How many messages the queue has room for.
    pub(super) fn room(&self) -> usize {
        self.messages.capacity().unwrap_or(usize::MAX)
    }

    /// Whether nobody takes messages any more.
    pub(super) fn is_disconnected(&self) -> bool {
        self.fate.full_stop.load(Relaxed)
    }

    /// What is put into the queue for a message.
    fn check(&self, message: Message) -> Result<Vec<u8>, Refusal> {
        let text = if message.bytes.len() > self.longest {
            format!("a message of {} bytes is too long: {} are the most", message.bytes.len(), self.longest)
        } else if message.descriptors.is_empty() {
            return Ok(message.bytes);
        } else {
            "a descriptor does not travel over a connection: it means something in processes of one machine only".into()
        };
        Err(Refusal::Failed(io::Error::new(io::ErrorKind::InvalidInput, text)))
    }

    pub(super) fn try_send(&self, message: Message) -> Result<(), Refusal> {
        self.messages.try_send(self.check(message)?).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::NotNow,
            TrySendError::Disconnected(_) => self.end(),
        })
    }

    pub(super) fn send(&self, message: Message, deadline: Option<Instant>) -> Result<(), Refusal> {
        let message = self.check(message)?;
        let Some(deadline) = deadline else {
            return self.messages.send(message).map_err(|_| self.end());
        };
        self.messages.send_deadline(message, deadline).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => Refusal::NotNow,
            SendTimeoutError::Disconnected(_) => self.end(),
        })
    }

    fn end(&self) -> Refusal {
        self.fate.error().map_or(Refusal::Disconnected, Refusal::Failed)
    }
}

impl Inlet {
    pub(super) fn try_receive(&self) -> Result<Message, Refusal> {
        self.messages.try_recv().map(message).map_err(|error| match error {
            TryRecvError::Empty => Refusal::NotNow,
            TryRecvError::Disconnected => self.end(),
        })
    }

    pub(super) fn receive(&self, deadline: Option<Instant>) -> Result<Message, Refusal> {
        let Some(deadline) = deadline else {
            return self.messages.recv().map(message).map_err(|_| self.end());
        };
        self.messages.recv_deadline(deadline).map(message).map_err(|error| match error {
            RecvTimeoutError::Timeout => Refusal::NotNow,
            RecvTimeoutError::Disconnected => self.end(),
        })
    }

    fn end(&self) -> Refusal {
        match self.fate.error() {
            Some(error) if self.fate.tell() => Refusal::Failed(error),
            _ => Refusal::Disconnected,
        }
    }
}

fn message(bytes: Vec<u8>) -> Message {
    Message { bytes, descriptors: Vec::new() }
}
