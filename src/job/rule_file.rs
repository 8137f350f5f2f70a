//! Rules as files: a header as our own checks have, and one boolean SQL expression.

use std::path::Path;

use super::{Rule, SqlHeader};
use crate::domain::{Severity, Side};
use crate::error::{Error, Result, redacted};

const KNOWN: [&str; 6] = ["id", "summary", "why", "severity", "side", "repair"];

/// Reads every `.sql` file of a directory, in the order of their names.
pub(super) fn read_rules(directory: &Path) -> Result<Vec<Rule>> {
    let failed = |path: &Path, problem: String| Error::RuleFile { path: path.display().to_string(), problem };
    let entries = std::fs::read_dir(directory).map_err(|e| failed(directory, e.to_string()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| failed(directory, e.to_string()))?.path();
        if path.extension().is_some_and(|suffix| suffix == "sql") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(failed(directory, "the directory holds no .sql file".to_string()));
    }
    paths.sort();
    let mut rules = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, e.to_string()))?;
        let header = SqlHeader::parse(&text);
        if let Some(name) = header.names().find(|name| !KNOWN.contains(name)) {
            return Err(failed(&path, format!("the header field '{name}' is not known; there are: {}", KNOWN.join(", "))));
        }
        let required =
            |name: &str| header.get(name).map(str::to_string).ok_or_else(|| failed(&path, format!("the header lacks '-- {name}: …'")));
        let severity = match header.get("severity") {
            None => Severity::Error,
            Some(word) => {
                Severity::parse(word).ok_or_else(|| failed(&path, format!("severity '{word}' is not one of error, warn, info")))?
            }
        };
        let side = match header.get("side") {
            None | Some("both") => None,
            Some("original") => Some(Side::Original),
            Some("backfill") => Some(Side::Backfill),
            Some(word) => return Err(failed(&path, format!("side '{word}' is not one of original, backfill, both"))),
        };
        required("summary")?;
        if header.body().is_empty() {
            return Err(failed(&path, "there is no expression below the header".to_string()));
        }
        rules.push(Rule {
            name: redacted(&required("id")?),
            assert: header.body().to_string(),
            severity,
            side,
            place: path.display().to_string(),
        });
    }
    Ok(rules)
}
