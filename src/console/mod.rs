//! `gapless sql`: questions to a report in SQL.
//!
//! A report directory holds one directory a run, with one Parquet file a table. The console shows them as eleven tables over all complete
//! runs, each with a `run` column first, and answers statements that read:
//!
//! ```text
//! report directory ──► tables ──┐
//! statement, @name, script ─────┴──► question ──► rows ──► table · CSV · JSON · Parquet
//! ```
//!
//! It reads the report and nothing else: no statement changes anything, and no path can be named from SQL. The data of the sides is
//! not needed. Rows come in the order of the runs and of their files, the same every time.

mod error;
mod escape;
mod output;
mod queries;
mod runs;
mod script;
#[cfg(feature = "serve")]
mod serve;
mod shell;
mod statement;
mod tables;

use std::collections::HashMap;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider};
use datafusion::common::ScalarValue;
use datafusion::prelude::{SessionConfig, SessionContext, col};

pub use self::error::ConsoleError;
use self::error::nearest;
pub use self::output::Format;
use self::output::Output;
pub use self::queries::{Header, READY_QUERIES, ReadyQuery};
use self::runs::{Run, complete_runs};
use self::script::{Command, Item};
#[cfg(feature = "serve")]
pub use self::serve::{ServeError, ServeOptions, Tls, decodes, serve};
use self::statement::{Answer, Question};
use self::tables::{ReportSchema, table_named};
pub use self::tables::{TABLES, Table};

/// The catalogue and the schema in which the tables live: `gapless.report.findings`.
const CATALOG: &str = "gapless";
const SCHEMA: &str = "report";

/// `name=value` pairs, in the order given.
type Parameters = Vec<(String, String)>;

/// What to ask, and where the answer goes.
#[derive(Debug, Clone)]
pub struct Request {
    /// The report directory.
    pub report: PathBuf,
    /// What to ask.
    pub ask: Ask,
    /// Values for `$NAME` in the statements: `NAME=VALUE`, `--NAME=VALUE`, or `--NAME VALUE` as two words.
    pub parameters: Vec<String>,
    /// How rows are written; None is the suffix of `output`, or a table.
    pub format: Option<Format>,
    /// A file instead of standard output.
    pub output: Option<PathBuf>,
    /// The rows that a table shows at most; 0 is no limit. Other formats write all rows.
    pub max_rows: usize,
    /// CSV cells as they are, also where a spreadsheet would take them for formulas.
    pub raw_csv: bool,
}

/// What to ask.
#[derive(Debug, Clone)]
pub enum Ask {
    /// Statements, or `@name`.
    Statements(String),
    /// The statements in a file; `-` is standard input.
    File(PathBuf),
    /// Standard input: a shell on a terminal, a script otherwise.
    Input,
    /// The ready-made queries. Needs no report.
    List,
}

/// Answers a request: the whole of `gapless sql`.
///
/// # Errors
/// When the report cannot be opened, a statement is refused or fails, or the answer cannot be written. A reader of standard output that
/// leaves is no error.
pub async fn answer(request: Request) -> Result<(), ConsoleError> {
    match answer_all(request).await {
        Err(ConsoleError::OutputClosed) => Ok(()),
        outcome => outcome,
    }
}

async fn answer_all(request: Request) -> Result<(), ConsoleError> {
    let Request { report, ask, parameters, format, output, max_rows, raw_csv } = request;
    let given: Parameters = script::parse_parameters(&parameters)?;
    let open_output = || match &output {
        None => Output::stdout(format, max_rows, raw_csv),
        Some(path) => Output::file(path, format, max_rows, raw_csv, &report),
    };
    let script = match ask {
        Ask::List => {
            let mut output = open_output()?;
            output.write(list_answer()?, "").await?;
            return output.finish();
        }
        Ask::Input if std::io::stdin().is_terminal() => {
            let console = Console::open(&report)?;
            let mut output = open_output()?;
            shell::talk(&console, &mut output, &given).await?;
            return output.finish();
        }
        Ask::Statements(statements) => (statements, "the argument".to_owned()),
        Ask::File(path) => (read_script(&path)?, format!("`{}`", path.display())),
        Ask::Input => (read_script(Path::new("-"))?, "standard input".to_owned()),
    };
    let (script, origin) = script;
    let items = script::parse(&script)?;
    if items.is_empty() {
        return Err(ConsoleError::NothingToRun { origin });
    }
    refuse_unread(&items, &given, &origin)?;
    let console = Console::open(&report)?;
    let mut output = open_output()?;
    let results = items.iter().filter(|item| item.gives_rows()).count();
    if output.is_parquet() && results != 1 {
        return Err(ConsoleError::ParquetHoldsOne { results });
    }
    for item in &items {
        if *item == Item::Command(Command::Quit) {
            break;
        }
        console.answer(item, &given, &mut output).await?;
    }
    output.finish()
}

fn read_script(path: &Path) -> Result<String, ConsoleError> {
    let cannot_read = |source| ConsoleError::ReadScript { path: path.to_owned(), source };
    if path == Path::new("-") {
        let mut script = String::new();
        std::io::stdin().read_to_string(&mut script).map_err(cannot_read)?;
        Ok(script)
    } else {
        std::fs::read_to_string(path).map_err(cannot_read)
    }
}

/// A parameter that no statement reads is a slip of the pen, and would quietly give the answer to another question.
fn refuse_unread(items: &[Item], given: &Parameters, origin: &str) -> Result<(), ConsoleError> {
    for (name, _) in given {
        let mut known = Vec::new();
        let mut is_read = name == "run";
        for item in items {
            match item {
                Item::Sql(statement) => is_read |= statement.contains(&format!("${name}")),
                Item::Ready { name: query, .. } => {
                    for (parameter, _) in queries::find(query)?.header()?.parameters {
                        is_read |= parameter == *name;
                        known.push(parameter);
                    }
                }
                Item::Command(_) => {}
            }
        }
        if !is_read {
            return Err(ConsoleError::UnknownParameter {
                reader: origin.to_owned(),
                name: name.clone(),
                nearest: nearest(name, known.iter().map(String::as_str)),
            });
        }
    }
    Ok(())
}

/// Opens a report directory for SQL: one table for each of [`TABLES`], over all complete runs, with `run` as its first column.
///
/// The context is for reading: it takes no new tables in the report's schema and no paths as tables. A caller that runs statements of
/// others through it sets [`SQLOptions`](datafusion::prelude::SQLOptions) too.
///
/// # Errors
/// When the directory is not there, cannot be listed, or holds no complete run.
pub fn open(report: &Path) -> Result<SessionContext, ConsoleError> {
    Ok(Console::open(report)?.context)
}

/// Which parameters that look like a number are one.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    /// Every one: what a user's own `$name` is compared with is not known.
    WhereItIsOne,
    /// Those of this query whose default is one: a stream may be called `5`.
    Of(&'static ReadyQuery),
}

impl Numbers {
    fn take(self, name: &str) -> Result<bool, ConsoleError> {
        match self {
            Self::WhereItIsOne => Ok(true),
            Self::Of(query) => {
                Ok(query.header()?.parameters.iter().any(|(known, default)| known == name && default.parse::<i64>().is_ok()))
            }
        }
    }
}

/// An open report.
struct Console {
    report: PathBuf,
    context: SessionContext,
    /// Sorted by id, at least one.
    runs: Vec<Run>,
}

impl Console {
    fn open(report: &Path) -> Result<Self, ConsoleError> {
        let runs = complete_runs(report)?;
        // No memory limit on purpose: under one, joins on inequalities lose rows (apache/datafusion#24745).
        let context = SessionContext::new_with_config(session_config());
        let catalog = MemoryCatalogProvider::new();
        // A new catalogue takes every schema.
        let _ = catalog.register_schema(SCHEMA, Arc::new(ReportSchema::new(runs.clone())));
        context.register_catalog(CATALOG, Arc::new(catalog));
        Ok(Self { report: report.to_owned(), context, runs })
    }

    /// Answers one item, and says how long that took where it is asked for.
    async fn answer(&self, item: &Item, given: &Parameters, output: &mut Output) -> Result<(), ConsoleError> {
        let started = Instant::now();
        match item {
            Item::Sql(statement) => self.answer_sql(statement, given, Numbers::WhereItIsOne, output).await,
            Item::Ready { name, parameters } => {
                let query = queries::find(name)?;
                let mut all = given.clone();
                all.extend(parameters.iter().cloned());
                let bound = bound_parameters(query, parameters, &all)?;
                if let Some((_, stream)) = bound.iter().find(|(name, value)| name == "stream" && value != "*") {
                    self.refuse_unknown_stream(stream).await?;
                }
                self.answer_sql(query.sql, &bound, Numbers::Of(query), output).await
            }
            Item::Command(Command::Tables) => output.write(self.tables_answer().await?, "\\d").await,
            Item::Command(Command::Describe(name)) => match name.strip_prefix('@') {
                Some(query) => output.write_text(queries::find(query)?.sql),
                None => output.write(self.columns_answer(name).await?, "\\d").await,
            },
            Item::Command(Command::List) => output.write(list_answer()?, "\\l").await,
            Item::Command(Command::Timing(wanted)) => {
                output.timing = wanted.unwrap_or(!output.timing);
                shell::remark(&format!("timing is {}", if output.timing { "on" } else { "off" }));
                return Ok(());
            }
            Item::Command(Command::Format(format)) => output.set_format(*format),
            Item::Command(Command::Records) => {
                let format = output.turn_records()?;
                shell::remark(if format == Format::Records { "rows are records" } else { "rows are a table" });
                Ok(())
            }
            Item::Command(Command::Help) => output.write_text(shell::HELP),
            Item::Command(Command::Quit) => Ok(()),
        }?;
        if output.timing && item.gives_rows() {
            // Beside the rows, not among them.
            shell::remark(&format!("time: {:.3} s", started.elapsed().as_secs_f64()));
        }
        Ok(())
    }

    /// A stream that is not there has no rows, which reads like good news.
    async fn refuse_unknown_stream(&self, wanted: &str) -> Result<(), ConsoleError> {
        let failed = |error| statement::failed(error, "the streams");
        let names = self.context.table("streams").await.map_err(failed)?.select(vec![col("stream")]).and_then(|names| names.distinct());
        let mut known = Vec::new();
        for batch in names.map_err(failed)?.collect().await.map_err(failed)? {
            for row in 0..batch.num_rows() {
                known.extend(first_text(&batch.slice(row, 1), 0));
            }
        }
        if known.iter().any(|name| name == wanted) {
            return Ok(());
        }
        Err(ConsoleError::UnknownStream { name: wanted.to_owned(), nearest: nearest(wanted, known.iter().map(String::as_str)) })
    }

    async fn answer_sql(&self, statement: &str, given: &Parameters, numbers: Numbers, output: &mut Output) -> Result<(), ConsoleError> {
        let question = Question::plan(&self.context, statement).await?;
        let mut values = HashMap::new();
        for name in question.parameters()? {
            // The last one wins: what is said beside a query goes before what is said for the whole script.
            let value = given.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
            let value = match (name.as_str(), value) {
                ("run", None | Some("latest")) => ScalarValue::from(self.latest_run().await?),
                ("run", Some(run)) => ScalarValue::from(self.known_run(run)?),
                (_, None) => return Err(ConsoleError::MissingParameter { name }),
                (_, Some(value)) => match value.parse::<i64>() {
                    Ok(number) if numbers.take(&name)? => ScalarValue::from(number),
                    _ => ScalarValue::from(value),
                },
            };
            values.insert(name, value);
        }
        let answer = question.ask(values).await?;
        output.write(answer, statement).await
    }

    async fn latest_run(&self) -> Result<&str, ConsoleError> {
        latest_run(&self.context, &self.runs).await
    }

    fn known_run(&self, run: &str) -> Result<&str, ConsoleError> {
        let known = self.runs.iter().find(|known| known.id == run || format!("run={}", known.id) == run);
        known.map(|known| known.id.as_str()).ok_or_else(|| ConsoleError::UnknownRun {
            run: run.to_owned(),
            nearest: nearest(run, self.runs.iter().map(|known| known.id.as_str())),
        })
    }

    async fn greeting(&self) -> String {
        let latest = self.latest_verdict().await;
        shell::greeting(self.runs.len(), &self.report.display().to_string(), latest)
    }

    /// For the greeting only: a report whose `runs` cannot be read is still worth asking.
    async fn latest_verdict(&self) -> Option<(String, String)> {
        let latest = self.latest_run().await.ok()?;
        let runs = self.context.table("runs").await.ok()?.filter(col("run").eq(datafusion::prelude::lit(latest))).ok()?;
        let batches = runs.select(vec![col("verdict")]).ok()?.collect().await.ok()?;
        Some((latest.to_owned(), first_text(batches.first()?, 0)?))
    }

    async fn tables_answer(&self) -> Result<Answer, ConsoleError> {
        let mut rows = Vec::new();
        for table in TABLES {
            // A table that cannot be read has no count; asking it says why.
            let count = match self.context.table(table.name).await {
                Ok(frame) => frame.count().await.ok().and_then(|count| i64::try_from(count).ok()),
                Err(_) => None,
            };
            rows.push(count);
        }
        let names: ArrayRef = Arc::new(TABLES.iter().map(|table| Some(table.name)).collect::<StringArray>());
        let meaning: ArrayRef = Arc::new(TABLES.iter().map(|table| Some(table.row)).collect::<StringArray>());
        rows_of(vec![("table", names), ("rows", Arc::new(Int64Array::from(rows))), ("one row for", meaning)])
    }

    async fn columns_answer(&self, name: &str) -> Result<Answer, ConsoleError> {
        let name = name.trim_matches('"').to_lowercase();
        if table_named(&name).is_none() {
            let nearest = nearest(&name, TABLES.iter().map(|table| table.name));
            return Err(ConsoleError::UnknownTable { name, nearest });
        }
        let frame = self.context.table(name.as_str()).await.map_err(|error| statement::failed(error, "\\d"))?;
        let fields = frame.schema().fields();
        let names: ArrayRef = Arc::new(fields.iter().map(|field| Some(field.name().as_str())).collect::<StringArray>());
        let types: ArrayRef = Arc::new(fields.iter().map(|field| Some(type_name(field.data_type()))).collect::<StringArray>());
        rows_of(vec![("column", names), ("type", types)])
    }
}

/// How every session over a report is set up.
fn session_config() -> SessionConfig {
    // Filters choose among the groups of a file by their statistics, and stay above the scan: below it, a LIMIT without an order would begin
    // with whichever group holds nothing but rows that pass.
    SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        // One partition: rows without ORDER BY come in the order of the runs and files, every time.
        .with_target_partitions(1)
        // One sort above a UNION, not one for each of its branches: those would leave out a column that is constant in each, and yet share what a LIMIT
        // has seen so far, so that rows of one branch put out those of another (`the_gravest_findings_come_first_every_time`).
        .with_repartition_sorts(false)
}

/// The run that started last; of those that started together, the one with the greatest id. Empty where there are no runs.
async fn latest_run<'a>(context: &SessionContext, runs: &'a [Run]) -> Result<&'a str, ConsoleError> {
    let failed = |error| statement::failed(error, "the latest run");
    let batches = context
        .table("runs")
        .await
        .map_err(failed)?
        .filter(col("started_at").is_not_null())
        .and_then(|runs| runs.sort(vec![col("started_at").sort(false, false), col("run").sort(false, false)]))
        .and_then(|runs| runs.limit(0, Some(1)))
        .and_then(|runs| runs.select(vec![col("run")]))
        .map_err(failed)?
        .collect()
        .await
        .map_err(failed)?;
    let id = batches.first().and_then(|batch| first_text(batch, 0));
    let latest = runs.iter().find(|run| Some(&run.id) == id.as_ref());
    // No `runs` table at all: ids sort by time as far as they say it.
    Ok(latest.or(runs.last()).map_or("", |run| run.id.as_str()))
}

fn rows_of(columns: Vec<(&str, ArrayRef)>) -> Result<Answer, ConsoleError> {
    let unfit = |reason: String| ConsoleError::Encode { format: "a table", reason };
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| unfit(error.to_string()))?;
    let schema = batch.schema();
    let rows =
        datafusion::physical_plan::memory::MemoryStream::try_new(vec![batch], schema, None).map_err(|error| unfit(error.to_string()))?;
    Ok(Answer { rows: Box::pin(rows), has_lines: false })
}

/// The ready-made queries as rows: name, summary, parameters with their defaults.
fn list_answer() -> Result<Answer, ConsoleError> {
    let mut names = Vec::new();
    let mut summaries = Vec::new();
    let mut parameters = Vec::new();
    for query in READY_QUERIES {
        let header = query.header()?;
        names.push(format!("@{}", query.id));
        summaries.push(header.summary);
        let pairs: Vec<String> = header.parameters.iter().map(|(name, default)| format!("{name}={default}")).collect();
        parameters.push(pairs.join(" "));
    }
    rows_of(vec![
        ("query", Arc::new(StringArray::from(names))),
        ("summary", Arc::new(StringArray::from(summaries))),
        ("parameters", Arc::new(StringArray::from(parameters))),
    ])
}

/// The parameters of a ready-made query: its defaults, and over them what was given.
///
/// # Errors
/// When `own` names one that the query does not have, or a whole number is none.
fn bound_parameters(query: &ReadyQuery, own: &Parameters, given: &Parameters) -> Result<Parameters, ConsoleError> {
    let header = query.header()?;
    for (name, _) in own {
        if !header.parameters.iter().any(|(known, _)| known == name) {
            return Err(ConsoleError::UnknownParameter {
                reader: format!("`@{}`", query.id),
                name: name.clone(),
                nearest: nearest(name, header.parameters.iter().map(|(known, _)| known.as_str())),
            });
        }
    }
    let mut bound = header.parameters;
    for (name, value) in &mut bound {
        let wants_number = value.parse::<i64>().is_ok();
        if let Some((_, given)) = given.iter().rev().find(|(known, _)| known == name) {
            value.clone_from(given);
        }
        if wants_number && value.parse::<u32>().is_err() {
            return Err(ConsoleError::NotANumber { query: query.id.to_owned(), name: name.clone(), value: value.clone() });
        }
    }
    Ok(bound)
}

fn first_text(batch: &RecordBatch, column: usize) -> Option<String> {
    if batch.num_rows() == 0 {
        return None;
    }
    match ScalarValue::try_from_array(batch.column(column), 0).ok()? {
        ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => text,
        _ => None,
    }
}

/// A type in the words of SQL.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => "timestamp (UTC)".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => other.to_string(),
    }
}
