//! Findings: what a check returned, one row each.

use std::fmt;

use super::Instant;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; never fails a gate.
    Info,
    /// Fails a gate only with `--fail-on warn`.
    Warn,
    /// Fails a gate.
    Error,
}

impl Severity {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Reads the public word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "info" => Some(Self::Info),
            "warn" => Some(Self::Warn),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each word says it")]
pub enum Grain {
    Stream,
    Series,
    Range,
    Window,
    Key,
    Row,
    Cell,
    File,
}

impl Grain {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Series => "series",
            Self::Range => "range",
            Self::Window => "window",
            Self::Key => "key",
            Self::Row => "row",
            Self::Cell => "cell",
            Self::File => "file",
        }
    }

    /// Reads the public word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Stream, Self::Series, Self::Range, Self::Window, Self::Key, Self::Row, Self::Cell, Self::File]
            .into_iter()
            .find(|grain| grain.as_str() == text)
    }
}

/// What a run came to. Ordered by rank: `fail` outranks `incomplete`, which outranks `pass`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything was looked at, and nothing was found that fails.
    Pass,
    /// Something that should have been looked at was not.
    Incomplete,
    /// A finding at or above the gate's threshold.
    Fail,
}

impl Verdict {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Incomplete => "incomplete",
            Self::Fail => "fail",
        }
    }
}

impl Verdict {
    /// Reads the public word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pass, Self::Incomplete, Self::Fail].into_iter().find(|verdict| verdict.as_str() == text)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One row that a check returned. Ranges are half-open; `key` and `series` are JSON objects as text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the public table, documented in docs/report.md")]
pub struct Finding {
    pub stream: String,
    pub check: String,
    pub kind: Option<String>,
    pub severity: Severity,
    pub grain: Grain,
    pub side: Option<String>,
    pub series: Option<String>,
    pub window_start: Option<Instant>,
    pub window_end: Option<Instant>,
    pub from_time: Option<Instant>,
    pub until_time: Option<Instant>,
    pub from_sequence: Option<i128>,
    pub until_sequence: Option<i128>,
    pub file: Option<String>,
    pub key: Option<String>,
    pub column_name: Option<String>,
    pub original_value: Option<String>,
    pub backfill_value: Option<String>,
    pub rows: Option<i64>,
    pub accepted: bool,
    /// The baseline run holds the same finding.
    pub known: bool,
    pub message: String,
}

/// `{"a":1,"b":"x"}` as `a=1, b=x`; the empty object as `the stream`.
pub fn pairs(json: &str) -> String {
    match serde_json::from_str(json) {
        Ok(serde_json::Value::Object(object)) if object.is_empty() => "the stream".to_string(),
        Ok(serde_json::Value::Object(object)) => object
            .iter()
            .map(|(name, value)| match value {
                serde_json::Value::String(text) => format!("{name}={text}"),
                other => format!("{name}={other}"),
            })
            .collect::<Vec<_>>()
            .join(", "),
        _ => json.to_string(),
    }
}
