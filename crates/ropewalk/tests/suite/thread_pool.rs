//! Pools of threads for work that keeps CPUs busy.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use ropewalk::channel::{bounded, unbounded};
use ropewalk::inspect::{Death, State};
use ropewalk::sync::Barrier;
use ropewalk::thread::{self, Pool, Priority};
use ropewalk::{OnFailure, coroutine, timeout};

use crate::support::process::{assert_settles, threads};
use crate::support::{LONG, Plan, Tracker, guarded, on_every_pair, on_every_plan, runtime, until};

fn pool(size: usize) -> Pool {
    Pool::builder().size(size).build().unwrap()
}

/// A task that occupies a thread until somebody sends.
fn occupy(pool: &Pool) -> (ropewalk::JoinHandle<()>, ropewalk::channel::Sender<()>) {
    let (release, gate) = bounded(1);
    let (tell, told) = bounded(1);
    let task = pool.spawn(move || {
        tell.send(()).unwrap();
        gate.recv().unwrap();
    });
    told.recv().unwrap();
    (task.unwrap(), release)
}

#[test]
fn tasks_of_every_plan_spawn_and_join() {
    on_every_pair(|plan| {
        let pool = Arc::new(pool(2));
        let tasks: Vec<_> = (0..10_u64)
            .map(|n| {
                let pool = pool.clone();
                plan.spawn(move || pool.spawn(move || n * n).unwrap().join().unwrap())
            })
            .collect();
        assert_eq!(tasks.into_iter().map(|task| task.join().unwrap()).sum::<u64>(), 285);
        assert_eq!((pool.size(), pool.waiting()), (2, 0));
    });
}

#[test]
fn as_many_run_at_once_as_there_are_threads_and_no_more() {
    on_every_plan(|_| {
        let pool = pool(3);
        let (meeting, inside, most) = (Arc::new(Barrier::new(3)), AtomicUsize::new(0), AtomicUsize::new(0));
        pool.scope(|s| {
            for _ in 0..30 {
                s.spawn(|| {
                    most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    meeting.wait(); // only three at once come through
                    inside.fetch_sub(1, SeqCst);
                });
            }
        });
        assert!(most.into_inner() <= 3);
    });
}

#[test]
fn first_come_first_served() {
    on_every_plan(|_| {
        let pool = pool(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let (first, release) = occupy(&pool);
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let order = order.clone();
                pool.spawn(move || order.lock().unwrap().push(n)).unwrap()
            })
            .collect();
        assert_eq!(pool.waiting(), 20);
        release.send(()).unwrap();
        first.join().unwrap();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        assert!(order.lock().unwrap().iter().copied().eq(0..20));
    });
}

#[test]
fn who_comes_when_the_line_is_full_is_turned_away() {
    on_every_plan(|_| {
        let pool = Pool::builder().size(1).queue(2).build().unwrap();
        let (first, release) = occupy(&pool);
        let waiting = [pool.spawn(|| 1).unwrap(), pool.spawn(|| 2).unwrap()];
        let tracker = Tracker::new();
        let value = tracker.value();
        let error = pool.spawn(move || drop(value)).unwrap_err();
        assert_eq!((error.kind(), tracker.drops()), (io::ErrorKind::WouldBlock, 1));
        release.send(()).unwrap();
        first.join().unwrap();
        assert_eq!(waiting.map(|task| task.join().unwrap()), [1, 2]);
        assert_eq!(pool.spawn(|| 3).unwrap().join().unwrap(), 3);
    });
}

#[test]
fn one_that_is_cancelled_before_its_turn_never_runs() {
    on_every_plan(|_| {
        let pool = pool(1);
        let (first, release) = occupy(&pool);
        let (tracker, ran) = (Tracker::new(), Arc::new(AtomicBool::new(false)));
        let (value, runs) = (tracker.value(), ran.clone());
        let body = move || {
            let _value = value;
            runs.store(true, SeqCst);
        };
        let task = pool.spawn(body).unwrap();
        assert_eq!(task.task().state(), State::New);
        task.cancel();
        release.send(()).unwrap();
        first.join().unwrap();
        let seen = task.task();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!((ran.load(SeqCst), tracker.drops()), (false, 1));
        assert_eq!(seen.state(), State::Dead(Death::Cancelled));
    });
}

#[test]
fn one_that_waits_is_cancelled_there_and_its_thread_goes_on() {
    on_every_plan(|_| {
        let pool = pool(1);
        let (task, _release) = occupy(&pool);
        until(|| matches!(task.task().state(), State::Blocked(_)));
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        let file_wait =
            pool.spawn(|| ropewalk::io::pipe().map(|(mut read, _write)| io::Read::read(&mut read, &mut [0])));
        let file_wait = file_wait.unwrap();
        until(|| matches!(file_wait.task().state(), State::Blocked(_)));
        file_wait.cancel();
        assert!(file_wait.join().unwrap_err().is_cancelled());
        assert_eq!(pool.call(|| 42).unwrap(), 42);
    });
}

#[test]
fn a_panic_is_an_error_and_the_pool_goes_on() {
    on_every_plan(|_| {
        let pool = pool(1);
        for _ in 0..3 {
            let task = pool.spawn(|| std::panic::resume_unwind(Box::new("expected"))).unwrap();
            assert_eq!(task.join().map(drop).unwrap_err().downcast_ref(), Some(&"expected"));
        }
        let error = pool.call(|| std::panic::resume_unwind(Box::new("expected"))).map(drop).unwrap_err();
        assert!(error.is_panic());
        assert_eq!(pool.spawn(|| 42).unwrap().join().unwrap(), 42);
    });
}

#[test]
fn a_call_borrows_and_is_over_before_its_caller_unwinds() {
    on_every_pair(|plan| {
        let pool = Arc::new(pool(1));
        let mut words = ["walk", "rope"];
        pool.call(|| words.sort_unstable()).unwrap();
        assert_eq!(words, ["rope", "walk"]);
        let (busy, release) = occupy(&pool);
        assert!(
            timeout(std::time::Duration::from_millis(1), || pool.call(|| unreachable!("in line"))).is_err()
        );
        release.send(()).unwrap();
        busy.join().unwrap();
        let (other, ended) = (pool.clone(), Arc::new(AtomicBool::new(false)));
        let (tell, told) = bounded(1);
        let end = ended.clone();
        let caller = plan.spawn(move || {
            let tracker = Tracker::new();
            let value = tracker.value();
            let result = catch_unwind(AssertUnwindSafe(|| {
                other.call(|| {
                    let _value = value;
                    tell.send(()).unwrap();
                    coroutine::sleep(LONG);
                })
            }));
            end.store(tracker.drops() == 1, SeqCst);
            result.map(drop).map_err(|payload| std::panic::resume_unwind(payload)).is_ok()
        });
        told.recv().unwrap();
        caller.cancel();
        assert!(caller.join().unwrap_err().is_cancelled());
        assert!(ended.load(SeqCst), "what it had borrowed was free again");
    });
}

#[test]
fn children_of_a_scope_are_not_turned_away_and_fail_together() {
    on_every_plan(|_| {
        let pool = Pool::builder().size(2).queue(0).build().unwrap();
        let sum = AtomicUsize::new(0);
        pool.scope(|s| {
            for _ in 0..100 {
                s.spawn(|| sum.fetch_add(1, SeqCst));
            }
        });
        assert_eq!(sum.into_inner(), 100);
        let drops = Tracker::new();
        let fails = || {
            pool.scope(|s| {
                let value = drops.value();
                s.spawn(move || {
                    let _value = value;
                    coroutine::sleep(LONG);
                });
                s.spawn(|| std::panic::resume_unwind(Box::new("expected")));
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(fails)).is_err());
        assert_eq!(drops.drops(), 1);
        let failed = pool.scope_with(OnFailure::Isolate, |s| {
            s.spawn(|| std::panic::resume_unwind(Box::new("expected"))).join().map(drop).is_err()
        });
        assert!(failed);
    });
}

#[test]
fn a_task_of_the_pool_calls_in_place_and_opens_no_scope_there() {
    on_every_plan(|_| {
        let pool = Arc::new(pool(1));
        let other = pool.clone();
        let nested = move || {
            let here = std::thread::current().id();
            let same = other.call(|| std::thread::current().id()).unwrap() == here;
            let refused = catch_unwind(AssertUnwindSafe(|| other.scope(|_| ()))).is_err();
            // A pool of its own has threads of its own.
            let apart =
                Pool::builder().size(1).build().unwrap().call(|| std::thread::current().id()).unwrap()
                    != here;
            (same, refused, apart)
        };
        assert_eq!(pool.spawn(nested).unwrap().join().unwrap(), (true, true, true));
    });
}

#[test]
fn a_dropped_pool_runs_what_it_was_given_and_close_waits() {
    if crate::support::child::case().is_none() {
        // Threads are counted.
        let test = crate::support::child::test_name!();
        return crate::support::child::Child::new(test, "here").run().assert_success();
    }
    guarded(|| {
        runtime(1).run(|| {
            let before = threads();
            let dropped = pool(2);
            let tasks: Vec<_> = (0..10).map(|n| dropped.spawn(move || n).unwrap()).collect();
            drop(dropped);
            assert_eq!(tasks.into_iter().map(|task| task.join().unwrap()).sum::<i32>(), 45);
            let closed = pool(3);
            let done = Arc::new(AtomicUsize::new(0));
            for _ in 0..10 {
                let done = done.clone();
                drop(closed.spawn(move || done.fetch_add(1, SeqCst)).unwrap());
            }
            closed.close();
            assert_eq!(done.load(SeqCst), 10);
            assert_settles(threads, before, "the threads have ended");
            let refused = Pool::builder().size(3).affinity([8000]).build().unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
            assert_settles(threads, before, "and those of a pool that could not be built");
        });
    });
}

#[test]
fn run_waits_for_the_tasks_of_a_pool() {
    guarded(|| {
        let done = Arc::new(AtomicUsize::new(0));
        let counter = done.clone();
        runtime(1).run(move || {
            let pool = pool(1);
            for _ in 0..50 {
                let counter = counter.clone();
                drop(pool.spawn(move || {
                    // Its own children belong to the runtime as well.
                    drop(coroutine::spawn(move || counter.fetch_add(1, SeqCst)));
                }));
            }
        });
        assert_eq!(done.load(SeqCst), 50);
    });
}

#[test]
fn a_task_of_a_pool_is_a_task_of_its_own() {
    ropewalk::task_local! {
        static COUNT: Cell<u32> = Cell::new(0);
    }
    on_every_plan(|_| {
        let pool =
            Pool::builder().size(1).name("crunchers".into()).priority(Priority::Normal(19)).build().unwrap();
        let here = coroutine::current().id();
        let count = || {
            COUNT.set(COUNT.get() + 1);
            let task = thread::current();
            assert!(!task.is_coroutine() && task.state() == State::Running);
            assert_eq!(thread::priority().unwrap(), Priority::Normal(19));
            assert_eq!(std::thread::current().name(), Some("crunchers"));
            (COUNT.get(), task.id(), task.parent())
        };
        let [first, second] = [(); 2].map(|()| {
            let handle = pool.spawn(count).unwrap();
            let id = handle.id();
            let (count, seen, parent) = handle.join().unwrap();
            assert_eq!((count, seen, parent), (1, id, Some(here)));
            id
        });
        assert_ne!(first, second);
    });
}

/// A stale wake-up of a task that has ended does not end a wait of the next one on its thread.
#[test]
fn the_next_task_of_a_thread_is_not_woken_for_the_last_one() {
    on_every_plan(|_| {
        let pool = pool(1);
        for _ in 0..200 {
            let (task, release) = occupy(&pool);
            let old = task.task();
            release.send(()).unwrap();
            task.join().unwrap();
            let (next, release) = occupy(&pool);
            old.unpark();
            old.cancel();
            assert!(!next.is_finished());
            release.send(()).unwrap();
            next.join().unwrap();
        }
    });
}

#[test]
fn many_spawn_and_cancel_at_once() {
    on_every_pair(|plan: Plan| {
        let pool = Arc::new(pool(2));
        let (sender, receiver) = unbounded();
        let spawners: Vec<_> = (0..4)
            .map(|seed| {
                let (pool, sender) = (pool.clone(), sender.clone());
                plan.spawn(move || {
                    for n in 0..100 {
                        let sender = sender.clone();
                        let task = pool.spawn(move || sender.send(1).unwrap()).unwrap();
                        if (n + seed) % 3 == 0 {
                            task.cancel();
                        }
                        match task.join() {
                            Ok(()) => {}
                            Err(error) => assert!(error.is_cancelled(), "{error}"),
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let ran = receiver.iter().count();
        spawners.into_iter().for_each(|spawner| spawner.join().unwrap());
        assert!((4 * 66..=400).contains(&ran), "{ran}");
    });
}

/// Children that wait for a thread are nobody's to wait for, once the scope is cancelled: its opener takes them out of the line.
#[test]
fn a_cancelled_scope_does_not_wait_for_threads_that_are_busy_elsewhere() {
    on_every_plan(|_| {
        let pool = pool(1);
        let (busy, release) = occupy(&pool);
        let (tracker, opener) = (Tracker::new(), thread::current());
        pool.scope(|s| {
            for _ in 0..3 {
                let value = tracker.value();
                s.spawn(move || drop(value));
            }
            let cancels = || {
                until(|| matches!(opener.state(), State::Blocked(_)));
                s.cancel();
            };
            coroutine::Builder::new().spawn_scoped(s, cancels).unwrap();
        });
        assert_eq!((tracker.drops(), pool.waiting()), (3, 0));
        release.send(()).unwrap();
        busy.join().unwrap();
    });
}
