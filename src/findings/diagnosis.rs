//! What happened: incidents, and the diagnoses that they rest on. The public tables `incidents` and `diagnoses`.

use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::columns::{batch, count, double, end, flag, integer, sequence, start, text};
use crate::domain::{Instant, Severity};

/// Things that happened at once, to one series or many: what an operator would call one event.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns of the public table, documented in docs/report.md")]
pub struct IncidentRecord {
    pub incident: u64,
    pub kind: &'static str,
    pub cause: &'static str,
    pub status: &'static str,
    pub severity: Severity,
    pub side: &'static str,
    pub scope: &'static str,
    pub class: Option<&'static str>,
    pub from: Option<Instant>,
    pub until: Option<Instant>,
    pub from_sequence: Option<i128>,
    pub until_sequence: Option<i128>,
    pub series: u64,
    pub series_total: u64,
    /// The names of the first of them, as a JSON array.
    pub series_list: String,
    pub gaps: u64,
    pub rows: Option<u64>,
    /// False where `rows` is an estimate from a cadence or a window.
    pub rows_exact: bool,
    pub message: String,
}

/// One subject with its cause and the evidence: a gap, a run of rows, a column, a slice.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the columns of the public table, documented in docs/report.md")]
pub struct DiagnosisRecord {
    pub incident: u64,
    pub subject: &'static str,
    pub cause: &'static str,
    pub side: &'static str,
    pub series: Option<Arc<str>>,
    pub column_name: Option<String>,
    pub value: Option<String>,
    pub file: Option<String>,
    pub from: Option<Instant>,
    pub until: Option<Instant>,
    pub from_sequence: Option<i128>,
    pub until_sequence: Option<i128>,
    /// Rows of which the cause, or the slice, holds.
    pub rows: Option<u64>,
    /// Out of so many that are missing, repeated or altered.
    pub of_rows: Option<u64>,
    /// For a slice: all rows in it, and all rows of the side.
    pub slice_rows: Option<u64>,
    pub total_rows: Option<u64>,
    pub share: Option<f64>,
    pub lift: Option<f64>,
    /// An upper bound of the chance that so many would fall into the slice by accident.
    pub p_bound: Option<f64>,
    pub evidence: Arc<str>,
}

impl DiagnosisRecord {
    /// About a subject of an incident; everything else is unset.
    pub fn new(incident: u64, subject: &'static str, cause: &'static str, side: &'static str) -> Self {
        Self {
            incident,
            subject,
            cause,
            side,
            series: None,
            column_name: None,
            value: None,
            file: None,
            from: None,
            until: None,
            from_sequence: None,
            until_sequence: None,
            rows: None,
            of_rows: None,
            slice_rows: None,
            total_rows: None,
            share: None,
            lift: None,
            p_bound: None,
            evidence: Arc::from(""),
        }
    }
}

/// Milliseconds of a half-open range, rounded down.
fn duration_ms(from: Option<Instant>, until: Option<Instant>) -> Option<i64> {
    i64::try_from((until?.0 - from?.0) / 1_000_000).ok()
}

/// The incidents of a stream as one batch, in the order given.
///
/// # Errors
/// Arrow could not build it.
pub fn incidents_batch(incidents: &[IncidentRecord]) -> Result<RecordBatch, ArrowError> {
    let of = incidents.iter();
    batch(vec![
        ("incident", count(of.clone().map(|i| Some(i.incident)))),
        ("kind", text(of.clone().map(|i| Some(i.kind)))),
        ("cause", text(of.clone().map(|i| Some(i.cause)))),
        ("status", text(of.clone().map(|i| Some(i.status)))),
        ("severity", text(of.clone().map(|i| Some(i.severity.as_str())))),
        ("side", text(of.clone().map(|i| Some(i.side)))),
        ("scope", text(of.clone().map(|i| Some(i.scope)))),
        ("class", text(of.clone().map(|i| i.class))),
        ("from_time", start(of.clone().map(|i| i.from))),
        ("until_time", end(of.clone().map(|i| i.until))),
        ("from_sequence", sequence(of.clone().map(|i| i.from_sequence))),
        ("until_sequence", sequence(of.clone().map(|i| i.until_sequence))),
        ("duration_ms", integer(of.clone().map(|i| duration_ms(i.from, i.until)))),
        ("series", count(of.clone().map(|i| Some(i.series)))),
        ("series_total", count(of.clone().map(|i| Some(i.series_total)))),
        ("series_list", text(of.clone().map(|i| Some(&i.series_list)))),
        ("gaps", count(of.clone().map(|i| Some(i.gaps)))),
        ("rows", count(of.clone().map(|i| i.rows))),
        ("rows_exact", flag(of.clone().map(|i| i.rows_exact))),
        ("message", text(of.map(|i| Some(&i.message)))),
    ])
}

/// The diagnoses of a stream as one batch, in the order given.
///
/// # Errors
/// Arrow could not build it.
pub fn diagnoses_batch(diagnoses: &[DiagnosisRecord]) -> Result<RecordBatch, ArrowError> {
    let of = diagnoses.iter();
    batch(vec![
        ("incident", count(of.clone().map(|d| Some(d.incident)))),
        ("subject", text(of.clone().map(|d| Some(d.subject)))),
        ("cause", text(of.clone().map(|d| Some(d.cause)))),
        ("side", text(of.clone().map(|d| Some(d.side)))),
        ("series", text(of.clone().map(|d| d.series.as_ref()))),
        ("column_name", text(of.clone().map(|d| d.column_name.as_ref()))),
        ("value", text(of.clone().map(|d| d.value.as_ref()))),
        ("file", text(of.clone().map(|d| d.file.as_ref()))),
        ("from_time", start(of.clone().map(|d| d.from))),
        ("until_time", end(of.clone().map(|d| d.until))),
        ("from_sequence", sequence(of.clone().map(|d| d.from_sequence))),
        ("until_sequence", sequence(of.clone().map(|d| d.until_sequence))),
        ("rows", count(of.clone().map(|d| d.rows))),
        ("of_rows", count(of.clone().map(|d| d.of_rows))),
        ("slice_rows", count(of.clone().map(|d| d.slice_rows))),
        ("total_rows", count(of.clone().map(|d| d.total_rows))),
        ("share", double(of.clone().map(|d| d.share))),
        ("lift", double(of.clone().map(|d| d.lift))),
        ("p_bound", double(of.clone().map(|d| d.p_bound))),
        ("evidence", text(of.map(|d| Some(&d.evidence)))),
    ])
}
