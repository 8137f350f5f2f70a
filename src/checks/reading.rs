//! One pass over a side: what is read, and how its batches are folded.

use std::sync::Arc;
use std::time::Instant as Clock;

use arrow::datatypes::{DataType, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use datafusion::prelude::{Expr, ident, lit};
use futures::TryStreamExt;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::buckets::{Places, Position};
use super::hashing::Locality;
use super::rules::{rule_expression, rules_of};
use super::untold::UntoldColumns;
use crate::domain::{Intervals, Side, ticks_per_second};
use crate::error::{Error, Result};
use crate::findings::StageRecord;
use crate::progress::Progress;
use crate::source::{Guard, InOrder, Opened, describe_engine_error, in_order};
use crate::staging::{Prepared, refuse_unsafe_joins};

/// What a pass reads of a side.
#[derive(Debug, Clone, Default)]
pub(super) struct Want {
    /// Places of the paired columns.
    pub(super) columns: Vec<usize>,
    /// A boolean column for each rule of the side behind them.
    pub(super) rules: bool,
    /// The columns that tell which local times mean no instant, last.
    pub(super) untold: bool,
    /// The columns are only hashed, or cast to plain types before they are shown, so that their physical form does not matter.
    pub(super) hashed: bool,
    /// Rows far outside the bounds need not come, so that what statistics prove to lie there is not read. Rows near them may.
    pub(super) bounded: bool,
    /// Rows for which this does not hold need not come.
    pub(super) near: Option<Expr>,
    /// Rows for which this does not hold are left out.
    pub(super) filter: Option<Expr>,
    /// Rows come in the order in which they are stored, as far as one reader sees them.
    pub(super) in_order: Option<InOrder>,
}

/// Ranges of a column that a predicate names at most.
pub(super) const MOST_RANGES: usize = 16;

/// How far from a range of time rows are still read: further than any conversion of an event time moves it, in nanoseconds.
const NEAR: i128 = 2_000_000_000;

/// Where rows that are looked for lie, along one column in its common type.
#[derive(Debug, Clone)]
pub(super) struct Near {
    /// The column; without one nothing is known but whether there are such rows.
    place: Option<usize>,
    /// Both ends inclusive.
    ranges: Vec<(i64, i64)>,
    /// Whether there are rows without a value.
    without: bool,
}

impl Near {
    /// Rows whose column lies in some ranges.
    pub(super) fn within(place: usize, ranges: Vec<(i64, i64)>) -> Self {
        Self { place: Some(place), ranges, without: false }
    }

    /// Rows in some buckets.
    pub(super) fn buckets(prepared: &Prepared, places: &Places) -> Self {
        let (ranges, without) = places.ranges(MOST_RANGES);
        Self { place: Locality::of(prepared).place(), ranges, without }
    }

    /// Rows at some positions.
    pub(super) fn positions(prepared: &Prepared, positions: impl Iterator<Item = Position>) -> Self {
        let (mut without, mut placed) = (false, Vec::new());
        for position in positions {
            match position {
                Some(at) => placed.push(at),
                None => without = true,
            }
        }
        placed.sort_unstable();
        // Spaces as narrow as this are not among the widest, or all are.
        let slack = match (placed.first(), placed.last()) {
            (Some(first), Some(last)) => (i128::from(*last) - i128::from(*first)) / (1 << 16),
            _ => 0,
        };
        let mut together: Vec<(i128, i128)> = Vec::new();
        for at in placed.into_iter().map(i128::from) {
            match together.last_mut() {
                Some((_, until)) if at - *until <= slack => *until = at + 1,
                _ => together.push((at, at + 1)),
            }
        }
        let ranges = Intervals::of(together).few(MOST_RANGES);
        // They come from numbers of this size.
        let whole = |at: i128| i64::try_from(at).unwrap_or(i64::MAX);
        let ranges = ranges.iter().map(|(from, until)| (whole(from), whole(until - 1))).collect();
        Self { place: Locality::of(prepared).place(), ranges, without }
    }

    /// True when there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && !self.without
    }

    /// A predicate that holds for all of them, and can be judged by statistics.
    pub(super) fn predicate(&self, prepared: &Prepared, opened: &Opened) -> Option<Expr> {
        let place = self.place?;
        let per_tick = match &prepared.paired[place].common {
            DataType::Int64 => None,
            time => Some(nanos_per_tick(time)?),
        };
        let name = &prepared.paired[place].name;
        let data_type = opened.schema.field_with_name(name).ok()?.data_type().clone();
        let mut all: Option<Expr> = None;
        for &(first, last) in &self.ranges {
            let (from, until) = match per_tick {
                Some(per_tick) => {
                    let at = |tick: i64, by: i128| instant_literal(&data_type, i128::from(tick) * per_tick + by);
                    (at(first, -NEAR)?, at(last, NEAR + per_tick)?)
                }
                None => (ScalarValue::Int64(Some(first)), ScalarValue::Int64(Some(last))),
            };
            let range = ident(name.clone()).gt_eq(lit(from)).and(ident(name.clone()).lt_eq(lit(until)));
            all = Some(all.map_or(range.clone(), |all| all.or(range)));
        }
        match (all, self.without) {
            (Some(all), true) => Some(all.or(ident(name.clone()).is_null())),
            (all, _) => all,
        }
    }
}

fn nanos_per_tick(data_type: &DataType) -> Option<i128> {
    Some(match data_type {
        DataType::Timestamp(unit, _) => i128::from(1_000_000_000 / ticks_per_second(*unit)),
        DataType::Date32 => 86_400_000_000_000,
        _ => return None,
    })
}

/// A time as a value of a column's own type, rounded down.
fn instant_literal(data_type: &DataType, nanos: i128) -> Option<ScalarValue> {
    let ticks = i64::try_from(nanos.div_euclid(nanos_per_tick(data_type)?)).ok()?;
    Some(match data_type {
        DataType::Timestamp(TimeUnit::Second, zone) => ScalarValue::TimestampSecond(Some(ticks), zone.clone()),
        DataType::Timestamp(TimeUnit::Millisecond, zone) => ScalarValue::TimestampMillisecond(Some(ticks), zone.clone()),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => ScalarValue::TimestampMicrosecond(Some(ticks), zone.clone()),
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => ScalarValue::TimestampNanosecond(Some(ticks), zone.clone()),
        DataType::Date32 => ScalarValue::Date32(Some(i32::try_from(ticks).ok()?)),
        _ => return None,
    })
}

/// A predicate that holds for all rows inside the bounds, and can be judged by statistics. A row without a time is neither inside
/// nor outside, so it holds for NULL.
fn near_bounds(prepared: &Prepared, opened: &Opened) -> Option<Expr> {
    let bounds = prepared.stream.bounds;
    let name = &prepared.paired.get(prepared.time?)?.name;
    let data_type = opened.schema.field_with_name(name).ok()?.data_type().clone();
    let tick = |nanos: i128| instant_literal(&data_type, nanos);
    let from = bounds.from.and_then(|from| tick(from.0 - NEAR)).map(|at| ident(name.clone()).gt_eq(lit(at)));
    let until = bounds.until.and_then(|until| tick(until.0 + NEAR)).map(|at| ident(name.clone()).lt_eq(lit(at)));
    let near = match (from, until) {
        (Some(from), Some(until)) => from.and(until),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return None,
    };
    // A column that cannot hold NULL need not be asked: some files do not say how many they hold, and nothing could be left out.
    Some(if opened.never_null.contains(name) { near } else { near.or(ident(name.clone()).is_null()) })
}

/// The plan of a pass over a side.
pub(super) async fn scan(prepared: &Prepared, opened: &Opened, want: &Want) -> Result<Arc<dyn ExecutionPlan>> {
    let mut expressions: Vec<Expr> = want.columns.iter().map(|&place| ident(prepared.paired[place].name.clone())).collect();
    if want.rules {
        for (index, rule) in rules_of(prepared, opened.side).iter().enumerate() {
            expressions.push(rule_expression(rule, opened)?.alias(format!("__rule_{index}")));
        }
    }
    if want.untold {
        expressions.extend(UntoldColumns::of(prepared, opened).names().map(|name| ident(name.clone())));
    }
    let what = format!("reading the {}", opened.side);
    // Rules are written for the types that are shown; checksums do not depend on the physical form.
    let has_rules = want.rules && !rules_of(prepared, opened.side).is_empty();
    let mut frame = if want.hashed && !has_rules { opened.compact.clone() } else { opened.frame.clone() };
    if let Some(how) = &want.in_order {
        frame = in_order(&frame, how).map_err(Error::engine(what.clone()))?;
    }
    if let Some(filter) = &want.filter {
        frame = frame.filter(filter.clone()).map_err(Error::engine(what.clone()))?;
    }
    if let Some(near) = &want.near {
        frame = frame.filter(near.clone()).map_err(Error::engine(what.clone()))?;
    }
    if want.bounded
        && let Some(filter) = near_bounds(prepared, opened)
    {
        frame = frame.filter(filter).map_err(Error::engine(what.clone()))?;
    }
    let frame = frame.select(expressions).map_err(Error::engine(what.clone()))?;
    let (mut state, plan) = frame.into_parts();
    if let Some(how) = &want.in_order {
        state.config_mut().options_mut().execution.target_partitions = how.parts.max(1);
    }
    // The scan evaluates what it was given as it decodes, and makes the other columns of those rows only that are left.
    state.config_mut().options_mut().execution.parquet.pushdown_filters = want.filter.is_some();
    let physical = state.create_physical_plan(&plan).await.map_err(Error::engine(what.clone()))?;
    refuse_unsafe_joins(&what, physical.as_ref())?;
    Ok(physical)
}

/// Bytes that the scans of a plan took from files, where they count them.
fn bytes_scanned(plan: &dyn ExecutionPlan) -> u64 {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name("bytes_scanned")).map_or(0, |value| value.as_usize() as u64);
    own + plan.children().iter().map(|child| bytes_scanned(child.as_ref())).sum::<u64>()
}

/// Folds the partitions of a plan side by side, each into a state of its own. The states are to be merged by the caller, in
/// any order.
///
/// # Errors
/// The side could not be read to its end, or `add` failed.
pub(super) async fn fold<S, A>(
    name: &'static str,
    side: Side,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    progress: &Progress,
    make: impl Fn() -> S,
    add: A,
) -> Result<(Vec<S>, StageRecord)>
where
    S: Send + 'static,
    A: Fn(&mut S, RecordBatch) -> Result<(), DataFusionError> + Clone + Send + 'static,
{
    let add = move |state: &mut S, batch: RecordBatch| add(state, batch).map(|()| None::<()>);
    fold_into(name, side, plan, context, progress, make, add, Vec::new()).await
}

/// The same, where each batch leaves something behind that is passed on, for each partition to an outlet of its own.
///
/// # Errors
/// The side could not be read to its end, or `add` failed.
#[expect(clippy::too_many_arguments, reason = "what is read, how it is folded, and where it goes")]
pub(super) async fn fold_into<S, A, P>(
    name: &'static str,
    side: Side,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    progress: &Progress,
    make: impl Fn() -> S,
    add: A,
    outlets: Vec<Sender<P>>,
) -> Result<(Vec<S>, StageRecord)>
where
    S: Send + 'static,
    P: Send + 'static,
    A: Fn(&mut S, RecordBatch) -> Result<Option<P>, DataFusionError> + Clone + Send + 'static,
{
    let clock = Clock::now();
    let failed = |error| failed(side, error);
    let guard = Guard::new();
    let streams = execute_stream_partitioned(plan.clone(), context).map_err(failed)?;
    let mut outlets = outlets.into_iter();
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        let (mut state, add, progress, outlet) = (make(), add.clone(), progress.clone(), outlets.next());
        tasks.spawn(async move {
            let mut rows = 0;
            while let Some(batch) = stream.try_next().await? {
                rows += batch.num_rows() as u64;
                progress.advance(batch.num_rows() as u64);
                if let (Some(piece), Some(outlet)) = (add(&mut state, batch)?, &outlet) {
                    // Whoever should take it has failed, and reports that.
                    let _ = outlet.send(piece).await;
                }
            }
            Ok::<_, DataFusionError>((state, rows))
        });
    }
    drop(outlets);
    let mut states = Vec::new();
    let mut rows = 0;
    while let Some(joined) = tasks.join_next().await {
        let (state, seen) = joined
            .map_err(|e| DataFusionError::Execution(format!("the decoder gave up on damaged data ({e})")))
            .and_then(|outcome| outcome)
            .map_err(failed)?;
        states.push(state);
        rows += seen;
    }
    drop(guard);
    let elapsed_ms = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((states, StageRecord { name: name.into(), side: Some(side), rows, bytes: bytes_scanned(plan.as_ref()), elapsed_ms }))
}

/// An error of the engine while a side was read.
pub(super) fn failed(side: Side, error: DataFusionError) -> Error {
    match error {
        // An error of ours keeps its own words on the way through the engine.
        DataFusionError::External(own) if own.is::<Error>() => match own.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::ReadFailed { side: side.to_string(), problem: other.to_string() },
        },
        error => match error.find_root() {
            DataFusionError::ResourcesExhausted(problem) => Error::OutOfMemory { side: side.to_string(), problem: problem.clone() },
            _ => Error::ReadFailed { side: side.to_string(), problem: describe_engine_error(&error) },
        },
    }
}
