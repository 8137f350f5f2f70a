//! Event time against sequence: where a sequence runs backwards.
//!
//! A sequence runs backwards where it falls as event time rises, whatever the order of the rows. Rows mostly come in order,
//! so a reader keeps runs of rows whose time rises and whose number does not fall: nothing falls inside one. Runs that do
//! not overlap in time are judged by their ends. Where they do overlap, the rows themselves are needed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;

use super::hashing::{SideHasher, Times};
use super::reading::{Want, fold, scan};
use super::screen::{SideScreen, whole_numbers};
use super::sketch::ByHash;
use crate::domain::{ColumnEncoder, Seed};
use crate::error::Result;
use crate::findings::StageRecord;
use crate::job::RunOptions;
use crate::progress::Progress;
use crate::staging::Prepared;

/// Bytes of a row that is held for its time and number.
const POINT_BYTES: u64 = 32;
/// Runs that are remembered at most for a series; beyond, only how far they reach.
const MOST_RUNS: usize = 1 << 14;

/// A run of rows: event time rises with every row, and the number never falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: (i128, i128),
    last: (i128, i128),
}

/// A fall of the sequence between two neighbouring event times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fall {
    /// Time and greatest number before it.
    pub(super) before: (i128, i128),
    /// Time and least number after it.
    pub(super) after: (i128, i128),
}

/// Event times and numbers of a series on one side.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    rows: u64,
    runs: Vec<Run>,
    /// Set once the runs were too many to keep.
    lost: bool,
    /// The falls, once the rows were read for themselves.
    settled: Option<Vec<Fall>>,
}

impl Clock {
    /// Adds a row's event time and number.
    pub(super) fn add(&mut self, at: i128, number: i128) {
        self.rows += 1;
        if self.lost {
            return;
        }
        match self.runs.last_mut() {
            Some(run) if run.last.0 < at && run.last.1 <= number => run.last = (at, number),
            _ => {
                self.runs.push(Run { first: (at, number), last: (at, number) });
                self.forget_if_too_many();
            }
        }
    }

    fn forget_if_too_many(&mut self) {
        if self.runs.len() > MOST_RUNS {
            self.lost = true;
            self.runs = Vec::new();
        }
    }

    /// Adds what another reader has seen.
    pub(super) fn merge(&mut self, other: Self) {
        let Self { rows, runs, lost, settled: _ } = other;
        self.rows += rows;
        self.lost |= lost;
        self.runs.extend(runs);
        if self.lost {
            self.runs = Vec::new();
        }
        self.forget_if_too_many();
    }

    /// The falls; `None` where runs overlap in time, so that the rows themselves are needed.
    pub(super) fn falls(&self) -> Option<Vec<Fall>> {
        if let Some(falls) = &self.settled {
            return Some(falls.clone());
        }
        if self.lost {
            return None;
        }
        let mut runs = self.runs.clone();
        runs.sort_unstable_by_key(|run| run.first);
        let mut falls = Vec::new();
        for pair in runs.windows(2) {
            if pair[1].first.0 <= pair[0].last.0 {
                return None;
            }
            if pair[1].first.1 < pair[0].last.1 {
                falls.push(Fall { before: pair[0].last, after: pair[1].first });
            }
        }
        Some(falls)
    }
}

/// Appends the falls between neighbouring distinct event times; `before` is the time and greatest number before the first, and
/// afterwards those of the last. Rows of one time have no order among them.
fn falls_of(mut points: Vec<(i128, i128)>, before: &mut Option<(i128, i128)>, falls: &mut Vec<Fall>) {
    points.sort_unstable();
    for group in points.chunk_by(|a, b| a.0 == b.0) {
        // Sorted by number within a time, so the first is the least and the last the greatest.
        let (Some(&after), Some(&greatest)) = (group.first(), group.last()) else { continue };
        if let Some(before) = before.filter(|(_, number)| after.1 < *number) {
            falls.push(Fall { before, after });
        }
        *before = Some(greatest);
    }
}

/// A part of the rows: all of some series, or a stretch of the time of one.
struct Part {
    series: Vec<Vec<u8>>,
    from: i128,
    until: i128,
}

/// The series that runs cannot judge, in parts that fit in memory; the stretches of a series in order of time.
fn parts(side: &SideScreen, room: u64) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut series, mut bytes) = (Vec::new(), 0);
    let whole = |series| Part { series, from: i128::MIN, until: i128::MAX };
    for (key, screen) in &side.series {
        if screen.clock.falls().is_some() {
            continue;
        }
        let needed = screen.clock.rows * POINT_BYTES;
        if needed > room {
            let (first, last) = screen.extent.unwrap_or((0, 0));
            let count = i128::from(needed / room + 1).min(4_096);
            let width = (last - first) / count + 1;
            for at in 0..count {
                parts.push(Part { series: vec![key.clone()], from: first + at * width, until: first + (at + 1) * width });
            }
            continue;
        }
        if bytes + needed > room {
            parts.push(whole(std::mem::take(&mut series)));
            bytes = 0;
        }
        bytes += needed;
        series.push(key.clone());
    }
    if !series.is_empty() {
        parts.push(whole(series));
    }
    parts
}

/// Time and greatest number so far of a series, and the falls before.
type Settled = (Option<(i128, i128)>, Vec<Fall>);

/// What one reader has seen of a part.
#[derive(Default)]
struct Points {
    /// The place of a series in the part, by the checksum of its values.
    places: HashMap<u128, Option<usize>, ByHash>,
    points: Vec<Vec<(i128, i128)>>,
}

/// Reads time and sequence once more where rows did not come in order, and settles where the sequence falls.
///
/// # Errors
/// A side could not be read again.
pub async fn settle_clocks(
    prepared: &Prepared,
    sides: &mut [SideScreen],
    options: &RunOptions,
    seed: &Seed,
    context: &Arc<TaskContext>,
    progress: &Progress,
) -> Result<Vec<StageRecord>> {
    let mut stages = Vec::new();
    let (Some(time), Some(sequence)) = (prepared.time, prepared.sequence) else { return Ok(stages) };
    let mut columns = prepared.series.clone();
    columns.extend([time, sequence]);
    columns.sort_unstable();
    columns.dedup();
    for (opened, side) in prepared.sides.iter().zip(sides) {
        let mut settled: HashMap<Vec<u8>, Settled> = HashMap::new();
        for part in parts(side, (options.memory_bytes / 4).max(1 << 20)) {
            progress.stage(&format!("ordering the sequence of {} {}", prepared.stream.name, opened.side), opened.rows_hint);
            let plan = scan(prepared, opened, &Want { columns: columns.clone(), bounded: options.shortcuts.statistics, ..Want::default() })
                .await?;
            let hasher = SideHasher::new(opened.side, prepared, seed, &plan.schema());
            let wanted: Arc<HashMap<Vec<u8>, usize>> =
                Arc::new(part.series.iter().enumerate().map(|(at, series)| (series.clone(), at)).collect());
            let series = prepared.series.clone();
            let (from, until) = (part.from, part.until);
            let add = move |state: &mut Points, batch: RecordBatch| {
                let batch = hasher.inside(&batch)?.unwrap_or(batch);
                let column = |place: usize| hasher.canonicaliser.column(place, &batch).map(|(array, _)| array);
                let times = Times::of(&column(time)?)?;
                let numbers = whole_numbers(&column(sequence)?)?;
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
                    if let (Some(place), Some(at), Some(number)) = (place, times.at(row), numbers[row])
                        && from <= at
                        && at < until
                    {
                        state.points[place].push((at, number));
                    }
                }
                Ok::<_, DataFusionError>(())
            };
            let (states, stage) = fold("clock", opened.side, plan, context.clone(), progress, Points::default, add).await?;
            stages.push(stage);
            for (at, key) in part.series.iter().enumerate() {
                let points: Vec<(i128, i128)> = states.iter().filter_map(|state| state.points.get(at)).flatten().copied().collect();
                let (before, falls) = settled.entry(key.clone()).or_default();
                falls_of(points, before, falls);
            }
        }
        for (key, (_, falls)) in settled {
            if let Some(series) = side.series.get_mut(&key) {
                series.clock.settled = Some(falls);
            }
        }
    }
    Ok(stages)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn runs_judge_as_rows_do_or_say_that_they_cannot() {
        let mut judged = 0;
        for seed in 0..400 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut at = 0;
            let mut points = Vec::new();
            for number in 0..rng.random_range(1..60) {
                at += rng.random_range(0..3_i128).min(1) + rng.random_range(0..2_i128);
                points.push((at, number + rng.random_range(-1..2_i128) * i128::from(rng.random_range(0..8) == 0)));
            }
            let mut parts = vec![Clock::default(); rng.random_range(1..4)];
            let count = parts.len();
            for (index, point) in points.iter().enumerate() {
                parts[index * count / points.len()].add(point.0, point.1);
            }
            let mut merged = Clock::default();
            parts.into_iter().for_each(|part| merged.merge(part));
            if let Some(falls) = merged.falls() {
                judged += 1;
                let mut expected = Vec::new();
                falls_of(points, &mut None, &mut expected);
                assert_eq!(falls, expected, "seed {seed}");
            }
        }
        assert!(judged > 40, "{judged}");
    }

    #[test]
    fn rows_out_of_order_are_not_judged_by_runs() {
        let mut clock = Clock::default();
        for (at, number) in [(1, 1), (5, 5), (3, 3)] {
            clock.add(at, number);
        }
        assert!(clock.falls().is_none());
        clock.settled = Some(Vec::new());
        assert_eq!(clock.falls(), Some(Vec::new()));
    }
}
