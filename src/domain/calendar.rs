//! When data is due: days of the week and hours in a time zone, without holidays.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use super::{Duration, Instant, Intervals, Windowing};

const DAY: i128 = 86_400_000_000_000;
const MINUTE: i128 = 60_000_000_000;
/// Days that are looked at one by one at most; what lies beyond counts as due.
const MOST_DAYS: i128 = 1_000_000;
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Days and hours in which data is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    days: [bool; 7],
    /// Wall clock since local midnight, half-open; an end beyond a day lies in the next one.
    hours: Vec<(i128, i128)>,
    holidays: BTreeSet<NaiveDate>,
    zone: Tz,
}

/// A word that is not understood, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not {1}")]
pub struct CalendarError(pub String, pub &'static str);

fn day_of(word: &str) -> Result<usize, CalendarError> {
    let lower = word.trim().to_lowercase();
    DAYS.iter()
        .position(|day| lower == day[..3] || lower == *day)
        .ok_or_else(|| CalendarError(word.trim().to_string(), "a day of the week (mon, tue, …)"))
}

fn clock_of(word: &str) -> Result<i128, CalendarError> {
    let error = || CalendarError(word.trim().to_string(), "a time of day (09:30)");
    let (hours, minutes) = word.trim().split_once(':').ok_or_else(error)?;
    let (hours, minutes) = (hours.parse::<i128>().map_err(|_| error())?, minutes.parse::<i128>().map_err(|_| error())?);
    let at = hours * 60 + minutes;
    if minutes > 59 || hours < 0 || minutes < 0 || at > 24 * 60 { Err(error()) } else { Ok(at * MINUTE) }
}

impl Calendar {
    /// From the words of a job: days (`mon-fri`, `mon,wed,sat-sun`) and hours (`09:30-16:00`, `22:00-02:00`, several with commas).
    ///
    /// # Errors
    /// A word that is not understood.
    pub fn new(days: Option<&str>, hours: Option<&str>, holidays: BTreeSet<NaiveDate>, zone: Tz) -> Result<Self, CalendarError> {
        let mut due = [days.is_none(); 7];
        for part in days.into_iter().flat_map(|days| days.split(',')) {
            match part.split_once('-') {
                Some((first, last)) => {
                    let (first, last) = (day_of(first)?, day_of(last)?);
                    let many = (last + 7 - first) % 7;
                    (0..=many).for_each(|offset| due[(first + offset) % 7] = true);
                }
                None => due[day_of(part)?] = true,
            }
        }
        let mut open = Vec::new();
        for part in hours.unwrap_or("00:00-24:00").split(',') {
            let (from, until) =
                part.split_once('-').ok_or_else(|| CalendarError(part.trim().to_string(), "a range of hours (09:30-16:00)"))?;
            let (from, mut until) = (clock_of(from)?, clock_of(until)?);
            if until <= from {
                until += DAY;
            }
            open.push((from, until));
        }
        Ok(Self { days: due, hours: open, holidays, zone })
    }

    /// What of `[from, until)` is due.
    pub fn due(&self, from: i128, until: i128) -> Intervals {
        let Some(days) = Windowing::new(Duration::DAY, self.zone).ok() else {
            return Intervals::one(from, until);
        };
        if from >= until {
            return Intervals::default();
        }
        let (first, last) = (days.wall_of(Instant(from)).div_euclid(DAY) - 1, days.wall_of(Instant(until)).div_euclid(DAY));
        let mut due = Vec::new();
        for day in first..=last.min(first + MOST_DAYS) {
            let date = i32::try_from(day + 719_163).ok().and_then(NaiveDate::from_num_days_from_ce_opt);
            let is_due = date.is_none_or(|date| {
                let weekday = date.weekday().num_days_from_monday() as usize;
                self.days[weekday] && !self.holidays.contains(&date)
            });
            if is_due {
                due.extend(self.hours.iter().map(|(start, end)| (days.at_wall(day * DAY + start).0, days.at_wall(day * DAY + end).0)));
            }
        }
        if last > first + MOST_DAYS {
            due.push((days.at_wall((first + MOST_DAYS + 1) * DAY).0, until));
        }
        Intervals::of(due).intersection(&Intervals::one(from, until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i128 {
        Instant::parse(text).unwrap().0
    }

    fn shown(set: &Intervals) -> Vec<String> {
        set.iter().map(|(from, until)| format!("{} {}", Instant(from), Instant(until))).collect()
    }

    #[test]
    fn trading_hours_follow_the_clocks_and_skip_weekends_and_holidays() {
        let holidays = BTreeSet::from([NaiveDate::from_ymd_opt(2022, 3, 15).unwrap()]);
        let calendar = Calendar::new(Some("mon-fri"), Some("09:30-16:00"), holidays, Tz::America__New_York).unwrap();
        // Clocks went forward on Sunday, 13 March.
        assert_eq!(
            shown(&calendar.due(at("2022-03-11T00:00:00Z"), at("2022-03-16T14:00:00Z"))),
            [
                "2022-03-11T14:30:00Z 2022-03-11T21:00:00Z",
                "2022-03-14T13:30:00Z 2022-03-14T20:00:00Z",
                "2022-03-16T13:30:00Z 2022-03-16T14:00:00Z"
            ]
        );
    }

    #[test]
    fn days_run_over_the_week_and_hours_over_midnight() {
        let calendar = Calendar::new(Some("sat-mon, wednesday"), Some("22:00-02:00"), BTreeSet::new(), Tz::UTC).unwrap();
        // 2024-05-06 is a Monday.
        assert_eq!(
            shown(&calendar.due(at("2024-05-06T00:00:00Z"), at("2024-05-09"))),
            [
                "2024-05-06T00:00:00Z 2024-05-06T02:00:00Z",
                "2024-05-06T22:00:00Z 2024-05-07T02:00:00Z",
                "2024-05-08T22:00:00Z 2024-05-09T00:00:00Z"
            ]
        );
        let always = Calendar::new(None, None, BTreeSet::new(), Tz::Europe__Berlin).unwrap();
        assert_eq!(always.due(0, 1_000 * DAY).length(), 1_000 * DAY);
    }

    #[test]
    fn words_that_mean_nothing_are_refused() {
        for (days, hours) in [
            (Some("mo-fri"), None),
            (Some("monfri"), None),
            (Some(""), None),
            (None, Some("9-16")),
            (None, Some("25:00-26:00")),
            (None, Some("09:30")),
        ] {
            assert!(Calendar::new(days, hours, BTreeSet::new(), Tz::UTC).is_err(), "{days:?} {hours:?}");
        }
    }
}
