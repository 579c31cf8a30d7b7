//! The same for real, on a small scale: threads under the kernel's scheduler, and coroutines, doing measured work on CPUs
//! that they are pinned to.
//!
//! | module | its job |
//! |---|---|
//! | [`runs`] | the tasks by each policy |
//! | [`switches`] | what a switch costs, the kernel's and a coroutine's |
//! | [`work`] | work of a known size, and when it was done |

use std::io;

use serde::Serialize;

use crate::slices::model::{Parameters, Policy, Run};
use crate::slices::simulate::simulate;
use crate::usage;

mod runs;
mod switches;
mod work;

/// The tasks have so much work together, or the least of each where they are many.
const WORK_MS: u64 = 200;
const TASK_MS_MIN: u64 = 20;
/// A measured slice shorter than this is no slice of the scheduler's but the work of a very busy machine.
const SLICE_NS_MIN: f64 = 50_000.0;

/// What was done for real, and what follows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Real {
    /// The CPUs that this process may use, as many as were used.
    pub(crate) cpus: Vec<usize>,
    /// The work of each task: what it takes on a CPU of its own.
    pub(crate) work_ns: u64,
    /// The runs.
    pub(crate) runs: Vec<RealRun>,
    /// What a switch between two threads of one CPU costs; `None` where the kernel did not switch when asked to.
    pub(crate) kernel_switch_ns: Option<f64>,
    /// What a switch between two coroutines of a worker costs.
    pub(crate) coroutine_switch_ns: f64,
    /// How long a thread ran on average before the kernel gave the CPU to another one.
    pub(crate) slice_ns: Option<f64>,
    /// What was simulated, simulated again on one core with the measured slice and switch: threads, then coroutines.
    pub(crate) with_measured: Option<[Simulated; 2]>,
    /// Whether this is an optimised build; the cost of a coroutine's switch of another one means little.
    pub(crate) release_build: bool,
}

/// How the tasks were run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// Threads, by the kernel.
    Threads,
    /// Coroutines of one worker that yield every millisecond of work.
    Yielding,
    /// Coroutines of one worker that run to their end.
    ToTheEnd,
    /// Coroutines with a worker on each CPU that run to their end.
    WorkerPerCpu,
}

impl Way {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads, sliced by the kernel",
            Self::Yielding => "coroutines that yield",
            Self::ToTheEnd => "coroutines to their end",
            Self::WorkerPerCpu => "coroutines, a worker per CPU",
        }
    }
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RealRun {
    /// How the tasks were run.
    pub(crate) way: Way,
    /// On how many CPUs.
    pub(crate) cpus: usize,
    /// From the first start to the last end.
    pub(crate) total_ns: u64,
    /// CPU time of the threads that ran the tasks.
    pub(crate) cpu_ns: u64,
    /// How often they gave the CPU away, because they waited.
    pub(crate) voluntary_switches: u64,
    /// How often it was taken from them.
    pub(crate) involuntary_switches: u64,
    /// How often a coroutine let another one run.
    pub(crate) coroutine_switches: u64,
    /// The tasks.
    pub(crate) tasks: Vec<RealTask>,
}

/// What became of a task.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RealTask {
    /// When it first ran.
    pub(crate) started_ns: u64,
    /// When it was done.
    pub(crate) finished_ns: u64,
    /// When it was seen to run, by itself: from, to.
    pub(crate) ran: Vec<(u64, u64)>,
}

/// A simulated run, without its pieces.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Simulated {
    /// When the last task was done.
    pub(crate) total_ns: u64,
    /// How often the core got another task.
    pub(crate) switches: u64,
    /// What that cost.
    pub(crate) switching_ns: u64,
}

impl From<Run> for Simulated {
    fn from(run: Run) -> Self {
        Self { total_ns: run.total_ns, switches: run.switches, switching_ns: run.switching_ns() }
    }
}

impl Real {
    /// Does it.
    ///
    /// # Errors
    /// The kernel starts no thread, or does not let one be pinned; no runtime can be built.
    pub(crate) fn measure(parameters: &Parameters) -> io::Result<Self> {
        let cpus: Vec<usize> = usage::allowed_cpus()?.into_iter().take(2).collect();
        let tasks = parameters.work_ns.len();
        let work_ns = (WORK_MS / tasks as u64).max(TASK_MS_MIN) * 1_000_000;
        let work = usage::pinned(&cpus[..1], || Ok(work::Work::calibrate(work_ns)))?;
        let runs = runs::all(&cpus, tasks, &work)?;
        let kernel_switch_ns = usage::pinned(&cpus[..1], switches::kernel)?;
        let coroutine_switch_ns = usage::pinned(&cpus[..1], switches::coroutine)?;
        let slice_ns = runs.first().and_then(RealRun::slice_ns);
        let mut real = Self {
            cpus,
            work_ns,
            runs,
            kernel_switch_ns,
            coroutine_switch_ns,
            slice_ns,
            with_measured: None,
            release_build: !cfg!(debug_assertions),
        };
        real.with_measured = real.simulate_again(parameters)?;
        Ok(real)
    }

    fn simulate_again(&self, parameters: &Parameters) -> io::Result<Option<[Simulated; 2]>> {
        let (Some(slice), Some(switch)) = (self.slice_ns, self.kernel_switch_ns) else { return Ok(None) };
        let slices: f64 = parameters.work_ns.iter().map(|&work| (work as f64 / slice).ceil()).sum();
        if slice < SLICE_NS_MIN || slices > crate::slices::args::SLICES_MAX as f64 {
            return Ok(None);
        }
        let with = |switch: f64| Parameters {
            slice_ns: slice as u64,
            switch_cost_ns: switch as u64,
            cores: vec![1],
            ..parameters.clone()
        };
        let threads = simulate(&with(switch), Policy::Threads, 1)?;
        let coroutines = simulate(&with(self.coroutine_switch_ns), Policy::OneThread, 1)?;
        Ok(Some([threads.into(), coroutines.into()]))
    }

    /// The run of this kind.
    pub(crate) fn run(&self, way: Way, cpus: usize) -> Option<&RealRun> {
        self.runs.iter().find(|run| run.way == way && run.cpus == cpus)
    }
}

impl RealRun {
    /// Every switch that the kernel made away from the tasks.
    pub(crate) fn kernel_switches(&self) -> u64 {
        self.voluntary_switches + self.involuntary_switches
    }

    /// The mean time on the CPU between two switches, where there was one.
    fn slice_ns(&self) -> Option<f64> {
        let turns = self.kernel_switches() + self.tasks.len() as u64;
        (self.involuntary_switches > 0).then(|| self.cpu_ns as f64 / turns as f64)
    }

    /// The part of the time, of the CPUs that the tasks could have used at once, that they did not get.
    pub(crate) fn disturbance(&self) -> f64 {
        let at_once = match self.way {
            Way::Threads | Way::WorkerPerCpu => self.cpus.min(self.tasks.len()),
            Way::Yielding | Way::ToTheEnd => 1,
        };
        let all = self.total_ns as f64 * at_once as f64;
        if all > 0.0 { (1.0 - self.cpu_ns as f64 / all).max(0.0) } else { 0.0 }
    }
}
