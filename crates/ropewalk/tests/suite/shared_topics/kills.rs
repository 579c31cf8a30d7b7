//! A thousand processes that are killed at random while they publish and receive.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use ropewalk::ipc::Segment;
use ropewalk::ipc::topic::{Subscription, Topic, TryRecvError};
use ropewalk::{JoinHandle, process};
use serde::{Deserialize, Serialize};

use crate::shared::{Chance, is_alone, kill, was_killed};
use crate::support::messages::{Message, Seen, message};
use crate::support::{guarded, until};

const KILLS: usize = 1000;
const WORKERS: usize = 3;
const CAPACITY: usize = 8;

#[derive(Serialize, Deserialize)]
struct Work {
    topic: Topic<Message>,
    subscription: Subscription<Message>,
    /// The number of each worker, from when it works.
    state: Segment<AtomicU32>,
    index: usize,
    seed: u64,
}

/// Publishes and receives, in place and by copies, waiting or not, for ever.
fn work(mut work: Work) {
    let (mut chance, mut seen) = (Chance::new(work.seed), Seen::default());
    work.state[work.index].store(std::process::id(), Release);
    for n in 0.. {
        let message = message(work.seed, n);
        let limit = Duration::from_micros(50);
        match chance.below(6) {
            0 | 1 => _ = work.topic.publish(&message),
            2 => {
                if let Ok(mut loan) = work.topic.loan() {
                    loan.write(&message);
                    if chance.below(5) > 0 {
                        loan.publish();
                    }
                }
            }
            3 => drop(work.subscription.try_recv().map(|message| seen.check(message))),
            4 => drop(work.subscription.recv_timeout(limit).map(|message| seen.check(message))),
            _ => {
                (work.subscription, seen) = (work.topic.subscribe(), Seen::default());
            }
        }
    }
}

#[test]
fn a_thousand_kills() {
    guarded(|| {
        let mut chance = Chance::new(0x9e37_79b9_7f4a_7c15);
        let topic = Topic::<Message>::builder().capacity(CAPACITY).history(3).build().unwrap();
        let state = Segment::<AtomicU32>::new(WORKERS).unwrap();
        let start = |index: usize, seed: u64| {
            state[index].store(0, Release);
            let (topic, subscription, state) = (topic.clone(), topic.subscribe(), state.clone());
            process::spawn(work, Work { topic, subscription, state, index, seed }).unwrap()
        };
        let mut workers: Vec<Option<JoinHandle<()>>> =
            (0..WORKERS).map(|index| Some(start(index, chance.next()))).collect();
        let (mut seen, mut subscription) = (Seen::default(), topic.subscribe());
        for round in 0..KILLS {
            let index = chance.below(WORKERS as u64) as usize;
            until(|| state[index].load(Acquire) != 0);
            for _ in 0..chance.below(2000) {
                std::hint::spin_loop();
            }
            kill(state[index].load(Acquire));
            assert!(was_killed(workers[index].take().expect("there is always one")));
            // Who lives gets something through, whoever has died with a slot, and sees nothing that is torn.
            if chance.below(10) == 0 {
                until(|| topic.publish(&message(1, round as u64)).is_ok());
            }
            for _ in 0..CAPACITY {
                let _ = subscription.recv_timeout(Duration::ZERO).map(|message| seen.check(message));
            }
            workers[index] = Some(start(index, chance.next()));
        }
        for (index, worker) in workers.into_iter().flatten().enumerate() {
            until(|| state[index].load(Acquire) != 0);
            kill(state[index].load(Acquire));
            assert!(was_killed(worker));
        }
        until(|| is_alone(topic.region()));
        loop {
            match subscription.try_recv() {
                Ok(message) => seen.check(message),
                Err(TryRecvError::Lagged(_)) => {}
                Err(_) => break,
            }
        }
        // No slot is lost.
        let loans: Vec<_> = (0..CAPACITY).map(|_| topic.loan().unwrap()).collect();
        drop(loans);
        let mut subscription = topic.subscribe();
        while subscription.try_recv().is_ok() {}
        for round in 0..3 {
            let numbers = || (0..CAPACITY as u64).map(|n| KILLS as u64 * (round + 1) + n);
            numbers().for_each(|n| topic.publish(&message(1, n)).unwrap());
            numbers().for_each(|n| assert_eq!(subscription.try_recv(), Ok(message(1, n))));
            assert!(subscription.try_recv().is_err());
        }
    });
}
