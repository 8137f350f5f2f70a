//! A stored run, read back into the record that it was written from: so that any format can be made of it again, without the data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::history::RunEntry;
use super::store::StoredRun;
use crate::domain::{Bounds, Instant, Mode, Severity, Side, Verdict};
use crate::error::{Error, Result};
use crate::findings::{
    CheckRecord, CheckStatus, Counts, DiagnosisRecord, FindingList, FindingRows, IncidentRecord, Overview, PlannedRecord, Row, RunRecord,
    SideRecord, StageRecord, StreamRecord,
};

/// Reads a run with everything that its renderings need.
///
/// # Errors
/// A file of the run is missing, damaged, or of a version that is not known.
pub fn load(report: &Path, entry: &RunEntry) -> Result<(RunRecord, StoredRun)> {
    let stored = StoredRun { directory: report.to_path_buf(), run: report.join(format!("run={}", entry.id)) };
    let json = read_summary(&entry.directory)?;
    let wrong = |problem: &str| damaged(&entry.directory.join("run.json"), problem.to_string());
    if json["schema_version"] != 1 {
        return Err(wrong(&format!("has the schema version {}, and this gapless reads 1", json["schema_version"])));
    }
    let instant = |value: &Value| value.as_str().and_then(|text| Instant::parse(text).ok());
    let read = |name: &str| table(&entry.directory, name);
    let tables = Tables {
        windows: read("windows")?,
        spans: read("spans")?,
        gaps: read("gaps")?,
        seams: read("seams")?,
        incidents: read("incidents")?,
        diagnoses: read("diagnoses")?,
    };
    let streams = json["streams"].as_array().ok_or_else(|| wrong("lists no streams"))?;
    let mut findings = read_findings(&entry.directory, streams)?;
    let path = entry.directory.join("findings.parquet");
    let mut list = |name: &str| match findings.remove(name) {
        Some((first, overview)) => FindingList::stored(name, path.clone(), first, overview),
        None => FindingList::none(name),
    };
    let streams = streams
        .iter()
        .map(|stream| stream_of(stream, &mut list, &tables).ok_or_else(|| wrong("lacks a field of a stream")))
        .collect::<Result<Vec<_>>>()?;
    let text = |name: &str| json[name].as_str().map(str::to_string);
    let record = RunRecord {
        id: entry.id.clone(),
        job: text("job"),
        started: instant(&json["started_at"]).ok_or_else(|| wrong("has no time at which it started"))?,
        finished: instant(&json["finished_at"]).ok_or_else(|| wrong("has no time at which it finished"))?,
        verdict: json["verdict"].as_str().and_then(Verdict::parse).ok_or_else(|| wrong("has no verdict"))?,
        exit_code: json["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).ok_or_else(|| wrong("has no exit code"))?,
        baseline: text("baseline"),
        version: text("version").unwrap_or_default(),
        options: json["options"].clone(),
        streams,
    };
    Ok((record, stored))
}

fn damaged(path: &Path, problem: String) -> Error {
    Error::Report {
        path: path.display().to_string(),
        problem,
        help: "the run cannot be read back: remove its directory, or take it from a copy of the report".to_string(),
    }
}

/// The summary of a run.
pub(super) fn read_summary(run: &Path) -> Result<Value> {
    let path = run.join("run.json");
    let text = std::fs::read_to_string(&path).map_err(|e| damaged(&path, format!("cannot be read: {e}")))?;
    serde_json::from_str(&text).map_err(|e| damaged(&path, format!("is not JSON: {e}")))
}

/// A table of a run; without rows and columns where the run has no such file.
fn table(run: &Path, name: &str) -> Result<RecordBatch> {
    let mut batches = Vec::new();
    each_batch(run, name, |batch| {
        batches.push(batch);
        Ok(())
    })?;
    match batches.first() {
        Some(first) => concat_batches(&first.schema(), &batches).map_err(|e| damaged(&run.join(name), e.to_string())),
        None => Ok(RecordBatch::new_empty(Arc::new(Schema::empty()))),
    }
}

/// Hands out a table batch by batch, so that a long one is never in memory as a whole.
pub(super) fn each_batch(run: &Path, name: &str, mut take: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
    let path = run.join(format!("{name}.parquet"));
    if !path.exists() {
        return Ok(());
    }
    let wrong = |problem: String| damaged(&path, format!("cannot be read: {problem}"));
    let file = File::open(&path).map_err(|e| wrong(e.to_string()))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| wrong(e.to_string()))?;
    let reader = builder.with_batch_size(8_192).build().map_err(|e| wrong(e.to_string()))?;
    for batch in reader {
        take(batch.map_err(|e| wrong(e.to_string()))?)?;
    }
    Ok(())
}

/// The findings of each stream of a run: how many rows lie before them, and what there is of them. Those of a stream lie together, as
/// they were written.
fn read_findings(run: &Path, streams: &[Value]) -> Result<BTreeMap<String, (usize, Overview)>> {
    let mut found: BTreeMap<String, (usize, Overview)> = BTreeMap::new();
    let mut place = 0;
    each_batch(run, "findings", |batch| {
        for finding in FindingRows::new(&batch).findings() {
            let known = found.get_mut(&finding.stream);
            let (_, overview) = match known {
                Some(known) => known,
                None => {
                    let own = streams.iter().find(|stream| stream["name"] == finding.stream.as_str());
                    let bounds = own.map(|stream| bounds_of(&stream["bounds"])).unwrap_or_default();
                    found.entry(finding.stream.clone()).or_insert((place, Overview::new(bounds)))
                }
            };
            overview.add(&finding);
            place += 1;
        }
        Ok(())
    })?;
    Ok(found)
}

fn bounds_of(value: &Value) -> Bounds {
    let instant = |value: &Value| value.as_str().and_then(|text| Instant::parse(text).ok());
    Bounds { from: instant(&value["from"]), until: instant(&value["until"]) }
}

fn planned_of(value: &Value) -> Vec<PlannedRecord> {
    let one = |value: &Value| {
        let Bounds { from, until } = bounds_of(value);
        Some(PlannedRecord { from: from?, until: until?, reason: value["reason"].as_str().map(str::to_string) })
    };
    value.as_array().into_iter().flatten().filter_map(one).collect()
}

/// The rows of a table that belong to a stream, without the stream's name. They lie together, as they were written.
fn of_stream(table: &RecordBatch, stream: &str) -> RecordBatch {
    let Some(names) = table.column_by_name("stream").and_then(|column| column.as_string_opt::<i32>()) else {
        return RecordBatch::new_empty(Arc::new(Schema::empty()));
    };
    let first = (0..names.len()).find(|&row| names.value(row) == stream).unwrap_or(names.len());
    let many = (first..names.len()).take_while(|&row| names.value(row) == stream).count();
    let slice = table.slice(first, many);
    let kept: Vec<usize> = (0..slice.num_columns()).filter(|&at| slice.schema().field(at).name() != "stream").collect();
    let fields: Vec<_> = kept.iter().map(|&at| Arc::clone(&slice.schema().fields()[at])).collect();
    let columns = kept.iter().map(|&at| Arc::clone(slice.column(at))).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(slice.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .unwrap_or_else(|_| RecordBatch::new_empty(Arc::new(Schema::empty())))
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_string)).collect()
}

/// The tables of a run that are divided by stream.
struct Tables {
    windows: RecordBatch,
    spans: RecordBatch,
    gaps: RecordBatch,
    seams: RecordBatch,
    incidents: RecordBatch,
    diagnoses: RecordBatch,
}

fn stream_of(json: &Value, findings: &mut dyn FnMut(&str) -> FindingList, tables: &Tables) -> Option<StreamRecord> {
    let text = |value: &Value| value.as_str().map(str::to_string);
    let name = text(&json["name"])?;
    let findings = findings(&name);
    let Tables { windows, spans, gaps, seams, incidents, diagnoses } = tables;
    let [windows, spans, gaps, seams] = [windows, spans, gaps, seams].map(|table| of_stream(table, &name));
    let incidents = rows_of(&of_stream(incidents, &name), incident)?;
    let diagnoses = rows_of(&of_stream(diagnoses, &name), diagnosis)?;
    let mode = Mode::parse(json["mode"].as_str()?)?;
    let sides = Side::BOTH
        .into_iter()
        .filter_map(|side| {
            let own = json["sides"].get(side.as_str())?;
            Some(SideRecord {
                side,
                source: text(&own["source"]).unwrap_or_default(),
                format: text(&own["format"]).unwrap_or_default(),
                files: own["files"].as_u64().unwrap_or(0),
                bytes: own["bytes"].as_u64().unwrap_or(0),
                rows: own["rows"].as_u64(),
                rows_read: own["rows_read"].as_u64(),
                rows_outside: own["rows_outside"].as_u64(),
                checksum: text(&own["checksum"]),
                digest: text(&own["digest"]),
            })
        })
        .collect();
    let stages = json["stages"].as_array().into_iter().flatten().filter_map(|stage| {
        Some(StageRecord {
            name: text(&stage["stage"])?.into(),
            side: Side::BOTH.into_iter().find(|side| stage["side"] == side.as_str()),
            rows: stage["rows"].as_u64()?,
            bytes: stage["bytes"].as_u64()?,
            elapsed_ms: stage["elapsed_ms"].as_u64()?,
        })
    });
    let checks = json["checks"].as_array()?.iter().map(|check| {
        Some(CheckRecord {
            check: text(&check["check"])?,
            severity: Severity::parse(check["severity"].as_str()?)?,
            status: CheckStatus::parse(check["status"].as_str()?)?,
            reason: text(&check["reason"]),
            findings: check["findings"].as_u64()?,
            duration_ms: check["duration_ms"].as_f64().unwrap_or(0.0),
        })
    });
    let checks: Vec<CheckRecord> = checks.collect::<Option<_>>()?;
    let mut found: BTreeMap<(String, Severity), u64> = BTreeMap::new();
    match json["findings_by_check"].as_object() {
        Some(by_check) => {
            for (check, severities) in by_check {
                for (word, count) in severities.as_object()? {
                    found.insert((check.clone(), Severity::parse(word)?), count.as_u64()?);
                }
            }
        }
        // A run of an older version: what is listed is counted.
        None => findings
            .overview
            .tallies
            .iter()
            .for_each(|tally| *found.entry((tally.check.clone(), tally.severity)).or_default() += tally.findings),
    }
    let severities = json["findings_by_severity"].as_object()?;
    Some(StreamRecord {
        mode,
        verdict: Verdict::parse(json["verdict"].as_str()?)?,
        reason: text(&json["reason"])?,
        incomplete: texts(&json["incomplete"]),
        unstable: false,
        sides,
        stages: stages.collect(),
        bounds: bounds_of(&json["bounds"]),
        bounds_kind: ["given", "partly given", "inferred"].into_iter().find(|kind| json["bounds"]["kind"] == *kind).unwrap_or("none"),
        outage: json["outage"].is_object().then(|| bounds_of(&json["outage"])),
        maintenance: planned_of(&json["maintenance"]),
        window: text(&json["window"]["width"]),
        window_is_default: json["window"]["default"].as_bool().unwrap_or(true),
        time_zone: text(&json["window"]["time_zone"]).unwrap_or_default(),
        windows_judged: json["window"]["windows"].as_u64().unwrap_or(0),
        counts: Counts::from_named(|name| json["counts"][name].as_u64()),
        checks,
        findings,
        totals: json["findings"].as_object()?.iter().map(|(check, count)| (check.clone(), count.as_u64().unwrap_or(0))).collect(),
        found,
        by_severity: severities.iter().filter_map(|(word, count)| Some((Severity::parse(word)?, count.as_u64()?))).collect(),
        accepted: json["accepted"].as_u64().unwrap_or(0),
        known: json["known"].as_u64().unwrap_or(0),
        cut: texts(&json["cut"]),
        assumed: texts(&json["assumed"]),
        checksum: text(&json["checksum"]).unwrap_or_default(),
        windows: vec![windows],
        spans: vec![spans],
        gaps,
        seams,
        incidents,
        diagnoses,
        elapsed_ms: json["elapsed_ms"].as_u64().unwrap_or(0),
        name,
    })
}

fn rows_of<T>(batch: &RecordBatch, make: fn(&Row<'_>) -> Option<T>) -> Option<Vec<T>> {
    (0..batch.num_rows()).map(|row| make(&Row { batch, row })).collect()
}

/// A word of a public vocabulary, which lives as long as the program: each different one is kept once, and there are few.
fn word(text: &str) -> &'static str {
    static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    match words.get(text).copied() {
        Some(known) => known,
        None => {
            let kept: &'static str = Box::leak(text.to_string().into_boxed_str());
            words.insert(kept);
            kept
        }
    }
}

fn incident(row: &Row<'_>) -> Option<IncidentRecord> {
    let count = |name: &str| row.count(name).and_then(|count| u64::try_from(count).ok());
    Some(IncidentRecord {
        incident: count("incident")?,
        kind: word(row.text("kind")?),
        cause: word(row.text("cause")?),
        status: word(row.text("status")?),
        severity: Severity::parse(row.text("severity")?)?,
        side: word(row.text("side")?),
        scope: word(row.text("scope")?),
        class: row.text("class").map(word),
        from: row.time("from_time"),
        until: row.time("until_time"),
        from_sequence: row.sequence("from_sequence"),
        until_sequence: row.sequence("until_sequence"),
        series: count("series")?,
        series_total: count("series_total")?,
        series_list: row.text("series_list")?.to_string(),
        gaps: count("gaps")?,
        rows: count("rows"),
        rows_exact: row.claim("rows_exact"),
        message: row.text("message")?.to_string(),
    })
}

fn diagnosis(row: &Row<'_>) -> Option<DiagnosisRecord> {
    let count = |name: &str| row.count(name).and_then(|count| u64::try_from(count).ok());
    let text = |name: &str| row.text(name).map(str::to_string);
    Some(DiagnosisRecord {
        incident: count("incident")?,
        subject: word(row.text("subject")?),
        cause: word(row.text("cause")?),
        side: word(row.text("side")?),
        series: row.text("series").map(Into::into),
        column_name: text("column_name"),
        value: text("value"),
        file: text("file"),
        from: row.time("from_time"),
        until: row.time("until_time"),
        from_sequence: row.sequence("from_sequence"),
        until_sequence: row.sequence("until_sequence"),
        rows: count("rows"),
        of_rows: count("of_rows"),
        slice_rows: count("slice_rows"),
        total_rows: count("total_rows"),
        share: row.double("share"),
        lift: row.double("lift"),
        p_bound: row.double("p_bound"),
        evidence: row.text("evidence")?.into(),
    })
}

/// True where a type is one that [`Row`] reads; the tables use no other.
#[cfg(test)]
fn is_read(data_type: &arrow::datatypes::DataType) -> bool {
    use arrow::datatypes::DataType;
    matches!(data_type, DataType::Utf8 | DataType::Int64 | DataType::Boolean | DataType::Timestamp(_, _) | DataType::Decimal128(_, _))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_type_of_the_findings_is_read() {
        for field in crate::findings::finding_fields().unwrap() {
            assert!(super::is_read(field.data_type()), "{field:?}");
        }
    }
}
