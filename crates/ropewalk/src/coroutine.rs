//! Tasks as coroutines, mirroring `std::thread`: `use ropewalk::coroutine as thread;`.
//!
//! A coroutine has a stack of its own and runs plain sequential code. Where a thread would sleep in the kernel, it gives
//! its worker to the next coroutine. It may start on any worker and then stays there.

pub use ropewalk_runtime::coroutine::{
    AccessError, Builder, HandOverError, LocalKey, available_parallelism, current, hand_over, panicking,
    park, park_timeout, sleep, sleep_until, spawn, spawn_local, yield_now,
};
pub use ropewalk_runtime::{
    JoinHandle, Scope, ScopedJoinHandle, Task as Thread, TaskId as ThreadId, Unstarted, scope, scope_with,
};

/// What `join` gives. Where std has the payload of the panic, this has an error that holds it and knows more.
pub type Result<T> = std::result::Result<T, crate::JoinError>;
