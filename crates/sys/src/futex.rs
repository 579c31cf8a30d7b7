//! Sleeping on a word of memory: `futex(2)`, private to the process.

use std::sync::atomic::AtomicU32;
use std::time::Instant;

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;

/// Sleeps while `word` holds `expected`, until [`wake`] or the deadline. Returns early for no reason now and then:
/// callers look at the word again.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
    let timeout = match deadline {
        None => None,
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            Timespec::try_from(left).ok()
        }
    };
    match futex::wait(word, futex::Flags::PRIVATE, expected, timeout.as_ref()) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
        Err(error) => unreachable!("FUTEX_WAIT on an aligned private word failed: {error}"),
    }
}

/// Wakes at most `count` sleepers of `word`.
pub fn wake(word: &AtomicU32, count: u32) {
    // The kernel looks only at the address, so a word that was freed meanwhile gives at worst a spurious wake-up.
    let _ = futex::wake(word, futex::Flags::PRIVATE, count);
}
