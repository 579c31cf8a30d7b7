//! What a driver and a descriptor's source know of each other.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use ropewalk_sys::poll::Interest;

use crate::primitive::{Mutex, lock};

/// The driver that watches a descriptor.
pub trait Home: Send + Sync {
    /// Whether it will never report anything again.
    fn is_closed(&self) -> bool;

    /// Stops watching; called before the descriptor is closed.
    fn forget(&self, fd: BorrowedFd<'_>, token: u64);
}

/// Where a descriptor is watched, if it is.
#[derive(Default)]
pub struct Registration(Mutex<Option<(Arc<dyn Home>, u64)>>);

impl Registration {
    /// Calls `register` unless a driver that lives watches the descriptor already.
    ///
    /// # Errors
    /// What `register` gives.
    pub fn ensure(&self, register: impl FnOnce() -> io::Result<(Arc<dyn Home>, u64)>) -> io::Result<()> {
        let mut home = lock(&self.0);
        if home.as_ref().is_none_or(|(home, _)| home.is_closed()) {
            *home = Some(register()?);
        }
        Ok(())
    }

    /// To be called before the descriptor is closed.
    pub fn forget(&self, fd: BorrowedFd<'_>) {
        // Taken out first: the driver's own locks are not taken under this one.
        let home = lock(&self.0).take();
        if let Some((home, token)) = home {
            home.forget(fd, token);
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registration { .. }")
    }
}

/// A descriptor, as the driver that watches it sees it.
pub trait Watched: Send + Sync {
    /// The descriptor became ready in this direction.
    fn signal(&self, interest: Interest);

    /// The end of what comes, an error, or urgent data may be there, behind other data. Before the
    /// [`signal`](Self::signal) of the same event.
    fn note_end(&self);

    /// Where it is watched.
    fn registration(&self) -> &Registration;
}
