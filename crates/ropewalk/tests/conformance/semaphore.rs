//! Semaphores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ropewalk::coroutine;
use ropewalk::sync::Semaphore;
use ropewalk_sync::park::WaitReason::SemaphoreAcquire;

use crate::support::{End, LONG, Numbers, Plans, Task, elapse, fail, let_others_run, on_every_plan};

const SHORT: Duration = Duration::from_millis(2);

/// Waits for so many permits and gives them away.
fn forgetter(plans: &Plans, semaphore: &Arc<Semaphore>, count: usize) -> Task<()> {
    let semaphore = semaphore.clone();
    plans.waiting(SemaphoreAcquire, move || semaphore.acquire_many(count).forget())
}

#[test]
fn permits_are_counted() {
    on_every_plan(|_| {
        let semaphore = Semaphore::new(5);
        let two = semaphore.acquire_many(2);
        let one = semaphore.acquire();
        assert_eq!((two.count(), one.count(), semaphore.available_permits()), (2, 1, 2));
        assert!(semaphore.try_acquire_many(3).is_none());
        drop(semaphore.try_acquire_many(2).unwrap());
        drop(two);
        assert_eq!(semaphore.available_permits(), 4);
        one.forget();
        assert_eq!(semaphore.available_permits(), 4);
        semaphore.add_permits(1);
        assert_eq!(semaphore.available_permits(), 5);
        assert_eq!(semaphore.acquire_many(0).count(), 0);
        assert_eq!(format!("{semaphore:?}"), "Semaphore { available_permits: 5, .. }");
    });
}

#[test]
fn owned_permits_keep_the_semaphore() {
    on_every_plan(|plans| {
        let semaphore = Arc::new(Semaphore::new(3));
        let one = semaphore.acquire_owned();
        let two = semaphore.acquire_many_owned(2);
        assert!(semaphore.try_acquire_owned().is_none());
        plans.spawn(move || drop(one)).value();
        assert_eq!((two.count(), semaphore.available_permits()), (2, 1));
        semaphore.try_acquire_owned().unwrap().forget();
        assert!(semaphore.try_acquire_many_owned(1).is_none());
        assert!(semaphore.acquire_owned_timeout(SHORT).is_none());
        let mut two = two;
        let split = two.split(1).unwrap();
        assert_eq!((two.count(), split.count(), two.split(2).is_none()), (1, 1, true));
        two.merge(split);
        assert_eq!((two.count(), semaphore.available_permits()), (2, 0));
        drop(two);
        assert_eq!(semaphore.acquire_many_owned_timeout(2, SHORT).unwrap().count(), 2);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

#[test]
fn never_more_than_there_are_permits() {
    on_every_plan(|plans| {
        let (semaphore, inside) = (Arc::new(Semaphore::new(3)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..6)
            .map(|seed| {
                let (semaphore, inside) = (semaphore.clone(), inside.clone());
                plans.spawn(move || {
                    let mut numbers = Numbers(seed);
                    for _ in 0..500 {
                        let permits = semaphore.acquire_many(1 + numbers.below(3) as usize);
                        assert!(inside.fetch_add(permits.count(), Relaxed) + permits.count() <= 3);
                        if numbers.below(32) == 0 {
                            let_others_run();
                        }
                        inside.fetch_sub(permits.count(), Relaxed);
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(Task::value);
        assert_eq!(semaphore.available_permits(), 3);
    });
}

#[test]
fn a_large_request_is_not_starved() {
    on_every_plan(|plans| {
        let semaphore = Arc::new(Semaphore::new(1));
        let large = forgetter(plans, &semaphore, 3);
        let small = forgetter(plans, &semaphore, 1);
        assert!(semaphore.try_acquire().is_none(), "the free permit is spoken for");
        assert!(semaphore.acquire_timeout(SHORT).is_none());
        semaphore.add_permits(1);
        assert_eq!(semaphore.available_permits(), 2);
        assert!(!large.is_finished() && !small.is_finished());
        semaphore.add_permits(1);
        large.value();
        assert!(!small.is_finished());
        semaphore.add_permits(1);
        small.value();
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn many_are_served_at_once() {
    on_every_plan(|plans| {
        let semaphore = Arc::new(Semaphore::new(0));
        let tasks: Vec<_> = (0..40).map(|_| forgetter(plans, &semaphore, 1)).collect();
        semaphore.add_permits(41);
        tasks.into_iter().for_each(Task::value);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn who_leaves_lets_those_behind_have_what_is_free() {
    on_every_plan(|plans| {
        let semaphore = Arc::new(Semaphore::new(2));
        let large = forgetter(plans, &semaphore, 3);
        let small = forgetter(plans, &semaphore, 1);
        large.cancel();
        assert_eq!(large.join(), End::Cancelled);
        small.value();

        let other = semaphore.clone();
        let late = plans.spawn(move || other.acquire_many_timeout(3, Duration::from_millis(50)).is_none());
        let other = semaphore.clone();
        let small = plans.spawn(move || other.acquire().forget());
        assert!(late.value());
        small.value();
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn an_elapsed_time_limit_takes_no_permit() {
    on_every_plan(|_| {
        let semaphore = Semaphore::new(1);
        elapse(|| drop(semaphore.acquire_many(2)));
        assert_eq!(semaphore.available_permits(), 1);
        assert!(semaphore.try_acquire().is_some());
        elapse(|| {
            let _permit = semaphore.acquire();
            coroutine::sleep(LONG);
        });
        assert_eq!(semaphore.available_permits(), 1, "unwinding gives permits back");
    });
}

#[test]
fn permits_survive_panics() {
    on_every_plan(|plans| {
        let semaphore = Arc::new(Semaphore::new(1));
        let other = semaphore.clone();
        let task = plans.spawn(move || {
            let _permit = other.acquire();
            fail();
        });
        assert_eq!(task.join(), End::<()>::Panicked);
        drop(semaphore.acquire());
    });
}

#[test]
fn more_permits_than_can_be_counted_are_refused() {
    on_every_plan(|plans| {
        let most = Semaphore::MAX_PERMITS;
        let refused = |body: fn()| assert!(plans.spawn(body).join() == End::Panicked);
        refused(|| {
            let _ = Semaphore::new(Semaphore::MAX_PERMITS + 1);
        });
        refused(|| Semaphore::new(1).add_permits(Semaphore::MAX_PERMITS));
        refused(|| drop(Semaphore::new(1).acquire_many(Semaphore::MAX_PERMITS + 1)));
        let semaphore = Semaphore::new(most);
        assert!(semaphore.try_acquire_many(most + 1).is_none());
        let all = semaphore.acquire_many(most);
        semaphore.add_permits(1);
        drop(all);
        assert!(semaphore.available_permits() <= most);
    });
}

/// Tasks that are cancelled at any moment: no permit is lost and none comes twice.
#[test]
fn cancellations_neither_lose_nor_make_permits() {
    on_every_plan(|plans| {
        for round in 0..3 {
            let (semaphore, inside) = (Arc::new(Semaphore::new(3)), Arc::new(AtomicUsize::new(0)));
            let mut tasks: Vec<_> = (0..5)
                .map(|seed| {
                    let (semaphore, inside) = (semaphore.clone(), inside.clone());
                    plans.spawn(move || {
                        let mut numbers = Numbers(seed);
                        loop {
                            let permits = semaphore.acquire_many(1 + numbers.below(3) as usize);
                            assert!(inside.fetch_add(permits.count(), Relaxed) + permits.count() <= 3);
                            inside.fetch_sub(permits.count(), Relaxed);
                            coroutine::yield_now();
                        }
                    })
                })
                .collect();
            let mut numbers = Numbers(round);
            while !tasks.is_empty() {
                (0..numbers.below(6)).for_each(|_| let_others_run());
                let task = tasks.swap_remove(numbers.below(tasks.len() as u64) as usize);
                task.cancel();
                assert_eq!(task.join(), End::<()>::Cancelled);
            }
            assert_eq!(semaphore.available_permits(), 3);
        }
    });
}
