//! The producer and the consumer twice: with two locks they can wait for each other for ever, taking turns they cannot.
//! `cargo run --example deadlock`.
//!
//! With threads and locks each side may stop anywhere, so what they share is locked: the buffer, and the account of what
//! has been moved. The producer locks the buffer first, the consumer the account first: both hold one and wait for the
//! other. A deadline ends it. A consumer that is a generator has no lock to forget: it runs when it is sent something, and
//! the producer goes on when it yields.

use std::time::Duration;

use ropewalk::generator::Generator;
use ropewalk::inspect;
use ropewalk::sync::{Barrier, LazyLock, Mutex};
use ropewalk::{Elapsed, JoinHandle, coroutine, thread, timeout};

/// How long they may take before somebody looks what is the matter.
const DEADLINE: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Shop {
    buffer: Mutex<Vec<u32>>,
    account: Mutex<u32>,
}

/// Where both have one lock: a program that runs into this only now and then does so here every time.
static UNLUCKY: Barrier = Barrier::new(2);

fn produce(shop: &Shop) {
    let mut buffer = shop.buffer.lock().unwrap();
    UNLUCKY.wait();
    *shop.account.lock().unwrap() += 1;
    buffer.push(1);
}

fn consume(shop: &Shop) {
    let mut account = shop.account.lock().unwrap();
    UNLUCKY.wait();
    if shop.buffer.lock().unwrap().pop().is_some() {
        *account -= 1;
    }
}

fn with_locks() {
    static SHOP: LazyLock<Shop> = LazyLock::new(Shop::default);
    let tasks = [("producer", produce as fn(&Shop)), ("consumer", consume)].map(|(name, work)| {
        thread::Builder::new().name(name.into()).spawn(move || timeout(DEADLINE, || work(&SHOP))).unwrap()
    });
    look(&tasks);
    for (name, task) in ["producer", "consumer"].into_iter().zip(tasks) {
        match task.join().unwrap() {
            Ok(()) => println!("  {name}: done"),
            Err(Elapsed { .. }) => println!("  {name}: nothing done in {DEADLINE:?}"),
        }
    }
}

/// Prints who waits for whom, once both do.
fn look(tasks: &[JoinHandle<Result<(), Elapsed>>; 2]) {
    while !tasks.iter().any(JoinHandle::is_finished) {
        if let Some(deadlock) = inspect::deadlocks().first() {
            return print!("{deadlock}");
        }
        coroutine::yield_now();
    }
}

fn with_turns() {
    let mut buffer = Vec::new();
    let mut account = 0;
    let mut consumer = Generator::new(|yielder| {
        let mut consumed = 0;
        // What comes through the yield is the consumer's alone, until the next one.
        while let Some(item) = yielder.yield_(consumed) {
            consumed += item;
        }
    });
    consumer.next();
    for item in 1..=5 {
        buffer.push(item);
        account += item;
        let consumed = consumer.send(buffer.pop().unwrap()).unwrap().yielded().unwrap();
        assert_eq!(consumed, account);
    }
    println!("  produced and consumed: {account}; no lock, so nothing to wait for");
}

pub(crate) fn main() {
    ropewalk::run(|| {
        println!("two threads and two locks:");
        with_locks();
        println!("the same by turns, in one:");
        with_turns();
    });
}
