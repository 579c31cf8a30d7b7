//! How the measurements are made.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::costs::cell::{Cpus, Part, Plan};
use crate::costs::mechanism::Mechanism;

/// How many tasks count, at least; one for each CPU where there are more.
const COUNTING: u32 = 4;
const COUNTING_MAX: u32 = 16;

/// Messages that the tables speak of: a request or a note, and data.
pub(crate) const SHORT: u32 = 64;
pub(crate) const LONG: u32 = 1 << 20;

/// How the measurements are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Method {
    /// Each cell is measured so often, interleaved with the others.
    pub(crate) rounds: u32,
    /// Parts that are measured.
    pub(crate) parts: Vec<Part>,
    /// The CPUs that this process may use.
    pub(crate) cpus: Vec<usize>,
    /// How long a cell of creation or of a switch takes.
    pub(crate) cell_ms: u64,
    /// How long a cell of the worst case takes.
    pub(crate) worst_ms: u64,
    /// How long tasks count.
    pub(crate) counter_ms: u64,
    /// Bytes that a task touches after a switch.
    pub(crate) working_sets: [u32; 3],
    /// Tasks that wait: processes, threads, coroutines.
    pub(crate) parked: [u32; 3],
    /// The stack of a thread that waits.
    pub(crate) thread_stack_bytes: u64,
    /// Tasks that count, besides the case of one alone.
    pub(crate) counting: u32,
    /// How messages are exchanged.
    pub(crate) mechanisms: Vec<Mechanism>,
    /// How long messages are.
    pub(crate) message_bytes: Vec<u32>,
    /// How long messages are exchanged: to and fro, and then one way.
    pub(crate) exchange_ms: u64,
}

impl Method {
    /// The method for these parts, and these ways to exchange messages, on these CPUs.
    pub(crate) fn new(
        quick: bool,
        rounds: Option<u32>,
        parts: Vec<Part>,
        mechanisms: Vec<Mechanism>,
        cpus: Vec<usize>,
    ) -> Self {
        let pick = |quickly: u64, well: u64| if quick { quickly } else { well };
        let all = u32::try_from(cpus.len()).unwrap_or(u32::MAX);
        Self {
            rounds: rounds.unwrap_or(if quick { 1 } else { 5 }),
            parts,
            cpus,
            cell_ms: pick(20, 100),
            worst_ms: pick(50, 500),
            counter_ms: pick(10, 50),
            working_sets: [0, 64 << 10, 1 << 20],
            parked: if quick { [8, 100, 1_000] } else { [32, 1_000, 10_000] },
            // The texts' figure.
            thread_stack_bytes: 4 << 20,
            counting: all.clamp(COUNTING, COUNTING_MAX),
            mechanisms,
            message_bytes: if quick { vec![SHORT, LONG] } else { vec![SHORT, 4 << 10, LONG] },
            exchange_ms: pick(3, 15),
        }
    }

    /// So many tasks of this plan wait.
    pub(crate) fn parked(&self, plan: Plan) -> u32 {
        self.parked[match plan {
            Plan::Process => 0,
            Plan::Thread => 1,
            Plan::Coroutine => 2,
        }]
    }

    /// How many count, and on which CPUs.
    pub(crate) fn counters(&self) -> [(u32, Cpus); 3] {
        [(1, Cpus::One), (self.counting, Cpus::One), (self.counting, Cpus::All)]
    }

    /// How long a cell of creation or of a switch takes.
    pub(crate) fn cell_time(&self) -> Duration {
        Duration::from_millis(self.cell_ms)
    }

    /// How long a cell of the worst case takes.
    pub(crate) fn worst_time(&self) -> Duration {
        Duration::from_millis(self.worst_ms)
    }

    /// How long messages are exchanged, to and fro or one way.
    pub(crate) fn exchange_time(&self) -> Duration {
        Duration::from_millis(self.exchange_ms)
    }

    /// How long tasks count.
    pub(crate) fn counter_time(&self) -> Duration {
        Duration::from_millis(self.counter_ms)
    }
}
