//! `gapless verify`

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::json;

use super::arguments::{StreamArgs, default_memory, memory};
use super::{fail, print, runtime, say_error, threads};
use crate::domain::{Duration, Tolerance};
use crate::error::{Error, Result, redacted};
use crate::job::{FailOn, Job, RunOptions, Shortcuts, Stream, build, load};
use crate::progress::Progress;
use crate::report::{OutputFormat, TextStyle, format_of, prepare_directory, render, store};
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
    format: Format,
    /// Also write the result to a file; its suffix decides the form (.json, .txt). May be given several times
    #[arg(long, value_name = "FILE", help_heading = "Reporting")]
    output: Vec<PathBuf>,
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
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

pub(super) fn run(args: Args) -> u8 {
    match prepared(args) {
        Ok(ready) => ready.run(),
        Err(error) => fail(&error),
    }
}

/// Everything that could be said wrongly has been checked.
struct Ready {
    job: Job,
    options: RunOptions,
    as_run: serde_json::Value,
    format: OutputFormat,
    outputs: Vec<(PathBuf, OutputFormat)>,
    quiet: bool,
    verbose: bool,
    progress: bool,
}

fn prepared(args: Args) -> Result<Ready> {
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
    let outputs = output.into_iter().map(output_of).collect::<Result<Vec<_>>>()?;
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
    let as_run = as_run(&job, &options, job_path.as_deref());
    let format = match format {
        Format::Text => OutputFormat::Text,
        Format::Json => OutputFormat::Json,
    };
    Ok(Ready { job, options, as_run, format, outputs, quiet, verbose, progress: !no_progress && !quiet })
}

/// An output file and its form. What is wrong with it is found out before anything is read, not after an hour.
fn output_of(path: PathBuf) -> Result<(PathBuf, OutputFormat)> {
    let format = format_of(&path)?;
    let wrong = |problem: String| Error::Usage {
        place: format!("--output {}", path.display()),
        problem,
        help: "make the directory first, or choose another place".to_string(),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    if !folder.is_dir() {
        return Err(wrong(format!("the directory '{}' does not exist", folder.display())));
    }
    if path.is_dir() {
        return Err(wrong("it is a directory".to_string()));
    }
    tempfile::tempfile_in(folder).map_err(|e| wrong(format!("the directory '{}' cannot be written to: {}", folder.display(), e.kind())))?;
    Ok((path, format))
}

/// The job as it is run, for the report. Options of the sides that could hold data (filters) are kept: they are the
/// user's own words.
fn as_run(job: &Job, options: &RunOptions, path: Option<&std::path::Path>) -> serde_json::Value {
    let side = |spec: &crate::job::SideSpec| {
        json!({
            "path": redacted(&spec.path),
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
            cadence,
            max_silence,
            window,
            time_zone,
            bounds: judged,
            sequence_bounds,
            outage,
            persistent_after,
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
            "manifests": manifests.iter().map(|manifest| redacted(&manifest.path)).collect::<Vec<_>>(),
        })
    };
    json!({
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
    })
}

impl Ready {
    fn run(self) -> u8 {
        if let Err(error) = prepare_directory(&self.options.report) {
            return fail(&error);
        }
        let Some(runtime) = runtime(self.options.threads) else { return 2 };
        let progress = if self.progress && std::io::stderr().is_terminal() { Progress::on_terminal() } else { Progress::hidden() };
        let say = |line: &str| {
            let mut line = format!("assumed: {}", crate::report::plain_lines(line));
            line.push('\n');
            let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), line.as_bytes());
        };
        let run = Run { options: &self.options, as_run: self.as_run.clone(), progress: &progress, say: &say };
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
        let record = match outcome {
            Ok(record) => record,
            Err(error) => return fail(&error),
        };
        // The report is on disk before anything is printed and before the process ends.
        let stored = match store(&self.options.report, &record) {
            Ok(stored) => stored,
            Err(error) => return fail(&error),
        };
        let mut failed = false;
        for (path, format) in &self.outputs {
            let text = render(&record, Some(&stored), *format, TextStyle { colour: false, verbose: true });
            if let Err(error) = write_whole(path, text.as_bytes()) {
                say_error(&format!("could not write '{}': {error}", path.display()), "choose a place that can be written to");
                failed = true;
            }
        }
        if !self.quiet {
            let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            print(&render(&record, Some(&stored), self.format, TextStyle { colour, verbose: self.verbose }));
        }
        if failed { 2 } else { record.exit_code }
    }
}

/// Writes a file beside its place and moves it there, so that nobody reads half of it.
fn write_whole(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map(drop).map_err(|error| error.error)
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
