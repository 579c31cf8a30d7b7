//! A test that hangs is ended, by name, with a list of what its tasks wait for.

use std::io::Write;
use std::panic::Location;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ropewalk::inspect;

/// How long a test may take. The slowest take some seconds, because they read the symbols of this large program, and many
/// times that on a machine that is busy with other work.
const LIMIT: Duration = Duration::from_secs(120);
/// How long it may take to list the tasks of a process that hangs.
const DUMP_LIMIT: Duration = Duration::from_secs(10);

/// Runs a test's body; when it is not over after two minutes, the process aborts with the test's name and a list of its
/// tasks, deadlocks first. A process, not the test alone: a thread that hangs cannot be ended in any other way.
#[track_caller]
pub(crate) fn guarded<T>(body: impl FnOnce() -> T) -> T {
    let over = watch(Location::caller());
    let result = body();
    drop(over);
    result
}

/// Starts the watchdog of the test at `location`; it ends when what this returns is dropped.
fn watch(location: &'static Location<'static>) -> Sender<()> {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let (over, ended) = channel::<()>();
    let (awake, is_awake) = channel();
    let watch = move || {
        drop(awake);
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            abort(&format!("the test {name} at {location} hangs: aborted after {LIMIT:?}"));
        }
    };
    std::thread::Builder::new().name("watchdog".into()).spawn(watch).expect("a watchdog starts");
    // Afterwards the body may leave no memory for a thread to start in.
    let _: Result<(), _> = is_awake.recv();
    over
}

/// Ends the process, with the list of its tasks if that can be had.
fn abort(message: &str) -> ! {
    // Not `eprintln!`: libtest keeps that until the test ends.
    let _ = writeln!(std::io::stderr(), "{message}");
    let (done, is_done) = channel::<()>();
    let dump = move || {
        let _ = writeln!(std::io::stderr(), "{}", inspect::dump());
        drop(done);
    };
    if std::thread::Builder::new().spawn(dump).is_ok() {
        let _ = is_done.recv_timeout(DUMP_LIMIT);
    }
    std::process::abort();
}
