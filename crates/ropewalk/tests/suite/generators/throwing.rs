//! Errors and panics that are raised in a body.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

use ropewalk::generator::{Generator, State, ThrowError, Yielder, scope};

use super::{Log, ignore, message};
use crate::support::Tracker;

type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Debug, PartialEq)]
struct Storm(u32);

impl std::fmt::Display for Storm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a storm of force {}", self.0)
    }
}

impl Error for Storm {}

#[track_caller]
fn storm(error: BoxError) -> u32 {
    error.downcast::<Storm>().expect("the error that was thrown").0
}

#[test]
fn an_error_unwinds_the_body_and_comes_back_to_who_threw_it() {
    let log = Log::default();
    let mut generator: Generator<(), u32, ()> = Generator::new({
        let log = log.clone();
        move |yielder| {
            let _outer = log.on_drop("outer");
            let _inner = log.on_drop("inner");
            yielder.yield_(1);
            log.say("it goes on");
        }
    });
    generator.next();
    let error = generator.throw(Storm(9)).unwrap_err();
    assert_eq!(log.take(), ["inner", "outer"]);
    assert!(generator.is_finished() && !std::thread::panicking());
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&Storm(9)));
    let ThrowError::Uncaught(error) = error else { panic!("{error:?}") };
    assert_eq!(storm(error), 9);
}

#[test]
fn an_error_that_is_taken_as_a_value_unwinds_nothing() {
    let mut generator: Generator<u32, u32, &str> = Generator::new(|yielder| {
        let mut next = 0;
        loop {
            match yielder.try_yield(next) {
                Ok(Some(input)) => next = input,
                Ok(None) => return "resumed without an input",
                Err(error) => next = 100 * storm(error),
            }
        }
    });
    generator.resume().unwrap();
    assert_eq!(generator.throw(Storm(3)).unwrap(), State::Yielded(300));
    assert_eq!(generator.send(4).unwrap(), State::Yielded(4));
    assert_eq!(generator.throw(Storm(5)).unwrap(), State::Yielded(500));
    assert_eq!(generator.resume(), Ok(State::Complete("resumed without an input")));
}

#[test]
fn a_body_that_catches_the_unwind_goes_on() {
    let mut generator: Generator<(), u32, u32> = Generator::new(|yielder| {
        let caught = catch_unwind(AssertUnwindSafe(|| yielder.yield_(1)));
        assert!(caught.is_err());
        yielder.yield_(2); // with the payload alive
        drop(caught);
        yielder.yield_(3);
        4
    });
    generator.resume().unwrap();
    assert_eq!(generator.throw("anything").unwrap(), State::Yielded(2));
    assert_eq!(generator.resume(), Ok(State::Yielded(3)));
    assert_eq!(generator.resume(), Ok(State::Complete(4)));
}

#[test]
fn an_error_for_a_body_that_is_not_there_comes_back() {
    let mut generator: Generator<(), u32, ()> = Generator::new(|yielder| ignore(yielder.yield_(1)));
    let early = generator.throw(Storm(1)).unwrap_err();
    assert!(early.to_string().contains("never resumed"), "{early}");
    let ThrowError::NotStarted(error) = early else { panic!("{early:?}") };
    assert_eq!(storm(error), 1);
    assert_eq!(generator.next(), Some(1), "nothing has happened to it");
    assert_eq!(generator.next(), None);
    let late = generator.throw(Storm(2)).unwrap_err();
    assert!(matches!(late, ThrowError::Finished(_)) && late.to_string().contains("ended"), "{late}");
    assert_eq!(storm(late.into_inner()), 2);
    scope(
        |yielder: &Yielder<(), u32>| yielder.yield_(1),
        |mut generator| {
            generator.next();
            assert_eq!(storm(generator.throw(Storm(3)).unwrap_err().into_inner()), 3);
        },
    );
}

#[test]
fn an_error_that_was_held_back_is_a_panic_for_who_did_not_throw_it() {
    let mut generator: Generator<(), u32, ()> = Generator::new(|yielder| {
        let payload = catch_unwind(AssertUnwindSafe(|| yielder.yield_(1))).unwrap_err();
        yielder.yield_(2);
        resume_unwind(payload);
    });
    generator.next();
    assert_eq!(generator.throw(Storm(7)).unwrap(), State::Yielded(2));
    let payload = catch_unwind(AssertUnwindSafe(|| generator.resume())).unwrap_err();
    assert_eq!(storm(*payload.downcast::<BoxError>().expect("the error is the payload")), 7);
    assert!(generator.is_finished());
}

#[test]
fn an_error_passes_from_the_inner_generator_to_the_outer_as_a_value() {
    let mut outer: Generator<(), u32, u32> = Generator::new(|yielder| {
        let mut inner: Generator<(), u32, ()> = Generator::new(|yielder| ignore(yielder.yield_(1)));
        inner.next();
        let Err(error) = yielder.try_yield(0) else { panic!("an error is thrown") };
        let uncaught = inner.throw(error).unwrap_err();
        storm(uncaught.into_inner())
    });
    outer.next();
    assert_eq!(outer.throw(Storm(5)).unwrap(), State::Complete(5));
}

/// A generator that panics when it is resumed for the second time, with a value on its stack and one captured.
fn panics(tracker: &Tracker) -> Generator<u32, u32, ()> {
    let (captured, local) = (tracker.value(), tracker.clone());
    Generator::new(move |yielder| {
        let _values = (captured, local.value());
        let _ = yielder.try_yield(1);
        panic_any("it has to be");
    })
}

#[test]
fn a_panic_arrives_at_whoever_resumes() {
    type Resumer = fn(&mut Generator<u32, u32, ()>);
    let resumers: [Resumer; 4] = [
        |generator| ignore(generator.resume()),
        |generator| ignore(generator.send(1)),
        |generator| ignore(generator.next()),
        |generator| drop(generator.throw("an error")),
    ];
    for resume in resumers {
        let tracker = Tracker::new();
        let mut generator = panics(&tracker);
        generator.next();
        let payload = catch_unwind(AssertUnwindSafe(|| resume(&mut generator))).unwrap_err();
        assert_eq!(message(&*payload), "it has to be");
        assert_eq!(tracker.drops(), 2);
        assert!(generator.is_finished() && generator.resume().is_err() && generator.send(1).is_err());
        generator.close();
        assert!(!std::thread::panicking());
    }
}

#[test]
fn a_panic_at_the_first_resume_is_no_different() {
    let mut generator: Generator<(), (), ()> = Generator::new(|_| panic_any("at once"));
    let payload = catch_unwind(AssertUnwindSafe(|| generator.next())).unwrap_err();
    assert_eq!(message(&*payload), "at once");
    assert!(generator.is_finished());
}

#[test]
fn a_yielder_serves_its_own_body_only() {
    let mut outer: Generator<(), u32, &str> = Generator::new(|yielder| {
        let inner = |_: &Yielder<(), u32>| ignore(yielder.yield_(1));
        let foreign = catch_unwind(AssertUnwindSafe(|| scope(inner, |mut inner| inner.next())));
        let text = message(&*foreign.unwrap_err()).to_owned();
        assert!(text.contains("on its own stack only"), "{text}");
        yielder.yield_(2);
        "and nothing has happened to it"
    });
    assert_eq!(outer.resume(), Ok(State::Yielded(2)));
    assert_eq!(outer.resume(), Ok(State::Complete("and nothing has happened to it")));
}
