//! The exact look at what may differ: rows that were read again are grouped by key and settled by value. Nothing here is
//! decided by a hash: hashes only say which rows to look at.
//!
//! For a key, equal rows of the two sides cancel first. What is left says what happened:
//!
//! ```text
//! original   backfill   left over            finding
//! a          –          a │ –                missing_key
//! –          a          – │ a                unexpected_key
//! a          b          a │ b                value_mismatch, one a column
//! a          a a        – │ a                duplicate_key surplus  (a replay)
//! a          a b        – │ b                duplicate_key conflict
//! a b        c          a b │ c              duplicate_key conflict
//! a a        a a        – │ –                duplicate_key alike, only where asked for
//! ```

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float64Type, Int64Type, SchemaRef, UInt64Type, i256};
use arrow::record_batch::RecordBatch;
use arrow::row::{Row, RowConverter, Rows, SortField};
use datafusion::error::DataFusionError;

use super::differences::{Difference, Differences};
use super::hashing::{SideHasher, Times};
use super::sketch::tag_of;
use crate::domain::{ColumnEncoder, Instant, Mode, Seed, Severity, Side, Tolerance, Windowing};
use crate::error::{Error, Result};
use crate::job::Duplicates;
use crate::staging::{Canonicaliser, Conversion, Prepared, Shower, json_string};

/// What the exact look came to. Counts are complete; `differences` holds the first so many of each class.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the names are those of the summary")]
pub struct Localised {
    pub differences: Differences,
    pub found: BTreeMap<(&'static str, Option<&'static str>, Option<Severity>), u64>,
    pub matched: u64,
    pub missing: u64,
    pub missing_rows: u64,
    pub unexpected: u64,
    pub unexpected_rows: u64,
    pub mismatched: u64,
    pub duplicated: u64,
    pub surplus_rows: u64,
    /// Rows of the original that were looked at.
    pub original_rows: u64,
    /// Rows of both sides that were looked at.
    pub rows_read: u64,
    /// True when some pair of rows was equal only within a tolerance.
    pub tolerated: bool,
}

impl Localised {
    /// One for a share of the same work, to be added to this.
    pub(super) fn part(&self, of: usize) -> Self {
        Self { differences: self.differences.part(of), ..Self::default() }
    }

    /// Adds what another share of the work came to.
    ///
    /// # Errors
    /// What differs had to go to disk, and could not.
    pub(super) fn absorb(&mut self, other: Self) -> Result<()> {
        let Self {
            differences,
            found,
            matched,
            missing,
            missing_rows,
            unexpected,
            unexpected_rows,
            mismatched,
            duplicated,
            surplus_rows,
            original_rows,
            rows_read,
            tolerated,
        } = other;
        for (what, count) in found {
            *self.found.entry(what).or_default() += count;
        }
        self.matched += matched;
        self.missing += missing;
        self.missing_rows += missing_rows;
        self.unexpected += unexpected;
        self.unexpected_rows += unexpected_rows;
        self.mismatched += mismatched;
        self.duplicated += duplicated;
        self.surplus_rows += surplus_rows;
        self.original_rows += original_rows;
        self.rows_read += rows_read;
        self.tolerated |= tolerated;
        self.differences.absorb(differences)
    }
}

/// Rows to be looked at, as they are and in canonical form.
pub(super) struct Gathered {
    /// Places of the paired columns that were read.
    columns: Vec<usize>,
    raw: Vec<RecordBatch>,
    canonical: Vec<RecordBatch>,
    sides: Vec<Side>,
}

impl Gathered {
    /// Of batches that hold these paired columns.
    pub(super) fn new(prepared: &Prepared, columns: &[usize], batches: Vec<(Side, RecordBatch)>) -> Result<Self, DataFusionError> {
        let mut gathered = Self { columns: columns.to_vec(), raw: Vec::new(), canonical: Vec::new(), sides: Vec::new() };
        for (side, batch) in batches {
            let canonicaliser = Canonicaliser::new(side, &prepared.paired, &batch.schema());
            let canonical = columns.iter().map(|&place| canonicaliser.column(place, &batch).map(|(array, _)| array));
            let canonical = canonical.collect::<Result<Vec<_>, _>>()?;
            let fields: Vec<_> = columns.iter().map(|&place| canonicaliser.schema().field(place).clone()).collect();
            gathered.canonical.push(RecordBatch::try_new(std::sync::Arc::new(arrow::datatypes::Schema::new(fields)), canonical)?);
            gathered.raw.push(batch);
            gathered.sides.push(side);
        }
        Ok(gathered)
    }

    fn rows(&self) -> usize {
        self.raw.iter().map(RecordBatch::num_rows).sum()
    }

    /// Where columns stand in the batches.
    fn slots(&self, places: &[usize]) -> Vec<usize> {
        places.iter().filter_map(|place| self.columns.iter().position(|column| column == place)).collect()
    }
}

/// A row among the gathered ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    batch: u32,
    row: u32,
}

/// Settles the keys of some rows: all rows of a key that there are.
pub(super) struct Settle<'a> {
    prepared: &'a Prepared,
    windowing: Option<Windowing>,
    shower: &'a Shower,
    gathered: Gathered,
    /// Where the key stands in the batches.
    identity: Vec<usize>,
    /// Where the compared columns stand, as far as they were read: of keys on one side only the key is enough.
    compared: Vec<usize>,
    series: Vec<usize>,
    keys: Vec<Rows>,
    values: Vec<Option<Rows>>,
    /// The rows as they are stored, which decides between rows that are equal in canonical form only.
    stored: Vec<Vec<Vec<u8>>>,
    times: Vec<Option<Vec<Option<i128>>>>,
    nameless: &'a Nameless<'a>,
    most: usize,
    /// Findings of each class so far.
    listed: RefCell<BTreeMap<&'static str, usize>>,
}

/// Keys that are NULL only because a local time in them cannot be told.
pub(super) struct Nameless<'a> {
    /// Their tags.
    pub(super) keys: BTreeSet<u64>,
    /// What tags are made with.
    pub(super) seed: &'a Seed,
}

/// What is left of one side's rows of a key: rows, and whether the other side holds an equal one.
type LeftOver = Vec<(At, bool)>;

impl<'a> Settle<'a> {
    pub(super) fn new(
        prepared: &'a Prepared,
        windowing: Option<Windowing>,
        shower: &'a Shower,
        gathered: Gathered,
        nameless: &'a Nameless<'a>,
        most: usize,
    ) -> Result<Self> {
        let engine = || Error::engine("settling what differs");
        let mut compared = prepared.compared();
        if !compared.iter().all(|place| gathered.columns.contains(place)) {
            compared.clear();
        }
        let lossy = prepared.paired.iter().any(super::super::staging::PairedColumn::is_lossy);
        let mut settle = Self {
            prepared,
            windowing,
            shower,
            identity: gathered.slots(&prepared.identity()),
            compared: gathered.slots(&compared),
            series: gathered.slots(&prepared.series),
            keys: Vec::new(),
            values: Vec::new(),
            stored: Vec::new(),
            times: Vec::new(),
            nameless,
            most,
            listed: RefCell::default(),
            gathered,
        };
        let time = prepared.time.map(|place| settle.gathered.slots(&[place]));
        if let Some(first) = settle.gathered.canonical.first() {
            let keys = converter(&first.schema(), &settle.identity).map_err(engine())?;
            let values = converter(&first.schema(), &settle.compared).map_err(engine())?;
            for (raw, canonical) in settle.gathered.raw.iter().zip(&settle.gathered.canonical) {
                settle.keys.push(rows_of(&keys, canonical, &settle.identity).map_err(engine())?);
                settle.values.push(match settle.compared.is_empty() {
                    true => None,
                    false => Some(rows_of(&values, canonical, &settle.compared).map_err(engine())?),
                });
                let times = time.as_ref().and_then(|slots| slots.first()).map(|&slot| Times::of(canonical.column(slot)));
                settle.times.push(times.transpose().map_err(engine())?.map(|times| times.all()));
                settle.stored.push(if lossy { stored_bytes(raw, &settle.compared)? } else { Vec::new() });
            }
        }
        Ok(settle)
    }

    fn key(&self, at: At) -> Row<'_> {
        self.keys[at.batch as usize].row(at.row as usize)
    }

    fn value(&self, at: At) -> Option<Row<'_>> {
        self.values[at.batch as usize].as_ref().map(|rows| rows.row(at.row as usize))
    }

    fn stored(&self, at: At) -> &[u8] {
        self.stored[at.batch as usize].get(at.row as usize).map_or(&[], Vec::as_slice)
    }

    fn side(&self, at: At) -> Side {
        self.gathered.sides[at.batch as usize]
    }

    /// Settles them all.
    ///
    /// # Errors
    /// What differs had to go to disk, and could not.
    pub(super) fn run(&mut self, found: &mut Localised) -> Result<()> {
        found.rows_read += self.gathered.rows() as u64;
        // The first bytes of a key beside each row: they decide nearly always, without a look at the rows.
        let mut order: Vec<(u128, At)> = Vec::with_capacity(self.gathered.rows());
        for (batch, rows) in self.gathered.raw.iter().enumerate() {
            let batch = u32::try_from(batch).unwrap_or(u32::MAX);
            order.extend((0..u32::try_from(rows.num_rows()).unwrap_or(0)).map(|row| {
                let at = At { batch, row };
                (head_of(self.key(at).as_ref()), at)
            }));
        }
        order.sort_unstable_by(|&(x, a), &(y, b)| {
            x.cmp(&y)
                .then_with(|| self.key(a).cmp(&self.key(b)))
                .then_with(|| self.side(a).cmp(&self.side(b)))
                .then_with(|| self.value(a).cmp(&self.value(b)))
                .then_with(|| self.stored(a).cmp(self.stored(b)))
        });
        let all: Vec<At> = order.into_iter().map(|(_, at)| at).collect();
        let this = &*self;
        for group in all.chunk_by(|&a, &b| this.key(a) == this.key(b)) {
            let split = group.iter().position(|&at| this.side(at) == Side::Backfill).unwrap_or(group.len());
            let (original, backfill) = group.split_at(split);
            this.settle(original, backfill, found)?;
            found.differences.fit()?;
        }
        Ok(())
    }

    /// True for a key that nobody can tell.
    fn is_nameless(&self, at: At) -> Result<bool> {
        if self.nameless.keys.is_empty() {
            return Ok(false);
        }
        let batch = &self.gathered.raw[at.batch as usize];
        let hasher = SideHasher::new(self.side(at), self.prepared, self.nameless.seed, &batch.schema());
        let hashed = hasher.hash(&batch.slice(at.row as usize, 1), false).map_err(Error::engine("settling what differs"))?;
        Ok(hashed.keys.first().is_some_and(|key| self.nameless.keys.contains(&tag_of(*key))))
    }

    fn settle(&self, original: &[At], backfill: &[At], found: &mut Localised) -> Result<()> {
        let mode = self.prepared.stream.mode;
        let keyed = self.prepared.key.is_some();
        let null_key = keyed && {
            let at = original.first().or(backfill.first());
            at.is_some_and(|&at| {
                let batch = &self.gathered.canonical[at.batch as usize];
                self.identity.iter().any(|&slot| batch.column(slot).is_null(at.row as usize))
            })
        };
        let (mut left, mut right, cancelled) = self.cancel(original, backfill);
        let tolerated = self.cancel_within_tolerance(&mut left, &mut right);
        found.tolerated |= tolerated;
        let alike = left.is_empty() && right.is_empty();
        if null_key
            && (alike || mode != Mode::Replica)
            && let Some(&at) = original.first().or(backfill.first())
            && self.is_nameless(at)?
        {
            // No row is known by such a key. In a replica its rows are held against each other all the same, and what is left of them is said.
            return Ok(());
        }
        found.original_rows += original.len() as u64;
        if null_key {
            let severity = if mode != Mode::Single && alike { Severity::Warn } else { Severity::Error };
            let side = match (original.is_empty(), backfill.is_empty()) {
                (false, true) => Some(Side::Original),
                (true, false) => Some(Side::Backfill),
                _ => None,
            };
            let kind = (severity == Severity::Warn).then_some("alike");
            let rows = (original.len() + backfill.len()) as u64;
            self.emit(found, "null_key", kind, Some(severity), side, self.earliest(original.iter().chain(backfill).copied()), rows);
        }
        if !keyed {
            self.settle_rows(original, backfill, &left, &right, found);
            return Ok(());
        }
        match mode {
            Mode::Single => {
                if original.len() > 1 {
                    let all_equal = original.windows(2).all(|pair| self.value(pair[0]) == self.value(pair[1]));
                    let kind = if all_equal { "surplus" } else { "conflict" };
                    let rows = original.len() as u64 - 1;
                    found.duplicated += 1;
                    found.surplus_rows += if all_equal { rows } else { 0 };
                    self.emit_copies(found, kind, Severity::Error, Some(Side::Original), original, &[], rows);
                }
                return Ok(());
            }
            Mode::Replica if backfill.is_empty() => {
                found.missing += 1;
                found.missing_rows += original.len() as u64;
                let first = self.earliest(original.iter().copied());
                self.emit(found, "missing_key", None, None, Some(Side::Backfill), first, original.len() as u64);
                return Ok(());
            }
            Mode::Replica if original.is_empty() => {
                found.unexpected += 1;
                found.unexpected_rows += backfill.len() as u64;
                let first = self.earliest(backfill.iter().copied());
                self.emit(found, "unexpected_key", None, None, Some(Side::Backfill), first, backfill.len() as u64);
                return Ok(());
            }
            Mode::Fill if original.is_empty() || backfill.is_empty() => {
                let (side, copies) = if backfill.is_empty() { (Side::Original, original) } else { (Side::Backfill, backfill) };
                if copies.len() > 1 {
                    let all_equal = copies.windows(2).all(|pair| self.value(pair[0]) == self.value(pair[1]));
                    let rows = copies.len() as u64 - 1;
                    found.duplicated += 1;
                    let (kind, severity) = if all_equal { ("surplus", Severity::Warn) } else { ("conflict", Severity::Error) };
                    found.surplus_rows += if all_equal { rows } else { 0 };
                    let (a, b) = if side == Side::Original { (copies, &[][..]) } else { (&[][..], copies) };
                    self.emit_copies(found, kind, severity, Some(side), a, b, rows);
                }
                return Ok(());
            }
            _ => {}
        }
        if alike {
            // Copies that both sides hold alike are told from other rows only where somebody looks for them.
            let counted = mode == Mode::Replica && self.prepared.stream.duplicates != Duplicates::All;
            found.matched += if counted { original.len() as u64 } else { 1 };
            if mode == Mode::Fill {
                found.duplicated += 1;
                self.emit_copies(found, "replay", Severity::Info, Some(Side::Backfill), original, backfill, backfill.len() as u64);
                return Ok(());
            }
            if original.len() > 1 && self.prepared.stream.duplicates == Duplicates::All {
                found.duplicated += 1;
                self.emit_copies(found, "alike", Severity::Warn, None, original, backfill, original.len() as u64);
            }
            return Ok(());
        }
        match (left.as_slice(), right.as_slice()) {
            ([(a, _)], [(b, _)]) => {
                found.mismatched += 1;
                self.emit_mismatches(found, *a, *b);
                // Copies that cancelled beside it are replays in a fill all the same.
                if mode == Mode::Fill && cancelled > 0 {
                    found.duplicated += 1;
                    self.emit_copies(found, "replay", Severity::Info, Some(Side::Backfill), original, backfill, cancelled);
                }
            }
            ([], copies) | (copies, []) => {
                let side = if left.is_empty() { Side::Backfill } else { Side::Original };
                found.duplicated += 1;
                let (equal, differing): (LeftOver, LeftOver) = copies.iter().partition(|(_, held)| *held);
                if !equal.is_empty() {
                    let rows = equal.len() as u64;
                    // In a fill, what the backfill repeats of the original is a replay, however often.
                    let replayed = mode == Mode::Fill && side == Side::Backfill;
                    let (kind, severity, rows) = if replayed {
                        ("replay", Severity::Info, rows + cancelled)
                    } else if mode == Mode::Fill {
                        ("surplus", Severity::Warn, rows)
                    } else {
                        ("surplus", Severity::Error, rows)
                    };
                    found.surplus_rows += if replayed { 0 } else { rows };
                    let shown: Vec<At> = equal.iter().map(|(at, _)| *at).collect();
                    let (a, b) = if side == Side::Original { (shown.as_slice(), &[][..]) } else { (&[][..], shown.as_slice()) };
                    self.emit_copies(found, kind, severity, Some(side), a, b, rows);
                }
                if differing.is_empty() {
                    return Ok(());
                }
                found.mismatched += 1;
                let shown: Vec<At> = differing.iter().map(|(at, _)| *at).collect();
                let (a, b) = if side == Side::Original { (shown.as_slice(), backfill) } else { (original, shown.as_slice()) };
                self.emit_copies(found, "conflict", Severity::Error, Some(side), a, b, differing.len() as u64);
            }
            (a, b) => {
                found.mismatched += 1;
                found.duplicated += 1;
                let rows = (a.len() + b.len()) as u64;
                let a: Vec<At> = a.iter().map(|(at, _)| *at).collect();
                let b: Vec<At> = b.iter().map(|(at, _)| *at).collect();
                self.emit_copies(found, "conflict", Severity::Error, None, &a, &b, rows);
            }
        }
        Ok(())
    }

    /// Without a key, the row is the key, and only how often it is held can differ.
    fn settle_rows(&self, original: &[At], backfill: &[At], left: &LeftOver, right: &LeftOver, found: &mut Localised) {
        match self.prepared.stream.mode {
            Mode::Single => {}
            Mode::Fill => {
                if let (false, Some(first)) = (original.is_empty(), backfill.first()) {
                    found.matched += 1;
                    found.duplicated += 1;
                    let rows = backfill.len() as u64;
                    self.emit(found, "duplicate_key", Some("replay"), Some(Severity::Info), Some(Side::Backfill), Some(*first), rows);
                }
            }
            Mode::Replica => {
                if let Some((at, _)) = left.first() {
                    found.missing += 1;
                    found.missing_rows += left.len() as u64;
                    self.emit(found, "missing_row", None, None, Some(Side::Backfill), Some(*at), left.len() as u64);
                }
                if let Some((at, _)) = right.first() {
                    found.unexpected += 1;
                    found.unexpected_rows += right.len() as u64;
                    self.emit(found, "unexpected_row", None, None, Some(Side::Backfill), Some(*at), right.len() as u64);
                }
            }
        }
    }

    /// Takes equal rows away in pairs. Both lists are sorted by value, so this walks them once.
    fn cancel(&self, original: &[At], backfill: &[At]) -> (LeftOver, LeftOver, u64) {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let (mut a, mut b, mut cancelled) = (0, 0, 0);
        while a < original.len() || b < backfill.len() {
            let order = match (original.get(a), backfill.get(b)) {
                (Some(&x), Some(&y)) => self.value(x).cmp(&self.value(y)),
                (Some(_), None) => Ordering::Less,
                _ => Ordering::Greater,
            };
            let run = |list: &[At], start: usize| {
                let first = self.value(list[start]);
                list[start..].iter().take_while(|&&at| self.value(at) == first).count()
            };
            match order {
                Ordering::Less => {
                    left.push((original[a], false));
                    a += 1;
                }
                Ordering::Greater => {
                    right.push((backfill[b], false));
                    b += 1;
                }
                Ordering::Equal => {
                    let (x, y) = (run(original, a), run(backfill, b));
                    let pairs = x.min(y);
                    cancelled += pairs as u64;
                    left.extend(original[a + pairs..a + x].iter().map(|&at| (at, true)));
                    right.extend(backfill[b + pairs..b + y].iter().map(|&at| (at, true)));
                    a += x;
                    b += y;
                }
            }
        }
        (left, right, cancelled)
    }

    /// Pairs what is left in canonical order and takes away the pairs that are equal within the tolerances.
    fn cancel_within_tolerance(&self, left: &mut LeftOver, right: &mut LeftOver) -> bool {
        if self.prepared.stream.tolerance.is_empty() || left.is_empty() || right.is_empty() {
            return false;
        }
        let pairs = left.len().min(right.len());
        let within: Vec<bool> = (0..pairs).map(|at| self.differing(left[at].0, right[at].0).is_empty()).collect();
        let keep = |list: &mut LeftOver| {
            let mut at = 0;
            list.retain(|_| {
                at += 1;
                !within.get(at - 1).copied().unwrap_or(false)
            });
        };
        keep(left);
        keep(right);
        within.contains(&true)
    }

    /// Where the compared columns stand in which two rows differ beyond the tolerances.
    fn differing(&self, a: At, b: At) -> Vec<usize> {
        let (x, y) = (&self.gathered.canonical[a.batch as usize], &self.gathered.canonical[b.batch as usize]);
        self.compared
            .iter()
            .copied()
            .filter(|&slot| {
                let (p, q) = (x.column(slot), y.column(slot));
                let column = &self.prepared.paired[self.gathered.columns[slot]];
                !equal(p, a.row as usize, q, b.row as usize, column.tolerance, &column.conversions[0])
            })
            .collect()
    }

    fn emit_mismatches(&self, found: &mut Localised, a: At, b: At) {
        for slot in self.differing(a, b) {
            let place = self.gathered.columns[slot];
            let name = &self.prepared.paired[place].name;
            let text = |at: At| self.shower.text(name, self.gathered.raw[at.batch as usize].column(slot), at.row as usize);
            let Some(place_of) = self.earliest([a, b].into_iter()) else { continue };
            if !self.counts(found, "value_mismatch", None, None, place_of) {
                continue;
            }
            let mut difference = self.describe("value_mismatch", None, None, None, place_of, 1);
            difference.order.extend_from_slice(&u32::try_from(place).unwrap_or(u32::MAX).to_be_bytes());
            difference.column = Some(name.clone());
            difference.original_value = text(a);
            difference.backfill_value = text(b);
            if let (Some(x), Some(y)) = (self.time(a), self.time(b))
                && x != y
            {
                // A row whose time moved touches both places.
                difference.from = Some(Instant(x.min(y)));
                difference.until = Some(Instant(x.max(y) + 1));
            }
            found.differences.push(difference);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one argument a column of the finding")]
    fn emit_copies(
        &self,
        found: &mut Localised,
        kind: &'static str,
        severity: Severity,
        side: Option<Side>,
        a: &[At],
        b: &[At],
        rows: u64,
    ) {
        // Equal rows lie in one place, so a few of many copies are enough.
        let Some(first) = self.earliest(a.iter().chain(b).copied().take(64)) else { return };
        if !self.counts(found, "duplicate_key", Some(kind), Some(severity), first) {
            return;
        }
        let mut difference = self.describe("duplicate_key", Some(kind), Some(severity), side, first, rows);
        difference.original_value = self.copies(a);
        difference.backfill_value = self.copies(b);
        found.differences.push(difference);
    }

    /// The distinct copies as a JSON array of rows, the first few of them.
    fn copies(&self, rows: &[At]) -> Option<String> {
        const SHOWN: usize = 8;
        let mut distinct: Vec<At> = Vec::new();
        let mut more = 0;
        for chunk in rows.chunk_by(|&a, &b| self.value(a) == self.value(b)) {
            if distinct.len() < SHOWN { distinct.push(chunk[0]) } else { more += 1 }
        }
        if distinct.is_empty() {
            return None;
        }
        let mut parts: Vec<String> =
            distinct.iter().map(|at| self.shower.object(&self.gathered.raw[at.batch as usize], &self.compared, at.row as usize)).collect();
        if more > 0 {
            parts.push(json_string(&format!("and {more} more")));
        }
        Some(format!("[{}]", parts.join(",")))
    }

    #[expect(clippy::too_many_arguments, reason = "one argument a column of the finding")]
    fn emit(
        &self,
        found: &mut Localised,
        class: &'static str,
        kind: Option<&'static str>,
        severity: Option<Severity>,
        side: Option<Side>,
        at: Option<At>,
        rows: u64,
    ) {
        let Some(at) = at else { return };
        if !self.counts(found, class, kind, severity, at) {
            return;
        }
        let mut difference = self.describe(class, kind, severity, side, at, rows);
        let row = || self.shower.object(&self.gathered.raw[at.batch as usize], &self.compared, at.row as usize);
        match class {
            "missing_row" => difference.original_value = Some(row()),
            "unexpected_row" => difference.backfill_value = Some(row()),
            _ => {}
        }
        found.differences.push(difference);
    }

    /// Counts a finding; true if it is to be listed too. Keys come in order, so once a class has more than are listed, what follows in this
    /// run is not among the first of them. A few more are let through, since those of one key are in no order.
    fn counts(&self, found: &mut Localised, class: &'static str, kind: Option<&'static str>, severity: Option<Severity>, at: At) -> bool {
        *found.found.entry((class, kind, severity)).or_default() += 1;
        let mut listed = self.listed.borrow_mut();
        let listed = listed.entry(class).or_default();
        *listed += 1;
        *listed <= self.most.saturating_add(16) && !found.differences.is_beyond(class, self.key(at).as_ref())
    }

    /// The row that says where a finding lies: the earliest, so that swapping the sides changes nothing.
    fn earliest(&self, mut rows: impl Iterator<Item = At>) -> Option<At> {
        let mut best = rows.next()?;
        let place = |at: At| {
            let (raw, canonical) = (&self.gathered.raw[at.batch as usize], &self.gathered.canonical[at.batch as usize]);
            let series = self.shower.object(canonical, &self.series, at.row as usize);
            (series, self.shower.object(raw, &self.identity, at.row as usize))
        };
        for at in rows {
            let order = self.time(at).cmp(&self.time(best));
            if order.then_with(|| place(at).cmp(&place(best))) == Ordering::Less {
                best = at;
            }
        }
        Some(best)
    }

    fn time(&self, at: At) -> Option<i128> {
        self.times[at.batch as usize].as_ref().and_then(|times| times[at.row as usize])
    }

    fn describe(
        &self,
        class: &'static str,
        kind: Option<&'static str>,
        severity: Option<Severity>,
        side: Option<Side>,
        at: At,
        rows: u64,
    ) -> Difference {
        let (raw, canonical) = (&self.gathered.raw[at.batch as usize], &self.gathered.canonical[at.batch as usize]);
        let row = at.row as usize;
        let time = self.time(at);
        let keyless = self.prepared.key.is_none();
        Difference {
            order: self.key(at).as_ref().to_vec(),
            class,
            kind,
            severity,
            side,
            series: self.shower.object(canonical, &self.series, row),
            key: if keyless { "{}".to_string() } else { self.shower.object(raw, &self.identity, row) },
            column: None,
            original_value: None,
            backfill_value: None,
            rows,
            window: time.and_then(|at| self.windowing.map(|windowing| windowing.window_of(Instant(at)))),
            from: time.map(Instant),
            until: None,
        }
    }
}

/// The first sixteen bytes, filled up with zeros: what is less here is less as a whole.
fn head_of(bytes: &[u8]) -> u128 {
    let mut head = [0; 16];
    let known = bytes.len().min(16);
    head[..known].copy_from_slice(&bytes[..known]);
    u128::from_be_bytes(head)
}

fn converter(schema: &SchemaRef, places: &[usize]) -> Result<RowConverter, DataFusionError> {
    let fields = places.iter().map(|&place| SortField::new(schema.field(place).data_type().clone())).collect();
    Ok(RowConverter::new(fields)?)
}

fn rows_of(converter: &RowConverter, batch: &RecordBatch, places: &[usize]) -> Result<Rows, DataFusionError> {
    let columns: Vec<ArrayRef> = places.iter().map(|&place| batch.column(place).clone()).collect();
    Ok(converter.convert_columns(&columns)?)
}

fn stored_bytes(raw: &RecordBatch, places: &[usize]) -> Result<Vec<Vec<u8>>> {
    let encoders = places
        .iter()
        .map(|&place| ColumnEncoder::new("", raw.column(place)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::engine("settling what differs")(DataFusionError::Execution(e.to_string())))?;
    Ok((0..raw.num_rows())
        .map(|row| {
            let mut bytes = Vec::new();
            encoders.iter().for_each(|encoder| encoder.encode(row, &mut bytes));
            bytes
        })
        .collect())
}

/// Equality in the common type, or within a tolerance.
fn equal(a: &ArrayRef, i: usize, b: &ArrayRef, j: usize, tolerance: Option<Tolerance>, conversion: &Conversion) -> bool {
    match (a.is_null(i), b.is_null(j)) {
        (true, true) => return true,
        (true, false) | (false, true) => return false,
        (false, false) => {}
    }
    let (x, y) = (a.slice(i, 1), b.slice(j, 1));
    if x.to_data() == y.to_data() {
        return true;
    }
    match tolerance {
        None => false,
        Some(Tolerance::Number { abs, rel }) => match (as_double(&x, conversion), as_double(&y, conversion)) {
            (Some(p), Some(q)) => match exact_distance(&x, &y, conversion) {
                // Exact numbers are subtracted exactly: only their distance, never they themselves, becomes a double.
                Some(distance) => distance <= abs + rel * p.abs().max(q.abs()),
                None => Tolerance::numbers_within(abs, rel, p, q),
            },
            _ => false,
        },
        Some(Tolerance::Time { nanos }) => match (Times::of(&x).map(|times| times.at(0)), Times::of(&y).map(|times| times.at(0))) {
            (Ok(Some(p)), Ok(Some(q))) => (p - q).abs() <= nanos,
            (Ok(_), Ok(_)) => false,
            _ => match (ticks_of(&x), ticks_of(&y)) {
                (Some(p), Some(q)) => (p - q).abs() <= nanos,
                _ => false,
            },
        },
    }
}

/// The distance of two exact numbers, as the double nearest to it; `None` for floats.
fn exact_distance(x: &ArrayRef, y: &ArrayRef, conversion: &Conversion) -> Option<f64> {
    let (p, q, scale) = if *conversion == Conversion::ExactText {
        let whole = |array: &ArrayRef| array.as_string::<i32>().value(0).parse::<i128>().ok().map(i256::from_i128);
        (whole(x)?, whole(y)?, 0)
    } else {
        let coefficient = |array: &ArrayRef| match array.data_type() {
            DataType::Int64 => Some((i256::from_i128(i128::from(array.as_primitive::<Int64Type>().value(0))), 0)),
            DataType::UInt64 => Some((i256::from_i128(i128::from(array.as_primitive::<UInt64Type>().value(0))), 0)),
            DataType::Decimal128(_, scale) => Some((i256::from_i128(array.as_primitive::<Decimal128Type>().value(0)), *scale)),
            DataType::Decimal256(_, scale) => Some((array.as_primitive::<Decimal256Type>().value(0), *scale)),
            _ => None,
        };
        let ((p, scale), (q, _)) = (coefficient(x)?, coefficient(y)?);
        (p, q, scale)
    };
    let distance = p.checked_sub(q)?.to_string();
    format!("{}e{}", distance.trim_start_matches('-'), -i32::from(scale)).parse().ok()
}

fn as_double(array: &ArrayRef, conversion: &Conversion) -> Option<f64> {
    if *conversion == Conversion::ExactText {
        return array.as_string::<i32>().value(0).parse().ok();
    }
    let wide = cast(array, &DataType::Float64).ok()?;
    (!wide.is_null(0)).then(|| wide.as_primitive::<Float64Type>().value(0))
}

/// Times of day and durations in nanoseconds.
fn ticks_of(array: &ArrayRef) -> Option<i128> {
    let nanos = match array.data_type() {
        DataType::Duration(_) => cast(array, &DataType::Duration(arrow::datatypes::TimeUnit::Nanosecond)).ok()?,
        _ => array.clone(),
    };
    let plain = cast(&nanos, &DataType::Int64).ok()?;
    (!plain.is_null(0)).then(|| i128::from(plain.as_primitive::<Int64Type>().value(0)))
}
