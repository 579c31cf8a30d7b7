//! Many tasks on both sides of a channel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use ropewalk_sync::channel::{bounded, unbounded};

use crate::support::watched;

const CAPACITIES: [Option<usize>; 5] = [Some(0), Some(1), Some(2), Some(64), None];
const MESSAGES: usize = 5_000;

#[test]
fn every_message_of_many_senders_reaches_one_of_many_receivers() {
    watched(|| {
        for capacity in CAPACITIES {
            for (senders, receivers) in [(1, 1), (4, 1), (1, 4), (4, 4)] {
                let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
                let received: Vec<usize> = thread::scope(|s| {
                    for first in 0..senders {
                        let sender = sender.clone();
                        s.spawn(move || {
                            (first..MESSAGES)
                                .step_by(senders)
                                .for_each(|message| sender.send(message).unwrap());
                        });
                    }
                    drop(sender);
                    let threads: Vec<_> = (0..receivers)
                        .map(|_| {
                            let receiver = receiver.clone();
                            s.spawn(move || receiver.iter().collect::<Vec<_>>())
                        })
                        .collect();
                    let parts: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
                    // Each sender's messages reach each receiver in the order in which they were sent.
                    for part in &parts {
                        let mut last = BTreeMap::new();
                        for &message in part {
                            assert!(
                                last.insert(message % senders, message).is_none_or(|before| before < message)
                            );
                        }
                    }
                    parts.concat()
                });
                let mut received = received;
                received.sort_unstable();
                assert!(received.into_iter().eq(0..MESSAGES), "{capacity:?} {senders}:{receivers}");
            }
        }
    });
}

#[test]
fn time_limits_under_traffic_lose_nothing() {
    watched(|| {
        for capacity in [Some(0), Some(1), None] {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let received = AtomicUsize::new(0);
            thread::scope(|s| {
                for _ in 0..2 {
                    let sender = sender.clone();
                    s.spawn(move || {
                        for message in 0..1000 {
                            let mut message = message;
                            while let Err(error) = sender.send_timeout(message, Duration::from_micros(20)) {
                                assert!(error.is_timeout());
                                message = error.into_inner();
                            }
                        }
                    });
                    let (receiver, received) = (receiver.clone(), &received);
                    s.spawn(move || {
                        loop {
                            match receiver.recv_timeout(Duration::from_micros(20)) {
                                Ok(message) => received.fetch_add(message, Relaxed),
                                Err(error) if error.is_timeout() => continue,
                                Err(_) => break,
                            };
                        }
                    });
                }
                drop(sender);
            });
            assert_eq!(received.load(Relaxed), 999 * 1000);
        }
    });
}

/// What is dropped at any moment is dropped once.
#[test]
fn messages_are_dropped_once_wherever_they_are_when_a_side_goes() {
    struct Counted(Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    watched(|| {
        for capacity in CAPACITIES {
            for stop_after in [0, 1, 7, 100] {
                let (drops, made) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
                let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
                thread::scope(|s| {
                    for _ in 0..3 {
                        let (sender, drops, made) = (sender.clone(), &drops, &made);
                        s.spawn(move || {
                            for _ in 0..200 {
                                made.fetch_add(1, Relaxed);
                                if sender.send(Counted(drops.clone())).is_err() {
                                    break;
                                }
                            }
                        });
                    }
                    drop(sender);
                    s.spawn(move || assert_eq!(receiver.iter().take(stop_after).count(), stop_after));
                });
                assert_eq!(drops.load(Relaxed), made.load(Relaxed));
            }
        }
    });
}

#[test]
fn opening_and_closing_from_many_threads_at_once() {
    watched(|| {
        for round in 0..500 {
            let (sender, receiver) = bounded(round % 2);
            let outcome = thread::scope(|s| {
                let taker = s.spawn(move || receiver.recv());
                let giver = s.spawn(move || sender.send(round));
                (giver.join().unwrap().is_ok(), taker.join().unwrap())
            });
            assert_eq!(outcome, (true, Ok(round)));

            let (sender, receiver) = bounded::<u8>(0);
            thread::scope(|s| {
                let taker = s.spawn(move || receiver.recv());
                s.spawn(move || drop(sender));
                assert!(taker.join().unwrap().is_err());
            });

            let (sender, receiver) = bounded::<u8>(0);
            thread::scope(|s| {
                let giver = s.spawn(move || sender.send(1));
                s.spawn(move || drop(receiver));
                assert!(giver.join().unwrap().is_err());
            });
        }
    });
}
