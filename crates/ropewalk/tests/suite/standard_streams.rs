//! Standard input, output and error: in a child, whose streams are pipes, files, or closed.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ropewalk::inspect::State;
use ropewalk::{DriverKind, Runtime, coroutine, io, scope};

use crate::support::child::{case, test_name};
use crate::support::plan::driver_named;
use crate::support::{PLANS, Plan, drivers, guarded, until};

/// This test once more, in a child, with a driver and a plan in the case's name.
fn child(test: &str, driver: DriverKind, plan: Plan) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env("ROPEWALK_TEST_CASE", format!("{driver} {plan:?}"));
    command
}

/// In the child: runs `body` as a task of the case's plan, on a worker with a neighbour that is always ready.
fn in_the_child(case: &str, body: impl FnOnce() + Send + 'static) {
    let (driver, plan) = case.split_once(' ').unwrap();
    let plan = if plan == "Thread" { Plan::Thread } else { Plan::Coroutine };
    let runtime = Runtime::builder().workers(1).driver(driver_named(driver)).build().unwrap();
    guarded(|| runtime.run(move || plan.spawn(body).join().unwrap()));
}

/// Every driver and plan.
fn each(mut body: impl FnMut(DriverKind, Plan)) {
    for driver in drivers() {
        PLANS.into_iter().for_each(|plan| body(driver, plan));
    }
}

/// The rest of the lines with a mark, without it. libtest writes lines of its own, and sometimes before ours.
fn marked(stdout: impl Read) -> Vec<String> {
    let lines = BufReader::new(stdout).lines().map(Result::unwrap);
    lines.filter_map(|line| line.split_once("OUT ").map(|(_, rest)| rest.to_owned())).collect()
}

fn next_marked(stdout: &mut BufReader<ChildStdout>) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the child has ended");
        if let Some((_, rest)) = line.split_once("OUT ") {
            return rest.trim_end().to_owned();
        }
    }
}

#[test]
fn a_conversation_through_pipes_goes_line_by_line_and_leaves_their_mode_alone() {
    if let Some(case) = case() {
        return in_the_child(&case, || {
            let neighbour = Arc::new(AtomicBool::new(false));
            let seen = neighbour.clone();
            // Of the only worker: it runs while the input is waited for.
            drop(coroutine::spawn(move || seen.store(true, SeqCst)));
            for line in io::stdin().lines() {
                let mut out = io::stdout();
                writeln!(out, "OUT {}", line.unwrap().to_uppercase()).unwrap();
            }
            until(|| neighbour.load(SeqCst));
            for fd in [rustix::stdio::stdin(), rustix::stdio::stdout()] {
                let flags = rustix::fs::fcntl_getfl(fd).unwrap();
                assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
            }
            // Without an end: it comes when the process exits.
            write!(io::stdout(), "OUT the last words").unwrap();
        });
    }
    each(|driver, plan| {
        let mut command = child(test_name!(), driver, plan);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        for word in ["rope", "walk"] {
            writeln!(stdin, "{word}").unwrap();
            assert_eq!(next_marked(&mut stdout), word.to_uppercase());
        }
        stdin.write_all(b"no end of line").unwrap();
        drop(stdin);
        let rest = marked(stdout);
        assert_eq!(rest.len(), 2, "{rest:?}");
        assert_eq!(rest[0], "NO END OF LINE");
        assert!(rest[1].starts_with("the last words"), "{rest:?}");
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn a_file_is_input_and_output() {
    if let Some(case) = case() {
        return in_the_child(&case, || {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).unwrap();
            writeln!(io::stdout(), "OUT {}", text.len()).unwrap();
            writeln!(io::stderr(), "OUT {}", text.len() + 1).unwrap();
        });
    }
    each(|driver, plan| {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("in"), vec![b'x'; 100_000]).unwrap();
        let create = |name: &str| std::fs::File::create(at(name)).unwrap();
        let mut command = child(test_name!(), driver, plan);
        command.stdin(std::fs::File::open(at("in")).unwrap()).stdout(create("out")).stderr(create("err"));
        assert!(command.status().unwrap().success());
        assert_eq!(marked(std::fs::File::open(at("out")).unwrap()), ["100000"]);
        assert_eq!(marked(std::fs::File::open(at("err")).unwrap()), ["100001"]);
    });
}

/// As std.
#[test]
fn nobody_hears_what_is_written_to_a_closed_stream_and_nobody_speaks_there() {
    if let Some(case) = case() {
        return in_the_child(&case, || {
            for fd in 0..2 {
                // SAFETY: the streams are the program's own, and nobody uses them meanwhile.
                unsafe { libc::close(fd) };
            }
            assert_eq!(io::stdin().read(&mut [0; 10]).unwrap(), 0);
            io::stdout().write_all(b"into nothing\n").unwrap();
            io::stdout().flush().unwrap();
            // So that libtest finds something to write to.
            let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
            rustix::stdio::dup2_stdin(&null).unwrap();
            rustix::stdio::dup2_stdout(&null).unwrap();
        });
    }
    each(|driver, plan| {
        let output = child(test_name!(), driver, plan).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    });
}

#[test]
fn a_reader_that_has_gone_is_an_error() {
    if let Some(case) = case() {
        return in_the_child(&case, || {
            io::stdin().read_line(&mut String::new()).unwrap();
            let kind = loop {
                if let Err(error) = writeln!(io::stderr(), "is anybody there?") {
                    break error.kind();
                }
            };
            assert_eq!(kind, ErrorKind::BrokenPipe);
            std::process::exit(7);
        });
    }
    each(|driver, plan| {
        let mut command = child(test_name!(), driver, plan);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stderr.take());
        writeln!(child.stdin.as_ref().unwrap(), "go").unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
    });
}

#[test]
fn what_is_written_under_a_lock_comes_in_one_piece_and_the_holder_may_lock_again() {
    if let Some(case) = case() {
        return in_the_child(&case, || {
            scope(|s| {
                for number in 0..8 {
                    s.spawn(move || {
                        for _ in 0..20 {
                            let outer = io::stdout().lock();
                            let mut inner = io::stdout().lock();
                            drop(outer);
                            for _ in 0..3 {
                                writeln!(inner, "OUT {number}").unwrap();
                                coroutine::yield_now();
                            }
                        }
                    });
                }
            });
        });
    }
    each(|driver, plan| {
        let output = child(test_name!(), driver, plan).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let lines = marked(&output.stdout[..]);
        assert_eq!(lines.len(), 8 * 20 * 3);
        assert!(lines.chunks(3).all(|chunk| chunk[0] == chunk[1] && chunk[1] == chunk[2]), "{lines:?}");
    });
}

#[test]
fn one_that_waits_for_input_can_be_cancelled_and_the_next_one_gets_it() {
    if let Some(case) = case() {
        let plan = if case.ends_with("Thread") { Plan::Thread } else { Plan::Coroutine };
        return in_the_child(&case, move || {
            let reader = plan.spawn(|| io::stdin().read_line(&mut String::new()));
            until(|| matches!(reader.task().state(), State::Blocked(_)));
            reader.cancel();
            assert!(reader.join().unwrap_err().is_cancelled());
            writeln!(io::stdout(), "OUT now").unwrap();
            let mut line = String::new();
            io::stdin().read_line(&mut line).unwrap();
            assert_eq!(line, "for the next one\n");
        });
    }
    each(|driver, plan| {
        let mut command = child(test_name!(), driver, plan);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        assert_eq!(next_marked(&mut stdout), "now");
        child.stdin.take().unwrap().write_all(b"for the next one\n").unwrap();
        drop(marked(stdout));
        assert!(child.wait().unwrap().success());
    });
}
