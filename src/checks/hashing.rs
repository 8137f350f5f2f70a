//! Checksums of the rows of a side, batch by batch, as every pass computes them.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};

use super::buckets::Position;
use crate::domain::{Bounds, FEW_VALUES, Fingerprint, RowHashing, Seed, Side};
use crate::staging::{Canonicaliser, Prepared};

/// Rows whose states, sixteen bytes each, fit the nearest cache beside the values of a column.
const STRETCH: usize = 1_024;

/// Whether there are values that are hashed for all rows of an array together, and too many of them to do that for every stretch.
fn has_many_values(array: &ArrayRef) -> bool {
    match array.data_type() {
        DataType::Dictionary(_, _) => array.as_any_dictionary().values().len() > FEW_VALUES,
        other => other.is_nested() || matches!(other, DataType::RunEndEncoded(_, _)),
    }
}

/// Which clock the buckets of a stream go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locality {
    /// Event time, in ticks of its common type.
    Time(usize),
    /// An integer: the sequence, or a column of the key.
    Number(usize),
    /// Neither: the hash of the key.
    Key,
}

impl Locality {
    /// Event time, or else the sequence, or else the first number or time in the key, or else the key's hash.
    pub(super) fn of(prepared: &Prepared) -> Self {
        // A column that is not compared may differ, and would tear rows apart that are equal.
        let is_number = |place: usize| prepared.paired[place].compared && prepared.paired[place].common.is_integer();
        let is_time = |place: usize| {
            prepared.paired[place].compared && matches!(prepared.paired[place].common, DataType::Timestamp(_, _) | DataType::Date32)
        };
        if let Some(place) = prepared.time.filter(|&place| is_time(place)) {
            return Self::Time(place);
        }
        if let Some(place) = prepared.sequence.filter(|&place| is_number(place)) {
            return Self::Number(place);
        }
        for &place in prepared.key.iter().flatten() {
            if is_number(place) {
                return Self::Number(place);
            }
            if is_time(place) {
                return Self::Time(place);
            }
        }
        Self::Key
    }

    /// The column that must be read for it.
    pub(super) fn place(self) -> Option<usize> {
        match self {
            Self::Time(place) | Self::Number(place) => Some(place),
            Self::Key => None,
        }
    }
}

/// Hashes the batches of one side. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SideHasher {
    pub(super) canonicaliser: Canonicaliser,
    hashing: RowHashing,
    identity: Vec<usize>,
    rest: Vec<usize>,
    locality: Locality,
    time: Option<usize>,
    bounds: Bounds,
}

/// What a batch hashes to.
#[derive(Debug)]
pub(super) struct Hashed {
    /// Checksums of the keys, of whole rows without a key; empty where a pass does without.
    pub(super) keys: Vec<Fingerprint>,
    /// Checksums of the rows; empty where a pass does without.
    pub(super) rows: Vec<Fingerprint>,
    /// Values that lost digits, for each paired column that was hashed.
    pub(super) lost: Vec<(usize, u64)>,
}

impl SideHasher {
    /// For the batches of a side with the given schema.
    pub(super) fn new(side: Side, prepared: &Prepared, seed: &Seed, batches: &Schema) -> Self {
        let names: Vec<&str> = prepared.paired.iter().map(|column| column.name.as_str()).collect();
        let identity = prepared.identity();
        let rest = prepared.compared().into_iter().filter(|place| !identity.contains(place)).collect();
        Self {
            canonicaliser: Canonicaliser::new(side, &prepared.paired, batches),
            hashing: RowHashing::new(seed, &names),
            identity,
            rest,
            locality: Locality::of(prepared),
            time: prepared.time,
            bounds: prepared.stream.bounds,
        }
    }

    /// The rows of a batch that lie inside the bounds. A row without a time is neither inside nor outside, and leaving it out
    /// would hide it.
    pub(super) fn inside(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let (Some(place), false) = (self.time, self.bounds.is_open()) else { return Ok(None) };
        let times = Times::of(&self.canonicaliser.column(place, batch)?.0)?;
        let mask: BooleanArray = (0..batch.num_rows())
            .map(|row| Some(times.at(row).is_none_or(|at| self.bounds.contains(crate::domain::Instant(at)))))
            .collect();
        if mask.true_count() == batch.num_rows() { Ok(None) } else { Ok(Some(filter_record_batch(batch, &mask)?)) }
    }

    /// Hashes the rows of a batch: their keys, and where `whole` the rows too.
    pub(super) fn hash(&self, batch: &RecordBatch, whole: bool) -> Result<Hashed> {
        self.hash_as(batch, true, whole)
    }

    /// Hashes whole rows, and nothing else.
    pub(super) fn hash_rows(&self, batch: &RecordBatch) -> Result<Hashed> {
        self.hash_as(batch, false, true)
    }

    fn hash_as(&self, batch: &RecordBatch, keyed: bool, whole: bool) -> Result<Hashed> {
        let rows = batch.num_rows();
        let mut lost = Vec::new();
        let mut arrays = |places: &[usize]| -> Result<Vec<(usize, ArrayRef)>> {
            let mut arrays = Vec::with_capacity(places.len());
            for &place in places {
                let (array, dropped) = self.canonicaliser.hashable(place, batch)?;
                if dropped > 0 {
                    lost.push((place, dropped));
                }
                arrays.push((place, array));
            }
            Ok(arrays)
        };
        let identity = arrays(&self.identity)?;
        let rest = if whole { arrays(&self.rest)? } else { Vec::new() };
        let mut sums = vec![0; rows];
        self.absorb_together(&identity, &mut sums)?;
        if keyed && !whole {
            self.hashing.finish_keys(&mut sums);
            return Ok(Hashed { keys: sums, rows: Vec::new(), lost });
        }
        let mut keys = if keyed { sums.clone() } else { Vec::new() };
        self.hashing.finish_keys(&mut keys);
        self.absorb_together(&rest, &mut sums)?;
        self.hashing.finish_rows(&mut sums);
        Ok(Hashed { keys, rows: sums, lost })
    }

    /// Adds columns to the states of rows: a stretch of rows that fits the nearest cache through all columns, then the next. Columns
    /// with values that are hashed for all rows together go by themselves.
    fn absorb_together(&self, columns: &[(usize, ArrayRef)], sums: &mut [u128]) -> Result<()> {
        let absorb = |place: usize, array: &dyn Array, sums: &mut [u128]| {
            self.hashing.absorb(place, array, sums).map_err(|e| DataFusionError::Execution(e.to_string()))
        };
        let (alone, together): (Vec<_>, Vec<_>) = columns.iter().partition(|(_, array)| has_many_values(array));
        for (place, array) in alone {
            absorb(*place, array.as_ref(), sums)?;
        }
        for (at, sums) in sums.chunks_mut(STRETCH).enumerate() {
            for (place, array) in &together {
                absorb(*place, array.slice(at * STRETCH, sums.len()).as_ref(), sums)?;
            }
        }
        Ok(())
    }

    /// A checksum of some columns alone, for grouping rows by them.
    pub(super) fn group(&self, batch: &RecordBatch, places: &[usize]) -> Result<Vec<Fingerprint>> {
        let mut sums = vec![0; batch.num_rows()];
        for &place in places {
            let (array, _) = self.canonicaliser.hashable(place, batch)?;
            self.hashing.absorb(place, array.as_ref(), &mut sums).map_err(|e| DataFusionError::Execution(e.to_string()))?;
        }
        Ok(sums)
    }

    /// Where the rows of a batch lie.
    pub(super) fn positions(&self, batch: &RecordBatch, keys: &[Fingerprint]) -> Result<Vec<Position>> {
        match self.locality {
            Locality::Time(place) => {
                let times = Times::of(&self.canonicaliser.column(place, batch)?.0)?;
                Ok(times.ticks())
            }
            Locality::Number(place) => {
                let array = self.canonicaliser.column(place, batch)?.0;
                if array.data_type() == &DataType::UInt64 {
                    // Only nearness counts, and flipping the highest bit keeps it.
                    let numbers = array.as_primitive::<arrow::datatypes::UInt64Type>();
                    return Ok(numbers.iter().map(|number| number.map(|number| (number ^ (1 << 63)) as i64)).collect());
                }
                let numbers = cast(&array, &DataType::Int64)?;
                Ok(numbers.as_primitive::<Int64Type>().iter().collect())
            }
            Locality::Key => Ok(keys.iter().map(|key| Some((*key >> 64) as i64)).collect()),
        }
    }

    /// For each row, whether a part of its key is NULL; `None` where none is.
    pub(super) fn null_keys(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        let mut nulls: Option<NullBuffer> = None;
        for &place in &self.identity {
            let array = self.canonicaliser.hashable(place, batch)?.0;
            nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
        }
        Ok(nulls.filter(|nulls| nulls.null_count() > 0).map(|nulls| BooleanArray::new(!nulls.inner(), None)))
    }
}

/// The least and the greatest of some numbers, from one look at them, four at a time.
fn ends_of(numbers: &[i64]) -> Option<(i64, i64)> {
    let (fours, rest) = numbers.as_chunks::<4>();
    let first = *numbers.first()?;
    let (mut least, mut greatest) = ([first; 4], [first; 4]);
    for four in fours {
        for lane in 0..4 {
            least[lane] = least[lane].min(four[lane]);
            greatest[lane] = greatest[lane].max(four[lane]);
        }
    }
    let ends = rest.iter().chain(&least).min().zip(rest.iter().chain(&greatest).max());
    ends.map(|(least, greatest)| (*least, *greatest))
}

/// Event times of a batch in the common type.
#[derive(Debug)]
pub(super) struct Times {
    ticks: Option<ArrayRef>,
    rows: usize,
    per_tick: i128,
}

impl Times {
    /// Of a column of timestamps, dates, or NULLs.
    pub(super) fn of(array: &ArrayRef) -> Result<Self> {
        let rows = array.len();
        let per_tick: i128 = match array.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
            DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1_000_000,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
            DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
            DataType::Date32 => 86_400_000_000_000,
            DataType::Null => return Ok(Self { ticks: None, rows, per_tick: 1 }),
            other => return Err(DataFusionError::Internal(format!("{other} is not a time"))),
        };
        let ticks = match array.data_type() {
            DataType::Date32 => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
            _ => cast(array, &DataType::Int64)?,
        };
        Ok(Self { ticks: Some(ticks), rows, per_tick })
    }

    /// The time of a row in nanoseconds.
    #[inline]
    pub(super) fn at(&self, row: usize) -> Option<i128> {
        let ticks = self.ticks.as_ref()?.as_primitive::<Int64Type>();
        (row < self.rows && !ticks.is_null(row)).then(|| i128::from(ticks.value(row)) * self.per_tick)
    }

    /// The first and the last of them.
    pub(super) fn extent(&self) -> Option<(i128, i128)> {
        let ticks = self.ticks.as_ref()?.as_primitive::<Int64Type>();
        let (first, last) = match ticks.null_count() {
            0 => ends_of(ticks.values())?,
            _ => (arrow::compute::min(ticks)?, arrow::compute::max(ticks)?),
        };
        Some((i128::from(first) * self.per_tick, i128::from(last) * self.per_tick))
    }

    /// Ticks of all rows and nanoseconds in one, if none is NULL.
    pub(super) fn dense(&self) -> Option<(&[i64], i128)> {
        let ticks = self.ticks.as_ref().filter(|ticks| ticks.null_count() == 0)?;
        Some((ticks.as_primitive::<Int64Type>().values(), self.per_tick))
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Option<i128>> {
        match &self.ticks {
            None => vec![None; self.rows],
            Some(ticks) => ticks.as_primitive::<Int64Type>().iter().map(|tick| tick.map(|tick| i128::from(tick) * self.per_tick)).collect(),
        }
    }

    /// All of them in ticks.
    fn ticks(&self) -> Vec<Position> {
        match &self.ticks {
            None => vec![None; self.rows],
            Some(ticks) => ticks.as_primitive::<Int64Type>().iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_the_least_and_the_greatest() {
        for rows in 0..40_u64 {
            let numbers: Vec<i64> = (0..rows).map(|row| row.wrapping_mul(0x9e37_79b9_7f4a_7c15).cast_signed()).collect();
            assert_eq!(ends_of(&numbers), numbers.iter().copied().min().zip(numbers.iter().copied().max()));
        }
    }
}
