//! The arguments of `ropewalk slices`, and what they mean.

use std::path::PathBuf;

use crate::duration::Nanoseconds;
use crate::files;
use crate::slices::model::Parameters;

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  ropewalk slices                                 the textbook's figures, and the same for real
  ropewalk slices --work 3s,1s,0.5s --cores 1,4   tasks that differ
  ropewalk slices --slice 10ms --switch-cost 5us  what an operating system does
  ropewalk slices --no-real --html slices.html    pictures of the simulation

Exit codes:
  0    done
  1    something broke
  2    wrong usage";

/// Each task has a letter.
const TASKS_MAX: usize = 26;
/// All runs together are cut into so many slices at most.
pub(crate) const SLICES_MAX: u64 = 100_000;
/// A hundred years: what all of it may take at most, so that the nanoseconds can be counted.
const TOTAL_MAX: u128 = 100 * 365 * 86_400 * 1_000_000_000;

/// Simulate the time-slice arithmetic: threads in slices, coroutines to their end, one core and several
///
/// Each task is a coroutine that runs in virtual time: it takes a core, works for a slice, and gives the core to the
/// next in line; a core that gets another task than before pays for the switch. The totals are exact. With the defaults
/// they are the textbook's: 21.9 s, 20.1 s, 10 s and 20.1 s. Then the same is done for real on a small scale: threads
/// under the kernel's scheduler, pinned to one CPU and to two, and coroutines; with what differs, and why.
///
/// Times are numbers with h, min, s, ms, us or ns, as in 10s or 0.1s.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Args {
    /// Number of tasks, 1 to 26 [default: 2, or one for each time of --work]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=TASKS_MAX as i64))]
    tasks: Option<u8>,
    /// Computing time of a task, or of each
    #[arg(long, value_name = "TIME,..", value_delimiter = ',', default_value = "10s")]
    work: Vec<Nanoseconds>,
    /// Length of a time slice
    #[arg(long, value_name = "TIME", default_value = "1s")]
    slice: Nanoseconds,
    /// Cost of a switch to another task
    #[arg(long, value_name = "TIME", default_value = "0.1s")]
    switch_cost: Nanoseconds,
    /// Numbers of cores
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u8).range(1..=64))]
    cores: Vec<u8>,
    /// Simulate only; do nothing for real
    #[arg(long)]
    no_real: bool,
    /// Write all figures and segments to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the pictures to this file: one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What the arguments mean.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What is simulated.
    pub(crate) parameters: Parameters,
    /// Whether it is done for real, too.
    pub(crate) real: bool,
    /// Where the JSON goes.
    pub(crate) json: Option<PathBuf>,
    /// Where the page goes.
    pub(crate) html: Option<PathBuf>,
}

impl Settings {
    /// Checks what clap cannot.
    ///
    /// # Errors
    /// In words, for exit code 2.
    pub(crate) fn new(args: &Args) -> Result<Self, String> {
        let work = work(args)?;
        if work.contains(&0) {
            return Err("--work 0s: a task without work is none".into());
        }
        if args.slice.0 == 0 {
            return Err("--slice 0s: nothing would ever be done".into());
        }
        let slices = work.iter().map(|work| u128::from(work.div_ceil(args.slice.0))).sum::<u128>();
        let mut cores: Vec<usize> = args.cores.iter().copied().map(usize::from).collect();
        cores.sort_unstable();
        cores.dedup();
        let all_slices = slices * cores.len() as u128;
        if all_slices > u128::from(SLICES_MAX) {
            return Err(format!(
                "that makes {all_slices} slices, and {SLICES_MAX} are the most: raise --slice, lower --work, or name \
                 fewer --cores"
            ));
        }
        let all =
            work.iter().map(|&work| u128::from(work)).sum::<u128>() + slices * u128::from(args.switch_cost.0);
        if all > TOTAL_MAX {
            return Err(
                "that could take more than a hundred years, even in virtual time: lower --work or --switch-cost"
                    .into(),
            );
        }
        for file in [&args.json, &args.html].into_iter().flatten() {
            files::check_writable(file)?;
        }
        Ok(Self {
            parameters: Parameters {
                work_ns: work,
                slice_ns: args.slice.0,
                switch_cost_ns: args.switch_cost.0,
                cores,
            },
            real: !args.no_real,
            json: args.json.clone(),
            html: args.html.clone(),
        })
    }
}

/// The work of each task.
fn work(args: &Args) -> Result<Vec<u64>, String> {
    let work: Vec<u64> = args.work.iter().map(|time| time.0).collect();
    match (args.tasks.map(usize::from), work.as_slice()) {
        (tasks, &[work]) => Ok(vec![work; tasks.unwrap_or(2)]),
        (None, work) if work.len() > TASKS_MAX => Err(format!("--work names more than {TASKS_MAX} tasks")),
        (None, work) => Ok(work.to_vec()),
        (Some(tasks), work) if tasks == work.len() => Ok(work.to_vec()),
        (Some(tasks), work) => Err(format!("--tasks says {tasks}, and --work has {} times", work.len())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn settings(line: &str) -> Result<Settings, String> {
        let words = std::iter::once("slices").chain(line.split_whitespace());
        Settings::new(&Command::try_parse_from(words).map_err(|error| error.to_string())?.args)
    }

    #[test]
    fn the_defaults_are_the_textbooks() {
        assert_eq!(settings("").unwrap().parameters, Parameters::textbook());
    }

    #[test]
    fn work_may_differ_by_task() {
        let parameters = settings("--work 3s,1s,0.5s --cores 4,1,4").unwrap().parameters;
        assert_eq!(parameters.work_ns, [3_000_000_000, 1_000_000_000, 500_000_000]);
        assert_eq!(parameters.cores, [1, 4]);
        assert_eq!(settings("--tasks 5 --work 2ms").unwrap().parameters.work_ns, [2_000_000; 5]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (line, expected) in [
            ("--tasks 0", "0"),
            ("--tasks 27", "27"),
            ("--tasks 3 --work 1s,2s", "--work has 2 times"),
            ("--work 0s", "without work"),
            ("--work ten", "no time"),
            ("--slice 0s", "nothing would"),
            ("--slice 1us", "raise --slice"),
            ("--slice 0.3ms", "fewer --cores"),
            ("--switch-cost 1", "no time"),
            ("--switch-cost 1000000h", "hundred years"),
            ("--cores 0", "0"),
            ("--cores 65", "65"),
            ("--html /nowhere/page.html", "/nowhere/page.html"),
            ("--json /", "/"),
        ] {
            let error = settings(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
