//! Scopes whose children may fail by a value.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use ropewalk_sync::cancel_token::Cancellable;
use ropewalk_sync::park::{Unparker, Unwind};

use super::data::ScopeData;
use super::{Child, ChildFailed, OnFailure, PlanKind, Scope, ScopedJoinHandle, run_to_end};
use crate::task::current::Task;

/// A scope of which an `Err` is a failure: see [`try_scope`].
pub struct TryScope<'scope, 'env, E> {
    scope: &'scope Scope<'scope, 'env>,
    first: Arc<Mutex<Option<E>>>,
}

impl<E> fmt::Debug for TryScope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryScope").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl<E> Clone for TryScope<'_, '_, E> {
    /// The same scope: for children that start more.
    fn clone(&self) -> Self {
        Self { scope: self.scope, first: self.first.clone() }
    }
}

impl<'scope, 'env, E: Send + 'scope> TryScope<'scope, 'env, E> {
    /// Starts a child that may fail by a value. Its error goes to the scope, if it is the first.
    ///
    /// # Panics
    /// If a thread cannot be started.
    #[track_caller]
    pub fn try_spawn<F, T>(&self, f: F) -> TryJoinHandle<'scope, T>
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
    {
        let (scope, first) = (self.scope, self.first.clone());
        let body = move || match f() {
            Ok(value) => Some(value),
            Err(error) => {
                scope.data.fail(|| *first.lock().unwrap_or_else(PoisonError::into_inner) = Some(error));
                None
            }
        };
        let child = Child::new(None, scope.stack_size, scope.plan.clone());
        let handle = scope.spawn_as(child, Location::caller(), body).expect("a child of the scope starts");
        TryJoinHandle { handle, data: scope.data.clone() }
    }

    /// The scope itself: for children that fail by a panic only, and to cancel all.
    #[must_use]
    pub fn scope(&self) -> &'scope Scope<'scope, 'env> {
        self.scope
    }
}

/// The handle of a child that may fail by a value: see [`TryScope::try_spawn`].
pub struct TryJoinHandle<'scope, T> {
    handle: ScopedJoinHandle<'scope, Option<T>>,
    data: Arc<ScopeData>,
}

impl<T> TryJoinHandle<'_, T> {
    /// Waits for the child to end, and gives what it returned. If it failed, so has the scope: then the caller unwinds from
    /// here to the end of the scope, which gives the error.
    ///
    /// # Panics
    /// If somebody has cancelled the scope by its [`cancel`](Scope::cancel), and the child with it.
    ///
    /// # Waits
    /// Until it has ended.
    ///
    /// # Cancellation
    /// Unwinds a cancelled caller.
    #[track_caller]
    pub fn join(self) -> T {
        match self.handle.join() {
            Ok(Some(value)) => value,
            Ok(None) | Err(_) if self.data.has_failed() => Unwind::ScopeFailed.raise(),
            Ok(None) => panic!("the child failed after its scope was cancelled"),
            Err(error) => panic!("the scope was cancelled: {error}"),
        }
    }

    /// Whether the child has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The child, without a right to its result: see [`JoinHandle::task`](crate::JoinHandle::task).
    #[must_use]
    pub fn task(&self) -> Task {
        self.handle.task()
    }
}

impl<T> Cancellable for TryJoinHandle<'_, T> {
    fn unparker(&self) -> Unparker {
        self.handle.unparker()
    }
}

impl<T> fmt::Debug for TryJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryJoinHandle").field("task", &self.task()).finish_non_exhaustive()
    }
}

/// As [`scope`](fn@crate::scope), where an `Err` is a failure, too: the first one of a child cancels the other children
/// and interrupts the block, and is what the scope gives. One of the block itself cancels the children.
///
/// ```
/// use std::num::ParseIntError;
/// use ropewalk_runtime::try_scope;
///
/// let sum = |words: [&str; 2]| {
///     try_scope(|s| {
///         let numbers = words.map(|word| s.try_spawn(move || word.parse::<i32>()));
///         Ok::<i32, ParseIntError>(numbers.into_iter().map(|number| number.join()).sum())
///     })
/// };
/// assert_eq!(sum(["1", "2"]), Ok(3));
/// assert!(sum(["1", "two"]).is_err());
/// ```
///
/// # Errors
/// The first error of a child, or of the block.
///
/// # Panics
/// If `f` panics, with its payload; if a child panicked, or was cancelled, before another one had failed.
///
/// # Waits
/// Until every child has ended.
///
/// # Cancellation
/// Cancels the children, waits for them, and unwinds.
#[track_caller]
pub fn try_scope<'env, F, T, E>(f: F) -> Result<T, E>
where
    F: for<'scope> FnOnce(TryScope<'scope, 'env, E>) -> Result<T, E>,
    E: Send + 'env,
{
    run_fallible(PlanKind::Coroutine, None, f)
}

/// As [`try_scope`], with OS threads as children, whose stacks are of `stack_size` bytes (`None`: std's default).
///
/// # Errors
/// As `try_scope`.
///
/// # Panics
/// As `try_scope`.
///
/// # Waits
/// Until every child has ended.
///
/// # Cancellation
/// Cancels the children, waits for them, and unwinds.
#[track_caller]
pub fn thread_try_scope<'env, F, T, E>(stack_size: Option<usize>, f: F) -> Result<T, E>
where
    F: for<'scope> FnOnce(TryScope<'scope, 'env, E>) -> Result<T, E>,
    E: Send + 'env,
{
    run_fallible(PlanKind::Thread, stack_size, f)
}

#[track_caller]
fn run_fallible<'env, F, T, E>(plan: PlanKind, stack_size: Option<usize>, f: F) -> Result<T, E>
where
    F: for<'scope> FnOnce(TryScope<'scope, 'env, E>) -> Result<T, E>,
    E: Send + 'env,
{
    let first = Arc::new(Mutex::new(None));
    let take = || first.lock().unwrap_or_else(PoisonError::into_inner).take();
    let result = run_to_end(plan, OnFailure::Cancel, stack_size, |scope| {
        let result = f(TryScope { scope, first: first.clone() });
        if result.is_err() {
            scope.cancel();
        }
        result
    });
    match (result, take()) {
        (_, Some(first)) => Err(first),
        (Ok(result), None) => result,
        (Err(ChildFailed), None) => panic!("a task of the scope failed"),
    }
}
