//! What the footers of Parquet files tell before anything is decoded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::files_table::FilesTable;
use super::guarded::guarded;
use super::listing::FileFacts;

/// Bytes a value below which a column that is dictionary encoded throughout holds few distinct values.
const FEW: u64 = 2;

/// The footer of one file.
#[derive(Debug)]
pub(super) struct Footer {
    metadata: Arc<ParquetMetaData>,
    schema: SchemaRef,
}

impl Footer {
    /// Rows that the file says it holds.
    pub(super) fn rows(&self) -> u64 {
        self.metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum()
    }
}

/// The footers of all files; `None` if one cannot be read, which the scan will say better.
pub(super) async fn footers(files: &[FileFacts]) -> Option<Vec<Footer>> {
    let mut all = Vec::new();
    for file in files {
        let read = guarded(async {
            let external = |e: parquet::errors::ParquetError| DataFusionError::ParquetError(Box::new(e));
            let metadata = ParquetMetaDataReader::new().parse_and_finish(&File::open(&file.path)?).map_err(external)?;
            let metadata = Arc::new(metadata);
            let schema = ArrowReaderMetadata::try_new(metadata.clone(), ArrowReaderOptions::new()).map_err(external)?.schema().clone();
            Ok(Footer { metadata, schema })
        });
        all.push(read.await.ok()?);
    }
    Some(all)
}

/// The table of the same files with its columns decoded as views, dictionaries and narrow decimals; `None` where the files do not
/// let themselves be read so.
pub(super) fn compact(table: &FilesTable, footers: &[Footer]) -> Option<FilesTable> {
    let repeats = repeating_columns(footers);
    // From the most that helps to the least.
    for (dictionaries, decimals) in [(true, true), (false, true), (false, false)] {
        let target = |field: &Field| match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 if dictionaries && repeats.contains(field.name()) => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            DataType::Decimal128(precision @ ..=18, scale) if decimals => DataType::Decimal64(*precision, *scale),
            other => other.clone(),
        };
        let retyped = |schema: &Schema| {
            let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_data_type(target(field))).collect();
            Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
        };
        let mut decoded_as = HashMap::new();
        for (footer, (meta, _)) in footers.iter().zip(&table.files) {
            let schema = retyped(&footer.schema);
            let options = ArrowReaderOptions::new().with_schema(schema.clone());
            if ArrowReaderMetadata::try_new(footer.metadata.clone(), options).is_err() {
                break;
            }
            decoded_as.insert(meta.location.clone(), schema);
        }
        if decoded_as.len() == table.files.len() && footers.len() == table.files.len() {
            return Some(FilesTable { file_schema: retyped(&table.file_schema), decoded_as: Arc::new(decoded_as), ..table.clone() });
        }
    }
    None
}

/// Text columns that are dictionary encoded throughout and take next to no room.
fn repeating_columns(footers: &[Footer]) -> BTreeSet<String> {
    let mut known: BTreeMap<String, (bool, u64, u64)> = BTreeMap::new();
    for group in footers.iter().flat_map(|footer| footer.metadata.row_groups()) {
        for column in group.columns() {
            let path = column.column_path().parts();
            let [name] = path else { continue };
            let repeats = column.column_type() == Type::BYTE_ARRAY && column.dictionary_page_offset().is_some();
            let (all, bytes, values) = known.entry(name.clone()).or_insert((true, 0, 0));
            *all &= repeats;
            *bytes += u64::try_from(column.uncompressed_size()).unwrap_or(u64::MAX / 2);
            *values += u64::try_from(column.num_values()).unwrap_or(0);
        }
    }
    known.into_iter().filter(|(_, (all, bytes, values))| *all && *bytes < values.saturating_mul(FEW)).map(|(name, _)| name).collect()
}
