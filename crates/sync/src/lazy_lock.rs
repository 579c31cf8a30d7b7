//! A value that is made when it is first needed: std's interface, for tasks of any plan.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use crate::once_lock::OnceLock;
use crate::park;

/// A value that is made by the first task that needs it, while others that need it wait.
///
/// The function is called once, in the name of all: a task that makes the value is not interrupted meanwhile. Its
/// cancellation, or the end of a `timeout` around it, comes at its first wait afterwards. If the function panics the
/// value can never be made, and every use panics, as in std; so does a use from inside of the function.
///
/// # Examples
/// ```
/// use ropewalk_sync::lazy_lock::LazyLock;
///
/// static SQUARES: LazyLock<Vec<u32>> = LazyLock::new(|| (0..10).map(|n| n * n).collect());
/// assert_eq!(SQUARES[9], 81);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    /// std's lock: held for a moment, by the one task that may call it.
    make: Mutex<Option<F>>,
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    crate::primitive::const_unless_loom! {
        /// A value that `make` will make.
        ///
        /// # Examples
        /// ```
        /// use ropewalk_sync::lazy_lock::LazyLock;
        ///
        /// let lazy = LazyLock::new(|| 42);
        /// assert_eq!(LazyLock::get(&lazy), None);
        /// assert_eq!(*lazy, 42);
        /// ```
        pub fn new(make: F) -> Self {
            Self { value: OnceLock::new(), make: Mutex::new(Some(make)) }
        }
    }

    /// The value, made now if it is not there; what dereferencing does.
    ///
    /// # Panics
    /// If the function panics, or did before, or needs the value itself.
    ///
    /// # Waits
    /// While another task makes the value, and where the function does.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task that waits for another; not the one that makes the value.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::lazy_lock::LazyLock;
    ///
    /// assert_eq!(LazyLock::force(&LazyLock::new(|| 42)), &42);
    /// ```
    #[inline]
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        this.value.get_or_init(|| {
            let make = this.make.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            park::uninterrupted(make.expect("the function of a `LazyLock` has panicked before"))
        })
    }

    /// As [`force`](Self::force), to change it.
    ///
    /// # Panics
    /// As [`force`](Self::force).
    ///
    /// # Waits
    /// Where the function does.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::lazy_lock::LazyLock;
    ///
    /// let mut lazy = LazyLock::new(|| 1);
    /// *LazyLock::force_mut(&mut lazy) += 1;
    /// assert_eq!(*lazy, 2);
    /// ```
    #[track_caller]
    pub fn force_mut(this: &mut Self) -> &mut T {
        Self::force(this);
        this.value.get_mut().expect("it was made just now")
    }
}

impl<T, F> LazyLock<T, F> {
    /// The value, if it has been made. Never waits.
    ///
    /// # Examples
    /// See [`new`](Self::new).
    #[inline]
    #[must_use]
    pub fn get(this: &Self) -> Option<&T> {
        this.value.get()
    }

    /// The value, if it has been made.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::lazy_lock::LazyLock;
    ///
    /// let mut lazy = LazyLock::new(|| 1);
    /// assert_eq!(LazyLock::get_mut(&mut lazy), None);
    /// ```
    #[must_use]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        this.value.get_mut()
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    /// See [`force`](Self::force).
    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    /// See [`force_mut`](Self::force_mut).
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        Self::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_tuple("LazyLock");
        match Self::get(self) {
            Some(value) => out.field(value),
            None => out.field(&format_args!("<uninit>")),
        };
        out.finish()
    }
}
