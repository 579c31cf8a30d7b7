//! The ledger: one thread that writes payments to an SQLite database, in groups.
//!
//! Why one thread: SQLite has one writer at a time, and what a commit costs is the sync at its
//! end. A thread that commits all that waits shares one sync among up to 320 payments; a reply is
//! sent only after its group's commit. It is the same plain thread under every plan, so that plans
//! are compared and ledgers are not.
//!
//! Balances are also kept in memory as of the last commit: `GET /accounts/7` neither waits for the
//! ledger thread nor touches SQLite, and never shows money that could still be lost.

mod books;
mod error;
mod handle;
mod queue;
mod reply;

pub(super) use books::Opening;
pub(super) use handle::Ledger;
pub(super) use reply::ReplySlot;

#[cfg(test)]
mod tests;
