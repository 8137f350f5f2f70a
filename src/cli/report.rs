//! `gapless report`

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::outputs::{Outputs, file_of};
use super::{fail, print};
use crate::domain::Instant;
use crate::error::{Error, Result};
use crate::report::{OutputFormat, age_limit, compare, comparison_text, find_run, load, prune, runs_json, runs_text};

/// Show a stored run again in any form, without the data; list, compare and remove runs
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
    gapless report                                         the latest run as text\n  \
    gapless report --output report.html --output junit.xml\n  \
    gapless report 20261123T033231661Z-8aa298 --format markdown\n  \
    gapless report --runs                                  all runs over time\n  \
    gapless report --against 20261123T033231661Z-8aa298    what is new, gone, still there\n  \
    gapless report --prune --keep 90d --dry-run            what would be removed\n\n\
    A run is named by its id, by a beginning or end of it that only it has, or `latest`.")]
pub(super) struct Args {
    /// The run
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    /// The report directory
    #[arg(long, value_name = "DIR", default_value = "gapless-report")]
    report: PathBuf,
    /// What is printed on stdout [default: text; nothing where --output is given]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<OutputFormat>,
    /// Write to a file; its suffix decides the form. May be given several times
    #[arg(long, value_name = "FILE")]
    output: Vec<PathBuf>,
    /// Write CSV cells as they are, even where a spreadsheet would take them for formulas
    #[arg(long)]
    raw_csv: bool,
    /// Show more findings
    #[arg(long, short)]
    verbose: bool,
    /// List the runs, the latest first; with --format json for machines
    #[arg(long, conflicts_with_all = ["output", "against", "prune"])]
    runs: bool,
    /// Show which findings are new, gone and still there, held against another run
    #[arg(long, value_name = "OTHER", conflicts_with_all = ["output", "prune", "format"])]
    against: Option<String>,
    /// Remove runs that are older than --keep. The latest run, the run of each job that `--baseline last` goes by, and one that is being
    /// written always stay
    #[arg(long, requires = "keep", conflicts_with_all = ["output", "format"])]
    prune: bool,
    /// How long runs are kept, from their start, such as 90d
    #[arg(long, value_name = "DURATION", requires = "prune")]
    keep: Option<String>,
    /// Remove nothing, and say what would be
    #[arg(long, requires = "prune")]
    dry_run: bool,
}

pub(super) fn run(args: Args) -> u8 {
    match answer(args) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn answer(args: Args) -> Result<u8> {
    let Args { run, report, format, output, raw_csv, verbose, runs, against, prune: remove, keep, dry_run } = args;
    if runs {
        let text = match format {
            None | Some(OutputFormat::Text) => runs_text(&report)?,
            Some(OutputFormat::Json) => runs_json(&report)?,
            Some(_) => {
                return Err(Error::Usage {
                    place: "--runs".to_string(),
                    problem: "the list of runs has no such form".to_string(),
                    help: "use --format text or json; `gapless sql @runs` has csv and parquet as well".to_string(),
                });
            }
        };
        print(&text);
        return Ok(0);
    }
    let now = Instant::from_chrono(chrono::Utc::now());
    if let (true, Some(keep)) = (remove, keep) {
        let before = Instant(now.0 - age_limit(&keep)?.nanos());
        let pruned = prune(&report, before, dry_run)?;
        let word = if dry_run { "would remove" } else { "removed" };
        let mut text = String::new();
        for run in &pruned.removed {
            text.push_str(&format!("{word} {}\n", run.id));
        }
        text.push_str(&format!("{word} {}, kept {}\n", pruned.removed.len(), pruned.kept));
        print(&text);
        return Ok(0);
    }
    let entry = find_run(&report, &run)?;
    if let Some(other) = against {
        let other = find_run(&report, &other)?;
        print(&comparison_text(&compare(&report, &entry, &other, verbose)?, now));
        return Ok(0);
    }
    let files = output.into_iter().map(file_of).collect::<Result<Vec<_>>>()?;
    let format = if files.is_empty() { Some(format.unwrap_or(OutputFormat::Text)) } else { format };
    let (record, stored) = load(&report, &entry)?;
    let outputs = Outputs { format, files, verbose, raw_csv };
    Ok(if outputs.write(&record, &stored) { 0 } else { 2 })
}
