//! The `ropewalk` command: parse, run, exit code. What each verb does stands in its own module.

mod block;
mod compare;
mod costs;
mod doctor;
mod duration;
mod exit_code;
mod files;
mod format;
mod interrupt;
mod load;
mod machine;
mod output;
mod parent;
mod report;
mod serve;
mod size;
mod slices;
mod statistics;
mod text;
mod tour;
mod usage;
mod verdict;

use clap::{Parser, Subcommand};

use crate::exit_code::ExitCode;

/// Runs the same work as processes, threads and coroutines, and shows what each costs on this machine.
#[derive(Parser)]
#[command(name = "ropewalk", version, about, max_term_width = 100)]
struct Cli {
    /// End by SIGKILL as soon as process PID ends, which must be the one that starts this command
    #[arg(long, global = true, value_name = "PID")]
    parent: Option<u32>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Compare(Box<compare::Args>),
    Serve(Box<serve::Args>),
    Load(load::Args),
    Slices(slices::Args),
    Costs(costs::Args),
    Tour(tour::Args),
    Doctor(doctor::Args),
}

fn main() -> std::process::ExitCode {
    // Tasks that are processes are this program, too, and begin here.
    ropewalk::process::init();
    let Cli { parent, command } = Cli::parse();
    if let Some(parent) = parent
        && let Err(error) = parent::end_with(parent)
    {
        eprintln!("ropewalk: {error}");
        return ExitCode::Failure.into();
    }
    let outcome = match command {
        Command::Compare(args) => compare::run(*args),
        Command::Serve(args) => serve::run(&args),
        Command::Load(args) => load::run(args),
        Command::Slices(args) => slices::run(&args, &mut std::io::stdout()),
        Command::Costs(args) => costs::run(&args),
        Command::Tour(args) => tour::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    outcome
        .unwrap_or_else(|error| {
            eprintln!("ropewalk: {error}");
            ExitCode::Failure
        })
        .into()
}
