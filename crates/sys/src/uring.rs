//! Readiness of many descriptors through `io_uring(7)`: one multishot poll each.
//!
//! Submissions are batched with the next wait, so to watch a descriptor costs no system call of its own.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue, types};

use crate::epoll::Ready;

const ENTRIES: u32 = 256;
/// The token of the requests whose own completions nobody waits for.
const NOBODY: u64 = u64::MAX;

/// A ring that only the thread that made it uses.
pub struct Ring(IoUring);

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({})", self.0.as_raw_fd())
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
        let complete =
            probe.is_supported(opcode::PollAdd::CODE) && probe.is_supported(opcode::AsyncCancel::CODE);
        if !complete || !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self(ring))
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: a poll request names a descriptor and no memory.
            if unsafe { self.0.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.0.submit()?;
        }
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
        let submission = self.0.submission();
        let pending = submission.len();
        let idle = pending == 0 && !submission.taskrun() && !submission.cq_overflow();
        drop(submission);
        if idle {
            return Ok(());
        }
        // SAFETY: no argument points anywhere.
        let entered = unsafe {
            let events = EnterFlags::GETEVENTS.bits();
            self.0.submitter().enter::<libc::sigset_t>(
                pending.try_into().unwrap_or(u32::MAX),
                0,
                events,
                None,
            )
        };
        entered.map(drop)
    }

    /// Submits what was added and removed, waits for events (`None`: for as long as it takes; zero: only looks), and
    /// calls `each` with every token, what it is ready for, and whether it goes on being watched.
    ///
    /// # Errors
    /// None but what a broken ring gives; an interruption by a signal counts as no event.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(u64, Ready, bool),
    ) -> io::Result<usize> {
        let entered = match timeout {
            Some(Duration::ZERO) => self.submit(),
            None => self.0.submitter().submit_and_wait(1).map(drop),
            Some(timeout) => {
                let timeout = Timespec::from(timeout);
                self.0.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout)).map(drop)
            }
        };
        match entered {
            Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {
                return Err(error);
            }
            _ => {}
        }
        let mut events = 0;
        for completion in self.0.completion() {
            if completion.user_data() == NOBODY {
                continue;
            }
            events += 1;
            // A poll that the kernel refuses would be refused again.
            let goes_on = cqueue::more(completion.flags()) || completion.result() < 0;
            // An error of the poll itself (the descriptor cannot be polled) wakes both ways: the operation will tell.
            let bits = u32::try_from(completion.result()).unwrap_or(libc::POLLERR as u32);
            if completion.result() != -libc::ECANCELED {
                each(completion.user_data(), Ready::from_poll_bits(bits), goes_on);
            }
        }
        Ok(events)
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring lives as long as the borrow of it.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}
