//! `gapless sql`: ask the report.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as _;

use crate::console::{self, Ask, ConsoleError, Format};

/// Ask the report in SQL: a statement, a script, a ready-made query, or a shell
///
/// The tables (`\d` in the shell lists them) go over all runs of the report directory, each with a `run` column first. Only reading is possible, and only the report can be read. Without a statement and on a terminal it is a shell;
/// otherwise standard input is read as a script.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// One or more statements separated by `;`, or `@NAME` for a ready-made query; then values for its parameters, `--NAME VALUE` or
    /// NAME=VALUE
    #[arg(value_name = "SQL|@NAME [--NAME VALUE …]")]
    words: Vec<String>,

    /// Run the statements in FILE; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Show the ready-made queries
    #[arg(long, conflicts_with_all = ["file", "words"])]
    list: bool,

    /// The report directory
    #[arg(long, value_name = "DIR", default_value = "gapless-report")]
    report: PathBuf,

    /// How rows are written [default: the suffix of --output, else table]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,

    /// Write to FILE instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The most rows that a table shows, 0 for all; other formats always write all rows
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_rows: usize,

    /// Write CSV cells as they are, even where a spreadsheet would take them for formulas
    #[arg(long)]
    raw_csv: bool,
}

const EXAMPLES: &str = "\
Examples:
  gapless sql                                              a shell; \\? shows its commands
  gapless sql --list                                       the ready-made queries
  gapless sql @collect_again                               what to collect again, of the latest run
  gapless sql @worst_windows --stream orders --limit 5     each ready-made query has its parameters
  gapless sql \"SELECT check, count(*) FROM findings WHERE run = $run GROUP BY check\"
  gapless sql \"SELECT * FROM gaps\" --format csv > gaps.csv
  gapless sql -f questions.sql --report /var/reports --output answer.parquet

$run in a statement is the latest run; `--run ID` after the statement names another. Any other $name takes its value from --name.";

/// The words of a command line, with `--name value` as `name=value` where `gapless sql` has no such option itself: a parameter of a query.
pub(super) fn with_parameters(words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_none_or(|command| command != "sql") {
        return words;
    }
    let known = Args::augment_args(clap::Command::new("sql"));
    let takes_value = |flag: &str| {
        let own = known.get_arguments().find(|own| own.get_long() == Some(flag));
        own.map(|own| own.get_action().takes_values()).or_else(|| ["help", "version"].contains(&flag).then_some(false))
    };
    let mut rest = words.into_iter();
    let mut out: Vec<OsString> = rest.by_ref().take(2).collect();
    // The first word is the statement, so they go behind it.
    let mut pairs: Vec<OsString> = Vec::new();
    while let Some(word) = rest.next() {
        let Some(flag) = word.to_str().and_then(|text| text.strip_prefix("--")).filter(|flag| !flag.is_empty()) else {
            let ends = word == "--";
            let short = word == "-f";
            out.push(word);
            if ends {
                break;
            }
            if short {
                out.extend(rest.next());
            }
            continue;
        };
        let name = flag.split_once('=').map_or(flag, |(name, _)| name);
        match (takes_value(name), flag.contains('=')) {
            (Some(true), false) => {
                out.push(word);
                out.extend(rest.next());
            }
            (Some(_), _) => out.push(word),
            (None, true) => pairs.push(flag.replacen(name, &name.replace('-', "_"), 1).into()),
            (None, false) => match rest.next() {
                Some(value) => {
                    let mut pair = OsString::from(format!("{}=", name.replace('-', "_")));
                    pair.push(value);
                    pairs.push(pair);
                }
                None => out.push(word),
            },
        }
    }
    out.extend(rest);
    out.extend(pairs);
    out
}

/// Runs `gapless sql` and gives its exit code, 0.
///
/// # Errors
/// When the report cannot be opened, a statement is refused or fails, or the answer cannot be written: exit code 2.
pub async fn run(args: Args) -> Result<u8, ConsoleError> {
    let Args { words, file, list, report, format, output, max_rows, raw_csv } = args;
    let mut words = words.into_iter();
    let ask = match (list, file) {
        (true, _) => Ask::List,
        (false, Some(file)) => Ask::File(file),
        (false, None) => words.next().map_or(Ask::Input, Ask::Statements),
    };
    console::answer(console::Request { report, ask, parameters: words.collect(), format, output, max_rows, raw_csv }).await?;
    Ok(0)
}
