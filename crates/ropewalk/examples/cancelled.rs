//! A hundred thousand coroutines in a scope, which is cancelled half-way: what that takes, and what is left.
//!
//! `cargo run --release -p ropewalk --example cancelled [COUNT]`. A third have ended by then, a third sleep or wait for a
//! message, a lock or a permit, and a third have not started: they are spawned in the same breath as the cancellation.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ropewalk::sync::{Mutex, Semaphore};
use ropewalk::{Runtime, channel, coroutine, scope, thread};

const LONG: Duration = Duration::from_secs(3600);

/// Counts what has been dropped.
struct Dropped<'a>(&'a AtomicUsize);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[derive(Default)]
struct Counts {
    started: AtomicUsize,
    /// What the closures had captured, and the locals of their bodies.
    captured: AtomicUsize,
    locals: AtomicUsize,
}

/// Megabytes of memory that the process has.
fn resident_mb() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kb.ok_or_else(|| io::Error::other("/proc/self/status has no VmRSS"))? / 1024)
}

/// Spawns them, and cancels itself. Gives when it did that, and the memory at that moment.
fn crowd(count: usize, counts: &Counts, told: &channel::Sender<(Instant, u64)>) {
    let (_sender, empty) = channel::unbounded::<()>();
    let (mutex, semaphore) = (Mutex::new(()), Semaphore::new(0));
    let _held = mutex.lock();
    scope(|s| {
        let spawn = |n: usize| {
            let captured = Dropped(&counts.captured);
            let (empty, mutex, semaphore) = (&empty, &mutex, &semaphore);
            s.spawn(move || {
                let _captured = captured;
                let _local = Dropped(&counts.locals);
                counts.started.fetch_add(1, Relaxed);
                match n % 8 {
                    0 => coroutine::sleep(LONG),
                    1 => empty.recv().expect("the sender is held"),
                    2 => drop(mutex.lock()),
                    3 => drop(semaphore.acquire()),
                    _ => {}
                }
            });
        };
        (0..count / 3 * 2).for_each(spawn);
        while counts.started.load(Relaxed) < count / 3 * 2 {
            coroutine::yield_now();
        }
        (count / 3 * 2..count).for_each(spawn);
        told.send((Instant::now(), resident_mb().unwrap_or(0))).expect("main waits for it");
        coroutine::current().cancel();
        coroutine::sleep(LONG);
    });
}

fn main() -> io::Result<()> {
    let count = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 100_000,
        Some(count) => count.map_err(io::Error::other)?,
    };
    let runtime = Runtime::builder().build()?;
    // A thread looks on, so that the workers are idle when all is over.
    runtime.run(|| thread::spawn(move || look_on(count)).join())?
}

fn look_on(count: usize) -> io::Result<()> {
    let before = resident_mb()?;
    let started = Instant::now();
    let (tell, told) = channel::bounded(1);
    let task = coroutine::spawn(move || {
        let counts = Counts::default();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| crowd(count, &counts, &tell)));
        assert!(caught.is_err(), "the scope was cancelled");
        counts
    });
    let (cancelled, parked) = told.recv().map_err(io::Error::other)?;
    let counts = task.join()?;
    let ended = Instant::now();
    let [begun, captured, locals] =
        [&counts.started, &counts.captured, &counts.locals].map(|counter| counter.load(Relaxed));
    println!("{count} coroutines; {begun} had started when the scope was cancelled");
    println!("{:.0} ms to spawn them and to run those", (cancelled - started).as_secs_f64() * 1e3);
    println!("{:.0} ms from the cancel until the last had ended", (ended - cancelled).as_secs_f64() * 1e3);
    println!("destructors: {captured} of what was captured, {locals} of locals");
    assert_eq!((captured, locals), (count, begun), "each ran once");
    let mut after = resident_mb()?;
    print!("memory: {before} MB before, {parked} MB when cancelled, {after} MB right after");
    // Stacks that nobody needs are given back little by little.
    loop {
        thread::sleep(Duration::from_millis(500));
        let now = resident_mb()?;
        if now >= after {
            break;
        }
        after = now;
    }
    println!(", {after} MB after {:.1} s of rest", ended.elapsed().as_secs_f64());
    Ok(())
}
