//! A process that runs another program: its start, and its end.
//!
//! It is waited for and reaped by its pidfd only. One that is dropped before it was reaped runs on, as std's does, but
//! does not stay a zombie until this process ends: it is reaped when another process is started or dropped after its end.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, PoisonError};

use ropewalk_sync::park::{Interest, Wait, WaitReason};
use ropewalk_sync::source::Source;
use ropewalk_sys::process::{Child, Signal, Status};

use super::spawner;

/// A foreign program that runs, or has ended.
#[derive(Debug)]
pub struct Foreign {
    /// Always there, but for the moment in which the value ends.
    child: Option<Child>,
    ended: Source,
    status: Option<ExitStatus>,
}

impl Foreign {
    /// Starts `command`, with the streams and all that it has been given.
    ///
    /// # Errors
    /// As [`Command::spawn`]; `EMFILE` where no descriptor is left for its pidfd (`ulimit -n`).
    ///
    /// # Waits
    /// Until it runs.
    ///
    /// # Cancellation
    /// A start that has begun is not broken off; the cancel comes at the next wait.
    pub fn start(command: Command) -> io::Result<Self> {
        reap_orphans();
        let child = spawner::start_foreign(command)?;
        Ok(Self { child: Some(child), ended: Source::default(), status: None })
    }

    fn child(&self) -> &Child {
        self.child.as_ref().expect("it is taken only when the value ends")
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// Kills it (`SIGKILL`); one that has ended is left alone.
    ///
    /// # Errors
    /// It has become another user's.
    pub fn kill(&self) -> io::Result<()> {
        if self.status.is_some() { Ok(()) } else { self.child().signal(Signal::KILL) }
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    /// `ECHILD`: somebody else has reaped it.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child().reap()?.map(to_std);
        }
        Ok(self.status)
    }

    /// How it has ended.
    ///
    /// # Errors
    /// As [`try_wait`](Self::try_wait).
    ///
    /// # Waits
    /// Until it has.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the process runs on, and its status is not lost.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let child = self.child();
        let wait = Wait::new(WaitReason::ProcessExit).object(child).fallible();
        let status = self.ended.attempt(child.as_fd(), Interest::Read, &wait, || {
            child.reap()?.map(to_std).ok_or_else(|| io::ErrorKind::WouldBlock.into())
        })?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        self.ended.forget(child.as_fd());
        if self.status.is_none() {
            orphans().push(child);
        }
        reap_orphans();
    }
}

/// Nobody waits for these.
static ORPHANS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

fn orphans() -> std::sync::MutexGuard<'static, Vec<Child>> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets those that have ended, or that somebody else has reaped.
fn reap_orphans() {
    orphans().retain(|child| matches!(child.reap(), Ok(None)));
}

/// As wait(2) has it in one number.
fn to_std(status: Status) -> ExitStatus {
    const CORE_DUMPED: i32 = 0x80;
    ExitStatus::from_raw(match status {
        Status::Exited(code) => (code & 0xFF) << 8,
        Status::Signaled(signal, dumped) => signal | if dumped { CORE_DUMPED } else { 0 },
    })
}
