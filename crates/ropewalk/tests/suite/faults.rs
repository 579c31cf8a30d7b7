//! Faults that end the process, or nearly: each in a process of its own.

use std::error::Error;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ropewalk::sync::Semaphore;
use ropewalk::{Runtime, coroutine, scope, thread};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::support::child::{self, Child, Outcome, test_name};
use crate::support::plan::{driver_named, drivers};
use crate::support::{Tracker, guarded, runtime, until};

/// Uses up whatever stack there is.
#[expect(unconditional_recursion, reason = "it is the point")]
fn recurse(depth: u64) -> u64 {
    let mut frame = [depth; 32];
    black_box(&mut frame);
    recurse(depth + 1) + frame[7]
}

/// The size that an overflow report names, in KiB, and what the worker keeps at the top of each stack for itself: less
/// than one more.
fn reported_size(outcome: &Outcome) -> u64 {
    let report = outcome.stderr.split("has overflowed its stack of ").nth(1);
    let size = report.and_then(|rest| rest.split(" KiB").next()).and_then(|size| size.parse::<u64>().ok());
    1 + size.unwrap_or_else(|| panic!("no overflow is reported: {outcome:#?}"))
}

fn on_first_worker() {
    let named = coroutine::Builder::new().name("deep thinker".into());
    // Nobody else may take it.
    named.spawn_local(|| black_box(recurse(0))).unwrap().join().unwrap();
}

fn on_another_worker() {
    let handle = coroutine::spawn(|| black_box(recurse(0)));
    while !handle.is_finished() {
        std::hint::spin_loop(); // this worker never gets to it
    }
}

#[test]
fn an_overflow_names_the_coroutine_its_spawn_site_and_the_size() {
    if let Some(case) = child::case() {
        let (driver, place) = case.split_once('/').unwrap();
        let runtime = Runtime::builder().workers(2).driver(driver_named(driver)).build().unwrap();
        return guarded(|| {
            runtime.run(|| match place {
                "first worker" => on_first_worker(),
                "another worker" => on_another_worker(),
                "after a wait" => {
                    coroutine::sleep(Duration::from_micros(1));
                    on_first_worker();
                }
                _ => {
                    black_box(recurse(0));
                }
            });
        });
    }
    for driver in drivers() {
        for (place, name) in [
            ("first worker", "deep thinker"),
            ("another worker", "unnamed"),
            ("after a wait", "deep thinker"),
            ("first coroutine", "main"),
        ] {
            let outcome =
                Child::new(test_name!(), format!("{driver}/{place}")).without("ROPEWALK_STACK").run();
            outcome.assert_killed_by(Signal::ABORT);
            let stderr = &outcome.stderr;
            assert!(stderr.contains(&format!(" ({name}), spawned at ")), "{place}: {stderr}");
            assert!(stderr.contains(concat!("spawned at ", file!(), ":")), "{place}: {stderr}");
            assert!(stderr.contains("ropewalk: coroutine "), "{place}: {stderr}");
            assert!(stderr.contains("Builder::stack_size"), "it says what to do: {stderr}");
            let size = reported_size(&outcome);
            if name == "main" {
                assert!(size >= 1024, "as large as a main thread's: {size} KiB");
            } else {
                assert_eq!(size, if cfg!(debug_assertions) { 960 } else { 192 }, "{place}");
            }
        }
    }
}

#[test]
fn an_overflow_of_a_stack_of_ones_own_size_names_that_size() {
    if let Some(case) = child::case() {
        let size = case.parse::<usize>().unwrap();
        return guarded(|| {
            runtime(1).run(|| {
                let builder = coroutine::Builder::new().stack_size(size);
                builder.spawn(|| black_box(recurse(0))).unwrap().join().unwrap();
            });
        });
    }
    for kib in [1, 64, 200, 4096] {
        let outcome = Child::new(test_name!(), (kib * 1024).to_string()).run();
        outcome.assert_killed_by(Signal::ABORT);
        let reported = reported_size(&outcome);
        // A slot is a power of two: the stack, what the worker keeps, and a guard of 64 KiB.
        let least = kib.max(64);
        assert!(reported >= least && reported + 64 <= 2 * (least + 65), "{kib} KiB became {reported}");
    }
}

#[test]
fn the_environment_sets_the_size_of_all_stacks() {
    if child::case().is_some() {
        return guarded(|| runtime(1).run(|| drop(coroutine::spawn(|| black_box(recurse(0))).join())));
    }
    let default = if cfg!(debug_assertions) { 960 } else { 192 };
    for (text, usable) in [
        ("512K", 448),
        ("2M", 1984),
        ("524288", 448),
        (" 1m ", 960),
        ("1", 64),
        ("a lot", default),
        ("", default),
    ] {
        let outcome = Child::new(test_name!(), text).env("ROPEWALK_STACK", text).run();
        outcome.assert_killed_by(Signal::ABORT);
        assert_eq!(reported_size(&outcome), usable, "ROPEWALK_STACK={text:?}");
    }
}

#[test]
fn a_deep_stack_that_was_given_enough_does_not_overflow() {
    fn depth(left: usize) -> usize {
        let frame = [left; 128];
        if left == 0 { 0 } else { depth(left - 1) + usize::from(black_box(frame)[3] == left) }
    }
    guarded(|| {
        runtime(2).run(|| {
            // A kilobyte a frame, and more in a debug build.
            let deep = coroutine::Builder::new().stack_size(64 << 20);
            assert_eq!(deep.spawn(|| depth(10_000)).unwrap().join().unwrap(), 10_000);
        });
    });
}

#[test]
fn an_overflow_of_a_thread_is_reported_by_std_as_ever() {
    if child::case().is_some() {
        return guarded(|| {
            runtime(1).run(|| thread::spawn(|| black_box(recurse(0))).join().map(drop).unwrap_or(()));
        });
    }
    let outcome = Child::new(test_name!(), "").run();
    outcome.assert_killed_by(Signal::ABORT);
    assert!(outcome.stderr.contains("has overflowed its stack"), "{outcome:#?}");
    assert!(!outcome.stderr.contains("ropewalk: coroutine"), "{outcome:#?}");
}

fn read_from_nowhere() {
    // SAFETY: none. It is meant to fault, and its process to die of it.
    black_box(unsafe { std::ptr::read_volatile(std::ptr::with_exposed_provenance::<u8>(8)) });
}

#[test]
fn other_faults_die_as_they_would_without_us() {
    if let Some(case) = child::case() {
        return guarded(|| {
            runtime(1).run(|| match case.as_str() {
                "coroutine" => coroutine::spawn(read_from_nowhere).join().unwrap(),
                "thread" => thread::spawn(read_from_nowhere).join().unwrap(),
                _ => read_from_nowhere(),
            });
        });
    }
    for place in ["coroutine", "thread", "first coroutine"] {
        let outcome = Child::new(test_name!(), place).run();
        outcome.assert_killed_by(Signal::SEGV);
        assert!(!outcome.stderr.contains("ropewalk:"), "{outcome:#?}");
    }
}

/// Lets the process have no more than so many bytes of address space beyond what it has.
fn limit_address_space(more: u64) -> Rlimit {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages: u64 =
        statm.split(' ').next().and_then(|pages| pages.parse().ok()).expect("the size comes first");
    let before = getrlimit(Resource::As);
    let current = Some(pages * rustix::param::page_size() as u64 + more);
    setrlimit(Resource::As, Rlimit { current, maximum: before.maximum }).expect("a lower limit is allowed");
    before
}

#[test]
fn without_memory_for_its_stack_a_coroutine_does_not_start_and_join_says_why() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        runtime(1).run(|| {
            let tracker = Tracker::new();
            let before = limit_address_space(64 << 20);
            let huge = || coroutine::Builder::new().stack_size(1 << 30);
            let value = tracker.value();
            let error = huge().name("huge".into()).spawn(move || drop(value)).unwrap().join().unwrap_err();
            assert!(!error.is_panic() && !error.is_cancelled());
            let text = error.to_string();
            assert!(
                text.contains("('huge') could not start: no memory for a coroutine's stack of"),
                "{text}"
            );
            assert!(
                text.contains("ulimit -v") && text.contains("ROPEWALK_STACK"),
                "it names the limit: {text}"
            );
            assert!(error.source().is_some());
            assert_eq!(tracker.drops(), 1, "what it captured is dropped");
            let local = huge().spawn_local(|| ()).unwrap().join().unwrap_err();
            assert!(local.to_string().contains("could not start"), "{local}");
            let threads = thread::Builder::new().stack_size(1 << 30).spawn(|| ());
            assert!(threads.is_err(), "a thread says so at once");
            // What fits goes on.
            assert_eq!(coroutine::spawn(|| 42).join().unwrap(), 42);
            setrlimit(Resource::As, before).unwrap();
            huge().spawn(|| ()).unwrap().join().expect("now there is room");
        });
    });
}

#[test]
fn coroutines_until_the_memory_is_over_are_each_run_or_refused() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        runtime(2).run(|| {
            let before = limit_address_space(256 << 20);
            let gate = Arc::new(Semaphore::new(0));
            let started = Arc::new(AtomicUsize::new(0));
            let handles: Vec<_> = (0..400)
                .map(|_| {
                    let (gate, started) = (gate.clone(), started.clone());
                    let body = move || {
                        started.fetch_add(1, SeqCst);
                        drop(gate.acquire());
                    };
                    coroutine::Builder::new().stack_size(2 << 20).spawn(body).unwrap()
                })
                .collect();
            let refused = || handles.iter().filter(|handle| handle.is_finished()).count();
            until(|| started.load(SeqCst) + refused() == 400);
            gate.add_permits(1);
            let (mut ran, mut refused) = (0, 0);
            for handle in handles {
                match handle.join() {
                    Ok(()) => ran += 1,
                    Err(error) if error.to_string().contains("could not start") => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            setrlimit(Resource::As, before).unwrap();
            assert!(ran > 0 && refused > 0 && ran + refused == 400, "{ran} ran, {refused} were refused");
        });
    });
}

#[test]
fn a_child_of_a_scope_that_cannot_start_is_a_failure() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").env("ROPEWALK_STACK", "1G").run().assert_success();
    }
    guarded(|| {
        runtime(1).run(|| {
            let before = limit_address_space(64 << 20);
            let outcome = catch_unwind(|| scope(|s| drop(s.spawn(|| ()))));
            setrlimit(Resource::As, before).unwrap();
            assert!(outcome.is_err());
            scope(|s| drop(s.spawn(|| ())));
        });
    });
}

#[test]
fn run_without_memory_for_the_first_stack_says_so() {
    if child::case().is_none() {
        return Child::new(test_name!(), "").run().assert_success();
    }
    guarded(|| {
        let built = runtime(1);
        let before = limit_address_space(3 << 20);
        let outcome = catch_unwind(AssertUnwindSafe(|| built.run(|| ())));
        setrlimit(Resource::As, before).unwrap();
        let payload = outcome.expect_err("8 MiB do not fit into 3");
        let message = payload.downcast_ref::<String>().expect("a message");
        assert!(
            message.contains("the first coroutine did not run") && message.contains("ulimit -v"),
            "{message}"
        );
        assert_eq!(runtime(1).run(|| 42), 42);
    });
}
