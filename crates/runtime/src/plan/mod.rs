//! The plans: what it takes to run a task as a coroutine, as an OS thread, as a task of a pool of threads, or as a
//! call on the blocking pool.

pub(crate) mod coroutine;
pub(crate) mod line;
pub(crate) mod pool;
pub(crate) mod scheduling;
pub(crate) mod thread;
