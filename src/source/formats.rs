//! What the files of a side hold: their schema, held equal over all of them, and what text columns could be.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::ObjectMeta;

use super::csv::{CsvReading, CsvTable, Looked, look};
use super::files_table::FilesTable;
use super::footers::{self, Footer, RowGroups, compact, footers};
use super::guarded::{Guard, describe_engine_error, guarded};
use super::guess::Traits;
use super::json_fields::{Fields, Scanned, starts_with_array};
use super::listing::{Compression, Listing};
use super::opening::{open, unpacked};
use super::{Discovered, StoredColumn, ipc_shape};
use crate::domain::Side;
use crate::error::{Error, Result};
use crate::job::{Format, SideSpec};

/// Finds the stored columns of a side.
pub(super) async fn discover(context: &SessionContext, side: Side, spec: &SideSpec, found: Listing) -> Result<Discovered> {
    let mut format = found.format;
    let unreadable = |index: usize, format: Format, problem: String| Error::Unreadable {
        side: side.to_string(),
        file: found.files.get(index).map_or_else(|| spec.path.clone(), |file| file.path.clone()),
        format: format.as_str().to_string(),
        problem,
    };
    if matches!(format, Format::ArrowFile | Format::ArrowStream) {
        for (index, meta) in found.objects.iter().enumerate() {
            let mut reader = open(&found.store, meta).await.map_err(|e| unreadable(index, format, e.to_string()))?;
            ipc_shape::check(&mut reader, meta.size).map_err(|problem| unreadable(index, format, problem))?;
        }
    }
    if matches!(format, Format::JsonArray | Format::JsonLines) {
        // Both go by .json in the field, so the first character decides; all files must agree.
        let mut arrays = Vec::new();
        for (index, meta) in found.objects.iter().enumerate() {
            let reader = open(&found.store, meta).await.map_err(|e| unreadable(index, format, e.to_string()))?;
            let array = starts_with_array(unpacked(reader, found.compression).map_err(|e| unreadable(index, format, e.to_string()))?);
            arrays.push(array.map_err(|e| unreadable(index, format, e.to_string()))?);
        }
        let first = arrays.first().copied().unwrap_or(false);
        if let Some(index) = arrays.iter().position(|array| *array != first) {
            let word = |array: bool| if array { "a JSON array" } else { "lines of JSON" };
            return Err(Error::FormatsMixed {
                side: side.to_string(),
                path: spec.path.clone(),
                first: found.files[0].path.clone(),
                first_format: word(first).to_string(),
                second: found.files[index].path.clone(),
                second_format: word(!first).to_string(),
            });
        }
        format = if first { Format::JsonArray } else { Format::JsonLines };
    }
    let reader = file_format(format, found.compression);
    let state = context.state();
    let json = if matches!(format, Format::JsonArray | Format::JsonLines) {
        Some(json_fields(&found, format).await.map_err(|(index, problem)| unreadable(index, format, problem))?)
    } else {
        None
    };

    let csv = match format {
        Format::Csv => Some(CsvReading::new(spec, found.compression)),
        _ => None,
    };

    // One schema a file, and all alike.
    let mut schema: Option<(usize, SchemaRef)> = None;
    if json.is_none() {
        for (index, meta) in found.objects.iter().enumerate() {
            let objects = std::slice::from_ref(meta);
            let inferred = match &csv {
                Some(csv) => csv.schema(&found.store, meta).await.map(Arc::new),
                None => guarded(reader.infer_schema(&state, &found.store, objects)).await.map_err(|e| describe_engine_error(&e)),
            };
            let inferred = inferred.map_err(|problem| unreadable(index, format, problem))?;
            let stripped = without_metadata(&inferred, format);
            match &schema {
                None => schema = Some((index, stripped)),
                Some((first, known)) => {
                    if let Some(difference) = difference(known, &stripped, format) {
                        return Err(Error::SchemasDisagree {
                            side: side.to_string(),
                            first: found.files[*first].path.clone(),
                            second: found.files[index].path.clone(),
                            difference,
                        });
                    }
                }
            }
        }
    }
    let mut quoted = Vec::new();
    let file_schema: SchemaRef = match (&json, schema) {
        (Some(fields), _) => {
            let (schema, text) = json_schema(&reader, context, &found, fields).await.map_err(|problem| unreadable(0, format, problem))?;
            quoted = text;
            schema
        }
        (None, Some((_, schema))) => schema,
        (None, None) => Arc::new(Schema::empty()),
    };
    for (index, field) in file_schema.fields().iter().enumerate() {
        if file_schema.fields()[..index].iter().any(|other| other.name() == field.name()) {
            return Err(unreadable(0, format, format!("the column '{}' is there twice", field.name())));
        }
    }
    let (partition_fields, partition_values) = partition_columns(&found, &file_schema, side)?;
    let mut table = FilesTable {
        store_url: found.store_url.clone(),
        format: reader,
        file_schema: file_schema.clone(),
        partition_fields,
        files: found.objects.iter().cloned().zip(partition_values).collect(),
        decoded_as: Arc::default(),
        in_order: false,
        stretches: None,
        csv: csv.map(|reading| CsvTable { reading, store: found.store.clone(), parse: Arc::default(), cuts: Arc::default() }),
    };
    let mut columns = stored_columns(spec, side, &table, format, &quoted)?;
    let looked = look_at_text(context, side, spec, &found, &mut table, &mut columns, format).await?;
    let mut never_null = std::collections::BTreeSet::new();
    let (file_rows, compact, row_groups) = match format {
        Format::Parquet => match footers(&found.files).await {
            Some(footers) => {
                never_null = footers::never_null(&footers);
                let rows = footers.iter().map(Footer::rows).collect::<Vec<_>>();
                (Some(rows), compact(&table, &footers), RowGroups::new(&table, &footers).map(Arc::new))
            }
            None => (None, None, None),
        },
        _ => (None, None, None),
    };
    let rows_hint = file_rows.as_ref().map(|rows| rows.iter().sum()).or(looked);
    Ok(Discovered {
        side,
        spec: spec.clone(),
        files: found.files,
        format,
        columns,
        table,
        compact,
        rows_hint,
        file_rows,
        row_groups,
        never_null,
    })
}

fn file_format(format: Format, compression: Compression) -> Arc<dyn FileFormat> {
    let compression = match compression {
        Compression::None => FileCompressionType::UNCOMPRESSED,
        Compression::Gzip => FileCompressionType::GZIP,
        Compression::Zstd => FileCompressionType::ZSTD,
    };
    match format {
        Format::Parquet => Arc::new(ParquetFormat::default().with_force_view_types(false)),
        // Only the plan's formalities come from here: CSV is read by `csv`.
        Format::Csv => Arc::new(CsvFormat::default()),
        Format::JsonLines | Format::JsonArray => Arc::new(
            JsonFormat::default()
                .with_newline_delimited(format == Format::JsonLines)
                .with_schema_infer_max_rec(usize::MAX)
                .with_file_compression_type(compression),
        ),
        Format::ArrowFile | Format::ArrowStream => Arc::new(ArrowFormat),
    }
}

/// Field metadata and nullability say nothing about values; a byte order mark is not part of a CSV's first name.
fn without_metadata(schema: &Schema, format: Format) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = if format == Format::Csv { DataType::Utf8 } else { field.data_type().clone() };
            Field::new(field.name(), data_type, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// In words, how the columns of two files differ.
fn difference(first: &Schema, second: &Schema, format: Format) -> Option<String> {
    if format == Format::Csv {
        // CSV columns are found by position, so their order counts.
        let names = |schema: &Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        let (a, b) = (names(first), names(second));
        return (a != b).then(|| format!("[{}] against [{}]", a.join(", "), b.join(", ")));
    }
    for field in first.fields() {
        match second.field_with_name(field.name()) {
            Err(_) => return Some(format!("the column '{}' is in one but not in the other", field.name())),
            Ok(other) if other.data_type() != field.data_type() => {
                return Some(format!(
                    "the column '{}' is {} in one and {} in the other",
                    field.name(),
                    field.data_type(),
                    other.data_type()
                ));
            }
            Ok(_) => {}
        }
    }
    second
        .fields()
        .iter()
        .find(|field| first.field_with_name(field.name()).is_err())
        .map(|field| format!("the column '{}' is in one but not in the other", field.name()))
}

async fn json_fields(found: &Listing, format: Format) -> Result<Fields, (usize, String)> {
    let mut fields = Fields::default();
    for (index, meta) in found.objects.iter().enumerate() {
        let reader = open(&found.store, meta).await.map_err(|e| (index, e.to_string()))?;
        let reader = unpacked(reader, found.compression).map_err(|e| (index, e.to_string()))?;
        fields.look(reader, format == Format::JsonArray).map_err(|e| (index, e.to_string()))?;
    }
    Ok(fields)
}

/// The schema to decode JSON with, and the names of the columns that hold JSON strings.
async fn json_schema(
    format: &Arc<dyn FileFormat>,
    context: &SessionContext,
    found: &Listing,
    fields: &Fields,
) -> Result<(SchemaRef, Vec<String>), String> {
    let mut columns = Vec::new();
    let mut quoted = Vec::new();
    let mut nested: Option<SchemaRef> = None;
    for name in &fields.order {
        let Some(field) = fields.fields.get(name) else { continue };
        let data_type = match field.scanned().map_err(|problem| format!("the field '{name}' {problem}"))? {
            Scanned::As(data_type) => data_type,
            Scanned::Text => {
                quoted.push(name.clone());
                DataType::Utf8
            }
            Scanned::Nested => {
                if nested.is_none() {
                    let inferred = guarded(format.infer_schema(&context.state(), &found.store, &found.objects))
                        .await
                        .map_err(|e| describe_engine_error(&e))?;
                    nested = Some(inferred);
                }
                nested
                    .as_ref()
                    .and_then(|schema| schema.field_with_name(name).ok())
                    .map(|field| field.data_type().clone())
                    .ok_or_else(|| format!("the field '{name}' has no type that holds all of its values"))?
            }
        };
        columns.push(Field::new(name, data_type, true));
    }
    Ok((Arc::new(Schema::new(columns)), quoted))
}

/// Partition columns are typed by all of their values: whole numbers, dates, else text.
fn partition_columns(found: &Listing, file_schema: &Schema, side: Side) -> Result<(Vec<Field>, Vec<Vec<ScalarValue>>)> {
    let mut fields = Vec::new();
    let mut rows: Vec<Vec<ScalarValue>> = vec![Vec::new(); found.files.len()];
    for (name, values) in &found.partitions {
        if file_schema.field_with_name(name).is_ok() {
            return Err(Error::SchemasDisagree {
                side: side.to_string(),
                first: found.files[0].path.clone(),
                second: found.files[0].path.clone(),
                difference: format!("'{name}' is both a partition directory and a column of the files"),
            });
        }
        let mut traits = Traits::default();
        traits.look(values.iter().map(Option::as_deref));
        let data_type = match traits.guess(false) {
            kept @ (DataType::Int64 | DataType::Date32) => kept,
            _ => DataType::Utf8,
        };
        for (row, value) in rows.iter_mut().zip(values) {
            let text = ScalarValue::Utf8(value.clone());
            row.push(text.cast_to(&data_type).map_err(Error::engine(format!("reading the partition column '{name}'")))?);
        }
        fields.push(Field::new(name, data_type, true));
    }
    Ok((fields, rows))
}

/// The columns under the job's names.
fn stored_columns(spec: &SideSpec, side: Side, table: &FilesTable, format: Format, quoted: &[String]) -> Result<Vec<StoredColumn>> {
    let text_format = matches!(format, Format::Csv | Format::JsonLines | Format::JsonArray);
    let mut columns: Vec<StoredColumn> = Vec::new();
    for field in table.file_schema.fields().iter().map(AsRef::as_ref).chain(&table.partition_fields) {
        let stored = field.name().clone();
        let shown = stored.trim_start_matches('\u{feff}').to_string();
        let name = spec.rename.iter().find(|(from, _)| *from == shown).map_or(shown, |(_, to)| to.clone());
        let is_text = text_format && field.data_type() == &DataType::Utf8 && table.file_schema.field_with_name(&stored).is_ok();
        columns.push(StoredColumn {
            quoted: quoted.contains(&stored),
            traits: is_text.then(Traits::default),
            stored,
            name,
            data_type: field.data_type().clone(),
        });
    }
    let known = |columns: &[StoredColumn]| columns.iter().map(|c| c.stored.trim_start_matches('\u{feff}').to_string()).collect::<Vec<_>>();
    for (from, to) in &spec.rename {
        if !columns.iter().any(|column| column.stored.trim_start_matches('\u{feff}') == *from) {
            return Err(Error::ColumnMissing {
                what: "rename".to_string(),
                column: from.clone(),
                side: side.to_string(),
                nearest: crate::error::nearest(from, known(&columns)),
            });
        }
        if columns.iter().filter(|column| column.name == *to).count() > 1 {
            return Err(Error::SideOption {
                side: side.to_string(),
                option: "rename".to_string(),
                problem: format!("'{from}' would be called '{to}', and there is a column '{to}' already"),
                help: format!("rename that one as well, for instance rename={from}:{to},{to}:{to}_2"),
            });
        }
    }
    for (name, _) in &spec.columns {
        if !columns.iter().any(|column| column.name == *name) {
            return Err(Error::ColumnMissing {
                what: "columns".to_string(),
                column: name.clone(),
                side: side.to_string(),
                nearest: crate::error::nearest(name, columns.iter().map(|column| &column.name)),
            });
        }
    }
    Ok(columns)
}

/// Looks at every value of the text columns whose type nobody said, file by file, so that an error names its file.
/// The number of rows, if all were seen.
async fn look_at_text(
    context: &SessionContext,
    side: Side,
    spec: &SideSpec,
    found: &Listing,
    table: &mut FilesTable,
    columns: &mut [StoredColumn],
    format: Format,
) -> Result<Option<u64>> {
    let mut rows = 0;
    let mut cuts = HashMap::new();
    let said = |name: &str| spec.columns.iter().any(|(column, _)| column == name);
    let wanted: Vec<usize> = (0..columns.len()).filter(|&i| columns[i].traits.is_some() && !said(&columns[i].name)).collect();
    // CSV is looked at even when nothing is to be guessed: a ragged row is an input error, and here it has a file.
    if wanted.is_empty() && format != Format::Csv {
        return Ok(None);
    }
    for (index, file) in table.files.iter().enumerate() {
        let looked: Result<(u64, Vec<Traits>), DataFusionError> = match quick_look(table, &file.0, &wanted).await {
            Ok(Some(looked)) => {
                cuts.insert(file.0.location.clone(), looked.cuts);
                Ok((looked.rows, looked.traits))
            }
            Ok(None) => slow_look(context, table, file, &wanted, columns).await,
            Err(error) => Err(error),
        };
        let looked = looked.map_err(|e| Error::Unreadable {
            side: side.to_string(),
            file: found.files[index].path.clone(),
            format: format.as_str().to_string(),
            problem: describe_engine_error(&e),
        })?;
        let (seen, looked) = looked;
        rows += seen;
        for (&column, seen) in wanted.iter().zip(&looked) {
            if let Some(traits) = &mut columns[column].traits {
                *traits = traits.and(seen);
            }
        }
    }
    if let Some(csv) = &mut table.csv {
        csv.cuts = Arc::new(cuts);
    }
    Ok(Some(rows))
}

/// `None` for what is no CSV, or not a regular one.
async fn quick_look(table: &FilesTable, meta: &ObjectMeta, wanted: &[usize]) -> Result<Option<Looked>, DataFusionError> {
    let Some(csv) = &table.csv else { return Ok(None) };
    let reader = open(&csv.store, meta).await?;
    let (reading, columns, wanted) = (csv.reading.clone(), table.file_schema.fields().len(), wanted.to_vec());
    let _guard = Guard::new();
    let looked = tokio::task::spawn_blocking(move || look(&reading, reader, columns, &wanted)).await;
    looked.map_err(|e| DataFusionError::Execution(format!("the decoder gave up on damaged data ({e})")))?
}

/// Rows, and what columns could be, of any file.
async fn slow_look(
    context: &SessionContext,
    table: &FilesTable,
    file: &(ObjectMeta, Vec<ScalarValue>),
    wanted: &[usize],
    columns: &[StoredColumn],
) -> Result<(u64, Vec<Traits>), DataFusionError> {
    let one = FilesTable { files: vec![file.clone()], ..table.clone() };
    guarded(async {
        let mut seen = 0;
        let frame = context.read_table(Arc::new(one))?;
        let names: Vec<datafusion::prelude::Expr> = wanted.iter().map(|&i| datafusion::prelude::ident(columns[i].stored.clone())).collect();
        let frame = if names.is_empty() { frame } else { frame.select(names)? };
        let mut stream = frame.execute_stream().await?;
        let mut traits = vec![Traits::default(); wanted.len()];
        while let Some(batch) = stream.try_next().await? {
            seen += batch.num_rows() as u64;
            for (traits, column) in traits.iter_mut().zip(batch.columns()) {
                traits.look(column.as_string::<i32>().iter());
            }
        }
        Ok((seen, traits))
    })
    .await
}
