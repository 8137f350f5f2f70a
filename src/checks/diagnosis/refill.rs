//! A backfill that stands at shifted times: in a `fill` most of its rows are on one side only, so that no row can be known again by its values. What
//! is left to go by are the ends.
//!
//! ```text
//! live       ──────)              [──────────        the stretch is as long as the hole that it should fill,
//! backfill             [──────────────)              its ends stand as far from where they should be as those of others,
//!                  └ +1 h ┘       └ +1 h ┘           and no row of it is one of live data, though it reaches into them
//! ```
//!
//! Where rows of both sides are known again by their keys ([`super::shift`]), those say the shift.

use std::collections::{BTreeMap, BTreeSet};

use super::holes::{SeriesNames, is_loss};
use super::shift::Shift;
use super::words::{counted, shift as named};
use crate::checks::continuity::{Continuity, Range, Whose};
use crate::checks::settle::Localised;
use crate::domain::{Cadence, Mode, Side};
use crate::staging::Prepared;

/// Clocks of zones are apart by multiples of it.
const QUARTER: i128 = 900_000_000_000;
/// Stretches that must agree on a shift that no two zones are apart by.
const FEWEST_STRETCHES: usize = 3;
/// Holes of a series that stretches are held against at most.
const MOST_HOLES: usize = 64;
/// Steps by which a stretch must be shifted at least.
const FEWEST_STEPS: i128 = 3;

/// Stretches of a backfill that stand elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Refill {
    /// Nanoseconds.
    by: i128,
    pub(super) evidence: String,
    /// Rows that stand elsewhere.
    pub(super) rows: u64,
    /// What the backfill covers, by series.
    covered: BTreeMap<usize, Vec<(i128, i128)>>,
    /// Where both sides cover a stretch that they should not.
    overlaps: BTreeMap<usize, Vec<(i128, i128)>>,
}

impl Refill {
    /// True when rows that belong into a hole of the recovered stream stand shifted in the backfill.
    pub(super) fn fills(&self, series: usize, from: i128, until: i128) -> bool {
        let (from, until) = (from + self.by, until + self.by);
        let covered = self.covered.get(&series).into_iter().flatten();
        let common: i128 = covered.map(|(a, b)| (until.min(*b) - from.max(*a)).max(0)).sum();
        common * 2 >= until - from
    }

    /// True when a row of the backfill at this time stands where live data is.
    pub(super) fn overlaps(&self, series: usize, at: i128) -> bool {
        self.overlaps.get(&series).into_iter().flatten().any(|(from, until)| (*from..*until).contains(&at))
    }
}

/// What the backfill covers of each series, and its rows.
fn covered(continuity: &Continuity, names: &mut SeriesNames) -> BTreeMap<usize, Vec<(i128, i128, u64)>> {
    let mut covered: BTreeMap<usize, Vec<(i128, i128, u64)>> = BTreeMap::new();
    for span in continuity.collected_again() {
        if let Range::Time(from, until) = span.range {
            covered.entry(names.add(&span.series)).or_default().push((from, until, span.rows));
        }
    }
    covered
}

/// Looks whether the backfill of a fill stands at shifted times.
pub(super) fn find(
    prepared: &Prepared,
    continuity: &Continuity,
    localised: &Localised,
    shift: Option<&Shift>,
    names: &mut SeriesNames,
) -> Option<Refill> {
    if prepared.stream.mode != Mode::Fill {
        return None;
    }
    let stretches = covered(continuity, names);
    let plain = |of: &BTreeSet<usize>| -> BTreeMap<usize, Vec<(i128, i128)>> {
        let own = stretches.iter().filter(|(series, _)| of.contains(series));
        own.map(|(series, spans)| (*series, spans.iter().map(|(from, until, _)| (*from, *until)).collect())).collect()
    };
    if let Some(shift) = shift {
        let mut distances: BTreeMap<i128, usize> = BTreeMap::new();
        shift.pairs.iter().for_each(|(_, from, to)| *distances.entry(to - from).or_default() += 1);
        let (by, _) = distances.into_iter().max_by_key(|(by, votes)| (*votes, std::cmp::Reverse(*by)))?;
        let series = shift.pairs.iter().map(|(series, ..)| series.unwrap_or(0)).collect();
        let rows = shift.pairs.len() as u64;
        return Some(Refill { by, evidence: shift.evidence.clone(), rows, covered: plain(&series), overlaps: BTreeMap::new() });
    }
    // Rows that stand where they belong would be known again.
    let again = localised.found.iter().any(|((class, kind, _), count)| (*class, *kind) == ("duplicate_key", Some("replay")) && *count > 0);
    let step = match prepared.stream.cadence {
        Some(Cadence::Fixed(step)) if !again => step.nanos(),
        _ => return None,
    };
    let mut holes: BTreeMap<usize, Vec<(i128, i128)>> = BTreeMap::new();
    for gap in continuity.gaps.iter().filter(|gap| gap.whose == Whose::One(Side::Original) && is_loss(gap)) {
        if let (Range::Time(from, until), Some(series)) = (gap.range, names.place(&gap.series)) {
            holes.entry(series).or_default().push((from, until));
        }
    }
    // Stretches of a hole's length that do not stand in it: by how much, and which.
    let mut found: Vec<(i128, usize, (i128, i128))> = Vec::new();
    let mut elsewhere = 0;
    for (series, spans) in &stretches {
        let Some(own) = holes.get(series).filter(|own| own.len() <= MOST_HOLES) else { continue };
        for (from, until, _) in spans {
            // A span ends a step behind its last row, as a gap begins.
            let long = until - from;
            let fitting = own.iter().filter(|(start, end)| (end - start - long).abs() <= step).map(|(start, _)| from - start);
            let fitting: Vec<i128> = fitting.collect();
            if fitting.iter().any(|by| by.abs() < FEWEST_STEPS * step) {
                continue;
            }
            elsewhere += 1;
            found.extend(fitting.into_iter().map(|by| (by, *series, (*from, *until))));
        }
    }
    // The shift that most of them have, within a step.
    found.sort_unstable();
    let within = |by: i128| found.partition_point(|(own, ..)| *own < by - step)..found.partition_point(|(own, ..)| *own <= by + step);
    let (by, ..) = *found.iter().max_by_key(|(by, ..)| (within(*by).len(), std::cmp::Reverse((by.abs(), *by))))?;
    let nearest = (2 * by + QUARTER).div_euclid(2 * QUARTER) * QUARTER;
    let by_zone = nearest != 0 && (by - nearest).abs() <= step;
    let by = if by_zone { nearest } else { by };
    let moved = found.get(within(by)).unwrap_or_default();
    if moved.len() * 2 <= elsewhere || !by_zone && moved.len() < FEWEST_STRETCHES {
        return None;
    }
    let series: BTreeSet<usize> = moved.iter().map(|(_, series, _)| *series).collect();
    let mut overlaps: BTreeMap<usize, Vec<(i128, i128)>> = BTreeMap::new();
    moved.iter().for_each(|(_, series, range)| overlaps.entry(*series).or_default().push(*range));
    let stands = |series: &usize, from: &i128| overlaps.get(series).is_some_and(|own| own.iter().any(|(start, _)| start == from));
    let spans = stretches.iter().flat_map(|(series, spans)| spans.iter().map(move |span| (series, span)));
    let rows = spans.filter(|(series, (from, ..))| stands(series, from)).map(|(_, (.., rows))| rows).sum();
    let evidence = format!(
        "{} as long as {}, and {} from where it should be; none of {} is a row of live data",
        match moved.len() {
            1 => "the stretch that was collected again is".to_string(),
            many => format!("{many} of {elsewhere} stretches that were collected again and do not stand in a hole are each"),
        },
        if moved.len() == 1 { "the hole that it should fill" } else { "a hole" },
        named(by),
        counted(rows, "row"),
    );
    Some(Refill { by, evidence, rows, covered: plain(&series), overlaps })
}
