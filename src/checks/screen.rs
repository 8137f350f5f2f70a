//! The first pass: every row of every side, read once.
//!
//! From the one scan come, per series and window, row counts and checksums; the rows that one side holds and the other does not; the
//! spans of time and of sequence; the NULLs where none should be; and the rows that break a rule. Everything is held in partial
//! states that merge in any order, so the answer does not depend on threads, batches or files, and that follow windows, spans
//! and differences, never rows. Series that do not fit together are kept slice by slice ([`super::slices`]), and read once more for each.
//!
//! ```text
//! rows ──► bounds ──► checksums ─┬─► window checksum   (series × window)
//!                                ├─► pairs             (`align`: what finds no partner on the other side is left over)
//!                                └─► repeats           (keys that come twice, where that is asked)
//! ```

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use chrono_tz::Tz;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinSet;

use super::align::{Alignment, Lane, LeftOver, Piece, Remains};
use super::ascents::{KeyOrder, Rising};
use super::buckets::most_buckets;
use super::clock::Clock;
use super::extra::{Extra, ExtraPlan, Kept, settle_grids};
use super::grouping::Grouping;
use super::hashing::{Hashed, Locality, SideHasher, Times};
use super::reading::{Want, failed, fold_into, scan};
use super::repeats::{Repeats, Sought};
use super::rules::rules_of;
use super::sequences::Counter;
use super::sketch::{ByHash, tag_of};
use super::slices::{Cut, Distinct, Slice};
use super::sums::WindowSums;
use super::untold::{Rows, Taken, Untold, UntoldColumns};
use crate::domain::{
    Checksum, ColumnEncoder, Duration, ENCODING_VERSION, Instant, Mode, Seed, SequenceCoverage, Side, TimeCoverage, TimeSpan, Window,
    Windowing, encode_column_name,
};
use crate::error::{Error, Result};
use crate::findings::StageRecord;
use crate::job::{DigestAlgorithm, Duplicates, Format, RunOptions, SideSpec};
use crate::progress::Progress;
use crate::source::{Guard, InOrder, Opened, UntoldValue, cut_alike, identical_files};
use crate::staging::{Conversion, PairedColumn, Prepared, Shower};

/// The default window is the smallest of these that cuts the data into at most [`MOST_DEFAULT_WINDOWS`]. Each is a
/// multiple of the one before, so that finer windows add up to coarser ones.
const LADDER: [&str; 14] = ["1ms", "10ms", "100ms", "1s", "5s", "15s", "1m", "5m", "15m", "1h", "6h", "1d", "7d", "364d"];
const MOST_DEFAULT_WINDOWS: i128 = 2_000;
/// And into so many windows of all series together: many short series would else be a window a row.
const MOST_SERIES_WINDOWS: i128 = 250_000;

/// Batches that a reader may be ahead of the other side's. Some files must be decompressed a row group at a time, and the other reader should
/// not stand still for so long.
const BATCHES_AHEAD: usize = 64;
/// About so many bytes at most.
const BYTES_AHEAD: usize = 16 << 20;

const HOUR: i128 = 3_600_000_000_000;
/// Numbers from the least on that are places in a table, where a series is a number.
const NEAR_SERIES: usize = 1 << 16;
/// Batches after which such a table is given up, if each had other numbers.
const BATCHES_BESIDE: u32 = 64;
/// Series that are found again without a search; a power of two.
const RECENT_SERIES: usize = 1 << 12;

/// The place of a series that another pass keeps.
const ELSEWHERE: u32 = u32::MAX - 1;

/// Tags of NULL keys that are remembered at most; beyond, every row is compared.
const MOST_NULL_TAGS: usize = 1 << 20;

/// What the first pass found on all sides.
#[derive(Debug, Default)]
pub struct Screened {
    /// One for each side, original first.
    pub sides: Vec<SideScreen>,
    /// How event time was cut; `None` without an event time.
    pub windowing: Option<Windowing>,
    /// What differs, where two sides were held against each other.
    pub(super) remains: Option<Remains>,
    /// Which keys may come more than once, where that was asked.
    pub(super) repeats: Option<Sought>,
    /// What was learned of the cadence of each series, where that was asked.
    pub(super) learned: BTreeMap<Vec<u8>, super::ordered::Learned>,
    /// The payload's number at the edges of holes in the offsets, where that was asked.
    pub(super) payloads: BTreeMap<Vec<u8>, HashMap<i128, Option<i128>>>,
    /// What each pass cost so far.
    pub stages: Vec<StageRecord>,
    /// Where what was read does not agree with what the files say of themselves.
    pub doubts: Vec<String>,
    /// The first series that is not among these, where there were too many to keep: [`screen_further`] reads on from there.
    pub(super) rest: Option<Arc<[u8]>>,
    /// Which of the ladder the windows are.
    rung: usize,
}

impl Screened {
    /// Whether there are series that another pass has to keep.
    pub fn has_rest(&self) -> bool {
        self.rest.is_some()
    }

    /// Lets go of the series of a slice, or of its own, once they are judged, and keeps what is asked of all.
    pub fn set_aside(&mut self, slice: Option<Self>, named: bool) {
        let slices: Vec<BTreeMap<Vec<u8>, SeriesScreen>> = match slice {
            Some(slice) => {
                self.rest = slice.rest;
                self.doubts.extend(slice.doubts);
                self.stages.extend(slice.stages);
                slice.sides.into_iter().map(|side| side.series).collect()
            }
            None => self.sides.iter_mut().map(|side| std::mem::take(&mut side.series)).collect(),
        };
        for (side, series) in self.sides.iter_mut().zip(slices) {
            side.aside.add(series, named);
        }
    }
}

/// Local times that cannot be told: by the hour of the first instant that they can be, the last one, and how many.
pub(super) type UntoldTimes = BTreeMap<i128, (i128, u64)>;

/// What is kept of series that were let go.
#[derive(Debug, Default)]
struct Aside {
    total: Checksum,
    null_times: u64,
    null_sequences: u64,
    /// Encoded values and label of each, where causes are looked for.
    names: Vec<(Vec<u8>, String)>,
    /// Local times that cannot be told, by label.
    untold: Vec<(String, UntoldTimes)>,
}

impl Aside {
    fn add(&mut self, series: BTreeMap<Vec<u8>, SeriesScreen>, named: bool) {
        for (key, screen) in series {
            screen.windows.iter().for_each(|(_, sum)| self.total.merge(sum));
            self.null_times += screen.null_times;
            self.null_sequences += screen.null_sequences;
            if !screen.untold.is_empty() {
                self.untold.push((screen.label.clone(), screen.untold));
            }
            if named {
                self.names.push((key, screen.label));
            }
        }
    }
}

/// What the first pass found on one side.
#[derive(Debug)]
pub struct SideScreen {
    /// Which side.
    pub side: Side,
    /// Rows that came out of the source.
    pub rows_read: u64,
    /// Rows outside the bounds.
    pub rows_outside: u64,
    /// Rows inside them.
    rows_inside: u64,
    /// First and last event time.
    pub(super) extent: Option<(i128, i128)>,
    /// What is kept of series that were judged already.
    aside: Aside,
    /// By the canonical encoding of the series' values.
    pub series: BTreeMap<Vec<u8>, SeriesScreen>,
    /// Tags of the keys with a NULL in them; `None` if there are too many to remember.
    pub(super) null_tags: Option<HashSet<u64, ByHash>>,
    /// Values that lost digits in a conversion, for each paired column.
    pub lost: Vec<u64>,
    /// One for each rule of the stream.
    pub rules: Vec<RuleTally>,
    /// Local times of which nobody can say which instant they are.
    pub untold: Untold,
}

impl SideScreen {
    /// Rows inside the bounds: those that the verdict speaks of.
    pub fn rows(&self) -> u64 {
        self.rows_inside
    }

    /// Of those, the ones without an event time.
    pub fn null_times(&self) -> u64 {
        self.aside.null_times + self.series.values().map(|series| series.null_times).sum::<u64>()
    }

    /// Of those, the ones without a sequence number: their continuity was not judged.
    pub fn null_sequences(&self) -> u64 {
        self.aside.null_sequences + self.series.values().map(|series| series.null_sequences).sum::<u64>()
    }

    /// Encoded values and label of every series, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = (&Vec<u8>, &str)> {
        let aside = self.aside.names.iter().map(|(key, label)| (key, label.as_str()));
        aside.chain(self.series.iter().map(|(key, series)| (key, series.label.as_str())))
    }

    /// The local times of each series that cannot be told, by its label: by the hour of the first instant that it can be, the last one, and how many.
    pub(super) fn untold_times(&self) -> impl Iterator<Item = (&str, &UntoldTimes)> {
        let aside = self.aside.untold.iter().map(|(label, times)| (label.as_str(), times));
        let own = self.series.values().filter(|series| !series.untold.is_empty());
        aside.chain(own.map(|series| (series.label.as_str(), &series.untold)))
    }

    /// The checksum over all of them.
    pub fn total(&self) -> Checksum {
        let mut total = self.aside.total;
        self.series.values().flat_map(|series| series.windows.iter()).for_each(|(_, sum)| total.merge(sum));
        total
    }
}

/// What the first pass found of one series on one side.
#[derive(Debug, Clone)]
pub struct SeriesScreen {
    /// Its values as a JSON object; `{}` for a stream without series.
    pub label: String,
    /// Rows inside the bounds, those without a time among them.
    pub rows: u64,
    /// Rows inside whose event time is NULL.
    pub null_times: u64,
    /// Rows inside whose event time is a local time that cannot be told: by the hour of the first instant that it can be, the last one, and how
    /// many.
    pub(super) untold: UntoldTimes,
    /// Rows inside whose sequence is NULL.
    pub null_sequences: u64,
    /// By the start of the window.
    pub windows: WindowSums,
    /// Row digests by the start of the window, if digests were asked for.
    pub digests: Option<Box<Digests>>,
    /// The event times.
    pub time: TimeCoverage,
    /// First and last event time.
    pub extent: Option<(i128, i128)>,
    /// First and last event time of each window that the user asked for.
    pub window_extents: HashMap<i128, (i128, i128)>,
    /// The sequence numbers.
    pub sequence: SequenceCoverage,
    /// Event time against sequence.
    pub(super) clock: Clock,
    /// The counters one after another, where the sequence starts again.
    pub(super) counters: Vec<Counter>,
    /// What only some streams ask for.
    pub(super) extra: Option<Box<Extra>>,
}

/// The digests of the rows of one series, by the start of their window.
#[derive(Debug, Clone, Default)]
pub struct Digests {
    /// `None` holds those of rows without a time.
    pub windows: HashMap<Option<i128>, Vec<Vec<u8>>>,
}

/// How a rule fared.
#[derive(Debug, Clone, Default)]
pub struct RuleTally {
    /// Rows for which it is false.
    pub violations: u64,
    /// Rows for which it is NULL.
    pub unknown: u64,
    /// The first of the violating rows in canonical order.
    pub violating: Vec<RowSample>,
    /// The first of the rows for which it is NULL.
    pub unknown_rows: Vec<RowSample>,
}

/// A row named by its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowSample {
    /// Its place in the canonical order.
    pub order: Vec<u8>,
    /// The series as JSON.
    pub series: String,
    /// The key as JSON; without a key the compared row.
    pub key: String,
    /// Event time.
    pub time: Option<i128>,
}

/// What all readers of a side share.
#[derive(Debug)]
struct Plan {
    hasher: SideHasher,
    /// Names of the compared columns with their places, sorted by name: the order of the row encoding.
    encoded: Vec<(String, usize)>,
    paired: usize,
    identity: Vec<usize>,
    /// Whether rows have a key that could be NULL.
    keyed: bool,
    /// Whether whole rows are hashed, or keys alone.
    whole: bool,
    /// Whether rows are held against those of the other side.
    compared: bool,
    repeats: Option<Arc<Repeats>>,
    /// How keys rise, where it is asked which come more than once.
    order: Option<KeyOrder>,
    time: Option<usize>,
    series: Vec<usize>,
    sequence: Option<usize>,
    reach: Option<i128>,
    window: Option<Duration>,
    zone: Tz,
    rules: usize,
    digest: Option<DigestAlgorithm>,
    shower: Shower,
    max_samples: usize,
    extra: Option<ExtraPlan>,
    untold: UntoldColumns,
    names: Vec<String>,
    is_compared: Vec<bool>,
    /// The series that are kept.
    slice: Arc<Slice>,
    /// Which of the ladder, where that is known: then this pass is there for further series alone.
    rung: Option<usize>,
}

/// Reads every side once.
///
/// # Errors
/// A side could not be read to its end, or a rule is not a predicate.
pub async fn screen(
    prepared: &Prepared,
    options: &RunOptions,
    seed: &Seed,
    shower: &Shower,
    context: Arc<TaskContext>,
    progress: &Progress,
) -> Result<Screened> {
    let counted = counted_sides(prepared, options);
    let order = KeyOrder::of(prepared).filter(|_| !counted.is_empty());
    let repeats = (!counted.is_empty() && order.is_none()).then(|| Arc::new(maps(prepared, options, &counted)));
    let slice = Arc::new(Slice::new(Vec::new(), room(prepared, options)));
    let mut pass =
        Pass { prepared, options, seed, shower, context, progress, repeats: repeats.clone(), slice, rung: None, stages: Vec::new() };
    let shared = shared_files(prepared, options);
    let both = match prepared.sides.first().filter(|_| !shared.is_empty()) {
        Some(original) if only_counted(prepared, options) && original.file_rows.is_some() => {
            // Nothing was asked of these rows but whether both sides hold them alike, and they do.
            let stated = original.file_rows.iter().flatten().enumerate();
            let rows = stated.filter(|(at, _)| shared.iter().any(|(mine, _)| mine == at)).map(|(_, rows)| *rows).sum();
            let mut both = Partial::new(&pass.plan(original, SideHasher::new(original.side, prepared, seed, &original.schema), false));
            let mut series = SeriesPartial::new(Arc::from([]), 0, None, "{}".to_string());
            series.screen.rows = rows;
            both.rows_read = rows;
            both.rows_inside = rows;
            both.series.push(series);
            Some(both)
        }
        Some(original) => {
            let opened = original.only(&|at| shared.iter().any(|(mine, _)| *mine == at)).map_err(Error::engine("choosing files"))?;
            Some(pass.read("screen of both", &opened, false).await?)
        }
        None => None,
    };
    let mut parts: [Option<Opened>; 2] = [None, None];
    for (side, opened) in prepared.sides.iter().enumerate().take(2) {
        let is_shared = |at: usize| shared.iter().any(|pair| [pair.0, pair.1][side] == at);
        parts[side] = match &both {
            None => Some(opened.clone()),
            Some(_) if shared.len() < opened.files.len() => {
                Some(opened.only(&|at| !is_shared(at)).map_err(Error::engine("choosing files"))?)
            }
            Some(_) => None,
        };
    }
    let (read, remains) = match prepared.stream.mode == Mode::Replica && !options.full && prepared.sides.len() == 2 {
        true => {
            let (read, left) = pass.read_side_by_side(&parts).await?;
            (read, Some(left.remains().map_err(Error::engine("adding up what differs"))?))
        }
        false => {
            let mut read = [None, None];
            for (side, part) in parts.iter().enumerate() {
                if let Some(opened) = part {
                    read[side] = Some(pass.read("screen", opened, true).await?);
                }
            }
            (read, None)
        }
    };
    let mut partials = Vec::new();
    let mut doubts = Vec::new();
    for (opened, mine) in prepared.sides.iter().zip(read) {
        let plan = pass.plan(opened, SideHasher::new(opened.side, prepared, seed, &opened.schema), false);
        let mut merged = match (both.clone(), mine) {
            (Some(mut both), Some(mine)) => {
                both.merge(&plan, mine);
                both
            }
            (Some(both), None) => both,
            (None, mine) => mine.unwrap_or_else(|| Partial::new(&plan)),
        };
        let inside = merged.rows_inside;
        match opened.rows_by_metadata() {
            // What was not read was proven to lie outside.
            Some(stated) if bounded(prepared, opened, options) => merged.rows_outside = stated.saturating_sub(inside),
            Some(stated) if stated != merged.rows_read => {
                doubts.push(format!("the files of the {} state {stated} rows, and {} were read", opened.side, merged.rows_read));
            }
            _ => {}
        }
        partials.push(merged);
    }
    let stages = pass.stages;
    let rest = pass.slice.until();
    drop(pass.repeats);
    let sought = match order {
        Some(order) => Some(sought(prepared, counted, order, &mut partials)),
        None => repeats.and_then(Arc::into_inner).map(Sought::Mapped),
    };
    let mut screened = finish(prepared, partials, None);
    screened.remains = remains;
    screened.repeats = sought;
    screened.stages = stages;
    screened.doubts = doubts;
    screened.rest = rest;
    Ok(screened)
}

/// Reads every side once more, for the series that earlier passes left, which `first` knows. Of the sides only their series are told.
///
/// # Errors
/// A side could not be read to its end.
pub async fn screen_further(
    first: &Screened,
    prepared: &Prepared,
    options: &RunOptions,
    seed: &Seed,
    shower: &Shower,
    context: Arc<TaskContext>,
    progress: &Progress,
) -> Result<Screened> {
    let slice = Arc::new(Slice::new(first.rest.as_deref().unwrap_or_default().to_vec(), room(prepared, options)));
    let rung = Some(first.rung);
    let pass = Pass { prepared, options, seed, shower, context, progress, repeats: None, slice, rung, stages: Vec::new() };
    progress.stage(&format!("screening further series of {}", prepared.stream.name), rows_hint(prepared));
    let mut readings = Vec::new();
    for opened in &prepared.sides {
        // Two readers of a side would each hold every series, so that half as many fitted into a pass.
        readings.push(pass.reading(opened, Some(InOrder::anywhere(1)), false).await?);
    }
    let folded = futures::future::try_join_all(readings.iter().map(|reading| pass.fold("further series", reading, Vec::new()))).await?;
    let (partials, stages) = folded.into_iter().unzip();
    let rest = pass.slice.until();
    Ok(Screened { rest, stages, ..finish(prepared, partials, rung) })
}

/// Rows of all sides, if that is known.
fn rows_hint(prepared: &Prepared) -> Option<u64> {
    prepared.sides.iter().map(|opened| opened.rows_hint).sum()
}

/// Bytes that series may hold while they are read. Digests are held row by row, so that nothing is won by letting series wait.
fn room(prepared: &Prepared, options: &RunOptions) -> Option<u64> {
    (!prepared.series.is_empty() && prepared.stream.digest.is_none()).then_some(options.memory_bytes / 4)
}

/// Whether rows far outside the bounds need not be read: then how many there are must be known otherwise, since they are counted.
fn bounded(prepared: &Prepared, opened: &Opened, options: &RunOptions) -> bool {
    options.shortcuts.statistics && prepared.time.is_some() && !prepared.stream.bounds.is_open() && opened.rows_by_metadata().is_some()
}

/// Whether every compared value is read in the first pass. In a fill only where values that lose digits are to be counted.
fn reads_whole(prepared: &Prepared) -> bool {
    let loses = |column: &PairedColumn| column.conversions.iter().any(|conversion| matches!(conversion, Conversion::Floor { .. }));
    prepared.stream.mode != Mode::Fill || prepared.paired.iter().any(loses)
}

/// Whether rows that both sides hold alike need only be counted.
fn only_counted(prepared: &Prepared, options: &RunOptions) -> bool {
    let stream = &prepared.stream;
    options.only_compare
        && stream.rules.is_empty()
        && stream.digest.is_none()
        && stream.bounds.is_open()
        && stream.duplicates != Duplicates::All
        && !prepared.sides.iter().any(|side| side.filtered || !side.untold.is_empty())
}

/// Pairs of files that hold the same bytes on both sides, where that spares reading one of them.
///
/// Bytes that are read in the same way give the same rows. Rows that both sides hold alike add the same to each side's counts, sums and
/// spans, and nothing to the difference of the sides. So such a file is read once, for both. Later passes, which look for keys
/// over the whole of a side, read every file.
fn shared_files(prepared: &Prepared, options: &RunOptions) -> Vec<(usize, usize)> {
    let [original, backfill] = prepared.sides.as_slice() else { return Vec::new() };
    let stream = &prepared.stream;
    let alike = |side: Side| stream.side(side).map(|spec| SideSpec { path: String::new(), ..spec.clone() });
    let same_reading = alike(Side::Original) == alike(Side::Backfill)
        && original.schema == backfill.schema
        && prepared.paired.iter().all(|column| column.conversions[0] == column.conversions[1])
        && stream.rules.iter().all(|rule| rule.side.is_none());
    if stream.mode != Mode::Replica || options.full || !options.shortcuts.identical_files || !same_reading {
        return Vec::new();
    }
    // A file that cannot be read is reported by the scan, which says it better.
    identical_files(original, backfill).unwrap_or_default()
}

/// What all reads of the first pass share.
struct Pass<'a> {
    prepared: &'a Prepared,
    options: &'a RunOptions,
    seed: &'a Seed,
    shower: &'a Shower,
    context: Arc<TaskContext>,
    progress: &'a Progress,
    repeats: Option<Arc<Repeats>>,
    slice: Arc<Slice>,
    /// Of a pass for further series, which of the ladder the windows are.
    rung: Option<usize>,
    stages: Vec<StageRecord>,
}

impl Pass<'_> {
    /// Reads a side, or a part of it; the rows of `own` are those of its side alone.
    async fn read(&mut self, name: &'static str, opened: &Opened, own: bool) -> Result<Partial> {
        self.progress.stage(&format!("screening {} {}", self.prepared.stream.name, opened.side), opened.rows_hint);
        let reading = self.reading(opened, None, false).await?;
        let (partial, mut stage) = self.fold(name, &reading, Vec::new()).await?;
        if !own {
            stage.side = None;
        }
        self.stages.push(stage);
        Ok(partial)
    }

    /// Reads both sides together, as far as there is something to read, and pairs their rows.
    async fn read_side_by_side(&mut self, parts: &[Option<Opened>; 2]) -> Result<([Option<Partial>; 2], LeftOver)> {
        self.progress.stage(&format!("screening {}", self.prepared.stream.name), rows_hint(self.prepared));
        let (readings, lanes) = self.side_by_side(parts).await?;
        let alignment = Arc::new(self.alignment(&readings, lanes));
        // Wide batches are few.
        let batch_bytes = self.options.batch_size * self.prepared.paired.len().max(1) * 10;
        let ahead = (BYTES_AHEAD / batch_bytes.max(1)).clamp(2, BATCHES_AHEAD);
        let (mut outlets, mut joined) = ([Vec::new(), Vec::new()], JoinSet::new());
        for _ in 0..lanes {
            let ((to_a, from_a), (to_b, from_b)) = (channel(ahead), channel(ahead));
            outlets[0].push(to_a);
            outlets[1].push(to_b);
            let (lane, runtime) = (Lane::new(alignment.clone()), tokio::runtime::Handle::current());
            // On a thread of its own: woken by a reader, a task would wait for that very reader's thread while another stands idle.
            joined.spawn_blocking(move || runtime.block_on(lane.run([from_a, from_b])));
        }
        let guard = Guard::new();
        let [to_original, to_backfill] = outlets;
        let this = &*self;
        let side = |reading: Option<Reading>, outlets| async move {
            match reading {
                Some(reading) => this.fold("screen", &reading, outlets).await.map(Some),
                None => Ok(None),
            }
        };
        let [original, backfill] = readings;
        let (original, backfill) = tokio::join!(side(original, to_original), side(backfill, to_backfill));
        let mut left = LeftOver::new(alignment);
        let mut wrong = None;
        while let Some(lane) = joined.join_next().await {
            let gave_up = |e| (Side::Original, DataFusionError::Execution(format!("pairing the rows of both sides gave up ({e})")));
            match lane.map_err(gave_up).and_then(|outcome| outcome) {
                Ok(lane) => left.merge(lane).map_err(Error::engine("adding up what differs"))?,
                Err(error) => wrong = Some(error),
            }
        }
        drop(guard);
        // If a reader failed, what it says comes first.
        let mut read = [None, None];
        for (at, outcome) in [original?, backfill?].into_iter().enumerate() {
            if let Some((partial, stage)) = outcome {
                self.stages.push(stage);
                read[at] = Some(partial);
            }
        }
        match wrong {
            Some((side, error)) => Err(failed(side, error)),
            None => Ok((read, left)),
        }
    }

    /// Scans of both sides in parts that lie beside each other, and how many parts.
    async fn side_by_side(&self, parts: &[Option<Opened>; 2]) -> Result<([Option<Reading>; 2], usize)> {
        // In a lane are two readers, which keep two threads busy; pairing is next to nothing beside them.
        let mut lanes = (self.options.threads / 2).max(1);
        if let ([Some(original), Some(backfill)], Some(place)) = (parts, Locality::of(self.prepared).place())
            && lanes > 1
            && let Some([one, other]) = cut_alike(original, backfill, &self.prepared.paired[place].name, lanes)
        {
            let lanes = one.parts.max(other.parts);
            let readings = [Some(self.reading(original, Some(one), true).await?), Some(self.reading(backfill, Some(other), true).await?)];
            return Ok((readings, lanes));
        }
        loop {
            let mut readings = [None, None];
            for (reading, part) in readings.iter_mut().zip(parts) {
                if let Some(opened) = part {
                    *reading = Some(self.reading(opened, Some(InOrder::anywhere(lanes)), true).await?);
                }
            }
            let cut: Vec<usize> = readings.iter().flatten().map(Reading::partitions).collect();
            match cut.as_slice() {
                // Stretches of a different number do not lie beside each other.
                [a, b] if a != b && lanes > 1 => lanes = 1,
                cut => return Ok((readings, cut.iter().copied().max().unwrap_or(1).max(1))),
            }
        }
    }

    async fn reading(&self, opened: &Opened, in_order: Option<InOrder>, compared: bool) -> Result<Reading> {
        let columns = self.columns(opened);
        let bounded = bounded(self.prepared, opened, self.options);
        let want = Want { columns, rules: self.rung.is_none(), untold: true, hashed: true, bounded, in_order, ..Want::default() };
        let physical = scan(self.prepared, opened, &want).await?;
        let hasher = SideHasher::new(opened.side, self.prepared, self.seed, &physical.schema());
        Ok(Reading { side: opened.side, plan: Arc::new(self.plan(opened, hasher, compared)), physical })
    }

    async fn fold(&self, name: &'static str, reading: &Reading, outlets: Vec<Sender<Piece>>) -> Result<(Partial, StageRecord)> {
        let (make, add) = (reading.plan.clone(), reading.plan.clone());
        let add = move |partial: &mut Partial, batch| partial.add(&add, batch);
        let (side, physical) = (reading.side, reading.physical.clone());
        let make = || Partial::new(&make);
        let (parts, stage) = fold_into(name, side, physical, self.context.clone(), self.progress, make, add, outlets).await?;
        let merged = parts.into_iter().reduce(|mut merged, part| {
            merged.merge(&reading.plan, part);
            merged
        });
        Ok((merged.unwrap_or_else(|| Partial::new(&reading.plan)), stage))
    }

    /// What is known of both sides to those that pair their rows.
    fn alignment(&self, readings: &[Option<Reading>; 2], lanes: usize) -> Alignment {
        let prepared = self.prepared;
        let locality = Locality::of(prepared);
        let schemas = [0, 1].map(|at| match (&readings[at], prepared.sides.get(at)) {
            (Some(reading), _) => reading.physical.schema(),
            (None, Some(opened)) => opened.schema.clone(),
            (None, None) => Arc::new(arrow::datatypes::Schema::empty()),
        });
        let side = |at: usize| if at == 0 { Side::Original } else { Side::Backfill };
        let rows = prepared.sides.iter().map(|opened| opened.rows_hint).max().flatten();
        Alignment {
            hashers: [0, 1].map(|at| SideHasher::new(side(at), prepared, self.seed, &schemas[at])),
            types: [0, 1].map(|at| prepared.sides.get(at).map_or_else(|| schemas[at].clone(), |opened| opened.schema.clone())),
            columns: prepared.paired.len(),
            ordered: Alignment::is_ordered(locality),
            sketch: (most_buckets(rows, self.options.memory_bytes), locality == Locality::Key),
            memory_bytes: self.options.memory_bytes,
            lanes: lanes as u64,
            pruned: prepared.sides.iter().all(|opened| opened.format == Format::Parquet),
        }
    }

    /// What must be read. In a fill rows of one side have nothing to be compared with: the key says which have, and only those are read
    /// whole, later; the other columns are read where rules or digests ask for them.
    fn columns(&self, opened: &Opened) -> Vec<usize> {
        let prepared = self.prepared;
        let all = 0..prepared.paired.len();
        let ruled = self.rung.is_none() && !rules_of(prepared, opened.side).is_empty();
        if reads_whole(prepared) || prepared.stream.digest.is_some() || ruled {
            return all.collect();
        }
        let identity = prepared.identity();
        let roles: Vec<usize> = prepared.roles();
        all.filter(|place| identity.contains(place) || roles.contains(place)).collect()
    }

    fn plan(&self, opened: &Opened, hasher: SideHasher, compared: bool) -> Plan {
        let plan = Plan { compared, ..plan(self.prepared, opened, self.options, hasher, self.shower, self.repeats.clone(), &self.slice) };
        match self.rung {
            None => plan,
            // What is asked of all rows was asked of them in the first pass.
            Some(_) => Plan { rung: self.rung, rules: 0, keyed: false, order: None, ..plan },
        }
    }
}

/// A scan of a side, and how its rows are taken.
struct Reading {
    side: Side,
    plan: Arc<Plan>,
    physical: Arc<dyn ExecutionPlan>,
}

impl Reading {
    fn partitions(&self) -> usize {
        self.physical.output_partitioning().partition_count()
    }
}

/// The key, and what says where a row lies.
pub(super) fn key_columns(prepared: &Prepared) -> Vec<usize> {
    let mut columns = prepared.identity();
    let roles = prepared.time.iter().chain(&prepared.series).copied();
    for place in roles.chain(Locality::of(prepared).place()) {
        if !columns.contains(&place) {
            columns.push(place);
        }
    }
    columns.sort_unstable();
    columns
}

/// The sides on which keys that come more than once matter beyond what makes the sides differ.
fn counted_sides(prepared: &Prepared, options: &RunOptions) -> Vec<Side> {
    match prepared.stream.mode {
        _ if options.full => Vec::new(),
        Mode::Single if prepared.key.is_some() => vec![Side::Original],
        Mode::Fill => vec![Side::Original, Side::Backfill],
        // What comes twice on one side only makes the sides differ, so looking at one side is enough.
        Mode::Replica if prepared.key.is_some() && prepared.stream.duplicates == Duplicates::All => vec![Side::Original],
        _ => Vec::new(),
    }
}

/// Maps for the keys of some sides.
fn maps(prepared: &Prepared, options: &RunOptions, sides: &[Side]) -> Repeats {
    let rows = prepared.sides.iter().filter(|opened| sides.contains(&opened.side)).map(|opened| opened.rows_hint).sum::<Option<u64>>();
    Repeats::new(sides.to_vec(), rows, options.memory_bytes)
}

/// Where keys may come more than once, by how those of all readers of some sides rise.
fn sought(prepared: &Prepared, sides: Vec<Side>, order: KeyOrder, partials: &mut [Partial]) -> Sought {
    let mut places: HashMap<Arc<[u8]>, usize> = HashMap::new();
    let mut all = Rising::default();
    for (_, partial) in prepared.sides.iter().zip(partials).filter(|(opened, _)| sides.contains(&opened.side)) {
        let theirs = std::mem::take(&mut partial.rising);
        if !order.by_series {
            all.merge(theirs, |at| at);
            continue;
        }
        let place: Vec<usize> = partial
            .series
            .iter()
            .map(|series| {
                let next = places.len();
                *places.entry(series.bytes.clone()).or_insert(next)
            })
            .collect();
        all.merge(theirs, |at| place.get(at).copied().unwrap_or(at));
    }
    match all.overlaps() {
        Some(overlaps) => Sought::Within(sides, order, overlaps),
        None => Sought::Anywhere(sides),
    }
}

fn plan(
    prepared: &Prepared,
    opened: &Opened,
    options: &RunOptions,
    hasher: SideHasher,
    shower: &Shower,
    repeats: Option<Arc<Repeats>>,
    slice: &Arc<Slice>,
) -> Plan {
    let stream = &prepared.stream;
    let mut encoded: Vec<(String, usize)> =
        prepared.compared().into_iter().map(|place| (prepared.paired[place].name.clone(), place)).collect();
    encoded.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    Plan {
        hasher,
        encoded,
        paired: prepared.paired.len(),
        identity: prepared.identity(),
        keyed: prepared.key.is_some(),
        whole: reads_whole(prepared),
        compared: false,
        repeats: repeats.filter(|repeats| repeats.counts(opened.side)),
        order: KeyOrder::of(prepared).filter(|_| counted_sides(prepared, options).contains(&opened.side)),
        time: prepared.time,
        series: prepared.series.clone(),
        sequence: prepared.sequence,
        reach: stream.reach(),
        window: stream.window,
        zone: stream.time_zone,
        rules: rules_of(prepared, opened.side).len(),
        digest: stream.digest,
        shower: shower.clone(),
        max_samples: options.max_findings,
        extra: ExtraPlan::of(prepared, opened.side),
        untold: UntoldColumns::of(prepared, opened),
        names: prepared.paired.iter().map(|column| column.name.clone()).collect(),
        is_compared: prepared.paired.iter().map(|column| column.compared).collect(),
        slice: slice.clone(),
        rung: None,
    }
}

/// A partial state: what one reader has seen.
#[derive(Debug, Clone)]
struct Partial {
    rows_read: u64,
    rows_outside: u64,
    rows_inside: u64,
    /// By a checksum of the series' values.
    series_ids: HashMap<u128, usize, ByHash>,
    series: Vec<SeriesPartial>,
    null_tags: Option<HashSet<u64, ByHash>>,
    lost: Vec<u64>,
    rules: Vec<RuleTally>,
    untold: Untold,
    /// Which of the ladder, while no window was asked for.
    rung: usize,
    extent: Option<(i128, i128)>,
    /// How keys rise, by the place of their series where they are ordered by series.
    rising: Rising,
    /// The series that were looked up last, by the low bits of their checksums.
    recent: Vec<(u128, u32)>,
    near: NearSeries,
    grouping: Grouping,
    cut: Cut,
    /// How many series there are, also those that are not kept.
    distinct: Distinct,
    /// Series when it was last looked how much they hold, and batches since.
    looked: (usize, usize),
}

/// Places of series that are numbers, by the number.
#[derive(Debug, Clone, Default)]
struct NearSeries {
    from: i64,
    places: Vec<u32>,
    /// Batches with numbers that are not there.
    beside: u32,
}

impl NearSeries {
    fn place(&self, number: i64) -> Option<usize> {
        usize::try_from(number.wrapping_sub(self.from).cast_unsigned()).ok()
    }

    /// The place of each number, if all are known.
    fn find(&self, numbers: &[i64]) -> Option<Vec<u32>> {
        let mut all = !self.places.is_empty();
        let mut found = Vec::with_capacity(if all { numbers.len() } else { return None });
        for number in numbers {
            let place = self.place(*number).and_then(|at| self.places.get(at)).copied().unwrap_or(u32::MAX);
            all &= place != u32::MAX;
            found.push(place);
        }
        all.then_some(found)
    }

    fn learn(&mut self, numbers: &[i64], places: &[u32]) {
        self.beside += 1;
        if self.places.is_empty() {
            self.from = numbers.iter().min().copied().unwrap_or(0);
            self.places = vec![u32::MAX; NEAR_SERIES];
        }
        for (number, place) in numbers.iter().zip(places) {
            if let Some(known) = self.place(*number).and_then(|at| self.places.get_mut(at)) {
                *known = *place;
            }
        }
    }
}

/// A series, and the window into which its last row fell: rows mostly come in order.
#[derive(Debug, Clone)]
struct SeriesPartial {
    bytes: Arc<[u8]>,
    /// The checksum of its values.
    group: u128,
    screen: SeriesScreen,
    open: Option<OpenWindow>,
    /// The rows without a time.
    timeless: Checksum,
}

#[derive(Debug, Clone)]
struct OpenWindow {
    window: Window,
    /// The same in ticks, where rows are taken by runs: the first tick inside and the first one no longer inside.
    ticks: (i64, i64),
    checksum: Checksum,
    first: i128,
    last: i128,
}

/// How rows that all have a time are taken.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Nanoseconds in a tick.
    per_tick: i128,
    /// The reach of spans in ticks.
    reach: i64,
    windowing: Windowing,
    keeps_extents: bool,
}

impl Pace {
    fn new(per_tick: i128, reach: Option<i128>, windowing: Windowing, keeps_extents: bool) -> Self {
        let reach = reach.map_or(i64::MAX, |reach| i64::try_from(reach.div_euclid(per_tick)).unwrap_or(i64::MAX));
        Self { per_tick, reach, windowing, keeps_extents }
    }

    /// The window of a tick, and its ends in ticks: a time lies in the window if its tick lies between the first ticks at or after the ends.
    fn window_of(&self, tick: i64) -> (Window, (i64, i64)) {
        let tick_of = |at: i128| i64::try_from(-(-at).div_euclid(self.per_tick)).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX });
        let window = self.windowing.window_of(Instant(i128::from(tick) * self.per_tick));
        (window, (tick_of(window.start.0), tick_of(window.end.0)))
    }
}

impl SeriesPartial {
    fn new(bytes: Arc<[u8]>, group: u128, reach: Option<i128>, label: String) -> Self {
        Self { bytes, group, screen: SeriesScreen::new(reach, label), open: None, timeless: Checksum::default() }
    }

    /// About how many bytes it holds, with its share of what finds it.
    fn weight(&self) -> u64 {
        let screen = &self.screen;
        // A node of a tree has room for eleven, and is about half full.
        let entries = screen.time.breaks()
            + screen.sequence.breaks()
            + screen.untold.len()
            + screen.extra.as_ref().map_or(0, |extra| extra.entries());
        let lists = 64 * (screen.windows.len() + screen.window_extents.len()) + 96 * screen.clock.runs();
        let own = size_of::<Self>() + 2 * (self.bytes.len() + screen.label.len()) + 256 + if screen.extra.is_some() { 512 } else { 0 };
        (own + lists + 100 * entries) as u64
    }

    /// The row's window takes it; the one before is closed where it is another.
    #[inline]
    fn add_at(&mut self, at: i128, windowing: Windowing, keeps_extents: bool, row: u128) {
        if let Some(open) = self.open.as_mut().filter(|open| open.window.contains(Instant(at))) {
            open.checksum.add(row);
            open.first = open.first.min(at);
            open.last = open.last.max(at);
            return;
        }
        self.close(keeps_extents);
        let mut checksum = Checksum::default();
        checksum.add(row);
        self.open = Some(OpenWindow { window: windowing.window_of(Instant(at)), ticks: (0, 0), checksum, first: at, last: at });
    }

    /// Rows that all have a time, run by run: those that stay in the window and in the span of the rows before.
    fn add_run(&mut self, ticks: &[i64], pace: &Pace, sums: &[u128]) {
        self.screen.rows += ticks.len() as u64;
        let mut at = 0;
        while let Some(&tick) = ticks.get(at) {
            let known = self.open.as_ref().map(|open| (open.window, open.ticks)).filter(|(_, (start, end))| *start <= tick && tick < *end);
            let is_known = known.is_some();
            let (window, (start, end)) = known.unwrap_or_else(|| pace.window_of(tick));
            // Rows mostly come in order: of those nothing is to be asked but how far each is from the one before. The first row makes the run,
            // so every run takes a row.
            let in_order = |pair: &&[i64]| {
                pair[1] >= pair[0] && pair[1] < end && pair[1].wrapping_sub(pair[0]).cast_unsigned() <= pace.reach.cast_unsigned()
            };
            let rows = 1 + ticks[at..].windows(2).take_while(in_order).count();
            let (mut first, mut last, mut checksum) = (tick, ticks[at + rows - 1], Checksum::default());
            sums[at..at + rows].iter().for_each(|sum| checksum.add(*sum));
            for (tick, sum) in ticks[at + rows..].iter().zip(&sums[at + rows..]) {
                let apart = tick.checked_sub(last).unwrap_or(i64::MAX).max(first.checked_sub(*tick).unwrap_or(i64::MAX));
                if *tick < start || *tick >= end || apart > pace.reach {
                    break;
                }
                first = first.min(*tick);
                last = last.max(*tick);
                checksum.add(*sum);
            }
            at += checksum.rows as usize;
            let (first, last) = (i128::from(first) * pace.per_tick, i128::from(last) * pace.per_tick);
            self.screen.time.add_span(TimeSpan { first, last, rows: checksum.rows });
            match self.open.as_mut().filter(|open| is_known || open.window == window) {
                Some(open) => {
                    open.checksum.merge(checksum);
                    open.first = open.first.min(first);
                    open.last = open.last.max(last);
                }
                None => {
                    self.close(pace.keeps_extents);
                    self.open = Some(OpenWindow { window, ticks: (start, end), checksum, first, last });
                }
            }
        }
    }

    /// Rows that all have a time, and a number where there is a sequence.
    fn add_rows(&mut self, ticks: &[i64], pace: &Pace, sums: &[u128], numbers: Option<&[i128]>) {
        self.add_run(ticks, pace, sums);
        for (tick, number) in ticks.iter().zip(numbers.unwrap_or_default()) {
            self.screen.sequence.add(*number);
            self.screen.clock.add(i128::from(*tick) * pace.per_tick, *number);
        }
    }

    fn close(&mut self, keeps_extents: bool) {
        let timeless = std::mem::take(&mut self.timeless);
        if timeless.rows > 0 {
            self.screen.windows.add(None, timeless);
        }
        let Some(open) = self.open.take() else { return };
        let start = open.window.start.0;
        self.screen.windows.add(Some(start), open.checksum);
        widen(&mut self.screen.extent, open.first);
        widen(&mut self.screen.extent, open.last);
        if keeps_extents {
            let extent = self.screen.window_extents.entry(start).or_insert((open.first, open.last));
            *extent = (extent.0.min(open.first), extent.1.max(open.last));
        }
    }
}

/// The windowing of a rung of the ladder, or of the window that was asked for.
fn windowing_at(window: Option<Duration>, zone: Tz, rung: usize) -> Option<Windowing> {
    let width = match window {
        Some(width) => width,
        None => Duration::parse(LADDER[rung.min(LADDER.len() - 1)]).ok()?,
    };
    Windowing::new(width, zone).ok()
}

/// Into how many windows so many series are cut at most. A partial state may have twice as many: its rows and series are some of the whole's, so it never
/// gets coarser.
fn most_windows(series: usize) -> i128 {
    (MOST_SERIES_WINDOWS / i128::try_from(series.max(1)).unwrap_or(i128::MAX)).clamp(1, MOST_DEFAULT_WINDOWS)
}

/// The first rung, from one on, that cuts an extent into at most so many windows.
fn rung_for(extent: Option<(i128, i128)>, from: usize, most: i128) -> usize {
    let Some((first, last)) = extent else { return from };
    (from..LADDER.len())
        .find(|&rung| Duration::parse(LADDER[rung]).is_ok_and(|width| (last - first) / width.nanos() < most))
        .unwrap_or(LADDER.len() - 1)
}

fn widen(extent: &mut Option<(i128, i128)>, at: i128) {
    *extent = Some(extent.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
}

impl Partial {
    fn new(plan: &Plan) -> Self {
        Self {
            rows_read: 0,
            rows_outside: 0,
            rows_inside: 0,
            series_ids: HashMap::default(),
            series: Vec::new(),
            null_tags: Some(HashSet::default()),
            lost: vec![0; plan.paired],
            rules: vec![RuleTally::default(); plan.rules],
            untold: Untold::default(),
            rung: plan.rung.unwrap_or(0),
            extent: None,
            rising: Rising::default(),
            recent: Vec::new(),
            near: NearSeries::default(),
            grouping: Grouping::default(),
            cut: Cut::new(plan.slice.clone()),
            distinct: Distinct::default(),
            looked: (0, 0),
        }
    }

    /// Takes a batch; gives it back with its checksums where its rows are held against those of the other side.
    fn add(&mut self, plan: &Plan, batch: RecordBatch) -> Result<Option<Piece>, DataFusionError> {
        let read = batch.num_rows() as u64;
        let batch = plan.hasher.inside(&batch)?.unwrap_or(batch);
        self.rows_read += read;
        self.rows_outside += read - batch.num_rows() as u64;
        self.rows_inside += batch.num_rows() as u64;
        self.let_go(plan);
        // Of a pass for further series the others need not be hashed.
        let batch = if plan.rung.is_some() { self.of_slice(plan, batch)? } else { batch };
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let taken = plan.untold.take(batch)?;
        let batch = &taken.batch;
        // Of what such a row's key is, nothing can be said.
        let nameless = taken.any_of(&plan.identity).filter(|_| plan.keyed);
        let hashed = match &plan.repeats {
            None if plan.whole => plan.hasher.hash_rows(batch)?,
            // Nobody asks: sums of rows that were not read whole are not shown.
            None => Hashed { keys: Vec::new(), rows: vec![0; batch.num_rows()], lost: Vec::new() },
            Some(_) => plan.hasher.hash(batch, plan.whole)?,
        };
        let sums = if hashed.rows.is_empty() { &hashed.keys } else { &hashed.rows };
        for (place, dropped) in &hashed.lost {
            self.lost[*place] += dropped;
        }
        if let Some(repeats) = &plan.repeats {
            match &nameless {
                None => repeats.add(&hashed.keys),
                Some(nameless) => {
                    let known = hashed.keys.iter().zip(nameless).filter(|(_, nameless)| *nameless != Some(true));
                    repeats.add(&known.map(|(key, _)| *key).collect::<Vec<_>>());
                }
            }
        }
        if plan.keyed {
            self.note_null_keys(plan, batch, nameless.as_ref())?;
        }
        let times = plan.time.map(|place| plan.hasher.canonicaliser.column(place, batch).map(|(array, _)| array)).transpose()?;
        let times = times.as_ref().map(Times::of).transpose()?;
        self.add_continuity(plan, batch, times.as_ref(), sums)?;
        if !taken.values.is_empty() {
            self.note_untold(plan, &taken, nameless.as_ref(), times.as_ref(), sums)?;
        }
        if plan.rules > 0 {
            self.judge_rules(plan, batch, times.as_ref())?;
        }
        Ok(plan.compared.then(|| Piece { batch: taken.batch, rows: hashed.rows }))
    }

    /// Names the local times that cannot be told, and takes those of them that are event times out of the count of NULLs.
    fn note_untold(
        &mut self,
        plan: &Plan,
        taken: &Taken,
        nameless: Option<&BooleanArray>,
        times: Option<&Times>,
        sums: &[u128],
    ) -> Result<(), DataFusionError> {
        let batch = &taken.batch;
        let ids = self.series_of(plan, batch)?;
        let untimed = taken.values.iter().find(|(place, _)| Some(*place) == plan.time);
        if let Some((_, values)) = untimed {
            for row in (0..values.len()).filter(|&row| !values.is_null(row)) {
                let (Some(series), Some(value)) =
                    (self.series.get_mut(ids.as_ref().map_or(0, |ids| ids[row] as usize)), UntoldValue::parse(values.value(row)))
                else {
                    continue;
                };
                series.screen.null_times = series.screen.null_times.saturating_sub(1);
                let hour = value.between.0.div_euclid(HOUR) * HOUR;
                let (last, rows) = series.screen.untold.entry(hour).or_insert((value.between.1, 0));
                *last = value.between.1.max(*last);
                *rows += 1;
            }
        }
        let stored = |places: &[usize]| -> Result<RecordBatch, DataFusionError> {
            let at = places.iter().map(|&place| batch.schema().index_of(&plan.names[place])).collect::<Result<Vec<_>, _>>()?;
            Ok(batch.project(&at)?)
        };
        let key = stored(&plan.identity)?;
        let columns = plan.identity.iter().map(|&place| plan.hasher.canonicaliser.column(place, batch).map(|(array, _)| array));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        // A stream of which no column can be compared has rows all the same.
        let orders = if columns.is_empty() { None } else { Some(RowConverter::new(fields)?.convert_columns(&columns)?) };
        let all: Vec<usize> = (0..plan.identity.len()).collect();
        let series = &self.series;
        let elsewhere = match &ids {
            Some(ids) if ids.contains(&ELSEWHERE) => Some(plan.series_columns(batch)?.0),
            _ => None,
        };
        let columns: Vec<usize> = (0..plan.series.len()).collect();
        let label = |row: usize| match (series.get(ids.as_ref().map_or(0, |ids| ids[row] as usize)), &elsewhere) {
            (Some(series), _) => series.screen.label.clone(),
            (None, Some(values)) => plan.shower.object(values, &columns, row),
            (None, None) => String::new(),
        };
        let sample = |row: usize| RowSample {
            order: orders.as_ref().map_or_else(Vec::new, |orders| orders.row(row).as_ref().to_vec()),
            series: label(row),
            key: plan.shower.object(&key, &all, row),
            time: times.and_then(|times| times.at(row)),
        };
        let rows = Rows {
            shower: &plan.shower,
            names: &plan.names,
            compared: &plan.is_compared,
            sums,
            in_key: nameless,
            sample: &sample,
            most: plan.max_samples,
        };
        self.untold.add(taken, &rows)?;
        if let Some(nameless) = nameless {
            let keys = plan.hasher.hash(&filter_record_batch(batch, nameless)?, false)?.keys;
            self.untold.keys.extend(keys.into_iter().map(tag_of));
        }
        Ok(())
    }

    fn note_null_keys(&mut self, plan: &Plan, batch: &RecordBatch, nameless: Option<&BooleanArray>) -> Result<(), DataFusionError> {
        let Some(nulls) = plan.hasher.null_keys(batch)? else { return Ok(()) };
        let nulls = match nameless {
            Some(nameless) => arrow::compute::and(&nulls, &arrow::compute::not(nameless)?)?,
            None => nulls,
        };
        if let Some(tags) = &mut self.null_tags {
            let keys = plan.hasher.hash(&filter_record_batch(batch, &nulls)?, false)?.keys;
            tags.extend(keys.into_iter().map(tag_of));
            if tags.len() > MOST_NULL_TAGS {
                self.null_tags = None;
            }
        }
        Ok(())
    }

    /// Lets go of the series that the slice no longer holds.
    fn let_go(&mut self, plan: &Plan) {
        if !self.cut.has_moved() {
            return;
        }
        let cut = &self.cut;
        self.series.retain(|series| cut.holds(&series.bytes));
        self.series_ids = self.series.iter().enumerate().map(|(at, series)| (series.group, at)).collect();
        self.recent.clear();
        self.near = NearSeries::default();
        if plan.order.as_ref().is_some_and(|order| order.by_series) {
            self.rising.lose();
        }
    }

    /// Says how much the series hold: after some batches, or when there are many more of them.
    fn weigh(&mut self) {
        let (series, batches) = &mut self.looked;
        *batches += 1;
        if !self.cut.is_bounded() || self.series.len() < *series + *series / 8 + 1_024 && *batches < self.series.len() / 1_024 + 8 {
            return;
        }
        self.looked = (self.series.len(), 0);
        let bytes = self.series.iter().map(SeriesPartial::weight).sum();
        self.cut.report(bytes, || self.series.iter().map(|series| series.bytes.clone()).collect());
    }

    /// The rows of series that are kept.
    fn of_slice(&mut self, plan: &Plan, batch: RecordBatch) -> Result<RecordBatch, DataFusionError> {
        let Some(ids) = self.series_of(plan, &batch)? else { return Ok(batch) };
        let kept: BooleanArray = ids.iter().map(|id| Some(*id != ELSEWHERE)).collect();
        Ok(filter_record_batch(&batch, &kept)?)
    }

    /// For each row, the place of its series; [`ELSEWHERE`] if another pass keeps it.
    fn series_of(&mut self, plan: &Plan, batch: &RecordBatch) -> Result<Option<Vec<u32>>, DataFusionError> {
        if plan.series.is_empty() {
            if self.series.is_empty() {
                self.series.push(SeriesPartial::new(Arc::from([]), 0, plan.reach, "{}".to_string()));
            }
            return Ok(None);
        }
        let numbers = match plan.series.as_slice() {
            [place] if self.near.beside < BATCHES_BESIDE => Some(plan.hasher.canonicaliser.column(*place, batch)?.0),
            _ => None,
        };
        let numbers = numbers.as_ref().and_then(|numbers| numbers.as_primitive_opt::<Int64Type>()).filter(|all| all.null_count() == 0);
        if let Some(ids) = numbers.and_then(|numbers| self.near.find(numbers.values())) {
            return Ok(Some(ids));
        }
        let groups = plan.hasher.group(batch, &plan.series)?;
        let mut canonical: Option<(RecordBatch, Vec<ColumnEncoder>)> = None;
        let mut ids = Vec::with_capacity(groups.len());
        let mut bytes = Vec::new();
        if self.recent.is_empty() {
            self.recent = vec![(0, u32::MAX); RECENT_SERIES];
        }
        for (row, group) in groups.into_iter().enumerate() {
            let slot = group as usize % RECENT_SERIES;
            let (known, id) = self.recent[slot];
            if known == group && id != u32::MAX {
                ids.push(id);
                continue;
            }
            let id = match self.series_ids.get(&group) {
                Some(id) => u32::try_from(*id).unwrap_or(ELSEWHERE),
                None => {
                    let (shown, encoders) = match &canonical {
                        Some(known) => known,
                        None => canonical.insert(plan.series_columns(batch)?),
                    };
                    bytes.clear();
                    encoders.iter().for_each(|encoder| encoder.encode(row, &mut bytes));
                    if plan.window.is_none() && plan.rung.is_none() {
                        self.distinct.add(group, MOST_SERIES_WINDOWS as usize);
                    }
                    if self.cut.holds(&bytes) {
                        let label = plan.shower.object(shown, &(0..plan.series.len()).collect::<Vec<_>>(), row);
                        let id = self.series.len();
                        self.series_ids.insert(group, id);
                        self.series.push(SeriesPartial::new(Arc::from(bytes.as_slice()), group, plan.reach, label));
                        u32::try_from(id)
                            .ok()
                            .filter(|id| *id < ELSEWHERE)
                            .ok_or_else(|| DataFusionError::Execution("more than 2^32 series".to_string()))?
                    } else {
                        ELSEWHERE
                    }
                }
            };
            self.recent[slot] = (group, id);
            ids.push(id);
        }
        if let Some(numbers) = numbers {
            self.near.learn(numbers.values(), &ids);
        }
        Ok(Some(ids))
    }

    fn add_continuity(&mut self, plan: &Plan, batch: &RecordBatch, times: Option<&Times>, sums: &[u128]) -> Result<(), DataFusionError> {
        let ids = self.series_of(plan, batch)?;
        if let Some((first, last)) = times.and_then(Times::extent) {
            widen(&mut self.extent, first);
            widen(&mut self.extent, last);
        }
        match ids {
            Some(ids) if ids.contains(&ELSEWHERE) => {
                let kept: BooleanArray = ids.iter().map(|id| Some(*id != ELSEWHERE)).collect();
                let batch = filter_record_batch(batch, &kept)?;
                let ids: Vec<u32> = ids.into_iter().filter(|id| *id != ELSEWHERE).collect();
                let sums: Vec<u128> = sums.iter().zip(kept.values()).filter(|(_, kept)| *kept).map(|(sum, _)| *sum).collect();
                if !ids.is_empty() {
                    let times =
                        plan.time.map(|place| plan.hasher.canonicaliser.column(place, &batch).map(|(array, _)| array)).transpose()?;
                    let times = times.as_ref().map(Times::of).transpose()?;
                    self.add_series(plan, &batch, times.as_ref(), &sums, Some(ids))?;
                }
            }
            ids => self.add_series(plan, batch, times, sums, ids)?,
        }
        self.weigh();
        Ok(())
    }

    /// Takes the rows of series that are kept, each with the place of its series.
    fn add_series(
        &mut self,
        plan: &Plan,
        batch: &RecordBatch,
        times: Option<&Times>,
        sums: &[u128],
        ids: Option<Vec<u32>>,
    ) -> Result<(), DataFusionError> {
        let rows = batch.num_rows();
        let dense = times.and_then(Times::dense);
        if times.is_some() && plan.window.is_none() && plan.rung.is_none() {
            self.coarsen_to(plan, rung_for(self.extent, self.rung, 2 * most_windows(self.series.len())));
        }
        let windowing = plan.time.and_then(|_| windowing_at(plan.window, plan.zone, self.rung));
        if let Some(extra) = &plan.extra {
            let look = extra.look(&plan.hasher, batch, times, windowing)?;
            for row in 0..rows {
                let Some(series) = self.series.get_mut(ids.as_ref().map_or(0, |ids| ids[row] as usize)) else { continue };
                let SeriesScreen { extra, sequence, clock, null_sequences, .. } = &mut series.screen;
                look.add(row, Kept { extra, sequence, clock, null_sequences });
            }
        }
        let sequences = match plan.sequence.filter(|_| !plan.extra.as_ref().is_some_and(ExtraPlan::owns_numbers)) {
            Some(place) => Some(whole_numbers(&plan.hasher.canonicaliser.column(place, batch)?.0)?),
            None => None,
        };
        let keeps_extents = plan.window.is_some();
        let keys = match &plan.order {
            Some(order) => order.numbers(&plan.hasher, batch)?,
            None => None,
        };
        match &plan.order {
            Some(_) if keys.is_none() => self.rising.lose(),
            Some(order) if !order.by_series || ids.is_none() => self.rising.add(0, keys.as_deref().unwrap_or_default()),
            _ => {}
        }
        let keys = keys.filter(|_| ids.is_some() && plan.order.as_ref().is_some_and(|order| order.by_series));
        let dense_sequences: Option<Option<Vec<i128>>> = match &sequences {
            None => Some(None),
            Some(numbers) => numbers.iter().copied().collect::<Option<Vec<i128>>>().map(Some),
        };
        if let (Some((ticks, per_tick)), Some(windowing), Some(numbers), true) =
            (dense, windowing, dense_sequences, !self.series.is_empty())
        {
            let pace = Pace::new(per_tick, plan.reach, windowing, keeps_extents);
            match &ids {
                None => self.series[0].add_rows(ticks, &pace, sums, numbers.as_deref()),
                Some(ids) => {
                    self.grouping.sort(ids, self.series.len());
                    let grouping = &self.grouping;
                    // Where nothing was hashed, all sums are zero.
                    let sums = if plan.summed() { Cow::Owned(grouping.gather(sums)) } else { Cow::Borrowed(sums) };
                    let ticks = grouping.gather(ticks);
                    let numbers = numbers.map(|numbers| grouping.gather(&numbers));
                    let keys = keys.map(|keys| grouping.gather(&keys));
                    for (id, rows) in grouping.ranges() {
                        let numbers = numbers.as_ref().map(|numbers| &numbers[rows.clone()]);
                        self.series[id].add_rows(&ticks[rows.clone()], &pace, &sums[rows.clone()], numbers);
                        if let Some(keys) = &keys {
                            self.rising.add(id, &keys[rows]);
                        }
                    }
                }
            }
            if let Some(algorithm) = plan.digest {
                let times = times.map(Times::all);
                self.add_digests(plan, batch, ids.as_deref(), times.as_deref(), Some(windowing), algorithm)?;
            }
            return Ok(());
        }
        if let (Some(ids), Some(keys)) = (&ids, &keys) {
            for (id, key) in ids.iter().zip(keys) {
                self.rising.add(*id as usize, &[*key]);
            }
        }
        let times = times.map(Times::all);
        if let (None, None, None, Some(series)) = (&ids, &times, &sequences, self.series.first_mut()) {
            series.screen.rows += rows as u64;
            sums.iter().for_each(|sum| series.timeless.add(*sum));
        }
        for row in if ids.is_none() && times.is_none() && sequences.is_none() { rows..rows } else { 0..rows } {
            let id = ids.as_ref().map_or(0, |ids| ids[row] as usize);
            let Some(series) = self.series.get_mut(id) else { continue };
            let at = times.as_ref().and_then(|times| times[row]);
            series.screen.rows += 1;
            match (at, windowing) {
                (Some(at), Some(windowing)) => {
                    series.screen.time.add(at);
                    series.add_at(at, windowing, keeps_extents, sums[row]);
                }
                _ => {
                    series.screen.null_times += u64::from(plan.time.is_some());
                    series.timeless.add(sums[row]);
                }
            }
            if let Some(sequences) = &sequences {
                match sequences[row] {
                    Some(number) => {
                        series.screen.sequence.add(number);
                        if let Some(at) = at {
                            series.screen.clock.add(at, number);
                        }
                    }
                    None => series.screen.null_sequences += 1,
                }
            }
        }
        if let Some(algorithm) = plan.digest {
            self.add_digests(plan, batch, ids.as_deref(), times.as_deref(), windowing, algorithm)?;
        }
        Ok(())
    }

    fn add_digests(
        &mut self,
        plan: &Plan,
        batch: &RecordBatch,
        ids: Option<&[u32]>,
        times: Option<&[Option<i128>]>,
        windowing: Option<Windowing>,
        algorithm: DigestAlgorithm,
    ) -> Result<(), DataFusionError> {
        let encoders = plan
            .encoded
            .iter()
            .map(|(name, place)| {
                let (array, _) = plan.hasher.canonicaliser.column(*place, batch)?;
                ColumnEncoder::new(name, &array).map_err(|e| DataFusionError::Execution(e.to_string()))
            })
            .collect::<Result<Vec<_>, DataFusionError>>()?;
        let mut encoded = Vec::new();
        for row in 0..batch.num_rows() {
            encoded.clear();
            encoded.push(ENCODING_VERSION);
            for encoder in &encoders {
                encode_column_name(encoder.name(), &mut encoded);
                encoder.encode(row, &mut encoded);
            }
            let at = times.and_then(|times| times[row]);
            let start = at.zip(windowing).map(|(at, windowing)| windowing.window_of(Instant(at)).start.0);
            if let Some(series) = self.series.get_mut(ids.map_or(0, |ids| ids[row] as usize)) {
                let digests = series.screen.digests.get_or_insert_default();
                digests.windows.entry(start).or_default().push(super::digests::digest(algorithm, &encoded));
            }
        }
        Ok(())
    }

    fn judge_rules(&mut self, plan: &Plan, batch: &RecordBatch, times: Option<&Times>) -> Result<(), DataFusionError> {
        let mut described: Option<(RecordBatch, arrow::row::Rows)> = None;
        for index in 0..plan.rules {
            let column = batch.column(plan.paired + index);
            let outcome = cast(column, &DataType::Boolean)?;
            let outcome = outcome.as_boolean();
            for row in 0..batch.num_rows() {
                if !outcome.is_null(row) && outcome.value(row) {
                    continue;
                }
                let (canonical, orders) = match &described {
                    Some(known) => known,
                    None => {
                        let stored = batch.project(&(0..plan.paired).collect::<Vec<_>>())?;
                        let canonical = plan.hasher.canonicaliser.apply(&stored)?.batch;
                        let orders = order_rows(&canonical, &plan.identity)?;
                        described.insert((canonical, orders))
                    }
                };
                let tally = &mut self.rules[index];
                let unknown = outcome.is_null(row);
                let (count, samples) =
                    if unknown { (&mut tally.unknown, &mut tally.unknown_rows) } else { (&mut tally.violations, &mut tally.violating) };
                *count += 1;
                let sample = RowSample {
                    order: orders.row(row).as_ref().to_vec(),
                    series: plan.shower.object(canonical, &plan.series, row),
                    key: plan.shower.object(batch, &plan.identity, row),
                    time: times.and_then(|times| times.at(row)),
                };
                keep_first(samples, sample, plan.max_samples);
            }
        }
        Ok(())
    }

    /// Adds finer windows up to those of a coarser rung.
    fn coarsen_to(&mut self, plan: &Plan, rung: usize) {
        if rung <= self.rung || plan.window.is_some() {
            return;
        }
        self.rung = rung;
        let Some(windowing) = windowing_at(None, plan.zone, rung) else { return };
        for series in &mut self.series {
            series.close(false);
            series.screen.coarsen(windowing);
        }
    }

    fn merge(&mut self, plan: &Plan, mut other: Self) {
        self.let_go(plan);
        other.let_go(plan);
        let rung = self.rung.max(other.rung);
        self.coarsen_to(plan, rung);
        other.coarsen_to(plan, rung);
        let keeps_extents = plan.window.is_some();
        self.rows_read += other.rows_read;
        self.rows_outside += other.rows_outside;
        self.rows_inside += other.rows_inside;
        self.distinct.merge(&other.distinct, MOST_SERIES_WINDOWS as usize);
        if let Some((first, last)) = other.extent {
            widen(&mut self.extent, first);
            widen(&mut self.extent, last);
        }
        let mut known: HashMap<Arc<[u8]>, usize> = self.series.iter().enumerate().map(|(at, series)| (series.bytes.clone(), at)).collect();
        let mut places = Vec::with_capacity(other.series.len());
        for mut theirs in other.series {
            theirs.close(keeps_extents);
            match known.get(&theirs.bytes).and_then(|at| Some((*at, self.series.get_mut(*at)?))) {
                Some((at, mine)) => {
                    places.push(at);
                    mine.screen.merge(theirs.screen);
                }
                None => {
                    places.push(self.series.len());
                    known.insert(theirs.bytes.clone(), self.series.len());
                    self.series.push(theirs);
                }
            }
        }
        let by_series = plan.order.as_ref().is_some_and(|order| order.by_series);
        self.rising.merge(other.rising, |at| if by_series { places.get(at).copied().unwrap_or(at) } else { at });
        self.null_tags = match (self.null_tags.take(), other.null_tags) {
            (Some(mut mine), Some(theirs)) => {
                mine.extend(theirs);
                Some(mine).filter(|tags| tags.len() <= MOST_NULL_TAGS)
            }
            _ => None,
        };
        self.untold.merge(other.untold, plan.max_samples);
        for (mine, theirs) in self.lost.iter_mut().zip(other.lost) {
            *mine += theirs;
        }
        for (mine, theirs) in self.rules.iter_mut().zip(other.rules) {
            mine.violations += theirs.violations;
            mine.unknown += theirs.unknown;
            mine.violating.extend(theirs.violating);
            mine.unknown_rows.extend(theirs.unknown_rows);
            for samples in [&mut mine.violating, &mut mine.unknown_rows] {
                samples.sort();
                samples.truncate(plan.max_samples);
            }
        }
    }
}

impl Plan {
    /// Whether rows or keys are hashed.
    fn summed(&self) -> bool {
        self.whole || self.repeats.is_some()
    }

    /// The series' columns in canonical form, and their encoders.
    fn series_columns(&self, batch: &RecordBatch) -> Result<(RecordBatch, Vec<ColumnEncoder>), DataFusionError> {
        let mut fields = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        let mut encoders = Vec::new();
        let schema = self.hasher.canonicaliser.schema();
        for &place in &self.series {
            let (array, _) = self.hasher.canonicaliser.column(place, batch)?;
            encoders.push(ColumnEncoder::new("", &array).map_err(|e| DataFusionError::Execution(e.to_string()))?);
            fields.push(schema.field(place).clone());
            columns.push(array);
        }
        Ok((RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns)?, encoders))
    }
}

impl SeriesScreen {
    fn new(reach: Option<i128>, label: String) -> Self {
        Self {
            label,
            rows: 0,
            null_times: 0,
            untold: BTreeMap::new(),
            null_sequences: 0,
            windows: WindowSums::default(),
            digests: None,
            time: TimeCoverage::new(reach),
            extent: None,
            window_extents: HashMap::new(),
            sequence: SequenceCoverage::default(),
            clock: Clock::default(),
            counters: Vec::new(),
            extra: None,
        }
    }

    fn coarsen(&mut self, windowing: Windowing) {
        self.windows.coarsen(|start| windowing.window_of(Instant(start)).start.0);
        if let Some(digests) = &mut self.digests {
            for (start, more) in std::mem::take(&mut digests.windows) {
                let start = start.map(|start| windowing.window_of(Instant(start)).start.0);
                digests.windows.entry(start).or_default().extend(more);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        let Self {
            label: _,
            rows,
            null_times,
            untold,
            null_sequences,
            windows,
            digests,
            time,
            extent,
            window_extents,
            sequence,
            clock,
            counters: _,
            extra,
        } = other;
        self.rows += rows;
        self.null_times += null_times;
        for (hour, (last, rows)) in untold {
            let mine = self.untold.entry(hour).or_insert((last, 0));
            *mine = (mine.0.max(last), mine.1 + rows);
        }
        self.null_sequences += null_sequences;
        self.windows.merge(windows);
        if let Some(theirs) = digests {
            let mine = self.digests.get_or_insert_default();
            for (start, more) in theirs.windows {
                mine.windows.entry(start).or_default().extend(more);
            }
        }
        self.time.merge(time);
        if let Some((first, last)) = extent {
            widen(&mut self.extent, first);
            widen(&mut self.extent, last);
        }
        for (start, (first, last)) in window_extents {
            let mine = self.window_extents.entry(start).or_insert((first, last));
            *mine = (mine.0.min(first), mine.1.max(last));
        }
        self.sequence.merge(sequence);
        self.clock.merge(clock);
        if let Some(theirs) = extra {
            match &mut self.extra {
                Some(mine) => mine.merge(*theirs),
                None => self.extra = Some(theirs),
            }
        }
    }
}

/// Keeps the first so many samples in canonical order, sorting only now and then.
fn keep_first(samples: &mut Vec<RowSample>, sample: RowSample, most: usize) {
    samples.push(sample);
    if samples.len() >= most.saturating_mul(2).max(1_024) {
        samples.sort();
        samples.truncate(most);
    }
}

/// The rows of some columns in a form whose bytes sort as the values do.
pub(super) fn order_rows(batch: &RecordBatch, places: &[usize]) -> Result<arrow::row::Rows, DataFusionError> {
    let fields = places.iter().map(|&place| SortField::new(batch.column(place).data_type().clone())).collect();
    let columns: Vec<ArrayRef> = places.iter().map(|&place| batch.column(place).clone()).collect();
    let converter = RowConverter::new(fields)?;
    Ok(converter.convert_columns(&columns)?)
}

/// Sequence numbers of any integer type.
pub(super) fn whole_numbers(array: &ArrayRef) -> Result<Vec<Option<i128>>, DataFusionError> {
    if array.data_type() == &DataType::Int64 {
        return Ok(array.as_primitive::<Int64Type>().iter().map(|number| number.map(i128::from)).collect());
    }
    let wide = cast(array, &DataType::Decimal128(38, 0))?;
    Ok(wide.as_primitive::<Decimal128Type>().iter().collect())
}

/// The partial states of the sides under one windowing.
fn finish(prepared: &Prepared, mut partials: Vec<Partial>, known: Option<usize>) -> Screened {
    let stream = &prepared.stream;
    let mut extent = None;
    for partial in &partials {
        if let Some((first, last)) = partial.extent {
            widen(&mut extent, first);
            widen(&mut extent, last);
        }
    }
    let series = partials.iter().map(|partial| partial.series.len().max(partial.distinct.len())).max().unwrap_or(0);
    let rung = known.unwrap_or_else(|| rung_for(extent, 0, most_windows(series)));
    let windowing = prepared.time.and_then(|_| windowing_at(stream.window, stream.time_zone, rung));
    let mut sides = Vec::new();
    for (opened, partial) in prepared.sides.iter().zip(&mut partials) {
        if partial.cut.has_moved() {
            let cut = &partial.cut;
            partial.series.retain(|series| cut.holds(&series.bytes));
        }
        for series in &mut partial.series {
            series.close(stream.window.is_some());
            if let (None, Some(windowing)) = (stream.window, windowing) {
                series.screen.coarsen(windowing);
            }
            series.screen.windows.settle();
        }
        for tally in &mut partial.rules {
            tally.violating.sort();
            tally.unknown_rows.sort();
        }
        sides.push(SideScreen {
            side: opened.side,
            rows_read: partial.rows_read,
            rows_outside: partial.rows_outside,
            rows_inside: partial.rows_inside,
            extent: partial.extent,
            aside: Aside::default(),
            series: std::mem::take(&mut partial.series)
                .into_iter()
                .filter(|series| series.screen.rows > 0)
                .map(|series| (series.bytes.to_vec(), series.screen))
                .collect(),
            null_tags: partial.null_tags.take(),
            lost: std::mem::take(&mut partial.lost),
            rules: std::mem::take(&mut partial.rules),
            untold: std::mem::take(&mut partial.untold).in_order(),
        });
    }
    let mut screened = Screened {
        sides,
        windowing,
        remains: None,
        repeats: None,
        learned: BTreeMap::new(),
        payloads: BTreeMap::new(),
        stages: Vec::new(),
        doubts: Vec::new(),
        rest: None,
        rung,
    };
    settle_grids(prepared, &mut screened);
    screened
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    /// A table of places says what was learned, and nothing where a number is not known, wherever numbers lie.
    #[test]
    fn series_that_are_numbers_are_found_where_they_were_put() {
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let from = [0, i64::MIN, i64::MAX - 40, -17][rng.random_range(0..4)];
            let mut near = NearSeries::default();
            let mut known: HashMap<i64, u32> = HashMap::new();
            for _ in 0..20 {
                let numbers: Vec<i64> = (0..100)
                    .map(|_| if rng.random_bool(0.9) { from.wrapping_add(rng.random_range(0..40)) } else { rng.random() })
                    .collect();
                let all = numbers.iter().map(|number| known.get(number).copied()).collect::<Option<Vec<u32>>>();
                let found = near.find(&numbers);
                assert!(found.is_none() || found == all, "seed {seed}");
                let places: Vec<u32> = numbers
                    .iter()
                    .map(|number| {
                        let next = known.len() as u32;
                        *known.entry(*number).or_insert(next)
                    })
                    .collect();
                near.learn(&numbers, &places);
            }
            let those: Vec<i64> = (0..40).map(|at| from.wrapping_add(at)).filter(|number| known.contains_key(number)).collect();
            if those.iter().all(|number| number.wrapping_sub(near.from).cast_unsigned() < NEAR_SERIES as u64) {
                assert_eq!(near.find(&those), Some(those.iter().map(|number| known[number]).collect()), "seed {seed}");
            }
        }
    }
}
