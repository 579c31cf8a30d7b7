//! A tick every so often.

use std::time::Duration;

use ropewalk_sync::{clock, park};

use super::Instant;

/// A tick is missed if it is taken later than this: less is what any machine is late by. (As in tokio.)
const LATE: Duration = Duration::from_millis(5);

/// A tick every `period`; the first one at once.
///
/// ```
/// use ropewalk::time::{Duration, interval};
///
/// let mut heartbeat = interval(Duration::from_millis(1));
/// let first = heartbeat.tick();
/// assert_eq!(heartbeat.tick() - first, Duration::from_millis(1)); // does not drift
/// ```
///
/// # Panics
/// If the period is zero.
#[must_use]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// A tick every `period`; the first one at `start`.
///
/// ```
/// use ropewalk::time::{Duration, Instant, interval_at};
///
/// let start = Instant::now() + Duration::from_millis(1);
/// assert_eq!(interval_at(start, Duration::from_secs(60)).tick(), start);
/// ```
///
/// # Panics
/// If the period is zero.
#[must_use]
pub fn interval_at(start: impl Into<std::time::Instant>, period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period that is not zero");
    Interval { next: Some(Instant::from(start.into())), period, missed: MissedTickBehavior::default() }
}

/// What becomes of the ticks that came while nobody took them, with the names of tokio's `MissedTickBehavior`. With a period of 10,
/// and somebody who is busy from 10 to 35:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTickBehavior {
    /// They are made up for, at once: ticks at 10, then 35, 35, 40, 50. As many as without the delay.
    #[default]
    Burst,
    /// One comes at once, and the next ones a period after it: 10, 35, 45, 55. Never closer than a period.
    Delay,
    /// One comes at once, and the next ones where they would have been: 10, 35, 40, 50.
    Skip,
}

impl MissedTickBehavior {
    /// The tick after the one of `tick`, which was taken late, `now`.
    fn next(self, tick: Instant, now: Instant, period: Duration) -> Option<Instant> {
        match self {
            Self::Burst => tick.checked_add(period),
            Self::Delay => now.checked_add(period),
            Self::Skip => {
                let past = (now - tick).as_nanos() % period.as_nanos();
                // Less than a period, and what is longer than 584 years never comes.
                now.checked_add(period - Duration::from_nanos(u64::try_from(past).unwrap_or(u64::MAX)))
            }
        }
    }
}

/// Ticks, by the runtime's clock. Made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    /// `None` if it is further away than the clock can say: never.
    next: Option<Instant>,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick, and gives the moment that it was due at.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Panics
    /// In a coroutine, in a [`no_suspend`](crate::no_suspend) region, if it has to wait.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the tick is the next one's then.
    #[track_caller]
    pub fn tick(&mut self) -> Instant {
        let Some(tick) = self.next else {
            loop {
                park::sleep(Duration::MAX);
            }
        };
        park::sleep_until(tick.into());
        let now = Instant::from(clock::now());
        self.next = if now > tick + LATE {
            self.missed.next(tick, now, self.period)
        } else {
            tick.checked_add(self.period)
        };
        tick
    }

    /// The next tick comes a period from now.
    pub fn reset(&mut self) {
        self.next = Instant::now().checked_add(self.period);
    }

    /// The next tick comes at once.
    pub fn reset_immediately(&mut self) {
        self.next = Some(Instant::now());
    }

    /// The next tick comes at `deadline`.
    pub fn reset_at(&mut self, deadline: impl Into<std::time::Instant>) {
        self.next = Some(deadline.into().into());
    }

    /// What becomes of missed ticks.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Changes what becomes of missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// The time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }
}
