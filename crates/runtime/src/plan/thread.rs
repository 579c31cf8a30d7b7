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
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::Waker;
use std::time::Instant;

use ropewalk_sync::park::{self, Park, ThreadId, ThreadParker, Waiter, Watched, adopt_thread, waker_of};
use ropewalk_sys::poll::Interest;

use super::scheduling::Scheduling;
use crate::scheduler::shared::Outside;
use crate::task::cell::{Cell, IntoPark, Joinable, Plan};
use crate::task::join::JoinHandle;
use crate::task::{Birth, Header, Owner};

/// How many threads have been started, and how many of them are in the list of threads, or were not started after all.
static STARTED: AtomicU64 = AtomicU64::new(0);
static LISTED: AtomicU64 = AtomicU64::new(0);

/// How many threads have ever been started, if the list of threads that is made afterwards has them all.
pub(crate) fn all_started() -> Option<u64> {
    let listed = LISTED.load(SeqCst);
    Some(STARTED.load(SeqCst)).filter(|started| *started == listed)
}

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

/// A thread that was created and not started.
pub(crate) struct NewThread<F, T>(Arc<Cell<ThreadPlan, F, T>>);

/// Makes a thread that nobody has started yet.
///
/// # Safety
/// What `f` and `T` borrow must live until the task is done.
pub(crate) unsafe fn create_unchecked<F, T>(
    birth: Birth,
    spawned_at: &'static Location<'static>,
    f: F,
) -> (NewThread<F, T>, JoinHandle<T>)
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    let task = Arc::new(Cell::new(Header::new(birth, spawned_at), ThreadPlan(ThreadParker::new()), f));
    let thread = NewThread(task.clone());
    let task: Arc<dyn Joinable<T> + '_> = task;
    // SAFETY: only the lifetime changes; the handle is the caller's, who keeps it within what `T` borrows.
    let task = unsafe { std::mem::transmute::<Arc<dyn Joinable<T> + '_>, Arc<dyn Joinable<T>>>(task) };
    (thread, JoinHandle::new(task))
}

impl<F, T> NewThread<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    /// The task, as what can be cancelled.
    pub(crate) fn park(&self) -> Arc<dyn Park> {
        IntoPark::into_park(self.0.clone())
    }

    /// Starts it, with a stack of that many bytes (`None`: std's default). Whoever counts the task has counted it. That it
    /// cannot be scheduled as it should is told by its handle.
    pub(crate) fn start(self, stack_size: Option<usize>, scheduling: Scheduling) -> io::Result<()> {
        let task = self.0;
        park::remember_original();
        let outside = outside_of(&task.header);
        let park = IntoPark::into_park(task.clone());
        let body = {
            let task = task.clone();
            move || {
                task.plan.0.bind();
                adopt_thread(park);
                LISTED.fetch_add(1, SeqCst);
                match scheduling.apply() {
                    Ok(()) => task.execute(),
                    Err(error) => task.refuse(error),
                }
                // Whoever waits for it was told.
                drop(outside);
            }
        };
        STARTED.fetch_add(1, SeqCst);
        // SAFETY: the promise of `create_unchecked`, the only maker of a `NewThread`: `execute` is over, and the slot
        // empty, before what it borrows ends; afterwards the thread only drops its reference.
        unsafe { start_unchecked(&task.header, stack_size, Box::new(body)) }.inspect_err(|_| {
            LISTED.fetch_add(1, SeqCst);
            // The runtime or scope that counts it has to hear that it will not run.
            task.header.abandon();
        })
    }

    /// As what a thread runs that runs others, too. Whoever counts the task has counted it.
    pub(crate) fn into_job(self) -> Box<dyn Job> {
        let outside = outside_of(&self.0.header);
        let job: Box<dyn Job + '_> = Box::new(NewJob { thread: self, _outside: outside });
        // SAFETY: only the lifetime changes. The promise of `create_unchecked`, the only maker of a `NewThread`: the task is
        // done, and its slot empty, before what it borrows ends; afterwards the job only drops its reference.
        unsafe { std::mem::transmute::<Box<dyn Job + '_>, Box<dyn Job>>(job) }
    }

    /// Will never start it. Whoever counts the task has counted it.
    pub(crate) fn discard(self) {
        self.0.discard();
    }
}

/// Tells the runtime of a task that there is one on a thread, until it is dropped.
fn outside_of(header: &Header) -> Option<Outside> {
    let runtime = header.owner().cloned().and_then(Owner::runtime);
    runtime.and_then(|runtime| runtime.downcast().ok()).as_ref().and_then(Outside::begin)
}

/// Starts the thread of a task. The body comes in a box, so that what starts a thread is compiled once, and not for each
/// function that a program spawns.
///
/// # Safety
/// What the body borrows must live until it has given it up.
unsafe fn start_unchecked(
    header: &Header,
    stack_size: Option<usize>,
    body: Box<dyn FnOnce() + Send + '_>,
) -> io::Result<()> {
    let mut builder = std::thread::Builder::new();
    if let Some(name) = header.name() {
        builder = builder.name(name.to_string());
    }
    if let Some(size) = stack_size {
        builder = builder.stack_size(size);
    }
    // SAFETY: the caller's promise.
    unsafe { builder.spawn_unchecked(body) }.map(drop)
}

/// A task for a thread that runs one after the other.
pub(crate) trait Job: Send {
    /// Runs it on the calling thread, as the task that it is.
    fn run(self: Box<Self>);

    /// Instead: it never starts.
    fn discard(self: Box<Self>);

    /// Whether it was cancelled, and belongs to this scope or runtime.
    fn is_cancelled_of(&self, owner: *const ()) -> bool;
}

struct NewJob<F, T> {
    thread: NewThread<F, T>,
    /// Until it has run.
    _outside: Option<Outside>,
}

impl<F, T> Job for NewJob<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(self: Box<Self>) {
        park::remember_original();
        let task = &self.thread.0;
        task.plan.0.bind();
        park::run_as(&self.thread.park(), || task.execute());
    }

    fn discard(self: Box<Self>) {
        self.thread.discard();
    }

    fn is_cancelled_of(&self, owner: *const ()) -> bool {
        let task = &self.thread.0;
        let own = task.header.owner().map(Arc::as_ptr);
        task.plan.waiter().is_cancelled() && own.is_some_and(|own| std::ptr::addr_eq(own, owner))
    }
}
