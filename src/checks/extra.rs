//! What the first pass keeps only of streams that ask for it: numbers that are ranges or rise by a step, lateness by a second clock, and rows outside a known
//! outage. A stream that asks for none of it runs past here once a batch.

use std::collections::{BTreeMap, BTreeSet};

use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;

use super::hashing::{SideHasher, Times};
use super::screen::{Screened, whole_numbers};
use crate::domain::{Duration, Instant, Mode, SequenceCoverage, Side, Windowing};
use crate::staging::Prepared;

/// Remainders of a stepped sequence that are told apart at most.
const MOST_GRIDS: usize = 64;

/// How the numbers of a sequence are read, where a row is not one number in steps of one.
#[derive(Debug, Clone, Copy)]
enum Numbers {
    /// From one column to another, both inclusive.
    Range(usize, usize),
    /// In steps.
    Step(usize, i128),
}

/// What is asked of a side.
#[derive(Debug, Clone)]
pub(super) struct ExtraPlan {
    numbers: Option<Numbers>,
    /// Place of the second clock, and how late a row may be.
    ingest: Option<(usize, i128)>,
    outage: Option<(i128, i128)>,
}

/// How late the rows of a window came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Rows that have both clocks.
    pub rows: u64,
    /// Rows that came after the end of the window and the grace.
    pub late: u64,
    /// The longest time from a row's event to its arrival, nanoseconds.
    pub longest: Option<i128>,
}

/// What one reader has seen of a series.
#[derive(Debug, Clone, Default)]
pub(super) struct Extra {
    /// By the remainder of the numbers: those of one remainder are counted in steps.
    grids: BTreeMap<i128, SequenceCoverage>,
    /// There are more remainders than are told apart.
    gridless: bool,
    /// Rows whose last number is before their first.
    pub(super) inverted: u64,
    /// Rows whose number is not one of the steps.
    pub(super) off_step: u64,
    /// The remainder of the numbers in steps.
    pub(super) remainder: i128,
    /// By the start of the window.
    pub(super) lateness: BTreeMap<i128, Lateness>,
    /// Rows before and after the outage.
    pub(super) outside: [u64; 2],
}

impl ExtraPlan {
    /// What a stream asks of a side; `None` where it asks for nothing.
    pub(super) fn of(prepared: &Prepared, side: Side) -> Option<Self> {
        let stream = &prepared.stream;
        let numbers = match (prepared.sequence, prepared.sequence_last) {
            (Some(first), Some(last)) => Some(Numbers::Range(first, last)),
            (Some(place), None) if stream.sequence_step > 1 => Some(Numbers::Step(place, stream.sequence_step)),
            _ => None,
        };
        let ingest = prepared.ingest.map(|place| (place, stream.continuity.grace.map_or(0, Duration::nanos)));
        let outage = stream.outage.filter(|_| stream.mode == Mode::Fill && side == Side::Backfill && prepared.time.is_some());
        let outage = outage.map(|outage| (outage.from.map_or(i128::MIN, |at| at.0), outage.until.map_or(i128::MAX, |at| at.0)));
        (numbers.is_some() || ingest.is_some() || outage.is_some()).then_some(Self { numbers, ingest, outage })
    }

    /// Whether the numbers of the sequence are kept here rather than by the screen.
    pub(super) fn owns_numbers(&self) -> bool {
        self.numbers.is_some()
    }

    /// Looks at a batch.
    pub(super) fn look<'b>(
        &self,
        hasher: &SideHasher,
        batch: &RecordBatch,
        times: Option<&'b Times>,
        windowing: Option<Windowing>,
    ) -> Result<Look<'b>, DataFusionError> {
        let column = |place: usize| hasher.canonicaliser.column(place, batch).map(|(array, _)| array);
        let numbers = match self.numbers {
            Some(Numbers::Range(first, last)) => Some((whole_numbers(&column(first)?)?, Some(whole_numbers(&column(last)?)?))),
            Some(Numbers::Step(place, _)) => Some((whole_numbers(&column(place)?)?, None)),
            None => None,
        };
        let arrivals = self.ingest.map(|(place, _)| Times::of(&column(place)?)).transpose()?;
        Ok(Look { plan: self.clone(), numbers, arrivals, times, windowing })
    }
}

/// The numbers of a batch.
type Column = Vec<Option<i128>>;

/// A batch with the columns that are asked for.
pub(super) struct Look<'b> {
    plan: ExtraPlan,
    /// First, or only, numbers, and last ones.
    numbers: Option<(Column, Option<Column>)>,
    arrivals: Option<Times>,
    times: Option<&'b Times>,
    windowing: Option<Windowing>,
}

impl Look<'_> {
    /// Adds a row to what its series keeps.
    pub(super) fn add(&self, row: usize, kept: Kept<'_>) {
        let extra = kept.extra.get_or_insert_default();
        let at = self.times.and_then(|times| times.at(row));
        match (self.plan.numbers, &self.numbers) {
            (Some(Numbers::Range(_, _)), Some((firsts, Some(lasts)))) => match (firsts[row], lasts[row]) {
                (Some(first), Some(last)) if last < first => extra.inverted += 1,
                (Some(first), Some(last)) => {
                    kept.sequence.add_range(first, last + 1);
                    at.into_iter().for_each(|at| kept.clock.add(at, first));
                }
                _ => *kept.null_sequences += 1,
            },
            (Some(Numbers::Step(_, step)), Some((numbers, _))) => match numbers[row] {
                Some(number) => {
                    extra.add_stepped(number, step);
                    at.into_iter().for_each(|at| kept.clock.add(at, number));
                }
                None => *kept.null_sequences += 1,
            },
            _ => {}
        }
        let Some(at) = at else { return };
        if let Some((from, until)) = self.plan.outage {
            extra.outside[0] += u64::from(at < from);
            extra.outside[1] += u64::from(at >= until);
        }
        if let (Some(arrivals), Some((_, grace)), Some(windowing)) = (&self.arrivals, self.plan.ingest, self.windowing)
            && let Some(arrived) = arrivals.at(row)
        {
            let window = windowing.window_of(Instant(at));
            let late = extra.lateness.entry(window.start.0).or_default();
            late.rows += 1;
            late.late += u64::from(arrived > window.end.0 + grace);
            late.longest = late.longest.max(Some(arrived - at));
        }
    }
}

/// What a series keeps of its rows, lent for one row.
pub(super) struct Kept<'s> {
    pub(super) extra: &'s mut Option<Box<Extra>>,
    pub(super) sequence: &'s mut SequenceCoverage,
    pub(super) clock: &'s mut super::clock::Clock,
    pub(super) null_sequences: &'s mut u64,
}

impl Extra {
    /// About how much it holds, in entries of a tree.
    pub(super) fn entries(&self) -> usize {
        self.lateness.len() + self.grids.values().map(|grid| 2 + grid.breaks()).sum::<usize>()
    }

    fn add_stepped(&mut self, number: i128, step: i128) {
        let (steps, remainder) = (number.div_euclid(step), number.rem_euclid(step));
        if let Some(grid) = self.grids.get_mut(&remainder) {
            grid.add(steps);
        } else if !self.gridless {
            self.grids.entry(remainder).or_default().add(steps);
            self.forget_if_too_many();
        }
        self.off_step += u64::from(self.gridless);
    }

    fn forget_if_too_many(&mut self) {
        if self.grids.len() > MOST_GRIDS {
            self.gridless = true;
            self.grids = BTreeMap::new();
        }
    }

    /// Adds what another reader has seen.
    pub(super) fn merge(&mut self, other: Self) {
        let Self { grids, gridless, inverted, off_step, remainder: _, lateness, outside } = other;
        for (remainder, grid) in grids {
            match self.grids.get_mut(&remainder) {
                Some(mine) => mine.merge(grid),
                None => {
                    self.grids.insert(remainder, grid);
                }
            }
        }
        self.gridless |= gridless;
        self.forget_if_too_many();
        if self.gridless {
            self.grids = BTreeMap::new();
        }
        self.inverted += inverted;
        self.off_step += off_step;
        for (window, theirs) in lateness {
            let mine = self.lateness.entry(window).or_default();
            mine.rows += theirs.rows;
            mine.late += theirs.late;
            mine.longest = mine.longest.max(theirs.longest);
        }
        self.outside[0] += outside[0];
        self.outside[1] += outside[1];
    }
}

fn rows_of(grid: &SequenceCoverage) -> u64 {
    let present: i128 = grid.spans().iter().map(|span| span.until - span.from).sum();
    u64::try_from(present).unwrap_or(u64::MAX) + grid.repeated().iter().map(|(_, rows)| rows).sum::<u64>()
}

/// Which numbers are the steps: those of the remainder that most rows have, over all sides, the least of several. The rest does not belong.
pub(super) fn settle_grids(prepared: &Prepared, screened: &mut Screened) {
    if prepared.stream.sequence_step == 1 || prepared.sequence.is_none() {
        return;
    }
    let keys: BTreeSet<Vec<u8>> = screened.sides.iter().flat_map(|side| side.series.keys().cloned()).collect();
    for key in keys {
        let mut votes: BTreeMap<i128, u64> = BTreeMap::new();
        let held = screened.sides.iter().filter_map(|side| side.series.get(&key)?.extra.as_ref());
        let gridless = held.clone().any(|extra| extra.gridless);
        held.flat_map(|extra| &extra.grids).for_each(|(remainder, grid)| *votes.entry(*remainder).or_default() += rows_of(grid));
        let most = votes.values().max().copied().unwrap_or(0);
        let chosen = votes.iter().find(|(_, rows)| **rows == most && !gridless).map(|(remainder, _)| *remainder);
        for side in &mut screened.sides {
            let Some(series) = side.series.get_mut(&key) else { continue };
            let Some(extra) = &mut series.extra else { continue };
            for (remainder, grid) in std::mem::take(&mut extra.grids) {
                if chosen == Some(remainder) {
                    series.sequence = grid;
                } else {
                    extra.off_step += rows_of(&grid);
                }
            }
            if gridless {
                // Which rows were counted depends on where the reader gave up: all of them have no step.
                extra.off_step = series.rows - series.null_sequences;
            }
            extra.remainder = chosen.unwrap_or(0);
        }
    }
}
