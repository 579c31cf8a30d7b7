//! `ropewalk compare`: 10, 100, 1,000 and 10,000 people pay at once, under each plan.
//!
//! ```text
//!   args ─> mod ──> cell ─┬─> server  (ropewalk serve, a child)      what is run
//!            │            ├─> client  (ropewalk load, a child)
//!            │            └─> books   (the ledger held against the users' journal)
//!            │
//!            └──> result ─┬─> rows, statistics, verdict              what is concluded, pure functions
//!                         └─> table, json, report                    what is shown
//! ```
//!
//! `README.md` beside this file tells the method and the JSON.

mod args;
mod books;
mod cell;
mod child;
mod client;
mod disk;
mod limiter;
pub(crate) mod limits;
mod measure;
pub(crate) mod plan;
mod report;
mod result;
mod rows;
#[cfg(test)]
mod sample;
mod server;
mod table;
mod verdict;

use std::error::Error;

pub(crate) use args::Args;

use crate::compare::args::Settings;
use crate::compare::cell::CellOptions;
use crate::compare::disk::Disk;
use crate::compare::limits::Need;
use crate::compare::plan::Plan;
use crate::compare::result::{Cell, Comparison, Method, Outcome, SCHEMA};
use crate::exit_code::ExitCode;
use crate::interrupt::Interrupt;
use crate::logging::complain;
use crate::machine::Machine;
use crate::machine::limits::Limits;
use crate::output::Output;
use crate::size::Size;
use crate::{files, format};

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    let settings = match Settings::new(args) {
        Ok(settings) => settings,
        Err(message) => {
            complain("ropewalk compare", &message);
            return Ok(ExitCode::Usage);
        }
    };
    let interrupt = Interrupt::listen()?;
    crate::load::raise_descriptors();
    let machine = Machine::inspect()?;
    let disk = Disk::inspect(&settings.directory)?;
    let schedule = schedule(&settings.method);
    let mut output = Output::new(schedule.len() as u64);
    output
        .write(&(table::heading(&machine, &disk, &settings.method) + &foreseen(&settings.method) + "\n"))?;
    let cells =
        run_cells(&settings, &settings.cell_options(&machine, &disk), &schedule, &interrupt, &mut output)?;
    output.finish();
    let comparison = conclude(&settings, machine, disk, cells, interrupt.is_set());
    show(&comparison, &mut output)?;
    if let Some(path) = &settings.json {
        let mut json = serde_json::to_vec_pretty(&comparison)?;
        json.push(b'\n');
        files::save(path, &json)?;
    }
    if let Some(path) = &settings.report {
        files::save(path, report::page(&comparison).as_bytes())?;
    }
    Ok(exit_code(&comparison))
}

/// The cells in the order in which they are run: round by round, so that a machine that changes its speed treats the
/// plans alike; within a round by users, the order of the plans rotated from round to round.
fn schedule(method: &Method) -> Vec<(u32, u32, Plan)> {
    let mut schedule = Vec::new();
    for round in 1..=method.rounds {
        let mut plans = method.plans.clone();
        let turn = (round as usize - 1) % plans.len().max(1);
        plans.rotate_left(turn);
        for &users in &method.users {
            schedule.extend(plans.iter().map(|&plan| (round, users, plan)));
        }
    }
    schedule
}

/// What this machine will not run, told before minutes have passed: someone may want to mend it first.
fn foreseen(method: &Method) -> String {
    let limits = Limits::read();
    let mut text = String::new();
    for &users in &method.users {
        for &plan in &method.plans {
            if let Some(obstacle) = need(method, plan, users).obstacle(&limits) {
                text += &table::foreseen(plan, users, &obstacle);
            }
        }
    }
    text
}

fn need(method: &Method, plan: Plan, users: u32) -> Need {
    Need::new(plan, users, Size::from_bytes(method.thread_stack_bytes), method.process_users)
}

/// Runs the cells until the end, Ctrl-C, or until nobody wants the results any more.
fn run_cells(
    settings: &Settings,
    options: &CellOptions,
    schedule: &[(u32, u32, Plan)],
    interrupt: &Interrupt,
    output: &mut Output,
) -> Result<Vec<Cell>, Box<dyn Error>> {
    let mut cells = Vec::new();
    for &(round, users, plan) in schedule {
        let wanted = !output.is_closed() || settings.json.is_some() || settings.report.is_some();
        if interrupt.is_set() || !wanted {
            break;
        }
        output.progress(format!("{} users, {plan}", format::thousands(users.into())));
        // Asked again: memory and threads come and go.
        let outcome = match need(&settings.method, plan, users).obstacle(&Limits::read()) {
            Some(obstacle) => Some(Outcome::Impossible(obstacle)),
            None => cell::run(plan, users, options, interrupt),
        };
        let Some(outcome) = outcome else { break };
        let cell = Cell { round, users, plan, outcome };
        output.write(&(table::cell_line(&cell, &settings.method) + "\n"))?;
        if settings.verbose {
            output.write(&table::processes(&cell))?;
        }
        output.step();
        cells.push(cell);
    }
    Ok(cells)
}

fn conclude(
    settings: &Settings,
    machine: Machine,
    disk: Disk,
    cells: Vec<Cell>,
    interrupted: bool,
) -> Comparison {
    let method = settings.method.clone();
    let rows = rows::rows(&method, &cells);
    Comparison {
        schema: SCHEMA,
        command: settings.command.clone(),
        pairs: rows::pairs(&method, &cells),
        verdicts: verdict::verdicts(&method, &rows),
        in_short: verdict::in_short(&method, &rows),
        others: rows::others(&cells, machine.processors),
        method,
        cells,
        rows,
        machine,
        disk,
        interrupted,
    }
}

fn show(comparison: &Comparison, output: &mut Output) -> Result<(), Box<dyn Error>> {
    let method = &comparison.method;
    if comparison.interrupted {
        output.write("\nInterrupted: this is what was finished.\n")?;
    }
    output.write(&table::tables(method, &comparison.rows))?;
    output.write(&table::noise(comparison.others))?;
    output.write(&table::pairs(method, &comparison.pairs))?;
    output.write(&table::faults(&comparison.cells))?;
    output.write(&crate::verdict::to_text(&comparison.verdicts))?;
    output.write_last_line(&comparison.in_short)?;
    Ok(())
}

/// Interrupted comes first: whoever pressed Ctrl-C knows that something is missing.
fn exit_code(comparison: &Comparison) -> ExitCode {
    let failed = comparison.cells.iter().any(|cell| match &cell.outcome {
        Outcome::Measured(measurement) => !measurement.books.balance(),
        Outcome::Broken { .. } => true,
        Outcome::Impossible(_) => false,
    });
    match (comparison.interrupted, failed) {
        (true, _) => ExitCode::Interrupted,
        (false, true) => ExitCode::Failure,
        (false, false) => ExitCode::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::plan::Plan::{Coroutine, Thread};

    #[test]
    fn rounds_are_interleaved_and_the_plans_take_turns_to_be_first() {
        let mut method = sample::method(&[Thread, Coroutine], &[10, 100]);
        method.rounds = 2;
        assert_eq!(
            schedule(&method),
            [
                (1, 10, Thread),
                (1, 10, Coroutine),
                (1, 100, Thread),
                (1, 100, Coroutine),
                (2, 10, Coroutine),
                (2, 10, Thread),
                (2, 100, Coroutine),
                (2, 100, Thread),
            ]
        );
    }

    #[test]
    fn the_exit_code_says_what_counts_most() {
        let method = sample::method(&[Thread], &[10]);
        let mut comparison = sample::comparison(method, sample::rounds(&[(10, Thread, 1e3, 40.0)]));
        assert_eq!(exit_code(&comparison), ExitCode::Success);
        if let Outcome::Measured(measurement) = &mut comparison.cells[0].outcome {
            measurement.books.fault_count = 1;
        }
        assert_eq!(exit_code(&comparison), ExitCode::Failure);
        comparison.interrupted = true;
        assert_eq!(exit_code(&comparison), ExitCode::Interrupted);
    }
}
