//! A descriptor in blocking mode that is asked not to block: see the module's "What mode".

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk_sync::park::Interest::{Read as ForRead, Write as ForWrite};
use ropewalk_sync::park::{self, Wait, WaitReason, interruptible};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2, readv, write};

use crate::waitable::Waitable;

/// What there is room for in a pipe that is ready to be written to (pipe(7)).
const PIPE_BUF: usize = 4096;
/// Where a file is read from that has no places, such as a pipe (preadv2(2)).
const NO_PLACE: u64 = u64::MAX;

/// A descriptor that is waited for by readiness, and whose mode is left alone.
#[derive(Debug)]
pub(crate) struct End<T: AsFd = OwnedFd> {
    fd: Waitable<T>,
    /// Whether the kernel takes `RWF_NOWAIT` for it, as far as is known.
    nowait: AtomicBool,
}

impl End {
    /// Another handle of the same.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()?, nowait: AtomicBool::new(self.nowait.load(Relaxed)) })
    }
}

impl<T: AsFd> End<T> {
    pub(crate) fn new(fd: T, nowait: bool) -> Self {
        Self { fd: Waitable::new(fd), nowait: AtomicBool::new(nowait) }
    }

    /// Of whatever this is.
    pub(crate) fn of(fd: T) -> Self {
        // A regular file says "not now" of what it must fetch from the disk, and nobody tells when it has.
        let is_pipe = rustix::fs::fstat(&fd)
            .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Fifo);
        Self::new(fd, is_pipe)
    }

    /// What owns the descriptor.
    pub(crate) fn get(&self) -> &T {
        self.fd.get()
    }

    /// Hands it on.
    pub(crate) fn into_inner(self) -> T {
        self.fd.into_inner()
    }

    /// A system call that does not wait, unless the kernel does not know how not to: then nothing.
    fn without_waiting<R>(&self, call: impl FnOnce() -> rustix::io::Result<R>) -> io::Result<Option<R>> {
        // Relaxed: a hint that stands for itself.
        if !self.nowait.load(Relaxed) {
            return Ok(None);
        }
        match call() {
            Err(Errno::OPNOTSUPP) => {
                self.nowait.store(false, Relaxed);
                Ok(None)
            }
            result => Ok(Some(result?)),
        }
    }

    /// Whether a system call would find something, or an end.
    fn check_ready(&self, events: PollFlags) -> io::Result<()> {
        match poll(&mut [PollFd::new(&self.fd, events)], Some(&Timespec::default()))? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }

    /// Reads, waiting for this reason.
    pub(crate) fn read(&self, reason: WaitReason, buffer: &mut [u8]) -> io::Result<usize> {
        let wait = Wait::new(reason).fallible();
        if park::may_block() {
            // A thread waits in `read` itself, as it would in std: one system call for each read.
            match park::call(&wait, |word| interruptible::read(word, self.fd.as_fd(), buffer)) {
                // Somebody else who has it, too, has set it to non-blocking mode.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
        self.read_vectored(reason, &mut [IoSliceMut::new(buffer)])
    }

    /// The same into several buffers.
    pub(crate) fn read_vectored(
        &self,
        reason: WaitReason,
        buffers: &mut [IoSliceMut<'_>],
    ) -> io::Result<usize> {
        let wait = Wait::new(reason).fallible();
        self.fd.attempt(ForRead, &wait, || {
            let now = || preadv2(&self.fd, buffers, NO_PLACE, ReadWriteFlags::NOWAIT);
            if let Some(length) = self.without_waiting(now)? {
                return Ok(length);
            }
            self.check_ready(PollFlags::IN)?;
            Ok(readv(&self.fd, buffers)?)
        })
    }

    /// Writes, waiting for this reason.
    pub(crate) fn write(&self, reason: WaitReason, buffer: &[u8]) -> io::Result<usize> {
        let wait = Wait::new(reason).fallible();
        if park::may_block() {
            match park::call(&wait, |word| interruptible::write(word, self.fd.as_fd(), buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
        self.write_vectored(reason, &[IoSlice::new(buffer)])
    }

    /// The same from several buffers.
    pub(crate) fn write_vectored(&self, reason: WaitReason, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let wait = Wait::new(reason).fallible();
        let first = buffers.iter().find(|buffer| !buffer.is_empty()).map_or(&[][..], |buffer| buffer);
        self.fd.attempt(ForWrite, &wait, || {
            let now = || pwritev2(&self.fd, buffers, NO_PLACE, ReadWriteFlags::NOWAIT);
            if let Some(length) = self.without_waiting(now)? {
                return Ok(length);
            }
            self.check_ready(PollFlags::OUT)?;
            Ok(write(&self.fd, &first[..first.len().min(PIPE_BUF)])?)
        })
    }
}

impl<T: AsFd> AsFd for End<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
