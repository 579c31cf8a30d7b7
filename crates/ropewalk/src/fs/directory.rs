//! Directories.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use super::{FileType, Metadata, away};

/// So many entries are fetched by one trip to another thread.
const BATCH: usize = 256;

/// What is in a directory, as [`std::fs::read_dir`]: in no order, without `.` and `..`.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// ropewalk::fs::write(folder.path().join("rope"), "")?;
/// for entry in ropewalk::fs::read_dir(folder.path())? {
///     let entry = entry?;
///     println!("{} {}", entry.path().display(), entry.metadata()?.len());
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What open(2) says: [`NotADirectory`](io::ErrorKind::NotADirectory), for one.
///
/// # Waits
/// Until the first entries are read; the iterator waits for more.
///
/// # Cancellation
/// Not before they are read.
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref();
    away(|| {
        let mut read_dir = ReadDir { entries: Some(fs::read_dir(path)?), fetched: VecDeque::new() };
        read_dir.fetch();
        Ok(read_dir)
    })
}

/// The entries of a directory, mirroring [`std::fs::ReadDir`].
pub struct ReadDir {
    /// `None` when there are no more to fetch.
    entries: Option<fs::ReadDir>,
    fetched: VecDeque<io::Result<DirEntry>>,
}

impl ReadDir {
    fn fetch(&mut self) {
        let Some(entries) = &mut self.entries else { return };
        self.fetched.extend(entries.take(BATCH).map(|entry| entry.map(DirEntry::new)));
        if self.fetched.len() < BATCH {
            self.entries = None;
        }
    }
}

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    /// # Waits
    /// Now and then, until more entries are read.
    fn next(&mut self) -> Option<io::Result<DirEntry>> {
        if self.fetched.is_empty() && self.entries.is_some() {
            let fetched = away(|| {
                self.fetch();
                Ok(())
            });
            debug_assert!(fetched.is_ok(), "errors are among what is fetched");
        }
        self.fetched.pop_front()
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("entries", &self.entries).finish_non_exhaustive()
    }
}

/// One entry of a directory, mirroring [`std::fs::DirEntry`]; with std's trait
/// [`DirEntryExt`](std::os::unix::fs::DirEntryExt) also its inode's number.
pub struct DirEntry {
    entry: fs::DirEntry,
    /// Asked for where the entry was read: some file systems do not tell it there.
    file_type: Option<FileType>,
}

impl DirEntry {
    fn new(entry: fs::DirEntry) -> Self {
        let file_type = entry.file_type().ok();
        Self { entry, file_type }
    }

    /// The path of the directory, as it was given, with the name.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// The name.
    #[must_use]
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// What is known of the entry; symbolic links are not followed.
    ///
    /// # Errors
    /// What lstat(2) says.
    ///
    /// # Waits
    /// Until it is known.
    ///
    /// # Cancellation
    /// Not before it is known.
    pub fn metadata(&self) -> io::Result<Metadata> {
        away(|| self.entry.metadata())
    }

    /// What kind of file it is; symbolic links are not followed.
    ///
    /// # Errors
    /// What lstat(2) says, where the directory does not tell.
    ///
    /// # Waits
    /// Until it is known: most directories tell it with the entry.
    ///
    /// # Cancellation
    /// Not before it is known.
    pub fn file_type(&self) -> io::Result<FileType> {
        self.file_type.map_or_else(|| away(|| self.entry.file_type()), Ok)
    }
}

impl DirEntryExt for DirEntry {
    fn ino(&self) -> u64 {
        self.entry.ino()
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

/// Makes a directory, as [`std::fs::create_dir`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// ropewalk::fs::create_dir(folder.path().join("ropes"))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What mkdir(2) says: [`AlreadyExists`](io::ErrorKind::AlreadyExists), for one.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().create(path)
}

/// Makes a directory, and those that lead to it, where they are not there, as [`std::fs::create_dir_all`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// ropewalk::fs::create_dir_all(folder.path().join("ropes/of/hemp"))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What mkdir(2) says, but for directories that are there.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

/// How a directory is made, mirroring [`std::fs::DirBuilder`]; with std's trait
/// [`DirBuilderExt`](std::os::unix::fs::DirBuilderExt) also its mode.
///
/// ```
/// use std::os::unix::fs::DirBuilderExt;
/// use ropewalk::fs::DirBuilder;
///
/// # let folder = tempfile::tempdir()?;
/// DirBuilder::new().mode(0o700).create(folder.path().join("private"))?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct DirBuilder(fs::DirBuilder);

impl DirBuilder {
    /// One directory, for all that the process's mask allows.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "as std's")]
    pub fn new() -> Self {
        Self(fs::DirBuilder::new())
    }

    /// Also those that lead to it, and no error if it is there.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.0.recursive(recursive);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// What mkdir(2) says.
    ///
    /// # Waits
    /// Until it is done.
    ///
    /// # Cancellation
    /// Not before it is done.
    pub fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        away(|| self.0.create(path))
    }
}

impl DirBuilderExt for DirBuilder {
    fn mode(&mut self, mode: u32) -> &mut Self {
        self.0.mode(mode);
        self
    }
}
