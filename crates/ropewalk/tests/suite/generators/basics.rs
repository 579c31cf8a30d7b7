//! Values in and out, from everywhere.

use std::cell::RefCell;
use std::rc::Rc;

use ropewalk::coroutine;
use ropewalk::generator::{Builder, Finished, Generator, SendError, State, Yielder, scope};

use super::{Log, ignore};
use crate::support::{Tracker, guarded, on_every_plan, runtime};

/// Yields 1, 2, .. and returns "the end".
fn count_to(last: u32) -> Generator<(), u32, &'static str> {
    Generator::new(move |yielder| {
        for n in 1..=last {
            yielder.yield_(n);
        }
        "the end"
    })
}

#[test]
fn a_producer_and_a_consumer_take_turns() {
    let log = Log::default();
    let mut consumer: Generator<u32, &str, ()> = Generator::new({
        let log = log.clone();
        move |yielder| {
            let mut answer = "";
            while let Some(n) = yielder.yield_(answer) {
                log.say(format!("consuming {n}"));
                answer = "200 OK";
            }
        }
    });
    assert_eq!(consumer.next(), Some(""), "it starts, and yields for the first time");
    for n in 1..=3 {
        log.say(format!("producing {n}"));
        assert_eq!(consumer.send(n).unwrap(), State::Yielded("200 OK"));
    }
    consumer.close();
    assert!(consumer.is_finished());
    let expected = (1..=3).flat_map(|n| [format!("producing {n}"), format!("consuming {n}")]);
    assert_eq!(log.take(), expected.collect::<Vec<_>>());
}

#[test]
fn a_generator_is_resumed_until_it_completes_and_says_so_ever_after() {
    let mut generator = count_to(2);
    assert!(!generator.is_finished());
    assert_eq!(generator.resume(), Ok(State::Yielded(1)));
    assert_eq!(generator.resume(), Ok(State::Yielded(2)));
    assert!(!generator.is_finished());
    assert_eq!(generator.resume(), Ok(State::Complete("the end")));
    assert!(generator.is_finished());
    for _ in 0..2 {
        assert_eq!(generator.resume(), Err(Finished));
        assert_eq!(generator.next(), None);
        assert_eq!(generator.send(()), Err(SendError::Finished(())));
    }
}

#[test]
fn an_input_that_cannot_be_given_comes_back() {
    let mut echo: Generator<String, Option<String>, ()> = Generator::new(|yielder| {
        let mut last = None;
        loop {
            last = yielder.yield_(last);
            if last.is_none() {
                return;
            }
        }
    });
    let early = echo.send("early".into()).unwrap_err();
    assert!(!early.is_finished() && early.to_string().contains("never resumed"), "{early}");
    assert_eq!(early.into_inner(), "early");
    assert_eq!(echo.resume(), Ok(State::Yielded(None)), "it has not begun before");
    assert_eq!(echo.send("now".into()).unwrap(), State::Yielded(Some("now".into())));
    assert_eq!(echo.resume(), Ok(State::Complete(())));
    let late = echo.send("late".into()).unwrap_err();
    assert!(late.is_finished() && late.to_string().contains("ended"), "{late}");
    assert_eq!(late.into_inner(), "late");
}

#[test]
fn it_is_an_iterator_over_what_it_yields() {
    assert_eq!(count_to(5).filter(|n| n % 2 == 1).sum::<u32>(), 9);
    let mut generator = count_to(5);
    assert_eq!(generator.by_ref().take(2).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(generator.resume(), Ok(State::Yielded(3)), "and goes on");
    for n in &mut generator {
        assert!(n > 3);
    }
    assert!(generator.is_finished());
    assert_eq!(State::<_, ()>::Yielded(1).yielded(), Some(1));
    assert_eq!(State::<(), _>::Complete(1).complete(), Some(1));
    assert_eq!((State::<_, ()>::Yielded(1).complete(), State::<(), _>::Complete(1).yielded()), (None, None));
}

/// A value of any size and alignment that knows itself.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(128))]
struct Wide([u64; 100]);

#[test]
fn values_of_every_size_travel_whole() {
    let capture = Wide([7; 100]);
    let mut generator: Generator<Wide, Wide, Wide> = Generator::new(move |yielder| {
        assert_eq!((&raw const capture).addr() % align_of::<Wide>(), 0, "what is captured is aligned");
        let mut last = capture;
        for _ in 0..3 {
            last = yielder.yield_(Wide(last.0.map(|n| n + 1))).expect("an input");
        }
        last
    });
    assert_eq!(generator.resume(), Ok(State::Yielded(Wide([8; 100]))));
    assert_eq!(generator.send(Wide([20; 100])).unwrap(), State::Yielded(Wide([21; 100])));
    assert_eq!(generator.send(Wide([30; 100])).unwrap(), State::Yielded(Wide([31; 100])));
    assert_eq!(generator.send(Wide([40; 100])).unwrap(), State::Complete(Wide([40; 100])));
    let mut nothing: Generator<(), (), ()> = Generator::new(|yielder| ignore(yielder.yield_(())));
    assert_eq!((nothing.next(), nothing.next()), (Some(()), None));
}

#[test]
fn a_body_that_captures_more_than_a_little_is_no_trouble() {
    let captured = [3_u8; 40_000];
    let mut generator: Generator<(), usize, ()> = Generator::new(move |yielder| {
        yielder.yield_(captured.iter().map(|byte| usize::from(*byte)).sum());
    });
    assert_eq!(generator.next(), Some(120_000));
    // More than a default stack has: on one that has enough, and never begun on one that has not.
    let megabyte = || {
        let captured = [3_u8; 1 << 20];
        let body = move |yielder: &Yielder<(), usize>| ignore(yielder.yield_(captured.len()));
        let mut generator = Builder::new().stack_size(16 << 20).build(body).unwrap();
        assert_eq!(generator.next(), Some(1 << 20));
        drop(Generator::new(body));
    };
    std::thread::Builder::new().stack_size(64 << 20).spawn(megabyte).unwrap().join().unwrap();
}

#[test]
fn every_value_is_dropped_once() {
    let [captured, sent, yielded, returned, local] = std::array::from_fn(|_| Tracker::new());
    let mut generator = Generator::new({
        let (value, yielded, returned, local) =
            (captured.value(), yielded.clone(), returned.clone(), local.clone());
        move |yielder| {
            let (_captured, _local) = (value, local.value());
            while let Some(input) = yielder.yield_(yielded.value()) {
                drop(input);
            }
            returned.value()
        }
    });
    ignore(generator.resume());
    for _ in 0..3 {
        drop(generator.send(sent.value()).unwrap());
    }
    assert_eq!((captured.drops(), local.drops(), returned.drops()), (0, 0, 0));
    assert_eq!((sent.drops(), yielded.drops()), (3, 4));
    ignore(generator.resume());
    drop(generator.send(sent.value()).unwrap_err().into_inner());
    drop(generator);
    let drops = [captured, sent, yielded, returned, local].map(|tracker| tracker.drops());
    assert_eq!(drops, [1, 4, 4, 1, 1]);
}

#[test]
fn it_may_be_moved_between_two_resumes() {
    let mut generators: Vec<_> = (0..100).map(|_| Box::new(count_to(3))).collect();
    for n in 1..=3 {
        generators.reverse();
        generators = generators.into_iter().map(|generator| Box::new(*generator)).collect();
        assert!(generators.iter_mut().all(|generator| generator.next() == Some(n)));
    }
}

/// A generator for each level, each resumed by the one above.
fn nested(depth: u32) -> Generator<(), u32, ()> {
    Generator::new(move |yielder| {
        yielder.yield_(depth);
        if depth > 0 {
            for n in nested(depth - 1) {
                yielder.yield_(n);
            }
        }
    })
}

#[test]
fn a_body_may_resume_other_generators() {
    assert!(nested(50).eq((0..=50).rev()));
    // Left in the middle, fifty deep.
    assert_eq!(nested(50).nth(50), Some(0));
}

#[test]
fn it_needs_no_runtime_and_works_in_every_task() {
    let use_some = || {
        let mut generator = count_to(3);
        assert_eq!(generator.by_ref().collect::<Vec<_>>(), [1, 2, 3]);
        assert!(generator.is_finished());
        ignore(nested(10).nth(5));
    };
    use_some();
    std::thread::spawn(use_some).join().unwrap();
    on_every_plan(move |_| use_some());
    guarded(|| runtime(1).run(use_some));
}

#[test]
fn coroutines_of_one_worker_may_share_one() {
    guarded(|| {
        runtime(1).run(|| {
            let numbers = Rc::new(RefCell::new(count_to(100)));
            let takers: Vec<_> = (0..4)
                .map(|_| {
                    let numbers = numbers.clone();
                    coroutine::spawn_local(move || {
                        let mut taken = Vec::new();
                        while let Some(n) = { numbers.borrow_mut().next() } {
                            taken.push(n);
                            coroutine::yield_now();
                        }
                        taken
                    })
                })
                .collect();
            let taken: Vec<Vec<u32>> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
            assert!(taken.iter().all(|taken| taken.len() == 25), "they take turns: {taken:?}");
            let mut all = taken.concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(1..=100));
        });
    });
}

#[test]
fn one_in_a_scope_borrows() {
    let words = vec![String::from("rope"), String::from("walk")];
    let mut seen = 0;
    let total = scope(
        |yielder: &Yielder<usize, &str>| {
            let mut given = 0;
            for word in &words {
                seen += 1;
                given += yielder.yield_(word).unwrap_or_default();
            }
            given
        },
        |mut generator| {
            assert!(generator.send(1).is_err(), "it has not begun");
            let first = generator.next().unwrap();
            assert!(std::ptr::eq(first, words[0].as_str()), "what it yields is borrowed, too");
            assert_eq!(generator.send(40).unwrap(), State::Yielded("walk"));
            let total = generator.send(2).unwrap().complete();
            assert!(generator.is_finished() && generator.resume().is_err() && generator.next().is_none());
            total
        },
    );
    assert_eq!((total, seen), (Some(42), 2));
}

#[test]
fn debug_says_its_name_and_how_far_it_is() {
    let mut named = Builder::new().name("numbers".into()).build(|yielder: &Yielder<(), u8>| {
        assert!(format!("{yielder:?}").contains("Yielder"));
        yielder.yield_(1);
    });
    let named = named.as_mut().unwrap();
    assert_eq!(named.name(), Some("numbers"));
    for state in ["not started", "suspended", "finished"] {
        let text = format!("{named:?}");
        assert!(text.contains("numbers") && text.contains(state), "{state}: {text}");
        named.next();
    }
    let unnamed = count_to(1);
    assert_eq!(unnamed.name(), None);
    scope(
        |_: &Yielder<(), ()>| (),
        |generator| {
            assert!(format!("{generator:?}").contains("not started") && generator.name().is_none());
        },
    );
}
