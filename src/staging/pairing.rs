//! Which columns of the two sides belong together, and in which type they are compared.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

use crate::domain::{Side, ticks_per_second};

/// How a side's column gets into the common type.
#[derive(Debug, Clone, PartialEq)]
pub enum Conversion {
    /// A lossless cast, possibly to the type it has.
    Cast,
    /// Timestamps or durations, rounded down to a coarser unit. `per_tick`: finer ticks in a coarser one.
    Floor {
        /// Finer ticks in a coarser one.
        per_tick: i64,
    },
    /// Dates as their midnights.
    Midnight,
    /// Decimals as the nearest double.
    NearestDouble,
    /// Integers and floats as the exact number in text: neither type holds all values of the other.
    ExactText,
    /// Nested values as their canonical encoding.
    Encoding,
}

/// A type in which both sides can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairing {
    /// The common type.
    pub common: DataType,
    /// How each side gets there, original first.
    pub conversions: [Conversion; 2],
}

/// What the columns of the two sides had to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaFactKind {
    /// On the original only.
    Missing,
    /// On the backfill only.
    Unexpected,
    /// Types that cannot be compared.
    Mismatch,
    /// Types that can, by a conversion.
    Converted,
}

/// One fact about a column, for the schema checks.
#[derive(Debug, Clone)]
pub struct SchemaFact {
    /// What is the case.
    pub kind: SchemaFactKind,
    /// The column.
    pub column: String,
    /// Its type on the original.
    pub original_type: Option<String>,
    /// Its type on the backfill.
    pub backfill_type: Option<String>,
    /// In words, what was converted.
    pub note: String,
    /// The side that lost digits in the conversion can be counted for: column position among the paired ones.
    pub lossy: Option<Side>,
}

/// The plain type behind a physical one: dictionaries and run-end encodings are forms, not types.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::Int64,
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Nanosecond),
        DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        other => other.clone(),
    }
}

/// The form of nested values; only equal forms are compared.
fn nested_form(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) | DataType::ListView(_) | DataType::LargeListView(_) => {
            Some("list")
        }
        DataType::Struct(_) => Some("struct"),
        DataType::Map(_, _) => Some("map"),
        _ => None,
    }
}

fn coarser(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    if ticks_per_second(a) <= ticks_per_second(b) { a } else { b }
}

fn floor_to(from: TimeUnit, to: TimeUnit) -> Conversion {
    let per_tick = ticks_per_second(from) / ticks_per_second(to);
    if per_tick > 1 { Conversion::Floor { per_tick } } else { Conversion::Cast }
}

/// The type in which two columns are compared, or `None` where no comparison by value is possible. Symmetric.
pub fn comparable(original: &DataType, backfill: &DataType) -> Option<Pairing> {
    use DataType::{Date32, Decimal128, Decimal256, Duration, Float64, Int64, Null, Timestamp, UInt64};
    let (a, b) = (plain(original), plain(backfill));
    let cast = |common: DataType| Some(Pairing { common, conversions: [Conversion::Cast, Conversion::Cast] });
    if let (Some(form), Some(other)) = (nested_form(&a), nested_form(&b)) {
        let encoded = [Conversion::Encoding, Conversion::Encoding];
        return (form == other).then_some(Pairing { common: DataType::Binary, conversions: encoded });
    }
    // 64-bit integers reach beyond what a double holds exactly; narrower ones do not.
    let narrow = |data_type: &DataType| {
        let inner = match data_type {
            DataType::Dictionary(_, values) => values.as_ref(),
            other => other,
        };
        !matches!(inner, DataType::Int64 | DataType::UInt64)
    };
    match (&a, &b) {
        (Null, Null) => cast(Null),
        (Null, other) | (other, Null) => {
            let kept = comparable(other, other)?;
            // The side without values takes the other's type as it is.
            Some(Pairing { common: kept.common, conversions: kept.conversions })
        }
        (DataType::Union(_, _), _) | (_, DataType::Union(_, _)) => None,
        _ if a == b => cast(a),
        (Int64, UInt64) | (UInt64, Int64) => cast(Decimal128(20, 0)),
        (Int64 | UInt64, Decimal128(p, s) | Decimal256(p, s)) | (Decimal128(p, s) | Decimal256(p, s), Int64 | UInt64) => {
            cast(decimal(i16::from(*p) - i16::from(*s), 20, (*s).max(0))?)
        }
        (Decimal128(p, s) | Decimal256(p, s), Decimal128(q, t) | Decimal256(q, t)) => {
            cast(decimal(i16::from(*p) - i16::from(*s), i16::from(*q) - i16::from(*t), (*s).max(*t).max(0))?)
        }
        (Int64 | UInt64, Float64) if narrow(original) => cast(Float64),
        (Float64, Int64 | UInt64) if narrow(backfill) => cast(Float64),
        (Int64 | UInt64, Float64) | (Float64, Int64 | UInt64) => {
            Some(Pairing { common: DataType::Utf8, conversions: [Conversion::ExactText, Conversion::ExactText] })
        }
        (Decimal128(_, _) | Decimal256(_, _), Float64) => {
            Some(Pairing { common: Float64, conversions: [Conversion::NearestDouble, Conversion::Cast] })
        }
        (Float64, Decimal128(_, _) | Decimal256(_, _)) => {
            Some(Pairing { common: Float64, conversions: [Conversion::Cast, Conversion::NearestDouble] })
        }
        (Timestamp(u, y), Timestamp(v, z)) => {
            let unit = coarser(*u, *v);
            let zone = y.clone().or_else(|| z.clone());
            Some(Pairing { common: Timestamp(unit, zone), conversions: [floor_to(*u, unit), floor_to(*v, unit)] })
        }
        (Duration(u), Duration(v)) => {
            let unit = coarser(*u, *v);
            Some(Pairing { common: Duration(unit), conversions: [floor_to(*u, unit), floor_to(*v, unit)] })
        }
        (Date32, Timestamp(unit, zone)) => {
            Some(Pairing { common: Timestamp(*unit, zone.clone()), conversions: [Conversion::Midnight, Conversion::Cast] })
        }
        (Timestamp(unit, zone), Date32) => {
            Some(Pairing { common: Timestamp(*unit, zone.clone()), conversions: [Conversion::Cast, Conversion::Midnight] })
        }
        _ => None,
    }
}

/// The decimal that holds so many digits before the point on either side, and so many behind it.
fn decimal(whole: i16, other_whole: i16, scale: i8) -> Option<DataType> {
    let precision = u8::try_from(whole.max(other_whole).max(1) + i16::from(scale)).ok()?;
    match precision {
        ..=38 => Some(DataType::Decimal128(precision, scale)),
        39..=76 => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

/// In words, what a pairing does; `None` when both columns have one type already.
pub(super) fn note(pairing: &Pairing, original: &DataType, backfill: &DataType) -> Option<String> {
    if original == backfill {
        return None;
    }
    let common = super::show::type_word(&pairing.common);
    Some(match &pairing.conversions {
        [Conversion::Floor { .. }, _] | [_, Conversion::Floor { .. }] => {
            format!("compared at the coarser unit, {common}, rounded down")
        }
        [Conversion::ExactText, _] => "compared as exact numbers".to_string(),
        [Conversion::NearestDouble, _] | [_, Conversion::NearestDouble] => "decimals compared as their nearest doubles".to_string(),
        [Conversion::Midnight, _] | [_, Conversion::Midnight] => format!("dates compared as their midnights, {common}"),
        [Conversion::Encoding, _] => "nested values compared by value".to_string(),
        _ => match (original, backfill) {
            (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_)))
            | (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None)) => "the time without a zone taken as UTC".to_string(),
            _ => format!("compared as {common}"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_symmetric() {
        use DataType::{Boolean, Date32, Decimal128, Float32, Float64, Int32, Int64, LargeUtf8, UInt64, Utf8};
        let ts = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
        let types = [
            Boolean,
            Int32,
            Int64,
            UInt64,
            Float32,
            Float64,
            Decimal128(10, 2),
            Decimal128(38, 10),
            Utf8,
            LargeUtf8,
            Date32,
            ts(TimeUnit::Second, None),
            ts(TimeUnit::Nanosecond, Some("Europe/Berlin")),
            DataType::Null,
        ];
        for a in &types {
            for b in &types {
                let forth = comparable(a, b);
                let back = comparable(b, a).map(|p| {
                    let [x, y] = p.conversions;
                    Pairing { common: p.common, conversions: [y, x] }
                });
                assert_eq!(forth, back, "{a} {b}");
            }
        }
        assert!(comparable(&Utf8, &Int64).is_none());
        assert!(comparable(&Boolean, &Int32).is_none());
    }
}
