//! The types that a column of a text format can be said to have.

use arrow::datatypes::{DataType, TimeUnit};

/// A column's type as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// An Arrow type, parsed from its usual text.
    Plain(DataType),
    /// A count of seconds, milliseconds, microseconds or nanoseconds since the epoch.
    Epoch(TimeUnit),
}

impl ColumnType {
    /// Reads `int64`, `decimal(12,2)`, `text`, `timestamp`, `epoch_ms` and so on.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let plain = match text.as_str() {
            "bool" | "boolean" => DataType::Boolean,
            "int8" => DataType::Int8,
            "int16" => DataType::Int16,
            "int32" => DataType::Int32,
            "int64" | "int" | "integer" | "bigint" => DataType::Int64,
            "uint8" => DataType::UInt8,
            "uint16" => DataType::UInt16,
            "uint32" => DataType::UInt32,
            "uint64" => DataType::UInt64,
            "float32" => DataType::Float32,
            "float64" | "float" | "double" => DataType::Float64,
            "text" | "string" | "utf8" => DataType::Utf8,
            "binary" => DataType::Binary,
            "date" => DataType::Date32,
            "time" => DataType::Time64(TimeUnit::Nanosecond),
            "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "timestamp_s" => DataType::Timestamp(TimeUnit::Second, None),
            "timestamp_ms" => DataType::Timestamp(TimeUnit::Millisecond, None),
            "timestamp_us" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "timestamp_ns" => DataType::Timestamp(TimeUnit::Nanosecond, None),
            "epoch_s" => return Some(Self::Epoch(TimeUnit::Second)),
            "epoch_ms" => return Some(Self::Epoch(TimeUnit::Millisecond)),
            "epoch_us" => return Some(Self::Epoch(TimeUnit::Microsecond)),
            "epoch_ns" => return Some(Self::Epoch(TimeUnit::Nanosecond)),
            other => {
                let inner = other.strip_prefix("decimal(")?.strip_suffix(')')?;
                let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
                let precision: u8 = precision.trim().parse().ok()?;
                let scale: i8 = scale.trim().parse().ok()?;
                let fits = scale >= 0 && u8::try_from(scale).is_ok_and(|s| s <= precision);
                match precision {
                    1..=38 if fits => DataType::Decimal128(precision, scale),
                    39..=76 if fits => DataType::Decimal256(precision, scale),
                    _ => return None,
                }
            }
        };
        Some(Self::Plain(plain))
    }

    /// The type that the column has once it is read.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Plain(plain) => plain.clone(),
            Self::Epoch(unit) => DataType::Timestamp(*unit, Some("UTC".into())),
        }
    }

    /// The word that [`Self::parse`] reads as this type.
    pub fn word(&self) -> String {
        let unit = |unit: &TimeUnit| match unit {
            TimeUnit::Second => "s",
            TimeUnit::Millisecond => "ms",
            TimeUnit::Microsecond => "us",
            TimeUnit::Nanosecond => "ns",
        };
        match self {
            Self::Epoch(ticks) => format!("epoch_{}", unit(ticks)),
            Self::Plain(DataType::Timestamp(ticks, _)) => format!("timestamp_{}", unit(ticks)),
            Self::Plain(DataType::Utf8) => "text".to_string(),
            Self::Plain(DataType::Boolean) => "bool".to_string(),
            Self::Plain(DataType::Date32) => "date".to_string(),
            Self::Plain(DataType::Time64(_)) => "time".to_string(),
            Self::Plain(DataType::Decimal128(p, s) | DataType::Decimal256(p, s)) => format!("decimal({p},{s})"),
            Self::Plain(other) => other.to_string().to_lowercase(),
        }
    }

    /// All words, for errors.
    pub const WORDS: &'static str = "bool, int8 to int64, uint8 to uint64, float32, float64, decimal(p,s), text, binary, date, time, timestamp, timestamp_s/_ms/_us/_ns, epoch_s/_ms/_us/_ns";
}
