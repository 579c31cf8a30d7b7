//! Ends before the end: Ctrl-C, a closed pipe, a killed comparison.

use rustix::process::Signal;

use crate::support::{assert_empty, children, is_running, ropewalk, until};

#[test]
fn ctrl_c_keeps_what_was_finished_and_leaves_nothing_behind() {
    let databases = tempfile::tempdir().unwrap();
    let arguments = format!(
        "compare --plans coroutine --users 5,10 --rounds 3 --warmup 0.1 --seconds 30 --payments 200 --dir {}",
        databases.path().display()
    );
    let mut run = ropewalk(&arguments);
    run.wait_for("1/3       5 coroutine");
    let server = run.wait_for_child("serve");
    run.signal(Signal::INT);
    let ended = run.end();
    ended.assert_code(130).assert_says("Interrupted").assert_says("What the texts say");
    assert!(ended.last_line().starts_with("In short: "), "{}", ended.last_line());
    assert!(!is_running(server), "the server outlived Ctrl-C");
    assert_empty(databases.path());
}

#[test]
fn ctrl_c_in_the_first_cell_has_nothing_to_show_and_says_so() {
    let databases = tempfile::tempdir().unwrap();
    let run =
        ropewalk(&format!("compare --plans std --users 5 --warmup 60 --dir {}", databases.path().display()));
    run.wait_for_child("load");
    run.signal(Signal::INT);
    let ended = run.end();
    ended.assert_code(130);
    assert_eq!(ended.last_line(), "In short: nothing was measured.");
    assert_empty(databases.path());
}

#[test]
fn a_reader_that_goes_away_ends_the_run_without_noise() {
    let databases = tempfile::tempdir().unwrap();
    let mut run = ropewalk(&format!(
        "compare --plans std --users 5 --rounds 500 --warmup 0 --payments 50 --dir {}",
        databases.path().display()
    ));
    run.wait_for("1/500");
    run.close_stdout();
    let ended = run.end();
    ended.assert_code(0);
    assert_eq!(ended.stderr, "");
    assert_empty(databases.path());
}

#[test]
fn nobody_outlives_a_killed_comparison() {
    let databases = tempfile::tempdir().unwrap();
    let run = ropewalk(&format!(
        "compare --plans process --users 5 --warmup 60 --dir {}",
        databases.path().display()
    ));
    run.wait_for_child("load");
    let both = children(run.pid());
    assert_eq!(both.len(), 2, "server and users");
    let server = run.wait_for_child("serve");
    // The ledger, the users' connections and the one that asks.
    let all = until("all processes are there", || {
        let theirs = children(server);
        (theirs.len() == 7).then(|| [both.clone(), theirs].concat())
    });
    run.signal(Signal::KILL);
    until("all of them end", || all.iter().all(|&child| !is_running(child)).then_some(()));
}
