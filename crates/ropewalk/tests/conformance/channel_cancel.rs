//! Channels whose tasks are cancelled: nothing is lost and nothing comes twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use ropewalk::channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use ropewalk_sync::park::WaitReason::{ChannelReceive, ChannelRendezvous, ChannelSend};

use crate::support::{End, Numbers, elapse, let_others_run, on_every_plan, swallow};

#[test]
fn a_cancelled_receive_takes_no_message() {
    on_every_plan(|plans| {
        for capacity in [Some(0), Some(1), None] {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let cancelled = receiver.clone();
            let cancelled = plans.waiting(ChannelReceive, move || cancelled.recv());
            let other = plans.waiting(ChannelReceive, move || receiver.recv());
            cancelled.cancel();
            assert_eq!(cancelled.join(), End::Cancelled);
            assert_eq!(sender.try_send(1), Ok(()));
            assert_eq!(other.value(), Ok(1));
        }
    });
}

#[test]
fn the_message_of_a_cancelled_send_does_not_arrive() {
    on_every_plan(|plans| {
        for (capacity, reason) in [(0, ChannelRendezvous), (1, ChannelSend)] {
            let (sender, receiver) = bounded(capacity);
            let message = Arc::new(());
            (0..capacity).for_each(|_| sender.send(Arc::default()).unwrap());
            let (cancelled, its) = (sender.clone(), message.clone());
            let cancelled = plans.waiting(reason, move || cancelled.send(its).is_ok());
            let (other, last) = (sender.clone(), Arc::new(()));
            let its = last.clone();
            let other = plans.waiting(reason, move || other.send(its).is_ok());
            cancelled.cancel();
            assert_eq!(cancelled.join(), End::Cancelled);
            assert_eq!(Arc::strong_count(&message), 1, "it was dropped");
            (0..capacity).for_each(|_| drop(receiver.recv()));
            assert!(Arc::ptr_eq(&receiver.recv().unwrap(), &last), "the place went to the next in the queue");
            assert!(other.value());
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        }
    });
}

#[test]
fn what_needs_no_wait_is_done_in_spite_of_a_cancellation() {
    on_every_plan(|plans| {
        let (sender, receiver) = bounded(1);
        let task = plans.waiting(ChannelReceive, move || {
            swallow(|| receiver.recv());
            sender.send(1).unwrap();
            let received = receiver.recv();
            (received, sender.send(2).is_ok())
        });
        task.cancel();
        assert_eq!(task.join(), End::Returned((Ok(1), true)));
    });
}

#[test]
fn a_cancelled_task_unwinds_from_every_wait_anew() {
    on_every_plan(|plans| {
        let (_sender, receiver) = unbounded::<()>();
        let task = plans.waiting(ChannelReceive, move || {
            for _ in 0..3 {
                let wait = || receiver.recv();
                swallow(wait);
            }
            let _ = receiver.recv();
        });
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
    });
}

#[test]
fn a_destructor_of_a_cancelled_task_hears_of_it_as_an_error() {
    struct Farewell(Sender<u8>, Receiver<u8>, Arc<AtomicUsize>);

    impl Drop for Farewell {
        fn drop(&mut self) {
            let refused = self.0.send(2).is_err_and(|error| error.into_inner() == 2);
            let taken = self.1.recv() == Ok(1);
            let empty = self.1.recv().is_err();
            self.2.store(usize::from(refused) + usize::from(taken) + usize::from(empty), Relaxed);
        }
    }

    on_every_plan(|plans| {
        let right = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = bounded(1);
        sender.send(1).unwrap();
        let farewell = Farewell(sender.clone(), receiver.clone(), right.clone());
        let task = plans.waiting(ChannelSend, move || {
            let farewell = farewell;
            farewell.0.send(3)
        });
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        assert_eq!(right.load(Relaxed), 3);
        drop((sender, receiver));
    });
}

#[test]
fn an_elapsed_time_limit_leaves_the_channel_as_it_was() {
    on_every_plan(|_| {
        let (sender, receiver) = bounded(1);
        elapse(|| receiver.recv());
        sender.send(1).unwrap();
        elapse(|| sender.send(2));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1]);
    });
}

/// Messages by number and by sum.
#[derive(Default)]
struct Account([AtomicU64; 2]);

impl Account {
    fn enter(&self, message: u64) {
        self.0[0].fetch_add(1, Relaxed);
        self.0[1].fetch_add(message, Relaxed);
    }

    fn balance(&self) -> [u64; 2] {
        [self.0[0].load(Relaxed), self.0[1].load(Relaxed)]
    }
}

/// Senders and receivers that are cancelled at any moment: what was sent was received, or is still there.
#[test]
fn no_message_is_lost_or_doubled_by_cancellations() {
    on_every_plan(|plans| {
        for (round, capacity) in [Some(0), Some(1), Some(4), None].into_iter().cycle().take(4).enumerate() {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let (sent, received) = (Arc::new(Account::default()), Arc::new(Account::default()));
            let mut tasks = Vec::new();
            for n in 0..3 {
                let (sender, sent) = (sender.clone(), sent.clone());
                tasks.push(plans.spawn(move || {
                    // Not for ever: an unbounded send has no wait at which a cancellation could reach it.
                    for message in (n..10_000_u64).step_by(3) {
                        sender.send(message).expect("the test keeps a receiver");
                        sent.enter(message);
                    }
                }));
                let (receiver, received) = (receiver.clone(), received.clone());
                tasks.push(plans.spawn(move || receiver.iter().for_each(|message| received.enter(message))));
            }
            let mut numbers = Numbers(round as u64);
            while !tasks.is_empty() {
                (0..numbers.below(6)).for_each(|_| let_others_run());
                let task = tasks.swap_remove(numbers.below(tasks.len() as u64) as usize);
                task.cancel();
                assert!(matches!(task.join(), End::Cancelled | End::Returned(())));
            }
            receiver.try_iter().for_each(|message| received.enter(message));
            assert_eq!(sent.balance(), received.balance(), "capacity {capacity:?}, round {round}");
        }
    });
}
