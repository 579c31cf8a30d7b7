//! A process that may do less than others: without io_uring, with little shared memory, as nobody.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Has the kernel refuse io_uring to this thread and those that it starts, as Docker's default profile does.
pub(crate) fn deny_io_uring(errno: i32) {
    let rules = BTreeMap::from([(libc::SYS_io_uring_setup, Vec::new())]);
    let denied = SeccompAction::Errno(errno as u32);
    let here = std::env::consts::ARCH.try_into().expect("an architecture that seccompiler knows");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, here).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("it compiles");
    seccompiler::apply_filter(&program).expect("the kernel takes it");
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the calling thread, and whatever it starts, mounts of its own, which end with the last of them.
///
/// # Errors
/// `EPERM` where nothing can be mounted.
pub(crate) fn own_mounts() -> io::Result<()> {
    // SAFETY: no pointer, but to strings; nothing of what this thread shares matters to the others.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        let private = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()))
    }
}

/// A file system in memory.
///
/// # Errors
/// As [`own_mounts`].
pub(crate) fn mount_memory(
    at: &std::path::Path,
    flags: libc::c_ulong,
    options: &std::ffi::CStr,
) -> io::Result<()> {
    let at = std::ffi::CString::new(at.as_os_str().as_encoded_bytes()).expect("a path");
    // SAFETY: three strings that end, and no data but a string.
    check(unsafe {
        libc::mount(c"none".as_ptr(), at.as_ptr(), c"tmpfs".as_ptr(), flags, options.as_ptr().cast())
    })
}

/// Takes a file system away, if there is one.
pub(crate) fn unmount(at: &std::ffi::CStr) {
    // SAFETY: a string that ends.
    unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
}

/// This program once more, as a user who owns nothing if that can be had.
pub(crate) fn this_program_as_nobody() -> Command {
    const NOBODY: u32 = 65_534;
    // By this link also where its folders are closed to others.
    let mut command = Command::new("/proc/self/exe");
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
