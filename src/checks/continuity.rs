//! From coverage to facts about time and sequence: spans, gaps, seams, and the series themselves.
//!
//! Everything here is exact and small: it follows breaks and windows, not rows.
//!
//! ```text
//! bounds     [from                                   until)
//! rows         |  |  |           |  |        |  |
//! spans      [────────)        [─────)     [────)
//! gaps                [t+c      u)   [      )    [──)     with a cadence c: silences longer than max_silence
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::clock::Fall;
use super::digests::digest_of_rows;
use super::expectation::{Due, Judged, LowWindow, Piece, SeriesProfile, Silence, low_windows};
use super::extra::Lateness;
use super::relations;
use super::screen::{Screened, SeriesScreen};
use super::seams::{EdgeFact, OutageFact, SHARED, SeenKeys, Shared, edges, open_outage};
use super::settle::Localised;
use crate::domain::{
    Bounds, Checksum, Duration, Instant, Intervals, Mode, SequenceCoverage, SequenceSpan, Side, Step, TimeCoverage, Unlearned, Window,
    Windowing,
};
use crate::error::{Error, Result};
use crate::job::{Expect, SequenceKind, Stream};
use crate::staging::Prepared;

/// Empty windows that the table of windows lists at most; beyond, the gaps say the same.
const MOST_EMPTY_WINDOWS: usize = 100_000;

/// Who a span or gap belongs to: a side, or both together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// One side.
    One(Side),
    /// Both together, in `fill`.
    Recovered,
}

impl Whose {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::One(side) => side.as_str(),
            Self::Recovered => "recovered",
        }
    }
}

/// Half-open range of time or of sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Nanoseconds.
    Time(i128, i128),
    /// Numbers.
    Sequence(i128, i128),
}

impl Range {
    pub(super) fn ends(self) -> (i128, i128) {
        match self {
            Self::Time(from, until) | Self::Sequence(from, until) => (from, until),
        }
    }
}

/// A maximal interval without a gap inside.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the public table `spans`")]
pub struct SpanFact {
    pub series: Arc<str>,
    pub whose: Whose,
    pub range: Range,
    pub rows: u64,
}

/// What the bounds hold and the spans do not.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the public table `gaps`")]
pub struct GapFact {
    pub series: Arc<str>,
    pub whose: Whose,
    pub range: Range,
    pub missing_estimate: i128,
    pub status: &'static str,
    /// False for the original's own gaps in `fill`, which are kept but not findings.
    pub judged: bool,
}

/// A fact about a series on a side.
#[derive(Debug, Clone)]
pub struct SeriesFact {
    pub kind: &'static str,
    pub side: Option<Side>,
    pub series: String,
    pub rows: u64,
    pub from: Option<Instant>,
    pub until: Option<Instant>,
}

/// Numbers that came again, ran backwards, started again, or cannot be numbers of the sequence.
#[derive(Debug, Clone)]
pub struct SequenceFact {
    pub kind: &'static str,
    pub side: Side,
    pub series: String,
    pub from_sequence: Option<i128>,
    pub until_sequence: Option<i128>,
    pub from: Option<Instant>,
    pub until: Option<Instant>,
    pub rows: u64,
}

/// Where the coverage of one side meets that of the other.
#[derive(Debug, Clone)]
pub struct SeamFact {
    pub kind: &'static str,
    pub series: String,
    pub range: Range,
    pub before: Option<Side>,
    pub after: Option<Side>,
    pub rows: Option<u64>,
}

/// A series × window that has rows or should.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the public table `windows`")]
pub struct WindowFact {
    pub series: Arc<str>,
    pub window: Option<Window>,
    pub rows: [Option<u64>; 2],
    pub checksums: [Option<Checksum>; 2],
    pub digests: Option<Box<[Option<String>; 2]>>,
    pub status: &'static str,
    /// By a second clock, where there is one.
    pub lateness: Option<Box<[Option<Lateness>; 2]>>,
}

/// What was learned of a series' cadence.
#[derive(Debug, Clone)]
pub struct CadenceFact {
    pub kind: &'static str,
    pub series: String,
    pub from: Option<Instant>,
    pub cadence: String,
    pub before: Option<String>,
    pub silence: String,
    pub steps: u64,
}

/// All of it.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "one list for each kind of fact")]
pub struct Continuity {
    pub spans: Vec<SpanFact>,
    pub gaps: Vec<GapFact>,
    pub series: Vec<SeriesFact>,
    pub sequences: Vec<SequenceFact>,
    pub seams: Vec<SeamFact>,
    pub windows: Vec<WindowFact>,
    pub low_windows: Vec<LowWindow>,
    pub cadences: Vec<CadenceFact>,
    pub edges: Vec<EdgeFact>,
    pub outages: Vec<OutageFact>,
    /// What should have been judged and was not.
    pub doubts: Vec<String>,
    /// Digest over all rows of each side.
    pub digests: Vec<(Side, String)>,
    /// The bounds that were judged, over all series.
    pub bounds: Bounds,
    /// The windows and spans that are relations already: of many series there may be millions.
    pub(super) tables: Tables,
}

/// Parts of relations.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) windows: Vec<RecordBatch>,
    pub(super) spans: Vec<RecordBatch>,
    /// Of these windows, those that have rows or should.
    judged: u64,
    /// And those of which all rows came late.
    late: Vec<WindowFact>,
    /// Rows of each side by the start of a window, with its end: all series together.
    rows: BTreeMap<i128, (i128, [u64; 2])>,
    /// Of the spans, those of a backfill whose series has an open gap of the recovered stream.
    again: Vec<SpanFact>,
    /// Gaps up to here belong to spans that are relations already.
    gaps: usize,
}

impl Continuity {
    /// Nothing but the bounds.
    pub fn unjudged(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// How many windows have rows or should.
    pub fn windows_judged(&self) -> u64 {
        self.tables.judged + self.windows.iter().filter(|window| window.status != "empty").count() as u64
    }

    /// The windows of which every row of the original came when they were complete: whoever read them then found nothing.
    pub(super) fn late_windows(&self) -> impl Iterator<Item = &WindowFact> {
        self.tables.late.iter().chain(self.windows.iter().filter(|window| came_late(window)))
    }

    /// Rows of each side by the start of a window, with its end: all series together.
    pub(super) fn rows_by_window(&self) -> BTreeMap<i128, (i128, [u64; 2])> {
        let mut rows = self.tables.rows.clone();
        add_rows(&mut rows, &self.windows);
        rows
    }

    /// The stretches of time that a backfill covers in series with an open gap of the recovered stream.
    pub(super) fn collected_again(&self) -> impl Iterator<Item = &SpanFact> {
        let open = series_with_open_gaps(&self.gaps[self.tables.gaps..]);
        self.tables.again.iter().chain(self.spans.iter().filter(move |span| is_again(span) && open.contains(&span.series)))
    }

    /// Leaves the checksums out of the report: under a secret seed they mean nothing outside the run, and showing them would help a forger.
    pub fn keep_checksums_secret(&mut self) {
        self.windows.iter_mut().for_each(|window| window.checksums = [None, None]);
    }

    /// Makes relations of the windows and spans so far.
    ///
    /// # Errors
    /// Arrow could not build one.
    pub(super) fn tabulate(&mut self) -> std::result::Result<(), ArrowError> {
        self.tables.judged = self.windows_judged();
        add_rows(&mut self.tables.rows, &self.windows);
        let open = series_with_open_gaps(&self.gaps[self.tables.gaps..]);
        self.tables.again.extend(self.spans.iter().filter(|span| is_again(span) && open.contains(&span.series)).cloned());
        self.tables.gaps = self.gaps.len();
        self.tables.windows.push(relations::windows(&self.windows)?);
        self.tables.late.extend(std::mem::take(&mut self.windows).into_iter().filter(came_late));
        self.tables.spans.push(relations::spans(&std::mem::take(&mut self.spans))?);
        Ok(())
    }
}

fn add_rows(rows: &mut BTreeMap<i128, (i128, [u64; 2])>, windows: &[WindowFact]) {
    for (fact, window) in windows.iter().filter_map(|fact| Some((fact, fact.window?))) {
        let (_, known) = rows.entry(window.start.0).or_insert((window.end.0, [0; 2]));
        known.iter_mut().zip(fact.rows).for_each(|(known, rows)| *known += rows.unwrap_or(0));
    }
}

fn series_with_open_gaps(gaps: &[GapFact]) -> BTreeSet<Arc<str>> {
    gaps.iter().filter(|gap| gap.whose == Whose::Recovered && gap.status == "open").map(|gap| gap.series.clone()).collect()
}

fn is_again(span: &SpanFact) -> bool {
    span.whose == Whose::One(Side::Backfill) && matches!(span.range, Range::Time(_, _))
}

fn came_late(window: &WindowFact) -> bool {
    let late = window.lateness.as_ref().and_then(|late| late[Side::Original.index()]);
    late.is_some_and(|late| late.late > 0 && Some(late.late) == window.rows[Side::Original.index()])
}

/// A stretch that one side covers: first and last row, and the half-open range that counts as covered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) first: i128,
    pub(super) last: i128,
    pub(super) from: i128,
    pub(super) until: i128,
    pub(super) rows: u64,
}

/// What measures the time of a series.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure<'a> {
    /// The silence between rows.
    Cadence(&'a Step),
    /// Windows without rows.
    Windows(Windowing),
    None,
}

/// Works out the facts, slice by slice of the series, in the order of the series.
#[derive(Debug)]
pub struct Judging<'a> {
    prepared: &'a Prepared,
    localised: &'a Localised,
    /// Where the user asked for windows.
    explicit: Option<Windowing>,
    /// The cadence that was said.
    said: Option<Step>,
    due: Due<'a>,
    /// First and last event time of all.
    overall: Option<(i128, i128)>,
    shared: BTreeMap<(String, i128), u64>,
    both: Shared,
    unjudged: Unjudged,
    /// Of the list of series, those that came.
    seen: BTreeSet<Vec<String>>,
    /// Series that are not on the list, of each side.
    unlisted: [Vec<SeriesFact>; 2],
    /// Rows of the backfill outside the outage.
    outside: Vec<OutageFact>,
    empty_listed: usize,
    facts: Continuity,
}

impl<'a> Judging<'a> {
    /// Nothing judged yet. `screened` is what the first pass found, which knows of all series when they begin and end.
    ///
    /// # Errors
    /// Differences that were spilled cannot be read back.
    pub fn new(prepared: &'a Prepared, screened: &Screened, localised: &'a Localised) -> Result<Self> {
        let stream = &prepared.stream;
        let extents = screened.sides.iter().filter_map(|side| side.extent);
        let overall = extents.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        Ok(Self {
            prepared,
            localised,
            explicit: stream.window.and(screened.windowing),
            said: stream.step(),
            due: Due::new(stream, overall.map(|(_, last)| last)),
            overall,
            shared: shared_rows(stream, localised)?,
            both: Shared::of(stream, localised)?,
            unjudged: Unjudged::default(),
            seen: BTreeSet::new(),
            unlisted: [Vec::new(), Vec::new()],
            outside: Vec::new(),
            empty_listed: 0,
            facts: Continuity::default(),
        })
    }

    /// Judges the series of a slice of several. Under a secret seed checksums are not kept.
    ///
    /// # Errors
    /// Arrow could not build a relation.
    pub fn add_slice(&mut self, slice: &mut Screened, secret: bool) -> Result<()> {
        self.add(slice);
        if secret {
            self.facts.keep_checksums_secret();
        }
        self.facts.tabulate().map_err(|e| Error::engine("staging the relations")(e.into()))
    }

    /// Judges all series.
    pub fn add(&mut self, screened: &mut Screened) {
        let keys: BTreeSet<Vec<u8>> = screened.sides.iter().flat_map(|side| side.series.keys().cloned()).collect();
        for key in &keys {
            self.judge(screened, key);
        }
        self.look_for_listed(screened);
        self.outside.extend(outside_outage(screened));
        windows(self.prepared, screened, &keys, &self.due, &mut self.empty_listed, &mut self.facts);
    }

    fn judge(&mut self, screened: &Screened, key: &Vec<u8>) {
        let Self { prepared, explicit, said, due, shared, both, unjudged, facts, .. } = self;
        let (prepared, explicit, stream) = (*prepared, *explicit, &prepared.stream);
        let held: Vec<(Side, Option<&SeriesScreen>)> = screened.sides.iter().map(|side| (side.side, side.series.get(key))).collect();
        let Some(label) = held.iter().find_map(|(_, series)| series.map(|series| Arc::<str>::from(series.label.as_str()))) else { return };
        let extent =
            held.iter().filter_map(|(_, series)| series.and_then(|series| series.extent)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let step = match screened.learned.get(key) {
            Some(Ok(step)) => {
                cadence_facts(step, &label, facts);
                Some(step)
            }
            Some(Err(reason)) => {
                unjudged.unlearned(&label, *reason);
                None
            }
            None => said.as_ref(),
        };
        let measure = match (prepared.time, step, explicit) {
            (Some(_), Some(step), _) => Measure::Cadence(step),
            (Some(_), None, Some(windowing)) if stream.cadence.is_none() => Measure::Windows(windowing),
            _ => Measure::None,
        };
        series_facts(prepared, &held, &label, facts);
        let profile = explicit.filter(|_| stream.continuity.expect == Some(Expect::Profile)).and_then(|windowing| {
            let teacher = held.iter().find_map(|(_, series)| *series)?;
            Some(SeriesProfile::learn(stream, due, windowing, teacher))
        });
        let earlier = facts.gaps.len();
        time_facts(prepared, measure, due, profile.as_ref(), both, &held, &label, extent, facts);
        if let Some(windowing) = explicit.filter(|_| stream.continuity.expect.is_some()) {
            unjudged.windows += expectations(stream, due, windowing, profile.as_ref(), &held, &label, shared, earlier, facts);
        }
        sequence_facts(prepared, screened.payloads.get(key), &held, &label, facts);
    }

    /// What all series together say, and all facts.
    ///
    /// # Errors
    /// Differences that were spilled cannot be read back.
    pub fn finish(self, screened: &Screened) -> Result<Continuity> {
        let Self { prepared, localised, due, overall, mut unjudged, seen, unlisted, outside, mut facts, .. } = self;
        let stream = &prepared.stream;
        facts.series.extend(unlisted.into_iter().flatten());
        facts.series.extend(missing_listed(prepared, &seen));
        facts.outages = open_outage(stream, &facts.gaps);
        facts.outages.extend(outside);
        unjudged.windows += facts
            .gaps
            .iter()
            .filter(|gap| gap.status == "unjudged")
            .map(|gap| u64::try_from(gap.missing_estimate).unwrap_or(0))
            .sum::<u64>();
        facts.doubts.extend(unjudged.reasons());
        let replays = || localised.found.iter().filter(|((_, kind, _), _)| *kind == Some("replay")).map(|(_, count)| *count).sum::<u64>();
        if stream.mode == Mode::Fill && stream.continuity.expect.is_some() && replays() > listed_replays(localised)? {
            facts.doubts.push("more rows are on both sides than --max-findings lists, so that windows cannot be counted".to_string());
        }
        facts.bounds = Bounds {
            from: stream.bounds.from.or(overall.map(|(first, _)| Instant(first))),
            until: stream.bounds.until.or(overall.map(|(_, last)| Instant(last + 1_000))),
        };
        let mut about_stream = |kind, side, rows, from, until| {
            facts.series.push(SeriesFact { kind, side, series: String::new(), rows, from, until });
        };
        if let (Some(_), Some(_), true) = (prepared.time, overall, stream.bounds.from.is_none() || stream.bounds.until.is_none()) {
            about_stream("bounds_inferred", None, 0, facts.bounds.from, facts.bounds.until);
        }
        if let Some(young) = due.young() {
            about_stream("pending", None, 0, Some(Instant(young)), facts.bounds.until);
        }
        for side in screened.sides.iter().filter(|side| side.rows_outside > 0) {
            about_stream("row_outside_bounds", Some(side.side), side.rows_outside, None, None);
        }
        Ok(facts)
    }

    /// Holds the series of the data against those that were listed.
    fn look_for_listed(&mut self, screened: &Screened) {
        let Some(list) = &self.prepared.stream.continuity.expect_series else { return };
        for (at, side) in screened.sides.iter().enumerate() {
            for series in side.series.values() {
                let object: serde_json::Value = serde_json::from_str(&series.label).unwrap_or_default();
                let values: Vec<String> = list.columns.iter().map(|column| plain(&object[column])).collect();
                if !list.rows.contains(&values) && !self.seen.contains(&values) {
                    let extent = series.extent;
                    self.unlisted[at.min(1)].push(SeriesFact {
                        kind: "unexpected_listed",
                        side: Some(side.side),
                        series: series.label.clone(),
                        rows: series.rows,
                        from: extent.map(|(first, _)| Instant(first)),
                        until: extent.map(|(_, last)| Instant(last + 1)),
                    });
                }
                self.seen.insert(values);
            }
        }
    }
}

/// What could not be judged, for the verdict.
#[derive(Debug, Default)]
struct Unjudged {
    few: Vec<String>,
    irregular: Vec<String>,
    series: u64,
    windows: u64,
}

impl Unjudged {
    fn unlearned(&mut self, label: &str, reason: Unlearned) {
        self.series += 1;
        let list = if matches!(reason, Unlearned::TooFew(_)) { &mut self.few } else { &mut self.irregular };
        if list.len() < 3 {
            list.push(match reason {
                Unlearned::TooFew(steps) => format!("{label}: {steps} steps"),
                Unlearned::Irregular(step, spread) => format!("{label}: {} give or take {}", length(step), length(spread)),
            });
        }
    }

    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.series > 0 {
            let shown: Vec<&str> = self.irregular.iter().chain(&self.few).map(String::as_str).collect();
            reasons.push(format!(
                "the cadence of {} series could not be learned ({}{}): say it with --cadence, or judge by --window",
                self.series,
                shown.join(", "),
                if shown.len() as u64 == self.series { "" } else { ", …" }
            ));
        }
        if self.windows > 0 {
            reasons.push(format!(
                "{} windows have too little healthy history to expect a count (four weeks outside the outage are needed)",
                self.windows
            ));
        }
        reasons
    }
}

/// A length of time as people write it.
fn length(nanos: i128) -> String {
    Duration::from_nanos(nanos).map_or("0s".to_string(), |length| length.to_string())
}

fn cadence_facts(step: &Step, label: &str, facts: &mut Continuity) {
    let Step::Learned(regimes) = step else { return };
    let mut before: Option<String> = None;
    for regime in regimes {
        let cadence = length(regime.cadence);
        let fact = |kind, before: Option<String>| CadenceFact {
            kind,
            series: label.to_string(),
            from: Some(Instant(regime.from)),
            cadence: cadence.clone(),
            before,
            silence: length(regime.reach),
            steps: regime.steps,
        };
        match before.take() {
            None => facts.cadences.push(fact("learned", None)),
            known => facts.cadences.push(fact("changed", known)),
        }
        before = Some(cadence);
    }
}

/// Rows that both sides hold, by series and window: in the sum of both they count once.
fn shared_rows(stream: &Stream, localised: &Localised) -> Result<BTreeMap<(String, i128), u64>> {
    let mut shared = BTreeMap::new();
    if stream.mode != Mode::Fill || stream.continuity.expect.is_none() {
        return Ok(shared);
    }
    let mut seen = SeenKeys::new(stream, localised);
    localised.differences.each(&SHARED, |difference| {
        let both = difference.kind == Some("replay") || difference.class == "value_mismatch";
        if let (true, Some(window)) = (both && seen.is_new(difference), difference.window) {
            *shared.entry((difference.series.clone(), window.start.0)).or_default() += 1;
        }
    })?;
    Ok(shared)
}

fn listed_replays(localised: &Localised) -> Result<u64> {
    let mut replays = 0;
    localised.differences.each(&SHARED, |difference| replays += u64::from(difference.kind == Some("replay")))?;
    Ok(replays)
}

/// The windows that hold fewer rows than was asked for. Returns how many could not be judged.
#[expect(clippy::too_many_arguments, reason = "all of them are parts of one question")]
fn expectations(
    stream: &Stream,
    due: &Due<'_>,
    windowing: Windowing,
    profile: Option<&SeriesProfile>,
    held: &[(Side, Option<&SeriesScreen>)],
    label: &str,
    shared: &BTreeMap<(String, i128), u64>,
    // Gaps of the series before.
    earlier: usize,
    facts: &mut Continuity,
) -> u64 {
    let counts = |series: Option<&SeriesScreen>| -> BTreeMap<i128, u64> {
        let windows = series.into_iter().flat_map(|series| series.windows.iter());
        windows.filter_map(|(start, sum)| start.map(|start| (start, sum.rows))).collect()
    };
    let sides: Vec<(Side, BTreeMap<i128, u64>)> = held.iter().map(|(side, series)| (*side, counts(*series))).collect();
    let original = sides.iter().find(|(side, _)| *side == Side::Original).map(|(_, counts)| counts);
    let judged: Vec<(&'static str, BTreeMap<i128, u64>)> = match stream.mode {
        Mode::Fill => {
            let mut both: BTreeMap<i128, u64> = BTreeMap::new();
            sides.iter().flat_map(|(_, counts)| counts).for_each(|(start, rows)| *both.entry(*start).or_default() += rows);
            for (start, rows) in &mut both {
                *rows -= shared.get(&(label.to_string(), *start)).copied().unwrap_or(0).min(*rows);
            }
            vec![(Whose::Recovered.as_str(), both)]
        }
        // A side without any row of the series is a missing series.
        _ => sides.iter().filter(|(_, counts)| !counts.is_empty()).map(|(side, counts)| (side.as_str(), counts.clone())).collect(),
    };
    let extent = held.iter().filter_map(|(_, series)| series.and_then(|series| series.extent)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let mut unknown = 0;
    for (whose, rows) in judged {
        let mine = facts.gaps[earlier..].iter().filter(|gap| gap.whose.as_str() == whose && gap.judged);
        let gaps = Intervals::of(mine.filter_map(|gap| match gap.range {
            Range::Time(from, until) => Some((from, until)),
            Range::Sequence(_, _) => None,
        }));
        let (low, more) = low_windows(stream, due, windowing, label, extent, &Judged { whose, rows, gaps: &gaps, original }, profile);
        facts.low_windows.extend(low);
        unknown += more;
    }
    unknown
}

/// Rows of the backfill that lie outside the known outage.
fn outside_outage(screened: &Screened) -> Vec<OutageFact> {
    let mut outside = Vec::new();
    for series in screened.sides.iter().flat_map(|side| side.series.values()) {
        let [before, after] = series.extra.as_ref().map_or([0, 0], |extra| extra.outside);
        if before + after > 0 {
            outside.push(OutageFact {
                kind: "outside",
                series: series.label.clone(),
                from: series.extent.map(|(first, _)| Instant(first)),
                until: series.extent.map(|(_, last)| Instant(last + 1)),
                rows: before + after,
                before,
                after,
            });
        }
    }
    outside
}

/// Series that were listed and did not come.
fn missing_listed(prepared: &Prepared, seen: &BTreeSet<Vec<String>>) -> Vec<SeriesFact> {
    let Some(list) = &prepared.stream.continuity.expect_series else { return Vec::new() };
    let mut missing = Vec::new();
    for values in list.rows.difference(seen) {
        let object: serde_json::Map<String, serde_json::Value> =
            list.columns.iter().cloned().zip(values.iter().map(|value| serde_json::Value::String(value.clone()))).collect();
        missing.push(SeriesFact {
            kind: "missing_listed",
            side: None,
            series: serde_json::Value::Object(object).to_string(),
            rows: 0,
            from: prepared.stream.bounds.from,
            until: prepared.stream.bounds.until,
        });
    }
    missing
}

/// A value of a series as a list would have it.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn series_facts(prepared: &Prepared, held: &[(Side, Option<&SeriesScreen>)], label: &str, facts: &mut Continuity) {
    let rows = |series: Option<&SeriesScreen>| series.map_or(0, |series| series.rows);
    for (side, series) in held {
        let mut push = |kind, rows, from: Option<i128>, until: Option<i128>| {
            let (from, until) = (from.map(Instant), until.map(Instant));
            facts.series.push(SeriesFact { kind, side: Some(*side), series: label.to_string(), rows, from, until });
        };
        if let Some(series) = series
            && series.null_times > 0
        {
            push("null_time", series.null_times, None, None);
        }
    }
    if prepared.stream.mode != Mode::Replica || prepared.stream.series.is_empty() {
        return;
    }
    if let [(_, original), (_, backfill)] = held {
        let (kind, holder) = match (rows(*original), rows(*backfill)) {
            (1.., 0) => ("missing_series", original),
            (0, 1..) => ("unexpected_series", backfill),
            _ => return,
        };
        let extent = holder.and_then(|series| series.extent);
        facts.series.push(SeriesFact {
            kind,
            side: Some(Side::Backfill),
            series: label.to_string(),
            rows: rows(*holder),
            from: extent.map(|(first, _)| Instant(first)),
            until: extent.map(|(_, last)| Instant(last + 1)),
        });
    }
}

/// The stretches that a coverage makes under a measure.
fn runs(measure: Measure<'_>, series: &SeriesScreen) -> Vec<Run> {
    match measure {
        Measure::Cadence(step) => cadence_runs(&series.time, step),
        Measure::Windows(windowing) => window_runs(windowing, series.window_extents.iter().map(|(s, e)| (*s, *e)).collect(), |start| {
            series.windows.get(Some(start)).rows
        }),
        Measure::None => {
            let rows = series.time.spans().iter().map(|span| span.rows).sum();
            series.extent.map(|(first, last)| Run { first, last, from: first, until: last + 1, rows }).into_iter().collect()
        }
    }
}

/// Spans are collected with the least reach that there is, so some that are apart belong together.
fn cadence_runs(time: &TimeCoverage, step: &Step) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for span in time.spans() {
        match runs.last_mut() {
            Some(run) if !step.is_gap(run.last, span.first) => {
                run.last = span.last;
                run.rows += span.rows;
            }
            _ => runs.push(Run { first: span.first, last: span.last, from: span.first, until: span.last, rows: span.rows }),
        }
    }
    let next: Vec<Option<i128>> = runs.iter().skip(1).map(|run| Some(run.first)).chain([None]).collect();
    for (run, next) in runs.iter_mut().zip(next) {
        run.until = step.due_after(run.last, next);
    }
    runs
}

fn window_runs(windowing: Windowing, extents: BTreeMap<i128, (i128, i128)>, rows: impl Fn(i128) -> u64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (start, (first, last)) in extents {
        let end = windowing.window_of(Instant(start)).end.0;
        match runs.last_mut() {
            Some(run) if run.until == start => {
                run.until = end;
                run.last = last;
                run.rows += rows(start);
            }
            _ => runs.push(Run { first, last, from: start, until: end, rows: rows(start) }),
        }
    }
    runs
}

/// Both sides together.
fn recovered_runs(measure: Measure<'_>, held: &[(Side, Option<&SeriesScreen>)]) -> Vec<Run> {
    let both: Vec<&SeriesScreen> = held.iter().filter_map(|(_, series)| *series).collect();
    match measure {
        Measure::Cadence(step) => {
            let mut time = TimeCoverage::new(Some(step.least_reach()));
            both.iter().for_each(|series| time.merge(series.time.clone()));
            cadence_runs(&time, step)
        }
        Measure::Windows(windowing) => {
            let mut extents: BTreeMap<i128, (i128, i128)> = BTreeMap::new();
            for series in &both {
                for (start, (first, last)) in &series.window_extents {
                    let extent = extents.entry(*start).or_insert((*first, *last));
                    *extent = (extent.0.min(*first), extent.1.max(*last));
                }
            }
            window_runs(windowing, extents, |start| both.iter().map(|series| series.windows.get(Some(start)).rows).sum())
        }
        Measure::None => Vec::new(),
    }
}

fn div_round(a: i128, b: i128) -> i128 {
    (2 * a + b).div_euclid(2 * b)
}

/// Silences of a coverage within bounds. `extent` stands in for bounds that were not given.
fn silences(measure: Measure<'_>, bounds: Bounds, extent: (i128, i128), runs: &[Run]) -> Vec<Silence> {
    let mut silences = Vec::new();
    let mut push = |from, until, before, after, missing| silences.push(Silence { from, until, before, after, missing });
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        // Nothing at all inside the bounds: one gap over all of them.
        match measure {
            Measure::Cadence(step) => {
                let from = bounds.from.map_or(extent.0, |at| at.0);
                let until = bounds.until.map_or_else(|| step.due_after(extent.1, None), |at| at.0);
                push(from, until, None, None, div_round(until - from, step.length(from)).max(1));
            }
            Measure::Windows(windowing) => {
                let from = bounds.from.map_or(windowing.window_of(Instant(extent.0)).start.0, |at| at.0);
                let until = bounds.until.map_or(windowing.window_of(Instant(extent.1)).end.0, |at| at.0);
                push(from, until, None, None, div_round(until - from, windowing.width().nanos()).max(1));
            }
            Measure::None => {}
        }
        return silences;
    };
    match measure {
        Measure::Cadence(step) => {
            let from = bounds.from.map_or(extent.0, |at| at.0);
            let head = step.missing_before(from, first.first);
            if head >= 1 {
                push(from, first.first, None, Some(first.first), head);
            }
            for pair in runs.windows(2) {
                let (t, u) = (pair[0].last, pair[1].first);
                push(step.due_after(t, Some(u)), u, Some(t), Some(u), step.missing_between(t, u));
            }
            // The other side's last row is inside, so without a given end the range ends one cadence after it.
            let (until, inside) = match bounds.until {
                Some(at) => (at.0, at.0),
                None => (step.due_after(extent.1, None), extent.1 + 1),
            };
            let tail = step.missing_after(last.last, inside);
            if tail >= 1 {
                push(step.due_after(last.last, None), until, Some(last.last), None, tail);
            }
        }
        Measure::Windows(windowing) => {
            let width = windowing.width().nanos();
            let from = bounds.from.map_or(windowing.window_of(Instant(extent.0)).start.0, |at| at.0);
            let until = bounds.until.map_or(windowing.window_of(Instant(extent.1)).end.0, |at| at.0);
            let mut push = |from: i128, until: i128| {
                if from < until {
                    push(from, until, None, None, div_round(until - from, width).max(1));
                }
            };
            push(from, first.from);
            for pair in runs.windows(2) {
                push(pair[0].until, pair[1].from);
            }
            push(last.until, until);
        }
        Measure::None => {}
    }
    silences
}

#[expect(clippy::too_many_arguments, reason = "all of them are parts of one question")]
fn time_facts(
    prepared: &Prepared,
    measure: Measure<'_>,
    due: &Due<'_>,
    profile: Option<&SeriesProfile>,
    both: &Shared,
    held: &[(Side, Option<&SeriesScreen>)],
    label: &Arc<str>,
    extent: Option<(i128, i128)>,
    facts: &mut Continuity,
) {
    let stream = &prepared.stream;
    if prepared.time.is_none() {
        return;
    }
    let side_runs: Vec<(Side, Vec<Run>)> =
        held.iter().map(|(side, series)| (*side, series.map_or(Vec::new(), |series| runs(measure, series)))).collect();
    for (side, runs) in &side_runs {
        for run in runs {
            facts.spans.push(SpanFact {
                series: label.clone(),
                whose: Whose::One(*side),
                range: Range::Time(run.from, run.until),
                rows: run.rows,
            });
        }
    }
    let Some(extent) = extent else { return };
    if matches!(measure, Measure::None) {
        return;
    }
    let profile = profile.filter(|_| matches!(measure, Measure::Windows(_)));
    let gaps = |runs: &[Run]| -> Vec<Piece> {
        silences(measure, stream.bounds, extent, runs).iter().flat_map(|silence| due.pieces(&measure, silence, profile)).collect()
    };
    let mut push = |whose, pieces: &[Piece], judged, status: &dyn Fn(&Piece) -> &'static str| {
        for piece in pieces {
            let status = status(piece);
            facts.gaps.push(GapFact {
                series: label.clone(),
                whose,
                range: piece.range,
                missing_estimate: piece.missing,
                status,
                judged: judged && status == "open",
            });
        }
    };
    if stream.mode != Mode::Fill {
        for (side, runs) in &side_runs {
            // A side without any row of the series is a missing series, not a gap; without series the keys say it.
            if !runs.is_empty() {
                push(Whose::One(*side), &gaps(runs), true, &|piece| piece.status);
            }
        }
        return;
    }
    let recovered = recovered_runs(measure, held);
    let open = gaps(&recovered);
    push(Whose::Recovered, &open, true, &|piece| piece.status);
    if let Some((_, runs)) = side_runs.iter().find(|(side, _)| *side == Side::Original) {
        let ranges: Vec<Range> = open.iter().filter(|piece| piece.status == "open").map(|piece| piece.range).collect();
        push(Whose::One(Side::Original), &gaps(runs), false, &|piece| match piece.status {
            "open" => filled_status(piece.range, &ranges),
            other => other,
        });
    }
    for run in &recovered {
        facts.spans.push(SpanFact {
            series: label.clone(),
            whose: Whose::Recovered,
            range: Range::Time(run.from, run.until),
            rows: run.rows,
        });
    }
    if let [(_, original), (_, backfill)] = side_runs.as_slice() {
        facts.edges.extend(edges(measure, label, original, backfill, both));
    }
    if prepared.sequence.is_none() {
        time_seams(measure, label, &side_runs, &recovered, facts);
    }
}

/// What became of a gap of the original, given the gaps that are left, disjoint and in ascending order.
fn filled_status(gap: Range, open: &[Range]) -> &'static str {
    let (from, until) = gap.ends();
    // Of those that end behind its start the first is the only one that can hold all of it.
    let next = open.partition_point(|left| left.ends().1 <= from);
    match open.get(next).map(|left| left.ends()) {
        Some((start, end)) if start <= from && until <= end => "open",
        Some((start, _)) if start < until => "partly_filled",
        _ => "filled",
    }
}

fn time_seams(measure: Measure<'_>, label: &str, sides: &[(Side, Vec<Run>)], recovered: &[Run], facts: &mut Continuity) {
    let [(_, original), (_, backfill)] = sides else { return };
    // One tick after the last row, or a cadence where there is one: the overlap holds that row.
    let after = |last: i128| match measure {
        Measure::Cadence(step) => step.due_after(last, None),
        _ => last + 1_000,
    };
    // Both in order of time, so that what ends before a stretch begins is behind all that follow.
    let mut next = 0;
    for mine in original {
        next += backfill[next..].partition_point(|theirs| theirs.last < mine.first);
        for theirs in backfill[next..].iter().take_while(|theirs| theirs.first <= mine.last) {
            let (from, last) = (mine.first.max(theirs.first), mine.last.min(theirs.last));
            if from <= last {
                facts.seams.push(SeamFact {
                    kind: "overlap",
                    series: label.to_string(),
                    range: Range::Time(from, after(last)),
                    before: None,
                    after: None,
                    rows: None,
                });
            }
        }
    }
    let ends_at = |runs: &[Run], at: i128| runs.binary_search_by_key(&at, |run| run.last).is_ok();
    let starts_at = |runs: &[Run], at: i128| runs.binary_search_by_key(&at, |run| run.first).is_ok();
    for pair in recovered.windows(2) {
        let before = only(ends_at(original, pair[0].last), ends_at(backfill, pair[0].last));
        let after = only(starts_at(original, pair[1].first), starts_at(backfill, pair[1].first));
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            let from = match measure {
                Measure::Cadence(_) => pair[0].until,
                _ => pair[0].until,
            };
            let until = if matches!(measure, Measure::Cadence(_)) { pair[1].first } else { pair[1].from };
            facts.seams.push(SeamFact {
                kind: "gap",
                series: label.to_string(),
                range: Range::Time(from, until),
                before: Some(before),
                after: Some(after),
                rows: None,
            });
        }
    }
}

fn only(original: bool, backfill: bool) -> Option<Side> {
    match (original, backfill) {
        (true, false) => Some(Side::Original),
        (false, true) => Some(Side::Backfill),
        _ => None,
    }
}

/// Runs clipped to the bounds of the sequence.
fn clipped(spans: Vec<SequenceSpan>, bounds: (Option<i128>, Option<i128>)) -> Vec<SequenceSpan> {
    spans
        .into_iter()
        .map(|span| SequenceSpan {
            from: bounds.0.map_or(span.from, |from| span.from.max(from)),
            until: bounds.1.map_or(span.until, |until| span.until.min(until)),
        })
        .filter(|span| span.from < span.until)
        .collect()
}

fn sequence_gaps(spans: &[SequenceSpan], bounds: (Option<i128>, Option<i128>), extent: (i128, i128)) -> Vec<(Range, i128)> {
    let from = bounds.0.unwrap_or(extent.0);
    let until = bounds.1.unwrap_or(extent.1);
    let mut gaps = Vec::new();
    let mut at = from;
    for span in spans {
        if at < span.from {
            gaps.push((Range::Sequence(at, span.from), span.from - at));
        }
        at = at.max(span.until);
    }
    if at < until {
        gaps.push((Range::Sequence(at, until), until - at));
    }
    gaps
}

/// One counter of a series with the numbers of each side, in steps.
struct Lane {
    held: Vec<(Side, SequenceCoverage)>,
    /// Bounds in steps.
    bounds: (Option<i128>, Option<i128>),
}

/// The counters of a series: one, unless the sequence starts again.
fn lanes(stream: &Stream, held: &[(Side, Option<&SeriesScreen>)], steps: Steps) -> Vec<Lane> {
    let bounds = (stream.sequence_bounds.0.map(|at| steps.first_from(at)), stream.sequence_bounds.1.map(|at| steps.first_from(at)));
    let counters = |series: &SeriesScreen| -> Vec<SequenceCoverage> {
        match series.counters.is_empty() {
            true => vec![series.sequence.clone()],
            false => series.counters.iter().map(|counter| counter.numbers.clone()).collect(),
        }
    };
    let sides: Vec<(Side, Vec<SequenceCoverage>)> =
        held.iter().map(|(side, series)| (*side, series.map_or(Vec::new(), counters))).collect();
    let many = sides.iter().map(|(_, counters)| counters.len()).max().unwrap_or(0);
    // Bounds speak of the head of the first counter and the tail of the last.
    let within = |at: usize, many: usize| (bounds.0.filter(|_| at == 0), bounds.1.filter(|_| at + 1 == many));
    if sides.iter().all(|(_, counters)| counters.is_empty() || counters.len() == many) {
        let lane = |at: usize| Lane {
            held: sides.iter().map(|(side, counters)| (*side, counters.get(at).cloned().unwrap_or_default())).collect(),
            bounds: within(at, many),
        };
        return (0..many).map(lane).collect();
    }
    // Sides that do not start again alike cannot be held against each other: each is judged by itself.
    let own = sides.into_iter().flat_map(|(side, counters)| {
        let many = counters.len();
        counters.into_iter().enumerate().map(move |(at, numbers)| Lane { held: vec![(side, numbers)], bounds: within(at, many) })
    });
    own.collect()
}

/// From numbers to steps and back.
#[derive(Debug, Clone, Copy)]
struct Steps {
    step: i128,
    remainder: i128,
}

impl Steps {
    fn number(self, at: i128) -> i128 {
        at * self.step + self.remainder
    }

    /// The first step whose number is not before this one.
    fn first_from(self, number: i128) -> i128 {
        -(-(number - self.remainder)).div_euclid(self.step)
    }

    fn range(self, span: SequenceSpan) -> Range {
        Range::Sequence(self.number(span.from), self.number(span.until))
    }
}

fn sequence_facts(
    prepared: &Prepared,
    payloads: Option<&HashMap<i128, Option<i128>>>,
    held: &[(Side, Option<&SeriesScreen>)],
    label: &Arc<str>,
    facts: &mut Continuity,
) {
    let stream = &prepared.stream;
    if prepared.sequence.is_none() {
        return;
    }
    let extra = held.iter().find_map(|(_, series)| series.and_then(|series| series.extra.as_ref()));
    let steps = Steps { step: stream.sequence_step, remainder: extra.map_or(0, |extra| extra.remainder) };
    for (side, series) in held {
        let Some(series) = series else { continue };
        facts.sequences.extend(falls(*side, label, series, stream.mode));
        let mut unusable = |kind, rows| {
            if rows > 0 {
                facts.sequences.push(SequenceFact {
                    kind,
                    side: *side,
                    series: label.to_string(),
                    from_sequence: None,
                    until_sequence: None,
                    from: None,
                    until: None,
                    rows,
                });
            }
        };
        let extra = series.extra.as_deref();
        unusable("inverted", extra.map_or(0, |extra| extra.inverted));
        unusable("off_step", extra.map_or(0, |extra| extra.off_step));
    }
    for lane in lanes(stream, held, steps) {
        lane_facts(stream, payloads, &lane, steps, label, facts);
    }
}

fn lane_facts(
    stream: &Stream,
    payloads: Option<&HashMap<i128, Option<i128>>>,
    lane: &Lane,
    steps: Steps,
    label: &Arc<str>,
    facts: &mut Continuity,
) {
    for (side, numbers) in &lane.held {
        for (run, rows) in numbers.repeated() {
            facts.sequences.push(SequenceFact {
                kind: "duplicate",
                side: *side,
                series: label.to_string(),
                from_sequence: Some(steps.number(run.from)),
                until_sequence: Some(steps.number(run.until)),
                from: None,
                until: None,
                rows,
            });
        }
    }
    let spans: Vec<(Side, Vec<SequenceSpan>)> =
        lane.held.iter().map(|(side, numbers)| (*side, clipped(numbers.spans(), lane.bounds))).collect();
    let extent = spans.iter().flat_map(|(_, spans)| spans).map(|span| (span.from, span.until)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let Some(extent) = extent else { return };
    let mut span_fact = |whose, span: &SequenceSpan| {
        facts.spans.push(SpanFact {
            series: label.clone(),
            whose,
            range: steps.range(*span),
            rows: u64::try_from(span.until - span.from).unwrap_or(u64::MAX),
        });
    };
    for (side, spans) in &spans {
        spans.iter().for_each(|span| span_fact(Whose::One(*side), span));
    }
    let is_log = stream.sequence_kind == SequenceKind::KafkaOffset;
    // What a hole in the numbers comes to: how many are lost, and what it is if none is.
    let weigh = |range: Range, spans: &[SequenceSpan], estimate: i128| -> (i128, &'static str) {
        let (from, until) = range.ends();
        if !is_log {
            return (estimate, "open");
        }
        let is_head = spans.first().is_some_and(|span| until <= span.from);
        if is_head && lane.bounds.0.is_none() {
            return (estimate, "retention");
        }
        let payload = |offset: i128| payloads.and_then(|known| known.get(&offset).copied().flatten());
        match (payload(from - 1), payload(until)) {
            (Some(before), Some(after)) if after > before => match (after - before - 1).min(estimate) {
                0 => (estimate, "skipped"),
                lost => (lost, "open"),
            },
            _ => (estimate, "open"),
        }
    };
    let mut push = |whose, spans: &[SequenceSpan], judged: bool, filled: Option<&[Range]>| -> Vec<Range> {
        let mut open = Vec::new();
        for (range, estimate) in sequence_gaps(spans, lane.bounds, extent) {
            let (missing, status) = weigh(range, spans, estimate);
            if status == "open" {
                open.push(range);
            }
            let (from, until) = range.ends();
            facts.gaps.push(GapFact {
                series: label.clone(),
                whose,
                range: steps.range(SequenceSpan { from, until }),
                missing_estimate: missing,
                status: match (status, filled) {
                    ("open", Some(left)) => filled_status(range, left),
                    (status, _) => status,
                },
                judged: judged && status == "open",
            });
        }
        open
    };
    if stream.mode != Mode::Fill {
        for (side, spans) in &spans {
            if !spans.is_empty() {
                push(Whose::One(*side), spans, true, None);
            }
        }
        return;
    }
    let mut union = SequenceCoverage::default();
    for (_, numbers) in &lane.held {
        union = union.union(numbers);
    }
    let recovered = clipped(union.spans(), lane.bounds);
    let open = push(Whose::Recovered, &recovered, true, None);
    if let Some((_, own)) = spans.iter().find(|(side, _)| *side == Side::Original) {
        push(Whose::One(Side::Original), own, false, Some(&open));
    }
    let mut span_fact = |whose, span: &SequenceSpan| {
        facts.spans.push(SpanFact {
            series: label.clone(),
            whose,
            range: steps.range(*span),
            rows: u64::try_from(span.until - span.from).unwrap_or(u64::MAX),
        });
    };
    recovered.iter().for_each(|span| span_fact(Whose::Recovered, span));
    if let [(_, original), (_, backfill)] = spans.as_slice() {
        sequence_seams(label, original, backfill, &recovered, steps, facts);
    }
}

fn sequence_seams(
    label: &str,
    original: &[SequenceSpan],
    backfill: &[SequenceSpan],
    recovered: &[SequenceSpan],
    steps: Steps,
    facts: &mut Continuity,
) {
    let (mut a, mut b) = (0, 0);
    while let (Some(mine), Some(theirs)) = (original.get(a), backfill.get(b)) {
        let (from, until) = (mine.from.max(theirs.from), mine.until.min(theirs.until));
        if from < until {
            facts.seams.push(SeamFact {
                kind: "overlap",
                series: label.to_string(),
                range: steps.range(SequenceSpan { from, until }),
                before: None,
                after: None,
                rows: u64::try_from(until - from).ok(),
            });
        }
        if mine.until < theirs.until { a += 1 } else { b += 1 }
    }
    let ends_at = |spans: &[SequenceSpan], at: i128| spans.binary_search_by_key(&at, |span| span.until).is_ok();
    let starts_at = |spans: &[SequenceSpan], at: i128| spans.binary_search_by_key(&at, |span| span.from).is_ok();
    for pair in recovered.windows(2) {
        let before = only(ends_at(original, pair[0].until), ends_at(backfill, pair[0].until));
        let after = only(starts_at(original, pair[1].from), starts_at(backfill, pair[1].from));
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            facts.seams.push(SeamFact {
                kind: "gap",
                series: label.to_string(),
                range: steps.range(SequenceSpan { from: pair[0].until, until: pair[1].from }),
                before: Some(before),
                after: Some(after),
                rows: None,
            });
        }
    }
}

/// Where the sequence of a series runs backwards, and where it starts again.
fn falls(side: Side, label: &str, series: &SeriesScreen, mode: Mode) -> Vec<SequenceFact> {
    let resets: Vec<Fall> = series.counters.iter().filter_map(|counter| counter.began).collect();
    let own = series.clock.falls().unwrap_or_default();
    // In a fill a counter may start again where one side has no rows: then the fall is that of both together, and is told once.
    let told = |fall: &Fall| resets.iter().any(|reset| fall.before.0 < reset.after.0 && reset.after.0 <= fall.after.0);
    let fact = |kind, fall: Fall| SequenceFact {
        kind,
        side,
        series: label.to_string(),
        from_sequence: Some(fall.before.1),
        until_sequence: Some(fall.after.1),
        from: Some(Instant(fall.before.0)),
        until: Some(Instant(fall.after.0)),
        rows: 1,
    };
    let mut facts: Vec<SequenceFact> = own.into_iter().filter(|fall| !told(fall)).map(|fall| fact("regression", fall)).collect();
    if mode != Mode::Fill || side == Side::Original {
        facts.extend(resets.into_iter().map(|fall| fact("reset", fall)));
    }
    facts
}

fn windows(
    prepared: &Prepared,
    screened: &mut Screened,
    keys: &BTreeSet<Vec<u8>>,
    due: &Due<'_>,
    empty_listed: &mut usize,
    facts: &mut Continuity,
) {
    let stream = &prepared.stream;
    let single = stream.mode == Mode::Single;
    if let Some(algorithm) = stream.digest {
        for side in &screened.sides {
            let mut all: Vec<Vec<u8>> = side
                .series
                .values()
                .filter_map(|series| series.digests.as_ref())
                .flat_map(|digests| digests.windows.values().flatten().cloned())
                .collect();
            facts.digests.push((side.side, digest_of_rows(algorithm, &mut all)));
        }
    }
    for key in keys {
        let mut starts: BTreeSet<Option<i128>> = BTreeSet::new();
        let mut label: Arc<str> = Arc::from("");
        for side in &screened.sides {
            if let Some(series) = side.series.get(key) {
                starts.extend(series.windows.iter().map(|(start, _)| start));
                label = Arc::from(series.label.as_str());
            }
        }
        let mut listed: Vec<WindowFact> = Vec::new();
        for start in &starts {
            let window = start.and_then(|start| screened.windowing.map(|windowing| windowing.window_of(Instant(start))));
            let mut rows = [None, None];
            let mut checksums = [None, None];
            let mut digests = [None, None];
            let mut sums = [None, None];
            let mut lateness = [None, None];
            for side in &mut screened.sides {
                let at = side.side.index();
                let late = side.series.get(key).and_then(|series| series.extra.as_ref());
                lateness[at] = late.zip(*start).and_then(|(extra, start)| extra.lateness.get(&start).copied());
                let series = side.series.get_mut(key);
                let checksum = series.as_ref().map(|series| series.windows.get(*start)).unwrap_or_default();
                let digests_here = series.and_then(|series| series.digests.as_mut()?.windows.remove(start));
                let digest = stream.digest.zip(digests_here.filter(|_| checksum.rows > 0));
                rows[at] = Some(checksum.rows);
                // In a fill not every value is read.
                checksums[at] = (stream.mode != Mode::Fill).then_some(checksum);
                digests[at] = digest.map(|(algorithm, mut digests)| digest_of_rows(algorithm, &mut digests));
                sums[at] = Some(checksum);
            }
            let status = match (sums[0].map_or(0, |s| s.rows), sums[1].map_or(0, |s| s.rows)) {
                (_, _) if single => "original_only",
                (1.., 0) => "original_only",
                (0, 1..) => "backfill_only",
                _ if stream.mode == Mode::Fill => "both",
                _ if sums[0] == sums[1] => "match",
                _ => "differ",
            };
            let digests = (digests != [None, None]).then(|| Box::new(digests));
            let lateness = (lateness != [None, None]).then(|| Box::new(lateness));
            listed.push(WindowFact { series: label.clone(), window, rows, checksums, digests, status, lateness });
        }
        if let (Some(_), Some(windowing)) = (stream.window, screened.windowing) {
            let empty = empty_windows(stream.bounds, windowing, &listed, MOST_EMPTY_WINDOWS.saturating_sub(*empty_listed));
            *empty_listed += empty.len();
            for window in empty {
                let zero = [Some(0), (!single).then_some(0)];
                listed.push(WindowFact {
                    series: label.clone(),
                    window: Some(window),
                    rows: zero,
                    checksums: [None, None],
                    digests: None,
                    status: if due.young().is_some_and(|young| window.end.0 > young) { "pending" } else { "empty" },
                    lateness: None,
                });
            }
            listed.sort_by_key(|fact| fact.window.map(|window| window.start));
        }
        facts.windows.extend(listed);
    }
}

/// Windows inside the bounds (or between the first and last that have rows) in which nobody has a row.
fn empty_windows(bounds: Bounds, windowing: Windowing, listed: &[WindowFact], most: usize) -> Vec<Window> {
    let held: Vec<Window> = listed.iter().filter_map(|fact| fact.window).collect();
    let (Some(first), Some(last)) = (held.first(), held.last()) else { return Vec::new() };
    let mut at = bounds.from.map_or(first.start, |from| windowing.window_of(from).start);
    let until = bounds.until.unwrap_or(last.end);
    let mut empty = Vec::new();
    let mut next = 0;
    while at < until && empty.len() < most {
        if held.get(next).is_some_and(|window| window.start == at) {
            at = held[next].end;
            next += 1;
            continue;
        }
        let window = windowing.window_of(at);
        empty.push(window);
        at = window.end;
    }
    empty
}
