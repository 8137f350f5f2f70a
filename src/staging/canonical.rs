//! A side's batches in the common types, so that equal values are equal arrays.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, Float64Array, Int64Array, StringArray, StringBuilder};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, UInt64Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::{DataFusionError, Result};
use unicode_normalization::UnicodeNormalization;

use super::pairing::Conversion;
use super::prepared::PairedColumn;
use crate::domain::{ColumnEncoder, Side, canonical_float};
use crate::job::TextRule;

/// Converts the batches of one side.
#[derive(Debug, Clone)]
pub struct Canonicaliser {
    schema: SchemaRef,
    columns: Vec<CanonicalColumn>,
}

#[derive(Debug, Clone)]
struct CanonicalColumn {
    /// Where the column stands in the side's batches; `None` where a pass does without it.
    position: Option<usize>,
    name: String,
    common: DataType,
    conversion: Conversion,
    text: Vec<TextRule>,
}

/// A batch in the common types, and for each column how many values lost digits on the way.
#[derive(Debug)]
pub struct CanonicalBatch {
    /// The columns in the order of the pairing.
    pub batch: RecordBatch,
    /// Values that lost digits, a column each.
    pub lost: Vec<u64>,
}

impl Canonicaliser {
    /// For the paired columns, read from batches of the given schema, which may leave some of them out.
    pub fn new(side: Side, paired: &[PairedColumn], batches: &Schema) -> Self {
        let columns: Vec<CanonicalColumn> = paired
            .iter()
            .map(|column| CanonicalColumn {
                position: batches.index_of(&column.name).ok(),
                name: column.name.clone(),
                common: column.common.clone(),
                conversion: column.conversions[side.index()].clone(),
                text: column.text.clone(),
            })
            .collect();
        let fields: Vec<arrow::datatypes::Field> =
            columns.iter().map(|column| arrow::datatypes::Field::new(&column.name, column.common.clone(), true)).collect();
        Self { schema: Arc::new(Schema::new(fields)), columns }
    }

    /// The schema of what comes out.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Converts one column, and says how many of its values lost digits.
    ///
    /// # Errors
    /// A value that the common type cannot hold, or a column that the batches leave out.
    pub fn column(&self, place: usize, batch: &RecordBatch) -> Result<(ArrayRef, u64)> {
        let column = self.columns.get(place).ok_or_else(|| DataFusionError::Internal(format!("no paired column {place}")))?;
        column.apply(column.stored(batch)?)
    }

    /// A column as a pass hashes it: as it is stored, where the checksum of a value does not depend on its physical
    /// form; converted, where values that differ as stored can be equal in the common type.
    ///
    /// # Errors
    /// A value that the common type cannot hold, or a column that the batches leave out.
    pub fn hashable(&self, place: usize, batch: &RecordBatch) -> Result<(ArrayRef, u64)> {
        let column = self.columns.get(place).ok_or_else(|| DataFusionError::Internal(format!("no paired column {place}")))?;
        let stored = column.stored(batch)?;
        let as_stored = match column.conversion {
            // The checksum of a nested value is made from its encoding anyway.
            Conversion::Encoding => true,
            Conversion::Cast => {
                column.text.is_empty() && hash_class(stored.data_type()).is_some_and(|class| Some(class) == hash_class(&column.common))
            }
            _ => false,
        };
        if as_stored { Ok((stored.clone(), 0)) } else { column.apply(stored) }
    }

    /// Converts one batch.
    ///
    /// # Errors
    /// A value that the common type cannot hold, or a column that the batches leave out.
    pub fn apply(&self, batch: &RecordBatch) -> Result<CanonicalBatch> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        let mut lost = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let (array, dropped) = column.apply(column.stored(batch)?)?;
            arrays.push(array);
            lost.push(dropped);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(CanonicalBatch { batch: RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?, lost })
    }
}

/// Types within which a value has one checksum, whatever its width, scale or unit.
fn hash_class(data_type: &DataType) -> Option<u8> {
    Some(match data_type {
        DataType::Dictionary(_, values) => return hash_class(values),
        DataType::Boolean => 0,
        data_type if data_type.is_integer() => 1,
        DataType::Decimal32(_, _) | DataType::Decimal64(_, _) | DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => 1,
        data_type if data_type.is_floating() => 2,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 3,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => 4,
        DataType::Timestamp(_, _) => 5,
        DataType::Date32 => 6,
        DataType::Time32(_) | DataType::Time64(_) => 7,
        DataType::Duration(_) => 8,
        DataType::Null => 9,
        _ => return None,
    })
}

impl CanonicalColumn {
    fn stored<'a>(&self, batch: &'a RecordBatch) -> Result<&'a ArrayRef> {
        let position = self.position.filter(|&position| position < batch.num_columns());
        position
            .map(|position| batch.column(position))
            .ok_or_else(|| DataFusionError::Internal(format!("column '{}' was not read", self.name)))
    }

    fn apply(&self, array: &ArrayRef) -> Result<(ArrayRef, u64)> {
        let converted = match &self.conversion {
            Conversion::Cast => exact_cast(&self.name, array, &self.common)?,
            Conversion::Floor { per_tick } => {
                let (floored, lost) = floor(array, *per_tick)?;
                return Ok((exact_cast(&self.name, &floored, &self.common)?, lost));
            }
            Conversion::Midnight => midnight(&self.name, array, &self.common)?,
            Conversion::NearestDouble => nearest_double(array)?,
            Conversion::ExactText => exact_text(array)?,
            Conversion::Encoding => encoding(&self.name, array)?,
        };
        let converted = match &self.common {
            DataType::Float64 => {
                let plain = converted.as_primitive::<Float64Type>();
                // Zero has one sign and NaN one form, so that equality is equality of bits.
                Arc::new(plain.unary::<_, Float64Type>(canonical_float)) as ArrayRef
            }
            DataType::Utf8 if !self.text.is_empty() => rewrite(&converted, &self.text),
            _ => converted,
        };
        Ok((converted, 0))
    }
}

fn exact_cast(name: &str, array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options)
        .map_err(|e| DataFusionError::Execution(format!("column '{name}': a value cannot be compared as {to}: {e}")))
}

/// Rounds ticks down to a coarser unit; the unit in the type stays for the cast that follows.
fn floor(array: &ArrayRef, per_tick: i64) -> Result<(ArrayRef, u64)> {
    let plain = match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values)?,
        _ => array.clone(),
    };
    let (unit, coarse) = match plain.data_type() {
        DataType::Timestamp(unit, zone) => {
            let coarse = coarser_by(*unit, per_tick)?;
            (DataType::Int64, DataType::Timestamp(coarse, zone.clone()))
        }
        DataType::Duration(unit) => (DataType::Int64, DataType::Duration(coarser_by(*unit, per_tick)?)),
        DataType::Date64 => (DataType::Int64, DataType::Timestamp(coarser_by(TimeUnit::Millisecond, per_tick)?, None)),
        other => return Err(DataFusionError::Internal(format!("{other} has no unit to round to"))),
    };
    let ticks = cast(&plain, &unit)?;
    let ticks = ticks.as_primitive::<Int64Type>();
    let lost = ticks.iter().flatten().filter(|tick| tick.rem_euclid(per_tick) != 0).count() as u64;
    let floored: ArrayRef = Arc::new(ticks.unary::<_, Int64Type>(|tick| tick.div_euclid(per_tick)));
    Ok((cast(&floored, &coarse)?, lost))
}

fn coarser_by(unit: TimeUnit, per_tick: i64) -> Result<TimeUnit> {
    let order = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    let from = order.iter().position(|known| *known == unit).unwrap_or(0);
    let steps = match per_tick {
        1_000 => 1,
        1_000_000 => 2,
        1_000_000_000 => 3,
        _ => 0,
    };
    from.checked_sub(steps).map(|at| order[at]).ok_or_else(|| DataFusionError::Internal("no coarser unit".to_string()))
}

fn midnight(name: &str, array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, _) = to else {
        return Err(DataFusionError::Internal(format!("dates are not compared as {to}")));
    };
    let per_day: i64 = match unit {
        TimeUnit::Second => 86_400,
        TimeUnit::Millisecond => 86_400_000,
        TimeUnit::Microsecond => 86_400_000_000,
        TimeUnit::Nanosecond => 86_400_000_000_000,
    };
    let days = cast(&cast(array, &DataType::Date32)?, &DataType::Int32)?;
    let days = cast(&days, &DataType::Int64)?;
    let ticks: Int64Array = days.as_primitive::<Int64Type>().try_unary(|day: i64| {
        day.checked_mul(per_day).ok_or_else(|| DataFusionError::Execution(format!("column '{name}': a date is beyond the range of {to}")))
    })?;
    let ticks: ArrayRef = Arc::new(ticks);
    Ok(cast(&ticks, to)?)
}

/// Decimals as doubles, correctly rounded.
fn nearest_double(array: &ArrayRef) -> Result<ArrayRef> {
    let plain = match array.data_type() {
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => cast(array, &DataType::Decimal128(*p, *s))?,
        DataType::Dictionary(_, values) => return nearest_double(&cast(array, values)?),
        _ => array.clone(),
    };
    let parse = |text: String| text.parse::<f64>().map_err(|e| DataFusionError::Internal(e.to_string()));
    let values: Vec<Option<f64>> = match plain.data_type() {
        DataType::Decimal128(_, scale) => {
            let decimals = plain.as_primitive::<Decimal128Type>();
            let exponent = i32::from(*scale);
            let divisor = 10_f64.powi(exponent.max(0));
            (0..decimals.len())
                .map(|row| {
                    if decimals.is_null(row) {
                        return Ok(None);
                    }
                    let coefficient = decimals.value(row);
                    // Both operands are exact below 2^53 and 10^22, so the one division rounds correctly.
                    if coefficient.unsigned_abs() < 1 << 53 && (0..=22).contains(&exponent) {
                        return Ok(Some(coefficient as f64 / divisor));
                    }
                    parse(format!("{coefficient}e{}", -exponent)).map(Some)
                })
                .collect::<Result<_>>()?
        }
        DataType::Decimal256(_, scale) => {
            let decimals = plain.as_primitive::<Decimal256Type>();
            (0..decimals.len())
                .map(|row| {
                    if decimals.is_null(row) {
                        return Ok(None);
                    }
                    parse(format!("{}e{}", decimals.value(row), -i32::from(*scale))).map(Some)
                })
                .collect::<Result<_>>()?
        }
        other => return Err(DataFusionError::Internal(format!("{other} is not a decimal"))),
    };
    Ok(Arc::new(Float64Array::from(values)))
}

/// Integers and floats as the text of the exact number.
fn exact_text(array: &ArrayRef) -> Result<ArrayRef> {
    let plain = match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values)?,
        _ => array.clone(),
    };
    let mut out = StringBuilder::new();
    let mut push = |text: Option<String>| out.append_option(text);
    match plain.data_type() {
        DataType::UInt64 => plain.as_primitive::<UInt64Type>().iter().for_each(|v| push(v.map(|v| v.to_string()))),
        data_type if data_type.is_integer() => {
            let wide = cast(&plain, &DataType::Int64)?;
            wide.as_primitive::<Int64Type>().iter().for_each(|v| push(v.map(|v| v.to_string())));
        }
        _ => {
            let wide = cast(&plain, &DataType::Float64)?;
            wide.as_primitive::<Float64Type>().iter().for_each(|v| push(v.map(exact_float_text)));
        }
    }
    Ok(Arc::new(out.finish()))
}

fn exact_float_text(value: f64) -> String {
    let value = canonical_float(value);
    // A whole float below 2^127 is exactly this integer; beyond, no 64-bit integer can equal it. `{}` alone would
    // write the shortest text that reads back as the float, padded with zeros, which is another integer.
    if value.fract() == 0.0 && value.abs() < 2_f64.powi(126) { (value as i128).to_string() } else { format!("{value}") }
}

fn encoding(name: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let encoder = ColumnEncoder::new(name, array).map_err(|e| DataFusionError::Execution(e.to_string()))?;
    let mut out = BinaryBuilder::new();
    let mut bytes = Vec::new();
    for row in 0..array.len() {
        if encoder.is_null(row) {
            out.append_null();
            continue;
        }
        bytes.clear();
        encoder.encode(row, &mut bytes);
        out.append_value(&bytes);
    }
    Ok(Arc::new(out.finish()))
}

fn rewrite(array: &ArrayRef, rules: &[TextRule]) -> ArrayRef {
    let text = array.as_string::<i32>();
    let rewritten: StringArray = text
        .iter()
        .map(|value| {
            value.map(|value| {
                let mut text = value.to_string();
                for rule in rules {
                    text = match rule {
                        TextRule::Trim => text.trim().to_string(),
                        // Upper case first: full case folding takes ß and SS to the same text.
                        TextRule::Fold => text.to_uppercase().to_lowercase(),
                        TextRule::Nfc => text.nfc().collect(),
                    };
                }
                text
            })
        })
        .collect();
    Arc::new(rewritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_a_double_stay_apart() {
        let integers: ArrayRef = Arc::new(Int64Array::from(vec![9_007_199_254_740_993, 5, 1 << 60, 1_152_921_504_606_847_000]));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![9_007_199_254_740_992.0, 5.0, 2_f64.powi(60), 2_f64.powi(60)]));
        let (a, b) = (exact_text(&integers).unwrap(), exact_text(&floats).unwrap());
        assert_ne!(a.as_string::<i32>().value(0), b.as_string::<i32>().value(0));
        assert_eq!(a.as_string::<i32>().value(1), b.as_string::<i32>().value(1));
        assert_eq!(a.as_string::<i32>().value(2), b.as_string::<i32>().value(2));
        assert_ne!(a.as_string::<i32>().value(3), b.as_string::<i32>().value(3));
    }
}
