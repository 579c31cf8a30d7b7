//! Mutexes.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use ropewalk_sync::mutex::Mutex;

use crate::support::{Task, explore, model};

/// A mutex around something that loom sees touched.
type Tracked = Mutex<UnsafeCell<usize>>;

fn tracked() -> Arc<Tracked> {
    Arc::new(Mutex::new(UnsafeCell::new(0)))
}

fn increment(mutex: &Tracked) {
    let guard = mutex.lock().unwrap();
    // SAFETY: the lock is held; that this is enough is what the models are about.
    guard.with_mut(|count| unsafe { *count += 1 });
}

fn count(mutex: &Tracked) -> usize {
    // SAFETY: as above.
    mutex.try_lock().unwrap().with(|count| unsafe { *count })
}

/// One locks again and again: the other may be woken, come too late, and then be handed the lock.
#[test]
fn with_a_task_that_barges() {
    model(|| {
        let mutex = tracked();
        let other = mutex.clone();
        let thread = thread::spawn(move || increment(&other));
        (0..3).for_each(|_| increment(&mutex));
        thread.join().unwrap();
        assert_eq!(count(&mutex), 4);
    });
}

#[test]
fn with_a_queue() {
    model(|| {
        let mutex = tracked();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let mutex = mutex.clone();
                thread::spawn(move || increment(&mutex))
            })
            .collect();
        increment(&mutex);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(count(&mutex), 3);
    });
}

/// A waiter is cancelled while it is woken, or handed the lock, or on its way: the one behind it gets its turn.
#[test]
fn with_a_waiter_that_is_cancelled() {
    for cancel_first in [true, false] {
        model(move || {
            let mutex = tracked();
            let guard = mutex.lock().unwrap();
            let (first, second) = (mutex.clone(), mutex.clone());
            let first = Task::spawn(move || increment(&first));
            let second = thread::spawn(move || increment(&second));
            // SAFETY: the lock is held.
            guard.with_mut(|count| unsafe { *count += 1 });
            if cancel_first {
                first.cancel();
            }
            drop(guard);
            if !cancel_first {
                first.cancel();
            }
            let counted = usize::from(first.join().is_some());
            second.join().unwrap();
            assert_eq!(count(&mutex), 2 + counted);
        });
    }
}

/// Who tries takes the lock without a look at the list, even while somebody is on the way.
#[test]
fn with_a_task_that_tries() {
    // Four threads: with three forced switches this one would take longer than all others together.
    explore(2, || {
        let mutex = tracked();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let mutex = mutex.clone();
                thread::spawn(move || increment(&mutex))
            })
            .collect();
        let other = mutex.clone();
        let tries = thread::spawn(move || {
            let guard = other.try_lock().ok()?;
            // SAFETY: the lock is held.
            guard.with_mut(|count| unsafe { *count += 1 });
            Some(())
        });
        increment(&mutex);
        increment(&mutex);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let tried = usize::from(tries.join().unwrap().is_some());
        assert_eq!(count(&mutex), 4 + tried);
    });
}
