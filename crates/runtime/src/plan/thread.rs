//! Tasks on OS threads.
//!
//! A thread waits in system calls of its own: no scheduler, no driver and no other thread takes part, so it costs what a
//! `std::thread` costs. What it has over one: it can be cancelled at its waits, joined with a time limit, and it counts
//! as a child of the task that spawned it.

use std::any::Any;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use ropewalk_sync::park::{self, Park, ThreadId, ThreadParker, Waiter, Watched, adopt_thread, waker_of};
use ropewalk_sys::poll::Interest;

use crate::scheduler::shared::Outside;
use crate::task::cell::{Cell, IntoPark, Joinable, Plan};
use crate::task::join::JoinHandle;
use crate::task::{Birth, Header, Owner};

struct ThreadPlan(ThreadParker);

impl Plan for ThreadPlan {
    fn waiter(&self) -> &Waiter {
        self.0.waiter()
    }
}

// SAFETY: everything is the parker's; `spawn_unchecked` makes it current on its own thread, which keeps the Arc.
unsafe impl<F: FnOnce() -> T, T> Park for Cell<ThreadPlan, F, T> {
    fn waiter(&self) -> &Waiter {
        self.plan.0.waiter()
    }

    fn sleep(&self, deadline: Option<Instant>) {
        self.plan.0.sleep(deadline);
    }

    fn yield_now(&self) {
        self.plan.0.yield_now();
    }

    fn task(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(&self.header)
    }

    fn resume(self: Arc<Self>) {
        self.plan.0.interrupt();
    }

    fn into_waker(self: Arc<Self>) -> Waker {
        // SAFETY: as in `into_park`.
        unsafe { waker_of(self) }
    }

    fn watch(&self, fd: BorrowedFd<'_>, source: &Arc<dyn Watched>) -> io::Result<()> {
        self.plan.0.watch(fd, source)
    }

    fn poll(&self, fd: BorrowedFd<'_>, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        self.plan.0.poll(fd, interest, deadline)
    }

    fn thread(&self) -> Option<ThreadId> {
        self.plan.0.thread()
    }
}

impl<F: FnOnce() -> T, T> IntoPark for Cell<ThreadPlan, F, T> {
    fn into_park(self: Arc<Self>) -> Arc<dyn Park> {
        // SAFETY: only the lifetime changes. Once the task is done its slot is empty, and nothing that outlives the
        // task's scope touches the slot (`task::cell`, rules 1 and 2).
        unsafe { std::mem::transmute::<Arc<dyn Park + '_>, Arc<dyn Park>>(self) }
    }
}

/// Starts a thread that runs `f`. `introduce` is shown the task before it starts.
///
/// # Safety
/// What `f` and `T` borrow must live until the task is done.
pub(crate) unsafe fn spawn_unchecked<F, T>(
    birth: Birth,
    stack_size: Option<usize>,
    spawned_at: &'static Location<'static>,
    introduce: impl FnOnce(&Arc<dyn Park>),
    f: F,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    park::remember_original();
    let mut builder = std::thread::Builder::new();
    if let Some(name) = &birth.name {
        builder = builder.name(name.to_string());
    }
    if let Some(size) = stack_size {
        builder = builder.stack_size(size);
    }
    let runtime = birth.owner.clone().and_then(Owner::runtime).and_then(|runtime| runtime.downcast().ok());
    let outside = runtime.as_ref().and_then(Outside::begin);
    let header = Header::new(birth, spawned_at);
    let task = Arc::new(Cell::new(header, ThreadPlan(ThreadParker::new()), f));
    let park = IntoPark::into_park(task.clone());
    introduce(&park);
    let body = {
        let task = task.clone();
        move || {
            task.plan.0.bind();
            adopt_thread(park);
            task.execute();
            // Whoever waits for it was told.
            drop(outside);
        }
    };
    // SAFETY: the caller's promise: `execute` is over, and the slot empty, before what it borrows ends; afterwards the
    // thread only drops its reference.
    let started = unsafe { builder.spawn_unchecked(body) };
    match started {
        Ok(thread) => drop(thread),
        Err(error) => {
            // The runtime or scope that counts it has to hear that it will not run.
            task.header.abandon();
            return Err(error);
        }
    }
    let task: Arc<dyn Joinable<T> + '_> = task;
    // SAFETY: only the lifetime changes; the handle is the caller's, who keeps it within what `T` borrows.
    let task = unsafe { std::mem::transmute::<Arc<dyn Joinable<T> + '_>, Arc<dyn Joinable<T>>>(task) };
    Ok(JoinHandle::new(task))
}
