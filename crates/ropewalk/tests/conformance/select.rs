//! Selects: what is chosen, what is promised, who meets whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use ropewalk::channel::{
    Receiver, RecvError, Select, SendError, Sender, TryRecvError, TrySendError, after, bounded, never,
    select, select_biased, unbounded,
};
use ropewalk_sync::park::WaitReason::{ChannelReceive, ChannelRendezvous, ChannelSend, Select as Selecting};

use crate::support::{LONG, on_every_plan, until};

type Take = fn(&Receiver<u8>) -> Option<u8>;

fn both<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    capacity.map_or_else(unbounded, bounded)
}

const CAPACITIES: [Option<usize>; 3] = [Some(0), Some(1), None];

#[test]
fn a_select_that_waits_is_served_by_whoever_comes_first() {
    on_every_plan(|plans| {
        for capacity in CAPACITIES {
            let (sender, receiver) = both(capacity);
            let (_other, silent) = bounded::<u8>(1);
            let task = plans.waiting(Selecting, move || {
                select! {
                    recv(silent) -> _ => unreachable!(),
                    recv(receiver) -> message => message,
                }
            });
            assert_eq!(sender.try_send(7), Ok(()));
            assert_eq!(task.value(), Ok(7));
            assert!(sender.is_empty());
        }
    });
}

#[test]
fn a_place_that_becomes_free_is_the_first_select_s() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(1);
        sender.send(0).unwrap();
        let (first, second) = (sender.clone(), sender.clone());
        let first = plans.waiting(Selecting, move || select! { send(first, 1) -> sent => sent });
        let second = plans.waiting(ChannelSend, move || second.send(2));
        assert_eq!(receiver.recv(), Ok(0));
        assert_eq!(first.value(), Ok(()));
        assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)), "the place was promised, and then used");
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(second.value(), Ok(()));
        assert_eq!(receiver.recv(), Ok(2));
    });
}

#[test]
fn selects_of_both_sides_meet_without_capacity() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(0);
        let waits = receiver.clone();
        let task = plans.waiting(Selecting, move || select! { recv(waits) -> message => message });
        select! { send(sender, 1) -> sent => assert_eq!(sent, Ok(())) }
        assert_eq!(task.value(), Ok(1));

        let task = plans.waiting(Selecting, move || select! { send(sender, 2) -> sent => sent });
        select! { recv(receiver) -> message => assert_eq!(message, Ok(2)) }
        assert_eq!(task.value(), Ok(()));
    });
}

#[test]
fn a_select_meets_who_waits_for_one_channel_alone() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(0);
        let waits = receiver.clone();
        let task = plans.waiting(ChannelReceive, move || waits.recv());
        select! { send(sender, 1) -> sent => assert_eq!(sent, Ok(())) }
        assert_eq!(task.value(), Ok(1));

        let sends = sender.clone();
        let task = plans.waiting(ChannelRendezvous, move || sends.send(2));
        select! { recv(receiver) -> message => assert_eq!(message, Ok(2)) }
        assert_eq!(task.value(), Ok(()));

        let takes: [Take; 3] = [|r| r.recv().ok(), |r| r.try_recv().ok(), |r| r.try_iter().next()];
        for take in takes {
            let sends = sender.clone();
            let task = plans.waiting(Selecting, move || select! { send(sends, 3) -> sent => sent });
            assert_eq!(take(&receiver), Some(3));
            assert_eq!(task.value(), Ok(()));
        }
        let waits = receiver.clone();
        let task = plans.waiting(Selecting, move || select! { recv(waits) -> message => message });
        assert_eq!(sender.try_send(4), Ok(()));
        assert_eq!(task.value(), Ok(4));
    });
}

#[test]
fn one_select_does_not_meet_itself() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(0);
        let (own_sender, own_receiver) = (sender.clone(), receiver.clone());
        let task = plans.waiting(Selecting, move || {
            select! {
                send(own_sender, 1) -> sent => sent.map(|()| 0).map_err(|_| ()),
                recv(own_receiver) -> message => message.map_err(|_| ()),
            }
        });
        select! {
            send(sender, 2) -> sent => { assert_eq!(sent, Ok(())); assert_eq!(task.value(), Ok(2)) }
            recv(receiver) -> message => { assert_eq!(message, Ok(1)); assert_eq!(task.value(), Ok(0)) }
        }
    });
}

#[test]
fn the_end_of_the_other_side_wakes_a_select() {
    on_every_plan(|plans| {
        for capacity in CAPACITIES {
            let (sender, receiver) = both::<u8>(capacity);
            let task = plans.waiting(Selecting, move || select! { recv(receiver) -> message => message });
            drop(sender);
            assert_eq!(task.value(), Err(RecvError));
        }
        for capacity in [0, 1] {
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|n| sender.send(n).unwrap());
            let task = plans.waiting(Selecting, move || select! { send(sender, 7) -> sent => sent });
            drop(receiver);
            assert_eq!(task.value(), Err(SendError(7)), "the message came back");
        }
    });
}

#[test]
fn what_is_disconnected_is_ready() {
    on_every_plan(|_| {
        let (sender, receiver) = bounded::<u8>(0);
        let (other, gone) = bounded::<u8>(0);
        drop((other, receiver));
        select! {
            recv(gone) -> message => assert_eq!(message, Err(RecvError)),
            default => panic!("it is ready"),
        }
        select! {
            send(sender, 1) -> sent => assert_eq!(sent, Err(SendError(1))),
            default(LONG) => panic!("it is ready"),
        }
    });
}

#[test]
fn nothing_ready_is_the_default() {
    on_every_plan(|_| {
        let (sender, receiver) = bounded::<u8>(0);
        let chosen = select! {
            recv(receiver) -> _ => "recv",
            send(sender, 1) -> _ => "send",
            default => "default",
        };
        assert_eq!(chosen, "default");
        let chosen = select! {
            recv(receiver) -> _ => "recv",
            default(Duration::from_millis(1)) => "late",
        };
        assert_eq!(chosen, "late");
        select! { default => {} }
        let mut select = Select::new();
        assert!(select.try_select().is_err() && select.try_ready().is_err());
        assert!(select.select_timeout(Duration::from_millis(1)).is_err());
    });
}

#[test]
fn the_message_is_made_when_its_send_is_chosen() {
    on_every_plan(|_| {
        let (first, receiver) = bounded(1);
        let (full, _kept) = bounded(0);
        let made = AtomicUsize::new(0);
        let message = String::from("moved once");
        let make = |message: String| {
            made.fetch_add(1, Relaxed);
            message
        };
        // Both arms move the same message, and one of them does.
        select! {
            send(full, make(message)) -> _ => unreachable!(),
            send(first, make(message)) -> sent => assert_eq!(sent, Ok(())),
        }
        assert_eq!(made.load(Relaxed), 1);
        assert_eq!(receiver.recv().as_deref(), Ok("moved once"));
    });
}

#[test]
fn arms_break_continue_and_return_as_they_stand() {
    fn first(receiver: &Receiver<u32>) -> Option<u32> {
        let mut odd = 0;
        loop {
            select! {
                recv(receiver) -> message => match message {
                    Ok(n) if n % 2 == 1 => { odd += 1; continue }
                    Ok(n) => return Some(n + odd),
                    Err(_) => break,
                },
                default => return Some(0),
            }
        }
        None
    }
    on_every_plan(|_| {
        let (sender, receiver) = unbounded();
        assert_eq!(first(&receiver), Some(0));
        for n in [1, 3, 10] {
            sender.send(n).unwrap();
        }
        assert_eq!(first(&receiver), Some(12));
        drop(sender);
        assert_eq!(first(&receiver), None);
    });
}

#[test]
fn every_ready_operation_comes_up_and_the_topmost_when_biased() {
    on_every_plan(|_| {
        let channels = [(); 3].map(|()| unbounded());
        let mut counts = [0; 3];
        while counts.contains(&0) {
            channels.iter().for_each(|(sender, _)| sender.send(()).unwrap());
            let mut select = Select::new();
            for (_, receiver) in channels.iter() {
                select.recv(receiver);
            }
            let operation = select.select();
            let index = operation.index();
            operation.recv(&channels[index].1).unwrap();
            counts[index] += 1;
        }
        for _ in 0..100 {
            select_biased! {
                recv(channels[2].1) -> message => message.unwrap(),
                recv(channels[0].1) -> _ => unreachable!("the last is not empty"),
                default => break,
            }
            channels[2].0.send(()).unwrap();
        }
    });
}

#[test]
fn a_removed_operation_is_not_chosen_and_numbers_stay() {
    on_every_plan(|_| {
        let channels = [(); 3].map(|()| unbounded());
        channels.iter().for_each(|(sender, _)| sender.send(()).unwrap());
        let mut select = Select::new_biased();
        let numbers = channels.each_ref().map(|(_, receiver)| select.recv(receiver));
        assert_eq!(numbers, [0, 1, 2]);
        select.remove(0);
        assert_eq!(select.try_ready(), Ok(1));
        let operation = select.clone().select();
        assert_eq!(operation.index(), 1);
        operation.recv(&channels[1].1).unwrap();
        select.remove(1);
        assert_eq!(select.ready(), 2);
        select.remove(2);
        assert!(select.try_ready().is_err());
    });
}

#[test]
fn who_watches_is_told_and_takes_nothing() {
    on_every_plan(|plans| {
        for capacity in CAPACITIES {
            let (sender, receiver) = both(capacity);
            let watched = receiver.clone();
            let task = plans.waiting(Selecting, move || {
                let mut select = Select::new();
                select.recv(&watched);
                select.ready()
            });
            let sends = plans.spawn(move || sender.send(7));
            assert_eq!(task.value(), 0);
            assert_eq!(receiver.recv(), Ok(7));
            assert_eq!(sends.value(), Ok(()));
        }
        let (sender, receiver) = bounded(0);
        let watched = sender.clone();
        let task = plans.waiting(Selecting, move || {
            let mut select = Select::new();
            select.send(&watched);
            select.ready()
        });
        let receives = plans.spawn(move || receiver.recv());
        assert_eq!(task.value(), 0);
        sender.send(1).unwrap();
        assert_eq!(receives.value(), Ok(1));
    });
}

#[test]
fn what_is_dropped_without_its_end_gives_back_what_it_was_promised() {
    on_every_plan(|plans| {
        let leave = |select: &mut Select<'_>| {
            let operation = select.select();
            let drops = std::panic::AssertUnwindSafe(move || drop(operation));
            assert!(std::panic::catch_unwind(drops).is_err(), "it says so");
        };
        let (sender, receiver) = bounded(1);
        leave_send(&sender, leave);
        assert_eq!(sender.try_send(1), Ok(()), "the place is free again");
        let waits = receiver.clone();
        let mut select = Select::new();
        select.recv(&waits);
        leave(&mut select);
        assert_eq!(receiver.try_recv(), Ok(1), "the message is nobody's again");

        // Who had been met looks for another.
        let (sender, receiver) = bounded(0);
        let task = plans.waiting(ChannelReceive, move || receiver.recv());
        leave_send(&sender, leave);
        sender.send(2).unwrap();
        assert_eq!(task.value(), Ok(2));
    });
}

fn leave_send(sender: &Sender<i32>, leave: impl Fn(&mut Select<'_>)) {
    let mut select = Select::new();
    select.send(sender);
    leave(&mut select);
}

#[test]
fn a_met_receiver_stays_until_its_message_is_made() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(0);
        let task = plans.waiting(ChannelReceive, move || receiver.recv_timeout(LONG));
        let mut select = Select::new();
        select.send(&sender);
        let operation = select.select();
        task.cancel();
        for _ in 0..10 {
            task.disturb();
            crate::support::let_others_run();
        }
        assert!(!task.is_finished(), "the sender counts on it");
        assert_eq!(operation.send(&sender, 7), Ok(()));
        assert_eq!(task.value(), Ok(7), "the result wins");
    });
}

#[test]
fn timers_are_operations() {
    on_every_plan(|plans| {
        let (_sender, silent) = unbounded::<u8>();
        let task = plans.spawn(move || {
            let timeout = after(Duration::from_millis(1));
            select! {
                recv(silent) -> _ => panic!("nobody sends"),
                recv(never::<u8>()) -> _ => panic!("never"),
                recv(timeout) -> moment => moment,
            }
        });
        assert!(task.value().unwrap() <= ropewalk::time::now());
    });
}

#[test]
fn the_end_of_a_task_is_an_operation() {
    on_every_plan(|plans| {
        let (go, wait) = bounded::<()>(0);
        let child = ropewalk::coroutine::spawn(move || wait.recv());
        let (ended, again) = (child.ended(), child.ended());
        let (_sender, silent) = unbounded::<u8>();
        let task = plans.waiting(Selecting, move || {
            select! {
                recv(silent) -> _ => panic!("nobody sends"),
                recv(ended) -> end => end.is_err(),
            }
        });
        assert_eq!(again.try_recv(), Err(TryRecvError::Empty));
        drop(go);
        assert!(task.value());
        assert!(child.is_finished());
        assert_eq!(child.ended().try_recv(), Err(TryRecvError::Disconnected));
        child.join().unwrap().unwrap_err();
        assert!(again.recv().is_err());
    });
}

#[test]
fn many_operations_of_many_tasks_lose_nothing() {
    on_every_plan(|plans| {
        const EACH: usize = 100;
        for capacity in [0, 1, 20] {
            let channels: Arc<[(Sender<usize>, Receiver<usize>)]> =
                (0..20).map(|_| bounded(capacity)).collect();
            let sum = Arc::new(AtomicUsize::new(0));
            let left = Arc::new(AtomicUsize::new(2 * EACH));
            let senders = [1, 1000].map(|unit| {
                let channels = channels.clone();
                plans.spawn(move || {
                    for _ in 0..EACH {
                        let mut select = Select::new();
                        for (sender, _) in &*channels {
                            select.send(sender);
                        }
                        let operation = select.select();
                        let index = operation.index();
                        operation.send(&channels[index].0, unit).unwrap();
                    }
                })
            });
            let receivers = [(); 2].map(|()| {
                let (channels, sum, left) = (channels.clone(), sum.clone(), left.clone());
                plans.spawn(move || {
                    while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                        let mut select = Select::new();
                        for (_, receiver) in channels.iter() {
                            select.recv(receiver);
                        }
                        let operation = select.select();
                        let index = operation.index();
                        sum.fetch_add(operation.recv(&channels[index].1).unwrap(), Relaxed);
                    }
                })
            });
            senders.into_iter().for_each(|task| task.value());
            receivers.into_iter().for_each(|task| task.value());
            assert_eq!(sum.load(Relaxed), EACH * 1001);
            assert!(channels.iter().all(|(sender, _)| sender.is_empty()));
        }
    });
}

#[test]
fn a_cancelled_select_has_taken_and_given_nothing() {
    on_every_plan(|plans| {
        for capacity in CAPACITIES {
            let (sender, receiver) = both(capacity);
            let (full, kept) = bounded(1);
            full.send(0).unwrap();
            let (waits, gives) = (receiver.clone(), full.clone());
            let message = Arc::new(());
            let its = message.clone();
            let cancelled = plans.waiting(Selecting, move || {
                select! {
                    recv(waits) -> _ => {}
                    send(gives, 1) -> _ => drop(its),
                }
            });
            let waits = receiver.clone();
            let other = plans.waiting(ChannelReceive, move || waits.recv());
            cancelled.cancel();
            assert_eq!(cancelled.join(), crate::support::End::Cancelled);
            assert_eq!(Arc::strong_count(&message), 1);
            assert_eq!(sender.try_send(7), Ok(()));
            assert_eq!(other.value(), Ok(7), "the message went to the next");
            assert_eq!(kept.try_iter().collect::<Vec<_>>(), [0]);
        }
    });
}

#[test]
fn a_cancellation_and_a_message_at_once_lose_neither() {
    on_every_plan(|plans| {
        for round in 0..50 {
            let (sender, receiver) = bounded(round % 2);
            let (_other, silent) = bounded::<u8>(0);
            let waits = receiver.clone();
            let task = plans.waiting(Selecting, move || {
                select! {
                    recv(silent) -> _ => unreachable!(),
                    recv(waits) -> message => message.unwrap(),
                }
            });
            let sends = plans.spawn(move || sender.send(1));
            task.cancel();
            match task.join() {
                crate::support::End::Returned(message) => assert_eq!(message, 1),
                _ => assert_eq!(receiver.recv(), Ok(1)),
            }
            assert_eq!(sends.value(), Ok(()));
            assert_eq!(receiver.recv(), Err(RecvError));
        }
    });
}

#[test]
fn while_nobody_looks_a_select_waits_for_all_of_its_channels() {
    on_every_plan(|plans| {
        let channels = [(); 20].map(|()| bounded::<u8>(0));
        let receivers = channels.each_ref().map(|(_, receiver)| receiver.clone());
        let task = plans.waiting(Selecting, move || {
            let mut select = Select::new();
            for receiver in &receivers {
                select.recv(receiver);
            }
            let operation = select.select();
            let index = operation.index();
            operation.recv(&receivers[index]).map(|message| (index, message))
        });
        until(|| {
            let dump = ropewalk::inspect::dump();
            let info = dump.tasks().iter().find(|info| info.id().as_u64() == task.id());
            info.is_some_and(|info| info.objects().len() == 20)
        });
        assert_eq!(channels[19].0.try_send(5), Ok(()));
        assert_eq!(task.value(), Ok((19, 5)));
    });
}
