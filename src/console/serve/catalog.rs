//! What SQL sees, made anew for every statement from the runs that are complete at that moment.
//!
//! ```text
//! gapless
//! ├── report               the tables of `gapless sql`; named without a schema, too
//! ├── queries              the ready-made queries as views, with their defaults: `queries.open_gaps`
//! ├── pg_catalog           what clients ask to list tables and columns
//! └── information_schema
//! ```
//!
//! The system catalogue is made once and kept, because clients remember the numbers that it gives to tables.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider, Session, TableProvider,
};
use datafusion::common::{JoinType, ScalarValue};
use datafusion::config::Dialect;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, ScalarUDF, TableType, Volatility, create_udf};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::prelude::{SessionContext, col, lit};
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables, setup_pg_catalog};
use tokio::sync::OnceCell;

use super::super::queries::{READY_QUERIES, find};
use super::super::runs::{Run, runs_so_far};
use super::super::tables::{ReportSchema, TABLES, table_named};
use super::super::{CATALOG, ConsoleError, SCHEMA, latest_run, session_config};
use super::ServeError;
use super::bounded::bound;

/// The schema of the ready-made queries.
pub(super) const QUERIES: &str = "queries";

const SYSTEM: &str = "pg_catalog";

/// What a statement can see.
pub(super) struct Catalog {
    report: PathBuf,
    /// Functions, settings and memory. Its own catalogue holds no report.
    base: SessionState,
    system: Arc<dyn SchemaProvider>,
}

impl Catalog {
    /// # Errors
    /// When the report directory is not there, or the engine cannot be set up.
    pub(super) async fn open(report: &Path, memory_bytes: u64) -> Result<Self, ServeError> {
        runs_so_far(report)?;
        let failed = |error: DataFusionError| ServeError::Engine { reason: error.to_string() };
        let memory = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
        let pool = TrackConsumersPool::new(GreedyMemoryPool::new(memory), NonZeroUsize::MIN);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            // Nothing is spilled: a join that spills can lose rows, and a reader must not fill a disk.
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(failed)?;
        let context = SessionContext::new_with_config_rt(session_config(), runtime);
        context.register_catalog(CATALOG, Arc::new(MemoryCatalogProvider::new()));
        setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(|error| failed(*error))?;
        let hidden = Arc::new(OnceLock::new());
        for function in session_functions().into_iter().chain([visibility(Arc::clone(&hidden))]) {
            context.register_udf(function);
        }
        bound(&context);
        let base = context.state();

        let views = view_schemas(&base).await.map_err(failed)?;
        let contents = Contents { report: report.to_owned(), views: Arc::new(views) };
        let statics = Arc::new(PgCatalogStaticTables::try_new().map_err(failed)?);
        let system = PgCatalogSchemaProvider::try_new(contents, statics, EmptyContextProvider).map_err(failed)?;
        let catalog = Self { report: report.to_owned(), base, system: Arc::new(system) };
        let _ = hidden.set(catalog.numbers_of_queries().await.map_err(failed)?);
        Ok(catalog)
    }

    /// The numbers that the system catalogue has given to the ready-made queries, and keeps.
    async fn numbers_of_queries(&self) -> EngineResult<HashSet<i32>> {
        let state = session(&self.base, Vec::new(), Some(&self.system));
        let context = SessionContext::new_with_state(state);
        let schemas = context.table(format!("{SYSTEM}.pg_namespace")).await?;
        let schemas = schemas.filter(col("nspname").eq(lit(QUERIES)))?.select(vec![col("oid").alias("namespace")])?;
        let tables = context.table(format!("{SYSTEM}.pg_class")).await?.select(vec![col("oid"), col("relnamespace")])?;
        let ours = tables.join(schemas, JoinType::Inner, &["relnamespace"], &["namespace"], None)?.select(vec![col("oid")])?;
        let mut numbers = HashSet::new();
        for batch in ours.collect().await? {
            numbers.extend(batch.column(0).as_primitive::<Int32Type>().values());
        }
        Ok(numbers)
    }

    /// How many runs there are now.
    pub(super) fn runs(&self) -> Result<usize, ConsoleError> {
        Ok(runs_so_far(&self.report)?.len())
    }

    /// A session for one statement, over the runs of this moment.
    ///
    /// # Errors
    /// When the report cannot be listed.
    pub(super) fn now(&self) -> Result<SessionState, ConsoleError> {
        let runs = runs_so_far(&self.report)?;
        let mut state = session(&self.base, runs, Some(&self.system));
        state.mark_start_execution();
        Ok(state)
    }
}

/// A session over these runs.
fn session(base: &SessionState, runs: Vec<Run>, system: Option<&Arc<dyn SchemaProvider>>) -> SessionState {
    let report: Arc<dyn SchemaProvider> = Arc::new(ReportSchema::new(runs.clone()));
    let inner = with_schemas(base, &[(SCHEMA, Arc::clone(&report))]);
    let queries: Arc<dyn SchemaProvider> = Arc::new(QuerySchema { state: inner, runs, latest: OnceCell::new() });
    let mut schemas = vec![(SCHEMA, report), (QUERIES, queries)];
    schemas.extend(system.map(|system| (SYSTEM, Arc::clone(system))));
    with_schemas(base, &schemas)
}

fn with_schemas(base: &SessionState, schemas: &[(&str, Arc<dyn SchemaProvider>)]) -> SessionState {
    let catalog = MemoryCatalogProvider::new();
    for (name, schema) in schemas {
        // A new catalogue takes every schema.
        let _ = catalog.register_schema(name, Arc::clone(schema));
    }
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    SessionStateBuilder::new_from_existing(base.clone()).with_catalog_list(Arc::new(list)).build()
}

/// The ready-made queries as views over the latest run.
#[derive(Debug)]
struct QuerySchema {
    /// A session that sees the report and nothing else.
    state: SessionState,
    runs: Vec<Run>,
    latest: OnceCell<String>,
}

impl QuerySchema {
    async fn latest(&self) -> Result<&str, ConsoleError> {
        let find = || async {
            let context = SessionContext::new_with_state(self.state.clone());
            latest_run(&context, &self.runs).await.map(str::to_owned)
        };
        self.latest.get_or_try_init(find).await.map(String::as_str)
    }

    async fn view(&self, name: &str) -> EngineResult<QueryTable> {
        let own = |error: ConsoleError| DataFusionError::External(Box::new(error));
        let query = find(name).map_err(own)?;
        let mut values = HashMap::new();
        for (name, default) in query.header().map_err(own)?.parameters {
            let value = match (name.as_str(), default.parse::<i64>()) {
                ("run", _) => ScalarValue::from(self.latest().await.map_err(own)?),
                (_, Ok(number)) => ScalarValue::from(number),
                (_, Err(_)) => ScalarValue::from(default.as_str()),
            };
            values.insert(name, value);
        }
        let statement = self.state.sql_to_statement(query.sql, &Dialect::Generic)?;
        let mut plan = self.state.statement_to_plan(statement).await?;
        if !values.is_empty() {
            plan = plan.with_param_values(values)?;
        }
        Ok(QueryTable { schema: Arc::clone(plan.schema().inner()), plan, sql: query.sql })
    }
}

/// A ready-made query as a table. A view of the engine would do, but for the order of its rows, which the engine drops where a query is a
/// part of another: this one is planned as a whole, and keeps its order as long as nothing above it needs another.
#[derive(Debug)]
struct QueryTable {
    schema: SchemaRef,
    plan: LogicalPlan,
    sql: &'static str,
}

#[async_trait]
impl TableProvider for QueryTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_table_definition(&self) -> Option<&str> {
        Some(self.sql)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let rows = state.create_physical_plan(&self.plan).await?;
        let Some(wanted) = projection else {
            return Ok(rows);
        };
        let columns = wanted.iter().map(|&place| {
            let name = self.schema.field(place).name().clone();
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&name, place));
            (column, name)
        });
        Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), rows)?))
    }
}

#[async_trait]
impl SchemaProvider for QuerySchema {
    fn table_names(&self) -> Vec<String> {
        READY_QUERIES.iter().map(|query| query.id.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> EngineResult<Option<Arc<dyn TableProvider>>> {
        if !self.table_exist(name) {
            return Ok(None);
        }
        Ok(Some(Arc::new(self.view(name).await?)))
    }

    async fn table_type(&self, name: &str) -> EngineResult<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::View))
    }

    fn table_exist(&self, name: &str) -> bool {
        READY_QUERIES.iter().any(|query| query.id == name)
    }
}

/// The columns of the views, which no run changes.
async fn view_schemas(base: &SessionState) -> EngineResult<HashMap<String, SchemaRef>> {
    let state = session(base, Vec::new(), None);
    let mut schemas = HashMap::new();
    for query in READY_QUERIES {
        let table = state.schema_for_ref(format!("{CATALOG}.{QUERIES}.{}", query.id))?.table(query.id).await?;
        schemas.extend(table.map(|table| (query.id.to_owned(), table.schema())));
    }
    Ok(schemas)
}

/// What the system catalogue lists.
#[derive(Debug, Clone)]
struct Contents {
    report: PathBuf,
    views: Arc<HashMap<String, SchemaRef>>,
}

#[async_trait]
impl CatalogInfo for Contents {
    async fn catalog_names(&self) -> EngineResult<Vec<String>> {
        Ok(vec![CATALOG.to_owned()])
    }

    async fn schema_names(&self, _catalog: &str) -> EngineResult<Option<Vec<String>>> {
        Ok(Some([SCHEMA, QUERIES, SYSTEM, "information_schema"].map(str::to_owned).to_vec()))
    }

    async fn table_names(&self, _catalog: &str, schema: &str) -> EngineResult<Option<Vec<String>>> {
        Ok(match schema {
            SCHEMA => Some(TABLES.iter().map(|table| table.name.to_owned()).collect()),
            QUERIES => Some(READY_QUERIES.iter().map(|query| query.id.to_owned()).collect()),
            _ => None,
        })
    }

    async fn table_schema(&self, _catalog: &str, schema: &str, name: &str) -> EngineResult<Option<SchemaRef>> {
        if schema == QUERIES {
            return Ok(self.views.get(name).map(Arc::clone));
        }
        let Some(table) = table_named(name).filter(|_| schema == SCHEMA) else {
            return Ok(None);
        };
        // One file that cannot be read must not keep clients from listing tables: asking the table says what is wrong.
        let opened = match runs_so_far(&self.report) {
            Ok(runs) => ReportSchema::new(runs).table(name).await.ok().flatten(),
            Err(_) => None,
        };
        Ok(Some(opened.map_or_else(
            || {
                let run = Arc::new(Field::new("run", DataType::Utf8, false));
                let columns = table.file_schema();
                Arc::new(Schema::new(std::iter::once(run).chain(columns.fields().iter().cloned()).collect::<Vec<_>>()))
            },
            |table| table.schema(),
        )))
    }

    async fn table_type(&self, _catalog: &str, schema: &str, _name: &str) -> EngineResult<Option<TableType>> {
        Ok(Some(if schema == QUERIES { TableType::View } else { TableType::Base }))
    }
}

/// Whether a table is found by its name alone. What the ready-made queries are called, some report tables are called as well.
fn visibility(hidden: Arc<OnceLock<HashSet<i32>>>) -> ScalarUDF {
    let is_visible = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let numbers = arrays.first().and_then(|numbers| numbers.as_primitive_opt::<Int32Type>());
        let is_hidden = |number: i32| hidden.get().is_some_and(|hidden| hidden.contains(&number));
        let visible: BooleanArray = numbers.into_iter().flatten().map(|number| Some(!number.is_some_and(is_hidden))).collect();
        let visible: ArrayRef = Arc::new(visible);
        Ok(ColumnarValue::Array(visible))
    };
    create_udf("pg_table_is_visible", vec![DataType::Int32], DataType::Boolean, Volatility::Stable, Arc::new(is_visible))
}

/// Functions by which clients find their way, where the answers of the system catalogue's crate are those of another database.
fn session_functions() -> Vec<ScalarUDF> {
    let text = |name: &str, value: &'static str| {
        create_udf(
            name,
            vec![],
            DataType::Utf8,
            Volatility::Stable,
            Arc::new(move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::from(value)))),
        )
    };
    let schemas = create_udf(
        "current_schemas",
        vec![DataType::Boolean],
        DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        Volatility::Stable,
        Arc::new(|arguments: &[ColumnarValue]| {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let implicit = arrays
                .first()
                .and_then(|array| array.as_any().downcast_ref::<BooleanArray>())
                .is_some_and(|implicit| !implicit.is_empty() && implicit.is_valid(0) && implicit.value(0));
            let names: Vec<&str> = if implicit { vec![SYSTEM, SCHEMA] } else { vec![SCHEMA] };
            let item = Arc::new(Field::new("item", DataType::Utf8, true));
            let offsets = arrow::buffer::OffsetBuffer::from_lengths([names.len()]);
            let list: ArrayRef = Arc::new(ListArray::try_new(item, offsets, Arc::new(StringArray::from(names)), None)?);
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&list, 0)?))
        }),
    );
    vec![text("current_schema", SCHEMA), text("session_user", "gapless"), text("current_user", "gapless"), text("user", "gapless"), schemas]
}
