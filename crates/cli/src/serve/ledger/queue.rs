//! The queue in front of the ledger thread: everyone adds, one thread takes all that waits.
//!
//! A plain `std` lock: it is held for a push and never over a wait, so a coroutine that takes it
//! does not hold up its worker. The thread is only woken when it sleeps: while it
//! commits one group the next one gathers without a system call.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs for one consumer.
pub(super) struct Queue<J> {
    state: Mutex<State<J>>,
    /// Signalled when there is something for a consumer that sleeps.
    filled: Condvar,
}

/// What the lock guards.
struct State<J> {
    jobs: VecDeque<J>,
    /// The consumer waits for `filled`.
    asleep: bool,
    /// No more jobs will come: the consumer ends when the rest is done.
    closed: bool,
}

impl<J> Queue<J> {
    /// An empty queue.
    pub(super) fn new() -> Self {
        let state = State { jobs: VecDeque::new(), asleep: false, closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new() }
    }

    /// Adds jobs, all that there are, and wakes the consumer once; leaves them where they are when the queue was closed.
    pub(super) fn push(&self, jobs: &mut Vec<J>) {
        let mut state = self.lock();
        if state.closed || jobs.is_empty() {
            return;
        }
        state.jobs.extend(jobs.drain(..));
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
    }

    /// Waits for jobs and moves the oldest `limit` of them to `group`, which must be empty.
    /// Returns false when the queue is closed and all is done.
    pub(super) fn take(&self, limit: usize, group: &mut Vec<J>) -> bool {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return false;
            }
            state.asleep = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.asleep = false;
        let count = state.jobs.len().min(limit);
        group.extend(state.jobs.drain(..count));
        true
    }

    /// Lets the consumer end when it has done what waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// Nothing in here can panic half way, so a poisoned lock guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn groups_are_what_waits_up_to_the_limit_in_order() {
        let queue = Queue::new();
        queue.push(&mut vec![0, 1]);
        queue.push(&mut Vec::new());
        queue.push(&mut vec![2, 3, 4]);
        let mut group = Vec::new();
        assert!(queue.take(3, &mut group));
        assert_eq!(group, [0, 1, 2]);
        group.clear();
        assert!(queue.take(3, &mut group));
        assert_eq!(group, [3, 4]);
    }

    #[test]
    fn a_closed_queue_gives_what_it_holds_and_then_ends() {
        let queue = Queue::new();
        queue.push(&mut vec![1]);
        queue.close();
        let mut late = vec![2];
        queue.push(&mut late);
        assert_eq!(late, [2], "it stays with whoever came too late");
        let mut group = Vec::new();
        assert!(queue.take(10, &mut group));
        assert_eq!(group, [1]);
        assert!(!queue.take(10, &mut group));
    }

    #[test]
    fn a_sleeping_consumer_is_woken() {
        let queue = Queue::new();
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                let (mut group, mut sum) = (Vec::new(), 0);
                while queue.take(7, &mut group) {
                    sum += group.drain(..).sum::<u64>();
                }
                sum
            });
            for job in 1..=1000 {
                queue.push(&mut vec![job]);
            }
            queue.close();
            assert_eq!(consumer.join().ok(), Some(500_500));
        });
    }
}
