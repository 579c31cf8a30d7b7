//! Stacks of tasks, as lists of calls.
//!
//! A trace is taken in three steps, so that the task that is looked at has the least trouble with it: somebody copies
//! the registers and the stack (of a task that waits, from outside: `ropewalk_sync::park`, `place`; of one that runs, by a
//! signal to its thread: `ropewalk_sys::capture`); [`unwind`] finds the return addresses in the copy; [`symbols`] gives them names, which takes a thousand times as long and happens only when
//! a trace is shown.

mod symbols;
mod unwind;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use ropewalk_sync::park::{ThreadId, Waiter};
use ropewalk_sys::capture::{STACK_MAX, capture};
use ropewalk_sys::context::Context;
use ropewalk_sys::memory::read_own;

pub use self::symbols::Frame;
use self::unwind::Unwinder;

/// How much of a stack is copied.
const COPY_MAX: usize = STACK_MAX;
/// A first look, enough for most stacks of coroutines.
const COPY_FIRST: usize = 4 * 1024;
/// How often a task that moves is tried.
const TRIES: usize = 3;

/// The calls that a task was in, innermost first.
///
/// Two traces are equal if the calls are the same, instruction by instruction.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackTrace {
    addresses: Arc<[usize]>,
    is_cut: bool,
}

impl StackTrace {
    /// The calls with their names, without those that belong to Ropewalk itself at both ends: what the task's own code
    /// called last stands first. Takes milliseconds the first time, because the program's debug information has to be
    /// read, and holds up the worker if a coroutine calls it.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        symbols::frames(&self.addresses)
    }

    /// The addresses of the calls, all of them.
    #[must_use]
    pub fn addresses(&self) -> &[usize] {
        &self.addresses
    }

    /// Whether there were more calls than are listed: the stack was deeper than 64 KiB, or than 128 calls.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl fmt::Debug for StackTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackTrace")
            .field("calls", &self.addresses.len())
            .field("is_cut", &self.is_cut)
            .finish()
    }
}

/// One call a line, with its place.
impl fmt::Display for StackTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for frame in self.frames() {
            writeln!(f, "{frame}")?;
        }
        if self.is_cut { writeln!(f, "..") } else { Ok(()) }
    }
}

/// Takes traces, one after the other.
pub(crate) struct Tracer {
    unwinder: Unwinder,
    buffer: Vec<u8>,
}

impl Tracer {
    pub(crate) fn new() -> Self {
        Self { unwinder: Unwinder::lock(), buffer: vec![0; COPY_MAX] }
    }

    /// The stack of a task that waits or has yielded; `None` if it runs, has not begun, moves while it is looked at, or
    /// the kernel forbids to look.
    pub(crate) fn trace_waiting(&mut self, waiter: &Waiter) -> Option<StackTrace> {
        (0..TRIES).find_map(|_| {
            let standing = waiter.standing()?;
            let mut length = read_own(standing.context.sp, &mut self.buffer[..COPY_FIRST]);
            if length == COPY_FIRST {
                length = read_own(standing.context.sp, &mut self.buffer);
            }
            let copy = &self.buffer[..length];
            waiter.is_still(&standing).then(|| trace(&mut self.unwinder, standing.context, copy))?
        })
    }

    /// The stack of the caller, above the frame that `context` is of.
    pub(crate) fn trace_here(&mut self, context: Context) -> Option<StackTrace> {
        let length = read_own(context.sp, &mut self.buffer);
        trace(&mut self.unwinder, context, &self.buffer[..length])
    }

    /// The stack that another thread is on, which is interrupted for the moment; `None` if it has not answered by the
    /// deadline.
    pub(crate) fn trace_running(&mut self, thread: ThreadId, deadline: Instant) -> Option<StackTrace> {
        capture(thread, deadline, |context, copy| trace(&mut self.unwinder, context, copy))?
    }
}

fn trace(unwinder: &mut Unwinder, context: Context, copy: &[u8]) -> Option<StackTrace> {
    let (addresses, is_cut) = unwinder.unwind(context, copy)?;
    Some(StackTrace { addresses: addresses.into(), is_cut })
}
