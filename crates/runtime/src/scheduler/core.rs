//! The part of a coroutine that schedulers touch.
//!
//! # Who may touch what
//! 1. [`Core::waiter`], the claim and the home are for everybody.
//! 2. The [`Frame`] is for the worker that has claimed the coroutine, on its own thread, and for nobody else, ever.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use corosensei::{Coroutine, Yielder};
use ropewalk_sync::clock::NEVER;
use ropewalk_sync::park::{Park, Waiter};

use super::remote::Remote;
use super::shared::Shared;
use crate::hooks::Saved;
use crate::stack::overflow::Running;
use crate::stack::{FRAME, Stack};
use crate::task::Header;
use crate::task::cell::Plan;

/// Why a coroutine gave its worker back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// It waits: whoever wakes it puts it into the queue.
    Parked,
    /// It lets others run.
    Yielded,
}

/// No place in a list of the worker.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// What only the coroutine's worker touches. It lives at the top of the coroutine's stack, in the page that is touched
/// anyway, and so takes no memory before the start.
#[repr(align(64))]
pub(crate) struct Frame {
    pub(crate) coroutine: UnsafeCell<Coroutine<(), Command, (), Stack>>,
    /// Lives on the coroutine's stack while it is started.
    pub(crate) yielder: Cell<*const Yielder<(), Command>>,
    /// Its place among the live coroutines of the worker.
    pub(crate) live: Cell<u32>,
    /// Its place among the timers of the worker.
    pub(crate) timer: Cell<u32>,
    /// When it wants to be woken at the latest, in the clock's nanoseconds.
    pub(crate) wake_at: Cell<u64>,
    /// What the overflow report says of the coroutine itself.
    pub(crate) own: Running,
    /// What runs when it does: itself, or the generator in whose body it waits. Kept here while it does not run.
    pub(crate) innermost: Cell<*const Running>,
    /// What the switch hooks keep of it; `None` before the first turn, and where there are no hooks.
    pub(crate) saved: RefCell<Option<Box<Saved>>>,
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

    /// The worker has claimed it, and `coroutine` is to run it: puts the frame into the stack's top.
    ///
    /// # Safety
    /// Rule 2; `frame` is the room at the top of the coroutine's own stack.
    pub(crate) unsafe fn set_frame(
        &self,
        frame: NonNull<u8>,
        coroutine: Coroutine<(), Command, (), Stack>,
        live: u32,
        own: Running,
    ) {
        let frame = frame.cast::<Frame>();
        // SAFETY: `Stack::frame` promises room and alignment, and nobody else uses it while the stack is taken.
        unsafe {
            frame.write(Frame {
                coroutine: UnsafeCell::new(coroutine),
                yielder: Cell::new(ptr::null()),
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

    /// Takes the coroutine out of its frame, which is gone then.
    ///
    /// # Safety
    /// Rule 2; the coroutine has returned.
    pub(crate) unsafe fn take_coroutine(&self) -> Coroutine<(), Command, (), Stack> {
        let frame = self.frame.replace(ptr::null());
        debug_assert!(!frame.is_null(), "a coroutine ends once");
        // SAFETY: read once, because the pointer is null from now on; `saved` was taken out by the worker, and nothing else
        // in the frame needs to be dropped.
        unsafe { (*frame).coroutine.get().read() }
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
