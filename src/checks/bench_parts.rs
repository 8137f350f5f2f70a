//! Doors for `benches/parts.rs`: the parts of the first pass that are hidden from everybody else, to be timed alone.
//!
//! No interface: nothing in the product uses this module, and it changes with the parts.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use tokio::sync::mpsc::channel;

use super::align::{Alignment, Lane, LeftOver, Piece, Remains};
use super::buckets::{Buckets, Position};
use super::hashing::{Locality, SideHasher};
use super::sketch::Sketch;
use crate::domain::{Fingerprint, Seed, Side};
use crate::staging::Prepared;

/// One table.
#[derive(Debug, Clone)]
pub struct SketchPart(Sketch);

impl SketchPart {
    pub fn new(third: usize) -> Self {
        Self(Sketch::new(third))
    }

    pub fn add(&mut self, side: Side, rows: &[Fingerprint], keys: &[Fingerprint]) {
        for (row, key) in rows.iter().zip(keys) {
            match side {
                Side::Original => self.0.add::<false>(*row, *key),
                Side::Backfill => self.0.add::<true>(*row, *key),
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    pub fn peel(self) -> Option<Vec<u64>> {
        self.0.peel()
    }
}

/// Tables by position.
#[derive(Debug, Clone)]
pub struct BucketsPart(Buckets);

impl BucketsPart {
    pub fn new(most: usize) -> Self {
        Self(Buckets::new(most, false))
    }

    pub fn add(&mut self, side: Side, positions: &[Position], rows: &[Fingerprint], keys: &[Fingerprint]) {
        self.0.add(side, positions, rows, keys);
    }

    /// The tags of the keys that differ; `None` if a bucket does not name its own.
    pub fn peel(self) -> Option<Vec<u64>> {
        let peeled = self.0.peel();
        (peeled.failed.is_empty() && peeled.one_sided.is_empty()).then_some(peeled.tags)
    }
}

/// Two readers side by side.
#[derive(Debug)]
pub struct PairingPart(Arc<Alignment>);

/// Batches of a side with the checksums of their rows.
#[derive(Debug)]
pub struct Pieces(Vec<Piece>);

impl PairingPart {
    /// For a stream whose sides both have the schema.
    pub fn new(prepared: &Prepared, schema: &arrow::datatypes::SchemaRef, memory_bytes: u64) -> Self {
        let locality = Locality::of(prepared);
        let hasher = |side: Side| SideHasher::new(side, prepared, &Seed::default(), schema);
        Self(Arc::new(Alignment {
            hashers: [hasher(Side::Original), hasher(Side::Backfill)],
            types: [schema.clone(), schema.clone()],
            columns: prepared.paired.len(),
            ordered: Alignment::is_ordered(locality),
            sketch: (64, locality == Locality::Key),
            memory_bytes,
            lanes: 1,
            pruned: true,
        }))
    }

    pub fn pieces(&self, side: Side, batches: &[RecordBatch]) -> Result<Pieces> {
        let hasher = &self.0.hashers[side.index()];
        let piece = |batch: &RecordBatch| Ok(Piece { batch: batch.clone(), rows: hasher.hash_rows(batch)?.rows });
        Ok(Pieces(batches.iter().map(piece).collect::<Result<_>>()?))
    }

    /// Pairs the rows; how many are left over of each side, or `None` where they were too many to list.
    pub async fn run(&self, sides: [Pieces; 2]) -> Result<Option<[u64; 2]>> {
        let readers = sides.map(|Pieces(pieces)| {
            let (to, from) = channel(pieces.len().max(1));
            // As many as there is room for, so that none is refused.
            pieces.into_iter().for_each(|piece| drop(to.try_send(piece)));
            from
        });
        let lane = Lane::new(self.0.clone()).run(readers).await.map_err(|(_, error)| error)?;
        let mut left = LeftOver::new(self.0.clone());
        left.merge(lane)?;
        Ok(match left.remains()? {
            Remains::Listed(list, _) => {
                let mut counts = [0; 2];
                for (side, copies) in list.iter().map(|left| left.surplus()) {
                    counts[side.index()] += u64::from(copies);
                }
                Some(counts)
            }
            Remains::Peeled(_) => None,
        })
    }
}

impl Pieces {
    /// The same once more: pairing uses them up.
    pub fn copy(&self) -> Self {
        Self(self.0.iter().map(|Piece { batch, rows }| Piece { batch: batch.clone(), rows: rows.clone() }).collect())
    }
}
