//! Which function a child is to run, by its place in the program: for parent and child that run the very same one.
//!
//! # What makes it sound
//! 1. A child that is sent a place was started from the descriptor that the parent has of its own program, and it compares
//!    that file with the one it runs: device and number. The kernel lets nobody write into a program that runs
//!    (`ETXTBSY`), so equal files are equal programs, and an offset between two functions of the program is the same in
//!    both, wherever the kernel has put it.
//! 2. Both ends of the offset lie in the program itself and not in a shared library, which is checked.
//! 3. The function has no captures: its type is zero-sized and `Copy`, so a value of it can be made from nothing wherever
//!    one has existed. That one has existed is what the parent's own `F` shows. (It may stand for a token that was to be
//!    had in one process only: `docs/soundness.md`.)

use std::io;

use ropewalk_ipc::link::Message;
use ropewalk_sys::process::code_of_program;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::answer;
use super::reply::Reply;

/// What every function becomes: argument in, result out, both as messages.
type Trampoline = fn(Message) -> Reply;

/// A function that a child of the same program can run, as its distance from [`anchor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(isize);

/// The place from which distances are measured. Never called.
fn anchor(_: Message) -> Reply {
    Reply::Refused("the anchor is no function to be run".into())
}

fn address(function: Trampoline) -> usize {
    function as usize
}

impl Place {
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
                "a process shares no memory with its parent, so its function cannot capture, and cannot be a pointer: pass \
                 what it needs as the argument, and name the function itself (`f`, not `f as fn(A) -> R`)"
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
    /// It came from [`Place::of`] in a process that runs the same program: rule 1.
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
    answer(argument, |argument: A| {
        // SAFETY: rule 3: zero-sized, and `Copy`, so it has no destructor that would miss it.
        let f: F = unsafe { std::mem::zeroed() };
        f(argument)
    })
}
