//! The handle of a task, and how a task can fail.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ropewalk_sync::cancel_token::Cancellable;
use ropewalk_sync::channel::Receiver;
use ropewalk_sync::clock;
use ropewalk_sync::park::{Unparker, Waiter};

use super::cell::Joinable;
use super::current::Task;
use super::ending::Ending;
use super::exit::Exit;
use super::payload::Payload;
use super::state::Death;
use super::{cancel, join_wait};

/// The number of a task, unique in the process for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(crate) u64);

impl TaskId {
    /// The number itself.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Owns the result of a task, whatever plan runs it. Dropping it detaches the task, which goes on.
///
/// ```
/// use ropewalk_runtime::coroutine;
///
/// let handle = coroutine::spawn(|| 6 * 7);
/// assert_eq!(handle.join().unwrap(), 42);
/// ```
///
/// It is a future too, which any executor can await: its output is what [`join`](Self::join) gives.
///
/// ```
/// use ropewalk_runtime::{coroutine, future};
///
/// let answer = future::block_on(async { coroutine::spawn(|| 6 * 7).await });
/// assert_eq!(answer.unwrap(), 42);
/// ```
pub struct JoinHandle<T> {
    task: Arc<dyn Joinable<T>>,
    /// The result is gone: only through the future, since `join` consumes the handle.
    taken: bool,
    /// The task may hold a waker of ours.
    polled: bool,
    /// The handle may cross threads only if the result may.
    _result: PhantomData<T>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(task: Arc<dyn Joinable<T>>) -> Self {
        Self { task, taken: false, polled: false, _result: PhantomData }
    }

    pub(crate) fn joinable(&self) -> &Arc<dyn Joinable<T>> {
        &self.task
    }

    /// The task, without a right to its result: to be asked, cancelled and unparked from anywhere.
    ///
    /// ```
    /// use ropewalk_runtime::coroutine;
    /// use ropewalk_runtime::inspect::{Death, State};
    ///
    /// let handle = coroutine::spawn(coroutine::park);
    /// let task = handle.task();
    /// task.unpark();
    /// handle.join()?;
    /// assert_eq!(task.state(), State::Dead(Death::Returned));
    /// # Ok::<(), ropewalk_runtime::JoinError>(())
    /// ```
    #[must_use]
    pub fn task(&self) -> Task {
        Task(Unparker::of(self.task.clone().into_park()))
    }

    /// As [`task`](Self::task), by the name that `std::thread::JoinHandle` has for it.
    #[must_use]
    pub fn thread(&self) -> Task {
        self.task()
    }

    /// Takes the result. Only after the end.
    fn take(&mut self) -> Result<T, JoinError> {
        assert!(!self.taken, "the handle of a task was awaited, and has given its result away");
        self.taken = true;
        self.task.take()
    }

    /// Waits for the task to end, and gives what it returned.
    ///
    /// # Errors
    /// The task panicked (the payload is in the error), was cancelled, or could not start.
    ///
    /// # Panics
    /// If the handle was awaited to its end before.
    ///
    /// # Waits
    /// Until the task has ended.
    ///
    /// # Cancellation
    /// If the caller is cancelled it unwinds from here, and the task is detached.
    #[track_caller]
    pub fn join(mut self) -> Result<T, JoinError> {
        while !self.task.header().wait_done(join_wait()) {}
        self.take()
    }

    /// Waits for the task to end, for `timeout` at most.
    ///
    /// # Errors
    /// The handle itself, if the task goes on.
    ///
    /// # Panics
    /// As [`join`](Self::join).
    ///
    /// # Waits
    /// Until the task has ended, or for that long.
    ///
    /// # Cancellation
    /// As [`join`](Self::join).
    #[track_caller]
    pub fn join_timeout(mut self, timeout: Duration) -> Result<Result<T, JoinError>, Self> {
        if self.task.header().wait_done(join_wait().until(clock::after(timeout))) {
            Ok(self.take())
        } else {
            Err(self)
        }
    }

    /// Whether the task has ended: then `join` does not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.header().is_done()
    }

    /// A receiver that tells of the end of the task, for [`select!`](macro@ropewalk_sync::channel::select): there is never a message, and it is
    /// disconnected when the task has ended, so a receive gives an error then. `join` does not wait any more.
    ///
    /// ```
    /// use ropewalk_runtime::coroutine;
    /// use ropewalk_sync::channel::{select, unbounded};
    ///
    /// let (sender, receiver) = unbounded();
    /// let worker = coroutine::spawn(move || sender.send("half way").unwrap());
    /// let ended = worker.ended();
    /// let mut news = Vec::new();
    /// while news.len() < 2 {
    ///     select! {
    ///         recv(receiver) -> message => news.extend(message.ok()),
    ///         recv(ended) -> _ => news.push("the end"),
    ///     }
    /// }
    /// worker.join().unwrap();
    /// ```
    #[must_use]
    pub fn ended(&self) -> Receiver<Infallible> {
        self.task.header().ended()
    }

    /// Asks the task to end: it unwinds from its next wait, running destructors. A task that has not started never
    /// does. Returns at once; `join` tells how it ended. A task that returns all the same has returned.
    pub fn cancel(&self) {
        cancel(self.task.clone().into_park());
    }

    /// The task's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        TaskId(self.task.waiter().id())
    }

    /// The task's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.task.header().name()
    }

    /// Where it was spawned.
    #[must_use]
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.task.header().spawned_at()
    }
}

impl<T: 'static> JoinHandle<Result<T, Ended>> {
    /// The handle of a task that says by its value how what it stands for has ended.
    pub(crate) fn of_what_it_stands_for(mut self) -> JoinHandle<T> {
        // The result is the other handle's.
        self.taken = true;
        JoinHandle::new(Arc::new(Ending(self.task.clone())))
    }
}

impl<T> Cancellable for JoinHandle<T> {
    fn unparker(&self) -> Unparker {
        Unparker::of(self.task.clone().into_park())
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// Never waits: the task leaves a call for the waker that came last. Dropping the handle before it is ready detaches
    /// the task.
    ///
    /// # Panics
    /// If it was ready before.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.polled = true;
        if self.task.header().poll_done(context.waker()) { Poll::Ready(self.take()) } else { Poll::Pending }
    }
}

/// The result lies with the task, not in the handle.
impl<T> Unpin for JoinHandle<T> {}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.polled {
            self.task.header().forget_waker();
        }
        if !self.taken {
            self.task.detach();
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// How a task failed to return.
pub struct JoinError(Box<Failed>);

/// In a box, so that a task that does not fail keeps no room for it.
struct Failed {
    id: u64,
    name: Option<Arc<str>>,
    cause: Cause,
}

enum Cause {
    Panicked(Payload),
    Cancelled,
    NotStarted(io::Error),
    /// A process that ended without a result.
    Exited(Exit),
}

/// With what a task that stands for another thing says how that has ended.
pub(crate) enum Ended {
    NotStarted(io::Error),
    Exited(Exit),
    /// Where nothing unwinds.
    Cancelled,
}

impl JoinError {
    pub(crate) fn cancelled(id: u64, name: Option<Arc<str>>) -> Self {
        Self(Box::new(Failed { id, name, cause: Cause::Cancelled }))
    }

    /// Of a task that unwound with this payload.
    pub(crate) fn panicked(id: u64, name: Option<Arc<str>>, payload: Box<dyn Any + Send>) -> Self {
        Self(Box::new(Failed { id, name, cause: Cause::Panicked(Payload::new(payload)) }))
    }

    pub(super) fn ended(id: u64, name: Option<Arc<str>>, ended: Ended) -> Self {
        let cause = match ended {
            Ended::NotStarted(reason) => Cause::NotStarted(reason),
            Ended::Exited(exit) => Cause::Exited(exit),
            Ended::Cancelled => Cause::Cancelled,
        };
        Self(Box::new(Failed { id, name, cause }))
    }

    pub(crate) fn not_started(id: u64, name: Option<Arc<str>>, reason: io::Error) -> Self {
        Self(Box::new(Failed { id, name, cause: Cause::NotStarted(reason) }))
    }

    /// Of a call that was made by the task that waited for it, under a number of its own.
    pub(crate) fn of_call(ended: Ended) -> Self {
        Self::ended(Waiter::new(false).id(), None, ended)
    }

    /// Which task it was.
    #[must_use]
    pub fn id(&self) -> TaskId {
        TaskId(self.0.id)
    }

    /// Whether it panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0.cause, Cause::Panicked(_) | Cause::Exited(Exit::Panicked { .. }))
    }

    /// How the process ended, if the task was one and ran.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        match &self.0.cause {
            Cause::Exited(exit) => Some(exit),
            _ => None,
        }
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.cause, Cause::Cancelled)
    }

    /// The payload of its panic, as `std::thread::JoinHandle::join` gives it; of a process's panic the message, as a
    /// `String`.
    ///
    /// # Errors
    /// The error itself, if the task did not panic.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        if !self.is_panic() {
            return Err(self);
        }
        match self.0.cause {
            Cause::Panicked(payload) => Ok(payload.into_inner()),
            Cause::Exited(Exit::Panicked { message, .. }) => Ok(Box::new(message)),
            _ => unreachable!("looked at just now"),
        }
    }

    /// The payload of its panic, if it is a `P`.
    ///
    /// # Errors
    /// The error itself, if the task did not panic or panicked with something else.
    pub fn downcast<P: Any>(self) -> Result<P, Self> {
        let (id, name) = (self.0.id, self.0.name.clone());
        match self.into_panic()?.downcast::<P>() {
            Ok(payload) => Ok(*payload),
            Err(payload) => Err(Self::panicked(id, name, payload)),
        }
    }

    /// The payload of its panic by reference, if it is a `P`. One that is not `Sync` comes by
    /// [`downcast`](Self::downcast) only.
    ///
    /// ```
    /// use ropewalk_runtime::coroutine;
    ///
    /// let error = coroutine::spawn(|| std::panic::resume_unwind(Box::new("out of ink"))).join().map(drop).unwrap_err();
    /// assert!(error.is::<&str>());
    /// assert_eq!(error.downcast_ref::<&str>(), Some(&"out of ink"));
    /// ```
    #[must_use]
    pub fn downcast_ref<P: Any + Sync>(&self) -> Option<&P> {
        match &self.0.cause {
            Cause::Panicked(payload) => payload.downcast_ref(),
            Cause::Exited(Exit::Panicked { message, .. }) => (message as &dyn Any).downcast_ref(),
            _ => None,
        }
    }

    /// Whether it panicked with a `P`.
    #[must_use]
    pub fn is<P: Any>(&self) -> bool {
        match &self.0.cause {
            Cause::Panicked(payload) => payload.is::<P>(),
            Cause::Exited(Exit::Panicked { message, .. }) => (message as &dyn Any).is::<P>(),
            _ => false,
        }
    }

    /// How the task ended.
    pub(crate) fn death(&self) -> Death {
        match &self.0.cause {
            Cause::Panicked(_) | Cause::Exited(Exit::Panicked { .. }) => Death::Panicked,
            Cause::Cancelled => Death::Cancelled,
            Cause::NotStarted(_) => Death::NotStarted,
            Cause::Exited(_) => Death::Exited,
        }
    }

    /// The text of its panic, where that is one.
    fn message(&self) -> Option<&str> {
        let text = self.downcast_ref::<&str>().copied();
        text.or_else(|| self.downcast_ref::<String>().map(String::as_str))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            Some(name) => write!(f, "task {} ('{name}') ", self.0.id)?,
            None => write!(f, "task {} ", self.0.id)?,
        }
        match (&self.0.cause, self.message()) {
            (Cause::Cancelled, _) => f.write_str("was cancelled"),
            (Cause::NotStarted(reason), _) => write!(f, "could not start: {reason}"),
            (Cause::Exited(exit), _) => exit.fmt(f),
            (Cause::Panicked(_), Some(message)) => write!(f, "panicked: {message}"),
            (Cause::Panicked(_), None) => f.write_str("panicked"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.cause {
            Cause::NotStarted(reason) => Some(reason),
            _ => None,
        }
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(error)
    }
}
