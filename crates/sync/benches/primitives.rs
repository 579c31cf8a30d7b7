//! What the primitives cost on threads, beside std's and crossbeam's: `cargo bench -p ropewalk-sync`.
//!
//! Each figure is the median over rounds of nanoseconds per operation; the rounds of the rivals are interleaved, so a
//! change of the machine's mood meets all of them. An argument selects the lines that contain it.

use std::fmt::Display;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use ropewalk_sync::{channel, condvar, mutex, semaphore};

const ROUNDS: usize = 15;

/// A contender: its name, and what does so many operations.
type Contender<'a> = (&'a str, &'a dyn Fn(u64));

/// Measures the contenders and prints a line for each.
fn compare(title: &str, operations: u64, contenders: &[Contender<'_>]) {
    let selected = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if selected.is_some_and(|selected| !title.contains(&selected)) {
        return;
    }
    let mut rounds = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    contenders.iter().for_each(|(_, run)| run(operations / 10 + 1));
    for _ in 0..ROUNDS {
        for ((_, run), times) in contenders.iter().zip(&mut rounds) {
            let start = Instant::now();
            run(operations);
            times.push(start.elapsed().as_secs_f64() * 1e9 / operations as f64);
        }
    }
    for ((name, _), times) in contenders.iter().zip(&mut rounds) {
        times.sort_by(f64::total_cmp);
        let (least, median, most) = (times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
        println!("{title:<34} {name:<10} {median:>9.1} ns  ({least:.1} .. {most:.1})");
    }
}

/// Two threads send a number to and fro; an operation is a message each way.
macro_rules! ping_pong {
    ($pair:expr) => {
        &|operations| {
            let (to, from_main) = $pair;
            let (back, from_other) = $pair;
            thread::scope(|s| {
                s.spawn(move || from_main.iter().for_each(|n: u64| back.send(n).unwrap()));
                for n in 0..operations {
                    to.send(n).unwrap();
                    assert_eq!(from_other.recv(), Ok(n));
                }
                drop(to);
            });
        }
    };
}

/// One thread sends, another receives; an operation is a message.
macro_rules! stream {
    ($pair:expr) => {
        &|operations| {
            let (sender, receiver) = $pair;
            thread::scope(|s| {
                s.spawn(move || (0..operations).for_each(|n: u64| sender.send(n).unwrap()));
                assert_eq!(receiver.iter().count() as u64, operations);
            });
        }
    };
}

/// One thread sends to itself; an operation is a message.
macro_rules! alone {
    ($pair:expr) => {{
        let (sender, receiver) = $pair;
        move |operations| {
            for n in 0..operations {
                sender.send(n).unwrap();
                black_box(receiver.recv().unwrap());
            }
        }
    }};
}

/// An operation is a lock and an unlock.
macro_rules! lock {
    ($mutex:expr, $threads:expr) => {
        &|operations| {
            let mutex = $mutex;
            let body = || (0..operations / $threads).for_each(|_| *mutex.lock().unwrap() += 1);
            if $threads == 1 {
                body();
            } else {
                thread::scope(|s| (0..$threads).for_each(|_| drop(s.spawn(body))));
            }
            black_box(mutex.into_inner().unwrap());
        }
    };
}

/// Two threads take turns under a mutex; an operation is a turn of both.
macro_rules! turns {
    ($mutex:expr, $condvar:expr) => {
        &|operations| {
            let (turn, changed) = ($mutex, $condvar);
            let take = |own: u64| {
                for _ in 0..operations {
                    let mut turn = changed.wait_while(turn.lock().unwrap(), |turn| *turn % 2 != own).unwrap();
                    *turn += 1;
                    drop(turn);
                    changed.notify_one();
                }
            };
            thread::scope(|s| {
                s.spawn(|| take(1));
                take(0);
            });
        }
    };
}

fn main() {
    header(
        "threads, one core or two as the kernel likes",
        thread::available_parallelism().map_or(0, usize::from),
    );

    compare(
        "lock + unlock",
        1_000_000,
        &[("ropewalk", lock!(mutex::Mutex::new(0), 1)), ("std", lock!(std::sync::Mutex::new(0), 1))],
    );
    compare(
        "lock + unlock, 2 threads",
        400_000,
        &[("ropewalk", lock!(mutex::Mutex::new(0), 2)), ("std", lock!(std::sync::Mutex::new(0), 2))],
    );
    compare(
        "lock + unlock, 8 threads",
        400_000,
        &[("ropewalk", lock!(mutex::Mutex::new(0), 8)), ("std", lock!(std::sync::Mutex::new(0), 8))],
    );
    let permits = semaphore::Semaphore::new(1);
    compare(
        "semaphore acquire + release",
        1_000_000,
        &[("ropewalk", &|operations| (0..operations).for_each(|_| drop(black_box(permits.acquire()))))],
    );
    compare(
        "condvar turns",
        10_000,
        &[
            ("ropewalk", turns!(mutex::Mutex::new(0), condvar::Condvar::new())),
            ("std", turns!(std::sync::Mutex::new(0), std::sync::Condvar::new())),
        ],
    );
    channels();
}

fn channels() {
    compare(
        "send + recv, alone, bounded(64)",
        500_000,
        &[
            ("ropewalk", &alone!(channel::bounded(64))),
            ("std", &alone!(std::sync::mpsc::sync_channel(64))),
            ("crossbeam", &alone!(crossbeam_channel::bounded(64))),
        ],
    );
    compare(
        "send + recv, alone, unbounded",
        500_000,
        &[
            ("ropewalk", &alone!(channel::unbounded())),
            ("std", &alone!(std::sync::mpsc::channel())),
            ("crossbeam", &alone!(crossbeam_channel::unbounded())),
        ],
    );
    compare(
        "ping-pong, bounded(1)",
        10_000,
        &[
            ("ropewalk", ping_pong!(channel::bounded(1))),
            ("std", ping_pong!(std::sync::mpsc::sync_channel(1))),
            ("crossbeam", ping_pong!(crossbeam_channel::bounded(1))),
        ],
    );
    compare(
        "ping-pong, bounded(0)",
        10_000,
        &[
            ("ropewalk", ping_pong!(channel::bounded(0))),
            ("std", ping_pong!(std::sync::mpsc::sync_channel(0))),
            ("crossbeam", ping_pong!(crossbeam_channel::bounded(0))),
        ],
    );
    compare(
        "stream, bounded(64)",
        200_000,
        &[
            ("ropewalk", stream!(channel::bounded(64))),
            ("std", stream!(std::sync::mpsc::sync_channel(64))),
            ("crossbeam", stream!(crossbeam_channel::bounded(64))),
        ],
    );
    compare(
        "stream, unbounded",
        200_000,
        &[
            ("ropewalk", stream!(channel::unbounded())),
            ("std", stream!(std::sync::mpsc::channel())),
            ("crossbeam", stream!(crossbeam_channel::unbounded())),
        ],
    );
}

fn header(what: &str, cores: impl Display) {
    println!("{ROUNDS} rounds, {cores} cores, {what}; median (least .. most) per operation");
}
