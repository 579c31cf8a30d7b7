//! `blocking`: calls that would hold up a worker, on a thread of the pool, with borrows.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use ropewalk::{blocking, coroutine, scope, timeout};

use crate::support::{Spot, guarded, on_every_pair, on_every_plan, runtime};

#[test]
fn the_call_borrows_from_its_caller() {
    on_every_pair(|_| {
        let mut words = vec!["walk", "rope"];
        let joined = blocking(|| {
            words.sort_unstable();
            words.join("-")
        });
        assert_eq!((joined.as_str(), words), ("rope-walk", vec!["rope", "walk"]));
    });
}

#[test]
fn a_coroutine_leaves_its_worker_and_a_thread_stays_where_it_is() {
    guarded(|| {
        runtime(1).run(|| {
            let here = std::thread::current().id();
            assert_ne!(blocking(|| std::thread::current().id()), here);
            let thread = ropewalk::thread::spawn(|| {
                (std::thread::current().id(), blocking(|| std::thread::current().id()))
            });
            let (outside, inside) = thread.join().unwrap();
            assert_eq!(outside, inside);
        });
    });
}

#[test]
fn the_neighbours_go_on_meanwhile() {
    guarded(|| {
        runtime(1).run(|| {
            let (go, gate) = mpsc::channel();
            let neighbour = coroutine::spawn_local(move || {
                for _ in 0..100 {
                    coroutine::yield_now();
                }
                go.send(42).unwrap();
            });
            // Blocks its thread until the neighbour, of this very worker, has run.
            assert_eq!(blocking(move || gate.recv().unwrap()), 42);
            neighbour.join().unwrap();
        });
    });
}

#[test]
fn many_calls_block_at_once() {
    guarded(|| {
        runtime(2).run(|| {
            let all = Arc::new(Barrier::new(50));
            let leaders: usize = scope(|s| {
                let calls: Vec<_> = (0..50)
                    .map(|_| {
                        let all = all.clone();
                        s.spawn(move || usize::from(blocking(|| all.wait().is_leader())))
                    })
                    .collect();
                calls.into_iter().map(|call| call.join().unwrap()).sum()
            });
            assert_eq!(leaders, 1);
        });
    });
}

#[test]
fn a_panic_comes_through_with_its_payload() {
    on_every_pair(|_| {
        let payload = catch_unwind(|| blocking(|| resume_unwind(Box::new("from far away"))));
        assert_eq!(payload.unwrap_err().downcast_ref::<&str>(), Some(&"from far away"));
        assert_eq!(blocking(|| 42), 42, "the pool goes on");
    });
}

#[test]
fn neither_cancel_nor_timeout_ends_the_call_but_both_come_after_it() {
    on_every_plan(|plan| {
        let gate = Arc::new(Barrier::new(2));
        let (spot, finished) = (Spot::new(), Arc::new(AtomicUsize::new(0)));
        let task = plan.spawn({
            let (spot, finished, gate) = (spot.clone(), finished.clone(), gate.clone());
            move || {
                let borrowed = [1, 2, 3];
                let late = timeout(Duration::ZERO, || {
                    finished.fetch_add(blocking(|| borrowed.len()), SeqCst);
                    coroutine::yield_now();
                });
                assert!(late.is_err());
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    blocking(|| {
                        spot.mark();
                        gate.wait();
                        finished.fetch_add(borrowed.len(), SeqCst);
                    });
                }));
                coroutine::yield_now();
                finished.fetch_add(100, SeqCst);
            }
        });
        spot.wait_asleep();
        task.cancel();
        gate.wait();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(finished.load(SeqCst), 6);
    });
}

#[test]
fn a_call_of_a_call_is_made_on_the_same_thread() {
    guarded(|| {
        runtime(1).run(|| {
            let (outer, inner) =
                blocking(|| (std::thread::current().id(), blocking(|| std::thread::current().id())));
            assert_eq!(outer, inner);
        });
    });
}

#[test]
fn tasks_spawned_by_a_call_belong_to_the_callers_runtime() {
    guarded(|| {
        let ended = Arc::new(AtomicUsize::new(0));
        runtime(1).run(|| {
            let ended = ended.clone();
            blocking(move || {
                drop(coroutine::spawn(move || {
                    coroutine::sleep(Duration::from_millis(2));
                    ended.fetch_add(1, SeqCst);
                }));
            });
        });
        assert_eq!(ended.load(SeqCst), 1, "run waited for it");
    });
}
