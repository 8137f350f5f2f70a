//! A job: what is to be verified, valid by construction.
//!
//! [`raw`] holds what people write, in TOML or as flags; both become the same [`raw::RawStream`], and
//! [`build`] turns that into a [`Job`] or says what is wrong with it. Floor 1: imports `domain` only.

mod build;
mod column_type;
mod continuity;
pub mod raw;
mod rule_file;
mod schema;
mod sql_header;

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono_tz::Tz;

pub use build::{build, load};
pub use column_type::ColumnType;
pub use continuity::{ContinuitySpec, Expect, ExpectedSeries, Maintenance, RawContinuity, RawExpect, RawMaintenance};
pub use schema::job_schema;
pub use sql_header::SqlHeader;

use crate::domain::{Bounds, Cadence, Duration, Instant, Mode, Severity, Side, Step, Tolerance};

/// Everything one run verifies.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are those of the job file, documented in docs/job.md")]
pub struct Job {
    pub name: Option<String>,
    pub streams: Vec<Stream>,
    pub accepts: Vec<Accept>,
    pub severities: BTreeMap<String, Severity>,
}

/// One logical table under verification, with its sides.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are those of the job file, documented in docs/job.md")]
pub struct Stream {
    pub name: String,
    pub mode: Mode,
    pub original: SideSpec,
    pub backfill: Option<SideSpec>,
    pub key: Option<Vec<String>>,
    pub keyless: bool,
    pub time: Option<String>,
    pub series: Vec<String>,
    pub sequence: Option<String>,
    /// The last number of a row, where a row stands for a range of numbers; the first is the sequence.
    pub sequence_last: Option<String>,
    pub sequence_step: i128,
    pub sequence_kind: SequenceKind,
    pub payload_sequence: Option<String>,
    pub cadence: Option<Cadence>,
    pub max_silence: Option<Duration>,
    pub window: Option<Duration>,
    pub time_zone: Tz,
    pub bounds: Bounds,
    /// Half-open; an end that is `None` is open.
    pub sequence_bounds: (Option<i128>, Option<i128>),
    pub outage: Option<Bounds>,
    /// The length from which on an incident is persistent, and not brief.
    pub persistent_after: Duration,
    pub continuity: ContinuitySpec,
    pub columns: Option<Vec<String>>,
    pub ignore: Vec<String>,
    pub mask: Vec<String>,
    pub tolerance: BTreeMap<String, Tolerance>,
    pub text: BTreeMap<String, Vec<TextRule>>,
    pub rules: Vec<Rule>,
    pub duplicates: Duplicates,
    pub digest: Option<DigestAlgorithm>,
    pub manifests: Vec<ManifestSpec>,
}

impl Stream {
    /// The spec of a side, where the stream has it.
    pub fn side(&self, side: Side) -> Option<&SideSpec> {
        match side {
            Side::Original => Some(&self.original),
            Side::Backfill => self.backfill.as_ref(),
        }
    }

    /// The sides that the stream has.
    pub fn sides(&self) -> Vec<Side> {
        Side::BOTH.into_iter().filter(|side| self.side(*side).is_some()).collect()
    }

    /// By what silence is measured; `None` without a cadence, and where it is learned from each series.
    pub fn step(&self) -> Option<Step> {
        let silence = self.max_silence.map(Duration::nanos);
        match self.cadence? {
            Cadence::Fixed(cadence) => {
                let cadence = cadence.nanos();
                Some(Step::Fixed { cadence, reach: silence.unwrap_or(cadence + cadence / 2) })
            }
            Cadence::Months(months) => Some(Step::Months { months, zone: self.time_zone, silence }),
            Cadence::Learn => None,
        }
    }

    /// The reach with which time spans are collected: silences up to it are no gap.
    pub fn reach(&self) -> Option<i128> {
        self.step().map(|step| step.least_reach())
    }
}

/// What the numbers of a sequence are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceKind {
    /// Every number is a row.
    Plain,
    /// Offsets of a log, which skips some.
    KafkaOffset,
}

impl SequenceKind {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::KafkaOffset => "kafka_offset",
        }
    }
}

/// How one side is opened.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the job file, documented in docs/job.md")]
pub struct SideSpec {
    pub path: String,
    pub format: Option<Format>,
    pub delimiter: u8,
    pub header: bool,
    pub null_values: Vec<String>,
    pub time_format: Option<String>,
    pub time_zone: Option<Tz>,
    pub ambiguous: Ambiguous,
    /// From the side's own name to ours.
    pub rename: Vec<(String, String)>,
    pub columns: Vec<(String, ColumnType)>,
    pub filter: Option<String>,
}

/// What a local time that comes twice means. One that does not exist means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ambiguous {
    /// Nobody knows: it is a finding, and so is one that does not exist.
    Finding,
    /// It ends the run and names the value, and so does one that does not exist.
    Error,
    /// The first of the two.
    Earliest,
    /// The second of the two.
    Latest,
}

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each word says it")]
pub enum Format {
    Parquet,
    Csv,
    JsonLines,
    JsonArray,
    ArrowFile,
    ArrowStream,
}

impl Format {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::JsonLines => "ndjson",
            Self::JsonArray => "json",
            Self::ArrowFile => "arrow",
            Self::ArrowStream => "arrows",
        }
    }

    /// Reads a public word or a file suffix, without its dot.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "parquet" | "pq" | "parq" => Some(Self::Parquet),
            "csv" | "tsv" | "psv" => Some(Self::Csv),
            "ndjson" | "jsonl" | "jsonlines" => Some(Self::JsonLines),
            "json" => Some(Self::JsonArray),
            "arrow" | "feather" | "ipc" => Some(Self::ArrowFile),
            "arrows" => Some(Self::ArrowStream),
            _ => None,
        }
    }
}

/// A change to text before it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each word says it")]
pub enum TextRule {
    Trim,
    Fold,
    Nfc,
}

/// Which duplicates are findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// Those that make the sides differ, and all of a single side.
    Differing,
    /// Those that both sides hold alike as well.
    All,
}

/// The hash of `--digest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each word says it")]
pub enum DigestAlgorithm {
    Blake3,
    Sha256,
    Md5,
}

impl DigestAlgorithm {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha256",
            Self::Md5 => "md5",
        }
    }
}

/// A list of file digests to check a side's files against.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ManifestSpec {
    pub path: String,
    /// `None`: whichever side's files it names.
    pub side: Option<Side>,
}

/// A check that the user wrote: a boolean SQL expression over rows.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are those of the job file")]
pub struct Rule {
    pub name: String,
    pub assert: String,
    pub severity: Severity,
    /// `None`: every side; in `fill` that is the recovered stream.
    pub side: Option<Side>,
    /// Where it was written, for errors.
    pub place: String,
}

/// Findings that the user has accepted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are those of the job file")]
pub struct Accept {
    pub check: String,
    pub kind: Option<String>,
    pub stream: Option<String>,
    pub side: Option<String>,
    pub series: BTreeMap<String, String>,
    pub key: BTreeMap<String, String>,
    pub column: Option<String>,
    pub bounds: Bounds,
    pub reason: String,
    pub expires: Option<Instant>,
    /// Every stream of the job is looked at in this run.
    pub whole_job: bool,
    /// Where it was written, for messages.
    pub place: String,
}

/// What a run may leave out because it is proven not to matter. Each can be turned off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortcuts {
    /// Files that are byte-identical on both sides are decoded once.
    pub identical_files: bool,
    /// What statistics prove to lie outside the bounds, or away from what differs, is not read.
    pub statistics: bool,
}

/// How a run is carried out, apart from what it verifies.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are those of the flags")]
pub struct RunOptions {
    pub infer: bool,
    pub untrusted: bool,
    /// Every row is compared with every other of its key, without a sketch.
    pub full: bool,
    pub shortcuts: Shortcuts,
    /// Continuity, windows and checksums are not asked for.
    pub only_compare: bool,
    /// Gaps and differences are explained.
    pub diagnosis: bool,
    pub max_findings: usize,
    pub threads: usize,
    pub memory_bytes: u64,
    pub batch_size: usize,
    pub report: PathBuf,
    pub fail_on: FailOn,
}

/// From which severity on the gate is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each word says it")]
pub enum FailOn {
    Error,
    Warn,
    Never,
}
