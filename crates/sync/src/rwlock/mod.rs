//! Many readers or one writer: std's interface, for tasks of any plan.

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};

use self::raw::{Access, RawRwLock};
use crate::park;
use crate::poison::Poison;
use crate::primitive::const_unless_loom;

pub use self::guard::{RwLockReadGuard, RwLockWriteGuard};
pub use crate::holder::Holder;

mod guard;
mod raw;

/// Where in a read-write lock the number of the task stands that writes (8 bytes; 0 if none does): as
/// [`mutex::HOLDER_OFFSET`](crate::mutex::HOLDER_OFFSET).
#[cfg(not(loom))]
pub const HOLDER_OFFSET: usize = std::mem::offset_of!(RwLock<()>, raw) + RawRwLock::TASK_OFFSET;

/// A value that many tasks at a time may look at, or one change.
///
/// # Fairness
/// Fair to writers and to readers: who waits is woken first come, first served, readers that queue one behind the other
/// together. While somebody waits, a reader that comes queues too, even if others read: a stream of readers keeps no
/// writer out. A running task may take a lock that has just become free before those that were woken for it have got up,
/// but only once: then it is handed over.
///
/// So a task that reads must not lock again for reading: if a writer has come in between, both wait for ever.
///
/// # Poisoning
/// As std's: a panic of a *writer* poisons; of a reader, which cannot have changed anything, does not; nor does a
/// cancellation, or the end of a `timeout`, that unwinds through a guard.
///
/// # Examples
/// ```
/// use ropewalk_sync::rwlock::RwLock;
///
/// static LIMITS: RwLock<Vec<u32>> = RwLock::new(Vec::new());
/// std::thread::scope(|s| {
///     s.spawn(|| LIMITS.write().unwrap().push(80));
///     s.spawn(|| println!("{} limits", LIMITS.read().unwrap().len()));
/// });
/// assert_eq!(*LIMITS.read().unwrap(), [80]);
/// ```
// In this order, so that `HOLDER_OFFSET` is the same whatever `T` is.
#[repr(C)]
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    poison: Poison,
    data: UnsafeCell<T>,
}

// SAFETY: by value the data go from thread to thread with the lock.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: a writer has the data by exclusive reference on its thread (`Send`), readers have them by shared reference on
// several threads at once (`Sync`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

// Who finds a broken value behind a panic has been warned by the poison.
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

impl<T> RwLock<T> {
    const_unless_loom! {
        /// A free lock with `value` in it.
        ///
        /// # Examples
        /// ```
        /// let lock = ropewalk_sync::rwlock::RwLock::new(1);
        /// assert_eq!(*lock.read().unwrap(), 1);
        /// ```
        pub fn new(value: T) -> Self {
            Self { raw: RawRwLock::new(), poison: Poison::new(), data: UnsafeCell::new(value) }
        }
    }

    /// Unwraps the value.
    ///
    /// # Errors
    /// If the lock is poisoned; the value is in the error.
    ///
    /// # Examples
    /// ```
    /// let lock = ropewalk_sync::rwlock::RwLock::new(1);
    /// assert_eq!(lock.into_inner().unwrap(), 1);
    /// ```
    pub fn into_inner(self) -> LockResult<T> {
        self.poison.tell(self.data.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Takes the lock for reading, beside other readers; waits while somebody writes, and for who waited before. Dropping
    /// the guard gives it back.
    ///
    /// # Errors
    /// If a task panicked while it wrote; the guard is in the error.
    ///
    /// # Panics
    /// If 2^29 tasks read already.
    ///
    /// # Waits
    /// Until the lock is free of writers, and who came before has been served. A task that writes itself waits for ever.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which then does not hold the lock.
    ///
    /// # Examples
    /// ```
    /// let lock = ropewalk_sync::rwlock::RwLock::new(1);
    /// let (one, two) = (lock.read().unwrap(), lock.read().unwrap());
    /// assert_eq!(*one + *two, 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        self.lock(Access::Read);
        self.poison.tell(RwLockReadGuard::new(self))
    }

    /// Takes the lock for writing; waits while anybody else holds it. Dropping the guard gives it back.
    ///
    /// # Errors
    /// If a task panicked while it wrote; the guard is in the error.
    ///
    /// # Waits
    /// Until the lock is free. A task that holds it itself waits for ever.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which then does not hold the lock.
    ///
    /// # Examples
    /// ```
    /// let lock = ropewalk_sync::rwlock::RwLock::new(1);
    /// *lock.write().unwrap() += 1;
    /// assert_eq!(*lock.read().unwrap(), 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        self.lock(Access::Write);
        self.poison.tell(RwLockWriteGuard::new(self))
    }

    /// Takes the lock for reading if nobody writes, and nobody waits for the readers to go.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it would have to wait; [`TryLockError::Poisoned`], with the guard, as for
    /// [`read`](Self::read).
    ///
    /// # Panics
    /// If 2^29 tasks read already.
    ///
    /// # Examples
    /// ```
    /// let lock = ropewalk_sync::rwlock::RwLock::new(1);
    /// let guard = lock.read().unwrap();
    /// assert!(lock.try_read().is_ok());
    /// # drop(guard);
    /// ```
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        if !self.raw.try_lock(Access::Read) {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.poison.tell(RwLockReadGuard::new(self))?)
    }

    /// Takes the lock for writing if it is free.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it is held; [`TryLockError::Poisoned`], with the guard, as for
    /// [`write`](Self::write).
    ///
    /// # Examples
    /// ```
    /// let lock = ropewalk_sync::rwlock::RwLock::new(1);
    /// let guard = lock.read().unwrap();
    /// assert!(lock.try_write().is_err());
    /// # drop(guard);
    /// ```
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        if !self.raw.try_lock(Access::Write) {
            return Err(TryLockError::WouldBlock);
        }
        Ok(self.poison.tell(RwLockWriteGuard::new(self))?)
    }

    /// The value, which nobody else can have.
    ///
    /// # Errors
    /// If the lock is poisoned; the reference is in the error.
    ///
    /// # Examples
    /// ```
    /// let mut lock = ropewalk_sync::rwlock::RwLock::new(1);
    /// *lock.get_mut().unwrap() = 2;
    /// assert_eq!(lock.into_inner().unwrap(), 2);
    /// ```
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.tell(self.data.get_mut())
    }

    /// Whether a task panicked while it wrote.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::rwlock::RwLock;
    ///
    /// static LOCK: RwLock<()> = RwLock::new(());
    /// let panicked = std::thread::spawn(|| {
    ///     let _guard = LOCK.write();
    ///     panic!("half done");
    /// });
    /// assert!(panicked.join().is_err());
    /// assert!(LOCK.is_poisoned());
    /// LOCK.clear_poison();
    /// assert!(LOCK.read().is_ok());
    /// ```
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Declares the value sound again.
    ///
    /// # Examples
    /// See [`is_poisoned`](Self::is_poisoned).
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// Who writes, if anybody does: to look at from outside. By the time it is read it may be over.
    ///
    /// # Examples
    /// ```
    /// let lock = ropewalk_sync::rwlock::RwLock::new(1);
    /// let guard = lock.write().unwrap();
    /// assert!(lock.writer().is_some());
    /// drop(guard);
    /// assert_eq!(lock.writer(), None);
    /// ```
    #[must_use]
    pub fn writer(&self) -> Option<Holder> {
        self.raw.writer()
    }

    /// How many read: to look at from outside. By the time it is read it may be over. Who they are is not kept.
    ///
    /// # Examples
    /// ```
    /// let lock = ropewalk_sync::rwlock::RwLock::new(1);
    /// let guard = lock.read().unwrap();
    /// assert_eq!(lock.readers(), 1);
    /// # drop(guard);
    /// ```
    #[must_use]
    pub fn readers(&self) -> usize {
        self.raw.readers()
    }

    #[inline]
    #[track_caller]
    fn lock(&self, access: Access) {
        park::spend();
        // A wait without a deadline that gives no error can only be unwound from.
        while let Err(interrupt) = self.raw.lock(access, self) {
            let _ = interrupt.deliver();
        }
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => out.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => out.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => out.field("data", &format_args!("<locked>")),
        };
        out.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}
