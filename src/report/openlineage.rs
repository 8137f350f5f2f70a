//! A run as an OpenLineage run event, with facets of data quality on its inputs.
//!
//! The event is `COMPLETE` where everything was looked at, whatever was found: a check that fails is an assertion without success, not a
//! job that broke. It is `FAIL` where the verdict is `incomplete`.

use serde_json::{Map, Value, json};

use super::inert::plain;
use crate::domain::{Severity, Verdict};
use crate::findings::{CheckStatus, RunRecord, SideRecord, StreamRecord, Tally};

const SPEC: &str = "https://openlineage.io/spec";

pub(super) fn event(run: &RunRecord) -> Value {
    let producer = format!("pkg:cargo/gapless@{}", run.version);
    let facet = |name: &str, version: &str, fields: Value| {
        let mut object = Map::new();
        object.insert("_producer".to_string(), json!(producer));
        object.insert("_schemaURL".to_string(), json!(format!("{SPEC}/facets/{version}/{name}.json#/$defs/{name}")));
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        Value::Object(object)
    };
    let mut run_facets = Map::new();
    run_facets.insert(
        "processing_engine".to_string(),
        facet("ProcessingEngineRunFacet", "1-1-1", json!({ "version": run.version, "name": "gapless" })),
    );
    run_facets.insert(
        "gapless".to_string(),
        json!({
            "_producer": producer,
            "_schemaURL": format!("{SPEC}/2-0-2/OpenLineage.json#/$defs/RunFacet"),
            "run": run.id,
            "verdict": run.verdict.as_str(),
            "exit_code": run.exit_code,
            "started_at": run.started.to_string(),
        }),
    );
    if run.verdict == Verdict::Incomplete {
        let said: Vec<&str> = run.streams.iter().flat_map(|stream| &stream.incomplete).map(String::as_str).collect();
        run_facets.insert(
            "errorMessage".to_string(),
            facet("ErrorMessageRunFacet", "1-0-1", json!({ "message": plain(&said.join("; ")), "programmingLanguage": "Rust" })),
        );
    }
    let inputs: Vec<Value> = run
        .streams
        .iter()
        .flat_map(|stream| stream.sides.iter().map(move |side| (stream, side)))
        .map(|(stream, side)| {
            let (namespace, name) = dataset(&side.source);
            let mut facets = Map::new();
            let mut input_facets = Map::new();
            facets.insert(
                "dataQualityAssertions".to_string(),
                facet("DataQualityAssertionsDatasetFacet", "1-0-1", json!({ "assertions": assertions(run, stream, side) })),
            );
            input_facets.insert(
                "dataQualityMetrics".to_string(),
                facet(
                    "DataQualityMetricsInputDatasetFacet",
                    "1-0-2",
                    json!({ "rowCount": side.rows_read, "bytes": side.bytes, "fileCount": side.files, "columnMetrics": {} }),
                ),
            );
            json!({ "namespace": namespace, "name": name, "facets": facets, "inputFacets": input_facets })
        })
        .collect();
    json!({
        "eventType": if run.verdict == Verdict::Incomplete { "FAIL" } else { "COMPLETE" },
        "eventTime": run.finished.to_string(),
        "producer": producer,
        "schemaURL": format!("{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"),
        "run": { "runId": run_uuid(&run.id), "facets": run_facets },
        "job": { "namespace": "gapless", "name": run.job.clone().unwrap_or_else(|| "verify".to_string()), "facets": {} },
        "inputs": inputs,
        "outputs": [],
    })
}

/// What was judged of a side: a check speaks of both unless each of its findings names the other side.
fn assertions(run: &RunRecord, stream: &StreamRecord, side: &SideRecord) -> Vec<Value> {
    let threshold = run.threshold();
    let other = side.side.other().as_str();
    let mut list = Vec::new();
    for check in stream.checks.iter().filter(|check| check.status != CheckStatus::NotJudged) {
        let failing = stream.failing(&check.check, threshold);
        let overview = &stream.findings.overview;
        let mine = |tally: &Tally| tally.check == check.check && tally.severity >= threshold && tally.counts();
        let of_other = overview.count(|tally| mine(tally) && tally.side.as_deref() == Some(other));
        let of_other = of_other > 0 && of_other == failing && of_other == overview.count(mine);
        let mut assertion = json!({ "assertion": check.check, "success": failing == 0 || of_other });
        // The specification knows no lighter word than `warn`.
        if check.severity > Severity::Info {
            assertion["severity"] = json!(check.severity.as_str());
        }
        list.push(assertion);
    }
    list
}

/// A path or URL as OpenLineage names data sets: the place, and the name in it.
fn dataset(source: &str) -> (String, String) {
    match source.split_once("://") {
        Some(("file", path)) => ("file".to_string(), path.to_string()),
        Some((scheme, rest)) => match rest.split_once('/') {
            Some((host, path)) => (format!("{scheme}://{host}"), format!("/{path}")),
            None => (format!("{scheme}://{rest}"), "/".to_string()),
        },
        None => ("file".to_string(), source.to_string()),
    }
}

/// A UUID (version 8) that is always the same for a run.
fn run_uuid(id: &str) -> String {
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_have_a_place_and_a_name() {
        assert_eq!(dataset("live/*.parquet"), ("file".to_string(), "live/*.parquet".to_string()));
        assert_eq!(dataset("s3://lake/orders/"), ("s3://lake".to_string(), "/orders/".to_string()));
        assert_eq!(dataset("file:///data/a"), ("file".to_string(), "/data/a".to_string()));
    }
}
