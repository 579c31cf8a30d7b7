pub(crate) mod coroutine;
pub(crate) mod pool;
pub(crate) mod thread;
