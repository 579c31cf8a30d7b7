//! What one more task takes that waits: the difference between so many and half of them. What is made for the first
//! ones, and serves all, falls out.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use ropewalk::channel::{self, Receiver, Sender};
use ropewalk::process::Descriptor;
use ropewalk::{Runtime, coroutine, process, thread};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::costs::cell::{Memory, Plan};
use crate::costs::method::Method;
use crate::costs::result::{Figure, Figures};

/// The kernel's stack of one thread, on x86-64 and aarch64.
const KERNEL_STACK: u64 = 16 << 10;

pub(super) fn measure(memory: Memory, method: &Method) -> io::Result<Figures> {
    let [half, all] = match memory.plan {
        Plan::Process => processes(memory.tasks),
        Plan::Thread => {
            let stack = usize::try_from(method.thread_stack_bytes).unwrap_or(usize::MAX);
            in_one_process(memory.tasks, |body| thread::Builder::new().stack_size(stack).spawn(body))
        }
        Plan::Coroutine => Runtime::builder()
            .build()?
            .run(|| in_one_process(memory.tasks, |body| coroutine::Builder::new().spawn(body))),
    }?;
    let others = f64::from(memory.tasks - memory.tasks / 2);
    let each = |of: fn(&Footprint) -> u64| (of(&all) as f64 - of(&half) as f64) / others;
    Ok(Figures::from([
        (Figure::TouchedBytes, each(|f| f.shared_out + f.page_tables + f.kernel_stacks)),
        (Figure::PrivateBytes, each(|f| f.private)),
        (Figure::ReservedBytes, each(|f| f.reserved)),
    ]))
}

/// How often it is looked whether a task has ended that should wait.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What processes take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Footprint {
    /// What is resident, that of several processes shared out among them (Pss).
    shared_out: u64,
    /// What is resident and theirs alone.
    private: u64,
    page_tables: u64,
    kernel_stacks: u64,
    /// Addresses.
    reserved: u64,
}

impl Footprint {
    /// Of a process, by its number or as `self`.
    fn of(process: &str) -> io::Result<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}"));
        Ok(Self::read(&read("smaps_rollup")?, &read("status")?))
    }

    fn read(rollup: &str, status: &str) -> Self {
        let number = |text: &str, name: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name));
            rest.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        let kib = |text: &str, name: &str| number(text, name) << 10;
        Self {
            shared_out: kib(rollup, "Pss:"),
            private: kib(rollup, "Private_Clean:") + kib(rollup, "Private_Dirty:"),
            page_tables: kib(status, "VmPTE:"),
            kernel_stacks: number(status, "Threads:") * KERNEL_STACK,
            reserved: kib(status, "VmSize:"),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            shared_out: self.shared_out + other.shared_out,
            private: self.private + other.private,
            page_tables: self.page_tables + other.page_tables,
            kernel_stacks: self.kernel_stacks + other.kernel_stacks,
            reserved: self.reserved + other.reserved,
        }
    }
}

/// What each task does: says that it is there, and waits.
type Body = Box<dyn FnOnce() + Send>;

/// The process with half of them and with all, waiting for a message that never comes.
fn in_one_process(
    tasks: u32,
    spawn: impl Fn(Body) -> io::Result<ropewalk::JoinHandle<()>>,
) -> io::Result<[Footprint; 2]> {
    let (ready, all_ready) = channel::unbounded();
    let (gate, closed) = channel::bounded(1);
    let mut handles = Vec::with_capacity(tasks as usize);
    let mut grow = |count: u32| {
        for _ in 0..count {
            let (ready, closed) = (ready.clone(), closed.clone());
            handles.push(spawn(Box::new(move || wait_at(&ready, &closed)))?);
        }
        for _ in 0..count {
            while all_ready.recv_timeout(LOOK_AGAIN).is_err() {
                // One that has ended is one that could not start, for want of memory.
                if let Some(place) = handles.iter().position(ropewalk::JoinHandle::is_finished) {
                    handles.swap_remove(place).join().map_err(io::Error::from)?;
                    return Err(io::Error::other("a task did not wait"));
                }
            }
        }
        Footprint::of("self")
    };
    let footprints = [grow(tasks / 2)?, grow(tasks - tasks / 2)?];
    drop::<Sender<()>>(gate);
    handles.into_iter().try_for_each(|task| task.join().map_err(io::Error::from))?;
    Ok(footprints)
}

fn wait_at(ready: &Sender<()>, gate: &Receiver<()>) {
    // Both fail only when nobody measures any more.
    let _ = ready.send(());
    let _ = gate.recv();
}

/// This process with half of so many children that wait, and with all.
fn processes(tasks: u32) -> io::Result<[Footprint; 2]> {
    let (closed, gate) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut handles = Vec::with_capacity(tasks as usize);
    let mut children = Vec::with_capacity(tasks as usize);
    let mut grow = |count: u32| {
        let (all_ready, ready) = pipe_with(PipeFlags::CLOEXEC)?;
        for _ in 0..count {
            let ends: (Descriptor, Descriptor) = (ready.try_clone()?.into(), closed.try_clone()?.into());
            handles.push(process::spawn(wait_in_child, ends)?);
        }
        // Now the children alone have that end: if they die, this reading ends.
        drop(ready);
        let mut all_ready = File::from(all_ready);
        for _ in 0..count {
            let mut number = [0; 4];
            all_ready.read_exact(&mut number)?;
            children.push(u32::from_ne_bytes(number).to_string());
        }
        let all = children.iter().map(|child| Footprint::of(child));
        let all = all.chain([Footprint::of("self")]).collect::<io::Result<Vec<_>>>()?;
        Ok::<_, io::Error>(all.into_iter().fold(Footprint::default(), Footprint::and))
    };
    let footprints = grow(tasks / 2).and_then(|half| Ok([half, grow(tasks - tasks / 2)?]));
    drop(gate);
    // What a child has to say tells more than that it has gone.
    for child in handles {
        child.join().map_err(io::Error::from)?.map_err(io::Error::other)?;
    }
    footprints
}

/// Says which process it is, and waits until the pipe is closed.
fn wait_in_child((ready, gate): (Descriptor, Descriptor)) -> Result<(), String> {
    let wait = || {
        File::from(OwnedFd::from(ready)).write_all(&std::process::id().to_ne_bytes())?;
        File::from(OwnedFd::from(gate)).read(&mut [0]).map(drop)
    };
    wait().map_err(|error: io::Error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        let rollup = "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nPss:  500 kB\nPrivate_Clean: 10 kB\nPrivate_Dirty:  300 kB\n";
        let status = "VmSize:\t 4000 kB\nVmPTE:\t 60 kB\nThreads:\t3\n";
        let read = Footprint::read(rollup, status);
        let expected = Footprint {
            shared_out: 500 << 10,
            private: 310 << 10,
            page_tables: 60 << 10,
            kernel_stacks: 48 << 10,
            reserved: 4000 << 10,
        };
        assert_eq!(read, expected);
        assert_eq!(read.and(read).reserved, 8000 << 10);
    }

    #[test]
    fn this_process_takes_something() {
        let own = Footprint::of("self").unwrap();
        assert!(own.shared_out > 0 && own.private > 0 && own.page_tables > 0 && own.reserved > 0, "{own:?}");
    }
}
