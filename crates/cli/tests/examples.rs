//! The examples print what the texts print, to the byte.
//!
//! Each is run by this test binary itself, started again for one test alone, so that what it prints is what it prints to
//! the standard output of a process.

use std::process::{Command, Stdio};
use std::time::Duration;

#[path = "../examples/co.rs"]
mod co;

/// Set in the process that runs the example.
const INSIDE: &str = "ROPEWALK_TEST_EXAMPLE";
/// How long an example may take, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Has `example` run by the test `name`, in a process of its own, and looks at all that it prints.
#[track_caller]
fn assert_prints(name: &str, example: fn(), expected: &str) {
    if std::env::var_os(INSIDE).is_some() {
        std::thread::spawn(|| {
            std::thread::sleep(LIMIT);
            eprintln!("the example hangs: aborted after {LIMIT:?}");
            std::process::abort();
        });
        return example();
    }
    let binary = std::env::current_exe().expect("this binary is there");
    let mut command = Command::new(binary);
    // With two threads libtest names a test after it has run, and not before.
    command.args([name, "--exact", "--nocapture", "--test-threads=2"]).env(INSIDE, "").stdin(Stdio::null());
    let output = command.output().expect("it starts");
    let stdout = String::from_utf8(output.stdout).expect("text");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stderr, "", "examples print to the standard output only");
    let printed = stdout.strip_prefix("\nrunning 1 test\n");
    let printed = printed.and_then(|rest| rest.split_once(&format!("test {name} ... ok\n")));
    let (printed, _) = printed.unwrap_or_else(|| panic!("libtest's frame: {stdout}"));
    assert_eq!(printed, expected);
}

/// Text 000: the program that fetches an id, and the name that belongs to it. All its ways print the same lines.
#[test]
fn co_prints_the_same_lines_four_times() {
    let ways = [
        "1. a generator, driven by hand",
        "2. the same generator, driven by co",
        "3. async/await",
        "4. sequential code in a coroutine",
    ];
    let lines = "\
Response { url: /id, status: 200 OK }
7
/name?id=7
Response { url: /name?id=7, status: 200 OK }
Ada
";
    let expected: String = ways.iter().map(|way| format!("== {way}\n{lines}")).collect();
    assert_prints("co_prints_the_same_lines_four_times", co::main, &expected);
}
