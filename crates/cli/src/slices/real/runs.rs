//! The tasks for real, by each policy.

use std::io;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use ropewalk::{Runtime, coroutine};

use super::work::{Timeline, Work};
use super::{RealRun, RealTask, Way};
use crate::usage::{Usage, pinned};

/// A coroutine that yields does so after so much work.
const PAUSE: Duration = Duration::from_millis(1);

/// So often is a run tried that other programs disturb, as long as all of it has not taken longer than this.
const TRIES: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(3);
/// Less than this part of the time is no disturbance.
const UNDISTURBED: f64 = 0.03;

/// What a task leaves: when it ran, what the kernel counted, how often it yielded.
type Done = (Timeline, Usage, u64);

/// Everything, on one CPU and, where there are, on two.
pub(super) fn all(cpus: &[usize], tasks: usize, work: &Work) -> io::Result<Vec<RealRun>> {
    let patience = Instant::now() + PATIENCE;
    let mut runs = Vec::new();
    for cpus in (1..=cpus.len()).map(|count| &cpus[..count]) {
        let mut add = |way: Way, run: &(dyn Fn() -> io::Result<Vec<Done>> + Sync)| {
            least_disturbed(patience, || Ok(finish(way, cpus.len(), pinned(cpus, run)?)))
                .map(|run| runs.push(run))
        };
        add(Way::Threads, &|| threads(tasks, work))?;
        if cpus.len() == 1 {
            add(Way::Yielding, &|| coroutines(1, tasks, work, Some(PAUSE)))?;
        }
        add(Way::ToTheEnd, &|| coroutines(1, tasks, work, None))?;
        if cpus.len() > 1 {
            add(Way::WorkerPerCpu, &|| coroutines(cpus.len(), tasks, work, None))?;
        }
    }
    Ok(runs)
}

/// The shortest of a few tries, of one if that was hardly disturbed by other programs, or if patience is at its end.
fn least_disturbed(patience: Instant, run: impl Fn() -> io::Result<RealRun>) -> io::Result<RealRun> {
    let mut best = run()?;
    for _ in 1..TRIES {
        if best.disturbance() < UNDISTURBED || Instant::now() >= patience {
            break;
        }
        let again = run()?;
        if again.total_ns < best.total_ns {
            best = again;
        }
    }
    Ok(best)
}

/// Threads that start together, with nothing between them but the kernel.
fn threads(tasks: usize, work: &Work) -> io::Result<Vec<Done>> {
    let gate = RwLock::new(());
    std::thread::scope(|scope| {
        // Dropped, and so opened, whether all could start or not.
        let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
        let body = || {
            drop(gate.read());
            counted(|| (work.run(None, || ()), 0))
        };
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, body);
        let threads = (0..tasks).map(start).collect::<io::Result<Vec<_>>>()?;
        drop(closed);
        let join = |thread: std::thread::ScopedJoinHandle<'_, io::Result<Done>>| {
            thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        };
        threads.into_iter().map(join).collect()
    })
}

/// Coroutines of so many workers. One that yields shares its thread, whose counters then cannot be told apart: the first
/// one has them all.
fn coroutines(workers: usize, tasks: usize, work: &Work, pause: Option<Duration>) -> io::Result<Vec<Done>> {
    let runtime = Runtime::builder().workers(workers).build()?;
    let work = *work;
    let before = Usage::now()?;
    let done = runtime.run(|| {
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                coroutine::spawn(move || {
                    counted(|| {
                        let mut yields = 0;
                        let timeline = work.run(pause, || {
                            yields += 1;
                            coroutine::yield_now();
                        });
                        (timeline, yields)
                    })
                })
            })
            .collect();
        tasks.into_iter().map(|task| task.join().map_err(io::Error::from)?).collect::<io::Result<Vec<Done>>>()
    })?;
    if pause.is_none() {
        return Ok(done);
    }
    // The only worker was this thread.
    let all = before.until(Usage::now()?);
    let shared = |(index, (timeline, _, yields)): (usize, Done)| {
        (timeline, if index == 0 { all } else { Usage::default() }, yields)
    };
    Ok(done.into_iter().enumerate().map(shared).collect())
}

/// Runs a task that stays on its thread, with what the kernel counts meanwhile.
fn counted(task: impl FnOnce() -> (Timeline, u64)) -> io::Result<Done> {
    let before = Usage::now()?;
    let (timeline, yields) = task();
    Ok((timeline, before.until(Usage::now()?), yields))
}

fn finish(way: Way, cpus: usize, done: Vec<Done>) -> RealRun {
    let start = done.iter().filter_map(|(timeline, ..)| timeline.0.first()).map(|turn| turn.0).min();
    let since = |moment: Instant| {
        let since = start.map_or(Duration::ZERO, |start| moment - start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    };
    let usage = done.iter().fold(Usage::default(), |sum, (_, usage, _)| sum.and(*usage));
    let tasks: Vec<RealTask> = done
        .iter()
        .map(|(timeline, ..)| {
            let ran: Vec<_> = timeline.0.iter().map(|turn| (since(turn.0), since(turn.1))).collect();
            RealTask {
                started_ns: ran.first().map_or(0, |turn| turn.0),
                finished_ns: ran.last().map_or(0, |turn| turn.1),
                ran,
            }
        })
        .collect();
    RealRun {
        way,
        cpus,
        total_ns: tasks.iter().map(|task| task.finished_ns).max().unwrap_or(0),
        cpu_ns: usage.cpu_ns,
        voluntary_switches: usage.voluntary,
        involuntary_switches: usage.involuntary,
        coroutine_switches: done.iter().map(|(.., yields)| yields).sum(),
        tasks,
    }
}
