//! Cooperative against preemptive: somebody computes without a pause, and a neighbour wants its turns.

use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ropewalk::channel;
use ropewalk::inspect::{self, BlockedWorker};
use ropewalk::sync::Semaphore;
use ropewalk::{Runtime, coroutine, scope, thread};

const WORK: Duration = Duration::from_millis(200);
/// When the monitor reports a worker that does not switch.
const MONITOR_LIMIT: Duration = Duration::from_millis(100);
/// Longer than the monitor takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the neighbour had its turn, and its longest wait between two turns.
struct Neighbour {
    has_begun: Semaphore,
    turns: AtomicU64,
    longest_wait_us: AtomicU64,
    goes_home: AtomicBool,
}

impl Neighbour {
    fn new() -> Self {
        let (turns, longest_wait_us) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { has_begun: Semaphore::new(0), turns, longest_wait_us, goes_home: AtomicBool::new(false) }
    }

    fn live(&self) {
        self.has_begun.add_permits(1);
        let mut last_turn = Instant::now();
        while !self.goes_home.load(SeqCst) {
            coroutine::yield_now(); // in a thread: sched_yield
            let waited = last_turn.elapsed();
            last_turn = Instant::now();
            self.turns.fetch_add(1, SeqCst);
            self.longest_wait_us.fetch_max(waited.as_micros().try_into().unwrap(), SeqCst);
        }
    }

    fn turns(&self) -> u64 {
        self.turns.load(SeqCst)
    }

    fn show(&self, beside: &str, turns: u64) {
        let longest_wait = self.longest_wait_us.load(SeqCst) as f64 / 1e3;
        println!("{beside:<42} {turns:>18} {longest_wait:>15.1} ms");
    }
}

/// Computes for as long as [`WORK`] says, and while there is `more`. Returns how many turns the neighbour had meanwhile.
fn compute(neighbour: &Neighbour, pause: fn(), more: impl Fn() -> bool) -> u64 {
    let (started, before) = (Instant::now(), neighbour.turns());
    while started.elapsed() < WORK || (more() && started.elapsed() < PATIENCE) {
        black_box((0..black_box(10_000_u64)).sum::<u64>());
        pause();
    }
    neighbour.turns() - before
}

fn beside_a_coroutine(what: &str, pause: fn(), more: impl Fn() -> bool) {
    let neighbour = Neighbour::new();
    let turns = scope(|s| {
        s.spawn(|| neighbour.live());
        neighbour.has_begun.acquire().forget();
        let turns = compute(&neighbour, pause, more);
        neighbour.goes_home.store(true, SeqCst);
        turns
    });
    neighbour.show(what, turns);
}

fn beside_threads(count: usize) {
    let neighbour = Neighbour::new();
    let (turns, preemptions) = thread::scope(|s| {
        s.spawn(|| neighbour.live());
        neighbour.has_begun.acquire().forget();
        let hogs: Vec<_> =
            (0..count).map(|_| s.spawn(|| (compute(&neighbour, || (), || false), preemptions()))).collect();
        let ended: Vec<_> = hogs.into_iter().map(|hog| hog.join().unwrap()).collect();
        neighbour.goes_home.store(true, SeqCst);
        (ended.iter().map(|(turns, _)| *turns).max(), ended.iter().map(|(_, count)| *count).sum::<u64>())
    });
    neighbour.show(&format!("{count} threads that compute, on {count} CPUs"), turns.unwrap_or(0));
    println!("  the kernel took the CPU from these threads {preemptions} times");
}

/// How often the kernel took the CPU from this thread while it could have gone on.
fn preemptions() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

pub(crate) fn main() {
    let (report, reports) = channel::unbounded();
    inspect::on_blocked(move |blocked| drop(report.send(blocked.clone())));
    let runtime = Runtime::builder().workers(1).monitor(MONITOR_LIMIT).build().expect("a driver");
    runtime.run(|| {
        println!("{:<42} {:>18} {:>18}", "a neighbour beside", "its turns", "longest wait");
        // It goes on until the monitor has noticed it.
        beside_a_coroutine("a coroutine that computes without a wait", || (), || reports.is_empty());
        if let Ok(report) = reports.try_recv() {
            println!("  the monitor: {}", describe(&report));
        }
        beside_a_coroutine("the same with yield_now() in its loop", coroutine::yield_now, || false);
        beside_threads(std::thread::available_parallelism().map_or(1, usize::from));
    });
}

/// What the monitor saw: who holds up the worker, and where in this file.
fn describe(blocked: &BlockedWorker) -> String {
    let who = blocked.name().unwrap_or("a coroutine");
    let does = blocked.activity().map_or("is busy".into(), |activity| activity.to_string());
    let stack = blocked.stack().map(|stack| stack.frames()).unwrap_or_default();
    let here = stack.iter().find(|frame| frame.file.as_ref().is_some_and(|file| file.ends_with("hog.rs")));
    // Without its path and its type parameters.
    let function = here.and_then(|frame| frame.function.split('<').next()?.rsplit("::").next());
    format!("{who} {does}{}", function.map_or(String::new(), |function| format!(", in {function}")))
}
