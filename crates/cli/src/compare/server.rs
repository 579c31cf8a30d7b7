//! The service under one plan: `ropewalk serve` as a child on a fresh database.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::compare::child::Child;
use crate::compare::plan::Plan;
use crate::load::Work;
use crate::load::payments::{Bank, public_key_hex};
use crate::size::Size;

/// How long the server may take to listen, and to drain.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the service is run, apart from plan and database.
#[derive(Clone, Debug)]
pub(crate) struct ServerOptions {
    /// Worker threads of the coroutine plan; none is one per processor.
    pub(crate) workers: Option<usize>,
    /// Processes of the plan process+coroutine; none is one per processor.
    pub(crate) processes: Option<usize>,
    /// Stack of a thread.
    pub(crate) thread_stack: Size,
    /// Limit of the address space.
    pub(crate) memory: Option<Size>,
    /// The accounts to open.
    pub(crate) bank: Bank,
    /// What the requests do: signed ones need the users' key.
    pub(crate) work: Work,
    /// What the users' key is made from.
    pub(crate) seed: u64,
}

/// A running service.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the service and waits until it listens.
    ///
    /// # Errors
    /// In words: the child could not be started, or ended before it listened.
    pub(crate) fn start(plan: Plan, database: &Path, options: &ServerOptions) -> Result<Self, ServerDied> {
        let mut arguments: Vec<String> = vec![
            "serve".to_owned(),
            format!("--plan={plan}"),
            "--listen=127.0.0.1:0".to_owned(),
            format!("--database={}", database.display()),
            format!("--thread-stack={}", options.thread_stack),
            format!("--accounts={}", options.bank.accounts),
            format!("--opening-balance={}", options.bank.opening_cents),
        ];
        arguments.extend(options.workers.map(|workers| format!("--workers={workers}")));
        arguments.extend(options.processes.map(|processes| format!("--processes={processes}")));
        arguments.extend(options.memory.map(|memory| format!("--memory={memory}")));
        if options.work.is_signed() {
            arguments.push(format!("--signatures={}", public_key_hex(options.seed)));
        }
        if options.work == Work::Cpu {
            // A payment that slips through unsigned would make the work look cheaper than it is.
            arguments.push("--require-signatures".to_owned());
        }
        let mut child = Child::start(arguments).map_err(|error| ServerDied {
            what: format!("the server could not be started: {error}"),
            last_words: Vec::new(),
        })?;
        let address = child
            .next_line(PATIENCE)
            .and_then(|line| line.strip_prefix("listening on ")?.trim().parse().ok());
        match address {
            Some(address) => Ok(Self { child, address }),
            None => Err(ServerDied {
                what: "the server did not listen".to_owned(),
                last_words: child.kill_and_last_words(),
            }),
        }
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.is_running()
    }

    /// Drains the server and waits for its end, which must be a success; returns what it said last.
    ///
    /// # Errors
    /// In words: it did not end in time, or not well.
    pub(crate) fn drain(mut self) -> Result<Vec<String>, ServerDied> {
        let what = match self.child.terminate(PATIENCE) {
            Ok(Some(status)) if status.success() => return Ok(self.child.kill_and_last_words()),
            Ok(Some(status)) => format!("the server ended with {status}"),
            Ok(None) => format!("the server did not drain within {} s", PATIENCE.as_secs()),
            Err(error) => format!("the server could not be waited for: {error}"),
        };
        Err(ServerDied { what, last_words: self.child.kill_and_last_words() })
    }

    /// Ends the server at once and returns what it said last.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill_and_last_words()
    }

    /// The error for a server that ended during the load.
    pub(crate) fn died(mut self) -> ServerDied {
        let how = self.child.exit_status().map(|status| format!(" ({status})")).unwrap_or_default();
        ServerDied {
            what: format!("the server died under load{how}"),
            last_words: self.child.kill_and_last_words(),
        }
    }
}

/// The server ended when it should not have.
#[derive(Debug)]
pub(crate) struct ServerDied {
    what: String,
    last_words: Vec<String>,
}

impl fmt::Display for ServerDied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)?;
        match self.last_words.is_empty() {
            true => formatter.write_str("; it said nothing"),
            false => write!(formatter, "; it said last:\n  {}", self.last_words.join("\n  ")),
        }
    }
}
