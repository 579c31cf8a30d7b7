//! Locks: free, wanted by 2, and wanted by 64. An operation is to take one, add to a number, and give it back.
//!
//! Coroutines and tokio's tasks have two workers where more than one wants the lock; threads are the kernel's.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::frame::table::{Contender, Subject, Table, go, ours, rival};
use crate::rivals::{Boxed, on_ropewalk, time, tokio_current, tokio_workers};

pub(crate) fn subject() -> Subject {
    Subject {
        name: "locks",
        about: "To take a lock, add to a number, and give it back; of a read-write lock one in ten writes and the others look. \
                Free: one task alone, on one CPU. With 2 and 64 tasks everybody does nothing else, on two CPUs: tasks of a \
                runtime on two workers, threads as the kernel places them. Rows without a word are called from where the \
                lock is at home; a lock of Ropewalk serves its coroutines and threads, so it has a row for both. may's lock \
                and once are called from threads. barrier: an operation is one task's wait.",
        tables: vec![
            Table::of("mutex", "mutex, free", 1, 2_000_000, mutex_free()),
            Table::of("mutex-2", "mutex, 2 tasks", 2, 400_000, mutex_2()),
            Table::of("mutex-64", "mutex, 64 tasks", 2, 200_000, mutex_64()),
            Table::of("read", "read-write lock, free, read", 1, 2_000_000, read_free()),
            Table::of("write", "read-write lock, free, write", 1, 2_000_000, write_free()),
            Table::of("rwlock-2", "read-write lock, 2 tasks", 2, 200_000, rwlock_2()),
            Table::of("rwlock-64", "read-write lock, 64 tasks", 2, 200_000, rwlock_64()),
            Table::of("semaphore", "semaphore, free", 1, 1_000_000, semaphore_free()),
            Table::of("semaphore-64", "semaphore of 2 permits, 64 tasks", 2, 100_000, semaphore_64()),
            Table::of("barrier-64", "barrier, 64 tasks", 2, 32_000, barrier_64()),
            Table::of("once", "a cell that is set: get_or_init", 1, 8_000_000, once()),
        ],
    }
}

fn mutex_free() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| alone(n, &ropewalk_mutex())),
        rival("std", |n| alone(n, &std_mutex())),
        rival("parking_lot", |n| alone(n, &parking_lot_mutex())),
        rival("tokio", |n| tokio_tasks(1, n, tokio_mutex())),
        rival("may", |n| alone(n, &may_mutex())),
        go("Go", "mutex-1", 1),
    ]
}
fn mutex_2() -> Vec<Contender> {
    vec![
        ours("ropewalk, coroutines", |n| coroutines(2, n, &ropewalk_mutex())),
        ours("ropewalk, threads", |n| threads(2, n, &ropewalk_mutex())),
        rival("std, threads", |n| threads(2, n, &std_mutex())),
        rival("parking_lot, threads", |n| threads(2, n, &parking_lot_mutex())),
        rival("tokio", |n| tokio_tasks(2, n, tokio_mutex())),
        rival("may, threads", |n| threads(2, n, &may_mutex())),
        go("Go", "mutex-2", 2),
    ]
}
fn mutex_64() -> Vec<Contender> {
    vec![
        ours("ropewalk, coroutines", |n| coroutines(64, n, &ropewalk_mutex())),
        ours("ropewalk, threads", |n| threads(64, n, &ropewalk_mutex())),
        rival("std, threads", |n| threads(64, n, &std_mutex())),
        rival("parking_lot, threads", |n| threads(64, n, &parking_lot_mutex())),
        rival("tokio", |n| tokio_tasks(64, n, tokio_mutex())),
        rival("may, threads", |n| threads(64, n, &may_mutex())),
        go("Go", "mutex-64", 2),
    ]
}
fn read_free() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| alone(n, &ropewalk_rwlock(0))),
        rival("std", |n| alone(n, &std_rwlock(0))),
        rival("parking_lot", |n| alone(n, &parking_lot_rwlock(0))),
        rival("tokio", |n| tokio_tasks(1, n, tokio_rwlock(0))),
        rival("may", |n| alone(n, &may_rwlock(0))),
    ]
}
fn write_free() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| alone(n, &ropewalk_rwlock(1))),
        rival("std", |n| alone(n, &std_rwlock(1))),
        rival("parking_lot", |n| alone(n, &parking_lot_rwlock(1))),
        rival("tokio", |n| tokio_tasks(1, n, tokio_rwlock(1))),
        rival("may", |n| alone(n, &may_rwlock(1))),
    ]
}
fn rwlock_2() -> Vec<Contender> {
    vec![
        ours("ropewalk, coroutines", |n| coroutines(2, n, &ropewalk_rwlock(10))),
        ours("ropewalk, threads", |n| threads(2, n, &ropewalk_rwlock(10))),
        rival("std, threads", |n| threads(2, n, &std_rwlock(10))),
        rival("parking_lot, threads", |n| threads(2, n, &parking_lot_rwlock(10))),
        rival("tokio", |n| tokio_tasks(2, n, tokio_rwlock(10))),
        rival("may, threads", |n| threads(2, n, &may_rwlock(10))),
        go("Go", "rwlock-2", 2),
    ]
}
fn rwlock_64() -> Vec<Contender> {
    vec![
        ours("ropewalk, coroutines", |n| coroutines(64, n, &ropewalk_rwlock(10))),
        ours("ropewalk, threads", |n| threads(64, n, &ropewalk_rwlock(10))),
        rival("std, threads", |n| threads(64, n, &std_rwlock(10))),
        rival("parking_lot, threads", |n| threads(64, n, &parking_lot_rwlock(10))),
        rival("tokio", |n| tokio_tasks(64, n, tokio_rwlock(10))),
        rival("may, threads", |n| threads(64, n, &may_rwlock(10))),
        go("Go", "rwlock-64", 2),
    ]
}
fn semaphore_free() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| alone(n, &ropewalk_semaphore(1))),
        rival("tokio", |n| tokio_tasks(1, n, tokio_semaphore(1))),
    ]
}
fn semaphore_64() -> Vec<Contender> {
    vec![
        ours("ropewalk, coroutines", |n| coroutines(64, n, &ropewalk_semaphore(2))),
        ours("ropewalk, threads", |n| threads(64, n, &ropewalk_semaphore(2))),
        rival("tokio", |n| tokio_tasks(64, n, tokio_semaphore(2))),
    ]
}
fn barrier_64() -> Vec<Contender> {
    vec![
        ours("ropewalk, coroutines", |n| coroutines(64, n, &ropewalk_barrier())),
        ours("ropewalk, threads", |n| threads(64, n, &ropewalk_barrier())),
        rival("std, threads", |n| threads(64, n, &std_barrier())),
        rival("tokio", |n| tokio_tasks(64, n, tokio_barrier())),
    ]
}
fn once() -> Vec<Contender> {
    vec![ours("ropewalk", |n| alone(n, &ropewalk_once())), rival("std", |n| alone(n, &std_once()))]
}

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
    on_ropewalk(2, || {
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
    let runtime = if tasks == 1 { tokio_current() } else { tokio_workers(2) };
    runtime.block_on(async {
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
    every > 0 && number.is_multiple_of(every)
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

fn tokio_mutex() -> impl Fn(u64) -> Boxed {
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

fn tokio_rwlock(every: u64) -> impl Fn(u64) -> Boxed {
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

fn tokio_semaphore(permits: usize) -> impl Fn(u64) -> Boxed {
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

fn tokio_barrier() -> impl Fn(u64) -> Boxed {
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
