//! What generators cost: `cargo bench -p ropewalk --bench generators`. Each figure is the time of one operation.

use std::hint::black_box;

use divan::Bencher;
use ropewalk::generator::{Generator, Yielder, scope};

fn main() {
    divan::main();
}

/// Yields numbers for ever.
fn numbers() -> Generator<u64, u64, ()> {
    Generator::new(|yielder| {
        for n in 0.. {
            yielder.yield_(black_box(n));
        }
    })
}

/// To the body and back.
#[divan::bench]
fn resume_and_yield(bencher: Bencher<'_, '_>) {
    let mut numbers = numbers();
    bencher.bench_local(|| numbers.next());
}

/// The same, with an input.
#[divan::bench]
fn send_and_yield(bencher: Bencher<'_, '_>) {
    let mut numbers = numbers();
    numbers.next();
    bencher.bench_local(|| numbers.send(black_box(1)));
}

#[divan::bench]
fn make_and_drop(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| drop(black_box(numbers())));
}

#[divan::bench]
fn make_run_to_the_end_and_drop(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| Generator::new(|yielder: &Yielder<(), u64>| yielder.yield_(black_box(1))).count());
}

#[divan::bench]
fn run_to_the_end_in_a_scope(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| {
        scope(|yielder: &Yielder<(), u64>| yielder.yield_(black_box(1)), |generator| generator.count())
    });
}

/// It is closed in the middle: an unwind.
#[divan::bench]
fn make_resume_once_and_drop(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| numbers().next());
}
