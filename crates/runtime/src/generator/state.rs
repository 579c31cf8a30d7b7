//! What a generator gives, and why it may not.

use std::error::Error;
use std::fmt;

/// An error that is thrown into a body.
pub(super) type Thrown = Box<dyn Error + Send + Sync>;

/// How far a generator has got: std's `CoroutineState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State<Yield, Return> {
    /// It has yielded this, and waits to be resumed.
    Yielded(Yield),
    /// It has returned this, and is finished.
    Complete(Return),
}

impl<Yield, Return> State<Yield, Return> {
    /// What was yielded, if it was.
    pub fn yielded(self) -> Option<Yield> {
        match self {
            Self::Yielded(value) => Some(value),
            Self::Complete(_) => None,
        }
    }

    /// What was returned, if it was.
    pub fn complete(self) -> Option<Return> {
        match self {
            Self::Yielded(_) => None,
            Self::Complete(value) => Some(value),
        }
    }
}

/// The generator has ended before: it cannot be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished;

/// Why a generator did not take an input. Holds the input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<Input> {
    /// It was never resumed, so it waits at no `yield_` that could give the input to the body.
    NotStarted(Input),
    /// It has ended.
    Finished(Input),
}

/// What became of an error that was thrown into a generator, if the generator did not go on.
#[derive(Debug)]
pub enum ThrowError {
    /// The generator was never resumed, so it waits at no `yield_` where the error could be raised. Holds the error.
    NotStarted(Thrown),
    /// The generator had ended before. Holds the error.
    Finished(Thrown),
    /// The body did not catch the error, and has ended by it. Holds the error.
    Uncaught(Thrown),
}

const NOT_STARTED: &str = "the generator was never resumed: it waits for nothing yet";
const FINISHED: &str = "the generator has ended";

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FINISHED)
    }
}

impl Error for Finished {}

impl<Input> SendError<Input> {
    /// The input.
    pub fn into_inner(self) -> Input {
        match self {
            Self::NotStarted(input) | Self::Finished(input) => input,
        }
    }

    /// Whether the generator has ended.
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Finished(_))
    }
}

// As with channels: without the input, so that it need not be `Debug`.
impl<Input> fmt::Debug for SendError<Input> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_finished() { "Finished(..)" } else { "NotStarted(..)" })
    }
}

impl<Input> fmt::Display for SendError<Input> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_finished() { FINISHED } else { NOT_STARTED })
    }
}

impl<Input> Error for SendError<Input> {}

impl ThrowError {
    /// The error.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::NotStarted(error) | Self::Finished(error) | Self::Uncaught(error) => error,
        }
    }
}

impl fmt::Display for ThrowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted(_) => NOT_STARTED,
            Self::Finished(_) => FINISHED,
            Self::Uncaught(_) => "the generator has ended by the error that was thrown into it",
        })
    }
}

impl Error for ThrowError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotStarted(error) | Self::Finished(error) | Self::Uncaught(error) => Some(&**error),
        }
    }
}
