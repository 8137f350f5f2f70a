//! docs/checks.md is made from the headers of the queries: this holds it to them.

use std::fmt::Write as _;

use gapless::checks::catalogue;

use super::outside::repository;

fn page() -> String {
    let mut page = "# Checks\n\nEvery check of gapless, as `gapless checks explain ID` tells it. This page is made from the headers of the queries in `queries/`; \
        `UPDATE_DOCS=1 cargo test checks_page` writes it anew.\n\nA severity can be changed for each check in a [job](job.md#severities-severity); where a check has kinds, \
        [the report](report.md#checks) says what each weighs.\n"
        .to_string();
    let mut family = "";
    for check in catalogue::all() {
        if check.family != family {
            family = check.family;
            let _ = write!(page, "\n## {}{}\n", family[..1].to_uppercase(), &family[1..]);
        }
        let sentence = |text: &str| if text.ends_with('.') { text.to_string() } else { format!("{text}.") };
        let first: String = check.summary.chars().take(1).flat_map(char::to_uppercase).chain(check.summary.chars().skip(1)).collect();
        let _ = write!(
            page,
            "\n### {}\n\n{} {}\n\n* Severity: {}\n* About: {}\n* What to do: {}\n",
            check.id,
            sentence(&first),
            sentence(&check.why),
            check.severity,
            check.grain.as_str(),
            sentence(&check.repair)
        );
    }
    page
}

#[test]
fn the_page_of_checks_is_current() {
    let path = repository().join("docs/checks.md");
    let expected = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == expected, "docs/checks.md is not what the queries say: `UPDATE_DOCS=1 cargo test checks_page` writes it anew");
}
