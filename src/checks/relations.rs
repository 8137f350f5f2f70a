//! The small canonical relations that the checks read. Their columns are described in `queries/AUTHORING.md`.

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::continuity::{Continuity, Range, SpanFact, WindowFact};
use super::extra::Lateness;
use super::manifest::ManifestFact;
use super::rules::rules_of;
use super::screen::Screened;
use super::untold::UntoldSample;
use crate::domain::{Checksum, Instant, Mode, Side};
use crate::findings::AcceptUse;
use crate::findings::columns::{batch, count, end, flag, integer, sequence, start, text};
use crate::staging::{Prepared, SchemaFactKind};

/// Everything the passes left of one stream.
#[derive(Debug)]
#[expect(missing_docs, reason = "one part for each pass")]
pub struct RelationInput<'a> {
    pub prepared: &'a Prepared,
    pub screened: &'a Screened,
    pub continuity: &'a mut Continuity,
    pub manifests: &'a [ManifestFact],
    /// Known only once the other checks have run.
    pub accepts: &'a [AcceptUse],
    pub most: usize,
}

fn time_ends(range: Range) -> (Option<Instant>, Option<Instant>) {
    match range {
        Range::Time(from, until) => (Some(Instant(from)), Some(Instant(until))),
        Range::Sequence(_, _) => (None, None),
    }
}

fn sequence_ends(range: Range) -> (Option<i128>, Option<i128>) {
    match range {
        Range::Sequence(from, until) => (Some(from), Some(until)),
        Range::Time(_, _) => (None, None),
    }
}

fn kind_of(range: Range) -> &'static str {
    match range {
        Range::Time(_, _) => "time",
        Range::Sequence(_, _) => "sequence",
    }
}

/// The relations by name, in one part or more, but for `differences`, which may be many. Of many series there may be millions of windows and spans, so those
/// facts are let go as soon as they are in their relations.
///
/// # Errors
/// Arrow could not build one.
pub fn relations(input: &mut RelationInput<'_>) -> Result<Vec<(&'static str, Vec<RecordBatch>)>, ArrowError> {
    input.continuity.tabulate()?;
    let windows = std::mem::take(&mut input.continuity.tables.windows);
    let spans = std::mem::take(&mut input.continuity.tables.spans);
    let input = &*input;
    let small = [
        ("stream", stream(input)?),
        ("sides", sides(input)?),
        ("schema_facts", schema_facts(input)?),
        ("series_facts", series_facts(input)?),
        ("gaps", gaps(input.continuity)?),
        ("sequence_facts", sequence_facts(input.continuity)?),
        ("seams", seams(input.continuity)?),
        ("low_windows", low_windows(input.continuity)?),
        ("cadences", cadences(input.continuity)?),
        ("edges", edges(input.continuity)?),
        ("outages", outages(input)?),
        ("violations", violations(input)?),
        ("local_times", local_times(input)?),
        ("files", files(input.manifests)?),
        ("accepts", accepts(input.accepts)?),
    ];
    let mut all = vec![("windows", windows), ("spans", spans)];
    all.extend(small.map(|(name, relation)| (name, vec![relation])));
    Ok(all)
}

fn stream(input: &RelationInput<'_>) -> Result<RecordBatch, ArrowError> {
    let stream = &input.prepared.stream;
    batch(vec![
        ("name", text([Some(stream.name.as_str())])),
        ("mode", text([Some(stream.mode.as_str())])),
        ("window", text([stream.window.map(|window| window.to_string())])),
        ("has_bounds", flag([!stream.bounds.is_open()])),
        ("expect", text([stream.continuity.expect.map(crate::job::Expect::word)])),
        ("digest", text([stream.digest.map(|algorithm| algorithm.as_str())])),
    ])
}

fn sides(input: &RelationInput<'_>) -> Result<RecordBatch, ArrowError> {
    let of = input.screened.sides.iter();
    let digest = |side: Side| input.continuity.digests.iter().find(|(known, _)| *known == side).map(|(_, digest)| digest.clone());
    batch(vec![
        ("side", text(of.clone().map(|side| Some(side.side.as_str())))),
        ("rows", count(of.clone().map(|side| Some(side.rows())))),
        ("rows_read", count(of.clone().map(|side| Some(side.rows_read)))),
        ("checksum", text(of.clone().map(|side| (input.prepared.stream.mode != Mode::Fill).then(|| side.total().to_hex())))),
        ("digest", text(of.map(|side| digest(side.side)))),
    ])
}

fn schema_facts(input: &RelationInput<'_>) -> Result<RecordBatch, ArrowError> {
    let facts = &input.prepared.schema_facts;
    let lost = |column: &str| -> u64 {
        let place = input.prepared.paired.iter().position(|paired| paired.name == column);
        place.map_or(0, |place| input.screened.sides.iter().map(|side| side.lost[place]).sum())
    };
    let of = facts.iter();
    batch(vec![
        (
            "kind",
            text(of.clone().map(|fact| {
                Some(match fact.kind {
                    SchemaFactKind::Missing => "missing",
                    SchemaFactKind::Unexpected => "unexpected",
                    SchemaFactKind::Mismatch => "mismatch",
                    SchemaFactKind::Converted => "converted",
                })
            })),
        ),
        ("column_name", text(of.clone().map(|fact| Some(&fact.column)))),
        ("original_type", text(of.clone().map(|fact| fact.original_type.as_ref()))),
        ("backfill_type", text(of.clone().map(|fact| fact.backfill_type.as_ref()))),
        ("note", text(of.clone().map(|fact| Some(&fact.note)))),
        ("lossy_side", text(of.clone().map(|fact| fact.lossy.map(Side::as_str)))),
        ("lost_values", count(of.map(|fact| fact.lossy.map(|_| lost(&fact.column))))),
    ])
}

fn series_facts(input: &RelationInput<'_>) -> Result<RecordBatch, ArrowError> {
    let of = input.continuity.series.iter();
    batch(vec![
        ("kind", text(of.clone().map(|fact| Some(fact.kind)))),
        ("side", text(of.clone().map(|fact| fact.side.map(Side::as_str)))),
        ("series", text(of.clone().map(|fact| (!fact.series.is_empty()).then_some(&fact.series)))),
        ("rows", count(of.clone().map(|fact| Some(fact.rows)))),
        ("from_time", start(of.clone().map(|fact| fact.from))),
        ("until_time", end(of.map(|fact| fact.until))),
    ])
}

/// The relation of some windows.
pub(super) fn windows(facts: &[WindowFact]) -> Result<RecordBatch, ArrowError> {
    let of = facts.iter();
    let late = |side: usize| facts.iter().map(move |fact| fact.lateness.as_ref().and_then(|late| late[side]));
    let checksum = |side: usize| facts.iter().map(move |fact| fact.checksums[side].map(Checksum::to_hex));
    let digest = |side: usize| facts.iter().map(move |fact| fact.digests.as_ref().and_then(|digests| digests[side].as_ref()));
    let longest =
        |late: Option<Lateness>| late.and_then(|late| late.longest).and_then(|nanos| i64::try_from(nanos.div_euclid(1_000_000)).ok());
    batch(vec![
        ("series", text(of.clone().map(|fact| Some(&fact.series)))),
        ("window_start", start(of.clone().map(|fact| fact.window.map(|window| window.start)))),
        ("window_end", end(of.clone().map(|fact| fact.window.map(|window| window.end)))),
        ("original_rows", count(of.clone().map(|fact| fact.rows[0]))),
        ("backfill_rows", count(of.clone().map(|fact| fact.rows[1]))),
        ("original_checksum", text(checksum(0))),
        ("backfill_checksum", text(checksum(1))),
        ("original_digest", text(digest(0))),
        ("backfill_digest", text(digest(1))),
        ("status", text(of.clone().map(|fact| Some(fact.status)))),
        ("original_late_rows", count(late(0).map(|late| late.map(|late| late.late)))),
        ("backfill_late_rows", count(late(1).map(|late| late.map(|late| late.late)))),
        ("original_lateness_ms", integer(late(0).map(longest))),
        ("backfill_lateness_ms", integer(late(1).map(longest))),
    ])
}

/// The relation of some spans.
pub(super) fn spans(facts: &[SpanFact]) -> Result<RecordBatch, ArrowError> {
    let of = facts.iter();
    batch(vec![
        ("series", text(of.clone().map(|fact| Some(&fact.series)))),
        ("side", text(of.clone().map(|fact| Some(fact.whose.as_str())))),
        ("kind", text(of.clone().map(|fact| Some(kind_of(fact.range))))),
        ("from_time", start(of.clone().map(|fact| time_ends(fact.range).0))),
        ("until_time", end(of.clone().map(|fact| time_ends(fact.range).1))),
        ("from_sequence", sequence(of.clone().map(|fact| sequence_ends(fact.range).0))),
        ("until_sequence", sequence(of.clone().map(|fact| sequence_ends(fact.range).1))),
        ("rows", count(of.map(|fact| Some(fact.rows)))),
    ])
}

fn gaps(continuity: &Continuity) -> Result<RecordBatch, ArrowError> {
    let of = continuity.gaps.iter();
    let duration = |range| match range {
        Range::Time(from, until) => i64::try_from((until - from) / 1_000_000).ok(),
        Range::Sequence(_, _) => None,
    };
    batch(vec![
        ("series", text(of.clone().map(|fact| Some(&fact.series)))),
        ("side", text(of.clone().map(|fact| Some(fact.whose.as_str())))),
        ("kind", text(of.clone().map(|fact| Some(kind_of(fact.range))))),
        ("status", text(of.clone().map(|fact| Some(fact.status)))),
        ("from_time", start(of.clone().map(|fact| time_ends(fact.range).0))),
        ("until_time", end(of.clone().map(|fact| time_ends(fact.range).1))),
        ("from_sequence", sequence(of.clone().map(|fact| sequence_ends(fact.range).0))),
        ("until_sequence", sequence(of.clone().map(|fact| sequence_ends(fact.range).1))),
        ("duration_ms", integer(of.clone().map(|fact| duration(fact.range)))),
        ("missing_estimate", integer(of.clone().map(|fact| i64::try_from(fact.missing_estimate).ok()))),
        ("judged", flag(of.map(|fact| fact.judged))),
    ])
}

fn sequence_facts(continuity: &Continuity) -> Result<RecordBatch, ArrowError> {
    let of = continuity.sequences.iter();
    batch(vec![
        ("kind", text(of.clone().map(|fact| Some(fact.kind)))),
        ("side", text(of.clone().map(|fact| Some(fact.side.as_str())))),
        ("series", text(of.clone().map(|fact| Some(&fact.series)))),
        ("from_sequence", sequence(of.clone().map(|fact| fact.from_sequence))),
        ("until_sequence", sequence(of.clone().map(|fact| fact.until_sequence))),
        ("from_time", start(of.clone().map(|fact| fact.from))),
        ("until_time", end(of.clone().map(|fact| fact.until))),
        ("rows", count(of.map(|fact| Some(fact.rows)))),
    ])
}

fn seams(continuity: &Continuity) -> Result<RecordBatch, ArrowError> {
    let of = continuity.seams.iter();
    batch(vec![
        ("kind", text(of.clone().map(|fact| Some(fact.kind)))),
        ("series", text(of.clone().map(|fact| Some(&fact.series)))),
        ("before", text(of.clone().map(|fact| fact.before.map(Side::as_str)))),
        ("after", text(of.clone().map(|fact| fact.after.map(Side::as_str)))),
        ("from_time", start(of.clone().map(|fact| time_ends(fact.range).0))),
        ("until_time", end(of.clone().map(|fact| time_ends(fact.range).1))),
        ("from_sequence", sequence(of.clone().map(|fact| sequence_ends(fact.range).0))),
        ("until_sequence", sequence(of.clone().map(|fact| sequence_ends(fact.range).1))),
        ("rows", count(of.map(|fact| fact.rows))),
    ])
}

fn low_windows(continuity: &Continuity) -> Result<RecordBatch, ArrowError> {
    let of = continuity.low_windows.iter();
    batch(vec![
        ("kind", text(of.clone().map(|low| Some(low.kind)))),
        ("series", text(of.clone().map(|low| Some(&low.series)))),
        ("side", text(of.clone().map(|low| Some(low.whose)))),
        ("window_start", start(of.clone().map(|low| Some(low.window.start)))),
        ("window_end", end(of.clone().map(|low| Some(low.window.end)))),
        ("rows", count(of.clone().map(|low| Some(low.rows)))),
        ("expected", text(of.clone().map(|low| Some(shown(low.expected))))),
        ("chance", text(of.map(|low| low.chance.map(|chance| format!("{chance:.1e}"))))),
    ])
}

fn edges(continuity: &Continuity) -> Result<RecordBatch, ArrowError> {
    let of = continuity.edges.iter();
    let duration = |range: Option<(Instant, Instant)>| range.and_then(|(from, until)| i64::try_from((until.0 - from.0) / 1_000_000).ok());
    batch(vec![
        ("series", text(of.clone().map(|fact| Some(&fact.series)))),
        ("edge", text(of.clone().map(|fact| Some(fact.edge)))),
        ("kind", text(of.clone().map(|fact| Some(fact.kind)))),
        ("live_time", start(of.clone().map(|fact| Some(fact.live)))),
        ("backfill_time", start(of.clone().map(|fact| Some(fact.backfill)))),
        ("from_time", start(of.clone().map(|fact| fact.range.map(|(from, _)| from)))),
        ("until_time", end(of.clone().map(|fact| fact.range.map(|(_, until)| until)))),
        ("duration_ms", integer(of.clone().map(|fact| duration(fact.range)))),
        ("identical_keys", count(of.clone().map(|fact| fact.identical))),
        ("conflicting_keys", count(of.map(|fact| fact.conflicting))),
    ])
}

fn outages(input: &RelationInput<'_>) -> Result<RecordBatch, ArrowError> {
    let of = input.continuity.outages.iter();
    let known = input.prepared.stream.outage;
    batch(vec![
        ("kind", text(of.clone().map(|fact| Some(fact.kind)))),
        ("series", text(of.clone().map(|fact| Some(&fact.series)))),
        ("from_time", start(of.clone().map(|fact| fact.from))),
        ("until_time", end(of.clone().map(|fact| fact.until))),
        ("rows", count(of.clone().map(|fact| Some(fact.rows)))),
        ("rows_before", count(of.clone().map(|fact| Some(fact.before)))),
        ("rows_after", count(of.clone().map(|fact| Some(fact.after)))),
        ("outage_from", start(of.clone().map(|_| known.and_then(|known| known.from)))),
        ("outage_until", end(of.map(|_| known.and_then(|known| known.until)))),
    ])
}

/// A count that may be an average: whole, or with one digit.
fn shown(expected: f64) -> String {
    if (expected - expected.round()).abs() < 0.05 { format!("{expected:.0}") } else { format!("{expected:.1}") }
}

fn cadences(continuity: &Continuity) -> Result<RecordBatch, ArrowError> {
    let of = continuity.cadences.iter();
    batch(vec![
        ("kind", text(of.clone().map(|fact| Some(fact.kind)))),
        ("series", text(of.clone().map(|fact| Some(&fact.series)))),
        ("from_time", start(of.clone().map(|fact| fact.from))),
        ("cadence", text(of.clone().map(|fact| Some(&fact.cadence)))),
        ("cadence_before", text(of.clone().map(|fact| fact.before.as_ref()))),
        ("max_silence", text(of.clone().map(|fact| Some(&fact.silence)))),
        ("steps", count(of.map(|fact| Some(fact.steps)))),
    ])
}

fn violations(input: &RelationInput<'_>) -> Result<RecordBatch, ArrowError> {
    let mut ordinals = Vec::new();
    let (mut rules, mut severities, mut kinds, mut sides) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut series, mut keys, mut times, mut expressions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut windows = Vec::new();
    for side in &input.screened.sides {
        for (rule, tally) in rules_of(input.prepared, side.side).iter().zip(&side.rules) {
            for (kind, samples) in [("violation", &tally.violating), ("unknown", &tally.unknown_rows)] {
                for sample in samples.iter().take(input.most) {
                    ordinals.push(Some(ordinals.len() as u64));
                    rules.push(Some(rule.name.clone()));
                    severities.push(Some(rule.severity.as_str()));
                    kinds.push(Some(kind));
                    sides.push(Some(side.side.as_str()));
                    series.push(Some(sample.series.clone()));
                    keys.push(Some(sample.key.clone()));
                    times.push(sample.time.map(Instant));
                    windows.push(sample.time.and_then(|at| input.screened.windowing.map(|w| w.window_of(Instant(at)))));
                    expressions.push(Some(crate::error::redacted(&rule.assert)));
                }
            }
        }
    }
    batch(vec![
        ("ordinal", count(ordinals)),
        ("rule", text(rules)),
        ("severity", text(severities)),
        ("kind", text(kinds)),
        ("side", text(sides)),
        ("series", text(series)),
        ("key", text(keys)),
        ("from_time", start(times)),
        ("window_start", start(windows.iter().map(|window| window.map(|window| window.start)))),
        ("window_end", end(windows.iter().map(|window| window.map(|window| window.end)))),
        ("expression", text(expressions)),
    ])
}

fn local_times(input: &RelationInput<'_>) -> Result<RecordBatch, ArrowError> {
    let all: Vec<_> = input
        .screened
        .sides
        .iter()
        .flat_map(|side| side.untold.samples.iter().take(input.most).map(|sample| (side.side, sample)))
        .collect();
    let of = all.iter();
    let zone = |side: Side| input.prepared.stream.side(side).and_then(|spec| spec.time_zone).map(|zone| zone.name());
    let written = |whose: Side| all.iter().map(move |(side, sample)| (*side == whose).then_some(&sample.written));
    let window = |sample: &UntoldSample| input.screened.windowing.zip(sample.row.time).map(|(w, at)| w.window_of(Instant(at)));
    batch(vec![
        ("ordinal", count((0..all.len()).map(|at| Some(at as u64)))),
        ("kind", text(of.clone().map(|(_, sample)| Some(sample.kind)))),
        ("side", text(of.clone().map(|(side, _)| Some(side.as_str())))),
        ("series", text(of.clone().map(|(_, sample)| Some(&sample.row.series)))),
        ("key", text(of.clone().map(|(_, sample)| Some(&sample.row.key)))),
        ("column_name", text(of.clone().map(|(_, sample)| Some(&input.prepared.paired[sample.place].name)))),
        ("written", text(of.clone().map(|(_, sample)| Some(&sample.written)))),
        ("original_value", text(written(Side::Original))),
        ("backfill_value", text(written(Side::Backfill))),
        ("time_zone", text(of.clone().map(|(side, _)| zone(*side)))),
        ("from_time", start(of.clone().map(|(_, sample)| sample.row.time.map(Instant)))),
        ("window_start", start(of.clone().map(|(_, sample)| window(sample).map(|window| window.start)))),
        ("window_end", end(of.map(|(_, sample)| window(sample).map(|window| window.end)))),
    ])
}

fn files(manifests: &[ManifestFact]) -> Result<RecordBatch, ArrowError> {
    let of = manifests.iter();
    batch(vec![
        ("kind", text(of.clone().map(|fact| Some(fact.kind)))),
        ("side", text(of.clone().map(|fact| fact.side.map(Side::as_str)))),
        ("file", text(of.clone().map(|fact| Some(&fact.file)))),
        ("algorithm", text(of.clone().map(|fact| fact.algorithm.map(|a| a.as_str())))),
        ("listed_digest", text(of.clone().map(|fact| fact.listed.as_ref()))),
        ("found_digest", text(of.map(|fact| fact.found.as_ref()))),
    ])
}

/// The acceptances and what they came to.
///
/// # Errors
/// Arrow could not build it.
pub fn accepts(accepts: &[AcceptUse]) -> Result<RecordBatch, ArrowError> {
    let of = accepts.iter();
    batch(vec![
        ("accepted_check", text(of.clone().map(|used| Some(&used.accept.check)))),
        ("place", text(of.clone().map(|used| Some(&used.accept.place)))),
        ("reason", text(of.clone().map(|used| Some(&used.accept.reason)))),
        ("expires", start(of.clone().map(|used| used.accept.expires))),
        ("covered", count(of.clone().map(|used| Some(used.covered)))),
        ("expired", flag(of.map(|used| used.expired))),
    ])
}
