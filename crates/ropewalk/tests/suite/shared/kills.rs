//! A thousand processes that are killed at random while they use everything at once.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use ropewalk::ipc::{RwLockWriteGuard, Segment};
use ropewalk::{JoinHandle, process};
use serde::{Deserialize, Serialize};

use crate::support::{guarded, until};

use super::{All, Chance, PERMITS, is_alone, kill, lock, was_killed};

const KILLS: usize = 1000;
const WORKERS: usize = 3;

#[derive(Clone, Serialize, Deserialize)]
struct Work {
    all: All,
    /// The number of each worker, from when it works; and how much they have done.
    state: Segment<AtomicU32>,
    index: usize,
    seed: u64,
}

/// Moves money between accounts, writes what all read, takes permits, sets and waits, for ever.
fn work(work: Work) {
    let all = &work.all;
    let mut chance = Chance::new(work.seed);
    work.state[work.index].store(std::process::id(), Release);
    loop {
        match chance.below(5) {
            0 => {
                let mut accounts = lock(&all.mutex);
                assert_eq!(accounts.iter().fold(0, |sum: u64, account| sum.wrapping_add(*account)), 0);
                let (from, to) = (chance.below(5) as usize, chance.below(5) as usize);
                accounts[from] = accounts[from].wrapping_sub(1);
                accounts[to] = accounts[to].wrapping_add(1);
                drop(accounts);
                all.condvar.notify_one();
            }
            1 => {
                let mut value = all.rwlock.write().unwrap_or_else(|died| {
                    let mut guard = died.into_inner();
                    RwLockWriteGuard::make_consistent(&mut guard);
                    guard
                });
                value.iter_mut().for_each(|word| *word += 1);
            }
            2 => {
                let value = *all.rwlock.read().unwrap_or_else(|died| died.into_inner());
                assert!(value.iter().all(|word| *word == value[0]), "{value:?}");
            }
            3 => drop(all.semaphore.acquire_many(chance.below(u64::from(PERMITS)) as u32 + 1)),
            _ => {
                let limit = std::time::Duration::from_micros(50);
                let (guard, _) = all
                    .condvar
                    .wait_timeout(lock(&all.mutex), limit)
                    .unwrap_or_else(|died| died.into_inner());
                drop(guard);
            }
        }
    }
}

fn start(all: &All, state: &Segment<AtomicU32>, index: usize, seed: u64) -> JoinHandle<()> {
    state[index].store(0, Release);
    process::spawn(work, Work { all: all.clone(), state: state.clone(), index, seed }).unwrap()
}

#[test]
fn a_thousand_kills() {
    guarded(|| {
        let mut chance = Chance::new(0x9e37_79b9_7f4a_7c15);
        let (all, state) = (All::new(), Segment::<AtomicU32>::new(WORKERS).unwrap());
        let mut workers: Vec<_> =
            (0..WORKERS).map(|index| Some(start(&all, &state, index, chance.below(u64::MAX)))).collect();
        for _ in 0..KILLS {
            let index = chance.below(WORKERS as u64) as usize;
            until(|| state[index].load(Acquire) != 0);
            for _ in 0..chance.below(2000) {
                std::hint::spin_loop();
            }
            kill(state[index].load(Acquire));
            let killed = workers[index].take().expect("there is always one");
            assert!(was_killed(killed));
            // Who lives goes on: one of the living gets everything, now and then.
            if chance.below(10) == 0 {
                let sum = lock(&all.mutex).iter().fold(0, |sum: u64, account| sum.wrapping_add(*account));
                assert_eq!(sum, 0);
                drop(all.semaphore.acquire());
            }
            workers[index] = Some(start(&all, &state, index, chance.below(u64::MAX)));
        }
        for (index, worker) in workers.into_iter().flatten().enumerate() {
            until(|| state[index].load(Acquire) != 0);
            kill(state[index].load(Acquire));
            assert!(was_killed(worker));
        }
        until(|| is_alone(&all.region));
        assert_eq!(all.semaphore.available_permits(), PERMITS);
        drop(lock(&all.mutex));
        assert!(all.mutex.try_lock().is_ok());
        let value = *all.rwlock.read().unwrap_or_else(|died| died.into_inner());
        assert!(value.iter().all(|word| *word == value[0]), "{value:?}");
    });
}
