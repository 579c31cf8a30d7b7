//! The part of a coroutine that schedulers touch.
//!
//! # Who may touch what
//! 1. [`Core::waiter`], the claim and the home are for everybody.
//! 2. The [`Frame`] is for the worker that has claimed the coroutine, on its own thread, and for nobody else, ever.

use std::cell::{Cell, UnsafeCell};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use corosensei::{Coroutine, Yielder};
use ropewalk_sync::clock::NEVER;
use ropewalk_sync::park::{Park, Waiter};

use super::remote::Remote;
use crate::stack::Stack;
use crate::stack::overflow::Running;
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

/// What only the coroutine's worker touches.
pub(crate) struct Frame {
    pub(crate) coroutine: UnsafeCell<Option<Coroutine<(), Command, (), Stack>>>,
    /// Lives on the coroutine's stack while it is started.
    pub(crate) yielder: Cell<*const Yielder<(), Command>>,
    /// Its place among the live coroutines of the worker.
    pub(crate) live: Cell<u32>,
    /// Its place among the timers of the worker.
    pub(crate) timer: Cell<u32>,
    /// When it wants to be woken at the latest, in the clock's nanoseconds.
    pub(crate) wake_at: Cell<u64>,
    /// What the overflow report says.
    pub(crate) running: UnsafeCell<Option<Running>>,
}

/// The scheduling part of a coroutine.
pub(crate) struct Core {
    waiter: Waiter,
    /// The slot that its stack needs.
    pub(crate) slot_size: usize,
    claimed: AtomicBool,
    /// The worker that it belongs to once it has started.
    home: OnceLock<Arc<Remote>>,
    frame: Frame,
}

// SAFETY: the frame is touched by one thread only, the claiming worker's (rule 2); the rest is Sync by itself.
unsafe impl Sync for Core {}
// SAFETY: before the claim the frame is empty; afterwards rule 2 holds wherever the `Arc` of the task goes. The last
// reference is dropped after the worker has emptied the frame, or the frame is leaked with its stack.
unsafe impl Send for Core {}

impl Core {
    pub(crate) fn new(slot_size: usize) -> Self {
        Self {
            waiter: Waiter::new(true),
            slot_size,
            claimed: AtomicBool::new(false),
            home: OnceLock::new(),
            frame: Frame {
                coroutine: UnsafeCell::new(None),
                yielder: Cell::new(ptr::null()),
                live: Cell::new(NOWHERE),
                timer: Cell::new(NOWHERE),
                wake_at: Cell::new(NEVER),
                running: UnsafeCell::new(None),
            },
        }
    }

    /// Claims the right to start it. `false`: somebody else has.
    pub(crate) fn claim(&self) -> bool {
        // The closure was published to the claimer by the queue that it came through.
        !self.claimed.swap(true, Relaxed)
    }

    /// Whether somebody has claimed it: then it belongs to that worker.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed.load(Relaxed)
    }

    pub(crate) fn set_home(&self, home: Arc<Remote>) {
        self.waiter.set_home(home.number());
        let _ = self.home.set(home);
    }

    pub(crate) fn home(&self) -> Option<&Arc<Remote>> {
        self.home.get()
    }

    /// # Safety
    /// Rule 2: the caller is the claiming worker, on its thread.
    pub(crate) unsafe fn frame(&self) -> &Frame {
        &self.frame
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
}

/// A coroutine in a queue.
pub(crate) type Ready = Arc<dyn Runnable>;
