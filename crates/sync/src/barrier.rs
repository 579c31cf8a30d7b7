//! Waiting for one another: std's barrier, for tasks of any plan.

use std::fmt;

use crate::park::{self, Wait, WaitReason};
use crate::primitive::const_unless_loom;
use crate::wait_list::{Place, WaitList};

/// A place where tasks wait until so many have come; then all go on, and it is ready for the next round.
///
/// # Examples
/// ```
/// use ropewalk_sync::barrier::Barrier;
///
/// static START: Barrier = Barrier::new(3);
/// let leaders = std::thread::scope(|s| {
///     let runners = [(); 3].map(|()| s.spawn(|| START.wait().is_leader()));
///     runners.into_iter().map(|runner| usize::from(runner.join().unwrap())).sum::<usize>()
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    /// Each waiter's slot says which round it waits in.
    waiters: WaitList<Round>,
    tasks: usize,
}

struct Round {
    number: usize,
    /// How many have come.
    arrived: usize,
}

/// Tells one of those who have met at a [`Barrier`] from the others.
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether it came last: one of a round, who may do what is to be done once.
    ///
    /// # Examples
    /// ```
    /// assert!(ropewalk_sync::barrier::Barrier::new(1).wait().is_leader());
    /// ```
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult").field("is_leader", &self.is_leader()).finish()
    }
}

impl Barrier {
    const_unless_loom! {
        /// For so many tasks; 0 is as good as 1.
        ///
        /// # Examples
        /// ```
        /// let barrier = ropewalk_sync::barrier::Barrier::new(2);
        /// # drop(barrier);
        /// ```
        pub fn new(tasks: usize) -> Self {
            Self { waiters: WaitList::new(Round { number: 0, arrived: 0 }), tasks }
        }
    }

    /// Waits for the others.
    ///
    /// # Waits
    /// Until so many tasks have come. The last one does not wait.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which then does not count as one that has come. If all have met before, it has.
    ///
    /// # Examples
    /// See [`Barrier`].
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        park::spend();
        loop {
            let mut round = self.waiters.lock();
            round.arrived += 1;
            if round.arrived >= self.tasks {
                round.arrived = 0;
                round.number = round.number.wrapping_add(1);
                // Who comes meanwhile waits in the next round, behind all of this one.
                self.waiters.notify_while(round, |round, waits_in| *waits_in != round.number);
                return BarrierWaitResult(true);
            }
            let own = round.number;
            let wait = Wait::new(WaitReason::BarrierWait).object(self);
            let Err(mut left) = self.waiters.wait_with(round, &wait, own, Place::Last) else {
                return BarrierWaitResult(false);
            };
            if left.guard.number != own {
                // All have met, and this one was not told yet: the result wins.
                return BarrierWaitResult(false);
            }
            left.guard.arrived -= 1;
            drop(left.guard);
            // A wait without a deadline that gives no error can only be unwound from.
            let _ = left.interrupt.deliver();
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Barrier { .. }")
    }
}
