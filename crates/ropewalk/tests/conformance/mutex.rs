//! Mutexes: exclusion, order, fairness, cancellation.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, TryLockError};

use ropewalk::coroutine;
use ropewalk::sync::{Mutex, MutexGuard};
use ropewalk_sync::park;
use ropewalk_sync::park::WaitReason::{MutexLock, Sleep};

use crate::support::{End, LONG, Numbers, Task, elapse, let_others_run, on_every_plan, swallow, until};

#[test]
fn one_at_a_time() {
    on_every_plan(|plans| {
        let shared = Arc::new((Mutex::new(0_u64), AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let shared = shared.clone();
                plans.spawn(move || {
                    let (mutex, inside) = &*shared;
                    for turn in 0..5_000 {
                        let mut guard = mutex.lock().unwrap();
                        assert_eq!(inside.fetch_add(1, Relaxed), 0);
                        if turn % 512 == 0 {
                            let_others_run();
                        }
                        *guard += 1;
                        inside.fetch_sub(1, Relaxed);
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(Task::value);
        assert_eq!(*shared.0.lock().unwrap(), 20_000);
    });
}

#[test]
fn try_lock_takes_what_is_free() {
    on_every_plan(|_| {
        let mutex = Mutex::new(1);
        let guard = mutex.try_lock().unwrap();
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        drop(guard);
        *mutex.try_lock().unwrap() += 1;
        assert_eq!(*mutex.lock().unwrap(), 2);
    });
}

#[test]
fn try_lock_is_refused_while_others_wait() {
    on_every_plan(|plans| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let other = mutex.clone();
        let task = plans.waiting(MutexLock, move || *other.lock().unwrap() += 1);
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        drop(guard);
        task.value();
        assert_eq!(*mutex.try_lock().unwrap(), 1);
    });
}

#[test]
fn waiters_get_the_lock_in_the_order_in_which_they_came() {
    on_every_plan(|plans| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let guard = order.lock().unwrap();
        let tasks: Vec<_> = (0..6)
            .map(|n| {
                let order = order.clone();
                plans.waiting(MutexLock, move || order.lock().unwrap().push(n))
            })
            .collect();
        drop(guard);
        tasks.into_iter().for_each(Task::value);
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn the_holder_is_known() {
    on_every_plan(|plans| {
        let mutex = Arc::new(Mutex::new(()));
        assert_eq!(mutex.holder(), None);
        let id = park::current(|waiter, _| waiter.id());
        let guard = mutex.lock().unwrap();
        assert_eq!(mutex.holder().map(|holder| holder.task), Some(id));
        let (other, release) = (mutex.clone(), Arc::new(AtomicBool::new(false)));
        let released = release.clone();
        let task = plans.waiting(MutexLock, move || {
            let _guard = other.lock().unwrap();
            until(|| released.load(Relaxed));
        });
        assert_eq!(mutex.holder().map(|holder| holder.task), Some(id), "the one that waits holds nothing");
        drop(guard);
        until(|| mutex.holder().is_some_and(|holder| holder.task == task.id()));
        release.store(true, Relaxed);
        task.value();
        assert_eq!(mutex.holder(), None);
    });
}

#[test]
fn a_cancelled_waiter_leaves_the_queue() {
    on_every_plan(|plans| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let mutex = mutex.clone();
                plans.waiting(MutexLock, move || *mutex.lock().unwrap() += 1)
            })
            .collect();
        tasks[1].cancel();
        until(|| tasks[1].is_finished());
        drop(guard);
        let ends: Vec<_> = tasks.into_iter().map(Task::join).collect();
        assert_eq!(ends, [End::Returned(()), End::Cancelled, End::Returned(())]);
        assert_eq!(*mutex.lock().unwrap(), 2);
    });
}

#[test]
fn a_mutex_whose_waiters_have_all_left_is_an_ordinary_one() {
    on_every_plan(|plans| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let other = mutex.clone();
        let task = plans.waiting(MutexLock, move || *other.lock().unwrap() += 1);
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        drop(guard);
        elapse(|| {
            let _guard = mutex.lock().unwrap();
            coroutine::sleep(LONG);
        });
        for _ in 0..3 {
            *mutex.try_lock().unwrap() += 1;
        }
        assert_eq!(*mutex.lock().unwrap(), 3);
    });
}

#[test]
fn a_free_lock_is_taken_in_spite_of_a_cancellation() {
    on_every_plan(|plans| {
        let mutex = Arc::new(Mutex::new(0));
        let other = mutex.clone();
        let task = plans.waiting(Sleep, move || {
            swallow(|| coroutine::sleep(LONG));
            *other.lock().unwrap() += 1;
        });
        task.cancel();
        assert_eq!(task.join(), End::Returned(()));
        assert_eq!(*mutex.lock().unwrap(), 1);
    });
}

/// Tasks that are cancelled at any moment while they lock: the lock survives and guards.
#[test]
fn cancellations_neither_keep_nor_break_the_lock() {
    on_every_plan(|plans| {
        for round in 0..3 {
            let (mutex, counted) = (Arc::new(Mutex::new(0_usize)), Arc::new(AtomicUsize::new(0)));
            let mut tasks: Vec<_> = (0..5)
                .map(|_| {
                    let (mutex, counted) = (mutex.clone(), counted.clone());
                    plans.spawn(move || {
                        loop {
                            *mutex.lock().unwrap() += 1;
                            counted.fetch_add(1, Relaxed);
                            // A lock that is free is no wait: here a cancellation arrives at the latest.
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
            assert_eq!(*mutex.lock().unwrap(), counted.load(Relaxed));
        }
    });
}

#[test]
fn it_looks_like_stds() {
    on_every_plan(|_| {
        fn shared<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
        fn shared_guard<T: Sync>() {}
        shared::<Mutex<std::cell::Cell<u8>>>();
        shared_guard::<MutexGuard<'_, u8>>();

        let mutex = Mutex::new([1, 2, 3]);
        let slice: &Mutex<[i32]> = &mutex;
        slice.lock().unwrap()[0] = 9;
        assert_eq!(slice.lock().unwrap().len(), 3);
        assert_eq!(format!("{mutex:?}"), "Mutex { data: [9, 2, 3], poisoned: false, .. }");
        let guard = mutex.lock().unwrap();
        assert_eq!(format!("{mutex:?}"), "Mutex { data: <locked>, poisoned: false, .. }");
        assert_eq!(format!("{guard:?}"), "[9, 2, 3]");
        drop(guard);
        assert_eq!(format!("{}", Mutex::from("text").lock().unwrap()), "text");
        assert_eq!(Mutex::<u8>::default().into_inner().unwrap(), 0);
    });
}
