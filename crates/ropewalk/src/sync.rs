//! Locks, mirroring `std::sync`: the same object blocks a coroutine or a thread, whichever waits.

pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};

pub use ropewalk_sync::condvar::{Condvar, WaitTimeoutResult};
pub use ropewalk_sync::mutex::{Mutex, MutexGuard};
pub use ropewalk_sync::semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
