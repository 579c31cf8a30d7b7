//! Read-write locks: readers together, writers alone, fairness, downgrading, cancellation.

use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, TryLockError};

use ropewalk::coroutine;
use ropewalk::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use ropewalk_sync::park::WaitReason::{RwLockRead, RwLockWrite, Sleep};

use crate::support::{
    End, LONG, Numbers, Plans, Task, elapse, let_others_run, on_every_plan, swallow, until,
};

type Log = Arc<RwLock<Vec<&'static str>>>;

/// Waits for the lock and notes its name.
fn writer(plans: &Plans, log: &Log, name: &'static str) -> Task<()> {
    let log = log.clone();
    plans.waiting(RwLockWrite, move || log.write().unwrap().push(name))
}

/// Waits for the lock; gives what has been noted by then.
fn reader(plans: &Plans, log: &Log) -> Task<Vec<&'static str>> {
    let log = log.clone();
    plans.waiting(RwLockRead, move || log.read().unwrap().clone())
}

#[test]
fn many_read_or_one_writes() {
    on_every_plan(|plans| {
        // How many are inside; a writer counts as all there can be, below zero.
        let shared = Arc::new((RwLock::new(0_u64), AtomicIsize::new(0)));
        let tasks: Vec<_> = (0..5)
            .map(|seed| {
                let shared = shared.clone();
                plans.spawn(move || {
                    let (lock, inside) = &*shared;
                    let mut numbers = Numbers(seed);
                    let mut written = 0;
                    for _ in 0..1000 {
                        if numbers.below(4) == 0 {
                            let mut value = lock.write().unwrap();
                            assert_eq!(inside.swap(-100, Relaxed), 0, "a writer is alone");
                            *value += 1;
                            written += 1;
                            if numbers.below(64) == 0 {
                                let_others_run();
                            }
                            assert_eq!(inside.swap(0, Relaxed), -100);
                        } else {
                            let value = lock.read().unwrap();
                            assert!(inside.fetch_add(1, Relaxed) >= 0, "nobody writes beside readers");
                            let before = *value;
                            if numbers.below(64) == 0 {
                                let_others_run();
                            }
                            assert_eq!(*value, before);
                            assert!(inside.fetch_sub(1, Relaxed) > 0);
                        }
                    }
                    written
                })
            })
            .collect();
        let written: u64 = tasks.into_iter().map(Task::value).sum();
        assert_eq!(*shared.0.read().unwrap(), written);
    });
}

#[test]
fn readers_share_the_lock_at_the_same_time() {
    on_every_plan(|plans| {
        let (lock, inside) = (Arc::new(RwLock::new(())), Arc::new(AtomicUsize::new(0)));
        let tasks = [(); 4].map(|()| {
            let (lock, inside) = (lock.clone(), inside.clone());
            plans.spawn(move || {
                let _guard = lock.read().unwrap();
                inside.fetch_add(1, Relaxed);
                until(|| inside.load(Relaxed) == 4);
            })
        });
        tasks.into_iter().for_each(Task::value);
    });
}

#[test]
fn what_need_not_wait_does_not() {
    on_every_plan(|_| {
        let lock = RwLock::new(1);
        let reader = lock.try_read().unwrap();
        assert_eq!((*reader, lock.readers(), lock.writer()), (1, 1, None));
        assert_eq!(*lock.try_read().unwrap(), 1);
        assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
        drop(reader);
        let mut writer = lock.try_write().unwrap();
        *writer += 1;
        assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
        assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
        drop(writer);
        assert_eq!(lock.into_inner().unwrap(), 2);
    });
}

#[test]
fn readers_that_come_after_a_waiting_writer_wait_for_it() {
    on_every_plan(|plans| {
        let log = Log::default();
        let guard = log.read().unwrap();
        let first = writer(plans, &log, "first");
        assert!(matches!(log.try_read(), Err(TryLockError::WouldBlock)), "a writer waits");
        let readers = [(); 3].map(|()| reader(plans, &log));
        let second = writer(plans, &log, "second");
        drop(guard);
        first.value();
        for reader in readers {
            assert_eq!(reader.value(), ["first"], "they came before the second writer");
        }
        second.value();
        assert_eq!(*log.read().unwrap(), ["first", "second"]);
    });
}

#[test]
fn a_stream_of_readers_keeps_no_writer_out() {
    on_every_plan(|plans| {
        let lock = Arc::new(RwLock::new(false));
        // They overlap, so that the lock is never free of readers by itself.
        let readers = [(); 3].map(|()| {
            let lock = lock.clone();
            plans.spawn(move || {
                let mut guard = lock.read().unwrap();
                while !*guard {
                    let_others_run();
                    let next = lock.try_read();
                    drop(guard);
                    guard = next.unwrap_or_else(|_| lock.read().unwrap());
                }
            })
        });
        let other = lock.clone();
        plans.spawn(move || *other.write().unwrap() = true).value();
        readers.into_iter().for_each(Task::value);
    });
}

#[test]
fn writers_get_the_lock_in_the_order_in_which_they_came() {
    on_every_plan(|plans| {
        let log = Log::default();
        let guard = log.write().unwrap();
        let tasks = ["a", "b", "c", "d"].map(|name| writer(plans, &log, name));
        drop(guard);
        tasks.into_iter().for_each(Task::value);
        assert_eq!(*log.read().unwrap(), ["a", "b", "c", "d"]);
    });
}

#[test]
fn more_readers_than_are_woken_at_once() {
    on_every_plan(|plans| {
        let log = Log::default();
        let guard = log.write().unwrap();
        let readers: Vec<_> = (0..40).map(|_| reader(plans, &log)).collect();
        let late = writer(plans, &log, "late");
        drop(guard);
        for reader in readers {
            assert!(reader.value().is_empty());
        }
        late.value();
        assert_eq!((log.readers(), log.writer()), (0, None));
    });
}

#[test]
fn the_writer_is_known() {
    on_every_plan(|plans| {
        let log = Log::default();
        let guard = log.write().unwrap();
        let own = coroutine::current().id().as_u64();
        assert_eq!(log.writer().map(|writer| writer.task), Some(own));
        let other = log.clone();
        let task = plans.waiting(RwLockWrite, move || {
            let _guard = other.write().unwrap();
            coroutine::sleep(LONG);
        });
        drop(guard);
        task.until_waiting(Sleep);
        assert_eq!(log.writer().map(|writer| writer.task), Some(task.id()));
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        assert_eq!((log.writer(), log.is_poisoned()), (None, false));
    });
}

#[test]
fn a_writer_that_downgrades_lets_waiting_readers_in_and_no_writer() {
    on_every_plan(|plans| {
        let log = Log::default();
        let mut guard = log.write().unwrap();
        let readers = [(); 20].map(|()| reader(plans, &log));
        let late = writer(plans, &log, "late");
        guard.push("own");
        let guard = RwLockWriteGuard::downgrade(guard);
        for reader in readers {
            assert_eq!(reader.value(), ["own"]);
        }
        assert!(!late.is_finished());
        assert_eq!(*guard, ["own"]);
        drop(guard);
        late.value();
        assert_eq!(*log.read().unwrap(), ["own", "late"]);
    });
}

#[test]
fn readers_behind_a_writer_that_is_cancelled_join_those_that_read() {
    on_every_plan(|plans| {
        let log = Log::default();
        let guard = log.read().unwrap();
        let cancelled = writer(plans, &log, "never");
        let readers = [(); 3].map(|()| reader(plans, &log));
        let late = writer(plans, &log, "late");
        cancelled.cancel();
        assert_eq!(cancelled.join(), End::Cancelled);
        for reader in readers {
            assert!(reader.value().is_empty(), "the lock is still held, for reading");
        }
        assert!(log.try_read().is_err(), "a writer waits");
        late.cancel();
        assert_eq!(late.join(), End::Cancelled);
        assert!(log.try_read().is_ok(), "nobody waits any more");
        drop(guard);
        assert!(log.try_write().is_ok());
    });
}

#[test]
fn when_the_queue_has_emptied_further_readers_come_in() {
    on_every_plan(|plans| {
        let log = Log::default();
        let guard = log.read().unwrap();
        let cancelled = writer(plans, &log, "never");
        let behind = reader(plans, &log);
        cancelled.cancel();
        assert_eq!(cancelled.join(), End::Cancelled);
        behind.value();
        assert_eq!(log.readers(), 1);
        drop(log.try_read().unwrap());
        assert_eq!(
            plans
                .spawn({
                    let log = log.clone();
                    move || log.read().unwrap().len()
                })
                .value(),
            0
        );
        drop(guard);
    });
}

#[test]
fn a_cancelled_waiter_leaves_the_queue() {
    on_every_plan(|plans| {
        let log = Log::default();
        let guard = log.write().unwrap();
        let first = writer(plans, &log, "first");
        let cancelled = (writer(plans, &log, "never"), reader(plans, &log));
        let last = writer(plans, &log, "last");
        cancelled.0.cancel();
        cancelled.1.cancel();
        assert_eq!((cancelled.0.join(), cancelled.1.join()), (End::Cancelled, End::Cancelled));
        drop(guard);
        first.value();
        last.value();
        assert_eq!(*log.read().unwrap(), ["first", "last"]);
    });
}

#[test]
fn a_free_lock_is_taken_in_spite_of_a_cancellation() {
    on_every_plan(|plans| {
        let lock = Arc::new(RwLock::new(0));
        let other = lock.clone();
        let task = plans.waiting(Sleep, move || {
            swallow(|| coroutine::sleep(LONG));
            *other.write().unwrap() += 1;
            *other.read().unwrap()
        });
        task.cancel();
        assert_eq!(task.join(), End::Returned(1));
    });
}

#[test]
fn an_elapsed_time_limit_leaves_the_lock_as_it_was() {
    on_every_plan(|_| {
        let lock = RwLock::new(());
        let guard = lock.write().unwrap();
        elapse(|| drop(lock.read()));
        elapse(|| drop(lock.write()));
        drop(guard);
        let guard = lock.read().unwrap();
        elapse(|| drop(lock.write()));
        assert!(lock.try_read().is_ok());
        drop(guard);
        elapse(|| {
            let _guard = lock.write();
            coroutine::sleep(LONG);
        });
        assert!(lock.try_write().is_ok() && !lock.is_poisoned());
    });
}

#[test]
fn a_panic_of_a_writer_poisons_and_every_way_in_tells() {
    on_every_plan(|plans| {
        let mut lock = Arc::new(RwLock::new(1));
        let other = lock.clone();
        let reads = plans.spawn(move || {
            let _guard = other.read().unwrap();
            crate::support::fail();
        });
        assert_eq!(reads.join(), End::<()>::Panicked);
        assert!(!lock.is_poisoned(), "a reader can break nothing");
        let other = lock.clone();
        let writes = plans.spawn(move || {
            let _guard = other.write().unwrap();
            crate::support::fail();
        });
        assert_eq!(writes.join(), End::<()>::Panicked);
        assert!(lock.is_poisoned());
        assert_eq!(*lock.read().unwrap_err().into_inner(), 1);
        assert_eq!(*lock.write().unwrap_err().into_inner(), 1);
        assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
        assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
        assert_eq!(format!("{lock:?}"), "RwLock { data: 1, poisoned: true, .. }");
        let unshared = Arc::get_mut(&mut lock).unwrap();
        assert_eq!(unshared.get_mut().map_err(|error| *error.into_inner()), Err(1));
        unshared.clear_poison();
        *unshared.get_mut().unwrap() = 2;
        assert_eq!(Arc::into_inner(lock).unwrap().into_inner().unwrap(), 2);
    });
}

/// Tasks that are cancelled at any moment while they lock: the lock survives and guards.
#[test]
fn cancellations_neither_keep_nor_break_the_lock() {
    on_every_plan(|plans| {
        for round in 0..3 {
            let (lock, counted) = (Arc::new(RwLock::new(0_usize)), Arc::new(AtomicUsize::new(0)));
            let mut tasks: Vec<_> = (0..6)
                .map(|n| {
                    let (lock, counted) = (lock.clone(), counted.clone());
                    plans.spawn(move || {
                        loop {
                            if n % 2 == 0 {
                                *lock.write().unwrap() += 1;
                                counted.fetch_add(1, Relaxed);
                            } else {
                                let value = lock.read().unwrap();
                                let before = *value;
                                if n == 1 {
                                    // Held over a wait.
                                    coroutine::yield_now();
                                }
                                assert_eq!(*value, before);
                            }
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
            assert_eq!(*lock.try_write().unwrap(), counted.load(Relaxed));
        }
    });
}

#[test]
fn it_looks_like_stds() {
    on_every_plan(|_| {
        fn shared<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
        fn shared_guard<T: Sync>() {}
        shared::<RwLock<u8>>();
        shared_guard::<RwLockReadGuard<'_, u8>>();
        shared_guard::<RwLockWriteGuard<'_, u8>>();

        let lock = RwLock::new([1, 2, 3]);
        let slice: &RwLock<[i32]> = &lock;
        slice.write().unwrap()[0] = 9;
        assert_eq!(slice.read().unwrap().len(), 3);
        assert_eq!(format!("{lock:?}"), "RwLock { data: [9, 2, 3], poisoned: false, .. }");
        let guard = lock.write().unwrap();
        assert_eq!(format!("{lock:?}"), "RwLock { data: <locked>, poisoned: false, .. }");
        assert_eq!(format!("{guard:?}"), "[9, 2, 3]");
        drop(guard);
        assert_eq!(format!("{:?}", lock.read().unwrap()), "[9, 2, 3]");
        let text = RwLock::from("text");
        assert_eq!(format!("{} {}", text.read().unwrap(), text.read().unwrap()), "text text");
        assert_eq!(format!("{}", text.write().unwrap()), "text");
        assert_eq!(RwLock::<u8>::default().into_inner().unwrap(), 0);
    });
}
