//! What was due: which silences are gaps, which were planned, which are too young to be judged, and which windows hold too few rows.
//!
//! ```text
//! silence     [──────────────────────────────────────)
//! calendar    ──due──)            [────due────────────────
//! planned                             [──)
//! young                                         [──────────
//! gaps        [──────)            [──)   [──────)             what is left of the silence, piece by piece
//! ```

use std::collections::BTreeMap;

use super::continuity::{Measure, Range};
use super::screen::SeriesScreen;
use crate::domain::{Bounds, Expectation, Instant, Intervals, Profile, Side, Window, Windowing};
use crate::job::{ContinuitySpec, Expect, Stream};

/// Windows of a series that are looked at one by one at most.
const MOST_WINDOWS: usize = 2_000_000;
const HOUR: i128 = 3_600_000_000_000;
const DAY: i128 = 24 * HOUR;

/// A silence that is longer than the measure allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    pub(super) from: i128,
    pub(super) until: i128,
    /// The last row before it.
    pub(super) before: Option<i128>,
    /// The first row after it.
    pub(super) after: Option<i128>,
    /// Rows, or windows, that are missing.
    pub(super) missing: i128,
}

/// A piece of a silence, with what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) range: Range,
    pub(super) missing: i128,
    /// `open`, `planned`, `pending`, `unjudged`.
    pub(super) status: &'static str,
}

/// A window with fewer rows than it should hold.
#[derive(Debug, Clone)]
pub struct LowWindow {
    pub kind: &'static str,
    pub series: String,
    pub whose: &'static str,
    pub window: Window,
    pub rows: u64,
    pub expected: f64,
    pub chance: Option<f64>,
}

/// What the job says of when data is due.
#[derive(Debug)]
pub(super) struct Due<'a> {
    spec: &'a ContinuitySpec,
    /// From here on rows may still come.
    young: Option<i128>,
}

impl<'a> Due<'a> {
    /// `latest` is the latest event time of the stream.
    pub(super) fn new(stream: &'a Stream, latest: Option<i128>) -> Self {
        let spec = &stream.continuity;
        let young = spec.grace.zip(latest).map(|(grace, latest)| latest - grace.nanos());
        Self { spec, young }
    }

    /// From when on nothing is judged yet.
    pub(super) fn young(&self) -> Option<i128> {
        self.young
    }

    /// What of a range is planned to be interrupted.
    fn planned(&self, from: i128, until: i128) -> Intervals {
        Intervals::of(self.spec.maintenance.iter().flat_map(|planned| planned.within(from, until).iter().collect::<Vec<_>>()))
    }

    fn is_plain(&self) -> bool {
        self.spec.calendar.is_none()
            && self.spec.maintenance.is_empty()
            && self.young.is_none()
            && self.spec.expect != Some(Expect::Profile)
    }

    /// What a silence comes to.
    pub(super) fn pieces(&self, measure: &Measure<'_>, silence: &Silence, profile: Option<&SeriesProfile>) -> Vec<Piece> {
        let mut pieces = self.due_pieces(measure, silence, profile);
        if let (Measure::Windows(_), Some(Expect::Rows(rows))) = (measure, self.spec.expect) {
            // Each of the windows lacks so many at least.
            pieces.iter_mut().for_each(|piece| piece.missing *= i128::from(rows.max(1)));
        }
        pieces
    }

    fn due_pieces(&self, measure: &Measure<'_>, silence: &Silence, profile: Option<&SeriesProfile>) -> Vec<Piece> {
        let whole = Piece { range: Range::Time(silence.from, silence.until), missing: silence.missing, status: "open" };
        if self.is_plain() {
            return vec![whole];
        }
        let mut due = Intervals::one(silence.from, silence.until);
        if let Some(calendar) = &self.spec.calendar {
            if let (Measure::Cadence(step), Some(t), Some(u)) = (measure, silence.before, silence.after)
                && calendar.due(t, u).length() <= step.reach(t)
            {
                return Vec::new();
            }
            due = calendar.due(silence.from, silence.until);
        }
        let planned = self.planned(silence.from, silence.until);
        let judged = Intervals::one(i128::MIN, self.young.unwrap_or(i128::MAX));
        let mut pieces = Vec::new();
        for (set, status) in [
            (due.difference(&planned).intersection(&judged), "open"),
            (due.difference(&planned).difference(&judged), "pending"),
            (due.intersection(&planned), "planned"),
        ] {
            for (from, until) in set.iter() {
                let missing = missing_in(measure, silence, from, until);
                match (profile, status) {
                    (Some(profile), "open") => pieces.extend(profile.improbable(self, from, until)),
                    // What is shown without being judged may be shorter than a step.
                    _ if missing >= 1 || status != "open" => {
                        pieces.push(Piece { range: Range::Time(from, until), missing: missing.max(0), status });
                    }
                    _ => {}
                }
            }
        }
        pieces.sort_by_key(|piece| piece.range.ends());
        pieces
    }

    /// The share of a window in which data is due, and whether all of it can be judged.
    fn share(&self, window: Window) -> (f64, bool) {
        let whole = Intervals::one(window.start.0, window.end.0);
        let due = self.spec.calendar.as_ref().map_or(whole, |calendar| calendar.due(window.start.0, window.end.0));
        let length = (window.end.0 - window.start.0).max(1);
        let judged = due.intersection(&self.planned(window.start.0, window.end.0)).is_empty()
            && self.young.is_none_or(|young| window.end.0 <= young);
        (due.length() as f64 / length as f64, judged)
    }
}

/// Rows, or windows, that are missing in a piece of a silence.
fn missing_in(measure: &Measure<'_>, silence: &Silence, from: i128, until: i128) -> i128 {
    match measure {
        Measure::Cadence(step) => {
            match ((from == silence.from).then_some(silence.before), (until == silence.until).then_some(silence.after)) {
                (Some(_), Some(_)) => silence.missing,
                (Some(Some(t)), None) => step.missing_after(t, until),
                (None, Some(Some(u))) => step.missing_before(from, u),
                _ => step.due_within(from, until),
            }
        }
        Measure::Windows(windowing) => {
            let width = windowing.width().nanos();
            ((2 * (until - from) + width).div_euclid(2 * width)).max(1)
        }
        Measure::None => 0,
    }
}

/// The counts of a series, and what is expected of its hours.
pub(super) struct SeriesProfile {
    profile: Profile,
    windowing: Windowing,
    rate: f64,
}

/// The hour of the week in which a window begins, from Monday midnight on the wall clock; of windows of whole days, the day's first.
fn hour_of(windowing: Windowing, window: Window) -> u32 {
    // 1970-01-05 was a Monday.
    let wall = windowing.wall_of(window.start) - 4 * DAY;
    let hour = if windowing.width().nanos() % DAY == 0 { wall.div_euclid(DAY) * 24 } else { wall.div_euclid(HOUR) };
    u32::try_from(hour.rem_euclid(168)).unwrap_or(0)
}

/// The windows from one instant to another, in order.
fn windows_between(windowing: Windowing, from: i128, until: i128) -> impl Iterator<Item = Window> {
    let first = (from < until).then(|| windowing.window_of(Instant(from)));
    std::iter::successors(first, move |window| (window.end.0 < until).then(|| windowing.window_of(window.end))).take(MOST_WINDOWS)
}

impl SeriesProfile {
    /// From the counts of a series in windows that are whole, due at least in part, and outside the outage.
    pub(super) fn learn(stream: &Stream, due: &Due<'_>, windowing: Windowing, series: &SeriesScreen) -> Self {
        let outage = stream.outage.map(|outage| (outage.from.map_or(i128::MIN, |at| at.0), outage.until.map_or(i128::MAX, |at| at.0)));
        let (from, until) = whole_windows(stream.bounds, windowing, series.extent).unwrap_or((0, 0));
        let healthy = windows_between(windowing, from, until).filter(|window| {
            let (share, judged) = due.share(*window);
            share > 0.0 && judged && outage.is_none_or(|(from, until)| window.end.0 <= from || until <= window.start.0)
        });
        let counts = healthy.map(|window| {
            let rows = series.windows.get(Some(window.start.0)).rows;
            (hour_of(windowing, window), rows)
        });
        Self { profile: Profile::learn(counts), windowing, rate: due.spec.false_alarms }
    }

    /// What a window should hold between two instants. An hour of the week that is due in part has had rows in that part only. Windows that are due
    /// wholly are expected to hold what their length says: days of 23 and 25 hours are shorter and longer than others.
    fn expected(&self, due: &Due<'_>, window: Window, from: i128, until: i128) -> Option<Expectation> {
        let part = Window { start: window.start.max(Instant(from)), end: window.end.min(Instant(until)) };
        let length = |window: Window| (window.end.0 - window.start.0).max(0) as f64;
        let due_length = |window: Window| due.share(window).0 * length(window);
        let whole = due_length(window);
        let stretched = if whole < length(window) { 1.0 } else { length(window) / self.windowing.width().nanos() as f64 };
        let share = if whole > 0.0 { due_length(part) / whole } else { 0.0 };
        self.profile.expected(hour_of(self.windowing, window), share * stretched)
    }

    /// A run of empty windows is a gap if all of them together had so few rows by chance only at the stated rate. It begins and ends with windows that
    /// would rather have rows than none.
    fn improbable(&self, due: &Due<'_>, from: i128, until: i128) -> Option<Piece> {
        let mut known = Vec::new();
        let mut unknown = 0_i128;
        for window in windows_between(self.windowing, from, until) {
            match self.expected(due, window, from, until) {
                Some(expected) => known.push((window, expected)),
                None => unknown += 1,
            }
        }
        if known.is_empty() {
            return (unknown > 0).then_some(Piece { range: Range::Time(from, until), missing: unknown, status: "unjudged" });
        }
        let chance: f64 = known.iter().map(|(_, expected)| expected.chance_of_at_most(0).ln()).sum();
        if chance.exp() > self.rate {
            return None;
        }
        let likely = |(_, expected): &&(Window, Expectation)| expected.chance_of_at_most(0) < 0.5;
        // Where no single window says it, the whole run does.
        let (first, last) = (known.iter().find(likely).or(known.first())?, known.iter().rfind(likely).or(known.last())?);
        let (start, end) = (first.0.start.0.max(from), last.0.end.0.min(until));
        let inside = known.iter().filter(|(window, _)| start < window.end.0 && window.start.0 < end);
        let rows: f64 = inside.map(|(_, expected)| expected.mean).sum();
        Some(Piece { range: Range::Time(start, end), missing: (rows.round() as i128).max(1), status: "open" })
    }
}

/// From the start of the first window to the end of the last that lie wholly in the bounds; without bounds those that the first and the last row cut are
/// left out.
fn whole_windows(bounds: Bounds, windowing: Windowing, extent: Option<(i128, i128)>) -> Option<(i128, i128)> {
    let (first, last) = extent?;
    let from = match bounds.from {
        Some(from) => {
            let window = windowing.window_of(from);
            if window.start == from { from.0 } else { window.end.0 }
        }
        None => windowing.window_of(Instant(first)).end.0,
    };
    let until = match bounds.until {
        Some(until) => windowing.window_of(until).start.0,
        None => windowing.window_of(Instant(last)).start.0,
    };
    (from < until).then_some((from, until))
}

/// Who is judged, with the rows of each window; of both sides together what both hold is counted once.
pub(super) struct Judged<'a> {
    pub(super) whose: &'static str,
    pub(super) rows: BTreeMap<i128, u64>,
    /// Stretches that are gaps already.
    pub(super) gaps: &'a Intervals,
    /// The original's rows of each window.
    pub(super) original: Option<&'a BTreeMap<i128, u64>>,
}

/// The windows that hold fewer rows than they should, and how many could not be judged.
pub(super) fn low_windows(
    stream: &Stream,
    due: &Due<'_>,
    windowing: Windowing,
    label: &str,
    extent: Option<(i128, i128)>,
    judged: &Judged<'_>,
    profile: Option<&SeriesProfile>,
) -> (Vec<LowWindow>, u64) {
    let (mut low, mut unknown) = (Vec::new(), 0);
    let Some((from, until)) = whole_windows(stream.bounds, windowing, extent) else { return (low, unknown) };
    for window in windows_between(windowing, from, until) {
        let rows = judged.rows.get(&window.start.0).copied().unwrap_or(0);
        let (share, whole) = due.share(window);
        let is_gap = rows == 0 && !judged.gaps.intersection(&Intervals::one(window.start.0, window.end.0)).is_empty();
        if share <= 0.0 || !whole || is_gap {
            continue;
        }
        let mut push = |kind, expected, chance| {
            low.push(LowWindow { kind, series: label.to_string(), whose: judged.whose, window, rows, expected, chance });
        };
        match stream.continuity.expect {
            Some(Expect::Rows(least)) if share >= 1.0 && rows < least => push("rows", least as f64, None),
            Some(Expect::EveryWindow) if rows == 0 => push("every_window", 1.0, None),
            Some(Expect::LikeOriginal) if judged.whose == Side::Backfill.as_str() => {
                let least = judged.original.and_then(|counts| counts.get(&window.start.0)).copied().unwrap_or(0);
                if rows < least {
                    push("like_original", least as f64, None);
                }
            }
            // An empty window is part of a silence, which was judged as a whole.
            Some(Expect::Profile) if rows > 0 => {
                match profile.map(|profile| (profile, profile.expected(due, window, window.start.0, window.end.0))) {
                    Some((profile, Some(expected))) => {
                        let chance = expected.chance_of_at_most(rows);
                        if chance <= profile.rate {
                            push("profile", expected.mean, Some(chance));
                        }
                    }
                    _ => unknown += 1,
                }
            }
            _ => {}
        }
    }
    (low, unknown)
}
