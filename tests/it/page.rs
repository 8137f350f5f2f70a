//! The HTML report, looked at in headless Chromium: it renders, the picture holds what was planted at the right places, and nothing from data runs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::outputs::{SUFFIXES, understood};
use super::outside::{chromium, python, repository};
use super::support::Case;

/// What a page shows in the browser, after asserting that it kept quiet: no message, no request, no dialog.
fn look(page: &Path, more: &[&str]) -> Value {
    let output = Command::new(python())
        .arg(repository().join("tests/python/browser.py"))
        .arg(chromium())
        .arg(page)
        .arg("--script")
        .arg(repository().join("tests/python/page_facts.js"))
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    for quiet in ["said", "asked", "dialogs"] {
        assert_eq!(seen[quiet], serde_json::json!([]), "{quiet}");
    }
    let facts = &seen["result"];
    assert_eq!(facts["scripts"], 1, "ours alone");
    assert_eq!((&facts["handlers"], &facts["hacked"]), (&0.into(), &false.into()));
    assert_eq!((&facts["unnamed"], &facts["idsTwice"], &facts["wide"]), (&0.into(), &0.into(), &false.into()));
    assert!(seen["loaded_seconds"].as_f64().unwrap() < 3.0, "{}", seen["loaded_seconds"]);
    for link in facts["links"].as_array().unwrap() {
        assert!(link.as_str().unwrap().starts_with('#') || link == "data:,", "{link}");
    }
    facts.clone()
}

/// The words of a page, as a reader sees them.
pub(crate) fn read(page: &Path) -> String {
    look(page, &[])["text"].as_str().unwrap().to_string()
}

fn verify(case: &Case, args: &[&str]) -> i32 {
    let mut all = vec!["verify", "--quiet", "--output", "report.html"];
    all.extend_from_slice(args);
    let run = case.run(&all);
    assert!(matches!(run.code, Some(0 | 1 | 3)), "{}", run.stderr);
    run.code.unwrap()
}

/// The shapes of a kind in a line, as (from, until, per cent from the left, per cent wide).
fn shapes(line: &Value, what: &str) -> Vec<(String, String, f64, f64)> {
    line["shapes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|shape| shape["what"] == what)
        .map(|shape| {
            let text = |name: &str| shape[name].as_str().unwrap().to_string();
            (text("from"), text("until"), shape["x"].as_f64().unwrap(), shape["width"].as_f64().unwrap())
        })
        .collect()
}

#[test]
fn the_picture_holds_the_planted_gaps_where_they_are() {
    let case = Case::new();
    let job = repository().join("fixtures/flights-outage/gapless.toml");
    assert_eq!(verify(&case, &["--job", job.to_str().unwrap()]), 1);
    for dress in [&["--width", "1200"][..], &["--dark"], &["--width", "400"]] {
        let facts = look(&case.path("report.html"), dress);
        let time = &facts["figures"][0];
        assert_eq!((&time["axis"], &time["from"]), (&"time".into(), &"2013-07-08T10:00:00Z".into()));
        // The worst first: the airport with the gap.
        let lines = time["lines"].as_array().unwrap();
        assert_eq!(lines[0]["series"], "{\"origin\":\"LGA\"}");
        // 16 hours are all; 15:00 is 5 hours in, and the gap is an hour and a half.
        let gaps = shapes(&lines[0], "g");
        assert_eq!(gaps, [("2013-07-08T15:00:00Z".into(), "2013-07-08T16:30:00Z".into(), 31.25, 9.375)]);
        assert!(lines[1..].iter().all(|line| shapes(line, "g").is_empty()));
        for line in lines {
            assert_eq!(shapes(line, "u"), [("2013-07-08T13:10:00Z".into(), "2013-07-08T17:45:00Z".into(), 19.7917, 28.6458)]);
        }
        // The planted changes are marked at their own times.
        let marks: Vec<String> = lines.iter().flat_map(|line| shapes(line, "d")).map(|(from, ..)| from).collect();
        for planted in ["2013-07-08T12:53:00Z", "2013-07-08T13:00:00Z", "2013-07-08T17:49:00Z"] {
            assert!(marks.iter().any(|mark| mark == planted), "{planted} in {marks:?}");
        }
        let sequence = &facts["figures"][1];
        let numbers: Vec<(String, String)> = sequence["lines"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|line| shapes(line, "g"))
            .map(|(from, until, ..)| (from, until))
            .collect();
        assert_eq!(numbers, [("52001".to_string(), "52034".to_string()), ("63038".to_string(), "63041".to_string())]);
        // Both values side by side, with what changed in them marked.
        let marks: Vec<&str> = facts["marks"].as_array().unwrap().iter().map(|mark| mark.as_str().unwrap()).collect();
        assert_eq!(marks, ["", "00", "822", "496", "13", "6"]);
        // Zoom and keyboard.
        let zoomed = &facts["zoomed"];
        let number = |name: &str| zoomed[name].as_f64().unwrap();
        assert!((number("within") / number("before") - 2.0).abs() < 0.001, "{zoomed}");
        assert_eq!(number("after"), number("before"));
        assert!(zoomed["tip"].as_str().unwrap().contains("2013-07-08"), "{zoomed}");
        let dark = facts["paper"] != "rgb(251, 250, 247)";
        assert_eq!(dark, dress.contains(&"--dark"), "{}", facts["paper"]);
    }
}

/// A hand on the page: the mouse over a shape tells its exact times and counts, a drag zooms to what was drawn over, a double click goes back,
/// the keyboard does the same, and what is printed is unfolded.
#[test]
fn the_picture_answers_mouse_and_keyboard() {
    let case = Case::new();
    let job = repository().join("fixtures/flights-outage/gapless.toml");
    assert_eq!(verify(&case, &["--job", job.to_str().unwrap()]), 1);
    let line = "document.querySelectorAll('figure.coverage')[0].querySelectorAll('svg.lanes')[0]";
    let middle = |shape: &str| {
        format!(
            "(() => {{ const r = {line}.querySelector('{shape}').getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; }})()"
        )
    };
    let along = |share: f64| {
        format!("(() => {{ const r = {line}.getBoundingClientRect(); return [r.left + r.width * {share}, r.top + r.height / 2]; }})()")
    };
    let tip = "(() => { const t = document.getElementById('tip'); const r = t.getBoundingClientRect(); \
               return t.hidden ? null : { text: [...t.children].map((c) => c.textContent), inside: r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight }; })()";
    let state = format!(
        "({{ zoomed: {line}.closest('figure').dataset.zoomed, gap: parseFloat({line}.querySelector('.g').getAttribute('width')), \
         x: parseFloat({line}.querySelector('.g').getAttribute('x')), tick: {line}.closest('figure').querySelector('.tick').textContent, \
         bands: document.querySelectorAll('.band').length, focus: document.activeElement.getAttribute('aria-label') }})"
    );
    let moved = |at: String| serde_json::json!({"mouse": "moved", "at": at});
    let read = |what: &str| serde_json::json!({"read": what});
    let key = |key: &str| serde_json::json!({"key": key});
    let acts = serde_json::json!([
        read(&format!("{line}.scrollIntoView({{ block: 'center' }})")),
        moved(middle("rect.g")),
        read(tip),
        moved(middle("rect.o")),
        read(tip),
        {"mouse": "moved", "at": "[5, 5]"},
        read(tip),
        // From a fifth to three fifths of the line.
        moved(along(0.2)),
        {"mouse": "pressed", "at": along(0.2)},
        {"mouse": "moved", "at": along(0.4), "held": true},
        read(&state),
        {"mouse": "moved", "at": along(0.6), "held": true},
        {"mouse": "released", "at": along(0.6)},
        read(&state),
        // The shapes answer where they are now.
        moved(middle("rect.g")),
        read(tip),
        {"mouse": "pressed", "at": along(0.5)},
        {"mouse": "released", "at": along(0.5)},
        {"mouse": "pressed", "at": along(0.5), "clicks": 2},
        {"mouse": "released", "at": along(0.5), "clicks": 2},
        read(&state),
        // A stroke that is let go outside of the picture ends there too.
        {"mouse": "pressed", "at": along(0.5)},
        {"mouse": "moved", "at": along(1.2), "held": true},
        {"mouse": "released", "at": along(1.2)},
        read(&state),
        read(&format!("{line}.focus()")),
        key("0"),
        key("ArrowRight"),
        read(tip),
        key("+"),
        read(&state),
        key("]"),
        key("-"),
        key("Escape"),
        read(tip),
        key("Tab"),
        read("document.activeElement.closest('svg.lanes') !== null || document.activeElement.tagName"),
        key("Tab"),
        read("addEventListener('beforeprint', () => { window.printed = [document.querySelectorAll('details:not([open])').length, \
              [...document.querySelectorAll('figure.coverage')].map((f) => f.dataset.zoomed)]; })"),
        {"print": true},
        read("[window.printed, document.querySelectorAll('details:not([open])').length > 0]"),
    ]);
    case.file("acts.json", acts.to_string());
    let seen = act(&case.path("report.html"), &case.path("acts.json"));
    let gap = &seen[1];
    assert_eq!(
        gap["text"],
        serde_json::json!(["missing on both sides", "2013-07-08T15:00:00Z to 2013-07-08T16:30:00Z", "3 missing", "origin=LGA"]),
        "{gap}"
    );
    assert_eq!(gap["inside"], true);
    assert!(seen[2]["text"][2].as_str().unwrap().ends_with(" rows"), "{}", seen[2]);
    assert_eq!(seen[3], Value::Null, "the tip goes with the mouse");
    assert!(seen[4]["bands"] == 1 && seen[4]["zoomed"] != "yes", "what is drawn over is seen: {}", seen[4]);
    let close = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 0.3;
    // 31.25 per cent from the left, of which 20 are gone, two and a half times as wide.
    assert!(close(&seen[5]["x"], (31.25 - 20.0) * 2.5) && close(&seen[5]["gap"], 9.375 * 2.5) && seen[5]["zoomed"] == "yes", "{}", seen[5]);
    assert_eq!(seen[5]["bands"], 0);
    assert!(seen[5]["tick"].as_str().unwrap().starts_with("2013-07-08 13:1"), "{}", seen[5]);
    assert_eq!(seen[6], *gap, "zoomed, a shape says the same");
    assert!(close(&seen[7]["gap"], 9.375) && seen[7]["zoomed"] == "no", "{}", seen[7]);
    assert!(close(&seen[8]["x"], 0.0) || seen[8]["zoomed"] == "yes", "{}", seen[8]);
    assert!(seen[10]["text"][1].as_str().unwrap().contains("2013-07-08"), "{}", seen[10]);
    assert!(close(&seen[11]["gap"], 9.375 * 2.0), "{}", seen[11]);
    assert_eq!(seen[12], Value::Null);
    assert_eq!(seen[13], true, "the next line is the next stop of the keyboard");
    assert_eq!(seen[15], serde_json::json!([[0, ["no", null]], true]), "printed unfolded, and folded again");
}

/// What acts on the page read, after asserting that the page kept quiet.
fn act(page: &Path, acts: &Path) -> Vec<Value> {
    let output = Command::new(python())
        .arg(repository().join("tests/python/browser.py"))
        .arg(chromium())
        .arg(page)
        .arg("--acts")
        .arg(acts)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    for quiet in ["said", "asked", "dialogs"] {
        assert_eq!(seen[quiet], serde_json::json!([]), "{quiet}");
    }
    seen["read"].as_array().unwrap().clone()
}

/// A mirror of the fixture: gaps of one side lie in its own lane, at both ends of the bounds too.
#[test]
fn the_picture_of_a_replica_says_whose_gap_it_is() {
    let case = Case::new();
    let rows = |skip: std::ops::Range<u32>| {
        let lines: String =
            (0..100_u32).filter(|at| !skip.contains(at)).map(|at| format!("{at},2024-05-06T{:02}:{:02}:00Z\n", at / 60, at % 60)).collect();
        format!("id,at\n{lines}")
    };
    case.file("a.csv", rows(20..30)).file("b.csv", rows(90..100));
    let code = verify(
        &case,
        &[
            "a.csv",
            "b.csv",
            "--key",
            "id",
            "--time",
            "at",
            "--cadence",
            "1m",
            "--from",
            "2024-05-06T00:00:00Z",
            "--until",
            "2024-05-06T01:40:00Z",
        ],
    );
    assert_eq!(code, 1);
    let facts = look(&case.path("report.html"), &[]);
    let line = &facts["figures"][0]["lines"][0];
    let gaps: Vec<(f64, f64, &str)> = line["shapes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|shape| shape["what"] == "g")
        .map(|shape| (shape["x"].as_f64().unwrap(), shape["width"].as_f64().unwrap(), shape["word"].as_str().unwrap()))
        .collect();
    assert_eq!(gaps, [(20.0, 10.0, "missing on the original"), (90.0, 10.0, "missing on the backfill")]);
    let rows: Vec<Option<u64>> =
        line["shapes"].as_array().unwrap().iter().filter(|shape| shape["what"] == "o").map(|shape| shape["rows"].as_u64()).collect();
    assert_eq!(rows, [Some(20), Some(70)]);
    assert_eq!(facts["reason"], "The backfill does not equal the original: 2 gaps, 10 missing keys, 10 unexpected keys.");
}

/// A silence that is no finding, such as a planned one, is drawn apart from what is missing, whatever it is called.
#[test]
fn a_silence_that_is_no_finding_is_drawn_apart() {
    use arrow::array::{RecordBatch, StringArray};
    let case = Case::new();
    let rows: String = (0..60).filter(|at| !(20..30).contains(at)).map(|at| format!("{at},2024-05-06T00:{at:02}:00Z\n")).collect();
    case.file("a.csv", format!("id,at\n{rows}"));
    assert_eq!(verify(&case, &["a.csv", "--key", "id", "--time", "at", "--cadence", "1m"]), 1);
    let run = std::fs::read_dir(case.path("gapless-report"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("run="))
        .unwrap();
    let path = run.join("gaps.parquet");
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
    let gaps = reader.build().unwrap().next().unwrap().unwrap();
    let at = gaps.schema().index_of("status").unwrap();
    let mut columns = gaps.columns().to_vec();
    columns[at] = std::sync::Arc::new(StringArray::from(vec!["planned"; gaps.num_rows()]));
    let gaps = RecordBatch::try_new(gaps.schema(), columns).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), gaps.schema(), None).unwrap();
    writer.write(&gaps).unwrap();
    writer.close().unwrap();
    assert_eq!(case.run(&["report", "--output", "report.html"]).code, Some(0));
    let line = &look(&case.path("report.html"), &[])["figures"][0]["lines"][0];
    assert_eq!(shapes(line, "g"), []);
    let [(from, until, ..)] = &shapes(line, "p")[..] else { panic!("{line}") };
    assert_eq!((from.as_str(), until.as_str()), ("2024-05-06T00:20:00Z", "2024-05-06T00:30:00Z"));
}

/// Planned interruptions are shaded where they lie, whether anything is missing there or not, and say why.
#[test]
fn planned_interruptions_are_shaded() {
    let case = Case::new();
    let rows: String =
        (0..100).filter(|at| !(20..30).contains(at)).map(|at| format!("{at},2024-05-06T{:02}:{:02}:00Z\n", at / 60, at % 60)).collect();
    case.file("a.csv", format!("id,at\n{rows}"));
    case.file(
        "job.toml",
        "[[stream]]\noriginal = \"a.csv\"\nkey = [\"id\"]\ntime = \"at\"\ncadence = \"1m\"\n\
         bounds = { from = \"2024-05-06T00:00:00Z\", until = \"2024-05-06T01:40:00Z\" }\n[stream.continuity]\n\
         maintenance = [{ from = \"2024-05-06T00:20:00Z\", until = \"2024-05-06T00:30:00Z\", reason = \"<b>firmware</b>\" },\n\
         { weekly = \"mon 00:50-00:55\" }, { from = \"2024-05-06T01:30:00Z\", until = \"2024-05-07T00:00:00Z\" }]\n",
    );
    assert_eq!(verify(&case, &["--job", "job.toml"]), 0);
    for again in [false, true] {
        if again {
            assert_eq!(case.run(&["report", "--output", "report.html"]).code, Some(0));
        }
        let facts = look(&case.path("report.html"), &[]);
        let line = &facts["figures"][0]["lines"][0];
        let shaded: Vec<(f64, f64, &str)> = line["shapes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|shape| shape["what"] == "m")
            .map(|shape| (shape["x"].as_f64().unwrap(), shape["width"].as_f64().unwrap(), shape["word"].as_str().unwrap()))
            .collect();
        assert_eq!(shaded, [(20.0, 10.0, "maintenance: <b>firmware</b>"), (50.0, 5.0, "maintenance"), (90.0, 10.0, "maintenance")]);
        assert_eq!(shapes(line, "g"), []);
        assert!(facts["text"].as_str().unwrap().contains("2024-05-06 00:20:00 to 2024-05-06 00:30:00 (<b>firmware</b>) and 2 more"));
    }
    let summary: Value = serde_json::from_str(&case.run(&["report", "--format", "json"]).stdout).unwrap();
    assert_eq!(summary["streams"][0]["maintenance"][1]["from"], "2024-05-06T00:50:00Z", "{}", summary["streams"][0]["maintenance"]);
}

/// Several streams: all in a table, the worst first below, each with what is its own.
#[test]
fn a_page_of_several_streams_leads_to_the_worst() {
    let case = Case::new();
    let rows: String = (0..50).map(|at| format!("{at},{at}\n")).collect();
    case.file("a.csv", format!("id,n\n{rows}")).file("none.csv", "id,n\n");
    case.file("b.csv", format!("id,n\n{}", rows.replace("7,7\n", "7,8\n")));
    let stream = |name: &str, original: &str, backfill: &str, more: &str| {
        format!("[[stream]]\nname = \"{name}\"\noriginal = \"{original}\"\nbackfill = \"{backfill}\"\nkey = [\"id\"]\n{more}\n")
    };
    case.file(
        "job.toml",
        stream("whole", "a.csv", "a.csv", "sequence = \"n\"")
            + &stream("empty", "none.csv", "none.csv", "")
            + &stream("changed", "a.csv", "b.csv", "sequence = \"n\""),
    );
    assert_eq!(verify(&case, &["--job", "job.toml"]), 1);
    let facts = look(&case.path("report.html"), &["--width", "700"]);
    assert_eq!(facts["reason"], "Of 3 streams, 1 failed, 1 could not be judged, 1 passed.");
    let titles: Vec<&str> = facts["sections"].as_array().unwrap().iter().map(|title| title.as_str().unwrap()).collect();
    let place = |title: &str| titles.iter().position(|own| *own == title).unwrap_or_else(|| panic!("no {title} in {titles:?}"));
    assert!(
        place("Streams") < place("Fail changed")
            && place("Fail changed") < place("Incomplete empty")
            && place("Incomplete empty") < place("Pass whole")
    );
    // A sequence without an event time has a picture too, with its own axis.
    let figures = facts["figures"].as_array().unwrap();
    assert!(figures.iter().all(|figure| figure["axis"] == "sequence") && figures.len() == 2);
    let ends: Vec<_> = shapes(&figures[1]["lines"][0], "o");
    assert_eq!(ends, [("0".to_string(), "50".to_string(), 0.0, 100.0)]);
}

/// Hundreds of series and thousands of differences: one page below 2 MB, the worst on top, the rest folded, and said where it is cut.
#[test]
fn a_large_run_stays_readable() {
    let case = Case::new();
    let (mut a, mut b) = ("id,at,device,note\n".to_string(), "id,at,device,note\n".to_string());
    let long = "a value that is rather long and says little; ".repeat(12);
    let mut id = 0;
    for device in 0..400 {
        for slot in 0..60 {
            id += 1;
            let row = format!("{id},2024-05-06T{:02}:{:02}:00Z,device-{device:03}", slot / 6, slot % 6 * 10);
            // The higher the number, the longer the gap; the last hundred are whole.
            if device >= 300 || !(10..10 + device / 20).contains(&slot) {
                a.push_str(&format!("{row},{long}\n"));
            }
            let changed = device < 300 && slot % 2 == 0;
            b.push_str(&format!("{row},{long}{}\n", if changed { "!" } else { "" }));
        }
    }
    case.file("a.csv", a).file("b.csv", b);
    assert_eq!(verify(&case, &["a.csv", "b.csv", "--key", "id", "--time", "at", "--series", "device", "--cadence", "10m"]), 1);
    let size = std::fs::metadata(case.path("report.html")).unwrap().len();
    assert!(size < 2_000_000, "{size} bytes");
    let facts = look(&case.path("report.html"), &[]);
    let lines = facts["figures"][0]["lines"].as_array().unwrap();
    assert_eq!(lines[0]["series"], "{\"device\":\"device-280\"}", "the longest gap is on top");
    assert!(lines.len() >= 300 && lines.iter().filter(|line| line["folded"] == false).count() == 12, "{}", lines.len());
    let html = std::fs::read_to_string(case.path("report.html")).unwrap();
    assert!(html.contains(" are shown"), "what is cut is said");
}

/// What those write into data who want a reader to run it.
const PAYLOADS: [&str; 16] = [
    "<script>window.hacked=1;alert(1)</script>",
    "\"><img src=x onerror=\"window.hacked=1\">",
    "'><svg onload=window.hacked=1>",
    "</script><script>window.hacked=1</script>",
    "</style></title></textarea></pre>--><script>window.hacked=1</script>",
    "javascript:window.hacked=1",
    "{{constructor.constructor('window.hacked=1')()}}${window.hacked=1}",
    "=cmd|' /C calc'!A0",
    "+1;=HYPERLINK(\"http://evil.example\")",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m",
    "abc\u{202e}fdp.exe\u{2066}\u{200b}",
    "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>&x;",
    "`` ` ``` | [x](javascript:alert(1)) <b> @everyone #1 www.evil.example",
    "\n::error::owned\n##[error]owned\r\n::set-output name=x::y",
    "a\"b\\n} 1\ngapless_run_verdict{verdict=\"pass\"} 1",
];

/// The payloads of those who write into data what a reader might run, in every place that data can fill and every output.
#[test]
fn hostile_data_is_inert_everywhere() {
    let payloads = PAYLOADS;
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let evil = payloads.join(" ");
    let case = Case::new();
    // Column names: one with everything in it, and no CSV header can say it otherwise.
    let column = quoted(&evil);
    let header = format!("{},at,{},{column}\n", quoted(payloads[0]), quoted(payloads[1]));
    let (mut a, mut b) = (header.clone(), header);
    for (at, payload) in payloads.iter().enumerate() {
        let (key, series) = (quoted(&format!("{payload}{at}")), quoted(payload));
        for hour in 0..4 {
            let row = |value: &str| format!("{key},2024-05-06T{:02}:{:02}:00Z,{series},{}\n", hour, at, quoted(value));
            // Each key once an hour makes it come more than once; the third hour is missing, the values differ.
            if hour != 2 {
                a.push_str(&row(payload));
                b.push_str(&row(payloads[(at + 1) % payloads.len()]));
            }
        }
    }
    case.file("a.csv", a).file("b.csv", b);
    let toml = |text: &str| serde_json::to_string(text).unwrap().replace("\\/", "/");
    let rule_name = toml(&evil.replace(['\n', '\r'], " "));
    case.file(
        "job.toml",
        format!(
            "name = {name}\n[[stream]]\nname = {name}\noriginal = \"a.csv\"\nbackfill = \"b.csv\"\nkey = [{key}, \"at\"]\ntime = \"at\"\nseries = [{series}]\ncadence = \"1h\"\n\
             [[stream.rule]]\nname = {rule_name}\nassert = {assert}\nseverity = \"warn\"\n",
            name = toml(&evil),
            key = toml(payloads[0]),
            series = toml(payloads[1]),
            assert = toml(&format!("length({}) < 3", quoted(&evil))),
        ),
    );
    are_inert(&case, 1);
}

/// Each payload at the very beginning of each place that data can fill: key, value, series, and the names of the column of each, of the stream
/// and of a rule.
#[test]
fn each_payload_is_inert_in_each_place() {
    let case = Case::new();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let toml = |text: &str| serde_json::to_string(text).unwrap().replace('\u{7f}', "\\u007f");
    let mut job = String::new();
    for (at, payload) in PAYLOADS.iter().enumerate() {
        // Names of columns are trimmed by nobody, but must differ.
        let (key, value) = (format!("{payload} "), format!("{payload}  "));
        let header = format!("at,{},{},{}\n", quoted(payload), quoted(&key), quoted(&value));
        let row = |hour: i32, value: &str| format!("2024-05-06T{hour:02}:00:00Z,{0},{0},{1}\n", quoted(payload), quoted(value));
        case.file(&format!("a{at}.csv"), format!("{header}{}{}{}", row(0, payload), row(1, payload), row(4, payload)));
        case.file(&format!("b{at}.csv"), format!("{header}{}{}", row(0, payload), row(1, &format!("{payload}!"))));
        job.push_str(&format!(
            "[[stream]]\nname = {name}\noriginal = \"a{at}.csv\"\nbackfill = \"b{at}.csv\"\nkey = [\"at\", {key}]\ntime = \"at\"\nseries = [{name}]\ncadence = \"1h\"\n\
             [[stream.rule]]\nname = {rule}\nassert = {assert}\n",
            name = toml(payload),
            key = toml(&key),
            rule = toml(&format!("{payload}{at}")),
            assert = toml(&format!("length({}) < 3", quoted(&value))),
        ));
        // What `init` writes of such columns is the job that it means.
        if at % 5 == 0 {
            let (a, b) = (format!("a{at}.csv"), format!("b{at}.csv"));
            let written = case.run(&["init", &a, &b, "--time", "at", "--keyless"]);
            assert_eq!(written.code, Some(0), "{}", written.stderr);
            let unseen =
                |c: &char| c.is_control() && *c != '\n' || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            assert_eq!(written.stdout.chars().find(unseen), None);
            let job: toml::Value = toml::from_str(&written.stdout).unwrap();
            assert_eq!(job["stream"].as_array().unwrap().len(), 1, "{}", written.stdout);
        }
    }
    case.file("job.toml", job);
    are_inert(&case, PAYLOADS.len());
}

/// Verifies the job of a case, and holds every output to be text and nothing else.
fn are_inert(case: &Case, streams: usize) {
    let mut args = vec!["verify", "--job", "job.toml"];
    let outputs: Vec<String> = SUFFIXES.iter().map(|suffix| format!("report.{suffix}")).collect();
    outputs.iter().for_each(|output| args.extend(["--output", output]));
    let run = case.run(&args);
    let payloads = PAYLOADS;
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    let read = |suffix: &str| std::fs::read_to_string(case.path(&format!("report.{suffix}"))).unwrap();

    // No output holds a character that a terminal acts on or that turns the writing, whatever it is printed to.
    let github = case.run(&["report", "--format", "github"]).stdout;
    case.file("report.github", &github);
    let shell = case.run(&["report", "--runs"]).stdout;
    let against = case.run(&["report", "--against", "latest", "--verbose"]).stdout;
    let mut all: Vec<(&str, String)> = SUFFIXES.iter().map(|suffix| (*suffix, read(suffix))).collect();
    // What the console makes of every query, and what `init` writes of such data, are outputs too.
    let script: String = gapless::console::READY_QUERIES.iter().map(|query| format!("@{}\n", query.id)).collect();
    case.file("all.sql", script + "SELECT original_value FROM findings;\nSELECT key FROM findings;\nSELECT message FROM findings;");
    for format in ["table", "records", "csv", "json", "jsonl"] {
        let answer = case.run(&["sql", "-f", "all.sql", "--format", format]);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        if format == "csv" {
            for line in answer.stdout.lines() {
                for formula in [",=", ",\"=", ",@", ",\"@", ",+", ",\"+"] {
                    assert!(!line.contains(formula), "{line}");
                }
                assert!(!line.starts_with(['=', '@', '+']), "{line}");
            }
        }
        all.push((format, answer.stdout));
        all.push(("stderr of sql", answer.stderr));
    }
    let refused = case.run(&["sql", "SELECT CAST(original_value AS BIGINT) FROM findings WHERE original_value IS NOT NULL"]);
    assert_eq!(refused.code, Some(2));
    all.push(("an error of sql", refused.stderr));
    all.extend([("stdout", run.stdout), ("stderr", run.stderr), ("github", github.clone()), ("runs", shell), ("against", against)]);
    for (name, text) in &all {
        let bad = text
            .chars()
            .find(|c| c.is_control() && *c != '\n' || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
        assert_eq!(bad, None, "{name}");
        for line in text.lines().filter(|_| *name != "github") {
            let line = line.trim_start();
            assert!(!line.starts_with("::") && !line.starts_with("##["), "{name}: {line}");
        }
    }
    for line in github.lines() {
        assert!(
            ["::error title=gapless", "::warning title=gapless", "::notice title=gapless"].iter().any(|ours| line.starts_with(ours)),
            "{line}"
        );
    }

    // The parsers see one run, and the data in its own places.
    let seen = understood(case.dir());
    assert_eq!(seen["junit"].as_array().unwrap().len(), streams);
    for suite in seen["junit"].as_array().unwrap() {
        assert_eq!(suite["counted"], suite["tests"]);
    }
    for row in seen["csv"].as_array().unwrap() {
        for (column, cell) in row.as_object().unwrap() {
            let cell = cell.as_str().unwrap();
            assert!(!cell.trim_start().starts_with(['=', '+', '-', '@', '\t', '\r']), "{column}: {cell}");
            assert!(!cell.contains(";="), "{column}: {cell}");
        }
    }
    let values: Vec<&str> = seen["jsonl"].as_array().unwrap().iter().filter_map(|line| line["original_value"].as_str()).collect();
    for payload in payloads {
        assert!(
            values.iter().any(|value| value.replace("\r\n", "\n") == payload.replace("\r\n", "\n")),
            "JSON keeps the value: {payload:?}"
        );
    }
    let verdicts = seen["prometheus"].as_object().unwrap().iter().filter(|(key, _)| key.starts_with("[\"gapless_run_verdict\"")).count();
    assert_eq!(verdicts, 3, "no sample came out of a label");
    let kinds: Vec<&str> = seen["markdown"]["kinds"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    for bad in ["html_block", "html_inline", "link_open", "image"] {
        assert!(!kinds.contains(&bad), "{kinds:?}");
    }
    for text in seen["markdown"]["texts"].as_array().unwrap() {
        let text = text.as_str().unwrap();
        assert!(!text.contains('@') && !text.contains("www.") && !text.contains('<'), "outside of code: {text}");
    }

    // And the browser runs nothing but ours.
    let facts = look(&case.path("report.html"), &[]);
    for element in facts["elements"].as_array().unwrap() {
        assert!(!["img", "iframe", "object", "embed", "form", "textarea", "base"].contains(&element.as_str().unwrap()), "{element}");
    }
    let codes: Vec<&str> = facts["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert!(codes.iter().any(|code| code.contains("<script>window.hacked=1;alert(1)</script>")), "the value is there to be read");
}
