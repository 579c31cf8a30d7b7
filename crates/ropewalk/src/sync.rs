//! Locks and the like, mirroring `std::sync`: the same object blocks a coroutine or a thread, whichever waits.
//!
//! Beyond std: [`Semaphore`], [`Latch`]; [`oneshot`], [`watch`] and [`broadcast`] with tokio's names, beside the channels of
//! [`channel`](crate::channel). Of what std has, only what is not stable is missing.

pub use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak, atomic};

pub use ropewalk_sync::{broadcast, oneshot, watch};

pub use ropewalk_sync::barrier::{Barrier, BarrierWaitResult};
pub use ropewalk_sync::condvar::{Condvar, WaitTimeoutResult};
pub use ropewalk_sync::latch::Latch;
pub use ropewalk_sync::lazy_lock::LazyLock;
pub use ropewalk_sync::mpsc;
pub use ropewalk_sync::mutex::{Mutex, MutexGuard};
pub use ropewalk_sync::once::{Once, OnceState};
pub use ropewalk_sync::once_lock::OnceLock;
pub use ropewalk_sync::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use ropewalk_sync::semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
