//! The ends of mechanisms that can be in two processes: made by one, opened by the task that is to use them.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use ropewalk::fs::{self, Permissions};
use ropewalk::io::{PipeReader, PipeWriter, pipe};
use ropewalk::ipc::ring::{self, One, WaitPolicy};
use ropewalk::ipc::{
    self, Condvar, Event, MessageQueue, Mutex, Region, Reset, Segment, Semaphore, UnlinkOnDrop,
};
use ropewalk::net::{TcpListener, TcpStream, UnixDatagram, UnixSeqpacket, UnixStream};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::link::{Link, Socket, Stream, message};
use super::packets::{Bytes, Channels, Packets, Queues, Rings};
use super::shared::{Events, Nudges, Permits, Side, Turns, Words};
use crate::costs::measure::Refused;
use crate::costs::mechanism::Mechanism;

/// So many messages may be under way in a queue: what kernels allow everybody is 10.
const QUEUE_ROOM: usize = 8;
/// So many bytes in a ring or a channel, but room for some messages at least.
const ROOM_BYTES: usize = 256 << 10;
const ROOM_MIN: usize = 4;
const ROOM_MAX: usize = 256;
/// Room for what frames and their lengths add to a message.
const FRAMING: u32 = 64;
/// Two locks in a region, and its table of processes.
const REGION_BYTES: usize = 4096;

/// An end, as it travels.
#[derive(Serialize, Deserialize)]
pub(super) enum End {
    Pipe(PipeReader, PipeWriter),
    /// What it writes to, and what it reads from. The leader opens them in this order, the follower in the other: who
    /// opens a FIFO waits for the other.
    Fifo {
        to: PathBuf,
        from: PathBuf,
        side: Side,
        /// Where they are, until the leader has opened both.
        #[serde(skip)]
        directory: Option<TempDir>,
    },
    UnixStream(UnixStream),
    UnixDatagram(UnixDatagram),
    UnixSeqpacket(UnixSeqpacket),
    Tcp(TcpStream),
    MessageQueue(MessageQueue, MessageQueue),
    IpcChannel(ipc::Sender<Bytes>, ipc::Receiver<Bytes>),
    Remote(TcpStream),
    Ring(ring::Sender<[u8], One>, ring::Receiver<[u8], One>, Policy),
    Lock(Mutex<u32>, Condvar, Side),
    Semaphore(Semaphore, Semaphore),
    Event(Event, Event),
    Word(Segment<AtomicU32>, Side),
    Signal(UnixStream, Side),
}

/// A wait policy that travels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Policy {
    Sleep,
    Adaptive,
    Spin,
}

impl From<Policy> for WaitPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Sleep => Self::Sleep,
            Policy::Adaptive => Self::Adaptive,
            Policy::Spin => Self::Spin,
        }
    }
}

/// Both ends, the leader's first.
///
/// # Errors
/// What the system says; [`Refused`] where it is that this machine has not got it, or allows no such messages.
pub(super) fn ends(mechanism: Mechanism, bytes: u32) -> io::Result<(End, End)> {
    Ok(match mechanism {
        Mechanism::Pipe => {
            let ((theirs, there), (ours, back)) = (pipe()?, pipe()?);
            (End::Pipe(ours, there), End::Pipe(theirs, back))
        }
        Mechanism::Fifo => fifos()?,
        Mechanism::UnixStream => {
            let (near, far) = UnixStream::pair()?;
            (End::UnixStream(near), End::UnixStream(far))
        }
        Mechanism::UnixDatagram => {
            let (near, far) = UnixDatagram::pair()?;
            near.send(&message(bytes)).map_err(Refused::too_long)?;
            far.recv(&mut message(bytes))?;
            (End::UnixDatagram(near), End::UnixDatagram(far))
        }
        Mechanism::UnixSeqpacket => {
            let (near, far) = UnixSeqpacket::pair()?;
            near.send(&message(bytes)).map_err(Refused::too_long)?;
            far.recv(&mut message(bytes))?;
            (End::UnixSeqpacket(near), End::UnixSeqpacket(far))
        }
        Mechanism::Tcp => {
            let (near, far) = connection()?;
            (End::Tcp(near), End::Tcp(far))
        }
        Mechanism::RemoteChannel => {
            let (near, far) = connection()?;
            (End::Remote(near), End::Remote(far))
        }
        Mechanism::MessageQueue => {
            let (there, back) = (queue("there", bytes)?, queue("back", bytes)?);
            let (theirs, ours) = (there.try_clone()?, back.try_clone()?);
            (End::MessageQueue(there, ours), End::MessageQueue(back, theirs))
        }
        Mechanism::IpcChannel => {
            let room = ROOM_BYTES.max(ROOM_MIN * (bytes + FRAMING) as usize);
            let ((there, theirs), (back, ours)) = (ipc::channel(room)?, ipc::channel(room)?);
            (End::IpcChannel(there, ours), End::IpcChannel(back, theirs))
        }
        Mechanism::RingSleep => rings(bytes, Policy::Sleep)?,
        Mechanism::RingAdaptive => rings(bytes, Policy::Adaptive)?,
        Mechanism::RingSpin => rings(bytes, Policy::Spin)?,
        _ => shared(mechanism)?,
    })
}

/// Ends of mechanisms that carry no bytes.
fn shared(mechanism: Mechanism) -> io::Result<(End, End)> {
    Ok(match mechanism {
        Mechanism::SharedLock => {
            let region = Region::new(REGION_BYTES)?;
            let (turn, changed) = (Mutex::new_in(&region, Side::Near as u32)?, Condvar::new_in(&region)?);
            let end = |side| End::Lock(turn.clone(), changed.clone(), side);
            (end(Side::Near), end(Side::Far))
        }
        Mechanism::SharedSemaphore => {
            let region = Region::new(REGION_BYTES)?;
            let (there, back) = (Semaphore::new_in(&region, 0)?, Semaphore::new_in(&region, 0)?);
            (End::Semaphore(there.clone(), back.clone()), End::Semaphore(back, there))
        }
        Mechanism::SharedEvent => {
            let region = Region::new(REGION_BYTES)?;
            let (there, back) = (Event::new_in(&region, Reset::Auto)?, Event::new_in(&region, Reset::Auto)?);
            (End::Event(there.clone(), back.clone()), End::Event(back, there))
        }
        Mechanism::SharedWord => {
            let words = Segment::new(2)?;
            (End::Word(words.clone(), Side::Near), End::Word(words, Side::Far))
        }
        Mechanism::Signal => {
            let (near, far) = UnixStream::pair()?;
            (End::Signal(near, Side::Near), End::Signal(far, Side::Far))
        }
        _ => return Err(io::Error::other("it has no ends that could be in two processes")),
    })
}

/// A connection within this machine. What is small is sent at once.
fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Refused::with("127.0.0.1"))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// Two FIFOs in a directory of their own.
fn fifos() -> io::Result<(End, End)> {
    let directory = tempfile::tempdir().map_err(Refused::with("a directory for FIFOs"))?;
    let (there, back) = (directory.path().join("there"), directory.path().join("back"));
    for path in [&there, &back] {
        fs::mkfifo(path, Permissions::from_mode(0o600)).map_err(Refused::with("a FIFO"))?;
    }
    let near =
        End::Fifo { to: there.clone(), from: back.clone(), side: Side::Near, directory: Some(directory) };
    Ok((near, End::Fifo { to: back, from: there, side: Side::Far, directory: None }))
}

/// A queue without a name.
fn queue(direction: &str, bytes: u32) -> io::Result<MessageQueue> {
    let name = format!("/ropewalk-costs-{}-{direction}", std::process::id());
    let refused = |error: io::Error| {
        // The name is different each time, and the reason is not.
        Refused::because(io::Error::other(error.to_string().replace(&format!("message queue {name}: "), "")))
    };
    let queue = MessageQueue::create_new(&name, QUEUE_ROOM, bytes as usize).map_err(refused)?;
    drop(UnlinkOnDrop::new(&name)?);
    Ok(queue)
}

fn rings(bytes: u32, policy: Policy) -> io::Result<(End, End)> {
    let room = (ROOM_BYTES / bytes as usize).clamp(ROOM_MIN, ROOM_MAX);
    let ring = || ring::Builder::new(room).max_len(bytes as usize).spsc::<[u8]>();
    let ((there, theirs), (back, ours)) = (ring()?, ring()?);
    Ok((End::Ring(there, ours, policy), End::Ring(back, theirs, policy)))
}

/// Opens an end, in the task that is to use it.
///
/// # Errors
/// What the system says.
///
/// # Waits
/// For the other end, where the mechanism wants it.
pub(super) fn open(end: End, bytes: u32) -> io::Result<Box<dyn Link>> {
    Ok(match end {
        End::Pipe(reader, writer) => Box::new(Stream::new(reader, writer, bytes)),
        End::Fifo { to, from, side, directory: _until_open } => {
            let (reader, writer) = open_fifos(&to, &from, side)?;
            Box::new(Stream::new(reader, writer, bytes))
        }
        End::UnixStream(socket) => Box::new(Socket::new(socket, bytes)),
        End::Tcp(socket) => Box::new(Socket::new(socket, bytes)),
        End::UnixDatagram(socket) => Box::new(Packets::new(socket, bytes)),
        End::UnixSeqpacket(socket) => Box::new(Packets::new(socket, bytes)),
        End::MessageQueue(to, from) => Box::new(Queues { to, from, buffer: message(bytes) }),
        End::IpcChannel(to, from) => Box::new(Channels { to, from, bytes, at_hand: None }),
        End::Remote(stream) => {
            let (to, from) = ipc::remote::Builder::new().longest_message(bytes + FRAMING).over(stream)?;
            Box::new(Channels { to, from, bytes, at_hand: None })
        }
        End::Ring(mut to, mut from, policy) => {
            to.set_wait_policy(policy.into());
            from.set_wait_policy(policy.into());
            Box::new(Rings { to, from, message: message(bytes) })
        }
        End::Lock(turn, changed, side) => Box::new(Turns { turn, changed, side }),
        End::Semaphore(to, from) => Box::new(Permits { to, from }),
        End::Event(to, from) => Box::new(Events { to, from }),
        End::Word(words, side) => Box::new(Words { words, side, seen: 0 }),
        End::Signal(introduction, side) => Box::new(Nudges::new(side, introduction)?),
    })
}

fn open_fifos(to: &Path, from: &Path, side: Side) -> io::Result<(PipeReader, PipeWriter)> {
    Ok(match side {
        Side::Near => {
            let writer = PipeWriter::open(to)?;
            (PipeReader::open(from)?, writer)
        }
        Side::Far => (PipeReader::open(from)?, PipeWriter::open(to)?),
    })
}
