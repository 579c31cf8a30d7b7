//! How a file is opened.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ropewalk_sync::park::{self, Wait, WaitReason};
use rustix::fs::OFlags;

use super::File;

/// How a file is opened, mirroring [`std::fs::OpenOptions`]; with std's trait
/// [`OpenOptionsExt`](std::os::unix::fs::OpenOptionsExt) also its mode and more flags.
///
/// ```
/// use std::io::Write;
/// use std::os::unix::fs::OpenOptionsExt;
/// use ropewalk::fs::OpenOptions;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("journal");
/// let mut journal = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
/// writeln!(journal, "a line at the end, whoever else writes")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    custom_flags: i32,
    mode: u32,
}

impl OpenOptions {
    /// All is off: something has to be asked for.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "as std's")]
    pub fn new() -> Self {
        Self {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            custom_flags: 0,
            mode: 0o666,
        }
    }

    /// For reading.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// For writing.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// For writing at the end, wherever that is at each write (`O_APPEND`).
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// What is in it is thrown away.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// It is made if it is not there.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// It is made, and must not be there: by one of those who try at the same time (`O_EXCL`).
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied),
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) and whatever else open(2) says;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a path with a zero in it, and for options that contradict each other.
    ///
    /// # Waits
    /// Until it is open: of a FIFO until somebody has opened its other end.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task. A file that is open by then is returned.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let path = CString::new(path.as_ref().as_os_str().as_bytes()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "file name contained an unexpected NUL byte")
        })?;
        let wait = Wait::new(WaitReason::FileOpen).fallible();
        park::open(&path, self.flags()?, self.mode, &wait).map(File::opened)
    }

    /// As open(2) takes them. The contradictions are std's.
    fn flags(&self) -> io::Result<i32> {
        let invalid = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        let access = match (self.read, self.write, self.append) {
            (true, false, false) => OFlags::RDONLY,
            (false, true, false) => OFlags::WRONLY,
            (true, true, false) => OFlags::RDWR,
            (false, _, true) => OFlags::WRONLY | OFlags::APPEND,
            (true, _, true) => OFlags::RDWR | OFlags::APPEND,
            (false, false, false) => {
                return invalid("one of reading, writing and appending has to be asked for");
            }
        };
        if !self.write && !self.append && (self.truncate || self.create || self.create_new) {
            return invalid("to make or truncate a file it has to be opened for writing or appending");
        }
        if self.append && self.truncate && !self.create_new {
            return invalid("what is appended to cannot be truncated");
        }
        let creation = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => OFlags::CREATE | OFlags::EXCL,
            (true, true, false) => OFlags::CREATE | OFlags::TRUNC,
            (true, false, false) => OFlags::CREATE,
            (false, true, false) => OFlags::TRUNC,
            (false, false, false) => OFlags::empty(),
        };
        let custom = OFlags::from_bits_retain(self.custom_flags.cast_unsigned()) - OFlags::RWMODE;
        Ok((access | creation | custom).bits().cast_signed())
    }
}

impl OpenOptionsExt for OpenOptions {
    fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.custom_flags = flags;
        self
    }
}
