//! A lock for readers and writers in shared memory.
//!
//! # How it works
//! A writer takes the lock word, as of a mutex, and then waits until no process has readers. A reader counts itself in its
//! process's own word, and then looks at the lock word: if a writer has it, the reader takes itself off the count, rings the
//! bell that the writer listens to, and waits for the lock word.
//!
//! Both sides write one word and then read another, so both do it with `SeqCst` (SYNC: rwlock.drain): a writer that does not see
//! the reader's count has written the lock word before the reader looks at it. Readers of different processes write
//! different words, so that what a dead process had can be told, and zeroed.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, fence};

use ropewalk_sync::park::{self, Interrupt, Unwinding, Wait, WaitReason};

use super::bell;
use super::block::{Block, Fields, Form, Kind, number_of};
use super::handle::travels;
use super::lock::{self, Taken};
use super::mutex::{OwnerDied, TryLockError};
use super::region::Region;
use super::value::{self, Plain};
use crate::crash;

/// A lock around a value that any number may read at a time, or one may change, for the tasks of any processes.
///
/// As with [`Mutex`](super::Mutex) whoever locks it gets a copy of the value, and what a writer has changed is written back
/// at the end, as a whole: a process that is killed leaves the value as it was. A dead reader is forgotten. A dead writer is
/// told of ([`OwnerDied`]), to readers too, until a writer says that all is well.
///
/// Writers go first: while one has the lock, or waits for the readers to leave, new readers wait. So readers can be kept
/// out by writers that come one after the other. Among writers, and when a writer has left, it is not fair.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::RwLock;
///
/// let prices = RwLock::new([3_u32, 5])?;
/// {
///     let one = prices.read().unwrap();
///     let other = prices.read().unwrap();
///     assert_eq!(one[0] + other[1], 8);
/// }
/// prices.write().unwrap()[1] = 4;
/// assert_eq!(*prices.read().unwrap(), [3, 4]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct RwLock<T: Plain> {
    block: Block,
    value: PhantomData<fn() -> T>,
}

travels!(RwLock<T>);

impl<T: Plain> RwLock<T> {
    fn of(block: Block) -> Self {
        Self { block, value: PhantomData }
    }

    fn form() -> Form {
        let fingerprint = value::fingerprint::<T>();
        Form { kind: Kind::RwLock, fingerprint, value_words: 2 * value::words_of::<T>() }
    }

    /// A new one, in a region of its own.
    ///
    /// # Errors
    /// As those of [`Region::new`].
    pub fn new(value: T) -> io::Result<Self> {
        Self::new_in(&Region::of(Self::form())?, value)
    }

    /// A new one in a region that is there.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull): the region is full.
    ///
    /// # Waits
    /// While somebody else places something there.
    pub fn new_in(region: &Region, value: T) -> io::Result<Self> {
        let write = |fields: Fields<'_>| value::initialize(fields.value(), &value);
        Block::place(region, Self::form(), 0, 0, write).map(Self::of)
    }

    /// The one of this name in the region, whoever has made it; if there is none, a new one; `value` counts only for that.
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
    pub fn open_in(region: &Region, name: &str, value: T) -> io::Result<Self> {
        let write = |fields: Fields<'_>| value::initialize(fields.value(), &value);
        Block::open(region, number_of(name), Self::form(), 0, 0, write).map(Self::of)
    }

    /// The region that it stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.block.region()
    }

    /// Locks for reading.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard: a process has died while it had the lock for writing.
    ///
    /// # Waits
    /// While a writer has the lock, or is about to.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which does not have the lock then.
    ///
    /// # Examples
    /// See [`RwLock`].
    #[track_caller]
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T>, OwnerDied<RwLockReadGuard<'_, T>>> {
        park::spend();
        let word = self.block.fields().lock();
        let wait = Wait::new(WaitReason::SharedRead).object(word);
        loop {
            if let Some(taken) = self.count_in() {
                return self.read_guard(taken);
            }
            if let Err(interrupt) = lock::wait_while_taken(word, &wait) {
                if let Some(taken) = self.count_in() {
                    return self.read_guard(taken);
                }
                let _ = interrupt.deliver();
            }
        }
    }

    /// Locks for reading if no writer has the lock, or is about to. Never waits.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`]: one has. [`TryLockError::OwnerDied`], with the guard.
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError<RwLockReadGuard<'_, T>>> {
        let taken = self.count_in().ok_or(TryLockError::WouldBlock)?;
        self.read_guard(taken).map_err(TryLockError::OwnerDied)
    }

    /// Locks for writing.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard: a process has died while it had the lock for writing.
    ///
    /// # Waits
    /// Until nobody else has the lock.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which does not have the lock then.
    ///
    /// # Examples
    /// See [`RwLock`].
    #[track_caller]
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, T>, OwnerDied<RwLockWriteGuard<'_, T>>> {
        park::spend();
        loop {
            match self.lock_alone() {
                Ok(taken) => return self.write_guard(taken),
                Err(interrupt) => drop(interrupt.deliver()),
            }
        }
    }

    /// Locks for writing if nobody has the lock. Never waits.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`]: somebody has it. [`TryLockError::OwnerDied`], with the guard.
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError<RwLockWriteGuard<'_, T>>> {
        let fields = self.block.fields();
        let taken = lock::try_lock(fields.lock(), self.block.owner()).ok_or(TryLockError::WouldBlock)?;
        if !is_drained(fields) {
            lock::unlock_for_all(fields.lock(), false);
            return Err(TryLockError::WouldBlock);
        }
        self.write_guard(taken).map_err(TryLockError::OwnerDied)
    }

    fn own_readers(&self) -> &AtomicU32 {
        &self.block.fields().slots(0)[self.block.owner().slot()]
    }

    /// Becomes a reader, unless a writer is there.
    fn count_in(&self) -> Option<Taken> {
        // SYNC: rwlock.drain
        self.own_readers().fetch_add(1, SeqCst);
        crash::point("rwlock: reader counted");
        let taken = lock::look(self.block.fields().lock());
        if taken.is_none() {
            self.count_out();
        }
        taken
    }

    fn count_out(&self) {
        // SYNC: rwlock.drain. What the reader has read, it has read before.
        self.own_readers().fetch_sub(1, SeqCst);
        bell::ring(self.block.fields().bell());
    }

    fn lock_alone(&self) -> Result<Taken, Interrupt> {
        let fields = self.block.fields();
        let wait = Wait::new(WaitReason::SharedWrite).object(fields.lock());
        let taken = lock::lock(fields.lock(), self.block.owner(), &wait)?;
        let drained = bell::wait_for(fields.bell(), &wait, || Ok(is_drained(fields).then_some(())));
        if let Err(interrupt) = drained {
            lock::unlock_for_all(fields.lock(), false);
            return Err(interrupt);
        }
        Ok(taken)
    }

    fn read_guard(&self, taken: Taken) -> Result<RwLockReadGuard<'_, T>, OwnerDied<RwLockReadGuard<'_, T>>> {
        let fields = self.block.fields();
        let guard = RwLockReadGuard { value: value::read(fields.state(), fields.value()), lock: self };
        if taken.owner_died { Err(OwnerDied(guard)) } else { Ok(guard) }
    }

    fn write_guard(
        &self,
        taken: Taken,
    ) -> Result<RwLockWriteGuard<'_, T>, OwnerDied<RwLockWriteGuard<'_, T>>> {
        let fields = self.block.fields();
        let guard = RwLockWriteGuard {
            value: value::read(fields.state(), fields.value()),
            lock: self,
            is_changed: false,
            is_consistent: false,
            before: Unwinding::now(),
        };
        if taken.owner_died { Err(OwnerDied(guard)) } else { Ok(guard) }
    }
}

/// Whether no process has readers. The caller has the lock.
fn is_drained(fields: Fields<'_>) -> bool {
    // The lock word was taken with less than `SeqCst`. SYNC: rwlock.drain
    fence(SeqCst);
    fields.slots(0).iter().all(|readers| readers.load(SeqCst) == 0)
}

/// The lock for reading, and a copy of the value.
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct RwLockReadGuard<'a, T: Plain> {
    lock: &'a RwLock<T>,
    value: T,
}

impl<T: Plain> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Plain> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.count_out();
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The lock for writing, and a copy of the value; at its end what was changed is written back.
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct RwLockWriteGuard<'a, T: Plain> {
    lock: &'a RwLock<T>,
    value: T,
    is_changed: bool,
    is_consistent: bool,
    before: Unwinding,
}

impl<T: Plain> RwLockWriteGuard<'_, T> {
    /// Says that all is well although a process has died that had the lock: see
    /// [`MutexGuard::make_consistent`](super::MutexGuard::make_consistent).
    pub fn make_consistent(guard: &mut Self) {
        guard.is_consistent = true;
    }
}

impl<T: Plain> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Plain> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.value
    }
}

impl<T: Plain> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        let fields = self.lock.block.fields();
        if self.is_changed && !Unwinding::now().began_after(&self.before) {
            value::write(fields.state(), fields.value(), &self.value);
        }
        lock::unlock_for_all(fields.lock(), self.is_consistent);
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
