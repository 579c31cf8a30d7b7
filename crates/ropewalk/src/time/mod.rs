//! Time and waiting for it to pass, mirroring `std::time` and `std::thread::sleep`; and intervals, with the names of tokio's.
//!
//! All of it goes by the clock of the runtime ([`Clock`](crate::Clock)): in virtual time [`Instant::now`] and
//! [`Instant::elapsed`] are virtual, too. [`SystemTime`] is std's, and real.

mod instant;
mod interval;

pub use std::time::{Duration, SystemTime, SystemTimeError, UNIX_EPOCH};

pub use ropewalk_runtime::thread::sleep;
pub use ropewalk_sync::clock::now;

pub use self::instant::Instant;
pub use self::interval::{Interval, MissedTickBehavior, interval, interval_at};

/// Sleeps until then, a moment of ours or of std's.
///
/// ```
/// use ropewalk::time::{self, Duration, Instant};
///
/// let moment = Instant::now() + Duration::from_millis(1);
/// time::sleep_until(moment);
/// assert!(Instant::now() >= moment);
/// ```
///
/// # Waits
/// Until then.
///
/// # Panics
/// In a coroutine, in a [`no_suspend`](crate::no_suspend) region.
///
/// # Cancellation
/// Unwinds a cancelled task.
#[track_caller]
pub fn sleep_until(deadline: impl Into<std::time::Instant>) {
    ropewalk_runtime::thread::sleep_until(deadline.into());
}
