//! A select over eight channels, and a broadcast to a thousand tasks.

use ropewalk::sync::broadcast;

use crate::frame::table::{Contender, Table, go, ours, rival};
use crate::rivals::{on_ropewalk, on_tokio, time, time_future};

pub(super) fn tables() -> Vec<Table> {
    let each = "broadcast to 1,000, who all have it before the next";
    vec![
        Table::of("select-8", "select over 8 channels", 1, 50_000, selects()),
        Table::of("broadcast", each, 1, 200_000, broadcasts(true)),
        Table::of("broadcast-200", "broadcast to 1,000, 200 messages at once", 1, 200_000, broadcasts(false)),
    ]
}

fn selects() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| on_ropewalk(1, move || time(|| ropewalk_select(n)))),
        ours("ropewalk, threads", |n| time(|| ropewalk_select_on_threads(n))),
        rival("tokio", |n| on_tokio(1, time_future(tokio_select(n)))),
        go("Go", "select-8", 1),
        rival("crossbeam, threads", |n| time(|| crossbeam_select(n))),
        rival("flume, threads", |n| time(|| flume_select(n))),
    ]
}

fn broadcasts(each: bool) -> Vec<Contender> {
    vec![
        ours("ropewalk", move |n| on_ropewalk(1, move || time(|| ropewalk_broadcast(n, each)))),
        rival("tokio", move |n| on_tokio(1, time_future(tokio_broadcast(n, each)))),
    ]
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

async fn tokio_select(count: u64) {
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

async fn tokio_broadcast(count: u64, each: bool) {
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
}
