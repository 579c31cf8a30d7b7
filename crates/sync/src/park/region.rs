//! Regions in which a task must not leave its stack.
//!
//! Some code sets a thread-local, calls back, and restores what was there before. If the callback gives its stack away,
//! others of the same thread see the thread-local, or restore it, out of order. Inside of a region what would switch
//! panics instead. The count of the regions belongs to the task, not to the thread: a thread-local would have the very
//! disease.
//!
//! And there is code that belongs to no task at all, and runs between two turns of coroutines: switch hooks. It must not
//! wait for anything ([`no_wait`]). That is the thread's own affair.

use std::cell::Cell;
use std::panic::Location;

use super::{Nested, Wait, WaitReason, with_current, with_existing};

/// Runs `f` so that its coroutine stays where it is: a wait in it that would switch panics, and says where the region
/// began. The budget, by which operations that need not wait let others run now and then, is put off. For code that
/// sets a thread-local, calls back and restores it: see `docs/soundness.md`.
///
/// In a thread it only runs `f`: a thread that waits keeps its thread-locals to itself.
///
/// ```
/// use ropewalk_sync::mutex::Mutex;
/// use ropewalk_sync::park::no_suspend;
///
/// let log = Mutex::new(Vec::new());
/// no_suspend(|| log.lock().unwrap().push("need not wait, so it may")); // a lock that is free
/// assert_eq!(log.lock().unwrap().len(), 1);
/// ```
///
/// # Panics
/// If `f` does; in a coroutine also if `f` waits for something that is not there yet, or opens a scope, or calls
/// `blocking`. While the task unwinds a wait panics no second time: a destructor waits as any destructor of an
/// unwinding task does.
#[track_caller]
pub fn no_suspend<R>(f: impl FnOnce() -> R) -> R {
    no_suspend_at(Location::caller(), f)
}

/// As [`no_suspend`], for a caller that says itself where the region begins.
///
/// # Panics
/// As `no_suspend`.
pub fn no_suspend_at<R>(began: &'static Location<'static>, f: impl FnOnce() -> R) -> R {
    /// Where the region around this one began.
    struct Leave(Option<&'static Location<'static>>);

    impl Drop for Leave {
        fn drop(&mut self) {
            with_current(|current| current.waiter().end_region(self.0));
        }
    }

    let _nested = Nested::enter();
    let _leave = Leave(with_current(|current| current.waiter().begin_region(began)));
    f()
}

std::thread_local! {
    /// What runs here now, if it must not wait.
    static NO_TASK: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Runs `f`, which is no task's code but that of `what`: a wait in it panics, also where a thread could wait.
///
/// # Panics
/// If `f` does, or waits for something that is not there yet.
#[inline]
pub fn no_wait<R>(what: &'static str, f: impl FnOnce() -> R) -> R {
    struct Leave(Option<&'static str>);

    impl Drop for Leave {
        fn drop(&mut self) {
            NO_TASK.set(self.0);
        }
    }

    let _leave = Leave(NO_TASK.replace(Some(what)));
    f()
}

/// Whether such code runs here.
pub(super) fn is_no_task() -> bool {
    NO_TASK.get().is_some()
}

/// In how many regions the calling task is.
pub(super) fn regions() -> u32 {
    with_existing(|waiter| waiter.map_or(0, super::Waiter::regions))
}

/// Whether the calling task may wait here: no region forbids it.
#[must_use]
pub fn may_wait() -> bool {
    regions() == 0 && !is_no_task()
}

/// Looks whether the calling task may wait here at all; for waits that cannot be broken off once they have begun.
///
/// # Panics
/// In a coroutine, in a region; in [`no_wait`].
#[track_caller]
pub fn assert_may_wait(reason: WaitReason) {
    let forbidden = with_existing(|waiter| waiter.and_then(|waiter| waiter.forbids(&Wait::new(reason))));
    if forbidden.is_some() || is_no_task() {
        refuse(reason);
    }
}

/// The end of a wait that must not be.
#[cold]
#[track_caller]
pub(super) fn refuse(reason: WaitReason) -> ! {
    if let Some(what) = NO_TASK.get() {
        panic!("{what} must not wait, but this has to ({reason})");
    }
    let began = with_existing(|waiter| waiter.and_then(super::Waiter::region));
    let began = began.expect("only a wait in a region is refused");
    panic!(
        "a coroutine must not switch here, but this has to wait ({reason}): it is in the region without switches \
         (`no_suspend`, or the poll of a future) that began at {began}"
    );
}
