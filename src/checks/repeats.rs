//! Keys that come more than once, in memory that does not hold them all.
//!
//! While the sides are screened, every key sets one bit of a first map; a key that finds its bit set sets one of a second
//! map. With sixteen bits a row, one key in sixteen finds a bit that another one set, so a pass over the key columns alone then
//! holds the keys whose second bit is set, sorts them, and knows those that really come again. Nothing is decided by the maps:
//! a key that comes twice always has its second bit set.
//!
//! They are needed where a sketch cannot help: for one side alone, for a `fill` (where a key on both sides is what is
//! looked for), and for copies that both sides hold alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;

use super::hashing::SideHasher;
use super::reading::{Want, fold, scan};
use super::sketch::tag_of;
use crate::domain::{Fingerprint, Seed, Side};
use crate::error::Result;
use crate::findings::StageRecord;
use crate::job::RunOptions;
use crate::progress::Progress;
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

/// The tags of the keys that come more than once; `None` if there are more than `most`.
///
/// # Errors
/// A side could not be read again.
pub(super) async fn repeated(
    prepared: &Prepared,
    repeats: Repeats,
    options: &RunOptions,
    most: usize,
    seed: &Seed,
    context: Arc<TaskContext>,
    progress: &Progress,
) -> Result<(Option<Vec<u64>>, Vec<StageRecord>)> {
    let mut stages = Vec::new();
    if repeats.is_clear() {
        return Ok((Some(Vec::new()), stages));
    }
    let repeats = Arc::new(repeats);
    let room = usize::try_from(options.memory_bytes / 8 / 8).unwrap_or(1 << 20).max(1 << 12);
    let mut slices: u64 = 1;
    'again: loop {
        let mut tags: Vec<u64> = Vec::new();
        let count = slices;
        for slice in 0..count {
            let mut candidates: Vec<u64> = Vec::new();
            let held = Arc::new(AtomicUsize::new(0));
            for opened in prepared.sides.iter().filter(|opened| repeats.counts(opened.side)) {
                let mut columns = prepared.identity();
                columns.extend(prepared.time.filter(|time| !columns.contains(time) && !prepared.stream.bounds.is_open()));
                let plan =
                    scan(prepared, opened, &Want { columns, hashed: true, bounded: options.shortcuts.statistics, ..Want::default() })
                        .await?;
                let hasher = SideHasher::new(opened.side, prepared, seed, &plan.schema());
                let (maps, held) = (repeats.clone(), held.clone());
                progress.stage(&format!("looking for repeated keys in {} {}", prepared.stream.name, opened.side), opened.rows_hint);
                let add = move |kept: &mut Vec<u64>, batch| {
                    let batch = hasher.inside(&batch)?.unwrap_or(batch);
                    let before = kept.len();
                    for key in hasher.hash(&batch, false)?.keys {
                        if (key >> 96) as u64 % slices == slice && maps.may_repeat(key) {
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
                match fold("repeats", opened.side, plan, context.clone(), progress, Vec::new, add).await {
                    Ok((parts, stage)) => {
                        parts.into_iter().for_each(|part| candidates.extend(part));
                        stages.push(stage);
                    }
                    Err(crate::error::Error::OutOfMemory { problem, .. }) if problem == TOO_MANY => {
                        if slices >= 1 << 12 {
                            return Ok((None, stages));
                        }
                        slices *= 4;
                        continue 'again;
                    }
                    Err(error) => return Err(error),
                }
            }
            candidates.sort_unstable();
            tags.extend(candidates.chunk_by(|a, b| a == b).filter(|chunk| chunk.len() > 1).map(|chunk| tag_of(u128::from(chunk[0]))));
            if tags.len() > most {
                return Ok((None, stages));
            }
        }
        return Ok((Some(tags), stages));
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
