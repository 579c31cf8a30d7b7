//! What the listeners of every address family are inside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk_sync::park::{Interest, Wait, WaitReason};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with, listen, sockopt};

use super::socket::{is_nonblocking, is_shut_down, once};
use crate::waitable::Waitable;

#[derive(Debug)]
pub(super) struct Listener {
    socket: Waitable,
    /// Whether it may be in blocking mode: `accept` has no flag to say "do not wait".
    blocks: AtomicBool,
    /// Whether an `accept` that would wait is an error instead.
    nonblocking: AtomicBool,
}

impl Listener {
    /// Of a socket that was made in non-blocking mode.
    pub(super) fn new(socket: Waitable) -> Self {
        Self { socket, blocks: AtomicBool::new(false), nonblocking: AtomicBool::new(false) }
    }

    pub(super) fn accept(&self) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        if self.nonblocking.load(Relaxed) {
            return once(|| self.try_accept());
        }
        let wait = Wait::new(WaitReason::Accept).fallible();
        self.socket.attempt(Interest::Read, &wait, || self.try_accept())
    }

    /// As `accept`, of a Unix socket, which says nothing of its end to who does not wait: it would block.
    pub(super) fn accept_from_unix(&self) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        if self.nonblocking.load(Relaxed) {
            return self.accept();
        }
        let wait = Wait::new(WaitReason::Accept).fallible();
        self.socket.attempt(Interest::Read, &wait, || match self.try_accept() {
            // To who waits, the kernel says it so.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_shut_down(&self.socket) => {
                Err(Errno::INVAL.into())
            }
            accepted => accepted,
        })
    }

    fn try_accept(&self) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        if self.blocks.load(Relaxed) {
            let mut socket = [PollFd::new(&self.socket, PollFlags::IN)];
            if poll(&mut socket, Some(&Timespec::default()))? == 0 {
                return Err(Errno::AGAIN.into());
            }
        }
        Ok(acceptfrom_with(&self.socket, SocketFlags::CLOEXEC)?)
    }

    /// The descriptor gets non-blocking mode, in which one that we opened is already, and keeps it: other handles rely on it.
    pub(super) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        if nonblocking && self.blocks.load(Relaxed) {
            rustix::io::ioctl_fionbio(&self.socket, true)?;
        }
        self.nonblocking.store(nonblocking, Relaxed);
        Ok(())
    }

    /// To listen once more only sets the backlog (listen(2)).
    pub(super) fn set_backlog(&self, backlog: i32) -> io::Result<()> {
        Ok(listen(&self.socket, backlog)?)
    }

    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(sockopt::socket_error(&self.socket)?.err().map(io::Error::from))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            blocks: AtomicBool::new(self.blocks.load(Relaxed)),
            nonblocking: AtomicBool::new(self.nonblocking.load(Relaxed)),
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<OwnedFd> for Listener {
    fn from(fd: OwnedFd) -> Self {
        let blocks = AtomicBool::new(!is_nonblocking(&fd));
        Self { socket: fd.into(), blocks, nonblocking: AtomicBool::new(false) }
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.socket.into()
    }
}
