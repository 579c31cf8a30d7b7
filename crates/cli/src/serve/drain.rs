//! SIGTERM and SIGINT: stop accepting, finish what is in flight within a limit, exit 0. A second
//! signal ends at once.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::door::{Door, Notice};
use super::registry::{Entrant, Registry};

/// How long connections that were cut have for their last steps.
pub(super) const CUT_LIMIT: Duration = Duration::from_secs(2);

/// A file that has reached its size limit becomes an error of the write (EFBIG), which the ledger
/// answers with 503, and not the end of the process.
pub(super) fn ignore_file_size_signal() -> io::Result<()> {
    // A handler that only sets a flag; nobody needs to look at it.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

/// What is to be drained.
pub(super) struct Drain<E, L> {
    /// Those who end.
    pub(super) registry: Arc<Registry<E>>,
    /// What they are called.
    pub(super) noun: &'static str,
    /// Where they came in.
    pub(super) door: Arc<Door>,
    /// The listener behind it.
    pub(super) listener: Arc<L>,
    /// How long they may take.
    pub(super) limit: Duration,
}

impl<E: Entrant, L: AsFd + Send + Sync + 'static> Drain<E, L> {
    /// Starts the thread that waits for signals, then calls `first` and drains.
    ///
    /// # Errors
    /// The signals or the thread cannot be had.
    pub(super) fn on_signal(self, first: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it, the second exits.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
        }
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let wait = move || {
            if signals.forever().next().is_some() {
                first();
                self.run();
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
    }

    /// Starts the thread that waits for a notice and then drains.
    ///
    /// # Errors
    /// The thread cannot be had.
    pub(super) fn on_notice(self, notice: Notice) -> io::Result<()> {
        let wait = move || {
            notice.wait();
            self.run();
        };
        std::thread::Builder::new().name("notice".into()).spawn(wait).map(drop)
    }

    /// Drains; the accept loop and the connections end by themselves then.
    fn run(&self) {
        let count = self.registry.len();
        let seconds = self.limit.as_secs_f64();
        tracing::info!("draining {count} {}, for {seconds} s at most", self.noun);
        // The door first: whoever is told that the service ends finds it closed. The shutdown wakes
        // the accept loop under every plan, and refuses those who come now.
        self.door.close();
        match rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both) {
            // Another process of the service was first.
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => {}
            Err(error) => tracing::warn!("cannot shut the listener: {error}"),
        }
        self.registry.drain();
        if self.registry.wait_until_empty(self.limit) {
            return;
        }
        let count = self.registry.cut();
        tracing::warn!("cut {count} {} that were not done in time", self.noun);
        if !self.registry.wait_until_empty(CUT_LIMIT) {
            tracing::error!("the ledger hangs (is the disk stuck?); what was acknowledged is safe");
            std::process::exit(1);
        }
    }
}
