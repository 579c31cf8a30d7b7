//! Tasks on OS threads, mirroring `std::thread`.
//!
//! A thread of this module waits in system calls of its own, as a `std::thread` does; beyond that it can be cancelled at
//! its waits and joined with a time limit.

pub use ropewalk_runtime::thread::{Builder, sleep, sleep_until, spawn, yield_now};
