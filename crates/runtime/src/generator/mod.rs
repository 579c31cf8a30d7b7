//! Generators: see the module of the same name in the crate `ropewalk`.
//!
//! | module | its job |
//! |---|---|
//! | `core` | a body on a stack of its own; all unsafe code, but for the two calls that make one, here and in `scope` |
//! | `scope` | generators that borrow |
//! | `pool` | the stacks of a thread's generators |
//! | `state` | what a generator gives, and why it may not |

mod core;
mod pool;
mod scope;
mod state;

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::panic::Location;

pub use self::core::Yielder;
use self::core::{Core, Options};
pub use self::scope::{Scoped, scope};
use self::state::Thrown;
pub use self::state::{Finished, SendError, State, ThrowError};

/// Configures a generator before it is made.
///
/// ```
/// use ropewalk_runtime::generator::{Builder, Yielder};
///
/// let builder = Builder::new().name("countdown".into()).stack_size(128 * 1024);
/// let countdown = builder.build(|yielder: &Yielder<(), u32>| {
///     for n in (0..3).rev() {
///         yielder.yield_(n);
///     }
/// })?;
/// assert_eq!(countdown.name(), Some("countdown"));
/// assert_eq!(countdown.collect::<Vec<_>>(), [2, 1, 0]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder(Options);

impl Builder {
    /// No name, the default stack.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the generator: `Debug` and the report of a stack overflow say it.
    pub fn name(mut self, name: String) -> Self {
        self.0.name = Some(name.into());
        self
    }

    /// How many bytes of stack can be used at least; 64 KiB is the least. They are reserved, and take memory where they
    /// are touched. Without it a generator has what a coroutine has: just under 192 KiB in a release build, 960 KiB with
    /// debug assertions, or what `ROPEWALK_STACK` says.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.0.stack_size = Some(bytes);
        self
    }

    /// Makes the generator. `body` is called when it is resumed for the first time.
    ///
    /// # Errors
    /// There is no memory for its stack; the error names the limits that may be meant.
    #[track_caller]
    pub fn build<Input, Yield, Return, F>(self, body: F) -> io::Result<Generator<Input, Yield, Return>>
    where
        F: FnOnce(&Yielder<Input, Yield>) -> Return + 'static,
        Input: 'static,
        Yield: 'static,
        Return: 'static,
    {
        // SAFETY: `core`, rule 6: everything is 'static.
        unsafe { Core::new(self.0, Location::caller(), body) }.map(Generator)
    }
}

/// A function on a stack of its own, that gives values on the way and goes on when it is asked to.
///
/// It stays on its thread. Dropping it [closes](Self::close) it. If it is forgotten (`std::mem::forget`) its stack is never
/// used again, and what is on it never dropped.
///
/// ```
/// use ropewalk_runtime::generator::{Generator, State};
///
/// let mut sum: Generator<u32, u32, &str> = Generator::new(|yielder| {
///     let mut sum = 0;
///     while let Some(n) = yielder.yield_(sum) {
///         sum += n;
///     }
///     "resumed without a number"
/// });
/// assert_eq!(sum.resume(), Ok(State::Yielded(0)));
/// assert_eq!(sum.send(40), Ok(State::Yielded(40)));
/// assert_eq!(sum.send(2), Ok(State::Yielded(42)));
/// assert_eq!(sum.resume(), Ok(State::Complete("resumed without a number")));
/// assert!(sum.resume().is_err());
/// ```
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>(_: T) {}
/// is_send(ropewalk_runtime::generator::Generator::new(|_: &ropewalk_runtime::generator::Yielder<(), ()>| ()));
/// ```
pub struct Generator<Input, Yield, Return>(Core<Input, Yield, Return>);

impl<Input, Yield, Return> Generator<Input, Yield, Return> {
    /// Makes a generator. `body` is called when it is resumed for the first time.
    ///
    /// # Panics
    /// If there is no memory for its stack; [`Builder::build`] gives the error instead.
    #[track_caller]
    pub fn new<F>(body: F) -> Self
    where
        F: FnOnce(&Yielder<Input, Yield>) -> Return + 'static,
        Input: 'static,
        Yield: 'static,
        Return: 'static,
    {
        match Builder::new().build(body) {
            Ok(generator) => generator,
            Err(error) => panic!("a generator got no stack: {error}"),
        }
    }

    /// Starts the body, or goes on with it without an input: until it yields, or ends.
    ///
    /// # Errors
    /// The body has ended before.
    ///
    /// # Panics
    /// If the body does, with its payload. Then the generator has ended.
    ///
    /// # Waits
    /// Where the body does.
    ///
    /// # Cancellation
    /// Where the body waits: the body unwinds, and then the caller.
    pub fn resume(&mut self) -> Result<State<Yield, Return>, Finished> {
        self.0.resume()
    }

    /// Goes on with the body, whose `yield_` gives it `input`: until it yields, or ends.
    ///
    /// # Errors
    /// The input: the body has not begun, so it is not at a `yield_`, or has ended.
    ///
    /// # Panics
    /// As [`resume`](Self::resume).
    ///
    /// # Waits
    /// Where the body does.
    ///
    /// # Cancellation
    /// As `resume`.
    pub fn send(&mut self, input: Input) -> Result<State<Yield, Return>, SendError<Input>> {
        self.0.send(input)
    }

    /// Goes on with the body, whose `yield_` unwinds it with `error`, or whose `try_yield` gives it: until it yields, or
    /// ends.
    ///
    /// ```
    /// use ropewalk_runtime::generator::{Generator, State, ThrowError};
    ///
    /// let mut patient: Generator<(), u32, String> = Generator::new(|yielder| match yielder.try_yield(1) {
    ///     Ok(_) => "nothing happened".into(),
    ///     Err(error) => format!("caught: {error}"),
    /// });
    /// patient.resume()?;
    /// assert!(matches!(patient.throw("a storm")?, State::Complete(text) if text == "caught: a storm"));
    ///
    /// let mut other: Generator<(), u32, ()> = Generator::new(|yielder| while yielder.yield_(1).is_none() {});
    /// other.resume()?;
    /// let Err(ThrowError::Uncaught(error)) = other.throw("a storm") else { panic!("it does not catch") };
    /// assert_eq!(error.to_string(), "a storm");
    /// assert!(other.is_finished());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The error itself comes back: the body has not begun, has ended, or did not catch the error and has ended by it.
    ///
    /// # Panics
    /// As [`resume`](Self::resume). An error that the body does not catch is no panic: no message, no poisoned locks of
    /// ours. With `panic = "abort"` the body has to take it by `try_yield`.
    ///
    /// # Waits
    /// Where the body does.
    ///
    /// # Cancellation
    /// As `resume`.
    pub fn throw(&mut self, error: impl Into<Thrown>) -> Result<State<Yield, Return>, ThrowError> {
        self.0.throw(error.into())
    }

    /// Ends the body: unwinds it from the `yield_` where it is, so that its destructors run, and drops what it returns if it
    /// returns all the same. A body that catches the unwind is unwound again at its next `yield_`. Nothing happens if it
    /// has ended.
    ///
    /// While it unwinds the body is in the state of a cancelled task: waits in its destructors follow the rules of
    /// `docs/soundness.md`, and locks of ours are not poisoned. With `panic = "abort"` nothing can unwind: a body that has
    /// begun is forgotten instead.
    ///
    /// # Panics
    /// If a destructor of the body does. (When a generator is dropped by a thread that panics already, a second panic ends
    /// here.)
    ///
    /// # Waits
    /// Where destructors of the body do.
    ///
    /// # Cancellation
    /// Where a body waits that has caught its closing.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The generator's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name()
    }
}

impl<Input, Yield, Return> Iterator for Generator<Input, Yield, Return> {
    type Item = Yield;

    /// [Resumes](Self::resume) the body, and gives what it yields; `None` when it has ended. What it returned is dropped.
    fn next(&mut self) -> Option<Yield> {
        self.0.resume().ok()?.yielded()
    }
}

impl<Input, Yield, Return> FusedIterator for Generator<Input, Yield, Return> {}

impl<Input, Yield, Return> fmt::Debug for Generator<Input, Yield, Return> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(&self.0, f.debug_struct("Generator"))
    }
}

fn describe<I, Y, R>(core: &Core<I, Y, R>, mut to: fmt::DebugStruct<'_, '_>) -> fmt::Result {
    let state = match (core.is_started(), core.is_finished()) {
        (_, true) => "finished",
        (true, false) => "suspended",
        (false, false) => "not started",
    };
    to.field("name", &core.name()).field("state", &format_args!("{state}")).finish_non_exhaustive()
}
