//! What the exact look settled, in canonical order however much it is.
//!
//! While they fit, differences stay in memory. Once they do not, they go to temporary files as sorted runs, one file a class, and are
//! merged while they are read. At most the first so many of each class are ever handed out: what cannot be among them is dropped on
//! the way, so that the files follow that limit and not the data. Nobody who reads them can tell which of the two it was.
//!
//! ```text
//! settle ──► held ──(full)──► run, run, run ──(many)──► longer run
//!              │                 └──────── merge ────────┐
//!              └──────────── in memory ──────────────────┴──► differences, class by class, in order of their keys
//! ```

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{Decimal128Type, Field, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use tempfile::TempDir;

use super::store::through_engine;
use crate::domain::{Instant, Severity, Side, Window};
use crate::error::{Error, Result};
use crate::findings::columns::{batch, count, end, start, text};

/// One settled difference between the sides, or a duplicate within one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the relation `differences`, documented in queries/AUTHORING.md")]
pub struct Difference {
    /// Place in the canonical order: the key's value, then the column's place, then the side.
    pub order: Vec<u8>,
    pub class: &'static str,
    pub kind: Option<&'static str>,
    pub severity: Option<Severity>,
    pub side: Option<Side>,
    pub series: String,
    pub key: String,
    pub column: Option<String>,
    pub original_value: Option<String>,
    pub backfill_value: Option<String>,
    pub rows: u64,
    pub window: Option<Window>,
    pub from: Option<Instant>,
    pub until: Option<Instant>,
}

/// All kinds that a difference can have, as they are read back.
const KINDS: [&str; 4] = ["alike", "conflict", "replay", "surplus"];

/// Differences of each class that are looked at as a whole to explain them: where there are more, a sample by the hash of the key, which
/// is fair to all places. It follows neither the memory nor the order in which they come, so that what is said does not.
const EXPLAINED: usize = 200_000;
/// Differences that a run reads at a time.
const ROWS_READ: usize = 512;
/// Rows of the relation that are made at a time.
const ROWS_MADE: usize = 8_192;
/// Runs of a class and size before they become one.
const FAN_IN: usize = 24;

impl Difference {
    /// The key's value: a mismatch names its column behind it.
    pub(super) fn key_order(&self) -> &[u8] {
        let end = if self.class == "value_mismatch" { self.order.len().saturating_sub(4) } else { self.order.len() };
        &self.order[..end]
    }

    /// Decides whether the key is in a sample. All differences of a key are in it, or none.
    fn lot(&self) -> u64 {
        let mut lot = [0; 8];
        lot.copy_from_slice(&blake3::hash(self.key_order()).as_bytes()[..8]);
        u64::from_le_bytes(lot)
    }

    fn canonical(&self) -> (&'static str, &[u8], Option<&'static str>, Option<Side>) {
        (self.class, &self.order, self.kind, self.side)
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> u64 {
        let texts = [Some(&self.series), Some(&self.key), self.column.as_ref(), self.original_value.as_ref(), self.backfill_value.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(|text| text.capacity() + 16).sum();
        (std::mem::size_of::<Self>() + self.order.capacity() + 16 + texts) as u64
    }
}

/// A class of which a sample is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thinned {
    lot: u64,
    /// How many are in the sample.
    pub(crate) looked_at: u64,
    /// From the first to the last of all of them.
    pub(crate) extent: Option<(Instant, Instant)>,
}

/// A sorted run of one class.
#[derive(Debug)]
struct Run {
    class: &'static str,
    /// How often its parts have been merged.
    level: u32,
    path: PathBuf,
    rows: u64,
}

/// Differences, to be read once all are there.
#[derive(Debug)]
pub struct Differences {
    /// Listed of each class.
    most: u64,
    /// Bytes that may be held in memory.
    room: u64,
    held: Vec<Difference>,
    bytes: u64,
    runs: Vec<Run>,
    directory: Option<TempDir>,
    /// Those of others that were added to these.
    directories: Vec<TempDir>,
    files: u64,
    /// Where the last one lies that can still be listed, of classes of which there are more.
    bound: BTreeMap<&'static str, Vec<u8>>,
    listed: BTreeMap<&'static str, u64>,
    /// The sample of those that were spilled.
    sample: Vec<Difference>,
    /// Of classes of which not all are looked at: the greatest lot that is in the sample, and what there is of all of them.
    thinned: BTreeMap<&'static str, Thinned>,
    /// A kind that stands for every other.
    said: Option<&'static str>,
}

impl Default for Differences {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl Differences {
    /// So many of each class are listed; so many bytes may be held in memory.
    pub(super) fn new(most: usize, room: u64) -> Self {
        Self {
            most: most as u64,
            room,
            held: Vec::new(),
            bytes: 0,
            runs: Vec::new(),
            directory: None,
            directories: Vec::new(),
            files: 0,
            bound: BTreeMap::new(),
            listed: BTreeMap::new(),
            sample: Vec::new(),
            thinned: BTreeMap::new(),
            said: None,
        }
    }

    /// Takes one. [`Self::fit`] has to follow before many more.
    pub(super) fn push(&mut self, difference: Difference) {
        if self.is_beyond(difference.class, &difference.order) {
            return;
        }
        self.bytes += difference.bytes();
        self.held.push(difference);
    }

    /// True where one that lies there cannot be listed, for all that is known.
    pub(super) fn is_beyond(&self, class: &str, order: &[u8]) -> bool {
        self.bound.get(class).is_some_and(|bound| order > bound.as_slice())
    }

    /// Drops what cannot be listed, if that is much, so that more of the kind need not be made.
    pub(super) fn narrow(&mut self) {
        if self.held.len() as u64 > self.most.saturating_mul(2) {
            self.trim();
        }
    }

    /// One for a share of the same work, to be added to this.
    pub(super) fn part(&self, of: usize) -> Self {
        let part = Self::new(usize::try_from(self.most).unwrap_or(usize::MAX), self.room / of.max(1) as u64);
        Self { bound: self.bound.clone(), ..part }
    }

    /// Adds those of another that was not put in order yet.
    ///
    /// # Errors
    /// They had to go to disk, and could not.
    pub(super) fn absorb(&mut self, other: Self) -> Result<()> {
        let Self { held, runs, directory, directories, bound, .. } = other;
        for (class, theirs) in bound {
            let mine = self.bound.entry(class).or_insert_with(|| theirs.clone());
            if theirs < *mine {
                *mine = theirs;
            }
        }
        self.runs.extend(runs);
        self.directories.extend(directory.into_iter().chain(directories));
        held.into_iter().for_each(|difference| self.push(difference));
        self.fit()
    }

    /// Makes room for more.
    ///
    /// # Errors
    /// They had to go to disk, and could not.
    pub(super) fn fit(&mut self) -> Result<()> {
        if self.bytes <= self.room {
            return Ok(());
        }
        self.trim();
        if self.bytes > self.room / 2 {
            self.spill()?;
        }
        Ok(())
    }

    /// Sorts what is held and keeps the first so many of each class.
    fn trim(&mut self) {
        self.held.sort_unstable_by(|a, b| a.canonical().cmp(&b.canonical()));
        let (mut class, mut kept) = ("", 0);
        let (most, bound) = (self.most, &mut self.bound);
        self.held.retain(|difference| {
            if difference.class != class {
                (class, kept) = (difference.class, 0);
            }
            kept += 1;
            // Whatever comes behind the last of a full list cannot be listed.
            if kept == most && bound.get(class).is_none_or(|bound| difference.order < *bound) {
                bound.insert(class, difference.order.clone());
            }
            kept <= most
        });
        self.bytes = self.held.iter().map(Difference::bytes).sum();
    }

    fn spill(&mut self) -> Result<()> {
        let mut held = std::mem::take(&mut self.held);
        self.bytes = 0;
        while let Some(class) = held.last().map(|difference| difference.class) {
            let own = held.split_off(held.partition_point(|difference| difference.class < class));
            self.write(class, 0, own.into_iter().map(Ok))?;
            self.join(class)?;
        }
        Ok(())
    }

    /// Writes a run, up to the limit.
    fn write(&mut self, class: &'static str, level: u32, of: impl Iterator<Item = Result<Difference>>) -> Result<()> {
        if self.directory.is_none() {
            let made = tempfile::Builder::new().prefix("gapless-").tempdir();
            self.directory = Some(made.map_err(|e| failed("making a directory", std::env::temp_dir())(e.to_string()))?);
        }
        let Some(directory) = &self.directory else { return Ok(()) };
        let path = directory.path().join(format!("{}-{class}.arrow", self.files));
        self.files += 1;
        let wrong = failed("writing", directory.path());
        let schema = schema();
        let file = File::create(&path).map_err(|e| wrong(e.to_string()))?;
        let options =
            IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).map_err(|e| wrong(e.to_string()))?;
        let mut writer = StreamWriter::try_new_with_options(BufWriter::new(file), &schema, options).map_err(|e| wrong(e.to_string()))?;
        let (mut rows, mut part, mut last) = (0, Vec::with_capacity(ROWS_READ), Vec::new());
        for difference in of {
            part.push(difference?);
            rows += 1;
            if part.len() == ROWS_READ || rows == self.most {
                if let Some(difference) = part.last() {
                    last.clone_from(&difference.order);
                }
                writer.write(&encoded(&schema, &part).map_err(engine)?).map_err(|e| wrong(e.to_string()))?;
                part.clear();
            }
            if rows == self.most {
                // Whatever comes behind the last of a full run cannot be listed.
                let bound = self.bound.entry(class).or_insert_with(|| last.clone());
                if last < *bound {
                    *bound = last;
                }
                break;
            }
        }
        if !part.is_empty() {
            writer.write(&encoded(&schema, &part).map_err(engine)?).map_err(|e| wrong(e.to_string()))?;
        }
        writer.finish().map_err(|e| wrong(e.to_string()))?;
        self.runs.push(Run { class, level, path, rows });
        Ok(())
    }

    /// Makes one run of many, so that few files are open at once, and what is over the limit goes.
    fn join(&mut self, class: &'static str) -> Result<()> {
        loop {
            let of = |level: u32| move |run: &&Run| run.class == class && run.level == level;
            let highest = self.runs.iter().filter(|run| run.class == class).map(|run| run.level).max().unwrap_or(0);
            let full = (0..=highest).find(|&level| self.runs.iter().filter(of(level)).count() >= FAN_IN);
            let over = self.runs.iter().filter(|run| run.class == class).map(|run| run.rows).sum::<u64>() > self.most.saturating_mul(4);
            let (level, chosen): (u32, Vec<PathBuf>) = match full {
                Some(level) => (level + 1, self.runs.iter().filter(of(level)).map(|run| run.path.clone()).collect()),
                None if over => (highest + 1, self.runs.iter().filter(|run| run.class == class).map(|run| run.path.clone()).collect()),
                None => return Ok(()),
            };
            let merged = Merge::of(class, &chosen)?;
            self.write(class, level, merged)?;
            self.runs.retain(|run| !chosen.contains(&run.path));
            // A file that cannot be removed now goes with the directory.
            chosen.iter().for_each(|path| drop(std::fs::remove_file(path)));
        }
    }

    /// Puts them in order: from here on they are read.
    ///
    /// # Errors
    /// What was spilled cannot be read back.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.trim();
        if !self.runs.is_empty() {
            self.spill()?;
        }
        self.listed.clear();
        self.held.iter().for_each(|difference| *self.listed.entry(difference.class).or_default() += 1);
        for run in &self.runs {
            *self.listed.entry(run.class).or_default() += run.rows;
        }
        self.listed.values_mut().for_each(|listed| *listed = (*listed).min(self.most));
        self.sample.clear();
        for (class, listed) in self.listed.clone() {
            if !self.runs.is_empty() {
                let sample = self.thin(class, self.merged(class)?.take(usize::try_from(listed).unwrap_or(usize::MAX)))?;
                self.sample.extend(sample);
            } else if listed > EXPLAINED as u64 {
                let own = std::mem::take(&mut self.held);
                self.thin(class, own.iter().filter(|difference| difference.class == class).map(Ok))?;
                self.held = own;
            }
        }
        Ok(())
    }

    /// Makes the sample of a class: the lots up to the highest power of two that lets few enough in.
    fn thin<D: std::borrow::Borrow<Difference>>(&mut self, class: &'static str, of: impl Iterator<Item = Result<D>>) -> Result<Vec<D>> {
        let mut sample: Vec<(u64, D)> = Vec::new();
        let (mut lot, mut extent) = (u64::MAX, None);
        for difference in of {
            let difference = difference?;
            let own: &Difference = difference.borrow();
            if let Some(from) = own.from {
                let until = own.until.unwrap_or(Instant(from.0 + 1));
                extent = Some(extent.map_or((from, until), |(a, b): (Instant, Instant)| (a.min(from), b.max(until))));
            }
            let drawn = own.lot();
            if drawn <= lot {
                sample.push((drawn, difference));
                while sample.len() > EXPLAINED {
                    lot /= 2;
                    sample.retain(|(drawn, _)| *drawn <= lot);
                }
            }
        }
        if lot < u64::MAX {
            self.thinned.insert(class, Thinned { lot, looked_at: sample.len() as u64, extent });
        }
        Ok(sample.into_iter().map(|(_, difference)| difference).collect())
    }

    fn merged(&self, class: &'static str) -> Result<Merge> {
        let paths: Vec<PathBuf> = self.runs.iter().filter(|run| run.class == class).map(|run| run.path.clone()).collect();
        Merge::of(class, &paths)
    }

    /// Says of all of them that they are of a kind.
    pub(crate) fn say(&mut self, kind: &'static str) {
        self.said = Some(kind);
        self.held.iter_mut().chain(&mut self.sample).for_each(|difference| difference.kind = Some(kind));
    }

    /// True when there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// How many of each class are listed.
    pub(crate) fn listed(&self) -> &BTreeMap<&'static str, u64> {
        &self.listed
    }

    /// Those that are looked at as a whole, in canonical order: all, or of classes that have too many a sample.
    pub(crate) fn sample(&self) -> impl Iterator<Item = &Difference> {
        let in_sample = |difference: &&Difference| self.thinned.get(difference.class).is_none_or(|thinned| difference.lot() <= thinned.lot);
        self.held.iter().filter(in_sample).chain(&self.sample)
    }

    /// What is known of a class of which not all are looked at.
    pub(crate) fn thinned(&self, class: &str) -> Option<Thinned> {
        self.thinned.get(class).copied()
    }

    /// Hands out all of some classes that are listed, in canonical order.
    ///
    /// # Errors
    /// What was spilled cannot be read back.
    pub(crate) fn each(&self, classes: &[&str], mut take: impl FnMut(&Difference)) -> Result<()> {
        self.held.iter().filter(|difference| classes.contains(&difference.class)).for_each(&mut take);
        if self.runs.is_empty() {
            return Ok(());
        }
        for (&class, &listed) in self.listed.iter().filter(|(class, _)| classes.contains(*class)) {
            for difference in self.merged(class)?.take(usize::try_from(listed).unwrap_or(usize::MAX)) {
                let mut difference = difference?;
                difference.kind = self.said.or(difference.kind);
                take(&difference);
            }
        }
        Ok(())
    }

    /// The relation of one class, or of all of them.
    fn relation(self: &Arc<Self>, class: Option<&str>) -> Relation {
        let classes = self.listed.iter().filter(|(known, _)| class.is_none_or(|class| class == **known));
        Relation { of: self.clone(), classes: classes.map(|(class, _)| *class).rev().collect(), part: None }
    }

    /// Differences of the classes before.
    fn ordinal_of(&self, class: &str) -> u64 {
        self.listed.iter().filter(|(known, _)| **known < class).map(|(_, listed)| listed).sum()
    }
}

fn failed(what: &str, directory: impl Into<PathBuf>) -> impl Fn(String) -> Error {
    let (what, directory) = (what.to_string(), directory.into().display().to_string());
    move |problem| Error::SpillFailed { what: what.clone(), directory: directory.clone(), problem }
}

fn engine(error: ArrowError) -> Error {
    Error::engine("spilling")(error.into())
}

fn schema() -> SchemaRef {
    Arc::new(encoded_columns(&[]).map_or_else(
        |_| Schema::empty(),
        |columns| Schema::new(columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect::<Vec<_>>()),
    ))
}

/// Exactly, so that what is read back is what was held: times in nanoseconds, which public tables round.
fn encoded_columns(of: &[Difference]) -> std::result::Result<Vec<(&'static str, ArrayRef)>, ArrowError> {
    fn wide(values: impl Iterator<Item = Option<i128>>) -> std::result::Result<ArrayRef, ArrowError> {
        Ok(Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(38, 0)?))
    }
    let each = of.iter();
    Ok(vec![
        ("order", Arc::new(each.clone().map(|d| Some(&d.order)).collect::<BinaryArray>()) as ArrayRef),
        ("kind", text(each.clone().map(|d| d.kind))),
        ("severity", text(each.clone().map(|d| d.severity.map(Severity::as_str)))),
        ("side", text(each.clone().map(|d| d.side.map(Side::as_str)))),
        ("series", text(each.clone().map(|d| Some(&d.series)))),
        ("key", text(each.clone().map(|d| Some(&d.key)))),
        ("column", text(each.clone().map(|d| d.column.as_ref()))),
        ("original_value", text(each.clone().map(|d| d.original_value.as_ref()))),
        ("backfill_value", text(each.clone().map(|d| d.backfill_value.as_ref()))),
        ("rows", Arc::new(each.clone().map(|d| Some(d.rows)).collect::<UInt64Array>())),
        ("window_start", wide(each.clone().map(|d| d.window.map(|window| window.start.0)))?),
        ("window_end", wide(each.clone().map(|d| d.window.map(|window| window.end.0)))?),
        ("from", wide(each.clone().map(|d| d.from.map(|at| at.0)))?),
        ("until", wide(each.map(|d| d.until.map(|at| at.0)))?),
    ])
}

fn encoded(schema: &SchemaRef, of: &[Difference]) -> std::result::Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(schema.clone(), encoded_columns(of)?.into_iter().map(|(_, array)| array).collect())
}

/// The columns of a batch of a run, to be read row by row.
struct Decoder {
    rows: usize,
    order: BinaryArray,
    texts: [StringArray; 8],
    numbers: arrow::array::PrimitiveArray<UInt64Type>,
    times: [Decimal128Array; 4],
}

impl Decoder {
    fn new(batch: &RecordBatch) -> Option<Self> {
        let column = |name: &str| batch.column_by_name(name);
        let text = |name: &str| column(name)?.as_string_opt::<i32>().cloned();
        let time = |name: &str| column(name)?.as_primitive_opt::<Decimal128Type>().cloned();
        Some(Self {
            rows: batch.num_rows(),
            order: column("order")?.as_binary_opt::<i32>()?.clone(),
            texts: [
                text("kind")?,
                text("severity")?,
                text("side")?,
                text("series")?,
                text("key")?,
                text("column")?,
                text("original_value")?,
                text("backfill_value")?,
            ],
            numbers: column("rows")?.as_primitive_opt::<UInt64Type>()?.clone(),
            times: [time("window_start")?, time("window_end")?, time("from")?, time("until")?],
        })
    }

    fn row(&self, class: &'static str, row: usize) -> Difference {
        let text = |place: usize| {
            let array = &self.texts[place];
            array.is_valid(row).then(|| array.value(row))
        };
        let owned = |place: usize| text(place).map(str::to_string);
        let time = |place: usize| {
            let array = &self.times[place];
            array.is_valid(row).then(|| Instant(array.value(row)))
        };
        Difference {
            order: self.order.value(row).to_vec(),
            class,
            kind: text(0).and_then(|word| KINDS.into_iter().find(|known| *known == word)),
            severity: text(1).and_then(Severity::parse),
            side: text(2).and_then(|word| Side::BOTH.into_iter().find(|side| side.as_str() == word)),
            series: owned(3).unwrap_or_default(),
            key: owned(4).unwrap_or_default(),
            column: owned(5),
            original_value: owned(6),
            backfill_value: owned(7),
            rows: self.numbers.value(row),
            window: time(0).zip(time(1)).map(|(start, end)| Window { start, end }),
            from: time(2),
            until: time(3),
        }
    }
}

/// A run that is being read.
struct RunReader {
    class: &'static str,
    path: PathBuf,
    reader: StreamReader<std::io::BufReader<File>>,
    decoder: Option<Decoder>,
    row: usize,
}

impl RunReader {
    fn open(class: &'static str, path: PathBuf) -> Result<Self> {
        let wrong = failed("reading back", path.clone());
        let file = File::open(&path).map_err(|e| wrong(e.to_string()))?;
        let reader = StreamReader::try_new_buffered(file, None).map_err(|e| wrong(e.to_string()))?;
        Ok(Self { class, path, reader, decoder: None, row: 0 })
    }

    fn next(&mut self) -> Result<Option<Difference>> {
        loop {
            if let Some(decoder) = &self.decoder
                && self.row < decoder.rows
            {
                self.row += 1;
                return Ok(Some(decoder.row(self.class, self.row - 1)));
            }
            let wrong = failed("reading back", &self.path);
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let batch = batch.map_err(|e| wrong(e.to_string()))?;
            self.decoder = Some(Decoder::new(&batch).ok_or_else(|| wrong("a column is missing".to_string()))?);
            self.row = 0;
        }
    }
}

/// The next difference of a run.
struct Head {
    difference: Difference,
    run: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    // The heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.difference.canonical().cmp(&self.difference.canonical()).then_with(|| other.run.cmp(&self.run))
    }
}

/// Runs of one class as one.
struct Merge {
    runs: Vec<RunReader>,
    heads: BinaryHeap<Head>,
}

impl Merge {
    fn of(class: &'static str, paths: &[PathBuf]) -> Result<Self> {
        let mut merge = Self { runs: Vec::with_capacity(paths.len()), heads: BinaryHeap::with_capacity(paths.len()) };
        for (run, path) in paths.iter().enumerate() {
            let mut reader = RunReader::open(class, path.clone())?;
            if let Some(difference) = reader.next()? {
                merge.heads.push(Head { difference, run });
            }
            merge.runs.push(reader);
        }
        Ok(merge)
    }
}

impl Iterator for Merge {
    type Item = Result<Difference>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut head = self.heads.peek_mut()?;
        let run = head.run;
        match self.runs.get_mut(run)?.next() {
            Ok(Some(next)) => {
                // The heap puts it into its place when the reference goes.
                Some(Ok(std::mem::replace(&mut head.difference, next)))
            }
            Ok(None) => Some(Ok(std::collections::binary_heap::PeekMut::pop(head).difference)),
            Err(error) => {
                std::collections::binary_heap::PeekMut::pop(head);
                Some(Err(error))
            }
        }
    }
}

/// A class under way: from memory, or from its runs.
enum Part {
    Held { next: usize, end: usize },
    Merged { merge: Merge, left: u64 },
}

/// The relation `differences`, batch by batch.
struct Relation {
    of: Arc<Differences>,
    /// The classes to come, the next one last.
    classes: Vec<&'static str>,
    part: Option<(u64, Part)>,
}

impl Relation {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some((ordinal, part)) = &mut self.part else {
                let Some(class) = self.classes.pop() else { return Ok(None) };
                let part = match self.of.runs.is_empty() {
                    true => Part::Held {
                        next: self.of.held.partition_point(|difference| difference.class < class),
                        end: self.of.held.partition_point(|difference| difference.class <= class),
                    },
                    false => Part::Merged { merge: self.of.merged(class)?, left: self.of.listed.get(class).copied().unwrap_or(0) },
                };
                self.part = Some((self.of.ordinal_of(class), part));
                continue;
            };
            let batch = match part {
                Part::Held { next, end } => {
                    let until = (*next + ROWS_MADE).min(*end);
                    let batch = relation(*ordinal, &self.of.held[*next..until]);
                    *next = until;
                    batch
                }
                Part::Merged { merge, left } => {
                    let mut rows = Vec::with_capacity(ROWS_MADE);
                    while rows.len() < ROWS_MADE && *left > 0 {
                        let Some(difference) = merge.next() else { break };
                        let mut difference = difference?;
                        difference.kind = self.of.said.or(difference.kind);
                        rows.push(difference);
                        *left -= 1;
                    }
                    relation(*ordinal, &rows)
                }
            };
            let batch = batch.map_err(|e| Error::engine("staging the relations")(e.into()))?;
            if batch.num_rows() > 0 {
                *ordinal += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
            self.part = None;
        }
    }
}

/// Differences as rows of the relation, the first with this ordinal.
fn relation(ordinal: u64, differences: &[Difference]) -> std::result::Result<RecordBatch, ArrowError> {
    let of = differences.iter();
    batch(vec![
        ("ordinal", count((0..differences.len()).map(|at| Some(ordinal + at as u64)))),
        ("class", text(of.clone().map(|d| Some(d.class)))),
        ("kind", text(of.clone().map(|d| d.kind))),
        ("severity", text(of.clone().map(|d| d.severity.map(Severity::as_str)))),
        ("side", text(of.clone().map(|d| d.side.map(Side::as_str)))),
        ("series", text(of.clone().map(|d| Some(&d.series)))),
        ("key", text(of.clone().map(|d| (d.key != "{}").then_some(&d.key)))),
        ("column_name", text(of.clone().map(|d| d.column.as_ref()))),
        ("original_value", text(of.clone().map(|d| d.original_value.as_ref()))),
        ("backfill_value", text(of.clone().map(|d| d.backfill_value.as_ref()))),
        ("rows", count(of.clone().map(|d| Some(d.rows)))),
        ("window_start", start(of.clone().map(|d| d.window.map(|window| window.start)))),
        ("window_end", end(of.clone().map(|d| d.window.map(|window| window.end)))),
        ("from_time", start(of.clone().map(|d| d.from))),
        ("until_time", end(of.map(|d| d.until))),
    ])
}

/// The relation as a table. A filter for a class makes it read that class alone.
#[derive(Debug)]
pub(super) struct DifferencesTable {
    of: Arc<Differences>,
    schema: SchemaRef,
}

impl DifferencesTable {
    pub(super) fn new(of: Arc<Differences>) -> Result<Self> {
        let schema = relation(0, &[]).map_err(|e| Error::engine("staging the relations")(e.into()))?.schema();
        Ok(Self { of, schema })
    }
}

/// The class that a filter asks for, if that is what it does.
fn class_of(filter: &Expr) -> Option<&str> {
    let Expr::BinaryExpr(binary) = filter else { return None };
    let (Expr::Column(column), Operator::Eq, Expr::Literal(ScalarValue::Utf8(Some(word)) | ScalarValue::Utf8View(Some(word)), _)) =
        (binary.left.as_ref(), binary.op, binary.right.as_ref())
    else {
        return None;
    };
    (column.name == "class").then_some(word)
}

#[async_trait]
impl TableProvider for DifferencesTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let class = filters.iter().find_map(class_of).map(str::to_string);
        let part = Arc::new(DifferencesOf { of: self.of.clone(), class, schema: self.schema.clone() });
        Ok(Arc::new(StreamingTableExec::try_new(self.schema.clone(), vec![part], projection, None, false, limit)?))
    }
}

#[derive(Debug)]
struct DifferencesOf {
    of: Arc<Differences>,
    class: Option<String>,
    schema: SchemaRef,
}

impl PartitionStream for DifferencesOf {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut relation = self.of.relation(self.class.as_deref());
        let batches = std::iter::from_fn(move || relation.batch().transpose());
        let batches = futures::stream::iter(batches.map(|batch| batch.map_err(through_engine)));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

/// What came back through the engine, as what it was before.
pub(super) fn out_of_engine(error: DataFusionError, other: impl FnOnce(DataFusionError) -> Error) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => *own,
            Err(inner) => other(DataFusionError::External(inner)),
        },
        error => other(error),
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const CLASSES: [&str; 7] =
        ["duplicate_key", "missing_key", "missing_row", "null_key", "unexpected_key", "unexpected_row", "value_mismatch"];

    fn random(rng: &mut StdRng) -> Difference {
        let at = Instant(i128::from(rng.random_range(0..1_000_000_u32)) * 1_000_003);
        let number: u32 = rng.random_range(0..u32::MAX);
        Difference {
            order: number.to_be_bytes().to_vec(),
            class: CLASSES[rng.random_range(0..CLASSES.len())],
            kind: rng.random_bool(0.5).then(|| KINDS[rng.random_range(0..KINDS.len())]),
            severity: rng.random_bool(0.5).then_some(Severity::Warn),
            side: [None, Some(Side::Original), Some(Side::Backfill)][rng.random_range(0..3)],
            series: format!("{{\"s\":{}}}", number % 5),
            key: format!("{{\"id\":{number}}}"),
            column: rng.random_bool(0.5).then(|| "a".to_string()),
            original_value: rng.random_bool(0.5).then(|| number.to_string()),
            backfill_value: rng.random_bool(0.5).then(String::new),
            rows: u64::from(number),
            window: rng.random_bool(0.5).then_some(Window { start: at, end: Instant(at.0 + 7) }),
            from: rng.random_bool(0.5).then_some(at),
            until: rng.random_bool(0.5).then_some(Instant(at.0 + 1)),
        }
    }

    fn store(all: &[Difference], most: usize, room: u64) -> Arc<Differences> {
        let mut store = Differences::new(most, room);
        for difference in all {
            store.push(difference.clone());
            store.fit().unwrap();
        }
        store.finish().unwrap();
        Arc::new(store)
    }

    fn batches(store: &Arc<Differences>, class: Option<&str>) -> Vec<RecordBatch> {
        let mut relation = store.relation(class);
        std::iter::from_fn(move || relation.batch().unwrap()).collect()
    }

    fn listed(store: &Differences) -> Vec<Difference> {
        let mut all = Vec::new();
        store.each(&CLASSES, |difference| all.push(difference.clone())).unwrap();
        all
    }

    /// Held against a plain sort, for budgets from next to nothing to more than enough, and limits that cut much, little and nothing.
    #[test]
    fn however_it_is_kept_it_is_the_same() {
        for seed in 0..8 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut all: Vec<Difference> = (0..rng.random_range(1..6_000)).map(|_| random(&mut rng)).collect();
            let most = [3, 100, 700, usize::MAX][rng.random_range(0..4)];
            let mut stores = [u64::MAX, 8_000, 50_000, 300_000].map(|room| store(&all, most, room)).to_vec();
            // Taken in shares that are added to what was there, as several threads do.
            for room in [u64::MAX, 50_000] {
                let (first, rest) = all.split_at(all.len() / 3);
                let mut whole = Differences::new(most, room);
                first.iter().for_each(|difference| whole.push(difference.clone()));
                whole.fit().unwrap();
                let parts: Vec<Differences> = rest
                    .chunks(rest.len().div_ceil(3).max(1))
                    .map(|share| {
                        let mut part = whole.part(3);
                        for difference in share {
                            part.push(difference.clone());
                            part.fit().unwrap();
                            part.narrow();
                        }
                        part
                    })
                    .collect();
                parts.into_iter().for_each(|part| whole.absorb(part).unwrap());
                whole.finish().unwrap();
                stores.push(Arc::new(whole));
            }
            all.sort_by(|a, b| a.canonical().cmp(&b.canonical()));
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            all.retain(|difference| {
                let count = counts.entry(difference.class).or_default();
                *count += 1;
                *count <= most
            });
            for store in &stores {
                assert_eq!(listed(store), all, "seed {seed}");
                assert_eq!(store.sample().cloned().collect::<Vec<_>>(), all, "seed {seed}");
                assert_eq!(batches(store, None), batches(&stores[0], None));
                assert_eq!(batches(store, Some("null_key")), batches(&stores[0], Some("null_key")));
            }
            assert!(stores[0].runs.is_empty() && (most < 100 || all.len() < 100 || !stores[1].runs.is_empty()));
        }
    }

    /// The sample is the same however the rest is kept, and fair: about half of it lies in either half of the keys.
    #[test]
    fn many_are_looked_at_by_a_fair_sample() {
        let mut rng = StdRng::seed_from_u64(3);
        let all: Vec<Difference> = (0..260_000_u32)
            .map(|number| Difference { class: "value_mismatch", order: [number.to_be_bytes(), [0; 4]].concat(), ..random(&mut rng) })
            .collect();
        let [held, spilled] = [u64::MAX, 20 << 20].map(|room| store(&all, usize::MAX, room));
        assert!(held.runs.is_empty() && !spilled.runs.is_empty());
        let sample: Vec<&Difference> = held.sample().collect();
        assert!(sample.iter().copied().eq(spilled.sample()));
        assert!((100_000..200_000).contains(&sample.len()), "{}", sample.len());
        let early = sample.iter().filter(|difference| difference.order < 130_000_u32.to_be_bytes().to_vec()).count();
        assert!((early * 2).abs_diff(sample.len()) < sample.len() / 50, "{early} of {}", sample.len());
        assert_eq!(held.thinned("value_mismatch").map(|thinned| thinned.looked_at), Some(sample.len() as u64));
        assert!(held.thinned("missing_key").is_none());
    }

    #[test]
    fn few_files_stay_open_and_what_cannot_be_listed_goes() {
        let mut rng = StdRng::seed_from_u64(5);
        let all: Vec<Difference> = (0..20_000).map(|_| Difference { class: "missing_key", ..random(&mut rng) }).collect();
        let store = store(&all, 500, 40_000);
        assert!(store.runs.len() <= 2 * FAN_IN, "{}", store.runs.len());
        let spilled: u64 = store.runs.iter().map(|run| run.rows).sum();
        assert!(spilled <= 3_000, "{spilled}");
    }

    #[test]
    fn what_is_said_of_all_is_said_of_each() {
        let mut rng = StdRng::seed_from_u64(9);
        let all: Vec<Difference> = (0..3_000).map(|_| random(&mut rng)).collect();
        for room in [8_000, u64::MAX] {
            let mut store = Differences::new(1_000, room);
            for difference in &all {
                store.push(difference.clone());
                store.fit().unwrap();
            }
            store.finish().unwrap();
            store.say("unstable");
            assert!(listed(&store).iter().all(|difference| difference.kind == Some("unstable")));
        }
    }

    #[test]
    fn a_disk_that_is_full_is_an_error_that_says_where() {
        let mut store = Differences::new(10, 1);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        store.directory = Some(directory);
        std::fs::remove_dir_all(&path).unwrap();
        store.push(random(&mut StdRng::seed_from_u64(1)));
        let error = store.fit().unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}
