//! UDP.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::net::{RecvFlags, SocketAddrAny, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

use super::address::{ToSocketAddrs, each_address, family, local_addr, peer_addr};
use super::options::SocketOptions;
use super::socket::{Socket, descriptor_traits};

/// A UDP socket, mirroring [`std::net::UdpSocket`].
///
/// A thread waits in its own system call, and a coroutine tries before it waits: what comes is either returned or still in
/// the socket, also to a task that is cancelled meanwhile.
///
/// ```
/// use ropewalk::net::UdpSocket;
///
/// let server = UdpSocket::bind("127.0.0.1:0")?;
/// let address = server.local_addr()?;
/// let echo = ropewalk::coroutine::spawn(move || -> std::io::Result<()> {
///     let mut buffer = [0; 512];
///     let (length, client) = server.recv_from(&mut buffer)?;
///     server.send_to(&buffer[..length], client).map(drop)
/// });
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.send_to(b"hello", address)?;
/// let mut buffer = [0; 512];
/// let (length, from) = client.recv_from(&mut buffer)?;
/// assert_eq!((&buffer[..length], from), (&b"hello"[..], address));
/// echo.join()??;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UdpSocket {
    socket: Socket,
}

/// Who sent a datagram: all of them have an address in UDP.
fn sender(address: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    Ok(address.ok_or(io::ErrorKind::InvalidData)?.try_into()?)
}

impl UdpSocket {
    /// Binds to the first of `address` that can be bound. Port 0 lets the kernel choose.
    ///
    /// # Errors
    /// What the kernel says, as std: the address is in use, or is not of this machine, or the port is reserved.
    ///
    /// # Waits
    /// For the resolver, where there is a name to resolve.
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        Self::bind_with(address, |_| Ok(()))
    }

    /// As [`bind`](Self::bind), with options that the socket gets before it is bound: `prepare` is called for each address
    /// that is tried.
    ///
    /// ```
    /// use ropewalk::net::UdpSocket;
    ///
    /// // Two sockets on one port: the kernel shares the datagrams out, by who sends them.
    /// let one = UdpSocket::bind_with("127.0.0.1:0", |socket| socket.set_reuse_port(true))?;
    /// let other = UdpSocket::bind_with(one.local_addr()?, |socket| socket.set_reuse_port(true))?;
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
        mut prepare: impl FnMut(SocketOptions<'_>) -> io::Result<()>,
    ) -> io::Result<Self> {
        each_address(address, |address| {
            let socket = socket_with(family(&address), SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
            prepare(SocketOptions::of(&socket))?;
            bind(&socket, &address)?;
            Ok(Self { socket: Socket::exclusive(socket.into()) })
        })
    }

    /// Has [`send`](Self::send) go to the first of `address` that will do, and takes datagrams from there only.
    ///
    /// # Errors
    /// The last address's error, as std; [`InvalidInput`](io::ErrorKind::InvalidInput) if there is none.
    ///
    /// # Waits
    /// For the resolver, where there is a name to resolve.
    pub fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<()> {
        each_address(address, |address| Ok(connect(&self.socket, &address)?))
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
        let (length, address) = self.socket.receive_from(buffer, RecvFlags::empty())?;
        Ok((length, sender(address)?))
    }

    /// As [`recv_from`](Self::recv_from), and leaves it there.
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
        let (length, address) = self.socket.receive_from(buffer, RecvFlags::PEEK)?;
        Ok((length, sender(address)?))
    }

    /// Sends a datagram to the first address of `address`. Returns how long it was.
    ///
    /// # Errors
    /// What the kernel says: it is too long (`EMSGSIZE`; 65,507 bytes over IPv4); an earlier one found nobody, if the socket
    /// is connected. [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no address.
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the write timeout has passed.
    ///
    /// # Waits
    /// For the resolver, where there is a name to resolve; while the socket's buffer has no room.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; then nothing was sent.
    pub fn send_to<A: ToSocketAddrs>(&self, buffer: &[u8], address: A) -> io::Result<usize> {
        match address.to_socket_addrs()?.next() {
            Some(address) => self.socket.send_to(buffer, &address),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send data to")),
        }
    }

    /// Takes the next datagram.
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from); [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if the socket is connected
    /// and nobody was there for what it had sent.
    ///
    /// # Waits
    /// Until there is one.
    ///
    /// # Cancellation
    /// As `recv_from`.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(buffer, RecvFlags::empty())
    }

    /// As [`recv`](Self::recv), and leaves it there.
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
        self.socket.receive(buffer, RecvFlags::PEEK)
    }

    /// Sends a datagram to where the socket is connected to. Returns how long it was.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to); `EDESTADDRREQ` if it is not connected.
    ///
    /// # Waits
    /// While the socket's buffer has no room.
    ///
    /// # Cancellation
    /// As `send_to`.
    pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.send(buffer)
    }

    /// The address to which it is connected.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        peer_addr(&self.socket)
    }

    /// The address to which it is bound.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(&self.socket)
    }

    /// Another handle of the same socket, with timeouts of its own, initially these.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()? })
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

    /// Whether it may send to a broadcast address (`SO_BROADCAST`).
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        Ok(sockopt::set_socket_broadcast(&self.socket, broadcast)?)
    }

    /// Whether it may send to a broadcast address.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn broadcast(&self) -> io::Result<bool> {
        Ok(sockopt::socket_broadcast(&self.socket)?)
    }

    /// Whether what it sends to a group of IPv4 comes back to this machine (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_multicast_loop_v4(&self, comes_back: bool) -> io::Result<()> {
        Ok(sockopt::set_ip_multicast_loop(&self.socket, comes_back)?)
    }

    /// Whether what it sends to a group of IPv4 comes back to this machine.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        Ok(sockopt::ip_multicast_loop(&self.socket)?)
    }

    /// How many routers pass on what it sends to a group of IPv4 (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    /// What the kernel says of the value.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        Ok(sockopt::set_ip_multicast_ttl(&self.socket, ttl)?)
    }

    /// How many routers pass on what it sends to a group of IPv4.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        Ok(sockopt::ip_multicast_ttl(&self.socket)?)
    }

    /// Whether what it sends to a group of IPv6 comes back to this machine (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    /// The socket is not of IPv6.
    pub fn set_multicast_loop_v6(&self, comes_back: bool) -> io::Result<()> {
        Ok(sockopt::set_ipv6_multicast_loop(&self.socket, comes_back)?)
    }

    /// Whether what it sends to a group of IPv6 comes back to this machine.
    ///
    /// # Errors
    /// The socket is not of IPv6.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        Ok(sockopt::ipv6_multicast_loop(&self.socket)?)
    }

    /// The time to live of its packets.
    ///
    /// # Errors
    /// What the kernel says of the value.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        Ok(sockopt::set_ip_ttl(&self.socket, ttl)?)
    }

    /// The time to live of its packets.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(sockopt::ip_ttl(&self.socket)?)
    }

    /// Joins a group of IPv4, on the interface with this address; the kernel chooses for `0.0.0.0`.
    ///
    /// # Errors
    /// What the kernel says: it is no group, or there is no such interface.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        Ok(sockopt::set_ip_add_membership(&self.socket, group, interface)?)
    }

    /// Joins a group of IPv6, on the interface with this number; the kernel chooses for 0.
    ///
    /// # Errors
    /// What the kernel says: it is no group, or there is no such interface.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        Ok(sockopt::set_ipv6_add_membership(&self.socket, group, interface)?)
    }

    /// Leaves a group of IPv4.
    ///
    /// # Errors
    /// What the kernel says: it has not joined.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        Ok(sockopt::set_ip_drop_membership(&self.socket, group, interface)?)
    }

    /// Leaves a group of IPv6.
    ///
    /// # Errors
    /// What the kernel says: it has not joined.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        Ok(sockopt::set_ipv6_drop_membership(&self.socket, group, interface)?)
    }

    /// Takes the error that the socket holds, if any.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Whether what would wait is an error instead ([`WouldBlock`](io::ErrorKind::WouldBlock)). This handle's own, and its
    /// later clones'; the descriptor gets the mode, too, as in std.
    ///
    /// # Errors
    /// None on an open socket.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }
}

#[cfg(feature = "process")]
impl UdpSocket {
    /// Has the descriptor take its time limits along.
    pub(crate) fn keep_limits(&self) -> io::Result<()> {
        self.socket.keep_limits()
    }
}

descriptor_traits!(
    UdpSocket,
    socket,
    "Takes over a UDP socket, with the time limits that std has set; whether it is in blocking mode does not matter and is \
     not changed."
);

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("UdpSocket");
        if let Ok(address) = self.local_addr() {
            f.field("addr", &address);
        }
        f.field("fd", &self.socket.as_fd()).finish()
    }
}
