//! A terminal for a test: a pair of pseudo-terminals (pty(7)), of which one end is the test's keyboard.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

/// The controlling terminal of this process, which is alone in its session, and in the foreground.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// What is written here has been typed: `b"\x03"` is Ctrl-C.
    pub(crate) keyboard: File,
    /// The terminal as the process has it.
    pub(crate) own: OwnedFd,
}

impl Terminal {
    /// For a process that was started for one test. For ever, since to close a terminal ends whoever leads its session.
    /// Whoever runs the tests in the background of a shell has had interrupts ignored: here they do what they do to a
    /// program that was started at a terminal.
    pub(crate) fn take() -> &'static mut Self {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP] {
            // SAFETY: nothing in this process has set these yet, and there is no handler to run.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        setsid().expect("this process leads no group");
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).expect("there are pseudo-terminals");
        grantpt(&keyboard).and_then(|()| unlockpt(&keyboard)).expect("it is ours");
        let own = ioctl_tiocgptpeer(&keyboard, flags).expect("it has another end");
        ioctl_tiocsctty(&own).expect("a session without a terminal takes one");
        Box::leak(Box::new(Self { keyboard: keyboard.into(), own }))
    }
}
