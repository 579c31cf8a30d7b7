//! `ropewalk costs` from the outside: what it measures, what it does not, the tables, the page and how it ends. No test
//! says how fast anything has to be.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Ended, Run, is_running, ropewalk};

/// Runs the command and reads its JSON and its page.
#[track_caller]
fn costs(arguments: &str) -> (Ended, Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let (json, page) = (directory.path().join("costs.json"), directory.path().join("costs.html"));
    let files = format!("--json {} --report {}", json.display(), page.display());
    let ended = ropewalk(&format!("costs --quick {arguments} {files}")).end();
    let json = fs::read(json).unwrap_or_else(|error| panic!("{error}:\n{}{}", ended.stdout, ended.stderr));
    (ended, serde_json::from_slice(&json).unwrap(), fs::read_to_string(page).unwrap())
}

/// The rows of a part: what was measured, and the row.
fn rows<'a>(costs: &'a Value, part: &str) -> Vec<(&'a Value, &'a Value)> {
    let rows = costs["rows"].as_array().unwrap().iter();
    rows.filter_map(|row| Some((row["cell"].get(part)?, row))).collect()
}

#[track_caller]
fn median(row: &Value, figure: &str) -> f64 {
    row["figures"][figure]["median"].as_f64().unwrap_or_else(|| panic!("{figure} is missing in {row}"))
}

#[test]
fn quick_measures_everything_and_writes_json_and_report() {
    let (ended, costs, page) = costs("");
    ended.assert_code(0);
    assert_eq!(costs["schema"], 1);
    assert_eq!(costs["method"]["rounds"], 1);
    assert_eq!(costs["interrupted"], false);
    for (part, count) in
        [("creation", 24), ("switch", 17), ("worst", 8), ("memory", 3), ("counter", 27), ("ipc", 198)]
    {
        let rows = rows(&costs, part);
        assert_eq!(rows.len(), count, "{part}");
        for (_, row) in rows {
            assert_eq!(row["broken"], Value::Null, "{row}");
            let measured = !row["figures"].as_object().unwrap().is_empty();
            // Where others keep the CPU busy, the kernel may not follow a yield.
            assert!(
                measured || row["obstacle"].is_string() || row["cell"]["switch"]["how"] == "kernel_yield"
            );
        }
    }
    for title in [
        "Creation:",
        "Switch:",
        "Worst case:",
        "Memory of a task",
        "A counter that tasks share",
        "Messages there and back:",
        "Messages one way, on one CPU:",
    ] {
        ended.assert_says(title);
    }
    ended
        .assert_says("What the texts say - what this machine says")
        .assert_says("one round, which proves nothing");
    assert_eq!(costs["verdicts"].as_array().unwrap().len(), 11);
    assert_eq!(ended.last_line(), costs["in_short"].as_str().unwrap());
    assert!(ended.last_line().starts_with("In short: to spawn and join a process takes"));
    for line in ended.stdout.lines().filter(|line| !line.starts_with("In short:")) {
        assert!(line.chars().count() <= 100, "{line}");
        assert_eq!(line, line.trim_end());
    }
    assert!(!ended.stdout.contains('\u{1b}'), "no colours where it is no terminal");
    for foreign in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(page.matches("<svg").count(), 4);
    assert_eq!(page.matches("class=\"badge").count(), 11);
    assert_eq!(page.matches("<table>").count(), 6);
    check_messages(&costs);
}

#[test]
fn the_figures_of_a_round_hang_together() {
    let (ended, costs, _) = costs("--only switch,worst,memory");
    ended.assert_code(0);
    assert!(rows(&costs, "creation").is_empty() && rows(&costs, "counter").is_empty());
    for (_, row) in rows(&costs, "switch").iter().filter(|(cell, _)| cell["how"] != "kernel_yield") {
        let (time, touching) = (median(row, "time_ns"), median(row, "touching_ns"));
        assert!((time - touching - median(row, "without_touching_ns")).abs() < 1e-6, "{row}");
        assert_eq!(touching > 0.0, row["cell"]["switch"]["working_set"] != 0, "{row}");
        assert!((0.0..=1.0).contains(&median(row, "others_part")), "{row}");
    }
    for (_, row) in rows(&costs, "worst") {
        let [half, most, longest] = ["p50_ns", "p99_ns", "max_ns"].map(|figure| median(row, figure));
        assert!(half <= most && most <= longest && median(row, "samples") >= 1.0, "{row}");
        let enough = median(row, "samples") >= 10_000.0;
        assert_eq!(row["figures"].get("p9999_ns").is_some(), enough, "{row}");
    }
    // A process is more than a thread, and a thread more than a coroutine: not a matter of speed.
    let touched: Vec<f64> =
        rows(&costs, "memory").iter().map(|(_, row)| median(row, "touched_bytes")).collect();
    assert!(touched[0] > touched[1] && touched[1] > touched[2] && touched[2] > 0.0, "{touched:?}");
    let thread = rows(&costs, "memory")[1].1;
    let stack = costs["method"]["thread_stack_bytes"].as_f64().unwrap();
    assert!(median(thread, "reserved_bytes") >= stack, "{thread}");
}

#[test]
fn a_guarded_counter_is_right_and_coroutines_of_one_worker_need_no_guard() {
    let (ended, costs, _) = costs("--only counter --rounds 2");
    ended.assert_code(0);
    for (cell, row) in rows(&costs, "counter") {
        if row["obstacle"].is_string() {
            assert_eq!(cell["cpus"], "all", "{row}");
            continue;
        }
        let lost = row["figures"]["lost_part"]["high"].as_f64().unwrap();
        assert!((0.0..1.0).contains(&lost) && median(row, "additions") > 0.0, "{row}");
        let alone = cell["tasks"] == 1;
        let one_worker = cell["plan"] == "coroutine" && cell["cpus"] == "one";
        if cell["guard"] != "none" || alone || one_worker {
            assert_eq!(lost, 0.0, "{row}");
        }
    }
    // Other parts are not spoken of.
    assert!(!ended.stdout.contains("Creation:") && !ended.stdout.contains("Worst case:"));
    ended.assert_says("not measured");
}

/// Why messages of this length may be refused here, if they may.
fn may_be_refused(cell: &Value) -> Option<&'static str> {
    match (cell["mechanism"].as_str().unwrap(), cell["bytes"].as_u64().unwrap()) {
        _ if cell["cpus"] == "two" && allowed_cpus() == 1 => Some("may use one CPU only"),
        ("unix_datagram" | "unix_seqpacket", 1_048_576) => Some("Message too long"),
        ("message_queue", _) => Some("mqueue"),
        _ => None,
    }
}

fn allowed_cpus() -> u32 {
    rustix::thread::sched_getaffinity(None).unwrap().count()
}

/// Messages go every way, under every plan that has it, and the figures of a row hang together.
#[track_caller]
fn check_messages(costs: &Value) {
    let mut measured = Vec::new();
    for (cell, row) in rows(costs, "ipc") {
        if let Some(reason) = row["obstacle"].as_str() {
            assert!(may_be_refused(cell).is_some_and(|expected| reason.contains(expected)), "{row}");
            continue;
        }
        let bytes = cell["bytes"].as_f64().unwrap();
        let way = |figure| row["figures"].get(figure).map(|_| median(row, figure));
        assert!(median(row, "round_trip_ns") > 0.0 && median(row, "round_trip_cpu_ns") > 0.0, "{row}");
        assert_eq!(way("message_ns").is_some(), bytes > 0.0, "{row}");
        if let (Some(message), Some(rate)) = (way("message_ns"), way("bytes_per_second")) {
            assert!((rate * message / (bytes * 1e9) - 1.0).abs() < 1e-6, "{row}");
            assert!(way("message_cpu_ns").unwrap() > 0.0, "{row}");
        }
        if bytes <= 64.0 && cell["cpus"] == "one" {
            measured.push((cell["mechanism"].as_str().unwrap(), cell["plan"].as_str().unwrap()));
        }
    }
    let within = ["channel", "topic", "lock", "semaphore"];
    for (mechanism, plan) in &measured {
        assert!(*plan != "process" || !within.contains(mechanism), "{mechanism} {plan}");
    }
    for plan in ["process", "thread", "coroutine"] {
        for mechanism in
            ["pipe", "fifo", "tcp", "ipc_channel", "remote_channel", "ring_spin", "shared_lock", "signal"]
        {
            assert!(measured.contains(&(mechanism, plan)), "{mechanism} {plan}");
        }
    }
    assert!(within.iter().all(|mechanism| measured.contains(&(mechanism, "coroutine"))));
}

#[test]
fn ways_to_exchange_messages_are_chosen_by_name() {
    let (ended, costs, _) = costs("--only ipc --mechanisms ring-spin,pipe");
    ended.assert_code(0);
    assert_eq!(costs["method"]["mechanisms"], serde_json::json!(["pipe", "ring_spin"]));
    assert_eq!(rows(&costs, "ipc").len(), 2 * 3 * 2 * 2, "plans, CPUs, lengths");
    assert!(
        ended.stdout.contains("ring, spin") && !ended.stdout.contains("Unix stream  "),
        "{}",
        ended.stdout
    );
}

/// What this thread starts from now on may use one CPU.
fn on_one_cpu() {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let first = (0..rustix::thread::CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).unwrap();
    let mut one = rustix::thread::CpuSet::new();
    one.set(first);
    rustix::thread::sched_setaffinity(None, &one).unwrap();
}

#[test]
fn with_a_single_cpu_the_other_rows_say_so() {
    on_one_cpu();
    let (ended, costs, _) = costs("--only counter,ipc --mechanisms pipe,lock");
    ended.assert_code(0).assert_says("This process may use 1 CPU;").assert_says("may use one CPU only");
    for (cell, row) in rows(&costs, "ipc") {
        assert_eq!(row["obstacle"].is_string(), cell["cpus"] == "two", "{row}");
    }
    assert_eq!(ended.stdout.matches("messages between two CPUs: not run").count(), 1, "told once");
    for (cell, row) in rows(&costs, "counter") {
        assert_eq!(row["obstacle"].is_string(), cell["cpus"] == "all", "{row}");
        assert_eq!(row["figures"].as_object().unwrap().is_empty(), cell["cpus"] == "all", "{row}");
    }
}

/// Runs the command under limits of the shell, on one CPU: the workers of many would need more than the limits leave.
fn limited(limits: &str, arguments: &str) -> Ended {
    on_one_cpu();
    let mut command = Command::new("sh");
    let line = format!("{limits}; exec {} costs {arguments}", env!("CARGO_BIN_EXE_ropewalk"));
    command.args(["-c", &line]);
    Run::start(command).end()
}

#[test]
fn what_cannot_be_run_is_a_row_with_its_reason() {
    let ended = limited("ulimit -n 40", "--quick --only memory");
    ended.assert_code(0).assert_says("memory, process: not run: 48 descriptors needed, the hard limit is 40");
    ended.assert_says("not measured: it was not measured, or could not be.");
}

#[test]
fn what_the_machine_refuses_is_a_row_too() {
    // The kernel keeps no messages for this user.
    on_one_cpu();
    let mut command = Command::new("prlimit");
    let exe = env!("CARGO_BIN_EXE_ropewalk");
    command.args([
        "--msgqueue=0:0",
        exe,
        "costs",
        "--quick",
        "--only",
        "ipc",
        "--mechanisms",
        "message-queue",
    ]);
    let ended = Run::start(command).end();
    ended.assert_code(0).assert_says("message queue, 64 B: not run:").assert_says("ulimit -q");
}

#[test]
fn what_breaks_is_told_and_exits_with_1() {
    // Room for the command and for a process, not for the stacks of a hundred threads.
    let ended = limited("ulimit -v 450000", "--quick --only memory");
    ended.assert_code(1).assert_says("memory, thread: BROKEN:");
}

#[test]
fn what_makes_no_sense_exits_with_2() {
    for (arguments, expected) in [
        ("--only nonsense", "nonsense"),
        ("--mechanisms nonsense", "nonsense"),
        ("--rounds 0", "0"),
        ("--rounds 1001", "1001"),
        ("--json /nowhere/at/all", "/nowhere/at/all"),
        ("--report /", "/"),
        ("surprise", "surprise"),
    ] {
        let ended = ropewalk(&format!("costs {arguments}")).end();
        ended.assert_code(2);
        assert!(ended.stderr.contains(expected), "{arguments}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments}");
    }
}

#[test]
fn ctrl_c_shows_what_was_finished_and_leaves_no_process() {
    let run = ropewalk("costs --quick --only worst --rounds 1000");
    let measures = run.wait_for_child("costs");
    run.signal(Signal::INT);
    let ended = run.end();
    ended.assert_code(130).assert_says("Interrupted: this is what was finished.");
    assert!(!is_running(measures), "what it had started has ended before it");
}

#[test]
fn whoever_stops_reading_is_no_error() {
    let mut run = ropewalk("costs --quick --only memory");
    run.close_stdout();
    run.end().assert_code(0);
}
