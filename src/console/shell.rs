//! The interactive shell: a line editor with history, and the same items as in a script.

use std::io::{self, Write};
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, Helper};

use super::error::ConsoleError;
use super::escape::escape_text;
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
@NAME [P=V …]      run a ready-made query, as in @latest_findings limit=5
\\l, \\list          the ready-made queries
\\d                 the tables
\\d NAME            the columns of a table
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
    let config = Config::builder().max_history_size(1_000).map_err(unreadable)?.build();
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
    let text = format!("error: {error}\nhelp: {}\n", error.help());
    // Nowhere left to say it if this fails.
    let _ = io::stderr().write_all(text.as_bytes());
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

/// What the Tab key completes: tables, columns, ready-made queries, commands, and the words of a query.
struct Words {
    words: Vec<String>,
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

impl Words {
    fn new() -> Self {
        let mut words: Vec<String> = SQL_WORDS.iter().map(|word| (*word).to_owned()).collect();
        words.extend(READY_QUERIES.iter().map(|query| format!("@{}", query.id)));
        for table in TABLES {
            words.push(table.name.to_owned());
            words.extend(table.file_schema().fields().iter().map(|field| field.name().clone()));
        }
        words.push("$run".to_owned());
        words.push("run".to_owned());
        words.sort();
        words.dedup();
        Self { words }
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..position];
        let start = before
            .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '@' | '$')))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = &before[start..];
        if word.is_empty() {
            return Ok((start, Vec::new()));
        }
        let begins = |candidate: &&String| candidate.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        Ok((start, self.words.iter().filter(begins).cloned().collect()))
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
