//! Rows out: one result after the other, to standard output or a file.
//!
//! ```text
//! batches ──► table    kept up to --max-rows, laid out, the rest counted
//!         ──► csv, jsonl, json, parquet    written as they come
//! ```
//!
//! Several results of a script follow each other: tables and CSV with an empty line between, JSON as one array after the other.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, JsonArray, JsonFormat, LineDelimited, NullableEncoder, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::NamedTempFile;

use super::error::ConsoleError;
use super::escape::{escape_formula, escape_json, escape_lines, escape_text};
use super::statement::{Answer, failed};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For reading: aligned columns, at most --max-rows rows
    Table,
    /// For reading wide rows: one column a line, at most --max-rows rows
    Records,
    /// RFC 4180 with a header line; NULL is an empty cell, the empty text is "". No text is a formula, unless --raw-csv
    Csv,
    /// One array of objects
    Json,
    /// One object a line
    Jsonl,
    /// One Parquet file with one result
    Parquet,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "a table",
            Self::Records => "records",
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Jsonl => "JSON lines",
            Self::Parquet => "Parquet",
        }
    }

    /// The format of that name, where it can be changed from one answer to the next.
    ///
    /// # Errors
    /// When there is no such format, or it is one of whole files.
    pub(super) fn of_the_shell(name: &str) -> Result<Self, ConsoleError> {
        match name {
            "table" => Ok(Self::Table),
            "records" => Ok(Self::Records),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            "jsonl" => Ok(Self::Jsonl),
            _ => Err(ConsoleError::UnknownFormat { name: name.to_owned() }),
        }
    }

    /// The format that a file's suffix says.
    fn of_suffix(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Table),
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A text cell longer than this is cut in a table, and says so: one value must not push the others off the screen.
const CELL_CHARACTERS: usize = 1_000;

/// Below this many characters a column of a wide table wraps into an unreadable strip; records are shown one below the other instead.
const NARROWEST_COLUMN: usize = 12;

/// Where results go, and how.
pub(super) struct Output {
    sink: Sink,
    format: Format,
    /// Columns of the terminal; None where the output is no terminal.
    width: Option<usize>,
    max_rows: usize,
    /// CSV cells as they are, also where a spreadsheet would take them for formulas.
    raw_csv: bool,
    results: usize,
    /// Whether the time of each answer is said.
    pub(super) timing: bool,
}

impl Output {
    /// Standard output in that format, a table when none is given.
    ///
    /// # Errors
    /// When it is Parquet and standard output is a terminal.
    pub(super) fn stdout(format: Option<Format>, max_rows: usize, raw_csv: bool) -> Result<Self, ConsoleError> {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let format = format.unwrap_or(Format::Table);
        if is_terminal && format == Format::Parquet {
            return Err(ConsoleError::ParquetToTerminal);
        }
        let width = is_terminal.then(|| Table::new().width().map_or(80, usize::from));
        let sink = Sink::new(Target::Stdout(BufWriter::new(stdout)));
        Ok(Self { sink, format, width, max_rows, raw_csv, results: 0, timing: false })
    }

    /// A file, which appears whole at [`finish`](Self::finish) or not at all.
    ///
    /// # Errors
    /// When no format is given and the suffix says none, the file lies inside a stored run, or it cannot be made.
    pub(super) fn file(path: &Path, format: Option<Format>, max_rows: usize, raw_csv: bool, report: &Path) -> Result<Self, ConsoleError> {
        let format = format.or_else(|| Format::of_suffix(path)).ok_or_else(|| ConsoleError::UnknownSuffix { path: path.to_owned() })?;
        let target = Target::file(path, report)?;
        Ok(Self { sink: Sink::new(target), format, width: None, max_rows, raw_csv, results: 0, timing: false })
    }

    pub(super) fn is_parquet(&self) -> bool {
        self.format == Format::Parquet
    }

    /// What is written from now on is written in that format.
    ///
    /// # Errors
    /// When the output is one Parquet file.
    pub(super) fn set_format(&mut self, format: Format) -> Result<(), ConsoleError> {
        if self.is_parquet() {
            return Err(ConsoleError::ParquetHoldsOne { results: 2 });
        }
        self.format = format;
        Ok(())
    }

    /// Records instead of a table, and back; what it is now.
    ///
    /// # Errors
    /// When the output is one Parquet file.
    pub(super) fn turn_records(&mut self) -> Result<Format, ConsoleError> {
        let format = if self.format == Format::Records { Format::Table } else { Format::Records };
        self.set_format(format)?;
        Ok(format)
    }

    /// Writes one result. The statement is named when reading its rows fails.
    ///
    /// # Errors
    /// When the rows cannot be read, cannot be held by the format, or cannot be written.
    pub(super) async fn write(&mut self, answer: Answer, statement: &str) -> Result<(), ConsoleError> {
        if self.results > 0 && matches!(self.format, Format::Table | Format::Records | Format::Csv) {
            self.put(b"\n")?;
        }
        self.results += 1;
        match self.format {
            Format::Table | Format::Records => self.write_table(answer, statement).await?,
            Format::Csv => self.write_csv(answer, statement).await?,
            Format::Json => self.write_json(answer, statement).await?,
            Format::Jsonl => self.write_jsonl(answer, statement).await?,
            Format::Parquet => self.write_parquet(answer, statement).await?,
        }
        // What was asked is seen before the next statement starts.
        let flushed = self.sink.flush();
        self.checked(flushed)
    }

    /// What follows answers something new: no empty line stands before it.
    pub(super) fn begin(&mut self) {
        self.results = 0;
    }

    /// Writes a text of our own.
    pub(super) fn write_text(&mut self, text: &str) -> Result<(), ConsoleError> {
        self.put(text.as_bytes())?;
        let flushed = self.sink.flush();
        self.checked(flushed)
    }

    /// Ends the output; a file gets its name now.
    pub(super) fn finish(mut self) -> Result<(), ConsoleError> {
        let flushed = self.sink.flush();
        self.checked(flushed)?;
        let name = self.sink.target_name();
        self.sink.target.persist().map_err(|source| ConsoleError::Write { target: name, source })
    }

    async fn write_table(&mut self, mut answer: Answer, statement: &str) -> Result<(), ConsoleError> {
        let schema = answer.rows.schema();
        let limit = if self.max_rows == 0 { usize::MAX } else { self.max_rows };
        let mut shown: Vec<Vec<String>> = Vec::new();
        let mut total = 0_usize;
        while let Some(batch) = answer.rows.next().await {
            let batch = batch.map_err(|error| failed(error, statement))?;
            let wanted = limit.saturating_sub(shown.len()).min(batch.num_rows());
            if wanted > 0 {
                let cells = formatters(&batch).map_err(|error| self.unfit(&error))?;
                for row in 0..wanted {
                    shown.push(cells.iter().map(|column| table_cell(column, row, answer.has_lines)).collect());
                }
            }
            total += batch.num_rows();
        }
        let text = match self.format {
            Format::Records => lay_out_records(&schema, &shown, self.width.unwrap_or(60)),
            _ => lay_out(&schema, &shown, self.width),
        };
        self.put(text.as_bytes())?;
        let closing = closing_line(shown.len(), total);
        self.put(closing.as_bytes())
    }

    async fn write_csv(&mut self, mut answer: Answer, statement: &str) -> Result<(), ConsoleError> {
        let mut line = String::new();
        for (index, field) in answer.rows.schema().fields().iter().enumerate() {
            push_csv(&mut line, index, Some(field.name()), self.cells(true));
        }
        line.push('\n');
        self.put(line.as_bytes())?;
        while let Some(batch) = answer.rows.next().await {
            let batch = batch.map_err(|error| failed(error, statement))?;
            let columns = formatters(&batch).map_err(|error| self.unfit(&error))?;
            for row in 0..batch.num_rows() {
                line.clear();
                for (index, column) in columns.iter().enumerate() {
                    let value = column.text(row);
                    push_csv(&mut line, index, value.as_deref(), self.cells(column.is_text()));
                }
                line.push('\n');
                self.put(line.as_bytes())?;
            }
        }
        Ok(())
    }

    /// How a CSV cell is written, of a column that holds text or of another.
    fn cells(&self, is_text: bool) -> Cells {
        match (self.raw_csv, self.width.is_some()) {
            // A terminal acts on what a file only keeps.
            (true, true) => Cells::Shown,
            (true, false) => Cells::Raw,
            (false, _) if is_text => Cells::Inert,
            (false, _) => Cells::Shown,
        }
    }

    async fn write_json(&mut self, answer: Answer, statement: &str) -> Result<(), ConsoleError> {
        self.write_json_as::<JsonArray>(answer, statement).await?;
        self.put(b"\n")
    }

    async fn write_jsonl(&mut self, answer: Answer, statement: &str) -> Result<(), ConsoleError> {
        self.write_json_as::<LineDelimited>(answer, statement).await
    }

    async fn write_json_as<F: JsonFormat>(&mut self, mut answer: Answer, statement: &str) -> Result<(), ConsoleError> {
        let schema = distinct_names(&answer.rows.schema());
        let mut writer =
            WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(ExactNumbers)).build::<_, F>(Vec::new());
        while let Some(batch) = answer.rows.next().await {
            let batch = batch.map_err(|error| failed(error, statement))?;
            let batch = with_schema(batch, &schema).map_err(|error| self.unfit(&error))?;
            writer.write(&batch).map_err(|error| self.unfit(&error))?;
            let bytes = std::mem::take(writer.get_mut());
            self.put_json(&bytes)?;
        }
        writer.finish().map_err(|error| self.unfit(&error))?;
        let bytes = std::mem::take(writer.get_mut());
        self.put_json(&bytes)
    }

    async fn write_parquet(&mut self, mut answer: Answer, statement: &str) -> Result<(), ConsoleError> {
        let schema = distinct_names(&answer.rows.schema());
        let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::ZSTD(Default::default())).build();
        let format = self.format;
        let unfit = |reason: String| ConsoleError::Encode { format: format.name(), reason };
        let outcome = async {
            let mut writer =
                ArrowWriter::try_new(&mut self.sink, Arc::clone(&schema), Some(properties)).map_err(|error| unfit(error.to_string()))?;
            while let Some(batch) = answer.rows.next().await {
                let batch = batch.map_err(|error| failed(error, statement))?;
                let batch = with_schema(batch, &schema).map_err(|error| unfit(error.to_string()))?;
                writer.write(&batch).map_err(|error| unfit(error.to_string()))?;
            }
            writer.close().map_err(|error| unfit(error.to_string()))?;
            Ok(())
        }
        .await;
        // The Parquet writer hides which error came from writing; the sink remembers.
        match self.sink.failure.take() {
            Some(source) => self.checked(Err(source)),
            None => outcome,
        }
    }

    fn put_json(&mut self, bytes: &[u8]) -> Result<(), ConsoleError> {
        // The encoder writes whole values, and only UTF-8.
        let json = String::from_utf8_lossy(bytes);
        self.put(escape_json(&json).as_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ConsoleError> {
        let written = self.sink.write_all(bytes);
        self.checked(written)
    }

    fn checked(&self, written: io::Result<()>) -> Result<(), ConsoleError> {
        written.map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => ConsoleError::OutputClosed,
            _ => ConsoleError::Write { target: self.sink.target_name(), source },
        })
    }

    fn unfit(&self, error: &ArrowError) -> ConsoleError {
        ConsoleError::Encode { format: self.format.name(), reason: escape_lines(&error.to_string()) }
    }
}

/// The writer below all formats. It keeps the first error, for encoders that do not hand it on.
struct Sink {
    target: Target,
    failure: Option<io::Error>,
}

enum Target {
    Stdout(BufWriter<io::Stdout>),
    /// Something that is there and is no regular file, such as a pipe: nothing to replace.
    Special(BufWriter<File>, PathBuf),
    /// Written beside, then renamed: a run that fails leaves the old file as it was.
    Fresh(BufWriter<NamedTempFile>, PathBuf),
}

impl Target {
    fn file(path: &Path, report: &Path) -> Result<Self, ConsoleError> {
        let cannot_write = |source| ConsoleError::Write { target: format!("`{}`", path.display()), source };
        if path.exists() && !path.is_file() {
            let file = File::options().write(true).open(path).map_err(cannot_write)?;
            return Ok(Self::Special(BufWriter::new(file), path.to_owned()));
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let absolute = parent.canonicalize().map_err(cannot_write)?;
        let inside_run = report.canonicalize().ok().and_then(|report| {
            let first = absolute.strip_prefix(report).ok()?.components().next()?;
            first.as_os_str().to_str().filter(|name| name.starts_with("run=")).map(str::to_owned)
        });
        if let Some(run) = inside_run {
            return Err(ConsoleError::OutputInsideRun { path: path.to_owned(), run });
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".gapless-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any other file that is made: readable as far as the umask lets.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(parent).map_err(cannot_write)?;
        Ok(Self::Fresh(BufWriter::new(file), path.to_owned()))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stdout(writer) => writer,
            Self::Special(writer, _) => writer,
            Self::Fresh(writer, _) => writer,
        }
    }

    fn persist(self) -> io::Result<()> {
        match self {
            Self::Stdout(_) | Self::Special(..) => Ok(()),
            Self::Fresh(writer, path) => {
                let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.persist(path).map(drop).map_err(|failure| failure.error)
            }
        }
    }
}

impl Sink {
    fn new(target: Target) -> Self {
        Self { target, failure: None }
    }

    fn target_name(&self) -> String {
        match &self.target {
            Target::Stdout(_) => "standard output".to_owned(),
            Target::Special(_, path) | Target::Fresh(_, path) => format!("`{}`", path.display()),
        }
    }

    fn remember<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|error| {
            self.failure.get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.target.writer().write(bytes);
        self.remember(outcome)
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.target.writer().flush();
        self.remember(outcome)
    }
}

/// The values of one column as text.
struct Column<'a> {
    values: &'a ArrayRef,
    formatter: ArrayFormatter<'a>,
}

impl Column<'_> {
    fn is_text(&self) -> bool {
        !self.values.data_type().is_numeric() && !self.values.data_type().is_temporal()
    }

    /// None is NULL.
    fn text(&self, row: usize) -> Option<String> {
        (!self.values.is_null(row)).then(|| self.formatter.value(row).to_string())
    }
}

fn formatters(batch: &RecordBatch) -> Result<Vec<Column<'_>>, ArrowError> {
    const OPTIONS: FormatOptions<'static> = FormatOptions::new();
    batch.columns().iter().map(|values| Ok(Column { values, formatter: ArrayFormatter::try_new(values.as_ref(), &OPTIONS)? })).collect()
}

fn table_cell(column: &Column<'_>, row: usize, has_lines: bool) -> String {
    let Some(text) = column.text(row) else {
        return "NULL".to_owned();
    };
    if has_lines {
        return escape_lines(text.trim_end());
    }
    match text.char_indices().nth(CELL_CHARACTERS) {
        None => escape_text(&text).into_owned(),
        Some((cut, _)) => format!("{}… ({} characters)", escape_text(&text[..cut]), text.chars().count()),
    }
}

/// Rows as a table, or one below the other where a table would not fit the terminal.
fn lay_out(schema: &Schema, rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(schema.fields().iter().map(|field| escape_text(field.name()).into_owned()));
    for row in rows {
        table.add_row(row.iter().zip(schema.fields()).map(|(text, field)| {
            let alignment = if field.data_type().is_numeric() { CellAlignment::Right } else { CellAlignment::Left };
            Cell::new(text).set_alignment(alignment)
        }));
    }
    let natural_width = table.lines().next().map_or(0, |line| line.chars().count());
    match width {
        Some(width) if natural_width > width => {
            if width / schema.fields().len().max(1) < NARROWEST_COLUMN {
                return lay_out_records(schema, rows, width);
            }
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        _ => {}
    }
    format!("{}\n", table.trim_fmt())
}

fn lay_out_records(schema: &Schema, rows: &[Vec<String>], width: usize) -> String {
    use std::fmt::Write as _;
    let names: Vec<String> = schema.fields().iter().map(|field| escape_text(field.name()).into_owned()).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let title = format!("── row {} ", index + 1);
        let rule = "─".repeat(width.min(60).saturating_sub(title.chars().count()));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title}{rule}");
        for (name, value) in names.iter().zip(row) {
            let _ = writeln!(text, "{name:<longest$}  {value}");
        }
    }
    text
}

fn closing_line(shown: usize, total: usize) -> String {
    match (shown, total) {
        (_, 0) => "no rows\n".to_owned(),
        (_, 1) => "1 row\n".to_owned(),
        (shown, total) if shown == total => format!("{total} rows\n"),
        (shown, total) => {
            format!("the first {shown} of {total} rows; `--max-rows 0` shows all, `--format csv` writes all\n")
        }
    }
}

/// What is done to a CSV cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cells {
    /// Nothing.
    Raw,
    /// Active characters are written out.
    Shown,
    /// That, and it begins no formula.
    Inert,
}

/// One CSV cell. NULL is empty and bare, the empty text is `""`, so that the two stay apart.
fn push_csv(line: &mut String, index: usize, value: Option<&str>, cells: Cells) {
    if index > 0 {
        line.push(',');
    }
    let Some(value) = value else {
        return;
    };
    let value = match cells {
        Cells::Raw => value.into(),
        Cells::Shown => escape_text(value),
        Cells::Inert => escape_formula(value).into(),
    };
    let needs_quotes = value.is_empty()
        || value.contains([',', '"', '\n', '\r'])
        // A line that begins so is a command to CI systems, a quote in front of it is not.
        || value.starts_with("::")
        || value.starts_with("##")
        || value.starts_with(char::is_whitespace)
        || value.ends_with(char::is_whitespace);
    if needs_quotes {
        line.push('"');
        line.push_str(&value.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(&value);
    }
}

/// The schema with every name once: `run`, `run_2`. A JSON object or a Parquet file with a name twice loses one of the two.
fn distinct_names(schema: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<Field> = Vec::new();
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut count = 1;
        while fields.iter().any(|known| *known.name() == name) {
            count += 1;
            name = format!("{}_{count}", field.name());
        }
        fields.push(field.as_ref().clone().with_name(name));
    }
    Arc::new(Schema::new(fields))
}

fn with_schema(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
}

/// Numbers that JSON readers would bend, written as the report writes them everywhere: decimals as strings, since most readers take a
/// number for a double; NaN and infinities as strings, since JSON has no such numbers.
#[derive(Debug)]
struct ExactNumbers;

impl EncoderFactory for ExactNumbers {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                Box::new(QuotedDecimals(ArrayFormatter::try_new(array, &FormatOptions::new())?))
            }
            DataType::Float64 => Box::new(Floats { array, value: |array, row| array.as_primitive::<Float64Type>().value(row) }),
            DataType::Float32 => Box::new(Floats { array, value: |array, row| f64::from(array.as_primitive::<Float32Type>().value(row)) }),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct QuotedDecimals<'a>(ArrayFormatter<'a>);

impl Encoder for QuotedDecimals<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("\"{}\"", self.0.value(row)).as_bytes());
    }
}

struct Floats<'a> {
    array: &'a dyn Array,
    value: fn(&dyn Array, usize) -> f64,
}

impl Encoder for Floats<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let value = (self.value)(self.array, row);
        let text = if value.is_nan() {
            "\"NaN\"".to_owned()
        } else if value.is_infinite() {
            if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }.to_owned()
        } else if self.array.data_type() == &DataType::Float32 {
            // The shortest digits that give back the narrow value; widened first, 0.1 would become 0.10000000149011612.
            #[expect(clippy::cast_possible_truncation, reason = "it was widened from f32 a moment ago")]
            let narrow = value as f32;
            format!("{narrow:?}")
        } else {
            format!("{value:?}")
        };
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::{Cells, distinct_names, lay_out, push_csv};

    fn schema(columns: usize) -> Schema {
        Schema::new((0..columns).map(|index| Field::new(format!("c{index}"), DataType::Utf8, true)).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_too_wide_for_the_terminal_wraps_or_becomes_records() {
        let wide = "word ".repeat(20);
        let text = lay_out(&schema(2), &[vec![wide.clone(), "b".to_owned()]], Some(60));
        assert!(text.starts_with('┌') && text.lines().all(|line| line.chars().count() <= 60));
        let row: Vec<String> = (0..12).map(|_| wide.clone()).collect();
        let text = lay_out(&schema(12), std::slice::from_ref(&row), Some(60));
        assert!(text.starts_with("── row 1 ─") && text.contains("\nc11  word"));
        // Into a file or pipe nothing is wrapped: a line is a row, for grep.
        assert_eq!(lay_out(&schema(12), &[row], None).lines().count(), 5);
    }

    #[test]
    fn a_cell_is_raw_only_where_that_was_asked_for() {
        let cell = |value, cells| {
            let mut line = String::new();
            push_csv(&mut line, 0, Some(value), cells);
            line
        };
        assert_eq!(cell("\u{1b}[2J\nx", Cells::Shown), "\\x1b[2J\\nx");
        assert_eq!(cell("\u{1b}[2J\nx", Cells::Inert), "\\x1b[2J\\nx");
        assert_eq!(cell("\u{1b}[2J\nx", Cells::Raw), "\"\u{1b}[2J\nx\"");
        assert_eq!(cell("-5", Cells::Shown), "-5");
        assert_eq!(cell("=1+1", Cells::Inert), "'=1+1");
    }

    #[test]
    fn a_name_that_comes_again_is_numbered() {
        let fields = ["a", "a_2", "a", "a"].map(|name| Field::new(name, DataType::Utf8, true));
        let distinct = distinct_names(&Arc::new(Schema::new(fields.to_vec())));
        let names: Vec<&str> = distinct.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["a", "a_2", "a_3", "a_4"]);
    }
}
