//! Locks and their relatives between processes: they keep others out, they are waited for by every kind of task, and they
//! survive the death of whoever has them.

mod crashes;
mod deaths;
mod kills;
mod locks;
mod names;

use std::process;

use ropewalk::JoinHandle;
use ropewalk::ipc::{Condvar, Event, Latch, Mutex, MutexGuard, Plain, Region, Reset, RwLock, Semaphore};
use ropewalk::process::Exit;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// One of each, in one region; but a barrier breaks at a death.
#[derive(Clone, Serialize, Deserialize)]
struct All {
    region: Region,
    mutex: Mutex<[u64; 5]>,
    rwlock: RwLock<[u64; 5]>,
    condvar: Condvar,
    semaphore: Semaphore,
    event: Event,
    latch: Latch,
}

const PERMITS: u32 = 5;

impl All {
    fn new() -> Self {
        let region = Region::new(16 * 1024).unwrap();
        Self {
            mutex: Mutex::new_in(&region, [0; 5]).unwrap(),
            rwlock: RwLock::new_in(&region, [0; 5]).unwrap(),
            condvar: Condvar::new_in(&region).unwrap(),
            semaphore: Semaphore::new_in(&region, PERMITS).unwrap(),
            event: Event::new_in(&region, Reset::Manual).unwrap(),
            latch: Latch::new_in(&region, 1).unwrap(),
            region,
        }
    }
}

/// Numbers that look like chance (xorshift, Marsaglia).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Locks, whoever has died.
fn lock<T: Plain>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|died| {
        let mut guard = died.into_inner();
        MutexGuard::make_consistent(&mut guard);
        guard
    })
}

/// Ends this process as `kill -9` does.
fn die() -> ! {
    kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
    loop {
        std::thread::yield_now();
    }
}

pub(crate) fn kill(id: u32) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).unwrap();
    kill_process(id, Signal::KILL).unwrap();
}

/// Whether the process was killed; `false` if it returned.
pub(crate) fn was_killed<T>(process: JoinHandle<T>) -> bool {
    match process.join() {
        Ok(_) => false,
        Err(error) => {
            assert!(matches!(error.exit(), Some(Exit::Signaled { signal: 9, .. })), "{error}");
            true
        }
    }
}

/// This process alone has the region.
pub(crate) fn is_alone(region: &Region) -> bool {
    region.processes() == [process::id()]
}
