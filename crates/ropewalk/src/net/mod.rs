//! TCP and UDP, mirroring `std::net`, and Unix sockets, mirroring `std::os::unix::net`.
//!
//! The same types work from coroutines and threads: whoever calls waits, and only the caller. Each operation tries its
//! system call first and waits for readiness only where that would block, so nothing is held in the kernel meanwhile:
//! buffers may be borrowed, and a cancellation loses no byte, no datagram and no descriptor. A socket may go from task to task,
//! to other runtimes and, in a message, to another process, at any time, also while somebody waits on it.
//!
//! What std has no word for, or only an unstable one, is in [`SocketOptions`], before a socket is bound or connected
//! (`bind_with`, `connect_with`) and later; what is not there either has [socket2](https://docs.rs/socket2), whose `SockRef`
//! takes any of these sockets. [`TcpStream::into_split`] gives two halves for two tasks.
//!
//! What differs from `std::net`:
//! - [`TcpListener::bind`] listens with a backlog of 4,096 instead of 128, as does [`UnixListener::bind`];
//!   `bind_with_backlog` and `set_backlog` set it.
//! - Timeouts, and whether a socket is [non-blocking](TcpStream::set_nonblocking), are kept in the handle and not in the
//!   socket: they cost no system call, and a clone has its own, initially those of its original. Who takes the descriptor
//!   over (`OwnedFd::from`, a process) gets them, too.
//! - [`ToSocketAddrs`] is a trait of this module, because resolving a name must not hold up the caller's worker.
//! - `FromRawFd` is not there: `OwnedFd` has it, and is safe to turn into any socket.
//!
//! `docs/as-std.md` in the repository has the errors of both side by side.

mod address;
mod halves;
mod listener;
mod options;
mod socket;
mod tcp;
mod udp;
pub mod unix;

use std::io;

use rustix::io::Errno;

pub use self::address::ToSocketAddrs;
pub use self::halves::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use self::options::{Keepalive, SocketOptions};
pub use self::tcp::{Incoming, TcpListener, TcpStream};
pub use self::udp::UdpSocket;
pub use self::unix::{UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream};
pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};

/// How many connections the kernel may hold for a listener that has not accepted them, unless told otherwise.
const BACKLOG: i32 = 4096;

/// Whether an error of `accept` concerns only that connection, or a shortage that passes: accept again, after a pause
/// where descriptors or memory ran out (`accept(2)`, "Error handling" and "Errors").
///
/// ```
/// use std::io;
/// assert!(ropewalk::net::is_transient(&io::ErrorKind::ConnectionAborted.into()));
/// assert!(!ropewalk::net::is_transient(&io::ErrorKind::InvalidInput.into()));
/// ```
#[must_use]
pub fn is_transient(error: &io::Error) -> bool {
    let Some(errno) = Errno::from_io_error(error) else {
        return error.kind() == io::ErrorKind::ConnectionAborted;
    };
    matches!(
        errno,
        Errno::CONNABORTED
            | Errno::MFILE
            | Errno::NFILE
            | Errno::NOBUFS
            | Errno::NOMEM
            | Errno::INTR
            | Errno::PERM
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::OPNOTSUPP
    )
}
