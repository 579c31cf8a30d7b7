//! The part of a coroutine that schedulers touch.
//!
//! # Who may touch what
//! 1. [`Core::waiter`], the claim and the home are for everybody.
//! 2. The [`Frame`] is for the worker that has claimed the coroutine, on its own thread, and for nobody else, ever.

use std::cell::{Cell, RefCell};
use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ropewalk_sync::clock::NEVER;
use ropewalk_sync::park::{Park, Waiter};
use ropewalk_sys::switch::{Suspended, prepare, switch};

use super::remote::Remote;
use super::shared::Shared;
use crate::hooks::Saved;
use crate::stack::overflow::Running;
use crate::stack::{FRAME, Stack};
use crate::task::Header;
use crate::task::cell::Plan;

/// Why a coroutine gave its worker back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Command {
    /// It waits: whoever wakes it puts it into the queue.
    Parked,
    /// It lets others run.
    Yielded,
    /// Its body has returned. It does not go on any more.
    Ended,
}

impl Command {
    /// From the word that was passed over the switch.
    fn from_word(word: usize) -> Self {
        match word {
            0 => Self::Parked,
            1 => Self::Yielded,
            _ => Self::Ended,
        }
    }
}

/// No place in a list of the worker.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// What only the coroutine's worker touches. It lives at the top of the coroutine's stack, in the page that is touched
/// anyway, and so takes no memory before the start. What a switch needs stands first, in one line of the cache.
#[repr(C, align(64))]
pub(crate) struct Frame {
    /// Where the coroutine goes on, while it does not run.
    goes_on: Cell<Suspended>,
    /// Where the worker goes on, while the coroutine runs.
    worker: Cell<Suspended>,
    /// What runs when it does: itself, or the generator in whose body it waits. Kept here while it does not run.
    pub(crate) innermost: Cell<*const Running>,
    /// The task's number.
    pub(crate) id: u64,
    /// When it wants to be woken at the latest, in the clock's nanoseconds.
    pub(crate) wake_at: Cell<u64>,
    /// What the switch hooks keep of it; `None` before the first turn, and where there are no hooks.
    pub(crate) saved: RefCell<Option<Box<Saved>>>,
    /// Its place among the live coroutines of the worker.
    pub(crate) live: Cell<u32>,
    /// Its place among the timers of the worker.
    pub(crate) timer: Cell<u32>,
    /// Lives while the coroutine does: the worker keeps it.
    task: *const dyn Runnable,
    /// What the overflow report says of the coroutine itself.
    pub(crate) own: Running,
    /// Taken out at the end.
    stack: Cell<Option<Stack>>,
}

/// What a switch touches of a frame.
pub(super) const FRAME_HEAD: usize = 64;

impl Frame {
    /// Worker: runs the coroutine until it gives the worker back.
    ///
    /// # Safety
    /// [`Core`], rule 2: the caller is the claiming worker; the coroutine has not ended, and does not resume itself.
    #[inline(always)]
    pub(crate) unsafe fn resume(&self) -> Command {
        // SAFETY: it stands where it was left last, or was prepared, on a stack of its own that lives until it has ended;
        // only its worker knows of it. Nothing unwinds: `begin` lets nothing out.
        Command::from_word(unsafe { switch(self.worker.as_ptr(), self.goes_on.get(), 0) })
    }

    /// Coroutine: gives the worker back, until it is resumed.
    ///
    /// # Safety
    /// The caller is the coroutine, on its own stack.
    #[inline(always)]
    pub(crate) unsafe fn suspend(&self, command: Command) {
        // SAFETY: the worker stands in `resume`. A suspended coroutine is never dropped (`stack`, the invariant).
        unsafe { switch(self.goes_on.as_ptr(), self.worker.get(), command as usize) };
    }
}

/// Where each coroutine begins.
unsafe extern "C" fn begin(frame: *mut u8) -> ! {
    // SAFETY: `set_frame` passes the frame; what it points to lives until the body has returned.
    let frame = unsafe { &*frame.cast::<Frame>().cast_const() };
    // SAFETY: as above.
    unsafe { &*frame.task }.execute();
    // SAFETY: this is the coroutine.
    unsafe { frame.suspend(Command::Ended) };
    unreachable!("who has ended is not resumed")
}

const _: () =
    assert!(size_of::<Frame>() <= FRAME, "the frame fits into the room that every stack keeps for it");

/// The scheduling part of a coroutine.
pub(crate) struct Core {
    waiter: Waiter,
    /// The slot that its stack needs.
    pub(crate) slot_size: usize,
    /// Null before the start and after the end.
    frame: Cell<*const Frame>,
    /// The runtime, one of whose workers starts it.
    shared: Arc<Shared>,
    /// Which of them has claimed it: then it belongs to that one. [`NOBODY`] before.
    home: AtomicU32,
}

const NOBODY: u32 = u32::MAX;

// SAFETY: the frame is touched by one thread only, the claiming worker's (rule 2); the rest is Sync by itself.
unsafe impl Sync for Core {}
// SAFETY: before the claim the frame is empty; afterwards rule 2 holds wherever the `Arc` of the task goes. The last
// reference is dropped after the worker has emptied the frame, or the frame is leaked with its stack.
unsafe impl Send for Core {}

impl Core {
    pub(crate) fn new(shared: Arc<Shared>, slot_size: usize) -> Self {
        Self {
            waiter: Waiter::new(true),
            slot_size,
            shared,
            home: AtomicU32::new(NOBODY),
            frame: Cell::new(ptr::null()),
        }
    }

    /// A worker of its runtime claims the right to start it. `false`: somebody else has.
    pub(crate) fn claim(&self, worker: &Remote) -> bool {
        // The closure was published to the claimer by the queue that it came through.
        let claimed = self.home.compare_exchange(NOBODY, worker.place(), Relaxed, Relaxed).is_ok();
        if claimed {
            self.waiter.set_home(worker.number());
        }
        claimed
    }

    /// Whether somebody has claimed it: then it belongs to that worker.
    pub(crate) fn is_claimed(&self) -> bool {
        self.home.load(Relaxed) != NOBODY
    }

    /// The runtime that it belongs to.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The worker that it belongs to, once it was claimed.
    pub(crate) fn home(&self) -> Option<&Arc<Remote>> {
        self.shared.remotes.get(self.home.load(Relaxed) as usize)
    }

    /// The worker has claimed it: puts the frame of `task`, which is the one that this belongs to, into the stack's top.
    ///
    /// # Safety
    /// Rule 2; `task` lives until the coroutine has ended.
    pub(crate) unsafe fn set_frame(&self, stack: Stack, task: *const dyn Runnable, live: u32, own: Running) {
        let frame = stack.frame().cast::<Frame>();
        // SAFETY: `Stack::frame` promises room and alignment, and nobody else uses it while the stack is taken. Below it is
        // the stack.
        unsafe {
            frame.write(Frame {
                stack: Cell::new(Some(stack)),
                goes_on: Cell::new(prepare(frame.cast(), begin, frame.as_ptr().cast())),
                worker: Cell::new(Suspended::NOWHERE),
                task,
                id: self.waiter.id(),
                live: Cell::new(live),
                timer: Cell::new(NOWHERE),
                wake_at: Cell::new(NEVER),
                own,
                innermost: Cell::new(ptr::null()),
                saved: RefCell::new(None),
            });
            let frame = frame.as_ref();
            frame.innermost.set(&raw const frame.own);
        }
        self.frame.set(frame.as_ptr());
    }

    /// Where the frame stands; 0 before the start and after the end. For the worker that has claimed the coroutine.
    pub(crate) fn frame_address(&self) -> usize {
        self.frame.get().addr()
    }

    /// # Safety
    /// Rule 2: the caller is the claiming worker, on its thread, after the start and before the end.
    pub(crate) unsafe fn frame(&self) -> &Frame {
        debug_assert!(!self.frame.get().is_null(), "it was started and has not ended");
        // SAFETY: it lives at the top of the stack, which is taken as long as the coroutine lives.
        unsafe { &*self.frame.get() }
    }

    /// Takes the stack out of the frame, which is gone then.
    ///
    /// # Safety
    /// Rule 2; the coroutine has ended.
    pub(crate) unsafe fn take_stack(&self) -> Stack {
        // SAFETY: the caller's promise. `saved` was taken out by the worker, and nothing else in the frame needs to be dropped.
        let stack = unsafe { self.frame() }.stack.take();
        self.frame.set(ptr::null());
        stack.expect("a coroutine ends once")
    }
}

impl Plan for Core {
    fn waiter(&self) -> &Waiter {
        &self.waiter
    }
}

/// A coroutine as its worker sees it.
pub(crate) trait Runnable: Park {
    fn core(&self) -> &Core;
    fn header(&self) -> &Header;
    /// Runs the body, on the coroutine's own stack.
    fn execute(&self);
    /// It will never run, for this reason.
    fn refuse(&self, reason: io::Error);
    /// It was created, and will never be started.
    fn discard(&self);
}

/// A coroutine in a queue.
pub(crate) type Ready = Arc<dyn Runnable>;
