//! Every folder of `fixtures/cases` is a job with what must be found; the flights and the weather have a ground truth
//! that was computed by others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::outside::{repository, run_python};
use super::support::read_findings;

fn verify(job: &std::path::Path, report: &std::path::Path) -> (i32, serde_json::Value, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gapless"))
        .args(["verify", "--format", "json", "--job"])
        .arg(job)
        .arg("--report")
        .arg(report)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
    (output.status.code().unwrap_or(-1), json, stderr)
}

/// The findings of the one run in a report directory.
fn findings_of(report: &std::path::Path) -> Vec<super::support::Finding> {
    let run = std::fs::read_dir(report)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("run="))
        .unwrap();
    read_findings(&run.join("findings.parquet"))
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(repository().join("fixtures/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("gapless.toml").exists())
        .collect();
    cases.sort();
    cases
}

#[test]
fn each_case_finds_exactly_what_it_says() {
    let mut wrong = Vec::new();
    for case in cases() {
        let expected: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(case.join("expect.json")).unwrap()).unwrap();
        let report = tempfile::tempdir().unwrap();
        let (code, json, stderr) = verify(&case.join("gapless.toml"), report.path());
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for stream in json["streams"].as_array().into_iter().flatten() {
            for (check, count) in stream["findings"].as_object().into_iter().flatten() {
                *found.entry(check.clone()).or_default() += count.as_u64().unwrap();
            }
        }
        let wanted: BTreeMap<String, u64> =
            expected["findings"].as_object().unwrap().iter().map(|(check, count)| (check.clone(), count.as_u64().unwrap())).collect();
        let same = found == wanted && i64::from(code) == expected["exit_code"].as_i64().unwrap() && json["verdict"] == expected["verdict"];
        if !same {
            wrong.push(format!("{}: exit {code}, {} {found:?}, expected {expected}\n{stderr}", case.display(), json["verdict"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_check_fires_on_some_case() {
    let mut fired: BTreeSet<String> = BTreeSet::new();
    for case in cases() {
        let expected: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(case.join("expect.json")).unwrap()).unwrap();
        fired.extend(expected["findings"].as_object().unwrap().keys().cloned());
    }
    for (_, id, _) in gapless::checks::catalogue::FILES {
        // A rule fires under its own name.
        assert!(*id == "rule" || fired.contains(*id), "no fixture on which '{id}' fires");
    }
}

#[test]
fn the_flights_interruption_matches_its_ground_truth() {
    let folder = repository().join("fixtures/flights-outage");
    let truth: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(folder.join("truth.json")).unwrap()).unwrap();
    let report = tempfile::tempdir().unwrap();
    let (code, json, stderr) = verify(&folder.join("gapless.toml"), report.path());
    assert_eq!(code, 1, "{stderr}");
    let stream = &json["streams"][0];
    for (name, value) in truth["streams"][0]["counts"].as_object().unwrap() {
        assert_eq!(&stream["counts"][name], value, "{name}");
    }
    // Exactly these, and nothing else.
    assert_eq!(stream["findings"], truth["streams"][0]["findings"]);
    let findings = findings_of(report.path());
    let mut mismatches: Vec<[String; 3]> = findings
        .iter()
        .filter(|finding| finding.check == "value_mismatch")
        .map(|f| [f.column.clone(), f.original.clone(), f.backfill.clone()].map(|v| v.unwrap_or("NULL".to_string())))
        .collect();
    let mut expected: Vec<[String; 3]> = truth["streams"][0]["mismatches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| ["column", "original", "backfill"].map(|name| m[name].as_str().unwrap_or("NULL").to_string()))
        .collect();
    mismatches.sort();
    expected.sort();
    assert_eq!(mismatches, expected);
}

#[test]
fn the_weather_lacks_exactly_the_hours_that_duckdb_and_pandas_miss() {
    let folder = repository().join("fixtures/weather");
    let truth: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(folder.join("truth.json")).unwrap()).unwrap();
    let report = tempfile::tempdir().unwrap();
    let data = folder.join("weather.parquet");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gapless"))
        .arg("verify")
        .arg(&data)
        .arg(&data)
        .args("--key origin,time_hour --time time_hour --series origin --window 1h --cadence 1h --format json --report".split(' '))
        .arg(report.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts = &json["streams"][0]["counts"];
    assert_eq!(counts["missing_keys"], 0);
    assert_eq!(counts["unexpected_keys"], 0);
    assert_eq!(counts["mismatched_keys"], 0);
    assert_eq!(counts["matched_keys"], counts["original_rows"]);
    let mut expected = BTreeSet::new();
    for (airport, facts) in truth["airports"].as_object().unwrap() {
        for gap in facts["gaps"].as_array().unwrap() {
            for side in ["original", "backfill"] {
                let text = |name: &str| gap[name].as_str().unwrap().to_string();
                expected.insert((airport.clone(), side.to_string(), text("from"), text("until"), gap["missing"].as_i64().unwrap()));
            }
        }
    }
    let found: BTreeSet<_> = findings_of(report.path())
        .into_iter()
        .filter(|finding| finding.check == "gap")
        .map(|finding| {
            let series: serde_json::Value = serde_json::from_str(finding.series.as_deref().unwrap()).unwrap();
            let time = |micros: Option<i64>| gapless::domain::Instant::from_micros(micros.unwrap()).to_string();
            let airport = series["origin"].as_str().unwrap().to_string();
            (airport, finding.side.clone().unwrap(), time(finding.from_time), time(finding.until_time), finding.rows.unwrap())
        })
        .collect();
    assert_eq!(found, expected);
}

/// DuckDB reads the report with a glob, and agrees with the console on every count.
#[test]
fn duckdb_and_the_console_agree_on_the_report() {
    let report = tempfile::tempdir().unwrap();
    for case in ["flights-outage", "cases/value-mismatch", "cases/clean"] {
        verify(&repository().join("fixtures").join(case).join("gapless.toml"), report.path());
    }
    let theirs: serde_json::Value = serde_json::from_str(&run_python("report_counts.py", &[report.path().as_os_str()])).unwrap();
    let ask = |sql: &str| -> serde_json::Value {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_gapless"))
            .args(["sql", sql, "--format", "json", "--report"])
            .arg(report.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let mut tables = 0;
    for (table, count) in theirs["tables"].as_object().unwrap() {
        assert_eq!(ask(&format!("SELECT count(*) AS n FROM {table}"))[0]["n"], *count, "{table}");
        tables += 1;
    }
    assert_eq!(tables, 11);
    let mine = ask("SELECT stream, \"check\", severity, count(*) AS n FROM findings GROUP BY stream, \"check\", severity");
    let mut compared = 0;
    for row in theirs["findings"].as_array().unwrap() {
        let same = mine
            .as_array()
            .unwrap()
            .iter()
            .find(|own| own["stream"] == row["stream"] && own["check"] == row["check"] && own["severity"] == row["severity"]);
        let count = row["findings"].as_u64().or(row["n"].as_u64()).or(row["count"].as_u64()).or(row["rows"].as_u64());
        assert_eq!(same.and_then(|own| own["n"].as_u64()), count, "{row}");
        compared += 1;
    }
    assert!(compared > 3);
    assert_eq!(mine.as_array().unwrap().len(), compared);
}
