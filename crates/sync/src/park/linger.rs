//! Waiting awake: a task that looks again and again for what it waits for, and for that is here sooner than from a sleep.

use super::{Interrupt, Wait, original, with_current};

/// Between two looks of a task that does not sleep: hears of interruptions, and lets others run, if it is a coroutine, or if
/// `gives_way`, for a thread where there are not enough CPUs. Returns `false` to one that must sleep instead: whoever unwinds
/// goes by rules of its own.
///
/// # Errors
/// The interruption, not yet delivered: see the contract of a wait.
///
/// # Waits
/// Until the others had their turn.
pub fn linger(wait: &Wait, gives_way: bool) -> Result<bool, Interrupt> {
    with_current(|current| {
        let waiter = current.waiter();
        if let Some(interrupt) = waiter.interruption(wait).or_else(|| waiter.forbids(wait)) {
            return Err(interrupt);
        }
        original::expect_original(wait.reason);
        if waiter.is_unwinding() {
            return Ok(false);
        }
        if gives_way || waiter.is_coroutine() {
            waiter.yield_now(current);
        }
        Ok(true)
    })
}
