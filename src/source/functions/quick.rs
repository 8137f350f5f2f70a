//! The plain forms of numbers and times, read byte by byte.
//!
//! Nearly every value in the files of the field is written in one of these forms. What is not is `None` here, and is left to the careful
//! parsers beside; where a form is read, they would read the same.

/// A plain decimal number: a minus or not, a whole part without needless zeros, and behind a point digits or nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) negative: bool,
    /// All digits as one number.
    pub(crate) digits: u64,
    /// Digits before the point.
    pub(crate) whole: usize,
    /// Digits behind it; `None` where there is no point.
    pub(crate) fraction: Option<usize>,
}

/// Digits that fit 64 bits whatever they are.
const MOST_DIGITS: usize = 18;

/// Reads a plain number of a few digits.
#[inline]
pub(crate) fn plain(text: &[u8]) -> Option<Plain> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if unsigned.len() > MOST_DIGITS + 1 {
        return None;
    }
    let mut digits = 0_u64;
    let mut point = None;
    for (at, byte) in unsigned.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if *byte == b'.' && point.is_none() {
            point = Some(at);
        } else {
            return None;
        }
    }
    let whole = point.unwrap_or(unsigned.len());
    let fraction = point.map(|at| unsigned.len() - at - 1);
    let needless = whole > 1 && unsigned[0] == b'0';
    if whole == 0 || needless || fraction == Some(0) || whole + fraction.unwrap_or(0) > MOST_DIGITS {
        return None;
    }
    Some(Plain { negative, digits, whole, fraction })
}

/// Ten to the power of each place.
const TENS: [u64; MOST_DIGITS + 1] = {
    let mut tens = [1; MOST_DIGITS + 1];
    let mut at = 1;
    while at < tens.len() {
        tens[at] = tens[at - 1] * 10;
        at += 1;
    }
    tens
};

impl Plain {
    /// The number times ten to the power of `scale`, if that is whole without a look at the digits.
    #[inline]
    pub(crate) fn coefficient(self, scale: usize) -> Option<i128> {
        let missing = scale.checked_sub(self.fraction.unwrap_or(0))?;
        let magnitude = i128::from(self.digits) * i128::from(*TENS.get(missing)?);
        Some(if self.negative { -magnitude } else { magnitude })
    }

    /// The number, if it is whole and written so.
    #[inline]
    pub(crate) fn integer(self) -> Option<i64> {
        let magnitude = i64::try_from(self.digits).ok().filter(|_| self.fraction.is_none())?;
        Some(if self.negative { -magnitude } else { magnitude })
    }
}

/// What a plain time is, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `2026-11-24`
    Date,
    /// `2026-11-24 12:00:00`, with `T` or a space, and up to nine digits behind the second.
    Local,
    /// The same with a `Z` at its end.
    Instant,
}

/// A plain time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) kind: Kind,
    /// Days since 1970-01-01.
    pub(crate) days: i32,
    /// Seconds of the day.
    pub(crate) seconds: u32,
    pub(crate) nanos: u32,
    /// Digits behind the second.
    pub(crate) fraction: usize,
}

#[inline]
fn pair(text: &[u8], at: usize) -> Option<u32> {
    let (tens, ones) = (text.get(at)?.wrapping_sub(b'0'), text.get(at + 1)?.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
#[inline]
fn days(year: u32, month: u32, day: u32) -> i32 {
    let (year, month, day) = (year as i32 - i32::from(month <= 2), month as i32, day as i32);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[inline]
fn days_in(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

/// Reads a plain time.
#[inline]
pub(crate) fn time(text: &[u8]) -> Option<Time> {
    if text.len() < 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let (year, month, day) = (pair(text, 0)? * 100 + pair(text, 2)?, pair(text, 5)?, pair(text, 8)?);
    if day == 0 || day > days_in(year, month) {
        return None;
    }
    let days = days(year, month, day);
    if text.len() == 10 {
        return Some(Time { kind: Kind::Date, days, seconds: 0, nanos: 0, fraction: 0 });
    }
    if text.len() < 19 || !matches!(text[10], b'T' | b' ') || text[13] != b':' || text[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (pair(text, 11)?, pair(text, 14)?, pair(text, 17)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (rest, kind) = match &text[19..] {
        [rest @ .., b'Z'] => (rest, Kind::Instant),
        rest => (rest, Kind::Local),
    };
    let (mut nanos, mut fraction) = (0, 0);
    if let [b'.', digits @ ..] = rest {
        if digits.is_empty() || digits.len() > 9 {
            return None;
        }
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            nanos = nanos * 10 + u32::from(digit);
        }
        fraction = digits.len();
        nanos *= u32::try_from(TENS[9 - fraction]).unwrap_or(1);
    } else if !rest.is_empty() {
        return None;
    }
    Some(Time { kind, days, seconds: hour * 3_600 + minute * 60 + second, nanos, fraction })
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::*;

    #[test]
    fn every_day_of_many_years_is_that_of_chrono() {
        for year in (0..10_000).step_by(7).chain(1_890..2_110) {
            for month in 0..=13 {
                for day in 0..=32 {
                    let ours = time(format!("{year:04}-{month:02}-{day:02}").as_bytes()).map(|time| time.days);
                    let theirs = NaiveDate::from_ymd_opt(year, month, day).map(|date| date.num_days_from_ce() - 719_163);
                    assert_eq!(ours, theirs, "{year}-{month}-{day}");
                }
            }
        }
    }

    #[test]
    fn numbers_that_are_not_plain_are_left_to_others() {
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-01",
            "1.",
            ".5",
            "1e3",
            "1 ",
            " 1",
            "1.2.3",
            "--1",
            "0x1",
            "1234567890123456789",
            "1.234567890123456789",
        ] {
            assert_eq!(plain(text.as_bytes()), None, "{text}");
        }
        assert_eq!(plain(b"-12.50").and_then(|number| number.coefficient(3)), Some(-12_500));
        assert_eq!(plain(b"12.50").and_then(|number| number.coefficient(1)), None);
        assert_eq!(plain(b"999999999999999999").and_then(Plain::integer), Some(999_999_999_999_999_999));
        assert_eq!(plain(b"-0").and_then(Plain::integer), Some(0));
    }
}
