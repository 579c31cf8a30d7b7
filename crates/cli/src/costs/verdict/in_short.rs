//! The last sentence: true whatever was measured.

use super::exchange::exchange_cell;
use super::time::switch_cell;
use crate::costs::cell::{Cell, Cpus, Creation, Creator, Guard, How, Plan, Worst};
use crate::costs::mechanism::Mechanism;
use crate::costs::method::SHORT;
use crate::costs::result::{Figure, Row, Rows};
use crate::costs::table::{percent, time};
use crate::format;

/// "In short: ..." for these rows.
pub(crate) fn in_short(rows: &[Row]) -> String {
    let all = Rows(rows);
    let mut parts = Vec::new();
    parts.extend(created(all));
    parts.extend(switched(all));
    parts.extend(longest(all));
    parts.extend(waited(rows));
    parts.extend(counted(rows));
    parts.extend(exchanged(all));
    if parts.is_empty() {
        let reason = rows.iter().find_map(|row| row.broken.as_ref().or(row.obstacle.as_ref()));
        return match reason {
            Some(reason) if rows.iter().all(|row| row.figures.is_empty()) => {
                format!("In short: nothing could be measured: {reason}.")
            }
            _ => "In short: too little was measured to say.".to_owned(),
        };
    }
    format!("In short: {}.", parts.join("; "))
}

/// What it takes to create each.
fn created(rows: Rows<'_>) -> Option<String> {
    let of = |by| {
        let cell = Cell::Creation(Creation { by, together: 1, cpus: Cpus::One });
        rows.median(cell, Figure::TimeNs)
    };
    let (process, thread, coroutine) = (of(Creator::Process)?, of(Creator::Thread)?, of(Creator::Coroutine)?);
    Some(format!(
        "to spawn and join a process takes {}, a thread {}, a coroutine {}",
        time(process),
        time(thread),
        time(coroutine)
    ))
}

/// What it takes to switch.
fn switched(rows: Rows<'_>) -> Option<String> {
    let of = |plan, how| rows.median(switch_cell(plan, how, 0), Figure::TimeNs).map(time);
    Some(format!(
        "to switch by the same means {}, {} and {}, in a thread's own way {}, in a coroutine's {}",
        of(Plan::Process, How::Socket)?,
        of(Plan::Thread, How::Socket)?,
        of(Plan::Coroutine, How::Socket)?,
        of(Plan::Thread, How::Own)?,
        of(Plan::Coroutine, How::Own)?
    ))
}

/// What it takes to wait.
fn waited(rows: &[Row]) -> Option<String> {
    let of = |wanted| {
        let row =
            rows.iter().find(|row| matches!(row.cell, Cell::Memory(memory) if memory.plan == wanted))?;
        Some(format::bytes(row.spread(Figure::TouchedBytes)?.median))
    };
    Some(format!(
        "to wait {}, {} and {} of memory",
        of(Plan::Process)?,
        of(Plan::Thread)?,
        of(Plan::Coroutine)?
    ))
}

/// What a switch can take.
fn longest(rows: Rows<'_>) -> Option<String> {
    let of = |plan, how| {
        let cell = Cell::Worst(Worst { plan, how, hog: true });
        rows.median(cell, Figure::MaxNs).map(time)
    };
    Some(format!(
        "beside a hog the longest switch of threads took {}, of coroutines {}",
        of(Plan::Thread, How::Socket)?,
        of(Plan::Coroutine, How::Own)?
    ))
}

/// What comes of counting without a guard: the most that was lost.
fn counted(rows: &[Row]) -> Option<String> {
    let lost = |wanted| {
        let cells = rows.iter().filter(|row| {
            matches!(row.cell, Cell::Counter(counter) if counter.plan == wanted && counter.guard == Guard::None)
        });
        let highest = cells.filter_map(|row| Some(row.spread(Figure::LostPart)?.high));
        highest.reduce(f64::max).map(percent)
    };
    Some(format!(
        "counting without a guard, processes lost {} of what they added, threads {}, coroutines {}",
        lost(Plan::Process)?,
        lost(Plan::Thread)?,
        lost(Plan::Coroutine)?
    ))
}

/// What a short message takes that is answered.
fn exchanged(rows: Rows<'_>) -> Option<String> {
    let of =
        |mechanism, plan| rows.median(exchange_cell(mechanism, plan, SHORT), Figure::RoundTripNs).map(time);
    Some(format!(
        "a message there and back between processes takes {} through pipes, {} through rings, between coroutines {} through \
         channels",
        of(Mechanism::Pipe, Plan::Process)?,
        of(Mechanism::RingAdaptive, Plan::Process)?,
        of(Mechanism::Channel, Plan::Coroutine)?
    ))
}
