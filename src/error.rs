//! What can keep gapless from looking. A mismatch is never an error, and an error is never a finding.
//!
//! One variant a cause; each says what was tried and on what, and [`Error::help`] says what to do next.

use datafusion::error::DataFusionError;

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why gapless could not look.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what its fields are")]
pub enum Error {
    #[error("{place}: {problem}")]
    Usage { place: String, problem: String, help: String },
    #[error("could not read the job file '{path}': {source}")]
    JobFile { path: String, source: std::io::Error },
    #[error("the job file '{path}' is not valid\n{problem}")]
    JobSyntax { path: String, problem: String, help: String },
    #[error("could not read the rule file '{path}': {problem}")]
    RuleFile { path: String, problem: String },
    #[error("{side}: the path '{path}' does not exist")]
    PathMissing { side: String, path: String },
    #[error("{side}: no files found at '{path}'")]
    NoFiles { side: String, path: String, ignored: usize },
    #[error("{side}: '{path}' could not be opened: {source}")]
    Url { side: String, path: String, source: DataFusionError },
    #[error("{side}: '{file}' is an empty file (0 bytes)")]
    EmptyFile { side: String, file: String },
    #[error("{side}: the format of '{file}' is not known from its suffix")]
    FormatUnknown { side: String, file: String },
    #[error("{side}: '{path}' holds files of different formats: '{first}' is {first_format}, '{second}' is {second_format}")]
    FormatsMixed { side: String, path: String, first: String, first_format: String, second: String, second_format: String },
    #[error("{side}: '{file}' could not be read as {format}: {problem}")]
    Unreadable { side: String, file: String, format: String, problem: String },
    #[error("{side}: the files disagree on their columns: {difference} ('{first}' against '{second}')")]
    SchemasDisagree { side: String, first: String, second: String, difference: String },
    #[error("{side}: option '{option}': {problem}")]
    SideOption { side: String, option: String, problem: String, help: String },
    #[error("{what}: there is no column '{column}' on the {side}")]
    ColumnMissing { what: String, column: String, side: String, nearest: String },
    #[error("{what}: column '{column}' on the {side} has type {data_type}: {problem}")]
    ColumnType { what: String, column: String, side: String, data_type: String, problem: String, help: String },
    #[error("{what}: {problem}")]
    Expression { what: String, problem: String, help: String },
    #[error("no key was given, and no set of columns is unique on either side")]
    NoKey { tried: usize },
    #[error("no key was given, and --no-infer keeps gapless from proposing one")]
    KeyNotSaid,
    #[error("{side}: there is no source for '{path}' in this version")]
    NoSource { side: String, path: String },
    #[error("there are several columns that could be the event time: {columns}")]
    SeveralTimes { columns: String },
    #[error("no event time was given, and {problem}, but {needed_by} needs one")]
    NoTime { problem: String, needed_by: String },
    #[error("{side}: reading stopped: {problem}")]
    ReadFailed { side: String, problem: String },
    #[error("{side}: {problem}")]
    OutOfMemory { side: String, problem: String },
    #[error("rows that did not fit in memory could not be kept in '{directory}': {what} failed: {problem}")]
    SpillFailed { what: String, directory: String, problem: String },
    #[error("the plan for {what} holds a {operator}, which is not safe under a memory limit")]
    UnsafePlan { what: String, operator: String },
    #[error("the check '{check}' failed to run: {source}")]
    Check { check: String, source: DataFusionError },
    #[error("the manifest '{path}' {problem}")]
    Manifest { path: String, problem: String },
    #[error("the report directory '{path}' {problem}")]
    Report { path: String, problem: String, help: String },
    #[error("could not write '{path}': {problem}")]
    Output { path: String, problem: String },
    #[error("{what} failed inside the query engine: {source}")]
    Engine { what: String, source: DataFusionError },
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// What to do next, in one sentence.
    pub fn help(&self) -> String {
        match self {
            Self::Usage { help, .. }
            | Self::JobSyntax { help, .. }
            | Self::SideOption { help, .. }
            | Self::ColumnType { help, .. }
            | Self::Expression { help, .. }
            | Self::Report { help, .. } => help.clone(),
            Self::JobFile { .. } => "check the path after --job; `gapless init ORIGINAL BACKFILL` writes one".to_string(),
            Self::RuleFile { .. } => {
                "a rule file starts with `-- id:` and `-- summary:` lines, followed by one boolean SQL expression".to_string()
            }
            Self::PathMissing { .. } => "check the spelling; a file, a directory or a glob in quotes is expected".to_string(),
            Self::NoFiles { ignored: 0, .. } => {
                "check the glob or the directory; an empty side is given as a valid file without rows".to_string()
            }
            Self::NoFiles { ignored, .. } => format!(
                "{ignored} hidden file(s), whose names start with '.' or '_', were passed over; an empty side is given as a valid file without rows"
            ),
            Self::Url { .. } => "give a path, a glob in quotes, or a file:// URL".to_string(),
            Self::EmptyFile { .. } => "an upload that broke off leaves such a file: write it again, or leave it out on purpose".to_string(),
            Self::FormatUnknown { side, .. } => format!("say it with `--{side}-opt format=parquet` (or csv, json, ndjson, arrow, arrows)"),
            Self::FormatsMixed { .. } => "verify one format at a time, with a glob such as 'dir/*.parquet'".to_string(),
            Self::Unreadable { side, .. } => {
                format!(
                    "the file is damaged, incomplete or of another format: write it again, or say the format with `--{side}-opt format=…`"
                )
            }
            Self::SchemasDisagree { side, .. } => {
                format!(
                    "read the files apart with a glob, or write them with one schema; a text format takes `--{side}-opt columns=name:type`"
                )
            }
            Self::ColumnMissing { nearest, .. } => nearest.clone(),
            Self::NoKey { tried } => {
                format!("{tried} sets of columns were tried: name the key with `--key a,b`, or compare whole rows with `--keyless`")
            }
            Self::KeyNotSaid => "name the key with `--key a,b`, or compare whole rows with `--keyless`".to_string(),
            Self::NoSource { .. } => "give a path, a glob in quotes, or a file:// URL".to_string(),
            Self::SeveralTimes { .. } => "say which one with `--time COLUMN`".to_string(),
            Self::NoTime { .. } => "say it with `--time COLUMN`; a text column needs `--opt time_format=…` as well".to_string(),
            Self::ReadFailed { .. } => "nothing was judged on what could not be read: repair the source and run again".to_string(),
            Self::OutOfMemory { .. } => "raise `--memory`, or verify a shorter stretch with --from and --until".to_string(),
            Self::SpillFailed { .. } => {
                "free some space there, point TMPDIR at a directory with more of it, or raise `--memory` so that less is spilled"
                    .to_string()
            }
            Self::UnsafePlan { .. } | Self::Check { .. } | Self::Engine { .. } => {
                "this is a defect of gapless: please report it with the command that led here".to_string()
            }
            Self::Manifest { .. } => {
                "expected are lines as md5sum, sha256sum or b3sum write them: a hexadecimal digest, two spaces, a file name".to_string()
            }
            Self::Output { .. } => "choose a place that can be written to".to_string(),
            Self::Interrupted => "no report was written; run the same command again".to_string(),
        }
    }

    /// The exit code when nothing was judged because of this.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::ReadFailed { .. } | Self::OutOfMemory { .. } | Self::SpillFailed { .. } => 3,
            _ => 2,
        }
    }

    /// Wraps a failure of the query engine with what was being done.
    pub fn engine(what: impl Into<String>) -> impl FnOnce(DataFusionError) -> Self {
        let what = what.into();
        move |source| Self::Engine { what, source }
    }
}

/// `did you mean 'x'?`, or the list of what there is.
pub fn nearest(wanted: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let known: Vec<String> = known.into_iter().map(|name| name.as_ref().to_string()).collect();
    let mut ranked: Vec<(f64, &String)> = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    if let [first, rest @ ..] = ranked.as_slice() {
        let mut text = format!("did you mean '{}'", first.1);
        for (_, name) in rest.iter().take(2) {
            text.push_str(&format!(" or '{name}'"));
        }
        return text + "?";
    }
    let mut shown: Vec<String> = known.iter().take(12).cloned().collect();
    if known.len() > 12 {
        shown.push(format!("and {} more", known.len() - 12));
    }
    format!("there are: {}", shown.join(", "))
}

/// Words that say of what stands behind them that it is a secret, also as the end of a longer word: `aws_secret_access_key=…`.
const SECRETS: [&str; 14] = [
    "password",
    "passwd",
    "pwd",
    "token",
    "secret",
    "access_key",
    "accesskey",
    "accountkey",
    "signature",
    "sig",
    "apikey",
    "api_key",
    "credential",
    "sas",
];

/// The text without passwords and tokens: what stands before the `@` of a URL, what follows `Bearer`, and the values of parameters and
/// fields that are secrets by their names.
pub fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let word = &after[..after.find(|c: char| c.is_whitespace() || "'\"`<>".contains(c)).unwrap_or(after.len())];
        let end = word.find(['/', '?', '#']).unwrap_or(word.len());
        // A password may hold what ends an authority; a port may not hold what is no digit.
        let spills = word[..end].split_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.chars().all(|c| c.is_ascii_digit()));
        let authority = if spills { word } else { &word[..end] };
        match authority.rfind('@') {
            Some(at) => {
                out.push_str("***");
                rest = &after[at..];
            }
            None => {
                out.push_str(&word[..end]);
                rest = &after[end..];
            }
        }
    }
    out.push_str(rest);
    for name in SECRETS {
        let mut from = 0;
        while let Some(at) = find_word(&out, from, name) {
            from = at + name.len();
            if let Some((start, end)) = value_after(&out, from) {
                out.replace_range(start..end, "***");
                from = start + 3;
            }
        }
    }
    let mut from = 0;
    while let Some(at) = find_word(&out, from, "bearer ") {
        let start = at + "bearer ".len();
        let end = out[start..].find(|c: char| c.is_whitespace() || "'\"`,".contains(c)).map_or(out.len(), |end| start + end);
        out.replace_range(start..end, "***");
        from = start + 3;
    }
    out
}

/// Where a word of small ASCII letters stands, in whatever case.
fn find_word(text: &str, from: usize, word: &str) -> Option<usize> {
    // Lower case of ASCII keeps every byte at its place.
    text.get(from..)?.to_ascii_lowercase().find(word).map(|at| from + at)
}

/// The value behind the name that ends there: `=value`, ` = "value"`, `": "value"`.
fn value_after(text: &str, from: usize) -> Option<(usize, usize)> {
    let quoted_name = text[from..].starts_with(['"', '\'']);
    let rest = text[from..].trim_start_matches(['"', '\'']).trim_start();
    let rest = match rest.chars().next()? {
        '=' => &rest[1..],
        ':' if quoted_name => &rest[1..],
        _ => return None,
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c));
    let value = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
    let start = text.len() - value.len();
    let length = match quote {
        Some(quote) => value.find(quote),
        None => value.find(|c: char| c.is_whitespace() || "&'\"`,;)}".contains(c)),
    };
    let end = start + length.unwrap_or(value.len());
    (end > start).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn secrets_are_taken_out() {
        for (text, shown) in [
            ("s3://key:hunter2@bucket/orders/", "s3://***@bucket/orders/"),
            ("'postgres://u:p@w@host/db' and https://x/?Token=abc&y=1", "'postgres://***@host/db' and https://x/?Token=***&y=1"),
            ("file:///data/a@b/c.csv", "file:///data/a@b/c.csv"),
            ("nothing", "nothing"),
            ("s3://key:hun/ter2@bucket/orders/ and a@b", "s3://***@bucket/orders/ and a@b"),
            ("http://host:8080/a@b/c", "http://host:8080/a@b/c"),
            ("<a href=\"https://u:p@h/x\">", "<a href=\"https://***@h/x\">"),
            ("postgres://u:p@h/db?sslmode=require&password=p2", "postgres://***@h/db?sslmode=require&password=***"),
            ("X-Amz-Credential=AKIA&X-Amz-Signature=abc&X-Amz-Date=1", "X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=1"),
            ("3 | password = \"hunter 2\"\n  | ^^^", "3 | password = \"***\"\n  | ^^^"),
            ("{\"aws_secret_access_key\": \"hunter2\", \"x\": 1}", "{\"aws_secret_access_key\": \"***\", \"x\": 1}"),
            ("AccountKey=abc==;EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            ("unexpected token: 'x' is not known", "unexpected token: 'x' is not known"),
            ("password=", "password="),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
