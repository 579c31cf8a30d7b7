//! Cancel tokens over all plans, deep trees of them, and what they leave behind. What they promise whoever waits is in the
//! conformance tests.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ropewalk::channel::TryRecvError;
use ropewalk::{CancelToken, TokenCancelled, coroutine, process, thread, try_scope};

use crate::support::child::{Child, case, test_name};
use crate::support::{LONG, guarded, on_every_pair, runtime};

#[test]
fn one_token_ends_tasks_of_every_plan() {
    guarded(|| {
        runtime(2).run(|| {
            let token = CancelToken::new();
            let process = process::spawn(|()| coroutine::sleep(LONG), ()).unwrap();
            let coroutine = coroutine::spawn(|| coroutine::sleep(LONG));
            let thread = thread::spawn(|| coroutine::sleep(LONG));
            let unstarted = coroutine::Builder::new().create(|| ()).unwrap();
            token.attach(&process);
            token.attach(&coroutine.task());
            token.child().attach(&thread); // a child that goes leaves its tasks alone
            token.attach(&thread);
            token.attach(&unstarted);
            token.cancel();
            for handle in [process, coroutine, thread, unstarted.start().unwrap()] {
                let error = handle.join().unwrap_err();
                assert!(error.is_cancelled(), "{error}");
            }
        });
    });
}

#[test]
fn children_of_scopes_can_be_attached() {
    on_every_pair(|_| {
        let token = CancelToken::new();
        let result = try_scope(|s| {
            let failing = s.try_spawn(|| -> Result<(), &str> {
                coroutine::sleep(LONG);
                Ok(())
            });
            token.attach(&failing);
            let plain = s.scope().spawn(|| coroutine::sleep(LONG));
            token.attach(&plain);
            assert!(!failing.is_finished() && !plain.is_finished());
            Err::<(), _>("the block")
        });
        assert_eq!(result, Err("the block"));
        token.cancel(); // what is attached has ended, and is none of its affair any more
    });
}

#[test]
fn a_panic_passes_through_a_block() {
    on_every_pair(|_| {
        let token = CancelToken::new();
        let panics = || token.run(|| std::panic::resume_unwind(Box::new("expected")));
        let payload = catch_unwind(AssertUnwindSafe(panics)).map(drop).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"expected"));
        token.cancel();
        coroutine::yield_now(); // the block has left nothing behind
    });
}

#[test]
fn the_cause_is_that_of_the_first_who_cancelled() {
    guarded(|| {
        let token = CancelToken::new();
        let (before, with_a_cause_of_its_own) = (token.child(), token.child());
        with_a_cause_of_its_own.cancel_with("its own");
        assert!(token.cause().is_none());
        token.cancel_with(io::Error::from(io::ErrorKind::TimedOut));
        token.cancel_with("too late");
        let kind = |token: &CancelToken| token.cause()?.downcast_ref::<io::Error>().map(io::Error::kind);
        for token in [&token, &before, &token.child()] {
            assert!(token.is_cancelled());
            assert_eq!(kind(token), Some(io::ErrorKind::TimedOut));
        }
        assert_eq!(with_a_cause_of_its_own.cause().unwrap().to_string(), "its own");
        let error = token.run(|| ()).unwrap_err();
        assert!(error.cause().is_some() && std::error::Error::source(&error).is_some());
        let error = io::Error::from(error);
        assert!(
            error.get_ref().unwrap().is::<TokenCancelled>() && error.kind() != io::ErrorKind::Interrupted
        );
        let plain = CancelToken::new();
        plain.cancel();
        assert_eq!(plain.run(|| ()).unwrap_err().to_string(), "cancelled");
    });
}

#[test]
fn a_guard_cancels_however_its_block_ends() {
    guarded(|| {
        let token = CancelToken::new();
        let unwinds = || {
            let _guard = token.child().drop_guard();
            let _all = token.clone().drop_guard();
            std::panic::resume_unwind(Box::new("expected"))
        };
        assert!(catch_unwind(AssertUnwindSafe(unwinds)).map(drop).is_err());
        assert!(token.is_cancelled());
        let token = CancelToken::new().drop_guard().disarm();
        assert!(!token.is_cancelled());
    });
}

#[test]
fn a_receiver_is_connected_as_long_as_somebody_could_cancel() {
    guarded(|| {
        let token = CancelToken::new();
        let (child, receiver) = (token.child(), token.cancelled().clone());
        drop(token);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "the child keeps it");
        drop(child);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        let token = CancelToken::new();
        let before = token.cancelled().clone();
        token.cancel();
        assert_eq!(before.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(CancelToken::new().cancelled().try_recv(), Err(TryRecvError::Empty));
        assert_eq!(token.cancelled().try_recv(), Err(TryRecvError::Disconnected));
    });
}

/// A line of tokens as long as no stack is deep: to cancel it and to drop it are loops.
#[test]
fn a_long_line_of_tokens_takes_no_stack() {
    let line = |length| {
        let root = CancelToken::new();
        let leaf = (0..length).fold(root.clone(), |token, _| token.child());
        (root, leaf)
    };
    guarded(|| {
        runtime(1).run(move || {
            let (root, leaf) = line(100_000);
            root.cancel();
            assert!(leaf.is_cancelled());
            drop(root);
            drop(leaf);
            let (root, leaf) = line(100_000);
            drop((root, leaf));
        });
    });
}

/// The memory of this process that is in use, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A token as long-lived as its service, under which children, blocks and tasks come and go.
#[test]
fn what_has_gone_takes_no_memory() {
    const ROUNDS: usize = 10_000;
    if case().is_none() {
        return Child::new(test_name!(), "here").run().assert_success();
    }
    guarded(|| {
        runtime(1).run(|| {
            let token = CancelToken::new();
            let round = || {
                // Little of each, so many of them.
                for _ in 0..30 {
                    token.child().run(|| ()).unwrap();
                    token.run(|| ()).unwrap();
                }
                let ballast = [0_u8; 16 * 1024]; // of each that is not let go of
                let task = coroutine::spawn(move || ballast.len());
                token.attach(&task);
                task.join().unwrap();
            };
            (0..100).for_each(|_| round());
            let before = resident();
            (0..ROUNDS).for_each(|_| round());
            let grown = resident().saturating_sub(before);
            assert!(grown < ROUNDS / 2, "{grown} KiB after {ROUNDS} rounds, of a task of 16 KiB each");
        });
    });
}
