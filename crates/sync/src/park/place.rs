//! Where a task waits, for inspectors: since when, and at which place of its stack.
//!
//! Whoever wants to see the stack of a waiting task stops nobody: the task itself notes the registers before it sleeps,
//! and the inspector copies the stack from outside, through the kernel ([`read_own`]), and looks afterwards whether the task
//! has moved meanwhile. A coroutine and a thread are the same here.
//!
//! # Protocol
//! Owner: **O1** count up, note the registers but the program counter; **O2** note the program counter; sleep; **O3** make
//! that zero. What it does on its stack above the noted pointer it does before O1 or after O3.
//!
//! Inspector: **I1** read the program counter; if it is zero the task runs. **I2** read the rest, copy the stack. **I3** read
//! the program counter and the count again; if either has changed the copy is worthless.
//!
//! # Memory ordering
//! O2 releases what O1 stored, and I1 acquires it (SYNC: place.pc). That an inspector which sees something of what was
//! done after O3 also sees O3 is certain where stores become visible in order (x86-64). On aarch64 a copy may be mixed for
//! the few nanoseconds that O3 takes to arrive; then the trace of that task shows frames that were not there together, and
//! nothing else depends on it. A barrier at every wait would cost more than that is worth.
//!
//! [`read_own`]: ropewalk_sys::memory::read_own

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use Ordering::{Acquire, Relaxed, Release};
use ropewalk_sys::context::{self, Context};

use crate::clock;

std::thread_local! {
    /// The coarse time as of the last [`note_time`]; 0 on a thread that notes none.
    static NOTED: Cell<u64> = const { Cell::new(0) };
}

/// Reads the coarse clock for the waits that follow on this thread, so that each need not. To be called every so often.
pub fn note_time() {
    NOTED.set(clock::coarse_nanos());
}

/// The waits that follow on this thread read the clock themselves.
pub fn forget_time() {
    NOTED.set(0);
}

/// A task's note of where it waits. Not loom's atomics: nothing is decided by them.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// How often it has waited.
    count: AtomicU32,
    /// 0 while it runs.
    pc: AtomicUsize,
    sp: AtomicUsize,
    fp: AtomicUsize,
    since: AtomicU64,
}

/// What an inspector read of a task that waits, or has yielded.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// Where its stack is to be read from.
    pub context: Context,
    count: u32,
}

impl Place {
    /// Owner: waits from now on, called from the frame that does not return before [`leave`](Self::leave).
    #[inline(always)]
    pub(super) fn enter(&self) {
        let noted = NOTED.get();
        self.since.store(if noted == 0 { clock::coarse_nanos() } else { noted }, Relaxed);
        self.enter_briefly();
    }

    /// Owner: as [`enter`](Self::enter), where nobody asks since when.
    #[inline(always)]
    pub(super) fn enter_briefly(&self) {
        let here = context::here();
        self.count.store(self.count.load(Relaxed).wrapping_add(1), Relaxed); // O1
        self.sp.store(here.sp, Relaxed);
        self.fp.store(here.fp, Relaxed);
        // SYNC: place.pc
        self.pc.store(here.pc, Release); // O2
    }

    /// Owner: runs again.
    #[inline(always)]
    pub(super) fn leave(&self) {
        self.pc.store(0, Relaxed); // O3
    }

    /// Anybody: the coarse time at which the last wait began.
    pub(super) fn since(&self) -> u64 {
        self.since.load(Relaxed)
    }

    /// Anybody: where it stands, unless it runs.
    pub(super) fn read(&self) -> Option<Snapshot> {
        let pc = self.pc.load(Acquire); // SYNC: place.pc. I1
        let context = Context { pc, sp: self.sp.load(Relaxed), fp: self.fp.load(Relaxed), lr: 0 };
        (pc != 0).then(|| Snapshot { context, count: self.count.load(Relaxed) })
    }

    /// Anybody: whether it has stood there ever since.
    pub(super) fn is_still(&self, standing: &Snapshot) -> bool {
        std::sync::atomic::fence(Acquire);
        self.pc.load(Relaxed) == standing.context.pc && self.count.load(Relaxed) == standing.count // I3
    }
}
