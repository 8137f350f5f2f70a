//! One narrow pass for what the other passes did not leave: what stands at the edges of a hole, how many rows lie between two
//! of them, which files and slices the differing rows lie in, and where rows with the same values stand.
//!
//! ```text
//! series A   ──────●[   hole   )●────●[ hole )●───────      ● the rows at its edges: time, number, file
//!                                ├ between ┤                  rows that survived between two holes
//! ```
//!
//! It runs only where there is something to explain, reads only the columns that the questions need, and holds what follows holes,
//! differing rows, files and slices: never rows. Files are read one by one, so that each row is known to be of its file.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::DataType;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlanProperties;
use futures::TryStreamExt;

use super::lateness::{LateRule, Spread};
use crate::checks::continuity::Whose;
use crate::checks::hashing::{SideHasher, Times};
use crate::checks::reading::{Want, failed, fold, scan};
use crate::checks::screen::whole_numbers;
use crate::checks::sketch::{ByHash, Tags, tag_of};
use crate::domain::{ColumnEncoder, Seed, Side};
use crate::error::{Error, Result};
use crate::findings::StageRecord;
use crate::job::RunOptions;
use crate::progress::Progress;
use crate::source::Opened;
use crate::staging::{Conversion, Prepared, Shower};

/// Files that are told apart at most; beyond, a side is read as a whole and its files are not judged.
const MOST_FILES: usize = 512;
/// Values of a column that make slices at most; a column with more is no place to look for a cause.
const MOST_VALUES: usize = 256;

/// Rows whose values are looked at before a side is read, to leave out columns with too many values.
const PROBED_ROWS: usize = 32_768;

/// What can be wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// One side lacks it.
    Missing,
    /// It came again.
    Repeated,
    /// Its values differ.
    Altered,
}

impl Wrong {
    pub(super) const ALL: [Self; 3] = [Self::Missing, Self::Repeated, Self::Altered];

    pub(super) fn index(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Repeated => 1,
            Self::Altered => 2,
        }
    }

    pub(super) fn bit(self) -> u8 {
        1 << self.index()
    }
}

/// What a track is measured along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Axis {
    Time,
    Sequence,
}

/// Disjoint half-open intervals of a series in ascending order, in which somebody has no rows, or the wrong ones.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) series: usize,
    pub(super) whose: Whose,
    pub(super) axis: Axis,
    pub(super) intervals: Vec<(i128, i128)>,
}

/// A row at the edge of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// Where it lies along the axis.
    pub(super) at: i128,
    pub(super) time: Option<i128>,
    /// The first and the last number of the row; they are the same where a row has one.
    pub(super) number: Option<(i128, i128)>,
    pub(super) file: Option<(Side, usize)>,
}

/// What lies around and inside an interval.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Edge {
    pub(super) before: Option<Point>,
    pub(super) after: Option<Point>,
    /// Rows of each side that lie inside.
    pub(super) inside: [u64; 2],
    /// The first and the last row inside of the side that is not the owner.
    pub(super) other: Option<(Point, Point)>,
}

impl Edge {
    /// Takes rows of the other side into account that lie inside.
    pub(super) fn offer_inside(&mut self, first: Point, last: Point) {
        let order = |p: &Point| (p.at, p.number, p.file);
        self.other = Some(match self.other {
            None => (first, last),
            Some((a, b)) => (if order(&first) < order(&a) { first } else { a }, if order(&last) > order(&b) { last } else { b }),
        });
    }

    fn offer_before(&mut self, point: Point) {
        let order = |p: &Point| (p.at, p.number, std::cmp::Reverse(p.file));
        if self.before.is_none_or(|known| order(&known) < order(&point)) {
            self.before = Some(point);
        }
    }

    fn offer_after(&mut self, point: Point) {
        let order = |p: &Point| (p.at, p.number, p.file);
        if self.after.is_none_or(|known| order(&known) > order(&point)) {
            self.after = Some(point);
        }
    }
}

/// What was seen of a track.
#[derive(Debug, Clone, Default)]
pub(super) struct TrackSeen {
    pub(super) edges: Vec<Edge>,
    /// Rows of the track's owner before the first interval, between each two, and after the last.
    pub(super) between: Vec<u64>,
    /// By interval, the rows of each side inside that came after their window was complete.
    pub(super) late: BTreeMap<usize, [Spread; 2]>,
}

impl TrackSeen {
    fn add(&mut self, track: &Track, side: Side, point: Point, late: Option<i128>) {
        // A reader makes room for the tracks that it meets.
        if self.edges.is_empty() {
            self.edges.resize(track.intervals.len(), Edge::default());
            self.between.resize(track.intervals.len() + 1, 0);
        }
        let next = track.intervals.partition_point(|(_, until)| *until <= point.at);
        if track.intervals.get(next).is_some_and(|(from, _)| *from <= point.at) {
            self.edges[next].inside[side.index()] += 1;
            if let Some(late) = late {
                self.late.entry(next).or_default()[side.index()].add(late);
            }
            if track.whose == Whose::One(side.other()) {
                self.edges[next].offer_inside(point, point);
            }
            return;
        }
        if track.whose == Whose::Recovered || track.whose == Whose::One(side) {
            self.between[next] += 1;
            if let Some(edge) = next.checked_sub(1).and_then(|before| self.edges.get_mut(before)) {
                edge.offer_after(point);
            }
            if let Some(edge) = self.edges.get_mut(next) {
                edge.offer_before(point);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        if self.edges.is_empty() {
            *self = other;
            return;
        }
        for (mine, theirs) in self.edges.iter_mut().zip(other.edges) {
            theirs.before.into_iter().for_each(|point| mine.offer_before(point));
            theirs.after.into_iter().for_each(|point| mine.offer_after(point));
            theirs.other.into_iter().for_each(|(first, last)| mine.offer_inside(first, last));
            mine.inside[0] += theirs.inside[0];
            mine.inside[1] += theirs.inside[1];
        }
        self.between.iter_mut().zip(other.between).for_each(|(mine, theirs)| *mine += theirs);
        for (interval, theirs) in other.late {
            let mine = self.late.entry(interval).or_default();
            mine.iter_mut().zip(&theirs).for_each(|(mine, theirs)| mine.merge(theirs));
        }
    }
}

/// Rows of a slice, and how many of them are wrong in each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) wrong: [u64; 3],
}

impl Tally {
    fn add(&mut self, wrong: u8) {
        self.rows += 1;
        for kind in Wrong::ALL {
            self.wrong[kind.index()] += u64::from(wrong & kind.bit() != 0);
        }
    }

    fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.wrong.iter_mut().zip(other.wrong).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// A file of a side.
#[derive(Debug, Clone, Default)]
pub(super) struct FileSeen {
    pub(super) tally: Tally,
    /// First and last event time of the file, and of each series that has a track.
    pub(super) extent: Option<(i128, i128)>,
    pub(super) series: HashMap<usize, (i128, i128)>,
}

fn stretch(extent: &mut Option<(i128, i128)>, first: i128, last: i128) {
    *extent = Some(extent.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
}

/// A differing row, by the checksum of its values without its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Content {
    pub(super) group: u128,
    pub(super) time: i128,
    pub(super) series: Option<usize>,
    pub(super) wrong: u8,
}

/// A value: how it sorts, how it is shown, and its rows.
#[derive(Debug)]
struct Value {
    order: Vec<u8>,
    shown: String,
    tally: Tally,
}

/// The values of a column by their checksums.
type Values = HashMap<u128, Value, ByHash>;
/// The values of a column as they are shown, sorted, with their tallies.
pub(super) type Shown = Vec<(String, Tally)>;

/// What is asked of the pass.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// By the canonical encoding of a series' values: its place among the series with tracks.
    pub(super) series: HashMap<Vec<u8>, usize>,
    pub(super) tracks: Vec<Track>,
    /// For each side the keys that are wrong, in row format, with how.
    pub(super) keys: [HashMap<Vec<u8>, u8>; 2],
    /// Whether slices are tallied on a side.
    pub(super) slices: [bool; 2],
    /// Whether the values of differing rows are wanted, apart from these columns.
    pub(super) content: Option<Vec<usize>>,
    /// What makes a row late, where there is a second clock.
    pub(super) late: Option<LateRule>,
}

impl Questions {
    fn needs(&self, side: Side) -> bool {
        !self.tracks.is_empty() || self.slices[side.index()] || self.content.is_some()
    }
}

/// What it answered.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) tracks: Vec<TrackSeen>,
    /// For each side its files, where they were told apart.
    pub(super) files: [Vec<FileSeen>; 2],
    /// All rows of each side.
    pub(super) totals: [Tally; 2],
    /// For each side the columns that make slices: place, and the tallies of their values.
    pub(super) slices: [Vec<(usize, Shown)>; 2],
    pub(super) content: [Vec<Content>; 2],
}

/// Columns in whose values a cause may lie: few values, not measured ones.
fn can_slice(prepared: &Prepared, place: usize) -> bool {
    let column = &prepared.paired[place];
    let discrete = match &column.common {
        DataType::Boolean | DataType::Date32 | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        other => other.is_integer(),
    };
    discrete && ![prepared.time, prepared.sequence, prepared.sequence_last].contains(&Some(place))
}

/// What one reader has seen of a file.
struct State {
    places: HashMap<u128, Option<usize>, ByHash>,
    tracks: Vec<TrackSeen>,
    file: FileSeen,
    slices: Vec<Option<Values>>,
    content: Vec<Content>,
}

/// What all readers of a side share.
struct Reader {
    side: Side,
    file: Option<usize>,
    questions: Arc<Questions>,
    hasher: SideHasher,
    shower: Shower,
    names: Vec<String>,
    time: Option<usize>,
    sequence: Option<usize>,
    sequence_last: Option<usize>,
    series: Vec<usize>,
    identity: Vec<usize>,
    sliced: Vec<usize>,
    tracks_of: Vec<Vec<usize>>,
    /// The tags of the keys that are wrong; `None` where each key is looked up by value.
    tags: Option<Arc<Tags>>,
}

impl Reader {
    fn state(&self) -> State {
        State {
            places: HashMap::default(),
            tracks: vec![TrackSeen::default(); self.questions.tracks.len()],
            file: FileSeen::default(),
            slices: self.sliced.iter().map(|_| Some(Values::default())).collect(),
            content: Vec::new(),
        }
    }

    fn column(&self, place: usize, batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
        self.hasher.canonicaliser.column(place, batch).map(|(array, _)| array)
    }

    /// For each row the place of its series, where that has a track.
    fn series_of(&self, state: &mut State, batch: &RecordBatch) -> Result<Vec<Option<usize>>, DataFusionError> {
        if self.questions.series.is_empty() {
            return Ok(vec![None; batch.num_rows()]);
        }
        if self.series.is_empty() {
            return Ok(vec![Some(0); batch.num_rows()]);
        }
        let groups = self.hasher.group(batch, &self.series)?;
        let mut encoders: Option<Vec<ColumnEncoder>> = None;
        let mut found = Vec::with_capacity(groups.len());
        for (row, group) in groups.into_iter().enumerate() {
            if let Some(place) = state.places.get(&group) {
                found.push(*place);
                continue;
            }
            if encoders.is_none() {
                let made = self.series.iter().map(|&place| {
                    ColumnEncoder::new("", &self.column(place, batch)?).map_err(|e| DataFusionError::Execution(e.to_string()))
                });
                encoders = Some(made.collect::<std::result::Result<Vec<_>, DataFusionError>>()?);
            }
            let mut bytes = Vec::new();
            encoders.iter().flatten().for_each(|encoder| encoder.encode(row, &mut bytes));
            let place = self.questions.series.get(&bytes).copied();
            state.places.insert(group, place);
            found.push(place);
        }
        Ok(found)
    }

    /// For each row what is wrong with its key.
    fn wrongs(&self, batch: &RecordBatch) -> Result<Vec<u8>, DataFusionError> {
        let keys = &self.questions.keys[self.side.index()];
        if keys.is_empty() {
            return Ok(vec![0; batch.num_rows()]);
        }
        let mut wrongs = vec![0; batch.num_rows()];
        // Most rows are told off by the checksum of their key; the others are looked up by value.
        let candidates: Vec<usize> = match &self.tags {
            Some(tags) => {
                let sums = self.hasher.hash(batch, false)?.keys;
                (0..wrongs.len()).filter(|row| tags.contains(sums[*row])).collect()
            }
            None => (0..wrongs.len()).collect(),
        };
        if candidates.is_empty() {
            return Ok(wrongs);
        }
        let picked = match candidates.len() == wrongs.len() {
            true => batch.clone(),
            false => {
                let mut mask = vec![false; wrongs.len()];
                candidates.iter().for_each(|row| mask[*row] = true);
                filter_record_batch(batch, &BooleanArray::from(mask))?
            }
        };
        let columns = self.identity.iter().map(|&place| self.column(place, &picked)).collect::<Result<Vec<_>, _>>()?;
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
        for (row, bytes) in candidates.into_iter().zip(rows.iter()) {
            wrongs[row] = keys.get(bytes.as_ref()).copied().unwrap_or(0);
        }
        Ok(wrongs)
    }

    /// Tallies the values of a column; false once there are too many.
    fn tally(&self, place: usize, values: &mut Values, batch: &RecordBatch, wrongs: &[u8]) -> Result<bool, DataFusionError> {
        let sums = self.hasher.group(batch, &[place])?;
        let mut recent: Option<(u128, Tally)> = None;
        let keep = |values: &mut Values, recent: Option<(u128, Tally)>| {
            if let Some((sum, tally)) = recent
                && let Some(value) = values.get_mut(&sum)
            {
                value.tally.merge(tally);
            }
        };
        for (row, sum) in sums.into_iter().enumerate() {
            if recent.as_ref().is_none_or(|(known, _)| *known != sum) {
                keep(values, recent.take());
                let known = values.len();
                if let Entry::Vacant(free) = values.entry(sum) {
                    let column = self.column(place, &batch.slice(row, 1))?;
                    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
                    let order = converter.convert_columns(std::slice::from_ref(&column))?.row(0).as_ref().to_vec();
                    let shown = self.shower.text(&self.names[place], &column, 0).unwrap_or_else(|| "NULL".to_string());
                    free.insert(Value { order, shown, tally: Tally::default() });
                    if known == MOST_VALUES {
                        return Ok(false);
                    }
                }
                recent = Some((sum, Tally::default()));
            }
            if let Some((_, tally)) = &mut recent {
                tally.add(wrongs[row]);
            }
        }
        keep(values, recent);
        Ok(true)
    }

    fn add(&self, state: &mut State, batch: &RecordBatch) -> Result<(), DataFusionError> {
        let rows = batch.num_rows();
        let times = self.time.map(|place| Times::of(&self.column(place, batch)?)).transpose()?;
        let whole = |place: usize| whole_numbers(&self.column(place, batch)?);
        let numbers = self.sequence.map(whole).transpose()?;
        let last_numbers = self.sequence_last.map(whole).transpose()?;
        let number_of = |row: usize| -> Option<(i128, i128)> {
            let first = numbers.as_ref().and_then(|numbers| numbers[row])?;
            match &last_numbers {
                // A range that ends before it begins holds no number.
                Some(last) => last[row].filter(|last| *last >= first).map(|last| (first, last)),
                None => Some((first, first)),
            }
        };
        let arrivals = self.questions.late.map(|late| Times::of(&self.column(late.place, batch)?)).transpose()?;
        let series = self.series_of(state, batch)?;
        let wrongs = self.wrongs(batch)?;
        if let Some((first, last)) = times.as_ref().and_then(Times::extent) {
            stretch(&mut state.file.extent, first, last);
        }
        let file = self.file.map(|file| (self.side, file));
        for row in 0..rows {
            state.file.tally.add(wrongs[row]);
            let time = times.as_ref().and_then(|times| times.at(row));
            let Some(place) = series[row] else { continue };
            if let Some(at) = time {
                let extent = state.file.series.entry(place).or_insert((at, at));
                *extent = (extent.0.min(at), extent.1.max(at));
            }
            let number = number_of(row);
            for &track in self.tracks_of.get(place).into_iter().flatten() {
                let along = match self.questions.tracks[track].axis {
                    Axis::Time => time,
                    Axis::Sequence => number.map(|(first, _)| first),
                };
                if let Some(at) = along {
                    let point = Point { at, time, number, file };
                    let arrived = arrivals.as_ref().and_then(|arrivals| arrivals.at(row));
                    let late = self.questions.late.zip(time.zip(arrived)).and_then(|(late, (time, arrived))| late.of(time, arrived));
                    state.tracks[track].add(&self.questions.tracks[track], self.side, point, late);
                }
            }
        }
        for (slot, &place) in self.sliced.iter().enumerate() {
            let Some(values) = &mut state.slices[slot] else { continue };
            if !self.tally(place, values, batch, &wrongs)? {
                state.slices[slot] = None;
            }
        }
        if let (Some(places), Some(times)) = (&self.questions.content, &times)
            && wrongs.iter().any(|wrong| *wrong != 0)
        {
            let groups = self.hasher.group(batch, places)?;
            for row in 0..rows {
                if let (true, Some(time)) = (wrongs[row] != 0, times.at(row)) {
                    state.content.push(Content { group: groups[row], time, series: series[row], wrong: wrongs[row] });
                }
            }
        }
        Ok(())
    }
}

fn merge_values(mine: &mut Option<Values>, theirs: Option<Values>) {
    let (Some(known), Some(theirs)) = (mine.as_mut(), theirs) else {
        *mine = None;
        return;
    };
    for (sum, value) in theirs {
        match known.entry(sum) {
            Entry::Occupied(mut mine) => mine.get_mut().tally.merge(value.tally),
            Entry::Vacant(free) => {
                free.insert(value);
            }
        }
    }
    if known.len() > MOST_VALUES {
        *mine = None;
    }
}

/// Leaves out columns that have too many values among the first rows of a side: they have too many in all, and reading them would be in vain.
async fn probe(
    prepared: &Prepared,
    opened: &Opened,
    options: &RunOptions,
    seed: &Seed,
    context: &Arc<TaskContext>,
    sliced: &mut Vec<usize>,
) -> Result<()> {
    if sliced.is_empty() {
        return Ok(());
    }
    let want = Want { columns: sliced.clone(), hashed: true, bounded: options.shortcuts.statistics, ..Want::default() };
    let plan = scan(prepared, opened, &want).await?;
    let hasher = SideHasher::new(opened.side, prepared, seed, &plan.schema());
    let mut seen: Vec<HashSet<u128, ByHash>> = sliced.iter().map(|_| HashSet::default()).collect();
    let mut rows = 0;
    let failed = |error| failed(opened.side, error);
    for partition in 0..plan.output_partitioning().partition_count() {
        let mut stream = plan.execute(partition, context.clone()).map_err(failed)?;
        while rows < PROBED_ROWS {
            let Some(batch) = stream.try_next().await.map_err(failed)? else { break };
            rows += batch.num_rows();
            for (place, values) in sliced.iter().zip(&mut seen) {
                values.extend(hasher.group(&batch, &[*place]).map_err(failed)?);
            }
        }
        if rows >= PROBED_ROWS {
            break;
        }
    }
    let mut few = seen.iter().map(|values| values.len() <= MOST_VALUES);
    sliced.retain(|_| few.next().unwrap_or(true));
    Ok(())
}

/// The tags of keys in row format; `None` where keys are not hashed as the values that they are in the end.
fn wrong_tags(prepared: &Prepared, side: Side, seed: &Seed, keys: &HashMap<Vec<u8>, u8>) -> Option<Tags> {
    let identity = prepared.identity();
    if identity.iter().any(|place| prepared.paired[*place].conversions.contains(&Conversion::Encoding)) {
        return None;
    }
    let fields = identity.iter().map(|place| SortField::new(prepared.paired[*place].common.clone())).collect();
    let converter = RowConverter::new(fields).ok()?;
    let parser = converter.parser();
    let columns = converter.convert_rows(keys.keys().map(|key| parser.parse(key))).ok()?;
    let named = identity.iter().map(|place| &prepared.paired[*place]);
    let schema: Schema =
        Schema::new(named.zip(&columns).map(|(c, array)| Field::new(&c.name, array.data_type().clone(), true)).collect::<Vec<_>>());
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).ok()?;
    // These are in their common types already.
    let mut converted = prepared.clone();
    for column in &mut converted.paired {
        column.conversions = [Conversion::Cast, Conversion::Cast];
        column.text = Vec::new();
    }
    let sums = SideHasher::new(side, &converted, seed, &schema).hash(&batch, false).ok()?.keys;
    Some(Tags::new(sums.into_iter().map(tag_of)))
}

/// Reads the sides once more and answers the questions.
///
/// # Errors
/// A side could not be read again.
pub(super) async fn gather(
    prepared: &Prepared,
    questions: Questions,
    options: &RunOptions,
    seed: &Seed,
    shower: &Shower,
    context: &Arc<TaskContext>,
    progress: &Progress,
) -> Result<(Evidence, Arc<Questions>, Vec<StageRecord>)> {
    let questions = Arc::new(questions);
    let mut evidence = Evidence { tracks: vec![TrackSeen::default(); questions.tracks.len()], ..Evidence::default() };
    let mut stages = Vec::new();
    let mut tracks_of = vec![Vec::new(); questions.tracks.iter().map(|track| track.series + 1).max().unwrap_or(0)];
    for (at, track) in questions.tracks.iter().enumerate() {
        if let Some(of) = tracks_of.get_mut(track.series) {
            of.push(at);
        }
    }
    for opened in &prepared.sides {
        let at = opened.side.index();
        if !questions.needs(opened.side) {
            continue;
        }
        let mut sliced: Vec<usize> = match questions.slices[at] {
            true => (0..prepared.paired.len()).filter(|&place| can_slice(prepared, place)).collect(),
            false => Vec::new(),
        };
        probe(prepared, opened, options, seed, context, &mut sliced).await?;
        let tags = wrong_tags(prepared, opened.side, seed, &questions.keys[at]).map(Arc::new);
        let identity = if questions.keys[at].is_empty() { Vec::new() } else { prepared.identity() };
        let mut columns: Vec<usize> = prepared.time.into_iter().chain(prepared.sequence).chain(prepared.series.iter().copied()).collect();
        columns.extend(prepared.sequence_last);
        columns.extend(&identity);
        columns.extend(&sliced);
        columns.extend(questions.content.iter().flatten());
        columns.extend(questions.late.map(|late| late.place));
        if columns.is_empty() {
            // Rows are still counted, and something must be read for that.
            columns.push(0);
        }
        columns.sort_unstable();
        columns.dedup();
        progress.stage(&format!("asking why of {} {}", prepared.stream.name, opened.side), opened.rows_hint);
        let apart = opened.files.len() <= MOST_FILES;
        let parts: Vec<Option<usize>> = if apart { (0..opened.files.len()).map(Some).collect() } else { vec![None] };
        let mut merged: Option<Vec<Option<Values>>> = None;
        let mut cost: Option<StageRecord> = None;
        for part in parts {
            let one = match part {
                Some(file) => opened.only(&|other| other == file).map_err(Error::engine("asking for evidence"))?,
                None => opened.clone(),
            };
            let want = Want { columns: columns.clone(), hashed: true, bounded: options.shortcuts.statistics, ..Want::default() };
            let plan = scan(prepared, &one, &want).await?;
            let reader = Arc::new(Reader {
                side: opened.side,
                file: part,
                questions: questions.clone(),
                hasher: SideHasher::new(opened.side, prepared, seed, &plan.schema()),
                shower: shower.clone(),
                names: prepared.paired.iter().map(|column| column.name.clone()).collect(),
                time: prepared.time,
                sequence: prepared.sequence,
                sequence_last: prepared.sequence_last,
                series: prepared.series.clone(),
                identity: identity.clone(),
                sliced: sliced.clone(),
                tracks_of: tracks_of.clone(),
                tags: tags.clone(),
            });
            let own = reader.clone();
            let add = move |state: &mut State, batch: RecordBatch| {
                let batch = own.hasher.inside(&batch)?.unwrap_or(batch);
                own.add(state, &batch)
            };
            let (states, stage) = fold("diagnosis", opened.side, plan, context.clone(), progress, || reader.state(), add).await?;
            match &mut cost {
                Some(cost) => {
                    cost.rows += stage.rows;
                    cost.bytes += stage.bytes;
                    cost.elapsed_ms += stage.elapsed_ms;
                }
                None => cost = Some(stage),
            }
            let mut seen = FileSeen::default();
            for state in states {
                let State { places: _, tracks, file, slices, content } = state;
                evidence.tracks.iter_mut().zip(tracks).for_each(|(mine, theirs)| mine.merge(theirs));
                seen.tally.merge(file.tally);
                if let Some((first, last)) = file.extent {
                    stretch(&mut seen.extent, first, last);
                }
                for (place, (first, last)) in file.series {
                    let extent = seen.series.entry(place).or_insert((first, last));
                    *extent = (extent.0.min(first), extent.1.max(last));
                }
                match &mut merged {
                    Some(merged) => merged.iter_mut().zip(slices).for_each(|(mine, theirs)| merge_values(mine, theirs)),
                    None => merged = Some(slices),
                }
                evidence.content[at].extend(content);
            }
            evidence.totals[at].merge(seen.tally);
            if apart {
                evidence.files[at].push(seen);
            }
        }
        evidence.content[at].sort_unstable();
        for (place, values) in sliced.into_iter().zip(merged.into_iter().flatten()) {
            let Some(values) = values else { continue };
            // By the order of values too: the text NULL and NULL itself are shown alike.
            let mut listed: Vec<Value> = values.into_values().collect();
            listed.sort_by(|a, b| (&a.shown, &a.order).cmp(&(&b.shown, &b.order)));
            evidence.slices[at].push((place, listed.into_iter().map(|value| (value.shown, value.tally)).collect()));
        }
        stages.extend(cost);
    }
    Ok((evidence, questions, stages))
}
