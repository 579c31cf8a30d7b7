//! Medians, spreads and what may be concluded from them.
//!
//! A few rounds on a shared machine carry no normal distribution, so nothing here assumes one: a spread is the
//! smallest and the largest value, and an interval comes from the order of the values alone.

use serde::{Deserialize, Serialize};

/// The median of several rounds with the smallest and the largest of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// The middle value; with an even number of values the mean of the two middle ones.
    pub(crate) median: f64,
    /// The smallest value.
    pub(crate) low: f64,
    /// The largest value.
    pub(crate) high: f64,
    /// How many values there were.
    pub(crate) rounds: usize,
}

impl Spread {
    /// The spread of `values`; `None` without any. Values that are no numbers are left out.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values = sorted(values);
        Some(Self {
            median: median_of_sorted(&values)?,
            low: *values.first()?,
            high: *values.last()?,
            rounds: values.len(),
        })
    }

    /// Whether the two spreads have a value in common.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// How one spread compares with another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "ratio")]
pub(crate) enum Ratio {
    /// The spreads overlap.
    NoDifference,
    /// The spreads lie apart: the ratio of the medians.
    Differs(f64),
    /// A single round has no spread: the ratio is what it is, and nothing is concluded.
    Unjudged(f64),
}

impl Ratio {
    /// Compares `value` with `baseline`; `None` when the baseline is nothing.
    pub(crate) fn between(value: &Spread, baseline: &Spread) -> Option<Self> {
        if baseline.median <= 0.0 {
            return None;
        }
        let ratio = value.median / baseline.median;
        Some(if value.rounds < 2 || baseline.rounds < 2 {
            Self::Unjudged(ratio)
        } else if value.overlaps(baseline) {
            Self::NoDifference
        } else {
            Self::Differs(ratio)
        })
    }

    /// The ratio where one may be concluded: 1 for no difference.
    pub(crate) fn judged(self) -> Option<f64> {
        match self {
            Self::NoDifference => Some(1.0),
            Self::Differs(ratio) => Some(ratio),
            Self::Unjudged(_) => None,
        }
    }
}

/// A median with an interval that holds the true one with at least the given confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    /// The median of the values.
    pub(crate) median: f64,
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
    /// The chance that such an interval holds the true median, from 0 to 1.
    pub(crate) confidence: f64,
    /// How many values there were.
    pub(crate) values: usize,
}

/// What an interval should reach if there are rounds enough.
const CONFIDENCE_WANTED: f64 = 0.95;

impl Interval {
    /// The sign-test interval of the median: from the k-th smallest to the k-th largest value, with the largest k that
    /// still gives 95 %. Six values are the fewest that can; with fewer it is the whole spread, and its lower
    /// confidence is stated.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values = sorted(values);
        let median = median_of_sorted(&values)?;
        let count = values.len();
        let mut outside = 0;
        while 2 * (outside + 1) < count && sign_confidence(count, outside + 1) >= CONFIDENCE_WANTED {
            outside += 1;
        }
        Some(Self {
            median,
            low: values[outside],
            high: values[count - 1 - outside],
            confidence: sign_confidence(count, outside),
            values: count,
        })
    }

    /// Whether the whole interval lies within `tolerance` of 1.
    pub(crate) fn is_within(&self, tolerance: f64) -> bool {
        self.low >= 1.0 - tolerance && self.high <= 1.0 + tolerance
    }
}

/// The chance that the true median of `count` values lies between the values that remain when `outside` are cut off
/// at each end: one minus twice the chance of so few heads in `count` tosses of a coin.
fn sign_confidence(count: usize, outside: usize) -> f64 {
    let mut ways = 1.0;
    let mut tail = 0.0;
    for heads in 0..=outside {
        tail += ways;
        ways *= (count - heads) as f64 / (heads + 1) as f64;
    }
    let all = 2_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    (1.0 - 2.0 * tail / all).max(0.0)
}

/// The median of `values`, in any order.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    median_of_sorted(&sorted(values))
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median_of_sorted(values: &[f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        None
    } else if values.len() % 2 == 1 {
        Some(values[middle])
    } else {
        Some(f64::midpoint(values[middle - 1], values[middle]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(low: f64, median: f64, high: f64) -> Spread {
        Spread::of([low, median, high]).unwrap()
    }

    #[test]
    fn a_spread_is_median_smallest_and_largest() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, low: 1.0, high: 3.0, rounds: 3 }));
        assert_eq!(Spread::of([1.0, 3.0]).unwrap().median, 2.0);
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn a_difference_is_one_only_where_the_spreads_lie_apart() {
        let thread = spread(90.0, 100.0, 110.0);
        let near = spread(105.0, 120.0, 130.0);
        let far = spread(190.0, 200.0, 230.0);
        assert_eq!(Ratio::between(&near, &thread), Some(Ratio::NoDifference));
        assert_eq!(Ratio::between(&far, &thread), Some(Ratio::Differs(2.0)));
        assert_eq!(Ratio::between(&thread, &far), Some(Ratio::Differs(0.5)));
    }

    #[test]
    fn one_round_is_not_judged_and_nothing_is_not_divided_by() {
        let once = Spread::of([100.0]).unwrap();
        let thrice = spread(1.0, 2.0, 3.0);
        assert_eq!(Ratio::between(&once, &thrice), Some(Ratio::Unjudged(50.0)));
        assert_eq!(Ratio::Unjudged(50.0).judged(), None);
        let nothing = Spread::of([0.0]).unwrap();
        assert_eq!(Ratio::between(&once, &nothing), None);
    }

    #[test]
    fn the_interval_says_how_sure_it_is() {
        let three = Interval::of([1.0, 1.1, 0.9]).unwrap();
        assert_eq!((three.low, three.high), (0.9, 1.1));
        assert!((three.confidence - 0.75).abs() < 1e-9, "{three:?}");

        let six = Interval::of((0..6).map(f64::from)).unwrap();
        assert_eq!((six.low, six.high), (0.0, 5.0));
        assert!((six.confidence - 0.96875).abs() < 1e-9, "{six:?}");

        // The textbook's table of the sign test: n = 10 cuts one value off at each end, at 97.9 %.
        let ten = Interval::of((0..10).map(f64::from)).unwrap();
        assert_eq!((ten.low, ten.high), (1.0, 8.0));
        assert!((ten.confidence - 0.978_515_625).abs() < 1e-9, "{ten:?}");

        let one = Interval::of([2.0]).unwrap();
        assert_eq!(one.confidence, 0.0);
        assert_eq!(Interval::of([]), None);
    }

    #[test]
    fn within_ten_percent_means_the_whole_interval() {
        assert!(Interval::of([0.95, 1.0, 1.09]).unwrap().is_within(0.10));
        assert!(!Interval::of([0.95, 1.0, 1.11]).unwrap().is_within(0.10));
        assert!(!Interval::of([0.89, 1.0, 1.01]).unwrap().is_within(0.10));
    }
}
