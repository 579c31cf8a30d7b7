//! What all connections of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::family::Family;
use super::ledger::Report;
use super::plan::PlanName;
use super::signatures::Signatures;
use crate::logging::Logging;

/// The running service; `L` is how its connections ask the ledger.
pub(super) struct Service<L> {
    /// How payments are decided and stored.
    pub(super) ledger: L,
    /// What is the same in all processes of the service.
    pub(super) terms: Terms,
    /// What this process has done so far.
    pub(super) counts: Arc<Counts>,
}

/// What is the same in all processes of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Terms {
    /// The plan that runs it.
    pub(super) plan: PlanName,
    /// How many accounts there are.
    pub(super) accounts: u64,
    /// Set when signatures are checked.
    pub(super) signatures: Option<Signatures>,
    /// What a client may take.
    pub(super) limits: Limits,
    /// The processes that it consists of.
    pub(super) family: Family,
    /// How each of them logs.
    pub(super) logging: Logging,
}

/// What a process has done so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Its live connections.
    pub(super) connections: AtomicU64,
    /// Connections that could not be accepted or started.
    pub(super) accept_errors: AtomicU64,
}

/// What a client may take of the server's memory and time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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

impl Counts {
    /// One more connection could not be accepted or started.
    pub(super) fn refuse(&self) {
        self.accept_errors.fetch_add(1, Relaxed);
    }

    /// The counts as the ledger is told them.
    pub(super) fn report(&self) -> Report {
        Report {
            coroutine_switches: ropewalk::inspect::statistics().coroutine_switches,
            connections: self.connections.load(Relaxed),
            accept_errors: self.accept_errors.load(Relaxed),
        }
    }
}
