//! Channels and topics.

use std::time::Instant;

use ropewalk::channel::{Select, bounded, never, unbounded};
use ropewalk::sync::{broadcast, mpsc, oneshot, watch};
use ropewalk::topic::{Policy, Topic};

use super::{Prepare, ignore, waiting};
use crate::support::LONG;

pub(super) const CHANNELS: &[(&str, Prepare)] = &[
    ("channel::bounded", || Box::new(|| drop(bounded::<i32>(1)))),
    ("channel::unbounded", || Box::new(|| drop(unbounded::<i32>()))),
    ("channel::never", || Box::new(|| drop(never::<i32>()))),
    ("channel::after", || Box::new(|| drop(ropewalk::channel::after(LONG)))),
    ("channel::at", || Box::new(|| drop(ropewalk::channel::at(Instant::now() + LONG)))),
    ("channel::tick", || Box::new(|| drop(ropewalk::channel::tick(LONG)))),
    ("channel::Sender::try_send", || {
        let (sender, receiver) = bounded(1);
        let task = waiting(move || ignore(receiver.recv()));
        Box::new(move || {
            sender.try_send(1).unwrap();
            drop(task);
        })
    }),
    ("channel::Sender::capacity", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert_eq!(sender.capacity(), Some(1)))
    }),
    ("channel::Sender::is_empty", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert!(sender.is_empty()))
    }),
    ("channel::Sender::is_full", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert!(!sender.is_full()))
    }),
    ("channel::Sender::len", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert_eq!(sender.len(), 0))
    }),
    ("channel::Sender::same_channel", || {
        let (sender, _receiver) = bounded::<i32>(1);
        Box::new(move || assert!(sender.same_channel(&sender.clone())))
    }),
    ("channel::Receiver::capacity", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert_eq!(receiver.capacity(), Some(1)))
    }),
    ("channel::Receiver::is_empty", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert!(receiver.is_empty()))
    }),
    ("channel::Receiver::is_full", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert!(!receiver.is_full()))
    }),
    ("channel::Receiver::len", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert_eq!(receiver.len(), 0))
    }),
    ("channel::Receiver::same_channel", || {
        let (_sender, receiver) = bounded::<i32>(1);
        Box::new(move || assert!(receiver.same_channel(&receiver.clone())))
    }),
    ("the last sender is dropped", || {
        let (sender, receiver) = unbounded::<i32>();
        let task = waiting(move || ignore(receiver.recv()));
        Box::new(move || drop((sender, task)))
    }),
    ("an unbounded send, but for the budget", || {
        let (sender, receiver) = mpsc::channel();
        Box::new(move || {
            sender.send(1).unwrap();
            drop(receiver);
        })
    }),
    ("channel::Select::new", || Box::new(|| drop(Select::new()))),
    ("channel::Select::new_biased", || Box::new(|| drop(Select::new_biased()))),
    ("channel::Select::recv", || {
        Box::new(|| {
            let (_sender, receiver) = unbounded::<i32>();
            Select::new().recv(&receiver);
        })
    }),
    ("channel::Select::send", || {
        Box::new(|| {
            let (sender, _receiver) = unbounded::<i32>();
            Select::new().send(&sender);
        })
    }),
    ("channel::Select::remove", || {
        Box::new(|| {
            let (sender, _receiver) = unbounded::<i32>();
            let mut select = Select::new();
            let place = select.send(&sender);
            select.remove(place);
        })
    }),
    ("channel::Select::try_ready", || {
        Box::new(|| {
            let (_sender, receiver) = unbounded::<i32>();
            let mut select = Select::new();
            select.recv(&receiver);
            assert!(select.try_ready().is_err());
        })
    }),
    ("channel::Select::try_select", || {
        Box::new(|| {
            let (_sender, receiver) = unbounded::<i32>();
            let mut select = Select::new();
            select.recv(&receiver);
            assert!(select.try_select().is_err());
        })
    }),
    ("channel::SelectedOperation::index", || {
        let (sender, receiver) = unbounded();
        sender.send(1).unwrap();
        Box::new(move || {
            let mut select = Select::new();
            select.recv(&receiver);
            let selected = select.try_select().unwrap();
            assert_eq!(selected.index(), 0);
            // It has to be completed, and that may wait for a select at the other end: here it need not.
            ignore(selected.recv(&receiver));
        })
    }),
    ("sync::mpsc::Receiver::try_recv", || {
        let (_sender, receiver) = mpsc::channel::<i32>();
        Box::new(move || assert!(receiver.try_recv().is_err()))
    }),
    ("sync::mpsc::Receiver::try_iter", || {
        let (_sender, receiver) = mpsc::channel::<i32>();
        Box::new(move || assert_eq!(receiver.try_iter().count(), 0))
    }),
    ("sync::mpsc::SyncSender::try_send", || {
        let (sender, receiver) = mpsc::sync_channel(1);
        Box::new(move || {
            sender.try_send(1).unwrap();
            drop(receiver);
        })
    }),
    ("sync::oneshot::Receiver::try_recv", || {
        let (_sender, receiver) = oneshot::channel::<i32>();
        Box::new(move || assert!(receiver.try_recv().is_err()))
    }),
    ("sync::oneshot::Receiver::as_channel", || {
        let (_sender, receiver) = oneshot::channel::<i32>();
        Box::new(move || assert!(receiver.as_channel().is_empty()))
    }),
    ("sync::oneshot::Sender::is_closed", || {
        let (sender, _receiver) = oneshot::channel::<i32>();
        Box::new(move || ignore(sender.is_closed()))
    }),
    ("sync::oneshot::Sender::send", || {
        let (sender, receiver) = oneshot::channel();
        let task = waiting(move || ignore(receiver.recv()));
        Box::new(move || {
            sender.send(1).unwrap();
            drop(task);
        })
    }),
    ("sync::watch::Sender::send", || {
        let (sender, mut receiver) = watch::channel(1);
        let task = waiting(move || ignore(receiver.changed()));
        Box::new(move || {
            sender.send(2).unwrap();
            drop(task);
        })
    }),
    ("sync::watch::Sender::send_replace", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || drop(sender.send_replace(2)))
    }),
    ("sync::watch::Sender::borrow", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || assert_eq!(*sender.borrow(), 1))
    }),
    ("sync::watch::Sender::is_closed", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || ignore(sender.is_closed()))
    }),
    ("sync::watch::Sender::receiver_count", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || ignore(sender.receiver_count()))
    }),
    ("sync::watch::Sender::subscribe", || {
        let (sender, _receiver) = watch::channel(1);
        Box::new(move || drop(sender.subscribe()))
    }),
    ("sync::watch::Receiver::borrow", || {
        let (_sender, receiver) = watch::channel(1);
        Box::new(move || assert_eq!(*receiver.borrow(), 1))
    }),
    ("sync::watch::Receiver::borrow_and_update", || {
        let (_sender, mut receiver) = watch::channel(1);
        Box::new(move || assert_eq!(*receiver.borrow_and_update(), 1))
    }),
    ("sync::watch::Receiver::has_changed", || {
        let (sender, receiver) = watch::channel(1);
        Box::new(move || {
            assert_eq!(receiver.has_changed(), Ok(false));
            drop(sender);
        })
    }),
    ("sync::watch::Receiver::same_channel", || {
        let (_sender, receiver) = watch::channel(1);
        Box::new(move || assert!(receiver.same_channel(&receiver.clone())))
    }),
    ("sync::broadcast::Sender::is_empty", || {
        let (sender, _receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert!(sender.is_empty()))
    }),
    ("sync::broadcast::Sender::len", || {
        let (sender, _receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert_eq!(sender.len(), 0))
    }),
    ("sync::broadcast::Sender::receiver_count", || {
        let (sender, _receiver) = broadcast::channel::<i32>(1);
        Box::new(move || ignore(sender.receiver_count()))
    }),
    ("sync::broadcast::Sender::subscribe", || {
        let (sender, _receiver) = broadcast::channel::<i32>(1);
        Box::new(move || drop(sender.subscribe()))
    }),
    ("sync::broadcast::Receiver::is_empty", || {
        let (_sender, receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert!(receiver.is_empty()))
    }),
    ("sync::broadcast::Receiver::len", || {
        let (_sender, receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert_eq!(receiver.len(), 0))
    }),
    ("sync::broadcast::Receiver::resubscribe", || {
        let (_sender, receiver) = broadcast::channel::<i32>(1);
        Box::new(move || drop(receiver.resubscribe()))
    }),
    ("sync::broadcast::Receiver::same_channel", || {
        let (_sender, receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert!(receiver.same_channel(&receiver.resubscribe())))
    }),
    ("sync::broadcast::Receiver::try_recv", || {
        let (_sender, mut receiver) = broadcast::channel::<i32>(1);
        Box::new(move || assert!(receiver.try_recv().is_err()))
    }),
];

pub(super) const TOPICS: &[(&str, Prepare)] = &[
    ("topic::Topic::builder", || Box::new(|| ignore(Topic::<i32>::builder().capacity(2).history(1).build()))),
    ("topic::Topic::new", || Box::new(|| ignore(Topic::<i32>::new()))),
    ("topic::Topic::named", || Box::new(|| assert!(Topic::<i32>::named("switches").is_ok()))),
    ("topic::Topic::capacity", || {
        let topic = Topic::<i32>::new();
        Box::new(move || ignore(topic.capacity()))
    }),
    ("topic::Topic::close", || {
        let topic = Topic::<i32>::new();
        Box::new(move || topic.close())
    }),
    ("topic::Topic::is_closed", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert!(!topic.is_closed()))
    }),
    ("topic::Topic::is_empty", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert!(topic.is_empty()))
    }),
    ("topic::Topic::len", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert_eq!(topic.len(), 0))
    }),
    ("topic::Topic::name", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert!(topic.name().is_none()))
    }),
    ("topic::Topic::policy", || {
        let topic = Topic::<i32>::new();
        Box::new(move || ignore(topic.policy()))
    }),
    ("topic::Topic::same_topic", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert!(topic.same_topic(&topic.clone())))
    }),
    ("topic::Topic::subscribe", || {
        let topic = Topic::<i32>::new();
        Box::new(move || drop(topic.subscribe()))
    }),
    ("topic::Topic::subscriber_count", || {
        let topic = Topic::<i32>::new();
        Box::new(move || assert_eq!(topic.subscriber_count(), 0))
    }),
    ("topic::Topic::try_publish", || {
        let topic = Topic::builder().capacity(1).policy(Policy::Block).build();
        let subscription = topic.subscribe();
        topic.publish(1).unwrap();
        Box::new(move || {
            assert!(topic.try_publish(2).unwrap_err().is_full());
            drop(subscription);
            topic.try_publish(2).unwrap();
        })
    }),
    ("topic::Subscription::as_channel", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || ignore(subscription.as_channel().len()))
    }),
    ("topic::Subscription::is_empty", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || assert!(subscription.is_empty()))
    }),
    ("topic::Subscription::len", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || assert_eq!(subscription.len(), 0))
    }),
    ("topic::Subscription::missed", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || assert_eq!(subscription.missed(), 0))
    }),
    ("topic::Subscription::try_iter", || {
        let topic = Topic::<i32>::new();
        let subscription = topic.subscribe();
        Box::new(move || assert_eq!(subscription.try_iter().count(), 0))
    }),
    ("topic::Subscription::try_recv", || {
        let topic = Topic::new();
        let subscription = topic.subscribe();
        topic.publish(1).unwrap();
        Box::new(move || assert!(subscription.try_recv().is_ok() && subscription.try_recv().is_err()))
    }),
];
