//! Processes: this one's program, and children by their pidfd (pidfd_open(2)), which no other process can inherit as it
//! can a number.

use std::ffi::c_void;
use std::io::{self, IsTerminal};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::net::{SocketType, sockopt};
pub use rustix::process::Signal;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, WaitId, WaitIdOptions, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};

use crate::credentials::of_peer;

/// Opens the program that this process runs. It can be executed by the descriptor's path in `/proc/self/fd` as long as
/// the descriptor is open, even after the file has been replaced or removed: the kernel keeps the very file.
///
/// # Errors
/// `/proc` is not there.
pub fn open_program() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// What tells one file from all others of this machine: its device and its number there.
///
/// # Errors
/// What the kernel says of the descriptor.
pub fn file_identity(file: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let stat = fstat(file)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Where the code of the program itself lies, without its shared libraries: the first object that dl_iterate_phdr(3)
/// lists. Empty if it lists none.
#[must_use]
pub fn code_of_program() -> Range<usize> {
    /// Takes the executable segments of the first object, and ends the iteration.
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        data: *mut c_void,
    ) -> libc::c_int {
        // SAFETY: dl_iterate_phdr gives a valid info, and the data that it was given below.
        let (info, range) = unsafe { (&*info, &mut *data.cast::<Range<usize>>()) };
        for index in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: dlpi_phdr is an array of dlpi_phnum headers.
            let header = unsafe { &*info.dlpi_phdr.add(index) };
            if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
                let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
                let end = start.wrapping_add(header.p_memsz as usize);
                let none = range.start == range.end;
                *range = if none { start..end } else { range.start.min(start)..range.end.max(end) };
            }
        }
        1
    }

    let mut range = 0..0;
    // SAFETY: the callback has the type that dl_iterate_phdr asks for, and `range` lives until it returns.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut range).cast()) };
    range
}

/// A child process.
#[derive(Debug)]
pub struct Child {
    pidfd: OwnedFd,
    pid: Pid,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it; the flag tells whether the kernel wrote a core dump.
    Signaled(i32, bool),
}

impl AsFd for Child {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Child {
    /// The child with this number, which nobody has reaped yet.
    ///
    /// # Errors
    /// There is no such child; no descriptor is left (`ulimit -n`).
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        Ok(Self { pidfd: pidfd_open(pid, PidfdFlags::empty())?, pid })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it has ended. It stays a zombie, so that its number, and its group's, remain its own; unless somebody else
    /// has taken note of its end (a `wait` for any child, or `SIGCHLD` set to be ignored).
    ///
    /// # Errors
    /// None that is known.
    pub fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            Err(Errno::CHILD) => Ok(true),
            status => Ok(status?.is_some()),
        }
    }

    /// Takes note of its end, if it has ended, so that it is no zombie any more.
    ///
    /// # Errors
    /// Somebody else has taken note.
    pub fn reap(&self) -> io::Result<Option<Status>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let Some(status) = waitid(WaitId::PidFd(self.pidfd.as_fd()), options)? else { return Ok(None) };
        Ok(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Some(Status::Exited(code)),
            (None, Some(signal)) => Some(Status::Signaled(signal, status.dumped())),
            (None, None) => None,
        })
    }

    /// Sends it a signal. One that has ended has no use for it: that is no error.
    ///
    /// # Errors
    /// The process has become another user's.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        ignore_gone(pidfd_send_signal(&self.pidfd, signal))
    }

    /// Sends a signal to its process group, of which it is the leader: to be called before it is reaped, since the group's
    /// number is the child's own.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        self.group().signal(signal)
    }

    /// The process group of which it is the leader, whose number is its own until it is reaped.
    #[must_use]
    pub fn group(&self) -> Group {
        Group(self.pid)
    }
}

/// A process group, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(Pid);

impl Group {
    /// Sends a signal to all who are in it. One that is empty has no use for it: that is no error.
    ///
    /// # Errors
    /// All of them have become other users'.
    pub fn signal(self, signal: Signal) -> io::Result<()> {
        ignore_gone(kill_process_group(self.0, signal))
    }
}

fn ignore_gone(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::SRCH) => Ok(()),
        result => Ok(result?),
    }
}

/// Has the kernel kill this process when the thread that spawned it ends (`PR_SET_PDEATHSIG`): with the parent, if that
/// thread lives as long as the parent does.
///
/// # Errors
/// None that a process that is not privileged could meet.
pub fn die_with_spawner() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Lets all signals through again: a process inherits its spawner's mask.
///
/// # Errors
/// None that is known.
pub fn unblock_signals() -> io::Result<()> {
    // SAFETY: an empty set is filled before it is used; the old mask is not asked for.
    let failed = unsafe {
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
}

/// Has a write that nobody can read any more be an error (`EPIPE`) instead of the end of the process (`SIGPIPE`), as std
/// does before `main`.
pub fn survive_broken_pipes() {
    // SAFETY: to ignore a signal runs nobody's code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Whether the kernel runs this program with more rights than its starter has (`AT_SECURE`: set-user-ID and the like).
#[must_use]
pub fn is_privileged_program() -> bool {
    // SAFETY: getauxval has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether this is one end of a pair of packet sockets of which this process's parent made the other.
///
/// # Errors
/// The descriptor is not open.
pub fn is_link_to_parent(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    match sockopt::socket_type(descriptor) {
        Ok(SocketType::SEQPACKET) => {}
        Ok(_) | Err(Errno::NOTSOCK) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let peer = of_peer(descriptor)?.pid;
    Ok(peer.is_some() && peer == rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get()))
}

/// The standard input, whatever it is, and without the buffer that std's has.
#[must_use]
pub fn standard_input() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

/// Makes the standard input empty (`/dev/null`), whatever it was.
///
/// # Errors
/// There is no `/dev/null`.
pub fn empty_standard_input() -> io::Result<()> {
    let null = openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::stdio::dup2_stdin(null)?)
}

/// Whether it says that no descriptor is left, to this process or to all: there is no [`io::ErrorKind`] for it.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Makes `input` the standard input. If that is a terminal, from which this process may not read because its group is in
/// the background, to read is an error (`EIO`), where usually it would stop the process (`SIGTTIN`).
///
/// # Errors
/// None that is known.
pub fn set_standard_input(input: OwnedFd) -> io::Result<()> {
    if input.is_terminal() {
        // SAFETY: to ignore a signal runs nobody's code.
        unsafe { libc::signal(libc::SIGTTIN, libc::SIG_IGN) };
    }
    replace_standard_input(input)
}

/// Makes `input` the standard input, and nothing else.
///
/// # Errors
/// None that is known.
pub fn replace_standard_input(input: OwnedFd) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(input)?)
}

/// How many bytes of this process are in memory (its resident set).
///
/// # Errors
/// `/proc` is not there.
pub fn resident_memory() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.ok_or(io::ErrorKind::InvalidData)? * rustix::param::page_size() as u64)
}

/// What a process can be kept from using too much of (setrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Address space, in bytes.
    Memory,
    /// CPU time, in seconds: `SIGXCPU` ends a process that has used it up.
    CpuSeconds,
    /// Open descriptors.
    OpenFiles,
}

/// Lowers a limit of this process, for good.
///
/// # Errors
/// It is lower already.
pub fn set_limit(limit: Limit, value: u64) -> io::Result<()> {
    let (resource, name) = match limit {
        Limit::Memory => (Resource::As, "memory (ulimit -v)"),
        Limit::CpuSeconds => (Resource::Cpu, "CPU time (ulimit -t)"),
        Limit::OpenFiles => (Resource::Nofile, "open files (ulimit -n)"),
    };
    // Where both limits of CPU time are reached at once, `SIGKILL` comes instead of `SIGXCPU`.
    let maximum = if limit == Limit::CpuSeconds { value.saturating_add(1) } else { value };
    let both = Rlimit { current: Some(value), maximum: Some(maximum) };
    rustix::process::setrlimit(resource, both).map_err(|error| {
        let text = format!("the limit of {name} cannot be set to {value}, it is lower already: {error}");
        io::Error::new(io::Error::from(error).kind(), text)
    })
}

/// Has `SIGXCPU` come when this process has used `seconds` of CPU time from now on, rounded up.
///
/// # Errors
/// The limit that cannot be raised any more is lower.
pub fn limit_further_cpu(seconds: u64) -> io::Result<()> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let used = used.tv_sec.unsigned_abs() + u64::from(used.tv_nsec > 0);
    let maximum = rustix::process::getrlimit(Resource::Cpu).maximum;
    let limit = Rlimit { current: Some(used.saturating_add(seconds)), maximum };
    Ok(rustix::process::setrlimit(Resource::Cpu, limit)?)
}

/// When a process began, by its number: in ticks since the machine did. With this a number that is used again is told from
/// the process that had it before. `None`: there is no such process, or no `/proc`.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The 22nd field of proc_pid_stat(5), the 20th behind the name, which may hold anything.
    stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()
}

/// A process that may be on its way out: the kernel ends its threads one by one, and some may still run when others have
/// ended already.
#[derive(Debug)]
pub struct Lingering(OwnedFd);

impl Lingering {
    /// The process with this number that began at that time, unless all of its threads have ended. One that cannot be asked
    /// about (`ulimit -n`, another user's `/proc`) is taken to have ended.
    #[must_use]
    pub fn find(pid: u32, start: impl Fn(u64) -> bool) -> Option<Self> {
        let pidfd = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
        // Asked after it was opened: so it is of this very process, whichever that is.
        let lingering = Self(pidfd);
        (start(start_time(pid)?) && !lingering.has_ended(Some(Duration::ZERO))).then_some(lingering)
    }

    /// Waits until all of its threads have ended.
    pub fn join(&self) {
        while !self.has_ended(None) {}
    }

    /// pidfd_open(2): it is readable when the process has ended, with all threads.
    fn has_ended(&self, limit: Option<Duration>) -> bool {
        let mut pidfd = [PollFd::new(&self.0, PollFlags::IN)];
        let limit = limit.and_then(|limit| limit.try_into().ok());
        matches!(poll(&mut pidfd, limit.as_ref()), Ok(1..))
    }
}

/// What the kernel says of a process's main thread: the third field of proc_pid_stat(5), as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It runs or could (`R`).
    Runnable,
    /// It sleeps, whether a signal can wake it or not (`S`, `D`, `I`).
    Sleeping,
    /// A signal or a tracer has stopped it (`T`, `t`).
    Stopped,
    /// It has ended (`Z`, `X`).
    Dead,
}

/// What the process with this number does.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn run_state(pid: u32) -> io::Result<RunState> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before it, in parentheses, may hold anything.
    let letter = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    Ok(match letter {
        Some('R') => RunState::Runnable,
        Some('T' | 't') => RunState::Stopped,
        Some('Z' | 'X' | 'x') => RunState::Dead,
        _ => RunState::Sleeping,
    })
}
