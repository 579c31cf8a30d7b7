//! The results as text for 80 columns: a line for each cell as it finishes, three tables, the paired ratios and the
//! verdicts.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table};

use crate::compare::disk::Disk;
use crate::compare::limits::Obstacle;
use crate::compare::plan::Plan;
use crate::compare::result::{Cell, Figures, Method, Outcome, Pair, Row};
use crate::compare::rows::{baseline, measurement};
use crate::format;
use crate::machine::Machine;
use crate::statistics::{Ratio, Spread};
use crate::text::{show, table, wrap};

/// What stands above the first cell: machine, method, and what a reader should beware of.
pub(crate) fn heading(machine: &Machine, disk: &Disk, method: &Method) -> String {
    let mut text = format!(
        "{}, {} CPUs, {} of memory, {}\n{} on {}, one sync takes {}\n{}",
        machine.processor,
        machine.processors,
        format::bytes(machine.memory_bytes as f64),
        machine.kernel,
        disk.directory,
        disk.file_system,
        format::time(disk.sync_us),
        wrap(&format!("Coroutines wait on {}.", machine.driver), "")
    );
    if !disk.durable {
        text += &wrap(
            &format!(
                "Beware: {} is in memory. Payments there are not durable, and a sync costs nothing; choose a disk with --dir.",
                disk.file_system
            ),
            "",
        );
    }
    if !machine.release_build {
        text +=
            &wrap("Beware: this is a debug build; for figures that mean something, cargo run --release.", "");
    }
    text + &wrap(&method_line(method), "")
}

/// How the comparison is made, in a sentence.
pub(crate) fn method_line(method: &Method) -> String {
    let noun = method.work.noun();
    let limit = method
        .memory_limit_bytes
        .map(|bytes| format!(", {} of addresses for the server", format::bytes(bytes as f64)))
        .unwrap_or_default();
    let rounds = if method.rounds == 1 { "1 round".to_owned() } else { format!("{} rounds", method.rounds) };
    format!(
        "Work: {}. {rounds}; a cell: {} s warm-up, then {} {noun}s or {} s. Seed {}{limit}.",
        method.work.name(),
        method.warmup_seconds,
        format::thousands(method.payments),
        method.seconds,
        method.seed
    )
}

/// A row that will be empty, before the run.
pub(crate) fn foreseen(plan: Plan, users: u32, obstacle: &Obstacle) -> String {
    let name = format!("{} {}", format::thousands(users.into()), plan.plural());
    wrap(&format!("{name} will not be run: {obstacle}"), "  ")
}

/// One cell, as soon as it is there.
pub(crate) fn cell_line(cell: &Cell, method: &Method) -> String {
    let start = format!(
        "{}/{} {:>7} {:<9}",
        cell.round,
        method.rounds,
        format::thousands(cell.users.into()),
        cell.plan.short_name()
    );
    match &cell.outcome {
        Outcome::Measured(measurement) => {
            let figures = &measurement.figures;
            let milliseconds = |us: Option<f64>| us.map_or_else(|| "-".to_owned(), format::milliseconds);
            format!(
                "{start} {:>8} {}s/s  p50 {:>6} p99 {:>6} ms  {}",
                figures.rate.map_or_else(|| "-".to_owned(), format::rate),
                method.work.noun(),
                milliseconds(figures.p50_us),
                milliseconds(figures.p99_us),
                if measurement.books.balance() { "balanced" } else { "BOOKS WRONG" }
            )
        }
        Outcome::Impossible(obstacle) => {
            wrap(&format!("{start} not run: {obstacle}"), "    ").trim_end().to_owned()
        }
        Outcome::Broken { reason } => format!("{start} BROKEN: {reason}"),
    }
}

/// The processes of a cell while its users paid; of a kind that has many, the first few.
pub(crate) fn processes(cell: &Cell) -> String {
    let Some(measurement) = measurement(cell) else { return String::new() };
    let mut table = table(&[
        ("    pid", Right),
        ("parent", Right),
        ("what", Left),
        ("stat", Left),
        ("threads", Right),
        ("memory", Right),
        ("reserved", Right),
        ("files", Right),
        ("CPU", Right),
        ("switches", Right),
    ]);
    for block in &measurement.load.processes {
        let usage = &block.usage;
        table.add_row([
            block.pid.to_string(),
            block.parent.to_string(),
            block.role.clone(),
            block.state.clone(),
            format::thousands(block.threads),
            format::bytes(block.touched_bytes() as f64),
            format::bytes(block.reserved_bytes as f64),
            format::thousands(block.descriptors),
            format::time(usage.cpu_us as f64),
            format::thousands(usage.voluntary_switches + usage.involuntary_switches),
        ]);
    }
    let all = measurement.memory.map_or(0, |memory| memory.processes);
    let more = all.saturating_sub(measurement.load.processes.len() as u64);
    let rest =
        if more > 0 { format!("and {} more like these\n", format::thousands(more)) } else { String::new() };
    show(&table) + &rest + "\n"
}

/// The three tables with their notes; only the notes when there is nothing to show in a table.
pub(crate) fn tables(method: &Method, rows: &[Row]) -> String {
    if rows.iter().all(|row| row.rounds == 0) {
        return format!("\n{}", reasons(rows));
    }
    let noun = method.work.noun();
    let mut text =
        format!("\nSpeed (median of the rounds; latencies in milliseconds)\n{}", speed(method, rows));
    let _ = write!(
        text,
        "\nCost of a {noun} (CPU in microseconds; the ledger has its own column)\n{}",
        cost(method, rows)
    );
    let _ = write!(text, "\nMemory of the server's processes, and the books\n{}", memory(rows));
    text + &notes(rows)
}

fn speed(method: &Method, rows: &[Row]) -> String {
    let mut table = table(&[
        ("users", Right),
        ("plan", Left),
        (if method.work.noun() == "payment" { "payments/s" } else { "requests/s" }, Right),
        ("spread", Right),
        (versus(method), Right),
        ("limited by", Left),
        ("p50", Right),
        ("p99", Right),
        ("p99.9", Right),
    ]);
    let milliseconds = |spread: Option<Spread>| figure(spread, format::milliseconds);
    fill(&mut table, rows, |row| {
        let Figures { rate, p50_us, p99_us, p999_us, .. } = row.figures;
        vec![
            figure(rate, format::rate),
            rate.map_or_else(none, |rate| spread(&rate)),
            row.rate_ratio.map_or_else(none, ratio),
            row.limiter.map_or_else(none, |limiter| limiter.to_string()),
            milliseconds(p50_us),
            milliseconds(p99_us),
            milliseconds(p999_us),
        ]
    });
    show(&table)
}

fn cost(method: &Method, rows: &[Row]) -> String {
    let mut table = table(&[
        ("users", Right),
        ("plan", Left),
        ("server\nCPU", Right),
        ("spread", Right),
        (versus(method), Right),
        ("ledger\nCPU", Right),
        ("client\nCPU", Right),
        ("kernel\nswitch", Right),
        ("corout.\nswitch", Right),
        ("page\nfaults", Right),
    ]);
    fill(&mut table, rows, |row| {
        let figures = &row.figures;
        let short = |spread| figure(spread, format::short);
        vec![
            short(figures.server_cpu_us),
            figures.server_cpu_us.map_or_else(none, |cpu| spread(&cpu)),
            row.cpu_ratio.map_or_else(none, ratio),
            short(figures.ledger_cpu_us),
            short(figures.client_cpu_us),
            short(figures.kernel_switches),
            short(figures.coroutine_switches),
            short(figures.page_faults),
        ]
    });
    show(&table)
}

fn memory(rows: &[Row]) -> String {
    let mut table = table(&[
        ("users", Right),
        ("plan", Left),
        ("touched", Right),
        ("reserved", Right),
        ("connected in", Right),
        ("unanswered", Right),
        ("books", Left),
    ]);
    fill(&mut table, rows, |row| {
        let figures = &row.figures;
        let unanswered = if row.rounds > 0 { format::thousands(row.unanswered) } else { none() };
        vec![
            figure(figures.touched_bytes, format::bytes),
            figure(figures.reserved_bytes, format::bytes),
            figure(figures.connect_seconds, |seconds| format::time(seconds * 1e6)),
            unanswered,
            match row.books_balance {
                Some(true) => "balanced".to_owned(),
                Some(false) => "WRONG".to_owned(),
                None => none(),
            },
        ]
    });
    show(&table)
}

/// What the tables abbreviate, and why rows are empty.
fn notes(rows: &[Row]) -> String {
    let mut text = String::new();
    if rows
        .iter()
        .any(|row| row.rate_ratio == Some(Ratio::NoDifference) || row.cpu_ratio == Some(Ratio::NoDifference))
    {
        text += "same: the spreads overlap, so there is no difference.\n";
    }
    if rows.iter().any(|row| matches!(row.rate_ratio, Some(Ratio::Unjudged(_)))) {
        text += "~: a single round; it has no spread, so nothing is concluded.\n";
    }
    if rows.iter().any(|row| row.rounds > 0 && row.figures.p999_us.is_none()) {
        text += "-: fewer than ten answers lie beyond this percentile.\n";
    }
    text += &wrap(
        "touched: memory of all its processes under load, the ledger's too: PSS (what several share counts once), page \
         tables and kernel stacks. reserved: their address spaces.",
        "",
    );
    if rows.iter().any(|row| row.plan == Plan::ProcessCoroutine) {
        text += "proc+coro: process+coroutine, a few processes with coroutines in each.\n";
    }
    text + &reasons(rows)
}

/// Why cells are missing from rows.
fn reasons(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let name = format!("{} {}", format::thousands(row.users.into()), row.plan.plural());
        if let Some(obstacle) = &row.obstacle {
            text += &wrap(&format!("{name}: not run: {}", obstacle.reason), "  ");
            text += &wrap(&format!("  mend: {}", obstacle.mend), "    ");
        }
        if let Some(reason) = &row.broken {
            let _ = writeln!(text, "{name}: BROKEN: {reason}");
        }
    }
    text
}

/// A warning when other programs took a good part of the machine; empty when they did not.
pub(crate) fn noise(others: Option<f64>) -> String {
    others.filter(|&part| part >= NOISE).map_or_else(String::new, |part| {
        wrap(
            &format!(
                "Beware: other programs took {:.0} % of the CPUs meanwhile. Small differences drown, and the kernel \
                 shares the CPUs out by thread, which favours the plan with more of them.",
                part * 100.0
            ),
            "",
        )
    })
}

/// Other programs that take less than this part of the machine are not worth a warning.
const NOISE: f64 = 0.10;

/// Every fault in the books, cell by cell; empty when they balance.
pub(crate) fn faults(cells: &[Cell]) -> String {
    let mut text = String::new();
    for cell in cells {
        if let Outcome::Measured(measurement) = &cell.outcome
            && !measurement.books.balance()
        {
            let _ = writeln!(
                text,
                "\nThe books of round {}, {} users, {} do NOT balance: {}",
                cell.round,
                format::thousands(cell.users.into()),
                cell.plan,
                measurement.books
            );
        }
    }
    text
}

/// CPU per request in paired rounds; empty without a pair.
pub(crate) fn pairs(method: &Method, pairs: &[Pair]) -> String {
    let Some(first) = pairs.first() else { return String::new() };
    let mut text = format!(
        "\nServer CPU per {} against {} in the same round\n",
        method.work.noun(),
        first.baseline.plural()
    );
    for pair in pairs {
        let interval = &pair.cpu_ratio;
        let users = pair.users.map_or_else(|| "all".to_owned(), |users| format::thousands(users.into()));
        let sure = if interval.values == 1 {
            "one round: no interval".to_owned()
        } else {
            format!(
                "{:.3} to {:.3}, {:.0} % confidence, {} pairs",
                interval.low,
                interval.high,
                interval.confidence * 100.0,
                interval.values
            )
        };
        let _ = writeln!(text, "{users:>7} {:<9} {:.3}  ({sure})", pair.plan.short_name(), interval.median);
        if pair.users.is_none() && interval.is_within(CONTROL_TOLERANCE) {
            let _ = writeln!(
                text,
                "{:17} the whole interval lies within {:.0} % of {}",
                "",
                CONTROL_TOLERANCE * 100.0,
                pair.baseline.plural()
            );
        }
    }
    text
}

/// The thread plan must cost what plain std threads cost, within so much, or the comparison is a lie.
const CONTROL_TOLERANCE: f64 = 0.10;

use CellAlignment::{Left, Right};

/// One line for each row; the number of users only where it changes.
fn fill(table: &mut Table, rows: &[Row], figures: impl Fn(&Row) -> Vec<String>) {
    let mut before = None;
    for row in rows {
        let users =
            if before == Some(row.users) { String::new() } else { format::thousands(row.users.into()) };
        before = Some(row.users);
        table.add_row([users, row.plan.short_name().to_owned()].into_iter().chain(figures(row)));
    }
}

fn none() -> String {
    "-".to_owned()
}

fn figure(spread: Option<Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or_else(none, |spread| show(spread.median))
}

/// How far the smallest and the largest value lie from the median, in percent.
fn spread(spread: &Spread) -> String {
    if spread.rounds < 2 || spread.median <= 0.0 {
        return none();
    }
    let percent = |value: f64| ((value / spread.median - 1.0) * 100.0).round().abs();
    format!("-{:.0} +{:.0}%", percent(spread.low), percent(spread.high))
}

fn ratio(ratio: Ratio) -> String {
    match ratio {
        Ratio::NoDifference => "same".to_owned(),
        Ratio::Differs(ratio) => format!("{}x", format::ratio(ratio)),
        Ratio::Unjudged(ratio) => format!("~{}x", format::ratio(ratio)),
    }
}

fn versus(method: &Method) -> &'static str {
    match baseline(&method.plans) {
        Some(Plan::Std) => "vs std",
        _ => "vs thread",
    }
}

#[cfg(test)]
mod tests;
