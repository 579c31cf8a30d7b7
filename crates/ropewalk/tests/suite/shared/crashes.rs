//! A process that dies at any of the points between two steps leaves what it shared as it should be.
//!
//! The points stand in the code (`crates/ipc/src/crash.rs`), in builds with debug assertions: a process is started as often
//! as there are points on its way, and each time dies at the next one.

#![cfg(debug_assertions)]

use ropewalk::inspect::State;
use ropewalk::ipc::{Barrier, BrokenBarrier, Event, Mutex, Reset, RwLockWriteGuard};
use ropewalk::{JoinHandle, process, thread};

use crate::support::{guarded, until};

use super::{All, PERMITS, die, lock, was_killed};

/// More than there are on any way.
const POINTS_MAX: u32 = 1000;

/// Runs `scenario` in a process that dies at its first point, at its second, and so on, until it passes them all. Each time
/// the structures are new; `before` prepares, and `check` looks at what is left.
fn at_every_point<S, P>(scenario: S, before: impl Fn(&All) -> P, check: impl Fn(&All, P))
where
    S: Fn(All) + Copy + Send + 'static,
{
    guarded(|| {
        for point in 1..POINTS_MAX {
            let all = All::new();
            let prepared = before(&all);
            let builder = process::Builder::new().env("ROPEWALK_CRASH_AT", point.to_string());
            let died = was_killed(builder.spawn(scenario, all.clone()).unwrap());
            check(&all, prepared);
            everything_is_usable(&all);
            if !died {
                // At least to come, to lock and to leave.
                assert!(point > 6, "there are only {point} points");
                return;
            }
        }
        panic!("there is no end of points");
    });
}

/// Nobody has anything, and everything works.
fn everything_is_usable(all: &All) {
    until(|| super::is_alone(&all.region));
    let mut value = lock(&all.mutex);
    value.iter_mut().for_each(|word| *word += 1);
    drop(value);
    assert!(all.mutex.try_lock().is_ok());
    match all.rwlock.write() {
        Ok(_) => {}
        Err(died) => RwLockWriteGuard::make_consistent(&mut died.into_inner()),
    }
    let (one, other) = (all.rwlock.read().unwrap(), all.rwlock.read().unwrap());
    assert_eq!(*one, *other);
    drop((one, other));
    assert!(all.rwlock.try_write().is_ok());
    let free = all.semaphore.available_permits();
    drop(all.semaphore.acquire_many(free));
    assert_eq!(all.semaphore.available_permits(), free);
    // There is room for more.
    Event::new_in(&all.region, Reset::Auto).unwrap();
}

fn is_whole(value: &[u64; 5]) -> bool {
    value.iter().all(|word| *word == value[0])
}

#[test]
fn a_mutex() {
    let scenario = |all: All| {
        for _ in 0..2 {
            let mut guard = all.mutex.lock().unwrap();
            guard.iter_mut().for_each(|word| *word += 1);
        }
    };
    at_every_point(
        scenario,
        |_| (),
        |all, ()| {
            let value = lock(&all.mutex);
            assert!(is_whole(&value) && value[0] <= 2, "{value:?}");
        },
    );
}

#[test]
fn a_mutex_that_others_wait_for() {
    let scenario = |all: All| {
        for _ in 0..2 {
            let mut guard = all.mutex.lock().unwrap_or_else(|died| died.into_inner());
            guard.iter_mut().for_each(|word| *word += 1);
        }
    };
    // Two threads of this process that come and go while the other one does.
    let before = |all: &All| {
        [0; 2].map(|_| {
            let all = all.clone();
            thread::spawn(move || {
                for _ in 0..50 {
                    let mut guard = lock(&all.mutex);
                    assert!(is_whole(&guard), "{:?}", *guard);
                    guard.iter_mut().for_each(|word| *word += 1);
                }
            })
        })
    };
    at_every_point(scenario, before, |all, threads: [JoinHandle<()>; 2]| {
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let value = lock(&all.mutex);
        assert!(is_whole(&value) && (100..=102).contains(&value[0]), "{value:?}");
    });
}

#[test]
fn a_lock_for_readers_and_writers() {
    let scenario = |all: All| {
        let one = all.rwlock.read().unwrap();
        drop((all.rwlock.read().unwrap(), one));
        all.rwlock.write().unwrap().iter_mut().for_each(|word| *word += 1);
        assert_eq!(all.rwlock.read().unwrap()[0], 1);
    };
    at_every_point(
        scenario,
        |_| (),
        |all, ()| {
            let value = *all.rwlock.read().unwrap_or_else(|died| died.into_inner());
            assert!(is_whole(&value) && value[0] <= 1, "{value:?}");
        },
    );
}

#[test]
fn a_semaphore() {
    let scenario = |all: All| {
        let permits = (all.semaphore.acquire(), all.semaphore.acquire_many(3));
        assert!(all.semaphore.acquire_timeout(std::time::Duration::ZERO).is_some());
        drop(permits);
    };
    at_every_point(
        scenario,
        |_| (),
        |all, ()| {
            drop(all.semaphore.acquire_many(PERMITS));
            assert_eq!(all.semaphore.available_permits(), PERMITS);
        },
    );
}

#[test]
fn permits_that_are_forgotten() {
    let scenario = |all: All| all.semaphore.acquire_many(2).forget();
    at_every_point(
        scenario,
        |_| (),
        |all, ()| {
            until(|| super::is_alone(&all.region));
            let left = all.semaphore.available_permits();
            assert!(left == PERMITS || left == PERMITS - 2, "{left} of {PERMITS}");
        },
    );
}

#[test]
fn a_condition() {
    let scenario = |all: All| {
        all.mutex.lock().unwrap()[0] = 1;
        all.condvar.notify_one();
    };
    let waits = |all: &All| {
        let all = all.clone();
        thread::spawn(move || {
            let mut guard = lock(&all.mutex);
            while guard[0] == 0 {
                guard = all.condvar.wait(guard).unwrap_or_else(|died| died.into_inner());
            }
        })
    };
    at_every_point(scenario, waits, |all, waiter| {
        // If it is true the waiter goes on, whoever was to tell it; else it is not.
        let mut guard = lock(&all.mutex);
        if guard[0] == 0 {
            *guard = [1; 5];
            drop(guard);
            all.condvar.notify_one();
        } else {
            drop(guard);
        }
        waiter.join().unwrap();
        *lock(&all.mutex) = [0; 5];
    });
}

#[test]
fn who_waits() {
    let scenario = |all: All| {
        let (mutex, condvar, latch) = (all.mutex.clone(), all.condvar.clone(), all.latch.clone());
        let guard = all.mutex.lock().unwrap();
        let waiter = thread::spawn(move || {
            let mut guard = mutex.lock().unwrap();
            while guard[0] == 0 {
                guard = condvar.wait(guard).unwrap();
            }
            latch.wait();
        });
        until(|| matches!(waiter.task().state(), State::Blocked(_)));
        drop(guard);
        all.mutex.lock().unwrap().iter_mut().for_each(|word| *word += 1);
        all.condvar.notify_all();
        all.latch.count_down();
        waiter.join().unwrap();
    };
    at_every_point(
        scenario,
        |_| (),
        |all, ()| {
            let value = lock(&all.mutex);
            assert!(is_whole(&value) && value[0] <= 1, "{value:?}");
        },
    );
}

#[test]
fn an_event_and_a_latch() {
    let scenario = |all: All| {
        all.event.set();
        all.latch.count_down();
    };
    let waits = |all: &All| {
        let (event, latch) = (all.event.clone(), all.latch.clone());
        (thread::spawn(move || event.wait()), thread::spawn(move || latch.wait()))
    };
    at_every_point(scenario, waits, |all, (event, latch)| {
        if !all.event.is_set() {
            all.event.set();
        }
        event.join().unwrap();
        if !all.latch.is_open() {
            all.latch.count_down();
        }
        latch.join().unwrap();
    });
}

#[test]
fn a_barrier() {
    guarded(|| {
        for point in 1..POINTS_MAX {
            let barrier = Barrier::new(2).unwrap();
            let theirs = barrier.clone();
            let waiter = thread::spawn(move || (theirs.wait(), theirs.wait()));
            let builder = process::Builder::new().env("ROPEWALK_CRASH_AT", point.to_string());
            let twice = |barrier: Barrier| {
                barrier.wait().unwrap();
                barrier.wait().unwrap();
            };
            let died = was_killed(builder.spawn(twice, barrier.clone()).unwrap());
            if died && !barrier.is_broken() {
                // It had not come to take part yet, or was just about to leave.
                until(|| super::is_alone(barrier.region()));
            }
            if died && !barrier.is_broken() && !waiter.is_finished() {
                let theirs = barrier.clone();
                let _ = thread::spawn(move || theirs.wait().and_then(|_| theirs.wait())).join().unwrap();
            }
            let (first, second) = waiter.join().unwrap();
            assert!(first.is_ok() || second == Err(BrokenBarrier), "what is broken stays broken");
            if !died {
                assert!(first.is_ok() && second.is_ok() && point > 6);
                return;
            }
        }
        panic!("there is no end of points");
    });
}

#[test]
fn a_structure_that_is_being_made() {
    let scenario = |all: All| {
        let new = Mutex::new_in(&all.region, 7_u64).unwrap();
        assert_eq!(*new.lock().unwrap(), 7);
    };
    at_every_point(scenario, |_| (), |_, ()| ());
}

#[test]
fn whoever_tidies_up_after_another() {
    /// Takes everything, and dies.
    fn take_all((all, _takes_part): (All, Barrier)) {
        let _held =
            (all.mutex.lock().unwrap(), all.rwlock.write().unwrap(), all.semaphore.acquire_many(PERMITS));
        all.event.set();
        die();
    }

    /// Tidies up after a child, and dies at some point of that, if this process is not faster.
    fn tidy_up((all, barrier): (All, Barrier)) {
        let builder = process::Builder::new().env_remove("ROPEWALK_CRASH_AT");
        assert!(was_killed(builder.spawn(take_all, (all.clone(), barrier)).unwrap()));
        // All that it takes is done by the thread that watches: nothing here comes to a point.
        until(|| all.region.processes().len() == 2 && all.semaphore.available_permits() == PERMITS);
    }

    guarded(|| {
        let mut deaths = 0;
        // Which of the two processes is faster is chance, so each point has several tries.
        for attempt in 0..200_u32 {
            let (all, point) = (All::new(), attempt % 40 + 1);
            let builder = process::Builder::new().env("ROPEWALK_CRASH_AT", point.to_string());
            let barrier = Barrier::new_in(&all.region, 2).unwrap();
            deaths += u32::from(was_killed(builder.spawn(tidy_up, (all.clone(), barrier.clone())).unwrap()));
            until(|| super::is_alone(&all.region));
            assert!(barrier.is_broken() || !all.event.is_set());
            drop(lock(&all.mutex));
            drop(all.semaphore.acquire_many(PERMITS));
            everything_is_usable(&all);
        }
        assert!(deaths > 10, "only {deaths} have died");
    });
}
