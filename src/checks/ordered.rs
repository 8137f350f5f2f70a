//! What needs rows in order beyond the first pass: cadences that are learned, and sets of spans that outgrew their room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::execution::TaskContext;

use super::points::{Part, Reader, parts};
use super::screen::Screened;
use crate::domain::{Cadence, Regime, Seed, SequenceCoverage, Side, Step, TimeCoverage, TimeSpan, Unlearned, learn_cadence};
use crate::error::Result;
use crate::job::RunOptions;
use crate::progress::Progress;
use crate::staging::Prepared;

/// What a doubt speaks of where there were too many gaps in the numbers of a series.
pub(super) const UNJUDGED_NUMBERS: &str = "gaps of the sequence";

/// What was learned of a series, or why nothing was.
pub(super) type Learned = std::result::Result<Step, Unlearned>;

/// Reads times and numbers once more where order matters, and puts what they say into what the first pass found.
///
/// # Errors
/// A side could not be read again.
pub async fn settle_order(
    prepared: &Prepared,
    screened: &mut Screened,
    options: &RunOptions,
    seed: &Seed,
    context: &Arc<TaskContext>,
    progress: &Progress,
) -> Result<()> {
    if options.only_compare {
        return Ok(());
    }
    let mut reader = Reader { prepared, options, seed, context, progress, stages: Vec::new() };
    if let Some(time) = prepared.time {
        if prepared.stream.cadence == Some(Cadence::Learn) {
            learn(&mut reader, prepared, screened, time).await?;
        } else {
            recollect_times(&mut reader, prepared, screened, time).await?;
        }
    }
    match prepared.sequence {
        Some(sequence) if prepared.sequence_last.is_none() && prepared.stream.sequence_step == 1 => {
            recollect_numbers(&mut reader, prepared, screened, sequence).await?;
        }
        _ => {
            let lost = |side: &super::screen::SideScreen| side.series.values().filter(|series| series.sequence.is_lost()).count();
            let lost: Vec<(Side, usize)> = screened.sides.iter().map(|side| (side.side, lost(side))).collect();
            lost.into_iter().for_each(|(side, series)| give_up_on(screened, side, UNJUDGED_NUMBERS, series));
        }
    }
    screened.stages.extend(reader.stages);
    Ok(())
}

/// The series of a side that are wanted, cut into parts by their times.
fn time_parts(screened: &Screened, side: usize, room: u64, wanted: impl Fn(&Vec<u8>, &TimeCoverage) -> bool) -> Vec<Part> {
    let series = screened.sides[side].series.iter().filter(|(key, series)| wanted(key, &series.time));
    parts(series.map(|(key, series)| (key, series.rows, series.extent.unwrap_or((0, 0)))), room)
}

/// Adds times in ascending order as spans: neighbours between which there is no gap belong together.
fn add_spans(coverage: &mut TimeCoverage, times: &[(i128, i128)], joins: impl Fn(i128, i128) -> bool) {
    let mut open: Option<TimeSpan> = None;
    for &(at, _) in times {
        match &mut open {
            Some(span) if joins(span.last, at) => {
                span.last = at;
                span.rows += 1;
            }
            _ => {
                if let Some(span) = open.replace(TimeSpan { first: at, last: at, rows: 1 }) {
                    coverage.add_span(span);
                }
            }
        }
    }
    if let Some(span) = open {
        coverage.add_span(span);
    }
}

/// Learns the cadence of each series: from the original, or where it does not have the series, from the backfill; and collects the spans of both
/// sides by it.
async fn learn(reader: &mut Reader<'_>, prepared: &Prepared, screened: &mut Screened, time: usize) -> Result<()> {
    let outage = prepared.stream.outage.map(|outage| (outage.from.map_or(i128::MIN, |at| at.0), outage.until.map_or(i128::MAX, |at| at.0)));
    let mut steps: BTreeMap<Vec<u8>, Learned> = BTreeMap::new();
    for (at, opened) in prepared.sides.iter().enumerate() {
        let stage = format!("learning the cadence of {} {}", prepared.stream.name, opened.side);
        // A series that is too long to be held at once teaches stretch by stretch, and is read a second time for its spans.
        let mut stretched: BTreeSet<Vec<u8>> = BTreeSet::new();
        let known: BTreeSet<Vec<u8>> = steps.keys().cloned().collect();
        // Learning takes some three times the points themselves: their steps, and what deviates from them.
        let all = time_parts(screened, at, reader.room() / 4, |_, _| true);
        for part in &all {
            if !part.is_whole() && part.series.iter().all(|key| known.contains(key)) {
                stretched.extend(part.series.iter().cloned());
                continue;
            }
            reader.progress.stage(&stage, opened.rows_hint);
            let read = reader.read("cadence", opened, part, time, None).await?;
            for (key, mut points) in part.series.iter().zip(read) {
                points.sort_unstable();
                if !known.contains(key) {
                    let times: Vec<i128> = points.iter().map(|(at, _)| *at).collect();
                    let learned = learn_cadence(&times, outage).map(Step::Learned);
                    match steps.remove(key) {
                        Some(before) => steps.insert(key.clone(), joined(before, learned)),
                        None => steps.insert(key.clone(), learned),
                    };
                }
                if part.is_whole() {
                    collect(screened, at, key, &steps, &points);
                } else {
                    stretched.insert(key.clone());
                }
            }
        }
        for part in all.iter().filter(|part| part.series.iter().any(|key| stretched.contains(key)) && !part.is_whole()) {
            reader.progress.stage(&stage, opened.rows_hint);
            let read = reader.read("cadence", opened, part, time, None).await?;
            for (key, mut points) in part.series.iter().zip(read) {
                points.sort_unstable();
                collect(screened, at, key, &steps, &points);
            }
        }
    }
    screened.learned = steps;
    Ok(())
}

/// What a series taught in one stretch and in the next.
fn joined(before: Learned, after: Learned) -> Learned {
    match (before, after) {
        (Ok(Step::Learned(mut regimes)), Ok(Step::Learned(more))) => {
            for regime in more {
                match regimes.last_mut() {
                    Some(Regime { cadence, reach, steps, .. })
                        if 2 * (*cadence).max(regime.cadence) < 3 * (*cadence).min(regime.cadence) =>
                    {
                        if regime.steps > *steps {
                            *cadence = regime.cadence;
                        }
                        *reach = (*reach).max(regime.reach);
                        *steps += regime.steps;
                    }
                    _ => regimes.push(regime),
                }
            }
            Ok(Step::Learned(regimes))
        }
        (Ok(step), Err(Unlearned::TooFew(_))) | (Err(Unlearned::TooFew(_)), Ok(step)) => Ok(step),
        (Err(Unlearned::TooFew(a)), Err(Unlearned::TooFew(b))) => Err(Unlearned::TooFew(a + b)),
        (Err(irregular @ Unlearned::Irregular(_, _)), _) | (_, Err(irregular)) => Err(irregular),
        (Ok(step), Ok(_)) => Ok(step),
    }
}

/// Adds sorted times to the spans of a series, by what was learned of it.
fn collect(screened: &mut Screened, side: usize, key: &[u8], steps: &BTreeMap<Vec<u8>, Learned>, points: &[(i128, i128)]) {
    let (Some(series), Some(Ok(step))) = (screened.sides[side].series.get_mut(key), steps.get(key)) else { return };
    if series.time.reach() != Some(step.least_reach()) {
        series.time = TimeCoverage::new(Some(step.least_reach()));
    }
    add_spans(&mut series.time, points, |t, u| !step.is_gap(t, u));
}

/// Collects time spans that outgrew their room again, in order, where each row is next to the one before.
async fn recollect_times(reader: &mut Reader<'_>, prepared: &Prepared, screened: &mut Screened, time: usize) -> Result<()> {
    let step = prepared.stream.step();
    for (at, opened) in prepared.sides.iter().enumerate() {
        let mut again: BTreeMap<Vec<u8>, TimeCoverage> = BTreeMap::new();
        for part in time_parts(screened, at, reader.room(), |_, coverage| coverage.is_lost()) {
            reader.progress.stage(&format!("ordering the times of {} {}", prepared.stream.name, opened.side), opened.rows_hint);
            let read = reader.read("order", opened, &part, time, None).await?;
            for (key, mut points) in part.series.iter().zip(read) {
                points.sort_unstable();
                let coverage = again.entry(key.clone()).or_insert_with(|| TimeCoverage::new(prepared.stream.reach()));
                add_spans(coverage, &points, |t, u| step.as_ref().is_none_or(|step| !step.is_gap(t, u)));
            }
        }
        give_up_on(screened, opened.side, "gaps in time", again.values().filter(|coverage| coverage.is_lost()).count());
        for (key, coverage) in again {
            if let Some(series) = screened.sides[at].series.get_mut(&key) {
                series.time = coverage;
            }
        }
    }
    Ok(())
}

/// The same for the numbers of a sequence.
async fn recollect_numbers(reader: &mut Reader<'_>, prepared: &Prepared, screened: &mut Screened, sequence: usize) -> Result<()> {
    for (at, opened) in prepared.sides.iter().enumerate() {
        let mut again: BTreeMap<Vec<u8>, SequenceCoverage> = BTreeMap::new();
        let lost = screened.sides[at].series.iter().filter(|(_, series)| series.sequence.is_lost());
        let lost = lost.map(|(key, series)| {
            let (from, until) = series.sequence.extent().unwrap_or((0, 1));
            (key, series.rows, (from, until - 1))
        });
        for part in parts(lost, reader.room()) {
            reader.progress.stage(&format!("ordering the sequence of {} {}", prepared.stream.name, opened.side), opened.rows_hint);
            let read = reader.read("order", opened, &part, sequence, None).await?;
            for (key, mut points) in part.series.iter().zip(read) {
                points.sort_unstable();
                let coverage = again.entry(key.clone()).or_default();
                points.into_iter().for_each(|(number, _)| coverage.add(number));
            }
        }
        give_up_on(screened, opened.side, UNJUDGED_NUMBERS, again.values().filter(|coverage| coverage.is_lost()).count());
        for (key, coverage) in again {
            if let Some(series) = screened.sides[at].series.get_mut(&key) {
                series.sequence = coverage;
            }
        }
    }
    Ok(())
}

/// More gaps than are kept of a series are not judged, and the verdict says so.
fn give_up_on(screened: &mut Screened, side: Side, what: &str, series: usize) {
    if series > 0 {
        let most = crate::domain::Coverage::MOST;
        screened.doubts.push(format!("{series} series of the {side} have more than {most} {what}: they were not judged"));
    }
}
