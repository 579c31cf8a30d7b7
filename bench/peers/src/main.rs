//! The same operations on Ropewalk, tokio, may, std's threads and others, interleaved in one run.
//!
//! `cargo run --release [ROUNDS] [WORD]` prints the median and the spread of each, and the ratio to the first one's median;
//! with a word only the tables whose titles contain it. A contender runs on one worker where it has workers, so that no
//! figure hides a wake-up between CPUs; the rows with "2 workers", and the locks that more than one task wants, are the
//! exception. Losses stay in the table.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ropewalk::Runtime;

mod channels;
mod generators;
mod locks;
mod processes;

type Contender = (&'static str, fn(u64) -> Duration);

fn main() {
    let rounds: usize = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 5,
        Some(Ok(rounds)) => rounds,
        Some(Err(error)) => {
            eprintln!("peers: the number of rounds: {error}");
            std::process::exit(2);
        }
    };
    may::config().set_workers(1).set_stack_size(0x2000);
    table(
        "switch (yield_now, two tasks)",
        400_000,
        rounds,
        &[
            ("ropewalk", |n| on_ropewalk(1, n, ropewalk_yield)),
            ("tokio, current thread", |n| on_tokio(n, tokio_yield)),
            ("may", may_yield),
            ("std threads", std_yield),
        ],
    );
    table(
        "spawn and join",
        50_000,
        rounds,
        &[
            ("ropewalk", |n| on_ropewalk(1, n, ropewalk_spawn)),
            ("ropewalk, 2 workers", |n| on_ropewalk(2, n, ropewalk_spawn)),
            ("tokio, current thread", |n| on_tokio(n, tokio_spawn)),
            ("tokio, 2 workers", |n| on_tokio_workers(2, n, tokio_spawn)),
            ("may", may_spawn),
            ("std threads", |n| std_spawn(n / 50) * 50),
        ],
    );
    table(
        "ping-pong (round trip)",
        50_000,
        rounds,
        &[
            ("ropewalk", |n| on_ropewalk(1, n, ropewalk_ping_pong)),
            ("ropewalk, 2 workers", |n| on_ropewalk(2, n, ropewalk_ping_pong)),
            ("tokio, current thread", |n| on_tokio(n, tokio_ping_pong)),
            ("tokio, 2 workers", |n| on_tokio_workers(2, n, tokio_ping_pong)),
            ("may", may_ping_pong),
            ("std threads", |n| std_ping_pong(n / 10) * 10),
        ],
    );
    table(
        "message through a channel with room for 1,024",
        200_000,
        rounds,
        &[
            ("ropewalk", |n| on_ropewalk(1, n, ropewalk_stream)),
            ("tokio, current thread", |n| on_tokio(n, tokio_stream)),
            ("std threads", std_stream),
        ],
    );
    table("generator: resume and yield", 2_000_000, rounds, generators::RESUME);
    table("generator: make, resume to its end, drop", 100_000, rounds, generators::MAKE);
    table("generator: make, resume once, drop (it unwinds)", 20_000, rounds, generators::LEAVE);
    locks::tables(rounds);
    channels::tables(rounds);
    if wanted(PROCESSES) {
        table(PROCESSES, 200, rounds, &processes::contenders());
    }
}

const PROCESSES: &str = "function in a process";

/// Whether the command line asks for this table.
fn wanted(what: &str) -> bool {
    std::env::args().nth(2).is_none_or(|word| what.contains(&word))
}

fn table(what: &str, operations: u64, rounds: usize, contenders: &[Contender]) {
    if !wanted(what) {
        return;
    }
    let mut nanos = vec![Vec::new(); contenders.len()];
    for (_, run) in contenders {
        run(operations / 10); // warm-up
    }
    for round in 0..rounds {
        for place in 0..contenders.len() {
            let place = (place + round) % contenders.len();
            nanos[place].push(contenders[place].1(operations).as_nanos() as f64 / operations as f64);
        }
    }
    println!(
        "\n{what}: ns, {rounds} rounds\n{:<24}{:>10}{:>10}{:>10}{:>12}",
        "", "median", "least", "most", "x ropewalk"
    );
    nanos.iter_mut().for_each(|nanos| nanos.sort_by(f64::total_cmp));
    let ours = nanos[0][rounds / 2];
    for ((name, _), nanos) in contenders.iter().zip(&nanos) {
        let median = nanos[rounds / 2];
        println!(
            "{name:<24}{median:>10.1}{:>10.1}{:>10.1}{:>12.2}",
            nanos[0],
            nanos[rounds - 1],
            median / ours
        );
    }
}

// Ropewalk

fn on_ropewalk(workers: usize, operations: u64, body: fn(u64)) -> Duration {
    Runtime::builder().workers(workers).build().expect("a runtime").run(move || {
        let started = Instant::now();
        body(operations);
        started.elapsed()
    })
}

fn ropewalk_yield(count: u64) {
    let other = ropewalk::coroutine::spawn_local(move || {
        (0..count / 2).for_each(|_| ropewalk::coroutine::yield_now())
    });
    (0..count / 2).for_each(|_| ropewalk::coroutine::yield_now());
    other.join().expect("it returns");
}

fn ropewalk_spawn(count: u64) {
    for n in 0..count {
        ropewalk::coroutine::spawn(move || black_box(n)).join().expect("it returns");
    }
}

fn ropewalk_ping_pong(count: u64) {
    let (ping, receive_ping) = ropewalk::channel::bounded(1);
    let (pong, receive_pong) = ropewalk::channel::bounded(1);
    let other = ropewalk::coroutine::spawn(move || {
        receive_ping.iter().for_each(|n| pong.send(n).expect("it is read"))
    });
    for n in 0..count {
        ping.send(n).expect("it is read");
        receive_pong.recv().expect("it is sent");
    }
    drop(ping);
    other.join().expect("it returns");
}

fn ropewalk_stream(count: u64) {
    let (sender, receiver) = ropewalk::channel::bounded(1024);
    let producer =
        ropewalk::coroutine::spawn(move || (0..count).for_each(|n| sender.send(n).expect("it is read")));
    assert_eq!(receiver.iter().count() as u64, count);
    producer.join().expect("it returns");
}

// tokio

type Future = std::pin::Pin<Box<dyn std::future::Future<Output = ()> + Send>>;

fn on_tokio(operations: u64, body: fn(u64) -> Future) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    time_tokio(&runtime, operations, body)
}

fn on_tokio_workers(workers: usize, operations: u64, body: fn(u64) -> Future) -> Duration {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build().expect("a runtime");
    time_tokio(&runtime, operations, body)
}

fn time_tokio(runtime: &tokio::runtime::Runtime, operations: u64, body: fn(u64) -> Future) -> Duration {
    // In a task: the future of `block_on` is slower to wake.
    let timed = async move {
        let started = Instant::now();
        body(operations).await;
        started.elapsed()
    };
    runtime.block_on(async { tokio::spawn(timed).await.expect("it returns") })
}

fn tokio_yield(count: u64) -> Future {
    Box::pin(async move {
        let other = tokio::spawn(async move {
            for _ in 0..count / 2 {
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..count / 2 {
            tokio::task::yield_now().await;
        }
        other.await.expect("it returns");
    })
}

fn tokio_spawn(count: u64) -> Future {
    Box::pin(async move {
        for n in 0..count {
            tokio::spawn(async move { black_box(n) }).await.expect("it returns");
        }
    })
}

fn tokio_ping_pong(count: u64) -> Future {
    Box::pin(async move {
        let (ping, mut receive_ping) = tokio::sync::mpsc::channel(1);
        let (pong, mut receive_pong) = tokio::sync::mpsc::channel(1);
        let other = tokio::spawn(async move {
            while let Some(n) = receive_ping.recv().await {
                pong.send(n).await.expect("it is read");
            }
        });
        for n in 0..count {
            ping.send(n).await.expect("it is read");
            receive_pong.recv().await.expect("it is sent");
        }
        drop(ping);
        other.await.expect("it returns");
    })
}

fn tokio_stream(count: u64) -> Future {
    Box::pin(async move {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1024);
        let producer = tokio::spawn(async move {
            for n in 0..count {
                sender.send(n).await.expect("it is read");
            }
        });
        let mut received = 0;
        while receiver.recv().await.is_some() {
            received += 1;
        }
        assert_eq!(received, count);
        producer.await.expect("it returns");
    })
}

// may

fn on_may(body: impl FnOnce() + Send + 'static) -> Duration {
    let timed = move || {
        let started = Instant::now();
        body();
        started.elapsed()
    };
    // SAFETY: what runs in it keeps no thread-local over a switch.
    unsafe { may::coroutine::spawn(timed) }.join().expect("it returns")
}

fn may_yield(count: u64) -> Duration {
    on_may(move || {
        // SAFETY: as in `on_may`.
        let other = unsafe {
            may::coroutine::spawn(move || (0..count / 2).for_each(|_| may::coroutine::yield_now()))
        };
        (0..count / 2).for_each(|_| may::coroutine::yield_now());
        other.join().expect("it returns");
    })
}

fn may_spawn(count: u64) -> Duration {
    on_may(move || {
        for n in 0..count {
            // SAFETY: as in `on_may`.
            unsafe { may::coroutine::spawn(move || black_box(n)) }.join().expect("it returns");
        }
    })
}

fn may_ping_pong(count: u64) -> Duration {
    on_may(move || {
        // It has no bounded channel; an unbounded one has less to do.
        let (ping, receive_ping) = may::sync::mpsc::channel();
        let (pong, receive_pong) = may::sync::mpsc::channel();
        // SAFETY: as in `on_may`.
        let other = unsafe {
            may::coroutine::spawn(move || {
                receive_ping.iter().for_each(|n: u64| pong.send(n).expect("it is read"))
            })
        };
        for n in 0..count {
            ping.send(n).expect("it is read");
            receive_pong.recv().expect("it is sent");
        }
        drop(ping);
        other.join().expect("it returns");
    })
}

// std

fn time(body: impl FnOnce()) -> Duration {
    let started = Instant::now();
    body();
    started.elapsed()
}

fn std_yield(count: u64) -> Duration {
    time(|| {
        std::thread::scope(|s| {
            s.spawn(|| (0..count / 2).for_each(|_| std::thread::yield_now()));
            (0..count / 2).for_each(|_| std::thread::yield_now());
        });
    })
}

fn std_spawn(count: u64) -> Duration {
    time(|| (0..count).for_each(|n| drop(std::thread::spawn(move || black_box(n)).join())))
}

fn std_ping_pong(count: u64) -> Duration {
    let (ping, receive_ping) = std::sync::mpsc::sync_channel(1);
    let (pong, receive_pong) = std::sync::mpsc::sync_channel(1);
    let other =
        std::thread::spawn(move || receive_ping.iter().for_each(|n: u64| pong.send(n).expect("it is read")));
    let elapsed = time(|| {
        for n in 0..count {
            ping.send(n).expect("it is read");
            receive_pong.recv().expect("it is sent");
        }
    });
    drop(ping);
    other.join().expect("it returns");
    elapsed
}

fn std_stream(count: u64) -> Duration {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1024);
    let producer = std::thread::spawn(move || (0..count).for_each(|n| sender.send(n).expect("it is read")));
    let elapsed = time(|| assert_eq!(receiver.iter().count() as u64, count));
    producer.join().expect("it returns");
    elapsed
}
