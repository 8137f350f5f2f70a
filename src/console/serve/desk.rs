//! What may be asked, and the answer: the two ways in which clients send statements, over the same few kinds of statements.
//!
//! A question is planned twice in the second way: once when it is prepared, for its columns and parameters, and again when it is
//! executed, so that a statement that a driver keeps for hours sees the runs of the moment in which it is asked.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::common::ParamValues;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::{CloseCursor, DeclareType, DiscardObject, FetchDirection, Reset, Statement as SqlStatement, Value};
use datafusion_postgres::arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, into_pg_type};
use datafusion_postgres::pgwire::api::portal::{Format, Portal, PortalExecutionState};
use datafusion_postgres::pgwire::api::query::{
    ExtendedQueryHandler, SimpleQueryHandler, send_execution_response, send_query_response, send_ready_for_query,
};
use datafusion_postgres::pgwire::api::results::{
    DataRowEncoder, DescribePortalResponse, DescribeStatementResponse, FieldFormat, FieldInfo, QueryResponse, Response, Tag,
};
use datafusion_postgres::pgwire::api::stmt::{QueryParser, StoredStatement};
use datafusion_postgres::pgwire::api::store::{Entry, MemPortalStore, PortalStore};
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, PgWireConnectionState, Type};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::extendedquery::{Execute, PortalSuspended};
use datafusion_postgres::pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};
use datafusion_postgres::pgwire::messages::simplequery::Query;
use datafusion_postgres::pgwire::messages::startup::ParameterStatus;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use futures::{Sink, SinkExt, StreamExt, stream};

use super::super::statement::{Phase, named_tables, refuse_unless_asking, refuse_unless_reading};
use super::connection::House;
use super::kept::{Kept, kept};
use super::rows;
use super::settings;
use super::sqlstate::{ABORTED, INTERNAL, NO_CURSOR, PROTOCOL, SYNTAX, UNDEFINED, UNSUPPORTED, engine, error, refused};

/// The most statements that one message may hold.
const MOST_STATEMENTS: usize = 100;

/// Answers the statements of one connection.
pub(super) struct Desk {
    pub(super) house: Arc<House>,
    pub(super) kept: Arc<Mutex<Kept>>,
}

/// A statement that was parsed, and planned if it is a question.
#[derive(Debug, Clone)]
pub(super) struct Prepared(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    statement: SqlStatement,
    text: String,
    plan: Option<LogicalPlan>,
}

/// A question, planned over the runs of this moment.
struct Question {
    state: SessionState,
    plan: LogicalPlan,
    tables: Vec<String>,
    text: String,
}

/// Whether a statement asks for rows of the engine; the others are answered here.
fn is_question(statement: &SqlStatement) -> bool {
    match statement {
        SqlStatement::ShowVariable { variable } => {
            let name = variable.iter().map(|word| word.value.to_lowercase()).collect::<Vec<_>>().join(".");
            name == "all" || name.starts_with("datafusion.")
        }
        _ => !is_aside(statement),
    }
}

/// What drivers say around their questions.
fn is_aside(statement: &SqlStatement) -> bool {
    matches!(
        statement,
        SqlStatement::Set(_)
            | SqlStatement::Reset(_)
            | SqlStatement::StartTransaction { .. }
            | SqlStatement::Commit { .. }
            | SqlStatement::Rollback { .. }
            | SqlStatement::Savepoint { .. }
            | SqlStatement::ReleaseSavepoint { .. }
            | SqlStatement::Discard { .. }
            | SqlStatement::Deallocate { .. }
            | SqlStatement::UNLISTEN { .. }
            | SqlStatement::Declare { .. }
            | SqlStatement::Fetch { .. }
            | SqlStatement::Close { .. }
    )
}

/// Whether a transaction that has failed still takes the statement.
fn ends_transaction(statement: &SqlStatement) -> bool {
    matches!(statement, SqlStatement::Commit { .. } | SqlStatement::Rollback { .. })
}

fn refuse_in_failed_transaction<C: ClientInfo>(client: &C, statement: &SqlStatement) -> PgWireResult<()> {
    if client.transaction_status() == TransactionStatus::Error && !ends_transaction(statement) {
        return Err(error(ABORTED, "current transaction is aborted, commands ignored until end of transaction block", "say ROLLBACK"));
    }
    Ok(())
}

impl Desk {
    fn parse(&self, text: &str) -> PgWireResult<Vec<SqlStatement>> {
        let statements = self.house.parser.parse(text).map_err(|failure| {
            let reason = failure.to_string();
            let reason = reason.strip_prefix("sql parser error: ").unwrap_or(&reason).to_owned();
            error(SYNTAX, format!("the statement cannot be parsed: {}", super::super::escape::escape_lines(&reason)), "")
        })?;
        if statements.len() > MOST_STATEMENTS {
            return Err(error(super::sqlstate::LIMIT, format!("one message holds at most {MOST_STATEMENTS} statements"), ""));
        }
        Ok(statements)
    }

    /// Plans a question over the runs of this moment.
    async fn plan(&self, statement: &SqlStatement, text: &str) -> PgWireResult<Question> {
        if matches!(statement, SqlStatement::Copy { .. }) {
            return Err(error(
                UNSUPPORTED,
                "COPY is not supported",
                "use SELECT; psql writes its result to a file with `\\g FILE` or `--csv`",
            ));
        }
        if matches!(statement, SqlStatement::Prepare { .. } | SqlStatement::Execute { .. }) {
            return Err(error(
                UNSUPPORTED,
                "PREPARE and EXECUTE are not supported as statements",
                "drivers prepare statements by the protocol",
            ));
        }
        let parsed = EngineStatement::Statement(Box::new(statement.clone()));
        refuse_unless_asking(&parsed, text).map_err(|refusal| refused(&refusal))?;
        let state = self.house.catalog.now().map_err(|refusal| refused(&refusal))?;
        let tables = named_tables(&state, &parsed).map_err(|refusal| refused(&refusal))?;
        let plan = state.statement_to_plan(parsed).await.map_err(|failure| engine(failure, text, &tables, Phase::Planning))?;
        refuse_unless_reading(&plan, text).map_err(|refusal| refused(&refusal))?;
        Ok(Question { state, plan, tables, text: text.to_owned() })
    }

    async fn run(&self, question: Question, format: &Format, options: FormatOptions) -> PgWireResult<QueryResponse> {
        let Question { state, plan, tables, text } = question;
        let frame = DataFrame::new(state, plan);
        let fields = fields(&frame.logical_plan().clone(), format, Some(options))?;
        let rows = frame.execute_stream().await.map_err(|failure| engine(failure, &text, &tables, Phase::Running))?;
        Ok(rows::answer(rows, Arc::new(fields), text))
    }

    fn let_go_of_statements<C>(&self, client: &C) -> PgWireResult<()>
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        let store = store(client)?;
        kept(&self.kept).statements.drain().for_each(|name| store.rm_statement(&name));
        Ok(())
    }

    fn let_go_of_cursors<C>(&self, client: &C) -> PgWireResult<()>
    where
        C: ClientPortalStore,
        C::PortalStore: PortalStore,
    {
        store(client)?.clear_portals();
        kept(&self.kept).cursors.clear();
        Ok(())
    }

    /// Answers what is no question.
    async fn answer_aside<C>(&self, client: &mut C, statement: &SqlStatement) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let done = |tag: &str| Ok(Response::Execution(Tag::new(tag)));
        let status = client.transaction_status();
        match statement {
            SqlStatement::Set(set) => {
                if let Some((name, value)) = settings::take(client.metadata_mut(), set)? {
                    client.feed(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))).await?;
                }
                done("SET")
            }
            SqlStatement::Reset(reset) => {
                let name = match &reset.reset {
                    Reset::ALL => None,
                    Reset::ConfigurationParameter(name) => Some(name.to_string()),
                };
                for (name, value) in settings::reset(client.metadata_mut(), name.as_deref()) {
                    client.feed(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value))).await?;
                }
                done("RESET")
            }
            SqlStatement::ShowVariable { variable } => {
                let words: Vec<String> = variable.iter().map(|word| word.value.to_lowercase()).collect();
                let name = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                    ["time", "zone"] => "timezone".to_owned(),
                    ["transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
                    _ => words.join("."),
                };
                let shown = settings::shown(client.metadata(), &name)
                    .ok_or_else(|| error(UNDEFINED, format!("there is no setting `{}`", super::super::escape::escape_lines(&name)), ""))?;
                one_text(&name, &shown).map(Response::Query)
            }
            SqlStatement::StartTransaction { .. } if status == TransactionStatus::Idle => Ok(Response::TransactionStart(Tag::new("BEGIN"))),
            SqlStatement::StartTransaction { .. } => done("BEGIN"),
            SqlStatement::Commit { .. } if status == TransactionStatus::Error => Ok(Response::TransactionEnd(Tag::new("ROLLBACK"))),
            SqlStatement::Commit { .. } => Ok(Response::TransactionEnd(Tag::new("COMMIT"))),
            SqlStatement::Rollback { savepoint: Some(_), .. } if status == TransactionStatus::Idle => {
                Err(error("25P01", "ROLLBACK TO SAVEPOINT can only be used in transaction blocks", ""))
            }
            // Nothing was changed that could be undone, but the transaction goes on, and no longer as a failed one.
            SqlStatement::Rollback { savepoint: Some(_), .. } => Ok(Response::TransactionStart(Tag::new("ROLLBACK"))),
            SqlStatement::Rollback { .. } => Ok(Response::TransactionEnd(Tag::new("ROLLBACK"))),
            SqlStatement::Savepoint { .. } => done("SAVEPOINT"),
            SqlStatement::ReleaseSavepoint { .. } => done("RELEASE"),
            SqlStatement::Discard { object_type: DiscardObject::ALL } => {
                self.let_go_of_statements(client)?;
                self.let_go_of_cursors(client)?;
                settings::reset(client.metadata_mut(), None);
                done("DISCARD ALL")
            }
            SqlStatement::Discard { .. } => done("DISCARD"),
            SqlStatement::Deallocate { name, .. } if name.value.eq_ignore_ascii_case("all") => {
                self.let_go_of_statements(client)?;
                done("DEALLOCATE ALL")
            }
            SqlStatement::Deallocate { name, .. } => {
                kept(&self.kept).statements.remove(&name.value);
                store(client)?.rm_statement(&name.value);
                done("DEALLOCATE")
            }
            SqlStatement::UNLISTEN { .. } => done("UNLISTEN"),
            SqlStatement::Declare { stmts } => {
                for declared in stmts {
                    let (Some(DeclareType::Cursor), Some(name), Some(query)) =
                        (&declared.declare_type, declared.names.first(), &declared.for_query)
                    else {
                        return Err(error(SYNTAX, "DECLARE takes a cursor: `DECLARE name CURSOR FOR SELECT …`", ""));
                    };
                    kept(&self.kept).cursors.insert(name.value.clone());
                    kept(&self.kept).check()?;
                    let query = SqlStatement::Query(query.clone());
                    let text = query.to_string();
                    let question = self.plan(&query, &text).await?;
                    let plan = question.plan.clone();
                    let options = FormatOptions::from_client_metadata(client.metadata());
                    let answer = self.run(question, &Format::UnifiedText, options).await?;
                    let parsed = Prepared(Arc::new(Parsed { statement: query, text, plan: Some(plan) }));
                    let portal = Portal::new_cursor(name.value.clone(), Arc::new(StoredStatement::new(name.value.clone(), parsed, vec![])));
                    portal.start(answer).await;
                    store(client)?.put_portal(Arc::new(portal));
                }
                done("DECLARE CURSOR")
            }
            SqlStatement::Fetch { name, direction, .. } => {
                let most = fetched(direction)?;
                let portal = store(client)?.get_portal(&name.value).and_then(|entry| entry.value().map(Arc::clone));
                let portal = portal.ok_or_else(|| {
                    error(NO_CURSOR, format!("there is no cursor `{}`", super::super::escape::escape_lines(&name.value)), "")
                })?;
                fetch(&portal, most).await.map(Response::Query)
            }
            SqlStatement::Close { cursor } => {
                match cursor {
                    CloseCursor::All => self.let_go_of_cursors(client)?,
                    CloseCursor::Specific { name } => {
                        kept(&self.kept).cursors.remove(&name.value);
                        store(client)?.rm_portal(&name.value);
                    }
                }
                done("CLOSE CURSOR")
            }
            _ => Err(no_answer()),
        }
    }
}

/// How many rows a FETCH takes, None for all that are left.
fn fetched(direction: &FetchDirection) -> PgWireResult<Option<usize>> {
    match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => Ok(Some(1)),
        FetchDirection::Forward { limit: Some(limit) } | FetchDirection::Count { limit } => match &limit.value {
            Value::Number(number, _) => {
                number.parse().map(Some).map_err(|_| error(SYNTAX, "FETCH takes a number of rows that is not negative", ""))
            }
            _ => Err(error(SYNTAX, "FETCH takes a number of rows", "")),
        },
        FetchDirection::ForwardAll | FetchDirection::All => Ok(None),
        _ => Err(error("55000", "a cursor can only go forward", "")),
    }
}

/// The next rows of a cursor, read as they are sent.
async fn fetch(portal: &Portal<Prepared>, most: Option<usize>) -> PgWireResult<QueryResponse> {
    let state = portal.state();
    let schema = match &*state.lock().await {
        PortalExecutionState::Suspended(answer) => answer.row_schema(),
        PortalExecutionState::Initial | PortalExecutionState::Finished => Arc::new(vec![]),
    };
    let rows = stream::unfold((state, most), |(state, left)| async move {
        if left == Some(0) {
            return None;
        }
        let row = match &mut *state.lock().await {
            PortalExecutionState::Suspended(answer) => answer.data_rows().next().await,
            PortalExecutionState::Initial | PortalExecutionState::Finished => None,
        }?;
        Some((row, (state, left.map(|left| left - 1))))
    });
    let mut answer = QueryResponse::new(schema, rows);
    answer.set_command_tag("FETCH");
    Ok(answer)
}

/// The columns of a plan as the protocol describes them.
fn fields(plan: &LogicalPlan, format: &Format, options: Option<FormatOptions>) -> PgWireResult<Vec<FieldInfo>> {
    let schema = plan.schema().as_arrow();
    if let Format::Individual(formats) = format
        && formats.len() != schema.fields().len()
    {
        return Err(error(PROTOCOL, format!("{} result formats for {} columns", formats.len(), schema.fields().len()), ""));
    }
    arrow_schema_to_pg_fields(schema, format, options.map(Arc::new)).map_err(|failure| match failure {
        // The crate calls a type that the protocol has no word for an internal error.
        PgWireError::UserError(info) if info.code == INTERNAL => {
            error(UNSUPPORTED, info.message.clone(), "cast the column to text in the statement")
        }
        other => other,
    })
}

fn one_text(name: &str, value: &str) -> PgWireResult<QueryResponse> {
    let fields = Arc::new(vec![FieldInfo::new(name.to_owned(), None, None, Type::TEXT, FieldFormat::Text)]);
    let mut encoder = DataRowEncoder::new(Arc::clone(&fields));
    encoder.encode_field(&Some(value))?;
    let row = encoder.take_row();
    let mut answer = QueryResponse::new(fields, stream::once(async move { Ok(row) }));
    answer.set_command_tag("SHOW");
    Ok(answer)
}

/// The store of a connection's prepared statements and cursors. There is one kind of it.
fn store<C>(client: &C) -> PgWireResult<&MemPortalStore<Prepared>>
where
    C: ClientPortalStore,
    C::PortalStore: PortalStore,
{
    client.portal_store().as_any().downcast_ref().ok_or_else(|| error(INTERNAL, "the connection keeps no statements", ""))
}

#[async_trait]
impl SimpleQueryHandler for Desk {
    /// Answers one statement after the other, each wholly before the next is looked at. The way of the protocol crate would begin them
    /// all first, and would leave a transaction failed that goes back to a savepoint.
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        client.set_state(PgWireConnectionState::QueryInProgress);
        let statements = self.parse(&query.query)?;
        if statements.is_empty() {
            client.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        for statement in &statements {
            refuse_in_failed_transaction(client, statement)?;
            let answer = if is_question(statement) {
                // Errors quote the statement as it was written, as far as it is known which it is.
                let text = if statements.len() == 1 { query.query.clone() } else { statement.to_string() };
                let question = self.plan(statement, &text).await?;
                let options = FormatOptions::from_client_metadata(client.metadata());
                Response::Query(self.run(question, &Format::UnifiedText, options).await?)
            } else {
                self.answer_aside(client, statement).await?
            };
            match answer {
                Response::Query(answer) => send_query_response(client, answer, true).await?,
                other => finish(client, other).await?,
            }
        }
        client.set_state(PgWireConnectionState::ReadyForQuery);
        let status = client.transaction_status();
        send_ready_for_query(client, status).await
    }

    async fn do_query<C>(&self, _client: &mut C, _query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Err(no_answer()) // `on_query` is the only one who would call it
    }
}

fn no_answer() -> PgWireError {
    error(INTERNAL, "this statement has no answer", "this is a fault of gapless; please report it")
}

/// Sends an answer without rows, and notes what it means for the transaction.
async fn finish<C>(client: &mut C, answer: Response) -> PgWireResult<()>
where
    C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let (tag, status) = match answer {
        Response::Execution(tag) => (tag, None),
        Response::TransactionStart(tag) => (tag, Some(TransactionStatus::Transaction)),
        Response::TransactionEnd(tag) => (tag, Some(TransactionStatus::Idle)),
        _ => return Err(no_answer()),
    };
    send_execution_response(client, tag).await?;
    if let Some(status) = status {
        client.set_transaction_status(status);
    }
    Ok(())
}

#[async_trait]
impl QueryParser for Desk {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, client: &C, sql: &str, _types: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut statements = self.parse(sql)?;
        let statement = match (statements.pop(), statements.is_empty()) {
            (None, _) => return Ok(None),
            (Some(statement), true) => statement,
            (Some(_), false) => return Err(error(SYNTAX, "cannot insert multiple commands into a prepared statement", "")),
        };
        refuse_in_failed_transaction(client, &statement)?;
        let plan = if is_question(&statement) { Some(self.plan(&statement, sql).await?.plan) } else { None };
        Ok(Some(Prepared(Arc::new(Parsed { statement, text: sql.to_owned(), plan }))))
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        let wire = |kind: Option<DataType>| kind.map_or(Ok(Type::TEXT), |kind| into_pg_type(&kind));
        parameters(prepared)?.into_iter().map(wire).collect()
    }

    fn get_result_schema(&self, prepared: &Prepared, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        match (&prepared.0.plan, &prepared.0.statement) {
            (Some(plan), _) => fields(plan, format.unwrap_or(&Format::UnifiedText), None),
            (None, SqlStatement::ShowVariable { variable }) => {
                let name = variable.iter().map(|word| word.value.to_lowercase()).collect::<Vec<_>>().join(".");
                Ok(vec![FieldInfo::new(name, None, None, Type::TEXT, FieldFormat::Text)])
            }
            _ => Ok(vec![]),
        }
    }
}

/// The types of a statement's parameters in their order, as far as the engine knows them.
fn parameters(prepared: &Prepared) -> PgWireResult<Vec<Option<DataType>>> {
    let Some(plan) = &prepared.0.plan else {
        return Ok(vec![]);
    };
    let known = plan.get_parameter_types().map_err(|failure| engine(failure, &prepared.0.text, &[], Phase::Planning))?;
    let limits = limits(plan);
    let mut types = Vec::new();
    for (name, kind) in known {
        let place = name.strip_prefix('$').and_then(|place| place.parse::<u16>().ok()).filter(|place| *place > 0);
        let place = place.ok_or_else(|| error("42P02", format!("`{name}` is no parameter here"), "parameters are $1, $2, …"))?;
        let place = usize::from(place) - 1;
        if types.len() <= place {
            types.resize(place + 1, None);
        }
        types[place] = if limits.contains(&name) { Some(DataType::Int64) } else { kind };
    }
    Ok(types)
}

/// The parameters that say how many rows: the engine has no type for them.
fn limits(plan: &LogicalPlan) -> HashSet<String> {
    let mut names = HashSet::new();
    // Nothing here fails, and so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for count in [&limit.skip, &limit.fetch].into_iter().flatten() {
                let _ = count.apply(|part| {
                    if let Expr::Placeholder(placeholder) = part {
                        names.insert(placeholder.id.clone());
                    }
                    Ok(TreeNodeRecursion::Continue)
                });
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    names
}

/// The values that a client bound.
fn bound(portal: &Portal<Prepared>) -> PgWireResult<ParamValues> {
    let types = parameters(&portal.statement.statement)?;
    let given = portal.parameter_len();
    if given != types.len() {
        return Err(error(PROTOCOL, format!("{given} parameters were bound, and the statement has {}", types.len()), ""));
    }
    if let Format::Individual(formats) = &portal.parameter_format
        && formats.len() != given
    {
        return Err(error(PROTOCOL, format!("{} parameter formats for {given} parameters", formats.len()), ""));
    }
    let inferred: Vec<Option<&DataType>> = types.iter().map(Option::as_ref).collect();
    // What nobody knows the type of is text, as in PostgreSQL.
    let said: Vec<Option<&Type>> = types.iter().map(|kind| kind.is_none().then_some(&Type::TEXT)).collect();
    let values = deserialize_parameters_with_server_types(portal, &inferred, &said)?;
    // The crate leaves out a NULL of a type that it does not know, and so would give the others to the wrong places.
    match &values {
        ParamValues::List(list) if list.len() == given => Ok(values),
        _ => Err(error(UNSUPPORTED, "a parameter has a type that is not supported", "cast it in the statement, as in CAST($1 AS text)")),
    }
}

#[async_trait]
impl ExtendedQueryHandler for Desk {
    type Statement = Prepared;
    type QueryParser = Self;

    fn query_parser(&self) -> Arc<Self> {
        Arc::new(Self { house: Arc::clone(&self.house), kept: Arc::clone(&self.kept) })
    }

    async fn do_describe_statement<C>(&self, client: &mut C, target: &StoredStatement<Prepared>) -> PgWireResult<DescribeStatementResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let own = self.get_parameter_types(&target.statement)?;
        // What the client says of a parameter goes before what the engine found.
        let said = |place: usize| target.parameter_types.get(place).cloned().flatten();
        let types = own.into_iter().enumerate().map(|(place, kind)| said(place).unwrap_or(kind)).collect();
        let columns = match described_cursor(client, &target.statement).await {
            Some(columns) => columns,
            None => self.get_result_schema(&target.statement, None)?,
        };
        Ok(DescribeStatementResponse::new(types, columns))
    }

    async fn do_describe_portal<C>(&self, client: &mut C, target: &Portal<Prepared>) -> PgWireResult<DescribePortalResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let statement = &target.statement.statement;
        let columns = match described_cursor(client, statement).await {
            Some(columns) => columns,
            None => self.get_result_schema(statement, Some(&target.result_column_format))?,
        };
        Ok(DescribePortalResponse::new(columns))
    }

    /// Sends rows as they come. The way of the protocol crate would hold all rows of an answer in memory first.
    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        let most = usize::try_from(message.max_rows).unwrap_or(0);
        let portal = match client.portal_store().get_portal(name) {
            Some(Entry::Value(portal)) => portal,
            Some(Entry::Empty) => {
                client.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
                return Ok(());
            }
            None => return Err(error(NO_CURSOR, "there is no such portal", "")),
        };
        let state = portal.state();
        let mut state = state.lock().await;
        if matches!(*state, PortalExecutionState::Initial) {
            match ExtendedQueryHandler::do_query(self, client, portal.as_ref(), most).await? {
                Response::Query(answer) => *state = PortalExecutionState::Suspended(answer),
                other => return finish(client, other).await,
            }
        }
        let mut sent = 0;
        let mut tag = "SELECT".to_owned();
        if let PortalExecutionState::Suspended(answer) = &mut *state {
            answer.command_tag().clone_into(&mut tag);
            let rows = answer.data_rows();
            loop {
                if most > 0 && sent == most {
                    return Ok(client.send(PgWireBackendMessage::PortalSuspended(PortalSuspended::new())).await?);
                }
                let Some(row) = rows.next().await else { break };
                client.feed(PgWireBackendMessage::DataRow(row?)).await?;
                sent += 1;
            }
            *state = PortalExecutionState::Finished;
        }
        Ok(client.feed(PgWireBackendMessage::CommandComplete(Tag::new(&tag).with_rows(sent).into())).await?)
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Prepared>, _most: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let prepared = &portal.statement.statement;
        let Parsed { statement, text, plan } = prepared.0.as_ref();
        refuse_in_failed_transaction(client, statement)?;
        let Some(described) = plan else {
            return self.answer_aside(client, statement).await;
        };
        let values = bound(portal)?;
        let mut question = self.plan(statement, text).await?;
        let shape = |plan: &LogicalPlan| {
            plan.schema().fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect::<Vec<_>>()
        };
        if shape(described) != shape(&question.plan) {
            return Err(error(
                UNSUPPORTED,
                "cached plan must not change result type",
                "a newer run has further columns: prepare the statement again",
            ));
        }
        question.plan = question
            .plan
            .replace_params_with_values(&values)
            .map_err(|failure| engine(failure, text, &question.tables, Phase::Planning))?;
        let options = FormatOptions::from_client_metadata(client.metadata());
        self.run(question, &portal.result_column_format, options).await.map(Response::Query)
    }
}

/// The columns of the cursor that a FETCH names.
async fn described_cursor<C>(client: &C, prepared: &Prepared) -> Option<Vec<FieldInfo>>
where
    C: ClientPortalStore,
    C::PortalStore: PortalStore<Statement = Prepared>,
{
    let SqlStatement::Fetch { name, .. } = &prepared.0.statement else {
        return None;
    };
    let portal = client.portal_store().get_portal(&name.value)?.value().map(Arc::clone)?;
    let state = portal.state();
    match &*state.lock().await {
        PortalExecutionState::Suspended(answer) => Some(answer.row_schema().as_ref().clone()),
        PortalExecutionState::Initial | PortalExecutionState::Finished => None,
    }
}
