//! What surrounds the code of a task: whether the task unwinds, and what it is inside of. For code that comes and goes in
//! the middle of a task, on a stack of its own: a generator's body; and for what a task does in the name of others.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::{Unparker, Waiter, with_current, with_existing};
use crate::clock;

/// An unwind of the task that began it that is no panic: to be put into the payload. It lasts from the raise until whoever
/// caught the payload drops it, so it tells such an unwind from a panic of the same task, whatever was raised and caught
/// before.
#[derive(Debug)]
pub struct Raising(Unparker);

impl Raising {
    /// The calling task is about to unwind.
    #[must_use]
    pub fn begin() -> Self {
        let task = Unparker::current();
        task.waiter().begin_raise();
        Self(task)
    }
}

impl Drop for Raising {
    fn drop(&mut self) {
        self.0.waiter().end_raise();
    }
}

/// Whether the calling task unwinds, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwinding {
    unwinding: bool,
    raising: u32,
}

impl Unwinding {
    /// That of the calling task.
    #[inline]
    #[must_use]
    pub fn now() -> Self {
        // A look at a counter of the process: nearly always nothing unwinds anywhere.
        if std::thread::panicking() { Self::of_this_task() } else { Self::default() }
    }

    #[cold]
    fn of_this_task() -> Self {
        let unwinding = super::is_unwinding();
        with_existing(|waiter| Self { unwinding, raising: waiter.map_or(0, Waiter::raising) })
    }

    /// Whether the task unwinds from something that began after `earlier`.
    ///
    /// One case looks as if it did not: a panic that began inside of a destructor of a task that panics already. std says
    /// whether a thread panics, and not how often.
    #[inline]
    #[must_use]
    pub fn began_after(&self, earlier: &Self) -> bool {
        self.unwinding && (!earlier.unwinding || self.raising > earlier.raising)
    }
}

/// A block of a task's code that changes what happens to the task: its deadline, its shield, its scopes, whether it may
/// switch. While it lasts the code in it must not hand the task to code outside of it by anything but a return or an
/// unwind; a generator's `yield` would. (Python has the same disease, and PEP 789 the same cure.)
#[derive(Debug)]
pub struct Nested {
    /// Where the block around this one stands.
    outer: usize,
}

impl Nested {
    /// The calling task enters such a block. To be dropped by the same task on the same stack, at the end of the block.
    #[must_use = "the block ends when it is dropped"]
    pub fn enter() -> Self {
        let here = 0_u8;
        Self { outer: with_current(|current| current.waiter().set_nested((&raw const here).addr())) }
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        with_current(|current| current.waiter().set_nested(self.outer));
    }
}

/// Whether the innermost [`Nested`] block of the calling task stands on this stack.
#[inline]
#[must_use]
pub fn is_nested_on(stack: &Range<usize>) -> bool {
    with_existing(|waiter| waiter.is_some_and(|waiter| stack.contains(&waiter.nested())))
}

/// Runs `f` without cancellation and without the timeouts around it, which come at the first wait afterwards: for what is
/// done once and in the name of all, whoever happens to do it; and for frames that nothing may unwind through.
///
/// # Waits
/// Where `f` does.
///
/// # Cancellation
/// None before `f` has returned.
pub fn uninterrupted<R>(f: impl FnOnce() -> R) -> R {
    /// The shield and the deadline around this one.
    struct Restore(Option<Instant>, Option<Instant>);

    impl Drop for Restore {
        fn drop(&mut self) {
            with_current(|current| {
                current.waiter().leave_shield();
                current.waiter().set_shield(self.0);
                current.waiter().set_timeout_deadline(self.1);
            });
        }
    }

    /// As good as for ever.
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

    let _nested = Nested::enter();
    let _restore = with_current(|current| {
        let waiter = current.waiter();
        waiter.enter_shield();
        Restore(waiter.set_shield(clock::after(CENTURY)), waiter.set_timeout_deadline(None))
    });
    f()
}
