//! Runs with many findings: what is spilled changes nothing, the memory follows the budget, and the counts are those of the list.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::outside::run_python;
use crate::support::{Case, Verified, batch};

/// Two sides of which a part lacks rows, a part differs in one or two columns, and some rows come more than once.
fn sides(rows: i64, seed: u64) -> [RecordBatch; 2] {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sides: [Vec<(i64, i64, String)>; 2] = [Vec::new(), Vec::new()];
    for id in 0..rows {
        let row = (id, rng.random_range(0..1_000), format!("note {}", rng.random_range(0..50)));
        let changed = (id, row.1 + i64::from(id % 3 == 0), if id % 2 == 0 { format!("{}!", row.2) } else { row.2.clone() });
        match rng.random_range(0..20) {
            0 => sides[0].push(row),
            2 => sides[1].push(row),
            3 => {
                sides[0].push(row.clone());
                sides[1].extend([row.clone(), row]);
            }
            4 => {
                sides[0].push(row.clone());
                sides[1].push(row);
            }
            _ => {
                sides[0].push(row);
                sides[1].push(changed);
            }
        }
    }
    sides.map(|rows| {
        let of = rows.iter();
        let at = |id: i64| 1_704_067_200_000_000 + id * 1_000_000;
        batch(vec![
            ("id", Arc::new(of.clone().map(|row| Some(row.0)).collect::<Int64Array>()) as ArrayRef),
            ("at", Arc::new(of.clone().map(|row| Some(at(row.0))).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
            ("device", Arc::new(of.clone().map(|row| Some(format!("d{}", row.0 % 7))).collect::<StringArray>())),
            ("amount", Arc::new(of.clone().map(|row| Some(row.1)).collect::<Int64Array>())),
            ("note", Arc::new(of.map(|row| Some(row.2.clone())).collect::<StringArray>())),
        ])
    })
}

fn case(rows: i64, seed: u64) -> Case {
    let case = Case::new();
    let [original, backfill] = sides(rows, seed);
    case.parquet("original.parquet", &original).parquet("backfill.parquet", &backfill);
    case
}

const ARGS: [&str; 10] = ["original.parquet", "backfill.parquet", "--key", "id", "--time", "at", "--series", "device", "--window", "1h"];

fn verify(case: &Case, more: &[&str]) -> Verified {
    let mut args = ARGS.to_vec();
    args.extend(more);
    case.verify(&args)
}

/// A run in one form, with its name and its times taken out.
fn shown(case: &Case, run: &Verified, format: &str) -> String {
    let id = run.summary["run"].as_str().unwrap();
    let text = case.run(&["report", id, "--format", format]).stdout.replace(id, "RUN");
    let kept = |line: &&str| !["Took", "Started", "testcase", "testsuite", "time  ", "Run "].iter().any(|word| line.contains(word));
    match format {
        // What the picture and the lists hold; the job as it was run differs by its flags.
        "html" => text[text.find("<figure").unwrap()..text.find("passed, ").unwrap()].to_string(),
        _ => text.lines().filter(kept).collect::<Vec<_>>().join("\n"),
    }
}

/// The same bytes from a budget that holds next to nothing, and from one that holds everything.
#[test]
fn what_is_spilled_changes_nothing() {
    for (seed, most) in [(1, "1000000"), (2, "9000")] {
        let case = case(30_000, seed);
        let ample = verify(&case, &["--memory", "4GiB", "--max-findings", most]);
        ample.assert_fail();
        let tiny = verify(&case, &["--memory", "32MiB", "--threads", "1", "--max-findings", most]);
        for table in ["findings", "finding_counts", "incidents", "diagnoses", "windows"] {
            let bytes = |run: &Verified| fs::read(run.report.join(format!("{table}.parquet"))).unwrap();
            assert!(bytes(&ample) == bytes(&tiny), "{table}, seed {seed}");
        }
        assert!(ample.findings.len() > 10_000, "{}", ample.findings.len());
        assert_eq!(ample.stream()["findings"], tiny.stream()["findings"]);
        for format in ["jsonl", "csv", "markdown", "html", "github"] {
            assert_eq!(shown(&case, &ample, format), shown(&case, &tiny, format), "{format}");
        }
        // All of it is known to itself, and what is known is told from what is not, spilled or not.
        let id = ample.summary["run"].as_str().unwrap();
        let known = verify(&case, &["--memory", "32MiB", "--max-findings", most, "--baseline", id]);
        let listed = known.findings.len() as u64;
        assert_eq!(known.stream()["known"].as_u64(), Some(listed));
        assert_eq!(known.exit, i32::from(most == "9000"), "what is not listed cannot be known");
    }
}

/// The counts are those of the list, as DuckDB adds both up.
#[test]
fn the_counts_are_those_of_the_list() {
    let case = case(6_000, 3);
    case.file(
        "gapless.toml",
        "[[stream]]\nname = \"s\"\noriginal = \"original.parquet\"\nbackfill = \"backfill.parquet\"\nkey = [\"id\"]\ntime = \"at\"\nseries = [\"device\"]\nwindow = \"10m\"\n[[accept]]\ncheck = \"value_mismatch\"\ncolumn = \"note\"\nreason = \"known\"\n",
    );
    for memory in ["32MiB", "1GiB"] {
        let run = case.verify(&["--job", "gapless.toml", "--memory", memory]);
        let answer = run_python("finding_counts.py", &[run.report.as_os_str()]);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["differing"].as_array().map(Vec::len), Some(0), "{answer:#}");
        assert!(answer["lines"].as_u64().unwrap() > 100 && answer["findings"].as_u64().unwrap() > 4_000, "{answer:#}");
    }
}

/// A disk that is full, or not there, is said, and nothing passes.
#[test]
fn what_cannot_be_spilled_is_an_error() {
    let case = case(30_000, 4);
    let mut args = vec!["verify"];
    args.extend(ARGS);
    args.extend(["--memory", "32MiB", "--format", "json"]);
    let missing = case.run_with(&args, &[("TMPDIR", "no/such/directory")]);
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    let summary: Value = serde_json::from_str(&missing.stdout).unwrap();
    let reason = summary["streams"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("could not be kept in 'no/such/directory'"), "{reason}");
    assert!(!missing.panicked(), "{}", missing.stderr);
}

/// Peak memory in MiB of a run of the binary.
fn peak(case: &Case, args: &[&str]) -> u64 {
    let script = "import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\nprint(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)";
    let output =
        Command::new("python3").args(["-c", script, env!("CARGO_BIN_EXE_gapless")]).args(args).current_dir(case.dir()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

/// The memory follows the budget, not the findings: four times as many cost little more.
#[test]
fn the_memory_does_not_follow_the_findings() {
    let few = case(50_000, 5);
    let many = case(200_000, 5);
    let mut args = vec!["verify"];
    args.extend(ARGS);
    args.extend(["--memory", "64MiB", "--threads", "2", "--no-diagnosis", "--quiet"]);
    let (few_peak, many_peak) = (peak(&few, &args), peak(&many, &args));
    // 150,000 findings more would be 200 MiB and more, if they were held.
    assert!(many_peak < few_peak + 120, "{few_peak} MiB and {many_peak} MiB");
    for form in ["jsonl", "html", "text", "csv"] {
        let again = peak(&many, &["report", "--format", form]);
        assert!(again < 250, "{form}: {again} MiB");
    }
    assert!(Path::new(&many.path("gapless-report")).is_dir());
}

/// A table of several groups of rows: what is asked for without an order still comes in the order of the list, and the gravest before the rest, every time.
#[test]
fn the_gravest_findings_come_first_every_time() {
    let many = case(200_000, 6);
    let mut args = vec!["verify"];
    args.extend(ARGS);
    args.extend(["--no-diagnosis", "--quiet"]);
    many.run(&args);
    let lines = many.run(&["report", "--format", "jsonl"]).stdout;
    let mut listed = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let first = listed.find(|finding| finding["severity"] == "error").unwrap();
    for _ in 0..20 {
        let shown = many.run(&["sql", "@latest_findings", "limit=1", "--format", "json"]).stdout;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown[0]["message"], first["message"]);
    }
}
