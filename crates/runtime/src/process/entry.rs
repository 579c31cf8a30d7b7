//! Which function a child is to run: a place in the program, since parent and child run the very same one.
//!
//! # What makes it sound
//! 1. A child is only ever started from the descriptor that the parent has of its own program, and the child compares
//!    that file with the one it runs: device and number. The kernel lets nobody write into a program that runs
//!    (`ETXTBSY`), so equal files are equal programs, and an offset between two functions of the program is the same in
//!    both, wherever the kernel has put it.
//! 2. Both ends of the offset lie in the program itself and not in a shared library, which is checked.
//! 3. The function has no captures: its type is zero-sized and `Copy`, so a value of it can be made from nothing wherever
//!    one has existed. That one has existed is what the parent's own `F` shows. (It may stand for a token that was to be
//!    had in one process only: `docs/soundness.md`.)

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ropewalk_ipc::link::Message;
use ropewalk_ipc::message::{decode, encode};
use ropewalk_sys::process::code_of_program;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::reply::Reply;
use super::report;

/// What every function becomes: argument in, result out, both as messages.
type Trampoline = fn(Message) -> Reply;

/// A function that a child of the same program can run, as its distance from [`anchor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(isize);

/// The place from which distances are measured. Never called.
fn anchor(_: Message) -> Reply {
    Reply::Refused("the anchor is no function to be run".into())
}

fn address(function: Trampoline) -> usize {
    function as usize
}

impl Entry {
    /// Of `f`.
    ///
    /// # Errors
    /// `f` is in a shared library.
    pub(super) fn of<F, A, R>(_: F) -> io::Result<Self>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: DeserializeOwned,
        R: Serialize,
    {
        const {
            assert!(
                size_of::<F>() == 0,
                "a process shares no memory with its parent, so its function cannot capture: pass what it needs as the \
                 argument"
            );
        }
        let code = code_of_program();
        let (function, anchor) = (address(trampoline::<F, A, R>), address(anchor));
        if !code.contains(&function) || !code.contains(&anchor) {
            let text =
                "the function is in a shared library: only those of the program itself can be run in a child";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(Self(function.wrapping_sub(anchor).cast_signed()))
    }

    /// A call of it, as a message.
    ///
    /// # Errors
    /// The argument cannot be sent.
    pub(super) fn call_with<A: Serialize>(self, argument: &A) -> io::Result<Message> {
        let (mut bytes, descriptors) = encode(argument)?;
        bytes.extend_from_slice(&self.to_bytes());
        Ok(Message { bytes, descriptors })
    }

    /// Which function a call is of, and its argument.
    ///
    /// # Errors
    /// It is no call.
    pub(super) fn of_call(mut call: Message) -> io::Result<(Self, Message)> {
        let bytes = *call.bytes.last_chunk::<8>().ok_or(io::ErrorKind::InvalidData)?;
        call.bytes.truncate(call.bytes.len() - bytes.len());
        Ok((Self::from_bytes(bytes), call))
    }

    /// To be written down.
    fn to_bytes(self) -> [u8; 8] {
        (self.0 as i64).to_ne_bytes()
    }

    /// What was written down.
    fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(i64::from_ne_bytes(bytes) as isize)
    }

    /// Runs the function.
    ///
    /// # Safety
    /// It came from [`Entry::of`] in a process that runs the same program: rule 1.
    pub(super) unsafe fn call(self, argument: Message) -> Reply {
        let function = address(anchor).wrapping_add_signed(self.0);
        if !code_of_program().contains(&function) {
            return Reply::Refused("the function is not in this program".into());
        }
        // SAFETY: the caller's promise, and rules 1 and 2: here stands the trampoline that the parent meant.
        let function = unsafe { std::mem::transmute::<usize, Trampoline>(function) };
        function(argument)
    }
}

fn trampoline<F, A, R>(argument: Message) -> Reply
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: DeserializeOwned,
    R: Serialize,
{
    let argument = match decode::<A>(argument) {
        Ok(argument) => argument,
        Err(error) => return Reply::Refused(format!("the argument did not arrive: {error}")),
    };
    let called = report::watch_panics(|| {
        catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: rule 3: zero-sized, and `Copy`, so it has no destructor that would miss it.
            let f: F = unsafe { std::mem::zeroed() };
            let result = f(argument);
            encode(&result)
        }))
    });
    match called {
        Ok(Ok((bytes, descriptors))) => Reply::Returned(Message { bytes, descriptors }),
        Ok(Err(error)) => Reply::Refused(format!("the result cannot be sent: {error}")),
        Err(payload) => Reply::Panicked(report::take(&*payload)),
    }
}
