//! Values as people and machines read them in a report.
//!
//! JSON: integers and floats as numbers written exactly, NaN and infinities as strings; decimals, times and text as
//! strings; binary in hexadecimal. Plain text is the same without the quotes. Masked columns show a keyed digest.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;

use crate::domain::Instant;

/// Shows values, with the masked columns hidden.
#[derive(Debug, Clone)]
pub struct Shower {
    masked: BTreeSet<String>,
    mask_key: [u8; 32],
}

/// A value on its way to text.
enum Shown {
    Null,
    /// Already valid JSON: numbers, booleans, nested values.
    Bare(String),
    Text(String),
}

impl Shower {
    /// Hides the named columns behind digests under a key.
    pub fn new(masked: &[String], mask_key: [u8; 32]) -> Self {
        Self { masked: masked.iter().cloned().collect(), mask_key }
    }

    /// A value as plain text; NULL is `None`.
    pub fn text(&self, column: &str, array: &ArrayRef, row: usize) -> Option<String> {
        match self.masked(column, show(array, row)) {
            Shown::Null => None,
            Shown::Bare(text) | Shown::Text(text) => Some(text),
        }
    }

    /// A value as JSON.
    pub fn json(&self, column: &str, array: &ArrayRef, row: usize) -> String {
        json(self.masked(column, show(array, row)))
    }

    /// Some columns of a row as a JSON object, in the order given.
    pub fn object(&self, batch: &RecordBatch, columns: &[usize], row: usize) -> String {
        let schema = batch.schema();
        let parts: Vec<String> = columns
            .iter()
            .map(|&column| {
                let name = schema.field(column).name();
                format!("{}:{}", json_string(name), self.json(name, batch.column(column), row))
            })
            .collect();
        format!("{{{}}}", parts.join(","))
    }

    fn masked(&self, column: &str, shown: Shown) -> Shown {
        match shown {
            Shown::Bare(text) | Shown::Text(text) if self.masked.contains(column) => {
                let digest = blake3::keyed_hash(&self.mask_key, text.as_bytes());
                Shown::Text(format!("masked:{}", &digest.to_hex()[..32]))
            }
            other => other,
        }
    }
}

fn json(shown: Shown) -> String {
    match shown {
        Shown::Null => "null".to_string(),
        Shown::Bare(text) => text,
        Shown::Text(text) => json_string(&text),
    }
}

/// A text as a JSON string, with its quotes.
pub fn json_string(text: &str) -> String {
    serde_json::Value::String(text.to_string()).to_string()
}

fn float(value: f64, shortest: impl Fn() -> String) -> Shown {
    if value.is_nan() {
        Shown::Text("NaN".to_string())
    } else if value.is_infinite() {
        Shown::Text(if value > 0.0 { "Infinity" } else { "-Infinity" }.to_string())
    } else {
        Shown::Bare(shortest())
    }
}

fn show(array: &ArrayRef, row: usize) -> Shown {
    if array.is_null(row) {
        return Shown::Null;
    }
    macro_rules! number {
        ($type:ty) => {
            Shown::Bare(array.as_primitive::<$type>().value(row).to_string())
        };
    }
    macro_rules! instant {
        ($type:ty, $nanos:expr) => {
            Shown::Text(Instant(i128::from(array.as_primitive::<$type>().value(row)) * $nanos).to_string())
        };
    }
    match array.data_type() {
        DataType::Null => Shown::Null,
        DataType::Boolean => Shown::Bare(array.as_boolean().value(row).to_string()),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float16 => {
            let value = array.as_primitive::<Float16Type>().value(row).to_f32();
            float(f64::from(value), || serde_json::json!(value).to_string())
        }
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            // The shortest text that reads back as this value in its own width.
            float(
                f64::from(value),
                || if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.1}") } else { format!("{value:?}") },
            )
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            float(value, || serde_json::json!(value).to_string())
        }
        DataType::Decimal128(_, scale) => Shown::Text(decimal(&array.as_primitive::<Decimal128Type>().value(row).to_string(), *scale)),
        DataType::Decimal256(_, scale) => Shown::Text(decimal(&array.as_primitive::<Decimal256Type>().value(row).to_string(), *scale)),
        DataType::Utf8 => Shown::Text(array.as_string::<i32>().value(row).to_string()),
        DataType::LargeUtf8 => Shown::Text(array.as_string::<i64>().value(row).to_string()),
        DataType::Utf8View => Shown::Text(array.as_string_view().value(row).to_string()),
        DataType::Binary => Shown::Text(hex(array.as_binary::<i32>().value(row))),
        DataType::LargeBinary => Shown::Text(hex(array.as_binary::<i64>().value(row))),
        DataType::BinaryView => Shown::Text(hex(array.as_binary_view().value(row))),
        DataType::FixedSizeBinary(_) => Shown::Text(hex(array.as_fixed_size_binary().value(row))),
        DataType::Date32 => Shown::Text(date(i64::from(array.as_primitive::<Date32Type>().value(row)))),
        DataType::Date64 => instant!(Date64Type, 1_000_000),
        DataType::Timestamp(TimeUnit::Second, _) => instant!(TimestampSecondType, 1_000_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => instant!(TimestampMillisecondType, 1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => instant!(TimestampMicrosecondType, 1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => instant!(TimestampNanosecondType, 1),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            match dictionary.normalized_keys().get(row) {
                Some(&key) => show(dictionary.values(), key),
                None => Shown::Null,
            }
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => {
            let items = match array.data_type() {
                DataType::List(_) => array.as_list::<i32>().value(row),
                DataType::LargeList(_) => array.as_list::<i64>().value(row),
                _ => array.as_fixed_size_list().value(row),
            };
            let parts: Vec<String> = (0..items.len()).map(|item| json(show(&items, item))).collect();
            Shown::Bare(format!("[{}]", parts.join(",")))
        }
        DataType::Struct(fields) => {
            let parts: Vec<String> = fields
                .iter()
                .zip(array.as_struct().columns())
                .map(|(field, column)| format!("{}:{}", json_string(field.name()), json(show(column, row))))
                .collect();
            Shown::Bare(format!("{{{}}}", parts.join(",")))
        }
        _ => {
            let options = FormatOptions::default();
            let text = ArrayFormatter::try_new(array.as_ref(), &options).map(|formatter| formatter.value(row).to_string());
            Shown::Text(text.unwrap_or_else(|e| format!("({e})")))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn date(days: i64) -> String {
    i32::try_from(days + 719_163)
        .ok()
        .and_then(NaiveDate::from_num_days_from_ce_opt)
        .map_or_else(|| format!("{days} days since 1970-01-01"), |date| date.format("%Y-%m-%d").to_string())
}

/// The digits of a coefficient with the point where the scale puts it.
fn decimal(coefficient: &str, scale: i8) -> String {
    let (sign, digits) = match coefficient.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", coefficient),
    };
    match usize::try_from(scale) {
        Err(_) => format!("{sign}{digits}{}", if digits == "0" { String::new() } else { "0".repeat(usize::from(scale.unsigned_abs())) }),
        Ok(0) => coefficient.to_string(),
        Ok(scale) => {
            let padded = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = padded.split_at(padded.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
    }
}

/// A type as people say it.
pub(super) fn type_word(data_type: &DataType) -> String {
    match data_type {
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second => "seconds",
                TimeUnit::Millisecond => "milliseconds",
                TimeUnit::Microsecond => "microseconds",
                TimeUnit::Nanosecond => "nanoseconds",
            };
            format!("timestamp in {unit}{}", if zone.is_some() { " UTC" } else { "" })
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_string(),
        DataType::Dictionary(_, values) => type_word(values),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => format!("decimal({p},{s})"),
        DataType::Date32 => "date".to_string(),
        DataType::Boolean => "bool".to_string(),
        other if other.is_numeric() => other.to_string().to_lowercase(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Float64Array, StringArray};

    use super::*;

    #[test]
    fn values_are_written_exactly() {
        let plain = Shower::new(&[], [0; 32]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.1 + 0.2), Some(f64::NAN), None, Some(1.0)]));
        assert_eq!(plain.json("x", &floats, 0), "0.30000000000000004");
        assert_eq!(plain.json("x", &floats, 1), "\"NaN\"");
        assert_eq!(plain.text("x", &floats, 2), None);
        let decimals: ArrayRef = Arc::new(Decimal128Array::from(vec![5, -12345]).with_precision_and_scale(10, 3).unwrap());
        assert_eq!(plain.text("x", &decimals, 0).as_deref(), Some("0.005"));
        assert_eq!(plain.text("x", &decimals, 1).as_deref(), Some("-12.345"));
    }

    #[test]
    fn masked_columns_show_a_digest_of_the_value() {
        let shower = Shower::new(&["email".to_string()], [7; 32]);
        let values: ArrayRef = Arc::new(StringArray::from(vec!["a@example.org", "a@example.org"]));
        let shown = shower.text("email", &values, 0).unwrap();
        assert!(shown.starts_with("masked:") && !shown.contains("example"));
        assert_eq!(Some(shown), shower.text("email", &values, 1));
        assert_eq!(shower.text("name", &values, 0).as_deref(), Some("a@example.org"));
    }
}
