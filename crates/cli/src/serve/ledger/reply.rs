//! How a connection waits for the ledger's answer.

use super::wire::Reply;

/// A place for one reply: whoever receives from the ledger puts it, the connection waits for it. One per connection,
/// used again for each request. Each plan brings the one that it waits in best.
///
/// Protocol: a connection hands its slot over with a request, then takes exactly one reply; exactly one is put. Only the
/// connection that owns the slot takes.
pub(in crate::serve) trait ReplySlot: Send + Sync + 'static {
    /// An empty slot for the calling task.
    fn new() -> Self;

    /// Fills the slot and wakes who waits. Never waits.
    fn put(&self, reply: Reply);

    /// Waits until the slot is filled, and empties it.
    fn take(&self) -> Reply;
}
