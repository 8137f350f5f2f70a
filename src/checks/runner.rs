//! Runs the checks over the relations and makes findings of what they return.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as Clock;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext, ident, lit};
use futures::TryStreamExt;

use super::catalogue::Check;
use super::differences::{Differences, DifferencesTable, out_of_engine};
use crate::domain::{Finding, Grain, Instant, Severity, pairs};
use crate::error::{Error, Result};
use crate::findings::{Accepting, FindingWriter};
use crate::staging::refuse_unsafe_joins;

/// What one check came to on one stream.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The check; a rule under its own name.
    pub check: String,
    /// How it weighs.
    pub severity: Severity,
    /// How many it found of each check and severity, accepted ones included.
    pub found: BTreeMap<(String, Severity), u64>,
    /// How many of them are accepted, by severity.
    pub accepted: BTreeMap<Severity, u64>,
    /// Some finding that is not accepted is more than for information.
    pub fails: bool,
    /// Why it was not judged, if it was not.
    pub not_judged: Option<String>,
    /// How long it took.
    pub duration_ms: f64,
}

impl Outcome {
    /// How many it found.
    pub fn findings(&self) -> u64 {
        self.found.values().sum()
    }
}

/// What the checks of a stream run over, and where their findings go.
#[expect(missing_debug_implementations, reason = "it holds files under way")]
#[expect(missing_docs, reason = "the names say it")]
pub struct CheckRun<'a> {
    pub stream: &'a str,
    pub relations: Vec<(&'static str, Vec<RecordBatch>)>,
    /// What the exact look settled; without it there is no relation `differences`.
    pub differences: Option<Arc<Differences>>,
    /// The rules of the stream, each with its weight: what the check `rule` finds is reported under their names.
    pub rules: Vec<(String, Severity)>,
    /// The user's changes.
    pub severities: &'a BTreeMap<String, Severity>,
    pub accepting: Option<&'a mut Accepting>,
    /// Findings of a check that are listed at most.
    pub most: usize,
    pub findings: &'a mut FindingWriter,
}

/// Runs checks over relations, one after another, and hands on what they find. `judged` says why a check is not judged.
///
/// # Errors
/// A check that does not run is a defect, never a pass. Findings had to go to disk, and could not.
pub async fn run_checks(checks: &[Check], mut run: CheckRun<'_>, judged: impl Fn(&str) -> Option<String>) -> Result<Vec<Outcome>> {
    // One sort above a UNION: those of its branches would share what a LIMIT has seen so far, though each leaves out what is constant in it.
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1).with_repartition_sorts(false));
    for (name, parts) in std::mem::take(&mut run.relations) {
        let schema = parts.first().map_or_else(|| Arc::new(arrow::datatypes::Schema::empty()), RecordBatch::schema);
        let table = MemTable::try_new(schema, vec![parts]).map_err(Error::engine(format!("staging {name}")))?;
        context.register_table(name, Arc::new(table)).map_err(Error::engine(format!("staging {name}")))?;
    }
    if let Some(differences) = run.differences.take() {
        let table = DifferencesTable::new(differences)?;
        context.register_table("differences", Arc::new(table)).map_err(Error::engine("staging differences"))?;
    }
    let mut outcomes = Vec::new();
    for check in checks {
        if check.id == "rule" && !run.rules.is_empty() {
            for (name, severity) in run.rules.clone() {
                outcomes.push(run.check(&context, check, Some((&name, severity)), judged(check.id)).await?);
            }
        } else {
            outcomes.push(run.check(&context, check, None, judged(check.id)).await?);
        }
    }
    Ok(outcomes)
}

impl CheckRun<'_> {
    /// Runs one check, or of the check `rule` what is about one rule.
    async fn check(
        &mut self,
        context: &SessionContext,
        check: &Check,
        rule: Option<(&str, Severity)>,
        not_judged: Option<String>,
    ) -> Result<Outcome> {
        let started = Clock::now();
        let mut outcome = Outcome {
            check: rule.map_or(check.id, |(name, _)| name).to_string(),
            severity: rule.map_or_else(|| self.severities.get(check.id).copied().unwrap_or(check.severity), |(_, severity)| severity),
            found: BTreeMap::new(),
            accepted: BTreeMap::new(),
            fails: false,
            not_judged,
            duration_ms: 0.0,
        };
        let failed = |source| out_of_engine(source, |source| Error::Check { check: check.id.to_string(), source });
        let mut frame = context.sql(&check.sql).await.map_err(failed)?;
        if let Some((name, _)) = rule {
            frame = frame.filter(ident("check").eq(lit(name))).map_err(failed)?;
        }
        let plan = frame.create_physical_plan().await.map_err(failed)?;
        refuse_unsafe_joins(&format!("the check '{}'", check.id), plan.as_ref())?;
        let mut batches = datafusion::physical_plan::execute_stream(plan, context.task_ctx()).map_err(failed)?;
        // Differences may be many, so they are handed on as they come; other relations are small, and their findings are put in order.
        let many = check.reads.iter().any(|relation| relation == "differences");
        let mut rows: Vec<(Option<i64>, Finding)> = Vec::new();
        let mut last = None;
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            self.findings_of(check, &batch, &mut rows);
            if many {
                for (ordinal, finding) in rows.drain(..) {
                    if ordinal.is_none() || ordinal < last {
                        let problem = "it reads `differences` and does not keep the order of their `ordinal`".to_string();
                        return Err(failed(datafusion::error::DataFusionError::Internal(problem)));
                    }
                    last = ordinal;
                    self.hand_on(finding, &mut outcome)?;
                }
            }
        }
        // The relations are in canonical order; a query that does not keep `ordinal` is ordered by what it says.
        if !rows.is_sorted_by_key(|(ordinal, _)| *ordinal) || rows.iter().any(|(ordinal, _)| ordinal.is_none()) {
            rows.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| order(x).cmp(&order(y))));
        }
        for (_, finding) in rows {
            self.hand_on(finding, &mut outcome)?;
        }
        // In whole microseconds, as it is stored: else half of one could be rounded up here and down there.
        outcome.duration_ms = started.elapsed().as_micros() as f64 / 1_000.0;
        Ok(outcome)
    }

    /// Counts a finding, and lists it up to the limit.
    fn hand_on(&mut self, mut finding: Finding, outcome: &mut Outcome) -> Result<()> {
        if let Some(accepting) = &mut self.accepting {
            accepting.mark(&mut finding);
        }
        let listed = outcome.findings() < self.most as u64;
        match outcome.found.iter_mut().find(|((check, severity), _)| *check == finding.check && *severity == finding.severity) {
            Some((_, count)) => *count += 1,
            None => drop(outcome.found.insert((finding.check.clone(), finding.severity), 1)),
        }
        if finding.accepted {
            *outcome.accepted.entry(finding.severity).or_default() += 1;
        }
        outcome.fails |= !finding.accepted && finding.severity > Severity::Info;
        if listed { self.findings.push(finding) } else { Ok(()) }
    }
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

impl CheckRun<'_> {
    fn findings_of(&self, check: &Check, batch: &RecordBatch, found: &mut Vec<(Option<i64>, Finding)>) {
        let severity = self.severities.get(check.id).copied();
        for row in 0..batch.num_rows() {
            let cells = Cells { batch, row };
            let own = cells.text("severity").and_then(|word| Severity::parse(&word));
            // A rule is a check under its own name.
            let id = cells.text("check").unwrap_or_else(|| check.id.to_string());
            let said = if id == check.id { severity } else { self.severities.get(&id).copied() };
            let finding = Finding {
                stream: self.stream.to_string(),
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
            };
            found.push((cells.count("ordinal"), finding));
        }
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
