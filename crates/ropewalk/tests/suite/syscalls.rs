//! What the kernel is asked for: counted with strace.

use std::fs;

use ropewalk::net::TcpListener;
use ropewalk::{DriverKind, Runtime, coroutine};

use crate::support::child::{Child, case, test_name};
use crate::support::{drivers, guarded};

const SWITCHES: usize = 1_000_000;
/// `TURNS_PER_LOOK` of the worker: with a descriptor watched, epoll is asked once in so many switches.
const SWITCHES_PER_LOOK: usize = 64;

/// A system call that nothing else makes: shows the tracer where to count.
fn mark() {
    let _ = rustix::process::getpgid(None);
}

fn switch_between_marks(driver: DriverKind, watched: bool) {
    guarded(|| {
        Runtime::builder().workers(1).driver(driver).build().expect("a runtime").run(move || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let idle = watched.then(|| coroutine::spawn_local(move || listener.accept().map(drop)));
            // It runs once, and waits from then on.
            coroutine::yield_now();
            let other = coroutine::spawn_local(|| (0..SWITCHES / 2).for_each(|_| coroutine::yield_now()));
            coroutine::yield_now();
            mark();
            (0..SWITCHES / 2).for_each(|_| coroutine::yield_now());
            mark();
            other.join().expect("it returns");
            if let Some(idle) = idle {
                idle.cancel();
                assert!(idle.join().expect_err("nobody has connected").is_cancelled());
            }
        });
    });
}

/// The system calls of the thread that made the marks, between the marks.
fn calls_between_marks(log: &str) -> Vec<&str> {
    let thread = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let marked =
        log.lines().find(|line| line.contains("getpgid(")).and_then(thread).expect("there is a mark");
    let own = log.lines().filter(|line| thread(line).as_ref() == Some(&marked));
    let inside = own.skip_while(|line| !line.contains("getpgid(")).skip(1);
    // A call that another thread's came between stands in two lines.
    inside.take_while(|line| !line.contains("getpgid(")).filter(|line| !line.contains("resumed>")).collect()
}

fn count(test: &'static str, driver: DriverKind, watched: bool) -> Option<usize> {
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: strace is not installed");
        return None;
    }
    let directory =
        std::env::temp_dir().join(format!("ropewalk-strace-{}-{driver}-{watched}", std::process::id()));
    let path = directory.to_str().expect("a plain path").to_owned();
    Child::new(test, driver.to_string()).under(["strace", "-f", "-o", &path]).run().assert_success();
    let log = fs::read_to_string(&path).expect("strace has written it");
    fs::remove_file(&path).expect("it is there");
    let calls = calls_between_marks(&log);
    if let Some(first) = calls.first() {
        eprintln!("{driver}, watched {watched}: {} calls, the first: {first}", calls.len());
    }
    Some(calls.len())
}

fn driver_of(case: &str) -> DriverKind {
    drivers().into_iter().find(|driver| driver.to_string() == case).expect("a driver")
}

#[test]
fn a_million_switches_make_no_system_call() {
    if let Some(case) = case() {
        return switch_between_marks(driver_of(&case), false);
    }
    for driver in drivers() {
        if let Some(calls) = count(test_name!(), driver, false) {
            assert_eq!(calls, 0, "system calls in a million switches on {driver}");
        }
    }
}

#[test]
fn with_an_idle_socket_the_system_calls_of_a_million_switches_are_bounded() {
    if let Some(case) = case() {
        return switch_between_marks(driver_of(&case), true);
    }
    for driver in drivers() {
        let Some(calls) = count(test_name!(), driver, true) else { return };
        match driver {
            DriverKind::Epoll => {
                // One watches the socket, and the marks need not fall on a look.
                let most = SWITCHES / SWITCHES_PER_LOOK + 2;
                assert!((1..=most).contains(&calls), "{calls} system calls on epoll; {most} are the most");
            }
            // One submits the request to watch the socket; a look that finds nothing reads two words of shared memory.
            _ => assert!(
                calls <= 1,
                "{calls} system calls in a million switches on {driver}, with an idle socket"
            ),
        }
    }
}
