//! The rows as three HTML tables: speed, cost, memory and books, as in the terminal but with whole spreads.

use std::fmt::Write as _;

use crate::compare::plan::Plan;
use crate::compare::result::{Comparison, Row};
use crate::compare::rows::baseline;
use crate::format;
use crate::report::svg::escape;
use crate::statistics::{Ratio, Spread};

/// A column: its name, whether it stands left, and what stands in it.
struct Column {
    name: String,
    left: bool,
    show: fn(&Row) -> String,
}

/// The tables and the notes below them.
pub(super) fn rows(comparison: &Comparison) -> String {
    let noun = comparison.method.work.noun();
    let versus = match baseline(&comparison.method.plans) {
        Some(Plan::Std) => "against std",
        _ => "against threads",
    };
    let mut html = table(comparison, &speed(noun, versus));
    html += &table(comparison, &cost(noun, versus));
    html += &table(comparison, &memory());
    html += &notes(comparison);
    html + &pairs(comparison)
}

fn column(name: &str, show: fn(&Row) -> String) -> Column {
    Column { name: name.to_owned(), left: false, show }
}

fn left(name: &str, show: fn(&Row) -> String) -> Column {
    Column { name: name.to_owned(), left: true, show }
}

fn speed(noun: &str, versus: &str) -> Vec<Column> {
    vec![
        column(&format!("{noun}s per second"), |row| median(row.figures.rate, format::rate)),
        column("smallest to largest", |row| range(row.figures.rate, format::rate)),
        column(versus, |row| ratio(row.rate_ratio)),
        left("limited by", |row| row.limiter.map(|limiter| limiter.to_string()).unwrap_or_default()),
        column("p50 ms", |row| median(row.figures.p50_us, format::milliseconds)),
        column("p99 ms", |row| median(row.figures.p99_us, format::milliseconds)),
        column("p99.9 ms", |row| median(row.figures.p999_us, format::milliseconds)),
    ]
}

fn cost(noun: &str, versus: &str) -> Vec<Column> {
    vec![
        column(&format!("server CPU per {noun}, µs"), |row| {
            median(row.figures.server_cpu_us, format::short)
        }),
        column("smallest to largest", |row| range(row.figures.server_cpu_us, format::short)),
        column(versus, |row| ratio(row.cpu_ratio)),
        column("ledger CPU, µs", |row| median(row.figures.ledger_cpu_us, format::short)),
        column("client CPU, µs", |row| median(row.figures.client_cpu_us, format::short)),
        column("kernel switches", |row| median(row.figures.kernel_switches, format::short)),
        column("coroutine switches", |row| median(row.figures.coroutine_switches, format::short)),
        column("page faults", |row| median(row.figures.page_faults, format::short)),
    ]
}

fn memory() -> Vec<Column> {
    vec![
        column("memory touched", |row| median(row.figures.touched_bytes, format::bytes)),
        column("addresses reserved", |row| median(row.figures.reserved_bytes, format::bytes)),
        column("all connected in", |row| {
            median(row.figures.connect_seconds, |seconds| format::time(seconds * 1e6))
        }),
        column("payments without an answer", |row| format::thousands(row.unanswered)),
        left("books", |row| {
            if row.books_balance == Some(true) { "balanced".to_owned() } else { "WRONG".to_owned() }
        }),
    ]
}

fn table(comparison: &Comparison, columns: &[Column]) -> String {
    let class = |left: bool| if left { " class=\"left\"" } else { "" };
    let mut html =
        "<div class=\"scroll\"><table>\n<thead><tr><th>users</th><th class=\"left\">plan</th>".to_owned();
    for column in columns {
        let _ = write!(html, "<th{}>{}</th>", class(column.left), escape(&column.name));
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in &comparison.rows {
        let users = format::thousands(row.users.into());
        let (plan, colour) = (row.plan.name(), row.plan.class());
        let _ = write!(html, "<tr><td>{users}</td><td class=\"left {colour}\">{plan}</td>");
        if row.rounds == 0 {
            let _ = write!(html, "<td class=\"left\" colspan=\"{}\">{}</td>", columns.len(), not_run(row));
        } else {
            for column in columns {
                let _ = write!(html, "<td{}>{}</td>", class(column.left), (column.show)(row));
            }
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

fn not_run(row: &Row) -> String {
    let why = match (&row.obstacle, &row.broken) {
        (Some(obstacle), _) => obstacle.to_string(),
        (None, Some(broken)) => broken.clone(),
        (None, None) => String::new(),
    };
    format!("not run: {}", escape(&why))
}

fn notes(comparison: &Comparison) -> String {
    let noun = comparison.method.work.noun();
    format!(
        "<p class=\"note\">Medians of the rounds. CPU, switches and faults are per {noun}, the server's without its \
         ledger. <em>same</em>: the spreads overlap, so there is no difference; ~: a single round, which proves \
         nothing. A percentile is shown with ten answers or more beyond it. Memory touched: of all processes of \
         the server under load, the ledger's too: PSS (what several share counts once), page tables and kernel stacks. \
         Addresses reserved: their address spaces.</p>\n"
    )
}

/// CPU per request against the control, if it ran.
fn pairs(comparison: &Comparison) -> String {
    let Some(first) = comparison.pairs.first() else { return String::new() };
    let mut html = format!(
        "<p class=\"note\">Server CPU per {} against {} in the same round:</p>\n<div class=\"scroll\"><table>\n\
         <thead><tr><th>users</th><th class=\"left\">plan</th><th>median</th><th>interval</th><th>confidence</th>\
         <th>pairs</th></tr></thead>\n<tbody>\n",
        comparison.method.work.noun(),
        first.baseline.plural()
    );
    for pair in &comparison.pairs {
        let interval = &pair.cpu_ratio;
        let users = pair.users.map_or_else(|| "all".to_owned(), |users| format::thousands(users.into()));
        let (plan, colour) = (pair.plan.name(), pair.plan.class());
        let _ = writeln!(
            html,
            "<tr><td>{users}</td><td class=\"left {colour}\">{plan}</td><td>{:.3}</td><td>{:.3} to {:.3}</td>\
             <td>{:.0} %</td><td>{}</td></tr>",
            interval.median,
            interval.low,
            interval.high,
            interval.confidence * 100.0,
            interval.values
        );
    }
    html + "</tbody></table></div>\n"
}

fn nothing() -> String {
    "\u{2013}".to_owned()
}

fn median(spread: Option<Spread>, show: fn(f64) -> String) -> String {
    spread.map_or_else(nothing, |spread| show(spread.median))
}

fn range(spread: Option<Spread>, show: fn(f64) -> String) -> String {
    spread
        .filter(|spread| spread.rounds > 1)
        .map_or_else(nothing, |spread| format!("{} to {}", show(spread.low), show(spread.high)))
}

fn ratio(ratio: Option<Ratio>) -> String {
    match ratio {
        None => nothing(),
        Some(Ratio::NoDifference) => "<em>same</em>".to_owned(),
        Some(Ratio::Differs(ratio)) => format!("{}\u{d7}", format::ratio(ratio)),
        Some(Ratio::Unjudged(ratio)) => format!("~{}\u{d7}", format::ratio(ratio)),
    }
}
