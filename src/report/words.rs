//! Numbers and names as people read them, the same in every format.

use crate::domain::Instant;

/// `1,234,567`.
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

/// `1.5 MiB`.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// `1 gap`, `2 gaps`, `1,000 gaps`.
pub(super) fn plural(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{} {word}s", grouped(count)) }
}

/// `2 h 35 min`, at most two units, never rounded up to the next. Of a length in nanoseconds.
pub(super) fn length(nanos: i128) -> String {
    const UNITS: [(i128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "µs"),
        (1, "ns"),
    ];
    let Some(first) = UNITS.iter().position(|(size, _)| nanos >= *size) else { return "0 s".to_string() };
    let (size, unit) = UNITS[first];
    let mut text = format!("{} {unit}", nanos / size);
    if let Some((next, unit)) = UNITS.get(first + 1) {
        let rest = nanos % size / next;
        if rest > 0 {
            text.push_str(&format!(" {rest} {unit}"));
        }
    }
    text
}

/// A word of a command line, quoted for a POSIX shell where it must be.
pub(super) fn shell_word(text: &str) -> String {
    let safe = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-=:,@%+".contains(c));
    if safe { text.to_string() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Text cut to so many characters, with an ellipsis where it was.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// An instant to the second where it has no fraction, else as exact as it is: `2024-05-06 02:10:00`.
pub(super) fn moment(at: Instant) -> String {
    at.to_string().replace('T', " ").trim_end_matches('Z').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_words() {
        assert_eq!(length(5_400_000_000_000), "1 h 30 min");
        assert_eq!(length(86_400_000_000_000), "1 d");
        assert_eq!(length(1_500_000), "1 ms 500 µs");
        assert_eq!(length(0), "0 s");
        assert_eq!(shell_word("a b'c"), "'a b'\\''c'");
        assert_eq!(plural(1_000, "gap"), "1,000 gaps");
    }
}
