//! The table of what may switch is true to the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ropewalk_tidy::waits::{of_the_facade, page};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

#[test]
fn the_page_lists_every_public_function() {
    let functions = of_the_facade(&root()).expect("the sources can be read");
    let count: usize = functions.values().map(|functions| functions.len()).sum();
    assert!(count > 400, "only {count} functions were found");
    assert_eq!(functions["ropewalk::sync::Mutex"].get("lock"), Some(&true));
    assert_eq!(functions["ropewalk::sync::Mutex"].get("try_lock"), Some(&false));
    assert_eq!(functions["ropewalk::coroutine"].get("park"), Some(&true));
    assert_eq!(functions["ropewalk::channel"].get("select"), Some(&true));

    let expected = page(&functions);
    let written = fs::read_to_string(root().join("docs/waits.md")).expect("the page is there");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let missing: Vec<_> = lines(&expected).difference(&lines(&written)).cloned().collect();
    assert!(
        written == expected,
        "docs/waits.md is not what `cargo run -p ropewalk-tidy --example waits` prints; it lacks:\n{}",
        missing.join("\n")
    );
}

/// Types and modules whose functions the test does not call: builders of a program to be started, which are plain data, and
/// what changes the whole process or needs another one, a pool of threads, a feature, or the block of a scope. `the_handles_of_a_scope_never_switch` and the tests of
/// those see to them.
const ELSEWHERE: [&str; 14] = [
    "compat::tokio",
    "process",
    "process::Child",
    "process::Command",
    "process::Pool",
    "thread::Pool",
    "thread::PoolBuilder",
    "ScopedJoinHandle",
    "TryJoinHandle",
    "generator::Builder",
    "generator::Scoped",
    "inspect",
    "signal::Signals",
    "signal::ThreadSignals",
];

#[test]
fn what_never_switches_is_called_by_a_test() {
    let test = fs::read_dir(root().join("crates/ropewalk/tests/suite/switches")).expect("the test is there");
    let test: String =
        test.map(|file| fs::read_to_string(file.unwrap().path()).expect("it can be read")).collect();
    let mut complaints = Vec::new();
    for (path, functions) in of_the_facade(&root()).expect("the sources can be read") {
        let path = path.trim_start_matches("ropewalk").trim_start_matches("::");
        if ELSEWHERE.contains(&path) || !functions.values().any(|waits| *waits) {
            continue;
        }
        for name in functions.iter().filter(|(_, waits)| !**waits).map(|(name, _)| name) {
            let name = if path.is_empty() { name.clone() } else { format!("{path}::{name}") };
            if !test.contains(&format!("(\"{name}\", ||")) {
                complaints.push(name);
            }
        }
    }
    assert!(complaints.is_empty(), "the suite's switches do not call what never switches: {complaints:#?}");
}
