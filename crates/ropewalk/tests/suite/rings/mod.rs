//! Rings between processes: what is sent arrives, once and in order, whoever waits and how; and whoever dies, the others go
//! on.

pub(crate) mod crashes;
mod deaths;
mod kills;
mod waiting;

use std::io::ErrorKind;

use ropewalk::channel::{TryRecvError, TrySendError};
use ropewalk::ipc::Region;
use ropewalk::ipc::ring::{self, Builder, Many, One, Receiver, Sender, WaitPolicy};
use ropewalk::process;

use crate::support::messages::{Block, block, number_of};
use crate::support::{Plan, guarded, on_every_pair, until};

pub(crate) const POLICIES: [WaitPolicy; 3] = [WaitPolicy::Sleep, WaitPolicy::Adaptive, WaitPolicy::Spin];

/// Sends back what it gets, by a task of this plan, until nothing comes any more.
fn echo((plan, policy, mut receiver, mut sender): (u8, u8, Receiver<Block, One>, Sender<Block, One>)) {
    let plan = if plan == 0 { Plan::Coroutine } else { Plan::Thread };
    let task = plan.spawn(move || {
        receiver.set_wait_policy(POLICIES[usize::from(policy)]);
        sender.set_wait_policy(POLICIES[usize::from(policy)]);
        while let Ok(block) = receiver.recv() {
            sender.send(&block).unwrap();
        }
    });
    task.join().unwrap();
}

#[test]
fn what_is_sent_comes_back_in_order_whoever_waits_and_how() {
    on_every_pair(|plan| {
        for (number, policy) in (0..).zip(POLICIES) {
            let (mut there, theirs) = ring::spsc::<Block>(4).unwrap();
            let (ours, mut back) = ring::spsc::<Block>(4).unwrap();
            there.set_wait_policy(policy);
            back.set_wait_policy(policy);
            let argument = (u8::from(plan == Plan::Thread), number, theirs, ours);
            let other = process::spawn(echo, argument).unwrap();
            for n in 0..50 {
                there.send(&block(n)).unwrap();
                assert_eq!(number_of(back.recv().unwrap()), n);
            }
            // Another task fills the ring while this one empties the other.
            let sender = plan.spawn(move || (0..1000).for_each(|n| there.send(&block(n)).unwrap()));
            for n in 0..1000 {
                assert_eq!(number_of(back.recv().unwrap()), n);
            }
            sender.join().unwrap();
            assert!(back.recv().is_err());
            other.join().unwrap();
        }
    });
}

const SENT: u64 = 400;

/// By each plan: sends `SENT` messages, of which each says whose they are.
fn send_all((mut first, sender): (u64, Sender<Block>)) {
    let tasks = [Plan::Coroutine, Plan::Thread].map(|plan| {
        let mut sender = sender.clone();
        first += SENT;
        plan.spawn(move || (first - SENT..first).for_each(|n| sender.send(&block(n)).unwrap()))
    });
    drop(sender);
    tasks.into_iter().for_each(|task| task.join().unwrap());
}

/// By each plan: the messages, in the order in which they came.
fn receive_all(receiver: Receiver<Block>) -> Vec<Vec<u64>> {
    let tasks = [Plan::Coroutine, Plan::Thread].map(|plan| {
        let mut receiver = receiver.clone();
        plan.spawn(move || std::iter::from_fn(|| receiver.recv().ok()).map(number_of).collect::<Vec<_>>())
    });
    drop(receiver);
    tasks.into_iter().map(|task| task.join().unwrap()).collect()
}

#[test]
fn each_message_of_many_senders_goes_to_one_of_many_receivers_in_the_senders_order() {
    on_every_pair(|_| {
        let (sender, receiver) = ring::mpmc::<Block>(8).unwrap();
        let senders = [0, 2 * SENT].map(|n| process::spawn(send_all, (n, sender.clone())).unwrap());
        let receivers = [0; 2].map(|_| process::spawn(receive_all, receiver.clone()).unwrap());
        drop(receiver);
        send_all((4 * SENT, sender));
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let got: Vec<Vec<u64>> = receivers.into_iter().flat_map(|task| task.join().unwrap()).collect();
        for numbers in &got {
            for sender in 0..6 {
                let of_one = numbers.iter().filter(|n| *n / SENT == sender);
                assert!(of_one.is_sorted(), "the messages of one sender overtake each other");
            }
        }
        let mut all: Vec<u64> = got.into_iter().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, (0..6 * SENT).collect::<Vec<_>>());
    });
}

#[test]
fn one_end_may_be_single_and_the_other_not() {
    on_every_pair(|plan| {
        let region = Region::new(16 * 1024).unwrap();
        let (sender, mut receiver) = Builder::new(4).region(&region).mpsc::<Block>().unwrap();
        let tasks = [0, 1].map(|task| {
            let mut sender = sender.clone();
            plan.spawn(move || (0..SENT).for_each(|n| sender.send(&block(2 * n + task)).unwrap()))
        });
        drop(sender);
        let mut next = [0, 1];
        for _ in 0..2 * SENT {
            let n = number_of(receiver.recv().unwrap());
            assert_eq!(n, next[n as usize % 2]);
            next[n as usize % 2] += 2;
        }
        assert!(receiver.recv().is_err());
        tasks.into_iter().for_each(|task| task.join().unwrap());

        let (mut sender, receiver) = Builder::new(4).region(&region).spmc::<Block>().unwrap();
        let tasks = [0, 1].map(|_| {
            let mut receiver = receiver.clone();
            plan.spawn(move || std::iter::from_fn(|| receiver.recv().ok()).map(number_of).collect::<Vec<_>>())
        });
        drop(receiver);
        (0..SENT).for_each(|n| sender.send(&block(n)).unwrap());
        drop(sender);
        let mut all: Vec<u64> = tasks.into_iter().flat_map(|task| task.join().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..SENT).collect::<Vec<_>>());
    });
}

#[test]
fn slices_have_any_length_up_to_the_largest() {
    let (mut sender, mut receiver) = Builder::new(2).max_len(5).mpmc::<[u16]>().unwrap();
    assert_eq!((sender.capacity(), sender.max_len(), receiver.max_len()), (2, 5, 5));
    for length in 0..=5 {
        let numbers: Vec<u16> = (0..length).collect();
        sender.send(&numbers).unwrap();
        let mut loan = sender.loan().unwrap();
        // What is longer than the message stays behind.
        numbers.iter().rev().enumerate().for_each(|(at, n)| loan.write_at(at, &[*n]));
        loan.truncate(usize::from(length));
        loan.truncate(5);
        loan.publish();
        assert_eq!(receiver.recv().unwrap(), numbers);
        let received = receiver.recv_ref().unwrap();
        assert_eq!((received.len(), received.is_empty()), (usize::from(length), length == 0));
        assert!(received.read().iter().rev().eq(&numbers));
        for at in 0..numbers.len() {
            let mut one = [0];
            received.read_at(at, &mut one);
            assert_eq!(one[0], length - 1 - at as u16);
        }
    }
    let refused = [
        std::panic::catch_unwind(|| Builder::new(2).max_len(5).spsc::<[u8]>().unwrap().0.send(&[0; 6])),
        std::panic::catch_unwind(|| {
            let (mut sender, _receiver) = Builder::new(2).max_len(5).spsc::<[u8]>().unwrap();
            sender.loan().unwrap().write_at(3, &[0; 3]);
            Ok(())
        }),
        std::panic::catch_unwind(|| {
            let (mut sender, mut receiver) = Builder::new(2).max_len(5).spsc::<[u8]>().unwrap();
            sender.send(&[1, 2]).unwrap();
            receiver.recv_ref().unwrap().read_at(1, &mut [0; 2]);
            Ok(())
        }),
    ];
    assert!(refused.iter().all(Result::is_err));
}

#[test]
fn what_makes_no_ring_is_refused() {
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    let build = |capacity| Builder::new(capacity).spsc::<u8>().map(drop);
    assert_eq!(kind(build(0)), ErrorKind::InvalidInput);
    assert_eq!(kind(build(65_537)), ErrorKind::InvalidInput);
    assert_eq!(kind(build(usize::MAX)), ErrorKind::InvalidInput);
    assert_eq!(kind(Builder::new(1).spsc::<[u8]>().map(drop)), ErrorKind::InvalidInput);
    assert_eq!(kind(Builder::new(1).max_len(2).spsc::<u8>().map(drop)), ErrorKind::InvalidInput);
    for length in [1 << 31, u32::MAX as usize + 1, usize::MAX] {
        assert_eq!(kind(Builder::new(1).max_len(length).spsc::<[u64]>().map(drop)), ErrorKind::FileTooLarge);
    }
    let region = Region::new(1024).unwrap();
    let full = Builder::new(64).region(&region).spsc::<u64>().map(drop);
    assert_eq!(kind(full), ErrorKind::StorageFull);
    for (asked, given) in [(1, 1), (3, 4), (64, 64), (65, 128)] {
        let (mut sender, receiver) = ring::spsc::<u8>(asked).unwrap();
        assert_eq!((sender.capacity(), receiver.capacity()), (given, given));
        for n in 0..given {
            sender.try_send(&(n as u8)).unwrap();
        }
        assert_eq!(sender.try_send(&0), Err(TrySendError::Full(())));
    }
    // An alignment that the slots have to have.
    #[repr(C, align(64))]
    #[derive(Clone, Copy)]
    struct Line([u64; 8]);
    let (sender, _receiver) = ring::spsc::<[u64; 8]>(4).unwrap();
    assert_eq!(align_of::<Line>(), 64);
    assert!(sender.region().processes().len() == 1);
}

#[test]
fn a_loan_that_is_dropped_is_no_message() {
    on_every_pair(|plan| {
        let (mut sender, mut receiver) = ring::spsc::<u64>(1).unwrap();
        for n in 0..5 {
            sender.loan().unwrap().write(&99);
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
            sender.send(&n).unwrap();
            assert!(matches!(sender.try_loan(), Err(TrySendError::Full(()))));
            assert_eq!(receiver.recv(), Ok(n));
        }
        // Among many those behind it have waited for it.
        let (mut sender, receiver) = ring::mpmc::<u64>(4).unwrap();
        let mut other = sender.clone();
        for n in 0..20 {
            let loan = sender.loan().unwrap();
            other.send(&n).unwrap();
            let mut theirs = receiver.clone();
            let task = plan.spawn(move || theirs.recv());
            until(|| matches!(task.task().state(), ropewalk::inspect::State::Blocked(_)));
            drop(loan);
            assert_eq!(task.join().unwrap(), Ok(n));
        }
        (0..100).for_each(|_| drop(sender.loan().unwrap()));
        let mut only = Builder::new(4).mpsc::<u64>().unwrap();
        (0..100).for_each(|_| drop(only.0.loan().unwrap()));
        only.0.send(&7).unwrap();
        assert_eq!(only.1.recv(), Ok(7));
    });
}

#[test]
fn what_is_received_in_place_keeps_its_slot() {
    let (mut sender, mut receiver) = ring::spsc::<u64>(2).unwrap();
    sender.send(&1).unwrap();
    sender.send(&2).unwrap();
    let first = receiver.recv_ref().unwrap();
    assert_eq!(sender.try_send(&3), Err(TrySendError::Full(())));
    assert_eq!(first.read(), 1);
    drop(first);
    sender.try_send(&3).unwrap();
    assert_eq!([receiver.recv(), receiver.recv()], [Ok(2), Ok(3)]);
    // Many receivers have messages in their hands at once.
    let (mut sender, mut receiver) = ring::mpmc::<u64>(2).unwrap();
    let mut other = receiver.clone();
    (1..3).for_each(|n| sender.send(&n).unwrap());
    let (first, second) = (receiver.recv_ref().unwrap(), other.recv_ref().unwrap());
    assert_eq!((first.read(), second.read()), (1, 2));
    // The slots are used in their order.
    drop(second);
    assert_eq!(sender.try_send(&3), Err(TrySendError::Full(())));
    drop(first);
    sender.try_send(&3).unwrap();
    sender.try_send(&4).unwrap();
}

#[test]
fn references_are_to_what_stands_in_the_slot() {
    guarded(|| {
        let (mut sender, receiver) = Builder::new(2).max_len(1 << 17).spsc::<[u64]>().unwrap();
        let sum = |mut receiver: Receiver<[u64], One>| {
            let message = receiver.recv_ref().unwrap();
            // SAFETY: the sender, above, does not come back to the slot.
            let numbers = unsafe { message.as_ref_unchecked() };
            (numbers.len() as u64, numbers.iter().sum::<u64>())
        };
        let other = process::spawn(sum, receiver).unwrap();
        let mut loan = sender.loan().unwrap();
        // SAFETY: the receiver, below, looks at it when it is published.
        let numbers = unsafe { loan.as_mut_unchecked() };
        (0..).zip(numbers.iter_mut()).for_each(|(n, number)| *number = n);
        loan.truncate(100_000);
        loan.publish();
        assert_eq!(other.join().unwrap(), (100_000, (0..100_000).sum()));
    });
}

#[test]
fn an_end_that_has_gone_to_another_process_is_gone_from_here() {
    guarded(|| {
        let (mut sender, mut receiver) = ring::spsc::<u64>(4).unwrap();
        // The positions go along.
        (0..7).for_each(|n| {
            sender.send(&n).unwrap();
            assert_eq!(receiver.recv(), Ok(n));
        });
        let twice = |mut sender: Sender<u64, One>| {
            sender.send(&7).unwrap();
            sender
        };
        let mut sender = process::spawn(twice, sender).unwrap().join().unwrap();
        sender.send(&8).unwrap();
        let theirs = |mut receiver: Receiver<u64, One>| (receiver.recv().unwrap(), receiver);
        let (n, mut receiver) = process::spawn(theirs, receiver).unwrap().join().unwrap();
        assert_eq!((n, receiver.recv()), (7, Ok(8)));
        // One of many stays as well.
        let (sender, mut receiver) = ring::mpmc::<u64>(4).unwrap();
        let send = |mut sender: Sender<u64, Many>| sender.send(&1).unwrap();
        for _ in 0..2 {
            process::spawn(send, sender.clone()).unwrap().join().unwrap();
            assert_eq!(receiver.recv(), Ok(1));
        }
    });
}
