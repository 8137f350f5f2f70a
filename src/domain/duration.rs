//! Lengths of time as people write them: `250ms`, `5m`, `1h30m`, `1d`.

use std::fmt;

/// A length of time in nanoseconds; always positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i128);

/// A text that is not a usable length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form number-unit, repeated.
    #[error("'{0}' is not a duration (write for instance 250ms, 5m, 1h30m, 1d)")]
    Malformed(String),
    /// Zero or negative.
    #[error("'{0}' is not a positive duration")]
    NotPositive(String),
}

const UNITS: [(&str, i128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

impl Duration {
    /// 30 minutes.
    pub const HALF_AN_HOUR: Self = Self(1_800_000_000_000);

    /// 24 hours.
    pub const DAY: Self = Self(86_400_000_000_000);

    /// A length of so many nanoseconds, if that is positive.
    pub fn from_nanos(nanos: i128) -> Option<Self> {
        (nanos > 0).then_some(Self(nanos))
    }

    /// The length in nanoseconds; at least 1.
    pub fn nanos(self) -> i128 {
        self.0
    }

    /// Reads a sum of number-unit pairs; units are ns, us, ms, s, m, h, d, w. A fraction is allowed (`1.5h`).
    ///
    /// # Errors
    /// Another form, or a length that is zero or negative.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let malformed = || DurationError::Malformed(text.to_string());
        let mut rest = text.trim();
        if rest.starts_with('-') {
            return Err(DurationError::NotPositive(text.to_string()));
        }
        if rest.is_empty() {
            return Err(malformed());
        }
        if rest == "0" {
            return Err(DurationError::NotPositive(text.to_string()));
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(malformed)?;
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            if whole.is_empty() || fraction.len() > 9 {
                return Err(malformed());
            }
            let whole: i128 = whole.parse().map_err(|_| malformed())?;
            let scale = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
            let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| malformed())? };
            let length = whole.checked_mul(*nanos).and_then(|n| n.checked_add(part * nanos / scale)).ok_or_else(malformed)?;
            total = total.checked_add(length).ok_or_else(malformed)?;
            rest = tail.trim_start();
        }
        if total > i128::from(i64::MAX) {
            return Err(malformed());
        }
        Self::from_nanos(total).ok_or_else(|| DurationError::NotPositive(text.to_string()))
    }
}

/// The largest units first: `1d2h`, `1h30m`, `250ms`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (unit, nanos) in [
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1_i128),
        ] {
            let count = rest / nanos;
            if count > 0 {
                write!(f, "{count}{unit}")?;
                rest -= count * nanos;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, nanos) in [
            ("250ms", 250_000_000),
            ("5m", 300_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1d", 86_400_000_000_000),
            ("2 w", 1_209_600_000_000_000),
        ] {
            assert_eq!(Duration::parse(text).map(Duration::nanos), Ok(nanos), "{text}");
        }
        for text in ["", "5", "m", "5 parsecs", "1h-30m", "..5s"] {
            assert!(matches!(Duration::parse(text), Err(DurationError::Malformed(_))), "{text}");
        }
        for text in ["0s", "-5m", "0"] {
            assert!(matches!(Duration::parse(text), Err(DurationError::NotPositive(_))), "{text}");
        }
        assert_eq!(Duration::parse("90m").map(|d| d.to_string()), Ok("1h30m".to_string()));
    }
}
