//! What is done once, whoever comes first: std's interface, for tasks of any plan.

use std::fmt;

use Ordering::{Acquire, Release};

use crate::holder::{Holder, Note};
use crate::park::{self, Wait, WaitReason};
use crate::poison::Before;
use crate::primitive::{AtomicBool, Ordering, const_unless_loom};
use crate::wait_list::{Locked, WaitList};

/// Where in a [`Once`] the number of the task stands that does it (8 bytes; 0 if none does): as
/// [`mutex::HOLDER_OFFSET`](crate::mutex::HOLDER_OFFSET).
#[cfg(not(loom))]
pub const HOLDER_OFFSET: usize = std::mem::offset_of!(Once, runner) + Note::TASK_OFFSET;

/// How far it is.
enum Progress {
    New,
    /// The task with this number does it.
    Running(u64),
    /// Who did it panicked.
    Poisoned,
    Done,
}

/// Something that is done once; whoever comes while it is being done waits until it has been.
///
/// A call that panics poisons it, as in std. A call that is cancelled does not: the next one is made, by whoever comes, or
/// waits.
///
/// # Examples
/// ```
/// use ropewalk_sync::once::Once;
///
/// static GREETED: Once = Once::new();
/// std::thread::scope(|s| {
///     for _ in 0..3 {
///         s.spawn(|| GREETED.call_once(|| println!("hello")));
///     }
/// });
/// assert!(GREETED.is_completed());
/// ```
pub struct Once {
    runner: Note,
    /// A copy, for those who come later.
    done: AtomicBool,
    waiters: WaitList<Progress>,
}

/// What the function of [`Once::call_once_force`] may want to know.
#[derive(Debug)]
pub struct OnceState {
    poisoned: bool,
}

impl OnceState {
    /// Whether a call before panicked.
    ///
    /// # Examples
    /// ```
    /// ropewalk_sync::once::Once::new().call_once_force(|state| assert!(!state.is_poisoned()));
    /// ```
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

impl Once {
    const_unless_loom! {
        /// To be done.
        ///
        /// # Examples
        /// ```
        /// assert!(!ropewalk_sync::once::Once::new().is_completed());
        /// ```
        pub fn new() -> Self {
            Self { runner: Note::new(), done: AtomicBool::new(false), waiters: WaitList::new(Progress::New) }
        }
    }

    /// Calls `f`, unless that has been done. When it returns it has been done, and what was done is visible.
    ///
    /// # Panics
    /// If `f` does, or did before; if `f` comes back to the same `Once`.
    ///
    /// # Waits
    /// While another task does it.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task from the wait for another, or from the waits of `f`.
    ///
    /// # Examples
    /// See [`Once`].
    #[inline]
    #[track_caller]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if !self.is_completed() {
            self.call(false, |_| f());
        }
    }

    /// As [`call_once`](Self::call_once), but calls `f` even if a call before panicked.
    ///
    /// # Panics
    /// If `f` does; if `f` comes back to the same `Once`.
    ///
    /// # Waits
    /// While another task does it.
    ///
    /// # Cancellation
    /// As [`call_once`](Self::call_once).
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::once::Once;
    ///
    /// static ONCE: Once = Once::new();
    /// assert!(std::thread::spawn(|| ONCE.call_once(|| panic!("half done"))).join().is_err());
    /// ONCE.call_once_force(|state| assert!(state.is_poisoned()));
    /// assert!(ONCE.is_completed());
    /// ```
    #[inline]
    #[track_caller]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if !self.is_completed() {
            self.call(true, f);
        }
    }

    /// Whether it has been done. What was done is visible then.
    ///
    /// # Examples
    /// See [`Once`].
    #[inline]
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.done.load(Acquire) // SYNC: once.done
    }

    /// Waits until somebody has done it.
    ///
    /// # Panics
    /// If who does it panics, or did before; if the caller is the one that does it.
    ///
    /// # Waits
    /// Until it has been done.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::once::Once;
    ///
    /// static READY: Once = Once::new();
    /// let other = std::thread::spawn(|| READY.wait());
    /// READY.call_once(|| {});
    /// other.join().unwrap();
    /// ```
    #[track_caller]
    pub fn wait(&self) {
        self.wait_until_done(false);
    }

    /// As [`wait`](Self::wait), whoever panics on the way.
    ///
    /// # Panics
    /// If the caller is the one that does it.
    ///
    /// # Waits
    /// Until it has been done.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// As for [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_force(&self) {
        self.wait_until_done(true);
    }

    #[cold]
    #[track_caller]
    fn call(&self, force: bool, f: impl FnOnce(&OnceState)) {
        // As a task, which even a thread that never waited now becomes: so that it is known if it comes back.
        let own = park::current(|waiter, _| waiter.id());
        let poisoned = loop {
            let mut progress = self.waiters.lock();
            let poisoned = match *progress {
                Progress::Done => return,
                Progress::New => false,
                Progress::Poisoned if force => true,
                Progress::Poisoned => refuse_poisoned(progress),
                Progress::Running(runner) => {
                    self.wait_for(runner, own, progress);
                    continue;
                }
            };
            *progress = Progress::Running(own);
            break poisoned;
        };
        self.runner.write(Holder::caller());
        let attempt = Attempt { once: self, before: Before::now() };
        f(&OnceState { poisoned });
        // SYNC: once.done
        self.done.store(true, Release);
        std::mem::forget(attempt);
        self.end(Progress::Done);
    }

    #[track_caller]
    fn wait_until_done(&self, force: bool) {
        let own = park::current(|waiter, _| waiter.id());
        while !self.is_completed() {
            let progress = self.waiters.lock();
            match *progress {
                Progress::Done => return,
                Progress::Poisoned if !force => refuse_poisoned(progress),
                Progress::Running(runner) => self.wait_for(runner, own, progress),
                Progress::New | Progress::Poisoned => self.wait_for(0, own, progress),
            }
        }
    }

    /// Waits, as the task `own`, for what `runner` is about to do (0: nobody yet), once, and perhaps for no reason.
    #[track_caller]
    fn wait_for(&self, runner: u64, own: u64, progress: Locked<'_, Progress>) {
        if runner == own {
            drop(progress);
            panic!(
                "the function that a `Once` calls has come back to the same `Once`, and would wait for itself"
            );
        }
        let wait = Wait::new(WaitReason::OnceWait).object(self);
        let home = (runner != 0).then(|| self.runner.home());
        if let Err(interrupt) = self.waiters.wait(progress, &wait.holder(home)) {
            // A wait without a deadline that gives no error can only be unwound from.
            let _ = interrupt.deliver();
        }
    }

    fn end(&self, how: Progress) {
        self.runner.clear();
        let mut progress = self.waiters.lock();
        *progress = how;
        self.waiters.notify_all_after(progress);
    }
}

#[track_caller]
fn refuse_poisoned(progress: Locked<'_, Progress>) -> ! {
    drop(progress);
    panic!("the function that a `Once` called has panicked before");
}

/// A call that unwinds unless it is forgotten.
struct Attempt<'a> {
    once: &'a Once,
    before: Before,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let panicked = self.before.has_panicked_since();
        self.once.end(if panicked { Progress::Poisoned } else { Progress::New });
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Once { .. }")
    }
}
