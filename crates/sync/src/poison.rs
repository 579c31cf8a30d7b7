//! Whether a panic may have left a protected value broken: what std calls poison.
//!
//! A panic while the lock is held poisons. A cancellation, or the end of a `timeout`, that unwinds through a guard does
//! not: it unwinds from a wait, so where it can happen is known, and destructors run as after a `return`.

use std::sync::{LockResult, PoisonError};

use Ordering::Relaxed;

use crate::park;
use crate::primitive::{AtomicBool, Ordering, const_unless_loom};

/// The poison of one lock. `Relaxed`: who sets it holds the lock, and so does who reads it and relies on it.
pub(crate) struct Poison(AtomicBool);

/// How it was when a lock was taken.
pub(crate) struct Before {
    /// The task unwound already: then its unwinding says nothing about what was done under the lock.
    unwinding: bool,
}

impl Before {
    /// To be called when the lock is taken.
    #[inline]
    pub(crate) fn now() -> Self {
        Self { unwinding: park::is_unwinding() }
    }

    /// Whether the task has begun to panic since.
    #[inline]
    pub(crate) fn has_panicked_since(&self) -> bool {
        !self.unwinding && park::is_panicking()
    }
}

impl Poison {
    const_unless_loom! {
        /// None.
        pub(crate) fn new() -> Self {
            Self(AtomicBool::new(false))
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(crate) fn clear(&self) {
        self.0.store(false, Relaxed);
    }

    /// `value`, as an error if there is poison.
    #[inline]
    pub(crate) fn tell<R>(&self, value: R) -> LockResult<R> {
        if self.get() { Err(PoisonError::new(value)) } else { Ok(value) }
    }

    /// To be called before the lock is given back: poisons if the task has begun to panic since.
    #[inline]
    pub(crate) fn end(&self, before: &Before) {
        if before.has_panicked_since() {
            self.0.store(true, Relaxed);
        }
    }
}
