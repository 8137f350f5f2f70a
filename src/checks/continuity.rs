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

use std::collections::{BTreeMap, BTreeSet};

use super::clock::{Clock, Fall};
use super::digests::digest_of_rows;
use super::screen::{Screened, SeriesScreen, SideScreen};
use crate::domain::{Bounds, Instant, Mode, SequenceCoverage, SequenceSpan, Side, TimeCoverage, Window, Windowing};
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
    fn ends(self) -> (i128, i128) {
        match self {
            Self::Time(from, until) | Self::Sequence(from, until) => (from, until),
        }
    }

    fn overlaps(self, other: Self) -> bool {
        let ((a, b), (c, d)) = (self.ends(), other.ends());
        a < d && c < b
    }
}

/// A maximal interval without a gap inside.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the public table `spans`")]
pub struct SpanFact {
    pub series: String,
    pub whose: Whose,
    pub range: Range,
    pub rows: u64,
}

/// What the bounds hold and the spans do not.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the public table `gaps`")]
pub struct GapFact {
    pub series: String,
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

/// Numbers that came again, or ran backwards.
#[derive(Debug, Clone)]
pub struct SequenceFact {
    pub kind: &'static str,
    pub side: Side,
    pub series: String,
    pub from_sequence: i128,
    pub until_sequence: i128,
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
    pub series: String,
    pub window: Option<Window>,
    pub rows: [Option<u64>; 2],
    pub checksums: [Option<String>; 2],
    pub digests: [Option<String>; 2],
    pub status: &'static str,
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
    /// Digest over all rows of each side.
    pub digests: Vec<(Side, String)>,
    /// The bounds that were judged, over all series.
    pub bounds: Bounds,
}

/// A stretch that one side covers: first and last row, and the half-open range that counts as covered.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: i128,
    last: i128,
    from: i128,
    until: i128,
    rows: u64,
}

/// What measures the time of a stream.
#[derive(Clone, Copy)]
enum Measure {
    Cadence(i128),
    Windows(Windowing),
    None,
}

/// Works out all facts.
pub fn continuity(prepared: &Prepared, screened: &mut Screened) -> Continuity {
    let stream = &prepared.stream;
    let mut facts = Continuity::default();
    let explicit = stream.window.and(screened.windowing);
    let measure = match (prepared.time, stream.cadence, explicit) {
        (Some(_), Some(cadence), _) => Measure::Cadence(cadence.nanos()),
        (Some(_), None, Some(windowing)) => Measure::Windows(windowing),
        _ => Measure::None,
    };
    let keys: BTreeSet<Vec<u8>> = screened.sides.iter().flat_map(|side| side.series.keys().cloned()).collect();
    let mut overall: Option<(i128, i128)> = None;
    for key in &keys {
        let held: Vec<(Side, Option<&SeriesScreen>)> = screened.sides.iter().map(|side| (side.side, side.series.get(key))).collect();
        let Some(label) = held.iter().find_map(|(_, series)| series.map(|series| series.label.clone())) else { continue };
        let extent =
            held.iter().filter_map(|(_, series)| series.and_then(|series| series.extent)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        if let Some((first, last)) = extent {
            overall = Some(overall.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
        series_facts(prepared, &held, &label, &mut facts);
        time_facts(prepared, measure, &held, &label, extent, &mut facts);
        sequence_facts(prepared, &held, &label, &mut facts);
    }
    facts.bounds = Bounds {
        from: stream.bounds.from.or(overall.map(|(first, _)| Instant(first))),
        until: stream.bounds.until.or(overall.map(|(_, last)| Instant(last + 1_000))),
    };
    if let (Some(_), Some(_), true) = (prepared.time, overall, stream.bounds.from.is_none() || stream.bounds.until.is_none()) {
        facts.series.push(SeriesFact {
            kind: "bounds_inferred",
            side: None,
            series: String::new(),
            rows: 0,
            from: facts.bounds.from,
            until: facts.bounds.until,
        });
    }
    for side in screened.sides.iter().filter(|side| side.rows_outside > 0) {
        facts.series.push(SeriesFact {
            kind: "row_outside_bounds",
            side: Some(side.side),
            series: String::new(),
            rows: side.rows_outside,
            from: None,
            until: None,
        });
    }
    windows(prepared, screened, &keys, &mut facts);
    facts
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
fn runs(measure: Measure, series: &SeriesScreen) -> Vec<Run> {
    match measure {
        Measure::Cadence(cadence) => cadence_runs(&series.time, cadence),
        Measure::Windows(windowing) => window_runs(windowing, series.window_extents.iter().map(|(s, e)| (*s, *e)).collect(), |start| {
            series.windows.get(&Some(start)).map_or(0, |sum| sum.checksum.rows)
        }),
        Measure::None => {
            let rows = series.time.spans().iter().map(|span| span.rows).sum();
            series.extent.map(|(first, last)| Run { first, last, from: first, until: last + 1, rows }).into_iter().collect()
        }
    }
}

fn cadence_runs(time: &TimeCoverage, cadence: i128) -> Vec<Run> {
    time.spans()
        .iter()
        .map(|span| Run { first: span.first, last: span.last, from: span.first, until: span.last + cadence, rows: span.rows })
        .collect()
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
fn recovered_runs(prepared: &Prepared, measure: Measure, held: &[(Side, Option<&SeriesScreen>)]) -> Vec<Run> {
    let both: Vec<&SeriesScreen> = held.iter().filter_map(|(_, series)| *series).collect();
    match measure {
        Measure::Cadence(cadence) => {
            let mut time = TimeCoverage::new(prepared.stream.reach());
            both.iter().for_each(|series| time.merge(series.time.clone()));
            cadence_runs(&time, cadence)
        }
        Measure::Windows(windowing) => {
            let mut extents: BTreeMap<i128, (i128, i128)> = BTreeMap::new();
            for series in &both {
                for (start, (first, last)) in &series.window_extents {
                    let extent = extents.entry(*start).or_insert((*first, *last));
                    *extent = (extent.0.min(*first), extent.1.max(*last));
                }
            }
            window_runs(windowing, extents, |start| {
                both.iter().map(|series| series.windows.get(&Some(start)).map_or(0, |sum| sum.checksum.rows)).sum()
            })
        }
        Measure::None => Vec::new(),
    }
}

fn div_ceil(a: i128, b: i128) -> i128 {
    -(-a).div_euclid(b)
}

fn div_round(a: i128, b: i128) -> i128 {
    (2 * a + b).div_euclid(2 * b)
}

/// Gaps of a coverage within bounds: range and estimate. `extent` stands in for bounds that were not given.
fn time_gaps(measure: Measure, bounds: Bounds, extent: (i128, i128), runs: &[Run]) -> Vec<(Range, i128)> {
    let mut gaps = Vec::new();
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        // Nothing at all inside the bounds: one gap over all of them.
        let (from, until, estimate) = match measure {
            Measure::Cadence(cadence) => {
                let from = bounds.from.map_or(extent.0, |at| at.0);
                let until = bounds.until.map_or(extent.1 + cadence, |at| at.0);
                (from, until, div_round(until - from, cadence).max(1))
            }
            Measure::Windows(windowing) => {
                let from = bounds.from.map_or(windowing.window_of(Instant(extent.0)).start.0, |at| at.0);
                let until = bounds.until.map_or(windowing.window_of(Instant(extent.1)).end.0, |at| at.0);
                (from, until, div_round(until - from, windowing.width().nanos()).max(1))
            }
            Measure::None => return gaps,
        };
        gaps.push((Range::Time(from, until), estimate));
        return gaps;
    };
    match measure {
        Measure::Cadence(cadence) => {
            let from = bounds.from.map_or(extent.0, |at| at.0);
            let head = (first.first - from).div_euclid(cadence);
            if head >= 1 {
                gaps.push((Range::Time(from, first.first), head));
            }
            for pair in runs.windows(2) {
                let (t, u) = (pair[0].last, pair[1].first);
                gaps.push((Range::Time(t + cadence, u), div_round(u - t, cadence) - 1));
            }
            // The other side's last row is inside, so without a given end the range ends one cadence after it.
            let (until, inside) = match bounds.until {
                Some(at) => (at.0, at.0),
                None => (extent.1 + cadence, extent.1 + 1),
            };
            let tail = div_ceil(inside - last.last, cadence) - 1;
            if tail >= 1 {
                gaps.push((Range::Time(last.last + cadence, until), tail));
            }
        }
        Measure::Windows(windowing) => {
            let width = windowing.width().nanos();
            let from = bounds.from.map_or(windowing.window_of(Instant(extent.0)).start.0, |at| at.0);
            let until = bounds.until.map_or(windowing.window_of(Instant(extent.1)).end.0, |at| at.0);
            let mut push = |from: i128, until: i128| {
                if from < until {
                    gaps.push((Range::Time(from, until), div_round(until - from, width).max(1)));
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
    gaps
}

fn time_facts(
    prepared: &Prepared,
    measure: Measure,
    held: &[(Side, Option<&SeriesScreen>)],
    label: &str,
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
                series: label.to_string(),
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
    let mut push = |whose, gaps: &[(Range, i128)], judged, status: &dyn Fn(Range) -> &'static str| {
        for (range, estimate) in gaps {
            facts.gaps.push(GapFact {
                series: label.to_string(),
                whose,
                range: *range,
                missing_estimate: *estimate,
                status: status(*range),
                judged,
            });
        }
    };
    if stream.mode != Mode::Fill {
        for (side, runs) in &side_runs {
            // A side without any row of the series is a missing series, not a gap; without series the keys say it.
            if !runs.is_empty() {
                push(Whose::One(*side), &time_gaps(measure, stream.bounds, extent, runs), true, &|_| "open");
            }
        }
        return;
    }
    let recovered = recovered_runs(prepared, measure, held);
    let open = time_gaps(measure, stream.bounds, extent, &recovered);
    push(Whose::Recovered, &open, true, &|_| "open");
    if let Some((_, runs)) = side_runs.iter().find(|(side, _)| *side == Side::Original) {
        let own = time_gaps(measure, stream.bounds, extent, runs);
        let ranges: Vec<Range> = open.iter().map(|(range, _)| *range).collect();
        push(Whose::One(Side::Original), &own, false, &|range| filled_status(range, &ranges));
    }
    for run in &recovered {
        facts.spans.push(SpanFact {
            series: label.to_string(),
            whose: Whose::Recovered,
            range: Range::Time(run.from, run.until),
            rows: run.rows,
        });
    }
    if prepared.sequence.is_none() {
        time_seams(measure, label, &side_runs, &recovered, facts);
    }
}

/// What became of a gap of the original, given the gaps that are left.
fn filled_status(gap: Range, open: &[Range]) -> &'static str {
    let (from, until) = gap.ends();
    if open.iter().any(|left| left.ends().0 <= from && until <= left.ends().1) {
        "open"
    } else if open.iter().any(|left| left.overlaps(gap)) {
        "partly_filled"
    } else {
        "filled"
    }
}

fn time_seams(measure: Measure, label: &str, sides: &[(Side, Vec<Run>)], recovered: &[Run], facts: &mut Continuity) {
    let [(_, original), (_, backfill)] = sides else { return };
    // One tick after the last row, or a cadence where there is one: the overlap holds that row.
    let after = match measure {
        Measure::Cadence(cadence) => cadence,
        _ => 1_000,
    };
    for mine in original {
        for theirs in backfill {
            let (from, last) = (mine.first.max(theirs.first), mine.last.min(theirs.last));
            if from <= last {
                facts.seams.push(SeamFact {
                    kind: "overlap",
                    series: label.to_string(),
                    range: Range::Time(from, last + after),
                    before: None,
                    after: None,
                    rows: None,
                });
            }
        }
    }
    let ends_at = |runs: &[Run], at: i128| runs.iter().any(|run| run.last == at);
    let starts_at = |runs: &[Run], at: i128| runs.iter().any(|run| run.first == at);
    for pair in recovered.windows(2) {
        let before = only(ends_at(original, pair[0].last), ends_at(backfill, pair[0].last));
        let after = only(starts_at(original, pair[1].first), starts_at(backfill, pair[1].first));
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            let from = match measure {
                Measure::Cadence(cadence) => pair[0].last + cadence,
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

fn sequence_facts(prepared: &Prepared, held: &[(Side, Option<&SeriesScreen>)], label: &str, facts: &mut Continuity) {
    let stream = &prepared.stream;
    if prepared.sequence.is_none() {
        return;
    }
    let spans: Vec<(Side, Vec<SequenceSpan>)> = held
        .iter()
        .map(|(side, series)| (*side, series.map_or(Vec::new(), |series| clipped(series.sequence.spans(), stream.sequence_bounds))))
        .collect();
    for (side, series) in held {
        let Some(series) = series else { continue };
        for (run, rows) in series.sequence.repeated() {
            facts.sequences.push(SequenceFact {
                kind: "duplicate",
                side: *side,
                series: label.to_string(),
                from_sequence: run.from,
                until_sequence: run.until,
                from: None,
                until: None,
                rows,
            });
        }
        facts.sequences.extend(regressions(*side, label, &series.clock));
    }
    let extent = spans.iter().flat_map(|(_, spans)| spans).map(|span| (span.from, span.until)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let Some(extent) = extent else { return };
    for (side, spans) in &spans {
        for span in spans {
            facts.spans.push(SpanFact {
                series: label.to_string(),
                whose: Whose::One(*side),
                range: Range::Sequence(span.from, span.until),
                rows: u64::try_from(span.until - span.from).unwrap_or(u64::MAX),
            });
        }
    }
    let mut push = |whose, gaps: &[(Range, i128)], judged, status: &dyn Fn(Range) -> &'static str| {
        for (range, estimate) in gaps {
            facts.gaps.push(GapFact {
                series: label.to_string(),
                whose,
                range: *range,
                missing_estimate: *estimate,
                status: status(*range),
                judged,
            });
        }
    };
    if stream.mode != Mode::Fill {
        for (side, spans) in &spans {
            if !spans.is_empty() {
                push(Whose::One(*side), &sequence_gaps(spans, stream.sequence_bounds, extent), true, &|_| "open");
            }
        }
        return;
    }
    let mut union = SequenceCoverage::default();
    for (_, series) in held {
        if let Some(series) = series {
            union = union.union(&series.sequence);
        }
    }
    let recovered = clipped(union.spans(), stream.sequence_bounds);
    let open = sequence_gaps(&recovered, stream.sequence_bounds, extent);
    push(Whose::Recovered, &open, true, &|_| "open");
    let ranges: Vec<Range> = open.iter().map(|(range, _)| *range).collect();
    if let Some((_, own)) = spans.iter().find(|(side, _)| *side == Side::Original) {
        push(Whose::One(Side::Original), &sequence_gaps(own, stream.sequence_bounds, extent), false, &|range| {
            filled_status(range, &ranges)
        });
    }
    for span in &recovered {
        facts.spans.push(SpanFact {
            series: label.to_string(),
            whose: Whose::Recovered,
            range: Range::Sequence(span.from, span.until),
            rows: u64::try_from(span.until - span.from).unwrap_or(u64::MAX),
        });
    }
    if let [(_, original), (_, backfill)] = spans.as_slice() {
        sequence_seams(label, original, backfill, &recovered, facts);
    }
}

fn sequence_seams(label: &str, original: &[SequenceSpan], backfill: &[SequenceSpan], recovered: &[SequenceSpan], facts: &mut Continuity) {
    let (mut a, mut b) = (0, 0);
    while let (Some(mine), Some(theirs)) = (original.get(a), backfill.get(b)) {
        let (from, until) = (mine.from.max(theirs.from), mine.until.min(theirs.until));
        if from < until {
            facts.seams.push(SeamFact {
                kind: "overlap",
                series: label.to_string(),
                range: Range::Sequence(from, until),
                before: None,
                after: None,
                rows: u64::try_from(until - from).ok(),
            });
        }
        if mine.until < theirs.until { a += 1 } else { b += 1 }
    }
    let ends_at = |spans: &[SequenceSpan], at: i128| spans.iter().any(|span| span.until == at);
    let starts_at = |spans: &[SequenceSpan], at: i128| spans.iter().any(|span| span.from == at);
    for pair in recovered.windows(2) {
        let before = only(ends_at(original, pair[0].until), ends_at(backfill, pair[0].until));
        let after = only(starts_at(original, pair[1].from), starts_at(backfill, pair[1].from));
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            facts.seams.push(SeamFact {
                kind: "gap",
                series: label.to_string(),
                range: Range::Sequence(pair[0].until, pair[1].from),
                before: Some(before),
                after: Some(after),
                rows: None,
            });
        }
    }
}

/// Where the sequence of a series runs backwards.
fn regressions(side: Side, label: &str, clock: &Clock) -> Vec<SequenceFact> {
    let falls = clock.falls().unwrap_or_default();
    let fact = |fall: Fall| SequenceFact {
        kind: "regression",
        side,
        series: label.to_string(),
        from_sequence: fall.before.1,
        until_sequence: fall.after.1,
        from: Some(Instant(fall.before.0)),
        until: Some(Instant(fall.after.0)),
        rows: 1,
    };
    falls.into_iter().map(fact).collect()
}

fn windows(prepared: &Prepared, screened: &mut Screened, keys: &BTreeSet<Vec<u8>>, facts: &mut Continuity) {
    let stream = &prepared.stream;
    let single = stream.mode == Mode::Single;
    let mut empty_listed = 0;
    if let Some(algorithm) = stream.digest {
        for side in &screened.sides {
            let mut all: Vec<Vec<u8>> =
                side.series.values().flat_map(|series| series.windows.values()).flat_map(|sum| sum.digests.iter().cloned()).collect();
            facts.digests.push((side.side, digest_of_rows(algorithm, &mut all)));
        }
    }
    for key in keys {
        let mut starts: BTreeSet<Option<i128>> = BTreeSet::new();
        let mut label = String::new();
        for side in &screened.sides {
            if let Some(series) = side.series.get(key) {
                starts.extend(series.windows.keys().copied());
                label.clone_from(&series.label);
            }
        }
        let mut listed: Vec<WindowFact> = Vec::new();
        for start in &starts {
            let window = start.and_then(|start| screened.windowing.map(|windowing| windowing.window_of(Instant(start))));
            let mut rows = [None, None];
            let mut checksums = [None, None];
            let mut digests = [None, None];
            let mut sums = [None, None];
            for side in &mut screened.sides {
                let at = side.side.index();
                let sum = side.series.get_mut(key).and_then(|series| series.windows.get_mut(start));
                let digest = stream.digest.zip(sum.as_ref().map(|sum| sum.digests.clone()));
                let checksum = sum.map(|sum| sum.checksum).unwrap_or_default();
                rows[at] = Some(checksum.rows);
                // In a fill not every value is read.
                checksums[at] = (stream.mode != Mode::Fill).then(|| checksum.to_hex());
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
            listed.push(WindowFact { series: label.clone(), window, rows, checksums, digests, status });
        }
        if let (Some(_), Some(windowing)) = (stream.window, screened.windowing) {
            let empty = empty_windows(stream.bounds, windowing, &listed, MOST_EMPTY_WINDOWS.saturating_sub(empty_listed));
            empty_listed += empty.len();
            for window in empty {
                let zero = [Some(0), (!single).then_some(0)];
                listed.push(WindowFact {
                    series: label.clone(),
                    window: Some(window),
                    rows: zero,
                    checksums: [None, None],
                    digests: [None, None],
                    status: "empty",
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

/// Rows without a sequence number: their continuity was not judged.
pub fn rows_without_sequence(side: &SideScreen) -> u64 {
    side.series.values().map(|series| series.null_sequences).sum()
}
