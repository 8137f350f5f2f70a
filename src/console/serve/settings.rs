//! What drivers set and ask of a session around their statements.
//!
//! What changes nothing here is taken and forgotten, as long as it is a setting of PostgreSQL; settings of the engine are fixed, because
//! they would change what everybody's statements may do.

use std::collections::HashMap;
use std::time::Duration;

use datafusion::sql::sqlparser::ast::{Expr, Set, Value};
use datafusion_postgres::pgwire::error::PgWireError;

use super::super::SCHEMA;
use super::sqlstate::{BAD_VALUE, READ_ONLY, UNDEFINED, UNSUPPORTED, error};

/// The version of PostgreSQL whose clients are spoken to.
const VERSION: &str = concat!("16.6 (gapless ", env!("CARGO_PKG_VERSION"), ")");

/// Settings with what they are here, in PostgreSQL's spelling.
const FIXED: [(&str, &str); 16] = [
    ("server_version", VERSION),
    ("server_version_num", "160006"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("integer_datetimes", "on"),
    ("in_hot_standby", "off"),
    ("is_superuser", "off"),
    ("default_transaction_read_only", "on"),
    ("transaction_read_only", "on"),
    ("standard_conforming_strings", "on"),
    ("TimeZone", "UTC"),
    ("search_path", SCHEMA),
    ("transaction_isolation", "read committed"),
    ("default_transaction_isolation", "read committed"),
    ("max_identifier_length", "63"),
    ("lc_collate", "C"),
];

/// Which of them a client is told when it comes in.
const TOLD: [&str; 10] = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "integer_datetimes",
    "in_hot_standby",
    "is_superuser",
    "default_transaction_read_only",
    "standard_conforming_strings",
    "TimeZone",
    "search_path",
];

/// Settings that change how values are written, with their defaults, in PostgreSQL's spelling.
const KEPT: [(&str, &str); 5] = [
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("application_name", ""),
];

/// Settings that drivers make and that change nothing here.
const FORGOTTEN: [&str; 16] = [
    "client_min_messages",
    "default_transaction_deferrable",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "jit",
    "lock_timeout",
    "log_min_messages",
    "log_statement",
    "row_security",
    "search_path",
    "synchronous_commit",
    "synchronize_seqscans",
    "transaction_timeout",
    "work_mem",
    "xmloption",
];

const TIMEOUT: &str = "statement_timeout";

type Metadata = HashMap<String, String>;

/// What a client is told when it comes in.
pub(super) fn greeting(metadata: &Metadata) -> HashMap<String, String> {
    let told = FIXED.iter().filter(|(name, _)| TOLD.contains(name)).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let kept = KEPT.iter().filter(|(name, _)| ["DateStyle", "IntervalStyle", "application_name"].contains(name));
    told.chain(kept.map(|(name, _)| ((*name).to_owned(), shown(metadata, name).unwrap_or_default()))).collect()
}

/// The value of a setting, None where there is no such setting.
pub(super) fn shown(metadata: &Metadata, name: &str) -> Option<String> {
    let same = |known: &str| known.eq_ignore_ascii_case(name);
    if let Some((_, value)) = FIXED.iter().find(|(known, _)| same(known)) {
        return Some((*value).to_owned());
    }
    if let Some((known, default)) = KEPT.iter().find(|(known, _)| same(known)) {
        return Some(metadata.get(&known.to_lowercase()).cloned().unwrap_or_else(|| (*default).to_owned()));
    }
    if same(TIMEOUT) {
        return Some(timeout(metadata).map_or_else(|| "0".to_owned(), |timeout| format!("{}ms", timeout.as_millis())));
    }
    FORGOTTEN.iter().any(|known| same(known)).then(String::new)
}

/// The timeout that a client asked for.
pub(super) fn timeout(metadata: &Metadata) -> Option<Duration> {
    metadata.get(TIMEOUT).and_then(|millis| millis.parse().ok()).map(Duration::from_millis)
}

/// Takes a setting. The answer is what the client must be told of it.
///
/// # Errors
/// When there is no such setting, or it cannot have that value here.
pub(super) fn take(metadata: &mut Metadata, set: &Set) -> Result<Option<(String, String)>, PgWireError> {
    match set {
        Set::SingleAssignment { variable, values, .. } => {
            let name = variable.to_string().to_lowercase().replace('"', "");
            let value = values.iter().map(plain).collect::<Vec<_>>().join(", ");
            take_one(metadata, &name, &value)
        }
        Set::SetTimeZone { value, .. } => take_one(metadata, "timezone", &plain(value)),
        Set::SetNames { charset_name, .. } => take_one(metadata, "client_encoding", &charset_name.value),
        Set::SetTransaction { .. } | Set::SetNamesDefault { .. } => Ok(None),
        other => Err(error(UNSUPPORTED, format!("`{}` is not supported", first_words(&other.to_string())), "")),
    }
}

/// Gives one setting, or all, its default again; the answer is what the client must be told.
pub(super) fn reset(metadata: &mut Metadata, name: Option<&str>) -> Vec<(String, String)> {
    let means = |known: &str| name.is_none_or(|name| known.eq_ignore_ascii_case(name));
    if means(TIMEOUT) {
        metadata.remove(TIMEOUT);
    }
    let mut told = Vec::new();
    for (known, default) in KEPT.into_iter().filter(|(known, _)| means(known)) {
        metadata.remove(&known.to_lowercase());
        told.push((known.to_owned(), default.to_owned()));
    }
    told
}

/// What a client said of its settings as it came in, without what cannot be.
pub(super) fn tidy(metadata: &mut Metadata) {
    let said: Vec<(String, String)> = metadata.drain().map(|(name, value)| (name.to_lowercase(), value)).collect();
    for (name, value) in said {
        let is_setting = name == TIMEOUT || KEPT.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name));
        if is_setting {
            let _ = take_one(metadata, &name, &value);
        } else if ["user", "database"].contains(&name.as_str()) {
            metadata.insert(name, value);
        }
    }
}

fn take_one(metadata: &mut Metadata, name: &str, value: &str) -> Result<Option<(String, String)>, PgWireError> {
    let is_default = value.eq_ignore_ascii_case("default");
    if name.contains('.') {
        return Err(error(READ_ONLY, format!("`SET {name}` is refused: settings of the engine are fixed"), ""));
    }
    if let Some((known, _)) = KEPT.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        if is_default {
            metadata.remove(name);
        } else if !fits(known, value) {
            return Err(error(BAD_VALUE, format!("`{known}` cannot be `{value}`"), ""));
        } else {
            metadata.insert(name.to_owned(), value.to_owned());
        }
        let now = shown(metadata, known).unwrap_or_default();
        return Ok(Some(((*known).to_owned(), now)));
    }
    if name == TIMEOUT {
        let millis = if is_default { Some(0) } else { millis(value) };
        match millis {
            None => {
                return Err(error(
                    BAD_VALUE,
                    format!("`{TIMEOUT}` cannot be `{value}`"),
                    "write milliseconds, or a number with ms, s, min or h",
                ));
            }
            Some(0) => metadata.remove(TIMEOUT),
            Some(millis) => metadata.insert(TIMEOUT.to_owned(), millis.to_string()),
        };
        return Ok(None);
    }
    if FORGOTTEN.contains(&name) {
        return Ok(None);
    }
    if let Some((known, fixed)) = FIXED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        let same = |a: &str, b: &str| normal(a) == normal(b);
        let utc = ["utc", "etcutc", "gmt", "z", "0"].contains(&normal(value).as_str());
        if is_default || same(value, fixed) || (*known == "TimeZone" && utc) || known.contains("transaction") {
            return Ok(None);
        }
        let hint = if *known == "TimeZone" { "all times are in UTC here; convert them in the client" } else { "" };
        return Err(error(BAD_VALUE, format!("`{known}` is always `{fixed}`"), hint));
    }
    Err(error(UNDEFINED, format!("there is no setting `{name}`"), ""))
}

/// Whether a value of a setting is one that the encoder knows.
fn fits(name: &str, value: &str) -> bool {
    let lower = value.to_lowercase();
    match name {
        "DateStyle" => {
            lower.split(',').all(|word| ["iso", "sql", "postgres", "german", "ymd", "dmy", "mdy", "us", "european"].contains(&word.trim()))
        }
        "IntervalStyle" => ["postgres", "postgres_verbose", "iso_8601", "sql_standard"].contains(&lower.as_str()),
        "bytea_output" => ["hex", "escape"].contains(&lower.as_str()),
        "extra_float_digits" => value.parse::<i8>().is_ok_and(|digits| (-15..=3).contains(&digits)),
        _ => value.len() <= 256,
    }
}

/// Without case and punctuation: `UTF-8` is `utf8`.
fn normal(value: &str) -> String {
    value.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn plain(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(identifier) => identifier.value.clone(),
        other => other.to_string(),
    }
}

fn millis(value: &str) -> Option<u64> {
    let value = value.trim();
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let number: u64 = value[..end].parse().ok()?;
    let factor = match value[end..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn first_words(text: &str) -> String {
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
