//! Waiting for a descriptor: try the system call, and if it would block, wait for readiness and try again.
//!
//! # No edge is lost
//! A driver reports an edge once. Each direction of a source therefore counts its edges ([`Readiness::signal`]); a
//! caller reads the count **before** it tries its system call, and waits only if the count is still the same, which is
//! looked at under the lock of the list that the driver takes to wake ([`Readiness`], SYNC: readiness.tick). Nobody
//! consumes an edge: all who wait in that direction wake and try again.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};

use Ordering::{Acquire, Release};
use ropewalk_sys::poll::Interest;

use super::{Interrupt, Wait, with_current};
use crate::primitive::{AtomicU32, Mutex, Ordering, lock};
use crate::wait_list::WaitList;

/// The driver that watches a source.
pub trait Home: Send + Sync {
    /// Whether it will never report anything again.
    fn is_closed(&self) -> bool;

    /// Stops watching; called before the descriptor is closed.
    fn forget(&self, fd: BorrowedFd<'_>, token: u64);
}

/// What is known about one descriptor, shared with the driver that watches it.
#[derive(Default)]
pub struct Readiness {
    ticks: [AtomicU32; 2],
    waiters: [WaitList<()>; 2],
    home: Mutex<Option<(Arc<dyn Home>, u64)>>,
}

fn index(interest: Interest) -> usize {
    match interest {
        Interest::Read => 0,
        Interest::Write => 1,
    }
}

impl Readiness {
    /// Driver: the descriptor became ready in this direction.
    pub fn signal(&self, interest: Interest) {
        // SYNC: readiness.tick
        self.ticks[index(interest)].fetch_add(1, Release);
        self.waiters[index(interest)].notify_all();
    }

    /// Calls `register` unless a driver that lives watches the descriptor already.
    ///
    /// # Errors
    /// What `register` gives.
    pub fn ensure_home(&self, register: impl FnOnce() -> io::Result<(Arc<dyn Home>, u64)>) -> io::Result<()> {
        let mut home = lock(&self.home);
        if home.as_ref().is_none_or(|(home, _)| home.is_closed()) {
            *home = Some(register()?);
        }
        Ok(())
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
        if let Some(readiness) = self.0.get()
            && let Some((home, token)) = lock(&readiness.home).take()
        {
            home.forget(fd, token);
        }
    }

    /// Does `operation`, which never blocks, as often as it takes until it has something to say but "it would block",
    /// and waits for readiness in between. Nothing is held meanwhile, so an interruption loses nothing.
    ///
    /// # Errors
    /// What `operation` gives; [`WouldBlock`](io::ErrorKind::WouldBlock) when the wait's deadline has passed; an error
    /// that wraps [`Cancelled`](super::Cancelled) for a cancelled task that cannot unwind.
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
        super::spend();
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
        with_current(|current| {
            let waiter = current.waiter();
            if let Some(interrupt) = waiter.interruption(wait) {
                return Ok(Err(interrupt));
            }
            if !current.watch(fd, self)? {
                waiter.begin_wait(wait);
                let polled = current.poll(fd, interest, waiter.next_deadline(wait));
                waiter.end_wait();
                return polled.map(Ok);
            }
            let list = &self.readiness().waiters[index(interest)];
            let guard = list.lock();
            // SYNC: readiness.tick
            if self.tick(interest) != seen {
                return Ok(Ok(()));
            }
            Ok(list.wait(guard, wait).map(drop))
        })
    }
}
