//! What the kernel sees: counted by strace(1) between two marks of one thread. Skipped, with a message, where strace is
//! missing or may not trace.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;

use ropewalk::net::UdpSocket;
use ropewalk::{Runtime, coroutine, inspect, thread};

use crate::support::child::{self, Child, test_name};
use crate::support::guarded;
use crate::support::net::{pair, pair_with_std};
use crate::support::plan::{driver_named, drivers};

/// A call that nothing else makes.
const MARK: &str = "getppid(";

fn mark() {
    let _ = rustix::process::getppid();
}

fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let works = traced.as_ref().is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: strace does not work here: {traced:?}");
    }
    works
}

/// The calls that the marking thread made between its first and its last mark, in a child that runs `case` of `test`.
fn calls_between_marks(test: &'static str, case: &str) -> Vec<String> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "{test}-{}-{}",
        case.replace('/', "-"),
        std::process::id()
    ));
    let strace = ["strace", "-f", "-qq", "-o", file.to_str().expect("cargo's folders are text")];
    Child::new(test, case).under(strace).run().assert_success();
    let trace = std::fs::read_to_string(&file).expect("strace has written it");
    std::fs::remove_file(&file).expect("it is ours");
    let marked = trace.lines().find(|line| line.contains(MARK)).expect("the first mark");
    let thread = marked.split_whitespace().next().expect("strace -f begins with the thread");
    let own = trace.lines().filter_map(|line| line.strip_prefix(thread)).filter(|line| line.starts_with(' '));
    // A call during which another thread's line came stands in two lines.
    let calls = own.map(|line| line.trim().to_owned()).filter(|line| !line.contains("resumed>"));
    let calls: Vec<_> = calls.skip_while(|line| !line.contains(MARK)).collect();
    let last = calls.iter().rposition(|line| line.contains(MARK)).expect("the last mark");
    assert!(last > 0, "there are two marks");
    calls[1..last].to_vec()
}

/// Two coroutines of one worker yield to each other a million times between two marks.
fn a_million_yields(driver: &str, with_an_idle_socket: bool) {
    const YIELDS: u64 = 1_000_000;
    let runtime = Runtime::builder().workers(1).driver(driver_named(driver)).build().unwrap();
    runtime.run(|| {
        let (mut near, far) = pair();
        let idle = coroutine::spawn_local(move || {
            if with_an_idle_socket {
                let _ = near.read(&mut [0]);
            }
        });
        coroutine::yield_now(); // now it is watched
        coroutine::sleep(std::time::Duration::from_micros(1)); // and the ring has been told
        let before = inspect::statistics().coroutine_switches;
        // Each takes its stack here: that is a system call, for the guard.
        let both =
            [(); 2].map(|()| coroutine::spawn_local(|| (0..YIELDS / 2).for_each(|_| coroutine::yield_now())));
        mark();
        both.into_iter().for_each(|one| one.join().unwrap());
        mark();
        coroutine::sleep(std::time::Duration::from_micros(1)); // the worker writes its count down
        let switches = inspect::statistics().coroutine_switches - before;
        assert!(switches >= YIELDS, "{switches} switches");
        drop(far);
        idle.join().unwrap();
    });
}

#[test]
fn a_million_yields_make_no_system_call() {
    if let Some(driver) = child::case() {
        return guarded(|| a_million_yields(&driver, false));
    }
    if can_trace() {
        for driver in drivers() {
            let calls = calls_between_marks(test_name!(), &driver.to_string());
            let some = &calls[..calls.len().min(10)];
            assert!(
                calls.is_empty(),
                "{} system calls during 1,000,000 yields on {driver}: {some:?}",
                calls.len()
            );
        }
    }
}

#[test]
fn a_million_yields_beside_an_idle_socket_make_few_system_calls() {
    if let Some(driver) = child::case() {
        return guarded(|| a_million_yields(&driver, true));
    }
    if can_trace() {
        for driver in drivers() {
            let calls = calls_between_marks(test_name!(), &driver.to_string());
            let some = &calls[..calls.len().min(10)];
            // The ring is in shared memory: to look into it is no call. epoll is asked once in 64 switches.
            let most = match driver {
                ropewalk::DriverKind::Epoll => 1_000_000 / 64 + 100,
                _ => 0,
            };
            assert!(
                calls.len() <= most,
                "{} system calls during 1,000,000 yields beside an idle socket on {driver}; at most {most}: {some:?}",
                calls.len()
            );
            assert!(calls.iter().all(|call| call.starts_with("epoll_")), "{some:?}");
        }
    }
}

#[test]
fn a_threads_reads_and_writes_are_one_system_call_each() {
    const ROUNDS: usize = 200;
    if child::case().is_some() {
        return guarded(|| {
            let (mut near, mut far) = pair_with_std();
            let echo = std::thread::spawn(move || {
                let mut byte = [0];
                while far.read(&mut byte).unwrap() > 0 {
                    far.write_all(&byte).unwrap();
                }
            });
            let task = thread::spawn(move || {
                mark();
                for _ in 0..ROUNDS {
                    near.write_all(b"x").unwrap();
                    near.read_exact(&mut [0]).unwrap();
                }
                mark();
            });
            task.join().unwrap();
            echo.join().unwrap();
        });
    }
    if can_trace() {
        let calls = calls_between_marks(test_name!(), "");
        assert_eq!(
            calls.len(),
            2 * ROUNDS,
            "as many as std's threads make: {:?}",
            &calls[..calls.len().min(10)]
        );
    }
}

#[test]
fn a_threads_datagrams_are_one_system_call_each() {
    const ROUNDS: usize = 200;
    if child::case().is_some() {
        return guarded(|| {
            let near = UdpSocket::bind("127.0.0.1:0").unwrap();
            let far = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = far.local_addr().unwrap();
            let echo = std::thread::spawn(move || {
                for _ in 0..ROUNDS {
                    let (_, from) = far.recv_from(&mut [0]).unwrap();
                    far.send_to(b"x", from).unwrap();
                }
            });
            let task = thread::spawn(move || {
                mark();
                for _ in 0..ROUNDS {
                    near.send_to(b"x", address).unwrap();
                    near.recv_from(&mut [0]).unwrap();
                }
                mark();
            });
            task.join().unwrap();
            echo.join().unwrap();
        });
    }
    if can_trace() {
        let calls = calls_between_marks(test_name!(), "");
        assert_eq!(calls.len(), 2 * ROUNDS, "{:?}", &calls[..calls.len().min(10)]);
    }
}
