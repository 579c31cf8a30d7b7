//! What this machine cannot run, found out before it is tried.

use std::path::Path;

use crate::costs::cell::{Cell, Creator, Plan};
use crate::costs::measure::FOREIGN_PROGRAM;
use crate::costs::method::Method;
use crate::machine::limits::Limits;

/// What a task takes at most, of memory and descriptors: generous.
const PROCESS_BYTES: u64 = 16 << 20;
const THREAD_BYTES: u64 = 96 << 10;
const COROUTINE_BYTES: u64 = 48 << 10;
/// A child's pidfd, its link, and both ends while it starts.
const PROCESS_DESCRIPTORS: u64 = 6;
/// What the command itself takes.
const SPARE_TASKS: u64 = 64;
/// A stack and its guard.
const THREAD_MAPPINGS: u64 = 2;
/// The part of the free memory that may be used.
const MEMORY_PART: f64 = 0.7;

/// There is no second one.
pub(crate) const ONE_CPU: &str = "this process may use one CPU only";

/// Why the cell cannot be run here, in words.
pub(crate) fn obstacle(cell: Cell, method: &Method, limits: &Limits) -> Option<String> {
    if cell.needs_two_cpus() && method.cpus.len() < 2 {
        return Some(ONE_CPU.into());
    }
    match cell {
        Cell::Creation(creation) if creation.by == Creator::Command => {
            (!Path::new(FOREIGN_PROGRAM).exists()).then(|| format!("there is no {FOREIGN_PROGRAM}"))
        }
        Cell::Creation(creation) => match creation.by {
            Creator::Process => need(Plan::Process, creation.together, method, limits),
            Creator::Pool => need(Plan::Process, cell.cpus(&method.cpus).len() as u32, method, limits),
            Creator::Thread | Creator::StdThread => need(Plan::Thread, creation.together, method, limits),
            Creator::Coroutine | Creator::Command => None,
        },
        Cell::Memory(memory) => need(memory.plan, memory.tasks, method, limits),
        Cell::Counter(counter) => need(counter.plan, counter.tasks, method, limits),
        Cell::Switch(_) | Cell::Worst(_) | Cell::Ipc(_) => None,
    }
}

/// What so many tasks of this plan run into.
fn need(plan: Plan, tasks: u32, method: &Method, limits: &Limits) -> Option<String> {
    let tasks_u64 = u64::from(tasks);
    let (memory, kernel_tasks, descriptors, mappings, addresses) = match plan {
        Plan::Process => {
            (PROCESS_BYTES, tasks_u64 * 2, tasks_u64 * PROCESS_DESCRIPTORS, 0, tasks_u64 * PROCESS_BYTES)
        }
        Plan::Thread => {
            let stacks = tasks_u64 * method.thread_stack_bytes;
            (THREAD_BYTES, tasks_u64, 0, tasks_u64 * THREAD_MAPPINGS, stacks)
        }
        Plan::Coroutine => (COROUTINE_BYTES, 0, 0, 0, 0),
    };
    let memory = tasks_u64 * memory;
    let short = |have: Option<u64>, need: u64| have.filter(|&have| need > 0 && have < need);
    let may_use = limits.memory_free.map(|free| (free as f64 * MEMORY_PART) as u64);
    if let Some(have) = short(may_use, memory) {
        return Some(format!(
            "about {} MiB of memory needed, 70 % of what is free is {} MiB",
            memory >> 20,
            have >> 20
        ));
    }
    if let Some(have) = short(limits.commit_left, addresses) {
        let (need, have) = (addresses >> 20, have >> 20);
        return Some(format!("{need} MiB of addresses needed, vm.overcommit_memory=2 leaves {have} MiB"));
    }
    let kernel_tasks = if kernel_tasks == 0 { 0 } else { kernel_tasks + SPARE_TASKS };
    for (have, name) in [
        (limits.pids, "kernel.pid_max"),
        (limits.threads, "kernel.threads-max"),
        (limits.control_group_pids, "pids.max of the control group"),
        (limits.user_processes, "ulimit -u"),
    ] {
        if let Some(have) = short(have, kernel_tasks) {
            return Some(format!("{kernel_tasks} more processes and threads needed, {name} leaves {have}"));
        }
    }
    if let Some(have) = short(limits.descriptors, descriptors) {
        return Some(format!("{descriptors} descriptors needed, the hard limit is {have}"));
    }
    short(limits.mappings, mappings)
        .map(|have| format!("{mappings} mappings needed, vm.max_map_count is {have}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::cell::{Cpus, PARTS, cells};
    use crate::costs::mechanism::MECHANISMS;

    fn obstacles(cpus: usize, change: impl FnOnce(&mut Limits)) -> Vec<(Cell, String)> {
        let mut limits = Limits::default();
        change(&mut limits);
        let method = Method::new(false, None, PARTS.to_vec(), MECHANISMS.to_vec(), (0..cpus).collect());
        let with = |cell| Some((cell, obstacle(cell, &method, &limits)?));
        let foreign =
            |cell: &Cell| matches!(cell, Cell::Creation(creation) if creation.by == Creator::Command);
        cells(&method).into_iter().filter(|cell| !foreign(cell)).filter_map(with).collect()
    }

    #[test]
    fn what_is_not_limited_stands_in_nobodys_way() {
        assert_eq!(obstacles(2, |_| ()), []);
    }

    #[test]
    fn one_cpu_is_not_two() {
        let found = obstacles(1, |_| ());
        assert!(
            found.iter().all(|(cell, why)| cell.needs_two_cpus() && why.contains("one CPU")),
            "{found:?}"
        );
        let counters =
            |(cell, _): &&(Cell, String)| matches!(cell, Cell::Counter(counter) if counter.cpus == Cpus::All);
        assert_eq!(found.iter().filter(counters).count(), 9);
    }

    #[test]
    fn each_limit_is_named() {
        let plans = |found: &[(Cell, String)], said: &str| {
            assert!(
                !found.is_empty() && found.iter().all(|(_, why)| why.contains(said)),
                "{said}: {found:?}"
            );
            let is = |wanted: Plan| {
                found.iter().any(|(cell, _)| matches!(cell, Cell::Memory(memory) if memory.plan == wanted))
            };
            [Plan::Process, Plan::Thread, Plan::Coroutine].map(is)
        };
        let little = |limits: &mut Limits| limits.memory_free = Some(300 << 20);
        assert_eq!(plans(&obstacles(2, little), "70 % of what is free"), [true, false, true]);
        let few = |limits: &mut Limits| limits.control_group_pids = Some(100);
        assert_eq!(plans(&obstacles(2, few), "pids.max"), [true, true, false]);
        let few = |limits: &mut Limits| limits.descriptors = Some(64);
        assert_eq!(plans(&obstacles(2, few), "descriptors"), [true, false, false]);
        let few = |limits: &mut Limits| limits.mappings = Some(1_500);
        assert_eq!(plans(&obstacles(2, few), "vm.max_map_count"), [false, true, false]);
        let strict = |limits: &mut Limits| limits.commit_left = Some(1 << 30);
        assert_eq!(plans(&obstacles(2, strict), "vm.overcommit_memory"), [false, true, false]);
    }
}
