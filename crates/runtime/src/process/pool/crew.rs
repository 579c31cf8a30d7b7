//! Who of a pool is free, and who waits for one: the list under a lock that tasks and keepers share.
//!
//! # Invariants
//! 1. A worker is in one place: with its keeper (it starts, or has ended), among the idle, in a waiter's slot, or with a
//!    task.
//! 2. While a task waits nobody is idle: whoever brings a worker looks for a waiter first.
//! 3. A worker whose end its keeper has seen (`gone`, under the lock) is never idle again.
//! 4. Tasks wait only while there is a keeper. The last one to leave sends them all away; one that cannot start a worker,
//!    time and again, does so if no worker is left that a task could wait for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ropewalk_sync::clock;
use ropewalk_sync::park::{Wait, WaitReason};
use ropewalk_sync::wait_list::{Left, Place, WaitList};

use super::worker::{Order, Worker};
use crate::process::Builder;

/// A worker is started so often before the tasks that wait are told that it does not start.
const ATTEMPTS: u32 = 4;

/// What a pool was built with.
pub(super) struct Settings {
    pub(super) queue: usize,
    pub(super) calls: Option<u32>,
    pub(super) age: Option<Duration>,
    pub(super) memory: Option<u64>,
    pub(super) process: Box<dyn Fn() -> io::Result<Builder> + Send + Sync>,
}

/// A worker, or why there is none.
type Hired = io::Result<Arc<Worker>>;

struct State {
    /// The one that was used last is the last: its memory is warm.
    idle: Vec<Arc<Worker>>,
    /// Workers that have started and not ended.
    alive: usize,
    keepers: usize,
    /// The pool itself, and each of its tasks.
    users: usize,
    /// Tasks that have no worker yet.
    waiting: usize,
    closing: bool,
}

/// What the pool, its tasks and its keepers share.
pub(super) struct Crew {
    pub(super) settings: Settings,
    state: WaitList<State, Option<Hired>>,
    /// Keepers that pause, and who waits for the end, look here.
    changes: WaitList<()>,
}

impl Crew {
    /// Of so many keepers, and nobody yet. The one ticket is the pool's.
    pub(super) fn new(settings: Settings, keepers: usize) -> (Arc<Self>, Ticket) {
        let state = State { idle: Vec::new(), alive: 0, keepers, users: 1, waiting: 0, closing: false };
        let crew = Arc::new(Self { settings, state: WaitList::new(state), changes: WaitList::new(()) });
        (crew.clone(), Ticket { crew, waits: false })
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): it is full.
    pub(super) fn queue(self: &Arc<Self>) -> io::Result<Ticket> {
        let mut state = self.state.lock();
        if state.waiting >= self.settings.queue.saturating_add(state.idle.len()) {
            let text = format!("the pool is busy, and {} tasks wait already", state.waiting);
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        }
        state.waiting += 1;
        state.users += 1;
        Ok(Ticket { crew: self.clone(), waits: true })
    }

    /// A worker for the task that calls; `place` says where it queues.
    ///
    /// # Errors
    /// There is none, and none can be started.
    ///
    /// # Waits
    /// Until one is free.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    pub(super) fn hire(&self, place: Place) -> Hired {
        let mut state = self.state.lock();
        let near = state.idle.iter().rposition(|worker| worker.is_at_home());
        if let Some(place) = near.or(state.idle.len().checked_sub(1)) {
            return Ok(state.idle.remove(place));
        }
        if state.keepers == 0 {
            return Err(ended());
        }
        let wait = Wait::new(WaitReason::PoolWorker).object(self).fallible();
        match self.state.wait_with(state, &wait, None, place) {
            Ok(hired) => hired.unwrap_or_else(|| Err(ended())),
            Err(Left { interrupt, slot, guard }) => {
                drop((slot, guard));
                Err(interrupt.deliver().into())
            }
        }
    }

    /// A task has done with a worker, which has more calls in it unless it said that this was its `last`.
    pub(super) fn give_back(&self, worker: Arc<Worker>, last: bool) {
        let Settings { calls, age, .. } = self.settings;
        let used_up = calls.is_some_and(|most| worker.count_call() >= most);
        let too_old = worker.lives_until(age).is_some_and(|end| clock::now() >= end);
        if last || used_up || too_old {
            worker.order(Order::Retire);
        } else {
            self.offer(worker, false);
        }
    }

    /// A keeper has started a worker.
    pub(super) fn joined(&self, worker: &Arc<Worker>) {
        self.offer(worker.clone(), true);
    }

    fn offer(&self, worker: Arc<Worker>, new: bool) {
        let mut state = self.state.lock();
        state.alive += usize::from(new);
        if worker.gone.load(Relaxed) {
            return;
        }
        if state.closing && state.users == 0 {
            drop(state);
            return worker.order(Order::Retire);
        }
        let mut worker = Some(worker);
        let waiter = state.notify_first_with(|_, slot| *slot = worker.take().map(Ok));
        state.idle.extend(worker);
        drop(state);
        if let Some(((), waiter)) = waiter {
            waiter.unpark();
        }
    }

    /// A worker is to be retired if it has nothing to do: whether it had.
    pub(super) fn take_idle(&self, worker: &Arc<Worker>) -> bool {
        let mut state = self.state.lock();
        let place = state.idle.iter().position(|idle| Arc::ptr_eq(idle, worker));
        place.map(|place| state.idle.remove(place)).is_some()
    }

    /// Its keeper has seen the end of a worker.
    pub(super) fn left(&self, worker: &Arc<Worker>) {
        let mut state = self.state.lock();
        worker.gone.store(true, Relaxed);
        state.alive -= 1;
        state.idle.retain(|idle| !Arc::ptr_eq(idle, worker));
    }

    /// A keeper could not start a worker, for the so manieth time.
    pub(super) fn not_started(&self, attempt: u32, error: &io::Error) {
        let state = self.state.lock();
        if attempt >= ATTEMPTS && state.alive == 0 {
            self.state.notify_while(state, |_, slot| {
                let text = format!("no worker of the pool can be started: {error}");
                *slot = Some(Err(io::Error::new(error.kind(), text)));
                true
            });
        }
    }

    /// A keeper ends.
    pub(super) fn keeper_leaves(&self) {
        let mut state = self.state.lock();
        state.keepers -= 1;
        if state.keepers == 0 {
            self.state.notify_while(state, |_, slot| {
                *slot = Some(Err(ended()));
                true
            });
            self.changes.notify_all();
        }
    }

    /// Whether no more workers are wanted.
    pub(super) fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    /// Until the pool closes, for so long at most.
    ///
    /// # Waits
    /// That long.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    pub(super) fn pause(&self, limit: Duration) {
        let wait = Wait::new(WaitReason::Idle).object(self).until(clock::after(limit));
        loop {
            let changes = self.changes.lock();
            if self.is_closing() {
                return;
            }
            if let Err(interrupt) = self.changes.wait(changes, &wait) {
                let _ = interrupt.deliver();
                return;
            }
        }
    }

    /// Until the last keeper has left.
    ///
    /// # Waits
    /// Until then.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    pub(super) fn wait_closed(&self) {
        loop {
            let changes = self.changes.lock();
            if self.state.lock().keepers == 0 {
                return;
            }
            let wait = Wait::new(WaitReason::PoolWorker).object(self);
            if let Err(interrupt) = self.changes.wait(changes, &wait) {
                let _ = interrupt.deliver();
                return;
            }
        }
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.iter().for_each(|worker| worker.order(Order::Retire));
        // A keeper that looked just before has the list's lock until it is on the list.
        self.changes.notify_all();
    }
}

fn ended() -> io::Error {
    io::Error::other("the runtime that keeps the pool's workers has ended")
}

/// One who needs the pool. When the last has gone the pool closes.
pub(super) struct Ticket {
    crew: Arc<Crew>,
    waits: bool,
}

impl Ticket {
    /// Where.
    pub(super) fn crew(&self) -> &Arc<Crew> {
        &self.crew
    }

    /// It has a worker.
    pub(super) fn served(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.crew.state.lock().waiting -= 1;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.served();
        let mut state = self.crew.state.lock();
        state.users -= 1;
        let last = state.users == 0;
        drop(state);
        if last {
            self.crew.close();
        }
    }
}
