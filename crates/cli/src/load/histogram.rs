//! Latencies in a histogram, and when a percentile of them may be spoken.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The bounds of the histogram in nanoseconds: what is outside counts as the bound.
const LOWEST: u64 = 1_000;
const HIGHEST: u64 = 120_000_000_000;

/// Two significant digits: a value is exact within 1 %, and a histogram stays a few kilobytes of JSON.
const DIGITS: u8 = 2;

/// A percentile needs this many samples beyond it: with fewer it is the luck of a handful of requests.
const SAMPLES_BEYOND: u64 = 10;

/// How long requests took.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    /// No latencies yet.
    pub(crate) fn new() -> Self {
        Self {
            histogram: Histogram::new_with_bounds(LOWEST, HIGHEST, DIGITS)
                .expect("the bounds are constants that hdrhistogram accepts"),
        }
    }

    /// Counts one latency.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.histogram.saturating_record(nanoseconds);
    }

    /// Counts all of `other` too.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all of these have the same bounds");
    }

    /// How many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency in microseconds that the fraction `quantile` of all requests did not exceed; `None` with fewer than
    /// ten samples beyond it.
    pub(crate) fn quantile_us(&self, quantile: f64) -> Option<f64> {
        // 10,000 * (1 - 0.999) is a little less than 10 in floating point, and must be 10.
        let beyond = (self.count() as f64 * (1.0 - quantile) + 1e-6) as u64;
        (beyond >= SAMPLES_BEYOND).then(|| self.histogram.value_at_quantile(quantile) as f64 / 1_000.0)
    }
}

/// The filled buckets, as `[microseconds, count]`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Buckets(Vec<(f64, u64)>);

impl Serialize for Latencies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Buckets(
            self.histogram
                .iter_recorded()
                .map(|bucket| (bucket.value_iterated_to() as f64 / 1_000.0, bucket.count_at_value()))
                .collect(),
        )
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut latencies = Self::new();
        for (microseconds, count) in Buckets::deserialize(deserializer)?.0 {
            latencies.histogram.saturating_record_n((microseconds * 1_000.0) as u64, count);
        }
        Ok(latencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        values.into_iter().for_each(|value| latencies.record(value));
        latencies
    }

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        let short = of((1..=9_994).map(|i| i * 1_000));
        assert!(short.quantile_us(0.99).is_some());
        assert_eq!(short.quantile_us(0.999), None);
        let long = of((1..=10_000).map(|i| i * 1_000));
        let p999 = long.quantile_us(0.999).unwrap();
        assert!((9_890.0..=10_100.0).contains(&p999), "{p999}");
        assert_eq!(Latencies::new().quantile_us(0.5), None);
    }

    #[test]
    fn a_histogram_survives_json_and_merging() {
        let mut one = of((0..1_000).map(|i| 1_000_000 + i * 7_000));
        let json = serde_json::to_string(&one).unwrap();
        let back: Latencies = serde_json::from_str(&json).unwrap();
        assert_eq!(back.count(), 1_000);
        assert_eq!(back.quantile_us(0.9), one.quantile_us(0.9));
        one.merge(&back);
        assert_eq!(one.count(), 2_000);
    }

    #[test]
    fn what_is_out_of_bounds_is_counted_at_the_bound() {
        let latencies = of(std::iter::repeat_n(u64::MAX, 20));
        let p50 = latencies.quantile_us(0.5).unwrap();
        assert!((1.2e8..1.3e8).contains(&p50), "{p50}");
    }
}
