//! Two columns of some series, read once more for themselves, so that they can be sorted.
//!
//! What the first pass keeps does not know the order of rows. Where order is needed (a sequence that falls, a cadence that is learned, a set of spans that
//! outgrew its room), the columns are read again, in parts that fit into memory: whole series, or a stretch of one that is too long.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;

use super::hashing::{SideHasher, Times};
use super::reading::{Want, fold, scan};
use super::screen::whole_numbers;
use super::sketch::ByHash;
use crate::domain::{ColumnEncoder, Seed};
use crate::error::Result;
use crate::findings::StageRecord;
use crate::job::RunOptions;
use crate::progress::Progress;
use crate::source::Opened;
use crate::staging::Prepared;

/// Bytes of a row that is held for its two values.
const POINT_BYTES: u64 = 32;

/// A part of the rows: all of some series, or of one series those whose first value lies in a stretch.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) series: Vec<Vec<u8>>,
    pub(super) from: i128,
    pub(super) until: i128,
}

impl Part {
    /// A series whole, not a stretch of it.
    pub(super) fn is_whole(&self) -> bool {
        self.from == i128::MIN
    }
}

/// Cuts series with so many rows, from the first value to the last (inclusive), into parts that fit into so many bytes; the stretches of a series
/// in ascending order.
pub(super) fn parts<'a>(series: impl Iterator<Item = (&'a Vec<u8>, u64, (i128, i128))>, room: u64) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut together, mut bytes) = (Vec::new(), 0);
    let whole = |series| Part { series, from: i128::MIN, until: i128::MAX };
    for (key, rows, (first, last)) in series {
        let needed = rows.saturating_mul(POINT_BYTES);
        if needed > room {
            let count = i128::from(needed / room + 1).min(4_096);
            let width = (last - first) / count + 1;
            for at in 0..count {
                parts.push(Part { series: vec![key.clone()], from: first + at * width, until: first + (at + 1) * width });
            }
            continue;
        }
        if bytes + needed > room {
            parts.push(whole(std::mem::take(&mut together)));
            bytes = 0;
        }
        bytes += needed;
        together.push(key.clone());
    }
    if !together.is_empty() {
        parts.push(whole(together));
    }
    parts
}

/// What one reader has seen of a part.
struct Points<P> {
    /// The place of a series in the part, by the checksum of its values.
    places: HashMap<u128, Option<usize>, ByHash>,
    points: Vec<Vec<P>>,
}

/// Reads parts of a side.
pub(super) struct Reader<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) options: &'a RunOptions,
    pub(super) seed: &'a Seed,
    pub(super) context: &'a Arc<TaskContext>,
    pub(super) progress: &'a Progress,
    pub(super) stages: Vec<StageRecord>,
}

impl Reader<'_> {
    /// Bytes that the points of a part may take.
    pub(super) fn room(&self) -> u64 {
        (self.options.memory_bytes / 4).max(1 << 20)
    }

    /// The values of two columns (of one, with 0 beside it), unsorted, for each series of the part. Rows where either is NULL are left out.
    ///
    /// # Errors
    /// The side could not be read again.
    pub(super) async fn read(
        &mut self,
        name: &'static str,
        opened: &Opened,
        part: &Part,
        first: usize,
        second: Option<usize>,
    ) -> Result<Vec<Vec<(i128, i128)>>> {
        self.read_as(name, opened, part, [Some(first), second, None], |[first, second, _]| (first, second)).await
    }

    /// The same of up to three columns, as points of the caller's own making; the first is there.
    ///
    /// # Errors
    /// The side could not be read again.
    pub(super) async fn read_as<P: Clone + Send + 'static>(
        &mut self,
        name: &'static str,
        opened: &Opened,
        part: &Part,
        places: [Option<usize>; 3],
        make: impl Fn([i128; 3]) -> P + Clone + Send + 'static,
    ) -> Result<Vec<Vec<P>>> {
        let prepared = self.prepared;
        let mut columns = prepared.series.clone();
        columns.extend(prepared.time);
        columns.extend(places.into_iter().flatten());
        columns.sort_unstable();
        columns.dedup();
        let plan = scan(prepared, opened, &Want { columns, bounded: self.options.shortcuts.statistics, ..Want::default() }).await?;
        let hasher = SideHasher::new(opened.side, prepared, self.seed, &plan.schema());
        let wanted: Arc<HashMap<Vec<u8>, usize>> =
            Arc::new(part.series.iter().enumerate().map(|(at, series)| (series.clone(), at)).collect());
        let series = prepared.series.clone();
        let (from, until, time) = (part.from, part.until, prepared.time);
        let add = move |state: &mut Points<P>, batch: RecordBatch| {
            let batch = hasher.inside(&batch)?.unwrap_or(batch);
            let column = |place: usize| hasher.canonicaliser.column(place, &batch).map(|(array, _)| array);
            let values = |place: usize| match Some(place) == time {
                true => Times::of(&column(place)?).map(|times| times.all()),
                false => whole_numbers(&column(place)?),
            };
            let [firsts, seconds, thirds] = places.map(|place| place.map(values));
            let (firsts, seconds, thirds) = (firsts.transpose()?, seconds.transpose()?, thirds.transpose()?);
            let groups = hasher.group(&batch, &series)?;
            let mut encoders: Option<Vec<ColumnEncoder>> = None;
            state.points.resize(wanted.len(), Vec::new());
            for (row, group) in groups.into_iter().enumerate() {
                let place = match state.places.get(&group) {
                    Some(place) => *place,
                    None => {
                        let encoders = match &encoders {
                            Some(encoders) => encoders,
                            None => {
                                let made = series.iter().map(|&place| {
                                    ColumnEncoder::new("", &column(place)?).map_err(|e| DataFusionError::Execution(e.to_string()))
                                });
                                encoders.insert(made.collect::<std::result::Result<Vec<_>, DataFusionError>>()?)
                            }
                        };
                        let mut bytes = Vec::new();
                        encoders.iter().for_each(|encoder| encoder.encode(row, &mut bytes));
                        let place = wanted.get(&bytes).copied();
                        state.places.insert(group, place);
                        place
                    }
                };
                let of = |values: &Option<Vec<Option<i128>>>| values.as_ref().map_or(Some(0), |values| values[row]);
                if let (Some(place), Some(value), Some(second), Some(third)) = (place, of(&firsts), of(&seconds), of(&thirds))
                    && from <= value
                    && value < until
                {
                    state.points[place].push(make([value, second, third]));
                }
            }
            Ok::<_, DataFusionError>(())
        };
        let none = || Points { places: HashMap::default(), points: Vec::new() };
        let (states, stage) = fold(name, opened.side, plan, self.context.clone(), self.progress, none, add).await?;
        self.stages.push(stage);
        let mut all: Vec<Vec<P>> = vec![Vec::new(); part.series.len()];
        for state in states {
            for (mine, theirs) in all.iter_mut().zip(state.points) {
                if mine.is_empty() { *mine = theirs } else { mine.extend(theirs) }
            }
        }
        Ok(all)
    }
}
