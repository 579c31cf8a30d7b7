//! Tasks that stand for another thing, such as a process, and say by a value how that has ended.
//!
//! Not by an unwind: with `panic = "abort"` that would end the program, for what is no panic of its own.

use std::sync::Arc;

use ropewalk_sync::park::{Park, Waiter};

use super::Header;
use super::cell::Joinable;
use super::current::with_current_header;
use super::exit::Exit;
use super::join::{Ended, JoinError};
use super::state::Death;

/// A task that gives a `T` or how it ended, as one of which a handle gives a `T` or an error.
pub(super) struct Ending<T>(pub(super) Arc<dyn Joinable<Result<T, Ended>>>);

impl<T> Joinable<T> for Ending<T> {
    fn header(&self) -> &Header {
        self.0.header()
    }

    fn waiter(&self) -> &Waiter {
        self.0.waiter()
    }

    fn take(&self) -> Result<T, JoinError> {
        self.0
            .take()?
            .map_err(|ended| JoinError::ended(self.waiter().id(), self.header().shared_name(), ended))
    }

    fn detach(&self) {
        self.0.detach();
    }

    fn into_park(self: Arc<Self>) -> Arc<dyn Park> {
        self.0.clone().into_park()
    }

    fn run_next(self: Arc<Self>) -> bool {
        self.0.clone().run_next()
    }
}

/// What the calling task is about to return, noted for who asks how it ended.
pub(crate) fn note<T>(result: Result<T, Ended>) -> Result<T, Ended> {
    if let Err(ended) = &result {
        let death = match ended {
            Ended::NotStarted(_) => Death::NotStarted,
            Ended::Cancelled => Death::Cancelled,
            Ended::Exited(Exit::Panicked { .. }) => Death::Panicked,
            Ended::Exited(_) => Death::Exited,
        };
        with_current_header(|header| {
            if let Some(header) = header {
                header.stood_for(death);
            }
        });
    }
    result
}
