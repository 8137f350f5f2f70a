//! The sketch: a small table that holds the difference of two multisets of rows, and gives it back row by row.
//!
//! It is an invertible Bloom lookup table (Goodrich and Mitzenmacher, "Invertible Bloom Lookup Tables", 2011; used for
//! set differences by Eppstein, Goodrich, Uyeda and Varghese, "What's the Difference?", SIGCOMM 2011). Every row falls into
//! three cells, one in each third of the table, chosen by its checksum. The original's rows are added, the backfill's
//! subtracted, so what both sides hold alike vanishes, whatever the order. What is left is peeled: a cell that holds one row
//! only names that row, which is then taken out of its two other cells, and so on.
//!
//! ```text
//! cell = Σ ± [ row checksum, low │ row checksum, high │ key │ mark ]        each modulo 2^64
//! mark = 32 bits of check, and below them a count in 32 bits
//! ```
//!
//! An empty table proves equality as far as checksums can: every third sums all 128-bit row checksums in two halves, so the table is empty
//! for different multisets with a probability of 2^-128, or 2^-(128-2k) where all rows come 2^k times (see `domain/row_hash`);
//! copies against nothing are seen by the count. A table that peels to
//! nothing names every key that differs; up to some 0.8 rows for each cell it nearly always does. A table that
//! does not peel names nothing: its rows are looked at in another way.
//!
//! **Copies.** A row that one side holds m times more than the other leaves m times its words. With m = 2^k·o, o odd, the
//! inverse of o modulo 2^64 gives back all but the highest k bits of each word. Places and check therefore depend on
//! the low 48 bits of a word only, and a key is named by its low 48 bits: a tag. A tag stands for its keys
//! and now and then for another one, which costs a look and decides nothing: findings are made from values.

use std::hash::{BuildHasherDefault, Hasher};

use crate::domain::Fingerprint;

/// The low bits of a word that places, checks and tags may depend on.
const LOW: u64 = (1 << 48) - 1;
/// Copies up to a multiple of 2^16 are taken out again.
const MOST_SHIFT: u32 = 16;
/// Bits of a row checksum that choose a cell.
const FIELD: u32 = 24;

/// The name of a key in a sketch: the low 48 bits of its checksum.
pub(super) fn tag_of(key: Fingerprint) -> u64 {
    (key as u64) & LOW
}

/// A sum of rows: two words of row checksum, one of key, one of mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, align(32))]
struct Cell([u64; 4]);

impl Cell {
    const EMPTY: Self = Self([0; 4]);

    #[inline(always)]
    fn of(row: Fingerprint, key: Fingerprint) -> Self {
        let (low, high) = (row as u64, (row >> 64) as u64);
        Self([low, high, key as u64, mark(low, high)])
    }

    #[inline(always)]
    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.wrapping_add(theirs);
        }
    }

    #[inline(always)]
    fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.wrapping_sub(theirs);
        }
    }
}

/// The check of a row in the upper half, one in the lower.
#[inline(always)]
fn mark(low: u64, high: u64) -> u64 {
    let mixed = ((low & LOW) ^ (high & LOW).rotate_left(16)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) & 0xffff_ffff_0000_0000) | 1
}

/// The place of a row in each third of a table.
#[inline(always)]
fn places(low: u64, high: u64, third: usize) -> [usize; 3] {
    let place = |at: u32| {
        let field = ((low >> (16 * at)) & 0xffff) << 8 | ((high >> (8 * at)) & 0xff);
        at as usize * third + ((field as usize * third) >> FIELD)
    };
    [place(0), place(1), place(2)]
}

/// The difference of two multisets of rows.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    cells: Box<[Cell]>,
}

impl Sketch {
    /// An empty table of three times so many cells. A cell takes 32 bytes.
    pub(super) fn new(third: usize) -> Self {
        Self { cells: vec![Cell::EMPTY; 3 * third.clamp(1, 1 << FIELD)].into_boxed_slice() }
    }

    /// Adds a row of the original, or takes one of the backfill away.
    #[inline(always)]
    pub(super) fn add<const BACKFILL: bool>(&mut self, row: Fingerprint, key: Fingerprint) {
        let cell = Cell::of(row, key);
        let third = self.cells.len() / 3;
        for place in places(cell.0[0], cell.0[1], third) {
            if let Some(held) = self.cells.get_mut(place) {
                if BACKFILL { held.subtract(&cell) } else { held.add(&cell) }
            }
        }
    }

    /// Adds another table of the same size.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            mine.add(theirs);
        }
    }

    /// True when both sides hold the same rows.
    pub(super) fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| *cell == Cell::EMPTY)
    }

    /// The tags of all keys that differ, in no order and possibly more than once; `None` if the table does not peel.
    pub(super) fn peel(mut self) -> Option<Vec<u64>> {
        let third = self.cells.len() / 3;
        let mut named = Vec::new();
        let mut waiting: Vec<usize> = (0..self.cells.len()).collect();
        while let Some(at) = waiting.pop() {
            let Some((places, tag)) = self.single(at, third) else { continue };
            // Every row takes out a cell for good; more rows than cells can only come from cells misread as single.
            if named.len() > self.cells.len() {
                return None;
            }
            named.push(tag);
            let taken = self.cells[at];
            for place in places {
                self.cells[place].subtract(&taken);
                waiting.push(place);
            }
        }
        self.is_empty().then_some(named)
    }

    /// The places and the tag of the one row that a cell holds, possibly several times.
    fn single(&self, at: usize, third: usize) -> Option<([usize; 3], u64)> {
        let Cell([low, high, key, marked]) = self.cells[at];
        let copies = marked as u32 as i32;
        if copies == 0 || copies.trailing_zeros() > MOST_SHIFT {
            return None;
        }
        let shift = copies.trailing_zeros();
        let inverse = inverse_of((i64::from(copies) >> shift) as u64);
        let divide = |sum: u64| {
            let scaled = sum.wrapping_mul(inverse);
            (scaled & ((1 << shift) - 1) == 0).then_some(scaled >> shift)
        };
        let (low, high, key) = (divide(low)?, divide(high)?, divide(key)?);
        let places = places(low, high, third);
        let is_single = marked == mark(low, high).wrapping_mul(i64::from(copies) as u64) && places.contains(&at);
        is_single.then_some((places, key & LOW))
    }
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: each step doubles the bits that are right.
fn inverse_of(odd: u64) -> u64 {
    let mut inverse = odd;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

/// A hasher for words that are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        // The table takes its buckets from low bits and its control bytes from the highest seven.
        self.0 = word ^ (word << 16);
    }

    fn write_u128(&mut self, word: u128) {
        self.0 = word as u64;
    }
}

/// For maps and sets whose keys are hashes.
pub(super) type ByHash = BuildHasherDefault<Plain>;

/// Tags in order, so that what is known of each stands in a list beside them; and a filter that says "no" fast.
#[derive(Debug, Clone, Default)]
pub(super) struct Tags {
    sorted: Vec<u64>,
    /// Where those begin that share their high bits.
    starts: Vec<u32>,
    /// How many bits the others are.
    low_bits: u32,
    /// Three bits for each tag, in one word: all but one in a hundred of other keys are told off by one look at it.
    filter: Vec<u64>,
}

impl Tags {
    /// The set of some tags.
    pub(super) fn new(tags: impl IntoIterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = tags.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let words = (sorted.len() / 4).next_power_of_two().clamp(1 << 10, 1 << 20);
        let mut filter = vec![0_u64; words];
        for tag in &sorted {
            let (word, bits) = Self::place(*tag, words);
            filter[word] |= bits;
        }
        let low_bits = LOW.count_ones() - (sorted.len() / 2).next_power_of_two().trailing_zeros().min(24);
        let parts = 1_usize << (LOW.count_ones() - low_bits);
        let mut starts = Vec::with_capacity(parts + 1);
        let mut at = 0;
        for part in 0..=parts as u64 {
            while sorted.get(at).is_some_and(|tag| tag >> low_bits < part) {
                at += 1;
            }
            starts.push(u32::try_from(at).unwrap_or(u32::MAX));
        }
        Self { sorted, starts, low_bits, filter }
    }

    fn place(tag: u64, words: usize) -> (usize, u64) {
        ((tag >> 18) as usize & (words - 1), 1 << (tag & 63) | 1 << (tag >> 6 & 63) | 1 << (tag >> 12 & 63))
    }

    /// True when the key's tag is in the set.
    #[inline]
    pub(super) fn contains(&self, key: Fingerprint) -> bool {
        self.may_contain(key) && self.position(tag_of(key)).is_some()
    }

    /// False when it surely is not.
    #[inline]
    pub(super) fn may_contain(&self, key: Fingerprint) -> bool {
        let (word, bits) = Self::place(tag_of(key), self.filter.len().max(1));
        self.filter.get(word).is_some_and(|known| known & bits == bits)
    }

    /// Where a tag stands among them.
    pub(super) fn position(&self, tag: u64) -> Option<usize> {
        let part = (tag >> self.low_bits) as usize;
        let from = *self.starts.get(part)? as usize;
        let alike = self.sorted.get(from..*self.starts.get(part + 1)? as usize)?;
        alike.iter().position(|known| *known == tag).map(|at| from + at)
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.sorted.iter().copied()
    }

    /// How many tags there are.
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn what_is_equal_vanishes_and_what_differs_is_named() {
        let mut failed = 0;
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let third = rng.random_range(32..300);
            let differing = rng.random_range(0..third);
            let (mut original, mut backfill) = (Sketch::new(third), Sketch::new(third));
            for _ in 0..200 {
                let (row, key): (u128, u128) = (rng.random(), rng.random());
                original.add::<false>(row, key);
                backfill.add::<true>(row, key);
            }
            let mut expected = BTreeSet::new();
            for _ in 0..differing {
                let (row, key): (u128, u128) = (rng.random(), rng.random());
                let copies = [1, 1, 1, 2, 3, 4, 6, 7, 24, 1_000, 4_096][rng.random_range(0..11)];
                let backfilled: bool = rng.random();
                for _ in 0..copies {
                    if backfilled { backfill.add::<true>(row, key) } else { original.add::<false>(row, key) }
                }
                expected.insert(tag_of(key));
            }
            original.merge(&backfill);
            assert_eq!(original.is_empty(), expected.is_empty());
            if let Some(named) = original.peel() {
                assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), expected, "seed {seed}");
            } else {
                failed += 1;
            }
        }
        // Up to a third of the cells are taken: now and then two rows fall into the same three.
        assert!(failed < 6, "{failed} of 300 did not peel");
    }

    #[test]
    fn a_table_that_is_too_full_names_nothing() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut sketch = Sketch::new(64);
        for _ in 0..5_000 {
            sketch.add::<false>(rng.random(), rng.random());
        }
        assert!(!sketch.is_empty());
        assert!(sketch.peel().is_none());
    }

    #[test]
    fn inverses_are_inverse() {
        let mut rng = StdRng::seed_from_u64(3);
        for _ in 0..1_000 {
            let odd = rng.random::<u64>() | 1;
            assert_eq!(odd.wrapping_mul(inverse_of(odd)), 1);
        }
    }

    #[test]
    fn tags_know_their_keys() {
        let mut rng = StdRng::seed_from_u64(5);
        let keys: Vec<u128> = (0..5_000).map(|_| rng.random()).collect();
        let tags = Tags::new(keys.iter().map(|key| tag_of(*key)));
        assert_eq!(tags.len(), keys.len());
        assert!(keys.iter().all(|key| tags.contains(*key)));
        assert!(!(0..5_000).any(|_| tags.contains(rng.random())));
        assert!(!Tags::default().contains(1));
    }

    #[test]
    fn tags_are_found_in_their_order_and_no_others() {
        for seed in 0..60 {
            let mut rng = StdRng::seed_from_u64(seed);
            let many = [0, 1, 2, 7, 900, 20_000][rng.random_range(0..6)];
            // Some lie close together, at either end.
            let narrow = rng.random_bool(0.3);
            let draw = |rng: &mut StdRng| {
                if narrow {
                    rng.random_range(0..3_000) + u64::from(rng.random::<bool>()) * (LOW - 4_000)
                } else {
                    rng.random::<u64>() & LOW
                }
            };
            let known: BTreeSet<u64> = (0..many).map(|_| draw(&mut rng)).collect();
            let tags = Tags::new(known.iter().rev().copied().chain(known.iter().copied()));
            assert_eq!(tags.iter().collect::<Vec<_>>(), known.iter().copied().collect::<Vec<_>>());
            for (at, tag) in known.iter().enumerate() {
                assert_eq!(tags.position(*tag), Some(at));
                assert!(tags.contains(u128::from(*tag) | u128::from(rng.random::<u64>()) << 64));
            }
            for _ in 0..2_000 {
                let tag = draw(&mut rng);
                assert_eq!(tags.position(tag).is_some(), known.contains(&tag));
                assert_eq!(tags.contains(u128::from(tag)), known.contains(&tag));
            }
            for edge in [0, LOW] {
                assert_eq!(tags.contains(u128::from(edge)), known.contains(&edge));
            }
        }
    }
}
