//! Event time against sequence: where a sequence runs backwards.
//!
//! A sequence runs backwards where it falls as event time rises, whatever the order of the rows. Rows mostly come in order,
//! so a reader keeps runs of rows whose time rises and whose number does not fall: nothing falls inside one. Runs that do
//! not overlap in time are judged by their ends. Where they do overlap, the rows themselves are needed.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::execution::TaskContext;

use super::points::{Reader, parts};
use super::screen::SideScreen;
use crate::domain::Seed;
use crate::error::Result;
use crate::findings::StageRecord;
use crate::job::RunOptions;
use crate::progress::Progress;
use crate::staging::Prepared;

/// Runs that are remembered at most for a series; beyond, only how far they reach.
const MOST_RUNS: usize = 1 << 14;

/// So few runs are kept whatever they are of.
const FEW_RUNS: usize = 16;

/// A run of rows: event time rises with every row, and the number never falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: (i128, i128),
    last: (i128, i128),
}

/// A fall of the sequence between two neighbouring event times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fall {
    /// Time and greatest number before it.
    pub(super) before: (i128, i128),
    /// Time and least number after it.
    pub(super) after: (i128, i128),
}

/// Event times and numbers of a series on one side.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    rows: u64,
    runs: Vec<Run>,
    /// Set once the runs were too many to keep.
    lost: bool,
    /// The falls, once the rows were read for themselves.
    settled: Option<Vec<Fall>>,
}

impl Clock {
    /// Runs that are held.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Adds a row's event time and number.
    pub(super) fn add(&mut self, at: i128, number: i128) {
        self.rows += 1;
        if self.lost {
            return;
        }
        match self.runs.last_mut() {
            Some(run) if run.last.0 < at && run.last.1 <= number => run.last = (at, number),
            _ => {
                if self.runs.is_empty() {
                    // Most series have one run, and there may be a million series.
                    self.runs.reserve_exact(1);
                }
                self.runs.push(Run { first: (at, number), last: (at, number) });
                self.forget_if_too_many();
            }
        }
    }

    fn forget_if_too_many(&mut self) {
        // Rows in no order make a run of every other row, and are read again anyway.
        let disordered = self.runs.len() > FEW_RUNS && 3 * self.runs.len() as u64 > self.rows;
        if disordered || self.runs.len() > MOST_RUNS {
            self.lost = true;
            self.runs = Vec::new();
        }
    }

    /// Adds what another reader has seen.
    pub(super) fn merge(&mut self, other: Self) {
        let Self { rows, runs, lost, settled: _ } = other;
        self.rows += rows;
        self.lost |= lost;
        self.runs.extend(runs);
        if self.lost {
            self.runs = Vec::new();
        }
        self.forget_if_too_many();
    }

    /// Whether the numbers of two clocks that share a counter may fall from one to the other. Runs are enough to say that they do not: of two runs the one
    /// that begins later begins higher, and the one that ends later ends higher.
    pub(super) fn may_fall_to(&self, other: &Self) -> bool {
        if self.lost || other.lost || self.settled.is_some() || other.settled.is_some() {
            return true;
        }
        let mut runs: Vec<Run> = self.runs.iter().chain(&other.runs).copied().collect();
        let falls = |pair: &[Run], end: fn(&Run) -> (i128, i128)| end(&pair[0]).0 < end(&pair[1]).0 && end(&pair[1]).1 < end(&pair[0]).1;
        runs.sort_unstable_by_key(|run| run.first);
        let begins_lower = runs.windows(2).any(|pair| falls(pair, |run| run.first));
        runs.sort_unstable_by_key(|run| run.last);
        begins_lower || runs.windows(2).any(|pair| falls(pair, |run| run.last))
    }

    /// The falls; `None` where runs overlap in time, so that the rows themselves are needed.
    pub(super) fn falls(&self) -> Option<Vec<Fall>> {
        if let Some(falls) = &self.settled {
            return Some(falls.clone());
        }
        if self.lost {
            return None;
        }
        let mut runs = self.runs.clone();
        runs.sort_unstable_by_key(|run| run.first);
        let mut falls = Vec::new();
        for pair in runs.windows(2) {
            if pair[1].first.0 <= pair[0].last.0 {
                return None;
            }
            if pair[1].first.1 < pair[0].last.1 {
                falls.push(Fall { before: pair[0].last, after: pair[1].first });
            }
        }
        Some(falls)
    }
}

/// Appends the falls between neighbouring distinct event times; `before` is the time and greatest number before the first, and
/// afterwards those of the last. Rows of one time have no order among them.
pub(super) fn falls_of(mut points: Vec<(i128, i128)>, before: &mut Option<(i128, i128)>, falls: &mut Vec<Fall>) {
    points.sort_unstable();
    for group in points.chunk_by(|a, b| a.0 == b.0) {
        // Sorted by number within a time, so the first is the least and the last the greatest.
        let (Some(&after), Some(&greatest)) = (group.first(), group.last()) else { continue };
        if let Some(before) = before.filter(|(_, number)| after.1 < *number) {
            falls.push(Fall { before, after });
        }
        *before = Some(greatest);
    }
}

/// How far a series was walked: the last time with its greatest number, and the falls up to there.
type Walk = (Option<(i128, i128)>, Vec<Fall>);

/// Reads time and sequence once more where rows did not come in order, and settles where the sequence falls.
///
/// # Errors
/// A side could not be read again.
pub async fn settle_clocks(
    prepared: &Prepared,
    sides: &mut [SideScreen],
    options: &RunOptions,
    seed: &Seed,
    context: &Arc<TaskContext>,
    progress: &Progress,
) -> Result<Vec<StageRecord>> {
    let (Some(time), Some(sequence)) = (prepared.time, prepared.sequence) else { return Ok(Vec::new()) };
    let mut reader = Reader { prepared, options, seed, context, progress, stages: Vec::new() };
    for (opened, side) in prepared.sides.iter().zip(sides) {
        let mut settled: HashMap<Vec<u8>, Walk> = HashMap::new();
        let disordered = side.series.iter().filter(|(_, screen)| screen.clock.falls().is_none());
        let disordered = disordered.map(|(key, screen)| (key, screen.clock.rows, screen.extent.unwrap_or((0, 0))));
        for part in parts(disordered, reader.room()) {
            progress.stage(&format!("ordering the sequence of {} {}", prepared.stream.name, opened.side), opened.rows_hint);
            let read = reader.read("clock", opened, &part, time, Some(sequence)).await?;
            for (key, points) in part.series.iter().zip(read) {
                let (before, falls) = settled.entry(key.clone()).or_default();
                falls_of(points, before, falls);
            }
        }
        for (key, (_, falls)) in settled {
            if let Some(series) = side.series.get_mut(&key) {
                series.clock.settled = Some(falls);
            }
        }
    }
    Ok(reader.stages)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn runs_judge_as_rows_do_or_say_that_they_cannot() {
        let mut judged = 0;
        for seed in 0..400 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut at = 0;
            let mut points = Vec::new();
            for number in 0..rng.random_range(1..60) {
                at += rng.random_range(0..3_i128).min(1) + rng.random_range(0..2_i128);
                points.push((at, number + rng.random_range(-1..2_i128) * i128::from(rng.random_range(0..8) == 0)));
            }
            let mut parts = vec![Clock::default(); rng.random_range(1..4)];
            let count = parts.len();
            for (index, point) in points.iter().enumerate() {
                parts[index * count / points.len()].add(point.0, point.1);
            }
            let mut merged = Clock::default();
            parts.into_iter().for_each(|part| merged.merge(part));
            if let Some(falls) = merged.falls() {
                judged += 1;
                let mut expected = Vec::new();
                falls_of(points, &mut None, &mut expected);
                assert_eq!(falls, expected, "seed {seed}");
            }
        }
        assert!(judged > 40, "{judged}");
    }

    #[test]
    fn rows_out_of_order_are_not_judged_by_runs() {
        let mut clock = Clock::default();
        for (at, number) in [(1, 1), (5, 5), (3, 3)] {
            clock.add(at, number);
        }
        assert!(clock.falls().is_none());
        clock.settled = Some(Vec::new());
        assert_eq!(clock.falls(), Some(Vec::new()));
    }
}
