//! The word that a wake-up is left in.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::thread;

use ropewalk_sync::park::{self, Unparker};

use crate::support::{Suspendable, model, wait};

/// Two callers, and an owner that may be awake, asleep or anything in between: it sees what each did before calling.
fn two_callers_and_a_sleeper() {
    let done: [Arc<AtomicBool>; 2] = Default::default();
    for flag in done.clone() {
        let owner = Unparker::current();
        thread::spawn(move || {
            flag.store(true, Relaxed);
            owner.unpark();
        });
    }
    while !done.iter().all(|flag| flag.load(Relaxed)) {
        assert!(park::park(&wait()).is_ok());
    }
}

#[test]
fn of_a_thread_loses_no_wake_up() {
    model(two_callers_and_a_sleeper);
}

#[test]
fn of_a_coroutine_loses_no_wake_up() {
    model(|| Suspendable::run(two_callers_and_a_sleeper));
}
