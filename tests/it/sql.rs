//! `gapless sql` from the outside: a small report is written as Parquet, and the binary is asked about it.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use gapless::console::{READY_QUERIES, TABLES};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Sets the title of a terminal, then switches the right-to-left order on.
pub(crate) const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}x";

/// A report with the runs `a` and `b` (the later), an unfinished run and one that is being written.
pub(crate) struct Report {
    pub(crate) directory: TempDir,
}

impl Report {
    pub(crate) fn new() -> Self {
        let report = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        report.run("a", "2026-05-01T00:00:00Z", "fail");
        report.table("a", "streams", &[json!({"stream": "orders", "mode": "replica", "verdict": "fail"})]);
        report.table(
            "a",
            "checks",
            &[json!({"stream": "orders", "check": "missing_key", "severity": "error", "status": "fail", "findings": 3})],
        );
        report.table(
            "a",
            "findings",
            &[finding("orders", "missing_key", json!({"side": "backfill", "key": "{\"id\":1}", "severity": "error"}))],
        );

        report.run("b", "2026-05-02T00:00:00Z", "fail");
        report.table(
            "b",
            "streams",
            &[
                json!({"stream": "orders", "mode": "replica", "verdict": "fail", "reason": "1 gap", "original_rows": 10, "gaps": 2,
                       "bounds_from": "2026-05-01T00:00:00Z", "bounds_until": "2026-05-02T00:00:00Z"}),
                json!({"stream": "weather", "mode": "fill", "verdict": "fail"}),
            ],
        );
        let check = |check: &str, status: &str, findings: i64| {
            json!({"stream": "orders", "check": check, "severity": "error", "status": status, "findings": findings,
                   "reason": if status == "not_judged" { json!("no sequence was named") } else { Value::Null }, "duration_ms": 1.5})
        };
        report.table(
            "b",
            "checks",
            &[check("missing_key", "fail", 2), check("value_mismatch", "fail", 2), check("sequence_gap", "not_judged", 0)],
        );
        report.table(
            "b",
            "windows",
            &[
                window("orders", "2026-05-01T00:00:00Z", "2026-05-01T01:00:00Z", 10, 10, "match"),
                window("orders", "2026-05-01T01:00:00Z", "2026-05-01T02:00:00Z", 10, 7, "differ"),
                window("orders", "2026-05-01T02:00:00Z", "2026-05-01T03:00:00Z", 10, 10, "differ"),
            ],
        );
        report.table(
            "b",
            "spans",
            &[
                json!({"stream": "orders", "side": "original", "kind": "time", "from_time": "2026-05-01T00:00:00Z", "until_time": "2026-05-01T03:00:00Z", "rows": 30}),
                json!({"stream": "orders", "side": "backfill", "kind": "time", "from_time": "2026-05-01T00:00:00Z", "until_time": "2026-05-01T01:00:00Z", "rows": 10}),
                json!({"stream": "orders", "side": "backfill", "kind": "time", "from_time": "2026-05-01T01:30:00Z", "until_time": "2026-05-01T03:00:00Z", "rows": 17}),
            ],
        );
        let gap = |stream: &str, side: &str, status: &str, from: &str, until: &str, minutes: i64| {
            json!({"stream": stream, "series": if stream == "weather" { json!("{\"origin\":\"JFK\"}") } else { Value::Null },
                   "side": side, "kind": "time", "status": status, "from_time": from, "until_time": until,
                   "duration_ms": minutes * 60_000, "missing_estimate": minutes})
        };
        report.table(
            "b",
            "gaps",
            &[
                gap("orders", "backfill", "open", "2026-05-01T01:00:00Z", "2026-05-01T01:30:00Z", 30),
                gap("weather", "original", "filled", "2026-05-01T04:00:00Z", "2026-05-01T05:00:00Z", 60),
                gap("weather", "original", "partly_filled", "2026-05-01T06:00:00Z", "2026-05-01T08:00:00Z", 120),
                gap("weather", "recovered", "open", "2026-05-01T07:00:00Z", "2026-05-01T08:00:00Z", 60),
            ],
        );
        report.table(
            "b",
            "seams",
            &[
                json!({"stream": "weather", "series": "{\"origin\":\"JFK\"}", "edge": "begin", "kind": "exact", "live_time": "2026-05-01T03:00:00Z", "backfill_time": "2026-05-01T04:00:00Z"}),
                json!({"stream": "weather", "series": "{\"origin\":\"JFK\"}", "edge": "end", "kind": "gap", "live_time": "2026-05-01T08:00:00Z", "backfill_time": "2026-05-01T06:00:00Z", "from_time": "2026-05-01T07:00:00Z", "until_time": "2026-05-01T08:00:00Z", "duration_ms": 3_600_000}),
            ],
        );
        report.table("b", "incidents", &[incident("orders", "lost", "2026-05-01T01:00:00Z", "2026-05-01T01:30:00Z")]);
        report.table(
            "b",
            "diagnoses",
            &[json!({"stream": "orders", "incident": 1, "subject": "gap", "cause": "lost", "side": "backfill", "series": "{}",
                     "from_time": "2026-05-01T01:00:00Z", "until_time": "2026-05-01T01:30:00Z", "rows": 30, "evidence": "30 numbers missing"})],
        );
        let in_window = |hour: u32| json!({"window_start": format!("2026-05-01T0{hour}:00:00Z"), "window_end": format!("2026-05-01T0{}:00:00Z", hour + 1)});
        let merged = |a: Value, b: Value| {
            let mut all = a;
            if let (Value::Object(all), Value::Object(more)) = (&mut all, b) {
                all.extend(more);
            }
            all
        };
        report.table(
            "b",
            "findings",
            &[
                finding("orders", "gap", json!({"side": "backfill", "grain": "range", "from_time": "2026-05-01T01:00:00Z", "until_time": "2026-05-01T01:30:00Z"})),
                finding("orders", "missing_key", merged(json!({"key": "{\"id\":11}", "side": "backfill"}), in_window(1))),
                finding("orders", "missing_key", merged(json!({"key": "{\"id\":12}", "side": "backfill"}), in_window(1))),
                finding("orders", "value_mismatch", merged(json!({"key": "{\"id\":21}", "column_name": "amount", "original_value": "1.50", "backfill_value": "1.05"}), in_window(2))),
                finding("orders", "value_mismatch", merged(json!({"key": "{\"id\":22}", "column_name": "note", "original_value": HOSTILE, "backfill_value": ""}), in_window(2))),
                finding(
                    "orders",
                    "duplicate_key",
                    merged(
                        json!({"kind": "surplus", "side": "original", "key": "{\"id\":32}"}),
                        in_window(6),
                    ),
                ),
                finding("orders", "unexpected_key", merged(json!({"key": "{\"id\":31}", "side": "original"}), in_window(5))),
                finding("orders", "missing_key", merged(json!({"key": "{\"id\":41}", "side": "backfill", "accepted": true}), in_window(8))),
                finding("orders", "sequence_gap", json!({"side": "backfill", "from_sequence": "18446744073709551616", "until_sequence": "18446744073709551618"})),
                finding("orders", "duplicate_key", json!({"kind": "surplus", "side": "backfill", "key": "{\"id\":51}", "rows": 3})),
                finding("orders", "amount_not_negative", json!({"kind": "violation", "side": "original", "key": "{\"id\":61}", "rows": 1, "message": "amount >= 0"})),
                finding("orders", "rule_unknown", json!({"kind": "amount_not_negative", "severity": "warn", "side": "original", "key": "{\"id\":62}", "accepted": Value::Null})),
                finding("weather", "gap", json!({"series": "{\"origin\":\"JFK\"}", "side": "recovered", "from_time": "2026-05-01T07:00:00Z", "until_time": "2026-05-01T08:00:00Z"})),
            ],
        );

        // Neither of these is a run that has ended.
        report.table("unfinished", "findings", &[finding("orders", "gap", json!({}))]);
        fs::create_dir(report.path().join(".run=writing")).expect("a directory");
        fs::write(report.path().join(".run=writing/run.json"), "{}").expect("a file");
        fs::write(report.path().join("notes.txt"), "not ours").expect("a file");
        report
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn run(&self, id: &str, started_at: &str, verdict: &str) {
        self.table(id, "runs", &[json!({"job": "night", "started_at": started_at, "finished_at": started_at, "verdict": verdict, "exit_code": 1, "version": "0.1.0", "options": "{}"})]);
        fs::write(self.path().join(format!("run={id}/run.json")), "{}").expect("run.json");
    }

    pub(crate) fn table(&self, run: &str, table: &str, rows: &[Value]) {
        let directory = self.path().join(format!("run={run}"));
        fs::create_dir_all(&directory).expect("a directory");
        write_table(&directory.join(format!("{table}.parquet")), table, rows);
        if table == "findings" {
            let counts: Vec<Value> = rows.iter().map(counted).collect();
            self.table(run, "finding_counts", &counts);
        }
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        self.ask_with(arguments, "")
    }

    /// Runs `gapless sql` with `input` on standard input, which is not a terminal.
    fn ask_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).spawn().expect("gapless starts");
        // A process that refuses its arguments does not read its input.
        let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
        child.wait_with_output().expect("gapless ends")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.arg("sql").args(arguments).arg("--report").arg(self.path());
        command.current_dir(self.path()).env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The rows of a statement, as JSON.
    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let mut all = arguments.to_vec();
        all.extend(["--format", "json"]);
        let text = said(&self.ask(&all));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

pub(crate) fn finding(stream: &str, check: &str, more: Value) -> Value {
    let mut row = json!({"stream": stream, "check": check, "severity": "error", "grain": "key", "rows": 1, "accepted": false});
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
    }
    row
}

/// A finding as a line of the table `finding_counts`: its readers add lines up, so that one for each finding is enough.
fn counted(finding: &Value) -> Value {
    let mut row = finding.clone();
    if !finding["window_start"].is_null() {
        ["from_time", "until_time", "from_sequence", "until_sequence"].iter().for_each(|end| row[*end] = Value::Null);
    }
    row["findings"] = json!(1);
    row["keys"] = json!(i64::from(!finding["key"].is_null()));
    for (example, column) in [
        ("example_key", "key"),
        ("example_original", "original_value"),
        ("example_backfill", "backfill_value"),
        ("example_message", "message"),
    ] {
        row[example] = finding[column].clone();
    }
    row
}

fn incident(stream: &str, cause: &str, from: &str, until: &str) -> Value {
    json!({"stream": stream, "incident": 1, "kind": "interruption", "cause": cause, "status": "open", "severity": "error", "side": "backfill",
           "scope": "global", "class": "persistent", "from_time": from, "until_time": until, "series": 1, "series_total": 1, "rows": 30,
           "rows_exact": true, "message": format!("30 rows {cause}")})
}

fn window(stream: &str, start: &str, end: &str, original: i64, backfill: i64, status: &str) -> Value {
    json!({"stream": stream, "series": "", "window_start": start, "window_end": end, "original_rows": original, "backfill_rows": backfill, "status": status})
}

/// Writes JSON rows with the schema of a report table; what a row does not name is NULL.
fn write_table(path: &Path, table: &str, rows: &[Value]) {
    let table = TABLES.iter().find(|known| known.name == table).expect("a report table");
    let schema = table.file_schema();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| {
            let values = || rows.iter().map(|row| &row[field.name().as_str()]);
            let column: ArrayRef = match field.data_type() {
                DataType::Utf8 => Arc::new(values().map(Value::as_str).collect::<StringArray>()),
                DataType::Int64 => Arc::new(values().map(Value::as_i64).collect::<Int64Array>()),
                DataType::Int32 => Arc::new(values().map(|v| v.as_i64().map(|v| v as i32)).collect::<Int32Array>()),
                DataType::Float64 => Arc::new(values().map(Value::as_f64).collect::<Float64Array>()),
                DataType::Boolean => Arc::new(values().map(Value::as_bool).collect::<BooleanArray>()),
                DataType::Decimal128(precision, scale) => Arc::new(
                    values()
                        .map(|v| v.as_str().map(|v| v.parse::<i128>().expect("a whole number")))
                        .collect::<Decimal128Array>()
                        .with_precision_and_scale(*precision, *scale)
                        .expect("fits"),
                ),
                DataType::Timestamp(..) => Arc::new(
                    values()
                        .map(|v| v.as_str().map(|v| v.parse::<chrono::DateTime<chrono::Utc>>().expect("a time").timestamp_micros()))
                        .collect::<TimestampMicrosecondArray>()
                        .with_timezone("UTC"),
                ),
                other => panic!("no report column is {other}"),
            };
            column
        })
        .collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("a batch");
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), schema, None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
}

/// What a run that ended well wrote to standard output.
fn said(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    assert_eq!(complaint, "");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What a run that was refused wrote to standard error; nothing on standard output.
fn complained(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(complaint.starts_with("error: ") && complaint.contains("\nhelp: "), "{complaint}");
    complaint
}

#[test]
fn all_complete_runs_are_one_table_with_run_first() {
    let report = Report::new();
    assert_eq!(
        said(&report.ask(&["SELECT run, count(*) AS findings FROM findings GROUP BY run ORDER BY run", "--format", "csv"])),
        "run,findings\na,1\nb,13\n"
    );
    for table in TABLES {
        let columns = said(&report.ask(&[&format!("\\d {}", table.name), "--format", "csv"]));
        assert!(columns.starts_with("column,type\nrun,text\n"), "{columns}");
        assert_eq!(columns.lines().count(), table.file_schema().fields().len() + 2);
    }
    // Run `a` has no spans: its other tables and the spans of `b` are there all the same.
    assert_eq!(said(&report.ask(&["SELECT DISTINCT run FROM spans", "--format", "csv"])), "run\nb\n");
    assert_eq!(report.rows(&["SELECT * FROM runs WHERE run = 'a'"])[0]["run"], "a");
    // Words of SQL that are columns here need no quotes.
    said(&report.ask(&["SELECT check, key, rows, side, kind FROM findings; SELECT window FROM streams; SELECT version FROM runs"]));
}

#[test]
fn columns_that_a_newer_run_has_are_null_in_the_older() {
    let report = Report::new();
    let path = report.path().join("run=b/gaps.parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("a file")).expect("Parquet").build().expect("a reader");
    let batch = reader.map(|batch| batch.expect("rows")).next().expect("a batch");
    let rows = batch.num_rows();
    let mut columns: Vec<(String, ArrayRef)> =
        batch.schema().fields().iter().map(|f| f.name().clone()).zip(batch.columns().iter().cloned()).collect();
    columns.reverse(); // a column is known by its name, not by its place
    columns.push(("learned_cadence_ms".to_owned(), Arc::new(Int64Array::from(vec![60_000; rows]))));
    let wider = RecordBatch::try_from_iter(columns).expect("a batch");
    let mut writer = ArrowWriter::try_new(File::create(&path).expect("a file"), wider.schema(), None).expect("a writer");
    writer.write(&wider).expect("rows");
    writer.close().expect("a footer");
    report.table("a", "gaps", &[json!({"stream": "orders", "side": "backfill"})]);
    assert_eq!(
        said(&report.ask(&[
            "SELECT run, side, count(*) AS gaps, sum(learned_cadence_ms) AS s FROM gaps GROUP BY run, side ORDER BY run, side",
            "--format",
            "csv"
        ])),
        "run,side,gaps,s\na,backfill,1,\nb,backfill,1,60000\nb,original,2,120000\nb,recovered,1,60000\n"
    );
}

#[test]
fn a_table_file_that_cannot_be_read_stands_in_the_way_of_its_own_table_only() {
    let report = Report::new();
    fs::write(report.path().join("run=a/gaps.parquet"), "not Parquet").expect("a file");
    said(&report.ask(&["SELECT * FROM findings"]));
    let complaint = complained(&report.ask(&["SELECT * FROM gaps"]));
    assert!(complaint.contains("`gaps` of run `a`") && complaint.contains("run=a/gaps.parquet"), "{complaint}");
    assert!(said(&report.ask(&["\\d"])).contains("gaps"));
}

#[test]
fn a_report_without_runs_names_the_command_that_writes_one() {
    let report = Report { directory: tempfile::tempdir().expect("a directory") };
    let complaint = complained(&report.ask(&["SELECT 1"]));
    assert!(complaint.contains("holds no finished run") && complaint.contains("gapless verify ORIGINAL BACKFILL --report"), "{complaint}");
    report.table("x", "runs", &[]);
    assert!(complained(&report.ask(&["SELECT 1"])).contains("(one directory has no run.json"));
    let missing = Report { directory: tempfile::tempdir().expect("a directory") };
    let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(["sql", "SELECT 1", "--report", "nowhere"])
        .current_dir(missing.path())
        .output()
        .expect("gapless runs");
    assert!(complained(&output).contains("no report directory at `nowhere`"));
}

#[test]
fn every_ready_made_query_runs_on_a_full_and_on_a_sparse_run() {
    let report = Report::new();
    let listed = said(&report.ask(&["--list"]));
    for query in READY_QUERIES {
        assert!(listed.contains(&format!("@{}", query.id)));
        let name = format!("@{}", query.id);
        assert!(!report.rows(&[&name]).is_empty(), "{name} has nothing to say about a report that has everything");
        if query.header().is_ok_and(|header| header.parameters.iter().any(|(parameter, _)| parameter == "run")) {
            let _ = report.rows(&[&name, "run=a"]);
        }
    }
    // Nothing but `runs`: the other tables have no rows, and no query minds.
    let bare = Report { directory: tempfile::tempdir().expect("a directory") };
    bare.run("only", "2026-05-01T00:00:00Z", "pass");
    for query in READY_QUERIES {
        let rows = bare.rows(&[&format!("@{}", query.id)]);
        assert_eq!(rows.len(), usize::from(query.id == "runs"), "{}", query.id);
    }
}

#[test]
fn ready_made_queries_speak_of_the_latest_run_unless_said() {
    let report = Report::new();
    let runs: Vec<Value> = report.rows(&["@runs"]).into_iter().map(|row| row["run"].clone()).collect();
    assert_eq!(runs, ["b", "a"]);
    assert_eq!(report.rows(&["@latest_findings", "run=a"]).len(), 1);
    assert_eq!(report.rows(&["@latest_findings", "limit=3"]).len(), 3);
    assert_eq!(report.rows(&["@latest_findings"]).len(), 12);
    assert_eq!(report.rows(&["SELECT count(*) AS n FROM findings WHERE run = $run"])[0]["n"], 13);
    assert_eq!(report.rows(&["SELECT count(*) AS n FROM findings WHERE run = $run", "run=a"])[0]["n"], 1);
    // The latest is the one that started last, whatever it is called.
    report.run("0", "2026-06-01T00:00:00Z", "pass");
    assert_eq!(report.rows(&["SELECT $run AS run"])[0]["run"], "0");
}

#[test]
fn collect_again_joins_what_touches_and_leaves_out_what_was_accepted() {
    let report = Report::new();
    let rows: Vec<Vec<String>> = report
        .rows(&["@collect_again"])
        .iter()
        .map(|row| {
            ["stream", "side", "from_time", "until_time", "from_sequence", "until_sequence", "findings", "reasons"]
                .iter()
                .map(|column| match &row[column] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                })
                .collect()
        })
        .collect();
    let expected = [
        // A gap from 01:00, two keys in the window from 01:00, two values in the window from 02:00.
        "orders|backfill|2026-05-01T01:00:00Z|2026-05-01T03:00:00Z|null|null|5|gap, missing_key, value_mismatch",
        "orders|backfill|2026-05-01T06:00:00Z|2026-05-01T07:00:00Z|null|null|1|lost_copy",
        "orders|backfill|null|null|18446744073709551616|18446744073709551618|1|sequence_gap",
        "orders|original|2026-05-01T05:00:00Z|2026-05-01T06:00:00Z|null|null|1|unexpected_key",
        "weather|recovered|2026-05-01T07:00:00Z|2026-05-01T08:00:00Z|null|null|1|gap",
    ];
    assert_eq!(rows.iter().map(|row| row.join("|")).collect::<Vec<_>>(), expected);
}

#[test]
fn ready_made_queries_give_the_numbers_of_the_report() {
    let report = Report::new();
    let open: Vec<String> = report.rows(&["@open_gaps"]).iter().map(|row| format!("{} {}", row["stream"], row["side"])).collect();
    assert_eq!(open, ["\"weather\" \"recovered\"", "\"orders\" \"backfill\""]);
    let filled: Vec<Value> = report.rows(&["@gaps_filled"]).into_iter().map(|row| row["status"].clone()).collect();
    assert_eq!(filled, ["partly_filled", "filled"]);
    let worst: Vec<(Value, Value)> =
        report.rows(&["@worst_windows"]).iter().map(|row| (row["row_difference"].clone(), row["findings"].clone())).collect();
    assert_eq!(worst, [(json!(-3), json!(2)), (json!(0), json!(2)), (json!(0), json!(1)), (json!(0), json!(1)),]);
    let columns: Vec<Value> = report.rows(&["@mismatched_columns"]).into_iter().map(|row| row["column_name"].clone()).collect();
    assert_eq!(columns, ["amount", "note"]);
    let change: BTreeMap<String, (Value, Value)> = report
        .rows(&["@since_previous_run"])
        .into_iter()
        .map(|row| (row["check"].to_string(), (row["findings_before"].clone(), row["findings_now"].clone())))
        .collect();
    assert_eq!(change["\"missing_key\""], (json!(3), json!(2)));
    assert_eq!(change["\"value_mismatch\""], (Value::Null, json!(2)));
    let coverage = report.rows(&["@coverage"]);
    assert_eq!(coverage[1]["side"], "backfill");
    assert_eq!((&coverage[1]["spans"], &coverage[1]["gaps"], &coverage[1]["rows"]), (&json!(2), &json!(1), &json!(27)));
    let rules: Vec<(Value, Value, Value)> = report
        .rows(&["@rule_violations"])
        .into_iter()
        .map(|row| (row["rule"].clone(), row["outcome"].clone(), row["rows"].clone()))
        .collect();
    let rule = json!("amount_not_negative");
    assert_eq!(rules, [(rule.clone(), json!("broken"), json!(1)), (rule, json!("unknown"), json!(1))]);
    let copies: Vec<Value> = report.rows(&["@duplicates"]).into_iter().map(|row| row["copies"].clone()).collect();
    assert_eq!(copies, [3, 1]);
    let by_check = report.rows(&["@findings_by_check"]);
    let missing = by_check.iter().find(|row| row["check"] == "missing_key").expect("missing keys");
    assert_eq!((&missing["findings"], &missing["stored"], &missing["accepted"]), (&json!(2), &json!(3), &json!(1)));
    assert_eq!(report.rows(&["@not_judged"])[0]["reason"], "no sequence was named");
}

#[test]
fn only_questions_are_answered() {
    let report = Report::new();
    let target = report.path().join("written.parquet");
    let copy = format!("COPY findings TO '{}'", target.display());
    let external = "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'";
    for (statement, kind) in [
        (copy.as_str(), "COPY"),
        (external, "CREATE EXTERNAL"),
        ("CREATE TABLE t AS SELECT 1", "CREATE TABLE"),
        ("CREATE VIEW v AS SELECT 1", "CREATE VIEW"),
        ("SELECT 1 AS a INTO t", "SELECT"),
        ("INSERT INTO findings SELECT * FROM findings", "INSERT"),
        ("UPDATE findings SET rows = 1", "UPDATE"),
        ("DELETE FROM findings", "DELETE"),
        ("TRUNCATE TABLE findings", "TRUNCATE"),
        ("DROP TABLE findings", "DROP TABLE"),
        ("SET datafusion.execution.batch_size = 1", "SET"),
        ("RESET datafusion.execution.batch_size", "RESET"),
        ("PREPARE p AS SELECT 1", "PREPARE"),
        ("EXECUTE p", "EXECUTE"),
        ("BEGIN", "BEGIN"),
        ("EXPLAIN ANALYZE INSERT INTO findings SELECT * FROM findings", "EXPLAIN"),
        ("EXPLAIN COPY findings TO 'x.csv'", "EXPLAIN COPY"),
        ("\n-- a comment first\n/* and another */ DROP TABLE findings", "DROP TABLE"),
    ] {
        let complaint = complained(&report.ask(&[statement]));
        assert!(complaint.contains(&format!("`{kind}")) && complaint.contains("only reads"), "{statement}: {complaint}");
    }
    for statement in ["WITH a AS (INSERT INTO findings SELECT * FROM findings) SELECT * FROM a", "SELECT * FROM (DELETE FROM findings)"] {
        complained(&report.ask(&[statement]));
    }
    assert!(!target.exists());
    assert_eq!(report.rows(&["SELECT count(*) AS n FROM findings"])[0]["n"], 14);
}

#[test]
fn no_path_can_be_read_from_sql() {
    let report = Report::new();
    let secret = report.path().join("secret.csv");
    fs::write(&secret, "a\n1\n").expect("a file");
    let path = secret.display();
    for statement in [
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM \"/etc/passwd\"".to_owned(),
        format!("SELECT * FROM '{path}'"),
        format!("SELECT * FROM \"file://{path}\""),
        format!("SELECT * FROM read_csv('{path}')"),
        format!("SELECT * FROM read_parquet('{path}')"),
        format!("SELECT read_text('{path}')"),
        format!("SELECT pg_read_file('{path}')"),
        format!("SELECT 1 WHERE EXISTS (SELECT * FROM '{path}')"),
        format!("DESCRIBE '{path}'"),
        format!("EXPLAIN SELECT * FROM '{path}'"),
    ] {
        complained(&report.ask(&[&statement]));
    }
}

#[test]
fn what_asks_is_answered() {
    let report = Report::new();
    for statement in [
        "VALUES (1, 'a'), (2, 'b')",
        "WITH n AS (SELECT 1 AS a) SELECT * FROM n",
        "WITH RECURSIVE n AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM n WHERE a < 3) SELECT * FROM n",
        "EXPLAIN SELECT * FROM findings",
        "EXPLAIN ANALYZE SELECT count(*) FROM findings",
        "SHOW TABLES",
        "SHOW COLUMNS FROM findings",
        "DESCRIBE findings",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT table_name FROM information_schema.tables",
        "SELECT * FROM gapless.report.findings",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT ';' AS semicolon -- ; \n",
    ] {
        said(&report.ask(&[statement]));
    }
}

#[test]
fn errors_name_what_is_near() {
    let report = Report::new();
    for (question, names) in [
        (&["SELECT * FROM finding"][..], "`findings`"),
        (&["DESCRIBE finding"], "`findings`"),
        (&["\\d gap"], "`gaps`"),
        (&["SELECT sevrity FROM findings"], "`severity`"),
        (&["SELECT f.chek FROM findings f"], "`check`"),
        (&["@worst_window"], "`@worst_windows`"),
        (&["@latest_findings", "limt=5"], "`limit`"),
        (&["@latest_findings", "limit=five"], "whole number"),
        (&["@latest_findings", "run=c"], "the report holds no run `c`"),
        (&["SELECT $nothing"], "`$nothing`"),
        (&["SELECT", "1"], "`1` is not a parameter"),
        (&["SELEC 1"], "cannot be parsed"),
        (&["SELECT 'open"], "cannot be parsed"),
        (&["SELECT no_such_function(1)"], "no_such_function"),
        (&["SELECT CAST('\u{1b}[31mx' AS BIGINT)"], "\\x1b[31mx"),
        (&["/* nothing */ ;"], "no statement"),
        (&["\\nonsense"], "`\\nonsense`"),
        (&["-f", "no-such-file.sql"], "`no-such-file.sql`"),
    ] {
        let complaint = complained(&report.ask(question));
        assert!(complaint.contains(names), "{question:?}: {complaint}");
        assert!(!complaint.contains('\u{1b}'), "{complaint}");
    }
}

#[test]
fn a_script_comes_from_standard_input_or_a_file() {
    let report = Report::new();
    let script = "-- two results and a ready-made query\nSELECT 1 AS a;\n@latest_findings limit=1 run=a\nSELECT ';' AS b;\n\\q\nSELECT 'never' AS c;";
    let expected = "a\n1\n\nstream,check,kind,severity,side,series,from_time,until_time,key,column_name,original_value,backfill_value,rows,message\n\
        orders,missing_key,,error,backfill,,,,\"{\"\"id\"\":1}\",,,,1,\n\nb\n;\n";
    assert_eq!(said(&report.ask_with(&["--format", "csv"], script)), expected);
    let file = report.path().join("script.sql");
    fs::write(&file, script).expect("a file");
    assert_eq!(said(&report.ask(&["-f", "script.sql", "--format", "csv"])), expected);
    assert_eq!(said(&report.ask_with(&["-f", "-", "--format", "csv"], script)), expected);
    fs::write(&file, "SELECT count(*) AS n FROM findings WHERE check = $check AND run = $run").expect("a file");
    assert_eq!(said(&report.ask(&["-f", "script.sql", "check=missing_key", "run=b", "--format", "csv"])), "n\n3\n");
    assert!(complained(&report.ask(&["-f", "script.sql", "chek=missing_key"])).contains("`chek`"));
    assert!(complained(&report.ask(&[])).contains("no statement in standard input"));
}

#[test]
fn nothing_from_the_data_acts_on_a_terminal() {
    let report = Report::new();
    let question = "SELECT original_value, backfill_value FROM findings WHERE column_name = 'note'";
    let shown = said(&report.ask(&[question]));
    assert!(shown.contains("\\x1b]0;owned\\x07\\u{9b}31m\\u{202e}x"), "{shown}");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n') && !shown.contains('\u{202e}'));
    // JSON holds the value as it is, in characters that do nothing.
    let json = said(&report.ask(&[question, "--format", "jsonl"]));
    assert!(!json.chars().any(|c| c.is_control() && c != '\n') && !json.contains('\u{202e}'), "{json}");
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON")["original_value"], HOSTILE);
    // CSV into a file or pipe keeps the value where that is asked for.
    let raw = said(&report.ask(&[question, "--format", "csv", "--raw-csv"]));
    assert_eq!(raw, format!("original_value,backfill_value\n{HOSTILE},\"\"\n"));
    let csv = said(&report.ask(&[question, "--format", "csv"]));
    assert!(!csv.chars().any(|c| c.is_control() && c != '\n') && !csv.contains('\u{202e}'), "{csv}");
    // A column's name comes from whoever wrote the statement, which may be a tool.
    assert!(said(&report.ask(&["SELECT 1 AS \"a\u{1b}[31m\""])).contains("a\\x1b[31m"));
    let lines = said(&report.ask(&["SELECT 'a\nb\tc' AS v"]));
    assert!(lines.contains("│ a\\nb\\tc │"), "{lines}");
}

#[test]
fn formats_hold_every_value() {
    let report = Report::new();
    let question = "SELECT * FROM (VALUES (1, 'a,\"b\"'), (2, ''), (3, NULL)) AS t(n, text)";
    assert_eq!(said(&report.ask(&[question, "--format", "csv"])), "n,text\n1,\"a,\"\"b\"\"\"\n2,\"\"\n3,\n");
    assert_eq!(
        said(&report.ask(&[question, "--format", "json"])),
        "[{\"n\":1,\"text\":\"a,\\\"b\\\"\"},{\"n\":2,\"text\":\"\"},{\"n\":3,\"text\":null}]\n"
    );
    assert_eq!(said(&report.ask(&["SELECT 1 AS a; SELECT 2 AS a", "--format", "jsonl"])), "{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(said(&report.ask(&["SELECT 1 AS a WHERE false", "--format", "json"])), "[]\n");
    assert_eq!(said(&report.ask(&["SELECT 1 AS a WHERE false", "--format", "csv"])), "a\n");
    assert_eq!(
        said(&report.ask(&[question])),
        "┌───┬───────┐\n│ n ┆ text  │\n╞═══╪═══════╡\n│ 1 ┆ a,\"b\" │\n│ 2 ┆       │\n│ 3 ┆ NULL  │\n└───┴───────┘\n3 rows\n"
    );
    assert_eq!(
        report.rows(&[
            "SELECT from_sequence, from_time, from_time + interval '1500' microsecond AS later, 0.1 AS d, CAST('NaN' AS DOUBLE) AS nan, \
             -1e0/0 AS minus, CAST(0.1 AS REAL) AS real, 9007199254740993 AS big, run, run AS \"run\" \
             FROM (SELECT run, max(from_sequence) AS from_sequence, min(from_time) AS from_time FROM findings WHERE run = 'b' GROUP BY run)"
        ]
        .map(|text| text.replace(", run AS \"run\"", ""))
        .each_ref()
        .map(String::as_str))[0],
        json!({"from_sequence": "18446744073709551616", "from_time": "2026-05-01T01:00:00Z", "later": "2026-05-01T01:00:00.001500Z",
               "d": 0.1, "nan": "NaN", "minus": "-Infinity", "real": 0.1, "big": 9_007_199_254_740_993_i64, "run": "b"})
    );
    // A name twice would lose a value in an object.
    assert_eq!(
        report.rows(&["SELECT a.run, b.run FROM runs a JOIN runs b ON a.job = b.job WHERE a.run = 'a' AND b.run = 'b'"])[0],
        json!({"run": "a", "run_2": "b"})
    );
}

#[test]
fn a_long_table_is_cut_and_says_so() {
    let report = Report::new();
    let question = "SELECT value FROM generate_series(1, 25000)";
    let shown = said(&report.ask(&[question]));
    assert!(shown.ends_with("the first 200 of 25000 rows; `--max-rows 0` shows all, `--format csv` writes all\n"), "{shown}");
    assert_eq!(shown.lines().count(), 200 + 5);
    assert_eq!(said(&report.ask(&[question, "--max-rows", "0"])).lines().count(), 25_000 + 5);
    assert!(said(&report.ask(&[question, "--max-rows", "25000"])).ends_with("\n25000 rows\n"));
    assert_eq!(said(&report.ask(&[question, "--format", "csv"])).lines().count(), 25_001);
    let long = said(&report.ask(&["SELECT repeat('é', 5000) AS v"]));
    assert!(long.contains("é… (5000 characters)"), "{long}");
    assert!(said(&report.ask(&["EXPLAIN SELECT count(*) FROM findings"])).lines().count() > 8, "a plan has lines");
}

#[test]
fn parquet_goes_to_a_file_or_a_pipe() {
    let report = Report::new();
    let piped = report.ask(&["SELECT * FROM findings", "--format", "parquet"]);
    assert_eq!(piped.status.code(), Some(0), "{}", String::from_utf8_lossy(&piped.stderr));
    let path = report.path().join("answer.parquet");
    assert_eq!(said(&report.ask(&["SELECT * FROM findings", "--output", "answer.parquet"])), "");
    assert_eq!(fs::read(&path).expect("the file"), piped.stdout);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("a file")).expect("Parquet");
    assert_eq!(reader.schema().field(0).name(), "run");
    let rows: usize = reader.build().expect("a reader").map(|batch| batch.expect("rows").num_rows()).sum();
    assert_eq!(rows, 14);
    let complaint = complained(&report.ask(&["SELECT 1; SELECT 2", "--format", "parquet"]));
    assert!(complaint.contains("holds one result"), "{complaint}");
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let report = Report::new();
    let path = report.path().join("answer.csv");
    said(&report.ask(&["SELECT 1 AS a", "--output", "answer.csv"]));
    assert_eq!(fs::read_to_string(&path).expect("the file"), "a\n1\n");
    complained(&report.ask(&["SELECT 2 AS a; SELECT CAST('x' AS BIGINT)", "--output", "answer.csv"]));
    assert_eq!(fs::read_to_string(&path).expect("the file"), "a\n1\n");
    assert!(complained(&report.ask(&["SELECT 1", "--output", "answer.doc"])).contains("names no format"));
    assert!(complained(&report.ask(&["SELECT 1", "--output", "run=a/x.csv"])).contains("stored run `run=a`"));
    assert!(complained(&report.ask(&["SELECT 1", "--output", "run=a/findings.parquet"])).contains("stored run `run=a`"));
    assert!(complained(&report.ask(&["SELECT 1", "--output", "nowhere/x.csv"])).contains("nowhere/x.csv"));
    let left: Vec<PathBuf> = fs::read_dir(report.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".gapless-")))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let report = Report::new();
    for format in ["csv", "jsonl", "json", "parquet"] {
        let mut child = report
            .command(&["SELECT value, repeat('x', 100) AS v FROM generate_series(1, 400000)", "--format", format])
            .spawn()
            .expect("gapless starts");
        let mut first = [0_u8; 4];
        child.stdout.take().expect("its output").read_exact(&mut first).expect("some bytes"); // and dropped: the pipe breaks
        let output = child.wait_with_output().expect("gapless ends");
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
    }
}

#[test]
fn the_ready_made_queries_are_listed_without_a_report() {
    let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(["sql", "--list", "--report", "nowhere", "--format", "csv"])
        .output()
        .expect("gapless runs");
    let listed = said(&output);
    assert!(listed.starts_with("query,summary,parameters\n'@runs,"), "{listed}");
    assert_eq!(listed.lines().count(), READY_QUERIES.len() + 1);
}

/// Twelve days, a run a day over two days each, so that every day is observed twice: 10 interruptions at 03:00 of half an hour, found by two
/// runs each and by two overlapping series, one of two hours at 15:20, and a quiet stretch that is none.
fn history() -> Report {
    let report = Report { directory: tempfile::tempdir().expect("a directory") };
    for day in 1..=12 {
        let id = format!("r{day:02}");
        let at = |day: i32, time: &str| format!("2026-06-{day:02}T{time}Z");
        report.run(&id, &at(day + 1, "12:00:00"), "fail");
        report.table(
            &id,
            "streams",
            &[json!({"stream": "orders", "mode": "replica", "bounds_from": at(day, "00:00:00"), "bounds_until": at(day + 2, "00:00:00")})],
        );
        let mut incidents = Vec::new();
        let mut gaps = Vec::new();
        for of in [day, day + 1] {
            if of <= 10 {
                incidents.push(incident("orders", "lost", &at(of, "03:00:00"), &at(of, "03:20:00")));
                incidents.push(incident("orders", "partial", &at(of, "03:10:00"), &at(of, "03:30:00")));
                gaps.push(
                    json!({"stream": "orders", "side": "backfill", "kind": "time", "status": "open", "from_time": at(of, "03:00:00"),
                                 "until_time": at(of, if day == of { "03:20:00" } else { "03:30:00" })}),
                );
            }
        }
        if day == 12 {
            incidents.push(incident("orders", "unknown", &at(12, "15:20:00"), &at(12, "17:20:00")));
            incidents.push(incident("orders", "idle", &at(12, "20:00:00"), &at(12, "23:00:00")));
        }
        report.table(&id, "incidents", &incidents);
        report.table(&id, "gaps", &gaps);
    }
    report
}

#[test]
fn the_history_counts_an_interruption_once() {
    let report = history();
    let told = &report.rows(&["@interruption_history"])[0];
    assert_eq!((&told["interruptions"], &told["longest_seconds"], &told["median_seconds"]), (&json!(11), &json!(7200.0), &json!(1800.0)));
    assert_eq!(told["total_seconds"], json!(10.0 * 1800.0 + 7200.0));
    let hours: Vec<(Value, Value)> =
        report.rows(&["@interruptions_by_hour"]).iter().map(|row| (row["hour"].clone(), row["interruptions"].clone())).collect();
    assert_eq!(hours, [(json!(3), json!(10)), (json!(15), json!(1))]);
    let weekdays: BTreeMap<i64, i64> = report
        .rows(&["@interruptions_by_weekday"])
        .iter()
        .map(|row| (row["weekday"].as_i64().expect("a day"), row["interruptions"].as_i64().expect("a count")))
        .collect();
    // 1 June 2026 is a Monday; the 12th, with the long one, is a Friday.
    assert_eq!(weekdays, BTreeMap::from([(1, 2), (2, 2), (3, 2), (4, 1), (5, 2), (6, 1), (7, 1)]));
    let between = &report.rows(&["@time_between_interruptions"])[0];
    let (observed, down) = (13.0 * 86_400.0, 25_200.0);
    assert_eq!((&between["observed_seconds"], &between["interrupted_seconds"]), (&json!(observed), &json!(down)));
    let mean = |name: &str| between[name].as_f64().expect("a mean");
    assert!((mean("mean_seconds_between") - (observed - down) / 11.0).abs() < 1e-6);
    assert!((mean("mean_seconds_to_repair") - down / 11.0).abs() < 1e-6);
    // The run of the 11th day speaks of the 11th and the 12th; the one before found the gap of the 10th, which lies outside.
    let changes = |run: &str| -> Vec<String> {
        let rows = report.rows(&["@gaps_since_previous_run", &format!("run={run}")]);
        rows.iter()
            .map(|row| format!("{} {} {}", row["change"].as_str().unwrap_or(""), row["as_of"].as_str().unwrap_or(""), row["from_time"]))
            .collect()
    };
    assert_eq!(
        changes("r05"),
        [
            // Found until 03:30 by the run before, and until 03:20 by this one.
            "changed before \"2026-06-05T03:00:00Z\"",
            "changed now \"2026-06-05T03:00:00Z\""
        ]
    );
    assert!(changes("r11").is_empty() && changes("r01").is_empty());
}

#[test]
fn the_chance_of_another_interruption_has_an_interval_or_is_not_told() {
    let report = history();
    let rows = report.rows(&["@recurrence"]);
    assert_eq!(rows.iter().map(|row| row["hour"].clone()).collect::<Vec<_>>(), [Value::Null, json!(3), json!(15)]);
    // Exact 95 % intervals of Poisson counts, from tables: 11 → 5.491 to 19.682; 10 → 4.795 to 18.390; 1 → 0.0253 to 5.572.
    for (row, (count, low, high)) in rows.iter().zip([(11.0, 5.491, 19.682), (10.0, 4.795, 18.390), (1.0, 0.0253, 5.572)]) {
        for (horizon, days) in [("day", 1.0), ("week", 7.0)] {
            let chance = |n: f64| 1.0 - f64::exp(-n * days / 13.0);
            let of = |name: String| row[name].as_f64().expect("a chance");
            assert!((of(format!("chance_next_{horizon}")) - chance(count)).abs() < 1e-9, "{row}");
            // Byar's approximation is good to a hundredth of the chance.
            assert!((of(format!("{horizon}_low")) - chance(low)).abs() < 0.01, "{row}");
            assert!((of(format!("{horizon}_high")) - chance(high)).abs() < 0.01, "{row}");
        }
        assert_eq!(row["judged"], "told");
    }
    for row in report.rows(&["@recurrence", "fewest=12"]) {
        assert_eq!((&row["judged"], &row["chance_next_day"]), (&json!("too few to tell"), &Value::Null));
    }
    // Without any interruption there is nothing to tell either.
    let quiet = Report { directory: tempfile::tempdir().expect("a directory") };
    quiet.run("a", "2026-06-01T00:00:00Z", "pass");
    let bounds = json!({"stream": "orders", "bounds_from": "2026-05-01T00:00:00Z", "bounds_until": "2026-06-01T00:00:00Z"});
    quiet.table("a", "streams", &[bounds]);
    assert_eq!(quiet.rows(&["@recurrence"])[0]["judged"], "too few to tell");
    assert_eq!(quiet.rows(&["@time_between_interruptions"])[0]["judged"], "too few to tell");
}

/// The parameters of a ready-made query as the flags that people try first, in every way to write them.
#[test]
fn a_ready_made_query_takes_its_parameters_as_flags() {
    let report = Report::new();
    let streams = |arguments: &[&str]| -> Vec<String> {
        report.rows(arguments).iter().map(|row| row["stream"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(streams(&["@streams"]), ["orders", "weather"]);
    for arguments in [
        &["@streams", "--stream", "weather"][..],
        &["@streams", "--stream=weather"],
        &["@streams", "stream=weather"],
        &["--stream", "weather", "@streams", "--run", "b"],
    ] {
        assert_eq!(streams(arguments), ["weather"], "{arguments:?}");
    }
    assert_eq!(report.rows(&["@worst_windows", "--stream", "orders", "--limit", "1"]).len(), 1);
    assert!(report.rows(&["@worst_windows", "--stream", "weather"]).iter().all(|row| row["stream"] == "weather"));
    // A statement of one's own has parameters too; what is an option of the command stays one.
    assert_eq!(report.rows(&["SELECT $n + 1 AS n, $t AS t", "--n", "4", "--t", "x"])[0], json!({"n": 5, "t": "x"}));
    assert_eq!(said(&report.ask(&["SELECT $n AS n", "--n", "-4", "--format", "csv"])), "n\n-4\n");
    for (arguments, expected) in [
        (&["@worst_windows", "--strem", "orders"][..], "`@worst_windows` has no parameter `strem`; the nearest: `stream`"),
        (&["@streams", "--stream", "ordres"], "the report holds no stream `ordres`; the nearest: `orders`"),
        (&["@worst_windows", "--limit", "many"], "must be a whole number"),
        (&["@streams", "--run", "c"], "the report holds no run `c`"),
    ] {
        let complaint = complained(&report.ask(arguments));
        assert!(complaint.contains(expected) || complaint.contains(&expected.replace("`@worst_windows`", "the argument")), "{complaint}");
    }
    let lone = report.ask(&["@streams", "--stream"]);
    assert_eq!(lone.status.code(), Some(2), "a flag without its value is a mistake");
}

/// Every query that looks at streams can be asked about one of them, and then speaks of no other.
#[test]
fn every_ready_made_query_can_be_asked_about_one_stream() {
    let report = Report::new();
    for query in READY_QUERIES.iter().filter(|query| query.id != "runs") {
        let header = query.header().expect("a header");
        assert!(header.parameters.iter().any(|(name, default)| name == "stream" && default == "*"), "{}", query.id);
        let name = format!("@{}", query.id);
        let all = report.rows(&[&name]);
        let one = report.rows(&[&name, "--stream", "orders"]);
        assert!(one.iter().all(|row| row["stream"] == "orders"), "{name}: {one:?}");
        // Queries with a limit show more of one stream; the others exactly what they show of it among all.
        if !header.parameters.iter().any(|(name, _)| name == "limit") {
            let expected: Vec<_> = all.into_iter().filter(|row| row["stream"] == "orders").collect();
            assert_eq!(one, expected, "{name}");
        }
    }
}

/// No text cell of a CSV is a formula or an escape; numbers stay numbers; and who asks for the raw values gets them.
#[test]
fn a_csv_is_safe_to_open_unless_it_is_asked_for_raw() {
    let report = Report::new();
    let question = "SELECT -5 AS n, '=cmd()' AS a, 'x' || chr(27) || '[31m' AS \"=b\", '-1' AS c";
    assert_eq!(said(&report.ask(&[question, "--format", "csv"])), "n,a,'=b,c\n-5,'=cmd(),x\\x1b[31m,'-1\n");
    assert_eq!(said(&report.ask(&[question, "--format", "csv", "--raw-csv"])), "n,a,=b,c\n-5,=cmd(),x\u{1b}[31m,-1\n");
}

const PROMPT: &str = "gapless> ";

/// What was typed into the shell on a terminal, and what it said after each step.
fn type_into(report: &Report, home: &Path, steps: &[(&str, &str)]) -> Vec<String> {
    let file = home.join("steps.json");
    fs::write(&file, serde_json::to_string(steps).expect("JSON")).expect("a file");
    let output = Command::new(super::outside::python())
        .arg(super::outside::repository().join("tests/python/shell.py"))
        .arg(&file)
        .arg(PROMPT)
        .arg(env!("CARGO_BIN_EXE_gapless"))
        .args(["sql", "--report"])
        .arg(report.path())
        .env("XDG_STATE_HOME", home)
        .env("TERM", "xterm")
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(seen["code"], 0);
    seen["seen"].as_array().expect("a list").iter().map(|text| text.as_str().expect("text").to_owned()).collect()
}

/// The shell on a real terminal: completion of tables, columns, queries and their parameters, `\d`, timing, output modes, errors that do
/// not end it, and history, also of the shell before.
#[test]
fn the_shell_on_a_terminal() {
    let report = Report::new();
    let home = tempfile::tempdir().expect("a directory");
    let seen = type_into(
        &report,
        home.path(),
        &[
            ("", PROMPT),
            ("\\d\r", "one row for"),
            ("\\d seam\t\r", "identical_keys"),
            ("@worst_w\t", "@worst_windows"),
            (" --str\t", "--stream"),
            (" orders\r", "row_difference"),
            ("SELECT origi\t", "original_"),
            ("v\t", "original_value"),
            (" FROM findings", "findings"),
            (" LIMIT 1;\r", "1 row"),
            ("\\timing on\r", "timing is on"),
            ("\\format csv\r", PROMPT),
            ("SELECT 1 AS one;\r", "time: 0."),
            ("\\format json\r", PROMPT),
            ("SELECT 2 AS two;\r", "[{\"two\":2}]"),
            ("\\x\r", "rows are records"),
            ("SELECT 3 AS three;\r", "three  3"),
            ("\\x\r", "rows are a table"),
            ("\\d @streams\r", "-- id: streams"),
            ("SELECT nope FROM findings;\r", "there is no column `nope`"),
            ("\\nonsense\r", "there is no command"),
            ("SELECT\r", "-> "),
            ("4 AS four;\r", "four"),
            ("\u{3}", PROMPT),
            ("\\?\r", "\\timing [on|off]"),
            ("\\q\r", ""),
        ],
    );
    assert!(seen[0].contains("2 runs in") && seen[0].contains("the latest b: fail"), "{}", seen[0]);
    assert!(seen[12].contains("one\n1\n"), "{}", seen[12]);
    // Another shell, another day: the arrow brings back what was asked last, and it runs.
    let again = type_into(
        &report,
        home.path(),
        &[
            ("", PROMPT),
            ("\u{1b}[A\u{1b}[A\u{1b}[A", "4 AS four;"),
            ("\r", "1 row"),
            ("\\d @wor\t\r", "-- id: worst_windows"),
            ("\u{4}", ""),
        ],
    );
    assert!(again[2].contains('4'), "{}", again[2]);
    let history = fs::read_to_string(home.path().join("gapless/sql_history")).expect("a history");
    assert!(history.contains("@worst_windows --stream orders"), "{history}");
}

/// Statements that are typed ahead or pasted are all answered, in order: while the shell waits, while it answers, before it has started, and in the way in
/// which terminals bracket what is pasted.
#[test]
fn the_shell_loses_nothing_that_is_typed_ahead() {
    let report = Report::new();
    let home = tempfile::tempdir().expect("a directory");
    let long: String = (0..20).map(|n| format!("SELECT {n} AS n, repeat('x', 30) AS filler, 'row {n} of it' AS words;\r")).collect();
    let before = "SELECT 'be' || 'fore' AS a;\rSELECT 'too' || ' soon' AS b;\r";
    let steps = [
        // Typed before the program has said anything.
        (before, "too soon"),
        ("SELECT 'o' || 'ne' AS a;\rSELECT 't' || 'wo' AS b;\r@streams\rSELECT 'th' || 'ree'\r AS c;\r", "three"),
        (long.as_str(), "row 19 of it │"),
        ("\u{1b}[200~SELECT 'fo' || 'ur' AS a;\rSELECT 'fi' || 've' AS b;\r\u{1b}[201~", "'fi' || 've' AS b;"),
        ("\r", "five"),
        ("\\q\r", ""),
    ];
    let seen = type_into(&report, home.path(), &steps);
    assert!(seen[0].contains("before"), "{}", seen[0]);
    for word in ["one", "two", "orders", "three"] {
        assert!(seen[1].contains(word), "{word}: {}", seen[1]);
    }
    for n in 0..20 {
        assert!(seen[2].contains(&format!("┆ row {n} of it │")), "{n}: {}", seen[2]);
    }
    assert!(seen[4].contains("four"), "{}", seen[4]);
    let history = fs::read_to_string(home.path().join("gapless/sql_history")).expect("a history");
    assert!(history.contains("SELECT 12 AS n") && history.contains("'fi' || 've'"), "{history}");
}

/// A file that cannot be read stands in the way of the rows of its own table, and of nothing else: columns are known and listed.
#[test]
fn a_table_that_cannot_be_read_is_listed_with_the_others() {
    let report = Report::new();
    fs::write(report.path().join("run=b/gaps.parquet"), "not Parquet").expect("a file");
    let rows = |statement: &str| {
        let output = report.ask(&[statement, "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let columns = rows("SELECT table_name, count(*) AS n FROM information_schema.columns WHERE table_schema = 'report' GROUP BY 1");
    assert_eq!(columns.as_array().expect("rows").len(), gapless::console::TABLES.len());
    assert!(columns.as_array().expect("rows").contains(&json!({"table_name": "gaps", "n": 12})), "{columns}");
    assert_eq!(rows("SHOW COLUMNS FROM gaps").as_array().expect("rows").len(), 12);
    assert!(!rows("SELECT * FROM findings").as_array().expect("rows").is_empty());
    for statement in ["SELECT * FROM gaps", "SELECT count(*) FROM gaps", "SELECT run FROM gaps WHERE run = 'a'", "@open_gaps", "@coverage"]
    {
        let complaint = complained(&report.ask(&[statement]));
        assert!(complaint.contains("`gaps` of run `b` cannot be read") && complaint.contains("gaps.parquet"), "{complaint}");
    }
}

/// The same commands in a script; what is not among the answers goes to stderr.
#[test]
fn a_script_changes_its_output_as_it_goes() {
    let report = Report::new();
    let output =
        report.ask_with(&[], "\\format jsonl\nSELECT 1 AS a;\n\\timing\n\\format csv\nSELECT 2 AS a;\n\\format records\nSELECT 3 AS a;\n");
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(stdout.starts_with("{\"a\":1}\n\na\n2\n\n── row 1 ") && stdout.ends_with("a  3\n1 row\n"), "{stdout}");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(stderr.starts_with("timing is on\ntime: 0.") && stderr.matches("time: ").count() == 2, "{stderr}");
    let complaint = complained(&report.ask_with(&[], "\\format parquet\n"));
    assert!(complaint.contains("no way to show rows here"), "{complaint}");
}
