//! Rows as plain values, and how a value is written in findings.

use std::cmp::Ordering;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Number, Value};

/// A float that is ordered and equal the way the verdict means it: NaN equals NaN, −0.0 equals 0.0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Real(pub(crate) f64);

impl Real {
    fn canonical(self) -> f64 {
        if self.0.is_nan() {
            f64::NAN
        } else if self.0 == 0.0 {
            0.0
        } else {
            self.0
        }
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Real {}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical().total_cmp(&other.canonical())
    }
}

/// One value. Decimals are in units of 0.01, times in microseconds since 1970 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Decimal(i64),
    Float(Real),
    Bool(bool),
    Time(i64),
    Text(String),
}

impl Cell {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(crate) fn time_us(&self) -> Option<i64> {
        match self {
            Self::Time(us) => Some(*us),
            _ => None,
        }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The value as findings write it, without quotes; `None` for NULL.
    pub(crate) fn plain(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Int(value) => Some(value.to_string()),
            Self::Decimal(cents) => Some(decimal_text(*cents)),
            Self::Float(real) => Some(float_text(real.0)),
            Self::Bool(value) => Some(value.to_string()),
            Self::Time(us) => Some(time_text(*us)),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// The value as `key` and `series` write it.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::from(*value),
            Self::Float(real) => Number::from_f64(real.canonical()).map_or_else(|| Value::from(float_text(real.0)), Value::Number),
            Self::Bool(value) => Value::from(*value),
            Self::Decimal(_) | Self::Time(_) | Self::Text(_) => self.plain().map_or(Value::Null, Value::from),
        }
    }
}

/// One row: a cell for each column, in the order of the columns.
pub(crate) type Row = Vec<Cell>;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int64,
    Int32,
    Float64,
    /// decimal(12, 2)
    Decimal,
    Bool,
    Text,
    /// Text of few values, dictionary encoded where the format can.
    Dictionary,
    /// Microseconds, UTC.
    Time,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// A side: rows × columns, in no order that means anything.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// The position of a column.
    ///
    /// # Panics
    /// If there is none of that name.
    pub(crate) fn at(&self, name: &str) -> usize {
        position(&self.columns, name)
    }
}

pub(crate) fn position(columns: &[Column], name: &str) -> usize {
    columns.iter().position(|column| column.name == name).unwrap_or_else(|| panic!("no column {name}"))
}

/// The named columns of a row as a JSON object, names sorted.
pub(crate) fn object(columns: &[Column], names: &[&str], row: &Row) -> String {
    let fields: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), row[position(columns, name)].json())).collect();
    canonical_json(&Value::Object(fields))
}

pub(crate) fn time_text(us: i64) -> String {
    let time = DateTime::from_timestamp_micros(us).expect("a time in range");
    if us.rem_euclid(1_000_000) == 0 {
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    } else {
        time.to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}

pub(crate) fn decimal_text(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

pub(crate) fn float_text(value: f64) -> String {
    if value == 0.0 { "0.0".to_owned() } else { format!("{value:?}") }
}

/// One spelling for JSON that means the same: names sorted, floats and times spelled one way.
pub(crate) fn canonical_json(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) => value.to_string(),
        Value::Number(number) if number.is_f64() => float_text(number.as_f64().unwrap_or(f64::NAN)),
        Value::Number(number) => number.to_string(),
        Value::String(text) => Value::from(canonical_time(text)).to_string(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(","))
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical_json(value))).collect();
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
    }
}

/// The number of digits of a fraction of a second is not what these tests judge.
pub(crate) fn canonical_time(text: &str) -> String {
    let looks_like_time = text.len() >= 20 && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
    if !looks_like_time {
        return text.to_owned();
    }
    DateTime::parse_from_rfc3339(text).map_or_else(|_| text.to_owned(), |time| time_text(time.timestamp_micros()))
}
