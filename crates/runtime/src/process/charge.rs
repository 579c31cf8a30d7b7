//! A child, as who looks after it knows it: how its end is waited for, and how an end becomes a failure of a task.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ropewalk_sync::park::{Interest, Wait, WaitReason, Watched};
use ropewalk_sync::source::Source;
use ropewalk_sys::process::{Child, Signal, Status};

use super::terminal::Listener;
use crate::task::exit::Exit;

/// How long a child may take to end after its function has ended, or after it has cut its link.
pub(super) const EXIT_LIMIT: Duration = Duration::from_secs(5);
/// How long a child that was sent `SIGKILL` may take to end: longer only where the kernel itself is stuck.
pub(super) const KILL_LIMIT: Duration = Duration::from_secs(30);

/// A child that has not been reaped.
pub(super) struct Charge {
    pub(super) child: Child,
    ended: Source,
    /// Until it is reaped.
    listener: Mutex<Option<Listener>>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ended.forget(self.child.as_fd());
    }
}

impl Charge {
    pub(super) fn new(child: Child) -> Self {
        let listener = Mutex::new(Some(Listener::new(&child)));
        Self { child, ended: Source::default(), listener }
    }

    /// Waits until the child has ended, or until `deadline`; or until `news` has something to tell, which is asked
    /// again after each [`look_again`](Self::look_again). Of the end nothing is told, of the deadline an error.
    pub(super) fn wait_ended<N>(
        &self,
        deadline: Option<Instant>,
        mut news: impl FnMut() -> Option<N>,
    ) -> io::Result<Option<N>> {
        let wait = Wait::new(WaitReason::ProcessExit).object(self).fallible().until(deadline);
        self.ended.attempt(self.child.as_fd(), Interest::Read, &wait, || {
            if self.child.has_ended()? {
                return Ok(None);
            }
            news().map(Some).ok_or_else(|| io::ErrorKind::WouldBlock.into())
        })
    }

    /// Has a coroutine that waits for the end look again.
    pub(super) fn look_again(&self) {
        self.ended.readiness().signal(Interest::Read);
    }

    /// Takes note of the end; nothing if there is none, or somebody else has taken note.
    pub(super) fn reap(&self) -> Option<Status> {
        drop(self.listener.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.child.reap().unwrap_or_else(|error| {
            tracing::warn!(pid = self.child.id(), %error, "somebody else has reaped a child of Ropewalk's");
            None
        })
    }
}

/// How a child ended that had said nothing.
pub(super) fn exit_of(status: Option<Status>) -> Exit {
    match status {
        None => Exit::Lost,
        Some(Status::Exited(code)) => Exit::Exited(code),
        Some(Status::Signaled(signal, _)) if signal == Signal::XCPU.as_raw() => Exit::OutOfCpuTime,
        Some(Status::Signaled(signal, core_dumped)) => Exit::Signaled { signal, core_dumped },
    }
}
