//! The public tables of a run. Their columns are an interface: documented in `docs/report.md`, pinned by a test.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::domain::Side;
use crate::findings::columns::{batch, count, double, end, small, start, text};
use crate::findings::{RunRecord, StreamRecord, diagnoses_batch, incidents_batch};

/// The small tables of a run, by name, each in one batch or more: all but `findings` and `finding_counts`.
///
/// # Errors
/// Arrow could not build one.
pub fn tables(run: &RunRecord) -> Result<Vec<(&'static str, Vec<RecordBatch>)>, ArrowError> {
    Ok(vec![
        ("runs", vec![runs(run)?]),
        ("streams", vec![streams(run)?]),
        ("checks", vec![checks(run)?]),
        ("windows", by_stream(run, |stream| Ok(stream.windows.clone()), &[])?),
        ("spans", by_stream(run, |stream| Ok(stream.spans.clone()), &[])?),
        ("gaps", by_stream(run, |stream| Ok(vec![stream.gaps.clone()]), &["judged"])?),
        ("seams", by_stream(run, |stream| Ok(vec![stream.seams.clone()]), &[])?),
        ("incidents", by_stream(run, |stream| Ok(vec![incidents_batch(&stream.incidents)?]), &[])?),
        ("diagnoses", by_stream(run, |stream| Ok(vec![diagnoses_batch(&stream.diagnoses)?]), &[])?),
    ])
}

fn runs(run: &RunRecord) -> Result<RecordBatch, ArrowError> {
    batch(vec![
        ("job", text([run.job.as_ref()])),
        ("started_at", start([Some(run.started)])),
        ("finished_at", start([Some(run.finished)])),
        ("verdict", text([Some(run.verdict.as_str())])),
        ("exit_code", small([Some(i32::from(run.exit_code))])),
        ("version", text([Some(&run.version)])),
        ("options", text([Some(run.options.to_string())])),
    ])
}

fn streams(run: &RunRecord) -> Result<RecordBatch, ArrowError> {
    let of = run.streams.iter();
    let side = |stream: &StreamRecord, side: Side| stream.sides.iter().find(|record| record.side == side).cloned();
    macro_rules! counted {
        ($field:ident) => {
            count(of.clone().map(|stream| stream.counts.$field))
        };
    }
    batch(vec![
        ("stream", text(of.clone().map(|stream| Some(&stream.name)))),
        ("mode", text(of.clone().map(|stream| Some(stream.mode.as_str())))),
        ("verdict", text(of.clone().map(|stream| Some(stream.verdict.as_str())))),
        ("reason", text(of.clone().map(|stream| Some(&stream.reason)))),
        ("original_source", text(of.clone().map(|stream| side(stream, Side::Original).map(|s| s.source)))),
        ("backfill_source", text(of.clone().map(|stream| side(stream, Side::Backfill).map(|s| s.source)))),
        ("original_rows", counted!(original_rows)),
        ("backfill_rows", counted!(backfill_rows)),
        ("original_rows_read", count(of.clone().map(|stream| side(stream, Side::Original).and_then(|s| s.rows_read)))),
        ("backfill_rows_read", count(of.clone().map(|stream| side(stream, Side::Backfill).and_then(|s| s.rows_read)))),
        ("original_bytes", count(of.clone().map(|stream| side(stream, Side::Original).map(|s| s.bytes)))),
        ("backfill_bytes", count(of.clone().map(|stream| side(stream, Side::Backfill).map(|s| s.bytes)))),
        ("bounds_from", start(of.clone().map(|stream| stream.bounds.from))),
        ("bounds_until", end(of.clone().map(|stream| stream.bounds.until))),
        ("bounds_kind", text(of.clone().map(|stream| Some(stream.bounds_kind)))),
        ("window", text(of.clone().map(|stream| stream.window.as_ref()))),
        ("matched_keys", counted!(matched_keys)),
        ("missing_keys", counted!(missing_keys)),
        ("unexpected_keys", counted!(unexpected_keys)),
        ("mismatched_keys", counted!(mismatched_keys)),
        ("duplicate_keys", counted!(duplicate_keys)),
        ("surplus_rows", counted!(surplus_rows)),
        ("missing_rows", counted!(missing_rows)),
        ("unexpected_rows", counted!(unexpected_rows)),
        ("gaps", counted!(gaps)),
        ("sequence_gaps", counted!(sequence_gaps)),
        ("violations", counted!(violations)),
        ("checksum", text(of.clone().map(|stream| Some(&stream.checksum)))),
        ("original_checksum", text(of.clone().map(|stream| side(stream, Side::Original).and_then(|s| s.checksum)))),
        ("backfill_checksum", text(of.clone().map(|stream| side(stream, Side::Backfill).and_then(|s| s.checksum)))),
        ("original_digest", text(of.clone().map(|stream| side(stream, Side::Original).and_then(|s| s.digest)))),
        ("backfill_digest", text(of.map(|stream| side(stream, Side::Backfill).and_then(|s| s.digest)))),
    ])
}

fn checks(run: &RunRecord) -> Result<RecordBatch, ArrowError> {
    let of = run.streams.iter().flat_map(|stream| stream.checks.iter().map(move |check| (stream, check)));
    batch(vec![
        ("stream", text(of.clone().map(|(stream, _)| Some(&stream.name)))),
        ("check", text(of.clone().map(|(_, check)| Some(&check.check)))),
        ("severity", text(of.clone().map(|(_, check)| Some(check.severity.as_str())))),
        ("status", text(of.clone().map(|(_, check)| Some(check.status.as_str())))),
        ("reason", text(of.clone().map(|(_, check)| check.reason.as_ref()))),
        ("findings", count(of.clone().map(|(_, check)| Some(check.findings)))),
        ("duration_ms", double(of.map(|(_, check)| Some(check.duration_ms)))),
    ])
}

/// The batches of all streams under one another, with the stream in front and inner columns left out.
fn by_stream(
    run: &RunRecord,
    of: fn(&StreamRecord) -> Result<Vec<RecordBatch>, ArrowError>,
    inner: &[&str],
) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut batches = Vec::new();
    for (stream, own) in run.streams.iter().flat_map(|stream| each(of(stream)).map(move |own| (stream, own))) {
        let own = own?;
        let names: ArrayRef = Arc::new(StringArray::from(vec![stream.name.as_str(); own.num_rows()]));
        let mut fields = vec![Arc::new(Field::new("stream", names.data_type().clone(), true))];
        let mut columns = vec![names];
        for (field, column) in own.schema().fields().iter().zip(own.columns()) {
            if !inner.contains(&field.name().as_str()) {
                fields.push(field.clone());
                columns.push(column.clone());
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(own.num_rows()));
        batches.push(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?);
    }
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(Arc::new(Schema::empty())));
    }
    Ok(batches)
}

/// The parts of a table, or why there are none.
fn each(parts: Result<Vec<RecordBatch>, ArrowError>) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
    let (parts, wrong) = match parts {
        Ok(parts) => (parts, None),
        Err(wrong) => (Vec::new(), Some(Err(wrong))),
    };
    parts.into_iter().map(Ok).chain(wrong)
}
