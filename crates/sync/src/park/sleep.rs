//! Waiting for time to pass.

use std::time::{Duration, Instant};

use super::{Interrupted, Wait, WaitReason, park, spend};

/// Sleeps for at least `duration`.
///
/// # Waits
/// For that long.
///
/// # Cancellation
/// Unwinds a cancelled task.
#[track_caller]
pub fn sleep(duration: Duration) {
    sleep_until_or_never(crate::clock::after(duration));
}

/// Sleeps until `deadline`.
///
/// # Waits
/// Until then.
///
/// # Cancellation
/// Unwinds a cancelled task.
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    sleep_until_or_never(Some(deadline));
}

#[track_caller]
fn sleep_until_or_never(deadline: Option<Instant>) {
    // A loop of sleeps that are over at once must not hog its worker.
    spend();
    let wait = Wait::new(WaitReason::Sleep).until(deadline);
    loop {
        if let Err(interrupt) = park(&wait) {
            match interrupt.deliver() {
                Interrupted::TimedOut | Interrupted::Cancelled => return,
            }
        }
    }
}
