//! CSV as streams of text columns.
//!
//! The query engine's own CSV scan reads every empty cell as NULL and does not let that be changed, so that `''` and
//! NULL could not be told apart. Here Arrow's reader is told what stands for NULL. Columns stay text: what they could
//! be is judged over all of their values, later.

use std::io::{BufReader, Error as IoError, ErrorKind, Read, Result as IoResult};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use object_store::{ObjectMeta, ObjectStore};
use regex::Regex;

use super::listing::Compression;
use super::opening::{open, unpacked};
use crate::job::SideSpec;

/// How the files of a side are read.
#[derive(Debug, Clone)]
pub(super) struct CsvReading {
    delimiter: u8,
    header: bool,
    nulls: Regex,
    compression: Compression,
}

impl CsvReading {
    /// As a side's options say.
    pub(super) fn new(spec: &SideSpec, compression: Compression) -> Result<Self, String> {
        let alternatives: Vec<String> = spec.null_values.iter().map(|value| regex::escape(value)).collect();
        let nulls = Regex::new(&format!("^(?:{})$", alternatives.join("|"))).map_err(|e| e.to_string())?;
        Ok(Self { delimiter: spec.delimiter, header: spec.header, nulls, compression })
    }

    /// The columns of one file, all text: from its header, or `column_1` and so on from its first row.
    pub(super) async fn schema(&self, store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> Result<Schema, String> {
        let reader = open(store, meta).await.map_err(|e| e.to_string())?;
        let reader = unpacked(reader, self.compression).map_err(|e| e.to_string())?;
        let format = Format::default().with_header(self.header).with_delimiter(self.delimiter);
        let looked = if self.header { 0 } else { 1 };
        let (schema, _) = format.infer_schema(BufReader::new(reader), Some(looked)).map_err(|e| e.to_string())?;
        let fields: Vec<Field> = schema.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect();
        if fields.is_empty() {
            return Err("it has no header and no rows".to_string());
        }
        Ok(Schema::new(fields))
    }
}

/// Some files of a side, one after the other.
#[derive(Debug)]
pub(super) struct CsvPartition {
    pub(super) reading: CsvReading,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) file_schema: SchemaRef,
    pub(super) table_schema: SchemaRef,
    pub(super) files: Vec<(ObjectMeta, Vec<ScalarValue>)>,
}

impl PartitionStream for CsvPartition {
    fn schema(&self) -> &SchemaRef {
        &self.table_schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(self.table_schema.clone(), 2);
        let rows = context.session_config().batch_size();
        let (files, sender) = (self.files.clone(), builder.tx());
        let (reading, store) = (self.reading.clone(), self.store.clone());
        let (file_schema, table_schema) = (self.file_schema.clone(), self.table_schema.clone());
        builder.spawn(async move {
            for (meta, values) in files {
                let reader = open(&store, &meta).await?;
                let (reading, sender) = (reading.clone(), sender.clone());
                let (file_schema, table_schema) = (file_schema.clone(), table_schema.clone());
                let work = tokio::task::spawn_blocking(move || -> Result<()> {
                    let reader = unpacked(reader, reading.compression)?;
                    let batches = ReaderBuilder::new(file_schema)
                        .with_header(reading.header)
                        .with_delimiter(reading.delimiter)
                        .with_null_regex(reading.nulls)
                        .with_batch_size(rows)
                        .build_buffered(BufReader::with_capacity(1 << 16, Quotes::new(reader, reading.delimiter)))?;
                    for batch in batches {
                        let whole = with_partition_values(&batch?, &values, &table_schema)?;
                        if sender.blocking_send(Ok(whole)).is_err() {
                            // Nobody wants more.
                            return Ok(());
                        }
                    }
                    Ok(())
                });
                work.await.map_err(|e| DataFusionError::Execution(format!("the decoder gave up on damaged data ({e})")))??;
            }
            Ok(())
        });
        builder.build()
    }
}

/// The rows of a file beside the values of its partition directories.
fn with_partition_values(batch: &RecordBatch, values: &[ScalarValue], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for value in values {
        columns.push(value.to_array_of_size(batch.num_rows())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// Watches the quotes go by. The parser takes a quote that is never closed, or text behind one that is, as it comes,
/// and an upload that broke off inside a quoted value would look whole.
struct Quotes<R> {
    inner: R,
    delimiter: u8,
    place: Place,
    line: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    FieldStart,
    Plain,
    Quoted {
        since: u64,
    },
    /// Behind a quote inside a quoted value: the end of it, or the first half of a doubled one.
    Behind {
        since: u64,
    },
}

impl<R: Read> Quotes<R> {
    fn new(inner: R, delimiter: u8) -> Self {
        Self { inner, delimiter, place: Place::FieldStart, line: 1 }
    }

    fn step(&mut self, byte: u8) -> IoResult<()> {
        let ends = byte == self.delimiter || byte == b'\n' || byte == b'\r';
        self.place = match (self.place, byte) {
            (Place::FieldStart, b'"') => Place::Quoted { since: self.line },
            (Place::Quoted { since }, b'"') => Place::Behind { since },
            (Place::Behind { since }, b'"') => Place::Quoted { since },
            (Place::Quoted { since }, _) => Place::Quoted { since },
            (Place::FieldStart | Place::Plain | Place::Behind { .. }, _) if ends => Place::FieldStart,
            (Place::Behind { since }, _) => {
                let text = format!("line {since}: text stands behind the closing quote of a value");
                return Err(IoError::new(ErrorKind::InvalidData, text));
            }
            (Place::FieldStart | Place::Plain, _) => Place::Plain,
        };
        self.line += u64::from(byte == b'\n');
        Ok(())
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        let count = self.inner.read(into)?;
        for &byte in into.get(..count).unwrap_or_default() {
            self.step(byte)?;
        }
        if let (0, false, Place::Quoted { since }) = (count, into.is_empty(), self.place) {
            let text = format!("line {since}: a quote is opened and never closed");
            return Err(IoError::new(ErrorKind::InvalidData, text));
        }
        Ok(count)
    }
}
