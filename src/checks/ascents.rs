//! Keys that rise with their rows come once: a proof that takes no memory for a row.
//!
//! Streams mostly store their rows in the order of a number of the key, or in that order within each series. Of a run of rows whose keys
//! rise strictly no two are alike. So a reader keeps the first and the last key of each run, and only where runs overlap may a key
//! come twice:
//!
//! ```text
//! original   [────────────────────────────]        one run
//! backfill              [──────]                    another: keys inside come twice at most here
//! ```
//!
//! Keys that lie there are looked at by a pass over the key columns, which statistics keep short ([`super::repeats`]). Rows that rise nowhere make too
//! many runs; then nothing is known, and the maps of [`super::repeats`] are filled by a pass of their own.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;

use super::hashing::SideHasher;
use crate::domain::Intervals;
use crate::staging::Prepared;

/// Runs of a series, or of a stream, that are remembered at most.
const MOST_RUNS: usize = 1 << 10;
/// Runs of all series together.
const MOST_RUNS_TOGETHER: usize = 1 << 18;

/// Which number orders the keys of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyOrder {
    /// One or two columns of numbers or times.
    places: Vec<usize>,
    /// Whether keys are ordered within their series, because the key holds the series.
    pub(super) by_series: bool,
}

impl KeyOrder {
    /// The numbers of a key, without the series in it; `None` where anything else is part of it, or nothing is left.
    pub(super) fn of(prepared: &Prepared) -> Option<Self> {
        let key = prepared.key.as_ref()?;
        let by_series = !prepared.series.is_empty() && prepared.series.iter().all(|place| key.contains(place));
        let places: Vec<usize> = key.iter().copied().filter(|place| !(by_series && prepared.series.contains(place))).collect();
        let is_number = |place: &usize| {
            let common = &prepared.paired[*place].common;
            common.is_integer() || matches!(common, DataType::Timestamp(_, _) | DataType::Date32)
        };
        (matches!(places.len(), 1 | 2) && places.iter().all(is_number)).then_some(Self { places, by_series })
    }

    /// The column that comes first in the order.
    pub(super) fn leading(&self) -> usize {
        self.places[0]
    }

    /// The keys of a batch as numbers that sort as they do; `None` where a part of one is NULL.
    pub(super) fn numbers(&self, hasher: &SideHasher, batch: &RecordBatch) -> Result<Option<Vec<i128>>, DataFusionError> {
        let mut numbers: Option<Vec<i128>> = None;
        for &place in &self.places {
            let array = hasher.canonicaliser.column(place, batch)?.0;
            if array.logical_null_count() > 0 {
                return Ok(None);
            }
            numbers = Some(match (numbers, array.data_type()) {
                (None, DataType::UInt64) => array.as_primitive::<UInt64Type>().values().iter().map(|value| i128::from(*value)).collect(),
                (None, _) => whole(&array)?.as_primitive::<Int64Type>().values().iter().map(|value| i128::from(*value)).collect(),
                (Some(high), DataType::UInt64) => high
                    .iter()
                    .zip(array.as_primitive::<UInt64Type>().values())
                    .map(|(high, low)| (high << 64) | i128::from(*low))
                    .collect(),
                // With its highest bit turned over a signed number sorts as an unsigned one.
                (Some(high), _) => {
                    let array = whole(&array)?;
                    let lows = array.as_primitive::<Int64Type>().values();
                    high.iter().zip(lows).map(|(high, low)| (high << 64) | i128::from(*low as u64 ^ (1 << 63))).collect()
                }
            });
        }
        Ok(numbers)
    }

    /// The ranges of the leading column, both ends inclusive, in which keys of some ranges lie.
    pub(super) fn leading_ranges(&self, keys: &Intervals, most: usize) -> Vec<(i64, i64)> {
        let shift = if self.places.len() == 2 { 64 } else { 0 };
        let bounded = |at: i128| i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX });
        let ranges = Intervals::of(keys.iter().map(|(from, until)| (from >> shift, ((until - 1) >> shift) + 1)));
        ranges.few(most).iter().map(|(from, until)| (bounded(from), bounded(until - 1))).collect()
    }
}

fn whole(array: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
    Ok(match array.data_type() {
        DataType::Int64 => array.clone(),
        DataType::Date32 => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(array, &DataType::Int64)?,
    })
}

/// Runs of keys that rise, both ends inclusive.
#[derive(Debug, Clone, Default)]
pub(super) struct Ascents {
    /// The run that took the last key; none before the first.
    open: Option<(i128, i128)>,
    closed: Vec<(i128, i128)>,
    lost: bool,
}

impl Ascents {
    /// Adds the keys of rows in their order, and says how many runs were begun.
    pub(super) fn add(&mut self, keys: &[i128]) -> usize {
        if self.lost {
            return 0;
        }
        let before = self.closed.len();
        let mut keys = keys.iter();
        let Some(mut run) = self.open.take().or_else(|| keys.next().map(|key| (*key, *key))) else { return 0 };
        for key in keys {
            if *key > run.1 {
                run.1 = *key;
            } else {
                self.closed.push(run);
                if self.closed.len() > MOST_RUNS {
                    *self = Self { lost: true, ..Self::default() };
                    return 0;
                }
                run = (*key, *key);
            }
        }
        self.open = Some(run);
        self.closed.len() - before
    }

    /// Adds what another reader has seen.
    pub(super) fn merge(&mut self, other: Self) {
        if self.lost || other.lost {
            *self = Self { lost: true, ..Self::default() };
            return;
        }
        self.closed.extend(other.closed);
        self.closed.extend(other.open);
    }
}

/// The runs of a reader, of a side, or of both: of each series, or of the stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Rising {
    runs: Vec<Ascents>,
    begun: usize,
    /// Nothing is known: a key had a NULL in it, or runs were too many.
    lost: bool,
}

impl Rising {
    /// Adds the keys of rows of a series in their order.
    pub(super) fn add(&mut self, series: usize, keys: &[i128]) {
        if self.lost {
            return;
        }
        if self.runs.len() <= series {
            self.runs.resize(series + 1, Ascents::default());
        }
        self.begun += self.runs[series].add(keys);
        if self.runs[series].lost || self.begun > MOST_RUNS_TOGETHER {
            self.lose();
        }
    }

    /// Gives up.
    pub(super) fn lose(&mut self) {
        *self = Self { lost: true, ..Self::default() };
    }

    /// Adds what another reader has seen; `place` says which of the series here one there is.
    pub(super) fn merge(&mut self, other: Self, place: impl Fn(usize) -> usize) {
        if self.lost || other.lost {
            self.lose();
            return;
        }
        for (series, theirs) in other.runs.into_iter().enumerate() {
            let at = place(series);
            if self.runs.len() <= at {
                self.runs.resize(at + 1, Ascents::default());
            }
            self.runs[at].merge(theirs);
        }
    }

    /// Where a key may come more than once: keys of several runs of one series. `None` if nothing is known.
    pub(super) fn overlaps(self) -> Option<Intervals> {
        if self.lost {
            return None;
        }
        let mut overlaps = Vec::new();
        for Ascents { open, mut closed, lost } in self.runs {
            if lost {
                return None;
            }
            closed.extend(open);
            closed.sort_unstable();
            let mut reached: Option<i128> = None;
            for (first, last) in closed {
                if let Some(reached) = reached.filter(|reached| *reached >= first) {
                    overlaps.push((first, reached.min(last).saturating_add(1)));
                }
                reached = Some(reached.map_or(last, |reached| reached.max(last)));
            }
        }
        Some(Intervals::of(overlaps))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn every_key_that_comes_twice_lies_where_runs_overlap() {
        let (mut known, mut narrow) = (0, 0);
        for seed in 0..500 {
            let mut rng = StdRng::seed_from_u64(seed);
            let readers = rng.random_range(1..4);
            let series = rng.random_range(1..4_usize);
            let mut parts = vec![Rising::default(); readers];
            let mut counts: BTreeMap<(usize, i128), u32> = BTreeMap::new();
            for (reader, part) in parts.iter_mut().enumerate() {
                let mut next = vec![reader as i128 * 1_000; series];
                for _ in 0..rng.random_range(0..200) {
                    let at = rng.random_range(0..series);
                    let step = if rng.random_bool(0.03) { rng.random_range(-1_500..2) } else { rng.random_range(1..5) };
                    next[at] += step;
                    *counts.entry((at, next[at])).or_default() += 1;
                    part.add(at, &[next[at]]);
                }
            }
            let mut merged = Rising::default();
            parts.into_iter().for_each(|part| merged.merge(part, |at| at));
            let overlaps = merged.overlaps().expect("few runs");
            for ((_, key), count) in &counts {
                assert!(*count < 2 || overlaps.contains(*key), "seed {seed}: {key} comes {count} times");
            }
            known += 1;
            narrow += usize::from(counts.keys().any(|(_, key)| !overlaps.contains(*key)));
        }
        assert!(narrow * 2 > known, "{narrow} of {known}");
    }

    #[test]
    fn rows_in_no_order_say_nothing() {
        let mut rng = StdRng::seed_from_u64(5);
        let mut rising = Rising::default();
        (0..10_000).for_each(|_| rising.add(0, &[rng.random_range(0..1_000_000)]));
        assert!(rising.overlaps().is_none());
        let mut rising = Rising::default();
        rising.add(0, &[1, 2, 3]);
        rising.lose();
        rising.add(0, &[4]);
        assert!(rising.overlaps().is_none());
    }

    #[test]
    fn few_intervals_hold_all_keys() {
        let order = KeyOrder { places: vec![0], by_series: false };
        let keys = Intervals::of([(0, 10), (12, 20), (1_000, 1_001), (5_000, 5_005)]);
        assert_eq!(order.leading_ranges(&keys, 2), [(0, 1_000), (5_000, 5_004)]);
        assert_eq!(order.leading_ranges(&keys, 8), [(0, 9), (12, 19), (1_000, 1_000), (5_000, 5_004)]);
        let pairs = KeyOrder { places: vec![0, 1], by_series: false };
        assert_eq!(pairs.leading_ranges(&Intervals::of([(7 << 64, (9 << 64) + 1)]), 8), [(7, 9)]);
    }
}
