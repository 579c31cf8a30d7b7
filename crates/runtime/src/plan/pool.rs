//! Threads kept for calls that block: what `blocking` runs on.
//!
//! A call that blocks its thread would hold up every coroutine of its worker, so it goes to a thread of this pool while
//! the coroutine waits for it. The pool grows with the calls that are under way, to [`THREADS_MAX`]; what comes then
//! waits in line. A thread that had nothing to do for [`IDLE`] ends. Each waiting call has a task that waits for it, so
//! the line is no longer than there are tasks.
//!
//! An operation that a driver does not make is made here, too, and can be interrupted. One that waits for what others do - a
//! lock, the other end of a FIFO - adds one to the limit while it lasts: those others may need the pool themselves.

use std::collections::VecDeque;
use std::io;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Cancelled, Operation, Park, ThreadId, Wait, WaitReason, Waiter};
use ropewalk_sync::primitive::lock;
use ropewalk_sync::wait_list::WaitList;

use crate::scheduler::operations::Elsewhere;
use crate::scheduler::shared::Outside;
use crate::scheduler::worker::with_worker;
use crate::task::cell::{Cell, IntoPark, Joinable, Plan};
use crate::task::current::{current_owner, on_behalf_of};
use crate::task::{Birth, Header, local};

/// As many blocking calls go on at once.
const THREADS_MAX: usize = 512;
/// How long a thread waits for the next call.
const IDLE: Duration = Duration::from_secs(10);

struct PoolPlan(Waiter);

impl Plan for PoolPlan {
    fn waiter(&self) -> &Waiter {
        &self.0
    }
}

/// A call, as the pool sees it.
trait Call: Send + Sync {
    fn execute(&self);

    /// Whether it may wait for others, who may need the pool.
    fn waits_for_others(&self) -> bool {
        false
    }

    /// The address of its header: what its caller waits for.
    fn object(&self) -> usize;
}

impl<F: FnOnce() -> T, T> Call for Cell<PoolPlan, F, T> {
    fn execute(&self) {
        Cell::execute(self);
        // The values of one call are none of the next one's.
        local::drop_all(park::current(|waiter, _| waiter.id()));
    }

    fn object(&self) -> usize {
        std::ptr::from_ref(&self.header).addr()
    }
}

impl<F: FnOnce() -> T, T> IntoPark for Cell<PoolPlan, F, T> {
    fn into_park(self: Arc<Self>) -> Arc<dyn Park> {
        unreachable!("a call on the pool has no handle that could cancel it")
    }
}

#[derive(Default)]
struct Pool {
    calls: VecDeque<Arc<dyn Call>>,
    threads: usize,
    /// How many of the calls in line or under way may wait for others.
    waiting_for_others: usize,
    /// Which call is under way on which thread, for inspectors.
    executing: Vec<Executing>,
}

/// A call that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Executing {
    /// What its caller waits for.
    pub(crate) object: usize,
    /// The number of the thread that makes it, as a task.
    pub(crate) thread: u64,
}

/// The calls that are under way.
pub(crate) fn executing() -> Vec<Executing> {
    pool().lock().executing.clone()
}

fn pool() -> &'static WaitList<Pool> {
    static POOL: OnceLock<WaitList<Pool>> = OnceLock::new();
    POOL.get_or_init(WaitList::default)
}

fn submit(call: Arc<dyn Call>) {
    let pool = pool();
    let mut state = pool.lock();
    state.waiting_for_others += usize::from(call.waits_for_others());
    state.calls.push_back(call);
    // A thread that has been told already counts as idle no longer, so one that waits is free for this call.
    if let Some(thread) = state.notify_first(0) {
        drop(state);
        thread.unpark();
    } else if state.threads < THREADS_MAX + state.waiting_for_others {
        state.threads += 1;
        let first = state.threads == 1;
        drop(state);
        let started = std::thread::Builder::new().name("ropewalk-blocking".into()).spawn(serve_calls);
        if started.is_err() {
            pool.lock().threads -= 1;
            if first {
                // Not even one: better to hold up this worker than to wait for ever.
                serve_pending();
            }
        }
    }
}

fn serve_pending() {
    loop {
        let call = pool().lock().calls.pop_front();
        match call {
            Some(call) => {
                call.execute();
                pool().lock().waiting_for_others -= usize::from(call.waits_for_others());
            }
            None => return,
        }
    }
}

fn serve_calls() {
    let pool = pool();
    let thread = park::current(|waiter, _| waiter.id());
    let mut state = pool.lock();
    loop {
        if let Some(call) = state.calls.pop_front() {
            state.executing.push(Executing { object: call.object(), thread });
            drop(state);
            call.execute();
            let waited_for_others = call.waits_for_others();
            drop(call);
            state = pool.lock();
            state.waiting_for_others -= usize::from(waited_for_others);
            state.executing.retain(|executing| executing.thread != thread);
            continue;
        }
        let wait = Wait::new(WaitReason::Idle).object(pool).until(clock::after(IDLE));
        let idle_too_long = pool.wait(state, &wait).is_err();
        state = pool.lock();
        if idle_too_long && state.calls.is_empty() {
            state.threads -= 1;
            return;
        }
    }
}

/// Runs `f`, which may block, without holding up other coroutines: in a coroutine on a thread of its own, while the
/// caller waits; anywhere else right here. Because the caller waits until `f` is over, `f` may borrow. What `f` spawns
/// belongs to the caller's runtime.
///
/// ```
/// let mut words = vec!["rope", "walk"];
/// let joined = ropewalk_runtime::blocking(|| {
///     words.sort(); // a borrow: no `'static`, no `move`
///     words.join("-") // imagine a call into a C library that takes a second
/// });
/// assert_eq!(joined, "rope-walk");
/// ```
///
/// # Panics
/// If `f` panics, with its payload; in a coroutine, in a region where it must not switch ([`no_suspend`](fn@crate::no_suspend)).
///
/// # Waits
/// Until `f` has returned; in line, where 512 calls are under way.
///
/// # Cancellation
/// Not before `f` has returned: it borrows from here.
#[track_caller]
pub fn blocking<F, T>(f: F) -> T
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    if !park::is_coroutine() {
        return f();
    }
    // Here, because the wait that follows cannot be broken off.
    park::assert_may_wait(WaitReason::Blocking);
    // Until this coroutine runs again.
    let _outside = with_worker(|worker| worker.and_then(|worker| Outside::begin(&worker.shared)));
    let header = Header::new(Birth::default(), Location::caller());
    let owner = current_owner();
    let call = || on_behalf_of(owner, f);
    let cell = Arc::new(Cell::new(header, PoolPlan(Waiter::new(false)), call));
    let call: Arc<dyn Call + '_> = cell.clone();
    // SAFETY: only the lifetime changes. This function does not return or unwind before the call is done, and from then
    // on the slot is touched only here (`task::cell`, rule 2).
    submit(unsafe { std::mem::transmute::<Arc<dyn Call + '_>, Arc<dyn Call>>(call) });
    let wait = Wait::new(WaitReason::Blocking).uncancellable();
    while !cell.header.wait_done(wait) {}
    match cell.take() {
        Ok(value) => value,
        Err(error) => match error.into_panic() {
            Ok(payload) => std::panic::resume_unwind(payload),
            Err(error) => unreachable!("nobody can cancel a call on the pool: {error}"),
        },
    }
}

/// An operation that a thread of the pool makes.
struct Made<F> {
    operation: Mutex<Operation<'static>>,
    waits_for_others: bool,
    /// What the system call looks at before it sleeps: see `interruptible`.
    word: AtomicU32,
    /// Who makes it, while it does.
    thread: Mutex<Option<ThreadId>>,
    report: F,
}

impl<F: Fn(io::Result<usize>) + Send + Sync> Call for Made<F> {
    fn execute(&self) {
        *lock(&self.thread) = Some(ThreadId::current());
        let result = lock(&self.operation).make(&self.word);
        *lock(&self.thread) = None;
        (self.report)(result);
    }

    fn waits_for_others(&self) -> bool {
        self.waits_for_others
    }

    fn object(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<F: Fn(io::Result<usize>) + Send + Sync> Elsewhere for Made<F> {
    fn interrupt(&self) {
        // The word first: a call that has not begun looks at it, and one that has is ended by the signal.
        self.word.store(INTERRUPTED, Relaxed);
        // The thread makes no other call as long as this is locked.
        if let Some(thread) = *lock(&self.thread) {
            park::interruptible::interrupt(thread);
        }
    }
}

/// What is no longer `SUSPENDED`.
const INTERRUPTED: u32 = 0;

/// Has a thread of the pool make `operation`, and calls `report` there when it is over. Never waits.
pub(super) fn make(
    operation: Operation<'static>,
    report: impl Fn(io::Result<usize>) + Send + Sync + 'static,
) -> Arc<dyn Elsewhere> {
    let made = Arc::new(Made {
        waits_for_others: operation.waits_for_others(),
        operation: Mutex::new(operation),
        word: park::interruptible::never(),
        thread: Mutex::new(None),
        report,
    });
    submit(made.clone());
    made
}

/// As [`blocking`], of a call that owns all that it needs: so nobody has to wait for its end, and a caller that is cancelled, or
/// out of time, leaves it behind. It runs on the pool whoever calls: in a thread's own frames it could not be left.
///
/// # Errors
/// [`Cancelled`], for a caller that cannot unwind.
///
/// # Panics
/// As `blocking`.
///
/// # Waits
/// As `blocking`.
///
/// # Cancellation
/// Unwinds a cancelled task; the call goes on alone, and what it gives is dropped on the pool.
#[track_caller]
pub fn blocking_owned<F, T>(f: F) -> io::Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    park::assert_may_wait(WaitReason::Blocking);
    let _outside = with_worker(|worker| worker.and_then(|worker| Outside::begin(&worker.shared)));
    let header = Header::new(Birth::default(), Location::caller());
    let owner = current_owner();
    let call = move || on_behalf_of(owner, f);
    let cell = Arc::new(Cell::new(header, PoolPlan(Waiter::new(false)), call));
    submit(cell.clone());
    // Who goes before the end lets go of the slot, too: it ends with the pool's own reference.
    if !cell.header.wait_done(Wait::new(WaitReason::Blocking).fallible()) {
        return Err(Cancelled.into());
    }
    match cell.take() {
        Ok(value) => Ok(value),
        Err(error) => match error.into_panic() {
            Ok(payload) => std::panic::resume_unwind(payload),
            Err(error) => unreachable!("nobody can cancel a call on the pool: {error}"),
        },
    }
}
