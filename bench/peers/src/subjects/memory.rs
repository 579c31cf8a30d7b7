//! What a task that waits takes, and what it takes to make one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use corosensei::stack::DefaultStack;

use crate::frame::table::{Column, Contender, Role, Sample, Subject, Table, boost, go, sample};
use crate::rivals::{on_ropewalk, on_smol, spawn_may, tokio_current};

pub(crate) fn subject() -> Subject {
    Subject {
        name: "memory",
        about: "Tasks are started until so many wait at once, in a process that has just begun: an operation is a task. \
                bytes: by how much resident memory and page tables (VmRSS and VmPTE) have grown, for each; what the kernel \
                keeps elsewhere is not counted, which flatters threads (16 KiB and more each) and all whose guard pages are \
                mappings. create: from the first start until the last one waits. Settings are the stock ones, so what runs \
                into vm.max_map_count or the number of threads fails, and says so. A stackless task of tokio or \
                async-executor holds what its future needs, here as good as nothing; a stack is a page at least. The floor \
                is that page with a guard, 64 KiB of addresses each, in one mapping.",
        tables: vec![table("10k", 10_000), table("100k", 100_000), table("1M", 1_000_000)],
    }
}

const COLUMNS: &[Column] =
    &[Column { key: "bytes", head: "bytes" }, Column { key: "create_ns", head: "create ns" }];

fn table(name: &'static str, tasks: u64) -> Table {
    Table {
        name,
        title: format!("{tasks} tasks that wait"),
        operations: tasks,
        cpus: 2,
        warm: false,
        // What takes long varies by a percent.
        rounds: match tasks {
            0..=10_000 => usize::MAX,
            10_001..=100_000 => 3,
            _ => 1,
        },
        columns: COLUMNS,
        contenders: contenders(tasks),
    }
}

fn contenders(tasks: u64) -> Vec<Contender> {
    let new = |name, role, run: fn(u64) -> Sample| Contender::new(name, role, run);
    let mut contenders = vec![
        new("ropewalk, park", Role::Ours, |n| ropewalk(n, ropewalk::coroutine::park)),
        new("ropewalk, sleep", Role::Ours, |n| ropewalk(n, || ropewalk::coroutine::sleep(HOUR))),
        new("tokio, sleep", Role::Rival, tokio_sleep),
        new("tokio, receive", Role::Rival, tokio_receive),
        new("async-executor, receive", Role::Rival, smol_receive),
        new("may, sleep", Role::Rival, may_sleep),
        go("Go, sleep", "memory-sleep", 2),
        go("Go, receive", "memory-channel", 2),
        boost("Boost.Fiber, sleep", Role::Rival, "memory"),
        new("corosensei", Role::Rival, corosensei),
        new("a page and a guard", Role::Floor, pages),
    ];
    if tasks <= 10_000 {
        contenders.push(new("threads, 16 KiB", Role::Rival, threads));
    }
    contenders
}

const HOUR: Duration = Duration::from_secs(3600);

/// Resident memory and page tables of this process.
fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let kib = |line: &str| line.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok());
    let counted = status.lines().filter(|line| line.starts_with("VmRSS:") || line.starts_with("VmPTE:"));
    counted.filter_map(kib).sum::<f64>() * 1024.0
}

/// From before the first task to now.
struct Growth {
    bytes: f64,
    started: Instant,
}

impl Growth {
    fn begin() -> Self {
        Self { bytes: resident_bytes(), started: Instant::now() }
    }

    fn end(self, tasks: u64) -> Sample {
        let elapsed = self.started.elapsed().as_nanos() as f64;
        let bytes = resident_bytes() - self.bytes;
        sample([("bytes", bytes / tasks as f64), ("create_ns", elapsed / tasks as f64)])
    }
}

static WAITING: AtomicU64 = AtomicU64::new(0);

fn wait_until_all_wait(tasks: u64, wait: impl Fn()) {
    while WAITING.load(Ordering::Acquire) < tasks {
        wait();
    }
}

/// With their handles, as a program that means to join or cancel them would have them: room for these was made before.
fn ropewalk(tasks: u64, wait: fn()) -> Sample {
    on_ropewalk(1, move || {
        let mut handles = Vec::with_capacity(tasks as usize);
        let growth = Growth::begin();
        for _ in 0..tasks {
            handles.push(ropewalk::coroutine::spawn(move || {
                WAITING.fetch_add(1, Ordering::Release);
                wait();
            }));
        }
        wait_until_all_wait(tasks, ropewalk::coroutine::yield_now);
        let sample = growth.end(tasks);
        exit_with(&sample)
    })
}

/// Ends the process at once: to end a million tasks in order is another subject.
pub(super) fn exit_with(sample: &Sample) -> ! {
    println!("{}", serde_json::to_string(sample).expect("numbers"));
    std::process::exit(0)
}

fn tokio_sleep(tasks: u64) -> Sample {
    tokio_current().block_on(async move {
        let mut handles = Vec::with_capacity(tasks as usize);
        let growth = Growth::begin();
        handles.extend((0..tasks).map(|_| {
            tokio::spawn(async {
                WAITING.fetch_add(1, Ordering::Release);
                tokio::time::sleep(HOUR).await;
            })
        }));
        while WAITING.load(Ordering::Acquire) < tasks {
            tokio::task::yield_now().await;
        }
        let sample = growth.end(tasks);
        exit_with(&sample)
    })
}

/// Each from a channel of its own.
fn tokio_receive(tasks: u64) -> Sample {
    tokio_current().block_on(async move {
        let mut handles = Vec::with_capacity(tasks as usize);
        let growth = Growth::begin();
        handles.extend((0..tasks).map(|_| {
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(1);
            tokio::spawn(async move {
                WAITING.fetch_add(1, Ordering::Release);
                receiver.recv().await;
            });
            sender
        }));
        while WAITING.load(Ordering::Acquire) < tasks {
            tokio::task::yield_now().await;
        }
        let sample = growth.end(tasks);
        exit_with(&sample)
    })
}

fn smol_receive(tasks: u64) -> Sample {
    on_smol(async |executor| {
        let mut handles = Vec::with_capacity(tasks as usize);
        let growth = Growth::begin();
        handles.extend((0..tasks).map(|_| {
            let (sender, receiver) = async_channel::bounded::<u64>(1);
            let wait = async move {
                WAITING.fetch_add(1, Ordering::Release);
                let _ = receiver.recv().await;
            };
            executor.spawn(wait).detach();
            sender
        }));
        while WAITING.load(Ordering::Acquire) < tasks {
            futures_lite::future::yield_now().await;
        }
        let sample = growth.end(tasks);
        exit_with(&sample)
    })
}

/// Its default stack, as README recommends to start with; its workers are threads of their own.
fn may_sleep(tasks: u64) -> Sample {
    may::config().set_workers(1);
    let growth = Growth::begin();
    for _ in 0..tasks {
        drop(spawn_may(|| {
            WAITING.fetch_add(1, Ordering::Release);
            may::coroutine::sleep(HOUR);
        }));
    }
    wait_until_all_wait(tasks, || std::thread::sleep(Duration::from_millis(1)));
    growth.end(tasks)
}

fn corosensei(tasks: u64) -> Sample {
    let mut all = Vec::with_capacity(tasks as usize);
    let growth = Growth::begin();
    for _ in 0..tasks {
        let stack = DefaultStack::new(64 * 1024).expect("a stack");
        let mut one =
            corosensei::Coroutine::<(), (), ()>::with_stack(stack, |yielder, ()| yielder.suspend(()));
        one.resume(());
        all.push(one);
    }
    let sample = growth.end(tasks);
    exit_with(&sample)
}

fn threads(tasks: u64) -> Sample {
    let growth = Growth::begin();
    for _ in 0..tasks {
        let wait = || {
            WAITING.fetch_add(1, Ordering::Release);
            loop {
                std::thread::park();
            }
        };
        std::thread::Builder::new().stack_size(16 * 1024).spawn(wait).expect("a thread");
    }
    wait_until_all_wait(tasks, || std::thread::sleep(Duration::from_millis(1)));
    growth.end(tasks)
}

/// What a stack costs that holds nothing: a page of it touched, and a guard page that costs no mapping (Linux 6.13).
fn pages(tasks: u64) -> Sample {
    const SLOT: usize = 64 * 1024;
    const GUARD_INSTALL: libc::c_int = 102;
    let growth = Growth::begin();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    let size = SLOT * tasks as usize;
    // SAFETY: new memory, and only that is touched: each write is in the last word of a slot, each guard in its first page.
    unsafe {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let start = libc::mmap(std::ptr::null_mut(), size, rights, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        libc::madvise(start, size, libc::MADV_NOHUGEPAGE);
        for slot in 0..tasks as usize {
            let slot = start.byte_add(slot * SLOT);
            let guarded = libc::madvise(slot, 4096, GUARD_INSTALL);
            assert_eq!(guarded, 0, "MADV_GUARD_INSTALL: {}", std::io::Error::last_os_error());
            slot.byte_add(SLOT - size_of::<u64>()).cast::<u64>().write(1);
        }
    }
    growth.end(tasks)
}
