//! A hook for one thread-local.

use std::cell::Cell;
use std::fmt;
use std::thread::LocalKey;

use super::SwitchHook;

/// A hook by which each coroutine has its own value of a `thread_local!`: see [`per_coroutine`].
pub struct PerCoroutine<T: 'static> {
    key: &'static LocalKey<Cell<T>>,
    first: fn() -> T,
}

/// Gives each coroutine its own value of `key`: `first()` when it starts, afterwards what it has set. Outside of coroutines
/// the worker's thread has its own as well, undisturbed.
///
/// This also cures the pattern that sets a thread-local over a callback and restores it, if the library lets you have the
/// key: each coroutine is then restored what it has set itself.
///
/// Only for `Cell`s: nobody can have a reference to what is in one, so it can be exchanged behind the back of whoever uses
/// it. The value never leaves the worker's thread.
///
/// ```
/// use std::cell::Cell;
/// use ropewalk_runtime::{Runtime, coroutine, hooks, scope};
///
/// thread_local!(static USER: Cell<Option<&'static str>> = const { Cell::new(None) });
///
/// fn as_user<R>(name: &'static str, f: impl FnOnce() -> R) -> R {
///     let before = USER.replace(Some(name));
///     let result = f(); // may wait
///     USER.set(before);
///     result
/// }
///
/// let runtime = Runtime::builder().switch_hook(hooks::per_coroutine(&USER, || None)).build()?;
/// runtime.run(|| {
///     scope(|s| {
///         for name in ["ann", "bob"] {
///             s.spawn(move || {
///                 as_user(name, || {
///                     coroutine::yield_now();
///                     assert_eq!(USER.get(), Some(name));
///                 });
///                 assert_eq!(USER.get(), None);
///             });
///         }
///     });
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn per_coroutine<T>(key: &'static LocalKey<Cell<T>>, first: fn() -> T) -> PerCoroutine<T> {
    PerCoroutine { key, first }
}

impl<T: 'static> SwitchHook for PerCoroutine<T> {
    /// While the coroutine is away its own value; while it runs that of the thread.
    type Saved = Option<T>;

    fn enter(&self, saved: &mut Option<T>) {
        let own = saved.take().unwrap_or_else(self.first);
        *saved = Some(self.key.replace(own));
    }

    fn leave(&self, saved: &mut Option<T>) {
        let outside = saved.take().expect("it was entered");
        *saved = Some(self.key.replace(outside));
    }
}

impl<T> fmt::Debug for PerCoroutine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerCoroutine").finish_non_exhaustive()
    }
}
