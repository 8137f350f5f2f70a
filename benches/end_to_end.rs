//! `gapless verify` end to end, on files, in this process: what a person waits for.
//!
//! `GAPLESS_BENCH_ROWS` says how many rows a side has. Each bench holds the summary against the planted truth
//! after it was timed: what it timed was a right answer.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench that cannot run must stop")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use tempfile::TempDir;

use common::files::{batch, schema};
use common::generator::{QTY, Shape};
use common::job::SECOND_US;
use common::table::{Cell, Row};

const SERIES: usize = 4;
/// Of each series, one row in so many is lost, another altered, a third replayed.
const FAULT_EVERY: usize = 997;
const ROWS_A_BATCH: usize = 8_192;

fn main() {
    divan::main();
    // A static is never dropped, and the files are large.
    if let Some(files) = FILES.get() {
        fs::remove_dir_all(files.directory.path()).expect("the files can be removed");
    }
}

/// What was planted, in the words of the summary's counts.
#[derive(Debug, Default)]
struct Truth {
    original_rows: usize,
    backfill_rows: usize,
    missing_keys: usize,
    mismatched_keys: usize,
    surplus_rows: usize,
    gaps: usize,
}

/// The files of one stream: an original, an equal copy in other bytes, and a faulty one.
struct Files {
    directory: TempDir,
    faulty: Truth,
    equal: Truth,
}

static FILES: OnceLock<Files> = OnceLock::new();

fn files() -> &'static Files {
    FILES.get_or_init(write_all_files)
}

fn write_all_files() -> Files {
    // Without `--bench` this is `cargo test --benches`: one run of each, on little.
    let rows = std::env::var("GAPLESS_BENCH_ROWS").map_or_else(
        |_| {
            if std::env::args().any(|argument| argument == "--bench") { 1_000_000 } else { 20_000 }
        },
        |text| text.parse().expect("GAPLESS_BENCH_ROWS is a number of rows"),
    );
    let directory = TempDir::with_prefix("gapless-bench-").unwrap();
    let mut shape = Shape::new(2_024, SERIES, rows / SERIES);
    (shape.cadence_us, shape.jitter) = (SECOND_US, false);
    let (faulty, equal) = write_files(directory.path(), &shape);
    Files { directory, faulty, equal }
}

fn write_files(directory: &Path, shape: &Shape) -> (Truth, Truth) {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let mut original = SideWriter::new(&directory.join("original"), Compression::SNAPPY, 1 << 18);
    let mut faulty = SideWriter::new(&directory.join("faulty"), zstd, 1 << 17);
    let mut equal = SideWriter::new(&directory.join("equal"), zstd, 1 << 17);
    let mut truth = Truth::default();
    // One stretch of a hundredth of a series.
    let stretch = shape.rows_per_series / 2..shape.rows_per_series / 2 + shape.rows_per_series / 100;
    for s in 0..shape.series {
        let mut silent = false;
        for i in 0..shape.rows_per_series {
            let row = shape.row(s, i);
            let lost = s == 0 && stretch.contains(&i) || i % FAULT_EVERY == 17;
            truth.gaps += usize::from(lost && !silent);
            silent = lost;
            if lost {
                truth.missing_keys += 1;
            } else if i % FAULT_EVERY == 503 {
                let mut altered = row.clone();
                altered[QTY] = match altered[QTY] {
                    Cell::Null => Cell::Int(0),
                    _ => Cell::Null,
                };
                faulty.push(altered);
                truth.mismatched_keys += 1;
            } else {
                if i % FAULT_EVERY == 701 {
                    faulty.push(row.clone());
                    truth.surplus_rows += 1;
                }
                faulty.push(row.clone());
            }
            equal.push(row.clone());
            original.push(row);
        }
    }
    truth.original_rows = original.close();
    truth.backfill_rows = faulty.close();
    let rows = equal.close();
    (truth, Truth { original_rows: rows, backfill_rows: rows, ..Truth::default() })
}

/// Writes rows to one Parquet file, a batch at a time, so that millions never stand in memory as rows.
struct SideWriter {
    writer: ArrowWriter<File>,
    rows: Vec<Row>,
    written: usize,
}

impl SideWriter {
    fn new(directory: &Path, compression: Compression, row_group_rows: usize) -> Self {
        fs::create_dir_all(directory).unwrap();
        let file = File::create(directory.join("part-0.parquet")).unwrap();
        let properties = WriterProperties::builder().set_compression(compression).set_max_row_group_row_count(Some(row_group_rows)).build();
        let writer = ArrowWriter::try_new(file, schema(&Shape::columns()), Some(properties)).unwrap();
        Self { writer, rows: Vec::with_capacity(ROWS_A_BATCH), written: 0 }
    }

    fn push(&mut self, row: Row) {
        self.rows.push(row);
        if self.rows.len() == ROWS_A_BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.writer.write(&batch(&Shape::columns(), &self.rows)).unwrap();
        self.written += self.rows.len();
        self.rows.clear();
    }

    /// Returns the number of rows in the file.
    fn close(mut self) -> usize {
        self.flush();
        self.writer.close().unwrap();
        self.written
    }
}

/// One run; the exit code.
fn verify(files: &Files, backfill: &str, summary: &Path) -> u8 {
    let directory = files.directory.path();
    let mut arguments: Vec<OsString> = vec!["gapless".into(), "verify".into()];
    arguments.extend([directory.join("original").into(), directory.join(backfill).into()]);
    arguments.extend(["--key", "id", "--time", "ts", "--series", "device", "--cadence", "1s"].map(OsString::from));
    arguments.extend(["--no-infer", "--quiet", "--no-progress", "--report"].map(OsString::from));
    arguments.push(directory.join(format!("report-{backfill}")).into());
    arguments.extend(["--output".into(), summary.into()]);
    gapless::cli::run_from(arguments)
}

fn time_and_prove(bencher: Bencher<'_, '_>, backfill: &str, truth: &Truth, exit_code: u8) {
    let files = files();
    let summary: PathBuf = files.directory.path().join(format!("{backfill}.json"));
    bencher
        .counter(ItemsCount::new(truth.original_rows + truth.backfill_rows))
        .bench_local(|| assert_eq!(verify(files, backfill, &summary), exit_code, "the exit code on {backfill}"));
    let text = fs::read_to_string(&summary).expect("the run wrote its summary");
    let summary: Value = serde_json::from_str(&text).unwrap();
    let counts = &summary["streams"][0]["counts"];
    let Truth { original_rows, backfill_rows, missing_keys, mismatched_keys, surplus_rows, gaps } = truth;
    for (name, due) in [
        ("original_rows", original_rows),
        ("backfill_rows", backfill_rows),
        ("missing_keys", missing_keys),
        ("unexpected_keys", &0),
        ("mismatched_keys", mismatched_keys),
        ("surplus_rows", surplus_rows),
        ("gaps", gaps),
    ] {
        assert_eq!(counts[name], *due, "counts.{name} on {backfill}");
    }
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn verify_equal_sides(bencher: Bencher<'_, '_>) {
    time_and_prove(bencher, "equal", &files().equal, 0);
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn verify_a_faulty_backfill(bencher: Bencher<'_, '_>) {
    time_and_prove(bencher, "faulty", &files().faulty, 1);
}
