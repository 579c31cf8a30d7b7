//! Locks: free, wanted by 2, and wanted by 64. An operation is to take one, add to a number, and give it back.
//!
//! Coroutines, tokio's tasks and may's have two workers where more than one wants the lock; threads are the kernel's. The
//! readers' rows write once in ten times.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropewalk::Runtime;

use crate::{Contender, table, time};

/// Prints all tables.
pub(crate) fn tables(rounds: usize) {
    table("mutex, free", 1_000_000, rounds, MUTEX_FREE);
    table("mutex, 2 tasks", 400_000, rounds, MUTEX_2);
    table("mutex, 64 tasks", 400_000, rounds, MUTEX_64);
    table("read-write lock, free, read", 1_000_000, rounds, READ_FREE);
    table("read-write lock, free, write", 1_000_000, rounds, WRITE_FREE);
    table("read-write lock, 2 tasks", 400_000, rounds, RWLOCK_2);
    table("read-write lock, 64 tasks", 400_000, rounds, RWLOCK_64);
    table("semaphore, free", 1_000_000, rounds, SEMAPHORE_FREE);
    table("semaphore of 2 permits, 64 tasks", 100_000, rounds, SEMAPHORE_64);
    table("barrier, 64 tasks, an operation is a wait of one", 32_000, rounds, BARRIER_64);
    table("a cell that is set: get_or_init", 4_000_000, rounds, ONCE);
}

const MUTEX_FREE: &[Contender] = &[
    ("ropewalk", |n| alone(n, &ropewalk_mutex())),
    ("std", |n| alone(n, &std_mutex())),
    ("parking_lot", |n| alone(n, &parking_lot_mutex())),
    ("tokio", |n| tokio_tasks(1, n, tokio_mutex())),
    ("may", |n| alone(n, &may_mutex())),
];
const MUTEX_2: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(2, n, &ropewalk_mutex())),
    ("ropewalk, threads", |n| threads(2, n, &ropewalk_mutex())),
    ("std, threads", |n| threads(2, n, &std_mutex())),
    ("parking_lot, threads", |n| threads(2, n, &parking_lot_mutex())),
    ("tokio", |n| tokio_tasks(2, n, tokio_mutex())),
    ("may, threads", |n| threads(2, n, &may_mutex())),
];
const MUTEX_64: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(64, n, &ropewalk_mutex())),
    ("ropewalk, threads", |n| threads(64, n, &ropewalk_mutex())),
    ("std, threads", |n| threads(64, n, &std_mutex())),
    ("parking_lot, threads", |n| threads(64, n, &parking_lot_mutex())),
    ("tokio", |n| tokio_tasks(64, n, tokio_mutex())),
    ("may, threads", |n| threads(64, n, &may_mutex())),
];
const READ_FREE: &[Contender] = &[
    ("ropewalk", |n| alone(n, &ropewalk_rwlock(0))),
    ("std", |n| alone(n, &std_rwlock(0))),
    ("parking_lot", |n| alone(n, &parking_lot_rwlock(0))),
    ("tokio", |n| tokio_tasks(1, n, tokio_rwlock(0))),
    ("may", |n| alone(n, &may_rwlock(0))),
];
const WRITE_FREE: &[Contender] = &[
    ("ropewalk", |n| alone(n, &ropewalk_rwlock(1))),
    ("std", |n| alone(n, &std_rwlock(1))),
    ("parking_lot", |n| alone(n, &parking_lot_rwlock(1))),
    ("tokio", |n| tokio_tasks(1, n, tokio_rwlock(1))),
    ("may", |n| alone(n, &may_rwlock(1))),
];
const RWLOCK_2: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(2, n, &ropewalk_rwlock(10))),
    ("ropewalk, threads", |n| threads(2, n, &ropewalk_rwlock(10))),
    ("std, threads", |n| threads(2, n, &std_rwlock(10))),
    ("parking_lot, threads", |n| threads(2, n, &parking_lot_rwlock(10))),
    ("tokio", |n| tokio_tasks(2, n, tokio_rwlock(10))),
    ("may, threads", |n| threads(2, n, &may_rwlock(10))),
];
const RWLOCK_64: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(64, n, &ropewalk_rwlock(10))),
    ("ropewalk, threads", |n| threads(64, n, &ropewalk_rwlock(10))),
    ("std, threads", |n| threads(64, n, &std_rwlock(10))),
    ("parking_lot, threads", |n| threads(64, n, &parking_lot_rwlock(10))),
    ("tokio", |n| tokio_tasks(64, n, tokio_rwlock(10))),
    ("may, threads", |n| threads(64, n, &may_rwlock(10))),
];
const SEMAPHORE_FREE: &[Contender] = &[
    ("ropewalk", |n| alone(n, &ropewalk_semaphore(1))),
    ("tokio", |n| tokio_tasks(1, n, tokio_semaphore(1))),
];
const SEMAPHORE_64: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(64, n, &ropewalk_semaphore(2))),
    ("ropewalk, threads", |n| threads(64, n, &ropewalk_semaphore(2))),
    ("tokio", |n| tokio_tasks(64, n, tokio_semaphore(2))),
];
const BARRIER_64: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(64, n, &ropewalk_barrier())),
    ("ropewalk, threads", |n| threads(64, n, &ropewalk_barrier())),
    ("std, threads", |n| threads(64, n, &std_barrier())),
    ("tokio", |n| tokio_tasks(64, n, tokio_barrier())),
];
const ONCE: &[Contender] =
    &[("ropewalk", |n| alone(n, &ropewalk_once())), ("std", |n| alone(n, &std_once()))];

/// One thread does `operation` so often, with numbers that count up.
fn alone(count: u64, operation: &dyn Fn(u64)) -> Duration {
    time(|| (0..count).for_each(operation))
}

/// So many threads do it, each its part.
fn threads(tasks: u64, count: u64, operation: &(dyn Fn(u64) + Sync)) -> Duration {
    time(|| {
        std::thread::scope(|s| {
            for _ in 0..tasks {
                s.spawn(|| (0..count / tasks).for_each(operation));
            }
        });
    })
}

/// So many coroutines on two workers do it, each its part.
fn coroutines(tasks: u64, count: u64, operation: &(dyn Fn(u64) + Sync)) -> Duration {
    let runtime = Runtime::builder().workers(2).build().expect("a runtime");
    runtime.run(|| {
        time(|| {
            ropewalk::scope(|s| {
                for _ in 0..tasks {
                    s.spawn(|| (0..count / tasks).for_each(operation));
                }
            });
        })
    })
}

/// So many of tokio's tasks do their part of it; one of them on the current thread, more on two workers.
fn tokio_tasks<F>(tasks: u64, count: u64, part: impl Fn(u64) -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = match tasks {
        1 => tokio::runtime::Builder::new_current_thread().build(),
        _ => tokio::runtime::Builder::new_multi_thread().worker_threads(2).build(),
    };
    runtime.expect("a runtime").block_on(async {
        let started = Instant::now();
        let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(part(count / tasks))).collect();
        for task in tasks {
            task.await.expect("it returns");
        }
        started.elapsed()
    })
}

/// Whether the operation with this number writes: never, or every so often.
fn writes(number: u64, every: u64) -> bool {
    every > 0 && number % every == 0
}

fn ropewalk_mutex() -> impl Fn(u64) + Sync {
    let lock = ropewalk::sync::Mutex::new(0);
    move |_| *lock.lock().unwrap() += 1
}

fn std_mutex() -> impl Fn(u64) + Sync {
    let lock = std::sync::Mutex::new(0);
    move |_| *lock.lock().unwrap() += 1
}

fn parking_lot_mutex() -> impl Fn(u64) + Sync {
    let lock = parking_lot::Mutex::new(0);
    move |_| *lock.lock() += 1
}

fn may_mutex() -> impl Fn(u64) + Sync {
    let lock = may::sync::Mutex::new(0);
    move |_| *lock.lock().unwrap() += 1
}

fn tokio_mutex() -> impl Fn(u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    let lock = Arc::new(tokio::sync::Mutex::new(0));
    move |count| {
        let lock = lock.clone();
        Box::pin(async move {
            for _ in 0..count {
                *lock.lock().await += 1;
            }
        })
    }
}

macro_rules! rwlock {
    ($name:ident, $lock:ty, $($unwrap:ident)?) => {
        fn $name(every: u64) -> impl Fn(u64) + Sync {
            let lock = <$lock>::new(0);
            move |number| {
                if writes(number, every) {
                    *lock.write()$(.$unwrap())? += 1;
                } else {
                    black_box(*lock.read()$(.$unwrap())?);
                }
            }
        }
    };
}

rwlock!(ropewalk_rwlock, ropewalk::sync::RwLock<u64>, unwrap);
rwlock!(std_rwlock, std::sync::RwLock<u64>, unwrap);
rwlock!(parking_lot_rwlock, parking_lot::RwLock<u64>,);
rwlock!(may_rwlock, may::sync::RwLock<u64>, unwrap);

fn tokio_rwlock(every: u64) -> impl Fn(u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    let lock = Arc::new(tokio::sync::RwLock::new(0));
    move |count| {
        let lock = lock.clone();
        Box::pin(async move {
            for number in 0..count {
                if writes(number, every) {
                    *lock.write().await += 1;
                } else {
                    black_box(*lock.read().await);
                }
            }
        })
    }
}

fn ropewalk_semaphore(permits: usize) -> impl Fn(u64) + Sync {
    let semaphore = ropewalk::sync::Semaphore::new(permits);
    move |_| drop(black_box(semaphore.acquire()))
}

fn tokio_semaphore(permits: usize) -> impl Fn(u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    let semaphore = Arc::new(tokio::sync::Semaphore::new(permits));
    move |count| {
        let semaphore = semaphore.clone();
        Box::pin(async move {
            for _ in 0..count {
                drop(black_box(semaphore.acquire().await));
            }
        })
    }
}

fn ropewalk_barrier() -> impl Fn(u64) + Sync {
    let barrier = ropewalk::sync::Barrier::new(64);
    move |_| {
        black_box(barrier.wait().is_leader());
    }
}

fn std_barrier() -> impl Fn(u64) + Sync {
    let barrier = std::sync::Barrier::new(64);
    move |_| {
        black_box(barrier.wait().is_leader());
    }
}

fn tokio_barrier() -> impl Fn(u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    let barrier = Arc::new(tokio::sync::Barrier::new(64));
    move |count| {
        let barrier = barrier.clone();
        Box::pin(async move {
            for _ in 0..count {
                barrier.wait().await;
            }
        })
    }
}

fn ropewalk_once() -> impl Fn(u64) {
    let cell = ropewalk::sync::OnceLock::new();
    move |number| {
        black_box(cell.get_or_init(|| number));
    }
}

fn std_once() -> impl Fn(u64) {
    let cell = std::sync::OnceLock::new();
    move |number| {
        black_box(cell.get_or_init(|| number));
    }
}
