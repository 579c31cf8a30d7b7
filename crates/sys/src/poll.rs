//! Waiting for one descriptor in a system call of the thread's own: `ppoll(2)`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Instant;

use crate::signal;

/// Which way a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Until a read, or an accept, would not block.
    Read,
    /// Until a write would not block, or a connect has ended.
    Write,
}

/// How [`wait`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The descriptor is ready, or in error, or hung up: the operation will tell.
    Ready,
    /// The deadline passed.
    TimedOut,
    /// The wake signal arrived (or another one): see whether somebody wants something.
    Interrupted,
}

/// Waits for `fd` alone. The wake signal, blocked everywhere else, is let in for exactly the time of the call, so that
/// a wake-up sent between the caller's last look and the sleep is not lost (`ppoll(2)`, "Notes").
///
/// # Errors
/// What `ppoll` says: `ENOMEM`, or `EINVAL` where the limit of open files is below one.
pub fn wait(fd: BorrowedFd<'_>, interest: Interest, deadline: Option<Instant>) -> io::Result<Polled> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: match interest {
            Interest::Read => libc::POLLIN | libc::POLLRDHUP,
            Interest::Write => libc::POLLOUT,
        },
        revents: 0,
    };
    let timeout = deadline.map(|deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `entry` is one valid pollfd, `timeout` is null or points to a live timespec, the mask is a live sigset_t.
    let count = signal::with_wake_mask(|mask| unsafe { libc::ppoll(&raw mut entry, 1, timeout, mask) });
    match count {
        0 => Ok(Polled::TimedOut),
        1.. => Ok(Polled::Ready),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(Polled::Interrupted),
            error => Err(error),
        },
    }
}
