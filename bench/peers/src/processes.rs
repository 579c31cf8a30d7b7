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

use ropewalk::Runtime;
use ropewalk::process::{self, Pool};

use crate::Contender;

/// All that can be measured here; says what is absent.
pub(crate) fn contenders() -> Vec<Contender> {
    let mut contenders: Vec<Contender> = vec![
        ("ropewalk pool, call", |n| {
            on_pool(1, n, |pool| {
                pool.call(increment, 1).expect("a result");
            })
        }),
        ("ropewalk pool, spawn", |n| {
            on_pool(1, n, |pool| {
                pool.spawn(increment, 1).expect("a task").join().expect("a result");
            })
        }),
        ("ropewalk pool of 4", pool_of_four),
        ("ropewalk process::spawn", |n| {
            on_pool(1, n, |_| {
                process::spawn(increment, 1).expect("a task").join().expect("a result");
            })
        }),
        ("fork, small Rust parent", |n| {
            on_pool(1, 1, |pool| {
                pool.call(fork_and_wait, 1).expect("a time");
            });
            let pool = Pool::builder().size(1).build().expect("a pool");
            pool.call(fork_and_wait, n).expect("a time")
        }),
        ("Command of /bin/true", |n| {
            timed(n, || {
                Command::new("/bin/true").status().expect("it runs");
            })
        }),
    ];
    let mut add = |name, what: Option<&'static Path>, run| match what {
        Some(_) => contenders.push((name, run)),
        None => println!("absent: {name}"),
    };
    add("fork, small C parent", c_program(), |n| {
        time_itself(Command::new(c_program().expect("it was built")), n)
    });
    add("Python forkserver", python_script(), |n| python("process", n));
    add("Python Pool.apply", python_script(), |n| python("pool", n));
    contenders
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
    Runtime::builder().workers(1).build().expect("a runtime").run(move || {
        let pool = Pool::builder().size(size).build().expect("a pool");
        call(&pool); // the workers have started
        timed(calls, || call(&pool))
    })
}

/// So many at once that all workers of the pool have something to do.
fn pool_of_four(calls: u64) -> Duration {
    Runtime::builder().workers(1).build().expect("a runtime").run(move || {
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

fn c_program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        let (source, program) = (directory().join("fork.c"), directory().join("fork"));
        std::fs::write(&source, C).ok()?;
        let built = Command::new("cc").arg("-O2").arg("-o").args([&program, &source]).status();
        built.is_ok_and(|status| status.success()).then_some(program)
    };
    PROGRAM.get_or_init(build).as_deref()
}

fn python_script() -> Option<&'static Path> {
    static SCRIPT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let write = || {
        Command::new("python3").arg("--version").stdout(Stdio::null()).status().ok()?;
        let script = directory().join("rival.py");
        std::fs::write(&script, PYTHON).ok().map(|()| script)
    };
    SCRIPT.get_or_init(write).as_deref()
}

fn python(kind: &str, calls: u64) -> Duration {
    let mut command = Command::new("python3");
    command.arg(python_script().expect("it was written")).arg(kind);
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
