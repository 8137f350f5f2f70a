//! The report for a tired person at night: the verdict first, then what was looked at, then the picture, then the
//! findings, then what to do next.

use super::StoredRun;
use super::inert::{log_line, plain};
use super::timeline::{outage_marks, timeline};
use super::words::{bytes, cut, grouped, plural, shell_word};
use crate::domain::{Severity, Side, Verdict, pairs};
use crate::findings::{CheckStatus, Counts, RunRecord, StreamRecord};

/// How text is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextStyle {
    /// ANSI colours.
    pub colour: bool,
    /// Also what passed and what was assumed.
    pub verbose: bool,
    /// Cells of a CSV as they are, even where a spreadsheet would take them for formulas.
    pub raw_cells: bool,
}

/// Findings shown of each check.
const SHOWN: usize = 5;

struct Pen {
    out: String,
    colour: bool,
}

impl Pen {
    fn line(&mut self, text: &str) {
        self.out.push_str(&log_line(text));
        self.out.push('\n');
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn verdict(&self, verdict: Verdict) -> String {
        let code = match verdict {
            Verdict::Pass => "1;32",
            Verdict::Incomplete => "1;33",
            Verdict::Fail => "1;31",
        };
        self.paint(code, &verdict.as_str().to_uppercase())
    }

    fn severity(&self, severity: Severity) -> String {
        let code = match severity {
            Severity::Error => "31",
            Severity::Warn => "33",
            Severity::Info => "36",
        };
        self.paint(code, severity.as_str())
    }
}

fn shortened(text: &str, most: usize) -> String {
    cut(&plain(text), most)
}

/// A run as text.
pub fn text(run: &RunRecord, stored: Option<&StoredRun>, style: TextStyle) -> String {
    let mut pen = Pen { out: String::new(), colour: style.colour };
    let title = run.job.as_deref().map(|job| format!(" · {}", plain(job))).unwrap_or_default();
    if run.streams.len() != 1 {
        let counts: Vec<String> = [Verdict::Fail, Verdict::Incomplete, Verdict::Pass]
            .iter()
            .map(|verdict| (verdict, run.streams.iter().filter(|stream| stream.verdict == *verdict).count()))
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        let line = format!("{}{} · {} streams: {}", pen.verdict(run.verdict), pen.bold(&title), run.streams.len(), counts.join(", "));
        pen.line(&line);
        pen.line("");
    }
    for stream in &run.streams {
        let title = if run.streams.len() == 1 { title.as_str() } else { "" };
        stream_text(&mut pen, stream, title, style);
    }
    if let Some(stored) = stored {
        let line = format!("report  {}", plain(&stored.run.display().to_string()));
        pen.line(&line);
        let next = plain(&next_step(run, stored));
        let line = format!("next    {}", pen.bold(&next));
        pen.line(&line);
    }
    pen.out
}

/// The command that goes on from here.
pub(super) fn next_step(run: &RunRecord, stored: &StoredRun) -> String {
    let flag = report_flag(stored);
    let open = |stream: &StreamRecord| stream.counts.gaps.unwrap_or(0) + stream.counts.sequence_gaps.unwrap_or(0) > 0;
    match run.verdict {
        Verdict::Fail if run.streams.iter().any(open) => format!("gapless sql{flag} @collect_again"),
        Verdict::Pass => format!("gapless sql{flag} @runs"),
        _ => format!("gapless sql{flag} @latest_findings"),
    }
}

/// ` --report DIR`, where it is not the usual one.
pub(super) fn report_flag(stored: &StoredRun) -> String {
    let directory = stored.directory.display().to_string();
    if directory == "gapless-report" { String::new() } else { format!(" --report {}", shell_word(&directory)) }
}

fn stream_text(pen: &mut Pen, stream: &StreamRecord, title: &str, style: TextStyle) {
    let head = format!("{} {}{title} · {}", pen.verdict(stream.verdict), pen.bold(&plain(&stream.name)), plain(&stream.reason));
    pen.line(&head);
    // An incomplete verdict has given its reasons already.
    for reason in stream.incomplete.iter().filter(|_| stream.verdict == Verdict::Fail) {
        let line = format!("  not looked at: {}", plain(reason));
        pen.line(&line);
    }
    if stream.known > 0 {
        let line = format!("  known: {} of the baseline still there, which do not close the gate", plural(stream.known, "finding"));
        pen.line(&line);
    }
    pen.line("");
    incidents(pen, stream, style);
    looked_at(pen, stream, style);
    picture(pen, stream);
    let mut severities = [Severity::Error, Severity::Warn, Severity::Info];
    severities.sort_by(|a, b| b.cmp(a));
    for severity in severities {
        let mut checks: Vec<&str> = Vec::new();
        for finding in stream.findings.overview.first.iter().filter(|finding| finding.severity == severity && !finding.accepted) {
            if !checks.contains(&finding.check.as_str()) {
                checks.push(&finding.check);
            }
        }
        for check in checks {
            findings_of(pen, stream, check, severity, style);
        }
    }
    if stream.accepted > 0 {
        let line = format!("accepted  {} findings of the job's [[accept]] entries", grouped(stream.accepted));
        pen.line(&line);
        pen.line("");
    }
    let skipped: Vec<_> = stream.checks.iter().filter(|check| check.status == CheckStatus::NotJudged).collect();
    if !skipped.is_empty() {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for check in skipped {
            let reason = check.reason.as_deref().unwrap_or_default();
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, checks)) => checks.push(&check.check),
                None => reasons.push((reason, vec![&check.check])),
            }
        }
        for (reason, checks) in reasons {
            let line = pen.dim(&format!("not judged  {}: {}", checks.join(", "), plain(reason)));
            pen.line(&line);
        }
        pen.line("");
    }
}

/// What happened, before anything else: the gravest first.
fn incidents(pen: &mut Pen, stream: &StreamRecord, style: TextStyle) {
    let most = if style.verbose { SHOWN * 10 } else { SHOWN };
    for incident in stream.incidents.iter().take(most) {
        let line = format!("  {} {}", pen.severity(incident.severity), shortened(&incident.message, 600));
        pen.line(&line);
    }
    if stream.incidents.len() > most {
        let left = (stream.incidents.len() - most) as u64;
        let line = pen.dim(&format!("  … and {} more incidents: gapless sql @incidents", grouped(left)));
        pen.line(&line);
    }
    if !stream.incidents.is_empty() {
        pen.line("");
    }
}

fn looked_at(pen: &mut Pen, stream: &StreamRecord, style: TextStyle) {
    for side in &stream.sides {
        let rows = side.rows.map_or("not read".to_string(), |rows| format!("{} rows", grouped(rows)));
        let outside = match (side.rows, side.rows_outside) {
            (Some(rows), Some(outside)) if outside > 0 => format!(" of {}", grouped(rows + outside)),
            _ => String::new(),
        };
        let files = if side.files == 1 { "1 file".to_string() } else { format!("{} files", grouped(side.files)) };
        let line = format!(
            "  {:<9} {rows}{outside} · {files}, {}, {} · {}",
            side.side.as_str(),
            side.format,
            bytes(side.bytes),
            plain(&side.source)
        );
        pen.line(&line);
    }
    if let (Some(from), Some(until)) = (stream.bounds.from, stream.bounds.until) {
        let line = format!("  {:<9} {from} to {until} ({})", "bounds", stream.bounds_kind);
        pen.line(&line);
    }
    if let Some(outage) = &stream.outage {
        let end = |at: Option<crate::domain::Instant>| at.map_or("open".to_string(), |at| at.to_string());
        let line = format!("  {:<9} {} to {}", "outage", end(outage.from), end(outage.until));
        pen.line(&line);
    }
    if let Some(window) = &stream.window {
        let kind = if stream.window_is_default { ", chosen to show; it judges nothing" } else { "" };
        let line = format!("  {:<9} {window} in {}, {} with rows{kind}", "windows", stream.time_zone, grouped(stream.windows_judged));
        pen.line(&line);
    }
    let line = format!("  {:<9} {}", "compared", counted(&stream.counts));
    pen.line(&line);
    for side in stream.sides.iter().filter(|side| side.digest.is_some() || style.verbose) {
        if let Some(digest) = &side.digest {
            let line = format!("  {:<9} {} {digest}", "digest", side.side);
            pen.line(&line);
        }
        if let (Some(checksum), true) = (&side.checksum, style.verbose) {
            let line = format!("  {:<9} {} {checksum}", "checksum", side.side);
            pen.line(&line);
        }
    }
    let line = format!("  {:<9} {:.2} s", "time", stream.elapsed_ms as f64 / 1_000.0);
    pen.line(&line);
    pen.line("");
}

/// The counts that are there and say something.
fn counted(counts: &Counts) -> String {
    let parts: Vec<String> = [
        ("keys match", counts.matched_keys),
        ("missing", counts.missing_keys),
        ("unexpected", counts.unexpected_keys),
        ("mismatched", counts.mismatched_keys),
        ("duplicated", counts.duplicate_keys),
        ("rows missing", counts.missing_rows),
        ("rows unexpected", counts.unexpected_rows),
    ]
    .into_iter()
    .filter_map(|(word, count)| count.map(|count| format!("{} {word}", grouped(count))))
    .collect();
    match (parts.is_empty(), counts.original_rows) {
        (false, _) => parts.join(" · "),
        (true, None) => "nothing: a side could not be read".to_string(),
        (true, Some(_)) => "nothing: one side alone".to_string(),
    }
}

fn picture(pen: &mut Pen, stream: &StreamRecord) {
    let Some((lines, left_out)) = timeline(stream) else { return };
    let names: Vec<String> = lines.iter().map(|line| shortened(&pairs(&line.series), 24)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    if let Some(marks) = outage_marks(stream) {
        let line = format!("  {}  {}", " ".repeat(width), pen.dim(&marks));
        pen.line(&line);
    }
    for (name, line) in names.iter().zip(&lines) {
        let padding = " ".repeat(width - name.chars().count());
        let cells = if pen.colour {
            line.cells
                .chars()
                .map(|cell| match cell {
                    'x' | '·' => pen.paint("31", &cell.to_string()),
                    '▄' => pen.paint("34", &cell.to_string()),
                    other => other.to_string(),
                })
                .collect()
        } else {
            line.cells.clone()
        };
        let gaps = match line.gaps {
            0 => String::new(),
            1 => "  1 gap".to_string(),
            many => format!("  {many} gaps"),
        };
        let text = format!("  {name}{padding}  {cells}{gaps}");
        pen.line(&text);
    }
    if left_out > 0 {
        let line = pen.dim(&format!("  … and {left_out} more series, none with more gaps"));
        pen.line(&line);
    }
    let legend = match stream.sides.len() {
        1 => "█ rows  · none",
        _ => "█ both  ▀ original only  ▄ backfill only  · nobody or a gap  x differs",
    };
    let line = format!("  {}  {}", " ".repeat(width), pen.dim(legend));
    pen.line(&line);
    pen.line("");
}

fn findings_of(pen: &mut Pen, stream: &StreamRecord, check: &str, severity: Severity, style: TextStyle) {
    let overview = &stream.findings.overview;
    let of = overview.first.iter().filter(|f| f.check == check && f.severity == severity && !f.accepted);
    let many = overview.count(|tally| tally.check == check && tally.severity == severity && !tally.accepted);
    // Counts are complete; the list may have been cut.
    let listed = overview.count(|tally| tally.check == check);
    let total = stream.totals.get(check).copied().unwrap_or(0);
    let count = if listed < total { format!("{} in all", grouped(total)) } else { grouped(many) };
    let head = format!("{} {} · {count}", pen.severity(severity), pen.bold(&plain(check)));
    pen.line(&head);
    let most = match (style.verbose, severity) {
        (true, _) => SHOWN * 10,
        (false, Severity::Info) => 2,
        (false, _) => SHOWN,
    };
    for finding in of.take(most) {
        let line = format!("  {}", shortened(&finding.message, 220));
        pen.line(&line);
        let shows_values = check == "duplicate_key" || check == "digest_mismatch";
        if shows_values && (style.verbose || severity > Severity::Info) {
            for (side, value) in [(Side::Original, &finding.original_value), (Side::Backfill, &finding.backfill_value)] {
                if let Some(value) = value {
                    let line = pen.dim(&format!("    {:<9} {}", side.as_str(), shortened(value, 160)));
                    pen.line(&line);
                }
            }
        }
    }
    if many > most as u64 {
        let line = pen.dim(&format!("  … and {} more", grouped(many - most as u64)));
        pen.line(&line);
    }
    pen.line("");
}
