//! The plans: what it takes to run a task as a coroutine, as an OS thread, or as a call on the blocking pool.

pub(crate) mod coroutine;
pub(crate) mod pool;
pub(crate) mod thread;
