//! Times as people type them - `10s`, `0.1s`, `250ms`, `1.5us` - exact to the nanosecond.

use std::str::FromStr;

/// The units, what one of each is in nanoseconds, and how many digits after the point are exact.
const UNITS: [(&str, u64, usize); 7] = [
    ("ns", 1, 0),
    ("us", 1_000, 3),
    ("µs", 1_000, 3),
    ("ms", 1_000_000, 6),
    ("min", 60_000_000_000, 9),
    ("h", 3_600_000_000_000, 9),
    ("s", 1_000_000_000, 9),
];

/// A time, as an argument. A type of its own tells it from a number without a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nanoseconds(pub(crate) u64);

impl FromStr for Nanoseconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(Self)
    }
}

/// The nanoseconds that `text` says.
///
/// # Errors
/// In words, with what it should look like.
fn parse(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{text}` is no time: write a number with h, min, s, ms, us or ns, as in 10s or 0.1s");
    let (number, nanos, digits) = UNITS
        .iter()
        .find_map(|&(unit, nanos, digits)| Some((text.strip_suffix(unit)?.trim_end(), nanos, digits)))
        .ok_or_else(wrong)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) {
        return Err(wrong());
    }
    let part = part.trim_end_matches('0');
    if part.len() > digits {
        return Err(format!("`{text}` is not a whole number of nanoseconds"));
    }
    let too_long = || format!("`{text}` is longer than 584 years");
    let whole: u64 = whole.parse().map_err(|_| too_long())?;
    // At most nine digits: it fits.
    let numerator: u64 = if part.is_empty() { 0 } else { part.parse().map_err(|_| wrong())? };
    let fraction = u128::from(numerator) * u128::from(nanos) / 10_u128.pow(part.len() as u32);
    let all = u128::from(whole) * u128::from(nanos) + fraction;
    u64::try_from(all).map_err(|_| too_long())
}

/// So many nanoseconds in seconds, exactly, without digits that are zero: `21.9`.
pub(crate) fn seconds(nanos: u64) -> String {
    decimal(nanos, 9)
}

/// A time, exactly, with the unit that makes it shortest: `21.9 s`, `0.1 s`, `3.25 ms`.
pub(crate) fn exact(nanos: u64) -> String {
    let texts = [("s", 9), ("ms", 6), ("us", 3), ("ns", 0)]
        .map(|(unit, places)| format!("{} {unit}", decimal(nanos, places)));
    // The first of equals: the largest unit.
    texts.into_iter().min_by_key(String::len).unwrap_or_default()
}

/// `number` with the point before its last `places` digits.
fn decimal(number: u64, places: usize) -> String {
    let unit = 10_u64.pow(places as u32);
    let (whole, part) = (number / unit, number % unit);
    if part == 0 {
        return whole.to_string();
    }
    let digits = format!("{part:0places$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        for (text, nanos) in [
            ("10s", 10_000_000_000),
            ("0.1s", 100_000_000),
            ("1.000000001s", 1_000_000_001),
            ("250ms", 250_000_000),
            ("1.5us", 1_500),
            ("1.5µs", 1_500),
            ("7ns", 7),
            ("2 min", 120_000_000_000),
            ("0.5h", 1_800_000_000_000),
            ("0s", 0),
            ("1.50s", 1_500_000_000),
        ] {
            assert_eq!(parse(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_a_hint() {
        for text in [
            "",
            "s",
            "10",
            "-1s",
            "+1s",
            "1,5s",
            ".5s",
            "1.s",
            "1e3s",
            "ten s",
            "1.5ns",
            "1.0001us",
            "600 years",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("99999999999s").unwrap_err().contains("584 years"));
        assert!(parse("99999999999999999999s").unwrap_err().contains("584 years"));
    }

    #[test]
    fn shown_exactly_in_the_unit_that_suits() {
        for (nanos, text) in [
            (0, "0 s"),
            (21_900_000_000, "21.9 s"),
            (100_000_000, "0.1 s"),
            (3_250_000, "3.25 ms"),
            (1_900, "1.9 us"),
            (42, "42 ns"),
            (21_900_000, "21.9 ms"),
            (1_000, "1 us"),
            (u64::MAX, "18446744073.709551615 s"),
            (10_000_000_000, "10 s"),
        ] {
            assert_eq!(exact(nanos), text);
            assert_eq!(parse(text), Ok(nanos), "{text}");
        }
        assert_eq!(seconds(20_000_000_001), "20.000000001");
    }
}
