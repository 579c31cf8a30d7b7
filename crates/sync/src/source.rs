//! Waiting for a descriptor: try the system call, and if it would block, wait for readiness and try again.
//!
//! # No edge is lost
//! A driver reports an edge once. Each direction of a source therefore counts its edges ([`Watched::signal`]); a
//! caller reads the count **before** it tries its system call, and waits only if the count is still the same, which is
//! looked at under the lock of the list that the driver takes to wake ([`Readiness`], SYNC: readiness.tick). Nobody
//! consumes an edge: all who wait in that direction wake and try again.
//!
//! # A read that was not filled
//! A read of a TCP stream that returns fewer bytes than it had room for has left nothing behind (epoll(7), question 9). So
//! the next one would find nothing, unless an edge has come since: [`Source::attempt_read`] waits for that at once, and saves
//! the system call. What had come before the read and was left there all the same is the end of the stream, an error, or
//! what lies behind a mark of urgent data. Of each the driver has reported a bit with the edge that announced it
//! ([`Watched::note_end`]), and from then on every read is tried. Of what comes after the read the edge is yet to be counted.
//!
//! # Who cannot wait
//! A future that is polled must not wait where it is. It leaves a waker in the same list, under the same lock and after the
//! same look at the count ([`Source::poll_ready`]), and returns. Each such future has a [`Place`] of its own, so several
//! may poll one direction, and one that is dropped takes its waker along.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use Ordering::{Acquire, Relaxed, Release};
use ropewalk_sys::poll::Interest;

use crate::park::{self, Interrupt, Registration, Wait, Watched};
use crate::primitive::{AtomicU32, Ordering};
use crate::wait_list::WaitList;

/// What is known about one descriptor, shared with the driver that watches it.
#[derive(Default)]
pub struct Readiness {
    ticks: [AtomicU32; 2],
    waiters: [WaitList<Wakers>; 2],
    registration: Registration,
    /// A read has left nothing behind, with so many edges counted before it: that number, plus 1. 0: none has.
    drained: AtomicU64,
    /// How much a read returns says nothing of what is left.
    ends: AtomicBool,
}

impl Readiness {
    /// Whether a read would find nothing, if the count was `seen` just now.
    fn is_drained(&self, seen: u32) -> bool {
        // SYNC: readiness.tick. `ends` was set before the edge was counted.
        self.drained.load(Relaxed) == u64::from(seen) + 1 && !self.ends.load(Relaxed)
    }
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
        let list = &self.waiters[index(interest)];
        let mut guard = list.lock();
        let wakers = mem::take(&mut *guard);
        list.notify_all_after(guard);
        wakers.wake();
    }

    fn note_end(&self) {
        self.ends.store(true, Relaxed);
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

/// The wakers of futures that poll one direction, by the numbers of their places. Nearly always there is one at most, and
/// that is kept without an allocation.
#[derive(Default)]
struct Wakers {
    first: Option<(u64, Waker)>,
    others: Vec<(u64, Waker)>,
}

impl Wakers {
    /// Puts a waker there. Gives the one that had the place, which is to be dropped without the lock, as all wakers are.
    fn put(&mut self, number: u64, waker: Waker) -> Option<Waker> {
        let before = self.remove(number);
        if self.first.is_none() {
            self.first = Some((number, waker));
        } else {
            self.others.push((number, waker));
        }
        before
    }

    fn remove(&mut self, number: u64) -> Option<Waker> {
        if let Some((_, waker)) = self.first.take_if(|(place, _)| *place == number) {
            return Some(waker);
        }
        let at = self.others.iter().position(|(place, _)| *place == number)?;
        Some(self.others.swap_remove(at).1)
    }

    fn wake(self) {
        self.first.into_iter().chain(self.others).for_each(|(_, waker)| waker.wake());
    }
}

/// The place of one future among those who poll a descriptor in one direction. Its waker is there from a poll that found
/// nothing until the next edge, or until the place is dropped.
pub struct Place {
    interest: Interest,
    number: u64,
    /// Where it has left a waker at some time.
    readiness: Option<Arc<Readiness>>,
}

impl Place {
    /// One that holds no waker yet.
    #[must_use]
    pub fn new(interest: Interest) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { interest, number: NEXT.fetch_add(1, Relaxed), readiness: None }
    }

    /// Takes the waker out, if it is there.
    fn leave(&mut self) {
        if let Some(readiness) = self.readiness.take() {
            let waker = readiness.waiters[index(self.interest)].lock().remove(self.number);
            drop(waker);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("interest", &self.interest).finish_non_exhaustive()
    }
}

/// The waiting half of a descriptor. Costs nothing until a coroutine waits for it.
#[derive(Debug, Default)]
pub struct Source(OnceLock<Arc<Readiness>>);

/// Whether the same call may have a result the next time.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

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

    /// As [`attempt`](Self::attempt), of reads of a stream of bytes that return less than `room` only if nothing is left: who
    /// has made such a read need not try the next one before he waits.
    ///
    /// # Errors
    /// As [`attempt`](Self::attempt).
    ///
    /// # Waits
    /// As long as there is nothing to read.
    ///
    /// # Cancellation
    /// As [`attempt`](Self::attempt).
    pub fn attempt_read(
        &self,
        fd: BorrowedFd<'_>,
        wait: &Wait,
        room: usize,
        mut read: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        park::spend();
        loop {
            let seen = self.tick(Interest::Read);
            let drained =
                self.0.get().is_some_and(|readiness| readiness.is_drained(seen)) && park::is_coroutine();
            if !drained {
                match read() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(length) => {
                        if length > 0 && length < room {
                            self.note_drained(seen);
                        }
                        return Ok(length);
                    }
                    error => return error,
                }
            }
            if let Err(interrupt) = self.wait(fd, Interest::Read, seen, wait)? {
                if drained {
                    // What has come, and was not yet reported, wins over the interruption.
                    match read() {
                        Err(error) if is_passing(&error) => {}
                        result => return result,
                    }
                }
                return Err(interrupt.deliver().into());
            }
        }
    }

    fn note_drained(&self, seen: u32) {
        if let Some(readiness) = self.0.get() {
            readiness.drained.store(u64::from(seen) + 1, Relaxed);
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
        self.watch(fd)?;
        let readiness = self.readiness();
        let list = &readiness.waiters[index(interest)];
        let guard = list.lock();
        // SYNC: readiness.tick
        if self.tick(interest) != seen {
            return Ok(Ok(()));
        }
        Ok(list.wait(guard, wait).map(drop))
    }

    /// As [`attempt`](Self::attempt), for a future: where that waits, this leaves the waker of `context` in `place`.
    /// `watch` sees to it that a driver [watches](Self::watch) the descriptor.
    ///
    /// # Errors
    /// What `operation` and `watch` give.
    pub fn poll_attempt<R>(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        mut watch: impl FnMut() -> io::Result<()>,
        mut operation: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        std::task::ready!(park::poll_spend(context));
        loop {
            let seen = self.tick(place.interest);
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => return Poll::Ready(result),
            }
            watch()?;
            if self.poll_ready(place, seen, context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Leaves the waker of `context` in `place`, to be woken by the next edge, after a try that found nothing when the
    /// count of edges was `seen`. Ready if there has been an edge since. Whoever calls sees to it that the descriptor
    /// [is watched](Self::watch).
    pub fn poll_ready(&self, place: &mut Place, seen: u32, context: &Context<'_>) -> Poll<()> {
        let readiness = self.readiness();
        if place.readiness.as_ref().is_none_or(|left| !Arc::ptr_eq(left, readiness)) {
            place.leave();
            place.readiness = Some(readiness.clone());
        }
        // Cloned and dropped without the lock: what that does is the executor's affair.
        let waker = context.waker().clone();
        let mut guard = readiness.waiters[index(place.interest)].lock();
        // SYNC: readiness.tick
        if self.tick(place.interest) != seen {
            return Poll::Ready(());
        }
        let before = guard.put(place.number, waker);
        drop(guard);
        drop(before);
        Poll::Pending
    }

    /// Has the driver of the calling coroutine's worker report edges of `fd`, if none does so yet. A driver that begins to
    /// watch reports the state that it finds.
    ///
    /// # Errors
    /// What the driver says; [`Unsupported`](io::ErrorKind::Unsupported) in a thread, if no driver watches it yet.
    pub fn watch(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let watched: Arc<dyn Watched> = self.readiness().clone();
        park::watch(fd, &watched)
    }
}
