//! What all connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use super::ledger::Ledger;
use super::plan::PlanName;
use super::process::ProcessStatus;
use super::registry::Registry;
use super::signatures::Signatures;

/// The running service; `S` is its streams' type, `R` its reply slots'.
pub(super) struct Service<S, R> {
    /// The plan that runs it.
    pub(super) plan: PlanName,
    /// Where payments are decided and stored.
    pub(super) ledger: Ledger<R>,
    /// Cleared before a drain shuts the listener, so that the accept loop knows why it failed.
    pub(super) accepting: AtomicBool,
    /// The live connections.
    pub(super) registry: Arc<Registry<S>>,
    /// Set when signatures are checked.
    pub(super) signatures: Option<Signatures>,
    /// What a client may take.
    pub(super) limits: Limits,
    /// For counting threads and address space.
    pub(super) process: ProcessStatus,
    /// Connections that could not be accepted or started, so far.
    pub(super) transient_accept_errors: AtomicU64,
}

/// What a client may take of the server's memory and time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The largest request line and header, in bytes.
    pub(super) header: usize,
    /// The largest body, in bytes.
    pub(super) body: usize,
    /// From the first byte of a request to its last; also for taking a reply.
    pub(super) request_timeout: Duration,
    /// Between two requests.
    pub(super) idle_timeout: Duration,
}
