//! What the machine cannot run stays as a row, with its reason and what mends it, and is no failure.

use std::process::Command;

use crate::support::{Run, ropewalk};

#[test]
fn too_few_descriptors_are_a_row_with_a_reason() {
    let databases = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(
        "ulimit -n 200; exec {} compare --quick --plans std --users 10,100 --dir {}",
        env!("CARGO_BIN_EXE_ropewalk"),
        databases.path().display()
    ));
    let ended = Run::start(command).end();
    ended.assert_code(0).assert_says("228 descriptors needed, the hard limit is 200");
    ended.assert_says("ulimit -n 228").assert_says("Speed");
    let before = ended.stdout.split("1/1").next().unwrap();
    assert!(before.contains("100 std threads will not be run: 228 descriptors"), "{before}");
}

#[test]
fn threads_that_the_memory_limit_does_not_hold_are_a_row_with_a_reason() {
    let databases = tempfile::tempdir().unwrap();
    let ended = ropewalk(&format!(
        "compare --quick --plans thread,coroutine --users 60 --memory 4G --thread-stack 256M --dir {}",
        databases.path().display()
    ))
    .end();
    ended.assert_code(0).assert_says("not run: with --memory 4G, thread creation failed at ");
    ended.assert_says("1/1      60 coroutine").assert_says("--plans coroutine");
    assert!(ended.last_line().starts_with("In short: 60 users under coroutine"), "{}", ended.last_line());
}

#[test]
fn more_processes_than_asked_for_are_a_row_with_an_estimate() {
    let databases = tempfile::tempdir().unwrap();
    let ended = ropewalk(&format!(
        "compare --quick --plans process,coroutine --users 10,30 --process-users 20 --dir {}",
        databases.path().display()
    ))
    .end();
    ended.assert_code(0).assert_says("30 processes will not be run: 30 processes would take about ");
    ended.assert_says("--process-users 30").assert_says("1/1      10 process");
    ended.assert_says("1/1      30 coroutine");
    assert!(!ended.stdout.contains("BROKEN"), "{}", ended.stdout);
}
