//! How a process ended that did not return.
//!
//! Every end is one of these, or a result. Two ends of a process are not of its own doing but are told by the kernel in
//! the same words, so they are here what they are there: an allocation beyond the limit of memory, after which a Rust
//! program aborts (`SIGABRT`; the message is on its standard error), and the kernel's choice of whom to kill when the
//! machine, or the cgroup, has no memory left (`SIGKILL`).

use std::fmt;

/// How a process ended that did not return: what [`JoinError::exit`](crate::JoinError::exit) gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// Its function panicked.
    Panicked {
        /// The message of the panic.
        message: String,
        /// Where it was, as `std::backtrace` shows it.
        backtrace: String,
    },
    /// It exited with this code, before its function returned.
    Exited(i32),
    /// A signal ended it: `SIGSEGV`, `SIGABRT` (a stack overflow, an allocation that failed), `SIGKILL` of somebody else
    /// or of the kernel, which had no memory left.
    Signaled {
        /// The number of the signal (signal(7)).
        signal: i32,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
    /// It used more CPU time than `Builder::cpu_time` gave it.
    OutOfCpuTime,
    /// It had not returned when its time was over (`Builder::deadline`), and was killed.
    DeadlineExceeded,
    /// It cut its link to the parent and did not end, so that its result could not come, and was killed; or somebody else
    /// in this process has taken the status of its end.
    Lost,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { message, .. } => write!(f, "panicked: {message}"),
            Self::Exited(code) => write!(f, "exited with code {code} before it returned"),
            Self::Signaled { signal, core_dumped } => {
                write!(f, "was ended by signal {signal}")?;
                if let Some(name) = signal_name(*signal) {
                    write!(f, " ({name})")?;
                }
                if *core_dumped { f.write_str(", core dumped") } else { Ok(()) }
            }
            Self::OutOfCpuTime => f.write_str("used up its CPU time and was killed"),
            Self::DeadlineExceeded => f.write_str("had not returned by its deadline and was killed"),
            Self::Lost => f.write_str(
                "ended without a trace: it cut its link to the parent, or somebody else has reaped it",
            ),
        }
    }
}

/// The usual name of the signals that end processes.
fn signal_name(signal: i32) -> Option<&'static str> {
    use ropewalk_sys::process::Signal;
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::SYS, "SIGSYS"),
    ];
    names.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}
