//! Where a run is shown: on stdout in one form, and in files whose suffixes say theirs. Shared by `verify` and `report`.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::say_error;
use crate::error::{Error, Result};
use crate::findings::RunRecord;
use crate::report::{FORMATS, OutputFormat, StoredRun, TextStyle, format_of, render};

impl ValueEnum for OutputFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Text,
            Self::Json,
            Self::Html,
            Self::Markdown,
            Self::Junit,
            Self::Github,
            Self::Jsonl,
            Self::Csv,
            Self::Prometheus,
            Self::OpenLineage,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        FORMATS.iter().find(|known| known.format == *self).map(|known| PossibleValue::new(known.word).help(known.summary))
    }
}

/// An output file and its form. What is wrong with it is found out before anything is read, not after an hour.
pub(super) fn file_of(path: PathBuf) -> Result<(PathBuf, OutputFormat)> {
    let format = format_of(&path)?;
    let wrong = |problem: String| Error::Usage {
        place: format!("--output {}", path.display()),
        problem,
        help: "make the directory first, or choose another place".to_string(),
    };
    let folder = folder_of(&path);
    if !folder.is_dir() {
        return Err(wrong(format!("the directory '{}' does not exist", folder.display())));
    }
    if path.is_dir() {
        return Err(wrong("it is a directory".to_string()));
    }
    tempfile::tempfile_in(folder).map_err(|e| wrong(format!("the directory '{}' cannot be written to: {}", folder.display(), e.kind())))?;
    Ok((path, format))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Everything that was asked for.
pub(super) struct Outputs {
    /// What stdout shows, if anything.
    pub(super) format: Option<OutputFormat>,
    pub(super) files: Vec<(PathBuf, OutputFormat)>,
    pub(super) verbose: bool,
    pub(super) raw_csv: bool,
}

impl Outputs {
    /// Writes all of it. True where everything could be written; what could not has been said.
    pub(super) fn write(&self, run: &RunRecord, stored: &StoredRun) -> bool {
        let mut well = true;
        for (path, format) in &self.files {
            let style = TextStyle { colour: false, verbose: true, raw_cells: self.raw_csv };
            if let Err(error) = write_whole(path, |out| render(run, Some(stored), *format, style, out)) {
                say_error(&format!("could not write '{}': {error}", path.display()), "choose a place that can be written to");
                well = false;
            }
        }
        let Some(format) = self.format else { return well };
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let style = TextStyle { colour, verbose: self.verbose, raw_cells: self.raw_csv };
        let mut out = BufWriter::new(std::io::stdout().lock());
        // A reader that has gone away ends it quietly.
        let _ = render(run, Some(stored), format, style, &mut out).and_then(|()| out.flush());
        if format == OutputFormat::Github && !append_step_summary(run, stored) {
            well = false;
        }
        well
    }
}

/// In a GitHub workflow the annotations come with a summary of the step, in the file that GitHub names for it.
fn append_step_summary(run: &RunRecord, stored: &StoredRun) -> bool {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return true };
    let append = || -> std::io::Result<()> {
        let mut text = Vec::new();
        render(run, Some(stored), OutputFormat::Markdown, TextStyle { colour: false, verbose: false, raw_cells: false }, &mut text)?;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all(&text)
    };
    match append() {
        Ok(()) => true,
        Err(error) => {
            say_error(
                &format!("could not write the step summary '{}': {error}", Path::new(&path).display()),
                "let GITHUB_STEP_SUMMARY name a file that can be written to, or unset it",
            );
            false
        }
    }
}

/// Writes a file beside its place and moves it there, so that nobody reads half of it.
fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let file = tempfile::NamedTempFile::new_in(folder_of(path))?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path).map(drop).map_err(|error| error.error)
}
