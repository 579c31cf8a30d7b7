//! What those who live hear of a death, and what they get of what the dead one had.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use ropewalk::inspect::State;
use ropewalk::ipc::{
    Barrier, BrokenBarrier, Mutex, MutexGuard, RwLock, RwLockWriteGuard, Segment, Semaphore, TryLockError,
};
use ropewalk::{JoinHandle, coroutine, process};
use serde::{Deserialize, Serialize};

use crate::support::{guarded, on_every_pair, on_every_plan, until};

use super::{die, is_alone, kill, was_killed};

/// Something that another process has, and says so.
#[derive(Clone, Serialize, Deserialize)]
struct Had<T> {
    what: T,
    /// The number of that process, from when it has it.
    who: Segment<AtomicU32>,
}

impl<T: Clone + Serialize> Had<T> {
    fn new(what: T) -> Self {
        Self { what, who: Segment::new(1).unwrap() }
    }

    /// Until the other process has it.
    fn until_there(&self) {
        self.who.wait(0, 0);
    }

    fn kill(&self) {
        kill(self.who[0].load(Acquire));
    }

    /// The other process: has it until it is killed.
    fn keep(&self) -> ! {
        self.who[0].store(std::process::id(), Release);
        self.who.notify_all(0);
        loop {
            coroutine::park();
        }
    }
}

fn until_blocked<T>(task: &JoinHandle<T>) {
    until(|| matches!(task.task().state(), State::Blocked(_)));
}

#[test]
fn who_waits_for_a_mutex_gets_it_and_is_told() {
    on_every_pair(|plan| {
        let had = Had::new(Mutex::new([1_u64, 2]).unwrap());
        let keep = |had: Had<Mutex<[u64; 2]>>| -> () {
            let mut guard = had.what.lock().unwrap();
            guard[0] = 7;
            had.keep()
        };
        let other = process::spawn(keep, had.clone()).unwrap();
        had.until_there();
        assert!(matches!(had.what.try_lock(), Err(TryLockError::WouldBlock)));
        let waiters = [0; 3].map(|_| {
            let mutex = had.what.clone();
            plan.spawn(move || *mutex.lock().expect_err("its owner has died").into_inner())
        });
        waiters.iter().for_each(until_blocked);
        had.kill();
        assert!(was_killed(other));
        // The change was not committed.
        waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join().unwrap(), [1, 2]));
        // It is told to all, until somebody says that all is well.
        assert!(matches!(had.what.try_lock(), Err(TryLockError::OwnerDied(_))));
        let mut guard = had.what.lock().unwrap_err().into_inner();
        MutexGuard::make_consistent(&mut guard);
        guard[1] = 3;
        drop(guard);
        assert_eq!(*had.what.lock().unwrap(), [1, 3]);
        until(|| is_alone(had.what.region()));
    });
}

#[test]
fn the_death_of_a_reader_lets_a_writer_in_and_that_of_a_writer_is_told() {
    on_every_pair(|plan| {
        let had = Had::new(RwLock::new(1_u32).unwrap());
        let read = |had: Had<RwLock<u32>>| -> () {
            let _guards = (had.what.read().unwrap(), had.what.read().unwrap());
            had.keep()
        };
        let reader = process::spawn(read, had.clone()).unwrap();
        had.until_there();
        let theirs = had.what.clone();
        let writer = plan.spawn(move || *theirs.write().unwrap() = 2);
        until_blocked(&writer);
        had.kill();
        assert!(was_killed(reader));
        writer.join().unwrap();

        let had = Had::new(had.what);
        let write = |had: Had<RwLock<u32>>| -> () {
            *had.what.write().unwrap() += 1;
            let mut guard = had.what.write().unwrap();
            *guard += 1;
            had.keep()
        };
        let other = process::spawn(write, had.clone()).unwrap();
        had.until_there();
        let theirs = had.what.clone();
        let reader = plan.spawn(move || *theirs.read().unwrap_err().into_inner());
        until_blocked(&reader);
        had.kill();
        assert!(was_killed(other));
        assert_eq!(reader.join().unwrap(), 3);
        RwLockWriteGuard::make_consistent(&mut had.what.write().unwrap_err().into_inner());
        assert_eq!(*had.what.read().unwrap(), 3);
    });
}

#[test]
fn the_permits_of_the_dead_are_free() {
    on_every_pair(|plan| {
        let had = Had::new(Semaphore::new(4).unwrap());
        let keep = |had: Had<Semaphore>| -> () {
            had.what.acquire().forget();
            let _permits = (had.what.acquire(), had.what.acquire_many(2));
            had.keep()
        };
        let other = process::spawn(keep, had.clone()).unwrap();
        had.until_there();
        assert_eq!(had.what.available_permits(), 0);
        let theirs = had.what.clone();
        let waiter = plan.spawn(move || theirs.acquire_many(3).count());
        until_blocked(&waiter);
        had.kill();
        assert!(was_killed(other));
        assert_eq!(waiter.join().unwrap(), 3);
        assert_eq!(had.what.available_permits(), 3);
    });
}

#[test]
fn a_barrier_breaks_when_a_party_dies_that_has_come_or_not() {
    on_every_pair(|plan| {
        for has_come in [false, true] {
            let had = Had::new(Barrier::new(3).unwrap());
            let keep = |(had, comes): (Had<Barrier>, bool)| -> () {
                if comes {
                    let barrier = had.what.clone();
                    until_blocked(&coroutine::spawn(move || barrier.wait()));
                }
                had.keep()
            };
            let other = process::spawn(keep, (had.clone(), has_come)).unwrap();
            had.until_there();
            let theirs = had.what.clone();
            let waiter = plan.spawn(move || theirs.wait());
            until_blocked(&waiter);
            had.kill();
            assert!(was_killed(other));
            assert_eq!(waiter.join().unwrap(), Err(BrokenBarrier));
            assert!(had.what.is_broken());
            assert_eq!(had.what.wait(), Err(BrokenBarrier));
        }
    });
}

#[test]
fn a_death_is_told_to_who_comes_later() {
    guarded(|| {
        let mutex = Mutex::new(5_u32).unwrap();
        let after = |mutex: Mutex<u32>| {
            let dies = |mutex: Mutex<u32>| -> () {
                let _guard = mutex.lock().unwrap();
                die()
            };
            assert!(was_killed(process::spawn(dies, mutex.clone()).unwrap()));
            let died = mutex.lock().is_err();
            (mutex, died)
        };
        let (mutex, died) = process::spawn(after, mutex).unwrap().join().unwrap();
        assert!(died);
        assert_eq!(*mutex.lock().unwrap_err().into_inner(), 5);
    });
}

#[test]
fn a_process_that_ends_with_the_lock_in_its_hands_has_died() {
    on_every_plan(|plan| {
        let mutex = Mutex::new(1_u32).unwrap();
        let theirs = mutex.clone();
        let task = plan.spawn(move || {
            let exit = |mutex: Mutex<u32>| -> () {
                std::mem::forget(mutex.lock().unwrap());
                std::process::exit(3);
            };
            process::spawn(exit, theirs).unwrap().join().unwrap_err();
        });
        task.join().unwrap();
        assert!(mutex.lock().is_err());
    });
}

#[test]
fn many_come_and_go() {
    guarded(|| {
        let had = Semaphore::new(1).unwrap();
        // More than there is room for at a time, so slots are used again, of those that have gone and those that have died.
        for round in 0..3 {
            let others: Vec<_> = (0..30)
                .map(|index| {
                    let visit = |(semaphore, dies): (Semaphore, bool)| {
                        let _permit = semaphore.acquire();
                        if dies {
                            die();
                        }
                    };
                    process::spawn(visit, (had.clone(), (index + round) % 2 == 0)).unwrap()
                })
                .collect();
            let killed = others.into_iter().map(was_killed).filter(|killed| *killed).count();
            assert_eq!(killed, 15);
        }
        until(|| is_alone(had.region()));
        assert_eq!(had.available_permits(), 1);
    });
}
