//! What the users of a run share: who has arrived, in which phase the run is, and when the payment clock stops.
//!
//! Phases, each entered once and in this order; any of them may go straight to Stopped:
//! 1. Gathering: users dial; who is connected waits.
//! 2. Running: users send; nothing is counted (the warm-up).
//! 3. Counting: answers count towards the payment clock.
//! 4. Closing: the clock has stopped, the users go on, so that the second reading of the counters is taken under
//!    load as the first was.
//! 5. Stopped: each user ends after the answer that it waits for.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ropewalk::sync::{Condvar, Mutex};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    Gathering,
    Running,
    Counting,
    Closing,
    Stopped,
}

/// Shared by all users and whoever directs them.
pub(super) struct Stage {
    users: u32,
    /// The number of the phase; written under the lock of `state`, read without it in every turn of every user.
    phase: AtomicU8,
    /// Answers since the run began.
    answered: AtomicU64,
    /// Answers in the Counting phase, some beyond `limit`.
    counted: AtomicU64,
    /// The payment clock stops at so many.
    limit: u64,
    state: Mutex<State>,
    /// Users wait here for Running.
    started: Condvar,
    /// The director waits here for users and for the end of the clock.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    arrived: u32,
    left: u32,
    trouble: Option<String>,
    clock_started: Option<Instant>,
    clock_stopped: Option<Instant>,
}

impl Stage {
    /// A stage for so many users, whose payment clock stops after `limit` answers.
    pub(super) fn new(users: u32, limit: u64) -> Self {
        Self {
            users,
            phase: AtomicU8::new(Phase::Gathering as u8),
            answered: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            limit,
            state: Mutex::new(State::default()),
            started: Condvar::new(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> impl std::ops::DerefMut<Target = State> {
        // A user that panicked has not left the state half-written: every change is one assignment.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether users should go on.
    pub(super) fn is_stopped(&self) -> bool {
        self.phase.load(Relaxed) == Phase::Stopped as u8
    }

    /// A user is connected and waits for the start; `false` when the run was stopped instead.
    pub(super) fn arrive_and_wait(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.arrived += 1;
        if state.arrived == self.users {
            self.changed.notify_all();
        }
        while self.phase.load(Relaxed) == Phase::Gathering as u8 {
            state = self.started.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        !self.is_stopped()
    }

    /// A user ends. `trouble` is why, when it should not have.
    pub(super) fn leave(&self, trouble: Option<String>) {
        let mut state = self.state();
        state.left += 1;
        if trouble.is_some() && state.trouble.is_none() {
            state.trouble = trouble;
        }
        self.changed.notify_all();
    }

    /// An answer came; `true` when it belongs to the payment clock.
    pub(super) fn answered(&self) -> bool {
        self.answered.fetch_add(1, Relaxed);
        if self.phase.load(Relaxed) != Phase::Counting as u8 {
            return false;
        }
        let count = self.counted.fetch_add(1, Relaxed) + 1;
        if count == self.limit {
            self.stop_clock();
        }
        count <= self.limit
    }

    /// Answers since the run began.
    pub(super) fn answers(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// How many users have arrived.
    pub(super) fn arrived(&self) -> u32 {
        self.state().arrived
    }

    /// The first thing that went wrong with a user.
    pub(super) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// Lets the users send.
    pub(super) fn start(&self) {
        self.enter(Phase::Running);
    }

    /// Starts the payment clock.
    pub(super) fn start_clock(&self) {
        self.state().clock_started = Some(Instant::now());
        self.enter(Phase::Counting);
    }

    /// Stops the payment clock; later calls change nothing.
    pub(super) fn stop_clock(&self) {
        let now = Instant::now();
        self.state().clock_stopped.get_or_insert(now);
        self.enter(Phase::Closing);
    }

    /// Lets every user end after its present answer.
    pub(super) fn stop(&self) {
        self.enter(Phase::Stopped);
    }

    fn enter(&self, phase: Phase) {
        let state = self.state();
        if self.phase.load(Relaxed) < phase as u8 {
            self.phase.store(phase as u8, Relaxed);
        }
        drop(state);
        self.started.notify_all();
        self.changed.notify_all();
    }

    /// How long the payment clock ran, once it has stopped.
    pub(super) fn clock(&self) -> Option<Duration> {
        let state = self.state();
        Some(state.clock_stopped?.duration_since(state.clock_started?))
    }

    /// Waits until all users have arrived, one has left, or `give_up` says so; `true` when all are there.
    pub(super) fn wait_gathered(&self, give_up: impl FnMut() -> bool) -> bool {
        self.wait(|state| state.arrived == self.users || state.left > 0, give_up);
        let state = self.state();
        state.arrived == self.users && state.left == 0
    }

    /// Waits until the payment clock has stopped, all users have left, or `give_up` says so.
    pub(super) fn wait_clock_stopped(&self, give_up: impl FnMut() -> bool) {
        self.wait(|state| state.clock_stopped.is_some() || state.left == self.users, give_up);
    }

    /// Waits for a state, asking `give_up` several times a second (a signal or a deadline is nobody's notify).
    fn wait(&self, reached: impl Fn(&State) -> bool, mut give_up: impl FnMut() -> bool) {
        const ASK_AGAIN: Duration = Duration::from_millis(20);
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while !reached(&state) && !give_up() {
            let (next, _) =
                self.changed.wait_timeout(state, ASK_AGAIN).unwrap_or_else(|poisoned| poisoned.into_inner());
            state = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_in_the_counting_phase_count_and_no_more_than_the_limit() {
        let stage = Stage::new(1, 2);
        assert!(!stage.answered());
        stage.start();
        assert!(!stage.answered());
        stage.start_clock();
        assert!(stage.answered());
        assert_eq!(stage.clock(), None);
        assert!(stage.answered());
        assert!(stage.clock().is_some());
        assert!(!stage.answered());
        assert_eq!(stage.answers(), 5);
    }

    #[test]
    fn the_clock_stops_once() {
        let stage = Stage::new(1, 10);
        stage.start();
        stage.start_clock();
        stage.stop_clock();
        let clock = stage.clock();
        stage.stop_clock();
        assert_eq!(stage.clock(), clock);
    }

    #[test]
    fn phases_only_go_forward() {
        let stage = Stage::new(1, 10);
        stage.stop();
        stage.start();
        assert!(stage.is_stopped());
        assert!(!stage.arrive_and_wait());
    }

    #[test]
    fn a_user_that_leaves_early_ends_the_gathering_with_its_reason() {
        let stage = Stage::new(2, 10);
        stage.leave(Some("no room".to_owned()));
        assert!(!stage.wait_gathered(|| panic!("need not ask")));
        assert_eq!(stage.trouble().as_deref(), Some("no room"));
    }

    #[test]
    fn all_arriving_ends_the_gathering_and_giving_up_ends_any_wait() {
        let stage = Stage::new(1, 10);
        std::thread::scope(|scope| {
            let user = scope.spawn(|| stage.arrive_and_wait());
            assert!(stage.wait_gathered(|| false));
            stage.start();
            assert!(user.join().unwrap());
        });
        stage.wait_clock_stopped(|| true);
        assert_eq!(stage.clock(), None);
    }
}
