//! What "continuous" means for a stream: the table `[stream.continuity]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::Deserialize;

use super::raw::RawBounds;
use crate::domain::{Bounds, Calendar, Duration, Instant, Intervals};
use crate::error::{Error, Result};

/// The chance that a healthy window is called too low, unless the job says another.
const FALSE_ALARMS: f64 = 1e-6;

/// The table as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the job file, documented in docs/job.md")]
pub struct RawContinuity {
    pub expect: Option<RawExpect>,
    pub false_alarms: Option<f64>,
    pub calendar: Option<RawCalendar>,
    pub maintenance: Option<Vec<RawMaintenance>>,
    pub grace: Option<String>,
    pub ingest_time: Option<String>,
    pub expect_series: Option<String>,
}

/// A word, or `{ rows = N }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "expected every_window, like_original, profile, \"rows=N\" or { rows = N }")]
pub enum RawExpect {
    /// `every_window`, `like_original`, `profile`, `rows=N`.
    Word(String),
    /// At least so many rows a window.
    Rows {
        /// How many.
        rows: u64,
    },
}

/// When data is due.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCalendar {
    /// Days of the week.
    pub days: Option<String>,
    /// Hours of the day.
    pub hours: Option<String>,
    /// A file of dates.
    pub holidays: Option<String>,
    /// Where the days begin.
    pub time_zone: Option<String>,
}

/// A planned interruption.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMaintenance {
    /// The first instant.
    #[serde(default, deserialize_with = "super::raw::moment")]
    pub from: Option<String>,
    /// The first instant after it.
    #[serde(default, deserialize_with = "super::raw::moment")]
    pub until: Option<String>,
    /// Days of the week and hours, each week between the two instants.
    pub weekly: Option<String>,
    /// Where those days begin.
    pub time_zone: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl RawContinuity {
    /// These settings, and where one is not set, those of the other.
    pub fn or(self, other: Self) -> Self {
        Self {
            expect: self.expect.or(other.expect),
            false_alarms: self.false_alarms.or(other.false_alarms),
            calendar: self.calendar.or(other.calendar),
            maintenance: self.maintenance.or(other.maintenance),
            grace: self.grace.or(other.grace),
            ingest_time: self.ingest_time.or(other.ingest_time),
            expect_series: self.expect_series.or(other.expect_series),
        }
    }

    /// Why interruptions are planned.
    pub(super) fn reasons(&mut self) -> impl Iterator<Item = &mut String> {
        self.maintenance.iter_mut().flatten().filter_map(|planned| planned.reason.as_mut())
    }

    /// Makes the paths of files relative to a directory.
    pub(super) fn locate(&mut self, relative: impl Fn(&str) -> String) {
        let holidays = self.calendar.as_mut().and_then(|calendar| calendar.holidays.as_mut());
        for path in holidays.into_iter().chain(self.expect_series.as_mut()) {
            *path = relative(path);
        }
    }
}

/// What a window should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// At least one row.
    EveryWindow,
    /// At least so many.
    Rows(u64),
    /// As many as the original.
    LikeOriginal,
    /// What the hour of the week has had.
    Profile,
}

impl Expect {
    /// The public word.
    pub fn word(self) -> String {
        match self {
            Self::EveryWindow => "every_window".to_string(),
            Self::Rows(rows) => format!("rows={rows}"),
            Self::LikeOriginal => "like_original".to_string(),
            Self::Profile => "profile".to_string(),
        }
    }
}

/// A planned interruption: from one instant to another, or between them each week anew.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the job file")]
pub struct Maintenance {
    pub from: i128,
    pub until: i128,
    pub weekly: Option<Calendar>,
    pub reason: Option<String>,
}

impl Maintenance {
    /// What of `[from, until)` is planned to be interrupted.
    pub fn within(&self, from: i128, until: i128) -> Intervals {
        let (from, until) = (from.max(self.from), until.min(self.until));
        if from >= until {
            return Intervals::default();
        }
        self.weekly.as_ref().map_or_else(|| Intervals::one(from, until), |weekly| weekly.due(from, until))
    }
}

/// The series that there should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ExpectedSeries {
    pub path: String,
    pub columns: Vec<String>,
    /// Values in the order of the columns.
    pub rows: BTreeSet<Vec<String>>,
}

/// What a stream takes for continuous, beyond cadence, window and sequence.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the job file, documented in docs/job.md")]
pub struct ContinuitySpec {
    pub expect: Option<Expect>,
    pub false_alarms: f64,
    pub calendar: Option<Calendar>,
    pub maintenance: Vec<Maintenance>,
    pub grace: Option<Duration>,
    pub ingest_time: Option<String>,
    pub expect_series: Option<ExpectedSeries>,
    /// As it was said, for the report.
    pub said: BTreeMap<String, String>,
}

impl Default for ContinuitySpec {
    fn default() -> Self {
        Self {
            expect: None,
            false_alarms: FALSE_ALARMS,
            calendar: None,
            maintenance: Vec::new(),
            grace: None,
            ingest_time: None,
            expect_series: None,
            said: BTreeMap::new(),
        }
    }
}

fn usage(place: String, problem: &str, help: &str) -> Error {
    Error::Usage { place, problem: problem.to_string(), help: help.to_string() }
}

/// What the rest of the stream says that these settings need.
pub(super) struct Around<'a> {
    pub(super) series: &'a [String],
    pub(super) mask: &'a [String],
    pub(super) zone: Tz,
    pub(super) two_sided_replica: bool,
    pub(super) windowed: bool,
}

/// Checks the table.
///
/// # Errors
/// The first thing that is wrong, with its place and what would be right.
pub(super) fn build_continuity(
    raw: RawContinuity,
    around: &Around<'_>,
    at: &dyn Fn(&str) -> String,
    bounds: impl Fn(RawBounds, &str) -> Result<Bounds>,
    zone: impl Fn(Option<&str>, &str) -> Result<Option<Tz>>,
) -> Result<ContinuitySpec> {
    let RawContinuity { expect, false_alarms, calendar, maintenance, grace, ingest_time, expect_series } = raw;
    let mut said = BTreeMap::new();
    let help = "use every_window, rows=N, like_original or profile";
    let expect = match expect {
        None => None,
        Some(RawExpect::Rows { rows }) => Some(Expect::Rows(rows)),
        Some(RawExpect::Word(word)) => Some(match word.split_once('=') {
            Some((name, number)) if name.trim() == "rows" => {
                Expect::Rows(number.trim().parse().map_err(|_| usage(at("expect"), &format!("'{number}' is not a number of rows"), help))?)
            }
            _ => match word.trim() {
                "every_window" => Expect::EveryWindow,
                "like_original" => Expect::LikeOriginal,
                "profile" => Expect::Profile,
                other => return Err(usage(at("expect"), &format!("'{other}' is not known"), help)),
            },
        }),
    };
    if let Some(expect) = expect {
        said.insert("expect".to_string(), expect.word());
        if !around.windowed {
            return Err(usage(at("expect"), "there is no window for it to speak of", "add --window, the width of the windows"));
        }
        if expect == Expect::Rows(0) {
            return Err(usage(at("expect"), "no window has fewer than 0 rows", "expect at least one"));
        }
        if expect == Expect::LikeOriginal && !around.two_sided_replica {
            return Err(usage(
                at("expect"),
                "'like_original' holds a backfill against the original, window by window: that needs two sides in mode replica",
                "use rows=N or profile",
            ));
        }
    }
    let false_alarms = match false_alarms {
        None => FALSE_ALARMS,
        Some(rate) if rate > 0.0 && rate <= 0.1 => rate,
        Some(rate) => {
            return Err(usage(
                at("false_alarms"),
                &format!("{rate} is not a chance from zero to 0.1"),
                "write the chance that a healthy window is called too low, such as 1e-6",
            ));
        }
    };
    let calendar = match calendar {
        None => None,
        Some(raw) => {
            let RawCalendar { days, hours, holidays, time_zone } = raw;
            let place = at("calendar");
            let own = zone(time_zone.as_deref(), &place)?.unwrap_or(around.zone);
            let free = holidays.as_deref().map(|path| read_holidays(path, &place)).transpose()?.unwrap_or_default();
            for (name, value) in [("days", &days), ("hours", &hours), ("holidays", &holidays)] {
                said.extend(value.as_ref().map(|value| (format!("calendar.{name}"), value.clone())));
            }
            said.insert("calendar.time_zone".to_string(), own.name().to_string());
            let made = Calendar::new(days.as_deref(), hours.as_deref(), free, own)
                .map_err(|e| usage(place, &e.to_string(), "write days = \"mon-fri\", hours = \"09:30-16:00\""))?;
            Some(made)
        }
    };
    let mut planned = Vec::new();
    for (index, raw) in maintenance.unwrap_or_default().into_iter().enumerate() {
        let place = at(&format!("maintenance[{}]", index + 1));
        let RawMaintenance { from, until, weekly, time_zone, reason } = raw;
        let known = match (&from, &until) {
            (None, None) => Bounds::default(),
            _ => bounds(RawBounds { from, until }, &place)?,
        };
        let own = zone(time_zone.as_deref(), &place)?;
        let repeated = match &weekly {
            None if own.is_some() => {
                return Err(usage(
                    place,
                    "a time zone is for what comes each week",
                    "write weekly = \"sun 02:00-03:00\", or times with their offset",
                ));
            }
            None => None,
            Some(text) => {
                let (days, hours) = text.split_at(text.find(|letter: char| letter.is_ascii_digit()).unwrap_or(text.len()));
                let (days, hours) = (days.trim(), Some(hours.trim()).filter(|hours| !hours.is_empty()));
                let made = Calendar::new(Some(days), hours, BTreeSet::new(), own.unwrap_or(around.zone));
                Some(made.map_err(|e| usage(place.clone(), &e.to_string(), "write days and hours, such as weekly = \"sun 02:00-03:00\""))?)
            }
        };
        if repeated.is_none() && (known.from.is_none() || known.until.is_none()) {
            let help = "write { from = …, until = …, reason = … }, or { weekly = \"sun 02:00-03:00\" }";
            return Err(usage(place, "a planned interruption has two ends", help));
        }
        let end = |at: Option<Instant>| at.map(|at| at.to_string()).unwrap_or_default();
        let ends = format!("{}/{}", end(known.from), end(known.until));
        said.insert(
            format!("maintenance[{}]", index + 1),
            match &weekly {
                Some(text) if ends == "/" => format!("{text} {}", own.unwrap_or(around.zone).name()),
                Some(text) => format!("{text} {} {ends}", own.unwrap_or(around.zone).name()),
                None => ends,
            },
        );
        let (from, until) = (known.from.map_or(i128::MIN, |at| at.0), known.until.map_or(i128::MAX, |at| at.0));
        planned.push(Maintenance { from, until, weekly: repeated, reason });
    }
    let grace = grace
        .map(|text| Duration::parse(&text))
        .transpose()
        .map_err(|e| usage(at("grace"), &e.to_string(), "write a positive duration such as 10m"))?;
    said.extend(grace.map(|grace| ("grace".to_string(), grace.to_string())));
    if let Some(column) = &ingest_time {
        said.insert("ingest_time".to_string(), column.clone());
        if !around.windowed {
            return Err(usage(at("ingest_time"), "lateness is told window by window, and there is no window", "add --window"));
        }
    }
    let expect_series = expect_series.map(|path| read_series(&path, around, &at("expect_series"))).transpose()?;
    said.extend(expect_series.as_ref().map(|list| ("expect_series".to_string(), list.path.clone())));
    Ok(ContinuitySpec { expect, false_alarms, calendar, maintenance: planned, grace, ingest_time, expect_series, said })
}

/// One date a line; what follows `#` is a comment.
fn read_holidays(path: &str, place: &str) -> Result<BTreeSet<NaiveDate>> {
    let text = std::fs::read_to_string(Path::new(path))
        .map_err(|e| usage(place.to_string(), &format!("'{path}' cannot be read: {e}"), "name a file with one date a line"))?;
    let mut days = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let word = line.split('#').next().unwrap_or_default().trim();
        if word.is_empty() {
            continue;
        }
        let day = NaiveDate::parse_from_str(word, "%Y-%m-%d").map_err(|_| {
            usage(place.to_string(), &format!("'{path}', line {}: '{word}' is not a date", index + 1), "write one date a line, 2024-12-25")
        })?;
        days.insert(day);
    }
    Ok(days)
}

/// A CSV whose header names the columns of the series.
fn read_series(path: &str, around: &Around<'_>, place: &str) -> Result<ExpectedSeries> {
    let wrong = |problem: &str, help: &str| usage(place.to_string(), problem, help);
    if around.series.is_empty() {
        return Err(wrong("the stream has no series", "name their columns with --series"));
    }
    if let Some(column) = around.series.iter().find(|column| around.mask.contains(column)) {
        return Err(wrong(
            &format!("column '{column}' is masked, so its values cannot be held against a list"),
            "drop it from mask, or drop expect_series",
        ));
    }
    let text = std::fs::read_to_string(Path::new(path))
        .map_err(|e| wrong(&format!("'{path}' cannot be read: {e}"), "name a CSV file whose header has the columns of the series"))?;
    let mut lines = super::raw::csv_records(&text).into_iter();
    let header = lines.next().unwrap_or_default();
    let mut places = Vec::new();
    for column in around.series {
        let found = header.iter().position(|name| name.trim() == column);
        places.push(
            found.ok_or_else(|| wrong(&format!("'{path}' has no column '{column}'"), "its header must have every column of the series"))?,
        );
    }
    let mut rows = BTreeSet::new();
    for (index, record) in lines.enumerate() {
        if record.len() != header.len() {
            return Err(wrong(
                &format!("'{path}', record {}: {} cells under {} columns", index + 2, record.len(), header.len()),
                "write one series a line",
            ));
        }
        rows.insert(places.iter().map(|&at| record[at].clone()).collect());
    }
    if rows.is_empty() {
        return Err(wrong(&format!("'{path}' lists no series"), "write one series a line"));
    }
    Ok(ExpectedSeries { path: path.to_string(), columns: around.series.to_vec(), rows })
}
