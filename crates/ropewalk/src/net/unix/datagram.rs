//! Datagrams over Unix sockets.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    socket_with, socketpair,
};

use super::super::socket::{Socket, descriptor_traits};
use super::{as_std, to_kernel};

/// What std takes for a path at most: with the zero after it, what the kernel has room for (unix(7), "Address format").
const PATH_MAX: usize = 107;

/// A Unix datagram socket, mirroring [`std::os::unix::net::UnixDatagram`]. Datagrams arrive whole, in order, and are not lost:
/// who sends waits while the other side has no room.
///
/// ```
/// use ropewalk::net::{UnixDatagram, unix::SocketAddr};
/// use std::os::linux::net::SocketAddrExt;
///
/// let name = format!("ropewalk-log-{}", std::process::id());
/// let address = SocketAddr::from_abstract_name(name)?; // a name without a file
/// let log = UnixDatagram::bind_addr(&address)?;
/// let program = ropewalk::thread::spawn(move || UnixDatagram::unbound()?.send_to_addr(b"started", &address));
/// let mut line = [0; 100];
/// let (length, from) = log.recv_from(&mut line)?;
/// assert_eq!(&line[..length], b"started");
/// assert!(from.is_unnamed());
/// program.join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixDatagram {
    pub(super) socket: Socket,
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}

/// Who sent a datagram, as std says it.
fn sender(address: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    let address: Option<SocketAddrUnix> = address.map(TryInto::try_into).transpose()?;
    let Some(address) = address else { return SocketAddr::from_pathname("") };
    match (address.path_bytes(), address.abstract_name()) {
        // The name may fill all the room that there is; std cuts it, too.
        (Some(path), _) => SocketAddr::from_pathname(OsStr::from_bytes(&path[..path.len().min(PATH_MAX)])),
        (None, Some(name)) => SocketAddr::from_abstract_name(name),
        (None, None) => SocketAddr::from_pathname(""),
    }
}

impl UnixDatagram {
    /// Makes a socket at `path`. The file stays when the socket ends, as std's does: remove it before the path is bound again.
    ///
    /// # Errors
    /// What the kernel says, as std: there is such a file already ([`AddrInUse`](io::ErrorKind::AddrInUse)), or no right to
    /// make it; the path is longer than 107 bytes ([`InvalidInput`](io::ErrorKind::InvalidInput)).
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Makes a socket with an address, which may be an abstract name ([`SocketAddrExt::from_abstract_name`]).
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let socket = new_socket()?;
        bind(&socket, &to_kernel(address)?)?;
        Ok(Self { socket: Socket::exclusive(socket.into()) })
    }

    /// Makes a socket without an address: it can send, and receive where it is connected.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn unbound() -> io::Result<Self> {
        Ok(Self { socket: Socket::exclusive(new_socket()?.into()) })
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let socket = |fd: OwnedFd| Self { socket: Socket::exclusive(fd.into()) };
        Ok((socket(one), socket(other)))
    }

    /// Has [`send`](Self::send) go to the socket at `path`, and takes datagrams from there only.
    ///
    /// # Errors
    /// What the kernel says, as std: there is no such file, or no socket, or it may not be written to.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](Self::connect), by an address.
    ///
    /// # Errors
    /// As there.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        Ok(connect(&self.socket, &to_kernel(address)?)?)
    }

    /// Another handle of the same socket, with timeouts of its own, initially these.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()? })
    }

    /// The address of this socket.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        as_std(&self.socket)?.local_addr()
    }

    /// The address to which it is connected.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        as_std(&self.socket)?.peer_addr()
    }

    /// Takes the next datagram, and says who sent it. What does not fit into the buffer is lost.
    ///
    /// # Errors
    /// What the kernel says; [`WouldBlock`](io::ErrorKind::WouldBlock) when the read timeout has passed.
    ///
    /// # Waits
    /// Until there is one.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; a datagram that was taken is returned, not lost.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, address) = self.socket.receive_from_unix(buffer, RecvFlags::empty())?;
        Ok((length, sender(address)?))
    }

    /// As [`recv_from`](Self::recv_from), and leaves it there. (std has it unstable.)
    ///
    /// # Errors
    /// As there.
    ///
    /// # Waits
    /// As there.
    ///
    /// # Cancellation
    /// As there.
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, address) = self.socket.receive_from_unix(buffer, RecvFlags::PEEK)?;
        Ok((length, sender(address)?))
    }

    /// Takes the next datagram.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Waits
    /// As there.
    ///
    /// # Cancellation
    /// As there.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.socket.receive_from_unix(buffer, RecvFlags::empty())?.0)
    }

    /// As [`recv`](Self::recv), and leaves it there. (std has it unstable.)
    ///
    /// # Errors
    /// As there.
    ///
    /// # Waits
    /// As there.
    ///
    /// # Cancellation
    /// As there.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.socket.receive_from_unix(buffer, RecvFlags::PEEK)?.0)
    }

    /// Sends a datagram to the socket at `path`. Returns how long it was.
    ///
    /// # Errors
    /// What the kernel says, as std: there is no such file, or nobody has that socket, or the datagram is too long for the
    /// send buffer (`EMSGSIZE`). [`WouldBlock`](io::ErrorKind::WouldBlock) when the write timeout has passed.
    ///
    /// # Waits
    /// While the other socket has no room (`net.unix.max_dgram_qlen`).
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; then nothing was sent.
    pub fn send_to<P: AsRef<Path>>(&self, buffer: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(buffer, &SocketAddr::from_pathname(path)?)
    }

    /// As [`send_to`](Self::send_to), to an address.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Waits
    /// As there.
    ///
    /// # Cancellation
    /// As there.
    pub fn send_to_addr(&self, buffer: &[u8], address: &SocketAddr) -> io::Result<usize> {
        self.socket.send_to_unix(buffer, &to_kernel(address)?)
    }

    /// Sends a datagram to where the socket is connected to. Returns how long it was.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); [`NotConnected`](io::ErrorKind::NotConnected) if it is not connected,
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if the other socket is gone.
    ///
    /// # Waits
    /// While the other socket has no room.
    ///
    /// # Cancellation
    /// As `send_to`.
    pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.send(buffer)
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
    /// None; the signature is std's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.socket.read_limit.get())
    }

    /// How long a send may wait.
    ///
    /// # Errors
    /// None; the signature is std's.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.socket.write_limit.get())
    }

    /// Whether what would wait is an error instead ([`WouldBlock`](io::ErrorKind::WouldBlock)). This handle's own, and its
    /// later clones'; the descriptor gets the mode, too, as in std.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    /// Takes the error that the socket holds, if any.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Closes one or both directions: a receive that waits returns 0; one that is told not to wait would block, as in std.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

#[cfg(feature = "process")]
impl UnixDatagram {
    /// Has the descriptor take its time limits along.
    pub(crate) fn keep_limits(&self) -> io::Result<()> {
        self.socket.keep_limits()
    }
}

descriptor_traits!(
    UnixDatagram,
    socket,
    "Takes over a Unix datagram socket, with the time limits that std has set; whether it is in blocking mode does not \
     matter and is not changed."
);

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("UnixDatagram");
        if let Ok(address) = self.local_addr() {
            f.field("local", &address);
        }
        if let Ok(address) = self.peer_addr() {
            f.field("peer", &address);
        }
        f.field("fd", &self.as_fd()).finish()
    }
}
