//! Messages that may come by the thousand, at most one line a second.

use std::time::{Duration, Instant};

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Logs a kind of message at most once a second, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Option<Instant>,
    silent: u64,
}

impl Throttle {
    /// Logs `message`, unless one was logged less than a second ago.
    pub(super) fn report(&mut self, message: std::fmt::Arguments<'_>) {
        if self.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            self.silent += 1;
            return;
        }
        self.last = Some(Instant::now());
        match std::mem::take(&mut self.silent) {
            0 => tracing::warn!("{message}"),
            silent => tracing::warn!("{message} ({silent} more since the last line)"),
        }
    }
}
