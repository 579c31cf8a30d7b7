//! Pipes: an end is a descriptor in blocking mode that is asked not to block.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk_sync::park::Interest::{Read as ForRead, Write as ForWrite};
use ropewalk_sync::park::{self, Wait, WaitReason, interruptible};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2, readv, write};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::waitable::Waitable;

/// What there is room for in a pipe that is ready to be written to (pipe(7)).
const PIPE_BUF: usize = 4096;
/// Where a file is read from that has no places, such as a pipe (preadv2(2)).
const NO_PLACE: u64 = u64::MAX;

/// Makes a pipe, as [`std::io::pipe`].
///
/// ```
/// use std::io::{Read, Write};
///
/// let (mut reader, mut writer) = ropewalk::io::pipe()?;
/// let text = ropewalk::coroutine::spawn(move || {
///     let mut text = String::new();
///     reader.read_to_string(&mut text).map(|_| text) // until all writers are gone
/// });
/// writer.write_all(b"through the pipe")?;
/// drop(writer);
/// assert_eq!(text.join()??, "through the pipe");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// `EMFILE` where no descriptor is left (raise `ulimit -n`).
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((PipeReader(End::new(reader, true)), PipeWriter(End::new(writer, true))))
}

/// One end.
#[derive(Debug)]
struct End {
    fd: Waitable,
    /// Whether the kernel takes `RWF_NOWAIT` for it, as far as is known.
    nowait: AtomicBool,
}

impl End {
    fn new(fd: OwnedFd, nowait: bool) -> Self {
        Self { fd: fd.into(), nowait: AtomicBool::new(nowait) }
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()?, nowait: AtomicBool::new(self.nowait.load(Relaxed)) })
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

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let wait = Wait::new(WaitReason::PipeRead).fallible();
        if park::may_block() {
            // A thread waits in `read` itself, as it would in std: one system call for each read.
            match park::call(&wait, |word| interruptible::read(word, self.fd.as_fd(), buffer)) {
                // Somebody else who has it, too, has set it to non-blocking mode.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
        self.read_vectored(&mut [IoSliceMut::new(buffer)])
    }

    fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let wait = Wait::new(WaitReason::PipeRead).fallible();
        self.fd.attempt(ForRead, &wait, || {
            let now = || preadv2(&self.fd, buffers, NO_PLACE, ReadWriteFlags::NOWAIT);
            if let Some(length) = self.without_waiting(now)? {
                return Ok(length);
            }
            self.check_ready(PollFlags::IN)?;
            Ok(readv(&self.fd, buffers)?)
        })
    }

    fn write(&self, buffer: &[u8]) -> io::Result<usize> {
        let wait = Wait::new(WaitReason::PipeWrite).fallible();
        if park::may_block() {
            match park::call(&wait, |word| interruptible::write(word, self.fd.as_fd(), buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let wait = Wait::new(WaitReason::PipeWrite).fallible();
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

impl From<OwnedFd> for End {
    fn from(fd: OwnedFd) -> Self {
        // A regular file says "not now" of what it must fetch from the disk, and nobody tells when it has.
        let is_pipe = rustix::fs::fstat(&fd)
            .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Fifo);
        Self::new(fd, is_pipe)
    }
}

/// The end of a pipe that is read from, mirroring [`std::io::PipeReader`]. A read gives 0 when all writers are gone.
///
/// As the argument or the result of a [process](crate::process), inside of it, or as its standard input it goes to
/// another process.
#[derive(Debug)]
pub struct PipeReader(End);

impl PipeReader {
    /// Another handle of the same end: what one has read the other does not get.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl Read for &PipeReader {
    /// # Waits
    /// Until there is something to read, or no writer any more.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.read_vectored(buffers)
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

/// The end of a pipe that is written to, mirroring [`std::io::PipeWriter`]. A write is an error
/// ([`BrokenPipe`](io::ErrorKind::BrokenPipe)) when all readers are gone.
///
/// As the argument or the result of a [process](crate::process), inside of it, or as its standard output or error it goes
/// to another process.
#[derive(Debug)]
pub struct PipeWriter(End);

impl PipeWriter {
    /// Another handle of the same end.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl Write for &PipeWriter {
    /// # Waits
    /// While the pipe is full: it holds 64 KiB.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for PipeWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self).write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an end is to others: a descriptor, a child's standard input or output.
macro_rules! descriptor_traits {
    ($type:ident) => {
        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.fd.as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }

        impl From<OwnedFd> for $type {
            /// Takes over a descriptor; whether it is in blocking mode does not matter and is not changed.
            fn from(fd: OwnedFd) -> Self {
                Self(fd.into())
            }
        }

        impl From<$type> for OwnedFd {
            fn from(end: $type) -> Self {
                end.0.fd.into()
            }
        }

        impl From<$type> for std::process::Stdio {
            fn from(end: $type) -> Self {
                OwnedFd::from(end).into()
            }
        }
    };
}
descriptor_traits!(PipeReader);
descriptor_traits!(PipeWriter);
