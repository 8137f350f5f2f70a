//! The outputs of a run: each read by a parser that nobody here wrote, each pinned, each the same again from the stored run; and what
//! `gapless report` makes of several runs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::outside::{repository, run_python};
use super::support::Case;

/// Every suffix that `--output` knows.
pub(crate) const SUFFIXES: [&str; 9] = ["txt", "json", "html", "md", "xml", "jsonl", "csv", "prom", "openlineage.json"];

/// Verifies into a directory and writes every output there as `report.SUFFIX`.
fn verify_all(directory: &Path, args: &[&str]) -> i32 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.current_dir(repository()).arg("verify").args(args).arg("--quiet").arg("--report").arg(directory.join("gapless-report"));
    for suffix in SUFFIXES {
        command.arg("--output").arg(directory.join(format!("report.{suffix}")));
    }
    let output = command.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(directory.join("report.github"), annotations(directory)).unwrap();
    output.status.code().unwrap()
}

/// The one output that has no suffix, of the run that was stored last.
fn annotations(directory: &Path) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.args(["report", "--format", "github", "--report"]).arg(directory.join("gapless-report")).env_remove("GITHUB_STEP_SUMMARY");
    command.output().unwrap().stdout
}

/// What the parsers of Python understood of the outputs in a directory.
pub(crate) fn understood(directory: &Path) -> Value {
    let said = run_python("outputs.py", &[directory.as_os_str(), repository().join("schema").as_os_str()]);
    serde_json::from_str(&said).unwrap()
}

fn text(directory: &Path, suffix: &str) -> String {
    std::fs::read_to_string(directory.join(format!("report.{suffix}"))).unwrap()
}

const FLIGHTS: [&str; 2] = ["--job", "fixtures/flights-outage/gapless.toml"];

#[test]
fn machines_understand_every_output() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(verify_all(directory.path(), &FLIGHTS), 1);
    let seen = understood(directory.path());
    assert_eq!(seen["json"], "fail");

    let summary: Value = serde_json::from_str(&text(directory.path(), "json")).unwrap();
    let total: u64 = summary["streams"][0]["findings"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(seen["jsonl"].as_array().unwrap().len() as u64, total, "every finding is a line");
    assert_eq!(seen["csv"].as_array().unwrap().len() as u64, total, "and a row");
    let gap = &seen["jsonl"][0];
    assert_eq!(
        (&gap["check"], &gap["series"]["origin"], &gap["from_time"]),
        (&"gap".into(), &"LGA".into(), &"2013-07-08T15:00:00Z".into())
    );
    let delays: Vec<&Value> =
        seen["csv"].as_array().unwrap().iter().filter(|row| row["column_name"] == "arr_delay").map(|row| &row["original_value"]).collect();
    assert_eq!(delays, ["'-13"], "a cell that could begin a formula does not");

    let suite = &seen["junit"][0];
    assert_eq!((&suite["name"], &suite["failures"], &suite["errors"]), (&"departures".into(), &4.into(), &0.into()));
    assert_eq!(suite["tests"], suite["counted"]);
    for (check, results) in suite["cases"].as_object().unwrap() {
        let status = summary["streams"][0]["checks"].as_array().unwrap().iter().find(|own| own["check"] == *check.as_str());
        let expected: &[&str] = match status {
            None => &[], // `complete`
            Some(own) if own["status"] == "not_judged" => &["Skipped"],
            Some(own)
                if own["status"] == "fail"
                    && !["duplicate_key", "delay_is_plausible", "outage_open", "row_outside_outage"].contains(&check.as_str()) =>
            {
                &["Failure"]
            }
            Some(_) => &[], // passed, or lighter than the gate
        };
        assert_eq!(results, &serde_json::json!(expected), "{check}");
    }

    let metric = |name: &str, more: &[(&str, &str)]| {
        let mut labels = serde_json::Map::new();
        for (label, value) in more {
            labels.insert((*label).to_string(), (*value).into());
        }
        let sought = seen["prometheus"].as_object().unwrap().iter().find(|(key, _)| {
            let key: Value = serde_json::from_str(key).unwrap();
            key[0] == name && labels.iter().all(|(label, value)| key[1][label] == *value)
        });
        sought.unwrap_or_else(|| panic!("no {name} {labels:?}")).1.as_f64().unwrap()
    };
    assert_eq!(metric("gapless_run_verdict", &[("verdict", "fail")]), 1.0);
    assert_eq!(metric("gapless_run_verdict", &[("verdict", "pass")]), 0.0);
    assert_eq!(metric("gapless_findings", &[("check", "duplicate_key"), ("severity", "info")]), 45.0);
    assert_eq!(metric("gapless_findings", &[("check", "missing_column")]), 0.0);
    assert_eq!(metric("gapless_rows", &[("side", "backfill")]), 247.0);
    assert_eq!(metric("gapless_lost_rows", &[]), 36.0, "3 and 33 numbers of the sequence");
    // Three series of 16 hours, less the gap of an hour and a half.
    assert_eq!(metric("gapless_coverage_ratio", &[("side", "recovered")]), 46.5 / 48.0);
    assert!(metric("gapless_run_timestamp_seconds", &[]) > 1.7e9);

    assert_eq!(
        seen["markdown"]["headings"],
        serde_json::json!(["❌ FAIL gapless departures after the outage of 8 July", "`departures` · fail"])
    );
    assert!(seen["markdown"]["codes"].as_array().unwrap().iter().any(|code| code.as_str().unwrap().contains("origin=LGA has no rows")));

    let github = seen["github"].as_array().unwrap();
    assert_eq!((&github[0]["level"], &github[0]["title"]), (&"error".into(), &"gapless: departures fail".into()));
    assert!(
        github
            .iter()
            .any(|one| one["title"] == "gapless: departures gap" && one["text"].as_str().unwrap().contains("origin=LGA has no rows"))
    );

    assert_eq!(seen["openlineage"]["state"], "COMPLETE");
    assert_eq!(seen["openlineage"]["failed"], serde_json::json!(["gap", "sequence_duplicate", "sequence_gap", "value_mismatch"]));
    assert_eq!(seen["openlineage"]["rows"], serde_json::json!([754, 247]));
}

/// What could not be looked at is an error of JUnit and a failed run of OpenLineage, never a pass.
#[test]
fn an_incomplete_run_passes_nowhere() {
    let case = Case::new();
    case.file("a.csv", "id,v\n").file("b.csv", "id,v\n");
    let mut args = vec!["verify", "a.csv", "b.csv", "--key", "id"];
    let outputs: Vec<String> = SUFFIXES.iter().map(|suffix| format!("report.{suffix}")).collect();
    outputs.iter().for_each(|output| args.extend(["--output", output]));
    assert_eq!(case.run(&args).code, Some(3));
    let seen = understood(case.dir());
    assert_eq!(seen["junit"][0]["cases"]["complete"], serde_json::json!(["Error"]));
    assert_eq!(seen["openlineage"]["state"], "FAIL");
    let github = case.run(&["report", "--format", "github"]);
    assert!(github.stdout.starts_with("::error title=gapless%3A stream incomplete::both sides are empty"), "{}", github.stdout);
    assert!(text(case.dir(), "html").contains("Nothing can be said for sure: both sides are empty."));
}

/// What differs from run to run, put out of the way.
fn settled(directory: &Path, text: &str) -> String {
    let steps = [
        (r"\d{8}T\d{9}Z-[0-9a-f]{6}", "[run]"),
        (r#"( time|"elapsed_ms"|"duration_ms")(=|: )"?[0-9.]+"?"#, "$1$2[time]"),
        (r#"timestamp="[^"]*""#, "timestamp=\"[moment]\""),
        (r#""(eventTime|started_at|finished_at|runId)": "[^"]*""#, "\"$1\": \"[moment]\""),
        (r"(?m)^(gapless_\w+_(?:seconds|bytes)\{[^}]*\}) .*$", "$1 [number]"),
        (r"· [0-9.]+ (ms|s)( \d+ ms)? · gapless", "· [time] · gapless"),
        (r"gapless sql --report \S+", "gapless sql --report [report]"),
        (r"(?m)^(  time +)[0-9.]+ m?s$", "$1[time]"),
        (r"(?m)^(Started\n\n?)[^\n]*$", "$1[moment]"),
        (r"(?m)^(Took\n\n?)[^\n]*$", "$1[time]"),
    ];
    let mut text =
        text.replace(&directory.display().to_string(), "[directory]").replace(&repository().display().to_string(), "[repository]");
    for (pattern, with) in steps {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, with).into_owned();
    }
    text
}

#[test]
fn every_output_is_pinned() {
    let directory = tempfile::tempdir().unwrap();
    verify_all(directory.path(), &FLIGHTS);
    for suffix in ["txt", "json", "md", "xml", "prom", "openlineage.json"] {
        insta::assert_snapshot!(format!("output_{}", suffix.replace('.', "_")), settled(directory.path(), &text(directory.path(), suffix)));
    }
    // One line of each check is enough of the long ones.
    for suffix in ["csv", "jsonl"] {
        let whole = settled(directory.path(), &text(directory.path(), suffix));
        let mut checks = Vec::new();
        let lines: Vec<&str> = whole
            .lines()
            .filter(|line| {
                let check = if suffix == "csv" {
                    line.split(',').nth(2)
                } else {
                    line.split("\"check\":\"").nth(1).and_then(|rest| rest.split('"').next())
                };
                let new = !checks.contains(&check);
                checks.push(check);
                new
            })
            .collect();
        insta::assert_snapshot!(format!("output_{suffix}"), lines.join("\n"));
    }
    insta::assert_snapshot!("output_github", settled(directory.path(), &text(directory.path(), "github")));
    // The page as a reader sees it, without what is folded.
    insta::assert_snapshot!("output_html", settled(directory.path(), &super::page::read(&directory.path().join("report.html"))));
}

/// `gapless report` renders a stored run to the same bytes, without the data: for every mode, and for every output.
#[test]
fn a_stored_run_renders_the_same_without_its_data() {
    let case = Case::new();
    let rows = |skip: &[i64], change: i64| {
        let mut text = "id,at,device,n,v\n".to_string();
        for id in 0..60_i64 {
            if !skip.contains(&id) {
                let v = if id == change { "=changed\u{1b}[31m".to_string() } else { format!("v{}", id % 7) };
                text.push_str(&format!("{id},2024-05-06T{:02}:{:02}:00.1234567Z,d{},{},{v}\n", id / 12, id % 12 * 5, id % 2, id / 2));
            }
        }
        text
    };
    let modes: [(&str, &[&str]); 4] = [
        ("replica", &["b.csv", "--cadence", "10m"]),
        ("fill", &["b.csv", "--mode", "fill", "--cadence", "10m", "--sequence", "n"]),
        ("single", &["--window", "15m", "--rule", "short: length(v) < 3"]),
        ("keyless", &["b.csv", "--keyless", "--max-findings", "1"]),
    ];
    for (name, more) in modes {
        case.file("a.csv", rows(&[10, 12, 14, 16, 33], -1)).file("b.csv", rows(&[12, 14, 50], 20));
        let mut args = vec!["verify", "a.csv"];
        args.extend_from_slice(more);
        if name != "keyless" {
            args.extend(["--key", "id"]);
        }
        args.extend(["--time", "at", "--series", "device", "--fail-on", "warn", "--quiet"]);
        let outputs: Vec<String> = SUFFIXES.iter().map(|suffix| format!("{name}.{suffix}")).collect();
        outputs.iter().for_each(|output| args.extend(["--output", output]));
        let run = case.run(&args);
        assert!(matches!(run.code, Some(0 | 1)), "{}", run.stderr);
        std::fs::remove_file(case.path("a.csv")).unwrap();
        std::fs::remove_file(case.path("b.csv")).unwrap();
        for suffix in SUFFIXES {
            let again = format!("again.{suffix}");
            let run = case.run(&["report", "--output", &again]);
            assert_eq!(run.code, Some(0), "{}", run.stderr);
            let (first, second) =
                (std::fs::read(case.path(&format!("{name}.{suffix}"))).unwrap(), std::fs::read(case.path(&again)).unwrap());
            assert!(first == second, "{name}.{suffix} is another from the stored run");
        }
    }
    // stdout too, for the one format that has no suffix.
    assert_eq!(case.run(&["report", "--format", "junit"]).stdout.as_bytes(), std::fs::read(case.path("keyless.xml")).unwrap());
}

/// Raw cells are what the data holds, to the byte.
#[test]
fn raw_csv_is_what_was_there() {
    let case = Case::new();
    case.file("a.csv", "id,v\n1,=1+1\n2,\"x,\"\"y\"\"\"\n3,-5\n").file("b.csv", "id,v\n1,@z\n2,;=2\n3,+7\n");
    let run = case.run(&["verify", "a.csv", "b.csv", "--key", "id", "--opt", "columns=v:text", "--quiet", "--output", "safe.csv"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert_eq!(case.run(&["report", "--output", "raw.csv", "--raw-csv"]).code, Some(0));
    let script = "import csv,json,sys\nprint(json.dumps([[(r['original_value'],r['backfill_value']) for r in csv.DictReader(open(p, newline=''), strict=True)] for p in sys.argv[1:]]))";
    let output =
        Command::new(super::outside::python()).current_dir(case.dir()).args(["-c", script, "raw.csv", "safe.csv"]).output().unwrap();
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read[0], serde_json::json!([["=1+1", "@z"], ["x,\"y\"", ";=2"], ["-5", "+7"]]));
    assert_eq!(read[1], serde_json::json!([["'=1+1", "'@z"], ["x,\"y\"", ";'=2"], ["'-5", "'+7"]]));
}

#[test]
fn a_step_summary_is_written_where_github_says() {
    let case = Case::new();
    case.file("a.csv", "id,v\n1,x\n").file("b.csv", "id,v\n1,y\n").file("summary.md", "before\n");
    let run = |summary: &str| {
        Command::new(env!("CARGO_BIN_EXE_gapless"))
            .current_dir(case.dir())
            .args(["verify", "a.csv", "b.csv", "--key", "id", "--format", "github"])
            .env("GITHUB_STEP_SUMMARY", summary)
            .output()
            .unwrap()
    };
    let output = run("summary.md");
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.lines().all(|line| line.starts_with("::")), "{stdout}");
    let summary = std::fs::read_to_string(case.path("summary.md")).unwrap();
    assert!(summary.starts_with("before\n## ❌ FAIL"), "{summary}");
    assert_eq!(run("no/such/place.md").status.code(), Some(2), "what could not be written is not passed over");
}

fn id_of(case: &Case, wanted: usize) -> String {
    let listed: Value = serde_json::from_str(&case.run(&["report", "--runs", "--format", "json"]).stdout).unwrap();
    listed[wanted]["run"].as_str().unwrap().to_string()
}

/// A team that starts with data that is not clean: what was there is known, what is new closes the gate, and stays new.
#[test]
fn a_baseline_gates_on_what_is_new() {
    let case = Case::new();
    let job = "name = \"orders\"\n[[stream]]\nname = \"orders\"\noriginal = \"a.csv\"\nbackfill = \"b.csv\"\nkey = [\"id\"]\n";
    case.file("job.toml", job).file("a.csv", "id,v\n1,x\n2,y\n3,z\n4,w\n");
    let verify = |backfill: &str, baseline: &[&str]| {
        case.file("b.csv", format!("id,v\n{backfill}"));
        let mut args = vec!["verify", "--job", "job.toml"];
        args.extend_from_slice(baseline);
        let run = case.run(&args);
        (run.code.unwrap(), run.stdout, run.stderr)
    };
    // No run yet: everything counts.
    let (code, _, stderr) = verify("1,x\n2,y\n3,z\n4,w\n", &["--baseline", "last"]);
    assert_eq!(code, 0);
    assert!(stderr.contains("there is no such run yet"), "{stderr}");
    let (code, _, stderr) = verify("1,x\n2,CHANGED\n3,z\n", &[]);
    assert_eq!(code, 1, "{stderr}");
    let dirty = id_of(&case, 1);
    // The same again: the verdict is still what it is, the gate is open.
    let (code, stdout, _) = verify("1,x\n2,CHANGED\n3,z\n", &["--baseline", "last"]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.starts_with("FAIL") && stdout.contains(&format!("all of it known from the run {dirty}")), "{stdout}");
    // One more: new, and the gate is closed, also the next time.
    for _ in 0..2 {
        let (code, stdout, _) = verify("1,x\n2,CHANGED\n3,NEW\n", &["--baseline", "last"]);
        assert_eq!(code, 1, "{stdout}");
        let junit = case.run(&["report", "--format", "junit"]).stdout;
        assert!(junit.contains("<failure message=\"1 finding\"") && !junit.contains("CHANGED on the"), "{junit}");
    }
    // A value that changes again is another finding, and so is a known one that comes a second time.
    assert_eq!(verify("1,x\n2,OTHER\n3,z\n", &["--baseline", &dirty]).0, 1);
    assert_eq!(verify("1,x\n2,CHANGED\n3,z\n", &["--baseline", &dirty]).0, 0);
    // Less than known is no finding.
    assert_eq!(verify("1,x\n2,y\n3,z\n", &["--baseline", &dirty]).0, 0);
    // What could not be looked at is not excused.
    case.file("a.csv", "id,v\n");
    assert_eq!(verify("", &["--baseline", &dirty]).0, 3);
    // A name that is not there, and a run of another job, are errors before anything is read.
    let (code, _, stderr) = verify("", &["--baseline", "nonsense"]);
    assert!(code == 2 && stderr.contains("holds no run 'nonsense'"), "{stderr}");
    case.file("job.toml", job.replace("\"orders\"", "\"other\""));
    let (code, _, stderr) = verify("", &["--baseline", &dirty]);
    assert!(code == 2 && stderr.contains("that run's job has the name 'orders'"), "{stderr}");
}

/// With a masked column and no key of its own, nothing can be known: the gate stays closed and the user is told.
#[test]
fn masked_values_are_never_known_by_accident() {
    let case = Case::new();
    case.file("a.csv", "id,v\n1,x\n").file("b.csv", "id,v\n1,y\n");
    let verify = |more: &[&str], key: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.current_dir(case.dir()).args(["verify", "a.csv", "b.csv", "--key", "id", "--mask", "v", "--quiet"]).args(more);
        if !key.is_empty() {
            command.env("GAPLESS_MASK_KEY", key);
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(verify(&[], "").0, Some(1));
    let (code, stderr) = verify(&["--baseline", "last"], "");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("GAPLESS_MASK_KEY"), "{stderr}");
    assert_eq!(verify(&[], "secret").0, Some(1));
    assert_eq!(verify(&["--baseline", "last"], "secret").0, Some(0));
}

#[test]
fn two_runs_are_held_against_each_other() {
    let case = Case::new();
    case.file("a.csv", "id,v\n1,x\n2,y\n3,z\n");
    for backfill in ["1,x\n2,B\n3,z\n", "1,x\n2,B\n3,z\n", "1,A\n2,B\n3,z\n", "1,A\n2,y\n"] {
        case.file("b.csv", format!("id,v\n{backfill}"));
        assert_eq!(case.run(&["verify", "a.csv", "b.csv", "--key", "id", "--quiet"]).code, Some(1));
    }
    let (second, third) = (id_of(&case, 1), id_of(&case, 2));
    let run = case.run(&["report", "--against", &third]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("1 new · 1 gone · 1 still there"), "{}", run.stdout);
    let mut section = "";
    for line in run.stdout.lines() {
        match line {
            "new" | "gone" | "still there" => section = line,
            line if line.starts_with("    id=3") => assert_eq!(section, "new"),
            line if line.starts_with("    id=2") => assert_eq!(section, "gone"),
            line if line.starts_with("    id=1") => assert!(section == "still there" && line.contains("(for "), "{line}"),
            _ => {}
        }
    }
    // Since when: the first of an unbroken row of runs, which here is the one before the second.
    let first = id_of(&case, 0);
    let summary = std::fs::read_to_string(case.path(&format!("gapless-report/run={first}/run.json"))).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let since = summary["started_at"].as_str().unwrap().replace('T', " ");
    let run = case.run(&["report", &third, "--against", &second]);
    assert!(run.stdout.contains("1 new · 0 gone · 1 still there"), "{}", run.stdout);
    assert!(run.stdout.contains(&format!("since {}", &since[..19])), "{}\n{since}", run.stdout);
    // A run by the end of its id, and one that nobody has.
    assert_eq!(case.run(&["report", &third[third.len() - 6..]]).code, Some(0));
    case.run(&["report", "zzz"]).assert_error(2);
    case.run(&["report", "2"]).assert_error(2);
}

#[test]
fn old_runs_go_and_nothing_else_does() {
    let case = Case::new();
    case.file("a.csv", "id,v\n1,x\n").file("b.csv", "id,v\n1,x\n");
    for _ in 0..4 {
        assert_eq!(case.run(&["verify", "a.csv", "b.csv", "--key", "id", "--quiet"]).code, Some(0));
    }
    let ids: Vec<String> = (0..4).map(|at| id_of(&case, at)).collect();
    let report = case.path("gapless-report");
    let age = |id: &str, started: &str| {
        let path = report.join(format!("run={id}/run.json"));
        let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        json["started_at"] = started.into();
        std::fs::write(&path, json.to_string()).unwrap();
    };
    age(&ids[0], "2020-01-01T00:00:00Z");
    age(&ids[1], "2020-01-01T00:00:00Z");
    // The latest stays whatever its age; a run that is being written, and what is not ours, stay too.
    age(&ids[3], "2020-01-01T00:00:00Z");
    std::fs::create_dir(report.join(".unfinished-abc")).unwrap();
    std::fs::create_dir(report.join("run=half")).unwrap();
    std::fs::create_dir_all(case.path("elsewhere")).unwrap();
    std::fs::write(case.path("elsewhere/run.json"), "{\"started_at\":\"2020-01-01T00:00:00Z\"}").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(case.path("elsewhere"), report.join("run=20200101T000000000Z-aaaaaa")).unwrap();
    let listing = || {
        let mut names: Vec<String> =
            std::fs::read_dir(&report).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let before = listing();
    let dry = case.run(&["report", "--prune", "--keep", "90d", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    assert_eq!(dry.stdout, format!("would remove {}\nwould remove {}\nwould remove 2, kept 3\n", ids[0], ids[1]));
    assert_eq!(listing(), before, "a dry run removes nothing");
    let wet = case.run(&["report", "--prune", "--keep", "90d"]);
    assert_eq!(wet.stdout, dry.stdout.replace("would remove", "removed"));
    let gone = [format!("run={}", ids[0]), format!("run={}", ids[1])];
    assert_eq!(listing(), before.into_iter().filter(|name| !gone.contains(name)).collect::<Vec<_>>());
    assert!(case.path("elsewhere/run.json").exists());
    assert_eq!(case.run(&["report", "--prune"]).code, Some(2), "how long runs are kept must be said");
    case.run(&["report", "--prune", "--keep", "soon"]).assert_error(2);
    case.run(&["report", "--runs", "--report", "nowhere"]).assert_error(2);
}

/// Passwords and tokens in what was typed or written into a job are in no output, no table, no log and no error.
#[test]
fn passwords_reach_no_output() {
    let case = Case::new();
    case.file("a.csv", "id,v\n1,x\n").file("b.csv", "id,v\n1,y\n");
    let rule = "r: v <> 'https://user:hunter2@example.org/?token=hunter3' AND length(v) > 1";
    let filter = "filter=v <> 's3://key:hunt/er4@bucket/'";
    let mut args = vec!["verify", "a.csv", "b.csv", "--key", "id", "--rule", rule, "--opt", filter, "--verbose"];
    let outputs: Vec<String> = SUFFIXES.iter().map(|suffix| format!("report.{suffix}")).collect();
    outputs.iter().for_each(|output| args.extend(["--output", output]));
    let run = case.run(&args);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let html = text(case.dir(), "html");
    assert!(html.contains("gapless verify a.csv b.csv --key id --rule"), "the command is there to be run again");
    let secret = |text: &str| text.contains("hunter") || text.contains("er4@") || text.contains("hunt/");
    for suffix in SUFFIXES {
        assert!(!secret(&text(case.dir(), suffix)), "{suffix}");
    }
    assert!(!secret(&run.stdout) && !secret(&run.stderr), "{}{}", run.stdout, run.stderr);
    let report = case.path("gapless-report");
    for entry in std::fs::read_dir(report.join(format!("run={}", id_of(&case, 0)))).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "json") {
            assert!(!secret(&std::fs::read_to_string(path).unwrap()));
        }
    }
    for question in ["SELECT * FROM runs", "SELECT * FROM findings", "SELECT * FROM streams"] {
        assert!(!secret(&case.run(&["sql", question, "--format", "json"]).stdout), "{question}");
    }
    // Errors quote what was written: on the command line, in a job, in SQL, and where a path is not one of ours.
    case.file("job.toml", "[[stream]]\noriginal = { path = \"s3://key:hunter2@b/\", password = \"hunter3\" }\n");
    for args in [
        &["verify", "s3://key:hunter2@bucket/x/", "b.csv"][..],
        &["verify", "a.csv", "b.csv", "--key", "id", "--threads", "postgres://u:hunter2@h/db"],
        &["verify", "a.csv", "b.csv", "--key", "id", "--token=hunter2"],
        &["verify", "a.csv", "b.csv", "--key", "id", "--from", "https://u:hunter2@h/"],
        &["verify", "a.csv", "b.csv", "--key", "id", "--rule", "r: nope = 'https://u:hunter2@h/'"],
        &["verify", "a.csv", "b.csv", "--key", "id", "--report", "s3://key:hunter2@bucket/reports"],
        &["verify", "a.csv", "b.csv", "--key", "id", "--output", "s3://key:hunter2@bucket/report.html"],
        &["verify", "--job", "job.toml"],
        &["sql", "SELECT nope FROM findings WHERE message = 'https://u:hunter2@h/'"],
        &["sql", "@findings", "--password", "hunter2"],
        &["report", "https://u:hunter2@h/"],
        &["init", "s3://key:hunter2@bucket/x/"],
    ] {
        let refused = case.run(args);
        assert_eq!(refused.code, Some(2), "{args:?}: {}", refused.stderr);
        assert!(!secret(&refused.stdout) && !secret(&refused.stderr), "{args:?}: {}", refused.stderr);
    }
    assert!(!case.path("s3:").exists(), "a URL is no directory");
}

/// Names and reasons are shown everywhere, so that one with a password in it, such as a stream that is called by its URL, is that name without it: in
/// every output, every table and every question about the run; and the entries that speak of it still find it.
#[test]
fn a_name_with_a_password_is_shown_without_it() {
    let case = Case::new();
    case.file("a.csv", "id,at,v\n1,2024-01-01T00:00:00Z,x\n2,2024-01-01T01:00:00Z,y\n3,2024-01-01T05:00:00Z,z\n");
    case.file("b.csv", "id,at,v\n1,2024-01-01T00:00:00Z,z\n2,2024-01-01T01:00:00Z,w\n");
    case.file(
        "rules/one.sql",
        "-- id: f https://u:hunter2@h/\n-- summary: why https://u:hunter2@h/\n\nv <> 'Bearer hunter6' AND v <> 'w'\n",
    );
    case.file(
        "job.toml",
        r#"name = "https://u:hunter2@h/job?token=hunter3"
[[stream]]
name = "postgres://u:hunter2@h/db?password=hunter4"
original = { path = "a.csv", filter = "v <> 'https://u:hunter2@h/'" }
backfill = "b.csv"
key = ["id"]
time = "at"
cadence = "1h"
rules = "rules"
[[stream.rule]]
name = "r https://u:hunter2@h/"
assert = "v <> 'x' AND v <> 'Bearer hunter6'"
[stream.continuity]
maintenance = [{ from = "2024-01-01T02:00:00Z", until = "2024-01-01T03:00:00Z", reason = "see https://u:hunter2@h/" }]
[[accept]]
check = "value_mismatch"
stream = "postgres://u:hunter2@h/db?password=hunter4"
key = { id = 1 }
reason = "known: https://u:hunter2@h/ and token=hunter5"
[[accept]]
check = "r https://u:hunter2@h/"
reason = "known"
[[accept]]
check = "missing_key"
key = { id = 99 }
reason = "stale: https://u:hunter2@h/"
[severity]
"f https://u:hunter2@h/" = "warn"
"#,
    );
    let mut args = vec!["verify", "--job", "job.toml", "--stream", "postgres://u:hunter2@h/db?password=hunter4", "--verbose"];
    let outputs: Vec<String> = SUFFIXES.iter().map(|suffix| format!("report.{suffix}")).collect();
    outputs.iter().for_each(|output| args.extend(["--output", output]));
    let run = case.run(&args);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    let mut all = vec![("stdout", run.stdout), ("stderr", run.stderr)];
    all.extend(SUFFIXES.iter().map(|suffix| (*suffix, text(case.dir(), suffix))));
    for args in [&["report", "--format", "github"][..], &["report", "--runs"], &["report", "--against", "latest", "--verbose"]] {
        all.push((args[1], case.run(args).stdout));
    }
    for table in gapless::console::TABLES {
        all.push((table.name, case.run(&["sql", &format!("SELECT * FROM {}", table.name), "--format", "json"]).stdout));
    }
    for (place, text) in &all {
        assert!(!text.contains("hunter"), "{place}: {text}");
    }
    // What speaks of the names finds them: two findings are accepted, the rule of the file is a warning.
    let lines: Vec<Value> = text(case.dir(), "jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |check: &str| lines.iter().filter(|line| line["check"] == check).collect::<Vec<_>>();
    assert!(lines.iter().filter(|line| line["stream"] != Value::Null).all(|line| line["stream"] == "postgres://***@h/db?password=***"));
    let accepted: Vec<bool> = of("value_mismatch").iter().map(|line| line["accepted"] == true).collect();
    assert_eq!(accepted, [true, false]);
    assert!(of("r https://***@h/").iter().all(|line| line["accepted"] == true) && !of("r https://***@h/").is_empty());
    assert!(of("f https://***@h/").iter().all(|line| line["severity"] == "warn") && !of("f https://***@h/").is_empty());
    // Two names that differ in their passwords alone would be one.
    case.file(
        "two.toml",
        "[[stream]]\nname = \"s3://u:hunter2@h\"\noriginal = \"a.csv\"\n[[stream]]\nname = \"s3://u:hunter3@h\"\noriginal = \"b.csv\"\n",
    );
    let refused = case.run(&["verify", "--job", "two.toml"]);
    refused.assert_error(2);
    assert!(refused.stderr.contains("two streams have this name") && !refused.stderr.contains("hunter"), "{}", refused.stderr);
}

/// Runs are removed while others are written, read and removed: nobody fails, and nothing that was being written is lost.
#[test]
fn pruning_beside_verifications_loses_nothing() {
    let case = Case::new();
    case.file("a.csv", "id,v\n1,x\n").file("b.csv", "id,v\n1,y\n");
    let verify = || case.run(&["verify", "a.csv", "b.csv", "--key", "id", "--quiet"]);
    assert_eq!(verify().code, Some(1));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pruners: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut times = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let pruned = case.run(&["report", "--prune", "--keep", "1ms"]);
                        assert_eq!(pruned.code, Some(0), "{}", pruned.stderr);
                        times += 1;
                    }
                    times
                })
            })
            .collect();
        for _ in 0..6 {
            let run = verify();
            assert_eq!(run.code, Some(1), "{}", run.stderr);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(pruners.into_iter().all(|pruner| pruner.join().unwrap() > 0));
    });
    // The latest is whole, whatever went on around it, and nothing half removed is left.
    assert_eq!(case.run(&["report", "--prune", "--keep", "1ms"]).code, Some(0));
    assert_eq!(case.run(&["report"]).code, Some(0));
    let left: Vec<String> = std::fs::read_dir(case.path("gapless-report"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.') && name.contains("removed") || name.starts_with("run="))
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// A gate that goes by the last run that was not turned away keeps that run, however old it is.
#[test]
fn pruning_keeps_what_the_baseline_goes_by() {
    let case = Case::new();
    case.file("job.toml", "name = \"orders\"\n[[stream]]\noriginal = \"a.csv\"\nbackfill = \"b.csv\"\nkey = [\"id\"]\n");
    case.file("a.csv", "id,v\n1,x\n2,y\n").file("b.csv", "id,v\n1,x\n2,B\n");
    assert_eq!(case.run(&["verify", "--job", "job.toml", "--quiet"]).code, Some(1));
    let base = id_of(&case, 0);
    case.file("b.csv", "id,v\n1,A\n2,B\n");
    for _ in 0..2 {
        assert_eq!(case.run(&["verify", "--job", "job.toml", "--quiet", "--baseline", "last"]).code, Some(1));
    }
    let pruned = case.run(&["report", "--prune", "--keep", "1ms"]);
    assert!(pruned.stdout.ends_with("removed 1, kept 2\n"), "{}", pruned.stdout);
    assert_eq!(id_of(&case, 0), base);
    case.file("b.csv", "id,v\n1,x\n2,B\n");
    assert_eq!(case.run(&["verify", "--job", "job.toml", "--quiet", "--baseline", "last"]).code, Some(0), "what is known is still known");
}

/// Completions and manual pages are taken by those who use them, and pinned.
#[test]
fn shells_and_manuals_take_what_is_made_for_them() {
    super::outside::shells();
    let case = Case::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = case.run(&["completions", shell]);
        assert_eq!(script.code, Some(0));
        for word in ["verify", "report", "--baseline", "openlineage"] {
            assert!(script.stdout.contains(word.trim_start_matches('-')), "{shell} lacks {word}");
        }
        case.file(&format!("gapless.{shell}"), &script.stdout);
    }
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).current_dir(case.dir()).args(args).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    };
    // bash completes a flag and the words of one.
    let ask = |words: &str, at: usize| {
        let script = format!(
            "source gapless.bash && COMP_WORDS=({words}) COMP_CWORD={at} && _gapless gapless \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{}]}}\" && echo \"${{COMPREPLY[@]}}\"",
            at - 1
        );
        said("bash", &["-c", &script])
    };
    assert_eq!(ask("gapless verify --basel", 2), "--baseline");
    assert_eq!(ask("gapless report --format openl", 3), "openlineage");
    // fish says what it would offer, with the help of each.
    let ask = |typed: &str| said("fish", &["--no-config", "-c", &format!("source gapless.fish; complete -C '{typed}'")]);
    assert!(ask("gapless verify --basel").starts_with("--baseline\tFindings that this run holds"), "{}", ask("gapless verify --basel"));
    assert_eq!(ask("gapless report --format openl"), "openlineage\tan OpenLineage run event");
    assert!(ask("gapless sql --li").starts_with("--list\t"));
    // zsh reads it and knows whom it is for.
    assert_eq!(
        said("zsh", &["-f", "-c", "autoload -Uz compinit; compinit -u -D; source ./gapless.zsh; print -r -- $_comps[gapless]"]),
        "_gapless"
    );
    insta::assert_snapshot!("completions_fish", std::fs::read_to_string(case.path("gapless.fish")).unwrap());

    let mut pages = String::new();
    for command in ["", "verify", "report", "sql", "serve", "init", "checks"] {
        let words: Vec<&str> = ["man", command].into_iter().filter(|word| !word.is_empty()).collect();
        let page = case.run(&words);
        assert_eq!(page.code, Some(0));
        assert!(page.stdout.contains(".SH NAME") && page.stdout.contains("gapless"), "{}", page.stdout);
        case.file("page.1", &page.stdout);
        assert!(said("groff", &["-Kutf8", "-man", "-Tutf8", "-ww", "page.1"]).contains("gapless"));
        // No error; what it warns of (the date, space around breaks) comes from how clap writes pages.
        let lint = Command::new("mandoc").current_dir(case.dir()).args(["-T", "lint", "-W", "error", "page.1"]).output().unwrap();
        assert!(lint.status.success() && lint.stdout.is_empty(), "{}", String::from_utf8_lossy(&lint.stdout));
        pages.push_str(&format!("$ gapless man {command}\n{}\n", page.stdout));
    }
    insta::assert_snapshot!("manual_pages", pages);
    case.run(&["man", "verfy"]).assert_error(2);
}

/// The shell steps of docs/ci.md, as they stand there: red on a stream that is not whole, with what is kept on disk, and green on one that is.
#[test]
fn the_examples_for_ci_gate_and_keep_their_reports() {
    let said = run_python("ci_examples.py", &[repository().join("docs/ci.md").as_os_str()]);
    let examples: serde_json::Map<String, Value> = serde_json::from_str(&said).unwrap();
    let names: Vec<&String> = examples.keys().collect();
    assert_eq!(names, ["GitHub Actions", "GitLab CI", "Jenkins", "Airflow", "Dagster"]);
    let binary = Path::new(env!("CARGO_BIN_EXE_gapless")).parent().unwrap();
    let search = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    for (system, steps) in examples {
        for (backfill, code) in [("1,x\n", 1), ("1,x\n2,y\n", 0)] {
            let case = Case::new();
            case.file("a.csv", "id,v\n1,x\n2,y\n").file("b.csv", format!("id,v\n{backfill}"));
            case.file("gapless.toml", "[[stream]]\nname = \"orders\"\noriginal = \"a.csv\"\nbackfill = \"b.csv\"\nkey = [\"id\"]\n");
            assert_eq!(steps.as_array().unwrap().len(), 1, "{system}");
            let step = steps[0].as_str().unwrap();
            let output = Command::new("bash")
                .args(["-eo", "pipefail", "-c", step])
                .current_dir(case.dir())
                .env("PATH", &search)
                .env_remove("GITHUB_STEP_SUMMARY")
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(code), "{system}: {}", String::from_utf8_lossy(&output.stderr));
            for word in step.split(' ').filter(|word| word.ends_with(".html") || word.ends_with(".xml")) {
                assert!(case.path(word).is_file(), "{system}: {word}");
            }
        }
    }
}

/// What the page about outputs says is what there is.
#[test]
fn the_page_about_outputs_knows_every_format() {
    let page = std::fs::read_to_string(repository().join("docs/outputs.md")).unwrap();
    let mut suffixes: Vec<&str> = Vec::new();
    for known in gapless::report::FORMATS {
        assert!(page.contains(&format!("| `{}` |", known.word)), "{}", known.word);
        for suffix in known.suffixes {
            assert!(page.contains(&format!("`.{suffix}`")), ".{suffix}");
        }
        suffixes.extend(known.suffixes.first().copied());
    }
    suffixes.sort_unstable();
    let mut tested = SUFFIXES.to_vec();
    tested.sort_unstable();
    assert_eq!(suffixes, tested, "a format has no test");
    let directory = tempfile::tempdir().unwrap();
    verify_all(directory.path(), &FLIGHTS);
    for line in text(directory.path(), "prom").lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        let between = ["gapless_unexpected_keys", "gapless_mismatched_keys", "gapless_duplicate_keys", "gapless_surplus_rows"];
        let between = between.contains(&name) || ["gapless_gaps", "gapless_sequence_gaps"].contains(&name);
        assert!(between || page.contains(&format!("`{name}`")), "{name}");
    }
}

/// A run that cannot be read back is an error that names the file, and does not keep the others from being listed.
#[test]
fn a_damaged_run_is_an_error_that_names_its_file() {
    let case = Case::new();
    case.file("a.csv", "id,v\n1,x\n").file("b.csv", "id,v\n1,y\n");
    for _ in 0..2 {
        assert_eq!(case.run(&["verify", "a.csv", "b.csv", "--key", "id", "--quiet"]).code, Some(1));
    }
    let (first, second) = (id_of(&case, 0), id_of(&case, 1));
    let file = |id: &str, name: &str| case.path(&format!("gapless-report/run={id}/{name}"));
    let whole = std::fs::read(file(&second, "findings.parquet")).unwrap();
    std::fs::write(file(&second, "findings.parquet"), &whole[..whole.len() / 2]).unwrap();
    let run = case.run(&["report"]);
    run.assert_error(2);
    assert!(run.stderr.contains("findings.parquet"), "{}", run.stderr);
    std::fs::write(file(&second, "run.json"), "{").unwrap();
    let run = case.run(&["report", &second]);
    run.assert_error(2);
    assert!(run.stderr.contains("run.json"), "{}", run.stderr);
    std::fs::write(file(&second, "run.json"), "{\"schema_version\":2}").unwrap();
    let run = case.run(&["report", &second]);
    run.assert_error(2);
    assert!(run.stderr.contains("schema version 2"), "{}", run.stderr);
    let listed = case.run(&["report", "--runs"]);
    assert_eq!(listed.code, Some(0));
    assert!(listed.stdout.contains(&first) && listed.stdout.contains(&second), "{}", listed.stdout);
    // As a baseline it is passed over where the last is sought, and refused where it is named.
    let args = ["verify", "a.csv", "b.csv", "--key", "id", "--quiet", "--baseline"];
    assert_eq!(case.run(&[&args[..], &["last"]].concat()).code, Some(0));
    std::fs::write(file(&second, "run.json"), "{").unwrap();
    case.run(&[&args[..], &[&second]].concat()).assert_error(2);
}

/// What docs/ask.md shows is run, in DuckDB and pandas, and answers what was planted.
#[test]
fn the_examples_for_other_tools_answer() {
    let directory = tempfile::tempdir().unwrap();
    verify_all(directory.path(), &FLIGHTS);
    let output = Command::new(super::outside::python())
        .current_dir(directory.path())
        .arg(repository().join("tests/python/ask_examples.py"))
        .arg(repository().join("docs/ask.md"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Vec<Vec<String>>> = serde_json::from_slice(&output.stdout).unwrap();
    let [by_check, gaps, columns, pandas] = &answers[..] else { panic!("{} answers", answers.len()) };
    let holds = |rows: &[Vec<String>], tail: &[&str]| rows.iter().any(|row| row[row.len() - tail.len()..] == *tail);
    assert!(holds(by_check, &["duplicate_key", "info", "45"]), "{by_check:?}");
    assert_eq!(by_check, pandas, "both tools count the same");
    let open: Vec<&str> = gaps.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(open[0], "{\"origin\":\"LGA\"}", "the longest first");
    let mut names: Vec<&str> = columns.iter().map(|row| row[0].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["air_time", "arr_delay", "dep_delay", "tailnum"]);
}
