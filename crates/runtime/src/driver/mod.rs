//! Where a worker hears from the kernel: which descriptors became ready, which operations are over, and that somebody
//! wants it.
//!
//! A driver reports; it schedules nothing. For readiness, by edges, both drivers do the same job, so everything above them is
//! one path: io_uring saves the system calls (to watch a descriptor costs none of its own, and a look that finds
//! nothing costs none), epoll works everywhere. An operation, for what has no readiness, only io_uring takes: where a driver
//! does not, a thread of the pool makes it. Which driver a runtime uses is probed once when it is built.

mod epoll;
#[cfg(feature = "uring")]
mod uring;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use ropewalk_sys::epoll::{Epoll, Ready};
use ropewalk_sys::eventfd::EventFd;
use ropewalk_sys::operation::Operation;

/// How a runtime hears from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DriverKind {
    /// `io_uring(7)`: multishot polls, submitted in batches.
    Uring,
    /// `epoll(7)`: works on every kernel and in every sandbox.
    Epoll,
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

/// What a driver reports.
pub(crate) enum Event {
    /// The descriptor that is watched under this token became ready.
    Ready(u64, Ready),
    /// The operation that was submitted under this token is over.
    #[cfg_attr(not(feature = "uring"), expect(dead_code, reason = "epoll reports none"))]
    Completed(u64, io::Result<usize>),
}

/// The seam: what a worker needs of the kernel. Used by the worker's own thread.
pub(crate) trait Driver {
    /// Reports edges of `fd` under `token` from now on, beginning with the state that it is in.
    fn watch(&mut self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()>;

    /// Reports nothing more under `token`.
    fn unwatch(&mut self, fd: Option<BorrowedFd<'_>>, token: u64);

    /// Has the kernel make `operation` and reports its end under `token`. `false`: not by this driver.
    ///
    /// # Safety
    /// What the operation borrows stays where it is, untouched by others, until its end is reported; for ever, if the driver
    /// goes before that.
    unsafe fn submit(&mut self, operation: &Operation<'_>, token: u64) -> bool;

    /// Asks the kernel to break off what was submitted under `token`. Its end is reported all the same.
    fn cancel(&mut self, token: u64);

    /// Adds what there is to `events`. Waits until there is something or the worker is woken: for `timeout` at most,
    /// `None` for as long as it takes, zero not at all.
    fn turn(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()>;

    /// What other threads need to stop watching by themselves; `None` where only the worker can.
    fn remote(&self) -> Option<Arc<Epoll>>;
}

/// Ends the process, where a worker can no longer hear from the kernel, or be woken: to go on would lose wake-ups in
/// silence. A ring, an epoll instance or an eventfd that is open does not fail.
pub(crate) fn give_up(worker: u32, error: &io::Error) -> ! {
    let text = format!(
        "\nropewalk: worker {worker} is cut off from the kernel ({error}): somebody has closed a descriptor that was \
         not theirs to close, and whoever waits would wait for ever\n"
    );
    ropewalk_sys::segv::abort_with(&[&text])
}

/// Opens a driver for the calling thread, which `waker` can wake.
pub(crate) fn open(kind: DriverKind, waker: &EventFd) -> io::Result<Box<dyn Driver>> {
    Ok(match kind {
        #[cfg(feature = "uring")]
        DriverKind::Uring => Box::new(uring::UringDriver::new(waker)?),
        #[cfg(not(feature = "uring"))]
        DriverKind::Uring => unreachable!("the probe has refused it"),
        DriverKind::Epoll => Box::new(epoll::EpollDriver::new(waker)?),
    })
}

/// Which driver to use, and why not the other.
#[derive(Clone, Debug)]
pub struct DriverChoice {
    kind: DriverKind,
    reason: Option<String>,
}

impl DriverChoice {
    /// The driver in use.
    #[must_use]
    pub fn kind(&self) -> DriverKind {
        self.kind
    }

    /// Why it is not io_uring; `None` where it is.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl fmt::Display for DriverChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        self.reason.as_ref().map_or(Ok(()), |reason| write!(f, " ({reason})"))
    }
}

/// The variable that forces a driver.
const VARIABLE: &str = "ROPEWALK_DRIVER";

/// Chooses: what the builder forces, else what the environment forces, else io_uring where it works, else epoll.
pub(crate) fn choose(forced: Option<DriverKind>) -> io::Result<DriverChoice> {
    let (forced, by) = match forced {
        Some(kind) => (Some(kind), "the builder"),
        None => (from_environment()?, VARIABLE),
    };
    match forced {
        Some(DriverKind::Epoll) => {
            Ok(DriverChoice { kind: DriverKind::Epoll, reason: Some(format!("{by} asks for epoll")) })
        }
        forced => match probe_uring() {
            Ok(()) => Ok(DriverChoice { kind: DriverKind::Uring, reason: None }),
            Err(error) if forced.is_some() => Err(io::Error::new(
                error.kind(),
                format!("{by} asks for io_uring, which does not work here: {error}"),
            )),
            Err(error) => {
                let reason = error.to_string();
                report_fallback(&reason);
                Ok(DriverChoice { kind: DriverKind::Epoll, reason: Some(reason) })
            }
        },
    }
}

/// Whether this process can have a ring; the error says why not.
#[cfg(feature = "uring")]
fn probe_uring() -> io::Result<()> {
    ropewalk_sys::uring::Ring::new().map(drop).map_err(|error| io::Error::new(error.kind(), explain(&error)))
}

#[cfg(not(feature = "uring"))]
fn probe_uring() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "Ropewalk was built without its feature `uring`"))
}

fn from_environment() -> io::Result<Option<DriverKind>> {
    match std::env::var(VARIABLE).as_deref() {
        Err(_) | Ok("") => Ok(None),
        Ok("uring") => Ok(Some(DriverKind::Uring)),
        Ok("epoll") => Ok(Some(DriverKind::Epoll)),
        Ok(other) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{VARIABLE} is '{other}': it can be uring or epoll"),
        )),
    }
}

/// Once in a process: an ordinary case, but one should be able to find out.
fn report_fallback(reason: &str) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| tracing::info!(reason, "io_uring does not work here: epoll is used"));
}

#[cfg(feature = "uring")]
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{error}: a sandbox (seccomp, as Docker's default profile) or the sysctl kernel.io_uring_disabled forbids it"
        ),
        io::ErrorKind::OutOfMemory => format!("{error}: raise `ulimit -l`"),
        io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput => {
            format!("{error}: the kernel is older than 6.1, or built without it")
        }
        _ => error.to_string(),
    }
}
