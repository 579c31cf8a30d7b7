//! A generator of futures, driven to its end.

use std::error::Error;

use crate::generator::{Generator, State};

/// Drives a generator that yields futures: awaits each, and resumes the generator with what it gave. An error is thrown
/// into the generator, at the `yield_` where it waits. So plain code in the generator's body reads as if `yield_` were
/// `await`; this is the function of the same name in JavaScript's `co` library (<https://github.com/tj/co>), from which
/// `async`/`await` came.
///
/// All the futures of a generator give one type; where they differ, an enum says which it is.
///
/// ```
/// use std::future::{Ready, ready};
/// use std::io;
/// use ropewalk_runtime::future::{block_on, co};
/// use ropewalk_runtime::generator::{Generator, Yielder};
///
/// let sum = Generator::new(|yielder: &Yielder<u32, Ready<io::Result<u32>>>| {
///     let a = yielder.yield_(ready(Ok(40))).unwrap();
///     let b = yielder.try_yield(ready(Err(io::ErrorKind::TimedOut.into())));
///     a + b.map_or(2, Option::unwrap) // the error arrives here
/// });
/// assert_eq!(block_on(co(sum)).unwrap(), 42);
/// ```
///
/// The future stays on its thread, as generators do. Dropping it closes the generator.
///
/// # Errors
/// The error of a future, if the generator does not catch it; a generator that had ended before.
///
/// # Panics
/// If the generator's body does; also if the body waits, in a coroutine: it runs in a poll ([`block_on`](super::block_on)).
pub async fn co<Output, Failure, Promise, Return>(
    mut generator: Generator<Output, Promise, Return>,
) -> Result<Return, Box<dyn Error + Send + Sync>>
where
    Promise: Future<Output = Result<Output, Failure>>,
    Failure: Into<Box<dyn Error + Send + Sync>>,
{
    let mut state = generator.resume()?;
    loop {
        match state {
            State::Complete(value) => return Ok(value),
            State::Yielded(promise) => {
                state = match promise.await {
                    Ok(value) => generator.send(value).expect("it waits in a yield"),
                    Err(error) => generator.throw(error).map_err(|thrown| thrown.into_inner())?,
                };
            }
        }
    }
}
