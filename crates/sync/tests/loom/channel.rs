//! Channels.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

use ropewalk_sync::channel::{RecvError, SendError, bounded, unbounded};

use crate::support::{Task, model};

/// Sends two messages through a channel that has less room; what was written before is seen after.
fn stream(capacity: usize) {
    let (sender, receiver) = bounded(capacity);
    let written: Arc<[AtomicUsize; 2]> = Arc::default();
    let writes = written.clone();
    let producer = thread::spawn(move || {
        for n in 0..2 {
            writes[n].store(n + 1, Relaxed);
            sender.send(n).unwrap();
        }
    });
    for n in 0..2 {
        assert_eq!(receiver.recv(), Ok(n));
        assert_eq!(written[n].load(Relaxed), n + 1);
    }
    assert_eq!(receiver.recv(), Err(RecvError));
    producer.join().unwrap();
}

#[test]
fn with_room_for_one() {
    model(|| stream(1));
}

#[test]
fn without_room() {
    model(|| stream(0));
}

#[test]
fn whose_receiver_goes_while_the_sender_waits() {
    model(|| {
        for capacity in [0, 1] {
            let (sender, receiver) = bounded(capacity);
            let producer = thread::spawn(move || [sender.send(1), sender.send(2)]);
            let received = receiver.recv();
            drop(receiver);
            assert_eq!(received, Ok(1));
            let [first, second] = producer.join().unwrap();
            assert_eq!(first, Ok(()));
            // With room for one it may have been sent before the receiver went.
            assert!(second == Err(SendError(2)) || capacity == 1);
        }
    });
}

/// A receiver that is cancelled takes no message away from the one that goes on waiting.
#[test]
fn with_a_receiver_that_is_cancelled() {
    for capacity in [Some(0), None] {
        model(move || {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let other = receiver.clone();
            let task = Task::spawn(move || other.recv());
            let producer = thread::spawn(move || sender.send(1));
            task.cancel();
            match task.join() {
                Some(received) => assert_eq!(received, Ok(1)),
                None => assert_eq!(receiver.recv(), Ok(1)),
            }
            assert_eq!(producer.join().unwrap(), Ok(()));
            assert_eq!(receiver.recv(), Err(RecvError));
        });
    }
}

/// A send that is cancelled has sent its message or has not.
#[test]
fn with_a_sender_that_is_cancelled() {
    for capacity in [0, 1] {
        model(move || {
            let (sender, receiver) = bounded(capacity);
            (0..capacity).for_each(|_| sender.send(0).unwrap());
            let task = Task::spawn(move || sender.send(1));
            let consumer = thread::spawn(move || receiver.iter().sum::<usize>());
            task.cancel();
            let sent = task.join();
            assert_ne!(sent, Some(Err(SendError(1))));
            assert_eq!(consumer.join().unwrap(), usize::from(sent.is_some()));
        });
    }
}
