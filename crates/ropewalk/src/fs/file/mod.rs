//! An open file.

mod transfer;

use std::fs::{self, FileTimes, Metadata, Permissions, TryLockError};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ropewalk_sync::park::{self, Operation, Wait, WaitReason};
use rustix::fs::{FileType, OFlags};

use super::{OpenOptions, away};
use crate::io::End;

/// An open file, mirroring [`std::fs::File`]: see the [module](super) for how it is waited for. With std's trait
/// [`FileExt`](std::os::unix::fs::FileExt) it is read and written at given places.
///
/// ```
/// use std::io::{Read, Seek, SeekFrom, Write};
/// use ropewalk::fs::File;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
/// file.write_all(b"three strands")?;
/// file.sync_all()?;
/// file.seek(SeekFrom::Start(6))?;
/// let mut text = String::new();
/// file.read_to_string(&mut text)?;
/// assert_eq!(text, "strands");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct File {
    end: End<fs::File>,
    kind: Kind,
}

/// How it is waited for.
#[derive(Debug)]
enum Kind {
    /// By the end of each operation.
    Regular(Regular),
    /// By readiness.
    Special,
}

/// What is known of a regular file. The flags are hints that stand for themselves: Relaxed.
#[derive(Debug)]
struct Regular {
    /// Whether the file system can say that a read, or a write, would have to wait.
    read_now: AtomicBool,
    write_now: AtomicBool,
    /// Writes go to the end.
    appends: bool,
    /// Whether others may use the descriptor's place.
    shared: AtomicBool,
}

impl File {
    fn new(file: fs::File, shared: bool) -> Self {
        // A directory says itself that it cannot be read, a block device is a disk.
        let regular = rustix::fs::fstat(&file).is_ok_and(|status| {
            use FileType::{BlockDevice, Directory, RegularFile};
            matches!(FileType::from_raw_mode(status.st_mode), RegularFile | Directory | BlockDevice)
        });
        if !regular {
            return Self { end: End::of(file), kind: Kind::Special };
        }
        let flags = rustix::fs::fcntl_getfl(&file).unwrap_or(OFlags::empty());
        // The kernel would wait all the same: for the disk itself, or until the disk has it.
        let read_now = !flags.contains(OFlags::DIRECT);
        let write_now = read_now && !flags.intersects(OFlags::SYNC | OFlags::DSYNC);
        let regular = Regular {
            read_now: AtomicBool::new(read_now),
            write_now: AtomicBool::new(write_now),
            appends: flags.contains(OFlags::APPEND),
            shared: AtomicBool::new(shared),
        };
        Self { end: End::new(file, false), kind: Kind::Regular(regular) }
    }

    /// That nobody else has.
    pub(super) fn opened(fd: OwnedFd) -> Self {
        Self::new(fd.into(), false)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    ///
    /// # Waits
    /// As `OpenOptions::open`.
    ///
    /// # Cancellation
    /// As `OpenOptions::open`.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing; makes it if it is not there, and empties it if it is.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    ///
    /// # Waits
    /// As `OpenOptions::open`.
    ///
    /// # Cancellation
    /// As `OpenOptions::open`.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Makes a file, which must not be there, and opens it for reading and writing.
    ///
    /// # Errors
    /// As [`OpenOptions::open`]: [`AlreadyExists`](io::ErrorKind::AlreadyExists), for one.
    ///
    /// # Waits
    /// As `OpenOptions::open`.
    ///
    /// # Cancellation
    /// As `OpenOptions::open`.
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// How to open one otherwise.
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Waits until all of the file, and what is known of it, is on the disk: fsync(2).
    ///
    /// # Errors
    /// What fsync(2) says: what was written may be lost then.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// A disk cannot be broken off: a cancelled task unwinds from its next wait.
    pub fn sync_all(&self) -> io::Result<()> {
        self.sync(false)
    }

    /// As [`sync_all`](Self::sync_all), without what is known of the file and not needed to read it: fdatasync(2).
    ///
    /// # Errors
    /// As `sync_all`.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// As `sync_all`.
    pub fn sync_data(&self) -> io::Result<()> {
        self.sync(true)
    }

    fn sync(&self, data_only: bool) -> io::Result<()> {
        let wait = Wait::new(WaitReason::FileSync).fallible();
        park::complete(Operation::sync(self.end.as_fd(), data_only), &wait).map(drop)
    }

    /// Cuts it to a length, or fills it up with zeros: ftruncate(2).
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it was not opened for writing; else what ftruncate(2) says.
    ///
    /// # Waits
    /// Until it is done.
    ///
    /// # Cancellation
    /// Not before it is done.
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        away(|| self.end.get().set_len(size))
    }

    /// What is known of it.
    ///
    /// # Errors
    /// What fstat(2) says.
    ///
    /// # Waits
    /// Until it is known.
    ///
    /// # Cancellation
    /// Not before it is known.
    pub fn metadata(&self) -> io::Result<Metadata> {
        away(|| self.end.get().metadata())
    }

    /// Another handle of the same open file: they share the place where it is.
    ///
    /// # Errors
    /// `EMFILE` where no descriptor is left (raise `ulimit -n`).
    pub fn try_clone(&self) -> io::Result<Self> {
        let clone = self.end.get().try_clone()?;
        self.share();
        Ok(Self::new(clone, true))
    }

    /// Changes who may do what with it.
    ///
    /// # Errors
    /// What fchmod(2) says.
    ///
    /// # Waits
    /// Until it is done.
    ///
    /// # Cancellation
    /// Not before it is done.
    pub fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        away(|| self.end.get().set_permissions(permissions))
    }

    /// Changes when it is said to have been read and written.
    ///
    /// # Errors
    /// What futimens(3) says.
    ///
    /// # Waits
    /// Until it is done.
    ///
    /// # Cancellation
    /// Not before it is done.
    pub fn set_times(&self, times: FileTimes) -> io::Result<()> {
        away(|| self.end.get().set_times(times))
    }

    /// Changes when it is said to have been written.
    ///
    /// # Errors
    /// What futimens(3) says.
    ///
    /// # Waits
    /// Until it is done.
    ///
    /// # Cancellation
    /// Not before it is done.
    pub fn set_modified(&self, time: std::time::SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time))
    }

    /// Locks it, against everybody else who locks: flock(2). The lock is that of the open file, so clones share it, and it ends
    /// with [`unlock`](Self::unlock) or the last handle.
    ///
    /// # Errors
    /// What flock(2) says.
    ///
    /// # Waits
    /// As long as somebody else holds a lock, in this or another process.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which then does not hold the lock. In a thread a `timeout` around it comes after it.
    pub fn lock(&self) -> io::Result<()> {
        self.lock_as(false)
    }

    /// Locks it, together with others who lock it shared, against those who lock it alone.
    ///
    /// # Errors
    /// What flock(2) says.
    ///
    /// # Waits
    /// As long as somebody else has it locked alone.
    ///
    /// # Cancellation
    /// As [`lock`](Self::lock).
    pub fn lock_shared(&self) -> io::Result<()> {
        self.lock_as(true)
    }

    fn lock_as(&self, shared: bool) -> io::Result<()> {
        let tried = if shared { self.try_lock_shared() } else { self.try_lock() };
        match tried {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        let wait = Wait::new(WaitReason::FileLock).object(self).fallible();
        park::complete(Operation::lock(self.end.as_fd(), shared), &wait).map(drop)
    }

    /// Locks it as [`lock`](Self::lock), if nobody else has.
    ///
    /// # Errors
    /// [`WouldBlock`](TryLockError::WouldBlock) if somebody has; else what flock(2) says.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        self.end.get().try_lock()
    }

    /// Locks it as [`lock_shared`](Self::lock_shared), if nobody else has it locked alone.
    ///
    /// # Errors
    /// [`WouldBlock`](TryLockError::WouldBlock) if somebody has; else what flock(2) says.
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.end.get().try_lock_shared()
    }

    /// Unlocks it. Without a lock it does nothing.
    ///
    /// # Errors
    /// What flock(2) says.
    pub fn unlock(&self) -> io::Result<()> {
        self.end.get().unlock()
    }

    /// From now on others may use the descriptor's place.
    fn share(&self) {
        if let Kind::Regular(regular) = &self.kind {
            regular.shared.store(true, Relaxed);
        }
    }
}

impl From<fs::File> for File {
    /// Whatever it is; its mode does not matter and is not changed.
    fn from(file: fs::File) -> Self {
        Self::new(file, true)
    }
}

impl From<OwnedFd> for File {
    /// As from a file of std's.
    fn from(fd: OwnedFd) -> Self {
        Self::new(fd.into(), true)
    }
}

impl From<File> for fs::File {
    fn from(file: File) -> Self {
        file.end.into_inner()
    }
}

impl From<File> for OwnedFd {
    fn from(file: File) -> Self {
        file.end.into_inner().into()
    }
}

impl From<File> for std::process::Stdio {
    fn from(file: File) -> Self {
        fs::File::from(file).into()
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.share();
        self.end.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl IntoRawFd for File {
    fn into_raw_fd(self) -> RawFd {
        OwnedFd::from(self).into_raw_fd()
    }
}
