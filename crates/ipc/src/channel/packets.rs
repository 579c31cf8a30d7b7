//! Messages between the processes of one machine: a socket pair that keeps packets apart, one packet a message.
//!
//! # Why one packet
//! The kernel takes a packet whole or not at all, and gives it to one receiver. So however many send and receive, in
//! however many processes, and wherever one of them is killed or cancelled, messages never mix and are never half there:
//! there is no lock that a dead process could have, and no length that it could have promised.
//!
//! # The wire
//! The number of the message's bytes (8 bytes, little-endian), then the first of them, as many as a packet holds
//! (`Packets::packet`), and the message's descriptors. If there are more bytes, these are in sealed memory
//! ([`SealedMemory`]) whose descriptor is the last one. So a long message takes as much of the socket's room as any packet
//! that is full, and its sender holds up nobody while it writes. Both ends are ends of one socket pair, so the format needs
//! no version; that they mean the same type is looked at when an end arrives (`super::Type`).

use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Instant;

use ropewalk_sync::mutex::Mutex;
use ropewalk_sync::park::{Interest, Wait, WaitReason};
use ropewalk_sync::source::Source;
use ropewalk_sys::shared_memory::SealedMemory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

use super::error::Refusal;
use crate::link::{MESSAGE_MAX, Message};
use crate::packet::{self, DESCRIPTORS, PACKET};

/// The length of the message.
const HEAD: usize = 8;
/// What a socket's send buffer must have beyond a packet (`unix_dgram_sendmsg` in Linux's `net/unix/af_unix.c` wants 32
/// bytes).
const SLACK: usize = 64;
/// The memory with the rest of a long message is one.
const DESCRIPTORS_MAX: usize = DESCRIPTORS - 1;

/// One end, of the senders or of the receivers.
pub(super) struct Packets {
    socket: OwnedFd,
    source: Source,
    /// How long a packet may be, its head included.
    packet: usize,
    /// How much room the kernel gives the messages on their way.
    room: usize,
    /// Where a packet is received, if nobody is at it.
    buffer: Mutex<Vec<u8>>,
}

/// A message as a packet.
struct Packet<'a> {
    head: [u8; HEAD],
    first: &'a [u8],
    descriptors: Vec<BorrowedFd<'a>>,
}

impl Packets {
    /// Both ends, with room for so many bytes as the kernel counts them.
    pub(super) fn pair(room: usize) -> io::Result<(Self, Self)> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (sends, receives) = pair.map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("{error}: no socket for a channel, see `ulimit -n`"))
        })?;
        // The kernel takes what it gets as a wish: it has a least and a most (socket(7), `SO_SNDBUF`).
        sockopt::set_socket_send_buffer_size(&sends, room.min(i32::MAX as usize / 2))?;
        Ok((Self::try_from(sends)?, Self::try_from(receives)?))
    }

    /// An end over what is no socket, for a value that is made up.
    pub(super) fn made_up(descriptor: OwnedFd) -> Self {
        Self {
            socket: descriptor,
            source: Source::default(),
            packet: PACKET,
            room: 0,
            buffer: Mutex::new(Vec::new()),
        }
    }

    /// How many bytes of messages there is room for.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether the other end is closed.
    pub(super) fn is_disconnected(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::empty())];
        poll(&mut socket, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
            && socket[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// Sends, if there is room.
    pub(super) fn try_send(&self, message: &Message) -> Result<(), Refusal> {
        let rest = self.rest_of(message).map_err(Refusal::Failed)?;
        let packet = self.packet_of(message, rest.as_ref());
        loop {
            match packet.send(self.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent.map_err(not_sent),
            }
        }
    }

    /// Sends; waits while there is no room.
    pub(super) fn send(&self, message: &Message, deadline: Option<Instant>) -> Result<(), Refusal> {
        let rest = self.rest_of(message).map_err(Refusal::Failed)?;
        let packet = self.packet_of(message, rest.as_ref());
        let wait = Wait::new(WaitReason::ProcessSend).object(self).fallible().until(deadline);
        let sent = self.source.attempt(self.as_fd(), Interest::Write, &wait, || packet.send(self.as_fd()));
        sent.map_err(not_sent)
    }

    /// How many bytes of a message go into its packet.
    fn first(&self) -> usize {
        self.packet - HEAD
    }

    /// What does not go into the packet of a message, as memory.
    fn rest_of(&self, message: &Message) -> io::Result<Option<SealedMemory>> {
        if message.bytes.len() > MESSAGE_MAX || message.descriptors.len() > DESCRIPTORS_MAX {
            let text = format!(
                "a message of {} bytes and {} descriptors is too large: {MESSAGE_MAX} bytes and {DESCRIPTORS_MAX} \
                 descriptors are the most",
                message.bytes.len(),
                message.descriptors.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let Some((_, rest)) = message.bytes.split_at_checked(self.first()) else { return Ok(None) };
        if rest.is_empty() {
            return Ok(None);
        }
        let memory = SealedMemory::new(rest.len())?;
        let file = File::from(memory.as_fd().try_clone_to_owned()?);
        file.write_all_at(rest, 0)?;
        Ok(Some(memory))
    }

    fn packet_of<'a>(&self, message: &'a Message, rest: Option<&'a SealedMemory>) -> Packet<'a> {
        let descriptors = message.descriptors.iter().map(AsFd::as_fd).chain(rest.map(AsFd::as_fd)).collect();
        Packet {
            head: (message.bytes.len() as u64).to_le_bytes(),
            first: &message.bytes[..message.bytes.len().min(self.first())],
            descriptors,
        }
    }

    /// Receives, if there is a message.
    pub(super) fn try_receive(&self) -> Result<Message, Refusal> {
        self.receive_by(|buffer, descriptors| {
            loop {
                match packet::receive(self.as_fd(), buffer, descriptors) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    received => return received,
                }
            }
        })
    }

    /// Receives; waits while there is no message.
    pub(super) fn receive(&self, deadline: Option<Instant>) -> Result<Message, Refusal> {
        let wait = Wait::new(WaitReason::ProcessReceive).object(self).fallible().until(deadline);
        self.receive_by(|buffer, descriptors| {
            self.source.attempt(self.as_fd(), Interest::Read, &wait, || {
                packet::receive(self.as_fd(), buffer, descriptors)
            })
        })
    }

    fn receive_by(
        &self,
        receive: impl FnOnce(&mut [u8], &mut Vec<OwnedFd>) -> io::Result<usize>,
    ) -> Result<Message, Refusal> {
        let mut buffer = self.buffer.try_lock().map(|mut buffer| mem::take(&mut *buffer)).unwrap_or_default();
        if buffer.is_empty() {
            buffer = vec![0; PACKET];
        }
        let mut descriptors = Vec::new();
        let count = receive(&mut buffer, &mut descriptors).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Refusal::NotNow,
            _ => Refusal::Failed(error),
        })?;
        if count == 0 {
            return Err(Refusal::Disconnected);
        }
        let message = message_of(&buffer[..count], descriptors);
        if let Ok(mut place) = self.buffer.try_lock() {
            *place = buffer;
        }
        message.map_err(Refusal::Failed)
    }
}

impl Packet<'_> {
    fn send(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        packet::send(socket, &[IoSlice::new(&self.head), IoSlice::new(self.first)], &self.descriptors)
    }
}

impl TryFrom<OwnedFd> for Packets {
    type Error = io::Error;

    /// An end that has arrived.
    fn try_from(socket: OwnedFd) -> io::Result<Self> {
        if sockopt::socket_type(&socket)? != SocketType::SEQPACKET {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the socket does not keep packets apart"));
        }
        // Twice what was asked for, since the kernel counts what it needs for itself.
        let buffer = sockopt::socket_send_buffer_size(&socket)?;
        let packet = buffer.saturating_sub(SLACK).clamp(2 * HEAD, PACKET);
        let buffer = (packet, buffer / 2);
        Ok(Self {
            socket,
            source: Source::default(),
            packet: buffer.0,
            room: buffer.1,
            buffer: Mutex::new(Vec::new()),
        })
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        self.source.forget(self.socket.as_fd());
    }
}

/// Why a packet was not sent.
fn not_sent(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::WouldBlock => Refusal::NotNow,
        // The second says that there were messages that nobody had received.
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Refusal::Disconnected,
        _ => Refusal::Failed(error),
    }
}

/// The message of a packet.
fn message_of(packet: &[u8], mut descriptors: Vec<OwnedFd>) -> io::Result<Message> {
    let (head, first) =
        packet.split_first_chunk::<HEAD>().ok_or_else(|| packet::not_a_message("its head is too short"))?;
    let length = usize::try_from(u64::from_le_bytes(*head)).unwrap_or(usize::MAX);
    if length > MESSAGE_MAX {
        return Err(packet::not_a_message("it says that it is larger than a message can be"));
    }
    let missing =
        length.checked_sub(first.len()).ok_or_else(|| packet::not_a_message("it is longer than it says"))?;
    let mut bytes = first.to_vec();
    if missing > 0 {
        let rest = descriptors.pop().ok_or_else(|| packet::not_a_message("the rest of it is missing"))?;
        let memory = SealedMemory::try_from(rest)?;
        if memory.length() != missing {
            return Err(packet::not_a_message("the rest of it is not as long as it says"));
        }
        // From its beginning, wherever the sender stands in it. That it is there was looked at: it cannot shrink.
        let file = File::from(memory.as_fd().try_clone_to_owned()?);
        bytes.reserve_exact(missing);
        let mut from = At { file: &file, place: 0 };
        from.by_ref().take(missing as u64).read_to_end(&mut bytes)?;
        if bytes.len() != length {
            return Err(packet::not_a_message("the rest of it is missing"));
        }
    }
    Ok(Message { bytes, descriptors })
}

/// Reads a file from its beginning, and leaves its own place alone, which others share.
struct At<'a> {
    file: &'a File,
    place: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.place)?;
        self.place += count as u64;
        Ok(count)
    }
}
