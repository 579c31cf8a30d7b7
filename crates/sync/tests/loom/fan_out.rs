//! `oneshot`, `watch`, `broadcast`, `topic`.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use ropewalk_sync::broadcast::{self, Policy};
use ropewalk_sync::channel::{never, select};
use ropewalk_sync::topic::{Message, RecvError, Subscription, Topic};
use ropewalk_sync::{oneshot, watch};

use crate::support::{Task, explore, model};

/// The answer arrives or comes back; who looks for the end of the receiver finds it.
#[test]
fn an_answer_arrives_or_comes_back() {
    model(|| {
        let (sender, receiver) = oneshot::channel();
        let other = thread::spawn(move || sender.send(1));
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(other.join().unwrap(), Ok(()));
    });
    model(|| {
        let (sender, receiver) = oneshot::channel::<u8>();
        let other = thread::spawn(move || drop(receiver));
        sender.closed();
        assert!(sender.is_closed());
        other.join().unwrap();
    });
}

#[test]
fn a_watched_value_is_seen_whole() {
    model(|| {
        let (sender, mut receiver) = watch::channel(0);
        let written = Arc::new(AtomicUsize::new(0));
        let writes = written.clone();
        let other = thread::spawn(move || {
            for n in 1..=2 {
                writes.store(n, Relaxed);
                sender.send(n).unwrap();
            }
        });
        let seen = *receiver.wait_for(|n| *n == 2).unwrap();
        assert_eq!((seen, written.load(Relaxed)), (2, 2));
        assert!(receiver.changed().is_err());
        other.join().unwrap();
    });
}

#[test]
fn a_broadcast_reaches_both() {
    explore(2, || {
        let (sender, mut first) = broadcast::channel_with(1, Policy::Block);
        let mut second = sender.subscribe();
        let written = Arc::new(AtomicUsize::new(0));
        let writes = written.clone();
        let other = thread::spawn(move || {
            assert_eq!(second.recv(), Ok(1));
            assert_eq!(second.recv(), Ok(2));
        });
        let producer = thread::spawn(move || {
            for n in 1..=2 {
                writes.store(n, Relaxed);
                sender.send(n).unwrap();
            }
        });
        for n in 1..=2 {
            assert_eq!(first.recv(), Ok(n));
            assert!(written.load(Relaxed) >= n);
        }
        other.join().unwrap();
        producer.join().unwrap();
    });
}

/// A topic with room for one message, whose publishers wait.
fn narrow() -> Topic<usize> {
    Topic::builder().capacity(1).policy(Policy::Block).build()
}

/// Receives in a select, with whatever else.
fn select_from(subscription: &Subscription<usize>) -> Option<usize> {
    select! {
        recv(subscription.as_channel()) -> message => message.ok().map(Message::into_inner),
        recv(never::<u8>()) -> _ => None,
    }
}

/// What a publisher did is seen; one who waits for room is let in by the subscriber; the end is seen.
#[test]
fn a_publisher_is_let_in_and_its_messages_are_seen_whole() {
    explore(2, || {
        let topic = narrow();
        let subscription = topic.subscribe();
        let written = Arc::new(AtomicUsize::new(0));
        let writes = written.clone();
        let publisher = thread::spawn(move || {
            for n in 1..=2 {
                writes.store(n, Relaxed);
                topic.publish(n).unwrap();
            }
        });
        for n in 1..=2 {
            assert_eq!(subscription.recv().as_deref(), Ok(&n));
            assert!(written.load(Relaxed) >= n);
        }
        assert_eq!(subscription.recv(), Err(RecvError::Closed));
        publisher.join().unwrap();
    });
}

/// The slow one lets a publisher in, and the quick one, who waits already, gets its message.
#[test]
fn a_message_that_is_let_in_wakes_who_waits_for_it() {
    explore(2, || {
        let topic = narrow();
        let (slow, quick) = (topic.subscribe(), topic.subscribe());
        topic.publish(0).unwrap();
        let publishes = topic.clone();
        let publisher = thread::spawn(move || publishes.publish(1).is_ok());
        let receiver = thread::spawn(move || [quick.recv(), quick.recv()].map(|message| *message.unwrap()));
        assert_eq!(slow.recv().as_deref(), Ok(&0));
        assert_eq!(receiver.join().unwrap(), [0, 1]);
        assert!(publisher.join().unwrap());
        assert_eq!(slow.len(), 1);
    });
}

/// Two publishers wait for room, and the one who holds them up goes: both are let in.
#[test]
fn a_subscriber_that_goes_lets_the_publishers_in() {
    explore(2, || {
        let topic = narrow();
        let subscription = topic.subscribe();
        topic.publish(0).unwrap();
        let publishers = [1, 2].map(|n| {
            let topic = topic.clone();
            thread::spawn(move || topic.publish(n).is_ok())
        });
        drop(subscription);
        for publisher in publishers {
            assert!(publisher.join().unwrap());
        }
        assert!(topic.is_empty());
    });
}

/// A cancelled publisher has published, or not; who waits behind it is let in.
#[test]
fn a_cancelled_publisher_holds_nobody_up() {
    explore(2, || {
        // In an `Arc`, so that nothing of the topic is dropped in what unwinds.
        let topic = Arc::new(narrow());
        let subscription = topic.subscribe();
        topic.publish(0).unwrap();
        let publishes = topic.clone();
        let cancelled = Task::spawn(move || publishes.publish(1).is_ok());
        let publishes = topic.clone();
        let publisher = thread::spawn(move || publishes.publish(2).is_ok());
        cancelled.cancel();
        assert_eq!(subscription.recv().as_deref(), Ok(&0));
        let next = *subscription.recv().unwrap();
        if next == 1 {
            assert_eq!(subscription.recv().as_deref(), Ok(&2));
            assert_eq!(cancelled.join(), Some(true));
        } else {
            assert_eq!(next, 2);
            let published = cancelled.join().is_some();
            assert_eq!(subscription.len(), usize::from(published));
        }
        assert!(publisher.join().unwrap());
    });
}

/// One in a select, one not, at the same subscription: each message goes to one of them, and none is overslept.
#[test]
fn a_shared_subscription_gives_each_message_to_one() {
    explore(2, || {
        let topic = Topic::new();
        let subscription = Arc::new(topic.subscribe());
        let shares = subscription.clone();
        let other = thread::spawn(move || select_from(&shares));
        topic.publish(1).unwrap();
        topic.publish(2).unwrap();
        let mine = subscription.recv().map(Message::into_inner).ok();
        let mut seen = [mine, other.join().unwrap()];
        seen.sort_unstable();
        assert_eq!(seen, [Some(1), Some(2)]);
    });
}

/// A select that is cancelled has taken the message, or left it.
#[test]
fn a_cancelled_select_leaves_the_message() {
    explore(2, || {
        let topic = Topic::new();
        let subscription = Arc::new(topic.subscribe());
        let selects = subscription.clone();
        let task = Task::spawn(move || select_from(&selects));
        let publisher = thread::spawn(move || topic.publish(1).is_ok());
        task.cancel();
        match task.join() {
            Some(message) => assert_eq!(message, Some(1)),
            None => assert_eq!(subscription.recv().as_deref(), Ok(&1)),
        }
        assert!(publisher.join().unwrap());
    });
}

/// A topic is closed while one receives and one publishes.
#[test]
fn a_topic_that_is_closed_wakes_both_sides() {
    explore(2, || {
        let topic = narrow();
        let (slow, subscription) = (topic.subscribe(), topic.subscribe());
        topic.publish(0).unwrap();
        let publishes = topic.clone();
        let publisher = thread::spawn(move || publishes.publish(1));
        let subscriber = thread::spawn(move || subscription.iter().count());
        topic.close();
        let refused = publisher.join().unwrap();
        assert_eq!(refused.unwrap_err().into_inner(), 1, "the slow one holds it up to the end");
        assert_eq!(subscriber.join().unwrap(), 1);
        assert_eq!(slow.len(), 1);
    });
}
