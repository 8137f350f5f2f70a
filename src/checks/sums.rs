//! The sums of a series' windows: a list in order of time, since that is mostly how rows come.
//!
//! ```text
//! in order    10:00 Σ · 10:05 Σ · 10:10 Σ ◄── the next window is appended, or is the last one
//! late        10:05 Σ · 10:00 Σ           ◄── windows that come again later, in a map; sorted in at the end
//! ```
//!
//! An entry of the list takes 48 bytes, and a series with one window has one entry. Only what is late is hashed.

use std::collections::HashMap;

use crate::domain::Checksum;

/// Sums by the start of the window, and one for rows without a time.
#[derive(Debug, Clone, Default)]
pub struct WindowSums {
    /// Ascending starts, each once.
    sorted: Vec<(i128, Checksum)>,
    /// In any order, to be added to those.
    late: Option<Box<Late>>,
    timeless: Checksum,
}

#[derive(Debug, Clone, Default)]
struct Late {
    windows: HashMap<i128, Checksum>,
}

impl WindowSums {
    /// Windows that are held.
    pub(super) fn len(&self) -> usize {
        self.sorted.len() + self.late.as_ref().map_or(0, |late| late.windows.len())
    }

    /// Adds rows of a window; `None` are those without a time.
    pub(super) fn add(&mut self, start: Option<i128>, sum: Checksum) {
        let Some(start) = start else {
            self.timeless.merge(sum);
            return;
        };
        match self.sorted.last_mut() {
            Some((last, mine)) if *last == start => mine.merge(sum),
            Some((last, _)) if *last > start => {
                self.late.get_or_insert_default().windows.entry(start).or_default().merge(sum);
            }
            _ => {
                if self.sorted.is_empty() {
                    // Of many series each may have but one.
                    self.sorted.reserve_exact(1);
                }
                self.sorted.push((start, sum));
            }
        }
    }

    /// Sorts in what came late. To be called before anything is looked up.
    pub(super) fn settle(&mut self) {
        let Some(late) = self.late.take() else { return };
        self.sorted.extend(late.windows);
        self.sort();
    }

    fn sort(&mut self) {
        // A stable sort is fast on what is mostly sorted.
        self.sorted.sort_by_key(|(start, _)| *start);
        self.join();
    }

    /// Adds up neighbours of one start.
    fn join(&mut self) {
        self.sorted.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1.merge(next.1);
            }
            same
        });
    }

    /// Adds finer windows up to coarser ones: `coarse` gives the start of the one that holds a start, and never falls as starts rise.
    pub(super) fn coarsen(&mut self, coarse: impl Fn(i128) -> i128) {
        self.settle();
        self.sorted.iter_mut().for_each(|(start, _)| *start = coarse(*start));
        self.join();
    }

    /// Adds all of another.
    pub(super) fn merge(&mut self, other: Self) {
        let Self { mut sorted, late, timeless } = other;
        self.timeless.merge(timeless);
        if self.sorted.is_empty() {
            self.sorted = sorted;
        } else {
            self.sorted.append(&mut sorted);
            self.sort();
        }
        match (&mut self.late, late) {
            (Some(mine), Some(theirs)) => {
                theirs.windows.into_iter().for_each(|(start, sum)| mine.windows.entry(start).or_default().merge(sum));
            }
            (mine, theirs) => *mine = mine.take().or(theirs),
        }
    }

    /// The windows in ascending order; rows without a time come first.
    pub fn iter(&self) -> impl Iterator<Item = (Option<i128>, Checksum)> + '_ {
        debug_assert!(self.late.is_none(), "windows are looked up before they are settled");
        let timeless = Some((None, self.timeless)).filter(|(_, sum)| sum.rows > 0);
        timeless.into_iter().chain(self.sorted.iter().map(|(start, sum)| (Some(*start), *sum)))
    }

    /// The sum of a window; nothing where it has no rows.
    pub fn get(&self, start: Option<i128>) -> Checksum {
        debug_assert!(self.late.is_none(), "windows are looked up before they are settled");
        match start {
            None => self.timeless,
            Some(start) => {
                let found = self.sorted.binary_search_by_key(&start, |(start, _)| *start);
                found.ok().and_then(|at| self.sorted.get(at)).map_or_else(Checksum::default, |(_, sum)| *sum)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn sums_are_those_of_a_map_in_any_order() {
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut expected: BTreeMap<Option<i128>, Checksum> = BTreeMap::new();
            let mut parts = vec![WindowSums::default(); rng.random_range(1..4)];
            let jump = if rng.random() { 3 } else { 60 };
            let mut at = 0_i128;
            for _ in 0..rng.random_range(0..400) {
                at += rng.random_range(-jump / 2..jump);
                let start = (rng.random_range(0..20) > 0).then_some(at);
                let sum = Checksum { rows: 1, sum: rng.random() };
                let part = rng.random_range(0..parts.len());
                parts[part].add(start, sum);
                expected.entry(start).or_default().merge(sum);
            }
            let mut merged = WindowSums::default();
            parts.into_iter().for_each(|part| merged.merge(part));
            merged.settle();
            assert_eq!(merged.iter().collect::<Vec<_>>(), expected.clone().into_iter().collect::<Vec<_>>(), "seed {seed}");
            for (start, sum) in &expected {
                assert_eq!(merged.get(*start), *sum);
            }
            assert_eq!(merged.get(Some(i128::MAX)), Checksum::default());
            let mut coarse: BTreeMap<Option<i128>, Checksum> = BTreeMap::new();
            expected.iter().for_each(|(start, sum)| coarse.entry(start.map(|at| at.div_euclid(7) * 7)).or_default().merge(*sum));
            merged.coarsen(|start| start.div_euclid(7) * 7);
            assert_eq!(merged.iter().collect::<Vec<_>>(), coarse.into_iter().collect::<Vec<_>>(), "seed {seed}");
        }
    }
}
