//! What the values of a text column could be.
//!
//! A guess never changes what a value is: `007` is not the number 7 and `1e3` is not 1000 unless somebody said so or
//! the other side's type does. All values of a column are looked at, not a sample, so a column cannot change its
//! type behind the guess.

use arrow::datatypes::{DataType, TimeUnit};

use super::functions::quick::{self, Kind};
use super::functions::{Iso, iso};
use crate::job::ColumnType;

/// What every value of a text column is, as far as it has been seen. Combines in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Traits {
    /// Values that are not NULL.
    pub(super) values: u64,
    integer: bool,
    loose_integer: bool,
    decimal: bool,
    whole_digits: usize,
    fraction_digits: usize,
    careful_float: bool,
    float: bool,
    boolean: bool,
    loose_boolean: bool,
    date: bool,
    local: bool,
    instant: bool,
    nanoseconds: bool,
    /// Every value is a time of one kind or another.
    any_time: bool,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            values: 0,
            integer: true,
            loose_integer: true,
            decimal: true,
            whole_digits: 1,
            fraction_digits: 0,
            careful_float: true,
            float: true,
            boolean: true,
            loose_boolean: true,
            date: true,
            local: true,
            instant: true,
            nanoseconds: false,
            any_time: true,
        }
    }
}

impl Traits {
    /// Looks at some values.
    pub(super) fn look<'a>(&mut self, values: impl Iterator<Item = Option<&'a str>>) {
        for value in values.flatten() {
            self.values += 1;
            if !self.is_only_text() && !self.look_quickly(value.as_bytes()) {
                self.look_at(value);
            }
        }
    }

    /// Nothing more can be learned but how many values there are.
    fn is_only_text(&self) -> bool {
        let number = self.integer || self.decimal || self.loose_integer || self.float || self.careful_float;
        !number && !self.boolean && !self.loose_boolean && !self.any_time
    }

    /// The same as a careful look at a plain value in a column that has shown what it is by those before; false where that look is needed.
    fn look_quickly(&mut self, value: &[u8]) -> bool {
        if self.boolean {
            return false;
        }
        let number = self.integer || self.decimal || self.loose_integer || self.float || self.careful_float;
        match (number, self.any_time) {
            (true, false) => {
                let Some(plain) = quick::plain(value) else { return false };
                let minus_zero = plain.negative && plain.digits == 0;
                self.integer &= plain.fraction.is_none() && !minus_zero;
                self.loose_integer &= plain.fraction.is_none();
                // A whole part is looked at only while the column is a number of some kind, which it stays.
                self.whole_digits = self.whole_digits.max(plain.whole);
                self.fraction_digits = self.fraction_digits.max(plain.fraction.unwrap_or(0));
                self.loose_boolean &= matches!(value, b"0" | b"1");
                true
            }
            (false, true) if !self.loose_boolean => {
                let Some(time) = quick::time(value) else { return false };
                self.date &= time.kind == Kind::Date;
                self.local &= time.kind == Kind::Local;
                self.instant &= time.kind == Kind::Instant;
                self.nanoseconds |= time.fraction > 6;
                true
            }
            _ => false,
        }
    }

    fn look_at(&mut self, value: &str) {
        if self.integer || self.decimal || self.loose_integer || self.float || self.careful_float {
            self.look_at_number(value);
        }
        if self.boolean {
            self.boolean = matches!(value, "true" | "false");
        }
        if self.loose_boolean {
            self.loose_boolean = matches!(value.to_ascii_lowercase().as_str(), "true" | "false" | "t" | "f" | "1" | "0");
        }
        if self.any_time {
            let seen = iso(value);
            self.any_time = seen.is_some();
            self.date &= matches!(seen, Some(Iso::Date(_)));
            self.local &= matches!(seen, Some(Iso::Local(_)));
            self.instant &= matches!(seen, Some(Iso::Instant(_)));
            if let Some((_, fraction)) = value.rsplit_once('.') {
                self.nanoseconds |= fraction.bytes().take_while(u8::is_ascii_digit).count() > 6;
            }
        }
    }

    fn look_at_number(&mut self, value: &str) {
        let unsigned = value.strip_prefix('-').unwrap_or(value);
        let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(w, f)| (w, Some(f)));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let canonical_whole = digits(whole) && (whole == "0" || !whole.starts_with('0'));
        let plain = canonical_whole && fraction.is_none_or(digits);
        self.integer &= plain && fraction.is_none() && value != "-0";
        self.decimal &= plain;
        self.whole_digits = self.whole_digits.max(whole.len());
        self.fraction_digits = self.fraction_digits.max(fraction.map_or(0, str::len));
        self.loose_integer &= value.trim().parse::<i128>().is_ok();
        // An exponent makes a number only where a point or a minus says that it is one: 1e3 may well be an id.
        let exponent = unsigned.split_once(['e', 'E']);
        let careful = match exponent {
            None => plain || matches!(unsigned, "NaN" | "nan" | "inf" | "Infinity" | "Inf"),
            Some((mantissa, power)) => {
                (mantissa.contains('.') || power.starts_with('-')) && mantissa.parse::<f64>().is_ok() && power.parse::<i32>().is_ok()
            }
        };
        self.careful_float &= careful;
        self.float &= value.trim().parse::<f64>().is_ok();
    }

    /// What both columns are.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            values: self.values + other.values,
            integer: self.integer && other.integer,
            loose_integer: self.loose_integer && other.loose_integer,
            decimal: self.decimal && other.decimal,
            whole_digits: self.whole_digits.max(other.whole_digits),
            fraction_digits: self.fraction_digits.max(other.fraction_digits),
            careful_float: self.careful_float && other.careful_float,
            float: self.float && other.float,
            boolean: self.boolean && other.boolean,
            loose_boolean: self.loose_boolean && other.loose_boolean,
            date: self.date && other.date,
            local: self.local && other.local,
            instant: self.instant && other.instant,
            nanoseconds: self.nanoseconds || other.nanoseconds,
            any_time: self.any_time && other.any_time,
        }
    }

    /// True when every value is a time, all of one kind.
    pub(super) fn is_time(&self) -> bool {
        self.values > 0 && (self.date || self.local || self.instant)
    }

    /// True when every value is a time, but some have an offset or a clock and some have none.
    pub(super) fn is_mixed_time(&self) -> bool {
        self.values > 0 && self.any_time && !self.is_time()
    }

    fn exact_number(&self) -> Option<DataType> {
        if !self.decimal {
            return None;
        }
        if self.integer && self.whole_digits <= 18 {
            return Some(DataType::Int64);
        }
        let (precision, scale) = (self.whole_digits + self.fraction_digits, self.fraction_digits);
        let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
        match precision {
            ..=38 => Some(DataType::Decimal128(38, scale)),
            39..=76 => Some(DataType::Decimal256(76, scale)),
            _ => None,
        }
    }

    fn time_unit(&self) -> TimeUnit {
        if self.nanoseconds { TimeUnit::Nanosecond } else { TimeUnit::Microsecond }
    }

    /// The type to read the column in when nothing else is known. `quoted`: the format itself says that the values
    /// are text (JSON strings), so that only times are guessed.
    pub(super) fn guess(&self, quoted: bool) -> DataType {
        if self.values == 0 {
            return DataType::Utf8;
        }
        if self.date {
            return DataType::Date32;
        }
        if self.instant {
            return DataType::Timestamp(self.time_unit(), Some("UTC".into()));
        }
        if self.local {
            return DataType::Timestamp(self.time_unit(), None);
        }
        if quoted {
            return DataType::Utf8;
        }
        if self.boolean {
            return DataType::Boolean;
        }
        if let Some(exact) = self.exact_number() {
            return exact;
        }
        if self.careful_float && !self.decimal { DataType::Float64 } else { DataType::Utf8 }
    }

    /// The type to read the column in when the other side has a typed column of this name. What the values do not
    /// bear out is left as text, and becomes a schema finding.
    pub(super) fn adopt(&self, other: &DataType, naive_zone: bool) -> DataType {
        if self.values == 0 {
            return other.clone();
        }
        let plain = match other {
            DataType::Dictionary(_, values) => values.as_ref(),
            other => other,
        };
        let numeric = |target: &DataType| match self.exact_number() {
            Some(exact) => exact,
            None if self.loose_integer && target.is_integer() => target.clone(),
            None if self.float => DataType::Float64,
            None => DataType::Utf8,
        };
        match plain {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => other.clone(),
            // A number as text and a float: the nearest float is what the other side holds.
            DataType::Float16 | DataType::Float32 | DataType::Float64 if self.float => DataType::Float64,
            target if target.is_numeric() => numeric(target),
            DataType::Boolean if self.loose_boolean => DataType::Boolean,
            DataType::Date32 | DataType::Date64 if self.date => DataType::Date32,
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 if self.instant => {
                DataType::Timestamp(self.time_unit(), Some("UTC".into()))
            }
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 if self.local || self.date => {
                let zone = naive_zone.then(|| "UTC".into());
                DataType::Timestamp(self.time_unit(), zone)
            }
            DataType::Time32(_) | DataType::Time64(_) | DataType::Binary | DataType::LargeBinary => DataType::Utf8,
            _ => DataType::Utf8,
        }
    }
}

/// A guessed type in the words of the option `columns`.
pub(super) fn word(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_string(),
        DataType::Boolean => "bool".to_string(),
        DataType::Int64 => "int64".to_string(),
        DataType::Float64 => "float64".to_string(),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => format!("decimal({p},{s})"),
        DataType::Date32 => "date".to_string(),
        DataType::Timestamp(_, Some(_)) => "timestamp in UTC".to_string(),
        DataType::Timestamp(_, None) => "timestamp without a zone".to_string(),
        other => other.to_string().to_lowercase(),
    }
}

/// The type as the option `columns` would say it.
pub(super) fn as_said(data_type: &DataType) -> ColumnType {
    ColumnType::Plain(data_type.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(values: &[&str]) -> Traits {
        let mut traits = Traits::default();
        traits.look(values.iter().copied().map(Some));
        traits
    }

    /// What a look at every value with all care says.
    fn careful(values: &[&str]) -> Traits {
        let mut traits = Traits::default();
        for value in values {
            traits.values += 1;
            traits.look_at(value);
        }
        traits
    }

    #[test]
    fn a_quick_look_sees_what_a_careful_one_sees() {
        let pool = [
            "0",
            "1",
            "7",
            "-0",
            "-1",
            "007",
            "00",
            "1.50",
            "0.0",
            "-0.0",
            "1.",
            ".5",
            "1e3",
            "1.5e-3",
            "1e-05",
            "NaN",
            "inf",
            "true",
            "false",
            "True",
            "t",
            "F",
            "",
            " 1",
            "+1",
            "x",
            "2024-05-06",
            "2024-02-30",
            "2024-05-06 00:00:00",
            "2024-05-06T00:00:00Z",
            "2024-05-06T00:00:00+02:00",
            "2024-05-06 00:00:00.1234567",
            "2024-05-06T24:00:00",
            "2024-05-06T23:59:60Z",
            "2024-05-06 00:00",
            "2024-05-06 00:00:00.1234567890",
            "999999999999999999",
            "1234567890123456789",
            "12345678901234567890123456789012345678901",
            "0.123456789012345678",
            "1.1234567",
            "2024-5-6",
            "٣",
        ];
        // Every sequence of two, every value behind long runs of one kind, and every three of a few.
        for first in pool {
            for second in pool {
                for run in [1, 3] {
                    let mut values = vec![first; run];
                    values.push(second);
                    values.push(first);
                    assert_eq!(traits(&values), careful(&values), "{values:?}");
                    for third in ["1", "2.5", "2024-05-06", "2024-05-06 00:00:00", "x", "0"] {
                        values.push(third);
                        assert_eq!(traits(&values), careful(&values), "{values:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn guesses_are_careful() {
        for (values, expected) in [
            (&["1", "20", "-3"][..], DataType::Int64),
            (&["007", "8"], DataType::Utf8),
            (&["+1"], DataType::Utf8),
            (&["1e3", "2"], DataType::Utf8),
            (&["1.5e-3", "2.0"], DataType::Float64),
            (&["1e-05"], DataType::Float64),
            (&["1.50", "2"], DataType::Decimal128(38, 2)),
            (&["true", "false"], DataType::Boolean),
            (&["1", "true"], DataType::Utf8),
            (&["2024-05-06"], DataType::Date32),
            (&["2024-05-06T00:00:00Z", "2024-05-06 00:00:00+02:00"], DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            (&["2024-05-06 00:00:00"], DataType::Timestamp(TimeUnit::Microsecond, None)),
            (&["2024-05-06 00:00:00.123456789"], DataType::Timestamp(TimeUnit::Nanosecond, None)),
            (&["18446744073709551615"], DataType::Decimal128(38, 0)),
            (&["2024-05-06", "soon"], DataType::Utf8),
            (&["NaN", "1.5"], DataType::Float64),
        ] {
            assert_eq!(traits(values).guess(false), expected, "{values:?}");
        }
    }

    #[test]
    fn the_other_sides_type_is_the_better_guess() {
        assert_eq!(traits(&["007"]).adopt(&DataType::Utf8View, false), DataType::Utf8View);
        assert_eq!(traits(&["007"]).adopt(&DataType::Int32, false), DataType::Int32);
        assert_eq!(traits(&["1e3"]).adopt(&DataType::Float64, false), DataType::Float64);
        assert_eq!(traits(&["1.005"]).adopt(&DataType::Decimal128(10, 2), false), DataType::Decimal128(38, 3));
        assert_eq!(traits(&["x"]).adopt(&DataType::Int32, false), DataType::Utf8);
    }
}
