//! `parse_text(text)`: a column of a text format in the type that it is said, guessed or required to have.
//!
//! Stricter than a cast: what does not parse exactly is an error that names the value, and no digit is dropped.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Int64Array, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit, i256};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::local_time::{Untold, resolve, settled, zone};
use crate::job::{Ambiguous, ColumnType};

/// The function, made for one column of one side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ParseText {
    column: String,
    target: DataType,
    epoch: Option<TimeUnit>,
    time_format: Option<String>,
    zone: Option<String>,
    ambiguous: Ambiguous,
    masked: bool,
    signature: Signature,
}

impl ParseText {
    /// For a column that is to have a type; `time_format` in chrono's notation, `zone` for naive local times.
    pub(crate) fn new(column: &str, target: &ColumnType, time_format: Option<&str>, zone: Option<Tz>, ambiguous: Ambiguous) -> Self {
        Self {
            column: column.to_string(),
            target: target.data_type(),
            epoch: match target {
                ColumnType::Epoch(unit) => Some(*unit),
                ColumnType::Plain(_) => None,
            },
            time_format: time_format.map(str::to_string),
            zone: zone.map(|zone| zone.name().to_string()),
            ambiguous,
            masked: false,
            signature: Signature::any(1, Volatility::Immutable),
        }
    }

    /// Keeps the values of a masked column out of errors.
    #[must_use]
    pub(crate) fn masked(self, masked: bool) -> Self {
        Self { masked, ..self }
    }

    fn wrong(&self, value: &str, what: &str) -> DataFusionError {
        if self.masked {
            return DataFusionError::Execution(format!("column '{}': a value (masked) is not {what}", self.column));
        }
        DataFusionError::Execution(format!(
            "column '{}': '{}' is not {what}: repair it, give the column another type (option columns={}:text), or if it stands for no value say so (option null_values={})",
            self.column,
            value.escape_debug().take(80).collect::<String>(),
            self.column,
            value.escape_debug().take(20).collect::<String>(),
        ))
    }
}

impl ScalarUDFImpl for ParseText {
    fn name(&self) -> &str {
        "parse_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return Err(DataFusionError::Internal("parse_text takes one argument".to_string()));
        };
        let array = argument.to_array(args.number_rows)?;
        let text = cast(&array, &DataType::Utf8)?;
        Ok(ColumnarValue::Array(parse_text_values(self, text.as_string::<i32>())?))
    }
}

/// Parses a column of text.
///
/// # Errors
/// A value that does not parse, by its text.
fn parse_text_values(to: &ParseText, text: &StringArray) -> Result<ArrayRef> {
    if let Some(unit) = to.epoch {
        let ticks = each(text, |value| value.trim().parse::<i64>().ok().ok_or_else(|| to.wrong(value, "a whole number since the epoch")))?;
        let plain: ArrayRef = Arc::new(Int64Array::from(ticks));
        return Ok(cast(&plain, &DataType::Timestamp(unit, Some("UTC".into())))?);
    }
    match &to.target {
        DataType::Utf8 => Ok(Arc::new(text.clone())),
        DataType::Boolean => {
            let values = each(text, |value| match value.to_ascii_lowercase().as_str() {
                "true" | "t" | "1" => Ok(true),
                "false" | "f" | "0" => Ok(false),
                _ => Err(to.wrong(value, "a boolean (true or false)")),
            })?;
            Ok(Arc::new(BooleanArray::from(values)))
        }
        DataType::Decimal128(precision, scale) => {
            let values = each(text, |value| {
                coefficient(value, *scale)
                    .and_then(i256::to_i128)
                    .filter(|c| c.unsigned_abs().checked_ilog10().is_none_or(|digits| digits < u32::from(*precision)))
                    .ok_or_else(|| to.wrong(value, &format!("a decimal({precision},{scale}) to the last digit")))
            })?;
            Ok(Arc::new(Decimal128Array::from(values).with_precision_and_scale(*precision, *scale)?))
        }
        DataType::Decimal256(precision, scale) => {
            let values = each(text, |value| {
                coefficient(value, *scale).ok_or_else(|| to.wrong(value, &format!("a decimal({precision},{scale}) to the last digit")))
            })?;
            Ok(Arc::new(Decimal256Array::from(values).with_precision_and_scale(*precision, *scale)?))
        }
        DataType::Float32 | DataType::Float64 => {
            let values = each(text, |value| value.trim().parse::<f64>().map_err(|_| to.wrong(value, "a number")))?;
            let plain: ArrayRef = Arc::new(arrow::array::Float64Array::from(values));
            Ok(cast(&plain, &to.target)?)
        }
        DataType::Date32 => {
            let values = each(text, |value| {
                let format = to.time_format.as_deref().unwrap_or("%Y-%m-%d");
                NaiveDate::parse_from_str(value.trim(), format)
                    .map(|date| date.num_days_from_ce() - 719_163)
                    .map_err(|_| to.wrong(value, &format!("a date in the format {format}")))
            })?;
            Ok(Arc::new(Date32Array::from(values)))
        }
        DataType::Timestamp(unit, zone) => {
            let per_second: i128 = match unit {
                TimeUnit::Second => 1,
                TimeUnit::Millisecond => 1_000,
                TimeUnit::Microsecond => 1_000_000,
                TimeUnit::Nanosecond => 1_000_000_000,
            };
            let parse = |value: &str| {
                let Some((seconds, nanos)) = timestamp(to, value)? else { return Ok(None) };
                let ticks = i128::from(seconds) * per_second + i128::from(nanos) * per_second / 1_000_000_000;
                if i128::from(nanos) * per_second % 1_000_000_000 != 0 {
                    return Err(to.wrong(value, &format!("a timestamp with no more digits than its unit ({unit:?}) holds")));
                }
                i64::try_from(ticks).map(Some).map_err(|_| to.wrong(value, &format!("within the range of a timestamp in {unit:?}s")))
            };
            let values = text.iter().map(|value| value.map_or(Ok(None), parse)).collect::<Result<Vec<Option<i64>>>>()?;
            let plain: ArrayRef = Arc::new(Int64Array::from(values));
            Ok(cast(&plain, &DataType::Timestamp(*unit, zone.clone()))?)
        }
        other => {
            // Integers, times of day and binary: Arrow's own parser, with what it refused found out by the NULLs it left.
            let options = CastOptions { safe: true, ..CastOptions::default() };
            let trimmed: StringArray = text.iter().map(|value| value.map(str::trim)).collect();
            let array: ArrayRef = Arc::new(trimmed);
            let parsed = cast_with_options(&array, other, &options)?;
            for row in 0..text.len() {
                if !text.is_null(row) && parsed.is_null(row) {
                    return Err(to.wrong(text.value(row), &format!("of type {other}")));
                }
            }
            Ok(parsed)
        }
    }
}

fn each<T>(text: &StringArray, mut parse: impl FnMut(&str) -> Result<T>) -> Result<Vec<Option<T>>> {
    text.iter().map(|value| value.map(&mut parse).transpose()).collect()
}

/// The coefficient of a plain decimal number at a scale, if it needs no further digit.
fn coefficient(value: &str, scale: i8) -> Option<i256> {
    let value = value.trim();
    let (negative, digits) = match value.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = usize::try_from(scale).ok()?;
    let fraction = if fraction.len() > scale {
        let (kept, cut) = fraction.split_at(scale);
        if cut.bytes().any(|b| b != b'0') {
            return None;
        }
        kept
    } else {
        fraction
    };
    let mut text = format!("{whole}{fraction}");
    text.extend(std::iter::repeat_n('0', scale - fraction.len()));
    let text = text.trim_start_matches('0');
    if text.len() > 76 {
        return None;
    }
    let magnitude = if text.is_empty() { i256::ZERO } else { i256::from_string(text)? };
    Some(if negative { magnitude.wrapping_neg() } else { magnitude })
}

/// What the text of a timestamp says.
enum Moment {
    /// Seconds and nanoseconds since the epoch.
    Instant(i64, u32),
    /// What a clock on the wall shows.
    Local(NaiveDateTime),
}

impl From<DateTime<Utc>> for Moment {
    fn from(moment: DateTime<Utc>) -> Self {
        Self::Instant(moment.timestamp(), moment.timestamp_subsec_nanos())
    }
}

fn moment(to: &ParseText, value: &str) -> Result<Moment> {
    let text = value.trim();
    if let Some(format) = to.time_format.as_deref() {
        if let Some(unit) = epoch_format(format) {
            let ticks: i64 = text.parse().map_err(|_| to.wrong(value, "a whole number since the epoch"))?;
            let nanos = u32::try_from(ticks.rem_euclid(unit) * (1_000_000_000 / unit)).unwrap_or(0);
            return Ok(Moment::Instant(ticks.div_euclid(unit), nanos));
        }
        if let Ok(moment) = DateTime::parse_from_str(text, format) {
            return Ok(moment.to_utc().into());
        }
        if let Ok(naive) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(Moment::Local(naive));
        }
        if let Some(midnight) = NaiveDate::parse_from_str(text, format).ok().and_then(|date| date.and_hms_opt(0, 0, 0)) {
            return Ok(Moment::Local(midnight));
        }
        return Err(to.wrong(value, &format!("a time in the format {format}")));
    }
    match iso(text) {
        Some(Iso::Instant(moment)) => Ok(moment.into()),
        Some(Iso::Local(naive)) => Ok(Moment::Local(naive)),
        Some(Iso::Date(date)) => date.and_hms_opt(0, 0, 0).map(Moment::Local).ok_or_else(|| to.wrong(value, "a date")),
        None => Err(to.wrong(value, "an ISO 8601 time (another notation is said with the option time_format)")),
    }
}

/// Seconds and nanoseconds of a timestamp's text: with its own offset, else in the side's zone, else in UTC. `None` where that is to be a
/// finding.
fn timestamp(to: &ParseText, value: &str) -> Result<Option<(i64, u32)>> {
    match moment(to, value)? {
        Moment::Instant(seconds, nanos) => Ok(Some((seconds, nanos))),
        Moment::Local(naive) => {
            let nanos = naive.and_utc().timestamp_subsec_nanos();
            let Some(zone) = to.own_zone()? else { return Ok(Some((naive.and_utc().timestamp(), nanos))) };
            let resolved = resolve(naive, zone, to.ambiguous);
            let seconds = settled(resolved, &to.column, naive, zone, to.ambiguous, to.masked)?;
            Ok(seconds.map(|seconds| (seconds, nanos)))
        }
    }
}

impl ParseText {
    /// Only a target with a zone is an instant; a naive one keeps the wall clock as it stands.
    fn own_zone(&self) -> Result<Option<Tz>> {
        match (&self.target, self.zone.as_deref()) {
            (DataType::Timestamp(_, Some(_)), Some(name)) => zone(name).map(Some),
            _ => Ok(None),
        }
    }

    /// A value of which nobody can say which instant it is.
    pub(super) fn untold(&self, value: &str) -> Result<Option<Untold>> {
        match (moment(self, value)?, self.own_zone()?) {
            (Moment::Local(naive), Some(zone)) => Ok(resolve(naive, zone, self.ambiguous).err()),
            _ => Ok(None),
        }
    }

    /// Whether it reads local times.
    pub(crate) fn reads_local_times(&self) -> bool {
        self.epoch.is_none() && matches!((&self.target, &self.zone), (DataType::Timestamp(_, Some(_)), Some(_)))
    }
}

/// Ticks a second of an `epoch_…` format.
pub(crate) fn epoch_format(format: &str) -> Option<i64> {
    match format {
        "epoch_s" => Some(1),
        "epoch_ms" => Some(1_000),
        "epoch_us" => Some(1_000_000),
        "epoch_ns" => Some(1_000_000_000),
        _ => None,
    }
}

/// What an ISO 8601 text is.
pub(crate) enum Iso {
    /// With an offset.
    Instant(DateTime<Utc>),
    /// Without.
    Local(NaiveDateTime),
    /// A date alone.
    Date(NaiveDate),
}

/// Reads ISO 8601, with `T` or a space between date and time.
pub(crate) fn iso(text: &str) -> Option<Iso> {
    // The first bytes rule most texts out before any parser runs.
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    if bytes.len() == 10 {
        return NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Iso::Date);
    }
    if bytes[10] != b'T' && bytes[10] != b' ' {
        return None;
    }
    // Beyond nanoseconds a timestamp would lose digits, so such a text is not taken for one.
    if text.split_once('.').is_some_and(|(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count() > 9) {
        return None;
    }
    let joined = format!("{}T{}", text.get(..10)?, text.get(11..)?.trim_start());
    let clock = joined.get(11..)?;
    if clock.ends_with('Z') || clock.contains('+') || clock.contains('-') {
        if let Ok(moment) = DateTime::parse_from_rfc3339(&joined) {
            return Some(Iso::Instant(moment.with_timezone(&Utc)));
        }
        for format in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f %#z", "%Y-%m-%dT%H:%M%#z"] {
            if let Ok(moment) = DateTime::parse_from_str(&joined, format) {
                return Some(Iso::Instant(moment.with_timezone(&Utc)));
            }
        }
        return joined
            .strip_suffix('Z')
            .and_then(|rest| NaiveDateTime::parse_from_str(rest, "%Y-%m-%dT%H:%M").ok())
            .map(|naive| Iso::Instant(naive.and_utc()));
    }
    if let Some(rest) = joined.strip_suffix(" UTC") {
        return NaiveDateTime::parse_from_str(rest, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|naive| Iso::Instant(naive.and_utc()));
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&joined, format).ok())
        .map(Iso::Local)
}
