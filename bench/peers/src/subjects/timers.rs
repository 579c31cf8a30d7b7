//! Timers: a deadline that is met, and how late a thousand sleepers wake up.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ropewalk::coroutine;

use super::latency::{self, LATE};
use crate::frame::table::{Contender, Role, Sample, Subject, Table, go, ours, rival};
use crate::rivals::{on_may, on_ropewalk, on_tokio, spawn_may, time, time_future};

pub(crate) fn subject() -> Subject {
    Subject {
        name: "timers",
        about: "deadline: a number there and back between two tasks over channels with room for 1 (may's have no bound), where \
                the receive has a deadline in an hour, which is met: an operation arms a timer and takes it back. Go uses \
                one timer again and again, as its documentation recommends. late: 1,000 tasks sleep for 1 to 10 ms over and \
                over, for 300 ms, while one more computes for 100 us and sleeps for 100 us; how much later than asked they \
                run, in microseconds. tokio's timers have a granularity of 1 ms by design. CPU ms is of the whole run.",
        tables: vec![
            Table::of("deadline", "a deadline that is met", 1, 50_000, deadlines()),
            Table {
                name: "late",
                title: "1,000 sleepers and one that computes; one CPU".into(),
                operations: 300,
                cpus: 1,
                warm: false,
                rounds: usize::MAX,
                columns: LATE,
                contenders: sleepers(),
            },
        ],
    }
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

fn deadlines() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| on_ropewalk(1, move || time(|| ropewalk_deadline(n)))),
        rival("tokio", |n| on_tokio(1, time_future(tokio_deadline(n)))),
        rival("may", |n| on_may(1, move || time(|| may_deadline(n)))),
        go("Go", "deadline", 1),
        rival("std, threads", |n| time(|| thread_deadline(n))),
    ]
}

fn sleepers() -> Vec<Contender> {
    let new = |name, role, run: fn(u64) -> Sample| Contender::new(name, role, run);
    vec![
        new("ropewalk", Role::Ours, |n| on_ropewalk(1, move || ropewalk_sleepers(n))),
        new("tokio", Role::Rival, |n| on_tokio(1, tokio_sleepers(n))),
        new("may", Role::Rival, |n| on_may(1, move || may_sleepers(n))),
        go("Go", "sleepers", 1),
        new("threads", Role::Rival, thread_sleepers),
    ]
}

/// Among whatever else is armed in this runtime.
pub(super) fn ropewalk_deadline(count: u64) {
    let (ping, receive_ping) = ropewalk::channel::bounded(1);
    let (pong, receive_pong) = ropewalk::channel::bounded(1);
    let answer = move || receive_ping.iter().for_each(|n: u64| pong.send(n).expect("it is read"));
    let other = coroutine::spawn_local(answer);
    for n in 0..count {
        ping.send(n).expect("it is read");
        receive_pong.recv_timeout(HOUR).expect("it is sent");
    }
    drop(ping);
    other.join().expect("it returns");
}

pub(super) async fn tokio_deadline(count: u64) {
    let (ping, mut receive_ping) = tokio::sync::mpsc::channel(1);
    let (pong, mut receive_pong) = tokio::sync::mpsc::channel(1);
    let other = tokio::spawn(async move {
        while let Some(n) = receive_ping.recv().await {
            pong.send(n).await.expect("it is read");
        }
    });
    for n in 0..count {
        ping.send(n).await.expect("it is read");
        let received = tokio::time::timeout(HOUR, receive_pong.recv()).await;
        received.expect("an hour is long").expect("it is sent");
    }
    drop(ping);
    other.await.expect("it returns");
}

fn may_deadline(count: u64) {
    let (ping, receive_ping) = may::sync::mpsc::channel();
    let (pong, receive_pong) = may::sync::mpsc::channel();
    let answer = move || receive_ping.iter().for_each(|n: u64| pong.send(n).expect("it is read"));
    let other = spawn_may(answer);
    for n in 0..count {
        ping.send(n).expect("it is read");
        receive_pong.recv_timeout(HOUR).expect("it is sent");
    }
    drop(ping);
    other.join().expect("it returns");
}

fn thread_deadline(count: u64) {
    let (ping, receive_ping) = std::sync::mpsc::sync_channel(1);
    let (pong, receive_pong) = std::sync::mpsc::sync_channel(1);
    let answer = move || receive_ping.iter().for_each(|n: u64| pong.send(n).expect("it is read"));
    let other = std::thread::spawn(answer);
    for n in 0..count {
        ping.send(n).expect("it is read");
        receive_pong.recv_timeout(HOUR).expect("it is sent");
    }
    drop(ping);
    other.join().expect("it returns");
}

// Sleepers

const SLEEPERS: u64 = 1_000;
const TURN: Duration = Duration::from_micros(100);

/// Which sleeper asks for how much.
fn asked(number: u64) -> Duration {
    Duration::from_millis(1 + number % 10)
}

fn sleep_over_and_over(until: Instant, asked: Duration, sleep: fn(Duration)) -> Vec<Duration> {
    let mut late = Vec::new();
    while Instant::now() < until {
        let started = Instant::now();
        sleep(asked);
        late.push(started.elapsed().saturating_sub(asked));
    }
    late
}

fn compute_and_sleep(until: Instant, sleep: fn(Duration)) {
    while Instant::now() < until {
        latency::spin(TURN);
        sleep(TURN);
    }
}

fn ropewalk_sleepers(milliseconds: u64) -> Sample {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    latency::with_cpu(|| {
        let busy = coroutine::spawn(move || compute_and_sleep(until, coroutine::sleep));
        let sleeper = |n| coroutine::spawn(move || sleep_over_and_over(until, asked(n), coroutine::sleep));
        let all: Vec<_> = (0..SLEEPERS).map(sleeper).collect();
        busy.join().expect("it returns");
        all.into_iter().flat_map(|task| task.join().expect("it returns")).collect()
    })
}

fn may_sleepers(milliseconds: u64) -> Sample {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    latency::with_cpu(|| {
        let busy = spawn_may(move || compute_and_sleep(until, may::coroutine::sleep));
        let sleeper = |n| spawn_may(move || sleep_over_and_over(until, asked(n), may::coroutine::sleep));
        let all: Vec<_> = (0..SLEEPERS).map(sleeper).collect();
        busy.join().expect("it returns");
        all.into_iter().flat_map(|task| task.join().expect("it returns")).collect()
    })
}

fn thread_sleepers(milliseconds: u64) -> Sample {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    latency::with_cpu(|| {
        let all = Mutex::new(Vec::new());
        std::thread::scope(|s| {
            s.spawn(|| compute_and_sleep(until, std::thread::sleep));
            for n in 0..SLEEPERS {
                let all = &all;
                let sleeper = move || {
                    let late = sleep_over_and_over(until, asked(n), std::thread::sleep);
                    all.lock().unwrap().extend(late);
                };
                std::thread::Builder::new().stack_size(64 * 1024).spawn_scoped(s, sleeper).expect("a thread");
            }
        });
        all.into_inner().unwrap()
    })
}

async fn tokio_sleepers(milliseconds: u64) -> Sample {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    let cpu = latency::cpu_time();
    let busy = tokio::spawn(async move {
        while Instant::now() < until {
            latency::spin(TURN);
            tokio::time::sleep(TURN).await;
        }
    });
    let all = Arc::new(Mutex::new(Vec::new()));
    let sleeper = |n: u64| {
        let all = all.clone();
        tokio::spawn(async move {
            let mut late = Vec::new();
            while Instant::now() < until {
                let started = Instant::now();
                tokio::time::sleep(asked(n)).await;
                late.push(started.elapsed().saturating_sub(asked(n)));
            }
            all.lock().unwrap().extend(late);
        })
    };
    let tasks: Vec<_> = (0..SLEEPERS).map(sleeper).collect();
    busy.await.expect("it returns");
    for task in tasks {
        task.await.expect("it returns");
    }
    let late = std::mem::take(&mut *all.lock().unwrap());
    latency::describe(late, latency::cpu_time() - cpu)
}
