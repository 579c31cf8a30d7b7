//! A condition variable in shared memory: a count of notifications, as glibc's and std's over futexes.

use std::io;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Interrupted, Wait, WaitReason};

use super::bell::wake_all;
use super::block::{Block, Form, Kind, number_of};
use super::handle::travels;
use super::mutex::{MutexGuard, OwnerDied};
use super::region::Region;
use super::value::Plain;
use crate::crash;

/// Waits for something to become true under a [`Mutex`](super::Mutex), among the tasks of any processes.
///
/// A wait may end for no reason, and does end when some process of the region dies: look again, in a loop. A notification
/// by a process that dies before it has notified never comes, but the lock that it had tells of its death.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::{Condvar, Mutex, Region};
///
/// let region = Region::new(4096)?;
/// let (ready, changed) = (Mutex::new_in(&region, 0_u32)?, Condvar::new_in(&region)?);
/// std::thread::scope(|s| {
///     s.spawn(|| {
///         *ready.lock().unwrap() = 1;
///         changed.notify_one();
///     });
///     let mut guard = ready.lock().unwrap();
///     while *guard == 0 {
///         guard = changed.wait(guard).unwrap();
///     }
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Condvar {
    block: Block,
}

travels!(Condvar);

impl Condvar {
    fn of(block: Block) -> Self {
        Self { block }
    }

    fn form() -> Form {
        Form::bare(Kind::Condvar)
    }

    /// A new one, in a region of its own.
    ///
    /// # Errors
    /// As those of [`Region::new`].
    pub fn new() -> io::Result<Self> {
        Self::new_in(&Region::of(Self::form())?)
    }

    /// A new one in a region that is there.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full.
    ///
    /// # Waits
    /// While somebody else places something there.
    pub fn new_in(region: &Region) -> io::Result<Self> {
        Block::place(region, Self::form(), 0, 0, |_| {}).map(Self::of)
    }

    /// The one of this name in the region, whoever has made it; if there is none, a new one.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): what has the name is something else, or for another type.
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full.
    ///
    /// # Waits
    /// While somebody else places something there.
    ///
    /// # Examples
    /// See [`Region::publish`].
    pub fn open_in(region: &Region, name: &str) -> io::Result<Self> {
        Block::open(region, number_of(name), Self::form(), 0, 0, |_| {}).map(Self::of)
    }

    /// The region that it stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.block.region()
    }

    /// Gives the lock back, with what was changed under it, waits to be notified, and takes the lock again.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard: a process has died while it had the lock.
    ///
    /// # Waits
    /// Until notified, or for no reason a shorter time, and then until the lock is free.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which does not have the lock then.
    ///
    /// # Examples
    /// See [`Condvar`].
    #[track_caller]
    pub fn wait<'a, T: Plain>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> Result<MutexGuard<'a, T>, OwnerDied<MutexGuard<'a, T>>> {
        let mutex = MutexGuard::mutex(&guard);
        self.release_and_wait(guard, None);
        mutex.lock()
    }

    /// As [`wait`](Self::wait), for at most `limit`. The flag tells whether that has passed.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard and the flag.
    ///
    /// # Waits
    /// Until notified, or the limit has passed, or for no reason a shorter time; then until the lock is free.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which does not have the lock then.
    #[track_caller]
    #[expect(clippy::type_complexity, reason = "std's signature, with the error that says who died")]
    pub fn wait_timeout<'a, T: Plain>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> Result<(MutexGuard<'a, T>, bool), OwnerDied<(MutexGuard<'a, T>, bool)>> {
        let mutex = MutexGuard::mutex(&guard);
        let timed_out = self.release_and_wait(guard, clock::after(limit));
        match mutex.lock() {
            Ok(guard) => Ok((guard, timed_out)),
            Err(OwnerDied(guard)) => Err(OwnerDied((guard, timed_out))),
        }
    }

    /// Whether the deadline has passed.
    #[track_caller]
    fn release_and_wait<T: Plain>(&self, guard: MutexGuard<'_, T>, deadline: Option<Instant>) -> bool {
        let word = self.block.fields().bell();
        let wait = Wait::new(WaitReason::SharedCondvar).object(word).until(deadline);
        // SYNC: condvar.count. Read under the lock: a notification that comes after the unlock is seen.
        let count = word.load(Acquire);
        drop(guard);
        crash::point("condvar: about to wait");
        while word.load(Acquire) == count {
            if let Err(interrupt) = park::wait_word(word, count, &wait) {
                // It may have been notified, as the one of several, and does not use it.
                park::wake_word(word, 1);
                return interrupt.deliver() == Interrupted::TimedOut;
            }
        }
        false
    }

    /// Wakes one who waits, if anybody does. Never waits.
    ///
    /// # Examples
    /// See [`Condvar`].
    pub fn notify_one(&self) {
        let word = self.block.fields().bell();
        // SYNC: condvar.count
        word.fetch_add(1, Release);
        crash::point("condvar: counted, nobody woken");
        park::wake_word(word, 1);
    }

    /// Wakes all who wait. Never waits.
    pub fn notify_all(&self) {
        let word = self.block.fields().bell();
        // SYNC: condvar.count
        word.fetch_add(1, Release);
        crash::point("condvar: counted, nobody woken");
        wake_all(word);
    }
}
