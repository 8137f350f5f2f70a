//! What a run leaves: everything that a report, a gate or a query is made from, and nothing of the data itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;

use super::diagnosis::{DiagnosisRecord, IncidentRecord};
use super::list::FindingList;
use crate::domain::{Bounds, Instant, Mode, Severity, Side, Verdict};

/// A whole run.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the public table `runs`")]
pub struct RunRecord {
    pub id: String,
    pub job: Option<String>,
    pub started: Instant,
    pub finished: Instant,
    pub verdict: Verdict,
    pub exit_code: u8,
    /// The run whose findings are known, so that only others close the gate.
    pub baseline: Option<String>,
    pub version: String,
    /// The job as it was run, as JSON.
    pub options: serde_json::Value,
    pub streams: Vec<StreamRecord>,
}

/// What one pass over a side, or one step after the passes, cost.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of `stages` in the JSON summary, documented in docs/report.md")]
pub struct StageRecord {
    pub name: Cow<'static, str>,
    pub side: Option<Side>,
    pub rows: u64,
    pub bytes: u64,
    pub elapsed_ms: u64,
}

/// One stream of a run.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the public tables, documented in docs/report.md")]
pub struct StreamRecord {
    pub name: String,
    pub mode: Mode,
    pub verdict: Verdict,
    /// The verdict in one sentence.
    pub reason: String,
    /// What kept the verdict from being a pass, beside findings.
    pub incomplete: Vec<String>,
    /// Files changed while they were read, so that no finding is sure.
    pub unstable: bool,
    pub sides: Vec<SideRecord>,
    /// What each pass cost, in the order in which they ran.
    pub stages: Vec<StageRecord>,
    pub bounds: Bounds,
    pub bounds_kind: &'static str,
    /// The known interruption.
    pub outage: Option<Bounds>,
    /// Planned interruptions inside the bounds, in their order: at most [`MOST_PLANNED`].
    pub maintenance: Vec<PlannedRecord>,
    pub window: Option<String>,
    pub window_is_default: bool,
    pub time_zone: String,
    pub windows_judged: u64,
    pub counts: Counts,
    pub checks: Vec<CheckRecord>,
    /// In canonical order, up to the limit a check.
    pub findings: FindingList,
    /// Complete counts by check, accepted findings included.
    pub totals: BTreeMap<String, u64>,
    /// Complete counts by check and severity, accepted findings included.
    pub found: BTreeMap<(String, Severity), u64>,
    /// Complete counts by severity, accepted findings left out.
    pub by_severity: BTreeMap<Severity, u64>,
    pub accepted: u64,
    /// Findings that the baseline holds as well, accepted ones left out.
    pub known: u64,
    /// Checks whose findings were cut at the limit.
    pub cut: Vec<String>,
    pub assumed: Vec<String>,
    pub checksum: String,
    pub windows: Vec<RecordBatch>,
    pub spans: Vec<RecordBatch>,
    pub gaps: RecordBatch,
    /// The edges at which a fill's backfill meets live data.
    pub seams: RecordBatch,
    /// What happened, the gravest first.
    pub incidents: Vec<IncidentRecord>,
    pub diagnoses: Vec<DiagnosisRecord>,
    pub elapsed_ms: u64,
}

/// How many planned interruptions a record tells: a job that plans one each week has that many in twenty years.
pub const MOST_PLANNED: usize = 1_000;

/// A planned interruption.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PlannedRecord {
    pub from: Instant,
    pub until: Instant,
    pub reason: Option<String>,
}

/// One side of a stream.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SideRecord {
    pub side: Side,
    pub source: String,
    pub format: String,
    pub files: u64,
    pub bytes: u64,
    /// Rows inside the bounds.
    pub rows: Option<u64>,
    /// Rows that came out of the source.
    pub rows_read: Option<u64>,
    /// Rows outside the bounds: counted, not compared.
    pub rows_outside: Option<u64>,
    pub checksum: Option<String>,
    pub digest: Option<String>,
}

/// The counts of the summary; `None` where a count does not apply.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names of the summary, documented in docs/report.md")]
pub struct Counts {
    pub original_rows: Option<u64>,
    pub backfill_rows: Option<u64>,
    pub matched_keys: Option<u64>,
    pub missing_keys: Option<u64>,
    pub unexpected_keys: Option<u64>,
    pub mismatched_keys: Option<u64>,
    pub duplicate_keys: Option<u64>,
    pub surplus_rows: Option<u64>,
    pub missing_rows: Option<u64>,
    pub unexpected_rows: Option<u64>,
    pub gaps: Option<u64>,
    pub sequence_gaps: Option<u64>,
    pub violations: Option<u64>,
}

impl Counts {
    /// The counts by their public names, in the order of the summary.
    pub fn named(&self) -> [(&'static str, Option<u64>); 13] {
        // Taken apart, so that a count that is added is also written.
        let Self {
            original_rows,
            backfill_rows,
            matched_keys,
            missing_keys,
            unexpected_keys,
            mismatched_keys,
            duplicate_keys,
            surplus_rows,
            missing_rows,
            unexpected_rows,
            gaps,
            sequence_gaps,
            violations,
        } = *self;
        [
            ("original_rows", original_rows),
            ("backfill_rows", backfill_rows),
            ("matched_keys", matched_keys),
            ("missing_keys", missing_keys),
            ("unexpected_keys", unexpected_keys),
            ("mismatched_keys", mismatched_keys),
            ("duplicate_keys", duplicate_keys),
            ("surplus_rows", surplus_rows),
            ("missing_rows", missing_rows),
            ("unexpected_rows", unexpected_rows),
            ("gaps", gaps),
            ("sequence_gaps", sequence_gaps),
            ("violations", violations),
        ]
    }

    /// The counts out of what has them by their public names.
    pub fn from_named(of: impl Fn(&str) -> Option<u64>) -> Self {
        Self {
            original_rows: of("original_rows"),
            backfill_rows: of("backfill_rows"),
            matched_keys: of("matched_keys"),
            missing_keys: of("missing_keys"),
            unexpected_keys: of("unexpected_keys"),
            mismatched_keys: of("mismatched_keys"),
            duplicate_keys: of("duplicate_keys"),
            surplus_rows: of("surplus_rows"),
            missing_rows: of("missing_rows"),
            unexpected_rows: of("unexpected_rows"),
            gaps: of("gaps"),
            sequence_gaps: of("sequence_gaps"),
            violations: of("violations"),
        }
    }
}

impl RunRecord {
    /// From which severity on a finding weighs for the verdict.
    pub fn threshold(&self) -> Severity {
        if self.options["fail_on"] == "warn" { Severity::Warn } else { Severity::Error }
    }
}

impl StreamRecord {
    /// Findings of a check at or above a severity that are neither accepted nor known: complete, also where the list was cut.
    pub fn failing(&self, check: &str, threshold: Severity) -> u64 {
        let all: u64 = self.found.iter().filter(|((name, severity), _)| name == check && *severity >= threshold).map(|(_, n)| n).sum();
        let excused = self.findings.overview.count(|tally| tally.check == check && tally.severity >= threshold && !tally.counts());
        all.saturating_sub(excused)
    }

    /// The record of a side, if the stream has it.
    pub fn side(&self, side: Side) -> Option<&SideRecord> {
        self.sides.iter().find(|record| record.side == side)
    }
}

/// How a check fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each word says it")]
pub enum CheckStatus {
    Pass,
    Fail,
    NotJudged,
}

impl CheckStatus {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotJudged => "not_judged",
        }
    }
}

impl CheckStatus {
    /// Reads the public word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pass, Self::Fail, Self::NotJudged].into_iter().find(|status| status.as_str() == text)
    }
}

/// One check on one stream.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of the public table `checks`")]
pub struct CheckRecord {
    pub check: String,
    pub severity: Severity,
    pub status: CheckStatus,
    pub reason: Option<String>,
    pub findings: u64,
    pub duration_ms: f64,
}
