//! JUnit XML: a suite per stream, a test case per check. What CI systems agree on and no more, so that it is valid under the schema of
//! Ant as well as under that of Jenkins.
//!
//! * A check fails where it has findings that close the gate; lighter findings are told in `system-out`.
//! * What should have been looked at and was not is an `error` of the test case `complete`.
//! * A check that was not judged is skipped, with the reason.

use std::fmt::Write as _;
use std::io::Write;

use super::inert::{log_line, plain, xml};
use super::words::{cut, plural};
use crate::domain::Finding;
use crate::findings::{CheckStatus, RunRecord, StreamRecord};

/// Findings told in a test case.
const TOLD: usize = 20;

pub(super) fn junit(run: &RunRecord, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>")?;
    for (at, stream) in run.streams.iter().enumerate() {
        out.write_all(suite(run, stream, at).as_bytes())?;
    }
    writeln!(out, "</testsuites>")
}

fn suite(run: &RunRecord, stream: &StreamRecord, at: usize) -> String {
    let threshold = run.threshold();
    let mut cases = String::new();
    let (mut tests, mut failures, mut skipped) = (1, 0, 0);
    let errors = usize::from(!stream.incomplete.is_empty());
    let class = xml(&format!("gapless.{}", stream.name));
    match errors {
        0 => {
            let _ = writeln!(cases, "    <testcase classname=\"{class}\" name=\"complete\" time=\"0\"/>");
        }
        _ => {
            let said = stream.incomplete.join("; ");
            let _ = writeln!(
                cases,
                "    <testcase classname=\"{class}\" name=\"complete\" time=\"0\">\n      <error message=\"{}\" type=\"incomplete\">{}</error>\n    </testcase>",
                xml(&cut(&said, 500)),
                xml(&said)
            );
        }
    }
    for check in &stream.checks {
        tests += 1;
        let head =
            format!("    <testcase classname=\"{class}\" name=\"{}\" time=\"{:.6}\"", xml(&check.check), check.duration_ms / 1_000.0);
        let failing = stream.failing(&check.check, threshold);
        if check.status == CheckStatus::NotJudged {
            skipped += 1;
            let _ = writeln!(
                cases,
                "{head}>\n      <skipped message=\"{}\"/>\n    </testcase>",
                xml(check.reason.as_deref().unwrap_or_default())
            );
        } else if failing > 0 {
            failures += 1;
            let sort = |f: &&Finding| f.check == check.check && f.severity >= threshold && !f.accepted && !f.known;
            let weighing = stream.findings.overview.first.iter().filter(sort);
            let mut told: Vec<String> = weighing.take(TOLD).map(|finding| log_line(&plain(&cut(&finding.message, 500)))).collect();
            if failing > told.len() as u64 {
                told.push(format!("… and {} more", failing - told.len() as u64));
            }
            let _ = writeln!(
                cases,
                "{head}>\n      <failure message=\"{}\" type=\"{}\">{}</failure>\n    </testcase>",
                xml(&plural(failing, "finding")),
                check.severity.max(threshold),
                told.iter().map(|line| xml(line)).collect::<Vec<_>>().join("\n")
            );
        } else {
            let _ = writeln!(cases, "{head}/>");
        }
    }
    let mut beside: Vec<String> = vec![format!("{}: {}", stream.verdict.as_str().to_uppercase(), stream.reason)];
    for check in &stream.checks {
        let lighter = check.findings - stream.failing(&check.check, threshold).min(check.findings);
        if lighter > 0 {
            beside.push(format!("{}: {} that do not close the gate (lighter, accepted or known)", check.check, plural(lighter, "finding")));
        }
    }
    let started = run.started.to_chrono().map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string()).unwrap_or_default();
    let mut properties =
        vec![("gapless.run", run.id.clone()), ("gapless.version", run.version.clone()), ("gapless.mode", stream.mode.to_string())];
    for side in &stream.sides {
        let name = if side.side == crate::domain::Side::Original { "gapless.original" } else { "gapless.backfill" };
        properties.push((name, side.source.clone()));
    }
    if let Some(baseline) = &run.baseline {
        properties.push(("gapless.baseline", baseline.clone()));
    }
    let mut text = format!(
        "  <testsuite id=\"{at}\" package=\"gapless\" name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\" timestamp=\"{started}\" hostname=\"localhost\">\n    <properties>\n",
        xml(&stream.name),
        stream.elapsed_ms as f64 / 1_000.0
    );
    for (name, value) in properties {
        let _ = writeln!(text, "      <property name=\"{name}\" value=\"{}\"/>", xml(&value));
    }
    text.push_str("    </properties>\n");
    text.push_str(&cases);
    let lines: Vec<String> = beside.iter().map(|line| xml(&log_line(&plain(line)))).collect();
    let _ = writeln!(text, "    <system-out>{}</system-out>\n    <system-err></system-err>\n  </testsuite>", lines.join("\n"));
    text
}
