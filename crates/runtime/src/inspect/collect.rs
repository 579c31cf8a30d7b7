//! Finds the tasks, and looks at each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ropewalk_sync::channel;
use ropewalk_sync::park::{self, Park, ThreadId, WaitReason, Waiter, Waiting};
use ropewalk_sync::wait_list::objects_of;
use ropewalk_sys::context::Context;
use ropewalk_sys::memory::read_own;

use super::standstill::standstill;
use super::wait_for::{Deadlock, Since, WaitFor};
use super::{ANSWER_LIMIT, Dump, OBJECTS_MAX, Plan, STACKS_MAX, State, TaskInfo, WorkerInfo};
use crate::plan::thread::all_started;
use crate::runtime;
use crate::scheduler::core::Ready;
use crate::scheduler::remote::{Message, Remote};
use crate::scheduler::shared::Shared;
use crate::stack_trace::{StackTrace, Tracer};
use crate::task::Header;
use crate::task::join::TaskId;

/// `here` is a frame of the caller's.
pub(super) fn dump(here: Context) -> Dump {
    let caller = park::current_id();
    let runtimes = runtime::all();
    let mut workers = Vec::new();
    let threads = all_started();
    let Tasks { found, are_ending } = find(&runtimes, &mut workers);
    let running: Vec<u64> = workers.iter().filter_map(|worker| worker.running).map(|id| id.0).collect();
    let look = Look { since: Since::now(), running, wait_for: WaitFor::look(&found) };
    let mut tasks: Vec<TaskInfo> =
        found.iter().enumerate().map(|(place, task)| look.describe(place, task)).collect();
    for worker in &mut workers {
        let is_running = |id: &TaskId| {
            let place = tasks.binary_search_by_key(id, |task| task.id);
            place.is_ok_and(|place| tasks[place].state == State::Running)
        };
        worker.running = worker.running.filter(is_running);
    }
    let remotes: Vec<&Arc<Remote>> = runtimes.iter().flat_map(|shared| &shared.remotes).collect();
    let deadline = Instant::now() + ANSWER_LIMIT;
    let mut tracer = Tracer::new();
    for (task, info) in found.iter().zip(&mut tasks).take(STACKS_MAX) {
        info.stack = match info.state {
            State::New => None,
            State::Running if Some(info.id.0) == caller => tracer.trace_here(here),
            State::Running => trace_running(&mut tracer, task, info, &remotes, deadline),
            State::Ready | State::Blocked(_) => tracer.trace_waiting(task.waiter()),
            State::Stopped | State::Dead(_) => None,
        };
    }
    share_equal(&mut tasks);
    // Last, so that whatever has moved since the first look has been seen to move.
    let deadlocks = look.wait_for.deadlocks();
    // Who ends may be about to tell those who wait for it.
    let threads = threads.filter(|_| !are_ending);
    let standstill = standstill(&look.wait_for, threads, &workers, &runtimes, caller);
    Dump { taken_at: look.since.instant(), tasks, workers, deadlocks, standstill }
}

/// The circles among those that have started: only they can be in one.
pub(super) fn deadlocks() -> Vec<Deadlock> {
    let remotes = runtime::all();
    let remotes = remotes.iter().flat_map(|shared| &shared.remotes);
    let started = remotes.flat_map(|remote| remote.live.list()).map(Found::Coroutine).collect();
    WaitFor::look(&with_threads(started).found).deadlocks()
}

/// The tasks of these runtimes, and all threads that are tasks, by their numbers; and a description of the workers.
pub(super) fn find(runtimes: &[Arc<Shared>], workers: &mut Vec<WorkerInfo>) -> Tasks {
    let mut found = Vec::new();
    for shared in runtimes {
        found.extend(unstarted(shared, workers).into_iter().map(Found::Coroutine));
        for remote in &shared.remotes {
            found.extend(remote.live.list().into_iter().map(Found::Coroutine));
        }
    }
    with_threads(found)
}

/// All that were found.
pub(super) struct Tasks {
    /// By their numbers.
    pub(super) found: Vec<Found>,
    /// There were others, which had a result already and had not gone yet.
    are_ending: bool,
}

/// These tasks and all threads.
fn with_threads(mut found: Vec<Found>) -> Tasks {
    found.extend(park::threads().into_iter().map(Found::Thread));
    found.sort_by_key(|task| task.waiter().id());
    found.dedup_by_key(|task| task.waiter().id());
    let count = found.len();
    found.retain(|task| task.header().is_none_or(|header| !header.is_done()));
    Tasks { are_ending: found.len() < count, found }
}

/// A task that is held, so that it stays where it is.
pub(super) enum Found {
    Coroutine(Ready),
    Thread(Arc<dyn Park>),
}

impl Found {
    pub(super) fn into_park(self) -> Arc<dyn Park> {
        match self {
            Self::Coroutine(task) => task,
            Self::Thread(task) => task,
        }
    }

    pub(super) fn waiter(&self) -> &Waiter {
        match self {
            Self::Coroutine(task) => task.waiter(),
            Self::Thread(task) => task.waiter(),
        }
    }

    /// The thread that it is.
    pub(super) fn thread(&self) -> Option<ThreadId> {
        match self {
            Self::Coroutine(_) => None,
            Self::Thread(task) => task.thread(),
        }
    }

    /// The name that it was given, or that the kernel knows.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        match self.header() {
            Some(header) => header.shared_name(),
            None => self.thread().and_then(ThreadId::name).map(Arc::from),
        }
    }

    /// `None` for a thread that was not spawned by Ropewalk.
    pub(super) fn header(&self) -> Option<&Header> {
        match self {
            Self::Coroutine(task) => Some(task.header()),
            Self::Thread(task) => task.task()?.downcast_ref(),
        }
    }
}

/// Asks the workers which coroutines in their queues have not started, and describes the workers.
///
/// # None is missed
/// An unstarted coroutine is in a mailbox, in a queue, or on its way: from the mailbox into the queue, or out of a queue
/// to the worker that starts it, which may not be the same. A worker answers between two such steps. So what is on its
/// way while the first answers come has arrived when the second ones do: in a queue, or among those that have started,
/// which are looked at afterwards. Only a worker that is held up, and does not answer, may keep one to itself.
fn unstarted(shared: &Shared, workers: &mut Vec<WorkerInfo>) -> Vec<Ready> {
    let remotes = &shared.remotes;
    let mut tasks = Vec::new();
    for remote in remotes {
        // What others have posted to it, which it may be too busy to take in.
        remote.mailbox.look(|messages| {
            tasks.extend(messages.iter().filter_map(|message| match message {
                Message::Fresh(task) => Some(task.clone()),
                _ => None,
            }));
        });
    }
    let deadline = Instant::now() + ANSWER_LIMIT;
    let mut silent = ask(remotes.iter(), deadline, &mut tasks);
    let answering = remotes.iter().filter(|remote| !silent.contains(&remote.number()));
    silent.extend(ask(answering, deadline, &mut tasks));
    workers.extend(remotes.iter().map(|remote| {
        let answered = !silent.contains(&remote.number());
        WorkerInfo {
            number: remote.number(),
            running: remote.pulse.running().map(TaskId),
            switches: remote.pulse.switches(),
            answered,
            unlisted: if answered { 0 } else { remote.stealer.len() },
        }
    }));
    tasks
}

/// Adds what these workers have in their queues. Returns the numbers of those that have not answered by `deadline`.
fn ask<'a>(
    remotes: impl Iterator<Item = &'a Arc<Remote>> + Clone,
    deadline: Instant,
    tasks: &mut Vec<Ready>,
) -> Vec<u32> {
    let (answer, answers) = channel::bounded(remotes.clone().count());
    let asked = remotes.filter(|remote| remote.post(Message::Census(answer.clone())).is_ok());
    let mut silent: Vec<u32> = asked.map(|remote| remote.number()).collect();
    while !silent.is_empty() && park::may_wait() {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((number, queue)) = answers.recv_timeout(left) else { break };
        silent.retain(|other| *other != number);
        tasks.extend(queue);
    }
    silent
}

/// What all tasks are looked at with.
struct Look<'a> {
    since: Since,
    /// The numbers of the coroutines that workers have resumed last.
    running: Vec<u64>,
    wait_for: WaitFor<'a>,
}

impl Look<'_> {
    fn describe(&self, place: usize, task: &Found) -> TaskInfo {
        let waiter = task.waiter();
        let header = task.header();
        let (plan, worker) = match task {
            Found::Coroutine(task) => (Plan::Coroutine, task.core().home().map(|home| home.number())),
            Found::Thread(_) => (Plan::Thread, None),
        };
        let waiting = self.wait_for.waits[place].map(|(waiting, _)| waiting);
        TaskInfo {
            id: TaskId(waiter.id()),
            name: task.name(),
            plan,
            objects: waiting.map(|waiting| objects(waiter, waiting)).unwrap_or_default(),
            state: self.state(place, task),
            worker,
            spawned_at: header.map(Header::spawned_at),
            parent: header.and_then(Header::parent).map(TaskId),
            stack: None,
        }
    }

    fn state(&self, place: usize, task: &Found) -> State {
        let waiter = task.waiter();
        if let Some(blocked) = self.wait_for.blocked(place, self.since) {
            return State::Blocked(blocked);
        }
        match task {
            Found::Coroutine(task) if !task.core().is_claimed() => State::New,
            // Its worker has resumed another one since, or has it in its queue.
            Found::Coroutine(_) if waiter.standing().is_some() || !self.running.contains(&waiter.id()) => {
                State::Ready
            }
            _ => State::Running,
        }
    }
}

/// The addresses of all that it waits for.
fn objects(waiter: &Waiter, waiting: Waiting) -> Vec<usize> {
    if waiting.reason != WaitReason::Select {
        return Some(waiting.object).into_iter().filter(|object| *object != 0).collect();
    }
    let objects =
        objects_of(waiting.object, OBJECTS_MAX, |address, buffer| read_own(address, buffer) == buffer.len());
    // What was read there belongs to the select only if it has waited all the time.
    if waiter.waiting() == Some(waiting) { objects } else { Vec::new() }
}

/// The stack of a task that runs on another thread, if it still runs there when that is interrupted.
fn trace_running(
    tracer: &mut Tracer,
    task: &Found,
    info: &TaskInfo,
    remotes: &[&Arc<Remote>],
    deadline: Instant,
) -> Option<StackTrace> {
    match task {
        // Threads of others are left alone: a signal may be more than they are made for.
        Found::Thread(task) => {
            task.task().and(task.thread()).and_then(|thread| tracer.trace_running(thread, deadline))
        }
        Found::Coroutine(_) => {
            let remote = remotes.iter().find(|remote| Some(remote.number()) == info.worker)?;
            remote.trace_running(tracer, info.id.0, deadline)
        }
    }
}

/// Has tasks with the same calls share one list of them.
fn share_equal(tasks: &mut [TaskInfo]) {
    let mut known: HashMap<StackTrace, StackTrace> = HashMap::new();
    for task in tasks {
        if let Some(stack) = &task.stack {
            let first = known.entry(stack.clone()).or_insert_with(|| stack.clone());
            task.stack = Some(first.clone());
        }
    }
}
