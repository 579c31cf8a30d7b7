//! Work of a known size that notes when it was done.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// A piece between two looks at the clock takes about this long.
const PIECE: Duration = Duration::from_micros(10);
/// A piece that took so much longer was interrupted: somebody else had the CPU.
const GAP: Duration = Duration::from_micros(150);
/// The calibration takes the fastest of so many pieces: the one that nobody disturbed.
const TRIES: u32 = 2_000;
/// No more turns of a task are noted; the work is done all the same.
const TURNS_MAX: usize = 10_000;

/// Work for one task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Rounds of arithmetic in a piece.
    rounds: u32,
    pieces: u32,
    piece: Duration,
}

/// When a task ran.
#[derive(Debug, Default)]
pub(super) struct Timeline(pub(super) Vec<(Instant, Instant)>);

impl Work {
    /// Work that takes `nanos` on a CPU of its own, on the CPU that calls.
    pub(super) fn calibrate(nanos: u64) -> Self {
        let mut rounds = 64;
        let timed = |rounds| {
            let start = Instant::now();
            compute(rounds);
            start.elapsed()
        };
        while timed(rounds) < PIECE && rounds < u32::MAX / 2 {
            rounds *= 2;
        }
        let fastest = (0..TRIES).map(|_| timed(rounds)).min().unwrap_or(PIECE).max(Duration::from_nanos(1));
        let rounds = (f64::from(rounds) * PIECE.as_secs_f64() / fastest.as_secs_f64()).max(1.0) as u32;
        let piece = (0..TRIES).map(|_| timed(rounds)).min().unwrap_or(PIECE).max(Duration::from_nanos(1));
        let pieces = (u128::from(nanos) / piece.as_nanos()).max(1);
        Self { rounds, pieces: u32::try_from(pieces).unwrap_or(u32::MAX), piece }
    }

    /// Does all of it. After every `pause` of work, if any, calls `let_others_run`.
    pub(super) fn run(&self, pause: Option<Duration>, mut let_others_run: impl FnMut()) -> Timeline {
        let every = pause.map(|pause| (pause.as_nanos() / self.piece.as_nanos()).max(1) as u32);
        let mut timeline = Timeline::default();
        let mut from = Instant::now();
        let mut last = from;
        for number in 1..=self.pieces {
            compute(self.rounds);
            let now = Instant::now();
            if now - last > self.piece + GAP {
                timeline.note(from, last);
                from = now - self.piece;
            }
            last = now;
            if every.is_some_and(|every| number.is_multiple_of(every)) && number < self.pieces {
                timeline.note(from, last);
                let_others_run();
                from = Instant::now();
                last = from;
            }
        }
        timeline.note(from, last);
        timeline
    }
}

impl Timeline {
    fn note(&mut self, from: Instant, to: Instant) {
        if self.0.len() < TURNS_MAX && to > from {
            self.0.push((from, to));
        }
    }
}

/// Arithmetic that no compiler leaves out: xorshift (G. Marsaglia, 2003).
#[inline(never)]
fn compute(rounds: u32) {
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..rounds {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}
