//! What the kernel says that a thread does: `/proc/PID/task/TID/{stat,syscall}` (proc(5)).

use std::fs::{read_dir, read_to_string};
use std::io;

use crate::interruptible::ThreadId;

/// What a thread does, as far as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It has a CPU, or waits for one.
    Computing,
    /// It sleeps in this system call; `None` where the kernel does not say in which.
    InCall(Option<i64>),
}

/// What `thread` does; `None` once it has ended, and where `/proc` is not mounted.
#[must_use]
pub fn activity(thread: ThreadId) -> Option<Activity> {
    let file = |name| read_to_string(format!("/proc/self/task/{}/{name}", thread.number())).ok();
    // The name in the second field may hold anything, parentheses too; the state is the field behind it.
    let stat = file("stat")?;
    let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
    if state == 'R' {
        return Some(Activity::Computing);
    }
    let call = file("syscall").and_then(|call| call.split_whitespace().next()?.parse().ok());
    Some(Activity::InCall(call.filter(|number| *number >= 0)))
}

/// The threads of this process but the caller, by the kernel's numbers, with their names: also the kernel's own that work
/// for it, those of io_uring. One that ends meanwhile may be missing.
///
/// # Errors
/// `/proc` is not mounted.
pub fn other_threads() -> io::Result<Vec<(i32, String)>> {
    let own = ThreadId::own_number();
    let mut threads = Vec::new();
    for entry in read_dir("/proc/self/task")? {
        let Some(number) = entry?.file_name().to_str().and_then(|number| number.parse().ok()) else {
            continue;
        };
        if let Some(name) = ThreadId::from_number(number).name().filter(|_| number != own) {
            threads.push((number, name));
        }
    }
    Ok(threads)
}

/// The name of a system call, of those in which a thread may sleep long.
#[must_use]
pub fn call_name(number: i64) -> Option<&'static str> {
    const NAMES: [(i64, &str); 37] = [
        (libc::SYS_futex, "futex"),
        (libc::SYS_read, "read"),
        (libc::SYS_readv, "readv"),
        (libc::SYS_pread64, "pread64"),
        (libc::SYS_write, "write"),
        (libc::SYS_writev, "writev"),
        (libc::SYS_pwrite64, "pwrite64"),
        (libc::SYS_recvfrom, "recvfrom"),
        (libc::SYS_recvmsg, "recvmsg"),
        (libc::SYS_sendto, "sendto"),
        (libc::SYS_sendmsg, "sendmsg"),
        (libc::SYS_accept, "accept"),
        (libc::SYS_accept4, "accept4"),
        (libc::SYS_connect, "connect"),
        (libc::SYS_ppoll, "ppoll"),
        (libc::SYS_pselect6, "pselect6"),
        (libc::SYS_epoll_pwait, "epoll_pwait"),
        (libc::SYS_epoll_pwait2, "epoll_pwait2"),
        (libc::SYS_io_uring_enter, "io_uring_enter"),
        (libc::SYS_nanosleep, "nanosleep"),
        (libc::SYS_clock_nanosleep, "clock_nanosleep"),
        (libc::SYS_wait4, "wait4"),
        (libc::SYS_waitid, "waitid"),
        (libc::SYS_openat, "openat"),
        (libc::SYS_close, "close"),
        (libc::SYS_statx, "statx"),
        (libc::SYS_newfstatat, "newfstatat"),
        (libc::SYS_getdents64, "getdents64"),
        (libc::SYS_fsync, "fsync"),
        (libc::SYS_fdatasync, "fdatasync"),
        (libc::SYS_flock, "flock"),
        (libc::SYS_fcntl, "fcntl"),
        (libc::SYS_sendfile, "sendfile"),
        (libc::SYS_splice, "splice"),
        (libc::SYS_mmap, "mmap"),
        (libc::SYS_munmap, "munmap"),
        (libc::SYS_madvise, "madvise"),
    ];
    // Not on aarch64.
    #[cfg(target_arch = "x86_64")]
    const OLD_NAMES: [(i64, &str); 4] = [
        (libc::SYS_poll, "poll"),
        (libc::SYS_select, "select"),
        (libc::SYS_epoll_wait, "epoll_wait"),
        (libc::SYS_open, "open"),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const OLD_NAMES: [(i64, &str); 0] = [];
    let mut names = NAMES.iter().chain(&OLD_NAMES);
    names.find(|(known, _)| *known == number).map(|(_, name)| *name)
}
