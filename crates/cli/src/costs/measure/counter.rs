//! A counter that tasks share: under a lock, by atomic additions, and with nothing.
//!
//! With nothing means: read, add, write, each of the two accesses by itself atomic, as Rust wants it, and nothing between
//! them. Whoever is interrupted there writes back what is long out of date, and what others have added meanwhile is lost.

use std::hint::black_box;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ropewalk::ipc::Segment;
use ropewalk::process::Descriptor;
use ropewalk::sync::Mutex;
use ropewalk::{JoinHandle, Runtime, coroutine, process, thread};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use crate::costs::cell::{Cell, Counter, Guard, Plan};
use crate::costs::method::Method;
use crate::costs::result::{Figure, Figures};

/// Between two looks at the clock, and two yields of a coroutine, a task adds so often.
const ADDITIONS: u64 = 1_000;
/// A lock of the kernel's takes two system calls.
const LOCKED_ADDITIONS: u64 = 50;

/// What a task has done.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Done {
    additions: u64,
    /// How long it took.
    took: Duration,
}

pub(super) fn measure(counter: Counter, method: &Method) -> io::Result<Figures> {
    let (done, counted) = match counter.plan {
        Plan::Process => processes(counter, method.counter_time())?,
        Plan::Thread => {
            in_one_process(counter, method.counter_time(), |body| thread::Builder::new().spawn(body), || ())?
        }
        Plan::Coroutine => {
            let workers = Cell::Counter(counter).cpus(&method.cpus).len();
            let spawn = |body| coroutine::Builder::new().spawn(body);
            Runtime::builder()
                .workers(workers)
                .build()?
                .run(|| in_one_process(counter, method.counter_time(), spawn, coroutine::yield_now))?
        }
    };
    figures(counter.guard, &done, counted)
}

fn figures(guard: Guard, done: &[Done], counted: u64) -> io::Result<Figures> {
    let additions: u64 = done.iter().map(|done| done.additions).sum();
    if guard != Guard::None && counted != additions {
        return Err(io::Error::other(format!("{additions} were added, and the counter says {counted}")));
    }
    let took = done.iter().map(|done| done.took).max().unwrap_or_default();
    let lost = additions.saturating_sub(counted);
    Ok(Figures::from([
        (Figure::TimeNs, took.as_nanos() as f64 / additions as f64),
        (Figure::Additions, additions as f64),
        (Figure::LostPart, lost as f64 / additions as f64),
    ]))
}

/// Adds until the time is over.
fn add_for(time: Duration, at_once: u64, mut add: impl FnMut(), mut pause: impl FnMut()) -> Done {
    let start = Instant::now();
    let mut additions = 0;
    loop {
        (0..at_once).for_each(|_| add());
        additions += at_once;
        let took = start.elapsed();
        if took >= time {
            return Done { additions, took };
        }
        pause();
    }
}

/// Reads, adds, writes: in three steps, as in the textbook. Left to itself the compiler makes one instruction of them where
/// the processor has one, between whose halves no task is interrupted (though another CPU comes in between all the same).
fn add_unguarded(counter: &AtomicU64) {
    let read = black_box(counter.load(Relaxed));
    counter.store(read + 1, Relaxed);
}

/// A counter in memory of this process.
#[derive(Default)]
struct Shared {
    locked: Mutex<u64>,
    plain: AtomicU64,
}

type Body = Box<dyn FnOnce() -> Done + Send>;

fn in_one_process(
    counter: Counter,
    time: Duration,
    spawn: impl Fn(Body) -> io::Result<JoinHandle<Done>>,
    pause: fn(),
) -> io::Result<(Vec<Done>, u64)> {
    let shared = Arc::new(Shared::default());
    // Held until all are there, so that none has the counter to itself.
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().map_err(|_| io::Error::other("a task has panicked"))?;
    let task = |_| {
        let (shared, gate) = (Arc::clone(&shared), Arc::clone(&gate));
        spawn(Box::new(move || {
            drop(gate.lock());
            count(&shared, counter.guard, time, pause)
        }))
    };
    let tasks = (0..counter.tasks).map(task).collect::<io::Result<Vec<_>>>();
    drop(closed);
    let done =
        tasks?.into_iter().map(|task| task.join().map_err(io::Error::from)).collect::<io::Result<_>>()?;
    let locked = *shared.locked.lock().map_err(|_| io::Error::other("a task has panicked"))?;
    Ok((done, locked + shared.plain.load(Relaxed)))
}

fn count(shared: &Shared, guard: Guard, time: Duration, pause: fn()) -> Done {
    let Shared { locked, plain } = shared;
    match guard {
        Guard::Lock => {
            add_for(time, ADDITIONS, || *locked.lock().expect("nobody panics with the lock") += 1, pause)
        }
        Guard::Atomic => add_for(time, ADDITIONS, || _ = plain.fetch_add(1, Relaxed), pause),
        Guard::None => add_for(time, ADDITIONS, || add_unguarded(plain), pause),
    }
}

/// What a child is to do.
#[derive(Serialize, Deserialize)]
struct Order {
    counter: Segment,
    guard: Guard,
    time: Duration,
    /// Can be read, at its end, when all are there.
    gate: Descriptor,
    /// Is closed when the child is there.
    ready: Descriptor,
}

/// A counter in memory that processes share.
fn processes(counter: Counter, time: Duration) -> io::Result<(Vec<Done>, u64)> {
    let segment = Segment::<AtomicU64>::new(1)?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let ((gate, opener), (all_ready, ready)) = (pipe()?, pipe()?);
    let mut children = Vec::new();
    for _ in 0..counter.tasks {
        let order = Order {
            counter: segment.clone(),
            guard: counter.guard,
            time,
            gate: gate.try_clone()?.into(),
            ready: ready.try_clone()?.into(),
        };
        children.push(process::spawn(count_in_child, order)?);
    }
    // When the last one has closed its end, all are there.
    drop(ready);
    rustix::io::read(&all_ready, &mut [0; 1])?;
    drop(opener);
    let join = |child: JoinHandle<Result<Done, String>>| {
        child.join().map_err(io::Error::from)?.map_err(io::Error::other)
    };
    let done = children.into_iter().map(join).collect::<io::Result<_>>()?;
    Ok((done, segment[0].load(Relaxed)))
}

fn count_in_child(order: Order) -> Result<Done, String> {
    let Order { counter, guard, time, gate, ready } = order;
    drop(ready);
    rustix::io::read(&gate, &mut [0; 1]).map_err(|error| error.to_string())?;
    let word = &counter[0];
    let pause = || ();
    let mut failed = None;
    let done = match guard {
        Guard::Lock => {
            let mut locked = || {
                add_locked(&counter).unwrap_or_else(|error| failed = Some(error));
            };
            add_for(time, LOCKED_ADDITIONS, &mut locked, pause)
        }
        Guard::Atomic => add_for(time, ADDITIONS, || _ = word.fetch_add(1, Relaxed), pause),
        Guard::None => add_for(time, ADDITIONS, || add_unguarded(word), pause),
    };
    failed.map_or(Ok(done), |error| Err(error.to_string()))
}

/// Under a record lock (fcntl(2)) on the memory's own descriptor: the kernel gives it back when its owner dies.
fn add_locked(counter: &Segment) -> io::Result<()> {
    fcntl_lock(counter.as_fd(), FlockOperation::LockExclusive)?;
    add_unguarded(&counter[0]);
    Ok(fcntl_lock(counter.as_fd(), FlockOperation::Unlock)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(additions: u64, took_ms: u64) -> Done {
        Done { additions, took: Duration::from_millis(took_ms) }
    }

    #[test]
    fn what_is_lost_is_counted() {
        let figures = figures(Guard::None, &[done(600, 1), done(400, 2)], 750).unwrap();
        assert_eq!(figures[&Figure::LostPart], 0.25);
        assert_eq!(figures[&Figure::Additions], 1000.0);
        assert_eq!(figures[&Figure::TimeNs], 2000.0, "2 ms for a thousand");
    }

    #[test]
    fn a_guarded_counter_that_is_wrong_is_a_failure() {
        for guard in [Guard::Lock, Guard::Atomic] {
            assert!(figures(guard, &[done(10, 1)], 10).is_ok());
            let error = figures(guard, &[done(10, 1)], 9).unwrap_err().to_string();
            assert!(error.contains("10 were added, and the counter says 9"), "{error}");
        }
    }
}
