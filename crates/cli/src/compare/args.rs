//! The arguments of `ropewalk compare`, and what they mean.

use std::path::PathBuf;

use crate::compare::cell::CellOptions;
use crate::compare::client::ClientOptions;
use crate::compare::disk::Disk;
use crate::compare::plan::Plan;
use crate::compare::result::Method;
use crate::compare::server::ServerOptions;
use crate::files;
use crate::load::Work;
use crate::load::payments::Bank;
use crate::machine::Machine;
use crate::size::Size;

/// What stands below `--help`.
const NOTES: &str = "\
Examples:
  ropewalk compare                                        the whole story: some minutes
  ropewalk compare --quick                                does it work? in seconds
  ropewalk compare --plans thread,coroutine --work cpu    where coroutines do not win
  ropewalk compare --memory 8G                            the texts' server: 39 GB of stacks do not fit
  ropewalk compare --report report.html --json all.json   a page to look at, and figures to compute with

Exit codes:
  0    done
  1    the books do not balance, or something broke
  2    wrong usage
  130  Ctrl-C: what was finished is shown";

/// The accounts of every cell: 10,000 of 100.00.
const BANK: Bank = Bank { accounts: 10_000, opening_cents: 10_000 };

/// The plan process is run with so many users at most, unless asked for more.
const PROCESS_USERS: u32 = 1_000;

/// Let 10, 100, 1,000 and 10,000 people pay at once, under each plan, and compare
///
/// For each number of users and each plan, `ropewalk serve` runs on a fresh SQLite database and `ropewalk load`
/// plays the users; afterwards the books are checked to the cent. The ledger is a process of its own under every
/// plan. After a warm-up, the payment clock runs until
/// --payments were answered or --seconds have passed. Rounds are interleaved over the plans; the tables show medians
/// and the smallest and largest value. Below them: what the texts say and what this machine says.
#[derive(Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Args {
    /// Plans to compare, in this order
    #[arg(long, value_enum, value_name = "PLANS", value_delimiter = ',', default_values = ["process", "thread", "coroutine", "process+coroutine"])]
    plans: Vec<Plan>,
    /// Numbers of users [default: 10,100,1000,10000; 10,100,1000 with --quick]
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: Vec<u32>,
    /// What a request makes the server do
    #[arg(long, value_enum, default_value_t = Work::Io)]
    work: Work,
    /// Rounds, interleaved over the plans [default: 3; 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: Option<u32>,
    /// Draw the payments from this number: the same seed, the same payments
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Seconds of load before the payment clock starts [default: 1; 0.2 with --quick]
    #[arg(long, value_name = "SECONDS", value_parser = crate::load::seconds)]
    warmup: Option<f64>,
    /// Stop the payment clock after so many seconds [default: 3; 1 with --quick]
    #[arg(long, value_name = "SECONDS", value_parser = crate::load::seconds)]
    seconds: Option<f64>,
    /// Stop the payment clock after so many answers [default: 10000, 100000 with --work read; 2000 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    payments: Option<u64>,
    /// Stack of each thread under the plans thread and std; the texts' figure
    #[arg(long, value_name = "SIZE", default_value = "4M")]
    thread_stack: Size,
    /// Limit the address space of each process of the server; 8G is the texts' server, on which 10,000 threads of 4M do not fit
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// Worker threads of the coroutine plan [default: one per CPU], or of each process of process+coroutine
    /// [default: so many that each CPU has one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Processes of the plan process+coroutine [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    processes: Option<u16>,
    /// Run the plan process with so many users at most: each takes a process, and the time to start it
    #[arg(long, value_name = "N", default_value_t = PROCESS_USERS, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    process_users: u32,
    /// A short run, 10 to 1,000 users, one round: does it work, not how fast is it
    #[arg(long)]
    quick: bool,
    /// Make the databases in this directory [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// After each cell, list the processes of the server as they were under load: state, memory, descriptors, switches
    #[arg(long, short)]
    verbose: bool,
    /// Write all results to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report to this file: one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What the arguments mean.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How the comparison is made.
    pub(crate) method: Method,
    /// Where the databases are made.
    pub(crate) directory: PathBuf,
    /// Where the JSON goes.
    pub(crate) json: Option<PathBuf>,
    /// Where the report goes.
    pub(crate) report: Option<PathBuf>,
    /// Whether the processes of each cell are listed.
    pub(crate) verbose: bool,
    /// The command line that repeats the comparison.
    pub(crate) command: String,
    memory: Option<Size>,
    thread_stack: Size,
}

impl Settings {
    /// Checks what clap cannot.
    ///
    /// # Errors
    /// In words, for exit code 2.
    pub(crate) fn new(args: Args) -> Result<Self, String> {
        for (index, plan) in args.plans.iter().enumerate() {
            if args.plans[..index].contains(plan) {
                return Err(format!("--plans names {plan} twice"));
            }
        }
        let mut users = match (args.users.is_empty(), args.quick) {
            (false, _) => args.users,
            (true, true) => vec![10, 100, 1_000],
            (true, false) => vec![10, 100, 1_000, 10_000],
        };
        users.sort_unstable();
        users.dedup();
        for file in [&args.json, &args.report].into_iter().flatten() {
            // Before minutes of measuring, not after them.
            files::check_writable(file)?;
        }
        let quick = |quick, full| if args.quick { quick } else { full };
        let payments = if args.work == Work::Read { 100_000 } else { 10_000 };
        let method = Method {
            plans: args.plans,
            users,
            work: args.work,
            rounds: args.rounds.unwrap_or(if args.quick { 1 } else { 3 }),
            seed: args.seed,
            warmup_seconds: args.warmup.unwrap_or(quick(0.2, 1.0)),
            seconds: args.seconds.unwrap_or(quick(1.0, 3.0)),
            payments: args.payments.unwrap_or(if args.quick { 2_000 } else { payments }),
            thread_stack_bytes: args.thread_stack.bytes(),
            memory_limit_bytes: args.memory.map(Size::bytes),
            workers: args.workers.map(usize::from),
            processes: args.processes.map(usize::from),
            process_users: args.process_users,
        };
        Ok(Self {
            command: command(&method, args.thread_stack, args.memory),
            method,
            directory: args.dir.unwrap_or_else(std::env::temp_dir),
            json: args.json,
            report: args.report,
            verbose: args.verbose,
            memory: args.memory,
            thread_stack: args.thread_stack,
        })
    }

    /// What every cell needs to know, on this machine.
    pub(crate) fn cell_options(&self, machine: &Machine, disk: &Disk) -> CellOptions {
        let method = &self.method;
        CellOptions {
            directory: self.directory.clone(),
            server: ServerOptions {
                workers: method.workers,
                processes: method.processes,
                thread_stack: self.thread_stack,
                memory: self.memory,
                bank: BANK,
                work: method.work,
                seed: method.seed,
            },
            client: ClientOptions {
                work: method.work,
                seed: method.seed,
                warmup: method.warmup_seconds,
                seconds: method.seconds,
                payments: method.payments,
                bank: BANK,
            },
            sync_us: disk.sync_least_us,
            processors: machine.processors,
        }
    }
}

/// The whole command, defaults spelled out, so that it means the same under a later version.
fn command(method: &Method, thread_stack: Size, memory: Option<Size>) -> String {
    let list = |items: Vec<String>| items.join(",");
    let mut command = format!(
        "ropewalk compare --plans {} --users {} --work {} --rounds {} --seed {} --warmup {} --seconds {} \
         --payments {} --thread-stack {thread_stack}",
        list(method.plans.iter().map(ToString::to_string).collect()),
        list(method.users.iter().map(ToString::to_string).collect()),
        method.work.name(),
        method.rounds,
        method.seed,
        method.warmup_seconds,
        method.seconds,
        method.payments,
    );
    if let Some(memory) = memory {
        command += &format!(" --memory {memory}");
    }
    if let Some(workers) = method.workers {
        command += &format!(" --workers {workers}");
    }
    if let Some(processes) = method.processes {
        command += &format!(" --processes {processes}");
    }
    if method.process_users != PROCESS_USERS {
        command += &format!(" --process-users {}", method.process_users);
    }
    command
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
        let words = std::iter::once("compare").chain(line.split_whitespace());
        Settings::new(Command::try_parse_from(words).map_err(|error| error.to_string())?.args)
    }

    #[test]
    fn the_defaults_are_the_story() {
        let method = settings("").unwrap().method;
        assert_eq!(method.plans, [Plan::Process, Plan::Thread, Plan::Coroutine, Plan::ProcessCoroutine]);
        assert_eq!(method.process_users, 1_000);
        assert_eq!(method.users, [10, 100, 1_000, 10_000]);
        assert_eq!((method.rounds, method.payments, method.thread_stack_bytes), (3, 10_000, 4 << 20));
        assert_eq!((method.warmup_seconds, method.seconds), (1.0, 3.0));
    }

    #[test]
    fn quick_is_short_but_gives_way_to_what_is_said() {
        let method = settings("--quick").unwrap().method;
        assert_eq!((method.users.as_slice(), method.rounds), (&[10, 100, 1_000][..], 1));
        let method = settings("--quick --users 7,5,7 --rounds 2 --payments 9").unwrap().method;
        assert_eq!((method.users.as_slice(), method.rounds, method.payments), (&[5, 7][..], 2, 9));
    }

    #[test]
    fn the_command_repeats_the_comparison() {
        let settings = settings("--quick --plans std,process+coroutine --work read --memory 8G --workers 2 --processes 3 --process-users 50").unwrap();
        assert_eq!(
            settings.command,
            "ropewalk compare --plans std,process+coroutine --users 10,100,1000 --work read --rounds 1 --seed 1 --warmup 0.2 \
             --seconds 1 --payments 2000 --thread-stack 4M --memory 8G --workers 2 --processes 3 --process-users 50"
        );
        let again = self::settings(settings.command.strip_prefix("ropewalk compare ").unwrap()).unwrap();
        assert_eq!(again.command, settings.command);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (line, expected) in [
            ("--plans thread,thread", "twice"),
            ("--plans fiber", "fiber"),
            ("--users 0", "0"),
            ("--users", "value"),
            ("--thread-stack 4X", "4X"),
            ("--report /nowhere/report.html", "/nowhere/report.html"),
            ("--json /", "/"),
        ] {
            let error = settings(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
