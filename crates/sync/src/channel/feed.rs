//! Receivers whose messages are kept elsewhere: by a topic, say, for each subscription.

use std::time::Instant;

use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::wait_list::{Outcome, Selecting};

/// Where such a receiver takes its messages from.
///
/// To begin an operation is to be promised its result, as in a channel. But who waits for a feed in a select is only told
/// that it may be ready, and begins then.
pub(crate) trait Feed<T>: Send + Sync {
    /// Receives if that needs no wait.
    fn try_receive(&self) -> Result<T, TryRecvError>;

    /// Receives, until `deadline` at most.
    fn receive(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError>;

    /// How many messages are there.
    fn len(&self) -> usize;

    /// How many there may be.
    fn capacity(&self) -> Option<usize>;

    /// Begins to receive, if that needs no wait.
    fn begin(&self) -> Option<Outcome>;

    /// Whether to receive needs no wait.
    fn is_ready(&self) -> bool;

    /// Has an operation of a select wait to be told that it may be ready. `false`: it is ready.
    fn enlist<'a>(&'a self, selecting: &Selecting<'a>, index: usize) -> bool;

    /// Ends what was begun.
    fn end(&self, begun: Outcome) -> Result<T, RecvError>;

    /// Gives back what was promised.
    fn release(&self, begun: Outcome);
}
