//! The driver on `io_uring(7)`.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use ropewalk_sys::epoll::Epoll;
use ropewalk_sys::eventfd::EventFd;
use ropewalk_sys::operation::Operation;
use ropewalk_sys::uring::{Report, Ring};

use super::{Driver, Event};

/// The token of the waker; no source has it, nor the ring's own requests.
const WAKER: u64 = u64::MAX >> 1;

pub(super) struct UringDriver {
    ring: Ring,
    /// What is watched, to begin again where the kernel ends a multishot poll by itself.
    watched: HashMap<u64, RawFd>,
    waker: RawFd,
    /// Polls that ended and have to begin again.
    ended: Vec<u64>,
}

impl UringDriver {
    pub(super) fn new(waker: &EventFd) -> io::Result<Self> {
        let mut ring = Ring::new()?;
        ring.add_read(waker.as_fd(), WAKER)?;
        Ok(Self { ring, watched: HashMap::new(), waker: waker.as_fd().as_raw_fd(), ended: Vec::new() })
    }

    fn begin_again(&mut self) -> io::Result<()> {
        while let Some(token) = self.ended.pop() {
            if token == WAKER {
                // SAFETY: the worker keeps its waker open as long as its driver.
                self.ring.add_read(unsafe { BorrowedFd::borrow_raw(self.waker) }, WAKER)?;
            } else if let Some(&fd) = self.watched.get(&token) {
                // SAFETY: whoever closes a descriptor unwatches it first; where the word of another thread is still under
                // way, the ring at worst watches a stranger for a moment, under a token that nobody listens to.
                self.ring.add(unsafe { BorrowedFd::borrow_raw(fd) }, token)?;
            }
        }
        Ok(())
    }
}

impl Driver for UringDriver {
    fn watch(&mut self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.ring.add(fd, token)?;
        self.watched.insert(token, fd.as_raw_fd());
        Ok(())
    }

    fn unwatch(&mut self, _fd: Option<BorrowedFd<'_>>, token: u64) {
        if self.watched.remove(&token).is_some() {
            // At once, because the poll keeps the file open: the peer would see the end only when this worker has time. If
            // the queue is full and the kernel takes nothing, the poll goes on, for a token that nobody knows.
            let _ = self.ring.remove(token).and_then(|()| self.ring.submit());
        }
    }

    unsafe fn submit(&mut self, operation: &Operation<'_>, token: u64) -> bool {
        // Where the kernel takes nothing at the moment, somebody else has to make the call.
        // SAFETY: the caller's promise.
        unsafe { self.ring.submit_operation(operation, token) }.unwrap_or(false)
    }

    fn cancel(&mut self, token: u64) {
        // Where the kernel takes nothing at the moment, the operation ends when it ends.
        let _ = self.ring.cancel_operation(token);
    }

    fn turn(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        let ended = &mut self.ended;
        self.ring.wait(timeout, |report| match report {
            Report::Ready { token, ready, goes_on } => {
                if token != WAKER {
                    events.push(Event::Ready(token, ready));
                }
                if !goes_on {
                    ended.push(token);
                }
            }
            Report::Completed { token, result } => events.push(Event::Completed(token, result)),
        })?;
        self.begin_again()
    }

    fn remote(&self) -> Option<Arc<Epoll>> {
        None
    }
}
