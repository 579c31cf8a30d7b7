//! The wake signal: how another thread ends a thread's sleep in `ppoll`.
//!
//! `SIGURG` is the signal, as in Go's runtime: its default action is to be ignored, no program that does not ask for
//! out-of-band data ever gets it, and libraries do not use it. Each thread that waits blocks it once, and only
//! [`poll::wait`](crate::poll::wait) lets it in. Its handler does nothing: to interrupt the call is its whole job.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;

const WAKE: libc::c_int = libc::SIGURG;

thread_local! {
    /// The thread's own signal mask without the wake signal, once the signal is blocked outside of `ppoll`.
    static OPEN_MASK: Cell<Option<libc::sigset_t>> = const { Cell::new(None) };
}

extern "C" fn on_wake(_signal: libc::c_int) {}

fn install_handler() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: an all-zero sigaction is valid; the handler does nothing and so is async-signal-safe. SA_RESTART is
        // set: system calls other than ppoll that see the signal (only in threads that never waited) go on.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_wake as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(WAKE, &raw const action, ptr::null_mut());
        }
    });
}

/// Blocks the wake signal in the calling thread, and returns the mask that lets it in.
fn prepare() -> libc::sigset_t {
    install_handler();
    // SAFETY: both sets are initialised by sigemptyset / pthread_sigmask before they are read.
    unsafe {
        let mut wake = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(wake.as_mut_ptr());
        let mut wake = wake.assume_init();
        libc::sigaddset(&raw mut wake, WAKE);
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const wake, before.as_mut_ptr());
        let mut open = before.assume_init();
        libc::sigdelset(&raw mut open, WAKE);
        open
    }
}

/// Calls `f` with a signal mask that lets the wake signal in and is otherwise the thread's own, as it was when the
/// thread first waited.
pub(crate) fn with_wake_mask<R>(f: impl FnOnce(*const libc::sigset_t) -> R) -> R {
    let mask = OPEN_MASK.get().unwrap_or_else(|| {
        let mask = prepare();
        OPEN_MASK.set(Some(mask));
        mask
    });
    f(&raw const mask)
}

/// Names a thread of this process for [`interrupt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId(libc::pid_t);

impl ThreadId {
    /// The calling thread.
    #[must_use]
    pub fn current() -> Self {
        Self(rustix::thread::gettid().as_raw_nonzero().get())
    }

    /// The kernel's number of the thread, for `/proc/self/task` and debuggers.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0
    }
}

/// Ends the thread's sleep in [`poll::wait`](crate::poll::wait), now or at its next call. A thread that has ended
/// meanwhile is left alone; should its number have gone to a new thread of this process, that one sees at most one
/// interrupted `ppoll`.
pub fn interrupt(thread: ThreadId) {
    // SAFETY: tgkill takes three numbers and touches no memory of ours.
    unsafe {
        libc::syscall(libc::SYS_tgkill, libc::getpid(), thread.0, WAKE);
    }
}
