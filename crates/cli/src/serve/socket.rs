//! The socket between those who serve and the ledger, where its user is a coroutine.

/// A stream of bytes between two processes, or within one.
pub(super) type Socket = ropewalk::net::UnixStream;
