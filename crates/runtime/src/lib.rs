//! Ropewalk's tasks, the plans that run them, and their scheduler.
//!
//! Users see this through the crate `ropewalk`. Inside, arrows go down this list:
//!
//! | module | its job |
//! |---|---|
//! | [`process`] | tasks as processes: a coroutine looks after each |
//! | [`thread_pool`] | threads for work that keeps CPUs busy |
//! | `scope`, `timeout` | bounds in time: children that end with their block, code that ends by a deadline |
//! | [`future`] | futures run by tasks; a handle is a future itself |
//! | [`generator`] | functions that give values on the way |
//! | [`coroutine`], [`thread`] | spawning, one face for each plan |
//! | [`signal`] | signals as values |
//! | [`inspect`] | what every task does |
//! | `runtime` | workers, start and end |
//! | `monitor` | finds workers that are held up |
//! | `spawn` | what every spawn does |
//! | `plan` | what it takes to run a task as a thread, as a coroutine, on a pool |
//! | `scheduler` | which coroutine runs next, on which worker |
//! | `driver` | which descriptors became ready |
//! | [`hooks`] | what is done at each switch |
//! | `stack` | the memory that coroutines run on |
//! | `stack_trace` | from a stack to the names of the calls |
//! | `task` | what a task is: closure in, result out, handle |

// Ends and states have words for processes, whether or not there are any.
#![cfg_attr(not(feature = "process"), allow(dead_code))]

pub mod coroutine;
mod driver;
pub mod future;
pub mod generator;
pub mod hooks;
mod monitor;
mod plan;
#[cfg(feature = "process")]
pub mod process;
mod runtime;
mod scheduler;
mod scope;
pub mod signal;
mod spawn;
mod stack;
mod stack_trace;
mod task;
pub mod thread;
pub mod thread_pool;
mod timeout;

pub mod inspect;
pub use driver::{DriverChoice, DriverKind};
pub use plan::pool::{blocking, blocking_owned};
pub use ropewalk_sync::clock::Clock;
pub use ropewalk_sync::park::no_suspend;
pub use ropewalk_sys::at_exit::at_exit;
pub use runtime::{Builder, Runtime, run};
pub use scheduler::schedule::Schedule;
pub use scope::{
    OnFailure, Scope, ScopedJoinHandle, TryJoinHandle, TryScope, join_all, race, scope, scope_with,
    thread_scope_with, thread_try_scope, try_scope,
};
pub use spawn::Unstarted;
pub use task::current::Task;
pub use task::join::{JoinError, JoinHandle, TaskId};
pub use timeout::{Elapsed, defer_cancel, shield, timeout};
