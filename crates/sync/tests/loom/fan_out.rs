//! `oneshot`, `watch`, `broadcast`.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use ropewalk_sync::broadcast::{self, Policy};
use ropewalk_sync::{oneshot, watch};

use crate::support::{explore, model};

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
