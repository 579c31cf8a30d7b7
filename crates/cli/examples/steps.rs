//! Four steps of two coroutines on one thread: `cargo run --example steps`.
//!
//! A starts B, so A is B's parent; that alone does not run B. A then hands the thread over to it, and goes on when B has
//! given it back.

use ropewalk::coroutine::{hand_over, spawn_local, yield_now};

fn a() {
    println!("1. A begins to run.");
    let b = spawn_local(b);
    println!("2. Half-way A pauses, and the right to run passes to B.");
    hand_over(&b).expect("B is ready, and on this thread");
    println!("4. A goes on.");
    b.join().expect("it does not panic");
}

fn b() {
    println!("3. Some time later B gives the right to run back.");
    yield_now();
}

pub(crate) fn main() {
    ropewalk::run(|| spawn_local(a).join().expect("it does not panic"));
}
