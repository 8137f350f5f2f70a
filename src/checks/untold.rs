//! Local times of which nobody can say which instant they are: clocks went back over them, so that they come twice, or forward, so that
//! they do not exist.
//!
//! Such a value is NULL to every pass. So each is counted and named here, in the first pass, and what NULLs cannot say is not passed over:
//! two of them are alike to the comparison whatever was written, and a key that holds one identifies no row.
//!
//! ```text
//! written 01:30 ──► 05:30Z or 06:30Z ──► NULL  + finding `local_time`, kind ambiguous
//! written 02:30 ──► (never)          ──► NULL  + finding `local_time`, kind nonexistent
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::{filter_record_batch, not};
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};

use super::screen::{RowSample, Screened, SideScreen};
use crate::domain::Mode;
use crate::job::Duplicates;
use crate::source::{Opened, UntoldValue};
use crate::staging::{Prepared, Shower};

/// What was seen of them on a side.
#[derive(Debug, Clone, Default)]
pub struct Untold {
    /// By the place of the column and the kind.
    pub found: BTreeMap<(usize, &'static str), u64>,
    /// The first in canonical order.
    pub samples: Vec<UntoldSample>,
    /// Rows with one in the key.
    pub in_key: u64,
    /// Tags of their keys: NULLs take the place of what cannot be told.
    pub(super) keys: BTreeSet<u64>,
    /// Over all in compared columns: a sum of what the row is and how the value is written.
    written: u128,
}

/// A row with such a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UntoldSample {
    /// The row.
    pub row: RowSample,
    /// Place of the column.
    pub place: usize,
    /// `ambiguous` or `nonexistent`.
    pub kind: &'static str,
    /// The value as it is written, hidden where the column is masked.
    pub written: String,
}

/// Columns that may hold such values, with the column of a scan that says which they are.
#[derive(Debug, Clone, Default)]
pub(super) struct UntoldColumns {
    columns: Vec<(usize, String)>,
}

/// A batch without those columns, and what they held, where they held something.
pub(super) struct Taken {
    pub(super) batch: RecordBatch,
    pub(super) values: Vec<(usize, StringArray)>,
}

impl UntoldColumns {
    /// Of the paired columns of a side.
    pub(super) fn of(prepared: &Prepared, opened: &Opened) -> Self {
        let place = |name: &String| prepared.paired.iter().position(|column| column.name == *name);
        let columns = opened.untold.iter().filter_map(|(name, beside)| Some((place(name)?, beside.clone())));
        Self { columns: columns.collect() }
    }

    /// Names of what a scan must give.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().map(|(_, beside)| beside)
    }

    /// Takes them out of a batch.
    pub(super) fn take(&self, batch: RecordBatch) -> Result<Taken> {
        if self.columns.is_empty() {
            return Ok(Taken { batch, values: Vec::new() });
        }
        let schema = batch.schema();
        let mut values = Vec::new();
        let mut own = BTreeSet::new();
        for (place, beside) in &self.columns {
            let Ok(at) = schema.index_of(beside) else { continue };
            own.insert(at);
            let column = batch.column(at);
            if column.null_count() < column.len() {
                values.push((*place, column.as_string::<i32>().clone()));
            }
        }
        let rest: Vec<usize> = (0..batch.num_columns()).filter(|at| !own.contains(at)).collect();
        Ok(Taken { batch: batch.project(&rest)?, values })
    }
}

impl UntoldColumns {
    /// The rows of a batch that are known by their key, without those columns.
    pub(super) fn named(&self, batch: RecordBatch, key: &[usize]) -> Result<RecordBatch> {
        let taken = self.take(batch)?;
        match taken.any_of(key) {
            Some(nameless) => Ok(filter_record_batch(&taken.batch, &not(&nameless)?)?),
            None => Ok(taken.batch),
        }
    }
}

impl Taken {
    /// For each row whether one of some columns holds such a value; `None` where none does.
    pub(super) fn any_of(&self, places: &[usize]) -> Option<BooleanArray> {
        let of: Vec<&StringArray> = self.values.iter().filter(|(place, _)| places.contains(place)).map(|(_, values)| values).collect();
        (!of.is_empty()).then(|| (0..self.batch.num_rows()).map(|row| Some(of.iter().any(|values| !values.is_null(row)))).collect())
    }
}

/// What is known of the rows of a batch beside those values.
pub(super) struct Rows<'a> {
    pub(super) shower: &'a Shower,
    pub(super) names: &'a [String],
    /// Which columns are compared.
    pub(super) compared: &'a [bool],
    /// Checksums of the rows, or of their keys.
    pub(super) sums: &'a [u128],
    pub(super) in_key: Option<&'a BooleanArray>,
    /// The row by its key, by its number.
    pub(super) sample: &'a dyn Fn(usize) -> RowSample,
    pub(super) most: usize,
}

impl Untold {
    /// Notes the values of a batch.
    pub(super) fn add(&mut self, taken: &Taken, rows: &Rows<'_>) -> Result<()> {
        self.in_key += rows.in_key.map_or(0, |rows| rows.true_count() as u64);
        for (place, values) in &taken.values {
            let name = rows.names.get(*place).map_or("", String::as_str);
            for row in (0..values.len()).filter(|&row| !values.is_null(row)) {
                let Some(untold) = UntoldValue::parse(values.value(row)) else {
                    return Err(DataFusionError::Internal(format!("column '{name}': a local time that says nothing")));
                };
                let kind = if untold.twice { "ambiguous" } else { "nonexistent" };
                *self.found.entry((*place, kind)).or_default() += 1;
                if rows.compared.get(*place).copied().unwrap_or(false) {
                    let mut hash = blake3::Hasher::new();
                    hash.update(&rows.sums.get(row).copied().unwrap_or(0).to_le_bytes());
                    hash.update(&(*place as u64).to_le_bytes()).update(untold.written.as_bytes());
                    let mut sum = [0; 16];
                    hash.finalize_xof().fill(&mut sum);
                    self.written = self.written.wrapping_add(u128::from_le_bytes(sum));
                }
                let shown: ArrayRef = Arc::new(StringArray::from(vec![untold.written]));
                let written = rows.shower.text(name, &shown, 0).unwrap_or_default();
                self.samples.push(UntoldSample { row: (rows.sample)(row), place: *place, kind, written });
                if self.samples.len() >= rows.most.saturating_mul(2).max(1_024) {
                    self.samples.sort();
                    self.samples.truncate(rows.most);
                }
            }
        }
        Ok(())
    }

    /// With its samples in canonical order.
    pub(super) fn in_order(mut self) -> Self {
        self.samples.sort();
        self
    }

    /// Adds what another reader has seen.
    pub(super) fn merge(&mut self, other: Self, most: usize) {
        let Self { found, samples, in_key, keys, written } = other;
        found.into_iter().for_each(|(what, count)| *self.found.entry(what).or_default() += count);
        self.samples.extend(samples);
        self.samples.sort();
        self.samples.truncate(most);
        self.in_key += in_key;
        self.keys.extend(keys);
        self.written = self.written.wrapping_add(written);
    }
}

/// Tags of the keys that are NULL only because they cannot be told: no row is known by one of them. Empty also where there are too many NULLs to say.
pub(super) fn nameless_keys(screened: &Screened) -> BTreeSet<u64> {
    let mut keys: BTreeSet<u64> = screened.sides.iter().flat_map(|side| side.untold.keys.iter().copied()).collect();
    for side in &screened.sides {
        match &side.null_tags {
            Some(null) => keys.retain(|key| !null.contains(key)),
            None => keys.clear(),
        }
    }
    keys
}

/// What could not be looked at because of them, beside the findings: so that a verdict without the findings is no pass.
pub fn untold_doubts(prepared: &Prepared, screened: &Screened) -> Vec<String> {
    let mut doubts = Vec::new();
    for side in &screened.sides {
        // In a replica copies are told by what the other side holds, and that is held against how it is written, below.
        let copies = prepared.stream.mode != Mode::Replica || prepared.stream.duplicates == Duplicates::All;
        if copies && side.untold.in_key > 0 {
            doubts.push(format!(
                "{} rows of the {} have a local time in their key that cannot be told: no row is known by it",
                side.untold.in_key, side.side
            ));
        }
    }
    if let [original, backfill] = screened.sides.as_slice() {
        let compared = |side: &SideScreen| side.untold.found.keys().any(|(place, _)| prepared.paired[*place].compared);
        let unlike = match prepared.stream.mode {
            // Rows that differ elsewhere are findings; rows that are alike everywhere else must be written alike here too.
            Mode::Replica => original.untold.written != backfill.untold.written,
            // In a fill the values of a key on both sides are read later, where nothing tells how they were written.
            Mode::Fill => true,
            Mode::Single => false,
        };
        if unlike && compared(original) && compared(backfill) {
            doubts.push("both sides have local times that cannot be told, and nothing says that they are the same".to_string());
        }
    }
    doubts
}
