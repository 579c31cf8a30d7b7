//! What a full log does, and why nothing was received.

use std::error::Error;
use std::fmt;

/// What happens to a message for which there is no room because a receiver is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The oldest message makes room; who has not received it is told how many it has missed
    /// ([`RecvError::Lagged`]). Sending never waits.
    #[default]
    DropOldest,
    /// Sending waits until every receiver has received the oldest message: nobody misses one.
    Block,
    /// Who has not received the oldest message is disconnected ([`RecvError::TooSlow`]). Sending never waits.
    Disconnect,
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// All messages were received, and no more can come.
    Closed,
    /// So many messages were missed. The receiver goes on with the oldest that is there.
    Lagged(u64),
    /// The receiver missed a message, and gets none any more.
    TooSlow,
}

/// Why [`try_recv`](crate::broadcast::Receiver::try_recv) received nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is no message that was not received.
    Empty,
    /// All messages were received, and no more can come.
    Closed,
    /// So many messages were missed. The receiver goes on with the oldest that is there.
    Lagged(u64),
    /// The receiver missed a message, and gets none any more.
    TooSlow,
}

/// Why [`recv_timeout`](crate::topic::Subscription::recv_timeout) received nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// No message came in time.
    Timeout,
    /// All messages were received, and no more can come.
    Closed,
    /// So many messages were missed. The receiver goes on with the oldest that is there.
    Lagged(u64),
    /// The receiver missed a message, and gets none any more.
    TooSlow,
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => Self::Closed,
            RecvError::Lagged(missed) => Self::Lagged(missed),
            RecvError::TooSlow => Self::TooSlow,
        }
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => Self::Closed,
            RecvError::Lagged(missed) => Self::Lagged(missed),
            RecvError::TooSlow => Self::TooSlow,
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.pad("channel closed"),
            Self::Lagged(missed) => write!(f, "channel lagged by {missed}"),
            Self::TooSlow => f.pad("the receiver was too slow and is disconnected"),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.pad("channel empty"),
            Self::Closed => RecvError::Closed.fmt(f),
            Self::Lagged(missed) => RecvError::Lagged(*missed).fmt(f),
            Self::TooSlow => RecvError::TooSlow.fmt(f),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.pad("timed out waiting for a message"),
            Self::Closed => RecvError::Closed.fmt(f),
            Self::Lagged(missed) => RecvError::Lagged(*missed).fmt(f),
            Self::TooSlow => RecvError::TooSlow.fmt(f),
        }
    }
}

impl Error for RecvError {}
impl Error for TryRecvError {}
impl Error for RecvTimeoutError {}
