//! Destructors that wait, while their task unwinds.
//!
//! What std knows of an unwind it knows of the thread; so a coroutine that switched away half unwound would show its
//! neighbours a thread that panics. The rules are in `docs/soundness.md`; here they are at work.

use std::io::{self, ErrorKind, Read, Write};
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ropewalk::channel::{bounded, unbounded};
use ropewalk::net::{TcpListener, TcpStream};
use ropewalk::sync::Mutex;
use ropewalk::{blocking, coroutine, inspect, scope, thread, timeout};

use crate::support::child::{self, Child, test_name};
use crate::support::net::pair;
use crate::support::{LONG, Plan, Spot, guarded, on_every_plan, runtime, until};

/// Does what it is told when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs `f` in a destructor of a task of `plan` that is cancelled in a sleep, and gives what it returned.
fn in_a_cancelled_tasks_destructor<T: Send + 'static>(
    plan: Plan,
    f: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (give, taken) = mpsc::channel();
    let spot = Spot::new();
    let task = plan.spawn({
        let spot = spot.clone();
        move || {
            let mut f = Some(f);
            let _cleans_up = OnDrop(|| give.send(f.take().expect("dropped once")()).unwrap());
            spot.mark();
            coroutine::sleep(LONG);
        }
    });
    until(|| spot.is_marked());
    task.cancel();
    let outcome = task.join();
    assert!(outcome.unwrap_err().is_cancelled());
    taken.recv().expect("the destructor ran to its end")
}

#[test]
fn waits_that_can_fail_fail_and_never_as_interrupted() {
    on_every_plan(|plan| {
        // `read_exact` and `write_all` try again for ever if they are told "interrupted".
        let (mut near, _far) = pair();
        let errors = in_a_cancelled_tasks_destructor(plan, move || {
            let read = near.read_exact(&mut [0; 8]).unwrap_err();
            let peek = near.peek(&mut [0; 8]).unwrap_err();
            let write = loop {
                if let Err(error) = near.write_all(&[0; 64 * 1024]) {
                    break error;
                }
            };
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let accept = listener.accept().unwrap_err();
            [read, peek, write, accept, TcpStream::connect(listener.local_addr().unwrap()).unwrap_err()]
        });
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Other, "{error}");
            assert!(error.to_string().contains("the task was cancelled"), "{error}");
        }
        let (received, sent) = in_a_cancelled_tasks_destructor(plan, || {
            let (_sender, receiver) = unbounded::<()>();
            let (sender, _receiver) = bounded(0);
            (receiver.recv().is_err(), sender.send("back to me").unwrap_err().into_inner())
        });
        assert_eq!((received, sent), (true, "back to me"));
    });
}

#[test]
fn what_needs_no_wait_works_in_a_destructor() {
    on_every_plan(|plan| {
        let (near, mut far) = pair();
        let told = in_a_cancelled_tasks_destructor(plan, move || {
            let (sender, receiver) = unbounded();
            sender.send(1).unwrap();
            let spawned = coroutine::spawn(|| 2);
            coroutine::yield_now();
            (&near).write_all(b"goodbye")?;
            drop(near);
            Ok::<_, io::Error>((receiver.recv().unwrap(), spawned))
        });
        let (received, spawned) = told.unwrap();
        assert_eq!((received, spawned.join().unwrap()), (1, 2));
        let mut text = String::new();
        far.read_to_string(&mut text).unwrap();
        assert_eq!(text, "goodbye");
    });
}

#[test]
fn waits_that_cannot_fail_work_in_a_destructor() {
    on_every_plan(|plan| {
        let value = in_a_cancelled_tasks_destructor(plan, || {
            coroutine::sleep(Duration::from_millis(1));
            let joined = thread::spawn(|| 1).join().unwrap();
            let permits = ropewalk::sync::Semaphore::new(0);
            std::thread::scope(|s| {
                s.spawn(|| permits.add_permits(1));
                drop(permits.acquire());
            });
            let blocked = blocking(|| 2);
            let elsewhere = scope(|s| s.spawn(|| 3).join().unwrap());
            [joined, blocked, elsewhere]
        });
        assert_eq!(value, [1, 2, 3]);
    });
}

#[test]
fn a_coroutine_that_panics_has_the_same_rules() {
    guarded(|| {
        runtime(1).run(|| {
            let (mutex, told) = (Arc::new(Mutex::new(0)), Arc::new(std::sync::Mutex::new(None)));
            let task = coroutine::spawn_local({
                let (mutex, told) = (mutex.clone(), told.clone());
                move || {
                    let (mut near, _far) = pair();
                    let _cleans_up = OnDrop(|| {
                        *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                            Some(near.read(&mut [0; 8]).unwrap_err().kind());
                        *mutex.lock().unwrap() += 1;
                    });
                    resume_unwind(Box::new("a panic"));
                }
            });
            assert!(task.join().map(drop).unwrap_err().is_panic());
            let told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            assert_eq!((told, *mutex.lock().unwrap()), (Some(ErrorKind::Other), 1));
        });
    });
}

#[test]
fn a_thread_that_panics_waits_as_ever() {
    guarded(|| {
        let (sender, receiver) = unbounded();
        let (give, taken) = mpsc::channel();
        let spot = Spot::new();
        let task = thread::spawn({
            let spot = spot.clone();
            move || {
                let _cleans_up = OnDrop(|| {
                    spot.mark();
                    give.send(receiver.recv()).unwrap();
                });
                resume_unwind(Box::new("a panic"));
            }
        });
        spot.wait_asleep();
        sender.send(42).unwrap();
        assert_eq!(taken.recv().unwrap(), Ok(42));
        assert!(task.join().map(drop).unwrap_err().is_panic());
    });
}

/// A destructor needs a mutex whose holder is parked on the same worker: only a switch can help.
#[test]
fn a_lock_held_by_a_neighbour_is_waited_for_by_a_counted_switch() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        runtime(1).run(|| {
            let mutex = Arc::new(Mutex::new(Vec::new()));
            let (go, gate) = bounded::<()>(0);
            let holder = coroutine::spawn_local({
                let mutex = mutex.clone();
                move || {
                    let mut guard = mutex.lock().unwrap();
                    gate.recv().unwrap();
                    guard.push("the holder");
                }
            });
            let task = coroutine::spawn_local({
                let mutex = mutex.clone();
                move || {
                    let _cleans_up = OnDrop(|| mutex.lock().unwrap().push("the destructor"));
                    coroutine::sleep(LONG);
                }
            });
            coroutine::yield_now();
            task.cancel();
            coroutine::yield_now(); // it unwinds, and waits for the lock
            go.send(()).unwrap();
            assert!(task.join().unwrap_err().is_cancelled());
            holder.join().unwrap();
            assert_eq!(*mutex.lock().unwrap(), ["the holder", "the destructor"]);
            assert!(!mutex.is_poisoned());
        });
        assert_eq!(inspect::statistics().unwinding_switches, 1);
    });
}

/// The holder is a thread and lets go soon: the worker waits for it, and nobody sees a thread that panics.
#[test]
fn a_lock_held_by_a_thread_is_waited_for_without_a_switch() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        runtime(1).run(|| {
            let mutex = Arc::new(Mutex::new(()));
            let (spot, neighbour_ran) = (Spot::new(), Arc::new(AtomicBool::new(false)));
            let (locked, is_locked) = bounded(0);
            let holder = thread::spawn({
                let (mutex, spot) = (mutex.clone(), spot.clone());
                move || {
                    let guard = mutex.lock().unwrap();
                    locked.send(()).unwrap();
                    until(|| spot.is_marked());
                    drop(guard);
                }
            });
            is_locked.recv().unwrap();
            let ran_meanwhile = Arc::new(AtomicBool::new(false));
            let task = coroutine::spawn_local({
                let (neighbour_ran, ran_meanwhile) = (neighbour_ran.clone(), ran_meanwhile.clone());
                move || {
                    let _cleans_up = OnDrop(|| {
                        spot.mark();
                        drop(mutex.lock());
                        ran_meanwhile.store(neighbour_ran.load(SeqCst), SeqCst);
                    });
                    coroutine::sleep(LONG);
                }
            });
            coroutine::yield_now();
            task.cancel();
            let neighbour = coroutine::spawn_local(move || neighbour_ran.store(true, SeqCst));
            assert!(task.join().unwrap_err().is_cancelled());
            neighbour.join().unwrap();
            holder.join().unwrap();
            assert!(!ran_meanwhile.load(SeqCst), "the worker was held up");
        });
        assert_eq!(inspect::statistics().unwinding_switches, 0);
    });
}

/// Nobody knows who will end the wait, and it is a neighbour: after 100 ms the coroutine switches all the same.
#[test]
fn a_wait_for_a_neighbour_ends_after_the_limit_by_a_counted_switch() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        runtime(1).run(|| {
            let semaphore = Arc::new(ropewalk::sync::Semaphore::new(0));
            let task = coroutine::spawn_local({
                let semaphore = semaphore.clone();
                move || {
                    let _cleans_up = OnDrop(|| drop(semaphore.acquire()));
                    coroutine::sleep(LONG);
                }
            });
            coroutine::yield_now();
            task.cancel();
            let neighbour = coroutine::spawn_local(move || semaphore.add_permits(1));
            assert!(task.join().unwrap_err().is_cancelled());
            neighbour.join().unwrap();
        });
        assert_eq!(inspect::statistics().unwinding_switches, 1);
    });
}

/// While one coroutine is switched away half unwound, its neighbours must not take themselves for unwinding.
#[test]
fn neighbours_of_a_half_unwound_coroutine_live_as_ever() {
    guarded(|| {
        runtime(1).run(|| {
            let held = Arc::new(Mutex::new(()));
            let guard = held.lock().unwrap();
            let task = coroutine::spawn_local({
                let held = held.clone();
                move || {
                    let _cleans_up = OnDrop(|| drop(held.lock()));
                    coroutine::sleep(LONG);
                }
            });
            coroutine::yield_now();
            task.cancel();
            coroutine::yield_now();
            assert!(std::thread::panicking(), "std believes so: docs/soundness.md says it");

            // Waits work, failing or not.
            let (mut near, mut far) = pair();
            let echo = coroutine::spawn_local(move || {
                let mut byte = [0];
                far.read_exact(&mut byte)?;
                far.write_all(&byte)
            });
            near.write_all(b"x").unwrap();
            near.read_exact(&mut [0]).unwrap();
            echo.join().unwrap().unwrap();
            coroutine::sleep(Duration::from_millis(1));
            assert!(timeout(Duration::from_millis(1), || coroutine::sleep(LONG)).is_err());
            // A guard that is dropped now poisons nothing.
            let mutex = Mutex::new(());
            drop(mutex.lock().unwrap());
            assert!(!mutex.is_poisoned());
            // A neighbour is cancelled, and its destructors run.
            let cleaned = Arc::new(AtomicUsize::new(0));
            let other = coroutine::spawn_local({
                let cleaned = cleaned.clone();
                move || {
                    let _cleans_up = OnDrop(|| {
                        cleaned.fetch_add(1, SeqCst);
                    });
                    coroutine::sleep(LONG);
                }
            });
            coroutine::yield_now();
            other.cancel();
            assert!(other.join().unwrap_err().is_cancelled());
            assert_eq!(cleaned.load(SeqCst), 1);
            // And a panic is caught where it should be.
            assert!(catch_unwind(|| resume_unwind(Box::new(()))).is_err());

            drop(guard);
            assert!(task.join().unwrap_err().is_cancelled());
            assert!(!std::thread::panicking());
        });
    });
}

/// A wake-up that comes just when the 100 ms are over must not be lost: many waits that are ended around that moment.
#[test]
fn a_wake_up_at_the_limit_is_not_lost() {
    guarded(|| {
        let tasks: Vec<_> = (0..40)
            .map(|n: u64| {
                std::thread::spawn(move || {
                    runtime(1).run(|| {
                        let semaphore = Arc::new(ropewalk::sync::Semaphore::new(0));
                        let (begun, began) = mpsc::channel();
                        let task = coroutine::spawn_local({
                            let semaphore = semaphore.clone();
                            move || {
                                let _cleans_up = OnDrop(|| {
                                    begun.send(std::time::Instant::now()).unwrap();
                                    drop(semaphore.acquire());
                                });
                                coroutine::sleep(LONG);
                            }
                        });
                        coroutine::yield_now();
                        let waker = std::thread::spawn(move || {
                            let moment = began.recv().unwrap() + Duration::from_micros(99_000 + 50 * n);
                            while std::time::Instant::now() < moment {
                                std::thread::yield_now();
                            }
                            semaphore.add_permits(1);
                        });
                        task.cancel();
                        assert!(task.join().unwrap_err().is_cancelled());
                        waker.join().unwrap();
                    });
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// The deadline that has unwound the task is still past while its destructors wait: they must not spin on it.
#[test]
fn a_destructor_after_a_timeout_waits_as_one_after_a_cancel() {
    guarded(|| {
        runtime(1).run(|| {
            let semaphore = Arc::new(ropewalk::sync::Semaphore::new(0));
            let task = coroutine::spawn_local({
                let semaphore = semaphore.clone();
                move || {
                    timeout(Duration::from_millis(1), || {
                        let _cleans_up = OnDrop(|| drop(semaphore.acquire()));
                        coroutine::sleep(LONG);
                    })
                }
            });
            let neighbour = coroutine::spawn_local(move || {
                coroutine::sleep(Duration::from_millis(2));
                semaphore.add_permits(1);
            });
            assert!(task.join().unwrap().is_err());
            neighbour.join().unwrap();
        });
    });
}
