//! Messages.

use super::{times, verdict};
use crate::costs::cell::{Cell, Cpus, Exchange, Plan};
use crate::costs::mechanism::Mechanism;
use crate::costs::method::LONG;
use crate::costs::result::{Figure, Rows};
use crate::costs::table::time;
use crate::format;
use crate::verdict::{Finding, Verdict};

/// A message on one CPU.
pub(super) fn exchange_cell(mechanism: Mechanism, plan: Plan, bytes: u32) -> Cell {
    Cell::Ipc(Exchange { mechanism, plan, bytes, cpus: Cpus::One })
}

/// "They have to cross the boundary between processes; where much data is exchanged that costs rather much."
pub(super) fn much_data(rows: Rows<'_>) -> Verdict {
    let found = || {
        let of = |mechanism, plan| exchange_cell(mechanism, plan, LONG);
        let within = of(Mechanism::Channel, Plan::Thread);
        let across = of(Mechanism::UnixStream, Plan::Process);
        let took = |cell| rows.median(cell, Figure::RoundTripNs).map(time);
        let ratio = rows.ratio(across, within, Figure::RoundTripNs)?;
        let mut text = format!(
            "{} there and back between two processes takes {} through a Unix stream, {}",
            format::bytes(LONG.into()),
            took(across)?,
            times(ratio, &format!("the {} of two threads, whose channel moves it", took(within)?))
        );
        let threads = of(Mechanism::UnixStream, Plan::Thread);
        if let (Some(took), Some(ratio)) = (took(threads), rows.ratio(across, threads, Figure::RoundTripNs)) {
            text += &format!(
                "; through such a stream threads take {took}, and processes {}",
                times(ratio, "that")
            );
        }
        let ring = of(Mechanism::RingAdaptive, Plan::Process);
        let by_ring = rows.ratio(ring, across, Figure::RoundTripNs);
        if let (Some(took), Some(ratio)) = (took(ring), by_ring) {
            text += &format!(
                ". Through a ring in memory that both have it takes {took}, {}",
                times(ratio, "the stream's")
            );
        }
        let finding = match ratio.judged() {
            None => Finding::NotMeasured,
            Some(ratio) if ratio <= 1.0 => Finding::NotHere,
            // What costs less is there for processes, too.
            Some(_)
                if by_ring.and_then(crate::statistics::Ratio::judged).is_some_and(|ratio| ratio < 0.5) =>
            {
                Finding::InPart
            }
            Some(_) => Finding::Holds,
        };
        Some((finding, text + "."))
    };
    verdict("To exchange much data across the boundary between processes costs much.", found())
}
