//! The one place to wait.
//!
//! A primitive that has to wait puts the caller's [`Unparker`] where whoever ends the wait will find it, and then calls
//! [`park`] until what it waits for has happened. Which plan runs the task decides what sleeping means: a coroutine
//! gives its worker to the next, a thread sleeps in a system call. Why a task waits, for what, and until when travels
//! with the call ([`Wait`]); cancellation and deadlines are delivered here and nowhere else.
//!
//! # The contract of a wait
//! 1. `park` may return for no reason; callers look again.
//! 2. A wake-up is never lost: [`Unparker::unpark`] before, during or after the falling asleep ends the wait (see
//!    [`word`]).
//! 3. **The result wins.** An [`Interrupt`] is only a proposal: the primitive first looks whether what it waited for
//!    has happened; then it returns that, and the interruption comes at the next wait.
//! 4. An interruption that unwinds is raised by [`Interrupt::deliver`], after the primitive has taken itself off every
//!    list. So nothing of a wait is left on a stack that unwinds.
//!
//! # Where a task must not switch
//! In a [`no_suspend`] region of a coroutine a wait that would switch is interrupted as well
//! ([`Interrupt::MustStay`]), so that the panic, too, comes after the primitive has let go of everything.
//!
//! # While a task unwinds
//! Its destructors may wait too. Switching away then would show other coroutines of the worker a thread that panics, so
//! a fallible wait returns [`Cancelled`] at once, and an infallible one blocks the worker's thread, for 100 ms at most;
//! if the holder of the object is a task of this very worker, or after that time, it switches all the same, and that
//! is counted ([`unwinding_switches`]).

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::primitive::AtomicU32;

mod linger;
mod operation;
mod original;
mod permit;
mod place;
mod reason;
mod region;
#[cfg(not(loom))]
mod shared_word;
mod sleep;
mod surroundings;
mod thread;
mod waiter;
mod waker;
mod watched;
pub mod word;

pub use self::linger::linger;
pub use self::operation::{complete, open};
pub use self::original::{check_original, expect_original, is_original, remember_original};
pub use self::permit::take_permit;
pub use self::place::{Snapshot, forget_time, note_time};
pub use self::reason::{Wait, WaitReason};
pub use self::region::{assert_may_wait, may_wait, no_suspend, no_suspend_at, no_wait};
#[cfg(not(loom))]
pub use self::shared_word::{Watch, WatchesWord, wait_word, wake_word, watch_word};
pub use self::sleep::{sleep, sleep_until};
pub use self::surroundings::{Nested, Raising, Unwinding, is_nested_on, uninterrupted};
pub use self::thread::{ThreadParker, adopt_thread, is_alive, run_as, threads, with_alive};
pub use self::waiter::{Waiter, Waiting, unwinding_switches};
pub use self::waker::waker_of;
pub use self::watched::{Home, Registration, Watched};
pub use crate::primitive::interruptible::{self, ThreadId};
pub use ropewalk_sys::operation::Operation;
pub use ropewalk_sys::poll::Interest;
use ropewalk_sys::poll::WOULD_BLOCK;

/// How one plan sleeps and is woken. Implemented once for each plan, used only by this module.
///
/// # Safety
/// 1. `sleep`, `poll` and `yield_now` are called by the owner only, and must not unwind: wait-list nodes live on the
///    caller's stack.
/// 2. A task is current ([`enter`]) only on the thread that runs it, and its `Arc` lives as long as it is current.
pub unsafe trait Park: Send + Sync {
    /// The words that everybody may touch.
    fn waiter(&self) -> &Waiter;

    /// Sleeps until the waiter's word is notified, the deadline passes, or for no reason a shorter time.
    fn sleep(&self, deadline: Option<Instant>);

    /// Lets others run, and comes back.
    fn yield_now(&self);

    /// The task that waits, for whoever knows its type.
    fn task(&self) -> Option<&(dyn Any + Send + Sync)> {
        None
    }

    /// Makes a suspended owner run again. Called once for each time that it was found suspended.
    fn resume(self: Arc<Self>);

    /// The task as what futures wake: [`waker_of`] this very type.
    fn into_waker(self: Arc<Self>) -> Waker;

    /// Arranges that `source` is signalled when `fd` becomes ready.
    ///
    /// # Errors
    /// What the driver says; in a thread, which has none, if no driver watches it already.
    fn watch(&self, fd: BorrowedFd<'_>, source: &Arc<dyn Watched>) -> io::Result<()>;

    /// Coroutines: has `operation` made elsewhere, and the owner called when it is over. Gives a token. Never waits.
    ///
    /// # Safety
    /// What the operation borrows stays where it is, untouched by others, until [`outcome`](Self::outcome) has given its
    /// result; for ever, if the task never runs again.
    unsafe fn begin(&self, operation: &Operation<'_>) -> u64 {
        unreachable!("a thread makes its calls itself: {operation:?}")
    }

    /// Coroutines: as [`begin`](Self::begin), if the driver of the worker does that; else nothing has begun.
    ///
    /// # Safety
    /// As `begin`.
    unsafe fn begin_by_driver(&self, operation: &Operation<'_>) -> Option<u64> {
        unreachable!("a thread makes its calls itself: {operation:?}")
    }

    /// Coroutines: the result of the operation with this token, once it is over.
    fn outcome(&self, token: u64) -> Option<io::Result<usize>> {
        unreachable!("a thread makes its calls itself, not under {token}")
    }

    /// Coroutines: asks that the operation with this token comes to an end; what it has done by then is its result.
    fn break_off(&self, token: u64) {
        unreachable!("a thread makes its calls itself, not under {token}")
    }

    /// Threads: waits for `fd` in the caller's own system call, until ready, notified, or the deadline.
    ///
    /// # Errors
    /// What the kernel says.
    fn poll(&self, fd: BorrowedFd<'_>, interest: Interest, deadline: Option<Instant>) -> io::Result<()>;

    /// Threads: which one, once it runs.
    fn thread(&self) -> Option<ThreadId> {
        None
    }
}

/// Wakes one task, once.
pub struct Unparker(Arc<dyn Park>);

impl Unparker {
    /// The task that calls.
    #[must_use]
    pub fn current() -> Self {
        let pointer = CURRENT.with(Cell::get).unwrap_or_else(thread::become_task).as_ptr().cast_const();
        // SAFETY: `Park`, rule 2: the current task is held by an Arc that lives while it is current, and `enter` was
        // given the pointer of that Arc (a pointer made from a reference would not reach its counters).
        unsafe {
            Arc::increment_strong_count(pointer);
            Self(Arc::from_raw(pointer))
        }
    }

    /// For a task whose handle is at hand.
    #[must_use]
    pub fn of(task: Arc<dyn Park>) -> Self {
        Self(task)
    }

    /// The words of the task.
    #[must_use]
    pub fn waiter(&self) -> &Waiter {
        self.0.waiter()
    }

    /// The task, for whoever knows its type.
    #[must_use]
    pub fn task(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.0.task()
    }

    /// The task, for who must not keep it.
    pub(crate) fn downgrade(&self) -> Weak<dyn Park> {
        Arc::downgrade(&self.0)
    }

    /// The same for futures, which may keep it, clone it and wake it as often as they like.
    #[must_use]
    pub fn into_waker(self) -> Waker {
        self.0.into_waker()
    }

    /// Ends the task's wait, or the next one if it does not wait. Never waits itself.
    pub fn unpark(self) {
        match self.0.waiter().notify() {
            word::Owed::Nothing => {}
            word::Owed::Resume => self.0.resume(),
            word::Owed::WakeThread => self.0.waiter().wake_thread(),
        }
    }
}

impl Clone for Unparker {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Unparker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unparker({})", self.0.waiter().id())
    }
}

/// The error of a wait that a cancelled, or unwinding, task cannot make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was cancelled, or waits while it unwinds")
    }
}

impl std::error::Error for Cancelled {}

impl From<Cancelled> for io::Error {
    // Never `Interrupted`: std's loops would try again for ever.
    fn from(cancelled: Cancelled) -> Self {
        Self::other(cancelled)
    }
}

/// Why a task unwinds from a wait. Caught by whoever asked for it: the task's own frame, or `timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwind {
    /// The task was cancelled.
    Cancelled,
    /// The deadline of a `timeout` around the wait passed.
    Elapsed,
    /// A child of a scope around the wait failed.
    ScopeFailed,
}

impl Unwind {
    /// Which of them the payload of an unwind is, if any.
    #[must_use]
    pub fn from_payload(payload: &(dyn Any + Send)) -> Option<Self> {
        payload.downcast_ref::<Raised>().map(|raised| raised.unwind)
    }

    /// Raises it, without a panic message.
    pub fn raise(self) -> ! {
        std::panic::resume_unwind(Box::new(Raised { unwind: self, _raising: Raising::begin() }))
    }
}

/// The payload of such an unwind.
struct Raised {
    unwind: Unwind,
    _raising: Raising,
}

/// Why a wait is to end before what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an interruption has to be delivered"]
pub enum Interrupt {
    /// The wait's own deadline passed.
    TimedOut,
    /// The caller should return [`Cancelled`].
    Cancelled,
    /// The task is to unwind.
    Raise(Unwind),
    /// The wait would switch in a region where the task must not ([`no_suspend`]), or is no task's at all ([`no_wait`]): the
    /// caller is to panic.
    MustStay(WaitReason),
}

/// An interruption that its task hears of as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// The wait's own deadline passed.
    TimedOut,
    /// The task was cancelled and cannot unwind.
    Cancelled,
}

impl Interrupt {
    /// Unwinds if it must, else says what to return. To be called when nothing of the wait is left anywhere.
    ///
    /// # Panics
    /// If the task [must not wait](Self::MustStay) here.
    #[must_use]
    #[track_caller]
    pub fn deliver(self) -> Interrupted {
        match self {
            Self::TimedOut => Interrupted::TimedOut,
            Self::Cancelled => Interrupted::Cancelled,
            Self::MustStay(reason) => region::refuse(reason),
            Self::Raise(unwind) => with_current(|current| {
                let raised = current.waiter().count_raise();
                if raised > 1 && current.waiter().regions() == 0 {
                    // A loop that swallows the unwind must not hog its worker.
                    current.waiter().yield_now(current);
                }
                if raised == 100 {
                    tracing::warn!(
                        task = current.waiter().id(),
                        "a task has swallowed its cancellation 100 times: something in it catches every unwind"
                    );
                }
                unwind.raise()
            }),
        }
    }
}

impl From<Interrupted> for io::Error {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            // As the kernel says it of a socket with a time limit, and so std.
            Interrupted::TimedOut => io::Error::from_raw_os_error(WOULD_BLOCK),
            Interrupted::Cancelled => Cancelled.into(),
        }
    }
}

crate::primitive::thread_local! {
    /// The task that runs on this thread; `None` on a thread that never waited.
    static CURRENT: Cell<Option<NonNull<dyn Park>>> = const { Cell::new(None) };
    /// Operations that the task may still do without letting others run.
    static BUDGET: Cell<u32> = const { Cell::new(UNLIMITED) };
}

const UNLIMITED: u32 = u32::MAX;
/// What a future may do that has returned pending for want of a budget, if who polls it has no budget to give.
const POLL_BUDGET: u32 = 128;

/// Calls `f` with the task that runs on this thread. A thread that nobody spawned here becomes one at its first wait.
pub(crate) fn with_current<R>(f: impl FnOnce(&(dyn Park + 'static)) -> R) -> R {
    let current = CURRENT.with(Cell::get).unwrap_or_else(thread::become_task);
    // SAFETY: `Park`, rule 2: it lives while it is current, and it stays current until `f`, which runs in it, returns.
    f(unsafe { current.as_ref() })
}

/// Makes `task` the current one of this thread, or none, and gives it `budget` operations. Returns who was current.
///
/// # Safety
/// `task` must come from [`Arc::as_ptr`] and live until another is made current, and this thread runs its code.
pub unsafe fn enter(task: Option<NonNull<dyn Park>>, budget: Option<u32>) -> Option<NonNull<dyn Park>> {
    BUDGET.with(|left| left.set(budget.unwrap_or(UNLIMITED)));
    CURRENT.with(|current| current.replace(task))
}

/// As [`with_current`], but a thread that never waited stays what it is.
fn with_existing<R>(f: impl FnOnce(Option<&Waiter>) -> R) -> R {
    // SAFETY: as in `with_current`.
    f(CURRENT.with(Cell::get).as_ref().map(|current| unsafe { current.as_ref() }.waiter()))
}

/// Whether the calling task unwinds.
#[inline]
pub(crate) fn is_unwinding() -> bool {
    std::thread::panicking() && with_existing(|waiter| waiter.is_none_or(Waiter::is_unwinding))
}

/// Whether the calling task unwinds because it panicked, not because it was cancelled or its time had elapsed.
#[inline]
#[must_use]
pub fn is_panicking() -> bool {
    std::thread::panicking()
        && with_existing(|waiter| waiter.is_none_or(|waiter| waiter.is_unwinding() && !waiter.is_raising()))
}

/// The number and the home of the calling task; on a thread that never waited, the number that it will have.
#[inline]
pub(crate) fn identity() -> (u64, u32) {
    with_existing(|waiter| match waiter {
        Some(waiter) => (waiter.id(), waiter.home()),
        None => (thread::future_id(), waiter::NO_HOME),
    })
}

/// The number of the task that calls; `None` on a thread that never waited.
#[must_use]
pub fn current_id() -> Option<u64> {
    with_existing(|waiter| waiter.map(Waiter::id))
}

/// The words of the current task, and the task itself where somebody spawned it.
pub fn current<R>(f: impl FnOnce(&Waiter, Option<&(dyn Any + Send + Sync)>) -> R) -> R {
    with_current(|current| f(current.waiter(), current.task()))
}

/// Counts one operation that did not have to wait; now and then lets others run. May switch, and may unwind if the task
/// is cancelled: call it before the operation, where nothing can be lost.
///
/// # Waits
/// When the budget is used up.
#[inline]
pub fn spend() {
    match BUDGET.with(Cell::get) {
        UNLIMITED => {}
        // The budget is put off where the task must not switch.
        0 => {
            if region::regions() == 0 {
                yield_now();
            }
        }
        left => BUDGET.with(|budget| budget.set(left - 1)),
    }
}

/// As [`spend`], for a future, which must not wait where it is: when the budget is used up it is woken, and to return pending,
/// so that who polls it can let others run. It may go on when it is polled again, by whomever.
#[inline]
pub fn poll_spend(context: &Context<'_>) -> Poll<()> {
    match BUDGET.with(Cell::get) {
        UNLIMITED => {}
        0 => {
            BUDGET.with(|budget| budget.set(POLL_BUDGET));
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        left => BUDGET.with(|budget| budget.set(left - 1)),
    }
    Poll::Ready(())
}

/// Lets the other tasks of this worker, or the other threads of this CPU, run.
///
/// # Waits
/// Until the others had their turn.
///
/// # Panics
/// In a coroutine, in a [`no_suspend`] region.
///
/// # Cancellation
/// Unwinds a cancelled task.
#[track_caller]
pub fn yield_now() {
    let wait = Wait::new(WaitReason::Yield);
    let interrupt = with_current(|current| {
        let waiter = current.waiter();
        let forbidden = waiter.forbids(&wait);
        if forbidden.is_none() && !waiter.is_unwinding() {
            waiter.yield_now(current);
        }
        waiter.interruption(&wait).or(forbidden)
    });
    if let Some(interrupt) = interrupt {
        let _ = interrupt.deliver();
    }
}

/// Waits once, until unparked or interrupted, or for no reason a shorter time.
///
/// # Errors
/// The interruption, not yet delivered: see the contract of a wait.
///
/// # Waits
/// Until unparked.
pub fn park(wait: &Wait) -> Result<(), Interrupt> {
    with_current(|current| {
        if current.waiter().take_notification() {
            return Ok(());
        }
        fall_asleep(current, wait)
    })
}

/// As [`park`], for whoever may be unparked by what it does itself, time and again: who need not sleep gives others a turn
/// and hears of interruptions all the same. In a [`no_suspend`] region, and in a thread, it goes on at once.
///
/// # Errors
/// As [`park`].
///
/// # Waits
/// Until unparked, or until the others had their turn.
pub fn park_or_yield(wait: &Wait) -> Result<(), Interrupt> {
    with_current(|current| {
        let waiter = current.waiter();
        if !waiter.take_notification() {
            return fall_asleep(current, wait);
        }
        if waiter.is_coroutine() && waiter.regions() == 0 && !waiter.is_unwinding() {
            current.waiter().yield_now(current);
        }
        waiter.interruption(wait).map_or(Ok(()), Err)
    })
}

/// Sleeps, unless the wait is interrupted or forbidden.
fn fall_asleep(current: &dyn Park, wait: &Wait) -> Result<(), Interrupt> {
    let waiter = current.waiter();
    if let Some(interrupt) = waiter.interruption(wait).or_else(|| waiter.forbids(wait)) {
        return Err(interrupt);
    }
    original::expect_original(wait.reason);
    let deadline = waiter.next_deadline(wait);
    if waiter.is_unwinding() && waiter.is_coroutine() {
        waiter.wait_while_unwinding(current, wait, deadline);
    } else {
        waiter.begin_wait(wait, deadline);
        current.sleep(deadline);
        waiter.end_wait();
    }
    Ok(())
}

/// Whether a coroutine calls.
#[must_use]
pub fn is_coroutine() -> bool {
    with_existing(|waiter| waiter.is_some_and(Waiter::is_coroutine))
}

/// Has the driver of the calling coroutine's worker signal `source` when `fd` becomes ready, if none does so yet.
pub(crate) fn watch(fd: BorrowedFd<'_>, source: &Arc<dyn Watched>) -> io::Result<()> {
    // Else the copy would have its parent's driver watch.
    original::expect_original(WaitReason::Idle);
    with_current(|current| current.watch(fd, source))
}

/// Waits once for a descriptor, in a system call of the calling thread.
pub(crate) fn poll(fd: BorrowedFd<'_>, interest: Interest, wait: &Wait) -> io::Result<Result<(), Interrupt>> {
    with_current(|current| {
        let waiter = current.waiter();
        if let Some(interrupt) = waiter.interruption(wait).or_else(|| waiter.forbids(wait)) {
            return Ok(Err(interrupt));
        }
        original::expect_original(wait.reason);
        let deadline = waiter.next_deadline(wait);
        waiter.begin_wait(wait, deadline);
        let polled = current.poll(fd, interest, deadline);
        waiter.end_wait();
        polled.map(Ok)
    })
}

/// Whether the calling task waits best in a system call that blocks: a thread without a deadline of its own to keep.
#[must_use]
pub fn may_block() -> bool {
    with_current(|current| {
        let waiter = current.waiter();
        !waiter.is_coroutine() && !waiter.has_deadline()
    })
}

/// Does `operation`, a system call that blocks and that the word it is given can interrupt, until it has a result.
///
/// # Errors
/// What `operation` gives, but not [`Interrupted`](io::ErrorKind::Interrupted).
///
/// # Waits
/// As long as it blocks.
///
/// # Cancellation
/// Unwinds a cancelled task; a call that has a result returns it.
pub fn call<R>(wait: &Wait, mut operation: impl FnMut(&AtomicU32) -> io::Result<R>) -> io::Result<R> {
    loop {
        let interrupt = with_current(|current| {
            let waiter = current.waiter();
            if let Some(interrupt) = waiter.interruption(wait).or_else(|| waiter.forbids(wait)) {
                return Err(interrupt);
            }
            original::expect_original(wait.reason);
            if !waiter.word().fall_asleep(word::Sleep::Suspended) {
                return Ok(None);
            }
            waiter.begin_wait(wait, waiter.next_deadline(wait));
            let result = operation(waiter.word().as_atomic());
            waiter.end_wait();
            waiter.word().wake_up();
            Ok(Some(result))
        });
        match interrupt {
            Ok(Some(Err(error))) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Some(result)) => return result,
            Ok(None) => {}
            Err(interrupt) => return Err(interrupt.deliver().into()),
        }
    }
}
