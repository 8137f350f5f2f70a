//! The pages of docs/ that walk through a task, taken at their word: in an empty directory every file of a page is written and every command of it
//! is typed, in order, and what comes is what the page shows.
//!
//! A block whose fence names a file after the language is that file. A block of the language `console` is a session: a line after `$ ` is
//! typed (lines after `> ` belong to it), the lines below are what came. In what came `…` stands for any text, on a line of its own for
//! any lines. Blocks of other languages are shown only.

use std::path::Path;
use std::process::Command;

use super::outside::repository;
use super::support::Case;

enum Piece {
    File(String, String),
    /// What is typed, and what comes.
    Typed(String, Vec<String>),
}

fn pieces(page: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```").filter(|fence| !fence.is_empty()) else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match fence.split_once(' ') {
            Some((_, name)) => found.push(Piece::File(name.to_string(), body.join("\n") + "\n")),
            None if fence == "console" => {
                for line in body {
                    if let Some(typed) = line.strip_prefix("$ ") {
                        found.push(Piece::Typed(typed.to_string(), Vec::new()));
                    } else if let (Some(more), Some(Piece::Typed(typed, came))) = (line.strip_prefix('>'), found.last_mut())
                        && came.is_empty()
                    {
                        typed.push('\n');
                        typed.push_str(more.strip_prefix(' ').unwrap_or(more));
                    } else if let Some(Piece::Typed(_, came)) = found.last_mut() {
                        came.push(line.to_string());
                    }
                }
            }
            None => {}
        }
    }
    found
}

/// Whether a line is what the page shows of it.
fn shows(shown: &str, line: &str) -> bool {
    let mut rest = line;
    let parts: Vec<&str> = shown.split('…').collect();
    for (at, part) in parts.iter().enumerate() {
        let found = if at == 0 {
            rest.starts_with(part).then_some(0)
        } else if at + 1 == parts.len() {
            rest.ends_with(part).then(|| rest.len() - part.len())
        } else {
            rest.find(part)
        };
        match found {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    parts.len() > 1 || rest.is_empty()
}

/// Whether what came is what the page shows: `…` on a line of its own is any lines.
fn is_shown(shown: &[String], came: &[&str]) -> bool {
    match shown.split_first() {
        None => came.is_empty(),
        Some((line, rest)) if line.trim() == "…" => (0..=came.len()).any(|skipped| is_shown(rest, &came[skipped..])),
        Some((line, rest)) => came.split_first().is_some_and(|(first, after)| shows(line, first.trim_end()) && is_shown(rest, after)),
    }
}

/// Takes a page at its word, and gives how many commands it has.
fn walk(page: &Path) -> usize {
    let text = std::fs::read_to_string(page).unwrap();
    let case = Case::new();
    let mut code = 0;
    let mut typed = 0;
    let mut search = std::ffi::OsString::from(Path::new(env!("CARGO_BIN_EXE_gapless")).parent().unwrap());
    search.push(":");
    // Python and its packages as a reader has them.
    search.push(super::outside::python().parent().unwrap());
    search.push(":");
    search.push(std::env::var_os("PATH").unwrap_or_default());
    for piece in pieces(&text) {
        match piece {
            Piece::File(name, body) => {
                if let Some(folder) = case.path(&name).parent() {
                    std::fs::create_dir_all(folder).unwrap();
                }
                case.file(&name, body);
            }
            Piece::Typed(command, shown) => {
                typed += 1;
                // What the command before ended with is there to be asked for.
                let output = Command::new("bash")
                    .args(["-c", &format!("exec 2>&1; (exit {code}); {command}")])
                    .current_dir(case.dir())
                    .env("PATH", &search)
                    .env("NO_COLOR", "1")
                    .env_remove("GITHUB_STEP_SUMMARY")
                    .output()
                    .unwrap();
                code = output.status.code().unwrap();
                let came = String::from_utf8(output.stdout).unwrap();
                let lines: Vec<&str> = came.lines().collect();
                assert!(is_shown(&shown, &lines), "{}: `{command}` does not show\n{}\nbut\n{came}", page.display(), shown.join("\n"));
            }
        }
    }
    typed
}

#[test]
fn the_pages_show_what_happens() {
    let mut walked = Vec::new();
    for entry in std::fs::read_dir(repository().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "md") && walk(&path) > 0 {
            walked.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    walked.sort();
    assert_eq!(walked, ["accept", "backfill", "clouds", "kafka", "rules"], "the pages that hold sessions");
}

#[test]
fn a_page_that_shows_something_else_is_found() {
    let lines = |text: &str| text.lines().map(str::to_string).collect::<Vec<_>>();
    assert!(is_shown(&lines("a\n…\nd …"), &["a", "b", "c", "d e"]));
    assert!(is_shown(&lines("a … c … e"), &["a b c d e"]));
    assert!(!is_shown(&lines("a"), &["a", "b"]));
    assert!(!is_shown(&lines("a … c"), &["a b"]));
    assert!(!is_shown(&lines("a\n…\nc"), &["a", "b"]));
    assert!(!is_shown(&lines(""), &["x"]));
}
