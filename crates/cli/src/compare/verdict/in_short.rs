//! The last sentence: true whoever won, also when rows or plans are missing.

use crate::compare::plan::Plan;
use crate::compare::result::{Method, Row};
use crate::compare::rows::baseline;
use crate::format;
use crate::statistics::Ratio;

/// "In short: ..." for these rows.
pub(crate) fn in_short(method: &Method, rows: &[Row]) -> String {
    format!("In short: {}", sentence(method, rows))
}

fn sentence(method: &Method, rows: &[Row]) -> String {
    if let Some(row) = rows.iter().find(|row| row.books_balance == Some(false)) {
        return format!(
            "the books of {} users under {} do not balance; nothing else counts.",
            format::thousands(row.users.into()),
            row.plan
        );
    }
    let measured: Vec<&Row> = rows.iter().filter(|row| row.rounds > 0).collect();
    let Some(most) = measured.iter().max_by_key(|row| row.users) else {
        let reason = rows.iter().find_map(|row| {
            row.broken.clone().or_else(|| row.obstacle.as_ref().map(|obstacle| obstacle.reason.clone()))
        });
        return match reason {
            Some(reason) => format!("nothing could be measured: {reason}."),
            None => "nothing was measured.".to_owned(),
        };
    };
    let plans: Vec<Plan> =
        method.plans.iter().copied().filter(|&plan| measured.iter().any(|row| row.plan == plan)).collect();
    let compared = baseline(&plans).and_then(|base| {
        // Coroutines are what the comparison is about; without them, whatever else there is.
        let other = plans.iter().copied().find(|&plan| plan == Plan::Coroutine);
        let other = other.or_else(|| plans.iter().copied().find(|&plan| plan != base))?;
        compare(method, &measured, other, base)
    });
    compared.map_or_else(
        || alone(method, most),
        |text| text + &others(method, &plans, &measured) + &missing(rows),
    )
}

/// A sentence for each plan that is neither what is compared nor what it is compared with.
fn others(method: &Method, plans: &[Plan], rows: &[&Row]) -> String {
    let Some(base) = baseline(plans) else { return String::new() };
    let first = plans.iter().copied().find(|&plan| plan == Plan::Coroutine);
    let first = first.or_else(|| plans.iter().copied().find(|&plan| plan != base));
    let rest = plans.iter().copied().filter(|&plan| plan != base && Some(plan) != first);
    rest.filter_map(|plan| other(method, rows, plan, base)).collect()
}

/// One more plan against the baseline, with the most users that both had.
fn other(method: &Method, rows: &[&Row], plan: Plan, base: Plan) -> Option<String> {
    let of = |users: u32| rows.iter().find(|row| row.users == users && row.plan == base);
    let common = rows.iter().filter(|row| row.plan == plan && of(row.users).is_some());
    let row = common.max_by_key(|row| row.users)?;
    let base_row = of(row.users)?;
    let speed = match row.rate_ratio? {
        Ratio::NoDifference => format!("were as fast as {}", base.plural()),
        Ratio::Differs(ratio) | Ratio::Unjudged(ratio) => {
            format!("made {} times the {}s/s of {}", format::ratio(ratio), method.work.noun(), base.plural())
        }
    };
    let costs = costs(row, base_row);
    let costs = if costs.is_empty() { String::new() } else { format!(" and took {costs}") };
    let users = format::thousands(row.users.into());
    Some(format!(" With {users} users {} {speed}{costs}.", plan.plural()))
}

/// What a row took against the baseline's, in words.
fn costs(row: &Row, base: &Row) -> String {
    let mut costs = Vec::new();
    match row.cpu_ratio {
        Some(Ratio::NoDifference) => costs.push("the same CPU".to_owned()),
        Some(Ratio::Differs(ratio) | Ratio::Unjudged(ratio)) => {
            costs.push(format!("{} times the CPU", format::ratio(ratio)));
        }
        None => {}
    }
    if let (Some(one), Some(other)) = (row.figures.touched_bytes, base.figures.touched_bytes)
        && other.median > 0.0
    {
        costs.push(format!("{} times the memory", format::ratio(one.median / other.median)));
    }
    costs.join(" and ")
}

/// One plan only, or none in common.
fn alone(method: &Method, row: &Row) -> String {
    let noun = method.work.noun();
    let rate = row.figures.rate.map_or(0.0, |spread| spread.median);
    let touched = row.figures.touched_bytes.map_or(0.0, |spread| spread.median);
    format!(
        "{} users under {} made {} {noun}s/s with {} of memory; no other plan ran with as many to compare it with.",
        format::thousands(row.users.into()),
        row.plan,
        format::rate(rate),
        format::bytes(touched)
    )
}

/// `plan` against `base` with the most users that both had, and with the fewest.
fn compare(method: &Method, rows: &[&Row], plan: Plan, base: Plan) -> Option<String> {
    let of = |users: u32, plan| rows.iter().find(|row| row.users == users && row.plan == plan);
    let mut common: Vec<u32> = rows
        .iter()
        .filter(|row| row.plan == plan && of(row.users, base).is_some())
        .map(|row| row.users)
        .collect();
    common.sort_unstable();
    let (&few, &many) = (common.first()?, common.last()?);
    let (row, base_row) = (of(many, plan)?, of(many, base)?);
    let noun = method.work.noun();
    let mut text = format!("with {} users {}", format::thousands(many.into()), plan.plural());
    text += &match row.rate_ratio? {
        Ratio::NoDifference => format!(" and {} were equally fast within the spread", base.plural()),
        Ratio::Differs(ratio) => {
            format!(" made {} times the {noun}s/s of {}", format::ratio(ratio), base.plural())
        }
        Ratio::Unjudged(ratio) => format!(
            " made {} times the {noun}s/s of {} in one round, which proves nothing",
            format::ratio(ratio),
            base.plural()
        ),
    };
    let costs = costs(row, base_row);
    if !costs.is_empty() {
        text += &format!("; {} took {costs}", plan.plural());
    }
    if few < many {
        let few_text = match of(few, plan)?.rate_ratio? {
            Ratio::NoDifference => "there was no difference in speed".to_owned(),
            Ratio::Differs(ratio) | Ratio::Unjudged(ratio) => {
                format!("it was {} times the speed", format::ratio(ratio))
            }
        };
        text += &format!("; with {} users {few_text}", format::thousands(few.into()));
    }
    Some(text + ".")
}

/// Rows that have only a reason, if any.
fn missing(rows: &[Row]) -> String {
    let missing: Vec<String> = rows
        .iter()
        .filter(|row| row.rounds == 0)
        .map(|row| format!("{} {}", format::thousands(row.users.into()), row.plan.plural()))
        .collect();
    if missing.is_empty() { String::new() } else { format!(" Not run here: {}.", missing.join(", ")) }
}
