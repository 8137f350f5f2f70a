//! A side as files: any format, any split, any order.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::record_batch::RecordBatch;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::table::{Cell, Column, Kind, Row, Table};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Parquet {
        compression: Compression,
        row_group_rows: usize,
    },
    /// NULL is written as `null`: the empty cell, unless said.
    Csv {
        gzip: bool,
        null: &'static str,
    },
    Ndjson {
        omit_null: bool,
    },
    ArrowFile,
    ArrowStream,
}

impl Format {
    pub(crate) fn parquet() -> Self {
        Self::Parquet { compression: Compression::SNAPPY, row_group_rows: 1 << 20 }
    }

    /// Any Parquet that means the same.
    pub(crate) fn any_parquet(rng: &mut StdRng) -> Self {
        let compressions = [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default()), Compression::LZ4_RAW];
        Self::Parquet {
            compression: compressions[rng.random_range(0..compressions.len())],
            row_group_rows: [7, 64, 500, 1 << 20][rng.random_range(0..4)],
        }
    }

    /// Does the file say the types of its columns?
    pub(crate) fn is_typed(&self) -> bool {
        !matches!(self, Self::Csv { .. } | Self::Ndjson { .. })
    }

    /// Does the format tell the empty text from NULL, as it is written here?
    pub(crate) fn tells_empty_text(&self) -> bool {
        !matches!(self, Self::Csv { null: "", .. })
    }

    /// Can the format say NaN and infinities?
    pub(crate) fn tells_special_floats(&self) -> bool {
        self.is_typed()
    }

    /// What has to be said on the command line to read the files, as `key=value` of a side.
    pub(crate) fn side_options(&self) -> Vec<String> {
        match self {
            Self::Csv { null, .. } if !null.is_empty() => vec![format!("null_values={null}")],
            _ => Vec::new(),
        }
    }

    fn suffix(&self) -> &'static str {
        match self {
            Self::Parquet { .. } => "parquet",
            Self::Csv { gzip: false, .. } => "csv",
            Self::Csv { gzip: true, .. } => "csv.gz",
            Self::Ndjson { .. } => "ndjson",
            Self::ArrowFile => "arrow",
            Self::ArrowStream => "arrows",
        }
    }
}

/// How the rows of a side are laid out in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) format: Format,
    pub(crate) files: usize,
    /// Rows are permuted by this seed first; `None` keeps their order.
    pub(crate) order_seed: Option<u64>,
}

impl Layout {
    pub(crate) fn plain() -> Self {
        Self { format: Format::parquet(), files: 1, order_seed: None }
    }

    pub(crate) fn any_parquet(rng: &mut StdRng) -> Self {
        Self { format: Format::any_parquet(rng), files: rng.random_range(1..5), order_seed: Some(rng.random()) }
    }

    pub(crate) fn any(rng: &mut StdRng) -> Self {
        let format = match rng.random_range(0..8) {
            0 => Format::Csv { gzip: false, null: "" },
            1 => Format::Csv { gzip: true, null: "" },
            2 => Format::Csv { gzip: false, null: "\\N" },
            3 => Format::Ndjson { omit_null: rng.random_bool(0.5) },
            4 => Format::ArrowFile,
            5 => Format::ArrowStream,
            _ => Format::any_parquet(rng),
        };
        Self { format, ..Self::any_parquet(rng) }
    }
}

/// Writes the rows into `directory`, which is made. Every file has rows, unless the table has none.
pub(crate) fn write_side(directory: &Path, table: &Table, layout: &Layout) {
    fs::create_dir_all(directory).expect("the directory can be made");
    let mut rows = table.rows.clone();
    if let Some(seed) = layout.order_seed {
        rows.shuffle(&mut StdRng::seed_from_u64(seed));
    }
    let rows_a_file = rows.len().div_ceil(layout.files).max(1);
    let parts: Vec<&[Row]> = if rows.is_empty() { vec![&[]] } else { rows.chunks(rows_a_file).collect() };
    for (number, part) in parts.into_iter().enumerate() {
        let path = directory.join(format!("part-{number}.{}", layout.format.suffix()));
        write_file(&path, &table.columns, part, &layout.format);
    }
}

fn write_file(path: &Path, columns: &[Column], rows: &[Row], format: &Format) {
    let file = File::create(path).expect("the file can be made");
    match format {
        Format::Parquet { compression, row_group_rows } => {
            let batch = batch(columns, rows);
            let properties =
                WriterProperties::builder().set_compression(*compression).set_max_row_group_row_count(Some(*row_group_rows)).build();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
        Format::ArrowFile => {
            let batch = batch(columns, rows);
            let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
        }
        Format::ArrowStream => {
            let batch = batch(columns, rows);
            let mut writer = StreamWriter::try_new(file, &batch.schema()).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
        }
        Format::Csv { gzip, null } => {
            let text = csv(columns, rows, null);
            if *gzip {
                let mut encoder = GzEncoder::new(file, flate2::Compression::fast());
                encoder.write_all(text.as_bytes()).unwrap();
                encoder.finish().unwrap();
            } else {
                write_all(file, &text);
            }
        }
        Format::Ndjson { omit_null } => write_all(file, &ndjson(columns, rows, *omit_null)),
    }
}

fn write_all(mut file: File, text: &str) {
    file.write_all(text.as_bytes()).unwrap();
}

fn csv(columns: &[Column], rows: &[Row], null: &str) -> String {
    let mut text = columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",");
    text.push('\n');
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| match cell.plain() {
                None => null.to_owned(),
                Some(plain) if plain.is_empty() || plain.contains([',', '"', '\n', ' ']) => {
                    format!("\"{}\"", plain.replace('"', "\"\""))
                }
                Some(plain) => plain,
            })
            .collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

fn ndjson(columns: &[Column], rows: &[Row], omit_null: bool) -> String {
    let mut text = String::new();
    for row in rows {
        let fields: Vec<String> = columns
            .iter()
            .zip(row)
            .filter(|(_, cell)| !(omit_null && **cell == Cell::Null))
            .map(|(column, cell)| match cell {
                // A number, as an export from a database writes it.
                Cell::Decimal(_) => format!("\"{}\":{}", column.name, cell.plain().unwrap()),
                _ => format!("\"{}\":{}", column.name, cell.json()),
            })
            .collect();
        text.push_str(&format!("{{{}}}\n", fields.join(",")));
    }
    text
}

pub(crate) fn schema(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| {
            let data_type = match column.kind {
                Kind::Int64 => DataType::Int64,
                Kind::Int32 => DataType::Int32,
                Kind::Float64 => DataType::Float64,
                Kind::Decimal => DataType::Decimal128(12, 2),
                Kind::Bool => DataType::Boolean,
                Kind::Text => DataType::Utf8,
                Kind::Dictionary => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
                Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            };
            Field::new(column.name, data_type, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The types as `columns=…` says them, for sides whose files do not.
pub(crate) fn columns_option(columns: &[Column]) -> String {
    let types: Vec<String> = columns
        .iter()
        .map(|column| {
            let kind = match column.kind {
                Kind::Int64 => "int64",
                Kind::Int32 => "int32",
                Kind::Float64 => "float64",
                Kind::Decimal => "decimal(12,2)",
                Kind::Bool => "bool",
                Kind::Text | Kind::Dictionary => "text",
                Kind::Time => "timestamp",
            };
            format!("{}:{kind}", column.name)
        })
        .collect();
    format!("columns={}", types.join(","))
}

/// The rows as one record batch.
pub(crate) fn batch(columns: &[Column], rows: &[Row]) -> RecordBatch {
    let arrays: Vec<ArrayRef> =
        columns.iter().enumerate().map(|(at, column)| array(column.kind, rows.iter().map(|row| &row[at]))).collect();
    RecordBatch::try_new(schema(columns), arrays).expect("cells fit their columns")
}

fn array<'a>(kind: Kind, cells: impl Iterator<Item = &'a Cell>) -> ArrayRef {
    let texts = |cell: &'a Cell| match cell {
        Cell::Text(text) => Some(text.as_str()),
        _ => None,
    };
    match kind {
        Kind::Int64 => Arc::new(cells.map(Cell::int).collect::<Int64Array>()),
        Kind::Int32 => Arc::new(cells.map(|cell| cell.int().map(|value| i32::try_from(value).unwrap())).collect::<Int32Array>()),
        Kind::Float64 => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Float(real) => Some(real.0),
                    _ => None,
                })
                .collect::<Float64Array>(),
        ),
        Kind::Decimal => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Decimal(cents) => Some(i128::from(*cents)),
                    _ => None,
                })
                .collect::<Decimal128Array>()
                .with_precision_and_scale(12, 2)
                .unwrap(),
        ),
        Kind::Bool => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Bool(value) => Some(*value),
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
        Kind::Text => Arc::new(cells.map(texts).collect::<StringArray>()),
        Kind::Dictionary => Arc::new(cells.map(texts).collect::<DictionaryArray<Int32Type>>()),
        Kind::Time => Arc::new(cells.map(Cell::time_us).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
    }
}
