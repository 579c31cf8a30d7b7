//! `ropewalk costs`: what processes, threads and coroutines cost on this machine, beside what the texts say of it.
//!
//! ```text
//! args ──> method ──> cell (what is measured) ──> obstacle (what cannot be) ──> child (a process for each cell)
//!                                                                                 └─> measure (how, cell by cell)
//! result (rounds put together) ──> verdict ──┬─> table, page (text, HTML)
//!                                            └─> JSON
//! ```
//!
//! `README.md` beside this file tells the method and the JSON.

use std::error::Error;

use crate::exit_code::ExitCode;
use crate::files;
use crate::interrupt::Interrupt;
use crate::logging::complain;
use crate::machine::Machine;
use crate::machine::limits::Limits;
use crate::output::Output;

mod args;
mod cell;
mod child;
mod measure;
mod mechanism;
mod method;
mod obstacle;
mod page;
mod result;
#[cfg(test)]
mod sample;
mod table;
mod verdict;

pub(crate) use args::Args;

use self::args::Settings;
use self::cell::{Cell, cells};
use self::method::Method;
use self::result::{Costs, Outcome, Row, SCHEMA};

/// Runs the command.
///
/// # Errors
/// No runtime can be built, or something cannot be written; but nothing when whoever read standard output has gone.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let settings = match Settings::new(args) {
        Ok(settings) => settings,
        Err(message) => {
            complain("ropewalk costs", &message);
            return Ok(ExitCode::Usage);
        }
    };
    let interrupt = Interrupt::listen()?;
    crate::load::raise_descriptors();
    let machine = Machine::inspect()?;
    let cells = cells(&settings.method);
    let mut output = Output::new(cells.len() as u64 * u64::from(settings.method.rounds));
    output.write(&table::heading(&machine, &settings.method))?;
    let outcomes = measure_all(&settings, &cells, &interrupt, &output);
    output.finish();
    let costs = conclude(machine, settings.method.clone(), &cells, &outcomes, interrupt.is_set());
    if costs.interrupted {
        output.write("\nInterrupted: this is what was finished.\n")?;
    }
    output.write(&table::tables(&costs))?;
    output.write(&table::noise(&costs))?;
    output.write(&crate::verdict::to_text(&costs.verdicts))?;
    output.write_last_line(&costs.in_short)?;
    if let Some(path) = &settings.json {
        let mut json = serde_json::to_vec_pretty(&costs)?;
        json.push(b'\n');
        files::save(path, &json)?;
    }
    if let Some(path) = &settings.report {
        files::save(path, page::page(&costs).as_bytes())?;
    }
    Ok(exit_code(&costs))
}

/// Every cell in every round, until the end or Ctrl-C. Every other round goes backwards, so that a machine that grows
/// warm, or busy, in the course of a round treats all cells alike.
fn measure_all(
    settings: &Settings,
    cells: &[Cell],
    interrupt: &Interrupt,
    output: &Output,
) -> Vec<Vec<Outcome>> {
    let method = &settings.method;
    let mut outcomes = vec![Vec::new(); cells.len()];
    for round in 0..method.rounds {
        for place in 0..cells.len() {
            let index = if round % 2 == 0 { place } else { cells.len() - 1 - place };
            if interrupt.is_set() {
                return outcomes;
            }
            let cell = cells[index];
            output.progress(cell.to_string());
            // Asked again: memory and processes come and go.
            let outcome = match obstacle::obstacle(cell, method, &Limits::read()) {
                Some(reason) => Some(Outcome::Impossible(reason)),
                None => child::run(cell, method, interrupt),
            };
            let Some(outcome) = outcome else { return outcomes };
            outcomes[index].push(outcome);
            output.step();
        }
    }
    outcomes
}

fn conclude(
    machine: Machine,
    method: Method,
    cells: &[Cell],
    outcomes: &[Vec<Outcome>],
    interrupted: bool,
) -> Costs {
    let rows: Vec<Row> =
        cells.iter().zip(outcomes).map(|(&cell, outcomes)| Row::of(cell, outcomes)).collect();
    Costs {
        schema: SCHEMA,
        machine,
        others: result::others(&rows),
        verdicts: verdict::verdicts(&method, &rows),
        in_short: verdict::in_short(&rows),
        method,
        rows,
        interrupted,
    }
}

/// Interrupted comes first: whoever pressed Ctrl-C knows that something is missing.
fn exit_code(costs: &Costs) -> ExitCode {
    match (costs.interrupted, costs.rows.iter().any(|row| row.broken.is_some())) {
        (true, _) => ExitCode::Interrupted,
        (false, true) => ExitCode::Failure,
        (false, false) => ExitCode::Success,
    }
}
