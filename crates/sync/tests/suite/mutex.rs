//! Mutexes: exclusion, order, fairness, cancellation.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, TryLockError};
use std::thread;

use ropewalk_sync::mutex::{Mutex, MutexGuard};
use ropewalk_sync::park;
use ropewalk_sync::park::WaitReason::MutexLock;

use crate::support::{End, Numbers, Task, elapse, until, watched};

#[test]
fn one_at_a_time() {
    watched(|| {
        let (mutex, inside) = (Mutex::new(0_u64), AtomicUsize::new(0));
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for turn in 0..20_000 {
                        let mut guard = mutex.lock().unwrap();
                        assert_eq!(inside.fetch_add(1, Relaxed), 0);
                        if turn % 64 == 0 {
                            thread::yield_now();
                        }
                        *guard += 1;
                        inside.fetch_sub(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(mutex.into_inner().unwrap(), 80_000);
    });
}

#[test]
fn try_lock_takes_what_is_free() {
    watched(|| {
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
    watched(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let other = mutex.clone();
        let task = Task::waiting(MutexLock, move || *other.lock().unwrap() += 1);
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        drop(guard);
        task.value();
        assert_eq!(*mutex.try_lock().unwrap(), 1);
    });
}

#[test]
fn waiters_get_the_lock_in_the_order_in_which_they_came() {
    watched(|| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let guard = order.lock().unwrap();
        let tasks: Vec<_> = (0..6)
            .map(|n| {
                let order = order.clone();
                Task::waiting(MutexLock, move || order.lock().unwrap().push(n))
            })
            .collect();
        drop(guard);
        tasks.into_iter().for_each(Task::value);
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
    });
}

/// Whether it was too late, and had the lock after the next unlock all the same.
fn handed_over_after_one_defeat() -> bool {
    let mutex = Arc::new(Mutex::new(false));
    let guard = mutex.lock().unwrap();
    let other = mutex.clone();
    let task = Task::waiting(MutexLock, move || *other.lock().unwrap() = true);
    task.until_asleep(1);
    drop(guard);
    let barged = mutex.try_lock();
    let was_late = barged.as_ref().is_ok_and(|served| !**served);
    if was_late {
        task.until_asleep(2);
        drop(barged);
        let next = mutex.try_lock();
        assert!(next.is_err() || *next.unwrap(), "the lock was free for others though one had lost already");
    } else {
        drop(barged);
    }
    task.value();
    was_late
}

#[test]
fn who_came_too_late_once_is_handed_the_lock() {
    watched(|| while !handed_over_after_one_defeat() {});
}

#[test]
fn the_holder_is_known() {
    watched(|| {
        let mutex = Arc::new(Mutex::new(()));
        assert_eq!(mutex.holder(), None);
        let id = park::current(|waiter, _| waiter.id());
        let guard = mutex.lock().unwrap();
        assert_eq!(mutex.holder().map(|holder| holder.task), Some(id));
        let (other, release) = (mutex.clone(), Arc::new(AtomicBool::new(false)));
        let released = release.clone();
        let task = Task::waiting(MutexLock, move || {
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
    watched(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let mutex = mutex.clone();
                Task::waiting(MutexLock, move || *mutex.lock().unwrap() += 1)
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
    watched(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let other = mutex.clone();
        let task = Task::waiting(MutexLock, move || *other.lock().unwrap() += 1);
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        drop(guard);
        elapse(|| {
            let _guard = mutex.lock().unwrap();
            park::sleep(std::time::Duration::from_secs(1));
        });
        for _ in 0..3 {
            *mutex.try_lock().unwrap() += 1;
        }
        assert_eq!(*mutex.lock().unwrap(), 3);
    });
}

#[test]
fn a_free_lock_is_taken_in_spite_of_a_cancellation() {
    watched(|| {
        let (mutex, go) = (Arc::new(Mutex::new(0)), Arc::new(AtomicBool::new(false)));
        let (other, may_go) = (mutex.clone(), go.clone());
        let task = Task::spawn(move || {
            until(|| may_go.load(Relaxed));
            *other.lock().unwrap() += 1;
        });
        task.cancel();
        go.store(true, Relaxed);
        assert_eq!(task.join(), End::Returned(()));
        assert_eq!(*mutex.lock().unwrap(), 1);
    });
}

/// Tasks that are cancelled at any moment while they lock: the lock survives and guards.
#[test]
fn cancellations_neither_keep_nor_break_the_lock() {
    watched(|| {
        for round in 0..100 {
            let (mutex, counted) = (Arc::new(Mutex::new(0_usize)), Arc::new(AtomicUsize::new(0)));
            let mut tasks: Vec<_> = (0..5)
                .map(|_| {
                    let (mutex, counted) = (mutex.clone(), counted.clone());
                    Task::spawn(move || {
                        loop {
                            *mutex.lock().unwrap() += 1;
                            counted.fetch_add(1, Relaxed);
                            // A lock that is free is no wait: here a cancellation arrives at the latest.
                            park::yield_now();
                        }
                    })
                })
                .collect();
            let mut numbers = Numbers(round);
            while !tasks.is_empty() {
                (0..numbers.below(50)).for_each(|_| thread::yield_now());
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
    watched(|| {
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
