//! Numbers as people read them: three digits that matter, units said, thousands separated.

/// A whole number with separated thousands: `12,345`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// About three digits that matter: `0.042`, `1.52`, `15.2`, `152`, `15,200`.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 99.95 => thousands_signed(number),
        size if size >= 9.995 => format!("{number:.1}"),
        size if size >= 0.0995 || size == 0.0 => format!("{number:.2}"),
        size if size >= 0.000_5 => format!("{number:.3}"),
        _ => "0.00".to_owned(),
    }
}

fn thousands_signed(number: f64) -> String {
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}{}", thousands(number.abs().round() as u64))
}

/// A rate: whole, with three digits that matter above 1,000 left as they are.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 99.95 { thousands_signed(per_second) } else { short(per_second) }
}

/// Microseconds as milliseconds, without the unit: for columns.
pub(crate) fn milliseconds(microseconds: f64) -> String {
    short(microseconds / 1_000.0)
}

/// A time with its unit.
pub(crate) fn time(microseconds: f64) -> String {
    if microseconds >= 1e6 {
        format!("{} s", short(microseconds / 1e6))
    } else if microseconds >= 1e3 {
        format!("{} ms", short(microseconds / 1e3))
    } else {
        format!("{} µs", short(microseconds))
    }
}

/// A time at a tick of an axis: no digits that are zero there anyway.
pub(crate) fn tick_time(microseconds: f64) -> String {
    let text = time(microseconds);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    if microseconds == 0.0 { "0".to_owned() } else { format!("{} {unit}", trimmed(number)) }
}

/// A number at a tick of an axis.
pub(crate) fn tick(number: f64) -> String {
    trimmed(&short(number)).to_owned()
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// A number of bytes with its unit, powers of 1,024.
pub(crate) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value.abs() >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    let number = match value.abs() {
        size if size >= 99.95 || unit == 0 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    format!("{number} {}", UNITS[unit])
}

/// A ratio: `1.52`, `0.09`.
pub(crate) fn ratio(ratio: f64) -> String {
    match ratio {
        size if size >= 9.95 => format!("{ratio:.0}"),
        size if size >= 0.0995 => format!("{ratio:.2}"),
        _ => short(ratio),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_the_digits_that_matter() {
        for (number, text) in [
            (0.0, "0.00"),
            (0.000_01, "0.00"),
            (0.0421, "0.042"),
            (1.518, "1.52"),
            (15.24, "15.2"),
            (99.97, "100"),
            (152.4, "152"),
            (15_243.0, "15,243"),
            (-1_500.0, "-1,500"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(123), "123");
        assert_eq!(rate(24_310.4), "24,310");
    }

    #[test]
    fn units_are_said_and_fit() {
        assert_eq!(time(850.0), "850 µs");
        assert_eq!(time(1_520.0), "1.52 ms");
        assert_eq!(time(2e6), "2.00 s");
        assert_eq!((tick_time(0.0), tick_time(10_000.0)), ("0".to_owned(), "10 ms".to_owned()));
        assert_eq!((tick(0.0), tick(0.5), tick(20_000.0)), ("0".into(), "0.5".into(), "20,000".into()));
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(4_730.0), "4.62 KiB");
        assert_eq!(bytes(40.0 * 1024.0), "40.0 KiB");
        assert_eq!(bytes(4.0 * 1024.0 * 1024.0), "4.00 MiB");
        assert_eq!(bytes(39.1 * 1024.0 * 1024.0 * 1024.0), "39.1 GiB");
        assert_eq!(milliseconds(1_520.0), "1.52");
        assert_eq!(ratio(0.0912), "0.091");
        assert_eq!(ratio(0.512), "0.51");
        assert_eq!(ratio(12.3), "12");
    }
}
