//! What an operation costs among a million tasks, beside what it costs among a thousand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ropewalk::coroutine;

use super::memory::exit_with;
use super::timers::{HOUR, ropewalk_deadline, tokio_deadline};
use crate::frame::table::{Column, Contender, Role, Sample, Subject, Table, go};
use crate::rivals::{on_ropewalk, tokio_current};

pub(crate) fn subject() -> Subject {
    Subject {
        name: "growth",
        about: "The cost of an operation among 1,000,000 tasks, divided by its cost among 1,000: 1 is no growth. wake: one of them, \
                picked all over the place, is woken from its wait and waits again. switch: all yield by turns. timer: a \
                deadline is armed and taken back while all others sleep with a timer each (Go: timers without tasks). \
                cancel: all are cancelled and joined, for each. The times themselves are in the JSON. Memory that no \
                cache holds is part of it: nobody reaches 1. One worker.",
        tables: vec![Table {
            name: "million",
            title: "1,000,000 tasks beside 1,000; one CPU".into(),
            operations: 1_000_000,
            cpus: 1,
            warm: false,
            // It takes half a minute.
            rounds: 2,
            columns: COLUMNS,
            contenders: vec![
                Contender::new("ropewalk", Role::Ours, |n| growth(n, ropewalk_among)),
                Contender::new("tokio", Role::Rival, |n| growth(n, tokio_among)),
                go("Go", "growth", 1),
            ],
        }],
    }
}

const COLUMNS: &[Column] = &[
    Column { key: "wake", head: "wake" },
    Column { key: "switch", head: "switch" },
    Column { key: "timer", head: "timer" },
    Column { key: "cancel", head: "cancel" },
    Column { key: "wake_many_ns", head: "ns: wake" },
    Column { key: "switch_many_ns", head: "switch" },
    Column { key: "timer_many_ns", head: "timer" },
    Column { key: "cancel_many_ns", head: "cancel" },
];

type Costs = BTreeMap<&'static str, f64>;
type Tell<'a> = &'a (dyn Fn(&Costs) + Sync);

/// Among a thousand, to the end; then among so many, and when the last cost is known the process ends: a million sleepers
/// are not cancelled once more for nothing.
fn growth(tasks: u64, among: fn(u64, Tell<'_>)) -> Sample {
    let few = Mutex::new(Costs::new());
    among(1_000, &|costs| *few.lock().unwrap() = costs.clone());
    among(tasks, &|costs| {
        let mut figures = Sample::new();
        for (name, many) in costs {
            let few = few.lock().unwrap()[name];
            figures.insert((*name).to_owned(), many / few);
            figures.insert(format!("{name}_few_ns"), few);
            figures.insert(format!("{name}_many_ns"), *many);
        }
        exit_with(&figures)
    });
    unreachable!("it has told its costs")
}

/// Wake-ups, or deadlines.
const OPERATIONS: u64 = 200_000;

fn nanos_each(elapsed: Duration, operations: u64) -> f64 {
    elapsed.as_nanos() as f64 / operations as f64
}

/// How often each yields, so that the clock sees enough of it; and two more, before and after.
fn turns(tasks: u64) -> u64 {
    2 + OPERATIONS / tasks
}

/// The one that is woken as the n-th: 7,919 is a prime, so all come by turns and none is near the last one.
fn place(n: u64, tasks: u64) -> usize {
    (n * 7_919 % tasks) as usize
}

fn ropewalk_among(tasks: u64, tell: Tell<'_>) {
    on_ropewalk(1, move || {
        let (switch, (wake, cancel)) = (ropewalk_switch(tasks), ropewalk_wake(tasks));
        let mut costs = Costs::from([("switch", switch), ("wake", wake), ("cancel", cancel)]);
        ropewalk_timer(tasks, |timer| {
            costs.insert("timer", timer);
            tell(&costs);
        });
    });
}

fn ropewalk_wake(tasks: u64) -> (f64, f64) {
    let woken = Arc::new(AtomicU64::new(0));
    let start = |_| {
        let woken = woken.clone();
        coroutine::spawn_local(move || {
            loop {
                coroutine::park();
                woken.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let handles: Vec<_> = (0..tasks).map(start).collect();
    let all: Vec<_> = handles.iter().map(ropewalk::JoinHandle::task).collect();
    coroutine::yield_now();
    let wake = || {
        for n in 0..OPERATIONS {
            all[place(n, tasks)].unpark();
            coroutine::yield_now();
        }
    };
    wake();
    let started = Instant::now();
    wake();
    let wake = nanos_each(started.elapsed(), OPERATIONS);
    assert!(woken.load(Ordering::Relaxed) >= 2 * OPERATIONS, "not all were woken");
    let started = Instant::now();
    handles.iter().for_each(ropewalk::JoinHandle::cancel);
    handles.into_iter().for_each(|task| drop(task.join()));
    (wake, nanos_each(started.elapsed(), tasks))
}

/// Tells the cost while all still sleep.
fn ropewalk_timer(tasks: u64, tell: impl FnOnce(f64)) {
    let sleep = |n| coroutine::spawn_local(move || coroutine::sleep(HOUR + Duration::from_millis(n)));
    let all: Vec<_> = (0..tasks).map(sleep).collect();
    coroutine::yield_now();
    let started = Instant::now();
    ropewalk_deadline(OPERATIONS);
    tell(nanos_each(started.elapsed(), OPERATIONS));
    all.iter().for_each(ropewalk::JoinHandle::cancel);
    all.into_iter().for_each(|task| drop(task.join()));
}

/// They take turns: between the second turn of the first one and its last, everybody else has had as many.
fn ropewalk_switch(tasks: u64) -> f64 {
    let turns = turns(tasks);
    let first = coroutine::spawn_local(move || {
        coroutine::yield_now();
        let started = Instant::now();
        (0..turns).for_each(|_| coroutine::yield_now());
        started.elapsed()
    });
    let others =
        (1..tasks).map(|_| coroutine::spawn_local(move || (0..=turns).for_each(|_| coroutine::yield_now())));
    let others: Vec<_> = others.collect();
    let elapsed = first.join().expect("it returns");
    others.into_iter().for_each(|task| task.join().expect("it returns"));
    nanos_each(elapsed, tasks * turns)
}

fn tokio_among(tasks: u64, tell: Tell<'_>) {
    let runtime = tokio_current();
    let measured = async move {
        let (switch, (wake, cancel)) = (tokio_switch(tasks).await, tokio_wake(tasks).await);
        let (timer, sleepers) = tokio_timer(tasks).await;
        (Costs::from([("switch", switch), ("wake", wake), ("cancel", cancel), ("timer", timer)]), sleepers)
    };
    let (costs, sleepers) = runtime.block_on(async { tokio::spawn(measured).await.expect("it returns") });
    tell(&costs);
    drop((sleepers, runtime));
}

async fn tokio_wake(tasks: u64) -> (f64, f64) {
    let woken = Arc::new(AtomicU64::new(0));
    let all: Arc<Vec<_>> = Arc::new((0..tasks).map(|_| tokio::sync::Notify::new()).collect());
    let start = |n: u64| {
        let (woken, all) = (woken.clone(), all.clone());
        tokio::spawn(async move {
            loop {
                all[n as usize].notified().await;
                woken.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let handles: Vec<_> = (0..tasks).map(start).collect();
    tokio::task::yield_now().await;
    let wake = async || {
        for n in 0..OPERATIONS {
            all[place(n, tasks)].notify_one();
            tokio::task::yield_now().await;
        }
    };
    wake().await;
    let started = Instant::now();
    wake().await;
    let wake = nanos_each(started.elapsed(), OPERATIONS);
    assert!(woken.load(Ordering::Relaxed) >= OPERATIONS, "not all were woken");
    let started = Instant::now();
    handles.iter().for_each(tokio::task::JoinHandle::abort);
    for task in handles {
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }
    (wake, nanos_each(started.elapsed(), tasks))
}

/// The cost, and those who still sleep.
async fn tokio_timer(tasks: u64) -> (f64, Vec<tokio::task::JoinHandle<()>>) {
    let sleep = |n| tokio::spawn(tokio::time::sleep(HOUR + Duration::from_millis(n)));
    let all: Vec<_> = (0..tasks).map(sleep).collect();
    tokio::task::yield_now().await;
    let started = Instant::now();
    tokio_deadline(OPERATIONS).await;
    (nanos_each(started.elapsed(), OPERATIONS), all)
}

async fn tokio_switch(tasks: u64) -> f64 {
    let turns = turns(tasks);
    let first = tokio::spawn(async move {
        tokio::task::yield_now().await;
        let started = Instant::now();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        started.elapsed()
    });
    let other = |_| {
        tokio::spawn(async move {
            for _ in 0..=turns {
                tokio::task::yield_now().await;
            }
        })
    };
    let others: Vec<_> = (1..tasks).map(other).collect();
    let elapsed = first.await.expect("it returns");
    for task in others {
        task.await.expect("it returns");
    }
    nanos_each(elapsed, tasks * turns)
}
