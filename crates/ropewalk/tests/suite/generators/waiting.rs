//! Bodies that wait: the whole task waits, and what interrupts it passes through.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ropewalk::channel::{bounded, unbounded};
use ropewalk::generator::{Generator, State, Yielder, scope as generator_scope};
use ropewalk::sync::{Mutex, Semaphore};
use ropewalk::{
    JoinHandle, OnFailure, coroutine, inspect, no_suspend, scope, scope_with, shield, thread, timeout,
};

use super::{Log, ignore, message};
use crate::support::child::{self, Child, test_name};
use crate::support::{LONG, Tracker, guarded, on_every_plan, runtime, until};

#[test]
fn a_body_that_waits_suspends_its_coroutine_and_the_neighbours_run() {
    guarded(|| {
        runtime(1).run(|| {
            let log = Log::default();
            let names = ["a", "b", "c"];
            let tasks: Vec<JoinHandle<()>> = names
                .into_iter()
                .map(|name| {
                    let log = log.clone();
                    coroutine::spawn_local(move || {
                        let steps: Generator<(), u32, ()> = Generator::new(|yielder| {
                            for n in 0..3 {
                                coroutine::yield_now();
                                yielder.yield_(n);
                                coroutine::sleep(Duration::ZERO);
                            }
                        });
                        for n in steps {
                            log.say(format!("{name}{n}"));
                            coroutine::yield_now();
                        }
                    })
                })
                .collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            let said = log.take();
            let rounds: Vec<&[String]> = said.chunks(3).collect();
            for (n, round) in rounds.into_iter().enumerate() {
                assert_eq!(round, names.map(|name| format!("{name}{n}")), "they take turns: {said:?}");
            }
        });
    });
}

#[test]
fn bodies_wait_for_each_other_in_any_order() {
    on_every_plan(|plan| {
        let (ping, receive_ping) = bounded::<u32>(0);
        let (pong, receive_pong) = bounded::<u32>(0);
        let echo = plan.spawn(move || {
            // Each message is received in a body, and answered in another one within it.
            let mut messages: Generator<u32, u32, ()> = Generator::new(move |yielder| {
                for n in receive_ping {
                    let answer = yielder.yield_(n).expect("an answer");
                    let mut answers: Generator<(), (), ()> = Generator::new({
                        let pong = pong.clone();
                        move |yielder| {
                            pong.send(answer).unwrap();
                            yielder.yield_(());
                        }
                    });
                    answers.next();
                }
            });
            let mut state = messages.resume().unwrap();
            while let State::Yielded(n) = state {
                state = messages.send(n + 1).unwrap();
            }
        });
        for n in 0..100 {
            ping.send(n).unwrap();
            assert_eq!(receive_pong.recv(), Ok(n + 1));
        }
        drop(ping);
        echo.join().unwrap();
    });
}

#[test]
fn a_runtime_runs_inside_of_a_body() {
    guarded(|| {
        let mut generator: Generator<(), u32, ()> = Generator::new(|yielder| {
            for n in 1..=2 {
                let sum = runtime(1).run(move || (1..=10).map(|i| n * i).sum());
                yielder.yield_(sum);
            }
        });
        assert_eq!(generator.by_ref().collect::<Vec<_>>(), [55, 110]);
    });
}

/// Waits for ever in its body; tells when it does, and holds a value.
fn waits_for_ever(tracker: &Tracker, tell: impl FnOnce() + 'static) -> Generator<(), (), ()> {
    let value = tracker.value();
    Generator::new(move |_| {
        let _value = value;
        tell();
        coroutine::sleep(LONG);
    })
}

#[test]
fn a_cancel_in_a_body_unwinds_the_body_and_then_the_task() {
    on_every_plan(|plan| {
        let tracker = Tracker::new();
        let (tell, told) = mpsc::channel();
        let task = plan.spawn({
            let tracker = tracker.clone();
            move || {
                let _local = tracker.value();
                let mut inner = waits_for_ever(&tracker, move || tell.send(()).unwrap());
                let mut outer: Generator<(), (), ()> = Generator::new(move |_| ignore(inner.next()));
                outer.next();
            }
        });
        told.recv().unwrap();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(tracker.drops(), 2);
    });
}

#[test]
fn a_cancel_that_a_resumer_catches_has_ended_the_generator() {
    on_every_plan(|plan| {
        let tracker = Tracker::new();
        let task = plan.spawn({
            let tracker = tracker.clone();
            move || {
                let mut generator = waits_for_ever(&tracker, || coroutine::current().cancel());
                assert!(catch_unwind(AssertUnwindSafe(|| generator.next())).is_err());
                assert!(generator.is_finished());
                assert_eq!(tracker.drops(), 1);
                assert!(!std::thread::panicking());
            }
        });
        task.join().unwrap();
    });
}

#[test]
fn a_timeout_around_a_resume_ends_the_body() {
    on_every_plan(|_| {
        let tracker = Tracker::new();
        let mut generator = waits_for_ever(&tracker, || ());
        assert!(timeout(Duration::from_millis(1), || generator.next()).is_err());
        assert!(generator.is_finished());
        assert_eq!(tracker.drops(), 1);
        coroutine::sleep(Duration::from_millis(1)); // nothing of it is left
    });
}

#[test]
fn the_failure_of_a_scope_passes_through_a_body() {
    on_every_plan(|plan| {
        let tracker = Tracker::new();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            plan.scope(|s| {
                let mut generator = waits_for_ever(&tracker, || ());
                s.spawn(|| std::panic::resume_unwind(Box::new("a child fails")));
                generator.next();
                unreachable!("the scope has failed");
            });
        }));
        assert_eq!(message(&*outcome.map(drop).unwrap_err()), "a task of the scope failed");
        assert_eq!(tracker.drops(), 1);
    });
}

/// Opens something around a yield.
type Opener = fn(&dyn Fn());

const OPENERS: [(&str, Opener); 5] = [
    ("timeout", |f| ignore(timeout(LONG, f))),
    ("shield", |f| shield(LONG, f)),
    ("scope", |f| scope(|_| f())),
    ("thread scope", |f| thread::scope(|_| f())),
    ("no_suspend", |f| no_suspend(f)),
];

#[test]
fn a_body_must_not_yield_inside_of_what_it_has_opened() {
    on_every_plan(|_| {
        for (name, open) in OPENERS {
            let tracker = Tracker::new();
            let value = tracker.value();
            let mut generator: Generator<(), u32, ()> = Generator::new(move |yielder| {
                let _value = &value;
                open(&|| ());
                yielder.yield_(1); // it is closed again
                open(&|| ignore(yielder.yield_(2)));
            });
            assert_eq!(generator.next(), Some(1), "{name}");
            let payload = catch_unwind(AssertUnwindSafe(|| generator.next())).unwrap_err();
            let text = message(&*payload);
            assert!(
                text.contains("cannot yield inside of a timeout, shield, scope or no_suspend"),
                "{name}: {text}"
            );
            assert_eq!(tracker.drops(), 1);
            coroutine::sleep(Duration::from_millis(1)); // nothing of it is left
        }
    });
}

#[test]
fn a_body_may_yield_inside_of_what_its_resumer_has_opened() {
    on_every_plan(|_| {
        let generator: Generator<(), u32, ()> = Generator::new(|yielder| {
            for n in 0.. {
                yielder.yield_(n);
            }
        });
        let (generator, count) = (RefCell::new(generator), Cell::new(0));
        let advance = || {
            assert_eq!(generator.borrow_mut().next(), Some(count.get()));
            count.set(count.get() + 1);
        };
        advance();
        for (_, open) in OPENERS {
            open(&|| {
                advance();
                open(&advance);
                advance();
            });
            advance();
        }
        assert_eq!(count.get(), 21);
    });
}

#[test]
fn a_body_may_resume_others_inside_of_what_it_has_opened() {
    on_every_plan(|_| {
        for (name, open) in OPENERS {
            let mut outer: Generator<(), u32, ()> = Generator::new(move |yielder| {
                let inner: Generator<(), u32, ()> = Generator::new(move |yielder| {
                    for n in 1..=3 {
                        open(&|| ());
                        yielder.yield_(n);
                    }
                });
                let (inner, sum) = (RefCell::new(inner), Cell::new(0));
                open(&|| sum.set(inner.borrow_mut().by_ref().sum()));
                yielder.yield_(sum.get());
                // Left half-way by a panic, it is closed again.
                let left = || std::panic::resume_unwind(Box::new("half-way"));
                assert!(catch_unwind(AssertUnwindSafe(|| open(&left))).is_err());
                yielder.yield_(7);
            });
            assert_eq!(outer.by_ref().collect::<Vec<_>>(), [6, 7], "{name}");
        }
    });
}

#[test]
fn a_body_may_wait_inside_of_what_it_has_opened() {
    on_every_plan(|plan| {
        let mut generator: Generator<(), u32, ()> = Generator::new(move |yielder| {
            let late = timeout(Duration::from_millis(1), || coroutine::sleep(LONG));
            yielder.yield_(u32::from(late.is_err()));
            let squares = plan.scope(|s| {
                let handles: Vec<_> = (1..=3).map(|n| s.spawn(move || n * n)).collect();
                handles.into_iter().map(|handle| handle.join().unwrap()).sum()
            });
            yielder.yield_(squares);
            let failed = catch_unwind(|| scope_with(OnFailure::Cancel, |s| s.spawn(panic_quietly).join()));
            yielder.yield_(u32::from(failed.is_err()));
        });
        assert_eq!(generator.by_ref().collect::<Vec<_>>(), [1, 14, 1]);
    });
}

fn panic_quietly() {
    std::panic::resume_unwind(Box::new("a child fails"));
}

/// Waits when it is dropped: once where an error can be told, once where not.
struct WaitsOnDrop(Rc<Cell<Option<bool>>>);

impl Drop for WaitsOnDrop {
    fn drop(&mut self) {
        let (_sender, receiver) = unbounded::<()>();
        let failed = receiver.recv_timeout(Duration::from_millis(1)).is_err();
        coroutine::sleep(Duration::from_millis(1));
        self.0.set(Some(failed));
    }
}

#[test]
fn destructors_of_a_body_that_is_closed_wait_as_in_any_task_that_unwinds() {
    on_every_plan(|_| {
        for drop_it in [false, true] {
            let told = Rc::new(Cell::new(None));
            let waits = WaitsOnDrop(told.clone());
            let mut generator: Generator<(), (), ()> = Generator::new(move |yielder| {
                let _waits = waits;
                yielder.yield_(());
            });
            generator.next();
            if drop_it {
                drop(generator);
            } else {
                generator.close();
            }
            assert_eq!(told.take(), Some(true));
            coroutine::sleep(Duration::from_millis(1));
        }
    });
}

/// Locks a mutex when it is dropped.
struct LocksOnDrop(Arc<Mutex<u32>>);

impl Drop for LocksOnDrop {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

/// A body that is closed waits for a neighbour, in a destructor: the coroutine switches away half unwound. The neighbour's
/// own generators do not take themselves for unwinding.
#[test]
fn generators_beside_a_half_closed_one_live_as_ever() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        runtime(1).run(|| {
            let mutex = Arc::new(Mutex::new(0));
            let guard = mutex.lock().unwrap();
            let closer = coroutine::spawn_local({
                let locks = LocksOnDrop(mutex.clone());
                move || {
                    let mut generator: Generator<(), (), ()> = Generator::new(move |yielder| {
                        let _locks = locks;
                        yielder.yield_(());
                    });
                    generator.next();
                    generator.close();
                    assert!(!std::thread::panicking());
                }
            });
            // Entered before the neighbour begins to unwind, and left after that.
            let mut early: Generator<(), u32, ()> = Generator::new(|yielder| {
                coroutine::yield_now();
                assert!(std::thread::panicking(), "std believes so: docs/soundness.md says it");
                yielder.yield_(42);
            });
            assert_eq!(early.next(), Some(42));
            let tracker = Tracker::new();
            let value = tracker.value();
            let mut numbers: Generator<u32, u32, ()> = Generator::new(move |yielder| {
                let _value = value;
                let mut last = 0;
                loop {
                    last = yielder.yield_(last).unwrap_or(last + 1);
                }
            });
            assert_eq!((numbers.next(), numbers.next()), (Some(0), Some(1)));
            assert_eq!(numbers.send(7).unwrap(), State::Yielded(7));
            numbers.close();
            assert_eq!(tracker.drops(), 1);
            drop(guard);
            closer.join().unwrap();
            assert_eq!(*mutex.lock().unwrap(), 1);
        });
        assert_eq!(inspect::statistics().unwinding_switches, 1);
    });
}

#[test]
fn a_generator_that_borrows_waits_and_is_closed_like_any_other() {
    on_every_plan(|plan| {
        let permits = Arc::new(Semaphore::new(0));
        let tracker = Tracker::new();
        let task = plan.spawn({
            let (permits, tracker) = (permits.clone(), tracker.clone());
            move || {
                let body = |yielder: &Yielder<(), usize>| {
                    for n in 0.. {
                        let _value = tracker.value();
                        permits.acquire().forget();
                        yielder.yield_(n);
                    }
                };
                generator_scope(body, |generator| generator.for_each(drop));
            }
        });
        permits.add_permits(3);
        until(|| tracker.drops() == 3);
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(tracker.drops(), 4);
    });
}
