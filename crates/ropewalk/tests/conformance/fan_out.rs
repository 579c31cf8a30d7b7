//! `oneshot`, `watch` and `broadcast`: one message, the latest value, every message to all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ropewalk::channel::{self, select};
use ropewalk::sync::broadcast::{self, Policy};
use ropewalk::sync::{oneshot, watch};
use ropewalk_sync::park::WaitReason::{
    BroadcastReceive, BroadcastSend, ChannelClosed, ChannelReceive, Select, WatchChange,
};

use crate::support::{End, on_every_plan};

#[test]
fn one_message_arrives_or_the_end_does() {
    on_every_plan(|plans| {
        let (sender, receiver) = oneshot::channel();
        let task = plans.waiting(ChannelReceive, move || receiver.recv());
        assert_eq!(sender.send(1), Ok(()));
        assert_eq!(task.value(), Ok(1));

        let (sender, receiver) = oneshot::channel::<u8>();
        let task = plans.waiting(ChannelReceive, move || receiver.recv());
        drop(sender);
        assert!(task.value().is_err());

        let (sender, receiver) = oneshot::channel();
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.send(2), Err(2), "it came back");
    });
}

#[test]
fn who_makes_a_message_learns_that_nobody_waits_for_it() {
    on_every_plan(|plans| {
        let (sender, receiver) = oneshot::channel::<u8>();
        let task = plans.waiting(ChannelClosed, move || sender.closed());
        task.disturb();
        drop(receiver);
        task.value();
    });
}

#[test]
fn an_answer_is_an_operation_of_a_select() {
    on_every_plan(|plans| {
        let (sender, receiver) = oneshot::channel();
        let task = plans.waiting(Select, move || {
            select! {
                recv(receiver.as_channel()) -> message => message,
                recv(channel::never()) -> message => message,
            }
        });
        assert_eq!(sender.send(3), Ok(()));
        assert_eq!(task.value(), Ok(3));
    });
}

#[test]
fn a_watcher_sees_the_latest_value_and_waits_for_the_next() {
    on_every_plan(|plans| {
        let (sender, mut receiver) = watch::channel(0);
        assert_eq!(receiver.has_changed(), Ok(false));
        for n in 1..=3 {
            sender.send(n).unwrap();
        }
        assert_eq!(receiver.has_changed(), Ok(true));
        assert_eq!((*receiver.borrow(), receiver.borrow().has_changed()), (3, true));
        assert_eq!(receiver.changed(), Ok(()));
        assert_eq!((*receiver.borrow(), receiver.has_changed()), (3, Ok(false)));
        let held = receiver.borrow();
        let task = plans.waiting(WatchChange, move || receiver.wait_for(|n| *n == 5).map(|value| *value));
        sender.send(4).unwrap();
        sender.send(5).unwrap();
        assert_eq!(task.value(), Ok(5));
        assert_eq!(*held, 3, "a value that is held stays what it was");
        assert!(sender.is_closed());
        assert!(sender.send(6).is_err());
        assert_eq!((*sender.send_replace(7), *sender.borrow()), (5, 7));
    });
}

#[test]
fn the_end_of_one_side_of_a_watch_reaches_the_other() {
    on_every_plan(|plans| {
        let (sender, mut receiver) = watch::channel(0);
        let mut other = receiver.clone();
        let task = plans.waiting(WatchChange, move || other.changed());
        sender.send(1).unwrap();
        assert_eq!(task.value(), Ok(()));
        drop(sender);
        assert_eq!(receiver.changed(), Ok(()), "the last value is still seen");
        assert!(receiver.changed().is_err() && receiver.has_changed().is_err());

        let (sender, receiver) = watch::channel(0);
        let again = sender.subscribe();
        assert!(again.same_channel(&receiver) && sender.receiver_count() == 2);
        let task = plans.waiting(WatchChange, move || sender.closed());
        drop((receiver, again));
        task.value();
    });
}

#[test]
fn a_cancelled_watcher_has_seen_nothing() {
    on_every_plan(|plans| {
        let (sender, receiver) = watch::channel(0);
        let receiver = Arc::new(ropewalk::sync::Mutex::new(receiver));
        let its = receiver.clone();
        let task = plans.waiting(WatchChange, move || its.lock().unwrap().changed());
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        sender.send(1).unwrap();
        assert_eq!(receiver.lock().unwrap().changed(), Ok(()));
    });
}

#[test]
fn every_receiver_gets_every_message_in_order() {
    on_every_plan(|plans| {
        for policy in [Policy::DropOldest, Policy::Block, Policy::Disconnect] {
            let (sender, receiver) = broadcast::channel_with(100, policy);
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    let mut receiver = sender.subscribe();
                    plans.spawn(move || {
                        let mut seen = Vec::new();
                        while let Ok(n) = receiver.recv() {
                            seen.push(n);
                        }
                        (seen, receiver.recv())
                    })
                })
                .collect();
            drop(receiver);
            for n in 0..100 {
                assert_eq!(sender.send(n).unwrap(), 10);
            }
            drop(sender);
            for task in tasks {
                assert_eq!(task.value(), ((0..100).collect(), Err(broadcast::RecvError::Closed)));
            }
        }
    });
}

#[test]
fn a_lagging_receiver_is_told_what_it_missed() {
    on_every_plan(|_| {
        let (sender, mut receiver) = broadcast::channel(3);
        let mut quick = sender.subscribe();
        for n in 0..5 {
            sender.send(n).unwrap();
            assert_eq!(quick.try_recv(), Ok(n));
        }
        assert_eq!((sender.len(), receiver.len(), quick.len()), (3, 3, 0));
        assert_eq!(receiver.recv(), Err(broadcast::RecvError::Lagged(2)));
        assert_eq!([receiver.recv(), receiver.recv(), receiver.recv()], [Ok(2), Ok(3), Ok(4)]);
        assert_eq!(receiver.try_recv(), Err(broadcast::TryRecvError::Empty));
        assert!(sender.is_empty(), "what all have received is not kept");
    });
}

#[test]
fn a_blocking_broadcast_waits_for_the_slowest() {
    on_every_plan(|plans| {
        let (sender, mut slow) = broadcast::channel_with(1, Policy::Block);
        let mut quick = sender.subscribe();
        sender.send(1).unwrap();
        assert_eq!(quick.recv(), Ok(1));
        let sends = sender.clone();
        let task = plans.waiting(BroadcastSend, move || sends.send(2));
        assert_eq!(slow.recv(), Ok(1));
        assert_eq!(task.value(), Ok(2));
        assert_eq!(quick.recv(), Ok(2));
        let sends = sender.clone();
        let task = plans.waiting(BroadcastSend, move || sends.send(3));
        drop(slow);
        assert_eq!(task.value(), Ok(1), "who goes is waited for no more");
        let sends = sender.clone();
        let task = plans.waiting(BroadcastSend, move || sends.send(4).is_err());
        drop(quick);
        assert!(task.value(), "nobody is left");
    });
}

#[test]
fn a_slow_receiver_is_disconnected_where_the_policy_says_so() {
    on_every_plan(|_| {
        let (sender, mut slow) = broadcast::channel_with(2, Policy::Disconnect);
        let mut quick = sender.subscribe();
        for n in 0..3 {
            sender.send(n).unwrap();
            assert_eq!(quick.recv(), Ok(n));
        }
        assert_eq!(slow.recv(), Err(broadcast::RecvError::TooSlow));
        assert_eq!(slow.try_recv(), Err(broadcast::TryRecvError::TooSlow));
        assert_eq!((sender.receiver_count(), sender.len(), slow.len()), (1, 0, 0));
        drop(slow);
        assert_eq!(sender.receiver_count(), 1);
    });
}

#[test]
fn a_cancelled_broadcast_has_sent_nothing_and_a_cancelled_receive_took_nothing() {
    on_every_plan(|plans| {
        let (sender, mut receiver) = broadcast::channel_with(1, Policy::Block);
        sender.send(1).unwrap();
        let sends = sender.clone();
        let task = plans.waiting(BroadcastSend, move || sends.send(2));
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        assert_eq!((receiver.recv(), receiver.try_recv()), (Ok(1), Err(broadcast::TryRecvError::Empty)));
        let mut other = sender.subscribe();
        let task = plans.waiting(BroadcastReceive, move || other.recv());
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        sender.send(3).unwrap();
        assert_eq!(receiver.recv(), Ok(3));
        assert!(sender.is_empty());
    });
}

#[test]
fn messages_are_cloned_for_all_but_the_last_and_none_is_kept() {
    struct Counted(Arc<AtomicUsize>);
    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Relaxed);
            Self(self.0.clone())
        }
    }
    on_every_plan(|_| {
        let clones = Arc::new(AtomicUsize::new(0));
        let (sender, mut first) = broadcast::channel(4);
        let mut second = sender.subscribe();
        assert!(sender.send(Counted(clones.clone())).is_ok());
        drop(first.recv());
        drop(second.recv());
        assert_eq!((clones.load(Relaxed), Arc::strong_count(&clones)), (1, 1));
        assert!(sender.send(Counted(clones.clone())).is_ok());
        drop((first, second));
        assert_eq!(Arc::strong_count(&clones), 1, "what nobody will receive is dropped");
        assert!(sender.send(Counted(clones.clone())).is_err());
    });
}
