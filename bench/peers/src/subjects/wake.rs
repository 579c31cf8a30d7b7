//! A task that has waited for a while is woken: nothing is warm, and the CPU has gone to sleep.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use ropewalk::{DriverKind, Runtime, coroutine};

use super::latency::{self, WAKE};
use super::net;
use crate::frame::table::{Contender, Role, Sample, Subject, Table, go};
use crate::rivals::{on_may, on_tokio, spawn_may, tokio_workers};

pub(crate) fn subject() -> Subject {
    let table = |name, title: &str, operations, contenders| Table {
        name,
        title: title.into(),
        operations,
        cpus: 2,
        warm: false,
        rounds: usize::MAX,
        columns: WAKE,
        contenders,
    };
    Subject {
        name: "wake",
        about: "One task waits, nothing else runs, and 300 us pass before it is woken (1 ms by the timer): so its worker and its \
                CPU sleep. timer: how much later than asked a sleep of 1 ms ends. channel: from a thread that is not the \
                runtime's, which sleeps in the kernel between the messages, to a task on its one worker, which sends \
                back how long it took. socket: 64 bytes there and back, from a client on the other CPU, to the servers \
                of echo. On a virtual machine most of it is the sleeping CPU; who spins before it sleeps is faster and \
                pays in CPU time, which stands beside it.",
        tables: vec![
            table("timer", "a sleep of 1 ms", 100, timers()),
            table("channel", "a message from another thread", 200, channels()),
            table("socket", "64 bytes there and back", 200, net::cold_servers()),
        ],
    }
}

fn timers() -> Vec<Contender> {
    let new = |name, role, run: fn(u64) -> Sample| Contender::new(name, role, run);
    vec![
        new("ropewalk, io_uring", Role::Ours, |n| {
            driven(DriverKind::Uring, move || sleep_often(n, coroutine::sleep))
        }),
        new("ropewalk, epoll", Role::Ours, |n| {
            driven(DriverKind::Epoll, move || sleep_often(n, coroutine::sleep))
        }),
        new("tokio", Role::Rival, |n| on_tokio(1, tokio_sleep_often(n))),
        new("may", Role::Rival, |n| on_may(1, move || sleep_often(n, may::coroutine::sleep))),
        go("Go", "wake-timer", 2),
        new("thread", Role::Rival, |n| sleep_often(n, std::thread::sleep)),
    ]
}

fn channels() -> Vec<Contender> {
    let new = |name, role, run: fn(u64) -> Sample| Contender::new(name, role, run);
    vec![
        new("ropewalk, io_uring", Role::Ours, |n| driven(DriverKind::Uring, move || ropewalk_messages(n))),
        new("ropewalk, epoll", Role::Ours, |n| driven(DriverKind::Epoll, move || ropewalk_messages(n))),
        new("ropewalk, thread", Role::Ours, ropewalk_messages_to_a_thread),
        new("tokio", Role::Rival, tokio_messages),
        new("may", Role::Rival, may_messages),
        go("Go", "wake-channel", 2),
        new("std, thread", Role::Rival, thread_messages),
        new("crossbeam, thread", Role::Rival, crossbeam_messages),
    ]
}

fn driven<T: Send>(driver: DriverKind, body: impl FnOnce() -> T + Send) -> T {
    Runtime::builder().workers(1).driver(driver).build().expect("a runtime").run(body)
}

const MILLISECOND: Duration = Duration::from_millis(1);
/// Long enough for everybody to have gone to sleep.
pub(super) const PAUSE: Duration = Duration::from_micros(300);

fn sleep_often(count: u64, sleep: fn(Duration)) -> Sample {
    let late = |_| {
        let started = Instant::now();
        sleep(MILLISECOND);
        started.elapsed().saturating_sub(MILLISECOND)
    };
    latency::with_cpu(|| (0..count).map(late).collect())
}

async fn tokio_sleep_often(count: u64) -> Sample {
    let cpu = latency::cpu_time();
    let mut late = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        tokio::time::sleep(MILLISECOND).await;
        late.push(started.elapsed().saturating_sub(MILLISECOND));
    }
    latency::describe(late, latency::cpu_time() - cpu)
}

/// What the thread does that wakes the task.
fn send_often(count: u64, send: impl Fn(Instant), answers: &mpsc::Receiver<Duration>) -> Sample {
    let message = |_| {
        std::thread::sleep(PAUSE);
        send(Instant::now());
        answers.recv().expect("it answers")
    };
    latency::with_cpu(|| (0..count).map(message).collect())
}

fn ropewalk_messages(count: u64) -> Sample {
    let (sender, receiver) = ropewalk::channel::bounded(1);
    let (answer, answers) = mpsc::channel();
    let outside =
        std::thread::spawn(move || send_often(count, |now| sender.send(now).expect("it is read"), &answers));
    receiver.iter().for_each(|sent: Instant| answer.send(sent.elapsed()).expect("it is read"));
    outside.join().expect("it returns")
}

fn ropewalk_messages_to_a_thread(count: u64) -> Sample {
    let (sender, receiver) = ropewalk::channel::bounded(1);
    to_a_thread(count, move |now| sender.send(now).expect("it is read"), receiver)
}

fn thread_messages(count: u64) -> Sample {
    let (sender, receiver) = mpsc::sync_channel(1);
    to_a_thread(count, move |now| sender.send(now).expect("it is read"), receiver)
}

fn crossbeam_messages(count: u64) -> Sample {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    to_a_thread(count, move |now| sender.send(now).expect("it is read"), receiver)
}

fn to_a_thread(
    count: u64,
    send: impl Fn(Instant),
    receiver: impl IntoIterator<Item = Instant> + Send + 'static,
) -> Sample {
    let (answer, answers) = mpsc::channel();
    std::thread::spawn(move || {
        receiver.into_iter().for_each(|sent| answer.send(sent.elapsed()).expect("it is read"));
    });
    send_often(count, send, &answers)
}

/// One worker with a thread of its own.
fn tokio_messages(count: u64) -> Sample {
    let runtime = tokio_workers(1);
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Instant>(1);
    let (answer, answers) = mpsc::channel();
    runtime.spawn(async move {
        while let Some(sent) = receiver.recv().await {
            answer.send(sent.elapsed()).expect("it is read");
        }
    });
    send_often(count, |now| sender.blocking_send(now).expect("it is read"), &answers)
}

fn may_messages(count: u64) -> Sample {
    may::config().set_workers(1).set_stack_size(0x2000);
    let (sender, receiver) = may::sync::mpsc::channel::<Instant>();
    let (answer, answers) = mpsc::channel();
    drop(spawn_may(move || {
        receiver.iter().for_each(|sent| answer.send(sent.elapsed()).expect("it is read"));
    }));
    send_often(count, |now| sender.send(now).expect("it is read"), &answers)
}
