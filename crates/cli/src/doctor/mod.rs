//! `ropewalk doctor`: what this machine gives Ropewalk, and what it withholds, each with the line that mends it.
//!
//! ```text
//!   facts (what the machine says) ──> checks (what that means, pure) ──> mod (text, JSON)
//! ```

mod checks;
mod facts;

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use comfy_table::CellAlignment::Left;
use serde::Serialize;

use self::checks::{Check, State};
use self::facts::Facts;
use crate::exit_code::ExitCode;
use crate::logging::complain;
use crate::machine::Machine;
use crate::text::{show, table, wrap};
use crate::{files, format, output};

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  ropewalk doctor
  ropewalk doctor --json doctor.json
  ROPEWALK_DRIVER=epoll ropewalk doctor     without io_uring, as in many containers

Exit codes:
  0    everything works, if limited
  1    something has failed
  2    wrong usage";

/// Say what of this machine stands in the way of Ropewalk, and the line that mends it
///
/// Looked at, and tried where that is possible: the kernel, io_uring, the guards of stacks, processes, the clock, the limits
/// of descriptors, threads, memory and mappings, and room for 10,000 people at once under each plan of `compare`. A check is ok, limited (it works, but slower, or for fewer) or failed.
/// Nothing is changed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Args {
    /// Write all checks to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The version of the JSON document.
const SCHEMA: u32 = 1;

#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    machine: &'a Machine,
    checks: &'a [Check],
}

/// Runs the command.
///
/// # Errors
/// When no runtime can be built at all, or the file cannot be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(Err(message)) = args.json.as_deref().map(files::check_writable) {
        complain("ropewalk doctor", &message);
        return Ok(ExitCode::Usage);
    }
    let machine = Machine::inspect()?;
    let checks = checks::all(&Facts::read());
    if let Some(path) = &args.json {
        let mut json =
            serde_json::to_vec_pretty(&Document { schema: SCHEMA, machine: &machine, checks: &checks })?;
        json.push(b'\n');
        files::save(path, &json)?;
    }
    output::print(&to_text(&machine, &checks))?;
    let failed = checks.iter().any(|check| check.state == State::Failed);
    Ok(if failed { ExitCode::Failure } else { ExitCode::Success })
}

fn to_text(machine: &Machine, checks: &[Check]) -> String {
    let mut text = format!(
        "{}, {} CPUs, {} of memory, {}, ropewalk {}\n\n",
        machine.processor,
        machine.processors,
        format::bytes(machine.memory_bytes as f64),
        machine.kernel,
        machine.version
    );
    let mut overview = table(&[("", Left), ("", Left), ("here", Left)]);
    for check in checks {
        overview.add_row([check.state.name(), check.name, &check.found]);
    }
    text += &show(&overview);
    for check in checks.iter().filter(|check| check.state != State::Ok) {
        let _ = write!(text, "\n{}", wrap(&format!("{}: {}", check.name, check.meaning), "  "));
        for mend in &check.mends {
            // A command is copied from here: it stays in one line.
            let _ = writeln!(text, "  mend: {mend}");
        }
    }
    text + "\n" + &wrap(&in_short(checks), "")
}

fn in_short(checks: &[Check]) -> String {
    let of = |state| checks.iter().filter(|check| check.state == state).count();
    match (of(State::Failed), of(State::Limited)) {
        (0, 0) => "In short: nothing is in the way.".to_owned(),
        (0, limited) => {
            format!("In short: everything works; {limited} of {} checks are limited.", checks.len())
        }
        (failed, limited) => {
            format!("In short: {failed} of {} checks have failed, {limited} are limited.", checks.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: State) -> Check {
        Check {
            name: "pids",
            state,
            found: "room for 7".to_owned(),
            meaning: "No more than 7 threads can be started. ".repeat(4),
            mends: vec!["sysctl -w kernel.pid_max=4194304".to_owned()],
        }
    }

    #[test]
    fn what_is_not_ok_is_explained_and_what_is_ok_is_not() {
        let machine = Machine::inspect().unwrap();
        let fine = to_text(&machine, &[check(State::Ok)]);
        assert!(!fine.contains("mend:") && fine.ends_with("In short: nothing is in the way.\n"), "{fine}");
        let limited = to_text(&machine, &[check(State::Ok), check(State::Limited)]);
        assert_eq!(limited.matches("  mend: sysctl -w kernel.pid_max=4194304\n").count(), 1, "{limited}");
        assert!(limited.ends_with("In short: everything works; 1 of 2 checks are limited.\n"), "{limited}");
        let failed = to_text(&machine, &[check(State::Failed), check(State::Limited)]);
        assert!(failed.ends_with("In short: 1 of 2 checks have failed, 1 are limited.\n"), "{failed}");
    }
}
