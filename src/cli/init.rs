//! `gapless init`

use clap::Args as ClapArgs;

use super::{fail, print, runtime, threads};
use crate::cli::arguments::{StreamArgs, default_memory};
use crate::error::Result;
use crate::job::{FailOn, RunOptions, build};
use crate::verify::{Proposal, propose};

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  gapless init original/ backfill/ > gapless.toml\n  gapless init data.parquet --output gapless.toml")]
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
        max_findings: 0,
        threads: threads(None),
        memory_bytes: default_memory(),
        batch_size: 8_192,
        report: std::path::PathBuf::new(),
        fail_on: FailOn::Error,
    };
    let Some(runtime) = runtime(options.threads) else { return Ok(()) };
    let mut text = String::from(
        "# Written by `gapless init`: what it found in the data, to be read before it is trusted.\n# Run it with: gapless verify --job gapless.toml\n\n",
    );
    for stream in &job.streams {
        text.push_str(&toml_of(&runtime.block_on(propose(stream, &options))?));
    }
    match output {
        None => print(&text),
        Some(path) => {
            use std::io::Write;
            let failed = |e: std::io::Error| crate::error::Error::Output { path: path.display().to_string(), problem: e.to_string() };
            // A job that somebody has worked on is never overwritten.
            std::fs::File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
        }
    }
    Ok(())
}

fn text(value: &str) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|value| text(value)).collect::<Vec<_>>().join(", "))
}

fn toml_of(proposal: &Proposal) -> String {
    let Proposal { stream, types, notes, series_candidates } = proposal;
    let mut out = String::new();
    for note in notes {
        out.push_str(&format!("# assumed: {}\n", note.replace('\n', " ")));
    }
    out.push_str("[[stream]]\n");
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("name = {}", text(&stream.name)));
    if stream.backfill.is_some() {
        line(format!("mode = {}                 # or \"fill\": the backfill fills the original's holes", text(stream.mode.as_str())));
    }
    line(format!("original = {}", text(&stream.original.path)));
    if let Some(side) = &stream.backfill {
        line(format!("backfill = {}", text(&side.path)));
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
    line("# sequence = \"…\"                 # an integer that rises by one a row: offset, order number".to_string());
    line("# cadence = \"1m\"                 # nominal step between two rows; a longer silence is a gap".to_string());
    line("# window = \"1h\"                  # without a cadence, empty windows are the gaps".to_string());
    line("# bounds = { from = \"…\", until = \"…\" }   # half-open; without them loss at head and tail is invisible".to_string());
    line("# ignore = []".to_string());
    line("# tolerance = { amount = { abs = 0.01 } }".to_string());
    line(String::new());
    line("# [[stream.rule]]".to_string());
    line("# name = \"amount_not_negative\"".to_string());
    line("# assert = \"amount >= 0\"".to_string());
    line(String::new());
    line("# Columns as they are read:".to_string());
    for (name, shown) in types {
        line(format!("#   {name}: {shown}"));
    }
    out
}
