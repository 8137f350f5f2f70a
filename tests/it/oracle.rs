//! A slow and obvious oracle: from the rows of both sides to everything that must be found.
//!
//! It shares no code with the library and takes no shortcut: sorted maps, nested scans, one paragraph for
//! each paragraph of the rules. Where the rules leave a detail open, [`Finding::judged`] says so in one place.
#![allow(clippy::expect_used, reason = "an oracle that cannot answer must stop the test at once")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveTime, TimeZone};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::common::job::{DAY_US, Job, Mode, Tolerance};
use crate::common::table::{Cell, Column, Row, Table, canonical_json, object, position};

/// A finding, reduced to what is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) check: String,
    pub(crate) kind: Option<String>,
    pub(crate) severity: String,
    pub(crate) side: Option<String>,
    pub(crate) series: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) original_value: Option<String>,
    pub(crate) backfill_value: Option<String>,
    pub(crate) window_us: Option<(i64, i64)>,
    pub(crate) times_us: Option<(i64, i64)>,
    pub(crate) sequences: Option<(i128, i128)>,
    pub(crate) rows: Option<i64>,
}

impl Finding {
    fn new(check: &str, severity: &str) -> Self {
        Self { check: check.into(), severity: severity.into(), ..Self::default() }
    }

    fn kind(mut self, kind: &str) -> Self {
        self.kind = Some(kind.into());
        self
    }

    fn side(mut self, side: &str) -> Self {
        self.side = Some(side.into());
        self
    }

    fn rows(mut self, rows: usize) -> Self {
        self.rows = Some(rows as i64);
        self
    }

    /// The finding without what the rules leave open for its check.
    pub(crate) fn judged(mut self) -> Self {
        match self.check.as_str() {
            // A row is its key; its series and time are a convenience of the report.
            "missing_key" | "unexpected_key" => {
                self.only_row();
                (self.kind, self.side, self.original_value, self.backfill_value) = (None, None, None, None);
            }
            "missing_row" | "unexpected_row" => {
                self.only_row();
                // The row stands in the value of the side that holds it; whether it is the key too is left open.
                (self.kind, self.side, self.key) = (None, None, None);
            }
            "value_mismatch" => {
                self.only_row();
                (self.kind, self.side, self.rows) = (None, None, None);
            }
            "duplicate_key" => {
                self.only_row();
                (self.original_value, self.backfill_value, self.column) = (None, None, None);
                if self.kind.as_deref() == Some("alike") {
                    (self.rows, self.side) = (None, None);
                }
            }
            "null_key" => {
                self.only_row();
                (self.kind, self.column, self.original_value, self.backfill_value) = (None, None, None, None);
                if self.severity == "warn" {
                    self.rows = None;
                }
            }
            "gap" => {
                (self.kind, self.rows, self.window_us, self.sequences) = (None, None, None, None);
            }
            "sequence_gap" => {
                (self.kind, self.rows, self.window_us, self.times_us) = (None, None, None, None);
            }
            "sequence_duplicate" => {
                (self.kind, self.window_us, self.times_us) = (None, None, None);
            }
            "sequence_regression" => {
                (self.kind, self.rows, self.window_us, self.times_us, self.sequences) = (None, None, None, None, None);
            }
            "short_window" => {
                // How many rows each side has is said in the values.
                (self.kind, self.rows, self.times_us) = (None, None, None);
                (self.original_value, self.backfill_value) = (None, None);
            }
            "missing_series" | "unexpected_series" => {
                (self.kind, self.rows, self.side, self.window_us, self.times_us, self.sequences) = (None, None, None, None, None, None);
            }
            // Counted; into how many findings the count is split is left open.
            "null_time" | "row_outside_bounds" => {
                let kept = Self { check: self.check, severity: self.severity, side: self.side, rows: self.rows, ..Self::default() };
                return kept;
            }
            "bounds_inferred" => return Self::new(&self.check, &self.severity),
            _ => {}
        }
        self
    }

    fn only_row(&mut self) {
        (self.series, self.window_us, self.times_us, self.sequences) = (None, None, None, None);
    }
}

/// Findings as they are compared: reduced, counts added up where their split is open, sorted. Seam findings
/// are compared by presence, elsewhere.
pub(crate) fn judged(findings: &[Finding]) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    let mut added: BTreeMap<Finding, i64> = BTreeMap::new();
    for finding in findings.iter().cloned().map(Finding::judged) {
        match finding.check.as_str() {
            "seam_gap" | "seam_overlap" => {}
            "null_time" | "row_outside_bounds" | "bounds_inferred" => {
                let rows = finding.rows.unwrap_or(0);
                *added.entry(Finding { rows: None, ..finding }).or_default() += rows;
            }
            _ => kept.push(finding),
        }
    }
    kept.extend(added.into_iter().map(|(finding, rows)| Finding { rows: (rows > 0).then_some(rows), ..finding }));
    kept.sort();
    kept
}

/// A gap as the `gaps` table holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Gap {
    pub(crate) series: Option<String>,
    pub(crate) side: String,
    pub(crate) kind: String,
    pub(crate) from: i128,
    pub(crate) until: i128,
    pub(crate) missing_estimate: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) findings: Vec<Finding>,
    /// Open gaps, of time and of sequence, on the sides that are judged.
    pub(crate) gaps: Vec<Gap>,
    pub(crate) counts: BTreeMap<&'static str, Option<i64>>,
    /// Do both sides of a `fill` hold rows of one stretch of time?
    pub(crate) overlaps: bool,
}

impl Expected {
    pub(crate) fn exit_code(&self) -> i32 {
        i32::from(self.findings.iter().any(|finding| finding.severity == "error"))
    }
}

struct Judge<'a> {
    job: &'a Job,
    columns: &'a [Column],
    /// Positions of the key columns; empty when keyless.
    key: Vec<usize>,
    /// Positions of the compared columns that are not key.
    compared: Vec<usize>,
    expected: Expected,
}

/// Everything that must be found.
pub(crate) fn expect(job: &Job, original: &Table, backfill: Option<&Table>) -> Expected {
    let columns = &original.columns;
    let key: Vec<usize> = job.key.iter().map(|name| position(columns, name)).collect();
    let compared = (0..columns.len()).filter(|at| !key.contains(at) && job.looks_at(columns[*at].name)).collect();
    let mut judge = Judge { job, columns, key, compared, expected: Expected::default() };
    let empty = Table { columns: columns.clone(), rows: Vec::new() };
    let all_backfill = backfill.unwrap_or(&empty);
    let original_rows = judge.within_bounds("original", original);
    let backfill_rows = judge.within_bounds("backfill", all_backfill);
    judge.keys(&original_rows, &backfill_rows);
    judge.continuity(&original_rows, &backfill_rows);
    judge.count();
    judge.expected
}

impl Judge<'_> {
    fn find(&mut self, finding: Finding) {
        self.expected.findings.push(finding);
    }

    /// The rows that the verdict speaks of. A row without event time cannot be outside.
    fn within_bounds(&mut self, side: &str, table: &Table) -> Vec<Row> {
        let Some(time) = self.job.time.map(|name| table.at(name)) else {
            return table.rows.clone();
        };
        let nulls = table.rows.iter().filter(|row| row[time] == Cell::Null).count();
        if nulls > 0 {
            self.find(Finding::new("null_time", "error").side(side).rows(nulls));
        }
        let Some((from, until)) = self.job.bounds_us else {
            return table.rows.clone();
        };
        let (inside, outside): (Vec<Row>, Vec<Row>) =
            table.rows.iter().cloned().partition(|row| row[time].time_us().is_none_or(|t| from <= t && t < until));
        if !outside.is_empty() {
            self.find(Finding::new("row_outside_bounds", "info").side(side).rows(outside.len()));
        }
        inside
    }

    // Keys and copies.

    fn keys(&mut self, original: &[Row], backfill: &[Row]) {
        if self.key.is_empty() {
            return self.keyless(original, backfill);
        }
        type Copies = (Vec<Row>, Vec<Row>);
        let mut by_key: BTreeMap<Row, Copies> = BTreeMap::new();
        for row in original {
            by_key.entry(self.key_cells(row)).or_default().0.push(self.compared_cells(row));
        }
        for row in backfill {
            by_key.entry(self.key_cells(row)).or_default().1.push(self.compared_cells(row));
        }
        for (key, (mut original, mut backfill)) in by_key {
            original.sort();
            backfill.sort();
            self.null_key(&key, &original, &backfill);
            match self.job.mode {
                Mode::Replica if backfill.is_empty() => {
                    let finding = self.about(&key, "missing_key", "error").rows(original.len());
                    self.find(finding);
                    self.add("missing_keys", 1);
                }
                Mode::Replica if original.is_empty() => {
                    let finding = self.about(&key, "unexpected_key", "error").rows(backfill.len());
                    self.find(finding);
                    self.add("unexpected_keys", 1);
                }
                Mode::Replica => self.key_on_both_sides(&key, &original, &backfill),
                Mode::Fill if backfill.is_empty() => self.copies_of_one_side(&key, "original", &original),
                Mode::Fill if original.is_empty() => self.copies_of_one_side(&key, "backfill", &backfill),
                Mode::Fill if original == backfill => {
                    let finding = self.about(&key, "duplicate_key", "info").kind("replay").side("backfill").rows(backfill.len());
                    self.find(finding);
                    self.add("matched_keys", 1);
                    self.add("duplicate_keys", 1);
                }
                Mode::Fill => self.key_on_both_sides(&key, &original, &backfill),
                Mode::Single => self.copies_of_one_side(&key, "original", &original),
            }
        }
    }

    fn null_key(&mut self, key: &Row, original: &[Row], backfill: &[Row]) {
        if !key.contains(&Cell::Null) {
            return;
        }
        let finding = if original == backfill {
            self.about(key, "null_key", "warn").rows(original.len())
        } else if backfill.is_empty() {
            self.about(key, "null_key", "error").side("original").rows(original.len())
        } else {
            self.about(key, "null_key", "error").side("backfill").rows(backfill.len())
        };
        self.find(finding);
    }

    /// Both lists are sorted and neither is empty.
    fn key_on_both_sides(&mut self, key: &Row, original: &[Row], backfill: &[Row]) {
        // Copies held alike are told from other rows only where somebody looked for them.
        let alike = if self.job.duplicates_all || self.job.mode != Mode::Replica { 1 } else { original.len() as i64 };
        if original == backfill {
            self.add("matched_keys", alike);
            if original.len() > 1 && self.job.duplicates_all {
                let finding = self.about(key, "duplicate_key", "warn").kind("alike").rows(original.len());
                self.find(finding);
                self.add("duplicate_keys", 1);
            }
            return;
        }
        // Equal rows cancel first.
        let mut left_original = original.to_vec();
        let mut left_backfill = Vec::new();
        for row in backfill {
            match left_original.iter().position(|other| other == row) {
                Some(at) => drop(left_original.remove(at)),
                None => left_backfill.push(row.clone()),
            }
        }
        // Then what a tolerance allows, position by position in sorted order.
        let allowed: BTreeSet<usize> = (0..left_original.len().min(left_backfill.len()))
            .filter(|at| self.differing(&left_original[*at], &left_backfill[*at]).is_empty())
            .collect();
        let keep = |rows: Vec<Row>| -> Vec<Row> {
            rows.into_iter().enumerate().filter(|(at, _)| !allowed.contains(at)).map(|(_, row)| row).collect()
        };
        let (left_original, left_backfill) = (keep(left_original), keep(left_backfill));

        match (left_original.as_slice(), left_backfill.as_slice()) {
            ([], []) => {
                self.add("matched_keys", alike);
                // Within tolerance the sides hold the key alike.
                if original.len() > 1 && self.job.duplicates_all {
                    let finding = self.about(key, "duplicate_key", "warn").kind("alike").rows(original.len());
                    self.find(finding);
                    self.add("duplicate_keys", 1);
                }
            }
            ([mine], [theirs]) => {
                for at in self.differing(mine, theirs) {
                    let mut finding = self.about(key, "value_mismatch", "error");
                    finding.column = Some(self.columns[self.compared[at]].name.to_owned());
                    finding.original_value = mine[at].plain();
                    finding.backfill_value = theirs[at].plain();
                    self.find(finding);
                }
                self.add("mismatched_keys", 1);
            }
            (copies, []) => self.copies_left(key, "original", copies, backfill),
            ([], copies) => self.copies_left(key, "backfill", copies, original),
            (mine, theirs) => {
                let finding = self.about(key, "duplicate_key", "error").kind("conflict").rows(mine.len() + theirs.len());
                self.find(finding);
                self.add("mismatched_keys", 1);
                self.add("duplicate_keys", 1);
            }
        }
    }

    fn copies_left(&mut self, key: &Row, side: &str, copies: &[Row], other_side: &[Row]) {
        let surplus = copies.iter().filter(|row| other_side.contains(row)).count();
        let conflict = copies.len() - surplus;
        if surplus > 0 {
            let severity = if self.job.mode == Mode::Fill { "warn" } else { "error" };
            let finding = self.about(key, "duplicate_key", severity).kind("surplus").side(side).rows(surplus);
            self.find(finding);
            self.add("surplus_rows", surplus as i64);
        }
        if conflict > 0 {
            let finding = self.about(key, "duplicate_key", "error").kind("conflict").side(side).rows(conflict);
            self.find(finding);
            self.add("mismatched_keys", 1);
        }
        self.add("duplicate_keys", 1);
    }

    /// The copies of a key that no other side holds.
    fn copies_of_one_side(&mut self, key: &Row, side: &str, copies: &[Row]) {
        if copies.len() < 2 {
            return;
        }
        let alike = copies.iter().all(|row| *row == copies[0]);
        let (kind, severity) = match (alike, self.job.mode) {
            (true, Mode::Fill) => ("surplus", "warn"),
            (true, _) => ("surplus", "error"),
            (false, _) => ("conflict", "error"),
        };
        let finding = self.about(key, "duplicate_key", severity).kind(kind).side(side).rows(copies.len() - 1);
        self.find(finding);
        if alike {
            self.add("surplus_rows", copies.len() as i64 - 1);
        }
        self.add("duplicate_keys", 1);
    }

    fn keyless(&mut self, original: &[Row], backfill: &[Row]) {
        let mut counts: BTreeMap<Row, (usize, usize)> = BTreeMap::new();
        for row in original {
            counts.entry(self.compared_cells(row)).or_default().0 += 1;
        }
        for row in backfill {
            counts.entry(self.compared_cells(row)).or_default().1 += 1;
        }
        for (row, (original, backfill)) in counts {
            let text = Some(self.row_text(&row));
            if self.job.mode == Mode::Replica && original > backfill {
                let mut finding = Finding::new("missing_row", "error").rows(original - backfill);
                finding.original_value = text;
                self.find(finding);
                self.add("missing_rows", (original - backfill) as i64);
            } else if self.job.mode == Mode::Replica && backfill > original {
                let mut finding = Finding::new("unexpected_row", "error").rows(backfill - original);
                finding.backfill_value = text;
                self.find(finding);
                self.add("unexpected_rows", (backfill - original) as i64);
            } else if self.job.mode == Mode::Fill && original > 0 && backfill > 0 {
                let finding = Finding::new("duplicate_key", "info").kind("replay").side("backfill");
                self.find(finding.rows(backfill));
            }
        }
    }

    /// The positions, among the compared columns, at which two rows differ by more than is allowed.
    fn differing(&self, mine: &Row, theirs: &Row) -> Vec<usize> {
        (0..mine.len())
            .filter(|at| {
                let allowed = self.job.tolerance.get(self.columns[self.compared[*at]].name);
                !(mine[*at] == theirs[*at] || allowed.is_some_and(|allowed| within(*allowed, &mine[*at], &theirs[*at])))
            })
            .collect()
    }

    fn about(&self, key: &Row, check: &str, severity: &str) -> Finding {
        let fields: Map<String, Value> =
            self.key.iter().zip(key).map(|(at, cell)| (self.columns[*at].name.to_owned(), cell.json())).collect();
        Finding { key: Some(canonical_json(&Value::Object(fields))), ..Finding::new(check, severity) }
    }

    fn row_text(&self, row: &Row) -> String {
        let fields: Map<String, Value> =
            self.compared.iter().zip(row).map(|(at, cell)| (self.columns[*at].name.to_owned(), cell.json())).collect();
        // Read back as the finding will be: the parser may miss a float by its last bit.
        let text = canonical_json(&Value::Object(fields));
        let read: Value = serde_json::from_str(&text).expect("what was just written");
        canonical_json(&read)
    }

    fn key_cells(&self, row: &Row) -> Row {
        self.key.iter().map(|at| row[*at].clone()).collect()
    }

    fn compared_cells(&self, row: &Row) -> Row {
        self.compared.iter().map(|at| row[*at].clone()).collect()
    }

    // Continuity.

    fn continuity(&mut self, original: &[Row], backfill: &[Row]) {
        let mut series: BTreeMap<Option<String>, (Vec<Row>, Vec<Row>)> = BTreeMap::new();
        for row in original {
            series.entry(self.series_of(row)).or_default().0.push(row.clone());
        }
        for row in backfill {
            series.entry(self.series_of(row)).or_default().1.push(row.clone());
        }
        if self.job.time.is_some() && self.job.bounds_us.is_none() && !series.is_empty() {
            self.find(Finding::new("bounds_inferred", "info"));
        }
        for (name, (original, backfill)) in series {
            let both: Vec<Row> = original.iter().chain(&backfill).cloned().collect();
            // Coverage is judged of each side, and in a `fill` of both together.
            let judged: Vec<(&str, &[Row])> = match self.job.mode {
                Mode::Single => vec![("original", &original)],
                Mode::Fill => vec![("recovered", &both)],
                Mode::Replica => vec![("original", &original), ("backfill", &backfill)],
            };
            for (side, rows) in judged {
                self.silences(&name, side, rows, &both);
                self.sequence_gaps(&name, side, rows, &both);
            }
            // Copies and falls are of one side: a number that both sides hold is the seam's matter.
            for (side, rows) in [("original", &original), ("backfill", &backfill)] {
                self.sequence_copies(&name, side, rows);
                self.regressions(&name, side, rows);
            }
            match self.job.mode {
                Mode::Single => {}
                Mode::Fill => self.expected.overlaps |= self.overlap(&original, &backfill),
                Mode::Replica => {
                    self.short_windows(&name, &original, &backfill);
                    let (check, severity) = match (original.is_empty(), backfill.is_empty()) {
                        (false, true) => ("missing_series", "error"),
                        (true, false) => ("unexpected_series", "warn"),
                        _ => continue,
                    };
                    if !self.job.series.is_empty() {
                        let finding = Finding::new(check, severity);
                        self.find(Finding { series: name.clone(), ..finding });
                    }
                }
            }
        }
    }

    fn series_of(&self, row: &Row) -> Option<String> {
        (!self.job.series.is_empty()).then(|| object(self.columns, &self.job.series, row))
    }

    fn times(&self, rows: &[Row]) -> BTreeSet<i64> {
        let Some(time) = self.job.time.map(|name| position(self.columns, name)) else {
            return BTreeSet::new();
        };
        rows.iter().filter_map(|row| row[time].time_us()).collect()
    }

    /// First and last event time.
    fn extent(&self, rows: &[Row]) -> Option<(i64, i64)> {
        let times = self.times(rows);
        Some((*times.first()?, *times.last()?))
    }

    fn overlap(&self, original: &[Row], backfill: &[Row]) -> bool {
        let original = self.times(original);
        self.times(backfill).iter().any(|time| original.contains(time))
    }

    /// Gaps of time in `rows`. Bounds that are not given reach from the first to the last row of `both` sides.
    fn silences(&mut self, series: &Option<String>, side: &str, rows: &[Row], both: &[Row]) {
        let Some((first, last)) = self.extent(both) else {
            return;
        };
        let times: Vec<i64> = self.times(rows).into_iter().collect();
        // A side without any row of a series lacks the series: that is another check.
        let (Some(head), Some(tail)) = (times.first(), times.last()) else {
            return;
        };
        if let (Some(cadence), Some(silence)) = (self.job.cadence_us, self.job.max_silence_us()) {
            let from = self.job.bounds_us.map_or(first, |(from, _)| from);
            let missing_at_head = (head - from) / cadence;
            if missing_at_head >= 1 {
                self.gap(series, side, from, *head, Some(missing_at_head));
            }
            for pair in times.windows(2) {
                let (t, u) = (pair[0], pair[1]);
                if u - t > silence {
                    // Rounded to the nearest, in integers.
                    let steps = (2 * (u - t) + cadence) / (2 * cadence);
                    self.gap(series, side, t + cadence, u, Some(steps - 1));
                }
            }
            let (until, missing_at_tail) = match self.job.bounds_us {
                Some((_, until)) => (until, (until - tail + cadence - 1) / cadence - 1),
                // The other side's last row is there: what is missing ends with it.
                None => (last + cadence, (last - tail) / cadence),
            };
            if missing_at_tail >= 1 {
                self.gap(series, side, tail + cadence, until, Some(missing_at_tail));
            }
        } else if let Some(width) = self.job.window_us {
            let (from, until) = self.job.bounds_us.unwrap_or((self.window_of(first, width).0, self.window_of(last, width).1));
            let mut runs: Vec<(i64, i64)> = Vec::new();
            let mut window = self.window_of(from, width);
            while window.0 < until {
                let empty = !times.iter().any(|t| window.0 <= *t && *t < window.1);
                // Of a window that the bounds cut, only what lies inside can be a gap.
                let inside = (window.0.max(from), window.1.min(until));
                match runs.last_mut() {
                    Some(run) if empty && run.1 == inside.0 => run.1 = inside.1,
                    _ if empty => runs.push(inside),
                    _ => {}
                }
                window = self.window_of(window.1, width);
            }
            for (start, end) in runs {
                self.gap(series, side, start, end, None);
            }
        }
    }

    fn gap(&mut self, series: &Option<String>, side: &str, from: i64, until: i64, missing_estimate: Option<i64>) {
        let mut finding = Finding::new("gap", "error").side(side);
        finding.series.clone_from(series);
        finding.times_us = Some((from, until));
        self.find(finding);
        self.add("gaps", 1);
        self.expected.gaps.push(Gap {
            series: series.clone(),
            side: side.to_owned(),
            kind: "time".to_owned(),
            from: i128::from(from),
            until: i128::from(until),
            missing_estimate,
        });
    }

    /// The half-open window that holds `time`.
    fn window_of(&self, time: i64, width: i64) -> (i64, i64) {
        let Some(zone) = self.job.time_zone else {
            let start = time.div_euclid(width) * width;
            return (start, start + width);
        };
        let local = DateTime::from_timestamp_micros(time).expect("in range").with_timezone(&zone);
        if width == DAY_US {
            let today = local.date_naive();
            return (midnight(zone, today), midnight(zone, today + Days::new(1)));
        }
        // Shorter windows: whole steps of local time. Only widths that divide every change of clocks are tried.
        let offset = i64::from(chrono::Offset::fix(local.offset()).local_minus_utc()) * 1_000_000;
        let start = (time + offset).div_euclid(width) * width - offset;
        (start, start + width)
    }

    fn short_windows(&mut self, series: &Option<String>, original: &[Row], backfill: &[Row]) {
        let (Some(width), Some(time)) = (self.job.window_us, self.job.time) else {
            return;
        };
        let time = position(self.columns, time);
        let mut windows: BTreeMap<(i64, i64), (usize, usize)> = BTreeMap::new();
        for t in original.iter().filter_map(|row| row[time].time_us()) {
            windows.entry(self.window_of(t, width)).or_default().0 += 1;
        }
        for t in backfill.iter().filter_map(|row| row[time].time_us()) {
            windows.entry(self.window_of(t, width)).or_default().1 += 1;
        }
        for (window, (original, backfill)) in windows {
            if original == backfill || original == 0 || backfill == 0 {
                continue;
            }
            let side = if original < backfill { "original" } else { "backfill" };
            let mut finding = Finding::new("short_window", "warn").side(side);
            finding.series.clone_from(series);
            finding.window_us = Some(window);
            self.find(finding);
        }
    }

    fn numbers(&self, rows: &[Row]) -> Vec<i64> {
        let Some(sequence) = self.job.sequence else {
            return Vec::new();
        };
        let at = position(self.columns, sequence);
        let mut numbers: Vec<i64> = rows.iter().filter_map(|row| row[at].int()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Numbers that `rows` skip, between the least and the greatest of `both` sides.
    fn sequence_gaps(&mut self, series: &Option<String>, side: &str, rows: &[Row], both: &[Row]) {
        let numbers = self.numbers(rows);
        if numbers.is_empty() {
            return;
        }
        let all = self.numbers(both);
        // A number before the first and one after the last close the range.
        let mut closed = vec![all[0] - 1];
        closed.extend(numbers);
        closed.push(all[all.len() - 1] + 1);
        for pair in closed.windows(2) {
            if pair[1] - pair[0] > 1 {
                let (from, until) = (i128::from(pair[0]) + 1, i128::from(pair[1]));
                let mut finding = Finding::new("sequence_gap", "error").side(side);
                finding.series.clone_from(series);
                finding.sequences = Some((from, until));
                self.find(finding);
                self.add("sequence_gaps", 1);
                self.expected.gaps.push(Gap {
                    series: series.clone(),
                    side: side.to_owned(),
                    kind: "sequence".to_owned(),
                    from,
                    until,
                    missing_estimate: Some(pair[1] - pair[0] - 1),
                });
            }
        }
    }

    /// Maximal runs of numbers that come more than once.
    fn sequence_copies(&mut self, series: &Option<String>, side: &str, rows: &[Row]) {
        let mut copies: BTreeMap<i64, usize> = BTreeMap::new();
        for number in self.numbers(rows) {
            *copies.entry(number).or_default() += 1;
        }
        let mut run: Option<(i64, i64, usize)> = None;
        let mut runs = Vec::new();
        for (value, copies) in copies {
            let extra = copies - 1;
            match (&mut run, extra) {
                (_, 0) => runs.extend(run.take()),
                (Some((_, until, rows)), _) if *until == value => {
                    *until += 1;
                    *rows += extra;
                }
                _ => {
                    runs.extend(run.take());
                    run = Some((value, value + 1, extra));
                }
            }
        }
        runs.extend(run);
        for (from, until, rows) in runs {
            let mut finding = Finding::new("sequence_duplicate", "error").side(side).rows(rows);
            finding.series.clone_from(series);
            finding.sequences = Some((i128::from(from), i128::from(until)));
            self.find(finding);
        }
    }

    fn regressions(&mut self, series: &Option<String>, side: &str, rows: &[Row]) {
        let (Some(sequence), Some(time)) = (self.job.sequence, self.job.time) else {
            return;
        };
        let (sequence, time) = (position(self.columns, sequence), position(self.columns, time));
        let mut by_time: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        for row in rows {
            if let (Some(t), Some(value)) = (row[time].time_us(), row[sequence].int()) {
                by_time.entry(t).or_default().insert(value);
            }
        }
        let values: Vec<BTreeSet<i64>> = by_time.into_values().collect();
        for pair in values.windows(2) {
            if pair[1].first() < pair[0].last() {
                let mut finding = Finding::new("sequence_regression", "warn").side(side);
                finding.series.clone_from(series);
                self.find(finding);
            }
        }
    }

    // Counts.

    fn add(&mut self, count: &'static str, by: i64) {
        let now = self.expected.counts.entry(count).or_default();
        *now = Some(now.unwrap_or(0) + by);
    }

    /// Zeros where a count applies and nothing was counted, null where it does not apply.
    fn count(&mut self) {
        let keyed = !self.job.key.is_empty();
        let mode = self.job.mode;
        let applies = [
            ("gaps", self.job.cadence_us.is_some() || self.job.window_us.is_some()),
            ("sequence_gaps", self.job.sequence.is_some()),
            ("matched_keys", keyed && mode != Mode::Single),
            ("mismatched_keys", keyed && mode != Mode::Single),
            ("missing_keys", keyed && mode == Mode::Replica),
            ("unexpected_keys", keyed && mode == Mode::Replica),
            ("missing_rows", !keyed && mode == Mode::Replica),
            ("unexpected_rows", !keyed && mode == Mode::Replica),
        ];
        for (name, applies) in applies {
            if applies {
                self.add(name, 0);
            } else {
                self.expected.counts.insert(name, None);
            }
        }
        if keyed {
            self.add("duplicate_keys", 0);
            self.add("surplus_rows", 0);
        }
    }
}

/// The first instant of a local day.
fn midnight(zone: Tz, day: chrono::NaiveDate) -> i64 {
    let midnight = day.and_time(NaiveTime::MIN);
    zone.from_local_datetime(&midnight).earliest().expect("only zones whose clocks change after midnight are tried").timestamp_micros()
}

fn within(allowed: Tolerance, mine: &Cell, theirs: &Cell) -> bool {
    match (mine, theirs) {
        (Cell::Float(a), Cell::Float(b)) => {
            let (a, b) = (a.0, b.0);
            a.is_finite() && b.is_finite() && (a - b).abs() <= allowed.abs + allowed.rel * a.abs().max(b.abs())
        }
        (Cell::Decimal(a), Cell::Decimal(b)) => {
            let abs_cents = (allowed.abs * 100.0).round();
            let larger = a.abs().max(b.abs()) as f64;
            (a - b).abs() as f64 <= abs_cents + allowed.rel * larger
        }
        (Cell::Int(a), Cell::Int(b)) => (a - b).abs() as f64 <= allowed.abs + allowed.rel * a.abs().max(b.abs()) as f64,
        (Cell::Time(a), Cell::Time(b)) => (a - b).abs() <= allowed.abs as i64,
        _ => false,
    }
}

#[cfg(test)]
mod the_oracle_itself {
    //! The oracle against cases small enough to settle on paper.

    use super::*;
    use crate::common::job::{HOUR_US, MINUTE_US};
    use crate::common::table::Kind;

    fn table(rows: Vec<Row>) -> Table {
        let columns = [("id", Kind::Int64), ("ts", Kind::Time), ("seq", Kind::Int64), ("v", Kind::Text)];
        Table { columns: columns.into_iter().map(|(name, kind)| Column { name, kind }).collect(), rows }
    }

    fn row(id: i64, hour: i64, v: &str) -> Row {
        vec![Cell::Int(id), Cell::Time(hour * HOUR_US), Cell::Int(id), Cell::text(v)]
    }

    fn job() -> Job {
        Job { series: Vec::new(), cadence_us: Some(HOUR_US), ..Job::default() }
    }

    fn summary(expected: &Expected) -> Vec<String> {
        let mut lines: Vec<String> = expected
            .findings
            .iter()
            .filter(|finding| finding.check != "bounds_inferred")
            .map(|finding| {
                let parts = [
                    Some(finding.check.clone()),
                    finding.kind.clone(),
                    finding.side.clone(),
                    finding.key.clone(),
                    finding.times_us.map(|(from, until)| format!("[{}h, {}h)", from / HOUR_US, until / HOUR_US)),
                    finding.sequences.map(|(from, until)| format!("[{from}, {until})")),
                    finding.rows.map(|rows| format!("×{rows}")),
                ];
                parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
            })
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn weather_at_two_and_at_five_leaves_three_to_five() {
        let side = table(vec![row(2, 2, "a"), row(5, 5, "a")]);
        let job = Job { mode: Mode::Single, ..job() };
        let expected = expect(&job, &side, None);
        assert_eq!(summary(&expected), ["gap original [3h, 5h)", "sequence_gap original [3, 5)"]);
        assert_eq!(expected.gaps.iter().map(|gap| gap.missing_estimate).collect::<Vec<_>>(), [Some(2), Some(2)]);
    }

    #[test]
    fn given_bounds_have_a_head_and_a_tail() {
        let side = table(vec![row(2, 2, "a"), row(3, 3, "a")]);
        let job = Job { mode: Mode::Single, bounds_us: Some((0, 5 * HOUR_US + MINUTE_US)), ..job() };
        let expected = expect(&job, &side, None);
        assert_eq!(summary(&expected), ["gap original [0h, 2h)", "gap original [4h, 5h)"]);
        assert_eq!(expected.gaps.iter().map(|gap| gap.missing_estimate).collect::<Vec<_>>(), [Some(2), Some(2)]);
    }

    #[test]
    fn copies_cancel_before_they_are_judged() {
        let job = Job { cadence_us: None, sequence: None, ..job() };
        let (a, b, c) = (row(1, 0, "a"), row(1, 0, "b"), row(1, 0, "c"));
        let cases: [(&[&Row], &[&Row], &[&str]); 8] = [
            (&[&a, &a, &b], &[&a, &b, &b], &["value_mismatch {\"id\":1}"]),
            (&[&a], &[&a, &a, &a], &["duplicate_key surplus backfill {\"id\":1} ×2"]),
            (&[&a, &a], &[&a], &["duplicate_key surplus original {\"id\":1} ×1"]),
            (&[&a], &[&a, &b], &["duplicate_key conflict backfill {\"id\":1} ×1"]),
            (&[&a, &a], &[&b, &b], &["duplicate_key conflict {\"id\":1} ×4"]),
            (&[&a, &b], &[&c], &["duplicate_key conflict {\"id\":1} ×3"]),
            (&[&a, &a], &[], &["missing_key {\"id\":1} ×2"]),
            (&[&a, &b], &[&b, &a], &["duplicate_key alike {\"id\":1} ×2"]),
        ];
        for (original, backfill, found) in cases {
            let side = |rows: &[&Row]| table(rows.iter().map(|row| (*row).clone()).collect());
            assert_eq!(summary(&expect(&job, &side(original), Some(&side(backfill)))), found, "{original:?} {backfill:?}");
        }
    }

    #[test]
    fn days_have_23_and_25_hours_when_clocks_change() {
        let job = Job { time_zone: Some(chrono_tz::America::New_York), ..job() };
        let judge = Judge { job: &job, columns: &[], key: Vec::new(), compared: Vec::new(), expected: Expected::default() };
        for (noon, hours) in [("2022-03-13T16:00:00Z", 23), ("2022-03-14T16:00:00Z", 24), ("2022-11-06T16:00:00Z", 25)] {
            let noon = DateTime::parse_from_rfc3339(noon).expect("a time").timestamp_micros();
            let (start, end) = judge.window_of(noon, DAY_US);
            assert_eq!((end - start) / HOUR_US, hours);
        }
    }
}
