//! What people write, before it is checked: the TOML of a job file, and the flags of `verify` in the same shape.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::continuity::RawContinuity;
use crate::error::redacted;

/// A job file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the job file, documented in docs/job.md")]
pub struct RawJob {
    pub name: Option<String>,
    #[serde(default)]
    pub defaults: RawStream,
    #[serde(default)]
    pub stream: Vec<RawStream>,
    #[serde(default)]
    pub accept: Vec<RawAccept>,
    #[serde(default)]
    pub severity: BTreeMap<String, String>,
}

impl RawJob {
    /// The job with no password or token in what is shown of it: its names and reasons, everywhere that they are referred to. Two names that
    /// differ in nothing else are one then, and the job is refused. What is read by (paths, expressions) stays, and is redacted where it is shown.
    pub fn without_secrets(mut self) -> Self {
        for text in self.name.iter_mut().chain(self.accept.iter_mut().flat_map(RawAccept::shown)) {
            *text = redacted(text);
        }
        self.stream = self.stream.into_iter().map(RawStream::without_secrets).collect();
        self.defaults = self.defaults.without_secrets();
        self.severity = self.severity.into_iter().map(|(check, word)| (redacted(&check), word)).collect();
        self
    }
}

/// A stream, the defaults of all streams, or the flags of `verify`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the job file, documented in docs/job.md")]
pub struct RawStream {
    pub name: Option<String>,
    pub mode: Option<String>,
    pub original: Option<RawSide>,
    pub backfill: Option<RawSide>,
    pub key: Option<Vec<String>>,
    pub keyless: Option<bool>,
    pub time: Option<String>,
    pub series: Option<Vec<String>>,
    #[serde(default, deserialize_with = "names")]
    pub sequence: Option<Vec<String>>,
    pub sequence_step: Option<i64>,
    pub sequence_kind: Option<String>,
    pub payload_sequence: Option<String>,
    pub cadence: Option<String>,
    pub max_silence: Option<String>,
    pub window: Option<String>,
    pub time_zone: Option<String>,
    pub bounds: Option<RawBounds>,
    pub sequence_bounds: Option<RawSequenceBounds>,
    pub outage: Option<RawBounds>,
    pub persistent_after: Option<String>,
    pub continuity: Option<RawContinuity>,
    pub columns: Option<Vec<String>>,
    pub ignore: Option<Vec<String>>,
    pub mask: Option<Vec<String>>,
    pub tolerance: Option<BTreeMap<String, RawTolerance>>,
    pub text: Option<BTreeMap<String, Vec<String>>>,
    pub rule: Option<Vec<RawRule>>,
    /// A directory of rule files.
    pub rules: Option<String>,
    pub duplicates: Option<String>,
    pub digest: Option<String>,
    pub manifest: Option<Vec<String>>,
}

/// A path, or a table with a path and options.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names are those of the job file, documented in docs/job.md")]
pub struct RawSide {
    pub path: Option<String>,
    pub format: Option<String>,
    pub delimiter: Option<String>,
    pub header: Option<bool>,
    pub null_values: Option<Vec<String>>,
    pub time_format: Option<String>,
    pub time_zone: Option<String>,
    pub ambiguous: Option<String>,
    pub rename: Option<BTreeMap<String, String>>,
    pub columns: Option<BTreeMap<String, String>>,
    pub filter: Option<String>,
}

/// The table form of a side; apart so that a plain path can stand for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SideTable {
    path: String,
    format: Option<String>,
    delimiter: Option<String>,
    header: Option<bool>,
    null_values: Option<Vec<String>>,
    time_format: Option<String>,
    time_zone: Option<String>,
    ambiguous: Option<String>,
    rename: Option<BTreeMap<String, String>>,
    columns: Option<BTreeMap<String, String>>,
    filter: Option<String>,
}

impl<'de> Deserialize<'de> for RawSide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(path) => Ok(Self { path: Some(path), ..Self::default() }),
            table @ toml::Value::Table(_) => {
                let SideTable { path, format, delimiter, header, null_values, time_format, time_zone, ambiguous, rename, columns, filter } =
                    SideTable::deserialize(table).map_err(|e| D::Error::custom(e.message()))?;
                Ok(Self {
                    path: Some(path),
                    format,
                    delimiter,
                    header,
                    null_values,
                    time_format,
                    time_zone,
                    ambiguous,
                    rename,
                    columns,
                    filter,
                })
            }
            other => Err(D::Error::custom(format!("expected a path or a table with `path`, found {}", other.type_str()))),
        }
    }
}

impl RawSide {
    /// These options, and where one is not set, those of the other.
    pub fn or(self, other: Self) -> Self {
        Self {
            path: self.path.or(other.path),
            format: self.format.or(other.format),
            delimiter: self.delimiter.or(other.delimiter),
            header: self.header.or(other.header),
            null_values: self.null_values.or(other.null_values),
            time_format: self.time_format.or(other.time_format),
            time_zone: self.time_zone.or(other.time_zone),
            ambiguous: self.ambiguous.or(other.ambiguous),
            rename: self.rename.or(other.rename),
            columns: self.columns.or(other.columns),
            filter: self.filter.or(other.filter),
        }
    }
}

impl RawStream {
    /// As [`RawJob::without_secrets`].
    pub fn without_secrets(mut self) -> Self {
        let rules = self.rule.iter_mut().flatten().map(|rule| &mut rule.name);
        let planned = self.continuity.iter_mut().flat_map(RawContinuity::reasons);
        for text in self.name.iter_mut().chain(rules).chain(planned) {
            *text = redacted(text);
        }
        self
    }

    /// These settings, and where one is not set, those of the other.
    pub fn or(self, other: Self) -> Self {
        let side = |mine: Option<RawSide>, theirs: Option<RawSide>| match (mine, theirs) {
            (Some(mine), Some(theirs)) => Some(mine.or(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        // A key and keyless exclude each other, so the nearer one hides the farther.
        let (key, keyless) = match (self.key, self.keyless) {
            (None, None) => (other.key, other.keyless),
            nearer => nearer,
        };
        Self {
            name: self.name.or(other.name),
            mode: self.mode.or(other.mode),
            original: side(self.original, other.original),
            backfill: side(self.backfill, other.backfill),
            key,
            keyless,
            time: self.time.or(other.time),
            series: self.series.or(other.series),
            sequence: self.sequence.or(other.sequence),
            sequence_step: self.sequence_step.or(other.sequence_step),
            sequence_kind: self.sequence_kind.or(other.sequence_kind),
            payload_sequence: self.payload_sequence.or(other.payload_sequence),
            cadence: self.cadence.or(other.cadence),
            max_silence: self.max_silence.or(other.max_silence),
            window: self.window.or(other.window),
            time_zone: self.time_zone.or(other.time_zone),
            bounds: match (self.bounds, other.bounds) {
                (Some(mine), Some(theirs)) => Some(RawBounds { from: mine.from.or(theirs.from), until: mine.until.or(theirs.until) }),
                (mine, theirs) => mine.or(theirs),
            },
            sequence_bounds: self.sequence_bounds.or(other.sequence_bounds),
            outage: self.outage.or(other.outage),
            persistent_after: self.persistent_after.or(other.persistent_after),
            continuity: match (self.continuity, other.continuity) {
                (Some(mine), Some(theirs)) => Some(mine.or(theirs)),
                (mine, theirs) => mine.or(theirs),
            },
            columns: self.columns.or(other.columns),
            ignore: self.ignore.or(other.ignore),
            mask: self.mask.or(other.mask),
            tolerance: self.tolerance.or(other.tolerance),
            text: self.text.or(other.text),
            rule: self.rule.or(other.rule),
            rules: self.rules.or(other.rules),
            duplicates: self.duplicates.or(other.duplicates),
            digest: self.digest.or(other.digest),
            manifest: self.manifest.or(other.manifest),
        }
    }
}

/// Half-open bounds in time.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the job file")]
pub struct RawBounds {
    #[serde(default, deserialize_with = "moment")]
    pub from: Option<String>,
    #[serde(default, deserialize_with = "moment")]
    pub until: Option<String>,
}

/// Half-open bounds of a sequence.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the job file")]
pub struct RawSequenceBounds {
    pub from: Option<RawNumber>,
    pub until: Option<RawNumber>,
}

/// A whole number; in quotes where it is beyond the 64 bits of TOML, as the greatest numbers of an unsigned column are.
#[derive(Debug, Clone, Copy)]
pub struct RawNumber(pub i128);

impl<'de> Deserialize<'de> for RawNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Integer(whole) => Ok(Self(i128::from(whole))),
            toml::Value::String(text) => text.parse().map(Self).map_err(|_| D::Error::custom(format!("'{text}' is not a whole number"))),
            _ => Err(D::Error::custom("expected a whole number, in quotes where it is beyond 64 bits")),
        }
    }
}

/// `"1ms"`, `0.01`, or `{ abs = 0.01, rel = 1e-9 }`.
#[derive(Debug, Clone)]
pub enum RawTolerance {
    /// A duration, or `abs:…,rel:…`.
    Text(String),
    /// Absolute and relative parts.
    Number {
        /// The absolute part.
        abs: f64,
        /// The relative part.
        rel: f64,
    },
}

impl<'de> Deserialize<'de> for RawTolerance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = |value: &toml::Value| match value {
            toml::Value::Integer(whole) => Some(*whole as f64),
            toml::Value::Float(number) => Some(*number),
            _ => None,
        };
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self::Text(text)),
            toml::Value::Table(table) => {
                let mut parts = [0.0, 0.0];
                for (name, value) in &table {
                    let place = match name.as_str() {
                        "abs" => 0,
                        "rel" => 1,
                        other => return Err(D::Error::custom(format!("unknown field `{other}`, expected one of `abs`, `rel`"))),
                    };
                    parts[place] = number(value).ok_or_else(|| D::Error::custom(format!("`{name}` is not a number")))?;
                }
                Ok(Self::Number { abs: parts[0], rel: parts[1] })
            }
            value => number(&value)
                .map(|abs| Self::Number { abs, rel: 0.0 })
                .ok_or_else(|| D::Error::custom("expected a number, a duration in quotes, or { abs = …, rel = … }")),
        }
    }
}

/// A rule of the job file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the job file")]
pub struct RawRule {
    pub name: String,
    pub assert: String,
    pub severity: Option<String>,
    pub side: Option<String>,
}

/// An accepted finding.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the job file")]
pub struct RawAccept {
    pub check: String,
    pub kind: Option<String>,
    pub stream: Option<String>,
    pub side: Option<String>,
    #[serde(default)]
    pub series: BTreeMap<String, toml::Value>,
    #[serde(default)]
    pub key: BTreeMap<String, toml::Value>,
    pub column: Option<String>,
    #[serde(default, deserialize_with = "moment")]
    pub from: Option<String>,
    #[serde(default, deserialize_with = "moment")]
    pub until: Option<String>,
    pub reason: String,
    #[serde(default, deserialize_with = "moment")]
    pub expires: Option<String>,
}

impl RawAccept {
    /// The texts by which it is known.
    fn shown(&mut self) -> impl Iterator<Item = &mut String> {
        [&mut self.check, &mut self.reason].into_iter().chain(&mut self.stream)
    }
}

/// A moment in quotes, or TOML's own date and time.
pub(super) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => Ok(Some(text)),
        toml::Value::Datetime(moment) => Ok(Some(moment.to_string())),
        other => Err(D::Error::custom(format!("expected a date and time, found {}", other.type_str()))),
    }
}

/// A name, or a list of names.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let wrong = || D::Error::custom("expected the name of a column, or a list of two");
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(name) => Ok(Some(vec![name])),
        toml::Value::Array(names) => {
            names.into_iter().map(|name| name.as_str().map(str::to_string).ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
        }
        _ => Err(wrong()),
    }
}

/// The records of a small CSV: commas, double quotes, a header like any other record. Empty lines are passed over.
pub(super) fn csv_records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut end = |record: &mut Vec<String>, cell: &mut String| {
        record.push(std::mem::take(cell));
        let record = std::mem::take(record);
        if record.len() > 1 || record.iter().any(|cell| !cell.is_empty()) {
            records.push(record);
        }
    };
    let mut characters = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut cell)),
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !quoted => end(&mut record, &mut cell),
            other => cell.push(other),
        }
    }
    end(&mut record, &mut cell);
    records
}
