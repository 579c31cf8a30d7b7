//! A descriptor and its waiting half, which end together, in the right order.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ropewalk_sync::park::{Interest, Wait};
use ropewalk_sync::source::Source;

/// What a task can wait for.
#[derive(Debug)]
pub(crate) struct Waitable {
    /// Always there, but for the moment in which it is handed on.
    fd: Option<OwnedFd>,
    source: Source,
}

impl Waitable {
    /// As [`Source::attempt`].
    pub(crate) fn attempt<R>(
        &self,
        interest: Interest,
        wait: &Wait,
        operation: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        self.source.attempt(self.as_fd(), interest, wait, operation)
    }

    /// A duplicate, with a waiting half of its own.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(self.as_fd().try_clone_to_owned()?.into())
    }
}

impl AsFd for Waitable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("it is taken only when the value ends").as_fd()
    }
}

impl From<OwnedFd> for Waitable {
    fn from(fd: OwnedFd) -> Self {
        Self { fd: Some(fd), source: Source::default() }
    }
}

impl From<Waitable> for OwnedFd {
    fn from(mut waitable: Waitable) -> Self {
        waitable.source.forget(waitable.as_fd());
        waitable.fd.take().expect("it is taken only once")
    }
}

impl Drop for Waitable {
    fn drop(&mut self) {
        if let Some(fd) = &self.fd {
            self.source.forget(fd.as_fd());
        }
    }
}
