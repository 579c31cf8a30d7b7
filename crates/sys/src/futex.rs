//! Sleeping on a word of memory: `futex(2)`. What one process has for itself is slept on by [`wait`]; for a word that
//! several processes have, see `interruptible`.

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

/// Wakes at most `count` sleepers of `word`, of whatever process, in whatever mapping of the same memory.
pub fn wake_shared(word: &AtomicU32, count: u32) {
    // The only errors are those of an address that is no word's.
    let _ = futex::wake(word, futex::Flags::empty(), count);
}

/// As [`wake_shared`], of a word that may be gone: then nobody, or whoever sleeps at the address now and looks again.
pub fn wake_shared_at(address: usize, count: u32) {
    // SAFETY: FUTEX_WAKE does not access the memory; an address that is not mapped is an error.
    unsafe { libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAKE, count) };
}
