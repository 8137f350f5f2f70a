//! What a sequence says of a hole: how many numbers are missing between the row before it and the row after it.
//!
//! ```text
//! row before it     41 ──► hole ──► 49     row after it
//! missing numbers        [42, 49)          those of the gaps of the sequence that lie between the two, as they were weighed:
//!                                          by the step, as ranges, and without offsets that the log left out
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::holes::{SeriesNames, is_loss};
use super::words::counted;
use crate::checks::continuity::{Continuity, Range, Whose};
use crate::job::{SequenceKind, Stream};

/// A gap of the sequence: its ends, and the numbers lost in it and in all gaps before it.
#[derive(Debug, Clone, Copy)]
struct Missing {
    from: i128,
    until: i128,
    before: i128,
    lost: i128,
}

/// The gaps of the sequence of each series.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    step: i128,
    /// Offsets of a log, some of which are skipped.
    is_log: bool,
    gaps: BTreeMap<(usize, Whose), Vec<Missing>>,
    /// False where the sequence of some series was not judged: then nobody knows which of its numbers are missing.
    judged: bool,
    /// Series with a counter that starts again: a number says there which row it is, and not which counter it belongs to.
    restarted: BTreeSet<usize>,
}

/// What the numbers of two rows say of what lies between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jump {
    /// The last number before, and the first after.
    pub(super) before: i128,
    pub(super) after: i128,
    /// Numbers that are missing between the two; fewer than none where the sequence falls.
    pub(super) missing: i128,
    /// What is left out is no loss.
    skipped: bool,
}

impl Jump {
    /// What it says, in words.
    pub(super) fn words(&self) -> String {
        let Self { before, after, missing, skipped } = self;
        match *missing {
            0 if *skipped => format!("the sequence goes on from {before} to {after}, and skipped what is between: no row is missing"),
            0 => format!("the sequence goes on from {before} to {after}: no number is missing"),
            1.. => {
                let missing = counted(u64::try_from(*missing).unwrap_or(u64::MAX), "number");
                format!("the sequence jumps from {before} to {after}: {missing} missing")
            }
            _ => format!("the sequence falls from {before} to {after}"),
        }
    }
}

impl Numbers {
    pub(super) fn new(stream: &Stream, judged: bool, facts: &Continuity, names: &mut SeriesNames) -> Self {
        let is_log = stream.sequence_kind == SequenceKind::KafkaOffset;
        Self { judged, ..Self::of(stream.sequence_step, is_log, facts, names) }
    }

    fn of(step: i128, is_log: bool, facts: &Continuity, names: &mut SeriesNames) -> Self {
        let mut numbers = Self { step: step.max(1), is_log, judged: true, ..Self::default() };
        for fact in facts.sequences.iter().filter(|fact| fact.kind == "reset") {
            numbers.restarted.insert(names.add(&fact.series));
        }
        for gap in &facts.gaps {
            let (Range::Sequence(from, until), true) = (gap.range, is_loss(gap)) else { continue };
            let missing = Missing { from, until, before: 0, lost: gap.missing_estimate.max(0) };
            numbers.gaps.entry((names.add(&gap.series), gap.whose)).or_default().push(missing);
        }
        for gaps in numbers.gaps.values_mut() {
            gaps.sort_by_key(|gap| gap.from);
            let mut before = 0;
            for gap in gaps {
                gap.before = before;
                before += gap.lost;
            }
        }
        numbers
    }

    /// What lies between two rows, each with its first and its last number; `own` rows of the series lie between them. `None` where the
    /// sequence was not judged.
    pub(super) fn between(&self, series: usize, whose: Whose, (before, after): ((i128, i128), (i128, i128)), own: u64) -> Option<Jump> {
        if !self.judged {
            return None;
        }
        let (last, first) = (before.1, after.0);
        let jump = |missing| Jump { before: last, after: first, missing, skipped: self.is_log && missing == 0 && first - last > self.step };
        // Rows inside that the series has do not miss their numbers.
        let apart = (first - last).div_euclid(self.step) - 1 - i128::from(own);
        if first <= last || self.restarted.contains(&series) {
            return Some(Jump { skipped: false, ..jump(apart) });
        }
        let gaps = self.gaps.get(&(series, whose)).map_or(&[][..], Vec::as_slice);
        // A row whose number is none of the sequence may stand in the midst of a gap.
        let (start, end) = (gaps.partition_point(|gap| gap.from < last), gaps.partition_point(|gap| gap.until <= first));
        let inside = gaps.get(start..end).unwrap_or_default();
        let missing = inside.first().zip(inside.last()).map_or(0, |(first, last)| last.before + last.lost - first.before);
        // A row inside may have come early or late, and hold a number between the two.
        Some(jump(missing))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checks::continuity::GapFact;
    use crate::domain::Side;

    const OWN: Whose = Whose::One(Side::Original);

    fn numbers(step: i128, gaps: &[(i128, i128, i128, &'static str)]) -> (Numbers, usize) {
        let series: Arc<str> = Arc::from("{}");
        let gap = |(from, until, lost, status): &(i128, i128, i128, &'static str)| GapFact {
            series: series.clone(),
            whose: OWN,
            range: Range::Sequence(*from, *until),
            missing_estimate: *lost,
            status,
            judged: *status == "open",
        };
        let facts = Continuity { gaps: gaps.iter().map(gap).collect(), ..Continuity::default() };
        let mut names = SeriesNames::default();
        (Numbers::of(step, true, &facts, &mut names), names.add("{}"))
    }

    #[test]
    fn what_is_missing_is_what_the_gaps_say() {
        // Steps of ten, ranges, and offsets that the log left out.
        for (step, gaps, rows, missing) in [
            (1, vec![(42, 49, 7, "open")], ((41, 41), (49, 49)), 7),
            (1, vec![(42, 49, 7, "open")], ((49, 49), (50, 50)), 0),
            (10, vec![(40, 60, 2, "open")], ((30, 30), (60, 60)), 2),
            (10, vec![], ((30, 30), (40, 40)), 0),
            (1, vec![(21, 26, 5, "open")], ((11, 20), (26, 30)), 5),
            (1, vec![], ((1, 10), (11, 20)), 0),
            (1, vec![(39, 50, 9, "open"), (59, 60, 1, "skipped")], ((38, 38), (50, 50)), 9),
            (1, vec![(39, 50, 9, "open"), (59, 60, 1, "skipped")], ((58, 58), (60, 60)), 0),
            (1, vec![(5, 6, 1, "open"), (39, 50, 9, "filled"), (70, 80, 10, "open")], ((4, 4), (60, 60)), 10),
        ] {
            let (numbers, series) = numbers(step, &gaps);
            assert_eq!(numbers.between(series, OWN, rows, 0).unwrap().missing, missing, "{gaps:?} {rows:?}");
            assert_eq!(Numbers { judged: false, ..numbers }.between(series, OWN, rows, 0), None);
        }
        let (skipping, series) = numbers(1, &[(59, 60, 1, "skipped")]);
        let words = skipping.between(series, OWN, ((58, 58), (60, 60)), 0).unwrap().words();
        assert!(words.contains("no row is missing"), "{words}");
        assert!(skipping.between(series, OWN, ((9, 9), (3, 3)), 0).unwrap().missing < 0);
        // Off its step, in the midst of a gap.
        let (stepped, series) = numbers(10, &[(40, 100, 6, "open")]);
        assert_eq!(stepped.between(series, OWN, ((75, 75), (80, 80)), 0).unwrap().missing, 0);
    }
}
