//! Arrow columns in the public conventions: text as UTF-8, instants in microseconds UTC, sequence numbers as
//! decimal(38,0), counts as 64-bit integers.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::domain::Instant;

/// A named column.
pub type Column = (&'static str, ArrayRef);

/// Text.
pub fn text<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

/// Instants that begin something: rounded down to the microsecond.
pub fn start(values: impl IntoIterator<Item = Option<Instant>>) -> ArrayRef {
    let micros = values.into_iter().map(|at| at.map(Instant::micros_floor));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

/// Instants that end something: rounded up, so that a half-open range keeps what it held.
pub fn end(values: impl IntoIterator<Item = Option<Instant>>) -> ArrayRef {
    let micros = values.into_iter().map(|at| at.map(Instant::micros_ceil));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

/// Sequence numbers.
pub fn sequence(values: impl IntoIterator<Item = Option<i128>>) -> ArrayRef {
    let plain = Decimal128Array::from(values.into_iter().collect::<Vec<_>>());
    Arc::new(plain.with_data_type(DataType::Decimal128(38, 0)))
}

/// Counts.
pub fn count(values: impl IntoIterator<Item = Option<u64>>) -> ArrayRef {
    Arc::new(values.into_iter().map(|v| v.map(|v| i64::try_from(v).unwrap_or(i64::MAX))).collect::<Int64Array>())
}

/// Signed 64-bit integers.
pub fn integer(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

/// Signed 32-bit integers.
pub fn small(values: impl IntoIterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int32Array>())
}

/// Doubles.
pub fn double(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

/// Booleans.
pub fn flag(values: impl IntoIterator<Item = bool>) -> ArrayRef {
    Arc::new(BooleanArray::from(values.into_iter().collect::<Vec<_>>()))
}

/// The type of instants in every public table.
pub fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A batch of named columns.
///
/// # Errors
/// The columns differ in length.
pub fn batch(columns: Vec<Column>) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<Field> = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect(), &options)
}
