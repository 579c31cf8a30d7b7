//! The one place that draws lots: which of several ready operations a select takes.
//!
//! A thread has a generator of its own, which nobody knows beforehand; the worker of a simulated runtime
//! [enters](enter) one with a seed, so that a run can be repeated.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;

std::thread_local! {
    /// The state of the thread's generator; 0 before the first draw.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// A thread draws from another generator until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it leaves the generator"]
pub struct Entered {
    before: u64,
    /// The generator is the thread's.
    _not_send: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        STATE.set(self.before);
    }
}

/// Has the calling thread draw the lots that follow from `seed`.
pub fn enter(seed: u64) -> Entered {
    Entered { before: STATE.replace(mix(seed) | 1), _not_send: PhantomData }
}

/// A number from 0 to `limit - 1`; 0 if `limit` is 0.
#[must_use]
pub fn below(limit: usize) -> usize {
    if cfg!(loom) {
        // A model has to do the same in every run.
        return limit.saturating_sub(1);
    }
    // SplitMix64 (Steele, Lea and Flood 2014), and Lemire's reduction to a range.
    let state = match STATE.get() {
        0 => first(),
        state => state,
    };
    let state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(if state == 0 { 1 } else { state });
    let drawn = (u128::from(mix(state)) * limit as u128) >> 64;
    drawn as usize
}

/// Brings `items` into any order, each as likely as the others (Fisher and Yates).
pub fn shuffle<T>(items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1));
    }
}

fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Where a thread's generator begins.
#[cold]
fn first() -> u64 {
    RandomState::new().hash_one(0_u64) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_repeated_and_the_generator_before_it_comes_back() {
        let draw = || (0..20).map(|_| below(1000)).collect::<Vec<_>>();
        let seeded = |seed| {
            let _entered = enter(seed);
            draw()
        };
        let first = seeded(7);
        draw();
        assert_eq!(seeded(7), first);
        assert_ne!(seeded(8), first);
        let before = STATE.get();
        seeded(9);
        assert_eq!(STATE.get(), before);
    }

    #[test]
    fn all_orders_come() {
        let mut seen = std::collections::HashSet::new();
        while seen.len() < 24 {
            let mut items = [0, 1, 2, 3];
            shuffle(&mut items);
            seen.insert(items);
        }
    }

    #[test]
    fn a_draw_is_in_its_range() {
        assert_eq!(below(0), 0);
        assert_eq!(below(1), 0);
        assert!((0..1000).all(|_| below(3) < 3));
    }
}
