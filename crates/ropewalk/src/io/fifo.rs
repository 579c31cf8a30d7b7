//! FIFOs: pipes with a name in the file system, at which programs meet that do not start each other.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ropewalk_sync::park::{self, Wait, WaitReason};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::end::End;
use super::pipe::{PipeReader, PipeWriter};

/// An error that says which path it is about.
fn at(path: &Path, kind: io::ErrorKind, what: impl fmt::Display) -> io::Error {
    io::Error::new(kind, format!("{}: {what}", path.display()))
}

fn end_of(fd: OwnedFd, path: &Path) -> io::Result<End> {
    let mode = rustix::fs::fstat(&fd)?.st_mode;
    if FileType::from_raw_mode(mode) != FileType::Fifo {
        return Err(at(path, io::ErrorKind::InvalidInput, "this is no FIFO"));
    }
    Ok(End::new(fd, true))
}

/// Opens it, and waits for the other end.
fn open(path: &Path, flags: OFlags) -> io::Result<End> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| at(path, io::ErrorKind::InvalidInput, "there is a zero in the path"))?;
    let wait = Wait::new(WaitReason::FifoOpen).fallible();
    let flags = (flags | OFlags::NOCTTY).bits().cast_signed();
    let open = || park::open(&name, flags, 0, &wait);
    let opened = if park::may_block() || park::is_coroutine() || !park::may_wait() || std::thread::panicking()
    {
        open()
    } else {
        // A thread that has a deadline to keep: no clock would end its system call. A coroutine hears of the deadline.
        ropewalk_runtime::scope(|s| s.spawn(open).join())?
    };
    let opened = opened.map_err(|error| match error.raw_os_error() {
        Some(_) => at(path, error.kind(), error),
        None => error,
    });
    end_of(opened?, path)
}

/// Opens it, and does not wait for the other end; nothing, if the kernel would have it wait.
fn try_open(path: &Path, flags: OFlags) -> io::Result<Option<End>> {
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => {
            let error = io::Error::from(error);
            return Err(at(path, error.kind(), error));
        }
    };
    let end = end_of(fd, path)?;
    // Nobody else has it yet. From now on it is in blocking mode, as all ends are.
    rustix::io::ioctl_fionbio(&end, false)?;
    Ok(Some(end))
}

impl PipeReader {
    /// Opens the FIFO at `path` for reading. Whoever comes first waits for the other end, as in open(2).
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::os::unix::fs::PermissionsExt;
    /// use ropewalk::fs::{self, Permissions};
    /// use ropewalk::io::{PipeReader, PipeWriter};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("orders");
    /// fs::mkfifo(&path, Permissions::from_mode(0o600))?;
    /// let orders = path.clone();
    /// // Or another program, which knows nothing but the path: `echo bread > orders`.
    /// let customer = ropewalk::coroutine::spawn(move || PipeWriter::open(orders)?.write_all(b"bread"));
    /// let mut text = String::new();
    /// PipeReader::open(&path)?.read_to_string(&mut text)?; // until the last writer is gone
    /// assert_eq!(text, "bread");
    /// customer.join()??;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// What open(2) says, with the path; [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no FIFO.
    ///
    /// # Waits
    /// Until somebody has it open for writing.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task. An end that is open by then is returned.
    pub fn open<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        open(path.as_ref(), OFlags::RDONLY).map(Self)
    }

    /// Opens the FIFO at `path` for reading, without waiting for a writer: whoever opens it for writing no longer waits. Until a
    /// writer has come, a read gives 0, as it does when the last one has gone.
    ///
    /// One that serves writers who come and go keeps a writing end of its own, and so never sees the end:
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::os::unix::fs::PermissionsExt;
    /// use ropewalk::fs::{self, Permissions};
    /// use ropewalk::io::{PipeReader, PipeWriter};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("log");
    /// fs::mkfifo(&path, Permissions::from_mode(0o600))?;
    /// let mut log = PipeReader::try_open(&path)?;
    /// let _kept = PipeWriter::try_open(&path)?;
    /// PipeWriter::open(&path)?.write_all(b"one")?; // and is gone
    /// PipeWriter::open(&path)?.write_all(b"two")?;
    /// let mut lines = [0; 6];
    /// log.read_exact(&mut lines)?;
    /// assert_eq!(&lines, b"onetwo");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn try_open<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        let path = path.as_ref();
        let end = try_open(path, OFlags::RDONLY)?;
        end.map(Self).ok_or_else(|| at(path, io::ErrorKind::InvalidInput, "this is no FIFO"))
    }
}

impl PipeWriter {
    /// Opens the FIFO at `path` for writing: see [`PipeReader::open`]. It is not made, if it is not there.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Waits
    /// Until somebody has it open for reading.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task. An end that is open by then is returned.
    pub fn open<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        open(path.as_ref(), OFlags::WRONLY).map(Self)
    }

    /// Opens the FIFO at `path` for writing, if somebody has it open for reading.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nobody has (`ENXIO` in open(2)); else as [`open`](Self::open).
    pub fn try_open<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        let path = path.as_ref();
        match try_open(path, OFlags::WRONLY)? {
            Some(end) => Ok(Self(end)),
            None if is_fifo(path) => {
                Err(at(path, io::ErrorKind::WouldBlock, "nobody has it open for reading"))
            }
            None => Err(at(path, io::ErrorKind::InvalidInput, "this is no FIFO")),
        }
    }
}

/// A socket or a device without a driver cannot be opened either, and the kernel says the same of it.
fn is_fifo(path: &Path) -> bool {
    rustix::fs::stat(path).is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Fifo)
}
