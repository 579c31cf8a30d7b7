//! One cell: the service under one plan, so many users, one round, and the books afterwards.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::block::Block;
use crate::compare::books;
use crate::compare::client::{ClientFailed, ClientOptions};
use crate::compare::limiter::Shares;
use crate::compare::limits::Obstacle;
use crate::compare::measure::Memory;
use crate::compare::plan::Plan;
use crate::compare::result::{Figures, Measurement, Outcome};
use crate::compare::server::{Server, ServerDied, ServerOptions};
use crate::format;
use crate::interrupt::Interrupt;
use crate::load::{Spent, Summary, journal};
use crate::size::Size;

/// What all cells of a comparison have in common.
#[derive(Clone, Debug)]
pub(crate) struct CellOptions {
    /// Where the databases are made.
    pub(crate) directory: PathBuf,
    /// How the service is run.
    pub(crate) server: ServerOptions,
    /// What the users do.
    pub(crate) client: ClientOptions,
    /// The least time of one sync of the disk.
    pub(crate) sync_us: f64,
    /// Processors of the machine.
    pub(crate) processors: usize,
}

/// Runs one cell on a fresh database that is gone afterwards; `None` when it was interrupted.
pub(crate) fn run(plan: Plan, users: u32, options: &CellOptions, interrupt: &Interrupt) -> Option<Outcome> {
    let directory = match tempfile::Builder::new().prefix("ropewalk-compare-").tempdir_in(&options.directory)
    {
        Ok(directory) => directory,
        Err(error) => {
            let directory = options.directory.display();
            return Some(broken(format!(
                "cannot make a directory in {directory}: {error}; choose another --dir"
            )));
        }
    };
    let outcome = run_in(directory.path(), plan, users, options, interrupt);
    match (directory.close(), outcome) {
        (Err(error), Some(Outcome::Measured(_))) => {
            Some(broken(format!("the database could not be removed: {error}")))
        }
        (_, outcome) => outcome,
    }
}

fn broken(reason: String) -> Outcome {
    Outcome::Broken { reason }
}

fn run_in(
    directory: &Path,
    plan: Plan,
    users: u32,
    options: &CellOptions,
    interrupt: &Interrupt,
) -> Option<Outcome> {
    let database = directory.join("ledger.db");
    let journal = directory.join("journal");
    let mut server = match Server::start(plan, &database, &options.server) {
        Ok(server) => server,
        Err(died) => return Some(failed(&died, options)),
    };
    let address = server.address;
    let load = match options.client.run(users, address, &journal, &mut server, interrupt) {
        Ok(load) => load,
        Err(ClientFailed::Interrupted) => return None,
        Err(ClientFailed::ServerDied) => {
            return Some(failed(&server.died(), options));
        }
        Err(ClientFailed::Broken(reason)) => return Some(broken(reason)),
    };
    if load.window.is_none() {
        return Some(not_served(plan, &load, server, options));
    }
    let last_words = match server.drain() {
        Ok(last_words) => last_words,
        Err(died) => return Some(broken(died.to_string())),
    };
    if let Some(reason) = surprise(&load) {
        let said = last_words.last().map(|line| format!("; the server said: {line}"));
        return Some(broken(reason + &said.unwrap_or_default()));
    }
    Some(settle(&database, &journal, load, options))
}

/// The server ended too early. Within a limit of its memory that is the limit's doing.
fn failed(died: &ServerDied, options: &CellOptions) -> Outcome {
    match options.server.memory {
        Some(memory) => beyond_memory(memory, format!("with --memory {memory}, {died}")),
        None => broken(died.to_string()),
    }
}

/// Not every user could be connected, so the clock never started.
fn not_served(plan: Plan, load: &Summary, server: Server, options: &CellOptions) -> Outcome {
    // What the server says is nearer to the cause than what its users see of it. Its advice is for whoever runs it
    // by hand.
    let said = server.kill().pop().map(|line| line.split(';').next().unwrap_or(&line).to_owned());
    let seen = load.trouble.clone().unwrap_or_else(|| "no reason was given".to_owned());
    let (connected, users) = (format::thousands(load.connected.into()), format::thousands(load.users.into()));
    let reason = match &said {
        Some(said) if plan.is_threads() => {
            format!("thread creation failed at {connected} of {users}: {said}")
        }
        Some(said) if plan == Plan::Process => {
            format!("process creation failed at {connected} of {users}: {said}")
        }
        Some(said) => format!("only {connected} of {users} users were served: {said}"),
        None => format!("only {connected} of {users} users were served: {seen}"),
    };
    match options.server.memory {
        Some(memory) => beyond_memory(memory, format!("with --memory {memory}, {reason}")),
        None if said.is_some() => broken(format!("{reason}; {seen}")),
        None => broken(reason),
    }
}

fn beyond_memory(memory: Size, reason: String) -> Outcome {
    Outcome::Impossible(Obstacle {
        reason,
        mend: format!("--memory above {memory}, a smaller --thread-stack, or --plans coroutine"),
    })
}

/// What must not happen between users and server, if it did.
fn surprise(load: &Summary) -> Option<String> {
    if let Some(trouble) = &load.trouble {
        return Some(trouble.clone());
    }
    let (status, count) = load.answers.unexpected.iter().next()?;
    Some(format!("{count} requests were answered with status {status}"))
}

/// So many processes of a kind are kept one by one: a thousand that serve a connection each are all alike.
const KEPT: usize = 16;

fn shorten(processes: &mut Vec<Block>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    processes.retain(|block| {
        let count = seen.entry(block.role.clone()).or_default();
        *count += 1;
        *count <= KEPT
    });
}

/// Checks the books and computes the figures.
fn settle(database: &Path, journal: &Path, mut load: Summary, options: &CellOptions) -> Outcome {
    let memory = Memory::of(&load.processes);
    shorten(&mut load.processes);
    let entries = match journal::read(journal) {
        Ok(entries) => entries,
        Err(error) => return broken(error.to_string()),
    };
    let books = match books::check(database, options.client.bank, &entries) {
        Ok(books) => books,
        Err(error) => return broken(error.to_string()),
    };
    let spent = load.window.as_ref().map(|window| &window.spent);
    let shares = spent.and_then(|spent| Shares::of(spent, options.sync_us));
    Outcome::Measured(Box::new(Measurement {
        figures: figures(&load, memory.as_ref()),
        limiter: shares.map(|shares| shares.limiter(options.processors)),
        shares,
        memory,
        books,
        load,
    }))
}

fn figures(load: &Summary, memory: Option<&Memory>) -> Figures<Option<f64>> {
    let window = load.window.as_ref();
    let quantile = |quantile| window.and_then(|window| window.latency_us.quantile_us(quantile));
    let spent = window.map(|window| window.spent).filter(|spent| spent.requests > 0);
    let per_request = |count: fn(&Spent) -> Option<u64>| {
        let spent = spent.as_ref()?;
        Some(count(spent)? as f64 / spent.requests as f64)
    };
    Figures {
        rate: window.map(|window| window.rate()),
        connect_seconds: Some(load.connect_seconds),
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        p999_us: quantile(0.999),
        server_cpu_us: per_request(|spent| spent.server.map(|server| server.cpu_us)),
        ledger_cpu_us: per_request(|spent| spent.server.map(|server| server.ledger_cpu_us)),
        client_cpu_us: per_request(|spent| Some(spent.client_cpu_us)),
        kernel_switches: per_request(|spent| {
            spent.server.map(|server| server.voluntary_switches + server.involuntary_switches)
        }),
        coroutine_switches: per_request(|spent| spent.server.map(|server| server.coroutine_switches)),
        page_faults: per_request(|spent| {
            spent.server.map(|server| server.minor_faults + server.major_faults)
        }),
        touched_bytes: memory.map(|memory| memory.touched_bytes() as f64),
        reserved_bytes: memory.map(|memory| memory.reserved_bytes as f64),
    }
}
