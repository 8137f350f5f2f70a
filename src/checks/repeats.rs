//! Keys that come more than once, in memory that does not hold them all.
//!
//! Where keys rise with their rows, runs tell where a key may come twice ([`super::ascents`]), mostly nowhere. Elsewhere every key sets one bit
//! of a first map, while the sides are screened or in a pass of its own; a key that finds its bit set sets one of a second
//! map. With sixteen bits a row, one key in sixteen finds a bit that another one set. A pass over the key columns alone then
//! holds the keys that lie where runs overlap, or whose second bit is set, sorts them, and knows those that really come again. Nothing is decided by
//! runs or maps: a key that comes twice always lies in an overlap, and always has its second bit set.
//!
//! They are needed where a sketch cannot help: for one side alone, for a `fill` (where a key on both sides is what is
//! looked for), and for copies that both sides hold alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;

use super::ascents::KeyOrder;
use super::hashing::SideHasher;
use super::reading::{MOST_RANGES, Near, Want, fold, scan};
use super::sketch::tag_of;
use super::untold::UntoldColumns;
use crate::domain::{Fingerprint, Intervals, Seed, Side};
use crate::error::Result;
use crate::findings::StageRecord;
use crate::job::RunOptions;
use crate::progress::Progress;
use crate::source::Opened;
use crate::staging::Prepared;

/// Bits of the maps for each row.
const BITS_A_ROW: u64 = 16;
/// Assumed where nobody knows the number of rows.
const UNKNOWN_ROWS: u64 = 1 << 25;

/// Two bits for each hash of a key: seen, and seen again. Shared by all readers.
#[derive(Debug)]
pub(super) struct Repeats {
    seen: Vec<AtomicU64>,
    again: Vec<AtomicU64>,
    /// The sides whose keys are counted together.
    sides: Vec<Side>,
}

impl Repeats {
    /// Maps for about so many rows, within a share of the memory budget.
    pub(super) fn new(sides: Vec<Side>, rows: Option<u64>, memory_bytes: u64) -> Self {
        let wanted = rows.unwrap_or(UNKNOWN_ROWS).max(4_096).saturating_mul(BITS_A_ROW);
        // Both maps together take an eighth of the budget at most.
        let affordable = (memory_bytes / 16 * 8).max(1 << 16);
        let bits = wanted.min(affordable).next_power_of_two() / if wanted > affordable { 2 } else { 1 };
        let words = usize::try_from(bits / 64).unwrap_or(1 << 10).max(1);
        let map = || (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { seen: map(), again: map(), sides }
    }

    fn place(&self, key: Fingerprint) -> (usize, u64) {
        let hash = (key >> 64) as u64;
        ((hash >> 6) as usize & (self.seen.len() - 1), 1 << (hash & 63))
    }

    /// True when the keys of a side are counted here.
    pub(super) fn counts(&self, side: Side) -> bool {
        self.sides.contains(&side)
    }

    /// Counts the keys of some rows.
    pub(super) fn add(&self, keys: &[Fingerprint]) {
        for key in keys {
            let (word, bit) = self.place(*key);
            if self.seen[word].fetch_or(bit, Ordering::Relaxed) & bit != 0 {
                self.again[word].fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    fn may_repeat(&self, key: Fingerprint) -> bool {
        let (word, bit) = self.place(key);
        self.again[word].load(Ordering::Relaxed) & bit != 0
    }

    fn is_clear(&self) -> bool {
        self.again.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }
}

/// Where to look for keys that come more than once.
#[derive(Debug)]
pub(super) enum Sought {
    /// Where these maps say.
    Mapped(Repeats),
    /// In these ranges of keys in an order.
    Within(Vec<Side>, KeyOrder, Intervals),
    /// Anywhere on these sides.
    Anywhere(Vec<Side>),
}

/// Which keys a reader keeps.
enum Candidates {
    Mapped(Repeats),
    Within(KeyOrder, Intervals),
}

/// Looks for keys that come more than once.
pub(super) struct Search<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) options: &'a RunOptions,
    pub(super) seed: &'a Seed,
    pub(super) context: &'a Arc<TaskContext>,
    pub(super) progress: &'a Progress,
    pub(super) stages: &'a mut Vec<StageRecord>,
}

impl Search<'_> {
    /// The tags of the keys that come more than once, and where their rows lie, if that is known; `None` if there are more than `most`.
    ///
    /// # Errors
    /// A side could not be read again.
    pub(super) async fn run(&mut self, sought: Sought, most: usize) -> Result<Option<(Vec<u64>, Option<Near>)>> {
        let (candidates, sides, near) = match sought {
            Sought::Mapped(repeats) if repeats.is_clear() => return Ok(Some((Vec::new(), None))),
            Sought::Within(_, _, keys) if keys.is_empty() => return Ok(Some((Vec::new(), None))),
            Sought::Mapped(repeats) => {
                let sides = repeats.sides.clone();
                (Candidates::Mapped(repeats), sides, None)
            }
            Sought::Anywhere(sides) => (Candidates::Mapped(self.map(&sides).await?), sides, None),
            Sought::Within(sides, order, keys) => {
                let near = Near::within(order.leading(), order.leading_ranges(&keys, MOST_RANGES));
                (Candidates::Within(order, keys), sides, Some(near))
            }
        };
        let tags = self.settle(Arc::new(candidates), &sides, near.as_ref(), most).await?;
        Ok(tags.map(|tags| (tags, near)))
    }

    /// Fills the maps in a pass over the key columns.
    async fn map(&mut self, sides: &[Side]) -> Result<Repeats> {
        let rows = self.prepared.sides.iter().filter(|opened| sides.contains(&opened.side)).map(|opened| opened.rows_hint);
        let maps = Arc::new(Repeats::new(sides.to_vec(), rows.sum(), self.options.memory_bytes));
        for opened in self.prepared.sides.iter().filter(|opened| sides.contains(&opened.side)) {
            let plan = scan(self.prepared, opened, &self.want(opened, None)).await?;
            let hasher = SideHasher::new(opened.side, self.prepared, self.seed, &plan.schema());
            let (maps, (untold, key)) = (maps.clone(), self.known(opened));
            self.progress.stage(&format!("mapping keys of {} {}", self.prepared.stream.name, opened.side), opened.rows_hint);
            let add = move |(): &mut (), batch| {
                let batch = untold.named(hasher.inside(&batch)?.unwrap_or(batch), &key)?;
                maps.add(&hasher.hash(&batch, false)?.keys);
                Ok(())
            };
            let (_, stage) = fold("keys", opened.side, plan, self.context.clone(), self.progress, || (), add).await?;
            self.stages.push(stage);
        }
        Arc::into_inner(maps)
            .ok_or_else(|| crate::error::Error::engine("mapping keys")(DataFusionError::Internal("a reader is still running".to_string())))
    }

    /// The key, and what says which rows lie inside the bounds.
    fn want(&self, opened: &Opened, near: Option<&Near>) -> Want {
        let mut columns = self.prepared.identity();
        columns.extend(self.prepared.time.filter(|time| !columns.contains(time) && !self.prepared.stream.bounds.is_open()));
        let bounded = self.options.shortcuts.statistics;
        let near = near.filter(|_| bounded).and_then(|near| near.predicate(self.prepared, opened));
        Want { columns, untold: true, hashed: true, bounded, near, ..Want::default() }
    }

    /// Rows whose key cannot be told come neither once nor twice.
    fn known(&self, opened: &Opened) -> (UntoldColumns, Vec<usize>) {
        let key = if self.prepared.key.is_some() { self.prepared.identity() } else { Vec::new() };
        (UntoldColumns::of(self.prepared, opened), key)
    }

    async fn settle(&mut self, candidates: Arc<Candidates>, sides: &[Side], near: Option<&Near>, most: usize) -> Result<Option<Vec<u64>>> {
        let room = usize::try_from(self.options.memory_bytes / 8 / 8).unwrap_or(1 << 20).max(1 << 12);
        let mut slices: u64 = 1;
        'again: loop {
            let mut tags: Vec<u64> = Vec::new();
            let count = slices;
            for slice in 0..count {
                let mut kept: Vec<u64> = Vec::new();
                let held = Arc::new(AtomicUsize::new(0));
                for opened in self.prepared.sides.iter().filter(|opened| sides.contains(&opened.side)) {
                    let plan = scan(self.prepared, opened, &self.want(opened, near)).await?;
                    let hasher = SideHasher::new(opened.side, self.prepared, self.seed, &plan.schema());
                    let (candidates, held, (untold, key)) = (candidates.clone(), held.clone(), self.known(opened));
                    let stage = format!("looking for repeated keys in {} {}", self.prepared.stream.name, opened.side);
                    self.progress.stage(&stage, opened.rows_hint);
                    let add = move |kept: &mut Vec<u64>, batch| {
                        let batch = untold.named(hasher.inside(&batch)?.unwrap_or(batch), &key)?;
                        let before = kept.len();
                        for key in candidates.among(&hasher, batch)? {
                            if (key >> 96) as u64 % count == slice {
                                kept.push(key as u64);
                            }
                        }
                        held.fetch_add(kept.len() - before, Ordering::Relaxed);
                        if held.load(Ordering::Relaxed) > room {
                            Err(DataFusionError::ResourcesExhausted(TOO_MANY.to_string()))
                        } else {
                            Ok(())
                        }
                    };
                    match fold("repeats", opened.side, plan, self.context.clone(), self.progress, Vec::new, add).await {
                        Ok((parts, stage)) => {
                            parts.into_iter().for_each(|part| kept.extend(part));
                            self.stages.push(stage);
                        }
                        Err(crate::error::Error::OutOfMemory { problem, .. }) if problem == TOO_MANY => {
                            if slices >= 1 << 12 {
                                return Ok(None);
                            }
                            slices *= 4;
                            continue 'again;
                        }
                        Err(error) => return Err(error),
                    }
                }
                kept.sort_unstable();
                tags.extend(kept.chunk_by(|a, b| a == b).filter(|chunk| chunk.len() > 1).map(|chunk| tag_of(u128::from(chunk[0]))));
                if tags.len() > most {
                    return Ok(None);
                }
            }
            return Ok(Some(tags));
        }
    }
}

impl Candidates {
    /// The checksums of those keys of a batch that may come more than once.
    fn among(&self, hasher: &SideHasher, batch: RecordBatch) -> Result<Vec<Fingerprint>, DataFusionError> {
        match self {
            Self::Mapped(maps) => {
                let mut keys = hasher.hash(&batch, false)?.keys;
                keys.retain(|key| maps.may_repeat(*key));
                Ok(keys)
            }
            Self::Within(order, ranges) => {
                // A NULL here would have been seen before; keeping all is right whatever comes.
                let Some(numbers) = order.numbers(hasher, &batch)? else { return Ok(hasher.hash(&batch, false)?.keys) };
                let inside: BooleanArray = numbers.iter().map(|number| Some(ranges.contains(*number))).collect();
                if inside.true_count() == 0 {
                    return Ok(Vec::new());
                }
                Ok(hasher.hash(&filter_record_batch(&batch, &inside)?, false)?.keys)
            }
        }
    }
}

/// What a reader says when the candidates outgrow their share of memory: then they are looked at in more slices.
const TOO_MANY: &str = "too many repeated keys for one slice";

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn every_key_that_repeats_is_a_candidate_and_few_others_are() {
        let mut rng = StdRng::seed_from_u64(11);
        let repeats = Repeats::new(vec![Side::Original], Some(100_000), 1 << 30);
        let keys: Vec<u128> = (0..100_000).map(|_| rng.random()).collect();
        repeats.add(&keys);
        repeats.add(&keys[..500]);
        assert!(keys[..500].iter().all(|key| repeats.may_repeat(*key)));
        let others = keys[500..].iter().filter(|key| repeats.may_repeat(**key)).count();
        assert!(others < 12_000, "{others}");
    }

    #[test]
    fn a_small_budget_makes_small_maps() {
        let repeats = Repeats::new(vec![Side::Original], Some(1 << 40), 64 << 20);
        assert!(repeats.seen.len() * 16 <= 8 << 20, "{}", repeats.seen.len());
    }
}
