//! A descriptor and its waiting half, which end together, in the right order.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(feature = "compat")]
use std::task::{Context, Poll};

#[cfg(feature = "compat")]
use ropewalk_sync::park;
use ropewalk_sync::park::{Interest, Wait};
#[cfg(feature = "compat")]
use ropewalk_sync::source::Place;
use ropewalk_sync::source::Source;

/// What a task can wait for.
#[derive(Debug)]
pub(crate) struct Waitable<T: AsFd = OwnedFd> {
    /// Always there, but for the moment in which it is handed on.
    fd: Option<T>,
    source: Source,
}

impl<T: AsFd> Waitable<T> {
    pub(crate) fn new(fd: T) -> Self {
        Self { fd: Some(fd), source: Source::default() }
    }

    /// What owns the descriptor.
    pub(crate) fn get(&self) -> &T {
        self.fd.as_ref().expect("it is taken only when the value ends")
    }

    /// Hands it on.
    pub(crate) fn into_inner(mut self) -> T {
        self.source.forget(self.as_fd());
        self.fd.take().expect("it is taken only once")
    }

    /// As [`Source::attempt`].
    pub(crate) fn attempt<R>(
        &self,
        interest: Interest,
        wait: &Wait,
        operation: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        self.source.attempt(self.as_fd(), interest, wait, operation)
    }

    /// As [`Source::attempt_read`].
    pub(crate) fn attempt_read(
        &self,
        wait: &Wait,
        room: usize,
        read: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.source.attempt_read(self.as_fd(), wait, room, read)
    }
}

impl Waitable {
    /// A duplicate, with a waiting half of its own.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(self.as_fd().try_clone_to_owned()?.into())
    }
}

#[cfg(feature = "compat")]
impl Waitable {
    /// As [`Source::poll_attempt`].
    pub(crate) fn poll_attempt<R>(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        operation: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.source.poll_attempt(place, context, || self.watch(), operation)
    }

    /// Has a driver watch it, if none does so yet. A thread has none of its own: there a coroutine is asked, once for each
    /// descriptor, and its worker wakes whoever polls in the thread from then on.
    fn watch(&self) -> io::Result<()> {
        let watch = || self.source.watch(self.as_fd());
        match watch() {
            Err(error) if error.kind() == io::ErrorKind::Unsupported && !park::is_coroutine() => {
                ropewalk_runtime::scope(|s| s.spawn(watch).join())?
            }
            watched => watched,
        }
    }
}

impl<T: AsFd> AsFd for Waitable<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get().as_fd()
    }
}

impl From<OwnedFd> for Waitable {
    fn from(fd: OwnedFd) -> Self {
        Self::new(fd)
    }
}

impl From<Waitable> for OwnedFd {
    fn from(waitable: Waitable) -> Self {
        waitable.into_inner()
    }
}

impl<T: AsFd> Drop for Waitable<T> {
    fn drop(&mut self) {
        if let Some(fd) = &self.fd {
            self.source.forget(fd.as_fd());
        }
    }
}
