//! What a reader sees.

use super::*;
use crate::block::Block;
use crate::compare::limits::Obstacle;
use crate::compare::plan::Plan::{Coroutine, ProcessCoroutine, Std, Thread};
use crate::compare::result::Comparison;
use crate::compare::sample;
use crate::text::WIDTH;

fn comparison() -> Comparison {
    let cells = sample::rounds(&[
        (10, Thread, 5_000.0, 40.0),
        (10, Coroutine, 5_010.0, 39.9),
        (10_000, Thread, 10_000.0, 60.0),
        (10_000, Coroutine, 20_000.0, 30.0),
        (10_000, ProcessCoroutine, 20_100.0, 31.0),
    ]);
    sample::comparison(sample::method(&[Thread, Coroutine, ProcessCoroutine], &[10, 10_000]), cells)
}

fn all(comparison: &Comparison) -> String {
    let method = &comparison.method;
    let cells: String = comparison.cells.iter().map(|cell| cell_line(cell, method) + "\n").collect();
    heading(&comparison.machine, &comparison.disk, method)
        + &cells
        + &tables(method, &comparison.rows)
        + &pairs(method, &comparison.pairs)
        + &crate::verdict::to_text(&comparison.verdicts)
}

#[track_caller]
fn assert_narrow(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}\n\n{text}", line.chars().count());
    }
}

#[test]
fn everything_fits_into_80_columns() {
    let mut comparison = comparison();
    assert_narrow(&all(&comparison));
    // The widest figures that can be met.
    for row in &mut comparison.rows {
        row.limiter = Some(crate::compare::limiter::Limiter::ServerCpu);
        row.rate_ratio = Some(Ratio::Unjudged(0.123));
        row.cpu_ratio = Some(Ratio::Unjudged(12.3));
        let wide = Spread { median: 123_456.0, low: 1_000.0, high: 234_567.0, rounds: 3 };
        row.figures.rate = Some(wide);
        row.figures.p50_us = Some(Spread { median: 1_234_000.0, ..wide });
        row.figures.p99_us = row.figures.p50_us;
        row.figures.p999_us = row.figures.p50_us;
        row.figures.server_cpu_us = Some(Spread { median: 1_234.0, low: 12.0, high: 2_345.0, rounds: 3 });
    }
    assert_narrow(&tables(&comparison.method, &comparison.rows));
}

#[test]
fn the_processes_of_a_cell_fit_too() {
    let mut comparison = comparison();
    let Outcome::Measured(measurement) = &mut comparison.cells[0].outcome else { unreachable!() };
    let mut widest = Block {
        role: "connection".to_owned(),
        pid: 4_194_303,
        parent: 4_194_302,
        state: "S".to_owned(),
        threads: 10_006,
        proportional_bytes: 999 << 20,
        reserved_bytes: 39 << 30,
        descriptors: 10_128,
        ..Block::default()
    };
    widest.usage.cpu_us = 123_456_789;
    widest.usage.voluntary_switches = 9_999_999;
    measurement.load.processes = vec![widest];
    measurement.memory = Some(crate::compare::measure::Memory { processes: 1_003, ..Default::default() });
    let text = processes(&comparison.cells[0]);
    assert_narrow(&text);
    assert!(text.contains("4194303") && text.contains("and 1,002 more like these"), "{text}");
}

#[test]
fn the_tables_show_medians_spreads_and_ratios() {
    let text = all(&comparison());
    for expected in
        ["20,000", "-1 +1%", "2.00x", "0.50x", "same", "ledger", "399 MiB", "39.1 GiB", "balanced"]
    {
        assert!(text.contains(expected), "`{expected}` is missing:\n{text}");
    }
    assert!(text.contains("the spreads overlap"), "{text}");
}

#[test]
fn a_row_that_could_not_run_stays_with_its_reason_and_what_mends_it() {
    let mut comparison = comparison();
    let row = &mut comparison.rows[2];
    row.rounds = 0;
    row.figures = Figures::default();
    row.books_balance = None;
    row.obstacle = Some(Obstacle { reason: "no room".into(), mend: "sysctl -w vm.x=1".into() });
    let text = all(&comparison);
    assert!(text.contains("10,000 threads: not run: no room\n  mend: sysctl -w vm.x=1"), "{text}");
}

#[test]
fn a_crowded_machine_is_flagged() {
    assert_eq!(noise(None), "");
    assert_eq!(noise(Some(0.05)), "");
    assert!(noise(Some(0.4)).contains("other programs took 40 % of the CPUs"));
    assert_narrow(&noise(Some(0.4)));
}

#[test]
fn faults_are_spelled_out() {
    let mut comparison = comparison();
    assert_eq!(faults(&comparison.cells), "");
    if let Outcome::Measured(measurement) = &mut comparison.cells[1].outcome {
        measurement.books.fault_count = 1;
        measurement.books.faults = vec!["payment a was acknowledged and is lost".into()];
    }
    let text = faults(&comparison.cells);
    assert!(text.contains("round 1, 10 users, coroutine do NOT balance: 1 faults: payment a"), "{text}");
    assert!(cell_line(&comparison.cells[1], &comparison.method).contains("BOOKS WRONG"));
}

#[test]
fn the_control_is_said_to_be_within_ten_percent_only_if_the_interval_is() {
    let method = sample::method(&[Std, Thread], &[10, 100]);
    let close =
        [(10, Std, 5e3, 40.0), (10, Thread, 5e3, 41.0), (100, Std, 5e3, 40.0), (100, Thread, 5e3, 41.5)];
    let text = pairs(&method, &crate::compare::rows::pairs(&method, &sample::rounds(&close)));
    assert!(text.contains("against std threads in the same round"), "{text}");
    assert!(text.contains("within 10 % of std threads"), "{text}");
    let far =
        [(10, Std, 5e3, 40.0), (10, Thread, 5e3, 41.0), (100, Std, 5e3, 40.0), (100, Thread, 5e3, 45.0)];
    let text = pairs(&method, &crate::compare::rows::pairs(&method, &sample::rounds(&far)));
    assert!(!text.contains("within"), "{text}");
    assert!(text.contains("1.125"), "{text}");
}

#[test]
fn a_file_system_in_memory_is_flagged() {
    let mut comparison = comparison();
    assert!(!heading(&comparison.machine, &comparison.disk, &comparison.method).contains("Beware"));
    comparison.disk.file_system = "tmpfs".into();
    comparison.disk.durable = false;
    comparison.machine.release_build = false;
    let text = heading(&comparison.machine, &comparison.disk, &comparison.method);
    assert!(text.contains("tmpfs is in memory") && text.contains("debug build"), "{text}");
    assert_narrow(&text);
}
