//! Waiting for time to pass, mirroring `std::time` and `std::thread::sleep`.

pub use std::time::{Duration, Instant, SystemTime};

pub use ropewalk_runtime::thread::{sleep, sleep_until};
