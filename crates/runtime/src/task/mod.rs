//! What a task is, whatever plan runs it.
//!
//! A task is one allocation: a [`Header`] that everybody may read, what its plan needs, and a slot that holds first the
//! closure and then the result ([`cell`]). Handles, wait lists and queues hold it by `Arc`; it outlives the stack that
//! it ran on.

pub(crate) mod cell;
pub(crate) mod current;
pub(crate) mod ending;
pub(crate) mod exit;
pub(crate) mod join;
pub(crate) mod local;
mod payload;
pub(crate) mod state;

use std::any::Any;
use std::convert::Infallible;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::Waker;

use Ordering::{AcqRel, Acquire, Relaxed};
use ropewalk_sync::channel::{self, Receiver, Sender};
use ropewalk_sync::park::{self, Park, Unparker, Wait, WaitReason};
use ropewalk_sync::wait_list::WaitList;
use std::sync::atomic::Ordering;

use self::state::Death;

/// The result is stored; who waits was told. With it comes how the task ended ([`Death::to_bits`]).
const DONE: u32 = 1;
/// Nobody will ask for the result.
const DETACHED: u32 = 2;
/// Somebody is, or was, among `Header::joiners`: who marks the end tells them. Without it nobody is there, and whoever comes
/// sees [`DONE`] in the same word.
const AWAITED: u32 = 4;

/// Who counts a task: the scope or the runtime that it belongs to.
pub(crate) trait Owner: Send + Sync {
    /// One more task that it waits for.
    fn began(&self);

    /// The task ended; `failure` says how, unless it returned.
    fn ended(&self, slot: u32, failure: Option<Failure>);

    /// The runtime that it is, or belongs to, for who knows its type.
    fn runtime(self: Arc<Self>) -> Option<Arc<dyn Any + Send + Sync>>;
}

/// How a task failed, as far as its owner has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Panicked,
    Cancelled,
    /// The deadline has passed that it has from its scope.
    Elapsed,
}

/// What a task is given at its birth.
#[derive(Default)]
pub(crate) struct Birth {
    pub(crate) name: Option<Arc<str>>,
    /// The scope or the runtime that it belongs to, its place there, and whether that waits for it.
    pub(crate) owner: Option<Arc<dyn Owner>>,
    pub(crate) slot: u32,
    pub(crate) counted: bool,
}

/// What few tasks have: in a box, so that the others keep no room for it.
#[derive(Default)]
struct Rare {
    /// Children that are still to be cancelled.
    daemons: Mutex<Vec<Weak<dyn Park>>>,
    /// The number of the process that the task stands for, while that lives; 0 for none.
    process: AtomicU32,
    /// How what the task stood for has ended, where the task itself returns ([`Death::to_bits`]); 0 for as the task.
    death: AtomicU32,
}

/// Who is told of the end of a task, besides those that wait for it alone.
#[derive(Default)]
struct Listeners {
    /// What to wake, if its handle was polled as a future.
    waker: Option<Waker>,
    /// A channel that is disconnected then, if anybody asked for one.
    ended: Option<Box<(Sender<Infallible>, Receiver<Infallible>)>>,
}

/// The part of a task that does not depend on its plan.
pub(crate) struct Header {
    birth: Birth,
    spawned_at: &'static Location<'static>,
    /// The number of the task that spawned it.
    parent: Option<NonZeroU64>,
    state: AtomicU32,
    /// Who joins it, and who else is to be told of the end.
    joiners: WaitList<Listeners>,
    rare: OnceLock<Box<Rare>>,
}

impl Header {
    /// Of a child of the task that calls.
    pub(crate) fn new(birth: Birth, spawned_at: &'static Location<'static>) -> Self {
        Self {
            birth,
            spawned_at,
            parent: park::current_id().and_then(NonZeroU64::new),
            state: AtomicU32::new(0),
            joiners: WaitList::new(Listeners::default()),
            rare: OnceLock::new(),
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.birth.name.as_deref()
    }

    pub(crate) fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    pub(crate) fn parent(&self) -> Option<u64> {
        self.parent.map(NonZeroU64::get)
    }

    pub(crate) fn shared_name(&self) -> Option<Arc<str>> {
        self.birth.name.clone()
    }

    /// The scope or the runtime that it belongs to.
    pub(crate) fn owner(&self) -> Option<&Arc<dyn Owner>> {
        self.birth.owner.as_ref()
    }

    /// The address of the scope or the runtime that waits for it, if one does.
    pub(crate) fn waiting_owner(&self) -> Option<usize> {
        let owner = self.birth.owner.as_ref().filter(|_| self.birth.counted)?;
        Some(Arc::as_ptr(owner).addr())
    }

    pub(crate) fn is_done(&self) -> bool {
        // SYNC: task.done. Who sees it may take the result.
        self.state.load(Acquire) & DONE != 0
    }

    /// How it ended, if it has.
    pub(crate) fn death(&self) -> Option<Death> {
        // SYNC: task.done. What the task stood for has ended before.
        let death = Death::from_bits(self.state.load(Acquire))?;
        let stood_for = self.rare.get().and_then(|rare| Death::from_bits(rare.death.load(Relaxed)));
        Some(stood_for.filter(|_| death == Death::Returned).unwrap_or(death))
    }

    /// What the task stands for has ended like this, which the task is about to return.
    pub(crate) fn stood_for(&self, death: Death) {
        self.rare.get_or_init(Box::default).death.store(death.to_bits(), Relaxed);
    }

    /// The process that the task stands for, while that lives.
    pub(crate) fn process(&self) -> Option<u32> {
        self.rare.get().map(|rare| rare.process.load(Relaxed)).filter(|process| *process != 0)
    }

    /// The task stands for this process from now on; for none, with 0.
    pub(crate) fn set_process(&self, process: u32) {
        self.rare.get_or_init(Box::default).process.store(process, Relaxed);
    }

    /// Waits for the end, or for the wait's deadline: then `false`.
    #[track_caller]
    pub(crate) fn wait_done(&self, wait: Wait) -> bool {
        loop {
            if self.is_done() {
                return true;
            }
            let guard = self.joiners.lock();
            if self.is_done_or_awaited() {
                return true;
            }
            if let Err(interrupt) = self.joiners.wait(guard, &wait.object(self)) {
                if self.is_done() {
                    return true;
                }
                let _ = interrupt.deliver();
                return false;
            }
        }
    }

    /// Whether it has ended; if not, `waker`, and no other, is woken when it does.
    pub(crate) fn poll_done(&self, waker: &Waker) -> bool {
        if self.is_done() {
            return true;
        }
        // Wakers are foreign code: none of it runs under the lock.
        let waker = waker.clone();
        let mut joiners = self.joiners.lock();
        // `announce` comes for the waker after the end was marked: who has the lock first leaves it for the other.
        let done = self.is_done_or_awaited();
        let _not_needed = if done { Some(waker) } else { joiners.waker.replace(waker) };
        drop(joiners);
        done
    }

    /// A channel without messages that is disconnected when it has ended.
    pub(crate) fn ended(&self) -> Receiver<Infallible> {
        let fresh = Box::new(channel::bounded(0));
        let mut joiners = self.joiners.lock();
        // As in `poll_done`.
        let done = self.is_done_or_awaited();
        let _not_needed =
            if done || joiners.ended.is_some() { Some(fresh) } else { joiners.ended.replace(fresh) };
        match joiners.ended.as_ref().filter(|_| !done) {
            Some(ended) => ended.1.clone(),
            None => channel::bounded(0).1,
        }
    }

    /// Nobody polls any more.
    pub(crate) fn forget_waker(&self) {
        let waker = self.joiners.lock().waker.take();
        drop(waker);
    }

    /// A child that is to be cancelled when this task ends.
    pub(crate) fn adopt_daemon(&self, child: Weak<dyn Park>) {
        let rare = self.rare.get_or_init(Box::default);
        let mut daemons = rare.daemons.lock().unwrap_or_else(PoisonError::into_inner);
        // Dead children are swept out when the list would grow, and then there is room for as many again as live.
        if daemons.len() == daemons.capacity() {
            daemons.retain(|child| child.strong_count() > 0);
            let live = daemons.len();
            daemons.reserve(live.max(4));
        }
        daemons.push(child);
    }

    fn cancel_daemons(&self) {
        if let Some(rare) = self.rare.get() {
            let daemons = std::mem::take(&mut *rare.daemons.lock().unwrap_or_else(PoisonError::into_inner));
            daemons.iter().filter_map(Weak::upgrade).for_each(cancel);
        }
    }

    /// To be called with the lock of the joiners: whether it has ended; if not, its end is told to them.
    fn is_done_or_awaited(&self) -> bool {
        let mut state = self.state.load(Acquire); // SYNC: task.done
        if state & AWAITED == 0 {
            state = self.state.fetch_or(AWAITED, AcqRel); // SYNC: task.done
        }
        state & DONE != 0
    }

    /// The result is stored: marks the end. Gives the state before.
    fn mark_done(&self, death: Death) -> u32 {
        // SYNC: task.done
        self.state.fetch_or(DONE | death.to_bits(), AcqRel)
    }

    /// Nobody will ask for the result. `true` if the task has ended already.
    fn mark_detached(&self) -> bool {
        self.state.fetch_or(DETACHED, AcqRel) & DONE != 0
    }

    /// It will never start: whoever counts it hears that it ended.
    pub(crate) fn abandon(&self) {
        let before = self.mark_done(Death::NotStarted);
        self.announce(before, None);
    }

    /// After the end was marked, where the state was `before`.
    fn announce(&self, before: u32, failure: Option<Failure>) {
        self.cancel_daemons();
        if before & AWAITED != 0 {
            self.tell_joiners();
        }
        if let Some(owner) = self.birth.owner.as_ref().filter(|_| self.birth.counted) {
            owner.ended(self.birth.slot, failure);
        }
    }

    fn tell_joiners(&self) {
        let mut joiners = self.joiners.lock();
        let Listeners { waker, ended } = std::mem::take(&mut *joiners);
        self.joiners.notify_all_after(joiners);
        drop(ended);
        if let Some(waker) = waker {
            // It panics for itself; whoever counts this task has to hear of the end.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

/// Asks a task to end: it unwinds from its next wait.
pub(crate) fn cancel(task: Arc<dyn Park>) {
    task.waiter().request_cancel();
    Unparker::of(task).unpark();
}

/// The wait for a task's end.
pub(crate) fn join_wait() -> Wait {
    Wait::new(WaitReason::Join)
}

/// What an end means to who counts the task.
fn failure_of(death: Death) -> Option<Failure> {
    match death {
        Death::Returned => None,
        Death::Cancelled => Some(Failure::Cancelled),
        Death::Panicked | Death::NotStarted | Death::Exited | Death::Unknown => Some(Failure::Panicked),
    }
}
