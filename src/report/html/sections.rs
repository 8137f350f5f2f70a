//! The sections of a stream, and those of the run: each a function that returns what it holds, or nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Html, Page};
use crate::domain::{Finding, Mode, Severity, Side, pairs};
use crate::findings::{CheckStatus, Row, RunRecord};
use crate::report::StoredRun;
use crate::report::text::report_flag;
use crate::report::words::{bytes, cut, grouped, length, moment, plural, shell_word};

/// Rows of the gap table that are shown for each finding that is.
const GAPS: usize = 5;

fn head(html: &mut Html, columns: &[&'static str]) {
    html.raw("<div class=\"wide\" tabindex=\"0\"><table><thead><tr>");
    for column in columns {
        // Names of columns of numbers end with the mark that is not shown.
        match column.strip_suffix('#') {
            Some(column) => html.raw("<th scope=\"col\" class=\"n\">").raw(column).raw("</th>"),
            None => html.raw("<th scope=\"col\">").raw(column).raw("</th>"),
        };
    }
    html.raw("</tr></thead><tbody>\n");
}

fn foot(html: &mut Html) {
    html.raw("</tbody></table></div>\n");
}

fn number(html: &mut Html, number: Option<u64>) {
    html.raw("<td class=\"n\">").text(&number.map_or("–".to_string(), grouped)).raw("</td>");
}

fn code_cell(html: &mut Html, text: &str) {
    html.raw("<td class=\"c\"><code>").text(text).raw("</code></td>");
}

fn severity(html: &mut Html, severity: Severity) {
    html.raw(match severity {
        Severity::Error => "<span class=\"sev error\">error</span>",
        Severity::Warn => "<span class=\"sev warn\">warn</span>",
        Severity::Info => "<span class=\"sev info\">info</span>",
    });
}

/// What the verdict stands on, and what it does not speak of.
pub(super) fn looked_at(page: &Page<'_>) -> Option<Html> {
    let stream = page.stream;
    let mut html = Html::default();
    head(&mut html, &["Side", "Rows judged#", "Rows read#", "Outside the bounds#", "Files#", "Size#", "Format", "Source"]);
    for side in &stream.sides {
        html.raw("<tr><th scope=\"row\">").text(side.side.as_str()).raw("</th>");
        number(&mut html, side.rows);
        number(&mut html, side.rows_read);
        number(&mut html, side.rows_outside);
        number(&mut html, Some(side.files));
        html.raw("<td class=\"n\">").text(&bytes(side.bytes)).raw("</td><td>").text(&side.format).raw("</td>");
        code_cell(&mut html, &cut(&side.source, 300));
        html.raw("</tr>\n");
    }
    foot(&mut html);
    html.raw("<dl class=\"facts\">");
    let mut fact = |name: &'static str, value: String| {
        html.raw("<div><dt>").raw(name).raw("</dt><dd>").text(&value).raw("</dd></div>");
    };
    let asked = match stream.mode {
        Mode::Replica => "replica: the backfill must equal the original",
        Mode::Fill => "fill: both together must be whole",
        Mode::Single => "single: one side alone, nothing is compared",
    };
    fact("Mode", asked.to_string());
    if let (Some(from), Some(until)) = (stream.bounds.from, stream.bounds.until) {
        fact("Bounds", format!("{} to {} ({})", moment(from), moment(until), stream.bounds_kind));
    }
    if let Some(outage) = &stream.outage {
        let end = |at: Option<crate::domain::Instant>| at.map_or("open".to_string(), moment);
        fact("Outage", format!("{} to {}", end(outage.from), end(outage.until)));
    }
    if let Some(first) = stream.maintenance.first() {
        let more = stream.maintenance.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" and {} more", grouped(more as u64)) };
        let why = first.reason.as_ref().map_or(String::new(), |reason| format!(" ({})", cut(reason, 100)));
        fact("Maintenance", format!("{} to {}{why}{more}", moment(first.from), moment(first.until)));
    }
    if let Some(window) = &stream.window {
        let kind = if stream.window_is_default { ", chosen to show; it judges nothing" } else { "" };
        fact("Windows", format!("{window} in {}, {} with rows{kind}", stream.time_zone, grouped(stream.windows_judged)));
    }
    html.raw("</dl>\n");

    let mut not: Vec<String> = stream.incomplete.clone();
    if stream.bounds_kind == "inferred" {
        not.push("The bounds were taken from the data: loss before the first and after the last row is invisible.".to_string());
    }
    let outside: u64 = stream.sides.iter().filter_map(|side| side.rows_outside).sum();
    if outside > 0 {
        not.push(format!("{} outside the bounds were counted, not judged.", plural(outside, "row")));
    }
    if stream.mode == Mode::Single {
        not.push("Nothing was compared: there is one side alone.".to_string());
    }
    for check in &stream.cut {
        not.push(format!("Not all findings of {check} are listed; their number is complete."));
    }
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for check in stream.checks.iter().filter(|check| check.status == CheckStatus::NotJudged) {
        let reason = check.reason.as_deref().unwrap_or_default();
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, checks)) => checks.push(&check.check),
            None => reasons.push((reason, vec![&check.check])),
        }
    }
    let why_not = |name: &str| {
        stream
            .checks
            .iter()
            .find(|check| check.check == name && check.status == CheckStatus::NotJudged)
            .and_then(|check| check.reason.as_deref())
    };
    if let (Some(time), Some(sequence)) = (why_not("gap"), why_not("sequence_gap")) {
        not.push(format!("Continuity was not judged: {time}, and {sequence}."));
    }
    html.raw("<h4>What was not</h4>\n");
    if not.is_empty() {
        html.raw("<p>Nothing inside the bounds was left out.</p>\n");
    } else {
        html.raw("<ul class=\"not\">");
        for (at, line) in not.iter().enumerate() {
            html.raw(if at < stream.incomplete.len() { "<li class=\"bad\">" } else { "<li>" }).text(&cut(line, 600)).raw("</li>\n");
        }
        html.raw("</ul>\n");
    }
    let skipped: usize = reasons.iter().map(|(_, checks)| checks.len()).sum();
    if skipped > 0 {
        html.raw("<details class=\"more\"><summary>").text(&match skipped {
            1 => "1 check was not judged".to_string(),
            many => format!("{many} checks were not judged"),
        });
        html.raw("</summary>\n<ul class=\"not\">");
        for (reason, checks) in reasons {
            html.raw("<li>").text(reason).raw(": ");
            for (at, check) in checks.iter().enumerate() {
                html.raw(if at > 0 { ", <code>" } else { "<code>" }).text(check).raw("</code>");
            }
            html.raw("</li>\n");
        }
        html.raw("</ul></details>\n");
    }
    if !stream.assumed.is_empty() {
        html.raw("<details class=\"more\"><summary>What was assumed</summary>\n<ul class=\"not\">");
        for line in stream.assumed.iter().take(50) {
            html.raw("<li>").text(&cut(line, 600)).raw("</li>\n");
        }
        html.raw("</ul></details>\n");
    }
    Some(html)
}

/// Incidents with their causes, and what each rests on.
pub(super) fn incidents(page: &Page<'_>) -> Option<Html> {
    let stream = page.stream;
    if stream.incidents.is_empty() {
        return None;
    }
    let mut html = Html::default();
    let most = page.caps.findings / 2;
    for incident in stream.incidents.iter().take(most) {
        let own: Vec<_> = stream.diagnoses.iter().filter(|diagnosis| diagnosis.incident == incident.incident).collect();
        html.raw(if own.is_empty() { "<details class=\"check\" open><summary>" } else { "<details class=\"check\"><summary>" });
        severity(&mut html, incident.severity);
        html.raw(" ").text(&cut(&incident.message, page.caps.value * 2)).raw("</summary>\n<dl class=\"facts\">");
        let mut fact = |name: &'static str, value: String| {
            html.raw("<div><dt>").raw(name).raw("</dt><dd>").text(&value).raw("</dd></div>");
        };
        fact("Kind", incident.kind.replace('_', " "));
        fact("Cause", incident.cause.replace('_', " "));
        fact("Side", incident.side.replace('_', " "));
        fact(
            "Scope",
            format!(
                "{}, {} of {}",
                incident.scope,
                grouped(incident.series),
                plural(incident.series_total, "series").replace("seriess", "series")
            ),
        );
        if let Some(class) = incident.class {
            fact("Class", class.replace('_', " "));
        }
        if let (Some(from), Some(until)) = (incident.from, incident.until) {
            fact("From", moment(from));
            fact("Until", moment(until));
        }
        if let Some(rows) = incident.rows {
            fact("Rows", format!("{}{}", if incident.rows_exact { "" } else { "about " }, grouped(rows)));
        }
        html.raw("</dl>\n");
        if !own.is_empty() {
            head(&mut html, &["Subject", "Cause", "Of", "Rows#", "Out of#", "Evidence"]);
            for diagnosis in own.iter().take((page.caps.findings / 4).max(3)) {
                html.raw("<tr><td>")
                    .text(&diagnosis.subject.replace('_', " "))
                    .raw("</td><td>")
                    .text(&diagnosis.cause.replace('_', " "))
                    .raw("</td>");
                let parts = [
                    diagnosis.series.as_deref().map(pairs),
                    diagnosis.column_name.as_ref().map(|column| match &diagnosis.value {
                        Some(value) => format!("{column}={value}"),
                        None => column.clone(),
                    }),
                    diagnosis.file.clone(),
                ];
                code_cell(&mut html, &cut(&parts.into_iter().flatten().collect::<Vec<_>>().join(" · "), page.caps.value));
                number(&mut html, diagnosis.rows);
                number(&mut html, diagnosis.of_rows);
                html.raw("<td>").text(&cut(&diagnosis.evidence, page.caps.value)).raw("</td></tr>\n");
            }
            foot(&mut html);
            capped(&mut html, own.len().min((page.caps.findings / 4).max(3)), own.len() as u64);
        }
        html.raw("</details>\n");
    }
    capped(&mut html, most.min(stream.incidents.len()), stream.incidents.len() as u64);
    Some(html)
}

/// The ranges that nobody covers.
pub(super) fn gaps(page: &Page<'_>) -> Option<Html> {
    let stream = page.stream;
    let table = &stream.gaps;
    let judged = |row: &Row<'_>| row.text("status") == Some("open") && (stream.mode != Mode::Fill || row.text("side") == Some("recovered"));
    let open: Vec<usize> = (0..table.num_rows()).filter(|&row| judged(&Row { batch: table, row })).collect();
    let mut became: BTreeMap<&str, u64> = BTreeMap::new();
    if stream.mode == Mode::Fill {
        for row in 0..table.num_rows() {
            let row = Row { batch: table, row };
            if let (Some("original"), Some(status)) = (row.text("side"), row.text("status")) {
                *became.entry(status).or_default() += 1;
            }
        }
    }
    if open.is_empty() && became.is_empty() {
        return None;
    }
    let mut html = Html::default();
    if !became.is_empty() {
        let said: Vec<String> = became.iter().map(|(status, count)| format!("{} {}", grouped(*count), status.replace('_', " "))).collect();
        html.raw("<p>What became of the original's own gaps: ").text(&said.join(", ")).raw(".</p>\n");
    }
    if open.is_empty() {
        html.raw("<p>No gap is open.</p>\n");
        return Some(html);
    }
    let most = page.caps.findings * GAPS;
    head(&mut html, &["Series", "Missing on", "From", "Until", "Length#", "Missing#"]);
    for &row in open.iter().take(most) {
        let row = Row { batch: table, row };
        html.raw("<tr>");
        code_cell(&mut html, &cut(&pairs(row.text("series").unwrap_or("{}")), page.caps.value));
        html.raw("<td>")
            .text(if row.text("side") == Some("recovered") { "both sides" } else { row.text("side").unwrap_or_default() })
            .raw("</td>");
        match (row.time("from_time"), row.time("until_time"), row.sequence("from_sequence"), row.sequence("until_sequence")) {
            (Some(from), Some(until), _, _) => {
                html.raw("<td class=\"t\">")
                    .text(&moment(from))
                    .raw("</td><td class=\"t\">")
                    .text(&moment(until))
                    .raw("</td><td class=\"n\">")
                    .text(&length(until.0 - from.0))
                    .raw("</td>");
            }
            (_, _, Some(from), Some(until)) => {
                html.raw("<td class=\"t\">")
                    .text(&from.to_string())
                    .raw("</td><td class=\"t\">")
                    .text(&until.to_string())
                    .raw("</td><td class=\"n\">numbers</td>");
            }
            _ => {
                html.raw("<td></td><td></td><td></td>");
            }
        }
        number(&mut html, row.count("missing_estimate").and_then(|n| u64::try_from(n).ok()));
        html.raw("</tr>\n");
    }
    foot(&mut html);
    capped(&mut html, most, open.len() as u64);
    Some(html)
}

fn capped(html: &mut Html, shown: usize, total: u64) {
    if total > shown as u64 {
        html.raw("<p class=\"note\">")
            .text(&grouped(shown as u64))
            .raw(" of ")
            .text(&grouped(total))
            .raw(" are shown; the table <code>findings</code> has those that are listed.</p>\n");
    }
}

/// How much of a value around the changed part is shown.
const AROUND: usize = 40;

/// Two values with the part that changed marked in each: what stands between their common beginning and their common end.
fn marked(html: &mut Html, value: &str, other: Option<&str>, most: usize) {
    let letters: Vec<char> = value.chars().collect();
    let Some(other) = other else {
        html.raw("<code>").text(&cut(value, most)).raw("</code>");
        return;
    };
    let others: Vec<char> = other.chars().collect();
    let start = letters.iter().zip(&others).take_while(|(a, b)| a == b).count();
    let room = letters.len().min(others.len()) - start;
    let end = letters.iter().rev().zip(others.iter().rev()).take_while(|(a, b)| a == b).count().min(room);
    let part = |letters: &[char]| letters.iter().collect::<String>();
    let before = &letters[..start];
    let after = &letters[letters.len() - end..];
    let middle = part(&letters[start..letters.len() - end]);
    html.raw("<code>");
    if before.len() > AROUND {
        html.raw("…").text(&part(&before[before.len() - AROUND..]));
    } else {
        html.text(&part(before));
    }
    html.raw(if middle.is_empty() { "<mark class=\"none\">" } else { "<mark>" }).text(&cut(&middle, most)).raw("</mark>");
    if after.len() > AROUND {
        html.text(&part(&after[..AROUND])).raw("…");
    } else {
        html.text(&part(after));
    }
    html.raw("</code>");
}

fn value_cells(html: &mut Html, finding: &Finding, most: usize) {
    for (value, other) in [(&finding.original_value, &finding.backfill_value), (&finding.backfill_value, &finding.original_value)] {
        html.raw("<td class=\"v\">");
        match value {
            Some(value) => marked(html, value, other.as_deref(), most),
            None => {
                html.raw("<em class=\"null\">NULL</em>");
            }
        }
        html.raw("</td>");
    }
}

/// Cells that differ, both values side by side.
pub(super) fn mismatches(page: &Page<'_>) -> Option<Html> {
    let overview = &page.stream.findings.overview;
    let of: Vec<&Finding> = overview.first.iter().filter(|f| f.check == "value_mismatch").collect();
    if of.is_empty() {
        return None;
    }
    // The cap holds for each column, so that one column cannot hide another.
    let tallies = overview.tallies.iter().filter(|tally| tally.check == "value_mismatch");
    let columns = tallies.map(|tally| tally.column_name.as_deref()).collect::<std::collections::BTreeSet<_>>().len().max(1);
    let each = (page.caps.findings * 2 / columns).max(3);
    let mut taken: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let shown: Vec<&&Finding> = of
        .iter()
        .filter(|f| {
            let count = taken.entry(f.column_name.as_deref()).or_default();
            *count += 1;
            *count <= each
        })
        .collect();
    let mut html = Html::default();
    head(&mut html, &["Key", "Column", "Original", "Backfill"]);
    for finding in &shown {
        html.raw("<tr>");
        html.raw("<td class=\"key\"><code>")
            .text(&cut(&finding.key.as_deref().map(pairs).unwrap_or_default(), page.caps.value))
            .raw("</code>");
        flags(&mut html, finding);
        html.raw("</td>");
        code_cell(&mut html, &cut(finding.column_name.as_deref().unwrap_or_default(), 120));
        value_cells(&mut html, finding, page.caps.value);
        html.raw("</tr>\n");
    }
    foot(&mut html);
    let total = page.stream.totals.get("value_mismatch").copied().unwrap_or(0);
    if total > shown.len() as u64 {
        html.raw("<p class=\"note\">").text(&grouped(shown.len() as u64)).raw(" of ").text(&grouped(total));
        html.raw(" are shown, at most ").text(&grouped(each as u64)).raw(" of a column.</p>\n");
    }
    Some(html)
}

fn flags(html: &mut Html, finding: &Finding) {
    if finding.accepted {
        html.raw(" <span class=\"flag\">accepted</span>");
    }
    if finding.known {
        html.raw(" <span class=\"flag\">known</span>");
    }
}

/// How often each column differs.
pub(super) fn columns(page: &Page<'_>) -> Option<Html> {
    let stream = page.stream;
    let mut by: BTreeMap<&str, u64> = BTreeMap::new();
    for tally in stream.findings.overview.tallies.iter().filter(|tally| tally.check == "value_mismatch") {
        *by.entry(tally.column_name.as_deref().unwrap_or_default()).or_default() += tally.findings;
    }
    if by.is_empty() {
        return None;
    }
    let listed: u64 = by.values().sum();
    let compared = stream.counts.matched_keys.zip(stream.counts.mismatched_keys).map(|(a, b)| a + b).filter(|all| *all > 0);
    let most = by.values().copied().max().unwrap_or(1).max(1);
    let mut ordered: Vec<(&str, u64)> = by.into_iter().collect();
    ordered.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    let mut html = Html::default();
    head(&mut html, &["Column", "Keys that differ#", "Of the keys on both sides#", ""]);
    for (column, count) in ordered.iter().take(200) {
        html.raw("<tr><th scope=\"row\"><code>").text(&cut(column, 120)).raw("</code></th>");
        number(&mut html, Some(*count));
        html.raw("<td class=\"n\">").text(&compared.map_or("–".to_string(), |all| rate(*count, all))).raw("</td>");
        html.raw("<td class=\"bar\"><svg width=\"100%\" height=\"10\" aria-hidden=\"true\"><rect class=\"d\" x=\"0\" y=\"1\" height=\"8\" width=\"");
        html.text(&format!("{:.2}", *count as f64 / most as f64 * 100.0)).raw("%\"/></svg></td></tr>\n");
    }
    foot(&mut html);
    if stream.totals.get("value_mismatch").copied().unwrap_or(0) > listed {
        html.raw("<p class=\"note\">Of the differences that are listed; there are more, and the true rates are higher.</p>\n");
    }
    Some(html)
}

/// A share that never looks like nothing or like all where it is neither.
fn rate(count: u64, all: u64) -> String {
    let percent = count as f64 / all as f64 * 100.0;
    match (count, percent) {
        (0, _) => "0 %".to_string(),
        (_, percent) if percent < 0.01 => "< 0.01 %".to_string(),
        (count, percent) if percent > 99.99 && count < all => "> 99.99 %".to_string(),
        (_, percent) => format!("{percent:.2} %"),
    }
}

/// Every check that found something, the heaviest first.
pub(super) fn findings(page: &Page<'_>) -> Option<Html> {
    let stream = page.stream;
    let mut html = Html::default();
    let mut any = false;
    for level in [Severity::Error, Severity::Warn, Severity::Info] {
        for check in &stream.checks {
            let total = stream.found.get(&(check.check.clone(), level)).copied().unwrap_or(0);
            if total == 0 {
                continue;
            }
            any = true;
            let overview = &stream.findings.overview;
            let of = overview.first.iter().filter(|f| f.check == check.check && f.severity == level);
            let listed = overview.count(|tally| tally.check == check.check && tally.severity == level);
            html.raw(if level == Severity::Error {
                "<details open class=\"check\"><summary>"
            } else {
                "<details class=\"check\"><summary>"
            });
            severity(&mut html, level);
            html.raw(" <code>").text(&check.check).raw("</code> <span class=\"count\">").text(&grouped(total)).raw("</span></summary>\n");
            let most = match level {
                Severity::Error => page.caps.findings,
                Severity::Warn => page.caps.findings / 2,
                Severity::Info => page.caps.findings / 4,
            }
            .max(2);
            html.raw("<ul class=\"found\" tabindex=\"0\">");
            for finding in of.take(most) {
                html.raw("<li>").text(&cut(&finding.message, page.caps.value));
                flags(&mut html, finding);
                let long = ["duplicate_key", "digest_mismatch"].contains(&finding.check.as_str());
                if long && level > Severity::Info {
                    html.raw("<dl class=\"both\">");
                    for (side, value) in [(Side::Original, &finding.original_value), (Side::Backfill, &finding.backfill_value)] {
                        if let Some(value) = value {
                            html.raw("<div><dt>")
                                .text(side.as_str())
                                .raw("</dt><dd><code>")
                                .text(&cut(value, page.caps.value))
                                .raw("</code></dd></div>");
                        }
                    }
                    html.raw("</dl>");
                }
                html.raw("</li>\n");
            }
            html.raw("</ul>\n");
            let shown = listed.min(most as u64);
            if total > shown {
                html.raw("<p class=\"note\">").text(&grouped(shown)).raw(" of ").text(&grouped(total)).raw(" are shown.</p>\n");
            }
            html.raw("</details>\n");
        }
    }
    any.then_some(html)
}

/// The rules of the job and how many rows broke each.
pub(super) fn rules(page: &Page<'_>) -> Option<Html> {
    let stream = page.stream;
    let of = page.run.options["streams"].as_array()?.iter().find(|own| own["name"] == stream.name.as_str())?;
    let rules = of["rules"].as_array().filter(|rules| !rules.is_empty())?;
    let mut html = Html::default();
    head(&mut html, &["Rule", "Severity", "Every row must fulfil", "Broken by#", "Status"]);
    for rule in rules {
        let name = rule["name"].as_str().unwrap_or_default();
        let check = stream.checks.iter().find(|check| check.check == name);
        html.raw("<tr><th scope=\"row\"><code>").text(&cut(name, 120)).raw("</code></th><td>");
        severity(&mut html, rule["severity"].as_str().and_then(Severity::parse).unwrap_or(Severity::Error));
        html.raw("</td>");
        code_cell(&mut html, &cut(rule["assert"].as_str().unwrap_or_default(), page.caps.value));
        number(&mut html, check.map(|check| check.findings));
        html.raw("<td>").text(check.map_or("–", |check| status(check.status))).raw("</td></tr>\n");
    }
    foot(&mut html);
    Some(html)
}

fn status(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Pass => "pass",
        CheckStatus::Fail => "fail",
        CheckStatus::NotJudged => "not judged",
    }
}

/// Every check with what it came to.
pub(super) fn checks(page: &Page<'_>) -> Option<Html> {
    let stream = page.stream;
    let count = |of: CheckStatus| stream.checks.iter().filter(|check| check.status == of).count() as u64;
    let mut html = Html::default();
    html.raw("<details class=\"check\"><summary>");
    html.text(&format!(
        "{} passed, {} failed, {} not judged",
        grouped(count(CheckStatus::Pass)),
        grouped(count(CheckStatus::Fail)),
        grouped(count(CheckStatus::NotJudged))
    ));
    html.raw("</summary>\n");
    head(&mut html, &["Check", "Severity", "Status", "Findings#", "Why not"]);
    for check in &stream.checks {
        html.raw("<tr><th scope=\"row\"><code>").text(&cut(&check.check, 120)).raw("</code></th><td>");
        severity(&mut html, check.severity);
        html.raw("</td><td>").raw(status(check.status)).raw("</td>");
        number(&mut html, (check.status != CheckStatus::NotJudged).then_some(check.findings));
        html.raw("<td>").text(check.reason.as_deref().unwrap_or_default()).raw("</td></tr>\n");
    }
    foot(&mut html);
    html.raw("</details>\n");
    Some(html)
}

/// Checksums and digests of the sides, with what they are.
pub(super) fn checksums(page: &Page<'_>) -> Option<Html> {
    let stream = page.stream;
    if stream.sides.iter().all(|side| side.checksum.is_none() && side.digest.is_none()) {
        return None;
    }
    let mut html = Html::default();
    html.raw("<p>Definition: <code>").text(&stream.checksum).raw("</code></p>\n");
    head(&mut html, &["Side", "Checksum of all rows", "Digest of all rows"]);
    for side in &stream.sides {
        html.raw("<tr><th scope=\"row\">").text(side.side.as_str()).raw("</th>");
        code_cell(&mut html, side.checksum.as_deref().unwrap_or("–"));
        code_cell(&mut html, side.digest.as_deref().unwrap_or("–"));
        html.raw("</tr>\n");
    }
    foot(&mut html);
    Some(html)
}

/// The job as it was run, without what was not said.
pub(super) fn job(run: &RunRecord) -> Html {
    let mut html = Html::default();
    html.raw("<section aria-labelledby=\"job\"><h2 id=\"job\">The job as it was run</h2>\n<details class=\"check\"><summary>Settings of the streams and of the run</summary>\n<pre tabindex=\"0\">");
    let said = serde_json::to_string_pretty(&without_nulls(&run.options)).unwrap_or_default();
    // Lines stay lines; what is in them is escaped.
    for line in cut(&said, 60_000).lines() {
        html.text(line).raw("\n");
    }
    html.raw("</pre></details></section>\n");
    html
}

fn without_nulls(value: &Value) -> Value {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(object) => {
            object.iter().map(|(name, value)| (name.clone(), without_nulls(value))).filter(|(_, value)| says(value)).collect()
        }
        Value::Array(list) => Value::Array(list.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// How to go on: run it again, ask it, show it, hold the next run against it.
pub(super) fn commands(run: &RunRecord, stored: Option<&StoredRun>) -> Html {
    let mut html = Html::default();
    html.raw("<section aria-labelledby=\"commands\"><h2 id=\"commands\">How to go on</h2>\n<p>In the directory in which the run was started:</p>\n<dl class=\"commands\">");
    let mut command = |what: &'static str, line: String| {
        html.raw("<dt>").raw(what).raw("</dt><dd><pre tabindex=\"0\">").text(&line).raw("</pre></dd>\n");
    };
    let typed: Vec<String> = run.options["command"].as_array().into_iter().flatten().filter_map(Value::as_str).map(shell_word).collect();
    let flag = stored.map(report_flag).unwrap_or_default();
    if !typed.is_empty() {
        command("Run the same again", format!("gapless {}", typed.join(" ")));
        if run.verdict != crate::domain::Verdict::Pass
            && !run.options["command"].as_array().is_some_and(|words| words.iter().any(|w| w == "--baseline"))
        {
            command("Verify again, and fail on new findings only", format!("gapless {} --baseline {}", typed.join(" "), run.id));
        }
    }
    let open = |stream: &crate::findings::StreamRecord| stream.counts.gaps.unwrap_or(0) + stream.counts.sequence_gaps.unwrap_or(0) > 0;
    if run.verdict == crate::domain::Verdict::Fail || run.streams.iter().any(open) {
        command("What to collect again", format!("gapless sql{flag} @collect_again run={}", run.id));
    }
    command("All findings of this run", format!("gapless sql{flag} 'SELECT * FROM findings WHERE run = $run' run={}", run.id));
    command("This run in another form", format!("gapless report{flag} {} --format markdown", run.id));
    command("What changed since", format!("gapless report{flag} latest --against {}", run.id));
    html.raw("</dl></section>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changed_part_is_marked() {
        let show = |value: &str, other: &str| {
            let mut html = Html::default();
            marked(&mut html, value, Some(other), 100);
            html.out
        };
        assert_eq!(show("19", "1900"), "<code>19<mark class=\"none\"></mark></code>");
        assert_eq!(show("1900", "19"), "<code>19<mark>00</mark></code>");
        assert_eq!(show("N822UA", "N496UA"), "<code>N<mark>822</mark>UA</code>");
        assert_eq!(show("aaa", "aa"), "<code>aa<mark>a</mark></code>");
        assert_eq!(show("<b>", "<i>"), "<code>&lt;<mark>b</mark>&gt;</code>");
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing_or_all() {
        assert_eq!(rate(1, 1_000_000), "< 0.01 %");
        assert_eq!(rate(999_999, 1_000_000), "> 99.99 %");
        assert_eq!(rate(1, 8), "12.50 %");
    }
}
