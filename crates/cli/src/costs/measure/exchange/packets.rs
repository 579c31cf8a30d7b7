//! Mechanisms that keep messages apart: packets, queues, channels, rings.

use std::fmt::{self, Display};
use std::io;

use ropewalk::ipc::ring::{One, Receiver as RingReceiver, Sender as RingSender};
use ropewalk::ipc::{MessageQueue, Receiver, Sender};
use ropewalk::net::{UnixDatagram, UnixSeqpacket};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::link::{Link, message};

/// What comes in one piece is to be all of it.
pub(super) fn whole(length: usize, expected: usize) -> io::Result<()> {
    if length == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("{length} bytes of {expected} have come")))
}

/// Why a channel or a ring has ended, as an error of I/O.
pub(super) fn ended(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Packets: a socket that has calls of its own for them.
pub(super) struct Packets<S> {
    pub(super) socket: S,
    buffer: Vec<u8>,
}

impl<S> Packets<S> {
    pub(super) fn new(socket: S, bytes: u32) -> Self {
        Self { socket, buffer: message(bytes) }
    }
}

impl Link for Packets<UnixDatagram> {
    fn send(&mut self) -> io::Result<()> {
        self.socket.send(&self.buffer).map(drop)
    }

    fn receive(&mut self) -> io::Result<()> {
        whole(self.socket.recv(&mut self.buffer)?, self.buffer.len())
    }
}

impl Link for Packets<UnixSeqpacket> {
    fn send(&mut self) -> io::Result<()> {
        self.socket.send(&self.buffer)
    }

    fn receive(&mut self) -> io::Result<()> {
        whole(self.socket.recv(&mut self.buffer)?, self.buffer.len())
    }
}

/// Two message queues.
pub(super) struct Queues {
    pub(super) to: MessageQueue,
    pub(super) from: MessageQueue,
    pub(super) buffer: Vec<u8>,
}

impl Link for Queues {
    fn send(&mut self) -> io::Result<()> {
        self.to.send(&self.buffer, 0)
    }

    fn receive(&mut self) -> io::Result<()> {
        whole(self.from.recv(&mut self.buffer)?.0, self.buffer.len())
    }
}

/// Bytes as one value: serde takes a vector of bytes for a list of numbers.
#[derive(Clone, Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyBytes;

        impl Visitor<'_> for AnyBytes {
            type Value = Bytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(AnyBytes)
    }
}

/// Two channels between processes. What has come is sent on, so a message is not copied to be sent.
pub(super) struct Channels {
    pub(super) to: Sender<Bytes>,
    pub(super) from: Receiver<Bytes>,
    pub(super) bytes: u32,
    pub(super) at_hand: Option<Bytes>,
}

impl Link for Channels {
    fn send(&mut self) -> io::Result<()> {
        let next = self.at_hand.take().unwrap_or_else(|| Bytes(message(self.bytes)));
        self.to.send(next).map_err(ended)
    }

    fn receive(&mut self) -> io::Result<()> {
        let received = self.from.recv().map_err(ended)?;
        whole(received.0.len(), self.bytes as usize)?;
        self.at_hand = Some(received);
        Ok(())
    }
}

/// Two rings. A message is written in place, and stays where it is: who receives it looks at its two ends.
pub(super) struct Rings {
    pub(super) to: RingSender<[u8], One>,
    pub(super) from: RingReceiver<[u8], One>,
    pub(super) message: Vec<u8>,
}

impl Link for Rings {
    fn send(&mut self) -> io::Result<()> {
        let mut loan = self.to.loan().map_err(ended)?;
        loan.truncate(self.message.len());
        loan.write_at(0, &self.message);
        loan.publish();
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let received = self.from.recv_ref().map_err(ended)?;
        whole(received.len(), self.message.len())?;
        let (mut first, mut last) = ([0], [0]);
        received.read_at(0, &mut first);
        received.read_at(received.len() - 1, &mut last);
        if (first, last) == ([1], [1]) { Ok(()) } else { Err(io::Error::other("it is not what was sent")) }
    }
}
