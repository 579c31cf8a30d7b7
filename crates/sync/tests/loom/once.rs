//! What is done once.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

use ropewalk_sync::once::Once;

use crate::support::{Task, model};

/// What was done is seen by all who come back from the call, and by whoever is told that it is done.
#[test]
fn is_done_once_and_seen_by_all() {
    model(|| {
        let shared = Arc::new((Once::new(), AtomicUsize::new(0)));
        let call = |(once, done): &(Once, AtomicUsize)| {
            once.call_once(|| done.store(done.load(Relaxed) + 1, Relaxed));
            assert_eq!(done.load(Relaxed), 1);
        };
        let threads = [(); 2].map(|()| {
            let shared = shared.clone();
            thread::spawn(move || call(&shared))
        });
        if shared.0.is_completed() {
            assert_eq!(shared.1.load(Relaxed), 1);
        }
        call(&shared);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// One that waits is cancelled, and perhaps does it itself before it hears of that. (What a call that is cancelled leaves
/// behind cannot be shown here: see the module. The conformance suite does.)
#[test]
fn with_a_waiter_that_is_cancelled() {
    model(|| {
        let shared = Arc::new((Once::new(), AtomicUsize::new(0)));
        let call = |(once, done): &(Once, AtomicUsize)| {
            once.call_once(|| done.store(done.load(Relaxed) + 1, Relaxed));
        };
        let other = shared.clone();
        let task = Task::spawn(move || call(&other));
        let other = shared.clone();
        let waits = thread::spawn(move || {
            other.0.wait();
            assert_eq!(other.1.load(Relaxed), 1);
        });
        task.cancel();
        call(&shared);
        assert_eq!(shared.1.load(Relaxed), 1);
        task.join();
        waits.join().unwrap();
    });
}
