//! What a sequence needs beyond the first pass: counters that start again, and log offsets that were skipped.
//!
//! A fall of the sequence as event time rises is a *reset* when what follows is a counter of its own: it begins at or below the number at which the counter
//! before it began (or at 0 or 1), has at least two rows with numbers of their own, and does not go on with the number after the greatest before the fall.
//! Every other fall is a regression. Each counter has its own gaps and its own numbers that come again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::execution::TaskContext;

use super::clock::{Fall, falls_of};
use super::ordered::UNJUDGED_NUMBERS;
use super::points::{Reader, parts};
use super::screen::Screened;
use crate::domain::{Mode, Seed, SequenceCoverage};
use crate::error::Result;
use crate::job::{RunOptions, SequenceKind};
use crate::progress::Progress;
use crate::staging::Prepared;

/// Falls of a series that are looked at; one that falls more often has no counter that starts again.
const MOST_FALLS: usize = 1_000;

/// A counter from its start to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    /// The fall that it began with; the first has none.
    pub(super) began: Option<Fall>,
    pub(super) numbers: SequenceCoverage,
}

/// Reads times and numbers of the series that fall, and tells counters that start again from numbers out of place; then what payloads say of skipped offsets.
///
/// # Errors
/// A side could not be read again.
pub async fn settle_sequences(
    prepared: &Prepared,
    screened: &mut Screened,
    options: &RunOptions,
    seed: &Seed,
    context: &Arc<TaskContext>,
    progress: &Progress,
) -> Result<()> {
    let mut reader = Reader { prepared, options, seed, context, progress, stages: Vec::new() };
    if let (Some(sequence), false) = (prepared.sequence, options.only_compare) {
        if let Some(time) = prepared.time {
            let groups: Vec<Vec<usize>> = match prepared.stream.mode {
                // The sides of a fill are one stream.
                Mode::Fill => vec![(0..prepared.sides.len()).collect()],
                _ => (0..prepared.sides.len()).map(|side| vec![side]).collect(),
            };
            for sides in groups {
                settle_counters(&mut reader, screened, &sides, time, sequence).await?;
            }
        }
        if let (SequenceKind::KafkaOffset, Some(payload)) = (prepared.stream.sequence_kind, prepared.payload) {
            settle_payloads(&mut reader, screened, sequence, payload).await?;
        }
    }
    screened.stages.extend(reader.stages);
    Ok(())
}

/// Whether the falls of some sides together may be those of a counter that starts again.
fn may_restart(screened: &Screened, sides: &[usize], key: &[u8]) -> bool {
    let clocks: Vec<_> = sides.iter().filter_map(|side| screened.sides[*side].series.get(key)).map(|series| &series.clock).collect();
    let restarts = |falls: &[Fall]| falls.len() <= MOST_FALLS && falls.iter().any(|fall| fall.before.1 - fall.after.1 >= 2);
    if clocks.iter().any(|clock| clock.falls().is_none_or(|falls| restarts(&falls))) {
        return true;
    }
    match clocks.as_slice() {
        [one, other] => one.may_fall_to(other),
        _ => false,
    }
}

async fn settle_counters(reader: &mut Reader<'_>, screened: &mut Screened, sides: &[usize], time: usize, sequence: usize) -> Result<()> {
    let prepared = reader.prepared;
    let (step, keys): (i128, BTreeSet<Vec<u8>>) =
        (prepared.stream.sequence_step, sides.iter().flat_map(|side| screened.sides[*side].series.keys().cloned()).collect());
    let wanted: Vec<(Vec<u8>, u64, (i128, i128))> = keys
        .into_iter()
        .filter(|key| may_restart(screened, sides, key))
        .map(|key| {
            let rows: u64 = sides.iter().filter_map(|side| screened.sides[*side].series.get(&key)).map(|series| series.rows).sum();
            // A point of three values takes half as much again as one of two.
            (key, rows + rows / 2, (0, 0))
        })
        .collect();
    for part in parts(wanted.iter().map(|(key, rows, extent)| (key, *rows, *extent)), reader.room()) {
        if !part.is_whole() {
            // Numbers of a series that cannot be held at once are judged as one counter, as they are without a time.
            continue;
        }
        reader.progress.stage(&format!("looking for counters that start again in {}", prepared.stream.name), None);
        let mut read = Vec::new();
        for side in sides {
            let places = [Some(time), Some(sequence), prepared.sequence_last];
            let is_range = prepared.sequence_last.is_some();
            let make = move |[at, first, last]: [i128; 3]| Numbered { at, first, last: if is_range { last } else { first } };
            read.push(reader.read_as("counters", &prepared.sides[*side], &part, places, make).await?);
        }
        let mut lost = 0;
        for (at, key) in part.series.iter().enumerate() {
            let held: Vec<&Vec<Numbered>> = read.iter().map(|side| &side[at]).collect();
            // A range that ends before it begins is no number of any counter.
            let mut all: Vec<Numbered> =
                held.iter().flat_map(|points| points.iter().copied()).filter(|row| row.first <= row.last).collect();
            all.sort_unstable();
            let mut falls = Vec::new();
            falls_of(all.iter().map(|row| (row.at, row.first)).collect(), &mut None, &mut falls);
            let resets = resets(&all, &falls, step);
            if resets.is_empty() {
                continue;
            }
            for (side, points) in sides.iter().zip(held) {
                let Some(series) = screened.sides[*side].series.get_mut(key) else { continue };
                let remainder = series.extra.as_ref().map_or(0, |extra| extra.remainder);
                let mut counters: Vec<Counter> = std::iter::once(None)
                    .chain(resets.iter().copied().map(Some))
                    .map(|began| Counter { began, numbers: SequenceCoverage::default() })
                    .collect();
                let mut points = points.clone();
                points.sort_unstable();
                for Numbered { at, first, last } in points {
                    let counter = resets.partition_point(|reset| reset.after.0 <= at);
                    if first < last {
                        counters[counter].numbers.add_range(first, last + 1);
                    } else if first == last && (first - remainder).rem_euclid(step) == 0 {
                        counters[counter].numbers.add(first.div_euclid(step));
                    }
                }
                if counters.iter().any(|counter| counter.numbers.is_lost()) {
                    lost += 1;
                }
                series.counters = counters;
            }
        }
        if lost > 0 {
            let most = crate::domain::Coverage::MOST;
            screened.doubts.push(format!("{lost} series have a counter with more than {most} {UNJUDGED_NUMBERS}: they were not judged"));
        }
    }
    Ok(())
}

/// A row's event time, and the numbers from the first to the last that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Numbered {
    at: i128,
    first: i128,
    last: i128,
}

/// Which falls are those of a counter that starts again; `points` are sorted.
fn resets(points: &[Numbered], falls: &[Fall], step: i128) -> Vec<Fall> {
    let mut resets = Vec::new();
    if falls.is_empty() || falls.len() > MOST_FALLS {
        return resets;
    }
    let Some(&Numbered { first: mut began, last: mut greatest, .. }) = points.first() else { return resets };
    let mut start = 0;
    for (index, fall) in falls.iter().enumerate() {
        let cut = points.partition_point(|row| row.at < fall.after.0);
        greatest = points[start..cut].iter().map(|row| row.last).fold(greatest, i128::max);
        let end = falls.get(index + 1).map_or(points.len(), |next| points.partition_point(|row| row.at < next.after.0));
        let numbers: BTreeMap<i128, i128> = points[cut..end].iter().map(|row| (row.first, row.last)).collect();
        let first = fall.after.1;
        let begins_anew = first <= began || first <= 1;
        // A block that was out of place is followed by the number that was due before it.
        let mut run = numbers.iter().scan(first, |next, (number, last)| (*number == *next).then(|| *next = last + step)).count();
        run = run.max(1);
        let goes_on = numbers.iter().nth(run).is_some_and(|(number, _)| *number == greatest + step);
        if begins_anew && numbers.len() >= 2 && !goes_on {
            // What it fell from is the last number that there was, of whatever row.
            let before = points[start..cut].iter().rev().take_while(|row| row.at == fall.before.0).map(|row| row.last).max();
            resets.push(Fall { before: (fall.before.0, before.unwrap_or(fall.before.1)), ..*fall });
            (began, greatest) = (first, first);
        }
        start = cut;
    }
    resets
}

/// The payload's number at both edges of each hole in the offsets.
async fn settle_payloads(reader: &mut Reader<'_>, screened: &mut Screened, sequence: usize, payload: usize) -> Result<()> {
    let prepared = reader.prepared;
    let mut edges: BTreeMap<Vec<u8>, HashMap<i128, Option<i128>>> = BTreeMap::new();
    for side in &screened.sides {
        for (key, series) in &side.series {
            let counters = series.counters.iter().map(|counter| &counter.numbers);
            for numbers in std::iter::once(&series.sequence).chain(counters) {
                let spans = numbers.spans();
                let known = edges.entry(key.clone()).or_default();
                known.extend(spans.iter().flat_map(|span| [(span.from, None), (span.until - 1, None)]));
            }
        }
    }
    for (at, opened) in prepared.sides.iter().enumerate() {
        let series = screened.sides[at].series.iter().filter(|(key, _)| edges.get(*key).is_some_and(|edges| edges.len() > 2));
        let series = series.map(|(key, series)| {
            let (from, until) = series.sequence.extent().unwrap_or((0, 1));
            (key, series.rows, (from, until - 1))
        });
        for part in parts(series, reader.room()) {
            reader.progress.stage(&format!("reading the payload's sequence of {} {}", prepared.stream.name, opened.side), opened.rows_hint);
            let read = reader.read("payload", opened, &part, sequence, Some(payload)).await?;
            for (key, points) in part.series.iter().zip(read) {
                let Some(known) = edges.get_mut(key) else { continue };
                for (offset, number) in points {
                    if let Some(known) = known.get_mut(&offset) {
                        // Of rows that disagree the least is taken, whatever their order.
                        *known = Some(known.map_or(number, |known| known.min(number)));
                    }
                }
            }
        }
    }
    screened.payloads = edges;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(numbers: &[i128]) -> Vec<(i128, i128)> {
        found_in(&numbers.iter().map(|number| (*number, *number)).collect::<Vec<_>>())
    }

    fn found_in(ranges: &[(i128, i128)]) -> Vec<(i128, i128)> {
        let points: Vec<Numbered> =
            ranges.iter().enumerate().map(|(at, (first, last))| Numbered { at: at as i128, first: *first, last: *last }).collect();
        let mut falls = Vec::new();
        falls_of(points.iter().map(|row| (row.at, row.first)).collect(), &mut None, &mut falls);
        resets(&points, &falls, 1).into_iter().map(|fall| (fall.before.1, fall.after.1)).collect()
    }

    #[test]
    fn ranges_start_again_as_numbers_do() {
        assert_eq!(found_in(&[(5, 9), (10, 14), (1, 3), (4, 8)]), [(14, 1)]);
        assert_eq!(found_in(&[(0, 9), (10, 19), (0, 9), (10, 19), (0, 4), (5, 9)]), [(19, 0), (19, 0)]);
        // A block that came again later, and two that traded places.
        assert_eq!(found_in(&[(0, 9), (10, 19), (0, 9), (20, 29)]), []);
        assert_eq!(found_in(&[(0, 9), (20, 29), (10, 19), (30, 39)]), []);
        assert_eq!(found_in(&[(0, 9), (10, 19), (0, 9)]), []);
    }

    #[test]
    fn a_counter_that_starts_again_is_told_from_numbers_out_of_place() {
        assert_eq!(found(&[5, 6, 7, 8, 0, 1, 2]), [(8, 0)]);
        assert_eq!(found(&[5, 6, 7, 8, 5, 6, 7, 8, 9, 10]), [(8, 5)]);
        assert_eq!(found(&[1, 2, 3, 1, 2, 3, 1, 2]), [(3, 1), (3, 1)]);
        // With a hole of its own.
        assert_eq!(found(&[1, 2, 3, 4, 1, 3, 4]), [(4, 1)]);
        // Two rows that traded places, at the start and later.
        assert_eq!(found(&[2, 1, 3, 4]), []);
        assert_eq!(found(&[1, 2, 4, 3, 5]), []);
        // A row, and a block, that came again later.
        assert_eq!(found(&[1, 2, 3, 4, 1, 5, 6]), []);
        assert_eq!(found(&[1, 2, 3, 4, 1, 2, 5, 6]), []);
        // One row alone proves no counter.
        assert_eq!(found(&[1, 2, 3, 1]), []);
        // A fall into the middle is a number out of place.
        assert_eq!(found(&[10, 20, 30, 15, 16, 17]), []);
    }
}
