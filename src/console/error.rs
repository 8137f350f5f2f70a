//! What can go wrong when a report is asked, one variant a cause, each with the next step.

use std::io;
use std::path::PathBuf;

use super::escape::escape_text;

/// Why a report could not be asked. Each message says what was tried and on what; [`help`](Self::help) says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The report directory does not exist, or is not a directory.
    #[error("there is no report directory at `{}`", path.display())]
    ReportMissing {
        /// What was given as the report directory.
        path: PathBuf,
    },
    /// The report directory holds no `run=<id>/` with a `run.json`.
    #[error("the report directory `{}` holds no finished run{}", path.display(), unfinished_note(*unfinished))]
    ReportEmpty {
        /// The report directory.
        path: PathBuf,
        /// How many `run=<id>` directories have no `run.json`.
        unfinished: usize,
    },
    /// The report directory could not be listed.
    #[error("the report directory `{}` cannot be read: {source}", path.display())]
    ReadReport {
        /// The directory that could not be read.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// One table file of one run could not be opened.
    #[error("the table `{table}` of run `{run}` cannot be read from `{}`: {reason}", path.display())]
    ReadTable {
        /// The report table.
        table: &'static str,
        /// The run it belongs to.
        run: String,
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The script could not be read.
    #[error("the script `{}` cannot be read: {source}", path.display())]
    ReadScript {
        /// The script, `-` for standard input.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The script or statement holds nothing but space and comments.
    #[error("there is no statement in {origin}")]
    NothingToRun {
        /// Where a statement was looked for.
        origin: String,
    },
    /// `@name` names no ready-made query.
    #[error("there is no ready-made query `@{}`{}", escape_text(name), did_you_mean("@", nearest))]
    UnknownQuery {
        /// The name without `@`.
        name: String,
        /// The nearest names, best first.
        nearest: Vec<String>,
    },
    /// A backslash command that the console does not have.
    #[error("there is no command `{}`", escape_text(command))]
    UnknownCommand {
        /// The command with its backslash.
        command: String,
    },
    /// A format that does not exist, or that is one of whole files.
    #[error("`{}` is no way to show rows here", escape_text(name))]
    UnknownFormat {
        /// The format as written.
        name: String,
    },
    /// `stream=<name>` names no stream of the report.
    #[error("the report holds no stream `{}`{}", escape_text(name), did_you_mean("", nearest))]
    UnknownStream {
        /// The stream that was asked for.
        name: String,
        /// The nearest streams, best first.
        nearest: Vec<String>,
    },
    /// A word that should be `name=value` is not.
    #[error("`{}` is not a parameter of the form NAME=VALUE", escape_text(word))]
    BadParameter {
        /// The word.
        word: String,
    },
    /// A parameter that nothing reads.
    #[error("{reader} has no parameter `{}`{}", escape_text(name), did_you_mean("", nearest))]
    UnknownParameter {
        /// Who was given the parameter.
        reader: String,
        /// The parameter.
        name: String,
        /// The parameters there are, nearest first.
        nearest: Vec<String>,
    },
    /// A parameter that must be a whole number is not.
    #[error("parameter `{name}` of `@{query}` must be a whole number, not `{}`", escape_text(value))]
    NotANumber {
        /// The ready-made query.
        query: String,
        /// The parameter.
        name: String,
        /// What was given.
        value: String,
    },
    /// `$name` in a statement, and no value for it.
    #[error("the statement reads `${name}`, and no value was given for it")]
    MissingParameter {
        /// The parameter without `$`.
        name: String,
    },
    /// `run=<id>` names no run of the report.
    #[error("the report holds no run `{}`{}", escape_text(run), did_you_mean("", nearest))]
    UnknownRun {
        /// The run that was asked for.
        run: String,
        /// The nearest runs, best first.
        nearest: Vec<String>,
    },
    /// A statement that would change or write something.
    #[error("`{kind}` is refused: the console only reads")]
    Refused {
        /// The kind of statement.
        kind: String,
    },
    /// The statement is not SQL.
    #[error("the statement cannot be parsed: {reason}\n  in: {}", excerpt(statement))]
    Parse {
        /// The statement.
        statement: String,
        /// What the parser said.
        reason: String,
    },
    /// A table that the report does not have.
    #[error("there is no table `{}`{}", escape_text(name), did_you_mean("", nearest))]
    UnknownTable {
        /// The table as written.
        name: String,
        /// The nearest tables, best first.
        nearest: Vec<String>,
    },
    /// A column that is not there.
    #[error("there is no column `{}`{}", escape_text(name), did_you_mean("", nearest))]
    UnknownColumn {
        /// The column as written.
        name: String,
        /// The nearest columns, best first.
        nearest: Vec<String>,
        /// The tables whose columns were looked at.
        tables: Vec<String>,
    },
    /// The statement parses, and means nothing.
    #[error("the statement cannot be planned: {reason}\n  in: {}", excerpt(statement))]
    Plan {
        /// The statement.
        statement: String,
        /// What the planner said.
        reason: String,
    },
    /// The statement was understood, and failed while it ran.
    #[error("the statement failed: {reason}\n  in: {}", excerpt(statement))]
    Execute {
        /// The statement.
        statement: String,
        /// What the engine said.
        reason: String,
    },
    /// Parquet was asked for, and standard output is a terminal.
    #[error("Parquet is bytes, and standard output is a terminal")]
    ParquetToTerminal,
    /// Parquet was asked for, and there is more than one result.
    #[error("a Parquet file holds one result, and the script gives {results}")]
    ParquetHoldsOne {
        /// How many results the script gives.
        results: usize,
    },
    /// A value that the chosen format cannot hold.
    #[error("the result cannot be written as {format}: {reason}")]
    Encode {
        /// The format.
        format: &'static str,
        /// What the encoder said.
        reason: String,
    },
    /// The suffix of `--output` says no format, and none was given.
    #[error("the suffix of `{}` names no format", path.display())]
    UnknownSuffix {
        /// The output file.
        path: PathBuf,
    },
    /// `--output` points into a stored run.
    #[error("`{}` lies inside the stored run `{run}`, which is not written to", path.display())]
    OutputInsideRun {
        /// The output file.
        path: PathBuf,
        /// The run's directory.
        run: String,
    },
    /// The result could not be written.
    #[error("the result cannot be written to {target}: {source}")]
    Write {
        /// Where to.
        target: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Whoever read our standard output has left. Nothing to report: the caller ends quietly.
    #[error("the reader of standard output has left")]
    OutputClosed,
    /// The line editor could not work with this terminal.
    #[error("the shell cannot read from the terminal: {reason}")]
    Terminal {
        /// What the line editor said.
        reason: String,
    },
    /// A ready-made query that is shipped with a broken header. A test keeps this from happening.
    #[error("the ready-made query `@{id}` has no valid header: {reason}")]
    BrokenQuery {
        /// The query.
        id: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConsoleError {
    /// The next step, one sentence without a full stop.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::ReportMissing { path } => format!(
                "name the directory with `--report DIR`, or write a report first: `gapless verify ORIGINAL BACKFILL --report {}`",
                path.display()
            ),
            Self::ReportEmpty { path, .. } => format!(
                "write a run into it first: `gapless verify ORIGINAL BACKFILL --report {}`",
                path.display()
            ),
            Self::ReadReport { .. } => "check that the directory can be read, or name another with `--report DIR`".to_owned(),
            Self::ReadTable { run, .. } => format!(
                "the other tables can still be asked; move the directory `run={run}` out of the report to leave that run out"
            ),
            Self::ReadScript { .. } => "check the path given to `-f`; `-f -` reads standard input".to_owned(),
            Self::NothingToRun { .. } => {
                "give a statement, as in `gapless sql \"SELECT * FROM findings\"`, or see `gapless sql --list`".to_owned()
            }
            Self::UnknownQuery { .. } => "`gapless sql --list` (in the shell: `\\l`) shows the ready-made queries".to_owned(),
            Self::UnknownCommand { .. } => "`\\?` shows the commands".to_owned(),
            Self::UnknownFormat { .. } => {
                "use table, records, csv, json or jsonl; Parquet goes to a file: `gapless sql @NAME --output FILE.parquet`".to_owned()
            }
            Self::UnknownStream { .. } => "`gapless sql @streams` shows the streams of the latest run; `stream=*` is all".to_owned(),
            Self::BadParameter { .. } => {
                "quote a statement so that it is one word, as in `gapless sql \"SELECT 1\"`; parameters follow it, as in `@latest_findings --limit 5` or `limit=5`"
                    .to_owned()
            }
            Self::UnknownParameter { .. } => {
                "`gapless sql --list` shows the parameters of the ready-made queries; a statement of your own reads one as `$name`".to_owned()
            }
            Self::NotANumber { name, .. } => format!("write it as `{name}=20`"),
            Self::MissingParameter { name } => format!("give it after the statement, as in `{name}=VALUE`"),
            Self::UnknownRun { .. } => "`gapless sql @runs` shows the runs; `run=latest` is the latest".to_owned(),
            Self::Refused { .. } => {
                "use SELECT, WITH, VALUES, EXPLAIN, SHOW or DESCRIBE; to keep a result, add `--output FILE`".to_owned()
            }
            Self::Parse { .. } => "a text is written 'so', a column that needs quotes \"so\"; statements are separated by `;`".to_owned(),
            Self::UnknownTable { .. } => format!(
                "the tables are {}; files are not read from SQL",
                super::tables::TABLES.iter().map(|table| table.name).collect::<Vec<_>>().join(", ")
            ),
            Self::UnknownColumn { tables, .. } => match tables.as_slice() {
                [] => "a text is written with single quotes, 'so'; `SHOW COLUMNS FROM findings` shows the columns".to_owned(),
                tables => format!(
                    "{} shows the columns; a text is written with single quotes, 'so'",
                    tables.iter().map(|table| format!("`SHOW COLUMNS FROM {table}`")).collect::<Vec<_>>().join(", ")
                ),
            },
            Self::Plan { .. } => "`SHOW COLUMNS FROM findings` shows columns and types, `SHOW FUNCTIONS` the functions".to_owned(),
            Self::Execute { .. } => "look at the value that is named; `try_cast(x AS type)` gives NULL where a value does not fit".to_owned(),
            Self::ParquetToTerminal => "add `--output FILE.parquet`, or send it to a file with `>`".to_owned(),
            Self::ParquetHoldsOne { .. } => "give one statement, or use `--format jsonl`".to_owned(),
            Self::Encode { .. } => "cast the column to text in the statement, or use `--format csv`".to_owned(),
            Self::UnknownSuffix { .. } => "use .txt, .csv, .json, .jsonl or .parquet, or say `--format`".to_owned(),
            Self::OutputInsideRun { .. } => "write the result to another directory".to_owned(),
            Self::Write { .. } => "check that the directory is there, that it can be written to, and that the disk has room".to_owned(),
            Self::OutputClosed => String::new(),
            Self::Terminal { .. } => "give the statement as an argument, or a script with `-f FILE`".to_owned(),
            Self::BrokenQuery { .. } => "this is a fault of gapless; please report it".to_owned(),
        }
    }
}

/// The known names nearest to `name`, best first, at most three; none when nothing is near.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    // A third of the letters may be wrong: more than that and the proposal is noise.
    let allowed = (wanted.chars().count() / 3).max(2);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&wanted, &lower);
            let holds = wanted.len() >= 3 && (lower.contains(&wanted) || (lower.len() >= 3 && wanted.contains(&lower)));
            (distance <= allowed || holds).then_some((distance, candidate))
        })
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(3).map(|(_, candidate)| candidate.to_owned()).collect()
}

fn did_you_mean(prefix: &str, nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => {
            let names: Vec<String> = names.iter().map(|name| format!("`{prefix}{}`", escape_text(name))).collect();
            format!("; the nearest: {}", names.join(", "))
        }
    }
}

fn unfinished_note(unfinished: usize) -> String {
    match unfinished {
        0 => String::new(),
        1 => " (one directory has no run.json: that run did not end)".to_owned(),
        n => format!(" ({n} directories have no run.json: those runs did not end)"),
    }
}

/// A statement on one line without the comments that stand on lines of their own, at most 160 characters: enough to recognise it.
fn excerpt(statement: &str) -> String {
    let lines = statement.lines().map(str::trim).filter(|line| !line.starts_with("--"));
    let line = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    let mut shown: String = line.chars().take(160).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    escape_text(&shown).into_owned()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_comes_first() {
        assert_eq!(nearest("finding", ["runs", "findings", "gaps"]), ["findings"]);
        assert_eq!(nearest("gap", ["gaps", "open_gaps", "runs"]), ["gaps", "open_gaps"]);
        assert!(nearest("zebra", ["runs", "findings"]).is_empty());
    }
}
