//! What every spawn does, whatever the plan: the new task's parent and runtime.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

use ropewalk_sync::cancel_token::Cancellable;
use ropewalk_sync::park::{Park, Unparker};

use crate::task::current::{Task, current_owner, with_current_header};
use crate::task::join::JoinHandle;
use crate::task::{Birth, Owner};

/// The runtime of the task that calls, or on whose behalf the caller works, for who knows its type.
pub(crate) fn current_runtime() -> Option<Arc<dyn Any + Send + Sync>> {
    current_owner()?.runtime()
}

/// What a task of `runtime` is born with. A `counted` one is waited for.
pub(crate) fn birth(name: Option<Arc<str>>, runtime: Arc<dyn Owner>, counted: bool) -> Birth {
    if counted {
        runtime.began();
    }
    Birth { name, owner: Some(runtime), slot: 0, counted }
}

/// Makes the calling task responsible for a daemon child: it is cancelled when the caller ends.
pub(crate) fn adopt_daemon(child: &Arc<dyn Park>) {
    with_current_header(|header| {
        if let Some(header) = header {
            header.adopt_daemon(Arc::downgrade(child));
        }
    });
}

/// What starts a task that was created, or sees to it that it never starts. One for each plan.
pub(crate) trait Launch: Send {
    fn start(self: Box<Self>) -> io::Result<()>;
    fn discard(self: Box<Self>);
}

/// A task that was created and has not started: what [`coroutine::Builder::create`](crate::coroutine::Builder::create)
/// and [`thread::Builder::create`](crate::thread::Builder::create) give. It has a number, a name and a place in the tree
/// of tasks, costs no stack and no thread yet, and nobody waits for it. Dropping it drops its function: it never starts.
///
/// ```
/// use ropewalk_runtime::{inspect::State, thread};
///
/// let clerk = thread::Builder::new().name("clerk".into()).create(|| 6 * 7)?;
/// assert_eq!(clerk.task().state(), State::New);
/// let handle = clerk.start()?;
/// assert_eq!(handle.join()?, 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "it does nothing until it is started"]
pub struct Unstarted<T> {
    /// Both there until it is started.
    parts: Option<(JoinHandle<T>, Box<dyn Launch>)>,
}

impl<T> Unstarted<T> {
    pub(crate) fn new(handle: JoinHandle<T>, launch: Box<dyn Launch>) -> Self {
        Self { parts: Some((handle, launch)) }
    }

    /// The task: it can be asked what it does, and cancelled, before it starts. One that was cancelled ends when it
    /// is started, without running.
    #[must_use]
    pub fn task(&self) -> Task {
        let (handle, _) = self.parts.as_ref().expect("it is taken by who consumes it");
        handle.task()
    }

    /// Starts it. From now on whoever waits for the children of its runtime waits for it.
    ///
    /// # Errors
    /// A thread that the kernel does not start: see [`thread::Builder::spawn`](crate::thread::Builder::spawn).
    pub fn start(mut self) -> io::Result<JoinHandle<T>> {
        let (handle, launch) = self.parts.take().expect("it is taken by who consumes it");
        launch.start()?;
        Ok(handle)
    }
}

impl<T> Cancellable for Unstarted<T> {
    fn unparker(&self) -> Unparker {
        self.task().0
    }
}

impl<T> Drop for Unstarted<T> {
    fn drop(&mut self) {
        if let Some((_, launch)) = self.parts.take() {
            launch.discard();
        }
    }
}

impl<T> fmt::Debug for Unstarted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unstarted").field("task", &self.task()).finish_non_exhaustive()
    }
}
