//! Signals that a terminal sends because of what is typed at it, told apart from those that processes send.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;

/// What a process does at a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// What the kernel has decided on.
    Default,
    /// Nothing.
    Ignore,
    /// It runs a handler.
    Handle,
}

/// What this process does at `signal`.
#[must_use]
pub fn disposition(signal: Signal) -> Disposition {
    // SAFETY: an all-zero sigaction is valid; nothing is changed, and the old action is written to `action`.
    let action = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal.as_raw(), std::ptr::null(), &raw mut action);
        action
    };
    match action.sa_sigaction {
        libc::SIG_DFL => Disposition::Default,
        libc::SIG_IGN => Disposition::Ignore,
        _ => Disposition::Handle,
    }
}

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which.
    pub signal: Signal,
    /// Whether the kernel sent it, of its own accord or for a terminal, and no process.
    pub from_kernel: bool,
}

/// The signals that come, in their order, from when it is made. Handlers that were there before are called, too; what the
/// kernel would have done otherwise does not happen any more.
#[derive(Debug)]
pub struct Arrivals(OwnedFd);

/// Besides the signal's number, in the byte that a handler writes.
const FROM_KERNEL: u8 = 0x80;
/// `si_code` of a signal that the kernel sent (sigaction(2)).
const SI_KERNEL: libc::c_int = 0x80;

impl Arrivals {
    /// Of these signals.
    ///
    /// # Errors
    /// No descriptor is left (`ulimit -n`).
    pub fn of(signals: &[Signal]) -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // A handler must not wait. Where the pipe is full, so many signals have come that one more makes no difference.
        rustix::io::ioctl_fionbio(&writer, true)?;
        let writer = Arc::new(writer);
        for signal in signals {
            let (number, writer) = (signal.as_raw(), writer.clone());
            let tell = move |info: &libc::siginfo_t| {
                let origin = if info.si_code == SI_KERNEL { FROM_KERNEL } else { 0 };
                let byte = number as u8 | origin;
                // SAFETY: write(2) is async-signal-safe, as is to look at errno and to put it back; the descriptor is
                // open as long as the action is registered, which is for ever.
                unsafe {
                    let errno = *libc::__errno_location();
                    libc::write(writer.as_raw_fd(), (&raw const byte).cast(), 1);
                    *libc::__errno_location() = errno;
                }
            };
            // SAFETY: the action does nothing but what is async-signal-safe.
            unsafe { signal_hook_registry::register_sigaction(number, tell) }?;
        }
        Ok(Self(reader))
    }

    /// Blocks the calling thread until the next one comes.
    ///
    /// # Errors
    /// Somebody has closed its descriptor.
    pub fn next(&self) -> io::Result<Arrival> {
        let mut byte = [0];
        loop {
            match rustix::io::read(&self.0, &mut byte) {
                Err(Errno::INTR) => {}
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    read?;
                    let number = i32::from(byte[0] & !FROM_KERNEL);
                    let signal = Signal::from_named_raw(number).ok_or(io::ErrorKind::InvalidData)?;
                    return Ok(Arrival { signal, from_kernel: byte[0] & FROM_KERNEL != 0 });
                }
            }
        }
    }
}
