//! Memory of tasks that wait.

use super::{at_least, times, verdict};
use crate::costs::cell::{Cell, Memory, Plan};
use crate::costs::method::Method;
use crate::costs::result::{Figure, Rows};
use crate::costs::table::TASKS_CLAIMED;
use crate::format;
use crate::verdict::{Finding, Verdict};

/// The texts' figures.
const THREAD_BYTES_CLAIMED: f64 = 4e6;
const SERVER_BYTES: f64 = 8.0 * 1024.0 * 1024.0 * 1024.0;

fn cell(method: &Method, plan: Plan) -> Cell {
    Cell::Memory(Memory { plan, tasks: method.parked(plan) })
}

/// "Processes consume more of the computer's resources than threads."
pub(super) fn more_resources(method: &Method, rows: Rows<'_>) -> Verdict {
    let found = || {
        let [process, thread] = [Plan::Process, Plan::Thread].map(|plan| cell(method, plan));
        let ratio = rows.ratio(process, thread, Figure::TouchedBytes)?;
        let touched = |cell| rows.median(cell, Figure::TouchedBytes).map(format::bytes);
        let mut text = format!(
            "one more process that waits touches {}, {}",
            touched(process)?,
            times(ratio, &format!("a thread's {}", touched(thread)?))
        );
        if let Some(coroutine) = touched(cell(method, Plan::Coroutine)) {
            text += &format!("; a coroutine touches {coroutine}");
        }
        // Whatever is more bears the sentence out.
        let finding = at_least(ratio, 1.0 + f64::EPSILON);
        Some((finding, text + "."))
    };
    verdict("Processes take more of the computer's resources than threads.", found())
}

/// What a thread touches and reserves.
fn thread(method: &Method, rows: Rows<'_>) -> Option<(f64, f64)> {
    let cell = cell(method, Plan::Thread);
    Some((rows.median(cell, Figure::TouchedBytes)?, rows.median(cell, Figure::ReservedBytes)?))
}

/// "Each thread takes at least 4 MB."
pub(super) fn four_megabytes(method: &Method, rows: Rows<'_>) -> Verdict {
    let found = thread(method, rows).map(|(touched, reserved)| {
        let text = format!(
            "with a stack of {} a thread reserves {} of addresses and touches {} of memory.",
            format::bytes(method.thread_stack_bytes as f64),
            format::bytes(reserved),
            format::bytes(touched)
        );
        let finding = if touched >= THREAD_BYTES_CLAIMED {
            Finding::Holds
        } else if reserved >= THREAD_BYTES_CLAIMED {
            Finding::InPart
        } else {
            Finding::NotHere
        };
        (finding, text)
    });
    verdict("A thread takes at least 4 MB of memory.", found)
}

/// "10,000 threads consume 39 GB, but the server has only 8 GB."
pub(super) fn ten_thousand(method: &Method, rows: Rows<'_>) -> Verdict {
    let found = thread(method, rows).map(|(touched, reserved)| {
        let [touched, reserved] = [touched, reserved].map(|each| each * TASKS_CLAIMED);
        let sizes = format!(
            "computed from {}, they reserve {} and touch {}",
            format::thousands(method.parked(Plan::Thread).into()),
            format::bytes(reserved),
            format::bytes(touched)
        );
        if touched > SERVER_BYTES {
            (Finding::Holds, sizes + ": more than 8 GB of memory.")
        } else if reserved > SERVER_BYTES {
            (Finding::InPart, sizes + ": the addresses are so many, and the memory fits into 8 GB.")
        } else {
            (Finding::NotHere, sizes + ": they fit into 8 GB either way.")
        }
    });
    verdict("10,000 threads take 39 GB, and the server has only 8.", found)
}
