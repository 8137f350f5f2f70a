//! The interactive shell: a line editor with history, and the same items as in a script.

use std::io::{self, Write};
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::error::ConsoleError;
use super::escape::{escape_lines, escape_text};
use super::output::Output;
use super::queries::READY_QUERIES;
use super::script::{self, Command, Item};
use super::tables::TABLES;
use super::{Console, Parameters};

const PROMPT: &str = "gapless> ";
const PROMPT_MORE: &str = "      -> ";
const PROMPT_OPEN: &str = "      '> ";

/// What `\?` shows.
pub(super) const HELP: &str = "\
SELECT … ;         ask the report; a statement may have several lines and ends with ;
@NAME [--P V …]    run a ready-made query, as in @worst_windows --stream orders --limit 5
\\l, \\list          the ready-made queries
\\d                 the tables
\\d NAME            the columns of a table; \\d @NAME the SQL of a ready-made query
\\x                 rows as records, one column a line, and back
\\format NAME       how rows are written: table, records, csv, json, jsonl
\\timing [on|off]   how long each answer took
\\?                 this help
\\q, Ctrl-D         leave; Ctrl-C drops what was typed, or stops a statement
$run in a statement is the latest run, unless said otherwise: WHERE run = $run
";

/// Reads and answers until the user leaves. An error is shown, and the shell goes on.
///
/// # Errors
/// When the terminal cannot be read, or nobody reads the output any more.
pub(super) async fn talk(console: &Console, output: &mut Output, given: &Parameters) -> Result<(), ConsoleError> {
    let unreadable = |error: ReadlineError| ConsoleError::Terminal { reason: error.to_string() };
    let config = Config::builder()
        .max_history_size(1_000)
        .map_err(unreadable)?
        // As in psql: what can follow is listed, and what all of it begins with is filled in.
        .completion_type(CompletionType::List)
        .build();
    let mut editor: Editor<Words, FileHistory> = Editor::with_config(config).map_err(unreadable)?;
    editor.set_helper(Some(Words::new()));
    let history = history_file();
    if let Some(path) = &history {
        // No history yet, or none that can be read: the shell is as good without.
        let _ = editor.load_history(path);
    }
    output.write_text(&console.greeting().await)?;

    let mut typed = String::new();
    loop {
        let prompt = match typed.as_str() {
            "" => PROMPT,
            typed if script::is_open(typed) => PROMPT_OPEN,
            _ => PROMPT_MORE,
        };
        match editor.readline(prompt) {
            Ok(line) => typed.push_str(&line),
            Err(ReadlineError::Interrupted) => {
                typed.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(unreadable(error)),
        }
        if !script::is_complete(&typed) {
            typed.push('\n');
            continue;
        }
        let entry = std::mem::take(&mut typed);
        if entry.trim().is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(entry.as_str());
        if let Some(path) = &history {
            // After each entry, so that a shell that is killed keeps what was asked.
            let _ = editor.append_history(path);
        }
        match answer(console, output, given, &entry).await {
            Ok(Turn::Next) => {}
            Ok(Turn::Leave) => break,
            Err(ConsoleError::OutputClosed) => return Err(ConsoleError::OutputClosed),
            Err(error) => complain(&error),
        }
    }
    Ok(())
}

enum Turn {
    Next,
    Leave,
}

async fn answer(console: &Console, output: &mut Output, given: &Parameters, entry: &str) -> Result<Turn, ConsoleError> {
    output.begin();
    for item in script::parse(entry)? {
        if item == Item::Command(Command::Quit) {
            return Ok(Turn::Leave);
        }
        tokio::select! {
            outcome = console.answer(&item, given, output) => outcome?,
            // Dropping the other branch drops the rows being read, which stops the engine.
            _ = tokio::signal::ctrl_c() => {
                output.write_text("stopped\n")?;
                return Ok(Turn::Next);
            }
        }
    }
    Ok(Turn::Next)
}

fn complain(error: &ConsoleError) {
    remark(&crate::error::redacted(&format!("error: {error}\nhelp: {}", error.help())));
}

/// Something beside the answers, on stderr.
pub(super) fn remark(text: &str) {
    // Nowhere left to say it if this fails.
    let _ = io::stderr().write_all(format!("{}\n", escape_lines(text)).as_bytes());
}

/// `gapless/sql_history` in the user's state directory (XDG Base Directory Specification), made when it is not there. None when there is
/// no such directory or it cannot be made.
fn history_file() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    let directory = state.join("gapless");
    std::fs::create_dir_all(&directory).ok()?;
    Some(directory.join("sql_history"))
}

/// What the Tab key completes: what can stand at this place.
struct Words {
    /// SQL, tables and columns.
    sql: Vec<String>,
    tables: Vec<String>,
    queries: Vec<String>,
}

const SQL_WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "JOIN",
    "LEFT JOIN",
    "USING",
    "DISTINCT",
    "COUNT",
    "BETWEEN",
    "EXPLAIN",
    "SHOW TABLES",
    "SHOW COLUMNS FROM",
    "DESCRIBE",
    "IS NOT NULL",
];

const COMMANDS: &[&str] = &["\\?", "\\d", "\\format", "\\l", "\\q", "\\timing", "\\x"];

impl Words {
    fn new() -> Self {
        let mut sql: Vec<String> = SQL_WORDS.iter().map(|word| (*word).to_owned()).collect();
        for table in TABLES {
            sql.push(table.name.to_owned());
            sql.extend(table.file_schema().fields().iter().map(|field| field.name().clone()));
        }
        sql.extend(["$run".to_owned(), "run".to_owned()]);
        sql.sort();
        sql.dedup();
        let mut tables: Vec<String> = TABLES.iter().map(|table| table.name.to_owned()).collect();
        tables.sort();
        let mut queries: Vec<String> = READY_QUERIES.iter().map(|query| format!("@{}", query.id)).collect();
        queries.sort();
        Self { sql, tables, queries }
    }

    /// What can stand after that text, and whether that is few enough to be listed before a letter of it is typed.
    fn after(&self, before: &str) -> (Vec<String>, bool) {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let line = before.trim_start();
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first == "\\d" {
            return ([self.tables.as_slice(), &self.queries].concat(), true);
        }
        if first == "\\format" {
            return (own(&["table", "records", "csv", "json", "jsonl"]), true);
        }
        if first == "\\timing" {
            return (own(&["on", "off"]), true);
        }
        if let Some(query) = first.strip_prefix('@') {
            let header = READY_QUERIES.iter().find(|ready| ready.id == query).and_then(|ready| ready.header().ok());
            let names = header.map(|header| header.parameters).unwrap_or_default().into_iter();
            return (names.map(|(name, _)| format!("--{name}")).filter(|flag| !line.contains(flag.as_str())).collect(), true);
        }
        let last = line.split_whitespace().next_back().unwrap_or_default().to_ascii_uppercase();
        match last.as_str() {
            "" => ([own(COMMANDS), self.queries.clone(), self.sql.clone()].concat(), false),
            "FROM" | "JOIN" | "DESCRIBE" => (self.tables.clone(), true),
            _ => (self.sql.clone(), false),
        }
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        let start = typed
            .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '@' | '$' | '\\' | '-' | '?')))
            .map_or(0, |at| at + typed[at..].chars().next().map_or(1, char::len_utf8));
        let (before, word) = typed.split_at(start);
        let (mut candidates, unprompted) = self.after(before);
        if word.is_empty() && !unprompted {
            return Ok((start, Vec::new()));
        }
        candidates.retain(|candidate| candidate.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)));
        Ok((start, candidates))
    }
}

impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

/// The line above the first prompt.
pub(super) fn greeting(runs: usize, report: &str, latest: Option<(String, String)>) -> String {
    let runs = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
    let latest = latest.map_or(String::new(), |(run, verdict)| format!(", the latest {}: {}", escape_text(&run), escape_text(&verdict)));
    format!("{runs} in {}{latest}\n\\? shows the commands, \\l the ready-made queries, \\q leaves\n", escape_text(report))
}
