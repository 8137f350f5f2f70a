//! Runs the checks over the relations and makes findings of what they return.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as Clock;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::catalogue::Check;
use crate::domain::{Finding, Grain, Instant, Severity, pairs};
use crate::error::{Error, Result};
use crate::staging::refuse_unsafe_joins;

/// What one check came to on one stream.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The check; a rule under its own name.
    pub check: String,
    /// How it weighs.
    pub severity: Severity,
    /// What it found, in canonical order.
    pub findings: Vec<Finding>,
    /// Why it was not judged, if it was not.
    pub not_judged: Option<String>,
    /// How long it took.
    pub duration_ms: f64,
}

/// Runs checks over relations. `judged` says why a check is not judged; `severities` are the user's changes.
///
/// # Errors
/// A check that does not run is a defect, never a pass.
pub async fn run_checks(
    checks: &[Check],
    stream: &str,
    relations: Vec<(&'static str, RecordBatch)>,
    judged: impl Fn(&str) -> Option<String>,
    severities: &BTreeMap<String, Severity>,
) -> Result<Vec<Outcome>> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for (name, batch) in relations {
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(Error::engine(format!("staging {name}")))?;
        context.register_table(name, Arc::new(table)).map_err(Error::engine(format!("staging {name}")))?;
    }
    let mut outcomes = Vec::new();
    for check in checks {
        let started = Clock::now();
        let severity = severities.get(check.id).copied();
        let mut outcome = Outcome {
            check: check.id.to_string(),
            severity: severity.unwrap_or(check.severity),
            findings: Vec::new(),
            not_judged: judged(check.id),
            duration_ms: 0.0,
        };
        let failed = |source| Error::Check { check: check.id.to_string(), source };
        let plan = context.sql(&check.sql).await.map_err(failed)?.create_physical_plan().await.map_err(failed)?;
        refuse_unsafe_joins(&format!("the check '{}'", check.id), plan.as_ref())?;
        let batches = datafusion::physical_plan::collect(plan, context.task_ctx()).await.map_err(failed)?;
        let mut findings: Vec<Finding> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        let mut ordinals: Vec<Option<i64>> = Vec::with_capacity(findings.capacity());
        for batch in &batches {
            findings_of(check, stream, batch, severity, severities, &mut ordinals, &mut findings);
        }
        // The relations are in canonical order; a query that does not keep `ordinal` is ordered by what it says.
        if !ordinals.is_sorted() || ordinals.contains(&None) {
            let mut rows: Vec<(Option<i64>, Finding)> = ordinals.into_iter().zip(findings).collect();
            rows.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| order(x).cmp(&order(y))));
            findings = rows.into_iter().map(|(_, finding)| finding).collect();
        }
        outcome.findings = findings;
        outcome.duration_ms = started.elapsed().as_secs_f64() * 1_000.0;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

type Order<'a> = (
    &'a Option<String>,
    &'a Option<String>,
    Option<Instant>,
    Option<i128>,
    &'a Option<String>,
    &'a Option<String>,
    &'a Option<String>,
    &'a str,
);

fn order(finding: &Finding) -> Order<'_> {
    let at = finding.from_time.or(finding.window_start);
    (&finding.series, &finding.side, at, finding.from_sequence, &finding.key, &finding.column_name, &finding.kind, &finding.message)
}

/// The columns of a row, by name.
struct Cells<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl Cells<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let array = self.batch.column_by_name(name)?;
        if array.is_null(self.row) {
            return None;
        }
        match array.data_type() {
            DataType::Utf8 => Some(array.as_string::<i32>().value(self.row).to_string()),
            DataType::Utf8View => Some(array.as_string_view().value(self.row).to_string()),
            DataType::LargeUtf8 => Some(array.as_string::<i64>().value(self.row).to_string()),
            DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(self.row).to_string()),
            DataType::Decimal128(_, _) => Some(array.as_primitive::<Decimal128Type>().value(self.row).to_string()),
            DataType::Timestamp(_, _) => self.time(name).map(|at| at.to_string()),
            _ => None,
        }
    }

    fn time(&self, name: &str) -> Option<Instant> {
        let array = self.batch.column_by_name(name)?;
        if array.is_null(self.row) || !matches!(array.data_type(), DataType::Timestamp(_, _)) {
            return None;
        }
        Some(Instant::from_micros(array.as_primitive_opt::<TimestampMicrosecondType>()?.value(self.row)))
    }

    fn sequence(&self, name: &str) -> Option<i128> {
        let array = self.batch.column_by_name(name)?;
        if array.is_null(self.row) {
            return None;
        }
        array.as_primitive_opt::<Decimal128Type>().map(|numbers| numbers.value(self.row))
    }

    fn count(&self, name: &str) -> Option<i64> {
        let array = self.batch.column_by_name(name)?;
        if array.is_null(self.row) {
            return None;
        }
        array.as_primitive_opt::<Int64Type>().map(|numbers| numbers.value(self.row))
    }
}

fn findings_of(
    check: &Check,
    stream: &str,
    batch: &RecordBatch,
    severity: Option<Severity>,
    severities: &BTreeMap<String, Severity>,
    ordinals: &mut Vec<Option<i64>>,
    findings: &mut Vec<Finding>,
) {
    for row in 0..batch.num_rows() {
        let cells = Cells { batch, row };
        let own = cells.text("severity").and_then(|word| Severity::parse(&word));
        // A rule is a check under its own name.
        let id = cells.text("check").unwrap_or_else(|| check.id.to_string());
        let said = if id == check.id { severity } else { severities.get(&id).copied() };
        ordinals.push(cells.count("ordinal"));
        findings.push(Finding {
            stream: stream.to_string(),
            check: id,
            kind: cells.text("kind"),
            severity: said.or(own).unwrap_or(check.severity),
            grain: cells.text("grain").and_then(|word| Grain::parse(&word)).unwrap_or(check.grain),
            side: cells.text("side"),
            series: cells.text("series"),
            window_start: cells.time("window_start"),
            window_end: cells.time("window_end"),
            from_time: cells.time("from_time"),
            until_time: cells.time("until_time"),
            from_sequence: cells.sequence("from_sequence"),
            until_sequence: cells.sequence("until_sequence"),
            file: cells.text("file"),
            key: cells.text("key"),
            column_name: cells.text("column_name"),
            original_value: cells.text("original_value"),
            backfill_value: cells.text("backfill_value"),
            rows: cells.count("rows"),
            accepted: false,
            known: false,
            message: message(&check.message, &cells),
        });
    }
}

/// Fills the template of a message: `{column}` is its value, `{series}` and `{key}` as name=value pairs.
fn message(template: &str, cells: &Cells<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            rest = after;
            break;
        };
        let value = cells.text(name);
        match (name, value) {
            ("series" | "key", Some(json)) => out.push_str(&pairs(&json)),
            (_, Some(value)) => out.push_str(&value),
            (_, None) => out.push_str("NULL"),
        }
        rest = tail;
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}
