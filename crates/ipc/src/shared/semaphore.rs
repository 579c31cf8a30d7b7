//! A semaphore in shared memory that gets back what the dead held.
//!
//! How many permits are free stands nowhere: it is how many there are, less what each process holds, each in a word of its
//! own. So to take some is one addition to one word, to give them back one subtraction, and to refund those of a dead
//! process is to zero its word. To take them is done under a lock, lest two take the last ones; to give them back is not.

use std::fmt;
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Interrupt, Wait, WaitReason};

use super::block::{Block, Fields, Form, Kind, number_of};
use super::handle::travels;
use super::region::Region;
use super::{bell, lock};
use crate::crash;

/// How often a call that must not wait tries to get the inner lock, which is held for some ten nanoseconds.
const TRIES: usize = 1000;

/// A number of permits that the tasks of any processes share. The permits of a process that dies are free again.
///
/// Not fair: whoever comes may overtake who was woken, and a large request can be kept waiting by small ones.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::Semaphore;
///
/// let seats = Semaphore::new(2)?;
/// let one = seats.acquire();
/// let other = seats.try_acquire().unwrap();
/// assert!(seats.try_acquire().is_none());
/// drop((one, other));
/// assert_eq!(seats.available_permits(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Semaphore {
    block: Block,
}

travels!(Semaphore);

impl Semaphore {
    /// The most permits that a semaphore can have, and that one can ask for.
    pub const MAX_PERMITS: u32 = u32::MAX >> 8;

    fn of(block: Block) -> Self {
        Self { block }
    }

    fn form() -> Form {
        Form::bare(Kind::Semaphore)
    }

    /// A new one with `permits` free permits, in a region of its own.
    ///
    /// # Errors
    /// As those of [`Region::new`]; [`InvalidInput`](io::ErrorKind::InvalidInput): more than
    /// [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn new(permits: u32) -> io::Result<Self> {
        Self::new_in(&Region::of(Self::form())?, permits)
    }

    /// A new one in a region that is there.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full. [`InvalidInput`](io::ErrorKind::InvalidInput): more
    /// than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Waits
    /// While somebody else places something there.
    pub fn new_in(region: &Region, permits: u32) -> io::Result<Self> {
        check(permits)?;
        Block::place(region, Self::form(), 0, permits, |_| {}).map(Self::of)
    }

    /// The one of this name in the region, whoever has made it; if there is none, a new one; `permits` counts only for that.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): what has the name is something else, or for another type.
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full. [`InvalidInput`](io::ErrorKind::InvalidInput): as of `new`.
    ///
    /// # Waits
    /// While somebody else places something there.
    ///
    /// # Examples
    /// See [`Region::publish`].
    pub fn open_in(region: &Region, name: &str, permits: u32) -> io::Result<Self> {
        check(permits)?;
        Block::open(region, number_of(name), Self::form(), 0, permits, |_| {}).map(Self::of)
    }

    /// The region that it stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.block.region()
    }

    /// Takes a permit; dropping it gives it back.
    ///
    /// # Waits
    /// Until one is free.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    ///
    /// # Examples
    /// See [`Semaphore`].
    #[track_caller]
    pub fn acquire(&self) -> SemaphorePermit<'_> {
        self.acquire_many(1)
    }

    /// Takes `count` permits, all at once.
    ///
    /// # Waits
    /// Until so many are free: for ever, if there never are.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    #[track_caller]
    pub fn acquire_many(&self, count: u32) -> SemaphorePermit<'_> {
        loop {
            if let Some(permit) = self.acquire_until(count, None) {
                return permit;
            }
        }
    }

    /// As [`acquire`](Self::acquire), for at most `limit`: then `None`.
    ///
    /// # Waits
    /// Until one is free, or the limit has passed.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; it takes no permit with it.
    #[track_caller]
    pub fn acquire_timeout(&self, limit: Duration) -> Option<SemaphorePermit<'_>> {
        self.acquire_until(1, clock::after(limit))
    }

    /// Takes a permit if one is free. Never waits; if others take and give back permits at that very moment, time and
    /// again, it may say that there is none.
    ///
    /// # Examples
    /// See [`Semaphore`].
    #[must_use = "the permit is given back at once if it is not kept"]
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        let fields = self.block.fields();
        let taken = (0..TRIES).find_map(|_| {
            let taken = lock::try_lock(fields.lock(), self.block.owner());
            if taken.is_none() {
                std::hint::spin_loop();
            }
            taken
        });
        taken?;
        let took = self.take_locked(fields, 1);
        lock::unlock(fields.lock(), true);
        took.then(|| SemaphorePermit { semaphore: self, count: 1 })
    }

    /// How many are free: by the time one looks at the figure it may have changed.
    #[must_use]
    pub fn available_permits(&self) -> u32 {
        free(self.block.fields())
    }

    /// Adds permits.
    ///
    /// # Panics
    /// If that makes more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::Semaphore;
    ///
    /// let jobs = Semaphore::new(0)?;
    /// jobs.add_permits(1);       // there is something to do
    /// jobs.acquire().forget();   // taken, for good
    /// assert_eq!(jobs.available_permits(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn add_permits(&self, count: u32) {
        let fields = self.block.fields();
        let add = |all: u32| all.checked_add(count).filter(|all| *all <= Self::MAX_PERMITS);
        let added = fields.extra().fetch_update(SeqCst, Relaxed, add);
        assert!(added.is_ok(), "a semaphore cannot have that many permits");
        bell::ring(fields.bell());
    }

    #[track_caller]
    fn acquire_until(&self, count: u32, deadline: Option<Instant>) -> Option<SemaphorePermit<'_>> {
        park::spend();
        let fields = self.block.fields();
        let wait = Wait::new(WaitReason::SharedSemaphore).object(fields.lock()).until(deadline);
        match bell::wait_for(fields.bell(), &wait, || self.take(fields, count, &wait)) {
            Ok(()) => Some(SemaphorePermit { semaphore: self, count }),
            Err(interrupt) => {
                let _ = interrupt.deliver();
                None
            }
        }
    }

    fn take(&self, fields: Fields<'_>, count: u32, wait: &Wait) -> Result<Option<()>, Interrupt> {
        if free(fields) < count {
            return Ok(None);
        }
        lock::lock(fields.lock(), self.block.owner(), wait)?;
        let took = self.take_locked(fields, count);
        lock::unlock(fields.lock(), true);
        Ok(took.then_some(()))
    }

    fn take_locked(&self, fields: Fields<'_>, count: u32) -> bool {
        let is_there = free(fields) >= count;
        if is_there {
            crash::point("semaphore: about to take");
            self.own(fields).fetch_add(count, SeqCst);
            crash::point("semaphore: taken");
        }
        is_there
    }

    /// What this process holds.
    fn own<'a>(&self, fields: Fields<'a>) -> &'a AtomicU32 {
        &fields.slots(0)[self.block.owner().slot()]
    }

    fn give_back(&self, count: u32) {
        let fields = self.block.fields();
        // SYNC: bell. No more than there is, whoever may have tampered with it.
        let less = |held: u32| Some(held.saturating_sub(count));
        let _ = self.own(fields).fetch_update(SeqCst, Relaxed, less);
        crash::point("semaphore: given back");
        bell::ring(fields.bell());
    }
}

fn check(permits: u32) -> io::Result<()> {
    if permits > Semaphore::MAX_PERMITS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a semaphore cannot have that many permits"));
    }
    Ok(())
}

/// How many are free.
fn free(fields: Fields<'_>) -> u32 {
    let all = u64::from(fields.extra().load(SeqCst));
    let held: u64 = fields.slots(0).iter().map(|held| u64::from(held.load(SeqCst))).sum();
    u32::try_from(all.saturating_sub(held)).unwrap_or(u32::MAX)
}

/// Permits that were taken; given back when this is dropped.
#[must_use = "permits are given back at once if they are not kept"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    count: u32,
}

impl SemaphorePermit<'_> {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Does not give them back: there are so many fewer from now on.
    ///
    /// # Examples
    /// See [`Semaphore::add_permits`].
    pub fn forget(mut self) {
        let fields = self.semaphore.block.fields();
        let count = std::mem::take(&mut self.count);
        // In this order: whoever dies in between holds what is gone, and that comes to the same.
        let _ = fields.extra().fetch_update(SeqCst, Relaxed, |all| Some(all.saturating_sub(count)));
        crash::point("semaphore: forgotten, not yet taken off");
        self.semaphore.give_back(count);
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.give_back(self.count);
        }
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").field("count", &self.count).finish_non_exhaustive()
    }
}
