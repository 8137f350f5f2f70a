//! `gapless verify`

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::json;

use super::arguments::{StreamArgs, default_memory, memory};
use super::outputs::{Outputs, file_of};
use super::{fail, runtime, say, threads};
use crate::domain::{Duration, Tolerance};
use crate::error::{Error, Result, redacted};
use crate::gate;
use crate::job::{FailOn, Job, RunOptions, Shortcuts, Stream, build, load};
use crate::progress::Progress;
use crate::report::{Baseline, OutputFormat, apply_baseline, prepare_directory, store};
use crate::verify::{Run, verify};

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
    gapless verify original/ backfill/ --key order_id --time ts --window 1h\n  \
    gapless verify 'live/*.parquet' replay.csv --mode fill --key id --time ts --cadence 1m --series device\n  \
    gapless verify data.parquet --key id --rule 'amount_not_negative: amount >= 0'\n  \
    gapless verify --job gapless.toml --stream orders --format json --output result.json\n\n\
    A path is a file, a directory (also Hive-partitioned), a glob in quotes or a file:// URL. Formats: Parquet, CSV, NDJSON,\n\
    JSON arrays, Arrow IPC files and streams; text formats also as .gz and .zst.")]
pub(super) struct Args {
    /// What was collected live
    original: Option<String>,
    /// What was collected again; without it one side is checked alone
    backfill: Option<String>,
    /// Job file; flags win over it
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,
    /// Verify only these streams of the job
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    stream: Vec<String>,
    /// replica: the backfill must equal the original (default); fill: it fills the original's holes
    #[arg(long)]
    mode: Option<String>,
    #[command(flatten)]
    about: StreamArgs,
    /// Draw a secret seed for this run, so that rows made to collide cannot; checksums are then not stored
    #[arg(long, help_heading = "Running")]
    untrusted: bool,
    /// How the sides are compared: screen finds what differs and looks at that alone; full joins every row with every other
    /// of its key. Both find the same
    #[arg(long, value_enum, value_name = "HOW", default_value = "screen", help_heading = "Running")]
    verify: How,
    /// Compare, and judge nothing else: no continuity, no windows, no checksums. Files that are byte-identical on both sides are
    /// then not decoded at all
    #[arg(long, help_heading = "Running")]
    only_compare: bool,
    /// Do not ask for causes: no incidents, no diagnoses, and no further pass where something was found
    #[arg(long, help_heading = "Running")]
    no_diagnosis: bool,
    /// Do not use a shortcut: identical-files (files alike on both sides are decoded once), statistics (what they prove to be
    /// irrelevant is not read), all
    #[arg(long, value_enum, value_name = "NAME", value_delimiter = ',', help_heading = "Running")]
    no_shortcut: Vec<NoShortcut>,
    /// Findings listed of each check and stream; counts are always complete
    #[arg(long, value_name = "N", default_value_t = 1_000_000, help_heading = "Reporting")]
    max_findings: usize,
    /// Report directory
    #[arg(long, value_name = "DIR", default_value = "gapless-report", help_heading = "Reporting")]
    report: PathBuf,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value = "text", help_heading = "Reporting")]
    format: OutputFormat,
    /// Also write the result to a file; its suffix decides the form (.html, .json, .txt, .md, .xml, .csv, .jsonl, .prom,
    /// .openlineage.json). May be given several times
    #[arg(long, value_name = "FILE", help_heading = "Reporting")]
    output: Vec<PathBuf>,
    /// Write CSV cells as they are, even where a spreadsheet would take them for formulas
    #[arg(long, help_heading = "Reporting")]
    raw_csv: bool,
    /// Findings that this run holds as well do not close the gate: a run of the report directory, or `last`, the latest run of the same
    /// job that no baseline turned away
    #[arg(long, value_name = "RUN", help_heading = "Reporting")]
    baseline: Option<String>,
    /// From which severity on the exit code is 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "error", help_heading = "Reporting")]
    fail_on: FailOnArg,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Running")]
    threads: Option<u16>,
    /// Memory budget, such as 2GiB [default: three fifths of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = memory, help_heading = "Running")]
    memory: Option<u64>,
    /// Propose nothing: what is not said is an error or not judged
    #[arg(long, help_heading = "Running")]
    no_infer: bool,
    /// Print nothing on stdout
    #[arg(long, short, help_heading = "Reporting", conflicts_with = "verbose")]
    quiet: bool,
    /// Print more findings, checksums and what was assumed
    #[arg(long, short, help_heading = "Reporting")]
    verbose: bool,
    /// Draw no progress bar
    #[arg(long, help_heading = "Running")]
    no_progress: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    Screen,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NoShortcut {
    IdenticalFiles,
    Statistics,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailOnArg {
    Error,
    Warn,
    Never,
}

pub(super) fn run(args: Args, typed: &[String]) -> u8 {
    match prepared(args, typed) {
        Ok(ready) => ready.run(),
        Err(error) => fail(&error),
    }
}

/// Everything that could be said wrongly has been checked.
struct Ready {
    job: Job,
    options: RunOptions,
    as_run: serde_json::Value,
    baseline: Option<Baseline>,
    outputs: Outputs,
    progress: bool,
}

fn prepared(args: Args, typed: &[String]) -> Result<Ready> {
    let Args {
        original,
        backfill,
        job: job_path,
        stream,
        mode,
        about,
        untrusted,
        verify: how,
        only_compare,
        no_diagnosis,
        no_shortcut,
        max_findings,
        report,
        format,
        output,
        raw_csv,
        baseline,
        fail_on,
        threads: wanted_threads,
        memory,
        no_infer,
        quiet,
        verbose,
        no_progress,
    } = args;
    if original.is_none() && job_path.is_none() {
        return Err(Error::Usage {
            place: "gapless verify".to_string(),
            problem: "no data was given".to_string(),
            help: "name it: `gapless verify ORIGINAL BACKFILL`, `gapless verify DATA`, or `gapless verify --job gapless.toml`".to_string(),
        });
    }
    let flags = about.raw(mode, original.clone(), backfill)?;
    let raw = match &job_path {
        Some(path) => load(path)?,
        None => crate::job::raw::RawJob::default(),
    };
    if original.is_some() && raw.stream.len() > 1 && stream.len() != 1 {
        return Err(Error::Usage {
            place: "ORIGINAL".to_string(),
            problem: format!("the job has {} streams, and a path can stand for one of them only", raw.stream.len()),
            help: "say which one with --stream NAME".to_string(),
        });
    }
    let job = build(raw, &flags, &stream, job_path.as_deref())?;
    if let Some(stream) = job.streams.iter().find(|stream| only_compare && stream.mode != crate::domain::Mode::Replica) {
        return Err(Error::Usage {
            place: "--only-compare".to_string(),
            problem: format!("the stream '{}' has the mode {}, which is judged by its continuity", stream.name, stream.mode.as_str()),
            help: "leave the flag out; only two sides of a replica can be compared and nothing else".to_string(),
        });
    }
    let files = output.into_iter().map(file_of).collect::<Result<Vec<_>>>()?;
    let outputs = Outputs { format: (!quiet).then_some(format), files, verbose, raw_csv };
    let batch_size = std::env::var("GAPLESS_BATCH_SIZE").ok().and_then(|text| text.parse().ok()).filter(|rows| *rows > 0);
    let options = RunOptions {
        infer: !no_infer,
        untrusted,
        full: how == How::Full,
        only_compare,
        diagnosis: !no_diagnosis,
        shortcuts: Shortcuts {
            identical_files: !no_shortcut.contains(&NoShortcut::IdenticalFiles) && !no_shortcut.contains(&NoShortcut::All),
            statistics: !no_shortcut.contains(&NoShortcut::Statistics) && !no_shortcut.contains(&NoShortcut::All),
        },
        max_findings,
        threads: threads(wanted_threads.map(usize::from)),
        memory_bytes: memory.unwrap_or_else(default_memory),
        batch_size: batch_size.unwrap_or(8_192),
        report,
        fail_on: match fail_on {
            FailOnArg::Error => FailOn::Error,
            FailOnArg::Warn => FailOn::Warn,
            FailOnArg::Never => FailOn::Never,
        },
    };
    let as_run = as_run(&job, &options, job_path.as_deref(), typed);
    // Looked for before anything is read, so that a wrong name costs nothing.
    let known = match &baseline {
        Some(wanted) => Baseline::open(&options.report, wanted, job.name.as_deref())?,
        None => None,
    };
    if let (Some(wanted), None) = (&baseline, &known) {
        say(&format!("note: --baseline {wanted}: there is no such run yet, so every finding counts"));
    }
    if known.is_some() && job.streams.iter().any(|stream| !stream.mask.is_empty()) && std::env::var_os("GAPLESS_MASK_KEY").is_none() {
        say("note: without GAPLESS_MASK_KEY masked values differ between runs, so that findings with them always count as new");
    }
    Ok(Ready { job, options, as_run, baseline: known, outputs, progress: !no_progress && !quiet })
}

/// Every text of a value without its secrets: a password may stand in a filter or a rule as well as in a path.
fn without_secrets(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(redacted(&text)),
        Value::Array(items) => items.into_iter().map(without_secrets).collect(),
        Value::Object(object) => object.into_iter().map(|(name, value)| (name, without_secrets(value))).collect(),
        other => other,
    }
}

/// The job as it is run, for the report. Options of the sides that could hold data (filters) are kept: they are the
/// user's own words.
fn as_run(job: &Job, options: &RunOptions, path: Option<&std::path::Path>, typed: &[String]) -> serde_json::Value {
    let side = |spec: &crate::job::SideSpec| {
        json!({
            "path": spec.path,
            "format": spec.format.map(|format| format.as_str()),
            "delimiter": char::from(spec.delimiter).to_string(),
            "header": spec.header,
            "null_values": spec.null_values,
            "time_format": spec.time_format,
            "time_zone": spec.time_zone.map(|zone| zone.name()),
            "ambiguous": format!("{:?}", spec.ambiguous).to_lowercase(),
            "rename": spec.rename.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "columns": spec.columns.iter().map(|(name, said)| (name.clone(), said.data_type().to_string())).collect::<std::collections::BTreeMap<_, _>>(),
            "filter": spec.filter,
        })
    };
    let bounds = |bounds: &crate::domain::Bounds| json!({ "from": bounds.from.map(|at| at.to_string()), "until": bounds.until.map(|at| at.to_string()) });
    let tolerance = |tolerance: &Tolerance| match tolerance {
        Tolerance::Number { abs, rel } => json!({ "abs": abs, "rel": rel }),
        Tolerance::Time { nanos } => json!(Duration::from_nanos(*nanos).map(|length| length.to_string())),
    };
    let stream = |stream: &Stream| {
        // Taken apart, so that a setting that is added is also reported.
        let Stream {
            name,
            mode,
            original,
            backfill,
            key,
            keyless,
            time,
            series,
            sequence,
            sequence_last,
            sequence_step,
            sequence_kind,
            payload_sequence,
            cadence,
            max_silence,
            window,
            time_zone,
            bounds: judged,
            sequence_bounds,
            outage,
            persistent_after,
            continuity,
            columns,
            ignore,
            mask,
            tolerance: tolerances,
            text,
            rules,
            duplicates,
            digest,
            manifests,
        } = stream;
        json!({
            "name": name,
            "mode": mode.as_str(),
            "original": side(original),
            "backfill": backfill.as_ref().map(side),
            "key": key,
            "keyless": keyless,
            "time": time,
            "series": series,
            "sequence": sequence,
            "sequence_last": sequence_last,
            "sequence_step": sequence_step.to_string(),
            "sequence_kind": sequence_kind.as_str(),
            "payload_sequence": payload_sequence,
            "continuity": continuity.said,
            "cadence": cadence.map(|d| d.to_string()),
            "max_silence": max_silence.map(|d| d.to_string()),
            "window": window.map(|d| d.to_string()),
            "time_zone": time_zone.name(),
            "bounds": bounds(judged),
            "sequence_bounds": { "from": sequence_bounds.0.map(|n| n.to_string()), "until": sequence_bounds.1.map(|n| n.to_string()) },
            "persistent_after": persistent_after.to_string(),
            "outage": outage.as_ref().map(bounds),
            "columns": columns,
            "ignore": ignore,
            "mask": mask,
            "tolerance": tolerances.iter().map(|(name, t)| (name.clone(), tolerance(t))).collect::<serde_json::Map<_, _>>(),
            "text": text.iter().map(|(name, rules)| (name.clone(), json!(rules.iter().map(|rule| format!("{rule:?}").to_lowercase()).collect::<Vec<_>>()))).collect::<serde_json::Map<_, _>>(),
            "rules": rules.iter().map(|rule| json!({
                "name": rule.name,
                "assert": rule.assert,
                "severity": rule.severity.as_str(),
                "side": rule.side.map(|side| side.as_str()),
            })).collect::<Vec<_>>(),
            "duplicates": format!("{duplicates:?}").to_lowercase(),
            "digest": digest.map(|algorithm| algorithm.as_str()),
            "manifests": manifests.iter().map(|manifest| manifest.path.as_str()).collect::<Vec<_>>(),
        })
    };
    without_secrets(json!({
        "command": typed,
        "job": path.map(|path| path.display().to_string()),
        "streams": job.streams.iter().map(stream).collect::<Vec<_>>(),
        "infer": options.infer,
        "untrusted": options.untrusted,
        "verify": if options.full { "full" } else { "screen" },
        "only_compare": options.only_compare,
        "diagnosis": options.diagnosis,
        "shortcuts": { "identical_files": options.shortcuts.identical_files, "statistics": options.shortcuts.statistics },
        "max_findings": options.max_findings,
        "fail_on": match options.fail_on { FailOn::Error => "error", FailOn::Warn => "warn", FailOn::Never => "never" },
    }))
}

impl Ready {
    fn run(self) -> u8 {
        if let Err(error) = prepare_directory(&self.options.report) {
            return fail(&error);
        }
        let Some(runtime) = runtime(self.options.threads) else { return 2 };
        let progress = if self.progress && std::io::stderr().is_terminal() { Progress::on_terminal() } else { Progress::hidden() };
        let assumed = |line: &str| say(&format!("assumed: {line}"));
        let run = Run { options: &self.options, as_run: self.as_run.clone(), progress: &progress, say: &assumed };
        // An interrupt is heard on a thread of its own, since settling differences keeps this one busy. Nothing has been
        // written while it can strike: the report is stored afterwards, in one step.
        let bar = progress.clone();
        let watch = runtime.spawn(async move {
            interrupted().await;
            bar.finish();
            std::process::exit(i32::from(fail(&Error::Interrupted)));
        });
        let outcome = runtime.block_on(verify(&self.job, &run));
        watch.abort();
        // Readers that are still at it are not waited for.
        runtime.shutdown_background();
        progress.finish();
        let mut record = match outcome {
            Ok(record) => record,
            Err(error) => return fail(&error),
        };
        if let Some(baseline) = &self.baseline {
            if let Err(error) = apply_baseline(&mut record, baseline) {
                return fail(&error);
            }
            record.exit_code = gate::exit_code(self.options.fail_on, &record);
        }
        // The report is on disk before anything is printed and before the process ends.
        let stored = match store(&self.options.report, &record) {
            Ok(stored) => stored,
            Err(error) => return fail(&error),
        };
        match self.outputs.write(&record, &stored) {
            true => record.exit_code,
            false => 2,
        }
    }
}

async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
