//! Futures both ways: see the module of the same name in the crate `ropewalk`.

mod co;
mod sleep;

use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ropewalk_sync::park::{self, Interrupt, Unparker, Wait, WaitReason};

use crate::coroutine;
use crate::task::join::JoinHandle;

use self::sleep::Deadlines;

pub use self::co::co;
pub use self::sleep::{Sleep, sleep, sleep_until};

/// Runs a future to its end, and gives its output. A coroutine gives its worker to others while the future is pending; a
/// thread sleeps.
///
/// ```
/// use ropewalk_runtime::{coroutine, future};
///
/// let answer = future::block_on(async {
///     let (a, b) = (coroutine::spawn(|| 40), coroutine::spawn(|| 2)); // both run already
///     a.await.unwrap() + b.await.unwrap()
/// });
/// assert_eq!(answer, 42);
/// ```
///
/// The future is polled in a [`no_suspend`](fn@crate::no_suspend) region: what an executor sets for the time of a poll, in
/// thread-locals, stays as it is. So a poll in a coroutine must not wait; a second `block_on` inside of it would. A future
/// that wakes itself during a poll lets others run before it is polled again, and can be cancelled.
///
/// # Panics
/// If the future does; in a coroutine also if a poll waits.
///
/// # Waits
/// Until the future is ready.
///
/// # Cancellation
/// Between two polls: unwinds a cancelled task and drops the future, whose destructor runs while the task unwinds. A future
/// that is ready by then has won: its output is returned.
#[track_caller]
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    drive(future.into_future(), Location::caller())
}

/// `began` is the place that the message of a forbidden wait names.
fn drive<F: Future>(future: F, began: &'static Location<'static>) -> F::Output {
    park::spend();
    let mut future = pin!(future);
    let waker = Unparker::current().into_waker();
    let mut context = Context::from_waker(&waker);
    let wait = Wait::new(WaitReason::Future).object(&*future);
    let mut deadlines: Option<Arc<Deadlines>> = None;
    let mut poll = |deadlines: &mut _| {
        park::no_suspend_at(began, || Deadlines::during(deadlines, || future.as_mut().poll(&mut context)))
    };
    loop {
        if let Some(deadlines) = &deadlines {
            Deadlines::wake_due(deadlines, &waker);
        }
        if let Poll::Ready(output) = poll(&mut deadlines) {
            return output;
        }
        let next = deadlines.as_deref().and_then(Deadlines::next);
        match park::park_or_yield(&wait.until(next)) {
            Ok(()) => {}
            // A loop of sleeps that are over at once must not hog its worker: who is woken gives others a turn.
            Err(Interrupt::TimedOut) => waker.wake_by_ref(),
            Err(interrupt) => {
                // The result wins: what woke the task may have been both.
                if let Poll::Ready(output) = poll(&mut deadlines) {
                    return output;
                }
                let _ = interrupt.deliver();
            }
        }
    }
}

/// Runs a future as a new coroutine: [`block_on`] there. It costs a stack, as every coroutine does; what that buys is
/// that the code around the `await`s, in a closure, may wait as plain code does. A future that is not `Send` is made where it
/// runs: `coroutine::spawn(|| block_on(async { .. }))`.
///
/// ```
/// use ropewalk_runtime::future::{block_on, spawn_future};
///
/// let double = spawn_future(async { 2 * spawn_future(async { 21 }).await.unwrap() });
/// assert_eq!(double.join().unwrap(), 42);
/// ```
///
/// # Panics
/// If there is no runtime and the global one cannot start. A panic of the future arrives at the handle.
#[track_caller]
pub fn spawn_future<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let began = Location::caller();
    coroutine::spawn(move || drive(future, began))
}
