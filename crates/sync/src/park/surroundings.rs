//! Where a task stands: whether it unwinds, and what it is inside of. For code that runs on a stack of its own in the
//! middle of a task, and comes and goes there: a generator's body.

use super::{Unparker, Waiter, with_current, with_existing};

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

/// What the calling task is inside of, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    unwinding: bool,
    raising: u32,
    nesting: u32,
}

impl Standing {
    /// That of the calling task.
    #[must_use]
    pub fn now() -> Self {
        // Cheap unless something on this thread unwinds.
        let unwinding = super::is_unwinding();
        with_existing(|waiter| Self {
            unwinding,
            raising: waiter.map_or(0, Waiter::raising),
            nesting: waiter.map_or(0, |waiter| waiter.nesting() + waiter.regions()),
        })
    }

    /// Whether the task unwinds from something that began after `earlier`.
    ///
    /// One case looks as if it did not: a panic that began inside of a destructor of a task that panics already. std says
    /// whether a thread panics, and not how often.
    #[must_use]
    pub fn unwinds_since(&self, earlier: &Self) -> bool {
        self.unwinding && (!earlier.unwinding || self.raising > earlier.raising)
    }

    /// Whether the task is in more [`Nested`] blocks and [`no_suspend`](super::no_suspend) regions than at `earlier`.
    #[must_use]
    pub fn is_nested_since(&self, earlier: &Self) -> bool {
        self.nesting > earlier.nesting
    }
}

/// A block of a task's stack that changes what happens to the task: its deadline, its shield, its scopes. While it lasts
/// the code in it must not hand the task to code outside of it by anything but a return or an unwind; a generator's
/// `yield` would. (Python has the same disease, and PEP 789 the same cure.)
#[derive(Debug)]
pub struct Nested(());

impl Nested {
    /// The calling task enters such a block. To be dropped by the same task, at the end of the block.
    #[must_use = "the block ends when it is dropped"]
    pub fn enter() -> Self {
        with_current(|current| current.waiter().enter());
        Self(())
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        with_current(|current| current.waiter().leave());
    }
}
