//! Rows of a batch put side by side by their series, by a counting sort.
//!
//! Streams mostly hold their series interleaved. What a series keeps (its window, its spans) lies elsewhere in memory for each row then; side by side, a
//! series is visited once a batch, and its rows are taken as a run.
//!
//! ```text
//! rows     a0 b0 c0 a1 b1 c1      series  a · b · c
//! order    a0 a1 b0 b1 c0 c1      ranges  0..2 · 2..4 · 4..6
//! ```

/// Rows of a batch, series by series.
#[derive(Debug, Clone, Default)]
pub(super) struct Grouping {
    /// Rows so far of each series; all zero between batches.
    counts: Vec<u32>,
    /// The series of a batch, each with the end of its rows in `order`.
    series: Vec<(u32, u32)>,
    /// Places of rows.
    order: Vec<u32>,
}

impl Grouping {
    /// Puts rows side by side that are of one series, in the order in which they came.
    pub(super) fn sort(&mut self, ids: &[u32], series: usize) {
        if self.counts.len() < series {
            self.counts.resize(series, 0);
        }
        self.series.clear();
        for id in ids {
            let count = &mut self.counts[*id as usize];
            if *count == 0 {
                self.series.push((*id, 0));
            }
            *count += 1;
        }
        let mut start = 0;
        for (id, end) in &mut self.series {
            let count = &mut self.counts[*id as usize];
            *end = start + *count;
            *count = start;
            start = *end;
        }
        self.order.resize(ids.len(), 0);
        for (row, id) in (0..).zip(ids) {
            let at = &mut self.counts[*id as usize];
            self.order[*at as usize] = row;
            *at += 1;
        }
        for (id, _) in &self.series {
            self.counts[*id as usize] = 0;
        }
    }

    /// The values of rows in that order.
    pub(super) fn gather<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.order.iter().map(|row| values[*row as usize]).collect()
    }

    /// The series with the ranges of their rows.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
        let mut start = 0;
        self.series.iter().map(move |(id, end)| {
            let range = start..*end as usize;
            start = range.end;
            (*id as usize, range)
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn rows_of_a_series_lie_side_by_side_in_their_order() {
        let mut grouping = Grouping::default();
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let series = rng.random_range(1..40);
            let ids: Vec<u32> = (0..rng.random_range(0..300)).map(|_| rng.random_range(0..series)).collect();
            grouping.sort(&ids, series as usize);
            let rows: Vec<u32> = (0..).take(ids.len()).collect();
            let gathered = grouping.gather(&rows);
            let mut seen = 0;
            for (id, range) in grouping.ranges() {
                let expected: Vec<u32> = rows.iter().copied().filter(|row| ids[*row as usize] as usize == id).collect();
                assert_eq!(gathered[range], expected, "seed {seed}");
                seen += expected.len();
            }
            assert_eq!(seen, ids.len());
        }
    }
}
