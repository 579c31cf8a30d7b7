//! Standard input.

use std::io::{self, BufRead, BufReader, IoSliceMut, IsTerminal, Lines, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{OnceLock, PoisonError};

use ropewalk_sync::mutex::{Mutex, MutexGuard};
use ropewalk_sync::park::{self, Operation, Wait, WaitReason};
use rustix::io::{ReadWriteFlags, preadv2};

use super::{is_regular, unless_closed};
use crate::io::End;

/// The stream itself, without a buffer.
struct Input {
    end: End<io::Stdin>,
    regular: bool,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.regular {
            return unless_closed(self.end.read(WaitReason::InputRead, buffer), 0);
        }
        if park::is_coroutine() {
            park::spend();
            let buffers = &mut [IoSliceMut::new(buffer)];
            if let Ok(length) = preadv2(&self.end, buffers, u64::MAX, ReadWriteFlags::NOWAIT) {
                return Ok(length);
            }
        }
        let wait = Wait::new(WaitReason::InputRead).fallible();
        park::complete(Operation::read(self.end.as_fd(), buffer, None), &wait)
    }
}

fn input() -> &'static Mutex<BufReader<Input>> {
    static INPUT: OnceLock<Mutex<BufReader<Input>>> = OnceLock::new();
    INPUT.get_or_init(|| {
        let stream = io::stdin();
        let regular = is_regular(&stream);
        Mutex::new(BufReader::new(Input { end: End::of(stream), regular }))
    })
}

/// Standard input, as [`std::io::stdin`]: a handle of the one buffer that all tasks of the process share.
///
/// It is not the buffer of `std::io::stdin`: a program should read by one of the two, because what one has in its buffer the other
/// does not see.
///
/// ```no_run
/// use ropewalk::io;
///
/// for line in io::stdin().lines() {
///     println!("{}", line?.to_uppercase());
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    Stdin(())
}

/// A handle of standard input, mirroring [`std::io::Stdin`].
#[derive(Debug)]
pub struct Stdin(());

impl Stdin {
    /// Locks the buffer, for reading more than one piece in a row.
    ///
    /// # Waits
    /// While another task has it locked.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    pub fn lock(&self) -> StdinLock<'static> {
        StdinLock(input().lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads a line, with its end, and adds it to `line`; 0 bytes at the end of the input.
    ///
    /// # Errors
    /// What read(2) says; [`InvalidData`](io::ErrorKind::InvalidData) if it is no UTF-8.
    ///
    /// # Waits
    /// Until a line has come.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task. The part of a line that it had read is lost; what has not been read is the next reader's.
    pub fn read_line(&self, line: &mut String) -> io::Result<usize> {
        self.lock().read_line(line)
    }

    /// The lines of the input, without their ends.
    ///
    /// # Waits
    /// While another task has it locked; the iterator, until a line has come.
    ///
    /// # Cancellation
    /// As [`read_line`](Self::read_line).
    pub fn lines(self) -> Lines<StdinLock<'static>> {
        self.lock().lines()
    }

    /// Whether it is a terminal. (std's trait `IsTerminal` is for std's types only.)
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }
}

impl Read for Stdin {
    /// # Waits
    /// Until something has come, or the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buffer)
    }
}

impl Read for &Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buffer)
    }
}

/// Standard input, locked, mirroring [`std::io::StdinLock`].
#[derive(Debug)]
pub struct StdinLock<'a>(MutexGuard<'a, BufReader<Input>>);

impl Read for StdinLock<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for StdinLock<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input")
    }
}

macro_rules! is_the_descriptor {
    ($($type:ty),*) => {$(
        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                input_descriptor()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }
    )*};
}
is_the_descriptor!(Stdin, StdinLock<'_>);

fn input_descriptor() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}
