//! Tasks as coroutines, mirroring `std::thread`: `use ropewalk::coroutine as thread;`.
//!
//! A coroutine has a stack of its own and runs plain sequential code. Where a thread would sleep in the kernel, it gives
//! its worker to the next coroutine. It may start on any worker and then stays there.

pub use ropewalk_runtime::coroutine::{
    Builder, HandOverError, current, hand_over, sleep, sleep_until, spawn, spawn_local, yield_now,
};

pub use ropewalk_runtime::{scope, scope_with};
