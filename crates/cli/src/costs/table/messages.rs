//! The tables of messages.

use comfy_table::CellAlignment::{Left, Right};

use super::{figure, time};
use crate::costs::cell::{Cell, Cpus, Exchange, PLANS, Plan};
use crate::costs::method::{LONG, SHORT};
use crate::costs::result::{Costs, Figure, Rows};
use crate::format;
use crate::statistics::Spread;
use crate::text::{show, table, wrap};

/// The tables of the part.
pub(super) fn messages(costs: &Costs) -> String {
    let [short, long] = [SHORT, LONG].map(|bytes| format::bytes(bytes.into()));
    let mut text = String::from("\n");
    text += &wrap(
        &format!(
            "Messages there and back: of {short}, or such as carry nothing. On two CPUs each of the two tasks has one of its \
             own."
        ),
        "",
    );
    text += &there_and_back(costs, Figure::RoundTripNs);
    text += "\nThe CPU time of it, of both tasks\n";
    text += &there_and_back(costs, Figure::RoundTripCpuNs);
    for (cpus, name) in [(Cpus::One, "one CPU"), (Cpus::Two, "two CPUs")] {
        text += "\n";
        text += &wrap(
            &format!(
                "Messages one way, on {name}: time for one of {short}; with {long} each, what goes in a second"
            ),
            "",
        );
        text += &one_way(costs, cpus);
    }
    text + &wrap(
        "In a ring a message is written in place, and looked at there. Within a process a channel moves it, and copies \
             nothing; so does a topic with one subscriber. All lengths, with their spreads: --json, --report.",
        "",
    )
}

/// A figure of a cell; a message that carries nothing has no length.
fn spread(costs: &Costs, exchange: Exchange, figure: Figure) -> Option<Spread> {
    let bytes = if exchange.mechanism.carries_bytes() { exchange.bytes } else { 0 };
    Rows(&costs.rows).spread(Cell::Ipc(Exchange { bytes, ..exchange }), figure)
}

/// The three plans on one CPU and on two.
fn there_and_back(costs: &Costs, wanted: Figure) -> String {
    let columns = [Cpus::One, Cpus::Two].map(|cpus| PLANS.map(|plan| (plan, cpus))).concat();
    let name = |&(plan, cpus): &(Plan, Cpus)| {
        format!("{plan},\n{}", if cpus == Cpus::One { "one CPU" } else { "two CPUs" })
    };
    let names: Vec<String> = columns.iter().map(name).collect();
    let mut header = vec![("by", Left)];
    header.extend(names.iter().map(|name| (name.as_str(), Right)));
    let mut table = table(&header);
    for &mechanism in &costs.method.mechanisms {
        let cell = |&(plan, cpus): &(Plan, Cpus)| {
            figure(spread(costs, Exchange { mechanism, plan, bytes: SHORT, cpus }, wanted), time)
        };
        let mut cells = vec![mechanism.name().to_owned()];
        cells.extend(columns.iter().map(cell));
        table.add_row(cells);
    }
    show(&table)
}

/// The three plans, short messages and long ones.
fn one_way(costs: &Costs, cpus: Cpus) -> String {
    let columns = [SHORT, LONG].map(|bytes| PLANS.map(|plan| (plan, bytes))).concat();
    let name =
        |&(plan, bytes): &(Plan, u32)| format!("{plan},\n{}", format::bytes(bytes.into()).replace(".00", ""));
    let names: Vec<String> = columns.iter().map(name).collect();
    let mut header = vec![("by", Left)];
    header.extend(names.iter().map(|name| (name.as_str(), Right)));
    let mut table = table(&header);
    for mechanism in costs.method.mechanisms.iter().copied().filter(|mechanism| mechanism.carries_bytes()) {
        let cell = |&(plan, bytes): &(Plan, u32)| {
            let exchange = Exchange { mechanism, plan, bytes, cpus };
            if bytes == LONG {
                figure(spread(costs, exchange, Figure::BytesPerSecond), per_second)
            } else {
                figure(spread(costs, exchange, Figure::MessageNs), time)
            }
        };
        let mut cells = vec![mechanism.name().to_owned()];
        cells.extend(columns.iter().map(cell));
        table.add_row(cells);
    }
    show(&table)
}

/// A rate, as short as a column wants it.
fn per_second(bytes: f64) -> String {
    format::bytes(bytes) + "/s"
}
