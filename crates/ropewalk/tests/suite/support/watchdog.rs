//! A test that hangs is ended, by name.

use std::io::Write;
use std::panic::Location;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How long a test may take. The slowest takes a few seconds on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs a test's body; when it is not over after half a minute, the process aborts with the test's name. A process, not the
/// test alone: a thread that hangs cannot be ended in any other way.
#[track_caller]
pub(crate) fn guarded<T>(body: impl FnOnce() -> T) -> T {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let location = Location::caller();
    let (over, ended) = channel::<()>();
    let (awake, is_awake) = channel();
    let watch = move || {
        drop(awake);
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            // Not `eprintln!`: libtest keeps that until the test ends.
            let _ =
                writeln!(std::io::stderr(), "the test {name} at {location} hangs: aborted after {LIMIT:?}");
            std::process::abort();
        }
    };
    std::thread::Builder::new().name("watchdog".into()).spawn(watch).expect("a watchdog starts");
    // Afterwards the body may leave no memory for a thread to start in.
    let _: Result<(), _> = is_awake.recv();
    let result = body();
    drop(over);
    result
}
