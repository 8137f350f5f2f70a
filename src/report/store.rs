//! The report directory: `run=<id>/<table>.parquet` and `run=<id>/run.json`, each run whole or not there at all.

use std::path::{Path, PathBuf};

use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{summary, tables};
use crate::error::{Error, Result};
use crate::findings::{BatchIter, RunRecord, finding_counts_schema, findings_batch};

/// The file that says that a directory is ours.
const MARKER: &str = ".gapless-report";

/// Where a run was stored.
#[derive(Debug, Clone)]
pub struct StoredRun {
    /// The report directory as it was named.
    pub directory: PathBuf,
    /// The run's own directory inside it.
    pub run: PathBuf,
}

/// Makes sure that reports can be written to a directory, before anything is read.
///
/// # Errors
/// It is a file, not ours, or cannot be written to.
pub fn prepare(directory: &Path) -> Result<()> {
    let wrong = |problem: String, help: &str| Error::Report { path: directory.display().to_string(), problem, help: help.to_string() };
    let elsewhere = "choose another directory with --report";
    if directory.to_string_lossy().contains("://") {
        return Err(wrong(
            "is a URL, and reports are written to local directories".to_string(),
            "name a directory, and copy it afterwards",
        ));
    }
    if directory.exists() {
        if !directory.is_dir() {
            return Err(wrong("is a file".to_string(), elsewhere));
        }
        let entries = std::fs::read_dir(directory).map_err(|e| wrong(format!("cannot be read: {e}"), elsewhere))?;
        let mut ours = false;
        let mut foreign = None;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == MARKER || name.starts_with("run=") {
                ours = true;
            } else {
                foreign = foreign.or(Some(name));
            }
        }
        if let (false, Some(name)) = (ours, foreign) {
            return Err(wrong(format!("is not a report directory of gapless: it holds '{name}'"), elsewhere));
        }
        probe(directory).map_err(|e| wrong(format!("cannot be written to: {}", e.kind()), elsewhere))
    } else {
        // It is made when there is a run to put into it, so that an error before leaves nothing behind.
        let parent = directory.ancestors().skip(1).find(|parent| parent.as_os_str().is_empty() || parent.exists());
        let parent = parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !parent.is_dir() {
            return Err(wrong(format!("cannot be made: '{}' is a file", parent.display()), elsewhere));
        }
        probe(parent).map_err(|e| wrong(format!("cannot be made: '{}' cannot be written to ({})", parent.display(), e.kind()), elsewhere))
    }
}

/// Whether a directory can be written to is best found out by writing.
fn probe(directory: &Path) -> std::io::Result<()> {
    tempfile::tempfile_in(directory).map(drop)
}

/// Writes a run beside the others and moves it into place in one step.
///
/// # Errors
/// A file could not be written; then nothing is left behind.
pub fn store(directory: &Path, run: &RunRecord) -> Result<StoredRun> {
    let target = directory.join(format!("run={}", run.id));
    let failed = |path: &Path, problem: String| Error::Output { path: path.display().to_string(), problem };
    std::fs::create_dir_all(directory).map_err(|e| failed(directory, e.to_string()))?;
    let marker = directory.join(MARKER);
    if !marker.exists() {
        std::fs::write(&marker, "Reports of gapless. Each run=<id>/ is one run; query them with `gapless sql --report DIR`.\n")
            .map_err(|e| failed(&marker, e.to_string()))?;
    }
    // The name starts with a dot: what is not finished is not a run.
    let staged = tempfile::Builder::new().prefix(".unfinished-").tempdir_in(directory).map_err(|e| failed(directory, e.to_string()))?;
    let stored = StoredRun { directory: directory.to_path_buf(), run: target.clone() };
    for (name, parts) in tables(run).map_err(|e| failed(directory, e.to_string()))? {
        let path = staged.path().join(format!("{name}.parquet"));
        let Some(schema) = parts.first().map(RecordBatch::schema) else { continue };
        write_parquet(&path, &schema, evenly(&schema, parts)).map_err(|problem| failed(&path, problem))?;
    }
    // These two may be long, so that they go by batch by batch.
    let lists = run.streams.iter().map(|stream| &stream.findings);
    let path = staged.path().join("findings.parquet");
    let schema = findings_batch(std::iter::empty()).map_err(|e| failed(&path, e.to_string()))?.schema();
    write_parquet(&path, &schema, lists.clone().flat_map(|list| each(list.batches()))).map_err(|problem| failed(&path, problem))?;
    let path = staged.path().join("finding_counts.parquet");
    let schema = finding_counts_schema().map_err(|e| failed(&path, e.to_string()))?;
    write_parquet(&path, &schema, lists.flat_map(|list| each(list.counts()))).map_err(|problem| failed(&path, problem))?;
    let path = staged.path().join("run.json");
    let json = serde_json::to_string_pretty(&summary(run, Some(&stored))).map_err(|e| failed(&path, e.to_string()))?;
    write_synced(&path, json.as_bytes()).map_err(|e| failed(&path, e.to_string()))?;
    let staged = staged.keep();
    set_readable(&staged);
    std::fs::rename(&staged, &target).map_err(|e| {
        let _ = std::fs::remove_dir_all(&staged);
        failed(&target, e.to_string())
    })?;
    Ok(stored)
}

/// Temporary directories are private to their maker; a report is not.
#[cfg(unix)]
fn set_readable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
}

#[cfg(not(unix))]
fn set_readable(_: &Path) {}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Batches that may not even be there to begin with.
fn each(batches: Result<BatchIter<'_>>) -> BatchIter<'_> {
    batches.unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
}

/// Rows of a group: few enough that a group is written from little memory, and that a reader can pass over what it does not want.
const ROWS_A_GROUP: usize = 1 << 17;

/// Rows of a table that are handed on at a time.
const ROWS_AT_A_TIME: usize = 1 << 13;

/// The rows of a table in batches of one length, so that the bytes of its file do not tell in which parts it came.
fn evenly(schema: &SchemaRef, parts: Vec<RecordBatch>) -> impl Iterator<Item = Result<RecordBatch>> {
    let mut coalescer = BatchCoalescer::new(schema.clone(), ROWS_AT_A_TIME);
    let mut parts = parts.into_iter();
    let mut finished = false;
    let wrong = |e: arrow::error::ArrowError| Error::engine("writing a table")(e.into());
    std::iter::from_fn(move || {
        loop {
            if let Some(batch) = coalescer.next_completed_batch() {
                return Some(Ok(batch));
            }
            match parts.next() {
                Some(part) => {
                    if let Err(e) = coalescer.push_batch(part) {
                        return Some(Err(wrong(e)));
                    }
                }
                None if finished => return None,
                None => {
                    finished = true;
                    if let Err(e) = coalescer.finish_buffered_batch() {
                        return Some(Err(wrong(e)));
                    }
                }
            }
        }
    })
}

fn write_parquet(path: &Path, schema: &SchemaRef, batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<(), String> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(|e| e.to_string())?))
        .set_created_by("gapless".to_string())
        .set_max_row_group_row_count(Some(ROWS_A_GROUP))
        .build();
    let file = std::fs::File::create(path).map_err(|e| e.to_string())?;
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(|e| e.to_string())?;
    for batch in batches {
        let batch = batch.map_err(|e| e.to_string())?;
        if batch.num_rows() > 0 {
            writer.write(&batch).map_err(|e| e.to_string())?;
        }
    }
    let file = writer.into_inner().map_err(|e| e.to_string())?;
    file.sync_all().map_err(|e| e.to_string())
}
