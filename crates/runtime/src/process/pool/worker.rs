//! One worker of a pool: a child that waits for calls.
//!
//! # Who does what
//! A worker is its keeper's, a coroutine ([`keeper`](super::keeper)) that starts it, waits for its end and reaps it; nobody
//! else sends it a signal, so none can reach a stranger that has got its number. One task at a time has it to itself: takes
//! it from the crew, sends a call and reads the answer. What a task wants done to it - retired, terminated - it leaves as
//! an order, and has the keeper look.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ropewalk_ipc::link::Link;
use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Wait, WaitReason};
use ropewalk_sync::wait_list::WaitList;
use ropewalk_sys::process::Status;

use crate::process::charge::{Charge, EXIT_LIMIT, KILL_LIMIT};
use crate::timeout;

/// Which worker of which runtime the calling task is a coroutine of; 0 for a thread.
fn own_home() -> u32 {
    park::current(|task, _| task.home())
}

/// What a worker's keeper is to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Nothing.
    Keep,
    /// It gets no more calls, and is to end by itself.
    Retire,
    /// `SIGTERM`, then `SIGKILL`.
    Terminate,
}

/// A child, and the link to it.
pub(super) struct Worker {
    pub(super) link: Link,
    pub(super) charge: Charge,
    /// How long a call may take.
    pub(super) deadline: Option<Duration>,
    pub(super) kill_deadline: Duration,
    born: Instant,
    calls: AtomicU32,
    /// The worker of the runtime whose driver watches the link, if a coroutine has waited for it.
    home: AtomicU32,
    order: AtomicU8,
    /// The keeper has seen the end; set under the crew's lock.
    pub(super) gone: AtomicBool,
    /// The end, when it has been reaped: its status, if it ended in good order.
    ended: WaitList<Option<Option<Status>>>,
}

impl Worker {
    pub(super) fn new(
        link: Link,
        charge: Charge,
        deadline: Option<Duration>,
        kill_deadline: Duration,
    ) -> Self {
        Self {
            link,
            charge,
            deadline,
            kill_deadline,
            born: clock::now(),
            calls: AtomicU32::new(0),
            home: AtomicU32::new(own_home()),
            order: AtomicU8::new(Order::Keep as u8),
            gone: AtomicBool::new(false),
            ended: WaitList::new(None),
        }
    }

    /// Counts a call that it has answered: how many it has by now.
    pub(super) fn count_call(&self) -> u32 {
        // Relaxed: one task at a time has the worker, and passes it on under the crew's lock.
        self.calls.fetch_add(1, Relaxed) + 1
    }

    /// Whether the task that calls waits for it where the one before did.
    pub(super) fn is_at_home(&self) -> bool {
        self.home.load(Relaxed) == own_home()
    }

    /// Makes it the calling task's: its answers wake that, and no other worker of the runtime first.
    pub(super) fn bring_home(&self) {
        let home = own_home();
        if self.home.swap(home, Relaxed) != home {
            self.link.pass_on();
        }
    }

    /// Until when it may live.
    pub(super) fn lives_until(&self, age: Option<Duration>) -> Option<Instant> {
        self.born.checked_add(age?)
    }

    /// Has the keeper do this. A stronger order replaces a weaker one.
    pub(super) fn order(&self, order: Order) {
        // Relaxed: the keeper looks after `look_again`, which orders it (SYNC: readiness.tick).
        self.order.fetch_max(order as u8, Relaxed);
        self.charge.look_again();
    }

    /// What the keeper is to do.
    pub(super) fn ordered(&self) -> Order {
        match self.order.load(Relaxed) {
            order if order == Order::Keep as u8 => Order::Keep,
            order if order == Order::Retire as u8 => Order::Retire,
            _ => Order::Terminate,
        }
    }

    /// It has been reaped: whoever waits for that is told.
    pub(super) fn tell_end(&self, status: Option<Status>) {
        *self.ended.lock() = Some(status);
        self.ended.notify_all();
    }

    /// The status of a worker that has cut its link, once it has been reaped; nothing if it had to be killed for that.
    ///
    /// # Waits
    /// Until it has been reaped.
    ///
    /// # Cancellation
    /// Only after a time in which a process ends that can be ended.
    pub(super) fn wait_end(&self) -> Option<Status> {
        timeout::shield(EXIT_LIMIT + self.kill_deadline + KILL_LIMIT, || {
            if let Some(status) = self.wait_ended(EXIT_LIMIT) {
                return status;
            }
            self.order(Order::Terminate);
            self.wait_ended(self.kill_deadline + KILL_LIMIT);
            None
        })
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Waits
    /// Until it has been reaped.
    ///
    /// # Cancellation
    /// As [`wait_end`](Self::wait_end).
    pub(super) fn terminate(&self) {
        self.order(Order::Terminate);
        let limit = self.kill_deadline + KILL_LIMIT;
        timeout::shield(limit, || self.wait_ended(limit));
    }

    fn wait_ended(&self, limit: Duration) -> Option<Option<Status>> {
        let deadline = clock::after(limit);
        loop {
            let ended = self.ended.lock();
            if let Some(status) = *ended {
                return Some(status);
            }
            let wait = Wait::new(WaitReason::ProcessExit).object(self).until(deadline);
            if let Err(interrupt) = self.ended.wait(ended, &wait) {
                let _ = interrupt.deliver();
                return *self.ended.lock();
            }
        }
    }
}
