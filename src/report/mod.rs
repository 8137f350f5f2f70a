//! From findings to bytes: one file a format. Floor 5: sees records of runs, never the data.

mod json_v1;
mod store;
mod tables;
mod text;
mod timeline;

use std::path::Path;

pub use json_v1::summary;
pub use store::{StoredRun, prepare as prepare_directory, store};
pub use tables::tables;
pub(crate) use text::plain_lines;
pub use text::{TextStyle, text};

use crate::error::{Error, Result};
use crate::findings::RunRecord;

/// A form that a run can be shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// For machines: the summary.
    Json,
}

/// Suffixes and what they stand for: a format is a file and a line here.
pub const SUFFIXES: [(&str, OutputFormat); 2] = [("json", OutputFormat::Json), ("txt", OutputFormat::Text)];

/// The format of an output file, by its suffix.
///
/// # Errors
/// No format has this suffix.
pub fn format_of(path: &Path) -> Result<OutputFormat> {
    let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase()).unwrap_or_default();
    SUFFIXES.iter().find(|(known, _)| *known == suffix).map(|(_, format)| *format).ok_or_else(|| Error::Usage {
        place: format!("--output {}", path.display()),
        problem: format!("'.{suffix}' is not the suffix of an output format"),
        help: format!("use one of: {}", SUFFIXES.iter().map(|(suffix, _)| format!(".{suffix}")).collect::<Vec<_>>().join(", ")),
    })
}

/// A run in a format.
pub fn render(run: &RunRecord, stored: Option<&StoredRun>, format: OutputFormat, style: TextStyle) -> String {
    match format {
        OutputFormat::Text => text(run, stored, style),
        OutputFormat::Json => {
            let mut json = serde_json::to_string_pretty(&summary(run, stored)).unwrap_or_default();
            json.push('\n');
            json
        }
    }
}
