//! The users: `ropewalk load` as a child, always the same program whatever the server's plan.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::compare::child::Child;
use crate::compare::server::Server;
use crate::interrupt::Interrupt;
use crate::load::payments::Bank;
use crate::load::{Summary, Work};

/// How long the users wait for an answer, and for all of them to connect.
const PATIENCE_SECONDS: u64 = 20;

/// What the users do, apart from their number.
#[derive(Clone, Debug)]
pub(crate) struct ClientOptions {
    /// What the requests do.
    pub(crate) work: Work,
    /// What they are drawn from.
    pub(crate) seed: u64,
    /// Warm-up before the payment clock starts.
    pub(crate) warmup: f64,
    /// The longest that the payment clock runs.
    pub(crate) seconds: f64,
    /// The payment clock stops after so many answers.
    pub(crate) payments: u64,
    /// The accounts there are.
    pub(crate) bank: Bank,
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum ClientFailed {
    /// Someone asked for the end.
    Interrupted,
    /// The server ended while the users were at it.
    ServerDied,
    /// The load generator itself failed.
    Broken(String),
}

impl ClientOptions {
    /// Lets the users pay, watches the server meanwhile, and returns what the users found.
    ///
    /// # Errors
    /// See [`ClientFailed`].
    pub(crate) fn run(
        &self,
        users: u32,
        address: SocketAddr,
        journal: &Path,
        server: &mut Server,
        interrupt: &Interrupt,
    ) -> Result<Summary, ClientFailed> {
        let broken = |what: String| ClientFailed::Broken(format!("the load generator {what}"));
        let mut child = Child::start(self.arguments(users, address, journal))
            .map_err(|error| broken(format!("could not be started: {error}")))?;
        // Everything that it waits for has a limit; twice their sum is beyond doubt.
        let limit = self.warmup + self.seconds + 3.0 * PATIENCE_SECONDS as f64;
        let deadline = Instant::now() + Duration::from_secs_f64(2.0 * limit);
        let mut server_died = false;
        let status = child
            .wait(|| {
                server_died |= !server.is_running();
                // With the server gone the users find out by themselves, and their journal is worth having.
                interrupt.is_set() || Instant::now() >= deadline
            })
            .map_err(|error| broken(format!("could not be waited for: {error}")))?;
        if interrupt.is_set() {
            return Err(ClientFailed::Interrupted);
        }
        // Both may have ended between two looks.
        if server_died || !server.is_running() {
            return Err(ClientFailed::ServerDied);
        }
        let line = status.and_then(|_| child.next_line(Duration::from_secs(5)));
        line.and_then(|line| serde_json::from_str(&line).ok()).ok_or_else(|| {
            let how =
                status.map_or_else(|| "did not end".to_owned(), |status| format!("ended with {status}"));
            broken(format!("{how}: {}", child.kill_and_last_words().join("; ")))
        })
    }

    fn arguments(&self, users: u32, address: SocketAddr, journal: &Path) -> Vec<String> {
        vec![
            "load".to_owned(),
            address.to_string(),
            format!("--users={users}"),
            format!("--work={}", self.work.name()),
            format!("--seed={}", self.seed),
            format!("--warmup={}", self.warmup),
            format!("--seconds={}", self.seconds),
            format!("--payments={}", self.payments),
            format!("--accounts={}", self.bank.accounts),
            format!("--opening-balance={}", self.bank.opening_cents),
            format!("--patience={PATIENCE_SECONDS}"),
            format!("--journal={}", journal.display()),
            "--json".to_owned(),
        ]
    }
}
