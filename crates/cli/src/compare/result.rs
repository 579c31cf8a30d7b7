//! The results of a comparison as plain data: what `--json` writes and what tables, verdicts and report are made from.
//!
//! `compare/README.md` documents the JSON. A field that changes its meaning or goes away raises [`SCHEMA`].

use serde::{Deserialize, Serialize};

use crate::compare::books::Books;
use crate::compare::disk::Disk;
use crate::compare::limiter::{Limiter, Shares};
use crate::compare::limits::Obstacle;
use crate::compare::measure::Memory;
use crate::compare::plan::Plan;
use crate::load::{Summary, Work};
use crate::machine::Machine;
use crate::statistics::{Interval, Ratio, Spread};
use crate::verdict::Verdict;

/// The version of the JSON document.
pub(crate) const SCHEMA: u32 = 2;

/// A whole comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// The command line that repeats it.
    pub(crate) command: String,
    /// Where it was made.
    pub(crate) machine: Machine,
    /// What the databases were on.
    pub(crate) disk: Disk,
    /// How it was made.
    pub(crate) method: Method,
    /// Every cell that was run or skipped, in order.
    pub(crate) cells: Vec<Cell>,
    /// The cells of each plan and number of users put together.
    pub(crate) rows: Vec<Row>,
    /// CPU time per request of each plan against the baseline, round by round.
    pub(crate) pairs: Vec<Pair>,
    /// What the texts say and what this machine says.
    pub(crate) verdicts: Vec<Verdict>,
    /// The part of the processors that other programs took, median over the cells, from 0 to 1; `None` where the
    /// kernel does not tell.
    pub(crate) others: Option<f64>,
    /// The last sentence.
    pub(crate) in_short: String,
    /// Whether Ctrl-C ended it early.
    pub(crate) interrupted: bool,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Method {
    /// The plans, in the order of the command line.
    pub(crate) plans: Vec<Plan>,
    /// The numbers of users.
    pub(crate) users: Vec<u32>,
    /// What a request does.
    pub(crate) work: Work,
    /// Rounds, interleaved over the plans.
    pub(crate) rounds: u32,
    /// What the payments are drawn from.
    pub(crate) seed: u64,
    /// Warm-up before the payment clock starts.
    pub(crate) warmup_seconds: f64,
    /// The longest that the payment clock runs.
    pub(crate) seconds: f64,
    /// The payment clock stops after so many.
    pub(crate) payments: u64,
    /// Stack of a thread in the thread plans.
    pub(crate) thread_stack_bytes: u64,
    /// Limit of the server's address space, if one was set.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// Worker threads of the coroutine plan; none is one per processor.
    pub(crate) workers: Option<usize>,
    /// Processes of the plan process+coroutine; none is one per processor.
    pub(crate) processes: Option<usize>,
    /// The plan process is run with so many users at most.
    pub(crate) process_users: u32,
}

/// One run of the service under one plan with so many users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The round, from 1.
    pub(crate) round: u32,
    /// Users at once.
    pub(crate) users: u32,
    /// The server's plan.
    pub(crate) plan: Plan,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// What came of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Outcome {
    /// It ran and the books were checked.
    Measured(Box<Measurement>),
    /// This machine, or the limit set with `--memory`, cannot run it.
    Impossible(Obstacle),
    /// Something that must not fail did.
    Broken {
        /// What, in words.
        reason: String,
    },
}

/// What a cell measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// The users' side.
    pub(crate) load: Summary,
    /// The server's memory, if it told.
    pub(crate) memory: Option<Memory>,
    /// The ledger's side.
    pub(crate) books: Books,
    /// How busy each part was, if the server counted.
    pub(crate) shares: Option<Shares>,
    /// What kept it from going faster.
    pub(crate) limiter: Option<Limiter>,
    /// The figures that rows are made from.
    pub(crate) figures: Figures<Option<f64>>,
}

/// The figures of a cell (`T` = `Option<f64>`) or, over the rounds, of a row (`T` = `Option<Spread>`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures<T> {
    /// Requests per second while the payment clock ran.
    pub(crate) rate: T,
    /// Time to connect all users.
    pub(crate) connect_seconds: T,
    /// Median latency.
    pub(crate) p50_us: T,
    /// The latency that 99 % did not exceed.
    pub(crate) p99_us: T,
    /// The latency that 99.9 % did not exceed.
    pub(crate) p999_us: T,
    /// CPU time of the processes that serve connections per request.
    pub(crate) server_cpu_us: T,
    /// CPU time of the ledger's process per request.
    pub(crate) ledger_cpu_us: T,
    /// CPU time of the load generator per request.
    pub(crate) client_cpu_us: T,
    /// Kernel switches of the processes that serve connections per request.
    pub(crate) kernel_switches: T,
    /// Switches between coroutines per request.
    pub(crate) coroutine_switches: T,
    /// Page faults of the processes that serve connections per request.
    pub(crate) page_faults: T,
    /// Memory of all processes that the machine had to back with pages.
    pub(crate) touched_bytes: T,
    /// Their address spaces.
    pub(crate) reserved_bytes: T,
}

impl<T> Figures<T> {
    /// The same figures, each computed from its value in every one of `all`.
    pub(crate) fn gather<U>(all: &[&Self], gather: impl Fn(&mut dyn Iterator<Item = &T>) -> U) -> Figures<U> {
        let each = |pick: fn(&Self) -> &T| gather(&mut all.iter().map(|figures| pick(figures)));
        Figures {
            rate: each(|f| &f.rate),
            connect_seconds: each(|f| &f.connect_seconds),
            p50_us: each(|f| &f.p50_us),
            p99_us: each(|f| &f.p99_us),
            p999_us: each(|f| &f.p999_us),
            server_cpu_us: each(|f| &f.server_cpu_us),
            ledger_cpu_us: each(|f| &f.ledger_cpu_us),
            client_cpu_us: each(|f| &f.client_cpu_us),
            kernel_switches: each(|f| &f.kernel_switches),
            coroutine_switches: each(|f| &f.coroutine_switches),
            page_faults: each(|f| &f.page_faults),
            touched_bytes: each(|f| &f.touched_bytes),
            reserved_bytes: each(|f| &f.reserved_bytes),
        }
    }
}

/// One plan with so many users, over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Users at once.
    pub(crate) users: u32,
    /// The server's plan.
    pub(crate) plan: Plan,
    /// Rounds that were measured; 0 for a row that only has a reason.
    pub(crate) rounds: usize,
    /// The figures of those rounds.
    pub(crate) figures: Figures<Option<Spread>>,
    /// Requests per second against the baseline plan with as many users.
    pub(crate) rate_ratio: Option<Ratio>,
    /// CPU time per request against the baseline plan with as many users.
    pub(crate) cpu_ratio: Option<Ratio>,
    /// What limited it in most rounds.
    pub(crate) limiter: Option<Limiter>,
    /// Whether the books balanced in every round; `None` without a round.
    pub(crate) books_balance: Option<bool>,
    /// Payments without an answer, over all rounds.
    pub(crate) unanswered: u64,
    /// Why a round is missing, the first time.
    pub(crate) obstacle: Option<Obstacle>,
    /// What broke, the first time.
    pub(crate) broken: Option<String>,
}

/// Paired rounds of one plan against the baseline: what differs between the rounds of a noisy machine cancels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pair {
    /// Users at once; `None` for all numbers of users together.
    pub(crate) users: Option<u32>,
    /// The plan.
    pub(crate) plan: Plan,
    /// What it is compared with.
    pub(crate) baseline: Plan,
    /// The plan's CPU time per request divided by the baseline's.
    pub(crate) cpu_ratio: Interval,
}
