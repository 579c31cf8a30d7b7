//! `ropewalk serve`: payments over HTTP, on a real database, under any plan.
//!
//! ```text
//!   accept ──spawn──> connection ──> api ──> ledger ──> SQLite
//!     │                  │  │                  │
//!     │                  │  └─ http (bytes)    └─ one plain thread, group commit
//!     └── plan: how to accept, spawn, read, write and wait; all else is the same code
//! ```

mod accept;
mod api;
mod args;
mod connection;
mod drain;
mod http;
mod ledger;
mod limits;
mod payment;
mod plan;
mod process;
mod registry;
mod room;
mod service;
mod signatures;
mod statistics;
mod throttle;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

pub(crate) use self::args::Args;
use self::ledger::{Ledger, Opening};
use self::plan::{Coroutines, Plan, PlanName, StdThreads, Threads};
use self::process::ProcessStatus;
use self::registry::Registry;
use self::service::{Limits, Service};
use self::signatures::Signatures;
use crate::exit_code::ExitCode;

/// What ends the command with a message.
type Error = Box<dyn std::error::Error>;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    if let Some(memory) = args.memory {
        limits::limit_memory(memory)?;
    }
    limits::raise_descriptor_limit()?;
    drain::ignore_file_size_signal()?;
    let stack_size = args.thread_stack.as_len();
    match args.plan {
        PlanName::Std => serve(StdThreads { stack_size }, args),
        PlanName::Thread => serve(Threads { stack_size }, args),
        PlanName::Coroutine => serve(Coroutines { workers: args.workers }, args),
    }
}

/// Serves until a signal ends it.
fn serve<P: Plan>(plan: P, args: &Args) -> Result<ExitCode, Error> {
    let address = resolve(&args.listen)?;
    let opening = Opening { accounts: args.accounts, balance: args.opening_balance };
    let service = Arc::new(Service {
        plan: args.plan,
        ledger: Ledger::open(&args.database, opening)?,
        accepting: AtomicBool::new(true),
        registry: Arc::new(Registry::new()),
        signatures: args.signatures.map(|key| Signatures::new(key, args.require_signatures)),
        limits: Limits {
            header: args.header_limit.as_len(),
            body: args.body_limit.as_len(),
            request_timeout: args.request_timeout,
            idle_timeout: args.idle_timeout,
        },
        process: ProcessStatus::open()?,
        transient_accept_errors: AtomicU64::new(0),
    });
    let plan = Arc::new(plan);
    let (runner, drain_limit, shared) = (Arc::clone(&plan), args.drain_limit, Arc::clone(&service));
    runner.run(move || {
        let listener = Arc::new(listen::<P>(address)?);
        drain::watch(Arc::clone(&shared), Arc::clone(&listener), drain_limit)?;
        announce(&*listener)?;
        accept::accept(&*plan, &shared, &listener)
    })?;
    service.registry.wait_until_empty(Duration::MAX);
    service.ledger.close();
    Ok(ExitCode::Success)
}

/// The address to listen on.
fn resolve(listen: &str) -> Result<SocketAddr, Error> {
    let mut addresses = listen.to_socket_addrs().map_err(|error| {
        format!("--listen {listen} is no address: {error}; write one such as 127.0.0.1:8080")
    })?;
    Ok(addresses.next().ok_or_else(|| format!("--listen {listen} has no address"))?)
}

/// Listens, with an error that names the address.
fn listen<P: Plan>(address: SocketAddr) -> io::Result<P::Listener> {
    P::listen(address).map_err(|error| {
        let message = format!("cannot listen on {address}: {error}; choose another --listen");
        io::Error::new(error.kind(), message)
    })
}

/// Says where it listens, on stdout, for people and for programs that chose port 0.
fn announce(listener: &impl AsFd) -> io::Result<()> {
    let address = SocketAddr::try_from(rustix::net::getsockname(listener)?)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}
