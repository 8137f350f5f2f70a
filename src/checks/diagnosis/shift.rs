//! Rows that are there, under other times: the shift is found by the values that stand beside the time.
//!
//! Among the differing rows, those with equal values and equal times on both sides cancel. What is left votes: each pair of rows with
//! the same values, one a side, for the distance of their times.
//!
//! ```text
//! original   10:00 a   10:01 b   10:02 c
//! backfill                                   11:00 a   11:01 b   11:02 c        three votes for +1 h
//! ```

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Offset, TimeZone};
use chrono_tz::Tz;

use super::evidence::Content;
use super::words::{counted, grouped, shift};
use crate::domain::Instant;

/// Pairs of a group that vote at most, on each side: values that come again and again say nothing of where they went.
const MOST_ALIKE: usize = 16;
/// Pairs that a shift rests on at least.
const FEWEST_PAIRS: usize = 3;

/// Zones that are looked at beside those of the job.
const ZONES: [Tz; 17] = [
    Tz::Europe__London,
    Tz::Europe__Berlin,
    Tz::Europe__Helsinki,
    Tz::Europe__Moscow,
    Tz::America__New_York,
    Tz::America__Chicago,
    Tz::America__Denver,
    Tz::America__Los_Angeles,
    Tz::America__Sao_Paulo,
    Tz::Asia__Kolkata,
    Tz::Asia__Shanghai,
    Tz::Asia__Tokyo,
    Tz::Asia__Dubai,
    Tz::Australia__Sydney,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Auckland,
    Tz::Africa__Johannesburg,
];

/// Rows of either side by their values: series and time.
type Groups = BTreeMap<u128, [Vec<(Option<usize>, i128)>; 2]>;

/// A shift that explains differing rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shift {
    /// What it is called: `+1 h`, or the wall clock of a zone.
    pub(super) name: String,
    pub(super) evidence: String,
    /// Rows of the original that stand elsewhere in the backfill: series and both times.
    pub(super) pairs: Vec<(Option<usize>, i128, i128)>,
    /// Rows that could have moved: those that are left on the side with fewer.
    pub(super) candidates: u64,
}

fn offset(zone: Tz, at: i128) -> Option<i128> {
    let moment = Instant(at).to_chrono()?;
    Some(i128::from(zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc()) * 1_000_000_000)
}

/// Zones whose wall clock explains every pair: read as UTC (later by the offset) or taken for local once too often (earlier).
fn zones(pairs: &[(Option<usize>, i128, i128)], of_job: &[Tz]) -> Option<String> {
    let mut looked: Vec<Tz> = of_job.iter().copied().filter(|zone| *zone != Tz::UTC).collect();
    looked.extend(ZONES);
    let mut seen = BTreeSet::new();
    looked.retain(|zone| seen.insert(zone.name()));
    let holds = |zone: Tz, forth: bool| {
        pairs.iter().all(|(_, from, to)| match forth {
            true => offset(zone, *from) == Some(to - from),
            false => offset(zone, *to) == Some(from - to),
        })
    };
    for (forth, words) in [(true, "had been read as UTC"), (false, "had been taken off a time in UTC")] {
        let named: Vec<&str> = looked.iter().filter(|zone| holds(**zone, forth)).map(|zone| zone.name()).take(3).collect();
        if !named.is_empty() {
            return Some(format!("as if the wall clock of {} {words}", named.join(" or ")));
        }
    }
    None
}

/// Finds the shift that most of the rows follow.
pub(super) fn find(original: &[Content], backfill: &[Content], of_job: &[Tz]) -> Option<Shift> {
    let mut groups: Groups = BTreeMap::new();
    for (side, rows) in [original, backfill].into_iter().enumerate() {
        for row in rows {
            groups.entry(row.group).or_default()[side].push((row.series, row.time));
        }
    }
    let mut left = [0_u64; 2];
    for [mine, theirs] in groups.values_mut() {
        cancel(mine, theirs);
        left[0] += mine.len() as u64;
        left[1] += theirs.len() as u64;
    }
    let candidates = left[0].min(left[1]);
    let mut votes: BTreeMap<i128, u64> = BTreeMap::new();
    for [mine, theirs] in groups.values() {
        if mine.len() > MOST_ALIKE || theirs.len() > MOST_ALIKE {
            continue;
        }
        let distances: BTreeSet<i128> = mine.iter().flat_map(|(_, from)| theirs.iter().map(move |(_, to)| to - from)).collect();
        for distance in distances.into_iter().filter(|distance| *distance != 0) {
            *votes.entry(distance).or_default() += 1;
        }
    }
    let mut ranked: Vec<(u64, i128)> = votes.into_iter().map(|(distance, votes)| (votes, distance)).collect();
    ranked.sort_by_key(|(votes, distance)| (std::cmp::Reverse(*votes), distance.abs(), *distance));
    let (_, first) = *ranked.first()?;
    // Clocks that change leave two shifts, an hour apart or half of one.
    let second = ranked.get(1).map(|(_, distance)| *distance).filter(|second| {
        let apart = (second - first).abs();
        apart == 3_600_000_000_000 || apart == 1_800_000_000_000
    });
    let one = pairs_at(&groups, &[first]);
    let zone_of_one = zones(&one, of_job);
    let both = second.map(|second| pairs_at(&groups, &[first, second])).and_then(|pairs| zones(&pairs, of_job).map(|zone| (pairs, zone)));
    let (pairs, zone, distances) = match (both, second) {
        (Some((pairs, zone)), Some(second)) if pairs.len() > one.len() => (pairs, Some(zone), vec![first, second]),
        _ => (one, zone_of_one, vec![first]),
    };
    // A runner-up with nearly as many votes means that the values come again and again, and name no shift.
    let rival = ranked.iter().find(|(_, distance)| !distances.contains(distance)).map_or(0, |(votes, _)| *votes);
    let chosen: u64 = ranked.iter().filter(|(_, distance)| distances.contains(distance)).map(|(votes, _)| votes).sum();
    let enough = chosen >= FEWEST_PAIRS as u64 && pairs.len() as u64 * 2 >= candidates && rival * 2 <= chosen;
    if !enough {
        return None;
    }
    let named: Vec<String> = distances.iter().map(|distance| shift(*distance)).collect();
    let name = named.join(" and ");
    let evidence = format!(
        "{} of {} that could have moved stand {name} away with the same values{}; the next best shift would explain {}",
        grouped(pairs.len() as u64),
        counted(candidates, "row"),
        zone.as_ref().map(|zone| format!(", {zone}")).unwrap_or_default(),
        grouped(rival),
    );
    Some(Shift { name, evidence, pairs, candidates })
}

/// Takes rows away that stand at the same time on both sides.
fn cancel(mine: &mut Vec<(Option<usize>, i128)>, theirs: &mut Vec<(Option<usize>, i128)>) {
    mine.sort_unstable_by_key(|(_, at)| *at);
    theirs.sort_unstable_by_key(|(_, at)| *at);
    let (mut a, mut b) = (0, 0);
    let (mut keep_mine, mut keep_theirs) = (vec![true; mine.len()], vec![true; theirs.len()]);
    while let (Some((_, x)), Some((_, y))) = (mine.get(a), theirs.get(b)) {
        match x.cmp(y) {
            std::cmp::Ordering::Less => a += 1,
            std::cmp::Ordering::Greater => b += 1,
            std::cmp::Ordering::Equal => {
                (keep_mine[a], keep_theirs[b]) = (false, false);
                a += 1;
                b += 1;
            }
        }
    }
    let mut at = keep_mine.into_iter();
    mine.retain(|_| at.next().unwrap_or(true));
    let mut at = keep_theirs.into_iter();
    theirs.retain(|_| at.next().unwrap_or(true));
}

/// The rows that stand at one of the distances, each row used once.
fn pairs_at(groups: &Groups, distances: &[i128]) -> Vec<(Option<usize>, i128, i128)> {
    let mut pairs = Vec::new();
    for [mine, theirs] in groups.values() {
        let mut free: BTreeMap<i128, usize> = BTreeMap::new();
        theirs.iter().for_each(|(_, to)| *free.entry(*to).or_default() += 1);
        for (series, from) in mine {
            for distance in distances {
                if let Some(count) = free.get_mut(&(from + distance)).filter(|count| **count > 0) {
                    *count -= 1;
                    pairs.push((*series, *from, from + distance));
                    break;
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i128 = 3_600_000_000_000;

    fn rows(times: impl Iterator<Item = i128>) -> Vec<Content> {
        times.enumerate().map(|(at, time)| Content { group: at as u128, time, series: None, wrong: 1 }).collect()
    }

    #[test]
    fn a_constant_shift_is_found_and_named() {
        let original = rows((0..50).map(|at| at * HOUR / 60));
        let backfill = rows((0..50).map(|at| at * HOUR / 60 + HOUR));
        let found = find(&original, &backfill, &[]).unwrap();
        assert_eq!((found.name.as_str(), found.pairs.len()), ("+1 h", 50));
        assert!(found.evidence.contains("Europe/Berlin"), "{}", found.evidence);
        assert_eq!(find(&backfill, &original, &[]).unwrap().name, "−1 h");
    }

    #[test]
    fn a_wall_clock_that_changes_is_one_zone() {
        // 2024-03-31T00:00Z: Berlin changes an hour later.
        let start = 1_711_843_200_000_000_000;
        let times: Vec<i128> = (-100..100).map(|at| start + HOUR + at * HOUR / 4).collect();
        let original = rows(times.iter().copied());
        let backfill = rows(times.iter().map(|at| at + offset(Tz::Europe__Berlin, *at).unwrap()));
        let found = find(&original, &backfill, &[]).unwrap();
        assert_eq!(found.pairs.len(), 200);
        assert!(found.evidence.contains("Europe/Berlin"), "{}", found.evidence);
    }

    #[test]
    fn values_that_come_again_and_again_name_no_shift() {
        let alike = |from: i128| -> Vec<Content> {
            (0..12).map(|at| Content { group: 7, time: from + at * HOUR, series: None, wrong: 1 }).collect()
        };
        assert_eq!(find(&alike(0), &alike(3 * HOUR + 1), &[]), None);
        assert_eq!(find(&[], &[], &[]), None);
    }
}
