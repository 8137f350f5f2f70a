//! Where live data and backfill meet, hole by hole: the edges at which the backfill joins on, and whether a known outage is covered.
//!
//! ```text
//! live       ────────)                    [──────────
//! backfill      [──────────────────)
//!               begin: overlap     end: gap
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::continuity::{GapFact, Measure, Range, Run, Whose};
use super::differences::Difference;
use super::settle::Localised;
use crate::domain::{Instant, Intervals, Mode};
use crate::error::Result;
use crate::job::Stream;

/// One edge of a stretch of backfill that fills a hole of the original.
#[derive(Debug, Clone)]
pub struct EdgeFact {
    pub series: String,
    /// `begin`: live data ends and the backfill begins. `end`: the backfill ends and live data resumes.
    pub edge: &'static str,
    /// `gap`, `overlap`, `exact`.
    pub kind: &'static str,
    /// The last live row before the hole, or the first after it.
    pub live: Instant,
    /// The first backfill row of the stretch, or its last.
    pub backfill: Instant,
    /// The gap, or the overlap.
    pub range: Option<(Instant, Instant)>,
    /// Keys in the overlap that both sides hold alike, and that they hold differently; `None` where not all of them are listed.
    pub identical: Option<u64>,
    pub conflicting: Option<u64>,
}

/// What is known of a named outage in one series.
#[derive(Debug, Clone)]
pub struct OutageFact {
    pub kind: &'static str,
    pub series: String,
    pub from: Option<Instant>,
    pub until: Option<Instant>,
    pub rows: u64,
    pub before: u64,
    pub after: u64,
}

/// Classes of differences about keys that both sides hold.
pub(super) const SHARED: [&str; 2] = ["duplicate_key", "value_mismatch"];

/// Which keys have come already, among differences in canonical order.
pub(super) struct SeenKeys {
    last: Option<(String, String)>,
    /// All of them, where looking back at the last one is not enough: the differences of a key follow each other in a class, and only there.
    all: Option<BTreeSet<(String, String)>>,
}

impl SeenKeys {
    pub(super) fn new(stream: &Stream, localised: &Localised) -> Self {
        let listed = localised.differences.listed();
        let several = listed.contains_key("duplicate_key") && listed.contains_key("value_mismatch");
        Self { last: None, all: (stream.key.is_none() || several).then(BTreeSet::new) }
    }

    pub(super) fn is_new(&mut self, difference: &Difference) -> bool {
        if self.last.as_ref().is_some_and(|(series, key)| *series == difference.series && *key == difference.key) {
            return false;
        }
        let key = (difference.series.clone(), difference.key.clone());
        let is_new = self.all.as_mut().is_none_or(|all| all.insert(key.clone()));
        self.last = Some(key);
        is_new
    }
}

/// Keys that both sides hold, by series in order of time: when, and whether they agree.
#[derive(Debug)]
pub(super) struct Shared {
    by_series: BTreeMap<String, Vec<(i128, bool)>>,
    complete: bool,
}

impl Shared {
    pub(super) fn of(stream: &Stream, localised: &Localised) -> Result<Self> {
        let mut by_series: BTreeMap<String, Vec<(i128, bool)>> = BTreeMap::new();
        if stream.mode != Mode::Fill {
            return Ok(Self { by_series, complete: true });
        }
        let mut listed = [0_u64; 2];
        let mut seen = SeenKeys::new(stream, localised);
        localised.differences.each(&SHARED, |difference| {
            let agrees = match (difference.class, difference.kind) {
                ("duplicate_key", Some("replay")) => true,
                ("value_mismatch", _) | ("duplicate_key", Some("conflict")) => false,
                _ => return,
            };
            listed[usize::from(agrees)] += 1;
            if let (true, Some(at)) = (seen.is_new(difference), difference.from) {
                by_series.entry(difference.series.clone()).or_default().push((at.0, agrees));
            }
        })?;
        by_series.values_mut().for_each(|keys| keys.sort_unstable());
        let mut found = [0_u64; 2];
        for ((class, kind, _), count) in &localised.found {
            match (*class, *kind) {
                ("duplicate_key", Some("replay")) => found[1] += count,
                ("value_mismatch", _) | ("duplicate_key", Some("conflict")) => found[0] += count,
                _ => {}
            }
        }
        Ok(Self { by_series, complete: found == listed })
    }

    /// Keys that agree, and that do not, in a stretch of time.
    fn within(&self, series: &str, from: i128, until: i128) -> (Option<u64>, Option<u64>) {
        if !self.complete {
            return (None, None);
        }
        let keys = self.by_series.get(series).map_or(&[][..], Vec::as_slice);
        let (first, last) = (keys.partition_point(|(at, _)| *at < from), keys.partition_point(|(at, _)| *at < until));
        let agree = keys[first..last].iter().filter(|(_, agrees)| *agrees).count() as u64;
        (Some(agree), Some((last - first) as u64 - agree))
    }
}

/// The edges of all stretches of backfill that fill a hole of the original in one series.
pub(super) fn edges(measure: Measure<'_>, label: &str, original: &[Run], backfill: &[Run], shared: &Shared) -> Vec<EdgeFact> {
    let mut facts = Vec::new();
    let mut fact = |edge, kind, live: i128, met: i128, range: Option<(i128, i128)>| {
        let overlap = range.filter(|_| kind == "overlap");
        let (identical, conflicting) = match overlap {
            Some((from, until)) => shared.within(label, from, until),
            None => (Some(0), Some(0)),
        };
        facts.push(EdgeFact {
            series: label.to_string(),
            edge,
            kind,
            live: Instant(live),
            backfill: Instant(met),
            range: range.map(|(from, until)| (Instant(from), Instant(until))),
            identical,
            conflicting,
        });
    };
    let joins = |t: &Run, u: &Run| match measure {
        Measure::Cadence(step) => !step.is_gap(t.last, u.first),
        _ => u.from <= t.until,
    };
    let missing = |t: &Run, u: &Run| match measure {
        Measure::Cadence(step) => (step.due_after(t.last, Some(u.first)), u.first),
        _ => (t.until, u.from),
    };
    // Holes lie before the first live run, between two, and after the last.
    for hole in 0..=original.len() {
        let (before, after) = (hole.checked_sub(1).and_then(|at| original.get(at)), original.get(hole));
        let starts = before.map_or(i128::MIN, |run| run.last);
        let ends = after.map_or(i128::MAX, |run| run.first);
        // Runs are in order of time and apart, so those that lie in the hole follow each other.
        let inside = backfill.partition_point(|run| run.last <= starts)..backfill.partition_point(|run| run.first < ends);
        let Some((first, last)) = backfill.get(inside).and_then(|runs| runs.first().zip(runs.last())) else { continue };
        if let Some(live) = before {
            match () {
                () if first.first <= live.last => {
                    let from = first.first.max(live.first);
                    fact("begin", "overlap", live.last, first.first, Some((from, live.last + 1)));
                }
                () if joins(live, first) => fact("begin", "exact", live.last, first.first, None),
                () => fact("begin", "gap", live.last, first.first, Some(missing(live, first))),
            }
        }
        if let Some(live) = after {
            match () {
                () if last.last >= live.first => {
                    let until = last.last.min(live.last);
                    fact("end", "overlap", live.first, last.last, Some((live.first, until + 1)));
                }
                () if joins(last, live) => fact("end", "exact", live.first, last.last, None),
                () => fact("end", "gap", live.first, last.last, Some(missing(last, live))),
            }
        }
    }
    facts
}

/// What of a known outage is still open, series by series.
pub(super) fn open_outage(stream: &Stream, gaps: &[GapFact]) -> Vec<OutageFact> {
    let Some(outage) = stream.outage.filter(|_| stream.mode == Mode::Fill) else { return Vec::new() };
    let (from, until) = (outage.from.map_or(i128::MIN, |at| at.0), outage.until.map_or(i128::MAX, |at| at.0));
    let outage = Intervals::one(from, until);
    let mut open: BTreeMap<&str, (Intervals, u64)> = BTreeMap::new();
    for gap in gaps.iter().filter(|gap| gap.whose == Whose::Recovered && gap.judged) {
        let Range::Time(from, until) = gap.range else { continue };
        let common = Intervals::one(from, until).intersection(&outage);
        if !common.is_empty() {
            let known = open.entry(&gap.series).or_default();
            known.0 = known.0.union(&common);
            known.1 += u64::try_from(gap.missing_estimate).unwrap_or(0);
        }
    }
    let fact = |(series, (set, rows)): (&str, (Intervals, u64))| OutageFact {
        kind: "open",
        series: series.to_string(),
        from: set.iter().next().map(|(from, _)| Instant(from)),
        until: set.iter().next_back().map(|(_, until)| Instant(until)),
        rows,
        before: 0,
        after: 0,
    };
    open.into_iter().map(fact).collect()
}
