//! SIGTERM and SIGINT: stop accepting, finish what is in flight within a limit, exit 0. A second
//! signal ends at once.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::plan::Stream;
use super::service::Service;

/// How long connections that were cut have for their last steps.
const CUT_LIMIT: Duration = Duration::from_secs(2);

/// A file that has reached its size limit becomes an error of the write (EFBIG), which the ledger
/// answers with 503, and not the end of the process.
pub(super) fn ignore_file_size_signal() -> io::Result<()> {
    // A handler that only sets a flag; nobody needs to look at it.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

/// Starts the thread that waits for signals and drains the service.
pub(super) fn watch<S: Stream, R: Send + Sync + 'static>(
    service: Arc<Service<S, R>>,
    listener: Arc<impl AsFd + Send + Sync + 'static>,
    limit: Duration,
) -> io::Result<()> {
    let again = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag down and raises it, the second exits.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
        flag::register(signal, Arc::clone(&again))?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if signals.forever().next().is_some() {
                drain(&service, listener.as_fd(), limit);
            }
        })
        .map(drop)
}

/// Drains the service; the accept loop and the connections end by themselves then.
fn drain<S: Stream, R>(service: &Service<S, R>, listener: std::os::fd::BorrowedFd<'_>, limit: Duration) {
    eprintln!(
        "ropewalk serve: draining {} connections, for {} s at most",
        service.registry.len(),
        limit.as_secs_f64()
    );
    // The door first: whoever is told that the service ends finds it closed. The shutdown wakes
    // the accept loop under every plan, and refuses those who come now.
    service.accepting.store(false, SeqCst);
    if let Err(error) = rustix::net::shutdown(listener, rustix::net::Shutdown::Both) {
        eprintln!("ropewalk serve: cannot shut the listener: {error}");
    }
    service.registry.drain();
    if service.registry.wait_until_empty(limit) {
        return;
    }
    let count = service.registry.cut();
    eprintln!("ropewalk serve: cut {count} connections that were not done in time");
    if !service.registry.wait_until_empty(CUT_LIMIT) {
        eprintln!("ropewalk serve: the ledger hangs (is the disk stuck?); what was acknowledged is safe");
        std::process::exit(1);
    }
}
