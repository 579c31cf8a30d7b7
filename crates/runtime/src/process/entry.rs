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

use super::report::{self, Panic};

/// What a function gave.
pub(super) enum Outcome {
    /// Its result, as a message.
    Returned(Message),
    /// It panicked.
    Panicked(Panic),
    /// It was not called, or its result cannot be sent.
    Refused(String),
}

/// What every function becomes: argument in, result out, both as messages.
type Trampoline = fn(Message) -> Outcome;

/// A function that a child of the same program can run, as its distance from [`anchor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(isize);

/// The place from which distances are measured. Never called.
fn anchor(_: Message) -> Outcome {
    Outcome::Refused("the anchor is no function to be run".into())
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

    /// To be written down.
    pub(super) fn to_bytes(self) -> [u8; 8] {
        (self.0 as i64).to_ne_bytes()
    }

    /// What was written down.
    pub(super) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(i64::from_ne_bytes(bytes) as isize)
    }

    /// Runs the function.
    ///
    /// # Safety
    /// It came from [`Entry::of`] in a process that runs the same program: rule 1.
    pub(super) unsafe fn call(self, argument: Message) -> Outcome {
        let function = address(anchor).wrapping_add_signed(self.0);
        if !code_of_program().contains(&function) {
            return Outcome::Refused("the function is not in this program".into());
        }
        // SAFETY: the caller's promise, and rules 1 and 2: here stands the trampoline that the parent meant.
        let function = unsafe { std::mem::transmute::<usize, Trampoline>(function) };
        function(argument)
    }
}

fn trampoline<F, A, R>(argument: Message) -> Outcome
where
    F: Fn(A) -> R + Copy + Send + 'static,
    A: DeserializeOwned,
    R: Serialize,
{
    let argument = match decode::<A>(argument) {
        Ok(argument) => argument,
        Err(error) => return Outcome::Refused(format!("the argument did not arrive: {error}")),
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
        Ok(Ok((bytes, descriptors))) => Outcome::Returned(Message { bytes, descriptors }),
        Ok(Err(error)) => Outcome::Refused(format!("the result cannot be sent: {error}")),
        Err(payload) => Outcome::Panicked(report::take(&*payload)),
    }
}
