//! What the tests share: plans, watchdogs, child processes, and ways to wait without sleeping.

pub(crate) mod apart;
pub(crate) mod asleep;
pub(crate) mod child;
pub(crate) mod confine;
pub(crate) mod messages;
pub(crate) mod net;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod slow_page;
pub(crate) mod terminal;
pub(crate) mod tracker;
pub(crate) mod waits;
pub(crate) mod watchdog;

pub(crate) use asleep::Spot;
pub(crate) use plan::{PLANS, Plan, drivers, on_driver, on_every_pair, on_every_plan, runtime};
pub(crate) use tracker::Tracker;
pub(crate) use watchdog::guarded;

use std::time::{Duration, Instant};

/// Longer than any test takes: for waits that are expected to be ended by something else.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// Looks until `condition` holds, letting others run meanwhile. The test's watchdog ends it if it never does.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        ropewalk::coroutine::yield_now();
        std::thread::yield_now();
    }
}

/// How long `f` took, with what it returned.
pub(crate) fn timed<T>(f: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = f();
    (value, start.elapsed())
}
