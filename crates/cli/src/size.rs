//! Sizes as people type them: `4096`, `64K`, `4M`, `8G`. The letters are powers of 1024.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, read from and shown with the letters K, M, G and T.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(u64);

/// The letters and what one of each is in bytes, largest first.
const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

impl Size {
    /// A size of `bytes` bytes.
    pub(crate) const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub(crate) const fn bytes(self) -> u64 {
        self.0
    }

    /// The size as a length in memory; the largest there is when it does not fit.
    pub(crate) fn as_len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("`{text}` is no size: write bytes, or a number with K, M, G or T, as in 64K or 4M");
        let upper = text.trim().to_ascii_uppercase();
        let number = upper.strip_suffix("IB").unwrap_or(&upper);
        let (digits, unit) = UNITS
            .iter()
            .find_map(|&(letter, unit)| Some((number.strip_suffix(letter)?, unit)))
            // `64iB` has the ending without a letter: not a size.
            .or((number.len() == upper.len()).then_some((number, 1)))
            .ok_or_else(wrong)?;
        // `parse` would take a sign, too.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        count.checked_mul(unit).map(Self).ok_or_else(|| format!("`{text}` is more than 2^64 bytes"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|&&(_, unit)| self.0 >= unit && self.0.is_multiple_of(unit));
        match exact {
            Some((letter, unit)) => write!(f, "{}{letter}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn sizes_are_read_with_and_without_letters() {
        for (text, bytes) in [
            ("4096", 4096),
            ("0", 0),
            ("64K", 64 << 10),
            ("64k", 64 << 10),
            ("4M", 4 << 20),
            ("4MiB", 4 << 20),
            ("8G", 8 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Size::from_bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_a_hint() {
        for text in ["", "K", "4X", "-4K", "+4K", "4.5M", "64iB", "4 M", "99999999999999999999", "99999999T"]
        {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn shown_as_it_was_typed() {
        for text in ["4096", "1000", "64K", "4M", "8G", "0"] {
            let shown = text.parse::<Size>().map(|size| size.to_string());
            let expected = if text == "4096" { "4K" } else { text };
            assert_eq!(shown.as_deref(), Ok(expected));
        }
    }
}
