//! Who holds a lock, for others to see.

use Ordering::Relaxed;

use crate::park;
use crate::primitive::{AtomicU32, AtomicU64, Ordering, const_unless_loom};

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The task's [number](park::Waiter::id), of a plain thread also before it becomes a task at its first wait; 0 for one
    /// that is just taking the lock or giving it back.
    pub task: u64,
    /// Where it [runs](park::Waiter::home).
    pub home: u32,
}

impl Holder {
    /// The task that calls.
    #[inline]
    pub(crate) fn caller() -> Self {
        let (task, home) = park::identity();
        Self { task, home }
    }
}

/// A lock's note of its holder: a moment late, but never false.
///
/// # Invariant
/// If the number of a task stands in it, that task has taken the lock and has not begun to give it back, or is in a wait to
/// which it was handed (`Wait::comes_back`). So the holder, or who hands the lock on to it, writes the number after the
/// lock is taken, and the holder removes it before the lock is free.
pub(crate) struct Note {
    task: AtomicU64,
    home: AtomicU32,
}

impl Note {
    /// Where in the note the number of the task stands: for an inspector, which reads there from outside.
    #[cfg(not(loom))]
    pub(crate) const TASK_OFFSET: usize = std::mem::offset_of!(Self, task);

    const_unless_loom! {
        /// Of nobody.
        pub(crate) fn new() -> Self {
            Self { task: AtomicU64::new(0), home: AtomicU32::new(0) }
        }
    }

    #[inline]
    pub(crate) fn write(&self, holder: Holder) {
        self.task.store(holder.task, Relaxed);
        self.home.store(holder.home, Relaxed);
    }

    /// Nobody, or nobody in particular.
    #[inline]
    pub(crate) fn clear(&self) {
        self.write(Holder { task: 0, home: 0 });
    }

    /// The holder: is about to give the lock back. Its home may be read a moment longer: nothing depends on that.
    #[inline]
    pub(crate) fn release(&self) {
        self.task.store(0, Relaxed);
    }

    pub(crate) fn read(&self) -> Holder {
        Holder { task: self.task.load(Relaxed), home: self.home() }
    }

    /// The home of the holder.
    #[inline]
    pub(crate) fn home(&self) -> u32 {
        self.home.load(Relaxed)
    }

    /// Whether the caller and the holder are coroutines of one worker: then nothing changes while the caller looks.
    #[inline]
    pub(crate) fn is_neighbour_of(&self, caller: Holder) -> bool {
        caller.home != 0 && caller.home == self.home()
    }
}
