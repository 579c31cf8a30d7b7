//! Accepts connections and starts a task for each, until the service drains.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use rustix::io::Errno;

use super::connection;
use super::ledger::ReplySlot;
use super::plan::{Plan, Stream};
use super::registry::Live;
use super::room::Room;
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
    let mut room = Room::new();
    let mut backoff = BACKOFF_MIN;
    let mut reports = Throttle::default();
    loop {
        match P::accept(listener) {
            Ok(stream) => {
                backoff = BACKOFF_MIN;
                if let Err(error) = start(plan, service, &mut room, stream) {
                    service.transient_accept_errors.fetch_add(1, Relaxed);
                    reports.report(format_args!("a connection is answered 503: {error}"));
                }
            }
            // A drain shuts the listener, which ends the wait with an error.
            Err(_) if !service.accepting.load(SeqCst) => return Ok(()),
            Err(error) if ropewalk::net::is_transient(&error) => {
                service.transient_accept_errors.fetch_add(1, Relaxed);
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

/// Starts a connection's task.
///
/// # Errors
/// There is no room for it; the client has been told.
fn start<P: Plan>(
    plan: &P,
    service: &Arc<Service<P::Stream, P::Slot>>,
    room: &mut Room,
    stream: P::Stream,
) -> Result<(), String> {
    let others = service.registry.len();
    let Some(live) = service.registry.register(stream) else {
        return Ok(());
    };
    let newcomer = Newcomer { service: Arc::clone(service), live: Some(live) };
    if !room.admits(&service.process, others, plan.reservation()) {
        return Err(format!("{others} connections fill the address space; raise --memory (ulimit -v)"));
    }
    plan.spawn(move || newcomer.serve()).map_err(|error| {
        format!(
            "{error}; {others} connections are there; raise ulimit -u, --memory or the sysctls \
             kernel.threads-max and vm.max_map_count, or lower --thread-stack"
        )
    })
}

/// A connection on its way to its task. If it does not arrive the client is told.
struct Newcomer<S: Stream, R: ReplySlot> {
    service: Arc<Service<S, R>>,
    /// Nothing once it has arrived.
    live: Option<Live<S>>,
}

impl<S: Stream, R: ReplySlot> Newcomer<S, R> {
    /// Serves the connection, in its task.
    fn serve(mut self) {
        if let Some(live) = self.live.take() {
            connection::serve(&self.service, &live);
        }
    }
}

impl<S: Stream, R: ReplySlot> Drop for Newcomer<S, R> {
    fn drop(&mut self) {
        if let Some(live) = &self.live {
            connection::refuse(live.stream());
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
