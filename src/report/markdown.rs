//! Markdown for tickets and for the summary of a CI step: short, with what was found as tables and fenced blocks.
//!
//! Everything from data is in code spans or fenced blocks, where it is neither markup nor a mention nor a link.

use std::fmt::Write as _;

use super::inert::{code_span, fenced, markdown_words};
use super::words::{bytes, cut, grouped, length, moment, plural};
use super::{StoredRun, text::next_step};
use crate::domain::{Severity, Verdict, pairs};
use crate::findings::{CheckStatus, RunRecord, StreamRecord};

/// Findings shown of each check and severity.
const SHOWN: usize = 10;
/// Streams shown in full; the others have a line.
const STREAMS: usize = 20;

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅ PASS",
        Verdict::Incomplete => "⚠️ INCOMPLETE",
        Verdict::Fail => "❌ FAIL",
    }
}

pub(super) fn markdown(run: &RunRecord, stored: Option<&StoredRun>) -> String {
    let mut out = String::new();
    let title = run.job.as_deref().map(|job| format!(" {}", markdown_words(job))).unwrap_or_default();
    let _ = writeln!(out, "## {} gapless{title}\n", mark(run.verdict));
    if run.streams.len() > 1 {
        let _ = writeln!(out, "| stream | verdict | reason |\n| --- | --- | --- |");
        for stream in &run.streams {
            let _ = writeln!(out, "| {} | {} | {} |", code_span(&stream.name), stream.verdict, markdown_words(&stream.reason));
        }
        out.push('\n');
    }
    let mut worst: Vec<&StreamRecord> = run.streams.iter().collect();
    worst.sort_by_key(|stream| std::cmp::Reverse(stream.verdict));
    for stream in worst.iter().take(STREAMS) {
        section(&mut out, stream);
    }
    if worst.len() > STREAMS {
        let _ = writeln!(out, "{} more are only in the table above.\n", plural((worst.len() - STREAMS) as u64, "stream"));
    }
    if let Some(stored) = stored {
        let _ = writeln!(out, "Next: {}", code_span(&next_step(run, stored)));
    }
    let _ = writeln!(
        out,
        "\nRun {} · {} · gapless {}{}",
        code_span(&run.id),
        length(((run.finished.0 - run.started.0) / 1_000_000 * 1_000_000).max(1_000_000)),
        markdown_words(&run.version),
        run.baseline.as_deref().map(|id| format!(" · baseline {}", code_span(id))).unwrap_or_default()
    );
    out
}

fn section(out: &mut String, stream: &StreamRecord) {
    let _ = writeln!(out, "### {} · {}\n", code_span(&stream.name), stream.verdict);
    let _ = writeln!(out, "{}\n", markdown_words(&stream.reason));
    if stream.known > 0 {
        let _ = writeln!(out, "{} of the baseline are still there and do not close the gate.\n", plural(stream.known, "finding"));
    }
    if !stream.incidents.is_empty() {
        let lines: Vec<String> =
            stream.incidents.iter().take(SHOWN).map(|incident| format!("{} {}", incident.severity, cut(&incident.message, 600))).collect();
        out.push_str(&fenced(lines.iter().map(String::as_str)));
        if stream.incidents.len() > SHOWN {
            let _ = writeln!(out, "… and {} more incidents", grouped((stream.incidents.len() - SHOWN) as u64));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "| side | rows | files | source |\n| --- | --- | --- | --- |");
    for side in &stream.sides {
        let rows = side.rows.map_or("not read".to_string(), grouped);
        let _ = writeln!(
            out,
            "| {} | {rows} | {} {}, {} | {} |",
            side.side,
            grouped(side.files),
            markdown_words(&side.format),
            bytes(side.bytes),
            code_span(&side.source)
        );
    }
    out.push('\n');
    if let (Some(from), Some(until)) = (stream.bounds.from, stream.bounds.until) {
        let _ = writeln!(out, "Bounds: {} to {} UTC ({})\n", moment(from), moment(until), stream.bounds_kind);
    }
    for reason in &stream.incomplete {
        let _ = writeln!(out, "**Not looked at:** {}\n", markdown_words(reason));
    }
    for severity in [Severity::Error, Severity::Warn] {
        for check in &stream.checks {
            findings(out, stream, &check.check, severity);
        }
    }
    let info: Vec<String> = stream
        .found
        .iter()
        .filter(|((_, severity), count)| *severity == Severity::Info && **count > 0)
        .map(|((check, _), count)| format!("{} {}", code_span(check), grouped(*count)))
        .collect();
    if !info.is_empty() {
        let _ = writeln!(out, "For information: {}\n", info.join(" · "));
    }
    let skipped: Vec<String> =
        stream.checks.iter().filter(|check| check.status == CheckStatus::NotJudged).map(|check| code_span(&check.check)).collect();
    if !skipped.is_empty() {
        let _ = writeln!(out, "Not judged: {}\n", skipped.join(" · "));
    }
}

fn findings(out: &mut String, stream: &StreamRecord, check: &str, severity: Severity) {
    let overview = &stream.findings.overview;
    let of: Vec<_> = overview.first.iter().filter(|f| f.check == check && f.severity == severity && !f.accepted && !f.known).collect();
    let excused = overview.count(|tally| tally.check == check && tally.severity == severity && !tally.counts());
    let total = stream.found.get(&(check.to_string(), severity)).copied().unwrap_or(0).saturating_sub(excused);
    if total == 0 {
        return;
    }
    let _ = writeln!(out, "**{severity}** {} · {}\n", code_span(check), grouped(total));
    if check == "value_mismatch" && !of.is_empty() {
        let _ = writeln!(out, "| key | column | original | backfill |\n| --- | --- | --- | --- |");
        let shown = |value: &Option<String>| value.as_ref().map_or("*NULL*".to_string(), |value| code_span(&cut(value, 120)));
        for finding in of.iter().take(SHOWN) {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                code_span(&cut(&finding.key.as_deref().map(pairs).unwrap_or_default(), 160)),
                code_span(finding.column_name.as_deref().unwrap_or_default()),
                shown(&finding.original_value),
                shown(&finding.backfill_value)
            );
        }
        out.push('\n');
    } else {
        let lines: Vec<String> = of.iter().take(SHOWN).map(|finding| cut(&finding.message, 300)).collect();
        out.push_str(&fenced(lines.iter().map(String::as_str)));
        out.push('\n');
    }
    if total > SHOWN as u64 {
        let _ = writeln!(out, "… and {} more\n", grouped(total - SHOWN.min(of.len()) as u64));
    }
}
