//! What is asked and done by path. All of it is a call of std's, made on a thread of the pool while a coroutine waits.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Metadata, Permissions, away};

/// What is known of the file that a path leads to, symbolic links followed, as [`std::fs::metadata`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::write(&path, "12345")?;
/// assert_eq!(ropewalk::fs::metadata(&path)?.len(), 5);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What stat(2) says.
///
/// # Waits
/// Until it is known.
///
/// # Cancellation
/// Not before it is known.
pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    away(|| std::fs::metadata(path))
}

/// What is known of the file at a path, also if that is a symbolic link, as [`std::fs::symlink_metadata`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::symlink("elsewhere", &path)?;
/// assert!(ropewalk::fs::symlink_metadata(&path)?.is_symlink());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What lstat(2) says.
///
/// # Waits
/// Until it is known.
///
/// # Cancellation
/// Not before it is known.
pub fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    away(|| std::fs::symlink_metadata(path))
}

/// Whether there is something at a path, at this moment; a symbolic link that leads nowhere is nothing, as [`std::fs::exists`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// assert!(!ropewalk::fs::exists(&path)?);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What stat(2) says.
///
/// # Waits
/// Until it is known.
///
/// # Cancellation
/// Not before it is known.
pub fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref();
    away(|| std::fs::exists(path))
}

/// The absolute path, without symbolic links, of what is there, as [`std::fs::canonicalize`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// assert!(ropewalk::fs::canonicalize(folder.path().join("."))?.is_absolute());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What realpath(3) says.
///
/// # Waits
/// Until it is known.
///
/// # Cancellation
/// Not before it is known.
pub fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref();
    away(|| std::fs::canonicalize(path))
}

/// Where a symbolic link leads, as [`std::fs::read_link`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::symlink("elsewhere", &path)?;
/// assert_eq!(ropewalk::fs::read_link(&path)?.to_str(), Some("elsewhere"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What readlink(2) says.
///
/// # Waits
/// Until it is known.
///
/// # Cancellation
/// Not before it is known.
pub fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref();
    away(|| std::fs::read_link(path))
}

/// Removes a file, or a symbolic link, from its directory; whoever has it open keeps it, as [`std::fs::remove_file`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::write(&path, "")?;
/// ropewalk::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What unlink(2) says.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    away(|| std::fs::remove_file(path))
}

/// Removes an empty directory, as [`std::fs::remove_dir`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::create_dir(&path)?;
/// ropewalk::fs::remove_dir(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What rmdir(2) says.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    away(|| std::fs::remove_dir(path))
}

/// Removes a directory and all that is in it; symbolic links are not followed, as [`std::fs::remove_dir_all`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::create_dir_all(path.join("a/b"))?;
/// ropewalk::fs::remove_dir_all(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What unlink(2), rmdir(2) says.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    away(|| std::fs::remove_dir_all(path))
}

/// Gives a file or directory another path, in one step, and replaces what is there, as [`std::fs::rename`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::write(&path, "")?;
/// ropewalk::fs::rename(&path, folder.path().join("new"))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What rename(2); [`CrossesDevices`](io::ErrorKind::CrossesDevices) where only a copy would do says.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    away(|| std::fs::rename(from, to))
}

/// Gives a file another path as well, as [`std::fs::hard_link`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::write(&path, "")?;
/// ropewalk::fs::hard_link(&path, folder.path().join("new"))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What link(2) says.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref(), link.as_ref());
    away(|| std::fs::hard_link(original, link))
}

/// Makes a symbolic link at `link` that leads to `original`, which need not be there, as [`std::os::unix::fs::symlink`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::symlink("elsewhere", &path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What symlink(2) says.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref(), link.as_ref());
    away(|| std::os::unix::fs::symlink(original, link))
}

/// Changes who may do what with a file, as [`std::fs::set_permissions`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::write(&path, "")?;
/// let mut permissions = ropewalk::fs::metadata(&path)?.permissions();
/// permissions.set_readonly(true);
/// ropewalk::fs::set_permissions(&path, permissions)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What chmod(2) says.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref();
    away(|| std::fs::set_permissions(path, permissions))
}

/// Changes whose a file is; `None` leaves it, as [`std::os::unix::fs::chown`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::write(&path, "")?;
/// ropewalk::fs::chown(&path, None, None)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What chown(2) says.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn chown(path: impl AsRef<Path>, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
    let path = path.as_ref();
    away(|| std::os::unix::fs::chown(path, user, group))
}

/// As [`chown`], of a symbolic link itself, as [`std::os::unix::fs::lchown`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rope");
/// ropewalk::fs::symlink("elsewhere", &path)?;
/// ropewalk::fs::lchown(&path, None, None)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What lchown(2) says.
///
/// # Waits
/// Until it is done.
///
/// # Cancellation
/// Not before it is done.
pub fn lchown(path: impl AsRef<Path>, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
    let path = path.as_ref();
    away(|| std::os::unix::fs::lchown(path, user, group))
}

/// Makes a FIFO (named pipe) with these permissions, less those that the umask takes away, as std's unstable
/// `std::os::unix::fs::mkfifo`. [`PipeReader::open`](crate::io::PipeReader::open) and
/// [`PipeWriter::open`](crate::io::PipeWriter::open) open it.
///
/// ```
/// use std::os::unix::fs::{FileTypeExt, PermissionsExt};
/// use ropewalk::fs::{self, Permissions};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("fifo");
/// fs::mkfifo(&path, Permissions::from_mode(0o600))?;
/// assert!(fs::metadata(&path)?.file_type().is_fifo());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What mkfifo(3) says, with the path: [`AlreadyExists`](io::ErrorKind::AlreadyExists), no directory there or no right to
/// write to it, a file system that has none.
///
/// # Waits
/// Until it is made.
///
/// # Cancellation
/// Not before it is made.
pub fn mkfifo(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref();
    let mode = Mode::from_raw_mode(permissions.mode() & 0o7777);
    away(|| Ok(mknodat(CWD, path, FileType::Fifo, mode, 0)?))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
