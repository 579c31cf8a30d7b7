//! Waiting, under a mutex, for a condition: std's interface, for tasks of any plan.

use std::fmt;
use std::sync::{LockResult, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::mutex::{Mutex, MutexGuard};
use crate::park::{Wait, WaitReason};
use crate::primitive::const_unless_loom;
use crate::wait_list::WaitList;

/// Whether a wait ended because its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

/// A condition variable: tasks wait on it, with a mutex released meanwhile, until another notifies them.
///
/// Who waits longest is notified first. A wait may end although nobody notified: look at the condition in a loop, or let
/// [`wait_while`](Self::wait_while) do so.
///
/// # Examples
/// ```
/// use ropewalk_sync::condvar::Condvar;
/// use ropewalk_sync::mutex::Mutex;
///
/// static READY: Mutex<bool> = Mutex::new(false);
/// static CHANGED: Condvar = Condvar::new();
/// let setter = std::thread::spawn(|| {
///     *READY.lock().unwrap() = true;
///     CHANGED.notify_one();
/// });
/// let ready = CHANGED.wait_while(READY.lock().unwrap(), |ready| !*ready).unwrap();
/// assert!(*ready);
/// # setter.join().unwrap();
/// ```
pub struct Condvar {
    waiters: WaitList<()>,
}

impl Condvar {
    const_unless_loom! {
        /// Nobody waits.
        pub fn new() -> Self {
            Self { waiters: WaitList::new(()) }
        }
    }

    /// Releases the lock, waits for a notification, and takes the lock again. A notification that comes after the
    /// release is not missed.
    ///
    /// # Errors
    /// If the mutex is poisoned when it is locked again; the guard is in the error.
    ///
    /// # Waits
    /// Until notified, then until the lock is free.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task, which then does not hold the lock. If it had been notified, the next waiter is.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::{condvar::Condvar, mutex::Mutex};
    ///
    /// static QUEUE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    /// static CHANGED: Condvar = Condvar::new();
    /// let taker = std::thread::spawn(|| {
    ///     let mut queue = QUEUE.lock().unwrap();
    ///     loop {
    ///         match queue.pop() {
    ///             Some(item) => return item,
    ///             None => queue = CHANGED.wait(queue).unwrap(),
    ///         }
    ///     }
    /// });
    /// QUEUE.lock().unwrap().push(1);
    /// CHANGED.notify_one();
    /// assert_eq!(taker.join().unwrap(), 1);
    /// ```
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.wait_until(guard, None).0
    }

    /// [Waits](Self::wait) again and again while `condition` holds.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// # Waits
    /// While `condition` holds, and until the lock is free.
    ///
    /// # Cancellation
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    /// If `condition` does; the mutex is then poisoned.
    ///
    /// # Examples
    /// See [`Condvar`].
    #[track_caller]
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`wait`](Self::wait), for a notification within `timeout`. Taking the lock again may take longer.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// # Waits
    /// Until notified or `timeout` has passed, then until the lock is free.
    ///
    /// # Cancellation
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::{condvar::Condvar, mutex::Mutex};
    /// use std::time::Duration;
    ///
    /// let (mutex, changed) = (Mutex::new(1), Condvar::new());
    /// let (guard, result) = changed.wait_timeout(mutex.lock().unwrap(), Duration::from_millis(1)).unwrap();
    /// assert_eq!((*guard, result.timed_out()), (1, true));
    /// ```
    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (guard, timed_out) = self.wait_until(guard, clock::after(timeout));
        beside(guard, timed_out)
    }

    /// Waits again and again while `condition` holds, for at most `timeout`. The result says that the time was up only
    /// if `condition` still held then.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// # Waits
    /// While `condition` holds, for at most `timeout`; then until the lock is free.
    ///
    /// # Cancellation
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    /// If `condition` does; the mutex is then poisoned.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::{condvar::Condvar, mutex::Mutex};
    /// use std::time::Duration;
    ///
    /// let (mutex, changed) = (Mutex::new(1), Condvar::new());
    /// let guard = mutex.lock().unwrap();
    /// let (guard, result) = changed.wait_timeout_while(guard, Duration::from_millis(1), |n| *n < 2).unwrap();
    /// assert_eq!((*guard, result.timed_out()), (1, true));
    /// ```
    #[track_caller]
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let deadline = clock::after(timeout);
        let mut timed_out = false;
        loop {
            if !condition(&mut guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            if timed_out {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let (locked, late) = self.wait_until(guard, deadline);
            (guard, timed_out) = match locked {
                Ok(guard) => (guard, late),
                Err(error) => return beside(Err(error), late),
            };
        }
    }

    /// Wakes the one that has waited longest, if anybody waits.
    ///
    /// # Examples
    /// See [`Condvar`].
    pub fn notify_one(&self) {
        self.waiters.notify_one();
    }

    /// Wakes all that wait now.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::{condvar::Condvar, mutex::Mutex};
    ///
    /// let (open, opened) = (Mutex::new(false), Condvar::new());
    /// std::thread::scope(|s| {
    ///     for _ in 0..3 {
    ///         s.spawn(|| drop(opened.wait_while(open.lock().unwrap(), |open| !*open)));
    ///     }
    ///     *open.lock().unwrap() = true;
    ///     opened.notify_all();
    /// });
    /// ```
    pub fn notify_all(&self) {
        self.waiters.notify_all();
    }

    /// The guard, and whether the time was up.
    #[track_caller]
    fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (LockResult<MutexGuard<'a, T>>, bool) {
        let mutex = MutexGuard::mutex(&guard);
        let wait = Wait::new(WaitReason::CondvarWait).object(self).until(deadline);
        // The mutex is released when the caller is on the list: who then takes it and notifies will find it there.
        match self.waiters.wait_after(self.waiters.lock(), &wait, 0, || drop(guard)) {
            Ok(_) => (self.lock_notified(mutex), false),
            Err(left) => {
                drop(left.guard);
                // It returns only if the time is up: nothing else can end a wait that gives no error.
                let _ = left.interrupt.deliver();
                (mutex.lock(), true)
            }
        }
    }

    /// Takes the lock after a notification, which must not be lost if an interruption ends this wait.
    fn lock_notified<'a, T>(&self, mutex: &'a Mutex<T>) -> LockResult<MutexGuard<'a, T>> {
        mutex.lock_or_interrupt().unwrap_or_else(|interrupt| {
            self.notify_one();
            let _ = interrupt.deliver();
            mutex.lock()
        })
    }
}

fn beside<G>(guard: LockResult<G>, timed_out: bool) -> LockResult<(G, WaitTimeoutResult)> {
    match guard {
        Ok(guard) => Ok((guard, WaitTimeoutResult(timed_out))),
        Err(error) => Err(PoisonError::new((error.into_inner(), WaitTimeoutResult(timed_out)))),
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Condvar { .. }")
    }
}
