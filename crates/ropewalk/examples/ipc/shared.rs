//! Memory that processes share, and what stands in it: locks, a ring, a topic; and values that are sent.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ropewalk::ipc::ring::{self, One};
use ropewalk::ipc::topic::{Subscription, Topic};
use ropewalk::ipc::{self, Mutex, Region, Segment};
use ropewalk::process;

use super::Result;

/// The same words in every process: no copy, no order but what the words themselves have.
pub(crate) fn segment() -> Result<String> {
    let words = Segment::<AtomicU64>::new(1)?;
    let count = |words: Segment| {
        for _ in 0..1000 {
            words[0].fetch_add(1, Relaxed);
        }
    };
    let children = [process::spawn(count, words.clone())?, process::spawn(count, words.clone())?];
    for child in children {
        child.join()?;
    }
    Ok(format!("two processes have counted to {}", words[0].load(Relaxed)))
}

/// A value is never half changed, even where its owner dies with the lock.
pub(crate) fn locks() -> Result<String> {
    let region = Region::new(4096)?;
    let balances = Mutex::new_in(&region, [100_i64, 0])?;
    let dies = |balances: Mutex<[i64; 2]>| -> () {
        let mut balances = balances.lock().expect("nobody has died in it yet");
        balances[0] -= 30;
        std::process::exit(1); // the other half never comes
    };
    let died = process::spawn(dies, balances.clone())?.join().is_err();
    let balances = balances.lock().unwrap_err().into_inner(); // an error that says so, with the lock in it
    Ok(format!("its owner has died: {died}; the balances are {:?}", *balances))
}

/// A notice board: everybody reads every notice. One who was asleep while more came than fit on it knows how many it missed.
pub(crate) fn topic() -> Result<String> {
    let board = Topic::<u32>::builder().capacity(4).history(1).build()?;
    board.publish(&1)?;
    let read = |mut board: Subscription<u32>| {
        let last = board.iter().last();
        (last, board.missed())
    };
    let awake = process::spawn(read, board.subscribe())?;
    let asleep = board.subscribe();
    for notice in 2..=10 {
        board.publish(&notice)?; // never waits, whoever sleeps
    }
    let late = process::spawn(read, asleep)?;
    drop(board); // the end, for all who read
    let (last, _) = awake.join()?;
    let (also, missed) = late.join()?;
    Ok(format!("the last notice is {last:?} for one, and {also:?} for one who slept and missed {missed}"))
}

/// Messages that are written and read where they stand.
pub(crate) fn ring() -> Result<String> {
    let (sender, mut receiver) = ring::spsc::<[u64; 8]>(16)?;
    let count = |mut sender: ring::Sender<[u64; 8], One>| {
        for number in 1..=1000 {
            sender.send(&[number; 8]).expect("somebody receives");
        }
    };
    let child = process::spawn(count, sender)?;
    let mut sum = 0;
    // Until the sender has gone.
    while let Ok(message) = receiver.recv() {
        sum += message[0];
    }
    child.join()?;
    Ok(format!("1000 messages through 16 slots, {sum} in all"))
}

/// Whatever serde can send.
pub(crate) fn channel() -> Result<String> {
    let (orders, to_cook) = ipc::channel::<(String, u32)>(4096)?;
    let (dishes, served) = ipc::channel::<String>(4096)?;
    let cook = |(orders, dishes): (ipc::Receiver<(String, u32)>, ipc::Sender<String>)| {
        for order in orders {
            let (dish, count) = order.expect("an order");
            (0..count).for_each(|_| dishes.send(dish.clone()).expect("somebody eats"));
        }
    };
    let child = process::spawn(cook, (to_cook, dishes))?;
    orders.send(("soup".into(), 2))?;
    orders.send(("pie".into(), 1))?;
    drop(orders); // the cook goes home
    let dishes = served.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    child.join()?;
    Ok(dishes.join(", "))
}
