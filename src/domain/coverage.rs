//! Coverage as sets of half-open intervals, of event time and of sequence numbers alike.
//!
//! [`Intervals`] is the algebra: union, intersection, complement within bounds, merging within a slack. [`Coverage`] collects such a set
//! row by row, in any order, and merges with others in any order, so partitions (and later machines) can each hold one.
//!
//! ```text
//! rows        |  | |  |            |  |  |
//! time spans  [──────────]         [──────]       neighbours at most `reach` apart belong together
//! sequence    7 8 9    12 13 14 14                present: [7,10) [12,15)   again: [14,15) ×1
//! ```
//!
//! # What it costs
//!
//! A row that falls into the span of the row before it, or next to it, costs constant time and no memory; another one costs the logarithm of the
//! number of spans. Memory follows the breaks that there are *so far*: in order, reversed, or in a few interleaved runs, that is the breaks of the
//! data. In random order rows are islands until their neighbours come: n rows without a single gap pass through n/4 spans at the worst, when half
//! of them have come, and end in one (`random_order_passes_through_a_quarter_of_the_rows` measures it). What bounds that is [`Coverage::MOST`]:
//! with more spans than that the set is given up (`is_lost`), and whoever collects it reads the column again in slices that it can sort.

use std::collections::BTreeMap;

/// A set of whole numbers as half-open intervals `[from, until)` in ascending order that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intervals(Vec<(i128, i128)>);

impl Intervals {
    /// One interval, or none where it is empty.
    pub fn one(from: i128, until: i128) -> Self {
        Self(if from < until { vec![(from, until)] } else { Vec::new() })
    }

    /// The union of intervals in any order.
    pub fn of(intervals: impl IntoIterator<Item = (i128, i128)>) -> Self {
        let mut all: Vec<(i128, i128)> = intervals.into_iter().filter(|(from, until)| from < until).collect();
        all.sort_unstable();
        Self(all).joined(0)
    }

    /// The intervals in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (i128, i128)> + '_ {
        self.0.iter().copied()
    }

    /// True when nothing is inside.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers are inside.
    pub fn length(&self) -> i128 {
        self.iter().map(|(from, until)| until - from).sum()
    }

    /// True when the number is inside.
    pub fn contains(&self, at: i128) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= at);
        after > 0 && at < self.0[after - 1].1
    }

    /// Intervals at most `slack` apart become one; with 0 those that touch.
    #[must_use]
    pub fn joined(self, slack: i128) -> Self {
        let mut joined: Vec<(i128, i128)> = Vec::with_capacity(self.0.len());
        for (from, until) in self.0 {
            match joined.last_mut() {
                Some(last) if from.saturating_sub(last.1) <= slack => last.1 = last.1.max(until),
                _ => joined.push((from, until)),
            }
        }
        Self(joined)
    }

    /// At most so many intervals that hold all of these: the widest spaces between them stay.
    #[must_use]
    pub fn few(self, most: usize) -> Self {
        if self.0.len() <= most {
            return self;
        }
        let mut spaces: Vec<i128> = self.0.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
        spaces.sort_unstable_by(|a, b| b.cmp(a));
        let widest = spaces.get(most.max(1) - 1).copied().unwrap_or(i128::MAX);
        self.joined(widest)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::of(self.iter().chain(other.iter()))
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (0, 0);
        let mut common = Vec::new();
        while let (Some(mine), Some(theirs)) = (self.0.get(a), other.0.get(b)) {
            let (from, until) = (mine.0.max(theirs.0), mine.1.min(theirs.1));
            if from < until {
                common.push((from, until));
            }
            if mine.1 < theirs.1 { a += 1 } else { b += 1 }
        }
        Self(common)
    }

    /// What `[from, until)` holds and this does not.
    #[must_use]
    pub fn complement(&self, from: i128, until: i128) -> Self {
        let mut rest = Vec::new();
        let mut at = from;
        // Only those that reach into the bounds.
        for &(start, end) in &self.0[self.0.partition_point(|(_, end)| *end <= from)..] {
            if start >= until {
                break;
            }
            if at < start {
                rest.push((at, start));
            }
            at = at.max(end);
        }
        if at < until {
            rest.push((at, until));
        }
        Self(rest)
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        match (self.0.first(), self.0.last()) {
            (Some((from, _)), Some((_, until))) => self.intersection(&other.complement(*from, *until)),
            _ => Self::default(),
        }
    }
}

/// A maximal interval of a coverage with the rows that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first number inside.
    pub from: i128,
    /// The first number no longer inside.
    pub until: i128,
    /// Rows inside.
    pub rows: u64,
}

/// A set of intervals that is collected row by row and merged part by part.
#[derive(Debug, Clone)]
pub struct Coverage {
    /// Intervals at most so far apart are one; 0 joins those that touch.
    slack: i128,
    /// from → (until, rows). They are further apart than the slack.
    spans: BTreeMap<i128, (i128, u64)>,
    /// The span that took the last row, apart from the others and possibly overlapping them: nearly sorted data stays there.
    open: Option<Span>,
    /// From the first number to the end, once there were more spans than are kept.
    lost: Option<Box<(i128, i128)>>,
}

impl Coverage {
    /// Spans that are kept at most; some 64 MiB.
    pub const MOST: usize = 1 << 20;

    /// Nothing covered yet. Intervals at most `slack` apart will be one.
    pub fn new(slack: i128) -> Self {
        Self { slack, spans: BTreeMap::new(), open: None, lost: None }
    }

    /// Adds an interval with its rows. Constant time while it falls into the one before, or next to it. True when it does not meet the one before.
    #[inline]
    pub fn add(&mut self, from: i128, until: i128, rows: u64) -> bool {
        if let Some(open) = &mut self.open
            && open.from.saturating_sub(until) <= self.slack
            && from.saturating_sub(open.until) <= self.slack
        {
            open.from = open.from.min(from);
            open.until = open.until.max(until);
            open.rows += rows;
            return false;
        }
        self.close();
        self.open = Some(Span { from, until, rows });
        true
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.take(open);
        }
    }

    fn take(&mut self, span: Span) {
        if let Some(extent) = &mut self.lost {
            **extent = (extent.0.min(span.from), extent.1.max(span.until));
            return;
        }
        self.insert(span);
        if self.spans.len() > Self::MOST {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.lost = self.extent().map(Box::new);
        self.spans = BTreeMap::new();
    }

    fn insert(&mut self, span: Span) {
        // Spans do not overlap, so those that touch are the one that starts before and some that start inside.
        let before = self.spans.range(..=span.from).next_back().map(|(from, (until, _))| (*from, *until));
        let start = match before {
            Some((from, until)) if span.from.saturating_sub(until) <= self.slack => from,
            _ => span.from,
        };
        let mut joined = span;
        let limit = span.until.saturating_add(self.slack);
        while let Some((&from, &(until, rows))) = self.spans.range(start..=limit.max(start)).next() {
            self.spans.remove(&from);
            joined.from = joined.from.min(from);
            joined.until = joined.until.max(until);
            joined.rows += rows;
        }
        self.spans.insert(joined.from, (joined.until, joined.rows));
    }

    /// True while there is one span at most, and no map of them: nearly sorted data of many series stays so.
    fn is_one(&self) -> bool {
        self.spans.is_empty() && self.lost.is_none()
    }

    /// Adds all of another coverage with the same slack.
    pub fn merge(&mut self, mut other: Self) {
        if self.is_one() && other.is_one() {
            match (&mut self.open, other.open) {
                (_, None) => return,
                (None, theirs) => {
                    self.open = theirs;
                    return;
                }
                (Some(mine), Some(theirs))
                    if mine.from.saturating_sub(theirs.until) <= self.slack && theirs.from.saturating_sub(mine.until) <= self.slack =>
                {
                    mine.from = mine.from.min(theirs.from);
                    mine.until = mine.until.max(theirs.until);
                    mine.rows += theirs.rows;
                    return;
                }
                _ => {}
            }
        }
        self.close();
        other.close();
        let Self { slack: _, spans, open: _, lost } = other;
        if let Some(extent) = lost {
            if self.lost.is_none() {
                self.lose();
            }
            let mine = self.lost.get_or_insert(extent.clone());
            **mine = (mine.0.min(extent.0), mine.1.max(extent.1));
        }
        for (from, (until, rows)) in spans {
            self.take(Span { from, until, rows });
        }
    }

    /// Spans apart from the one that took the last row: what is held beyond it.
    pub fn breaks(&self) -> usize {
        self.spans.len()
    }

    /// True when there were more spans than are kept: what is covered must be collected otherwise.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// From the first number that was added to the end of the last, also of a coverage that is lost.
    pub fn extent(&self) -> Option<(i128, i128)> {
        let open = self.open.map(|open| (open.from, open.until));
        let closed = match &self.lost {
            Some(extent) => Some(**extent),
            // Spans do not overlap, so the last ends last.
            None => self.spans.first_key_value().zip(self.spans.last_key_value()).map(|((from, _), (_, (until, _)))| (*from, *until)),
        };
        match (closed, open) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        }
    }

    /// The spans in ascending order; none of a coverage that is lost.
    pub fn spans(&self) -> Vec<Span> {
        let spans = |spans: &BTreeMap<i128, (i128, u64)>| -> Vec<Span> {
            spans.iter().map(|(&from, &(until, rows))| Span { from, until, rows }).collect()
        };
        if self.open.is_none() {
            return spans(&self.spans);
        }
        let mut closed = self.clone();
        closed.close();
        spans(&closed.spans)
    }

    /// The set alone.
    pub fn intervals(&self) -> Intervals {
        Intervals(self.spans().into_iter().map(|span| (span.from, span.until)).collect())
    }
}

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

/// The event times of a series on one side, as maximal spans: each row is the interval of its nanosecond.
#[derive(Debug, Clone)]
pub struct TimeCoverage {
    reach: Option<i128>,
    set: Coverage,
}

impl TimeCoverage {
    /// Nothing covered yet. Neighbours at most `reach` nanoseconds apart are in one span; `None` joins all.
    pub fn new(reach: Option<i128>) -> Self {
        // Neighbours a nanosecond apart touch.
        Self { reach, set: Coverage::new(reach.unwrap_or(i128::MAX / 4) - 1) }
    }

    /// Adds one row at an event time. Constant time while rows fall into the span of the row before, or next to it.
    #[inline]
    pub fn add(&mut self, at: i128) {
        self.set.add(at, at + 1, 1);
    }

    /// Adds rows that lie in one span already: each at most the reach from those before it.
    #[inline]
    pub fn add_span(&mut self, span: TimeSpan) {
        self.set.add(span.first, span.last + 1, span.rows);
    }

    /// Neighbours at most so many nanoseconds apart are in one span.
    pub fn reach(&self) -> Option<i128> {
        self.reach
    }

    /// Adds all of another coverage with the same reach.
    pub fn merge(&mut self, other: Self) {
        self.set.merge(other.set);
    }

    /// Spans that are held beyond the one that took the last row.
    pub fn breaks(&self) -> usize {
        self.set.breaks()
    }

    /// True when there were more spans than are kept.
    pub fn is_lost(&self) -> bool {
        self.set.is_lost()
    }

    /// The spans in order of time.
    pub fn spans(&self) -> Vec<TimeSpan> {
        self.set.spans().into_iter().map(|span| TimeSpan { first: span.from, last: span.until - 1, rows: span.rows }).collect()
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

/// How often numbers came again: disjoint intervals, each with one number of times.
#[derive(Debug, Clone, Default)]
struct Repeats {
    /// from → (until, times).
    counts: BTreeMap<i128, (i128, u64)>,
}

impl Repeats {
    /// All numbers of an interval came so many times more. Costs the intervals that it meets, not the numbers.
    fn add(&mut self, from: i128, until: i128, times: u64) {
        if from >= until || times == 0 {
            return;
        }
        self.split(from);
        self.split(until);
        let mut at = from;
        let held: Vec<(i128, i128)> = self.counts.range(from..until).map(|(&from, &(until, _))| (from, until)).collect();
        for (start, end) in held {
            if at < start {
                self.counts.insert(at, (start, times));
            }
            if let Some((_, known)) = self.counts.get_mut(&start) {
                *known += times;
            }
            at = end;
        }
        if at < until {
            self.counts.insert(at, (until, times));
        }
        self.heal(from);
        self.heal(until);
    }

    /// Cuts the interval that holds a number in two before it.
    fn split(&mut self, at: i128) {
        if let Some((&from, &(until, times))) = self.counts.range(..at).next_back()
            && at < until
        {
            self.counts.insert(from, (at, times));
            self.counts.insert(at, (until, times));
        }
    }

    /// Joins the intervals that meet at a number, where they count the same.
    fn heal(&mut self, at: i128) {
        if let (Some((&before, &(end, mine))), Some(&(until, theirs))) = (self.counts.range(..at).next_back(), self.counts.get(&at))
            && end == at
            && mine == theirs
        {
            self.counts.remove(&at);
            self.counts.insert(before, (until, mine));
        }
    }
}

/// The sequence numbers of a series on one side: which are present, and which came again.
#[derive(Debug, Clone)]
pub struct SequenceCoverage {
    present: Coverage,
    again: Repeats,
    /// The run that took the last number, apart from the others: what it has in common with them is counted when it closes.
    open: Option<SequenceSpan>,
}

impl Default for SequenceCoverage {
    fn default() -> Self {
        Self { present: Coverage::new(0), again: Repeats::default(), open: None }
    }
}

impl SequenceCoverage {
    /// Runs that are held beyond the one that took the last number, those of numbers that came again among them.
    pub fn breaks(&self) -> usize {
        self.present.breaks() + self.again.counts.len()
    }

    /// Adds one row's number. Constant time for the number after the one before.
    #[inline]
    pub fn add(&mut self, number: i128) {
        self.add_range(number, number + 1);
    }

    /// Adds a row that stands for all numbers of `[from, until)`. Constant time where it begins at the end of the one before.
    #[inline]
    pub fn add_range(&mut self, from: i128, until: i128) {
        match &mut self.open {
            Some(open) if open.until == from => open.until = until,
            _ => {
                self.close();
                self.open = Some(SequenceSpan { from, until });
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

    /// True while there is one run at most, and nothing came again.
    fn is_one(&self) -> bool {
        self.present.is_one() && self.present.open.is_none() && self.again.counts.is_empty()
    }

    /// Adds all of another coverage; numbers that both hold came again.
    pub fn merge(&mut self, mut other: Self) {
        if self.is_one() && other.is_one() {
            match (&mut self.open, other.open) {
                (_, None) => return,
                (None, theirs) => {
                    self.open = theirs;
                    return;
                }
                (Some(mine), Some(theirs)) if mine.until == theirs.from => {
                    mine.until = theirs.until;
                    return;
                }
                (Some(mine), Some(theirs)) if theirs.until == mine.from => {
                    mine.from = theirs.from;
                    return;
                }
                _ => {}
            }
        }
        self.close();
        other.close();
        if other.present.is_lost() {
            self.present.merge(other.present);
            return;
        }
        for span in other.present.spans() {
            self.insert(span.from, span.until);
        }
        for (from, (until, times)) in other.again.counts {
            self.again.add(from, until, times);
        }
        self.forget_if_too_many();
    }

    fn insert(&mut self, from: i128, until: i128) {
        // What the two have in common came again.
        if !self.present.is_lost() {
            let before = self.present.spans.range(..=from).next_back().map(|(&start, &(end, _))| (start, end));
            let inside = self.present.spans.range(from + 1..until.max(from + 1)).map(|(&start, &(end, _))| (start, end));
            for (start, end) in before.into_iter().chain(inside).collect::<Vec<_>>() {
                self.again.add(start.max(from), end.min(until), 1);
            }
        }
        self.present.take(Span { from, until, rows: 0 });
        self.forget_if_too_many();
    }

    fn forget_if_too_many(&mut self) {
        if self.again.counts.len() > Coverage::MOST {
            self.present.lose();
        }
        if self.present.is_lost() {
            self.again = Repeats::default();
        }
    }

    /// True when there were more runs than are kept: the numbers must be collected otherwise.
    pub fn is_lost(&self) -> bool {
        self.present.is_lost()
    }

    /// From the first number to the end of the last, also of a coverage that is lost.
    pub fn extent(&self) -> Option<(i128, i128)> {
        let open = self.open.map(|open| (open.from, open.until));
        match (self.present.extent(), open) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        }
    }

    /// The numbers present, as runs in ascending order.
    pub fn spans(&self) -> Vec<SequenceSpan> {
        self.closed().present.spans().into_iter().map(|span| SequenceSpan { from: span.from, until: span.until }).collect()
    }

    /// Maximal runs of neighbouring numbers that came again, in ascending order, with how many rows are too many.
    pub fn repeated(&self) -> Vec<(SequenceSpan, u64)> {
        let mut runs: Vec<(SequenceSpan, u64)> = Vec::new();
        for (&from, &(until, times)) in &self.closed().again.counts {
            let rows = times.saturating_mul(u64::try_from(until - from).unwrap_or(u64::MAX));
            match runs.last_mut() {
                Some((run, known)) if run.until == from => {
                    run.until = until;
                    *known = known.saturating_add(rows);
                }
                _ => runs.push((SequenceSpan { from, until }, rows)),
            }
        }
        runs
    }

    /// The union of two coverages, without regard to what came again.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.close();
        for span in other.spans() {
            self.insert(span.from, span.until);
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

    const AXIS: i128 = 64;

    /// A set as one bit a number, from -AXIS up to AXIS.
    fn bits(set: &Intervals) -> Vec<bool> {
        (-AXIS..AXIS).map(|at| set.contains(at)).collect()
    }

    fn random_set(rng: &mut StdRng) -> Intervals {
        let count = rng.random_range(0..8);
        Intervals::of((0..count).map(|_| {
            let from = rng.random_range(-AXIS..AXIS);
            (from, (from + rng.random_range(0..12)).min(AXIS))
        }))
    }

    #[track_caller]
    fn assert_normal(set: &Intervals, slack: i128) {
        assert!(set.iter().all(|(from, until)| from < until), "{set:?}");
        let all: Vec<_> = set.iter().collect();
        assert!(all.windows(2).all(|pair| pair[1].0 - pair[0].1 > slack), "{set:?}");
    }

    #[test]
    fn the_algebra_is_that_of_bits() {
        for seed in 0..2_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (a, b) = (random_set(&mut rng), random_set(&mut rng));
            let (x, y) = (bits(&a), bits(&b));
            let with = |f: fn(bool, bool) -> bool| x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect::<Vec<_>>();
            for (set, expected) in
                [(a.union(&b), with(|x, y| x || y)), (a.intersection(&b), with(|x, y| x && y)), (a.difference(&b), with(|x, y| x && !y))]
            {
                assert_normal(&set, 0);
                assert_eq!(bits(&set), expected, "seed {seed}: {a:?} {b:?} {set:?}");
            }
            let from = rng.random_range(-AXIS..AXIS);
            let until = rng.random_range(from..=AXIS);
            let rest = a.complement(from, until);
            assert_normal(&rest, 0);
            let expected: Vec<bool> = (-AXIS..AXIS).zip(&x).map(|(at, bit)| from <= at && at < until && !bit).collect();
            assert_eq!(bits(&rest), expected, "seed {seed}: {a:?} in [{from}, {until})");
            // A gap of the set is closed if it is no longer than the slack.
            let slack = rng.random_range(0..6);
            let joined = a.clone().joined(slack);
            assert_normal(&joined, slack);
            let mut expected = x.clone();
            let mut at = 0;
            while at < expected.len() {
                let end = (at..x.len()).find(|&end| x[end]).unwrap_or(x.len());
                let is_inner = at > 0 && end < x.len();
                if !x[at] && is_inner && (end - at) as i128 <= slack {
                    expected[at..end].fill(true);
                }
                at = end.max(at + 1);
            }
            assert_eq!(bits(&joined), expected, "seed {seed}: {a:?} within {slack}");
            assert_eq!(a.length(), x.iter().filter(|bit| **bit).count() as i128);
        }
    }

    #[test]
    fn ranges_count_as_their_numbers_do_in_any_order_and_split() {
        for seed in 0..500 {
            let mut rng = StdRng::seed_from_u64(seed);
            let ranges: Vec<(i128, i128)> = (0..rng.random_range(1..40))
                .map(|_| {
                    let from = rng.random_range(-30..30);
                    (from, from + rng.random_range(1..10))
                })
                .collect();
            let mut parts = vec![SequenceCoverage::default(); rng.random_range(1..4)];
            let count = parts.len();
            for (index, &(from, until)) in ranges.iter().enumerate() {
                parts[index % count].add_range(from, until);
            }
            let merged = parts
                .into_iter()
                .reduce(|mut merged, part| {
                    merged.merge(part);
                    merged
                })
                .unwrap();
            let mut times = [0_u64; 128];
            for &(from, until) in &ranges {
                (from..until).for_each(|number| times[(number + 64) as usize] += 1);
            }
            let mut present = [false; 128];
            merged.spans().iter().for_each(|span| (span.from..span.until).for_each(|n| present[(n + 64) as usize] = true));
            let mut again = [0_u64; 128];
            let mut known = 0;
            for (&from, &(until, times)) in &merged.closed().again.counts {
                (from..until).for_each(|n| again[(n + 64) as usize] = times);
                known += times * (until - from) as u64;
            }
            for at in 0..128 {
                assert_eq!(present[at], times[at] > 0, "seed {seed}");
                assert_eq!(again[at], times[at].saturating_sub(1), "seed {seed}");
            }
            assert_eq!(merged.repeated().iter().map(|(_, rows)| rows).sum::<u64>(), known, "seed {seed}");
        }
    }

    #[test]
    fn numbers_at_the_ends_of_u64_and_i64_are_numbers() {
        let mut coverage = SequenceCoverage::default();
        for number in [i128::from(u64::MAX), i128::from(u64::MAX) - 1, i128::from(i64::MIN)] {
            coverage.add(number);
        }
        let spans: Vec<_> = coverage.spans().iter().map(|span| (span.from, span.until)).collect();
        let (low, high) = (i128::from(i64::MIN), i128::from(u64::MAX));
        assert_eq!(spans, [(low, low + 1), (high - 1, high + 1)]);
    }

    #[test]
    fn a_replay_of_everything_is_one_run_however_long() {
        let mut coverage = SequenceCoverage::default();
        for _ in 0..3 {
            coverage.add_range(0, 1 << 60);
        }
        assert_eq!(coverage.repeated(), [(SequenceSpan { from: 0, until: 1 << 60 }, 2 << 60)]);
        assert_eq!(coverage.closed().again.counts.len(), 1);
    }

    /// The most spans that were there at once while rows came in an order.
    fn peak(order: impl Iterator<Item = i128>) -> usize {
        let mut coverage = TimeCoverage::new(Some(1));
        let mut most = 0;
        for at in order {
            coverage.add(at);
            most = most.max(coverage.set.spans.len());
        }
        assert_eq!(coverage.spans().len(), 1, "without a gap there is one span in the end");
        most
    }

    #[test]
    fn random_order_passes_through_a_quarter_of_the_rows() {
        const ROWS: i128 = 100_000;
        assert_eq!(peak(0..ROWS), 0);
        assert_eq!(peak((0..ROWS).rev()), 0);
        // Eight files read in turns, each in order.
        assert!(peak((0..ROWS).map(|at| at % 8 * (ROWS / 8) + at / 8)) <= 8);
        let mut shuffled: Vec<i128> = (0..ROWS).collect();
        shuffled.shuffle(&mut StdRng::seed_from_u64(1));
        let random = peak(shuffled.into_iter());
        assert!((ROWS as usize * 24 / 100..=ROWS as usize * 26 / 100).contains(&random), "{random}");
    }

    #[test]
    fn a_set_that_outgrows_its_room_says_so_and_keeps_its_extent() {
        let mut coverage = SequenceCoverage::default();
        let most = Coverage::MOST as i128;
        (0..=most + 1).for_each(|number| coverage.add(2 * number));
        assert!(coverage.is_lost());
        assert_eq!(coverage.extent(), Some((0, 2 * most + 3)));
        let mut other = SequenceCoverage::default();
        other.add(7);
        other.merge(coverage);
        assert!(other.is_lost() && other.spans().is_empty());
    }
}
