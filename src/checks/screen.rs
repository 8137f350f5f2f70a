//! The first pass: every row of every side, read once.
//!
//! From the one scan come, per series and window, row counts and checksums; per bucket of keys a checksum; the spans
//! of time and of sequence; the NULLs where none should be; and the rows that break a rule. Everything is held in
//! partial states that merge in any order, so the answer does not depend on threads, batches or files.
//!
//! ```text
//! rows ──► bounds ──► canonical values ──► row fingerprint ─┬─► window checksum   (series × window)
//!                                          key fingerprint ─┼─► bucket checksum   (what localise reads again)
//!                                                           └─► list of keys      (distinct keys, duplicates)
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimeUnit};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use chrono_tz::Tz;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use datafusion::prelude::{Expr, ident};
use futures::TryStreamExt;
use tokio::task::JoinSet;

use crate::domain::{
    Bounds, Checksum, ColumnEncoder, Duration, ENCODING_VERSION, Fingerprint, Instant, Mode, RowHasher, SequenceCoverage, Side,
    TimeCoverage, Windowing, encode_column_name,
};
use crate::error::{Error, Result, nearest};
use crate::job::{DigestAlgorithm, Rule, RunOptions};
use crate::progress::Progress;
use crate::source::{Guard, Opened, describe_engine_error};
use crate::staging::{Canonicaliser, PairedColumn, Prepared, Shower, refuse_unsafe_joins};

/// Buckets that keys fall into; a power of two. 2^16 buckets a side cost 2 MiB.
pub(super) const BUCKETS: usize = 1 << 16;

/// The default window is the smallest of these that cuts the data into at most [`MOST_DEFAULT_WINDOWS`]. Each is a
/// multiple of the one before, so that finer windows add up to coarser ones.
const LADDER: [&str; 14] = ["1ms", "10ms", "100ms", "1s", "5s", "15s", "1m", "5m", "15m", "1h", "6h", "1d", "7d", "364d"];
const MOST_DEFAULT_WINDOWS: i128 = 2_000;
/// A partial state coarsens only beyond this, so that it never gets coarser than the whole.
const MOST_PARTIAL_WINDOWS: i128 = 4_000;

/// What the first pass found on all sides.
#[derive(Debug)]
pub struct Screened {
    /// One for each side, original first.
    pub sides: Vec<SideScreen>,
    /// How event time was cut; `None` without an event time.
    pub windowing: Option<Windowing>,
}

/// What the first pass found on one side.
#[derive(Debug)]
pub struct SideScreen {
    /// Which side.
    pub side: Side,
    /// Rows that came out of the source.
    pub rows_read: u64,
    /// By the canonical encoding of the series' values.
    pub series: BTreeMap<Vec<u8>, SeriesScreen>,
    /// Checksums by bucket of key fingerprints.
    pub buckets: Vec<Checksum>,
    /// All key fingerprints, sorted.
    pub keys: Vec<Fingerprint>,
    /// Rows with a NULL in their key.
    pub null_keys: u64,
    /// Values that lost digits in a conversion, for each paired column.
    pub lost: Vec<u64>,
    /// One for each rule of the stream.
    pub rules: Vec<RuleTally>,
    /// Average bytes a row takes in memory.
    pub row_bytes: u64,
}

impl SideScreen {
    /// Rows inside the bounds: those that the verdict speaks of.
    pub fn rows(&self) -> u64 {
        self.series.values().map(|series| series.rows).sum()
    }

    /// The checksum over all of them.
    pub fn total(&self) -> Checksum {
        let mut total = Checksum::default();
        self.series.values().flat_map(|series| series.windows.values()).for_each(|window| total.merge(window.checksum));
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
    /// Rows outside the bounds.
    pub rows_outside: u64,
    /// Rows inside whose event time is NULL.
    pub null_times: u64,
    /// Rows inside whose sequence is NULL.
    pub null_sequences: u64,
    /// By the start of the window; `None` holds the rows without a time.
    pub windows: HashMap<Option<i128>, WindowSum>,
    /// The event times.
    pub time: TimeCoverage,
    /// First and last event time.
    pub extent: Option<(i128, i128)>,
    /// First and last event time of each window that the user asked for.
    pub window_extents: HashMap<i128, (i128, i128)>,
    /// The sequence numbers.
    pub sequence: SequenceCoverage,
    /// Event time and sequence of every row, where both are there.
    pub clock: Vec<(i128, i128)>,
}

/// Sum of the rows of one series in one window.
#[derive(Debug, Clone, Default)]
pub struct WindowSum {
    /// Count and checksum.
    pub checksum: Checksum,
    /// Row digests, if digests were asked for.
    pub digests: Vec<Vec<u8>>,
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
    canonicaliser: Canonicaliser,
    paired: Vec<PairedColumn>,
    /// Places of compared columns, sorted by name: the order of the row encoding.
    row_places: Vec<usize>,
    identity: Vec<usize>,
    keeps_keys: bool,
    keyed: bool,
    time: Option<usize>,
    series: Vec<usize>,
    sequence: Option<usize>,
    bounds: Bounds,
    reach: Option<i128>,
    window: Option<Duration>,
    zone: Tz,
    rules: usize,
    digest: Option<DigestAlgorithm>,
    hasher: RowHasher,
    shower: Shower,
    max_samples: usize,
    key_budget: u64,
    keys_held: Arc<AtomicU64>,
    progress: Progress,
}

/// Reads every side once.
///
/// # Errors
/// A side could not be read to its end, or a rule is not a predicate.
pub async fn screen(
    prepared: &Prepared,
    options: &RunOptions,
    hasher: &RowHasher,
    shower: &Shower,
    context: Arc<TaskContext>,
    progress: &Progress,
) -> Result<Screened> {
    let mut partials = Vec::new();
    for opened in &prepared.sides {
        progress.stage(&format!("screening {} {}", prepared.stream.name, opened.side), opened.rows_hint);
        let plan = Arc::new(plan(prepared, opened, options, hasher, shower, progress)?);
        let physical = scan(prepared, opened).await?;
        partials.push(read(opened.side, plan, physical, context.clone()).await?);
    }
    finish(prepared, partials)
}

/// The scan of a side: the paired columns, and a boolean column for each rule.
pub(super) async fn scan(prepared: &Prepared, opened: &Opened) -> Result<Arc<dyn ExecutionPlan>> {
    let mut expressions: Vec<Expr> = prepared.paired.iter().map(|column| ident(column.name.clone())).collect();
    for (index, rule) in rules_of(prepared, opened.side).iter().enumerate() {
        expressions.push(rule_expression(rule, opened)?.alias(format!("__rule_{index}")));
    }
    let what = format!("reading the {}", opened.side);
    let frame = opened.frame.clone().select(expressions).map_err(Error::engine(what.clone()))?;
    let physical = frame.create_physical_plan().await.map_err(Error::engine(what.clone()))?;
    refuse_unsafe_joins(&what, physical.as_ref())?;
    Ok(physical)
}

/// The rules that look at a side.
pub fn rules_of(prepared: &Prepared, side: Side) -> Vec<Rule> {
    prepared.stream.rules.iter().filter(|rule| rule.side.is_none_or(|wanted| wanted == side)).cloned().collect()
}

/// Plans a rule without running it.
///
/// # Errors
/// It does not parse, names an unknown column, or is not boolean.
pub fn rule_is_valid(rule: &Rule, opened: &Opened) -> Result<()> {
    rule_expression(rule, opened).map(drop)
}

/// A rule as an expression over a side's columns.
fn rule_expression(rule: &Rule, opened: &Opened) -> Result<Expr> {
    let wrong = |problem: String, help: String| Error::Expression { what: format!("{}: '{}'", rule.place, rule.assert), problem, help };
    let columns = || opened.schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let explain = |error: DataFusionError| {
        let problem = describe_engine_error(&error);
        let help = match problem.split("No field named ").nth(1) {
            Some(rest) => {
                let name = rest.split(['.', ' ']).next().unwrap_or_default().trim_matches('"');
                nearest(name, columns())
            }
            None => "write one boolean SQL expression over the columns of a row, for instance amount >= 0".to_string(),
        };
        let short = problem.split(" Valid fields are").next().unwrap_or_default().to_string();
        wrong(short, help)
    };
    let expression = opened.frame.parse_sql_expr(&rule.assert).map_err(explain)?;
    let reaches_further = expression.exists(|part| {
        Ok(matches!(
            part,
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)
        ))
    });
    if reaches_further.unwrap_or(true) {
        return Err(wrong(
            "a rule looks at one row at a time: it cannot use aggregates, window functions or subqueries".to_string(),
            "write one boolean SQL expression over the columns of a row, for instance amount >= 0".to_string(),
        ));
    }
    let frame = opened.frame.clone().select(vec![expression.clone().alias("assert")]).map_err(explain)?;
    match frame.schema().field(0).data_type() {
        DataType::Boolean | DataType::Null => Ok(expression),
        other => Err(wrong(
            format!("the expression on the {} has type {other}, not boolean", opened.side),
            "compare it with something, for instance amount >= 0".to_string(),
        )),
    }
}

fn plan(
    prepared: &Prepared,
    opened: &Opened,
    options: &RunOptions,
    hasher: &RowHasher,
    shower: &Shower,
    progress: &Progress,
) -> Result<Plan> {
    let stream = &prepared.stream;
    let mut names: Vec<arrow::datatypes::Field> = Vec::new();
    for column in &prepared.paired {
        let field = opened.schema.field_with_name(&column.name).map_err(|e| Error::engine("pairing columns")(e.into()))?;
        names.push(field.clone());
    }
    let canonicaliser = Canonicaliser::new(opened.side, &prepared.paired, &arrow::datatypes::Schema::new(names))
        .map_err(Error::engine("pairing columns"))?;
    let mut row_places = prepared.compared();
    row_places.sort_by(|&a, &b| prepared.paired[a].name.as_bytes().cmp(prepared.paired[b].name.as_bytes()));
    let keeps_keys = prepared.key.is_some() || stream.keyless;
    Ok(Plan {
        canonicaliser,
        paired: prepared.paired.clone(),
        row_places,
        identity: prepared.identity(),
        keyed: prepared.key.is_some(),
        keeps_keys: keeps_keys && !(stream.mode == Mode::Single && stream.keyless),
        time: prepared.time,
        series: prepared.series.clone(),
        sequence: prepared.sequence,
        bounds: stream.bounds,
        reach: stream.reach(),
        window: stream.window,
        zone: stream.time_zone,
        rules: rules_of(prepared, opened.side).len(),
        digest: stream.digest,
        hasher: hasher.clone(),
        shower: shower.clone(),
        max_samples: options.max_findings,
        key_budget: options.memory_bytes / 2 / 16 / prepared.sides.len().max(1) as u64,
        keys_held: Arc::default(),
        progress: progress.clone(),
    })
}

/// Consumes the partitions of a scan side by side and merges what they found.
async fn read(side: Side, plan: Arc<Plan>, physical: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Partial> {
    let failed = |error: &DataFusionError| match error.find_root() {
        DataFusionError::ResourcesExhausted(problem) => Error::OutOfMemory { side: side.to_string(), problem: problem.clone() },
        _ => Error::ReadFailed { side: side.to_string(), problem: describe_engine_error(error) },
    };
    let guard = Guard::new();
    let streams = execute_stream_partitioned(physical, context).map_err(|e| failed(&e))?;
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        let plan = plan.clone();
        tasks.spawn(async move {
            let mut partial = Partial::new(&plan);
            while let Some(batch) = stream.try_next().await? {
                partial.add(&plan, &batch)?;
            }
            Ok::<Partial, DataFusionError>(partial)
        });
    }
    let mut merged = Partial::new(&plan);
    while let Some(joined) = tasks.join_next().await {
        let partial = joined
            .map_err(|e| DataFusionError::Execution(format!("the decoder gave up on damaged data ({e})")))
            .and_then(|outcome| outcome)
            .map_err(|e| failed(&e))?;
        merged.merge(&plan, partial);
    }
    drop(guard);
    Ok(merged)
}

/// A partial state: what one reader has seen.
#[derive(Debug)]
struct Partial {
    rows_read: u64,
    series_ids: HashMap<Vec<u8>, usize>,
    series: Vec<(Vec<u8>, SeriesScreen)>,
    buckets: Vec<Checksum>,
    keys: Vec<Fingerprint>,
    null_keys: u64,
    lost: Vec<u64>,
    rules: Vec<RuleTally>,
    bytes: u64,
    /// Which of the ladder, while no window was asked for.
    rung: usize,
    extent: Option<(i128, i128)>,
}

/// The windowing of a rung of the ladder, or of the window that was asked for.
fn windowing_at(window: Option<Duration>, zone: Tz, rung: usize) -> Option<Windowing> {
    let width = match window {
        Some(width) => width,
        None => Duration::parse(LADDER[rung.min(LADDER.len() - 1)]).ok()?,
    };
    Windowing::new(width, zone).ok()
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
            series_ids: HashMap::new(),
            series: Vec::new(),
            buckets: vec![Checksum::default(); if plan.keeps_keys { BUCKETS } else { 0 }],
            keys: Vec::new(),
            null_keys: 0,
            lost: vec![0; plan.paired.len()],
            rules: vec![RuleTally::default(); plan.rules],
            bytes: 0,
            rung: 0,
            extent: None,
        }
    }

    fn series_id(&mut self, plan: &Plan, bytes: &[u8], label: impl FnOnce() -> String) -> usize {
        if let Some(&id) = self.series_ids.get(bytes) {
            return id;
        }
        let id = self.series.len();
        self.series_ids.insert(bytes.to_vec(), id);
        self.series.push((bytes.to_vec(), SeriesScreen::new(plan.reach, label())));
        id
    }

    fn add(&mut self, plan: &Plan, batch: &RecordBatch) -> Result<(), DataFusionError> {
        let rows = batch.num_rows();
        self.rows_read += rows as u64;
        self.bytes += batch.get_array_memory_size() as u64;
        plan.progress.advance(rows as u64);
        let canonical = plan.canonicaliser.apply(batch)?;
        let columns = canonical.batch.columns();
        let encoders = plan
            .paired
            .iter()
            .zip(columns)
            .map(|(column, array)| ColumnEncoder::new(&column.name, array))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| DataFusionError::Execution(e.to_string()))?;
        let times = plan.time.map(|place| instants(&columns[place])).transpose()?;
        let sequences = plan.sequence.map(|place| whole_numbers(&columns[place])).transpose()?;
        let inside: Vec<bool> = (0..rows)
            .map(|row| match times.as_ref().and_then(|times| times[row]) {
                // A row without a time is neither inside nor outside; leaving it out would hide it.
                None => true,
                Some(at) => plan.bounds.contains(Instant(at)),
            })
            .collect();
        for (lost, dropped) in self.lost.iter_mut().zip(&canonical.lost) {
            *lost += dropped;
        }
        if let Some(times) = times.as_ref().filter(|_| plan.window.is_none()) {
            for (at, inside) in times.iter().zip(&inside) {
                if let (Some(at), true) = (at, inside) {
                    widen(&mut self.extent, *at);
                }
            }
            self.coarsen_to(plan, rung_for(self.extent, self.rung, MOST_PARTIAL_WINDOWS));
        }
        let windowing = plan.time.and_then(|_| windowing_at(plan.window, plan.zone, self.rung));
        let mut recent_window: Option<crate::domain::Window> = None;
        let mut series_bytes = Vec::new();
        let mut encoded = Vec::new();
        let mut recent: Option<(Vec<u8>, usize)> = None;
        for row in 0..rows {
            series_bytes.clear();
            plan.series.iter().for_each(|&place| encoders[place].encode(row, &mut series_bytes));
            let id = match &recent {
                Some((bytes, id)) if *bytes == series_bytes => *id,
                _ => {
                    let id = self.series_id(plan, &series_bytes, || plan.shower.object(&canonical.batch, &plan.series, row));
                    recent = Some((series_bytes.clone(), id));
                    id
                }
            };
            let (_, series) = &mut self.series[id];
            if !inside[row] {
                series.rows_outside += 1;
                continue;
            }
            series.rows += 1;
            let at = times.as_ref().and_then(|times| times[row]);
            let window_start = match (at, &windowing) {
                (Some(at), Some(windowing)) => {
                    let window = match recent_window {
                        Some(window) if window.contains(Instant(at)) => window,
                        _ => windowing.window_of(Instant(at)),
                    };
                    recent_window = Some(window);
                    Some(window.start.0)
                }
                _ => None,
            };
            if let Some(at) = at {
                series.time.add(at);
                widen(&mut series.extent, at);
                if let (Some(start), true) = (window_start, plan.window.is_some()) {
                    let mut extent = series.window_extents.get(&start).copied();
                    widen(&mut extent, at);
                    if let Some(extent) = extent {
                        series.window_extents.insert(start, extent);
                    }
                }
            } else if plan.time.is_some() {
                series.null_times += 1;
            }
            if let Some(sequences) = &sequences {
                match sequences[row] {
                    Some(number) => {
                        series.sequence.add(number);
                        if let Some(at) = at {
                            series.clock.push((at, number));
                        }
                    }
                    None => series.null_sequences += 1,
                }
            }
            encoded.clear();
            encoded.push(ENCODING_VERSION);
            for &place in &plan.row_places {
                encode_column_name(encoders[place].name(), &mut encoded);
                encoders[place].encode(row, &mut encoded);
            }
            let fingerprint = plan.hasher.fingerprint(&encoded);
            let sum = series.windows.entry(window_start).or_default();
            sum.checksum.add(fingerprint);
            if let Some(algorithm) = plan.digest {
                sum.digests.push(super::digests::digest(algorithm, &encoded));
            }
            if plan.keeps_keys {
                encoded.clear();
                plan.identity.iter().for_each(|&place| encoders[place].encode(row, &mut encoded));
                let key = plan.hasher.fingerprint(&encoded);
                self.buckets[bucket_of(key)].add(fingerprint);
                self.keys.push(key);
                self.null_keys += u64::from(plan.keyed && plan.identity.iter().any(|&place| encoders[place].is_null(row)));
            }
        }
        if plan.keeps_keys {
            let held = plan.keys_held.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
            if held > plan.key_budget {
                return Err(DataFusionError::ResourcesExhausted(format!(
                    "the list of keys has outgrown the memory budget at {held} rows (16 bytes a row; the lists of all sides together may take half of --memory)"
                )));
            }
        }
        self.judge_rules(plan, batch, &canonical.batch, &inside, times.as_deref())
    }

    fn judge_rules(
        &mut self,
        plan: &Plan,
        batch: &RecordBatch,
        canonical: &RecordBatch,
        inside: &[bool],
        times: Option<&[Option<i128>]>,
    ) -> Result<(), DataFusionError> {
        if plan.rules == 0 {
            return Ok(());
        }
        let first = plan.paired.len();
        let mut orders: Option<arrow::row::Rows> = None;
        for index in 0..plan.rules {
            let column = batch.column(first + index);
            let outcome = cast(column, &DataType::Boolean)?;
            let outcome = outcome.as_boolean();
            for row in 0..batch.num_rows() {
                if !inside[row] || (!outcome.is_null(row) && outcome.value(row)) {
                    continue;
                }
                if orders.is_none() {
                    orders = Some(order_rows(canonical, &plan.identity)?);
                }
                let Some(orders) = &orders else { continue };
                let unknown = outcome.is_null(row);
                let tally = &mut self.rules[index];
                let (count, samples) =
                    if unknown { (&mut tally.unknown, &mut tally.unknown_rows) } else { (&mut tally.violations, &mut tally.violating) };
                *count += 1;
                let sample = RowSample {
                    order: orders.row(row).as_ref().to_vec(),
                    series: plan.shower.object(canonical, &plan.series, row),
                    key: plan.shower.object(batch, &plan.identity, row),
                    time: times.and_then(|times| times[row]),
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
        for (_, series) in &mut self.series {
            let mut coarse: HashMap<Option<i128>, WindowSum> = HashMap::new();
            for (start, sum) in series.windows.drain() {
                let start = start.map(|start| windowing.window_of(Instant(start)).start.0);
                coarse.entry(start).or_default().merge(sum);
            }
            series.windows = coarse;
        }
    }

    fn merge(&mut self, plan: &Plan, mut other: Self) {
        let rung = self.rung.max(other.rung);
        self.coarsen_to(plan, rung);
        other.coarsen_to(plan, rung);
        self.rows_read += other.rows_read;
        self.bytes += other.bytes;
        if let Some((first, last)) = other.extent {
            widen(&mut self.extent, first);
            widen(&mut self.extent, last);
        }
        for (bytes, theirs) in other.series {
            let label = theirs.label.clone();
            let id = self.series_id(plan, &bytes, || label);
            self.series[id].1.merge(theirs);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            mine.merge(theirs);
        }
        if self.keys.is_empty() {
            self.keys = other.keys;
        } else {
            self.keys.extend(other.keys);
        }
        self.null_keys += other.null_keys;
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

impl SeriesScreen {
    fn new(reach: Option<i128>, label: String) -> Self {
        Self {
            label,
            rows: 0,
            rows_outside: 0,
            null_times: 0,
            null_sequences: 0,
            windows: HashMap::new(),
            time: TimeCoverage::new(reach),
            extent: None,
            window_extents: HashMap::new(),
            sequence: SequenceCoverage::default(),
            clock: Vec::new(),
        }
    }

    fn merge(&mut self, other: Self) {
        let Self { label: _, rows, rows_outside, null_times, null_sequences, windows, time, extent, window_extents, sequence, clock } =
            other;
        self.rows += rows;
        self.rows_outside += rows_outside;
        self.null_times += null_times;
        self.null_sequences += null_sequences;
        for (start, sum) in windows {
            self.windows.entry(start).or_default().merge(sum);
        }
        self.time.merge(time);
        if let Some((first, last)) = extent {
            widen(&mut self.extent, first);
            widen(&mut self.extent, last);
        }
        for (start, (first, last)) in window_extents {
            let mut mine = self.window_extents.get(&start).copied();
            widen(&mut mine, first);
            widen(&mut mine, last);
            if let Some(mine) = mine {
                self.window_extents.insert(start, mine);
            }
        }
        self.sequence.merge(sequence);
        self.clock.extend(clock);
    }
}

impl WindowSum {
    fn merge(&mut self, other: Self) {
        self.checksum.merge(other.checksum);
        self.digests.extend(other.digests);
    }
}

/// The bucket of a key.
pub(super) fn bucket_of(key: Fingerprint) -> usize {
    (key as usize) & (BUCKETS - 1)
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

/// Event times as nanoseconds.
pub(super) fn instants(array: &ArrayRef) -> Result<Vec<Option<i128>>, DataFusionError> {
    let per_tick: i128 = match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        DataType::Date32 => 86_400_000_000_000,
        DataType::Null => return Ok(vec![None; array.len()]),
        other => return Err(DataFusionError::Internal(format!("{other} is not a time"))),
    };
    let ticks = match array.data_type() {
        DataType::Date32 => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(array, &DataType::Int64)?,
    };
    Ok(ticks.as_primitive::<Int64Type>().iter().map(|tick| tick.map(|tick| i128::from(tick) * per_tick)).collect())
}

/// Sequence numbers of any integer type.
fn whole_numbers(array: &ArrayRef) -> Result<Vec<Option<i128>>, DataFusionError> {
    let wide = cast(array, &DataType::Decimal128(38, 0))?;
    Ok(wide.as_primitive::<Decimal128Type>().iter().collect())
}

/// The partial states of the sides under one windowing.
fn finish(prepared: &Prepared, mut partials: Vec<Partial>) -> Result<Screened> {
    let stream = &prepared.stream;
    let mut extent = None;
    for partial in &partials {
        if let Some((first, last)) = partial.extent {
            widen(&mut extent, first);
            widen(&mut extent, last);
        }
    }
    let rung = rung_for(extent, 0, MOST_DEFAULT_WINDOWS);
    let windowing = prepared.time.and_then(|_| windowing_at(stream.window, stream.time_zone, rung));
    let mut sides = Vec::new();
    for (opened, partial) in prepared.sides.iter().zip(&mut partials) {
        if let (None, Some(windowing)) = (stream.window, &windowing) {
            for (_, series) in &mut partial.series {
                let mut coarse: HashMap<Option<i128>, WindowSum> = HashMap::new();
                for (start, sum) in series.windows.drain() {
                    let start = start.map(|start| windowing.window_of(Instant(start)).start.0);
                    coarse.entry(start).or_default().merge(sum);
                }
                series.windows = coarse;
            }
        }
        let mut keys = std::mem::take(&mut partial.keys);
        keys.sort_unstable();
        for tally in &mut partial.rules {
            tally.violating.sort();
            tally.unknown_rows.sort();
        }
        sides.push(SideScreen {
            side: opened.side,
            rows_read: partial.rows_read,
            series: std::mem::take(&mut partial.series).into_iter().collect(),
            buckets: std::mem::take(&mut partial.buckets),
            keys,
            null_keys: partial.null_keys,
            lost: std::mem::take(&mut partial.lost),
            rules: std::mem::take(&mut partial.rules),
            row_bytes: partial.bytes / partial.rows_read.max(1),
        });
    }
    Ok(Screened { sides, windowing })
}
