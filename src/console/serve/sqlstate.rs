//! Errors as clients of PostgreSQL understand them: a code of five letters, a sentence, and a hint.

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};

use super::super::ConsoleError;
use super::super::escape::escape_lines;
use super::super::statement::{Phase, explained};

/// `syntax_error`
pub(super) const SYNTAX: &str = "42601";
/// `undefined_object`
pub(super) const UNDEFINED: &str = "42704";
/// `feature_not_supported`
pub(super) const UNSUPPORTED: &str = "0A000";
/// `read_only_sql_transaction`
pub(super) const READ_ONLY: &str = "25006";
/// `in_failed_sql_transaction`
pub(super) const ABORTED: &str = "25P02";
/// `protocol_violation`
pub(super) const PROTOCOL: &str = "08P01";
/// `invalid_parameter_value`
pub(super) const BAD_VALUE: &str = "22023";
/// `query_canceled`
pub(super) const CANCELLED: &str = "57014";
/// `admin_shutdown`
pub(super) const SHUTDOWN: &str = "57P01";
/// `too_many_connections`
pub(super) const TOO_MANY: &str = "53300";
/// `configuration_limit_exceeded`
pub(super) const LIMIT: &str = "53400";
/// `invalid_authorization_specification`
pub(super) const NOT_LET_IN: &str = "28000";
/// `invalid_cursor_name`
pub(super) const NO_CURSOR: &str = "34000";
/// `serialization_failure`: the same statement can succeed when it is said again
pub(super) const AGAIN: &str = "40001";
/// `internal_error`
pub(super) const INTERNAL: &str = "XX000";

/// An error that ends the statement.
pub(super) fn error(code: &str, message: impl Into<String>, hint: impl Into<String>) -> PgWireError {
    info("ERROR", code, message.into(), hint.into())
}

/// An error that ends the connection.
pub(super) fn fatal(code: &str, message: impl Into<String>) -> PgWireError {
    info("FATAL", code, message.into(), String::new())
}

fn info(severity: &str, code: &str, message: String, hint: String) -> PgWireError {
    let mut info = ErrorInfo::new(severity.to_owned(), code.to_owned(), message);
    info.severity_nonlocalized = Some(severity.to_owned());
    info.hint = Some(hint).filter(|hint| !hint.is_empty());
    PgWireError::UserError(Box::new(info))
}

/// An error of the console.
pub(super) fn refused(refusal: &ConsoleError) -> PgWireError {
    let code = match refusal {
        ConsoleError::Refused { .. } => READ_ONLY,
        ConsoleError::Parse { .. } => SYNTAX,
        ConsoleError::UnknownTable { .. } => "42P01",
        ConsoleError::UnknownColumn { .. } => "42703",
        ConsoleError::Plan { .. } => "42000",
        ConsoleError::MissingParameter { .. } => "42P02",
        ConsoleError::Execute { .. } => "22000",
        ConsoleError::ReportMissing { .. } | ConsoleError::ReadReport { .. } | ConsoleError::ReadTable { .. } => "58030",
        _ => INTERNAL,
    };
    coded(code, refusal)
}

fn coded(code: &str, refusal: &ConsoleError) -> PgWireError {
    let message = match refusal {
        // The client knows its statement.
        ConsoleError::Parse { reason, .. } => format!("the statement cannot be parsed: {reason}"),
        ConsoleError::Plan { reason, .. } => format!("the statement cannot be planned: {reason}"),
        ConsoleError::Execute { reason, .. } => format!("the statement failed: {reason}"),
        ConsoleError::Refused { kind } => format!("`{kind}` is refused: the server only reads"),
        other => other.to_string(),
    };
    let hint = match refusal {
        ConsoleError::Refused { .. } => "use SELECT, WITH, VALUES, EXPLAIN, SHOW or DESCRIBE".to_owned(),
        ConsoleError::Execute { .. } if code != "22000" => String::new(),
        other => other.help(),
    };
    error(code, message, hint)
}

/// An error of the engine, while it planned or ran a statement that reads `tables`.
pub(super) fn engine(failure: DataFusionError, statement: &str, tables: &[String], phase: Phase) -> PgWireError {
    let code = code_of(&failure);
    if code == Some(AGAIN) {
        return error(AGAIN, "a run was removed from the report while it was read", "ask again");
    }
    let refusal = explained(failure, statement, tables, phase);
    match (&refusal, code) {
        (ConsoleError::Plan { .. } | ConsoleError::Execute { .. }, Some("53200")) => error(
            "53200",
            coded_reason(&refusal),
            "the memory of all statements together is bounded; ask for less at once, or start the server with more `--memory`",
        ),
        (ConsoleError::Plan { .. } | ConsoleError::Execute { .. }, Some(code)) => coded(code, &refusal),
        _ => refused(&refusal),
    }
}

fn coded_reason(refusal: &ConsoleError) -> String {
    match refusal {
        ConsoleError::Plan { reason, .. } | ConsoleError::Execute { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

/// The code of what is at the root, where that says more than the phase.
fn code_of(failure: &DataFusionError) -> Option<&'static str> {
    match failure.find_root() {
        DataFusionError::ResourcesExhausted(_) => Some("53200"),
        DataFusionError::NotImplemented(_) => Some(UNSUPPORTED),
        DataFusionError::SQL(..) => Some(SYNTAX),
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::AmbiguousReference { .. } => Some("42702"),
            SchemaError::DuplicateQualifiedField { .. } | SchemaError::DuplicateUnqualifiedField { .. } => Some("42701"),
            SchemaError::FieldNotFound { .. } => Some("42703"),
        },
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::DivideByZero => Some("22012"),
            ArrowError::ArithmeticOverflow(_) => Some("22003"),
            ArrowError::CastError(_) | ArrowError::ParseError(_) => Some("22P02"),
            _ => None,
        },
        DataFusionError::ObjectStore(inner) if matches!(**inner, object_store::Error::NotFound { .. }) => Some(AGAIN),
        DataFusionError::Plan(text) if text.contains("Invalid function") => Some("42883"),
        DataFusionError::Collection(errors) => errors.first().and_then(code_of),
        DataFusionError::Internal(_) => Some(INTERNAL),
        _ => None,
    }
}

/// An error of the protocol crate as it goes to the client: what is ours stays, the rest loses what only its authors understand.
pub(super) fn outgoing(failure: PgWireError) -> PgWireError {
    match failure {
        PgWireError::ApiError(inner) => match inner.downcast::<DataFusionError>() {
            Ok(failure) => engine(*failure, "", &[], Phase::Running),
            Err(inner) => error(INTERNAL, escape_lines(&inner.to_string()), ""),
        },
        PgWireError::QueryCanceled => error(CANCELLED, "the statement was cancelled", ""),
        other => other,
    }
}
