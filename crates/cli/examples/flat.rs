//! Linux schedules threads, all on one level; it knows no coroutines, and a process is not what it schedules. The kernel's
//! own list says so: `/proc/self/task`.

use std::fs;

use ropewalk::sync::{Arc, Semaphore};
use ropewalk::{Runtime, coroutine, inspect, thread};

const COROUTINES: usize = 1_000;
const YIELDS: usize = 10;
const THREADS: [&str; 3] = ["anna", "ben", "carl"];

pub(crate) fn main() {
    let runtime = Runtime::builder().workers(1).build().expect("a driver");
    runtime.run(|| {
        let switches = inspect::statistics().coroutine_switches;
        let (arrived, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let coroutines = (0..COROUTINES).map(|_| {
            let (arrived, gate) = (arrived.clone(), gate.clone());
            let body = move || {
                (0..YIELDS).for_each(|_| coroutine::yield_now());
                arrived.add_permits(1);
                gate.acquire().forget();
            };
            // The smallest stack: enough for so little.
            coroutine::Builder::new().stack_size(64 << 10).spawn(body).expect("a runtime")
        });
        let threads = THREADS.iter().map(|name| {
            let (arrived, gate) = (arrived.clone(), gate.clone());
            let body = move || {
                arrived.add_permits(1);
                gate.acquire().forget();
            };
            thread::Builder::new().name((*name).into()).spawn(body).expect("one more thread")
        });
        let tasks: Vec<_> = threads.chain(coroutines).collect();
        arrived.acquire_many(tasks.len()).forget(); // all of them wait now

        let process = std::process::id();
        println!("process {process}: {COROUTINES} coroutines and {} threads, all alive", THREADS.len());
        println!("/proc/self/task, what the kernel schedules:");
        println!("  {:>7} {:<12} {:>9} {:>11} {:>14}", "id", "name", "process", "on a CPU", "times on a CPU");
        let scheduled = scheduled();
        scheduled.iter().for_each(|line| println!("  {line}"));
        let switches = inspect::statistics().coroutine_switches - switches;
        println!("{} for the kernel to schedule; none is a coroutine, none is a process", scheduled.len());
        println!("switches between coroutines, which the kernel did not see: {switches}");

        gate.add_permits(tasks.len());
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// A line for each thing of this process that the kernel schedules, from its own files.
fn scheduled() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let mut ids: Vec<u32> =
        tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    ids.iter().map(|id| line(*id)).collect()
}

fn line(id: u32) -> String {
    let read = |file: &str| fs::read_to_string(format!("/proc/self/task/{id}/{file}")).unwrap_or_default();
    let status = read("status");
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")).unwrap_or("-").trim();
    // Nanoseconds on a CPU, nanoseconds in the queue for one, and how often it was given one: sched-stats.rst.
    let statistics = read("schedstat");
    let numbers: Vec<u64> = statistics.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let (ran, times) = match numbers[..] {
        [ran, _, times] => (format!("{:.2} ms", ran as f64 / 1e6), times.to_string()),
        _ => ("-".to_string(), "-".to_string()), // a kernel without CONFIG_SCHED_INFO
    };
    format!("{id:>7} {:<12} {process:>9} {ran:>11} {times:>14}", read("comm").trim())
}
