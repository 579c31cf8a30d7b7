//! Why a message was not sent or received. Where a send failed the error gives the message back.

use std::error::Error;
use std::fmt;
use std::io;

/// What keeps a message from going over a transport, or from coming.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It would have to wait, or had to for too long.
    NotNow,
    /// Nobody is at the other side any more.
    Disconnected,
    /// Something else.
    Failed(io::Error),
}

/// Why [`send`](super::Sender::send) did not send. Holds the message.
#[non_exhaustive]
pub enum SendError<T> {
    /// All receivers are gone.
    Disconnected(T),
    /// The message cannot be sent, or no longer: why.
    Failed(T, io::Error),
}

/// Why [`try_send`](super::Sender::try_send) did not send. Holds the message.
#[non_exhaustive]
pub enum TrySendError<T> {
    /// There is no room.
    Full(T),
    /// All receivers are gone.
    Disconnected(T),
    /// The message cannot be sent, or no longer: why.
    Failed(T, io::Error),
}

/// Why [`send_timeout`](super::Sender::send_timeout) did not send. Holds the message.
#[non_exhaustive]
pub enum SendTimeoutError<T> {
    /// There was no room in time.
    Timeout(T),
    /// All receivers are gone.
    Disconnected(T),
    /// The message cannot be sent, or no longer: why.
    Failed(T, io::Error),
}

/// Why [`recv`](super::Receiver::recv) received nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// There is no message, and all senders are gone.
    Disconnected,
    /// What came is not what was expected, or the other side was lost: why. The channel goes on where that is possible.
    Failed(io::Error),
}

/// Why [`try_recv`](super::Receiver::try_recv) received nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is no message.
    Empty,
    /// There is no message, and all senders are gone.
    Disconnected,
    /// As [`RecvError::Failed`].
    Failed(io::Error),
}

/// Why [`recv_timeout`](super::Receiver::recv_timeout) received nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// No message came in time.
    Timeout,
    /// There is no message, and all senders are gone.
    Disconnected,
    /// As [`RecvError::Failed`].
    Failed(io::Error),
}

const SEND_DISCONNECTED: &str = "sending on a disconnected channel";
const RECEIVE_DISCONNECTED: &str = "receiving on an empty and disconnected channel";

impl<T> SendError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Disconnected(message) | Self::Failed(message, _) => message,
        }
    }

    /// Whether all receivers are gone.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl<T> TrySendError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Disconnected(message) | Self::Failed(message, _) => message,
        }
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether all receivers are gone.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl<T> SendTimeoutError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Timeout(message) | Self::Disconnected(message) | Self::Failed(message, _) => message,
        }
    }

    /// Whether there was no room in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Whether all receivers are gone.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl RecvError {
    /// Whether all senders are gone.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected)
    }
}

impl TryRecvError {
    /// Whether there was no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Whether all senders are gone.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected)
    }
}

impl RecvTimeoutError {
    /// Whether no message came in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout)
    }

    /// Whether all senders are gone.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected)
    }
}

impl<T> SendError<T> {
    /// Of a send that waits as long as it takes.
    pub(super) fn new(refusal: Refusal, message: T) -> Self {
        match refusal {
            Refusal::NotNow => Self::Failed(message, io::ErrorKind::TimedOut.into()),
            Refusal::Disconnected => Self::Disconnected(message),
            Refusal::Failed(error) => Self::Failed(message, error),
        }
    }
}

impl<T> TrySendError<T> {
    pub(super) fn new(refusal: Refusal, message: T) -> Self {
        match refusal {
            Refusal::NotNow => Self::Full(message),
            Refusal::Disconnected => Self::Disconnected(message),
            Refusal::Failed(error) => Self::Failed(message, error),
        }
    }
}

impl<T> SendTimeoutError<T> {
    pub(super) fn new(refusal: Refusal, message: T) -> Self {
        match refusal {
            Refusal::NotNow => Self::Timeout(message),
            Refusal::Disconnected => Self::Disconnected(message),
            Refusal::Failed(error) => Self::Failed(message, error),
        }
    }
}

impl From<Refusal> for RecvError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotNow => Self::Failed(io::ErrorKind::TimedOut.into()),
            Refusal::Disconnected => Self::Disconnected,
            Refusal::Failed(error) => Self::Failed(error),
        }
    }
}

impl From<Refusal> for TryRecvError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotNow => Self::Empty,
            Refusal::Disconnected => Self::Disconnected,
            Refusal::Failed(error) => Self::Failed(error),
        }
    }
}

impl From<Refusal> for RecvTimeoutError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotNow => Self::Timeout,
            Refusal::Disconnected => Self::Disconnected,
            Refusal::Failed(error) => Self::Failed(error),
        }
    }
}

// The messages need not be printable, so they are not printed.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(_) => f.pad("Disconnected(..)"),
            Self::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.pad("Full(..)"),
            Self::Disconnected(_) => f.pad("Disconnected(..)"),
            Self::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
        }
    }
}

impl<T> fmt::Debug for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(_) => f.pad("Timeout(..)"),
            Self::Disconnected(_) => f.pad("Disconnected(..)"),
            Self::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
        }
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(_) => f.pad(SEND_DISCONNECTED),
            Self::Failed(_, error) => error.fmt(f),
        }
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.pad("sending on a full channel"),
            Self::Disconnected(_) => f.pad(SEND_DISCONNECTED),
            Self::Failed(_, error) => error.fmt(f),
        }
    }
}

impl<T> fmt::Display for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(_) => f.pad("timed out waiting on send operation"),
            Self::Disconnected(_) => f.pad(SEND_DISCONNECTED),
            Self::Failed(_, error) => error.fmt(f),
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.pad(RECEIVE_DISCONNECTED),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.pad("receiving on an empty channel"),
            Self::Disconnected => f.pad(RECEIVE_DISCONNECTED),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.pad("timed out waiting on receive operation"),
            Self::Disconnected => f.pad("channel is empty and disconnected"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<T> Error for SendError<T> {}
impl<T> Error for TrySendError<T> {}
impl<T> Error for SendTimeoutError<T> {}
impl Error for RecvError {}
impl Error for TryRecvError {}
impl Error for RecvTimeoutError {}

/// [`BrokenPipe`](io::ErrorKind::BrokenPipe) where all receivers are gone.
impl<T> From<SendError<T>> for io::Error {
    fn from(error: SendError<T>) -> Self {
        match error {
            SendError::Disconnected(_) => Self::new(io::ErrorKind::BrokenPipe, SEND_DISCONNECTED),
            SendError::Failed(_, error) => error,
        }
    }
}

/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) where all senders are gone.
impl From<RecvError> for io::Error {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Disconnected => Self::new(io::ErrorKind::UnexpectedEof, RECEIVE_DISCONNECTED),
            RecvError::Failed(error) => error,
        }
    }
}
