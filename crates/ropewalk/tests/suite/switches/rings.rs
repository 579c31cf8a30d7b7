//! Rings in memory that processes share.

use ropewalk::ipc::Region;
use ropewalk::ipc::ring::{self, Builder, WaitPolicy};

use super::{Prepare, ignore, waiting};

/// Where there is somebody who could be let run, a coroutine of this worker waits for just this.
pub(super) const RINGS: &[(&str, Prepare)] = &[
    ("ipc::ring::spsc", || Box::new(|| ignore(ring::spsc::<u64>(4).unwrap()))),
    ("ipc::ring::mpmc", || Box::new(|| ignore(ring::mpmc::<u64>(4).unwrap()))),
    ("ipc::ring::Builder::new", || Box::new(|| ignore(Builder::new(4)))),
    ("ipc::ring::Builder::max_len", || Box::new(|| ignore(Builder::new(4).max_len(7)))),
    ("ipc::ring::Builder::region", || {
        let region = Region::new(0).unwrap();
        Box::new(move || ignore(Builder::new(4).region(&region)))
    }),
    ("ipc::ring::Sender::try_send", || {
        let (mut sender, mut receiver) = ring::spsc::<u64>(4).unwrap();
        receiver.set_wait_policy(WaitPolicy::Sleep);
        let task = waiting(move || ignore(receiver.recv()));
        Box::new(move || {
            sender.try_send(&1).unwrap();
            ignore(task);
        })
    }),
    ("ipc::ring::Sender::try_loan", || {
        let (mut sender, receiver) = ring::mpmc::<u64>(4).unwrap();
        Box::new(move || {
            drop(sender.try_loan().unwrap());
            ignore(receiver);
        })
    }),
    ("ipc::ring::Loan::publish", || {
        let (sender, mut receiver) = ring::mpmc::<u64>(4).unwrap();
        receiver.set_wait_policy(WaitPolicy::Sleep);
        let task = waiting(move || ignore(receiver.recv()));
        Box::new(move || {
            let mut sender = sender;
            sender.try_loan().unwrap().publish();
            ignore(task);
        })
    }),
    ("ipc::ring::Sender::capacity", || {
        let (sender, _receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || assert_eq!(sender.capacity(), 4))
    }),
    ("ipc::ring::Sender::max_len", || {
        let (sender, _receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || assert_eq!(sender.max_len(), 1))
    }),
    ("ipc::ring::Sender::region", || {
        let (sender, _receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || ignore(sender.region().clone()))
    }),
    ("ipc::ring::Sender::wait_policy", || {
        let (sender, _receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || assert_eq!(sender.wait_policy(), WaitPolicy::Adaptive))
    }),
    ("ipc::ring::Sender::set_wait_policy", || {
        let (mut sender, _receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || sender.set_wait_policy(WaitPolicy::Spin))
    }),
    ("ipc::ring::Receiver::try_recv", || {
        let (mut sender, mut receiver) = ring::spsc::<u64>(1).unwrap();
        sender.set_wait_policy(WaitPolicy::Sleep);
        sender.try_send(&1).unwrap();
        let task = waiting(move || ignore(sender.send(&2)));
        Box::new(move || {
            assert_eq!(receiver.try_recv(), Ok(1));
            ignore(task);
        })
    }),
    ("ipc::ring::Receiver::try_recv_ref", || {
        let (mut sender, mut receiver) = ring::mpmc::<u64>(1).unwrap();
        sender.set_wait_policy(WaitPolicy::Sleep);
        sender.try_send(&1).unwrap();
        let task = waiting(move || ignore(sender.send(&2)));
        Box::new(move || {
            drop(receiver.try_recv_ref().unwrap());
            ignore(task);
        })
    }),
    ("ipc::ring::Receiver::capacity", || {
        let (_sender, receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || assert_eq!(receiver.capacity(), 4))
    }),
    ("ipc::ring::Receiver::max_len", || {
        let (_sender, receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || assert_eq!(receiver.max_len(), 1))
    }),
    ("ipc::ring::Receiver::region", || {
        let (_sender, receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || ignore(receiver.region().clone()))
    }),
    ("ipc::ring::Receiver::wait_policy", || {
        let (_sender, receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || assert_eq!(receiver.wait_policy(), WaitPolicy::Adaptive))
    }),
    ("ipc::ring::Receiver::set_wait_policy", || {
        let (_sender, mut receiver) = ring::spsc::<u64>(4).unwrap();
        Box::new(move || receiver.set_wait_policy(WaitPolicy::Spin))
    }),
];
