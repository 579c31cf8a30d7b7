//! Channels: a number there and back, a stream of them, from one task and from four.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ropewalk::coroutine;

use super::channels_async::{async_channel, flume, on_tokio as spawn_on_tokio, tokio_mpsc, tokio_unbounded};
use super::selects;
use crate::frame::table::{Contender, Role, Subject, Table, boost, floor, go, ours, rival};
use crate::rivals::{on_may, on_ropewalk, on_smol, on_tokio, spawn_may, time, time_future};

pub(crate) fn subject() -> Subject {
    let mut tables = vec![
        Table::of("ping-pong-0", "there and back, no room", 1, 20_000, ping_pongs_without_room()),
        Table::of("ping-pong", "there and back, room for 1", 1, 50_000, ping_pongs(1)),
        Table::of("ping-pong-2", "there and back, room for 1", 2, 10_000, ping_pongs(2)),
        Table::of("stream", "one to one, room for 1,024", 1, 400_000, streams(1, 1, 1024)),
        Table::of("stream-2", "one to one, room for 1,024", 2, 400_000, streams(2, 1, 1024)),
        Table::of("many", "four to one, room for 64", 1, 200_000, streams(1, 4, 64)),
        Table::of("many-2", "four to one, room for 64", 2, 100_000, streams(2, 4, 64)),
        Table::of("many-0", "four to one, no room", 2, 10_000, without_room(4)),
        Table::of("unbounded", "one to one, no bound", 1, 200_000, unbounded(1, 1)),
        Table::of("unbounded-2", "four to one, no bound", 2, 200_000, unbounded(2, 4)),
    ];
    tables.extend(selects::tables());
    Subject {
        name: "channels",
        about: "Numbers of 8 bytes. There and back is one operation; else an operation is a number that has arrived, and so is \
                a broadcast at each of its receivers. Every contender uses its own channel of the kind named; may has only \
                channels without a bound, which have less to do, and stands in the tables of bounded ones with these; \
                tokio has none without room; Boost.Fiber's least room is 2, of which one stays empty. Rows without a word are \
                tasks of a runtime with as many workers as there are CPUs (which may keep both ends on one), those with \
                'threads' are the kernel's. Floors on two CPUs spin and never sleep: two words, and a ring of Lamport.",
        tables,
    }
}

fn ping_pongs_without_room() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| coroutines_ping_pong(1, n, ropewalk_bounded(0), ropewalk_bounded(0))),
        ours("ropewalk, threads", |n| threads_ping_pong(n, ropewalk_bounded(0), ropewalk_bounded(0))),
        go("Go", "ping-pong-0", 1),
        boost("Boost.Fiber", Role::Rival, "ping-pong-0"),
        rival("crossbeam, threads", |n| threads_ping_pong(n, crossbeam_bounded(0), crossbeam_bounded(0))),
        rival("flume, threads", |n| threads_ping_pong(n, flume_bounded(0), flume_bounded(0))),
        rival("std, threads", |n| threads_ping_pong(n, std_bounded(0), std_bounded(0))),
    ]
}

fn ping_pongs(cpus: usize) -> Vec<Contender> {
    let mut contenders = vec![
        ours("ropewalk", move |n| coroutines_ping_pong(cpus, n, ropewalk_bounded(1), ropewalk_bounded(1))),
        ours("ropewalk, threads", |n| threads_ping_pong(n, ropewalk_bounded(1), ropewalk_bounded(1))),
        rival("tokio", move |n| on_tokio(cpus, time_future(tokio_mpsc::ping_pong(spawn_on_tokio, n)))),
        rival("flume on tokio", move |n| on_tokio(cpus, time_future(flume::ping_pong(spawn_on_tokio, n)))),
        rival("may", move |n| on_may(cpus, move || time(|| may_ping_pong(n)))),
        go("Go", "ping-pong-1", cpus),
        rival("crossbeam, threads", |n| threads_ping_pong(n, crossbeam_bounded(1), crossbeam_bounded(1))),
        rival("flume, threads", |n| threads_ping_pong(n, flume_bounded(1), flume_bounded(1))),
        rival("std, threads", |n| threads_ping_pong(n, std_bounded(1), std_bounded(1))),
    ];
    if cpus == 1 {
        contenders.push(rival("async-channel on smol", |n| {
            on_smol(async |executor| {
                let spawn = |future| executor.spawn(future).detach();
                time_future(async_channel::ping_pong(spawn, n)).await
            })
        }));
        contenders.push(boost("Boost.Fiber", Role::Rival, "ping-pong-1"));
    } else {
        contenders.push(floor("two words, spinning", spinning_words));
    }
    contenders
}

fn streams(cpus: usize, producers: u64, room: usize) -> Vec<Contender> {
    let (go_case, boost_case) = match producers {
        1 => ("stream-1024", "stream-1024"),
        _ => ("channel-64-4", "channel-64-4"),
    };
    let mut contenders = vec![
        ours("ropewalk", move |n| coroutines(cpus, producers, n, ropewalk_bounded(room))),
        ours("ropewalk, threads", move |n| threads(producers, n, ropewalk_bounded(room))),
        rival("tokio", move |n| {
            on_tokio(cpus, time_future(tokio_mpsc::stream(spawn_on_tokio, producers, n, room)))
        }),
        rival("flume on tokio", move |n| {
            on_tokio(cpus, time_future(flume::stream(spawn_on_tokio, producers, n, room)))
        }),
        rival("may, no bound", move |n| on_may(cpus, move || time(|| may_unbounded(producers, n)))),
        go("Go", go_case, cpus),
        rival("crossbeam, threads", move |n| threads(producers, n, crossbeam_bounded(room))),
        rival("flume, threads", move |n| threads(producers, n, flume_bounded(room))),
        rival("std, threads", move |n| threads(producers, n, std_bounded(room))),
    ];
    if cpus == 1 {
        contenders.push(rival("async-channel on smol", move |n| {
            on_smol(async |executor| {
                let spawn = |future| executor.spawn(future).detach();
                time_future(async_channel::stream(spawn, producers, n, room)).await
            })
        }));
        contenders.push(boost("Boost.Fiber", Role::Rival, boost_case));
    } else if producers == 1 {
        contenders.push(floor("a ring, spinning", spinning_ring));
    }
    contenders
}

fn without_room(producers: u64) -> Vec<Contender> {
    vec![
        ours("ropewalk", move |n| coroutines(2, producers, n, ropewalk_bounded(0))),
        ours("ropewalk, threads", move |n| threads(producers, n, ropewalk_bounded(0))),
        go("Go", "channel-0-4", 2),
        rival("crossbeam, threads", move |n| threads(producers, n, crossbeam_bounded(0))),
        rival("flume, threads", move |n| threads(producers, n, flume_bounded(0))),
        rival("std, threads", move |n| threads(producers, n, std_bounded(0))),
    ]
}

fn unbounded(cpus: usize, producers: u64) -> Vec<Contender> {
    vec![
        ours("ropewalk", move |n| coroutines(cpus, producers, n, ropewalk_unbounded())),
        ours("ropewalk, threads", move |n| threads(producers, n, ropewalk_unbounded())),
        rival("tokio", move |n| on_tokio(cpus, time_future(tokio_unbounded(producers, n)))),
        rival("may", move |n| on_may(cpus, move || time(|| may_unbounded(producers, n)))),
        rival("crossbeam, threads", move |n| threads(producers, n, crossbeam_unbounded())),
        rival("flume, threads", move |n| threads(producers, n, flume_unbounded())),
        rival("std, threads", move |n| threads(producers, n, std_unbounded())),
    ]
}

// A pair is what sends a number, and what receives until all senders are gone.

/// So many threads send `count` numbers to this one.
fn threads<S, R>(producers: u64, count: u64, (send, receiver): (S, R)) -> Duration
where
    S: Fn(u64) + Clone + Send + 'static,
    R: IntoIterator<Item = u64>,
{
    time(|| {
        for _ in 0..producers {
            let send = send.clone();
            std::thread::spawn(move || (0..count / producers).for_each(send));
        }
        drop(send);
        assert_eq!(receiver.into_iter().count() as u64, count / producers * producers);
    })
}

/// The same as coroutines.
fn coroutines<S, R>(workers: usize, producers: u64, count: u64, (send, receiver): (S, R)) -> Duration
where
    S: Fn(u64) + Clone + Send + 'static,
    R: IntoIterator<Item = u64> + Send,
{
    on_ropewalk(workers, move || {
        time(|| {
            for _ in 0..producers {
                let send = send.clone();
                coroutine::spawn(move || (0..count / producers).for_each(send));
            }
            drop(send);
            assert_eq!(receiver.into_iter().count() as u64, count / producers * producers);
        })
    })
}

/// Another thread sends back what it gets.
fn threads_ping_pong<S, R>(count: u64, ping: (S, R), pong: (S, R)) -> Duration
where
    S: Fn(u64) + Send + 'static,
    R: IntoIterator<Item = u64> + Send + 'static,
{
    let other = std::thread::spawn(move || ping.1.into_iter().for_each(pong.0));
    let elapsed = time(|| there_and_back(count, &ping.0, pong.1));
    drop(ping.0);
    other.join().expect("it returns");
    elapsed
}

/// The same as coroutines.
fn coroutines_ping_pong<S, R>(workers: usize, count: u64, ping: (S, R), pong: (S, R)) -> Duration
where
    S: Fn(u64) + Send + 'static,
    R: IntoIterator<Item = u64> + Send + 'static,
{
    on_ropewalk(workers, move || {
        let other = coroutine::spawn(move || ping.1.into_iter().for_each(pong.0));
        let elapsed = time(|| there_and_back(count, &ping.0, pong.1));
        drop(ping.0);
        other.join().expect("it returns");
        elapsed
    })
}

fn there_and_back(count: u64, send: &impl Fn(u64), answers: impl IntoIterator<Item = u64>) {
    let mut answers = answers.into_iter();
    for n in 0..count {
        send(n);
        answers.next().expect("it is sent back");
    }
}

fn ropewalk_bounded(
    room: usize,
) -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send + 'static) {
    let (sender, receiver) = ropewalk::channel::bounded(room);
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn ropewalk_unbounded()
-> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send + 'static) {
    let (sender, receiver) = ropewalk::channel::unbounded();
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn crossbeam_bounded(
    room: usize,
) -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send + 'static) {
    let (sender, receiver) = crossbeam_channel::bounded(room);
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn crossbeam_unbounded()
-> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send + 'static) {
    let (sender, receiver) = crossbeam_channel::unbounded();
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn flume_bounded(
    room: usize,
) -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send + 'static) {
    let (sender, receiver) = ::flume::bounded(room);
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn flume_unbounded() -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send + 'static)
{
    let (sender, receiver) = ::flume::unbounded();
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn std_bounded(
    room: usize,
) -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send + 'static) {
    let (sender, receiver) = std::sync::mpsc::sync_channel(room);
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn std_unbounded() -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send + 'static)
{
    let (sender, receiver) = std::sync::mpsc::channel();
    (move |n| sender.send(n).expect("it is read"), receiver)
}

// may

fn may_unbounded(producers: u64, count: u64) {
    let (sender, receiver) = may::sync::mpsc::channel();
    for _ in 0..producers {
        let sender = sender.clone();
        drop(spawn_may(move || (0..count / producers).for_each(|n| sender.send(n).expect("it is read"))));
    }
    drop(sender);
    assert_eq!(receiver.iter().count() as u64, count / producers * producers);
}

fn may_ping_pong(count: u64) {
    let (ping, receive_ping) = may::sync::mpsc::channel();
    let (pong, receive_pong) = may::sync::mpsc::channel();
    let answer = move || receive_ping.iter().for_each(|n: u64| pong.send(n).expect("it is read"));
    let other = spawn_may(answer);
    for n in 0..count {
        ping.send(n).expect("it is read");
        receive_pong.recv().expect("it is sent");
    }
    drop(ping);
    other.join().expect("it returns");
}

// The floors

/// A word alone in its cache line and the one that is fetched with it.
#[repr(align(128))]
struct Word(AtomicU64);

impl Word {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }
}

fn spinning_words(count: u64) -> Duration {
    let (ping, pong) = (Word::new(), Word::new());
    let wait = |word: &Word, value: u64| {
        while word.0.load(Ordering::Acquire) != value {
            spin_loop();
        }
    };
    std::thread::scope(|s| {
        s.spawn(|| {
            for n in 1..=count {
                wait(&ping, n);
                pong.0.store(n, Ordering::Release);
            }
        });
        time(|| {
            for n in 1..=count {
                ping.0.store(n, Ordering::Release);
                wait(&pong, n);
            }
        })
    })
}

/// Lamport's ring for one producer and one consumer ("Specifying concurrent program modules", 1983), each with its own copy of
/// how far the other is.
fn spinning_ring(count: u64) -> Duration {
    const ROOM: u64 = 1024;
    let (taken, put) = (Word::new(), Word::new());
    let slots: Vec<AtomicU64> = (0..ROOM).map(|_| AtomicU64::new(0)).collect();
    time(|| {
        std::thread::scope(|s| {
            s.spawn(|| {
                let mut seen = 0;
                for n in 0..count {
                    while n - seen == ROOM {
                        seen = taken.0.load(Ordering::Acquire);
                        spin_loop();
                    }
                    slots[(n % ROOM) as usize].store(n, Ordering::Relaxed);
                    put.0.store(n + 1, Ordering::Release);
                }
            });
            let mut seen = 0;
            for n in 0..count {
                while seen == n {
                    seen = put.0.load(Ordering::Acquire);
                    spin_loop();
                }
                assert_eq!(slots[(n % ROOM) as usize].load(Ordering::Relaxed), n);
                taken.0.store(n + 1, Ordering::Release);
            }
        });
    })
}
