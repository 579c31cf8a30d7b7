//! What breaks is said in words, and the exit code tells.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ended, Run, assert_empty, ropewalk};

#[test]
fn a_server_that_dies_under_load_breaks_its_cell_only() {
    let databases = tempfile::tempdir().unwrap();
    let run = ropewalk(&format!(
        "compare --plans std,thread --users 5 --rounds 1 --warmup 2 --payments 200 --dir {}",
        databases.path().display()
    ));
    run.wait_for_child("load");
    let server = run.wait_for_child("serve");
    kill_process(Pid::from_raw(server).unwrap(), Signal::KILL).unwrap();
    let ended = run.end();
    ended.assert_code(1).assert_says("BROKEN: the server died under load (signal: 9 (SIGKILL))");
    ended.assert_says("1/1       5 thread").assert_says("balanced");
    assert_empty(databases.path());
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let ended = ropewalk("compare --quick --dir /nowhere/at/all").end();
    ended.assert_code(1);
    assert!(ended.stderr.contains("/nowhere/at/all") && ended.stderr.contains("--dir"), "{}", ended.stderr);
}

/// A comparison whose files may not grow beyond so many blocks of 512 bytes.
fn within_blocks(blocks: u32, databases: &std::path::Path) -> Ended {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(
        "ulimit -f {blocks}; exec {} compare --quick --plans std --users 5 --dir {}",
        env!("CARGO_BIN_EXE_ropewalk"),
        databases.display()
    ));
    Run::start(command).end()
}

#[test]
fn a_database_that_cannot_be_made_shows_what_the_server_said() {
    // Enough to measure the disk, not for ten thousand accounts.
    let databases = tempfile::tempdir().unwrap();
    let ended = within_blocks(180, databases.path());
    ended.assert_code(1).assert_says("BROKEN: the server did not listen");
    ended.assert_says("it said last:").assert_says("In short: nothing could be measured");
    assert_empty(databases.path());
}

#[test]
fn a_database_that_cannot_grow_shows_what_users_and_server_said() {
    // Enough for ten thousand accounts, not for many payments.
    let databases = tempfile::tempdir().unwrap();
    let ended = within_blocks(700, databases.path());
    ended.assert_code(1).assert_says("BROKEN: ").assert_says("status 503").assert_says("the server said: ");
    assert_empty(databases.path());
}
