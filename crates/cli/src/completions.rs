//! `ropewalk completions`: what a shell needs to complete this command, made from the flags themselves.

use std::error::Error;

use clap::Command;
use clap_complete::Shell;

use crate::exit_code::ExitCode;
use crate::output;

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  source <(ropewalk completions bash)                                       for this session
  ropewalk completions bash > ~/.local/share/bash-completion/completions/ropewalk
  ropewalk completions zsh > ~/.zfunc/_ropewalk                             with ~/.zfunc in $fpath
  ropewalk completions fish > ~/.config/fish/completions/ropewalk.fish

Exit codes:
  0    printed
  1    standard output cannot be written
  2    wrong usage";

/// Print the script with which a shell completes this command
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for `command`.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(args: &Args, mut command: Command) -> Result<ExitCode, Box<dyn Error>> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    output::print_bytes(&script)?;
    Ok(ExitCode::Success)
}
