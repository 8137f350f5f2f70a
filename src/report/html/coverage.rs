//! The picture: a line a series, in it a lane a side, with what is missing and what differs in its place.
//!
//! ```text
//! origin=LGA  ▆▆▆▆▆▆▆▆▆▆           ▆▆▆▆▆▆   live
//!                    ▆▆▆▆▆▆▆▆▒▒▒▒▆▆▆        backfill      ▒ a gap
//!                              ▲            differs
//! ```
//!
//! Places are per cent of the axis, so that the picture is as wide as the page and text in it is not stretched. Each shape has its exact
//! ends and counts as `data-…`, which the script shows; without it, the label of a line says what is wrong in it.

use std::collections::BTreeMap;

use super::{Caps, Html, Page};
use crate::domain::{Instant, Mode, Severity, pairs};
use crate::error::Result;
use crate::findings::{Row, StreamRecord, differs_by};
use crate::report::words::{cut, grouped, length, moment, plural};

/// Lines that are not folded away.
const OPEN: usize = 12;
/// Marks of what differs, at most so many a line: those that fall together are one.
const MARKS: i128 = 240;

/// Planned interruptions that are shaded.
const PLANNED: usize = 60;

/// A stretch of a lane.
struct Stretch {
    from: i128,
    until: i128,
    rows: Option<u64>,
}

/// What differs in a line. Place → first, last, count by what it is.
type Marks = BTreeMap<i128, (i128, i128, BTreeMap<&'static str, u64>)>;
/// The same of the series that are drawn.
pub(super) type MarksOf = BTreeMap<String, Marks>;

/// What one line shows.
#[derive(Default)]
struct Line {
    /// Original and backfill.
    lanes: [Vec<Stretch>; 2],
    /// Gap, and whose it is.
    gaps: Vec<(Stretch, String)>,
    /// Silence that is no finding, such as a planned one: whose it is, and why.
    excused: Vec<(Stretch, String, String)>,
    marks: Marks,
    differing: u64,
}

impl Line {
    /// From the first to the last of its own stretches.
    fn own_axis(&self) -> Axis {
        let all = || {
            self.lanes.iter().flatten().chain(self.gaps.iter().map(|(gap, _)| gap)).chain(self.excused.iter().map(|(silence, ..)| silence))
        };
        let from = all().map(|stretch| stretch.from).min().unwrap_or(0);
        Axis { from, until: all().map(|stretch| stretch.until).max().unwrap_or(0).max(from + 1), is_time: false }
    }

    /// The worse, the further up: what is missing, then what differs.
    fn badness(&self) -> (u64, usize, u64) {
        (self.gaps.iter().map(|(gap, _)| gap.rows.unwrap_or(1).max(1)).sum(), self.gaps.len(), self.differing)
    }
}

/// The axis that a picture lies on.
#[derive(Clone, Copy)]
struct Axis {
    from: i128,
    until: i128,
    is_time: bool,
}

impl Axis {
    fn percent(&self, at: i128) -> f64 {
        let length = (self.until - self.from).max(1) as f64;
        (at.clamp(self.from, self.until) - self.from) as f64 / length * 100.0
    }

    fn label(&self, at: i128) -> String {
        if self.is_time { Instant(at).to_string() } else { at.to_string() }
    }
}

pub(super) fn coverage(page: &Page<'_>) -> Option<Html> {
    let mut html = Html::default();
    let mut any = false;
    for is_time in [true, false] {
        if let Some((axis, lines)) = lines(page.stream, is_time) {
            figure(&mut html, page, axis, lines);
            any = true;
        }
    }
    any.then_some(html)
}

fn lines(stream: &StreamRecord, is_time: bool) -> Option<(Axis, BTreeMap<String, Line>)> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    let ends = |row: &Row<'_>| match is_time {
        true => row.time("from_time").zip(row.time("until_time")).map(|(from, until)| (from.0, until.0)),
        false => row.sequence("from_sequence").zip(row.sequence("until_sequence")),
    };
    let (mut low, mut high) = (i128::MAX, i128::MIN);
    for row in stream.spans.iter().flat_map(Row::all) {
        let (Some((from, until)), Some(side)) = (ends(&row), row.text("side")) else { continue };
        let lane = match side {
            "original" => 0,
            "backfill" => 1,
            // Both together is what the two lanes show.
            _ => continue,
        };
        (low, high) = (low.min(from), high.max(until));
        let rows = row.count("rows").and_then(|rows| u64::try_from(rows).ok());
        lines.entry(row.text("series").unwrap_or("{}").to_string()).or_default().lanes[lane].push(Stretch { from, until, rows });
    }
    for at in 0..stream.gaps.num_rows() {
        let row = Row { batch: &stream.gaps, row: at };
        let (Some((from, until)), Some(side)) = (ends(&row), row.text("side")) else { continue };
        let status = row.text("status").unwrap_or("open");
        if ["filled", "partly_filled"].contains(&status) || status == "open" && stream.mode == Mode::Fill && side != "recovered" {
            // In a fill the original's own gaps are what the backfill is for; what is left of them is the recovered stream's.
            continue;
        }
        (low, high) = (low.min(from), high.max(until));
        let rows = row.count("missing_estimate").and_then(|rows| u64::try_from(rows).ok());
        let line = lines.entry(row.text("series").unwrap_or("{}").to_string()).or_default();
        match status {
            "open" => line.gaps.push((Stretch { from, until, rows }, side.to_string())),
            other => line.excused.push((Stretch { from, until, rows }, side.to_string(), other.replace('_', " "))),
        }
    }
    let axis = match (is_time, stream.bounds.from, stream.bounds.until) {
        (true, Some(from), Some(until)) => Axis { from: from.0, until: until.0, is_time },
        _ => Axis { from: low, until: high, is_time },
    };
    if lines.is_empty() || axis.from >= axis.until {
        return None;
    }
    if is_time {
        for (series, line) in &mut lines {
            line.differing = stream.findings.overview.differing.get(series).map_or(0, |differing| differing.findings);
        }
    }
    Some((axis, lines))
}

/// What differs in the series that are drawn, at most so many: gathered once, and from all findings.
pub(super) fn marks(stream: &StreamRecord, most: usize) -> Result<MarksOf> {
    let mut marks = MarksOf::new();
    let Some((axis, lines)) = lines(stream, true) else { return Ok(marks) };
    marks
        .extend(worst_first(lines).into_iter().take(most).filter(|(_, line)| line.differing > 0).map(|(series, _)| (series, Marks::new())));
    if marks.is_empty() {
        return Ok(marks);
    }
    for batch in stream.findings.columns(&["check", "severity", "series", "from_time"])? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let row = Row { batch: &batch, row };
            let severity = row.text("severity").and_then(Severity::parse).unwrap_or(Severity::Error);
            let what = row.text("check").and_then(|check| differs_by(check, severity));
            let (Some(what), Some(at), Some(series)) = (what, row.time("from_time"), row.text("series")) else { continue };
            let Some(line) = marks.get_mut(series) else { continue };
            let place = (at.0.clamp(axis.from, axis.until) - axis.from) * MARKS / (axis.until - axis.from);
            let (first, last, counts) = line.entry(place).or_insert((at.0, at.0, BTreeMap::new()));
            (*first, *last) = ((*first).min(at.0), (*last).max(at.0));
            *counts.entry(what).or_default() += 1;
        }
    }
    Ok(marks)
}

/// The worst first; equal ones by name.
fn worst_first(lines: BTreeMap<String, Line>) -> Vec<(String, Line)> {
    let mut ordered: Vec<(String, Line)> = lines.into_iter().collect();
    ordered.sort_by(|(a, x), (b, y)| y.badness().cmp(&x.badness()).then_with(|| a.cmp(b)));
    ordered
}

fn figure(html: &mut Html, page: &Page<'_>, axis: Axis, lines: BTreeMap<String, Line>) {
    let stream = page.stream;
    let single = stream.mode == Mode::Single;
    let mut ordered = worst_first(lines);
    let total = ordered.len();
    let bad = ordered.iter().filter(|(_, line)| line.badness().0 > 0 || line.differing > 0).count();
    ordered.truncate(page.caps.series);
    if axis.is_time {
        for (series, line) in &mut ordered {
            line.marks = page.marks.get(series).cloned().unwrap_or_default();
        }
    }
    let simplified = simplify(&mut ordered, axis, page.caps);

    html.raw(if axis.is_time {
        "<figure class=\"coverage\" data-axis=\"time\" data-from=\""
    } else {
        "<figure class=\"coverage\" data-axis=\"sequence\" data-from=\""
    });
    html.text(&axis.label(axis.from)).raw("\" data-until=\"").text(&axis.label(axis.until)).raw("\">\n<figcaption>");
    html.raw(if axis.is_time { "Event time, UTC. " } else { "Sequence numbers, each series from its first to its last. " });
    html.text(&match (total, bad) {
        (1, 0) => "One series, whole and alike.".to_string(),
        (1, _) => "One series.".to_string(),
        (_, 0) => format!("{}, all whole and alike.", plural(total as u64, "series").replace("seriess", "series")),
        _ => format!("{} series, {} with something wrong, the worst first.", grouped(total as u64), grouped(bad as u64)),
    });
    html.raw("</figcaption>\n<div class=\"legend\" aria-hidden=\"true\">");
    if single {
        html.raw("<span><i class=\"k o\"></i>rows</span>");
    } else {
        html.raw("<span><i class=\"k o\"></i>live (original)</span><span><i class=\"k b\"></i>backfill</span><span><i class=\"k both\"></i>both</span>");
    }
    html.raw("<span><i class=\"k g\"></i>missing</span>");
    if axis.is_time && !single {
        html.raw("<span><i class=\"k d\"></i>differs</span>");
    }
    if ordered.iter().any(|(_, line)| !line.excused.is_empty()) {
        html.raw("<span><i class=\"k p\"></i>silent, no finding</span>");
    }
    if axis.is_time && stream.outage.is_some() {
        html.raw("<span><i class=\"k u\"></i>outage</span>");
    }
    if axis.is_time && shaded(stream, axis).next().is_some() {
        html.raw("<span><i class=\"k m\"></i>maintenance</span>");
    }
    html.raw("</div>\n<div class=\"zoom\" hidden><button type=\"button\" data-zoom=\"in\" aria-label=\"Zoom in\">+</button><button type=\"button\" data-zoom=\"out\" aria-label=\"Zoom out\">−</button><button type=\"button\" data-zoom=\"left\" aria-label=\"Move left\">‹</button><button type=\"button\" data-zoom=\"right\" aria-label=\"Move right\">›</button><button type=\"button\" data-zoom=\"all\">All</button><span class=\"hint\">drag over the picture to zoom · double-click for all</span></div>\n");
    if axis.is_time {
        axis_line(html, stream, axis);
    }
    for (series, line) in ordered.iter().take(OPEN) {
        one_line(html, page, axis, series, line);
    }
    if ordered.len() > OPEN {
        let rest = &ordered[OPEN..];
        let bad = rest.iter().filter(|(_, line)| line.badness().0 > 0 || line.differing > 0).count();
        html.raw("<details class=\"fold\"><summary>").text(&grouped(rest.len() as u64)).raw(" more series");
        html.text(&if bad == 0 { ", all whole and alike".to_string() } else { format!(", {} with something wrong", grouped(bad as u64)) });
        html.raw("</summary>\n");
        for (series, line) in rest {
            one_line(html, page, axis, series, line);
        }
        html.raw("</details>\n");
    }
    html.raw("</figure>\n");
    if total > ordered.len() {
        html.raw("<p class=\"note\">")
            .text(&grouped((total - ordered.len()) as u64))
            .raw(" more series are not drawn; none of them is worse than those that are.</p>\n");
    }
    if let Some(step) = simplified {
        html.raw("<p class=\"note\">Stretches less than ").text(&if axis.is_time { length(step) } else { grouped(step as u64) });
        html.raw(" apart are drawn as one. The tables <code>spans</code> and <code>gaps</code> have all of them.</p>\n");
    }
    if axis.is_time && stream.maintenance.len() > PLANNED {
        html.raw("<p class=\"note\">The first ").text(&grouped(PLANNED as u64)).raw(" planned interruptions are shaded.</p>\n");
    }
    if !stream.cut.is_empty() && axis.is_time {
        html.raw("<p class=\"note\">Not all differences are listed, so that not all are marked.</p>\n");
    }
}

/// Joins stretches of a lane that nobody could tell apart, where there are too many shapes. Gaps are joined only with gaps.
fn simplify(lines: &mut [(String, Line)], axis: Axis, caps: Caps) -> Option<i128> {
    let shapes = |lines: &[(String, Line)]| -> usize {
        lines
            .iter()
            .map(|(_, line)| line.lanes[0].len() + line.lanes[1].len() + line.gaps.len() + line.excused.len() + line.marks.len())
            .sum()
    };
    let mut step = (axis.until - axis.from) / 4_000;
    let mut simplified = None;
    while shapes(lines) > caps.shapes && step < axis.until - axis.from {
        step = (step * 2).max(1);
        simplified = Some(step);
        for (_, line) in lines.iter_mut() {
            for lane in &mut line.lanes {
                lane.sort_by_key(|stretch| stretch.from);
                let mut joined: Vec<Stretch> = Vec::new();
                for stretch in lane.drain(..) {
                    match joined.last_mut() {
                        Some(last) if stretch.from - last.until < step => {
                            last.until = last.until.max(stretch.until);
                            last.rows = last.rows.zip(stretch.rows).map(|(a, b)| a + b);
                        }
                        _ => joined.push(stretch),
                    }
                }
                *lane = joined;
            }
            line.gaps.sort_by(|(a, x), (b, y)| x.cmp(y).then(a.from.cmp(&b.from)));
            let mut joined: Vec<(Stretch, String)> = Vec::new();
            for (gap, side) in line.gaps.drain(..) {
                match joined.last_mut() {
                    Some((last, of)) if *of == side && gap.from - last.until < step => {
                        last.until = last.until.max(gap.until);
                        last.rows = last.rows.zip(gap.rows).map(|(a, b)| a + b);
                    }
                    _ => joined.push((gap, side)),
                }
            }
            line.gaps = joined;
            if step > (axis.until - axis.from) / 60 {
                // Nothing else is left to join: marks go, the findings below have them.
                line.marks.clear();
                line.excused.clear();
            }
        }
    }
    simplified
}

fn axis_line(html: &mut Html, stream: &StreamRecord, axis: Axis) {
    html.raw(
        "<div class=\"line axis\"><span class=\"name\"></span><svg width=\"100%\" height=\"34\" aria-hidden=\"true\" class=\"ticks\">",
    );
    for (from, until, word) in shaded(stream, axis) {
        shape(html, "m", axis.percent(from), axis.percent(until) - axis.percent(from), "20", "14", axis, (from, until), None, &word);
    }
    if let Some((from, until)) = outage(stream, axis) {
        let (x, width) = (axis.percent(from), axis.percent(until) - axis.percent(from));
        shape(html, "u", x, width, "20", "14", axis, (from, until), None, "outage");
        html.raw("<text class=\"ulabel\" x=\"")
            .text(&format!("{:.4}", x + width / 2.0))
            .raw("%\" y=\"30\" text-anchor=\"middle\">outage</text>");
    }
    let many = 4;
    let mut day = String::new();
    for tick in 0..=many {
        let at = axis.from + (axis.until - axis.from) * tick / many;
        let anchor = if tick == 0 {
            "start"
        } else if tick == many {
            "end"
        } else {
            "middle"
        };
        // Seconds are enough here; the shapes have their ends exactly. A day is named where it begins.
        let shown = moment(Instant(at / 1_000_000_000 * 1_000_000_000));
        let shown = match shown.split_once(' ') {
            Some((date, clock)) if date == day => clock.strip_suffix(":00").unwrap_or(clock).to_string(),
            Some((date, clock)) => {
                day = date.to_string();
                format!("{date} {}", clock.strip_suffix(":00").unwrap_or(clock))
            }
            None => shown,
        };
        html.raw(if tick == 0 || tick == many { "<text class=\"tick end\" x=\"" } else { "<text class=\"tick\" x=\"" })
            .text(&format!("{:.4}", axis.percent(at)))
            .raw("%\" y=\"12\" text-anchor=\"")
            .text(anchor)
            .raw("\">");
        html.text(&shown).raw("</text>");
    }
    html.raw("</svg><span class=\"notes\"></span></div>\n");
}

/// The known interruption on the axis.
fn outage(stream: &StreamRecord, axis: Axis) -> Option<(i128, i128)> {
    let outage = stream.outage.filter(|_| axis.is_time)?;
    let from = outage.from.map_or(axis.from, |at| at.0).max(axis.from);
    let until = outage.until.map_or(axis.until, |at| at.0).min(axis.until);
    (from < until).then_some((from, until))
}

/// Planned interruptions on the axis, and why: a few, since each is drawn in every line.
fn shaded(stream: &StreamRecord, axis: Axis) -> impl Iterator<Item = (i128, i128, String)> + '_ {
    let inside = move |from: i128, until: i128| axis.is_time && from < axis.until && until > axis.from;
    let all = stream.maintenance.iter().filter(move |planned| inside(planned.from.0, planned.until.0));
    all.take(PLANNED).map(move |planned| {
        let word = planned.reason.as_ref().map_or("maintenance".to_string(), |reason| format!("maintenance: {}", cut(reason, 100)));
        (planned.from.0.max(axis.from), planned.until.0.min(axis.until), word)
    })
}

fn one_line(html: &mut Html, page: &Page<'_>, axis: Axis, series: &str, line: &Line) {
    let single = page.stream.mode == Mode::Single;
    let name = cut(&pairs(series), 80);
    // Numbers of one series say nothing about those of another.
    let axis = if axis.is_time { axis } else { line.own_axis() };
    let mut said = Vec::new();
    if !line.gaps.is_empty() {
        said.push(plural(line.gaps.len() as u64, "gap"));
    }
    if line.differing > 0 {
        said.push(format!("{} differ", grouped(line.differing)));
    }
    let notes = said.join(" · ");
    let mut label = format!("{name}: {}", if said.is_empty() { "whole and alike".to_string() } else { said.join(", ") });
    for (gap, whose) in line.gaps.iter().take(5) {
        let whose = if whose == "recovered" { "both sides".to_string() } else { format!("the {whose}") };
        label.push_str(&format!(
            "; {} missing on {whose} from {} to {}",
            gap.rows.map_or("rows".to_string(), |n| plural(n, "row")),
            axis.label(gap.from),
            axis.label(gap.until)
        ));
    }
    html.raw("<div class=\"line\"><span class=\"name\" title=\"").text(&name).raw("\">").text(&name);
    html.raw("</span><svg class=\"lanes\" role=\"img\" tabindex=\"0\" width=\"100%\" height=\"28\" data-series=\"").text(series);
    html.raw("\" aria-label=\"").text(&label).raw("\">");
    for (from, until, word) in shaded(page.stream, axis) {
        shape(html, "m", axis.percent(from), axis.percent(until) - axis.percent(from), "0", "28", axis, (from, until), None, &word);
    }
    if let Some((from, until)) = outage(page.stream, axis) {
        shape(html, "u", axis.percent(from), axis.percent(until) - axis.percent(from), "0", "28", axis, (from, until), None, "outage");
    }
    html.raw("<line class=\"base\" x1=\"0%\" x2=\"100%\" y1=\"21.5\" y2=\"21.5\"/>");
    for (lane, class, side, y) in [(0, "o", "original", "2"), (1, "b", "backfill", "11")] {
        let (y, height) = if single { ("4", "15") } else { (y, "8") };
        for stretch in &line.lanes[lane] {
            if stretch.until <= axis.from || stretch.from >= axis.until {
                continue;
            }
            let x = axis.percent(stretch.from);
            let word = if single { "rows" } else { side };
            shape(html, class, x, axis.percent(stretch.until) - x, y, height, axis, (stretch.from, stretch.until), stretch.rows, word);
        }
    }
    let lane = |whose: &str| match whose {
        "original" if !single => ("2", "8"),
        "backfill" => ("11", "8"),
        _ => ("2", "17"),
    };
    for (silence, whose, why) in &line.excused {
        let (y, height) = lane(whose);
        let x = axis.percent(silence.from);
        let width = axis.percent(silence.until) - x;
        shape(html, "p", x, width, y, height, axis, (silence.from, silence.until), silence.rows, &format!("no rows: {why}"));
    }
    for (gap, whose) in &line.gaps {
        let (y, height) = lane(whose);
        let x = axis.percent(gap.from);
        let word = match whose.as_str() {
            "original" if !single => "missing on the original",
            "backfill" => "missing on the backfill",
            "recovered" => "missing on both sides",
            _ => "missing",
        };
        shape(html, "g", x, axis.percent(gap.until) - x, y, height, axis, (gap.from, gap.until), gap.rows, word);
    }
    for (first, last, counts) in line.marks.values() {
        let word: Vec<String> = counts.iter().map(|(what, count)| plural(*count, what)).collect();
        let x = axis.percent(*first);
        // A mark is as wide as a pen, even where it stands for one instant.
        let width = (axis.percent(*last) - x).max(0.001);
        shape(html, "d", x, width, "21", "6", axis, (*first, *last), None, &word.join(", "));
    }
    html.raw("</svg><span class=\"notes\">").text(&notes);
    if !axis.is_time {
        html.raw(" <i>").text(&format!("{}–{}", axis.from, axis.until - 1)).raw("</i>");
    }
    html.raw("</span></div>\n");
}

#[expect(clippy::too_many_arguments, reason = "the attributes of one element")]
fn shape(
    html: &mut Html,
    class: &'static str,
    x: f64,
    width: f64,
    y: &'static str,
    height: &'static str,
    axis: Axis,
    (from, until): (i128, i128),
    rows: Option<u64>,
    word: &str,
) {
    html.raw("<rect class=\"").raw(class).raw("\" x=\"").text(&format!("{x:.4}")).raw("%\" y=\"").raw(y);
    html.raw("\" width=\"").text(&format!("{width:.4}")).raw("%\" height=\"").raw(height).raw("\" data-from=\"");
    html.text(&axis.label(from)).raw("\" data-until=\"").text(&axis.label(until));
    if let Some(rows) = rows {
        html.raw("\" data-rows=\"").text(&rows.to_string());
    }
    html.raw("\" data-word=\"").text(word).raw("\"/>");
}
