//! What Ropewalk costs beside what a user would take instead: the same work, in one run, round by round.
//!
//! A *subject* is a question (what does a switch cost?), a *table* one way to ask it, a *contender* a row of the table.
//! `frame` runs and compares them, `subjects` holds the questions, `servers` what is asked over a socket, and `go`,
//! `boost` and `nginx` beside this folder what is not written in Rust. README.md says how to read the result.

mod frame;
mod rivals;
mod servers;
mod subjects;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::frame::{report, runner, table};

/// Ropewalk beside tokio, hyper, may, monoio, Go, Boost.Fiber, nginx, threads and bare loops: the same work in one run.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    whole: Whole,
}

#[derive(Args)]
struct Whole {
    /// Which subjects, or tables of them as `subject/table`; all without any.
    subjects: Vec<String>,
    /// How often each contender runs. An interval needs 6, a claim should have 15.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Where to write everything that was measured, with the machine and the versions.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Name the subjects, their tables and contenders, and what is not installed; measure nothing.
    #[arg(long)]
    list: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Run one contender of one table once, in this process, and print what was measured: for a profiler.
    One {
        /// As `subject/table`.
        table: String,
        /// The name of the row.
        contender: String,
        /// Instead of the table's number of operations.
        operations: Option<u64>,
    },
    /// Be one of the servers of the subjects echo and http, until killed.
    Serve {
        /// Which.
        server: servers::Server,
        /// Where to listen: address and port.
        address: std::net::SocketAddrV4,
        /// Workers, where it has workers.
        #[arg(default_value_t = 1)]
        workers: usize,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.part {
        Some(Part::One { table, contender, operations }) => runner::one(&table, &contender, operations),
        Some(Part::Serve { server, address, workers }) => servers::serve(server, address, workers),
        None => whole(&cli.whole),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn whole(asked: &Whole) -> Result<(), String> {
    let chosen = table::choose(subjects::all(), &asked.subjects)?;
    if asked.list {
        report::list(&chosen);
        return Ok(());
    }
    let mut report = report::Report::begin(asked.rounds as usize);
    for subject in &chosen {
        report.subject(subject);
        for table in &subject.tables {
            let measured = runner::measure(subject.name, table, asked.rounds as usize);
            report.table(table, measured);
        }
    }
    report.end(asked.json.as_deref())
}
