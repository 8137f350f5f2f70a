//! `gapless sql`: ask the report.

use std::path::PathBuf;

use crate::console::{self, Ask, ConsoleError, Format};

/// Ask the report in SQL: a statement, a script, a ready-made query, or a shell
///
/// The tables are runs, streams, checks, windows, spans, gaps and findings, over all runs of the report directory, each with a `run`
/// column first. Only reading is possible, and only the report can be read. Without a statement and on a terminal it is a shell;
/// otherwise standard input is read as a script.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// One or more statements separated by `;`, or `@NAME` for a ready-made query; then values for its parameters
    #[arg(value_name = "SQL|@NAME [NAME=VALUE …]")]
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
}

const EXAMPLES: &str = "\
Examples:
  gapless sql                                              a shell; \\? shows its commands
  gapless sql --list                                       the ready-made queries
  gapless sql @collect_again                               what to collect again, of the latest run
  gapless sql @latest_findings limit=5
  gapless sql \"SELECT check, count(*) FROM findings WHERE run = $run GROUP BY check\"
  gapless sql \"SELECT * FROM gaps\" --format csv > gaps.csv
  gapless sql -f questions.sql --report /var/reports --output answer.parquet

$run in a statement is the latest run; `run=ID` after the statement names another.";

/// Runs `gapless sql` and gives its exit code, 0.
///
/// # Errors
/// When the report cannot be opened, a statement is refused or fails, or the answer cannot be written: exit code 2.
pub async fn run(args: Args) -> Result<u8, ConsoleError> {
    let Args { words, file, list, report, format, output, max_rows } = args;
    let mut words = words.into_iter();
    let ask = match (list, file) {
        (true, _) => Ask::List,
        (false, Some(file)) => Ask::File(file),
        (false, None) => words.next().map_or(Ask::Input, Ask::Statements),
    };
    console::answer(console::Request { report, ask, parameters: words.collect(), format, output, max_rows }).await?;
    Ok(0)
}
