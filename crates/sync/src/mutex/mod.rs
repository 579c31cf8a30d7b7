//! Mutual exclusion: std's interface, for tasks of any plan.
//!
//! A task that waits for the lock gives its worker to the next, so a guard may be held over a wait, unlike std's, which
//! would block the worker of all who could release it.

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{LockResult, TryLockError, TryLockResult};

use self::raw::RawMutex;
use crate::park::{self, Interrupt};
use crate::poison::{Before, Poison};
use crate::primitive::const_unless_loom;

pub use crate::holder::Holder;

mod raw;

/// Where in a mutex the number of the task stands that holds it (8 bytes; as true as [`Mutex::holder`]): for an inspector,
/// which knows of a waiting task only the address of what it waits for, and reads there from outside.
#[cfg(not(loom))]
pub const HOLDER_OFFSET: usize = std::mem::offset_of!(Mutex<()>, raw) + RawMutex::TASK_OFFSET;

/// A value that one task at a time may touch.
///
/// # Fairness
/// Who waits is woken first come, first served. A running task may take the lock before the one that was woken for it
/// has got up, but only once: then the lock is handed over.
///
/// # Poisoning
/// As std's: a panic while the lock is held poisons the mutex. A cancellation, or the end of a `timeout`, that unwinds
/// through a guard does not: it unwinds from a wait, so where it can happen is known, and destructors run as after a
/// `return`.
///
/// # Examples
/// ```
/// use ropewalk_sync::mutex::Mutex;
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
/// std::thread::scope(|s| {
///     for n in 1..=4 {
///         s.spawn(move || *TOTAL.lock().unwrap() += n);
///     }
/// });
/// assert_eq!(*TOTAL.lock().unwrap(), 10);
/// ```
// In this order, so that `HOLDER_OFFSET` is the same whatever `T` is.
#[repr(C)]
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    poison: Poison,
    data: UnsafeCell<T>,
}

// SAFETY: the data go from thread to thread with the lock, by value (`into_inner`) and by reference (the guard): both
// need `T: Send` and no more, since only one thread at a time has a guard.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

// Who finds a broken value behind a panic has been warned by the poison.
impl<T: ?Sized> UnwindSafe for Mutex<T> {}
impl<T: ?Sized> RefUnwindSafe for Mutex<T> {}

impl<T> Mutex<T> {
    const_unless_loom! {
        /// A free mutex with `value` in it.
        ///
        /// # Examples
        /// ```
        /// let mutex = ropewalk_sync::mutex::Mutex::new(1);
        /// assert_eq!(*mutex.lock().unwrap(), 1);
        /// ```
        pub fn new(value: T) -> Self {
            Self { raw: RawMutex::new(), poison: Poison::new(), data: UnsafeCell::new(value) }
        }
    }

    /// Unwraps the value.
    ///
    /// # Errors
    /// If the mutex is poisoned; the value is in the error.
    ///
    /// # Examples
    /// ```
    /// let mutex = ropewalk_sync::mutex::Mutex::new(1);
    /// assert_eq!(mutex.into_inner().unwrap(), 1);
    /// ```
    pub fn into_inner(self) -> LockResult<T> {
        self.poison.tell(self.data.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, and waits for it if another task holds it. Dropping the guard gives it back.
    ///
    /// # Errors
    /// If a task panicked while it held the lock; the guard is in the error.
    ///
    /// # Waits
    /// Until the lock is free. A task that locks a mutex it already holds waits for ever.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which then does not hold the lock.
    ///
    /// # Examples
    /// ```
    /// let mutex = ropewalk_sync::mutex::Mutex::new(1);
    /// *mutex.lock().unwrap() += 1;
    /// assert_eq!(*mutex.lock().unwrap(), 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        park::spend();
        loop {
            match self.lock_or_interrupt() {
                Ok(guard) => return guard,
                // A wait without a deadline that gives no error can only be unwound from.
                Err(interrupt) => {
                    let _ = interrupt.deliver();
                }
            }
        }
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if it is held; [`TryLockError::Poisoned`], with the guard, as for
    /// [`lock`](Self::lock).
    ///
    /// # Examples
    /// ```
    /// let mutex = ropewalk_sync::mutex::Mutex::new(1);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_err());
    /// # drop(guard);
    /// ```
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        if self.raw.try_lock() { Ok(self.guard()?) } else { Err(TryLockError::WouldBlock) }
    }

    /// The value, which nobody else can have.
    ///
    /// # Errors
    /// If the mutex is poisoned; the reference is in the error.
    ///
    /// # Examples
    /// ```
    /// let mut mutex = ropewalk_sync::mutex::Mutex::new(1);
    /// *mutex.get_mut().unwrap() = 2;
    /// assert_eq!(mutex.into_inner().unwrap(), 2);
    /// ```
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poison.tell(self.data.get_mut())
    }

    /// Whether a task panicked while it held the lock.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::mutex::Mutex;
    ///
    /// static MUTEX: Mutex<()> = Mutex::new(());
    /// let panicked = std::thread::spawn(|| {
    ///     let _guard = MUTEX.lock();
    ///     panic!("half done");
    /// });
    /// assert!(panicked.join().is_err());
    /// assert!(MUTEX.is_poisoned());
    /// MUTEX.clear_poison();
    /// assert!(MUTEX.lock().is_ok());
    /// ```
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poison.get()
    }

    /// Declares the value sound again.
    pub fn clear_poison(&self) {
        self.poison.clear();
    }

    /// Who holds the lock, if anybody: to look at from outside. By the time it is read it may be over.
    ///
    /// # Examples
    /// ```
    /// let mutex = ropewalk_sync::mutex::Mutex::new(1);
    /// let guard = mutex.lock().unwrap();
    /// assert!(mutex.holder().is_some());
    /// drop(guard);
    /// assert_eq!(mutex.holder(), None);
    /// ```
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        self.raw.holder()
    }

    /// Takes the lock, for whoever has something to do before an interruption unwinds. In the error is that, not yet
    /// delivered.
    #[inline]
    pub(crate) fn lock_or_interrupt(&self) -> Result<LockResult<MutexGuard<'_, T>>, Interrupt> {
        self.raw.lock(self)?;
        Ok(self.guard())
    }

    /// To be called by who has just taken the lock, once.
    fn guard(&self) -> LockResult<MutexGuard<'_, T>> {
        self.poison.tell(MutexGuard { mutex: self, before: Before::now(), not_send: PhantomData })
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => out.field("data", &&*guard),
            Err(TryLockError::Poisoned(error)) => out.field("data", &&**error.get_ref()),
            Err(TryLockError::WouldBlock) => out.field("data", &format_args!("<locked>")),
        };
        out.field("poisoned", &self.is_poisoned()).finish_non_exhaustive()
    }
}

/// A held lock. Dropping it gives the lock back.
///
/// It stays with the task that locked:
/// ```compile_fail
/// let mutex = ropewalk_sync::mutex::Mutex::new(1);
/// let guard = mutex.lock().unwrap();
/// std::thread::scope(|s| s.spawn(move || drop(guard)).join());
/// ```
#[must_use = "if unused the lock is given back at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    before: Before,
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives shared references to the data, no more.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Whose lock it is.
    pub(crate) fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard exists, so the lock is held (raw mutex, invariant 1) and no other guard does.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and this one is borrowed exclusively.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.poison.end(&self.before);
        self.mutex.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
