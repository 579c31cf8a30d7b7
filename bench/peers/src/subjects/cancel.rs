//! From the wish that a task end to the end of its last destructor.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ropewalk::coroutine;

use crate::frame::table::{Contender, Subject, Table, go, ours, rival};
use crate::rivals::{on_may, on_ropewalk, on_tokio, spawn_may, time};

pub(crate) fn subject() -> Subject {
    let mut many = Table::of("many", "100,000 that wait", 1, 100_000, many());
    many.warm = false;
    Subject {
        name: "cancel",
        about: "one: a task is started, comes to its wait, is cancelled and joined, and has dropped what it held; starting it is \
                part of the operation. many: of 100,000 that wait, from the first cancel until all have been joined; an \
                operation is a task. Ropewalk and may unwind a stack, tokio drops a future; Go closes a channel that its \
                goroutines listen to, and they return. may needs two mappings for a stack, and more than the stock \
                vm.max_map_count for 100,000.",
        tables: vec![Table::of("one", "start, cancel, join", 1, 20_000, one()), many],
    }
}

fn one() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| on_ropewalk(1, move || time(|| ropewalk_one(n)))),
        rival("tokio", |n| on_tokio(1, tokio_one(n))),
        rival("may", |n| on_may(1, move || time(|| may_one(n)))),
        go("Go", "cancel", 1),
    ]
}

fn many() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| on_ropewalk(1, move || ropewalk_many(n))),
        rival("tokio", |n| on_tokio(1, tokio_many(n))),
        rival("may", |n| on_may(1, move || may_many(n))),
        go("Go", "cancel-many", 1),
    ]
}

/// What a task holds.
struct Held;

static DROPPED: AtomicU64 = AtomicU64::new(0);
static WAITING: AtomicU64 = AtomicU64::new(0);

impl Held {
    fn new() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// All of them, so far.
fn check_dropped() {
    assert_eq!(DROPPED.load(Ordering::Relaxed), WAITING.load(Ordering::Relaxed), "a destructor did not run");
}

fn ropewalk_wait() {
    let _held = Held::new();
    loop {
        coroutine::park();
    }
}

fn ropewalk_one(count: u64) {
    for _ in 0..count {
        let task = coroutine::spawn_local(ropewalk_wait);
        coroutine::yield_now();
        task.cancel();
        assert!(task.join().is_err_and(|error| error.is_cancelled()));
    }
    check_dropped();
}

fn ropewalk_many(count: u64) -> Duration {
    let tasks: Vec<_> = (0..count).map(|_| coroutine::spawn_local(ropewalk_wait)).collect();
    while WAITING.load(Ordering::Relaxed) < count {
        coroutine::yield_now();
    }
    let elapsed = time(|| {
        tasks.iter().for_each(ropewalk::JoinHandle::cancel);
        tasks.into_iter().for_each(|task| drop(task.join()));
    });
    check_dropped();
    elapsed
}

async fn tokio_wait() {
    let _held = Held::new();
    std::future::pending::<()>().await;
}

async fn tokio_one(count: u64) -> Duration {
    let started = std::time::Instant::now();
    for _ in 0..count {
        let task = tokio::spawn(tokio_wait());
        tokio::task::yield_now().await;
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }
    check_dropped();
    started.elapsed()
}

async fn tokio_many(count: u64) -> Duration {
    let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(tokio_wait())).collect();
    while WAITING.load(Ordering::Relaxed) < count {
        tokio::task::yield_now().await;
    }
    let started = std::time::Instant::now();
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    for task in tasks {
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }
    let elapsed = started.elapsed();
    check_dropped();
    elapsed
}

fn may_wait() {
    let _held = Held::new();
    loop {
        may::coroutine::park();
    }
}

fn may_cancel(task: &may::coroutine::JoinHandle<()>) {
    // SAFETY: it waits in `park`, and holds nothing that another coroutine borrows.
    unsafe { task.coroutine().cancel() };
}

fn may_one(count: u64) {
    for _ in 0..count {
        let task = spawn_may(may_wait);
        may::coroutine::yield_now();
        may_cancel(&task);
        assert!(task.join().is_err());
    }
    check_dropped();
}

fn may_many(count: u64) -> Duration {
    let tasks: Vec<_> = (0..count).map(|_| spawn_may(may_wait)).collect();
    while WAITING.load(Ordering::Relaxed) < count {
        may::coroutine::yield_now();
    }
    let elapsed = time(|| {
        tasks.iter().for_each(may_cancel);
        tasks.into_iter().for_each(|task| drop(task.join()));
    });
    check_dropped();
    elapsed
}
