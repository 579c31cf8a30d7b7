//! A mutex in shared memory, whose value is never seen half changed.

use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use ropewalk_sync::park::{self, Unwinding, Wait, WaitReason};

use super::block::{Block, Form, Kind, number_of};
use super::handle::travels;
use super::lock::{self, Taken};
use super::region::Region;
use super::value::{self, Plain};

/// A lock around a value, for the tasks of any processes.
///
/// The value is [plain data](Plain). Who locks it gets **a copy to work on**; what was changed is written back at the end, at
/// once and as a whole. So a process that is killed while it has the lock, at whatever instruction, leaves the value as it
/// was before, and so does a task that unwinds out of the block: a panic needs no poison. Whoever locks next is told:
/// [`OwnerDied`], until somebody says that all is well ([`MutexGuard::make_consistent`]), as with POSIX's robust mutexes. If
/// only this value was to be protected there is nothing to mend; but the dead one may have been in the middle of something
/// that concerns more than it.
///
/// For a large value, or memory that is changed in place, take a `Mutex<()>` and a [`Segment`](crate::segment::Segment).
///
/// The lock is a process's as far as deaths go: a guard that is forgotten (`mem::forget`) keeps it until the process ends.
/// Not fair: whoever comes may overtake who was woken, so there is no bound to how long one waits, as with std's. While nobody
/// waits, neither `lock` nor unlock is a system call.
///
/// # Examples
/// ```
/// use ropewalk_ipc::shared::Mutex;
///
/// let balances = Mutex::new([100_i64, 0])?;
/// {
///     let mut balances = balances.lock().unwrap();
///     balances[0] -= 30;
///     balances[1] += 30; // both are seen, or neither
/// }
/// assert_eq!(*balances.lock().unwrap(), [70, 30]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Mutex<T: Plain> {
    block: Block,
    value: PhantomData<fn() -> T>,
}

travels!(Mutex<T>);

impl<T: Plain> Mutex<T> {
    fn of(block: Block) -> Self {
        Self { block, value: PhantomData }
    }

    fn form() -> Form {
        let fingerprint = value::fingerprint::<T>();
        Form { kind: Kind::Mutex, fingerprint, value_words: 2 * value::words_of::<T>() }
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
    ///
    /// # Examples
    /// See [`Region`].
    pub fn new_in(region: &Region, value: T) -> io::Result<Self> {
        let write = |fields: super::block::Fields<'_>| value::initialize(fields.value(), &value);
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
        let write = |fields: super::block::Fields<'_>| value::initialize(fields.value(), &value);
        Block::open(region, number_of(name), Self::form(), 0, 0, write).map(Self::of)
    }

    /// The region that it stands in.
    #[must_use]
    pub fn region(&self) -> &Region {
        self.block.region()
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard: a process has died while it had the lock.
    ///
    /// # Waits
    /// Until it is free.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which does not have the lock then.
    ///
    /// # Examples
    /// See [`Mutex`].
    #[track_caller]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, OwnerDied<MutexGuard<'_, T>>> {
        park::spend();
        let word = self.block.fields().lock();
        let wait = Wait::new(WaitReason::SharedLock).object(word);
        loop {
            match lock::lock(word, self.block.owner(), &wait) {
                Ok(taken) => return self.guard(taken),
                // Of those that return, none ends such a wait.
                Err(interrupt) => drop(interrupt.deliver()),
            }
        }
    }

    /// Takes the lock if it is free. Never waits.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`]: it is not. [`TryLockError::OwnerDied`], with the guard.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::Mutex;
    ///
    /// let mutex = Mutex::new(0_u32)?;
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        match lock::try_lock(self.block.fields().lock(), self.block.owner()) {
            Some(taken) => self.guard(taken).map_err(TryLockError::OwnerDied),
            None => Err(TryLockError::WouldBlock),
        }
    }

    fn guard(&self, taken: Taken) -> Result<MutexGuard<'_, T>, OwnerDied<MutexGuard<'_, T>>> {
        let fields = self.block.fields();
        let guard = MutexGuard {
            value: value::read(fields.state(), fields.value()),
            mutex: self,
            is_changed: false,
            is_consistent: false,
            before: Unwinding::now(),
        };
        if taken.owner_died { Err(OwnerDied(guard)) } else { Ok(guard) }
    }
}

/// The lock, and a copy of the value; at its end what was changed is written back, and the lock is given back.
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct MutexGuard<'a, T: Plain> {
    mutex: &'a Mutex<T>,
    value: T,
    /// Somebody has had it as `&mut`.
    is_changed: bool,
    is_consistent: bool,
    before: Unwinding,
}

impl<'a, T: Plain> MutexGuard<'a, T> {
    /// Writes back what was changed up to now, and keeps the lock: what comes after may be lost, this may not.
    pub fn commit(guard: &mut Self) {
        if std::mem::take(&mut guard.is_changed) {
            let fields = guard.mutex.block.fields();
            value::write(fields.state(), fields.value(), &guard.value);
        }
    }

    /// Says that all is well although a process has died that had the lock: at the end of this guard [`OwnerDied`] is
    /// forgotten.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_ipc::shared::{Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new(1_u32)?;
    /// let guard = mutex.lock().unwrap_or_else(|died| {
    ///     let mut guard = died.into_inner();
    ///     // Look whether all that belongs together still does, and then:
    ///     MutexGuard::make_consistent(&mut guard);
    ///     guard
    /// });
    /// assert_eq!(*guard, 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn make_consistent(guard: &mut Self) {
        guard.is_consistent = true;
    }

    /// The mutex that it is of.
    pub(super) fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.mutex
    }
}

impl<T: Plain> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Plain> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.value
    }
}

impl<T: Plain> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if !Unwinding::now().began_after(&self.before) {
            Self::commit(self);
        }
        lock::unlock(self.mutex.block.fields().lock(), self.is_consistent);
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// A process has died while it had the lock. What the lock protects is whole, as it was before; whether it is what it should
/// be, the caller has to know.
pub struct OwnerDied<G>(pub(super) G);

impl<G> OwnerDied<G> {
    /// The guard: the lock was taken all the same.
    #[must_use]
    pub fn into_inner(self) -> G {
        self.0
    }
}

impl<G> fmt::Debug for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerDied(..)")
    }
}

impl<G> fmt::Display for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a process has died while it had the lock")
    }
}

impl<G> Error for OwnerDied<G> {}

/// Why a lock was not taken, or not as usual.
pub enum TryLockError<G> {
    /// It was taken; a process has died while it had it.
    OwnerDied(OwnerDied<G>),
    /// Somebody has it.
    WouldBlock,
}

impl<G> fmt::Debug for TryLockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnerDied(_) => "OwnerDied(..)",
            Self::WouldBlock => "WouldBlock",
        })
    }
}

impl<G> fmt::Display for TryLockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(died) => died.fmt(f),
            Self::WouldBlock => f.write_str("somebody has the lock"),
        }
    }
}

impl<G> Error for TryLockError<G> {}
