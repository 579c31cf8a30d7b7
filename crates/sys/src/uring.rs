//! Readiness of many descriptors through `io_uring(7)`, one multishot poll each; and operations that the kernel completes.
//!
//! Submissions are batched with the next wait, so to watch a descriptor, or to have an operation made, costs no system call
//! of its own.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue, types};

use crate::epoll::Ready;
use crate::operation::Operation;

const ENTRIES: u32 = 256;
/// The token of the requests whose own completions nobody waits for.
const NOBODY: u64 = u64::MAX;
/// Set in the token of an operation, and of nothing else.
const OPERATION: u64 = 1 << 63;

/// What a ring has to say.
#[derive(Debug)]
pub enum Report {
    /// A descriptor became ready, and whether it goes on being watched.
    Ready {
        /// What it is watched under.
        token: u64,
        /// For what.
        ready: Ready,
        /// Else it has to be added again.
        goes_on: bool,
    },
    /// An operation is over: nothing of what it borrows is used any more.
    Completed {
        /// What it was submitted under.
        token: u64,
        /// What the system call would have given.
        result: io::Result<usize>,
    },
}

/// A ring that only the thread that made it uses.
pub struct Ring {
    ring: IoUring,
    /// It can sleep on words of memory (Linux 6.7).
    words: bool,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({})", self.ring.as_raw_fd())
    }
}

impl Ring {
    /// Opens one for the calling thread, and makes sure that the kernel has all that it needs.
    ///
    /// # Errors
    /// `ENOSYS` or `EPERM` where the kernel, a sandbox (`seccomp`) or `kernel.io_uring_disabled` forbids it;
    /// [`Unsupported`](io::ErrorKind::Unsupported) where the kernel is older than 6.1.
    pub fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(4 * ENTRIES)
            .dontfork()
            .build(ENTRIES)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let needed = [
            opcode::PollAdd::CODE,
            opcode::AsyncCancel::CODE,
            opcode::Read::CODE,
            opcode::Write::CODE,
            opcode::Readv::CODE,
            opcode::Writev::CODE,
            opcode::Fsync::CODE,
        ];
        let complete = needed.into_iter().all(|code| probe.is_supported(code));
        if !complete || !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self { ring, words: probe.is_supported(opcode::FutexWait::CODE) })
    }

    /// Queues it; if the queue is full, has the kernel take what is in it first.
    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: a poll, or a cancellation, names a descriptor and no memory; an operation's memory is promised by the
            // caller of `submit_operation`.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.ring.submit()?;
        }
    }

    /// Has the kernel make `operation`, and report it under `token`, which is below 2^62. Takes effect with the next
    /// [`wait`](Self::wait). `false`: a ring does not do this one.
    ///
    /// # Errors
    /// As [`add`](Self::add); then it was not taken.
    ///
    /// # Safety
    /// What the operation borrows stays where it is, and untouched by others, until it is reported; for ever, if the ring is
    /// dropped before: the kernel ends what is under way when it likes.
    pub unsafe fn submit_operation(&mut self, operation: &Operation<'_>, token: u64) -> io::Result<bool> {
        debug_assert!(token < OPERATION >> 1, "no operation has the token of NOBODY");
        if operation.waits_for_word() && !self.words {
            return Ok(false);
        }
        let Some(entry) = operation.entry() else { return Ok(false) };
        self.push(&entry.user_data(token | OPERATION)).map(|()| true)
    }

    /// Asks the kernel to break off the operation with this token. It is reported in any case, with what it has done by then.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn cancel_operation(&mut self, token: u64) -> io::Result<()> {
        self.push(&opcode::AsyncCancel::new(token | OPERATION).build().user_data(NOBODY))
    }

    /// Watches `fd` both ways, edge-triggered: an edge that is already there is reported at once. Takes effect with the
    /// next [`wait`](Self::wait).
    ///
    /// # Errors
    /// What a submission gives that has to make room.
    pub fn add(&mut self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let events = (libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP) as u32;
        self.push(
            &opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), events).multi(true).build().user_data(token),
        )
    }

    /// Watches `fd` for reading only.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_read(&mut self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let events = libc::POLLIN as u32;
        self.push(
            &opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), events).multi(true).build().user_data(token),
        )
    }

    /// Stops watching what was added with `token`. The ring holds the file until the next [`submit`](Self::submit) or
    /// [`wait`](Self::wait).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn remove(&mut self, token: u64) -> io::Result<()> {
        // `IORING_OP_POLL_REMOVE` fails with EALREADY where an event of the poll waits to be collected, and the poll goes on
        // and keeps its file open. The general cancellation marks it, and it ends when it is collected.
        self.push(&opcode::AsyncCancel::new(token).build().user_data(NOBODY))
    }

    /// Submits what was added and removed, and has the kernel do what it has put off, without waiting; no system call
    /// where there is nothing to do.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn submit(&mut self) -> io::Result<()> {
        let submission = self.ring.submission();
        let pending = submission.len();
        let idle = pending == 0 && !submission.taskrun() && !submission.cq_overflow();
        drop(submission);
        if idle {
            return Ok(());
        }
        // SAFETY: no argument points anywhere.
        let entered = unsafe {
            let events = EnterFlags::GETEVENTS.bits();
            self.ring.submitter().enter::<libc::sigset_t>(
                pending.try_into().unwrap_or(u32::MAX),
                0,
                events,
                None,
            )
        };
        entered.map(drop)
    }

    /// Submits what was added and removed, waits for reports (`None`: for as long as it takes; zero: only looks), and calls
    /// `each` with every one.
    ///
    /// # Errors
    /// None but what a broken ring gives; an interruption by a signal counts as no event.
    pub fn wait(&mut self, timeout: Option<Duration>, mut each: impl FnMut(Report)) -> io::Result<()> {
        let entered = match timeout {
            Some(Duration::ZERO) => self.submit(),
            None => self.ring.submitter().submit_and_wait(1).map(drop),
            Some(timeout) => {
                let timeout = Timespec::from(timeout);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout)).map(drop)
            }
        };
        match entered {
            Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {
                return Err(error);
            }
            _ => {}
        }
        for completion in self.ring.completion() {
            let (token, result) = (completion.user_data(), completion.result());
            if token == NOBODY {
                continue;
            }
            if token & OPERATION != 0 {
                let result = usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
                each(Report::Completed { token: token & !OPERATION, result });
                continue;
            }
            if result == -libc::ECANCELED {
                continue;
            }
            // A poll that the kernel refuses would be refused again.
            let goes_on = cqueue::more(completion.flags()) || result < 0;
            // An error of the poll itself (the descriptor cannot be polled) wakes both ways: the operation will tell.
            let bits = u32::try_from(result).unwrap_or(libc::POLLERR as u32);
            // The bits may be those that the waker had at hand, which are no look at the socket: of urgent data they say nothing.
            let ready = Ready { end: true, ..Ready::from_poll_bits(bits) };
            each(Report::Ready { token, ready, goes_on });
        }
        Ok(())
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring lives as long as the borrow of it.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}
