//! From findings to bytes: one file a format. Floor 5: sees records of runs, never the data.

mod csv;
mod github;
mod history;
mod html;
mod inert;
mod json_v1;
mod jsonl;
mod junit;
mod load;
mod markdown;
mod openlineage;
mod prometheus;
mod store;
mod tables;
mod text;
mod timeline;
mod words;

use std::io::Write;
use std::path::Path;

pub use history::{
    Baseline, Compared, Comparison, Pruned, RunEntry, age_limit, apply_baseline, compare, comparison_text, find_run, prune, runs,
    runs_json, runs_text,
};
pub(crate) use inert::{is_unseen, plain, plain_lines};
pub use json_v1::summary;
pub use load::load;
pub use store::{StoredRun, prepare as prepare_directory, store};
pub use tables::tables;
pub use text::{TextStyle, text};

use crate::domain::Finding;
use crate::error::{Error, Result};
use crate::findings::RunRecord;

/// A form that a run can be shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// For machines: the summary.
    Json,
    /// One page with the picture, for everybody.
    Html,
    /// For tickets and step summaries.
    Markdown,
    /// For CI systems: a test case per check and stream.
    Junit,
    /// Annotations of a GitHub workflow.
    Github,
    /// The findings, one JSON object a line.
    Jsonl,
    /// The findings as a table.
    Csv,
    /// Metrics for the text file collector of Prometheus.
    Prometheus,
    /// A run event with facets of data quality.
    OpenLineage,
}

/// A format as people name it.
#[derive(Debug, Clone, Copy)]
pub struct NamedFormat {
    /// What it is.
    pub format: OutputFormat,
    /// The word of `--format`.
    pub word: &'static str,
    /// The suffixes of `--output`, without the first dot.
    pub suffixes: &'static [&'static str],
    /// One line of help.
    pub summary: &'static str,
}

/// Every format: a file, a variant, and a line here. Longer suffixes come before those that they end with.
pub const FORMATS: &[NamedFormat] = &[
    NamedFormat { format: OutputFormat::Text, word: "text", suffixes: &["txt"], summary: "for people" },
    NamedFormat {
        format: OutputFormat::OpenLineage,
        word: "openlineage",
        suffixes: &["openlineage.json"],
        summary: "an OpenLineage run event",
    },
    NamedFormat { format: OutputFormat::Json, word: "json", suffixes: &["json"], summary: "the summary, for machines" },
    NamedFormat { format: OutputFormat::Html, word: "html", suffixes: &["html", "htm"], summary: "one page with the picture" },
    NamedFormat { format: OutputFormat::Markdown, word: "markdown", suffixes: &["md"], summary: "for tickets and step summaries" },
    NamedFormat { format: OutputFormat::Junit, word: "junit", suffixes: &["xml"], summary: "JUnit XML, a test case per check and stream" },
    NamedFormat { format: OutputFormat::Github, word: "github", suffixes: &[], summary: "annotations of a GitHub workflow" },
    NamedFormat {
        format: OutputFormat::Jsonl,
        word: "jsonl",
        suffixes: &["jsonl", "ndjson"],
        summary: "the findings, one JSON object a line",
    },
    NamedFormat { format: OutputFormat::Csv, word: "csv", suffixes: &["csv"], summary: "the findings, safe to open in a spreadsheet" },
    NamedFormat {
        format: OutputFormat::Prometheus,
        word: "prometheus",
        suffixes: &["prom"],
        summary: "metrics for the text file collector",
    },
];

/// The format of an output file, by its suffix.
///
/// # Errors
/// No format has this suffix.
pub fn format_of(path: &Path) -> Result<OutputFormat> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let ends = |suffix: &str| name.strip_suffix(suffix).is_some_and(|stem| stem.len() > 1 && stem.ends_with('.'));
    FORMATS.iter().find(|known| known.suffixes.iter().any(|suffix| ends(suffix))).map(|known| known.format).ok_or_else(|| {
        let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase()).unwrap_or_default();
        Error::Usage {
            place: format!("--output {}", path.display()),
            problem: format!("'.{suffix}' is not the suffix of an output format"),
            help: format!(
                "use one of: {}",
                FORMATS.iter().flat_map(|known| known.suffixes).map(|suffix| format!(".{suffix}")).collect::<Vec<_>>().join(", ")
            ),
        }
    })
}

/// Hands out the findings of all streams one after another, however many there are.
fn each_finding(run: &RunRecord, mut write: impl FnMut(&Finding) -> std::io::Result<()>) -> std::io::Result<()> {
    for stream in &run.streams {
        let mut failed = None;
        let read = stream.findings.each(|finding| {
            write(&finding).map_err(|error| {
                failed = Some(error);
                Error::Interrupted
            })
        });
        match (failed, read) {
            (Some(error), _) => return Err(error),
            (None, read) => read.map_err(std::io::Error::other)?,
        }
    }
    Ok(())
}

/// Writes a run in a format.
///
/// # Errors
/// The place could not be written to.
pub fn render(
    run: &RunRecord,
    stored: Option<&StoredRun>,
    format: OutputFormat,
    style: TextStyle,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    match format {
        OutputFormat::Text => out.write_all(text(run, stored, style).as_bytes()),
        OutputFormat::Json => {
            let json = serde_json::to_string_pretty(&summary(run, stored))?;
            writeln!(out, "{}", inert::json(&json))
        }
        OutputFormat::Html => out.write_all(html::page(run, stored)?.as_bytes()),
        OutputFormat::Markdown => out.write_all(markdown::markdown(run, stored).as_bytes()),
        OutputFormat::Junit => junit::junit(run, out),
        OutputFormat::Github => github::annotations(run, out),
        OutputFormat::Jsonl => jsonl::jsonl(run, out),
        OutputFormat::Csv => csv::csv(run, style.raw_cells, out),
        OutputFormat::Prometheus => prometheus::metrics(run, out),
        OutputFormat::OpenLineage => {
            let json = serde_json::to_string_pretty(&openlineage::event(run))?;
            writeln!(out, "{}", inert::json(&json))
        }
    }
}
