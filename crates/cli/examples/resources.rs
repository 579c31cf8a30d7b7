//! What tasks share and what they own: a coroutine, a thread and a process each change what a process has, and the program
//! that spawned them looks. Then what happens to a process that may use only so much.

use std::env;
use std::fs::{self, File};
use std::hint::{black_box, spin_loop};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropewalk::process::{self, Stdio};
use ropewalk::{JoinHandle, Runtime, coroutine, thread};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGUSR1, SIGUSR2, SIGWINCH};

/// In static memory: one in each process.
static GLOBAL: AtomicU32 = AtomicU32::new(0);
/// On the heap.
static HEAP: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// What a task has opened, and leaves open.
static OPENED: Mutex<Vec<(u32, File)>> = Mutex::new(Vec::new());

/// Who has changed everything.
#[derive(Serialize, Deserialize)]
struct Changed {
    process: u32,
    thread: i32,
}

/// Changes one of everything.
fn change((mark, signal): (u32, i32)) -> Changed {
    GLOBAL.store(mark, SeqCst);
    HEAP.lock().unwrap().push(mark);
    OPENED.lock().unwrap().push((mark, File::open("/dev/null").expect("one more descriptor")));
    env::set_current_dir("/proc").expect("everybody may go there");
    signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).expect("it can be handled");
    Changed { process: std::process::id(), thread: own_thread() }
}

fn own_thread() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

const ROWS: [&str; 7] = [
    "the process (pid)",
    "what the kernel schedules (tid)",
    "a global variable",
    "a vector on the heap",
    "an open file",
    "the working directory",
    "what happens at a signal",
];

/// Of each row, whether a task's change is one here, too; and puts back what can be.
fn look(mark: u32, signal: i32, changed: &Changed, directory: &std::path::Path) -> [bool; ROWS.len()] {
    let opened = OPENED.lock().unwrap();
    let file = opened.iter().find(|(by, _)| *by == mark).map(|(_, file)| file.as_raw_fd());
    let seen = [
        changed.process == std::process::id(),
        changed.thread == own_thread(),
        GLOBAL.load(SeqCst) == mark,
        HEAP.lock().unwrap().contains(&mark),
        file.is_some_and(|number| fs::read_link(format!("/proc/self/fd/{number}")).is_ok()),
        env::current_dir().expect("it is there") != directory,
        is_handled(signal),
    ];
    env::set_current_dir(directory).expect("it was there");
    seen
}

/// Whether this process has a handler for the signal (proc_pid_status(5): a bit for each, the lowest is signal 1).
fn is_handled(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let bits = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let bits = bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default();
    bits >> (signal - 1) & 1 == 1
}

/// Starts a task that changes what its place has.
type Spawn = fn((u32, i32)) -> JoinHandle<Changed>;

pub(crate) fn main() {
    let runtime = Runtime::builder().workers(1).build().expect("a driver");
    runtime.run(|| {
        let directory = env::current_dir().expect("one is somewhere");
        let plans: [(u32, i32, Spawn); 3] = [
            (1, SIGUSR1, |change_| coroutine::spawn(move || change(change_))),
            (2, SIGUSR2, |change_| thread::spawn(move || change(change_))),
            (3, SIGWINCH, |change_| process::spawn(change, change_).expect("one more process")),
        ];
        let columns = plans.map(|(mark, signal, spawn)| {
            let changed = spawn((mark, signal)).join().expect("it returns");
            look(mark, signal, &changed, &directory)
        });
        println!("{:<34}{:<16}{:<16}a process", "", "a coroutine", "a thread");
        for (row, name) in ROWS.iter().enumerate() {
            let cells = columns.map(|column| if column[row] { "its spawner's" } else { "its own" });
            println!("{name:<34}{:<16}{:<16}{}", cells[0], cells[1], cells[2]);
        }
        println!("limits, which only a process can have:");
        limits();
    });
}

fn limits() {
    let quiet = || process::Builder::new().stderr(Stdio::null());
    let memory = quiet().memory(1 << 30).spawn(allocate, 4 << 30).expect("one more process");
    let cpu_time = quiet().cpu_time(Duration::from_secs(1)).spawn(compute, ()).expect("one more process");
    let files = quiet().open_files(32).spawn(open_files, ()).expect("one more process");
    let ending = |handle: JoinHandle<()>| match handle.join() {
        Ok(()) => "it returned".to_owned(),
        Err(error) => error.exit().map_or_else(|| error.to_string(), |exit| exit.to_string()),
    };
    println!("  memory 1 GiB, and it asks for 4   it {}", ending(memory));
    println!("  CPU time 1 s, and it never ends   it {}", ending(cpu_time));
    let (opened, error) = files.join().expect("it goes on");
    println!("  32 open files, and it opens more  after {opened}: {error}");
}

fn allocate(bytes: usize) {
    // Its end is to leave no core dump.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit can be lowered");
    black_box(vec![1_u8; bytes]);
}

fn compute(_: ()) {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit can be lowered");
    loop {
        spin_loop();
    }
}

/// Opens files until it may not.
fn open_files(_: ()) -> (usize, String) {
    let mut files = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => return (files.len(), error.to_string()),
        }
    }
}
