//! The words of a task that others may touch while it waits.

use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16};
use std::time::{Duration, Instant};

use Ordering::{Acquire, Relaxed, Release};

use super::place::{Place, Snapshot};
use super::reason::{Wait, WaitReason};
use super::word::{Owed, Sleep, WakeWord};
use super::{Interrupt, Park, Unwind, region};
use crate::clock::{self, NEVER};
use crate::primitive::futex::Sleeper;
use crate::primitive::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// How long a wait inside an unwinding coroutine may hold up its worker before it switches all the same.
const UNWINDING_LIMIT: Duration = Duration::from_millis(100);

/// Beside the number of the reason: a deadline ends the wait, whatever happens.
const TIMED: u16 = 0x100;
/// Likewise: the wait is for a hand-over ([`Wait::comes_back`]).
const COMES_BACK: u16 = 0x200;
const _: () = assert!(WaitReason::COUNT < TIMED as usize, "the number of a reason has eight bits");

const CANCELLED: u32 = 1;
const FAILED_SCOPE: u32 = 2;

/// The home of tasks that have none: threads.
pub(super) const NO_HOME: u32 = 0;

static UNWINDING_SWITCHES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// How often a coroutine of this process switched away while it unwound: see `docs/soundness.md`.
#[must_use]
pub fn unwinding_switches() -> u64 {
    UNWINDING_SWITCHES.load(Relaxed)
}

std::thread_local! {
    /// How many tasks of this thread are switched away while they unwind: as long as there are any, the thread's own
    /// `panicking()` speaks of them, too.
    static SUSPENDED_UNWINDING: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The part of a task that waiting touches.
///
/// Who writes what: `word`, `cancel` and `permit` everybody, `raising` whoever holds a payload; the rest only the owner. The
/// owner's fields are atomics so that an inspector may read them; `Relaxed` is enough, each stands for itself.
#[derive(Debug)]
pub struct Waiter {
    word: WakeWord,
    /// Bit 0: somebody asked the task to end. The rest: twice the number of scopes around it of which a child failed.
    cancel: AtomicU32,
    /// How often a cancellation, or an elapsed timeout, was raised.
    raised: AtomicU32,
    /// How many unwinds that are no panics are under way: raised, and their payload not yet dropped by whoever caught it.
    raising: AtomicU32,
    /// An address on the stack of the innermost block that a generator must not yield out of; 0 if it is in none.
    nested: AtomicUsize,
    /// The number of the worker that runs it; [`NO_HOME`] for threads and before the start.
    home: AtomicU32,
    /// The deadline of the innermost `timeout`, in the clock's nanoseconds.
    deadline: AtomicU64,
    /// Until when cancellation is put off, in the clock's nanoseconds; 0 for not at all.
    shield: AtomicU64,
    /// The failed scopes around it, counted by the number of shields that each stands in: eight counts of eight bits.
    failed: AtomicU64,
    /// The address of what it waits for.
    object: AtomicUsize,
    /// Where the innermost region began in which it must not leave its stack; made from a `&'static Location`, or null.
    region: AtomicPtr<Location<'static>>,
    /// How many such regions it is in.
    regions: AtomicU32,
    id: u64,
    /// The number of the reason that it waits for, with [`TIMED`] and [`COMES_BACK`]; 0 while it does not.
    reason: AtomicU16,
    /// How many shields it is in.
    shields: AtomicU8,
    /// Somebody has called `unpark` for a `park` that is to come: see the module `permit`.
    permit: AtomicBool,
    coroutine: bool,
    place: Place,
    sleeper: Sleeper,
}

/// What a task waits for: a snapshot, by the time it is read it may be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Why it waits.
    pub reason: WaitReason,
    /// The address of what it waits for; 0 where there is no such thing.
    pub object: usize,
    /// When the wait began, by [`coarse_nanos`](crate::clock::coarse_nanos).
    pub since: u64,
    /// Whether a deadline ends it, of its own or of a `timeout` around it.
    pub is_timed: bool,
    /// Whether it [is handed](Wait::comes_back) what it waits for: then it may hold that already.
    pub comes_back: bool,
}

impl Waiter {
    /// Of a coroutine, or of a thread, that nobody has cancelled.
    #[must_use]
    pub fn new(coroutine: bool) -> Self {
        Self::with_id(coroutine, Self::next_id())
    }

    /// A number that no task has had.
    pub(super) fn next_id() -> u64 {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        NEXT.fetch_add(1, Relaxed)
    }

    pub(super) fn with_id(coroutine: bool, id: u64) -> Self {
        Self {
            word: WakeWord::new(),
            cancel: AtomicU32::new(0),
            raised: AtomicU32::new(0),
            raising: AtomicU32::new(0),
            nested: AtomicUsize::new(0),
            home: AtomicU32::new(NO_HOME),
            deadline: AtomicU64::new(NEVER),
            shield: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            object: AtomicUsize::new(0),
            region: AtomicPtr::new(ptr::null_mut()),
            regions: AtomicU32::new(0),
            id,
            reason: AtomicU16::new(0),
            shields: AtomicU8::new(0),
            permit: AtomicBool::new(false),
            coroutine,
            place: Place::default(),
            sleeper: Sleeper::current(),
        }
    }

    /// The task's number, unique in the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The worker that runs it, from 1; 0 for a thread.
    #[must_use]
    pub fn home(&self) -> u32 {
        self.home.load(Relaxed)
    }

    /// Owner's worker: says where the task runs from now on.
    pub fn set_home(&self, home: u32) {
        self.home.store(home, Relaxed);
    }

    /// Whether a coroutine runs it.
    #[must_use]
    pub fn is_coroutine(&self) -> bool {
        self.coroutine
    }

    /// The word, for the plan that sleeps on it.
    #[must_use]
    pub fn word(&self) -> &WakeWord {
        &self.word
    }

    pub(super) fn notify(&self) -> Owed {
        self.word.notify()
    }

    pub(super) fn wake_thread(&self) {
        self.sleeper.wake(self.word.as_atomic());
    }

    pub(super) fn take_notification(&self) -> bool {
        self.word.take()
    }

    /// Owner: sleeps in a futex on the word. `true` if it was called, and not merely late.
    pub(super) fn block_thread(&self, deadline: Option<Instant>) -> bool {
        if !self.word.fall_asleep(Sleep::Blocked) {
            return true;
        }
        // The kernel knows only real time.
        let deadline = deadline.map(clock::real);
        clock::block(|| {
            while !self.word.is_notified() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
                self.sleeper.wait(self.word.as_atomic(), WakeWord::BLOCKED_VALUE, deadline);
            }
        });
        self.word.wake_up()
    }

    /// Asks the task to end: it unwinds from its next wait. The caller has to unpark it.
    pub fn request_cancel(&self) {
        // SYNC: waiter.cancel. What the caller did before is visible to the destructors that then run.
        self.cancel.fetch_or(CANCELLED, Release);
    }

    /// A child of a scope that the task is in failed: the task unwinds from its next wait, to the scope. The caller has
    /// to unpark it. The scope takes it back with [`end_failed_scope`](Self::end_failed_scope). `shields` is in how many
    /// [shields](Self::shields) the scope was opened.
    pub fn fail_scope(&self, shields: u32) {
        self.failed.fetch_add(Self::one_failed(shields), Relaxed);
        // SYNC: waiter.cancel. With it comes the count above.
        self.cancel.fetch_add(FAILED_SCOPE, Release);
    }

    /// Owner: leaves a scope of which a child had failed.
    pub fn end_failed_scope(&self, shields: u32) {
        self.failed.fetch_sub(Self::one_failed(shields), Relaxed);
        self.cancel.fetch_sub(FAILED_SCOPE, Relaxed);
    }

    /// One failed scope inside so many shields, in `failed`; more than seven count as seven.
    fn one_failed(shields: u32) -> u64 {
        1 << (8 * shields.min(7))
    }

    /// Owner: in how many shields the task is.
    #[must_use]
    pub fn shields(&self) -> u32 {
        u32::from(self.shields.load(Relaxed))
    }

    /// Owner: enters a shield: see [`set_shield`](Self::set_shield).
    pub fn enter_shield(&self) {
        self.shields.store(self.shields.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// Owner: leaves it again.
    pub fn leave_shield(&self) {
        self.shields.store(self.shields.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// Owner: whether a scope that stands inside of all its shields has failed: that is its own affair.
    fn failed_inside(&self) -> bool {
        self.failed.load(Relaxed) >= Self::one_failed(self.shields())
    }

    /// Whether somebody asked the task to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.load(Relaxed) & CANCELLED != 0
    }

    pub(super) fn leave_permit(&self) {
        // SYNC: waiter.permit. An exchange, so that what every giver did before is visible to who takes it.
        self.permit.swap(true, Release);
    }

    /// Owner: takes the permit, if it is there.
    pub(super) fn take_permit(&self) -> bool {
        // SYNC: waiter.permit
        self.permit.swap(false, Acquire)
    }

    pub(super) fn count_raise(&self) -> u32 {
        self.raised.fetch_add(1, Relaxed) + 1
    }

    /// How often an interruption was raised in the task.
    #[must_use]
    pub fn raised(&self) -> u32 {
        self.raised.load(Relaxed)
    }

    pub(super) fn begin_raise(&self) {
        self.raising.fetch_add(1, Relaxed);
    }

    pub(super) fn end_raise(&self) {
        self.raising.fetch_sub(1, Relaxed);
    }

    /// Owner: how many unwinds that are no panics are under way in the task.
    pub(super) fn raising(&self) -> u32 {
        self.raising.load(Relaxed)
    }

    /// Owner: whether there are any.
    #[must_use]
    pub fn is_raising(&self) -> bool {
        self.raising() > 0
    }

    /// Owner: enters or leaves a [`Nested`](super::Nested) block. Returns what was set before.
    pub(super) fn set_nested(&self, address: usize) -> usize {
        let before = self.nested.load(Relaxed);
        self.nested.store(address, Relaxed);
        before
    }

    /// Owner: an address on the stack of the innermost such block.
    pub(super) fn nested(&self) -> usize {
        self.nested.load(Relaxed)
    }

    /// Owner: whether the task unwinds. `thread::panicking` speaks of the thread, on which other coroutines may have
    /// stopped half unwound; then only what was raised here is known of this one.
    #[must_use]
    pub fn is_unwinding(&self) -> bool {
        std::thread::panicking() && (SUSPENDED_UNWINDING.get() == 0 || self.is_raising())
    }

    /// Owner: the deadline of the innermost `timeout`.
    #[must_use]
    pub fn timeout_deadline(&self) -> Option<Instant> {
        clock::instant(self.deadline.load(Relaxed))
    }

    /// Owner: whether a wait may have to end before what it waits for, by the clock.
    pub(super) fn has_deadline(&self) -> bool {
        self.deadline.load(Relaxed) != NEVER || self.shield.load(Relaxed) != 0
    }

    /// Owner: enters or leaves a `timeout`: sets the deadline that every wait in it obeys. Returns the one before.
    pub fn set_timeout_deadline(&self, deadline: Option<Instant>) -> Option<Instant> {
        let before = self.timeout_deadline();
        self.deadline.store(deadline.map_or(NEVER, clock::nanos), Relaxed);
        before
    }

    /// Owner: puts cancellation off until then; `None` for no longer. Returns what was set before.
    pub fn set_shield(&self, until: Option<Instant>) -> Option<Instant> {
        let before = self.shield.swap(until.map_or(0, clock::nanos), Relaxed);
        if before == 0 { None } else { clock::instant(before) }
    }

    /// Owner: nobody wants it to end, no deadline is set around it, and it does not unwind: as nearly always.
    #[inline(always)]
    fn is_undisturbed(&self) -> bool {
        self.cancel.load(Acquire) == 0 // SYNC: waiter.cancel
            && self.deadline.load(Relaxed) == NEVER
            && !std::thread::panicking()
    }

    /// Owner: whether a wait must not begin, and why.
    #[inline(always)]
    pub(super) fn interruption(&self, wait: &Wait) -> Option<Interrupt> {
        if wait.deadline.is_none() && self.is_undisturbed() { None } else { self.look_closely(wait) }
    }

    #[inline(never)]
    fn look_closely(&self, wait: &Wait) -> Option<Interrupt> {
        if wait.cancellable {
            let unwinding = self.is_unwinding();
            if unwinding && self.coroutine && wait.fallible {
                return Some(Interrupt::Cancelled);
            }
            if let Some(unwind) = self.due() {
                if Self::can_raise(unwinding) {
                    return Some(Interrupt::Raise(unwind));
                } else if wait.fallible {
                    return Some(Interrupt::Cancelled);
                }
            }
        }
        let timed_out = wait.deadline.is_some_and(|deadline| clock::now() >= deadline);
        timed_out.then_some(Interrupt::TimedOut)
    }

    /// With `panic = "abort"` nothing can unwind, and nothing can twice: only who returns errors hears of it then.
    fn can_raise(unwinding: bool) -> bool {
        cfg!(panic = "unwind") && !unwinding
    }

    /// Why the task should unwind, if it should.
    fn due(&self) -> Option<Unwind> {
        let cancel = self.cancel.load(Acquire); // SYNC: waiter.cancel
        let deadline = self.deadline.load(Relaxed);
        if cancel == 0 && deadline == NEVER {
            return None;
        }
        let now = clock::nanos(clock::now());
        if cancel == 0 || now < self.shield.load(Relaxed) {
            let elapsed = (now >= deadline).then_some(Unwind::Elapsed);
            elapsed
                .or_else(|| (cancel >= FAILED_SCOPE && self.failed_inside()).then_some(Unwind::ScopeFailed))
        } else if cancel & CANCELLED != 0 {
            Some(Unwind::Cancelled)
        } else {
            Some(Unwind::ScopeFailed)
        }
    }

    /// Owner: when the task has to look again at the latest.
    #[inline(always)]
    pub(super) fn next_deadline(&self, wait: &Wait) -> Option<Instant> {
        if self.is_undisturbed() { wait.deadline } else { self.earliest_deadline(wait) }
    }

    #[inline(never)]
    fn earliest_deadline(&self, wait: &Wait) -> Option<Instant> {
        // What it could not be told of is no reason to look again.
        if !wait.cancellable || !(wait.fallible || Self::can_raise(self.is_unwinding())) {
            return wait.deadline;
        }
        let mut earliest = wait.deadline.map_or(NEVER, clock::nanos).min(self.deadline.load(Relaxed));
        let shield = self.shield.load(Relaxed);
        if shield != 0 && self.cancel.load(Relaxed) != 0 {
            earliest = earliest.min(shield);
        }
        clock::instant(earliest)
    }

    /// Owner: enters a region in which it must not leave its stack. Returns where the one around it began.
    pub(super) fn begin_region(
        &self,
        began: &'static Location<'static>,
    ) -> Option<&'static Location<'static>> {
        let outer = self.region();
        self.region.store(ptr::from_ref(began).cast_mut(), Relaxed);
        self.regions.fetch_add(1, Relaxed);
        outer
    }

    /// Owner: leaves the region again.
    pub(super) fn end_region(&self, outer: Option<&'static Location<'static>>) {
        self.region.store(outer.map_or(ptr::null_mut(), |outer| ptr::from_ref(outer).cast_mut()), Relaxed);
        self.regions.fetch_sub(1, Relaxed);
    }

    /// Where the innermost region began in which the task must not leave its stack, if it is in one.
    #[must_use]
    pub fn region(&self) -> Option<&'static Location<'static>> {
        // SAFETY: only `begin_region` and `end_region` write it: null, or a reference for ever, which nobody writes to.
        unsafe { self.region.load(Relaxed).cast_const().as_ref() }
    }

    /// In how many such regions the task is.
    pub(super) fn regions(&self) -> u32 {
        self.regions.load(Relaxed)
    }

    /// Owner: whether this wait is forbidden, because it would switch inside of such a region.
    ///
    /// A thread's stack goes nowhere. A task that unwinds must not panic on top of it, and goes by the rule for those.
    /// Who cannot be interrupted holds a borrow, and has to wait. What is no task's code must not wait in any case.
    pub(super) fn forbids(&self, wait: &Wait) -> Option<Interrupt> {
        let must_stay = self.coroutine && self.regions() > 0 && wait.cancellable && !self.is_unwinding();
        (must_stay || region::is_no_task()).then_some(Interrupt::MustStay(wait.reason))
    }

    /// Owner: waits from now on, called from the frame that does not return before [`end_wait`](Self::end_wait).
    #[inline(always)]
    pub(super) fn begin_wait(&self, wait: &Wait, deadline: Option<Instant>) {
        self.object.store(wait.object, Relaxed);
        let timed = if deadline.is_some() { TIMED } else { 0 };
        let comes_back = if wait.comes_back { COMES_BACK } else { 0 };
        self.reason.store(wait.reason as u16 | timed | comes_back, Relaxed);
        self.place.enter();
    }

    #[inline(always)]
    pub(super) fn end_wait(&self) {
        self.place.leave();
        self.reason.store(0, Relaxed);
    }

    /// Owner: lets others run, and is ready meanwhile.
    pub(super) fn yield_now(&self, current: &dyn Park) {
        self.place.enter_briefly();
        current.yield_now();
        self.place.leave();
    }

    /// What it waits for, if it sleeps. A snapshot.
    #[must_use]
    pub fn waiting(&self) -> Option<Waiting> {
        let noted = self.reason.load(Relaxed);
        let reason = WaitReason::from_u8(noted as u8).filter(|_| self.word.is_asleep())?;
        Some(Waiting {
            reason,
            object: self.object.load(Relaxed),
            since: self.place.since(),
            is_timed: noted & TIMED != 0,
            comes_back: noted & COMES_BACK != 0,
        })
    }

    /// As [`waiting`](Self::waiting), of one wait and no other, if it [still waits](Self::still_waits) like this afterwards.
    /// What it did before it fell asleep is visible to the caller.
    #[must_use]
    pub fn standing_wait(&self) -> Option<(Waiting, Snapshot)> {
        let standing = self.place.read()?;
        Some((self.waiting()?, standing))
    }

    /// Whether it has slept all the time since then, and nobody has called it.
    #[must_use]
    pub fn still_waits(&self, (waiting, standing): &(Waiting, Snapshot)) -> bool {
        self.is_still(standing) && self.waiting() == Some(*waiting)
    }

    /// Where its stack can be read from, unless it runs. The copy is true if it [stands still](Self::is_still) afterwards.
    #[must_use]
    pub fn standing(&self) -> Option<Snapshot> {
        self.place.read()
    }

    /// Whether it has not run since it stood there.
    #[must_use]
    pub fn is_still(&self, standing: &Snapshot) -> bool {
        self.place.is_still(standing)
    }

    /// An infallible wait of a coroutine that unwinds: see the module's "While a task unwinds".
    pub(super) fn wait_while_unwinding(&self, current: &dyn Park, wait: &Wait, deadline: Option<Instant>) {
        self.begin_wait(wait, deadline);
        // To hold up the worker of a virtual clock would bring real time into it.
        let here = clock::is_virtual() || wait.holder.is_some_and(|home| home == self.home());
        let limit = clock::after(UNWINDING_LIMIT);
        // Whoever was called, be it at the last moment, looks at what it waits for: nobody will call again.
        let mut called = false;
        if !here {
            let until = match (deadline, limit) {
                (Some(deadline), Some(limit)) => Some(deadline.min(limit)),
                (deadline, limit) => deadline.or(limit),
            };
            called = self.block_thread(until);
        }
        if !called && (here || limit.is_some_and(|limit| clock::now() >= limit)) {
            UNWINDING_SWITCHES.fetch_add(1, Relaxed);
            SUSPENDED_UNWINDING.set(SUSPENDED_UNWINDING.get() + 1);
            current.sleep(deadline);
            SUSPENDED_UNWINDING.set(SUSPENDED_UNWINDING.get() - 1);
        }
        self.end_wait();
    }
}
