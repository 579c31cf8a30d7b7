//! The command line: the subcommands, and the flags that all of them have.

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::color::Color;
use crate::logging::{Format, Level};
use crate::{compare, completions, costs, doctor, load, man, serve, slices, tour};

/// The heading of flags that all subcommands have.
const HEADING: &str = "Options of all commands";

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  ropewalk doctor                       what of this machine is in the way
  ropewalk compare --quick              the main job, in seconds
  ropewalk tour                         the topics, a screen each
  ropewalk compare --print-config       all settings, as a file for --config

Settings:
  A flag comes before a variable of the environment, that before the file of --config, that before the default.
  Variables: ROPEWALK_COMPARE_THREAD_STACK=4M is --thread-stack of compare, and so on for each flag of each command;
  ROPEWALK_COLOR, ROPEWALK_LOG (the level) and ROPEWALK_LOG_FORMAT are for all. A switch is true or false.
  The file is TOML: a table for each command, [compare], and in it the names of the flags, thread-stack = \"4M\".
  No file is looked for anywhere: it has to be named.

Environment:
  NO_COLOR=1                            no colours, unless --color says otherwise
  ROPEWALK_DRIVER=uring|epoll           how coroutines hear from the kernel, instead of what was found to work
  ROPEWALK_STACK=256K                   the stack of a coroutine
  ROPEWALK_MONITOR=100ms                report coroutines that hold up their worker for so long
  ROPEWALK_DETECTOR=1                   report thread-locals that point into the stack of a coroutine that waits

Exit codes:
  0    what was asked for is done
  1    something failed, or the books do not balance
  2    wrong usage
  130  Ctrl-C";

/// Runs the same work as processes, threads and coroutines, and shows what each costs on this machine
///
/// Results go to standard output, all else to standard error.
#[derive(Parser)]
#[command(name = "ropewalk", version, max_term_width = 100, after_long_help = NOTES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command, its subcommands, and what each takes.
pub(crate) fn command() -> clap::Command {
    complete(Cli::command())
}

/// The same for the manual, which has no page on `help`.
pub(crate) fn of_the_manual() -> clap::Command {
    complete(Cli::command().disable_help_subcommand(true))
}

fn complete(mut command: clap::Command) -> clap::Command {
    command.build();
    // What the runtime would warn of is what these programs are there to show, and they show it themselves.
    let quieter = |arg: clap::Arg| if arg.get_id() == "log_level" { arg.default_value("error") } else { arg };
    command.mut_subcommand("tour", |tour| tour.mut_args(quieter))
}

/// The flags that all subcommands have.
#[derive(clap::Args)]
pub(crate) struct Globals {
    /// Read settings from this TOML file
    ///
    /// A table for each command, in it the names of its flags. A flag and a variable of the environment come before it.
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    config: Option<PathBuf>,
    /// Print all settings as TOML, with where each comes from, and do nothing else
    #[arg(long, global = true, help_heading = HEADING)]
    print_config: bool,
    /// When to print colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", help_heading = HEADING)]
    pub(crate) color: Color,
    /// How to write the log, which goes to standard error
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text", help_heading = HEADING)]
    pub(crate) log: Format,
    /// What to log: off, error, warn, info, debug or trace, or by target as in RUST_LOG: warn,ropewalk_runtime=debug
    #[arg(long, global = true, value_name = "LEVEL", default_value = Level::DEFAULT, help_heading = HEADING)]
    pub(crate) log_level: Level,
    /// End by SIGKILL as soon as process PID ends, which must be the one that starts this command
    #[arg(long, global = true, value_name = "PID", help_heading = HEADING)]
    pub(crate) parent: Option<u32>,
}

/// The subcommands.
#[derive(Subcommand)]
pub(crate) enum Command {
    Compare(Box<compare::Args>),
    Serve(Box<serve::Args>),
    Load(load::Args),
    Slices(slices::Args),
    Costs(costs::Args),
    Tour(tour::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}
