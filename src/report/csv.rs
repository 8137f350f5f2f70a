//! The findings as CSV (RFC 4180, UTF-8, a header, lines that end with LF). NULL is an empty cell, empty text is `""`.
//!
//! By default no cell can become a formula in a spreadsheet, and control characters are escapes; `--raw-csv` writes values as they are.

use std::io::Write;

use super::each_finding;
use super::inert::{csv_cell, quoted_csv};
use crate::domain::{Finding, Instant};
use crate::findings::RunRecord;

/// The columns: those of the table `findings`, with the run in front.
const HEADER: &str = "run,stream,check,kind,severity,grain,side,series,window_start,window_end,from_time,until_time,from_sequence,until_sequence,file,key,column_name,original_value,backfill_value,rows,accepted,known,message";

pub(super) fn csv(run: &RunRecord, raw: bool, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{HEADER}")?;
    each_finding(run, |finding| {
        let cells: Vec<String> = cells(&run.id, finding)
            .into_iter()
            .map(|cell| match cell {
                None => String::new(),
                Some(text) if raw => quoted_csv(&text),
                Some(text) => csv_cell(&text),
            })
            .collect();
        writeln!(out, "{}", cells.join(","))
    })
}

fn cells(run: &str, finding: &Finding) -> Vec<Option<String>> {
    // Taken apart, so that a column that is added is also written.
    let Finding {
        stream,
        check,
        kind,
        severity,
        grain,
        side,
        series,
        window_start,
        window_end,
        from_time,
        until_time,
        from_sequence,
        until_sequence,
        file,
        key,
        column_name,
        original_value,
        backfill_value,
        rows,
        accepted,
        known,
        message,
    } = finding;
    let at = |at: &Option<Instant>| at.map(|at| at.to_string());
    vec![
        Some(run.to_string()),
        Some(stream.clone()),
        Some(check.clone()),
        kind.clone(),
        Some(severity.to_string()),
        Some(grain.as_str().to_string()),
        side.clone(),
        series.clone(),
        at(window_start),
        at(window_end),
        at(from_time),
        at(until_time),
        from_sequence.map(|number| number.to_string()),
        until_sequence.map(|number| number.to_string()),
        file.clone(),
        key.clone(),
        column_name.clone(),
        original_value.clone(),
        backfill_value.clone(),
        rows.map(|rows| rows.to_string()),
        Some(accepted.to_string()),
        Some(known.to_string()),
        Some(message.clone()),
    ]
}
