//! The one place that reads the time.
//!
//! Deadlines travel as [`Instant`]; where one must fit into an atomic it is nanoseconds since the first reading.
//!
//! # Two clocks
//! A thread lives by the kernel's clock, unless it [enters](enter) a virtual one, as the worker of a simulated runtime
//! does. Virtual time starts at the real time, so its moments are ordinary [`Instant`]s, and moves in two ways only:
//! [`advance_to`] a moment, and by what really passes while the thread [blocks](block). It never goes back.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What [`nanos`] gives for "never".
pub const NEVER: u64 = u64::MAX;
/// The last moment that nanoseconds can say; what lies beyond looks the same.
pub const LAST: u64 = NEVER - 1;

/// By which clock the coroutines of a runtime live.
///
/// With virtual time a runtime has one worker, and time stands still while its coroutines run. When none can run, the
/// clock goes on to the next moment at which one wants to be woken - a sleep, a timeout, the deadline of a wait - **at
/// once**, so that an hour of sleep takes no time, and each time at exactly that moment. Every figure that the coroutines
/// take from [`now`] is then the same in every run.
///
/// What goes on outside takes real time, and must not be missed. So the clock goes on only as fast as real time does
/// while
/// - a `blocking` call, or an operation on a file, is under way,
/// - a thread that a task of the runtime has spawned is alive,
/// - a descriptor is watched: one on which a coroutine has waited, until it is closed.
///
/// Of threads that nobody of the runtime has spawned it knows nothing: time may jump before their message comes.
///
/// Threads, also those of such a runtime, live by the real clock; what a moment of virtual time means to them is the
/// same moment of real time. A coroutine that reads the clock in a loop, yielding but never sleeping, does not see it
/// move. `Instant::now`, `Instant::elapsed` and `SystemTime` are std's, and real.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Clock {
    /// The kernel's monotonic clock.
    #[default]
    Real,
    /// One that goes on when no coroutine can run.
    Virtual,
}

std::thread_local! {
    /// The virtual time of this thread, in nanoseconds; [`NEVER`] where time is real.
    static VIRTUAL: Cell<u64> = const { Cell::new(NEVER) };
}

/// The time now: by the virtual clock in the coroutines of a runtime that has one, else `Instant::now()`. How much time
/// has passed since `start` is `now() - start`; `start.elapsed()` reads the real clock.
///
/// ```
/// let start = ropewalk_sync::clock::now();
/// assert!(ropewalk_sync::clock::now() >= start);
/// ```
#[must_use]
pub fn now() -> Instant {
    match VIRTUAL.get() {
        NEVER => Instant::now(),
        nanos => at(nanos),
    }
}

/// Out of line: it is not to be in the way of who lives by the real clock.
#[cold]
fn at(nanos: u64) -> Instant {
    epoch() + Duration::from_nanos(nanos)
}

/// The moment that is `duration` from now; `None` if it is further away than the clock can say, that is, never.
#[must_use]
pub fn after(duration: Duration) -> Option<Instant> {
    now().checked_add(duration)
}

fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// `instant` as nanoseconds since the first reading of the clock (584 years fit).
#[must_use]
pub fn nanos(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(epoch()).as_nanos();
    u64::try_from(since).unwrap_or(LAST)
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

/// A thread lives by another clock until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it leaves the clock"]
pub struct Entered {
    before: u64,
    /// The clock is the thread's.
    _not_send: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        VIRTUAL.set(self.before);
    }
}

/// Has the calling thread live by `clock`: a virtual one starts at the real time.
pub fn enter(clock: Clock) -> Entered {
    let start = match clock {
        Clock::Real => NEVER,
        Clock::Virtual => nanos(Instant::now()),
    };
    Entered { before: VIRTUAL.replace(start), _not_send: PhantomData }
}

/// Whether the thread lives by a virtual clock.
#[must_use]
#[inline]
pub fn is_virtual() -> bool {
    VIRTUAL.get() != NEVER
}

/// Moves the thread's virtual time on to the moment `nanos`; nothing if that is past, or if time is real.
pub fn advance_to(nanos: u64) {
    if VIRTUAL.get() < nanos.min(LAST) {
        VIRTUAL.set(nanos.min(LAST));
    }
}

/// Calls `f`, which may block the thread in the kernel; virtual time goes on by what really passes.
pub fn block<R>(f: impl FnOnce() -> R) -> R {
    if !is_virtual() {
        return f();
    }
    let start = Instant::now();
    let result = f();
    let passed = u64::try_from(start.elapsed().as_nanos()).unwrap_or(LAST);
    advance_to(VIRTUAL.get().saturating_add(passed));
    result
}

/// The moment of real time, for the kernel, that is as far away as `deadline` is by the thread's clock.
#[must_use]
pub fn real(deadline: Instant) -> Instant {
    if !is_virtual() {
        return deadline;
    }
    let now = Instant::now();
    // Further away than the kernel can count is never, and whoever sleeps may be woken for no reason.
    now.checked_add(deadline.saturating_duration_since(self::now())).unwrap_or(deadline)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_stands_still_until_it_is_moved_and_ends_with_its_guard() {
        let real = Instant::now();
        let entered = enter(Clock::Virtual);
        let start = now();
        assert!(start >= real, "it starts at the real time");
        while real.elapsed() < Duration::from_millis(1) {}
        assert_eq!(now(), start);
        advance_to(nanos(start) + 5);
        assert_eq!(now() - start, Duration::from_nanos(5));
        advance_to(nanos(start));
        assert_eq!(now() - start, Duration::from_nanos(5), "it never goes back");
        assert_eq!(instant(nanos(now())), Some(now()));
        advance_to(nanos(start) + 3_600_000_000_000);
        drop(entered);
        assert!(now() < start + Duration::from_secs(3600));
    }

    #[test]
    fn what_blocks_takes_the_time_that_it_takes() {
        let _entered = enter(Clock::Virtual);
        let start = now();
        let passed = block(|| {
            let real = Instant::now();
            while real.elapsed() < Duration::from_millis(1) {}
            real.elapsed()
        });
        assert!(now() - start >= passed);
        let deadline = now() + Duration::from_secs(60);
        advance_to(nanos(now()) + 50_000_000_000);
        assert!(real(deadline) < Instant::now() + Duration::from_secs(11), "ten seconds are left");
    }

    #[test]
    fn a_clock_inside_another_one_gives_it_back() {
        let _outer = enter(Clock::Virtual);
        advance_to(nanos(now()) + 7);
        let before = now();
        drop(enter(Clock::Real));
        assert_eq!(now(), before);
    }

    #[test]
    fn the_end_of_time_is_reached_and_never_passed() {
        let _entered = enter(Clock::Virtual);
        advance_to(NEVER);
        assert_eq!(nanos(now()), LAST);
        block(|| ());
        assert_eq!(nanos(now()), LAST);
    }
}
