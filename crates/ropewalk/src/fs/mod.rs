//! Files and directories, mirroring `std::fs`.
//!
//! ```
//! use std::io::{Read, Write};
//! use ropewalk::fs::{self, File};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("rope.txt");
//! ropewalk::run(|| {
//!     File::create(&path)?.write_all(b"three strands")?;
//!     let mut text = String::new();
//!     File::open(&path)?.read_to_string(&mut text)?;
//!     assert_eq!(text, fs::read_to_string(&path)?);
//!     Ok::<_, std::io::Error>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # How a coroutine waits for a file
//! A disk has no readiness: there is only the end of an operation. So what the page cache has is read at once, by a call that
//! does not wait (`RWF_NOWAIT`, preadv2(2)). Everything else is begun, and the coroutine waits for its end: a read, a write or
//! an `fsync` on the worker's io_uring; on a thread of the pool of [`blocking`] where there is no io_uring,
//! and for what a ring does not do as the system call does - opening, locking, everything about paths. Buffers are
//! borrowed, as in std: the coroutine does not go on before the operation is over. A thread makes the system call itself, and
//! so does a coroutine while it unwinds, or in a [`no_suspend`](crate::no_suspend) region: its worker waits with it then.
//!
//! What is no regular file - a FIFO, a terminal, a socket, a device - is waited for by readiness, as [`io::pipe`](crate::io::pipe)
//! is, and its mode is left alone.
//!
//! # Cancellation
//! A read or a write of what is no regular file is broken off, and nothing is lost. So is the opening of a FIFO that nobody opens
//! at its other end, and a wait for a lock. An operation on a disk is asked to end, and waited for: **its result wins**, and the
//! cancellation comes at the next wait. Calls about paths and metadata cannot be broken off; it comes after them. In a thread a
//! [`timeout`](fn@crate::timeout) around a lock or the opening of a FIFO comes after those, too; a cancel ends them.
//!
//! # Closing
//! To drop a [`File`] closes it, as in std, right there. On a network file system that may wait for a server, and so hold up
//! the worker: [`File::sync_all`] before waits for that without doing so.

use std::io;

use ropewalk_runtime::blocking;
use ropewalk_sync::park;

mod directory;
mod file;
mod open_options;
mod path;
mod whole;

pub use std::fs::{FileTimes, FileType, Metadata, Permissions, TryLockError};

pub use self::directory::{DirBuilder, DirEntry, ReadDir, create_dir, create_dir_all, read_dir};
pub use self::file::File;
pub use self::open_options::OpenOptions;
pub use self::path::{
    canonicalize, chown, exists, hard_link, lchown, metadata, mkfifo, read_link, remove_dir, remove_dir_all,
    remove_file, rename, set_permissions, symlink, symlink_metadata,
};
pub use self::whole::{copy, read, read_to_string, write};

/// Makes a call that may wait for a disk or a server: in a coroutine on a thread of the pool.
fn away<T: Send>(call: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    if park::may_wait() { blocking(call) } else { call() }
}
