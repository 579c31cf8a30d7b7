//! The arguments of `ropewalk costs`, and what they mean.

use std::path::PathBuf;

use crate::costs::cell::{PARTS, Part};
use crate::costs::mechanism::{MECHANISMS, Mechanism};
use crate::costs::method::Method;
use crate::{files, usage};

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  ropewalk costs                            everything: two or three minutes
  ropewalk costs --quick                    does it work? in seconds
  ropewalk costs --only switch,worst        these parts
  ropewalk costs --only ipc --mechanisms pipe,ring-spin
  ropewalk costs --report costs.html        a page to look at

Exit codes:
  0    done
  1    something broke
  2    wrong usage
  130  Ctrl-C: what was finished is shown";

/// Measure what processes, threads and coroutines cost here: creation, switch, memory, a shared counter, messages
///
/// Each cell runs in a process of its own, on one CPU where not said otherwise, and the rounds are interleaved: the
/// tables show medians. To create is to spawn and join an empty task. A switch is measured by the same means for all
/// plans, a byte over a pair of sockets, and by each plan's own best, with nothing, 64 KiB and 1 MiB of memory touched
/// after it; the worst case is the longest of many. Memory is that of tasks that wait. The counter is shared by tasks that
/// add to it under a lock, by atomic operations, and with nothing, and what gets lost then is counted. Messages
/// of three lengths go to and fro, and one way, by everything that processes, and tasks of one process, can talk with, with
/// the CPU time of both sides, on one CPU and on two. Below: what the texts say and what this machine says.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Args {
    /// Parts to measure [default: all]
    #[arg(long, value_enum, value_name = "PART,..", value_delimiter = ',')]
    only: Vec<Part>,
    /// Ways to exchange messages that are measured in the part ipc [default: all]
    #[arg(long, value_enum, value_name = "MECHANISM,..", value_delimiter = ',')]
    mechanisms: Vec<Mechanism>,
    /// Rounds, interleaved [default: 5; 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: Option<u32>,
    /// A short run, one round, fewer tasks: does it work, not how fast is it
    #[arg(long)]
    quick: bool,
    /// Write all figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report to this file: one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What the arguments mean.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How it is measured.
    pub(crate) method: Method,
    /// Where the JSON goes.
    pub(crate) json: Option<PathBuf>,
    /// Where the report goes.
    pub(crate) report: Option<PathBuf>,
}

impl Settings {
    /// Checks what clap cannot.
    ///
    /// # Errors
    /// In words, for exit code 2.
    pub(crate) fn new(args: &Args) -> Result<Self, String> {
        for file in [&args.json, &args.report].into_iter().flatten() {
            files::check_writable(file)?;
        }
        let parts =
            PARTS.into_iter().filter(|part| args.only.is_empty() || args.only.contains(part)).collect();
        let is_wanted =
            |mechanism: &Mechanism| args.mechanisms.is_empty() || args.mechanisms.contains(mechanism);
        let mechanisms = MECHANISMS.into_iter().filter(is_wanted).collect();
        let cpus = usage::allowed_cpus().map_err(|error| format!("which CPUs may be used: {error}"))?;
        Ok(Self {
            method: Method::new(args.quick, args.rounds, parts, mechanisms, cpus),
            json: args.json.clone(),
            report: args.report.clone(),
        })
    }
}
