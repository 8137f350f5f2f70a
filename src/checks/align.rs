//! Side by side: rows that both sides hold in the same order vanish in pairs while they are read, so that the first pass ends with
//! the rows that differ in hand, values and all.
//!
//! A copy mostly holds its rows in the order of its original. So both sides are read together, and the checksums of their
//! rows are held against each other like two lists of lines: where they agree, both go on; where they do not, a short look ahead finds
//! rows that were changed, lost or added; and where that fails, the side whose position is earlier goes on alone (as in a merge
//! join), which steps over a lost stretch of any length.
//!
//! ```text
//! original   a  b  c  d  e  f  g  h  i  j              pairs vanish: a b d e i j
//! backfill   a  b  x  d  e  i  j  e                    left over: +c −x   +f +g +h   −e
//! ```
//!
//! Rows without a partner are left over: added for the original, subtracted for the backfill, and added up by checksum, so a row that
//! comes later, or in another reader's part, still finds its partner. What is not zero in the end is the exact difference of the
//! two multisets of rows, as far as 128-bit checksums can tell. No order is assumed for that, only hoped for: where rows do not come in
//! one order, too many are left over at a time, and they go into the sketches of [`super::buckets`] instead, which take no
//! room for a row and lose nothing: both are sums.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use tokio::sync::mpsc::Receiver;

use super::buckets::{Buckets, Peeled, Position};
use super::hashing::{Locality, SideHasher};
use super::sketch::{ByHash, tag_of};
use super::store::{bytes_of, plain};
use crate::domain::{Fingerprint, Side};

/// How many rows of one side and of the other are skipped at most, together, to find two pairs in a row again.
const LOOK_AHEAD: usize = 8;
/// How far the longer look goes, where positions do not tell which side is behind.
const LOOK_FAR: usize = 512;
/// Rows without a partner, among so many, after which the order of the sides is taken to be different.
const TRIAL: u64 = 1 << 20;
/// Left-over rows that are remembered one by one, at most; each takes 40 bytes.
const MOST_LISTED: u64 = 1 << 21;
/// As many are listed before they are added up for the first time; later, twice as many as were left then.
const FIRST_LISTED: usize = 1 << 16;
/// Parts of the list, by the checksum of the row.
const PARTS: usize = 64;
/// Bytes of values that are kept for left-over rows, at most.
const MOST_HELD_BYTES: u64 = 16 << 20;
/// Pieces of so many left-over rows are the first to lose their values when room is short: they mostly come from a stretch that one side
/// lacks, or holds in another order.
const LARGE_PIECE: usize = 512;

/// Rows of a side with their checksums, in the order in which they are stored.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) batch: RecordBatch,
    pub(super) rows: Vec<Fingerprint>,
}

/// What both readers of a part share.
#[derive(Debug)]
pub(super) struct Alignment {
    /// How each side is hashed.
    pub(super) hashers: [SideHasher; 2],
    /// The types in which the values of each side are shown.
    pub(super) types: [SchemaRef; 2],
    /// How many columns are compared or have a role; those behind them are the outcomes of rules.
    pub(super) columns: usize,
    /// Whether positions tell which side is behind.
    pub(super) ordered: bool,
    /// The number of buckets, should it come to sketches, and whether they go by hashes.
    pub(super) sketch: (usize, bool),
    pub(super) memory_bytes: u64,
    /// How many readers share what may be held.
    pub(super) lanes: u64,
    /// Whether rows can be read again from where they lie, without reading everything.
    pub(super) pruned: bool,
}

impl Alignment {
    /// Whether the positions of a stream say which of two rows comes first.
    pub(super) fn is_ordered(locality: Locality) -> bool {
        locality != Locality::Key
    }
}

/// One side's pieces that wait for the other side.
#[derive(Debug, Default)]
struct Line {
    pieces: VecDeque<Waiting>,
    ended: bool,
}

#[derive(Debug)]
struct Waiting {
    piece: Piece,
    /// Rows that have found a partner, or were given up.
    done: usize,
    /// Rows that were given up.
    left: Vec<u32>,
    positions: Option<Vec<Position>>,
}

impl Line {
    fn push(&mut self, piece: Piece) {
        if !piece.rows.is_empty() {
            self.pieces.push_back(Waiting { piece, done: 0, left: Vec::new(), positions: None });
        }
    }

    fn head(&self) -> Option<&[Fingerprint]> {
        self.pieces.front().map(|waiting| &waiting.piece.rows[waiting.done..])
    }

    /// The row so many places behind the head.
    fn at(&self, mut ahead: usize) -> Option<Fingerprint> {
        for waiting in &self.pieces {
            let rest = &waiting.piece.rows[waiting.done..];
            match rest.get(ahead) {
                Some(row) => return Some(*row),
                None => ahead -= rest.len(),
            }
        }
        None
    }
}

/// A row that one side holds more often than the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// The checksum of the row in two halves, so that no room is lost to alignment.
    row: [u64; 2],
    /// The low half of the key's checksum.
    pub(super) key: u64,
    at: i64,
    /// How many times more the original holds it; negative for the backfill.
    pub(super) net: i32,
    placed: bool,
}

impl Left {
    /// The checksum of the row.
    pub(super) fn row(&self) -> Fingerprint {
        Fingerprint::from(self.row[0]) | Fingerprint::from(self.row[1]) << 64
    }

    /// The tag of its key.
    pub(super) fn tag(&self) -> u64 {
        tag_of(Fingerprint::from(self.key))
    }

    /// Where it lies.
    pub(super) fn position(&self) -> Position {
        self.placed.then_some(self.at)
    }

    /// The side that holds it more often, and by how many.
    pub(super) fn surplus(&self) -> (Side, u32) {
        (if self.net > 0 { Side::Original } else { Side::Backfill }, self.net.unsigned_abs())
    }
}

/// Values of left-over rows.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) side: Side,
    pub(super) batch: RecordBatch,
    pub(super) rows: Vec<Fingerprint>,
    pub(super) keys: Vec<Fingerprint>,
}

/// Rows that found no partner: those of one reader, or of several together.
#[derive(Debug)]
pub(super) struct LeftOver {
    alignment: Arc<Alignment>,
    /// What is listed, in parts that are added up by themselves.
    list: [Vec<Left>; PARTS],
    listed: usize,
    /// How many were left when they were last added up, and whether none came since.
    summed: (usize, bool),
    held: Vec<Held>,
    held_bytes: u64,
    /// Set once values were dropped altogether.
    lost: bool,
    /// Set once the rows were too many to list.
    buckets: Option<Buckets>,
}

/// What the first pass leaves for the second.
#[derive(Debug)]
pub(super) enum Remains {
    /// Exactly the rows that differ, and the values of as many as were kept.
    Listed(Vec<Left>, Vec<Held>),
    /// Too many to list, or in another order.
    Peeled(Peeled),
}

impl LeftOver {
    pub(super) fn new(alignment: Arc<Alignment>) -> Self {
        let list = [const { Vec::new() }; PARTS];
        Self { alignment, list, listed: 0, summed: (0, true), held: Vec::new(), held_bytes: 0, lost: false, buckets: None }
    }

    fn most(&self) -> usize {
        let affordable = self.alignment.memory_bytes / 16 / size_of::<Left>() as u64;
        usize::try_from((affordable.min(MOST_LISTED) / self.alignment.lanes.max(1)).max(1 << 8)).unwrap_or(1 << 8)
    }

    fn room(&self) -> u64 {
        (self.alignment.memory_bytes / 16).min(MOST_HELD_BYTES) / self.alignment.lanes.max(1)
    }

    /// Takes rows of a batch that found no partner.
    fn add(&mut self, side: Side, batch: &RecordBatch, rows: &[Fingerprint], left: Vec<u32>) -> Result<(), DataFusionError> {
        if left.is_empty() {
            return Ok(());
        }
        let all = left.len() == rows.len();
        let rows: Vec<Fingerprint> = if all { rows.to_vec() } else { left.iter().map(|row| rows[*row as usize]).collect() };
        let batch = if all { batch.clone() } else { take_record_batch(batch, &UInt32Array::from(left))? };
        let alignment = self.alignment.clone();
        let hasher = &alignment.hashers[side.index()];
        let keys = hasher.hash(&batch, false)?.keys;
        let positions = hasher.positions(&batch, &keys)?;
        if let Some(buckets) = &mut self.buckets {
            buckets.add(side, &positions, &rows, &keys);
            return Ok(());
        }
        let net = if side == Side::Original { 1 } else { -1 };
        for ((row, key), position) in rows.iter().zip(&keys).zip(&positions) {
            let row = [*row as u64, (*row >> 64) as u64];
            self.list_row(Left { row, key: *key as u64, at: position.unwrap_or(0), net, placed: position.is_some() });
        }
        self.hold(side, batch, rows, keys)?;
        if self.listed > self.most() {
            self.cancel();
            if self.listed > self.most() / 2 {
                self.pour();
            }
        } else if self.listed > FIRST_LISTED.max(2 * self.summed.0) {
            // Rows in another order find their partners soon, and memory that is touched for the first time costs more than a sort.
            self.cancel();
        }
        Ok(())
    }

    fn list_row(&mut self, left: Left) {
        let part = &mut self.list[left.row[1] as usize % PARTS];
        if part.len() == part.capacity() {
            // Less at a time than a vector would take by itself: there are many of them.
            part.reserve_exact((part.len() / 4).max(64));
        }
        part.push(left);
        self.listed += 1;
        self.summed.1 = false;
    }

    fn hold(&mut self, side: Side, batch: RecordBatch, rows: Vec<Fingerprint>, keys: Vec<Fingerprint>) -> Result<(), DataFusionError> {
        if self.lost {
            return Ok(());
        }
        let columns: Vec<usize> = (0..self.alignment.columns.min(batch.num_columns())).collect();
        let batch = plain(&batch.project(&columns)?, &self.alignment.types[side.index()])?;
        let held = Held { side, batch, rows, keys };
        self.held_bytes += held.bytes();
        self.held.push(held);
        if self.held_bytes > self.room() {
            self.make_room()?;
        }
        Ok(())
    }

    /// Large pieces go first, since they can be read again from few places; then rows that found their partner; then all.
    fn make_room(&mut self) -> Result<(), DataFusionError> {
        let enough = self.room() / 2;
        if !self.alignment.pruned {
            self.cancel();
            self.purge()?;
        }
        self.held.retain(|held| {
            let goes = self.held_bytes > enough && held.rows.len() >= LARGE_PIECE;
            if goes {
                self.held_bytes = self.held_bytes.saturating_sub(held.bytes());
            }
            !goes
        });
        if self.held_bytes <= enough {
            return Ok(());
        }
        self.cancel();
        self.purge()?;
        if self.held_bytes > self.room() {
            self.lost = true;
            self.held = Vec::new();
            self.held_bytes = 0;
        }
        Ok(())
    }

    /// Forgets values of rows that have found a partner. What is listed must have been added up.
    fn purge(&mut self) -> Result<(), DataFusionError> {
        self.held_bytes = 0;
        let mut kept = Wanted::default();
        for held in std::mem::take(&mut self.held) {
            let kept = &mut kept[held.side.index()];
            let list = &self.list;
            let held = held.only(|side, row, _| {
                let copies = copies_of(list, side, *row);
                copies > 0 && {
                    let kept = kept.entry(*row).or_default();
                    *kept += 1;
                    *kept <= copies
                }
            })?;
            if let Some(held) = held {
                self.held_bytes += held.bytes();
                self.held.push(held);
            }
        }
        Ok(())
    }

    /// Adds up what is listed, row by row.
    fn cancel(&mut self) {
        if self.summed.1 {
            return;
        }
        self.listed = 0;
        for part in &mut self.list {
            part.sort_unstable_by_key(|left| (left.row, left.placed, left.at));
            let mut kept = 0;
            let mut at = 0;
            while at < part.len() {
                let mut sum = part[at];
                let mut next = at + 1;
                while next < part.len() && part[next].row == sum.row {
                    sum.net = sum.net.saturating_add(part[next].net);
                    next += 1;
                }
                if sum.net != 0 {
                    part[kept] = sum;
                    kept += 1;
                }
                at = next;
            }
            part.truncate(kept);
            self.listed += kept;
        }
        self.summed = (self.listed, true);
    }

    /// From the list into sketches.
    fn pour(&mut self) {
        let (most, hashed) = self.alignment.sketch;
        let mut buckets = Buckets::new(most, hashed);
        for left in self.list.iter_mut().flat_map(std::mem::take) {
            let (side, copies) = left.surplus();
            for _ in 0..copies {
                buckets.add(side, &[left.position()], &[left.row()], &[Fingerprint::from(left.key)]);
            }
        }
        (self.listed, self.summed) = (0, (0, true));
        self.buckets = Some(buckets);
        self.held = Vec::new();
        self.held_bytes = 0;
        self.lost = true;
    }

    /// Adds what another reader was left with.
    pub(super) fn merge(&mut self, mut other: Self) -> Result<(), DataFusionError> {
        if self.buckets.is_some() || other.buckets.is_some() {
            for side in [&mut *self, &mut other] {
                if side.buckets.is_none() {
                    side.pour();
                }
            }
            match (&mut self.buckets, other.buckets) {
                (Some(mine), Some(theirs)) => mine.merge(theirs),
                (mine, theirs) => *mine = mine.take().or(theirs),
            }
            return Ok(());
        }
        if self.listed == 0 {
            (self.list, self.listed, self.summed) = (other.list, other.listed, other.summed);
        } else {
            for (mine, theirs) in self.list.iter_mut().zip(&mut other.list) {
                mine.append(theirs);
            }
            self.summed.1 = false;
        }
        self.cancel();
        self.lost |= other.lost;
        self.held.append(&mut other.held);
        self.held_bytes += other.held_bytes;
        if self.lost {
            self.held = Vec::new();
            self.held_bytes = 0;
        } else if self.held_bytes > self.room() * self.alignment.lanes.max(1) {
            self.make_room()?;
        }
        if self.listed > self.most() * usize::try_from(self.alignment.lanes.max(1)).unwrap_or(1) {
            self.pour();
        }
        Ok(())
    }

    /// Whatever differs.
    pub(super) fn remains(mut self) -> Result<Remains, DataFusionError> {
        if let Some(buckets) = self.buckets {
            return Ok(Remains::Peeled(buckets.peel()));
        }
        self.cancel();
        self.purge()?;
        let mut list = Vec::with_capacity(self.listed);
        self.list.iter_mut().for_each(|part| list.append(&mut std::mem::take(part)));
        Ok(Remains::Listed(list, self.held))
    }
}

/// How often a row of each side is wanted.
pub(super) type Wanted = [HashMap<Fingerprint, u32, ByHash>; 2];

/// The rows of a list, by the side that holds more of them.
pub(super) fn wanted_rows<'a>(list: impl IntoIterator<Item = &'a Left>) -> Wanted {
    let mut wanted = Wanted::default();
    for left in list {
        let (side, copies) = left.surplus();
        wanted[side.index()].insert(left.row(), copies);
    }
    wanted
}

/// How many times a side holds a row more often, of a list that was added up.
fn copies_of(list: &[Vec<Left>; PARTS], side: Side, row: Fingerprint) -> u32 {
    let row = [row as u64, (row >> 64) as u64];
    let part = &list[row[1] as usize % PARTS];
    let found = part.binary_search_by(|left| left.row.cmp(&row)).ok().map(|at| part[at].surplus());
    found.filter(|(of, _)| *of == side).map_or(0, |(_, copies)| copies)
}

impl Held {
    fn bytes(&self) -> u64 {
        bytes_of(&self.batch) + 32 * self.rows.len() as u64
    }

    /// Those rows that are wanted, by their side and the checksums of row and key.
    pub(super) fn only(self, mut wanted: impl FnMut(Side, &Fingerprint, &Fingerprint) -> bool) -> Result<Option<Self>, DataFusionError> {
        let sums = (0_u32..).zip(self.rows.iter().zip(&self.keys));
        let kept: Vec<u32> = sums.filter(|(_, (row, key))| wanted(self.side, row, key)).map(|(at, _)| at).collect();
        if kept.len() == self.rows.len() {
            return Ok(Some(self));
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let pick = |sums: &[Fingerprint]| kept.iter().map(|row| sums[*row as usize]).collect();
        let (rows, keys) = (pick(&self.rows), pick(&self.keys));
        let batch = plain(&take_record_batch(&self.batch, &UInt32Array::from(kept))?, &self.batch.schema())?;
        Ok(Some(Self { batch, rows, keys, ..self }))
    }
}

/// Two readers side by side.
#[derive(Debug)]
pub(super) struct Lane {
    alignment: Arc<Alignment>,
    lines: [Line; 2],
    left: LeftOver,
    paired: u64,
    unpaired: u64,
    /// Set once the sides turned out to be in different orders.
    apart: bool,
}

impl Lane {
    pub(super) fn new(alignment: Arc<Alignment>) -> Self {
        let left = LeftOver::new(alignment.clone());
        Self { alignment, lines: Default::default(), left, paired: 0, unpaired: 0, apart: false }
    }

    /// Pairs all rows of two readers, and gives back those that are left over.
    ///
    /// # Errors
    /// A left-over row could not be looked at, with its side.
    pub(super) async fn run(mut self, mut readers: [Receiver<Piece>; 2]) -> Result<LeftOver, (Side, DataFusionError)> {
        loop {
            if self.apart {
                return self.run_apart(readers).await;
            }
            for (line, reader) in self.lines.iter_mut().zip(&mut readers) {
                while line.pieces.is_empty() && !line.ended {
                    match reader.recv().await {
                        Some(piece) => line.push(piece),
                        None => line.ended = true,
                    }
                }
                // A look ahead should not end where a piece does.
                while line.pieces.len() == 1 && line.head().is_some_and(|rest| rest.len() < 4 * LOOK_AHEAD) && !line.ended {
                    match reader.try_recv() {
                        Ok(piece) => line.push(piece),
                        Err(_) => break,
                    }
                }
            }
            match [self.lines[0].pieces.is_empty(), self.lines[1].pieces.is_empty()] {
                [true, true] => return Ok(self.left),
                [true, false] => self.give_up(Side::Backfill, usize::MAX),
                [false, true] => self.give_up(Side::Original, usize::MAX),
                [false, false] => self.step(),
            }
            .map_err(|e| (Side::Original, e))?;
        }
    }

    /// Without a common order every row is left over, and both readers are taken as they come.
    async fn run_apart(mut self, [mut original, mut backfill]: [Receiver<Piece>; 2]) -> Result<LeftOver, (Side, DataFusionError)> {
        for side in [Side::Original, Side::Backfill] {
            while !self.lines[side.index()].pieces.is_empty() {
                self.give_up(side, usize::MAX).map_err(|e| (side, e))?;
            }
        }
        loop {
            let (side, piece) = tokio::select! {
                Some(piece) = original.recv() => (Side::Original, piece),
                Some(piece) = backfill.recv() => (Side::Backfill, piece),
                else => return Ok(self.left),
            };
            let all = (0..u32::try_from(piece.rows.len()).unwrap_or(0)).collect();
            self.left.add(side, &piece.batch, &piece.rows, all).map_err(|e| (side, e))?;
        }
    }

    /// Pairs rows as long as they agree, and gets past the place where they do not.
    fn step(&mut self) -> Result<(), DataFusionError> {
        let [Some(a), Some(b)] = [self.lines[0].head(), self.lines[1].head()] else { return Ok(()) };
        let agree = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let exhausted = agree == a.len().min(b.len());
        self.paired += agree as u64;
        self.advance(Side::Original, agree)?;
        self.advance(Side::Backfill, agree)?;
        if exhausted {
            return Ok(());
        }
        if let Some((a, b)) = self.near() {
            self.give_up(Side::Original, a)?;
            return self.give_up(Side::Backfill, b);
        }
        if self.unpaired > TRIAL && self.unpaired > 4 * self.paired {
            self.apart = true;
            return Ok(());
        }
        let [a, b] = [self.position(Side::Original)?, self.position(Side::Backfill)?];
        match (a, b) {
            (Some(a), Some(b)) if a < b => self.give_up_before(Side::Original, b),
            (Some(a), Some(b)) if b < a => self.give_up_before(Side::Backfill, a),
            _ => {
                let (a, b) = self.far();
                self.give_up(Side::Original, a)?;
                self.give_up(Side::Backfill, b)
            }
        }
    }

    /// The fewest rows to skip on either side until two pairs agree.
    fn near(&self) -> Option<(usize, usize)> {
        let [original, backfill] = &self.lines;
        let a: Vec<Option<Fingerprint>> = (0..=LOOK_AHEAD + 1).map(|ahead| original.at(ahead)).collect();
        let b: Vec<Option<Fingerprint>> = (0..=LOOK_AHEAD + 1).map(|ahead| backfill.at(ahead)).collect();
        (1..=LOOK_AHEAD).find_map(|skipped| {
            (0..=skipped).map(|from_a| (from_a, skipped - from_a)).find(|&(i, j)| {
                let pair = |by: usize| a.get(i + by).copied().flatten().zip(b.get(j + by).copied().flatten());
                pair(0).is_some_and(|(a, b)| a == b) && pair(1).is_none_or(|(a, b)| a == b)
            })
        })
    }

    /// The same further ahead; if nothing agrees there, all that was looked at.
    fn far(&self) -> (usize, usize) {
        let [original, backfill] = &self.lines;
        let ahead: HashMap<Fingerprint, usize, ByHash> =
            (0..LOOK_FAR).rev().filter_map(|at| backfill.at(at).map(|row| (row, at))).collect();
        let found = (0..LOOK_FAR).map_while(|at| original.at(at).map(|row| (at, row))).find_map(|(at, row)| {
            let other = *ahead.get(&row)?;
            let next = original.at(at + 1).zip(backfill.at(other + 1));
            next.is_none_or(|(a, b)| a == b).then_some((at, other))
        });
        found.unwrap_or((LOOK_FAR / 2, LOOK_FAR / 2))
    }

    fn position(&mut self, side: Side) -> Result<Position, DataFusionError> {
        if !self.alignment.ordered {
            return Ok(None);
        }
        let Some(waiting) = self.lines[side.index()].pieces.front_mut() else { return Ok(None) };
        let done = waiting.done;
        Ok(waiting.positions(&self.alignment.hashers[side.index()])?.get(done).copied().flatten())
    }

    /// Gives up rows of a side that lie before a position, as far as the piece at its head goes.
    fn give_up_before(&mut self, side: Side, other: i64) -> Result<(), DataFusionError> {
        let Some(waiting) = self.lines[side.index()].pieces.front_mut() else { return Ok(()) };
        let done = waiting.done;
        let positions = waiting.positions(&self.alignment.hashers[side.index()])?;
        let before = positions[done..].iter().take_while(|position| position.is_some_and(|at| at < other)).count();
        self.give_up(side, before.max(1))
    }

    /// Leaves over so many rows of a side, or those of the piece at its head, if it has fewer.
    fn give_up(&mut self, side: Side, count: usize) -> Result<(), DataFusionError> {
        let mut count = count;
        while count > 0 {
            let Some(waiting) = self.lines[side.index()].pieces.front_mut() else { return Ok(()) };
            let (done, rest) = (waiting.done, waiting.piece.rows.len() - waiting.done);
            let taken = rest.min(count);
            let range = u32::try_from(done).unwrap_or(u32::MAX)..u32::try_from(done + taken).unwrap_or(u32::MAX);
            waiting.left.extend(range);
            self.unpaired += taken as u64;
            self.advance(side, taken)?;
            if count == usize::MAX {
                return Ok(());
            }
            count -= taken;
        }
        Ok(())
    }

    /// So many rows of a side are done.
    fn advance(&mut self, side: Side, count: usize) -> Result<(), DataFusionError> {
        let line = &mut self.lines[side.index()];
        let mut count = count;
        while let Some(waiting) = line.pieces.front_mut() {
            let taken = count.min(waiting.piece.rows.len() - waiting.done);
            waiting.done += taken;
            count -= taken;
            if waiting.done < waiting.piece.rows.len() {
                return Ok(());
            }
            if let Some(Waiting { piece, left, .. }) = line.pieces.pop_front() {
                self.left.add(side, &piece.batch, &piece.rows, left)?;
            }
        }
        Ok(())
    }
}

impl Waiting {
    fn positions(&mut self, hasher: &SideHasher) -> Result<&[Position], DataFusionError> {
        let positions = match self.positions.take() {
            Some(positions) => positions,
            None => hasher.positions(&self.piece.batch, &[])?,
        };
        Ok(self.positions.insert(positions))
    }
}
