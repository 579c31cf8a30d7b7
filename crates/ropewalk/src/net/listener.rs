//! What the listeners of every address family are inside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ropewalk_sync::park::{Interest, Wait, WaitReason};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};

use crate::waitable::Waitable;

#[derive(Debug)]
pub(super) struct Listener {
    socket: Waitable,
    /// Whether it came in blocking mode: `accept` has no flag to say "do not wait".
    blocks: bool,
}

impl Listener {
    /// Of a socket that was made in non-blocking mode.
    pub(super) fn new(socket: Waitable) -> Self {
        Self { socket, blocks: false }
    }

    pub(super) fn accept(&self) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
        let wait = Wait::new(WaitReason::Accept).fallible();
        self.socket.attempt(Interest::Read, &wait, || {
            if self.blocks {
                let mut socket = [PollFd::new(&self.socket, PollFlags::IN)];
                if poll(&mut socket, Some(&Timespec::default()))? == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
            Ok(acceptfrom_with(&self.socket, SocketFlags::CLOEXEC)?)
        })
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, blocks: self.blocks })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<OwnedFd> for Listener {
    fn from(fd: OwnedFd) -> Self {
        let blocks = rustix::fs::fcntl_getfl(&fd).is_ok_and(|mode| !mode.contains(OFlags::NONBLOCK));
        Self { socket: fd.into(), blocks }
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.socket.into()
    }
}
