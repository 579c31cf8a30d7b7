//! Limits of the process that a runtime has to know.

use rustix::process::{Resource, getrlimit};

/// The size of the main thread's stack (`ulimit -s`); `None` for no limit.
#[must_use]
pub fn stack_size() -> Option<usize> {
    getrlimit(Resource::Stack).current.and_then(|bytes| bytes.try_into().ok())
}

/// The number of CPUs that this process may run on.
#[must_use]
pub fn available_parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
