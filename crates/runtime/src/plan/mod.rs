pub(crate) mod pool;
pub mod thread;
