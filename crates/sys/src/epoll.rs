//! Readiness of many descriptors: `epoll(7)`, edge-triggered.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;

/// Which ways a descriptor became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// A read or an accept would not block.
    pub read: bool,
    /// A write would not block.
    pub write: bool,
    /// The end of what comes, an error, or urgent data is there, perhaps behind other data; or it is not known.
    pub end: bool,
}

impl Ready {
    /// From the bits that `poll`, `epoll` and io_uring's poll share. Errors and hang-ups wake both ways: the operation
    /// that is tried next finds out which it is.
    #[must_use]
    pub fn from_poll_bits(bits: u32) -> Self {
        let bits = EventFlags::from_bits_retain(bits);
        let both = EventFlags::ERR | EventFlags::HUP;
        Self {
            read: bits.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI | both),
            write: bits.intersects(EventFlags::OUT | both),
            end: bits.intersects(EventFlags::RDHUP | EventFlags::PRI | both),
        }
    }
}

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// Opens one.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Watches `fd` both ways, edge-triggered: an edge that is already there is reported at once.
    ///
    /// # Errors
    /// `EPERM` for what cannot be polled (a regular file), `ENOSPC` over `fs.epoll.max_user_watches`, `EEXIST`.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
        Ok(epoll::add(&self.0, fd, EventData::new_u64(token), flags)?)
    }

    /// Watches `fd` for reading only, level-triggered.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_level(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, fd, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Watches `fd` for being hung up on only, and tells that once.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_hang_up(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        // The kernel adds `EPOLLERR` and `EPOLLHUP` by itself.
        Ok(epoll::add(&self.0, fd, EventData::new_u64(token), EventFlags::ONESHOT)?)
    }

    /// Stops watching `fd`; nothing happens if it was not watched.
    pub fn remove(&self, fd: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.0, fd);
    }

    /// Waits for events, `None` for as long as it takes, and calls `each` with every token and what it is ready for.
    ///
    /// # Errors
    /// None but what a broken instance gives; an interruption by a signal counts as no event.
    pub fn wait(&self, timeout: Option<Duration>, mut each: impl FnMut(u64, Ready)) -> io::Result<usize> {
        let mut buffer = [MaybeUninit::<epoll::Event>::uninit(); 256];
        let timeout =
            timeout.map(|t| Timespec::try_from(t).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
        match epoll::wait(&self.0, &mut buffer, timeout.as_ref()) {
            Ok((events, _)) => {
                for event in events.iter() {
                    let flags = event.flags;
                    each(event.data.u64(), Ready::from_poll_bits(flags.bits()));
                }
                Ok(events.len())
            }
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
