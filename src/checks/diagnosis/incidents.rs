//! Holes that coincide across series are one incident.

use std::sync::Arc;

use super::holes::{Hole, SeriesNames, Subject};
use super::words::{counted, length, percent, range};
use crate::checks::continuity::Whose;
use crate::domain::{Instant, Mode, Severity, pairs};
use crate::findings::{DiagnosisRecord, IncidentRecord};
use crate::job::Expect;
use crate::staging::Prepared;

/// Series that an incident names.
const NAMED: usize = 20;

/// Holes of one incident.
struct Group<'a> {
    holes: Vec<&'a Hole>,
    from: Option<i128>,
    until: Option<i128>,
}

impl Group<'_> {
    /// True when a hole is of the same event: half of the shorter of the two lies in the other.
    fn holds(&self, hole: &Hole) -> bool {
        if self.holes.first().is_some_and(|first| first.cause == "moved") {
            return true;
        }
        match (self.from, self.until, hole.from, hole.until) {
            (Some(a), Some(b), Some(c), Some(d)) => {
                let common = b.min(d) - a.max(c);
                common > 0 && common * 2 >= (b - a).min(d - c)
            }
            (None, None, None, None) => true,
            _ => false,
        }
    }
}

/// Public words of who lacks the rows.
fn side_word(whose: Whose) -> &'static str {
    whose.as_str()
}

/// The incidents of some holes and their diagnoses, in order of time; `moved` rows stand at shifted times. Numbers are given later.
pub(super) fn incidents(
    prepared: &Prepared,
    holes: &[Hole],
    moved: u64,
    names: &SeriesNames,
) -> Vec<(IncidentRecord, Vec<DiagnosisRecord>)> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    // Holes come in order of time, so that a group can only be joined by what begins before it ends.
    let mut open: Vec<usize> = Vec::new();
    for hole in holes {
        open.retain(|at| {
            groups[*at].holes[0].cause == "moved" || groups[*at].until.is_none_or(|until| hole.from.is_none_or(|from| from < until))
        });
        let same = |group: &Group<'_>| {
            group.holes.first().is_some_and(|first| {
                let apart = |hole: &Hole| matches!(hole.subject, Subject::Repeats | Subject::Late).then_some(hole.subject);
                let alike = first.cause == hole.cause && apart(first) == apart(hole);
                alike && (hole.cause == "moved" || first.whose == hole.whose && first.status == hole.status)
            }) && group.holds(hole)
        };
        match open.iter().rev().copied().find(|at| same(&groups[*at])) {
            Some(at) => {
                let group = &mut groups[at];
                group.from = group.from.min(hole.from);
                group.until = group.until.max(hole.until);
                group.holes.push(hole);
            }
            None => {
                open.push(groups.len());
                groups.push(Group { holes: vec![hole], from: hole.from, until: hole.until });
            }
        }
    }
    groups.iter().map(|group| incident(prepared, group, moved, names)).collect()
}

fn incident(prepared: &Prepared, group: &Group<'_>, shifted: u64, names: &SeriesNames) -> (IncidentRecord, Vec<DiagnosisRecord>) {
    let first = group.holes[0];
    let moved = first.cause == "moved";
    let mut series: Vec<usize> = group.holes.iter().map(|hole| hole.series).collect();
    series.sort_by(|a, b| names.labels[*a].cmp(&names.labels[*b]));
    series.dedup();
    let total = names.labels.len();
    let global = series.len() == total;
    let length_of = group.from.zip(group.until).map(|(from, until)| until - from);
    let class = length_of
        .filter(|_| first.subject != Subject::Repeats)
        .map(|length| if length < prepared.stream.persistent_after.nanos() { "brief" } else { "persistent" });
    let kind = match (first.subject, moved) {
        (_, true) => "shift",
        (Subject::Repeats, _) => "repetition",
        _ => "interruption",
    };
    let idle = first.cause == "idle";
    // Rows that moved were counted one by one; the holes that they left say less, and those that they fill nothing new.
    let rows: u64 = if moved { shifted } else { group.holes.iter().map(|hole| hole.rows).sum() };
    let exact = moved || group.holes.iter().all(|hole| hole.exact);
    let severity = match (kind, first.status, class) {
        // What of a gap of the original is still open, the gap of the recovered stream says.
        (_, "filled" | "partly_filled", _) => Severity::Info,
        ("interruption", _, _) if idle => Severity::Info,
        ("interruption", _, Some("brief")) => Severity::Warn,
        ("repetition", _, _) if prepared.stream.mode == Mode::Fill => Severity::Warn,
        _ => Severity::Error,
    };
    let labels: Vec<&String> = series.iter().take(NAMED).map(|place| &names.labels[*place]).collect();
    let numbers = group.holes.iter().filter_map(|hole| hole.numbers);
    // Numbers of different series have nothing to do with each other.
    let numbers = (series.len() == 1).then(|| numbers.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))).flatten();
    let gaps =
        group.holes.iter().flat_map(|hole| &hole.pieces).filter(|p| matches!(p.subject, Subject::Gap | Subject::SequenceGap)).count();
    let record = IncidentRecord {
        incident: 0,
        kind,
        cause: first.cause,
        status: first.status,
        severity,
        side: side_word(first.whose),
        scope: if global { "global" } else { "local" },
        class,
        from: group.from.map(Instant),
        until: group.until.map(Instant),
        from_sequence: numbers.map(|(from, _)| from),
        until_sequence: numbers.map(|(_, until)| until),
        series: series.len() as u64,
        series_total: total as u64,
        series_list: serde_json::to_string(&labels.iter().map(|label| pairs(label)).collect::<Vec<_>>()).unwrap_or_default(),
        gaps: gaps as u64,
        rows: Some(rows),
        rows_exact: exact,
        message: message(prepared, group, &series, names, rows, exact, class, length_of),
    };
    let mut diagnoses = Vec::new();
    for hole in &group.holes {
        // Many pieces share them.
        let (label, evidence): (Arc<str>, Arc<str>) = (Arc::from(names.labels[hole.series].as_str()), Arc::from(hole.evidence.as_str()));
        for piece in &hole.pieces {
            let mut diagnosis = DiagnosisRecord::new(0, piece.subject.as_str(), hole.cause, side_word(hole.whose));
            diagnosis.series = Some(label.clone());
            diagnosis.file.clone_from(&hole.file);
            diagnosis.from = piece.from.map(Instant);
            diagnosis.until = piece.until.map(Instant);
            diagnosis.from_sequence = piece.numbers.map(|(from, _)| from);
            diagnosis.until_sequence = piece.numbers.map(|(_, until)| until);
            diagnosis.rows = Some(piece.rows);
            diagnosis.of_rows = Some(hole.rows);
            diagnosis.evidence = evidence.clone();
            join_run(&mut diagnoses, diagnosis);
        }
    }
    (record, diagnoses)
}

/// Rows that follow each other without a survivor are one diagnosis.
fn join_run(diagnoses: &mut Vec<DiagnosisRecord>, next: DiagnosisRecord) {
    let rows = |diagnosis: &DiagnosisRecord| matches!(diagnosis.subject, "rows" | "repeats");
    if let Some(last) = diagnoses.last_mut()
        && rows(last)
        && rows(&next)
        && (&last.subject, &last.series, last.side) == (&next.subject, &next.series, next.side)
        && next.cause != "partial"
        && last.evidence == next.evidence
    {
        last.until = next.until;
        last.rows = last.rows.zip(next.rows).map(|(a, b)| a + b);
        return;
    }
    diagnoses.push(next);
}

/// Who was hit, in words.
fn who(series: &[usize], names: &SeriesNames) -> String {
    let total = names.labels.len();
    match (series, total) {
        (_, 1) => String::new(),
        ([one], _) => format!(" in {} (1 of {total} series)", pairs(&names.labels[*one])),
        (all, _) if all.len() == total => format!(" in all {total} series at once"),
        (some, _) => format!(" in {} of {total} series ({})", some.len(), percent(some.len() as u64, total as u64)),
    }
}

#[expect(clippy::too_many_arguments, reason = "one argument a fact of the sentence")]
fn message(
    prepared: &Prepared,
    group: &Group<'_>,
    series: &[usize],
    names: &SeriesNames,
    rows: u64,
    exact: bool,
    class: Option<&'static str>,
    nanos: Option<i128>,
) -> String {
    let first = group.holes[0];
    // Of a window nobody knows more than that it should hold a row.
    let by_windows = prepared.stream.cadence.is_none() && prepared.stream.continuity.expect != Some(Expect::Profile);
    let about = match exact {
        true => "",
        false if by_windows && group.holes.iter().all(|hole| hole.subject == Subject::Gap && hole.is_estimate()) => "at least ",
        false => "about ",
    };
    // A row stands for many numbers where a sequence is of ranges.
    let ranges = prepared.sequence_last.is_some() && group.holes.iter().all(|hole| hole.subject == Subject::SequenceGap);
    let counted_rows = format!("{about}{}", counted(rows, if ranges { "number" } else { "row" }));
    let compared = prepared.stream.mode == Mode::Replica;
    let of = match first.whose {
        Whose::One(side) if compared => format!(" in the {side}"),
        Whose::One(side) if prepared.stream.mode == Mode::Fill => format!(" of the {side}"),
        _ => String::new(),
    };
    let when = match range(group.from, group.until) {
        empty if empty.is_empty() => String::new(),
        text => match nanos.filter(|nanos| *nanos > 1) {
            Some(nanos) => format!(" {text} ({}{})", length(nanos), class.map(|class| format!(", {class}")).unwrap_or_default()),
            None => format!(" {text}"),
        },
    };
    let what = match (first.cause, first.status) {
        ("lost", _) => format!("{counted_rows} lost{of}"),
        ("idle", _) => format!("nothing was produced{of}"),
        ("partial", _) => format!("rows thinned out{of}, {counted_rows} lost"),
        ("truncated", _) => match &first.file {
            Some(file) if group.holes.iter().all(|hole| hole.file == first.file) => {
                format!("the tail of the file '{file}' is missing{of}, {counted_rows} lost")
            }
            _ => format!("the tails of files are missing{of}, {counted_rows} lost"),
        },
        ("late", _) if first.subject == Subject::Late => format!("{counted_rows} came late{of}"),
        ("late", _) => format!("{counted_rows} missing{of} that came late"),
        ("moved", _) => format!("{} stand at shifted times in the backfill", counted_rows),
        ("duplicate_replay", _) => format!("{counted_rows} came again{of}"),
        ("unknown", _) if first.subject == Subject::Repeats => format!("{counted_rows} came again{of}, cause unknown"),
        _ => format!("{counted_rows} missing{of}, cause unknown"),
    };
    let status = match first.status {
        "filled" if first.subject == Subject::Late => ", in windows that were empty until then",
        "filled" => ", filled by the backfill",
        "partly_filled" => ", filled in part by the backfill",
        _ => "",
    };
    let outage = prepared.stream.outage.zip(group.from.zip(group.until)).and_then(|(outage, (from, until))| {
        let (start, end) = (outage.from.map_or(i128::MIN, |at| at.0), outage.until.map_or(i128::MAX, |at| at.0));
        (from.max(start) < until.min(end)).then_some(if start <= from && until <= end {
            ", inside the known outage"
        } else {
            ", over the known outage"
        })
    });
    // The largest speaks for the others.
    let largest = group.holes.iter().rev().max_by_key(|hole| hole.rows).copied().unwrap_or(first);
    let instance = if series.len() > 1 && first.cause != "moved" {
        format!("; for instance {}", pairs(&names.labels[largest.series]))
    } else {
        String::new()
    };
    let colon = if instance.is_empty() { ": " } else { ", " };
    let instance = if instance.is_empty() { colon.to_string() } else { format!("{instance}: ") };
    format!("{what}{}{when}{status}{}{instance}{}", who(series, names), outage.unwrap_or_default(), largest.evidence)
}
