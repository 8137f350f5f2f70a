//! The report as one page: no network, no other file. It opens with the verdict, then what was looked at and what was not, then the picture,
//! then what was found, then how to go on.
//!
//! * Markup is only ever `&'static str` ([`Html::raw`]); everything else goes through [`Html::text`], which escapes it. So no value can be markup.
//! * The policy in the head lets only this style and this script in, by their digests, and nothing from outside.
//! * The page stays below [`LIMIT`]: samples are capped for each class, and the page says so where they were.
//! * All of the picture is there without the script, which adds zoom and hover.

mod coverage;
mod sections;

use sha2::{Digest, Sha256};

use super::StoredRun;
use super::inert;
use super::words::{cut, grouped, length, moment, plural};
use crate::domain::{Mode, Verdict};
use crate::findings::{RunRecord, StreamRecord};

/// Bytes that a page may have.
const LIMIT: usize = 1_900_000;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How much of each thing is shown.
#[derive(Debug, Clone, Copy)]
struct Caps {
    /// Findings of a check.
    findings: usize,
    /// Series in the picture.
    series: usize,
    /// Shapes in a picture.
    shapes: usize,
    /// Characters of a value.
    value: usize,
    /// Streams in full.
    streams: usize,
}

/// Markup under way.
#[derive(Default)]
struct Html {
    out: String,
}

impl Html {
    /// Markup of our own.
    fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Anything else.
    fn text(&mut self, text: &str) -> &mut Self {
        self.out.push_str(&inert::html(text));
        self
    }

    /// What a part of its own made of it, which went through the same two doors.
    fn part(&mut self, part: Self) -> &mut Self {
        self.out.push_str(&part.out);
        self
    }
}

/// What a section is made from.
struct Page<'a> {
    run: &'a RunRecord,
    stream: &'a StreamRecord,
    caps: Caps,
    /// Where its series differ.
    marks: &'a coverage::MarksOf,
    /// The place of the stream, for ids.
    at: usize,
}

/// A section of a stream: the end of its id, its title, and what it holds, where it holds anything.
type Section = (&'static str, &'static str, fn(&Page<'_>) -> Option<Html>);

/// The sections of a stream in the order of the page: one more is a function and a line.
const SECTIONS: &[Section] = &[
    ("looked-at", "What was looked at", sections::looked_at),
    ("coverage", "Coverage", coverage::coverage),
    ("incidents", "What happened", sections::incidents),
    ("gaps", "Gaps", sections::gaps),
    ("values", "Values that differ", sections::mismatches),
    ("columns", "Differences by column", sections::columns),
    ("findings", "All findings", sections::findings),
    ("rules", "Rules", sections::rules),
    ("checks", "Checks", sections::checks),
    ("checksums", "Checksums", sections::checksums),
];

/// The page of a run.
pub(super) fn page(run: &RunRecord, stored: Option<&StoredRun>) -> std::io::Result<String> {
    let mut caps = Caps { findings: 100, series: 400, shapes: 6_000, value: 400, streams: 40 };
    let order = worst_first(run);
    let mut marks = vec![coverage::MarksOf::new(); run.streams.len()];
    for &at in order.iter().take(caps.streams) {
        marks[at] = coverage::marks(&run.streams[at], caps.series).map_err(std::io::Error::other)?;
    }
    loop {
        let html = whole(run, stored, caps, &order, &marks);
        if html.len() <= LIMIT || caps.findings <= 2 {
            return Ok(html);
        }
        caps = Caps {
            findings: caps.findings / 2,
            series: (caps.series / 2).max(10),
            shapes: (caps.shapes / 2).max(200),
            value: (caps.value / 2).max(60),
            streams: (caps.streams / 2).max(4),
        };
    }
}

/// The streams in the order of the page: the worst first, since those are what people come for.
fn worst_first(run: &RunRecord) -> Vec<usize> {
    let mut order: Vec<usize> = (0..run.streams.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(run.streams[at].verdict), at));
    order
}

fn whole(run: &RunRecord, stored: Option<&StoredRun>, caps: Caps, order: &[usize], marks: &[coverage::MarksOf]) -> String {
    let mut html = Html::default();
    let digest = |text: &str| base64(&Sha256::digest(text.as_bytes()));
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-");
    html.text(&digest(STYLE)).raw("'; script-src 'sha256-").text(&digest(SCRIPT));
    html.raw("'; img-src data:; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"gapless ");
    html.text(&run.version).raw("\">\n<link rel=\"icon\" href=\"data:,\">\n<title>").text(word(run.verdict)).raw(" · ");
    html.text(&title(run)).raw(" · gapless</title>\n<style>").raw(STYLE).raw("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n<svg class=\"defs\" aria-hidden=\"true\"><defs><pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\"><rect width=\"5\" height=\"5\"/><path d=\"M-1 1 L1 -1 M0 5 L5 0 M4 6 L6 4\"/></pattern></defs></svg>\n");
    head(&mut html, run);
    html.raw("<main id=\"main\">\n");
    if run.streams.len() > 1 {
        streams_table(&mut html, run);
    }
    for &at in order.iter().take(caps.streams) {
        let stream = &run.streams[at];
        section(&mut html, &Page { run, stream, caps, marks: &marks[at], at });
    }
    if order.len() > caps.streams {
        html.raw("<p class=\"note\">")
            .text(&plural((order.len() - caps.streams) as u64, "more stream"))
            .raw(" are in the table above only; <code>gapless sql</code> has all of them.</p>\n");
    }
    html.part(sections::job(run)).part(sections::commands(run, stored));
    html.raw("</main>\n<footer><p>Written by gapless ").text(&run.version);
    html.raw(". All times are UTC; ranges are half-open: the beginning is inside, the end is not.</p></footer>\n<div id=\"tip\" role=\"status\" aria-live=\"polite\" hidden></div>\n<script>");
    html.raw(SCRIPT).raw("</script>\n</body>\n</html>\n");
    html.out
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "Pass",
        Verdict::Incomplete => "Incomplete",
        Verdict::Fail => "Fail",
    }
}

fn title(run: &RunRecord) -> String {
    run.job.clone().unwrap_or_else(|| match run.streams.as_slice() {
        [stream] => stream.name.clone(),
        _ => "verification".to_string(),
    })
}

/// The verdict of a stream and its reason as one sentence.
fn sentence(stream: &StreamRecord) -> String {
    let mut letters = stream.reason.chars();
    let reason: String = match (stream.verdict, letters.next()) {
        (Verdict::Pass, Some(first)) => first.to_uppercase().chain(letters).collect(),
        _ => stream.reason.clone(),
    };
    match (stream.verdict, stream.mode) {
        (Verdict::Pass, _) => format!("{reason}."),
        (Verdict::Incomplete, _) => format!("Nothing can be said for sure: {reason}."),
        (Verdict::Fail, Mode::Replica) => format!("The backfill does not equal the original: {reason}."),
        (Verdict::Fail, Mode::Fill) => format!("The recovered stream is not whole: {reason}."),
        (Verdict::Fail, Mode::Single) => format!("The data is not as it should be: {reason}."),
    }
}

fn badge(html: &mut Html, verdict: Verdict) {
    html.raw(match verdict {
        Verdict::Pass => "<span class=\"badge pass\">Pass</span>",
        Verdict::Incomplete => "<span class=\"badge incomplete\">Incomplete</span>",
        Verdict::Fail => "<span class=\"badge fail\">Fail</span>",
    });
}

fn head(html: &mut Html, run: &RunRecord) {
    html.raw(match run.verdict {
        Verdict::Pass => "<header class=\"pass\">\n",
        Verdict::Incomplete => "<header class=\"incomplete\">\n",
        Verdict::Fail => "<header class=\"fail\">\n",
    });
    html.raw("<p class=\"brand\">gapless · report of a run</p>\n<h1>");
    badge(html, run.verdict);
    html.raw(" <span>").text(&title(run)).raw("</span></h1>\n<p class=\"reason\">");
    match run.streams.as_slice() {
        [stream] => {
            html.text(&sentence(stream));
        }
        streams => {
            let count = |verdict: Verdict| streams.iter().filter(|stream| stream.verdict == verdict).count();
            let said: Vec<String> = [(Verdict::Fail, "failed"), (Verdict::Incomplete, "could not be judged"), (Verdict::Pass, "passed")]
                .into_iter()
                .filter(|(verdict, _)| count(*verdict) > 0)
                .map(|(verdict, word)| format!("{} {word}", count(verdict)))
                .collect();
            html.text(&format!("Of {}, {}.", plural(streams.len() as u64, "stream"), said.join(", ")));
        }
    }
    html.raw("</p>\n<dl class=\"facts\">");
    let took = length(((run.finished.0 - run.started.0) / 1_000_000 * 1_000_000).max(1_000_000));
    let mut facts = vec![
        ("Run", run.id.clone()),
        ("Started", format!("{} UTC", moment(crate::domain::Instant(run.started.0 / 1_000_000_000 * 1_000_000_000)))),
        ("Took", took),
        ("Exit code", run.exit_code.to_string()),
    ];
    if let Some(baseline) = &run.baseline {
        facts.push(("Baseline", baseline.clone()));
    }
    for (name, value) in facts {
        html.raw("<div><dt>").text(name).raw("</dt><dd>").text(&value).raw("</dd></div>");
    }
    html.raw("</dl>\n</header>\n");
}

fn streams_table(html: &mut Html, run: &RunRecord) {
    html.raw("<section aria-labelledby=\"streams\"><h2 id=\"streams\">Streams</h2>\n<div class=\"wide\"><table><thead><tr><th scope=\"col\">Stream</th><th scope=\"col\">Verdict</th><th scope=\"col\">Reason</th></tr></thead><tbody>\n");
    for (at, stream) in run.streams.iter().enumerate() {
        html.raw("<tr><th scope=\"row\"><a href=\"#s").text(&at.to_string()).raw("\">").text(&cut(&stream.name, 120)).raw("</a></th><td>");
        badge(html, stream.verdict);
        html.raw("</td><td>").text(&cut(&stream.reason, 300)).raw("</td></tr>\n");
    }
    html.raw("</tbody></table></div></section>\n");
}

fn section(html: &mut Html, page: &Page<'_>) {
    let stream = page.stream;
    html.raw("<article id=\"s").text(&page.at.to_string()).raw("\">\n");
    if page.run.streams.len() > 1 {
        html.raw("<h2 class=\"stream\">");
        badge(html, stream.verdict);
        html.raw(" ").text(&stream.name).raw("</h2>\n<p class=\"reason\">").text(&sentence(stream)).raw("</p>\n");
    }
    if stream.known > 0 {
        html.raw("<p class=\"note\">")
            .text(&plural(stream.known, "finding"))
            .raw(" of the baseline are still there; they do not close the gate.</p>\n");
    }
    tiles(html, stream);
    for (id, title, make) in SECTIONS {
        if let Some(part) = make(page) {
            html.raw("<section id=\"s")
                .text(&page.at.to_string())
                .raw("-")
                .raw(id)
                .raw("\">\n<h3>")
                .raw(title)
                .raw("</h3>\n")
                .part(part)
                .raw("</section>\n");
        }
    }
    html.raw("</article>\n");
}

/// The counts that apply, those that are bad in colour.
fn tiles(html: &mut Html, stream: &StreamRecord) {
    let words = [
        ("original_rows", "row of the original|rows of the original", false),
        ("backfill_rows", "row of the backfill|rows of the backfill", false),
        ("matched_keys", "key matches|keys match", false),
        ("missing_keys", "key missing|keys missing", true),
        ("unexpected_keys", "key unexpected|keys unexpected", true),
        ("mismatched_keys", "key differs|keys differ", true),
        ("duplicate_keys", "key more than once|keys more than once", false),
        ("surplus_rows", "copy too many|copies too many", true),
        ("missing_rows", "row missing|rows missing", true),
        ("unexpected_rows", "row unexpected|rows unexpected", true),
        ("gaps", "gap|gaps", true),
        ("sequence_gaps", "sequence gap|sequence gaps", true),
        ("violations", "rule violation|rule violations", true),
    ];
    html.raw("<ul class=\"tiles\">");
    for (name, count) in stream.counts.named() {
        let (Some(count), Some((_, word, bad))) = (count, words.iter().find(|(known, _, _)| *known == name)) else { continue };
        if name == "violations" && stream.checks.iter().any(|check| check.check == "rule") {
            continue; // no rule was given
        }
        html.raw(if *bad && count > 0 { "<li class=\"bad\"><b>" } else { "<li><b>" });
        let (one, many) = word.split_once('|').unwrap_or((word, word));
        html.text(&grouped(count)).raw("</b> ").raw(if count == 1 { one } else { many }).raw("</li>");
    }
    html.raw("</ul>\n");
}

/// Base64 with padding (RFC 4648), as policies name digests.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (text, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    /// The script and the style stand in the page as they are: they must not end their own elements.
    #[test]
    fn our_own_parts_do_not_break_out() {
        for part in [STYLE, SCRIPT] {
            assert!(!part.contains("</") && !part.contains("<!--"));
            assert!(!part.contains("innerHTML") && !part.contains("eval(") && !part.contains("http"));
        }
    }
}
