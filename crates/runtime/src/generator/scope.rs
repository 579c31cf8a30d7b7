//! Generators that borrow.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::panic::Location;

use super::core::{Core, Yielder};
use super::{Builder, Finished, SendError, State, ThrowError, Thrown, describe};

/// The handle of a generator that borrows: see [`scope`]. Its methods are those of a [`Generator`](super::Generator).
///
/// The generator itself belongs to the frame of `scope`, so nothing that is done with the handle (to forget it, to swap
/// it) keeps the generator from being closed before what it borrows is gone.
pub struct Scoped<'scope, Input, Yield, Return> {
    core: &'scope mut Core<Input, Yield, Return>,
    /// Invariant: the handle of one scope is never that of another.
    scope: PhantomData<fn(&'scope ()) -> &'scope ()>,
}

impl<Input, Yield, Return> Scoped<'_, Input, Yield, Return> {
    /// As [`Generator::resume`](super::Generator::resume).
    ///
    /// # Errors
    /// The body has ended.
    ///
    /// # Panics
    /// If the body does.
    ///
    /// # Waits
    /// Where the body does.
    ///
    /// # Cancellation
    /// Where the body waits.
    pub fn resume(&mut self) -> Result<State<Yield, Return>, Finished> {
        self.core.resume()
    }

    /// As [`Generator::send`](super::Generator::send).
    ///
    /// # Errors
    /// The input: the body has not begun, or has ended.
    ///
    /// # Panics
    /// If the body does.
    ///
    /// # Waits
    /// Where the body does.
    ///
    /// # Cancellation
    /// Where the body waits.
    pub fn send(&mut self, input: Input) -> Result<State<Yield, Return>, SendError<Input>> {
        self.core.send(input)
    }

    /// As [`Generator::throw`](super::Generator::throw).
    ///
    /// # Errors
    /// The error: the body has not begun, has ended, or did not catch it.
    ///
    /// # Panics
    /// If the body does.
    ///
    /// # Waits
    /// Where the body does.
    ///
    /// # Cancellation
    /// Where the body waits.
    pub fn throw(&mut self, error: impl Into<Thrown>) -> Result<State<Yield, Return>, ThrowError> {
        self.core.throw(error.into())
    }

    /// As [`Generator::close`](super::Generator::close). The end of the scope does it, too.
    ///
    /// # Panics
    /// If a destructor of the body does.
    ///
    /// # Waits
    /// Where destructors of the body do.
    ///
    /// # Cancellation
    /// Where they wait.
    pub fn close(&mut self) {
        self.core.close();
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.core.is_finished()
    }

    /// The generator's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.core.name()
    }
}

impl<Input, Yield, Return> Iterator for Scoped<'_, Input, Yield, Return> {
    type Item = Yield;

    /// As that of a [`Generator`](super::Generator).
    fn next(&mut self) -> Option<Yield> {
        self.core.resume().ok()?.yielded()
    }
}

impl<Input, Yield, Return> FusedIterator for Scoped<'_, Input, Yield, Return> {}

impl<Input, Yield, Return> fmt::Debug for Scoped<'_, Input, Yield, Return> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(self.core, f.debug_struct("Scoped"))
    }
}

/// Runs `f` with a generator whose body may borrow from outside of the call. When `f` returns or unwinds, the generator is
/// closed.
///
/// ```
/// use ropewalk_runtime::generator::{self, Yielder};
///
/// let words = String::from("rope walk");
/// let mut lengths = Vec::new();
/// let body = |yielder: &Yielder<(), usize>| {
///     for word in words.split(' ') {
///         yielder.yield_(word.len());
///     }
/// };
/// generator::scope(body, |generator| lengths.extend(generator));
/// assert_eq!(lengths, [4, 4]);
/// ```
///
/// An owned generator must not borrow. It could be forgotten (`std::mem::forget`), and then the frames of its body would
/// never be unwound, although what they borrow is gone: a `std::thread::scope` in the body, which has to wait for its
/// threads, would never end (corosensei, issue 27). So this does not compile:
///
/// ```compile_fail,E0373
/// use ropewalk_runtime::generator::{Generator, Yielder};
///
/// let words = String::from("rope walk");
/// let body = |yielder: &Yielder<(), usize>| {
///     for word in words.split(' ') {
///         yielder.yield_(word.len());
///     }
/// };
/// Generator::new(body);
/// ```
///
/// Nor can a handle leave its scope:
///
/// ```compile_fail
/// use ropewalk_runtime::generator::{self, Yielder};
///
/// let words = String::from("rope walk");
/// let body = |yielder: &Yielder<(), usize>| {
///     yielder.yield_(words.len());
/// };
/// let escaped = generator::scope(body, |generator| generator);
/// ```
///
/// # Panics
/// If `f` does, or the body when it is closed; if there is no memory for a stack: [`Builder::scope`] gives the error
/// instead. With `panic = "abort"` nothing can unwind: there the body has to end by itself before `f` does.
///
/// # Waits
/// Where `f` does, and where destructors of the body do.
///
/// # Cancellation
/// Where they wait.
#[track_caller]
pub fn scope<Input, Yield, Return, F, T>(
    body: F,
    f: impl for<'scope> FnOnce(Scoped<'scope, Input, Yield, Return>) -> T,
) -> T
where
    F: FnOnce(&Yielder<Input, Yield>) -> Return,
{
    match Builder::new().scope(body, f) {
        Ok(value) => value,
        Err(error) => panic!("a generator got no stack: {error}"),
    }
}

impl Builder {
    /// As [`scope`](fn@scope).
    ///
    /// # Errors
    /// As [`build`](Self::build); then neither is called.
    ///
    /// # Panics
    /// If `f` does, or the body when it is closed.
    ///
    /// # Waits
    /// Where `f` does, and where destructors of the body do.
    ///
    /// # Cancellation
    /// Where they wait.
    #[track_caller]
    pub fn scope<Input, Yield, Return, F, T>(
        self,
        body: F,
        f: impl for<'scope> FnOnce(Scoped<'scope, Input, Yield, Return>) -> T,
    ) -> io::Result<T>
    where
        F: FnOnce(&Yielder<Input, Yield>) -> Return,
    {
        // SAFETY: `core`, rule 6: what the body borrows outlives this call, and `core` is dropped here, which closes it.
        // It cannot be forgotten or moved away: `f` gets a reference in a private field.
        let mut core = unsafe { Core::new(self.0, Location::caller(), body) }?;
        let value = f(Scoped { core: &mut core, scope: PhantomData });
        assert!(
            cfg!(panic = "unwind") || core.is_finished() || !core.is_started(),
            "with panic = \"abort\" the generator of a scope has to end before its scope"
        );
        core.close();
        Ok(value)
    }
}
