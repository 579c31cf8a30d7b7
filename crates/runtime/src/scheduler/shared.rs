//! The workers of one runtime, and what they share.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;

use ropewalk_sync::clock::Clock;
use ropewalk_sync::mailbox::publish_fence;
use ropewalk_sync::park::{Wait, WaitReason};
use ropewalk_sync::wait_list::WaitList;

use super::core::Ready;
use super::remote::{Message, Remote};
use super::schedule::Schedule;
use crate::driver::DriverChoice;
use crate::hooks::Hooks;
use crate::task::{Failure, Owner};

/// A worker may have this many coroutines more than another one before new ones go there: below it, being started
/// where the spawner runs (warm, without a wake-up) is worth more than evenness.
const UNEVENNESS: usize = 8;

/// One task, in `Shared::counted`.
const COUNTED: usize = 2;
/// Somebody waits for `Shared::counted` to count none: whoever is the last tells him. In the same word as the number, so
/// that the one who comes second of the two sees the other.
const AWAITED: usize = 1;

/// One runtime.
pub(crate) struct Shared {
    pub(crate) remotes: Box<[Arc<Remote>]>,
    pub(crate) driver: DriverChoice,
    pub(crate) shutdown_limit: Duration,
    pub(crate) clock: Clock,
    pub(crate) schedule: Schedule,
    pub(crate) hooks: Hooks,
    /// How much is under way outside of the worker that may make a coroutine run; counted only where time is virtual.
    outside: AtomicUsize,
    /// Twice the number of tasks that the runtime waits for; and [`AWAITED`].
    counted: AtomicUsize,
    /// Who waits for `counted` to become zero.
    ended: WaitList<()>,
    closing: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        remotes: Box<[Arc<Remote>]>,
        driver: DriverChoice,
        shutdown_limit: Duration,
        clock: Clock,
        schedule: Schedule,
        hooks: Hooks,
    ) -> Self {
        Self {
            remotes,
            driver,
            shutdown_limit,
            clock,
            schedule,
            hooks,
            outside: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            ended: WaitList::new(()),
            closing: AtomicBool::new(false),
        }
    }

    /// Waits until every task that counts has ended.
    pub(crate) fn wait_ended(&self) {
        loop {
            let guard = self.ended.lock();
            // SYNC: shared.counted. What the tasks did is visible to who waited for them.
            if self.counted.fetch_or(AWAITED, Acquire) < COUNTED {
                return;
            }
            let wait = Wait::new(WaitReason::RuntimeEnd).object(self).uncancellable();
            let _ = self.ended.wait(guard, &wait);
        }
    }

    /// No new task is wanted: workers cancel what they have, and end.
    pub(crate) fn close(&self) {
        self.closing.store(true, Release);
        for remote in &self.remotes {
            remote.wake();
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Acquire)
    }

    /// Whether anything outside of the worker may make a coroutine run.
    pub(crate) fn has_outside(&self) -> bool {
        // SYNC: shared.outside. What it posted before it was over is in the mailbox.
        self.outside.load(Acquire) > 0
    }

    /// The worker for a new coroutine that `here` spawns: the less loaded of `here` and another one (the power of two
    /// choices: M. Mitzenmacher, 2001). `None` means `here`.
    pub(crate) fn place_beside(&self, here: &Remote) -> Option<&Remote> {
        let load = here.load.get();
        if load <= UNEVENNESS {
            return None;
        }
        let other = self.any();
        (other.load.get() + UNEVENNESS < load).then_some(other)
    }

    /// The worker for a new coroutine that no worker spawns: the less loaded of two.
    pub(crate) fn place_anywhere(&self) -> &Remote {
        let (first, second) = (self.any(), self.any());
        if second.load.get() < first.load.get() { second } else { first }
    }

    fn any(&self) -> &Remote {
        &self.remotes[fastrand::usize(..self.remotes.len())]
    }

    /// Gives a new coroutine to a worker.
    pub(crate) fn submit(remote: &Remote, task: Ready) {
        remote.load.add_elsewhere();
        if let Err(Message::Fresh(task)) = remote.post(Message::Fresh(task)) {
            task.refuse(io::Error::other("the runtime has ended"));
        }
    }

    /// Work lies where idle workers steal: wakes one, if one sleeps.
    pub(crate) fn offer(&self, here: &Remote) {
        if self.remotes.len() > 1 {
            publish_fence();
            let mut others = self.remotes.iter().filter(|remote| remote.number() != here.number());
            let _ = others.any(|remote| remote.rouse());
        }
    }

    pub(crate) fn switches(&self) -> u64 {
        self.remotes.iter().map(|remote| remote.pulse.switches()).sum()
    }
}

/// Something outside of the worker that may make a coroutine run: a thread, a call that blocks. While there is any,
/// virtual time goes on no faster than real time.
pub(crate) struct Outside(Arc<Shared>);

impl Outside {
    /// It begins; `None` where time is real anyway.
    pub(crate) fn begin(shared: &Arc<Shared>) -> Option<Self> {
        (shared.clock == Clock::Virtual).then(|| {
            shared.outside.fetch_add(1, Relaxed);
            Self(shared.clone())
        })
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // SYNC: shared.outside
        if self.0.outside.fetch_sub(1, Release) == 1 {
            // A worker that sleeps in real time need not any more.
            self.0.remotes.iter().for_each(|remote| remote.wake());
        }
    }
}

impl Owner for Shared {
    fn began(&self) {
        self.counted.fetch_add(COUNTED, Relaxed);
    }

    fn ended(&self, _slot: u32, _failure: Option<Failure>) {
        // SYNC: shared.counted
        if self.counted.fetch_sub(COUNTED, Release) == COUNTED | AWAITED {
            self.ended.notify_all();
        }
    }

    fn runtime(self: Arc<Self>) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(self)
    }
}
