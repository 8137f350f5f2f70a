//! From the text of one statement to a stream of rows: parse, refuse what is not a question, plan, bind, run.
//!
//! The console only reads. Three things see to it, each enough alone: the statement must be of a kind that asks; the plan must hold
//! no node that changes anything; and there is nothing to change, because the schema takes no tables and no paths are tables.

use std::collections::{BTreeSet, HashMap};

use datafusion::common::{ScalarValue, SchemaError};
use datafusion::config::Dialect;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use super::error::{ConsoleError, nearest};
use super::escape::escape_lines;
use super::tables::{TABLES, table_named};

/// The rows that a statement gives.
pub(super) struct Answer {
    pub(super) rows: SendableRecordBatchStream,
    /// Whether the text of a cell is ours and has several lines: the plan that EXPLAIN shows.
    pub(super) has_lines: bool,
}

/// A planned statement that is known to read only.
pub(super) struct Question {
    state: SessionState,
    plan: LogicalPlan,
    statement: String,
    tables: Vec<String>,
    has_lines: bool,
}

impl Question {
    /// Parses and plans one statement.
    ///
    /// # Errors
    /// When it does not parse, is of a kind that does not ask, or names what is not there.
    pub(super) async fn plan(context: &SessionContext, statement: &str) -> Result<Self, ConsoleError> {
        let state = context.state();
        let parsed = state
            .sql_to_statement(statement, &Dialect::Generic)
            .map_err(|error| ConsoleError::Parse { statement: statement.to_owned(), reason: reason_of(&error) })?;
        refuse_unless_asking(&parsed, statement)?;
        let has_lines = matches!(&parsed, Statement::Explain(_))
            || matches!(&parsed, Statement::Statement(inner) if matches!(**inner, SqlStatement::Explain { .. }));
        let tables = named_tables(&state, &parsed)?;
        let explain = |error: DataFusionError| explained(error, statement, &tables, Phase::Planning);
        let plan = state.statement_to_plan(parsed).await.map_err(explain)?;
        refuse_unless_reading(&plan, statement)?;
        Ok(Self { state, plan, statement: statement.to_owned(), tables, has_lines })
    }

    /// The `$names` that the statement reads, without `$`.
    pub(super) fn parameters(&self) -> Result<BTreeSet<String>, ConsoleError> {
        let names = self.plan.get_parameter_names().map_err(|error| self.explained(error, Phase::Planning))?;
        Ok(names.into_iter().map(|name| name.trim_start_matches('$').to_owned()).collect())
    }

    /// Runs the statement with a value for each of its parameters.
    ///
    /// # Errors
    /// When a parameter has no value, or the engine cannot run the plan.
    pub(super) async fn ask(self, values: HashMap<String, ScalarValue>) -> Result<Answer, ConsoleError> {
        let mut plan = self.plan.clone();
        if !self.parameters()?.is_empty() {
            plan = plan.with_param_values(values).map_err(|error| self.explained(error, Phase::Planning))?;
        }
        let rows =
            DataFrame::new(self.state.clone(), plan).execute_stream().await.map_err(|error| self.explained(error, Phase::Running))?;
        Ok(Answer { rows, has_lines: self.has_lines })
    }

    fn explained(&self, error: DataFusionError, phase: Phase) -> ConsoleError {
        explained(error, &self.statement, &self.tables, phase)
    }
}

/// An error of the engine while rows are being read.
pub(super) fn failed(error: DataFusionError, statement: &str) -> ConsoleError {
    explained(error, statement, &[], Phase::Running)
}

/// When the engine failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    Planning,
    Running,
}

/// Only statements that ask are let through: a kind that the engine learns tomorrow is refused until it is added here.
pub(super) fn refuse_unless_asking(parsed: &Statement, statement: &str) -> Result<(), ConsoleError> {
    let asks = match parsed {
        Statement::Statement(inner) => match &**inner {
            SqlStatement::Query(_)
            | SqlStatement::ExplainTable { .. }
            | SqlStatement::ShowTables { .. }
            | SqlStatement::ShowColumns { .. }
            | SqlStatement::ShowFunctions { .. }
            | SqlStatement::ShowVariable { .. } => true,
            SqlStatement::Explain { statement: inner, .. } => matches!(**inner, SqlStatement::Query(_)),
            _ => false,
        },
        Statement::Explain(explain) => return refuse_unless_asking(&explain.statement, statement),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => false,
    };
    if asks { Ok(()) } else { Err(ConsoleError::Refused { kind: refused_kind(statement) }) }
}

/// A plan that holds a node which changes anything is refused, whatever the statement looked like.
pub(super) fn refuse_unless_reading(plan: &LogicalPlan, statement: &str) -> Result<(), ConsoleError> {
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reading.verify_plan(plan).map_err(|_| ConsoleError::Refused { kind: first_word(statement) })
}

/// The words by which a refused statement is known: its first, or what EXPLAIN is asked to explain.
fn refused_kind(statement: &str) -> String {
    let words: Vec<String> = statement
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .take(3)
        .map(str::to_uppercase)
        .collect();
    match words.as_slice() {
        [first, second, ..] if ["CREATE", "DROP", "ALTER", "EXPLAIN"].contains(&first.as_str()) => {
            format!("{first} {second}")
        }
        [first, ..] => first.clone(),
        [] => first_word(statement),
    }
}

fn first_word(statement: &str) -> String {
    statement.split_whitespace().next().unwrap_or_default().to_uppercase()
}

/// The report tables that the statement names.
///
/// # Errors
/// When it names a table that is not there: looked at before planning, because only here the name is at hand as written.
pub(super) fn named_tables(state: &SessionState, parsed: &Statement) -> Result<Vec<String>, ConsoleError> {
    let Ok(references) = state.resolve_table_references(parsed) else {
        return Ok(Vec::new()); // planning says it better
    };
    let mut tables = Vec::new();
    for reference in references {
        let is_ours = reference.schema().is_none_or(|schema| schema == super::SCHEMA);
        if !is_ours {
            continue;
        }
        let name = reference.table();
        // A table function looks like a table here.
        if name == "unnest" || state.table_functions().contains_key(name) {
            continue;
        }
        if table_named(name).is_none() {
            return Err(unknown_table(name));
        }
        tables.push(name.to_owned());
    }
    Ok(tables)
}

fn unknown_table(name: &str) -> ConsoleError {
    ConsoleError::UnknownTable { name: name.to_owned(), nearest: nearest(name, TABLES.iter().map(|table| table.name)) }
}

/// The engine's error as one of ours, with the nearest name where one is unknown.
pub(super) fn explained(error: DataFusionError, statement: &str, tables: &[String], phase: Phase) -> ConsoleError {
    let error = match own_error(error) {
        Ok(own) => return own,
        Err(error) => error,
    };
    if let DataFusionError::SchemaError(schema_error, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = schema_error.as_ref()
    {
        let mut known: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
        let named: Vec<_> = tables.iter().filter_map(|name| table_named(name)).map(|table| table.file_schema()).collect();
        if known.is_empty() {
            known = named.iter().flat_map(|schema| schema.fields()).map(|field| field.name().as_str()).collect();
            known.push("run");
        }
        return ConsoleError::UnknownColumn { name: field.name.clone(), nearest: nearest(&field.name, known), tables: tables.to_vec() };
    }
    let reason = reason_of(&error);
    if let Some(name) = reason.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        return unknown_table(name.rsplit('.').next().unwrap_or(name));
    }
    if let Some((_, name)) = reason.split_once("No value found for placeholder with name $") {
        return ConsoleError::MissingParameter { name: name.to_owned() };
    }
    let statement = statement.to_owned();
    match phase {
        Phase::Planning => ConsoleError::Plan { statement, reason },
        Phase::Running => ConsoleError::Execute { statement, reason },
    }
}

/// An error of ours that went through the engine comes out as it was.
fn own_error(error: DataFusionError) -> Result<ConsoleError, DataFusionError> {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<ConsoleError>() {
            Ok(own) => Ok(*own),
            Err(inner) => Err(DataFusionError::External(inner)),
        },
        DataFusionError::Context(context, inner) => own_error(*inner).map_err(|inner| DataFusionError::Context(context, Box::new(inner))),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            own_error(*inner).map_err(|inner| DataFusionError::Diagnostic(diagnostic, Box::new(inner)))
        }
        other => Err(other),
    }
}

/// What the engine said, without its own prefixes. It may quote a value from the data, so it is escaped.
fn reason_of(error: &DataFusionError) -> String {
    let text = match error.find_root() {
        DataFusionError::Collection(errors) if !errors.is_empty() => return reason_of(&errors[0]),
        root => root.strip_backtrace(),
    };
    let mut reason = text.as_str();
    for prefix in ["Error during planning: ", "SQL error: ", "Execution error: ", "Arrow error: ", "External error: ", "Schema error: "] {
        reason = reason.strip_prefix(prefix).unwrap_or(reason);
    }
    let reason = reason.strip_prefix("ParserError(\"").and_then(|rest| rest.strip_suffix("\")")).unwrap_or(reason);
    escape_lines(reason.trim_end())
}
