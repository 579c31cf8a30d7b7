//! A thousand processes that are killed at random while they send and receive.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use ropewalk::ipc::Segment;
use ropewalk::ipc::ring::{self, Receiver, Sender};
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
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    /// The number of each worker, from when it works.
    state: Segment<AtomicU32>,
    index: usize,
    seed: u64,
}

/// Sends and receives, in place and by copies, waiting or not, for ever.
fn work(mut work: Work) {
    let (mut chance, mut seen) = (Chance::new(work.seed), Seen::default());
    work.state[work.index].store(std::process::id(), Release);
    for n in 0.. {
        let message = message(work.seed, n);
        let limit = std::time::Duration::from_micros(50);
        match chance.below(6) {
            0 => drop(work.sender.try_send(&message)),
            1 => drop(work.sender.send_timeout(&message, limit)),
            2 => {
                if let Ok(mut loan) = work.sender.try_loan() {
                    loan.write(&message);
                    if chance.below(5) > 0 {
                        loan.publish();
                    }
                }
            }
            3 => drop(work.receiver.try_recv().map(|message| seen.check(message))),
            4 => drop(work.receiver.recv_timeout(limit).map(|message| seen.check(message))),
            _ => drop(work.receiver.try_recv_ref().map(|message| seen.check(message.read()))),
        }
    }
}

#[test]
fn a_thousand_kills() {
    guarded(|| {
        let mut chance = Chance::new(0x9e37_79b9_7f4a_7c15);
        let (mut sender, mut receiver) = ring::mpmc::<Message>(CAPACITY).unwrap();
        let state = Segment::<AtomicU32>::new(WORKERS).unwrap();
        let start = |sender: &Sender<Message>, receiver: &Receiver<Message>, index: usize, seed: u64| {
            state[index].store(0, Release);
            let (sender, receiver, state) = (sender.clone(), receiver.clone(), state.clone());
            process::spawn(work, Work { sender, receiver, state, index, seed }).unwrap()
        };
        let mut workers: Vec<Option<JoinHandle<()>>> =
            (0..WORKERS).map(|index| Some(start(&sender, &receiver, index, chance.next()))).collect();
        let mut seen = Seen::default();
        for round in 0..KILLS {
            let index = chance.below(WORKERS as u64) as usize;
            until(|| state[index].load(Acquire) != 0);
            for _ in 0..chance.below(2000) {
                std::hint::spin_loop();
            }
            kill(state[index].load(Acquire));
            assert!(was_killed(workers[index].take().expect("there is always one")));
            // Who lives gets something through, now and then, in both directions.
            if chance.below(10) == 0 {
                sender.send(&message(1, round as u64)).unwrap();
                seen.check(receiver.recv().unwrap());
            }
            workers[index] = Some(start(&sender, &receiver, index, chance.next()));
        }
        for (index, worker) in workers.into_iter().flatten().enumerate() {
            until(|| state[index].load(Acquire) != 0);
            kill(state[index].load(Acquire));
            assert!(was_killed(worker));
        }
        until(|| is_alone(sender.region()));
        while let Ok(message) = receiver.try_recv() {
            seen.check(message);
        }
        // No slot is lost.
        for round in 0..3 {
            let numbers = || (0..CAPACITY as u64).map(|n| KILLS as u64 * (round + 1) + n);
            numbers().for_each(|n| sender.try_send(&message(1, n)).unwrap());
            assert!(sender.try_send(&message(1, 0)).is_err());
            numbers().for_each(|n| assert_eq!(receiver.try_recv(), Ok(message(1, n))));
            assert!(receiver.try_recv().is_err());
        }
    });
}
