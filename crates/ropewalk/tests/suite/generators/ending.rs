//! The end of a body that has not come to its end by itself.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

use ropewalk::coroutine;
use ropewalk::generator::{Generator, State, Yielder, scope};

use super::{Log, ignore, message};
use crate::support::tracker::Tracked;
use crate::support::{LONG, Tracker, guarded, on_every_plan, runtime};

/// Suspended in the middle, with two values on its stack that say when they are dropped.
fn suspended(log: &Log) -> Generator<(), u32, ()> {
    let mut generator = Generator::new({
        let log = log.clone();
        move |yielder: &Yielder<(), u32>| {
            let _outer = log.on_drop("outer");
            let _inner = log.on_drop("inner");
            yielder.yield_(1);
            log.say("it goes on");
        }
    });
    assert_eq!(generator.next(), Some(1));
    generator
}

#[test]
fn to_close_a_suspended_one_runs_its_destructors_once() {
    let log = Log::default();
    let mut generator = suspended(&log);
    generator.close();
    assert_eq!(log.take(), ["inner", "outer"]);
    assert!(generator.is_finished() && generator.resume().is_err() && generator.next().is_none());
    generator.close();
    drop(generator);
    assert!(log.take().is_empty() && !std::thread::panicking());
}

#[test]
fn to_drop_a_suspended_one_runs_its_destructors() {
    let log = Log::default();
    drop(suspended(&log));
    assert_eq!(log.take(), ["inner", "outer"]);
}

#[test]
fn one_that_has_not_begun_never_does_and_drops_what_it_captured() {
    let tracker = Tracker::new();
    for close in [true, false] {
        let value = tracker.value();
        let mut generator: Generator<(), (), ()> = Generator::new(move |_| {
            drop(value);
            unreachable!("nobody has resumed it");
        });
        if close {
            generator.close();
            assert!(generator.is_finished() && generator.next().is_none());
        }
    }
    assert_eq!(tracker.drops(), 2);
}

#[test]
fn one_that_has_ended_has_nothing_left_to_close() {
    let log = Log::default();
    let mut generator = suspended(&log);
    assert_eq!(generator.next(), None);
    assert_eq!(log.take(), ["it goes on", "inner", "outer"]);
    generator.close();
    drop(generator);
    assert!(log.take().is_empty());
}

#[test]
fn the_end_of_a_scope_closes_its_generator() {
    let log = Log::default();
    let text = String::from("borrowed");
    let body = |yielder: &Yielder<(), ()>| {
        let _says = log.on_drop("closed");
        yielder.yield_(());
        log.say(&text);
    };
    scope(body, |mut generator| ignore(generator.next()));
    assert_eq!(log.take(), ["closed"]);
    // To forget the handle keeps nothing open.
    scope(body, |mut generator| {
        generator.next();
        std::mem::forget(Box::new(generator));
    });
    assert_eq!(log.take(), ["closed"]);
    let payload = catch_unwind(AssertUnwindSafe(|| {
        scope(body, |mut generator| {
            generator.next();
            panic_any("the block panics");
        })
    }));
    assert_eq!(message(&*payload.unwrap_err()), "the block panics");
    assert_eq!(log.take(), ["closed"]);
    scope(body, |mut generator| {
        generator.next();
        generator.close();
        assert_eq!(log.take(), ["closed"]);
    });
    assert!(log.take().is_empty());
}

#[test]
fn a_body_that_catches_its_closing_is_unwound_again_at_its_next_yield() {
    let log = Log::default();
    let mut generator: Generator<(), u32, ()> = Generator::new({
        let log = log.clone();
        move |yielder| {
            for _ in 0..150 {
                assert!(catch_unwind(AssertUnwindSafe(|| yielder.yield_(1))).is_err());
                log.say("caught");
            }
            let _says = log.on_drop("unwound");
            let _ = yielder.try_yield(2);
            log.say("it goes on");
        }
    });
    generator.next();
    generator.close();
    let said = log.take();
    assert_eq!(said.len(), 151);
    assert_eq!(said[149..], ["caught", "unwound"]);
}

#[test]
fn what_a_body_returns_while_it_is_closed_is_dropped() {
    let tracker = Tracker::new();
    let mut generator = Generator::new({
        let tracker = tracker.clone();
        move |yielder: &Yielder<(), ()>| {
            let _ = catch_unwind(AssertUnwindSafe(|| yielder.yield_(())));
            tracker.value()
        }
    });
    generator.resume().unwrap();
    generator.close();
    assert!(generator.is_finished());
    assert_eq!(tracker.drops(), 1);
}

/// Yields when it is dropped, and says what came of it.
struct YieldsOnDrop<'a>(&'a Yielder<(), Tracked>, Log, Tracker);

impl Drop for YieldsOnDrop<'_> {
    fn drop(&mut self) {
        let input = self.0.yield_(self.2.value());
        let error = self.0.try_yield(self.2.value());
        self.1.say(format!("{input:?} {}", error.is_ok_and(|input| input.is_none())));
    }
}

#[test]
fn a_yield_in_a_destructor_of_a_body_that_unwinds_comes_back_at_once() {
    let (log, tracker) = (Log::default(), Tracker::new());
    let make = |panics: bool| -> Generator<(), Tracked, ()> {
        let (log, tracker) = (log.clone(), tracker.clone());
        Generator::new(move |yielder| {
            let _yields = YieldsOnDrop(yielder, log, tracker.clone());
            yielder.yield_(tracker.value());
            if panics {
                resume_unwind(Box::new("a panic"));
            }
        })
    };
    let mut closed = make(false);
    closed.next();
    closed.close();
    let mut thrown = make(false);
    thrown.next();
    assert!(thrown.throw("an error").is_err());
    let mut panicked = make(true);
    panicked.next();
    assert!(catch_unwind(AssertUnwindSafe(|| panicked.next())).is_err());
    assert_eq!(log.take(), ["None true"; 3]);
    assert_eq!(tracker.drops(), 9);
    // A destructor of a body that does not unwind yields as all code does.
    let mut sound = make(false);
    assert_eq!(sound.by_ref().count(), 3);
    assert_eq!(log.take(), ["None true"]);
}

/// Panics when it is dropped.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic_any("in a destructor");
    }
}

/// Suspended, with a destructor on its stack that panics where nothing else unwinds: after it was caught.
fn suspended_with_a_panic(log: &Log) -> Generator<(), (), ()> {
    let mut generator = Generator::new({
        let log = log.clone();
        move |yielder: &Yielder<(), ()>| {
            let _says = log.on_drop("its destructors run");
            let _ = catch_unwind(AssertUnwindSafe(|| yielder.yield_(())));
            drop(PanicsOnDrop);
        }
    });
    generator.next();
    generator
}

#[test]
fn a_panic_while_it_is_closed_comes_out_of_close_and_of_drop() {
    let log = Log::default();
    let mut generator = suspended_with_a_panic(&log);
    let payload = catch_unwind(AssertUnwindSafe(|| generator.close())).unwrap_err();
    assert_eq!(message(&*payload), "in a destructor");
    assert!(generator.is_finished());
    let generator = suspended_with_a_panic(&log);
    let payload = catch_unwind(AssertUnwindSafe(|| drop(generator))).unwrap_err();
    assert_eq!(message(&*payload), "in a destructor");
    assert_eq!(log.take(), ["its destructors run"; 2]);
    let generator: Generator<(), (), ()> = Generator::new({
        let captured = PanicsOnDrop;
        move |_| drop(captured)
    });
    let payload = catch_unwind(AssertUnwindSafe(|| drop(generator))).unwrap_err();
    assert_eq!(message(&*payload), "in a destructor", "of what it captured");
}

#[test]
fn in_a_thread_that_panics_already_a_second_panic_ends_at_the_drop() {
    let log = Log::default();
    let payload = catch_unwind(AssertUnwindSafe(|| {
        let _generator = suspended_with_a_panic(&log);
        panic_any("the first");
    }));
    assert_eq!(message(&*payload.unwrap_err()), "the first");
    assert_eq!(log.take(), ["its destructors run"]);
    assert!(!std::thread::panicking());
}

#[test]
fn a_task_that_panics_closes_what_it_drops() {
    on_every_plan(|plan| {
        let tracker = Tracker::new();
        let task = plan.spawn({
            let tracker = tracker.clone();
            move || {
                let _generator = holding(&tracker);
                resume_unwind(Box::new("a panic"));
            }
        });
        assert!(task.join().map(drop).unwrap_err().is_panic());
        assert_eq!(tracker.drops(), 1);
    });
}

#[test]
fn a_task_that_is_cancelled_closes_what_it_drops() {
    on_every_plan(|plan| {
        let tracker = Tracker::new();
        let (tell, told) = ropewalk::channel::bounded(1);
        let task = plan.spawn({
            let tracker = tracker.clone();
            move || {
                let _generator = holding(&tracker);
                tell.send(()).unwrap();
                coroutine::sleep(LONG);
            }
        });
        told.recv().unwrap();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(tracker.drops(), 1);
    });
}

#[test]
fn a_body_that_is_closed_or_panics_closes_what_it_drops() {
    for panics in [false, true] {
        let tracker = Tracker::new();
        let mut outer: Generator<(), (), ()> = Generator::new({
            let tracker = tracker.clone();
            move |yielder| {
                let _inner = holding(&tracker);
                yielder.yield_(());
                assert!(panics);
                resume_unwind(Box::new("a panic"));
            }
        });
        outer.next();
        if panics {
            assert!(catch_unwind(AssertUnwindSafe(|| outer.next())).is_err());
        } else {
            outer.close();
        }
        assert_eq!(tracker.drops(), 1);
        assert!(!std::thread::panicking());
    }
}

/// Suspended, with a value on its stack.
fn holding(tracker: &Tracker) -> Generator<(), (), ()> {
    let value = tracker.value();
    let mut generator = Generator::new(move |yielder: &Yielder<(), ()>| {
        let _value = value;
        yielder.yield_(());
        unreachable!("it is dropped here");
    });
    generator.next();
    generator
}

/// Resumes a generator in its destructor, and says what it gave.
struct ResumesOnDrop(Generator<u32, u32, ()>, std::sync::mpsc::Sender<Vec<State<u32, ()>>>);

impl Drop for ResumesOnDrop {
    fn drop(&mut self) {
        let given = vec![self.0.send(10).unwrap(), self.0.resume().unwrap(), self.0.send(20).unwrap()];
        self.1.send(given).expect("somebody asks");
    }
}

/// A body that is resumed by a destructor does not unwind, although its task does.
#[test]
fn a_destructor_of_a_task_that_unwinds_may_resume_a_generator() {
    on_every_plan(|plan| {
        for cancelled in [false, true] {
            let (give, given) = std::sync::mpsc::channel();
            let task = plan.spawn(move || {
                let mut sums: Generator<u32, u32, ()> = Generator::new(|yielder| {
                    let mut sum = 0;
                    loop {
                        sum += yielder.yield_(sum).unwrap_or(1);
                    }
                });
                sums.next();
                let _resumes = ResumesOnDrop(sums, give);
                if cancelled {
                    coroutine::current().cancel();
                    coroutine::sleep(LONG);
                }
                resume_unwind(Box::new("a panic"));
            });
            assert_eq!(task.join().map(drop).unwrap_err().is_cancelled(), cancelled);
            assert_eq!(given.recv().unwrap(), [10, 11, 31].map(State::Yielded));
        }
    });
}

#[test]
fn closing_many_leaves_the_thread_as_it_was() {
    guarded(|| {
        runtime(1).run(|| {
            for _ in 0..1000 {
                drop(suspended(&Log::default()));
            }
            assert!(!std::thread::panicking());
            coroutine::yield_now();
            assert_eq!(coroutine::spawn(|| 42).join().unwrap(), 42);
        });
    });
}
