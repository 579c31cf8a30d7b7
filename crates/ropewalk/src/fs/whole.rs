//! Whole files at once.

use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ropewalk_sync::park;
use rustix::fs::copy_file_range;
use rustix::io::Errno;

use super::{File, OpenOptions, away};

/// Reads a whole file, as [`std::fs::read`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::write(&path, [1, 2, 3])?;
/// assert_eq!(ropewalk::fs::read(&path)?, [1, 2, 3]);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`File::open`] and reading.
///
/// # Waits
/// Until it is read.
///
/// # Cancellation
/// Unwinds a cancelled task.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a whole file that is text in UTF-8, as [`std::fs::read_to_string`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::write(&path, "three strands")?;
/// assert_eq!(ropewalk::fs::read_to_string(&path)?, "three strands");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`read`]; [`InvalidData`](io::ErrorKind::InvalidData) if it is no UTF-8.
///
/// # Waits
/// Until it is read.
///
/// # Cancellation
/// Unwinds a cancelled task.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Makes a file, or replaces what is in it, as [`std::fs::write`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::write(&path, "three strands")?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`File::create`] and writing. A part may have been written then.
///
/// # Waits
/// Until it is written; not until it is on the disk.
///
/// # Cancellation
/// Unwinds a cancelled task; a part may have been written then.
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    File::create(path)?.write_all(contents.as_ref())
}

/// Copies what is in a regular file, and its permissions, to another, which is made or replaced, as [`std::fs::copy`]; by the
/// kernel where that can (copy_file_range(2)), so that file systems that can share the blocks do. Gives the number of bytes.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let (from, to) = (folder.path().join("from"), folder.path().join("to"));
/// ropewalk::fs::write(&from, "three strands")?;
/// assert_eq!(ropewalk::fs::copy(&from, &to)?, 13);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`File::open`], [`File::create`], reading and writing; [`InvalidInput`](io::ErrorKind::InvalidInput) if `from` is no regular
/// file. A part may have been copied then.
///
/// # Waits
/// Until it is copied.
///
/// # Cancellation
/// Unwinds a cancelled task after at most another 8 MiB; a part has been copied then.
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let from = File::open(from)?;
    let metadata = from.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the source path is neither a regular file nor a symlink to a regular file",
        ));
    }
    let permissions = metadata.permissions();
    let mut options = OpenOptions::new();
    // What std does: its owner may write to it at first, so that others who must not read it never can.
    let to = options.write(true).create(true).truncate(true).mode(permissions.mode()).open(to)?;
    if to.metadata()?.is_file() {
        to.set_permissions(permissions)?;
    }
    let mut copied = 0;
    loop {
        match away(|| Ok(copy_file_range(&from, None, &to, None, PIECE)?)) {
            // All, or a file that does not know its length, as those in /proc.
            Ok(0) if copied > 0 => return Ok(copied),
            Ok(length) if length > 0 => copied += length as u64,
            Ok(_) => break,
            Err(error) if copied > 0 || !is_refusal(&error) => return Err(error),
            Err(_) => break,
        }
        if park::may_wait() {
            park::yield_now();
        }
    }
    io::copy(&mut &from, &mut &to)
}

/// So much is copied by one call that cannot be broken off.
const PIECE: usize = 8 << 20;

/// Whether these two files cannot be copied by the kernel, as copy_file_range(2) says it in its various ways.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::NOSYS, Errno::XDEV, Errno::INVAL, Errno::PERM, Errno::OPNOTSUPP, Errno::BADF];
    Errno::from_io_error(error).is_some_and(|errno| refusals.contains(&errno))
}
