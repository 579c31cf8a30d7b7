//! What is simulated, and what comes out of it. Times are whole nanoseconds from the start.

use serde::Serialize;

use crate::duration::seconds;

/// What is simulated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Parameters {
    /// The computing time of each task. All are there from the start, in this order.
    pub(crate) work_ns: Vec<u64>,
    /// The length of a slice.
    pub(crate) slice_ns: u64,
    /// What a core pays when it gets another task than before.
    pub(crate) switch_cost_ns: u64,
    /// The numbers of cores.
    pub(crate) cores: Vec<usize>,
}

impl Parameters {
    /// Two tasks of 10 s, slices of 1 s, a switch for 0.1 s; one core, and two.
    pub(crate) fn textbook() -> Self {
        Self {
            work_ns: vec![10_000_000_000; 2],
            slice_ns: 1_000_000_000,
            switch_cost_ns: 100_000_000,
            cores: vec![1, 2],
        }
    }

    /// What the text says, in seconds, of these very parameters.
    pub(crate) fn in_the_text(&self, policy: Policy, cores: usize) -> Option<&'static str> {
        let textbook = Self::textbook();
        let same = Self { cores: textbook.cores.clone(), ..self.clone() } == textbook;
        match (policy, cores) {
            (Policy::Threads, 1) if same => Some("21.9"),
            (Policy::Threads, 2) if same => Some("10"),
            (Policy::OneThread, 1 | 2) if same => Some("20.1"),
            _ => None,
        }
    }
}

/// Who runs the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Policy {
    /// Threads: each runs for a slice, and then gives the core to the next in line. They use all cores.
    Threads,
    /// Coroutines of one thread: each runs to its end. They use one core.
    OneThread,
    /// Coroutines with a worker thread for each core: each runs to its end. They use all cores.
    WorkerPerCore,
}

impl Policy {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads in time slices",
            Self::OneThread => "coroutines of one thread",
            Self::WorkerPerCore => "coroutines, a worker per core",
        }
    }

    /// The same, for a column.
    pub(crate) fn short_name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::OneThread => "coroutines",
            Self::WorkerPerCore => "a worker per core",
        }
    }

    /// How many of `cores` it uses.
    pub(crate) fn uses(self, cores: usize) -> usize {
        if self == Self::OneThread { 1 } else { cores }
    }
}

/// What a core does for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Segment {
    /// The core, from 0.
    pub(crate) core: usize,
    /// The task, from 0, that runs, or is switched to.
    pub(crate) task: usize,
    /// Whether the core only switches.
    pub(crate) switch: bool,
    /// From here.
    pub(crate) start_ns: u64,
    /// To here.
    pub(crate) end_ns: u64,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TaskTimes {
    /// Its letter.
    pub(crate) name: char,
    /// Its computing time.
    pub(crate) work_ns: u64,
    /// When it first ran.
    pub(crate) started_ns: u64,
    /// When it was done: its turnaround, as all were there from the start.
    pub(crate) finished_ns: u64,
    /// How much of that it did not run.
    pub(crate) waited_ns: u64,
}

/// One simulated run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Run {
    /// Who ran the tasks.
    pub(crate) policy: Policy,
    /// On so many cores.
    pub(crate) cores: usize,
    /// When the last task was done.
    pub(crate) total_ns: u64,
    /// How often a core got another task than before.
    pub(crate) switches: u64,
    /// What the text says, in seconds.
    pub(crate) in_the_text: Option<&'static str>,
    /// The tasks.
    pub(crate) tasks: Vec<TaskTimes>,
    /// What the cores did, in the order in which it ended.
    pub(crate) segments: Vec<Segment>,
}

impl Run {
    /// The sum that gives the total, of the core that was busy longest: `20 + 19 x 0.1 = 21.9 s`.
    pub(crate) fn sum(&self, parameters: &Parameters) -> String {
        let last = self.segments.iter().rev().find(|segment| segment.end_ns == self.total_ns);
        let core = last.map_or(0, |segment| segment.core);
        let mut work = 0;
        let mut order = Vec::new();
        for segment in self.segments.iter().filter(|segment| segment.core == core && !segment.switch) {
            work += segment.end_ns - segment.start_ns;
            order.push(segment.task);
        }
        order.dedup();
        let total = seconds(self.total_ns);
        match order.len() {
            0 | 1 => format!("{total} s"),
            turns => {
                let cost = seconds(parameters.switch_cost_ns);
                format!("{} + {} x {cost} = {total} s", seconds(work), turns - 1)
            }
        }
    }

    /// The time that all cores spent switching.
    pub(crate) fn switching_ns(&self) -> u64 {
        self.segments
            .iter()
            .filter(|segment| segment.switch)
            .map(|segment| segment.end_ns - segment.start_ns)
            .sum()
    }

    /// The mean over the tasks.
    pub(crate) fn mean(&self, time: impl Fn(&TaskTimes) -> u64) -> u64 {
        let sum: u128 = self.tasks.iter().map(|task| u128::from(time(task))).sum();
        u64::try_from(sum / self.tasks.len().max(1) as u128).unwrap_or(u64::MAX)
    }
}

/// The letter of a task.
pub(crate) fn letter(task: usize) -> char {
    char::from(b'A' + u8::try_from(task % 26).unwrap_or(0))
}
