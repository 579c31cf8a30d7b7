//! Coroutines wait, rayon computes: requests come in as coroutines, thousands at once, and what they have to compute is
//! divided among the CPUs by rayon.
//!
//! `cargo run --release -p ropewalk --example rayon` answers 200 requests, each a count of primes, in two ways:
//!
//! - `on_rayon` hands a job over and waits for a message: no thread is held meanwhile. The job is `'static`.
//! - `borrowing` enters rayon from a thread that may block, so the job may borrow; it takes such a thread for each request
//!   that is under way.
//!
//! Why not compute in the coroutine itself? It would hold up its worker, and all who wait there. And why not a
//! `thread::Pool`? That is right where a request is one piece of work; rayon is for work that divides itself as it goes.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;
use ropewalk::sync::oneshot;
use ropewalk::{blocking, join_all};

/// Runs `f` on rayon's threads, while the coroutine that calls waits. If that is cancelled meanwhile, nobody hears the answer.
fn on_rayon<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = oneshot::channel();
    rayon::spawn(move || {
        // rayon would end the program at a panic: it is the caller's.
        let result = catch_unwind(AssertUnwindSafe(f));
        let _ = sender.send(result);
    });
    match receiver.recv() {
        Ok(Ok(value)) => value,
        Ok(Err(payload)) => resume_unwind(payload),
        Err(_) => unreachable!("the sender sends before it goes, and a cancelled receiver has unwound"),
    }
}

/// Runs `f`, which may borrow and in which rayon may be called, while the coroutine that calls waits.
fn borrowing<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    blocking(f)
}

fn is_prime(n: u32) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

fn main() {
    const REQUESTS: u32 = 200;
    const EACH: u32 = 5_000;
    ropewalk::run(|| {
        let start = Instant::now();
        let answers = join_all((0..REQUESTS).map(|request| {
            let numbers = request * EACH..(request + 1) * EACH;
            move || on_rayon(move || numbers.into_par_iter().filter(|n| is_prime(*n)).count())
        }));
        let primes: usize = answers.into_iter().map(|answer| answer.expect("it returns")).sum();
        println!("handed over: {primes} primes in {:?}", start.elapsed());

        let start = Instant::now();
        let numbers: Vec<u32> = (0..REQUESTS * EACH).collect();
        let answers = join_all(numbers.chunks(EACH as usize).map(|part| {
            move || {
                borrowing(|| {
                    part.par_chunks(500)
                        .map(|few| few.iter().filter(|n| is_prime(**n)).count())
                        .sum::<usize>()
                })
            }
        }));
        let borrowed: usize = answers.into_iter().map(|answer| answer.expect("it returns")).sum();
        println!("borrowing:   {borrowed} primes in {:?}", start.elapsed());
        assert_eq!(primes, borrowed);
    });
}
