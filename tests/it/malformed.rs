//! Broken files from the testing repositories of Apache Arrow and Parquet, and valid controls: none may crash, hang or pass for empty data.
//!
//! Each file is verified alone, under a limit of time and of address space, because some of them claim lengths that no machine has. A broken file is
//! refused in one line that names it. Where gapless reads a file, an independent reader must read the same number of rows: the integration files of Arrow
//! come with theirs as JSON; for the rest `GAPLESS_TEST_PYTHON` names a Python with pyarrow (without it, what was read is counted and not confirmed).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it could not confirm"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Case, Run, finish, shared};

/// Kibibytes of address space: enough for the binary and its thread stacks, and far less than the lengths that broken files claim.
const ADDRESS_SPACE: &str = "6291456";
const LIMIT: Duration = Duration::from_secs(20);

/// Valid controls whose types are refused, by a part of the file's name, and why. Everything else among the controls is read.
const REFUSED: &[(&str, &str)] = &[
    (
        "1.0.0-bigendian/",
        "written on a big-endian machine, which the Arrow reader cannot swap: read as it stands every number would be another",
    ),
    ("generated_duplicate_fieldnames", "two columns of one name cannot be told apart by name"),
    ("generated_union", "values of a union have no canonical form, so they are ignored by name or the run is refused"),
];

/// Files whose pages carry a wrong CRC: they read as fine unless somebody checks.
const WRONG_CRC: &[&str] = &["datapage_v1-corrupt-checksum.parquet", "rle-dict-uncompressed-corrupt-checksum.parquet"];

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// Exit 2 or 3 with an error line that names the file.
    Refused,
    /// Read, with the number of rows.
    Read(i64),
    /// Anything else: the defect in words.
    Defect(String),
}

#[test]
fn broken_files_are_refused_by_name() {
    let Some(root) = shared("data/malformed") else { return };
    let mut files = Vec::new();
    collect(&root.join("arrow-testing"), &mut files);
    collect(&root.join("parquet-testing"), &mut files);
    assert!(files.len() > 250, "{} files", files.len());
    let outcomes = verify_all(&files);
    let mut defects: Vec<String> = Vec::new();
    let mut read = Vec::new();
    for (path, outcome) in &outcomes {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        match outcome {
            Outcome::Refused => {}
            Outcome::Read(_) if WRONG_CRC.contains(&name.as_str()) => {
                defects.push(format!("{}: a page with a wrong CRC was read as fine", path.display()))
            }
            // A file without rows made the verdict incomplete: that is no pass, whatever another reader makes of it.
            Outcome::Read(0) => {}
            Outcome::Read(rows) => read.push((path.clone(), *rows)),
            Outcome::Defect(what) => defects.push(format!("{}: {what}", path.display())),
        }
    }
    defects.extend(confirm(&read));
    eprintln!("malformed: {} files, {} refused, {} read", outcomes.len(), outcomes.len() - read.len() - defects.len(), read.len());
    assert!(defects.is_empty(), "{} of {} files:\n{}", defects.len(), outcomes.len(), defects.join("\n"));
}

#[test]
fn valid_controls_are_read() {
    let Some(root) = shared("data/malformed/valid_controls") else { return };
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 150, "{} files", files.len());
    let mut defects = Vec::new();
    for (path, outcome) in verify_all(&files) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let refused = REFUSED.iter().find(|(part, _)| path.to_string_lossy().contains(part));
        let rows = rows_in_json(&path);
        match (outcome, refused) {
            (Outcome::Read(found), None) if found == rows => {}
            (Outcome::Read(found), _) if found != rows => defects.push(format!("{}: {found} rows read, {rows} there", path.display())),
            (Outcome::Read(_), _) => defects.push(format!("{name}: listed as refused, and is read: take it off the list")),
            (Outcome::Refused, Some(_)) => {}
            (Outcome::Refused, None) => defects.push(format!("{}: refused", path.display())),
            (Outcome::Defect(what), _) => defects.push(format!("{}: {what}", path.display())),
        }
    }
    assert!(defects.is_empty(), "{} controls:\n{}", defects.len(), defects.join("\n"));
}

/// Every data file below a folder, sorted.
fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for entry in entries {
        let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
        if entry.is_dir() {
            collect(&entry, files);
        } else if !["README.md", "LICENSE.txt", ".gitattributes"].contains(&name.as_str()) && !name.ends_with(".json.gz") {
            files.push(entry);
        }
    }
}

/// The format by the folder, because most of these files have no suffix.
fn format_of(path: &Path) -> &'static str {
    let text = path.to_string_lossy();
    let suffix = path.extension().map(|suffix| suffix.to_string_lossy().into_owned()).unwrap_or_default();
    match suffix.as_str() {
        "arrow_file" => return "arrow",
        "stream" => return "arrows",
        _ => {}
    }
    for (folder, format) in [
        ("arrow-ipc-file", "arrow"),
        ("arrow-ipc-stream", "arrows"),
        ("arrow-ipc-tensor-stream", "arrows"),
        ("csv/fuzzing", "csv"),
        ("parquet", "parquet"),
    ] {
        if text.contains(folder) {
            return format;
        }
    }
    panic!("no format is known for {}", path.display());
}

/// Verifies every file, two at a time.
fn verify_all(files: &[PathBuf]) -> BTreeMap<PathBuf, Outcome> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = verify(path);
                    outcomes.lock().expect("no thread panicked").insert(path.clone(), outcome);
                }
            });
        }
    });
    outcomes.into_inner().expect("no thread panicked")
}

fn verify(path: &Path) -> Outcome {
    let case = Case::new();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_gapless"));
    command
        .arg("verify")
        .arg(path)
        .args(["--keyless", "--format", "json", "--threads", "2", "--opt"])
        .arg(format!("format={}", format_of(path)));
    command.current_dir(case.dir());
    let run = finish(command, LIMIT);
    let outcome = judge(&run, path);
    if outcome == Outcome::Refused && run.code == Some(2) && case.left_a_run() {
        return Outcome::Defect("an error that leaves a report".into());
    }
    outcome
}

fn judge(run: &Run, path: &Path) -> Outcome {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let last = run.stderr.lines().rev().find(|line| !line.is_empty()).unwrap_or_default();
    if run.timed_out {
        return Outcome::Defect("hung".into());
    }
    if run.panicked() {
        let line = run.stderr.lines().find(|line| line.contains("panicked")).unwrap_or(last);
        return Outcome::Defect(format!("panicked (exit {:?}): {line}", run.code));
    }
    let Some(code) = run.code else {
        return Outcome::Defect(format!("ended by signal {:?}: {last}", run.signal));
    };
    let error = run.stderr.lines().find(|line| line.starts_with("error: "));
    match (code, error) {
        // A type that is refused is a matter of the column; everything else is one of the file.
        (2 | 3, Some(line)) if !run.stderr.contains(&name) && !line.contains("column '") => {
            Outcome::Defect(format!("the error does not name the file: {}", run.stderr))
        }
        (2, Some(_)) if !run.stderr.contains("help: ") => Outcome::Defect(format!("the error names no next step: {}", run.stderr)),
        (2 | 3, Some(_)) => Outcome::Refused,
        (0 | 1 | 3, None) => match serde_json::from_str::<Value>(&run.stdout) {
            Ok(summary) => match summary["streams"][0]["counts"]["original_rows"].as_i64() {
                Some(0) if code != 3 => Outcome::Defect(format!("no rows, and exit {code}")),
                // Nothing was read wholly, the verdict is incomplete, and the report says of which file and why.
                None if code == 3 && summary["streams"][0]["verdict"] == "incomplete" => {
                    let reason = summary["streams"][0]["reason"].as_str().unwrap_or_default();
                    let source = summary["streams"][0]["sides"]["original"]["source"].as_str().unwrap_or_default();
                    if reason.is_empty() || !format!("{reason} {source}").contains(&name) {
                        return Outcome::Defect(format!("incomplete without the file or the reason: {reason:?} {source:?}"));
                    }
                    Outcome::Refused
                }
                Some(rows) => Outcome::Read(rows),
                None => Outcome::Defect(format!("exit {code} without original_rows: {summary}")),
            },
            Err(source) => Outcome::Defect(format!("exit {code} without a summary: {source}")),
        },
        _ => Outcome::Defect(format!("exit {code}: {}", run.stderr)),
    }
}

/// The number of rows that the JSON beside an integration file has.
fn rows_in_json(path: &Path) -> i64 {
    let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let bytes = fs::read(path.with_file_name(format!("{stem}.json.gz"))).expect("the JSON beside the file");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("JSON");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    json["batches"].as_array().expect("batches").iter().map(|batch| batch["count"].as_i64().expect("a count")).sum()
}

/// Reads the files with pyarrow, each in a process of its own, and returns those where it disagrees.
fn confirm(read: &[(PathBuf, i64)]) -> Vec<String> {
    const SCRIPT: &str = r"
import os, sys
import pyarrow as pa, pyarrow.parquet as pq, pyarrow.csv as pc
def rows(form, path):
    if form == 'parquet': return pq.read_table(path, page_checksum_verification=True).num_rows
    if form == 'csv': return pc.read_csv(path).num_rows
    with open(path, 'rb') as f:
        table = (pa.ipc.open_file(f) if form == 'arrow' else pa.ipc.open_stream(f)).read_all()
        table.validate(full=True)
        return table.num_rows
for line in sys.stdin:
    form, path = line.rstrip('\n').split('\t')
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try: text = 'rows %d' % rows(form, path)
        except BaseException as e: text = 'error %s' % str(e).replace('\n', ' ')[:200]
        print(path, text, sep='\t'); sys.stdout.flush(); os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status: print(path, 'died %d' % status, sep='\t'); sys.stdout.flush()
";
    let Ok(python) = std::env::var("GAPLESS_TEST_PYTHON") else {
        eprintln!("not confirmed: {} broken files that gapless could read (GAPLESS_TEST_PYTHON names no Python with pyarrow)", read.len());
        return Vec::new();
    };
    let list: String = read.iter().map(|(path, _)| format!("{}\t{}\n", format_of(path), path.display())).collect();
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("stdin");
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, list.as_bytes()).expect("the list is read"));
    let output = child.wait_with_output().expect("Python ends");
    writer.join().expect("the list is written");
    let answers: BTreeMap<String, String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(path, answer)| (path.to_owned(), answer.to_owned()))
        .collect();
    read.iter()
        .filter_map(|(path, rows)| {
            let answer = answers.get(&path.display().to_string()).map_or("no answer", String::as_str);
            (answer != format!("rows {rows}")).then(|| format!("{}: gapless read {rows} rows, pyarrow says: {answer}", path.display()))
        })
        .collect()
}
