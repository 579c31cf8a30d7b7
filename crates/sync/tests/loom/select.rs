//! Selects: one choice for several lists.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use ropewalk_sync::channel::{Receiver, RecvError, Sender, bounded, select, unbounded};

use crate::support::{Task, explore, model};

/// Receives from whichever has something.
fn receive_any(first: &Receiver<usize>, second: &Receiver<usize>) -> Result<usize, RecvError> {
    select! {
        recv(first) -> message => message,
        recv(second) -> message => message,
    }
}

/// Two senders at once: one is chosen, and the message of the other stays. What was written before is seen after.
#[test]
fn takes_one_of_two_messages() {
    for capacity in [Some(1), None] {
        explore(2, move || {
            let ((first, one), (second, two)) = (channel(capacity), channel(capacity));
            let written = Arc::new(AtomicUsize::new(0));
            let senders = [first, second].map(|sender| {
                let written = written.clone();
                thread::spawn(move || {
                    written.fetch_add(1, Relaxed);
                    sender.send(1).unwrap();
                })
            });
            assert_eq!(receive_any(&one, &two), Ok(1));
            assert!(written.load(Relaxed) >= 1);
            for sender in senders {
                sender.join().unwrap();
            }
            assert_eq!(one.len() + two.len(), 1);
        });
    }
}

fn channel(capacity: Option<usize>) -> (Sender<usize>, Receiver<usize>) {
    capacity.map_or_else(unbounded, bounded)
}

/// Without capacity, both sides in a select: they meet, and the message is seen.
#[test]
fn meets_a_select() {
    explore(2, || {
        let (sender, receiver) = bounded(0);
        let written = Arc::new(AtomicUsize::new(0));
        let writes = written.clone();
        let other = thread::spawn(move || {
            writes.store(1, Relaxed);
            select! { send(sender, 1) -> sent => sent }
        });
        select! { recv(receiver) -> message => assert_eq!(message, Ok(1)) }
        assert_eq!(written.load(Relaxed), 1);
        assert_eq!(other.join().unwrap(), Ok(()));
    });
}

/// Without capacity, one side in a select, the other not.
#[test]
fn meets_who_waits_for_one() {
    explore(2, || {
        let (sender, receiver) = bounded(0);
        let other = thread::spawn(move || select! { send(sender, 1) -> sent => sent });
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(other.join().unwrap(), Ok(()));
    });
    explore(2, || {
        let (sender, receiver) = bounded(0);
        let other = thread::spawn(move || select! { recv(receiver) -> message => message });
        select! { send(sender, 1) -> sent => assert_eq!(sent, Ok(())) }
        assert_eq!(other.join().unwrap(), Ok(1));
    });
}

/// A place becomes free, and the channel loses its last receiver.
#[test]
fn to_a_full_channel() {
    model(|| {
        let (sender, receiver) = bounded(1);
        sender.send(0).unwrap();
        let other = thread::spawn(move || {
            let first = receiver.recv();
            drop(receiver);
            first
        });
        select! { send(sender, 1) -> _ => {} }
        assert_eq!(other.join().unwrap(), Ok(0));
    });
}

/// A select that is cancelled takes no message away from who goes on.
#[test]
fn that_is_cancelled() {
    for capacity in [0, 1] {
        explore(2, move || {
            let (sender, receiver) = bounded(capacity);
            let (_kept, silent) = bounded::<usize>(0);
            let waits = receiver.clone();
            let task = Task::spawn(move || receive_any(&waits, &silent));
            let producer = thread::spawn(move || sender.send(1));
            task.cancel();
            match task.join() {
                Some(received) => assert_eq!(received, Ok(1)),
                None => assert_eq!(receiver.recv(), Ok(1)),
            }
            assert_eq!(producer.join().unwrap(), Ok(()));
        });
    }
}
