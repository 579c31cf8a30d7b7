//! The ledger: a process of its own that writes payments to an SQLite database, in groups.
//!
//! ```text
//!   those who serve                         the ledger's process
//!   direct, shared ──wire, a socket each──> desk ──queue──> engine ──books──> SQLite
//! ```
//!
//! Why one writer: SQLite has one at a time, and what a commit costs is the sync at its end. A thread that commits all that
//! waits shares one sync among up to 320 payments; a reply is sent only after its group's commit. Why a process: it is the
//! same under every plan, also under those whose connections are processes themselves, so that plans are compared and
//! ledgers are not.
//!
//! Why whoever asks sleeps, and there is no choice of [`WaitPolicy`](ropewalk::ipc::ring::WaitPolicy): a reply comes after its
//! group's commit, a sync, so who looks for it for a while sleeps all the same, and who looks until it is there takes the CPU
//! from those who serve, and from the ledger.
//!
//! Balances are also kept in memory as of the last commit: `GET /accounts/7` neither waits for a commit nor touches
//! SQLite, and never shows money that could still be lost.

mod books;
mod desk;
mod direct;
mod engine;
mod error;
mod process;
mod queue;
mod reply;
mod shared;
mod wire;

pub(super) use books::Opening;
pub(super) use direct::Direct;
pub(super) use process::LedgerProcess;
pub(super) use reply::ReplySlot;
pub(super) use shared::{Reporter, Shared, Wire};
pub(super) use wire::{LedgerState, Reply, Report, Request};

/// The ledger as a connection sees it.
pub(super) trait Ledger: Send + Sync + 'static {
    /// What a connection waits in for its replies.
    type Slot;

    /// A slot for the calling task.
    fn slot(&self) -> Self::Slot;

    /// Asks, and waits for the reply. Not for [`Request::Report`], which has none.
    ///
    /// # Waits
    /// For the ledger.
    fn ask(&self, request: &Request, slot: &Self::Slot) -> Reply;

    /// Says what this process has done so far.
    ///
    /// # Waits
    /// Where the ledger has not taken what was sent before.
    fn tell(&self, report: Report);
}

#[cfg(test)]
mod tests;
