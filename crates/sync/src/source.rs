//! Waiting for a descriptor: try the system call, and if it would block, wait for readiness and try again.
//!
//! # No edge is lost
//! A driver reports an edge once. Each direction of a source therefore counts its edges ([`Watched::signal`]); a
//! caller reads the count **before** it tries its system call, and waits only if the count is still the same, which is
//! looked at under the lock of the list that the driver takes to wake ([`Readiness`], SYNC: readiness.tick). Nobody
//! consumes an edge: all who wait in that direction wake and try again.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};

use Ordering::{Acquire, Release};
use ropewalk_sys::poll::Interest;

use crate::park::{self, Interrupt, Registration, Wait, Watched};
use crate::primitive::{AtomicU32, Ordering};
use crate::wait_list::WaitList;

/// What is known about one descriptor, shared with the driver that watches it.
#[derive(Default)]
pub struct Readiness {
    ticks: [AtomicU32; 2],
    waiters: [WaitList<()>; 2],
    registration: Registration,
}

fn index(interest: Interest) -> usize {
    match interest {
        Interest::Read => 0,
        Interest::Write => 1,
    }
}

impl Watched for Readiness {
    fn signal(&self, interest: Interest) {
        // SYNC: readiness.tick
        self.ticks[index(interest)].fetch_add(1, Release);
        self.waiters[index(interest)].notify_all();
    }

    fn registration(&self) -> &Registration {
        &self.registration
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("ticks", &self.ticks).finish_non_exhaustive()
    }
}

/// The waiting half of a descriptor. Costs nothing until a coroutine waits for it.
#[derive(Debug, Default)]
pub struct Source(OnceLock<Arc<Readiness>>);

impl Source {
    /// What the driver shares.
    pub fn readiness(&self) -> &Arc<Readiness> {
        self.0.get_or_init(Arc::default)
    }

    /// The count of edges so far: to be read before the system call that may find nothing.
    #[must_use]
    pub fn tick(&self, interest: Interest) -> u32 {
        // SYNC: readiness.tick
        self.0.get().map_or(0, |readiness| readiness.ticks[index(interest)].load(Acquire))
    }

    /// To be called before the descriptor is closed.
    pub fn forget(&self, fd: BorrowedFd<'_>) {
        if let Some(readiness) = self.0.get() {
            readiness.registration.forget(fd);
        }
    }

    /// Does `operation`, which never blocks, as often as it takes until it has something to say but "it would block",
    /// and waits for readiness in between. Nothing is held meanwhile, so an interruption loses nothing.
    ///
    /// # Errors
    /// What `operation` gives; [`WouldBlock`](io::ErrorKind::WouldBlock) when the wait's deadline has passed; an error
    /// that wraps [`Cancelled`](crate::park::Cancelled) for a cancelled task that cannot unwind.
    ///
    /// # Waits
    /// Until the operation can be done.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    pub fn attempt<R>(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        wait: &Wait,
        mut operation: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        park::spend();
        loop {
            let seen = self.tick(interest);
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => return result,
            }
            if let Err(interrupt) = self.wait(fd, interest, seen, wait)? {
                return Err(interrupt.deliver().into());
            }
        }
    }

    /// Waits until `fd` may be ready, after a try that found that it was not, when the count of edges was `seen`.
    ///
    /// # Errors
    /// What the kernel says of the descriptor; inside, the interruption, not yet delivered.
    ///
    /// # Waits
    /// Until an edge.
    pub fn wait(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        seen: u32,
        wait: &Wait,
    ) -> io::Result<Result<(), Interrupt>> {
        if !park::is_coroutine() {
            return park::poll(fd, interest, wait);
        }
        let readiness = self.readiness();
        let watched: Arc<dyn Watched> = readiness.clone();
        park::watch(fd, &watched)?;
        let list = &readiness.waiters[index(interest)];
        let guard = list.lock();
        // SYNC: readiness.tick
        if self.tick(interest) != seen {
            return Ok(Ok(()));
        }
        Ok(list.wait(guard, wait).map(drop))
    }
}
