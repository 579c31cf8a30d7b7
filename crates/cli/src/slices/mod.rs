//! `ropewalk slices`: the time-slice arithmetic, simulated in virtual time and done for real.
//!
//! ```text
//! args ──> simulate (coroutines in virtual time) ──> model ──┬─> show, page (text, HTML) over gantt (who had a core when)
//!                                                            └─> JSON
//!          real (threads and coroutines on CPUs) ──> differences (what the arithmetic and the machine do not share)
//! ```
//!
//! `README.md` beside this file says how it is simulated and measured, and what the JSON holds.

use std::error::Error;
use std::io;

use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::logging::complain;
use crate::{files, output};

mod args;
mod differences;
mod gantt;
mod model;
mod page;
mod real;
mod show;
mod simulate;

pub(crate) use args::Args;

use self::args::Settings;
use self::model::{Parameters, Policy, Run};
use self::real::Real;

/// What `schema` says in the JSON.
const SCHEMA: u32 = 1;

/// Everything, as it is written to `--json`.
#[derive(Debug, Serialize)]
struct Slices<'a> {
    schema: u32,
    parameters: &'a Parameters,
    simulated: &'a [Run],
    real: Option<&'a Real>,
}

/// Runs the command.
///
/// # Errors
/// No runtime can be built, a thread cannot be started or pinned, or something cannot be written; but nothing when
/// whoever read standard output has gone.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let settings = match Settings::new(args) {
        Ok(settings) => settings,
        Err(message) => {
            complain("ropewalk slices", &message);
            return Ok(ExitCode::Usage);
        }
    };
    let parameters = &settings.parameters;
    let runs = simulate_all(parameters)?;
    output::print(&(show::heading(parameters) + &show::simulated(parameters, &runs)))?;
    let real = settings.real.then(|| Real::measure(parameters)).transpose()?;
    if let Some(real) = &real {
        output::print(&show::real(parameters, &runs, real))?;
    }
    if let Some(path) = &settings.json {
        let all = Slices { schema: SCHEMA, parameters, simulated: &runs, real: real.as_ref() };
        let mut json = serde_json::to_vec_pretty(&all)?;
        json.push(b'\n');
        files::save(path, &json)?;
    }
    if let Some(path) = &settings.html {
        files::save(path, page::page(parameters, &runs, real.as_ref()).as_bytes())?;
    }
    Ok(ExitCode::Success)
}

/// Prints the textbook's own sums, simulated, to standard output: for the tour.
///
/// # Panics
/// If no runtime can be built, or standard output cannot be written.
pub(crate) fn textbook() {
    let parameters = Parameters::textbook();
    let runs = simulate_all(&parameters).expect("a runtime can be built");
    print!("{}{}", show::heading(&parameters), show::pictures(&parameters, &runs));
}

/// Every policy on every number of cores. On one core a worker per core is one thread.
fn simulate_all(parameters: &Parameters) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for &cores in &parameters.cores {
        for policy in [Policy::Threads, Policy::OneThread, Policy::WorkerPerCore] {
            if cores > 1 || policy != Policy::WorkerPerCore {
                runs.push(simulate::simulate(parameters, policy, cores)?);
            }
        }
    }
    Ok(runs)
}
