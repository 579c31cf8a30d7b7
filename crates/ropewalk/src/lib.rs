//! Run a Rust function as a coroutine, a thread or a process: same verbs, same handle.
#![forbid(unsafe_code)]

pub mod coroutine;
pub mod net;
pub mod sync;
pub mod thread;
pub mod time;

pub use ropewalk_runtime::{
    Builder, DriverChoice, DriverKind, JoinError, JoinHandle, Runtime, TaskId, blocking, inspect, run,
};
pub use ropewalk_sync::channel;
