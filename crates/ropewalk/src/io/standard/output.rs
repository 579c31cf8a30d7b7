//! Standard output and standard error.

use std::fmt;
use std::io::{self, IsTerminal, LineWriter, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{OnceLock, PoisonError};

use ropewalk_sync::mutex::Mutex;
use ropewalk_sync::park::{self, Operation, Wait, WaitReason};

use super::gate::Gate;
use super::{is_regular, unless_closed};
use crate::io::End;

/// The process exits: whoever flushes does so by plain system calls.
static EXITS: AtomicBool = AtomicBool::new(false);

/// The stream itself, without a buffer.
struct Output<T: AsFd> {
    end: End<T>,
    regular: bool,
}

impl<T: AsFd> Output<T> {
    fn new(stream: T) -> Self {
        let regular = is_regular(&stream);
        Self { end: End::of(stream), regular }
    }

    fn write_through(&self, buffer: &[u8]) -> io::Result<usize> {
        if EXITS.load(Relaxed) {
            return Ok(rustix::io::write(&self.end, buffer)?);
        }
        if !self.regular {
            return self.end.write(WaitReason::OutputWrite, buffer);
        }
        let wait = Wait::new(WaitReason::OutputWrite).fallible();
        park::complete(Operation::write(self.end.as_fd(), buffer, None), &wait)
    }
}

impl<T: AsFd> Write for Output<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        unless_closed(self.write_through(buffer), buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Lines = Mutex<LineWriter<Output<io::Stdout>>>;

static STDOUT: OnceLock<Lines> = OnceLock::new();
static STDOUT_GATE: Gate = Gate::new();

fn lines() -> &'static Lines {
    STDOUT.get_or_init(|| {
        // If there is no memory for it, what was not flushed is lost.
        let _ = ropewalk_runtime::at_exit(flush_at_exit);
        Mutex::new(LineWriter::new(Output::new(io::stdout())))
    })
}

/// The last line, which has no end, unless somebody is in the middle of it. As in std.
extern "C" fn flush_at_exit() {
    EXITS.store(true, Relaxed);
    if let Some(lines) = STDOUT.get().filter(|_| STDOUT_GATE.is_free())
        && let Ok(mut lines) = lines.try_lock()
    {
        let _ = lines.flush();
    }
}

/// Standard output, as [`std::io::stdout`]: a handle of the one buffer that all tasks of the process share. A line is written when
/// it ends, the rest with [`flush`](Write::flush) or when the process exits.
///
/// It is not the buffer of `std::io::stdout`, to which `print!` and `println!` write: lines of the two come whole, and in the order
/// in which they end.
///
/// ```
/// use std::io::Write;
/// use ropewalk::io;
///
/// let mut out = io::stdout().lock();
/// writeln!(out, "two lines")?;
/// writeln!(out, "with nobody's line between them")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn stdout() -> Stdout {
    Stdout(())
}

/// A handle of standard output, mirroring [`std::io::Stdout`].
#[derive(Debug)]
pub struct Stdout(());

impl Stdout {
    /// Locks it against other tasks; the same task may lock it again.
    ///
    /// # Waits
    /// While another task has it locked.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    pub fn lock(&self) -> StdoutLock<'static> {
        STDOUT_GATE.enter();
        StdoutLock { _of_one_task: PhantomData }
    }

    /// Whether it is a terminal. (std's trait `IsTerminal` is for std's types only.)
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

/// Standard output, locked, mirroring [`std::io::StdoutLock`]. To drop it unlocks; it writes nothing, and does not wait.
pub struct StdoutLock<'a> {
    _of_one_task: PhantomData<(&'a (), *const ())>,
}

impl Write for StdoutLock<'_> {
    /// # Waits
    /// While nobody reads what was written, if a line ends or the buffer is full.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        lines().lock().unwrap_or_else(PoisonError::into_inner).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        lines().lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

impl Drop for StdoutLock<'_> {
    fn drop(&mut self) {
        STDOUT_GATE.leave();
    }
}

static STDERR: OnceLock<Output<io::Stderr>> = OnceLock::new();
static STDERR_GATE: Gate = Gate::new();

/// Standard error, as [`std::io::stderr`]: without a buffer.
///
/// ```
/// use std::io::Write;
///
/// writeln!(ropewalk::io::stderr(), "something went wrong")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn stderr() -> Stderr {
    Stderr(())
}

/// A handle of standard error, mirroring [`std::io::Stderr`].
#[derive(Debug)]
pub struct Stderr(());

impl Stderr {
    /// Locks it against other tasks; the same task may lock it again.
    ///
    /// # Waits
    /// While another task has it locked.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    pub fn lock(&self) -> StderrLock<'static> {
        STDERR_GATE.enter();
        StderrLock { _of_one_task: PhantomData }
    }

    /// Whether it is a terminal. (std's trait `IsTerminal` is for std's types only.)
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }
}

/// Standard error, locked, mirroring [`std::io::StderrLock`].
pub struct StderrLock<'a> {
    _of_one_task: PhantomData<(&'a (), *const ())>,
}

impl Write for StderrLock<'_> {
    /// # Waits
    /// While nobody reads what was written.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = STDERR.get_or_init(|| Output::new(io::stderr())).write_through(buffer);
        unless_closed(written, buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for StderrLock<'_> {
    fn drop(&mut self) {
        STDERR_GATE.leave();
    }
}

/// What both streams and their locks are to others.
macro_rules! is_a_stream {
    ($type:ident, $lock:ident, $descriptor:path) => {
        impl Write for &$type {
            /// # Waits
            /// While another task has it locked, or nobody reads what was written.
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.lock().write(buffer)
            }

            fn write_all(&mut self, buffer: &[u8]) -> io::Result<()> {
                self.lock().write_all(buffer)
            }

            fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) -> io::Result<()> {
                self.lock().write_fmt(arguments)
            }

            fn flush(&mut self) -> io::Result<()> {
                self.lock().flush()
            }
        }

        impl Write for $type {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                (&*self).write(buffer)
            }

            fn write_all(&mut self, buffer: &[u8]) -> io::Result<()> {
                (&*self).write_all(buffer)
            }

            fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) -> io::Result<()> {
                (&*self).write_fmt(arguments)
            }

            fn flush(&mut self) -> io::Result<()> {
                (&*self).flush()
            }
        }

        impl fmt::Debug for $lock<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($lock)).finish_non_exhaustive()
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                $descriptor()
            }
        }

        impl AsFd for $lock<'_> {
            fn as_fd(&self) -> BorrowedFd<'_> {
                $descriptor()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }

        impl AsRawFd for $lock<'_> {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }
    };
}
is_a_stream!(Stdout, StdoutLock, rustix::stdio::stdout);
is_a_stream!(Stderr, StderrLock, rustix::stdio::stderr);
