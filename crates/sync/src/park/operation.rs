//! Operations that borrow: what has no readiness to wait for, and is finished by its completion.
//!
//! The kernel, or another thread, writes into the caller's buffer while the caller waits. A future can be dropped then, so
//! futures must give their buffers away. A stackful task can promise what is needed:
//!
//! # Rules
//! 1. [`complete`] neither returns nor unwinds between the beginning of an operation and its end: every wait in between is
//!    uncancellable, or an interruption is kept until the end. So what the operation borrows, on the task's stack or on the
//!    heap, stays where it is, and nobody else touches it. If anything unwound there, the process would end.
//! 2. A task that never runs again, because its worker has ended, is leaked with its stack, so what it borrows stays for ever.
//! 3. To interrupt is to ask: the kernel breaks off what can be broken off, and what has been done by then is the result.
//!    **The result wins**; only if there is none (`EINTR`, `ECANCELED`) the interruption is delivered.
//! 4. A task that must not switch makes the call itself: a thread always, a coroutine in a region without switches and while
//!    it unwinds. For the time of the call its worker's coroutines stand still then.
//! 5. A copy that `fork(2)` made begins nothing: it would be its parent's driver that it asks.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU32;

use ropewalk_sys::operation::{Operation, opened};
use ropewalk_sys::segv::abort_with;

use super::{Interrupt, Wait, is_coroutine, is_unwinding, may_wait, original, park, spend, with_current};
#[cfg(not(loom))]
use crate::clock;
use crate::primitive::interruptible;

/// Has `operation` made, and waits for its end: in a coroutine by the worker's driver, or by a thread of the pool where the
/// driver does not; in a thread by the thread itself.
///
/// # Errors
/// What the system call says, but not [`Interrupted`](io::ErrorKind::Interrupted); an error that wraps
/// [`Cancelled`](super::Cancelled) for a cancelled task that cannot unwind.
///
/// # Waits
/// Until the operation is over.
///
/// # Cancellation
/// The operation is asked to end, and waited for; if it has a result then, that is returned, else a cancelled task unwinds.
pub fn complete(mut operation: Operation<'_>, wait: &Wait) -> io::Result<usize> {
    if is_unwinding() || !may_wait() {
        return make_here(&mut operation);
    }
    if !is_coroutine() {
        return super::call(wait, |word| interruptible::make(word, &mut operation));
    }
    spend();
    loop {
        let (result, interrupt) = begin_and_wait(&operation, wait);
        match (result, interrupt) {
            (Err(error), interrupt) if is_broken_off(&error) => {
                if let Some(interrupt) = interrupt {
                    return Err(interrupt.deliver().into());
                }
            }
            (result, _) => return result,
        }
    }
}

/// Opens a file, as open(2) with `O_CLOEXEC`.
///
/// # Errors
/// As [`complete`].
///
/// # Waits
/// Until it is open: of a FIFO until somebody has opened its other end.
///
/// # Cancellation
/// As [`complete`]: a file that is open by then is returned, and not lost.
pub fn open(path: &CStr, flags: i32, mode: u32, wait: &Wait) -> io::Result<OwnedFd> {
    let fd = complete(Operation::open(path, flags, mode), wait)?;
    // SAFETY: the result of that operation, which is nobody else's.
    Ok(unsafe { opened(fd) })
}

/// Ends the process where rule 1 would be broken.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        abort_with(&["\nropewalk: a wait has unwound while the kernel used its buffer\n"]);
    }
}

/// Begins `operation` and waits for its end, with the interruption that came meanwhile.
fn begin_and_wait(operation: &Operation<'_>, wait: &Wait) -> (io::Result<usize>, Option<Interrupt>) {
    // Nothing has begun yet: a task that is cancelled already begins nothing.
    let early = with_current(|current| current.waiter().interruption(wait));
    if early.is_some() {
        return (Err(io::ErrorKind::Interrupted.into()), early);
    }
    original::expect_original(wait.reason); // rule 5
    // SAFETY: rules 1 and 2.
    let token = with_current(|current| unsafe { current.begin(operation) });
    wait_for_end(token, wait)
}

/// Waits for the end of the operation with this token, which has begun just now.
fn wait_for_end(token: u64, wait: &Wait) -> (io::Result<usize>, Option<Interrupt>) {
    let bomb = Bomb; // rule 1
    let mut wait = *wait;
    let mut interrupted = None;
    let result = loop {
        if let Some(result) = with_current(|current| current.outcome(token)) {
            break result;
        }
        if let Err(interrupt) = park(&wait) {
            with_current(|current| current.break_off(token));
            interrupted = Some(interrupt);
            wait = wait.uncancellable().until(None);
        }
    };
    std::mem::forget(bomb);
    (result, interrupted)
}

/// A coroutine: sleeps on a word that processes share, until somebody wakes who sleeps there, it does not hold `expected`, or
/// the wait is interrupted. `None`: its driver does no such thing, and nothing has happened.
#[cfg(not(loom))]
pub(super) fn sleep_on(word: &AtomicU32, expected: u32, wait: &Wait) -> Option<Result<(), Interrupt>> {
    // Rule 4. And virtual time would go on as real time does, as long as it is under way.
    if is_unwinding() || !may_wait() || clock::is_virtual() {
        return None;
    }
    if let Some(interrupt) = with_current(|current| current.waiter().interruption(wait)) {
        return Some(Err(interrupt));
    }
    let operation = Operation::wait_word(word, expected);
    // SAFETY: rules 1 and 2: the word is borrowed until the end.
    let token = with_current(|current| unsafe { current.begin_by_driver(&operation) })?;
    match wait_for_end(token, wait) {
        (Err(error), Some(interrupt)) if is_broken_off(&error) => Some(Err(interrupt)),
        // Woken, or too late to sleep: the caller looks. The result wins.
        (Ok(_), _) => Some(Ok(())),
        (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock || is_broken_off(&error) => Some(Ok(())),
        (Err(_), _) => None,
    }
}

fn is_broken_off(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted || error.raw_os_error() == Some(ECANCELED)
}

/// What a ring says of an operation that was broken off before it began (`errno(3)`).
const ECANCELED: i32 = 125;

/// Rule 4.
fn make_here(operation: &mut Operation<'_>) -> io::Result<usize> {
    let word = interruptible::never();
    loop {
        match interruptible::make(&word, operation) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
