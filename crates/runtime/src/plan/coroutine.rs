//! Tasks as coroutines: the waiting half, and how one comes into being.

use std::any::Any;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use ropewalk_sync::clock::{self, NEVER};
use ropewalk_sync::park::word::Sleep;
use ropewalk_sync::park::{self, Home, Interest, Operation, Park, Unparker, Waiter, Watched};

use super::pool;
use crate::scheduler::core::{Command, Core, Ready, Runnable};
use crate::scheduler::remote::Message;
use crate::scheduler::shared::Shared;
use crate::scheduler::worker::with_worker;
use crate::task::cell::{Cell, IntoPark, Joinable, Plan};
use crate::task::join::JoinHandle;
use crate::task::{Birth, Header};

/// A task of which nobody has asked anything rare is one allocation: this, the closure or the result, and the two counters
/// of its `Arc`, 336 bytes at the last look. (The design hoped for 256.)
const _: () = assert!(size_of::<Cell<Core, (), ()>>() + 16 <= 384, "a task fits into six lines of the cache");

/// Gives the worker back. To be called by the coroutine itself.
fn suspend(core: &Core, command: Command) {
    // SAFETY: `Core`, rule 2: the coroutine runs, so this is its worker.
    unsafe { core.frame().suspend(command) };
}

impl<F: FnOnce() -> T, T> Cell<Core, F, T> {
    /// The task itself, in the form that queues hold.
    fn to_ready(&self) -> Ready {
        // SAFETY: every task of this plan is made by `spawn_unchecked`, in an Arc, and the caller holds a reference.
        let task = unsafe {
            let pointer: *const Self = self;
            Arc::increment_strong_count(pointer);
            Arc::from_raw(pointer)
        };
        task.into_ready()
    }

    fn into_ready(self: Arc<Self>) -> Ready {
        // SAFETY: only the lifetime changes. Once the task is done its slot is empty, and nothing that outlives the
        // task's scope touches the slot (`task::cell`, rules 1 and 2).
        unsafe { std::mem::transmute::<Arc<dyn Runnable + '_>, Ready>(self) }
    }
}

// SAFETY: (1) `sleep` and `yield_now` only suspend, which does not unwind; `poll` is only for
// threads. (2) `Worker::run` makes it current while it runs, and keeps it in `live`.
unsafe impl<F: FnOnce() -> T, T> Park for Cell<Core, F, T> {
    fn waiter(&self) -> &Waiter {
        self.plan.waiter()
    }

    fn sleep(&self, deadline: Option<Instant>) {
        let word = self.plan.waiter().word();
        if !word.fall_asleep(Sleep::Suspended) {
            return;
        }
        if let Some(deadline) = deadline {
            let at = clock::nanos(deadline);
            // SAFETY: `Core`, rule 2: the coroutine runs, so this is its worker.
            unsafe { self.plan.frame() }.wake_at.set(at);
            with_worker(|worker| worker.expect("a coroutine runs on a worker").arm(&self.to_ready(), at));
        }
        suspend(&self.plan, Command::Parked);
        if deadline.is_some() {
            // SAFETY: as above.
            unsafe { self.plan.frame() }.wake_at.set(NEVER);
        }
        word.wake_up();
    }

    fn yield_now(&self) {
        suspend(&self.plan, Command::Yielded);
    }

    fn task(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(&self.header)
    }

    fn resume(self: Arc<Self>) {
        let home = self.plan.waiter().home();
        let task = self.into_ready();
        with_worker(|worker| match worker {
            Some(worker) if worker.remote.number() == home => worker.push_ready(task),
            _ => {
                let home = task.core().home().expect("who sleeps has started").clone();
                // A worker that has ended has leaked its coroutines: they never run again.
                drop(home.post(Message::Woken(task)));
            }
        });
    }

    fn into_waker(self: Arc<Self>) -> Waker {
        // SAFETY: as in `into_ready`; the last reference drops an empty slot, or what the handle left there.
        unsafe { park::waker_of(self) }
    }

    fn watch(&self, fd: BorrowedFd<'_>, source: &Arc<dyn Watched>) -> io::Result<()> {
        with_worker(|worker| {
            let worker = worker.expect("a coroutine runs on a worker");
            source.registration().ensure(|| {
                let token = worker.watch(fd, source)?;
                Ok((worker.remote.clone() as Arc<dyn Home>, token))
            })
        })
    }

    unsafe fn begin(&self, operation: &Operation<'_>) -> u64 {
        with_worker(|worker| {
            let worker = worker.expect("a coroutine runs on a worker");
            // SAFETY: the caller's promise. A call on the pool is made once, and only while the operation is under way.
            unsafe {
                worker.begin(operation, Unparker::current(), |home, token| {
                    pool::make(operation.detach(), move |result| {
                        // A worker that has ended has leaked who waits.
                        drop(home.post(Message::Completed(token, result)));
                    })
                })
            }
        })
    }

    unsafe fn begin_by_driver(&self, operation: &Operation<'_>) -> Option<u64> {
        with_worker(|worker| {
            let worker = worker.expect("a coroutine runs on a worker");
            // SAFETY: the caller's promise.
            unsafe { worker.begin_by_driver(operation, Unparker::current()) }.ok()
        })
    }

    fn outcome(&self, token: u64) -> Option<io::Result<usize>> {
        with_worker(|worker| worker.expect("a coroutine runs on a worker").outcome(token))
    }

    fn break_off(&self, token: u64) {
        with_worker(|worker| worker.expect("a coroutine runs on a worker").break_off(token));
    }

    fn poll(&self, _fd: BorrowedFd<'_>, _interest: Interest, _deadline: Option<Instant>) -> io::Result<()> {
        unreachable!("a coroutine waits for its driver")
    }
}

impl<F: FnOnce() -> T, T> Runnable for Cell<Core, F, T> {
    fn core(&self) -> &Core {
        &self.plan
    }

    fn header(&self) -> &Header {
        &self.header
    }

    fn execute(&self) {
        Cell::execute(self);
    }

    fn refuse(&self, reason: io::Error) {
        Cell::refuse(self, reason);
    }

    fn discard(&self) {
        Cell::discard(self);
    }
}

impl<F: FnOnce() -> T, T> IntoPark for Cell<Core, F, T> {
    fn into_park(self: Arc<Self>) -> Arc<dyn Park> {
        self.into_ready()
    }

    fn run_next(self: Arc<Self>) -> bool {
        with_worker(|worker| worker.is_some_and(|worker| worker.run_next(self.into_ready())))
    }
}

/// Makes a coroutine that nobody has queued yet.
///
/// # Safety
/// What `F` and `T` borrow must live until the task is done; both may be dropped only on a thread that may have them.
pub(crate) unsafe fn create_unchecked<F, T>(
    shared: Arc<Shared>,
    birth: Birth,
    slot_size: usize,
    spawned_at: &'static Location<'static>,
    f: F,
) -> (Ready, JoinHandle<T>)
where
    F: FnOnce() -> T,
{
    let task = Arc::new(Cell::new(Header::new(birth, spawned_at), Core::new(shared, slot_size), f));
    let ready = task.clone().into_ready();
    let task: Arc<dyn Joinable<T> + '_> = task;
    // SAFETY: only the lifetime changes; the handle is the caller's, who keeps it within what `T` borrows.
    let task = unsafe { std::mem::transmute::<Arc<dyn Joinable<T> + '_>, Arc<dyn Joinable<T>>>(task) };
    (ready, JoinHandle::new(task))
}
