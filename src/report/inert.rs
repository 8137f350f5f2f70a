//! What comes from data, made harmless in each place where it can be shown.
//!
//! A value may hold anything: markup, quotes, terminal escapes, characters that turn the direction of writing, the beginning of a
//! formula or of a command. Each function here speaks of one place and returns text that is only ever text in it. No format
//! writes a value without going through one of them.

use std::fmt::Write as _;

/// Characters that are not seen, or that change how their neighbours are.
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

/// For a terminal: control characters, and those that turn the direction of writing, are shown as escapes.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unseen(character) {
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Like [`plain`], but lines stay lines, and none of them is a command of a CI system.
pub(crate) fn plain_lines(text: &str) -> String {
    text.lines().map(|line| log_line(&plain(line))).collect::<Vec<_>>().join("\n")
}

/// A line of a log: what a CI system would take for a command of its own is no longer one.
pub(super) fn log_line(line: &str) -> String {
    let trimmed = line.trim_start();
    match trimmed.starts_with("::") || trimmed.starts_with("##[") || trimmed.starts_with("##vso[") {
        true => format!("{}\\{trimmed}", &line[..line.len() - trimmed.len()]),
        false => line.to_string(),
    }
}

/// JSON as it was serialised, with everything unseen as `\u` escapes: the same values, and safe on a terminal.
pub(super) fn json(serialised: &str) -> String {
    let mut out = String::with_capacity(serialised.len());
    let mut units = [0; 2];
    for character in serialised.chars() {
        // Line ends stand between the tokens; inside of text the serialiser has escaped them already.
        if is_unseen(character) && character != '\n' {
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// HTML, in an element or in an attribute between quotes. Braces are written as entities too, for whoever runs pages through a template.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for character in plain(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '`' => out.push_str("&#96;"),
            '{' => out.push_str("&#123;"),
            '}' => out.push_str("&#125;"),
            other => out.push(other),
        }
    }
    out
}

/// XML 1.0, in an element or in an attribute between quotes.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for character in plain(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A CSV cell as a spreadsheet may open it: nothing in it is a formula, and it is one line. A cell that could begin a formula has
/// an apostrophe in front.
pub(super) fn csv_cell(text: &str) -> String {
    let begins = |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    // A spreadsheet may cut at a semicolon or a tab instead, and passes over blanks: what follows must not be a formula either.
    let shown = plain(text);
    let first = text.trim_start_matches([' ', '\u{a0}', '\u{3000}', '"', '\'']).starts_with(begins) || text.starts_with(begins);
    let mut out = String::with_capacity(shown.len() + 1);
    if first {
        out.push('\'');
    }
    let mut after_cut = false;
    for character in shown.chars() {
        if after_cut && begins(character) {
            out.push('\'');
        }
        after_cut = character == ';' || after_cut && (character.is_whitespace() || character == '"');
        out.push(character);
    }
    quoted_csv(&out)
}

/// A CSV cell as it is, quoted where RFC 4180 asks for it.
pub(super) fn quoted_csv(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\n', '\r', ';', '\'']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_string()
    }
}

/// Markdown: a code span, in which nothing is markup, a mention or a link. Also inside a table.
pub(super) fn code_span(text: &str) -> String {
    let shown = plain(text).replace('|', "\\|");
    if shown.trim().is_empty() {
        return if shown.is_empty() { "*empty*".to_string() } else { format!("*{} blanks*", shown.chars().count()) };
    }
    let fence = "`".repeat(longest_run(&shown) + 1);
    let edge = shown.starts_with(['`', ' ']) || shown.ends_with(['`', ' ', '\\']);
    let pad = if edge { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// Markdown: words of our own that may hold names from data. Plain where nothing in them could be markup, else a code span.
pub(super) fn markdown_words(text: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || " ,.;%()/".contains(c);
    let shown = plain(text);
    let link = shown.contains("www.") || shown.contains("://");
    let item = shown.starts_with(|c: char| c.is_ascii_digit()) && shown.contains(". ");
    if !shown.is_empty() && shown.chars().all(safe) && !link && !item { shown } else { code_span(&shown) }
}

/// Markdown: lines in a fenced block.
pub(super) fn fenced<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<String> = lines.map(plain).collect();
    let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", lines.join("\n"))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// The data of a GitHub workflow command. Line ends of our own stay line ends there.
pub(super) fn command_data(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(plain).collect();
    lines.join("\n").replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a GitHub workflow command.
pub(super) fn command_property(text: &str) -> String {
    plain(text).replace('%', "%25").replace(':', "%3A").replace(',', "%2C")
}

/// The value of a Prometheus label.
pub(super) fn label(text: &str) -> String {
    // Escapes of unseen characters are text by now, so their backslashes are doubled like any other.
    plain(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_own_dangers() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\u{9b}"), "a\\u{1b}[31mb\\u{202e}c\\u{9b}");
        assert_eq!(html("<b a='\"'>{{7*7}}&"), "&lt;b a=&#39;&quot;&#39;&gt;&#123;&#123;7*7&#125;&#125;&amp;");
        assert_eq!(xml("]]>\u{0}\u{ffff}"), "]]&gt;\\u{0}\\u{ffff}");
        assert_eq!(json("\"\u{9b}\u{202e}\u{e0001}\""), "\"\\u009b\\u202e\\udb40\\udc01\"");
        for (text, cell) in [
            ("=cmd()", "\"'=cmd()\""),
            ("-13", "\"'-13\""),
            ("@x", "\"'@x\""),
            ("+1", "\"'+1\""),
            ("\t=1", "\"'\\t=1\""),
            ("\rx", "\"'\\rx\""),
            (" =1", "\"' =1\""),
            ("＝1", "\"'＝1\""),
            ("a;=1", "\"a;'=1\""),
            ("a=1", "a=1"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("", "\"\""),
        ] {
            assert_eq!(csv_cell(text), cell, "{text:?}");
        }
        assert_eq!(code_span("a`b|c"), "``a`b\\|c``");
        assert_eq!(code_span("`"), "`` ` ``");
        assert_eq!(markdown_words("2 gaps, 1 missing key"), "2 gaps, 1 missing key");
        assert_eq!(markdown_words("<b>"), "`<b>`");
        assert_eq!(markdown_words("@team"), "`@team`");
        assert_eq!(fenced(["```", "x"].into_iter()), "````text\n```\nx\n````\n");
        assert_eq!(command_data("50%\n::error::x"), "50%25%0A::error::x");
        assert_eq!(command_property("a,b:c%"), "a%2Cb%3Ac%25");
        assert_eq!(label("a\"b\\\n"), "a\\\"b\\\\\\\\n");
        assert_eq!(log_line("  ::error::x"), "  \\::error::x");
        assert_eq!(log_line("  fine"), "  fine");
    }
}
