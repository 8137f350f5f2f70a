//! `untold_time(instant, written)`: of a column that was read as local times, the values that mean no instant, or one of two; NULL for
//! all others. Nothing is looked at twice where there are none: they are NULL as instants, and not NULL as written.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::local_time::LocalTime;
use super::parse_text::ParseText;

/// The function, made for one column of one side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct UntoldTime {
    reading: Reading,
    signature: Signature,
}

/// How the column is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Reading {
    Stored(LocalTime),
    Text(ParseText),
}

impl UntoldTime {
    /// For a column of naive timestamps.
    pub(crate) fn of_stored(reading: LocalTime) -> Self {
        Self { reading: Reading::Stored(reading), signature: Signature::any(2, Volatility::Immutable) }
    }

    /// For a column of text.
    pub(crate) fn of_text(reading: ParseText) -> Self {
        Self { reading: Reading::Text(reading), signature: Signature::any(2, Volatility::Immutable) }
    }
}

/// A local time of which nobody can say which instant it is, as the function writes it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UntoldValue<'a> {
    /// It comes twice; else it does not exist.
    pub twice: bool,
    /// The two instants that it can be, in nanoseconds.
    pub between: (i128, i128),
    /// As it is written in the data.
    pub written: &'a str,
}

impl<'a> UntoldValue<'a> {
    /// Reads what the function wrote.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        let twice = parts.next()? == "twice";
        let mut nanos = || parts.next()?.parse::<i128>().ok().map(|seconds| seconds * 1_000_000_000);
        let between = (nanos()?, nanos()?);
        Some(Self { twice, between, written: parts.next()? })
    }
}

impl ScalarUDFImpl for UntoldTime {
    fn name(&self) -> &str {
        "untold_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [instants, written] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("untold_time takes two arguments".to_string()));
        };
        let (instants, written) = (instants.to_array(args.number_rows)?, written.to_array(args.number_rows)?);
        if instants.logical_null_count() == written.logical_null_count() {
            return Ok(ColumnarValue::Array(new_null_array(&DataType::Utf8, instants.len())));
        }
        let plain = match &self.reading {
            Reading::Stored(_) => cast(&written, &DataType::Int64)?,
            Reading::Text(_) => cast(&written, &DataType::Utf8)?,
        };
        let mut out = StringBuilder::new();
        for row in 0..plain.len() {
            if plain.is_null(row) || !instants.is_null(row) {
                out.append_null();
                continue;
            }
            let untold = match &self.reading {
                Reading::Stored(stored) => stored.untold(plain.as_primitive::<Int64Type>().value(row))?,
                Reading::Text(text) => {
                    let value = plain.as_string::<i32>().value(row);
                    text.untold(value)?.map(|untold| (untold, value.trim().to_string()))
                }
            };
            out.append_option(untold.map(|(untold, written)| {
                let word = if untold.twice { "twice" } else { "never" };
                format!("{word} {} {} {written}", untold.between.0, untold.between.1)
            }));
        }
        let out: ArrayRef = Arc::new(out.finish());
        Ok(ColumnarValue::Array(out))
    }
}
