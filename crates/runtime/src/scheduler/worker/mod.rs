//! The loop of a worker: take a coroutine, run it until it waits, take the next.
//!
//! # Order
//! With the fair schedule coroutines run first in, first out: those that have started for a shift of some turns, then
//! those that have not, so neither kind starves ([`turns`]). The kernel is asked every [`TURNS_PER_LOOK`] turns, and only
//! if it could have something to say: a descriptor is watched or a timer runs. With nothing to run the worker steals what
//! others have not started, spins for a short while if that has paid lately, and then sleeps in its driver (the protocol
//! stands in `ropewalk_sync::mailbox`).
//!
//! With virtual time or a seeded schedule the module [`simulated`] takes the place of sleeping, or of choosing.
//!
//! # One place
//! [`Worker::run`] is the only place where a worker enters and leaves a coroutine.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropewalk_sync::clock::{self, Clock, NEVER};
use ropewalk_sync::mailbox::Mailbox;
use ropewalk_sync::park::{self, Interest, Park, Unparker, WaitReason, Watched};
use ropewalk_sys::segv::AlternateStack;

use self::turns::Shift;
use super::core::{Command, Ready};
use super::operations::Operations;
use super::remote::{Message, Remote};
use super::schedule::{RunQueue, Schedule};
use super::shared::Shared;
use super::sources::Sources;
use super::timers::Timers;
use crate::driver::{self, Driver, Event};
use crate::hooks;
use crate::stack::{self, overflow};
use crate::task;

mod news;
mod simulated;
mod turns;

/// How many coroutines run between two looks at the kernel and the clock.
const TURNS_PER_LOOK: u64 = 64;
/// How many operations that need not wait a coroutine may do in one turn.
const BUDGET: u32 = 128;
/// How long to spin before sleeping, at most, in rounds of the processor's pause.
const SPIN_MAX: u32 = 512;
/// Between two offers of a lone unstarted coroutine. A spawner that joins at once starts it itself long before another
/// worker is awake, and to wake one for each would cost more than all the rest.
const OFFER_EVERY: Duration = Duration::from_micros(200);
/// How long a worker sleeps after an offer, before it looks again by itself: so a coroutine that was not offered, because
/// another one had been, waits no longer than that for a worker that is free. A worker that takes what was offered passes
/// the offer on, so that one that is free looks, however long the taken one runs.
const SECOND_LOOK: Duration = Duration::from_millis(1);
/// Between two trims of free stacks.
const TRIM_EVERY: Duration = Duration::from_millis(100);

thread_local! {
    static WORKER: Cell<Option<NonNull<Worker>>> = const { Cell::new(None) };
}

/// Calls `f` with the worker of this thread, if it is one.
pub(crate) fn with_worker<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
    // SAFETY: set by `Worker::enter_thread` to a worker that outlives its guard, on this thread.
    f(WORKER.get().map(|worker| unsafe { worker.as_ref() }))
}

/// Stops watching, if this thread is the worker with that number.
pub(super) fn forget_here(number: u32, fd: BorrowedFd<'_>, token: u64) -> bool {
    with_worker(|worker| match worker {
        Some(worker) if worker.remote.number() == number => {
            worker.forget(Some(fd), token);
            true
        }
        _ => false,
    })
}

/// A worker, for its own thread. Everything is in cells, because the coroutines that it runs use it too; no borrow of
/// one lasts over a switch.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) remote: Arc<Remote>,
    ready: RefCell<RunQueue>,
    /// The schedule is a seeded one.
    seeded: bool,
    /// There are switch hooks.
    hooked: bool,
    /// Coroutines that have not started; other workers steal here.
    fresh: crossbeam_deque::Worker<Ready>,
    timers: RefCell<Timers>,
    stacks: RefCell<stack::Pool>,
    driver: RefCell<Box<dyn Driver>>,
    sources: RefCell<Sources>,
    operations: RefCell<Operations>,
    events: RefCell<Vec<Event>>,
    mail: RefCell<Vec<Message>>,
    /// How often it has resumed a coroutine.
    turn: Cell<u64>,
    shift: Shift,
    /// The turn at which the kernel and the clock were last looked at.
    looked_at: Cell<u64>,
    spin: Cell<u32>,
    trimmed_at: Cell<Instant>,
    offered_at: Cell<Option<Instant>>,
    /// When to look for a coroutine that was not offered, because not long ago another one was.
    look_again: Cell<Option<Instant>>,
    _alternate_stack: Option<AlternateStack>,
}

impl Worker {
    /// A worker for the calling thread.
    pub(crate) fn new(
        shared: Arc<Shared>,
        remote: Arc<Remote>,
        fresh: crossbeam_deque::Worker<Ready>,
    ) -> io::Result<Self> {
        let driver = driver::open(shared.driver.kind(), remote.waker())?;
        remote.set_epoll(driver.remote());
        overflow::install();
        Ok(Self {
            ready: RefCell::new(RunQueue::new(shared.schedule)),
            seeded: shared.schedule != Schedule::Fair,
            hooked: !shared.hooks.is_empty(),
            shared,
            remote,
            fresh,
            timers: RefCell::default(),
            stacks: RefCell::default(),
            driver: RefCell::new(driver),
            sources: RefCell::default(),
            operations: RefCell::default(),
            events: RefCell::default(),
            mail: RefCell::default(),
            turn: Cell::new(0),
            shift: Shift::default(),
            looked_at: Cell::new(0),
            spin: Cell::new(0),
            trimmed_at: Cell::new(clock::now()),
            offered_at: Cell::new(None),
            look_again: Cell::new(None),
            // Without one an overflow is still a crash, only a silent one.
            _alternate_stack: AlternateStack::install().ok(),
        })
    }

    /// Runs coroutines on this thread until the runtime closes and all of them have ended.
    pub(crate) fn run_until_closed(&self) {
        WORKER.set(Some(NonNull::from(self)));
        self.remote.bind();
        park::note_time();
        let mut deadline = None;
        loop {
            if self.turn.get() - self.looked_at.get() >= TURNS_PER_LOOK {
                self.look();
                // Here too: a coroutine that swallows its cancellation is always ready, so there is no idle moment.
                if self.shared.is_closing() && self.close_down(&mut deadline) {
                    break;
                }
            }
            if self.remote.mailbox.has_mail() {
                self.collect_mail();
            }
            if let Some(task) = self.next() {
                self.run(task);
                continue;
            }
            if self.shared.is_closing() {
                if self.close_down(&mut deadline) {
                    break;
                }
                self.idle_until(deadline);
                continue;
            }
            self.idle();
        }
        WORKER.set(None);
        park::forget_time();
        let unread = self.remote.close().into_iter().filter_map(|message| match message {
            Message::Fresh(task) => Some(task),
            _ => None,
        });
        let unstarted = self.ready.borrow_mut().take_unstarted();
        for task in unread.chain(unstarted).chain(std::iter::from_fn(|| self.fresh.pop())) {
            // Unless somebody has handed over to it elsewhere.
            if task.core().claim(&self.remote) {
                task.refuse(io::Error::other("the runtime has ended"));
            }
        }
        // Who waits elsewhere for a descriptor that was watched here looks again, and has it watched there.
        let sources = self.sources.borrow_mut().take();
        for source in sources {
            source.signal(Interest::Read);
            source.signal(Interest::Write);
        }
    }

    /// Makes an unstarted coroutine this worker's own. `false` if it is somebody's already, or got no stack.
    fn start(&self, task: &Ready) -> bool {
        let core = task.core();
        if !core.claim(&self.remote) {
            return false;
        }
        if self.shared.is_closing() {
            task.waiter().request_cancel();
        }
        let taken = self.stacks.borrow_mut().take(core.slot_size);
        let stack = match taken {
            Ok(stack) => stack,
            Err(error) => {
                tracing::error!(%error, "a coroutine cannot start");
                task.refuse(error);
                return false;
            }
        };
        let running = overflow::Running {
            guard: stack.guard(),
            usable: stack.usable(),
            runner: overflow::Runner::Coroutine(task.waiter().id()),
            name: task.header().name().map(std::ptr::from_ref),
            made_at: task.header().spawned_at(),
        };
        let place = self.remote.live.push(task.clone());
        // SAFETY: `Core`, rule 2: claimed just now. The worker keeps the task in `live` until the body has returned.
        unsafe { core.set_frame(stack, Arc::as_ptr(task), place, running) };
        true
    }

    /// Runs `task` until it waits, yields or ends. All that has to be put in place for a coroutine, and back, is here.
    fn run(&self, task: Ready) {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        // SAFETY: `Core`, rule 2: what is in `ready`, or was started, is this worker's.
        let frame = unsafe { task.core().frame() };
        self.remote.pulse.beat(turn, frame.id);
        if self.hooked {
            self.shared.hooks.enter(&mut frame.saved.borrow_mut());
        }
        let current = Arc::as_ptr(&task) as *const dyn Park;
        // SAFETY: `task` lives in `live` while it is current, and what runs next on this thread is its code.
        let outside = unsafe { park::enter(NonNull::new(current.cast_mut()), Some(BUDGET)) };
        let outside_running = overflow::replace_running(frame.innermost.get());
        // SAFETY: `Core`, rule 2, as above; what has ended is not run again.
        let command = unsafe { frame.resume() };
        frame.innermost.set(overflow::replace_running(outside_running));
        // SAFETY: whoever was current before still is, outside of all coroutines.
        unsafe { park::enter(outside, None) };
        if self.hooked {
            let stack = frame.own.guard.end..frame.own.guard.end + frame.own.usable;
            let left = hooks::Left { stack, header: task.header(), waiter: task.waiter() };
            self.shared.hooks.leave(&mut frame.saved.borrow_mut(), &left);
        }
        match command {
            Command::Parked => {}
            Command::Yielded => self.ready.borrow_mut().push_back(task),
            Command::Ended => self.end(&task),
        }
    }

    fn end(&self, task: &Ready) {
        // SAFETY: `Core`, rule 2.
        let frame = unsafe { task.core().frame() };
        self.timers.borrow_mut().disarm(task);
        let place = frame.live.get() as usize;
        hooks::end(frame.saved.take());
        // SAFETY: the coroutine has returned, and `frame` is not used any more.
        let stack = unsafe { task.core().take_stack() };
        self.stacks.borrow_mut().give_back(stack);
        // SAFETY: `Core`, rule 2: everything in `live` is this worker's.
        drop(self.remote.live.remove(place, |moved| unsafe { moved.core().frame() }.live.set(place as u32)));
        self.remote.load.sub();
    }

    fn collect_mail(&self) {
        let mut mail = self.mail.take();
        self.remote.mailbox.collect(&mut mail);
        for message in mail.drain(..) {
            match message {
                Message::Woken(task) => self.ready.borrow_mut().push_back(task),
                Message::Fresh(task) => self.fresh.push(task),
                Message::Forget(token) => self.forget(None, token),
                Message::Completed(token, result) => self.complete(token, result),
                // Who asked may have gone.
                Message::Census(answer) => drop(answer.try_send((self.remote.number(), self.unstarted()))),
            }
        }
        self.mail.replace(mail);
        if self.fresh.len() > 1 {
            self.shared.offer(&self.remote);
        }
    }

    /// Looks at the kernel and the clock, without waiting.
    fn look(&self) {
        self.looked_at.set(self.turn.get());
        park::note_time();
        park::expect_original(WaitReason::Yield);
        if self.expects_news() {
            self.turn_driver(Some(Duration::ZERO));
        }
        self.fire_timers();
    }

    fn fire_timers(&self) {
        if self.timers.borrow().next().is_none() {
            return;
        }
        let now = clock::nanos(clock::now());
        loop {
            let due = self.timers.borrow_mut().pop_due(now);
            let Some(task) = due else { return };
            // SAFETY: `Core`, rule 2: timers hold this worker's coroutines.
            let wake_at = unsafe { task.core().frame() }.wake_at.get();
            if wake_at <= now {
                Unparker::of(task).unpark();
            } else if wake_at != NEVER {
                self.timers.borrow_mut().arm(&task, wake_at);
            }
        }
    }

    fn turn_driver(&self, timeout: Option<Duration>) {
        let mut events = self.events.take();
        let sleeps = timeout != Some(Duration::ZERO);
        if sleeps {
            self.remote.pulse.rest();
        }
        park::expect_original(WaitReason::Idle);
        let turned = self.driver.borrow_mut().turn(timeout, &mut events);
        if sleeps {
            park::note_time();
        }
        if let Err(error) = turned {
            driver::give_up(self.remote.number(), &error);
        }
        for event in events.drain(..) {
            self.hear(event);
        }
        self.events.replace(events);
    }

    /// Nothing to run: steals, or sleeps until there is something.
    fn idle(&self) {
        if self.shared.clock == Clock::Virtual {
            return self.pass_time(None);
        }
        // A coroutine that got no stack may have made ready who joins it.
        if self.steal() || self.spin() || !self.ready.borrow().is_empty() {
            return;
        }
        let stealable = || self.others().any(|remote| !remote.stealer.is_empty());
        let mailbox: &Mailbox<_> = &self.remote.mailbox;
        if !mailbox.fall_asleep(|| stealable() || self.shared.is_closing()) {
            return;
        }
        let before = clock::now();
        let trim = self.trim(before);
        let timer = self.timers.borrow().next().and_then(clock::instant);
        let until = timer.into_iter().chain(self.look_again.get()).chain(trim).min();
        self.turn_driver(until.map(|at| at.saturating_duration_since(before)));
        let called = !mailbox.is_asleep();
        mailbox.wake_up();
        self.looked_at.set(self.turn.get());
        let mail = mailbox.has_mail();
        if called && !mail {
            self.look_again.set(Some(clock::now() + SECOND_LOOK));
        } else if self.look_again.get().is_some_and(|at| at <= clock::now()) {
            // That is now: before it sleeps again it looks.
            self.look_again.set(None);
        }
        // A short sleep ended by mail says that spinning would have paid.
        let short = mail && before.elapsed() < Duration::from_micros(50);
        self.spin.set(if short { (self.spin.get() * 2 + 16).min(SPIN_MAX) } else { self.spin.get() / 2 });
        self.fire_timers();
    }

    fn spin(&self) -> bool {
        for _ in 0..self.spin.get() {
            std::hint::spin_loop();
            if self.remote.mailbox.has_mail() {
                self.spin.set((self.spin.get() * 2).min(SPIN_MAX));
                return true;
            }
        }
        !self.expects_news() && self.steal()
    }

    fn others(&self) -> impl Iterator<Item = &Arc<Remote>> {
        self.shared.remotes.iter().filter(|remote| remote.number() != self.remote.number())
    }

    fn steal(&self) -> bool {
        for other in self.others() {
            while let crossbeam_deque::Steal::Success(task) = other.stealer.steal() {
                other.load.sub_elsewhere();
                if self.start(&task) {
                    self.remote.load.add();
                    self.ready.borrow_mut().push_back(task);
                    // What its spawner spawns soon after is not offered: somebody has to look for it.
                    self.look_again.set(Some(clock::now() + SECOND_LOOK));
                    self.shared.offer(&self.remote);
                    return true;
                }
            }
        }
        false
    }

    /// Gives back the memory of stacks that are not needed. Says when to go on with it, if there is more.
    fn trim(&self, now: Instant) -> Option<Instant> {
        let mut stacks = self.stacks.borrow_mut();
        if now.saturating_duration_since(self.trimmed_at.get()) >= TRIM_EVERY {
            self.trimmed_at.set(now);
            stacks.trim();
        }
        stacks.is_warm().then(|| self.trimmed_at.get() + TRIM_EVERY)
    }

    /// The runtime closes: cancels what is left, and gives it up after the deadline. `true` when nothing is left.
    fn close_down(&self, deadline: &mut Option<Instant>) -> bool {
        let unstarted = !self.fresh.is_empty() || !self.ready.borrow().is_empty();
        if self.remote.live.is_empty() && !self.remote.mailbox.has_mail() && !unstarted {
            return true;
        }
        let first = deadline.is_none();
        let until = *deadline.get_or_insert_with(|| clock::now() + self.shared.shutdown_limit);
        if first {
            for task in self.remote.live.list() {
                task::cancel(task);
            }
            return false;
        }
        if clock::now() >= until {
            let left = self.remote.live.take();
            let count = left.len();
            tracing::warn!(
                left = count,
                "coroutines did not end when they were cancelled: their stacks are leaked"
            );
            // The invariant of `stack`: frames are live on them.
            std::mem::forget(left);
            self.stacks.borrow_mut().leak();
            return true;
        }
        false
    }

    /// Nothing to run while the runtime closes: sleeps until there is something, or the time is over.
    fn idle_until(&self, deadline: Option<Instant>) {
        if self.shared.clock == Clock::Virtual {
            return self.pass_time(deadline);
        }
        if !self.ready.borrow().is_empty() || !self.remote.mailbox.fall_asleep(|| false) {
            return;
        }
        let timer = self.timers.borrow().next().and_then(clock::instant);
        let until = timer.into_iter().chain(deadline).min();
        self.turn_driver(until.map(|at| at.saturating_duration_since(clock::now())));
        self.remote.mailbox.wake_up();
        self.fire_timers();
    }

    fn forget(&self, fd: Option<BorrowedFd<'_>>, token: u64) {
        if self.sources.borrow_mut().remove(token) {
            self.driver.borrow_mut().unwatch(fd, token);
        }
    }

    /// The coroutines in its queue that have not started.
    fn unstarted(&self) -> Vec<Ready> {
        let mut unstarted = self.ready.borrow().unstarted().to_vec();
        // Each is taken out and put back behind the others, so their order stays; thieves may take some meanwhile.
        for _ in 0..self.fresh.len() {
            let Some(task) = self.fresh.pop() else { break };
            unstarted.push(task.clone());
            self.fresh.push(task);
        }
        unstarted
    }

    // What the coroutines of this worker ask of it.

    /// A coroutine of this worker was woken, by code of this thread.
    pub(crate) fn push_ready(&self, task: Ready) {
        self.ready.borrow_mut().push_back(task);
    }

    /// A new coroutine that any worker may start.
    pub(crate) fn push_fresh(&self, task: Ready) {
        self.remote.load.add();
        self.fresh.push(task);
        if self.fresh.len() > 1 || self.may_offer_one() {
            self.shared.offer(&self.remote);
        }
    }

    fn may_offer_one(&self) -> bool {
        if !self.others().any(|remote| remote.mailbox.is_asleep()) {
            return false;
        }
        let now = clock::now();
        let last = self.offered_at.get();
        let due = last.is_none_or(|last| now.saturating_duration_since(last) > OFFER_EVERY);
        if due {
            self.offered_at.set(Some(now));
        }
        due
    }

    /// A new coroutine that only this worker may start.
    pub(crate) fn push_local(&self, task: Ready) {
        if self.start(&task) {
            self.remote.load.add();
            self.ready.borrow_mut().push_back(task);
        }
    }

    /// Has `task` run next. `false` if it cannot: it waits, has ended, or belongs to another worker.
    pub(crate) fn run_next(&self, task: Ready) -> bool {
        if !Arc::ptr_eq(task.core().shared(), &self.shared) {
            return false;
        }
        if !task.core().is_claimed() {
            // The entry that it leaves in a queue of unstarted ones is skipped, and no longer counted, when it comes up.
            let started = self.start(&task);
            if started {
                self.remote.load.add();
                self.ready.borrow_mut().push_next(task);
            }
            return started;
        }
        self.ready.borrow_mut().promote(&task)
    }

    /// Sees to it that `task` is woken at `at` at the latest.
    pub(crate) fn arm(&self, task: &Ready, at: u64) {
        self.timers.borrow_mut().arm(task, at);
    }

    /// Watches a descriptor for the coroutines of this worker.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, source: &Arc<dyn Watched>) -> io::Result<u64> {
        let token = self.sources.borrow_mut().insert(source.clone());
        let watched = self.driver.borrow_mut().watch(fd, token);
        if let Err(error) = watched {
            self.sources.borrow_mut().remove(token);
            return Err(error);
        }
        Ok(token)
    }
}
