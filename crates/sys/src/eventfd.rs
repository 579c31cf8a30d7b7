//! A counter that wakes whoever polls it: `eventfd(2)`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A non-blocking eventfd.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Opens one, at zero.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Adds one: whoever polls it wakes.
    ///
    /// # Errors
    /// `EBADF` where somebody has closed it behind our back.
    pub fn signal(&self) -> io::Result<()> {
        match rustix::io::write(&self.0, &1_u64.to_ne_bytes()) {
            // The counter is full, so it is readable already.
            Err(rustix::io::Errno::AGAIN) => Ok(()),
            written => Ok(written.map(drop)?),
        }
    }

    /// Takes all that was added, without waiting.
    pub fn drain(&self) {
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
