//! Verdicts for machines that are unlike each other: each claim must be able to hold and to fail.

use super::*;
use crate::compare::limits::Obstacle;
use crate::compare::plan::Plan::{self, Coroutine, Process, ProcessCoroutine, Std, Thread};
use crate::compare::result::{Cell, Outcome};
use crate::compare::{rows, sample};
use crate::load::Work;
use crate::verdict::Finding;

/// The verdicts and the last sentence for three rounds of each (users, plan, rate, CPU).
fn judge(of: &[(u32, Plan, f64, f64)]) -> (Vec<Verdict>, String) {
    judge_with(of, |_| {}, Vec::new())
}

fn judge_with(
    of: &[(u32, Plan, f64, f64)],
    change: impl FnOnce(&mut Method),
    more: Vec<Cell>,
) -> (Vec<Verdict>, String) {
    let mut users: Vec<u32> =
        of.iter().map(|cell| cell.0).chain(more.iter().map(|cell| cell.users)).collect();
    let mut plans: Vec<Plan> =
        of.iter().map(|cell| cell.1).chain(more.iter().map(|cell| cell.plan)).collect();
    users.sort_unstable();
    users.dedup();
    plans.sort_unstable_by_key(|plan| plan.name());
    plans.dedup();
    let mut method = sample::method(&plans, &users);
    change(&mut method);
    let mut cells = sample::rounds(of);
    cells.extend(more);
    let rows = rows::rows(&method, &cells);
    (verdicts(&method, &rows), in_short(&method, &rows))
}

fn impossible(users: u32, plan: Plan, reason: &str) -> Cell {
    let obstacle = Obstacle { reason: reason.to_owned(), mend: "mend it".to_owned() };
    Cell { round: 1, users, plan, outcome: Outcome::Impossible(obstacle) }
}

#[track_caller]
fn assert_finding(verdicts: &[Verdict], claim: &str, finding: Finding, text: &str) {
    let verdict = verdicts.iter().find(|verdict| verdict.claim.contains(claim)).expect(claim);
    assert_eq!(verdict.finding, finding, "{}: {}", verdict.claim, verdict.text);
    assert!(verdict.text.contains(text), "`{text}` not in: {}", verdict.text);
}

/// Coroutines ahead, and more so with more users.
const AHEAD: &[(u32, Plan, f64, f64)] = &[
    (10, Thread, 5_000.0, 40.0),
    (10, Coroutine, 5_020.0, 39.8),
    (10_000, Thread, 10_000.0, 60.0),
    (10_000, Coroutine, 20_000.0, 30.0),
];

#[test]
fn coroutines_ahead() {
    let (verdicts, in_short) = judge(AHEAD);
    use Finding::{Holds, InPart};
    assert_finding(&verdicts, "at least 4 MB", InPart, "4.00 MiB of addresses");
    assert_finding(&verdicts, "at least 4 MB", InPart, "touches 40.0 KiB");
    assert_finding(&verdicts, "39 GB", InPart, "39.1 GiB reserved, 399 MiB touched");
    assert_finding(&verdicts, "switching eats", Holds, "10,000: 2.10 kernel switches and 60.0 µs");
    assert_finding(&verdicts, "needs only KB", InPart, "touch 10.0 KiB");
    assert_finding(&verdicts, "fit into 8 GB", Holds, "210,000 threads or 840,000 coroutines");
    assert_finding(&verdicts, "few users", Holds, "no difference");
    assert_finding(&verdicts, "The more threads", Holds, "10,000 users: 2.00 times");
    assert_finding(&verdicts, "I/O-heavy", Holds, "2.00 times the threads' payments/s, at 0.50 times");
    assert_eq!(
        in_short,
        "In short: with 10,000 users coroutines made 2.00 times the payments/s of threads; coroutines took 0.50 times \
         the CPU and 0.27 times the memory; with 10 users there was no difference in speed."
    );
}

#[test]
fn coroutines_behind() {
    let (verdicts, in_short) = judge(&[
        (10, Thread, 5_000.0, 40.0),
        (10, Coroutine, 4_000.0, 50.0),
        (1_000, Thread, 10_000.0, 35.0),
        (1_000, Coroutine, 8_000.0, 45.0),
    ]);
    use Finding::NotHere;
    assert_finding(&verdicts, "switching eats", NotHere, "1,000: 2.10 kernel switches and 35.0 µs");
    assert_finding(&verdicts, "few users", NotHere, "0.80 times");
    assert_finding(&verdicts, "The more threads", NotHere, "1,000 users: 0.80 times");
    assert_finding(&verdicts, "I/O-heavy", NotHere, "0.80 times");
    assert!(in_short.contains("with 1,000 users coroutines made 0.80 times the payments/s"), "{in_short}");
    assert!(in_short.contains("1.29 times the CPU"), "{in_short}");
}

#[test]
fn no_difference_anywhere() {
    let (verdicts, in_short) = judge(&[
        (10, Thread, 5_000.0, 40.0),
        (10, Coroutine, 5_010.0, 40.1),
        (1_000, Thread, 10_000.0, 40.0),
        (1_000, Coroutine, 10_010.0, 40.1),
    ]);
    use Finding::{Holds, NotHere};
    assert_finding(&verdicts, "few users", Holds, "");
    assert_finding(&verdicts, "The more threads", NotHere, "1,000 users: no difference");
    assert_finding(&verdicts, "I/O-heavy", NotHere, "no difference in payments/s, at the same CPU");
    assert!(
        in_short.contains(
            "coroutines and threads were equally fast within the spread; coroutines took the same CPU"
        ),
        "{in_short}"
    );
}

#[test]
fn the_same_speed_with_less_cpu_is_said_to_hold_in_part() {
    let (verdicts, _) = judge(&[(1_000, Thread, 10_000.0, 60.0), (1_000, Coroutine, 10_010.0, 30.0)]);
    assert_finding(&verdicts, "I/O-heavy", Finding::InPart, "at 0.50 times the threads' CPU per payment");
    assert_finding(&verdicts, "I/O-heavy", Finding::InPart, "(limited by: ledger, both)");
}

#[test]
fn an_advantage_that_shrinks_holds_in_part() {
    let (verdicts, _) = judge(&[
        (10, Thread, 5_000.0, 40.0),
        (10, Coroutine, 10_000.0, 20.0),
        (1_000, Thread, 10_000.0, 40.0),
        (1_000, Coroutine, 15_000.0, 30.0),
    ]);
    assert_finding(&verdicts, "The more threads", Finding::InPart, "10 users: 2.00 times");
}

#[test]
fn one_plan_alone_claims_nothing_about_the_other() {
    let (verdicts, in_short) = judge(&[(10, Coroutine, 5_000.0, 40.0), (1_000, Coroutine, 10_000.0, 30.0)]);
    use Finding::{InPart, NotMeasured};
    for claim in ["at least 4 MB", "39 GB", "switching eats", "few users", "The more threads", "I/O-heavy"] {
        assert_finding(&verdicts, claim, NotMeasured, "");
    }
    assert_finding(&verdicts, "needs only KB", InPart, "threads were not measured");
    assert_finding(&verdicts, "fit into 8 GB", NotMeasured, "threads were not measured");
    assert!(
        in_short.starts_with("In short: 1,000 users under coroutine made 10,000 payments/s"),
        "{in_short}"
    );
    assert!(in_short.contains("no other plan"), "{in_short}");
}

#[test]
fn one_round_proves_nothing() {
    let cells = vec![
        sample::cell(1, 10, Thread, 5_000.0, 40.0),
        sample::cell(1, 10, Coroutine, 6_000.0, 40.0),
        sample::cell(1, 1_000, Thread, 5_000.0, 80.0),
        sample::cell(1, 1_000, Coroutine, 9_000.0, 40.0),
    ];
    let (verdicts, in_short) = judge_with(&[], |method| method.rounds = 1, cells);
    for claim in ["switching eats", "few users", "The more threads", "I/O-heavy"] {
        assert_finding(&verdicts, claim, Finding::NotMeasured, "One round proves nothing");
    }
    assert!(in_short.contains("in one round, which proves nothing"), "{in_short}");
}

#[test]
fn threads_that_do_not_fit_into_the_limit_are_the_texts_story() {
    let of =
        [(10, Thread, 5_000.0, 40.0), (10, Coroutine, 5_000.0, 40.0), (10_000, Coroutine, 20_000.0, 30.0)];
    let more = vec![impossible(10_000, Thread, "thread creation failed at 2,010")];
    let (verdicts, in_short) = judge_with(&of, |method| method.memory_limit_bytes = Some(8 << 30), more);
    assert_finding(&verdicts, "39 GB", Finding::Holds, "8.00 GiB of addresses allowed, 10,000 threads");
    assert_finding(&verdicts, "39 GB", Finding::Holds, "thread creation failed at 2,010");
    assert!(in_short.ends_with("Not run here: 10,000 threads."), "{in_short}");
}

#[test]
fn threads_of_several_megabytes_make_the_texts_right() {
    let mut cells = sample::rounds(AHEAD);
    for cell in &mut cells {
        if let (Thread, Outcome::Measured(measurement)) = (cell.plan, &mut cell.outcome) {
            measurement.figures.touched_bytes = Some(f64::from(cell.users) * 5e6);
        }
    }
    let (verdicts, _) = judge_with(&[], |_| {}, cells);
    assert_finding(&verdicts, "at least 4 MB", Finding::Holds, "touches 4.77 MiB");
    assert_finding(&verdicts, "39 GB", Finding::Holds, "46.6 GiB touched");
    assert_finding(&verdicts, "needs only KB", Finding::Holds, "");
}

#[test]
fn small_stacks_make_the_texts_wrong() {
    let mut cells = sample::rounds(AHEAD);
    for cell in &mut cells {
        if let (Thread, Outcome::Measured(measurement)) = (cell.plan, &mut cell.outcome) {
            measurement.figures.reserved_bytes = Some(f64::from(cell.users) * 65_536.0);
        }
    }
    let (verdicts, _) = judge_with(&[], |_| {}, cells);
    assert_finding(&verdicts, "at least 4 MB", Finding::NotHere, "reserves 64.0 KiB");
    assert_finding(&verdicts, "39 GB", Finding::NotHere, "either way");
}

#[test]
fn ten_thousand_are_computed_from_fewer_and_it_is_said() {
    let (verdicts, _) = judge(&[(10, Thread, 5_000.0, 40.0), (1_000, Thread, 5_000.0, 40.0)]);
    assert_finding(&verdicts, "39 GB", Finding::InPart, "(computed from 1,000)");
}

#[test]
fn few_users_say_nothing_about_memory() {
    let (verdicts, _) = judge(&[(10, Thread, 5_000.0, 40.0), (100, Thread, 5_000.0, 40.0)]);
    assert_finding(&verdicts, "at least 4 MB", Finding::NotMeasured, "1,000 or more");
}

#[test]
fn cpu_bound_work_has_a_claim_of_its_own() {
    let cpu = |method: &mut Method| method.work = Work::Cpu;
    let same = [(1_000, Thread, 9_000.0, 80.0), (1_000, Coroutine, 9_010.0, 80.0)];
    let (verdicts, _) = judge_with(&same, cpu, Vec::new());
    assert_finding(&verdicts, "only help in I/O-bound", Finding::Holds, "no difference in payments/s");
    assert!(!verdicts.iter().any(|verdict| verdict.claim.contains("I/O-heavy")));
    let ahead = [(1_000, Thread, 9_000.0, 80.0), (1_000, Coroutine, 12_000.0, 60.0)];
    let (verdicts, _) = judge_with(&ahead, cpu, Vec::new());
    assert_finding(&verdicts, "only help in I/O-bound", Finding::NotHere, "1.33 times");
}

#[test]
fn the_control_can_be_what_threads_are_compared_with() {
    let (_, in_short) = judge(&[(100, Thread, 5_000.0, 41.0), (100, Std, 5_000.0, 40.9)]);
    assert!(
        in_short.starts_with(
            "In short: with 100 users std threads and threads were equally fast within the spread"
        ),
        "{in_short}"
    );
}

#[test]
fn nothing_measured_is_said_with_its_reason() {
    let (_, in_short) = judge_with(&[], |_| {}, vec![impossible(10, Thread, "no room")]);
    assert_eq!(in_short, "In short: nothing could be measured: no room.");
    let (verdicts, in_short) = judge(&[]);
    assert_eq!(in_short, "In short: nothing was measured.");
    assert!(verdicts.iter().all(|verdict| verdict.finding == Finding::NotMeasured));
}

#[test]
fn books_that_do_not_balance_come_before_all_else() {
    let mut cells = sample::rounds(AHEAD);
    if let Outcome::Measured(measurement) = &mut cells[0].outcome {
        measurement.books.fault_count = 1;
    }
    let (_, in_short) = judge_with(&[], |_| {}, cells);
    assert_eq!(in_short, "In short: the books of 10 users under thread do not balance; nothing else counts.");
}

/// All four plans with two numbers of users.
const FOUR: &[(u32, Plan, f64, f64)] = &[
    (10, Process, 4_000.0, 60.0),
    (10, Thread, 5_000.0, 40.0),
    (10, Coroutine, 5_020.0, 39.8),
    (10, ProcessCoroutine, 5_010.0, 39.9),
    (1_000, Process, 6_000.0, 80.0),
    (1_000, Thread, 10_000.0, 60.0),
    (1_000, Coroutine, 20_000.0, 30.0),
    (1_000, ProcessCoroutine, 24_000.0, 28.0),
];

#[test]
fn the_weight_of_the_plans_is_told_by_memory_and_cpu() {
    use Finding::{Holds, InPart, NotMeasured};
    let (verdicts, in_short) = judge(FOUR);
    assert_finding(
        &verdicts,
        "too heavy",
        Holds,
        "0.98 MiB of memory with a process, 40.0 KiB with a thread",
    );
    assert_finding(&verdicts, "too heavy", Holds, "with 1,000 users: 80.0 µs, 60.0 µs and 30.0 µs");
    assert!(
        in_short.contains(
            "With 1,000 users processes made 0.60 times the payments/s of threads and took 1.33 times the CPU and "
        ),
        "{in_short}"
    );
    assert!(
        in_short.contains("coroutines in several processes made 2.40 times the payments/s"),
        "{in_short}"
    );

    let mut dear = FOUR.to_vec();
    dear[6].3 = 90.0;
    assert_finding(&judge(&dear).0, "too heavy", InPart, "80.0 µs, 60.0 µs and 90.0 µs");
    assert_finding(&judge(AHEAD).0, "too heavy", NotMeasured, "needs processes");
    assert_finding(&judge(AHEAD).0, "several processes", NotMeasured, "needs process+coroutine");
}

#[test]
fn processes_with_coroutines_are_held_against_coroutines_in_one() {
    use Finding::{Holds, InPart, NotHere};
    assert_finding(&judge(FOUR).0, "several processes", Holds, "1.20 times the payments/s");
    let mut same = FOUR.to_vec();
    same[7].2 = 20_050.0;
    assert_finding(&judge(&same).0, "several processes", InPart, "as many payments/s");
    same[7].2 = 15_000.0;
    assert_finding(&judge(&same).0, "several processes", NotHere, "0.75 times");
}
