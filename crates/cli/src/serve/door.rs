//! Whether new connections are let in, and how the processes of a service hear that none are any more.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ropewalk::process::Descriptor;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The door of a process that accepts connections.
#[derive(Debug, Default)]
pub(super) struct Door {
    closed: AtomicBool,
    /// Where the door belongs to several processes: what closes all of them at once.
    notice: Option<Notice>,
}

impl Door {
    /// The door of one of several processes.
    pub(super) fn shared(notice: Notice) -> Self {
        Self { closed: AtomicBool::new(false), notice: Some(notice) }
    }

    /// Nobody is let in from now on.
    pub(super) fn close(&self) {
        self.closed.store(true, SeqCst);
    }

    /// Whether it is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst) || self.notice.as_ref().is_some_and(Notice::has_come)
    }
}

/// The end of a pipe that nobody writes to: when its other end is closed, a drain has begun. Any number of processes can
/// have it, and look at it whenever they like.
#[derive(Debug)]
pub(super) struct Notice(OwnedFd);

impl Notice {
    /// A notice, and what gives it by being dropped.
    ///
    /// # Errors
    /// No descriptor is left (`ulimit -n`).
    pub(super) fn new() -> io::Result<(Self, PipeWriter)> {
        let (reader, writer): (PipeReader, PipeWriter) = io::pipe()?;
        Ok((Self(reader.into()), writer))
    }

    /// One to send to another process.
    ///
    /// # Errors
    /// No descriptor is left (`ulimit -n`).
    pub(super) fn to_descriptor(&self) -> io::Result<Descriptor> {
        Ok(self.0.try_clone()?.into())
    }

    /// Whether it has come.
    pub(super) fn has_come(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        wait_for([self.0.as_fd()], Some(&now)).is_ok_and(|ready| ready[0])
    }

    /// Waits until it comes.
    ///
    /// # Waits
    /// The calling thread: for threads outside of the plans.
    pub(super) fn wait(&self) {
        while !wait_for([self.0.as_fd()], None).is_ok_and(|ready| ready[0]) {}
    }
}

impl AsFd for Notice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Descriptor> for Notice {
    fn from(descriptor: Descriptor) -> Self {
        Self(descriptor.into())
    }
}

/// Waits until one of the descriptors can be read, or its other end is closed; all are false when the time is up.
///
/// # Errors
/// The kernel's, and [`Interrupted`](io::ErrorKind::Interrupted) by a signal.
///
/// # Waits
/// The calling thread.
pub(super) fn wait_for<const N: usize>(
    descriptors: [BorrowedFd<'_>; N],
    timeout: Option<&Timespec>,
) -> io::Result<[bool; N]> {
    let mut polled = descriptors.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
    poll(&mut polled, timeout)?;
    Ok(polled.map(|polled| !polled.revents().is_empty()))
}
