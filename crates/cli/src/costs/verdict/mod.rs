//! What the texts say of costs, and what this machine says: pure functions of the rows, which never say more than the
//! rows do.

use crate::costs::method::Method;
use crate::costs::result::{Row, Rows};
use crate::format;
use crate::statistics::Ratio;
use crate::verdict::{Finding, Verdict};

mod counting;
mod exchange;
mod in_short;
mod memory;
mod time;

#[cfg(test)]
mod tests;

pub(crate) use in_short::in_short;

/// All verdicts; those of parts that were not asked for say that they were not measured.
pub(crate) fn verdicts(method: &Method, rows: &[Row]) -> Vec<Verdict> {
    let rows = Rows(rows);
    vec![
        time::creation(rows),
        time::process_switch(method, rows),
        time::low_medium_high(rows),
        time::caches(method, rows),
        time::real_time(rows),
        memory::more_resources(method, rows),
        memory::four_megabytes(method, rows),
        memory::ten_thousand(method, rows),
        counting::threads_need_locks(method, rows),
        counting::coroutines_need_none(method, rows),
        exchange::much_data(rows),
    ]
}

fn verdict(claim: &str, found: Option<(Finding, String)>) -> Verdict {
    let (finding, text) =
        found.unwrap_or_else(|| (Finding::NotMeasured, "it was not measured, or could not be.".into()));
    Verdict { claim: claim.to_owned(), finding, text }
}

/// A ratio in words.
fn times(ratio: Ratio, of: &str) -> String {
    match ratio {
        Ratio::NoDifference => format!("no more than {of} within the spread"),
        Ratio::Differs(ratio) => format!("{} times {of}", format::ratio(ratio)),
        Ratio::Unjudged(ratio) => {
            format!("{} times {of} in one round, which proves nothing", format::ratio(ratio))
        }
    }
}

/// Whether something is at least `claimed` times as much, or more at all.
fn at_least(ratio: Ratio, claimed: f64) -> Finding {
    match ratio.judged() {
        None => Finding::NotMeasured,
        Some(ratio) if ratio >= claimed => Finding::Holds,
        Some(ratio) if ratio > 1.0 => Finding::InPart,
        Some(_) => Finding::NotHere,
    }
}
