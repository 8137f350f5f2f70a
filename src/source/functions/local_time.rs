//! `local_time(ts)`: a naive local timestamp to the instant it means in a time zone; NULL where it means none, or one of two
//! ([`super::UntoldTime`] says which values these are).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
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
    ambiguous: Ambiguous,
    masked: bool,
    signature: Signature,
}

/// A local time of which nobody can say which instant it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Untold {
    /// Clocks went back over it; else they went forward over it.
    pub(super) twice: bool,
    /// Seconds since the epoch: the two that it can be, by the offsets before and after the change.
    pub(super) between: (i64, i64),
}

impl LocalTime {
    /// For a column of naive timestamps of a unit, meant in a zone.
    pub(crate) fn new(column: &str, unit: TimeUnit, zone: Tz, ambiguous: Ambiguous) -> Self {
        let signature = Signature::any(1, Volatility::Immutable);
        Self { column: column.to_string(), unit, zone: zone.name().to_string(), ambiguous, masked: false, signature }
    }

    /// Keeps the values of a masked column out of errors.
    #[must_use]
    pub(crate) fn masked(self, masked: bool) -> Self {
        Self { masked, ..self }
    }

    /// What the clock on the wall shows, and the part of a second in ticks.
    fn wall(&self, value: i64) -> Result<(NaiveDateTime, i64)> {
        let per_second = ticks_per_second(self.unit);
        let naive = DateTime::<Utc>::from_timestamp(value.div_euclid(per_second), 0).map(|moment| moment.naive_utc());
        let beyond = || DataFusionError::Execution(format!("column '{}': the time {value} is beyond the calendar", self.column));
        Ok((naive.ok_or_else(beyond)?, value.rem_euclid(per_second)))
    }

    /// A value of which nobody can say which instant it is, and how it reads.
    pub(super) fn untold(&self, value: i64) -> Result<Option<(Untold, String)>> {
        let (naive, rest) = self.wall(value)?;
        let Err(untold) = resolve(naive, zone(&self.zone)?, self.ambiguous) else { return Ok(None) };
        let part = TimeDelta::nanoseconds(rest * (1_000_000_000 / ticks_per_second(self.unit)));
        Ok(Some((untold, (naive + part).format("%Y-%m-%dT%H:%M:%S%.f").to_string())))
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
        let zone = zone(&self.zone)?;
        let Some(argument) = args.args.first() else {
            return Err(DataFusionError::Internal("local_time takes one argument".to_string()));
        };
        let ticks = cast(&argument.to_array(args.number_rows)?, &DataType::Int64)?;
        let ticks = ticks.as_primitive::<Int64Type>();
        let per_second = ticks_per_second(self.unit);
        let mut out = Vec::with_capacity(ticks.len());
        for value in ticks {
            let Some(value) = value else {
                out.push(None);
                continue;
            };
            let (naive, rest) = self.wall(value)?;
            let seconds = settled(resolve(naive, zone, self.ambiguous), &self.column, naive, zone, self.ambiguous, self.masked)?;
            out.push(seconds.map(|seconds| seconds * per_second + rest));
        }
        let plain: ArrayRef = Arc::new(Int64Array::from(out));
        Ok(ColumnarValue::Array(cast(&plain, &DataType::Timestamp(self.unit, Some("UTC".into())))?))
    }
}

/// A zone by its name.
pub(super) fn zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| DataFusionError::Internal(format!("zone {name}")))
}

/// Seconds since the epoch of a local wall-clock time, or why nobody can say.
pub(super) fn resolve(naive: NaiveDateTime, zone: Tz, ambiguous: Ambiguous) -> std::result::Result<i64, Untold> {
    match (zone.from_local_datetime(&naive), ambiguous) {
        (LocalResult::Single(moment), _) => Ok(moment.timestamp()),
        (LocalResult::Ambiguous(first, _), Ambiguous::Earliest) => Ok(first.timestamp()),
        (LocalResult::Ambiguous(_, second), Ambiguous::Latest) => Ok(second.timestamp()),
        (LocalResult::Ambiguous(first, second), Ambiguous::Finding | Ambiguous::Error) => {
            Err(Untold { twice: true, between: (first.timestamp(), second.timestamp()) })
        }
        (LocalResult::None, _) => {
            // No zone changes its clocks twice within two days, and none is more than a day from UTC.
            let by = |days: i64| {
                let near = naive.checked_add_signed(TimeDelta::days(days)).unwrap_or(naive);
                naive.and_utc().timestamp() - i64::from(zone.offset_from_utc_datetime(&near).fix().local_minus_utc())
            };
            let (one, other) = (by(-1), by(1));
            Err(Untold { twice: false, between: (one.min(other), one.max(other)) })
        }
    }
}

/// The instant, or none where that is to be a finding.
///
/// # Errors
/// Nobody can say which instant it is, and that is to end the run.
pub(super) fn settled(
    resolved: std::result::Result<i64, Untold>,
    column: &str,
    naive: NaiveDateTime,
    zone: Tz,
    ambiguous: Ambiguous,
    masked: bool,
) -> Result<Option<i64>> {
    let untold = match (resolved, ambiguous) {
        (Ok(seconds), _) => return Ok(Some(seconds)),
        (Err(untold), Ambiguous::Error) => untold,
        (Err(_), _) => return Ok(None),
    };
    let shown = if masked { "(masked)".to_string() } else { naive.to_string() };
    Err(DataFusionError::Execution(match untold.twice {
        true => format!(
            "column '{column}': the local time {shown} comes twice in {zone} (clocks go back): say which one is meant with the option ambiguous=earliest or ambiguous=latest"
        ),
        false => format!(
            "column '{column}': the local time {shown} does not exist in {zone} (clocks go forward): the data or the time_zone is wrong"
        ),
    }))
}
