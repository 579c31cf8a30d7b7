//! Faults on guard pages: `SIGSEGV` on a stack of its own.
//!
//! A thread whose stack has overflowed has no stack to run a handler on, so each thread that runs coroutines installs
//! an alternate one ([`AlternateStack`], `sigaltstack(2)`). The handler asks the reporter that was installed; what the
//! reporter does not know goes to whoever handled the signal before.

use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering::Acquire, Ordering::Release};

use crate::memory::{Reservation, page_size};

/// Enough for a reporter that formats a message, and for the handlers of debuggers and crash reporters behind it.
const ALTERNATE_STACK: usize = 64 * 1024;

/// Told of the address that faulted, on the faulting thread; async-signal-safe. Does not return if the fault is its own.
pub type Reporter = fn(address: usize);

static REPORTER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let reporter = REPORTER.load(Acquire);
    if !reporter.is_null() {
        // SAFETY: only `install` stores here, and it stores a `Reporter`.
        let reporter = unsafe { mem::transmute::<*mut (), Reporter>(reporter) };
        // SAFETY: the kernel passes a valid siginfo for SIGSEGV and SIGBUS, which has an address.
        reporter(unsafe { (*info).si_addr() } as usize);
    }
    let Some(previous) = PREVIOUS.get() else { return };
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: restores what was installed before us; the fault happens again and takes its course.
            unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: the action says that it takes three arguments, which are passed on as they came.
            let handler = unsafe {
                mem::transmute::<usize, extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void)>(
                    handler,
                )
            };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: the action says that it takes one argument.
            let handler = unsafe { mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
            handler(signal);
        }
    }
}

/// Installs `reporter` for faults of this process, once; later calls change nothing.
pub fn install(reporter: Reporter) {
    static INSTALL: std::sync::Once = std::sync::Once::new();
    INSTALL.call_once(|| {
        REPORTER.store(reporter as *mut (), Release);
        // SAFETY: an all-zero sigaction is valid and filled in before use; `previous` is written by the kernel before
        // it is read. The handler is async-signal-safe: it loads two words and calls what promises to be.
        unsafe {
            let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
            libc::sigaction(libc::SIGSEGV, ptr::null(), previous.as_mut_ptr());
            let _ = PREVIOUS.set(previous.assume_init());
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut());
        }
    });
}

/// The alternate signal stack of the thread that made it, until it is dropped.
#[derive(Debug)]
pub struct AlternateStack {
    _memory: Reservation,
    previous: libc::stack_t,
}

impl AlternateStack {
    /// Gives the calling thread an alternate stack of 64 KiB with a guard page below.
    ///
    /// # Errors
    /// `ENOMEM` where no mapping is left.
    pub fn install() -> io::Result<Self> {
        let guard = page_size();
        let memory = Reservation::new(ALTERNATE_STACK + guard)?;
        memory.protect(0, guard)?;
        let stack = libc::stack_t {
            ss_sp: (memory.base().get() + guard) as *mut libc::c_void,
            ss_flags: 0,
            ss_size: ALTERNATE_STACK,
        };
        let mut previous = MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: the new stack is mapped until `drop` has taken it away again; `previous` is written on success.
        let previous = unsafe {
            if libc::sigaltstack(&raw const stack, previous.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            previous.assume_init()
        };
        Ok(Self { _memory: memory, previous })
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        // SAFETY: puts back what the thread had before ours.
        unsafe { libc::sigaltstack(&raw const self.previous, ptr::null_mut()) };
    }
}

/// Writes `text` to standard error and ends the process with SIGABRT. Async-signal-safe.
pub fn abort_with(parts: &[&str]) -> ! {
    for part in parts {
        // SAFETY: the pointer and the length are of one live string.
        let _ = unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
    }
    // SAFETY: abort(3) is async-signal-safe.
    unsafe { libc::abort() }
}
