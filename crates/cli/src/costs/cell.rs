//! What is measured: each cell is one figure's circumstances, and a plan for each of the texts' three.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::costs::mechanism::Mechanism;
use crate::costs::method::Method;
use crate::format;

/// How a task is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Plan {
    /// As a process.
    Process,
    /// As a thread of the kernel.
    Thread,
    /// As a coroutine.
    Coroutine,
}

/// All of them, the heaviest first, as in the texts.
pub(crate) const PLANS: [Plan; 3] = [Plan::Process, Plan::Thread, Plan::Coroutine];

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Process => "process",
            Self::Thread => "thread",
            Self::Coroutine => "coroutine",
        })
    }
}

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// To spawn and join an empty task
    Creation,
    /// To give the CPU to another task and get it back
    Switch,
    /// The longest switch of many
    Worst,
    /// What a task takes that waits
    Memory,
    /// A counter that tasks share
    Counter,
    /// To exchange messages, in every way between processes and within one
    Ipc,
}

/// All parts, in the order of the tables.
pub(crate) const PARTS: [Part; 6] =
    [Part::Creation, Part::Switch, Part::Worst, Part::Memory, Part::Counter, Part::Ipc];

/// On which CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cpus {
    /// The first that this process may use.
    One,
    /// The first two, a task on each.
    Two,
    /// All that it may use.
    All,
}

/// What is measured at once, in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cell {
    /// Tasks are spawned and joined.
    Creation(Creation),
    /// Two tasks switch to and fro.
    Switch(Switch),
    /// The same, each switch timed by itself.
    Worst(Worst),
    /// Tasks wait.
    Memory(Memory),
    /// Tasks count.
    Counter(Counter),
    /// Two tasks exchange messages.
    Ipc(Exchange),
}

/// What starts a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Creator {
    /// `std::process::Command`, and the program is `/bin/true`: for comparison.
    Command,
    /// `ropewalk::process`.
    Process,
    /// `ropewalk::process::Pool`: nothing is started, a process that is there already runs a function.
    Pool,
    /// `ropewalk::thread`.
    Thread,
    /// `std::thread`: for comparison.
    StdThread,
    /// `ropewalk::coroutine`.
    Coroutine,
}

/// All of them.
pub(crate) const CREATORS: [Creator; 6] = [
    Creator::Command,
    Creator::Process,
    Creator::Pool,
    Creator::StdThread,
    Creator::Thread,
    Creator::Coroutine,
];

impl Creator {
    /// What it is called in a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Command => "/bin/true, by std",
            Self::Process => "process",
            Self::Pool => "process of a pool",
            Self::Thread => "thread",
            Self::StdThread => "thread, by std",
            Self::Coroutine => "coroutine",
        }
    }

    /// So many are spawned before the first is joined: enough to fill the time of a look at the clock, few enough for a
    /// small machine.
    pub(crate) fn batch(self) -> u32 {
        match self {
            Self::Command | Self::Process => 16,
            Self::Pool | Self::Thread | Self::StdThread => 100,
            Self::Coroutine => 1_000,
        }
    }
}

/// The cell of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Creation {
    /// What starts the tasks.
    pub(crate) by: Creator,
    /// So many are spawned before the first is joined.
    pub(crate) together: u32,
    /// On which CPUs.
    pub(crate) cpus: Cpus,
}

/// How two tasks switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// A byte goes to and fro over a pair of sockets: the same for all plans.
    Socket,
    /// As the plan does it best: a coroutine yields, a thread unparks the other and parks.
    Own,
    /// `sched_yield`: the kernel's switch and little else.
    KernelYield,
}

/// The cell of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Switch {
    /// What the two tasks are.
    pub(crate) plan: Plan,
    /// How they switch.
    pub(crate) how: How,
    /// Bytes that each touches after every switch, one in each line of the cache.
    pub(crate) working_set: u32,
}

/// The cell of the worst case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Worst {
    /// What the two tasks are.
    pub(crate) plan: Plan,
    /// How they switch.
    pub(crate) how: How,
    /// Whether a thread that computes without end has the same CPU.
    pub(crate) hog: bool,
}

/// The cell of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// What the tasks are.
    pub(crate) plan: Plan,
    /// How many wait.
    pub(crate) tasks: u32,
}

/// What keeps two tasks from counting at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Guard {
    /// `ropewalk::sync::Mutex`; between processes a record lock of the kernel's.
    Lock,
    /// An atomic addition.
    Atomic,
    /// Nothing: read, add, write.
    None,
}

/// All of them.
pub(crate) const GUARDS: [Guard; 3] = [Guard::Lock, Guard::Atomic, Guard::None];

/// The cell of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counter {
    /// What the tasks are.
    pub(crate) plan: Plan,
    /// What guards the counter.
    pub(crate) guard: Guard,
    /// How many count.
    pub(crate) tasks: u32,
    /// On which CPUs.
    pub(crate) cpus: Cpus,
}

/// The cell of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// How they are exchanged.
    pub(crate) mechanism: Mechanism,
    /// What the two tasks are.
    pub(crate) plan: Plan,
    /// The length of a message; 0 where a message has none.
    pub(crate) bytes: u32,
    /// On which CPUs.
    pub(crate) cpus: Cpus,
}

impl Cell {
    /// The CPUs that it may use, of those that this process may use.
    pub(crate) fn cpus<'a>(&self, allowed: &'a [usize]) -> &'a [usize] {
        let cpus = match self {
            Self::Creation(creation) => creation.cpus,
            Self::Counter(counter) => counter.cpus,
            Self::Ipc(exchange) => exchange.cpus,
            Self::Switch(_) | Self::Worst(_) => Cpus::One,
            Self::Memory(_) => Cpus::All,
        };
        match cpus {
            Cpus::One => &allowed[..1],
            Cpus::Two => &allowed[..allowed.len().min(2)],
            Cpus::All => allowed,
        }
    }

    /// Whether it would be the same as on one CPU where there is only one.
    pub(crate) fn needs_two_cpus(&self) -> bool {
        match self {
            Self::Creation(creation) => creation.cpus == Cpus::All,
            Self::Counter(counter) => counter.cpus == Cpus::All,
            Self::Ipc(exchange) => exchange.cpus == Cpus::Two,
            Self::Switch(_) | Self::Worst(_) | Self::Memory(_) => false,
        }
    }
}

/// What is under way, for the progress bar.
impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Creation(creation) => write!(formatter, "creation, {}", creation.by.name()),
            Self::Switch(switch) => write!(formatter, "switch, {}", switch.plan),
            Self::Worst(worst) => write!(formatter, "worst case of a switch, {}", worst.plan),
            Self::Memory(memory) => write!(formatter, "memory, {}", memory.plan),
            Self::Counter(counter) => write!(formatter, "counter, {}", counter.plan),
            Self::Ipc(Exchange { mechanism, plan, bytes: 0, .. }) => {
                write!(formatter, "{}, {plan}", mechanism.name())
            }
            Self::Ipc(Exchange { mechanism, plan, bytes, .. }) => {
                write!(formatter, "{}, {plan}, {}", mechanism.name(), format::bytes((*bytes).into()))
            }
        }
    }
}

/// All cells of a round, in the order of the tables.
pub(crate) fn cells(method: &Method) -> Vec<Cell> {
    let mut cells = Vec::new();
    for part in &method.parts {
        cells.extend(match part {
            Part::Creation => creation(),
            Part::Switch => switch(method),
            Part::Worst => worst(),
            Part::Memory => {
                PLANS.map(|plan| Cell::Memory(Memory { plan, tasks: method.parked(plan) })).to_vec()
            }
            Part::Counter => counter(method),
            Part::Ipc => exchange(method),
        });
    }
    cells
}

fn creation() -> Vec<Cell> {
    let mut cells = Vec::new();
    for by in CREATORS {
        for cpus in [Cpus::One, Cpus::All] {
            for together in [1, by.batch()] {
                cells.push(Cell::Creation(Creation { by, together, cpus }));
            }
        }
    }
    cells
}

/// Plans and ways to switch that go together.
pub(crate) const SWITCHES: [(How, Plan); 7] = [
    (How::Socket, Plan::Process),
    (How::Socket, Plan::Thread),
    (How::Socket, Plan::Coroutine),
    (How::Own, Plan::Thread),
    (How::Own, Plan::Coroutine),
    (How::KernelYield, Plan::Process),
    (How::KernelYield, Plan::Thread),
];

fn switch(method: &Method) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (how, plan) in SWITCHES {
        // A yield that the kernel does not follow would touch memory that is still warm: so nothing is touched.
        let sets = if how == How::KernelYield { &[0][..] } else { &method.working_sets };
        cells.extend(sets.iter().map(|&working_set| Cell::Switch(Switch { plan, how, working_set })));
    }
    cells
}

/// Plans and ways whose switches are timed one by one.
pub(crate) const WORST: [(How, Plan); 4] = [
    (How::Socket, Plan::Process),
    (How::Socket, Plan::Thread),
    (How::Socket, Plan::Coroutine),
    (How::Own, Plan::Coroutine),
];

fn worst() -> Vec<Cell> {
    let both = |(how, plan)| [false, true].map(|hog| Cell::Worst(Worst { plan, how, hog }));
    WORST.into_iter().flat_map(both).collect()
}

fn counter(method: &Method) -> Vec<Cell> {
    let mut cells = Vec::new();
    for plan in PLANS {
        for guard in GUARDS {
            for (tasks, cpus) in method.counters() {
                cells.push(Cell::Counter(Counter { plan, guard, tasks, cpus }));
            }
        }
    }
    cells
}

fn exchange(method: &Method) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &mechanism in &method.mechanisms {
        let lengths = if mechanism.carries_bytes() { &method.message_bytes[..] } else { &[0] };
        for &plan in mechanism.plans() {
            for cpus in [Cpus::One, Cpus::Two] {
                let cell = |&bytes| Cell::Ipc(Exchange { mechanism, plan, bytes, cpus });
                cells.extend(lengths.iter().map(cell));
            }
        }
    }
    cells
}
