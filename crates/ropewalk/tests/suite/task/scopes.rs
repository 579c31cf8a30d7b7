//! Scopes that fail by values, many functions at once, failures inside shields, and deadlines that children inherit.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::channel::bounded;
use ropewalk::time::{Instant, now};
use ropewalk::{
    Clock, Runtime, TryScope, coroutine, join_all, race, scope, shield, thread, timeout, try_scope,
};

use crate::support::{LONG, PLANS, Plan, Tracker, guarded, on_every_plan, runtime, until};

fn fallible<'env, T, E: Send + 'env>(
    plan: Plan,
    f: impl for<'scope> FnOnce(TryScope<'scope, 'env, E>) -> Result<T, E>,
) -> Result<T, E> {
    match plan {
        Plan::Coroutine => try_scope(f),
        Plan::Thread => thread::try_scope(f),
    }
}

#[test]
fn without_a_failure_the_block_gives_its_value_and_children_theirs() {
    on_every_plan(|plan| {
        let words = ["rope", "walk"];
        let sum = fallible(plan, |s| {
            let lengths = words.each_ref().map(|word| s.try_spawn(move || Ok::<_, String>(word.len())));
            Ok(lengths.into_iter().map(|length| length.join()).sum::<usize>())
        });
        assert_eq!(sum, Ok(8));
    });
}

#[test]
fn the_first_error_of_a_child_ends_the_others_and_the_block() {
    on_every_plan(|plan| {
        let tracker = Tracker::new();
        let result: Result<(), &str> = fallible(plan, |s| {
            let value = tracker.value();
            let sibling = s.try_spawn(move || {
                let _value = value;
                coroutine::sleep(LONG);
                Ok(())
            });
            s.try_spawn(|| Err::<(), _>("out of ink"));
            sibling.join(); // unwinds from here, whether that has ended by now or not
            unreachable!("the block is interrupted")
        });
        assert_eq!((result, tracker.drops()), (Err("out of ink"), 1));
    });
}

#[test]
fn a_later_error_is_dropped_and_to_join_a_child_that_failed_unwinds() {
    on_every_plan(|plan| {
        let result: Result<(), u32> = fallible(plan, |s| {
            let first = s.try_spawn(|| Err::<(), _>(1));
            s.try_spawn(|| {
                let slept = catch_unwind(|| coroutine::sleep(LONG));
                assert!(slept.is_err(), "it was cancelled");
                Err::<(), _>(2)
            });
            until(|| first.is_finished());
            first.join();
            unreachable!("it has failed")
        });
        assert_eq!(result, Err(1));
    });
}

#[test]
fn an_error_of_the_block_cancels_the_children() {
    on_every_plan(|plan| {
        let tracker = Tracker::new();
        let result: Result<(), &str> = fallible(plan, |s| {
            let value = tracker.value();
            s.scope().spawn(move || {
                let _value = value;
                coroutine::sleep(LONG);
            });
            Err("closed")
        });
        assert_eq!((result, tracker.drops()), (Err("closed"), 1));
    });
}

#[test]
fn a_panic_of_a_child_is_a_panic_of_the_scope_and_children_start_children() {
    on_every_plan(|plan| {
        let run = AssertUnwindSafe(|| {
            fallible(plan, |s| {
                s.try_spawn(|| -> Result<(), u32> { resume_unwind(Box::new("no message, please")) });
                Ok(())
            })
        });
        let payload = catch_unwind(run).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"a task of the scope failed"));
        let result = fallible(plan, |s| {
            let inner = s.clone();
            s.try_spawn(move || {
                inner.try_spawn(|| Err::<(), _>(7));
                Ok(())
            });
            Ok(())
        });
        assert_eq!(result, Err(7));
    });
}

#[test]
fn join_all_gives_every_end_in_order() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let ends = join_all((0..20_u64).map(|n| {
                move || {
                    coroutine::sleep(Duration::from_micros(20 - n));
                    if n == 7 { resume_unwind(Box::new(n)) } else { n }
                }
            }));
            for (n, end) in ends.into_iter().enumerate() {
                match end {
                    Ok(value) => assert_eq!(value, n as u64),
                    Err(error) => assert_eq!((error.downcast::<u64>().unwrap(), n), (7, 7)),
                }
            }
            assert!(join_all(std::iter::empty::<fn()>()).is_empty());
        })
        .join()
        .unwrap();
    });
}

#[test]
fn the_first_success_wins_and_the_others_are_cancelled() {
    on_every_plan(|plan| {
        plan.spawn(|| {
            let tracker = Tracker::new();
            let runners = (0..10).map(|n| {
                let value = tracker.value();
                move || {
                    let _value = value;
                    match n {
                        3 => Ok(n),
                        5 => Err(()),
                        _ => {
                            coroutine::sleep(LONG);
                            Err(())
                        }
                    }
                }
            });
            assert_eq!(race(runners), Ok(3));
            assert_eq!(tracker.drops(), 10, "all have ended");
            let errors = race([3, 1, 2].map(|n| move || Err::<(), _>(n)));
            assert_eq!(errors, Err(vec![3, 1, 2]));
            assert_eq!(race(std::iter::empty::<fn() -> Result<(), ()>>()), Err(vec![]));
        })
        .join()
        .unwrap();
    });
}

#[test]
fn a_cancelled_race_ends_its_runners() {
    on_every_plan(|plan| {
        let started = std::sync::Arc::new(AtomicUsize::new(0));
        let tracker = Tracker::new();
        let value = tracker.value();
        let handle = plan.spawn({
            let started = started.clone();
            move || {
                let runner = move || {
                    let _value = value;
                    started.fetch_add(1, SeqCst);
                    coroutine::sleep(LONG);
                    Ok::<_, ()>(())
                };
                race([runner])
            }
        });
        until(|| started.load(SeqCst) == 1);
        handle.cancel();
        assert!(handle.join().unwrap_err().is_cancelled());
        assert_eq!(tracker.drops(), 1);
    });
}

/// The failure of a child of a scope inside of a shield is no matter of the shield.
#[test]
fn a_scope_inside_a_shield_fails_at_once() {
    on_every_plan(|plan| {
        let (_sender, receiver) = bounded::<()>(0);
        let inside = AssertUnwindSafe(|| {
            shield(LONG, || {
                plan.scope(|s| {
                    s.spawn(|| resume_unwind(Box::new("no message, please")));
                    let _ = receiver.recv(); // for ever
                });
            });
        });
        let payload = catch_unwind(inside).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"a task of the scope failed"));
    });
}

#[test]
fn a_shield_inside_a_scope_holds_off_its_failure() {
    on_every_plan(|plan| {
        // Also where scope and shield stand inside of another shield.
        for outer in [false, true] {
            let mut cleaned = false;
            let body = AssertUnwindSafe(|| {
                let mut with_scope = || {
                    plan.scope(|s| {
                        let child = s.spawn(|| resume_unwind(Box::new("no message, please")));
                        shield(LONG, || {
                            until(|| child.is_finished());
                            coroutine::sleep(Duration::from_millis(1));
                            cleaned = true;
                        });
                        coroutine::sleep(LONG); // here it comes
                    });
                };
                if outer { shield(LONG, with_scope) } else { with_scope() }
            });
            let payload = catch_unwind(body).unwrap_err();
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"a task of the scope failed"));
            assert!(cleaned);
        }
    });
}

#[test]
fn a_cancellation_waits_for_the_shield_around_a_scope() {
    on_every_plan(|plan| {
        let (go, gate) = bounded::<()>(0);
        let (tell, told) = bounded::<()>(0);
        let handle = plan.spawn(move || {
            let done = shield(LONG, || {
                plan.scope(|s| {
                    s.spawn(|| gate.recv().is_ok()).join().unwrap() // ends by itself, though the parent is cancelled
                })
            });
            tell.send(()).unwrap_or(()); // the cancellation comes here at the latest
            done
        });
        handle.cancel();
        let _ = go.send_timeout((), LONG);
        drop(told);
        // It was cancelled before it started, or it was not and the shield held.
        if let Ok(done) = handle.join() {
            assert!(done);
        }
    });
}

#[test]
fn children_of_a_scope_inherit_its_deadline() {
    // The blocks never wait before their children have ended, so nobody but the deadline can end those.
    fn compute_until(finished: impl Fn() -> bool) {
        while !finished() {
            std::thread::yield_now();
        }
    }

    for plan in PLANS {
        guarded(move || {
            let limit = Duration::from_millis(5);
            runtime(3).run(|| {
                let start = Instant::now();
                let seen = AtomicUsize::new(0);
                // The blocks are through, but a child is not: that must not look like a success.
                let done = timeout(limit, || {
                    plan.scope(|s| {
                        let child = s.spawn(|| {
                            plan.scope(|s| {
                                let grandchild = s.spawn(|| {
                                    let slept = catch_unwind(|| coroutine::sleep(LONG));
                                    seen.fetch_add(usize::from(slept.is_err()), SeqCst);
                                    coroutine::sleep(LONG); // unwinds from here, too
                                });
                                compute_until(|| grandchild.is_finished());
                            });
                        });
                        compute_until(|| child.is_finished());
                    });
                });
                assert!(done.is_err() && start.elapsed() >= limit, "{plan:?}: {done:?}");
                assert_eq!(seen.into_inner(), 1, "{plan:?}");
            });
        });
    }
    // A child of a scope outside of the timeout has none.
    guarded(|| {
        Runtime::builder().clock(Clock::Virtual).build().unwrap().run(|| {
            let start = now();
            scope(|s| {
                let late = timeout(Duration::from_secs(1), || {
                    s.spawn(|| coroutine::sleep(Duration::from_secs(5)));
                    coroutine::sleep(LONG);
                });
                assert!(late.is_err());
            });
            assert_eq!(now() - start, Duration::from_secs(5));
        });
        runtime(1).run(|| {
            let inside = timeout(LONG, || scope(|s| s.spawn(|| 7).join().unwrap()));
            assert_eq!(inside, Ok(7));
        });
    });
}
