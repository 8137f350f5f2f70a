//! Batches in the order in which they come, in memory while they fit, on disk once they do not.
//!
//! What is spilled lies in the directory for temporary files (`TMPDIR`), and is gone when the last reader is. Which of the two it was,
//! nobody who reads the batches can tell.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;
use tempfile::TempPath;

use crate::error::{Error, Result};

fn failed(what: &str) -> impl Fn(String) -> Error {
    let (what, directory) = (what.to_string(), std::env::temp_dir().display().to_string());
    move |problem| Error::SpillFailed { what: what.clone(), directory: directory.clone(), problem }
}

/// A file of batches under way.
struct Spilling {
    path: TempPath,
    writer: StreamWriter<BufWriter<File>>,
}

/// Takes batches of one schema.
#[derive(Default)]
pub(super) struct Spool {
    /// Bytes that may be held in memory.
    room: u64,
    held: Vec<RecordBatch>,
    bytes: u64,
    file: Option<Spilling>,
}

impl Spool {
    pub(super) fn new(room: u64) -> Self {
        Self { room, ..Self::default() }
    }

    /// Takes a batch.
    ///
    /// # Errors
    /// It had to go to disk, and could not.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.file.is_none() {
            self.bytes += batch.get_array_memory_size() as u64;
            self.held.push(batch);
            if self.bytes <= self.room {
                return Ok(());
            }
            return self.spill();
        }
        self.held.push(batch);
        self.spill()
    }

    fn spill(&mut self) -> Result<()> {
        let wrong = failed("writing");
        for batch in std::mem::take(&mut self.held) {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(open(&batch.schema())?),
            };
            file.writer.write(&batch).map_err(|e| wrong(e.to_string()))?;
        }
        Ok(())
    }

    /// All that was taken, to be read as often as is wanted.
    ///
    /// # Errors
    /// The end could not be written behind the rest.
    pub(super) fn finish(self) -> Result<Batches> {
        match self.file {
            None => Ok(Batches::Held(Arc::new(self.held))),
            Some(Spilling { path, mut writer }) => {
                writer.finish().map_err(|e| failed("writing")(e.to_string()))?;
                Ok(Batches::Spilled(Arc::new(path)))
            }
        }
    }
}

fn open(schema: &Schema) -> Result<Spilling> {
    let wrong = failed("making a file");
    let file = tempfile::Builder::new().prefix("gapless-").suffix(".arrow").tempfile().map_err(|e| wrong(e.to_string()))?;
    let (file, path) = file.into_parts();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).map_err(|e| wrong(e.to_string()))?;
    let writer = StreamWriter::try_new_with_options(BufWriter::new(file), schema, options).map_err(|e| wrong(e.to_string()))?;
    Ok(Spilling { path, writer })
}

/// Where columns stand in a table.
fn places(schema: &Schema, names: &[&str]) -> Vec<usize> {
    (0..schema.fields().len()).filter(|&place| names.contains(&schema.field(place).name().as_str())).collect()
}

/// Batches that were kept.
#[derive(Debug, Clone)]
pub(super) enum Batches {
    Held(Arc<Vec<RecordBatch>>),
    Spilled(Arc<TempPath>),
}

impl Default for Batches {
    fn default() -> Self {
        Self::Held(Arc::default())
    }
}

/// Batches, read one after another.
pub type BatchIter<'a> = Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>;

impl Batches {
    /// One after another; all of their columns, or those with these names, in the order of the table.
    ///
    /// # Errors
    /// What was spilled could not be opened.
    pub(super) fn iter(&self, columns: Option<&[&str]>) -> Result<BatchIter<'_>> {
        let places = match columns {
            Some(names) => {
                let schema = self.schema()?;
                Some(places(&schema, names))
            }
            None => None,
        };
        match self {
            Self::Held(batches) => {
                let some = move |batch: &RecordBatch| match &places {
                    Some(places) => batch.project(places).map_err(|e| Error::engine("reading the findings")(e.into())),
                    None => Ok(batch.clone()),
                };
                Ok(Box::new(batches.iter().map(some)))
            }
            Self::Spilled(path) => {
                let wrong = failed("reading back");
                let path: &Path = path;
                let file = File::open(path).map_err(|e| wrong(e.to_string()))?;
                let reader = StreamReader::try_new_buffered(file, places).map_err(|e| wrong(e.to_string()))?;
                Ok(Box::new(reader.map(move |batch| batch.map_err(|e| wrong(e.to_string())))))
            }
        }
    }

    fn schema(&self) -> Result<SchemaRef> {
        match self {
            Self::Held(batches) => Ok(batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema)),
            Self::Spilled(path) => {
                let wrong = failed("reading back");
                let path: &Path = path;
                let file = File::open(path).map_err(|e| wrong(e.to_string()))?;
                let reader = StreamReader::try_new(file, None).map_err(|e| wrong(e.to_string()))?;
                Ok(arrow::record_batch::RecordBatchReader::schema(&reader))
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_spilled(&self) -> bool {
        matches!(self, Self::Spilled(_))
    }
}
