//! `gapless init`

use std::path::Path;

use clap::Args as ClapArgs;

use super::{fail, print, runtime, say, threads};
use crate::cli::arguments::{StreamArgs, default_memory};
use crate::error::Result;
use crate::job::{FailOn, RunOptions, build, job_schema};
use crate::report::{is_unseen, plain};
use crate::verify::{Proposal, propose};

/// Beside a job that `init` writes; its name is in the job's first line.
const SCHEMA_FILE: &str = "gapless.schema.json";
const SCHEMA_ID: &str = "urn:gapless:schema:job:1";

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  gapless init original/ backfill/ > gapless.toml\n  gapless init data.parquet --output gapless.toml\n\n\
    With --output, gapless.schema.json is written beside the job, and the job points at it: editors of TOML then complete and check its fields."
)]
pub(super) struct Args {
    /// What was collected live
    original: String,
    /// What was collected again
    backfill: Option<String>,
    /// replica (default) or fill
    #[arg(long)]
    mode: Option<String>,
    /// Write to this file instead of stdout; it must not be there yet
    #[arg(long, value_name = "FILE")]
    output: Option<std::path::PathBuf>,
    #[command(flatten)]
    about: StreamArgs,
}

pub(super) fn run(args: Args) -> u8 {
    match written(args) {
        Ok(()) => 0,
        Err(error) => fail(&error),
    }
}

fn written(args: Args) -> Result<()> {
    let Args { original, backfill, mode, output, about } = args;
    let flags = about.raw(mode, Some(original), backfill)?;
    let job = build(crate::job::raw::RawJob::default(), &flags, &[], None)?;
    let options = RunOptions {
        infer: true,
        untrusted: false,
        full: false,
        only_compare: false,
        diagnosis: false,
        shortcuts: crate::job::Shortcuts { identical_files: true, statistics: true },
        max_findings: 0,
        threads: threads(None),
        memory_bytes: default_memory(),
        batch_size: 8_192,
        report: std::path::PathBuf::new(),
        fail_on: FailOn::Error,
    };
    let Some(runtime) = runtime(options.threads) else { return Ok(()) };
    let name = output.as_ref().map_or("gapless.toml".to_string(), |path| path.display().to_string());
    // What a name could smuggle into a comment is escaped, so that it stays in its line.
    let name = plain(&name);
    let mut text = match output {
        Some(_) => format!("#:schema ./{SCHEMA_FILE}\n"),
        None => String::new(),
    };
    text.push_str(&format!(
        "# Written by `gapless init`: what it found in the data, to be read before it is trusted.\n# Run it with: gapless verify --job {name}\n"
    ));
    if output.is_none() {
        text.push_str(&format!(
            "# For completion in an editor: gapless schema > {SCHEMA_FILE}, and make this the first line: #:schema ./{SCHEMA_FILE}\n"
        ));
    }
    text.push_str("\n# name = \"…\"                      # of the job: shown in the report, and what `--baseline last` goes by\n\n");
    // A job file's paths are relative to the file, so one that is written elsewhere names them in full.
    let elsewhere = output.as_ref().and_then(|path| path.parent()).is_some_and(|folder| !folder.as_os_str().is_empty());
    for stream in &job.streams {
        let mut proposal = runtime.block_on(propose(stream, &options))?;
        if elsewhere {
            for side in [Some(&mut proposal.stream.original), proposal.stream.backfill.as_mut()].into_iter().flatten() {
                if let Ok(full) = std::path::absolute(&side.path) {
                    side.path = full.display().to_string();
                }
            }
        }
        text.push_str(&toml_of(&proposal));
    }
    match output {
        None => print(&text),
        Some(path) => {
            use std::io::Write;
            let failed = |e: std::io::Error| crate::error::Error::Output { path: path.display().to_string(), problem: e.to_string() };
            // A job that somebody has worked on is never overwritten.
            std::fs::File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
            write_schema(&path.with_file_name(SCHEMA_FILE));
        }
    }
    Ok(())
}

/// The schema that the job's first line points at. A file of that name that is no schema of ours stays as it is. The job is as good without,
/// so what goes wrong here is told and no error.
fn write_schema(path: &Path) {
    let ours = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok_and(|json| json["$id"] == SCHEMA_ID);
    let outcome = match std::fs::read_to_string(path) {
        Ok(there) if !ours(&there) => Err("it is there and not from gapless".to_string()),
        Ok(_) => std::fs::write(path, job_schema()).map_err(|e| e.to_string()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => std::fs::write(path, job_schema()).map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    let path = path.display();
    say(&match outcome {
        Ok(()) => format!("note: '{path}' is for editors, which complete and check the job with it"),
        Err(problem) => format!("note: '{path}' was not written: {problem}; `gapless schema` prints it"),
    });
}

/// A TOML string in one line, in which nothing is seen as something else than it is: the same value, whatever the data calls its columns.
fn text(value: &str) -> String {
    let mut out = String::from("\"");
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            character if is_unseen(character) => out.push_str(&format!("\\U{:08X}", u32::from(character))),
            character => out.push(character),
        }
    }
    out.push('"');
    out
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|value| text(value)).collect::<Vec<_>>().join(", "))
}

/// A side as a path, or as a table where options were given.
fn side_of(side: &crate::job::SideSpec) -> String {
    let mut options: Vec<String> = Vec::new();
    let mut option = |name: &str, value: Option<String>| options.extend(value.map(|value| format!("{name} = {value}")));
    let table = |pairs: Vec<(String, String)>| {
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{} = {}", text(name), text(value))).collect();
        (!pairs.is_empty()).then(|| format!("{{ {} }}", pairs.join(", ")))
    };
    option("format", side.format.map(|format| text(format.as_str())));
    option("delimiter", (side.delimiter != b',').then(|| text(&char::from(side.delimiter).to_string())));
    option("header", (!side.header).then(|| "false".to_string()));
    option("null_values", (side.null_values != [""]).then(|| list(&side.null_values)));
    option("time_format", side.time_format.as_deref().map(text));
    option("time_zone", side.time_zone.map(|zone| text(zone.name())));
    option("ambiguous", (side.ambiguous != crate::job::Ambiguous::Finding).then(|| text(&format!("{:?}", side.ambiguous).to_lowercase())));
    option("rename", table(side.rename.clone()));
    option("columns", table(side.columns.iter().map(|(name, said)| (name.clone(), said.word())).collect()));
    option("filter", side.filter.as_deref().map(text));
    if options.is_empty() {
        return text(&side.path);
    }
    format!("{{ path = {}, {} }}", text(&side.path), options.join(", "))
}

fn toml_of(proposal: &Proposal) -> String {
    let Proposal { stream, types, notes, series_candidates } = proposal;
    let mut out = String::new();
    for note in notes {
        out.push_str(&format!("# assumed: {}\n", plain(note)));
    }
    out.push_str("[[stream]]\n");
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("name = {}", text(&stream.name)));
    if stream.backfill.is_some() {
        line(format!("mode = {}", text(stream.mode.as_str())));
        line("# replica: the backfill must equal the original; fill: it fills the original's holes".to_string());
    }
    line(format!("original = {}", side_of(&stream.original)));
    if let Some(side) = &stream.backfill {
        line(format!("backfill = {}", side_of(side)));
    }
    match &stream.key {
        Some(key) => line(format!("key = {}", list(key))),
        None => line("keyless = true                   # no key was found: whole rows are compared".to_string()),
    }
    match &stream.time {
        Some(time) => line(format!("time = {}", text(time))),
        None => line("# time = \"…\"                     # the event time, for windows, bounds and gaps".to_string()),
    }
    if stream.series.is_empty() {
        let shown = if series_candidates.is_empty() {
            "\"device\"".to_string()
        } else {
            series_candidates.iter().map(|c| text(c)).collect::<Vec<_>>().join(", ")
        };
        line(format!("# series = [{shown}]       # columns whose values each form a stream of their own"));
    } else {
        line(format!("series = {}", list(&stream.series)));
    }
    let mut setting = |name: &str, value: Option<String>, hint: &str| match value {
        Some(value) => line(format!("{name} = {value}")),
        None => line(hint.to_string()),
    };
    let length = |d: crate::domain::Duration| text(&d.to_string());
    setting(
        "sequence",
        stream.sequence.as_deref().map(text),
        "# sequence = \"…\"                 # an integer that rises by one a row: offset, order number",
    );
    setting(
        "cadence",
        stream.cadence.map(|cadence| text(&cadence.to_string())),
        "# cadence = \"1m\"                 # nominal step between two rows; a longer silence is a gap",
    );
    if stream.max_silence.is_some() {
        setting("max_silence", stream.max_silence.map(length), "");
    }
    setting("window", stream.window.map(length), "# window = \"1h\"                  # without a cadence, empty windows are the gaps");
    if stream.time_zone != chrono_tz::Tz::UTC {
        setting("time_zone", Some(text(stream.time_zone.name())), "");
    }
    let ends: Vec<String> = [("from", stream.bounds.from), ("until", stream.bounds.until)]
        .into_iter()
        .filter_map(|(name, at)| at.map(|at| format!("{name} = {}", text(&at.to_string()))))
        .collect();
    let bounds = (!ends.is_empty()).then(|| format!("{{ {} }}", ends.join(", ")));
    setting("bounds", bounds, "# bounds = { from = \"…\", until = \"…\" }   # half-open; without them loss at head and tail is invisible");
    if !stream.ignore.is_empty() {
        setting("ignore", Some(list(&stream.ignore)), "");
    }
    if let Some(columns) = &stream.columns {
        setting("columns", Some(list(columns)), "");
    }
    if !stream.mask.is_empty() {
        setting("mask", Some(list(&stream.mask)), "");
    }
    if stream.ignore.is_empty() {
        line("# ignore = []".to_string());
    }
    line("# tolerance = { amount = { abs = 0.01 } }".to_string());
    line(String::new());
    line("# [[stream.rule]]".to_string());
    line("# name = \"amount_not_negative\"".to_string());
    line("# assert = \"amount >= 0\"".to_string());
    line(String::new());
    line("# Columns as they are read:".to_string());
    for (name, shown) in types {
        line(format!("#   {}: {}", plain(name), plain(shown)));
    }
    out
}
