//! The plots of the report: four over the number of users, and the distribution of latencies for each number.

use crate::compare::plan::Plan;
use crate::compare::report::plot::{ACROSS, Plot, Point, Series, UPWARDS};
use crate::compare::result::{Comparison, Figures, Row};
use crate::compare::rows::measurement;
use crate::format;
use crate::load::Latencies;
use crate::report::scale::{Scale, Spacing};
use crate::statistics::Spread;

/// The memory of the texts' server.
const SERVER_BYTES: f64 = 8.0 * 1024.0 * 1024.0 * 1024.0;

type Pick = fn(&Figures<Option<Spread>>) -> Option<Spread>;

/// The four plots over the number of users.
pub(super) fn over_users(comparison: &Comparison) -> Vec<String> {
    let noun = comparison.method.work.noun();
    let one = |title: String, spacing, pick: Pick, label: fn(f64) -> String, tick: fn(f64) -> String| {
        let series =
            comparison.method.plans.iter().map(|&plan| series(comparison, plan, pick, label)).collect();
        plot(comparison, title, spacing, tick, series, None)
    };
    let cpu = format!("Server CPU per {noun}, without the ledger");
    vec![
        one(
            capitalised(&format!("{noun}s per second")),
            Spacing::Linear,
            |f| f.rate,
            format::rate,
            format::tick,
        ),
        one(
            "99 % are answered within (log scale)".to_owned(),
            Spacing::Decimal,
            |f| f.p99_us,
            format::time,
            format::tick_time,
        ),
        one(cpu, Spacing::Linear, |f| f.server_cpu_us, format::time, format::tick_time),
        memory(comparison),
    ]
}

/// The text with its first letter large.
pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn memory(comparison: &Comparison) -> String {
    let mut all = Vec::new();
    for &plan in &comparison.method.plans {
        let touched = series(comparison, plan, |f| f.touched_bytes, format::bytes);
        let reserved = series(comparison, plan, |f| f.reserved_bytes, format::bytes);
        let name = short_name(plan);
        all.push(Series { name: format!("{name} touched"), ..touched });
        all.push(Series { name: format!("{name} reserved"), dashed: true, missing: Vec::new(), ..reserved });
    }
    let mark = (SERVER_BYTES, "the texts' server: 8 GB");
    plot(
        comparison,
        "Memory of the server (log scale)".to_owned(),
        Spacing::Binary,
        short_bytes,
        all,
        Some(mark),
    )
}

/// Names that fit beside a plot.
fn short_name(plan: Plan) -> &'static str {
    match plan {
        Plan::Process => "process",
        Plan::Coroutine => "corout.",
        Plan::ProcessCoroutine => "proc+co.",
        Plan::Thread => "thread",
        Plan::Std => "std",
    }
}

/// Whole units: the ticks of a binary scale.
fn short_bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.0} {}", UNITS[unit])
}

fn users_label(users: f64) -> String {
    format::thousands(users as u64)
}

/// A plot over the number of users.
fn plot(
    comparison: &Comparison,
    title: String,
    spacing: Spacing,
    tick: fn(f64) -> String,
    series: Vec<Series>,
    mark: Option<(f64, &'static str)>,
) -> String {
    let users: Vec<f64> = comparison.method.users.iter().copied().map(f64::from).collect();
    let values: Vec<f64> = series
        .iter()
        .flat_map(|series| &series.points)
        .flat_map(|point| {
            let (low, high) = point.spread.unwrap_or((point.y, point.y));
            [low, point.y, high]
        })
        .chain(mark.map(|(value, _)| value))
        .collect();
    Plot {
        title,
        across: "users at once",
        x: Scale::at_values(&users, ACROSS.0, ACROSS.1),
        y: Scale::new(spacing, values, UPWARDS.0, UPWARDS.1),
        x_label: users_label,
        y_label: tick,
        series,
        mark,
    }
    .draw()
}

/// One figure of one plan over the number of users.
fn series(comparison: &Comparison, plan: Plan, pick: Pick, label: fn(f64) -> String) -> Series {
    let rows: Vec<&Row> = comparison.rows.iter().filter(|row| row.plan == plan).collect();
    let point = |row: &&Row| {
        let spread = pick(&row.figures)?;
        let users = format::thousands(row.users.into());
        let title = if spread.rounds > 1 {
            format!(
                "{users} users, {plan}: {} ({} to {} in {} rounds)",
                label(spread.median),
                label(spread.low),
                label(spread.high),
                spread.rounds
            )
        } else {
            format!("{users} users, {plan}: {}", label(spread.median))
        };
        Some(Point {
            x: row.users.into(),
            y: spread.median,
            spread: (spread.rounds > 1).then_some((spread.low, spread.high)),
            title,
        })
    };
    Series {
        name: plan.short_name().to_owned(),
        class: plan.class().to_owned(),
        dashed: false,
        shift: shift(comparison, plan),
        dots: true,
        points: rows.iter().filter_map(point).collect(),
        missing: rows.iter().filter(|row| row.rounds == 0).map(|row| row.users.into()).collect(),
    }
}

/// The plans stand side by side at each number of users.
fn shift(comparison: &Comparison, plan: Plan) -> f64 {
    let plans = &comparison.method.plans;
    let place = plans.iter().position(|&other| other == plan).unwrap_or(0);
    (place as f64 - (plans.len() as f64 - 1.0) / 2.0) * 7.0
}

/// The distribution of latencies, a plot for each number of users.
pub(super) fn latencies(comparison: &Comparison) -> Vec<String> {
    comparison.method.users.iter().filter_map(|&users| distribution(comparison, users)).collect()
}

fn distribution(comparison: &Comparison, users: u32) -> Option<String> {
    let series: Vec<Series> = comparison
        .method
        .plans
        .iter()
        .map(|&plan| Series {
            name: plan.short_name().to_owned(),
            class: plan.class().to_owned(),
            dashed: false,
            shift: 0.0,
            dots: false,
            points: quantiles(&pooled(comparison, users, plan)),
            missing: Vec::new(),
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    if series.is_empty() {
        return None;
    }
    let values: Vec<f64> =
        series.iter().flat_map(|series| series.points.iter().map(|point| point.y)).collect();
    let plot = Plot {
        title: format!("{} users", format::thousands(users.into())),
        across: "of all answers came within",
        x: Scale::at_values(&QUANTILES.map(rarity), ACROSS.0, ACROSS.1),
        y: Scale::new(Spacing::Linear, values, UPWARDS.0, UPWARDS.1),
        x_label: |rarity| percent(1.0 - 1.0 / rarity),
        y_label: format::tick_time,
        series,
        mark: None,
    };
    Some(plot.draw())
}

fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0).replace(".0 %", " %")
}

/// The labelled quantiles.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// One answer in so many takes longer than the quantile: the horizontal axis, on a logarithmic scale.
fn rarity(quantile: f64) -> f64 {
    1.0 / (1.0 - quantile)
}

/// All latencies of a plan with so many users, over all rounds.
fn pooled(comparison: &Comparison, users: u32, plan: Plan) -> Latencies {
    let mut all = Latencies::new();
    let cells = comparison.cells.iter().filter(|cell| cell.users == users && cell.plan == plan);
    for window in cells.filter_map(measurement).filter_map(|measurement| measurement.load.window.as_ref()) {
        all.merge(&window.latency_us);
    }
    all
}

/// Points from the median to the last quantile that has samples enough.
fn quantiles(latencies: &Latencies) -> Vec<Point> {
    const STEPS: u32 = 90;
    (0..=STEPS)
        .map_while(|step| {
            // From 50 % to 99.9 % in equal steps of the logarithm.
            let (first, last) = (rarity(QUANTILES[0]).ln(), rarity(QUANTILES[3]).ln());
            let x = (first + (last - first) * f64::from(step) / f64::from(STEPS)).exp();
            let y = latencies.quantile_us(1.0 - 1.0 / x)?;
            Some(Point { x, y, spread: None, title: String::new() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::plan::Plan::{Coroutine, Thread};
    use crate::compare::sample;

    #[test]
    fn every_plan_has_its_line_and_its_name() {
        let cells = sample::rounds(&[
            (10, Thread, 5_000.0, 40.0),
            (10, Coroutine, 5_010.0, 39.9),
            (1_000, Thread, 10_000.0, 60.0),
            (1_000, Coroutine, 20_000.0, 30.0),
        ]);
        let comparison = sample::comparison(sample::method(&[Thread, Coroutine], &[10, 1_000]), cells);
        let plots = over_users(&comparison);
        assert_eq!(plots.len(), 4);
        for plot in &plots {
            assert!(plot.contains("series thread") && plot.contains("series coroutine"), "{plot}");
        }
        assert!(
            plots[0].contains("1,000 users, coroutine: 20,000 (19,800 to 20,200 in 3 rounds)"),
            "{}",
            plots[0]
        );
        assert!(plots[3].contains("8 GB") && plots[3].contains("corout. reserved"), "{}", plots[3]);
        let latencies = latencies(&comparison);
        assert_eq!(latencies.len(), 2);
        assert!(latencies[1].contains("99.9 %"), "{}", latencies[1]);
    }

    #[test]
    fn a_row_without_figures_is_marked_and_breaks_nothing() {
        let cells = sample::rounds(&[(10, Coroutine, 5_010.0, 39.9)]);
        let mut comparison = sample::comparison(sample::method(&[Thread, Coroutine], &[10, 100]), cells);
        let mut row = comparison.rows[0].clone();
        (row.plan, row.rounds, row.figures) = (Thread, 0, Figures::default());
        comparison.rows.push(row);
        assert!(over_users(&comparison)[0].contains("not run"));
        assert_eq!(latencies(&comparison).len(), 1);
        comparison.rows.clear();
        comparison.cells.clear();
        assert_eq!(over_users(&comparison).len(), 4);
        assert_eq!(latencies(&comparison).len(), 0);
    }
}
