//! Which rows are looked at again, and how they are fetched.
//!
//! Where the sides were held against each other row by row ([`super::align`]), the rows that differ are known, mostly with their
//! values. Then one pass over the side that is decoded faster tells whether such a key has further rows, which both sides hold alike. Where only
//! the other side has some of these keys left over, that may decide the finding (is a row too many a copy of another?), so the pass keeps the rows of
//! those keys; else it reads keys alone, and what decides is fetched.
//!
//! ```text
//! left over ──► one side, filtered ──┬─ no further rows ─────────────────────────────────────────────────────► settle
//!                                    └─ further rows, and one side left over ──► with them, whole ────────────► settle
//!
//! sketches ──┬─ peeled ─────────► tags of keys ─┐
//!            ├─ one side empty ─► tags of keys ─┤   count     keys of one side ──► key, time and series alone ─┐
//!            ├─ full ──► wide ──► tags of keys ─┼────────────►                                                ├──► settle
//! repeats ───┴──────────────────► tags of keys ─┘   pass      keys of both ──────► whole rows, filtered while ─┘
//!                                                                                  they are decoded
//! too many tags, or --verify full ───────────────────────────► every row, partitioned on disk ────────────────► settle
//! ```
//!
//! Tags only choose rows; whatever they choose too much is settled as equal. No row that differs is left out: a tag stands
//! for every key with it, and keys are looked for over the whole of both sides.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::prelude::Expr;

use super::align::{Held, Left, Remains, wanted_rows};
use super::buckets::Places;
use super::differences::Differences;
use super::hashing::{Hashed, SideHasher};
use super::reading::{Near, Want, fold, scan};
use super::repeats::Search;
use super::screen::{Screened, key_columns};
use super::settle::{Gathered, Localised, Nameless, Settle};
use super::sketch::{ByHash, Sketch, Tags, tag_of};
use super::store::{Store, bytes_of, plain, through_engine};
use super::suspect::suspect;
use super::untold::nameless_keys;
use crate::domain::{Mode, Seed, Side};
use crate::error::{Error, Result};
use crate::findings::StageRecord;
use crate::job::{Format, RunOptions};
use crate::progress::Progress;
use crate::source::Opened;
use crate::staging::{Prepared, Shower};

/// Groups of keys that are settled at a time, at most: each takes several times the room of its rows.
const MOST_SETTLING: usize = 4;

/// Which rows to read again.
enum Suspects {
    /// Those whose keys have one of these tags.
    Tagged(Vec<u64>),
    /// All.
    All,
}

/// The second look at one stream.
struct Look<'a> {
    prepared: &'a Prepared,
    options: &'a RunOptions,
    seed: &'a Seed,
    shower: &'a Shower,
    context: Arc<TaskContext>,
    progress: &'a Progress,
    stages: Vec<StageRecord>,
    /// Where the rows of all suspects lie, if that is known.
    near: Option<Near>,
}

/// Settles every key that may differ.
///
/// # Errors
/// A side could not be read again, or rows could not be spilled.
pub async fn localise(
    prepared: &Prepared,
    screened: &mut Screened,
    options: &RunOptions,
    seed: &Seed,
    shower: &Shower,
    context: Arc<TaskContext>,
    progress: &Progress,
) -> Result<Localised> {
    let mut look = Look { prepared, options, seed, shower, context, progress, stages: Vec::new(), near: None };
    let outcome = look.run(screened).await;
    screened.stages.append(&mut look.stages);
    outcome
}

impl Look<'_> {
    async fn run(&mut self, screened: &mut Screened) -> Result<Localised> {
        let mut found = self.nothing();
        if self.prepared.stream.mode == Mode::Single && self.prepared.key.is_none() {
            return Ok(found);
        }
        let (mut list, mut held) = (Vec::new(), Vec::new());
        if let Some(Remains::Listed(..)) = &screened.remains
            && let Some(Remains::Listed(rows, values)) = screened.remains.take()
        {
            (list, held) = (rows, values);
        }
        let mut suspects = self.suspects(screened).await?;
        if let Suspects::Tagged(tags) = &mut suspects {
            let others = self.settle_listed(screened, list, held, std::mem::take(tags), &mut found).await?;
            *tags = others;
            if tags.len() > self.most_tags() {
                // What was settled is settled again.
                found = self.nothing();
                suspects = Suspects::All;
            }
        }
        let columns: Vec<usize> = (0..self.prepared.paired.len()).collect();
        match suspects {
            Suspects::Tagged(tags) if tags.is_empty() => {}
            Suspects::Tagged(tags) if self.prepared.stream.mode == Mode::Replica && self.prepared.key.is_some() => {
                self.settle_tagged(screened, Tags::new(tags), &mut found).await?;
            }
            Suspects::Tagged(tags) => {
                let tags = Arc::new(Tags::new(tags));
                let rows = 2 * tags.len() as u64;
                let choice = Choice::Of { tags, near: self.near.take().map(|near| Arc::new([near.clone(), near])) };
                self.settle(screened, "rows", &columns, choice, rows, &mut found).await?;
            }
            Suspects::All => {
                let rows = screened.sides.iter().map(|side| side.rows()).sum();
                // Of keys that one side cannot hold, there is nothing to compare.
                let one_side = self.prepared.stream.mode == Mode::Replica
                    && self.prepared.key.is_some()
                    && screened.sides.iter().any(|side| side.rows() == 0);
                let columns = if one_side { key_columns(self.prepared) } else { columns };
                self.settle(screened, "rows", &columns, Choice::All, rows, &mut found).await?;
            }
        }
        found.differences.finish()?;
        Ok(found)
    }

    /// Before anything is settled.
    fn nothing(&self) -> Localised {
        let room = self.options.memory_bytes / 16;
        Localised { differences: Differences::new(self.options.max_findings, room), ..Localised::default() }
    }

    /// Settles the keys of left-over rows, and says which must be looked at in another way: those, and `others`.
    ///
    /// What the sides hold alike they hold with equal checksums, so further rows of a key are as many on one side as on the other,
    /// and with the same values: looking at one side is enough. That is not so where rows that differ as stored can be equal, because then
    /// the values that are shown could differ. (One such case is let pass: a further row of a repeated key with 0.0 on one side and −0.0 on the
    /// other is shown as the counted side has it.)
    async fn settle_listed(
        &mut self,
        screened: &Screened,
        list: Vec<Left>,
        held: Vec<Held>,
        others: Vec<u64>,
        found: &mut Localised,
    ) -> Result<Vec<u64>> {
        let mut others: TagSet = others.into_iter().collect();
        let [original, backfill] = self.prepared.sides.as_slice() else { return Ok(others.into_iter().collect()) };
        let exact = self.prepared.paired.iter().all(|column| {
            let of = |opened: &Opened| opened.schema.field_with_name(&column.name).map(|field| field.data_type().clone()).ok();
            !column.is_lossy() && column.conversions[0] == column.conversions[1] && shown_alike(of(original), of(backfill))
        });
        if !exact {
            others.extend(list.iter().map(Left::tag));
            return Ok(others.into_iter().collect());
        }
        let pruned = self.prepared.sides.iter().all(|opened| opened.format == Format::Parquet);
        let list: Vec<Left> = list.into_iter().filter(|left| !others.contains(&left.tag())).collect();
        if !pruned && self.prepared.key.is_some() && others.len() + list.len() <= self.most_tags() {
            // Every pass over such files costs a parse of everything, so the fewest passes are the fastest: one for each side.
            let tags = Tags::new(list.iter().map(Left::tag).chain(others));
            let rows = 2 * tags.len() as u64;
            if rows > 0 {
                self.settle(screened, "rows", &self.all_columns(), Choice::of(Arc::new(tags)), rows, found).await?;
            }
            return Ok(Vec::new());
        }
        if list.is_empty() {
            return Ok(others.into_iter().collect());
        }
        // What is held are values of rows that are listed, and of no others.
        let mut kept = Vec::new();
        for held in held {
            kept.extend(held.only(|_, _, key| !others.contains(&tag_of(*key))).map_err(engine)?);
        }
        match self.prepared.key {
            None => self.settle_rows(screened, &list, kept, &mut others, found)?,
            Some(_) => self.settle_keys(screened, &list, kept, &mut others, found).await?,
        }
        Ok(others.into_iter().collect())
    }

    /// Without a key only the rows that are too many count.
    fn settle_rows(&self, screened: &Screened, list: &[Left], held: Vec<Held>, others: &mut TagSet, found: &mut Localised) -> Result<()> {
        let rows: u64 = list.iter().map(|left| u64::from(left.surplus().1)).sum();
        let with_values: u64 = held.iter().map(|held| held.rows.len() as u64).sum();
        if with_values < rows {
            others.extend(list.iter().map(Left::tag));
            return Ok(());
        }
        let mut store = self.store(rows, self.prepared.paired.len());
        for held in held {
            store.push(held.side, held.batch, &held.keys)?;
        }
        self.settle_store(screened, &self.all_columns(), store, found)
    }

    async fn settle_keys(
        &mut self,
        screened: &Screened,
        list: &[Left],
        held: Vec<Held>,
        others: &mut TagSet,
        found: &mut Localised,
    ) -> Result<()> {
        // One side is as good as the other, so the one that is decoded faster.
        let [original, backfill] = [0, 1].map(|at| self.prepared.sides.get(at).map_or(0, Opened::cost));
        let counted = if backfill < original { Side::Backfill } else { Side::Original };
        let tags = Arc::new(Tags::new(list.iter().map(Left::tag)));
        let mut keys = vec![LeftKey::default(); tags.len()];
        for left in list {
            let (side, copies) = left.surplus();
            if let Some(at) = tags.position(left.tag()) {
                let rows = &mut keys[at].rows[side.index()];
                *rows = rows.saturating_add(copies);
            }
        }
        for held in &held {
            for at in held.keys.iter().filter_map(|key| tags.position(tag_of(*key))) {
                keys[at].held[held.side.index()] += 1;
            }
        }
        // Keys that only the other side has left over: if the counted side holds them, they are copies of what it holds.
        let foreign = |key: &LeftKey| key.rows[counted.index()] == 0 && key.held == key.rows;
        let foreign = Tags::new(tags.iter().zip(&keys).filter(|(_, key)| foreign(key)).map(|(tag, _)| tag));
        let Counts { rows: counts, whole } = match foreign.len() {
            0 => Counts { rows: self.count(counted, &tags).await?, whole: None },
            // So one pass counts all of them, and keeps the rows of these.
            _ => self.count_whole(counted, &tags, foreign).await?,
        };
        let (mut copied, mut copied_rows, mut kept) = (TagSet::default(), 0, TagSet::default());
        let (mut alone, mut paired) = (0, 0);
        for ((tag, key), rows) in tags.iter().zip(&mut keys).zip(counts) {
            let further = rows.checked_sub(key.rows[counted.index()]);
            let other = counted.other().index();
            key.fate = match (further, key.rows.contains(&0)) {
                (Some(0), one_sided) => {
                    let is_held = key.held == key.rows;
                    *(if one_sided { &mut alone } else { &mut paired }) += u64::from(is_held);
                    Fate::Settled { one_sided, is_held }
                }
                (Some(1..), true) if whole.is_some() && key.rows[counted.index()] == 0 && key.held == key.rows => {
                    kept.insert(tag);
                    Fate::Fetched
                }
                (Some(1..), true) if key.held[other] == key.rows[other] => {
                    copied_rows += u64::from(rows);
                    copied.insert(tag);
                    Fate::Fetched
                }
                // Values that were not kept, or further rows beside rows that differ on both sides: looked at in the other way.
                _ => {
                    others.insert(tag);
                    Fate::Fetched
                }
            };
        }
        if copied_rows * 16 * self.prepared.paired.len() as u64 > self.options.memory_bytes / 8 {
            others.extend(std::mem::take(&mut copied));
        }
        let columns = key_columns(self.prepared);
        let mut keys_alone = self.store(alone, columns.len());
        let mut rows_whole = self.store((paired + (copied.len() + kept.len()) as u64) * 2, self.prepared.paired.len());
        let fate = |key: &u128| tags.position(tag_of(*key)).map(|at| keys[at].fate);
        for held in held {
            if let Some((batch, keys)) = held.of(|key| fate(key) == Some(Fate::Settled { one_sided: true, is_held: true }))? {
                keys_alone.push(held.side, batch.project(&columns).map_err(|e| engine(e.into()))?, &keys)?;
            }
            if let Some((batch, keys)) = held.of(|key| fate(key) == Some(Fate::Settled { one_sided: false, is_held: true }))? {
                rows_whole.push(held.side, batch, &keys)?;
            }
            // On the side that was counted they are among the rows that are fetched.
            for copied in [&copied, &kept] {
                if held.side != counted
                    && let Some((batch, keys)) = held.of(|key| copied.contains(&tag_of(*key)))?
                {
                    rows_whole.push(held.side, batch, &keys)?;
                }
            }
        }
        self.settle_store(screened, &columns, keys_alone, found)?;
        if !kept.is_empty() {
            self.add_copied(list, counted, &kept, whole.unwrap_or_default(), &mut rows_whole)?;
        }
        if !copied.is_empty() {
            let fetched = self.fetch_copied(counted, &copied).await?;
            self.add_copied(list, counted, &copied, fetched, &mut rows_whole)?;
        }
        self.settle_store(screened, &self.all_columns(), rows_whole, found)?;
        for (one_sided, columns) in [(true, columns), (false, self.all_columns())] {
            let unheld = Fate::Settled { one_sided, is_held: false };
            let chosen = Tags::new(tags.iter().zip(&keys).filter(|(_, key)| key.fate == unheld).map(|(tag, _)| tag));
            if chosen.len() == 0 {
                continue;
            }
            // All rows of these keys are left over, so it is known where they lie.
            let of = |side: Side| {
                let is_unheld = |left: &&Left| tags.position(left.tag()).is_some_and(|at| keys[at].fate == unheld);
                let rows = list.iter().filter(|left| left.surplus().0 == side).filter(is_unheld);
                Near::positions(self.prepared, rows.map(Left::position))
            };
            let near = Arc::new([of(Side::Original), of(Side::Backfill)]);
            let rows = 2 * chosen.len() as u64;
            let choice = Choice::Of { tags: Arc::new(chosen), near: Some(near) };
            self.settle(screened, "rows", &columns, choice, rows, found).await?;
        }
        Ok(())
    }

    /// Fetches the rows of keys of which one side holds more: all that the counted side holds.
    async fn fetch_copied(&mut self, counted: Side, copied: &TagSet) -> Result<Fetched> {
        let Some(opened) = self.prepared.side(counted) else { return Ok(Vec::new()) };
        self.stage("fetching copies of");
        let choice = Choice::of(Arc::new(Tags::new(copied.iter().copied())));
        let plan = self.fetch_plan(opened, &self.all_columns(), &choice).await?;
        let hasher = SideHasher::new(counted, self.prepared, self.seed, &plan.schema());
        let types = opened.schema.clone();
        let add = move |state: &mut Vec<(RecordBatch, Hashed)>, batch: RecordBatch| {
            let batch = hasher.inside(&batch)?.unwrap_or(batch);
            if batch.num_rows() > 0 {
                let batch = plain(&batch, &types)?;
                let hashed = hasher.hash(&batch, true)?;
                state.push((batch, hashed));
            }
            Ok::<_, DataFusionError>(())
        };
        let (parts, stage) = fold("rows", counted, plan, self.context.clone(), self.progress, Vec::new, add).await?;
        self.stages.push(stage);
        Ok(parts.into_iter().flatten().collect())
    }

    /// Adds rows of keys of which one side holds more. The other side holds the same rows, less what
    /// the counted side has too many, and more what is in the store already.
    fn add_copied(&self, list: &[Left], counted: Side, copied: &TagSet, fetched: Fetched, store: &mut Store) -> Result<()> {
        let Some(other_types) = self.prepared.side(counted.other()).map(|other| other.schema.clone()) else { return Ok(()) };
        let mut too_many = wanted_rows(list.iter().filter(|left| copied.contains(&left.tag())));
        let too_many = &mut too_many[counted.index()];
        for (batch, hashed) in fetched {
            let among: Vec<bool> = hashed.keys.iter().map(|key| copied.contains(&tag_of(*key))).collect();
            let alike: BooleanArray = hashed
                .rows
                .iter()
                .zip(&among)
                .map(|(row, among)| match too_many.get_mut(row) {
                    Some(copies) if *copies > 0 => {
                        *copies -= 1;
                        Some(false)
                    }
                    _ => Some(*among),
                })
                .collect();
            let keys_of = |mask: &BooleanArray| -> Vec<u128> {
                hashed.keys.iter().zip(mask.values()).filter(|(_, chosen)| *chosen).map(|(key, _)| *key).collect()
            };
            let among = BooleanArray::from(among);
            let others = filter_record_batch(&batch, &alike).map_err(|e| engine(e.into()))?;
            store.push(counted.other(), plain(&others, &other_types).map_err(engine)?, &keys_of(&alike))?;
            store.push(counted, filter_record_batch(&batch, &among).map_err(|e| engine(e.into()))?, &keys_of(&among))?;
        }
        Ok(())
    }

    /// How many rows a side holds of each tagged key, and whole the rows of some of them, unless they are too many.
    async fn count_whole(&mut self, side: Side, tags: &Arc<Tags>, wanted: Tags) -> Result<Counts> {
        let mut counts = Counts { rows: vec![0; tags.len()], whole: Some(Vec::new()) };
        let Some(opened) = self.prepared.side(side) else { return Ok(counts) };
        self.stage("looking for copies in");
        let plan = self.fetch_plan(opened, &self.all_columns(), &Choice::of(tags.clone())).await?;
        let hasher = SideHasher::new(side, self.prepared, self.seed, &plan.schema());
        let types = opened.schema.clone();
        let (wanted, room, held_bytes) = (Arc::new(wanted), self.options.memory_bytes / 8, Arc::new(AtomicU64::new(0)));
        let (all_held, tagged) = (held_bytes.clone(), tags.clone());
        let add = move |state: &mut (Vec<u32>, Fetched), batch: RecordBatch| {
            let batch = hasher.inside(&batch)?.unwrap_or(batch);
            let keys = hasher.hash(&batch, false)?.keys;
            count_tagged(&tagged, &keys, &mut state.0);
            if held_bytes.load(Ordering::Relaxed) > room {
                state.1 = Vec::new();
            } else if let Some((batch, _)) = chosen(&batch, &keys, &wanted)? {
                let batch = plain(&batch, &types)?;
                let hashed = hasher.hash(&batch, true)?;
                held_bytes.fetch_add(bytes_of(&batch) + 32 * batch.num_rows() as u64, Ordering::Relaxed);
                state.1.push((batch, hashed));
            }
            Ok::<_, DataFusionError>(())
        };
        let make = || (vec![0; tags.len()], Fetched::new());
        let (parts, stage) = fold("copies", side, plan, self.context.clone(), self.progress, make, add).await?;
        self.stages.push(stage);
        for (rows, whole) in parts {
            add_counts(&mut counts.rows, &rows);
            if let Some(all) = &mut counts.whole {
                all.extend(whole);
            }
        }
        if all_held.load(Ordering::Relaxed) > room {
            counts.whole = None;
        }
        Ok(counts)
    }

    /// How many rows a side holds of each tagged key.
    async fn count(&mut self, side: Side, tags: &Arc<Tags>) -> Result<Vec<u32>> {
        let mut counts = vec![0; tags.len()];
        let Some(opened) = self.prepared.sides.iter().find(|opened| opened.side == side) else { return Ok(counts) };
        self.stage("counting suspects of");
        let mut columns = self.prepared.identity();
        columns.extend(self.prepared.time.filter(|time| !columns.contains(time) && !self.prepared.stream.bounds.is_open()));
        columns.sort_unstable();
        let want = Want { columns, hashed: true, bounded: self.options.shortcuts.statistics, ..Want::default() };
        let plan = scan(self.prepared, opened, &want).await?;
        let hasher = SideHasher::new(side, self.prepared, self.seed, &plan.schema());
        let tagged = tags.clone();
        let add = move |counts: &mut Vec<u32>, batch: RecordBatch| {
            let batch = hasher.inside(&batch)?.unwrap_or(batch);
            count_tagged(&tagged, &hasher.hash(&batch, false)?.keys, counts);
            Ok::<_, DataFusionError>(())
        };
        let make = || vec![0; tags.len()];
        let (parts, stage) = fold("count", side, plan, self.context.clone(), self.progress, make, add).await?;
        self.stages.push(stage);
        parts.iter().for_each(|part| add_counts(&mut counts, part));
        Ok(counts)
    }

    fn all_columns(&self) -> Vec<usize> {
        (0..self.prepared.paired.len()).collect()
    }

    fn store(&self, rows: u64, columns: usize) -> Store {
        Store::new(rows, 16 * columns as u64 + 64, self.options.memory_bytes)
    }

    /// Tags that may be held in memory at once.
    fn most_tags(&self) -> usize {
        usize::try_from(self.options.memory_bytes / 128).unwrap_or(usize::MAX).max(1 << 12)
    }

    /// Rows of a side that may lie in some buckets, as far as statistics are asked.
    fn near(&self, opened: &Opened, places: &Places) -> Option<Expr> {
        Near::buckets(self.prepared, places).predicate(self.prepared, opened).filter(|_| self.options.shortcuts.statistics)
    }

    fn stage(&self, what: &str) {
        let rows = self.prepared.sides.iter().map(|opened| opened.rows_hint).sum::<Option<u64>>();
        self.progress.stage(&format!("{what} {}", self.prepared.stream.name), rows);
    }

    async fn suspects(&mut self, screened: &mut Screened) -> Result<Suspects> {
        if self.options.full {
            return Ok(Suspects::All);
        }
        let mut tags: Vec<u64> = Vec::new();
        for side in &screened.sides {
            match &side.null_tags {
                Some(null) => tags.extend(null),
                None => return Ok(Suspects::All),
            }
        }
        if let Some(Remains::Peeled(peeled)) = screened.remains.take() {
            tags.extend(peeled.tags);
            if tags.len() > self.most_tags() {
                return Ok(Suspects::All);
            }
            if !peeled.failed.is_empty() {
                match self.wide(&peeled.failed).await? {
                    Some(named) => tags.extend(named),
                    None => return Ok(Suspects::All),
                }
            }
            let one_sided: u64 = [Side::Original, Side::Backfill].iter().map(|side| peeled.one_sided.rows(*side)).sum();
            if tags.len() as u64 + one_sided > self.most_tags() as u64 {
                return Ok(Suspects::All);
            }
            if one_sided > 0 {
                tags.extend(self.keys_in(&peeled.one_sided).await?);
            }
        }
        if let Some(sought) = screened.repeats.take() {
            let most = self.most_tags();
            let mut search = Search {
                prepared: self.prepared,
                options: self.options,
                seed: self.seed,
                context: &self.context,
                progress: self.progress,
                stages: &mut self.stages,
            };
            match search.run(sought, most).await? {
                Some((named, near)) => {
                    // Only if no other keys are looked for is it known where all of them lie.
                    self.near = near.filter(|_| tags.is_empty());
                    tags.extend(named);
                }
                None => return Ok(Suspects::All),
            }
        }
        if tags.len() > self.most_tags() {
            return Ok(Suspects::All);
        }
        Ok(Suspects::Tagged(tags))
    }

    /// Buckets that did not peel, once more in one large table.
    async fn wide(&mut self, places: &Places) -> Result<Option<Vec<u64>>> {
        let places = Arc::new(places.clone());
        let rows = places.rows(Side::Original) + places.rows(Side::Backfill);
        let readers = self.options.threads as u64 + 1;
        let affordable = (self.options.memory_bytes / 4 / readers / 96).max(1 << 10);
        let third = usize::try_from((rows / 2).clamp(1 << 10, affordable)).unwrap_or(1 << 10);
        let mut table = Sketch::new(third);
        for opened in &self.prepared.sides {
            self.stage("looking closer at");
            let columns = (0..self.prepared.paired.len()).collect();
            let want = Want {
                columns,
                hashed: true,
                bounded: self.options.shortcuts.statistics,
                near: self.near(opened, &places),
                ..Want::default()
            };
            let plan = scan(self.prepared, opened, &want).await?;
            let hasher = SideHasher::new(opened.side, self.prepared, self.seed, &plan.schema());
            let (places, side) = (places.clone(), opened.side);
            let add = move |sketch: &mut Sketch, batch: RecordBatch| {
                let batch = hasher.inside(&batch)?.unwrap_or(batch);
                let keys = hasher.hash(&batch, false)?.keys;
                let mask = places.mask(&hasher.positions(&batch, &keys)?);
                if mask.true_count() == 0 {
                    return Ok(());
                }
                let hashed = hasher.hash(&filter_record_batch(&batch, &mask)?, true)?;
                for (row, key) in hashed.rows.iter().zip(&hashed.keys) {
                    match side {
                        Side::Original => sketch.add::<false>(*row, *key),
                        Side::Backfill => sketch.add::<true>(*row, *key),
                    }
                }
                Ok::<_, DataFusionError>(())
            };
            let (parts, stage) = fold("wide", opened.side, plan, self.context.clone(), self.progress, || Sketch::new(third), add).await?;
            parts.iter().for_each(|part| table.merge(part));
            self.stages.push(stage);
        }
        Ok(table.peel())
    }

    /// The tags of the keys of all rows in some buckets.
    async fn keys_in(&mut self, places: &Places) -> Result<Vec<u64>> {
        let places = Arc::new(places.clone());
        let mut tags = Vec::new();
        for opened in &self.prepared.sides {
            if places.rows(opened.side) == 0 {
                continue;
            }
            self.stage("looking up keys of");
            let near = self.near(opened, &places);
            let want = Want {
                columns: key_columns(self.prepared),
                hashed: true,
                bounded: self.options.shortcuts.statistics,
                near,
                ..Want::default()
            };
            let plan = scan(self.prepared, opened, &want).await?;
            let hasher = SideHasher::new(opened.side, self.prepared, self.seed, &plan.schema());
            let places = places.clone();
            let add = move |tags: &mut Vec<u64>, batch: RecordBatch| {
                let batch = hasher.inside(&batch)?.unwrap_or(batch);
                let keys = hasher.hash(&batch, false)?.keys;
                let mask = places.mask(&hasher.positions(&batch, &keys)?);
                tags.extend(keys.iter().zip(mask.values()).filter(|(_, inside)| *inside).map(|(key, _)| tag_of(*key)));
                Ok::<_, DataFusionError>(())
            };
            let (parts, stage) = fold("keys", opened.side, plan, self.context.clone(), self.progress, Vec::new, add).await?;
            parts.into_iter().for_each(|part| tags.extend(part));
            self.stages.push(stage);
            if tags.len() > self.most_tags() {
                break;
            }
        }
        Ok(tags)
    }

    /// Counts the rows of tagged keys on each side, settles those of one side by their keys alone, and fetches the others.
    async fn settle_tagged(&mut self, screened: &Screened, tags: Tags, found: &mut Localised) -> Result<()> {
        let tags = Arc::new(tags);
        let columns = key_columns(self.prepared);
        let room = self.options.memory_bytes / 8;
        let held_bytes = Arc::new(AtomicU64::new(0));
        let mut counts: HashMap<u64, [u32; 2], ByHash> = HashMap::default();
        let mut held: Vec<(Side, RecordBatch, Vec<u128>)> = Vec::new();
        for opened in &self.prepared.sides {
            self.stage("counting suspects of");
            let want = Want { columns: columns.clone(), hashed: true, bounded: self.options.shortcuts.statistics, ..Want::default() };
            let plan = scan(self.prepared, opened, &want).await?;
            let hasher = SideHasher::new(opened.side, self.prepared, self.seed, &plan.schema());
            let (tags, held_bytes, types) = (tags.clone(), held_bytes.clone(), opened.schema.clone());
            let add = move |state: &mut Counted, batch: RecordBatch| {
                let batch = hasher.inside(&batch)?.unwrap_or(batch);
                let keys = hasher.hash(&batch, false)?.keys;
                let Some((batch, keys)) = chosen(&batch, &keys, &tags)? else { return Ok(()) };
                let batch = plain(&batch, &types)?;
                keys.iter().for_each(|key| *state.counts.entry(tag_of(*key)).or_default() += 1);
                let bytes = held_bytes.fetch_add(bytes_of(&batch), Ordering::Relaxed);
                if bytes <= room {
                    state.held.push((batch, keys))
                } else {
                    state.held.clear()
                }
                Ok::<_, DataFusionError>(())
            };
            let (parts, stage) = fold("count", opened.side, plan, self.context.clone(), self.progress, Counted::default, add).await?;
            self.stages.push(stage);
            for part in parts {
                for (tag, rows) in part.counts {
                    let count = &mut counts.entry(tag).or_default()[opened.side.index()];
                    *count = count.saturating_add(rows);
                }
                held.extend(part.held.into_iter().map(|(batch, keys)| (opened.side, batch, keys)));
            }
        }
        let one_sided = counts.iter().filter(|(_, rows)| rows.contains(&0));
        let one_sided_rows: u64 = one_sided.clone().map(|(_, rows)| u64::from(rows[0]) + u64::from(rows[1])).sum();
        let one_sided = Arc::new(Tags::new(one_sided.map(|(tag, _)| *tag)));
        let both = counts.iter().filter(|(_, rows)| !rows.contains(&0));
        let both_rows: u64 = both.clone().map(|(_, rows)| u64::from(rows[0]) + u64::from(rows[1])).sum();
        let both = Arc::new(Tags::new(both.map(|(tag, _)| *tag)));
        drop(counts);
        if one_sided.len() > 0 {
            if held_bytes.load(Ordering::Relaxed) <= room {
                let mut store = Store::new(one_sided_rows, 64, self.options.memory_bytes);
                for (side, batch, keys) in held {
                    if let Some((batch, keys)) = chosen(&batch, &keys, &one_sided).map_err(Error::engine("settling what differs"))? {
                        store.push(side, batch, &keys)?;
                    }
                }
                self.settle_store(screened, &columns, store, found)?;
            } else {
                drop(held);
                self.settle(screened, "keys of one side", &columns, Choice::of(one_sided), one_sided_rows, found).await?;
            }
        }
        if both.len() > 0 {
            let columns: Vec<usize> = (0..self.prepared.paired.len()).collect();
            self.settle(screened, "rows", &columns, Choice::of(both), both_rows, found).await?;
        }
        Ok(())
    }

    /// Fetches the chosen rows of both sides and settles them.
    async fn settle(
        &mut self,
        screened: &Screened,
        name: &'static str,
        columns: &[usize],
        choice: Choice,
        rows: u64,
        found: &mut Localised,
    ) -> Result<()> {
        let row_bytes = 16 * columns.len() as u64 + 64;
        let store = Arc::new(Mutex::new(Store::new(rows, row_bytes, self.options.memory_bytes)));
        for opened in &self.prepared.sides {
            if let Choice::Of { near: Some(near), .. } = &choice
                && near[opened.side.index()].is_empty()
            {
                continue;
            }
            self.stage("localising");
            let plan = self.fetch_plan(opened, columns, &choice).await?;
            let hasher = SideHasher::new(opened.side, self.prepared, self.seed, &plan.schema());
            let (choice, store, side, types) = (choice.clone(), store.clone(), opened.side, opened.schema.clone());
            let add = move |(): &mut (), batch: RecordBatch| {
                let batch = hasher.inside(&batch)?.unwrap_or(batch);
                let keys = hasher.hash(&batch, false)?.keys;
                let chosen = match &choice {
                    Choice::All => Some((batch, keys)),
                    Choice::Of { tags, .. } => chosen(&batch, &keys, tags)?,
                };
                let Some((batch, keys)) = chosen else { return Ok(()) };
                let batch = plain(&batch, &types)?;
                // A poisoned lock means that another reader panicked, and then its error is what is reported.
                store.lock().unwrap_or_else(PoisonError::into_inner).push(side, batch, &keys).map_err(through_engine)
            };
            let (_, stage) = fold(name, opened.side, plan, self.context.clone(), self.progress, || (), add).await?;
            self.stages.push(stage);
        }
        let store = Arc::into_inner(store)
            .ok_or_else(|| Error::engine("settling what differs")(DataFusionError::Internal("a reader is still running".to_string())))?;
        self.settle_store(screened, columns, store.into_inner().unwrap_or_else(PoisonError::into_inner), found)
    }

    async fn fetch_plan(
        &self,
        opened: &Opened,
        columns: &[usize],
        choice: &Choice,
    ) -> Result<Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
        let (filter, near) = match choice {
            Choice::Of { tags, near } => {
                let near = near.as_ref().filter(|_| self.options.shortcuts.statistics);
                let near = near.and_then(|near| near[opened.side.index()].predicate(self.prepared, opened));
                (Some(suspect(self.prepared, opened.side, self.seed, tags)), near)
            }
            Choice::All => (None, None),
        };
        let bounded = self.options.shortcuts.statistics;
        scan(self.prepared, opened, &Want { columns: columns.to_vec(), hashed: true, bounded, filter, near, ..Want::default() }).await
    }

    fn settle_store(&self, screened: &Screened, columns: &[usize], store: Store, found: &mut Localised) -> Result<()> {
        let groups = store.into_groups()?;
        let nameless = Nameless { keys: nameless_keys(screened), seed: self.seed };
        self.progress.stage(&format!("settling {}", self.prepared.stream.name), Some(groups.len() as u64));
        // Groups that come from disk are as large as may be held.
        let workers = if groups.is_spilled() { 1 } else { self.options.threads.clamp(1, MOST_SETTLING).min(groups.len()) };
        let groups = Mutex::new(groups);
        let settle = |found: &mut Localised| -> Result<()> {
            loop {
                // A poisoned lock means that another worker panicked, and then that is what is reported.
                let Some(batches) = groups.lock().unwrap_or_else(PoisonError::into_inner).next()? else { return Ok(()) };
                let gathered = Gathered::new(self.prepared, columns, batches).map_err(engine)?;
                Settle::new(self.prepared, screened.windowing, self.shower, gathered, &nameless, self.options.max_findings)?.run(found)?;
                found.differences.narrow();
                self.progress.advance(1);
            }
        };
        if workers < 2 {
            return settle(found);
        }
        let parts = std::thread::scope(|scope| {
            let settle = &settle;
            let started: Vec<_> =
                (0..workers).map(|_| found.part(workers)).map(|mut part| scope.spawn(move || settle(&mut part).map(|()| part))).collect();
            started.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for part in parts {
            let gave_up = |_| engine(DataFusionError::Execution("settling what differs gave up".to_string()));
            found.absorb(part.map_err(gave_up)??)?;
        }
        Ok(())
    }
}

/// Which of the rows that were read are wanted.
#[derive(Clone)]
enum Choice {
    /// Rows of keys with these tags, on each side where they are said to lie.
    Of {
        tags: Arc<Tags>,
        near: Option<Arc<[Near; 2]>>,
    },
    All,
}

impl Choice {
    fn of(tags: Arc<Tags>) -> Self {
        Self::Of { tags, near: None }
    }
}

/// A set of tags.
type TagSet = HashSet<u64, ByHash>;

/// What is left over of a key on each side: rows, and those whose values are held.
#[derive(Debug, Clone, Copy, Default)]
struct LeftKey {
    rows: [u32; 2],
    held: [u32; 2],
    fate: Fate,
}

/// How a key is settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Fate {
    /// By rows that are fetched, or in another way.
    #[default]
    Fetched,
    /// By the rows that are left over, since there are no others: those of one side or of both, whose values are held or not.
    Settled { one_sided: bool, is_held: bool },
}

/// Adds the rows of tagged keys to their counts.
fn count_tagged(tags: &Tags, keys: &[u128], counts: &mut [u32]) {
    for key in keys.iter().filter(|key| tags.may_contain(**key)) {
        if let Some(count) = tags.position(tag_of(*key)).and_then(|at| counts.get_mut(at)) {
            *count = count.saturating_add(1);
        }
    }
}

fn add_counts(all: &mut [u32], some: &[u32]) {
    all.iter_mut().zip(some).for_each(|(all, some)| *all = all.saturating_add(*some));
}

impl Held {
    /// The rows of some keys, with those.
    fn of(&self, chosen: impl Fn(&u128) -> bool) -> Result<Option<(RecordBatch, Vec<u128>)>> {
        let mask: BooleanArray = self.keys.iter().map(|key| Some(chosen(key))).collect();
        if mask.true_count() == 0 {
            return Ok(None);
        }
        let keys = self.keys.iter().zip(mask.values()).filter(|(_, chosen)| *chosen).map(|(key, _)| *key).collect();
        Ok(Some((filter_record_batch(&self.batch, &mask).map_err(|e| engine(e.into()))?, keys)))
    }
}

/// Whether equal values of two types are shown as the same text.
fn shown_alike(a: Option<DataType>, b: Option<DataType>) -> bool {
    let form = |data_type: Option<DataType>| match data_type? {
        data_type if data_type.is_integer() => Some(DataType::Int64),
        DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::LargeBinary | DataType::BinaryView => Some(DataType::Binary),
        other => Some(other),
    };
    form(a) == form(b)
}

fn engine(error: DataFusionError) -> Error {
    Error::engine("settling what differs")(error)
}

/// Rows with their checksums.
type Fetched = Vec<(RecordBatch, Hashed)>;

/// How many rows a side holds of each of some tagged keys, in their order, and some of them whole; `None` where these are too many.
struct Counts {
    rows: Vec<u32>,
    whole: Option<Fetched>,
}

/// What one reader of the counting pass has seen.
#[derive(Default)]
struct Counted {
    counts: HashMap<u64, u32, ByHash>,
    held: Vec<(RecordBatch, Vec<u128>)>,
}

/// The rows of a batch whose keys are tagged, with those keys.
fn chosen(batch: &RecordBatch, keys: &[u128], tags: &Tags) -> Result<Option<(RecordBatch, Vec<u128>)>, DataFusionError> {
    let mask = BooleanArray::new(BooleanBuffer::collect_bool(keys.len(), |row| tags.contains(keys[row])), None);
    match mask.true_count() {
        0 => Ok(None),
        all if all == keys.len() => Ok(Some((batch.clone(), keys.to_vec()))),
        _ => {
            let kept = keys.iter().copied().filter(|key| tags.contains(*key)).collect();
            Ok(Some((filter_record_batch(batch, &mask)?, kept)))
        }
    }
}
