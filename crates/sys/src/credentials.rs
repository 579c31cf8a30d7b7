//! Who is at the other end of a Unix socket (`SO_PEERCRED`, unix(7)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Whose process has connected, listened, or made the pair, as it was at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process; `None` if it cannot be seen from this one's PID namespace.
    pub pid: Option<i32>,
}

/// The credentials of the peer of a Unix socket that is connected.
///
/// # Errors
/// It is no socket. (Of one that is not connected the kernel says "nobody": [`NotConnected`](io::ErrorKind::NotConnected).)
pub fn of_peer(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `found`, and the length; both live.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if found.uid == u32::MAX {
        return Err(io::ErrorKind::NotConnected.into());
    }
    Ok(Credentials { uid: found.uid, gid: found.gid, pid: (found.pid != 0).then_some(found.pid) })
}
