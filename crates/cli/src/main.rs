//! The `ropewalk` command: parse, run, exit code. What each verb does stands in its own module.

mod block;
mod color;
mod command;
mod compare;
mod completions;
mod costs;
mod doctor;
mod duration;
mod exit_code;
mod files;
mod format;
mod interrupt;
mod load;
mod logging;
mod machine;
mod man;
mod output;
mod parent;
mod report;
mod serve;
mod settings;
mod size;
mod slices;
mod statistics;
mod text;
mod tour;
mod usage;
mod verdict;

use std::error::Error;

use clap::FromArgMatches as _;

use crate::command::{Cli, Command};
use crate::exit_code::ExitCode;
use crate::logging::{Logging, complain};
use crate::settings::{Failure, Settings};

fn main() -> std::process::ExitCode {
    // Tasks that are processes are this program, too, and begin here.
    ropewalk::process::init();
    let settings = match Settings::read(command::command(), std::env::args_os().collect()) {
        Ok(settings) => settings,
        Err(Failure::Clap(error)) => error.exit(),
        Err(Failure::Message(message)) => {
            complain("ropewalk", &message);
            return ExitCode::Usage.into();
        }
    };
    run(&settings)
        .unwrap_or_else(|error| {
            complain("ropewalk", &error);
            ExitCode::Failure
        })
        .into()
}

fn run(settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(toml) = settings.to_print()? {
        output::print(&toml)?;
        return Ok(ExitCode::Success);
    }
    let Cli { globals, command } = Cli::from_arg_matches(&settings.matches)?;
    globals.color.apply();
    let colors = console::colors_enabled_stderr();
    Logging { format: globals.log, level: globals.log_level, colors }.start();
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(parent) = globals.parent {
        parent::end_with(parent)?;
    }
    match command {
        Command::Compare(args) => compare::run(*args),
        Command::Serve(args) => serve::run(&args),
        Command::Load(args) => load::run(args),
        Command::Slices(args) => slices::run(&args),
        Command::Costs(args) => costs::run(&args),
        Command::Tour(args) => tour::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => completions::run(&args, command::command()),
        Command::Man(args) => man::run(&args, &command::of_the_manual()),
    }
}
