//! Unix sockets, mirroring [`std::os::unix::net`]: streams and datagrams between processes of one machine, by a path or an
//! abstract name.
//!
//! They work as those of [TCP and UDP](super). Beyond std there is [`UnixSeqpacket`], a connection that carries packets;
//! streams, datagrams and packets carry descriptors, too (`send_with_descriptors`, `recv_with_descriptors`), and connections tell
//! who is at the other end (`peer_cred`). What differs from std:
//! - [`UnixListener::bind`] listens with a backlog of 4,096; [`UnixListener::bind_with_backlog`] sets it.
//! - Timeouts and non-blocking mode are kept in the handle and not in the socket, so a clone has its own.
//! - A listener that has no room in its backlog is asked again and again, with pauses of up to 32 ms: the kernel tells
//!   nobody when there is room, except who blocks in `connect`, and that could not be cancelled. The same holds for
//!   [`UnixDatagram::send_to`], in a coroutine, to a socket that has no room; a thread blocks in the call, as in std.

mod datagram;
mod descriptors;
mod seqpacket;

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::path::Path;
use std::time::Duration;

use ropewalk_sync::park::WaitReason;
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen,
    socket_with, socketpair,
};

use super::BACKLOG;
use super::halves::{OwnedReadHalf, OwnedWriteHalf};
use super::listener::Listener;
use super::socket::{Socket, descriptor_traits, stream_traits, until_there_is_room};
use crate::waitable::Waitable;

pub use self::datagram::UnixDatagram;
pub use self::descriptors::UCred;
pub use self::seqpacket::{UnixSeqpacket, UnixSeqpacketListener};
pub use std::os::unix::net::SocketAddr;

/// How long the address of a socket without a name is: its family only, two bytes (unix(7), "Address format").
const UNNAMED: u32 = 2;

fn new_socket(kind: SocketType) -> io::Result<Waitable> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, kind, flags, None)?.into())
}

/// An address for the kernel.
fn to_kernel(address: &SocketAddr) -> io::Result<SocketAddrUnix> {
    Ok(match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => SocketAddrUnix::new(path)?,
        (None, Some(name)) => SocketAddrUnix::new_abstract_name(name)?,
        (None, None) => SocketAddrUnix::new_unnamed(),
    })
}

/// A socket as std sees it, which alone can make an address of every one that the kernel gives: paths without an end of
/// their own among them (unix(7), "BUGS").
fn as_std(socket: &impl AsFd) -> io::Result<std::os::unix::net::UnixStream> {
    Ok(socket.as_fd().try_clone_to_owned()?.into())
}

/// The address of one that has connected, of which `accept` has said this.
fn peer_name(socket: &impl AsFd, address: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    let is_named = address.is_some_and(|address| address.addr_len() > UNNAMED);
    if is_named { as_std(socket)?.peer_addr() } else { SocketAddr::from_pathname("") }
}

/// A Unix stream socket, mirroring [`std::os::unix::net::UnixStream`].
///
/// ```
/// use ropewalk::net::UnixStream;
/// use std::io::{Read, Write};
///
/// let (mut near, mut far) = UnixStream::pair()?;
/// let answer = ropewalk::coroutine::spawn(move || {
///     let mut question = [0; 4];
///     far.read_exact(&mut question).and_then(|()| far.write_all(b"walk"))
/// });
/// near.write_all(b"rope")?;
/// let mut text = String::new();
/// near.read_to_string(&mut text)?;
/// assert_eq!(text, "walk");
/// answer.join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixStream {
    stream: Socket,
}

impl UnixStream {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What the kernel says, as std: nobody listens there, there is no such file, or it may not be written to.
    ///
    /// # Waits
    /// While the listener has no room for another connection.
    ///
    /// # Cancellation
    /// Unwinds; the socket is closed.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Connects to an address, which may be an abstract name ([`SocketAddrExt::from_abstract_name`]).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Waits
    /// As `connect`.
    ///
    /// # Cancellation
    /// As `connect`.
    pub fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        let address = to_kernel(address)?;
        let socket = new_socket(SocketType::STREAM)?;
        until_there_is_room(WaitReason::Connect, None, || Ok(connect(&socket, &address)?))?;
        // Everything else asks for non-blocking by the call; the descriptor behaves as any other if it is handed on.
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(Self { stream: Socket::exclusive(socket) })
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let stream = |fd: OwnedFd| Self { stream: Socket::exclusive(fd.into()) };
        Ok((stream(one), stream(other)))
    }

    /// Another handle of the same connection, with timeouts of its own, initially these.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()? })
    }

    /// The address of this end.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        as_std(&self.stream)?.local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        as_std(&self.stream)?.peer_addr()
    }

    /// How long a read may wait; `None` for ever. Counts from each read; costs no system call.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.read_limit.set(timeout)
    }

    /// How long a write may wait; `None` for ever. Counts from each write; costs no system call.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.write_limit.set(timeout)
    }

    /// How long a read may wait.
    ///
    /// # Errors
    /// None; the signature is std's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.stream.read_limit.get())
    }

    /// How long a write may wait.
    ///
    /// # Errors
    /// None; the signature is std's.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.stream.write_limit.get())
    }

    /// Takes the error that the socket holds, if any.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream.take_error()
    }

    /// Closes one or both directions: a read that waits returns 0.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    /// Whether what would wait is an error instead ([`WouldBlock`](io::ErrorKind::WouldBlock)): a read, a write. This
    /// handle's own, and its later clones'; the descriptor gets the mode, too, as in std.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    /// Splits it into a half that reads and one that writes, as [`TcpStream::into_split`](super::TcpStream::into_split).
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
        super::halves::split(self, |stream| stream.shutdown(Shutdown::Write))
    }
}

stream_traits!(UnixStream);
#[cfg(feature = "process")]
impl UnixStream {
    /// Has the descriptor take its time limits along.
    pub(crate) fn keep_limits(&self) -> io::Result<()> {
        self.stream.keep_limits()
    }
}

descriptor_traits!(
    UnixStream,
    stream,
    "Takes over a connected socket, with the time limits that std has set; whether it is in blocking mode does not matter \
     and is not changed."
);

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("UnixStream");
        if let Ok(address) = self.local_addr() {
            f.field("local", &address);
        }
        if let Ok(address) = self.peer_addr() {
            f.field("peer", &address);
        }
        f.field("fd", &self.as_fd()).finish()
    }
}

/// A listening Unix socket, mirroring [`std::os::unix::net::UnixListener`]. The file that `bind` makes stays when the
/// listener ends, as std's does: remove it before the path is bound again.
///
/// ```
/// use ropewalk::net::{UnixListener, UnixStream, unix::SocketAddr};
/// use std::io::{Read, Write};
/// use std::os::linux::net::SocketAddrExt;
///
/// let name = format!("ropewalk-example-{}", std::process::id());
/// let address = SocketAddr::from_abstract_name(name)?; // a name without a file
/// let listener = UnixListener::bind_addr(&address)?;
/// let server = ropewalk::coroutine::spawn(move || listener.accept()?.0.write_all(b"hello"));
/// let mut text = String::new();
/// UnixStream::connect_addr(&address)?.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// server.join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixListener {
    socket: Listener,
}

impl UnixListener {
    /// Makes a socket at `path` and listens, with a backlog of 4,096, capped by the sysctl `net.core.somaxconn`.
    ///
    /// # Errors
    /// What the kernel says, as std: there is such a file already
    /// ([`AddrInUse`](io::ErrorKind::AddrInUse)), or no right to make it; the path is longer than 107 bytes
    /// ([`InvalidInput`](io::ErrorKind::InvalidInput)).
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Listens at an address, which may be an abstract name ([`SocketAddrExt::from_abstract_name`]).
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::bind_with_backlog(address, BACKLOG)
    }

    /// Listens with a backlog of one's own choice: how many connections the kernel may hold that were not accepted yet.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_with_backlog(address: &SocketAddr, backlog: i32) -> io::Result<Self> {
        let socket = new_socket(SocketType::STREAM)?;
        bind(&socket, &to_kernel(address)?)?;
        listen(&socket, backlog)?;
        Ok(Self { socket: Listener::new(socket) })
    }

    /// Takes the next connection.
    ///
    /// # Errors
    /// What the kernel says; [`is_transient`](super::is_transient) tells whether to accept again.
    ///
    /// # Waits
    /// Until there is one.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; a connection that was taken is returned, not lost.
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (fd, address) = self.socket.accept_from_unix()?;
        let stream = UnixStream { stream: Socket::exclusive(fd.into()) };
        let address = peer_name(&stream, address)?;
        Ok((stream, address))
    }

    /// The connections as they come; never ends.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Another handle of the same listener.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()? })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        as_std(&self.socket)?.local_addr()
    }

    /// Takes the error that the socket holds, if any.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Sets how many connections the kernel may hold that were not accepted yet.
    ///
    /// # Errors
    /// None on a listener.
    pub fn set_backlog(&self, backlog: i32) -> io::Result<()> {
        self.socket.set_backlog(backlog)
    }

    /// Whether an `accept` that would wait is an error instead, as
    /// [`TcpListener::set_nonblocking`](super::TcpListener::set_nonblocking).
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }
}

descriptor_traits!(
    UnixListener,
    socket,
    "Takes over a listening Unix socket. One in blocking mode stays in it, and is asked first whether there is a \
     connection; if another process is quicker then, whoever accepts holds up its worker until the next one comes."
);

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("UnixListener");
        if let Ok(address) = self.local_addr() {
            f.field("local", &address);
        }
        f.field("fd", &self.as_fd()).finish()
    }
}

/// The connections of a listener, as they come.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    /// The next connection; never `None`.
    ///
    /// # Waits
    /// Until there is one.
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}
