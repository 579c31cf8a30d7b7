//! The stacks under the bodies.

use std::hint::black_box;
use std::ops::Range;

use ropewalk::coroutine;
use ropewalk::generator::{Builder, Generator, Yielder};
use rustix::process::Signal;

use super::ignore;
use crate::support::child::{self, Child, Outcome, test_name};
use crate::support::{guarded, runtime};

/// Uses up whatever stack there is.
#[expect(unconditional_recursion, reason = "it is the point")]
fn recurse(depth: u64) -> u64 {
    let mut frame = [depth; 32];
    black_box(&mut frame);
    recurse(depth + 1) + frame[7]
}

/// A generator that overflows when it is resumed for the second time.
fn shallow_then_deep(name: &str) -> Generator<(), u64, ()> {
    let builder = Builder::new().name(name.into()).stack_size(200 * 1024);
    builder
        .build(|yielder: &Yielder<(), u64>| {
            yielder.yield_(1);
            yielder.yield_(black_box(recurse(0)));
        })
        .unwrap()
}

fn overflow(place: &str) {
    let mut generator = shallow_then_deep("deep thinker");
    generator.next();
    match place {
        "after a neighbour's turn" => {
            let body = |yielder: &Yielder<(), ()>| {
                let neighbour = coroutine::spawn_local(|| {
                    let mut other = shallow_then_deep("neighbour");
                    other.next();
                    coroutine::yield_now();
                });
                coroutine::yield_now();
                coroutine::yield_now();
                neighbour.join().unwrap();
                black_box(recurse(0));
                yielder.yield_(());
            };
            Builder::new().name("deep thinker".into()).stack_size(200 * 1024).build(body).unwrap().next();
        }
        "inside of another" => {
            let mut outer: Generator<(), u64, ()> = Generator::new(move |yielder| {
                yielder.yield_(generator.next().unwrap());
            });
            outer.next();
        }
        "after one inside" => {
            let body = |yielder: &Yielder<(), ()>| {
                let mut inner = shallow_then_deep("inner");
                inner.next();
                black_box(recurse(0));
                yielder.yield_(());
            };
            Builder::new().name("deep thinker".into()).stack_size(200 * 1024).build(body).unwrap().next();
        }
        _ => ignore(generator.next()),
    }
}

/// The size that an overflow report names, in KiB.
fn reported_size(outcome: &Outcome) -> u64 {
    let report = outcome.stderr.split("has overflowed its stack of ").nth(1);
    let size = report.and_then(|rest| rest.split(" KiB").next()).and_then(|size| size.parse().ok());
    size.unwrap_or_else(|| panic!("no overflow is reported: {outcome:#?}"))
}

#[test]
fn an_overflow_names_the_generator_where_it_was_made_and_the_size() {
    if let Some(place) = child::case() {
        return guarded(|| match place.as_str() {
            "thread" => overflow("thread"),
            _ => runtime(1).run(move || overflow(&place)),
        });
    }
    for place in ["thread", "coroutine", "after a neighbour's turn", "inside of another", "after one inside"]
    {
        let outcome = Child::new(test_name!(), place).run();
        outcome.assert_killed_by(Signal::ABORT);
        let stderr = &outcome.stderr;
        let expected = concat!("ropewalk: generator (deep thinker), made at ", file!(), ":");
        assert!(stderr.contains(expected), "{place}: {stderr}");
        assert!(stderr.contains("generator::Builder::stack_size"), "it says what to do: {stderr}");
        assert!((200..512).contains(&reported_size(&outcome)), "{place}: {stderr}");
    }
}

#[test]
fn an_overflow_of_the_resumer_is_not_the_generators() {
    if child::case().is_some() {
        return guarded(|| {
            runtime(1).run(|| {
                let resumes = coroutine::Builder::new().name("resumer".into()).spawn_local(|| {
                    let mut generator = shallow_then_deep("generator");
                    generator.next();
                    coroutine::yield_now();
                    black_box(recurse(0));
                    generator.next();
                });
                resumes.unwrap().join().unwrap();
            });
        });
    }
    let outcome = Child::new(test_name!(), "").run();
    outcome.assert_killed_by(Signal::ABORT);
    assert!(outcome.stderr.contains("ropewalk: coroutine "), "{outcome:#?}");
    assert!(outcome.stderr.contains("(resumer), spawned at "), "{outcome:#?}");
}

#[test]
fn without_memory_for_its_stack_the_builder_says_why() {
    let huge = || Builder::new().stack_size(1 << 60);
    let error = huge().build(|_: &Yielder<(), ()>| ()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("ulimit -v") && text.contains("ROPEWALK_STACK"), "it names the limits: {text}");
    assert!(huge().scope(|_: &Yielder<(), ()>| (), |_| ()).is_err());
    assert_eq!(Generator::new(|yielder: &Yielder<(), u8>| ignore(yielder.yield_(1))).next(), Some(1));
}

/// Where a local of a body stands.
fn place(yielder: &Yielder<(), usize>) {
    let local = [0_u8; 16];
    yielder.yield_((&raw const local).addr());
    black_box(&local);
}

/// The addresses of one that is made, resumed and dropped, give or take.
fn used_once() -> Range<usize> {
    let at = Generator::new(place).next().unwrap();
    at - 1024..at + 1024
}

#[test]
fn a_stack_serves_again_when_its_body_has_ended() {
    let first = used_once();
    for _ in 0..10_000 {
        assert!(first.contains(&Generator::new(place).next().unwrap()), "the hottest stack");
    }
    // Finished, and still held: its stack is free.
    let mut finished = Generator::new(place);
    finished.by_ref().for_each(drop);
    assert!(first.contains(&Generator::new(place).next().unwrap()));
    drop(finished);
    let mut held = Generator::new(place);
    assert!(first.contains(&held.next().unwrap()));
    assert!(!first.contains(&Generator::new(place).next().unwrap()), "that one is in use");
}

#[test]
fn many_come_and_go_in_any_order() {
    let make = |n: usize| {
        let mut generator = Generator::new(move |yielder: &Yielder<(), usize>| {
            let pages = [n; 2048];
            yielder.yield_(n);
            yielder.yield_(black_box(pages)[n % 2048]);
        });
        generator.next();
        generator
    };
    let mut random = 1_usize;
    let mut kept: Vec<(usize, Generator<(), usize, ()>)> = Vec::new();
    for n in 0..5_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let choice = random >> 33;
        if choice.is_multiple_of(2) || kept.is_empty() {
            kept.push((n, make(n)));
        } else {
            let (n, mut generator) = kept.swap_remove(choice % kept.len());
            assert_eq!(generator.next(), Some(n), "its stack is its own");
        }
    }
    assert!(kept.into_iter().all(|(n, mut generator)| generator.next() == Some(n)));
}

/// `std::mem::forget` leaks the stack: nobody else gets it, and it stays mapped after its thread has ended.
#[test]
fn the_stack_of_a_forgotten_generator_is_never_used_again() {
    let (address, others) = std::thread::spawn(|| {
        let mut forgotten = Generator::new(|yielder: &Yielder<(), usize>| {
            let local = [0x5ca1_ab1e_u64; 64];
            yielder.yield_((&raw const local).expose_provenance());
            black_box(local);
        });
        let address = forgotten.next().unwrap();
        std::mem::forget(forgotten);
        let others: Vec<usize> = (0..1000)
            .map(|_| Generator::new(place))
            .map(|mut other| (other.next().unwrap(), other))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(address, _)| address)
            .collect();
        (address, others)
    })
    .join()
    .unwrap();
    assert!(others.iter().all(|other| other.abs_diff(address) > 32 * 1024), "nobody gets it");
    for _ in 0..100 {
        std::thread::spawn(|| ignore(used_once())).join().unwrap();
    }
    // SAFETY: the frame was forgotten with its generator, so the array in it lives for ever: which is what this tests.
    let local = unsafe { std::ptr::with_exposed_provenance::<[u64; 64]>(address).read_volatile() };
    assert_eq!(local, [0x5ca1_ab1e; 64]);
}
