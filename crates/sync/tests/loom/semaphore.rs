//! Semaphores.

use std::rc::Rc;
use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use ropewalk_sync::semaphore::Semaphore;

use crate::support::{Task, model};

#[test]
fn gives_each_permit_to_one() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        // Loom's threads take turns on one, so this may be shared.
        let inside = Rc::new(UnsafeCell::new(0));
        let enter = |semaphore: &Semaphore, inside: &UnsafeCell<usize>| {
            let _permit = semaphore.acquire();
            // SAFETY: there is one permit; that this is enough is what the model is about.
            inside.with_mut(|count| unsafe { *count += 1 });
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (semaphore, inside) = (semaphore.clone(), inside.clone());
                thread::spawn(move || enter(&semaphore, &inside))
            })
            .collect();
        enter(&semaphore, &inside);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // SAFETY: all others have ended.
        assert_eq!(inside.with(|count| unsafe { *count }), 3);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// A large request leaves, and those behind it get what is there; no permit is lost whatever comes first.
#[test]
fn with_a_large_request_that_is_cancelled() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let (large, small) = (semaphore.clone(), semaphore.clone());
        let large = Task::spawn(move || drop(large.acquire_many(2)));
        let small = thread::spawn(move || drop(small.acquire()));
        semaphore.add_permits(1);
        large.cancel();
        assert!(large.join().is_none());
        small.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}
