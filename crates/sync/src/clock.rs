//! The one place that reads the time.
//!
//! Deadlines travel as [`Instant`]; where one must fit into an atomic it is nanoseconds since the first reading.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What [`nanos`] gives for "never".
pub const NEVER: u64 = u64::MAX;

/// The time now.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// The moment that is `duration` from now; `None` if it is further away than the clock can say, that is, never.
#[must_use]
pub fn after(duration: Duration) -> Option<Instant> {
    now().checked_add(duration)
}

fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(now)
}

/// `instant` as nanoseconds since the first reading of the clock (584 years fit).
#[must_use]
pub fn nanos(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(epoch()).as_nanos();
    u64::try_from(since).unwrap_or(NEVER - 1)
}

/// The opposite of [`nanos`]; `None` for [`NEVER`].
#[must_use]
pub fn instant(nanos: u64) -> Option<Instant> {
    (nanos != NEVER).then(|| epoch() + Duration::from_nanos(nanos))
}

/// Nanoseconds of real time since some moment in the past, a few milliseconds late, for next to nothing: for notes of
/// when something happened, and for nothing that has to be exact.
#[must_use]
pub fn coarse_nanos() -> u64 {
    u64::try_from(ropewalk_sys::clock::coarse().as_nanos()).unwrap_or(NEVER)
}
