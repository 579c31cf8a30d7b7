//! Two functions run in turns on one thread, and neither calls the other: `cargo run --example interleave`.
//!
//! Each gives way where it says so, by `yield_now`, and goes on from there when its turn comes again.

use ropewalk::coroutine::{spawn_local, yield_now};

fn a() {
    println!("1");
    println!("2");
    yield_now();
    println!("3");
}

fn b() {
    println!("x");
    println!("y");
    yield_now();
    println!("z");
}

pub(crate) fn main() {
    ropewalk::run(|| {
        // Both on this worker, that is on one thread.
        let tasks = [spawn_local(a), spawn_local(b)];
        for task in tasks {
            task.join().expect("it does not panic");
        }
    });
}
