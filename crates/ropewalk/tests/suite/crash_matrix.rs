//! The crash matrix: every way to go wrong as a coroutine, as a thread and as a process; who dies of it, who goes on, and
//! how it arrives.
//!
//! Each cell is made to happen. Where the whole program dies, the program is a child that was spawned for it, and its
//! parent tells how it ended.

use std::hint::black_box;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::process::{self, Descriptor, Exit};
use ropewalk::{JoinError, Runtime, channel, coroutine, timeout};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use crate::support::child::{Child, case, on_every_driver_alone, test_name};
use crate::support::plan::driver_named;
use crate::support::process::{assert_settles, children, descriptors};
use crate::support::{LONG, PLANS, Plan, drivers, guarded, on_driver, until};

/// A way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    Panic,
    Abort,
    Segv,
    Overflow,
    Exit,
    Kill,
    Memory,
}

const WAYS: [Way; 7] = [Way::Panic, Way::Abort, Way::Segv, Way::Overflow, Way::Exit, Way::Kill, Way::Memory];

/// Of a process that is to use more.
const MEMORY: u64 = 1 << 30;

#[expect(unconditional_recursion, reason = "that is what the test is about")]
fn recurse(bytes: [u8; 1024]) -> u8 {
    black_box(recurse(black_box(bytes))) + bytes[0]
}

fn go_wrong(way: Way) {
    match way {
        Way::Panic => panic!("it went wrong"),
        Way::Abort => std::process::abort(),
        // SAFETY: none. It is meant to fault, and its process to die of it.
        Way::Segv => unsafe {
            black_box(std::ptr::read_volatile(std::ptr::with_exposed_provenance::<u8>(8)));
        },
        Way::Overflow => drop(black_box(recurse([0; 1024]))),
        Way::Exit => std::process::exit(3),
        Way::Kill => kill_process(getpid(), Signal::KILL).unwrap(),
        Way::Memory => drop(black_box(vec![1_u8; 4 << 30])),
    }
}

/// A process that says nothing while it dies, and leaves no core dump, which the test's own process has forbidden.
fn sacrifice(way: Way) -> process::Builder {
    let quiet = process::Builder::new().stderr(process::Stdio::null()).env("RUST_BACKTRACE", "0");
    if way == Way::Memory { quiet.memory(MEMORY) } else { quiet }
}

/// What a program is told, in which `plan` runs a task that goes wrong beside another that does not.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    is_panic: bool,
    text: String,
    neighbour: u32,
}

fn program((as_thread, way): (bool, Way)) -> Told {
    let plan = if as_thread { Plan::Thread } else { Plan::Coroutine };
    // As few stacks as can be: there is not much memory where there is a limit.
    Runtime::builder().workers(1).build().unwrap().run(|| {
        let (question, asked) = channel::bounded::<u32>(0);
        let neighbour = coroutine::spawn(move || asked.recv().unwrap() + 1);
        let victim = plan.spawn_named("victim", move || go_wrong(way));
        let error = victim.join().expect_err("it goes wrong");
        question.send(41).unwrap();
        Told { is_panic: error.is_panic(), text: error.to_string(), neighbour: neighbour.join().unwrap() }
    })
}

#[track_caller]
fn assert_exit(way: Way, error: &JoinError) {
    let exit = error.exit().unwrap_or_else(|| panic!("{way:?}: it ran: {error}"));
    let signal = match (way, exit) {
        (Way::Panic, Exit::Panicked { message, .. }) => return assert_eq!(message, "it went wrong"),
        (Way::Exit, exit) => return assert_eq!(*exit, Exit::Exited(3)),
        (_, Exit::Signaled { signal, .. }) => *signal,
        _ => panic!("{way:?}: {exit}"),
    };
    let expected: &[Signal] = match way {
        Way::Segv => &[Signal::SEGV],
        Way::Kill => &[Signal::KILL],
        // Where there is a handler - a worker's, or std's from `main` on - it says so and aborts.
        Way::Overflow => &[Signal::ABORT, Signal::SEGV],
        _ => &[Signal::ABORT],
    };
    assert!(expected.iter().any(|expected| expected.as_raw() == signal), "{way:?}: {error}");
}

/// Runs each cell on each driver, with a watchdog of its own: a busy machine takes its time over the backtrace of a panic.
fn on_every_driver_each(test: &'static str, cells: &[(Plan, Way)], cell: fn(Plan, Way)) {
    match case() {
        Some(driver) => {
            for &(plan, way) in cells {
                on_driver(driver_named(&driver), move || cell(plan, way));
            }
        }
        None => {
            drivers().iter().for_each(|driver| Child::new(test, driver.to_string()).run().assert_success())
        }
    }
}

#[test]
fn a_coroutine_or_a_thread_that_panics_dies_alone_and_one_that_crashes_takes_the_program_along() {
    let cells: Vec<_> = PLANS.iter().flat_map(|plan| WAYS.map(|way| (*plan, way))).collect();
    on_every_driver_each(test_name!(), &cells, |plan, way| {
        let ended = sacrifice(way).spawn(program, (plan == Plan::Thread, way)).unwrap().join();
        match (way, ended) {
            (Way::Panic, Ok(Told { is_panic, text, neighbour })) => {
                assert!(is_panic && text.contains("victim") && text.ends_with("it went wrong"), "{text}");
                assert_eq!(neighbour, 42, "the neighbour goes on");
            }
            (_, Ok(told)) => panic!("{plan:?}, {way:?}: the program goes on: {told:?}"),
            (Way::Panic, Err(error)) => panic!("{plan:?}: the program has died: {error}"),
            (_, Err(error)) => assert_exit(way, &error),
        }
    });
}

#[test]
fn a_process_dies_alone_of_everything() {
    let cells: Vec<_> = PLANS.iter().flat_map(|plan| WAYS.map(|way| (*plan, way))).collect();
    on_every_driver_each(test_name!(), &cells, |neighbours_plan, way| {
        let (question, asked) = channel::bounded::<u32>(0);
        let neighbour = neighbours_plan.spawn(move || asked.recv().unwrap() + 1);
        let error = sacrifice(way).spawn(go_wrong, way).unwrap().join().unwrap_err();
        assert_exit(way, &error);
        assert_eq!(error.is_panic(), way == Way::Panic);
        question.send(41).expect("the neighbour goes on");
        assert_eq!(neighbour.join().unwrap(), 42);
    });
}

#[test]
fn no_deadline_and_no_cancel_ends_a_coroutine_or_a_thread_that_never_waits() {
    on_every_driver_alone(test_name!(), |_| {
        for plan in PLANS {
            let (began, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let flags = (began.clone(), stop.clone());
            let loops = move || {
                let (began, stop) = flags;
                timeout(Duration::from_millis(1), || {
                    began.store(true, SeqCst);
                    while !stop.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                    7
                })
            };
            let task = plan.spawn(loops);
            until(|| began.load(SeqCst));
            task.cancel();
            let task = task.join_timeout(Duration::from_millis(5)).expect_err("it goes on");
            stop.store(true, SeqCst);
            // Nobody has told it anything, as it never asked.
            assert_eq!(task.join().unwrap(), Ok(7), "{plan:?}");
        }
    });
}

#[test]
fn a_process_that_never_waits_is_ended_by_its_deadline_and_by_a_cancel() {
    fn loops(ready: Descriptor) {
        drop(ready);
        loop {
            std::hint::spin_loop();
        }
    }

    on_every_driver_alone(test_name!(), |_| {
        let begin = |builder: process::Builder| {
            let (mut read, write) = std::io::pipe().unwrap();
            let handle = builder.spawn(loops, OwnedFd::from(write).into()).unwrap();
            // Nobody here has the other end.
            assert_eq!(read.read(&mut [0]).unwrap(), 0, "it has begun");
            handle
        };
        let late = begin(process::Builder::new().deadline(Duration::from_millis(200)));
        assert_eq!(late.join().unwrap_err().exit(), Some(&Exit::DeadlineExceeded));
        let cancelled = begin(process::Builder::new().kill_deadline(LONG));
        cancelled.cancel();
        assert!(cancelled.join().unwrap_err().is_cancelled());
    });
}

/// One of a thousand ends.
fn end_somehow(n: u32) -> u32 {
    match n % 50 {
        0 => go_wrong(Way::Panic),
        10 | 20 | 30 | 40 => go_wrong(Way::Exit),
        1 | 11 | 21 | 31 | 41 => go_wrong(Way::Kill),
        2 | 12 | 22 | 32 | 42 => go_wrong(Way::Abort),
        _ => {}
    }
    n
}

#[test]
fn a_thousand_processes_that_end_in_every_way_leave_nothing_behind() {
    if case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    assert_eq!(process::spawn(end_somehow, 3).unwrap().join().unwrap(), 3);
    let before = descriptors();
    let mut returned = 0;
    // Each with a watchdog of its own: a machine may be busy.
    for round in 0..10 {
        guarded(|| {
            for start in (0..100).step_by(10) {
                let numbers = start..start + 10;
                let quiet = || process::Builder::new().stderr(process::Stdio::null());
                let handles: Vec<_> =
                    numbers.map(|n| (n, quiet().spawn(end_somehow, n + 100 * round).unwrap())).collect();
                for (n, handle) in handles {
                    match handle.join() {
                        Ok(value) => {
                            assert_eq!(value, n + 100 * round);
                            returned += 1;
                        }
                        Err(error) => assert!(error.exit().is_some(), "{error}"),
                    }
                }
            }
        });
    }
    assert_eq!(returned, 1000 - 20 * 15);
    guarded(|| {
        assert_settles(descriptors, before, "descriptors");
        assert_settles(children, 0, "children, zombies among them");
    });
}
