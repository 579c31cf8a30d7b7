//! The page: the pictures as SVG, the figures, and what differs.

use std::fmt::Write as _;

use crate::duration::{exact, seconds};
use crate::format;
use crate::report::scale::{Scale, Spacing};
use crate::report::svg::{Anchor, Svg, escape};
use crate::report::{Page, facts, note};
use crate::slices::differences::differences;
use crate::slices::gantt::{self, Piece};
use crate::slices::model::{Parameters, Run, letter};
use crate::slices::real::Real;
use crate::slices::show;

/// The size of a picture; the page scales it.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 34.0;
const LANE: f64 = 30.0;
const BOTTOM: f64 = 30.0;
/// Tasks have colours in turn.
const COLOURS: usize = 6;
/// A lane with more pieces is drawn by columns, each with what took most of it.
const PIECES_MAX: usize = 2_000;

/// The whole page.
pub(crate) fn page(parameters: &Parameters, runs: &[Run], real: Option<&Real>) -> String {
    let mut page = Page::new(
        "Ropewalk: time slices",
        &format!("Ropewalk {}", env!("CARGO_PKG_VERSION")),
        "Time slices: threads, coroutines, one core and several",
        show::heading(parameters).split_whitespace().collect::<Vec<_>>().join(" ").as_str(),
    );
    let span = runs.iter().map(|run| run.total_ns).max().unwrap_or(0);
    let drawings: String = runs.iter().map(|run| figure(&simulated(parameters, run, span))).collect();
    page.section("In virtual time", &drawings);
    page.push(&note(&show::in_short(parameters, runs)));
    page.section("All figures", &table(parameters, runs));
    if let Some(real) = real {
        let span = real.runs.iter().map(|run| run.total_ns).max().unwrap_or(0);
        let drawing = |run| {
            let lanes = show::real_pieces(run);
            let names: Vec<String> = (0..lanes.len()).map(|task| letter(task).to_string()).collect();
            let cpus = if run.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", run.cpus) };
            let total = format::time(run.total_ns as f64 / 1e3);
            draw(&format!("{cpus}, {}: {total}", run.way.name()), &names, &lanes, span)
        };
        let drawings: String = real.runs.iter().map(|run| figure(&drawing(run))).collect();
        page.section("For real, on a small scale", &drawings);
        page.push(&note(
            "As the tasks saw it: a task that finds that time has passed without it notes a gap.",
        ));
        page.section("Measured", &measured(real));
        let mut list = "<ul>\n".to_owned();
        for difference in differences(parameters, runs, real) {
            let _ = writeln!(list, "<li>{}</li>", escape(&difference));
        }
        page.section("What differs, and why", &(list + "</ul>\n"));
    }
    page.finish()
}

fn figure(svg: &str) -> String {
    format!("<figure class=\"gantt\">\n{svg}</figure>\n")
}

fn simulated(parameters: &Parameters, run: &Run, span_ns: u64) -> String {
    let lanes = show::pieces(run);
    let names: Vec<String> = (1..=lanes.len()).map(|core| format!("core {core}")).collect();
    let cores = if run.cores == 1 { "1 core".to_owned() } else { format!("{} cores", run.cores) };
    let mut title = format!("{cores}, {}: {}", run.policy.name(), run.sum(parameters));
    if let Some(said) = run.in_the_text {
        let _ = write!(title, " (the text: {said} s)");
    }
    draw(&title, &names, &lanes, span_ns)
}

/// A picture: a lane for each name.
fn draw(title: &str, names: &[String], lanes: &[Vec<Piece>], span_ns: u64) -> String {
    let bottom = TOP + LANE * lanes.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + BOTTOM, title);
    svg.text("title", (LEFT, 20.0), Anchor::Start, title);
    let (unit_ns, unit) = gantt::unit(span_ns);
    let width = WIDTH - LEFT - RIGHT;
    let place = |nanos: f64| LEFT + nanos / span_ns.max(1) as f64 * width;
    for &tick in Scale::new(Spacing::Linear, [span_ns as f64 / unit_ns], 0.0, 1.0).ticks() {
        let x = place(tick * unit_ns);
        if x <= WIDTH - RIGHT + 0.5 {
            svg.line("grid", (x, TOP), (x, bottom));
            svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &format!("{} {unit}", format::tick(tick)));
        }
    }
    for (number, (name, pieces)) in names.iter().zip(lanes).enumerate() {
        let top = TOP + LANE * number as f64 + 3.0;
        svg.text("tick", (LEFT - 8.0, top + LANE / 2.0), Anchor::End, name);
        let drawn =
            if pieces.len() > PIECES_MAX { &gantt::merged(pieces, span_ns, PIECES_MAX) } else { pieces };
        for piece in drawn {
            let (x, end) = (place(piece.start_ns as f64), place(piece.end_ns as f64));
            let (class, what) = match piece.task {
                Some(task) => (format!("task-{}", task % COLOURS), letter(task).to_string()),
                None => ("switch".to_owned(), "switch".to_owned()),
            };
            let told = format!("{what}: {} to {}", exact(piece.start_ns), exact(piece.end_ns));
            svg.rectangle(&class, (x, top), (end - x, LANE - 6.0), &told);
            if end - x > 14.0 && piece.task.is_some() {
                svg.text("piece", (f64::midpoint(x, end), top + LANE / 2.0 + 1.0), Anchor::Middle, &what);
            }
        }
    }
    svg.finish()
}

fn table(parameters: &Parameters, runs: &[Run]) -> String {
    let mut html = "<div class=\"scroll\"><table>\n<thead><tr><th>cores</th><th class=\"left\">run by</th><th>total, s</th>\
                    <th>switches</th><th>switching, s</th><th>task</th><th>work, s</th><th>first runs, s</th>\
                    <th>done, s</th><th>waited, s</th></tr></thead>\n<tbody>\n"
        .to_owned();
    for run in runs {
        for (number, task) in run.tasks.iter().enumerate() {
            let once = |text: String| if number == 0 { text } else { String::new() };
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td class=\"left\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
                 <td>{}</td><td>{}</td><td>{}</td></tr>",
                once(run.cores.to_string()),
                once(run.policy.name().to_owned()),
                once(seconds(run.total_ns)),
                once(format::thousands(run.switches)),
                once(seconds(run.switching_ns())),
                task.name,
                seconds(task.work_ns),
                seconds(task.started_ns),
                seconds(task.finished_ns),
                seconds(task.waited_ns),
            );
        }
    }
    html += "</tbody></table></div>\n";
    if parameters.work_ns.len() > 1 {
        html += &note("All tasks are there from the start, in the order of their letters.");
    }
    html
}

fn measured(real: &Real) -> String {
    let time = |nanos: f64| format::time(nanos / 1e3);
    let none = || "not measured".to_owned();
    let mut rows = vec![
        ("A slice of the kernel's", real.slice_ns.map_or_else(none, time)),
        ("A switch between threads", real.kernel_switch_ns.map_or_else(none, time)),
        ("A switch between coroutines", time(real.coroutine_switch_ns)),
    ];
    rows.extend(real.runs.iter().map(|run| {
        let value = format!(
            "{} CPUs: {} in all, {} of CPU time, {} switches by the kernel, {} by coroutines",
            run.cpus,
            time(run.total_ns as f64),
            time(run.cpu_ns as f64),
            format::thousands(run.kernel_switches()),
            format::thousands(run.coroutine_switches)
        );
        (run.way.name(), value)
    }));
    facts(rows)
}
