//! Who runs next, with the fair schedule: shifts.

use std::cell::Cell;

use super::Worker;
use crate::scheduler::core::Ready;

/// How many turns belong to coroutines of one kind, as long as there are any, before the other kind has its turn. Who joins
/// many that he has spawned finds as many ended whenever he runs, and waits once for all of them.
const SHIFT: u32 = 16;

/// Whose turn it is: the turns that are left to those that have started, and to those that have not. One of the two is zero.
pub(super) struct Shift {
    started: Cell<u32>,
    unstarted: Cell<u32>,
}

impl Default for Shift {
    fn default() -> Self {
        Self { started: Cell::new(SHIFT), unstarted: Cell::new(0) }
    }
}

impl Worker {
    /// Who runs next, if anybody can.
    #[inline(always)]
    pub(super) fn next(&self) -> Option<Ready> {
        let left = self.shift.started.get();
        if left > 0
            && !self.seeded
            && let Some(task) = self.ready.borrow_mut().pop_front()
        {
            self.shift.started.set(left - 1);
            return Some(task);
        }
        self.next_otherwise()
    }

    /// The others' shift, or the end of one.
    #[inline(never)]
    fn next_otherwise(&self) -> Option<Ready> {
        if self.seeded {
            return self.draw();
        }
        let left = self.shift.unstarted.get();
        self.shift.unstarted.set(if left > 0 { left } else { SHIFT } - 1);
        self.shift.started.set(0);
        if let Some(task) = self.next_unstarted() {
            if self.shift.unstarted.get() == 0 {
                self.shift.started.set(SHIFT);
            }
            return Some(task);
        }
        self.shift.unstarted.set(0);
        self.shift.started.set(SHIFT - 1);
        self.ready.borrow_mut().pop_front()
    }

    fn next_unstarted(&self) -> Option<Ready> {
        // To look is cheap, to take is a fence.
        if self.fresh.is_empty() {
            return None;
        }
        while let Some(task) = self.fresh.pop() {
            // It was counted when it was queued.
            if self.start(&task) {
                return Some(task);
            }
            self.remote.load.sub();
        }
        None
    }
}
