//! From values to places: linear and logarithmic scales with ticks at round numbers.

/// How values spread over a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// Equal steps, from zero.
    Linear,
    /// Equal ratios, ticks at 1, 2, 5 or at powers of ten.
    Decimal,
    /// Equal ratios, ticks at powers of four or sixteen: for bytes.
    Binary,
}

/// Maps values to places.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    spacing: Spacing,
    low: f64,
    high: f64,
    /// Where `low` and `high` are drawn.
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

/// About so many ticks fit on an axis.
const TICKS_WANTED: usize = 6;

impl Scale {
    /// A scale that shows all `values` between the places `from` and `to`. Values that a logarithm does not have are
    /// left out.
    pub(crate) fn new(spacing: Spacing, values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let usable = |value: &f64| value.is_finite() && (spacing == Spacing::Linear || *value > 0.0);
        let values: Vec<f64> = values.into_iter().filter(usable).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (least, most) = if values.is_empty() { (1.0, 1.0) } else { (least, most) };
        let ticks = match spacing {
            Spacing::Linear => linear_ticks(most),
            Spacing::Decimal => decimal_ticks(least, most),
            Spacing::Binary => binary_ticks(least, most),
        };
        // `*_ticks` give two at least.
        let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
        Self { spacing, low, high, from, to, ticks }
    }

    /// A logarithmic scale over given values, with a tick at each of them: for the numbers of users.
    pub(crate) fn at_values(values: &[f64], from: f64, to: f64) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min).max(1.0);
        let high = values.iter().copied().fold(1.0, f64::max);
        // One value alone stands in the middle.
        let (low, high) = if low < high { (low, high) } else { (low / 2.0, low * 2.0) };
        Self { spacing: Spacing::Decimal, low, high, from, to, ticks: values.to_vec() }
    }

    /// Where `value` is drawn; values beyond the ends are drawn at the ends.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let part = match self.spacing {
            Spacing::Linear => (value - self.low) / (self.high - self.low),
            Spacing::Decimal | Spacing::Binary => {
                (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
            }
        };
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// The values that get a tick.
    pub(crate) fn ticks(&self) -> &[f64] {
        &self.ticks
    }
}

/// From zero in steps of 1, 2 or 5 times a power of ten.
fn linear_ticks(most: f64) -> Vec<f64> {
    let most = if most > 0.0 { most } else { 1.0 };
    let rough = most / (TICKS_WANTED - 1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let count = (most / step - 1e-9).ceil().max(1.0) as usize;
    (0..=count).map(|i| i as f64 * step).collect()
}

/// 1, 2, 5 times powers of ten over a small range, powers of ten over a large one.
fn decimal_ticks(least: f64, most: f64) -> Vec<f64> {
    let factors: &[f64] = if (most / least).log10() <= 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = (least.log10().floor() as i32 - 1)..=(most.log10().ceil() as i32 + 1);
    enclose(
        decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade))).collect(),
        least,
        most,
    )
}

/// Powers of four over a small range, powers of sixteen over a large one.
fn binary_ticks(least: f64, most: f64) -> Vec<f64> {
    let base: f64 = if (most / least).log2() <= 2.0 * TICKS_WANTED as f64 { 4.0 } else { 16.0 };
    let powers = (least.log(base).floor() as i32 - 1)..=(most.log(base).ceil() as i32 + 1);
    enclose(powers.map(|power| base.powi(power)).collect(), least, most)
}

/// The candidates from the last one not above `least` to the first one not below `most`, at least two.
fn enclose(candidates: Vec<f64>, least: f64, most: f64) -> Vec<f64> {
    let first = candidates.iter().rposition(|&tick| tick <= least * (1.0 + 1e-9)).unwrap_or(0);
    let last =
        candidates.iter().position(|&tick| tick >= most * (1.0 - 1e-9)).unwrap_or(candidates.len() - 1);
    candidates[first..=last.max(first + 1)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(spacing: Spacing, values: &[f64]) -> Vec<f64> {
        Scale::new(spacing, values.iter().copied(), 0.0, 100.0).ticks().to_vec()
    }

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        assert_eq!(
            ticks(Spacing::Linear, &[3.0, 24_000.0]),
            [0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0, 25_000.0]
        );
        assert_eq!(ticks(Spacing::Linear, &[10.0]), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(Spacing::Decimal, &[3.0, 40.0]), [2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(ticks(Spacing::Decimal, &[0.5, 400.0]), [0.1, 1.0, 10.0, 100.0, 1_000.0]);
        assert_eq!(ticks(Spacing::Binary, &[5.0, 200.0]), [4.0, 16.0, 64.0, 256.0]);
    }

    #[test]
    fn odd_values_do_not_break_a_scale() {
        for spacing in [Spacing::Linear, Spacing::Decimal, Spacing::Binary] {
            for values in [&[][..], &[0.0], &[f64::NAN], &[-1.0, 5.0], &[7.0, 7.0], &[1e-9, 1e15]] {
                let scale = Scale::new(spacing, values.iter().copied(), 0.0, 100.0);
                assert!(scale.ticks().len() >= 2, "{spacing:?} {values:?}");
                for &value in values {
                    let place = scale.place(value);
                    assert!((0.0..=100.0).contains(&place) || value.is_nan(), "{spacing:?} {value}: {place}");
                }
            }
        }
    }

    #[test]
    fn places_follow_the_spacing() {
        let linear = Scale::new(Spacing::Linear, [0.0, 10.0], 0.0, 100.0);
        assert_eq!(linear.place(5.0), 50.0);
        let log = Scale::at_values(&[10.0, 100.0, 1_000.0], 0.0, 100.0);
        assert!((log.place(100.0) - 50.0).abs() < 1e-9);
        let one = Scale::at_values(&[10.0], 0.0, 100.0);
        assert!((one.place(10.0) - 50.0).abs() < 1e-9);
    }
}
