//! The tables of a report, each over the Parquet files of all complete runs.
//!
//! ```text
//! gapless-report/run=A/findings.parquet ─┐
//! gapless-report/run=B/findings.parquet ─┼─► findings (run, stream, check, …)
//! gapless-report/run=C/   (no such file) ┘
//! ```
//!
//! A table is there even where no run has a file for it: it has no rows then. A column that an older run lacks is NULL in that run, and
//! one that only a newer run has comes last.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use object_store::{ObjectMeta, path::Path as StorePath};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::error::ConsoleError;
use super::runs::Run;

/// One table of the report as it is documented.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The name in SQL, and the stem of the file in a run's directory.
    pub name: &'static str,
    /// What one row stands for.
    pub row: &'static str,
    columns: &'static [(&'static str, Kind)],
}

/// The column types that report tables use.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Count,
    Code,
    Float,
    Claim,
    Time,
    Sequence,
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Count => DataType::Int64,
            Self::Code => DataType::Int32,
            Self::Float => DataType::Float64,
            Self::Claim => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Sequence => DataType::Decimal128(38, 0),
        }
    }
}

impl Table {
    /// The schema of the table's file in one run: without `run`, which the path says. Every column is nullable.
    #[must_use]
    pub fn file_schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self.columns.iter().map(|(name, kind)| Field::new(*name, kind.data_type(), true)).collect();
        Arc::new(Schema::new(fields))
    }
}

use Kind::{Claim, Code, Count, Float, Sequence, Text, Time};

/// The report tables, in the order in which they are shown.
pub const TABLES: &[Table] = &[
    Table {
        name: "runs",
        row: "a run",
        columns: &[
            ("job", Text),
            ("started_at", Time),
            ("finished_at", Time),
            ("verdict", Text),
            ("exit_code", Code),
            ("version", Text),
            ("options", Text),
        ],
    },
    Table {
        name: "streams",
        row: "a stream",
        columns: &[
            ("stream", Text),
            ("mode", Text),
            ("verdict", Text),
            ("reason", Text),
            ("original_source", Text),
            ("backfill_source", Text),
            ("original_rows", Count),
            ("backfill_rows", Count),
            ("original_rows_read", Count),
            ("backfill_rows_read", Count),
            ("original_bytes", Count),
            ("backfill_bytes", Count),
            ("bounds_from", Time),
            ("bounds_until", Time),
            ("bounds_kind", Text),
            ("window", Text),
            ("matched_keys", Count),
            ("missing_keys", Count),
            ("unexpected_keys", Count),
            ("mismatched_keys", Count),
            ("duplicate_keys", Count),
            ("surplus_rows", Count),
            ("missing_rows", Count),
            ("unexpected_rows", Count),
            ("gaps", Count),
            ("sequence_gaps", Count),
            ("violations", Count),
            ("checksum", Text),
            ("original_checksum", Text),
            ("backfill_checksum", Text),
            ("original_digest", Text),
            ("backfill_digest", Text),
        ],
    },
    Table {
        name: "checks",
        row: "a check on a stream",
        columns: &[
            ("stream", Text),
            ("check", Text),
            ("severity", Text),
            ("status", Text),
            ("reason", Text),
            ("findings", Count),
            ("duration_ms", Float),
        ],
    },
    Table {
        name: "windows",
        row: "a window of a series that has rows or should",
        columns: &[
            ("stream", Text),
            ("series", Text),
            ("window_start", Time),
            ("window_end", Time),
            ("original_rows", Count),
            ("backfill_rows", Count),
            ("original_checksum", Text),
            ("backfill_checksum", Text),
            ("original_digest", Text),
            ("backfill_digest", Text),
            ("status", Text),
            ("original_late_rows", Count),
            ("backfill_late_rows", Count),
            ("original_lateness_ms", Count),
            ("backfill_lateness_ms", Count),
        ],
    },
    Table {
        name: "spans",
        row: "a stretch of a series and side without a gap",
        columns: &[
            ("stream", Text),
            ("series", Text),
            ("side", Text),
            ("kind", Text),
            ("from_time", Time),
            ("until_time", Time),
            ("from_sequence", Sequence),
            ("until_sequence", Sequence),
            ("rows", Count),
        ],
    },
    Table {
        name: "gaps",
        row: "a gap of a series and side",
        columns: &[
            ("stream", Text),
            ("series", Text),
            ("side", Text),
            ("kind", Text),
            ("status", Text),
            ("from_time", Time),
            ("until_time", Time),
            ("from_sequence", Sequence),
            ("until_sequence", Sequence),
            ("duration_ms", Count),
            ("missing_estimate", Count),
        ],
    },
    Table {
        name: "seams",
        row: "an edge at which a fill's backfill meets live data",
        columns: &[
            ("stream", Text),
            ("series", Text),
            ("edge", Text),
            ("kind", Text),
            ("live_time", Time),
            ("backfill_time", Time),
            ("from_time", Time),
            ("until_time", Time),
            ("duration_ms", Count),
            ("identical_keys", Count),
            ("conflicting_keys", Count),
        ],
    },
    Table {
        name: "findings",
        row: "a finding",
        columns: &[
            ("stream", Text),
            ("check", Text),
            ("kind", Text),
            ("severity", Text),
            ("grain", Text),
            ("side", Text),
            ("series", Text),
            ("window_start", Time),
            ("window_end", Time),
            ("from_time", Time),
            ("until_time", Time),
            ("from_sequence", Sequence),
            ("until_sequence", Sequence),
            ("file", Text),
            ("key", Text),
            ("column_name", Text),
            ("original_value", Text),
            ("backfill_value", Text),
            ("rows", Count),
            ("accepted", Claim),
            ("message", Text),
            ("known", Claim),
        ],
    },
    Table {
        name: "finding_counts",
        row: "findings that say the same of one stretch, to be added up",
        columns: &[
            ("stream", Text),
            ("check", Text),
            ("kind", Text),
            ("severity", Text),
            ("side", Text),
            ("series", Text),
            ("window_start", Time),
            ("window_end", Time),
            ("from_time", Time),
            ("until_time", Time),
            ("from_sequence", Sequence),
            ("until_sequence", Sequence),
            ("column_name", Text),
            ("accepted", Claim),
            ("known", Claim),
            ("findings", Count),
            ("keys", Count),
            ("rows", Count),
            ("example_key", Text),
            ("example_original", Text),
            ("example_backfill", Text),
            ("example_message", Text),
        ],
    },
    Table {
        name: "incidents",
        row: "an incident: what happened at once",
        columns: &[
            ("stream", Text),
            ("incident", Count),
            ("kind", Text),
            ("cause", Text),
            ("status", Text),
            ("severity", Text),
            ("side", Text),
            ("scope", Text),
            ("class", Text),
            ("from_time", Time),
            ("until_time", Time),
            ("from_sequence", Sequence),
            ("until_sequence", Sequence),
            ("duration_ms", Count),
            ("series", Count),
            ("series_total", Count),
            ("series_list", Text),
            ("gaps", Count),
            ("rows", Count),
            ("rows_exact", Claim),
            ("message", Text),
        ],
    },
    Table {
        name: "diagnoses",
        row: "a gap, column or slice with its cause",
        columns: &[
            ("stream", Text),
            ("incident", Count),
            ("subject", Text),
            ("cause", Text),
            ("side", Text),
            ("series", Text),
            ("column_name", Text),
            ("value", Text),
            ("file", Text),
            ("from_time", Time),
            ("until_time", Time),
            ("from_sequence", Sequence),
            ("until_sequence", Sequence),
            ("rows", Count),
            ("of_rows", Count),
            ("slice_rows", Count),
            ("total_rows", Count),
            ("share", Float),
            ("lift", Float),
            ("p_bound", Float),
            ("evidence", Text),
        ],
    },
];

/// The report table of that name.
pub(super) fn table_named(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// The schema of SQL in which the report's tables live. It opens a table when a statement names it, so that a file that cannot be read
/// stands in the way of the rows of its own table only.
#[derive(Debug)]
pub(super) struct ReportSchema {
    runs: Vec<Run>,
}

impl ReportSchema {
    pub(super) fn new(runs: Vec<Run>) -> Self {
        Self { runs }
    }
}

#[async_trait]
impl SchemaProvider for ReportSchema {
    fn table_names(&self) -> Vec<String> {
        TABLES.iter().map(|table| table.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> EngineResult<Option<Arc<dyn TableProvider>>> {
        let Some(table) = table_named(name) else {
            return Ok(None);
        };
        Ok(Some(match ReportTable::open(table, &self.runs) {
            Ok(opened) => Arc::new(opened),
            Err(unreadable) => Arc::new(unreadable),
        }))
    }

    /// Known without a look at the files, so that one which cannot be read does not keep the others from being listed.
    async fn table_type(&self, name: &str) -> EngineResult<Option<TableType>> {
        Ok(table_named(name).map(|_| TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        table_named(name).is_some()
    }
}

/// One table over the files of all runs.
#[derive(Debug)]
struct ReportTable {
    /// What SQL sees: `run`, then the columns of the files.
    schema: SchemaRef,
    /// What the reader works with: the columns of the files, then `run`.
    read_schema: TableSchema,
    files: Vec<PartitionedFile>,
}

impl ReportTable {
    /// Reads the footer of each run's file, and no rows.
    fn open(table: &'static Table, runs: &[Run]) -> Result<Self, Unreadable> {
        let mut fields: Vec<FieldRef> = table.file_schema().fields().iter().cloned().collect();
        let mut files = Vec::new();
        for run in runs {
            let path = run.directory.join(format!("{}.parquet", table.name));
            if !path.exists() {
                if table.name == "finding_counts" && run.directory.join("findings.parquet").exists() {
                    // An answer without them would be one that nothing was found.
                    return Err(Unreadable {
                        table,
                        run: run.id.clone(),
                        path,
                        reason: "the run has findings and no counts of them: it was written by an older gapless".to_owned(),
                    });
                }
                continue;
            }
            let (file, file_schema) = match open_file(&path, run) {
                Ok(opened) => opened,
                // Removed since the runs were listed: the run is gone as a whole.
                Err(_) if !run.directory.join("run.json").exists() => continue,
                Err(reason) => {
                    return Err(Unreadable { table, run: run.id.clone(), path, reason });
                }
            };
            for field in file_schema.fields() {
                // `run` is what the path says, whatever a file claims.
                if field.name() != "run" && !fields.iter().any(|known| known.name() == field.name()) {
                    fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
                }
            }
            files.push(file);
        }
        Ok(Self {
            schema: shown_schema(fields.iter().cloned()),
            read_schema: TableSchema::builder(Arc::new(Schema::new(fields))).with_table_partition_cols(vec![run_field()]).build(),
            files,
        })
    }
}

fn run_field() -> FieldRef {
    Arc::new(Field::new("run", DataType::Utf8, false))
}

/// The columns as SQL shows them: `run` first.
fn shown_schema(fields: impl Iterator<Item = FieldRef>) -> SchemaRef {
    Arc::new(Schema::new([run_field()].into_iter().chain(fields).collect::<Vec<_>>()))
}

/// A table of which a file cannot be read: its columns are known and listed with those of the others, its rows are an error.
#[derive(Debug)]
struct Unreadable {
    table: &'static Table,
    run: String,
    path: PathBuf,
    reason: String,
}

#[async_trait]
impl TableProvider for Unreadable {
    fn schema(&self) -> SchemaRef {
        shown_schema(self.table.file_schema().fields().iter().cloned())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let Self { table, run, path, reason } = self;
        let error = ConsoleError::ReadTable { table: table.name, run: run.clone(), path: path.clone(), reason: reason.clone() };
        Err(DataFusionError::External(Box::new(error)))
    }
}

fn open_file(path: &Path, run: &Run) -> Result<(PartitionedFile, SchemaRef), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    let parquet = ArrowReaderMetadata::load(&file, Default::default()).map_err(|error| error.to_string())?;
    let location = StorePath::from_absolute_path(path).map_err(|error| error.to_string())?;
    let object = ObjectMeta {
        location,
        last_modified: metadata.modified().map_err(|error| error.to_string())?.into(),
        size: metadata.len(),
        e_tag: None,
        version: None,
    };
    let file = PartitionedFile::new_from_meta(object).with_partition_values(vec![ScalarValue::Utf8(Some(run.id.clone()))]);
    Ok((file, Arc::clone(parquet.schema())))
}

#[async_trait]
impl TableProvider for ReportTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let width = self.schema.fields().len();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..width).collect());
        // The reader appends what the path says; SQL shows it first.
        let read: Vec<usize> = wanted.iter().map(|&index| if index == 0 { width - 1 } else { index - 1 }).collect();
        let source = Arc::new(ParquetSource::new(self.read_schema.clone()));
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
            .with_file_group(FileGroup::new(self.files.clone()))
            .with_projection_indices(Some(read))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
