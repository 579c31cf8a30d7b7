//! What other threads may touch of a worker.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crossbeam_deque::Stealer;
use crossbeam_utils::CachePadded;
use ropewalk_sync::channel::Sender;
use ropewalk_sync::mailbox::{Mailbox, Posted};
use ropewalk_sync::park::{self, Home, ThreadId};
use ropewalk_sys::epoll::Epoll;
use ropewalk_sys::eventfd::EventFd;

use super::core::Ready;
use super::live::Live;
use super::worker;
use crate::driver;
use crate::stack_trace::{StackTrace, Tracer};

/// What is posted to a worker.
pub(crate) enum Message {
    /// One of its coroutines was woken.
    Woken(Ready),
    /// A coroutine that has not started.
    Fresh(Ready),
    /// A descriptor that it watches is being closed.
    Forget(u64),
    /// An operation that another thread has made is over.
    Completed(u64, io::Result<usize>),
    /// Somebody asks which coroutines in its queue have not started. The answer has the worker's number; there is room for it.
    Census(Sender<(u32, Vec<Ready>)>),
}

/// What a worker does, for who watches it. In a cache line of its own, because it changes at every switch.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// The number of the coroutine that it has resumed last; 0 while it sleeps.
    running: AtomicU64,
    switches: AtomicU64,
}

impl Pulse {
    /// The worker: resumes this coroutine, and has resumed so many now.
    #[inline]
    pub(super) fn beat(&self, switches: u64, id: u64) {
        self.switches.store(switches, Relaxed);
        self.running.store(id, Relaxed);
    }

    /// The worker: is about to sleep.
    pub(super) fn rest(&self) {
        self.running.store(0, Relaxed);
    }

    /// The number of the coroutine that it runs, or has run last.
    pub(crate) fn running(&self) -> Option<u64> {
        Some(self.running.load(Relaxed)).filter(|id| *id != 0)
    }

    /// How often it has resumed a coroutine.
    pub(crate) fn switches(&self) -> u64 {
        self.switches.load(Relaxed)
    }
}

/// A number that mostly one thread changes, without an exchange, and now and then others. Each of the two parts may be
/// below zero; their sum is not, but for the moment between two changes.
#[derive(Debug, Default)]
pub(crate) struct Load {
    own: AtomicUsize,
    others: AtomicUsize,
}

impl Load {
    /// The worker: one more.
    pub(super) fn add(&self) {
        self.own.store(self.own.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// The worker: one less.
    pub(super) fn sub(&self) {
        self.own.store(self.own.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// Somebody else: one more.
    pub(super) fn add_elsewhere(&self) {
        self.others.fetch_add(1, Relaxed);
    }

    /// Somebody else: one less.
    pub(super) fn sub_elsewhere(&self) {
        self.others.fetch_sub(1, Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        let sum = self.own.load(Relaxed).wrapping_add(self.others.load(Relaxed));
        // Between two changes: none.
        if sum.cast_signed() < 0 { 0 } else { sum }
    }
}

/// A worker, as others see it.
pub(crate) struct Remote {
    number: u32,
    place: u32,
    pub(crate) mailbox: Mailbox<Message>,
    waker: EventFd,
    pub(crate) stealer: Stealer<Ready>,
    /// Coroutines that it has started, and entries in its queue of unstarted ones: what placement goes by.
    pub(crate) load: Load,
    pub(crate) pulse: CachePadded<Pulse>,
    /// The coroutines that it has started and that have not ended.
    pub(crate) live: Live,
    /// The worker's thread, once it runs.
    thread: OnceLock<ThreadId>,
    /// Lets others stop watching a descriptor, where the driver can be used from anywhere.
    epoll: OnceLock<Arc<Epoll>>,
    closed: AtomicBool,
}

impl Remote {
    /// The worker at this place of its runtime.
    pub(crate) fn new(place: u32, stealer: Stealer<Ready>) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Ok(Self {
            number: NEXT.fetch_add(1, Relaxed),
            place,
            mailbox: Mailbox::new(),
            waker: EventFd::new()?,
            stealer,
            load: Load::default(),
            pulse: CachePadded::default(),
            live: Live::default(),
            thread: OnceLock::new(),
            epoll: OnceLock::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// Unique in the process, from 1.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Which worker of its runtime it is.
    pub(crate) fn place(&self) -> u32 {
        self.place
    }

    pub(crate) fn waker(&self) -> &EventFd {
        &self.waker
    }

    /// Ends the worker's sleep in its driver.
    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.signal() {
            driver::give_up(self.number, &error);
        }
    }

    /// Posts a message. Gives it back if the worker has ended.
    pub(crate) fn post(&self, message: Message) -> Result<(), Message> {
        match self.mailbox.post(message) {
            Posted::Delivered => Ok(()),
            Posted::Asleep => {
                self.wake();
                Ok(())
            }
            Posted::Closed(message) => Err(message),
        }
    }

    /// The worker: says that the calling thread is its own.
    pub(super) fn bind(&self) {
        let _ = self.thread.set(ThreadId::current());
    }

    /// Its thread, once it runs.
    pub(crate) fn thread(&self) -> Option<ThreadId> {
        self.thread.get().copied()
    }

    /// The stack of the coroutine `id`, if the worker runs it now and does not switch meanwhile.
    pub(crate) fn trace_running(
        &self,
        tracer: &mut Tracer,
        id: u64,
        deadline: Instant,
    ) -> Option<StackTrace> {
        let before = self.pulse.switches();
        let stack = tracer.trace_running(self.thread()?, deadline)?;
        let is_still = self.pulse.switches() == before && self.pulse.running() == Some(id);
        is_still.then_some(stack)
    }

    /// Wakes the worker if it sleeps. `false` if it does not, or somebody else does it.
    pub(crate) fn rouse(&self) -> bool {
        let owed = self.mailbox.rouse();
        if owed {
            self.wake();
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
        // A copy that fork(2) made has its parent's ring and epoll instance, where the parent still watches.
        if !park::is_original() || worker::forget_here(self.number, fd, token) || self.is_closed() {
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
