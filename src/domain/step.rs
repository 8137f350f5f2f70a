//! The nominal step between two rows of a series: a length of time, months of a calendar, or what was learned from the rows.

use std::fmt;

use chrono::{Datelike, Months, NaiveDate};
use chrono_tz::Tz;

use super::{Duration, DurationError, Instant, Windowing};

const DAY: i128 = 86_400_000_000_000;

/// A step as the job says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cadence {
    /// Always as long.
    Fixed(Duration),
    /// So many months of the calendar, in the stream's time zone.
    Months(u32),
    /// Learned from the rows of each series.
    Learn,
}

impl Cadence {
    /// Reads a duration, months (`1mo`), years (`1y`), or `learn`.
    ///
    /// # Errors
    /// Another form, or a length that is zero or negative.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let text = text.trim();
        if text == "learn" {
            return Ok(Self::Learn);
        }
        for (unit, months) in [("mo", 1_u32), ("y", 12)] {
            if let Some(count) = text.strip_suffix(unit)
                && let Ok(count) = count.trim().parse::<u32>()
            {
                return match count.checked_mul(months) {
                    Some(0) => Err(DurationError::NotPositive(text.to_string())),
                    Some(months) if months <= 12_000 => Ok(Self::Months(months)),
                    _ => Err(DurationError::Malformed(text.to_string())),
                };
            }
        }
        Duration::parse(text).map(Self::Fixed)
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "{length}"),
            Self::Months(months) if months % 12 == 0 => write!(f, "{}y", months / 12),
            Self::Months(months) => write!(f, "{months}mo"),
            Self::Learn => f.write_str("learn"),
        }
    }
}

/// A stretch of a series in which one step holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regime {
    /// The event time of the row from which on it holds.
    pub from: i128,
    /// The step, nanoseconds.
    pub cadence: i128,
    /// A longer silence is a gap.
    pub reach: i128,
    /// Steps that it was learned from.
    pub steps: u64,
}

/// By what the silence between two rows is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A length of time, and the silence up to which there is no gap.
    Fixed {
        /// The step, nanoseconds.
        cadence: i128,
        /// A longer silence is a gap.
        reach: i128,
    },
    /// Months of the calendar in a time zone.
    Months {
        /// How many.
        months: u32,
        /// Where days begin.
        zone: Tz,
        /// A longer silence is a gap; without it one and a half steps.
        silence: Option<i128>,
    },
    /// What was learned, in order of time; never empty.
    Learned(Vec<Regime>),
}

fn div_ceil(a: i128, b: i128) -> i128 {
    -(-a).div_euclid(b)
}

fn div_round(a: i128, b: i128) -> i128 {
    (2 * a + b).div_euclid(2 * b)
}

/// The event time a number of months later (or earlier) on the same wall clock; the last day of a shorter month where the day does not exist.
fn plus_months(at: i128, months: i64, zone: Tz, from_month_end: bool) -> i128 {
    let fallback = at.saturating_add(i128::from(months) * 30 * DAY);
    let Ok(days) = Windowing::new(Duration::DAY, zone) else { return fallback };
    let wall = days.wall_of(Instant(at));
    let (day, clock) = (wall.div_euclid(DAY), wall.rem_euclid(DAY));
    let date = i32::try_from(day + 719_163).ok().and_then(NaiveDate::from_num_days_from_ce_opt);
    let moved = date.and_then(|date| {
        let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
        let moved = if months < 0 { date.checked_sub_months(by) } else { date.checked_add_months(by) }?;
        if from_month_end { last_of_month(moved) } else { Some(moved) }
    });
    match moved {
        Some(date) => days.at_wall((i128::from(date.num_days_from_ce()) - 719_163) * DAY + clock).0,
        None => fallback,
    }
}

fn last_of_month(date: NaiveDate) -> Option<NaiveDate> {
    date.with_day(1)?.checked_add_months(Months::new(1))?.pred_opt()
}

/// Whether the local date of an event time is the last of its month.
fn is_month_end(at: i128, zone: Tz) -> bool {
    let Ok(days) = Windowing::new(Duration::DAY, zone) else { return false };
    let day = days.wall_of(Instant(at)).div_euclid(DAY);
    let date = i32::try_from(day + 719_163).ok().and_then(NaiveDate::from_num_days_from_ce_opt);
    date.is_some_and(|date| last_of_month(date) == Some(date))
}

impl Step {
    /// The reach with which spans are collected: silences up to it are no gap at any time.
    pub fn least_reach(&self) -> i128 {
        match self {
            Self::Fixed { reach, .. } => *reach,
            // Every so many months are at least so many times 28 days, less an hour of a clock that goes forward.
            Self::Months { months, silence, .. } => silence.unwrap_or(i128::from(*months) * 27 * DAY).min(i128::from(*months) * 27 * DAY),
            Self::Learned(regimes) => regimes.iter().map(|regime| regime.reach).min().unwrap_or(DAY),
        }
    }

    fn regime(&self, at: i128) -> (i128, i128) {
        match self {
            Self::Fixed { cadence, reach } => (*cadence, *reach),
            Self::Months { months, .. } => (i128::from(*months) * 30 * DAY, i128::from(*months) * 45 * DAY),
            Self::Learned(regimes) => {
                let after = regimes.partition_point(|regime| regime.from <= at);
                regimes.get(after.saturating_sub(1)).map_or((DAY, DAY), |regime| (regime.cadence, regime.reach))
            }
        }
    }

    /// The length of a step at an event time, for estimates.
    pub fn length(&self, at: i128) -> i128 {
        self.regime(at).0
    }

    /// When the row after one at `t` was due; `u` is the next row that there is.
    pub fn due_after(&self, t: i128, u: Option<i128>) -> i128 {
        match self {
            Self::Months { months, zone, .. } => {
                let ends = is_month_end(t, *zone) && u.is_none_or(|u| is_month_end(u, *zone));
                plus_months(t, i64::from(*months), *zone, ends && u.is_some())
            }
            _ => t + self.regime(t).0,
        }
    }

    /// Whether the silence between neighbouring rows at `t` and `u` is a gap.
    pub fn is_gap(&self, t: i128, u: i128) -> bool {
        match self {
            Self::Months { silence: Some(silence), .. } => u - t > *silence,
            Self::Months { months, zone, .. } => {
                let (one, two) = (plus_months(t, i64::from(*months), *zone, false), plus_months(t, 2 * i64::from(*months), *zone, false));
                u > one + (two - one) / 2
            }
            _ => u - t > self.regime(t).1,
        }
    }

    /// The silence that is no gap yet, after a row at `t`.
    pub fn reach(&self, t: i128) -> i128 {
        match self {
            Self::Months { silence: Some(silence), .. } => *silence,
            Self::Months { months, zone, .. } => {
                let (one, two) = (plus_months(t, i64::from(*months), *zone, false), plus_months(t, 2 * i64::from(*months), *zone, false));
                one + (two - one) / 2 - t
            }
            _ => self.regime(t).1,
        }
    }

    /// Rows that are missing between neighbouring rows at `t` and `u`.
    pub fn missing_between(&self, t: i128, u: i128) -> i128 {
        match self {
            Self::Months { months, zone, .. } => {
                let ends = is_month_end(t, *zone) && is_month_end(u, *zone);
                let guess = div_round(u - t, i128::from(*months) * 30 * DAY + DAY / 2);
                let guess = i64::try_from(guess).unwrap_or(i64::MAX / 2).min(1_000_000);
                let nearest = (guess - 2..=guess + 2)
                    .filter(|steps| *steps >= 1)
                    .min_by_key(|steps| (plus_months(t, steps.saturating_mul(i64::from(*months)), *zone, ends) - u).abs());
                i128::from(nearest.unwrap_or(1) - 1)
            }
            _ => div_round(u - t, self.regime(t).0) - 1,
        }
    }

    /// Rows that were due from `from` on and before the first row.
    pub fn missing_before(&self, from: i128, first: i128) -> i128 {
        match self {
            Self::Months { months, zone, .. } => {
                let back = |steps: i64| plus_months(first, -steps.saturating_mul(i64::from(*months)), *zone, false);
                let guess = i64::try_from((first - from).max(0) / (i128::from(*months) * 31 * DAY)).unwrap_or(0).min(1_000_000);
                let mut steps = guess.saturating_sub(1).max(0);
                while back(steps + 1) >= from && steps < 1_000_100 {
                    steps += 1;
                }
                i128::from(steps)
            }
            _ => (first - from).div_euclid(self.regime(first).0),
        }
    }

    /// Rows that were due after the last row and before `until`.
    pub fn missing_after(&self, last: i128, until: i128) -> i128 {
        match self {
            Self::Months { months, zone, .. } => {
                let on = |steps: i64| plus_months(last, steps.saturating_mul(i64::from(*months)), *zone, false);
                let guess = i64::try_from((until - last).max(0) / (i128::from(*months) * 31 * DAY)).unwrap_or(0).min(1_000_000);
                let mut steps = guess.saturating_sub(1).max(0);
                while on(steps + 1) < until && steps < 1_000_100 {
                    steps += 1;
                }
                i128::from(steps)
            }
            _ => div_ceil(until - last, self.regime(last).0) - 1,
        }
    }

    /// Rows that are due in an interval with no row at either end, at least one.
    pub fn due_within(&self, from: i128, until: i128) -> i128 {
        div_ceil(until - from, self.regime(from).0).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i128 {
        Instant::parse(text).unwrap().0
    }

    fn monthly(zone: Tz) -> Step {
        Step::Months { months: 1, zone, silence: None }
    }

    #[test]
    fn cadences_are_durations_months_years_or_learned() {
        for (text, cadence, shown) in [
            ("1mo", Cadence::Months(1), "1mo"),
            ("3 mo", Cadence::Months(3), "3mo"),
            ("1y", Cadence::Months(12), "1y"),
            ("learn", Cadence::Learn, "learn"),
            ("90m", Cadence::Fixed(Duration::parse("90m").unwrap()), "1h30m"),
        ] {
            assert_eq!(Cadence::parse(text), Ok(cadence), "{text}");
            assert_eq!(cadence.to_string(), shown);
        }
        for text in ["0mo", "mo", "-1mo", "1.5mo", "99999999y", "learned", "1mo2d"] {
            assert!(Cadence::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn months_have_28_to_31_days_and_no_gap() {
        let step = monthly(Tz::UTC);
        let firsts = ["2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"];
        for pair in firsts.windows(2) {
            assert!(!step.is_gap(at(pair[0]), at(pair[1])), "{pair:?}");
        }
        assert!(step.is_gap(at("2024-01-01"), at("2024-03-01")));
        assert_eq!(step.due_after(at("2024-01-01"), Some(at("2024-03-01"))), at("2024-02-01"));
        assert_eq!(step.missing_between(at("2024-01-01"), at("2024-03-01")), 1);
        assert_eq!(step.missing_between(at("2024-01-01"), at("2034-01-01")), 119);
        assert_eq!(step.missing_before(at("2023-10-15"), at("2024-02-01")), 3);
        assert_eq!(step.missing_before(at("2023-10-01"), at("2024-02-01")), 4);
        assert_eq!(step.missing_after(at("2024-02-01"), at("2024-05-01")), 2);
        assert_eq!(step.missing_after(at("2024-02-01"), at("2024-05-02")), 3);
    }

    #[test]
    fn the_last_days_of_months_follow_each_other() {
        let step = monthly(Tz::UTC);
        for pair in ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"].windows(2) {
            assert!(!step.is_gap(at(pair[0]), at(pair[1])), "{pair:?}");
        }
        assert!(step.is_gap(at("2024-02-29"), at("2024-04-30")));
        assert_eq!(step.due_after(at("2024-02-29"), Some(at("2024-04-30"))), at("2024-03-31"));
        assert_eq!(step.missing_between(at("2024-01-31"), at("2024-05-31")), 3);
    }

    #[test]
    fn months_follow_the_wall_clock_of_their_zone() {
        let step = monthly(Tz::America__New_York);
        // Local midnights of the first of each month, over both changes of the clocks.
        let firsts =
            ["2022-02-01T05:00:00Z", "2022-03-01T05:00:00Z", "2022-04-01T04:00:00Z", "2022-11-01T04:00:00Z", "2022-12-01T05:00:00Z"];
        assert_eq!(step.due_after(at(firsts[1]), None), at(firsts[2]));
        assert_eq!(step.due_after(at(firsts[3]), None), at(firsts[4]));
        assert_eq!(step.missing_between(at(firsts[2]), at(firsts[3])), 6);
        let yearly = Step::Months { months: 12, zone: Tz::Europe__Berlin, silence: None };
        assert!(!yearly.is_gap(at("2023-12-31T23:00:00Z"), at("2024-12-31T23:00:00Z")));
        assert_eq!(yearly.missing_between(at("2019-12-31T23:00:00Z"), at("2023-12-31T23:00:00Z")), 3);
    }

    #[test]
    fn every_number_of_months_is_counted_as_a_calendar_counts_it() {
        for months in [1_u32, 2, 3, 6, 12] {
            let step = Step::Months { months, zone: Tz::Australia__Lord_Howe, silence: None };
            let start = at("2019-05-09T14:30:00Z");
            for steps in 1..60_i64 {
                let later = plus_months(start, steps * i64::from(months), Tz::Australia__Lord_Howe, false);
                assert_eq!(step.missing_between(start, later), i128::from(steps - 1), "{months} {steps}");
                assert_eq!(step.missing_after(start, later), i128::from(steps - 1), "{months} {steps}");
                assert_eq!(step.missing_before(start, later), i128::from(steps), "{months} {steps}");
                assert_eq!(step.is_gap(start, later), steps > 1, "{months} {steps}");
            }
        }
    }

    #[test]
    fn times_beyond_the_calendar_do_not_panic() {
        let step = monthly(Tz::Europe__Berlin);
        for t in [i128::from(i64::MAX) * 1_000_000_000, i128::from(i64::MIN) * 1_000_000_000] {
            assert!(step.due_after(t, None) > t);
            let _ = step.missing_between(t, t + DAY);
        }
    }
}
