//! How late rows came, as a spread: exact ends, and a median from counts by length.
//!
//! The counts are kept by a unit that grows when there are too many lengths. A part of the rows never has more lengths than all of them, so
//! that no reader's unit is coarser than the whole's, and the order of reading leaves no trace.

use std::collections::BTreeMap;

use super::words::length;
use crate::domain::{Instant, Windowing};

/// Lengths that are told apart at most.
const MOST_LENGTHS: usize = 256;
/// Nanoseconds: the finest unit, and by how much it grows.
const FINEST: i128 = 1_000_000;
const GROWS: i128 = 2;

/// What makes a row late.
#[derive(Debug, Clone, Copy)]
pub(super) struct LateRule {
    /// Place of the second clock.
    pub(super) place: usize,
    pub(super) windowing: Windowing,
    pub(super) grace: i128,
}

impl LateRule {
    /// By how much a row came after its event, where it came after its window was complete.
    pub(super) fn of(&self, at: i128, arrived: i128) -> Option<i128> {
        (arrived > self.windowing.window_of(Instant(at)).end.0 + self.grace).then_some(arrived - at)
    }
}

/// How late some rows came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) rows: u64,
    shortest: i128,
    longest: i128,
    /// The unit is the finest, so often doubled.
    doubled: u32,
    /// By the length in units.
    counts: BTreeMap<i128, u64>,
}

impl Spread {
    fn unit(&self) -> i128 {
        FINEST * GROWS.pow(self.doubled)
    }

    pub(super) fn add(&mut self, late: i128) {
        (self.shortest, self.longest) = match self.rows {
            0 => (late, late),
            _ => (self.shortest.min(late), self.longest.max(late)),
        };
        self.rows += 1;
        *self.counts.entry(late.div_euclid(self.unit())).or_default() += 1;
        self.fit();
    }

    /// Adds what another reader has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.rows == 0 {
            return;
        }
        (self.shortest, self.longest) = match self.rows {
            0 => (other.shortest, other.longest),
            _ => (self.shortest.min(other.shortest), self.longest.max(other.longest)),
        };
        self.rows += other.rows;
        let doubled = self.doubled.max(other.doubled);
        self.coarsen(doubled);
        let by = GROWS.pow(doubled - other.doubled);
        other.counts.iter().for_each(|(length, rows)| *self.counts.entry(length.div_euclid(by)).or_default() += rows);
        self.fit();
    }

    fn coarsen(&mut self, doubled: u32) {
        if doubled == self.doubled {
            return;
        }
        let by = GROWS.pow(doubled - self.doubled);
        let counts = std::mem::take(&mut self.counts);
        counts.into_iter().for_each(|(length, rows)| *self.counts.entry(length.div_euclid(by)).or_default() += rows);
        self.doubled = doubled;
    }

    fn fit(&mut self) {
        // Beyond so many doublings every length that a clock can show is one.
        while self.counts.len() > MOST_LENGTHS && self.doubled < 60 {
            self.coarsen(self.doubled + 1);
        }
    }

    /// The middle one, to the unit.
    fn median(&self) -> i128 {
        let mut before = 0;
        for (length, rows) in &self.counts {
            before += rows;
            if before * 2 >= self.rows {
                return (length * self.unit()).clamp(self.shortest, self.longest);
            }
        }
        self.longest
    }

    /// `35 min to 2 h 5 min after their events, 1 h 10 min in the median`.
    pub(super) fn words(&self) -> String {
        match self.shortest == self.longest {
            true => format!("{} after their events", length(self.longest)),
            false => {
                format!("{} to {} after their events, {} in the median", length(self.shortest), length(self.longest), length(self.median()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i128 = 60_000_000_000;

    #[test]
    fn ends_are_exact_and_the_median_is_the_middle() {
        let mut spread = Spread::default();
        (1..=9).for_each(|minutes| spread.add(minutes * MINUTE + 1));
        assert_eq!((spread.rows, spread.shortest, spread.longest), (9, MINUTE + 1, 9 * MINUTE + 1));
        assert_eq!(spread.words(), "1 min to 9 min after their events, 5 min in the median");
    }

    #[test]
    fn parts_in_any_order_make_the_same_whole() {
        let all: Vec<i128> = (0..5_000).map(|at: i128| (at * 7_919 % 5_000) * 17_000_003).collect();
        let mut whole = Spread::default();
        all.iter().for_each(|late| whole.add(*late));
        for cut in [1, 13, 700, 4_999] {
            let mut merged = Spread::default();
            for part in all.chunks(cut).collect::<Vec<_>>().into_iter().rev() {
                let mut one = Spread::default();
                part.iter().for_each(|late| one.add(*late));
                merged.merge(&one);
            }
            assert_eq!(merged, whole, "{cut}");
        }
        assert!(whole.counts.len() <= MOST_LENGTHS && whole.doubled > 0);
    }
}
