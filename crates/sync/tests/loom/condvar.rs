//! Condition variables.

use std::sync::Arc;

use loom::thread;

use ropewalk_sync::condvar::Condvar;
use ropewalk_sync::mutex::Mutex;

use crate::support::{Task, model};

#[test]
fn misses_no_notification() {
    model(|| {
        let pair = Arc::new((Mutex::new(false), Condvar::new()));
        let other = pair.clone();
        let setter = thread::spawn(move || {
            *other.0.lock().unwrap() = true;
            other.1.notify_one();
        });
        let guard = pair.1.wait_while(pair.0.lock().unwrap(), |ready| !*ready).unwrap();
        assert!(*guard);
        drop(guard);
        setter.join().unwrap();
    });
}

/// One of two waiters is cancelled, perhaps when it was notified and waits for the lock: then the other hears of the
/// one notification.
#[test]
fn with_a_waiter_that_is_cancelled() {
    model(|| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let take = |pair: &(Mutex<usize>, Condvar)| {
            let mut items = pair.1.wait_while(pair.0.lock().unwrap(), |items| *items == 0).unwrap();
            *items -= 1;
        };
        let (first, second) = (pair.clone(), pair.clone());
        let first = Task::spawn(move || take(&first));
        let second = thread::spawn(move || take(&second));
        let mut items = pair.0.lock().unwrap();
        *items += 1;
        pair.1.notify_one();
        first.cancel();
        drop(items);
        if first.join().is_some() {
            // It took the only item: one more for the other.
            *pair.0.lock().unwrap() += 1;
            pair.1.notify_one();
        }
        second.join().unwrap();
        assert_eq!(*pair.0.lock().unwrap(), 0);
    });
}
