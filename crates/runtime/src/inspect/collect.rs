//! Finds the tasks, and looks at each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropewalk_sync::channel;
use ropewalk_sync::clock;
use ropewalk_sync::park::{self, Park, WaitReason, Waiter, Waiting};
use ropewalk_sync::wait_list::objects_of;
use ropewalk_sync::{mutex, once, rwlock};
use ropewalk_sys::context::Context;
use ropewalk_sys::memory::read_own;

use super::{ANSWER_LIMIT, Blocked, Dump, OBJECTS_MAX, Plan, STACKS_MAX, State, TaskInfo, WorkerInfo};
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
    let found = find(&runtimes, &mut workers);
    let running: Vec<u64> = workers.iter().filter_map(|worker| worker.running).map(|id| id.0).collect();
    let since = Since { now: Instant::now(), coarse: clock::coarse_nanos() };
    let look = Look { since, running, headers: headers(&found) };
    let mut tasks: Vec<TaskInfo> = found.iter().map(|task| look.describe(task)).collect();
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
    Dump { taken_at: since.now, tasks, workers }
}

/// The tasks of these runtimes, and all threads that are tasks, by their numbers; and a description of the workers.
pub(super) fn find(runtimes: &[Arc<Shared>], workers: &mut Vec<WorkerInfo>) -> Vec<Found> {
    let mut found: Vec<Found> = park::threads().into_iter().map(Found::Thread).collect();
    for shared in runtimes {
        found.extend(unstarted(shared, workers).into_iter().map(Found::Coroutine));
        for remote in &shared.remotes {
            found.extend(remote.live.list().into_iter().map(Found::Coroutine));
        }
    }
    found.sort_by_key(|task| task.waiter().id());
    found.dedup_by_key(|task| task.waiter().id());
    found.retain(|task| task.header().is_none_or(|header| !header.is_done()));
    found
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

    fn waiter(&self) -> &Waiter {
        match self {
            Self::Coroutine(task) => task.waiter(),
            Self::Thread(task) => task.waiter(),
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

/// The tasks by the addresses of their headers: what a join waits for.
fn headers(found: &[Found]) -> HashMap<usize, u64> {
    let address = |header: &Header| std::ptr::from_ref(header).addr();
    found.iter().filter_map(|task| Some((address(task.header()?), task.waiter().id()))).collect()
}

/// One moment, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Since {
    pub(super) now: Instant,
    pub(super) coarse: u64,
}

/// What all tasks are looked at with.
struct Look {
    since: Since,
    /// The numbers of the coroutines that workers have resumed last.
    running: Vec<u64>,
    headers: HashMap<usize, u64>,
}

impl Look {
    fn describe(&self, task: &Found) -> TaskInfo {
        let waiter = task.waiter();
        let header = task.header();
        let (plan, worker) = match task {
            Found::Coroutine(task) => (Plan::Coroutine, task.core().home().map(|home| home.number())),
            Found::Thread(_) => (Plan::Thread, None),
        };
        let name = match (task, header) {
            (_, Some(header)) => header.shared_name(),
            (Found::Thread(task), None) => task.thread().and_then(|thread| thread.name()).map(Arc::from),
            (Found::Coroutine(_), None) => None,
        };
        let waiting = waiter.waiting();
        TaskInfo {
            id: TaskId(waiter.id()),
            name,
            plan,
            objects: waiting.map(|waiting| objects(waiter, waiting)).unwrap_or_default(),
            state: self.state(task, waiting),
            worker,
            spawned_at: header.map(Header::spawned_at),
            parent: header.and_then(Header::parent).map(TaskId),
            stack: None,
        }
    }

    fn state(&self, task: &Found, waiting: Option<Waiting>) -> State {
        let waiter = task.waiter();
        if let Some(waiting) = waiting {
            let joined = |header| self.headers.get(&header).copied();
            return State::Blocked(blocked(waiter, waiting, self.since, joined));
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

/// What a task waits for. `joined` finds the task with a header at this address.
pub(super) fn blocked(
    waiter: &Waiter,
    waiting: Waiting,
    since: Since,
    joined: impl FnOnce(usize) -> Option<u64>,
) -> Blocked {
    let passed = Duration::from_nanos(since.coarse.saturating_sub(waiting.since));
    let on = match waiting.reason {
        WaitReason::Join => joined(waiting.object),
        WaitReason::MutexLock => holder(waiting.object, mutex::HOLDER_OFFSET),
        WaitReason::RwLockRead | WaitReason::RwLockWrite => holder(waiting.object, rwlock::HOLDER_OFFSET),
        WaitReason::OnceWait => holder(waiting.object, once::HOLDER_OFFSET),
        _ => None,
    };
    // What was read at that address belongs to it only if it was waited for all the time.
    let on = on.filter(|_| waiter.waiting() == Some(waiting));
    Blocked {
        reason: waiting.reason,
        since: since.now.checked_sub(passed).unwrap_or(since.now),
        object: Some(waiting.object).filter(|object| *object != 0 && waiting.reason != WaitReason::Select),
        on: on.map(TaskId),
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

/// Who holds the lock at this address, if there still is one, by the note that is so far in it.
fn holder(lock: usize, offset: usize) -> Option<u64> {
    let mut id = [0; 8];
    let read = read_own(lock.wrapping_add(offset), &mut id);
    Some(u64::from_ne_bytes(id)).filter(|id| read == 8 && *id != 0)
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
