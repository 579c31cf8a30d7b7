//! TCP listeners and streams.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ropewalk_ipc::message::{deserialize_descriptor, serialize_descriptor};
use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Wait, WaitReason, interruptible};
use ropewalk_sync::source::Source;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, acceptfrom_with, bind, connect, listen,
    recv, send, socket_with, sockopt,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::address::{ToSocketAddrs, each_address};
use ropewalk_sync::park::Interest::{self, Read as ForRead, Write as ForWrite};

/// How many connections the kernel may hold for a listener that has not accepted them, unless told otherwise.
const BACKLOG: i32 = 4096;

/// A descriptor and its waiting half; they end together, in the right order.
struct Socket {
    fd: OwnedFd,
    source: Source,
}

impl Socket {
    fn new(address: &SocketAddr, flags: SocketFlags) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let fd = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | flags, None)?;
        Ok(fd.into())
    }

    fn attempt<R>(
        &self,
        interest: Interest,
        wait: &Wait,
        operation: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        self.source.attempt(self.fd.as_fd(), interest, wait, operation)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(rustix::net::getsockname(&self.fd)?.try_into()?)
    }
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Self { fd, source: Source::default() }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.source.forget(self.fd.as_fd());
    }
}

/// A time limit in nanoseconds, 0 for none; shared by reference, so in an atomic.
#[derive(Default)]
struct Limit(AtomicU64);

impl Limit {
    fn set(&self, limit: Option<Duration>) -> io::Result<()> {
        let nanos = match limit {
            None => 0,
            Some(Duration::ZERO) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
            }
            Some(limit) => u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX),
        };
        self.0.store(nanos, Relaxed);
        Ok(())
    }

    fn get(&self) -> Option<Duration> {
        match self.0.load(Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    fn wait(&self, reason: WaitReason) -> Wait {
        Wait::new(reason).fallible().until(self.get().and_then(clock::after))
    }
}

/// A TCP connection, mirroring [`std::net::TcpStream`].
///
/// ```
/// use ropewalk::net::{TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let server = ropewalk::thread::spawn(move || -> std::io::Result<()> {
///     let (mut stream, _) = listener.accept()?;
///     let mut byte = [0];
///     stream.read_exact(&mut byte)?;
///     stream.write_all(&byte)
/// });
/// let mut stream = TcpStream::connect(address)?;
/// stream.write_all(b"x")?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer)?;
/// assert_eq!(answer, "x");
/// server.join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpStream {
    socket: Socket,
    read_limit: Limit,
    write_limit: Limit,
    /// The limit that the socket itself keeps for reads that block in it (`SO_RCVTIMEO`).
    socket_limit: Limit,
    /// Whether no other handle can change the socket's limit.
    exclusive: AtomicBool,
}

impl TcpStream {
    fn new(socket: Socket, exclusive: bool) -> Self {
        Self {
            socket,
            read_limit: Limit::default(),
            write_limit: Limit::default(),
            socket_limit: Limit::default(),
            exclusive: AtomicBool::new(exclusive),
        }
    }

    /// Connects to the first of `address` that accepts.
    ///
    /// # Errors
    /// The last address's error, as std; [`InvalidInput`](io::ErrorKind::InvalidInput) if there is none.
    ///
    /// # Waits
    /// For the resolver, and until the connection stands.
    ///
    /// # Cancellation
    /// Unwinds; the half-open connection is closed.
    pub fn connect<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        each_address(address, |address| Self::connect_by(&address, None))
    }

    /// Connects to one address, giving up after `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) after that time; [`InvalidInput`](io::ErrorKind::InvalidInput) for a zero
    /// timeout; else what the kernel says.
    ///
    /// # Waits
    /// Until the connection stands, or for that long.
    ///
    /// # Cancellation
    /// As [`connect`](Self::connect).
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot set a 0 duration timeout"));
        }
        Self::connect_by(address, Some(timeout))
    }

    fn connect_by(address: &SocketAddr, timeout: Option<Duration>) -> io::Result<Self> {
        let socket = Socket::new(address, SocketFlags::NONBLOCK)?;
        let wait = Wait::new(WaitReason::Connect).fallible().until(timeout.and_then(clock::after));
        let mut started = false;
        let connected = socket.attempt(ForWrite, &wait, || {
            if !started {
                started = true;
                return match connect(&socket.fd, address) {
                    Err(Errno::INPROGRESS) => Err(io::ErrorKind::WouldBlock.into()),
                    result => Ok(result?),
                };
            }
            // It is over when the socket has an error or a peer; a spurious wake-up finds neither (connect(2)).
            sockopt::socket_error(&socket.fd)??;
            match rustix::net::getpeername(&socket.fd) {
                Err(Errno::NOTCONN) => Err(io::ErrorKind::WouldBlock.into()),
                result => Ok(result.map(drop)?),
            }
        });
        connected.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "connection timed out"),
            _ => error,
        })?;
        // Everything else asks for non-blocking by the call; the descriptor behaves as any other if it is handed on.
        rustix::io::ioctl_fionbio(&socket.fd, false)?;
        Ok(Self::new(socket, true))
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match rustix::net::getpeername(&self.socket.fd)? {
            Some(address) => Ok(address.try_into()?),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The address of this end.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Closes one or both directions: a read that waits returns 0.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(&self.socket.fd, how)?)
    }

    /// Another handle of the same connection, with timeouts of its own, initially these.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        let fd = self.socket.fd.try_clone()?;
        self.exclusive.store(false, Relaxed);
        let clone = Self::new(fd.into(), false);
        clone.read_limit.0.store(self.read_limit.0.load(Relaxed), Relaxed);
        clone.write_limit.0.store(self.write_limit.0.load(Relaxed), Relaxed);
        Ok(clone)
    }

    /// How long a read may wait; `None` for ever. Counts from each read; costs no system call.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_limit.set(timeout)
    }

    /// How long a write may wait; `None` for ever. Counts from each write; costs no system call.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_limit.set(timeout)
    }

    /// How long a read may wait.
    ///
    /// # Errors
    /// None; the signature is std's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.read_limit.get())
    }

    /// How long a write may wait.
    ///
    /// # Errors
    /// None; the signature is std's.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.write_limit.get())
    }

    /// Reads without removing what was read.
    ///
    /// # Errors
    /// As `read`.
    ///
    /// # Waits
    /// Until there is something, or the end.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; nothing was taken.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, RecvFlags::PEEK)
    }

    /// Sends small packets at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        Ok(sockopt::set_tcp_nodelay(&self.socket.fd, nodelay)?)
    }

    /// Whether small packets are sent at once.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(sockopt::tcp_nodelay(&self.socket.fd)?)
    }

    /// The time to live of its packets.
    ///
    /// # Errors
    /// What the kernel says of the value.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        Ok(sockopt::set_ip_ttl(&self.socket.fd, ttl)?)
    }

    /// The time to live of its packets.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(sockopt::ip_ttl(&self.socket.fd)?)
    }

    /// Takes the error that the socket holds, if any.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(sockopt::socket_error(&self.socket.fd)?.err().map(io::Error::from))
    }

    fn receive(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        // A thread waits in `recv` itself, as it would in std: one system call for each read.
        if self.exclusive.load(Relaxed) && park::may_block() {
            self.keep_limit_in_socket()?;
            let wait = Wait::new(WaitReason::SocketRead).fallible();
            return park::call(&wait, |word| {
                interruptible::recv(word, self.socket.fd.as_fd(), buffer, flags.bits())
            });
        }
        self.socket.attempt(ForRead, &self.read_limit.wait(WaitReason::SocketRead), || {
            let (length, _) = recv(&self.socket.fd, &mut *buffer, flags | RecvFlags::DONTWAIT)?;
            Ok(length)
        })
    }
}

impl TcpStream {
    /// Has the socket itself keep the limit of reads. Costs a system call only when the limit has changed.
    fn keep_limit_in_socket(&self) -> io::Result<()> {
        let wanted = self.read_limit.0.load(Relaxed);
        if self.socket_limit.0.load(Relaxed) != wanted {
            // The kernel counts in microseconds, and takes 0 for "for ever".
            let limit = self.read_limit.get().map(|limit| limit.max(Duration::from_micros(1)));
            sockopt::set_socket_timeout(&self.socket.fd, sockopt::Timeout::Recv, limit)?;
            self.socket_limit.0.store(wanted, Relaxed);
        }
        Ok(())
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, RecvFlags::empty())
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.attempt(ForRead, &self.read_limit.wait(WaitReason::SocketRead), || {
            let mut control = rustix::net::RecvAncillaryBuffer::default();
            let received = rustix::net::recvmsg(&self.socket.fd, buffers, &mut control, RecvFlags::DONTWAIT)?;
            Ok(received.bytes)
        })
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.attempt(ForWrite, &self.write_limit.wait(WaitReason::SocketWrite), || {
            Ok(send(&self.socket.fd, buffer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
        })
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.attempt(ForWrite, &self.write_limit.wait(WaitReason::SocketWrite), || {
            let mut control = rustix::net::SendAncillaryBuffer::default();
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            Ok(rustix::net::sendmsg(&self.socket.fd, buffers, &mut control, flags)?)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self).write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd.as_fd()
    }
}

impl From<OwnedFd> for TcpStream {
    /// Takes over a connected TCP socket; whether it is in blocking mode does not matter and is not changed.
    fn from(fd: OwnedFd) -> Self {
        Self::new(fd.into(), false)
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("TcpStream");
        if let Ok(address) = self.local_addr() {
            f.field("addr", &address);
        }
        if let Ok(address) = self.peer_addr() {
            f.field("peer", &address);
        }
        f.field("fd", &self.socket.fd).finish()
    }
}

/// A listening TCP socket, mirroring [`std::net::TcpListener`].
pub struct TcpListener {
    socket: Socket,
}

impl TcpListener {
    /// Listens on the first of `address` that can be bound, with a backlog of 4,096 (std: 128), capped by the sysctl
    /// `net.core.somaxconn`. Port 0 lets the kernel choose.
    ///
    /// # Errors
    /// What the kernel says, as std: the address is in use, or is not of this machine, or the port is reserved.
    ///
    /// # Waits
    /// For the resolver, where there is a name to resolve.
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        Self::bind_with_backlog(address, BACKLOG)
    }

    /// Listens with a backlog of one's own choice: how many connections the kernel may hold that were not accepted yet.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    ///
    /// # Waits
    /// As `bind`.
    pub fn bind_with_backlog<A: ToSocketAddrs>(address: A, backlog: i32) -> io::Result<Self> {
        each_address(address, |address| {
            // The listener is ours, and accept has no flag to say "do not wait".
            let socket = Socket::new(&address, SocketFlags::NONBLOCK)?;
            sockopt::set_socket_reuseaddr(&socket.fd, true)?;
            bind(&socket.fd, &address)?;
            listen(&socket.fd, backlog)?;
            Ok(Self { socket })
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
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
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let wait = Wait::new(WaitReason::Accept).fallible();
        let (fd, address) = self
            .socket
            .attempt(ForRead, &wait, || Ok(acceptfrom_with(&self.socket.fd, SocketFlags::CLOEXEC)?))?;
        let address = address.ok_or(io::ErrorKind::ConnectionAborted)?.try_into()?;
        Ok((TcpStream::new(fd.into(), true), address))
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
        Ok(Self { socket: self.socket.fd.try_clone()?.into() })
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd.as_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("TcpListener");
        if let Ok(address) = self.local_addr() {
            f.field("addr", &address);
        }
        f.field("fd", &self.socket.fd).finish()
    }
}

/// The connections of a listener, as they come.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    /// The next connection; never `None`.
    ///
    /// # Waits
    /// Until there is one.
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

/// Inside of what is sent to, or comes from, a [process](crate::process), as the descriptor that it is.
impl Serialize for TcpStream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_descriptor(self.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for TcpStream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_descriptor(deserializer).map(Self::from)
    }
}

impl From<OwnedFd> for TcpListener {
    /// Takes over a listening TCP socket; whether it is in blocking mode does not matter and is not changed.
    fn from(fd: OwnedFd) -> Self {
        Self { socket: fd.into() }
    }
}

/// Inside of what is sent to, or comes from, a [process](crate::process), as the descriptor that it is.
impl Serialize for TcpListener {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_descriptor(self.as_fd(), serializer)
    }
}

impl<'de> Deserialize<'de> for TcpListener {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_descriptor(deserializer).map(Self::from)
    }
}
