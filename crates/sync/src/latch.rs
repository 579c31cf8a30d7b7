//! Waiting until so many things have been done: the latch of C++20 (`std::latch`) and the `CountDownLatch` of Java.

use std::fmt;
use std::time::{Duration, Instant};

use crate::clock;
use crate::park::{self, Wait, WaitReason};
use crate::primitive::const_unless_loom;
use crate::wait_list::WaitList;

/// A count that goes down to zero, once, and tasks that wait for that.
///
/// # Examples
/// ```
/// use ropewalk_sync::latch::Latch;
///
/// static LOADED: Latch = Latch::new(3);
/// std::thread::scope(|s| {
///     for _ in 0..3 {
///         s.spawn(|| LOADED.count_down());
///     }
///     LOADED.wait();
/// });
/// assert!(LOADED.is_open());
/// ```
pub struct Latch {
    /// What is left to count.
    waiters: WaitList<usize>,
}

impl Latch {
    const_unless_loom! {
        /// To be counted down so many times; with 0 it is open.
        ///
        /// # Examples
        /// ```
        /// assert!(ropewalk_sync::latch::Latch::new(0).is_open());
        /// ```
        pub fn new(count: usize) -> Self {
            Self { waiters: WaitList::new(count) }
        }
    }

    /// Counts down by one. At zero all who wait go on; below zero it does not go. Never waits.
    ///
    /// # Examples
    /// ```
    /// let latch = ropewalk_sync::latch::Latch::new(2);
    /// latch.count_down();
    /// assert_eq!(latch.count(), 1);
    /// ```
    pub fn count_down(&self) {
        self.count_down_by(1);
    }

    /// Counts down by `count`, at once.
    ///
    /// # Examples
    /// ```
    /// let latch = ropewalk_sync::latch::Latch::new(2);
    /// latch.count_down_by(3);
    /// assert_eq!(latch.count(), 0);
    /// ```
    pub fn count_down_by(&self, count: usize) {
        let mut left = self.waiters.lock();
        *left = left.saturating_sub(count);
        if *left == 0 && !left.is_empty() {
            self.waiters.notify_all_after(left);
        }
    }

    /// How many times it has still to be counted down.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.waiters.lock()
    }

    /// Whether it has been counted down to zero.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.count() == 0
    }

    /// Waits until it is open.
    ///
    /// # Waits
    /// Until it is open.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// See [`Latch`].
    #[track_caller]
    pub fn wait(&self) {
        // Without a deadline only an unwind can end the wait early.
        while !self.wait_until(|| None) {}
    }

    /// As [`wait`](Self::wait), for at most `timeout`. Returns whether it is open.
    ///
    /// # Waits
    /// Until it is open, for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// assert!(!ropewalk_sync::latch::Latch::new(1).wait_timeout(Duration::from_millis(1)));
    /// ```
    #[must_use = "the time may have been up"]
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(|| clock::after(timeout))
    }

    /// Counts down by one, and waits until it is open.
    ///
    /// # Waits
    /// Until it is open.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; what it has counted stays counted.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::latch::Latch;
    ///
    /// static READY: Latch = Latch::new(2);
    /// std::thread::scope(|s| {
    ///     s.spawn(|| READY.arrive_and_wait());
    ///     READY.arrive_and_wait();
    /// });
    /// ```
    #[track_caller]
    pub fn arrive_and_wait(&self) {
        self.count_down();
        self.wait();
    }

    /// `deadline` is asked for if it has to wait. `false`: the time was up.
    #[track_caller]
    fn wait_until(&self, deadline: impl FnOnce() -> Option<Instant>) -> bool {
        park::spend();
        let left = self.waiters.lock();
        if *left == 0 {
            return true;
        }
        let wait = Wait::new(WaitReason::LatchWait).object(self).until(deadline());
        match self.waiters.wait(left, &wait) {
            Ok(_) => true,
            Err(interrupt) => {
                let _ = interrupt.deliver();
                // It may have been opened since the time was up.
                self.is_open()
            }
        }
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").field("count", &self.count()).finish_non_exhaustive()
    }
}
