//! Packets over Unix sockets: a connection whose messages come whole and in order.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ropewalk_sync::park::WaitReason;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, connect, listen, socketpair};

use super::super::BACKLOG;
use super::super::listener::Listener;
use super::super::socket::{Socket, descriptor_traits, until_there_is_room};
use super::descriptors::peer_cred;
use super::{UCred, as_std, new_socket, peer_name, to_kernel};

/// A Unix socket that carries packets over a connection (`SOCK_SEQPACKET`, unix(7)): each arrives whole and in order, and the
/// end of the other side is heard of. It works as [`UnixStream`](super::UnixStream) does; std has none.
///
/// ```
/// use ropewalk::net::UnixSeqpacket;
///
/// let (near, far) = UnixSeqpacket::pair()?;
/// let answer = ropewalk::coroutine::spawn(move || {
///     let mut packet = [0; 100];
///     while let length @ 1.. = far.recv(&mut packet)? {
///         far.send(&packet[..length])?;
///     }
///     Ok::<_, std::io::Error>(())
/// });
/// let mut packet = [0; 100];
/// for word in ["rope", "walk"] {
///     near.send(word.as_bytes())?;
/// }
/// assert_eq!(near.recv(&mut packet)?, 4); // two packets, as they were sent
/// assert_eq!(near.recv(&mut packet)?, 4);
/// drop(near);
/// answer.join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A packet is no longer than the send buffer of its socket: 212,992 bytes by default, less some for the kernel's own use
/// (sysctl `net.core.wmem_default`).
pub struct UnixSeqpacket {
    socket: Socket,
}

/// An error of a packet that was longer than the buffer.
fn cut(room: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a packet came that is longer than the buffer of {room} bytes: the rest of it is lost"),
    )
}

/// An empty packet could not be told from the end.
fn check_not_empty(packet: &[u8]) -> io::Result<()> {
    if packet.is_empty() {
        let text = "an empty packet could not be told from the end";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}

impl UnixSeqpacket {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What the kernel says: nobody listens there, there is no such file, it may not be written to, or it is a socket of
    /// another kind (`EPROTOTYPE`).
    ///
    /// # Waits
    /// While the listener has no room for another connection.
    ///
    /// # Cancellation
    /// Unwinds; the socket is closed.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Connects to an address, which may be an abstract name
    /// ([`SocketAddrExt::from_abstract_name`](std::os::linux::net::SocketAddrExt::from_abstract_name)).
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
        let socket = new_socket(SocketType::SEQPACKET)?;
        until_there_is_room(WaitReason::Connect, None, || Ok(connect(&socket, &address)?))?;
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(Self { socket: Socket::exclusive(socket) })
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let socket = |fd: OwnedFd| Self { socket: Socket::exclusive(fd.into()) };
        Ok((socket(one), socket(other)))
    }

    /// Sends a packet. It goes whole, or not at all.
    ///
    /// # Errors
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the other end is closed, or
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset), once, if it had not taken all then;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an empty packet, which could not be told from the end. `EMSGSIZE`: it is
    /// longer than the send buffer (`net.core.wmem_default`). [`WouldBlock`](io::ErrorKind::WouldBlock) when the write timeout has
    /// passed.
    ///
    /// # Waits
    /// While the other side has not taken what was sent before.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; then nothing was sent.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        check_not_empty(packet)?;
        self.socket.send(packet).map(drop)
    }

    /// Sends a packet with descriptors: as [`UnixStream::send_with_descriptors`](super::UnixStream::send_with_descriptors).
    ///
    /// # Errors
    /// As [`send`](Self::send). [`InvalidInput`](io::ErrorKind::InvalidInput): more than 253 descriptors.
    /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded): more are on their way than `ulimit -n` lets this user have.
    ///
    /// # Waits
    /// As `send`.
    ///
    /// # Cancellation
    /// As `send`.
    pub fn send_with_descriptors(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        check_not_empty(packet)?;
        self.socket.send_with_descriptors(packet, descriptors).map(drop)
    }

    /// Takes the next packet, and says how long it is; 0 when the other end is closed and all was taken. Descriptors that
    /// come with it are lost: see [`recv_with_descriptors`](Self::recv_with_descriptors).
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): it is longer than the buffer, and what did not fit is lost
    /// ([`peek`](Self::peek) tells before). [`ConnectionReset`](io::ErrorKind::ConnectionReset): the other end was closed and had
    /// not taken all that was sent to it; said once, and what it has sent comes after.
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the read timeout has passed.
    ///
    /// # Waits
    /// Until there is one, or the end.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; a packet that was taken is returned, not lost.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let length = self.socket.receive_packet(buffer, RecvFlags::empty())?;
        if length > room { Err(cut(room)) } else { Ok(length) }
    }

    /// Takes the next packet, with the descriptors that came with it: as [`recv`](Self::recv) and
    /// [`UnixStream::recv_with_descriptors`](super::UnixStream::recv_with_descriptors).
    ///
    /// # Errors
    /// As `recv`; then no descriptor is kept. Where this process has no room for all the descriptors (`ulimit -n`) none is kept,
    /// and the packet is lost.
    ///
    /// # Waits
    /// As `recv`.
    ///
    /// # Cancellation
    /// As `recv`.
    pub fn recv_with_descriptors(
        &self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
    ) -> io::Result<usize> {
        let before = descriptors.len();
        let received = self.socket.receive_with_descriptors(buffer, descriptors, false)?;
        if received.cut {
            descriptors.truncate(before);
            return Err(cut(buffer.len()));
        }
        Ok(received.bytes)
    }

    /// Looks at the next packet, and leaves it there. Says how long it is, which may be more than the buffer holds.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), but for the length.
    ///
    /// # Waits
    /// As there.
    ///
    /// # Cancellation
    /// As there.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive_packet(buffer, RecvFlags::PEEK)
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        peer_cred(&self.socket)
    }

    /// Another handle of the same connection, with timeouts of its own, initially these.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()? })
    }

    /// The address of this end.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        as_std(&self.socket)?.local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        as_std(&self.socket)?.peer_addr()
    }

    /// How long a receive may wait; `None` for ever. Counts from each receive; costs no system call.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.read_limit.set(timeout)
    }

    /// How long a send may wait; `None` for ever. Counts from each send; costs no system call.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.write_limit.set(timeout)
    }

    /// How long a receive may wait.
    ///
    /// # Errors
    /// None; the signature is as of the other sockets.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.socket.read_limit.get())
    }

    /// How long a send may wait.
    ///
    /// # Errors
    /// None; the signature is as of the other sockets.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.socket.write_limit.get())
    }

    /// Takes the error that the socket holds, if any.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Closes one or both directions: a receive that waits returns 0.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Whether what would wait is an error instead ([`WouldBlock`](io::ErrorKind::WouldBlock)), as
    /// [`UnixStream::set_nonblocking`](super::UnixStream::set_nonblocking).
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }
}

#[cfg(feature = "process")]
impl UnixSeqpacket {
    /// Has the descriptor take its time limits along.
    pub(crate) fn keep_limits(&self) -> io::Result<()> {
        self.socket.keep_limits()
    }
}

descriptor_traits!(
    UnixSeqpacket,
    socket,
    "Takes over a connected socket, with the time limits that it has; whether it is in blocking mode does not matter and is \
     not changed."
);

impl fmt::Debug for UnixSeqpacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("UnixSeqpacket");
        if let Ok(address) = self.local_addr() {
            f.field("local", &address);
        }
        if let Ok(address) = self.peer_addr() {
            f.field("peer", &address);
        }
        f.field("fd", &self.as_fd()).finish()
    }
}

/// A Unix socket that listens for [`UnixSeqpacket`]s. The file that `bind` makes stays when the listener ends: remove it before the
/// path is bound again.
///
/// ```
/// use ropewalk::net::{UnixSeqpacket, UnixSeqpacketListener, unix::SocketAddr};
/// use std::os::linux::net::SocketAddrExt;
///
/// let name = format!("ropewalk-packets-{}", std::process::id());
/// let address = SocketAddr::from_abstract_name(name)?; // a name without a file
/// let listener = UnixSeqpacketListener::bind_addr(&address)?;
/// let server = ropewalk::coroutine::spawn(move || listener.accept()?.0.send(b"hello"));
/// let mut packet = [0; 10];
/// let client = UnixSeqpacket::connect_addr(&address)?;
/// assert_eq!(client.recv(&mut packet)?, 5);
/// assert_eq!(client.recv(&mut packet)?, 0); // the end
/// server.join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixSeqpacketListener {
    socket: Listener,
}

impl UnixSeqpacketListener {
    /// Makes a socket at `path` and listens, with a backlog of 4,096, capped by the sysctl `net.core.somaxconn`.
    ///
    /// # Errors
    /// As [`UnixListener::bind`](super::UnixListener::bind).
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Listens at an address, which may be an abstract name
    /// ([`SocketAddrExt::from_abstract_name`](std::os::linux::net::SocketAddrExt::from_abstract_name)).
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
        let socket = new_socket(SocketType::SEQPACKET)?;
        bind(&socket, &to_kernel(address)?)?;
        listen(&socket, backlog)?;
        Ok(Self { socket: Listener::new(socket) })
    }

    /// Takes the next connection.
    ///
    /// # Errors
    /// What the kernel says; [`is_transient`](super::super::is_transient) tells whether to accept again.
    ///
    /// # Waits
    /// Until there is one.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; a connection that was taken is returned, not lost.
    pub fn accept(&self) -> io::Result<(UnixSeqpacket, SocketAddr)> {
        let (fd, address) = self.socket.accept_from_unix()?;
        let socket = UnixSeqpacket { socket: Socket::exclusive(fd.into()) };
        let address = peer_name(&socket, address)?;
        Ok((socket, address))
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
    /// [`TcpListener::set_nonblocking`](super::super::TcpListener::set_nonblocking).
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }
}

descriptor_traits!(
    UnixSeqpacketListener,
    socket,
    "Takes over a listening Unix socket. One in blocking mode stays in it, and is asked first whether there is a \
     connection; if another process is quicker then, whoever accepts holds up its worker until the next one comes."
);

impl fmt::Debug for UnixSeqpacketListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("UnixSeqpacketListener");
        if let Ok(address) = self.local_addr() {
            f.field("local", &address);
        }
        f.field("fd", &self.as_fd()).finish()
    }
}
