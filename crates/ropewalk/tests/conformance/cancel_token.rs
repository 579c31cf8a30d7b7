//! Cancel tokens: whom they reach, and what goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::channel::{bounded, select, unbounded};
use ropewalk::{CancelToken, coroutine, scope, shield, thread, timeout};
use ropewalk_sync::park::WaitReason::{ChannelReceive, ScopeEnd, Select, Sleep, TokenWait};

use crate::support::{End, LONG, Numbers, Task, elapse, let_others_run, on_every_plan, swallow, until};

#[test]
fn who_waits_for_a_token_or_for_one_below_goes_on() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        let child = token.child();
        let tasks: Vec<_> = [token.clone(), token.clone(), child.clone(), child.child()]
            .into_iter()
            .map(|token| plans.waiting(TokenWait, move || token.wait()))
            .collect();
        let beside = token.child();
        beside.cancel();
        assert!(
            tasks.iter().all(|task| !task.is_finished()),
            "what is below does not reach up, or to the side"
        );
        token.cancel();
        tasks.into_iter().for_each(Task::value);
        assert!(child.is_cancelled());
        child.wait();
        token.cancel();
    });
}

#[test]
fn a_wait_with_a_limit_says_whether_the_token_was_cancelled() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        assert!(!token.wait_timeout(Duration::ZERO));
        assert!(!token.wait_timeout(Duration::from_millis(1)));
        let other = token.clone();
        let task = plans.waiting(TokenWait, move || other.wait_timeout(LONG));
        token.cancel();
        assert!(task.value());
        assert!(token.wait_timeout(Duration::ZERO));
    });
}

#[test]
fn who_is_cancelled_while_it_waits_is_gone() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        let [first, second] = [(); 2].map(|()| {
            let token = token.clone();
            plans.waiting(TokenWait, move || token.wait())
        });
        first.cancel();
        assert_eq!(first.join(), End::Cancelled);
        elapse(|| token.wait());
        assert!(!second.is_finished());
        token.cancel();
        second.value();
    });
}

#[test]
fn a_select_hears_of_it() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        let (sender, receiver) = unbounded::<u32>();
        let child = token.child();
        let task = plans.waiting(Select, move || {
            let mut sum = 0;
            loop {
                select! {
                    recv(receiver) -> number => sum += number.unwrap(),
                    recv(child.cancelled()) -> message => break (sum, message.is_err()),
                }
            }
        });
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        until(|| sender.is_empty());
        token.cancel();
        assert_eq!(task.value(), (3, true));
        assert!(token.cancelled().recv().is_err(), "also where nobody had asked before");
    });
}

#[test]
fn a_block_unwinds_from_its_wait_and_its_task_goes_on() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        let (other, drops) = (token.clone(), Arc::new(AtomicUsize::new(0)));
        let counter = drops.clone();
        let task = plans.waiting(Sleep, move || {
            let error = other.run(|| {
                let _guard = OnDrop(&counter);
                coroutine::sleep(LONG);
            });
            assert_eq!(counter.load(SeqCst), 1, "destructors have run");
            assert!(error.is_err());
            coroutine::sleep(Duration::from_millis(1)); // a wait, which nothing ends early
            assert!(other.run(|| unreachable!("the token is cancelled already")).is_err());
            "goes on"
        });
        token.cancel_with("enough");
        assert_eq!(task.value(), "goes on");
        assert_eq!(drops.load(SeqCst), 1);
    });
}

struct OnDrop<'a>(&'a AtomicUsize);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn of_blocks_in_one_another_the_right_one_ends() {
    on_every_plan(|plans| {
        let nested = |outer: CancelToken, inner: CancelToken| {
            move || {
                outer.run(|| {
                    let error = inner.run(|| coroutine::sleep(LONG));
                    assert!(error.is_err());
                    coroutine::sleep(Duration::from_millis(1));
                    "the inner one"
                })
            }
        };
        let (outer, inner) = (CancelToken::new(), CancelToken::new());
        let task = plans.waiting(Sleep, nested(outer.clone(), inner.clone()));
        inner.cancel();
        assert_eq!(task.value().unwrap(), "the inner one");

        let (outer, inner) = (CancelToken::new(), CancelToken::new());
        let task = plans.waiting(Sleep, nested(outer.clone(), inner));
        outer.cancel();
        assert!(task.value().is_err());

        // Both: the inner one ends, and the outer one at the next wait.
        let outer = CancelToken::new();
        let task = plans.waiting(Sleep, nested(outer.clone(), outer.child()));
        outer.cancel();
        assert!(task.value().is_err());
    });
}

#[test]
fn the_cancellation_of_its_task_passes_through_a_block() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        let other = token.clone();
        let task = plans.waiting(Sleep, move || other.run(|| coroutine::sleep(LONG)).is_ok());
        task.cancel();
        assert_eq!(task.join(), End::Cancelled);
        token.cancel(); // and nothing of the block is left in the token
        assert!(token.is_cancelled());
    });
}

#[test]
fn what_a_block_returns_all_the_same_counts() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        let (go, gate) = bounded(1);
        let other = token.clone();
        let task = plans.waiting(ChannelReceive, move || {
            other.run(|| {
                swallow(|| gate.recv().unwrap());
                other.is_cancelled()
            })
        });
        token.cancel();
        assert!(task.value().unwrap());
        assert!(go.send(()).is_err());
        assert_eq!(CancelToken::new().run(|| 42).unwrap(), 42);
        // Nothing stays with the task of a block that was cancelled and has not waited since.
        let token = CancelToken::new();
        assert_eq!(token.run(|| token.cancel()).ok(), Some(()));
        coroutine::sleep(Duration::from_millis(1));
    });
}

#[test]
fn a_scope_in_a_block_ends_its_children_first() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        let (started, begun) = unbounded();
        let (other, ended) = (token.clone(), Arc::new(AtomicUsize::new(0)));
        let counter = ended.clone();
        let task = plans.waiting(ScopeEnd, move || {
            let child = || {
                let _guard = OnDrop(&counter);
                started.send(()).unwrap();
                coroutine::sleep(LONG);
            };
            let result = other.run(|| {
                scope(|s| {
                    s.spawn(child);
                    thread::scope(|t| {
                        t.spawn(child);
                    });
                });
            });
            (result.is_err(), counter.load(SeqCst))
        });
        (0..2).for_each(|_| begun.recv().unwrap());
        token.cancel();
        assert_eq!(task.value(), (true, 2));
    });
}

#[test]
fn a_shield_in_a_block_puts_the_end_off() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        let (go, gate) = bounded(1);
        let other = token.clone();
        let task = plans.waiting(ChannelReceive, move || {
            let mut tidied = false;
            let result = other.run(|| {
                shield(LONG, || tidied = gate.recv().is_ok());
                coroutine::sleep(LONG);
            });
            (tidied, result.is_err())
        });
        token.cancel();
        (0..10).for_each(|_| let_others_run());
        go.send(()).unwrap();
        assert_eq!(task.value(), (true, true));
    });
}

#[test]
fn timeouts_inside_and_around_a_block_stay_themselves() {
    on_every_plan(|_| {
        let token = CancelToken::new();
        let inside = token.run(|| timeout(Duration::from_millis(1), || coroutine::sleep(LONG)));
        assert!(inside.unwrap().is_err());
        let around = timeout(Duration::from_millis(1), || token.run(|| coroutine::sleep(LONG)));
        assert!(around.is_err());
    });
}

#[test]
fn attached_tasks_are_cancelled_those_that_come_late_too() {
    on_every_plan(|plans| {
        let token = CancelToken::new();
        let child = token.child();
        let early = plans.waiting(Sleep, || coroutine::sleep(LONG));
        let below = plans.waiting(Sleep, || coroutine::sleep(LONG));
        let beside = plans.waiting(Sleep, || coroutine::sleep(LONG));
        let over = plans.spawn(|| "over");
        early.attach_to(&token);
        below.attach_to(&child);
        over.attach_to(&token);
        until(|| over.is_finished());
        token.cancel();
        assert_eq!((early.join(), below.join()), (End::Cancelled, End::Cancelled));
        assert_eq!(over.value(), "over");
        beside.attach_to(&child);
        assert_eq!(beside.join(), End::Cancelled);
    });
}

/// Tokens that are cancelled at any moment: every block ends, and none of its task's other waits.
#[test]
fn cancellations_at_any_moment_hit_the_block_and_nothing_else() {
    on_every_plan(|plans| {
        let mut numbers = Numbers(7);
        for _ in 0..30 {
            let root = CancelToken::new();
            let tokens: Vec<_> = (0..4).map(|_| root.child()).collect();
            let tasks: Vec<_> = tokens
                .iter()
                .map(|token| {
                    let token = token.clone();
                    plans.spawn(move || {
                        let result = token.run(|| {
                            loop {
                                coroutine::yield_now();
                            }
                        });
                        coroutine::yield_now();
                        result.is_err()
                    })
                })
                .collect();
            for token in &tokens[..numbers.below(4) as usize] {
                (0..numbers.below(4)).for_each(|_| let_others_run());
                token.cancel();
            }
            root.cancel();
            assert!(tasks.into_iter().all(Task::value));
        }
    });
}
