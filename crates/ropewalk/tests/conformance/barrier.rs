//! Barriers and latches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ropewalk::sync::{Barrier, Latch};
use ropewalk_sync::park::WaitReason::{BarrierWait, LatchWait};

use crate::support::{End, LONG, Numbers, Task, elapse, let_others_run, on_every_plan};

#[test]
fn all_wait_for_the_last_and_one_leads() {
    on_every_plan(|plans| {
        let barrier = Arc::new(Barrier::new(5));
        let tasks = [(); 4].map(|()| {
            let barrier = barrier.clone();
            plans.waiting(BarrierWait, move || barrier.wait().is_leader())
        });
        assert!(tasks.iter().all(|task| !task.is_finished()));
        assert!(barrier.wait().is_leader(), "it came last");
        assert_eq!(tasks.map(Task::value), [false; 4]);
    });
}

#[test]
fn a_barrier_is_ready_for_the_next_round() {
    on_every_plan(|plans| {
        let shared = Arc::new((Barrier::new(4), AtomicUsize::new(0)));
        let tasks = [(); 4].map(|()| {
            let shared = shared.clone();
            plans.spawn(move || {
                let (barrier, come) = &*shared;
                let mut led = 0;
                for round in 0..200 {
                    come.fetch_add(1, Relaxed);
                    led += usize::from(barrier.wait().is_leader());
                    let come = come.load(Relaxed);
                    assert!((4 * (round + 1)..4 * (round + 2)).contains(&come), "{come} in round {round}");
                }
                led
            })
        });
        assert_eq!(tasks.map(Task::value).iter().sum::<usize>(), 200);
    });
}

/// More than are woken in one batch, of which some go on to the next round before all have been woken.
#[test]
fn rounds_of_many_do_not_mix() {
    on_every_plan(|plans| {
        let barrier = Arc::new(Barrier::new(40));
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let barrier = barrier.clone();
                plans.spawn(move || (0..20).filter(|_| barrier.wait().is_leader()).count())
            })
            .collect();
        assert_eq!(tasks.into_iter().map(Task::value).sum::<usize>(), 20);
    });
}

#[test]
fn a_barrier_for_nobody_or_one_does_not_wait() {
    on_every_plan(|_| {
        for tasks in [0, 1] {
            let barrier = Barrier::new(tasks);
            assert!(barrier.wait().is_leader() && barrier.wait().is_leader());
        }
        assert_eq!(format!("{:?}", Barrier::new(3)), "Barrier { .. }");
        assert_eq!(format!("{:?}", Barrier::new(1).wait()), "BarrierWaitResult { is_leader: true }");
    });
}

#[test]
fn who_is_cancelled_at_a_barrier_has_not_come() {
    on_every_plan(|plans| {
        let barrier = Arc::new(Barrier::new(3));
        let [first, cancelled] = [(); 2].map(|()| {
            let barrier = barrier.clone();
            plans.waiting(BarrierWait, move || barrier.wait().is_leader())
        });
        cancelled.cancel();
        assert_eq!(cancelled.join(), End::Cancelled);
        elapse(|| barrier.wait());
        let other = barrier.clone();
        let second = plans.waiting(BarrierWait, move || other.wait().is_leader());
        assert!(!first.is_finished());
        assert!(barrier.wait().is_leader());
        assert_eq!((first.value(), second.value()), (false, false));
    });
}

/// Tasks that are cancelled at any moment: those that are left meet all the same.
#[test]
fn cancellations_do_not_unsettle_a_barrier() {
    on_every_plan(|plans| {
        for round in 0..3 {
            let barrier = Arc::new(Barrier::new(3));
            let mut numbers = Numbers(round);
            let mut tasks: Vec<_> = (0..6)
                .map(|_| {
                    let barrier = barrier.clone();
                    plans.spawn(move || {
                        loop {
                            let _ = barrier.wait();
                            ropewalk::coroutine::yield_now();
                        }
                    })
                })
                .collect();
            while !tasks.is_empty() {
                (0..numbers.below(6)).for_each(|_| let_others_run());
                let task = tasks.swap_remove(numbers.below(tasks.len() as u64) as usize);
                task.cancel();
                assert_eq!(task.join(), End::<()>::Cancelled);
            }
            // Nobody is left, so three have to come.
            let others = [(); 2].map(|()| {
                let barrier = barrier.clone();
                plans.waiting(BarrierWait, move || barrier.wait().is_leader())
            });
            assert!(barrier.wait().is_leader());
            assert_eq!(others.map(Task::value), [false, false]);
        }
    });
}

#[test]
fn a_latch_opens_at_zero_for_all_and_stays_open() {
    on_every_plan(|plans| {
        let latch = Arc::new(Latch::new(3));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let latch = latch.clone();
                plans.waiting(LatchWait, move || latch.wait())
            })
            .collect();
        latch.count_down();
        assert_eq!((latch.count(), latch.is_open()), (2, false));
        assert!(tasks.iter().all(|task| !task.is_finished()));
        latch.count_down_by(5);
        tasks.into_iter().for_each(Task::value);
        assert!(latch.is_open() && latch.wait_timeout(Duration::ZERO));
        latch.count_down();
        latch.wait();
        assert_eq!(format!("{latch:?}"), "Latch { count: 0, .. }");
    });
}

#[test]
fn tasks_that_arrive_and_wait_open_a_latch_together() {
    on_every_plan(|plans| {
        let latch = Arc::new(Latch::new(5));
        let tasks = [(); 5].map(|()| {
            let latch = latch.clone();
            plans.spawn(move || latch.arrive_and_wait())
        });
        tasks.into_iter().for_each(Task::value);
    });
}

#[test]
fn who_leaves_a_latch_early_changes_nothing() {
    on_every_plan(|plans| {
        let latch = Arc::new(Latch::new(2));
        assert!(!latch.wait_timeout(Duration::from_millis(1)));
        elapse(|| latch.wait());
        let [cancelled, other] = [false, true].map(|with_limit| {
            let latch = latch.clone();
            plans.waiting(LatchWait, move || {
                if with_limit {
                    return latch.wait_timeout(LONG);
                }
                latch.wait();
                true
            })
        });
        cancelled.cancel();
        assert_eq!(cancelled.join(), End::Cancelled);
        assert_eq!(latch.count(), 2);
        latch.count_down_by(2);
        assert!(other.value());
    });
}
