//! Coverage as a picture in text: one line a series, who covers what, where nobody does, where the sides differ.
//!
//! ```text
//! origin=EWR  ██████████▄▄▄▄▄▄▄▄██████████
//! origin=LGA  ██████████▄▄▄···▄▄████x█████
//!             █ both  ▀ original  ▄ backfill  · nobody  x differs
//! ```

use std::collections::BTreeMap;

use crate::domain::Mode;
use crate::findings::{CELLS, Row, StreamRecord};

/// Characters of one line.
const WIDTH: usize = CELLS;
/// Series shown; the worst come first.
const MOST_SERIES: usize = 12;

/// One line of the picture.
pub(super) struct Line {
    pub(super) series: String,
    pub(super) cells: String,
    pub(super) gaps: usize,
}

/// A stretch that somebody covers, or nobody.
struct Extent<'a> {
    series: &'a str,
    whose: &'a str,
    from: i128,
    until: i128,
    is_gap: bool,
}

/// The time spans and open gaps of a stream. There may be millions, so they stay in their tables.
fn extents(stream: &StreamRecord) -> impl Iterator<Item = Extent<'_>> {
    let tables = stream.spans.iter().map(|spans| (spans, false)).chain([(&stream.gaps, true)]);
    tables.flat_map(move |(batch, is_gap)| {
        Row::all(batch).filter_map(move |cells| {
            let (from, until, whose) = (cells.time("from_time")?.0, cells.time("until_time")?.0, cells.text("side")?);
            // In a fill the original's own gaps are kept, but nobody judges them.
            let excused = is_gap && (cells.text("status") != Some("open") || stream.mode == Mode::Fill && whose != "recovered");
            (!excused).then(|| Extent { series: cells.text("series").unwrap_or_default(), whose, from, until, is_gap })
        })
    })
}

/// The picture of a stream, and how many series it leaves out.
pub(super) fn timeline(stream: &StreamRecord) -> Option<(Vec<Line>, usize)> {
    let (from, until) = (stream.bounds.from?.0, stream.bounds.until?.0);
    if from >= until {
        return None;
    }
    let mut gaps: BTreeMap<&str, usize> = BTreeMap::new();
    extents(stream).for_each(|extent| *gaps.entry(extent.series).or_default() += usize::from(extent.is_gap));
    if gaps.is_empty() {
        return None;
    }
    let mut shown: Vec<(&str, usize)> = gaps.into_iter().collect();
    if shown.len() > MOST_SERIES {
        shown.sort_by(|(a, mine), (b, theirs)| theirs.cmp(mine).then_with(|| a.cmp(b)));
    }
    let left_out = shown.len().saturating_sub(MOST_SERIES);
    shown.truncate(MOST_SERIES);
    // There may be a million series: only those that are shown have cells.
    let mut cells: BTreeMap<&str, Vec<[bool; 3]>> = shown.iter().map(|(series, _)| (*series, vec![[false; 3]; WIDTH])).collect();
    let place = |at: i128| usize::try_from((at.clamp(from, until - 1) - from) * WIDTH as i128 / (until - from)).unwrap_or(0).min(WIDTH - 1);
    for extent in extents(stream) {
        let Some(line) = cells.get_mut(extent.series).filter(|_| !extent.is_gap) else { continue };
        let side = match extent.whose {
            "original" => 0,
            "backfill" => 1,
            _ => continue,
        };
        if extent.until <= from || extent.from >= until {
            continue;
        }
        for cell in &mut line[place(extent.from)..=place(extent.until - 1)] {
            cell[side] = true;
        }
    }
    // A gap narrower than a cell still shows: what is missing outranks what is there.
    let mut hidden: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for extent in extents(stream).filter(|extent| extent.is_gap && cells.contains_key(extent.series)) {
        hidden.entry(extent.series).or_default().push(place(extent.from + (extent.until - extent.from) / 2));
    }
    for (series, line) in &mut cells {
        let differing = stream.findings.overview.differing.get(*series).map_or(0, |differing| differing.cells);
        for (at, cell) in line.iter_mut().enumerate() {
            cell[2] = differing & 1 << at != 0;
        }
    }
    let lines: Vec<Line> = shown
        .iter()
        .map(|(series, gaps)| {
            let line = cells.get(series).map_or(&[][..], Vec::as_slice);
            let mut text = String::new();
            for (at, cell) in line.iter().enumerate() {
                let gap = hidden.get(series).is_some_and(|places| places.contains(&at));
                text.push(match cell {
                    [_, _, true] => 'x',
                    _ if gap => '·',
                    [true, true, _] => '█',
                    [true, false, _] if stream.mode == Mode::Single => '█',
                    [true, false, _] => '▀',
                    [false, true, _] => '▄',
                    [false, false, _] => '·',
                });
            }
            Line { series: (*series).to_string(), cells: text, gaps: *gaps }
        })
        .collect();
    Some((lines, left_out))
}

/// The known interruption over the picture: `├─outage─┤` where it lies.
pub(super) fn outage_marks(stream: &StreamRecord) -> Option<String> {
    let (from, until) = (stream.bounds.from?.0, stream.bounds.until?.0);
    let outage = stream.outage?;
    let (start, end) = (outage.from.map_or(from, |at| at.0).max(from), outage.until.map_or(until, |at| at.0).min(until));
    if start >= end || from >= until {
        return None;
    }
    let place = |at: i128| usize::try_from((at - from) * WIDTH as i128 / (until - from)).unwrap_or(0).min(WIDTH - 1);
    let (first, last) = (place(start), place(end - 1));
    let mut marks: Vec<char> = vec![' '; WIDTH];
    for mark in &mut marks[first..=last] {
        *mark = '─';
    }
    marks[first] = '├';
    marks[last] = '┤';
    let word = "outage";
    if last - first > word.len() + 1 {
        let begin = first + (last - first + 1 - word.len()) / 2;
        for (at, letter) in word.chars().enumerate() {
            marks[begin + at] = letter;
        }
    }
    Some(marks.into_iter().collect::<String>().trim_end().to_string())
}
