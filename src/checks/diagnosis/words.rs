//! Numbers, lengths and names as people read them.

use crate::domain::Instant;

/// `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `12 rows`.
pub(super) fn counted(number: u64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{} {word}s", grouped(number)) }
}

/// A share in percent: whole numbers, but never 100 % or 0 % of what is not all or nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_string();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if part == whole || part == 0 || (1.0..99.0).contains(&share) {
        return format!("{share:.0} %");
    }
    match share {
        share if share < 0.01 => "under 0.01 %".to_string(),
        share if share > 99.99 => "over 99.99 %".to_string(),
        share => format!("{share:.2} %"),
    }
}

const UNITS: [(i128, &str); 6] =
    [(86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];

/// A length of time, its two largest units: `1 h 30 min`.
pub(super) fn length(nanos: i128) -> String {
    let nanos = nanos.abs();
    for (at, (unit, word)) in UNITS.iter().enumerate() {
        if nanos < *unit {
            continue;
        }
        let (whole, rest) = (nanos / unit, nanos % unit);
        return match UNITS.get(at + 1) {
            Some((smaller, next)) if rest / smaller > 0 => format!("{whole} {word} {} {next}", rest / smaller),
            _ => format!("{whole} {word}"),
        };
    }
    format!("{nanos} ns")
}

/// A shift of time with its sign: `+1 h`, `−30 min`.
pub(super) fn shift(nanos: i128) -> String {
    format!("{}{}", if nanos < 0 { "−" } else { "+" }, length(nanos))
}

/// `from T to U`, as far as both are known.
pub(super) fn range(from: Option<i128>, until: Option<i128>) -> String {
    // A range that ends with a row ends a nanosecond behind it; people read the time of the row.
    let until = until.map(|until| if until.rem_euclid(1_000) == 1 { until - 1 } else { until });
    match (from, until) {
        (Some(from), Some(until)) if until == from => format!("at {}", Instant(from)),
        (Some(from), Some(until)) => format!("from {} to {}", Instant(from), Instant(until)),
        (Some(from), None) => format!("from {}", Instant(from)),
        (None, Some(until)) => format!("until {}", Instant(until)),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_rounded_to_all_or_nothing() {
        assert_eq!(percent(412, 420), "98 %");
        assert_eq!(percent(420, 420), "100 %");
        assert_eq!(percent(9_999, 10_000), "99.99 %");
        assert_eq!(percent(1, 1_000_000), "under 0.01 %");
        assert_eq!(percent(0, 7), "0 %");
    }

    #[test]
    fn lengths_have_two_units() {
        assert_eq!(length(5_400_000_000_000), "1 h 30 min");
        assert_eq!(length(86_400_000_000_000), "1 d");
        assert_eq!(shift(-1_800_000_000_000), "−30 min");
        assert_eq!(length(1), "1 ns");
    }
}
