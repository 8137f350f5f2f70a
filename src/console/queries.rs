//! The ready-made queries: one `.sql` file each under `queries/report/`, and one list.
//!
//! A file starts with its header, comment lines of the form `-- word: text`:
//!
//! ```text
//! -- id: worst_windows
//! -- summary: Windows in which the sides differ most.
//! -- parameters: run = latest, limit = 20
//! ```
//!
//! `run` is always there in a statement as `$run`; a parameter whose default is a whole number takes whole numbers.

use super::error::{ConsoleError, nearest};

/// A query that is shipped with gapless.
#[derive(Debug, Clone, Copy)]
pub struct ReadyQuery {
    /// The name after `@`, and the stem of the file.
    pub id: &'static str,
    /// The file: header and statement.
    pub sql: &'static str,
}

macro_rules! ready_queries {
    ($($id:ident)*) => {
        &[$(ReadyQuery {
            id: stringify!($id),
            sql: include_str!(concat!("../../queries/report/", stringify!($id), ".sql")),
        }),*]
    };
}

/// The ready-made queries in the order in which they are shown: from the whole to the single finding.
pub const READY_QUERIES: &[ReadyQuery] = ready_queries! {
    runs
    streams
    incidents
    diagnoses
    findings_by_check
    latest_findings
    not_judged
    coverage
    open_gaps
    gaps_filled
    seams
    collect_again
    worst_windows
    mismatched_columns
    duplicates
    rule_violations
    since_previous_run
    gaps_since_previous_run
    interruption_history
    interruptions_by_series
    interruptions_by_hour
    interruptions_by_weekday
    time_between_interruptions
    recurrence
};

/// What the header of a ready-made query says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// One sentence.
    pub summary: String,
    /// Names and defaults, in the order of the header.
    pub parameters: Vec<(String, String)>,
}

impl ReadyQuery {
    /// What the file's header says.
    ///
    /// # Errors
    /// When a line is missing or says something else than the file's name.
    pub fn header(&self) -> Result<Header, ConsoleError> {
        let broken = |reason: String| ConsoleError::BrokenQuery { id: self.id, reason };
        let line = |word: &str| {
            let start = format!("-- {word}: ");
            self.sql.lines().take_while(|line| line.starts_with("--")).find_map(|line| line.strip_prefix(&start)).map(str::trim)
        };
        let id = line("id").ok_or_else(|| broken("no `-- id: …`".to_owned()))?;
        if id != self.id {
            return Err(broken(format!("its id is `{id}`")));
        }
        let summary = line("summary").ok_or_else(|| broken("no `-- summary: …`".to_owned()))?.to_owned();
        let mut parameters = Vec::new();
        for parameter in line("parameters").into_iter().flat_map(|list| list.split(',')) {
            let (name, default) = parameter.split_once('=').ok_or_else(|| broken(format!("`{parameter}` has no default")))?;
            parameters.push((name.trim().to_owned(), default.trim().to_owned()));
        }
        Ok(Header { summary, parameters })
    }
}

/// The ready-made query of that name.
///
/// # Errors
/// When there is none; the error names the nearest.
pub(super) fn find(name: &str) -> Result<&'static ReadyQuery, ConsoleError> {
    READY_QUERIES.iter().find(|query| query.id == name).ok_or_else(|| ConsoleError::UnknownQuery {
        name: name.to_owned(),
        nearest: nearest(name, READY_QUERIES.iter().map(|query| query.id)),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::READY_QUERIES;

    #[test]
    fn every_file_is_listed_and_every_header_is_whole() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/report");
        let files: BTreeSet<String> = directory
            .read_dir()
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".sql").map(str::to_owned))
            .collect();
        let listed: BTreeSet<String> = READY_QUERIES.iter().map(|query| query.id.to_owned()).collect();
        assert_eq!(files, listed, "queries/report/*.sql on the left, READY_QUERIES on the right");
        assert_eq!(listed.len(), READY_QUERIES.len(), "listed twice");
        for query in READY_QUERIES {
            let header = query.header().unwrap_or_else(|error| panic!("{error}"));
            assert!(header.summary.ends_with('.') && header.summary.len() <= 100, "{}: {}", query.id, header.summary);
            for (name, _) in &header.parameters {
                assert!(query.sql.contains(&format!("${name}")), "{} does not read ${name}", query.id);
            }
        }
    }
}
