//! A number of permits that tasks share.
//!
//! Permits are given out strictly first come, first served: while somebody waits, nobody overtakes him, not even for
//! fewer permits. So a large request is not starved by small ones; the price is that the small ones wait behind it.
//! Who is woken holds its permits already.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::park::{self, Wait, WaitReason};
use crate::primitive::const_unless_loom;
use crate::wait_list::{Locked, Place, WaitList};

pub use self::permit::{OwnedSemaphorePermit, SemaphorePermit};

mod permit;

/// A semaphore: so many tasks at a time.
///
/// Unlike a mutex it is never poisoned: it protects no value. And it cannot be closed, as tokio's can: to acquire has no
/// error; who is to stop waiting is cancelled, or waits in a `timeout`.
///
/// # Examples
/// ```
/// use ropewalk_sync::semaphore::Semaphore;
///
/// static SEATS: Semaphore = Semaphore::new(2);
/// std::thread::scope(|s| {
///     for _ in 0..5 {
///         s.spawn(|| {
///             let _seat = SEATS.acquire();
///             // At most two are here at a time.
///         });
///     }
/// });
/// assert_eq!(SEATS.available_permits(), 2);
/// ```
pub struct Semaphore {
    /// The free permits; each waiter's slot says how many it wants.
    waiters: WaitList<usize>,
}

impl Semaphore {
    /// The most permits that a semaphore can have, and that one can ask for.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    const_unless_loom! {
        /// With `permits` free permits.
        ///
        /// # Panics
        /// If that is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// # Examples
        /// ```
        /// use ropewalk_sync::semaphore::Semaphore;
        ///
        /// assert_eq!(Semaphore::new(3).available_permits(), 3);
        /// ```
        pub fn new(permits: usize) -> Self {
            assert!(permits <= Self::MAX_PERMITS, "a semaphore cannot have that many permits");
            Self { waiters: WaitList::new(permits) }
        }
    }

    /// Takes a permit; dropping it gives it back.
    ///
    /// # Waits
    /// Until a permit is free, and everybody who came before has been served.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.acquire();
    /// assert_eq!(semaphore.available_permits(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> SemaphorePermit<'_> {
        self.acquire_many(1)
    }

    /// Takes `count` permits at once. It waits for ever if the semaphore never has that many.
    ///
    /// # Waits
    /// Until so many are free, and everybody who came before has been served.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    ///
    /// # Panics
    /// If `count` is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Semaphore::new(3);
    /// let permits = semaphore.acquire_many(2);
    /// assert_eq!((permits.count(), semaphore.available_permits()), (2, 1));
    /// ```
    #[track_caller]
    pub fn acquire_many(&self, count: usize) -> SemaphorePermit<'_> {
        self.take_or_wait(count);
        SemaphorePermit::new(self, count)
    }

    /// Takes a permit if one is free and nobody waits for it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.try_acquire().unwrap();
    /// assert!(semaphore.try_acquire().is_none());
    /// # drop(permit);
    /// ```
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `count` permits if so many are free and nobody waits for any.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// assert!(Semaphore::new(1).try_acquire_many(2).is_none());
    /// ```
    pub fn try_acquire_many(&self, count: usize) -> Option<SemaphorePermit<'_>> {
        self.take(count).ok().map(|()| SemaphorePermit::new(self, count))
    }

    /// As [`acquire`](Self::acquire), for at most `timeout`.
    ///
    /// # Waits
    /// As [`acquire`](Self::acquire), for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    /// use std::time::Duration;
    ///
    /// assert!(Semaphore::new(0).acquire_timeout(Duration::from_millis(1)).is_none());
    /// ```
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<SemaphorePermit<'_>> {
        self.acquire_many_timeout(1, timeout)
    }

    /// As [`acquire_many`](Self::acquire_many), for at most `timeout`.
    ///
    /// # Waits
    /// As [`acquire_many`](Self::acquire_many), for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    ///
    /// # Panics
    /// If `count` is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    /// use std::time::Duration;
    ///
    /// let semaphore = Semaphore::new(2);
    /// assert!(semaphore.acquire_many_timeout(2, Duration::from_millis(1)).is_some());
    /// assert!(semaphore.acquire_many_timeout(3, Duration::from_millis(1)).is_none());
    /// ```
    #[track_caller]
    pub fn acquire_many_timeout(&self, count: usize, timeout: Duration) -> Option<SemaphorePermit<'_>> {
        let taken = self.take_in_time(count, || clock::after(timeout));
        // A permit that is made has to be given back, so none is made unless it was taken.
        taken.then(|| SemaphorePermit::new(self, count))
    }

    /// As [`acquire`](Self::acquire), but the permit keeps the semaphore alive, so it can go where it likes.
    ///
    /// # Waits
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    /// use std::sync::Arc;
    ///
    /// let connections = Arc::new(Semaphore::new(1));
    /// let permit = connections.acquire_owned();
    /// std::thread::spawn(move || drop(permit)).join().unwrap();
    /// assert_eq!(connections.available_permits(), 1);
    /// ```
    #[track_caller]
    pub fn acquire_owned(self: &Arc<Self>) -> OwnedSemaphorePermit {
        self.acquire_many_owned(1)
    }

    /// As [`acquire_many`](Self::acquire_many), with permits that keep the semaphore alive.
    ///
    /// # Waits
    /// As [`acquire_many`](Self::acquire_many).
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    ///
    /// # Panics
    /// If `count` is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    /// use std::sync::Arc;
    ///
    /// assert_eq!(Arc::new(Semaphore::new(2)).acquire_many_owned(2).count(), 2);
    /// ```
    #[track_caller]
    pub fn acquire_many_owned(self: &Arc<Self>, count: usize) -> OwnedSemaphorePermit {
        self.take_or_wait(count);
        OwnedSemaphorePermit::new(self.clone(), count)
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    /// use std::sync::Arc;
    ///
    /// assert!(Arc::new(Semaphore::new(0)).try_acquire_owned().is_none());
    /// ```
    pub fn try_acquire_owned(self: &Arc<Self>) -> Option<OwnedSemaphorePermit> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), with permits that keep the semaphore alive.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    /// use std::sync::Arc;
    ///
    /// assert!(Arc::new(Semaphore::new(2)).try_acquire_many_owned(2).is_some());
    /// ```
    pub fn try_acquire_many_owned(self: &Arc<Self>, count: usize) -> Option<OwnedSemaphorePermit> {
        self.take(count).ok().map(|()| OwnedSemaphorePermit::new(self.clone(), count))
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), with a permit that keeps the semaphore alive.
    ///
    /// # Waits
    /// As [`acquire`](Self::acquire), for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// assert!(Arc::new(Semaphore::new(0)).acquire_owned_timeout(Duration::from_millis(1)).is_none());
    /// ```
    #[track_caller]
    pub fn acquire_owned_timeout(self: &Arc<Self>, timeout: Duration) -> Option<OwnedSemaphorePermit> {
        self.acquire_many_owned_timeout(1, timeout)
    }

    /// As [`acquire_many_timeout`](Self::acquire_many_timeout), with permits that keep the semaphore alive.
    ///
    /// # Waits
    /// As [`acquire_many`](Self::acquire_many), for at most `timeout`.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    ///
    /// # Panics
    /// If `count` is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let permits = Arc::new(Semaphore::new(2)).acquire_many_owned_timeout(2, Duration::from_millis(1));
    /// assert_eq!(permits.unwrap().count(), 2);
    /// ```
    #[track_caller]
    pub fn acquire_many_owned_timeout(
        self: &Arc<Self>,
        count: usize,
        timeout: Duration,
    ) -> Option<OwnedSemaphorePermit> {
        let taken = self.take_in_time(count, || clock::after(timeout));
        taken.then(|| OwnedSemaphorePermit::new(self.clone(), count))
    }

    /// Adds `count` permits, beyond those that are given back.
    ///
    /// # Panics
    /// If there were more than [`MAX_PERMITS`](Self::MAX_PERMITS) free permits then.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::semaphore::Semaphore;
    ///
    /// let semaphore = Semaphore::new(0);
    /// semaphore.add_permits(2);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    pub fn add_permits(&self, count: usize) {
        assert!(self.put(count), "a semaphore cannot have more than {} permits", Self::MAX_PERMITS);
    }

    /// How many permits are free.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        *self.waiters.lock()
    }

    /// Takes the permits if nothing stands against it.
    fn take(&self, count: usize) -> Result<(), Locked<'_, usize>> {
        let mut free = self.waiters.lock();
        if *free < count || !free.is_empty() {
            return Err(free);
        }
        *free -= count;
        Ok(())
    }

    #[track_caller]
    fn take_or_wait(&self, count: usize) {
        // Without a deadline only an unwind can end the wait early.
        while !self.take_in_time(count, || None) {}
    }

    /// `deadline` is asked for if it has to wait. `false`: the time was up.
    #[track_caller]
    fn take_in_time(&self, count: usize, deadline: impl FnOnce() -> Option<Instant>) -> bool {
        assert!(count <= Self::MAX_PERMITS, "a semaphore never has {count} permits");
        park::spend();
        match self.take(count) {
            Ok(()) => true,
            Err(free) => self.wait(free, count, deadline()),
        }
    }

    #[cold]
    #[track_caller]
    fn wait(&self, free: Locked<'_, usize>, count: usize, deadline: Option<Instant>) -> bool {
        let wait = Wait::new(WaitReason::SemaphoreAcquire).object(self).until(deadline);
        match self.waiters.wait_with(free, &wait, count, Place::Last) {
            Ok(_) => true,
            Err(left) => {
                // Those behind may have enough now that nobody asks for more before them.
                self.serve(left.guard);
                let _ = left.interrupt.deliver();
                false
            }
        }
    }

    /// Gives permits back, or adds them. `false`: there would be too many.
    fn put(&self, count: usize) -> bool {
        let mut free = self.waiters.lock();
        if count > Self::MAX_PERMITS - *free {
            return false;
        }
        *free += count;
        self.serve(free);
        true
    }

    /// Gives the first in the queue what they want, as far as it goes.
    fn serve(&self, free: Locked<'_, usize>) {
        if !free.is_empty() {
            self.waiters.notify_while(free, |free, &mut wanted| {
                let enough = wanted <= *free;
                *free -= if enough { wanted } else { 0 };
                enough
            });
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .finish_non_exhaustive()
    }
}
