//! From the call of a function to its result in another process; of the forks, and of `/bin/true`, which give no result,
//! to the end of the child. What is kept for several calls - a pool, a fork server, a program that forks - is started
//! before the clock is.
//!
//! A small parent forks fastest, so the forks are made by programs that do nothing else: a worker of a pool (this very
//! program, before `main`), and a few lines of C. Both copy nothing but a stack.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ropewalk::process::{self, Pool};

use crate::frame::table::{Contender, Subject, Table, ours, rival};
use crate::frame::tools::Tool;
use crate::rivals::on_ropewalk;

pub(crate) fn subject() -> Subject {
    Subject {
        name: "processes",
        about: "A function that adds one, in another process, until its result is back. The forks and /bin/true give no result: \
                until the child has ended. What is kept for several calls - a pool, a fork server, a parent that forks - is \
                started before the clock is. A fork copies the page tables of its parent, so the parents that fork are as \
                small as they get. One CPU runs everything, but for the pool of four.",
        tables: vec![
            Table::of("call", "function in a process", 1, 200, contenders()),
            Table::of("call-2", "function in a process", 2, 200, contenders()),
        ],
    }
}

fn contenders() -> Vec<Contender> {
    let needing = |tool: Tool, mut contender: Contender| {
        contender.needs = Some(tool);
        contender
    };
    vec![
        ours("ropewalk pool, call", |n| {
            on_pool(1, n, |pool| {
                pool.call(increment, 1).expect("a result");
            })
        }),
        ours("ropewalk pool, spawn", |n| {
            on_pool(1, n, |pool| {
                pool.spawn(increment, 1).expect("a task").join().expect("a result");
            })
        }),
        ours("ropewalk pool of 4", pool_of_four),
        ours("ropewalk process::spawn", |n| {
            on_pool(1, n, |_| {
                process::spawn(increment, 1).expect("a task").join().expect("a result");
            })
        }),
        rival("Command of /bin/true", |n| {
            timed(n, || {
                Command::new("/bin/true").status().expect("it runs");
            })
        }),
        rival("fork, small Rust parent", |n| {
            let pool = Pool::builder().size(1).build().expect("a pool");
            pool.call(fork_and_wait, 1).expect("a time");
            pool.call(fork_and_wait, n).expect("a time")
        }),
        needing(Tool::C, rival("fork, small C parent", |n| time_itself(Command::new(c_program()), n))),
        needing(Tool::Python, rival("Python Pool.apply", |n| python("pool", n))),
        needing(Tool::Python, rival("Python forkserver", |n| python("process", n))),
    ]
}

fn increment(n: u64) -> u64 {
    n + 1
}

fn timed(calls: u64, mut call: impl FnMut()) -> Duration {
    let started = Instant::now();
    (0..calls).for_each(|_| call());
    started.elapsed()
}

fn on_pool(size: usize, calls: u64, call: fn(&Pool)) -> Duration {
    on_ropewalk(1, move || {
        let pool = Pool::builder().size(size).build().expect("a pool");
        call(&pool); // the workers have started
        timed(calls, || call(&pool))
    })
}

/// So many at once that all workers of the pool have something to do.
fn pool_of_four(calls: u64) -> Duration {
    on_ropewalk(1, move || {
        let pool = Pool::builder().size(4).build().expect("a pool");
        let batch = |calls: u64| {
            let tasks: Vec<_> = (0..calls).map(|n| pool.spawn(increment, n).expect("a task")).collect();
            tasks.into_iter().for_each(|task| {
                task.join().expect("a result");
            });
        };
        batch(4);
        timed(1, || batch(calls))
    })
}

/// Runs in a worker of a pool: a small program with one thread.
fn fork_and_wait(calls: u64) -> Duration {
    timed(calls, || {
        // SAFETY: the copy ends at once; the child is waited for, and nobody else's.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(0);
            }
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    })
}

const C: &str = r#"
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
int main(void) {
    int n;
    while (scanf("%d", &n) == 1) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int i = 0; i < n; i++) {
            pid_t child = fork();
            if (child == 0) _exit(0);
            waitpid(child, NULL, 0);
        }
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%lld\n", (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec);
        fflush(stdout);
    }
}
"#;

const PYTHON: &str = r#"
import multiprocessing, sys, time

def increment(n):
    return n + 1

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    if sys.argv[1] == "pool":
        pool = context.Pool(1)
        call = lambda: pool.apply(increment, (1,))
    else:
        def call():
            child = context.Process(target=increment, args=(1,))
            child.start()
            child.join()
    for line in sys.stdin:
        start = time.perf_counter_ns()
        for _ in range(int(line)):
            call()
        print(time.perf_counter_ns() - start, flush=True)
"#;

/// A directory for what is made here, kept until the program ends.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| tempfile::tempdir().expect("a directory")).path()
}

fn c_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let (source, program) = (directory().join("fork.c"), directory().join("fork"));
        std::fs::write(&source, C).expect("a file of ours");
        let built = Command::new("cc").arg("-O2").arg("-o").args([&program, &source]).status();
        assert!(built.is_ok_and(|status| status.success()), "cc does not build fork.c");
        program
    })
}

fn python_script() -> &'static Path {
    static SCRIPT: OnceLock<PathBuf> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let script = directory().join("rival.py");
        std::fs::write(&script, PYTHON).expect("a file of ours");
        script
    })
}

fn python(kind: &str, calls: u64) -> Duration {
    let mut command = Command::new("python3");
    command.arg(python_script()).arg(kind);
    time_itself(command, calls)
}

/// Of a program that reads how often, and writes how many nanoseconds that took.
fn time_itself(mut command: Command, calls: u64) -> Duration {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    ask(&mut child, &mut output, 1);
    let time = ask(&mut child, &mut output, calls);
    drop(child.stdin.take());
    let _ = output.read_to_end(&mut Vec::new());
    let _ = child.wait();
    time
}

fn ask(child: &mut Child, output: &mut BufReader<ChildStdout>, calls: u64) -> Duration {
    writeln!(child.stdin.as_mut().expect("it is piped"), "{calls}").expect("it reads");
    let mut line = String::new();
    output.read_line(&mut line).expect("it answers");
    Duration::from_nanos(line.trim().parse().expect("nanoseconds"))
}
