//! Sketches by position: neighbouring rows share one, so that what a stretch of data lost stays in a few of them.
//!
//! A row's position is its event time, or else its sequence, or else the first number or time of its key, or else the
//! hash of its key. A bucket holds the rows whose positions agree but for the lowest `shift` bits, on both sides.
//! How many buckets there are follows the number of rows (about one for [`ROWS_A_BUCKET`]), never windows or values: whenever
//! the occupied buckets become too many, `shift` grows by one and neighbours are added up. So the buckets at the end are the finest
//! that are few enough, whatever order the rows came in, and however many readers saw a part of them.
//!
//! ```text
//! position  ├── bucket ──┼── bucket ──┼── bucket ──┼── bucket ──┤
//! original   . . . . . .   . . . . . .                . . . . .
//! backfill   . . . . . .   . . . .x. .   . . . . .               x: replaced
//!            empty table   peels: x      one side: all its keys
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;

use super::sketch::Sketch;
use crate::domain::{Fingerprint, Intervals, Side};

/// Rows of one side that a bucket is meant for.
pub(super) const ROWS_A_BUCKET: u64 = 65_536;
/// Cells in a third of a bucket's table: 384 cells name some 280 differing rows.
const THIRD: usize = 128;
/// The coarsest cut: positions by their sign.
const COARSEST: u32 = 63;
/// Bytes of a bucket.
const BUCKET_BYTES: u64 = 3 * THIRD as u64 * 32 + 64;

/// Rows whose positions are neighbours.
#[derive(Debug, Clone)]
struct Bucket {
    rows: [u64; 2],
    sketch: Sketch,
}

impl Bucket {
    fn new() -> Self {
        Self { rows: [0; 2], sketch: Sketch::new(THIRD) }
    }

    fn merge(&mut self, other: &Self) {
        self.rows[0] += other.rows[0];
        self.rows[1] += other.rows[1];
        self.sketch.merge(&other.sketch);
    }
}

/// Where a row lies; `None` for rows without a position.
pub(super) type Position = Option<i64>;

/// The buckets of both sides, or of the part that one reader has seen.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    shift: u32,
    most: usize,
    ids: HashMap<Position, usize>,
    list: Vec<Bucket>,
}

/// The number of buckets for so many rows a side, within a share of the memory budget.
pub(super) fn most_buckets(rows: Option<u64>, memory_bytes: u64) -> usize {
    let wanted = rows.map_or(512, |rows| rows / ROWS_A_BUCKET * 2).max(16);
    let affordable = (memory_bytes / 16 / BUCKET_BYTES).max(4);
    usize::try_from(wanted.min(affordable)).unwrap_or(16)
}

/// Which buckets need another look, and the tags of the keys that the others named.
#[derive(Debug, Clone, Default)]
pub(super) struct Peeled {
    /// Tags of differing keys, of all buckets that peeled.
    pub(super) tags: Vec<u64>,
    /// Buckets with rows on one side only.
    pub(super) one_sided: Places,
    /// Buckets that did not peel.
    pub(super) failed: Places,
    /// How many buckets hold the same rows on both sides.
    pub(super) equal: usize,
}

/// A set of buckets.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    shift: u32,
    ids: HashMap<Position, [u64; 2]>,
}

impl Places {
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Rows of both sides inside.
    pub(super) fn rows(&self, side: Side) -> u64 {
        self.ids.values().map(|rows| rows[side.index()]).sum()
    }

    /// For each row, whether it lies in one of them.
    pub(super) fn mask(&self, positions: &[Position]) -> BooleanArray {
        let mut recent: Option<(Position, bool)> = None;
        let inside = positions.iter().map(|position| {
            let id = position.map(|at| at >> self.shift);
            match recent {
                Some((known, inside)) if known == id => inside,
                _ => {
                    let inside = self.ids.contains_key(&id);
                    recent = Some((id, inside));
                    inside
                }
            }
        });
        BooleanArray::new(BooleanBuffer::from_iter(inside), None)
    }

    /// The positions that they span, first and last, in at most so many ranges, and whether rows without a position belong to them.
    pub(super) fn ranges(&self, most: usize) -> (Vec<(i64, i64)>, bool) {
        let ids = Intervals::of(self.ids.keys().flatten().map(|id| (i128::from(*id), i128::from(*id) + 1))).few(most);
        let whole = |at: i128| i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX });
        let ranges = ids.iter().map(|(from, until)| (whole(from << self.shift), whole((until << self.shift) - 1))).collect();
        (ranges, self.ids.contains_key(&None))
    }
}

impl Buckets {
    /// No buckets yet, and never more than so many. Positions that are hashes are cut by their high bits from the start.
    pub(super) fn new(most: usize, hashed: bool) -> Self {
        let shift = if hashed { 64 - most.max(2).ilog2() } else { 0 };
        Self { shift, most, ids: HashMap::new(), list: Vec::new() }
    }

    /// Adds rows of a side: where they lie, their checksums and those of their keys.
    pub(super) fn add(&mut self, side: Side, positions: &[Position], rows: &[Fingerprint], keys: &[Fingerprint]) {
        match side {
            Side::Original => self.add_rows::<false>(positions, rows, keys),
            Side::Backfill => self.add_rows::<true>(positions, rows, keys),
        }
    }

    fn add_rows<const BACKFILL: bool>(&mut self, positions: &[Position], rows: &[Fingerprint], keys: &[Fingerprint]) {
        let mut recent: Option<(Position, usize)> = None;
        for ((position, row), key) in positions.iter().zip(rows).zip(keys) {
            let at = match recent {
                Some((id, at)) if id == position.map(|position| position >> self.shift) => at,
                _ => {
                    let at = self.bucket(*position);
                    recent = Some((position.map(|position| position >> self.shift), at));
                    at
                }
            };
            if let Some(bucket) = self.list.get_mut(at) {
                bucket.rows[usize::from(BACKFILL)] += 1;
                bucket.sketch.add::<BACKFILL>(*row, *key);
            }
        }
    }

    /// The bucket of a position, coarsening all of them if it would be one too many.
    fn bucket(&mut self, position: Position) -> usize {
        loop {
            let id = position.map(|position| position >> self.shift);
            if let Some(at) = self.ids.get(&id) {
                return *at;
            }
            if self.list.len() < self.most || self.shift >= COARSEST {
                self.ids.insert(id, self.list.len());
                self.list.push(Bucket::new());
                return self.list.len() - 1;
            }
            self.coarsen(self.shift + 1);
        }
    }

    fn coarsen(&mut self, shift: u32) {
        if shift <= self.shift {
            return;
        }
        let by = shift - self.shift;
        self.shift = shift;
        let mut order: Vec<(Position, usize)> = std::mem::take(&mut self.ids).into_iter().collect();
        order.sort_unstable_by_key(|(_, at)| *at);
        let old = std::mem::take(&mut self.list);
        for ((id, _), bucket) in order.into_iter().zip(old) {
            self.absorb(id.map(|id| id >> by), bucket);
        }
    }

    fn absorb(&mut self, id: Position, bucket: Bucket) {
        match self.ids.entry(id) {
            Entry::Occupied(at) => {
                if let Some(mine) = self.list.get_mut(*at.get()) {
                    mine.merge(&bucket);
                }
            }
            Entry::Vacant(free) => {
                free.insert(self.list.len());
                self.list.push(bucket);
            }
        }
    }

    /// Adds what another reader has seen.
    pub(super) fn merge(&mut self, mut other: Self) {
        let shift = self.shift.max(other.shift);
        self.coarsen(shift);
        other.coarsen(shift);
        let mut order: Vec<(Position, usize)> = other.ids.into_iter().collect();
        order.sort_unstable_by_key(|(_, at)| *at);
        for ((id, _), bucket) in order.into_iter().zip(other.list) {
            self.absorb(id, bucket);
        }
        while self.list.len() > self.most && self.shift < COARSEST {
            self.coarsen(self.shift + 1);
        }
    }

    /// Empties the tables one after another, and says what is left to be done.
    pub(super) fn peel(self) -> Peeled {
        let places = || Places { shift: self.shift, ids: HashMap::new() };
        let mut peeled = Peeled { tags: Vec::new(), one_sided: places(), failed: places(), equal: 0 };
        let mut order: Vec<(Position, usize)> = self.ids.into_iter().collect();
        order.sort_unstable_by_key(|(_, at)| *at);
        for ((id, _), Bucket { rows, sketch }) in order.into_iter().zip(self.list) {
            if sketch.is_empty() {
                peeled.equal += 1;
            } else if let Some(tags) = sketch.peel() {
                peeled.tags.extend(tags);
            } else if rows.contains(&0) {
                // Of the rows that came here; there may be others, which were paired.
                peeled.one_sided.ids.insert(id, rows);
            } else {
                peeled.failed.ids.insert(id, rows);
            }
        }
        peeled
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::seq::SliceRandom;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::super::sketch::tag_of;
    use super::*;

    fn differing(rows: &[(Side, Position, u128, u128)], readers: usize, most: usize) -> (BTreeSet<u64>, Places, u32) {
        let mut partials = vec![Buckets::new(most, false); readers];
        for (at, chunk) in rows.chunks(97).enumerate() {
            for (side, position, row, key) in chunk {
                partials[at % readers].add(*side, &[*position], &[*row], &[*key]);
            }
        }
        let mut merged = Buckets::new(most, false);
        partials.into_iter().for_each(|partial| merged.merge(partial));
        let shift = merged.shift;
        let peeled = merged.peel();
        assert!(peeled.failed.is_empty());
        (peeled.tags.into_iter().collect(), peeled.one_sided, shift)
    }

    #[test]
    fn the_buckets_do_not_depend_on_the_order_of_rows_or_the_number_of_readers() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut rows = Vec::new();
        let mut expected = BTreeSet::new();
        for at in 0..20_000_i64 {
            let (position, row, key) = (Some(at * 1_000_003 - 5_000_000_000), rng.random(), rng.random());
            rows.push((Side::Original, position, row, key));
            if at % 1_000 == 0 {
                expected.insert(tag_of(key));
            } else {
                rows.push((Side::Backfill, position, row, key));
            }
        }
        rows.push((Side::Original, None, 1, 2));
        rows.push((Side::Backfill, None, 1, 2));
        let first = differing(&rows, 1, 50);
        assert_eq!(first.0, expected);
        for readers in [2, 5] {
            rows.shuffle(&mut rng);
            let again = differing(&rows, readers, 50);
            assert_eq!((&first.0, first.2), (&again.0, again.2));
        }
    }

    #[test]
    fn a_lost_stretch_is_one_sided() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut rows = Vec::new();
        for at in 0..100_000_i64 {
            let (row, key) = (rng.random(), rng.random());
            rows.push((Side::Original, Some(at), row, key));
            if !(40_960..61_440).contains(&at) {
                rows.push((Side::Backfill, Some(at), row, key));
            }
        }
        let (tags, one_sided, _) = differing(&rows, 3, 100);
        assert_eq!(one_sided.rows(Side::Original) as usize + tags.len(), 20_480);
        assert!(one_sided.rows(Side::Original) > 15_000 && one_sided.rows(Side::Backfill) == 0);
        let mask = one_sided.mask(&[Some(50_000), Some(1), None, Some(50_001)]);
        assert_eq!(mask.values().iter().collect::<Vec<_>>(), [true, false, false, true]);
        let (ranges, without) = one_sided.ranges(4);
        assert!(!without && ranges.len() == 1 && ranges[0].0 >= 40_960 && ranges[0].1 < 61_440, "{ranges:?}");
    }
}
