//! Values come from data, and data is not to be trusted with a terminal.
//!
//! A value may hold an escape sequence that recolours the screen, moves the cursor over the verdict, sets the window title or answers
//! as if typed; or a bidirectional override that shows text in another order than it has. So no such character reaches a
//! terminal: it is written out instead.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character acts on the terminal, or on the order of what is shown, rather than being shown.
pub(super) fn is_active(c: char) -> bool {
    c.is_control() // C0, DEL and C1
        || matches!(c,
            '\u{200b}'..='\u{200f}' // zero width, direction marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, isolates
            | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}') // tags: invisible copies of ASCII
}

/// The text with every active character written out: `\n`, `\r`, `\t`, `\x1b`, `\u{202e}`. One line, whatever went in.
pub(super) fn escape_text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if is_active(c) => {
                let code = u32::from(c);
                // Writing to a String cannot fail.
                let _ = if code < 0x80 { write!(escaped, "\\x{code:02x}") } else { write!(escaped, "\\u{{{code:x}}}") };
            }
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// The text of a cell that a spreadsheet may open: one line, nothing active, and no formula. One that could begin a formula has an apostrophe
/// in front; so has what follows a semicolon, where some spreadsheets cut.
pub(super) fn escape_formula(text: &str) -> String {
    let begins = |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠');
    let blank = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{3000}' | '"' | '\'');
    let mut escaped = String::with_capacity(text.len() + 1);
    if text.starts_with(begins) || text.trim_start_matches(blank).starts_with(begins) {
        escaped.push('\'');
    }
    let mut after_cut = false;
    for c in text.chars() {
        if after_cut && begins(c) {
            escaped.push('\'');
        }
        after_cut = matches!(c, ';' | '\t') || (after_cut && blank(c));
        escaped.push_str(&escape_text(c.encode_utf8(&mut [0; 4])));
    }
    escaped
}

/// The text with every active character but the line break written out: for texts of our own that have several lines.
pub(super) fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape_text).collect::<Vec<_>>().join("\n")
}

/// JSON with every active character as `\uXXXX`, which reads back as the same value.
///
/// Shape: complete JSON values; the line breaks between them stay.
pub(super) fn escape_json(json: &str) -> Cow<'_, str> {
    let is_raw = |c: char| c != '\n' && is_active(c);
    if !json.chars().any(is_raw) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if is_raw(c) {
            let mut units = [0_u16; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::{escape_formula, escape_json, escape_lines, escape_text};

    #[test]
    fn no_cell_is_a_formula() {
        for (text, cell) in [
            ("=cmd()", "'=cmd()"),
            ("-13", "'-13"),
            ("@x", "'@x"),
            ("\t=1", "'\\t'=1"),
            (" =1", "' =1"),
            ("＝1", "'＝1"),
            ("a;=1", "a;'=1"),
            ("a; =1", "a; '=1"),
            ("a=1", "a=1"),
            ("2024-05-06", "2024-05-06"),
            ("", ""),
        ] {
            assert_eq!(escape_formula(text), cell, "{text:?}");
        }
    }

    #[test]
    fn nothing_active_gets_through() {
        assert_eq!(escape_text("plain ü 日本 a\\n"), "plain ü 日本 a\\n");
        assert_eq!(escape_text("\u{1b}[31mred\u{7}\r\n\t"), "\\x1b[31mred\\x07\\r\\n\\t");
        assert_eq!(escape_text("\u{9b}2J\u{202e}x\u{7f}"), "\\u{9b}2J\\u{202e}x\\x7f");
        assert_eq!(escape_lines("a\n\u{1b}b"), "a\n\\x1bb");
    }

    #[test]
    fn escaped_json_reads_back_as_the_same_value() {
        let raw = "{\"a\":\"\u{9b}\u{7f}\u{202e}\u{e0041}é\"}\n";
        let escaped = escape_json(raw);
        assert!(escaped.is_char_boundary(0) && !escaped.contains('\u{9b}') && !escaped.contains('\u{e0041}'));
        let before: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
        let after: serde_json::Value = serde_json::from_str(&escaped).unwrap_or_default();
        assert!(before.is_object());
        assert_eq!(before, after);
    }
}
