//! When tasks end: who is waited for, and what becomes of daemons.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::channel::{bounded, unbounded};
use ropewalk::{Runtime, coroutine, inspect};

use crate::support::plan::PLANS;
use crate::support::{LONG, Plan, Tracker, guarded, on_every_pair, runtime, timed, until};

#[test]
fn run_waits_for_every_task_that_is_no_daemon() {
    fn chain(plan: Plan, length: usize, ended: Arc<AtomicUsize>) {
        coroutine::sleep(Duration::from_millis(1));
        if length > 1 {
            let ended = ended.clone();
            drop(plan.spawn(move || chain(plan, length - 1, ended)));
        }
        ended.fetch_add(1, SeqCst);
    }
    for plan in PLANS {
        guarded(|| {
            let ended = Arc::new(AtomicUsize::new(0));
            runtime(2).run(|| {
                for _ in 0..5 {
                    let ended = ended.clone();
                    drop(plan.spawn(move || chain(plan, 5, ended)));
                }
            });
            assert_eq!(ended.load(SeqCst), 25, "{plan:?}");
        });
    }
}

#[test]
fn run_waits_across_plans() {
    for (outer, inner) in [(Plan::Coroutine, Plan::Thread), (Plan::Thread, Plan::Coroutine)] {
        guarded(|| {
            let ended = Arc::new(AtomicBool::new(false));
            runtime(1).run(|| {
                let ended = ended.clone();
                drop(outer.spawn(move || {
                    drop(inner.spawn(move || {
                        coroutine::sleep(Duration::from_millis(5));
                        ended.store(true, SeqCst);
                    }));
                }));
            });
            assert!(ended.load(SeqCst), "{outer:?}, then {inner:?}");
        });
    }
}

#[test]
fn run_does_not_wait_for_daemons_but_cancels_them() {
    for plan in PLANS {
        guarded(|| {
            let tracker = Tracker::new();
            let (started, begun) = unbounded();
            runtime(2).run(|| {
                for _ in 0..10 {
                    let (value, started) = (tracker.value(), started.clone());
                    drop(plan.spawn_daemon(move || {
                        let _value = value;
                        started.send(()).unwrap();
                        coroutine::sleep(LONG);
                    }));
                }
                (0..10).for_each(|_| begun.recv().unwrap());
                assert_eq!(tracker.drops(), 0);
            });
            if plan == Plan::Coroutine {
                assert_eq!(tracker.drops(), 10, "the workers see their daemons off");
            }
            until(|| tracker.drops() == 10);
        });
    }
}

#[test]
fn a_daemon_that_has_not_started_never_does() {
    guarded(|| {
        let (tracker, ran) = (Tracker::new(), Arc::new(AtomicBool::new(false)));
        runtime(1).run(|| {
            let (value, ran) = (tracker.value(), ran.clone());
            drop(Plan::Coroutine.spawn_daemon(move || {
                ran.store(true, SeqCst);
                drop(value);
            }));
        });
        assert_eq!(
            (ran.load(SeqCst), tracker.drops()),
            (false, 1),
            "its captures are dropped, its body never runs"
        );
    });
}

#[test]
fn a_daemon_is_cancelled_when_its_parent_ends() {
    on_every_pair(|daemon_plan| {
        for parent_plan in PLANS {
            let (give, taken) = bounded(1);
            let parent = parent_plan.spawn(move || {
                let daemon = daemon_plan.spawn_daemon(|| coroutine::sleep(LONG));
                give.send(daemon).unwrap();
            });
            let error = taken.recv().unwrap().join().unwrap_err();
            assert!(error.is_cancelled(), "a {daemon_plan:?} of a {parent_plan:?}: {error}");
            parent.join().unwrap();
        }
    });
}

#[test]
fn a_daemon_outlives_its_siblings_and_can_be_joined() {
    on_every_pair(|plan| {
        let (go, gate) = bounded::<()>(0);
        let daemon = plan.spawn_daemon(move || {
            gate.recv().unwrap();
            42
        });
        plan.spawn(|| ()).join().unwrap();
        assert!(!daemon.is_finished());
        go.send(()).unwrap();
        assert_eq!(daemon.join().unwrap(), 42);
    });
}

#[test]
fn the_daemons_of_a_daemon_end_with_it() {
    for plan in PLANS {
        guarded(|| {
            let tracker = Tracker::new();
            runtime(2).run(|| {
                let (value, ready) = (tracker.value(), bounded(0));
                let started = ready.0;
                drop(plan.spawn_daemon(move || {
                    drop(plan.spawn_daemon(move || {
                        let _value = value;
                        started.send(()).unwrap();
                        coroutine::sleep(LONG);
                    }));
                    coroutine::sleep(LONG);
                }));
                ready.1.recv().unwrap();
            });
            until(|| tracker.drops() == 1);
        });
    }
}

/// Sleeps, and swallows every unwind.
fn stubborn(round: impl Fn()) {
    loop {
        let _ = catch_unwind(AssertUnwindSafe(|| coroutine::sleep(LONG)));
        round();
    }
}

#[test]
fn a_daemon_that_ignores_cancellation_is_left_behind_after_the_limit() {
    guarded(|| {
        let (tracker, rounds) = (Tracker::new(), Arc::new(AtomicUsize::new(0)));
        let limit = Duration::from_millis(50);
        let built = Runtime::builder().workers(2).shutdown_limit(limit).build().unwrap();
        let ((), time) = timed(|| {
            built.run(|| {
                let (started, begun) = bounded(0);
                let (value, rounds) = (tracker.value(), rounds.clone());
                drop(Plan::Coroutine.spawn_daemon(move || {
                    let _value = value;
                    started.send(()).unwrap();
                    stubborn(|| {
                        rounds.fetch_add(1, SeqCst);
                    });
                }));
                begun.recv().unwrap();
            });
        });
        assert!(time >= limit, "it was given its time: {time:?}");
        assert!(rounds.load(SeqCst) > 1, "it was cancelled again and again");
        assert_eq!(tracker.drops(), 0, "its stack is kept as it is");
        // And life goes on.
        assert_eq!(runtime(2).run(|| coroutine::spawn(|| 42).join().unwrap()), 42);
        let after = rounds.load(SeqCst);
        runtime(1).run(|| coroutine::sleep(Duration::from_millis(5)));
        assert_eq!(rounds.load(SeqCst), after, "nobody runs it any more");
    });
}

#[test]
fn a_daemon_that_only_yields_does_not_hold_up_the_end() {
    guarded(|| {
        let tracker = Tracker::new();
        runtime(1).run(|| {
            let value = tracker.value();
            drop(Plan::Coroutine.spawn_daemon(move || {
                let _value = value;
                loop {
                    coroutine::yield_now();
                }
            }));
            coroutine::yield_now();
        });
        assert_eq!(tracker.drops(), 1);
    });
}

#[test]
fn tasks_spawned_by_a_daemon_that_is_being_cancelled_are_cancelled_too() {
    struct SpawnsOnDrop(Tracker);

    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            let value = self.0.value();
            drop(coroutine::spawn(move || {
                let _value = value;
                coroutine::sleep(LONG);
            }));
        }
    }

    guarded(|| {
        let tracker = Tracker::new();
        runtime(2).run(|| {
            let (started, begun) = bounded(0);
            let spawns = SpawnsOnDrop(tracker.clone());
            drop(Plan::Coroutine.spawn_daemon(move || {
                let _spawns = spawns;
                started.send(()).unwrap();
                coroutine::sleep(LONG);
            }));
            begun.recv().unwrap();
        });
        assert_eq!(tracker.drops(), 1);
    });
}

#[test]
fn a_runtime_that_has_ended_starts_no_more_tasks() {
    struct OnDrop<F: FnMut()>(F);

    impl<F: FnMut()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    guarded(|| {
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (give, taken) = bounded(1);
        runtime(1).run(|| {
            let (started, begun) = bounded(0);
            drop(Plan::Thread.spawn_daemon(move || {
                // Cancelled when the runtime ends; what its destructor does comes too late.
                let _late = OnDrop(|| {
                    let _ = gate.recv();
                    give.send(coroutine::spawn(|| ())).unwrap();
                });
                started.send(()).unwrap();
                coroutine::sleep(LONG);
            }));
            begun.recv().unwrap();
        });
        drop(go);
        let error = taken.recv().unwrap().join().unwrap_err();
        assert!(!error.is_cancelled() && !error.is_panic(), "{error}");
        assert!(error.to_string().ends_with("could not start: the runtime has ended"), "{error}");
    });
}

#[test]
fn statistics_count_switches() {
    guarded(|| {
        let before = inspect::statistics().coroutine_switches;
        runtime(1).run(|| {
            let other = coroutine::spawn_local(|| (0..1000).for_each(|_| coroutine::yield_now()));
            other.join().unwrap();
        });
        let counted = inspect::statistics().coroutine_switches - before;
        assert!(counted >= 1000, "{counted} switches");
    });
}
