//! A value that is set once: std's interface, for tasks of any plan.
//!
//! The value lies in one of std's own, which nobody ever waits in: our [`Once`] lets one task at a time set it.

use std::fmt;
use std::mem;

use crate::once::Once;
use crate::primitive::const_unless_loom;

/// A value that is set once, by whoever comes first, and then only looked at.
///
/// An initialiser that panics, or is cancelled, leaves it empty: the next one is called, by whoever comes, or waits. One
/// that comes back to the same cell panics.
///
/// # Examples
/// ```
/// use ropewalk_sync::once_lock::OnceLock;
///
/// static HOST: OnceLock<String> = OnceLock::new();
/// assert_eq!(HOST.get_or_init(|| "localhost".into()), "localhost");
/// assert_eq!(HOST.get_or_init(|| unreachable!("it is there")), "localhost");
/// ```
pub struct OnceLock<T> {
    once: Once,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    const_unless_loom! {
        /// Empty.
        ///
        /// # Examples
        /// ```
        /// assert_eq!(ropewalk_sync::once_lock::OnceLock::<u8>::new().get(), None);
        /// ```
        pub fn new() -> Self {
            Self { once: Once::new(), value: std::sync::OnceLock::new() }
        }
    }

    /// The value, if it is there. Never waits.
    ///
    /// # Examples
    /// See [`set`](Self::set).
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if it is there.
    ///
    /// # Examples
    /// ```
    /// let mut cell = ropewalk_sync::once_lock::OnceLock::from(1);
    /// *cell.get_mut().unwrap() = 2;
    /// assert_eq!(cell.into_inner(), Some(2));
    /// ```
    #[must_use]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Sets the value.
    ///
    /// # Errors
    /// `value` itself, if there is one already.
    ///
    /// # Waits
    /// While another task initialises it.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task from that wait; `value` is dropped.
    ///
    /// # Examples
    /// ```
    /// let cell = ropewalk_sync::once_lock::OnceLock::new();
    /// assert_eq!(cell.set(1), Ok(()));
    /// assert_eq!(cell.set(2), Err(2));
    /// assert_eq!(cell.get(), Some(&1));
    /// ```
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        value.map_or(Ok(()), Err)
    }

    /// The value; if there is none, `f` makes it.
    ///
    /// # Panics
    /// If `f` does, or comes back to the same cell.
    ///
    /// # Waits
    /// While another task initialises it, and where `f` does.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task from that wait, or from those of `f`.
    ///
    /// # Examples
    /// See [`OnceLock`].
    #[inline]
    #[track_caller]
    pub fn get_or_init<F: FnOnce() -> T>(&self, f: F) -> &T {
        match self.get() {
            Some(value) => value,
            None => self.initialize(f),
        }
    }

    /// Waits until there is a value.
    ///
    /// # Waits
    /// Until another task has set it.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task.
    ///
    /// # Examples
    /// ```
    /// use ropewalk_sync::once_lock::OnceLock;
    ///
    /// static ANSWER: OnceLock<u8> = OnceLock::new();
    /// let other = std::thread::spawn(|| *ANSWER.wait());
    /// ANSWER.set(42).unwrap();
    /// assert_eq!(other.join().unwrap(), 42);
    /// ```
    #[track_caller]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.get().expect("it was set before that")
    }

    /// Unwraps the value, if there is one.
    ///
    /// # Examples
    /// See [`get_mut`](Self::get_mut).
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out, and leaves the cell empty.
    ///
    /// # Examples
    /// ```
    /// let mut cell = ropewalk_sync::once_lock::OnceLock::from(1);
    /// assert_eq!((cell.take(), cell.take()), (Some(1), None));
    /// ```
    pub fn take(&mut self) -> Option<T> {
        mem::take(self).into_inner()
    }

    #[cold]
    #[track_caller]
    fn initialize(&self, f: impl FnOnce() -> T) -> &T {
        self.once.call_once_force(|_| {
            let set = self.value.set(f());
            assert!(set.is_ok(), "only here it is set, and once");
        });
        self.get().expect("it was set before that")
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        let set = cell.set(value);
        assert!(set.is_ok(), "it is new");
        cell
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> Self {
        self.get().map_or_else(Self::new, |value| Self::from(value.clone()))
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => out.field(value),
            None => out.field(&format_args!("<uninit>")),
        };
        out.finish()
    }
}
