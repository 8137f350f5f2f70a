//! What a run is asked to judge, as the oracle reads it and as flags of `gapless verify`.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::table::time_text;

pub(crate) const SECOND_US: i64 = 1_000_000;
pub(crate) const MINUTE_US: i64 = 60 * SECOND_US;
pub(crate) const HOUR_US: i64 = 60 * MINUTE_US;
pub(crate) const DAY_US: i64 = 24 * HOUR_US;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Replica,
    Fill,
    Single,
}

/// |a − b| ≤ `abs` + `rel` × max(|a|, |b|); for times `abs` is in microseconds and `rel` is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    pub(crate) abs: f64,
    pub(crate) rel: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) mode: Mode,
    /// Empty: keyless.
    pub(crate) key: Vec<&'static str>,
    pub(crate) time: Option<&'static str>,
    pub(crate) series: Vec<&'static str>,
    pub(crate) sequence: Option<&'static str>,
    pub(crate) cadence_us: Option<i64>,
    /// One and a half cadences, unless given.
    pub(crate) max_silence_us: Option<i64>,
    pub(crate) window_us: Option<i64>,
    pub(crate) time_zone: Option<Tz>,
    /// Half-open.
    pub(crate) bounds_us: Option<(i64, i64)>,
    pub(crate) ignore: Vec<&'static str>,
    /// Compare only these.
    pub(crate) columns: Option<Vec<&'static str>>,
    pub(crate) tolerance: BTreeMap<&'static str, Tolerance>,
    pub(crate) duplicates_all: bool,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            mode: Mode::Replica,
            key: vec!["id"],
            time: Some("ts"),
            series: vec!["device"],
            sequence: Some("seq"),
            cadence_us: Some(MINUTE_US),
            max_silence_us: None,
            window_us: None,
            time_zone: None,
            bounds_us: None,
            ignore: Vec::new(),
            columns: None,
            tolerance: BTreeMap::new(),
            duplicates_all: true,
        }
    }
}

impl Job {
    /// A gap opens where silence is longer than this.
    pub(crate) fn max_silence_us(&self) -> Option<i64> {
        self.max_silence_us.or(self.cadence_us.map(|cadence| cadence * 3 / 2))
    }

    /// Is the column looked at, be it as key or as value?
    pub(crate) fn looks_at(&self, column: &str) -> bool {
        !self.ignore.contains(&column) && self.columns.as_ref().is_none_or(|columns| columns.contains(&column))
    }

    /// The flags of `gapless verify`, without the two paths.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags: Vec<String> = vec!["--no-infer".into()];
        let mut say = |flag: &str, value: String| flags.extend([flag.to_owned(), value]);
        match self.mode {
            Mode::Replica => say("--mode", "replica".into()),
            Mode::Fill => say("--mode", "fill".into()),
            Mode::Single => {}
        }
        if !self.key.is_empty() {
            say("--key", self.key.join(","));
        }
        if let Some(time) = self.time {
            say("--time", time.into());
        }
        if !self.series.is_empty() {
            say("--series", self.series.join(","));
        }
        if let Some(sequence) = self.sequence {
            say("--sequence", sequence.into());
        }
        if let Some(cadence) = self.cadence_us {
            say("--cadence", duration_text(cadence));
        }
        if let Some(silence) = self.max_silence_us {
            say("--max-silence", duration_text(silence));
        }
        if let Some(window) = self.window_us {
            say("--window", duration_text(window));
        }
        if let Some(zone) = self.time_zone {
            say("--time-zone", zone.name().into());
        }
        if let Some((from, until)) = self.bounds_us {
            say("--from", time_text(from));
            say("--until", time_text(until));
        }
        if !self.ignore.is_empty() {
            say("--ignore", self.ignore.join(","));
        }
        if let Some(columns) = &self.columns {
            say("--columns", columns.join(","));
        }
        for (column, tolerance) in &self.tolerance {
            let allowed = if *column == "ts" {
                duration_text(tolerance.abs as i64)
            } else if tolerance.rel == 0.0 {
                format!("abs:{}", tolerance.abs)
            } else {
                format!("abs:{},rel:{}", tolerance.abs, tolerance.rel)
            };
            say("--tolerance", format!("{column}={allowed}"));
        }
        say("--duplicates", if self.duplicates_all { "all" } else { "differing" }.into());
        if self.key.is_empty() {
            flags.push("--keyless".into());
        }
        flags
    }
}

/// The shortest single-unit spelling of a duration.
pub(crate) fn duration_text(us: i64) -> String {
    for (unit, width) in [("d", DAY_US), ("h", HOUR_US), ("m", MINUTE_US), ("s", SECOND_US), ("ms", 1_000)] {
        if us % width == 0 {
            return format!("{}{unit}", us / width);
        }
    }
    format!("{us}us")
}
