//! Annotations of a GitHub workflow: commands on stdout that put what was found beside the run.
//!
//! GitHub shows ten annotations of a level for a step, so there is one for each stream and one for each check with findings, the heaviest
//! first. Every line is one of ours, and data in it is escaped, so that no value can be a command.

use std::io::Write;

use super::inert::{command_data, command_property};
use super::words::{cut, plural};
use crate::domain::{Severity, Verdict};
use crate::findings::{RunRecord, StreamRecord};

/// Findings told in an annotation.
const TOLD: usize = 5;
/// Annotations of a level.
const MOST: usize = 10;

pub(super) fn annotations(run: &RunRecord, out: &mut dyn Write) -> std::io::Result<()> {
    let mut by_level: [(&str, Vec<String>); 3] = [("error", Vec::new()), ("warning", Vec::new()), ("notice", Vec::new())];
    for stream in &run.streams {
        let level = match stream.verdict {
            Verdict::Pass => 2,
            Verdict::Incomplete | Verdict::Fail if run.exit_code == 0 => 1,
            Verdict::Incomplete | Verdict::Fail => 0,
        };
        by_level[level].1.push(command(
            by_level[level].0,
            &format!("gapless: {} {}", stream.name, stream.verdict),
            std::slice::from_ref(&stream.reason),
        ));
    }
    for stream in &run.streams {
        for (severity, level) in [(Severity::Error, 0), (Severity::Warn, 1)] {
            for check in &stream.checks {
                if let Some(lines) = found(stream, &check.check, severity) {
                    by_level[level].1.push(command(by_level[level].0, &format!("gapless: {} {}", stream.name, check.check), &lines));
                }
            }
        }
    }
    for (level, lines) in &mut by_level {
        let more = lines.len().saturating_sub(MOST);
        if more > 0 {
            lines.truncate(MOST - 1);
            lines.push(command(level, "gapless", &[format!("… and {} more; see the report", plural(more as u64 + 1, "annotation"))]));
        }
        for line in lines.iter() {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn found(stream: &StreamRecord, check: &str, severity: Severity) -> Option<Vec<String>> {
    let overview = &stream.findings.overview;
    let of = |f: &&crate::domain::Finding| f.check == check && f.severity == severity && !f.accepted && !f.known;
    let total = stream.found.get(&(check.to_string(), severity)).copied().unwrap_or(0);
    let excused = overview.count(|tally| tally.check == check && tally.severity == severity && !tally.counts());
    let left = total.saturating_sub(excused);
    if left == 0 {
        return None;
    }
    let mut lines = vec![plural(left, "finding")];
    lines.extend(overview.first.iter().filter(of).take(TOLD).map(|finding| cut(&finding.message, 300)));
    if left > (lines.len() - 1) as u64 {
        lines.push(format!("… and {} more", left - (lines.len() - 1) as u64));
    }
    Some(lines)
}

fn command(level: &str, title: &str, lines: &[String]) -> String {
    // Each line is made plain before it is joined, so that line ends are only ours.
    let text: Vec<String> = lines.iter().map(|line| super::inert::plain(line)).collect();
    format!("::{level} title={}::{}", command_property(title), command_data(&text.join("\n")))
}
