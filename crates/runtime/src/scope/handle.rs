//! The handle of a child of a scope.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use ropewalk_sync::cancel_token::Cancellable;
use ropewalk_sync::channel::Receiver;
use ropewalk_sync::park::Unparker;

use crate::task::current::Task;
use crate::task::join::{JoinError, JoinHandle, TaskId};

/// The handle of a child of a scope. It is a future as [`JoinHandle`] is.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    pub(super) handle: JoinHandle<T>,
    pub(super) scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the child to end, and gives what it returned.
    ///
    /// # Errors
    /// It panicked, or was cancelled.
    ///
    /// # Waits
    /// Until it has ended.
    ///
    /// # Cancellation
    /// Unwinds a cancelled caller.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.join()
    }

    /// Whether the child has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The child, without a right to its result: see [`JoinHandle::task`].
    #[must_use]
    pub fn task(&self) -> Task {
        self.handle.task()
    }

    /// As [`task`](Self::task), by the name that `std::thread::ScopedJoinHandle` has for it.
    #[must_use]
    pub fn thread(&self) -> Task {
        self.task()
    }

    /// A receiver that is disconnected when the child has ended: see [`JoinHandle::ended`].
    #[must_use]
    pub fn ended(&self) -> Receiver<Infallible> {
        self.handle.ended()
    }

    /// Asks the child to end: see [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// The child's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// The child's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.handle.name()
    }
}

impl<T> Cancellable for ScopedJoinHandle<'_, T> {
    fn unparker(&self) -> Unparker {
        self.handle.unparker()
    }
}

impl<T> Future for ScopedJoinHandle<'_, T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If it was ready before.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(context)
    }
}
