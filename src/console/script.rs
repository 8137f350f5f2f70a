//! A script: statements that end with `;`, and lines that start with `@` (a ready-made query) or `\` (a command).
//!
//! Reading it is one pass over the characters that knows what may hold a `;` without ending a statement: quoted text, quoted names,
//! comments, and dollar quotes. The SQL itself is left to the parser.

use super::error::ConsoleError;
use super::output::Format;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A SQL statement, without its `;`.
    Sql(String),
    /// `@name parameter=value …`, or `@name --parameter value …`.
    Ready {
        /// The name, without `@`.
        name: String,
        /// The parameters in the order given.
        parameters: Vec<(String, String)>,
    },
    /// A backslash command.
    Command(Command),
}

/// What a backslash command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// `\d`: the tables.
    Tables,
    /// `\d NAME`: the columns of a table, or the text of a ready-made query.
    Describe(String),
    /// `\l`, `\list`: the ready-made queries.
    List,
    /// `\timing [on|off]`: whether the time of each answer is said; without a word the other way round.
    Timing(Option<bool>),
    /// `\format NAME`: how rows are written.
    Format(Format),
    /// `\x`: records instead of a table, and back.
    Records,
    /// `\?`: the commands.
    Help,
    /// `\q`: the end.
    Quit,
}

impl Item {
    /// Whether the item gives rows.
    pub(super) fn gives_rows(&self) -> bool {
        match self {
            Self::Sql(_) | Self::Ready { .. } => true,
            Self::Command(command) => match command {
                Command::Tables | Command::List => true,
                Command::Describe(name) => !name.starts_with('@'),
                Command::Timing(_) | Command::Format(_) | Command::Records | Command::Help | Command::Quit => false,
            },
        }
    }
}

/// Where the text that starts at a statement's first character ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// At the byte of a `;`.
    Semicolon(usize),
    /// The text ends before the statement does; `open` when inside a quote or a comment.
    Text {
        /// Whether a quote or a comment is still open.
        open: bool,
    },
}

/// The items of a script in order. The last statement needs no `;`.
///
/// # Errors
/// When a line that starts with `@` or `\` is not understood.
pub(super) fn parse(script: &str) -> Result<Vec<Item>, ConsoleError> {
    let mut items = Vec::new();
    let mut rest = script;
    loop {
        rest = skip_blank(rest);
        if rest.is_empty() {
            return Ok(items);
        }
        if rest.starts_with(['@', '\\']) {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            items.push(parse_line(line)?);
            rest = after;
            continue;
        }
        let (statement, after) = match statement_end(rest) {
            End::Semicolon(at) => (&rest[..at], &rest[at + 1..]),
            End::Text { .. } => (rest, ""),
        };
        items.push(Item::Sql(statement.trim_end().to_owned()));
        rest = after;
    }
}

/// Whether what was typed so far can run: a line with `@` or `\`, or statements of which the last has its `;`.
pub(super) fn is_complete(typed: &str) -> bool {
    let mut rest = typed;
    loop {
        rest = skip_blank(rest);
        if rest.is_empty() {
            return true;
        }
        if rest.starts_with(['@', '\\']) {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        match statement_end(rest) {
            End::Semicolon(at) => rest = &rest[at + 1..],
            End::Text { .. } => return false,
        }
    }
}

/// Whether what was typed so far ends inside a quote or a comment.
pub(super) fn is_open(typed: &str) -> bool {
    let mut rest = typed;
    loop {
        rest = skip_blank(rest);
        match statement_end(rest) {
            End::Semicolon(at) => rest = &rest[at + 1..],
            End::Text { open } => return open,
        }
    }
}

/// Parameters: `name=value`, `--name=value` or `--name value`.
///
/// # Errors
/// When a word is none of these.
pub(super) fn parse_parameters(words: &[String]) -> Result<Vec<(String, String)>, ConsoleError> {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut parameters = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let bad = || ConsoleError::BadParameter { word: word.clone() };
        let (name, value) = match (word.strip_prefix("--"), word.split_once('=')) {
            (Some(flag), None) => (flag.replace('-', "_"), words.next().ok_or_else(bad)?.clone()),
            (Some(_), Some((flag, value))) => (flag[2..].replace('-', "_"), value.to_owned()),
            (None, Some((name, value))) => (name.to_owned(), value.to_owned()),
            (None, None) => return Err(bad()),
        };
        if !is_name(&name) {
            return Err(bad());
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

fn parse_line(line: &str) -> Result<Item, ConsoleError> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let words = split_words(line);
    let (first, arguments) = match words.split_first() {
        Some((first, arguments)) => (first.as_str(), arguments),
        None => ("", [].as_slice()),
    };
    if let Some(name) = first.strip_prefix('@') {
        return Ok(Item::Ready { name: name.to_owned(), parameters: parse_parameters(arguments)? });
    }
    let switch = |word: &str| match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(ConsoleError::UnknownCommand { command: line.to_owned() }),
    };
    let command = match (first, arguments) {
        ("\\d" | "\\dt", []) => Command::Tables,
        ("\\d", [name]) => Command::Describe(name.clone()),
        ("\\timing", []) => Command::Timing(None),
        ("\\timing", [word]) => Command::Timing(Some(switch(word)?)),
        ("\\format", [name]) => Command::Format(Format::of_the_shell(name)?),
        ("\\x", []) => Command::Records,
        ("\\l" | "\\list", []) => Command::List,
        ("\\?" | "\\h" | "\\help", []) => Command::Help,
        ("\\q" | "\\quit", []) => Command::Quit,
        _ => {
            return Err(ConsoleError::UnknownCommand { command: line.to_owned() });
        }
    };
    Ok(Item::Command(command))
}

/// Words between spaces; single or double quotes keep spaces within a word, as in `stream='new york'`.
fn split_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_word = false;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => word.push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                in_word = true;
            }
            None if c.is_whitespace() => {
                if in_word {
                    words.push(std::mem::take(&mut word));
                }
                in_word = false;
            }
            None => {
                word.push(c);
                in_word = true;
            }
        }
    }
    if in_word {
        words.push(word);
    }
    words
}

/// The text without the space, comments and empty statements it starts with.
fn skip_blank(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == '\u{feff}');
        if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with("/*") {
            match comment_end(rest) {
                Some(end) => rest = &rest[end..],
                None => return rest,
            }
        } else {
            return rest;
        }
    }
}

/// The byte after the comment that the text starts with; comments nest. None when it does not end.
fn comment_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    None
}

/// Where the statement that the text starts with ends. Everything looked for is ASCII, so bytes are enough.
fn statement_end(text: &str) -> End {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        at = match bytes[at] {
            b';' => return End::Semicolon(at),
            quote @ (b'\'' | b'"') => {
                let escapes = quote == b'\'' && is_escape_prefix(bytes, at);
                match quote_end(bytes, at + 1, quote, escapes) {
                    Some(end) => end,
                    None => return End::Text { open: true },
                }
            }
            b'-' if rest.starts_with("--") => match rest.find('\n') {
                Some(end) => at + end + 1,
                None => return End::Text { open: false },
            },
            b'/' if rest.starts_with("/*") => match comment_end(rest) {
                Some(end) => at + end,
                None => return End::Text { open: true },
            },
            b'$' => match dollar_quote(rest) {
                Some(tag) => match rest[tag.len()..].find(tag) {
                    Some(end) => at + tag.len() + end + tag.len(),
                    None => return End::Text { open: true },
                },
                // A parameter: past its name, so that `$a$` later in `$a$b` is not taken for a quote.
                None => at + 1 + rest[1..].bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count(),
            },
            // Past the whole character: a `str` is only cut between characters.
            _ => at + rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    End::Text { open: false }
}

/// `$$` or `$tag$` at the start of the text.
fn dollar_quote(text: &str) -> Option<&str> {
    let name = text[1..].bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    (text.as_bytes().get(1 + name) == Some(&b'$')).then(|| &text[..name + 2])
}

/// Whether the quote at `at` opens an `E'…'`, in which a backslash escapes the next character.
fn is_escape_prefix(bytes: &[u8], at: usize) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    at >= 1 && matches!(bytes[at - 1], b'e' | b'E') && (at < 2 || !is_word(bytes[at - 2]))
}

/// The byte after the closing quote; a doubled quote does not close.
fn quote_end(bytes: &[u8], from: usize, quote: u8, escapes: bool) -> Option<usize> {
    let mut at = from;
    while at < bytes.len() {
        if escapes && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Command, Item, is_complete, is_open, parse};

    fn statements(script: &str) -> Vec<String> {
        match parse(script) {
            Ok(items) => items.into_iter().map(|item| format!("{item:?}")).collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    fn sql(text: &str) -> String {
        format!("{:?}", Item::Sql(text.to_owned()))
    }

    #[test]
    fn a_semicolon_inside_something_does_not_end_a_statement() {
        for inside in ["'a;b'", "'it''s;'", "\"a;b\"", "/* ; /* ; */ ; */ 1", "1 -- ;\n", "$$;$$", "$t$;$$;$t$", "E'\\';'", "'é;日'"] {
            let statement = format!("SELECT {inside}");
            assert_eq!(statements(&format!("{statement}; SELECT 2")), [sql(statement.trim_end()), sql("SELECT 2")], "{inside}");
        }
        assert_eq!(statements("SELECT $a; SELECT $b"), [sql("SELECT $a"), sql("SELECT $b")]);
        assert_eq!(statements("SELECT name'a;b'"), [sql("SELECT name'a;b'")]);
    }

    #[test]
    fn blank_statements_and_comments_vanish() {
        assert_eq!(statements(" ;; -- nothing\n/* at */ ; SELECT 1 ;\n; -- end"), [sql("SELECT 1")]);
        assert!(statements("-- nothing").is_empty());
    }

    #[test]
    fn lines_of_our_own_stand_between_statements() {
        let items = parse("\\d findings\n@worst_windows limit=5 note='a b';\nSELECT 1;\n\\q").unwrap_or_default();
        assert_eq!(
            items,
            [
                Item::Command(Command::Describe("findings".to_owned())),
                Item::Ready {
                    name: "worst_windows".to_owned(),
                    parameters: vec![("limit".to_owned(), "5".to_owned()), ("note".to_owned(), "a b".to_owned())],
                },
                Item::Sql("SELECT 1".to_owned()),
                Item::Command(Command::Quit),
            ]
        );
        assert_eq!(statements("\\y"), ["there is no command `\\y`"]);
        assert_eq!(statements("\\timing maybe"), ["there is no command `\\timing maybe`"]);
        assert_eq!(statements("\\format parquet"), ["`parquet` is no way to show rows here"]);
        assert_eq!(parse("@q --a 1 --b-c=2 d=3").unwrap_or_default(), parse("@q a=1 b_c=2 d=3").unwrap_or_default());
        assert_eq!(statements("@q --a"), ["`--a` is not a parameter of the form NAME=VALUE"]);
        assert_eq!(statements("@runs five"), ["`five` is not a parameter of the form NAME=VALUE"]);
    }

    #[test]
    fn typing_goes_on_until_the_semicolon() {
        for complete in ["", "SELECT 1;", "\\d", "@runs", "SELECT 1; -- done", "SELECT ';';"] {
            assert!(is_complete(complete), "{complete}");
        }
        for incomplete in ["SELECT", "SELECT ';", "SELECT 1; SELECT", "SELECT 1 -- ;", "/* ;"] {
            assert!(!is_complete(incomplete), "{incomplete}");
        }
        assert!(is_open("SELECT 'a\n") && is_open("SELECT 1; SELECT \"") && is_open("/* "));
        assert!(!is_open("SELECT 1\n") && !is_open("SELECT 1;"));
    }
}
