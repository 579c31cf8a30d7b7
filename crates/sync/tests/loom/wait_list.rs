//! The list that every primitive is built on.

use std::sync::Arc;

use loom::thread;

use ropewalk_sync::park::{Interrupt, Unparker, Unwind};
use ropewalk_sync::wait_list::{Place, WaitList};

use crate::support::{Task, model, wait};

/// What is left in the slot is read without the lock: loom sees the slot's cell.
#[test]
fn hands_over_what_the_notifier_leaves() {
    model(|| {
        let list = Arc::new(WaitList::<bool, usize>::new(false));
        let other = list.clone();
        let notifier = thread::spawn(move || {
            let mut ready = other.lock();
            *ready = true;
            let unparker = ready.notify_first(7);
            drop(ready);
            unparker.map(Unparker::unpark).is_some()
        });
        let ready = list.lock();
        let got = if *ready { None } else { list.wait_with(ready, &wait(), 1, Place::Last).ok() };
        assert_eq!(got, notifier.join().unwrap().then_some(7));
    });
}

#[test]
fn wakes_everybody() {
    model(|| {
        let list = Arc::new(WaitList::<bool>::new(false));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let list = list.clone();
                thread::spawn(move || {
                    let ready = list.lock();
                    if !*ready {
                        assert_eq!(list.wait(ready, &wait()), Ok(0));
                    }
                })
            })
            .collect();
        *list.lock() = true;
        list.notify_all();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert!(list.lock().is_empty());
    });
}

/// Notified and cancelled at once: who was given something has it, and nobody else thinks so.
#[test]
fn lets_the_result_win() {
    model(|| {
        let list = Arc::new(WaitList::<(), usize>::default());
        let other = list.clone();
        let task = Task::spawn(move || match other.wait_with(other.lock(), &wait(), 1, Place::Last) {
            Ok(slot) => Some(slot),
            Err(left) => {
                assert_eq!((left.interrupt, left.slot), (Interrupt::Raise(Unwind::Cancelled), 1));
                None
            }
        });
        let other = list.clone();
        let notifier = thread::spawn(move || {
            let unparker = other.lock().notify_first(7);
            unparker.map(Unparker::unpark).is_some()
        });
        task.cancel();
        let notified = notifier.join().unwrap();
        assert_eq!(task.join(), Some(notified.then_some(7)));
        assert!(list.lock().is_empty());
    });
}
