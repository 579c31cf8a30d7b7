//! Ropewalk's tasks, the plans that run them, and their scheduler.
pub(crate) mod plan;
pub(crate) mod spawn;
pub(crate) mod task;
pub mod thread;
pub use plan::pool::blocking;
pub use task::join::{JoinError, JoinHandle, TaskId};
