//! TCP listeners and streams.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use ropewalk_sync::clock;
use ropewalk_sync::park::Interest::Write as ForWrite;
use ropewalk_sync::park::{Wait, WaitReason};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, SocketType, bind, connect, listen, socket_with, sockopt};

use super::BACKLOG;
use super::address::{ToSocketAddrs, each_address, family, local_addr, peer_addr};
use super::halves::{OwnedReadHalf, OwnedWriteHalf};
use super::listener::Listener;
use super::options::SocketOptions;
use super::socket::{Socket, descriptor_traits, stream_traits};
use crate::waitable::Waitable;

fn new_socket(address: &SocketAddr) -> io::Result<Waitable> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family(address), SocketType::STREAM, flags, None)?.into())
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
    stream: Socket,
}

impl TcpStream {
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
        Self::connect_with(address, |_| Ok(()))
    }

    /// As [`connect`](Self::connect), with options that the socket gets before it connects: `prepare` is called for each
    /// address that is tried.
    ///
    /// ```
    /// use ropewalk::net::{Ipv4Addr, TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect_with(listener.local_addr()?, |socket| {
    ///     socket.set_receive_buffer_size(1 << 20)?;
    ///     socket.bind((Ipv4Addr::LOCALHOST, 0).into()) // from this address of the machine
    /// })?;
    /// assert!(stream.local_addr()?.ip().is_loopback());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As `connect`; what `prepare` gives is the error of that address.
    ///
    /// # Waits
    /// As `connect`.
    ///
    /// # Cancellation
    /// As `connect`.
    pub fn connect_with<A: ToSocketAddrs>(
        address: A,
        mut prepare: impl FnMut(SocketOptions<'_>) -> io::Result<()>,
    ) -> io::Result<Self> {
        each_address(address, |address| {
            let socket = new_socket(&address)?;
            prepare(SocketOptions::of(&socket))?;
            Self::connect_by(socket, &address, None)
        })
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
        Self::connect_by(new_socket(address)?, address, Some(timeout))
    }

    fn connect_by(socket: Waitable, address: &SocketAddr, timeout: Option<Duration>) -> io::Result<Self> {
        let wait = Wait::new(WaitReason::Connect).fallible().until(timeout.and_then(clock::after));
        let mut started = false;
        let connected = socket.attempt(ForWrite, &wait, || {
            if !started {
                started = true;
                return match connect(&socket, address) {
                    Err(Errno::INPROGRESS) => Err(io::ErrorKind::WouldBlock.into()),
                    result => Ok(result?),
                };
            }
            // It is over when the socket has an error or a peer; a spurious wake-up finds neither (connect(2)).
            sockopt::socket_error(&socket)??;
            match rustix::net::getpeername(&socket) {
                Err(Errno::NOTCONN) => Err(io::ErrorKind::WouldBlock.into()),
                result => Ok(result.map(drop)?),
            }
        });
        connected.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "connection timed out"),
            _ => error,
        })?;
        // Everything else asks for non-blocking by the call; the descriptor behaves as any other if it is handed on.
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(Self { stream: Socket::tcp_stream(socket) })
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        peer_addr(&self.stream)
    }

    /// The address of this end.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(&self.stream)
    }

    /// Closes one or both directions: a read that waits returns 0.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    /// Another handle of the same connection, with timeouts of its own, initially these.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()? })
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
        self.stream.receive(buffer, RecvFlags::PEEK)
    }

    /// Sends small packets at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        Ok(sockopt::set_tcp_nodelay(&self.stream, nodelay)?)
    }

    /// Whether small packets are sent at once.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(sockopt::tcp_nodelay(&self.stream)?)
    }

    /// The time to live of its packets.
    ///
    /// # Errors
    /// What the kernel says of the value.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        Ok(sockopt::set_ip_ttl(&self.stream, ttl)?)
    }

    /// The time to live of its packets.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(sockopt::ip_ttl(&self.stream)?)
    }

    /// Takes the error that the socket holds, if any.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream.take_error()
    }

    /// Whether what would wait is an error instead ([`WouldBlock`](io::ErrorKind::WouldBlock)): a read, a write, a peek. This
    /// handle's own, and its later clones'; the descriptor gets the mode, too, as in std.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    /// Splits it into a half that reads and one that writes, for two tasks of any plans; see
    /// [`OwnedWriteHalf`] for what happens when that one is dropped. Costs no descriptor. Where the tasks may borrow, none of
    /// this is needed: `&TcpStream` reads and writes.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
        super::halves::split(self, |stream| stream.shutdown(Shutdown::Write))
    }
}

stream_traits!(TcpStream);
#[cfg(feature = "process")]
impl TcpStream {
    /// Has the descriptor take its time limits along.
    pub(crate) fn keep_limits(&self) -> io::Result<()> {
        self.stream.keep_limits()
    }
}

descriptor_traits!(
    TcpStream,
    stream,
    "Takes over a connected socket, with the time limits that std has set; whether it is in blocking mode does not matter \
     and is not changed."
);

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("TcpStream");
        if let Ok(address) = self.local_addr() {
            f.field("addr", &address);
        }
        if let Ok(address) = self.peer_addr() {
            f.field("peer", &address);
        }
        f.field("fd", &self.stream.as_fd()).finish()
    }
}

/// A listening TCP socket, mirroring [`std::net::TcpListener`].
pub struct TcpListener {
    socket: Listener,
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
        Self::bind_by(address, backlog, |_| Ok(()))
    }

    /// As [`bind`](Self::bind), with options that the socket gets before it is bound: `prepare` is called for each address
    /// that is tried.
    ///
    /// ```
    /// use ropewalk::net::TcpListener;
    ///
    /// // Two listeners on one port: the kernel shares the connections out.
    /// let one = TcpListener::bind_with("127.0.0.1:0", |socket| socket.set_reuse_port(true))?;
    /// let other = TcpListener::bind_with(one.local_addr()?, |socket| socket.set_reuse_port(true))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As `bind`; what `prepare` gives is the error of that address.
    ///
    /// # Waits
    /// As `bind`.
    pub fn bind_with<A: ToSocketAddrs>(
        address: A,
        prepare: impl FnMut(SocketOptions<'_>) -> io::Result<()>,
    ) -> io::Result<Self> {
        Self::bind_by(address, BACKLOG, prepare)
    }

    fn bind_by<A: ToSocketAddrs>(
        address: A,
        backlog: i32,
        mut prepare: impl FnMut(SocketOptions<'_>) -> io::Result<()>,
    ) -> io::Result<Self> {
        each_address(address, |address| {
            // The listener is ours, and accept has no flag to say "do not wait".
            let socket = new_socket(&address)?;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            prepare(SocketOptions::of(&socket))?;
            bind(&socket, &address)?;
            listen(&socket, backlog)?;
            Ok(Self { socket: Listener::new(socket) })
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(&self.socket)
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
        let (fd, address) = self.socket.accept()?;
        let address = address.ok_or(io::ErrorKind::ConnectionAborted)?.try_into()?;
        Ok((TcpStream { stream: Socket::tcp_stream(fd.into()) }, address))
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

    /// The time to live of the packets of the connections that it accepts.
    ///
    /// # Errors
    /// What the kernel says of the value.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        Ok(sockopt::set_ip_ttl(&self.socket, ttl)?)
    }

    /// The time to live of the packets of the connections that it accepts.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(sockopt::ip_ttl(&self.socket)?)
    }

    /// Sets how many connections the kernel may hold that were not accepted yet.
    ///
    /// # Errors
    /// None on a listener.
    pub fn set_backlog(&self, backlog: i32) -> io::Result<()> {
        self.socket.set_backlog(backlog)
    }

    /// Whether an `accept` that would wait is an error instead ([`WouldBlock`](io::ErrorKind::WouldBlock)). This handle's
    /// own, and its later clones'. The descriptor itself is in non-blocking mode if it was made here, whatever is set: an
    /// `accept` has no other way to ask without waiting.
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
}

descriptor_traits!(
    TcpListener,
    socket,
    "Takes over a listening TCP socket. One in blocking mode stays in it, and is asked first whether there is a connection; \
     if another process is quicker then, whoever accepts holds up its worker until the next one comes."
);

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("TcpListener");
        if let Ok(address) = self.local_addr() {
            f.field("addr", &address);
        }
        f.field("fd", &self.socket.as_fd()).finish()
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
