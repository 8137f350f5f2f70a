//! Holes: where a series lacks rows, or holds some twice. Gaps of time and of sequence and the rows that a comparison misses are
//! three looks at one thing, and become one hole where they coincide.
//!
//! ```text
//! gap of time           [        )                     what the cadence or the windows say
//! missing rows           · ····· ·                     what the comparison says, exactly
//! gap of sequence     41 [42,    49) 49                what the numbers say
//! hole                  [        )   7 rows, exact     what is diagnosed
//! ```

use std::collections::{BTreeMap, HashMap};

use super::evidence::{Axis, Edge, Evidence, Track};
use super::lateness::Spread;
use super::numbers::Numbers;
use super::refill::Refill;
use super::shift::Shift;
use super::thinning::{Lost, longest_run, stretches};
use super::truncation::truncated;
use super::words::{counted, grouped, percent};
use crate::checks::continuity::{Continuity, GapFact, Range, Whose};
use crate::checks::differences::Difference;
use crate::checks::settle::Localised;
use crate::domain::{Mode, Side};
use crate::error::Result;
use crate::staging::Prepared;

/// What a track is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A gap of time.
    Gap,
    /// Rows that the comparison misses, outside gaps.
    Rows,
    /// A gap of the sequence.
    SequenceGap,
    /// Rows that came again.
    Repeats,
    /// Windows that were empty when they were complete.
    Late,
}

impl Subject {
    /// The public word.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Rows => "rows",
            Self::SequenceGap => "sequence_gap",
            Self::Repeats => "repeats",
            Self::Late => "late_rows",
        }
    }
}

/// What is followed along one track: gaps of time and the rows missed around them are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Time,
    Sequence,
    Repeats,
    Late,
}

impl Subject {
    fn family(self) -> Family {
        match self {
            Self::Gap | Self::Rows => Family::Time,
            Self::SequenceGap => Family::Sequence,
            Self::Repeats => Family::Repeats,
            Self::Late => Family::Late,
        }
    }
}

/// One interval of a track.
#[derive(Debug, Clone)]
struct Element {
    subject: Subject,
    from: i128,
    until: i128,
    /// Rows that are wrong in it: an estimate for a gap.
    rows: u64,
    exact: bool,
    status: &'static str,
    /// Rows that the comparison misses inside a gap.
    missed: u64,
    /// There are more such rows than are listed.
    cut: bool,
    /// Places of rows that were joined to one.
    places: u64,
}

impl Element {
    /// Rows that are wrong: what the comparison counted, or else the estimate.
    fn wrong(&self) -> u64 {
        if self.missed > 0 { self.missed } else { self.rows }
    }
}

/// A track with what its intervals mean.
#[derive(Debug, Clone)]
struct Line {
    family: Family,
    series: usize,
    whose: Whose,
    elements: Vec<Element>,
}

/// The series of a stream, by their label.
#[derive(Debug, Default)]
pub(super) struct SeriesNames {
    pub(super) labels: Vec<String>,
    places: HashMap<String, usize>,
}

impl SeriesNames {
    pub(super) fn place(&self, label: &str) -> Option<usize> {
        self.places.get(label).copied()
    }

    pub(super) fn add(&mut self, label: &str) -> usize {
        if let Some(place) = self.places.get(label) {
            return *place;
        }
        self.places.insert(label.to_string(), self.labels.len());
        self.labels.push(label.to_string());
        self.labels.len() - 1
    }
}

/// All tracks, and the rows that are wrong but have no event time.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
    /// By subject, owner and series.
    timeless: BTreeMap<(Subject, Whose, usize), u64>,
}

/// True for a gap in which rows are missing, whether or not a fill has put them back.
pub(super) fn is_loss(gap: &GapFact) -> bool {
    matches!(gap.status, "open" | "filled" | "partly_filled")
}

/// Classes of differences of which not all are listed.
fn cut_classes(localised: &Localised) -> std::collections::BTreeSet<&'static str> {
    let listed = localised.differences.listed();
    let mut found: BTreeMap<&'static str, u64> = BTreeMap::new();
    localised.found.iter().for_each(|((class, ..), count)| *found.entry(class).or_default() += count);
    found.into_iter().filter(|(class, count)| listed.get(class).is_some_and(|listed| listed < count)).map(|(class, _)| class).collect()
}

/// Places of rows that are told apart at most, before neighbours are joined. It does not follow the memory, so that what is said does not.
const MOST_PLACES: usize = 1 << 18;

/// Intervals that the pass for evidence follows at most, where they can be joined: some 600 bytes for each and reader.
pub(super) const MOST_INTERVALS: usize = 1 << 16;

/// Classes of differences about rows that are missing or repeated.
const LACKING: [&str; 5] = ["duplicate_key", "missing_key", "missing_row", "unexpected_key", "unexpected_row"];

/// Where rows of a series are missing or repeated, as disjoint stretches: from, until, rows, and how many places were joined to it.
#[derive(Debug, Default)]
struct Stretches {
    by_start: BTreeMap<i128, (i128, u64, u64)>,
}

impl Stretches {
    /// Takes rows at a place; true where that is a new stretch.
    fn add(&mut self, at: i128, rows: u64) -> bool {
        if let Some((_, (_, held, places))) = self.by_start.range_mut(..=at).next_back().filter(|(_, (until, ..))| at < *until) {
            *held += rows;
            *places += u64::from(*places > 1);
            return false;
        }
        self.by_start.insert(at, (at + 1, rows, 1));
        true
    }

    /// Makes one of each two neighbours.
    fn join(&mut self) {
        let mut joined: BTreeMap<i128, (i128, u64, u64)> = BTreeMap::new();
        let mut first: Option<(i128, (i128, u64, u64))> = None;
        for (from, (until, rows, places)) in std::mem::take(&mut self.by_start) {
            first = match first {
                None => Some((from, (until, rows, places))),
                Some((start, (_, before, of_them))) => {
                    joined.insert(start, (until, before + rows, of_them + places));
                    None
                }
            };
        }
        joined.extend(first);
        self.by_start = joined;
    }
}

/// The side that lacks what a difference says, or holds it twice.
fn owner(difference: &Difference) -> Option<(Subject, Whose)> {
    match (difference.class, difference.kind, difference.side) {
        ("missing_key" | "missing_row", _, _) => Some((Subject::Rows, Whose::One(Side::Backfill))),
        ("unexpected_key" | "unexpected_row", _, _) => Some((Subject::Rows, Whose::One(Side::Original))),
        ("duplicate_key", Some("surplus"), Some(side)) => Some((Subject::Repeats, Whose::One(side))),
        _ => None,
    }
}

impl Lines {
    /// Everything that the passes found, put on tracks.
    ///
    /// # Errors
    /// Differences that were spilled cannot be read back.
    pub(super) fn new(prepared: &Prepared, facts: &Continuity, localised: &Localised, names: &mut SeriesNames) -> Result<Self> {
        let fill = prepared.stream.mode == Mode::Fill;
        let mut tracks: BTreeMap<(Family, Whose, usize), Vec<Element>> = BTreeMap::new();
        for gap in &facts.gaps {
            // Silence that was planned, is too young, or could not be judged is no loss, and neither are offsets that the log itself left out.
            if !is_loss(gap) {
                continue;
            }
            // What is still open in a fill, the gap of the recovered stream says.
            if fill && gap.whose != Whose::Recovered && gap.status == "open" {
                continue;
            }
            let (subject, from, until) = match gap.range {
                Range::Time(from, until) => (Subject::Gap, from, until),
                Range::Sequence(from, until) => (Subject::SequenceGap, from, until),
            };
            tracks.entry((subject.family(), gap.whose, names.add(&gap.series))).or_default().push(Element {
                subject,
                from,
                until,
                rows: u64::try_from(gap.missing_estimate.max(0)).unwrap_or(u64::MAX),
                exact: subject == Subject::SequenceGap,
                status: gap.status,
                missed: 0,
                cut: false,
                places: 1,
            });
        }
        // When a row of the backfill came says little: it was collected again. What it puts into a gap of the original says when.
        for fact in facts.late_windows() {
            let (Some(window), Some(rows)) = (fact.window, fact.rows[Side::Original.index()]) else { continue };
            let (from, until) = (window.start.0, window.end.0);
            tracks.entry((Family::Late, Whose::One(Side::Original), names.add(&fact.series))).or_default().push(Element {
                subject: Subject::Late,
                from,
                until,
                rows,
                exact: true,
                status: "filled",
                missed: 0,
                cut: false,
                places: 1,
            });
        }
        tracks.values_mut().for_each(|elements| elements.sort_by_key(|element| element.from));
        for elements in tracks.iter_mut().filter(|((family, ..), _)| *family == Family::Late).map(|(_, elements)| elements) {
            elements.dedup_by(|next, last| {
                let follows = last.until == next.from;
                if follows {
                    last.until = next.until;
                    last.rows += next.rows;
                }
                follows
            });
        }
        let mut rows: BTreeMap<(Subject, Whose, usize), Stretches> = BTreeMap::new();
        let mut timeless = BTreeMap::new();
        let cut = cut_classes(localised);
        let mut incomplete: std::collections::BTreeSet<(Family, Whose)> = std::collections::BTreeSet::new();
        let (mut places, mut repeated) = (0, false);
        localised.differences.each(&LACKING, |difference| {
            let Some((subject, whose)) = owner(difference) else { return };
            repeated |= subject == Subject::Repeats;
            if cut.contains(difference.class) {
                incomplete.insert((subject.family(), whose));
            }
            let series = names.add(&difference.series);
            let Some(at) = difference.from else {
                *timeless.entry((subject, whose, series)).or_default() += difference.rows;
                return;
            };
            // A row that is missed inside a gap makes the gap's count exact.
            if let (Subject::Rows, Some(gaps)) = (subject, tracks.get_mut(&(Family::Time, whose, series))) {
                let next = gaps.partition_point(|gap| gap.until <= at.0);
                if let Some(gap) = gaps.get_mut(next).filter(|gap| gap.from <= at.0) {
                    gap.missed += difference.rows;
                    return;
                }
            }
            places += usize::from(rows.entry((subject, whose, series)).or_default().add(at.0, difference.rows));
            if places > MOST_PLACES.max(4 * rows.len()) {
                rows.values_mut().for_each(Stretches::join);
                places = rows.values().map(|stretches| stretches.by_start.len()).sum();
            }
        })?;
        for ((subject, whose, series), stretches) in rows {
            let element = |(from, (until, rows, places))| Element {
                subject,
                from,
                until,
                rows,
                exact: true,
                status: "open",
                missed: rows,
                cut: false,
                places,
            };
            let track = tracks.entry((subject.family(), whose, series)).or_default();
            track.extend(stretches.by_start.into_iter().map(element));
            track.sort_by_key(|element| element.from);
        }
        // Where the list of differences was cut, there are more rows than are listed.
        for ((family, whose, _), elements) in &mut tracks {
            if incomplete.contains(&(*family, *whose)) {
                for element in elements.iter_mut().filter(|element| element.missed > 0) {
                    (element.exact, element.cut) = (false, true);
                }
            }
        }
        // Numbers that came again say what repeated keys say, where there are any.
        if !repeated {
            for fact in facts.sequences.iter().filter(|fact| fact.kind == "duplicate") {
                let series = names.add(&fact.series);
                *timeless.entry((Subject::Repeats, Whose::One(fact.side), series)).or_default() += fact.rows;
            }
        }
        let lines = tracks.into_iter().map(|((family, whose, series), elements)| Line { family, series, whose, elements }).collect();
        Ok(Self { lines, timeless })
    }

    /// Joins neighbouring rows until no more than so many intervals are left, if it can: survivors inside are counted, and no longer where they
    /// lie. What there is room for does not follow the memory, so that what is said does not.
    pub(super) fn fit(&mut self, most: usize) {
        let size = |lines: &[Line]| lines.iter().map(|line| line.elements.len()).sum::<usize>();
        let mut before = usize::MAX;
        while size(&self.lines) > most && size(&self.lines) < before {
            before = size(&self.lines);
            for line in &mut self.lines {
                let mut joined: Vec<Element> = Vec::with_capacity(line.elements.len() / 2 + 1);
                let mut whole = true;
                for element in line.elements.drain(..) {
                    let row = matches!(element.subject, Subject::Rows | Subject::Repeats);
                    match joined.last_mut() {
                        Some(last) if !whole && row && last.subject == element.subject => {
                            last.until = element.until;
                            last.rows += element.rows;
                            last.missed += element.missed;
                            last.places += element.places;
                            whole = true;
                        }
                        _ => {
                            joined.push(element);
                            whole = false;
                        }
                    }
                }
                line.elements = joined;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.timeless.is_empty()
    }

    /// What the pass for evidence follows.
    pub(super) fn tracks(&self) -> Vec<Track> {
        self.lines
            .iter()
            .map(|line| Track {
                series: line.series,
                whose: line.whose,
                axis: if line.family == Family::Sequence { Axis::Sequence } else { Axis::Time },
                intervals: line.elements.iter().map(|element| (element.from, element.until)).collect(),
            })
            .collect()
    }
}

/// An interval with what stands around it.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) subject: Subject,
    pub(super) from: Option<i128>,
    pub(super) until: Option<i128>,
    pub(super) numbers: Option<(i128, i128)>,
    pub(super) rows: u64,
}

/// A place in which a series lacks rows, or holds some twice, with its cause.
#[derive(Debug, Clone)]
pub(super) struct Hole {
    pub(super) subject: Subject,
    pub(super) series: usize,
    pub(super) whose: Whose,
    pub(super) status: &'static str,
    pub(super) from: Option<i128>,
    pub(super) until: Option<i128>,
    pub(super) numbers: Option<(i128, i128)>,
    pub(super) pieces: Vec<Piece>,
    pub(super) rows: u64,
    pub(super) exact: bool,
    pub(super) cause: &'static str,
    pub(super) evidence: String,
    pub(super) file: Option<String>,
    edge: Edge,
    /// How late the rows inside came.
    late: [Spread; 2],
    /// Rows of the comparison that are missed inside.
    missed: u64,
    thinned: Option<(u64, u64, usize)>,
    moved: bool,
    /// There are more such rows than are listed.
    cut: bool,
}

impl Hole {
    /// True where nothing but the measure of time says how many rows are missing.
    pub(super) fn is_estimate(&self) -> bool {
        !self.exact && self.missed == 0
    }
}

/// Names of the files of a side, for evidence.
pub(super) fn file_names(prepared: &Prepared, side: Side) -> Vec<String> {
    prepared.side(side).map(|opened| opened.files.iter().map(|file| file.relative.clone()).collect()).unwrap_or_default()
}

/// Where rows may lie whose local time cannot be told, by series and side: from, until (inclusive), and how many.
pub(super) type Untold = HashMap<(usize, Side), Vec<(i128, i128, u64)>>;

/// Rows that may lie in a hole, as far as their local times tell.
fn may_lie_in(hole: &Hole, untold: &Untold) -> u64 {
    let (Some(from), Some(until)) = (hole.from, hole.until) else { return 0 };
    let sides = Side::BOTH.into_iter().filter(|side| hole.whose == Whose::Recovered || hole.whose == Whose::One(*side));
    let rows = sides.flat_map(|side| untold.get(&(hole.series, side)).into_iter().flatten());
    rows.filter(|(first, last, _)| *first < until && from <= *last).map(|(_, _, rows)| rows).sum()
}

/// Makes holes of the tracks and finds the cause of each.
pub(super) fn holes(
    prepared: &Prepared,
    lines: &Lines,
    evidence: &Evidence,
    (moved, refill): (Option<&Shift>, Option<&Refill>),
    numbers: &Numbers,
    untold: &Untold,
    names: &SeriesNames,
) -> Vec<Hole> {
    let went = Went::new(moved);
    let mut holes: Vec<Hole> = Vec::new();
    let mut numbered: Vec<Hole> = Vec::new();
    for (line, seen) in lines.lines.iter().zip(&evidence.tracks) {
        if line.family == Family::Late {
            holes.extend((0..line.elements.len()).map(|at| {
                let mut hole = hole(line, &[at], Edge::default(), None, false);
                hole.late = seen.late.get(&at).cloned().unwrap_or_default();
                hole
            }));
            continue;
        }
        let mut rest: Vec<(usize, u64)> = Vec::new();
        let mut gone: Vec<usize> = Vec::new();
        let mut survivors = 0;
        for (at, element) in line.elements.iter().enumerate() {
            survivors += seen.between.get(at).copied().unwrap_or(0);
            if went.took(line, element, seen.edges.get(at)) {
                gone.push(at);
            } else {
                rest.push((at, survivors));
                survivors = 0;
            }
        }
        let edge = |at: usize| seen.edges.get(at).copied().unwrap_or_default();
        let into = if line.family == Family::Sequence { &mut numbered } else { &mut holes };
        if let (Some(first), Some(last)) = (gone.first(), gone.last()) {
            let around = Edge { before: edge(*first).before, after: edge(*last).after, ..Edge::default() };
            into.push(hole(line, &gone, around, None, true));
        }
        let runs: Vec<Lost> = rest.iter().map(|(at, survivors)| lost(line, *at, *survivors, seen.edges.get(*at))).collect();
        for stretch in stretches(&runs) {
            let places: Vec<usize> = rest[stretch.first..=stretch.last].iter().map(|(at, _)| *at).collect();
            let (Some(first), Some(last)) = (places.first(), places.last()) else { continue };
            let mut around = Edge { before: edge(*first).before, after: edge(*last).after, ..Edge::default() };
            for at in &places {
                let edge = edge(*at);
                around.inside[0] += edge.inside[0];
                around.inside[1] += edge.inside[1];
                edge.other.into_iter().for_each(|(first, last)| around.offer_inside(first, last));
            }
            let runs = stretch.runs_between(&runs);
            let thinned = stretch.thinned.then_some((stretch.survivors, stretch.lost, runs));
            let mut hole = hole(line, &places, around, thinned, false);
            for late in places.iter().filter_map(|at| seen.late.get(at)) {
                hole.late.iter_mut().zip(late).for_each(|(mine, theirs)| mine.merge(theirs));
            }
            into.push(hole);
        }
    }
    for ((subject, whose, series), rows) in &lines.timeless {
        let line = Line {
            family: subject.family(),
            series: *series,
            whose: *whose,
            elements: vec![Element {
                subject: *subject,
                from: 0,
                until: 0,
                rows: *rows,
                exact: true,
                status: "open",
                missed: *rows,
                cut: false,
                places: 1,
            }],
        };
        let mut hole = hole(&line, &[0], Edge::default(), None, false);
        (hole.from, hole.until) = (None, None);
        hole.pieces.iter_mut().for_each(|piece| (piece.from, piece.until) = (None, None));
        holes.push(hole);
    }
    join_numbers(&mut holes, numbered);
    for hole in &mut holes {
        match may_lie_in(hole, untold) {
            rows if rows > 0 && matches!(hole.subject, Subject::Gap | Subject::SequenceGap) => {
                let rows = counted(rows, "row");
                hole.evidence = format!("{rows} of the series have a local time that comes twice or never, and may lie there");
            }
            _ => settle(prepared, evidence, (moved, refill), numbers, hole),
        }
    }
    thin_along(&mut holes);
    rest_of(&mut holes);
    holes.sort_by(|a, b| {
        let order = |hole: &Hole| (hole.from, hole.until, hole.numbers, hole.subject, hole.whose);
        order(a).cmp(&order(b)).then_with(|| names.labels[a.series].cmp(&names.labels[b.series]))
    });
    holes
}

/// What is lost in an interval. Where places were joined, the owner's rows between them survived.
fn lost(line: &Line, at: usize, survivors_before: u64, edge: Option<&Edge>) -> Lost {
    let element = &line.elements[at];
    let inside = match (line.whose, edge) {
        // Rows that came again lie in it themselves.
        (Whose::One(side), Some(edge)) if element.places > 1 && element.subject == Subject::Repeats => {
            edge.inside[side.index()].saturating_sub(element.rows + element.places)
        }
        (Whose::One(side), Some(edge)) if element.places > 1 => edge.inside[side.index()],
        _ => 0,
    };
    Lost { rows: element.wrong().max(1), survivors_before, places: element.places, inside }
}

/// Which rows moved, by series and time.
struct Went {
    from: BTreeMap<(usize, i128), u64>,
    to: BTreeMap<(usize, i128), u64>,
}

impl Went {
    fn new(moved: Option<&Shift>) -> Self {
        let mut went = Self { from: BTreeMap::new(), to: BTreeMap::new() };
        for (series, from, to) in moved.iter().flat_map(|shift| &shift.pairs) {
            let series = series.unwrap_or(0);
            *went.from.entry((series, *from)).or_default() += 1;
            *went.to.entry((series, *to)).or_default() += 1;
        }
        went
    }

    /// True when most of the rows of an interval are elsewhere. A gap begins a cadence behind its last row, so that rows which came early and
    /// went away stood before it: behind the last row that is there.
    fn took(&self, line: &Line, element: &Element, edge: Option<&Edge>) -> bool {
        let times = match (line.family, line.whose) {
            (Family::Time, Whose::One(Side::Backfill)) => &self.from,
            (Family::Time, Whose::One(Side::Original)) => &self.to,
            _ => return false,
        };
        if times.is_empty() {
            return false;
        }
        let last = edge.and_then(|edge| edge.before).map_or(element.from, |point| point.at + 1);
        let inside = times.range((line.series, last.min(element.from))..(line.series, element.until));
        let rows: u64 = inside.map(|(_, rows)| rows).sum();
        rows > 0 && rows * 2 >= element.wrong()
    }
}

fn hole(line: &Line, places: &[usize], edge: Edge, thinned: Option<(u64, u64, usize)>, moved: bool) -> Hole {
    let of: Vec<&Element> = places.iter().filter_map(|at| line.elements.get(*at)).collect();
    let sequence = line.family == Family::Sequence;
    // A gap says more than the rows around it.
    let subject = of.iter().map(|element| element.subject).min().unwrap_or(Subject::Gap);
    let ends = of.first().zip(of.last()).map(|(first, last)| (first.from, last.until));
    let missed: u64 = of.iter().map(|element| element.missed).sum();
    let status = match of.iter().map(|element| element.status).collect::<Vec<_>>() {
        all if all.windows(2).all(|pair| pair[0] == pair[1]) => all.first().copied().unwrap_or("open"),
        _ => "partly_filled",
    };
    Hole {
        subject,
        series: line.series,
        whose: line.whose,
        status,
        from: ends.filter(|_| !sequence).map(|(from, _)| from),
        until: ends.filter(|_| !sequence).map(|(_, until)| until),
        numbers: ends.filter(|_| sequence),
        pieces: of
            .iter()
            .map(|element| Piece {
                subject: element.subject,
                from: (!sequence).then_some(element.from),
                until: (!sequence).then_some(element.until),
                numbers: sequence.then_some((element.from, element.until)),
                rows: element.wrong(),
            })
            .collect(),
        rows: of.iter().map(|element| if missed > 0 { element.missed } else { element.rows }).sum(),
        exact: of.iter().all(|element| element.exact || element.missed > 0 && !element.cut),
        cut: of.iter().any(|element| element.cut),
        cause: "unknown",
        evidence: String::new(),
        file: None,
        edge,
        late: Default::default(),
        missed,
        thinned,
        moved,
    }
}

/// Gives the gaps of a sequence a time, and puts them to the hole in time that they coincide with.
fn join_numbers(holes: &mut Vec<Hole>, numbered: Vec<Hole>) {
    let mut by_series: BTreeMap<(usize, Whose), Vec<usize>> = BTreeMap::new();
    for (at, hole) in holes.iter().enumerate() {
        if !matches!(hole.subject, Subject::Repeats | Subject::Late) && hole.from.is_some() {
            by_series.entry((hole.series, hole.whose)).or_default().push(at);
        }
    }
    for places in by_series.values_mut() {
        places.sort_by_key(|at| holes[*at].from);
    }
    let mut alone = Vec::new();
    for mut gap in numbered {
        let before = gap.edge.before.and_then(|point| point.time);
        let after = gap.edge.after.and_then(|point| point.time);
        let places = by_series.get(&(gap.series, gap.whose)).map_or(&[][..], Vec::as_slice);
        // Holes of a series do not overlap, so the first that ends behind the row before the numbers is the only one that can hold them.
        // Numbers at the head or the tail of a stream are bounded on one side only.
        let next = places.partition_point(|at| holes[*at].until.zip(before).is_some_and(|(until, before)| until <= before));
        let found = places
            .get(next)
            .copied()
            .filter(|at| after.is_none_or(|after| holes[*at].from.is_some_and(|from| from <= after)) && (before, after) != (None, None));
        match found {
            Some(at) => {
                let hole = &mut holes[at];
                let (from, until) = gap.numbers.unwrap_or((0, 0));
                hole.numbers = Some(hole.numbers.map_or((from, until), |(a, b)| (a.min(from), b.max(until))));
                hole.pieces.append(&mut gap.pieces);
            }
            None => {
                gap.from = before;
                gap.until = after;
                alone.push(gap);
            }
        }
    }
    holes.extend(alone);
}

/// Finds the cause of a hole, from the most telling evidence to the least.
fn settle(
    prepared: &Prepared,
    evidence: &Evidence,
    (moved, refill): (Option<&Shift>, Option<&Refill>),
    numbers: &Numbers,
    hole: &mut Hole,
) {
    match hole.subject {
        Subject::Repeats => return settle_repeats(hole),
        Subject::Late => {
            let [late, _] = &hole.late;
            hole.evidence = format!("every row came after its window was complete{}, {}", with_grace(prepared), late.words());
            hole.cause = "late";
            return;
        }
        Subject::Gap | Subject::Rows | Subject::SequenceGap => {}
    }
    if let (true, Some(shift)) = (hole.moved, moved) {
        (hole.cause, hole.evidence) = ("moved", shift.evidence.clone());
        return;
    }
    if let (Whose::Recovered, Some(refill), Some((from, until))) = (hole.whose, refill, hole.from.zip(hole.until))
        && refill.fills(hole.series, from, until)
    {
        (hole.cause, hole.evidence) = ("moved", refill.evidence.clone());
        return;
    }
    let other = other_side(prepared, hole);
    // What the other side holds in a gap is counted even where not every row is listed.
    let held = hole.missed.max(other.filter(|_| hole.subject == Subject::Gap).map_or(0, |side| hole.edge.inside[side.index()]));
    let cut = match (hole.whose, hole.edge.before.and_then(|point| point.file), hole.from, hole.until) {
        (_, Some((side, _)), Some(from), Some(until)) if hole.subject != Subject::SequenceGap && hole.thinned.is_none() => {
            let names = Side::BOTH.map(|side| file_names(prepared, side));
            let files = |side: Side| (evidence.files[side.index()].as_slice(), names[side.index()].as_slice());
            // Only rows that the other side holds there say anything about its files.
            // In a fill a file of the same name holds something else.
            let others = other.filter(|_| held > 0 && prepared.stream.mode == Mode::Replica).map(files);
            truncated(files(side), others, hole.series, &hole.edge, (from, until)).map(|cut| (side, cut))
        }
        _ => None,
    };
    // Rows of the owner inside a stretch have numbers that are not missing: they stand at the times of rows that are.
    let own = match hole.whose {
        Whose::One(side) => hole.edge.inside[side.index()],
        Whose::Recovered => hole.edge.inside.iter().sum(),
    };
    let jump = hole.edge.before.and_then(|point| point.number).zip(hole.edge.after.and_then(|point| point.number));
    let jump = jump.filter(|_| hole.thinned.is_none()).and_then(|ends| numbers.between(hole.series, hole.whose, ends, own));
    let numbers_lost = jump.map(|jump| jump.missing);
    if hole.subject == Subject::Gap {
        // A gap begins a cadence behind its last row, and a row that came early lies before that: its number is missing all the same.
        // Where a sequence is of ranges, a row holds many numbers, and only that none is missing says how many rows are.
        let ranges = prepared.sequence_last.is_some();
        let of_rows = numbers_lost.filter(|missing| !ranges || *missing == 0);
        let missing = of_rows.and_then(|missing| u64::try_from(missing).ok()).unwrap_or(0);
        if held > 0 || of_rows.is_some_and(|missing| missing >= 0) {
            hole.rows = held.max(missing);
            hole.exact = !hole.cut;
        }
    }
    let mut said: Vec<String> = Vec::new();
    if let (true, Some(other)) = (held > 0, other) {
        said.push(format!("the {other} holds {} there", counted(held, "row")));
    }
    said.extend(jump.map(|jump| jump.words()));
    // Most of the rows that are there on the other side came too late. In a fill they may have been collected again only then, so that
    // the end of a file says more.
    let late = other.map(|side| &hole.late[side.index()]).filter(|late| late.rows > 0);
    let there = held.max(other.map_or(0, |side| hole.edge.inside[side.index()]));
    let came_late = late.is_some_and(|late| late.rows * 2 >= there) && hole.thinned.is_none();
    if let Some(late) = late {
        let rows = grouped(late.rows);
        said.push(format!("{rows} of them came after their windows were complete{}, {}", with_grace(prepared), late.words()));
    }
    hole.cause = if let Some((survivors, lost, runs)) = hole.thinned {
        let all = survivors + lost;
        let mean = lost as f64 / runs.max(1) as f64;
        said.insert(
            0,
            format!(
                "{} of {} survive ({}), in {} of lost rows, {mean:.1} long in the mean; loss at random would leave {:.1}",
                grouped(survivors),
                counted(all, "row"),
                percent(survivors, all),
                counted(runs as u64, "run"),
                all as f64 / survivors.max(1) as f64,
            ),
        );
        hole.rows = if hole.exact { hole.rows } else { lost };
        "partial"
    } else if let (Some((_, cut)), false) = (&cut, came_late && prepared.stream.mode == Mode::Replica) {
        said.insert(0, cut.evidence.clone());
        "truncated"
    } else if came_late {
        "late"
    } else if held > 0 || numbers_lost.is_some_and(|missing| missing > 0) || hole.subject == Subject::SequenceGap {
        if hole.subject == Subject::SequenceGap && jump.is_none() {
            said.push(format!("{} missing", counted(hole.rows, "number")));
        }
        "lost"
    } else if numbers_lost == Some(0) {
        "idle"
    } else {
        said.push(
            "nothing says whether rows were produced: no number is missing beside it, no side holds rows there, and no file ends early there"
                .to_string(),
        );
        "unknown"
    };
    if let Some((side, cut)) = cut.filter(|_| hole.cause == "truncated") {
        hole.file = file_names(prepared, side).get(cut.file).cloned();
    }
    hole.evidence = said.join("; ");
}

/// The grace that made a window complete, in words.
fn with_grace(prepared: &Prepared) -> String {
    prepared.stream.continuity.grace.map(|grace| format!(" (grace {grace})")).unwrap_or_default()
}

/// What a fill left of a hole of the original has the cause of that hole.
fn rest_of(holes: &mut [Hole]) {
    let mut of_original: BTreeMap<usize, Vec<Hole>> = BTreeMap::new();
    for hole in holes.iter().filter(|hole| hole.whose == Whose::One(Side::Original) && hole.status == "partly_filled") {
        of_original.entry(hole.series).or_default().push(hole.clone());
    }
    of_original.values_mut().for_each(|holes| holes.sort_by_key(|hole| hole.from));
    for hole in holes.iter_mut().filter(|hole| hole.whose == Whose::Recovered && hole.from.is_some()) {
        let Some(wholes) = of_original.get(&hole.series) else { continue };
        let next = wholes.partition_point(|whole| whole.from <= hole.from);
        let Some(whole) = next.checked_sub(1).and_then(|at| wholes.get(at)).filter(|whole| hole.until <= whole.until) else { continue };
        // What never came is not late.
        if matches!(hole.cause, "lost" | "unknown") && !matches!(whole.cause, "unknown" | "late") {
            let left = format!("it is what the backfill left of a hole of the original, in which {}", whole.evidence);
            // That nothing is known of the rest alone is no evidence of anything.
            hole.evidence = if hole.cause == "unknown" { left } else { format!("{}; {left}", hole.evidence) };
            hole.cause = whole.cause;
            hole.file.clone_from(&whole.file);
        }
    }
}

/// A series of few rows that loses some while the others thin out is thinned out too: alone, its runs would be too few to tell.
fn thin_along(holes: &mut [Hole]) {
    let mut thinned: Vec<(usize, Whose, i128, i128, u64)> = holes
        .iter()
        .filter_map(|hole| {
            let (survivors, lost, runs) = hole.thinned.filter(|_| hole.cause == "partial")?;
            Some((hole.series, hole.whose, hole.from?, hole.until?, longest_run(survivors, lost, runs)))
        })
        .collect();
    thinned.sort_by_key(|(series, _, start, ..)| (*start, *series));
    let longest_of_all = thinned.iter().map(|(_, _, start, end, _)| end - start).max().unwrap_or(0);
    for hole in holes.iter_mut().filter(|hole| hole.cause == "lost") {
        let (Some(from), Some(until)) = (hole.from, hole.until) else { continue };
        // Only stretches that begin so near can hold it.
        let near = thinned.partition_point(|(_, _, start, ..)| *start < from - 2 * longest_of_all);
        let nearby = thinned[near..].iter().take_while(|(_, _, start, ..)| *start <= from + longest_of_all);
        let along: std::collections::BTreeSet<usize> = nearby
            .filter(|(series, whose, start, end, longest)| {
                let slack = (end - start) / 5;
                let inside = start - slack <= from && until <= end + slack;
                *series != hole.series && *whose == hole.whose && inside && hole.rows <= *longest
            })
            .map(|(series, ..)| *series)
            .collect();
        if !along.is_empty() {
            hole.cause = "partial";
            hole.evidence = format!("{}; at the same time rows thin out in {} other series", hole.evidence, along.len());
        }
    }
}

/// The side on which rows inside the hole would prove that they were produced.
fn other_side(prepared: &Prepared, hole: &Hole) -> Option<Side> {
    match (prepared.stream.mode, hole.whose) {
        (Mode::Single, _) | (_, Whose::Recovered) => None,
        (_, Whose::One(side)) => Some(side.other()),
    }
}

fn settle_repeats(hole: &mut Hole) {
    if hole.from.is_none() {
        hole.cause = "unknown";
        hole.evidence = format!("{} came again, at no known time", counted(hole.rows, "row"));
        return;
    }
    match hole.thinned {
        Some((once, again, _)) if again < once => {
            hole.cause = "unknown";
            hole.evidence =
                format!("{} of {} came again ({}), scattered", grouped(again), counted(once + again, "row"), percent(again, once + again));
        }
        Some((once, again, _)) => {
            hole.cause = "duplicate_replay";
            hole.evidence = format!("{} of {} came again ({})", grouped(again), counted(once + again, "row"), percent(again, once + again));
        }
        None => {
            hole.cause = "duplicate_replay";
            hole.evidence = format!("{} came again, every row of the stretch", counted(hole.rows, "row"));
        }
    }
}
