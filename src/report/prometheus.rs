//! Metrics of a run for the text file collector of the node exporter, in the text format of Prometheus.
//!
//! Everything is a gauge, since a run says what it saw and counts nothing up. Names end in their unit. Series of the data are no labels: they
//! would be as many as the data likes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::inert::label;
use crate::domain::{Mode, Severity, Verdict};
use crate::findings::{RunRecord, StreamRecord, Tally};

/// One metric: what it says, and its samples as labels and value.
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

pub(super) fn metrics(run: &RunRecord, out: &mut dyn Write) -> std::io::Result<()> {
    for metric in all(run) {
        if metric.samples.is_empty() {
            continue;
        }
        writeln!(out, "# HELP {} {}\n# TYPE {} gauge", metric.name, metric.help, metric.name)?;
        for (labels, value) in metric.samples {
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", label(value))).collect();
            writeln!(out, "{}{{{}}} {value}", metric.name, labels.join(","))?;
        }
    }
    Ok(())
}

fn all(run: &RunRecord) -> Vec<Metric> {
    let job = || vec![("job_name", run.job.clone().unwrap_or_default())];
    let of = |stream: &StreamRecord| {
        let mut labels = job();
        labels.push(("stream", stream.name.clone()));
        labels
    };
    let with = |mut labels: Vec<(&'static str, String)>, name: &'static str, value: &str| {
        labels.push((name, value.to_string()));
        labels
    };
    let verdicts = [Verdict::Pass, Verdict::Fail, Verdict::Incomplete];
    let one_if = |claim: bool| f64::from(u8::from(claim));
    let seconds = |nanos: i128| nanos as f64 / 1e9;
    let gauge = |name, help, samples| Metric { name, help, samples };
    let streams = || run.streams.iter();
    let mut metrics = vec![
        gauge(
            "gapless_run_info",
            "The run that the other metrics are of, always 1.",
            vec![(with(with(job(), "run", &run.id), "version", &run.version), 1.0)],
        ),
        gauge(
            "gapless_run_verdict",
            "1 for the verdict of the run, 0 for the others.",
            verdicts.iter().map(|verdict| (with(job(), "verdict", verdict.as_str()), one_if(run.verdict == *verdict))).collect(),
        ),
        gauge("gapless_run_exit_code", "Exit code of the run.", vec![(job(), f64::from(run.exit_code))]),
        gauge("gapless_run_start_timestamp_seconds", "When the run began.", vec![(job(), seconds(run.started.0))]),
        gauge("gapless_run_timestamp_seconds", "When the run ended.", vec![(job(), seconds(run.finished.0))]),
        gauge("gapless_run_duration_seconds", "How long the run took.", vec![(job(), seconds(run.finished.0 - run.started.0))]),
        gauge(
            "gapless_stream_verdict",
            "1 for the verdict of the stream, 0 for the others.",
            streams()
                .flat_map(|s| verdicts.iter().map(move |verdict| (s, *verdict)))
                .map(|(s, verdict)| (with(of(s), "verdict", verdict.as_str()), one_if(s.verdict == verdict)))
                .collect(),
        ),
        gauge(
            "gapless_stream_duration_seconds",
            "How long the stream took.",
            streams().map(|s| (of(s), s.elapsed_ms as f64 / 1e3)).collect(),
        ),
    ];
    let mut findings = Vec::new();
    for stream in streams() {
        for check in &stream.checks {
            for severity in [Severity::Error, Severity::Warn, Severity::Info] {
                let found = stream.found.get(&(check.check.clone(), severity)).copied().unwrap_or(0);
                // A check that found nothing has a zero at its own severity, so that an alert can tell it from one that is gone.
                if found > 0 || severity == check.severity {
                    let sort = |tally: &Tally| tally.check == check.check && tally.severity == severity && tally.accepted;
                    let accepted = stream.findings.overview.count(sort);
                    let labels = with(with(of(stream), "check", &check.check), "severity", severity.as_str());
                    findings.push((labels, found.saturating_sub(accepted) as f64));
                }
            }
        }
    }
    metrics.push(gauge("gapless_findings", "Findings of a check, accepted ones left out.", findings));
    metrics.push(gauge(
        "gapless_findings_accepted",
        "Findings that the job accepts.",
        streams().map(|s| (of(s), s.accepted as f64)).collect(),
    ));
    metrics.push(gauge(
        "gapless_findings_known",
        "Findings that the baseline holds as well.",
        streams().filter(|_| run.baseline.is_some()).map(|s| (of(s), s.known as f64)).collect(),
    ));
    let by_side = |pick: fn(&crate::findings::SideRecord) -> Option<u64>| {
        streams()
            .flat_map(|s| s.sides.iter().map(move |side| (s, side)))
            .filter_map(|(s, side)| pick(side).map(|value| (with(of(s), "side", side.side.as_str()), value as f64)))
            .collect::<Vec<_>>()
    };
    metrics.push(gauge("gapless_rows", "Rows inside the bounds: those that the verdict speaks of.", by_side(|side| side.rows)));
    metrics.push(gauge("gapless_rows_read", "Rows that came out of the source.", by_side(|side| side.rows_read)));
    metrics.push(gauge("gapless_source_size_bytes", "Size of the files of a side.", by_side(|side| Some(side.bytes))));
    const COUNTS: [(&str, &str, &str); 11] = [
        ("matched_keys", "gapless_matched_keys", "Keys that both sides hold with equal rows."),
        ("missing_keys", "gapless_missing_keys", "Keys that only the original holds."),
        ("unexpected_keys", "gapless_unexpected_keys", "Keys that only the backfill holds."),
        ("mismatched_keys", "gapless_mismatched_keys", "Keys that both sides hold with different rows."),
        ("duplicate_keys", "gapless_duplicate_keys", "Keys that come more than once."),
        ("surplus_rows", "gapless_surplus_rows", "Copies of rows too many."),
        ("missing_rows", "gapless_missing_rows", "Rows that the original holds more often."),
        ("unexpected_rows", "gapless_unexpected_rows", "Rows that the backfill holds more often."),
        ("gaps", "gapless_gaps", "Open gaps in time."),
        ("sequence_gaps", "gapless_sequence_gaps", "Open gaps in the sequence."),
        ("violations", "gapless_rule_violations", "Rows that break a rule."),
    ];
    for (count, name, help) in COUNTS {
        let samples = streams().filter_map(|s| {
            let value = s.counts.named().into_iter().find(|(known, _)| *known == count)?.1?;
            Some((of(s), value as f64))
        });
        metrics.push(gauge(name, help, samples.collect()));
    }
    metrics.push(gauge(
        "gapless_lost_rows",
        "Rows known to be lost: of a replica those that the backfill lacks, else those that open gaps are estimated to lack.",
        streams().filter_map(|s| lost(s).map(|value| (of(s), value as f64))).collect(),
    ));
    metrics.push(gauge(
        "gapless_coverage_ratio",
        "Time covered by spans, over the time of spans and open gaps together.",
        streams()
            .flat_map(|s| coverage(s).into_iter().map(move |(side, ratio)| (s, side, ratio)))
            .map(|(s, side, ratio)| (with(of(s), "side", &side), ratio))
            .collect(),
    ));
    metrics
}

/// Rows that are not there, where something says how many.
fn lost(stream: &StreamRecord) -> Option<u64> {
    match stream.mode {
        Mode::Replica => stream.counts.missing_keys.or(stream.counts.missing_rows),
        Mode::Fill | Mode::Single => {
            // A sequence is exact, an estimate by cadence is not: it is used where there is no sequence.
            let (gaps, kind) = match (stream.counts.gaps, stream.counts.sequence_gaps) {
                (_, Some(_)) => (&stream.gaps, "sequence"),
                (Some(_), None) => (&stream.gaps, "time"),
                (None, None) => return None,
            };
            let whose = if stream.mode == Mode::Fill { "recovered" } else { "original" };
            Some(sum_of(gaps, whose, kind, "missing_estimate"))
        }
    }
}

fn sum_of(gaps: &RecordBatch, whose: &str, kind: &str, column: &str) -> u64 {
    let (Some(sides), Some(kinds), Some(statuses), Some(values)) = (
        gaps.column_by_name("side").and_then(|c| c.as_string_opt::<i32>()),
        gaps.column_by_name("kind").and_then(|c| c.as_string_opt::<i32>()),
        gaps.column_by_name("status").and_then(|c| c.as_string_opt::<i32>()),
        gaps.column_by_name(column).and_then(|c| c.as_primitive_opt::<Int64Type>()),
    ) else {
        return 0;
    };
    (0..gaps.num_rows())
        .filter(|&row| sides.value(row) == whose && kinds.value(row) == kind && statuses.value(row) == "open" && values.is_valid(row))
        .map(|row| u64::try_from(values.value(row)).unwrap_or(0))
        .sum()
}

/// Of each side whose continuity in time was judged: how much of it is covered.
fn coverage(stream: &StreamRecord) -> Vec<(String, f64)> {
    if stream.counts.gaps.is_none() {
        return Vec::new();
    }
    let mut covered: BTreeMap<String, i128> = BTreeMap::new();
    let mut open: BTreeMap<String, i128> = BTreeMap::new();
    let mut sides: BTreeSet<String> = BTreeSet::new();
    for (table, is_gap) in stream.spans.iter().map(|spans| (spans, false)).chain([(&stream.gaps, true)]) {
        let (Some(of), Some(from), Some(until)) = (
            table.column_by_name("side").and_then(|c| c.as_string_opt::<i32>()),
            table.column_by_name("from_time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>()),
            table.column_by_name("until_time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>()),
        ) else {
            continue;
        };
        let statuses = table.column_by_name("status").and_then(|c| c.as_string_opt::<i32>());
        // Silence that was planned, or is too young to be judged, is neither covered nor open.
        let lacks = |row: usize| statuses.is_none_or(|of| ["open", "filled", "partly_filled"].contains(&of.value(row)));
        for row in (0..table.num_rows()).filter(|&row| from.is_valid(row) && until.is_valid(row) && lacks(row)) {
            let length = i128::from(until.value(row)) - i128::from(from.value(row));
            let side = of.value(row).to_string();
            sides.insert(side.clone());
            *(if is_gap { &mut open } else { &mut covered }).entry(side).or_default() += length.max(0);
        }
    }
    sides
        .into_iter()
        .filter_map(|side| {
            let (held, lacking) = (covered.get(&side).copied().unwrap_or(0), open.get(&side).copied().unwrap_or(0));
            (held + lacking > 0).then(|| (side, held as f64 / (held + lacking) as f64))
        })
        .collect()
}
