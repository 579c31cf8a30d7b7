//! The shared counter.

use super::verdict;
use crate::costs::cell::{Cell, Counter, Cpus, Guard, Plan};
use crate::costs::method::Method;
use crate::costs::result::{Figure, Rows};
use crate::costs::table::{percent, time};
use crate::verdict::{Finding, Verdict};

fn cell(method: &Method, plan: Plan, guard: Guard, cpus: Cpus) -> Cell {
    Cell::Counter(Counter { plan, guard, tasks: method.counting, cpus })
}

/// What was lost without a guard, on one CPU and on all: the most of all rounds, for losing is a matter of luck.
fn lost(method: &Method, rows: Rows<'_>, plan: Plan) -> (Option<f64>, Option<f64>) {
    let on = |cpus| Some(rows.spread(cell(method, plan, Guard::None, cpus), Figure::LostPart)?.high);
    (on(Cpus::One), on(Cpus::All))
}

/// The most of all rounds, in words.
fn up_to(part: f64) -> String {
    if part > 0.0 { format!("up to {}", percent(part)) } else { "none".to_owned() }
}

/// "Threads have to synchronise what they share."
pub(super) fn threads_need_locks(method: &Method, rows: Rows<'_>) -> Verdict {
    let found = || {
        let (one, all) = lost(method, rows, Plan::Thread);
        let one = one?;
        let mut text = format!(
            "{} threads without a guard lost {} of their additions on one CPU",
            method.counting,
            up_to(one)
        );
        if let Some(all) = all {
            text += &format!(", {} on all", up_to(all));
        }
        // That nothing was lost once does not show that nothing can be.
        let something = one > 0.0 || all.is_some_and(|all| all > 0.0);
        text += if something { "" } else { ", this time" };
        let of = |guard| rows.median(cell(method, Plan::Thread, guard, Cpus::One), Figure::TimeNs).map(time);
        if let (Some(lock), Some(atomic), Some(nothing)) =
            (of(Guard::Lock), of(Guard::Atomic), of(Guard::None))
        {
            text += &format!(
                ". An addition took {lock} under a lock, {atomic} if atomic, {nothing} with nothing"
            );
        }
        Some((if something { Finding::Holds } else { Finding::NotMeasured }, text + "."))
    };
    verdict("What threads share needs a lock, or it comes out wrong.", found())
}

/// "No cost of atomic operations, locks and synchronisation."
pub(super) fn coroutines_need_none(method: &Method, rows: Rows<'_>) -> Verdict {
    let found = || {
        let (one, all) = lost(method, rows, Plan::Coroutine);
        let one = one?;
        let mut text = format!(
            "{} coroutines of one worker, without a guard, lost {} of their additions",
            method.counting,
            up_to(one)
        );
        match all {
            Some(0.0) => text += "; with a worker on each CPU none either, this time",
            Some(all) => text += &format!("; with a worker on each CPU {}", up_to(all)),
            None => {}
        }
        Some((if one > 0.0 { Finding::NotHere } else { Finding::InPart }, text + "."))
    };
    verdict("Coroutines need no locks and no atomic operations.", found())
}
