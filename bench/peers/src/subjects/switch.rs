//! A switch: by a yield, by a wake-up, to a given task.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use corosensei::{Coroutine, CoroutineResult};
use ropewalk::coroutine;

use crate::frame::table::{Contender, Role, Subject, Table, boost, floor, go, ours, rival};
use crate::rivals::{
    PlainYield, on_may, on_ropewalk, on_smol, on_tokio, spawn_may, time, time_future, tokio_workers,
};

pub(crate) fn subject() -> Subject {
    Subject {
        name: "switch",
        about: "From one task to another. yield: two tasks that do nothing but yield, an operation is one yield. park: two \
                tasks, each wakes the other and waits, an operation is one of these wake-ups; tokio's is a Notify, may's \
                and std's are park and unpark, Go and Boost.Fiber have neither. hand-over: to a task that is named, and \
                back. The floors have no scheduler, no wake-up and no cancel: two coroutines of corosensei by turns in a \
                queue, and bare context switches. Threads yield and park through the kernel.",
        tables: vec![
            Table::of("yield", "yield, two tasks", 1, 400_000, yields()),
            Table::of("park", "unpark and park, two tasks", 1, 200_000, parks(1)),
            Table::of("park-2", "unpark and park, two tasks", 2, 20_000, parks(2)),
            Table::of("hand-over", "hand-over to a given task and back, each way", 1, 400_000, hand_overs()),
        ],
    }
}

fn yields() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| on_ropewalk(1, move || time(|| ropewalk_yield(n)))),
        rival("tokio, current thread", |n| on_tokio(1, time_future(tokio_yield(n, tokio::task::yield_now)))),
        rival("tokio, plain wake", |n| on_tokio(1, time_future(tokio_yield(n, || PlainYield(false))))),
        rival("tokio, 1 worker", |n| {
            let yields = time_future(tokio_yield(n, tokio::task::yield_now));
            tokio_workers(1).block_on(async { tokio::spawn(yields).await.expect("it returns") })
        }),
        rival("async-executor", smol_yield),
        rival("may", |n| on_may(1, move || time(|| may_yield(n)))),
        go("Go", "yield", 1),
        boost("Boost.Fiber", Role::Rival, "yield"),
        rival("threads", thread_yield),
        floor("corosensei in a queue", corosensei_yield),
    ]
}

fn parks(cpus: usize) -> Vec<Contender> {
    vec![
        ours("ropewalk", move |n| on_ropewalk(cpus, move || time(|| ropewalk_park(n)))),
        rival("tokio", move |n| on_tokio(cpus, time_future(tokio_notify(n)))),
        rival("may", move |n| on_may(cpus, move || time(|| may_park(n)))),
        rival("threads", |n| time(|| thread_park(n))),
        ours("ropewalk, threads", |n| time(|| ropewalk_thread_park(n))),
    ]
}

fn hand_overs() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| on_ropewalk(1, move || ropewalk_hand_over(n))),
        floor("corosensei, resume and suspend", corosensei_resume),
        boost("Boost.Context, jump", Role::Floor, "switch"),
    ]
}

fn ropewalk_yield(count: u64) {
    let other = coroutine::spawn_local(move || (0..count / 2).for_each(|_| coroutine::yield_now()));
    (0..count / 2).for_each(|_| coroutine::yield_now());
    other.join().expect("it returns");
}

fn ropewalk_hand_over(count: u64) -> Duration {
    let other = coroutine::spawn_local(move || (0..count / 2).for_each(|_| coroutine::yield_now()));
    let elapsed = time(|| (0..count / 2).for_each(|_| coroutine::hand_over(&other).expect("it is ready")));
    other.join().expect("it returns");
    elapsed
}

/// A park may end early, so each waits for its turn.
fn ropewalk_park(count: u64) {
    let turn = Arc::new(AtomicBool::new(false));
    let (main, theirs) = (coroutine::current(), turn.clone());
    let other =
        coroutine::spawn(move || by_turns(count / 2, &theirs, true, coroutine::park, || main.unpark()));
    by_turns(count / 2, &turn, false, coroutine::park, || other.task().unpark());
    other.join().expect("it returns");
}

fn ropewalk_thread_park(count: u64) {
    let turn = Arc::new(AtomicBool::new(false));
    let (main, theirs) = (ropewalk::thread::current(), turn.clone());
    let park = ropewalk::thread::park;
    let other = ropewalk::thread::spawn(move || by_turns(count / 2, &theirs, true, park, || main.unpark()));
    by_turns(count / 2, &turn, false, park, || other.task().unpark());
    other.join().expect("it returns");
}

/// Passes the turn on so often, and waits for it to come back, or the other way round.
fn by_turns(count: u64, turn: &AtomicBool, me: bool, park: fn(), unpark: impl Fn()) {
    for _ in 0..count {
        while turn.load(Ordering::Acquire) != me {
            park();
        }
        turn.store(!me, Ordering::Release);
        unpark();
    }
}

async fn tokio_yield<F: Future<Output = ()> + Send + 'static>(count: u64, yield_now: fn() -> F) {
    let yields = move || async move {
        for _ in 0..count / 2 {
            yield_now().await;
        }
    };
    let other = tokio::spawn(yields());
    yields().await;
    other.await.expect("it returns");
}

async fn tokio_notify(count: u64) {
    let (ping, pong) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (heard, answer) = (ping.clone(), pong.clone());
    let other = tokio::spawn(async move {
        for _ in 0..count / 2 {
            heard.notified().await;
            answer.notify_one();
        }
    });
    for _ in 0..count / 2 {
        ping.notify_one();
        pong.notified().await;
    }
    other.await.expect("it returns");
}

fn smol_yield(count: u64) -> Duration {
    let yields = move || async move {
        for _ in 0..count / 2 {
            futures_lite::future::yield_now().await;
        }
    };
    on_smol(async |executor| {
        time_future(async {
            let (one, other) = (executor.spawn(yields()), executor.spawn(yields()));
            one.await;
            other.await;
        })
        .await
    })
}

fn may_yield(count: u64) {
    let other = spawn_may(move || (0..count / 2).for_each(|_| may::coroutine::yield_now()));
    (0..count / 2).for_each(|_| may::coroutine::yield_now());
    other.join().expect("it returns");
}

fn may_park(count: u64) {
    let turn = Arc::new(AtomicBool::new(false));
    let (main, theirs) = (may::coroutine::current(), turn.clone());
    let park = may::coroutine::park;
    let other = spawn_may(move || by_turns(count / 2, &theirs, true, park, || main.unpark()));
    by_turns(count / 2, &turn, false, park, || other.coroutine().unpark());
    other.join().expect("it returns");
}

fn thread_yield(count: u64) -> Duration {
    time(|| {
        std::thread::scope(|s| {
            s.spawn(|| (0..count / 2).for_each(|_| std::thread::yield_now()));
            (0..count / 2).for_each(|_| std::thread::yield_now());
        });
    })
}

fn thread_park(count: u64) {
    let turn = Arc::new(AtomicBool::new(false));
    let (main, theirs) = (std::thread::current(), turn.clone());
    let park = std::thread::park;
    let other = std::thread::spawn(move || by_turns(count / 2, &theirs, true, park, || main.unpark()));
    by_turns(count / 2, &turn, false, park, || other.thread().unpark());
    other.join().expect("it returns");
}

fn corosensei_yield(count: u64) -> Duration {
    let yielding =
        || Coroutine::<(), (), ()>::new(move |yielder, ()| (0..count / 2).for_each(|_| yielder.suspend(())));
    let mut queue = VecDeque::from([yielding(), yielding()]);
    time(|| {
        while let Some(mut next) = queue.pop_front() {
            if let CoroutineResult::Yield(()) = next.resume(()) {
                queue.push_back(next);
            }
        }
    })
}

fn corosensei_resume(count: u64) -> Duration {
    let mut other = Coroutine::<(), (), ()>::new(move |yielder, ()| {
        loop {
            yielder.suspend(());
        }
    });
    let elapsed = time(|| {
        (0..count / 2).for_each(|_| {
            other.resume(());
        });
    });
    other.force_unwind();
    elapsed
}
