//! TCP, mirroring `std::net`, and Unix sockets, mirroring `std::os::unix::net`.
//!
//! The same types work from coroutines and threads: whoever calls waits, and only the caller. Each operation tries its
//! system call first and waits for readiness only where that would block, so nothing is held in the kernel meanwhile:
//! buffers may be borrowed, and a cancellation loses no byte and no descriptor.
//!
//! What differs from `std::net`:
//! - [`TcpListener::bind`] listens with a backlog of 4,096 instead of 128, as does [`UnixListener::bind`];
//!   `bind_with_backlog` sets it.
//! - Timeouts are kept here and not in the socket, so they cost no system call and a clone has its own.
//! - [`ToSocketAddrs`] is a trait of this module, because resolving a name must not hold up the caller's worker.

mod address;
mod listener;
mod stream;
mod tcp;
pub mod unix;

use std::io;

use rustix::io::Errno;

pub use self::address::ToSocketAddrs;
pub use self::tcp::{Incoming, TcpListener, TcpStream};
pub use self::unix::{UnixListener, UnixStream};
pub use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};

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
