//! `ropewalk load`: many users pay at once. The client of `ropewalk compare`, and a load generator of its own for
//! anything that speaks the payment service's protocol.
//!
//! It is always the same program, a coroutine for each user on one worker, whatever plan the server uses; so what
//! differs between two runs is the server.

mod crowd;
mod descriptors;
mod histogram;
mod http;
pub(crate) mod journal;
pub(crate) mod payments;
mod stage;
mod summary;
mod user;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(crate) use descriptors::raise_descriptors;
pub(crate) use histogram::Latencies;
pub(crate) use payments::Work;
#[cfg(test)]
pub(crate) use summary::{Answers, ServerCounters, Window};
pub(crate) use summary::{Spent, Summary};

use ropewalk::Runtime;

use crate::exit_code::ExitCode;
use crate::load::crowd::Run;
use crate::load::payments::Bank;

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  ropewalk load 127.0.0.1:8080
  ropewalk load 127.0.0.1:8080 --users 1000 --seconds 10 --work read
  ropewalk load 127.0.0.1:8080 --json > result.json

Exit codes:
  0    every payment was answered as it should be
  1    something was not, or the service could not be reached
  2    wrong usage
  130  Ctrl-C: what was measured is shown";

/// Let many users pay at once against a running `ropewalk serve`, and measure
///
/// All users connect first; then, after a warm-up, the payment clock runs until --payments have been answered or
/// --seconds have passed. Each user sends its next payment when the last one is answered. The payments are drawn from
/// --seed; one in a hundred asks for more money than there is and must be refused.
#[derive(clap::Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Args {
    /// Where the service listens, as in 127.0.0.1:8080
    address: SocketAddr,
    /// How many users pay at once, a connection each
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,
    /// What a request makes the server do
    #[arg(long, value_enum, default_value_t = Work::Io)]
    work: Work,
    /// Draw the payments from this number: the same seed, the same payments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of load before the payment clock starts
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    warmup: f64,
    /// Stop the payment clock after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Stop the payment clock after so many answers
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    payments: u64,
    /// How many accounts the server opened
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    accounts: u32,
    /// What each account held at the start
    #[arg(long, value_name = "CENTS", default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    opening_balance: i64,
    /// Give up on an answer, and on connecting all users, after so long
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    patience: u64,
    /// Write every payment and its answer to this file, one a line
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Reads a number of seconds, with a fraction if wanted.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("write seconds from 0 to 86400, as in 5 or 0.5".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    raise_descriptors();
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal ends the process at once; the first lets it write what it has.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    if args.work.is_signed() && !args.json {
        tracing::info!(
            "start the server with --signatures {}, the users' key under --seed {}",
            payments::public_key_hex(args.seed),
            args.seed
        );
    }
    let run = Run {
        address: args.address,
        users: args.users,
        work: args.work,
        seed: args.seed,
        bank: Bank { accounts: args.accounts, opening_cents: args.opening_balance },
        warmup: Duration::from_secs_f64(args.warmup),
        clock_max: Duration::from_secs_f64(args.seconds),
        requests_max: args.payments,
        patience: Duration::from_secs(args.patience),
    };
    // One worker: with the server beside it on two processors, a second one would only take its CPU.
    let runtime = Runtime::builder().workers(1).build()?;
    let finished = runtime.run(|| run.carry_out(&interrupted))?;
    if let Some(path) = &args.journal {
        finished.write_journal(path)?;
    }
    let summary = &finished.summary;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, summary)?;
        writeln!(out)?;
    } else {
        write!(out, "{summary}")?;
    }
    Ok(match (summary.interrupted, summary.is_clean()) {
        (true, _) => ExitCode::Interrupted,
        (false, true) => ExitCode::Success,
        (false, false) => ExitCode::Failure,
    })
}
