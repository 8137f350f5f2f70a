//! What every integration test here stands on: a directory that is thrown away, the real binary run inside it under
//! a time limit, and the report read back with nothing of gapless in between (the `parquet`, `arrow` and `serde_json` crates only).
//!
//! A test says what lies in the directory, what is typed, and what must be found. All paths handed to the binary are relative to
//! the directory, so that messages are the same wherever the test runs.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and a skipped one says so in a line"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, TimestampMicrosecondType};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

/// A run that takes longer than this has hung: every input here is small.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A directory that is thrown away, in which the binary runs.
pub(crate) struct Case {
    dir: Arc<tempfile::TempDir>,
}

/// What a process did. `code` is null when a signal ended it or when it was killed for taking too long.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) timed_out: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

/// A verification that left a report: its exit code, its summary and its findings.
pub(crate) struct Verified {
    pub(crate) exit: i32,
    pub(crate) summary: Value,
    pub(crate) findings: Vec<Finding>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The directory of this run's tables.
    pub(crate) report: PathBuf,
    pub(crate) elapsed: Duration,
    /// Keeps the directory, and the report in it, for as long as somebody may read it.
    _dir: Arc<tempfile::TempDir>,
}

/// One row of `findings.parquet`, times in microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) stream: String,
    pub(crate) check: String,
    pub(crate) kind: Option<String>,
    pub(crate) severity: String,
    pub(crate) grain: String,
    pub(crate) side: Option<String>,
    pub(crate) series: Option<String>,
    pub(crate) window_start: Option<i64>,
    pub(crate) window_end: Option<i64>,
    pub(crate) from_time: Option<i64>,
    pub(crate) until_time: Option<i64>,
    pub(crate) from_sequence: Option<i128>,
    pub(crate) until_sequence: Option<i128>,
    pub(crate) file: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) original: Option<String>,
    pub(crate) backfill: Option<String>,
    pub(crate) rows: Option<i64>,
    pub(crate) accepted: bool,
    pub(crate) message: String,
}

impl Finding {
    /// The value of one column of the key, as the report's JSON has it.
    pub(crate) fn key_value(&self, column: &str) -> Value {
        self.key_object().get(column).cloned().unwrap_or_else(|| panic!("no column {column} in the key {:?}", self.key))
    }

    /// The key as an object from column to value.
    pub(crate) fn key_object(&self) -> serde_json::Map<String, Value> {
        let text = self.key.as_deref().unwrap_or_else(|| panic!("a finding of {} without a key", self.check));
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => object,
            _ => panic!("the key of a finding is not a JSON object: {text}"),
        }
    }

    /// The series as an object from column to value; empty where the finding has none.
    pub(crate) fn series_object(&self) -> serde_json::Map<String, Value> {
        match self.series.as_deref().map(serde_json::from_str) {
            None => serde_json::Map::new(),
            Some(Ok(Value::Object(object))) => object,
            Some(_) => panic!("the series of a finding is not a JSON object: {:?}", self.series),
        }
    }

    /// The half-open range of time, or a panic where the finding has none.
    pub(crate) fn time_range(&self) -> (i64, i64) {
        (self.from_time.expect("from_time"), self.until_time.expect("until_time"))
    }

    /// The half-open range of the sequence, or a panic where the finding has none.
    pub(crate) fn sequence_range(&self) -> (i128, i128) {
        (self.from_sequence.expect("from_sequence"), self.until_sequence.expect("until_sequence"))
    }

    /// Check, kind, side and rows: what most tests compare.
    pub(crate) fn brief(&self) -> (&str, &str, &str, i64) {
        (&self.check, self.kind.as_deref().unwrap_or(""), self.side.as_deref().unwrap_or(""), self.rows.unwrap_or(0))
    }
}

impl Verified {
    /// The summary of the only stream.
    pub(crate) fn stream(&self) -> &Value {
        let streams = self.summary["streams"].as_array().expect("the summary lists its streams");
        assert_eq!(streams.len(), 1, "one stream was verified: {}", self.summary);
        &streams[0]
    }

    /// `pass`, `fail` or `incomplete`.
    pub(crate) fn verdict(&self) -> &str {
        self.stream()["verdict"].as_str().expect("verdict")
    }

    /// The named count of the only stream; none where the summary says null.
    pub(crate) fn count(&self, name: &str) -> Option<i64> {
        let counts = self.stream()["counts"].as_object().expect("counts");
        let value = counts.get(name).unwrap_or_else(|| panic!("no count {name} in {counts:?}"));
        if value.is_null() { None } else { Some(value.as_i64().unwrap_or_else(|| panic!("{name} is {value}"))) }
    }

    /// The complete number of findings of a check, as the summary has it.
    pub(crate) fn total(&self, check: &str) -> i64 {
        self.stream()["findings"].get(check).and_then(Value::as_i64).unwrap_or(0)
    }

    /// The findings of a check, in the order of the report.
    pub(crate) fn of(&self, check: &str) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| finding.check == check).collect()
    }

    /// The findings that fail a run, without those that only inform.
    pub(crate) fn at_or_above_warn(&self) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| finding.severity != "info").collect()
    }

    /// Check, kind, side and rows of every finding at or above `warn`, sorted.
    pub(crate) fn briefs(&self) -> Vec<(&str, &str, &str, i64)> {
        let mut briefs: Vec<_> = self.at_or_above_warn().into_iter().map(Finding::brief).collect();
        briefs.sort();
        briefs
    }

    /// (key column, column, original, backfill) of every mismatch, sorted.
    pub(crate) fn mismatches(&self, key: &str) -> Vec<(String, String, Option<String>, Option<String>)> {
        let mut all: Vec<_> = self
            .of("value_mismatch")
            .into_iter()
            .map(|f| (plain(&f.key_value(key)), f.column.clone().expect("column"), f.original.clone(), f.backfill.clone()))
            .collect();
        all.sort();
        all
    }

    /// The values of one key column over the findings of a check, sorted as text.
    pub(crate) fn keys(&self, check: &str, column: &str) -> Vec<String> {
        let mut keys: Vec<_> = self.of(check).into_iter().map(|finding| plain(&finding.key_value(column))).collect();
        keys.sort();
        keys
    }

    /// A table of the run as text cells; a NULL is none.
    pub(crate) fn table(&self, name: &str) -> Vec<BTreeMap<String, Option<String>>> {
        read_table(&self.report.join(format!("{name}.parquet")))
    }

    /// Asserts a pass without findings at or above `warn`.
    #[track_caller]
    pub(crate) fn assert_pass(&self) {
        assert_eq!(self.verdict(), "pass", "{}\n{:#?}", self.stream()["reason"], self.findings);
        assert_eq!(self.exit, 0, "a pass exits with 0");
        assert!(self.briefs().is_empty(), "{:#?}", self.findings);
    }

    /// Asserts a failed verdict with exit code 1.
    #[track_caller]
    pub(crate) fn assert_fail(&self) {
        assert_eq!(self.verdict(), "fail", "{}\n{:#?}", self.stream()["reason"], self.findings);
        assert_eq!(self.exit, 1, "a failed verdict exits with 1");
    }

    /// Asserts an incomplete verdict with exit code 3.
    #[track_caller]
    pub(crate) fn assert_incomplete(&self) {
        assert_eq!(self.verdict(), "incomplete", "{}\n{:#?}", self.stream()["reason"], self.findings);
        assert_eq!(self.exit, 3, "an incomplete verdict exits with 3");
    }
}

impl Run {
    /// Asserts an orderly refusal: the exit code, a line that begins with `error: ` and one with the next step. A panic message is a defect
    /// whatever the exit code.
    #[track_caller]
    pub(crate) fn assert_error(&self, code: i32) {
        assert!(!self.timed_out, "hung for {:?}", self.elapsed);
        assert_eq!(self.code, Some(code), "signal {:?}\nstdout: {}\nstderr: {}", self.signal, self.stdout, self.stderr);
        assert!(!self.panicked(), "{}", self.stderr);
        assert!(self.stderr.lines().any(|line| line.starts_with("error: ")), "no error line in: {}", self.stderr);
        assert!(self.stderr.contains("help: "), "no next step in: {}", self.stderr);
    }

    /// Whether a panic's message reached a stream.
    pub(crate) fn panicked(&self) -> bool {
        let both = [&self.stderr, &self.stdout];
        both.iter().any(|text| text.contains("panicked at") || text.contains("RUST_BACKTRACE") || text.contains("stack overflow"))
    }
}

impl Case {
    pub(crate) fn new() -> Self {
        Self { dir: Arc::new(tempfile::Builder::new().prefix("gapless-it-").tempdir().expect("a temporary directory")) }
    }

    /// The directory itself.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The place of a file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, contents).expect("a file");
        self
    }

    /// Writes a Parquet file that keeps the Arrow types (dictionaries, views, zones).
    pub(crate) fn parquet(&self, name: &str, batch: &RecordBatch) -> &Self {
        self.parquet_as(name, batch, WriterProperties::default())
    }

    /// The same with the properties of a writer: row groups, compression, encodings.
    pub(crate) fn parquet_as(&self, name: &str, batch: &RecordBatch, properties: WriterProperties) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        let file = fs::File::create(path).expect("a file");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a Parquet writer");
        writer.write(batch).expect("rows");
        writer.close().expect("a footer");
        self
    }

    /// Writes an Arrow IPC file.
    pub(crate) fn ipc(&self, name: &str, batch: &RecordBatch) -> &Self {
        let file = fs::File::create(self.path(name)).expect("a file");
        let mut writer = arrow::ipc::writer::FileWriter::try_new(file, &batch.schema()).expect("an IPC writer");
        writer.write(batch).expect("rows");
        writer.finish().expect("a footer");
        self
    }

    /// Writes an Arrow IPC stream.
    pub(crate) fn ipc_stream(&self, name: &str, batch: &RecordBatch) -> &Self {
        let file = fs::File::create(self.path(name)).expect("a file");
        let mut writer = arrow::ipc::writer::StreamWriter::try_new(file, &batch.schema()).expect("an IPC writer");
        writer.write(batch).expect("rows");
        writer.finish().expect("an end");
        self
    }

    /// Runs the binary in the directory with the given arguments.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[])
    }

    /// The same with further variables in the environment.
    pub(crate) fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.args(args).envs(environment.iter().copied()).current_dir(self.dir());
        finish(command, PATIENCE)
    }

    /// Runs `gapless verify ARGS --format json` and reads what it left. A run that leaves no summary fails the test.
    #[track_caller]
    pub(crate) fn verify(&self, args: &[&str]) -> Verified {
        self.verify_with(args, &[])
    }

    /// The same with further variables in the environment.
    #[track_caller]
    pub(crate) fn verify_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Verified {
        let mut all = vec!["verify"];
        all.extend_from_slice(args);
        all.extend_from_slice(&["--format", "json"]);
        let run = self.run_with(&all, environment);
        assert!(!run.panicked(), "gapless {}\n{}", all.join(" "), run.stderr);
        let summary: Value = match serde_json::from_str(&run.stdout) {
            Ok(summary) => summary,
            Err(source) => panic!(
                "gapless {}\nno summary on stdout ({source}), exit {:?}, signal {:?}, timed out {}\nstdout: {}\nstderr: {}",
                all.join(" "),
                run.code,
                run.signal,
                run.timed_out,
                run.stdout,
                run.stderr
            ),
        };
        let exit = run.code.expect("an exit code");
        assert_eq!(summary["exit_code"].as_i64(), Some(i64::from(exit)), "the summary and the process agree on the exit code");
        let report = self.dir().join(summary["report"].as_str().expect("the summary says where the report is"));
        let findings = read_findings(&report.join("findings.parquet"));
        Verified {
            exit,
            summary,
            findings,
            stdout: run.stdout,
            stderr: run.stderr,
            report,
            elapsed: run.elapsed,
            _dir: Arc::clone(&self.dir),
        }
    }

    /// The runs in the default report directory, whole or half.
    pub(crate) fn runs(&self) -> usize {
        let Ok(entries) = fs::read_dir(self.path("gapless-report")) else { return 0 };
        entries.flatten().filter(|entry| entry.path().is_dir()).count()
    }

    /// Whether any run stands in the default report directory, whole or half.
    pub(crate) fn left_a_run(&self) -> bool {
        self.runs() > 0
    }

    /// A text of the binary with the directory written as `[dir]`.
    pub(crate) fn redact(&self, text: &str) -> String {
        let plain = self.dir().to_string_lossy().into_owned();
        let real = fs::canonicalize(self.dir()).expect("the directory").to_string_lossy().into_owned();
        text.replace(&real, "[dir]").replace(&plain, "[dir]").replace(real.trim_start_matches('/'), "[dir]")
    }
}

/// Verifies two CSV texts. `args` are the flags after the two paths, separated by blanks (`'` quotes are not read).
#[track_caller]
pub(crate) fn csv_pair(original: &str, backfill: &str, args: &str) -> Verified {
    let case = Case::new();
    case.file("original.csv", original).file("backfill.csv", backfill);
    case.verify(&with_sides("original.csv", "backfill.csv", args))
}

/// Verifies two newline-delimited JSON texts.
#[track_caller]
pub(crate) fn json_pair(original: &str, backfill: &str, args: &str) -> Verified {
    let case = Case::new();
    case.file("original.ndjson", original).file("backfill.ndjson", backfill);
    case.verify(&with_sides("original.ndjson", "backfill.ndjson", args))
}

/// Verifies two record batches written as Parquet.
#[track_caller]
pub(crate) fn parquet_pair(original: &RecordBatch, backfill: &RecordBatch, args: &str) -> Verified {
    let case = Case::new();
    case.parquet("original.parquet", original).parquet("backfill.parquet", backfill);
    case.verify(&with_sides("original.parquet", "backfill.parquet", args))
}

/// The two sides followed by the flags, split at blanks.
pub(crate) fn with_sides<'a>(original: &'a str, backfill: &'a str, args: &'a str) -> Vec<&'a str> {
    let mut all = vec![original, backfill];
    all.extend(args.split_whitespace());
    all
}

/// A record batch from names and columns; every column may hold NULL.
pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length")
}

/// Microseconds since 1970 of an ISO 8601 time in UTC.
pub(crate) fn at(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap_or_else(|_| panic!("{text} is a time")).timestamp_micros()
}

/// ISO 8601 in UTC, without a fraction where it is zero: the notation of the report.
pub(crate) fn iso(micros: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(micros).expect("a time in range");
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// A JSON scalar as plain text, without the quotes of a string.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The folder beside the clone that holds data which is not ours, or none with one line said. `GAPLESS_REQUIRE_SHARED=1` insists on it.
pub(crate) fn shared(below: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(below);
    if path.is_dir() {
        return Some(fs::canonicalize(path).expect("a path"));
    }
    let required = std::env::var("GAPLESS_REQUIRE_SHARED").is_ok_and(|value| value == "1");
    assert!(!required, "GAPLESS_REQUIRE_SHARED=1, and ../shared/{below} is not beside the clone");
    eprintln!("skipped: ../shared/{below} is not beside the clone");
    None
}

/// Runs a command to its end or to the limit, with its output read as it comes, so that a full pipe cannot look like a hang.
pub(crate) fn finish(mut command: Command, limit: Duration) -> Run {
    use std::os::unix::process::ExitStatusExt;
    let started = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // The environment of whoever runs the tests must not change what is tested.
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "GAPLESS_MASK_KEY", "RUST_BACKTRACE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.env("TZ", "UTC").env("COLUMNS", "100");
    let mut child = command.spawn().expect("the process starts");
    let stdout = drain(child.stdout.take().expect("stdout"));
    let stderr = drain(child.stderr.take().expect("stderr"));
    let mut timed_out = false;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a status") {
            break status;
        }
        if started.elapsed() > limit {
            timed_out = true;
            child.kill().expect("the process ends");
            break child.wait().expect("a status");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Run {
        code: if timed_out { None } else { status.code() },
        signal: status.signal(),
        timed_out,
        stdout: stdout.join().expect("stdout is read"),
        stderr: stderr.join().expect("stderr is read"),
        elapsed: started.elapsed(),
    }
}

fn drain(mut source: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).expect("output");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Reads `findings.parquet` and insists on its documented columns and types.
pub(crate) fn read_findings(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for batch in read_batches(path) {
        for row in 0..batch.num_rows() {
            findings.push(Finding {
                stream: text(&batch, "stream", row).expect("stream"),
                check: text(&batch, "check", row).expect("check"),
                kind: text(&batch, "kind", row),
                severity: text(&batch, "severity", row).expect("severity"),
                grain: text(&batch, "grain", row).expect("grain"),
                side: text(&batch, "side", row),
                series: text(&batch, "series", row),
                window_start: time(&batch, "window_start", row),
                window_end: time(&batch, "window_end", row),
                from_time: time(&batch, "from_time", row),
                until_time: time(&batch, "until_time", row),
                from_sequence: wide(&batch, "from_sequence", row),
                until_sequence: wide(&batch, "until_sequence", row),
                file: text(&batch, "file", row),
                key: text(&batch, "key", row),
                column: text(&batch, "column_name", row),
                original: text(&batch, "original_value", row),
                backfill: text(&batch, "backfill_value", row),
                rows: {
                    let rows = column(&batch, "rows").as_primitive_opt::<Int64Type>().expect("rows is Int64");
                    rows.is_valid(row).then(|| rows.value(row))
                },
                accepted: column(&batch, "accepted").as_boolean_opt().expect("accepted is Boolean").value(row),
                message: text(&batch, "message", row).expect("message"),
            });
        }
    }
    findings
}

/// Reads any table of the report as text cells.
pub(crate) fn read_table(path: &Path) -> Vec<BTreeMap<String, Option<String>>> {
    let mut rows = Vec::new();
    for batch in read_batches(path) {
        for row in 0..batch.num_rows() {
            let mut cells = BTreeMap::new();
            for (index, field) in batch.schema().fields().iter().enumerate() {
                let array = batch.column(index);
                let cell =
                    array.is_valid(row).then(|| arrow::util::display::array_value_to_string(array, row).expect("a cell can be shown"));
                cells.insert(field.name().clone(), cell);
            }
            rows.push(cells);
        }
    }
    rows
}

fn read_batches(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap_or_else(|source| panic!("{}: {source}", path.display()));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
    builder.build().expect("a reader").map(|batch| batch.expect("rows")).collect()
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name} in {}", batch.schema()))
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let array = column(batch, name).as_string_opt::<i32>().unwrap_or_else(|| panic!("{name} is not Utf8"));
    array.is_valid(row).then(|| array.value(row).to_owned())
}

fn time(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let array = column(batch, name);
    assert!(
        matches!(array.data_type(), DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC"),
        "{name} is {}, not Timestamp(us, UTC)",
        array.data_type()
    );
    let array = array.as_primitive::<TimestampMicrosecondType>();
    array.is_valid(row).then(|| array.value(row))
}

fn wide(batch: &RecordBatch, name: &str, row: usize) -> Option<i128> {
    let array = column(batch, name).as_primitive_opt::<Decimal128Type>().unwrap_or_else(|| panic!("{name} is not Decimal128"));
    assert_eq!(array.data_type(), &DataType::Decimal128(38, 0), "{name}");
    array.is_valid(row).then(|| array.value(row))
}

/// Reads a CSV file as text cells: the header, then the rows. Nothing is inferred, and nothing is NULL.
pub(crate) fn read_csv(path: &Path, delimiter: u8) -> (Vec<String>, Vec<Vec<String>>) {
    let bytes = fs::read(path).expect("a CSV file");
    let mut lines = split_csv(&bytes, delimiter).into_iter();
    let header = lines.next().unwrap_or_default();
    (header, lines.collect())
}

/// RFC 4180, by hand: cells in double quotes may hold delimiters, line ends and doubled quotes.
fn split_csv(bytes: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted, mut index) = (Vec::new(), Vec::new(), Vec::new(), false, 0);
    let flush = |cell: &mut Vec<u8>| String::from_utf8(std::mem::take(cell)).expect("UTF-8");
    while index < bytes.len() {
        let byte = bytes[index];
        match byte {
            b'"' if quoted && bytes.get(index + 1) == Some(&b'"') => {
                cell.push(b'"');
                index += 1;
            }
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                row.push(flush(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            b'\r' if !quoted => {}
            _ if byte == delimiter && !quoted => row.push(flush(&mut cell)),
            _ => cell.push(byte),
        }
        index += 1;
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(flush(&mut cell));
        rows.push(row);
    }
    rows
}

/// Compresses with gzip, as an uploader would.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
