//! One task, asked by whoever has a [`Task`].

use std::time::Instant;

use ropewalk_sync::park::{self, Unparker, WaitReason};
use ropewalk_sys::process::{RunState, run_state};

use super::collect;
use super::wait_for::{self, Since};
use super::{Blocked, Death, State};
use crate::runtime;
use crate::task::current::Task;

impl Task {
    /// What it does now: by the time that this returns it may be over. It stops nobody, and may be called from anywhere.
    ///
    /// Of a process it is what the kernel says of the child's main thread, once there is a child.
    ///
    /// ```
    /// use ropewalk_runtime::inspect::{Death, State};
    /// use ropewalk_runtime::{coroutine, run};
    ///
    /// run(|| {
    ///     let task = coroutine::Builder::new().create(|| 6 * 7).unwrap();
    ///     let seen = task.task();
    ///     assert_eq!(seen.state(), State::New);
    ///     assert_eq!(task.start().unwrap().join().unwrap(), 42);
    ///     assert_eq!(seen.state(), State::Dead(Death::Returned));
    ///     assert_eq!(coroutine::current().state(), State::Running);
    /// });
    /// ```
    #[must_use]
    pub fn state(&self) -> State {
        let waiter = self.0.waiter();
        if let Some(header) = self.header() {
            if let Some(death) = header.death() {
                return State::Dead(death);
            }
            if let Some(state) = header.process().and_then(state_of_process) {
                return state;
            }
        }
        let started = if waiter.is_coroutine() {
            waiter.home() != 0
        } else {
            // What is no task of ours was a thread before it became one.
            self.header().is_none() || park::is_alive(waiter.id())
        };
        if !started {
            return State::New;
        }
        if let Some(waiting) = waiter.waiting() {
            return State::Blocked(wait_for::blocked(waiter, waiting, Since::now(), |_| None));
        }
        if self.header().is_none() && !park::is_alive(waiter.id()) {
            return State::Dead(Death::Unknown);
        }
        let is_behind = || waiter.standing().is_some() || !is_running(waiter.home(), waiter.id());
        if waiter.is_coroutine() && is_behind() { State::Ready } else { State::Running }
    }

    /// The tasks that it has spawned and that have not ended, by their numbers.
    ///
    /// # Waits
    /// As [`dump`](super::dump): for the answers of workers that have coroutines which have not started.
    ///
    /// # Cancellation
    /// As every wait.
    #[must_use]
    pub fn children(&self) -> Vec<Self> {
        let own = self.id().0;
        let found = collect::find(&runtime::all(), &mut Vec::new()).found;
        let children =
            found.into_iter().filter(|task| task.header().and_then(|header| header.parent()) == Some(own));
        children.map(|task| Self(Unparker::of(task.into_park()))).collect()
    }
}

/// Whether the worker with that number runs the coroutine `id`, or has run it last.
fn is_running(worker: u32, id: u64) -> bool {
    let runtimes = runtime::all();
    let mut remotes = runtimes.iter().flat_map(|shared| &shared.remotes);
    remotes.any(|remote| remote.number() == worker && remote.pulse.running() == Some(id))
}

/// What the kernel says of a child; `None` if it has been reaped just now.
fn state_of_process(id: u32) -> Option<State> {
    Some(match run_state(id).ok()? {
        RunState::Runnable => State::Running,
        RunState::Sleeping => State::Blocked(Blocked {
            reason: WaitReason::Kernel,
            since: Instant::now(),
            object: None,
            on: None,
        }),
        RunState::Stopped => State::Stopped,
        // Its task ends when it has heard of it.
        RunState::Dead => State::Dead(Death::Unknown),
    })
}
