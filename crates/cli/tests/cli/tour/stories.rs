//! What the programs show, by their own figures.

use super::support::bare;

#[test]
fn the_company_has_the_same_day_with_threads_and_with_coroutines() {
    let expected = "\
with threads:
  alone    you mend Zhang's heating
  alone    you change Li's light bulb
  create   3 workers have their jobs; begun: 0
  start    Wang takes the only wrench
  start    Zhao needs it too: conflict; he waits in line
  start    Sun needs it too: conflict; he waits for a message
  join     you watch Wang for 20 ms: not done, he lacks a washer; you fetch it
           Wang is done and puts the wrench back
           Zhao was first in line, has it, and sends a message afterwards
           Sun got the message and has the wrench
  join     you wait for all three, however long it takes: done
  daemon   Qian waters the plants, one after the other, for ever; you go home
           Qian drops the can and goes too
with coroutines: the same 13 lines, word for word
with branch offices, which are processes:
  phone    north to south: head office's wrench is in use, ours is free
  board    south reads 2 jobs done, and adds 2
  fire     south was ended by signal 9 (SIGKILL)
  join     north: its work is done
  board    what stands there: 4 jobs done
";
    assert_eq!(bare("company"), expected);
}

#[test]
fn the_train_never_has_more_inside_than_may_be() {
    let output = bare("train");
    let (output, fire) = output.split_once("another train: ").expect("a fire elsewhere");
    assert!(fire.contains("  Panic: 3 arrive\n"), "{fire}");
    assert!(fire.contains("  Abort: nobody arrives: it was ended by signal 6 (SIGABRT)\n"), "{fire}");
    let (toilet, dining_car) = output.split_once("dining car").expect("two places");
    for (place, limit, waiting) in [(toilet, 1, 3), (dining_car, 2, 2)] {
        assert!(place.contains(&format!("most inside at once: {limit} of {limit}")), "{output}");
        let count = |what: &str| place.matches(what).count();
        assert_eq!((count("goes in"), count("leaves"), count(" waits")), (4, 4, waiting), "{output}");
        for line in place.lines().filter(|line| line.contains("inside: ")) {
            let (_, inside) = line.split_once("inside: ").expect("a list");
            let (inside, _) = inside.split_once("waiting:").expect("another list");
            assert!(inside.split_whitespace().count() <= limit, "{line}");
        }
        let order = ["Ann", "Bo", "Cai", "Dee"].map(|who| place.find(&format!("{who} goes in")));
        assert!(
            order.iter().all(Option::is_some) && order.is_sorted(),
            "first come, first served:\n{output}"
        );
    }
}

#[test]
fn a_blocked_worker_answers_no_click_and_the_others_do() {
    let output = bare("blocked");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 5, "{output}");
    assert!(lines[0].starts_with("std's read in a coroutine") && lines[0].contains("no answer"), "{output}");
    assert!(lines[1].contains("the monitor: reader") && lines[1].contains("read_with_std"), "{output}");
    for (line, how) in
        lines[2..].iter().zip(["Ropewalk's", "std's read in blocking", "std's read in a thread"])
    {
        assert!(line.starts_with(how) && line.contains("click answered after"), "{output}");
    }
}

#[test]
fn beside_a_hog_a_coroutine_has_no_turn() {
    let output = bare("hog");
    let figures = |row: &str| -> (u64, f64) {
        let line = output.lines().find_map(|line| line.strip_prefix(row)).expect(row);
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[words.len() - 3].parse().unwrap(), words[words.len() - 2].parse().unwrap())
    };
    let (turns, longest_wait_ms) = figures("a coroutine that computes without a wait");
    assert_eq!(turns, 0, "{output}");
    assert!(longest_wait_ms >= 200.0, "{output}");
    assert!(output.contains("the monitor: main"), "{output}");
    assert!(figures("the same with yield_now() in its loop").0 > 0, "{output}");
    assert!(
        output.contains("threads that compute, on") && output.contains("the kernel took the CPU"),
        "{output}"
    );
}

#[test]
fn the_kernel_schedules_threads_and_no_coroutines() {
    let output = bare("flat");
    let (process, _) = output.strip_prefix("process ").unwrap().split_once(':').unwrap();
    assert!(output.contains("1000 coroutines and 3 threads, all alive"), "{output}");
    let rows: Vec<Vec<&str>> = output
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|words: &Vec<&str>| words.len() > 2 && words[2] == process)
        .collect();
    assert_eq!(rows[0][0], process, "the first is the process's main thread:\n{output}");
    for name in ["anna", "ben", "carl"] {
        assert_eq!(rows.iter().filter(|row| row[1] == name).count(), 1, "{output}");
    }
    assert!(rows.len() < 100, "a thousand coroutines, few threads:\n{output}");
    assert!(output.contains(&format!("\n{} for the kernel to schedule", rows.len())), "{output}");
    let switches: u64 = output.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(switches > 9_000, "each of 1000 yielded ten times:\n{output}");
}

/// The words of a row, in the columns that the heading begins.
fn cells<'a>(output: &'a str, row: &str, columns: [usize; 3]) -> [&'a str; 3] {
    let line = output.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("{row}: {output}"));
    let ends = [columns[1], columns[2], line.len()];
    [0, 1, 2].map(|column| line[columns[column]..ends[column]].trim())
}

fn columns(output: &str) -> [usize; 3] {
    let heading = output.lines().next().expect("a heading");
    ["a coroutine", "a thread", "a process"].map(|plan| heading.find(plan).expect(plan))
}

#[test]
fn a_process_dies_alone_and_what_crashes_in_a_coroutine_or_thread_takes_all_along() {
    let output = bare("crash");
    let columns = columns(&output);
    assert_eq!(cells(&output, "panic", columns), ["it: panicked"; 3]);
    assert_eq!(
        cells(&output, "a deadline", columns),
        ["nobody: it goes on", "nobody: it goes on", "it: deadline"]
    );
    for (row, arrives) in [
        ("abort()", &["SIGABRT"][..]),
        ("bad pointer", &["SIGSEGV"]),
        // As whoever handles the fault has it.
        ("stack overflow", &["SIGABRT", "SIGSEGV"]),
        ("exit(3)", &["exit code 3"]),
        ("kill -9", &["SIGKILL"]),
        ("4 GiB", &["SIGABRT"]),
    ] {
        for (cell, who) in cells(&output, row, columns).iter().zip(["ALL: ", "ALL: ", "it: "]) {
            let arrived = cell.strip_prefix(who).unwrap_or_else(|| panic!("{row}: {output}"));
            assert!(arrives.contains(&arrived), "{row}: {output}");
        }
    }
    assert!(output.contains("of the coroutine that goes on: it computes\n"), "{output}");
    assert!(output.contains("asked 8 times, and answered each time"), "{output}");
}

#[test]
fn a_process_owns_what_threads_and_coroutines_share() {
    let output = bare("resources");
    let columns = columns(&output);
    for (row, cells_of_row) in [
        ("the process", ["its spawner's", "its spawner's", "its own"]),
        ("what the kernel schedules", ["its spawner's", "its own", "its own"]),
        ("a global variable", ["its spawner's", "its spawner's", "its own"]),
        ("a vector on the heap", ["its spawner's", "its spawner's", "its own"]),
        ("an open file", ["its spawner's", "its spawner's", "its own"]),
        ("the working directory", ["its spawner's", "its spawner's", "its own"]),
        ("what happens at a signal", ["its spawner's", "its spawner's", "its own"]),
    ] {
        assert_eq!(cells(&output, row, columns), cells_of_row, "{row}: {output}");
    }
    for ending in ["was ended by signal 6 (SIGABRT)", "used up its CPU time", "Too many open files"] {
        assert!(output.contains(ending), "{ending}: {output}");
    }
}
