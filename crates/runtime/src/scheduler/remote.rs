//! What other threads may touch of a worker.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crossbeam_deque::Stealer;
use ropewalk_sync::mailbox::{Mailbox, Posted};
use ropewalk_sync::park::Home;
use ropewalk_sys::epoll::Epoll;
use ropewalk_sys::eventfd::EventFd;

use super::core::Ready;
use super::worker;

/// What is posted to a worker.
pub(crate) enum Message {
    /// One of its coroutines was woken.
    Woken(Ready),
    /// A coroutine that has not started.
    Fresh(Ready),
    /// A descriptor that it watches is being closed.
    Forget(u64),
}

/// A worker, as others see it.
pub(crate) struct Remote {
    number: u32,
    pub(crate) mailbox: Mailbox<Message>,
    waker: EventFd,
    pub(crate) stealer: Stealer<Ready>,
    /// Coroutines that it has started, and entries in its queue of unstarted ones: what placement goes by.
    pub(crate) load: AtomicUsize,
    /// Resumptions so far, as of the last time that the worker wrote them down.
    pub(crate) switches: AtomicU64,
    /// Lets others stop watching a descriptor, where the driver can be used from anywhere.
    epoll: OnceLock<Arc<Epoll>>,
    closed: AtomicBool,
}

impl Remote {
    pub(crate) fn new(stealer: Stealer<Ready>) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Ok(Self {
            number: NEXT.fetch_add(1, Relaxed),
            mailbox: Mailbox::new(),
            waker: EventFd::new()?,
            stealer,
            load: AtomicUsize::new(0),
            switches: AtomicU64::new(0),
            epoll: OnceLock::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// Unique in the process, from 1.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn waker(&self) -> &EventFd {
        &self.waker
    }

    /// Posts a message. Gives it back if the worker has ended.
    pub(crate) fn post(&self, message: Message) -> Result<(), Message> {
        match self.mailbox.post(message) {
            Posted::Delivered => Ok(()),
            Posted::Asleep => {
                self.waker.signal();
                Ok(())
            }
            Posted::Closed(message) => Err(message),
        }
    }

    /// Wakes the worker if it sleeps. `false` if it does not, or somebody else does it.
    pub(crate) fn rouse(&self) -> bool {
        let owed = self.mailbox.rouse();
        if owed {
            self.waker.signal();
        }
        owed
    }

    pub(crate) fn set_epoll(&self, epoll: Option<Arc<Epoll>>) {
        if let Some(epoll) = epoll {
            let _ = self.epoll.set(epoll);
        }
    }

    /// The worker has ended: it reports and takes nothing any more. Gives what was posted and nobody will read.
    pub(crate) fn close(&self) -> Vec<Message> {
        self.closed.store(true, Relaxed);
        self.mailbox.close()
    }
}

impl Home for Remote {
    fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    fn forget(&self, fd: BorrowedFd<'_>, token: u64) {
        if worker::forget_here(self.number, fd, token) || self.is_closed() {
            return;
        }
        if let Some(epoll) = self.epoll.get() {
            // Now, while the descriptor is open; that the slot is free the worker may learn later.
            epoll.remove(fd);
        }
        // A worker that has ended watches nothing.
        let _ = self.post(Message::Forget(token));
    }
}
