//! Values that differ: which columns, what was done to them, and where; and rows that moved without leaving a hole.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono_tz::Tz;

use super::concentration::{Cut, Slice, WindowTally, concentrated};
use super::evidence::{Evidence, FileSeen, Shown, Wrong};
use super::holes::{SeriesNames, file_names};
use super::refill::Refill;
use super::shift::Shift;
use super::transformation::{Class, Pair, explain};
use super::words::{counted, grouped, percent, range};
use super::wrong_of;
use crate::checks::continuity::Continuity;
use crate::checks::differences::Difference;
use crate::checks::settle::Localised;
use crate::domain::{Instant, Severity, Side, pairs};
use crate::findings::{DiagnosisRecord, IncidentRecord};
use crate::staging::Prepared;

type Told = (IncidentRecord, Vec<DiagnosisRecord>);

/// Columns that the first sentence names.
const NAMED_COLUMNS: usize = 3;

/// Zones that the job speaks of.
pub(super) fn zones(prepared: &Prepared) -> Vec<Tz> {
    let of_sides = Side::BOTH.iter().filter_map(|side| prepared.stream.side(*side)).filter_map(|spec| spec.time_zone);
    of_sides.chain([prepared.stream.time_zone]).collect()
}

/// What the altered rows are explained from.
pub(super) struct Altered<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) localised: &'a Localised,
    pub(super) continuity: &'a Continuity,
    pub(super) evidence: &'a Evidence,
    pub(super) names: &'a SeriesNames,
    pub(super) moved: Option<&'a Shift>,
    pub(super) refill: Option<&'a Refill>,
    pub(super) zones: &'a [Tz],
}

impl Altered<'_> {
    /// Differences that the shift explains: their row stands where rows left, or where they went.
    fn is_moved(&self, touched: &HashSet<(&str, i128)>, difference: &Difference) -> bool {
        let last = difference.until.map(|until| until.0 - 1);
        if let (Some(refill), Some(at)) = (self.refill, difference.from)
            && self.names.place(&difference.series).is_some_and(|series| refill.overlaps(series, at.0))
        {
            return true;
        }
        [difference.from.map(|from| from.0), last].into_iter().flatten().any(|at| touched.contains(&(difference.series.as_str(), at)))
    }

    fn touched(&self) -> HashSet<(&str, i128)> {
        let mut touched = HashSet::new();
        for (series, from, to) in self.moved.iter().flat_map(|shift| &shift.pairs) {
            if let Some(label) = series.and_then(|place| self.names.labels.get(place)) {
                touched.insert((label.as_str(), *from));
                touched.insert((label.as_str(), *to));
            }
        }
        touched
    }

    /// The slices in which rows of a kind are over-represented on a side.
    fn slices(&self, wrong: Wrong, side: Side, leave_out: &BTreeSet<&str>) -> (Vec<Slice>, usize) {
        let at = side.index();
        let paired = &self.prepared.paired;
        let columns: Vec<(String, Shown)> = self.evidence.slices[at]
            .iter()
            .map(|(place, values)| (paired[*place].name.clone(), values.clone()))
            .filter(|(name, _)| !leave_out.contains(name.as_str()))
            .collect();
        let names = file_names(self.prepared, side);
        let files: Vec<(String, &FileSeen)> = match self.evidence.files[at].len() {
            // One file holds everything, and says nothing.
            0 | 1 => Vec::new(),
            _ => names.into_iter().zip(&self.evidence.files[at]).collect(),
        };
        let windows = self.windows(wrong, side);
        concentrated(wrong, &columns, &files, &windows, self.evidence.totals[at])
    }

    /// Rows of a side by window, and how many of them are wrong.
    fn windows(&self, wrong: Wrong, side: Side) -> Vec<WindowTally> {
        let at = side.index();
        let rows = self.continuity.rows_by_window().into_iter();
        let mut windows: BTreeMap<i128, WindowTally> = rows.map(|(start, (end, rows))| (start, (start, end, rows[at], 0))).collect();
        let mut seen: HashSet<&str> = HashSet::new();
        for difference in self.localised.differences.sample() {
            if wrong_of(difference)[at] != Some(wrong) || difference.class == "value_mismatch" && !seen.insert(&difference.key) {
                continue;
            }
            if let Some(window) = difference.window.and_then(|window| windows.get_mut(&window.start.0)) {
                window.3 += if wrong == Wrong::Altered { 1 } else { difference.rows };
            }
        }
        windows.into_values().filter(|(_, _, rows, differing)| *rows > 0 || *differing > 0).collect()
    }

    /// Says of missing and repeated rows where they lie, at the incident that has most of them.
    pub(super) fn add_slices(&self, all: &mut [Told]) {
        for (wrong, side, kind, owner) in [
            (Wrong::Missing, Side::Original, "interruption", "backfill"),
            (Wrong::Missing, Side::Backfill, "interruption", "original"),
            (Wrong::Repeated, Side::Original, "repetition", "original"),
            (Wrong::Repeated, Side::Backfill, "repetition", "backfill"),
        ] {
            let largest = all
                .iter_mut()
                .filter(|(incident, _)| incident.kind == kind && incident.side == owner)
                .max_by(|(a, _), (b, _)| a.rows.cmp(&b.rows).then_with(|| b.from.cmp(&a.from)));
            let Some((incident, diagnoses)) = largest else { continue };
            // The series that were hit, the incident has said.
            let leave_out: BTreeSet<&str> = self.prepared.stream.series.iter().map(String::as_str).collect();
            let (slices, tried) = self.slices(wrong, side, &leave_out);
            // That what is missing lies in one stretch of time, the incident has said.
            let told: Vec<&Slice> = slices.iter().filter(|slice| !matches!(slice.cut, Cut::Time(_, _))).collect();
            let word = if wrong == Wrong::Missing { "missing rows" } else { "repeated rows" };
            let classes: &[&str] = match (wrong, side) {
                (Wrong::Missing, Side::Original) => &["missing_key", "missing_row"],
                (Wrong::Missing, Side::Backfill) => &["unexpected_key", "unexpected_row"],
                _ => &["duplicate_key"],
            };
            let looked_at: u64 =
                classes.iter().filter_map(|class| self.localised.differences.thinned(class)).map(|thinned| thinned.looked_at).sum();
            let cut = if looked_at > 0 { format!(", of {} looked at", grouped(looked_at)) } else { String::new() };
            if let Some(sentence) = sentence(&told, word) {
                incident.message.push_str(&format!("; {sentence}{cut}"));
            }
            diagnoses.extend(slices.iter().map(|slice| slice_record(slice, tried, side, word)));
        }
    }

    /// Rows that moved without leaving a hole: their keys are on both sides.
    pub(super) fn shift(&self, all: &[Told]) -> Option<Told> {
        let shift = self.moved?;
        if all.iter().any(|(incident, _)| incident.kind == "shift") {
            return None;
        }
        let from = shift.pairs.iter().map(|(_, from, to)| *from.min(to)).min()?;
        let until = shift.pairs.iter().map(|(_, from, to)| *from.max(to)).max()? + 1;
        let series: BTreeSet<&str> =
            shift.pairs.iter().filter_map(|(series, _, _)| self.names.labels.get((*series)?).map(String::as_str)).collect();
        let rows = shift.pairs.len() as u64;
        let mut record = self.record("shift", "moved", rows, &series);
        (record.from, record.until) = (Some(Instant(from)), Some(Instant(until)));
        record.message = format!(
            "{} stand at shifted times in the backfill ({}) {}: {}",
            counted(rows, "row"),
            shift.name,
            range(Some(from), Some(until)),
            shift.evidence
        );
        let mut diagnosis = DiagnosisRecord::new(0, "shift", "moved", "backfill");
        (diagnosis.from, diagnosis.until) = (record.from, record.until);
        diagnosis.value = Some(shift.name.clone());
        diagnosis.rows = Some(rows);
        diagnosis.of_rows = Some(shift.candidates);
        diagnosis.evidence = shift.evidence.as_str().into();
        Some((record, vec![diagnosis]))
    }

    fn record(&self, kind: &'static str, cause: &'static str, rows: u64, series: &BTreeSet<&str>) -> IncidentRecord {
        let total = self.names.labels.len() as u64;
        IncidentRecord {
            incident: 0,
            kind,
            cause,
            status: "open",
            severity: Severity::Error,
            side: Side::Backfill.as_str(),
            scope: if series.len() as u64 == total { "global" } else { "local" },
            class: None,
            from: None,
            until: None,
            from_sequence: None,
            until_sequence: None,
            series: series.len() as u64,
            series_total: total,
            series_list: serde_json::to_string(&series.iter().take(20).map(|label| pairs(label)).collect::<Vec<_>>()).unwrap_or_default(),
            gaps: 0,
            rows: Some(rows),
            rows_exact: true,
            message: String::new(),
        }
    }

    /// The altered rows, if there are any that did not move.
    pub(super) fn incident(&self) -> Option<Told> {
        let touched = self.touched();
        let of = |difference: &&Difference| {
            (difference.class == "value_mismatch" || difference.class == "duplicate_key" && difference.kind == Some("conflict"))
                && !self.is_moved(&touched, difference)
        };
        let differences: Vec<&Difference> = self.localised.differences.sample().filter(of).collect();
        let first = differences.iter().filter_map(|d| d.from).min();
        let until = differences.iter().filter_map(|d| d.until.or(d.from.map(|from| Instant(from.0 + 1)))).max();
        let series: BTreeSet<&str> = differences.iter().map(|d| d.series.as_str()).collect();
        let keys: HashSet<&[u8]> = differences.iter().map(|d| d.key_order()).collect();
        let rows = keys.len() as u64;
        if rows == 0 {
            return None;
        }
        let mut by_column: BTreeMap<&str, Vec<&Difference>> = BTreeMap::new();
        for difference in &differences {
            if let Some(column) = &difference.column {
                by_column.entry(column).or_default().push(difference);
            }
        }
        let conflicts = differences.iter().filter(|d| d.class == "duplicate_key").count() as u64;
        let mut diagnoses = Vec::new();
        let mut columns: Vec<(u64, &str, String)> = Vec::new();
        for (name, of) in &by_column {
            let mut diagnosis = DiagnosisRecord::new(0, "column", "unknown", "backfill");
            let count = of.len() as u64;
            let masked = self.prepared.stream.mask.iter().any(|column| column == name);
            let class = self.prepared.paired.iter().find(|column| column.name == *name).map_or(Class::Other, |c| Class::of(&c.common));
            let (word, what, explained) = if masked {
                ("unknown", "its values are masked".to_string(), 0)
            } else {
                let values: Vec<Pair<'_>> = of.iter().map(|d| (d.original_value.as_deref(), d.backfill_value.as_deref())).collect();
                let told = explain(class, &values, self.zones);
                (told.word, told.what, told.rows)
            };
            let told = if word == "unknown" { what.clone() } else { format!("{what} in {} of {}", grouped(explained), grouped(count)) };
            columns.push((count, name, format!("{name} {told}")));
            diagnosis.cause = word;
            diagnosis.column_name = Some((*name).to_string());
            diagnosis.value = Some(what);
            diagnosis.rows = Some(explained);
            diagnosis.of_rows = Some(count);
            diagnosis.share = Some(explained as f64 / count.max(1) as f64);
            diagnosis.from = of.iter().filter_map(|d| d.from).min();
            diagnosis.until = of.iter().filter_map(|d| d.until.or(d.from.map(|from| Instant(from.0 + 1)))).max();
            diagnosis.evidence = format!("{}: {told}", counted(count, "value")).into();
            diagnoses.push(diagnosis);
        }
        columns.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let leave_out: BTreeSet<&str> = by_column.keys().copied().collect();
        let (slices, looked_at) = self.slices(Wrong::Altered, Side::Backfill, &leave_out);
        let told: Vec<&Slice> = slices.iter().collect();
        diagnoses.extend(slices.iter().map(|slice| slice_record(slice, looked_at, Side::Backfill, "altered rows")));
        let cause = match diagnoses.iter().filter(|d| d.subject == "column").map(|d| d.cause).collect::<BTreeSet<_>>() {
            words if words.len() == 1 && conflicts == 0 => words.into_iter().next().unwrap_or("unknown"),
            words if words.len() > 1 => "several",
            _ => "unknown",
        };
        let mut record = self.record("alteration", cause, rows, &series);
        (record.from, record.until) = (first, until);
        let listed: u64 = self.localised.mismatched;
        let thinned = self.localised.differences.thinned("value_mismatch").filter(|_| self.moved.is_none());
        let cut = match thinned {
            Some(_) => format!(", of {} looked at", grouped(rows)),
            None if rows < listed && self.moved.is_none() => format!(" of the first {} listed", grouped(rows)),
            None => String::new(),
        };
        let rows = if thinned.is_some() { listed } else { rows };
        record.rows = Some(rows);
        if let Some((first, until)) = thinned.and_then(|thinned| thinned.extent) {
            (record.from, record.until) = (Some(first), Some(until));
        }
        let mut what: Vec<String> = columns.iter().take(NAMED_COLUMNS).map(|(_, _, text)| text.clone()).collect();
        if columns.len() > NAMED_COLUMNS {
            what.push(format!("and {}", counted((columns.len() - NAMED_COLUMNS) as u64, "more column")));
        }
        if conflicts > 0 {
            what.push(format!("{} with copies that disagree", counted(conflicts, "key")));
        }
        let when = match range(record.from.map(|at| at.0), record.until.map(|at| at.0)) {
            empty if empty.is_empty() => empty,
            when => format!(" {when}"),
        };
        let lead = match sentence(&told, "altered rows") {
            Some(sentence) => format!("{sentence}{cut}; {} altered{when}", counted(rows, "row")),
            None if thinned.is_some() => format!("{} altered{when}, spread over the stream{cut}", counted(rows, "row")),
            None => format!("{} altered{cut}{when}, spread over the stream", counted(rows, "row")),
        };
        record.message = format!("{lead}: {}", what.join("; "));
        Some((record, diagnoses))
    }
}

/// `98 % of altered rows (412 of 420) are in region = 'DE' (10 % of all rows, lift 9.8), all from one file: part-3.csv`.
fn sentence(slices: &[&Slice], word: &str) -> Option<String> {
    let main = slices.iter().find(|slice| matches!(slice.cut, Cut::Column(_, _))).or(slices.first())?;
    let all = |slice: &Slice| match slice.differing == slice.all_differing {
        true => "all".to_string(),
        false => percent(slice.differing, slice.all_differing),
    };
    let mut text = format!(
        "{} of {word} ({} of {}) are {} ({} of all rows, lift {:.1})",
        percent(main.differing, main.all_differing),
        grouped(main.differing),
        grouped(main.all_differing),
        place(&main.cut),
        percent(main.rows, main.all_rows),
        main.lift()
    );
    for slice in slices.iter().filter(|slice| slice.cut != main.cut) {
        match &slice.cut {
            Cut::File(name) => text.push_str(&format!(", {} from one file: {name}", all(slice))),
            Cut::Time(from, until) => text.push_str(&format!(", {} {}", all(slice), range(Some(*from), Some(*until)))),
            Cut::Column(_, _) => {}
        }
    }
    Some(text)
}

fn place(cut: &Cut) -> String {
    match cut {
        Cut::Column(name, value) => format!("in {name} = '{value}'"),
        Cut::File(name) => format!("in the file {name}"),
        Cut::Time(from, until) => range(Some(*from), Some(*until)),
    }
}

fn slice_record(slice: &Slice, looked_at: usize, side: Side, word: &str) -> DiagnosisRecord {
    let mut diagnosis = DiagnosisRecord::new(0, "slice", "concentrated", side.as_str());
    match &slice.cut {
        Cut::Column(name, value) => {
            diagnosis.column_name = Some(name.clone());
            diagnosis.value = Some(value.clone());
        }
        Cut::File(name) => diagnosis.file = Some(name.clone()),
        Cut::Time(from, until) => (diagnosis.from, diagnosis.until) = (Some(Instant(*from)), Some(Instant(*until))),
    }
    diagnosis.rows = Some(slice.differing);
    diagnosis.of_rows = Some(slice.all_differing);
    diagnosis.slice_rows = Some(slice.rows);
    diagnosis.total_rows = Some(slice.all_rows);
    diagnosis.share = Some(slice.share());
    diagnosis.lift = Some(slice.lift());
    let chance = slice.chance(looked_at);
    diagnosis.p_bound = Some(chance);
    diagnosis.evidence = format!(
        "{} of {} {word} are {}, which holds {} of {} rows: lift {:.2}; by accident in one of {} slices with a chance of at most {chance:.1e}",
        grouped(slice.differing),
        grouped(slice.all_differing),
        place(&slice.cut),
        grouped(slice.rows),
        grouped(slice.all_rows),
        slice.lift(),
        grouped(looked_at as u64),
    )
    .into();
    diagnosis
}
