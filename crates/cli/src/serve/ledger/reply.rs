//! How a connection waits for the ledger's answer.

use crate::serve::payment::Outcome;

/// A place for one answer: the ledger thread puts it, the connection waits for it. One per
/// connection, used again for each payment. Each plan brings the one that it waits in best.
///
/// Protocol: a connection hands its slot to the ledger, then takes exactly one outcome; the ledger
/// puts exactly one. Only the connection that owns the slot takes.
pub(in crate::serve) trait ReplySlot: Send + Sync + 'static {
    /// An empty slot for the calling task.
    fn new() -> Self;

    /// Fills the slot and wakes who waits. Called on the ledger thread; never waits.
    fn put(&self, outcome: Outcome);

    /// Waits until the slot is filled, and empties it.
    fn take(&self) -> Outcome;
}
