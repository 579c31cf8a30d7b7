//! What a task is, on every plan: spawn, join, names, failures, and the two sides of a handle.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropewalk::channel::bounded;
use ropewalk::{JoinError, coroutine, thread};

use crate::support::{LONG, Plan, Spot, Tracker, guarded, on_every_pair, on_every_plan, runtime, until};

#[test]
fn join_gives_what_the_task_returned() {
    on_every_pair(|plan| {
        let handles: Vec<_> = (0..100).map(|n| plan.spawn(move || n * n)).collect();
        let squares: Vec<_> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
        assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
    });
}

#[test]
fn tasks_spawn_tasks() {
    fn count(plan: Plan, depth: u32) -> u32 {
        if depth == 0 {
            return 1;
        }
        let children =
            [plan.spawn(move || count(plan, depth - 1)), plan.spawn(move || count(plan, depth - 1))];
        children.into_iter().map(|child| child.join().unwrap()).sum()
    }
    on_every_pair(|plan| assert_eq!(count(plan, 5), 32));
}

#[test]
fn a_panic_arrives_as_an_error_with_its_payload() {
    on_every_pair(|plan| {
        #[derive(Debug, PartialEq)]
        struct Payload(u32);

        let error = plan.spawn(|| resume_unwind(Box::new(Payload(7)))).join().map(drop).unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        let error = error.downcast::<String>().expect_err("the payload is no string");
        assert!(error.is_panic(), "the error survives a wrong guess: {error}");
        assert_eq!(error.downcast::<Payload>().unwrap(), Payload(7));

        let error = plan.spawn(|| resume_unwind(Box::new(Payload(8)))).join().map(drop).unwrap_err();
        let payload = error.into_panic().expect("it panicked");
        assert_eq!(payload.downcast_ref::<Payload>(), Some(&Payload(8)));

        let error = plan.spawn(|| panic!("expected: {}", 9)).join().map(drop).unwrap_err();
        assert!(error.to_string().ends_with("panicked: expected: 9"), "{error}");
    });
}

#[test]
fn an_error_says_which_task_and_why() {
    on_every_pair(|plan| {
        let handle = plan.spawn_named("clerk", || resume_unwind(Box::new("out of ink")));
        let id = handle.id();
        let error: JoinError = handle.join().map(drop).unwrap_err();
        assert_eq!(error.id(), id);
        assert_eq!(error.to_string(), format!("task {id} ('clerk') panicked: out of ink"));
        assert!(error.source().is_none());
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::Other);
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<JoinError>());
        assert!(inner.is_some_and(JoinError::is_panic), "{error}");

        let handle = plan.spawn(|| coroutine::sleep(LONG));
        handle.cancel();
        let id = handle.id();
        let error = handle.join().unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!(error.to_string(), format!("task {id} was cancelled"));
        let error = error.into_panic().expect_err("it did not panic");
        assert!(error.is_cancelled(), "the error survives a wrong guess: {error}");
    });
}

#[test]
fn tasks_have_numbers_names_and_places() {
    on_every_pair(|plan| {
        let named = plan.spawn_named("adder", || ());
        let line = line!() + 1;
        let nameless = plan.spawn(|| ());
        assert_eq!((named.name(), nameless.name()), (Some("adder"), None));
        assert_eq!((nameless.spawned_at().file(), nameless.spawned_at().line()), (file!(), line));
        let more: Vec<_> = (0..50).map(|_| plan.spawn(|| ())).collect();
        let ids: HashSet<_> = more.iter().chain([&named, &nameless]).map(|handle| handle.id()).collect();
        assert_eq!(ids.len(), 52, "every number is given once");
    });
}

#[test]
fn a_thread_has_its_name_in_the_kernel_too() {
    guarded(|| {
        let name = Plan::Thread.spawn_named("adder", || std::thread::current().name().map(str::to_owned));
        assert_eq!(name.join().unwrap().as_deref(), Some("adder"));
    });
}

#[test]
fn join_with_a_time_limit_gives_the_handle_back() {
    on_every_pair(|plan| {
        let (go, gate) = bounded::<u32>(0);
        let handle = plan.spawn(move || gate.recv().unwrap());
        let handle = handle.join_timeout(Duration::from_millis(5)).expect_err("it waits for its gate");
        assert!(!handle.is_finished());
        let handle = handle.join_timeout(Duration::ZERO).expect_err("it still does");
        go.send(42).unwrap();
        let result = handle.join_timeout(LONG).expect("the gate is open");
        assert_eq!(result.unwrap(), 42);
    });
}

#[test]
fn a_task_that_has_ended_is_joined_without_a_wait() {
    on_every_pair(|plan| {
        let handle = plan.spawn(|| 42);
        until(|| handle.is_finished());
        assert_eq!(handle.join_timeout(Duration::ZERO).expect("it has ended").unwrap(), 42);
    });
}

#[test]
fn without_a_handle_the_result_is_dropped_once_inside_the_task() {
    /// Tells which task drops it.
    struct Tells(std::sync::mpsc::Sender<ropewalk::TaskId>);

    impl Drop for Tells {
        fn drop(&mut self) {
            coroutine::sleep(Duration::from_micros(1)); // it may wait: it is still the task that runs
            self.0.send(coroutine::current().id()).unwrap();
        }
    }

    on_every_pair(|plan| {
        let (go, gate) = bounded::<()>(0);
        let (tell, told) = std::sync::mpsc::channel();
        let handle = plan.spawn(move || {
            gate.recv().unwrap();
            Tells(tell)
        });
        let id = handle.id();
        drop(handle);
        assert!(told.try_recv().is_err());
        go.send(()).unwrap();
        let mut by = Vec::new();
        until(|| match told.try_recv() {
            Ok(task) => {
                by.push(task);
                false
            }
            Err(error) => error == std::sync::mpsc::TryRecvError::Disconnected,
        });
        assert_eq!(by, [id]);
    });
}

#[test]
fn the_result_of_a_task_that_has_ended_goes_with_its_handle() {
    on_every_pair(|plan| {
        let tracker = Tracker::new();
        let handle = plan.spawn({
            let tracker = tracker.clone();
            move || tracker.value()
        });
        until(|| handle.is_finished());
        assert_eq!(tracker.drops(), 0);
        drop(handle);
        assert_eq!(tracker.drops(), 1);
        let value = plan.spawn({
            let tracker = tracker.clone();
            move || tracker.value()
        });
        let value = value.join().unwrap();
        assert_eq!(tracker.drops(), 1, "who joins owns the result");
        drop(value);
        assert_eq!(tracker.drops(), 2);
    });
}

#[test]
fn many_can_wait_for_a_task_in_turns_by_passing_the_handle_on() {
    on_every_pair(|plan| {
        let (go, gate) = bounded::<()>(0);
        let last = plan.spawn(move || {
            gate.recv().unwrap();
            1
        });
        let chain = (0..20).fold(last, |inner, _| plan.spawn(move || inner.join().unwrap() + 1));
        go.send(()).unwrap();
        assert_eq!(chain.join().unwrap(), 21);
    });
}

#[test]
fn a_plain_thread_spawns_on_the_global_runtime() {
    guarded(|| {
        assert_eq!(coroutine::spawn(|| 42).join().unwrap(), 42);
        let here = std::thread::current().id();
        let there = coroutine::spawn(|| std::thread::current().id()).join().unwrap();
        assert_ne!(here, there);
        let inner =
            std::thread::spawn(|| coroutine::spawn(|| thread::spawn(|| 7).join().unwrap()).join().unwrap());
        assert_eq!(inner.join().unwrap(), 7);
    });
}

#[test]
fn run_lends_its_closure_what_the_caller_has() {
    guarded(|| {
        let mut text = String::from("rope");
        let length = runtime(2).run(|| {
            text.push_str("walk");
            text.len()
        });
        assert_eq!((length, text.as_str()), (8, "ropewalk"));
    });
}

#[test]
fn run_inside_a_coroutine_is_refused() {
    guarded(|| {
        let error = runtime(1).run(|| catch_unwind(|| ropewalk::run(|| ())).unwrap_err());
        let message = error.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(message.contains("run was called from a coroutine"), "{message}");
    });
}

#[test]
fn run_inside_a_thread_is_a_runtime_of_its_own() {
    guarded(|| {
        let sum = runtime(1).run(|| {
            let inner = thread::spawn(|| runtime(1).run(|| coroutine::spawn(|| 20).join().unwrap() + 1));
            coroutine::spawn(|| 21).join().unwrap() + inner.join().unwrap()
        });
        assert_eq!(sum, 42);
    });
}

#[test]
fn a_loop_of_sleeps_that_are_over_at_once_lets_its_neighbours_run() {
    guarded(|| {
        runtime(1).run(|| {
            let over = Arc::new(AtomicBool::new(false));
            let seen = over.clone();
            let sleeper = coroutine::spawn(move || {
                while !seen.load(SeqCst) {
                    coroutine::sleep(Duration::ZERO);
                }
            });
            // Behind the sleeper, on the only worker.
            coroutine::spawn(move || over.store(true, SeqCst)).join().unwrap();
            sleeper.join().unwrap();
        });
    });
}

#[test]
fn yielding_coroutines_of_one_worker_take_turns() {
    guarded(|| {
        let order = Arc::new(Mutex::new(String::new()));
        runtime(1).run(|| {
            let speak = |words: &'static [&'static str]| {
                let order = order.clone();
                coroutine::spawn_local(move || {
                    for word in words {
                        order.lock().unwrap().push_str(word);
                        coroutine::yield_now();
                    }
                })
            };
            let both = [speak(&["1", "2", "3"]), speak(&["x", "y", "z"])];
            both.into_iter().for_each(|handle| handle.join().unwrap());
        });
        assert_eq!(*order.lock().unwrap(), "1x2y3z");
    });
}

#[test]
fn local_coroutines_share_what_is_not_send() {
    guarded(|| {
        runtime(2).run(|| {
            let log = Rc::new(RefCell::new(Vec::new()));
            let handles: Vec<_> = (0..10)
                .map(|n| {
                    let log = log.clone();
                    coroutine::spawn_local(move || {
                        log.borrow_mut().push(n);
                        coroutine::yield_now();
                        log.borrow_mut().push(n + 10);
                        log
                    })
                })
                .collect();
            let returned: Vec<_> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
            assert_eq!(*log.borrow(), (0..20).collect::<Vec<_>>());
            assert!(returned.iter().all(|other| Rc::ptr_eq(other, &log)));
        });
    });
}

#[test]
fn local_coroutines_stay_on_the_worker_of_their_spawner() {
    guarded(|| {
        runtime(2).run(|| {
            let here = std::thread::current().id();
            let handles: Vec<_> = (0..50)
                .map(|_| {
                    coroutine::spawn_local(|| {
                        coroutine::yield_now();
                        std::thread::current().id()
                    })
                })
                .collect();
            for handle in handles {
                assert_eq!(handle.join().unwrap(), here);
            }
        });
    });
}

#[test]
fn a_thread_has_no_worker_for_local_coroutines() {
    guarded(|| {
        runtime(1).run(|| {
            let refused = thread::spawn(|| catch_unwind(|| drop(coroutine::spawn_local(|| ()))).is_err());
            assert!(refused.join().unwrap());
        });
    });
}

#[test]
fn coroutines_that_have_not_started_go_to_idle_workers() {
    guarded(|| {
        runtime(2).run(|| {
            let here = std::thread::current().id();
            let handle = coroutine::spawn(|| std::thread::current().id());
            // This worker never gets to it.
            while !handle.is_finished() {
                std::hint::spin_loop();
            }
            assert_ne!(handle.join().unwrap(), here);
        });
    });
}

/// However soon one comes after the other: nobody may rely on the spawner's worker, which never gets to them.
#[test]
fn idle_workers_start_one_lone_coroutine_after_the_other() {
    guarded(|| {
        runtime(2).run(|| {
            for _ in 0..100 {
                let handle = coroutine::spawn(|| ());
                while !handle.is_finished() {
                    std::hint::spin_loop();
                }
            }
        });
    });
}

#[test]
fn a_busy_thief_does_not_keep_the_next_coroutine_from_an_idle_worker() {
    guarded(|| {
        for _ in 0..20 {
            runtime(3).run(|| {
                let done = Arc::new(AtomicBool::new(false));
                let first = coroutine::spawn({
                    let done = done.clone();
                    move || {
                        while !done.load(SeqCst) {
                            std::hint::spin_loop();
                        }
                    }
                });
                let second = coroutine::spawn(move || done.store(true, SeqCst));
                // Two of three workers are busy, whoever has taken the first one.
                while !(first.is_finished() && second.is_finished()) {
                    std::hint::spin_loop();
                }
            });
        }
    });
}

#[test]
fn a_coroutine_that_has_started_stays_where_it_is() {
    guarded(|| {
        runtime(4).run(|| {
            let handles: Vec<_> = (0..100)
                .map(|_| {
                    coroutine::spawn(|| {
                        let start = std::thread::current().id();
                        (0..20).all(|n| {
                            coroutine::sleep(Duration::from_micros(n * 10));
                            std::thread::current().id() == start
                        })
                    })
                })
                .collect();
            assert!(handles.into_iter().all(|handle| handle.join().unwrap()));
        });
    });
}

#[test]
fn hand_over_lets_the_chosen_one_run_next() {
    guarded(|| {
        runtime(1).run(|| {
            let order = Rc::new(RefCell::new(Vec::new()));
            let speak = |word: &'static str| {
                let order = order.clone();
                coroutine::spawn_local(move || order.borrow_mut().push(word))
            };
            let [first, second, third] = ["first", "second", "third"].map(speak);
            coroutine::hand_over(&third).unwrap();
            order.borrow_mut().push("back");
            [first, second, third].into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(*order.borrow(), ["third", "first", "second", "back"]);
        });
    });
}

#[test]
fn hand_over_starts_a_coroutine_that_is_new() {
    guarded(|| {
        runtime(1).run(|| {
            let order = Arc::new(Mutex::new(Vec::new()));
            let speak = |word: &'static str| {
                let order = order.clone();
                coroutine::spawn(move || order.lock().unwrap().push(word))
            };
            let handles = ["first", "second", "third"].map(speak);
            coroutine::hand_over(&handles[2]).unwrap();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            assert_eq!(order.lock().unwrap()[0], "third");
            assert_eq!(order.lock().unwrap().len(), 3, "each runs once");
        });
    });
}

#[test]
fn hand_over_to_who_cannot_run_is_an_error_and_nothing_happens() {
    guarded(|| {
        runtime(1).run(|| {
            let others_ran = Rc::new(Cell::new(false));
            let ended = coroutine::spawn_local(|| ());
            coroutine::yield_now();
            assert!(ended.is_finished());
            let parked = coroutine::spawn_local(|| coroutine::sleep(LONG));
            coroutine::yield_now();
            let on_a_thread = thread::spawn(|| ());
            let other = coroutine::spawn_local({
                let others_ran = others_ran.clone();
                move || others_ran.set(true)
            });
            assert!(coroutine::hand_over(&ended).is_err());
            let error = coroutine::hand_over(&parked).unwrap_err();
            assert_eq!(error.to_string(), "the coroutine waits, has ended, or belongs to another worker");
            assert!(coroutine::hand_over(&on_a_thread).is_err());
            assert!(!others_ran.get(), "the caller kept its worker");
            parked.cancel();
            other.join().unwrap();
        });
        let from_outside = coroutine::spawn(|| coroutine::sleep(LONG));
        assert!(coroutine::hand_over(&from_outside).is_err(), "a thread has no worker to give");
        from_outside.cancel();
    });
}

#[test]
fn hand_over_to_another_workers_coroutine_is_an_error() {
    guarded(|| {
        runtime(2).run(|| {
            let (spot, stop) = (Spot::new(), Arc::new(AtomicBool::new(false)));
            let other = coroutine::spawn({
                let (spot, stop) = (spot.clone(), stop.clone());
                move || {
                    spot.mark();
                    until(|| stop.load(SeqCst));
                }
            });
            while !spot.is_marked() {
                std::hint::spin_loop(); // until the other worker has stolen it
            }
            assert!(coroutine::hand_over(&other).is_err());
            stop.store(true, SeqCst);
            other.join().unwrap();
        });
    });
}

#[test]
fn handed_over_coroutines_are_counted_once() {
    guarded(|| {
        runtime(4).run(|| {
            let ran = Arc::new(AtomicUsize::new(0));
            let mut handed = 0;
            for _ in 0..2000 {
                let handles = [(); 2].map(|()| {
                    let ran = ran.clone();
                    coroutine::spawn(move || ran.fetch_add(1, SeqCst))
                });
                // Idle workers steal meanwhile; who comes second finds that it was started.
                handed += handles.iter().filter(|handle| coroutine::hand_over(handle).is_ok()).count();
                for handle in handles {
                    handle.join().unwrap();
                }
            }
            assert_eq!(ran.load(SeqCst), 4000);
            assert!(handed > 0, "no coroutine was handed over: the test shows nothing");
        });
    });
}

#[test]
fn a_panic_of_the_first_coroutine_comes_out_of_run_after_the_others_have_ended() {
    for plan in [Plan::Coroutine, Plan::Thread] {
        guarded(|| {
            let tracker = Tracker::new();
            let run = AssertUnwindSafe(|| {
                runtime(2).run(|| {
                    let value = tracker.value();
                    let (go, gate) = bounded::<()>(1);
                    drop(plan.spawn(move || {
                        gate.recv().unwrap();
                        coroutine::sleep(Duration::from_millis(5));
                        drop(value);
                    }));
                    go.send(()).unwrap();
                    resume_unwind(Box::new("the captain goes last"))
                })
            });
            let payload = catch_unwind(run).unwrap_err();
            assert_eq!(payload.downcast_ref::<&str>(), Some(&"the captain goes last"));
            assert_eq!(tracker.drops(), 1, "{plan:?}");
        });
    }
}

#[test]
fn a_thread_stays_a_thread() {
    on_every_plan(|plan| {
        let (here, there) =
            (std::thread::current().id(), plan.spawn(|| std::thread::current().id()).join().unwrap());
        assert_ne!(here, there);
    });
}
