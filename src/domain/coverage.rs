//! Coverage as sets of intervals, of event time and of sequence numbers.
//!
//! Both are built in any row order and merge in any order, so partitions (and later machines) can each hold one.
//!
//! ```text
//! rows        |  | |  |            |  |  |
//! time spans  [──────────]         [──────]       neighbours at most `reach` apart belong together
//! sequence    7 8 9    12 13 14 14                present: [7,10) [12,15)   again: 14 ×1
//! ```

use std::collections::BTreeMap;

/// A maximal stretch without silence longer than the reach: from its first row to its last, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSpan {
    /// Event time of the first row, nanoseconds.
    pub first: i128,
    /// Event time of the last row, nanoseconds.
    pub last: i128,
    /// Rows inside.
    pub rows: u64,
}

/// The event times of a series on one side, as maximal spans.
#[derive(Debug, Clone)]
pub struct TimeCoverage {
    /// Neighbours at most so far apart are in one span; `None` joins all.
    reach: Option<i128>,
    /// first → (last, rows). Spans are further than `reach` apart.
    spans: BTreeMap<i128, (i128, u64)>,
    /// The span that took the last row, apart from the others and possibly overlapping them: nearly sorted data stays there.
    open: Option<TimeSpan>,
}

impl TimeCoverage {
    /// Nothing covered yet. `reach` in nanoseconds.
    pub fn new(reach: Option<i128>) -> Self {
        Self { reach, spans: BTreeMap::new(), open: None }
    }

    /// Adds one row at an event time. Constant time while rows fall into the span of the row before, or next to it.
    pub fn add(&mut self, at: i128) {
        let reach = self.reach.unwrap_or(i128::MAX / 4);
        match &mut self.open {
            Some(open) if open.first - at <= reach && at - open.last <= reach => {
                open.first = open.first.min(at);
                open.last = open.last.max(at);
                open.rows += 1;
            }
            _ => {
                self.close();
                self.open = Some(TimeSpan { first: at, last: at, rows: 1 });
            }
        }
    }

    /// Adds rows that lie in one span already: each at most the reach from those before it.
    pub fn add_span(&mut self, span: TimeSpan) {
        self.close();
        self.insert(span);
    }

    /// Neighbours at most so many nanoseconds apart are in one span.
    pub fn reach(&self) -> Option<i128> {
        self.reach
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.insert(open);
        }
    }

    /// Adds all of another coverage with the same reach.
    pub fn merge(&mut self, mut other: Self) {
        self.close();
        other.close();
        for (first, (last, rows)) in other.spans {
            self.insert(TimeSpan { first, last, rows });
        }
    }

    fn insert(&mut self, span: TimeSpan) {
        let mut joined = span;
        let reach = self.reach.unwrap_or(i128::MAX / 4);
        // Spans do not overlap, so those that touch are the one that starts before and some that start inside.
        let before = self.spans.range(..=span.first).next_back().map(|(first, (last, _))| (*first, *last));
        let start = match before {
            Some((first, last)) if span.first - last <= reach => first,
            _ => span.first,
        };
        let limit = span.last.saturating_add(reach);
        while let Some((&first, &(last, rows))) = self.spans.range(start..=limit.max(start)).next() {
            self.spans.remove(&first);
            joined.first = joined.first.min(first);
            joined.last = joined.last.max(last);
            joined.rows += rows;
        }
        self.spans.insert(joined.first, (joined.last, joined.rows));
    }

    /// The spans in order of time.
    pub fn spans(&self) -> Vec<TimeSpan> {
        let mut closed = self.clone();
        closed.close();
        closed.spans.iter().map(|(&first, &(last, rows))| TimeSpan { first, last, rows }).collect()
    }
}

/// A half-open run of sequence numbers that are all present, `[from, until)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SequenceSpan {
    /// The first number.
    pub from: i128,
    /// One after the last number.
    pub until: i128,
}

/// The sequence numbers of a series on one side.
#[derive(Debug, Clone, Default)]
pub struct SequenceCoverage {
    /// from → until of runs that neither overlap nor touch.
    present: BTreeMap<i128, i128>,
    /// Number → how many times it came again after the first.
    again: BTreeMap<i128, u64>,
    /// The run that took the last number, apart from the others: what it has in common with them is counted when it closes.
    open: Option<SequenceSpan>,
}

impl SequenceCoverage {
    /// Adds one row's number. Constant time for the number after the one before.
    pub fn add(&mut self, number: i128) {
        match &mut self.open {
            Some(open) if open.until == number => open.until += 1,
            _ => {
                self.close();
                self.open = Some(SequenceSpan { from: number, until: number + 1 });
            }
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.insert(open.from, open.until);
        }
    }

    fn closed(&self) -> Self {
        let mut closed = self.clone();
        closed.close();
        closed
    }

    /// Adds all of another coverage; numbers that both hold came again.
    pub fn merge(&mut self, mut other: Self) {
        self.close();
        other.close();
        for (from, until) in other.present {
            self.insert(from, until);
        }
        for (number, times) in other.again {
            *self.again.entry(number).or_default() += times;
        }
    }

    fn insert(&mut self, from: i128, until: i128) {
        let start = match self.present.range(..=from).next_back() {
            Some((&first, &end)) if end >= from => first,
            _ => from,
        };
        let (mut low, mut high) = (from, until);
        while let Some((&first, &end)) = self.present.range(start..=until).next() {
            self.present.remove(&first);
            // What the two have in common came again.
            for number in first.max(from)..end.min(until) {
                *self.again.entry(number).or_default() += 1;
            }
            low = low.min(first);
            high = high.max(end);
        }
        self.present.insert(low, high);
    }

    /// The numbers present, as runs in ascending order.
    pub fn spans(&self) -> Vec<SequenceSpan> {
        self.closed().present.iter().map(|(&from, &until)| SequenceSpan { from, until }).collect()
    }

    /// Maximal runs of neighbouring numbers that came again, in ascending order, with how many rows are too many.
    pub fn repeated(&self) -> Vec<(SequenceSpan, u64)> {
        let mut runs: Vec<(SequenceSpan, u64)> = Vec::new();
        for (&number, &times) in &self.closed().again {
            match runs.last_mut() {
                Some((run, rows)) if run.until == number => {
                    run.until = number + 1;
                    *rows += times;
                }
                _ => runs.push((SequenceSpan { from: number, until: number + 1 }, times)),
            }
        }
        runs
    }

    /// The union of two coverages, without regard to what came again.
    pub fn union(mut self, other: &Self) -> Self {
        self.close();
        for (&from, &until) in &other.closed().present {
            self.insert(from, until);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

    use super::*;

    #[test]
    fn time_coverage_equals_a_sorted_walk_in_any_order_and_split() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut times: Vec<i128> = (0..rng.random_range(1..120)).map(|_| rng.random_range(-300..300)).collect();
            let reach = rng.random_range(1..12);
            let mut parts = vec![TimeCoverage::new(Some(reach)); rng.random_range(1..4)];
            let count = parts.len();
            times.shuffle(&mut rng);
            for (index, &at) in times.iter().enumerate() {
                parts[index % count].add(at);
            }
            let mut merged = TimeCoverage::new(Some(reach));
            parts.into_iter().for_each(|part| merged.merge(part));
            times.sort_unstable();
            let mut expected: Vec<TimeSpan> = Vec::new();
            for at in times {
                match expected.last_mut() {
                    Some(span) if at - span.last <= reach => (span.last, span.rows) = (at, span.rows + 1),
                    _ => expected.push(TimeSpan { first: at, last: at, rows: 1 }),
                }
            }
            assert_eq!(merged.spans(), expected, "seed {seed}");
        }
    }

    #[test]
    fn sequence_coverage_equals_a_bag_in_any_order_and_split() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut numbers: Vec<i128> = (0..rng.random_range(1..120)).map(|_| rng.random_range(-40..40)).collect();
            numbers.shuffle(&mut rng);
            if seed % 2 == 0 {
                numbers.sort_unstable();
            }
            let mut parts = vec![SequenceCoverage::default(); rng.random_range(1..4)];
            let count = parts.len();
            for (index, &number) in numbers.iter().enumerate() {
                parts[index % count].add(number);
            }
            let mut merged = SequenceCoverage::default();
            parts.into_iter().for_each(|part| merged.merge(part));
            let set: BTreeSet<i128> = numbers.iter().copied().collect();
            let covered: BTreeSet<i128> = merged.spans().iter().flat_map(|s| s.from..s.until).collect();
            assert_eq!(covered, set, "seed {seed}");
            for pair in merged.spans().windows(2) {
                assert!(pair[0].until < pair[1].from, "runs that touch are one run, seed {seed}");
            }
            for (run, rows) in merged.repeated() {
                let held = numbers.iter().filter(|&&n| run.from <= n && n < run.until).count() as u64;
                assert_eq!(held - (run.until - run.from) as u64, rows, "seed {seed}");
            }
            let extra: u64 = merged.repeated().iter().map(|(_, rows)| rows).sum();
            assert_eq!(extra as usize, numbers.len() - set.len(), "seed {seed}");
        }
    }
}
