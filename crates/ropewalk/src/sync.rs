//! Locks, mirroring `std::sync`: the same object blocks a coroutine or a thread, whichever waits.

pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};
