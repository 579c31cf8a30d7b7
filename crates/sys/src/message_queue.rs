//! POSIX message queues (mq_overview(7)): a queue is a descriptor, and its calls are the kernel's own.
//!
//! The system calls are made and not libc's functions, which add a slash to take away and, for threads, a cancellation point.
//! The kernel keeps the queues in a file system of its own; whether that is mounted (at `/dev/mqueue`) makes no difference.
//!
//! # How a call is told not to wait
//! `O_NONBLOCK` belongs to all who share what was opened. But a call whose time limit has passed before it begins does what
//! can be done at once (mq_receive(3)), so [`try_send`] and [`try_receive`] give zero, a moment in 1970, as the limit.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU32;

use rustix::process::{Resource, getrlimit};

use crate::interruptible::call;
use crate::poll::WOULD_BLOCK;

/// Priorities are below this (`MQ_PRIO_MAX`).
pub const PRIORITIES: u32 = 32_768;

/// How large a queue is, and how much is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// So many messages it holds at most.
    pub max_messages: usize,
    /// So long a message can be.
    pub max_message_size: usize,
    /// So many messages it holds now.
    pub current_messages: usize,
}

/// What a queue is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To receive.
    Read,
    /// To send.
    Write,
    /// Both.
    ReadWrite,
}

/// How a queue is made that is not there.
#[derive(Clone, Copy, Debug)]
pub struct Create {
    /// It must not be there.
    pub exclusive: bool,
    /// Its permissions, less those that the umask takes away.
    pub mode: u32,
    /// So many messages, and so long; the machine's defaults (`fs.mqueue.msg_default`, `msgsize_default`) if none are given.
    pub size: Option<(usize, usize)>,
}

fn result(result: libc::c_long) -> io::Result<usize> {
    // As `syscall(2)` has it: an error is -1 and `errno`.
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn attributes(max_messages: usize, max_message_size: usize) -> io::Result<libc::mq_attr> {
    let too_much = |_| io::Error::from_raw_os_error(libc::EINVAL);
    // SAFETY: an all-zero `mq_attr` is valid.
    let mut attributes: libc::mq_attr = unsafe { std::mem::zeroed() };
    attributes.mq_maxmsg = max_messages.try_into().map_err(too_much)?;
    attributes.mq_msgsize = max_message_size.try_into().map_err(too_much)?;
    Ok(attributes)
}

/// Opens the queue with this name, which has no slash in front (that is libc's).
///
/// # Errors
/// What mq_open(2) says.
pub fn open(name: &CStr, access: Access, create: Option<&Create>) -> io::Result<OwnedFd> {
    let mut flags = libc::O_CLOEXEC
        | match access {
            Access::Read => libc::O_RDONLY,
            Access::Write => libc::O_WRONLY,
            Access::ReadWrite => libc::O_RDWR,
        };
    let mut size = None;
    if let Some(create) = create {
        flags |= libc::O_CREAT | if create.exclusive { libc::O_EXCL } else { 0 };
        size = create.size.map(|(messages, length)| attributes(messages, length)).transpose()?;
    }
    let mode = create.map_or(0, |create| create.mode);
    let size = size.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: a string with its end, and null or a live `mq_attr`; the kernel reads both.
    let fd = result(unsafe { libc::syscall(libc::SYS_mq_open, name.as_ptr(), flags, mode, size) })?;
    let fd = RawFd::try_from(fd).expect("a descriptor is a small number");
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes a queue's name away. The queue goes with the last descriptor of it.
///
/// # Errors
/// What mq_unlink(2) says.
pub fn unlink(name: &CStr) -> io::Result<()> {
    // SAFETY: a string with its end, which the kernel reads.
    result(unsafe { libc::syscall(libc::SYS_mq_unlink, name.as_ptr()) }).map(drop)
}

/// How large it is, and how much is in it.
///
/// # Errors
/// `EBADF`: the descriptor is no queue.
pub fn attributes_of(queue: BorrowedFd<'_>) -> io::Result<Attributes> {
    // SAFETY: an all-zero `mq_attr` is valid.
    let mut now: libc::mq_attr = unsafe { std::mem::zeroed() };
    let nothing = std::ptr::null::<libc::mq_attr>();
    // SAFETY: the kernel is given nothing to set, and writes to `now` only.
    result(unsafe { libc::syscall(libc::SYS_mq_getsetattr, queue.as_raw_fd(), nothing, &raw mut now) })?;
    let count = |value| usize::try_from(value).unwrap_or(0);
    Ok(Attributes {
        max_messages: count(now.mq_maxmsg),
        max_message_size: count(now.mq_msgsize),
        current_messages: count(now.mq_curmsgs),
    })
}

/// A time limit that has passed.
static PASSED: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

fn at_once(result: io::Result<usize>) -> io::Result<usize> {
    result.map_err(|error| match error.raw_os_error() {
        // It would have to wait. (`EAGAIN` is what it says where somebody has set `O_NONBLOCK`.)
        Some(libc::ETIMEDOUT) => io::Error::from_raw_os_error(WOULD_BLOCK),
        _ => error,
    })
}

/// Sends a message, if there is room now.
///
/// # Errors
/// [`WouldBlock`](io::ErrorKind::WouldBlock); else what mq_send(2) says.
pub fn try_send(queue: BorrowedFd<'_>, message: &[u8], priority: u32) -> io::Result<()> {
    let limit = &raw const PASSED;
    let (start, length) = (message.as_ptr(), message.len());
    // SAFETY: the kernel reads the message and the limit only, which live.
    let sent =
        unsafe { libc::syscall(libc::SYS_mq_timedsend, queue.as_raw_fd(), start, length, priority, limit) };
    at_once(result(sent)).map(drop)
}

/// Receives a message, if there is one now: its length and its priority.
///
/// # Errors
/// [`WouldBlock`](io::ErrorKind::WouldBlock); else what mq_receive(2) says.
pub fn try_receive(queue: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
    let mut priority = 0_u32;
    let (start, length) = (buffer.as_mut_ptr(), buffer.len());
    let limit = &raw const PASSED;
    // SAFETY: the kernel writes to the buffer and the priority only, and reads the limit; all live.
    let received = unsafe {
        libc::syscall(libc::SYS_mq_timedreceive, queue.as_raw_fd(), start, length, &raw mut priority, limit)
    };
    Ok((at_once(result(received))?, priority))
}

/// Sends a message, and waits in the call while there is no room.
///
/// # Errors
/// `EINTR` if the word is not [`SUSPENDED`](crate::interruptible::SUSPENDED), or interrupted; else what mq_send(2) says.
pub fn send(word: &AtomicU32, queue: BorrowedFd<'_>, message: &[u8], priority: u32) -> io::Result<()> {
    let (start, length) = (message.as_ptr().expose_provenance(), message.len());
    let arguments = [queue.as_raw_fd() as usize, start, length, priority as usize, 0, 0];
    // SAFETY: the kernel reads the message only, which is borrowed for the call; there is no time limit.
    unsafe { call(word, libc::SYS_mq_timedsend, arguments) }.map(drop)
}

/// Receives a message, and waits in the call until there is one: its length and its priority.
///
/// # Errors
/// As [`send`], and what mq_receive(2) says.
pub fn receive(word: &AtomicU32, queue: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
    let mut priority = 0_u32;
    let (start, length) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
    let place = (&raw mut priority).expose_provenance();
    let arguments = [queue.as_raw_fd() as usize, start, length, place, 0, 0];
    // SAFETY: the kernel writes to the buffer and the priority only, which live until it returns; there is no time limit.
    let length = unsafe { call(word, libc::SYS_mq_timedreceive, arguments) }?;
    Ok((length, priority))
}

/// How many bytes the queues of one user may have together (`ulimit -q`); `None` for no limit.
#[must_use]
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Msgqueue).current
}

/// How many bytes of that a queue takes, full or not (getrlimit(2), `RLIMIT_MSGQUEUE`); `None` if they cannot be counted.
#[must_use]
pub fn size(max_messages: usize, max_message_size: usize) -> Option<u64> {
    /// `struct msg_msg`, of a kernel of 64 bits.
    const MESSAGE: u64 = 48;
    /// `struct posix_msg_tree_node`.
    const NODE: u64 = 48;
    let (messages, length) = (max_messages as u64, max_message_size as u64);
    let overhead = messages.checked_mul(MESSAGE)?.checked_add(messages.min(PRIORITIES.into()) * NODE)?;
    messages.checked_mul(length)?.checked_add(overhead)
}
