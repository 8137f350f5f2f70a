//! Instants: points on the event-time axis.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// A point in time: nanoseconds since 1970-01-01T00:00:00 UTC, in a width that holds every Arrow timestamp of any unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub i128);

/// A text that is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a point in time (expected ISO 8601, for instance 2024-05-06T02:10:00Z or 2024-05-06)")]
pub struct InstantError(pub String);

const NANOS_PER_SECOND: i128 = 1_000_000_000;

impl Instant {
    /// The instant at a number of whole microseconds since the epoch.
    pub fn from_micros(micros: i64) -> Self {
        Self(i128::from(micros) * 1_000)
    }

    /// Whole microseconds since the epoch, rounded down, saturating at the ends of `i64`.
    pub fn micros_floor(self) -> i64 {
        clamp_to_i64(self.0.div_euclid(1_000))
    }

    /// Whole microseconds since the epoch, rounded up: the way a half-open end keeps covering what it covered.
    pub fn micros_ceil(self) -> i64 {
        clamp_to_i64(-(-self.0).div_euclid(1_000))
    }

    /// Whole seconds since the epoch, rounded down, and the nanoseconds within the second.
    pub fn split(self) -> (i64, u32) {
        let seconds = clamp_to_i64(self.0.div_euclid(NANOS_PER_SECOND));
        let nanos = u32::try_from(self.0.rem_euclid(NANOS_PER_SECOND)).unwrap_or(0);
        (seconds, nanos)
    }

    /// Reads ISO 8601: with an offset, or without one and then meant in UTC; or a date alone, its midnight in UTC.
    ///
    /// # Errors
    /// The text is none of these.
    pub fn parse(text: &str) -> Result<Self, InstantError> {
        let text = text.trim();
        let error = || InstantError(text.to_string());
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::from_chrono(moment.with_timezone(&Utc)));
        }
        for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
            if let Ok(naive) = NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), format) {
                return Ok(Self::from_chrono(naive.and_utc()));
            }
        }
        for format in ["%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
            if let Ok(moment) = DateTime::parse_from_str(text, format) {
                return Ok(Self::from_chrono(moment.with_timezone(&Utc)));
            }
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| error())?;
        let midnight = date.and_hms_opt(0, 0, 0).ok_or_else(error)?;
        Ok(Self::from_chrono(midnight.and_utc()))
    }

    /// The instant of a chrono moment.
    pub fn from_chrono(moment: DateTime<Utc>) -> Self {
        Self(i128::from(moment.timestamp()) * NANOS_PER_SECOND + i128::from(moment.timestamp_subsec_nanos()))
    }

    /// The chrono moment, where chrono's calendar reaches that far.
    pub fn to_chrono(self) -> Option<DateTime<Utc>> {
        let (seconds, nanos) = self.split();
        DateTime::from_timestamp(seconds, nanos)
    }
}

fn clamp_to_i64(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// ISO 8601 in UTC; a fraction only when there is one.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(moment) = self.to_chrono() else {
            // Beyond chrono's calendar (some 262,000 years) the raw count is still exact.
            return write!(f, "{}ns-since-epoch", self.0);
        };
        write!(f, "{}", moment.format("%Y-%m-%dT%H:%M:%S"))?;
        let nanos = moment.timestamp_subsec_nanos();
        if nanos != 0 {
            let digits = format!("{nanos:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_iso() {
        for (text, shown) in [
            ("2024-05-06T02:10:00Z", "2024-05-06T02:10:00Z"),
            ("2024-05-06T02:10:00+02:00", "2024-05-06T00:10:00Z"),
            ("2024-05-06 02:10:00.250", "2024-05-06T02:10:00.25Z"),
            ("2024-05-06", "2024-05-06T00:00:00Z"),
            ("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(Instant::parse(text).map(|i| i.to_string()), Ok(shown.to_string()));
        }
        assert!(Instant::parse("yesterday").is_err());
    }

    #[test]
    fn micros_round_outwards() {
        assert_eq!(Instant(-1).micros_floor(), -1);
        assert_eq!(Instant(-1).micros_ceil(), 0);
        assert_eq!(Instant(1_001).micros_ceil(), 2);
        assert_eq!(Instant(i128::MAX).micros_floor(), i64::MAX);
    }
}
