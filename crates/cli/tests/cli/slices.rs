//! `ropewalk slices` from the outside: the textbook's figures, sums that are right for any tasks, and the run for real.

use std::collections::VecDeque;
use std::fs;

use proptest::prelude::{ProptestConfig, prop, proptest};
use proptest::test_runner::FileFailurePersistence;
use serde_json::Value;

use crate::support::{Ended, ropewalk};

const SECOND: u64 = 1_000_000_000;

/// Runs the command without the part for real, and reads its JSON.
#[track_caller]
fn simulated(arguments: &str) -> (Ended, Vec<Run>) {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("slices.json");
    let ended = ropewalk(&format!("slices --no-real {arguments} --json {}", json.display())).end();
    ended.assert_code(0);
    let all: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!((&all["schema"], &all["real"]), (&Value::from(1), &Value::Null));
    let runs = all["simulated"].as_array().unwrap().iter().map(Run::read).collect();
    (ended, runs)
}

/// A run, as the JSON tells it.
#[derive(Debug)]
struct Run {
    policy: String,
    cores: usize,
    total: u64,
    switches: u64,
    /// Work, start, end, wait.
    tasks: Vec<[u64; 4]>,
    segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    core: usize,
    task: usize,
    switch: bool,
    start: u64,
    end: u64,
}

impl Run {
    fn read(run: &Value) -> Self {
        let number =
            |value: &Value, name: &str| value[name].as_u64().unwrap_or_else(|| panic!("{name}: {value}"));
        let list = |name: &str| run[name].as_array().unwrap().iter();
        Self {
            policy: run["policy"].as_str().unwrap().to_owned(),
            cores: number(run, "cores") as usize,
            total: number(run, "total_ns"),
            switches: number(run, "switches"),
            tasks: list("tasks")
                .map(|task| {
                    ["work_ns", "started_ns", "finished_ns", "waited_ns"].map(|name| number(task, name))
                })
                .collect(),
            segments: list("segments")
                .map(|segment| Segment {
                    core: number(segment, "core") as usize,
                    task: number(segment, "task") as usize,
                    switch: segment["switch"].as_bool().unwrap(),
                    start: number(segment, "start_ns"),
                    end: number(segment, "end_ns"),
                })
                .collect(),
        }
    }

    /// What a core did, in order.
    fn of_core(&self, core: usize) -> Vec<Segment> {
        let mut segments: Vec<_> =
            self.segments.iter().copied().filter(|segment| segment.core == core).collect();
        segments.sort_by_key(|segment| segment.start);
        segments
    }

    /// When a task ran, in order.
    fn of_task(&self, task: usize) -> Vec<Segment> {
        let runs = |segment: &Segment| segment.task == task && !segment.switch;
        let mut segments: Vec<_> = self.segments.iter().copied().filter(runs).collect();
        segments.sort_by_key(|segment| segment.start);
        segments
    }
}

#[test]
fn the_defaults_give_the_textbooks_figures() {
    let (ended, runs) = simulated("");
    let totals: Vec<_> =
        runs.iter().map(|run| (run.policy.as_str(), run.cores, run.total, run.switches)).collect();
    assert_eq!(
        totals,
        [
            ("threads", 1, 21_900_000_000, 19),
            ("one_thread", 1, 20_100_000_000, 1),
            ("threads", 2, 10 * SECOND, 0),
            ("one_thread", 2, 20_100_000_000, 1),
            ("worker_per_core", 2, 10 * SECOND, 0),
        ]
    );
    for line in [
        "1 core, threads in time slices: 20 + 19 x 0.1 = 21.9 s          the text: 21.9 s",
        "1 core, coroutines of one thread: 20 + 1 x 0.1 = 20.1 s         the text: 20.1 s",
        "2 cores, threads in time slices: 10 s                             the text: 10 s",
        "2 cores, coroutines of one thread: 20 + 1 x 0.1 = 20.1 s        the text: 20.1 s",
        "AAA|BBB|AA|BBB|AAA|BB|",
        "Slices cost 1.8 s more on one core than running to the end: 19 switches instead\nof 1.",
        "the last task first runs after 1.1 s instead of 10.1 s.",
    ] {
        ended.assert_says(line);
    }
    // A is done after 10 of its own slices, 9 of B's, and 18 switches; B at the very end.
    assert_eq!(
        runs[0].tasks,
        [
            [10 * SECOND, 0, 20_800_000_000, 10_800_000_000],
            [10 * SECOND, 1_100_000_000, 21_900_000_000, 11_900_000_000],
        ]
    );
    assert_eq!(runs[1].tasks[0], [10 * SECOND, 0, 10 * SECOND, 0]);
}

#[test]
fn other_tasks_other_figures_and_no_word_of_the_text() {
    let (ended, runs) = simulated("--tasks 3 --work 2.5s --slice 0.5s --switch-cost 1ms --cores 3,1");
    assert_eq!(runs[0].total, 7_500_000_000 + 14 * 1_000_000);
    ended.assert_says("7.5 + 14 x 0.001 = 7.514 s");
    assert!(!ended.stdout.contains("the text"), "{}", ended.stdout);
    let (ended, runs) = simulated("--work 3s,1s,2s --switch-cost 0s --cores 1");
    assert_eq!(runs.iter().map(|run| run.total).collect::<Vec<_>>(), [6 * SECOND; 2]);
    ended.assert_says("Tasks A of 3 s, B of 1 s, C of 2 s").assert_says("Slices cost nothing here.");
    let (_, runs) = simulated("--tasks 1 --cores 2");
    assert!(runs.iter().all(|run| run.total == 10 * SECOND && run.switches == 0), "{runs:?}");
}

#[test]
fn the_text_fits_80_columns_and_is_plain_where_it_is_no_terminal() {
    for arguments in
        ["", "--tasks 26 --cores 64,1", "--work 1ns,3us,7ms --slice 100us", "--tasks 7 --slice 3ms"]
    {
        let (ended, _) = simulated(arguments);
        for line in ended.stdout.lines() {
            assert!(line.chars().count() <= 80, "{arguments}: {line}");
            assert_eq!(line, line.trim_end(), "{arguments}");
        }
        assert!(ended.stdout.is_ascii(), "{arguments}: {}", ended.stdout);
    }
}

#[test]
fn two_runs_are_the_same_to_the_last_byte() {
    let twice = [(); 2].map(|()| {
        let directory = tempfile::tempdir().unwrap();
        let (json, html) = (directory.path().join("a.json"), directory.path().join("a.html"));
        let files = format!("--json {} --html {}", json.display(), html.display());
        ropewalk(&format!("slices --no-real --tasks 5 --cores 1,2,3 --work 0.7s {files}"))
            .end()
            .assert_code(0);
        (fs::read(json).unwrap(), fs::read(html).unwrap())
    });
    assert!(twice[0] == twice[1]);
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let html = directory.path().join("slices.html");
    ropewalk(&format!("slices --no-real --slice 1ms --html {}", html.display())).end().assert_code(0);
    let page = fs::read_to_string(html).unwrap();
    for foreign in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(page.matches("<svg").count(), 5);
    assert!(
        page.len() < 5_000_000,
        "20,000 slices are drawn as what can be seen of them: {} bytes",
        page.len()
    );
}

#[test]
fn what_makes_no_sense_exits_with_2() {
    for (arguments, expected) in [
        ("--tasks 0", "0"),
        ("--tasks 27", "27"),
        ("--tasks 2 --work 1s,2s,3s", "--work has 3 times"),
        ("--work 0s", "without work"),
        ("--work 10", "10s"),
        ("--slice 0s", "nothing would ever be done"),
        ("--slice 10us", "raise --slice"),
        ("--switch-cost soon", "soon"),
        ("--cores 0", "0"),
        ("--json /nowhere/at/all", "/nowhere/at/all"),
        ("surprise", "surprise"),
    ] {
        let ended = ropewalk(&format!("slices {arguments}")).end();
        ended.assert_code(2);
        assert!(ended.stderr.contains(expected), "{arguments}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments}");
    }
}

#[test]
fn for_real_every_task_did_its_work_and_the_differences_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("slices.json");
    let ended = ropewalk(&format!("slices --json {}", json.display())).end();
    ended.assert_code(0).assert_says("The same for real").assert_says("What differs, and why");
    ended.assert_says("A slice: 1 s in the arithmetic").assert_says("What slices are for").last_line();
    let all: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let real = &all["real"];
    let cpus = real["cpus"].as_array().unwrap().len();
    let runs = real["runs"].as_array().unwrap();
    assert_eq!(runs.len(), if cpus == 1 { 3 } else { 6 });
    for run in runs {
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{run}"));
        assert_eq!(run["tasks"].as_array().unwrap().len(), 2);
        assert!(number(&run["cpu_ns"]) > 0);
        for task in run["tasks"].as_array().unwrap() {
            let turns = task["ran"].as_array().unwrap();
            assert!(!turns.is_empty());
            assert!(turns.iter().all(|turn| number(&turn[0]) < number(&turn[1])), "{run}");
            assert!(number(&task["finished_ns"]) <= number(&run["total_ns"]));
        }
        let yields = number(&run["coroutine_switches"]);
        assert_eq!(yields > 0, run["way"] == "yielding", "{run}");
        let times = |name: &str| [0, 1].map(|task| number(&run["tasks"][task][name]));
        let (starts, ends) = (times("started_ns"), times("finished_ns"));
        let one_after_the_other = ends[0] <= starts[1] || ends[1] <= starts[0];
        match run["way"].as_str() {
            Some("yielding") => assert!(!one_after_the_other, "{run}"),
            Some("to_the_end") => assert!(one_after_the_other, "{run}"),
            _ => {}
        }
    }
    assert!(real["coroutine_switch_ns"].as_f64().unwrap() > 0.0);
}

#[test]
fn with_a_single_cpu_it_says_so() {
    // The command inherits what this thread may use.
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let first = (0..rustix::thread::CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).unwrap();
    let mut one = rustix::thread::CpuSet::new();
    one.set(first);
    rustix::thread::sched_setaffinity(None, &one).unwrap();
    let ended = ropewalk("slices").end();
    ended.assert_code(0).assert_says("the only one that this process may");
    assert!(!ended.stdout.contains("2 CPUs"), "{}", ended.stdout);
}

#[test]
fn whoever_stops_reading_is_no_error() {
    let mut run = ropewalk("slices");
    run.close_stdout();
    run.end().assert_code(0);
}

/// The textbook's queue as plain arithmetic, on one core: the total, the switches, and when each task is done.
fn round_robin(work: &[u64], slice: u64, cost: u64) -> (u64, u64, Vec<u64>) {
    let mut queue: VecDeque<(usize, u64)> = work.iter().copied().enumerate().collect();
    let (mut clock, mut switches, mut last) = (0, 0, None);
    let mut done = vec![0; work.len()];
    while let Some((task, left)) = queue.pop_front() {
        if last.is_some_and(|last| last != task) {
            switches += 1;
            clock += cost;
        }
        last = Some(task);
        clock += left.min(slice);
        if left > slice {
            queue.push_back((task, left - slice));
        } else {
            done[task] = clock;
        }
    }
    (clock, switches, done)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_sums_are_right_for_any_tasks(
        work in prop::collection::vec(1_u64..60, 1..7),
        slice in 1_u64..25,
        cost in 0_u64..10,
        cores in 1_usize..5,
    ) {
        let list: Vec<String> = work.iter().map(|work| format!("{work}ms")).collect();
        let arguments = format!("--work {} --slice {slice}ms --switch-cost {cost}ms --cores {cores}", list.join(","));
        let milli = 1_000_000;
        let work: Vec<u64> = work.iter().map(|work| work * milli).collect();
        let (_, runs) = simulated(&format!("{arguments} --tasks {}", work.len()));
        for run in &runs {
            check(run, &work, slice * milli, cost * milli);
        }
    }
}

fn check(run: &Run, work: &[u64], slice: u64, cost: u64) {
    let sum: u64 = work.iter().sum();
    let used = if run.policy == "one_thread" { 1 } else { run.cores };
    let mut switches = 0;
    for core in 0..run.cores {
        let segments = run.of_core(core);
        // A core does one thing at a time, and is not idle before it has nothing to do any more.
        let mut clock = 0;
        let mut last = None;
        for segment in &segments {
            assert_eq!(segment.start, clock, "{segment:?}, {run:?}");
            assert!(segment.end > segment.start);
            clock = segment.end;
            if last.is_some_and(|last| last != segment.task) {
                switches += 1;
                assert!(segment.switch || cost == 0, "a switch is paid for: {segment:?}, {run:?}");
            }
            assert!(!segment.switch || segment.end - segment.start == cost);
            last = Some(segment.task);
        }
        assert!(core < used || segments.is_empty(), "{run:?}");
    }
    assert_eq!(run.switches, switches, "{run:?}");
    let paid = run.segments.iter().filter(|segment| segment.switch).count() as u64;
    assert_eq!(paid, if cost == 0 { 0 } else { switches }, "{run:?}");

    for (task, &[own, started, finished, waited]) in run.tasks.iter().enumerate() {
        let segments = run.of_task(task);
        assert_eq!(own, work[task]);
        assert_eq!(segments.iter().map(|segment| segment.end - segment.start).sum::<u64>(), own, "{run:?}");
        assert!(segments.windows(2).all(|pair| pair[0].end <= pair[1].start), "one core at a time: {run:?}");
        assert_eq!((segments[0].start, segments[segments.len() - 1].end), (started, finished));
        assert_eq!(waited, finished - own);
        match run.policy.as_str() {
            "threads" => {
                assert!(segments.iter().all(|segment| segment.end - segment.start <= slice), "{run:?}")
            }
            _ => assert_eq!(segments.len(), 1, "to the end: {run:?}"),
        }
    }
    assert_eq!(run.total, run.tasks.iter().map(|task| task[2]).max().unwrap());
    assert!(run.total >= sum.div_ceil(used as u64).max(*work.iter().max().unwrap()), "{run:?}");
    assert!(run.total <= sum + switches * cost, "{run:?}");
    if used == 1 {
        assert_eq!(run.total, sum + switches * cost);
    }
    if used >= work.len() {
        assert_eq!((switches, run.total), (0, *work.iter().max().unwrap()), "{run:?}");
    }
    if run.policy == "one_thread" {
        assert_eq!(switches, work.len() as u64 - 1);
    }
    if run.policy == "threads" && run.cores == 1 {
        let done: Vec<u64> = run.tasks.iter().map(|task| task[2]).collect();
        assert_eq!((run.total, run.switches, done), round_robin(work, slice, cost));
    }
}
