//! Options of sockets that `std::net` has no word for.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::sockopt;

/// The options of a socket, of whatever kind and in whatever state: of one that is about to be bound or connected
/// ([`TcpListener::bind_with`](super::TcpListener::bind_with), [`TcpStream::connect_with`](super::TcpStream::connect_with),
/// [`UdpSocket::bind_with`](super::UdpSocket::bind_with)), or of any other ([`of`](Self::of)).
///
/// Each option belongs to the socket: every handle of it shares it. A connection that is accepted begins with what its listener
/// has of linger, keepalive, buffer sizes and those of TCP. An error is what the kernel says: the socket is not of that kind,
/// or of that state, or the value cannot be.
///
/// ```
/// use ropewalk::net::{Keepalive, SocketOptions, TcpListener, TcpStream};
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
/// let options = SocketOptions::of(&stream);
/// options.set_keepalive(Some(Keepalive::new().idle(Duration::from_secs(60))))?;
/// options.set_user_timeout(Some(Duration::from_secs(30)))?;
/// assert_eq!(options.user_timeout()?, Some(Duration::from_secs(30)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions<'a>(BorrowedFd<'a>);

impl AsFd for SocketOptions<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

impl<'a> SocketOptions<'a> {
    /// Those of this socket.
    #[must_use]
    pub fn of(socket: &'a impl AsFd) -> Self {
        Self(socket.as_fd())
    }

    /// Binds it to an address of this machine, from which it then connects.
    ///
    /// # Errors
    /// As the `bind` of a listener.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        Ok(rustix::net::bind(self.0, &address)?)
    }

    /// Whether an address can be bound that connections of before still use (`SO_REUSEADDR`). A listener has it by itself.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_reuse_address(&self, reuse: bool) -> io::Result<()> {
        Ok(sockopt::set_socket_reuseaddr(self.0, reuse)?)
    }

    /// Whether an address can be bound that connections of before still use.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn reuse_address(&self) -> io::Result<bool> {
        Ok(sockopt::socket_reuseaddr(self.0)?)
    }

    /// Whether several sockets of this user can be bound to one address, if all of them say so (`SO_REUSEPORT`): the kernel
    /// shares out what comes. What waits at a listener that ends is lost.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_reuse_port(&self, reuse: bool) -> io::Result<()> {
        Ok(sockopt::set_socket_reuseport(self.0, reuse)?)
    }

    /// Whether several sockets can be bound to one address.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn reuse_port(&self) -> io::Result<bool> {
        Ok(sockopt::socket_reuseport(self.0)?)
    }

    /// Whether a socket of IPv6 leaves IPv4 alone (`IPV6_V6ONLY`); before it is bound.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_only_v6(&self, only: bool) -> io::Result<()> {
        Ok(sockopt::set_ipv6_v6only(self.0, only)?)
    }

    /// Whether a socket of IPv6 leaves IPv4 alone.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn only_v6(&self) -> io::Result<bool> {
        Ok(sockopt::ipv6_v6only(self.0)?)
    }

    /// How many bytes the kernel may hold that are sent and not received (`SO_SNDBUF`). It doubles the number, for its own
    /// use, and keeps it within `net.core.wmem_max`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_send_buffer_size(self.0, bytes)?)
    }

    /// How many bytes the kernel may hold that are sent, as it counts.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        Ok(sockopt::socket_send_buffer_size(self.0)?)
    }

    /// How many bytes the kernel may hold that have come and were not read (`SO_RCVBUF`). It doubles the number, for its
    /// own use, and keeps it within `net.core.rmem_max`. For TCP set it before the connection stands.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_receive_buffer_size(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(self.0, bytes)?)
    }

    /// How many bytes the kernel may hold that have come, as it counts.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn receive_buffer_size(&self) -> io::Result<usize> {
        Ok(sockopt::socket_recv_buffer_size(self.0)?)
    }

    /// What becomes of a connection that is closed while something is still to be sent (`SO_LINGER`), in whole seconds: with
    /// `None` the kernel sends it in the background; with zero it is thrown away and the other side gets a reset; with more,
    /// **the close holds up its thread** for so long, and a drop cannot let others run meanwhile.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        Ok(sockopt::set_socket_linger(self.0, linger)?)
    }

    /// What becomes of a connection that is closed while something is still to be sent.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(sockopt::socket_linger(self.0)?)
    }

    /// Whether the other side of a silent TCP connection is asked now and then if it is still there (`SO_KEEPALIVE`), and how.
    ///
    /// # Errors
    /// What the kernel says; times are whole seconds from 1 to 32,767, the count is from 1 to 127.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        let Some(Keepalive { idle, interval, count }) = keepalive else {
            return Ok(sockopt::set_socket_keepalive(self.0, false)?);
        };
        if let Some(idle) = idle {
            sockopt::set_tcp_keepidle(self.0, idle)?;
        }
        if let Some(interval) = interval {
            sockopt::set_tcp_keepintvl(self.0, interval)?;
        }
        if let Some(count) = count {
            sockopt::set_tcp_keepcnt(self.0, count)?;
        }
        Ok(sockopt::set_socket_keepalive(self.0, true)?)
    }

    /// Whether the other side of a silent TCP connection is asked if it is still there, and how: with every value given.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
        if !sockopt::socket_keepalive(self.0)? {
            return Ok(None);
        }
        let keepalive = Keepalive::new().idle(sockopt::tcp_keepidle(self.0)?);
        let keepalive = keepalive.interval(sockopt::tcp_keepintvl(self.0)?);
        Ok(Some(keepalive.count(sockopt::tcp_keepcnt(self.0)?)))
    }

    /// How long what TCP has sent may stay unconfirmed before the connection is given up (`TCP_USER_TIMEOUT`), in
    /// milliseconds; `None` for the system's own limit.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) below a millisecond, and above 24 days.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let millis = timeout.map_or(0, |timeout| timeout.as_millis());
        if timeout.is_some() && millis == 0 || millis > i32::MAX as u128 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a timeout from 1 ms to 24 days is needed",
            ));
        }
        Ok(sockopt::set_tcp_user_timeout(self.0, millis as u32)?)
    }

    /// How long what TCP has sent may stay unconfirmed.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        let millis = sockopt::tcp_user_timeout(self.0)?;
        Ok((millis != 0).then(|| Duration::from_millis(millis.into())))
    }

    /// Whether TCP confirms at once what comes (`TCP_QUICKACK`), until the kernel decides otherwise: it does not last.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_quickack(&self, quick: bool) -> io::Result<()> {
        Ok(sockopt::set_tcp_quickack(self.0, quick)?)
    }

    /// Whether TCP confirms at once what comes, at the moment.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn quickack(&self) -> io::Result<bool> {
        Ok(sockopt::tcp_quickack(self.0)?)
    }

    /// Whether TCP sends small packets at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        Ok(sockopt::set_tcp_nodelay(self.0, nodelay)?)
    }

    /// Whether TCP sends small packets at once.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(sockopt::tcp_nodelay(self.0)?)
    }
}

/// How TCP asks the other side of a silent connection if it is still there; what is not said is as the system has it
/// (tcp(7): after 2 hours, every 75 s, 9 times).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    idle: Option<Duration>,
    interval: Option<Duration>,
    count: Option<u32>,
}

impl Keepalive {
    /// As the system has it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// After so much silence, in whole seconds (`TCP_KEEPIDLE`).
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// So long after a question without an answer comes the next (`TCP_KEEPINTVL`).
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// After so many questions without an answer the connection is given up (`TCP_KEEPCNT`).
    #[must_use]
    pub fn count(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }
}
