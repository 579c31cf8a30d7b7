//! Channels between processes, and over connections.

use std::time::Duration;

use ropewalk::coroutine;
use ropewalk::ipc::remote::{self, Builder, Subscription};
use ropewalk::ipc::{self, Receiver, Sender};
use ropewalk::net::UnixStream;
use ropewalk::topic::Topic;

use super::{Prepare, ignore, waiting};

fn channel() -> (Sender<u8>, Receiver<u8>) {
    ipc::channel(4096).expect("there is a descriptor left")
}

/// One that nobody publishes to.
fn subscription() -> Subscription<u8> {
    let (near, far) = UnixStream::pair().unwrap();
    coroutine::spawn_local(move || ignore(remote::serve_topic(&Topic::<u8>::new(), far)));
    remote::subscribe("", near).unwrap()
}

pub(super) const PROCESSES: &[(&str, Prepare)] = &[
    ("ipc::channel", || Box::new(|| ignore(channel()))),
    ("ipc::Sender::capacity", || {
        let (sender, _) = channel();
        Box::new(move || assert!(sender.capacity() > 0))
    }),
    ("ipc::Sender::is_disconnected", || {
        let (sender, receiver) = channel();
        drop(receiver);
        Box::new(move || assert!(sender.is_disconnected()))
    }),
    ("ipc::Sender::same_channel", || {
        let (sender, _) = channel();
        Box::new(move || assert!(sender.same_channel(&sender.clone())))
    }),
    ("ipc::Sender::try_send", || {
        let (sender, receiver) = channel();
        let task = waiting(move || ignore(receiver.recv()));
        Box::new(move || {
            sender.try_send(1).unwrap();
            ignore(task);
        })
    }),
    ("ipc::Receiver::same_channel", || {
        let (_, receiver) = channel();
        Box::new(move || assert!(receiver.same_channel(&receiver.clone())))
    }),
    ("ipc::Receiver::try_recv", || {
        let (sender, receiver) = channel();
        sender.send(1).unwrap();
        Box::new(move || assert_eq!(receiver.try_recv().unwrap(), 1))
    }),
    ("ipc::Receiver::try_iter", || {
        let (sender, receiver) = channel();
        sender.send(1).unwrap();
        Box::new(move || assert_eq!(receiver.try_iter().count(), 1))
    }),
    ("ipc::remote::Builder::new", || Box::new(|| ignore(Builder::new()))),
    ("ipc::remote::Builder::capacity", || Box::new(|| ignore(Builder::new().capacity(1)))),
    ("ipc::remote::Builder::longest_message", || Box::new(|| ignore(Builder::new().longest_message(1)))),
    ("ipc::remote::Builder::handshake_timeout", || {
        Box::new(|| ignore(Builder::new().handshake_timeout(Duration::from_secs(1))))
    }),
    ("ipc::remote::Subscription::missed", || {
        let subscription = subscription();
        Box::new(move || assert_eq!(subscription.missed(), 0))
    }),
    ("ipc::remote::Subscription::try_recv", || {
        let subscription = subscription();
        Box::new(move || ignore(subscription.try_recv()))
    }),
];
