//! Cancel tokens.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use ropewalk_sync::cancel_token::CancelToken;

use crate::support::{Task, explore, model};

/// What was done before a cancellation is seen by whoever hears of it, by a wait or by a look, also below.
#[test]
fn a_token_orders_what_was_before_it() {
    model(|| {
        let (token, written) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
        let (child, seen) = (token.child(), written.clone());
        let waits = thread::spawn(move || {
            child.wait();
            assert_eq!(seen.load(Relaxed), 1);
        });
        let (other, seen) = (token.clone(), written.clone());
        let looks = thread::spawn(move || {
            if other.is_cancelled() {
                assert_eq!(seen.load(Relaxed), 1);
            }
        });
        written.store(1, Relaxed);
        token.cancel();
        waits.join().unwrap();
        looks.join().unwrap();
    });
}

/// A child that is born while its parent is cancelled is cancelled, by the one or by the other.
#[test]
fn no_child_slips_through() {
    model(|| {
        let token = CancelToken::new();
        let other = token.clone();
        let parent = thread::spawn(move || {
            let child = other.child();
            child.wait();
        });
        token.cancel();
        parent.join().unwrap();
        assert!(token.child().is_cancelled());
    });
}

/// Two who cancel, one of them below, and a child that goes meanwhile.
#[test]
fn children_go_while_tokens_are_cancelled() {
    explore(2, || {
        let token = CancelToken::new();
        let (child, gone) = (token.child(), token.child());
        let below = child.clone();
        let cancels = thread::spawn(move || below.cancel());
        let goes = thread::spawn(move || drop(gone));
        token.cancel();
        assert!(child.is_cancelled());
        cancels.join().unwrap();
        goes.join().unwrap();
    });
}

/// Who waits is cancelled itself, or hears of the token: nothing of it stays in the list.
#[test]
fn a_wait_that_is_cancelled_leaves() {
    model(|| {
        let token = CancelToken::new();
        let other = token.clone();
        let task = Task::spawn(move || other.wait());
        task.cancel();
        token.cancel();
        task.join();
    });
}
