//! Many functions at once: all of them, or the first that succeeds.

use std::sync::{Mutex, PoisonError};

use super::{OnFailure, scope, scope_with};
use crate::task::join::JoinError;

/// Runs all functions at once, each as a coroutine, and gives what each returned, or how it failed, in their order. The
/// failure of one is no matter of the others.
///
/// ```
/// use ropewalk_runtime::join_all;
///
/// let words = ["rope", "", "walk"];
/// let first = |word: &'static str| move || word.chars().next();
/// let letters: Vec<_> = join_all(words.map(first)).into_iter().map(Result::unwrap).collect();
/// assert_eq!(letters, [Some('r'), None, Some('w')]);
/// ```
///
/// # Waits
/// Until all have ended.
///
/// # Cancellation
/// Cancels them, waits for them, and unwinds.
#[track_caller]
pub fn join_all<I, F, T>(functions: I) -> Vec<Result<T, JoinError>>
where
    I: IntoIterator<Item = F>,
    F: FnOnce() -> T + Send,
    T: Send,
{
    scope_with(OnFailure::Isolate, |s| {
        let children: Vec<_> = functions.into_iter().map(|function| s.spawn(function)).collect();
        children.into_iter().map(|child| child.join()).collect()
    })
}

/// Runs all functions at once, each as a coroutine, until the first gives an `Ok`: that is the result. The others are
/// cancelled, and waited for.
///
/// ```
/// use std::time::Duration;
/// use ropewalk_runtime::{coroutine, race};
///
/// let ask = |name: &'static str, pause: u64| {
///     move || {
///         coroutine::sleep(Duration::from_secs(pause));
///         if name.is_empty() { Err("no name") } else { Ok(name) }
///     }
/// };
/// assert_eq!(race([ask("", 0), ask("fast", 0), ask("slow", 3600)]), Ok("fast"));
/// assert_eq!(race([ask("", 0), ask("", 0)]), Err(vec!["no name"; 2]));
/// ```
///
/// # Errors
/// All errors, in the order of the functions, if none gave an `Ok`; nothing, if there is no function.
///
/// # Panics
/// If one of them panicked before another one won.
///
/// # Waits
/// Until one has won and all have ended.
///
/// # Cancellation
/// Cancels them, waits for them, and unwinds.
#[track_caller]
pub fn race<I, F, T, E>(functions: I) -> Result<T, Vec<E>>
where
    I: IntoIterator<Item = F>,
    F: FnOnce() -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    // std's locks: never held over a wait.
    let winner = Mutex::new(None);
    let errors = Mutex::new(Vec::new());
    scope(|s| {
        for (place, function) in functions.into_iter().enumerate() {
            let (winner, errors) = (&winner, &errors);
            s.spawn(move || match function() {
                Ok(value) => {
                    let mut winner = winner.lock().unwrap_or_else(PoisonError::into_inner);
                    let late = if winner.is_some() { Some(value) } else { winner.replace(value) };
                    drop(winner);
                    // Its destructor is foreign code.
                    drop(late);
                    s.cancel();
                }
                Err(error) => errors.lock().unwrap_or_else(PoisonError::into_inner).push((place, error)),
            });
        }
    });
    match winner.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(value) => Ok(value),
        None => {
            let mut errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
            errors.sort_unstable_by_key(|(place, _)| *place);
            Err(errors.into_iter().map(|(_, error)| error).collect())
        }
    }
}
