//! The canonical encoding of a value and of a row, version 1.
//!
//! One encoding serves the row checksum, the key fingerprint and the row digest, so that the three can never disagree
//! on what "equal" means. It is defined on values, not on physical types: an integer is the same in every width, a
//! decimal in every scale, a text in every layout, an instant in every unit. `docs/encoding.md` is the public
//! definition, with golden vectors; this file is its implementation.
//!
//! ```text
//! row    = version byte, then for each column, sorted by the bytes of its name:
//!          name length u32, name, value
//! value  = tag byte, payload        (all integers little endian)
//!          00 NULL                  01 boolean, u8           02 exact number: scale u8, coefficient i128
//!          03 exact number: scale u8, coefficient i256        04 float: f64 bits
//!          05 text: length u64, UTF-8                         06 binary: length u64, bytes
//!          07 instant: seconds i64, nanoseconds u32           08 date: days i32
//!          09 time of day: nanoseconds i64                    0a duration: seconds i64, nanoseconds u32
//!          0b interval: months i32, days i32, nanoseconds i64
//!          0c list: length u64, values                        0d struct: fields u32, (name length u32, name, value)
//! ```
//!
//! Every variable part is preceded by its length and every value by its tag, so no two different rows share an
//! encoding.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, FixedSizeBinaryArray, Float64Array,
    IntervalDayTimeArray, IntervalMonthDayNanoArray, IntervalYearMonthArray, LargeBinaryArray, LargeStringArray, StringArray,
    StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Float16Type, Float32Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalUnit, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type, i256,
};
use arrow::record_batch::RecordBatch;

/// The version byte that starts every row's encoding.
pub const ENCODING_VERSION: u8 = 1;

/// A column that has no canonical encoding.
#[derive(Debug, thiserror::Error)]
pub enum EncodingError {
    /// A type without one.
    #[error("column '{column}' has type {data_type}, which has no canonical encoding")]
    Unsupported {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
    },
    /// Arrow could not unpack it.
    #[error("column '{column}' could not be unpacked: {source}")]
    Unpack {
        /// The column.
        column: String,
        /// Arrow's reason.
        source: arrow::error::ArrowError,
    },
}

/// Encodes the values of one column of one batch.
#[derive(Debug)]
pub struct ColumnEncoder {
    name: Vec<u8>,
    nulls: Option<NullBuffer>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Null,
    Boolean(BooleanArray),
    /// Integers of every width, widened.
    Signed(Vec<i64>),
    Unsigned(Vec<u64>),
    Decimal(Decimal128Array, i8),
    WideDecimal(Decimal256Array, i8),
    Float(Float64Array),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    FixedBinary(FixedSizeBinaryArray),
    /// Ticks, and ticks in a second.
    Instant(Vec<i64>, i64),
    Date(Vec<i32>),
    TimeOfDay(Vec<i64>, i64),
    Duration(Vec<i64>, i64),
    YearMonth(IntervalYearMonthArray),
    DayTime(IntervalDayTimeArray),
    MonthDayNano(IntervalMonthDayNanoArray),
    List(Vec<(usize, usize)>, Box<ColumnEncoder>),
    Struct(Vec<ColumnEncoder>),
    /// Dictionaries: the distinct values are unpacked once, rows refer to them.
    Dictionary(Vec<usize>, Box<ColumnEncoder>),
}

/// Encoders for the columns of a batch, sorted by the bytes of their names.
///
/// # Errors
/// A column's type has no canonical encoding.
pub fn encoders(batch: &RecordBatch) -> Result<Vec<ColumnEncoder>, EncodingError> {
    let mut encoders = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| ColumnEncoder::new(field.name(), column))
        .collect::<Result<Vec<_>, _>>()?;
    encoders.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(encoders)
}

/// Appends a column's name, framed.
pub fn encode_column_name(name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(name);
}

/// Ticks of a unit in a second.
pub(crate) fn ticks_per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

impl ColumnEncoder {
    /// An encoder for one array. Supports every Arrow type but unions.
    ///
    /// # Errors
    /// The type has no canonical encoding.
    pub fn new(name: &str, array: &ArrayRef) -> Result<Self, EncodingError> {
        let unsupported = || EncodingError::Unsupported { column: name.to_string(), data_type: array.data_type().clone() };
        let unpack = |target: &DataType| cast(array, target).map_err(|source| EncodingError::Unpack { column: name.to_string(), source });
        macro_rules! widened {
            ($type:ty, $variant:ident, $wide:ty) => {
                Values::$variant(array.as_primitive::<$type>().values().iter().map(|&v| <$wide>::from(v)).collect())
            };
        }
        let ticks = || -> Result<Vec<i64>, EncodingError> {
            let plain = unpack(&DataType::Int64)?;
            Ok(plain.as_primitive::<Int64Type>().values().to_vec())
        };
        let values = match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(array.as_boolean().clone()),
            DataType::Int8 => widened!(Int8Type, Signed, i64),
            DataType::Int16 => widened!(Int16Type, Signed, i64),
            DataType::Int32 => widened!(Int32Type, Signed, i64),
            DataType::Int64 => widened!(Int64Type, Signed, i64),
            DataType::UInt8 => widened!(UInt8Type, Unsigned, u64),
            DataType::UInt16 => widened!(UInt16Type, Unsigned, u64),
            DataType::UInt32 => widened!(UInt32Type, Unsigned, u64),
            DataType::UInt64 => widened!(UInt64Type, Unsigned, u64),
            DataType::Float16 => Values::Float(array.as_primitive::<Float16Type>().unary(|v| f64::from(v.to_f32()))),
            DataType::Float32 => Values::Float(array.as_primitive::<Float32Type>().unary(f64::from)),
            DataType::Float64 => Values::Float(array.as_primitive().clone()),
            DataType::Decimal32(_, scale) => {
                let wide = array.as_primitive::<Decimal32Type>().unary(i128::from);
                Values::Decimal(wide, *scale)
            }
            DataType::Decimal64(_, scale) => {
                let wide = array.as_primitive::<Decimal64Type>().unary(i128::from);
                Values::Decimal(wide, *scale)
            }
            DataType::Decimal128(_, scale) => Values::Decimal(array.as_primitive().clone(), *scale),
            DataType::Decimal256(_, scale) => Values::WideDecimal(array.as_primitive().clone(), *scale),
            DataType::Utf8 => Values::Text(array.as_string().clone()),
            DataType::LargeUtf8 => Values::LargeText(array.as_string().clone()),
            DataType::Utf8View => Values::TextView(array.as_string_view().clone()),
            DataType::Binary => Values::Binary(array.as_binary().clone()),
            DataType::LargeBinary => Values::LargeBinary(array.as_binary().clone()),
            DataType::BinaryView => Values::LargeBinary(unpack(&DataType::LargeBinary)?.as_binary().clone()),
            DataType::FixedSizeBinary(_) => Values::FixedBinary(array.as_fixed_size_binary().clone()),
            DataType::Timestamp(unit, _) => Values::Instant(ticks()?, ticks_per_second(*unit)),
            DataType::Duration(unit) => Values::Duration(ticks()?, ticks_per_second(*unit)),
            DataType::Date32 => Values::Date(array.as_primitive::<Date32Type>().values().to_vec()),
            // Date64 counts milliseconds, and not every writer keeps to midnights: as an instant nothing is lost.
            DataType::Date64 => Values::Instant(array.as_primitive::<Date64Type>().values().to_vec(), 1_000),
            DataType::Time32(unit) => {
                let plain = unpack(&DataType::Int32)?;
                let ticks = plain.as_primitive::<Int32Type>().values().iter().map(|&v| i64::from(v)).collect();
                Values::TimeOfDay(ticks, 1_000_000_000 / ticks_per_second(*unit))
            }
            DataType::Time64(unit) => Values::TimeOfDay(ticks()?, 1_000_000_000 / ticks_per_second(*unit)),
            DataType::Interval(IntervalUnit::YearMonth) => Values::YearMonth(array.as_primitive().clone()),
            DataType::Interval(IntervalUnit::DayTime) => Values::DayTime(array.as_primitive().clone()),
            DataType::Interval(IntervalUnit::MonthDayNano) => Values::MonthDayNano(array.as_primitive().clone()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let ranges = list.offsets().windows(2).map(|w| (w[0].as_usize(), w[1].as_usize())).collect();
                Values::List(ranges, Box::new(Self::new(name, list.values())?))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let ranges = list.offsets().windows(2).map(|w| (w[0].as_usize(), w[1].as_usize())).collect();
                Values::List(ranges, Box::new(Self::new(name, list.values())?))
            }
            DataType::FixedSizeList(_, size) => {
                let list = array.as_fixed_size_list();
                let size = size.as_usize();
                let start = list.value_offset(0).as_usize();
                let ranges = (0..list.len()).map(|i| (start + i * size, start + (i + 1) * size)).collect();
                Values::List(ranges, Box::new(Self::new(name, list.values())?))
            }
            DataType::ListView(field) => return Self::new(name, &unpack(&DataType::List(field.clone()))?),
            DataType::LargeListView(field) => return Self::new(name, &unpack(&DataType::LargeList(field.clone()))?),
            DataType::Map(_, _) => {
                let map = array.as_map();
                let ranges = map.offsets().windows(2).map(|w| (w[0].as_usize(), w[1].as_usize())).collect();
                let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
                Values::List(ranges, Box::new(Self::new(name, &entries)?))
            }
            DataType::Struct(_) => {
                let structs = array.as_struct();
                let mut fields = structs
                    .fields()
                    .iter()
                    .zip(structs.columns())
                    .map(|(field, column)| Self::new(field.name(), column))
                    .collect::<Result<Vec<_>, _>>()?;
                fields.sort_by(|a, b| a.name.cmp(&b.name));
                Values::Struct(fields)
            }
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                // A dictionary without values has NULL keys only, which Arrow does not normalise.
                let keys = if dictionary.values().is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
                Values::Dictionary(keys, Box::new(Self::new(name, dictionary.values())?))
            }
            DataType::RunEndEncoded(_, values) => return Self::new(name, &unpack(values.data_type())?),
            DataType::Union(_, _) => return Err(unsupported()),
        };
        let nulls = match array.data_type() {
            DataType::Null => None,
            _ => array.nulls().cloned(),
        };
        Ok(Self { name: name.as_bytes().to_vec(), nulls, values })
    }

    /// The bytes of the column's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// True when the value of a row is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match &self.values {
            Values::Null => true,
            Values::Dictionary(keys, values) => self.nulls.as_ref().is_some_and(|n| n.is_null(row)) || values.is_null(keys[row]),
            _ => self.nulls.as_ref().is_some_and(|n| n.is_null(row)),
        }
    }

    /// Appends the encoding of one row's value.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.push(0x00);
            return;
        }
        match &self.values {
            Values::Null => out.push(0x00),
            Values::Boolean(array) => out.extend_from_slice(&[0x01, u8::from(array.value(row))]),
            Values::Signed(values) => encode_exact(i128::from(values[row]), 0, out),
            Values::Unsigned(values) => encode_exact(i128::from(values[row]), 0, out),
            Values::Decimal(array, scale) => encode_decimal(array.value(row), *scale, out),
            Values::WideDecimal(array, scale) => encode_wide_decimal(array.value(row), *scale, out),
            Values::Float(array) => {
                out.push(0x04);
                out.extend_from_slice(&canonical_float(array.value(row)).to_bits().to_le_bytes());
            }
            Values::Text(array) => encode_bytes(0x05, array.value(row).as_bytes(), out),
            Values::LargeText(array) => encode_bytes(0x05, array.value(row).as_bytes(), out),
            Values::TextView(array) => encode_bytes(0x05, array.value(row).as_bytes(), out),
            Values::Binary(array) => encode_bytes(0x06, array.value(row), out),
            Values::LargeBinary(array) => encode_bytes(0x06, array.value(row), out),
            Values::FixedBinary(array) => encode_bytes(0x06, array.value(row), out),
            Values::Instant(ticks, per_second) => encode_ticks(0x07, ticks[row], *per_second, out),
            Values::Duration(ticks, per_second) => encode_ticks(0x0a, ticks[row], *per_second, out),
            Values::Date(days) => {
                out.push(0x08);
                out.extend_from_slice(&days[row].to_le_bytes());
            }
            Values::TimeOfDay(ticks, nanos_per_tick) => {
                out.push(0x09);
                out.extend_from_slice(&ticks[row].saturating_mul(*nanos_per_tick).to_le_bytes());
            }
            Values::YearMonth(array) => encode_interval(array.value(row), 0, 0, out),
            Values::DayTime(array) => {
                let value = array.value(row);
                encode_interval(0, value.days, i64::from(value.milliseconds) * 1_000_000, out);
            }
            Values::MonthDayNano(array) => {
                let value = array.value(row);
                encode_interval(value.months, value.days, value.nanoseconds, out);
            }
            Values::List(ranges, items) => {
                let (start, end) = ranges[row];
                out.push(0x0c);
                out.extend_from_slice(&((end - start) as u64).to_le_bytes());
                for item in start..end {
                    items.encode(item, out);
                }
            }
            Values::Struct(fields) => {
                out.push(0x0d);
                out.extend_from_slice(&u32::try_from(fields.len()).unwrap_or(u32::MAX).to_le_bytes());
                for field in fields {
                    encode_column_name(&field.name, out);
                    field.encode(row, out);
                }
            }
            Values::Dictionary(keys, values) => values.encode(keys[row], out),
        }
    }
}

/// Zero without a sign, and one NaN.
pub(crate) fn canonical_float(value: f64) -> f64 {
    if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    }
}

fn encode_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn encode_ticks(tag: u8, ticks: i64, per_second: i64, out: &mut Vec<u8>) {
    let seconds = ticks.div_euclid(per_second);
    let nanos = ticks.rem_euclid(per_second) * (1_000_000_000 / per_second);
    out.push(tag);
    out.extend_from_slice(&seconds.to_le_bytes());
    out.extend_from_slice(&u32::try_from(nanos).unwrap_or(0).to_le_bytes());
}

fn encode_interval(months: i32, days: i32, nanos: i64, out: &mut Vec<u8>) {
    out.push(0x0b);
    out.extend_from_slice(&months.to_le_bytes());
    out.extend_from_slice(&days.to_le_bytes());
    out.extend_from_slice(&nanos.to_le_bytes());
}

/// Writes a coefficient without trailing zeros behind the point, so that 5, 5.0 and 5.00 are one value.
pub(super) fn encode_decimal(mut coefficient: i128, scale: i8, out: &mut Vec<u8>) {
    let mut scale = i16::from(scale);
    while scale > 0 && coefficient % 10 == 0 {
        coefficient /= 10;
        scale -= 1;
    }
    if coefficient == 0 {
        scale = 0;
    }
    while scale < 0 {
        // A negative scale means zeros before the point. i128 holds 38 digits, so a wide one moves to i256.
        let Some(wider) = coefficient.checked_mul(10) else {
            return encode_wide_decimal(i256::from_i128(coefficient), i8::try_from(scale).unwrap_or(i8::MIN), out);
        };
        coefficient = wider;
        scale += 1;
    }
    encode_exact(coefficient, u8::try_from(scale).unwrap_or(0), out);
}

fn encode_exact(coefficient: i128, scale: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x02, scale]);
    out.extend_from_slice(&coefficient.to_le_bytes());
}

pub(super) fn encode_wide_decimal(mut coefficient: i256, scale: i8, out: &mut Vec<u8>) {
    let ten = i256::from_i128(10);
    let mut scale = i16::from(scale);
    while scale > 0 && coefficient.wrapping_rem(ten) == i256::ZERO {
        coefficient = coefficient.wrapping_div(ten);
        scale -= 1;
        if coefficient == i256::ZERO {
            scale = 0;
        }
    }
    while scale < 0 {
        let Some(wider) = coefficient.checked_mul(ten) else { break };
        coefficient = wider;
        scale += 1;
    }
    match coefficient.to_i128() {
        Some(narrow) if scale >= 0 => encode_exact(narrow, u8::try_from(scale).unwrap_or(0), out),
        _ => {
            out.extend_from_slice(&[0x03, scale.to_le_bytes()[0]]);
            out.extend_from_slice(&coefficient.to_le_bytes());
        }
    }
}
