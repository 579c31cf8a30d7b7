//! The results as text for 80 columns.

use std::fmt::Write as _;

use comfy_table::CellAlignment::{Left, Right};

use crate::duration::exact;
use crate::format;
use crate::slices::differences::differences;
use crate::slices::gantt::{self, Piece};
use crate::slices::model::{Parameters, Policy, Run, Segment, letter};
use crate::slices::real::{Real, RealRun, Way};
use crate::text::{WIDTH, show, table, wrap};

/// Before each line of a picture: the core.
const MARGIN: usize = 3;
/// The pictures leave room for the axis' unit.
const COLUMNS: usize = WIDTH - MARGIN - 4;
/// Turns are shorter than a column of the whole picture: so much of it is shown again.
const CLOSE_NS: u64 = 50_000_000;
/// So many tasks have columns of their own.
const TASKS_SHOWN: usize = 3;
/// The longest figure of a table.
const FIGURE_WIDTH: usize = 6;

/// What is simulated, in a sentence or two.
pub(crate) fn heading(parameters: &Parameters) -> String {
    let work = &parameters.work_ns;
    let letters: Vec<String> = (0..work.len()).map(|task| letter(task).to_string()).collect();
    let same = work.iter().all(|other| *other == work[0]);
    let tasks = match (work.len(), same) {
        (1, _) => format!("Task A of {}", exact(work[0])),
        (count, true) if count <= TASKS_SHOWN => {
            format!("Tasks {} of {} each", letters.join(", "), exact(work[0]))
        }
        (count, true) => format!("{count} tasks of {} each", exact(work[0])),
        (_, false) => {
            let each = letters.iter().zip(work).map(|(letter, &work)| format!("{letter} of {}", exact(work)));
            format!("Tasks {}", each.collect::<Vec<_>>().join(", "))
        }
    };
    let heading = format!(
        "{tasks}; time slices of {}; {} for each switch.",
        exact(parameters.slice_ns),
        exact(parameters.switch_cost_ns)
    );
    wrap(&heading, "") + "Simulated: each task is a coroutine of Ropewalk's, in virtual time, to the ns.\n"
}

/// The simulated runs: pictures, a table, and what it comes to.
pub(crate) fn simulated(parameters: &Parameters, runs: &[Run]) -> String {
    pictures(parameters, runs) + &times(runs) + &wrap(&in_short(parameters, runs), "")
}

/// A picture of each simulated run.
pub(crate) fn pictures(parameters: &Parameters, runs: &[Run]) -> String {
    let span = runs.iter().map(|run| run.total_ns).max().unwrap_or(0);
    let mut text = String::new();
    for run in runs {
        let title = format!("{}, {}: {}", cores(run.cores), run.policy.name(), run.sum(parameters));
        let said = said(parameters, run);
        let line = format!("{title}{said:>width$}", width = WIDTH.saturating_sub(title.len()));
        let _ = writeln!(text, "\n{}", line.trim_end());
        text += &picture(&pieces(run), run.cores, span);
    }
    let _ = writeln!(text, "{:MARGIN$}{}", "", gantt::axis(span, COLUMNS));
    text + &legend(parameters, span)
}

/// What the text says of it, where it speaks of these very tasks.
fn said(parameters: &Parameters, run: &Run) -> String {
    match run.in_the_text {
        Some(seconds) => format!("the text: {seconds} s"),
        None if parameters.in_the_text(Policy::Threads, run.cores).is_some() => "not in the text".to_owned(),
        None => String::new(),
    }
}

fn cores(cores: usize) -> String {
    if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") }
}

/// What each core of a run does.
pub(crate) fn pieces(run: &Run) -> Vec<Vec<Piece>> {
    let mut cores = vec![Vec::new(); run.policy.uses(run.cores)];
    for &Segment { core, task, switch, start_ns, end_ns } in &run.segments {
        cores[core].push(Piece { task: (!switch).then_some(task), start_ns, end_ns });
    }
    cores.retain(|pieces| !pieces.is_empty());
    cores
}

/// A line for each core that does something, and how many do not.
fn picture(cores: &[Vec<Piece>], all: usize, span_ns: u64) -> String {
    let mut text = String::new();
    for (number, pieces) in cores.iter().enumerate() {
        let margin = if all > 1 { format!("{:>2} ", number + 1) } else { " ".repeat(MARGIN) };
        let _ = writeln!(text, "{margin}{}", gantt::line(pieces, span_ns, COLUMNS));
    }
    match all - cores.len() {
        0 => {}
        1 => {
            let _ = writeln!(text, "{all:>2} idle");
        }
        idle => {
            let _ = writeln!(text, "   ({idle} cores are idle)");
        }
    }
    text
}

fn legend(parameters: &Parameters, span_ns: u64) -> String {
    let column = span_ns / COLUMNS as u64;
    if parameters.slice_ns < column {
        wrap("A column is wider than a slice: it shows who had most of it.", "")
    } else if parameters.switch_cost_ns > 0 {
        "| is a switch.\n".to_owned()
    } else {
        String::new()
    }
}

/// When the tasks are done.
fn times(runs: &[Run]) -> String {
    let tasks = runs.first().map_or(0, |run| run.tasks.len());
    let names: Vec<String> = (0..tasks).map(|task| format!("{}\ndone", letter(task))).collect();
    let mut columns = vec![("cores", Right), ("run by", Left), ("total", Right), ("switches", Right)];
    if tasks <= TASKS_SHOWN {
        columns.extend(names.iter().map(|name| (name.as_str(), Right)));
    } else {
        columns.push(("first\ndone", Right));
    }
    columns.extend([("mean\ndone", Right), ("mean\nwaiting", Right)]);
    let mut table = table(&columns);
    let (unit_ns, unit) = gantt::unit(runs.iter().map(|run| run.total_ns).max().unwrap_or(0));
    for run in runs {
        let mut times = vec![run.total_ns];
        let done = run.tasks.iter().map(|task| task.finished_ns);
        if tasks <= TASKS_SHOWN {
            times.extend(done);
        } else {
            times.extend(done.min());
        }
        times.extend([run.mean(|task| task.finished_ns), run.mean(|task| task.waited_ns)]);
        let mut cells: Vec<String> = times.into_iter().map(|time| figure(time, unit_ns)).collect();
        cells.insert(1, run.switches.to_string());
        table.add_row([run.cores.to_string(), run.policy.short_name().to_owned()].into_iter().chain(cells));
    }
    format!("\nWhen each task is done, in {unit}\n{}\n", show(&table))
}

/// A time in a column: exact where that is short, else to three digits that matter.
fn figure(nanos: u64, unit_ns: f64) -> String {
    let exact = (nanos as f64 / unit_ns).to_string();
    if exact.len() <= FIGURE_WIDTH { exact } else { format::short(nanos as f64 / unit_ns) }
}

/// What the simulation says, in a sentence or two; of the first number of cores.
pub(crate) fn in_short(parameters: &Parameters, runs: &[Run]) -> String {
    let of = |policy| runs.iter().find(|run| run.policy == policy);
    let (Some(threads), Some(coroutines)) = (of(Policy::Threads), of(Policy::OneThread)) else {
        return String::new();
    };
    if threads.cores > 1 || parameters.work_ns.len() < 2 {
        return String::new();
    }
    let last = |run: &Run| run.tasks.iter().map(|task| task.started_ns).max().unwrap_or(0);
    let cost = if threads.total_ns > coroutines.total_ns {
        format!(
            "Slices cost {} more on one core than running to the end: {} switches instead of {}.",
            exact(threads.total_ns - coroutines.total_ns),
            threads.switches,
            coroutines.switches
        )
    } else {
        "Slices cost nothing here.".to_owned()
    };
    let bought = if last(threads) < last(coroutines) {
        format!(
            " What they buy: the last task first runs after {} instead of {}.",
            exact(last(threads)),
            exact(last(coroutines))
        )
    } else {
        String::new()
    };
    cost + &bought
}

/// The same for real.
pub(crate) fn real(parameters: &Parameters, runs: &[Run], real: &Real) -> String {
    let span = real.runs.iter().map(|run| run.total_ns).max().unwrap_or(0);
    let mut text = "\n".to_owned()
        + &wrap(
            &format!(
                "The same for real, on a small scale: {} tasks of {} of work each, on {}.",
                parameters.work_ns.len(),
                exact(real.work_ns),
                match real.cpus.as_slice() {
                    [one] => format!("CPU {one}, the only one that this process may use"),
                    [one, two, ..] => format!("CPU {one}, and on CPUs {one} and {two}"),
                    [] => "no CPU".to_owned(),
                }
            ),
            "",
        );
    for run in &real.runs {
        let cpus = if run.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", run.cpus) };
        let total = format::time(run.total_ns as f64 / 1e3);
        let _ = writeln!(text, "\n{cpus}, {}: {total}", run.way.name());
        text += &lanes(&real_pieces(run), span);
        if run.cpus == 1 && matches!(run.way, Way::Threads | Way::Yielding) {
            let _ = writeln!(text, "   the first {} of that, closely:", exact(CLOSE_NS));
            text += &lanes(&real_pieces(run), CLOSE_NS);
        }
    }
    let _ = writeln!(text, "{:MARGIN$}{}", "", gantt::axis(span, COLUMNS));
    text += &measured(real);
    text += "\nWhat differs, and why\n";
    for difference in differences(parameters, runs, real) {
        text += &wrap(&format!("- {difference}"), "  ");
    }
    text
}

/// A line for each task.
fn lanes(tasks: &[Vec<Piece>], span_ns: u64) -> String {
    let line = |(task, pieces): (usize, &Vec<Piece>)| {
        format!(" {} {}\n", letter(task), gantt::line(pieces, span_ns, COLUMNS))
    };
    tasks.iter().enumerate().map(line).collect()
}

/// When each task was seen to run.
pub(crate) fn real_pieces(run: &RealRun) -> Vec<Vec<Piece>> {
    let pieces = |(index, ran): (usize, &Vec<(u64, u64)>)| {
        let piece = |&(start_ns, end_ns): &(u64, u64)| Piece { task: Some(index), start_ns, end_ns };
        ran.iter().map(piece).collect()
    };
    run.tasks.iter().map(|task| &task.ran).enumerate().map(pieces).collect()
}

fn measured(real: &Real) -> String {
    let mut table = table(&[
        ("CPUs", Right),
        ("run by", Left),
        ("total", Right),
        ("CPU time", Right),
        ("kernel's\nswitches", Right),
        ("of which\ntaken away", Right),
        ("coroutine\nswitches", Right),
    ]);
    for run in &real.runs {
        table.add_row([
            run.cpus.to_string(),
            run.way.name().to_owned(),
            format::time(run.total_ns as f64 / 1e3),
            format::time(run.cpu_ns as f64 / 1e3),
            format::thousands(run.kernel_switches()),
            format::thousands(run.involuntary_switches),
            format::thousands(run.coroutine_switches),
        ]);
    }
    format!("\n{}", show(&table))
}
