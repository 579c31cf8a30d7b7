//! Rows with fixed figures, for tests.

use crate::costs::cell::{Cell, PARTS};
use crate::costs::mechanism::MECHANISMS;
use crate::costs::method::Method;
use crate::costs::result::{Figure, Figures, Outcome, Row};

/// The method for two CPUs, three rounds.
pub(crate) fn method() -> Method {
    Method::new(false, Some(3), PARTS.to_vec(), MECHANISMS.to_vec(), vec![0, 1])
}

/// A row whose figures had these values, one a round.
pub(crate) fn row(cell: Cell, figures: &[(Figure, &[f64])]) -> Row {
    let rounds = figures.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let outcome = |round: usize| {
        let values = figures.iter().filter_map(|(figure, values)| Some((*figure, *values.get(round)?)));
        Outcome::Measured(values.collect::<Figures>())
    };
    Row::of(cell, &(0..rounds).map(outcome).collect::<Vec<_>>())
}
