//! Whether everything waits, and nothing can wake it.

use std::collections::HashSet;
use std::sync::Arc;

use ropewalk_sync::park::{ThreadId, WaitReason};
use ropewalk_sys::activity::other_threads;

use super::WorkerInfo;
use super::collect::Found;
use super::wait_for::WaitFor;
use crate::plan::thread::all_started;
use crate::scheduler::shared::Shared;
use crate::task::join::TaskId;

/// Threads of Ropewalk's own that wake no task unless a task, or the world outside, makes them, by the beginnings of their
/// names (the kernel keeps 15 characters); and the kernel's own that work for io_uring.
const HELPERS: [&str; 8] = [
    "ropewalk-sigqui",
    "ropewalk-monito",
    "ropewalk-spawne",
    "ropewalk-termin",
    "ropewalk-words",
    "ropewalk-pulse",
    "iou-wrk-",
    "iou-sqp-",
];

/// All tasks of the process wait, and none of them for time, input, a signal or another process: nothing will happen any
/// more, unless a thread that Ropewalk does not know makes it happen. As Go's "all goroutines are asleep", but it ends
/// nothing.
///
/// Whoever takes the dump is not counted among those that wait: it could wake any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standstill {
    waiting: usize,
    looker: Option<TaskId>,
    strangers: Vec<String>,
}

impl Standstill {
    /// How many tasks wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The task that has taken the dump, and so does not wait; `None` if that was a thread that is no task.
    #[must_use]
    pub fn looker(&self) -> Option<TaskId> {
        self.looker
    }

    /// The names of the threads of this process that Ropewalk knows nothing about: that were not spawned by it, and have never
    /// waited for anything of its. Any of them might have what could wake a task. If there is none, it is certain that
    /// nobody but the one who looks can.
    #[must_use]
    pub fn strangers(&self) -> &[String] {
        &self.strangers
    }
}

/// Of all tasks, which were listed after `threads` of Ropewalk's had been started, if nobody was missing in the list; and
/// what was told of the workers. `looker` is the task that calls.
pub(super) fn standstill(
    wait_for: &WaitFor<'_>,
    threads: Option<u64>,
    workers: &[WorkerInfo],
    runtimes: &[Arc<Shared>],
    looker: Option<u64>,
) -> Option<Standstill> {
    if threads.is_none() || workers.iter().any(|worker| !worker.answered) {
        return None;
    }
    let others = (0..wait_for.found.len()).filter(|task| Some(wait_for.found[*task].waiter().id()) != looker);
    let mut waiting = 0;
    for task in others.clone() {
        if wait_for.may_go_on(task) {
            return None;
        }
        waiting += usize::from(!wait_for.is_idle(task));
    }
    let mut others = others;
    // Last, so that whoever has been called or started meanwhile is seen.
    if waiting == 0 || !others.all(|task| wait_for.still_waits(task)) || all_started() != threads {
        return None;
    }
    Some(Standstill { waiting, looker: looker.map(TaskId), strangers: strangers(wait_for, runtimes)? })
}

impl WaitFor<'_> {
    /// Whether the task waits for work: others make it run, or it ends.
    fn is_idle(&self, task: usize) -> bool {
        self.waits[task].is_some_and(|(waiting, _)| waiting.reason == WaitReason::Idle)
    }

    /// Whether the task runs, or waits for what may come without any other task that is known.
    fn may_go_on(&self, task: usize) -> bool {
        let Some((waiting, _)) = self.waits[task] else { return true };
        if self.is_idle(task) {
            return false;
        }
        let is_for_one = matches!(waiting.reason, WaitReason::Join | WaitReason::Blocking);
        waiting.is_timed || waiting.reason.is_for_outside() || (is_for_one && !self.has_arrow(task))
    }
}

/// The names of the threads that are nobody's here; `None` if that cannot be known.
fn strangers(wait_for: &WaitFor<'_>, runtimes: &[Arc<Shared>]) -> Option<Vec<String>> {
    let remotes = runtimes.iter().flat_map(|shared| &shared.remotes);
    // A worker that has not begun could be any of the threads.
    let workers = remotes.map(|remote| remote.thread()).collect::<Option<Vec<ThreadId>>>()?;
    let tasks = wait_for.found.iter().filter_map(Found::thread);
    let known: HashSet<i32> = workers.into_iter().chain(tasks).map(ThreadId::number).collect();
    let threads = other_threads().ok()?.into_iter();
    let strangers = threads.filter(|(number, name)| {
        !known.contains(number) && !HELPERS.iter().any(|helper| name.starts_with(helper))
    });
    Some(strangers.map(|(_, name)| name).collect())
}
