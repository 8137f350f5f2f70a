//! Which rows are looked at again, and how they are fetched.
//!
//! ```text
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

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{BooleanArray, UInt32Array};
use arrow::compute::{cast, filter_record_batch, take};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::prelude::Expr;

use super::buckets::Places;
use super::hashing::{Locality, SideHasher};
use super::reading::{Want, fold, near, scan};
use super::repeats::repeated;
use super::screen::Screened;
use super::settle::{Gathered, Localised, Settle, canonical_order, trim};
use super::sketch::{ByHash, Sketch, Tags, tag_of};
use super::store::{Store, bytes_of, through_engine};
use super::suspect::suspect;
use crate::domain::{Mode, Seed, Side};
use crate::error::{Error, Result};
use crate::findings::StageRecord;
use crate::job::RunOptions;
use crate::progress::Progress;
use crate::source::Opened;
use crate::staging::{Prepared, Shower};

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
    /// The same, for filters that live in plans.
    shared: Arc<Prepared>,
    options: &'a RunOptions,
    seed: &'a Seed,
    shower: &'a Shower,
    context: Arc<TaskContext>,
    progress: &'a Progress,
    stages: Vec<StageRecord>,
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
    let shared = Arc::new(prepared.clone());
    let mut look = Look { prepared, shared, options, seed, shower, context, progress, stages: Vec::new() };
    let outcome = look.run(screened).await;
    screened.stages.append(&mut look.stages);
    outcome
}

impl Look<'_> {
    async fn run(&mut self, screened: &mut Screened) -> Result<Localised> {
        let mut found = Localised::default();
        if self.prepared.stream.mode == Mode::Single && self.prepared.key.is_none() {
            return Ok(found);
        }
        let columns: Vec<usize> = (0..self.prepared.paired.len()).collect();
        match self.suspects(screened).await? {
            Suspects::Tagged(tags) if tags.is_empty() => {}
            Suspects::Tagged(tags) if self.prepared.stream.mode == Mode::Replica && self.prepared.key.is_some() => {
                self.settle_tagged(screened, Tags::new(tags), &mut found).await?;
            }
            Suspects::Tagged(tags) => {
                let tags = Arc::new(Tags::new(tags));
                let rows = 2 * tags.len() as u64;
                self.settle(screened, "rows", &columns, Choice::Of(tags), rows, &mut found).await?;
            }
            Suspects::All => {
                let rows = screened.sides.iter().map(|side| side.rows()).sum();
                // Of keys that one side cannot hold, there is nothing to compare.
                let one_side = self.prepared.stream.mode == Mode::Replica
                    && self.prepared.key.is_some()
                    && screened.sides.iter().any(|side| side.rows() == 0);
                let columns = if one_side { self.key_columns() } else { columns };
                self.settle(screened, "rows", &columns, Choice::All, rows, &mut found).await?;
            }
        }
        trim(&mut found.differences, self.options.max_findings);
        found.differences.sort_by(|a, b| canonical_order(a).cmp(&canonical_order(b)));
        Ok(found)
    }

    /// Tags that may be held in memory at once.
    fn most_tags(&self) -> usize {
        usize::try_from(self.options.memory_bytes / 128).unwrap_or(usize::MAX).max(1 << 12)
    }

    /// The key, and what says where a row lies.
    fn key_columns(&self) -> Vec<usize> {
        let mut columns = self.prepared.identity();
        let roles = self.prepared.time.iter().chain(&self.prepared.series).copied();
        for place in roles.chain(Locality::of(self.prepared).place()) {
            if !columns.contains(&place) {
                columns.push(place);
            }
        }
        columns.sort_unstable();
        columns
    }

    /// Rows of a side that may lie in some buckets, as far as statistics are asked.
    fn near(&self, opened: &Opened, places: &Places) -> Option<Expr> {
        near(self.prepared, opened, places).filter(|_| self.options.shortcuts.statistics)
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
        if let Some(peeled) = screened.peeled.take() {
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
        if let Some(repeats) = screened.repeats.take() {
            let most = self.most_tags();
            let named = repeated(self.prepared, repeats, self.options, most, self.seed, self.context.clone(), self.progress);
            let (named, mut stages) = named.await?;
            self.stages.append(&mut stages);
            match named {
                Some(named) => tags.extend(named),
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
            let want =
                Want { columns: self.key_columns(), hashed: true, bounded: self.options.shortcuts.statistics, near, ..Want::default() };
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
        }
        Ok(tags)
    }

    /// Counts the rows of tagged keys on each side, settles those of one side by their keys alone, and fetches the others.
    async fn settle_tagged(&mut self, screened: &Screened, tags: Tags, found: &mut Localised) -> Result<()> {
        let tags = Arc::new(tags);
        let columns = self.key_columns();
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
                self.settle(screened, "keys of one side", &columns, Choice::Of(one_sided), one_sided_rows, found).await?;
            }
        }
        if both.len() > 0 {
            let columns: Vec<usize> = (0..self.prepared.paired.len()).collect();
            self.settle(screened, "rows", &columns, Choice::Of(both), both_rows, found).await?;
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
            self.stage("localising");
            let plan = self.fetch_plan(opened, columns, &choice).await?;
            let hasher = SideHasher::new(opened.side, self.prepared, self.seed, &plan.schema());
            let (choice, store, side, types) = (choice.clone(), store.clone(), opened.side, opened.schema.clone());
            let add = move |(): &mut (), batch: RecordBatch| {
                let batch = hasher.inside(&batch)?.unwrap_or(batch);
                let keys = hasher.hash(&batch, false)?.keys;
                let chosen = match &choice {
                    Choice::All => Some((batch, keys)),
                    Choice::Of(tags) => chosen(&batch, &keys, tags)?,
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
        let filter = match choice {
            Choice::Of(tags) => Some(suspect(&self.shared, opened.side, self.seed, tags)),
            Choice::All => None,
        };
        scan(
            self.prepared,
            opened,
            &Want { columns: columns.to_vec(), hashed: true, bounded: self.options.shortcuts.statistics, filter, ..Want::default() },
        )
        .await
    }

    fn settle_store(&self, screened: &Screened, columns: &[usize], store: Store, found: &mut Localised) -> Result<()> {
        let mut groups = store.into_groups()?;
        self.progress.stage(&format!("settling {}", self.prepared.stream.name), Some(groups.len() as u64));
        while let Some(batches) = groups.next()? {
            let gathered = Gathered::new(self.prepared, columns, batches).map_err(Error::engine("settling what differs"))?;
            Settle::new(self.prepared, screened.windowing, self.shower, gathered, self.options.max_findings)?.run(found);
            self.progress.advance(1);
        }
        Ok(())
    }
}

/// Which of the rows that were read are wanted.
#[derive(Clone)]
enum Choice {
    Of(Arc<Tags>),
    All,
}

/// What one reader of the counting pass has seen.
#[derive(Default)]
struct Counted {
    counts: HashMap<u64, u32, ByHash>,
    held: Vec<(RecordBatch, Vec<u128>)>,
}

/// The rows of a batch whose keys are tagged, with those keys.
fn chosen(batch: &RecordBatch, keys: &[u128], tags: &Tags) -> Result<Option<(RecordBatch, Vec<u128>)>, DataFusionError> {
    let mask: BooleanArray = keys.iter().map(|key| Some(tags.contains(*key))).collect();
    match mask.true_count() {
        0 => Ok(None),
        all if all == keys.len() => Ok(Some((batch.clone(), keys.to_vec()))),
        _ => {
            let kept = keys.iter().copied().filter(|key| tags.contains(*key)).collect();
            Ok(Some((filter_record_batch(batch, &mask)?, kept)))
        }
    }
}

/// Rows in the types in which their side is shown, in buffers of their own: a decoder's are made for a whole row group.
fn plain(batch: &RecordBatch, types: &Schema) -> Result<RecordBatch, DataFusionError> {
    let all = UInt32Array::from_iter_values(0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX));
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let shown = types.field_with_name(field.name())?;
        let column = take(column, &all, None)?;
        columns.push(if column.data_type() == shown.data_type() { column } else { cast(&column, shown.data_type())? });
        fields.push(Field::new(field.name(), shown.data_type().clone(), true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}
