//! The driver on `epoll(7)`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use ropewalk_sys::epoll::Epoll;
use ropewalk_sys::eventfd::EventFd;
use ropewalk_sys::operation::Operation;

use super::{Driver, Event};

/// The token of the waker; no source has it.
const WAKER: u64 = u64::MAX;

pub(super) struct EpollDriver {
    epoll: Arc<Epoll>,
}

impl EpollDriver {
    pub(super) fn new(waker: &EventFd) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        // Edge-triggered, so that nobody has to drain it: each signal is an edge.
        epoll.add(waker.as_fd(), WAKER)?;
        Ok(Self { epoll: Arc::new(epoll) })
    }
}

impl Driver for EpollDriver {
    fn watch(&mut self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        self.epoll.add(fd, token)
    }

    fn unwatch(&mut self, fd: Option<BorrowedFd<'_>>, _token: u64) {
        // Without the descriptor whoever closed it has taken it out already.
        if let Some(fd) = fd {
            self.epoll.remove(fd);
        }
    }

    unsafe fn submit(&mut self, _operation: &Operation<'_>, _token: u64) -> bool {
        false
    }

    fn cancel(&mut self, _token: u64) {}

    fn turn(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        self.epoll.wait(timeout, |token, ready| {
            if token != WAKER {
                events.push(Event::Ready(token, ready));
            }
        })?;
        Ok(())
    }

    fn remote(&self) -> Option<Arc<Epoll>> {
        Some(self.epoll.clone())
    }
}
