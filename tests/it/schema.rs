//! The JSON Schema of the job file, held against gapless itself by readers that nobody here wrote: Python's jsonschema over tomllib, and Taplo and
//! Tombi, which are what editors of TOML run.

use std::path::Path;
use std::process::Command;

use gapless::job::raw::{RawJob, RawStream};
use gapless::job::{build, job_schema};
use serde_json::Value;

use super::outside::{python, repository, run_python};
use super::support::Case;

/// Whether the schema takes each job, as Python sees it.
fn taken_by_schema(jobs: &[String]) -> Vec<bool> {
    let case = Case::new();
    case.file("jobs.json", serde_json::to_string(jobs).unwrap()).file("schema.json", job_schema());
    let output = Command::new(python())
        .arg(repository().join("tests/python/job_schema.py"))
        .arg(case.path("schema.json"))
        .arg(case.path("jobs.json"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether gapless takes a job, before it looks for any data; else what it says.
fn taken_by_gapless(job: &str) -> Result<(), String> {
    let raw: RawJob = toml::from_str(job).map_err(|error| error.message().to_string())?;
    build(raw, &RawStream::default(), &[], Some(Path::new("gapless.toml"))).map(drop).map_err(|error| error.to_string())
}

/// The blocks of a page in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once(&format!("\n```{language}\n")) {
        let (block, tail) = after.split_once("\n```").unwrap();
        found.push(format!("{block}\n"));
        rest = tail;
    }
    found
}

fn files(folder: &Path, suffix: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, suffix, found);
        } else if path.extension().is_some_and(|own| own == suffix) {
            found.push(path);
        }
    }
    found.sort();
}

#[test]
fn every_job_of_the_repository_fits_the_schema() {
    let mut jobs = Vec::new();
    let mut paths = Vec::new();
    files(&repository().join("fixtures"), "toml", &mut paths);
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.contains("[[stream]]") {
            jobs.push((path.display().to_string(), text));
        }
    }
    let fixtures = jobs.len();
    let mut pages = vec![repository().join("README.md")];
    files(&repository().join("docs"), "md", &mut pages);
    for path in pages {
        for block in blocks(&std::fs::read_to_string(&path).unwrap(), "toml") {
            // A part of a job is a job where what it leaves out is put in front.
            let whole = if block.contains("[[stream]]") {
                block
            } else if block.trim_start().starts_with('[') || block.contains("\n[[accept]]") {
                format!("[[stream]]\noriginal = \"a\"\nwindow = \"1h\"\nseries = [\"device\", \"site\"]\n{block}")
            } else {
                format!("[[stream]]\noriginal = \"a\"\n{block}")
            };
            jobs.push((path.display().to_string(), whole));
        }
    }
    assert!(fixtures > 40 && jobs.len() > fixtures + 2, "{fixtures} of {}", jobs.len());
    let texts: Vec<String> = jobs.iter().map(|(_, text)| text.clone()).collect();
    for ((place, text), taken) in jobs.iter().zip(taken_by_schema(&texts)) {
        assert!(taken, "{place}: the schema refuses\n{text}");
    }
}

/// Checks that are added, and what they say of themselves, are what editors propose for `[severity]` and `[[accept]]`.
#[test]
fn the_schema_lists_every_check() {
    let source = std::fs::read_to_string(repository().join("schema/job.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&source).unwrap();
    // `rule` is no id of a finding: rules have names of their own.
    let checks: Vec<_> = gapless::checks::catalogue::all().into_iter().filter(|check| check.id != "rule").collect();
    let severities = schema["properties"]["severity"]["properties"].as_object().unwrap();
    let listed: Vec<(&str, &str)> = severities.iter().map(|(id, field)| (id.as_str(), field["description"].as_str().unwrap())).collect();
    assert_eq!(listed, checks.iter().map(|check| (check.id, check.summary.as_str())).collect::<Vec<_>>());
    let accepted = schema["definitions"]["accept"]["properties"]["check"]["anyOf"][0]["enum"].as_array().unwrap();
    assert_eq!(accepted.iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>(), checks.iter().map(|check| check.id).collect::<Vec<_>>());
}

/// Every field of every table is given every kind of value. What gapless takes the schema takes, and what the schema takes gapless refuses
/// only for reasons that no schema can see.
#[test]
fn the_schema_takes_what_gapless_takes_and_refuses_what_it_refuses() {
    let source = std::fs::read_to_string(repository().join("schema/job.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&source).unwrap();
    let values = [
        "true",
        "false",
        "0",
        "1",
        "-1",
        "2",
        "1.5",
        "0.05",
        "1e-7",
        "nan",
        "''",
        "' '",
        "'x'",
        "'5m'",
        "'0s'",
        "'1 h 30m'",
        "'1mo'",
        "'0mo'",
        "'learn'",
        "'rows=5'",
        "'rows=0'",
        "'rows = 07'",
        "'every_window'",
        "'a,b'",
        "'tab'",
        "';'",
        "'2024-05-06'",
        "'2024-05-06T02:10:00+02:00'",
        "'2024-05-06 02:10'",
        "'2024-05-06T02'",
        "'yesterday'",
        "2024-05-06T02:10:00Z",
        "2024-05-06",
        "02:10:00",
        "[]",
        "['x']",
        "['x', 'y']",
        "['x', 'x']",
        "['x', 'y', 'z']",
        "['']",
        "[1]",
        "['trim']",
        "{}",
        "{ x = 1 }",
        "{ x = 'text' }",
        "{ x = 'decimal(12,2)' }",
        "{ x = 'decimal(x)' }",
        "{ x = ['fold', 'nfc'] }",
        "{ x = ['upper'] }",
        "{ x = { abs = 0.01, rel = 1e-9 } }",
        "{ x = { abs = -1 } }",
        "{ x = '1ms' }",
        "{ x = 'abs:0.01,rel:1e-9' }",
        "{ x = 'near' }",
        "{ from = 1, until = 2 }",
        "{ from = '2024-05-06', until = '2024-05-07' }",
        "{ from = 2024-05-06 }",
        "{ rows = 3 }",
        "{ rows = 0 }",
        "{ path = 'x' }",
        "{ path = 'x', header = true }",
        "'mon-fri'",
        "'Monday, sat-sun'",
        "'funday'",
        "'09:30-16:00'",
        "'22:00-02:00,9:0-9:5'",
        "'9-17'",
        "'UTC'",
        "'error'",
        "'warn'",
        "'fatal'",
        "'original'",
        "'recovered'",
        "'both'",
        "'replica'",
        "'fill'",
        "'single'",
        "'plain'",
        "'kafka_offset'",
        "'blake3'",
        "'sha1'",
        "'all'",
        "'some'",
        "'latest'",
        "'csv'",
        "'tsv'",
        "'excel'",
        "'gap'",
    ];
    // A job in which each field has what it needs beside it, and the table into which it goes. The field is left out where it stands already.
    let place = |table: &str, field: &str, value: &str| {
        let line = format!("\"{field}\" = {value}\n");
        let base = |own: &str, more: &str| {
            let mut stream = String::from("[[stream]]\n");
            for (name, text) in [
                ("name", "'s'"),
                ("original", "'a'"),
                ("backfill", "'b'"),
                ("key", "['k']"),
                ("sequence", "'q'"),
                ("sequence_kind", "'kafka_offset'"),
                ("cadence", "'1m'"),
                ("window", "'1h'"),
                ("series", "['x', 'y']"),
            ] {
                let other = own == "stream"
                    && (name == field
                    // What rules a value out elsewhere is not what is tried here.
                    || (field == "keyless" && name == "key") || (field == "mode" && value == "'single'" && name == "backfill")
                    || (["sequence_step", "sequence"].contains(&field) && name == "sequence_kind")
                    || (field == "backfill" && name == "mode"));
                if !other {
                    stream.push_str(&format!("{name} = {text}\n"));
                }
            }
            format!("{stream}{more}")
        };
        match table {
            "/definitions/stream" => base("stream", &line),
            "/definitions/defaults" => format!("{}[defaults]\n{line}", base("stream", "")),
            "/definitions/side/anyOf/1" => {
                let path = if field == "path" { "" } else { "path = 'a'\n" };
                format!("[[stream]]\n[stream.original]\n{path}{line}")
            }
            "/definitions/stream/properties/bounds" => base("", &format!("[stream.bounds]\n{line}")),
            "/definitions/stream/properties/sequence_bounds" => base("", &format!("[stream.sequence_bounds]\n{line}")),
            "/definitions/stream/properties/outage" => base("", &format!("[stream.outage]\n{line}")),
            "/definitions/continuity" => base("", &format!("[stream.continuity]\n{line}")),
            "/definitions/continuity/properties/calendar" => base("", &format!("[stream.continuity.calendar]\n{line}")),
            "/definitions/continuity/properties/maintenance/items" => {
                let other = match field {
                    "from" => "until = '2030-01-01'\n",
                    "until" => "from = '2000-01-01'\n",
                    _ => "from = '2000-01-01'\nuntil = '2030-01-01'\n",
                };
                base("", &format!("[[stream.continuity.maintenance]]\n{other}{line}"))
            }
            "/definitions/rule" => {
                let other = match field {
                    "name" => "assert = 'true'\n",
                    "assert" => "name = 'r'\n",
                    _ => "name = 'r'\nassert = 'true'\n",
                };
                base("", &format!("[[stream.rule]]\n{other}{line}"))
            }
            "/definitions/accept" => {
                let other = match field {
                    "check" => "reason = 'r'\n",
                    "reason" => "check = 'gap'\n",
                    _ => "check = 'gap'\nreason = 'r'\n",
                };
                base("", &format!("[[accept]]\n{other}{line}"))
            }
            other => panic!("{other}"),
        }
    };
    let mut tried = Vec::new();
    for table in [
        "/definitions/stream",
        "/definitions/defaults",
        "/definitions/side/anyOf/1",
        "/definitions/stream/properties/bounds",
        "/definitions/stream/properties/sequence_bounds",
        "/definitions/stream/properties/outage",
        "/definitions/continuity",
        "/definitions/continuity/properties/calendar",
        "/definitions/continuity/properties/maintenance/items",
        "/definitions/rule",
        "/definitions/accept",
    ] {
        for field in schema.pointer(table).unwrap()["properties"].as_object().unwrap().keys() {
            tried.extend(values.iter().map(|value| (table, field.as_str(), *value, place(table, field, value))));
        }
    }
    // And the jobs as a whole.
    for (job, value) in [
        ("", ""),
        ("name = 'x'", ""),
        ("stream = []", ""),
        ("[[stream]]\noriginal = 'a'", ""),
        ("[stream]\noriginal = 'a'", ""),
        ("nme = 'x'\n[[stream]]\noriginal = 'a'", ""),
        ("[[stream]]\noriginal = 'a'\nkey = ['k']\nkeyless = true", ""),
        ("[[stream]]\noriginal = 'a'\nkey = ['k']\nkeyless = false", ""),
        ("[[stream]]\noriginal = 'a'\n[severity]\ngap = 'fatal'", ""),
        ("[[stream]]\noriginal = 'a'\n[severity]\ngap = 'warn'\nmy_rule = 'info'", ""),
        ("[[stream]]\noriginal = 'a'\n[[accept]]\ncheck = 'gap'", ""),
        ("[[stream]]\noriginal = 'a'\n[[accept]]\nreason = 'x'", ""),
        ("[[stream]]\noriginal = 'a'\n[[stream.rule]]\nname = 'x'", ""),
        ("[defaults]\nname = 'x'\n[[stream]]\noriginal = 'a'", ""),
        ("[[stream]]\noriginal = { format = 'csv' }", ""),
        ("[[stream]]\noriginal = 'a'\nwindow = '1h'\n[stream.continuity]\nexpect = { rows = 1, wors = 2 }", ""),
        ("[[stream]]\noriginal = 'a'\n[[stream.continuity.maintenance]]\nfrom = '2024-05-06'", ""),
    ] {
        tried.push(("", "", value, format!("{job}\n")));
    }
    let jobs: Vec<String> = tried.iter().map(|(.., job)| job.clone()).collect();
    let (mut both, mut neither, mut wrong) = (0, 0, Vec::new());
    for ((table, field, value, job), by_schema) in tried.iter().zip(taken_by_schema(&jobs)) {
        match (taken_by_gapless(job), by_schema) {
            (Ok(()), true) => both += 1,
            (Err(_), false) => neither += 1,
            // An empty name is refused only where the data is looked at, a table may be written as a list of nothing, and a time of TOML is
            // a table to its reader.
            (Ok(()), false) if ["''", "['']", "[]", "02:10:00"].contains(value) || value.starts_with("20") => {}
            (Ok(()), false) => wrong.push(format!("{table} {field} = {value}: the schema refuses what gapless takes\n{job}")),
            // What no schema sees: files that are not there, names that are not known, fields that do not go together.
            (Err(said), true) if beyond_a_schema(&said) => {}
            // To a schema, a time of TOML is text.
            (Err(_), true) if value.starts_with("20") || *value == "02:10:00" => {}
            (Err(said), true) => wrong.push(format!("{table} {field} = {value}: the schema takes what gapless refuses: {said}\n{job}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), tried.len(), wrong.join("\n"));
    assert!(both > 500 && neither > 3_000, "{both} are taken and {neither} refused by both");
}

/// Whether a refusal is of the kind that no schema can see.
fn beyond_a_schema(said: &str) -> bool {
    [
        "cannot be read",
        "could not read the rule file",
        "is not a time zone",
        "there is no stream",
        "but no backfill was given",
        "but a backfill was given",
        "no data was given",
        "divides a day",
        "is shorter than the cadence",
        "comes with the silence",
        "there is no cadence",
        "is not before until",
        "both a key and keyless",
        "cannot have a tolerance",
        "drop one of the two",
        "offsets of a log rise by one",
        "a row that stands for a range",
        "it tells legal skips",
        "NaN is not a chance",
        "would be called",
    ]
    .iter()
    .any(|reason| said.contains(reason))
}

/// An editor's own engine follows the first line that `init` writes to the schema beside the job, takes the job, and marks a slip of the pen.
#[test]
fn editors_find_the_schema_that_init_writes() {
    let case = Case::new();
    case.file("a.csv", "id,at,v\n1,2024-05-06T01:00:00Z,x\n2,2024-05-06T02:00:00Z,y\n");
    let init = case.run(&["init", "a.csv", "a.csv", "--output", "gapless.toml"]);
    assert_eq!(init.code, Some(0), "{}", init.stderr);
    assert!(init.stderr.contains("'gapless.schema.json' is for editors"), "{}", init.stderr);
    let job = std::fs::read_to_string(case.path("gapless.toml")).unwrap();
    assert!(job.starts_with("#:schema ./gapless.schema.json\n"), "{job}");
    assert_eq!(std::fs::read_to_string(case.path("gapless.schema.json")).unwrap(), case.run(&["schema"]).stdout);
    let taplo = |job: &str| {
        case.file("gapless.toml", job);
        let program = python().with_file_name("taplo");
        let output = Command::new(program).current_dir(case.dir()).args(["check", "--colors", "never", "gapless.toml"]).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (fits, said) = taplo(&job);
    assert!(fits, "{said}");
    for (slip, place) in
        [("key = [\"id\"]\nkye = 1", "kye"), ("key = \"id\"", "id"), ("key = [\"id\"]\ncadence = \"1 parsec\"", "1 parsec")]
    {
        let (fits, said) = taplo(&job.replace("key = [\"id\"]", slip));
        assert!(!fits && said.contains(place), "{slip}: {said}");
    }
    // A schema of an older version is brought up to date; a file of somebody else stays.
    case.file("gapless.schema.json", "{\"$id\": \"urn:gapless:schema:job:1\", \"old\": true}");
    assert_eq!(case.run(&["init", "a.csv", "--output", "second.toml"]).code, Some(0));
    assert_eq!(std::fs::read_to_string(case.path("gapless.schema.json")).unwrap(), job_schema());
    case.file("gapless.schema.json", "mine");
    let third = case.run(&["init", "a.csv", "--output", "third.toml"]);
    assert!(third.code == Some(0) && third.stderr.contains("not from gapless"), "{}", third.stderr);
    assert_eq!(std::fs::read_to_string(case.path("gapless.schema.json")).unwrap(), "mine");
    // To stdout, the first line says how to get there.
    let printed = case.run(&["init", "a.csv"]);
    assert!(
        printed.stdout.contains("gapless schema > gapless.schema.json") && !printed.stdout.starts_with("#:schema"),
        "{}",
        printed.stdout
    );
    for (word, title) in [("job", "A job of gapless"), ("finding", "A finding of gapless"), ("run", "The summary of a run of gapless")] {
        let schema: Value = serde_json::from_str(&case.run(&["schema", word]).stdout).unwrap();
        assert_eq!(schema["title"], title);
    }
}

/// What an editor offers: in each table of a job every field that the schema has there, and for a choice its words.
#[test]
fn an_editor_completes_every_table_of_a_job() {
    let case = Case::new();
    case.file("gapless.schema.json", job_schema());
    let fields = |job: &str| format!("#:schema ./gapless.schema.json\n{job}");
    let places = [
        fields("[[stream]]\nname = \"x\"\n|\n"),
        fields("[[stream]]\nname = \"x\"\n\n[[stream.rule]]\n|\n"),
        fields("[[stream]]\nname = \"x\"\n\n[[stream.rule]]\nname = \"a\"\nse|\n"),
        fields("[[stream]]\nname = \"x\"\n\n[stream.continuity]\n|\n"),
        fields("[[stream]]\nname = \"x\"\nmode = |\n"),
        fields("[[accept]]\n|\n"),
        fields("[[acc|]]\n"),
        fields("[defaults]\n|\n"),
    ];
    case.file("places.json", serde_json::to_string(&places).unwrap());
    let said = run_python(
        "editor.py",
        &[python().with_file_name("tombi").as_os_str(), case.dir().as_os_str(), case.path("places.json").as_os_str()],
    );
    let offered: Vec<Vec<String>> = serde_json::from_str(&said).unwrap();
    let source = std::fs::read_to_string(repository().join("schema/job.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&source).unwrap();
    let known = |name: &str| -> Vec<String> { schema["definitions"][name]["properties"].as_object().unwrap().keys().cloned().collect() };
    let holds = |at: usize, wanted: &[String], said_already: &[&str]| {
        for field in wanted.iter().filter(|field| !said_already.contains(&field.as_str())) {
            assert!(offered[at].contains(field), "{field} is not offered at {:?}: {:?}", places[at], offered[at]);
        }
        assert!(!wanted.is_empty());
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect::<Vec<_>>();
    holds(0, &known("stream"), &["name"]);
    holds(1, &known("rule"), &[]);
    holds(2, &words(&["severity"]), &[]);
    holds(3, &known("continuity"), &[]);
    holds(4, &words(&["\"replica\"", "\"fill\"", "\"single\""]), &[]);
    holds(5, &known("accept"), &[]);
    holds(6, &words(&["accept"]), &[]);
    holds(7, &known("defaults"), &[]);
    assert!(!offered[2].contains(&"assert".to_string()), "only what begins so: {:?}", offered[2]);
}
