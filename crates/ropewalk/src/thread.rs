//! Tasks on OS threads, mirroring `std::thread`.
//!
//! A thread of this module waits in system calls of its own, as a `std::thread` does; beyond that it can be cancelled at
//! its waits and joined with a time limit, and has a priority and CPUs of its own. A [`Pool`] has as many threads as there are CPUs, for
//! work that keeps those busy.

pub use ropewalk_runtime::thread::{
    AccessError, Builder, CpuSet, LocalKey, Priority, affinity, available_parallelism, current, panicking,
    park, park_timeout, priority, set_affinity, set_priority, sleep, sleep_until, spawn, yield_now,
};
pub use ropewalk_runtime::thread_pool::{Pool, PoolBuilder};
pub use ropewalk_runtime::{
    JoinHandle, Scope, ScopedJoinHandle, Task as Thread, TaskId as ThreadId, Unstarted,
};

use ropewalk_runtime::{OnFailure, TryScope, thread_scope_with, thread_try_scope};

/// What `join` gives. Where std has the payload of the panic, this has an error that holds it and knows more.
pub type Result<T> = std::result::Result<T, crate::JoinError>;

/// As [`ropewalk::scope`](crate::scope), with OS threads as children.
///
/// ```
/// let words = vec!["rope", "walk"];
/// let lengths: usize = ropewalk::thread::scope(|s| {
///     let handles: Vec<_> = words.iter().map(|word| s.spawn(move || word.len())).collect();
///     handles.into_iter().map(|handle| handle.join().unwrap()).sum()
/// });
/// assert_eq!(lengths, 8);
/// ```
///
/// # Panics
/// If `f` panics, with its payload; if a child failed.
///
/// # Waits
/// Until every child has ended.
///
/// # Cancellation
/// Cancels the children, waits for them, and unwinds.
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    thread_scope_with(OnFailure::Cancel, None, f)
}

/// As [`ropewalk::scope_with`](crate::scope_with), with OS threads as children, whose stacks are of `stack_size` bytes
/// (`None`: std's default).
///
/// # Panics
/// If `f` panics, with its payload; with [`OnFailure::Cancel`] also if a child failed.
///
/// # Waits
/// Until every child has ended.
///
/// # Cancellation
/// Cancels the children, waits for them, and unwinds.
pub fn scope_with<'env, F, T>(on_failure: OnFailure, stack_size: Option<usize>, f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    thread_scope_with(on_failure, stack_size, f)
}

/// As [`ropewalk::try_scope`](crate::try_scope), with OS threads as children.
///
/// ```
/// let result = ropewalk::thread::try_scope(|s| {
///     s.try_spawn(|| Err::<(), _>("out of ink"));
///     Ok(())
/// });
/// assert_eq!(result, Err("out of ink"));
/// ```
///
/// # Errors
/// The first error of a child, or of the block.
///
/// # Panics
/// If `f` panics, with its payload; if a child panicked, or was cancelled, before another one had failed.
///
/// # Waits
/// Until every child has ended.
///
/// # Cancellation
/// Cancels the children, waits for them, and unwinds.
pub fn try_scope<'env, F, T, E>(f: F) -> std::result::Result<T, E>
where
    F: for<'scope> FnOnce(TryScope<'scope, 'env, E>) -> std::result::Result<T, E>,
    E: Send + 'env,
{
    thread_try_scope(None, f)
}
