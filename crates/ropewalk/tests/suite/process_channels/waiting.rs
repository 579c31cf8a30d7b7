//! Room and deadlines, and what a cancel leaves of a channel.

use std::time::Duration;

use ropewalk::inspect::State;
use ropewalk::ipc::{self, Receiver, Sender};
use ropewalk::{JoinHandle, process, timeout};

use super::channel;
use crate::support::{LONG, guarded, on_every_plan, until};

/// Until the task waits.
fn until_blocked<T>(task: &JoinHandle<T>) {
    until(|| matches!(task.task().state(), State::Blocked(_)));
}

/// A channel that has no room, and how many messages are in it.
fn full() -> (Sender<u32>, Receiver<u32>, u32) {
    let (sender, receiver) = ipc::channel(4096).unwrap();
    let count = (0..).find(|n| sender.try_send(*n).is_err()).unwrap();
    assert!(count > 0, "a single message always fits");
    (sender, receiver, count)
}

#[test]
fn who_sends_waits_for_room_and_who_does_not_want_to_gets_the_message_back() {
    on_every_plan(|plan| {
        let (sender, receiver, count) = full();
        assert_eq!(sender.try_send(7).unwrap_err().into_inner(), 7);
        assert!(sender.try_send(7).unwrap_err().is_full());
        assert!(sender.send_timeout(7, Duration::from_millis(1)).unwrap_err().is_timeout());
        let other = sender.clone();
        let task = plan.spawn(move || other.send(count));
        until_blocked(&task);
        assert!((0..=count).all(|n| receiver.recv().unwrap() == n), "it is the last one");
        task.join().unwrap().unwrap();
        assert!(receiver.try_recv().unwrap_err().is_empty());
        assert!(receiver.recv_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    });
}

#[test]
fn the_bound_is_about_what_was_asked_for() {
    guarded(|| {
        let messages = |capacity: usize, length: usize| {
            let (sender, _receiver) = ipc::channel(capacity).unwrap();
            (0..).find(|_| sender.try_send(vec![0_u8; length]).is_err()).unwrap()
        };
        let (few, many) = (messages(8192, 100), messages(65_536, 100));
        assert!(few >= 4 && many >= 4 * few, "{few} and {many}");
        // A long one counts as much as a packet does, not as little as its descriptor.
        let long = messages(131_072, 1_000_000);
        assert!((1..=12).contains(&long), "{long}");
        let (sender, _receiver) = ipc::channel::<u8>(0).unwrap();
        assert!(sender.capacity() > 0 && sender.try_send(1).is_ok());
        let (sender, _receiver) = ipc::channel::<u8>(usize::MAX).unwrap();
        assert!(sender.capacity() >= 65_536, "the kernel gives what it gives: {}", sender.capacity());
    });
}

#[test]
fn a_cancelled_send_leaves_the_channel_as_it_was() {
    on_every_plan(|plan| {
        for length in [1, 1_000_000] {
            let (sender, receiver) = ipc::channel(4096).unwrap();
            while sender.try_send(vec![1_u8]).is_ok() {}
            let other = sender.clone();
            let task = plan.spawn(move || other.send(vec![2; length]));
            until_blocked(&task);
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            sender.try_send(vec![3]).unwrap_err();
            let late = sender.clone();
            let last = plan.spawn(move || late.send(vec![4; length]).map_err(|_| ()));
            let mut all = Vec::new();
            while all.last() != Some(&4) {
                let message = receiver.recv().unwrap();
                assert!(message.iter().all(|byte| *byte == message[0]), "it is whole");
                all.push(message[0]);
            }
            last.join().unwrap().unwrap();
            assert!(!all.contains(&2) && !all.contains(&3), "what was not sent does not come: {all:?}");
        }
    });
}

#[test]
fn a_cancelled_receive_takes_no_message_along() {
    on_every_plan(|plan| {
        let (sender, receiver) = channel::<u32>();
        for n in 0..20 {
            let other = receiver.clone();
            let task = plan.spawn(move || other.recv());
            until_blocked(&task);
            task.cancel();
            sender.send(n).unwrap();
            // Whoever was quicker: the message is the task's result, or it is still there.
            match task.join() {
                Ok(message) => assert_eq!(message.unwrap(), n),
                Err(error) => {
                    assert!(error.is_cancelled());
                    assert_eq!(receiver.recv().unwrap(), n);
                }
            }
        }
        assert!(receiver.try_recv().unwrap_err().is_empty());
    });
}

#[test]
fn a_timeout_around_a_wait_ends_it() {
    on_every_plan(|_| {
        let (sender, receiver, _) = full();
        assert!(timeout(Duration::from_millis(1), || sender.send(1)).is_err());
        while receiver.try_recv().is_ok() {}
        assert!(timeout(Duration::from_millis(1), || receiver.recv()).is_err());
        sender.send(9).unwrap();
        assert_eq!(receiver.recv().unwrap(), 9);
    });
}

#[test]
fn many_tasks_of_one_process_share_an_end() {
    on_every_plan(|plan| {
        let (sender, receiver) = ipc::channel::<u32>(4096).unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|own| {
                let sender = sender.clone();
                plan.spawn(move || (0..50).for_each(|n| sender.send(own * 50 + n).unwrap()))
            })
            .collect();
        drop(sender);
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let receiver = receiver.clone();
                plan.spawn(move || receiver.iter().map(Result::unwrap).collect::<Vec<_>>())
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        let mut all: Vec<_> = receivers.into_iter().flat_map(|task| task.join().unwrap()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..400));
    });
}

#[test]
fn a_process_waits_for_room_that_another_makes() {
    on_every_plan(|_| {
        let (sender, receiver) = ipc::channel::<Vec<u8>>(4096).unwrap();
        let send = |sender: Sender<Vec<u8>>| {
            (0..200).for_each(|n| sender.send(vec![n as u8; 2000]).unwrap());
        };
        let child = process::spawn(send, sender).unwrap();
        for n in 0..200 {
            assert_eq!(receiver.recv().unwrap(), vec![n as u8; 2000]);
        }
        assert!(receiver.recv().unwrap_err().is_disconnected());
        assert!(child.join_timeout(LONG).unwrap().is_ok());
    });
}
