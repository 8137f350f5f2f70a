//! The findings as JSON lines: one object a line with the columns of the table `findings`, `run` first. `series` and `key` are objects
//! here, sequence numbers are text (they have up to 38 digits).

use std::io::Write;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{each_finding, inert};
use crate::domain::{Finding, Instant};
use crate::findings::RunRecord;

#[derive(Serialize)]
struct Line<'a> {
    run: &'a str,
    stream: &'a str,
    check: &'a str,
    kind: Option<&'a str>,
    severity: &'a str,
    grain: &'a str,
    side: Option<&'a str>,
    series: Option<Box<RawValue>>,
    window_start: Option<String>,
    window_end: Option<String>,
    from_time: Option<String>,
    until_time: Option<String>,
    from_sequence: Option<String>,
    until_sequence: Option<String>,
    file: Option<&'a str>,
    key: Option<Box<RawValue>>,
    column_name: Option<&'a str>,
    original_value: Option<&'a str>,
    backfill_value: Option<&'a str>,
    rows: Option<i64>,
    accepted: bool,
    known: bool,
    message: &'a str,
}

pub(super) fn jsonl(run: &RunRecord, out: &mut dyn Write) -> std::io::Result<()> {
    each_finding(run, |finding| {
        let text = serde_json::to_string(&line(&run.id, finding))?;
        writeln!(out, "{}", inert::json(&text))
    })
}

fn line<'a>(run: &'a str, finding: &'a Finding) -> Line<'a> {
    // Numbers inside keep every digit, so that the text is passed on and not read.
    let object = |text: &Option<String>| text.as_ref().and_then(|text| RawValue::from_string(text.clone()).ok());
    let at = |at: Option<Instant>| at.map(|at| at.to_string());
    Line {
        run,
        stream: &finding.stream,
        check: &finding.check,
        kind: finding.kind.as_deref(),
        severity: finding.severity.as_str(),
        grain: finding.grain.as_str(),
        side: finding.side.as_deref(),
        series: object(&finding.series),
        window_start: at(finding.window_start),
        window_end: at(finding.window_end),
        from_time: at(finding.from_time),
        until_time: at(finding.until_time),
        from_sequence: finding.from_sequence.map(|number| number.to_string()),
        until_sequence: finding.until_sequence.map(|number| number.to_string()),
        file: finding.file.as_deref(),
        key: object(&finding.key),
        column_name: finding.column_name.as_deref(),
        original_value: finding.original_value.as_deref(),
        backfill_value: finding.backfill_value.as_deref(),
        rows: finding.rows,
        accepted: finding.accepted,
        known: finding.known,
        message: &finding.message,
    }
}
