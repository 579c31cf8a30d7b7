//! Signals to one thread, which it takes from a descriptor (signalfd(2)) instead of being interrupted by them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::interruptible::ThreadId;

/// The signals of this set, by their numbers.
fn set_of(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: an empty set is made before it is filled; numbers that are none are refused, and then not in it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Changes the mask of the calling thread. Gives the one before.
fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> io::Result<libc::sigset_t> {
    // SAFETY: both sets are valid; zeros are one.
    let (failed, before) = unsafe {
        let mut before = std::mem::zeroed();
        (libc::pthread_sigmask(how, &raw const *set, &raw mut before), before)
    };
    if failed == 0 { Ok(before) } else { Err(io::Error::from_raw_os_error(failed)) }
}

/// Signals to the calling thread, which come to this descriptor as long as it is there. To be used and dropped by that
/// thread.
#[derive(Debug)]
pub struct ThreadSignals {
    descriptor: OwnedFd,
    /// Those that the thread did not block before.
    blocked: Vec<i32>,
}

impl ThreadSignals {
    /// Of these signals, by their numbers: they are blocked from now on.
    ///
    /// # Errors
    /// No descriptor is left (`ulimit -n`).
    pub fn of(signals: &[i32]) -> io::Result<Self> {
        let set = set_of(signals);
        // SAFETY: the set is valid, and the descriptor that comes back is nobody else's.
        let descriptor = unsafe {
            let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(descriptor)
        };
        let before = change_mask(libc::SIG_BLOCK, &set)?;
        // SAFETY: the set is valid.
        let was_free = |signal: &i32| unsafe { libc::sigismember(&raw const before, *signal) == 0 };
        Ok(Self { descriptor, blocked: signals.iter().copied().filter(was_free).collect() })
    }

    /// The number of the next one that has come.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if none has.
    pub fn take(&self) -> io::Result<i32> {
        // SAFETY: zeros are a valid value, and the kernel writes no more than one.
        let (read, info) = unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let read = libc::read(self.descriptor.as_raw_fd(), (&raw mut info).cast(), size_of_val(&info));
            (read, info)
        };
        if read < 0 { Err(io::Error::last_os_error()) } else { Ok(info.ssi_signo as i32) }
    }
}

impl AsFd for ThreadSignals {
    /// Readable, for the thread, when a signal has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for ThreadSignals {
    fn drop(&mut self) {
        // One that came and was not taken must not strike now.
        while self.take().is_ok() {}
        let _ = change_mask(libc::SIG_UNBLOCK, &set_of(&self.blocked));
    }
}

/// Sends a signal to a thread of this process, which must not have ended: its number may be another one's then.
///
/// # Errors
/// There is no such signal.
pub fn send(thread: ThreadId, signal: i32) -> io::Result<()> {
    // SAFETY: tgkill takes three numbers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread.number(), signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The lowest and the highest number of a real-time signal that is free to use.
#[must_use]
pub fn real_time() -> (i32, i32) {
    (libc::SIGRTMIN(), libc::SIGRTMAX())
}

/// Whether the kernel knows a signal of this number.
#[must_use]
pub fn is_known(signal: i32) -> bool {
    // SAFETY: nothing is changed, and nothing written.
    unsafe { libc::sigaction(signal, ptr::null(), ptr::null_mut()) == 0 }
}
