//! Comparisons that end well.

use serde_json::Value;

use crate::support::{assert_empty, ropewalk};

#[test]
fn quick_compares_all_plans_and_writes_json_and_report() {
    let databases = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let (json, report) = (files.path().join("out.json"), files.path().join("report.html"));
    let ended = ropewalk(&format!(
        "compare --quick --users 10,60 --dir {} --json {} --report {}",
        databases.path().display(),
        json.display(),
        report.display()
    ))
    .end();
    ended.assert_code(0);
    for text in [
        "1/1      10 process ",
        "1/1      10 thread",
        "1/1      10 coroutine",
        "1/1      10 proc+coro",
        "1/1      60 process ",
        "1/1      60 thread",
        "1/1      60 coroutine",
        "1/1      60 proc+coro",
        "proc+coro: process+coroutine",
        "payments/s",
        "limited by",
        "switch",
        "touched",
        "balanced",
        "What the texts say - what this machine says",
        "\"A thread takes at least 4 MB of memory.\"",
    ] {
        ended.assert_says(text);
    }
    assert!(!ended.stdout.contains("WRONG") && !ended.stdout.contains("BROKEN"), "{}", ended.stdout);
    assert!(ended.last_line().starts_with("In short: with 60 users coroutines"), "{}", ended.last_line());
    assert!(!ended.stdout.contains('\x1b'), "escape sequences in a pipe");
    assert_empty(databases.path());

    let json: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(json["schema"], 2);
    assert_eq!(json["cells"].as_array().unwrap().len(), 8);
    for cell in json["cells"].as_array().unwrap() {
        assert_measured(cell);
    }
    assert_eq!(json["rows"].as_array().unwrap().len(), 8);
    assert!(json["in_short"].as_str().unwrap().starts_with("In short:"));

    let page = std::fs::read_to_string(report).unwrap();
    assert_eq!(page.matches("<svg").count(), 6, "four plots over users, a distribution for each number");
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"));
}

/// Each figure is there, and the books agree with the answers.
fn assert_measured(cell: &Value) {
    assert_eq!(cell["outcome"]["kind"], "measured", "{cell}");
    let outcome = &cell["outcome"];
    for figure in [
        "rate",
        "connect_seconds",
        "p50_us",
        "server_cpu_us",
        "client_cpu_us",
        "ledger_cpu_us",
        "kernel_switches",
        "touched_bytes",
        "reserved_bytes",
    ] {
        assert!(outcome["figures"][figure].as_f64().is_some_and(|value| value > 0.0), "{figure}: {cell}");
    }
    let switches = outcome["figures"]["coroutine_switches"].as_f64().unwrap();
    let plan = cell["plan"].as_str().unwrap();
    assert_eq!(switches > 0.1, plan.ends_with("coroutine"), "{switches}: {cell}");
    let users = cell["users"].as_u64().unwrap();
    let processes = outcome["memory"]["processes"].as_u64().unwrap();
    match plan {
        // The service, the ledger, and a process for each connection: the users' and the one that asks.
        "process" => assert_eq!(processes, 2 + users + 1, "{cell}"),
        "process+coroutine" => assert!(processes > 2, "{cell}"),
        _ => assert_eq!(processes, 2, "{cell}"),
    }
    let (books, answers) = (&outcome["books"], &outcome["load"]["answers"]);
    assert_eq!(books["fault_count"], 0, "{cell}");
    assert_eq!(books["acknowledged"], answers["accepted"]);
    assert_eq!(books["committed"], answers["accepted"]);
    assert_eq!(books["refused"], answers["refused"]);
    assert!(answers["refused"].as_u64().unwrap() > 0, "about one in a hundred is refused: {cell}");
}

#[test]
fn every_kind_of_work_runs() {
    for work in ["cpu", "mixed", "read"] {
        let databases = tempfile::tempdir().unwrap();
        let ended = ropewalk(&format!(
            "compare --quick --plans coroutine --users 20 --work {work} --dir {}",
            databases.path().display()
        ))
        .end();
        ended.assert_code(0).assert_says(&format!("Work: {work}."));
        ended.assert_says(if work == "read" { "requests/s" } else { "payments/s" });
        assert!(ended.last_line().contains("no other plan"), "{}", ended.last_line());
    }
}

#[test]
fn the_thread_plan_is_held_against_plain_std_in_pairs() {
    let databases = tempfile::tempdir().unwrap();
    let ended = ropewalk(&format!(
        "compare --plans std,thread --work read --users 5,10 --rounds 2 --warmup 0.1 --payments 500 --dir {}",
        databases.path().display()
    ))
    .end();
    ended.assert_code(0).assert_says("Server CPU per request against std threads in the same round");
    ended.assert_says("confidence, 2 pairs").assert_says("confidence, 4 pairs");
    ended.assert_says("2/2");
}

#[test]
fn verbose_lists_the_processes_of_each_cell() {
    let databases = tempfile::tempdir().unwrap();
    let ended = ropewalk(&format!(
        "compare --quick --verbose --plans process,thread --users 20 --dir {}",
        databases.path().display()
    ))
    .end();
    ended.assert_code(0);
    for text in ["parent", "stat", "files", "switches", " service ", " ledger ", " connection "] {
        ended.assert_says(text);
    }
    // Of 21 connections the first 16 are shown.
    ended.assert_says("and 5 more like these");
    let service = ended.stdout.lines().filter(|line| line.contains(" service ")).count();
    assert_eq!(service, 2, "one in each cell: {}", ended.stdout);
}
