//! Accepts connections until the door is closed.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

use super::door::Door;
use super::plan::Plan;
use super::throttle::Throttle;

/// How long to wait before the next try when something is short, at first and at most.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(100);

/// Accepts until a drain begins, and has `start` start what serves each connection. If it cannot, it has told the client,
/// and says why. `failed` is called for each connection that was not accepted or started at once.
///
/// # Errors
/// What no waiting can mend.
///
/// # Waits
/// For connections.
pub(super) fn accept<P: Plan>(
    door: &Door,
    listener: &P::Listener,
    failed: impl Fn(),
    mut start: impl FnMut(P::Stream) -> Result<(), String>,
) -> io::Result<()> {
    let mut backoff = BACKOFF_MIN;
    let mut reports = Throttle::default();
    loop {
        match P::accept(listener) {
            Ok(stream) => {
                backoff = BACKOFF_MIN;
                if let Err(error) = start(stream) {
                    failed();
                    reports.report(format_args!("a connection is answered 503: {error}"));
                }
            }
            // A drain shuts the listener, which ends the wait with an error.
            Err(_) if door.is_closed() => return Ok(()),
            Err(error) if ropewalk::net::is_transient(&error) => {
                failed();
                if let Some(hint) = shortage(&error) {
                    // The connection stays in the queue, so the next try would fail at once.
                    reports.report(format_args!("connections have to wait: {error}; {hint}"));
                    P::sleep(backoff);
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// What the operator can do when descriptors or memory are short; nothing for other errors, after
/// which the next accept may succeed at once.
fn shortage(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some("raise the limit of descriptors (ulimit -n)"),
        Errno::NFILE => Some("raise the sysctl fs.file-max"),
        Errno::NOBUFS | Errno::NOMEM => Some("the kernel is short of memory for sockets"),
        _ => None,
    }
}
