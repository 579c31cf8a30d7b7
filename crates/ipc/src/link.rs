//! A socket pair that carries whole messages with descriptors: what a parent and its child talk over.
//!
//! # The wire
//! `SOCK_SEQPACKET`, so a packet arrives whole or not at all, and the end of the peer is told apart from an empty packet.
//! A message is a head packet - four letters, the number of its bytes (8 bytes) and of its descriptors (4 bytes), in the
//! machine's order, followed by the first of them - and as many packets as it takes for the rest. The head packet holds
//! 4 KiB at most, since whoever receives it has to have room for it before: a child that has just started finds no memory that
//! is warm, and each page that it touches costs it a fault. The others hold 32 KiB, and each 253 descriptors at most
//! (unix(7): the kernel takes 253 and no more). Both ends run on one machine; of different builds they are only if
//! these speak the same protocol (`runtime/src/process/child.rs`), so the format has no versions.
//!
//! One message is sent at a time, and one received: the two halves have a lock each. The buffer in which packets arrive
//! is kept with the lock.
//!
//! # What becomes of a message whose receiver ends
//! The kernel remembers, and tells the sender once, whether the other end was closed with something unread in it
//! (`unix_release_sock` in Linux's `net/unix/af_unix.c` leaves `ECONNRESET`). So a sender can tell a message that was
//! never taken from one that was: [`Link::receive`].

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use ropewalk_sync::mutex::Mutex;
use ropewalk_sync::park::{Interest, Wait, WaitReason};
use ropewalk_sync::source::Source;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};

use crate::packet::{self, DESCRIPTORS, PACKET, not_a_message};

/// How many go into the first one of a message.
const FIRST_PACKET: usize = 4 * 1024;
/// The first bytes of each message.
const MAGIC: [u8; 4] = *b"rope";
const HEAD: usize = MAGIC.len() + 8 + 4;
/// The longest message; a peer that announces more is not believed.
pub const MESSAGE_MAX: usize = 1 << 30;
/// The most descriptors of a message.
pub const DESCRIPTORS_MAX: usize = 4096;

/// What was received.
#[derive(Debug, Default)]
pub struct Message {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The descriptors, in the order in which they were sent.
    pub descriptors: Vec<OwnedFd>,
}

/// One end of a pair. Closing it tells the other end.
pub struct Link {
    socket: OwnedFd,
    source: Source,
    sending: Mutex<()>,
    /// Room for a packet, once one was waited for.
    receiving: Mutex<Vec<u8>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.socket).finish()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<OwnedFd> for Link {
    /// A socket that came from [`Link::pair`].
    fn from(socket: OwnedFd) -> Self {
        Self { socket, source: Source::default(), sending: Mutex::new(()), receiving: Mutex::new(Vec::new()) }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.source.forget(self.socket.as_fd());
    }
}

impl Link {
    /// Two ends: one to keep, one to give away.
    ///
    /// # Errors
    /// No descriptor is left (`ulimit -n`).
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("{error}: no socket for a process, see `ulimit -n`"))
        })?;
        Ok((ours.into(), theirs))
    }

    /// Sends a message. The descriptors are duplicated into it; the caller keeps its own.
    ///
    /// # Errors
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the other end is closed, or
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset): it has not taken the message as a whole;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the message is longer than [`MESSAGE_MAX`] or has more
    /// descriptors than [`DESCRIPTORS_MAX`]; `ETOOMANYREFS` if more descriptors are on their way between processes than
    /// `ulimit -n` lets this user have.
    ///
    /// # Waits
    /// While the other end has not taken what was sent before.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the link is then of no use, since half a message may have gone.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if bytes.len() > MESSAGE_MAX || descriptors.len() > DESCRIPTORS_MAX {
            let text = format!(
                "a message of {} bytes and {} descriptors is too large: {MESSAGE_MAX} bytes and {DESCRIPTORS_MAX} \
                 descriptors are the most",
                bytes.len(),
                descriptors.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let _one_at_a_time = self.sending.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&MAGIC);
        head[4..12].copy_from_slice(&(bytes.len() as u64).to_ne_bytes());
        head[12..].copy_from_slice(&(descriptors.len() as u32).to_ne_bytes());
        let (first, mut rest) = bytes.split_at(bytes.len().min(FIRST_PACKET - HEAD));
        let (here, mut later) = descriptors.split_at(descriptors.len().min(DESCRIPTORS));
        self.send_packet(&[IoSlice::new(&head), IoSlice::new(first)], here)?;
        while !rest.is_empty() || !later.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(PACKET));
            let (here, remaining) = later.split_at(later.len().min(DESCRIPTORS));
            // A packet that is empty could not be told from the end.
            let part = if part.is_empty() { &[0][..] } else { part };
            self.send_packet(&[IoSlice::new(part)], here)?;
            (rest, later) = (after, remaining);
        }
        Ok(())
    }

    /// Sends a message as it is: see [`send`](Self::send).
    ///
    /// # Errors
    /// As `send`.
    ///
    /// # Waits
    /// As `send`.
    ///
    /// # Cancellation
    /// As `send`.
    pub fn send_message(&self, message: &Message) -> io::Result<()> {
        let descriptors: Vec<_> = message.descriptors.iter().map(AsFd::as_fd).collect();
        self.send(&message.bytes, &descriptors)
    }

    fn send_packet(&self, parts: &[IoSlice<'_>], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let wait = Wait::new(WaitReason::LinkSend).object(self).fallible();
        self.source.attempt(self.socket.as_fd(), Interest::Write, &wait, || {
            packet::send(self.socket.as_fd(), parts, descriptors)
        })
    }

    /// Receives a message; nothing when the other end is closed.
    ///
    /// # Errors
    /// The peer did not keep to the format ([`InvalidData`](io::ErrorKind::InvalidData)), or ended in the middle of a
    /// message ([`UnexpectedEof`](io::ErrorKind::UnexpectedEof)); descriptors came that this process has no room for
    /// (`ulimit -n`). [`ConnectionReset`](io::ErrorKind::ConnectionReset): the other end was closed, and had not read
    /// all that was sent to it. Then the link is of no use any more. [`WouldBlock`](io::ErrorKind::WouldBlock) when the deadline
    /// has passed and no message has begun.
    ///
    /// # Waits
    /// Until a message is there, or the deadline passes.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task. A message that has begun is lost with the link.
    pub fn receive(&self, deadline: Option<Instant>) -> io::Result<Option<Message>> {
        let mut buffer = self.receiving.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        make_room(&mut buffer, FIRST_PACKET);
        let mut message = Message::default();
        let count = self.receive_packet(&mut buffer, &mut message.descriptors, deadline)?;
        if count == 0 {
            return Ok(None);
        }
        let (length, descriptors) = parse_head(&buffer[..count])?;
        message.bytes.extend_from_slice(&buffer[HEAD..count]);
        if message.bytes.len() > length {
            return Err(not_a_message("it is longer than it says"));
        }
        while message.bytes.len() < length || message.descriptors.len() < descriptors {
            let missing = length - message.bytes.len();
            make_room(&mut buffer, missing.min(PACKET));
            let count = self.receive_packet(&mut buffer, &mut message.descriptors, None)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if count > missing.max(1) {
                return Err(not_a_message("it is longer than it says"));
            }
            message.bytes.extend_from_slice(&buffer[..count.min(missing)]);
        }
        if message.descriptors.len() > descriptors {
            return Err(not_a_message("it has more descriptors than it says"));
        }
        Ok(Some(message))
    }

    /// Has the driver of whoever waits next watch the link, instead of the one that does: for a link that is passed on to a
    /// task of another worker, which would be woken by way of the first one's. Nobody may wait meanwhile.
    pub fn pass_on(&self) {
        self.source.forget(self.socket.as_fd());
    }

    /// Ends the conversation: the other end sees the end once it has taken what was sent to it, and this one at once.
    pub fn shut(&self) {
        // It fails only where there is nothing to shut any more.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    /// Nothing more will be received but what has come already: who waits for more sees the end. For when the other
    /// end is known to be gone, and somebody else still has its descriptor.
    pub fn shut_receiving(&self) {
        // It fails only where there is nothing to shut any more.
        let _ = shutdown(&self.socket, Shutdown::Read);
    }

    fn receive_packet(
        &self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        let wait = Wait::new(WaitReason::LinkReceive).object(self).fallible().until(deadline);
        self.source.attempt(self.socket.as_fd(), Interest::Read, &wait, || {
            packet::receive(self.socket.as_fd(), buffer, descriptors)
        })
    }
}

/// Has a buffer hold so much at least.
fn make_room(buffer: &mut Vec<u8>, size: usize) {
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
}

/// The length and the number of descriptors that the head packet of a message announces.
fn parse_head(packet: &[u8]) -> io::Result<(usize, usize)> {
    let Some((magic, rest)) = packet.split_first_chunk::<4>() else {
        return Err(not_a_message("its head is too short"));
    };
    let Some((length, rest)) = rest.split_first_chunk::<8>() else {
        return Err(not_a_message("its head is too short"));
    };
    let Some((descriptors, _)) = rest.split_first_chunk::<4>() else {
        return Err(not_a_message("its head is too short"));
    };
    let length = usize::try_from(u64::from_ne_bytes(*length)).unwrap_or(usize::MAX);
    let descriptors = u32::from_ne_bytes(*descriptors) as usize;
    if *magic != MAGIC {
        return Err(not_a_message("its head is not Ropewalk's"));
    }
    if length > MESSAGE_MAX || descriptors > DESCRIPTORS_MAX {
        return Err(not_a_message("it says that it is larger than a message can be"));
    }
    Ok((length, descriptors))
}
