//! What the runtime can tell about itself.

use ropewalk_sync::park;

use crate::runtime;

/// Counts since the process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// How often a worker switched to a coroutine. Workers write their counts down every few dozen switches and before
    /// they sleep.
    pub coroutine_switches: u64,
    /// How often a coroutine had to switch away while it unwound: see `docs/soundness.md`.
    pub unwinding_switches: u64,
}

/// The counts of this process.
#[must_use]
pub fn statistics() -> Statistics {
    Statistics {
        coroutine_switches: runtime::coroutine_switches(),
        unwinding_switches: park::unwinding_switches(),
    }
}
