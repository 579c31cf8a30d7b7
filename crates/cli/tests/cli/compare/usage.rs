//! Wrong usage exits with 2 and says what is wrong.

use crate::support::ropewalk;

#[test]
fn what_makes_no_sense_exits_with_2() {
    for (arguments, expected) in [
        ("compare --plans fiber", "fiber"),
        ("compare --plans thread,thread", "twice"),
        ("compare --users 0", "0"),
        ("compare --users ten", "ten"),
        ("compare --rounds 0", "0"),
        ("compare --work sleep", "sleep"),
        ("compare --thread-stack 4X", "4X"),
        ("compare --seconds -1", "-1"),
        ("compare --report /nowhere/at/all/report.html", "/nowhere/at/all/report.html"),
        ("compare surprise", "surprise"),
        ("load", "ADDRESS"),
        ("load localhost", "localhost"),
        ("load 127.0.0.1:1 --users 0", "0"),
        ("load 127.0.0.1:1 --accounts 1", "1"),
    ] {
        let ended = ropewalk(arguments).end();
        ended.assert_code(2);
        assert!(ended.stderr.contains(expected), "{arguments}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments}");
    }
}

#[test]
fn help_tells_the_defaults_and_the_exit_codes() {
    let ended = ropewalk("compare --help").end();
    ended.assert_code(0);
    for text in ["10,000", "--thread-stack", "4M", "--memory", "--quick", "--json", "--report", "130"] {
        ended.assert_says(text);
    }
    ropewalk("load --help").end().assert_code(0).assert_says("--journal");
}

#[test]
fn a_parent_that_is_none_is_refused() {
    let ended = ropewalk("--parent 1 load 127.0.0.1:1").end();
    ended.assert_code(1);
    assert!(ended.stderr.contains("--parent 1"), "{}", ended.stderr);
}
