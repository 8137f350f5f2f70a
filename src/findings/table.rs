//! The public table of findings.

use arrow::datatypes::Field;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::columns::{batch, count, end, flag, sequence, start, text};
use crate::domain::Finding;

/// The findings as one batch, in the order given.
///
/// # Errors
/// Arrow could not build it.
pub fn findings_batch<'a>(of: impl Iterator<Item = &'a Finding> + Clone) -> Result<RecordBatch, ArrowError> {
    batch(vec![
        ("stream", text(of.clone().map(|f| Some(&f.stream)))),
        ("check", text(of.clone().map(|f| Some(&f.check)))),
        ("kind", text(of.clone().map(|f| f.kind.as_ref()))),
        ("severity", text(of.clone().map(|f| Some(f.severity.as_str())))),
        ("grain", text(of.clone().map(|f| Some(f.grain.as_str())))),
        ("side", text(of.clone().map(|f| f.side.as_ref()))),
        ("series", text(of.clone().map(|f| f.series.as_ref()))),
        ("window_start", start(of.clone().map(|f| f.window_start))),
        ("window_end", end(of.clone().map(|f| f.window_end))),
        ("from_time", start(of.clone().map(|f| f.from_time))),
        ("until_time", end(of.clone().map(|f| f.until_time))),
        ("from_sequence", sequence(of.clone().map(|f| f.from_sequence))),
        ("until_sequence", sequence(of.clone().map(|f| f.until_sequence))),
        ("file", text(of.clone().map(|f| f.file.as_ref()))),
        ("key", text(of.clone().map(|f| f.key.as_ref()))),
        ("column_name", text(of.clone().map(|f| f.column_name.as_ref()))),
        ("original_value", text(of.clone().map(|f| f.original_value.as_ref()))),
        ("backfill_value", text(of.clone().map(|f| f.backfill_value.as_ref()))),
        ("rows", count(of.clone().map(|f| f.rows.and_then(|rows| u64::try_from(rows).ok())))),
        ("accepted", flag(of.clone().map(|f| f.accepted))),
        ("message", text(of.clone().map(|f| Some(&f.message)))),
        ("known", flag(of.map(|f| f.known))),
    ])
}

/// The names and types of its columns.
///
/// # Errors
/// Arrow could not build it.
pub fn finding_fields() -> Result<Vec<Field>, ArrowError> {
    Ok(findings_batch(std::iter::empty())?.schema().fields().iter().map(|field| field.as_ref().clone()).collect())
}
