//! Why: from gaps and differences to incidents with a cause, and the evidence for it.
//!
//! ```text
//! gaps, missing rows, numbers ──► tracks ──┐                 ┌─► holes ──► causes ──► incidents
//!                                          ├─► one narrow ───┤                          ▲
//! keys that differ ────────────────────────┘   pass          ├─► shift, transformations ┤
//!                                              (evidence)    └─► concentration ─────────┘
//! ```
//!
//! Missing and repeated rows are followed one and all; what is asked of single keys and values is asked of a fair sample where a class
//! has more than two hundred thousand differences ([`super::Differences`]), and said so.
//!
//! Nothing is claimed without numbers: each diagnosis carries the counts that it rests on, and `unknown` is an answer. The pass runs only
//! where there is something to explain; `--no-diagnosis` leaves it out.

mod alteration;
mod concentration;
mod evidence;
mod holes;
mod incidents;
mod lateness;
mod numbers;
mod refill;
mod shift;
mod thinning;
mod transformation;
mod truncation;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::execution::TaskContext;

use self::alteration::Altered;
use self::evidence::{Questions, Wrong, gather};
use self::holes::{Lines, MOST_INTERVALS, SeriesNames, Untold, holes, is_loss};
use self::lateness::LateRule;
use self::numbers::Numbers;
use super::continuity::Continuity;
use super::differences::Difference;
use super::ordered::UNJUDGED_NUMBERS;
use super::screen::Screened;
use super::settle::Localised;
use crate::domain::{Duration, Instant, Mode, Seed, Side};
use crate::error::Result;
use crate::findings::{DiagnosisRecord, IncidentRecord, StageRecord};
use crate::job::RunOptions;
use crate::progress::Progress;
use crate::staging::{Prepared, Shower};

/// What happened to a stream.
#[derive(Debug, Default)]
pub struct Diagnosis {
    /// The gravest first.
    pub incidents: Vec<IncidentRecord>,
    /// In order of their incidents.
    pub diagnoses: Vec<DiagnosisRecord>,
    /// What the pass for evidence cost.
    pub stages: Vec<StageRecord>,
}

/// Everything that the passes left of a stream.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "one part for each pass")]
pub struct Findings<'a> {
    pub prepared: &'a Prepared,
    pub screened: &'a Screened,
    pub localised: &'a Localised,
    pub continuity: &'a Continuity,
}

/// What is wrong with the key of a difference, on each side.
fn wrong_of(difference: &Difference) -> [Option<Wrong>; 2] {
    match (difference.class, difference.kind, difference.side) {
        ("missing_key" | "missing_row", _, _) => [Some(Wrong::Missing), None],
        ("unexpected_key" | "unexpected_row", _, _) => [None, Some(Wrong::Missing)],
        ("value_mismatch", _, _) | ("duplicate_key", Some("conflict"), _) => [Some(Wrong::Altered), Some(Wrong::Altered)],
        ("duplicate_key", Some("surplus"), Some(Side::Original)) => [Some(Wrong::Repeated), None],
        ("duplicate_key", Some("surplus"), Some(Side::Backfill)) => [None, Some(Wrong::Repeated)],
        _ => [None, None],
    }
}

/// The columns by whose values a row is known again under another time; `None` where nothing hints at rows that moved.
fn content_columns(prepared: &Prepared, localised: &Localised) -> Option<Vec<usize>> {
    let time = prepared.time?;
    if prepared.stream.mode == Mode::Single {
        return None;
    }
    let has = |class: &str| localised.differences.listed().contains_key(class);
    let name = &prepared.paired[time].name;
    let missing = has("missing_key") || has("missing_row");
    let unexpected = has("unexpected_key") || has("unexpected_row");
    let altered = has("value_mismatch");
    let retimed = altered && localised.differences.sample().any(|difference| difference.column.as_ref() == Some(name));
    if !(missing && unexpected || retimed || altered && (missing || unexpected)) {
        return None;
    }
    let mut places: Vec<usize> = prepared.compared();
    // Columns that are times themselves move with it.
    places.retain(|&place| !matches!(prepared.paired[place].common, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64));
    (!places.is_empty()).then_some(places)
}

/// A stretch as the tables keep it, rounded outwards to microseconds: so that a stored run reads back as it was first shown.
fn whole_micros(from: Option<Instant>, until: Option<Instant>) -> (Option<Instant>, Option<Instant>) {
    (from.map(|from| Instant::from_micros(from.micros_floor())), until.map(|until| Instant::from_micros(until.micros_ceil())))
}

/// Finds out what happened to a stream.
///
/// # Errors
/// A side could not be read again.
pub async fn diagnose(
    found: Findings<'_>,
    options: &RunOptions,
    seed: &Seed,
    shower: &Shower,
    context: &Arc<TaskContext>,
    progress: &Progress,
) -> Result<Diagnosis> {
    let Findings { prepared, screened, localised, continuity } = found;
    let repeats = continuity.sequences.iter().any(|fact| fact.kind == "duplicate");
    let late = prepared.ingest.zip(screened.windowing).map(|(place, windowing)| {
        let grace = prepared.stream.continuity.grace.map_or(0, Duration::nanos);
        LateRule { place, windowing, grace }
    });
    let came_late = late.is_some() && continuity.late_windows().next().is_some();
    if !continuity.gaps.iter().any(is_loss) && localised.differences.is_empty() && !repeats && !came_late {
        return Ok(Diagnosis::default());
    }
    let mut names = SeriesNames::default();
    let mut by_key: Vec<(&Vec<u8>, usize)> = Vec::new();
    for side in &screened.sides {
        for (key, label) in side.names() {
            by_key.push((key, names.add(label)));
        }
    }
    let mut untold = Untold::default();
    for side in &screened.sides {
        for (label, times) in side.untold_times() {
            let stretches = times.iter().map(|(from, (last, rows))| (*from, *last, *rows)).collect();
            untold.insert((names.add(label), side.side), stretches);
        }
    }
    let judged = !screened.doubts.iter().any(|doubt| doubt.contains(UNJUDGED_NUMBERS));
    let numbers = Numbers::new(&prepared.stream, judged, continuity, &mut names);
    let mut lines = Lines::new(prepared, continuity, localised, &mut names)?;
    lines.fit(MOST_INTERVALS);
    let mut keys: [HashMap<Vec<u8>, u8>; 2] = [HashMap::new(), HashMap::new()];
    let mut slices = [false; 2];
    for difference in localised.differences.sample() {
        let key = difference.key_order();
        for (side, wrong) in wrong_of(difference).into_iter().enumerate() {
            let Some(wrong) = wrong else { continue };
            *keys[side].entry(key.to_vec()).or_default() |= wrong.bit();
            // Values that differ are looked up on the backfill, where they are new.
            slices[side] |= wrong != Wrong::Altered || side == Side::Backfill.index();
        }
    }
    if lines.is_empty() && keys.iter().all(HashMap::is_empty) {
        return Ok(Diagnosis::default());
    }
    let content = content_columns(prepared, localised);
    let tracks = lines.tracks();
    let mut wanted: Vec<bool> = vec![content.is_some(); names.labels.len()];
    tracks.iter().for_each(|track| wanted[track.series] = true);
    let series = by_key.iter().filter(|(_, place)| wanted[*place]).map(|(key, place)| ((*key).clone(), *place)).collect();
    // Without something of its own a side is not read again for the keys of the other.
    let questions = Questions { series, tracks, keys, slices, content, late };
    let (evidence, _, stages) = gather(prepared, questions, options, seed, shower, context, progress).await?;
    let zones = alteration::zones(prepared);
    let moved = shift::find(&evidence.content[0], &evidence.content[1], &zones);
    let refill = refill::find(prepared, continuity, localised, moved.as_ref(), &mut names);
    let found_holes = holes(prepared, &lines, &evidence, (moved.as_ref(), refill.as_ref()), &numbers, &untold, &names);
    let shifted = moved.as_ref().map(|shift| shift.pairs.len() as u64).or(refill.as_ref().map(|refill| refill.rows)).unwrap_or(0);
    let mut all = incidents::incidents(prepared, &found_holes, shifted, &names);
    let altered = Altered {
        prepared,
        localised,
        continuity,
        evidence: &evidence,
        names: &names,
        moved: moved.as_ref(),
        refill: refill.as_ref(),
        zones: &zones,
    };
    altered.add_slices(&mut all);
    all.extend(altered.shift(&all));
    all.extend(altered.incident());
    // The gravest first, then those with most rows, then in order of time.
    all.sort_by(|(a, _), (b, _)| {
        b.severity.cmp(&a.severity).then_with(|| b.rows.cmp(&a.rows)).then_with(|| (a.from, &a.message).cmp(&(b.from, &b.message)))
    });
    let mut diagnosis = Diagnosis { stages, ..Diagnosis::default() };
    for (at, (mut incident, diagnoses)) in all.into_iter().enumerate() {
        incident.incident = at as u64 + 1;
        (incident.from, incident.until) = whole_micros(incident.from, incident.until);
        diagnosis.diagnoses.extend(diagnoses.into_iter().map(|diagnosis| {
            let (from, until) = whole_micros(diagnosis.from, diagnosis.until);
            DiagnosisRecord { incident: at as u64 + 1, from, until, ..diagnosis }
        }));
        diagnosis.incidents.push(incident);
    }
    diagnosis.diagnoses.truncate(options.max_findings);
    Ok(diagnosis)
}
