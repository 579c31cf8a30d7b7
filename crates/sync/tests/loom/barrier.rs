//! Barriers and latches.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

use ropewalk_sync::barrier::Barrier;
use ropewalk_sync::latch::Latch;

use crate::support::{Task, model};

/// What each has written before it came is seen by the other afterwards; and the next round is not mixed up with this one.
#[test]
fn barrier_orders_what_was_before_it() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let written: Arc<[AtomicUsize; 2]> = Arc::default();
        let meet = |barrier: &Barrier, written: &[AtomicUsize; 2], own: usize| {
            let mut led = 0;
            for round in 1..=2 {
                written[own].store(round, Relaxed);
                led += usize::from(barrier.wait().is_leader());
                assert!(written[1 - own].load(Relaxed) >= round);
            }
            led
        };
        let (other, others) = (barrier.clone(), written.clone());
        let thread = thread::spawn(move || meet(&other, &others, 1));
        let led = meet(&barrier, &written, 0);
        assert_eq!(led + thread.join().unwrap(), 2);
    });
}

/// Cancelled while it waits or while all have met: it has come or it has not.
#[test]
fn barrier_with_a_task_that_is_cancelled() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let task = Task::spawn(move || other.wait().is_leader());
        let other = barrier.clone();
        let partner = Task::spawn(move || other.wait().is_leader());
        task.cancel();
        match task.join() {
            Some(led) => assert_eq!(partner.join(), Some(!led)),
            None => {
                // The partner waits for another one.
                let led = barrier.wait().is_leader();
                assert_eq!(partner.join(), Some(!led));
            }
        }
    });
}

#[test]
fn latch_orders_what_was_before_it() {
    model(|| {
        let latch = Arc::new(Latch::new(2));
        let written: Arc<[AtomicUsize; 2]> = Arc::default();
        for own in 0..2 {
            let (latch, written) = (latch.clone(), written.clone());
            thread::spawn(move || {
                written[own].store(1, Relaxed);
                latch.count_down();
            });
        }
        latch.wait();
        assert!(written.iter().all(|written| written.load(Relaxed) == 1));
        assert!(latch.is_open());
    });
}

#[test]
fn latch_with_a_task_that_is_cancelled() {
    model(|| {
        let latch = Arc::new(Latch::new(1));
        let (first, second) = (latch.clone(), latch.clone());
        let first = Task::spawn(move || first.wait());
        let second = thread::spawn(move || second.wait());
        first.cancel();
        latch.count_down();
        first.join();
        second.join().unwrap();
    });
}
