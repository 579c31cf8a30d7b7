//! To spawn and join an empty task.

use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

use ropewalk::{JoinHandle, Runtime, coroutine, process, thread};

use super::{median_of_pieces, times_in_a_piece};
use crate::costs::cell::{Cell, Creation, Creator};
use crate::costs::method::Method;
use crate::costs::result::{Figure, Figures};
use crate::usage::Usage;

/// What is run as a program of somebody else's.
pub(in crate::costs) const FOREIGN_PROGRAM: &str = "/bin/true";

pub(super) fn measure(creation: Creation, method: &Method) -> io::Result<Figures> {
    let together = creation.together;
    match creation.by {
        Creator::Command => timed(creation, method, || batch(together, foreign, wait)),
        Creator::Process => timed(creation, method, || batch(together, || process::spawn(|()| (), ()), join)),
        Creator::Pool => {
            let pool =
                process::Pool::builder().size(Cell::Creation(creation).cpus(&method.cpus).len()).build()?;
            let call = || pool.call(|()| (), ()).map_err(io::Error::from);
            if together == 1 {
                timed(creation, method, call)
            } else {
                timed(creation, method, || batch(together, || pool.spawn(|()| (), ()), join))
            }
        }
        Creator::Thread => {
            timed(creation, method, || batch(together, || thread::Builder::new().spawn(|| ()), join))
        }
        Creator::StdThread => timed(creation, method, || {
            batch(together, || std::thread::Builder::new().spawn(|| ()), |thread| thread.join().map_err(died))
        }),
        Creator::Coroutine => {
            let workers = Cell::Creation(creation).cpus(&method.cpus).len();
            Runtime::builder().workers(workers).build()?.run(|| {
                timed(creation, method, || batch(together, || coroutine::Builder::new().spawn(|| ()), join))
            })
        }
    }
}

fn foreign() -> io::Result<std::process::Child> {
    Command::new(FOREIGN_PROGRAM).stdin(Stdio::null()).spawn()
}

fn wait(mut child: std::process::Child) -> io::Result<()> {
    child.wait().map(drop)
}

fn join(task: JoinHandle<()>) -> io::Result<()> {
    task.join().map_err(io::Error::from)
}

fn died(_: Box<dyn std::any::Any + Send>) -> io::Error {
    io::Error::other("a thread has panicked")
}

/// Spawns so many, then joins them.
fn batch<T>(
    together: u32,
    spawn: impl Fn() -> io::Result<T>,
    join: impl Fn(T) -> io::Result<()>,
) -> io::Result<()> {
    if together == 1 {
        return join(spawn()?);
    }
    let tasks = (0..together).map(|_| spawn()).collect::<io::Result<Vec<T>>>()?;
    tasks.into_iter().try_for_each(join)
}

fn timed(creation: Creation, method: &Method, batch: impl Fn() -> io::Result<()>) -> io::Result<Figures> {
    let often = |times: u64| (0..times).try_for_each(|_| batch());
    let times = times_in_a_piece(often)?;
    let tasks = times * u64::from(creation.together);
    let mut all = 0;
    let before = Usage::of_process()?;
    let [time] = median_of_pieces(method.cell_time(), || {
        let start = Instant::now();
        often(times)?;
        all += tasks;
        Ok([start.elapsed().as_nanos() as f64 / tasks as f64])
    })?;
    let switches = before.until(Usage::of_process()?).switches();
    Ok(Figures::from([(Figure::TimeNs, time), (Figure::KernelSwitches, switches as f64 / all as f64)]))
}
