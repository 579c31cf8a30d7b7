//! System calls that another thread can end, without a race and at no cost.
//!
//! A thread that sleeps in the kernel is woken by a signal to it ([`interrupt`]). The old difficulty is the moment between
//! the last look whether somebody has called and the sleep: a signal that is handled just there is lost, and the thread
//! sleeps for ever. Masks (`ppoll`) close the gap for calls that take one; here it is closed for every call, as musl's
//! cancellation points do (musl, `src/thread/*/syscall_cp.s`, "cancellation points without races"): the look and the
//! system call stand between two labels in one piece of assembly, and the handler moves a thread that it finds between
//! the labels behind them, to where the call returns `EINTR`.
//!
//! ```text
//!     begin:  is the word still SUSPENDED?   no -> abort
//!             system call                        <- a call that was interrupted stands here again (SA_RESTART)
//!     end:    return its result
//!     abort:  return -EINTR
//! ```
//!
//! A call that has a result returns it: its program counter is `end`. Signals that arrive anywhere else do nothing, and
//! every other system call of the program is restarted by the kernel as if nothing had been.
//!
//! `SIGURG` is the signal, as in Go's runtime: its default action is to be ignored, and programs that ask for out-of-band
//! data are all but extinct. Its handler serves `capture` too.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Acquire, Ordering::Release};
use std::time::Instant;

use rustix::net::addr::{SocketAddrArg, SocketAddrStorage};
use rustix::net::{SocketAddrAny, SocketAddrUnix};

use crate::poll::{Interest, Polled};

const WAKE: libc::c_int = libc::SIGURG;

/// What the word holds while its owner may sleep: the value that the assembly compares with.
pub const SUSPENDED: u32 = 2;

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    // (rdi: word, rsi: number, rdx: six arguments) -> rax
    ".text",
    ".p2align 4",
    "ropewalk_interruptible:",
    "mov rax, rsi",
    "mov r11, rdi",
    "mov rcx, rdx",
    "mov rdi, [rcx]",
    "mov rsi, [rcx + 8]",
    "mov rdx, [rcx + 16]",
    "mov r10, [rcx + 24]",
    "mov r8, [rcx + 32]",
    "mov r9, [rcx + 40]",
    "ropewalk_interruptible_begin:",
    "cmp dword ptr [r11], {suspended}",
    "jne ropewalk_interruptible_abort",
    "syscall",
    "ropewalk_interruptible_end:",
    "ret",
    "ropewalk_interruptible_abort:",
    "mov rax, -{eintr}",
    "ret",
    suspended = const SUSPENDED,
    eintr = const libc::EINTR,
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    // (x0: word, x1: number, x2: six arguments) -> x0
    ".text",
    ".p2align 4",
    "ropewalk_interruptible:",
    "mov x9, x0",
    "mov x8, x1",
    "mov x10, x2",
    "ldp x0, x1, [x10]",
    "ldp x2, x3, [x10, #16]",
    "ldp x4, x5, [x10, #32]",
    "ropewalk_interruptible_begin:",
    "ldr w11, [x9]",
    "cmp w11, #{suspended}",
    "b.ne ropewalk_interruptible_abort",
    "svc #0",
    "ropewalk_interruptible_end:",
    "ret",
    "ropewalk_interruptible_abort:",
    "mov x0, #-{eintr}",
    "ret",
    suspended = const SUSPENDED,
    eintr = const libc::EINTR,
);

unsafe extern "C" {
    fn ropewalk_interruptible(
        word: *const AtomicU32,
        number: libc::c_long,
        arguments: *const [usize; 6],
    ) -> isize;
    safe static ropewalk_interruptible_begin: u8;
    safe static ropewalk_interruptible_end: u8;
    safe static ropewalk_interruptible_abort: u8;
}

/// Told of every signal that arrives, on the thread that it is for, with what it interrupted; async-signal-safe.
pub(crate) type Observer = fn(interrupted: &libc::ucontext_t);

static OBSERVER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Has `observer` told from now on.
pub(crate) fn observe(observer: Observer) {
    OBSERVER.store(observer as *mut (), Release);
}

fn tell_observer(interrupted: &libc::ucontext_t) {
    let observer = OBSERVER.load(Acquire);
    if !observer.is_null() {
        // SAFETY: only `observe` stores here, and it stores an `Observer`.
        let observer = unsafe { std::mem::transmute::<*mut (), Observer>(observer) };
        // SAFETY: the location is this thread's own; what was interrupted may have looked at it next.
        let errno = unsafe { *libc::__errno_location() };
        observer(interrupted);
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = errno };
    }
}

extern "C" fn on_wake(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let begin = (&raw const ropewalk_interruptible_begin).addr();
    let end = (&raw const ropewalk_interruptible_end).addr();
    let abort = (&raw const ropewalk_interruptible_abort).addr();
    // SAFETY: the kernel passes a ucontext_t to a handler with SA_SIGINFO. Between the labels the code has pushed
    // nothing and changed no register that its caller keeps, so it may go on at `abort`.
    unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        tell_observer(context);
        #[cfg(target_arch = "x86_64")]
        let counter = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
        #[cfg(target_arch = "aarch64")]
        let counter = &mut context.uc_mcontext.pc;
        if (begin..end).contains(&(*counter as usize)) {
            *counter = abort as _;
        }
    }
}

fn install_handler() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: an all-zero sigaction is valid; the handler touches the context that it is given, and calls
        // what promises to be async-signal-safe.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_wake as *const () as usize;
            action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(WAKE, &raw const action, ptr::null_mut());
        }
    });
}

/// Names a thread of this process for [`interrupt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId(libc::pid_t);

/// Lets the wake signal in. A thread inherits its mask, and programs that take signals on a thread of their own block all
/// of them everywhere else.
fn unblock() {
    // SAFETY: the set is initialised by sigemptyset before it is read; the mask of this thread is all that changes.
    unsafe {
        let mut wake = std::mem::zeroed();
        libc::sigemptyset(&raw mut wake);
        libc::sigaddset(&raw mut wake, WAKE);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const wake, ptr::null_mut());
    }
}

impl ThreadId {
    /// The calling thread, which can be interrupted from now on, unless it blocks the signal.
    #[must_use]
    pub fn current() -> Self {
        install_handler();
        unblock();
        Self(Self::own_number())
    }

    /// The thread with that number, if there is one.
    pub(crate) fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// The kernel's number for it.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// The kernel's number for the calling thread. Async-signal-safe.
    pub(crate) fn own_number() -> i32 {
        rustix::thread::gettid().as_raw_nonzero().get()
    }

    /// The name that the kernel knows it by; `None` once it has ended.
    #[must_use]
    pub fn name(self) -> Option<String> {
        let name = std::fs::read_to_string(format!("/proc/self/task/{}/comm", self.0)).ok()?;
        Some(name.trim_end().to_owned())
    }
}

/// Ends the call of this module that the thread is in, or about to make, if its word is no longer [`SUSPENDED`] (change
/// it first). `false`: the thread has ended meanwhile.
pub fn interrupt(thread: ThreadId) -> bool {
    // SAFETY: tgkill takes three numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread.0, WAKE) == 0 }
}

/// # Safety
/// The arguments are valid for the call.
pub(crate) unsafe fn call(
    word: &AtomicU32,
    number: libc::c_long,
    arguments: [usize; 6],
) -> io::Result<usize> {
    // SAFETY: the word and the arguments live until the call returns; the rest is the caller's promise.
    let result = unsafe { ropewalk_interruptible(word, number, &raw const arguments) };
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result as i32))
}

fn raw(fd: BorrowedFd<'_>) -> usize {
    fd.as_raw_fd() as usize
}

/// Receives from a socket in blocking mode, waiting as long as that does (`SO_RCVTIMEO`).
///
/// # Errors
/// `EINTR` if the word is not [`SUSPENDED`], or interrupted; `EAGAIN` when the socket's own time limit has passed; else
/// what `recv(2)` says.
pub fn recv(word: &AtomicU32, fd: BorrowedFd<'_>, buffer: &mut [u8], flags: u32) -> io::Result<usize> {
    let (start, length) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
    // SAFETY: the kernel writes to `buffer` only, which is borrowed for the call.
    unsafe { call(word, libc::SYS_recvfrom, [raw(fd), start, length, flags as usize, 0, 0]) }
}

/// As [`recv`], with the address of whoever sent it; `None` where the kernel has none.
///
/// # Errors
/// As `recv`.
pub fn recv_from(
    word: &AtomicU32,
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: u32,
) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let mut address = SocketAddrStorage::zeroed();
    let mut address_length = mem::size_of::<SocketAddrStorage>() as libc::socklen_t;
    let arguments = [
        raw(fd),
        buffer.as_mut_ptr().expose_provenance(),
        buffer.len(),
        flags as usize,
        (&raw mut address).expose_provenance(),
        (&raw mut address_length).expose_provenance(),
    ];
    // SAFETY: the kernel writes to `buffer`, and at most `address_length` bytes to `address`; all live until it returns.
    let length = unsafe { call(word, libc::SYS_recvfrom, arguments) }?;
    // A socket without a name has an address of no length, or of its family alone (unix(7)).
    if (address_length as usize) < mem::size_of::<libc::sa_family_t>() {
        return Ok((length, None));
    }
    // SAFETY: the kernel has written an address of that length, and the storage was initialised before.
    let address = unsafe { SocketAddrAny::read(&raw const address, address_length) };
    Ok((length, Some(address)))
}

/// Sends a datagram through a Unix socket in blocking mode, waiting while whoever is at `address` has no room.
///
/// # Errors
/// `EINTR` if the word is not [`SUSPENDED`], or interrupted; `EAGAIN` when the socket's own time limit has passed; else
/// what `sendto(2)` says.
pub fn send_to_unix(
    word: &AtomicU32,
    fd: BorrowedFd<'_>,
    buffer: &[u8],
    flags: u32,
    address: &SocketAddrUnix,
) -> io::Result<usize> {
    let (start, length) = (buffer.as_ptr().expose_provenance(), buffer.len());
    let send = |address: *const _, address_length: u32| {
        let address = (address as *const u8).expose_provenance();
        let arguments = [raw(fd), start, length, flags as usize, address, address_length as usize];
        // SAFETY: the kernel only reads, from the buffer and from the address, which are borrowed for the call.
        unsafe { call(word, libc::SYS_sendto, arguments) }
    };
    // SAFETY: the pointer is used within the closure only.
    unsafe { address.with_sockaddr(send) }
}

/// Reads from what is in blocking mode, waiting as long as that does.
///
/// # Errors
/// `EINTR` if the word is not [`SUSPENDED`], or interrupted; else what `read(2)` says: `EAGAIN` in non-blocking mode.
pub fn read(word: &AtomicU32, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (start, length) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
    // SAFETY: the kernel writes to `buffer` only, which is borrowed for the call.
    unsafe { call(word, libc::SYS_read, [raw(fd), start, length, 0, 0, 0]) }
}

/// Writes to what is in blocking mode, waiting as long as that does. What was written when the call is interrupted is its
/// result.
///
/// # Errors
/// `EINTR` if the word is not [`SUSPENDED`], or interrupted before a byte was written; else what `write(2)` says: `EAGAIN`
/// in non-blocking mode.
pub fn write(word: &AtomicU32, fd: BorrowedFd<'_>, buffer: &[u8]) -> io::Result<usize> {
    let (start, length) = (buffer.as_ptr().expose_provenance(), buffer.len());
    // SAFETY: the kernel reads from `buffer` only, which is borrowed for the call.
    unsafe { call(word, libc::SYS_write, [raw(fd), start, length, 0, 0, 0]) }
}

/// Waits until `fd` is ready, or in error, or hung up; or until the deadline.
///
/// # Errors
/// What `ppoll(2)` says: `ENOMEM`, or `EINVAL` where the limit of open files is below one.
pub fn poll(
    word: &AtomicU32,
    fd: BorrowedFd<'_>,
    interest: Interest,
    deadline: Option<Instant>,
) -> io::Result<Polled> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: match interest {
            Interest::Read => libc::POLLIN | libc::POLLRDHUP,
            Interest::Write => libc::POLLOUT,
        },
        revents: 0,
    };
    let mut timeout = deadline.map(|deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    let timeout = timeout.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    let arguments = [(&raw mut entry).expose_provenance(), 1, timeout.expose_provenance(), 0, 0, 0];
    // SAFETY: one valid pollfd, a null or live timespec (the kernel writes the rest of the time there), no mask.
    match unsafe { call(word, libc::SYS_ppoll, arguments) } {
        Ok(0) => Ok(Polled::TimedOut),
        Ok(_) => Ok(Polled::Ready),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Polled::Interrupted),
        Err(error) => Err(error),
    }
}

/// A word of memory that several processes may have, as the kernel is to sleep on it (`struct futex_waitv`).
///
/// It holds the word's address and no borrow: to the kernel an address is enough, and one at which nothing is mapped any
/// more is an error.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SharedWord {
    expected: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

impl SharedWord {
    /// To be slept on while it holds `expected`.
    #[must_use]
    pub fn new(word: &AtomicU32, expected: u32) -> Self {
        let address = ptr::from_ref(word).expose_provenance() as u64;
        Self { expected: expected.into(), address, flags: FUTEX2_SIZE_U32, reserved: 0 }
    }

    /// Where it is, or was.
    #[must_use]
    pub fn address(&self) -> usize {
        self.address as usize
    }
}

/// A word of four bytes, not private to the process.
const FUTEX2_SIZE_U32: u32 = 2;

/// The most words that [`wait_shared_any`] takes (`FUTEX_WAITV_MAX`).
pub const SHARED_WORDS_MAX: usize = 128;

/// Sleeps while `shared`, a word that other processes may have too, holds its expected value: until it is woken
/// ([`wake_shared`](crate::futex::wake_shared)), `word` is no longer [`SUSPENDED`], the deadline passes, or for no reason a
/// shorter time. Which of them, the caller sees by looking.
pub fn wait_shared(word: &AtomicU32, shared: &AtomicU32, expected: u32, deadline: Option<Instant>) {
    let timeout = deadline.map(|deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref).expose_provenance();
    let shared = ptr::from_ref(shared).expose_provenance();
    let arguments = [shared, libc::FUTEX_WAIT as usize, expected as usize, timeout, 0, 0];
    // SAFETY: a word that is borrowed for the call, and a null or live timespec; the kernel writes to neither.
    let _ = unsafe { call(word, libc::SYS_futex, arguments) };
}

/// As [`wait_shared`], for a word that may be gone, and without a deadline.
pub fn wait_shared_word(word: &AtomicU32, shared: SharedWord) {
    let arguments = [shared.address(), libc::FUTEX_WAIT as usize, shared.expected as usize, 0, 0, 0];
    // SAFETY: the kernel no more than reads the word, which is mapped or an error.
    let _ = unsafe { call(word, libc::SYS_futex, arguments) };
}

/// As [`wait_shared_word`], for several at once (futex_waitv(2)).
pub fn wait_shared_any(word: &AtomicU32, shared: &[SharedWord]) {
    let arguments = [shared.as_ptr().expose_provenance(), shared.len(), 0, 0, 0, 0];
    // SAFETY: the array is borrowed for the call; the kernel reads it, and no more than reads the words, each of which is
    // mapped or an error.
    let _ = unsafe { call(word, libc::SYS_futex_waitv, arguments) };
}

/// Whether the kernel has futex_waitv(2): from Linux 5.16 on, unless it is forbidden.
#[must_use]
pub fn can_wait_for_any() -> bool {
    // SAFETY: of no words, the kernel reads nothing: it says `EINVAL` where it knows the call.
    let result = unsafe { libc::syscall(libc::SYS_futex_waitv, 0, 0, 0, 0, 0) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}
