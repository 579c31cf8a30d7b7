//! A test that hangs is ended, by name, with a list of what its tasks wait for.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use ropewalk::Runtime;

/// How long a test may take: the slowest take seconds, and many times that on a machine that is busy with other work.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs a test's body as the first coroutine of a runtime of two workers, on the driver that `ROPEWALK_DRIVER` names. When
/// it is not over after five minutes the process aborts, with a list of its tasks: what hangs cannot be ended otherwise.
///
/// # Panics
/// If the body does.
pub fn guarded<T>(body: impl FnOnce() -> T) -> T {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (over, ended) = channel::<()>();
    std::thread::spawn(move || {
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name} hangs: aborted after {LIMIT:?}\n{}", ropewalk::inspect::dump());
            std::process::abort();
        }
    });
    let result = Runtime::builder().workers(2).build().expect("a runtime can be built").run(body);
    drop(over);
    result
}

/// Raises the limit of open descriptors as far as it goes, for a crowd whose both ends are in this process.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
