//! The results as text for 80 columns: a table for each part, and the verdicts.

mod messages;

use std::fmt::Write as _;

use comfy_table::CellAlignment::{Left, Right};

use crate::costs::cell::{
    CREATORS, Cell, Counter, Cpus, Creation, Creator, Exchange, GUARDS, Guard, How, Memory, PLANS, Part,
    Plan, SWITCHES, Switch, WORST, Worst,
};
use crate::costs::method::Method;
use crate::costs::obstacle::ONE_CPU;
use crate::costs::result::{Costs, Figure, Row, Rows};
use crate::format;
use crate::machine::Machine;
use crate::statistics::Spread;
use crate::text::{show, table, wrap};

/// Other programs that take less than this part of a CPU are not worth a warning.
const NOISE: f64 = 0.05;
/// The texts speak of so many threads.
pub(crate) const TASKS_CLAIMED: f64 = 10_000.0;

/// What stands above the tables: machine, method, and what a reader should beware of.
pub(crate) fn heading(machine: &Machine, method: &Method) -> String {
    let mut text = wrap(
        &format!(
            "{}, {}, {}",
            machine.processor,
            format::bytes(machine.memory_bytes as f64) + " of memory",
            machine.kernel
        ),
        "",
    );
    text += &wrap(&format!("{} Coroutines wait on {}.", method_line(method), machine.driver), "");
    if !machine.release_build {
        text +=
            &wrap("Beware: this is a debug build; for figures that mean something, cargo run --release.", "");
    }
    text
}

/// How it is measured, in a sentence.
pub(crate) fn method_line(method: &Method) -> String {
    let rounds = if method.rounds == 1 { "1 round".to_owned() } else { format!("{} rounds", method.rounds) };
    let cpus = method.cpus.len();
    format!(
        "{rounds}, each cell in a process of its own. This process may use {cpus} {}; where not said otherwise, \
         everything runs on CPU {}.",
        if cpus == 1 { "CPU" } else { "CPUs" },
        method.cpus.first().unwrap_or(&0)
    )
}

/// The tables of the parts that were measured.
pub(crate) fn tables(costs: &Costs) -> String {
    let mut text = String::new();
    for part in &costs.method.parts {
        text += &match part {
            Part::Creation => creation(costs),
            Part::Switch => switch(costs),
            Part::Worst => worst(costs),
            Part::Memory => memory(costs),
            Part::Counter => counter(costs),
            Part::Ipc => messages::messages(costs),
        };
    }
    text + &missing(&costs.rows)
}

/// A time with its unit; a difference may be negative.
pub(crate) fn time(nanos: f64) -> String {
    if nanos.abs() < 999.5 {
        let number = if nanos.abs() < 99.95 { format!("{nanos:.1}") } else { format!("{nanos:.0}") };
        return format!("{number} ns");
    }
    let sign = if nanos < 0.0 { "-" } else { "" };
    sign.to_owned() + &format::time(nanos.abs() / 1e3)
}

fn figure(spread: Option<Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| show(spread.median))
}

/// The smallest and the largest value, in the unit of the larger.
pub(crate) fn range(spread: Option<Spread>) -> String {
    let Some(Spread { low, high, rounds: 2.., .. }) = spread else { return "-".to_owned() };
    let text = time(high);
    let (_, unit) = text.rsplit_once(' ').unwrap_or((&text, ""));
    let scale = match unit {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        _ => 1e9,
    };
    format!("{} - {}", format::short(low / scale), text)
}

fn ratio(value: Option<Spread>, baseline: Option<Spread>) -> String {
    match (value, baseline) {
        (Some(value), Some(baseline)) if baseline.median > 0.0 => {
            format!("{} x", format::ratio(value.median / baseline.median))
        }
        _ => "-".to_owned(),
    }
}

fn creation(costs: &Costs) -> String {
    let rows = Rows(&costs.rows);
    let of = |by: Creator, batch: bool, cpus| {
        let together = if batch { by.batch() } else { 1 };
        rows.spread(Cell::Creation(Creation { by, together, cpus }), Figure::TimeNs)
    };
    let mut table = table(&[
        ("spawn and join", Left),
        ("one at a\ntime", Right),
        ("least\nto most", Right),
        ("of a\nthread's", Right),
        ("in a\nbatch", Right),
        ("of", Right),
        ("all CPUs,\none", Right),
        ("all CPUs,\nbatch", Right),
    ]);
    for by in CREATORS {
        let one = of(by, false, Cpus::One);
        table.add_row([
            by.name().to_owned(),
            figure(one, time),
            range(one),
            ratio(one, of(Creator::Thread, false, Cpus::One)),
            figure(of(by, true, Cpus::One), time),
            format::thousands(by.batch().into()),
            figure(of(by, false, Cpus::All), time),
            figure(of(by, true, Cpus::All), time),
        ]);
    }
    format!("\nCreation: to spawn and join an empty task, each\n{}", show(&table))
}

/// What a way to switch is called.
pub(crate) fn how(how: How, plan: Plan) -> &'static str {
    match (how, plan) {
        (How::Socket, _) => "socket",
        (How::Own, Plan::Coroutine) => "yield",
        (How::Own, _) => "park, unpark",
        (How::KernelYield, _) => "sched_yield",
    }
}

fn switch(costs: &Costs) -> String {
    let rows = Rows(&costs.rows);
    let [_, small, large] = costs.method.working_sets;
    let of =
        |plan, how, working_set, figure| rows.spread(Cell::Switch(Switch { plan, how, working_set }), figure);
    let names = [small, large].map(|set| format!("{}\ntouched", format::bytes(set.into())));
    let mut table = table(&[
        ("by", Left),
        ("task", Left),
        ("nothing\ntouched", Right),
        ("least\nto most", Right),
        (&names[0], Right),
        ("touching\nalone", Right),
        ("without\nit", Right),
        (&names[1], Right),
        ("touching\nalone", Right),
        ("without\nit", Right),
    ]);
    for (how, plan) in SWITCHES {
        let nothing = of(plan, how, 0, Figure::TimeNs);
        let mut cells =
            vec![self::how(how, plan).to_owned(), plan.to_string(), figure(nothing, time), range(nothing)];
        for set in [small, large] {
            for part in [Figure::TimeNs, Figure::TouchingNs, Figure::WithoutTouchingNs] {
                cells.push(figure(of(plan, how, set, part), time));
            }
        }
        table.add_row(cells);
    }
    let title = "Switch: to give the CPU to another task, one way. Socket: a byte goes to and fro, the same for all plans; \
                 touched by each task after every switch, a byte in each line of the cache.";
    format!("\n{}{}", wrap(title, ""), show(&table))
}

fn worst(costs: &Costs) -> String {
    let rows = Rows(&costs.rows);
    let mut table = table(&[
        ("by", Left),
        ("task", Left),
        ("beside", Left),
        ("half\nwithin", Right),
        ("99 %\nwithin", Right),
        ("99.99 %\nwithin", Right),
        ("longest", Right),
        ("of all\nrounds", Right),
        ("timed", Right),
    ]);
    for (how, plan) in WORST {
        for hog in [false, true] {
            let of = |figure| rows.spread(Cell::Worst(Worst { plan, how, hog }), figure);
            table.add_row([
                self::how(how, plan).to_owned(),
                plan.to_string(),
                if hog { "a hog" } else { "nobody" }.to_owned(),
                figure(of(Figure::P50Ns), time),
                figure(of(Figure::P99Ns), time),
                figure(of(Figure::P9999Ns), time),
                figure(of(Figure::MaxNs), time),
                of(Figure::MaxNs).map_or_else(|| "-".to_owned(), |spread| time(spread.high)),
                figure(of(Figure::Samples), |count| format::thousands(count as u64)),
            ]);
        }
    }
    let title = "Worst case: there and back, two switches, each timed; a hog computes on the same CPU. Longest: the median \
                 of the rounds, and of all.";
    format!("\n{}{}", wrap(title, ""), show(&table))
}

fn memory(costs: &Costs) -> String {
    let rows = Rows(&costs.rows);
    let mut table = table(&[
        ("task", Left),
        ("waiting", Right),
        ("touched\neach", Right),
        ("of it its\nown", Right),
        ("reserved\neach", Right),
        ("10,000\ntouch", Right),
        ("10,000\nreserve", Right),
    ]);
    for plan in PLANS {
        let tasks = costs.method.parked(plan);
        let of = |figure| rows.spread(Cell::Memory(Memory { plan, tasks }), figure);
        let many = |bytes: f64| format::bytes(bytes * TASKS_CLAIMED);
        table.add_row([
            plan.to_string(),
            format::thousands(tasks.into()),
            figure(of(Figure::TouchedBytes), format::bytes),
            figure(of(Figure::PrivateBytes), format::bytes),
            figure(of(Figure::ReservedBytes), format::bytes),
            figure(of(Figure::TouchedBytes), many),
            figure(of(Figure::ReservedBytes), many),
        ]);
    }
    let note = wrap(
        &format!(
            "Touched: what is resident, shared pages shared out (PSS), page tables, kernel stacks of 16 KiB. Stacks of \
             threads have {}.",
            format::bytes(costs.method.thread_stack_bytes as f64)
        ),
        "",
    );
    format!("\nMemory of a task that waits\n{}{note}", show(&table))
}

/// What guards the counter of this plan.
pub(crate) fn guard(guard: Guard, plan: Plan) -> &'static str {
    match (guard, plan) {
        (Guard::Lock, Plan::Process) => "the kernel's record lock",
        (Guard::Lock, _) => "lock",
        (Guard::Atomic, _) => "atomic addition",
        (Guard::None, _) => "nothing",
    }
}

/// A part of the whole that must not look like nothing when it is something.
pub(crate) fn percent(part: f64) -> String {
    match part * 100.0 {
        0.0 => "none".to_owned(),
        percent if percent < 0.01 => "< 0.01 %".to_owned(),
        percent => format!("{} %", format::short(percent)),
    }
}

fn counter(costs: &Costs) -> String {
    let rows = Rows(&costs.rows);
    let [_, one_cpu, all] = costs.method.counters();
    let many = one_cpu.0;
    let names = [format!("{many},\none CPU"), format!("{many},\nall CPUs")];
    let mut table = table(&[
        ("task", Left),
        ("counter guarded by", Left),
        ("1 task,\none CPU", Right),
        (&names[0], Right),
        ("lost", Right),
        (&names[1], Right),
        ("lost", Right),
    ]);
    for plan in PLANS {
        for guard in GUARDS {
            let of = |(tasks, cpus), figure| {
                rows.spread(Cell::Counter(Counter { plan, guard, tasks, cpus }), figure)
            };
            table.add_row([
                plan.to_string(),
                self::guard(guard, plan).to_owned(),
                figure(of((1, Cpus::One), Figure::TimeNs), time),
                figure(of(one_cpu, Figure::TimeNs), time),
                figure(of(one_cpu, Figure::LostPart), percent),
                figure(of(all, Figure::TimeNs), time),
                figure(of(all, Figure::LostPart), percent),
            ]);
        }
    }
    let note = wrap(
        "Time of an addition, of all tasks together. Lost: additions that are missing in the counter. Coroutines on one \
         CPU have one worker: none is interrupted between reading and writing.",
        "",
    );
    format!("\nA counter that tasks share\n{}{note}", show(&table))
}

/// Whose figures are missing for this reason: of messages not each plan by itself.
fn whose(cell: Cell, reason: &str) -> String {
    match cell {
        Cell::Ipc(_) if reason == ONE_CPU => "messages between two CPUs".to_owned(),
        Cell::Ipc(Exchange { mechanism, bytes: 0, .. }) => mechanism.name().to_owned(),
        Cell::Ipc(Exchange { mechanism, bytes, .. }) => {
            format!("{}, {}", mechanism.name(), format::bytes(bytes.into()))
        }
        _ => cell.to_string(),
    }
}

/// Why figures are missing, each reason once.
fn missing(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut told = Vec::new();
    for row in rows {
        let reasons = [("not run", &row.obstacle), ("BROKEN", &row.broken)];
        for (what, reason) in reasons.into_iter().filter_map(|(what, reason)| Some((what, reason.as_ref()?)))
        {
            let line = format!("{}: {what}: {reason}", whose(row.cell, reason));
            if !told.contains(&line) {
                let _ = write!(text, "{}", wrap(&line, "  "));
                told.push(line);
            }
        }
    }
    if text.is_empty() { text } else { "\n".to_owned() + &text }
}

/// A warning where other programs had much of the CPU.
pub(crate) fn noise(costs: &Costs) -> String {
    costs.others.filter(|&part| part >= NOISE).map_or_else(String::new, |part| {
        let text = format!(
            "Beware: other programs had {:.0} % of the CPU meanwhile. A figure is the median of many short pieces, which \
             hides most of that, but not in the worst case.",
            part * 100.0
        );
        "\n".to_owned() + &wrap(&text, "")
    })
}
