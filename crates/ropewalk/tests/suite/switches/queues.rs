//! The kernel's message queues.

use ropewalk::ipc::MessageQueue;

use super::{Prepare, ignore};

/// A name that nobody else has.
fn name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/ropewalk-switches-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// One without a name.
fn queue() -> MessageQueue {
    let name = name();
    let queue = MessageQueue::create_new(&name, 2, 8).unwrap();
    MessageQueue::unlink(&name).unwrap();
    queue
}

pub(super) const QUEUES: &[(&str, Prepare)] = &[
    ("ipc::MessageQueue::create_new", || {
        let name = name();
        Box::new(move || {
            drop(MessageQueue::create_new(&name, 2, 8).unwrap());
            MessageQueue::unlink(&name).unwrap();
        })
    }),
    ("ipc::MessageQueue::open", || {
        let name = name();
        let queue = MessageQueue::create_new(&name, 2, 8).unwrap();
        Box::new(move || {
            drop((MessageQueue::open(&name).unwrap(), queue));
            MessageQueue::unlink(&name).unwrap();
        })
    }),
    ("ipc::MessageQueue::unlink", || {
        let name = name();
        let queue = MessageQueue::create_new(&name, 2, 8).unwrap();
        Box::new(move || {
            MessageQueue::unlink(&name).unwrap();
            drop(queue);
        })
    }),
    ("ipc::MessageQueue::attributes", || {
        let queue = queue();
        Box::new(move || ignore(queue.attributes().unwrap()))
    }),
    ("ipc::MessageQueue::try_clone", || {
        let queue = queue();
        Box::new(move || drop(queue.try_clone().unwrap()))
    }),
    ("ipc::MessageQueue::try_send", || {
        let queue = queue();
        Box::new(move || queue.try_send(b"x", 0).unwrap())
    }),
    ("ipc::MessageQueue::try_recv", || {
        let queue = queue();
        queue.try_send(b"x", 0).unwrap();
        Box::new(move || ignore(queue.try_recv(&mut [0; 8]).unwrap()))
    }),
];
