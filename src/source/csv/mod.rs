//! CSV: what its columns could be, and its rows in the types that they are to have.
//!
//! ```text
//! bytes ──► marks ──► cells of whole records ──┬──► what the values of each column could be   (`look`, once, when a side is opened)
//!                     (`records`)              └──► filter ──► values of the wanted columns   (`table`, in every pass)
//!                         └─ not regular ──► Arrow's reader, from the start of the file (`irregular`)
//! ```
//!
//! The query engine's own scan reads every empty cell as NULL and does not let that be changed, so that `''` and NULL could not be told
//! apart. And every pass over a CSV costs a parse of it, so parsing is what a comparison of such files takes its time for: here the
//! bytes that give a file its shape are found many at a time, cells are never copied unless they are text that somebody asked for, and a
//! value is made from the bytes of the file.

mod columns;
mod irregular;
mod look;
mod marks;
mod records;
mod stretches;
mod table;
#[cfg(test)]
mod tests;

use std::io::BufReader;
use std::sync::Arc;

use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema};
use object_store::{ObjectMeta, ObjectStore};

pub(super) use look::{Looked, look};
pub(super) use table::{CsvTable, Partition, Scan};

use super::listing::Compression;
use super::opening::{open, unpacked};
use crate::job::SideSpec;

/// How the files of a side are read.
#[derive(Debug, Clone)]
pub(super) struct CsvReading {
    delimiter: u8,
    header: bool,
    null_values: Vec<String>,
    compression: Compression,
}

impl CsvReading {
    /// As a side's options say.
    pub(super) fn new(spec: &SideSpec, compression: Compression) -> Self {
        Self { delimiter: spec.delimiter, header: spec.header, null_values: spec.null_values.clone(), compression }
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

/// Which texts stand for NULL.
#[derive(Debug, Clone)]
struct Nulls {
    empty: bool,
    others: Vec<String>,
}

impl Nulls {
    fn new(null_values: &[String]) -> Self {
        Self {
            // An empty list says as much as the empty text.
            empty: null_values.is_empty() || null_values.iter().any(String::is_empty),
            others: null_values.iter().filter(|value| !value.is_empty()).cloned().collect(),
        }
    }

    /// The text, where it does not.
    #[inline]
    fn value<'a>(&self, text: &'a str) -> Option<&'a str> {
        let is_null = if text.is_empty() { self.empty } else { !self.others.is_empty() && self.others.iter().any(|null| null == text) };
        (!is_null).then_some(text)
    }
}
