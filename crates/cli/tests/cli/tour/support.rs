//! The command in little memory and without a locale.

use std::process::Command;

use crate::support::{Ended, Run};

/// Kilobytes of address space.
const MEMORY_KB: u32 = 2 << 20;

/// The command with these arguments, separated by blanks, in little memory and without a locale.
pub(crate) fn ropewalk(arguments: &str) -> Command {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("ulimit -v {MEMORY_KB}; exec \"$0\" \"$@\""),
        env!("CARGO_BIN_EXE_ropewalk"),
    ]);
    command.args(arguments.split_whitespace());
    for variable in ["LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(command: Command) -> Ended {
    Run::start(command).end()
}

/// The program's own output.
#[track_caller]
pub(crate) fn bare(topic: &str) -> String {
    let ended = run(ropewalk(&format!("tour {topic} --bare"))).with_code(0);
    assert_eq!(ended.stderr, "");
    ended.stdout
}
