//! Creation and switches.

use super::{at_least, times, verdict};
use crate::costs::cell::{Cell, Cpus, Creation, Creator, How, Plan, Switch, Worst};
use crate::costs::method::Method;
use crate::costs::result::{Figure, Rows};
use crate::costs::table::time;
use crate::format;
use crate::verdict::{Finding, Verdict};

/// The texts' figures, of Solaris.
const CREATION_CLAIMED: f64 = 30.0;
const SWITCH_CLAIMED: f64 = 5.0;
/// Memory that is really cold takes more than so many times as long to touch as memory in the nearer caches.
const VOID: f64 = 10.0;
/// So much longer is no more than noise and the order of touching.
const DISTURBED: f64 = 1.5;
/// A longest case that is so many times the usual one is no bound to build on.
const UNBOUNDED: f64 = 100.0;

fn creation_cell(by: Creator, together: u32) -> Cell {
    Cell::Creation(Creation { by, together, cpus: Cpus::One })
}

/// A switch with so much touched after it.
pub(super) fn switch_cell(plan: Plan, how: How, working_set: u32) -> Cell {
    Cell::Switch(Switch { plan, how, working_set })
}

/// "Creating a process is 30 times slower than creating a thread."
pub(super) fn creation(rows: Rows<'_>) -> Verdict {
    let found = || {
        let [process, thread] = [Creator::Process, Creator::Thread];
        let one = |by| creation_cell(by, 1);
        let batch = |by: Creator| creation_cell(by, by.batch());
        let ratio = rows.ratio(one(process), one(thread), Figure::TimeNs)?;
        let of = |cell| rows.median(cell, Figure::TimeNs);
        let mut text = format!(
            "a process, which is this program started anew, takes {}: {}",
            time(of(one(process))?),
            times(ratio, &format!("a thread's {}", time(of(one(thread))?)))
        );
        if let Some(ratio) = rows.ratio(batch(process), batch(thread), Figure::TimeNs) {
            text += &format!("; in batches {}", times(ratio, "a thread's"));
        }
        let pool = one(Creator::Pool);
        if let (Some(ratio), Some(took)) = (rows.ratio(pool, one(thread), Figure::TimeNs), of(pool)) {
            let took = time(took);
            text += &format!(
                ". One that waits in a pool runs a function in {took}, {}",
                times(ratio, "a thread's")
            );
        }
        let coroutine = one(Creator::Coroutine);
        if let (Some(ratio), Some(took)) = (rows.ratio(one(thread), coroutine, Figure::TimeNs), of(coroutine))
        {
            text += &format!(". A thread takes {}", times(ratio, &format!("a coroutine's {}", time(took))));
        }
        Some((at_least(ratio, CREATION_CLAIMED), text + "."))
    };
    verdict("To create a process takes 30 times as long as to create a thread.", found())
}

/// "A process switch is 5 times slower than a thread switch."
pub(super) fn process_switch(method: &Method, rows: Rows<'_>) -> Verdict {
    let found = || {
        let both = |how, set| {
            let [process, thread] = [Plan::Process, Plan::Thread].map(|plan| switch_cell(plan, how, set));
            let ratio = rows.ratio(process, thread, Figure::TimeNs)?;
            let [one, other] = [process, thread].map(|cell| rows.median(cell, Figure::TimeNs));
            Some((ratio, time(one?), time(other?)))
        };
        let (ratio, process, thread) = both(How::Socket, 0)?;
        let mut text =
            format!("by the same socket {process}, {}", times(ratio, &format!("a thread's {thread}")));
        for set in &method.working_sets[1..] {
            let cells = [Plan::Process, Plan::Thread].map(|plan| switch_cell(plan, How::Socket, *set));
            let [process, thread] = cells.map(|cell| rows.median(cell, Figure::WithoutTouchingNs));
            if let (Some(process), Some(thread)) = (process, thread) {
                text += &format!(
                    "; with {} touched after it, the touching taken out, {} and {}",
                    format::bytes((*set).into()),
                    time(process),
                    time(thread)
                );
            }
        }
        if let Some((ratio, process, thread)) = both(How::KernelYield, 0) {
            text +=
                &format!("; sched_yield alone {process}, {}", times(ratio, &format!("a thread's {thread}")));
        }
        Some((at_least(ratio, SWITCH_CLAIMED), text + "."))
    };
    verdict("To switch between processes takes 5 times as long as between threads.", found())
}

/// "Cost of a switch: process high, thread medium, coroutine low."
pub(super) fn low_medium_high(rows: Rows<'_>) -> Verdict {
    let found = || {
        let socket = |plan| switch_cell(plan, How::Socket, 0);
        let own = |plan| switch_cell(plan, How::Own, 0);
        let of = |cell| rows.median(cell, Figure::TimeNs);
        let first = rows.ratio(socket(Plan::Process), socket(Plan::Thread), Figure::TimeNs)?;
        let second = rows.ratio(socket(Plan::Coroutine), socket(Plan::Thread), Figure::TimeNs)?;
        let best = rows.ratio(own(Plan::Thread), own(Plan::Coroutine), Figure::TimeNs)?;
        let text = format!(
            "by the same socket a process takes {}, a thread {}, a coroutine {}, for all three enter the kernel to \
             write and to read; each in its own way, a coroutine yields in {}, and a thread's {} to unpark another and \
             to park is {}.",
            time(of(socket(Plan::Process))?),
            time(of(socket(Plan::Thread))?),
            time(of(socket(Plan::Coroutine))?),
            time(of(own(Plan::Coroutine))?),
            time(of(own(Plan::Thread))?),
            times(best, "that")
        );
        let finding = match (first.judged(), second.judged(), best.judged()) {
            (Some(process), Some(coroutine), Some(best))
                if process > 1.0 && coroutine < 1.0 && best > 1.0 =>
            {
                Finding::Holds
            }
            (Some(_), Some(_), Some(best)) if best > 1.0 => Finding::InPart,
            (Some(_), Some(_), Some(_)) => Finding::NotHere,
            _ => Finding::NotMeasured,
        };
        Some((finding, text))
    };
    verdict(
        "A switch costs much between processes, less between threads, little between coroutines.",
        found(),
    )
}

/// "With a switch all cached addresses become void in an instant."
pub(super) fn caches(method: &Method, rows: Rows<'_>) -> Verdict {
    let found = || {
        let set = method.working_sets[1];
        let after = |plan, how| {
            let cell = switch_cell(plan, how, set);
            let touching = rows.spread(cell, Figure::TouchingNs).filter(|spread| spread.rounds > 1)?;
            let nothing = rows.median(switch_cell(plan, how, 0), Figure::TimeNs)?;
            let slower = rows.median(cell, Figure::WithoutTouchingNs)? - nothing;
            Some((touching.median, touching.median + slower))
        };
        let (touching, touched) = after(Plan::Process, How::Socket)?;
        let factor = touched / touching;
        let mut text = format!(
            "two processes touch {} each in {} where nobody switches, and in {} after a switch: {} times",
            format::bytes(set.into()),
            time(touching),
            time(touched),
            format::ratio(factor)
        );
        if let Some((touching, touched)) = after(Plan::Coroutine, How::Own) {
            text +=
                &format!("; two coroutines, which share all, {} times", format::ratio(touched / touching));
        }
        let finding = if factor >= VOID {
            Finding::Holds
        } else if factor >= DISTURBED {
            Finding::InPart
        } else {
            Finding::NotHere
        };
        Some((finding, text + "."))
    };
    verdict("With a switch everything in the processor's caches becomes void in an instant.", found())
}

/// "Coroutines can be used for hard real time."
pub(super) fn real_time(rows: Rows<'_>) -> Verdict {
    let found = || {
        let cell = |hog| Cell::Worst(Worst { plan: Plan::Coroutine, how: How::Own, hog });
        let usual = rows.median(cell(false), Figure::P50Ns)?;
        let longest = |hog| Some(rows.spread(cell(hog), Figure::MaxNs)?.high);
        let (alone, beside) = (longest(false)?, longest(true)?);
        let text = format!(
            "two coroutines go there and back in {} at the usual, in {} at the longest, and in {} where a thread that \
             computes has the same CPU: below them the kernel schedules a thread.",
            time(usual),
            time(alone),
            time(beside)
        );
        let unbounded = alone.max(beside) >= UNBOUNDED * usual.max(1.0);
        Some((if unbounded { Finding::NotHere } else { Finding::InPart }, text))
    };
    verdict("Coroutines can be used for hard real time, for a switch needs no system call.", found())
}
