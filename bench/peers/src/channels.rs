//! Channels: one and four producers to one consumer, a select over eight, a broadcast to a thousand. An operation is a
//! message that has arrived.
//!
//! Coroutines, tokio's tasks and may's have one worker, so that no figure hides a wake-up between CPUs, but for the rows with
//! "2 workers"; threads are the kernel's. tokio has no channel without room, may has only unbounded ones.

use std::time::Duration;

use ropewalk::Runtime;
use ropewalk::sync::broadcast;

use crate::{Contender, Future, on_may, on_ropewalk, on_tokio, on_tokio_workers, table, time};

/// Prints all tables.
pub(crate) fn tables(rounds: usize) {
    table("channel without room, one to one", 20_000, rounds, ZERO_1);
    table("channel without room, four to one", 20_000, rounds, ZERO_4);
    table("channel with room for 64, one to one", 200_000, rounds, BOUNDED_1);
    table("channel with room for 64, four to one", 200_000, rounds, BOUNDED_4);
    table("unbounded channel, one to one", 200_000, rounds, UNBOUNDED_1);
    table("unbounded channel, four to one", 200_000, rounds, UNBOUNDED_4);
    table("select over 8 channels", 50_000, rounds, SELECT_8);
    table("broadcast to 1,000, one at a time", 200_000, rounds, BROADCAST_EACH);
    table("broadcast to 1,000, 200 at once", 200_000, rounds, BROADCAST_ALL);
}

const ZERO_1: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(1, 1, n, ropewalk_bounded(0))),
    ("ropewalk, 2 workers", |n| coroutines(2, 1, n, ropewalk_bounded(0))),
    ("ropewalk, threads", |n| threads(1, n, ropewalk_bounded(0))),
    ("crossbeam, threads", |n| threads(1, n, crossbeam_bounded(0))),
    ("flume, threads", |n| threads(1, n, flume_bounded(0))),
    ("std, threads", |n| threads(1, n, std_bounded(0))),
];
const ZERO_4: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(1, 4, n, ropewalk_bounded(0))),
    ("ropewalk, 2 workers", |n| coroutines(2, 4, n, ropewalk_bounded(0))),
    ("ropewalk, threads", |n| threads(4, n, ropewalk_bounded(0))),
    ("crossbeam, threads", |n| threads(4, n, crossbeam_bounded(0))),
    ("flume, threads", |n| threads(4, n, flume_bounded(0))),
    ("std, threads", |n| threads(4, n, std_bounded(0))),
];
const BOUNDED_1: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(1, 1, n, ropewalk_bounded(64))),
    ("ropewalk, 2 workers", |n| coroutines(2, 1, n, ropewalk_bounded(64))),
    ("ropewalk, threads", |n| threads(1, n, ropewalk_bounded(64))),
    ("crossbeam, threads", |n| threads(1, n, crossbeam_bounded(64))),
    ("flume, threads", |n| threads(1, n, flume_bounded(64))),
    ("std, threads", |n| threads(1, n, std_bounded(64))),
    ("tokio, current thread", |n| on_tokio(n, |n| tokio_bounded(1, n))),
    ("tokio, 2 workers", |n| on_tokio_workers(2, n, |n| tokio_bounded(1, n))),
];
const BOUNDED_4: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(1, 4, n, ropewalk_bounded(64))),
    ("ropewalk, 2 workers", |n| coroutines(2, 4, n, ropewalk_bounded(64))),
    ("ropewalk, threads", |n| threads(4, n, ropewalk_bounded(64))),
    ("crossbeam, threads", |n| threads(4, n, crossbeam_bounded(64))),
    ("flume, threads", |n| threads(4, n, flume_bounded(64))),
    ("std, threads", |n| threads(4, n, std_bounded(64))),
    ("tokio, current thread", |n| on_tokio(n, |n| tokio_bounded(4, n))),
    ("tokio, 2 workers", |n| on_tokio_workers(2, n, |n| tokio_bounded(4, n))),
];
const UNBOUNDED_1: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(1, 1, n, ropewalk_unbounded())),
    ("ropewalk, 2 workers", |n| coroutines(2, 1, n, ropewalk_unbounded())),
    ("ropewalk, threads", |n| threads(1, n, ropewalk_unbounded())),
    ("crossbeam, threads", |n| threads(1, n, crossbeam_unbounded())),
    ("flume, threads", |n| threads(1, n, flume_unbounded())),
    ("std, threads", |n| threads(1, n, std_unbounded())),
    ("tokio, current thread", |n| on_tokio(n, |n| tokio_unbounded(1, n))),
    ("tokio, 2 workers", |n| on_tokio_workers(2, n, |n| tokio_unbounded(1, n))),
    ("may", |n| may_unbounded(1, n)),
];
const UNBOUNDED_4: &[Contender] = &[
    ("ropewalk, coroutines", |n| coroutines(1, 4, n, ropewalk_unbounded())),
    ("ropewalk, 2 workers", |n| coroutines(2, 4, n, ropewalk_unbounded())),
    ("ropewalk, threads", |n| threads(4, n, ropewalk_unbounded())),
    ("crossbeam, threads", |n| threads(4, n, crossbeam_unbounded())),
    ("flume, threads", |n| threads(4, n, flume_unbounded())),
    ("std, threads", |n| threads(4, n, std_unbounded())),
    ("tokio, current thread", |n| on_tokio(n, |n| tokio_unbounded(4, n))),
    ("tokio, 2 workers", |n| on_tokio_workers(2, n, |n| tokio_unbounded(4, n))),
    ("may", |n| may_unbounded(4, n)),
];
const SELECT_8: &[Contender] = &[
    ("ropewalk, coroutines", |n| on_ropewalk(1, n, ropewalk_select)),
    ("ropewalk, threads", |n| time(|| ropewalk_select_on_threads(n))),
    ("crossbeam, threads", |n| time(|| crossbeam_select(n))),
    ("flume, threads", |n| time(|| flume_select(n))),
    ("tokio, current thread", |n| on_tokio(n, tokio_select)),
];
const BROADCAST_EACH: &[Contender] = &[
    ("ropewalk", |n| on_ropewalk(1, n, |n| ropewalk_broadcast(n, true))),
    ("tokio, current thread", |n| on_tokio(n, |n| tokio_broadcast(n, true))),
];
const BROADCAST_ALL: &[Contender] = &[
    ("ropewalk", |n| on_ropewalk(1, n, |n| ropewalk_broadcast(n, false))),
    ("tokio, current thread", |n| on_tokio(n, |n| tokio_broadcast(n, false))),
];

// One or more producers, one consumer. A pair is what sends a number, and what receives until all senders are gone.

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
        assert_eq!(receiver.into_iter().count() as u64, count);
    })
}

/// The same as coroutines.
fn coroutines<S, R>(workers: usize, producers: u64, count: u64, (send, receiver): (S, R)) -> Duration
where
    S: Fn(u64) + Clone + Send + 'static,
    R: IntoIterator<Item = u64> + Send,
{
    let runtime = Runtime::builder().workers(workers).build().expect("a runtime");
    runtime.run(|| {
        time(|| {
            for _ in 0..producers {
                let send = send.clone();
                ropewalk::coroutine::spawn(move || (0..count / producers).for_each(send));
            }
            drop(send);
            assert_eq!(receiver.into_iter().count() as u64, count);
        })
    })
}

fn ropewalk_bounded(
    room: usize,
) -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send) {
    let (sender, receiver) = ropewalk::channel::bounded(room);
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn ropewalk_unbounded() -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64> + Send) {
    let (sender, receiver) = ropewalk::channel::unbounded();
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn crossbeam_bounded(room: usize) -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64>) {
    let (sender, receiver) = crossbeam_channel::bounded(room);
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn crossbeam_unbounded() -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64>) {
    let (sender, receiver) = crossbeam_channel::unbounded();
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn flume_bounded(room: usize) -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64>) {
    let (sender, receiver) = flume::bounded(room);
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn flume_unbounded() -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64>) {
    let (sender, receiver) = flume::unbounded();
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn std_bounded(room: usize) -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64>) {
    let (sender, receiver) = std::sync::mpsc::sync_channel(room);
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn std_unbounded() -> (impl Fn(u64) + Clone + Send + 'static, impl IntoIterator<Item = u64>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    (move |n| sender.send(n).expect("it is read"), receiver)
}

fn tokio_bounded(producers: u64, count: u64) -> Future {
    Box::pin(async move {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
        for _ in 0..producers {
            let sender = sender.clone();
            tokio::spawn(async move {
                for n in 0..count / producers {
                    sender.send(n).await.expect("it is read");
                }
            });
        }
        drop(sender);
        let mut received = 0;
        while receiver.recv().await.is_some() {
            received += 1;
        }
        assert_eq!(received, count);
    })
}

fn tokio_unbounded(producers: u64, count: u64) -> Future {
    Box::pin(async move {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..producers {
            let sender = sender.clone();
            tokio::spawn(async move {
                (0..count / producers).for_each(|n| sender.send(n).expect("it is read"));
            });
        }
        drop(sender);
        let mut received = 0;
        while receiver.recv().await.is_some() {
            received += 1;
        }
        assert_eq!(received, count);
    })
}

fn may_unbounded(producers: u64, count: u64) -> Duration {
    on_may(move || {
        let (sender, receiver) = may::sync::mpsc::channel();
        for _ in 0..producers {
            let sender = sender.clone();
            let produce = move || (0..count / producers).for_each(|n| sender.send(n).expect("it is read"));
            // SAFETY: as in `on_may`.
            drop(unsafe { may::coroutine::spawn(produce) });
        }
        drop(sender);
        assert_eq!(receiver.iter().count() as u64, count);
    })
}

// Select: one sends to eight channels with room for one by turns, another takes what is there.

fn ropewalk_select(count: u64) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..8).map(|_| ropewalk::channel::bounded(1)).unzip();
    ropewalk::scope(|s| {
        s.spawn(|| (0..count).for_each(|n| senders[n as usize % 8].send(n).expect("it is read")));
        ropewalk_select_among(&receivers, count);
    });
}

fn ropewalk_select_on_threads(count: u64) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..8).map(|_| ropewalk::channel::bounded(1)).unzip();
    std::thread::scope(|s| {
        s.spawn(|| (0..count).for_each(|n| senders[n as usize % 8].send(n).expect("it is read")));
        ropewalk_select_among(&receivers, count);
    });
}

fn ropewalk_select_among(from: &[ropewalk::channel::Receiver<u64>], count: u64) {
    for _ in 0..count {
        ropewalk::channel::select! {
            recv(from[0]) -> message => message,
            recv(from[1]) -> message => message,
            recv(from[2]) -> message => message,
            recv(from[3]) -> message => message,
            recv(from[4]) -> message => message,
            recv(from[5]) -> message => message,
            recv(from[6]) -> message => message,
            recv(from[7]) -> message => message,
        }
        .expect("it is sent");
    }
}

fn crossbeam_select(count: u64) {
    let (senders, from): (Vec<_>, Vec<_>) = (0..8).map(|_| crossbeam_channel::bounded(1)).unzip();
    std::thread::scope(|s| {
        s.spawn(|| (0..count).for_each(|n| senders[n as usize % 8].send(n).expect("it is read")));
        for _ in 0..count {
            crossbeam_channel::select! {
                recv(from[0]) -> message => message,
                recv(from[1]) -> message => message,
                recv(from[2]) -> message => message,
                recv(from[3]) -> message => message,
                recv(from[4]) -> message => message,
                recv(from[5]) -> message => message,
                recv(from[6]) -> message => message,
                recv(from[7]) -> message => message,
            }
            .expect("it is sent");
        }
    });
}

fn flume_select(count: u64) {
    let (senders, from): (Vec<_>, Vec<_>) = (0..8).map(|_| flume::bounded(1)).unzip();
    std::thread::scope(|s| {
        s.spawn(|| (0..count).for_each(|n| senders[n as usize % 8].send(n).expect("it is read")));
        for _ in 0..count {
            let selector = flume::Selector::new();
            from.iter()
                .fold(selector, |selector, receiver| selector.recv(receiver, |message| message))
                .wait()
                .expect("it is sent");
        }
    });
}

fn tokio_select(count: u64) -> Future {
    Box::pin(async move {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..8).map(|_| tokio::sync::mpsc::channel(1)).unzip();
        let producer = tokio::spawn(async move {
            for n in 0..count {
                senders[n as usize % 8].send(n).await.expect("it is read");
            }
            // They live until the last message is taken: a closed channel would be chosen, too.
            senders
        });
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] =
            <[_; 8]>::try_from(receivers).expect("eight");
        for _ in 0..count {
            tokio::select! {
                message = a.recv() => message,
                message = b.recv() => message,
                message = c.recv() => message,
                message = d.recv() => message,
                message = e.recv() => message,
                message = f.recv() => message,
                message = g.recv() => message,
                message = h.recv() => message,
            }
            .expect("it is sent");
        }
        drop(producer.await.expect("it returns"));
    })
}

// Broadcast. A message that has arrived counts once for each receiver; with `each` all have one before the next is sent.

const RECEIVERS: u64 = 1_000;
const ROOM: usize = 1_024;

fn ropewalk_broadcast(count: u64, each: bool) {
    let (sender, receiver) = broadcast::channel(ROOM);
    let listen = |mut receiver: broadcast::Receiver<u64>| {
        ropewalk::coroutine::spawn(move || {
            let mut received = 0;
            while receiver.recv().is_ok() {
                received += 1;
            }
            received
        })
    };
    let listeners: Vec<_> = (0..RECEIVERS).map(|_| listen(sender.subscribe())).collect();
    drop(receiver);
    for n in 0..count / RECEIVERS {
        sender.send(n).expect("it is read");
        if each {
            ropewalk::coroutine::yield_now();
        }
    }
    drop(sender);
    let received: u64 = listeners.into_iter().map(|task| task.join().expect("it returns")).sum();
    assert_eq!(received, count / RECEIVERS * RECEIVERS);
}

fn tokio_broadcast(count: u64, each: bool) -> Future {
    Box::pin(async move {
        let (sender, receiver) = tokio::sync::broadcast::channel(ROOM);
        let listen = |mut receiver: tokio::sync::broadcast::Receiver<u64>| {
            tokio::spawn(async move {
                let mut received = 0;
                while receiver.recv().await.is_ok() {
                    received += 1;
                }
                received
            })
        };
        let listeners: Vec<_> = (0..RECEIVERS).map(|_| listen(sender.subscribe())).collect();
        drop(receiver);
        for n in 0..count / RECEIVERS {
            sender.send(n).expect("it is read");
            if each {
                tokio::task::yield_now().await;
            }
        }
        drop(sender);
        let mut received = 0;
        for task in listeners {
            received += task.await.expect("it returns");
        }
        assert_eq!(received, count / RECEIVERS * RECEIVERS);
    })
}
