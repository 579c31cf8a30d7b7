//! The results as plain data: what `--json` writes and what tables, verdicts and report are made from.
//!
//! `README.md` beside this file documents the JSON. A field that changes its meaning or goes away raises [`SCHEMA`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::costs::cell::Cell;
use crate::costs::method::Method;
use crate::machine::Machine;
use crate::statistics::{Ratio, Spread};
use crate::verdict::Verdict;

/// The version of the JSON document.
pub(crate) const SCHEMA: u32 = 1;

/// Everything that was found out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Costs {
    /// [`SCHEMA`].
    pub(crate) schema: u32,
    /// Where it was measured.
    pub(crate) machine: Machine,
    /// How it was measured.
    pub(crate) method: Method,
    /// Each cell, its rounds put together.
    pub(crate) rows: Vec<Row>,
    /// The part of the CPU that other programs had while two tasks switched without a pause; `None` without such cells.
    pub(crate) others: Option<f64>,
    /// What the texts say and what this machine says.
    pub(crate) verdicts: Vec<Verdict>,
    /// A sentence that is true.
    pub(crate) in_short: String,
    /// Whether Ctrl-C ended the run.
    pub(crate) interrupted: bool,
}

/// Something that is measured. Times are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Of one task, one switch with what is touched after it, one addition.
    TimeNs,
    /// Of touching as much without a switch.
    TouchingNs,
    /// The difference of the two.
    WithoutTouchingNs,
    /// Switches that the kernel made, by task or switch.
    KernelSwitches,
    /// The part of the CPU that other programs had, from 0 to 1.
    OthersPart,
    /// Half of all took no longer.
    P50Ns,
    /// 99 of 100 took no longer.
    P99Ns,
    /// 9,999 of 10,000 took no longer; absent where fewer were timed.
    P9999Ns,
    /// None took longer.
    MaxNs,
    /// So many were timed.
    Samples,
    /// Memory that a task makes the machine back with pages: its share of what is resident (PSS), page tables, the kernel's
    /// stack.
    TouchedBytes,
    /// What of that is resident and nobody else's.
    PrivateBytes,
    /// Addresses that a task reserves.
    ReservedBytes,
    /// Additions.
    Additions,
    /// The part of the additions that is missing in the counter, from 0 to 1.
    LostPart,
    /// A message there and one back.
    RoundTripNs,
    /// CPU time of both tasks for that.
    RoundTripCpuNs,
    /// A message of many that go one way.
    MessageNs,
    /// CPU time of both tasks for that.
    MessageCpuNs,
    /// What goes one way in a second.
    BytesPerSecond,
}

/// What a cell gave in one round.
pub(crate) type Figures = BTreeMap<Figure, f64>;

/// How a cell went in one round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It was measured.
    Measured(Figures),
    /// This machine cannot run it.
    Impossible(String),
    /// It failed.
    Broken(String),
}

/// A cell, its rounds put together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) cell: Cell,
    /// The figures: median, smallest, largest, number of rounds.
    pub(crate) figures: BTreeMap<Figure, Spread>,
    /// Why this machine cannot run it.
    pub(crate) obstacle: Option<String>,
    /// How it failed.
    pub(crate) broken: Option<String>,
}

impl Row {
    /// The rounds of one cell.
    pub(crate) fn of(cell: Cell, outcomes: &[Outcome]) -> Self {
        let mut values: BTreeMap<Figure, Vec<f64>> = BTreeMap::new();
        let (mut obstacle, mut broken) = (None, None);
        for outcome in outcomes {
            match outcome {
                Outcome::Measured(figures) => {
                    figures
                        .iter()
                        .for_each(|(&figure, &value)| values.entry(figure).or_default().push(value));
                }
                Outcome::Impossible(reason) => obstacle = Some(reason.clone()),
                Outcome::Broken(reason) => broken = Some(reason.clone()),
            }
        }
        let spread = |(figure, values)| Some((figure, Spread::of(values)?));
        Self { cell, figures: values.into_iter().filter_map(spread).collect(), obstacle, broken }
    }

    /// The spread of a figure.
    pub(crate) fn spread(&self, figure: Figure) -> Option<Spread> {
        self.figures.get(&figure).copied()
    }
}

/// The rows, to be asked for figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a>(pub(crate) &'a [Row]);

impl Rows<'_> {
    /// The row of a cell.
    pub(crate) fn row(&self, cell: Cell) -> Option<&Row> {
        self.0.iter().find(|row| row.cell == cell)
    }

    /// A figure of a cell.
    pub(crate) fn spread(&self, cell: Cell, figure: Figure) -> Option<Spread> {
        self.row(cell)?.spread(figure)
    }

    /// The median of a figure of a cell.
    pub(crate) fn median(&self, cell: Cell, figure: Figure) -> Option<f64> {
        Some(self.spread(cell, figure)?.median)
    }

    /// How a figure of one cell compares with that of another.
    pub(crate) fn ratio(&self, cell: Cell, baseline: Cell, figure: Figure) -> Option<Ratio> {
        Ratio::between(&self.spread(cell, figure)?, &self.spread(baseline, figure)?)
    }
}

/// The median over the cells of the part that other programs had.
pub(crate) fn others(rows: &[Row]) -> Option<f64> {
    let parts = rows.iter().filter_map(|row| row.spread(Figure::OthersPart)).map(|spread| spread.median);
    crate::statistics::median(parts)
}
