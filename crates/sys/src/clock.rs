//! The kernel's clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time since some moment in the past, as of the kernel's last tick: one to ten milliseconds late, for a few
/// nanoseconds (`CLOCK_MONOTONIC_COARSE`).
#[must_use]
pub fn coarse() -> Duration {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
