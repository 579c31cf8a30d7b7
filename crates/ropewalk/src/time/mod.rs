//! Waiting for time to pass, mirroring `std::time` and `std::thread::sleep`; and [`now`], which reads the runtime's clock.

pub use std::time::{Duration, Instant, SystemTime};

pub use ropewalk_runtime::thread::{sleep, sleep_until};
pub use ropewalk_sync::clock::now;
