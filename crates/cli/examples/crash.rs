//! The crash matrix: everything goes wrong, as a coroutine, as a thread and as a process. Who dies of it, who goes on, and
//! what arrives? Each cell is a run: where a whole program may die, it is a process that was spawned for it.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::inspect;
use ropewalk::process::{self, Exit, Stdio};
use ropewalk::sync::{Arc, Semaphore};
use ropewalk::{JoinError, JoinHandle, Runtime, channel, coroutine, thread, timeout};
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use serde::{Deserialize, Serialize};
use signal_hook::low_level::signal_name;

const MEMORY: u64 = 1 << 30;
const DEADLINE: Duration = Duration::from_millis(200);
/// When the monitor reports a worker that does not switch.
const MONITOR_LIMIT: Duration = Duration::from_millis(50);
/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Way {
    Panic,
    Abort,
    BadPointer,
    StackOverflow,
    Exit,
    Kill,
    Memory,
    Deadline,
}

const WAYS: [(&str, Way); 8] = [
    ("panic", Way::Panic),
    ("abort()", Way::Abort),
    ("bad pointer", Way::BadPointer),
    ("stack overflow", Way::StackOverflow),
    ("exit(3)", Way::Exit),
    ("kill -9", Way::Kill),
    ("4 GiB, of 1 GiB", Way::Memory),
    ("a deadline passes", Way::Deadline),
];

fn go_wrong(way: Way) {
    match way {
        Way::Panic => panic!("it went wrong"),
        Way::Abort => std::process::abort(),
        // Safe Rust has none, so its signal is sent. std's handler lets a first one pass.
        Way::BadPointer => loop {
            kill_process(getpid(), Signal::SEGV).unwrap();
        },
        Way::StackOverflow => drop(black_box(deeper([0; 1024]))),
        Way::Exit => std::process::exit(3),
        Way::Kill => kill_process(getpid(), Signal::KILL).unwrap(),
        Way::Memory => drop(black_box(vec![1_u8; 4 << 30])),
        Way::Deadline => never_wait(&AtomicBool::new(false)),
    }
}

#[expect(unconditional_recursion, reason = "it is the point")]
fn deeper(bytes: [u8; 1024]) -> u8 {
    black_box(deeper(black_box(bytes))) + bytes[0]
}

fn never_wait(stop: &AtomicBool) {
    while !stop.load(SeqCst) {
        spin_loop();
    }
}

pub(crate) fn main() {
    let runtime = Runtime::builder().workers(1).build().expect("a driver");
    runtime.run(|| {
        let (question, questions) = channel::bounded::<()>(0);
        let neighbour = coroutine::spawn(move || questions.into_iter().count());
        let mut monitor = None;
        println!("{:<18} {:<19} {:<19} a process", "", "a coroutine", "a thread");
        for (name, way) in WAYS {
            let mut row = format!("{name:<18}");
            for as_thread in [false, true] {
                let cell = match process(way).spawn(program, (way, as_thread)).expect("a process").join() {
                    Ok(Told::Dead(how)) => format!("it: {how}"),
                    Ok(Told::GoesOn(report)) => {
                        monitor = monitor.or(report);
                        "nobody: it goes on".into()
                    }
                    Err(error) => format!("ALL: {}", what_arrives(&error)),
                };
                row += &format!(" {cell:<19}");
            }
            let mut victim = process(way);
            if way == Way::Deadline {
                victim = victim.deadline(DEADLINE);
            }
            let error = victim.spawn(alone, way).expect("a process").join().expect_err("it dies");
            question.send(()).expect("the neighbour lives");
            println!("{row} it: {}", what_arrives(&error));
        }
        drop(question);
        println!("the monitor, of the coroutine that goes on: it {}", monitor.unwrap_or_default());
        let asked = neighbour.join().unwrap();
        println!("beside the processes a coroutine was asked {asked} times, and answered each time");
    });
}

/// What arrives at `join`, in a word or two.
fn what_arrives(error: &JoinError) -> String {
    match error.exit() {
        Some(Exit::Exited(code)) => format!("exit code {code}"),
        Some(Exit::Signaled { signal, .. }) => signal_name(*signal).unwrap_or("a signal").into(),
        Some(Exit::DeadlineExceeded) => "deadline".into(),
        Some(Exit::Panicked { .. }) | None if error.is_panic() => "panicked".into(),
        _ => error.to_string(),
    }
}

/// A process that will go wrong. Its last words are not the tour's.
fn process(way: Way) -> process::Builder {
    let quiet = process::Builder::new().stderr(Stdio::null());
    if way == Way::Memory { quiet.memory(MEMORY) } else { quiet }
}

fn leave_no_core_dump() {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
}

fn alone(way: Way) {
    leave_no_core_dump();
    go_wrong(way);
}

/// What a program says that has outlived its task, or its task's deadline.
#[derive(Serialize, Deserialize)]
enum Told {
    Dead(String),
    GoesOn(Option<String>),
}

/// A program with a coroutine or a thread that goes wrong.
fn program((way, as_thread): (Way, bool)) -> Told {
    leave_no_core_dump();
    let builder = Runtime::builder().workers(1);
    let builder = if way == Way::Deadline { builder.monitor(MONITOR_LIMIT) } else { builder };
    builder.build().expect("a driver").run(|| {
        // Whoever watches is a thread: a coroutine could not, while another one computes.
        let watcher = thread::spawn(move || match way {
            Way::Deadline => watch_it_go_on(as_thread),
            way => {
                let victim = spawn(as_thread, move || go_wrong(way));
                Told::Dead(what_arrives(&victim.join().expect_err("it goes wrong")))
            }
        });
        watcher.join().unwrap()
    })
}

fn spawn<T: Send + 'static>(as_thread: bool, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if as_thread { thread::spawn(body) } else { coroutine::spawn(body) }
}

/// Neither its own deadline nor a cancel ends what never waits.
fn watch_it_go_on(as_thread: bool) -> Told {
    let (report, reports) = channel::bounded(1);
    inspect::on_blocked(move |blocked| report.try_send(blocked.activity()).unwrap_or_default());
    let (began, stop) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
    let flags = (began.clone(), stop.clone());
    let victim = spawn(as_thread, move || {
        flags.0.add_permits(1);
        timeout(DEADLINE, || never_wait(&flags.1))
    });
    began.acquire().forget();
    victim.cancel();
    let victim = victim.join_timeout(2 * DEADLINE).map(drop).expect_err("it goes on");
    let report = if as_thread { None } else { reports.recv_timeout(PATIENCE).ok().flatten() };
    stop.store(true, SeqCst);
    victim.join().expect("not cancelled").expect("in time");
    Told::GoesOn(report.map(|activity| activity.to_string()))
}
