//! To start a task and wait for its end.

use std::hint::black_box;
use std::time::Duration;

use corosensei::stack::DefaultStack;
use ropewalk::coroutine;

use crate::frame::table::{Contender, Role, Subject, Table, boost, floor, go, ours, rival};
use crate::rivals::{on_may, on_ropewalk, on_smol, on_tokio, spawn_may, time, time_future};

pub(crate) fn subject() -> Subject {
    Subject {
        name: "spawn",
        about: "To start a task that returns a number, and wait for it: an operation is a task. one: each is waited for \
                before the next is started. batch: 1,000 are started, then waited for. scope: as batch, with tasks that \
                borrow from the block that waits; tokio and Go have nothing that borrows, so their nearest stands there \
                (JoinSet, WaitGroup). Stacks are used again by all that have stacks: Ropewalk's and may's pools, \
                Boost.Fiber's pooled_fixedsize_stack. Threads do a fiftieth of the operations. The floor is a coroutine of \
                corosensei on a stack that is kept: no queue, no handle.",
        tables: vec![
            Table::of("one", "spawn and join, one at a time", 1, 100_000, one(1)),
            Table::of("one-2", "spawn and join, one at a time", 2, 25_000, one(2)),
            Table::of("batch", "spawn 1,000, then join them", 1, 100_000, batch(1)),
            Table::of("batch-2", "spawn 1,000, then join them", 2, 100_000, batch(2)),
            Table::of("scope", "1,000 that borrow", 1, 100_000, scope()),
        ],
    }
}

const BATCH: u64 = 1_000;
const THREADS: u64 = 50;

fn one(cpus: usize) -> Vec<Contender> {
    let mut contenders = vec![
        ours("ropewalk", move |n| on_ropewalk(cpus, move || time(|| ropewalk_one(n)))),
        rival("tokio", move |n| on_tokio(cpus, time_future(tokio_one(n)))),
        rival("may", move |n| on_may(cpus, move || time(|| may_one(n)))),
        go("Go", "spawn", cpus),
        rival("threads", |n| time(|| thread_one(n.div_ceil(THREADS))) * THREADS as u32),
        ours("ropewalk, threads", |n| time(|| ropewalk_thread_one(n.div_ceil(THREADS))) * THREADS as u32),
    ];
    if cpus == 1 {
        contenders.push(rival("async-executor", smol_one));
        contenders.push(boost("Boost.Fiber", Role::Rival, "spawn"));
        contenders.push(floor("corosensei, kept stack", corosensei_one));
    }
    contenders
}

fn batch(cpus: usize) -> Vec<Contender> {
    let mut contenders = vec![
        ours("ropewalk", move |n| on_ropewalk(cpus, move || time(|| ropewalk_batch(n)))),
        rival("tokio", move |n| on_tokio(cpus, time_future(tokio_batch(n)))),
        rival("may", move |n| on_may(cpus, move || time(|| may_batch(n)))),
        go("Go", "spawn-batch", cpus),
    ];
    if cpus == 1 {
        contenders.push(rival("async-executor", smol_batch));
        contenders.push(boost("Boost.Fiber", Role::Rival, "spawn-batch"));
    }
    contenders
}

fn scope() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| on_ropewalk(1, move || time(|| ropewalk_scope(n)))),
        rival("tokio, JoinSet", |n| on_tokio(1, time_future(tokio_set(n)))),
        rival("may", |n| on_may(1, move || time(|| may_scope(n)))),
        go("Go, WaitGroup", "spawn-batch", 1),
        rival("threads", |n| time(|| thread_scope(n.div_ceil(THREADS))) * THREADS as u32),
    ]
}

fn ropewalk_one(count: u64) {
    for n in 0..count {
        coroutine::spawn(move || black_box(n)).join().expect("it returns");
    }
}

fn ropewalk_batch(count: u64) {
    let mut tasks = Vec::with_capacity(BATCH as usize);
    for _ in 0..count.div_ceil(BATCH) {
        tasks.extend((0..BATCH).map(|n| coroutine::spawn(move || black_box(n))));
        tasks.drain(..).for_each(|task| {
            task.join().expect("it returns");
        });
    }
}

fn ropewalk_scope(count: u64) {
    for _ in 0..count.div_ceil(BATCH) {
        let numbers: Vec<u64> = (0..BATCH).collect();
        ropewalk::scope(|s| {
            for n in &numbers {
                s.spawn(move || black_box(*n));
            }
        });
    }
}

fn ropewalk_thread_one(count: u64) {
    (0..count).for_each(|n| {
        ropewalk::thread::spawn(move || black_box(n)).join().expect("it returns");
    });
}

async fn tokio_one(count: u64) {
    for n in 0..count {
        tokio::spawn(async move { black_box(n) }).await.expect("it returns");
    }
}

async fn tokio_batch(count: u64) {
    let mut tasks = Vec::with_capacity(BATCH as usize);
    for _ in 0..count.div_ceil(BATCH) {
        tasks.extend((0..BATCH).map(|n| tokio::spawn(async move { black_box(n) })));
        for task in tasks.drain(..) {
            task.await.expect("it returns");
        }
    }
}

async fn tokio_set(count: u64) {
    for _ in 0..count.div_ceil(BATCH) {
        let mut set = tokio::task::JoinSet::new();
        for n in 0..BATCH {
            set.spawn(async move { black_box(n) });
        }
        while set.join_next().await.is_some() {}
    }
}

fn smol_one(count: u64) -> Duration {
    on_smol(async |executor| {
        time_future(async {
            for n in 0..count {
                executor.spawn(async move { black_box(n) }).await;
            }
        })
        .await
    })
}

fn smol_batch(count: u64) -> Duration {
    on_smol(async |executor| {
        time_future(async {
            let mut tasks = Vec::with_capacity(BATCH as usize);
            for _ in 0..count.div_ceil(BATCH) {
                tasks.extend((0..BATCH).map(|n| executor.spawn(async move { black_box(n) })));
                for task in tasks.drain(..) {
                    task.await;
                }
            }
        })
        .await
    })
}

fn may_one(count: u64) {
    (0..count).for_each(|n| {
        spawn_may(move || black_box(n)).join().expect("it returns");
    });
}

fn may_batch(count: u64) {
    let mut tasks = Vec::with_capacity(BATCH as usize);
    for _ in 0..count.div_ceil(BATCH) {
        tasks.extend((0..BATCH).map(|n| spawn_may(move || black_box(n))));
        tasks.drain(..).for_each(|task| {
            task.join().expect("it returns");
        });
    }
}

fn may_scope(count: u64) {
    for _ in 0..count.div_ceil(BATCH) {
        let numbers: Vec<u64> = (0..BATCH).collect();
        may::coroutine::scope(|s| {
            for n in &numbers {
                // SAFETY: as in `spawn_may`.
                drop(unsafe { s.spawn(move || black_box(*n)) });
            }
        });
    }
}

fn thread_one(count: u64) {
    (0..count).for_each(|n| {
        std::thread::spawn(move || black_box(n)).join().expect("it returns");
    });
}

fn thread_scope(count: u64) {
    let numbers: Vec<u64> = (0..count).collect();
    std::thread::scope(|s| {
        for n in &numbers {
            s.spawn(move || black_box(*n));
        }
    });
}

fn corosensei_one(count: u64) -> Duration {
    let stack = DefaultStack::new(64 * 1024).expect("a stack");
    let once = |stack: DefaultStack, n: u64| {
        let mut one = corosensei::Coroutine::<(), (), u64>::with_stack(stack, move |_, ()| black_box(n));
        one.resume(());
        one.into_stack()
    };
    time(|| drop((0..count).fold(stack, once)))
}
