//! Pipes: an end is a descriptor in blocking mode that is asked not to block.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use ropewalk_sync::park::WaitReason;
use rustix::pipe::{PipeFlags, pipe_with};

use super::end::End;

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

/// What a pipe's end waits for.
const READ: WaitReason = WaitReason::PipeRead;
const WRITE: WaitReason = WaitReason::PipeWrite;

/// The end of a pipe that is read from, mirroring [`std::io::PipeReader`]. A read gives 0 when all writers are gone.
///
/// As the argument or the result of a [process](crate::process), inside of it, or as its standard input it goes to
/// another process.
#[derive(Debug)]
pub struct PipeReader(pub(super) End);

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
        self.0.read(READ, buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.read_vectored(READ, buffers)
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
pub struct PipeWriter(pub(super) End);

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
        self.0.write(WRITE, buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(WRITE, buffers)
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
                self.0.as_fd()
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
                Self(End::of(fd))
            }
        }

        impl From<$type> for OwnedFd {
            fn from(end: $type) -> Self {
                end.0.into_inner()
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
