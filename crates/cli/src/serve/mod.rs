//! `ropewalk serve`: payments over HTTP, on a real database, under any plan.
//!
//! ```text
//!   accept ──start──> connection ──> api ──> ledger ══socket══> the ledger's process ──> SQLite
//!     │                  │  │                                      one for all plans, group commit
//!     │                  │  └─ http (bytes)
//!     └── how connections are run: tasks (of one process: coroutines, threads), processes (one for each connection),
//!         workers (a few processes, coroutines in each); all else is the same code
//! ```

mod accept;
mod address_space;
mod api;
mod args;
mod connection;
mod door;
mod drain;
mod family;
mod http;
mod ledger;
mod limits;
mod payment;
mod plan;
mod processes;
mod registry;
mod room;
mod service;
mod signatures;
mod socket;
mod statistics;
mod tasks;
mod throttle;
mod workers;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::args::Args;
use self::door::Door;
use self::drain::Drain;
use self::family::{Children, Family};
use self::ledger::{LedgerProcess, Opening};
use self::plan::{Coroutines, Plan, PlanName, StdThreads, Threads};
use self::service::{Limits, Terms};
use self::signatures::Signatures;
use self::tasks::Company;
use self::workers::Crew;
use crate::exit_code::ExitCode;
use crate::logging::Logging;

/// What ends the command with a message.
type Error = Box<dyn std::error::Error>;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let address = resolve(&args.listen)?;
    limits::raise_descriptor_limit()?;
    let opening = Opening { accounts: args.accounts, balance: args.opening_balance };
    // Before the address space is limited: the limit is for those who serve.
    let ledger = Arc::new(LedgerProcess::start(&args.database, opening)?);
    if let Some(memory) = args.memory {
        limits::limit_memory(memory)?;
    }
    let (terms, stack_size) = (terms(args, &ledger), args.thread_stack.as_len());
    let limit = args.drain_limit;
    match args.plan {
        PlanName::Std => serve(StdThreads { stack_size }, terms, &ledger, address, limit)?,
        PlanName::Thread => serve(Threads { stack_size }, terms, &ledger, address, limit)?,
        PlanName::Coroutine => {
            serve(Coroutines { workers: args.workers }, terms, &ledger, address, limit)?;
        }
        PlanName::Process => processes::serve(&terms, &ledger, address, limit, announce)?,
        PlanName::ProcessCoroutine => {
            let crew = Crew::new(args.processes, args.workers, limit);
            workers::serve(&terms, &ledger, address, crew, announce)?;
        }
    }
    if let Some(ledger) = Arc::into_inner(ledger) {
        ledger.close()?;
    }
    Ok(ExitCode::Success)
}

/// Serves in this process until a signal ends it.
fn serve<P: Plan>(
    plan: P,
    terms: Terms,
    ledger: &LedgerProcess,
    address: SocketAddr,
    limit: Duration,
) -> Result<(), Error> {
    let open = move |door: &Arc<Door>, registry: &Arc<_>| {
        let listener = Arc::new(P::listen(address).map_err(|error| cannot_listen(address, &error))?);
        let drain = Drain {
            registry: Arc::clone(registry),
            noun: "connections",
            door: Arc::clone(door),
            listener: Arc::clone(&listener),
            limit,
        };
        drain.on_signal(|| {})?;
        announce(&*listener)?;
        Ok(listener)
    };
    Ok(tasks::serve(plan, terms, ledger.connect()?, Company::Alone, Door::default(), open)?)
}

/// What the arguments mean for everybody who serves.
fn terms(args: &Args, ledger: &LedgerProcess) -> Terms {
    let children = match args.plan {
        PlanName::Process => Some(Children::Connection),
        PlanName::ProcessCoroutine => Some(Children::Worker),
        PlanName::Coroutine | PlanName::Thread | PlanName::Std => None,
    };
    Terms {
        plan: args.plan,
        accounts: ledger.accounts,
        signatures: args.signatures.map(|key| Signatures::new(key, args.require_signatures)),
        limits: Limits {
            header: args.header_limit.as_len(),
            body: args.body_limit.as_len(),
            request_timeout: args.request_timeout,
            idle_timeout: args.idle_timeout,
        },
        family: Family { service: std::process::id(), ledger: ledger.pid, children },
        logging: Logging::current(),
    }
}

/// The address to listen on.
fn resolve(listen: &str) -> Result<SocketAddr, Error> {
    let mut addresses = listen.to_socket_addrs().map_err(|error| {
        format!("--listen {listen} is no address: {error}; write one such as 127.0.0.1:8080")
    })?;
    Ok(addresses.next().ok_or_else(|| format!("--listen {listen} has no address"))?)
}

/// An error that names the address.
fn cannot_listen(address: SocketAddr, error: &io::Error) -> io::Error {
    let message = format!("cannot listen on {address}: {error}; choose another --listen");
    io::Error::new(error.kind(), message)
}

/// Says where it listens, on stdout, for people and for programs that chose port 0.
fn announce(listener: &impl AsFd) -> io::Result<()> {
    let address = SocketAddr::try_from(rustix::net::getsockname(listener)?)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}
