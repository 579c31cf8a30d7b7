//! A lock that its holder may take again, as those of std's streams.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use ropewalk_sync::park;
use ropewalk_sync::semaphore::Semaphore;

/// Only the holder changes `holder` and `depth`, and who is not the holder sees another number than its own: Relaxed. What
/// is guarded has a lock of its own.
#[derive(Debug)]
pub(super) struct Gate {
    free: Semaphore,
    /// The number of the task that is inside; 0 if none is.
    holder: AtomicU64,
    depth: AtomicU32,
}

impl Gate {
    pub(super) const fn new() -> Self {
        Self { free: Semaphore::new(1), holder: AtomicU64::new(0), depth: AtomicU32::new(0) }
    }

    /// Waits until no other task is inside, and enters.
    pub(super) fn enter(&self) {
        let caller = park::current(|waiter, _| waiter.id());
        if self.holder.load(Relaxed) != caller {
            self.free.acquire().forget();
            self.holder.store(caller, Relaxed);
        }
        self.depth.fetch_add(1, Relaxed);
    }

    /// Once for each time that it was entered.
    pub(super) fn leave(&self) {
        if self.depth.fetch_sub(1, Relaxed) == 1 {
            self.holder.store(0, Relaxed);
            self.free.add_permits(1);
        }
    }

    /// Whether nobody is inside, at this moment.
    pub(super) fn is_free(&self) -> bool {
        self.free.available_permits() > 0
    }
}
