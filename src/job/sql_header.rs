//! The header of comments that a check or a rule file starts with: `-- name: value`, one a line, continued by `--   text`.

use std::collections::BTreeMap;

/// A file of SQL: its header and what follows.
#[derive(Debug, Clone)]
pub struct SqlHeader {
    fields: BTreeMap<String, String>,
    body: String,
}

impl SqlHeader {
    /// Splits a file into header and body. Comments below the first line that is not one belong to the body.
    pub fn parse(text: &str) -> Self {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut last: Option<String> = None;
        let mut body = String::new();
        let mut in_header = true;
        for line in text.lines() {
            let Some(comment) = line.strip_prefix("--").filter(|_| in_header) else {
                in_header = in_header && line.trim().is_empty();
                if !in_header {
                    body.push_str(line);
                    body.push('\n');
                }
                continue;
            };
            let named = comment.split_once(':').filter(|(name, _)| {
                let name = name.strip_prefix(' ').unwrap_or(name);
                !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            });
            match (named, &last) {
                (Some((name, value)), _) => {
                    fields.insert(name.trim().to_string(), value.trim().to_string());
                    last = Some(name.trim().to_string());
                }
                (None, Some(name)) => {
                    if let Some(value) = fields.get_mut(name) {
                        value.push(' ');
                        value.push_str(comment.trim());
                    }
                }
                (None, None) => {}
            }
        }
        Self { fields, body: body.trim().trim_end_matches(';').to_string() }
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The names of the fields there are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// The SQL, without a closing semicolon.
    pub fn body(&self) -> &str {
        &self.body
    }
}
