//! What the footers of Parquet files tell before anything is decoded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{Compression, Type};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;

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
    /// About how long decompression takes, in tenths of a nanosecond.
    fn cost(&self) -> u64 {
        let columns = self.metadata.row_groups().iter().flat_map(|group| group.columns());
        let cost = columns.map(|column| {
            let a_byte = match column.compression() {
                Compression::UNCOMPRESSED => 1,
                Compression::SNAPPY | Compression::LZ4 | Compression::LZ4_RAW => 5,
                Compression::ZSTD(_) => 12,
                _ => 30,
            };
            u64::try_from(column.uncompressed_size()).unwrap_or(0).saturating_mul(a_byte)
        });
        cost.fold(0, u64::saturating_add)
    }

    /// Rows that the file says it holds.
    pub(super) fn rows(&self) -> u64 {
        self.metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum()
    }
}

/// Where the row groups of a side's files begin.
#[derive(Debug)]
pub(super) struct RowGroups {
    groups: Vec<RowGroup>,
    /// For each column of whole numbers, by its name in the files, the least stored value of each row group.
    least: HashMap<String, Vec<Option<i64>>>,
    /// About how long decompression takes, in tenths of a nanosecond.
    pub(super) cost: u64,
}

#[derive(Debug)]
struct RowGroup {
    file: Path,
    /// Where its first page begins, which is what the scan goes by.
    offset: i64,
    rows: u64,
}

/// Row groups × columns whose least values are remembered at most.
const MOST_LEAST: usize = 1 << 20;

/// A stretch of files: in each the row groups that begin in `[from, until)`.
pub(super) type Stretch = Vec<(Path, i64, i64)>;

impl RowGroups {
    /// Of all files; `None` where there are too many.
    pub(super) fn new(table: &FilesTable, footers: &[Footer]) -> Option<Self> {
        let mut groups = Vec::new();
        let mut least: HashMap<String, Vec<Option<i64>>> = HashMap::new();
        for (footer, (meta, _)) in footers.iter().zip(&table.files) {
            for group in footer.metadata.row_groups() {
                let first = group.columns().first()?;
                let offset = first.dictionary_page_offset().unwrap_or_else(|| first.data_page_offset());
                for column in group.columns() {
                    let [name] = column.column_path().parts() else { continue };
                    let known = match column.statistics() {
                        Some(Statistics::Int32(of)) => of.min_opt().map(|least| i64::from(*least)),
                        Some(Statistics::Int64(of)) => of.min_opt().copied(),
                        _ => continue,
                    };
                    let all = least.entry(name.clone()).or_default();
                    all.resize(groups.len(), None);
                    all.push(known);
                }
                groups.push(RowGroup { file: meta.location.clone(), offset, rows: u64::try_from(group.num_rows()).unwrap_or(0) });
                if groups.len() * least.len().max(1) > MOST_LEAST {
                    return None;
                }
            }
        }
        least.retain(|_, all| all.len() == groups.len());
        Some(Self { groups, least, cost: footers.iter().map(Footer::cost).fold(0, u64::saturating_add) })
    }

    /// The least values of a column, if they rise from row group to row group nearly everywhere.
    fn rising(&self, column: &str) -> Option<Vec<i64>> {
        let least = self.least.get(column)?.iter().copied().collect::<Option<Vec<i64>>>()?;
        let falls = least.windows(2).filter(|pair| pair[1] < pair[0]).count();
        (falls * 20 <= least.len()).then_some(least)
    }

    /// The first row group of each part but the first, so that all parts have about equally many rows.
    fn even(&self, parts: usize) -> Vec<usize> {
        let rows: u64 = self.groups.iter().map(|group| group.rows).sum();
        let mut cuts = Vec::new();
        let mut before = 0;
        for (at, group) in self.groups.iter().enumerate() {
            if before >= rows * (cuts.len() as u64 + 1) / parts as u64 && cuts.len() + 1 < parts {
                cuts.push(at);
            }
            before += group.rows;
        }
        cuts
    }

    /// The parts between some row groups, as stretches of the files.
    fn stretches(&self, cuts: &[usize]) -> Vec<Stretch> {
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain(std::iter::once(self.groups.len()));
        starts
            .zip(ends)
            .map(|(from, until)| {
                let mut stretch: Stretch = Vec::new();
                for group in &self.groups[from..until.max(from)] {
                    match stretch.last_mut() {
                        Some((file, _, end)) if *file == group.file => *end = group.offset + 1,
                        _ => stretch.push((group.file.clone(), group.offset, group.offset + 1)),
                    }
                }
                stretch
            })
            .collect()
    }
}

/// Both sides in so many parts, cut where a column that rises on both has about the same value, so that the parts of a number hold the
/// same stretch. `None` where the files do not tell. A cut that is off costs time, nothing else.
pub(super) fn cut_alike(one: (&RowGroups, &str), other: (&RowGroups, &str), parts: usize) -> Option<[Vec<Stretch>; 2]> {
    let (least, others) = (one.0.rising(one.1)?, other.0.rising(other.1)?);
    let cuts = one.0.even(parts);
    let mut matching: Vec<usize> = Vec::new();
    for cut in &cuts {
        let value = least.get(*cut)?;
        let after = others.partition_point(|least| least < value);
        let distance = |at: usize| others.get(at).map(|least| (i128::from(*least) - i128::from(*value)).abs());
        let nearest = match (after.checked_sub(1).and_then(distance), distance(after)) {
            (Some(before), Some(behind)) if before < behind => after - 1,
            (Some(_), None) => after,
            _ => after,
        };
        matching.push(nearest.max(matching.last().copied().unwrap_or(0)));
    }
    Some([one.0.stretches(&cuts), other.0.stretches(&matching)])
}

/// Columns that cannot hold NULL in any of the files. Not every writer says of such a column that it counts no NULLs.
pub(super) fn never_null(footers: &[Footer]) -> BTreeSet<String> {
    let of = |footer: &Footer| -> BTreeSet<String> {
        let columns = footer.metadata.file_metadata().schema_descr().columns();
        let required = columns.iter().filter(|column| column.max_def_level() == 0 && column.path().parts().len() == 1);
        required.map(|column| column.name().to_string()).collect()
    };
    footers.iter().map(of).reduce(|all, one| all.intersection(&one).cloned().collect()).unwrap_or_default()
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
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if dictionaries && repeats.contains(field.name()) => {
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
