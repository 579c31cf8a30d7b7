//! What goes wrong in a process of its own: stacks that overflow, memory and io_uring that are denied, settings that
//! make no sense.

use std::hint::black_box;

use ropewalk::{DriverKind, Runtime, coroutine};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use crate::support::child::{Child, case, test_name};
use crate::support::{drivers, guarded, runtime};

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(black_box(depth + 1)) + black_box(frame)[7] }
}

fn without_core_dump() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).expect("a limit can be lowered");
}

#[test]
fn an_overflow_names_the_coroutine_its_birthplace_and_its_stack() {
    if let Some(driver) = case() {
        without_core_dump();
        let driver = drivers().into_iter().find(|known| known.to_string() == driver).expect("a driver");
        return Runtime::builder().workers(2).driver(driver).build().expect("a runtime").run(|| {
            let builder = coroutine::Builder::new().name("deep".into()).stack_size(192 * 1024);
            builder.spawn(|| recurse(0)).expect("it starts").join().expect("it never returns");
        });
    }
    for driver in drivers() {
        let outcome = Child::new(test_name!(), driver.to_string()).run();
        outcome.assert_killed_by(Signal::ABORT);
        for part in [
            "(deep)",
            "faults.rs:",
            "overflowed its stack of 447 KiB",
            "Builder::stack_size",
            "ROPEWALK_STACK",
        ] {
            assert!(outcome.stderr.contains(part), "'{part}' is missing: {outcome:#?}");
        }
    }
}

#[test]
fn an_overflow_on_another_worker_is_named_too() {
    if case().is_some() {
        without_core_dump();
        return runtime(2).run(|| {
            let (started, wait_started) = std::sync::mpsc::channel();
            let deep = coroutine::spawn(move || {
                started.send(()).expect("it is awaited");
                recurse(0)
            });
            // Blocks this worker, so the other one takes the coroutine.
            wait_started.recv().expect("it starts");
            deep.join().expect("it never returns");
        });
    }
    let outcome = Child::new(test_name!(), "overflow").run();
    outcome.assert_killed_by(Signal::ABORT);
    assert!(outcome.stderr.contains("(unnamed), spawned at"), "{outcome:#?}");
}

#[test]
fn the_overflow_of_the_first_coroutine_is_named() {
    if case().is_some() {
        without_core_dump();
        return runtime(1).run(|| assert_ne!(black_box(recurse(0)), 0));
    }
    let outcome = Child::new(test_name!(), "overflow").run();
    outcome.assert_killed_by(Signal::ABORT);
    assert!(outcome.stderr.contains("(main), spawned at"), "{outcome:#?}");
}

#[test]
fn a_stack_has_the_size_that_the_environment_asks_for() {
    if case().is_some() {
        without_core_dump();
        return runtime(1).run(|| drop(coroutine::spawn(|| recurse(0)).join()));
    }
    for (asked, usable) in [("512K", "447 KiB"), ("2M", "1983 KiB")] {
        let outcome = Child::new(test_name!(), "overflow").env("ROPEWALK_STACK", asked).run();
        outcome.assert_killed_by(Signal::ABORT);
        assert!(outcome.stderr.contains(usable), "ROPEWALK_STACK={asked}: {outcome:#?}");
    }
}

#[test]
fn a_fault_that_is_no_overflow_goes_to_whoever_handled_it_before() {
    if case().is_some() {
        without_core_dump();
        return runtime(1).run(|| {
            // What a stray pointer would have it sent. std, which handled it before, gives it back to the kernel and
            // returns: to the instruction that faults again, or here to another signal.
            let this = rustix::process::getpid();
            let stray = coroutine::spawn(move || {
                loop {
                    rustix::process::kill_process(this, Signal::SEGV).expect("one may signal oneself");
                }
            });
            stray.join().expect("it never returns");
        });
    }
    let outcome = Child::new(test_name!(), "fault").run();
    outcome.assert_killed_by(Signal::SEGV);
    assert!(!outcome.stderr.contains("overflowed"), "{outcome:#?}");
}

#[test]
fn a_coroutine_without_memory_for_its_stack_fails_and_names_the_limit() {
    if case().is_some() {
        return guarded(|| {
            runtime(1).run(|| {
                coroutine::spawn(|| ()).join().expect("there is memory yet");
                // Room for what the process does, and not for such a stack.
                let pages = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
                let pages: u64 =
                    pages.split(' ').next().and_then(|pages| pages.parse().ok()).expect("a number");
                let room = pages * rustix::param::page_size() as u64 + (40 << 20);
                setrlimit(Resource::As, Rlimit { current: Some(room), maximum: None })
                    .expect("it can be lowered");
                let builder = coroutine::Builder::new().stack_size(64 << 20);
                let error = builder.spawn(|| ()).expect("it is only queued").join().expect_err("no memory");
                let text = error.to_string();
                assert!(text.contains("could not start") && text.contains("ulimit -v"), "{text}");
                assert!(!error.is_panic() && !error.is_cancelled());
                coroutine::spawn(|| ()).join().expect("the worker goes on");
            });
        });
    }
    Child::new(test_name!(), "memory").run().assert_success();
}

/// Has the kernel refuse io_uring to this process from now on, as container runtimes do.
fn deny_uring() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    let number = 425; // io_uring_setup, on every architecture
    let errno = rustix::io::Errno::PERM.raw_os_error().unsigned_abs();
    let architecture = std::env::consts::ARCH.try_into().expect("an architecture that Ropewalk runs on");
    let rules = [(number, Vec::new())].into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), architecture)
        .expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("the filter is taken");
}

#[test]
fn without_io_uring_everything_works_on_epoll_and_says_why() {
    if case().is_some() {
        deny_uring();
        return guarded(|| {
            let runtime = Runtime::builder().workers(2).build().expect("epoll works everywhere");
            assert_eq!(runtime.driver().kind(), DriverKind::Epoll);
            let reason = runtime.driver().reason().expect("there is a reason").to_owned();
            assert!(reason.contains("seccomp") && reason.contains("kernel.io_uring_disabled"), "{reason}");
            runtime.run(|| {
                use std::io::{Read, Write};
                let listener = ropewalk::net::TcpListener::bind("127.0.0.1:0").expect("a port");
                let address = listener.local_addr().expect("an address");
                let client = coroutine::spawn(move || {
                    let mut stream = ropewalk::net::TcpStream::connect(address).expect("it listens");
                    stream.write_all(b"over epoll").expect("it is read");
                });
                let mut text = String::new();
                listener.accept().expect("a client").0.read_to_string(&mut text).expect("it writes");
                assert_eq!(text, "over epoll");
                client.join().expect("it returns");
            });
            let forced =
                Runtime::builder().driver(DriverKind::Uring).build().expect_err("it is denied").to_string();
            assert!(
                forced.contains("the builder asks for io_uring") && forced.contains("seccomp"),
                "{forced}"
            );
        });
    }
    Child::new(test_name!(), "denied").without("ROPEWALK_DRIVER").run().assert_success();
}

#[test]
fn a_driver_that_is_asked_for_and_denied_is_an_error_that_says_so() {
    if case().is_some() {
        deny_uring();
        let error = Runtime::builder().build().expect_err("it is denied").to_string();
        assert!(error.contains("ROPEWALK_DRIVER asks for io_uring"), "{error}");
        return;
    }
    Child::new(test_name!(), "denied").env("ROPEWALK_DRIVER", "uring").run().assert_success();
}

#[test]
fn a_driver_that_nobody_knows_is_an_error_that_names_those_that_exist() {
    if case().is_some() {
        let error = Runtime::builder().build().expect_err("there is no such driver").to_string();
        assert!(error.contains("'kqueue'") && error.contains("uring or epoll"), "{error}");
        return;
    }
    Child::new(test_name!(), "unknown").env("ROPEWALK_DRIVER", "kqueue").run().assert_success();
}
