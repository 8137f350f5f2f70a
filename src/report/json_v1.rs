//! The JSON summary, version 1. Its fields are an interface: documented in `docs/report.md`, pinned by a test.

use serde_json::{Map, Value, json};

use super::StoredRun;
use crate::domain::{Instant, Severity};
use crate::findings::{RunRecord, StreamRecord};

/// Incidents that the summary lists; the table has them all.
const MOST_INCIDENTS: usize = 100;

/// The summary of a run.
pub fn summary(run: &RunRecord, stored: Option<&StoredRun>) -> Value {
    json!({
        "schema_version": 1,
        "run": run.id,
        "job": run.job,
        "version": run.version,
        "started_at": run.started.to_string(),
        "finished_at": run.finished.to_string(),
        "verdict": run.verdict.as_str(),
        "exit_code": run.exit_code,
        "baseline": run.baseline,
        "report": stored.map(|stored| stored.run.display().to_string()),
        "options": run.options,
        "streams": run.streams.iter().map(stream).collect::<Vec<_>>(),
    })
}

fn instant(at: Option<Instant>) -> Value {
    at.map_or(Value::Null, |at| Value::String(at.to_string()))
}

fn stream(stream: &StreamRecord) -> Value {
    let sides: Map<String, Value> = stream
        .sides
        .iter()
        .map(|side| {
            let facts = json!({
                "source": side.source,
                "format": side.format,
                "files": side.files,
                "bytes": side.bytes,
                "rows": side.rows,
                "rows_read": side.rows_read,
                "rows_outside": side.rows_outside,
                "checksum": side.checksum,
                "digest": side.digest,
            });
            (side.side.as_str().to_string(), facts)
        })
        .collect();
    let severities: Map<String, Value> = [Severity::Error, Severity::Warn, Severity::Info]
        .iter()
        .map(|severity| (severity.as_str().to_string(), json!(stream.by_severity.get(severity).copied().unwrap_or(0))))
        .collect();
    json!({
        "name": stream.name,
        "mode": stream.mode.as_str(),
        "verdict": stream.verdict.as_str(),
        "reason": stream.reason,
        "incomplete": stream.incomplete,
        "sides": sides,
        "stages": stream.stages.iter().map(|stage| json!({
            "stage": stage.name,
            "side": stage.side.map(|side| side.as_str()),
            "rows": stage.rows,
            "bytes": stage.bytes,
            "elapsed_ms": stage.elapsed_ms,
        })).collect::<Vec<_>>(),
        "bounds": { "from": instant(stream.bounds.from), "until": instant(stream.bounds.until), "kind": stream.bounds_kind },
        "outage": stream.outage.map(|outage| json!({ "from": instant(outage.from), "until": instant(outage.until) })),
        "maintenance": stream.maintenance.iter().map(|planned| json!({
            "from": instant(Some(planned.from)),
            "until": instant(Some(planned.until)),
            "reason": planned.reason,
        })).collect::<Vec<_>>(),
        "window": { "width": stream.window, "default": stream.window_is_default, "time_zone": stream.time_zone, "windows": stream.windows_judged },
        "checksum": stream.checksum,
        "counts": stream.counts.named().into_iter().map(|(name, count)| (name.to_string(), json!(count))).collect::<Map<_, _>>(),
        "incidents": stream.incidents.iter().take(MOST_INCIDENTS).map(|incident| json!({
            "incident": incident.incident,
            "kind": incident.kind,
            "cause": incident.cause,
            "status": incident.status,
            "severity": incident.severity.as_str(),
            "side": incident.side,
            "scope": incident.scope,
            "class": incident.class,
            "from": instant(incident.from),
            "until": instant(incident.until),
            "series": incident.series,
            "series_total": incident.series_total,
            "rows": incident.rows,
            "rows_exact": incident.rows_exact,
            "message": incident.message,
        })).collect::<Vec<_>>(),
        "incident_count": stream.incidents.len(),
        "diagnosis_count": stream.diagnoses.len(),
        "findings": stream.totals,
        "findings_by_severity": severities,
        "findings_by_check": by_check(stream),
        "accepted": stream.accepted,
        "known": stream.known,
        "cut": stream.cut,
        "assumed": stream.assumed,
        "checks": stream.checks.iter().map(|check| json!({
            "check": check.check,
            "severity": check.severity.as_str(),
            "status": check.status.as_str(),
            "reason": check.reason,
            "findings": check.findings,
            // Whole microseconds: what is read back is what was written.
            "duration_ms": (check.duration_ms * 1_000.0).round() / 1_000.0,
        })).collect::<Vec<_>>(),
        "elapsed_ms": stream.elapsed_ms,
    })
}

/// Check → severity → findings, accepted ones included: complete, also where the list was cut.
fn by_check(stream: &StreamRecord) -> Value {
    let mut checks = Map::new();
    for ((check, severity), count) in &stream.found {
        let entry = checks.entry(check.clone()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(severities) = entry {
            severities.insert(severity.as_str().to_string(), json!(count));
        }
    }
    Value::Object(checks)
}
