//! Accepts connections and starts a task for each, until the service drains.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::io::Errno;

use super::connection;
use super::plan::Plan;
use super::service::Service;
use super::throttle::Throttle;

/// How long to wait before the next try when something is short, at first and at most.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(100);

/// Accepts until a drain begins.
///
/// # Errors
/// What no waiting can mend.
///
/// # Waits
/// For connections.
pub(super) fn accept<P: Plan>(
    plan: &P,
    service: &Arc<Service<P::Stream, P::Slot>>,
    listener: &P::Listener,
) -> io::Result<()> {
    let mut backoff = BACKOFF_MIN;
    let mut reports = Throttle::default();
    loop {
        let error = match P::accept(listener).and_then(|stream| start(plan, service, stream)) {
            Ok(()) => {
                backoff = BACKOFF_MIN;
                continue;
            }
            // A drain shuts the listener, which ends the wait with an error.
            Err(_) if service.registry.is_draining() => return Ok(()),
            Err(error) => error,
        };
        if !ropewalk::net::is_transient(&error) && !is_shortage(&error) {
            return Err(error);
        }
        service.transient_accept_errors.fetch_add(1, Relaxed);
        if is_shortage(&error) {
            reports.report(format_args!("no room for another connection now: {error}{}", hint(&error)));
            P::sleep(backoff);
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
}

/// Starts a connection's task. When there is no room for one the client is told.
fn start<P: Plan>(plan: &P, service: &Arc<Service<P::Stream, P::Slot>>, stream: P::Stream) -> io::Result<()> {
    let Some(live) = service.registry.register(stream) else {
        return Ok(());
    };
    let (service, entry) = (Arc::clone(service), live.entry());
    plan.spawn(move || connection::serve(&service, &live)).inspect_err(|error| {
        connection::refuse(
            entry.stream(),
            format!("no room for another connection now ({error}); try again later"),
        );
    })
}

/// True when descriptors, memory or threads are short: they come back when connections end.
fn is_shortage(error: &io::Error) -> bool {
    let short = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::AGAIN];
    Errno::from_io_error(error).is_some_and(|errno| short.contains(&errno))
}

/// What the operator can do about a shortage.
fn hint(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => "; raise the limit of descriptors (ulimit -n)",
        Some(Errno::NFILE) => "; raise the sysctl fs.file-max",
        Some(Errno::AGAIN | Errno::NOMEM) => {
            "; raise --memory, lower --thread-stack, or raise ulimit -u and the sysctls kernel.threads-max and vm.max_map_count"
        }
        _ => "",
    }
}
