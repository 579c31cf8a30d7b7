//! A moment by the runtime's clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::{self, Duration};

use ropewalk_sync::clock;

/// A moment by the clock of the runtime, mirroring [`std::time::Instant`].
///
/// A moment of virtual time is an ordinary moment of std's; only what time it is *now* depends on the clock. So this type is std's
/// inside, and each becomes the other by `into()`, for functions that take the other one.
///
/// ```
/// use ropewalk::time::{Duration, Instant};
/// use ropewalk::{Clock, Runtime, channel, coroutine};
///
/// let runtime = Runtime::builder().clock(Clock::Virtual).build()?;
/// runtime.run(|| {
///     let start = Instant::now();
///     coroutine::sleep(Duration::from_secs(3600)); // takes no time
///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
///     let alarm = channel::at((Instant::now() + Duration::from_secs(1)).into());
///     alarm.recv().unwrap();
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(time::Instant);

impl Instant {
    /// The moment that it is now.
    #[must_use]
    pub fn now() -> Self {
        Self(clock::now())
    }

    /// How long ago it was; zero if it is to come.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// How much later it is than another; zero if it is not.
    #[must_use]
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// How much later it is than another; `None` if it is earlier.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.0.checked_duration_since(earlier.0)
    }

    /// How much later it is than another; zero if it is not.
    #[must_use]
    pub fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The moment that much later; `None` if the clock cannot say it.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        self.0.checked_add(duration).map(Self)
    }

    /// The moment that much earlier; `None` if the clock cannot say it.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        self.0.checked_sub(duration).map(Self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// # Panics
    /// If the clock cannot say it.
    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// # Panics
    /// If the clock cannot say it.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0 - duration)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        self.0 -= duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

impl From<time::Instant> for Instant {
    fn from(instant: time::Instant) -> Self {
        Self(instant)
    }
}

impl From<Instant> for time::Instant {
    fn from(instant: Instant) -> Self {
        instant.0
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
