//! `parse_text(text)`: a column of a text format in the type that it is said, guessed or required to have.
//!
//! Stricter than a cast: what does not parse exactly is an error that names the value, and no digit is dropped.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float64Builder, Int64Builder,
    StringArray, StringBuilder,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, i256};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::local_time::{Untold, resolve, settled, zone};
use super::quick::{self, Kind, Plain};
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

    /// The type of what it makes.
    pub(crate) fn target(&self) -> &DataType {
        &self.target
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
    let mut filling = Filling::new(to, text.len());
    filling.extend(text.iter())?;
    filling.finish()
}

/// A column of values of one type that is made from texts as they come.
#[derive(Debug)]
pub(crate) struct Filling<'a> {
    to: &'a ParseText,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Text(StringBuilder),
    Boolean(BooleanBuilder),
    Whole(Int64Builder),
    Decimal(Decimal128Builder),
    WideDecimal(Decimal256Builder),
    Float(Float64Builder),
    Date(Date32Builder),
    /// Ticks of a timestamp.
    Ticks(Int64Builder),
    /// Texts that Arrow's own parser reads at the end.
    Others(StringBuilder),
}

/// Lets every text that is not NULL through a parser, into a builder.
macro_rules! each {
    ($texts:expr, $builder:expr, $parse:expr) => {{
        let parse = $parse;
        for text in $texts {
            match text {
                Some(text) => $builder.append_value(parse(text)?),
                None => $builder.append_null(),
            }
        }
    }};
}

impl<'a> Filling<'a> {
    /// For about so many values.
    pub(crate) fn new(to: &'a ParseText, rows: usize) -> Self {
        let values = match &to.target {
            _ if to.epoch.is_some() => Values::Ticks(Int64Builder::with_capacity(rows)),
            DataType::Utf8 => Values::Text(StringBuilder::with_capacity(rows, rows * 16)),
            DataType::Boolean => Values::Boolean(BooleanBuilder::with_capacity(rows)),
            DataType::Int64 => Values::Whole(Int64Builder::with_capacity(rows)),
            DataType::Decimal128(_, _) => Values::Decimal(Decimal128Builder::with_capacity(rows)),
            DataType::Decimal256(_, _) => Values::WideDecimal(Decimal256Builder::with_capacity(rows)),
            DataType::Float32 | DataType::Float64 => Values::Float(Float64Builder::with_capacity(rows)),
            DataType::Date32 => Values::Date(Date32Builder::with_capacity(rows)),
            DataType::Timestamp(_, _) => Values::Ticks(Int64Builder::with_capacity(rows)),
            _ => Values::Others(StringBuilder::with_capacity(rows, rows * 8)),
        };
        Self { to, values }
    }

    /// Takes more values.
    ///
    /// # Errors
    /// A value that does not parse, by its text.
    pub(crate) fn extend<'t>(&mut self, texts: impl Iterator<Item = Option<&'t str>>) -> Result<()> {
        let to = self.to;
        match &mut self.values {
            Values::Text(builder) | Values::Others(builder) => texts.for_each(|text| builder.append_option(text)),
            Values::Boolean(builder) => each!(texts, builder, |text| boolean(to, text)),
            Values::Whole(builder) => each!(texts, builder, |text: &str| match quick::plain(text.as_bytes()).and_then(Plain::integer) {
                Some(number) => Ok(number),
                None => whole(to, text),
            }),
            Values::Decimal(builder) => {
                let DataType::Decimal128(precision, scale) = to.target else { return Ok(()) };
                let places = usize::try_from(scale).unwrap_or(usize::MAX);
                let least_too_many = 10_u128.pow(u32::from(precision.min(38)));
                let quick = |text: &str| {
                    let coefficient = quick::plain(text.as_bytes()).and_then(|number| number.coefficient(places));
                    coefficient.filter(|coefficient| coefficient.unsigned_abs() < least_too_many)
                };
                each!(texts, builder, |text| match quick(text) {
                    Some(coefficient) => Ok(coefficient),
                    None => decimal(to, text, precision, scale),
                });
            }
            Values::WideDecimal(builder) => {
                let DataType::Decimal256(precision, scale) = to.target else { return Ok(()) };
                each!(texts, builder, |text| coefficient(text, scale)
                    .ok_or_else(|| to.wrong(text, &format!("a decimal({precision},{scale}) to the last digit"))));
            }
            Values::Float(builder) => {
                each!(texts, builder, |text: &str| text.trim().parse::<f64>().map_err(|_| to.wrong(text, "a number")));
            }
            Values::Date(builder) => {
                let quick = |text: &str| quick::time(text.as_bytes()).filter(|time| time.kind == Kind::Date && to.time_format.is_none());
                each!(texts, builder, |text| match quick(text) {
                    Some(time) => Ok(time.days),
                    None => date(to, text),
                });
            }
            Values::Ticks(builder) if to.epoch.is_some() => {
                each!(texts, builder, |text: &str| text
                    .trim()
                    .parse::<i64>()
                    .map_err(|_| to.wrong(text, "a whole number since the epoch")));
            }
            Values::Ticks(builder) => {
                let DataType::Timestamp(unit, zone) = &to.target else { return Ok(()) };
                // Where a zone says what a local time means, there is more to it.
                let plain = |kind: Kind| to.time_format.is_none() && (kind == Kind::Instant || zone.is_none() || to.zone.is_none());
                let quick = |text: &str| {
                    let time = quick::time(text.as_bytes()).filter(|time| plain(time.kind))?;
                    Some((i64::from(time.days) * 86_400 + i64::from(time.seconds), time.nanos))
                };
                for text in texts {
                    let moment = match text {
                        None => None,
                        Some(text) => match quick(text) {
                            Some(time) => Some((text, time)),
                            None => timestamp(to, text)?.map(|time| (text, time)),
                        },
                    };
                    let ticks = moment.map(|(text, (seconds, nanos))| ticks(to, text, *unit, seconds, nanos)).transpose()?;
                    builder.append_option(ticks);
                }
            }
        }
        Ok(())
    }

    /// The values so far as a column.
    ///
    /// # Errors
    /// A value that does not parse, by its text.
    pub(crate) fn finish(self) -> Result<ArrayRef> {
        let to = self.to;
        Ok(match self.values {
            Values::Text(mut builder) => Arc::new(builder.finish()),
            Values::Boolean(mut builder) => Arc::new(builder.finish()),
            Values::Whole(mut builder) => Arc::new(builder.finish()),
            Values::Decimal(mut builder) => {
                let DataType::Decimal128(precision, scale) = to.target else { return Ok(Arc::new(builder.finish())) };
                Arc::new(builder.finish().with_precision_and_scale(precision, scale)?)
            }
            Values::WideDecimal(mut builder) => {
                let DataType::Decimal256(precision, scale) = to.target else { return Ok(Arc::new(builder.finish())) };
                Arc::new(builder.finish().with_precision_and_scale(precision, scale)?)
            }
            Values::Float(mut builder) => cast(&(Arc::new(builder.finish()) as ArrayRef), &to.target)?,
            Values::Date(mut builder) => Arc::new(builder.finish()),
            Values::Ticks(mut builder) => {
                let target = match to.epoch {
                    Some(unit) => DataType::Timestamp(unit, Some("UTC".into())),
                    None => to.target.clone(),
                };
                cast(&(Arc::new(builder.finish()) as ArrayRef), &target)?
            }
            Values::Others(mut builder) => others(to, &builder.finish())?,
        })
    }
}

fn boolean(to: &ParseText, text: &str) -> Result<bool> {
    match text {
        "true" => return Ok(true),
        "false" => return Ok(false),
        _ => {}
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(to.wrong(text, "a boolean (true or false)")),
    }
}

fn whole(to: &ParseText, text: &str) -> Result<i64> {
    let one = others(to, &StringArray::from(vec![text]))?;
    one.as_primitive_opt::<Int64Type>().map(|one| one.value(0)).ok_or_else(|| to.wrong(text, "of type Int64"))
}

fn decimal(to: &ParseText, text: &str, precision: u8, scale: i8) -> Result<i128> {
    coefficient(text, scale)
        .and_then(i256::to_i128)
        .filter(|c| c.unsigned_abs().checked_ilog10().is_none_or(|digits| digits < u32::from(precision)))
        .ok_or_else(|| to.wrong(text, &format!("a decimal({precision},{scale}) to the last digit")))
}

fn date(to: &ParseText, text: &str) -> Result<i32> {
    let format = to.time_format.as_deref().unwrap_or("%Y-%m-%d");
    NaiveDate::parse_from_str(text.trim(), format)
        .map(|date| date.num_days_from_ce() - 719_163)
        .map_err(|_| to.wrong(text, &format!("a date in the format {format}")))
}

fn ticks(to: &ParseText, text: &str, unit: TimeUnit, seconds: i64, nanos: u32) -> Result<i64> {
    let per_second: i64 = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let nanos_per_tick = 1_000_000_000 / per_second;
    if i64::from(nanos) % nanos_per_tick != 0 {
        return Err(to.wrong(text, &format!("a timestamp with no more digits than its unit ({unit:?}) holds")));
    }
    let ticks = i128::from(seconds) * i128::from(per_second) + i128::from(i64::from(nanos) / nanos_per_tick);
    i64::try_from(ticks).map_err(|_| to.wrong(text, &format!("within the range of a timestamp in {unit:?}s")))
}

/// Integers of other widths, times of day and binary: Arrow's own parser, with what it refused found out by the NULLs it left.
fn others(to: &ParseText, text: &StringArray) -> Result<ArrayRef> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let trimmed: StringArray = text.iter().map(|value| value.map(str::trim)).collect();
    let parsed = cast_with_options(&trimmed, &to.target, &options)?;
    for row in 0..text.len() {
        if !text.is_null(row) && parsed.is_null(row) {
            return Err(to.wrong(text.value(row), &format!("of type {}", to.target)));
        }
    }
    Ok(parsed)
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
