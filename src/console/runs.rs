//! Which runs a report directory holds.

use std::path::{Path, PathBuf};

use super::error::ConsoleError;

/// One complete run: a directory `run=<id>` that holds a `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    /// What follows `run=` in the directory's name.
    pub(super) id: String,
    /// The directory, absolute.
    pub(super) directory: PathBuf,
}

/// The complete runs of a report directory, sorted by id.
///
/// `run.json` is what makes a run complete, because it is written last. Names that start with a dot are runs being written, and
/// other names are not ours: both are passed over.
///
/// # Errors
/// When the directory is not there, cannot be listed, or holds no complete run.
pub(super) fn complete_runs(report: &Path) -> Result<Vec<Run>, ConsoleError> {
    if !report.is_dir() {
        return Err(ConsoleError::ReportMissing { path: report.to_owned() });
    }
    let cannot_read = |source| ConsoleError::ReadReport { path: report.to_owned(), source };
    // Absolute, because an object store knows no working directory.
    let absolute = report.canonicalize().map_err(cannot_read)?;
    let mut runs = Vec::new();
    let mut unfinished = 0;
    for entry in absolute.read_dir().map_err(cannot_read)? {
        let entry = entry.map_err(cannot_read)?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_prefix("run=")) else {
            continue;
        };
        let directory = entry.path();
        if directory.join("run.json").is_file() {
            runs.push(Run { id: id.to_owned(), directory });
        } else if directory.is_dir() {
            unfinished += 1;
        }
    }
    if runs.is_empty() {
        return Err(ConsoleError::ReportEmpty { path: report.to_owned(), unfinished });
    }
    runs.sort();
    Ok(runs)
}

/// The same, where a report without a run is one to wait for.
///
/// # Errors
/// When the directory is not there or cannot be listed.
#[cfg(feature = "serve")]
pub(super) fn runs_so_far(report: &Path) -> Result<Vec<Run>, ConsoleError> {
    match complete_runs(report) {
        Err(ConsoleError::ReportEmpty { .. }) => Ok(Vec::new()),
        outcome => outcome,
    }
}
