//! Cancellation: where it reaches a task, what it runs, and what it loses (nothing).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use ropewalk::channel::{bounded, unbounded};
use ropewalk::sync::Semaphore;
use ropewalk::{coroutine, thread};

use crate::support::plan::PLANS;
use crate::support::waits::WAITS;
use crate::support::{LONG, Plan, Spot, Tracker, guarded, on_every_pair, on_every_plan, runtime, until};

#[test]
fn cancel_ends_every_wait() {
    on_every_plan(|plan| {
        for (name, wait) in WAITS {
            let (spot, tracker) = (Spot::new(), Tracker::new());
            let task = plan.spawn({
                let (spot, value) = (spot.clone(), tracker.value());
                move || {
                    let _value = value;
                    wait(&spot);
                }
            });
            spot.wait_asleep();
            assert!(!task.is_finished(), "{name} does not wait");
            task.cancel();
            let error = task.join().expect_err(name);
            assert!(error.is_cancelled(), "{name}: {error}");
            assert_eq!(tracker.drops(), 1, "{name}: the destructors ran");
        }
    });
}

#[test]
fn cancel_in_a_wait_works_between_workers_and_within_one() {
    guarded(|| {
        for (name, wait) in WAITS {
            runtime(1).run(|| {
                let spot = Spot::new();
                let task = coroutine::spawn_local({
                    let spot = spot.clone();
                    move || wait(&spot)
                });
                until(|| spot.is_marked());
                coroutine::yield_now();
                task.cancel();
                assert!(task.join().expect_err(name).is_cancelled(), "{name}");
            });
        }
    });
}

#[test]
fn a_coroutine_that_has_not_started_never_does() {
    guarded(|| {
        runtime(1).run(|| {
            let (tracker, ran) = (Tracker::new(), Arc::new(AtomicBool::new(false)));
            let task = coroutine::spawn({
                let (value, ran) = (tracker.value(), ran.clone());
                move || {
                    ran.store(true, SeqCst);
                    drop(value);
                }
            });
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            assert_eq!((ran.load(SeqCst), tracker.drops()), (false, 1));
        });
    });
}

#[test]
fn a_thread_that_is_cancelled_at_once_drops_its_captures_once() {
    guarded(|| {
        for _ in 0..200 {
            let tracker = Tracker::new();
            let task = thread::spawn({
                let value = tracker.value();
                move || {
                    let _value = value;
                    thread::sleep(LONG);
                }
            });
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            assert_eq!(tracker.drops(), 1);
        }
    });
}

#[test]
fn cancel_comes_again_at_every_wait_until_the_task_ends() {
    on_every_plan(|plan| {
        let spot = Spot::new();
        let task = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                let first = catch_unwind(|| coroutine::sleep(LONG));
                let again = WAITS.map(|(name, wait)| (name, catch_unwind(|| wait(&Spot::new())).is_err()));
                let yielding = catch_unwind(coroutine::yield_now);
                (first.is_err(), again, yielding.is_err())
            }
        });
        spot.wait_asleep();
        task.cancel();
        let (first, again, yielding) = task.join().expect("it returned all the same");
        assert!(first && yielding);
        for (name, unwound) in again {
            assert!(unwound, "{name} of a cancelled task went on");
        }
    });
}

#[test]
fn a_task_that_swallows_its_cancellation_does_not_hog_its_worker() {
    guarded(|| {
        runtime(1).run(|| {
            let (stop, raised) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let swallower = coroutine::spawn_local({
                let (stop, raised) = (stop.clone(), raised.clone());
                move || {
                    while !stop.load(SeqCst) {
                        if catch_unwind(|| coroutine::sleep(LONG)).is_err() {
                            raised.fetch_add(1, SeqCst);
                        }
                    }
                    "ended by itself"
                }
            });
            coroutine::yield_now();
            swallower.cancel();
            // Each turn of the others, one raise.
            until(|| raised.load(SeqCst) >= 200);
            stop.store(true, SeqCst);
            assert_eq!(swallower.join().unwrap(), "ended by itself");
        });
    });
}

#[test]
fn a_task_that_returns_all_the_same_has_returned() {
    on_every_pair(|plan| {
        let (started, begun) = bounded(0);
        let task = plan.spawn(move || {
            started.send(()).unwrap();
            assert!(catch_unwind(|| coroutine::sleep(LONG)).is_err());
            42
        });
        begun.recv().unwrap();
        task.cancel();
        assert_eq!(task.join().unwrap(), 42);
    });
}

#[test]
fn a_task_that_does_not_wait_is_not_interrupted() {
    on_every_pair(|plan| {
        let (cancelled, seen) = (Arc::new(AtomicBool::new(false)), Spot::new());
        let task = plan.spawn({
            let (cancelled, seen) = (cancelled.clone(), seen.clone());
            move || {
                seen.mark();
                while !cancelled.load(SeqCst) {
                    std::thread::yield_now(); // the thread, not the task
                }
                42
            }
        });
        if plan == Plan::Thread {
            until(|| seen.is_marked());
        } else {
            // Or it might share this worker, and never let go of it.
            while !seen.is_marked() && !coroutine::current().is_coroutine() {
                std::thread::yield_now();
            }
        }
        task.cancel();
        cancelled.store(true, SeqCst);
        match task.join() {
            Ok(value) => assert_eq!(value, 42),
            Err(error) => assert!(error.is_cancelled() && !seen.is_marked(), "{error}"),
        }
    });
}

#[test]
fn cancel_after_the_end_changes_nothing() {
    on_every_pair(|plan| {
        let task = plan.spawn(|| 42);
        until(|| task.is_finished());
        task.cancel();
        task.cancel();
        assert_eq!(task.join().unwrap(), 42);
    });
}

#[test]
fn a_task_can_cancel_itself() {
    on_every_pair(|plan| {
        let task = plan.spawn(|| {
            let me = coroutine::current();
            me.cancel();
            assert!(me.is_cancelled());
            let first = "not yet: nothing has waited";
            coroutine::sleep(LONG);
            first
        });
        assert!(task.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn destructors_run_from_the_inside_out_and_only_once() {
    struct Says(&'static str, Arc<Mutex<Vec<&'static str>>>);

    impl Drop for Says {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    on_every_plan(|plan| {
        let (log, spot) = (Arc::new(Mutex::new(Vec::new())), Spot::new());
        let captured = Says("captured", log.clone());
        let task = plan.spawn({
            let (log, spot) = (log.clone(), spot.clone());
            move || {
                let _captured = captured;
                let _outer = Says("outer", log.clone());
                let inner = || {
                    let _inner = Says("inner", log.clone());
                    spot.mark();
                    coroutine::sleep(LONG);
                };
                inner();
                log.lock().unwrap().push("unreachable");
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(*log.lock().unwrap(), ["inner", "outer", "captured"]);
    });
}

#[test]
fn a_panic_in_a_cancelled_task_is_a_panic() {
    on_every_plan(|plan| {
        let spot = Spot::new();
        let task = plan.spawn({
            let spot = spot.clone();
            move || {
                spot.mark();
                let _ = catch_unwind(|| coroutine::sleep(LONG));
                resume_unwind(Box::new("worse"));
            }
        });
        spot.wait_asleep();
        task.cancel();
        let error = task.join().map(drop).unwrap_err();
        assert_eq!(error.downcast::<&str>().unwrap(), "worse");
    });
}

#[test]
fn a_message_that_has_come_wins_over_the_cancel() {
    guarded(|| {
        runtime(1).run(|| {
            let (sender, receiver) = unbounded();
            let got = Arc::new(Mutex::new(None));
            let task = coroutine::spawn_local({
                let got = got.clone();
                move || {
                    *got.lock().unwrap() = Some(receiver.recv().unwrap());
                    coroutine::sleep(LONG);
                }
            });
            coroutine::yield_now();
            sender.send("a letter").unwrap();
            task.cancel();
            assert!(task.join().unwrap_err().is_cancelled());
            assert_eq!(*got.lock().unwrap(), Some("a letter"));
        });
    });
}

#[test]
fn the_end_of_a_task_wins_over_the_cancel_of_its_joiner() {
    guarded(|| {
        runtime(1).run(|| {
            let (go, gate) = bounded::<()>(1);
            let inner = coroutine::spawn_local(move || gate.recv().map(|()| 42));
            let seen = Arc::new(AtomicUsize::new(0));
            let joiner = coroutine::spawn_local({
                let seen = seen.clone();
                move || seen.store(inner.join().unwrap().unwrap(), SeqCst)
            });
            coroutine::yield_now();
            go.send(()).unwrap();
            coroutine::yield_now(); // the inner one ends, and its joiner is ready
            joiner.cancel();
            joiner.join().expect("it was told before it was cancelled");
            assert_eq!(seen.load(SeqCst), 42);
        });
    });
}

#[test]
fn a_cancelled_send_does_not_arrive_and_a_cancelled_receive_takes_nothing() {
    on_every_plan(|plan| {
        let (sender, receiver) = bounded(1);
        let tracker = Tracker::new();
        sender.send(None).unwrap();
        let spot = Spot::new();
        let task = plan.spawn({
            let (sender, value, spot) = (sender.clone(), tracker.value(), spot.clone());
            move || {
                spot.mark();
                drop(sender.send(Some(value)));
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(tracker.drops(), 1, "the message that did not arrive is dropped");
        assert!(receiver.recv().unwrap().is_none() && receiver.is_empty());

        let spot = Spot::new();
        let task = plan.spawn({
            let (receiver, spot) = (receiver.clone(), spot.clone());
            move || {
                spot.mark();
                drop(receiver.recv());
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        sender.send(Some(tracker.value())).unwrap();
        assert!(receiver.try_recv().unwrap().is_some());
    });
}

#[test]
fn permits_and_locks_are_not_lost_to_cancelled_waiters() {
    on_every_plan(|plan| {
        let semaphore = Arc::new(Semaphore::new(1));
        let mutex = Arc::new(ropewalk::sync::Mutex::new(0));
        let permit = semaphore.acquire();
        let guard = mutex.lock().unwrap();
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let (semaphore, mutex) = (semaphore.clone(), mutex.clone());
                plan.spawn(move || {
                    if n % 2 == 0 {
                        drop(semaphore.acquire());
                    } else {
                        *mutex.lock().unwrap() += 1;
                    }
                })
            })
            .collect();
        tasks.iter().step_by(3).for_each(ropewalk::JoinHandle::cancel);
        drop((permit, guard));
        tasks.iter().skip(1).step_by(3).for_each(ropewalk::JoinHandle::cancel);
        let returned = |n: usize, task: ropewalk::JoinHandle<()>| match task.join() {
            Ok(()) => n % 2,
            Err(error) if error.is_cancelled() => 0,
            Err(error) => panic!("{error}"),
        };
        let counted: usize = tasks.into_iter().enumerate().map(|(n, task)| returned(n, task)).sum();
        assert_eq!(*mutex.lock().unwrap(), counted);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn a_cancel_does_not_poison_ropewalks_mutex_but_a_panic_does() {
    on_every_plan(|plan| {
        let mutex = Arc::new(ropewalk::sync::Mutex::new(0));
        let spot = Spot::new();
        let task = plan.spawn({
            let (mutex, spot) = (mutex.clone(), spot.clone());
            move || {
                let _guard = mutex.lock().unwrap();
                spot.mark();
                coroutine::sleep(LONG);
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        drop(mutex.lock().expect("a cancel does not poison"));
        let task = plan.spawn({
            let mutex = mutex.clone();
            move || {
                let _guard = mutex.lock().unwrap();
                resume_unwind(Box::new(()));
            }
        });
        assert!(task.join().map(drop).unwrap_err().is_panic());
        assert!(mutex.is_poisoned());
    });
}

#[test]
fn a_cancel_poisons_a_std_mutex_that_is_held_over_a_wait() {
    on_every_plan(|plan| {
        let mutex = Arc::new(Mutex::new(0));
        let spot = Spot::new();
        let task = plan.spawn({
            let (mutex, spot) = (mutex.clone(), spot.clone());
            move || {
                let _guard = mutex.lock().unwrap();
                spot.mark();
                coroutine::sleep(LONG);
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert!(mutex.is_poisoned(), "std cannot tell a cancel from a panic: docs/soundness.md says so");
    });
}

#[test]
fn cancels_from_many_sides_at_once_are_one() {
    for plan in PLANS {
        guarded(|| {
            runtime(2).run(|| {
                for _ in 0..50 {
                    let tracker = Tracker::new();
                    let task = Arc::new(plan.spawn({
                        let value = tracker.value();
                        move || {
                            let _value = value;
                            coroutine::sleep(LONG);
                        }
                    }));
                    let cancellers: Vec<_> = PLANS
                        .iter()
                        .cycle()
                        .take(4)
                        .map(|canceller| {
                            let task = task.clone();
                            canceller.spawn(move || task.cancel())
                        })
                        .collect();
                    cancellers.into_iter().for_each(|canceller| canceller.join().unwrap());
                    let task = Arc::into_inner(task).expect("the cancellers have ended");
                    assert!(task.join().unwrap_err().is_cancelled());
                    assert_eq!(tracker.drops(), 1);
                }
            });
        });
    }
}

#[test]
fn swallowed_or_not_a_cancel_is_not_an_error_of_the_wait() {
    // An infallible wait has no error to return, and a fallible one of a running task unwinds too: nobody mistakes a
    // cancel for a broken connection.
    on_every_plan(|plan| {
        let spot = Spot::new();
        let task = plan.spawn({
            let spot = spot.clone();
            move || {
                let (mut near, _far) = crate::support::net::pair();
                spot.mark();
                let read =
                    AssertUnwindSafe(|| std::io::Read::read(&mut near, &mut [0; 8]).map_err(|e| e.kind()));
                catch_unwind(read).ok()
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert_eq!(task.join().unwrap(), None, "the read unwound");
    });
}

/// A thread is woken from a system call by `SIGURG`. It inherits the signal mask of whoever spawned it, and programs that
/// take signals on a thread of their own block all of them everywhere else.
#[test]
fn a_thread_whose_spawner_blocks_all_signals_can_be_cancelled() {
    guarded(|| {
        // SAFETY: both sets are initialised before they are read; only the mask of this thread changes.
        let before = unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
            before
        };
        let spot = Spot::new();
        let task = thread::spawn({
            let spot = spot.clone();
            move || {
                let (mut near, _far) = crate::support::net::pair();
                spot.mark();
                let _ = std::io::Read::read(&mut near, &mut [0; 8]);
            }
        });
        spot.wait_asleep();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        // SAFETY: puts back what was there.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    });
}
