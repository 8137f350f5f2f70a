//! `local_time(ts)`: a naive local timestamp to the instant it means in a time zone.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{DateTime, LocalResult, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::domain::ticks_per_second;
use crate::job::Ambiguous;

/// The function, made for one column of one side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LocalTime {
    column: String,
    unit: TimeUnit,
    zone: String,
    ambiguous: AmbiguousWord,
    masked: bool,
    signature: Signature,
}

/// [`Ambiguous`], hashable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AmbiguousWord {
    Error,
    Earliest,
    Latest,
}

impl LocalTime {
    /// For a column of naive timestamps of a unit, meant in a zone.
    pub(crate) fn new(column: &str, unit: TimeUnit, zone: Tz, ambiguous: Ambiguous) -> Self {
        let ambiguous = match ambiguous {
            Ambiguous::Error => AmbiguousWord::Error,
            Ambiguous::Earliest => AmbiguousWord::Earliest,
            Ambiguous::Latest => AmbiguousWord::Latest,
        };
        let signature = Signature::any(1, Volatility::Immutable);
        Self { column: column.to_string(), unit, zone: zone.name().to_string(), ambiguous, masked: false, signature }
    }

    /// Keeps the values of a masked column out of errors.
    #[must_use]
    pub(crate) fn masked(self, masked: bool) -> Self {
        Self { masked, ..self }
    }
}

impl ScalarUDFImpl for LocalTime {
    fn name(&self) -> &str {
        "local_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(self.unit, Some("UTC".into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone: Tz = self.zone.parse().map_err(|_| DataFusionError::Internal(format!("zone {}", self.zone)))?;
        let ambiguous = match self.ambiguous {
            AmbiguousWord::Error => Ambiguous::Error,
            AmbiguousWord::Earliest => Ambiguous::Earliest,
            AmbiguousWord::Latest => Ambiguous::Latest,
        };
        let Some(argument) = args.args.first() else {
            return Err(DataFusionError::Internal("local_time takes one argument".to_string()));
        };
        let array = argument.to_array(args.number_rows)?;
        let ticks = cast(&array, &DataType::Int64)?;
        let ticks = ticks.as_primitive::<Int64Type>();
        let per_second = ticks_per_second(self.unit);
        let mut out = Vec::with_capacity(ticks.len());
        for row in 0..ticks.len() {
            if ticks.is_null(row) {
                out.push(None);
                continue;
            }
            let value = ticks.value(row);
            let (seconds, rest) = (value.div_euclid(per_second), value.rem_euclid(per_second));
            let naive = DateTime::<Utc>::from_timestamp(seconds, 0)
                .map(|moment| moment.naive_utc())
                .ok_or_else(|| DataFusionError::Execution(format!("column '{}': the time {value} is beyond the calendar", self.column)))?;
            let instant = resolve(&self.column, naive, zone, ambiguous, self.masked).map_err(DataFusionError::Execution)?;
            out.push(Some(instant * per_second + rest));
        }
        let plain: ArrayRef = Arc::new(Int64Array::from(out));
        Ok(ColumnarValue::Array(cast(&plain, &DataType::Timestamp(self.unit, Some("UTC".into())))?))
    }
}

/// Seconds since the epoch of a local wall-clock time, or why it has none or two.
pub(super) fn resolve(column: &str, naive: NaiveDateTime, zone: Tz, ambiguous: Ambiguous, masked: bool) -> Result<i64, String> {
    let shown = if masked { "(masked)".to_string() } else { naive.to_string() };
    match (zone.from_local_datetime(&naive), ambiguous) {
        (LocalResult::Single(moment), _) => Ok(moment.timestamp()),
        (LocalResult::Ambiguous(first, _), Ambiguous::Earliest) => Ok(first.timestamp()),
        (LocalResult::Ambiguous(_, second), Ambiguous::Latest) => Ok(second.timestamp()),
        (LocalResult::Ambiguous(_, _), Ambiguous::Error) => Err(format!(
            "column '{column}': the local time {shown} comes twice in {zone} (clocks go back): say which one is meant with the option ambiguous=earliest or ambiguous=latest"
        )),
        (LocalResult::None, _) => Err(format!(
            "column '{column}': the local time {shown} does not exist in {zone} (clocks go forward): the data or the time_zone is wrong"
        )),
    }
}
