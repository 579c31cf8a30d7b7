//! Many tasks on both sides of a channel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ropewalk::channel::{bounded, unbounded};

use crate::support::{Task, on_every_plan};

const CAPACITIES: [Option<usize>; 5] = [Some(0), Some(1), Some(2), Some(64), None];
const MESSAGES: usize = 2_000;

#[test]
fn every_message_of_many_senders_reaches_one_of_many_receivers() {
    on_every_plan(|plans| {
        for capacity in CAPACITIES {
            for (senders, receivers) in [(1, 1), (4, 1), (1, 4), (4, 4)] {
                let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
                let producers: Vec<_> = (0..senders)
                    .map(|first| {
                        let sender = sender.clone();
                        plans.spawn(move || {
                            let own = (first..MESSAGES).step_by(senders);
                            own.for_each(|message| sender.send(message).unwrap());
                        })
                    })
                    .collect();
                drop(sender);
                let consumers: Vec<_> = (0..receivers)
                    .map(|_| {
                        let receiver = receiver.clone();
                        plans.spawn(move || receiver.iter().collect::<Vec<usize>>())
                    })
                    .collect();
                producers.into_iter().for_each(Task::value);
                let parts: Vec<_> = consumers.into_iter().map(Task::value).collect();
                // Each sender's messages reach each receiver in the order in which they were sent.
                for part in &parts {
                    let mut last = BTreeMap::new();
                    for &message in part {
                        assert!(
                            last.insert(message % senders, message).is_none_or(|before| before < message)
                        );
                    }
                }
                let mut received = parts.concat();
                received.sort_unstable();
                assert!(received.into_iter().eq(0..MESSAGES), "{capacity:?} {senders}:{receivers}");
            }
        }
    });
}

#[test]
fn time_limits_under_traffic_lose_nothing() {
    on_every_plan(|plans| {
        for capacity in [Some(0), Some(1), None] {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let senders = [(); 2].map(|()| {
                let sender = sender.clone();
                plans.spawn(move || {
                    for message in 0..300 {
                        let mut message = message;
                        while let Err(error) = sender.send_timeout(message, Duration::from_micros(20)) {
                            assert!(error.is_timeout());
                            message = error.into_inner();
                        }
                    }
                })
            });
            drop(sender);
            let receivers = [(); 2].map(|()| {
                let receiver = receiver.clone();
                plans.spawn(move || {
                    let mut sum = 0_usize;
                    loop {
                        match receiver.recv_timeout(Duration::from_micros(20)) {
                            Ok(message) => sum += message,
                            Err(error) if error.is_timeout() => {}
                            Err(_) => return sum,
                        }
                    }
                })
            });
            senders.into_iter().for_each(Task::value);
            assert_eq!(receivers.into_iter().map(Task::value).sum::<usize>(), 299 * 300);
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

    on_every_plan(|plans| {
        for capacity in CAPACITIES {
            for stop_after in [0, 1, 7, 100] {
                let (drops, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
                let senders = [(); 3].map(|()| {
                    let (sender, drops, made) = (sender.clone(), drops.clone(), made.clone());
                    plans.spawn(move || {
                        for _ in 0..200 {
                            made.fetch_add(1, Relaxed);
                            if sender.send(Counted(drops.clone())).is_err() {
                                break;
                            }
                        }
                    })
                });
                drop(sender);
                let receiver = plans.spawn(move || receiver.iter().take(stop_after).count());
                assert_eq!(receiver.value(), stop_after);
                senders.into_iter().for_each(Task::value);
                assert_eq!(drops.load(Relaxed), made.load(Relaxed));
            }
        }
    });
}

#[test]
fn opening_and_closing_from_many_tasks_at_once() {
    on_every_plan(|plans| {
        for round in 0..50 {
            let (sender, receiver) = bounded(round % 2);
            let taker = plans.spawn(move || receiver.recv());
            let giver = plans.spawn(move || sender.send(round));
            assert_eq!((giver.value(), taker.value()), (Ok(()), Ok(round)));

            let (sender, receiver) = bounded::<u8>(0);
            let taker = plans.spawn(move || receiver.recv());
            plans.spawn(move || drop(sender)).value();
            assert!(taker.value().is_err());

            let (sender, receiver) = bounded::<u8>(0);
            let giver = plans.spawn(move || sender.send(1));
            plans.spawn(move || drop(receiver)).value();
            assert!(giver.value().is_err());
        }
    });
}
