//! The words in which readiness is asked for.

/// Which way a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Until a read, or an accept, would not block.
    Read,
    /// Until a write would not block, or a connect has ended.
    Write,
}

/// How waiting for one descriptor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The descriptor is ready, or in error, or hung up: the operation will tell.
    Ready,
    /// The deadline passed.
    TimedOut,
    /// Somebody wants something of the thread.
    Interrupted,
}

/// What an operation says that would have to wait, or has waited for as long as it may (`EAGAIN`).
pub const WOULD_BLOCK: i32 = libc::EAGAIN;
