//! Waits in a copy that `fork(2)` made behind our back: nobody is there who could end them.
//!
//! The copy has one thread, and of everything that Ropewalk shares with the kernel - rings, epoll instances, eventfds -
//! the very same as its parent, so that whatever it did there it would do to its parent. So a spawn gives an error, and a
//! wait ends the copy with a message.

use std::io;

use ropewalk_sys::fork;
use ropewalk_sys::segv::abort_with;

use super::WaitReason;

const WHY: &str = "this process is a copy that fork(2) made of one that runs Ropewalk, without its threads: it can \
                   execute a program or exit; process::spawn, before the fork, runs a function in a process of its own";

/// Remembers this process, so that its copies are told. To be called before anything is started that a copy lacks.
pub fn remember_original() {
    fork::remember();
}

/// Whether this is no copy, for who can give an error.
///
/// # Errors
/// It is one: [`Unsupported`](io::ErrorKind::Unsupported).
pub fn check_original() -> io::Result<()> {
    if fork::is_copy() { Err(io::Error::new(io::ErrorKind::Unsupported, WHY)) } else { Ok(()) }
}

/// Whether this is no copy, for who only has something to tidy up, which is not the copy's own.
#[must_use]
pub fn is_original() -> bool {
    !fork::is_copy()
}

/// Ends a copy, where a task of it would have to wait, or a worker to look at what it shares with its parent.
#[inline]
pub fn expect_original(reason: WaitReason) {
    if fork::is_copy() {
        abort_with(&["\nropewalk: ", reason.as_str(), " is impossible: ", WHY, "\n"]);
    }
}
