//! A foreign program that was started.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{ExitStatus, Output};
use std::time::Duration;

use ropewalk_runtime::process::foreign::Foreign;
use ropewalk_runtime::process::stdio::Stdio;
use ropewalk_runtime::{OnFailure, Scope, scope, shield, thread_scope_with};
use ropewalk_sync::park;

use crate::io::{PipeReader, PipeWriter};

/// How long a program that was sent `SIGKILL` may take to end: longer only where the kernel itself is stuck.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// A foreign program that was started, mirroring [`std::process::Child`].
///
/// To drop it does nothing to the program, as std's: it runs on. What is left of it in the kernel when it ends (a zombie)
/// is taken away when another one is started or dropped.
#[derive(Debug)]
pub struct Child {
    /// Its standard input, if that is a pipe ([`Stdio::piped`]). The program reads until it is dropped.
    pub stdin: Option<ChildStdin>,
    /// Its standard output, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// Its standard error, if that is a pipe.
    pub stderr: Option<ChildStderr>,
    foreign: Foreign,
}

impl Child {
    pub(super) fn new(
        foreign: Foreign,
        stdin: Option<ChildStdin>,
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
    ) -> Self {
        Self { stdin, stdout, stderr, foreign }
    }

    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.foreign.id()
    }

    /// Kills it (`SIGKILL`). One that has ended already is left alone, whoever has its number by now.
    ///
    /// # Errors
    /// It has become another user's.
    pub fn kill(&mut self) -> io::Result<()> {
        self.foreign.kill()
    }

    /// Closes its standard input, so that it does not wait for more, and gives how it has ended.
    ///
    /// # Errors
    /// `ECHILD`: somebody else has reaped it, by a `wait` for any child, or by ignoring `SIGCHLD`.
    ///
    /// # Waits
    /// Until it has ended.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the program runs on, and its status is not lost.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.foreign.wait()
    }

    /// How it has ended, if it has. Its standard input stays open.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.foreign.try_wait()
    }

    /// Closes its standard input, and gives what it has printed to its pipes, and how it has ended. Both pipes are read at
    /// once, each by a task of the caller's plan, so it does not matter in what order it prints how much.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and what the kernel says of a pipe: then it is killed.
    ///
    /// # Waits
    /// Until its pipes are closed - also by those that it has handed them to - and it has ended.
    ///
    /// # Cancellation
    /// Since nobody else could wait for it, the program is killed and reaped; then a cancelled task unwinds.
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        let (output, error) = (self.stdout.take(), self.stderr.take());
        self.until_end(|child| {
            let (stdout, stderr) = read_both(output, error)?;
            Ok(Output { status: child.foreign.wait()?, stdout, stderr })
        })
    }

    /// How it has ended, for whoever is the only one to ask.
    pub(super) fn into_status(mut self) -> io::Result<ExitStatus> {
        self.until_end(|child| child.foreign.wait())
    }

    /// Closes the input and does `wait`. If that fails or unwinds, the program is killed.
    fn until_end<R>(&mut self, wait: impl FnOnce(&mut Self) -> io::Result<R>) -> io::Result<R> {
        drop(self.stdin.take());
        let waited = catch_unwind(AssertUnwindSafe(|| wait(self)));
        if !matches!(waited, Ok(Ok(_))) && self.foreign.kill().is_ok() {
            // First caught, then waited, then raised again.
            let _ = shield(KILL_LIMIT, || self.foreign.wait());
        }
        waited.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

/// All that comes out of both, until their ends.
fn read_both(output: Option<ChildStdout>, error: Option<ChildStderr>) -> io::Result<(Vec<u8>, Vec<u8>)> {
    match (output, error) {
        (Some(output), Some(error)) => {
            if park::is_coroutine() {
                scope(|s| read_at_once(s, output, error))
            } else {
                thread_scope_with(OnFailure::Cancel, None, |s| read_at_once(s, output, error))
            }
        }
        (output, error) => Ok((read_all(output)?, read_all(error)?)),
    }
}

fn read_at_once<'scope>(
    scope: &'scope Scope<'scope, '_>,
    output: ChildStdout,
    error: ChildStderr,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let errors = scope.spawn(|| read_all(Some(error)));
    let output = read_all(Some(output)).inspect_err(|_| errors.cancel());
    let errors = errors.join().map_err(io::Error::from).flatten();
    Ok((output?, errors?))
}

fn read_all(stream: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.map_or(Ok(0), |mut stream| stream.read_to_end(&mut bytes))?;
    Ok(bytes)
}

/// What a stream of a child is: a pipe's end by another name.
macro_rules! stream {
    ($type:ident, $end:ident, $text:literal) => {
        #[doc = $text]
        #[derive(Debug)]
        pub struct $type($end);

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.0.as_raw_fd()
            }
        }

        impl From<OwnedFd> for $type {
            fn from(fd: OwnedFd) -> Self {
                Self(fd.into())
            }
        }

        impl From<$end> for $type {
            fn from(end: $end) -> Self {
                Self(end)
            }
        }

        impl From<$type> for $end {
            fn from(stream: $type) -> Self {
                stream.0
            }
        }

        impl From<$type> for OwnedFd {
            fn from(stream: $type) -> Self {
                stream.0.into()
            }
        }

        impl From<$type> for Stdio {
            /// For another program: a pipeline.
            fn from(stream: $type) -> Self {
                stream.0.into()
            }
        }
    };
}
stream!(ChildStdin, PipeWriter, "The standard input of a [`Child`], as its parent has it: to be written to.");
stream!(ChildStdout, PipeReader, "The standard output of a [`Child`], as its parent has it: to be read.");
stream!(ChildStderr, PipeReader, "The standard error of a [`Child`], as its parent has it: to be read.");

macro_rules! read {
    ($type:ident) => {
        impl Read for $type {
            /// # Waits
            /// Until there is something to read, or the end.
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.0.read_vectored(buffers)
            }
        }
    };
}
read!(ChildStdout);
read!(ChildStderr);

impl Write for &ChildStdin {
    /// # Waits
    /// While the pipe is full.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&self.0).write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.0).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for ChildStdin {
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
