//! What differs between the arithmetic and this machine, and why: computed from what was measured.

use crate::duration::exact;
use crate::format;
use crate::slices::model::{Parameters, Policy, Run};
use crate::slices::real::{Real, RealRun, Way};

/// Others that take less of a CPU than this part of a run are not worth a sentence.
const NOISE: f64 = 0.05;

/// A sentence or two each.
pub(crate) fn differences(parameters: &Parameters, runs: &[Run], real: &Real) -> Vec<String> {
    [
        slice(parameters, real),
        switch(parameters, real),
        price(parameters, runs, real),
        latency(real),
        two_cpus(real),
        others(real),
        (!real.release_build).then(|| {
            "This is a debug build: a coroutine's switch is several times faster in a release build."
                .to_owned()
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn time(nanos: f64) -> String {
    if nanos < 1e3 { format!("{nanos:.0} ns") } else { format::time(nanos / 1e3) }
}

fn slice(parameters: &Parameters, real: &Real) -> Option<String> {
    let threads = real.run(Way::Threads, 1)?;
    let simulated = exact(parameters.slice_ns);
    Some(match real.slice_ns {
        Some(slice) => format!(
            "A slice: {simulated} in the arithmetic, {} here, on average: the kernel took the CPU away {} times. It \
             gives no fixed slices; it sees to it that no thread falls far behind.",
            time(slice),
            format::thousands(threads.involuntary_switches)
        ),
        None => {
            format!("A slice: {simulated} in the arithmetic; here the kernel took the CPU from no thread.")
        }
    })
}

fn switch(parameters: &Parameters, real: &Real) -> Option<String> {
    let kernel = real.kernel_switch_ns?;
    Some(format!(
        "A switch: {} in the arithmetic, {} here between threads, system call included, and {} between coroutines, \
         which need none.",
        exact(parameters.switch_cost_ns),
        time(kernel),
        time(real.coroutine_switch_ns)
    ))
}

/// The arithmetic with the measured slice and switch.
fn price(parameters: &Parameters, runs: &[Run], real: &Real) -> Option<String> {
    let [threads, coroutines] = real.with_measured.as_ref()?;
    let said = runs.iter().find(|run| run.policy == Policy::Threads && run.cores == 1);
    let percent = |switching: u64, total: u64| switching as f64 / total.max(1) as f64 * 100.0;
    let before = said.map_or_else(String::new, |run| {
        format!(" instead of {:.1} %", percent(run.switching_ns(), run.total_ns))
    });
    Some(format!(
        "So slices cost little: with the measured slice and switch the same arithmetic gives {} for the {} in threads \
         ({} switches, {} % of the time{before}), and {} in coroutines.",
        seconds_with(threads.total_ns, 4),
        if parameters.work_ns.len() == 1 { "task" } else { "tasks" },
        format::thousands(threads.switches),
        format::short(percent(threads.switching_ns, threads.total_ns)),
        seconds_with(coroutines.total_ns, 4)
    ))
}

fn seconds_with(nanos: u64, digits: usize) -> String {
    format!("{:.digits$} s", nanos as f64 / 1e9)
}

fn latency(real: &Real) -> Option<String> {
    let last = |way| {
        let run = real.run(way, 1)?;
        run.tasks.iter().map(|task| task.started_ns).max()
    };
    let (threads, to_the_end) = (last(Way::Threads)?, last(Way::ToTheEnd)?);
    (threads < to_the_end).then(|| {
        format!(
            "What slices are for: the last thread first ran after {}, the last coroutine after {}, because no other one \
             let it. Coroutines that compute have to yield.",
            time(threads as f64),
            time(to_the_end as f64)
        )
    })
}

fn two_cpus(real: &Real) -> Option<String> {
    let (threads, one) = (real.run(Way::Threads, 2)?, real.run(Way::ToTheEnd, 2)?);
    let both = real.run(Way::WorkerPerCpu, 2)?;
    Some(format!(
        "On two CPUs: threads {}; coroutines of one worker {}, as the text says; with a worker on each CPU, which is what \
         Ropewalk starts, {}.",
        time(threads.total_ns as f64),
        time(one.total_ns as f64),
        time(both.total_ns as f64)
    ))
}

fn others(real: &Real) -> Option<String> {
    let most = real.runs.iter().map(RealRun::disturbance).fold(0.0, f64::max);
    (most >= NOISE).then(|| {
        format!(
            "Other programs kept the tasks waiting for up to {:.0} % of a run: totals are longer by that, and slices may be \
             shorter.",
            most * 100.0
        )
    })
}
