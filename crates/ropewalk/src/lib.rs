//! Run a Rust function as a coroutine, a thread or a process: same verbs, same handle.
#![forbid(unsafe_code)]

pub mod net;
pub mod thread;
pub mod time;

pub use ropewalk_runtime::{JoinError, JoinHandle, TaskId, blocking};
pub use ropewalk_sync::channel;
