//! What a switch costs: the CPU time of two that do nothing but switch, by the number of switches.

use std::io;
use std::sync::Barrier;

use ropewalk::{Runtime, coroutine};

use crate::usage::Usage;

/// The best of so many rounds counts: the one that was least disturbed.
const ROUNDS: u32 = 5;
/// How often each of the two yields in a round.
const YIELDS: u32 = 5_000;

/// A switch between two threads, in nanoseconds, on the one CPU that the caller is pinned to. `None` if the kernel did
/// not switch at one yield in two at least: then most of what was measured is something else.
pub(super) fn kernel() -> io::Result<Option<f64>> {
    let mut best: Option<f64> = None;
    for _ in 0..ROUNDS {
        let usage = two_threads()?;
        if usage.switches() >= u64::from(YIELDS) {
            let cost = usage.cpu_ns as f64 / usage.switches() as f64;
            best = Some(best.map_or(cost, |best| best.min(cost)));
        }
    }
    Ok(best)
}

fn two_threads() -> io::Result<Usage> {
    let together = Barrier::new(2);
    let body = || {
        together.wait();
        let before = Usage::now()?;
        (0..YIELDS).for_each(|_| std::thread::yield_now());
        Ok(before.until(Usage::now()?))
    };
    std::thread::scope(|scope| {
        // The caller is the second one: if the first cannot start, nobody waits.
        let other = std::thread::Builder::new().spawn_scoped(scope, body)?;
        let own: io::Result<Usage> = body();
        let other = other.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
        Ok(own?.and(other?))
    })
}

/// A switch between two coroutines of a worker, in nanoseconds.
pub(super) fn coroutine() -> io::Result<f64> {
    let runtime = Runtime::builder().workers(1).build()?;
    runtime.run(|| {
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let before = Usage::now()?;
            let other = coroutine::spawn_local(|| (0..YIELDS).for_each(|_| coroutine::yield_now()));
            (0..YIELDS).for_each(|_| coroutine::yield_now());
            other.join().map_err(io::Error::from)?;
            let cpu_ns = before.until(Usage::now()?).cpu_ns;
            best = best.min(cpu_ns as f64 / f64::from(2 * YIELDS));
        }
        Ok(best)
    })
}
