//! Medians, and what a series of paired ratios allows to say.
//!
//! Rounds are interleaved: in each, every contender runs once, under the same neighbours and the same clock frequency. So the
//! ratio within a round says more than the ratio of two averages, and the interval is one of these ratios. It is the one
//! that belongs to the sign test, from the k-th smallest to the k-th largest: it assumes nothing of how the ratios are
//! distributed (Conover, Practical Nonparametric Statistics, 3rd edition, section 3.2).

use serde::Serialize;

/// The middle, and the ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// How one contender does beside another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub median: f64,
    /// Holds the true median in 95 of 100 cases at least; none with fewer than 6 rounds.
    pub interval: Option<(f64, f64)>,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The whole interval is below 1.
    Ahead,
    Behind,
    Tie,
    TooFewRounds,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Some(Self { median: median(&sorted)?, least: *sorted.first()?, most: *sorted.last()? })
    }
}

impl Ratio {
    /// Of `ours` to `theirs`, round by round; where one of them failed the round is left out.
    pub(crate) fn of(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<Self> {
        let ratios = ours.iter().zip(theirs).filter_map(|pair| match pair {
            (Some(ours), Some(theirs)) if *theirs > 0.0 => Some(ours / theirs),
            _ => None,
        });
        let sorted = sorted(&ratios.collect::<Vec<_>>());
        let interval = rank(sorted.len()).map(|k| (sorted[k - 1], sorted[sorted.len() - k]));
        let verdict = match interval {
            None => Verdict::TooFewRounds,
            Some((_, high)) if high < 1.0 => Verdict::Ahead,
            Some((low, _)) if low > 1.0 => Verdict::Behind,
            Some(_) => Verdict::Tie,
        };
        Some(Self { median: median(&sorted)?, interval, verdict })
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The largest k for which at most 2.5 % of series of `n` have fewer than k values below their true median.
fn rank(n: usize) -> Option<usize> {
    let mut probability = 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut below = 0.0;
    for k in 0..n {
        below += probability;
        if below > 0.025 {
            return (k > 0).then_some(k);
        }
        probability *= (n - k) as f64 / (k + 1) as f64;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Conover, table A3: ranks of the interval for the median.
    #[test]
    fn the_ranks_are_those_of_the_sign_test() {
        let ranks: Vec<_> = [1, 5, 6, 8, 9, 11, 12, 15, 17, 20, 25].into_iter().map(rank).collect();
        let expected = [0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 8].map(|k| (k > 0).then_some(k));
        assert_eq!(ranks, expected);
    }

    #[test]
    fn a_ratio_is_paired() {
        let theirs: Vec<_> = (1..=15).map(|n| Some(f64::from(n) * 100.0)).collect();
        let ours: Vec<_> = (1..=15).map(|n| Some(f64::from(n) * 90.0)).collect();
        let ratio = Ratio::of(&ours, &theirs).unwrap();
        assert!((ratio.median - 0.9).abs() < 1e-9);
        assert_eq!(ratio.verdict, Verdict::Ahead);
        assert_eq!(Ratio::of(&theirs, &ours).unwrap().verdict, Verdict::Behind);
        assert_eq!(Ratio::of(&ours, &ours).unwrap().verdict, Verdict::Tie);
        assert_eq!(Ratio::of(&ours[..5], &theirs).unwrap().verdict, Verdict::TooFewRounds);
    }

    #[test]
    fn a_round_that_failed_is_left_out() {
        let ratio = Ratio::of(&[Some(1.0), None, Some(3.0)], &[Some(2.0), Some(1.0), Some(2.0)]).unwrap();
        assert_eq!(ratio.median, 1.0);
        assert!(Ratio::of(&[None], &[Some(1.0)]).is_none());
        assert!(Spread::of(&[]).is_none());
    }
}
