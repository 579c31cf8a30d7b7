//! Finds workers that are held up: by a coroutine that computes and does not wait, or by a call that blocks the thread.
//!
//! One thread for the process, while any runtime asks for it. Twice in each limit it reads what every worker writes down
//! anyway, at each switch: which coroutine it has resumed, and how many before. A worker that is in the same turn for as
//! long as the limit is reported, once a turn, with the stack of the coroutine, which its thread is interrupted for.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ropewalk_sync::{clock, park};
use ropewalk_sys::activity::{self, activity, call_name};

use crate::scheduler::core::Ready;
use crate::scheduler::remote::Remote;
use crate::scheduler::shared::Shared;
use crate::stack_trace::{StackTrace, Tracer};
use crate::task::join::TaskId;

/// The shortest limit.
const LIMIT_MIN: Duration = Duration::from_millis(10);
/// How long a worker may take to show its stack. It may be in a call that nothing ends, such as a read from a disk that
/// does not answer.
const ANSWER_LIMIT: Duration = Duration::from_millis(100);

/// What holds up a worker, as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// The coroutine has a CPU, or waits for one: it computes.
    Computing,
    /// The coroutine has called the kernel, and sleeps in this system call: all that wait for the worker sleep with it. The
    /// name is missing for rare calls, and where the kernel does not tell.
    InSystemCall(Option<&'static str>),
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Computing => f.write_str("computes"),
            Self::InSystemCall(Some(name)) => write!(f, "sleeps in the system call {name}"),
            Self::InSystemCall(None) => f.write_str("sleeps in a system call"),
        }
    }
}

/// A worker that is held up by one of its coroutines. Its `Display` is a text for people, with the stack.
#[derive(Clone, Debug)]
pub struct BlockedWorker {
    worker: u32,
    task: TaskId,
    name: Option<Arc<str>>,
    spawned_at: &'static Location<'static>,
    duration: Duration,
    activity: Option<Activity>,
    others: usize,
    stack: Option<StackTrace>,
}

impl BlockedWorker {
    /// The worker's number.
    #[must_use]
    pub fn worker(&self) -> u32 {
        self.worker
    }

    /// The coroutine that runs there.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Its name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where it was spawned.
    #[must_use]
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// For how long it has run without a wait, at least. It may be half a limit more.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether it computes or sleeps in the kernel; `None` where `/proc` does not tell.
    #[must_use]
    pub fn activity(&self) -> Option<Activity> {
        self.activity
    }

    /// How many other coroutines the worker has started, which cannot run meanwhile.
    #[must_use]
    pub fn others(&self) -> usize {
        self.others
    }

    /// The stack of the coroutine; `None` if the thread could not be interrupted.
    #[must_use]
    pub fn stack(&self) -> Option<&StackTrace> {
        self.stack.as_ref()
    }
}

impl fmt::Display for BlockedWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, task, spawned_at, duration, .. } = self;
        write!(f, "worker {worker} is held up for {} ms by coroutine {task}", duration.as_millis())?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        if let Some(activity) = self.activity {
            write!(f, ", which {activity}")?;
        }
        writeln!(f, "; spawned at {}:{}", spawned_at.file(), spawned_at.line())?;
        match &self.stack {
            Some(stack) => stack.fmt(f),
            None => writeln!(f, "its stack could not be read"),
        }
    }
}

type Callback = Arc<dyn Fn(&BlockedWorker) + Send + Sync>;

/// A turn of a worker, and since when the monitor knows it.
struct Turn {
    switches: u64,
    running: u64,
    since: Instant,
    is_reported: bool,
}

#[derive(Default)]
struct Monitor {
    watched: Vec<(Weak<Shared>, Duration)>,
    /// By the workers' numbers.
    turns: Option<HashMap<u32, Turn>>,
    callbacks: Vec<Callback>,
    /// The thread lives.
    is_running: bool,
}

static MONITOR: Mutex<Monitor> =
    Mutex::new(Monitor { watched: Vec::new(), turns: None, callbacks: Vec::new(), is_running: false });

fn monitor() -> MutexGuard<'static, Monitor> {
    MONITOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A worker that is held up, before anybody has looked closer.
struct Suspect {
    remote: Arc<Remote>,
    switches: u64,
    running: u64,
    duration: Duration,
}

/// Calls `callback`, on the monitor's thread, whenever a worker is held up for longer than the limit of its runtime
/// ([`Builder::monitor`](crate::Builder::monitor), or `ROPEWALK_MONITOR=100ms`): once for each time that a coroutine was
/// resumed and did not come back. For the rest of the process's life. The same is told as a warning through `tracing`.
///
/// ```
/// use std::sync::mpsc;
/// use std::time::Duration;
/// use ropewalk_runtime::{Runtime, inspect};
///
/// let (tell, told) = mpsc::channel();
/// inspect::on_blocked(move |blocked| drop(tell.send(blocked.to_string())));
/// let runtime = Runtime::builder().monitor(Duration::from_millis(20)).build()?;
/// runtime.run(move || {
///     // std's receive blocks the thread, and with it every coroutine of this worker.
///     let text = told.recv().unwrap();
///     assert!(text.contains("is held up for"), "{text}");
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn on_blocked(callback: impl Fn(&BlockedWorker) + Send + Sync + 'static) {
    monitor().callbacks.push(Arc::new(callback));
}

/// The workers that are held up now, of runtimes that have a [monitor](crate::Builder::monitor): for longer than its limit.
/// Takes each one's stack anew, which may take 100 ms where a thread cannot be interrupted.
#[must_use]
pub fn blocked_workers() -> Vec<BlockedWorker> {
    let (_, suspects) = monitor().look(false);
    suspects.iter().filter_map(Suspect::examine).collect()
}

/// Watches the workers of a runtime from now on, until it is gone.
pub(crate) fn watch(shared: &Arc<Shared>, limit: Duration) {
    let mut monitor = monitor();
    monitor.watched.push((Arc::downgrade(shared), limit.max(LIMIT_MIN)));
    if !monitor.is_running {
        let thread = std::thread::Builder::new().name("ropewalk-monitor".into());
        match thread.spawn(run) {
            Ok(_) => monitor.is_running = true,
            Err(error) => {
                tracing::warn!(%error, "no thread for the monitor: nobody looks for workers that are held up")
            }
        }
    }
}

/// What `ROPEWALK_MONITOR` says.
pub(crate) fn limit_of_environment() -> Option<Duration> {
    let text = std::env::var("ROPEWALK_MONITOR").ok()?;
    let limit = parse_limit(&text);
    if limit.is_none() {
        tracing::warn!(
            value = text,
            "ROPEWALK_MONITOR is not a duration such as 100ms or 2s: there is no monitor"
        );
    }
    limit
}

fn parse_limit(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

/// The thread.
fn run() {
    loop {
        let (period, suspects) = monitor().look(true);
        for blocked in suspects.iter().filter_map(Suspect::examine) {
            report(&blocked);
        }
        match period {
            Some(period) => park::sleep(period),
            None if monitor().end() => return,
            None => {}
        }
    }
}

fn report(blocked: &BlockedWorker) {
    let BlockedWorker { worker, task, name, .. } = blocked;
    let name = name.as_deref().unwrap_or("unnamed");
    tracing::warn!(worker, task = task.as_u64(), name, "{blocked}");
    let callbacks = monitor().callbacks.clone();
    for callback in callbacks {
        // One that panics has said so; the others, and the next reports, are none of its business.
        let _ = catch_unwind(AssertUnwindSafe(|| callback(blocked)));
    }
}

impl Monitor {
    /// Looks at all workers: when to look again, `None` for never, and who is held up; `is_report`: and was not said to be.
    fn look(&mut self, is_report: bool) -> (Option<Duration>, Vec<Suspect>) {
        let now = clock::now();
        let turns = self.turns.get_or_insert_default();
        let mut suspects = Vec::new();
        let mut period = None::<Duration>;
        let mut known = Vec::new();
        self.watched.retain(|(shared, limit)| {
            let Some(shared) = shared.upgrade() else { return false };
            period = Some(period.map_or(*limit, |period| period.min(*limit)));
            for remote in &shared.remotes {
                known.push(remote.number());
                suspects.extend(look_at(turns, remote, now, *limit, is_report));
            }
            true
        });
        turns.retain(|number, _| known.contains(number));
        (period.map(|limit| limit / 2), suspects)
    }

    /// Nothing was to be watched: `true` if that is still so, and the thread ends.
    fn end(&mut self) -> bool {
        self.is_running = !self.watched.is_empty();
        !self.is_running
    }
}

fn look_at(
    turns: &mut HashMap<u32, Turn>,
    remote: &Arc<Remote>,
    now: Instant,
    limit: Duration,
    is_report: bool,
) -> Option<Suspect> {
    let switches = remote.pulse.switches();
    let Some(running) = remote.pulse.running() else {
        turns.remove(&remote.number());
        return None;
    };
    let fresh = || Turn { switches, running, since: now, is_reported: false };
    let turn = turns.entry(remote.number()).or_insert_with(fresh);
    if (turn.switches, turn.running) != (switches, running) {
        *turn = fresh();
    }
    let duration = now.saturating_duration_since(turn.since);
    if duration < limit || (is_report && turn.is_reported) {
        return None;
    }
    turn.is_reported |= is_report;
    Some(Suspect { remote: remote.clone(), switches, running, duration })
}

impl Suspect {
    /// Looks closer; `None` if the worker has gone on.
    fn examine(&self) -> Option<BlockedWorker> {
        let live = self.remote.live.list();
        let task: &Ready = live.iter().find(|task| task.waiter().id() == self.running)?;
        // Before the interruption, which ends some calls.
        let activity = self.remote.thread().and_then(activity).map(|activity| match activity {
            activity::Activity::Computing => Activity::Computing,
            activity::Activity::InCall(number) => Activity::InSystemCall(number.and_then(call_name)),
        });
        let deadline = Instant::now() + ANSWER_LIMIT;
        let stack = self.remote.trace_running(&mut Tracer::new(), self.running, deadline);
        let is_still = (self.remote.pulse.switches(), self.remote.pulse.running());
        (is_still == (self.switches, Some(self.running))).then(|| BlockedWorker {
            worker: self.remote.number(),
            task: TaskId(self.running),
            name: task.header().shared_name(),
            spawned_at: task.header().spawned_at(),
            duration: self.duration,
            activity,
            others: live.len() - 1,
            stack,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_durations_with_a_unit() {
        assert_eq!(parse_limit("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(parse_limit(" 2s "), Some(Duration::from_secs(2)));
        for wrong in ["", "100", "ms", "1 s", "-1s", "1min"] {
            assert_eq!(parse_limit(wrong), None, "{wrong}");
        }
    }
}
