//! Who holds a lock, for others to see.

use Ordering::Relaxed;

use crate::park;
use crate::primitive::{AtomicU32, AtomicU64, Ordering, const_unless_loom};

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The task's [number](park::Waiter::id); 0 for a plain thread that has not waited for anything yet.
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

/// A lock's note of its holder: valid while it is held, and a moment late.
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
