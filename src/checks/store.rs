//! Rows waiting to be settled, in memory or on disk.
//!
//! While they fit, rows stay where they are. Once they do not, all of them go to temporary files, partitioned by the hash of
//! their key, so that all rows of a key lie in one file and each file fits in memory by itself. The files are gone
//! when the store is, and after a crash they lie in the directory for temporary files (`TMPDIR`).

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{cast, concat_batches, take, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::DataFusionError;
use tempfile::TempDir;

use crate::domain::{Fingerprint, Side};
use crate::error::{Error, Result};

/// Rows that are settled together at most, about, where all of them are in memory.
const ROWS_A_GROUP: usize = 1 << 15;
/// Files that are open at once at most.
const MOST_PARTITIONS: usize = 256;
/// What settling needs for each byte of a row: the row, its canonical form, and both as sortable bytes.
pub(super) const SETTLING: u64 = 5;

/// Rows of both sides, to be taken out again in groups that hold all rows of a key.
pub(super) struct Store {
    /// Bytes of rows that may be held in memory.
    room: u64,
    partitions: usize,
    held: Vec<Held>,
    bytes: u64,
    spilled: Option<Spilled>,
}

struct Held {
    side: Side,
    batch: RecordBatch,
    /// The high bits of each key's checksum.
    hashes: Vec<u32>,
}

struct Spilled {
    directory: TempDir,
    partitions: Vec<Partition>,
    buffered: u64,
}

#[derive(Default)]
struct Partition {
    buffer: Vec<(Side, RecordBatch)>,
    /// One file for each side: their types may differ. Streams, because in the file format a column has one dictionary for all batches.
    writers: [Option<StreamWriter<BufWriter<File>>>; 2],
}

/// The bytes that a batch's values take, without what its buffers hold beside them.
pub(super) fn bytes_of(batch: &RecordBatch) -> u64 {
    let sizes = batch.columns().iter().map(|column| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| data.get_array_memory_size()) as u64
    });
    sizes.sum::<u64>() + 16 * batch.num_rows() as u64
}

fn failed(what: &str, directory: &std::path::Path) -> impl Fn(String) -> Error {
    let (what, directory) = (what.to_string(), directory.display().to_string());
    move |problem| Error::SpillFailed { what: what.clone(), directory: directory.clone(), problem }
}

impl Store {
    /// For about so many rows of so many bytes, with a share of the memory budget.
    pub(super) fn new(rows: u64, row_bytes: u64, memory_bytes: u64) -> Self {
        let room = (memory_bytes / 3 / SETTLING).max(1);
        let expected = rows.saturating_mul(row_bytes);
        // Twice as many as needed on average, since hashes spread unevenly and estimates err.
        let partitions = usize::try_from(expected.saturating_mul(2) / room + 1).unwrap_or(MOST_PARTITIONS);
        Self { room, partitions: partitions.clamp(8, MOST_PARTITIONS), held: Vec::new(), bytes: 0, spilled: None }
    }

    /// Takes rows of a side, with the checksums of their keys.
    ///
    /// # Errors
    /// The rows had to go to disk, and could not.
    pub(super) fn push(&mut self, side: Side, batch: RecordBatch, keys: &[Fingerprint]) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let hashes = keys.iter().map(|key| (key >> 96) as u32).collect();
        let size = bytes_of(&batch);
        let held = Held { side, batch, hashes };
        if self.spilled.is_some() {
            return self.spill(held, size);
        }
        self.bytes += size;
        self.held.push(held);
        if self.bytes > self.room {
            let directory = tempfile::Builder::new()
                .prefix("gapless-")
                .tempdir()
                .map_err(|e| failed("making a directory", &std::env::temp_dir())(e.to_string()))?;
            let partitions = (0..self.partitions).map(|_| Partition::default()).collect();
            self.spilled = Some(Spilled { directory, partitions, buffered: 0 });
            for held in std::mem::take(&mut self.held) {
                let size = bytes_of(&held.batch);
                self.spill(held, size)?;
            }
        }
        Ok(())
    }

    fn spill(&mut self, held: Held, size: u64) -> Result<()> {
        let Some(spilled) = &mut self.spilled else { return Ok(()) };
        let count = spilled.partitions.len() as u32;
        let partition_of = |row: &u32| held.hashes.get(*row as usize).map_or(0, |hash| hash % count);
        let mut order: Vec<u32> = (0..u32::try_from(held.batch.num_rows()).unwrap_or(0)).collect();
        order.sort_unstable_by_key(|row| (partition_of(row), *row));
        let sorted = take_record_batch(&held.batch, &UInt32Array::from(order.clone())).map_err(|e| Error::engine("spilling")(e.into()))?;
        let mut start = 0;
        for group in order.chunk_by(|a, b| partition_of(a) == partition_of(b)) {
            let part = sorted.slice(start, group.len());
            start += group.len();
            if let Some(partition) = spilled.partitions.get_mut(partition_of(&group[0]) as usize) {
                partition.buffer.push((held.side, part));
            }
        }
        spilled.buffered += size;
        if spilled.buffered > self.room {
            spilled.write()?;
        }
        Ok(())
    }

    /// The groups, each to be loaded when its turn comes.
    ///
    /// # Errors
    /// What was left in memory could not be written behind the rest.
    pub(super) fn into_groups(mut self) -> Result<Groups> {
        if let Some(spilled) = &mut self.spilled {
            spilled.write()?;
            for partition in &mut spilled.partitions {
                for writer in partition.writers.iter_mut().flatten() {
                    writer.finish().map_err(|e| failed("writing", spilled.directory.path())(e.to_string()))?;
                }
            }
        }
        let rows: usize = self.held.iter().map(|held| held.hashes.len()).sum();
        let groups = rows.div_ceil(ROWS_A_GROUP).max(1);
        Ok(Groups { held: self.held, groups, spilled: self.spilled, next: 0 })
    }
}

impl Spilled {
    fn file(directory: &TempDir, partition: usize, side: Side) -> PathBuf {
        directory.path().join(format!("{partition}-{}.arrow", side.as_str()))
    }

    fn write(&mut self) -> Result<()> {
        let wrong = failed("writing", self.directory.path());
        for (at, partition) in self.partitions.iter_mut().enumerate() {
            for side in [Side::Original, Side::Backfill] {
                let parts: Vec<&RecordBatch> = partition.buffer.iter().filter(|(of, _)| *of == side).map(|(_, batch)| batch).collect();
                let Some(first) = parts.first() else { continue };
                let schema: SchemaRef = first.schema();
                let whole = concat_batches(&schema, parts).and_then(own_buffers).map_err(|e| Error::engine("spilling")(e.into()))?;
                let writer = match &mut partition.writers[side.index()] {
                    Some(writer) => writer,
                    none => {
                        let file = File::create(Self::file(&self.directory, at, side)).map_err(|e| wrong(e.to_string()))?;
                        let options = IpcWriteOptions::default()
                            .try_with_compression(Some(CompressionType::LZ4_FRAME))
                            .map_err(|e| wrong(e.to_string()))?;
                        let writer = StreamWriter::try_new_with_options(BufWriter::new(file), &schema, options);
                        none.insert(writer.map_err(|e| wrong(e.to_string()))?)
                    }
                };
                writer.write(&whole).map_err(|e| wrong(e.to_string()))?;
            }
            partition.buffer.clear();
        }
        self.buffered = 0;
        Ok(())
    }
}

/// Views with nothing behind them but what they show: of rows that were taken from others, all that those others held would stay, and
/// would be written to every file.
fn own_buffer(column: ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => column,
    }
}

fn own_buffers(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(batch.schema(), batch.columns().iter().cloned().map(own_buffer).collect())
}

/// The groups of a store, one after another.
pub(super) struct Groups {
    held: Vec<Held>,
    /// How many groups are made of what is held.
    groups: usize,
    spilled: Option<Spilled>,
    next: usize,
}

impl Groups {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.spilled.as_ref().map_or(self.groups, |spilled| spilled.partitions.len())
    }

    /// Whether they come from disk.
    pub(super) fn is_spilled(&self) -> bool {
        self.spilled.is_some()
    }

    /// The rows of the next group; `None` after the last.
    ///
    /// # Errors
    /// A temporary file could not be read back.
    pub(super) fn next(&mut self) -> Result<Option<Vec<(Side, RecordBatch)>>> {
        let at = self.next;
        self.next += 1;
        let Some(spilled) = &mut self.spilled else { return self.held_group(at) };
        let Some(partition) = spilled.partitions.get_mut(at) else { return Ok(None) };
        let wrong = failed("reading back", spilled.directory.path());
        let mut rows = Vec::new();
        for side in [Side::Original, Side::Backfill] {
            if partition.writers[side.index()].take().is_none() {
                continue;
            }
            let path = Spilled::file(&spilled.directory, at, side);
            let file = File::open(&path).map_err(|e| wrong(e.to_string()))?;
            let reader = StreamReader::try_new_buffered(file, None).map_err(|e| wrong(e.to_string()))?;
            for batch in reader {
                rows.push((side, batch.map_err(|e: arrow::error::ArrowError| wrong(e.to_string()))?));
            }
            // A file that cannot be removed now goes with the directory.
            let _ = std::fs::remove_file(&path);
        }
        Ok(Some(rows))
    }
}

impl Groups {
    /// A group of what is held in memory: settling takes several times the room of the rows, so not all of them are settled at once.
    fn held_group(&mut self, at: usize) -> Result<Option<Vec<(Side, RecordBatch)>>> {
        if at >= self.groups {
            return Ok(None);
        }
        if self.groups == 1 {
            return Ok(Some(std::mem::take(&mut self.held).into_iter().map(|held| (held.side, held.batch)).collect()));
        }
        let mut rows = Vec::new();
        for held in &self.held {
            let chosen: Vec<u32> =
                (0_u32..).zip(&held.hashes).filter(|(_, hash)| **hash as usize % self.groups == at).map(|(row, _)| row).collect();
            if !chosen.is_empty() {
                let batch = take_record_batch(&held.batch, &UInt32Array::from(chosen)).map_err(|e| Error::engine("settling")(e.into()))?;
                rows.push((held.side, batch));
            }
        }
        Ok(Some(rows))
    }
}

/// An error of ours on its way through the engine.
pub(super) fn through_engine(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Rows in the types in which their side is shown, in buffers of their own: a decoder's are made for a whole row group.
pub(super) fn plain(batch: &RecordBatch, types: &Schema) -> Result<RecordBatch, DataFusionError> {
    let all = UInt32Array::from_iter_values(0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX));
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let shown = types.field_with_name(field.name())?;
        let column = own_buffer(take(column, &all, None)?);
        columns.push(if column.data_type() == shown.data_type() { column } else { cast(&column, shown.data_type())? });
        fields.push(Field::new(field.name(), shown.data_type().clone(), true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}
