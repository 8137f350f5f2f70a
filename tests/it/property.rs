//! The proof: clean streams, faults planted into them, and the binary run on the files. Three accounts must
//! agree: what was planted, what the oracle expects, and what gapless found. Nothing else may be found.
//!
//! Every test runs a fixed list of seeds and one drawn at random, which is printed when it fails.
//! `GAPLESS_SEEDS=n` draws n instead of one; `GAPLESS_SEED=s` runs the seed s alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken run must stop the test at once")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;

use super::oracle::{Expected, Finding, Gap, expect, judged};
use crate::common::faults::{Fault, Pair, Planted, Side};
use crate::common::files::{Format, Layout, columns_option, write_side};
use crate::common::generator::{AMOUNT, PRICE, QTY, Shape, TS};
use crate::common::job::{DAY_US, HOUR_US, Job, MINUTE_US, Mode, SECOND_US, Tolerance};
use crate::common::table::{Cell, Real, Row, Table, canonical_json, canonical_time, float_text};

const SEEDS: [u64; 12] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233];

/// The first `fixed` seeds of the list, and the ones drawn at random.
fn seeds(fixed: usize) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("GAPLESS_SEED") {
        return vec![seed];
    }
    let drawn = number("GAPLESS_SEEDS").unwrap_or(1);
    SEEDS[..fixed].iter().copied().chain((0..drawn).map(|_| rand::rng().random_range(1_000..u64::MAX >> 1))).collect()
}

// One run of the binary.

/// A run of `gapless verify` on two sides, or on one.
struct Case {
    label: String,
    job: Job,
    original: Table,
    backfill: Option<Table>,
    original_layout: Layout,
    backfill_layout: Layout,
    threads: usize,
    batch_size: Option<usize>,
    /// Further arguments about how it is run, which must change nothing.
    how: &'static [&'static str],
}

impl Case {
    fn of_pair(label: &str, job: &Job, pair: &Pair) -> Self {
        Self {
            label: label.to_owned(),
            job: job.clone(),
            original: pair.table(Side::Original),
            backfill: (job.mode != Mode::Single).then(|| pair.table(Side::Backfill)),
            original_layout: Layout::plain(),
            backfill_layout: Layout::plain(),
            threads: 2,
            batch_size: None,
            how: &[],
        }
    }

    fn laid_out(mut self, rng: &mut StdRng) -> Self {
        self.original_layout = Layout::any_parquet(rng);
        self.backfill_layout = Layout::any_parquet(rng);
        self.threads = rng.random_range(1..5);
        self.batch_size = rng.random_bool(0.3).then(|| rng.random_range(1..200));
        self
    }

    fn expected(&self) -> Expected {
        expect(&self.job, &self.original, self.backfill.as_ref())
    }

    fn run(&self) -> Run {
        let mut directory = TempDir::with_prefix("gapless-property-").unwrap();
        write_side(&directory.path().join("original"), &self.original, &self.original_layout);
        let mut arguments: Vec<String> = vec!["verify".into(), "original".into()];
        if let Some(backfill) = &self.backfill {
            write_side(&directory.path().join("backfill"), backfill, &self.backfill_layout);
            arguments.push("backfill".into());
        }
        arguments.extend(self.job.flags());
        arguments.extend(["--threads".into(), self.threads.to_string()]);
        arguments.extend(self.how.iter().map(|argument| (*argument).to_owned()));
        arguments.extend(["--report", "report", "--format", "json", "--no-progress"].map(String::from));
        for option in self.original_layout.format.side_options() {
            arguments.extend(["--original-opt".into(), option]);
        }
        let backfill_format = self.backfill.as_ref().map(|_| &self.backfill_layout.format);
        for option in backfill_format.map(Format::side_options).unwrap_or_default() {
            arguments.extend(["--backfill-opt".into(), option]);
        }
        // Where no side says its types, the command line does.
        if !self.original_layout.format.is_typed() && backfill_format.is_none_or(|format| !format.is_typed()) {
            arguments.extend(["--opt".into(), columns_option(&self.original.columns)]);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.args(&arguments).current_dir(directory.path()).env("NO_COLOR", "1");
        if let Some(rows) = self.batch_size {
            command.env("GAPLESS_BATCH_SIZE", rows.to_string());
        }
        let output = command.output().expect("the binary starts");
        let shown = format!(
            "{}\n  {:?} | {:?}\n  gapless {}\n  in {}",
            self.label,
            self.original_layout,
            self.backfill_layout,
            arguments.join(" "),
            directory.path().display()
        );
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap_or(-1);
        if !(0..=1).contains(&code) {
            directory.disable_cleanup(true);
            panic!("{shown}\nexit code {code}\n{stderr}");
        }
        let summary: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{shown}\nstdout is not JSON: {error}\n{stderr}"));
        let report = run_directory(&directory.path().join("report"));
        let mut findings = read_findings(&report.join("findings.parquet"), &self.original);
        let json = |layout: &Layout| matches!(layout.format, Format::Ndjson { .. });
        if json(&self.original_layout) || json(&self.backfill_layout) {
            // A number in JSON has no scale: 0.50 and 0.5 are one value, and either spelling is true.
            for finding in findings.iter_mut().filter(|finding| finding.column.as_deref() == Some("amount")) {
                for value in [&mut finding.original_value, &mut finding.backfill_value].into_iter().flatten() {
                    *value = two_places(value);
                }
            }
        }
        if self.job.key.is_empty() {
            // The row itself is the key, or there is none: that is left open.
            findings.iter_mut().for_each(|finding| finding.key = None);
        }
        let findings_file = fs::read(report.join("findings.parquet")).expect("the report holds the findings");
        Run { shown, code, summary, findings, findings_file, gaps: read_gaps(&report.join("gaps.parquet")), directory }
    }

    /// Runs, and holds the run against the oracle.
    fn prove(&self) -> Run {
        let mut run = self.run();
        let expected = self.expected();
        let complaints = run.complaints(&expected);
        if !complaints.is_empty() {
            run.directory.disable_cleanup(true);
            panic!("{}\n{}", run.shown, complaints.join("\n"));
        }
        run
    }
}

/// A decimal number with two digits after its point.
fn two_places(number: &str) -> String {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 2 { number.to_owned() } else { format!("{whole}.{fraction:0<2}") }
}

fn run_directory(report: &Path) -> PathBuf {
    let runs: Vec<PathBuf> = fs::read_dir(report)
        .expect("there is a report")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run=")))
        .collect();
    assert_eq!(runs.len(), 1, "one run in {}", report.display());
    runs.into_iter().next().unwrap()
}

struct Run {
    shown: String,
    code: i32,
    summary: Value,
    findings: Vec<Finding>,
    findings_file: Vec<u8>,
    gaps: Vec<(String, Gap)>,
    directory: TempDir,
}

impl Run {
    /// In what the run disagrees with the oracle: nothing, if all is well.
    fn complaints(&self, expected: &Expected) -> Vec<String> {
        let mut complaints = Vec::new();
        let (found, due) = (judged(&self.findings), judged(&expected.findings));
        complaints.extend(differences(&found, &due));
        if self.code != expected.exit_code() {
            complaints.push(format!("exit code {} instead of {}", self.code, expected.exit_code()));
        }
        let verdict = if expected.exit_code() == 0 { "pass" } else { "fail" };
        if self.summary["verdict"] != verdict {
            complaints.push(format!("verdict {} instead of {verdict}", self.summary["verdict"]));
        }
        let stream = &self.summary["streams"][0];
        for (name, due) in &expected.counts {
            if stream["counts"][name] != due.map_or(Value::Null, Value::from) {
                complaints.push(format!("counts.{name} is {} instead of {due:?}", stream["counts"][name]));
            }
        }
        complaints.extend(self.miscounted(stream));
        complaints.extend(self.misplaced_gaps(expected));
        let seams = self.findings.iter().filter(|finding| finding.check == "seam_overlap").count();
        if expected.overlaps && seams == 0 {
            complaints.push("the sides overlap and no seam_overlap is found".to_owned());
        }
        complaints.extend(one_side_a_check(&self.findings));
        complaints
    }

    /// The summary counts the findings that the table holds.
    fn miscounted(&self, stream: &Value) -> Vec<String> {
        let mut counted: BTreeMap<&str, i64> = BTreeMap::new();
        for finding in &self.findings {
            *counted.entry(&finding.check).or_default() += 1;
        }
        let said: BTreeMap<&str, i64> = stream["findings"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(check, count)| (check.as_str(), count.as_i64().unwrap_or(-1)))
            .filter(|(_, count)| *count != 0)
            .collect();
        if counted == said { Vec::new() } else { vec![format!("findings are {counted:?}, the summary says {said:?}")] }
    }

    fn misplaced_gaps(&self, expected: &Expected) -> Vec<String> {
        let mut found: Vec<Gap> = self.gaps.iter().filter(|(status, _)| status == "open").map(|(_, gap)| gap.clone()).collect();
        let mut due = expected.gaps.clone();
        // In a `fill` the table also keeps the original's own gaps.
        found.retain(|gap| due.iter().any(|due| due.side == gap.side) || gap.side == "recovered");
        for gap in found.iter_mut().chain(&mut due) {
            if gap.kind == "time" && due_without_cadence(expected) {
                gap.missing_estimate = None;
            }
        }
        found.sort();
        due.sort();
        let missing = due.iter().filter(|gap| !found.contains(gap));
        let extra = found.iter().filter(|gap| !due.contains(gap));
        missing
            .map(|gap| format!("gaps table: not there: {gap:?}"))
            .chain(extra.map(|gap| format!("gaps table: not due: {gap:?}")))
            .collect()
    }
}

/// Without a cadence nobody can say how many rows a gap has lost.
fn due_without_cadence(expected: &Expected) -> bool {
    expected.gaps.iter().any(|gap| gap.kind == "time" && gap.missing_estimate.is_none())
}

fn differences(found: &[Finding], due: &[Finding]) -> Vec<String> {
    let mut left: Vec<&Finding> = due.iter().collect();
    let mut extra: Vec<&Finding> = Vec::new();
    for finding in found {
        match left.iter().position(|due| *due == finding) {
            Some(at) => drop(left.swap_remove(at)),
            None => extra.push(finding),
        }
    }
    left.sort();
    let show = |word: &str, findings: Vec<&Finding>| -> Vec<String> {
        let more = findings.len().saturating_sub(12);
        let mut lines: Vec<String> = findings.iter().take(12).map(|finding| format!("{word}: {}", brief(finding))).collect();
        if more > 0 {
            lines.push(format!("{word}: and {more} more"));
        }
        lines
    };
    show("not found", left).into_iter().chain(show("found beside it", extra)).collect()
}

/// A finding in a line: only the fields that say something.
fn brief(finding: &Finding) -> String {
    let fields = [
        Some(format!("{} {}", finding.check, finding.severity)),
        finding.kind.as_ref().map(|kind| format!("kind={kind}")),
        finding.side.as_ref().map(|side| format!("side={side}")),
        finding.series.as_ref().map(|series| format!("series={series}")),
        finding.key.as_ref().map(|key| format!("key={key}")),
        finding.column.as_ref().map(|column| format!("{column}: {:?} | {:?}", finding.original_value, finding.backfill_value)),
        finding.column.is_none().then(|| finding.original_value.clone().or(finding.backfill_value.clone())).flatten(),
        finding.window_us.map(|(from, until)| format!("window=[{}, {})", time(from), time(until))),
        finding.times_us.map(|(from, until)| format!("[{}, {})", time(from), time(until))),
        finding.sequences.map(|(from, until)| format!("sequence=[{from}, {until})")),
        finding.rows.map(|rows| format!("rows={rows}")),
    ];
    fields.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn time(us: i64) -> String {
    crate::common::table::time_text(us)
}

/// Which side a missing key is said to be on is a convention, and one convention holds for a whole run.
fn one_side_a_check(findings: &[Finding]) -> Option<String> {
    for check in ["missing_key", "unexpected_key", "missing_row", "unexpected_row", "missing_series", "unexpected_series"] {
        let sides: BTreeSet<&Option<String>> =
            findings.iter().filter(|finding| finding.check == check).map(|finding| &finding.side).collect();
        if sides.len() > 1 {
            return Some(format!("{check} is said of several sides: {sides:?}"));
        }
    }
    None
}

// Reading the report.

fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("a column {name}")).as_string::<i32>();
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn time_range(batch: &RecordBatch, from: &str, until: &str, row: usize) -> Option<(i64, i64)> {
    let at = |name: &str| {
        let column = batch.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>();
        column.is_valid(row).then(|| column.value(row))
    };
    at(from).zip(at(until))
}

fn sequence_range(batch: &RecordBatch, row: usize) -> Option<(i128, i128)> {
    let at = |name: &str| {
        let column = batch.column_by_name(name).unwrap().as_primitive::<Decimal128Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    at("from_sequence").zip(at("until_sequence"))
}

fn number(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name).unwrap().as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn canonical(json: Option<String>) -> Option<String> {
    let json = json?;
    let value: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("not JSON: {json}: {error}"));
    // A stream that is not split in series may say so in two ways.
    (value != Value::Object(serde_json::Map::new())).then(|| canonical_json(&value))
}

fn read_findings(path: &Path, table: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    for batch in batches(path) {
        for row in 0..batch.num_rows() {
            let check = text(&batch, "check", row).expect("a finding has a check");
            let column = text(&batch, "column_name", row);
            let value = |name: &str| {
                let value = text(&batch, name, row)?;
                if check == "missing_row" || check == "unexpected_row" {
                    return canonical(Some(value));
                }
                let Some(column) = column.as_deref().filter(|name| table.columns.iter().any(|c| c.name == *name)) else {
                    return Some(value);
                };
                Some(match column {
                    "price" => value.parse().map_or(value, float_text),
                    "ts" => canonical_time(&value),
                    _ => value,
                })
            };
            findings.push(Finding {
                kind: text(&batch, "kind", row),
                severity: text(&batch, "severity", row).expect("a finding has a severity"),
                side: text(&batch, "side", row),
                series: canonical(text(&batch, "series", row)),
                key: canonical(text(&batch, "key", row)),
                original_value: value("original_value"),
                backfill_value: value("backfill_value"),
                column,
                check,
                window_us: time_range(&batch, "window_start", "window_end", row),
                times_us: time_range(&batch, "from_time", "until_time", row),
                sequences: sequence_range(&batch, row),
                rows: number(&batch, "rows", row),
            });
        }
    }
    findings
}

/// Each gap with its status.
fn read_gaps(path: &Path) -> Vec<(String, Gap)> {
    let mut gaps = Vec::new();
    for batch in batches(path) {
        for row in 0..batch.num_rows() {
            let kind = text(&batch, "kind", row).expect("a gap has a kind");
            let (from, until) = if kind == "sequence" {
                sequence_range(&batch, row).expect("a sequence gap is a range")
            } else {
                let (from, until) = time_range(&batch, "from_time", "until_time", row).expect("a gap is a range");
                (i128::from(from), i128::from(until))
            };
            let status = text(&batch, "status", row).expect("a gap has a status");
            gaps.push((
                status,
                Gap {
                    series: canonical(text(&batch, "series", row)),
                    side: text(&batch, "side", row).expect("a gap has a side"),
                    kind,
                    from,
                    until,
                    missing_estimate: number(&batch, "missing_estimate", row),
                },
            ));
        }
    }
    gaps
}

// Planted truth against the oracle.

/// Checks of which planting lists every consequence, unless a fault says that it does not.
const LISTED: [&str; 9] = [
    "missing_key",
    "unexpected_key",
    "missing_row",
    "unexpected_row",
    "value_mismatch",
    "duplicate_key",
    "null_key",
    "gap",
    "sequence_gap",
];

fn fits(planted: &Planted, finding: &Finding) -> bool {
    let says = |said: Option<&str>, has: &Option<String>| said.is_none_or(|said| has.as_deref() == Some(said));
    finding.check == planted.check
        && says(planted.severity, &Some(finding.severity.clone()))
        && says(planted.kind, &finding.kind)
        && says(planted.side, &finding.side)
        && says(planted.series.as_deref(), &finding.series)
        && says(planted.key.as_deref(), &finding.key)
        && says(planted.column, &finding.column)
        && planted
            .values
            .as_ref()
            .is_none_or(|(original, backfill)| finding.original_value == *original && finding.backfill_value == *backfill)
        && planted.times_us.is_none_or(|times| finding.times_us == Some(times))
        && planted.sequences.is_none_or(|(from, until)| finding.sequences == Some((i128::from(from), i128::from(until))))
        && planted.rows.is_none_or(|rows| finding.rows == Some(rows))
}

/// Everything planted is expected, and of the listed checks nothing that was not planted.
fn hold_against_planted(case: &Case, pair: &Pair) {
    let (label, expected) = (&case.label, case.expected());
    // Series that are judged as one stream cover for each other, and windows are no matter of neighbours.
    let gaps_are_planted = !case.job.series.is_empty() && case.job.cadence_us.is_some();
    let mut left: Vec<&Finding> = expected.findings.iter().collect();
    for planted in &pair.planted {
        match left.iter().position(|finding| fits(planted, finding)) {
            // Counted in one finding a side, however often they are planted.
            Some(_) if ["null_time", "row_outside_bounds"].contains(&planted.check) => {}
            Some(at) => drop(left.swap_remove(at)),
            None if pair.unsettled.contains(planted.check) => {}
            None => panic!("{label}: planted, but the oracle does not expect it: {planted:?}"),
        }
    }
    let unplanned = left.iter().find(|finding| {
        let check = finding.check.as_str();
        LISTED.contains(&check) && !pair.unsettled.contains(check) && (gaps_are_planted || check != "gap")
    });
    if let Some(finding) = unplanned {
        panic!("{label}: the oracle expects what was not planted: {}", brief(finding));
    }
}

// Jobs and streams to draw from.

fn shape(rng: &mut StdRng) -> Shape {
    let mut shape = Shape::new(rng.random(), rng.random_range(2..5), rng.random_range(60..240));
    shape.jitter = rng.random_bool(0.7);
    shape.wide_integers = rng.random_bool(0.5);
    shape.cadence_us = [MINUTE_US, SECOND_US, 10 * MINUTE_US, 250_000][rng.random_range(0..4)];
    // Also a stream that crosses 1970, where division of times rounds the wrong way.
    if rng.random_bool(0.2) {
        shape.start_us = -20 * shape.cadence_us;
    }
    shape
}

fn job(rng: &mut StdRng, mode: Mode, shape: &Shape) -> Job {
    let keys = [vec!["id"], vec!["code"], vec!["id", "code"], vec!["device", "ts"]];
    let key = keys[rng.random_range(0..keys.len())].clone();
    let mut job = Job {
        mode,
        cadence_us: Some(shape.cadence_us),
        max_silence_us: rng.random_bool(0.15).then_some(shape.cadence_us * 3),
        sequence: rng.random_bool(0.7).then_some("seq"),
        window_us: rng.random_bool(0.5).then_some(shape.cadence_us * 10),
        bounds_us: rng.random_bool(0.5).then(|| shape.bounds_us()),
        ignore: if rng.random_bool(0.2) { vec!["kind"] } else { Vec::new() },
        duplicates_all: rng.random_bool(0.7),
        key,
        ..Job::default()
    };
    match rng.random_range(0..12) {
        // By windows alone.
        0 => (job.cadence_us, job.max_silence_us) = (None, None),
        // All series as one stream: their sequences are not one counter.
        1 => (job.series, job.sequence) = (Vec::new(), None),
        // Without event time, by sequence alone.
        2 => {
            (job.time, job.bounds_us, job.window_us) = (None, None, None);
            (job.cadence_us, job.max_silence_us) = (None, None);
            job.sequence = Some("seq");
        }
        3 => {
            job.ignore.clear();
            job.columns = Some(vec!["id", "code", "device", "ts", "seq", "qty", "note", "amount"]);
        }
        _ => {}
    }
    if job.cadence_us.is_none() && job.time.is_some() {
        job.window_us = Some(shape.cadence_us * 2);
    }
    job
}

/// The same job with a key under which the fault has a meaning.
fn job_for(fault: Fault, job: &Job, shape: &Shape) -> Job {
    let mut job = job.clone();
    match fault {
        Fault::NullKeyOnBothSides | Fault::NullKeyOnOneSide => job.key = vec!["id", "code"],
        Fault::ShiftTimeZone | Fault::MoveToOtherWindow | Fault::SwapTimes | Fault::NullTime => job.key = vec!["id"],
        Fault::RowsOutsideBounds => {
            (job.time, job.bounds_us) = (Some("ts"), Some(shape.bounds_us()));
        }
        Fault::MissingSeries | Fault::UnexpectedSeries => job.series = vec!["device"],
        Fault::DropStretch(_) | Fault::DropRow(_) | Fault::HoleLeft | Fault::HoleUnfilled => {
            (job.time, job.series) = (Some("ts"), vec!["device"]);
            (job.cadence_us, job.max_silence_us) = (Some(shape.cadence_us), None);
        }
        Fault::AlikeCopies => job.duplicates_all = true,
        _ => {}
    }
    job
}

/// A value that means the same in other bits.
fn say_otherwise(table: &mut Table) {
    for row in &mut table.rows {
        if let Cell::Float(Real(value)) = &mut row[PRICE] {
            if *value == 0.0 {
                *value = -0.0;
            } else if value.is_nan() {
                *value = f64::from_bits(0xFFF8_0000_0000_0001);
            }
        }
    }
}

// The properties.

#[test]
fn a_clean_stream_passes() {
    for seed in seeds(9) {
        let mut rng = StdRng::seed_from_u64(seed);
        let (original_layout, backfill_layout) = (Layout::any(&mut rng), Layout::any(&mut rng));
        let mut shape = shape(&mut rng);
        let formats = [&original_layout.format, &backfill_layout.format];
        shape.empty_text = formats.iter().all(|format| format.tells_empty_text());
        shape.special_floats = formats.iter().all(|format| format.tells_special_floats());
        let mode = [Mode::Replica, Mode::Replica, Mode::Fill, Mode::Single][rng.random_range(0..4)];
        let mut job = job(&mut rng, mode, &shape);
        if mode == Mode::Replica && rng.random_bool(0.2) {
            job.key.clear();
            // Whole rows are told apart by their text here, and −0.0 has two.
            shape.special_floats = false;
        }
        let pair = Pair::clean(&shape, mode);
        let mut case = Case::of_pair(&format!("seed {seed}: clean {mode:?}"), &job, &pair);
        case.original_layout = original_layout;
        case.backfill_layout = backfill_layout;
        case.backfill.as_mut().into_iter().for_each(say_otherwise);
        let run = case.prove();
        assert_eq!(run.code, 0, "{}", run.shown);
        let loud = run.findings.iter().find(|finding| finding.severity != "info");
        assert!(loud.is_none(), "{}\n{loud:?}", run.shown);
    }
}

fn each_fault_alone(mode: Mode, faults: &[Fault]) {
    for (number, fault) in faults.iter().enumerate() {
        let seed = seeds(1)[0] + number as u64;
        let mut rng = StdRng::seed_from_u64(seed);
        let shape = shape(&mut rng);
        let job = job_for(*fault, &job(&mut rng, mode, &shape), &shape);
        let mut pair = Pair::clean(&shape, mode);
        let label = format!("seed {seed}: {fault:?} alone in {mode:?}");
        assert!(pair.plant(*fault, &job, &mut rng), "{label}: cannot be planted");
        assert!(!pair.planted.is_empty(), "{label}: nothing is planted");
        let mut case = Case::of_pair(&label, &job, &pair).laid_out(&mut rng);
        hold_against_planted(&case, &pair);
        case.backfill.as_mut().into_iter().for_each(say_otherwise);
        let screened = case.prove();
        // The exact join of everything finds the same, to the byte, and so does a run that may hold next to nothing.
        for how in
            [&["--verify", "full"][..], &["--memory", "16MiB"], &["--verify", "full", "--memory", "16MiB"], &["--no-shortcut", "all"]]
        {
            case.how = how;
            let mut run = case.run();
            if run.findings_file != screened.findings_file {
                run.directory.disable_cleanup(true);
                let told = differences(&judged(&run.findings), &judged(&screened.findings));
                panic!("{}\nthe bytes of the findings differ from the screen's\n{}", run.shown, told.join("\n"));
            }
        }
    }
}

#[test]
fn each_fault_alone_is_found_in_a_replica() {
    each_fault_alone(Mode::Replica, &Fault::REPLICA);
}

#[test]
fn each_fault_alone_is_found_in_a_fill() {
    each_fault_alone(Mode::Fill, &Fault::FILL);
}

#[test]
fn each_fault_alone_is_found_on_one_side() {
    each_fault_alone(Mode::Single, &Fault::SINGLE);
}

/// A stream with several faults of kinds drawn at random.
fn mixture(rng: &mut StdRng, mode: Mode, keyless: bool) -> (Job, Pair) {
    let mut shape = shape(rng);
    let mut job = job(rng, mode, &shape);
    if keyless {
        job.key.clear();
        shape.special_floats = false;
    }
    let mut pair = Pair::clean(&shape, mode);
    let mut faults: Vec<Fault> = match mode {
        Mode::Replica => Fault::REPLICA.to_vec(),
        Mode::Fill => Fault::FILL.to_vec(),
        Mode::Single => Fault::SINGLE.to_vec(),
    };
    // Kinds come again; a fault for which no zone is left is not planted.
    faults.extend(faults.clone());
    faults.shuffle(rng);
    // Whole series first: they need one that nothing has touched yet.
    faults.sort_by_key(|fault| !matches!(fault, Fault::ShiftTimeZone | Fault::MissingSeries | Fault::UnexpectedSeries));
    let wanted = rng.random_range(4..30);
    let mut planted = 0;
    for fault in faults {
        if planted < wanted && pair.plant(fault, &job, rng) {
            planted += 1;
        }
    }
    (job, pair)
}

#[test]
fn the_oracle_expects_what_was_planted() {
    // Without the binary, so that many more streams can be tried.
    let drawn: Vec<u64> = seeds(12).into_iter().flat_map(|seed| (0..8).map(move |more| seed.wrapping_add(more << 32))).collect();
    for seed in drawn {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xA5A5);
        let mode = [Mode::Replica, Mode::Replica, Mode::Fill, Mode::Single][rng.random_range(0..4)];
        let keyless = mode == Mode::Replica && rng.random_bool(0.25);
        let (job, pair) = mixture(&mut rng, mode, keyless);
        let label = format!("seed {seed}: mixture in {mode:?}");
        hold_against_planted(&Case::of_pair(&label, &job, &pair), &pair);
    }
}

#[test]
fn mixtures_of_faults_are_found_and_nothing_else() {
    for seed in seeds(12) {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xA5A5);
        let mode = [Mode::Replica, Mode::Replica, Mode::Fill, Mode::Single][rng.random_range(0..4)];
        let keyless = mode == Mode::Replica && rng.random_bool(0.25);
        let (job, pair) = mixture(&mut rng, mode, keyless);
        let label = format!("seed {seed}: mixture in {mode:?}");
        let mut case = Case::of_pair(&label, &job, &pair).laid_out(&mut rng);
        hold_against_planted(&case, &pair);
        case.backfill.as_mut().into_iter().for_each(say_otherwise);
        case.prove();
    }
}

#[test]
fn mixtures_are_found_in_every_format() {
    for seed in seeds(5) {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xF0F0);
        let (original_layout, backfill_layout) = (Layout::any(&mut rng), Layout::any(&mut rng));
        let mut shape = shape(&mut rng);
        let formats = [&original_layout.format, &backfill_layout.format];
        shape.empty_text = formats.iter().all(|format| format.tells_empty_text());
        shape.special_floats = formats.iter().all(|format| format.tells_special_floats());
        let job = job(&mut rng, Mode::Replica, &shape);
        let mut pair = Pair::clean(&shape, Mode::Replica);
        for fault in [Fault::DropStretch(Side::Backfill), Fault::AlterCell, Fault::AlterCell, Fault::SwapValues, Fault::Replay] {
            assert!(pair.plant(fault, &job, &mut rng), "seed {seed}: {fault:?} cannot be planted");
        }
        let mut case = Case::of_pair(&format!("seed {seed}: mixture in files"), &job, &pair);
        case.original_layout = original_layout;
        case.backfill_layout = backfill_layout;
        case.prove();
    }
}

#[test]
fn the_findings_keep_every_byte_however_the_run_is_cut() {
    for seed in seeds(1) {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xBEEF);
        let keyless = rng.random_bool(0.2);
        let (job, pair) = mixture(&mut rng, Mode::Replica, keyless);
        let label = format!("seed {seed}: the same");
        let first = Case::of_pair(&label, &job, &pair).prove();
        let parquet = |compression, row_group_rows| Format::Parquet { compression, row_group_rows };
        let cuts = [
            ("row order", parquet(Compression::SNAPPY, 1 << 20), 1, 2, None),
            ("many files, one thread", parquet(Compression::UNCOMPRESSED, 1 << 20), 5, 1, None),
            ("small row groups, four threads", parquet(Compression::ZSTD(Default::default()), 13), 2, 4, None),
            ("small batches", parquet(Compression::LZ4_RAW, 64), 3, 4, Some(7)),
            ("Arrow files", Format::ArrowFile, 2, 2, Some(100)),
        ];
        for (cut, format, files, threads, batch_size) in cuts {
            let mut case = Case::of_pair(&format!("{label}, {cut}"), &job, &pair);
            case.original_layout = Layout { format: format.clone(), files, order_seed: Some(rng.random()) };
            case.backfill_layout = Layout { format, files, order_seed: Some(rng.random()) };
            (case.threads, case.batch_size) = (threads, batch_size);
            let mut run = case.run();
            if run.findings_file != first.findings_file {
                run.directory.disable_cleanup(true);
                let told = differences(&judged(&run.findings), &judged(&first.findings));
                panic!("{}\nthe bytes of the findings differ from the first run's\n{}", run.shown, told.join("\n"));
            }
        }
    }
}

#[test]
fn a_fill_says_what_became_of_the_originals_gaps() {
    for (keyless, cadence_given) in [(false, true), (true, true), (false, false)] {
        let seed = SEEDS[0];
        let mut rng = StdRng::seed_from_u64(seed);
        let mut shape = Shape::new(seed, 3, 90);
        shape.special_floats = !keyless;
        let mut job = Job { mode: Mode::Fill, ..Job::default() };
        if keyless {
            job.key.clear();
        }
        if !cadence_given {
            (job.cadence_us, job.window_us) = (None, Some(2 * MINUTE_US));
        }
        let mut pair = Pair::clean(&shape, Mode::Fill);
        assert!(pair.plant(Fault::HoleLeft, &job, &mut rng));
        assert!(pair.plant(Fault::HoleUnfilled, &job, &mut rng));
        if keyless {
            assert!(pair.plant(Fault::OverlapAlike, &job, &mut rng));
        }
        let label = format!("fill, keyless {keyless}, cadence {cadence_given}");
        let run = Case::of_pair(&label, &job, &pair).prove();
        let mut told: Vec<&str> =
            run.gaps.iter().filter(|(_, gap)| gap.side == "original" && gap.kind == "time").map(|(status, _)| status.as_str()).collect();
        told.sort_unstable();
        assert_eq!(told, ["filled", "open", "partly_filled"], "{}", run.shown);
    }
}

/// What the finding becomes when the sides trade places.
fn mirrored(mut finding: Finding) -> Finding {
    let pairs = [("missing_key", "unexpected_key"), ("missing_row", "unexpected_row"), ("missing_series", "unexpected_series")];
    for (one, other) in pairs {
        if finding.check == one {
            finding.check = other.to_owned();
            if other == "unexpected_series" {
                finding.severity = "warn".to_owned();
            }
        } else if finding.check == other {
            finding.check = one.to_owned();
            finding.severity = "error".to_owned();
        }
    }
    // A missing key is missing on the backfill and an unexpected one is there: their side says nothing of its own.
    if pairs.iter().any(|(one, other)| finding.check == *one || finding.check == *other) {
        std::mem::swap(&mut finding.original_value, &mut finding.backfill_value);
        return finding;
    }
    finding.side = finding.side.map(|side| match side.as_str() {
        "original" => "backfill".to_owned(),
        "backfill" => "original".to_owned(),
        _ => side,
    });
    std::mem::swap(&mut finding.original_value, &mut finding.backfill_value);
    finding
}

#[test]
fn swapping_the_sides_mirrors_the_findings() {
    for seed in seeds(3) {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5A5A);
        let keyless = rng.random_bool(0.2);
        let (job, pair) = mixture(&mut rng, Mode::Replica, keyless);
        let there = Case::of_pair(&format!("seed {seed}: there"), &job, &pair).laid_out(&mut rng);
        let mut back = Case::of_pair(&format!("seed {seed}: and back"), &job, &pair).laid_out(&mut rng);
        back.original = pair.table(Side::Backfill);
        back.backfill = Some(pair.table(Side::Original));
        let (there, back) = (there.run(), back.prove());
        // Every field but the message: also those that the oracle leaves open.
        let mut due: Vec<Finding> = there.findings.into_iter().map(mirrored).collect();
        let mut found = back.findings;
        due.sort();
        found.sort();
        let told = differences(&found, &due);
        assert!(told.is_empty(), "{}\nnot the mirror image\n{}", back.shown, told.join("\n"));
    }
}

#[test]
fn what_a_tolerance_allows_is_no_finding_and_the_rest_is() {
    for seed in seeds(3) {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x7070);
        let mut shape = shape(&mut rng);
        // A tolerance in time is not to open or close a gap here.
        (shape.jitter, shape.cadence_us) = (false, MINUTE_US);
        let tolerance = [
            ("price", Tolerance { abs: 0.5, rel: 0.0 }),
            ("amount", Tolerance { abs: 0.01, rel: 0.0 }),
            ("qty", Tolerance { abs: 1.0, rel: 0.001 }),
            ("ts", Tolerance { abs: 1_000.0, rel: 0.0 }),
        ];
        let job = Job {
            key: vec!["id"],
            cadence_us: Some(shape.cadence_us),
            sequence: Some("seq"),
            tolerance: BTreeMap::from(tolerance),
            ..Job::default()
        };
        let pair = Pair::clean(&shape, Mode::Replica);
        let mut case = Case::of_pair(&format!("seed {seed}: tolerances"), &job, &pair).laid_out(&mut rng);
        let backfill = case.backfill.as_mut().unwrap();
        let mut moved = 0;
        for row in &mut backfill.rows {
            moved += usize::from(perturb(&mut rng, row));
        }
        // Copies, of which the nearest pair up.
        let copies: Vec<Row> = backfill.rows.iter().take(3).cloned().collect();
        case.original.rows.extend(copies.iter().cloned());
        backfill.rows.extend(copies);
        let run = case.prove();
        let found = run.findings.iter().filter(|finding| finding.check == "value_mismatch").count();
        assert!(moved > 0 && found > 0 && found < moved, "{}: {found} of {moved}", run.shown);
    }
}

/// Moves at most one value of the row by a step that a tolerance may allow; says whether it moved one.
fn perturb(rng: &mut StdRng, row: &mut Row) -> bool {
    let sign = if rng.random_bool(0.5) { 1 } else { -1 };
    match (rng.random_range(0..8), row) {
        (0, row) => match &mut row[PRICE] {
            Cell::Float(Real(value)) if value.is_finite() => {
                *value += f64::from(sign) * [0.25, 0.49, 0.51, 4.0][rng.random_range(0..4)];
                true
            }
            _ => false,
        },
        (1, row) => match &mut row[AMOUNT] {
            Cell::Decimal(cents) => {
                *cents += i64::from(sign) * [1, 1, 2, 100][rng.random_range(0..4)];
                true
            }
            _ => false,
        },
        (2, row) => match &mut row[QTY] {
            Cell::Int(value) => {
                *value += i64::from(sign) * [1, 2, 900, 2_000][rng.random_range(0..4)];
                true
            }
            _ => false,
        },
        (3, row) => match &mut row[TS] {
            Cell::Time(us) => {
                *us += [1, 999, 1_000, 1_001, 5_000][rng.random_range(0..5)];
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[test]
fn windows_in_a_time_zone_are_right_when_clocks_change() {
    use chrono_tz::{America::New_York, Asia::Kolkata, Europe::Berlin};
    // The local days around a change of clocks, from local midnight to local midnight, and the width of a window.
    let stretches = [
        (New_York, "2022-03-11T05:00:00Z", "2022-03-16T04:00:00Z", DAY_US),
        (New_York, "2022-11-04T04:00:00Z", "2022-11-09T05:00:00Z", DAY_US),
        (New_York, "2022-11-06T04:00:00Z", "2022-11-07T05:00:00Z", HOUR_US),
        (Berlin, "2022-03-25T23:00:00Z", "2022-03-29T22:00:00Z", DAY_US),
        (Kolkata, "2022-03-25T18:30:00Z", "2022-03-26T18:30:00Z", HOUR_US),
    ];
    for (number, (zone, from, until, width)) in stretches.into_iter().enumerate() {
        for bounds_given in [true, false] {
            let seed = SEEDS[number];
            let mut rng = StdRng::seed_from_u64(seed);
            let bound = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
            let bounds = (bound(from), bound(until));
            let mut shape = Shape::new(seed, 2, 0);
            (shape.start_us, shape.cadence_us, shape.jitter) = (bounds.0, width / 96, false);
            shape.rows_per_series = ((bounds.1 - bounds.0) / shape.cadence_us) as usize;
            let job = Job {
                key: vec!["id"],
                cadence_us: None,
                sequence: None,
                window_us: Some(width),
                time_zone: Some(zone),
                bounds_us: bounds_given.then_some(bounds),
                ..Job::default()
            };
            let pair = Pair::clean(&shape, Mode::Replica);
            let mut case = Case::of_pair(&format!("{zone} {from} by {}", width / HOUR_US), &job, &pair).laid_out(&mut rng);
            // Whole local windows are lost, and single rows at the very start and end of others.
            let backfill = case.backfill.as_mut().unwrap();
            let windows: Vec<i64> = (0..6).map(|_| rng.random_range(bounds.0..bounds.1)).collect();
            let lost: BTreeSet<i64> = windows.iter().map(|t| t.div_euclid(HOUR_US)).collect();
            let day_lost = rng.random_range(bounds.0 + DAY_US / 2..bounds.1 - DAY_US / 4);
            backfill.rows.retain(|row| {
                let t = row[TS].time_us().unwrap();
                let keep_hour = !lost.contains(&t.div_euclid(HOUR_US)) && !lost.contains(&(t - HOUR_US / 2).div_euclid(HOUR_US));
                let keep_day = width != DAY_US || (t - day_lost).abs() > 20 * HOUR_US;
                keep_hour && keep_day
            });
            let expected = case.expected();
            assert!(!expected.gaps.is_empty() || width == DAY_US, "{}: no window is lost", case.label);
            case.prove();
        }
    }
}
