//! The list of checks: one line each. The line makes the include, the registry and the tests.

use crate::domain::{Grain, Severity};
use crate::job::SqlHeader;

/// A check: its file, taken apart.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of the header, documented in queries/AUTHORING.md")]
pub struct Check {
    pub id: &'static str,
    pub family: &'static str,
    pub summary: String,
    pub why: String,
    pub grain: Grain,
    pub severity: Severity,
    pub repair: String,
    pub reads: Vec<String>,
    pub message: String,
    pub sql: String,
}

/// Header fields that every check has.
pub const REQUIRED: [&str; 8] = ["id", "summary", "why", "grain", "severity", "repair", "reads", "message"];

macro_rules! checks {
    ($($family:literal / $id:literal),* $(,)?) => {
        /// Family, id and text of every check, in the order in which they run and are shown.
        pub const FILES: &[(&str, &str, &str)] = &[
            $(($family, $id, include_str!(concat!("../../queries/", $family, "/", $id, ".sql")))),*
        ];
    };
}

checks! {
    "schema" / "missing_column",
    "schema" / "unexpected_column",
    "schema" / "column_type_mismatch",
    "schema" / "column_converted",
    "continuity" / "gap",
    "continuity" / "low_window",
    "continuity" / "sequence_gap",
    "continuity" / "sequence_duplicate",
    "continuity" / "sequence_regression",
    "continuity" / "sequence_reset",
    "continuity" / "sequence_invalid",
    "continuity" / "short_window",
    "continuity" / "missing_series",
    "continuity" / "unexpected_series",
    "continuity" / "row_outside_bounds",
    "continuity" / "bounds_inferred",
    "continuity" / "seam_gap",
    "continuity" / "seam_overlap",
    "continuity" / "outage_open",
    "continuity" / "row_outside_outage",
    "continuity" / "null_time",
    "continuity" / "late_row",
    "continuity" / "cadence_learned",
    "continuity" / "cadence_changed",
    "continuity" / "window_pending",
    "keys" / "missing_key",
    "keys" / "unexpected_key",
    "keys" / "duplicate_key",
    "keys" / "null_key",
    "keys" / "missing_row",
    "keys" / "unexpected_row",
    "values" / "local_time",
    "values" / "value_mismatch",
    "digests" / "digest_mismatch",
    "digests" / "manifest_mismatch",
    "rules" / "rule",
    "rules" / "rule_unknown",
    "housekeeping" / "stale_accept",
    "housekeeping" / "expired_accept",
}

/// All checks, taken apart.
pub fn all() -> Vec<Check> {
    FILES
        .iter()
        .map(|(family, id, text)| {
            let header = SqlHeader::parse(text);
            let field = |name: &str| header.get(name).unwrap_or_default().to_string();
            Check {
                id,
                family,
                summary: field("summary"),
                why: field("why"),
                grain: Grain::parse(&field("grain")).unwrap_or(Grain::Stream),
                severity: Severity::parse(&field("severity")).unwrap_or(Severity::Error),
                repair: field("repair"),
                reads: field("reads").split(',').map(|name| name.trim().to_string()).collect(),
                message: field("message"),
                sql: header.body().to_string(),
            }
        })
        .collect()
}

/// One check by its id.
pub fn find(id: &str) -> Option<Check> {
    all().into_iter().find(|check| check.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_valid_header() {
        for (family, id, text) in FILES {
            let header = SqlHeader::parse(text);
            for name in REQUIRED {
                assert!(header.get(name).is_some_and(|value| !value.is_empty()), "{family}/{id}.sql lacks '-- {name}:'");
            }
            for name in header.names() {
                assert!(REQUIRED.contains(&name), "{family}/{id}.sql: the field '{name}' is not known");
            }
            assert_eq!(header.get("id"), Some(*id));
            assert!(header.get("grain").and_then(Grain::parse).is_some(), "{id}: grain");
            assert!(header.get("severity").and_then(Severity::parse).is_some(), "{id}: severity");
            assert!(!header.body().is_empty(), "{id}: no SQL");
        }
    }

    #[test]
    fn every_file_in_the_folder_is_listed() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
        let mut found = 0;
        for family in std::fs::read_dir(root).unwrap() {
            let family = family.unwrap();
            if !family.path().is_dir() || family.file_name() == "report" {
                continue;
            }
            for file in std::fs::read_dir(family.path()).unwrap() {
                let path = file.unwrap().path();
                let id = path.file_stem().unwrap().to_string_lossy().into_owned();
                assert!(FILES.iter().any(|(f, i, _)| *i == id && family.file_name() == *f), "{} is not listed", path.display());
                found += 1;
            }
        }
        assert_eq!(found, FILES.len());
    }

    #[test]
    fn ids_are_unique() {
        let mut ids: Vec<&str> = FILES.iter().map(|(_, id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), FILES.len());
    }
}
