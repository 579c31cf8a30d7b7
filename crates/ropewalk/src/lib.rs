//! Run a Rust function as a coroutine, a thread or a process: same verbs, same handle.
#![forbid(unsafe_code)]

pub mod coroutine;
pub mod net;
pub mod sync;
pub mod thread;
pub mod time;

pub use ropewalk_runtime::{
    Builder, DriverChoice, DriverKind, Elapsed, JoinError, JoinHandle, OnFailure, Runtime, Scope,
    ScopedJoinHandle, Task, TaskId, blocking, inspect, run, scope, scope_with, shield, timeout,
};
pub use ropewalk_sync::channel;
