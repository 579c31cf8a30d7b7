//! `scope`: children that borrow, and end with their block.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropewalk::channel::{bounded, unbounded};
use ropewalk::{OnFailure, coroutine, scope, scope_with, shield, timeout};

use crate::support::plan::PLANS;
use crate::support::{LONG, Plan, Spot, Tracker, guarded, on_every_pair, on_every_plan, runtime, until};

/// The message of a panic, if its payload is one.
fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    payload.downcast_ref::<&str>().copied().unwrap_or_default()
}

#[test]
fn children_borrow_and_change_what_is_outside() {
    on_every_pair(|plan| {
        let words = ["rope".to_owned(), "walk".to_owned()];
        let mut lengths = [0; 2];
        let total = plan.scope(|s| {
            let counters: Vec<_> = words
                .iter()
                .zip(&mut lengths)
                .map(|(word, length)| {
                    s.spawn(move || {
                        coroutine::yield_now();
                        *length = word.len();
                        *length
                    })
                })
                .collect();
            counters.into_iter().map(|counter| counter.join().unwrap()).sum::<usize>()
        });
        assert_eq!((total, lengths), (8, [4, 4]));
    });
}

#[test]
fn the_scope_waits_for_children_that_nobody_joins() {
    on_every_pair(|plan| {
        let ended = AtomicUsize::new(0);
        let value = plan.scope(|s| {
            for n in 0..20 {
                let ended = &ended;
                s.spawn(move || {
                    coroutine::sleep(Duration::from_micros(n * 50));
                    ended.fetch_add(1, SeqCst);
                });
            }
            "the block's value"
        });
        assert_eq!((value, ended.load(SeqCst)), ("the block's value", 20));
    });
}

#[test]
fn children_have_children_of_the_same_scope() {
    on_every_pair(|plan| {
        let ended = AtomicUsize::new(0);
        plan.scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..4 {
                        s.spawn(|| {
                            coroutine::yield_now();
                            ended.fetch_add(1, SeqCst);
                        });
                    }
                });
            }
        });
        assert_eq!(ended.load(SeqCst), 16);
    });
}

#[test]
fn scopes_nest() {
    on_every_pair(|plan| {
        let sum = AtomicUsize::new(0);
        plan.scope(|outer| {
            for n in 0..4 {
                let sum = &sum;
                outer.spawn(move || {
                    let inner = PLANS[n % 2].scope(|s| {
                        let parts = [(); 3].map(|()| s.spawn(move || n));
                        parts.into_iter().map(|part| part.join().unwrap()).sum::<usize>()
                    });
                    sum.fetch_add(inner, SeqCst);
                });
            }
        });
        assert_eq!(sum.load(SeqCst), 3 * (1 + 2 + 3));
    });
}

#[test]
fn children_have_names_numbers_and_ends() {
    on_every_pair(|plan| {
        plan.scope(|s| {
            let (go, gate) = bounded::<()>(0);
            let named = s.spawn_named("clerk", move || gate.recv()).expect("a child starts");
            assert_eq!(named.name(), Some("clerk"));
            assert_ne!(named.id(), s.spawn(|| ()).id());
            assert!(!named.is_finished());
            go.send(()).unwrap();
            until(|| named.is_finished());
            assert_eq!(named.join().unwrap(), Ok(()));
        });
    });
}

#[test]
fn the_first_failure_cancels_the_siblings_and_the_block() {
    on_every_pair(|plan| {
        let tracker = Tracker::new();
        let reached = AtomicBool::new(false);
        let payload = catch_unwind(AssertUnwindSafe(|| {
            plan.scope(|s| {
                for _ in 0..5 {
                    let value = tracker.value();
                    s.spawn(move || {
                        let _value = value;
                        coroutine::sleep(LONG);
                    });
                }
                s.spawn(|| resume_unwind(Box::new("fails")));
                coroutine::sleep(LONG);
                reached.store(true, SeqCst);
            });
        }));
        assert_eq!(message(&*payload.unwrap_err()), "a task of the scope failed");
        assert!(!reached.load(SeqCst), "the block was interrupted");
        assert_eq!(tracker.drops(), 5, "the siblings ended before the scope did");
        // And whoever catches that goes on.
        coroutine::sleep(Duration::from_micros(1));
        assert_eq!(plan.scope(|s| s.spawn(|| 42).join().unwrap()), 42);
    });
}

#[test]
fn a_failure_after_the_block_fails_the_scope_too() {
    on_every_pair(|plan| {
        let payload = catch_unwind(|| {
            plan.scope(|s| {
                s.spawn(|| {
                    coroutine::yield_now();
                    resume_unwind(Box::new("late"))
                });
                s.spawn(|| coroutine::sleep(LONG));
            });
        });
        assert_eq!(message(&*payload.unwrap_err()), "a task of the scope failed");
    });
}

#[test]
fn a_cancelled_child_is_a_failure() {
    on_every_pair(|plan| {
        let payload = catch_unwind(|| {
            plan.scope(|s| {
                s.spawn(|| coroutine::sleep(LONG)).cancel();
                coroutine::sleep(LONG);
            });
        });
        assert_eq!(message(&*payload.unwrap_err()), "a task of the scope failed");
    });
}

#[test]
fn a_value_is_never_a_failure() {
    on_every_pair(|plan| {
        let value = plan.scope(|s| {
            s.spawn(|| Err::<(), _>("what a pity"));
            coroutine::sleep(Duration::from_millis(1));
            s.spawn(|| Err::<(), _>("what a pity")).join().unwrap().unwrap_err()
        });
        assert_eq!(value, "what a pity");
    });
}

#[test]
fn a_joined_failure_fails_the_scope_all_the_same() {
    on_every_pair(|plan| {
        let payload = catch_unwind(|| {
            plan.scope(|s| {
                let child = s.spawn(|| resume_unwind(Box::new("seen")));
                let seen = catch_unwind(AssertUnwindSafe(|| child.join().map(drop)));
                assert!(!matches!(seen, Ok(Ok(()))));
            });
        });
        assert_eq!(message(&*payload.unwrap_err()), "a task of the scope failed");
    });
}

#[test]
fn isolated_children_fail_alone() {
    on_every_pair(|plan| {
        let value = plan.scope_with(OnFailure::Isolate, |s| {
            let failures: Vec<_> = (0..5).map(|_| s.spawn(|| resume_unwind(Box::new("alone")))).collect();
            let cancelled = s.spawn(|| coroutine::sleep(LONG));
            cancelled.cancel();
            let sound = s.spawn(|| {
                coroutine::sleep(Duration::from_millis(1));
                42
            });
            for failure in failures {
                assert!(failure.join().map(drop).unwrap_err().is_panic());
            }
            assert!(cancelled.join().unwrap_err().is_cancelled());
            coroutine::sleep(Duration::from_micros(1));
            sound.join().unwrap()
        });
        assert_eq!(value, 42);
    });
}

#[test]
fn a_panic_of_the_block_cancels_the_children_and_comes_out_with_its_payload() {
    on_every_pair(|plan| {
        for on_failure in [OnFailure::Cancel, OnFailure::Isolate] {
            let tracker = Tracker::new();
            let payload = catch_unwind(AssertUnwindSafe(|| {
                plan.scope_with(on_failure, |s| {
                    let value = tracker.value();
                    s.spawn(move || {
                        let _value = value;
                        coroutine::sleep(LONG);
                    });
                    coroutine::yield_now();
                    resume_unwind(Box::new("the block's own"))
                })
            }));
            assert_eq!(message(&*payload.unwrap_err()), "the block's own");
            assert_eq!(tracker.drops(), 1);
        }
    });
}

#[test]
fn the_block_can_cancel_its_children_and_goes_on() {
    on_every_pair(|plan| {
        let value = plan.scope(|s| {
            let children = [(); 3].map(|()| s.spawn(|| coroutine::sleep(LONG)));
            s.cancel();
            let late = s.spawn(|| coroutine::sleep(LONG));
            for child in children.into_iter().chain([late]) {
                assert!(child.join().unwrap_err().is_cancelled());
            }
            42
        });
        assert_eq!(value, 42, "children that the scope itself has cancelled are no failures");
    });
}

#[test]
fn a_cancel_of_the_task_ends_the_children_first() {
    on_every_plan(|plan| {
        for children_plan in PLANS {
            let (tracker, log) = (Tracker::new(), Arc::new(Mutex::new(Vec::new())));
            let spot = Spot::new();
            let task = plan.spawn({
                let (tracker, spot, log) = (tracker.clone(), spot.clone(), log.clone());
                move || {
                    struct Says(Arc<Mutex<Vec<&'static str>>>);
                    impl Drop for Says {
                        fn drop(&mut self) {
                            self.0.lock().unwrap().push("the parent's locals go");
                        }
                    }
                    let says = Says(log);
                    let (started, begun) = bounded(3);
                    children_plan.scope(|s| {
                        for _ in 0..3 {
                            let (value, log, started) = (tracker.value(), &says.0, started.clone());
                            s.spawn(move || {
                                let _value = value;
                                started.send(()).unwrap();
                                let _ = catch_unwind(|| coroutine::sleep(LONG));
                                shield(LONG, || coroutine::sleep(Duration::from_millis(1)));
                                log.lock().unwrap().push("a child ends");
                            });
                        }
                        (0..3).for_each(|_| begun.recv().unwrap());
                        spot.mark();
                        coroutine::sleep(LONG);
                    });
                }
            });
            spot.wait_asleep();
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled(), "a {plan:?} with {children_plan:?}s");
            assert_eq!(tracker.drops(), 3);
            let log = log.lock().unwrap();
            assert_eq!(*log, ["a child ends", "a child ends", "a child ends", "the parent's locals go"]);
        }
    });
}

#[test]
fn a_cancel_at_the_scopes_end_is_not_swallowed_by_it() {
    on_every_plan(|plan| {
        for children_plan in PLANS {
            let believed = Arc::new(AtomicBool::new(false));
            let spot = Spot::new();
            let task = plan.spawn({
                let (spot, believed) = (spot.clone(), believed.clone());
                move || {
                    children_plan.scope(|s| {
                        s.spawn(|| coroutine::sleep(LONG));
                        spot.mark();
                    });
                    believed.store(true, SeqCst); // "the children are through"
                }
            });
            spot.wait_asleep();
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            assert!(!believed.load(SeqCst), "a {plan:?} with {children_plan:?}s");
        }
    });
}

#[test]
fn a_timeout_around_a_scope_ends_the_children_first() {
    on_every_pair(|plan| {
        let tracker = Tracker::new();
        for block_waits in [true, false] {
            let outcome = timeout(Duration::from_millis(1), || {
                plan.scope(|s| {
                    let value = tracker.value();
                    s.spawn(move || {
                        let _value = value;
                        coroutine::sleep(LONG);
                    });
                    if block_waits {
                        coroutine::sleep(LONG);
                    }
                });
            });
            assert!(outcome.is_err(), "the block waits: {block_waits}");
        }
        assert_eq!(tracker.drops(), 2);
    });
}

#[test]
fn children_that_ignore_cancellation_are_waited_for() {
    on_every_pair(|plan| {
        let stop = AtomicBool::new(false);
        let swallowed = AtomicUsize::new(0);
        let _ = catch_unwind(AssertUnwindSafe(|| {
            plan.scope(|s| {
                let (started, begun) = bounded(1);
                let (stop, swallowed) = (&stop, &swallowed);
                s.spawn(move || {
                    started.send(()).unwrap();
                    while !stop.load(SeqCst) {
                        if catch_unwind(|| coroutine::sleep(LONG)).is_err() {
                            // A borrow of the caller's locals, long after the cancel.
                            stop.store(swallowed.fetch_add(1, SeqCst) > 20, SeqCst);
                        }
                    }
                });
                s.spawn(move || {
                    begun.recv().unwrap(); // a child that is cancelled before it starts never does
                    resume_unwind(Box::new("fails"))
                });
            });
        }));
        assert!(swallowed.load(SeqCst) > 20);
    });
}

#[test]
fn a_failure_of_an_inner_scope_stays_inside_if_it_is_caught() {
    on_every_pair(|plan| {
        let value = plan.scope(|outer| {
            let sibling = outer.spawn(|| {
                coroutine::sleep(Duration::from_millis(1));
                42
            });
            let inner = catch_unwind(|| plan.scope(|s| drop(s.spawn(|| resume_unwind(Box::new("inner"))))));
            assert!(inner.is_err());
            coroutine::sleep(Duration::from_micros(1));
            sibling.join().unwrap()
        });
        assert_eq!(value, 42);
    });
}

#[test]
fn a_failure_of_an_outer_scope_ends_the_inner_one_first() {
    on_every_pair(|plan| {
        let tracker = Tracker::new();
        let after_inner = AtomicBool::new(false);
        let payload = catch_unwind(AssertUnwindSafe(|| {
            plan.scope(|outer| {
                let (ready, is_ready) = bounded(0);
                outer.spawn(move || {
                    is_ready.recv().unwrap();
                    resume_unwind(Box::new("outer"))
                });
                plan.scope(|inner| {
                    let value = tracker.value();
                    inner.spawn(move || {
                        let _value = value;
                        ready.send(()).unwrap();
                        coroutine::sleep(LONG);
                    });
                });
                after_inner.store(true, SeqCst);
            });
        }));
        assert_eq!(message(&*payload.unwrap_err()), "a task of the scope failed");
        assert_eq!((tracker.drops(), after_inner.load(SeqCst)), (1, false));
        coroutine::sleep(Duration::from_micros(1));
    });
}

#[test]
fn ended_children_of_a_long_scope_are_freed() {
    on_every_pair(|plan| {
        let tracker = Tracker::new();
        plan.scope_with(OnFailure::Isolate, |s| {
            for _ in 0..200 {
                let value = tracker.value();
                drop(s.spawn(move || value));
            }
            until(|| tracker.drops() == 200);
        });
    });
}

#[test]
fn a_plain_thread_can_open_a_scope() {
    guarded(|| {
        let words = ["rope", "walk"];
        for plan in PLANS {
            let sum: usize = plan.scope(|s| {
                let lengths = words.map(|word| s.spawn(move || word.len()));
                lengths.into_iter().map(|length| length.join().unwrap()).sum()
            });
            assert_eq!(sum, 8);
        }
    });
}

#[test]
fn tasks_of_a_scopes_child_belong_to_its_runtime() {
    guarded(|| {
        for plan in PLANS {
            let ended = Arc::new(AtomicBool::new(false));
            let (open, gate) = bounded::<()>(1);
            runtime(1).run(|| {
                plan.scope(|s| {
                    let ended = ended.clone();
                    s.spawn(move || {
                        drop(Plan::Coroutine.spawn(move || {
                            gate.recv().unwrap();
                            ended.store(true, SeqCst);
                        }));
                    });
                });
                // The scope did not wait: were the detached task its own, it would wait for ever.
                open.send(()).unwrap();
            });
            assert!(ended.load(SeqCst), "but run waits for it");
        }
    });
}

#[test]
fn a_thousand_children_come_and_go() {
    guarded(|| {
        runtime(2).run(|| {
            let (sender, receiver) = unbounded();
            let sum: usize = scope(|s| {
                for n in 0..1000 {
                    let sender = sender.clone();
                    s.spawn(move || {
                        coroutine::yield_now();
                        sender.send(n).unwrap();
                    });
                }
                drop(sender);
                receiver.iter().sum()
            });
            assert_eq!(sum, 999 * 500);
            assert_eq!(scope_with(OnFailure::Isolate, |_| 7), 7, "a scope without children");
        });
    });
}
