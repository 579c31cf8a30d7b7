//! The page: four drawings, all figures with their spreads, the verdicts, machine and method.

use std::fmt::Write as _;

use crate::costs::cell::{
    CREATORS, Cell, Cpus, Creation, Creator, Exchange, How, Memory, PARTS, PLANS, Part, Plan, SWITCHES,
    Switch,
};
use crate::costs::mechanism::{MECHANISMS, Mechanism};
use crate::costs::method::SHORT;
use crate::costs::result::{Costs, Figure, Row, Rows};
use crate::costs::table;
use crate::format;
use crate::report::scale::{Scale, Spacing};
use crate::report::svg::{Anchor, Svg, escape};
use crate::report::{Page, facts, note};
use crate::statistics::Spread;
use crate::verdict::Finding;

/// The size of a drawing; the page scales it.
const WIDTH: f64 = 520.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 40.0;
const LANE: f64 = 30.0;
const BOTTOM: f64 = 30.0;

/// The whole page.
pub(crate) fn page(costs: &Costs) -> String {
    let in_short = costs.in_short.trim_start_matches("In short: ");
    let mut page = Page::new(
        "Ropewalk: what processes, threads and coroutines cost",
        &format!("Ropewalk {} \u{b7} {}", costs.machine.version, costs.machine.started),
        "What processes, threads and coroutines cost on this machine",
        &capitalised(in_short),
    );
    page.push(&warnings(costs));
    let drawings = [creation(costs), switch(costs), memory(costs), messages(costs)];
    let drawings: String = drawings.into_iter().flatten().collect();
    if !drawings.is_empty() {
        page.section("At a glance", &format!("<div class=\"grid\">\n{drawings}</div>\n"));
        page.push(&note("Logarithmic. Dots are medians of the rounds, bars the smallest and largest value."));
    }
    page.section("All figures", &PARTS.map(|part| figures(costs, part)).concat());
    page.section("What the texts say, and what this machine says", &verdicts(costs));
    page.section("Machine and method", &method(costs));
    page.finish()
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What a reader has to know before the first figure.
fn warnings(costs: &Costs) -> String {
    let mut html = String::new();
    let mut warn = |text: &str| {
        let _ = writeln!(html, "<p class=\"caution\">{}</p>", escape(text));
    };
    if costs.interrupted {
        warn("The run was interrupted; this is what was finished.");
    }
    if !costs.machine.release_build {
        warn("Made with a debug build: the figures mean little.");
    }
    let noise = table::noise(costs);
    if !noise.is_empty() {
        warn(&noise.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    html
}

/// A line of a drawing.
struct Lane {
    name: String,
    /// Its colour.
    plan: Plan,
    spread: Spread,
}

fn class(plan: Plan) -> &'static str {
    match plan {
        Plan::Process => "process",
        Plan::Thread => "thread",
        Plan::Coroutine => "coroutine",
    }
}

fn draw(title: &str, spacing: Spacing, show: fn(f64) -> String, lanes: &[Lane]) -> Option<String> {
    if lanes.is_empty() {
        return None;
    }
    let bottom = TOP + LANE * lanes.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + BOTTOM, title);
    svg.text("title", (8.0, 20.0), Anchor::Start, title);
    let values = lanes.iter().flat_map(|lane| [lane.spread.low, lane.spread.high]);
    let scale = Scale::new(spacing, values, LEFT, WIDTH - RIGHT);
    let ticks = scale.ticks();
    let step = ticks.len().div_ceil(5);
    for &tick in ticks.iter().step_by(step.max(1)) {
        let x = scale.place(tick);
        svg.line("grid", (x, TOP), (x, bottom));
        svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &tick_text(show, tick));
    }
    for (number, Lane { name, plan, spread }) in lanes.iter().enumerate() {
        let y = TOP + LANE * (number as f64 + 0.5);
        let class = class(*plan);
        let [low, at, high] = [spread.low, spread.median, spread.high].map(|value| scale.place(value));
        svg.text("tick", (LEFT - 10.0, y + 4.0), Anchor::End, name);
        svg.line(&format!("whisker {class}"), (low, y), (high, y));
        let value = show(spread.median);
        svg.dot(&format!("dot {class}"), (at, y), &format!("{name}: {value}"));
        svg.text(&format!("name {class}"), (high + 10.0, y + 4.0), Anchor::Start, &value);
    }
    Some(format!("<figure>\n{}</figure>\n", svg.finish()))
}

/// A value at a tick, without digits that are zero there anyway.
fn tick_text(show: fn(f64) -> String, value: f64) -> String {
    let text = show(value);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number} {unit}")
}

fn creation(costs: &Costs) -> Option<String> {
    let lane = |by: Creator| {
        let cell = Cell::Creation(Creation { by, together: 1, cpus: Cpus::One });
        let plan = match by {
            Creator::Command | Creator::Process | Creator::Pool => Plan::Process,
            Creator::Thread | Creator::StdThread => Plan::Thread,
            Creator::Coroutine => Plan::Coroutine,
        };
        let spread = Rows(&costs.rows).spread(cell, Figure::TimeNs)?;
        Some(Lane { name: by.name().to_owned(), plan, spread })
    };
    let lanes: Vec<Lane> = CREATORS.into_iter().filter_map(lane).collect();
    draw("To spawn and join an empty task, one CPU", Spacing::Decimal, table::time, &lanes)
}

fn switch(costs: &Costs) -> Option<String> {
    let lane = |(how, plan): (How, Plan)| {
        let cell = Cell::Switch(Switch { plan, how, working_set: 0 });
        let spread = Rows(&costs.rows).spread(cell, Figure::TimeNs)?;
        Some(Lane { name: format!("{plan}, {}", table::how(how, plan)), plan, spread })
    };
    let lanes: Vec<Lane> = SWITCHES.into_iter().filter_map(lane).collect();
    draw("To switch to another task, one way", Spacing::Decimal, table::time, &lanes)
}

fn memory(costs: &Costs) -> Option<String> {
    let mut lanes = Vec::new();
    for (what, figure) in [("touched", Figure::TouchedBytes), ("reserved", Figure::ReservedBytes)] {
        for plan in PLANS {
            let cell = Cell::Memory(Memory { plan, tasks: costs.method.parked(plan) });
            if let Some(spread) = Rows(&costs.rows).spread(cell, figure) {
                lanes.push(Lane { name: format!("{plan}, {what}"), plan, spread });
            }
        }
    }
    draw("One more task that waits", Spacing::Binary, format::bytes, &lanes)
}

fn messages(costs: &Costs) -> Option<String> {
    let lane = |mechanism: Mechanism| {
        let bytes = if mechanism.carries_bytes() { SHORT } else { 0 };
        let cell = Cell::Ipc(Exchange { mechanism, plan: Plan::Process, bytes, cpus: Cpus::One });
        let spread = Rows(&costs.rows).spread(cell, Figure::RoundTripNs)?;
        Some(Lane { name: mechanism.name().to_owned(), plan: Plan::Process, spread })
    };
    let lanes: Vec<Lane> = MECHANISMS.into_iter().filter_map(lane).collect();
    let title = "A message there and back between processes, one CPU";
    draw(title, Spacing::Decimal, table::time, &lanes)
}

/// A column: which figure, its name, how it is shown.
type Column = (Figure, &'static str, fn(f64) -> String);

fn count(number: f64) -> String {
    format::thousands(number.max(0.0) as u64)
}

fn columns(part: Part) -> &'static [Column] {
    match part {
        Part::Creation => &[
            (Figure::TimeNs, "a task", table::time),
            (Figure::KernelSwitches, "kernel's switches a task", format::short),
        ],
        Part::Switch => &[
            (Figure::TimeNs, "a switch and what is touched", table::time),
            (Figure::TouchingNs, "touching alone", table::time),
            (Figure::WithoutTouchingNs, "without touching", table::time),
            (Figure::KernelSwitches, "kernel's switches a switch", format::short),
            (Figure::OthersPart, "others on the CPU", table::percent),
        ],
        Part::Worst => &[
            (Figure::P50Ns, "half within", table::time),
            (Figure::P99Ns, "99 % within", table::time),
            (Figure::P9999Ns, "99.99 % within", table::time),
            (Figure::MaxNs, "longest", table::time),
            (Figure::Samples, "timed", count),
        ],
        Part::Memory => &[
            (Figure::TouchedBytes, "touched", format::bytes),
            (Figure::PrivateBytes, "of it its own", format::bytes),
            (Figure::ReservedBytes, "reserved", format::bytes),
        ],
        Part::Counter => &[
            (Figure::TimeNs, "an addition", table::time),
            (Figure::LostPart, "lost", table::percent),
            (Figure::Additions, "additions", count),
        ],
        Part::Ipc => &[
            (Figure::RoundTripNs, "there and back", table::time),
            (Figure::RoundTripCpuNs, "CPU time of it", table::time),
            (Figure::MessageNs, "one way", table::time),
            (Figure::MessageCpuNs, "CPU time of it", table::time),
            (Figure::BytesPerSecond, "in a second", format::bytes),
        ],
    }
}

fn part_of(cell: Cell) -> (Part, &'static str) {
    match cell {
        Cell::Creation(_) => (Part::Creation, "To spawn and join an empty task"),
        Cell::Switch(_) => (Part::Switch, "To switch, one way"),
        Cell::Worst(_) => (Part::Worst, "To switch there and back, each timed"),
        Cell::Memory(_) => (Part::Memory, "One more task that waits"),
        Cell::Counter(_) => (Part::Counter, "A counter that tasks share"),
        Cell::Ipc(_) => (Part::Ipc, "A message"),
    }
}

/// What was measured, in words.
fn described(cell: Cell) -> String {
    let on = |cpus| match cpus {
        Cpus::One => "one CPU",
        Cpus::Two => "two CPUs",
        Cpus::All => "all CPUs",
    };
    match cell {
        Cell::Creation(Creation { by, together: 1, cpus }) => {
            format!("{}, one at a time, {}", by.name(), on(cpus))
        }
        Cell::Creation(Creation { by, together, cpus }) => {
            format!("{}, batches of {}, {}", by.name(), format::thousands(together.into()), on(cpus))
        }
        Cell::Switch(Switch { plan, how, working_set }) => {
            format!("{plan}, {}, {} touched", table::how(how, plan), format::bytes(working_set.into()))
        }
        Cell::Worst(worst) => {
            let beside = if worst.hog { ", beside a hog" } else { "" };
            format!("{}, {}{beside}", worst.plan, table::how(worst.how, worst.plan))
        }
        Cell::Memory(memory) => format!("{}, of {}", memory.plan, format::thousands(memory.tasks.into())),
        Cell::Counter(counter) => {
            let guard = table::guard(counter.guard, counter.plan);
            format!("{}, guarded by {guard}, {} on {}", counter.plan, counter.tasks, on(counter.cpus))
        }
        Cell::Ipc(exchange) => format!("{cell}, {}", on(exchange.cpus)),
    }
}

/// The rows of a part, each figure with its spread.
fn figures(costs: &Costs, part: Part) -> String {
    let rows: Vec<&Row> = costs.rows.iter().filter(|row| part_of(row.cell).0 == part).collect();
    let Some(first) = rows.first() else { return String::new() };
    let columns = columns(part);
    let mut html = format!(
        "<div class=\"scroll\"><table>\n<thead><tr><th class=\"left\">{}</th>",
        part_of(first.cell).1
    );
    for (_, name, _) in columns {
        let _ = write!(html, "<th>{}</th><th>smallest to largest</th>", escape(name));
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        let _ = write!(html, "<tr><td class=\"left\">{}</td>", escape(&described(row.cell)));
        if row.figures.is_empty() {
            let why = row.obstacle.as_ref().or(row.broken.as_ref()).map_or("not measured", String::as_str);
            let _ = write!(html, "<td class=\"left\" colspan=\"{}\">{}</td>", columns.len() * 2, escape(why));
        } else {
            for &(figure, _, show) in columns {
                let (median, range) = row.spread(figure).map_or_else(Default::default, |spread| {
                    (show(spread.median), format!("{} - {}", show(spread.low), show(spread.high)))
                });
                let _ = write!(html, "<td>{}</td><td>{}</td>", escape(&median), escape(&range));
            }
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

fn verdicts(costs: &Costs) -> String {
    let mut html = "<dl class=\"verdicts\">\n".to_owned();
    for verdict in &costs.verdicts {
        let class = match verdict.finding {
            Finding::Holds => "holds",
            Finding::InPart => "in-part",
            Finding::NotHere => "not-here",
            Finding::NotMeasured => "not-measured",
        };
        let _ = writeln!(
            html,
            "<dt>&ldquo;{}&rdquo;</dt>\n<dd><span class=\"badge {class}\">{}</span> {}</dd>",
            escape(&verdict.claim),
            verdict.finding,
            escape(&capitalised(&verdict.text))
        );
    }
    html + "</dl>\n"
}

fn method(costs: &Costs) -> String {
    let machine = &costs.machine;
    facts([
        ("Processor", machine.processor.clone()),
        ("Memory", format::bytes(machine.memory_bytes as f64)),
        ("Kernel", machine.kernel.clone()),
        ("Coroutines wait on", machine.driver.clone()),
        ("Method", table::method_line(&costs.method)),
        (
            "A figure",
            "is the median over the rounds; a round's is the median over many pieces of 0.2 milliseconds or more."
                .to_owned(),
        ),
        ("Repeat it", "ropewalk costs".to_owned()),
    ])
}
