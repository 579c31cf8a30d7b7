//! The stacks of a thread's generators.
//!
//! Generators never change threads, so each thread keeps the stacks of its own without locks, hottest first. Who holds a
//! stack holds the pool: a generator that outlives the thread's destructors, or that is never dropped, keeps every mapping.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ropewalk_sync::clock;

use crate::stack::{Pool, Stack};

/// Between two trims of free stacks, and how many come back between two looks at the clock.
const TRIM_EVERY: Duration = Duration::from_millis(100);
const BACK_PER_LOOK: u32 = 64;

pub(super) struct ThreadPool {
    stacks: RefCell<Pool>,
    back: Cell<u32>,
    trimmed_at: Cell<Instant>,
}

thread_local! {
    static POOL: Rc<ThreadPool> = Rc::new(ThreadPool::new());
}

impl ThreadPool {
    fn new() -> Self {
        Self { stacks: RefCell::default(), back: Cell::new(0), trimmed_at: Cell::new(clock::now()) }
    }

    /// That of the calling thread. A thread that is ending, and has lost its own, gets a new one.
    pub(super) fn of_this_thread() -> Rc<Self> {
        POOL.try_with(Rc::clone).unwrap_or_else(|_| Rc::new(Self::new()))
    }

    /// A stack in a slot of `slot_size` bytes.
    pub(super) fn take(&self, slot_size: usize) -> io::Result<Stack> {
        self.stacks.borrow_mut().take(slot_size)
    }

    /// Takes back a stack of this pool, on which no frame is live.
    pub(super) fn give_back(&self, stack: Stack) {
        let mut stacks = self.stacks.borrow_mut();
        stacks.give_back(stack);
        self.back.set((self.back.get() + 1) % BACK_PER_LOOK);
        if self.back.get() == 0 {
            let now = clock::now();
            if now.saturating_duration_since(self.trimmed_at.get()) > TRIM_EVERY {
                self.trimmed_at.set(now);
                stacks.trim();
            }
        }
    }
}
