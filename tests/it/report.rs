//! The public face of a run, pinned: table schemas, JSON fields, the text that people read, the list of checks.

use std::process::Command;

use super::outside::repository;

fn flights(extra: &[&str]) -> (tempfile::TempDir, String) {
    let report = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
        .current_dir(repository())
        .args(["verify", "--job", "fixtures/flights-outage/gapless.toml", "--report"])
        .arg(report.path())
        .args(extra)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    (report, String::from_utf8(output.stdout).unwrap())
}

fn run_directory(report: &std::path::Path) -> std::path::PathBuf {
    std::fs::read_dir(report)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("run="))
        .unwrap()
}

#[test]
fn table_schemas_are_public() {
    let (report, _) = flights(&["--quiet"]);
    let run = run_directory(report.path());
    let mut shown = String::new();
    let mut names: Vec<_> = std::fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names.iter().filter(|path| path.extension().is_some_and(|suffix| suffix == "parquet")) {
        let file = std::fs::File::open(path).unwrap();
        let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        shown.push_str(&format!("{}\n", path.file_stem().unwrap().to_string_lossy()));
        for field in builder.schema().fields() {
            shown.push_str(&format!("  {} {}\n", field.name(), field.data_type()));
        }
    }
    insta::assert_snapshot!(shown);
}

/// The console knows the tables by their own list: it must be the one that is written.
#[test]
fn the_console_knows_every_table_and_column() {
    let (report, _) = flights(&["--quiet"]);
    let run = run_directory(report.path());
    for table in gapless::console::TABLES {
        let file = std::fs::File::open(run.join(format!("{}.parquet", table.name))).unwrap();
        let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let written: Vec<_> = builder.schema().fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
        let known: Vec<_> = table.file_schema().fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
        assert_eq!(written, known, "{}", table.name);
    }
}

fn fields(value: &serde_json::Value, path: &str, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) if !path.ends_with("options") && !path.ends_with("findings") && !path.ends_with("by_check") => {
            for (name, value) in object {
                fields(value, &format!("{path}.{name}"), out);
            }
        }
        serde_json::Value::Array(items) => {
            if let Some(first) = items.first() {
                fields(first, &format!("{path}[]"), out);
            } else {
                out.push(path.to_string());
            }
        }
        _ => out.push(path.to_string()),
    }
}

#[test]
fn json_fields_are_public() {
    let (_report, json) = flights(&["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["schema_version"], 1);
    let mut found = Vec::new();
    fields(&json, "", &mut found);
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn the_text_that_people_read() {
    let (report, text) = flights(&[]);
    let directory = report.path().display().to_string();
    let shown: Vec<String> = text
        .lines()
        .map(|line| match line.trim_start() {
            // The time and the run's name are its own.
            start if start.starts_with("time ") => "  time      [time]".to_string(),
            start if start.starts_with("report ") => "report  [report]".to_string(),
            _ => line.replace(&directory, "[report]").replace(&repository().display().to_string(), "[repository]"),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_list_of_checks() {
    let ask = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gapless")).args(args).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    insta::assert_snapshot!(ask(&["checks"]));
    insta::assert_snapshot!(ask(&["checks", "explain", "duplicate_key"]));
}

/// A job that `init` writes is a job that `verify` takes.
#[test]
fn init_writes_a_job_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.csv"), "id,at,v\n1,2024-05-06 01:00:00,x\n2,2024-05-06 02:00:00,\n").unwrap();
    std::fs::write(directory.path().join("b.csv"), "id;ts;v\n1;2024-05-06 03:00:00;x\n2;2024-05-06 04:00:00;\n").unwrap();
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_gapless")).current_dir(directory.path()).args(args).output().unwrap();
    let written = run(&[
        "init",
        "a.csv",
        "b.csv",
        "--cadence",
        "1h",
        "--output",
        "gapless.toml",
        "--original-opt",
        "time_zone=UTC",
        "--backfill-opt",
        "time_zone=Europe/Berlin",
        "--backfill-opt",
        "rename=ts:at",
        "--backfill-opt",
        "delimiter=;",
    ]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let again = run(&["init", "a.csv", "b.csv", "--backfill-opt", "delimiter=;", "--output", "gapless.toml"]);
    assert_eq!(again.status.code(), Some(2), "a job that is there is not overwritten");
    let verified = run(&["verify", "--job", "gapless.toml"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// Every file under a folder, with its bytes and when it was last changed.
fn state(folder: &std::path::Path) -> std::collections::BTreeMap<std::path::PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = std::collections::BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let changed = std::fs::metadata(&path).unwrap().modified().unwrap();
                found.insert(path.clone(), (std::fs::read(&path).unwrap(), changed));
            }
        }
    }
    found
}

#[test]
fn a_side_is_never_written_to() {
    let folder = repository().join("fixtures/flights-outage");
    let before = state(&folder);
    flights(&["--digest", "md5"]);
    assert!(before == state(&folder), "a run left a trace in its own data");
}

/// Partition directories are columns: to key, to split into series, and to leave whole files out by.
#[test]
fn partitions_are_columns_and_prune() {
    let directory = tempfile::tempdir().unwrap();
    for side in ["a", "b"] {
        for day in 1..=3 {
            let folder = directory.path().join(format!("{side}/day=2024-05-0{day}"));
            std::fs::create_dir_all(&folder).unwrap();
            // The third day differs between the sides.
            let value = if day == 3 { side } else { "same" };
            std::fs::write(folder.join("part.csv"), format!("id,v\n1,{value}\n2,x\n")).unwrap();
        }
    }
    let verify = |filter: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
            .current_dir(directory.path())
            .args(["verify", "a/", "b/", "--key", "day,id", "--series", "day", "--format", "json"])
            .args(["--opt", &format!("filter={filter}")])
            .output()
            .unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let counts = json["streams"][0]["counts"].clone();
        (output.status.code(), counts["original_rows"].clone(), counts["matched_keys"].clone(), counts["mismatched_keys"].clone())
    };
    assert_eq!(verify("true"), (Some(1), 6.into(), 5.into(), 1.into()));
    assert_eq!(verify("day < DATE '2024-05-03'"), (Some(0), 4.into(), 4.into(), 0.into()));
    assert_eq!(verify("day = DATE '2024-05-03' AND id = 1"), (Some(1), 1.into(), 0.into(), 1.into()));
    assert_eq!(verify("day > DATE '2024-05-02' OR id = 2"), (Some(1), 4.into(), 3.into(), 1.into()));
    assert_eq!(verify("day > DATE '2025-01-01'"), (Some(3), 0.into(), 0.into(), 0.into()));
}

/// What a hostile tester found, kept: each pair differs and must not pass, each file is broken and must not be read.
#[test]
fn found_by_fresh_eyes() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let verify = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gapless"))
            .current_dir(directory.path())
            .arg("verify")
            .args(args)
            .args(["--key", "k"])
            .output()
            .unwrap();
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    // A tolerance must not make exact numbers inexact.
    write("a.csv", "k,v\n1,18446744073709551615\n2,12345678901234567.01\n");
    write("b.csv", "k,v\n1,18446744073709550614\n2,12345678901234567.50\n");
    for data_type in ["decimal(40,2)", "decimal(38,2)"] {
        let (code, said) = verify(&["a.csv", "b.csv", "--opt", &format!("columns=v:{data_type}"), "--tolerance", "v=0.01"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("2 mismatched") || said.contains("value_mismatch · 2"), "{said}");
    }
    // JSON numbers keep their digits beside fractions.
    write("a.ndjson", "{\"k\":1,\"v\":9007199254740993}\n{\"k\":2,\"v\":1.5}\n");
    write("b.ndjson", "{\"k\":1,\"v\":9007199254740992}\n{\"k\":2,\"v\":1.5}\n");
    assert_eq!(verify(&["a.ndjson", "b.ndjson"]).0, Some(1));
    // Quotes that are never closed, or closed too early.
    write("open.csv", "k,v\n1,a\n2,\"b\n3,c\n");
    write("early.csv", "k,v\n1,\"a\"b\n");
    for name in ["open.csv", "early.csv"] {
        let (code, said) = verify(&[name]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("quote"), "{said}");
    }
    write("fine.csv", "k,v\r\n1,\"a \"\"b\"\",\nc\"\r\n2,5\" pipe\r\n");
    assert_eq!(verify(&["fine.csv"]).0, Some(0));
    // More digits than a timestamp has are text.
    write("c.csv", "k,v\n1,2024-01-01T00:00:00.1234567890\n");
    write("d.csv", "k,v\n1,2024-01-01T00:00:00.1234567899\n");
    assert_eq!(verify(&["c.csv", "d.csv"]).0, Some(1));
    // A masked value stays masked in what the engine says of it.
    write("mail.csv", "k,email\n1,alice@secret.org\n");
    let (code, said) = verify(&["mail.csv", "--mask", "email", "--rule", "c: CAST(email AS INT) > 0"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(!said.contains("alice"), "{said}");
}
