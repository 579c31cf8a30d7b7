//! The one place that chooses between std's primitives and loom's model of them.
//!
//! Code of this crate names atomics, the internal lock and the futex only through this module, so the same lines that
//! run are the lines that `tests/loom` explores.

pub use std::sync::atomic::Ordering;

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence};

#[cfg(not(loom))]
pub use std::sync::{Mutex, MutexGuard};

#[cfg(loom)]
pub use loom::sync::{Mutex, MutexGuard};

#[cfg(loom)]
pub use loom::cell::UnsafeCell;

/// std's `thread_local!`, in the form with `const`, which loom's does not know.
#[cfg(loom)]
macro_rules! loom_local {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const $value:block;)*) => {
        $(loom::thread_local! { $(#[$attribute])* static $name: $type = $value; })*
    };
}
#[cfg(loom)]
pub(crate) use loom_local as thread_local;
#[cfg(not(loom))]
pub(crate) use std::thread_local;

#[cfg(loom)]
pub(crate) use loom::thread::yield_now;
#[cfg(not(loom))]
pub(crate) use std::thread::yield_now;

/// A cell that several threads touch by turns, with loom's interface, so that loom sees who touches it when.
#[cfg(not(loom))]
#[derive(Debug)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    /// With `value` in it.
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Calls `f` with a pointer to read from.
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Calls `f` with a pointer to write to.
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }

    /// Unwraps the value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

/// Makes a constructor `const`, except under loom, whose objects are made while a model runs.
macro_rules! const_unless_loom {
    ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$attribute])*
        $visibility const fn $($rest)*

        #[cfg(loom)]
        $(#[$attribute])*
        $visibility fn $($rest)*
    };
}
pub(crate) use const_unless_loom;

/// Locks an internal lock. Nothing of ours panics while it holds one, so poison cannot mean anything here.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sleeping and waking on a word that only one thread ever sleeps on.
#[cfg(not(loom))]
pub mod futex {
    use std::time::Instant;

    use super::AtomicU32;

    /// Who to wake; on Linux the word itself says it.
    #[derive(Debug, Default)]
    pub struct Sleeper(());

    impl Sleeper {
        /// The calling thread.
        #[must_use]
        pub fn current() -> Self {
            Self(())
        }

        /// Sleeps while the word holds `expected`; may return early.
        pub fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
            ropewalk_sys::futex::wait(word, expected, deadline);
        }

        /// Wakes the sleeper.
        pub fn wake(&self, word: &AtomicU32) {
            ropewalk_sys::futex::wake(word, 1);
        }
    }
}

/// Sleeping and waking on a word, as loom can model it: what the kernel does under a lock of its own. (Loom's `unpark`
/// would also wake a thread out of a lock.)
#[cfg(loom)]
pub mod futex {
    use std::time::Instant;

    use loom::sync::{Condvar, Mutex};

    use super::{AtomicU32, Ordering, lock};

    /// Who to wake.
    #[derive(Debug)]
    pub struct Sleeper {
        kernel: Mutex<()>,
        bell: Condvar,
    }

    impl Sleeper {
        /// The thread that will sleep here.
        #[must_use]
        pub fn current() -> Self {
            Self { kernel: Mutex::new(()), bell: Condvar::new() }
        }

        /// Sleeps while the word holds `expected`. Time does not pass in a model.
        pub fn wait(&self, word: &AtomicU32, expected: u32, _deadline: Option<Instant>) {
            let kernel = lock(&self.kernel);
            if word.load(Ordering::Relaxed) == expected {
                drop(self.bell.wait(kernel));
            }
        }

        /// Wakes the sleeper.
        pub fn wake(&self, _word: &AtomicU32) {
            drop(lock(&self.kernel));
            self.bell.notify_one();
        }
    }
}

/// System calls that another thread can end; loom has no kernel to model them with.
#[cfg(not(loom))]
pub mod interruptible {
    use std::io;

    pub use ropewalk_sys::interruptible::*;
    use ropewalk_sys::operation::Operation;

    use super::AtomicU32;

    /// Makes an operation here.
    ///
    /// # Errors
    /// As [`Operation::make`].
    pub fn make(word: &AtomicU32, operation: &mut Operation<'_>) -> io::Result<usize> {
        operation.make(word)
    }

    /// A word that nobody changes.
    #[must_use]
    pub fn never() -> AtomicU32 {
        AtomicU32::new(SUSPENDED)
    }
}

/// The same names for loom, whose models wait for no descriptor.
#[cfg(loom)]
pub mod interruptible {
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::time::Instant;

    pub use ropewalk_sys::interruptible::{SUSPENDED, ThreadId, interrupt};
    use ropewalk_sys::operation::Operation;
    use ropewalk_sys::poll::{Interest, Polled};

    use super::AtomicU32;

    /// Not modelled.
    ///
    /// # Errors
    /// Always.
    pub fn make(_: &AtomicU32, _: &mut Operation<'_>) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// A word that nobody changes.
    #[must_use]
    pub fn never() -> AtomicU32 {
        AtomicU32::new(SUSPENDED)
    }

    /// Not modelled.
    ///
    /// # Errors
    /// Always.
    pub fn poll(_: &AtomicU32, _: BorrowedFd<'_>, _: Interest, _: Option<Instant>) -> io::Result<Polled> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
