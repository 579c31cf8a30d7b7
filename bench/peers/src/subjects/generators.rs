//! Generators beside those of corosensei, on which Ropewalk's are built, and of the crate `generator`, on which may is.
//!
//! corosensei maps a stack for each coroutine unless it is given one; "kept stack" gives it the one of the coroutine before.
//! None is asked for more stack than Ropewalk's default.

use std::hint::black_box;
use std::time::Duration;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use ropewalk::generator::Generator;

use crate::frame::table::{Contender, Subject, Table, ours, rival};
use crate::rivals::time;

const STACK: usize = 192 * 1024;

pub(crate) fn subject() -> Subject {
    Subject {
        name: "generators",
        about: "A body that yields numbers. resume: from the caller to the next number and back. make: one is made, yields once, \
                runs to its end and is dropped. leave: one is made, yields once and is dropped, which unwinds its stack. \
                corosensei maps a stack for each unless it is given one, so make has a row with a kept stack; Ropewalk's \
                generators and those of the crate generator, on which may is built, keep stacks themselves. None has more \
                than 192 KiB.",
        tables: vec![
            Table::of("resume", "resume and yield", 1, 2_000_000, resume()),
            Table::of("make", "make, resume to its end, drop", 1, 30_000, make()),
            Table::of("leave", "make, resume once, drop", 1, 20_000, leave()),
        ],
    }
}

fn resume() -> Vec<Contender> {
    vec![
        ours("ropewalk", ropewalk_resume),
        rival("corosensei", corosensei_resume),
        rival("generator", generator_resume),
    ]
}

fn make() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| time(|| (0..n).for_each(|n| assert_eq!(ropewalk_from(n).last(), Some(n))))),
        rival("corosensei", corosensei_make),
        rival("corosensei, kept stack", corosensei_make_kept),
        rival("generator", |n| {
            time(|| (0..n).for_each(|n| assert_eq!(generator_from(n, n + 1).last(), Some(n))))
        }),
    ]
}

fn leave() -> Vec<Contender> {
    vec![
        ours("ropewalk", |n| time(|| (0..n).for_each(|n| assert_eq!(ropewalk_for_ever(n).next(), Some(n))))),
        rival("corosensei", corosensei_leave),
        rival("generator", |n| {
            time(|| (0..n).for_each(|n| assert_eq!(generator_from(n, u64::MAX).next(), Some(n))))
        }),
    ]
}

// Ropewalk

/// Yields `n`, and ends.
fn ropewalk_from(n: u64) -> Generator<(), u64, ()> {
    Generator::new(move |yielder| {
        yielder.yield_(black_box(n));
    })
}

fn ropewalk_for_ever(first: u64) -> Generator<(), u64, ()> {
    Generator::new(move |yielder| {
        for n in first.. {
            yielder.yield_(black_box(n));
        }
    })
}

fn ropewalk_resume(count: u64) -> Duration {
    let mut numbers = ropewalk_for_ever(0);
    time(|| (0..count).for_each(|n| assert_eq!(numbers.next(), Some(n))))
}

// corosensei

fn stack() -> DefaultStack {
    DefaultStack::new(STACK).expect("a stack")
}

fn corosensei_from(stack: DefaultStack, first: u64, end: u64) -> Coroutine<(), u64, ()> {
    Coroutine::with_stack(stack, move |yielder, ()| {
        for n in first..end {
            yielder.suspend(black_box(n));
        }
    })
}

fn corosensei_resume(count: u64) -> Duration {
    let mut numbers = corosensei_from(stack(), 0, u64::MAX);
    let elapsed = time(|| (0..count).for_each(|n| assert_eq!(numbers.resume(()), CoroutineResult::Yield(n))));
    numbers.force_unwind();
    elapsed
}

/// Runs one to its end.
fn corosensei_once(stack: DefaultStack, n: u64) -> Coroutine<(), u64, ()> {
    let mut one = corosensei_from(stack, n, n + 1);
    assert_eq!(one.resume(()), CoroutineResult::Yield(n));
    assert_eq!(one.resume(()), CoroutineResult::Return(()));
    one
}

fn corosensei_make(count: u64) -> Duration {
    time(|| (0..count).for_each(|n| drop(corosensei_once(stack(), n))))
}

fn corosensei_make_kept(count: u64) -> Duration {
    let stack = stack();
    time(|| drop((0..count).fold(stack, |stack, n| corosensei_once(stack, n).into_stack())))
}

fn corosensei_leave(count: u64) -> Duration {
    time(|| {
        for n in 0..count {
            let mut one = corosensei_from(stack(), n, u64::MAX);
            assert_eq!(one.resume(()), CoroutineResult::Yield(n));
        }
    })
}

// The crate `generator`

fn generator_from(first: u64, end: u64) -> generator::Generator<'static, (), u64> {
    // It counts in words, and keeps the stacks that it has used.
    generator::Gn::new_scoped_opt(STACK / size_of::<usize>(), move |mut scope| {
        for n in first..end {
            scope.yield_(black_box(n));
        }
        generator::done!()
    })
}

fn generator_resume(count: u64) -> Duration {
    let mut numbers = generator_from(0, u64::MAX);
    time(|| (0..count).for_each(|n| assert_eq!(numbers.next(), Some(n))))
}
